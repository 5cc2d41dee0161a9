"""Bulk orders: what is beyond the usual is cut off, and nothing else is."""

from datetime import date, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.forecasting.bulk_orders import cap_bulk_orders
from tests.assets.forecasting.demo_panel import demo_panel

MONDAY = date(2026, 1, 5)
SCHEMA = {"sku": pl.String, "day": pl.Date, "order": pl.Int64, "quantity": pl.Int64}


def after(days: int) -> date:
    return MONDAY + timedelta(days=days)


def sales(*rows: tuple[int, int]) -> pl.DataFrame:
    """Orders of one SKU by day and quantity."""
    return pl.DataFrame([("BAG", after(d), n, q) for n, (d, q) in enumerate(rows)], schema=SCHEMA, orient="row")


def singles(days: int) -> list[tuple[int, int]]:
    """One piece every third day."""
    return [(d, 1) for d in range(0, days, 3)]


def test_an_order_of_fifty_where_others_are_of_one_is_cut_to_a_few_weeks_of_demand():
    capped = cap_bulk_orders(sales(*singles(84), (85, 50)))

    last = capped.sort("quantity").row(-1, named=True)
    assert last["quantity"] == 50
    assert 6 <= last["kept"] <= 3 * 7 / 3 + 1
    assert capped.filter(pl.col("kept") < pl.col("quantity")).height == 1


def test_the_excess_of_one_bulk_order_does_not_make_the_next_one_usual():
    capped = cap_bulk_orders(sales(*singles(84), (85, 500), (98, 500)))

    assert capped.filter(quantity=500)["kept"].to_list() == pytest.approx([7, 7], abs=4)


def test_an_order_usual_for_its_sku_counts_whole_however_large():
    dozens = [(d, 48 if d % 2 else 12) for d in range(0, 90, 3)]

    capped = cap_bulk_orders(sales(*dozens, (91, 96)))

    assert capped["kept"].to_list() == capped["quantity"].to_list()


def test_lines_of_one_order_are_judged_together():
    split = pl.concat(
        [sales(*singles(84)), pl.DataFrame([("BAG", after(85), 999, 25)] * 2, schema=SCHEMA, orient="row")]
    )

    assert cap_bulk_orders(split).filter(order=999)["quantity"].to_list() == [50]


def test_a_new_sku_is_not_judged():
    assert cap_bulk_orders(sales((0, 1), (1, 1), (2, 90)))["kept"].sum() == 92


def test_the_planted_abnormal_order_of_twelve_bags_is_cut():
    panel = demo_panel()
    goods = panel.transactions.filter(pl.col("kind") == "goods", pl.col("amount_minor") != 0, pl.col("quantity") > 0)
    capped = cap_bulk_orders(goods.select("sku", "day", "quantity", order="order_id"))
    (fraud,) = (fraud for fraud in panel.truth["frauds"] if fraud["kind"] == "abnormal_order")
    numbers = goods.filter(pl.col("order_number").is_in(fraud["order_numbers"]))["order_id"].to_list()

    cut = capped.filter(pl.col("kept") < pl.col("quantity"))
    assert set(cut["order"]) == set(numbers)


orders = st.lists(st.tuples(st.integers(0, 120), st.integers(1, 80)), max_size=60)


@settings(max_examples=60, deadline=None)
@given(orders, st.integers(0, 120))
def test_an_order_keeps_between_one_unit_and_all_and_later_orders_do_not_matter(rows: list[tuple[int, int]], days: int):
    capped = cap_bulk_orders(sales(*rows))
    assert ((capped["kept"] >= 1) & (capped["kept"] <= capped["quantity"])).all()

    sunday = after(days - days % 7 + 6)
    earlier = cap_bulk_orders(sales(*rows).filter(pl.col("day") <= sunday))
    assert capped.filter(pl.col("week") <= sunday).equals(earlier)
