"""Days without stock and what was lost on them: against a plain count day by day, and against what was planted."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.forecasting.stockouts import LONGEST_OUTAGE, days_out_of_stock, with_lost_sales

MONDAY = date(2026, 1, 5)
SCHEMA = {"sku": pl.String, "day": pl.Date, "kind": pl.String, "quantity": pl.Int64}


def after(days: int) -> date:
    return MONDAY + timedelta(days=days)


def moves(*rows: tuple[int, str, int]) -> pl.DataFrame:
    return pl.DataFrame([("BAG", after(d), kind, n) for d, kind, n in rows], schema=SCHEMA, orient="row")


def out(frame: pl.DataFrame, last: int) -> list[int]:
    return [(day - MONDAY).days for day in days_out_of_stock(frame, after(last))["day"]]


def test_a_shelf_is_empty_from_the_day_after_the_last_piece_to_the_day_of_the_delivery():
    assert out(moves((0, "opening", 2), (2, "sale", -2), (6, "receipt", 5)), 9) == [3, 4, 5, 6]


def test_the_day_of_the_delivery_is_in_stock_if_something_sold_on_it():
    assert out(moves((0, "opening", 2), (2, "sale", -2), (6, "receipt", 5), (6, "sale", -1)), 9) == [3, 4, 5]


def test_a_shelf_that_stays_empty_is_empty_to_the_last_day():
    assert out(moves((0, "opening", 1), (1, "sale", -1)), 4) == [2, 3, 4]


def test_units_reserved_are_not_there_to_be_bought():
    assert out(moves((0, "opening", 1), (1, "reservation", -1), (4, "reservation", 1)), 5) == [2, 3, 4]


def test_a_sku_that_was_never_counted_has_an_unknown_stock():
    assert out(moves((0, "sale", -1), (1, "return", 1)), 9) == []
    assert out(moves((0, "sale", -1), (1, "return", 1), (5, "opening", 3), (6, "sale", -3)), 8) == [7, 8]


def test_a_level_below_zero_is_a_wrong_count_and_not_an_empty_shelf():
    assert out(moves((0, "opening", 1), (1, "sale", -2)), 9) == []


def test_missing_columns_are_named():
    with pytest.raises(ValueError, match="day, quantity"):
        days_out_of_stock(moves().drop("day", "quantity"), MONDAY)


movements = st.lists(
    st.tuples(st.integers(0, 20), st.sampled_from(["receipt", "sale"]), st.integers(1, 3)), max_size=15
)


@settings(max_examples=80, deadline=None)
@given(movements)
def test_days_without_stock_are_those_that_a_count_day_by_day_finds(rows: list[tuple[int, str, int]]):
    rows = [(day, kind, units if kind == "receipt" else -units) for day, kind, units in rows]
    expected, level, counted = [], 0, False
    for day in range(26):
        today = [row for row in rows if row[0] == day]
        if counted and level == 0 and not any(units < 0 for _, _, units in today):
            expected.append(day)
        level += sum(units for _, _, units in today)
        counted = counted or any(kind == "receipt" for _, kind, _ in today)
    assert out(moves(*rows), 25) == expected


def weeks(units: list[float], out: list[int]) -> pl.DataFrame:
    rows = [("BAG", after(7 * n), float(sold), gone, 7) for n, (sold, gone) in enumerate(zip(units, out, strict=True))]
    names = ["sku", "week", "units", "days_out_of_stock", "days_offered"]
    return pl.DataFrame(rows, schema=names, orient="row")


def test_in_a_steady_trade_a_week_without_stock_lost_what_the_others_sold():
    found = with_lost_sales(weeks([7, 7, 7, 0, 0, 7], [0, 0, 0, 7, 7, 0]))
    assert found["units_lost"].to_list() == pytest.approx([0, 0, 0, 7, 7, 0])


def test_the_days_in_stock_of_the_same_week_count():
    found = with_lost_sales(weeks([7, 7, 12], [0, 0, 3]))
    assert 3 < found["units_lost"][-1] < 9


def test_a_sku_never_seen_in_stock_loses_nothing_and_one_gone_for_long_no_more():
    assert with_lost_sales(weeks([0, 0], [7, 7]))["units_lost"].to_list() == [0, 0]
    gone = LONGEST_OUTAGE + 5
    found = with_lost_sales(weeks([7.0] + [0.0] * gone, [0] + [7] * gone))["units_lost"].to_list()
    assert found == pytest.approx([0.0] + [7.0] * LONGEST_OUTAGE + [0.0] * 5)


def test_lost_sales_of_many_poisson_shelves_are_right_on_the_whole():
    rng = np.random.default_rng(3)
    wanted = rng.poisson(0.6, (200, 40, 7))
    there = rng.random((200, 40, 7)) > 0.3
    there[:, 0] = True
    frame = pl.concat(
        weeks(list((wanted * there)[n].sum(axis=1)), list((~there[n]).sum(axis=1))).with_columns(sku=pl.lit(f"S{n:03}"))
        for n in range(200)
    )
    assert with_lost_sales(frame)["units_lost"].sum() == pytest.approx((wanted * ~there).sum(), rel=0.03)
