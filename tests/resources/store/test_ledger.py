"""The journal: append only, and only what differs from what stands is posted."""

from datetime import date
from typing import Any

import polars as pl
import pytest
from sqlalchemy import text

from resources.store.brand_store import BrandStore
from resources.store.ledger import post, read_postings, write_accounts

DAY, NEXT = date(2025, 3, 1), date(2025, 3, 2)
ACCOUNTS = pl.DataFrame(
    {"code": ["1100", "4000", "2200"], "name": ["Clients", "Sales", "Tax"], "type": ["asset", "revenue", "liability"]}
)
WANTED = {
    "order_id": pl.Int64,
    "day": pl.Date,
    "account": pl.String,
    "currency": pl.String,
    "amount_minor": pl.Int64,
    "base_amount_minor": pl.Int64,
}


@pytest.fixture
def order(books: BrandStore) -> int:
    """An order that entries can name."""
    return make_order(books, "1")


def make_order(books: BrandStore, number: str) -> int:
    with books.write() as (connection, brand):
        connection.execute(
            text(
                "INSERT INTO channels (brand_id, code, kind) SELECT :brand, 'shopify', 'shopify' "
                "WHERE NOT EXISTS (SELECT 1 FROM channels WHERE brand_id = :brand)"
            ),
            {"brand": brand},
        )
        made = connection.execute(
            text(
                "INSERT INTO orders (brand_id, channel_id, number, currency, placed_at, local_date) "
                "SELECT brand_id, id, :number, 'EUR', '2025-03-01 10:00:00.000000', '2025-03-01' FROM channels "
                "WHERE brand_id = :brand RETURNING id"
            ),
            {"brand": brand, "number": number},
        )
        return made.scalar_one()


def sale(order: int, gross: int, tax: int = 0, day: date = DAY, rate: int | None = 1) -> list[tuple[Any, ...]]:
    amounts = [("1100", gross), ("4000", tax - gross), ("2200", -tax)]
    return [(order, day, code, "EUR", amount, rate and amount * rate) for code, amount in amounts if amount]


def post_all(books: BrandStore, wanted: list[tuple[Any, ...]], first: date = DAY, last: date = NEXT) -> int:
    with books.write() as (connection, brand):
        accounts = write_accounts(connection, brand, ACCOUNTS)
        return post(connection, brand, pl.DataFrame(wanted, schema=WANTED, orient="row"), accounts, first, last)


def journal(books: BrandStore) -> pl.DataFrame:
    with books.read() as (connection, brand):
        return read_postings(connection, brand, DAY, NEXT)


def balances(books: BrandStore) -> dict[str, int]:
    return dict(
        journal(books)
        .group_by("account")
        .agg(pl.col("amount_minor").sum())
        .filter(pl.col("amount_minor") != 0)
        .iter_rows()
    )


def test_an_order_is_one_entry_that_sums_to_zero(books: BrandStore, order: int) -> None:
    assert post_all(books, sale(order, 12000, 2000)) == 1
    found = journal(books)
    assert found["entry_id"].n_unique() == 1
    assert found["amount_minor"].sum() == found["base_amount_minor"].sum() == 0
    assert balances(books) == {"1100": 12000, "4000": -10000, "2200": -2000}
    assert found["order_number"].unique().to_list() == ["1"]


def test_nothing_is_appended_when_nothing_has_changed(books: BrandStore, order: int) -> None:
    post_all(books, sale(order, 12000, 2000))
    before = journal(books)
    assert post_all(books, sale(order, 12000, 2000)) == 0
    assert journal(books).equals(before)


def test_what_has_changed_is_appended_and_the_earlier_entry_stays(books: BrandStore, order: int) -> None:
    post_all(books, sale(order, 12000, 2000))
    before = journal(books)
    assert post_all(books, sale(order, 9000, 1500)) == 1
    after = journal(books)
    assert after.head(before.height).equals(before)
    correction = after.tail(after.height - before.height)
    assert correction["amount_minor"].sum() == 0
    assert set(correction["description"]) == {"Correction of an order"}
    assert balances(books) == {"1100": 9000, "4000": -7500, "2200": -1500}


def test_an_order_that_is_gone_is_reversed(books: BrandStore, order: int) -> None:
    post_all(books, sale(order, 12000, 2000))
    assert post_all(books, []) == 1
    assert balances(books) == {}
    assert post_all(books, []) == 0


def test_a_rate_that_becomes_known_adds_only_the_valuation(books: BrandStore, order: int) -> None:
    post_all(books, sale(order, 12000, rate=None))
    assert journal(books)["base_amount_minor"].null_count() == 2
    assert post_all(books, sale(order, 12000, rate=2)) == 1
    found = journal(books)
    assert balances(books) == {"1100": 12000, "4000": -12000}
    valued = dict(found.group_by("account").agg(pl.col("base_amount_minor").sum()).iter_rows())
    assert valued == {"1100": 24000, "4000": -24000}
    assert post_all(books, sale(order, 12000, rate=2)) == 0


def test_corrections_may_follow_each_other(books: BrandStore, order: int) -> None:
    for amount in (100, 200, 50, 50, 300):
        post_all(books, sale(order, amount))
    assert journal(books)["entry_id"].n_unique() == 4
    assert balances(books) == {"1100": 300, "4000": -300}


def test_only_the_days_that_are_asked_for_are_compared(books: BrandStore, order: int) -> None:
    post_all(books, sale(order, 100))
    other = make_order(books, "2")
    assert post_all(books, sale(other, 70, day=NEXT), NEXT, NEXT) == 1
    assert balances(books) == {"1100": 170, "4000": -170}


def test_the_journals_of_two_brands_live_apart(books: BrandStore, order: int) -> None:
    second = BrandStore(books.settings.model_copy(update={"brand": "second"}), books.store)
    post_all(books, sale(order, 100))
    assert post_all(second, sale(make_order(second, "1"), 40)) == 1
    assert balances(books) == {"1100": 100, "4000": -100}
    assert balances(second) == {"1100": 40, "4000": -40}


def test_an_account_keeps_its_number_when_it_is_renamed(books: BrandStore) -> None:
    with books.write() as (connection, brand):
        before = write_accounts(connection, brand, ACCOUNTS)
        after = write_accounts(connection, brand, ACCOUNTS.with_columns(name=pl.lit("New")))
    assert before == after
