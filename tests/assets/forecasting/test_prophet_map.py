"""Prophet for all series at once is the package's Prophet."""

import logging

import numpy as np
import pytest

from assets.forecasting.panel import Floats, Panel, read_panel
from assets.forecasting.prophet_map import LEAST_PERIODS, prophet_means
from benchmarks.online_retail import FILE, FREQ, some_series, weekly_sales
from tests.assets.forecasting.series import invented_demand, panel_of

HORIZON = 8
CLOSE = 0.02
"""Of the mean of a series, at the 95th percentile."""


def the_packages(panel: Panel, horizon: int) -> Floats:
    """The package's own forecast of each series by Newton's method, its default for short series, not below zero."""
    import pandas as pd

    for noisy in ("cmdstanpy", "prophet.plot"):
        logging.getLogger(noisy).disabled = True
    from prophet import Prophet

    days = pd.date_range(panel.day(0), periods=panel.periods + horizon, freq=panel.freq.name)
    told = np.empty((len(panel.ids), horizon))
    for n, row in enumerate(panel.y):
        known = np.isfinite(row)
        model = Prophet(uncertainty_samples=0)
        model.fit(pd.DataFrame({"ds": days[: panel.periods][known], "y": row[known]}), algorithm="Newton")
        told[n] = model.predict(pd.DataFrame({"ds": days[panel.periods :]}))["yhat"].to_numpy()
    return np.maximum(told, 0.0)


def differences(panel: Panel, horizon: int = HORIZON) -> Floats:
    ours = prophet_means(panel.y, horizon, season=panel.freq.season)
    mean = np.nanmean(panel.y, axis=1, keepdims=True)
    return np.abs(ours - the_packages(panel, horizon)) / mean


def test_weekly_forecasts_are_the_packages() -> None:
    y = invented_demand(24, 70, seed=5)
    y[::5, :30] = np.nan
    assert np.quantile(differences(panel_of(y)), 0.95) <= CLOSE


def test_a_trend_that_breaks_is_followed_as_the_package_follows_it() -> None:
    random = np.random.default_rng(6)
    weeks = np.arange(80)
    bent = 20 + np.where(weeks < 40, 0, (weeks - 40) * 2.0) * np.linspace(0.2, 1, 8)[:, None]
    panel = panel_of(bent + random.normal(0, 2, bent.shape))
    ours = prophet_means(panel.y, HORIZON)
    assert (np.diff(ours, axis=1)[-1] > 1).all(), "the trend goes on"
    assert np.quantile(differences(panel), 0.95) <= CLOSE


def test_daily_forecasts_with_their_week_are_the_packages() -> None:
    random = np.random.default_rng(7)
    week = np.array([1, 1, 1, 1, 2, 4, 0.2])
    units = random.poisson(np.tile(week, 18)[:120] * random.lognormal(1, 1, (8, 1)) + 0.5).astype(float)
    panel = panel_of(units, "D")
    ours = prophet_means(panel.y, 14, season=7)
    # Period 0 is a Monday: Saturday, 4, against Sunday.
    saturday, sunday = (5 - 120 % 7) % 7, (6 - 120 % 7) % 7
    assert (ours[:, saturday] > 2 * ours[:, sunday]).mean() > 0.7
    assert np.quantile(differences(panel, 14), 0.95) <= CLOSE


@pytest.mark.slow
def test_forecasts_of_real_series_are_the_packages(shared_data) -> None:
    panel = read_panel(some_series(weekly_sales(shared_data / FILE.name), seed=3), FREQ)
    found = differences(panel.some(np.arange(0, len(panel.ids), 2)))
    assert np.quantile(found, 0.95) <= CLOSE
    assert np.median(found) <= 0.005


def test_a_series_has_the_same_numbers_whoever_it_is_solved_with() -> None:
    y = invented_demand(90, 60, seed=8)
    y[40:, :20] = np.nan
    together = prophet_means(y, HORIZON)
    for rows in ([0], [3, 50], [89], list(range(7)), list(range(30, 90))):
        assert prophet_means(y[rows], HORIZON).tobytes() == together[rows].tobytes()


def test_units_do_not_matter() -> None:
    y = invented_demand(12, 60, seed=9)
    np.testing.assert_allclose(prophet_means(1000 * y, HORIZON), 1000 * prophet_means(y, HORIZON), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("season", [1, 7])
def test_short_constant_and_empty_series_have_a_forecast(season: int) -> None:
    y = np.full((5, 40), np.nan)
    y[0] = 6.0
    y[1] = 0.0
    y[2, -LEAST_PERIODS + 1 :] = [1, 2, 3, 4, 5]
    y[3, -1] = 9.0
    told = prophet_means(y, 3, season=season)
    np.testing.assert_allclose(told, np.repeat([[6.0], [0.0], [3.0], [9.0], [0.0]], 3, axis=1), atol=1e-3)


def test_every_length_has_a_forecast() -> None:
    for periods in range(LEAST_PERIODS, 40):
        told = prophet_means(np.arange(periods, dtype=float)[None], 2, season=7)
        assert np.isfinite(told).all(), periods
        assert (told > 0).all(), periods
