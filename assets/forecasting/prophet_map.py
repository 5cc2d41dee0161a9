"""Prophet for all series of a panel at once: its model, and its maximum a posteriori, without a process a series.

Belongs here: the trend with changepoints and the weekly season of Taylor & Letham, Forecasting at Scale, The American
Statistician 72, 2018, with the package's defaults, and the optimiser. Does not belong here: who is forecast by it.

The package hands each series to Stan, which takes most of the time of a backtest. The objective is a least squares with a
Laplace prior on the changes of slope: series of equal length share the design, so that all are solved together. A test
holds the result to the package's (its Newton optimiser) to 2 % of a series' mean at the 95th percentile.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.forecasting.panel import Floats

CHANGEPOINTS = 25
CHANGEPOINT_RANGE = 0.8
_CHANGEPOINT_SCALE = 0.05
_TREND_SCALE = 5.0
_SEASON_SCALE = 10.0
_WEEKLY_ORDER = 3
LEAST_PERIODS = 6
_ROUNDS, _STEPS = 12, 40
_AT_ONCE = 2000


@dataclass(frozen=True)
class _Design:
    """Regressors of all periods, (periods, columns): those with a normal prior first, the changes of slope last."""

    columns: Floats
    normal_scales: Floats

    @property
    def free(self) -> int:
        """How many have a normal prior."""
        return len(self.normal_scales)


def prophet_means(y: Floats, horizon: int, *, season: int = 1) -> Floats:
    """Prophet's forecast of each series, not below zero: (series, horizon). Series of equal age are solved together.

    `y`: (series, periods), NaN before a series begins. A series with fewer than `LEAST_PERIODS` gets its mean, 0 without one.
    `season`: 7 adds the weekly season of daily data, which the package adds from two weeks on.
    """
    from threadpoolctl import threadpool_limits

    ages = np.isfinite(y).sum(axis=1)
    forecasts = np.zeros((len(y), horizon))
    # Many small matrices: threads would wait for each other longer than they work.
    with threadpool_limits(1):
        for age in np.unique(ages):
            _forecast_age(y, int(age), ages, forecasts, season)
    return np.maximum(forecasts, 0.0)


def _forecast_age(y: Floats, age: int, ages: NDArray[np.int64], forecasts: Floats, season: int) -> None:
    """Fill in the forecasts of the series of one age."""
    horizon = forecasts.shape[1]
    rows = np.flatnonzero(ages == age)
    if age < LEAST_PERIODS:
        forecasts[rows] = y[rows, y.shape[1] - age :].mean(axis=1)[:, None] if age else 0.0
        return
    for start in range(0, len(rows), _AT_ONCE):
        part = rows[start : start + _AT_ONCE]
        forecasts[part] = _solved(y[part, y.shape[1] - age :], horizon, season)


def _solved(y: Floats, horizon: int, season: int) -> Floats:
    periods = y.shape[1]
    scale = np.abs(y).max(axis=1)
    scale[scale == 0] = 1.0
    design = _design(periods, horizon, season if periods >= 2 * season else 1)
    weights = _maximum_a_posteriori(y / scale[:, None], design, periods)
    return _product(weights, design.columns[periods:].T) * scale[:, None]


def _product(rows: Floats, columns: NDArray[Any]) -> Floats:
    """`rows @ columns`, each row to the last bit as it would be alone: BLAS sums in an order that their number decides."""
    return np.einsum("np,pq->nq", rows, columns)


def _design(periods: int, horizon: int, season: int) -> _Design:
    steps = np.arange(periods + horizon)
    time = steps / (periods - 1)
    within = int(np.floor(periods * CHANGEPOINT_RANGE))
    count = min(CHANGEPOINTS, within - 1)
    changes = time[np.linspace(0, within - 1, count + 1).round().astype(int)[1:]]
    hinges = np.maximum(time[:, None] - changes[None, :], 0.0)
    columns, scales = [time, np.ones(len(time))], [_TREND_SCALE, _TREND_SCALE]
    if season > 1:
        for order in range(1, _WEEKLY_ORDER + 1):
            angle = 2 * np.pi * order * steps / season
            columns += [np.sin(angle), np.cos(angle)]
            scales += [_SEASON_SCALE, _SEASON_SCALE]
    return _Design(np.column_stack([*columns, hinges]), np.array(scales))


def _maximum_a_posteriori(y: Floats, design: _Design, periods: int) -> Floats:
    """Weights (series, columns) by turns: sigma in closed form, then the lasso by the alternating direction method.

    Boyd et al., Distributed Optimization and Statistical Learning via ADMM, 2011, section 6.4. With sigma ~ N(0, 0.5) and
    T periods, sigma² = (sqrt(T² + 16 SSE) - T) / 8.
    """
    x = design.columns[:periods]
    free, gram, moment = design.free, x.T @ x, _product(y, x)
    ridge = np.zeros(x.shape[1])
    ridge[:free] = design.normal_scales**-2.0
    penalised = np.zeros(x.shape[1])
    penalised[free:] = 1.0
    weights: Floats = np.zeros((len(y), x.shape[1]))
    weights[:, :free] = _product(moment[:, :free], np.linalg.inv(gram[:free, :free] + 1e-9 * np.eye(free)))
    dual = np.zeros_like(weights)
    for _ in range(_ROUNDS):
        errors = ((y - _product(weights, x.T)) ** 2).sum(axis=1)
        variance = np.maximum((np.sqrt(periods**2 + 16 * errors) - periods) / 8, 1e-8)
        rho = np.maximum(2 * np.sqrt(variance), 0.02)
        system = gram + (variance[:, None] * ridge + rho[:, None] * penalised)[:, :, None] * np.eye(x.shape[1])
        inverse = np.linalg.inv(system)
        threshold = (variance / _CHANGEPOINT_SCALE / rho)[:, None]
        for _ in range(_STEPS):
            target = moment + rho[:, None] * penalised * (weights - dual)
            solution: Floats = np.einsum("npq,nq->np", inverse, target)
            moved = solution + dual
            shrunk = np.sign(moved) * np.maximum(np.abs(moved) - threshold, 0.0)
            weights = np.where(penalised > 0, shrunk, solution)
            dual = np.where(penalised > 0, moved - weights, 0.0)
    return weights
