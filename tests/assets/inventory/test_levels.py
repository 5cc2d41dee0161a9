"""Levels: who is low, who is out, who is unknown; and the day from which the plan looks ahead."""

import json
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.inventory.levels import ALERTS_WANTED, day_after_last_movement, low_stock

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
Level = tuple[str, int, bool, int | None]


def levels(*rows: Level) -> pl.DataFrame:
    schema = {"sku": pl.String, "available": pl.Int64, "counted": pl.Boolean, "reorder_point": pl.Int64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def kinds(*rows: Level) -> dict[str, str]:
    return dict(low_stock(levels(*rows)).select("sku", "kind").iter_rows())


@pytest.mark.parametrize(
    ("available", "point", "kind"),
    [
        (6, 5, None),
        (5, 5, "low_stock"),
        (1, 5, "low_stock"),
        (0, 5, "out_of_stock"),
        (-2, 5, "out_of_stock"),
        (0, None, "out_of_stock"),
        (1, None, None),
        (1, 0, None),
        (0, 0, "out_of_stock"),
    ],
)
def test_at_or_below_the_reorder_point_is_low_and_nothing_left_is_out(available: int, point: int | None, kind: str):
    assert kinds(("BAG", available, True, point)) == ({"BAG": kind} if kind else {})


@settings(deadline=None)
@given(st.integers(-1000, 1000), st.none() | st.integers(0, 1000))
def test_a_sku_that_was_never_counted_is_neither(available: int, point: int | None):
    assert kinds(("BAG", available, False, point)) == {}


def test_the_figures_behind_an_alert_stand_in_its_details():
    found = low_stock(levels(("BAG", 2, True, 5), ("SHOE", 0, True, None)))

    assert found.columns == ALERTS_WANTED
    assert [json.loads(text) for text in found["details"]] == [
        {"available": 2, "reorder_point": 5},
        {"available": 0, "reorder_point": None},
    ]


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.text("ABC", min_size=1, max_size=3),
            st.integers(-3, 9),
            st.booleans(),
            st.none() | st.integers(0, 9),
        ),
        unique_by=lambda row: row[0],
    )
)
def test_every_sku_is_there_at_most_once_and_in_order_whatever_the_order_of_the_levels(rows: list[Level]):
    found = low_stock(levels(*rows))

    assert found["sku"].to_list() == sorted(set(found["sku"]))
    assert low_stock(levels(*reversed(rows))).equals(found)


def moved(*instants: datetime | None) -> pl.DataFrame:
    return pl.DataFrame({"last_movement_at": instants}, schema={"last_movement_at": pl.Datetime("us", "UTC")})


def test_the_plan_looks_ahead_from_the_day_after_the_last_movement():
    assert day_after_last_movement(moved(NOW - timedelta(days=9), NOW - timedelta(days=4)), NOW) == date(2026, 3, 7)


@pytest.mark.parametrize("last", [NOW, NOW + timedelta(days=40)])
def test_the_plan_looks_ahead_from_today_at_the_latest(last: datetime):
    assert day_after_last_movement(moved(last), NOW) == date(2026, 3, 10)


def test_without_a_movement_the_plan_looks_ahead_from_today():
    assert day_after_last_movement(moved(), NOW) == date(2026, 3, 10)
