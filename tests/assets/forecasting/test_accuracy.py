"""What was said then, beside what came."""

from datetime import date, timedelta

import polars as pl
import pytest

from assets.forecasting.accuracy import KEPT_WEEKS, accuracy_over_time, by_cutoff
from assets.forecasting.schemas import ACCURACY_SCHEMA

MONDAY = date(2026, 3, 2)
NOTHING = pl.DataFrame(schema=ACCURACY_SCHEMA)


def forecast(first: date, mean: float, weeks: int = 3) -> pl.DataFrame:
    rows = [
        {"sku": "BAG", "model": "ensemble", "week": first + timedelta(weeks=n), "step": n + 1, "mean": mean}
        | {"lower": mean - 2, "upper": mean + 2}
        for n in range(weeks)
    ]
    return pl.DataFrame(rows)


def history(units: dict[date, float]) -> pl.DataFrame:
    return pl.DataFrame({"sku": ["BAG"] * len(units), "week": list(units), "units": list(units.values())})


def test_what_was_said_stays_when_the_forecast_is_made_anew() -> None:
    first = accuracy_over_time(NOTHING, forecast(MONDAY, 10), history({MONDAY - timedelta(weeks=1): 9}))
    assert first["units"].null_count() == 3
    assert first["cutoff"].unique().to_list() == [MONDAY - timedelta(weeks=1)]
    second = accuracy_over_time(first, forecast(MONDAY + timedelta(weeks=1), 20), history({MONDAY: 14}))
    said = second.filter(pl.col("week") == MONDAY)
    assert said.select("mean", "units").rows() == [(10.0, 14.0)]
    assert second.height == 6


def test_the_same_cutoff_again_takes_the_place_of_what_was_said() -> None:
    first = accuracy_over_time(NOTHING, forecast(MONDAY, 10), history({}))
    again = accuracy_over_time(first, forecast(MONDAY, 11), history({}))
    assert again["mean"].to_list() == [11.0] * 3


def test_measures_are_of_the_weeks_that_have_come() -> None:
    said = accuracy_over_time(NOTHING, forecast(MONDAY, 10), history({MONDAY: 11, MONDAY + timedelta(weeks=1): 15}))
    told = by_cutoff(said).row(0, named=True)
    assert told["weeks"] == 2
    assert told["wape"] == pytest.approx(6 / 26)
    assert told["bias"] == pytest.approx(-6 / 26)
    assert told["coverage"] == 0.5


def test_what_was_said_a_year_ago_is_dropped() -> None:
    old = accuracy_over_time(NOTHING, forecast(MONDAY, 10), history({}))
    new = accuracy_over_time(old, forecast(MONDAY + timedelta(weeks=KEPT_WEEKS), 20), history({}))
    assert new["mean"].unique().to_list() == [20.0]


def test_nothing_has_come_yet() -> None:
    assert by_cutoff(accuracy_over_time(NOTHING, forecast(MONDAY, 10), history({}))).is_empty()
