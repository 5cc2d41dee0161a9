"""One boosted model for all series."""

from dataclasses import replace

import numpy as np
import pytest

from assets.forecasting import boosting
from assets.forecasting.boosting import train
from assets.forecasting.panel import Panel
from assets.forecasting.scores import QUANTILES
from tests.assets.forecasting.series import invented_demand, panel_of

HORIZON = 6
MEDIAN = QUANTILES.index(0.5)


def told(panel: Panel, seed: int = 0, horizon: int = HORIZON) -> np.ndarray:
    model = train(panel, horizon, seed=seed)
    assert model is not None
    return model.quantiles(panel, horizon)


def test_quantiles_are_sorted_and_not_negative_for_all_sorts_of_series() -> None:
    y = invented_demand(60, 60, seed=1)
    y[0], y[1], y[2], y[3] = 0, 7, np.nan, 1e6
    y[4, :-1] = np.nan
    y[5, :-20] = np.nan
    found = told(panel_of(y), horizon=40)
    assert found.shape == (60, 40, len(QUANTILES))
    assert np.isfinite(found).all()
    assert found.min() >= 0
    assert (np.diff(found, axis=-1) >= 0).all()
    assert found[3].mean() > 1e5, "a forecast is in units of its series"


def test_too_few_rows_teach_nothing() -> None:
    assert train(panel_of(invented_demand(3, 30)), HORIZON) is None
    assert train(panel_of(invented_demand(50, 9)), HORIZON) is None
    assert train(panel_of(invented_demand(50, 40)), HORIZON) is not None


def test_the_same_seed_gives_the_same_numbers_and_another_one_another_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boosting, "MOST_ROWS", 2000)
    panel = panel_of(invented_demand(80, 60, seed=2))
    assert told(panel).tobytes() == told(panel).tobytes()
    assert told(panel, seed=1).tobytes() != told(panel).tobytes()


def test_no_more_rows_are_learnt_from_than_are_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boosting, "MOST_ROWS", 2000)
    random = np.random.default_rng(0)
    _, target, _, _ = boosting._sample(panel_of(invented_demand(400, 80, seed=3)), HORIZON, random)
    assert 1500 < len(target) <= 2100


def test_series_that_begin_later_do_not_change_what_is_learnt_from_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boosting, "MOST_ROWS", 2000)
    panel = panel_of(invented_demand(80, 60, seed=4))
    unborn = np.full((30, 60), np.nan)
    more = panel_of(np.concatenate([unborn[:10], panel.y, unborn[10:]]))
    assert told(more)[10:90].tobytes() == told(panel).tobytes()


def test_what_is_not_known_yet_is_not_looked_at() -> None:
    y = invented_demand(60, 60, seed=5)
    panel = panel_of(y)
    features, level, _ = boosting._features(panel, 40)
    later = y.copy()
    later[:, 40:] = 1e9
    spoilt = panel_of(later)
    assert boosting._features(spoilt, 40)[0].tobytes() == features.tobytes()
    assert boosting._features(spoilt, 40)[1].tobytes() == level.tobytes()
    days, days_spoilt = panel_of(y, "D"), panel_of(later, "D")
    for step in (0, 1, 6, 7, 13, 19):
        rows = boosting._with_step(boosting._features(days, 40)[0], days, 40, step)
        assert boosting._with_step(boosting._features(days, 40)[0], days_spoilt, 40, step).tobytes() == rows.tobytes()


def test_the_weekday_of_days_is_learnt() -> None:
    week = np.array([1, 1, 1, 1, 1, 6, 0.2])
    random = np.random.default_rng(6)
    y = random.poisson(random.lognormal(2, 0.5, (40, 1)) * np.tile(week, 20)).astype(float)
    found = told(panel_of(y, "D"), horizon=14)[..., MEDIAN].mean(axis=0)
    assert found[5] > 2 * found[:5].max()
    assert found[12] > 2 * found[7:12].max()


def test_a_promotion_that_is_known_ahead_is_expected_to_sell_as_promotions_did() -> None:
    random = np.random.default_rng(7)
    known = np.zeros((1, 100 + HORIZON))
    known[0, 4::9] = 1.0
    y = random.poisson(random.lognormal(2, 0.5, (80, 1)) * (1 + 3 * known[0, :100])).astype(float)
    panel = replace(panel_of(y), known=known)
    promoted = int(np.flatnonzero(known[0, 100:])[0])
    found = told(panel)[..., MEDIAN].mean(axis=0)
    assert found[promoted] > 1.8 * np.delete(found, promoted).max()
    quiet = replace(panel, known=np.where(np.arange(100 + HORIZON) >= 100, 0.0, known))
    assert told(quiet)[..., MEDIAN].mean(axis=0)[promoted] < 0.7 * found[promoted]
