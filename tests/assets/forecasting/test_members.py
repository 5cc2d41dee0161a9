"""The members, and the memory of what was fitted."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from assets.forecasting import members
from assets.forecasting.members import IMAPA, MEMBERS, PROPHET, RECENT, THETA, TSB, Memory, fit_members, mean_of
from assets.forecasting.panel import Floats
from assets.forecasting.prophet_map import prophet_means
from tests.assets.forecasting.series import invented_demand, panel_of

HORIZON = 6


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "forecasts" / "members.parquet"


def test_members_are_the_models_that_they_are_called_by() -> None:
    from statsforecast import models

    panel = panel_of(invented_demand(8, 50, seed=1))
    told: dict[str, Floats] = dict(zip(MEMBERS, fit_members(panel, HORIZON), strict=True))
    np.testing.assert_array_equal(told[PROPHET], prophet_means(panel.y, HORIZON))
    np.testing.assert_allclose(told[RECENT][:, 0], panel.y[:, -8:].mean(axis=1))
    for n, row in enumerate(panel.y):
        made = {
            THETA: models.DynamicOptimizedTheta(season_length=1),
            IMAPA: models.IMAPA(),
            TSB: models.TSB(0.1, 0.1),
        }
        for name, model in made.items():
            np.testing.assert_allclose(
                told[name][n], np.maximum(model.forecast(row, HORIZON)["mean"], 0), rtol=1e-5, atol=1e-8
            )


def test_a_young_series_has_its_mean_where_theta_cannot_be_fitted() -> None:
    y = invented_demand(4, 30, seed=2)
    y[1, :-3] = np.nan
    y[2, :] = np.nan
    y[3, :] = 0
    told = fit_members(panel_of(y), HORIZON)
    np.testing.assert_allclose(told[:, 1], y[1, -3:].mean())
    assert not told[:, 2].any()
    assert not told[:, 3].any()
    assert np.isfinite(told).all()


def test_the_mean_of_members_is_that_of_those_named() -> None:
    told = np.arange(len(MEMBERS) * 2 * 3, dtype=float).reshape(len(MEMBERS), 2, 3)
    both = mean_of(told, (THETA, RECENT))
    np.testing.assert_allclose(both, (told[MEMBERS.index(THETA)] + told[MEMBERS.index(RECENT)]) / 2)


def test_only_series_that_changed_are_fitted_again(file: Path) -> None:
    panel = panel_of(invented_demand(10, 40, seed=3))
    first = Memory(file)
    told = first.members_of(panel, HORIZON)
    first.save()
    assert first.fitted == 10

    again = Memory(file)
    assert again.members_of(panel, HORIZON).tobytes() == told.tobytes()
    assert again.fitted == 0

    changed = replace(panel, y=panel.y.copy())
    changed.y[4, -1] += 1
    after = again.members_of(changed, HORIZON)
    assert again.fitted == 1
    others = [n for n in range(10) if n != 4]
    assert after[:, others].tobytes() == told[:, others].tobytes()
    assert after.tobytes() == fit_members(changed, HORIZON).tobytes(), "remembered and fitted afresh are the same"


def test_a_memory_is_by_values_horizon_and_frequency_and_not_by_name_or_place(file: Path) -> None:
    panel = panel_of(invented_demand(6, 40, seed=4))
    memory = Memory(file)
    told = memory.members_of(panel, HORIZON)
    order = np.array([3, 1, 5])
    moved = replace(panel.some(order), ids=("x", "y", "z"))
    longer = replace(moved, y=np.column_stack([np.full((3, 7), np.nan), moved.y]))
    assert memory.members_of(longer, HORIZON).tobytes() == told[:, order].tobytes()
    assert memory.fitted == 6
    memory.members_of(panel, HORIZON + 1)
    assert memory.fitted == 12
    memory.members_of(replace(panel, freq=panel_of([[0]], "D").freq), HORIZON)
    assert memory.fitted == 18


def test_another_version_forgets(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    panel = panel_of(invented_demand(3, 40, seed=5))
    first = Memory(file)
    first.members_of(panel, HORIZON)
    first.save()
    monkeypatch.setattr(members, "VERSION", members.VERSION + 1)
    again = Memory(file)
    again.members_of(panel, HORIZON)
    assert again.fitted == 3


@pytest.mark.parametrize("damage", ["cut", "other"])
def test_a_file_that_cannot_be_read_is_as_none(file: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    panel = panel_of(invented_demand(3, 40, seed=6))
    first = Memory(file)
    told = first.members_of(panel, HORIZON)
    first.save()
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:-20])
    else:
        pl.DataFrame({"something": [1]}).write_parquet(file)
    again = Memory(file)
    assert again.members_of(panel, HORIZON).tobytes() == told.tobytes()
    assert again.fitted == 3
    assert "everything is fitted again" in caplog.text
    again.save()
    third = Memory(file)
    third.members_of(panel, HORIZON)
    assert third.fitted == 0


def test_what_is_no_longer_used_is_not_kept(file: Path) -> None:
    panel = panel_of(invented_demand(5, 40, seed=7))
    first = Memory(file)
    first.members_of(panel, HORIZON)
    first.save()
    second = Memory(file)
    second.members_of(panel.some(np.array([0, 1])), HORIZON)
    second.save()
    assert pl.read_parquet(file).height == 2
    assert list(file.parent.iterdir()) == [file]


def test_a_memory_without_a_file_keeps_nothing(tmp_path: Path) -> None:
    memory = Memory()
    memory.members_of(panel_of(invented_demand(2, 40)), HORIZON)
    memory.save()
    assert not list(tmp_path.glob("*.parquet"))
