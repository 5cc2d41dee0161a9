"""Weekly demand: what counts, which weeks there are, and that no unit is lost on the way."""

from datetime import date, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.forecasting.demand import HISTORY_SCHEMA, last_complete_week, weekly_demand

MONDAY = date(2026, 3, 2)
SCHEMA = {
    "day": pl.Date,
    "sku": pl.String,
    "kind": pl.String,
    "quantity": pl.Int64,
    "amount_minor": pl.Int64,
}


def lines(*rows: tuple) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def sale(day: date, sku: str = "BAG", quantity: int = 1) -> tuple:
    return (day, sku, "goods", quantity, quantity * 100)


def after(days: int) -> date:
    return MONDAY + timedelta(days=days)


def test_weeks_without_a_sale_are_zeros_and_not_holes():
    demand = weekly_demand(lines(sale(MONDAY, quantity=2), sale(after(15))), last_day=after(27))

    assert demand["week"].to_list() == [after(0), after(7), after(14), after(21)]
    assert demand["units_sold"].to_list() == [2, 0, 1, 0]
    assert dict(demand.schema) == HISTORY_SCHEMA


def test_a_sku_begins_with_the_week_of_its_first_sale():
    demand = weekly_demand(lines(sale(MONDAY, "OLD"), sale(after(9), "NEW"), sale(after(13), "OLD")))

    assert demand.filter(sku="NEW")["week"].to_list() == [after(7)]
    assert demand.filter(sku="OLD")["week"].to_list() == [after(0), after(7)]


def test_the_week_that_the_panel_does_not_complete_is_left_out():
    panel = lines(sale(MONDAY), sale(after(7), quantity=5))

    assert weekly_demand(panel)["week"].to_list() == [MONDAY]
    assert weekly_demand(panel, last_day=after(12))["week"].to_list() == [MONDAY]
    assert weekly_demand(panel, last_day=after(13))["units_sold"].to_list() == [1, 5]


def test_lines_after_the_last_day_are_left_out():
    assert weekly_demand(lines(sale(MONDAY), sale(after(7))), last_day=after(6))["units_sold"].to_list() == [1]


def test_the_panel_lasts_as_long_as_any_line_even_of_a_fee():
    fee = (after(13), None, "fee", 1, 300)

    assert weekly_demand(lines(sale(MONDAY), fee))["units_sold"].to_list() == [1, 0]


def test_returns_are_counted_beside_sales_as_a_positive_number():
    demand = weekly_demand(lines(sale(MONDAY, quantity=3), sale(after(2), quantity=-2), sale(after(6))))

    assert demand.select("units_sold", "units_returned").row(0) == (4, 2)


def test_a_sku_that_was_only_ever_returned_has_no_demand():
    assert weekly_demand(lines(sale(after(6), quantity=-2))).is_empty()


@pytest.mark.parametrize(
    "line",
    [
        (after(6), "BAG", "shipping", 1, 100),
        (after(6), "BAG", "goods", 1, 0),
        (after(6), "BAG", "goods", 1, None),
        (after(6), None, "goods", 1, 100),
    ],
    ids=["not goods", "given away", "no amount", "no sku"],
)
def test_what_was_not_sold_is_not_demand(line: tuple):
    assert weekly_demand(lines(line)).is_empty()


def test_no_transactions_give_no_demand():
    assert dict(weekly_demand(lines()).schema) == HISTORY_SCHEMA


def test_a_lazy_frame_gives_the_same_as_an_eager_one():
    panel = lines(sale(MONDAY), sale(after(13)))

    assert weekly_demand(panel.lazy()).equals(weekly_demand(panel))


def test_missing_columns_are_named():
    with pytest.raises(ValueError, match="amount_minor, kind"):
        weekly_demand(lines(sale(MONDAY)).drop("kind", "amount_minor"))


@pytest.mark.parametrize(
    ("day", "monday"),
    [(after(-1), after(-7)), (after(0), after(-7)), (after(5), after(-7)), (after(6), MONDAY)],
)
def test_a_week_is_complete_on_its_sunday(day: date, monday: date):
    assert last_complete_week(day) == monday


sales = st.builds(
    sale,
    st.integers(0, 100).map(after),
    st.sampled_from(["BAG", "BELT", "SCARF"]),
    st.integers(-5, 20).filter(bool),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(sales, max_size=40))
def test_every_unit_sold_in_a_complete_week_is_counted_once(rows: list[tuple]):
    panel = lines(*rows)
    demand = weekly_demand(panel)

    end = last_complete_week(max(row[0] for row in rows)) + timedelta(days=7) if rows else MONDAY
    kept = panel.filter(pl.col("day") < end, pl.col("quantity") > 0)
    expected = dict(kept.group_by("sku").agg(pl.col("quantity").sum()).iter_rows())
    counted = demand.group_by("sku").agg(pl.col("units_sold").sum())
    assert dict(counted.iter_rows()) == expected


@settings(max_examples=60, deadline=None)
@given(st.lists(sales, max_size=40))
def test_every_sku_has_each_week_once_up_to_the_same_last_week(rows: list[tuple]):
    demand = weekly_demand(lines(*rows))

    for (_,), weeks in demand.group_by("sku"):
        assert weeks["units_sold"][0] > 0
        assert weeks["week"].diff().drop_nulls().unique().to_list() in ([], [timedelta(days=7)])
        assert weeks["week"].max() == demand["week"].max()
