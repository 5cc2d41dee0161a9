"""The columns of the forecasting assets. Light: whoever only declares an asset imports no numerics."""

import polars as pl

from assets.forecasting.demand import HISTORY_SCHEMA
from assets.forecasting.scores import QUANTILE_COLUMNS

SHARD = "shard"
_QUANTILES = dict.fromkeys(QUANTILE_COLUMNS, pl.Float64())
HISTORY: dict[str, pl.DataType] = {SHARD: pl.String(), **HISTORY_SCHEMA}
FORECAST_SCHEMA: dict[str, pl.DataType] = {
    SHARD: pl.String(),
    "sku": pl.String(),
    "model": pl.String(),
    "week": pl.Date(),
    "step": pl.Int64(),
    "mean": pl.Float64(),
    "lower": pl.Float64(),
    "upper": pl.Float64(),
    "level": pl.Float64(),
    **_QUANTILES,
    "state": pl.String(),
    "snapshot": pl.String(),
}
BACKTEST_SCHEMA: dict[str, pl.DataType] = {
    SHARD: pl.String(),
    "sku": pl.String(),
    "demand_class": pl.String(),
    "cutoff": pl.Date(),
    "locked": pl.Boolean(),
    "week": pl.Date(),
    "step": pl.Int64(),
    "units": pl.Float64(),
    "mean": pl.Float64(),
    **_QUANTILES,
    "model": pl.String(),
    "scale": pl.Float64(),
}
ACCURACY_SCHEMA: dict[str, pl.DataType] = {
    "cutoff": pl.Date(),
    "sku": pl.String(),
    "week": pl.Date(),
    "step": pl.Int64(),
    "model": pl.String(),
    "mean": pl.Float64(),
    "lower": pl.Float64(),
    "upper": pl.Float64(),
    "units": pl.Float64(),
}
LEVELS_SCHEMA: dict[str, pl.DataType] = {
    "hierarchy_level": pl.String(),
    "node": pl.String(),
    "week": pl.Date(),
    "step": pl.Int64(),
    "mean": pl.Float64(),
    "base_mean": pl.Float64(),
    "lower": pl.Float64(),
    "upper": pl.Float64(),
}
BY_CHANNEL_SCHEMA: dict[str, pl.DataType] = {
    "sku": pl.String(),
    "channel": pl.String(),
    "country": pl.String(),
    "week": pl.Date(),
    "step": pl.Int64(),
    "share": pl.Float64(),
    "mean": pl.Float64(),
}
FAN_SCHEMA: dict[str, pl.DataType] = {
    "week": pl.Date(),
    "actual": pl.Float64(),
    "mean": pl.Float64(),
    "lower": pl.Float64(),
    "upper": pl.Float64(),
}
WORDS: dict[str, str] = {
    "units": "Units that were wanted in the week, as far as they are known: what is learnt from and compared with",
    "discount": "Share of the week's worth at list price that was given away in discount",
    "level": "What share of weeks the interval from lower to upper is meant to hold",
    "state": "Whether it is still bought: active, decaying or ended",
    "scale": "Mean squared change from week to week that was known at the cutoff",
}
"""Columns that mean something else in other assets."""
