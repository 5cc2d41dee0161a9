"""Retail figures: each formula on figures that can be checked by hand, and against a second way of counting."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.finance.fx import daily_ratios
from assets.finance.posting import value_lines
from assets.inventory.retail import (
    BANDS,
    COVER,
    MARKDOWNS,
    SELL_THROUGH,
    TURNS,
    base_changes,
    markdown_effect,
    sell_through,
    sell_through_by_collection,
    stock_turns,
    weeks_of_cover,
)

DAY = date(2026, 3, 2)
MOVES = {"sku": pl.String, "day": pl.Date, "kind": pl.String, "quantity": pl.Int64}
CATALOG = pl.DataFrame(
    {
        "sku": ["BAG", "BELT", "HAT"],
        "collection": ["Spring", "Spring", None],
        "retail_price_minor": [10000, None, 5000],
        "currency": ["EUR", None, "USD"],
    }
)
RATES = {"day": pl.Date, "base": pl.String, "quote": pl.String, "rate": pl.Decimal(28, 12), "source": pl.String}
COSTS = {"sku": pl.String, "valid_from": pl.Date, "cost_minor": pl.Int64, "currency": pl.String}


def moves(*rows: tuple[str, date, str, int]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=MOVES, orient="row")


def ratios(dollar: str = "0.5") -> pl.DataFrame:
    rows = [(DAY, "USD", "EUR", Decimal(dollar), "test")]
    return daily_ratios(pl.DataFrame(rows, schema=RATES, orient="row"), "EUR")


# Sell-through


def test_sell_through_is_what_was_sold_of_what_was_there_and_came_in():
    found = sell_through(
        moves(
            ("BAG", date(2026, 1, 5), "opening", 10),
            ("BAG", date(2026, 1, 9), "sale", -4),
            ("BAG", date(2026, 1, 9), "transfer", -3),
            ("BAG", date(2026, 3, 1), "receipt", 4),
            ("BAG", date(2026, 3, 2), "sale", -6),
            ("BAG", date(2026, 3, 3), "return", 1),
            ("BAG", date(2026, 3, 3), "write_off", -1),
        ),
        CATALOG,
    )
    assert found.schema == pl.Schema(SELL_THROUGH)
    assert found.drop("sku", "collection").rows() == [
        (date(2026, 1, 1), 0, 10, 4, 6, 0.4),
        (date(2026, 2, 1), 6, 0, 0, 6, 0.0),
        (date(2026, 3, 1), 6, 4, 5, 4, 0.5),
    ]


def test_stock_that_was_never_counted_has_no_sell_through():
    found = sell_through(moves(("BAG", DAY, "sale", -4), ("BELT", DAY, "gift", -1)), CATALOG)
    assert found["sell_through"].to_list() == [None, None]
    assert found["closing_units"].to_list() == [-4, -1]


def test_a_collection_sells_through_as_the_sum_of_its_skus():
    by_sku = sell_through(
        moves(
            ("BAG", DAY, "receipt", 10),
            ("BAG", DAY, "sale", -5),
            ("BELT", DAY, "receipt", 30),
            ("BELT", DAY, "sale", -5),
            ("HAT", DAY, "receipt", 1),
        ),
        CATALOG,
    )
    assert sell_through_by_collection(by_sku).drop("month").rows() == [("Spring", 0, 40, 10, 30, 0.25)]


def test_a_month_in_which_nothing_moved_is_there_when_it_is_asked_for():
    found = sell_through(moves(("BAG", date(2026, 1, 5), "receipt", 10)), CATALOG, date(2026, 2, 28))
    assert found.drop("sku", "collection").rows() == [
        (date(2026, 1, 1), 0, 10, 0, 10, 0.0),
        (date(2026, 2, 1), 10, 0, 0, 10, 0.0),
    ]


def test_no_movements_sell_nothing_through():
    assert sell_through(moves(), CATALOG, date(2026, 2, 28)).schema == pl.Schema(SELL_THROUGH)
    assert sell_through(moves(), CATALOG).schema == pl.Schema(SELL_THROUGH)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["BAG", "BELT"]),
            st.integers(0, 400),
            st.sampled_from(["opening", "receipt", "sale", "return", "gift", "adjustment", "transfer", "reservation"]),
            st.integers(-9, 9),
        ),
        max_size=30,
    )
)
def test_each_month_begins_as_the_last_has_closed(rows: list[Any]):
    moved = moves(*((sku, DAY + timedelta(days=n), kind, units) for sku, n, kind, units in rows))
    found = sell_through(moved, CATALOG).sort("sku", "month")

    before = found.select(pl.col("closing_units").shift(1).over("sku").fill_null(0))["closing_units"]
    assert found["opening_units"].to_list() == before.to_list()
    stock = moved.filter(~pl.col("kind").is_in(["transfer", "reservation"]))
    totals = dict(stock.group_by("sku").agg(pl.col("quantity").sum()).iter_rows())
    assert dict(found.group_by("sku").agg(pl.col("closing_units").last()).iter_rows()) == totals


# Weeks of cover


def test_cover_is_the_stock_over_the_mean_of_the_last_weeks():
    monday = date(2026, 3, 2)
    weeks = [("BAG", monday + timedelta(weeks=n), sold) for n, sold in enumerate([100, 2, 4])]
    weeks += [("BELT", monday + timedelta(weeks=2), 0)]
    demand = pl.DataFrame(weeks, schema={"sku": pl.String, "week": pl.Date, "units_sold": pl.Int64}, orient="row")
    levels = pl.DataFrame(
        {"sku": ["BAG", "BELT", "HAT", "SHOE"], "on_hand": [12, 5, 3, 3], "counted": [True, True, True, False]}
    )

    found = weeks_of_cover(levels, demand, CATALOG, weeks=2)
    assert found.schema == pl.Schema(COVER)
    assert found.drop("collection").rows() == [
        ("BAG", 12, 2, 6, 3.0, 4.0),
        ("BELT", 5, 1, 0, 0.0, None),
        ("HAT", 3, 0, 0, None, None),
    ]


# Markdowns


def sold(*rows: tuple[str, int, int, str], cost: int | None = 3000) -> pl.DataFrame:
    """sku, quantity, amount, currency."""
    schema = {"sku": pl.String, "quantity": pl.Int64, "amount_minor": pl.Int64, "currency": pl.String}
    lines = pl.DataFrame(rows, schema=schema, orient="row").with_columns(day=pl.lit(DAY), kind=pl.lit("goods"))
    costs = [] if cost is None else [("BAG", date(1970, 1, 1), cost, "EUR")]
    return value_lines(lines, pl.DataFrame(costs, schema=COSTS, orient="row"), ratios(), "EUR")


@pytest.mark.parametrize(
    ("paid", "band"),
    [
        (10001, "above list"),
        (10000, "at list"),
        (9999, "up to 10%"),
        (9000, "up to 10%"),
        (8999, "up to 20%"),
        (7000, "up to 30%"),
        (5000, "up to 50%"),
        (4999, "over 50%"),
        (0, "over 50%"),
    ],
)
def test_the_band_is_the_discount_off_the_list_price(paid: int, band: str):
    found = markdown_effect(sold(("BAG", 2, 2 * paid, "EUR")), CATALOG, ratios(), "EUR")
    assert found["discount"].to_list() == [band]
    assert band in BANDS


def test_a_band_tells_what_the_markdown_was_and_what_margin_was_left():
    rows = [("BAG", 1, 8000, "EUR"), ("BAG", 2, 16000, "EUR"), ("BAG", -1, -8000, "EUR"), ("BAG", 1, 10000, "EUR")]
    found = markdown_effect(sold(*rows), CATALOG, ratios(), "EUR")
    assert found.schema == pl.Schema(MARKDOWNS)
    assert found.rows() == [
        ("at list", 1, 10000, 10000, 0, 1, 3000, 7000, 0.7, 0),
        ("up to 20%", 3, 24000, 30000, 6000, 3, 9000, 15000, 0.625, 0),
    ]


def test_what_has_no_list_price_in_its_currency_has_no_band():
    found = markdown_effect(
        sold(("BAG", 1, 8000, "USD"), ("BELT", 1, 100, "EUR"), ("HAT", 1, 4000, "USD")), CATALOG, ratios(), "EUR"
    )
    assert found.select("discount", "units", "base_revenue_minor", "base_list_minor", "base_cost_minor").rows() == [
        ("up to 20%", 1, 2000, 2500, None),
        (None, 2, 4100, None, None),
    ]


def test_an_unknown_cost_or_rate_is_no_zero():
    unknown = markdown_effect(sold(("BAG", 1, 8000, "EUR"), cost=None), CATALOG, ratios(), "EUR")
    assert unknown.select("units_costed", "base_cost_minor", "base_margin_minor", "margin_rate").row(0) == (
        0,
        None,
        None,
        None,
    )
    no_rate = markdown_effect(sold(("BAG", 1, 8000, "CHF")), CATALOG, ratios(), "EUR")
    assert no_rate["unconverted"].to_list() == [1]


# Turns and the margin return


def changes(*rows: tuple[str, int, str, int | None]) -> pl.DataFrame:
    """sku, days after DAY, kind, change of the stock's value."""
    schema = {"sku": pl.String, "day": pl.Date, "kind": pl.String, "base_minor": pl.Int64}
    dated = [(sku, DAY + timedelta(days=n), kind, value) for sku, n, kind, value in rows]
    return pl.DataFrame(dated, schema=schema, orient="row")


def lines(*rows: tuple[str, int, int | None]) -> pl.DataFrame:
    schema = {"sku": pl.String, "day": pl.Date, "base_amount_minor": pl.Int64}
    dated = [(sku, DAY + timedelta(days=n), amount) for sku, n, amount in rows]
    return pl.DataFrame(dated, schema=schema, orient="row").with_columns(kind=pl.lit("goods"))


def test_turns_are_cost_and_gmroi_is_margin_over_the_average_stock():
    # Four days: 1000, 1000, 400, 400 at their ends.
    stock = changes(("BAG", -9, "receipt", 1000), ("BAG", 2, "sale", -600))
    found = stock_turns(stock, lines(("BAG", 2, 1300), ("BAG", -5, 99)), CATALOG, DAY + timedelta(days=3), days=4)

    assert found.schema == pl.Schema(TURNS)
    assert found.drop("collection").rows() == [
        ("BAG", DAY, DAY + timedelta(days=3), 1300, 600, 700, 700, 600 / 700, 1.0)
    ]


@pytest.mark.parametrize(
    ("stock", "sales"),
    [
        ([("BAG", 0, "receipt", 1000), ("BAG", 1, "sale", None)], [("BAG", 1, 900)]),
        ([("BAG", 0, "sale", -100)], [("BAG", 0, 900)]),
        ([("BAG", 0, "receipt", 1000)], [("BAG", 1, None)]),
    ],
)
def test_without_a_cost_a_rate_or_a_stock_there_is_no_return(stock: list[Any], sales: list[Any]):
    found = stock_turns(changes(*stock), lines(*sales), CATALOG, DAY + timedelta(days=3), days=4)
    assert found["gmroi"].to_list() == [None]


def test_a_movement_is_worth_its_value_and_variance_at_the_rate_of_its_day():
    parts = pl.DataFrame(
        {
            "day": DAY,
            "units": [1, 0, 1, 1],
            "value_minor": [100, 0, None, 7],
            "variance_minor": [-20, 0, 0, 0],
            "currency": ["USD", None, None, "CHF"],
        }
    )
    assert base_changes(parts, ratios(), "EUR")["base_minor"].to_list() == [40, 0, None, None]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(st.just("BAG"), st.integers(-20, 9), st.sampled_from(["receipt", "sale"]), st.integers(-999, 999)),
        min_size=1,
        max_size=15,
    ),
    st.integers(1, 12),
)
def test_the_average_stock_is_that_of_the_ends_of_all_days(rows: list[Any], days: int):
    last = DAY + timedelta(days=5)
    found = stock_turns(changes(*rows), lines(), CATALOG, last, days=days)
    told = [(DAY + timedelta(days=n), value) for _, n, _, value in rows if n <= 5]
    ends = [sum(v for day, v in told if day <= last - timedelta(days=n)) for n in range(days)]

    assert found["base_average_stock_minor"].to_list() == ([round(Decimal(sum(ends)) / days)] if told else [])
