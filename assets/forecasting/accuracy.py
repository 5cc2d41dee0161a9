"""What was forecast then, beside what came: kept week after week, since a forecast is overwritten by the next.

Belongs here: keeping and completing what was said, and its measures over time. Does not belong here: backtests, which are
made afterwards (`evaluate`).
"""

from datetime import timedelta

import polars as pl

from assets.forecasting.schemas import ACCURACY_SCHEMA

KEPT_WEEKS = 52


def accuracy_over_time(said: pl.DataFrame, forecasts: pl.DataFrame, history: pl.DataFrame) -> pl.DataFrame:
    """All that was said (`ACCURACY_SCHEMA`), with `units` of the weeks that have come; sorted by cutoff, sku and week.

    said: the rows of before. forecasts: the newest forecast (FORECAST_SCHEMA); it takes the place of one with the same cutoff,
    which is the week before its first. history: sku, week, units. What was said more than `KEPT_WEEKS` ago is dropped.
    """
    newest = forecasts.with_columns(cutoff=pl.col("week") - pl.duration(weeks="step")).select(
        *(name for name in ACCURACY_SCHEMA if name != "units")
    )
    cutoffs = newest["cutoff"].unique()
    kept = said.filter(~pl.col("cutoff").is_in(cutoffs.to_list())).drop("units")
    rows = pl.concat([kept, newest], how="vertical_relaxed")
    if rows.height:
        last = rows.select(pl.col("cutoff").max()).item()
        rows = rows.filter(pl.col("cutoff") > last - timedelta(weeks=KEPT_WEEKS))
    came = history.select(pl.col("sku").cast(pl.String), pl.col("week").cast(pl.Date), pl.col("units").cast(pl.Float64))
    return (
        rows.join(came, on=["sku", "week"], how="left")
        .select(pl.col(name).cast(dtype) for name, dtype in ACCURACY_SCHEMA.items())
        .sort("cutoff", "sku", "week")
    )


def by_cutoff(accuracy: pl.DataFrame) -> pl.DataFrame:
    """cutoff, weeks, wape, bias, coverage of what has come, one row a cutoff; none where nothing has come yet."""
    error = pl.col("mean") - pl.col("units")
    within = pl.col("units").is_between(pl.col("lower"), pl.col("upper"))
    sold = pl.col("units").sum()
    return (
        accuracy.drop_nulls("units")
        .group_by("cutoff")
        .agg(
            weeks=pl.col("week").n_unique(),
            wape=pl.when(sold > 0).then(error.abs().sum() / sold),
            bias=pl.when(sold > 0).then(error.sum() / sold),
            coverage=within.mean(),
        )
        .sort("cutoff")
    )
