"""What our forecasts are measured against: models as their packages have them, with the intervals they come with.

Belongs here: forecasts of a panel from one origin by models other than ours. Does not belong here: scores.

All give (series, horizon, 1 + quantiles): the mean, then `QUANTILES`; nothing below zero, which only helps them.
"""

import logging
import os
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from multiprocessing import get_context
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.forecasting.panel import Floats, Panel
from assets.forecasting.scores import QUANTILES

Reference = Callable[[Panel, int], Floats]
PROPHET, TWEEDIE, DIRECT = "Prophet", "LightGBM Tweedie", "LightGBM quantiles"
PROPHET_WORKERS = 2
CONFORMAL_WINDOWS = 3
_LEVELS = [80, 95]
_TREES = 100
_LAGS = (*range(1, 9), 13, 26)
_MEANS = (4, 8, 13, 26)


def forecast(name: str, panel: Panel, horizon: int, origins: Sequence[int]) -> tuple[list[Floats], float]:
    """Forecasts of a reference, each by the periods before its origin, and the CPU seconds that they took.

    What is loaded and compiled once in a process is not counted.
    """
    if name == PROPHET:
        return _prophet(panel, horizon, origins)
    reference = REFERENCES[name]
    reference(panel.some(np.arange(min(8, len(panel.ids)))), horizon)
    began = time.process_time()
    told = [_clean(reference(panel.until(origin), horizon)) for origin in origins]
    return told, time.process_time() - began


def trio(panel: Panel, horizon: int) -> None:
    """What a planner gets from statsforecast in one call: AutoETS, DynamicOptimizedTheta and CrostonSBA with intervals."""
    from statsforecast import models

    chosen = [
        models.AutoETS(season_length=1),
        models.DynamicOptimizedTheta(season_length=1),
        models.CrostonSBA(prediction_intervals=_conformal(horizon)),
    ]
    _asked(panel, horizon, chosen)


def _clean(told: Floats) -> Floats:
    return np.maximum(np.nan_to_num(told), 0.0)


def _prophet(panel: Panel, horizon: int, origins: Sequence[int]) -> tuple[list[Floats], float]:
    """The package's defaults: below a hundred periods its optimiser is Newton's, and intervals are a thousand draws."""
    jobs = [(panel.freq.name, panel.day(0), row[:origin], horizon) for origin in origins for row in panel.y]
    # Forked, it would wait forever for what cmdstanpy's threads held.
    with ProcessPoolExecutor(PROPHET_WORKERS, mp_context=get_context("spawn")) as pool:
        done = list(pool.map(prophet_of, jobs, chunksize=8))
    told = np.stack([told for told, _ in done]).reshape(len(origins), len(panel.ids), horizon, -1)
    return [_clean(one) for one in told], sum(spent for _, spent in done)


def prophet_of(job: tuple[str, date, Floats, int]) -> tuple[Floats, float]:
    """Prophet's forecast of one series, (horizon, 1 + quantiles), and the CPU seconds of it, its Stan process included."""
    # Their levels are set again when they are first used.
    for noisy in ("cmdstanpy", "prophet.plot"):
        logging.getLogger(noisy).disabled = True
    import pandas as pd
    from prophet import Prophet

    freq, first, y, horizon = job
    began = sum(os.times()[:4])
    np.random.seed(0)
    days = pd.date_range(first, periods=len(y) + horizon, freq=freq)
    known = np.isfinite(y)
    model = Prophet()
    model.fit(pd.DataFrame({"ds": days[: len(y)][known], "y": y[known]}))
    future = pd.DataFrame({"ds": days[len(y) :]})
    mean = model.predict(future)["yhat"].to_numpy()
    draws = np.asarray(model.predictive_samples(future)["yhat"])
    quantiles = np.quantile(draws, QUANTILES, axis=1).T
    quantiles[:, QUANTILES.index(0.5)] = mean
    return np.column_stack([mean, quantiles]), sum(os.times()[:4]) - began


def _statsforecast(make: Callable[[Any, Any], Any]) -> Reference:
    """A model of statsforecast; `make` gets its module of models, and its conformal intervals for those without own ones."""

    def run(panel: Panel, horizon: int) -> Floats:
        from statsforecast import models

        model = make(models, _conformal(horizon))
        name, told = model.alias, _asked(panel, horizon, [model])
        columns = [name, f"{name}-lo-95", f"{name}-lo-80", name, f"{name}-hi-80", f"{name}-hi-95"]
        return told[columns].to_numpy(dtype=float).reshape(len(panel.ids), horizon, -1)

    return run


def _conformal(horizon: int) -> Any:
    from statsforecast.utils import ConformalIntervals

    return ConformalIntervals(n_windows=CONFORMAL_WINDOWS, h=horizon)


def _asked(panel: Panel, horizon: int, chosen: list[Any]) -> Any:
    import pandas as pd
    from statsforecast import StatsForecast, models

    logging.getLogger("statsforecast").disabled = True
    warnings.filterwarnings("ignore", message="Historical data .* is shorter")
    row, period = np.nonzero(np.isfinite(panel.y))
    frame = pd.DataFrame({"unique_id": row, "ds": period, "y": panel.y[row, period]})
    engine = StatsForecast(models=chosen, freq=1, n_jobs=1, fallback_model=models.Naive(alias="fallback"))
    return engine.forecast(df=frame, h=horizon, level=_LEVELS)


def _seasonal_naive(panel: Panel, horizon: int) -> Floats:
    """A year ago; the last week where there is no year ago."""
    told = _statsforecast(lambda models, _: models.SeasonalNaive(season_length=52))(panel, horizon)
    naive = _statsforecast(lambda models, _: models.Naive())(panel, horizon)
    return np.where(np.isfinite(told).all(axis=-1, keepdims=True), told, naive)


def _tweedie(panel: Panel, horizon: int) -> Floats:
    """One LightGBM with a Tweedie loss for all series, fed with its own forecasts.

    Intervals as statsforecast and mlforecast have them: the errors of the same series in three windows before.
    """
    mean = _recursive(panel, horizon)
    errors = []
    for window in range(1, CONFORMAL_WINDOWS + 1):
        origin = panel.periods - window * horizon
        errors.append(np.abs(panel.y[:, origin : origin + horizon] - _recursive(panel.until(origin), horizon)))
    both = np.concatenate([mean - np.stack(errors), mean + np.stack(errors)])
    quantiles = np.moveaxis(np.nanquantile(both, QUANTILES, axis=0), 0, -1)
    quantiles[..., QUANTILES.index(0.5)] = mean
    return np.concatenate([mean[..., None], quantiles], axis=-1)


def _recursive(panel: Panel, horizon: int) -> Floats:
    features, target = _rows(panel, ahead=0)
    model = _boosted(features, target, objective="tweedie", tweedie_variance_power=1.5)
    y = panel.y.copy()
    for _ in range(horizon):
        y = np.column_stack([y, np.asarray(model.predict(_features(panel, y, y.shape[1], 0)))])
    return y[:, panel.periods :]


def _direct(panel: Panel, horizon: int) -> Floats:
    """A LightGBM of its own for every step and quantile."""
    told = np.empty((len(panel.ids), horizon, len(QUANTILES)))
    for step in range(horizon):
        features, target = _rows(panel, ahead=step)
        now = _features(panel, panel.y, panel.periods, step)
        for n, level in enumerate(QUANTILES):
            told[:, step, n] = _boosted(features, target, objective="quantile", alpha=level).predict(now)
    told.sort(axis=-1)
    middle = told[..., QUANTILES.index(0.5), None]
    return np.concatenate([middle, told], axis=-1)


def _boosted(features: Floats, target: Floats, **options: Any) -> Any:
    import lightgbm

    parameters = {"verbose": -1, "num_threads": 1, "deterministic": True, "force_row_wise": True, "seed": 0} | options
    return lightgbm.train(parameters, lightgbm.Dataset(features, target), num_boost_round=_TREES)


def _rows(panel: Panel, ahead: int) -> tuple[Floats, Floats]:
    """A row for every series and period that has something before it: features, and the units `ahead` periods later."""
    parts: list[tuple[Floats, Floats]] = []
    for at in range(1, panel.periods - ahead):
        begun: NDArray[np.bool_] = np.isfinite(panel.y[:, at - 1])
        parts.append((_features(panel, panel.y, at, ahead)[begun], panel.y[begun, at + ahead]))
    features, target = zip(*parts, strict=True)
    return np.concatenate(features), np.concatenate(target)


def _features(panel: Panel, y: Floats, at: int, ahead: int) -> Floats:
    """Lags, rolling means, the mean of all, and the week of the year; (series, columns), of the periods before `at`."""
    seen = y[:, :at]
    known = np.isfinite(seen)
    units = np.where(known, seen, 0.0)
    columns = [seen[:, -lag] if lag <= at else np.full(len(y), np.nan) for lag in _LAGS]
    for window in (*_MEANS, at):
        count = known[:, -window:].sum(axis=1)
        columns.append(np.where(count > 0, units[:, -window:].sum(axis=1) / np.maximum(count, 1), np.nan))
    columns.append(np.full(len(y), float(panel.day(at + ahead).isocalendar().week)))
    return np.column_stack(columns)


REFERENCES: dict[str, Reference] = {
    "AutoETS": _statsforecast(lambda models, _: models.AutoETS(season_length=1)),
    "AutoARIMA": _statsforecast(lambda models, _: models.AutoARIMA(season_length=1)),
    "DynamicOptimizedTheta": _statsforecast(lambda models, _: models.DynamicOptimizedTheta(season_length=1)),
    "AutoTheta": _statsforecast(lambda models, _: models.AutoTheta(season_length=1)),
    "CrostonSBA": _statsforecast(lambda models, own: models.CrostonSBA(prediction_intervals=own)),
    "TSB": _statsforecast(lambda models, own: models.TSB(0.1, 0.1, prediction_intervals=own)),
    "IMAPA": _statsforecast(lambda models, own: models.IMAPA(prediction_intervals=own)),
    "ADIDA": _statsforecast(lambda models, own: models.ADIDA(prediction_intervals=own)),
    "SeasonalNaive(52)": _seasonal_naive,
    TWEEDIE: _tweedie,
    DIRECT: _direct,
}
NAMES = (PROPHET, *REFERENCES)
