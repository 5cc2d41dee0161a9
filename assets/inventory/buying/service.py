"""How much service each SKU is worth: classes by what it earns and by its margin, and the safety stock of a service level.

Belongs here: classes, safety stock, the forecast's error over a span of weeks. Does not belong here: orders, and the factors
of a service level (`policies`).
"""

import math

import polars as pl

from assets.inventory.buying.settings import BuyingSettings

SERVICE: dict[str, pl.DataType] = {"sku": pl.String(), "sku_class": pl.String(), "service_level": pl.Float64()}
ERRORS: dict[str, pl.DataType] = {"sku": pl.String(), "variance": pl.Float64(), "windows": pl.Int64()}
POOLED_WINDOWS = 4


def classify(items: pl.DataFrame, settings: BuyingSettings) -> pl.DataFrame:
    """Class and service level of each SKU: columns SERVICE, sorted by sku.

    items: sku, weekly_mean (expected units), price_minor, cost_minor, currency of the price; null where unknown. SKUs are
    ranked within a currency by expected revenue: those that make the first 80 % are A, up to 95 % B, the rest C
    (`class_shares`). The margin is high, middle or low by the price less cost over the price (`margin_bounds`); where a cost is
    unknown it is middle. A SKU without a price is B; one that is not expected to sell is C.
    """
    a_share, b_share = settings.class_shares
    low, high = settings.margin_bounds
    price, units = pl.col("price_minor"), pl.col("weekly_mean").fill_null(0.0)
    margin = 1 - pl.col("cost_minor") / price
    ranked = (
        items.with_columns(revenue=pl.when(price > 0).then(units * price))
        .sort("revenue", "sku", descending=[True, False], nulls_last=True)
        .with_columns(
            before=(pl.col("revenue").cum_sum() - pl.col("revenue")).over("currency"),
            total=pl.col("revenue").sum().over("currency"),
        )
        .with_columns(share=pl.col("before") / pl.col("total"))
        .with_columns(
            abc=pl.when(units <= 0)
            .then(pl.lit("C"))
            .when(pl.col("share").is_null() | pl.col("share").is_nan())
            .then(pl.lit("B"))
            .when(pl.col("share") < a_share)
            .then(pl.lit("A"))
            .when(pl.col("share") < b_share)
            .then(pl.lit("B"))
            .otherwise(pl.lit("C")),
            margin=pl.when(margin >= high)
            .then(pl.lit("high"))
            .when(margin < low)
            .then(pl.lit("low"))
            .otherwise(pl.lit("middle")),
        )
        .with_columns(sku_class=pl.format("{}-{}", "abc", "margin"))
    )
    levels = {name: settings.service_level(name) for name in ranked["sku_class"].unique()}
    return (
        ranked.with_columns(
            service_level=pl.col("sku_class").replace_strict(levels or {"": 0.0}, return_dtype=pl.Float64)
        )
        .select(pl.col(name).cast(dtype) for name, dtype in SERVICE.items())
        .sort("sku")
    )


def safety_units(sigma: float, service_level: float, target: str, cycle_units: float) -> float:
    """Units kept against an error of standard deviation `sigma` over the protection interval; never below zero.

    target "cycle" or "fill"; `cycle_units` is what is sold between two orders. The factors are those of `policies`.
    """
    from assets.inventory.buying.policies import factor_for_cycles, factor_for_fill

    if sigma <= 0:
        return 0.0
    if target == "cycle":
        return float(factor_for_cycles(service_level)) * sigma
    return max(0.0, float(factor_for_fill(service_level, sigma, cycle_units))) * sigma


def protection_errors(backtest: pl.DataFrame, protection_days: pl.DataFrame) -> pl.DataFrame:
    """Mean squared error of the forecast's sum over each SKU's protection interval: columns ERRORS.

    backtest: sku, cutoff, week, step, units, mean: forecasts of weeks that were not known at their cutoff. protection_days:
    sku, protection_days. For n weeks, as many as the interval begins, E[(sum of units - sum of means)²] over all stretches of
    n weeks within a cutoff; where a cutoff reaches less far, over its whole length. It is brought to the interval's own days
    in proportion. Bias counts as error.

    A SKU has few such stretches, so its own number is weighed against what all SKUs show, mean squared error over expected
    units, which counts for `POOLED_WINDOWS` of them.
    """
    spans = dict(protection_days.select("sku", "protection_days").iter_rows())
    squares: dict[str, list[float]] = {}
    expected: dict[str, float] = {}
    ordered = backtest.select("sku", "cutoff", "step", "units", "mean").sort("sku", "cutoff", "step")
    grouped = ordered.group_by("sku", "cutoff", maintain_order=True).agg("units", "mean")
    for sku, _, units, means in grouped.iter_rows():
        days = spans.get(sku)
        if days is None or not units:
            continue
        length = min(max(1, math.ceil(days / 7)), len(units))
        for start in range(len(units) - length + 1):
            told = sum(means[start : start + length])
            squares.setdefault(sku, []).append((sum(units[start : start + length]) - told) ** 2 / length)
            expected[sku] = expected.get(sku, 0.0) + told / length
    every, weekly = sum(sum(of) for of in squares.values()), sum(expected.values())
    pooled = every / weekly if weekly > 0 else 0.0
    rows = []
    for sku, of in squares.items():
        prior = pooled * expected[sku] / len(of)
        variance = (sum(of) + POOLED_WINDOWS * prior) / (len(of) + POOLED_WINDOWS)
        rows.append((sku, variance * spans[sku] / 7, len(of)))
    return pl.DataFrame(rows, schema=ERRORS, orient="row").sort("sku")
