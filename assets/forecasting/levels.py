"""Forecasts of every level of the range that add up: each level is forecast by itself, and all of them are reconciled.

Belongs here: building the series of a level from SKUs, and their forecasts. Does not belong here: the arithmetic of
reconciliation (`hierarchy`), and forecasting a panel (`ensemble`).
"""

import polars as pl

from assets.forecasting.ensemble import LEAST_WEEKS, Forecaster
from assets.forecasting.evaluate import table_of, with_actuals
from assets.forecasting.hierarchy import BRAND, STRUCTURE, VARIANCE, Levels, aggregate, level_name, reconcile
from assets.forecasting.panel import Panel, read_panel
from assets.forecasting.schemas import LEVELS_SCHEMA

ABOVE: Levels = (BRAND, ("category",), ("product",))
"""Levels above the SKU."""
_FREQ = "W-MON"
_SKU = "sku"


def coherent_levels(
    forecasts: pl.DataFrame, backtest: pl.DataFrame, history: pl.DataFrame, catalog: pl.DataFrame
) -> pl.DataFrame:
    """Reconciled forecasts of brand, categories, products and SKUs (`LEVELS_SCHEMA`), units a week.

    forecasts: FORECAST_SCHEMA, the SKUs' own. backtest: BACKTEST_SCHEMA. history: sku, week, units. catalog: sku, category,
    product. `base_mean` is what a node was forecast by itself; one without history gets the sum of its SKUs. Weights are the
    errors on the newest weeks that a forecast had not seen, and numbers of SKUs where there is too little history for that.
    """
    if forecasts.is_empty():
        return pl.DataFrame(schema=LEVELS_SCHEMA)
    own = catalog.select(_SKU, "category", "product")
    mapping = forecasts.select(_SKU).unique().sort(_SKU).join(own, on=_SKU, how="left")
    horizon = int(forecasts["step"].n_unique())
    sold = aggregate(history.join(mapping, on=_SKU).select(*mapping.columns, "week", "units"), ABOVE, "units")
    summed = aggregate(forecasts.join(mapping, on=_SKU).select(*mapping.columns, "week", "mean"), ABOVE, "mean")
    base, residuals = [_of_skus(forecasts)], [_errors_of_skus(backtest)]
    for name in map(level_name, ABOVE):
        rows = sold.filter(pl.col("level") == name)
        panel = read_panel(rows.select(unique_id="node", ds="week", y=pl.col("units").clip(lower_bound=0.0)), _FREQ)
        forecaster = Forecaster(panel, horizon)
        made = _rows(panel, forecaster, panel.periods, name)
        lacking = summed.filter(pl.col("level") == name).join(made, on="node", how="anti")
        base += [made, lacking.select("level", "node", "week", "mean", lower="mean", upper="mean")]
        if panel.periods - horizon >= LEAST_WEEKS:
            residuals.append(_residuals(panel, forecaster, panel.periods - horizon, name))
    told = pl.concat(base).with_columns(base_mean=pl.col("mean"))
    errors = pl.concat(residuals)
    method = STRUCTURE if errors.is_empty() else VARIANCE
    made = reconcile(told, mapping, (*ABOVE, (_SKU,)), method=method, residuals=errors)
    first = made["week"].min()
    return (
        made.with_columns(
            hierarchy_level=pl.col("level"),
            step=(pl.col("week") - pl.lit(first)).dt.total_days() // 7 + 1,
            lower=pl.min_horizontal("lower", "mean"),
            upper=pl.max_horizontal("upper", "mean"),
        )
        .select(pl.col(name).cast(dtype) for name, dtype in LEVELS_SCHEMA.items())
        .sort("hierarchy_level", "node", "week")
    )


def _errors_of_skus(backtest: pl.DataFrame) -> pl.DataFrame:
    return backtest.filter("locked").select(
        pl.lit(_SKU).alias("level"),
        pl.col(_SKU).alias("node"),
        "week",
        (pl.col("units") - pl.col("mean")).alias("residual"),
    )


def _of_skus(forecasts: pl.DataFrame) -> pl.DataFrame:
    return forecasts.select(pl.lit(_SKU).alias("level"), pl.col(_SKU).alias("node"), "week", "mean", "lower", "upper")


def _rows(panel: Panel, forecaster: Forecaster, origin: int, level: str) -> pl.DataFrame:
    table = table_of(panel, forecaster.at(origin))
    return table.select(
        pl.lit(level).alias("level"),
        pl.col("unique_id").alias("node"),
        pl.col("ds").alias("week"),
        "mean",
        pl.col("q0.1").alias("lower"),
        pl.col("q0.9").alias("upper"),
    )


def _residuals(panel: Panel, forecaster: Forecaster, origin: int, level: str) -> pl.DataFrame:
    rows = with_actuals(table_of(panel, forecaster.at(origin)), panel)
    return rows.select(
        pl.lit(level).alias("level"),
        pl.col("unique_id").alias("node"),
        pl.col("ds").alias("week"),
        (pl.col("y") - pl.col("mean")).alias("residual"),
    )
