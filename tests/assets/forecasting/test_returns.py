"""Returns by the day of sale: which sale a return is held against, and that no unit comes back twice."""

from datetime import date, timedelta

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.forecasting.returns import (
    RETURN_LINKS,
    cancelled_orders,
    link_returns,
    returned_by_sale_week,
    returns_of_unknown_sales,
)
from tests.assets.forecasting.demo_panel import demo_panel

MONDAY = date(2026, 3, 2)
SCHEMA = {
    "day": pl.Date,
    "sku": pl.String,
    "quantity": pl.Int64,
    "order": pl.Int64,
    "order_number": pl.String,
    "original_order": pl.String,
    "customer": pl.String,
}


def after(days: int) -> date:
    return MONDAY + timedelta(days=days)


def goods(*rows: tuple) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def sale(days: int, order: int, quantity: int = 1, customer: str | None = "ANN", sku: str = "BAG") -> tuple:
    return (after(days), sku, quantity, order, f"M-{order}", None, customer)


def back(days: int, order: int, quantity: int = 1, customer: str | None = "ANN", original: str | None = None) -> tuple:
    return (after(days), "BAG", -quantity, order, f"M-{order}", original, customer)


def linked(frame: pl.DataFrame) -> list[tuple]:
    return link_returns(frame).select("sale_order", "quantity", "link").rows()


def test_a_refund_on_the_same_order_undoes_a_line_of_it():
    assert linked(goods(sale(0, 1), sale(3, 2), back(9, 1))) == [(1, 1, "order")]


def test_a_return_that_names_its_original_undoes_that_order_and_not_the_latest():
    assert linked(goods(sale(0, 1), sale(3, 2), back(9, 7, original="M-1"))) == [(1, 1, "original")]


def test_without_a_name_the_latest_purchase_of_the_customer_comes_back():
    assert linked(goods(sale(0, 1), sale(3, 2), sale(4, 3, customer="EVE"), back(9, 7))) == [(2, 1, "customer")]


def test_a_return_larger_than_a_sale_is_split_over_several():
    frame = goods(sale(0, 1, 4), sale(3, 2, 2), back(9, 7, 7))
    assert linked(frame) == [(2, 2, "customer"), (1, 4, "customer"), (None, 1, None)]


def test_a_return_is_no_return_of_what_was_sold_later_or_long_before_or_of_another_sku():
    for frame in (
        goods(sale(10, 1), back(9, 7)),
        goods(sale(0, 1), back(200, 7)),
        goods(sale(0, 1, sku="BELT"), back(9, 7)),
        goods(sale(0, 1, customer=None), back(9, 7, customer=None)),
    ):
        assert linked(frame) == [(None, 1, None)]


def test_what_came_back_is_told_by_the_week_of_its_sale_and_the_unknown_by_that_of_its_return():
    links = link_returns(goods(sale(6, 1), back(9, 7, 3)))

    assert returned_by_sale_week(links).rows() == [("BAG", MONDAY, 1)]
    assert returns_of_unknown_sales(links).rows() == [("BAG", after(7), 2)]


def test_an_order_is_cancelled_if_all_of_it_came_back_within_two_days():
    frame = goods(
        *(sale(0, 1, 2), back(1, 11, 2, original="M-1")),
        *(sale(0, 2, 2), back(1, 12, 1, original="M-2")),
        *(sale(0, 3, 2), back(3, 13, 2, original="M-3")),
    )
    assert cancelled_orders(frame, link_returns(frame)).to_list() == [1]


def test_an_order_of_which_another_line_was_kept_is_not_cancelled():
    frame = goods(sale(0, 1), sale(0, 1, sku="BELT"), back(1, 1))
    assert cancelled_orders(frame, link_returns(frame)).to_list() == []


def test_without_returns_there_are_no_links():
    assert dict(link_returns(goods(sale(0, 1))).schema) == RETURN_LINKS


def test_returns_of_the_invented_maison_are_linked_to_the_orders_they_name():
    lines = demo_panel().transactions.filter(pl.col("kind") == "goods", pl.col("amount_minor") != 0)
    lines = lines.with_columns(order="order_id")
    known, inferred = link_returns(lines), link_returns(lines.drop("original_order"))

    assert set(known["link"]) == {"original"}
    assert known["quantity"].sum() == -lines.filter(pl.col("quantity") < 0)["quantity"].sum()
    told = inferred.filter(link="customer")
    assert told.height > 0.5 * known.height
    right = told.join(known, on=["sku", "returned_on", "sold_on", "sale_order"], how="semi").height
    assert right > 0.95 * told.height


rows = st.lists(
    st.one_of(
        st.builds(
            sale, st.integers(0, 60), st.integers(1, 9), st.integers(1, 5), st.sampled_from(["ANN", "EVE", None])
        ),
        st.builds(
            back,
            st.integers(0, 60),
            st.integers(1, 9),
            st.integers(1, 5),
            st.sampled_from(["ANN", "EVE", None]),
            st.sampled_from(["M-1", "M-2", None]),
        ),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(rows)
def test_every_returned_unit_is_told_once_and_no_sale_takes_back_more_than_it_sold(lines: list[tuple]):
    frame = goods(*lines)
    links = link_returns(frame)

    assert links["quantity"].sum() == -frame.filter(pl.col("quantity") < 0)["quantity"].sum()
    assert links.filter(pl.col("sold_on") > pl.col("returned_on")).is_empty()
    sold = (
        frame.filter(pl.col("quantity") > 0)
        .group_by(sale_order="order", sold_on="day")
        .agg(sold=pl.col("quantity").sum())
    )
    taken = links.drop_nulls("sold_on").group_by("sale_order", "sold_on").agg(pl.col("quantity").sum())
    checked = taken.join(sold, on=["sale_order", "sold_on"], how="left")
    assert checked.filter(pl.col("quantity") > pl.col("sold").fill_null(0)).is_empty()


@settings(max_examples=60, deadline=None)
@given(rows, st.integers(0, 60))
def test_later_lines_do_not_change_what_earlier_returns_undid(lines: list[tuple], days: int):
    frame = goods(*lines)
    earlier = link_returns(frame.filter(pl.col("day") <= after(days)))

    assert link_returns(frame).head(earlier.height).equals(earlier)
