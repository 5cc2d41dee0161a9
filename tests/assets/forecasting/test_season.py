"""The season that all series share."""

import numpy as np
import pytest

from assets.forecasting.season import BELIEFS, UNTRIED_BELIEF, YEAR_WEEKS, Trial, belief, year_ago_index
from tests.assets.forecasting.series import invented_demand

HORIZON = 8
PEAK = slice(46, 52)


def with_peak(series: int, weeks: int, seed: int = 0, times: float = 3.0) -> np.ndarray:
    """Steady sellers of all sizes that sell `times` as much in six weeks of each year."""
    random = np.random.default_rng(seed)
    season = np.where(
        (np.arange(weeks) % YEAR_WEEKS >= PEAK.start) & (np.arange(weeks) % YEAR_WEEKS < PEAK.stop), times, 1
    )
    return random.poisson(random.lognormal(3, 1, (series, 1)) * season).astype(float)


def test_the_index_says_what_came_next_a_year_ago() -> None:
    # 96 weeks: the coming eight were 44 to 51, two before the peak and six in it.
    index = year_ago_index(with_peak(200, 96), HORIZON, 1)
    assert index is not None
    np.testing.assert_allclose(index, [1, 1, 3, 3, 3, 3, 3, 3], rtol=0.1)


def test_in_the_peak_the_index_says_that_it_ends() -> None:
    index = year_ago_index(with_peak(200, YEAR_WEEKS + 52), HORIZON, 1)
    assert index is not None
    # The eight weeks before were six of peak and two without: their mean is 2.5.
    np.testing.assert_allclose(index, 1 / 2.5, rtol=0.1)


@pytest.mark.parametrize("week", [1, 7])
def test_without_a_year_and_two_weeks_there_is_none(week: int) -> None:
    y = np.ones((20, (YEAR_WEEKS + 2) * week))
    assert year_ago_index(y[:, 1:], HORIZON, week) is None
    assert year_ago_index(y, HORIZON, week) is not None


def test_nine_series_that_are_a_year_old_are_too_few() -> None:
    y = with_peak(10, 96)
    assert year_ago_index(y, HORIZON, 1) is not None
    y[0, :50] = np.nan
    assert year_ago_index(y, HORIZON, 1) is None
    assert year_ago_index(np.zeros((20, 96)), HORIZON, 1) is None


def test_one_large_order_makes_no_season() -> None:
    y = with_peak(40, 96, times=1.0)
    plain = year_ago_index(y, HORIZON, 1)
    y[3, 96 - YEAR_WEEKS + 2] = 1e6
    index = year_ago_index(y, HORIZON, 1)
    assert plain is not None
    assert index is not None
    np.testing.assert_allclose(index, plain, rtol=0.2)


@pytest.mark.parametrize("periods", [380, 400, 420, 430, 500])
@pytest.mark.parametrize("horizon", [28, 364, 400])
def test_days_that_are_all_alike_have_no_season(periods: int, horizon: int) -> None:
    y = np.full((30, periods), 2.0)
    # Born around where the index begins to look.
    y[3, : max(0, periods - 422)] = np.nan
    y[4, : max(0, periods - 420)] = np.nan
    index = year_ago_index(y, horizon, 7)
    assert index is not None
    np.testing.assert_allclose(index, 1.0)


def test_past_a_year_the_year_comes_again() -> None:
    index = year_ago_index(with_peak(100, 96), YEAR_WEEKS + 8, 1)
    assert index is not None
    np.testing.assert_array_equal(index[YEAR_WEEKS:], index[:8])


def trial(followed: float, seed: int, noise: float = 0.3) -> Trial:
    """A flat forecast, an index with a peak, and sales that follow it by the power `followed`."""
    random = np.random.default_rng(seed)
    index = np.array([1, 1, 3, 3, 3, 0.5, 0.5, 0.5])
    level = random.lognormal(2, 0.5, (60, 1))
    actual = level * index**followed * random.lognormal(0, noise, (60, 8))
    return Trial(actual, np.repeat(level, 8, axis=1), index)


@pytest.mark.parametrize("power", BELIEFS)
def test_the_index_is_believed_as_far_as_it_helped(power: float) -> None:
    assert belief([trial(power, 1), trial(power, 2)]) == power


def test_untried_it_is_believed_for_the_most_part() -> None:
    assert belief([]) == UNTRIED_BELIEF


def test_what_is_known_of_a_window_is_enough_to_try_it() -> None:
    whole = trial(0.0, 3)
    assert belief([Trial(whole.actual[:, :5], whole.forecast, whole.index)]) == 0.0


def test_after_a_year_of_noise_the_index_is_not_believed() -> None:
    """The index of a year that only one fluke made, tried on a year without it."""
    y = invented_demand(60, 110, seed=4)
    y[:, 40:44] *= 4
    trials = []
    for origin in (88, 92, 96):
        index = year_ago_index(y[:, :origin], 8, 1)
        assert index is not None
        flat = np.repeat(y[:, origin - 13 : origin].mean(axis=1, keepdims=True), 8, axis=1)
        trials.append(Trial(y[:, origin : origin + 8], flat, index))
    assert belief(trials) == 0.0
