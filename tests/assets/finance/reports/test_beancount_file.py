"""The Beancount file: Beancount itself takes it without an error, and finds the balances of the trial balance."""

from collections import defaultdict
from datetime import date
from decimal import Decimal
from pathlib import Path

import polars as pl
from beancount import loader
from beancount.core.data import Open, Transaction
from hypothesis import HealthCheck, given, settings

from assets.finance.money import to_decimal
from assets.finance.reports.beancount_file import account_names, render_beancount
from assets.finance.reports.position import trial_balance
from assets.finance.reports.span import Span
from tests.assets.finance.reports.books import FIRST, POSTINGS, any_postings, entry, sources

ALL = Span(date(2026, 1, 1), date(2026, 12, 31))


def checked(postings: list[dict], folder: Path) -> list:
    """The entries that Beancount finds in the file; it must not complain."""
    file = folder / "books.beancount"
    frame = pl.DataFrame(postings, schema=POSTINGS, orient="row")
    file.write_text(render_beancount(frame, "EUR", 'Maison "Orsenna"'), encoding="utf-8")
    entries, errors, _ = loader.load_file(str(file))
    assert errors == []
    return entries


def balances(entries: list) -> dict[tuple[str, str], Decimal]:
    """By head account and currency, added up from Beancount's own postings."""
    codes = {e.account: e.meta["code"] for e in entries if isinstance(e, Open)}
    found: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for transaction in entries:
        if isinstance(transaction, Transaction):
            for posting in transaction.postings:
                assert posting.units is not None and posting.units.number is not None
                found[codes[posting.account][:4], str(posting.units.currency)] += Decimal(posting.units.number)
    return {key: amount for key, amount in found.items() if amount}


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(postings=any_postings)
def test_beancount_finds_the_balances_of_the_trial_balance(tmp_path: Path, postings) -> None:
    report = trial_balance(sources(postings), ALL)
    expected = {}
    for row in report.rows:
        account, _, currency = row.key.rpartition("/")
        closing = report.cell(row.key, "closing")
        if row.kind == "line" and currency != "base" and closing:
            expected[account, currency] = to_decimal(int(closing), currency)
    assert balances(checked(postings, tmp_path)) == expected


def test_an_entry_is_a_transaction_with_what_it_is_worth(tmp_path: Path) -> None:
    legs = [("1100.shop", 1200, "USD"), ("4000.shop", -1000, "USD"), ("2200.DE", -200, "USD")]
    words = 'Says "hello"\nand \\ goes'
    posted = entry(7, FIRST, legs, order=3, kind="order", description=words)
    (transaction,) = [e for e in checked(posted, tmp_path) if isinstance(e, Transaction)]
    assert (transaction.date, transaction.narration) == (FIRST, 'Says "hello" and \\ goes')
    assert (transaction.meta["entry"], transaction.meta["order"]) == ("7", "N3")
    first = transaction.postings[0]
    assert (first.account, str(first.units)) == ("Assets:PaymentClearing:Shop", "12.00 USD")
    assert first.meta and str(first.meta["base"]) == "11.08 EUR"


def test_sub_accounts_of_like_names_stay_apart(tmp_path: Path) -> None:
    legs = [
        ("4000.my-shop", -100, "EUR"),
        ("4000.my_shop", -100, "EUR"),
        ("4000.日本", -100, "EUR"),
        ("1000", 300, "EUR"),
    ]
    posted = entry(1, FIRST, legs)
    names = account_names(pl.DataFrame(posted, schema=POSTINGS, orient="row"))
    assert len(set(names.values())) == 4
    assert names["4000.my-shop"] == "Income:SalesOfGoods:MyShop"
    assert len([e for e in checked(posted, tmp_path) if isinstance(e, Open)]) == 4


def test_the_same_books_give_the_same_file() -> None:
    posted = entry(1, FIRST, [("1000", 5, "JPY"), ("4000.b", -5, "JPY")]) + entry(
        2, FIRST, [("1000", 5, "EUR"), ("4000.a", -5, "EUR")]
    )
    one, other = (pl.DataFrame(rows, schema=POSTINGS, orient="row") for rows in (posted, posted[::-1]))
    assert render_beancount(one, "EUR", "t") == render_beancount(other, "EUR", "t")


def test_no_entries_are_a_file_too(tmp_path: Path) -> None:
    assert checked([], tmp_path) == []
