"""Goods of one season: bought once, so that too many cost their salvage loss and too few their margin.

Belongs here: which SKUs of a plan are of a season, and their order in place of a replenishment. Does not belong here: the
newsvendor's arithmetic (`newsvendor`), what becomes of too many (`markdowns`).
"""

from datetime import date, timedelta
from typing import Any

import polars as pl

from assets.inventory.buying.settings import BuyingSettings, Season


def plan_seasons(
    plan: pl.DataFrame, catalog: pl.DataFrame, unit_costs: pl.DataFrame, settings: BuyingSettings
) -> pl.DataFrame:
    """The plan, with the quantity and reason of goods of one season as a newsvendor would order them.

    plan: columns REORDER_SCHEMA. catalog: sku, category, collection, retail_price_minor, currency. unit_costs: sku, cost_minor,
    currency. Demand of the days that the season still has is taken as normal with the forecast's mean and error. What is there
    and on order serves first; the quantity is the best for what demand goes beyond it. Nothing is ordered that would arrive
    after the season's end. A SKU without price or cost, or without a forecast, keeps its plan, and the reason says so.
    """
    if not settings.seasons:
        return plan
    known = catalog.select("sku", "category", "collection", "retail_price_minor", "currency").join(
        unit_costs.select("sku", "cost_minor", cost_currency="currency"), on="sku", how="left"
    )
    details = {row["sku"]: row for row in known.to_dicts()}
    changed: list[dict[str, Any]] = []
    for row in plan.to_dicts():
        of = details.get(row["sku"])
        season = settings.season(of["collection"], of["category"]) if of else None
        if of is None or season is None or row["recommended_quantity"] is None:
            continue
        quantity, reason = _order(row, of, season, settings)
        changed.append({"sku": row["sku"], "of_season": quantity, "why": reason})
    if not changed:
        return plan
    schema = {"sku": pl.String(), "of_season": pl.Int64(), "why": pl.String()}
    return (
        plan.join(pl.DataFrame(changed, schema=schema), on="sku", how="left", maintain_order="left")
        .with_columns(
            needed_quantity=pl.coalesce("of_season", "needed_quantity"),
            recommended_quantity=pl.coalesce("of_season", "recommended_quantity"),
            reason=pl.coalesce("why", "reason"),
        )
        .select(plan.columns)
    )


def _order(row: dict[str, Any], of: dict[str, Any], season: Season, settings: BuyingSettings) -> tuple[int, str]:
    from assets.inventory.buying.newsvendor import LEVELS, Economics, season_buy
    from assets.inventory.buying.policies import InvalidPolicy

    as_of: date = row["as_of"]
    arrives = as_of + timedelta(days=row["lead_time_days"])
    plain = row["recommended_quantity"]
    if arrives > season.ends:
        return 0, (
            f"Nothing to order: its season ends on {season.ends}, and an order would arrive on {arrives} "
            f"({row['available']} available and {row['on_order']} on order)."
        )
    price, cost = of["retail_price_minor"], of["cost_minor"]
    if price is None or cost is None or of["currency"] != of["cost_currency"] or row["weekly_mean"] is None:
        lacks = "forecast" if row["weekly_mean"] is None else "price and cost in one currency"
        return plain, f"{row['reason'].rstrip('.')}; it is of one season, but has no {lacks} to weigh by."
    salvage = settings.salvage_of(season)
    try:
        economics = Economics(price, cost, price * salvage)
    except InvalidPolicy as error:
        return plain, f"{row['reason'].rstrip('.')}; it is of one season, but {error}."
    weeks = ((season.ends - as_of).days + 1) / 7
    mean, sigma = row["weekly_mean"] * weeks, (row["sigma_weekly"] or 0.0) * weeks**0.5
    position = (row["available"] or 0) + row["on_order"]
    from scipy.special import ndtri

    buy = season_buy(
        [mean + float(ndtri(level)) * sigma - position for level in LEVELS],
        economics,
        order_multiple=row["pack_size"] or row["min_order_quantity"],
        min_order_quantity=row["min_order_quantity"],
    )
    return buy.quantity, (
        f"Order {buy.quantity} once for the season to {season.ends}: {mean:.1f} ± {sigma:.1f} expected, "
        f"{row['available']} available and {row['on_order']} on order, best at the demand's {buy.critical_ratio:.0%} quantile "
        f"(a unit too few costs {economics.under / economics.price:.0%} of the price, one too many "
        f"{economics.over / economics.price:.0%} with salvage at {salvage:.0%})."
    )
