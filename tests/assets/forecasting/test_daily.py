"""Weeks spread over days, and carried on past the last of them."""

import math
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.forecasting.daily import EVEN, LEAST_UNITS, Week, carried_on, spread, weekday_profile

MONDAY = date(2026, 3, 2)


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


def test_past_the_last_week_the_level_of_the_last_four_goes_on_and_is_less_certain() -> None:
    weeks = [
        Week(MONDAY + timedelta(weeks=n), mean, mean - 2, mean + 2) for n, mean in enumerate((90.0, 8, 10, 10, 12))
    ]
    further = carried_on(weeks, 20)
    assert further[:5] == weeks
    assert [week.monday for week in further] == [MONDAY + timedelta(weeks=n) for n in range(20)]
    assert {week.mean for week in further[5:]} == {10}
    assert further[5].upper == pytest.approx(10 + 2 * math.sqrt(6 / 5))
    assert further[-1].upper == pytest.approx(10 + 2 * math.sqrt(20 / 5))
    widths = [week.upper - week.lower for week in further[4:]]
    assert widths == sorted(widths)


def test_bounds_do_not_fall_below_zero() -> None:
    assert carried_on([Week(MONDAY, 1, 0, 3)], 60)[-1].lower == 0


def test_fewer_weeks_than_there_are_stay_as_they_are() -> None:
    weeks = [Week(MONDAY + timedelta(weeks=n), n, n, n) for n in range(4)]
    assert carried_on(weeks, 2) == weeks[:2]
