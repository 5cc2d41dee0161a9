"""Posting: each kind on its account, every order in balance, and nothing assumed where a rate or a cost is unknown."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any, get_args

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.finance.accounts import CHART, CLEARING, COST_OF_GOODS, INVENTORY, RETURNS, chart_frame
from assets.finance.fx import daily_ratios
from assets.finance.posting import WANTED, value_lines, wanted_postings
from assets.finance.rules import account_of_kind
from assets.ingestion.mapping import LineKind

DAY = date(2026, 3, 2)
LINES = {
    "order_id": pl.Int64,
    "day": pl.Date,
    "kind": pl.String,
    "sku": pl.String,
    "quantity": pl.Int64,
    "amount_minor": pl.Int64,
    "currency": pl.String,
}
COSTS = {"sku": pl.String, "valid_from": pl.Date, "cost_minor": pl.Int64, "currency": pl.String}
RATES = {"day": pl.Date, "base": pl.String, "quote": pl.String, "rate": pl.Decimal(28, 12), "source": pl.String}
# The table of docs/finance.md, written out once more.
BOOKED = {
    "goods": "4000",
    "refund": "4100",
    "discount": "4200",
    "shipping": "4300",
    "tax": "2200",
    "gift_card": "2100",
    "other": "4800",
    "adjustment": "4900",
    "fee": "6100",
    "sample": "6200",
    "bad_debt": "6300",
}
MOVE_NO_MONEY = {"gift", "stock_adjustment", "test", "void"}


def line(kind: str = "goods", amount: int = 1000, quantity: int = 1, **other: Any) -> dict[str, Any]:
    plain = {"order_id": 1, "day": DAY, "sku": "BAG" if kind == "goods" else None, "currency": "EUR"}
    return {**plain, "kind": kind, "quantity": quantity, "amount_minor": amount, **other}


def cost(minor: int = 300, valid_from: date = date(1970, 1, 1), sku: str = "BAG", currency: str = "EUR") -> tuple:
    return sku, valid_from, minor, currency


def ratios(**worth: str) -> pl.DataFrame:
    """What one unit of each currency is worth in euros, on DAY and the week after."""
    rows = [(DAY, currency, "EUR", Decimal(rate), "test") for currency, rate in worth.items()]
    return daily_ratios(pl.DataFrame(rows, schema=RATES, orient="row"), "EUR")


def valued(lines: list[dict[str, Any]], *costs: tuple, **worth: str) -> pl.DataFrame:
    frame = pl.DataFrame(lines, schema=LINES, orient="row")
    return value_lines(frame, pl.DataFrame(costs, schema=COSTS, orient="row"), ratios(**worth), "EUR")


def posted(lines: list[dict[str, Any]], *costs: tuple, **worth: str) -> dict[tuple[str, str], tuple[int, int | None]]:
    """(account, currency): (amount, base amount), for lines of one order."""
    rows = wanted_postings(valued(lines, *costs, **worth)).iter_rows(named=True)
    return {(row["account"], row["currency"]): (row["amount_minor"], row["base_amount_minor"]) for row in rows}


def test_the_table_names_every_kind_of_line():
    assert set(BOOKED) | MOVE_NO_MONEY == set(get_args(LineKind))
    assert set(BOOKED) == set(account_of_kind())


def test_the_chart_has_each_code_once():
    assert chart_frame()["code"].is_unique().all()
    assert chart_frame().height == len(CHART)
    assert {account.code for account in account_of_kind().values()} <= set(chart_frame()["code"])


@pytest.mark.parametrize(("kind", "account"), BOOKED.items())
def test_a_kind_credits_its_account_and_debits_clearing(kind: str, account: str):
    assert posted([line(kind, 1000)]) == {(account, "EUR"): (-1000, -1000), (CLEARING.code, "EUR"): (1000, 1000)}


@pytest.mark.parametrize(("kind", "account"), BOOKED.items())
def test_a_negative_amount_does_the_reverse(kind: str, account: str):
    account = RETURNS.code if kind == "goods" else account

    assert posted([line(kind, -1000, -1)]) == {(account, "EUR"): (1000, 1000), (CLEARING.code, "EUR"): (-1000, -1000)}


@pytest.mark.parametrize("kind", sorted(MOVE_NO_MONEY - {"void"}))
def test_kinds_that_move_no_money_are_not_posted(kind: str):
    assert posted([line(kind, 1000)]) == {}


def test_goods_that_come_back_are_returns_and_never_negative_sales():
    assert posted([line(amount=-400, quantity=-1)]) == {("4100", "EUR"): (400, 400), ("1100", "EUR"): (-400, -400)}


def test_goods_of_known_cost_move_from_inventory_and_returned_ones_move_back():
    sold = posted([line(amount=5000, quantity=2)], cost(300))
    back = posted([line(amount=-5000, quantity=-2)], cost(300))

    assert (sold[COST_OF_GOODS.code, "EUR"], sold[INVENTORY.code, "EUR"]) == ((600, 600), (-600, -600))
    assert (back[COST_OF_GOODS.code, "EUR"], back[INVENTORY.code, "EUR"]) == ((-600, -600), (600, 600))


def test_an_unknown_cost_posts_no_cost_and_assumes_none():
    lines = valued([line()], cost(sku="OTHER"))

    assert lines.select("cost_minor", "cost_currency", "base_cost_minor").row(0) == (None, None, None)
    assert {account for account, _ in posted([line()], cost(sku="OTHER"))} == {"4000", "1100"}


def test_only_goods_have_a_cost():
    assert valued([line("gift", 0, sku="BAG"), line("shipping")], cost())["cost_minor"].null_count() == 2


def test_the_cost_is_the_newest_that_is_valid_on_the_day():
    costs = [cost(300, DAY), cost(200, DAY - timedelta(days=30)), cost(400, DAY + timedelta(days=1))]
    days = [DAY - timedelta(days=31), DAY - timedelta(days=1), DAY, DAY + timedelta(days=1), DAY + timedelta(days=900)]

    assert valued([line(day=day) for day in days], *costs)["cost_minor"].to_list() == [None, 200, 300, 400, 400]


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.integers(0, 30), st.integers(0, 10**6), max_size=6),
    st.lists(st.tuples(st.integers(-5, 40), st.integers(-9, 9).filter(bool)), min_size=1, max_size=12),
)
def test_the_cost_of_any_line_is_that_of_the_last_change_before_it(changes: dict[int, int], sales: list):
    costs = [cost(minor, DAY + timedelta(days=n)) for n, minor in changes.items()]
    lines = [line(day=DAY + timedelta(days=n), quantity=q, amount=q) for n, q in sales]

    expected = []
    for n, quantity in sales:
        before = [k for k in changes if k <= n]
        expected.append(changes[max(before)] * quantity if before else None)
    assert valued(lines, *costs)["cost_minor"].to_list() == expected


def test_an_unknown_rate_leaves_the_base_amount_empty_and_not_zero():
    booked = posted([line(amount=1000, currency="USD")])

    assert booked == {("4000", "USD"): (-1000, None), ("1100", "USD"): (1000, None)}


def test_an_unknown_rate_of_the_cost_leaves_the_sale_known():
    booked = posted([line()], cost(currency="USD"))

    assert booked["4000", "EUR"] == (-1000, -1000)
    assert (booked[COST_OF_GOODS.code, "USD"], booked[INVENTORY.code, "USD"]) == ((300, None), (-300, None))


def test_sale_and_cost_each_stand_in_their_own_currency():
    booked = posted([line(amount=1000, currency="USD")], cost(30_000, currency="JPY"), USD="0.9", JPY="0.006")

    assert booked == {
        ("4000", "USD"): (-1000, -900),
        ("1100", "USD"): (1000, 900),
        ("5000", "JPY"): (30_000, 18_000),
        ("1300", "JPY"): (-30_000, -18_000),
    }


def test_a_cost_that_does_not_fit_is_unknown_and_does_not_wrap_around():
    assert valued([line(quantity=10**9)], cost(10**14))["cost_minor"].to_list() == [None]


def test_a_day_without_lines_posts_nothing():
    nothing = wanted_postings(valued([]))

    assert nothing.columns == WANTED
    assert nothing.is_empty()


any_lines = st.lists(
    st.builds(
        line,
        kind=st.sampled_from(sorted(set(get_args(LineKind)) - {"void"})),
        amount=st.integers(-(10**9), 10**9),
        quantity=st.integers(-20, 20).filter(bool),
        order_id=st.integers(1, 3),
        day=st.sampled_from([DAY, DAY + timedelta(days=1), DAY - timedelta(days=3)]),
        currency=st.sampled_from(["EUR", "USD", "JPY", "KWD", "GBP"]),
        sku=st.sampled_from(["BAG", "SHOE", "SCARF", None]),
    ),
    max_size=25,
)
COSTED = (cost(333), cost(45_001, DAY, "SHOE", "JPY"))
WORTH = {"USD": "0.923417", "JPY": "0.00612345", "KWD": "3.0157"}


@settings(max_examples=150, deadline=None)
@given(any_lines)
def test_any_lines_balance_by_order_day_and_currency_also_in_base(lines: list[dict[str, Any]]):
    wanted = wanted_postings(valued(lines, *COSTED, **WORTH))

    sums = wanted.group_by("order_id", "day", "currency").agg(
        pl.col("amount_minor").sum(),
        pl.col("base_amount_minor").sum(),
        (pl.col("base_amount_minor").is_null().any() == pl.col("base_amount_minor").is_null().all()).alias("of_a_kind"),
    )
    assert sums["amount_minor"].to_list() == [0] * sums.height
    assert sums["base_amount_minor"].to_list() == [0] * sums.height
    assert sums["of_a_kind"].all()
    assert wanted.select("order_id", "day", "account", "currency").is_unique().all()


@settings(max_examples=60, deadline=None)
@given(any_lines)
def test_a_base_amount_is_empty_just_where_the_day_has_no_rate(lines: list[dict[str, Any]]):
    wanted = wanted_postings(valued(lines, *COSTED, **WORTH))

    unknown = (pl.col("currency") == "GBP") | ((pl.col("currency") != "EUR") & (pl.col("day") < DAY))
    assert wanted.filter(unknown != pl.col("base_amount_minor").is_null()).is_empty()


@settings(max_examples=60, deadline=None)
@given(any_lines, st.randoms(use_true_random=False))
def test_the_order_of_the_lines_does_not_matter(lines: list[dict[str, Any]], random: Any):
    shuffled = random.sample(lines, len(lines))

    key = ["order_id", "day", "account", "currency"]
    one, other = (wanted_postings(valued(rows, *COSTED, **WORTH)).sort(key) for rows in (lines, shuffled))
    assert one.equals(other)


@settings(deadline=None)
@given(any_lines)
def test_valuing_keeps_every_line_in_its_place(lines: list[dict[str, Any]]):
    frame = pl.DataFrame(lines, schema=LINES, orient="row")

    assert valued(lines, *COSTED, **WORTH).select(frame.columns).equals(frame)
