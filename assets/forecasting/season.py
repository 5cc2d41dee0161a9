"""The season that all series share: what a year ago came next, against what went before.

Belongs here: the index of a panel and how far it is to be believed. Does not belong here: seasons of one series.

One series of weekly demand with a year of history says little of its own season; a hundred of them together say when the
year ends and when it picks up. So the index is of the whole panel, and is believed as far as it has helped before.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from assets.forecasting.panel import Floats

YEAR_WEEKS = 52
BELIEFS = (0.0, 0.35, 0.7, 1.0)
"""Powers that the index may be raised to: 0 ignores it."""
UNTRIED_BELIEF = 0.6
_BASE_WEEKS = 8
_LEAST_BASE_WEEKS = 2
_LEAST_SERIES = 10
_MOST_RELATIVE = 5.0
_BOUNDS = (0.05, 4.0)
_PULL = 0.02


@dataclass(frozen=True)
class Trial:
    """A forecast without season from an earlier origin, (series, steps), what came, and the index as of that origin."""

    actual: Floats
    forecast: Floats
    index: Floats


def year_ago_index(y: Floats, horizon: int, week: int) -> Floats | None:
    """What all series sold in the same weeks a year before, over the `_BASE_WEEKS` before those: (horizon,).

    `y`: (series, periods), as known at the origin. Each series counts by its own mean, and one period of it for at most
    `_MOST_RELATIVE` times that. None with less than a year and two weeks of history, or fewer than ten series then.
    """
    year, periods = YEAR_WEEKS * week, y.shape[1]
    begin = max(0, periods - year - _BASE_WEEKS * week)
    if periods - year - begin < _LEAST_BASE_WEEKS * week:
        return None
    rows = y[np.isfinite(y[:, begin])]
    if len(rows) < _LEAST_SERIES:
        return None
    own = rows.mean(axis=1, where=np.isfinite(rows))
    relative = np.minimum(rows[:, begin:] / np.maximum(own, 1e-9)[:, None], _MOST_RELATIVE).mean(axis=0)
    # Days by the week around them, as far as there is one: the weekdays are in the forecasts already.
    around = np.ones(week)
    of_all = np.convolve(relative, around, mode="same") / np.convolve(np.ones(len(relative)), around, mode="same")
    past = periods - year - begin
    base = of_all[:past].mean()
    # Past a year ahead, that year again.
    same = past + np.arange(horizon) % year
    return np.clip(of_all[same] / max(base, 1e-9), *_BOUNDS) if base > 0 else None


def belief(trials: Sequence[Trial]) -> float:
    """The power of `BELIEFS` with which the index came closest to what came in the trials; `UNTRIED_BELIEF` without any.

    By the absolute error in units of the actual total, with a slight pull towards `UNTRIED_BELIEF`.
    """
    if not trials:
        return UNTRIED_BELIEF

    def loss(power: float) -> float:
        errors = [
            np.abs(trial.actual - trial.forecast[:, :steps] * trial.index[:steps] ** power).sum()
            for trial in trials
            for steps in [trial.actual.shape[1]]
        ]
        sold = sum(float(trial.actual.sum()) for trial in trials)
        return sum(map(float, errors)) / max(sold, 1e-9) + _PULL * abs(power - UNTRIED_BELIEF)

    return min(BELIEFS, key=loss)
