"""The month's end in foreign money: gains are realised when a balance is settled, and the rest stands at the closing rate."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.finance.accounts import default_chart
from assets.finance.booking import book, value_late
from assets.finance.fx import daily_ratios, disagreements
from assets.finance.fx_closing import OutOfOrder, month_end, revalue_month
from assets.finance.revaluation import average_carrying
from assets.finance.rules import Event
from resources.settings import BrandSettings
from resources.store.brand_store import BrandStore
from resources.store.ledger import read_postings
from resources.store.periods import PeriodClosed, close_month
from resources.store.rates import read_rates, write_rates

MARCH, APRIL = date(2026, 3, 1), date(2026, 4, 1)
RATES = {"date": pl.Date, "base": pl.String, "quote": pl.String, "rate": pl.Decimal(28, 12), "source": pl.String}


def give(books: BrandStore, *rates: tuple[date, str, str]) -> None:
    """Day, currency, units of it for one euro."""
    rows = [(day, "EUR", currency, Decimal(rate), "ecb") for day, currency, rate in rates]
    with books.write() as (connection, brand):
        write_rates(connection, brand, pl.DataFrame(rows, schema=RATES, orient="row"))


def happen(books: BrandStore, *events: tuple[str, str, date, str, int, dict[str, str]]) -> None:
    made = [
        Event(type, key, day, currency, {"amount": amount}, names) for type, key, day, currency, amount, names in events
    ]
    with books.write() as (connection, brand):
        book(connection, brand, "EUR", made)


def revalue(
    books: BrandStore, month: date = MARCH, **options: Any
) -> tuple[dict[tuple[str, str], dict[str, Any]], int]:
    with books.write() as (connection, brand):
        found, entries = revalue_month(connection, brand, BrandSettings(), default_chart(), month, **options)
    return {(row["subaccount"], row["currency"]): row for row in found.to_dicts()}, entries


def base_at(books: BrandStore, day: date) -> dict[tuple[str, str], int]:
    """What each account is worth in the books at the end of a day."""
    with books.read() as (connection, brand):
        postings = read_postings(connection, brand, date.min, day)
    sums = postings.group_by("subaccount", "currency").agg(pl.col("base_amount_minor").sum())
    return {(account, currency): base for account, currency, base in sums.iter_rows() if base}


@pytest.fixture
def dollars(books: BrandStore) -> BrandStore:
    """1,000.00 dollars came in at 0.80 euros, 400.00 went out at 0.90; the month closes at 1.00."""
    give(
        books,
        (date(2026, 3, 2), "USD", "1.25"),
        (date(2026, 3, 16), "USD", "1.1111111111"),
        (date(2026, 3, 31), "USD", "1"),
    )
    happen(
        books,
        ("revenue", "in", date(2026, 3, 2), "USD", 100_000, {"bank": "us"}),
        ("expense", "out", date(2026, 3, 16), "USD", 40_000, {"bank": "us", "category": "rent"}),
    )
    return books


def test_what_was_settled_is_realised_and_the_rest_stands_at_the_closing_rate(dollars: BrandStore) -> None:
    found, entries = revalue(dollars)
    row = found["1000.us", "USD"]
    assert (row["foreign_minor"], row["carrying_minor"], row["closing_minor"]) == (60_000, 48_000, 60_000)
    # 40,000 that had cost 32,000 went out at 36,000.
    assert (row["realised_minor"], row["unrealised_minor"], entries) == (4_000, 12_000, 3)
    at_end = base_at(dollars, date(2026, 3, 31))
    assert (at_end["1000.us", "USD"], at_end["7000", "USD"], at_end["7010", "USD"]) == (60_000, -4_000, -12_000)


def test_what_is_not_realised_is_taken_back_on_the_next_day(dollars: BrandStore) -> None:
    revalue(dollars)
    after = base_at(dollars, APRIL)
    assert after["1000.us", "USD"] == 48_000
    assert after["7000", "USD"] == -4_000
    assert ("7010", "USD") not in after


def test_the_same_month_again_posts_nothing_and_a_corrected_rate_the_difference(dollars: BrandStore) -> None:
    revalue(dollars)
    assert revalue(dollars)[1] == 0
    give(dollars, (date(2026, 3, 31), "USD", "1.25"))
    assert revalue(dollars)[1] == 2
    assert base_at(dollars, date(2026, 3, 31))["1000.us", "USD"] == 48_000
    give(dollars, (date(2026, 3, 31), "USD", "1"))
    assert revalue(dollars)[1] == 2
    assert base_at(dollars, date(2026, 3, 31))["1000.us", "USD"] == 60_000
    assert base_at(dollars, APRIL)["1000.us", "USD"] == 48_000


def test_months_are_revalued_in_their_order(dollars: BrandStore) -> None:
    give(dollars, (date(2026, 4, 30), "USD", "2"))
    revalue(dollars, APRIL)
    before = base_at(dollars, date(2026, 5, 1))
    with pytest.raises(OutOfOrder, match="in their order"):
        revalue(dollars, MARCH)
    assert base_at(dollars, date(2026, 5, 1)) == before
    assert revalue(dollars, APRIL)[1] == 0


def test_a_dry_run_posts_nothing(dollars: BrandStore) -> None:
    before = base_at(dollars, APRIL)
    assert revalue(dollars, dry_run=True)[1] == 3
    assert base_at(dollars, APRIL) == before


def test_the_next_month_begins_from_what_is_carried(dollars: BrandStore) -> None:
    revalue(dollars)
    give(dollars, (date(2026, 4, 30), "USD", "2"))
    row, entries = revalue(dollars, APRIL)
    assert row["1000.us", "USD"]["realised_minor"] == 4_000
    assert row["1000.us", "USD"]["unrealised_minor"] == 30_000 - 48_000
    assert entries == 2
    at_end = base_at(dollars, date(2026, 4, 30))
    assert (at_end["1000.us", "USD"], at_end["7110", "USD"]) == (30_000, 18_000)


def test_a_debt_that_grows_is_a_loss(books: BrandStore) -> None:
    give(books, (date(2026, 3, 2), "USD", "1.25"), (date(2026, 3, 31), "USD", "1"))
    with books.write() as (connection, brand):
        invoice = Event("supplier_invoice", "i", date(2026, 3, 2), "USD", {"goods": 10_000}, {"supplier": "tannery"})
        book(connection, brand, "EUR", [invoice])
    row = revalue(books)[0]["2000.tannery", "USD"]
    assert (row["carrying_minor"], row["closing_minor"], row["unrealised_minor"]) == (-8_000, -10_000, -2_000)
    # The goods that were received stand against it at the same rate.
    at_end = base_at(books, date(2026, 3, 31))
    assert (at_end["7110", "USD"], at_end["7010", "USD"]) == (2_000, -2_000)


def test_a_balance_without_a_rate_is_named_and_not_guessed(books: BrandStore) -> None:
    happen(books, ("revenue", "in", date(2026, 3, 2), "GBP", 100, {"bank": "uk"}))
    found, entries = revalue(books)
    row = found["1000.uk", "GBP"]
    assert (row["foreign_minor"], row["carrying_minor"], row["closing_minor"], entries) == (100, None, None, 0)
    give(books, (date(2026, 3, 31), "GBP", "0.8"))
    assert revalue(books)[0]["1000.uk", "GBP"]["unrealised_minor"] is None


def test_an_amount_without_a_rate_is_not_hidden_by_one_that_has(books: BrandStore) -> None:
    happen(books, ("revenue", "first", date(2026, 3, 2), "GBP", 10_000, {"bank": "uk"}))
    give(books, (date(2026, 3, 2), "GBP", "0.8"), (date(2026, 3, 31), "GBP", "0.8"))
    happen(books, ("revenue", "second", date(2026, 3, 2), "GBP", 10_000, {"bank": "uk"}))
    found, entries = revalue(books)
    assert (found["1000.uk", "GBP"]["closing_minor"], entries) == (None, 0)
    with books.write() as (connection, brand):
        ratios = daily_ratios(read_rates(connection, brand), "EUR")
        assert value_late(connection, brand, "EUR", ratios, MARCH, date(2026, 3, 31)) == 1
    found, entries = revalue(books)
    assert (found["1000.uk", "GBP"]["unrealised_minor"], entries) == (0, 0)


def test_a_gain_that_is_none_any_more_is_taken_back(books: BrandStore) -> None:
    give(books, (date(2026, 3, 2), "USD", "1"), (date(2026, 3, 16), "USD", "0.5"), (date(2026, 3, 31), "USD", "0.5"))
    us = {"bank": "us"}
    happen(
        books,
        ("revenue", "in", date(2026, 3, 2), "USD", 200, us),
        ("expense", "out", date(2026, 3, 16), "USD", 200, us | {"category": "x"}),
    )
    revalue(books)
    assert base_at(books, date(2026, 3, 31))["7000", "USD"] == -200
    # It is told late that the money went out and came in on other days, at the same rates.
    happen(
        books,
        ("expense", "late out", date(2026, 3, 2), "USD", 200, us | {"category": "x"}),
        ("revenue", "late in", date(2026, 3, 16), "USD", 200, us),
    )
    assert revalue(books)[1] == 1
    at_end = base_at(books, date(2026, 3, 31))
    assert ("1000.us", "USD") not in at_end
    assert at_end.get(("7000", "USD"), 0) + at_end.get(("7100", "USD"), 0) == 0


def test_a_closed_month_is_not_revalued(dollars: BrandStore) -> None:
    with dollars.write() as (connection, brand):
        close_month(connection, brand, MARCH, today=date(2026, 4, 2))
    with pytest.raises(PeriodClosed):
        revalue(dollars)


def test_what_lies_between_two_currencies_is_no_balance(books: BrandStore) -> None:
    give(books, (date(2026, 3, 2), "USD", "1.25"), (date(2026, 3, 31), "USD", "1"))
    names = {"from_bank": "us", "into_bank": "main", "into_currency": "EUR"}
    with books.write() as (connection, brand):
        transfer = Event("transfer", "t", date(2026, 3, 2), "USD", {"amount": 1000, "into_amount": 810}, names)
        book(connection, brand, "EUR", [transfer])
    assert set(revalue(books)[0]) == {("1000.us", "USD")}


amounts = st.lists(st.tuples(st.integers(-(10**6), 10**6), st.integers(50, 200)), min_size=1, max_size=30)


@given(amounts)
def test_carrying_at_one_rate_is_the_balance_at_that_rate(days: list[tuple[int, int]]) -> None:
    assert average_carrying([(amount, amount * 2) for amount, _ in days]) == 2 * sum(amount for amount, _ in days)


@given(amounts)
def test_nothing_left_is_carried_at_nothing(days: list[tuple[int, int]]) -> None:
    told = [(amount, amount * rate // 100) for amount, rate in days]
    rest = sum(amount for amount, _ in told)
    assert average_carrying([*told, (-rest, -rest * 3)]) == 0


@given(amounts)
def test_a_balance_stands_between_its_lowest_and_its_highest_rate(days: list[tuple[int, int]]) -> None:
    told = [(amount * 100, amount * rate) for amount, rate in days]
    balance = sum(amount for amount, _ in told)
    if balance:
        worth = average_carrying(told) * 100 / balance
        # Each release rounds by half a unit.
        slack = 100 * len(days) / abs(balance) * 100
        assert min(rate for _, rate in days) - slack <= worth <= max(rate for _, rate in days) + slack


@given(amounts)
def test_a_debt_is_carried_as_a_balance_is(days: list[tuple[int, int]]) -> None:
    told = [(amount, amount * rate // 100 if amount else rate) for amount, rate in days]
    assert average_carrying([(-amount, -worth) for amount, worth in told]) == -average_carrying(told)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 12), st.integers(2000, 2100))
def test_a_month_ends_before_the_next_begins(month: int, year: int) -> None:
    first = date(year, month, 1)
    end = month_end(first)
    assert (end.month, (end + timedelta(days=1)).day) == (month, 1)


def test_a_direct_rate_far_from_the_cross_is_found() -> None:
    def rates(direct: str) -> pl.DataFrame:
        rows = [("EUR", "USD", "1.25"), ("GBP", "USD", "1.5625"), ("EUR", "GBP", direct)]
        named = [(date(2026, 3, 2), base, quote, Decimal(rate), "x") for base, quote, rate in rows]
        schema = {
            "day": pl.Date,
            "base": pl.String,
            "quote": pl.String,
            "rate": pl.Decimal(28, 12),
            "source": pl.String,
        }
        return pl.DataFrame(named, schema=schema, orient="row")

    assert disagreements(rates("0.8"), "EUR").is_empty()
    found = disagreements(rates("0.85"), "EUR")
    assert found["currency"].to_list() == ["GBP"]
