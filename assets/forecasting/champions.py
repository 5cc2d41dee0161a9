"""Who forecasts a series: the ensemble, unless a challenger was clearly better twice in a row.

Belongs here: the contest between forecasts that were made at earlier origins. Does not belong here: making them.

Choosing freely for each series from few windows is choosing noise: it gains little and spoils the intervals. So the ensemble
stays unless another lost less by `NEEDED_GAIN` in each of the last windows, where losses are drawn to those of the class.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assets.forecasting.demand_class import NAMES
from assets.forecasting.panel import Floats
from assets.forecasting.scores import QUANTILES, pinball

ENSEMBLE = "ensemble"
NEEDED_GAIN = 0.10
WINDOWS = 2
_SHRINKAGE = 1.0


@dataclass(frozen=True)
class Contest:
    """What contenders said at one origin, (series, steps, quantiles) each, and what came, (series, steps)."""

    actual: Floats
    said: Mapping[str, Floats]
    level: Floats
    ready: NDArray[np.bool_]


@dataclass(frozen=True)
class Champions:
    """Of each series and half of the horizon: the champion's name, and its loss over the ensemble's (1 for itself)."""

    names: NDArray[np.str_]
    ratios: Floats


def choose(
    contests: Sequence[Contest], classes: NDArray[np.int64], series: int, contenders: Sequence[str]
) -> Champions:
    """Champions from the newest `WINDOWS` contests, (series, 2). Without so many the ensemble forecasts everything."""
    names = np.full((series, 2), ENSEMBLE, dtype=object)
    best = np.ones((series, 2))
    if len(contests) < WINDOWS:
        return Champions(names.astype(str), best)
    newest = contests[-WINDOWS:]
    for contender in contenders:
        if contender == ENSEMBLE:
            continue
        ratios = np.stack([_ratios(contest, contender, classes) for contest in newest])
        wins = (ratios < 1 - NEEDED_GAIN).all(axis=0)
        mean = ratios.mean(axis=0)
        better = wins & (mean < best)
        names[better] = contender
        best[better] = mean[better]
    return Champions(names.astype(str), best)


def _ratios(contest: Contest, contender: str, classes: NDArray[np.int64]) -> Floats:
    """Loss of the contender over the ensemble's, (series, 2); 1 where nothing can be told."""
    steps = contest.actual.shape[1]
    levels = np.array(QUANTILES)
    challenger = pinball(contest.actual, contest.said[contender][:, :steps], levels).sum(axis=-1)
    standing = pinball(contest.actual, contest.said[ENSEMBLE][:, :steps], levels).sum(axis=-1)
    ratios = np.ones((len(classes), 2))
    for number, half in enumerate((slice(0, (steps + 1) // 2), slice((steps + 1) // 2, steps))):
        if half.start >= half.stop:
            continue
        # In units of the series' own level, so that big sellers do not speak for a class.
        own = challenger[:, half].sum(axis=1) / contest.level, standing[:, half].sum(axis=1) / contest.level
        for kind in range(len(NAMES)):
            rows = (classes == kind) & contest.ready
            if not rows.any():
                continue
            of_class = own[0][rows].mean(), own[1][rows].mean()
            above = own[0][rows] + _SHRINKAGE * of_class[0]
            below = own[1][rows] + _SHRINKAGE * of_class[1]
            ratios[rows, number] = above / np.maximum(below, 1e-12)
    return ratios
