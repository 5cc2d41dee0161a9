"""New items by the curves of similar ones, and items that are over: on made-up launches and on those of the maison."""

from datetime import date, timedelta
from functools import lru_cache

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.forecasting.demand import weekly_demand
from assets.forecasting.launches import (
    LAUNCH_FORECAST,
    LIFECYCLE,
    launch_forecast,
    launch_forecasts,
    lifecycle,
    new_skus,
    with_end_of_life,
)
from tests.assets.forecasting.demo_panel import demo_panel

MONDAY = date(2025, 1, 6)
QS = ["q0.025", "q0.1", "q0.5", "q0.9", "q0.975"]
WEEKS = 78


def week(n: int) -> date:
    return MONDAY + timedelta(weeks=n)


def rows(sku: str, start: int, units: list[float]) -> pl.DataFrame:
    weeks = [week(start + n) for n in range(len(units))]
    return pl.DataFrame({"sku": [sku] * len(units), "week": weeks, "units": [float(u) for u in units]})


def curve(level: float, weeks: int) -> list[float]:
    """A rush of a month that settles at the level."""
    return [level * (1 + 4 * float(np.exp(-n / 3))) for n in range(weeks)]


@lru_cache(maxsize=1)
def made_up() -> tuple[pl.DataFrame, pl.DataFrame]:
    """Twelve bags launched one after the other, an old bag and an old shoe; and a bag and a shoe to come, a hat of its own."""
    rng = np.random.default_rng(1)
    history, attributes = [rows("OLD", 0, [6.0] * WEEKS), rows("SHOE", 0, [40.0] * WEEKS)], []
    for n in range(12):
        level = float(rng.gamma(20, 0.5))
        history.append(rows(f"BAG{n:02}", 10 + 3 * n, rng.poisson(curve(level, WEEKS - 10 - 3 * n)).tolist()))
        attributes.append((f"BAG{n:02}", "bags", 100_000, week(10 + 3 * n)))
    attributes += [("OLD", "bags", 100_000, date(2020, 1, 1)), ("SHOE", "shoes", 80_000, date(2020, 1, 1))]
    attributes += [("NEW", "bags", 100_000, week(WEEKS)), ("LATER", "bags", 100_000, week(WEEKS + 3))]
    attributes += [
        ("BOOT", "shoes", 80_000, week(WEEKS)),
        ("HAT", "hats", 5_000, week(WEEKS)),
        ("LOST", None, None, None),
    ]
    names = ["sku", "category", "retail_price_minor", "launched_on"]
    return pl.concat(history), pl.DataFrame(attributes, schema=names, orient="row")


def test_a_new_item_begins_with_the_rush_of_similar_ones_and_settles_at_their_level():
    forecast = launch_forecast(*made_up(), "NEW", 26)

    assert dict(forecast.schema) == LAUNCH_FORECAST
    assert forecast["week"].to_list() == [week(WEEKS + n) for n in range(26)]
    assert forecast["step"].to_list() == list(range(1, 27))
    means = forecast["mean"].to_list()
    assert means[0] == pytest.approx(50, rel=0.35)
    assert sum(means[-8:]) / 8 == pytest.approx(10, rel=0.35)
    assert sum(means) == pytest.approx(sum(curve(10, 26)), rel=0.25)


def test_the_quantiles_hold_what_similar_items_sold():
    history, attributes = made_up()
    forecast = launch_forecast(history, attributes, "NEW", 20)
    inside = []
    for n in range(12):
        sold = history.filter(sku=f"BAG{n:02}")["units"].head(20)
        inside.append(((sold >= forecast["q0.1"]) & (sold <= forecast["q0.9"])).mean())
    assert 0.7 < np.mean(inside) < 0.95


def test_an_item_to_come_sells_nothing_before_its_day():
    forecast = launch_forecast(*made_up(), "LATER", 6)
    assert forecast.select("mean", *QS).head(3).rows() == [(0.0,) * 6] * 3
    assert forecast["mean"][3] > forecast["mean"][5] > 0


def test_its_own_first_weeks_move_a_new_item_from_its_fellows_level_to_its_own():
    history, attributes = made_up()
    totals = []
    for factor in (0.3, 1.0, 3.0):
        begun = pl.concat(
            [history.filter(pl.col("sku") != "BAG11"), rows("BAG11", WEEKS - 4, [50 * factor, *([35 * factor] * 3)])]
        )
        known = attributes.with_columns(
            launched_on=pl.when(pl.col("sku") == "BAG11").then(pl.lit(week(WEEKS - 4))).otherwise("launched_on")
        )
        totals.append(launch_forecast(begun, known, "BAG11", 13)["mean"].sum())
    assert totals[0] < 0.6 * totals[1] < totals[1] < 0.6 * totals[2]


def test_without_a_launch_ever_seen_an_item_sells_like_the_old_ones_of_its_category():
    forecast = launch_forecast(*made_up(), "BOOT", 13)
    assert forecast["mean"][12] == pytest.approx(40, rel=0.4)


@pytest.mark.parametrize("sku", ["HAT", "LOST", "UNHEARD-OF"])
def test_an_item_like_no_other_has_no_forecast(sku: str):
    forecast = launch_forecast(*made_up(), sku, 13)
    assert forecast.is_empty()
    assert dict(forecast.schema) == LAUNCH_FORECAST


def test_without_history_there_is_no_forecast():
    history, attributes = made_up()
    assert launch_forecast(history.clear(), attributes, "NEW", 3).is_empty()
    assert new_skus(history.clear(), attributes) == []


def test_several_items_at_once_are_each_as_alone():
    skus = ["NEW", "HAT", "BOOT"]
    together = launch_forecasts(*made_up(), skus, 8)
    assert together["sku"].unique(maintain_order=True).to_list() == ["NEW", "BOOT"]
    for sku in skus:
        assert together.filter(sku=sku).drop("sku").equals(launch_forecast(*made_up(), sku, 8))


def test_new_are_items_launched_lately_or_to_come():
    # The last bag was launched 35 weeks before the end.
    assert new_skus(*made_up()) == ["BOOT", "HAT", "LATER", "NEW"]
    assert "BAG11" in new_skus(*made_up(), younger_than=40)


def test_weeks_out_of_stock_are_no_weeks_of_low_demand():
    history, attributes = made_up()
    gone = pl.col("sku").str.starts_with("BAG") & (pl.col("week") == week(60))
    empty = history.with_columns(
        units=pl.when(gone).then(0.0).otherwise("units"),
        units_lost=0.0,
        days_out_of_stock=pl.when(gone).then(7).otherwise(0),
    )
    plain = launch_forecast(history, attributes, "NEW", 13)["mean"].sum()
    assert launch_forecast(empty, attributes, "NEW", 13)["mean"].sum() == pytest.approx(plain, rel=0.05)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=20), min_size=1, max_size=6),
    st.integers(1, 20),
    st.booleans(),
)
def test_means_are_finite_and_quantiles_in_order(launches: list[list[int]], horizon: int, old: bool):
    history = pl.concat(rows(f"S{n}", 20 - len(units), list(map(float, units))) for n, units in enumerate(launches))
    attributes = pl.DataFrame({"sku": [*(f"S{n}" for n in range(len(launches))), "NEW"], "category": "bags"})
    if old:
        history = pl.concat([history, rows("OLD", 0, [3.0] * 20)])
        attributes = pl.concat([attributes, pl.DataFrame({"sku": ["OLD"], "category": ["bags"]})])
    forecast = launch_forecast(history, attributes, "NEW", horizon)

    assert forecast.height == (horizon if history["units"].sum() else 0)
    for row in forecast.select("mean", *QS).iter_rows():
        assert all(np.isfinite(row))
        assert row[0] >= 0
        assert list(row[1:]) == sorted(row[1:])


# --- the maison ---------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def planted() -> dict[str, pl.DataFrame]:
    """By product: the forecast that could be made before its launch, beside what it then sold (units), by SKU and week."""
    panel = demo_panel()
    real = weekly_demand(panel.transactions, movements=panel.movements).select("sku", "week", "units")
    found = {}
    for launch in panel.truth["launches"]:
        day = date.fromisoformat(launch["on"])
        history = weekly_demand(panel.transactions, movements=panel.movements, as_of=day - timedelta(days=1))
        known = panel.catalog.filter(pl.col("launched_on") <= day)
        forecast = launch_forecasts(history, known, launch["skus"], 26)
        assert set(forecast["sku"]) == set(launch["skus"])
        found[launch["product"]] = forecast.join(real, on=["sku", "week"], how="left").with_columns(
            pl.col("units").fill_null(0)
        )
    return found


def of_product(frame: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    weekly = frame.group_by("week").agg(pl.col("mean", "units").sum()).sort("week")
    return weekly["mean"].to_numpy(), weekly["units"].to_numpy()


FIRST = ("OND", "OPA")
"""Launched before any other launch was seen: nobody could know of the rush."""


def test_planted_launches_are_forecast_before_their_first_sale_within_a_factor():
    totals = {product: tuple(map(float, map(np.sum, of_product(frame)))) for product, frame in planted().items()}

    assert len(totals) == 7
    for product, (mean, units) in totals.items():
        assert 1 / 1.7 < mean / units < 1.7, product
    later = [pair for product, pair in totals.items() if product not in FIRST]
    assert sum(mean for mean, _ in later) == pytest.approx(sum(units for _, units in later), rel=0.25)


def test_planted_launches_rise_and_fall_as_forecast_once_a_launch_was_seen():
    ranks = []
    for product, frame in planted().items():
        if product not in FIRST:
            mean, units = of_product(frame)
            assert mean[1:4].mean() > 1.2 * mean[8:].mean(), product
            ranks.append(pl.DataFrame({"a": mean, "b": units}).select(pl.corr("a", "b", method="spearman")).item())
    assert min(ranks) > 0.15
    assert np.mean(ranks) > 0.4


def test_intervals_of_planted_launches_hold_what_was_sold():
    weeks = pl.concat(planted().values())
    assert 0.75 < weeks.select(pl.col("units").is_between(pl.col("q0.1"), pl.col("q0.9")).mean()).item() < 0.97
    assert weeks.select(pl.col("units").is_between(pl.col("q0.025"), pl.col("q0.975")).mean()).item() > 0.93


@pytest.mark.parametrize("day", [date(2026, 2, 1), date(2026, 5, 31), date(2026, 10, 31)])
def test_no_item_of_the_maison_is_over_in_any_season(day: date):
    panel = demo_panel()
    cycle = lifecycle(weekly_demand(panel.transactions, movements=panel.movements, as_of=day))
    assert cycle.filter(pl.col("state") != "active").height <= 1


# --- the end ------------------------------------------------------------------------------------------------


def state(units: list[float], **columns: list[int]) -> tuple:
    frame = rows("BAG", 0, units).with_columns(pl.Series(name, values) for name, values in columns.items())
    return lifecycle(frame).select("state", "weeks_since_sale").row(0)


def test_an_item_silent_for_long_beside_its_usual_intervals_is_over():
    assert state([2.0] * 30 + [0.0] * 8) == ("ended", 8)
    assert state([2.0] * 30 + [0.0] * 5) == ("active", 5)
    assert state([1.0, 0, 0, 0, 0, 0, 0, 0] * 6 + [0.0] * 8) == ("active", 15)


def test_an_empty_shelf_is_not_the_end():
    assert state([2.0] * 30 + [0.0] * 20, days_out_of_stock=[0] * 30 + [7] * 20) == ("active", 0)


FALLING = [80.0 * 0.97**n for n in range(104)]


def test_an_item_that_falls_and_falls_beside_last_year_is_decaying():
    assert state(FALLING)[0] == "decaying"
    assert lifecycle(rows("BAG", 0, FALLING))["weekly_decay"].item() == pytest.approx(0.97, abs=0.01)


@pytest.mark.parametrize(
    "units",
    [
        [4.0] * 104,
        FALLING[:70],
        [9.0] * 60 + [4.0] * 44,
        [5 + 4 * float(np.sin(2 * np.pi * n / 52)) for n in range(104)],
        [5 - 4 * float(np.sin(2 * np.pi * n / 52)) for n in range(104)],
        curve(10, 78),
    ],
    ids=["steady", "too young", "fell once", "summer item", "winter item", "launch"],
)
def test_neither_a_season_nor_a_launch_nor_a_single_step_is_a_decay(units: list[float]):
    assert state(units)[0] == "active"


def test_the_demand_of_items_that_are_over_tends_to_zero():
    history = pl.concat(
        [
            rows("OVER", 0, [2.0] * 30 + [0.0] * 20),
            rows("LESS", 0, FALLING),
            rows("GOOD", 0, [4.0] * 39),
        ]
    )
    cycle = lifecycle(history)
    assert dict(cycle.schema) == LIFECYCLE
    skus = ["OVER", "LESS", "GOOD", "ELSE"]
    forecasts = pl.DataFrame({"sku": skus * 13, "step": [n + 1 for n in range(13) for _ in skus], "mean": [1.0] * 52})
    faded = with_end_of_life(forecasts, cycle, ["mean"])

    assert faded.columns == forecasts.columns
    assert faded["sku"].to_list() == forecasts["sku"].to_list()
    assert max(faded.filter(sku="OVER")["mean"].to_list()) < 0.05
    less = faded.filter(sku="LESS")["mean"].to_list()
    assert less == sorted(less, reverse=True)
    assert less[-1] < 0.75 * less[0]
    assert set(faded.filter(pl.col("sku").is_in(["GOOD", "ELSE"]))["mean"]) == {1.0}
