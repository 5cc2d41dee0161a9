"""The forecast that is served: every SKU's coming weeks, the scores behind them, and the brand's total.

Here: the frames, their checks, who is among the best sellers. Not here: which model serves one SKU
(`selection`), the models (`models`), the scoring (`backtest`), where history comes from (`demand`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import polars as pl

from assets.forecasting.backtest import backtest, cut_folds
from assets.forecasting.models import INTERVAL_LEVEL, Units, mean_of_recent, z_of_level
from assets.forecasting.schemas import FAN_SCHEMA, FORECAST_SCHEMA, SCORE_SCHEMA
from assets.forecasting.selection import Selection, Series, select_model

HISTORY_COLUMNS = ("sku", "week", "units_sold")

HORIZON_WEEKS = 13
PROPHET_SKUS = 300
RANKING_WEEKS = 26
INTERVAL_Z = z_of_level(INTERVAL_LEVEL)


@dataclass(frozen=True)
class ForecastResult:
    """What was forecast, and how well it would have been.

    forecasts (FORECAST_SCHEMA): a row a SKU and coming week, sorted so; a SKU without a sale has none.
    scores (SCORE_SCHEMA): a row a SKU and model that was tried; exactly one of each SKU is `chosen`, which
        for a SKU without a sale is "no_history".
    """

    forecasts: pl.DataFrame
    scores: pl.DataFrame


def forecast_demand(
    history: pl.DataFrame,
    *,
    horizon: int = HORIZON_WEEKS,
    prophet_skus: int = PROPHET_SKUS,
    on_progress: Callable[[int, int], None] | None = None,
) -> ForecastResult:
    """The next `horizon` weeks of every SKU in `history`, and how each model did on weeks it had not seen.

    `history` is what `demand.weekly_demand` returns: sku, week (Monday), units_sold; each SKU without a hole
    up to the panel's last week. mean, lower and upper are units a week, none below zero; `level` is the
    interval's. Scores are those of `backtest.Score`, None where nothing could be held out.

    A model is scored on two rolling origins and chosen by RMSSE pooled over them (never by WAPE, which
    rewards forecasting too little); the mean of the last eight weeks stays unless another is 5 % closer. A
    SKU may have last year's weeks if each fold has a year to look back on, and Prophet if it is one of the
    `prophet_skus` best sellers of the last 26 weeks. With fewer than 16 weeks of history, or 8 with a sale,
    it has the mean only; if it never sold, nothing. `reason` says so in words, row by row.

    `on_progress(done, total)` is called after each SKU. The same history gives the same result, and a SKU's
    forecast depends on the other SKUs by the ranking alone. Raises ValueError for a history with missing
    columns, holes, negative or missing units, or SKUs that end in different weeks.
    """
    if horizon < 1 or prophet_skus < 0:
        raise ValueError(f"horizon must be 1 or more and prophet_skus 0 or more, not {horizon} and {prophet_skus}")
    every_series = _series(history)
    best_sellers = _best_sellers(every_series, prophet_skus)
    forecasts: list[tuple] = []
    scores: list[tuple] = []
    for done, series in enumerate(every_series, start=1):
        outsider = None if series.sku in best_sellers else prophet_skus
        selection = select_model(series, horizon, prophet_skus=outsider)
        forecasts.extend(_forecast_rows(series, selection))
        scores.extend(_score_rows(series, selection))
        if on_progress:
            on_progress(done, len(every_series))
    return ForecastResult(
        pl.DataFrame(forecasts, schema=FORECAST_SCHEMA, orient="row"),
        pl.DataFrame(scores, schema=SCORE_SCHEMA, orient="row"),
    )


def total_fan(forecasts: pl.DataFrame, history: pl.DataFrame) -> pl.DataFrame:
    """The brand's weeks for a fan chart (`FAN_SCHEMA`): past ones with `actual`, coming ones with a band.

    The total's mean is the sum of the SKUs' means. Its half width, the same on both sides, is the larger of:

    - the root of the summed squares of the SKUs' (upper - mean), which takes their errors as independent.
      Adding the lowers would suppose that every SKU disappoints at once. Not (mean - lower): that is cut at
      zero.
    - z times the error that the mean of the last eight weeks made on weeks of the total that it had not seen.
      SKUs rise and fall together, and this is what that costs. On a gift retailer's panel, at five origins,
      the first alone held 8 to 92 % of the weeks where 80 % was meant; the larger held 23 to 100 %, 71 on
      average.

    A season that the history does not hold lies outside either.
    """
    past = history.group_by("week").agg(actual=pl.col("units_sold").sum()).sort("week")
    together = INTERVAL_Z * _total_error(past["actual"].cast(pl.Float64).to_numpy(), forecasts["week"].n_unique())
    apart = ((pl.col("upper") - pl.col("mean")) ** 2).sum().sqrt()
    coming = (
        forecasts.group_by("week")
        .agg(pl.col("mean").sum(), half_width=pl.max_horizontal(apart, pl.lit(together)))
        .select(
            "week",
            "mean",
            lower=(pl.col("mean") - pl.col("half_width")).clip(lower_bound=0.0),
            upper=pl.col("mean") + pl.col("half_width"),
        )
    )
    return (
        pl.concat([past, coming], how="diagonal_relaxed")
        .select(pl.col(name).cast(dtype) for name, dtype in FAN_SCHEMA.items())
        .sort("week")
    )


def _total_error(actual: Units, horizon: int) -> float:
    folds = cut_folds(len(actual), horizon)
    return backtest(actual, folds, mean_of_recent).rmse if folds else 0.0


def _series(history: pl.DataFrame) -> list[Series]:
    missing = sorted(set(HISTORY_COLUMNS) - set(history.columns))
    if missing:
        raise ValueError(f"the demand history lacks the columns {', '.join(missing)}")
    if history.is_empty():
        return []
    units = pl.col("units_sold")
    grouped = (
        history.sort("sku", "week")
        .group_by("sku", maintain_order=True)
        .agg(
            first=pl.col("week").first(),
            last=pl.col("week").last(),
            holes=(pl.col("week").diff().drop_nulls() != pl.duration(days=7)).any(),
            not_units=(units.is_null() | (units < 0)).any(),
            units=units.cast(pl.Float64),
        )
    )
    panel_end = history["week"].max()
    faulty = grouped.filter(pl.col("holes") | pl.col("not_units") | (pl.col("last") != panel_end))
    if not faulty.is_empty():
        some = ", ".join(faulty["sku"].head(5))
        raise ValueError(
            f"the demand history of {some} ({faulty.height} SKUs in all) lacks weeks up to {panel_end} or "
            "has units missing or below zero: make it with weekly_demand"
        )
    return [Series(row["sku"], row["first"], np.array(row["units"])) for row in grouped.iter_rows(named=True)]


def _best_sellers(every_series: list[Series], count: int) -> set[str]:
    # A SKU that may not have Prophet anyway takes no place from one that may.
    ranked = sorted(
        (series for series in every_series if series.testable),
        key=lambda series: (-series.units[-RANKING_WEEKS:].sum(), series.sku),
    )
    return {series.sku for series in ranked[:count]}


def _forecast_rows(series: Series, selection: Selection) -> list[tuple]:
    if selection.band is None:
        return []
    next_week = series.first_week + timedelta(weeks=len(series.units))
    rows = zip(selection.band.mean, selection.band.lower, selection.band.upper, strict=True)
    return [
        (series.sku, selection.model, next_week + timedelta(weeks=k), k + 1, *map(float, row), INTERVAL_LEVEL)
        for k, row in enumerate(rows)
    ]


def _score_rows(series: Series, selection: Selection) -> list[tuple]:
    rows = []
    for tried in selection.tried:
        score = tried.score
        numbers = (score.wape, score.rmsse, score.bias, score.folds) if score else (None, None, None, 0)
        rows.append((series.sku, tried.model, *numbers, tried.chosen, tried.reason))
    return rows
