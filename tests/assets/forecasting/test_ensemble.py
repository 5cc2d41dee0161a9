"""The forecast that is served: what it may know, and what it says of series that say little."""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assets.forecasting import boosting, champions
from assets.forecasting.champions import Contest
from assets.forecasting.ensemble import CONTENDERS, LEAST_UNITS, NO_HISTORY, Forecast, Forecaster
from assets.forecasting.members import Memory
from assets.forecasting.panel import Panel
from assets.forecasting.scores import QUANTILES
from tests.assets.forecasting.series import invented_demand, panel_of

HORIZON = 6


def bits(forecast: Forecast) -> bytes:
    """All that is said, to the last bit."""
    parts = (forecast.mean, forecast.quantiles, forecast.models, forecast.classes, forecast.champions.ratios)
    return b"".join(np.ascontiguousarray(part).tobytes() for part in parts)


def sound(forecast: Forecast) -> None:
    for numbers in (forecast.mean, forecast.quantiles):
        assert np.isfinite(numbers).all()
        assert numbers.min(initial=0) >= 0
    assert (np.diff(forecast.quantiles, axis=-1) >= 0).all()
    lowest = forecast.quantiles[..., 0]
    assert ((lowest == 0) | (lowest >= LEAST_UNITS)).all()
    assert set(np.unique(forecast.models)) <= {*CONTENDERS, NO_HISTORY}


@pytest.fixture(scope="module")
def panel() -> Panel:
    """Eighty series, two years of weeks; some begin on the way."""
    y = invented_demand(80, 100, seed=1)
    y[::9, :30] = np.nan
    y[5, :90] = np.nan
    return panel_of(y)


@pytest.mark.parametrize("cutoff", [30, 80, 94])
def test_a_spike_after_the_origin_changes_nothing_before_it(panel: Panel, cutoff: int) -> None:
    planted = replace(panel, y=panel.y.copy())
    planted.y[:, cutoff:] = np.where(np.isfinite(planted.y[:, cutoff:]), 1e5, np.nan)
    planted.y[3, cutoff] = 1e9
    honest, spoilt = Forecaster(panel, HORIZON), Forecaster(planted, HORIZON)
    assert bits(spoilt.at(cutoff)) == bits(honest.at(cutoff))
    for name, told in honest.said_at(cutoff).items():
        assert spoilt.said_at(cutoff)[name].tobytes() == told.tobytes(), name
    # The test can fail: one period earlier the spike is seen.
    planted.y[3, cutoff - 1] = 1e5
    assert bits(Forecaster(planted, HORIZON).at(cutoff)) != bits(honest.at(cutoff))


def test_further_months_and_new_skus_leave_past_forecasts_as_they_were(
    panel: Panel, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So few that a sample is drawn.
    monkeypatch.setattr(boosting, "MOST_ROWS", 3000)
    more = np.full((110, 112), np.nan)
    more[:80, :100] = panel.y
    more[:80, 100:] = 50
    more[80:, 104:] = 3
    later = panel_of(more)
    for cutoff in (70, 88):
        before, after = Forecaster(panel, HORIZON).at(cutoff), Forecaster(later, HORIZON).at(cutoff)
        assert after.mean[:80].tobytes() == before.mean.tobytes()
        assert after.quantiles[:80].tobytes() == before.quantiles.tobytes()
        assert (after.models[80:] == NO_HISTORY).all()


def test_one_forecaster_says_the_same_in_any_order_and_with_a_memory(panel: Panel) -> None:
    forecaster = Forecaster(panel, HORIZON)
    newest_first = [bits(forecaster.at(cutoff)) for cutoff in (94, 88, 82)]
    memory = Memory()
    remembered = Forecaster(panel, HORIZON, memory=memory)
    assert [bits(remembered.at(cutoff)) for cutoff in (82, 88, 94)] == newest_first[::-1]
    fitted = memory.fitted
    assert bits(Forecaster(panel, HORIZON, memory=memory).at(94)) == newest_first[0]
    assert memory.fitted == fitted


def test_a_whole_that_is_remembered_keeps_its_parts(panel: Panel, tmp_path: Path) -> None:
    file = tmp_path / "memory.parquet"
    first = Memory(file)
    said = bits(Forecaster(panel, HORIZON, memory=first).at(94))
    first.save()
    second = Memory(file)
    assert bits(Forecaster(panel, HORIZON, memory=second).at(94)) == said
    assert second.fitted == 0
    second.save()
    y = panel.y.copy()
    y[3, 40] += 7
    third = Memory(file)
    assert bits(Forecaster(panel_of(y), HORIZON, memory=third).at(94)) != said
    # Only the changed series, once an origin.
    assert 0 < third.fitted <= 94 // HORIZON


def test_another_process_says_the_same(panel: Panel) -> None:
    code = (
        "import sys, hashlib; from tests.assets.forecasting.test_ensemble import *;"
        "y = invented_demand(60, 80, seed=2);"
        "sys.stdout.write(hashlib.sha256(bits(Forecaster(panel_of(y), HORIZON).at(74))).hexdigest())"
    )
    told = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env).stdout
        for env in ({"PYTHONHASHSEED": "1"}, {"PYTHONHASHSEED": "2", "OMP_NUM_THREADS": "2"})
    }
    assert len(told) == 1
    assert len(told.pop()) == 64


def test_seeds_matter_where_a_sample_is_drawn(panel: Panel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boosting, "MOST_ROWS", 2000)
    assert bits(Forecaster(panel, HORIZON, seed=1).at(94)) == bits(Forecaster(panel, HORIZON, seed=1).at(94))
    assert bits(Forecaster(panel, HORIZON, seed=1).at(94)) != bits(Forecaster(panel, HORIZON, seed=2).at(94))


@pytest.mark.parametrize("freq", ["W-MON", "D"])
def test_series_that_say_little_have_a_sound_forecast(freq: str) -> None:
    y = invented_demand(40, 120, seed=3)
    y[0] = 0
    y[1] = 4
    y[2] = np.nan
    y[3, :-1] = np.nan
    y[4, :-1], y[4, -1] = np.nan, 0
    y[5, :-5] = np.nan
    y[6, :-1], y[6, -1] = 0, 500
    y[7, :60], y[7, 60:] = 100, 0
    y[8] *= 1e6
    y[9] /= 1e6
    found = Forecaster(panel_of(y, freq), HORIZON).at(120)
    sound(found)
    assert (found.models[2] == NO_HISTORY).all()
    assert NO_HISTORY not in found.models[[0, 1, 3, 4, 5, 6, 7]]
    assert not found.quantiles[2].any()
    assert found.mean[0].max() < 0.1, "what never sold is not expected to sell"
    np.testing.assert_allclose(found.mean[1], 4, rtol=0.25)
    assert found.mean[7].max() < 10, "what has not sold for a year is hardly expected to"
    assert found.mean[8].mean() > 1e5


@pytest.mark.parametrize("series", [1, 2, 5])
@pytest.mark.parametrize("freq", ["W-MON", "D"])
def test_small_panels_have_a_sound_forecast(series: int, freq: str) -> None:
    panel = panel_of(invented_demand(series, 120, seed=4), freq)
    found = Forecaster(panel, HORIZON).at(120)
    sound(found)
    level = panel.y[:, -26:].mean(axis=1)
    assert (np.abs(found.mean.mean(axis=1) - level) < level + 1).all()


@pytest.mark.parametrize(("periods", "horizon"), [(12, 1), (12, 20), (60, 1), (60, 40), (60, 70), (13, 8)])
def test_any_horizon_has_a_sound_forecast(periods: int, horizon: int) -> None:
    found = Forecaster(panel_of(invented_demand(30, periods, seed=5)), horizon).at(periods)
    assert found.mean.shape == (30, horizon)
    sound(found)


def test_a_horizon_is_one_period_or_more() -> None:
    with pytest.raises(ValueError, match="1 period or more"):
        Forecaster(panel_of([[1.0]]), 0)


def test_a_season_that_all_share_is_forecast(panel: Panel) -> None:
    """A peak six weeks long each year; the origin lies two weeks before the second one."""
    random = np.random.default_rng(6)
    weeks = np.arange(100)
    season = np.where((weeks % 52 >= 44) & (weeks % 52 < 50), 4, 1)
    y = random.poisson(random.lognormal(2.5, 0.7, (100, 1)) * season).astype(float)
    found = Forecaster(panel_of(y), 8).at(94)
    expected = found.mean.sum(axis=0)
    assert expected[2:].min() > 1.8 * expected[:2].max()
    quiet = Forecaster(panel_of(np.where(season == 4, y / 4, y)), 8).at(94)
    assert np.ptp(quiet.mean.sum(axis=0)) < 0.3 * quiet.mean.sum(axis=0).mean()


def test_the_champion_speaks_where_it_won(panel: Panel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assets.forecasting.champions.NEEDED_GAIN", -10.0)
    monkeypatch.setattr("assets.forecasting.ensemble.CONTENDERS", ("ensemble", "prophet"))
    forecaster = Forecaster(panel, HORIZON)
    found = forecaster.at(94)
    sound(found)
    for n, half in ((0, slice(0, 3)), (1, slice(3, 6))):
        won = found.champions.names[:, n] == "prophet"
        assert won.any()
        assert (found.models[won, half] == "prophet").all()
        upper = forecaster.said_at(94)["prophet"][won, half, -1]
        np.testing.assert_array_equal(found.quantiles[won, half, -1], upper)


def test_intervals_hold_on_invented_demand(panel: Panel) -> None:
    """Of a thousand series whose future is as their past; within bounds that the classes share."""
    y = invented_demand(400, 100, seed=7)
    found = Forecaster(panel_of(y), HORIZON).at(94)
    came = y[:, 94:, None]
    within_80 = ((came >= found.quantiles[..., [1]]) & (came <= found.quantiles[..., [3]])).mean()
    within_95 = ((came >= found.quantiles[..., [0]]) & (came <= found.quantiles[..., [4]])).mean()
    assert 0.77 <= within_80 <= 0.87
    assert 0.93 <= within_95 <= 0.98
    assert len(QUANTILES) == 5


def test_the_newest_window_is_not_seen_by_the_choice_of_champions(
    panel: Panel, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[np.ndarray] = []
    choose = champions.choose

    def noted(contests: Sequence[Contest], *others: Any) -> champions.Champions:
        seen.extend(contest.actual for contest in contests)
        return choose(contests, *others)

    monkeypatch.setattr(champions, "choose", noted)
    Forecaster(panel, HORIZON).at(94)
    np.testing.assert_array_equal(np.concatenate(seen, axis=1), panel.y[:, 94 - 3 * HORIZON : 94 - HORIZON])
