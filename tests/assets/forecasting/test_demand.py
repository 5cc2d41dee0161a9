"""Weekly demand: what counts, which weeks there are, and that no unit is lost on the way."""

from datetime import date, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.forecasting.demand import HISTORY_SCHEMA, last_complete_week, weekly_demand
from tests.assets.forecasting.demo_panel import demo_panel

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


# --- what was wanted ----------------------------------------------------------------------------------------


ORDER_SCHEMA = {**SCHEMA, "order_id": pl.Int64, "customer": pl.String, "currency": pl.String}


def orders(*rows: tuple) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=ORDER_SCHEMA, orient="row")


def test_without_movements_and_orders_units_are_those_sold():
    demand = weekly_demand(lines(sale(MONDAY, quantity=2), sale(after(13))))

    assert demand["units"].to_list() == demand["units_sold"].to_list() == [2, 1]
    assert demand.select("units_lost", "days_out_of_stock", "units_bulk", "units_cancelled").sum().row(0) == (
        0,
        0,
        0,
        0,
    )


def test_a_week_of_an_empty_shelf_is_marked_and_not_read_as_no_demand():
    panel = lines(*(sale(after(7 * n), quantity=3) for n in (0, 1, 2, 4)))
    moves = [(0, "opening", 9), *((7 * n, "sale", -3) for n in (0, 1, 2)), (21, "receipt", 9), (28, "sale", -3)]
    stock = pl.DataFrame(
        [("BAG", after(d), kind, n) for d, kind, n in moves], schema=["sku", "day", "kind", "quantity"], orient="row"
    )
    demand = weekly_demand(panel, last_day=after(34), movements=stock)

    assert demand["units_sold"].to_list() == [3, 3, 3, 0, 3]
    assert demand["days_out_of_stock"].to_list() == [0, 0, 6, 1, 0]
    assert demand["units"][2] > 3
    assert 0 < demand["units"][3] < 3


def test_days_before_the_first_sale_are_not_lost():
    stock = pl.DataFrame({"sku": ["BAG", "BAG"], "day": [MONDAY, after(3)], "quantity": [0, 5]})
    demand = weekly_demand(lines(sale(after(5))), last_day=after(6), movements=stock)

    assert demand.select("days_out_of_stock", "units_lost").row(0) == (0, 0.0)


def test_an_order_taken_back_at_once_was_never_demand_and_one_returned_later_was():
    panel = orders(
        (after(5), "BAG", "goods", 4, 400, 1, "ANN", "EUR"),
        (after(6), "BAG", "goods", 1, 100, 2, "EVE", "EUR"),
        (after(7), "BAG", "goods", -4, -400, 1, "ANN", "EUR"),
        (after(20), "BAG", "goods", -1, -100, 3, "EVE", "EUR"),
    )
    demand = weekly_demand(panel)

    assert demand["units_sold"].to_list() == [5, 0, 0]
    assert demand["units_returned"].to_list() == [0, 4, 1]
    assert demand["units_cancelled"].to_list() == [4, 0, 0]
    assert demand["units_returned_of_week"].to_list() == [5, 0, 0]
    assert demand["units"].to_list() == [1, 0, 0]


def test_as_of_tells_what_was_known_then_and_may_be_later_than_the_last_day():
    panel = orders(
        (after(6), "BAG", "goods", 2, 200, 1, "ANN", "EUR"),
        (after(20), "BAG", "goods", -1, -100, 1, "ANN", "EUR"),
    )

    def returned(last_day: date | None = None, as_of: date | None = None) -> list[int]:
        return weekly_demand(panel, last_day, as_of=as_of)["units_returned_of_week"].to_list()

    assert returned(as_of=after(13)) == returned(last_day=after(13)) == [0, 0]
    assert returned(last_day=after(13), as_of=after(20)) == [1, 0]
    assert returned() == [1, 0, 0]


def test_prices_are_net_of_the_orders_discount_in_one_currency_and_kept_until_the_next_sale():
    panel = orders(
        (MONDAY, "BAG", "goods", 1, 1000, 1, None, "EUR"),
        (MONDAY, "BELT", "goods", 1, 1000, 1, None, "EUR"),
        (MONDAY, None, "discount", 1, -400, 1, None, "EUR"),
        (after(15), "BAG", "goods", 1, 999_999, 2, None, "JPY"),
        (after(16), "BAG", "goods", 2, 2200, 3, None, "EUR"),
    )
    bag = weekly_demand(panel, last_day=after(27)).filter(sku="BAG")

    assert bag["price"].to_list() == [800, 800, 1100, 1100]
    assert bag["discount"].to_list() == [0.2, None, 0.0, None]
    assert weekly_demand(panel, last_day=after(27), currency="JPY")["price"][2] == 999_999


def test_planted_stock_out_weeks_are_marked_and_their_lost_units_estimated():
    panel = demo_panel()
    demand = weekly_demand(panel.transactions, movements=panel.movements)
    planted = panel.truth["stock_out"]
    mondays = [date.fromisoformat(day) for day in planted["lost_week_mondays"]]
    rows = demand.filter(pl.col("sku") == planted["sku"])

    empty = rows.filter(pl.col("week").is_in(mondays))
    assert empty["days_out_of_stock"].to_list() == [7] * len(mondays)
    assert empty["units_sold"].sum() == 0
    assert (empty["units"] > 0).all()
    assert rows["units_lost"].sum() == pytest.approx(planted["lost_units"], rel=0.5)
    others = demand.filter(pl.col("sku") != planted["sku"], pl.col("days_out_of_stock") > 0)
    assert set(others["sku"]) <= set(panel.truth["other_empty_days"])
    assert others["days_out_of_stock"].sum() <= sum(panel.truth["other_empty_days"].values())


def test_what_was_known_of_the_maison_at_a_day_is_found_again_later():
    panel = demo_panel()
    now = weekly_demand(panel.transactions, movements=panel.movements)
    for day in (date(2025, 3, 30), date(2026, 4, 5)):
        then = weekly_demand(
            panel.transactions.filter(pl.col("day") <= day), movements=panel.movements.filter(pl.col("day") <= day)
        )
        assert weekly_demand(panel.transactions, movements=panel.movements, as_of=day).equals(then)
        again = now.join(then.select("sku", "week"), on=["sku", "week"], how="semi")
        returned = pl.col("units_returned_of_week")
        assert again.drop("units_returned_of_week").equals(then.drop("units_returned_of_week"))
        assert (again.select(returned).to_series() >= then.select(returned).to_series()).all()


order_lines = st.builds(
    lambda day, sku, quantity, order, customer: (day, sku, "goods", quantity, quantity * 100, order, customer, "EUR"),
    st.integers(0, 100).map(after),
    st.sampled_from(["BAG", "BELT"]),
    st.integers(-6, 40).filter(bool),
    st.integers(1, 30),
    st.sampled_from(["ANN", "EVE", None]),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(order_lines, min_size=1, max_size=40), st.integers(6, 100))
def test_weeks_over_for_two_days_are_final_but_for_what_comes_back(rows: list[tuple], days: int):
    panel = orders(*rows)
    then = weekly_demand(panel, as_of=after(days))
    final = then.filter(pl.col("week") + timedelta(days=8) <= after(days)).drop("units_returned_of_week")
    now = weekly_demand(panel).drop("units_returned_of_week")

    assert now.join(final.select("sku", "week"), on=["sku", "week"], how="semi").equals(final)


@settings(max_examples=60, deadline=None)
@given(st.lists(order_lines, max_size=40))
def test_units_are_sold_less_cancelled_less_bulk_and_never_negative(rows: list[tuple]):
    demand = weekly_demand(orders(*rows))

    assert (demand["units"] >= 0).all()
    made = demand["units_sold"] - demand["units_cancelled"] - demand["units_bulk"] + demand["units_lost"]
    assert (made - demand["units"]).abs().sum() == pytest.approx(0)
    assert (demand["units_returned_of_week"] <= demand["units_sold"]).all()
