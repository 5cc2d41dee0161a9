"""Which model serves a SKU: each that it may have, tried on weeks not seen; the choice, and its reason.

Here: one SKU's rules, its choice, and the words a buyer reads. Not here: the models (`models`), the scoring
(`backtest`), and the frames that hold all SKUs (`forecast`).

Three models stand beside each other: Prophet for the best sellers, the same weeks of last year where there is
history enough, and the mean of the last eight weeks for all. The mean is there because it is hard to beat: on
a gift retailer's 300 best sellers it was closer than Prophet in total at each of three origins, and at the
one that had a year behind it, choosing only between Prophet and last year's weeks was worse than the mean
alone. For the same reason another model takes the mean's place only if it was closer by `NEEDED_GAIN`: two
folds are little evidence, and with the margin the choice did better at all three origins than without.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date

import numpy as np

from assets.forecasting.backtest import Fold, Predict, Score, backtest, cut_folds
from assets.forecasting.models import (
    MEAN,
    NO_HISTORY,
    PROPHET,
    RECENT_WEEKS,
    SEASON_WEEKS,
    SEASONAL_NAIVE,
    YEARLY_FROM_WEEKS,
    Band,
    ModelFailed,
    Units,
    band_from_error,
    mean_of_recent,
    prophet_band,
    prophet_mean,
    seasonal_naive,
)

LEAST_WEEKS = 16
LEAST_SELLING_WEEKS = 8
NEEDED_GAIN = 0.05

_IN_WORDS = {
    PROPHET: "Prophet",
    SEASONAL_NAIVE: "the same weeks of last year",
    MEAN: f"the mean of the last {RECENT_WEEKS} weeks",
}


@dataclass(frozen=True)
class Series:
    """A SKU's units sold a week, without a hole, from `first_week` (a Monday) on."""

    sku: str
    first_week: date
    units: Units

    @property
    def selling_weeks(self) -> int:
        """How many weeks had a sale."""
        return int(np.count_nonzero(self.units))

    @property
    def testable(self) -> bool:
        """Whether there is history enough to try models against each other."""
        return len(self.units) >= LEAST_WEEKS and self.selling_weeks >= LEAST_SELLING_WEEKS


@dataclass(frozen=True)
class Tried:
    """A model, its score (None if nothing could be held out, or it failed), and why it is in use or not."""

    model: str
    score: Score | None
    failure: str | None = None
    chosen: bool = False
    reason: str = ""


@dataclass(frozen=True)
class Selection:
    """What serves a SKU: a model's name, its forecast (None without a sale), and all that was tried."""

    model: str
    band: Band | None
    tried: list[Tried]


def select_model(series: Series, horizon: int, *, prophet_skus: int | None = None) -> Selection:
    """The model that serves `series` for the next `horizon` weeks, its forecast, and all that were tried.

    `prophet_skus` is None for a SKU that may have Prophet; else how many SKUs may, which the reason then
    tells. Prophet that fails leaves the SKU to the other models. Raises ImportError where Prophet is asked
    for and not installed.
    """
    if not series.units.any():
        reason = "No sale on record, so there is no forecast."
        return Selection(NO_HISTORY, None, [Tried(NO_HISTORY, None, chosen=True, reason=reason)])
    folds = cut_folds(len(series.units), horizon)
    if not series.testable:
        score = backtest(series.units, folds, mean_of_recent) if folds else None
        only = Tried(MEAN, score, chosen=True, reason=_too_little(series))
        return Selection(MEAN, _mean_band(series, horizon, score), [only])

    tried = [_try(model, series, folds) for model in _candidates(folds, prophet=prophet_skus is None)]
    chosen = _choose(tried)
    try:
        band = _band(chosen, series, horizon, folds)
    except ModelFailed as error:
        tried = [replace(each, score=None, failure=str(error)) if each is chosen else each for each in tried]
        chosen = _choose(tried)
        band = _band(chosen, series, horizon, folds)
    return Selection(chosen.model, band, _with_reasons(tried, chosen, prophet_skus))


def _candidates(folds: list[Fold], *, prophet: bool) -> Iterator[str]:
    # Only what every fold can run: a model that is served must be the one that was scored.
    yield MEAN
    if folds[0].origin >= SEASON_WEEKS:
        yield SEASONAL_NAIVE
    if prophet:
        yield PROPHET


def _try(model: str, series: Series, folds: list[Fold]) -> Tried:
    try:
        return Tried(model, backtest(series.units, folds, _predictor(model, series, folds)))
    except ModelFailed as error:
        return Tried(model, None, failure=str(error))


def _predictor(model: str, series: Series, folds: list[Fold]) -> Predict:
    if model == PROPHET:
        return lambda seen, weeks: prophet_mean(seen, series.first_week, weeks, yearly=_yearly(folds))
    return seasonal_naive if model == SEASONAL_NAIVE else mean_of_recent


def _yearly(folds: list[Fold]) -> bool:
    # By the shortest training window, so that the Prophet that is served has the seasons that were scored.
    return folds[0].origin >= YEARLY_FROM_WEEKS


def _choose(tried: list[Tried]) -> Tried:
    mean = next(each for each in tried if each.model == MEAN)
    best = min(tried, key=_rmsse)
    return best if _rmsse(best) < _rmsse(mean) * (1 - NEEDED_GAIN) else mean


def _rmsse(tried: Tried) -> float:
    return tried.score.rmsse if tried.score else float("inf")


def _band(chosen: Tried, series: Series, horizon: int, folds: list[Fold]) -> Band:
    if chosen.model == PROPHET:
        # By the SKU, so that its neighbours do not change its forecast.
        seed = zlib.crc32(series.sku.encode())
        return prophet_band(series.units, series.first_week, horizon, yearly=_yearly(folds), seed=seed)
    if chosen.model == SEASONAL_NAIVE and chosen.score:
        return band_from_error(seasonal_naive(series.units, horizon), chosen.score.rmse)
    return _mean_band(series, horizon, chosen.score)


def _mean_band(series: Series, horizon: int, score: Score | None) -> Band:
    # Too young to hold a week out: the scatter of the weeks there are is all that is known.
    error = score.rmse if score else float(series.units.std())
    return band_from_error(mean_of_recent(series.units, horizon), error)


def _too_little(series: Series) -> str:
    weeks, selling = len(series.units), series.selling_weeks
    if weeks < LEAST_WEEKS:
        lack = f"Only {_count(weeks, 'week')} since the first sale, {LEAST_WEEKS} are needed"
    else:
        lack = f"Sold in only {selling} of {weeks} weeks, {LEAST_SELLING_WEEKS} are needed"
    return f"{lack} to try models against each other: {_IN_WORDS[MEAN]}."


def _with_reasons(tried: list[Tried], chosen: Tried, prophet_skus: int | None) -> list[Tried]:
    return [
        replace(each, chosen=True, reason=_why(chosen, tried, prophet_skus))
        if each is chosen
        else replace(each, reason=_why_not(each, chosen))
        for each in tried
    ]


def _why(chosen: Tried, tried: list[Tried], prophet_skus: int | None) -> str:
    rivals = sorted((each for each in tried if each.score and each is not chosen), key=_rmsse)
    against = ", ".join(f"{_rmsse(each):.2f} for {_IN_WORDS[each.model]}" for each in rivals)
    weeks = f"{chosen.score.weeks if chosen.score else 0} weeks it had not seen"
    name, error = _IN_WORDS[chosen.model], f"error {_rmsse(chosen):.2f}"
    if not rivals:
        words = f"{name}: {error} on {weeks}; no other model could be tried."
    elif _rmsse(rivals[0]) < _rmsse(chosen):
        words = f"{name}: {error} on {weeks}; no other was {NEEDED_GAIN:.0%} closer ({against})."
    else:
        words = f"{name}: closest on {weeks}, {error} against {against}."
    sentences = [words[0].upper() + words[1:], *(_could_not(each) for each in tried if each.failure)]
    if prophet_skus is not None:
        sellers = _count(prophet_skus, "best seller")
        sentences.append(f"Prophet is fitted only for the {sellers}, not for this SKU.")
    return " ".join(sentences)


def _why_not(tried: Tried, chosen: Tried) -> str:
    if tried.failure:
        return _could_not(tried)
    errors = f"error {_rmsse(tried):.2f} against {_rmsse(chosen):.2f} for {_IN_WORDS[chosen.model]}"
    if _rmsse(tried) < _rmsse(chosen):
        return f"Closer, but not by the {NEEDED_GAIN:.0%} that a change needs: {errors}."
    return f"Not closer on the same weeks: {errors}."


def _could_not(tried: Tried) -> str:
    name = _IN_WORDS[tried.model]
    return f"{name[0].upper()}{name[1:]} could not be fitted ({tried.failure})."


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
