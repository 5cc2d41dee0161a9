"""A SKU's forecast by channel and country: its weeks divided by who bought it lately.

Belongs here: the shares. Does not belong here: the SKU's forecast (`served`).

Top-down by proportions (Gross & Sohl, Disaggregation methods to expedite product line forecasting, Journal of Forecasting 9,
1990): a SKU in one channel of one country sells too seldom to be forecast by itself. The parts sum to the SKU.
"""

import polars as pl

from assets.forecasting.schemas import BY_CHANNEL_SCHEMA

SHARE_WEEKS = 26
PRIOR_UNITS = 20.0
"""Units that the brand's own shares weigh beside those of a SKU."""


def forecast_by_channel(forecasts: pl.DataFrame, transactions: pl.LazyFrame) -> pl.DataFrame:
    """The mean of every SKU and week in each channel and country that sold in the last `SHARE_WEEKS` weeks (BY_CHANNEL_SCHEMA).

    forecasts: sku, week, step, mean. transactions: day, sku, kind, quantity, channel, country; a missing country is a part of
    its own. A SKU's share is (its units there + `PRIOR_UNITS` * the brand's share) / (its units + `PRIOR_UNITS`). Without any
    sale there are no parts, and no rows.
    """
    if forecasts.is_empty():
        return pl.DataFrame(schema=BY_CHANNEL_SCHEMA)
    first = forecasts.select(pl.col("week").min()).item()
    part = ["channel", "country"]
    sold = (
        transactions.filter(
            pl.col("kind") == "goods",
            pl.col("quantity") > 0,
            pl.col("day").is_between(pl.lit(first).dt.offset_by(f"-{SHARE_WEEKS}w"), pl.lit(first), closed="left"),
        )
        .group_by("sku", *part)
        .agg(pl.col("quantity").sum().cast(pl.Float64).alias("units"))
        .collect()
    )
    of_brand = (
        sold.group_by(part).agg(pl.col("units").sum()).with_columns(usual=pl.col("units") / pl.col("units").sum())
    )
    shares = (
        forecasts.select("sku")
        .unique()
        .join(of_brand.select(*part, "usual"), how="cross")
        .join(sold, on=["sku", *part], how="left", nulls_equal=True)
        .with_columns(pl.col("units").fill_null(0.0))
        .with_columns(
            share=(pl.col("units") + PRIOR_UNITS * pl.col("usual")) / (pl.col("units").sum().over("sku") + PRIOR_UNITS)
        )
    )
    return (
        forecasts.select("sku", "week", "step", "mean")
        .join(shares, on="sku")
        .with_columns(pl.col("mean") * pl.col("share"))
        .select(pl.col(name).cast(dtype) for name, dtype in BY_CHANNEL_SCHEMA.items())
        .sort("sku", "week", "share", descending=[False, False, True])
    )
