"""Intervals from the errors that were made: of a point forecast, and of quantiles that held too seldom or too often.

Belongs here: pooling errors over the series of a demand class and over earlier origins. Does not belong here: forecasts.

Vovk, Gammerman & Shafer, Algorithmic Learning in a Random World, 2005; for quantiles, Romano, Patterson & Candès,
Conformalized Quantile Regression, 2019. Three windows of one series say little; those of all series of its kind say enough.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from assets.forecasting.demand_class import NAMES
from assets.forecasting.panel import Floats
from assets.forecasting.scores import QUANTILES

LEVEL_WEEKS = 26
RAISED_SHARE = 0.1
"""How much of a shift of the upper quantiles is taken: what they missed before a season ended says little of the next."""
_MEDIAN = QUANTILES.index(0.5)
_SHRINKAGE = 200.0
_FEW = 50
_LEAST_LEVEL = 1e-3
_GUESSED_VARIATION = 0.75


@dataclass(frozen=True)
class Window:
    """Forecasts from one origin beside what came, as far as it is known.

    actual: (series, steps). forecast: (series, steps) or (series, steps, quantiles). level: (series,). ready: which series
    had a history to forecast from.
    """

    actual: Floats
    forecast: Floats
    level: Floats
    ready: NDArray[np.bool_]


def level_of(y: Floats, week: int) -> Floats:
    """Mean of the last `LEVEL_WEEKS` weeks of each series; hardly anything where nothing was sold."""
    window = y[:, -LEVEL_WEEKS * week :]
    known = np.isfinite(window)
    mean = np.where(known, window, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return np.maximum(mean, _LEAST_LEVEL)


def around(point: Floats, level: Floats, classes: NDArray[np.int64], past: Sequence[Window]) -> Floats:
    """Quantiles around a point forecast, (series, steps, quantiles), by the errors of the same forecast before.

    An error is measured against sqrt(level (forecast + level / 10)), which lies between that of a count and that of a share,
    and pooled by class and by half of the horizon. Without a past the errors are those of a count with a guessed variation.
    """
    spread = _spread(point, level)
    if not past:
        normal = np.array([NormalDist().inv_cdf(share) for share in QUANTILES])
        guessed = np.sqrt(point + (_GUESSED_VARIATION * point) ** 2)
        return np.maximum(point[..., None] + guessed[..., None] * normal, 0.0)
    steps = point.shape[1]
    errors, of_class, of_step = _errors(past, classes)
    told = np.empty((*point.shape, len(QUANTILES)))
    for half in (np.arange(steps) < (steps + 1) // 2, np.arange(steps) >= (steps + 1) // 2):
        if not half.any():
            continue
        in_half = half[np.minimum(of_step, steps - 1)]
        for kind in range(len(NAMES)):
            of_kind = errors[in_half & (of_class == kind)]
            pool = of_kind if len(of_kind) >= _FEW else errors
            places = np.ix_(classes == kind, half)
            told[places] = point[places][..., None] + spread[places][..., None] * np.quantile(pool, QUANTILES)
    return np.sort(np.maximum(told, 0.0), axis=-1)


def shifted(quantiles: Floats, level: Floats, classes: NDArray[np.int64], past: Sequence[Window]) -> Floats:
    """The quantiles moved so that, in the past windows, each was passed by as many as its name says. The median stays.

    Classes with few windows are drawn to what all need. Upper quantiles are moved by `RAISED_SHARE` of that alone.
    """
    if not past:
        return quantiles
    errors, of_class, _ = _errors(past, classes)
    of_all = _needed(errors)
    told = quantiles.copy()
    for kind in range(len(NAMES)):
        of_kind = errors[of_class == kind]
        trust = len(of_kind) / (len(of_kind) + _SHRINKAGE)
        needed = trust * _needed(of_kind) + (1 - trust) * of_all if len(of_kind) >= _FEW else of_all
        rows = classes == kind
        told[rows] += needed * _spread(quantiles[rows][..., _MEDIAN], level[rows])[..., None]
    return np.sort(np.maximum(told, 0.0), axis=-1)


def _needed(errors: Floats) -> Floats:
    needed = np.array([np.quantile(errors[:, n], share) for n, share in enumerate(QUANTILES)])
    needed[_MEDIAN] = 0.0
    needed[_MEDIAN + 1 :] *= RAISED_SHARE
    return needed


def _errors(past: Sequence[Window], classes: NDArray[np.int64]) -> tuple[Floats, NDArray[np.int64], NDArray[np.int64]]:
    """Scaled errors of all windows, (rows,) or (rows, quantiles), with the class and the step of each."""
    errors, of_class, of_step = [], [], []
    for window in past:
        steps = window.actual.shape[1]
        forecast, level = window.forecast[window.ready, :steps], window.level[window.ready]
        actual = window.actual[window.ready]
        if forecast.ndim == 2:
            scaled = (actual - forecast) / _spread(forecast, level)
            errors.append(scaled.reshape(-1))
        else:
            scaled = (actual[..., None] - forecast) / _spread(forecast[..., _MEDIAN], level)[..., None]
            errors.append(scaled.reshape(-1, forecast.shape[-1]))
        of_class.append(np.repeat(classes[window.ready], steps))
        of_step.append(np.tile(np.arange(steps), int(window.ready.sum())))
    return np.concatenate(errors), np.concatenate(of_class), np.concatenate(of_step)


def _spread(forecast: Floats, level: Floats) -> Floats:
    return np.sqrt(level[:, None] * (forecast + 0.1 * level[:, None]))
