"""Booking: events become entries once, each amount beside the rate that it was valued at, on both databases."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from assets.finance.accounts import parse_chart
from assets.finance.booking import book, load_chart, value_late
from assets.finance.fx import daily_ratios
from assets.finance.rules import Event
from resources.store.brand_store import BrandStore
from resources.store.bulk import fetch
from resources.store.ledger import KeyTaken, read_postings
from resources.store.periods import PeriodClosed, close_month
from resources.store.rates import read_rates, write_rates

DAY = date(2026, 3, 10)


def event(key: str = "k", type: str = "expense", currency: str = "EUR", day: date = DAY, **amounts: int) -> Event:
    return Event(type, key, day, currency, amounts or {"amount": 1000})


def booked(books: BrandStore, *events: Event, **options: Any) -> dict[str, int]:
    with books.write() as (connection, brand):
        return book(connection, brand, "EUR", events, **options)


def give_rates(books: BrandStore, day: date = DAY, **worth: str) -> None:
    """Units of each currency for one euro."""
    rows = [(day, "EUR", currency, Decimal(rate), "ecb") for currency, rate in worth.items()]
    names = {"date": pl.Date, "base": pl.String, "quote": pl.String, "rate": pl.Decimal(28, 12), "source": pl.String}
    with books.write() as (connection, brand):
        write_rates(connection, brand, pl.DataFrame(rows, schema=names, orient="row"))


def late(books: BrandStore) -> int:
    with books.write() as (connection, brand):
        ratios = daily_ratios(read_rates(connection, brand), "EUR")
        return value_late(connection, brand, "EUR", ratios, DAY, DAY + timedelta(days=40))


def journal(books: BrandStore) -> pl.DataFrame:
    with books.read() as (connection, brand):
        return read_postings(connection, brand, date(2026, 1, 1), date(2026, 12, 31))


def sums(books: BrandStore) -> dict[tuple[str, str], tuple[int, int]]:
    rows = (
        journal(books)
        .group_by("subaccount", "currency")
        .agg(pl.col("amount_minor").sum(), pl.col("base_amount_minor").sum())
    )
    return {(account, currency): (amount, base) for account, currency, amount, base in rows.iter_rows()}


def test_an_event_is_booked_once(books: BrandStore) -> None:
    assert booked(books, event()) == booked(books, event())
    with pytest.raises(KeyTaken):
        booked(books, event(amount=5))
    assert sums(books) == {("6500", "EUR"): (1000, 1000), ("1000", "EUR"): (-1000, -1000)}


def test_events_of_one_call_are_all_kept_or_none(books: BrandStore) -> None:
    booked(books, event("a"))
    with pytest.raises(KeyTaken):
        booked(books, event("b"), event("a", amount=7))
    assert journal(books).height == 2


def test_a_foreign_amount_is_valued_at_the_days_rate_and_keeps_it(books: BrandStore) -> None:
    give_rates(books, USD="1.25")
    booked(books, event(currency="USD", amount=1000))
    assert sums(books) == {("6500", "USD"): (1000, 800), ("1000", "USD"): (-1000, -800)}
    with books.read() as (connection, _):
        kept = fetch(connection, "SELECT DISTINCT rate_numerator, rate_denominator FROM postings", {})
    assert [Decimal(numerator) / Decimal(denominator) for numerator, denominator in kept] == [Decimal("0.8")]


def test_roundings_leave_nothing_over_in_the_base_currency(books: BrandStore) -> None:
    give_rates(books, JPY="161.37", KWD="0.3337")
    booked(books, event("j", "payout", "JPY", gross=1001, fee=37, net=964))
    booked(books, event("k", "payout", "KWD", gross=99_999, fee=3_333, net=96_666))
    per_entry = journal(books).group_by("entry_id").agg(pl.col("base_amount_minor").sum())
    assert per_entry["base_amount_minor"].to_list() == [0, 0]


def test_an_exchange_of_currencies_books_what_was_gained_or_lost(books: BrandStore) -> None:
    give_rates(books, USD="1.25")
    names = {"from_bank": "us", "into_bank": "main", "into_currency": "EUR"}
    transfer = Event("transfer", "t", DAY, "USD", {"amount": 10000, "into_amount": 8100}, names)
    booked(books, transfer, replace(transfer, key="u", amounts={"amount": 10000, "into_amount": 7950}))
    assert sums(books) == {
        ("1000.us", "USD"): (-20000, -16000),
        ("1000.main", "EUR"): (16050, 16050),
        ("1900", "USD"): (20000, 16000 + 100 - 50),
        ("1900", "EUR"): (-16050, -16050),
        ("7000", "USD"): (0, -100),
        ("7100", "USD"): (0, 50),
    }


def test_a_rate_that_comes_late_values_the_entry_once(books: BrandStore) -> None:
    booked(books, event(currency="USD"), event("gbp", currency="GBP"))
    assert journal(books)["base_amount_minor"].null_count() == 4
    assert late(books) == 0
    give_rates(books, USD="1.25")
    assert (late(books), late(books)) == (1, 0)
    assert sums(books)["6500", "USD"] == (1000, 800)
    assert sums(books)["6500", "GBP"] == (1000, 0)


def test_a_late_rate_finds_the_gain_of_an_exchange_too(books: BrandStore) -> None:
    names = {"from_bank": "us", "into_bank": "main", "into_currency": "EUR"}
    booked(books, Event("transfer", "t", DAY, "USD", {"amount": 10000, "into_amount": 8100}, names))
    assert ("7000", "USD") not in sums(books)
    give_rates(books, USD="1.25")
    assert late(books) == 1
    assert sums(books)["7000", "USD"] == (0, -100)
    assert sums(books)["1900", "USD"][1] + sums(books)["1900", "EUR"][1] == 0


def test_a_rate_is_not_carried_beyond_its_limit(books: BrandStore) -> None:
    give_rates(books, USD="1.25")
    booked(books, event("old", currency="USD", day=DAY + timedelta(days=7)))
    booked(books, event("too old", currency="USD", day=DAY + timedelta(days=8)))
    assert journal(books).sort("entry_id")["base_amount_minor"].to_list() == [800, -800, None, None]


def test_an_event_of_a_closed_month_stands_in_the_next_or_is_refused(books: BrandStore) -> None:
    with books.write() as (connection, brand):
        close_month(connection, brand, date(2026, 3, 1), today=date(2026, 4, 2))
    with pytest.raises(PeriodClosed):
        booked(books, event(), late="refuse")
    booked(books, event())
    assert journal(books).select("day", "event_day").unique().rows() == [(date(2026, 4, 1), DAY)]


def test_a_brands_chart_lies_in_its_installation(books: BrandStore) -> None:
    home = books.settings.home
    assert load_chart(home) == parse_chart("")
    home.mkdir(exist_ok=True)
    (home / "chart.yaml").write_text("processors: {online_store: adyen}", encoding="utf-8")
    assert load_chart(home).paid_through("online_store") == "1100.adyen"
