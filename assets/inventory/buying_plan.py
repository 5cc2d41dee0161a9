"""The purchase plan of a brand: what the store and the lake know, put through lead times, service, seasons and budgets.

Belongs here: which frames a plan is made of, in which order. Does not belong here: the arithmetic (`reorder`, `buying`), and
what becomes of a plan.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import polars as pl

from assets.inventory.buying.lead_times import Learnt, Prior, learn, sku_lead_times
from assets.inventory.buying.proposals import Proposed, propose, unit_costs
from assets.inventory.buying.seasons import plan_seasons
from assets.inventory.buying.service import classify, protection_errors
from assets.inventory.buying.settings import BuyingSettings
from assets.inventory.reorder import Known, ReorderPolicy, protection_days, reorder_plan
from resources.lake import Lake, MissingAsset
from resources.settings import Settings
from resources.store.catalog import read_catalog
from resources.store.purchasing import Rejection, coming, deliveries, order_quantities, read_orders, rejections
from resources.store.rates import read_rates

if TYPE_CHECKING:
    from sqlalchemy import Connection

BACKTEST_COLUMNS = {"sku", "cutoff", "week", "step", "units", "mean", "q0.975"}


@dataclass(frozen=True)
class Frames:
    """What a plan is made of. backtest: forecasts of weeks that were not known yet, with what they sold; None without."""

    levels: pl.DataFrame
    forecasts: pl.DataFrame
    catalog: pl.DataFrame
    costs: pl.DataFrame
    backtest: pl.DataFrame | None = None


def plan_purchases(
    connection: "Connection",
    brand: int,
    settings: Settings,
    buying: BuyingSettings,
    frames: Frames,
    as_of: date,
    budgets: Mapping[str, Decimal] | None = None,
) -> Proposed:
    """The plan of every SKU as of a day, and what is proposed of it within the budgets (None: those of `buying`)."""
    policy = policy_of(buying)
    lead_times = sku_lead_times(learnt_lead_times(connection, brand, buying, as_of), frames.catalog)
    errors = None
    if frames.backtest is not None:
        errors = protection_errors(frames.backtest, protection_days(frames.catalog, lead_times, policy))
    costs = unit_costs(frames.costs)
    known = Known(lead_times, errors, _service(frames, costs, buying, as_of), _packs(connection, brand, frames, buying))
    on_order = coming(connection, brand)
    plan = reorder_plan(frames.levels, frames.forecasts, frames.catalog, on_order, policy, as_of=as_of, known=known)
    plan = plan_seasons(plan, frames.catalog, costs, buying)
    plan = without_rejected(plan, rejections(connection, brand), buying.material_change)
    rates = _rates(connection, brand, settings, costs)
    return propose(plan, frames.catalog, costs, buying, budgets=budgets, rates=rates)


def without_rejected(plan: pl.DataFrame, rejected: Mapping[str, Rejection], material_change: float) -> pl.DataFrame:
    """The plan without what a person rejected, as long as its quantity has not changed materially; the reason says who."""
    rows = []
    for sku, units, reason in plan.select("sku", "recommended_quantity", "reason").iter_rows():
        said = rejected.get(sku)
        if said is not None and units and said.holds(units, material_change):
            why = f"{reason.rstrip('.')}; {said.quantity} were rejected by {said.actor} on {said.at:%Y-%m-%d}: {said.reason}."
            rows.append((sku, 0, why))
    if not rows:
        return plan
    schema = {"sku": pl.String(), "left": pl.Int64(), "why": pl.String()}
    return (
        plan.join(pl.DataFrame(rows, schema=schema, orient="row"), on="sku", how="left", maintain_order="left")
        .with_columns(
            recommended_quantity=pl.coalesce("left", "recommended_quantity"), reason=pl.coalesce("why", "reason")
        )
        .select(plan.columns)
    )


def expected_arrivals(connection: "Connection", brand: int, buying: BuyingSettings, day: date) -> dict[str, date]:
    """When each draft would arrive if it went out on the day: with its slowest SKU, by what suppliers have taken so far."""
    drafts = read_orders(connection, brand).filter(pl.col("status") == "draft")
    times = sku_lead_times(learnt_lead_times(connection, brand, buying, day), read_catalog(connection, brand))
    days = pl.col("lead_time_mean").fill_null(buying.default_lead_time_days).max().round()
    slowest = drafts.join(times, on="sku", how="left").group_by("number").agg(days.cast(pl.Int64).alias("days"))
    return {number: day + timedelta(days=count) for number, count in slowest.iter_rows()}


def policy_of(buying: BuyingSettings) -> ReorderPolicy:
    return ReorderPolicy(
        review_days=buying.review_days,
        default_lead_time_days=buying.default_lead_time_days,
        target=buying.service_target,
    )


def learnt_lead_times(connection: "Connection", brand: int, buying: BuyingSettings, as_of: date) -> Learnt:
    """What suppliers' deliveries up to the day say."""
    prior = Prior(buying.lead_time_spread, buying.lead_time_weight)
    return learn(deliveries(connection, brand), as_of, prior, buying.default_lead_time_days)


def read_backtest(lake: Lake) -> pl.DataFrame | None:
    """The forecast's backtest, where the lake has one."""
    try:
        frame = lake.read("forecast_backtest")
    except MissingAsset:
        return None
    return frame if set(frame.columns) >= BACKTEST_COLUMNS and frame.height else None


def _service(frames: Frames, costs: pl.DataFrame, buying: BuyingSettings, as_of: date) -> pl.DataFrame:
    ahead = frames.forecasts.filter(pl.col("week") + pl.duration(days=7) > as_of)
    means = ahead.group_by("sku").agg(weekly_mean=pl.col("mean").mean())
    skus = pl.concat([frames.catalog["sku"], frames.forecasts["sku"]]).unique().sort().to_frame("sku")
    prices = frames.catalog.select("sku", "currency", price_minor="retail_price_minor")
    same = costs.select("sku", "cost_minor", cost_currency="currency")
    items = (
        skus.join(means, on="sku", how="left")
        .join(prices, on="sku", how="left")
        .join(same, on="sku", how="left")
        .with_columns(cost_minor=pl.when(pl.col("cost_currency") == pl.col("currency")).then("cost_minor"))
    )
    return classify(items, buying)


def _packs(connection: "Connection", brand: int, frames: Frames, buying: BuyingSettings) -> pl.DataFrame:
    fixed = dict(order_quantities(connection, brand).iter_rows())
    rows = [
        (sku, buying.item(sku, category).pack_size, fixed.get(sku))
        for sku, category in frames.catalog.select("sku", "category").iter_rows()
    ]
    schema = {"sku": pl.String(), "pack_size": pl.Int64(), "order_quantity": pl.Int64()}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _rates(connection: "Connection", brand: int, settings: Settings, costs: pl.DataFrame) -> dict[str, float]:
    """Newest rates into the base currency; asked for only where goods cost several currencies."""
    currencies = set(costs["currency"].drop_nulls())
    base = settings.current.base_currency
    if currencies <= {base} or len(currencies) < 2:
        return {}
    from assets.finance.fx import daily_ratios

    ratios = daily_ratios(read_rates(connection, brand), base, settings.current.fx_carry_days)
    newest = ratios.sort("day").group_by("currency").last()
    return {currency: float(rate) for currency, rate in newest.select("currency", "rate").iter_rows()}
