"""The models that carry one SKU's weeks forward: the mean of recent weeks, last year's weeks, and Prophet.

Here: arrays of units in, arrays of units out, one SKU at a time, and the interval around a forecast.
Not here: how a model is scored (`backtest`), and which model serves which SKU (`selection`).
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

PROPHET = "prophet"
SEASONAL_NAIVE = "seasonal_naive"
MEAN = "mean"
NO_HISTORY = "no_history"

INTERVAL_LEVEL = 0.80
RECENT_WEEKS = 8
SEASON_WEEKS = 52
YEARLY_FROM_WEEKS = 104
FINAL_SAMPLES = 300

# prophet.plot is there because importing prophet logs an error where plotly is not installed.
_NOISY_LOGGERS = ("cmdstanpy", "prophet", "prophet.forecaster", "prophet.models", "prophet.plot")

Units = NDArray[np.float64]


class ModelFailed(RuntimeError):
    """A model could not be fitted to this SKU's weeks; the message says why, in a line."""


@dataclass(frozen=True)
class Band:
    """A forecast with its interval: arrays of units a week, none below zero, lower <= mean <= upper."""

    mean: Units
    lower: Units
    upper: Units


def mean_of_recent(units: Units, horizon: int) -> Units:
    """The mean of the last `RECENT_WEEKS` weeks (of all, where there are fewer), for every week ahead."""
    return np.full(horizon, units[-RECENT_WEEKS:].mean())


def seasonal_naive(units: Units, horizon: int) -> Units:
    """The units of the same weeks a year (52 weeks) before; past a year ahead, that year again.

    Raises ValueError for fewer than 52 weeks: whoever asks decides what to use instead, and calls it by its
    name. Hyndman & Athanasopoulos, Forecasting: Principles and Practice, 3rd ed., section 5.2.
    """
    if len(units) < SEASON_WEEKS:
        raise ValueError(f"a year of {SEASON_WEEKS} weeks is needed to repeat it, there are {len(units)}")
    return np.resize(units[-SEASON_WEEKS:], horizon)


def prophet_mean(units: Units, first_week: date, horizon: int, *, yearly: bool) -> Units:
    """Prophet's forecast without an interval, which is all a backtest needs. Raises as `prophet_band`
    does."""
    return _prophet(units, first_week, horizon, yearly=yearly, samples=0)["yhat"].to_numpy().clip(min=0.0)


def prophet_band(units: Units, first_week: date, horizon: int, *, yearly: bool, seed: int) -> Band:
    """Prophet's forecast and its `INTERVAL_LEVEL` interval from `FINAL_SAMPLES` simulated futures.

    `units` are consecutive weeks from `first_week` on. The same arguments give the same band: the samples
    come from numpy's global generator, which is seeded with `seed` and put back afterwards (so not for two
    threads at once). `yearly` asks for a yearly season, which needs two years of history: forced on less it
    is worse than none. Raises ModelFailed for whatever stops Prophet or Stan, and ImportError if Prophet is
    not installed: that is no fault of the SKU. Taylor & Letham, Forecasting at Scale, The American
    Statistician 72, 2018.
    """
    with _seeded(seed):
        future = _prophet(units, first_week, horizon, yearly=yearly, samples=FINAL_SAMPLES)
    mean = future["yhat"].to_numpy().clip(min=0.0)
    lower = future["yhat_lower"].to_numpy().clip(min=0.0)
    upper = future["yhat_upper"].to_numpy().clip(min=0.0)
    return Band(mean, np.minimum(lower, mean), np.maximum(upper, mean))


def band_from_error(mean: Units, rmse: float) -> Band:
    """A band of the same half width for every week: mean ± z · max(rmse, √mean), cut at zero.

    `rmse` is the model's root mean squared error in units over weeks that it had not seen, so its bias widens
    the band too. √mean is the least a count can scatter (a Poisson count of that mean); without it, a SKU
    whose last weeks happened to be equal would be sold as certain. z is the normal quantile of
    `INTERVAL_LEVEL`.
    """
    half_width = z_of_level(INTERVAL_LEVEL) * np.maximum(rmse, np.sqrt(mean))
    return Band(mean, (mean - half_width).clip(min=0.0), mean + half_width)


def z_of_level(level: float) -> float:
    """How many standard deviations each side a central normal interval of `level` (0..1) reaches."""
    if not 0 < level < 1:
        raise ValueError(f"an interval's level lies between 0 and 1, not at {level}")
    return NormalDist().inv_cdf((1 + level) / 2)


def _prophet(units: Units, first_week: date, horizon: int, *, yearly: bool, samples: int) -> "pd.DataFrame":
    with _quiet():
        import pandas as pd
        from prophet import Prophet  # costs a second to import, so only a process that fits pays for it

        weeks = pd.date_range(first_week, periods=len(units) + horizon, freq="7D")
        model = Prophet(
            yearly_seasonality=yearly,  # pyright: ignore[reportArgumentType]
            weekly_seasonality=False,  # pyright: ignore[reportArgumentType]
            daily_seasonality=False,  # pyright: ignore[reportArgumentType]
            interval_width=INTERVAL_LEVEL,
            uncertainty_samples=samples,
        )
        try:
            # Left alone, Prophet picks Newton for fewer than 100 points, which takes five times as long.
            model.fit(pd.DataFrame({"ds": weeks[: len(units)], "y": units}), algorithm="LBFGS")
            future = model.predict(pd.DataFrame({"ds": weeks[len(units) :]}))
        except Exception as error:  # Stan, cmdstanpy, pandas and numpy each raise their own
            raise ModelFailed(f"{type(error).__name__}: {str(error).partition(chr(10))[0]}") from error
        finally:
            _remove_stan_files(model)
    if not np.isfinite(future["yhat"]).all():
        raise ModelFailed("the forecast is not a number")
    return future


def _remove_stan_files(model: Any) -> None:
    # A fit leaves its files in the temporary folder until the process ends, and a run makes hundreds of fits.
    model.stan_backend.cleanup()


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    before = np.random.get_state()
    np.random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(before)


@contextmanager
def _quiet() -> Iterator[None]:
    # `disabled` and not a level: cmdstanpy sets its own level, and adds a handler, on first use.
    loggers = [logging.getLogger(name) for name in _NOISY_LOGGERS]
    before = [logger.disabled for logger in loggers]
    for logger in loggers:
        logger.disabled = True
    try:
        yield
    finally:
        for logger, was in zip(loggers, before, strict=True):
            logger.disabled = was
