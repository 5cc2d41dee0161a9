"""The backtest: where it cuts, that no model sees ahead, and what its scores are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.forecasting.backtest import Fold, backtest, cut_folds
from assets.forecasting.models import mean_of_recent


def test_folds_are_the_last_two_horizons():
    assert cut_folds(78, 13) == [Fold(52, 13), Fold(65, 13)]


def test_folds_of_a_short_history_are_shorter_than_the_horizon():
    assert cut_folds(20, 13) == [Fold(10, 5), Fold(15, 5)]
    assert cut_folds(3, 13) == []


@given(st.integers(4, 300), st.integers(1, 60))
def test_folds_end_with_the_history_and_leave_half_of_it_to_train(weeks: int, horizon: int):
    first, second = cut_folds(weeks, horizon)

    assert first.origin * 2 >= weeks
    assert first.origin + first.weeks == second.origin
    assert second.origin + second.weeks == weeks
    assert 1 <= first.weeks == second.weeks <= horizon


def test_a_model_sees_the_weeks_before_the_origin_and_nothing_after():
    units = np.arange(40.0)
    shown = []

    def watch(seen: np.ndarray, weeks: int) -> np.ndarray:
        shown.append(seen.tolist())
        assert seen.base is None, "a view would let a model reach the weeks held out"
        return np.zeros(weeks)

    backtest(units, cut_folds(40, 5), watch)

    assert shown == [list(range(30)), list(range(35))]


def test_a_model_cannot_change_the_history_for_the_next_one():
    units = np.arange(40.0)

    def spoil(seen: np.ndarray, weeks: int) -> np.ndarray:
        seen[:] = 0
        return np.zeros(weeks)

    backtest(units, cut_folds(40, 5), spoil)

    assert units.tolist() == list(range(40))


def test_noise_cannot_be_remembered_only_guessed():
    # Two independent draws are sqrt(2) deviations apart; shown the weeks held out, this model is exact.
    units = np.random.default_rng(5).poisson(50, 400).astype(float)

    score = backtest(units, cut_folds(400, 80), lambda seen, weeks: seen[-weeks:])

    assert score.rmse == pytest.approx(np.sqrt(2) * units.std(), rel=0.15)


def test_scores_are_those_of_a_sum_done_by_hand():
    units = np.array([1.0, 3.0, 1.0, 3.0, 4.0, 0.0])

    score = backtest(units, [Fold(4, 2)], lambda seen, weeks: np.array([2.0, 3.0]))

    assert score.wape == pytest.approx((2 + 3) / 4)
    assert score.bias == pytest.approx((-2 + 3) / 4)
    assert score.rmse == pytest.approx(np.sqrt((4 + 9) / 2))
    assert score.rmsse == pytest.approx(np.sqrt((4 + 9) / 2 / 4))
    assert (score.folds, score.weeks) == (1, 2)


def test_weeks_that_sold_nothing_have_no_wape_but_an_rmsse():
    score = backtest(np.array([2.0, 4.0, 0.0, 0.0]), [Fold(2, 2)], lambda seen, weeks: np.ones(weeks))

    assert (score.wape, score.bias) == (None, None)
    assert score.rmsse == pytest.approx(0.5)


def test_a_history_that_never_changed_is_scored_in_units():
    assert backtest(np.full(8, 5.0), [Fold(6, 2)], lambda seen, weeks: np.full(weeks, 7.0)).rmsse == 2.0


def test_nothing_can_be_scored_without_a_fold():
    with pytest.raises(ValueError, match="too short"):
        backtest(np.ones(3), [], mean_of_recent)
