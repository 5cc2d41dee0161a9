"""What will not sell at its price: how much of it, which price step recovers most, and what that is worth.

Belongs here: stock beyond a season's end or a limit of cover, and the step. Does not belong here: setting prices.

How demand answers to a price is an assumption, not something that was learnt: units at a price lower by d sell (1 - d)^e times
as fast, with the elasticity e of `buying.yaml` (constant elasticity, as in Talluri & van Ryzin, The Theory and Practice of
Revenue Management, 2004, ch. 7). Each suggestion says which number was assumed.
"""

from datetime import date, timedelta

import polars as pl

from assets.inventory.buying.settings import BuyingSettings

MARKDOWN_PLAN: dict[str, pl.DataType] = {
    "sku": pl.String(),
    "collection": pl.String(),
    "on_hand": pl.Int64(),
    "weekly_mean": pl.Float64(),
    "weeks_of_cover": pl.Float64(),
    "sells_until": pl.Date(),
    "excess_units": pl.Int64(),
    "price_step": pl.Float64(),
    "elasticity": pl.Float64(),
    "price_minor": pl.Int64(),
    "markdown_price_minor": pl.Int64(),
    "currency": pl.String(),
    "recovery_minor": pl.Int64(),
    "full_price_minor": pl.Int64(),
    "salvage_minor": pl.Int64(),
    "reason": pl.String(),
}


def suggest_markdowns(
    levels: pl.DataFrame, plan: pl.DataFrame, catalog: pl.DataFrame, settings: BuyingSettings, as_of: date
) -> pl.DataFrame:
    """SKUs with more than will sell by their season's end, or within the limit of cover: columns MARKDOWN_PLAN.

    levels: sku, on_hand, counted. plan: sku, weekly_mean. catalog: sku, category, collection, retail_price_minor, currency.

    recovery_minor: what all units on hand are expected to bring with the step, those that are left at salvage. It is the step
    that brings most; 0 where none brings more than the full price. full_price_minor: the same without a step.
    salvage_minor: what they bring if they are all cleared at once. Null without a price. A SKU whose season is over is only
    worth its salvage. Sorted by excess units, most first.
    """
    stock = (
        levels.filter(pl.col("counted") & (pl.col("on_hand") > 0))
        .select("sku", "on_hand")
        .join(plan.select("sku", "weekly_mean").drop_nulls(), on="sku", how="inner")
        .join(catalog.select("sku", "category", "collection", "retail_price_minor", "currency"), on="sku", how="left")
    )
    rows = []
    for row in stock.to_dicts():
        season = settings.season(row["collection"], row["category"])
        until = season.ends if season else as_of + timedelta(weeks=settings.cover_limit_weeks, days=-1)
        weeks = max(0.0, ((until - as_of).days + 1) / 7)
        sold = row["weekly_mean"] * weeks
        excess = row["on_hand"] - round(sold)
        if excess <= 0:
            continue
        salvage = settings.salvage_of(season)
        rows.append(_suggestion(row, until, weeks, excess, salvage, settings, of_season=season is not None))
    return pl.DataFrame(rows, schema=MARKDOWN_PLAN).sort("excess_units", "sku", descending=[True, False])


def expected_recovery(
    units: int, expected: float, price: float, step: float, elasticity: float, salvage: float
) -> float:
    """What so many units bring at a price step: those that sell at the lower price, the rest at salvage (share of price)."""
    sold = min(float(units), expected * (1 - step) ** elasticity)
    return price * ((1 - step) * sold + salvage * (units - sold))


def _suggestion(
    row: dict, until: date, weeks: float, excess: int, salvage: float, settings: BuyingSettings, *, of_season: bool
) -> dict:
    price, units, expected = row["retail_price_minor"], row["on_hand"], row["weekly_mean"] * weeks
    steps = (0.0, *settings.markdown_steps)
    by_step = {
        step: expected_recovery(units, expected, price or 1.0, step, settings.elasticity, salvage) for step in steps
    }
    step = max(steps, key=lambda one: (round(by_step[one], 6), -one))
    cover = units / row["weekly_mean"] if row["weekly_mean"] else None
    why = f"its season ends on {until}" if of_season else f"cover beyond {settings.cover_limit_weeks} weeks is too long"
    lasts = "nothing of it sells" if cover is None else f"{units} on hand last {cover:.0f} weeks"
    if step:
        more = min(float(units), expected * (1 - step) ** settings.elasticity) - min(float(units), expected)
        does = (
            f"a price {step:.0%} lower is expected to sell {more:.0f} more (elasticity {settings.elasticity:g}, assumed) and "
            f"to recover {by_step[step] / by_step[0] - 1:.0%} more than the full price"
            if by_step[0]
            else f"a price {step:.0%} lower recovers most (elasticity {settings.elasticity:g}, assumed)"
        )
    else:
        does = f"no step recovers more than the full price (elasticity {settings.elasticity:g}, assumed)"
    return {
        "sku": row["sku"],
        "collection": row["collection"],
        "on_hand": units,
        "weekly_mean": row["weekly_mean"],
        "weeks_of_cover": cover,
        "sells_until": until,
        "excess_units": excess,
        "price_step": step,
        "elasticity": settings.elasticity,
        "price_minor": price,
        "markdown_price_minor": None if price is None else round(price * (1 - step)),
        "currency": row["currency"],
        "recovery_minor": None if price is None else round(by_step[step]),
        "full_price_minor": None if price is None else round(by_step[0]),
        "salvage_minor": None if price is None else round(price * salvage * units),
        "reason": f"{excess} will not sell: {lasts}, and {why}; {does}.",
    }
