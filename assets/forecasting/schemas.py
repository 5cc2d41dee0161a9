"""The columns of the forecasting frames. Light: whoever only declares an asset imports no numerics."""

import polars as pl

FORECAST_SCHEMA: dict[str, pl.DataType] = {
    "sku": pl.String(),
    "model": pl.String(),
    "week": pl.Date(),
    "step": pl.Int64(),
    "mean": pl.Float64(),
    "lower": pl.Float64(),
    "upper": pl.Float64(),
    "level": pl.Float64(),
}
SCORE_SCHEMA: dict[str, pl.DataType] = {
    "sku": pl.String(),
    "model": pl.String(),
    "wape": pl.Float64(),
    "rmsse": pl.Float64(),
    "bias": pl.Float64(),
    "folds": pl.Int64(),
    "chosen": pl.Boolean(),
    "reason": pl.String(),
}
FAN_SCHEMA: dict[str, pl.DataType] = {
    "week": pl.Date(),
    "actual": pl.Float64(),
    "mean": pl.Float64(),
    "lower": pl.Float64(),
    "upper": pl.Float64(),
}
