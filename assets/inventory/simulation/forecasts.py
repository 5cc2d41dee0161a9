"""Forecasts of many origins as arrays, and which of them were known on a day.

Here: reading the table that forecasts are kept in. Not here: making them, and deciding by them (`buyers`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import polars as pl

from assets.inventory.buying.policies import Floats
from assets.inventory.simulation.setting import DAYS, Panel, SimulationError

LEVELS = (0.025, 0.1, 0.5, 0.9, 0.975)
QUANTILES = tuple(f"q{level:g}" for level in LEVELS)
COLUMNS = ("unique_id", "cutoff", "ds", "mean", *QUANTILES)


@dataclass(frozen=True)
class Forecasts:
    """Weekly forecasts. `cutoffs[k]` is the Monday of the last week that was known; mean: origins × SKUs × weeks after it.

    quantiles: origins × SKUs × weeks × LEVELS. NaN where a SKU was not forecast.
    """

    cutoffs: tuple[date, ...]
    mean: Floats
    quantiles: Floats

    def made_before(self, day: date) -> "Forecasts":
        """Copies of those whose last known week was over on this day."""
        count = sum(cutoff + timedelta(DAYS) <= day for cutoff in self.cutoffs)
        return Forecasts(self.cutoffs[:count], self.mean[:count].copy(), self.quantiles[:count].copy())

    def first_day(self, origin: int) -> date:
        """The first day that a forecast is of."""
        return self.cutoffs[origin] + timedelta(DAYS)

    @property
    def horizon(self) -> int:
        return self.mean.shape[2]


def forecasts_of(rows: pl.DataFrame, skus: Sequence[str], model: str | None = None) -> Forecasts:
    """Arrays of a table (columns COLUMNS and, where there are several, model), for these SKUs in their order.

    Raises SimulationError for missing columns, several models of which none is chosen, weeks that lie no whole weeks after
    their cutoff, and a table that has none of the SKUs.
    """
    missing = [name for name in COLUMNS if name not in rows.columns]
    if missing:
        raise SimulationError(
            f"the forecasts lack {', '.join(missing)}: make them with `luxauto forecast evaluate FILE --out FORECASTS.parquet`"
        )
    rows = _of_one_model(rows, model).with_columns(
        pl.col("unique_id").cast(pl.String), pl.col("cutoff").cast(pl.Date), pl.col("ds").cast(pl.Date)
    )
    known = pl.DataFrame({"unique_id": list(skus), "i": range(len(skus))})
    rows = rows.join(known, on="unique_id", how="inner")
    if not rows.height:
        raise SimulationError("the forecasts have none of the demand's SKUs: compare unique_id in both files")
    days = (rows["ds"] - rows["cutoff"]).dt.total_days().to_numpy()
    if np.any(days % DAYS) or np.any(days <= 0):
        raise SimulationError("ds of the forecasts lie whole weeks after cutoff: make them with --freq W-MON")
    cutoffs = rows["cutoff"].unique().sort()
    week = days // DAYS - 1
    at = (cutoffs.search_sorted(rows["cutoff"]).to_numpy(), rows["i"].to_numpy(), week)
    shape = (len(cutoffs), len(skus), int(week.max()) + 1)
    mean = np.full(shape, np.nan)
    mean[at] = np.maximum(rows["mean"].cast(pl.Float64).to_numpy(), 0)
    quantiles = np.full((*shape, len(LEVELS)), np.nan)
    quantiles[at] = np.maximum.accumulate(rows.select(QUANTILES).cast(pl.Float64).to_numpy(), axis=1)
    return Forecasts(tuple(cutoffs.to_list()), mean, quantiles)


def weekly_rows(panel: Panel) -> pl.DataFrame:
    """The demand of whole weeks, as models read it: unique_id, ds (Monday), y; sorted, each from its first sale on.

    Raises SimulationError for weeks that are not called by their Monday.
    """
    if panel.step_days == DAYS and panel.first_day.weekday():
        raise SimulationError(f"ds of weeks are Mondays, and {panel.first_day} is none: call weeks by their Monday")
    begin = -panel.first_day.weekday() % DAYS // panel.step_days
    width = DAYS // panel.step_days
    weeks = (panel.demand.shape[1] - begin) // width
    units = panel.demand[:, begin : begin + weeks * width].reshape(len(panel.skus), weeks, width).sum(axis=2)
    first = panel.day_of(begin)
    days = [first + timedelta(DAYS * week) for week in range(weeks)]
    return pl.DataFrame(
        {
            "unique_id": np.repeat(np.array(panel.skus, dtype=object), weeks),
            "ds": days * len(panel.skus),
            "y": units.ravel().astype(np.float64),
        },
        schema={"unique_id": pl.String, "ds": pl.Date, "y": pl.Float64},
    ).filter(pl.col("y").cum_sum().over("unique_id") > 0)


def _of_one_model(rows: pl.DataFrame, model: str | None) -> pl.DataFrame:
    models = sorted(map(str, rows["model"].unique())) if "model" in rows.columns else []
    if model is not None:
        if model not in models:
            raise SimulationError(f"the forecasts have no model {model!r}: choose {', '.join(models)}")
        return rows.filter(pl.col("model") == model)
    twice = rows.select("unique_id", "cutoff", "ds").is_duplicated().any()
    if twice and len(models) > 1:
        raise SimulationError(f"the forecasts are of several models: choose one with --model, {', '.join(models)}")
    if twice:
        raise SimulationError("the forecasts have a SKU, cutoff and week twice: leave one row of each")
    return rows
