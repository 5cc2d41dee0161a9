"""Weeks spread over days, and carried on past the last of them."""

from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.forecasting.daily import EVEN, LEAST_UNITS, Week, carried_on, spread, weekday_profile

MONDAY = date(2026, 3, 2)
NO_UNITS = np.zeros(0)


@given(
    st.lists(st.floats(0, 1e6), min_size=1, max_size=20),
    st.lists(st.integers(0, 1000), min_size=7, max_size=7).filter(lambda units: sum(units) >= LEAST_UNITS),
)
def test_the_days_of_a_week_sum_to_the_week(means: list[float], sold: list[int]) -> None:
    profile, whose = weekday_profile({MONDAY + timedelta(days=n): units for n, units in enumerate(sold)}, {})
    weeks = [Week(MONDAY + timedelta(weeks=n), mean, mean / 2, mean * 2) for n, mean in enumerate(means)]
    days = spread(weeks, profile)
    assert whose == "sku"
    for n, week in enumerate(weeks):
        own = days[7 * n : 7 * n + 7]
        assert [day.day.weekday() for day in own] == list(range(7))
        assert sum(day.mean for day in own) == pytest.approx(week.mean)
        assert sum(day.lower for day in own) == pytest.approx(week.lower)
        assert sum(day.upper for day in own) == pytest.approx(week.upper)


def test_a_sku_that_sold_little_has_the_weekdays_of_the_brand() -> None:
    profile, whose = weekday_profile({MONDAY: 3}, {MONDAY: 25, MONDAY + timedelta(days=5): 75})
    assert whose == "brand"
    assert profile == (0.25, 0, 0, 0, 0, 0.75, 0)


def test_without_sales_every_day_is_alike() -> None:
    assert weekday_profile({}, {MONDAY: LEAST_UNITS - 1}) == (EVEN, "even")


def test_the_mean_stays_what_it_is_past_the_last_week() -> None:
    weeks = [Week(MONDAY, 10, 5, 15)]
    further = carried_on(weeks, 3, "mean", "BAG", NO_UNITS, MONDAY)
    assert further == [Week(MONDAY + timedelta(weeks=n), 10, 5, 15) for n in range(3)]


def test_last_years_weeks_go_on_past_the_last_week() -> None:
    units = np.arange(104, dtype=float)
    weeks = [Week(MONDAY, 52.0, 50.0, 54.0)]
    further = carried_on(weeks, 3, "seasonal_naive", "BAG", units, MONDAY - timedelta(weeks=104))
    assert [week.mean for week in further] == [52, 53, 54]
    assert further[2] == Week(MONDAY + timedelta(weeks=2), 54, 52, 56)


def test_fewer_weeks_than_there_are_stay_as_they_are() -> None:
    weeks = [Week(MONDAY + timedelta(weeks=n), n, n, n) for n in range(4)]
    assert carried_on(weeks, 2, "mean", "BAG", NO_UNITS, MONDAY) == weeks[:2]
