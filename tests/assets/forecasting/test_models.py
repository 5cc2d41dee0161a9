"""The models: what they say of simple histories, what they refuse, and that Prophet is quiet and
repeatable."""

import logging
from datetime import date
from statistics import NormalDist

import numpy as np
import pytest

from assets.forecasting.models import (
    ModelFailed,
    band_from_error,
    mean_of_recent,
    prophet_band,
    prophet_mean,
    seasonal_naive,
)

MONDAY = date(2026, 3, 2)


def noisy(weeks: int, seed: int = 7) -> np.ndarray:
    return np.random.default_rng(seed).poisson(20, weeks).astype(float)


def test_the_mean_is_of_the_last_eight_weeks():
    assert mean_of_recent(np.array([1000.0] + [4.0, 6.0] * 4), 3).tolist() == [5.0, 5.0, 5.0]


def test_the_mean_of_a_short_history_is_of_all_its_weeks():
    assert mean_of_recent(np.array([2.0, 4.0]), 2).tolist() == [3.0, 3.0]


def test_seasonal_naive_repeats_the_weeks_of_a_year_ago_and_then_that_year_again():
    year = np.arange(52.0)

    assert seasonal_naive(np.concatenate([[99.0], year]), 54).tolist() == [*year.tolist(), 0.0, 1.0]


def test_seasonal_naive_refuses_less_than_a_year():
    with pytest.raises(ValueError, match="there are 51"):
        seasonal_naive(np.ones(51), 1)


def test_a_band_reaches_z_errors_each_side_and_stops_at_zero():
    band = band_from_error(np.array([100.0, 1.0]), rmse=20.0)

    z = NormalDist().inv_cdf(0.9)
    assert band.upper.tolist() == pytest.approx([100 + 20 * z, 1 + 20 * z])
    assert band.lower.tolist() == pytest.approx([100 - 20 * z, 0.0])


def test_a_band_is_never_narrower_than_the_scatter_of_a_count():
    assert band_from_error(np.array([9.0]), rmse=0.0).upper[0] == pytest.approx(9 + 3 * NormalDist().inv_cdf(0.9))


def test_prophet_gives_the_same_band_for_the_same_seed_and_leaves_the_callers_random_state_alone():
    np.random.seed(1)
    undisturbed = np.random.rand()
    np.random.seed(1)
    first = prophet_band(noisy(60), MONDAY, 5, yearly=False, seed=3)
    assert np.random.rand() == undisturbed

    again = prophet_band(noisy(60), MONDAY, 5, yearly=False, seed=3)
    assert (first.mean == again.mean).all() and (first.lower == again.lower).all()
    assert (first.upper == again.upper).all()


def test_prophets_band_holds_its_mean_and_never_falls_below_zero():
    falling = np.maximum(60.0 - np.arange(60) * 1.2, 0.0)

    band = prophet_band(falling, MONDAY, 13, yearly=False, seed=3)

    assert (band.lower >= 0).all() and (band.lower <= band.mean).all() and (band.mean <= band.upper).all()


def test_prophet_follows_a_trend():
    ahead = prophet_mean(np.arange(60.0) * 2, MONDAY, 4, yearly=False)

    assert ahead == pytest.approx([120, 122, 124, 126], rel=0.03)


def test_prophet_takes_a_history_that_never_changes():
    assert prophet_mean(np.full(20, 3.0), MONDAY, 2, yearly=False) == pytest.approx([3.0, 3.0], abs=0.01)


def test_prophet_writes_nothing_to_the_logs_or_the_terminal(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
):
    with caplog.at_level(logging.DEBUG):
        prophet_mean(noisy(30), MONDAY, 2, yearly=True)

    assert [record for record in caplog.records if record.name.startswith(("prophet", "cmdstanpy"))] == []
    assert capfd.readouterr() == ("", "")


def test_loggers_that_were_on_are_on_again_after_a_fit():
    prophet_mean(noisy(30), MONDAY, 2, yearly=False)

    assert not logging.getLogger("cmdstanpy").disabled


def test_prophet_that_cannot_be_fitted_says_so_in_a_line():
    with pytest.raises(ModelFailed, match=r"ValueError: .*less than 2"):
        prophet_mean(np.array([np.nan, np.nan, 1.0]), MONDAY, 2, yearly=False)
