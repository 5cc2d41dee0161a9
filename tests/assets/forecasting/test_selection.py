"""Which model serves a SKU, and whether a buyer is told why."""

from datetime import date
from math import pi

import numpy as np
import pytest

from assets.forecasting import selection
from assets.forecasting.models import MEAN, NO_HISTORY, PROPHET, SEASONAL_NAIVE, Band, ModelFailed
from assets.forecasting.selection import Selection, Series, select_model

MONDAY = date(2023, 1, 2)


def series(units: np.ndarray | list[float]) -> Series:
    return Series("BAG", MONDAY, np.array(units, dtype=float))


def noisy(weeks: int, mean: float = 20, seed: int = 7) -> Series:
    return series(np.random.default_rng(seed).poisson(mean, weeks))


def yearly(weeks: int, seed: int = 7) -> Series:
    season = 100 + 80 * np.sin(2 * pi * np.arange(weeks) / 52.18)
    return series(np.random.default_rng(seed).poisson(season))


def chosen(result: Selection) -> selection.Tried:
    (only,) = [tried for tried in result.tried if tried.chosen]
    return only


@pytest.fixture
def prophet_says(monkeypatch: pytest.MonkeyPatch):
    """Prophet stands in with a constant, or fails, in the backtest and in the final fit."""

    def say(tested: float | Exception, final: float | Exception) -> None:
        def answer(value: float | Exception, weeks: int) -> np.ndarray:
            if isinstance(value, Exception):
                raise value
            return np.full(weeks, value)

        def mean(units: np.ndarray, first_week: date, weeks: int, **_: object) -> np.ndarray:
            return answer(tested, weeks)

        def band(units: np.ndarray, first_week: date, weeks: int, **_: object) -> Band:
            flat = answer(final, weeks)
            return Band(flat, flat, flat)

        monkeypatch.setattr(selection, "prophet_mean", mean)
        monkeypatch.setattr(selection, "prophet_band", band)

    return say


def test_a_planted_season_is_found_and_beats_the_mean_of_recent_weeks():
    weeks, ahead = 130, 13
    planted = yearly(weeks + ahead)
    result = select_model(series(planted.units[:weeks]), ahead)

    assert result.model in (PROPHET, SEASONAL_NAIVE)
    assert result.band is not None
    truth = planted.units[weeks:]
    of_model = np.abs(result.band.mean - truth).mean()
    of_mean = np.abs(planted.units[weeks - 8 : weeks].mean() - truth).mean()
    assert of_model < 0.5 * of_mean


def test_a_planted_season_is_found_without_prophet_too():
    assert select_model(yearly(130), 13, prophet_skus=300).model == SEASONAL_NAIVE


def test_scores_are_out_of_sample_as_last_years_weeks_know_nothing_of_this_year():
    # Each week is new noise: last year's is as wrong as two draws are apart, and the mean is closer. A score
    # taken in sample would find some memory where there is none.
    result = select_model(noisy(130, mean=400), 13, prophet_skus=0)
    error = {tried.model: tried.score.rmsse for tried in result.tried if tried.score}

    assert error[SEASONAL_NAIVE] > 0.75
    assert result.model == MEAN


def test_a_week_changed_in_the_last_fold_changes_no_forecast_made_before_it(monkeypatch: pytest.MonkeyPatch):
    answers: list[list[float]] = []

    def remember(units: np.ndarray, first_week: date, weeks: int, *, yearly: bool) -> np.ndarray:
        answers.append([units.sum(), float(len(units))])
        return np.full(weeks, units.mean())

    monkeypatch.setattr(selection, "prophet_mean", remember)
    monkeypatch.setattr(selection, "prophet_band", lambda *_, **__: pytest.fail("the mean is as good"))
    history = noisy(60)
    select_model(history, 10)
    later = history.units.copy()
    later[50:] = later[50:] + 3
    select_model(series(later), 10)

    before, after = answers[:2], answers[2:]
    assert before == after
    assert [length for _, length in before] == [40, 50]


def test_a_sku_with_no_sales_gets_no_forecast():
    result = select_model(series(np.zeros(40)), 13)

    assert (result.model, result.band) == (NO_HISTORY, None)
    assert chosen(result).reason == "No sale on record, so there is no forecast."


def test_a_young_sku_gets_the_mean_and_is_told_to_be_young():
    result = select_model(noisy(15), 13)

    assert [tried.model for tried in result.tried] == [MEAN]
    assert chosen(result).reason.startswith("Only 15 weeks since the first sale, 16 are needed")


def test_a_sku_that_seldom_sells_gets_the_mean_and_is_told_so():
    units = np.zeros(60)
    units[::9] = 2

    reason = chosen(select_model(series(units), 13)).reason

    assert reason.startswith("Sold in only 7 of 60 weeks, 8 are needed")


def test_one_week_of_history_gives_a_forecast_as_uncertain_as_a_count():
    result = select_model(series([4.0]), 2)

    assert result.band is not None and result.band.mean.tolist() == [4.0, 4.0]
    assert result.band.lower[0] < 4.0 < result.band.upper[0]
    assert chosen(result).score is None
    assert "Only 1 week since" in chosen(result).reason


def test_a_sku_outside_the_budget_is_told_so_and_prophet_is_not_tried(prophet_says):
    prophet_says(AssertionError("fitted"), AssertionError("fitted"))
    result = select_model(noisy(90), 13, prophet_skus=300)

    assert {tried.model for tried in result.tried} == {MEAN, SEASONAL_NAIVE}
    assert "Prophet is fitted only for the 300 best sellers, not for this SKU." in chosen(result).reason


def test_last_years_weeks_are_a_candidate_only_if_every_fold_has_a_year_behind_it():
    def models(weeks: int) -> set[str]:
        return {tried.model for tried in select_model(noisy(weeks), 13, prophet_skus=0).tried}

    assert SEASONAL_NAIVE not in models(77)
    assert SEASONAL_NAIVE in models(78)


def test_prophet_has_a_yearly_season_only_if_it_was_tested_with_one(monkeypatch: pytest.MonkeyPatch):
    asked: list[bool] = []

    def note(units: np.ndarray, first_week: date, weeks: int, *, yearly: bool) -> np.ndarray:
        asked.append(yearly)
        return np.zeros(weeks)

    monkeypatch.setattr(selection, "prophet_mean", note)
    select_model(noisy(129), 13)
    select_model(noisy(130), 13)

    assert asked == [False, False, True, True]


def test_the_closer_model_is_chosen_and_each_row_says_how_close(prophet_says):
    misleads_the_mean = np.concatenate([np.full(30, 20.0), np.full(8, 60.0), np.full(12, 20.0)])
    prophet_says(20.0, 21.0)

    result = select_model(series(misleads_the_mean), 12)

    assert result.model == PROPHET
    assert result.band is not None and result.band.mean.tolist() == [21.0] * 12
    assert "closest on 24 weeks it had not seen" in chosen(result).reason
    assert "against" in next(tried for tried in result.tried if tried.model == MEAN).reason


def test_the_mean_stays_if_another_is_hardly_closer(monkeypatch: pytest.MonkeyPatch):
    history = noisy(60)

    def hardly_closer(units: np.ndarray, first_week: date, weeks: int, **_: object) -> np.ndarray:
        truth, mean = history.units[len(units) : len(units) + weeks], units[-8:].mean()
        return mean + 0.02 * (truth - mean)

    monkeypatch.setattr(selection, "prophet_mean", hardly_closer)
    result = select_model(history, 13)

    assert result.model == MEAN
    assert "no other was 5% closer" in chosen(result).reason
    assert "Closer, but not by the 5%" in next(t for t in result.tried if t.model == PROPHET).reason


def test_prophet_that_fails_leaves_the_sku_to_the_others_and_says_why(prophet_says):
    prophet_says(ModelFailed("RuntimeError: no progress"), 0.0)
    result = select_model(noisy(60), 13)

    assert result.model == MEAN
    assert "Prophet could not be fitted (RuntimeError: no progress)." in chosen(result).reason


def test_prophet_that_fails_only_at_the_end_leaves_the_sku_to_the_next_best(prophet_says):
    units = np.concatenate([np.full(30, 20.0), np.full(8, 60.0), np.full(12, 20.0)])
    prophet_says(20.0, ModelFailed("RuntimeError: no progress"))
    result = select_model(series(units), 12)

    assert result.model == MEAN
    assert result.band is not None and result.band.mean.tolist() == [20.0] * 12
    assert "Prophet could not be fitted" in chosen(result).reason


def test_a_missing_prophet_is_not_passed_over_in_silence(prophet_says):
    prophet_says(ImportError("prophet"), 0.0)

    with pytest.raises(ImportError):
        select_model(noisy(60), 13)


def test_a_band_is_as_wide_as_the_error_on_weeks_not_seen():
    result = select_model(noisy(60, mean=100), 13, prophet_skus=0)
    score = chosen(result).score

    assert score is not None and result.band is not None
    assert score.rmse > 10
    assert result.band.upper - result.band.mean == pytest.approx(np.full(13, 1.2815515655446004 * score.rmse))
