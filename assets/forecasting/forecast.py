"""The forecast that is served: each SKU's models tried on weeks they had not seen, the best one carried forward.

Here: which models a SKU may have, the choice and its reason in words, the frames of forecasts and scores, the
brand's total. Not here: the models (`models`), the scoring (`backtest`), where history comes from (`demand`).

Three models stand beside each other: Prophet for the best sellers, the same weeks of last year where there is
history enough, and the mean of the last eight weeks for all. The mean is there because it is hard to beat: on a
gift retailer's 300 best sellers, at three origins, it was closer than Prophet in total and far closer than last
year's weeks; choosing between only those two served the SKUs worse than the mean alone. For the same reason
another model takes the mean's place only if it was closer by `NEEDED_GAIN`: two folds are little evidence.
"""

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial

import numpy as np
import polars as pl

from assets.forecasting.backtest import Fold, Predict, Score, backtest, cut_folds
from assets.forecasting.models import (
    INTERVAL_LEVEL,
    MEAN,
    NO_HISTORY,
    PROPHET,
    RECENT_WEEKS,
    SEASON_WEEKS,
    SEASONAL_NAIVE,
    YEARLY_FROM_WEEKS,
    Band,
    Units,
    band_from_error,
    mean_of_recent,
    prophet_band,
    prophet_mean,
    seasonal_naive,
)

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
HISTORY_COLUMNS = ("sku", "week", "units_sold")

HORIZON_WEEKS = 13
PROPHET_SKUS = 300
RANKING_WEEKS = 26
LEAST_WEEKS = 16
LEAST_SELLING_WEEKS = 8
NEEDED_GAIN = 0.05

_IN_WORDS = {
    PROPHET: "Prophet",
    SEASONAL_NAIVE: "the same weeks of last year",
    MEAN: f"the mean of the last {RECENT_WEEKS} weeks",
}


@dataclass(frozen=True)
class ForecastResult:
    """`forecasts` (FORECAST_SCHEMA): a row a SKU and week ahead, SKUs without a sale have none.

    `scores` (SCORE_SCHEMA): a row a SKU and model that was tried, exactly one of each SKU `chosen`.
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

    `history` is what `demand.weekly_demand` returns: sku, week (Monday), units_sold; each SKU without a hole up to
    the panel's last week. Forecast means and intervals are units a week, none below zero; `level` is the
    interval's (0.8). Scores are `backtest.Score`'s, out of sample, None where nothing could be held out.

    A model is scored on two rolling origins and chosen by pooled RMSSE, never by WAPE, which rewards forecasting
    near zero. The mean of the last eight weeks stays unless another model is closer by `NEEDED_GAIN`. Which models
    a SKU may have: last year's weeks if every fold has a year to look back on; Prophet if the SKU is one of the
    `prophet_skus` best sellers of the panel's last 26 weeks; with fewer than 16 weeks of history, or 8 with a
    sale, the mean only; without a sale, none. `reason` says it in words for each row.

    `on_progress(done, total)` is called after each SKU. The same history gives the same result, and a SKU's
    forecast does not depend on the others except by the ranking. Raises ValueError for a history with missing
    columns, holes, negative or missing units, or SKUs that end in different weeks.
    """
    if horizon < 1 or prophet_skus < 0:
        raise ValueError(f"horizon must be at least 1 and prophet_skus at least 0, not {horizon}, {prophet_skus}")
    every_series = _series(history)
    with_prophet = _best_sellers(every_series, prophet_skus)
    forecasts, scores = _Columns(FORECAST_SCHEMA), _Columns(SCORE_SCHEMA)
    for done, series in enumerate(every_series, start=1):
        outcome = _forecast_one(series, horizon, prophet=series.sku in with_prophet, prophet_skus=prophet_skus)
        forecasts.extend(_forecast_rows(series, outcome))
        scores.extend(outcome.scores)
        if on_progress:
            on_progress(done, len(every_series))
    return ForecastResult(forecasts.frame(), scores.frame())


def total_fan(forecasts: pl.DataFrame, history: pl.DataFrame) -> pl.DataFrame:
    """The brand's weeks for a fan chart (`FAN_SCHEMA`): past ones with `actual`, coming ones with mean and interval.

    The total's mean is the sum of the SKUs' means. Its interval takes the SKUs' errors as independent: each side's
    half width is the root of the summed squares of theirs, since adding the lowers would suppose that every SKU
    disappoints at once. SKUs do rise and fall together (a season, a campaign), so the truth lies outside this
    interval more often than the level says; it shows the scatter of single SKUs, not the risk of a bad season.
    """
    past = history.group_by("week").agg(actual=pl.col("units_sold").sum())
    below, above = pl.col("mean") - pl.col("lower"), pl.col("upper") - pl.col("mean")
    coming = (
        forecasts.group_by("week")
        .agg(mean=pl.col("mean").sum(), below=(below**2).sum().sqrt(), above=(above**2).sum().sqrt())
        .with_columns(
            lower=(pl.col("mean") - pl.col("below")).clip(lower_bound=0.0), upper=pl.col("mean") + pl.col("above")
        )
    )
    return (
        pl.concat([past, coming], how="diagonal_relaxed")
        .select(pl.col(name).cast(dtype) for name, dtype in FAN_SCHEMA.items())
        .sort("week")
    )


@dataclass(frozen=True)
class _Series:
    sku: str
    first_week: date
    units: Units

    @property
    def testable(self) -> bool:
        return len(self.units) >= LEAST_WEEKS and self.selling_weeks >= LEAST_SELLING_WEEKS

    @property
    def selling_weeks(self) -> int:
        return int(np.count_nonzero(self.units))

    @property
    def next_week(self) -> date:
        return self.first_week + timedelta(weeks=len(self.units))


@dataclass(frozen=True)
class _Tried:
    """A model with its score, or with what stopped it."""

    model: str
    score: Score | None
    failure: str | None = None


@dataclass(frozen=True)
class _Outcome:
    model: str
    band: Band | None
    scores: list[tuple]


class _Columns:
    """Rows gathered under a schema, which then become one frame."""

    def __init__(self, schema: dict[str, pl.DataType]) -> None:
        self._schema = schema
        self._rows: list[tuple] = []

    def extend(self, rows: list[tuple]) -> None:
        self._rows.extend(rows)

    def frame(self) -> pl.DataFrame:
        return pl.DataFrame(self._rows, schema=self._schema, orient="row")


def _series(history: pl.DataFrame) -> list[_Series]:
    missing = sorted(set(HISTORY_COLUMNS) - set(history.columns))
    if missing:
        raise ValueError(f"the demand history lacks the columns {', '.join(missing)}")
    panel_end = history["week"].max()
    grouped = (
        history.sort("sku", "week")
        .group_by("sku", maintain_order=True)
        .agg(
            first=pl.col("week").first(),
            last=pl.col("week").last(),
            holes=(pl.col("week").diff().drop_nulls() != pl.duration(days=7)).any(),
            bad=(pl.col("units_sold").is_null() | (pl.col("units_sold") < 0)).any(),
            units=pl.col("units_sold").cast(pl.Float64),
        )
    )
    faulty = grouped.filter(pl.col("holes") | pl.col("bad") | (pl.col("last") != panel_end))
    if not faulty.is_empty():
        raise ValueError(
            f"the demand history of {', '.join(faulty['sku'].head(5))} ({faulty.height} SKUs in all) must have one row "
            f"for every week up to {panel_end} with units of zero or more: make it with weekly_demand"
        )
    return [_Series(row["sku"], row["first"], np.array(row["units"])) for row in grouped.iter_rows(named=True)]


def _best_sellers(every_series: list[_Series], count: int) -> set[str]:
    # A SKU that may not have Prophet anyway takes no place from one that may.
    ranked = sorted(
        (series for series in every_series if series.testable),
        key=lambda series: (-series.units[-RANKING_WEEKS:].sum(), series.sku),
    )
    return {series.sku for series in ranked[:count]}


def _forecast_one(series: _Series, horizon: int, *, prophet: bool, prophet_skus: int) -> _Outcome:
    if not series.units.any():
        reason = "No sale on record, so there is no forecast."
        return _Outcome(NO_HISTORY, None, [(series.sku, NO_HISTORY, None, None, None, 0, True, reason)])
    folds = cut_folds(len(series.units), horizon)
    if not series.testable:
        tried = [_try(MEAN, series, folds)]
        band = _mean_band(series, horizon, tried[0].score)
        return _Outcome(MEAN, band, _score_rows(series, tried, MEAN, _too_little(series)))

    tried = [_try(model, series, folds) for model in _candidates(series, folds, prophet=prophet)]
    note = "" if prophet else f" Prophet is fitted only for the {prophet_skus} best sellers, and this is not one."
    chosen = _choose(tried)
    try:
        band = _band(chosen, series, horizon, folds)
    except ImportError:
        raise
    except Exception as error:
        tried = [_Tried(each.model, None, _cause(error)) if each is chosen else each for each in tried]
        chosen = _choose(tried)
        band = _band(chosen, series, horizon, folds)
    return _Outcome(chosen.model, band, _score_rows(series, tried, chosen.model, _why(chosen, tried) + note))


def _candidates(series: _Series, folds: list[Fold], *, prophet: bool) -> Iterator[str]:
    # Only what every fold can run: a model that is served must be the one that was scored.
    yield MEAN
    if folds[0].origin >= SEASON_WEEKS:
        yield SEASONAL_NAIVE
    if prophet:
        yield PROPHET


def _try(model: str, series: _Series, folds: list[Fold]) -> _Tried:
    if not folds:
        return _Tried(model, None)
    try:
        return _Tried(model, backtest(series.units, folds, _predictor(model, series, folds)))
    except ImportError:
        raise  # Prophet is not installed: a fault of the installation, not of this SKU
    except Exception as error:  # Stan raises several kinds; whatever it is, this SKU has other models
        if model != PROPHET:
            raise
        return _Tried(model, None, _cause(error))


def _predictor(model: str, series: _Series, folds: list[Fold]) -> Predict:
    if model == PROPHET:
        return lambda seen, weeks: prophet_mean(seen, series.first_week, weeks, yearly=_yearly(folds))
    return seasonal_naive if model == SEASONAL_NAIVE else mean_of_recent


def _yearly(folds: list[Fold]) -> bool:
    # By the shortest training window, so that the Prophet that is served has the seasons that were scored.
    return folds[0].origin >= YEARLY_FROM_WEEKS


def _choose(tried: list[_Tried]) -> _Tried:
    scored = {each.model: each for each in tried if each.score}
    best = min(scored.values(), key=_rmsse)
    mean = scored[MEAN]
    return best if _rmsse(best) < _rmsse(mean) * (1 - NEEDED_GAIN) else mean


def _rmsse(tried: _Tried) -> float:
    return tried.score.rmsse if tried.score else float("inf")


def _band(chosen: _Tried, series: _Series, horizon: int, folds: list[Fold]) -> Band:
    if chosen.model == PROPHET:
        seed = zlib.crc32(series.sku.encode())  # by the SKU, so that its neighbours do not change its forecast
        return prophet_band(series.units, series.first_week, horizon, yearly=_yearly(folds), seed=seed)
    if chosen.model == MEAN:
        return _mean_band(series, horizon, chosen.score)
    assert chosen.score is not None
    return band_from_error(seasonal_naive(series.units, horizon), chosen.score.rmse)


def _mean_band(series: _Series, horizon: int, score: Score | None) -> Band:
    # Too young to hold a week out: the scatter of the weeks there are is all that is known.
    error = score.rmse if score else float(series.units.std())
    return band_from_error(mean_of_recent(series.units, horizon), error)


def _forecast_rows(series: _Series, outcome: _Outcome) -> list[tuple]:
    if outcome.band is None:
        return []
    weeks = [series.next_week + timedelta(weeks=k) for k in range(len(outcome.band.mean))]
    lines = zip(weeks, outcome.band.mean, outcome.band.lower, outcome.band.upper, strict=True)
    return [
        (series.sku, outcome.model, week, step, float(mean), float(lower), float(upper), INTERVAL_LEVEL)
        for step, (week, mean, lower, upper) in enumerate(lines, start=1)
    ]


def _score_rows(series: _Series, tried: list[_Tried], chosen: str, why: str) -> list[tuple]:
    row = partial(_score_row, series.sku)
    return [row(each, each.model == chosen, why if each.model == chosen else _why_not(each, chosen)) for each in tried]


def _score_row(sku: str, tried: _Tried, chosen: bool, reason: str) -> tuple:
    score = tried.score
    if score is None:
        return (sku, tried.model, None, None, None, 0, chosen, reason)
    return (sku, tried.model, score.wape, score.rmsse, score.bias, score.folds, chosen, reason)
