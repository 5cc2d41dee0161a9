"""The forecast of a shard: what is served, what was backtested, who is new and who is over."""

from datetime import date, timedelta
from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from assets.forecasting.ensemble import Forecaster
from assets.forecasting.levels import coherent_levels
from assets.forecasting.members import Memory
from assets.forecasting.schemas import BACKTEST_SCHEMA, FORECAST_SCHEMA, LEVELS_SCHEMA
from assets.forecasting.served import BACKTEST_ORIGINS, HORIZON_WEEKS, LAUNCH, Served, forecast_shard

FIRST = date(2024, 1, 1)
WEEKS = 104
SKUS = 24


def history_of(units: dict[str, list[float]], weeks: int = WEEKS) -> pl.DataFrame:
    """Series that end in the panel's last week; shorter ones began later."""
    rows = [
        {"shard": "00", "sku": sku, "week": FIRST + timedelta(weeks=weeks - len(values) + n), "units": value}
        for sku, values in units.items()
        for n, value in enumerate(values)
    ]
    filled = {"units_sold": pl.col("units").cast(pl.Int64), "units_lost": pl.lit(0.0), "days_out_of_stock": pl.lit(0)}
    return pl.DataFrame(rows).with_columns(**filled)


def catalog_of(skus: list[str], launched: dict[str, date] | None = None) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "sku": skus,
            "product": [sku.rpartition("-")[0] or sku for sku in skus],
            "category": ["bags" if n % 2 else "shoes" for n in range(len(skus))],
            "launched_on": [(launched or {}).get(sku) for sku in skus],
        },
        schema_overrides={"launched_on": pl.Date},
    )


def range_of(seed: int = 0) -> dict[str, list[float]]:
    random = np.random.default_rng(seed)
    return {f"P{n // 2}-{n}": random.poisson(2 + n, WEEKS).astype(float).tolist() for n in range(SKUS)}


@pytest.fixture(scope="module")
def units() -> dict[str, list[float]]:
    return range_of()


@pytest.fixture(scope="module")
def served(units: dict[str, list[float]]) -> Served:
    return forecast_shard(history_of(units), catalog_of(list(units)))


def test_every_sku_has_its_coming_weeks(served: Served, units: dict[str, list[float]]) -> None:
    frame = served.forecasts
    assert frame.schema == pl.Schema(FORECAST_SCHEMA)
    assert frame.height == len(units) * HORIZON_WEEKS
    assert frame["week"].min() == FIRST + timedelta(weeks=WEEKS)
    assert frame["step"].unique().sort().to_list() == list(range(1, HORIZON_WEEKS + 1))
    ordered = ["q0.025", "q0.1", "q0.5", "q0.9", "q0.975"]
    for below, above in pairwise(ordered):
        assert (frame[below] <= frame[above]).all()
    assert (frame["lower"] <= frame["mean"]).all()
    assert (frame["mean"] <= frame["upper"]).all()
    assert (frame["q0.025"] >= 0).all()


def test_a_poisson_range_is_forecast_near_its_rates(served: Served) -> None:
    means = served.forecasts.group_by("sku").agg(pl.col("mean").mean())
    for sku, mean in means.iter_rows():
        rate = 2 + int(sku.rpartition("-")[2])
        assert abs(mean - rate) < 0.25 * rate + 1, sku


def test_the_backtest_stands_beside_what_came_and_its_newest_origin_is_locked(
    served: Served, units: dict[str, list[float]]
) -> None:
    frame = served.backtest
    assert frame.schema == pl.Schema(BACKTEST_SCHEMA)
    cutoffs = frame["cutoff"].unique().sort().to_list()
    assert len(cutoffs) == BACKTEST_ORIGINS
    assert frame.filter("locked")["cutoff"].unique().to_list() == [cutoffs[-1]]
    for sku, week, came in frame.select("sku", "week", "units").iter_rows():
        assert came == units[sku][(week - FIRST).days // 7]


def test_later_weeks_change_no_earlier_backtest(units: dict[str, list[float]], served: Served) -> None:
    shifted = {sku: values[:-HORIZON_WEEKS] for sku, values in units.items()}
    earlier = forecast_shard(history_of(shifted, WEEKS - HORIZON_WEEKS), catalog_of(list(units)))
    shared = set(earlier.backtest["cutoff"].to_list()) & set(served.backtest["cutoff"].to_list())
    assert len(shared) == BACKTEST_ORIGINS - 1
    kept = [
        frame.filter(pl.col("cutoff").is_in(list(shared))).drop("locked")
        for frame in (earlier.backtest, served.backtest)
    ]
    assert kept[0].equals(kept[1])


def test_what_did_not_change_is_not_fitted_again(units: dict[str, list[float]]) -> None:
    memory = Memory()
    forecast_shard(history_of(units), catalog_of(list(units)), memory=memory)
    first = memory.fitted
    forecast_shard(history_of(units), catalog_of(list(units)), memory=memory)
    assert memory.fitted == first
    changed = {**units, "P0-0": [*units["P0-0"][:-1], units["P0-0"][-1] + 5]}
    forecast_shard(history_of(changed), catalog_of(list(units)), memory=memory)
    assert memory.fitted == first + 1


def test_a_new_item_and_one_that_has_not_sold_follow_items_like_them(units: dict[str, list[float]]) -> None:
    last = FIRST + timedelta(weeks=WEEKS)
    everything = {**units, "NEW-1": [6.0, 7.0, 5.0]}
    launched = {"NEW-1": last - timedelta(weeks=3), "UNSOLD-1": last}
    skus = [*everything, "UNSOLD-1"]
    made = forecast_shard(history_of(everything), catalog_of(skus, launched), unsold=["UNSOLD-1"]).forecasts
    models = dict(made.select("sku", "model").unique().iter_rows())
    assert models["NEW-1"] == models["UNSOLD-1"] == LAUNCH
    assert models["P0-0"] != LAUNCH
    assert made.filter(pl.col("sku") == "UNSOLD-1").height == HORIZON_WEEKS
    alone = forecast_shard(history_of(everything), catalog_of(skus, launched)).forecasts
    assert "UNSOLD-1" not in alone["sku"]


def test_an_item_that_is_over_is_not_expected_to_sell_on(units: dict[str, list[float]]) -> None:
    over = {**units, "P0-0": [*([8.0] * (WEEKS - 40)), *([0.0] * 40)]}
    made = forecast_shard(history_of(over), catalog_of(list(over))).forecasts.filter(pl.col("sku") == "P0-0")
    assert made["state"].unique().to_list() == ["ended"]
    assert made["q0.9"].sum() < 1


def test_a_member_that_runs_away_is_held_by_the_last_year(
    units: dict[str, list[float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Forecaster._point
    monkeypatch.setattr(Forecaster, "_point", lambda self, cutoff, names: 50 * own(self, cutoff, names))
    made = forecast_shard(history_of(units), catalog_of(list(units))).forecasts
    for sku, mean in made.group_by("sku").agg(pl.col("mean").mean()).iter_rows():
        rate = 2 + int(sku.rpartition("-")[2])
        assert mean < 3 * 1.5 * (rate + 2) + 1, sku


@pytest.mark.parametrize("weeks", [1, 3, 11, 14])
def test_a_young_brand_is_forecast_from_what_there_is(weeks: int) -> None:
    young = {f"S-{n}": [float(n + 1)] * weeks for n in range(3)}
    made = forecast_shard(history_of(young, weeks), catalog_of(list(young)))
    assert made.forecasts.height == 3 * HORIZON_WEEKS
    assert made.backtest.is_empty()
    assert made.forecasts.select(pl.col("mean").is_finite().all()).item()


def test_an_empty_shard_has_no_rows() -> None:
    made = forecast_shard(history_of({"A": [1.0]}).clear(), catalog_of(["A"]))
    assert made.forecasts.is_empty()
    assert made.backtest.is_empty()


def test_levels_add_up_and_each_was_forecast_by_itself(served: Served, units: dict[str, list[float]]) -> None:
    levels = coherent_levels(served.forecasts, served.backtest, history_of(units), catalog_of(list(units)))
    assert levels.schema == pl.Schema(LEVELS_SCHEMA)
    totals = levels.group_by("hierarchy_level", "week").agg(pl.col("mean").sum())
    spread = totals.group_by("week").agg((pl.col("mean").max() - pl.col("mean").min()).alias("spread"))
    assert totals["hierarchy_level"].n_unique() == 4
    assert max(spread["spread"].to_list()) < 1e-6 * max(totals["mean"].to_list())
    brand = levels.filter(pl.col("hierarchy_level") == "brand")
    assert (brand["mean"] - brand["base_mean"]).abs().sum() > 0
    expected = sum(2 + n for n in range(SKUS))
    assert brand["mean"].to_list() == pytest.approx([expected] * HORIZON_WEEKS, rel=0.15)


def test_an_item_of_a_category_without_history_adds_up_too(units: dict[str, list[float]]) -> None:
    last = FIRST + timedelta(weeks=WEEKS)
    attributes = pl.concat([catalog_of(list(units)), catalog_of(["UNSOLD-1"], {"UNSOLD-1": last})])
    made = forecast_shard(history_of(units), attributes, unsold=["UNSOLD-1"])
    own = attributes.with_columns(
        category=pl.when(pl.col("sku") == "UNSOLD-1").then(pl.lit("hats")).otherwise("category")
    )
    levels = coherent_levels(made.forecasts, made.backtest, history_of(units), own)
    totals = levels.group_by("hierarchy_level").agg(pl.col("mean").sum())["mean"]
    assert totals.max() == pytest.approx(totals.min())
