"""The journal defends itself: whoever writes, in whatever way, the database holds it to the rules on both systems."""

from datetime import date
from typing import Any

import polars as pl
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from assets.finance.accounts import chart_frame
from resources.store.brand_store import BrandStore
from resources.store.ledger import (
    AlreadyReversed,
    Entry,
    KeyTaken,
    LedgerError,
    Leg,
    Unbalanced,
    UnknownAccount,
    append_entries,
    post,
    read_postings,
    reverse_entry,
    write_accounts,
)
from resources.store.ledger_chain import FIRST_HASH, verify
from resources.store.periods import CannotClose, PeriodClosed, close_month, closed_months, read_periods, reopen_month

DAY, TODAY = date(2026, 3, 10), date(2026, 6, 15)
MARCH, APRIL, MAY = date(2026, 3, 1), date(2026, 4, 1), date(2026, 5, 1)


@pytest.fixture
def chart(books: BrandStore) -> dict[str, int]:
    """The default chart of accounts in the store."""
    with books.write() as (connection, brand):
        return write_accounts(connection, brand, chart_frame())


def expense(key: str = "rent", amount: int = 1200, day: date = DAY, **other: Any) -> Entry:
    legs = (Leg("6500.rent", "EUR", amount, amount), Leg("1000", "EUR", -amount, -amount))
    return Entry(key, day, "expense", "Rent", legs, **other)


def append(books: BrandStore, *entries: Entry) -> dict[str, int]:
    with books.write() as (connection, brand):
        return append_entries(connection, brand, entries)


def journal(books: BrandStore) -> pl.DataFrame:
    with books.read() as (connection, brand):
        return read_postings(connection, brand, date(2026, 1, 1), date(2026, 12, 31))


def run(books: BrandStore, statement: str, **values: Any) -> None:
    """What somebody types who has the database's password."""
    with books.write() as (connection, brand):
        connection.execute(text(statement), {"brand": brand, **values})


def fault(books: BrandStore) -> str | None:
    with books.read() as (connection, brand):
        return verify(connection, brand).fault


def without_lock(books: BrandStore, statement: str) -> None:
    """What somebody does who may also take the triggers away."""
    with books.store.engine.begin() as connection:
        if books.store.is_sqlite:
            triggers = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")).fetchall()
            for name, _ in triggers:
                connection.execute(text(f"DROP TRIGGER {name}"))
            connection.execute(text(statement))
            for _, sql in triggers:
                connection.execute(text(sql))
            return
        for word in ("DISABLE", "ENABLE"):
            for table in ("postings", "journal_entries"):
                connection.execute(text(f"ALTER TABLE {table} {word} TRIGGER USER"))
            if word == "DISABLE":
                connection.execute(text(statement))


def test_an_entry_is_written_once_by_its_key(books: BrandStore, chart: dict[str, int]) -> None:
    assert append(books, expense()) == append(books, expense())
    assert journal(books).height == 2


def test_the_same_key_with_another_content_is_refused(books: BrandStore, chart: dict[str, int]) -> None:
    append(books, expense())
    with pytest.raises(KeyTaken, match="rent"):
        append(books, expense(amount=1300))
    with pytest.raises(KeyTaken):
        append(books, expense("twice"), expense("twice", amount=5))
    assert journal(books)["amount_minor"].to_list() == [1200, -1200]


def test_a_sub_account_is_made_on_first_use_and_belongs_to_its_head(books: BrandStore, chart: dict[str, int]) -> None:
    append(books, expense())
    row = journal(books).filter(pl.col("amount_minor") > 0).row(0, named=True)
    assert (row["account"], row["subaccount"], row["account_name"]) == ("6500", "6500.rent", "Operating expenses")
    assert row["account_type"] == "expense"


def test_an_account_without_a_head_is_refused_and_nothing_is_kept(books: BrandStore, chart: dict[str, int]) -> None:
    stray = Entry("stray", DAY, "manual", "x", (Leg("9999.x", "EUR", 1, 1), Leg("1000", "EUR", -1, -1)))
    with pytest.raises(UnknownAccount, match="9999"):
        append(books, expense(), stray)
    assert journal(books).is_empty()


@pytest.mark.parametrize(
    "legs",
    [
        (),
        (Leg("1000", "EUR", 1, 1),),
        (Leg("1000", "EUR", 1, 1), Leg("6500", "USD", -1, -1)),
        (Leg("1000", "USD", 1, 2), Leg("6500", "USD", -1, -1)),
    ],
)
def test_an_entry_that_does_not_balance_is_refused(
    books: BrandStore, chart: dict[str, int], legs: tuple[Leg, ...]
) -> None:
    with pytest.raises(Unbalanced):
        append(books, Entry("x", DAY, "manual", "x", legs))


def test_a_reversal_takes_every_amount_back_once(books: BrandStore, chart: dict[str, int]) -> None:
    (number,) = append(books, expense()).values()
    with books.write() as (connection, brand):
        first = reverse_entry(connection, brand, number, key="undo", day=DAY, description="Wrong")
        again = reverse_entry(connection, brand, number, key="undo", day=DAY, description="Wrong")
        with pytest.raises(AlreadyReversed):
            reverse_entry(connection, brand, number, key="other", day=DAY, description="Wrong")
        with pytest.raises(LedgerError, match="no entry"):
            reverse_entry(connection, brand, 10**9, key="none", day=DAY, description="Wrong")
    assert first == again
    sums = journal(books).group_by("subaccount").agg(pl.col("amount_minor").sum(), pl.col("base_amount_minor").sum())
    assert sums["amount_minor"].to_list() == sums["base_amount_minor"].to_list() == [0, 0]


@pytest.mark.parametrize("table", ["postings", "journal_entries"])
@pytest.mark.parametrize("deed", ["UPDATE {} SET brand_id = brand_id", "DELETE FROM {}"])
def test_what_stands_is_neither_changed_nor_deleted(
    books: BrandStore, chart: dict[str, int], table: str, deed: str
) -> None:
    append(books, expense())
    with pytest.raises(DBAPIError, match="append only"):
        run(books, deed.format(table))
    assert journal(books).height == 2


ADDED = """
    INSERT INTO postings (brand_id, entry_id, account_id, amount_minor, currency, base_amount_minor)
    VALUES (:brand, :entry, :account, :amount, 'EUR', :base)
"""
SEALED = """
    INSERT INTO journal_entries
        (id, brand_id, key, entry_date, event_date, recorded_at, kind, description, previous_hash, hash)
    VALUES (:entry, :brand, 'stray', '2026-03-10', '2026-03-10', '2026-03-10 00:00:00', 'manual', 'x', 'x', 'x')
"""


def test_a_sealed_entry_takes_no_further_posting(books: BrandStore, chart: dict[str, int]) -> None:
    (number,) = append(books, expense()).values()
    with pytest.raises(DBAPIError, match=r"no further postings|does not sum to zero"):
        run(books, ADDED, entry=number, account=chart["1000"], amount=5, base=5)
    with pytest.raises(DBAPIError, match="no further postings"):
        run(books, ADDED, entry=number, account=chart["1000"], amount=0, base=0)


@pytest.mark.parametrize(("amount", "base"), [(5, 0), (0, 5)])
def test_the_database_refuses_an_entry_that_does_not_balance(
    books: BrandStore, chart: dict[str, int], amount: int, base: int
) -> None:
    with pytest.raises(DBAPIError, match="does not sum to zero"), books.write() as (connection, brand):
        values = {"brand": brand, "entry": 10**6, "account": chart["1000"], "amount": amount, "base": base}
        connection.execute(text(ADDED), values)
        connection.execute(text(SEALED), {"brand": brand, "entry": 10**6})
    assert journal(books).is_empty()


def test_the_database_refuses_an_entry_without_postings(books: BrandStore, chart: dict[str, int]) -> None:
    with pytest.raises(DBAPIError, match="needs its postings"):
        run(books, SEALED, entry=10**6)


def test_entries_follow_from_one_another(books: BrandStore, chart: dict[str, int]) -> None:
    for number in range(5):
        append(books, expense(f"rent {number}"))
    with books.read() as (connection, brand):
        chain = verify(connection, brand)
    assert (chain.entries, chain.fault) == (5, None)
    assert chain.head != FIRST_HASH


@pytest.mark.parametrize(
    ("tampering", "said"),
    [
        ("UPDATE postings SET amount_minor = amount_minor * 2, base_amount_minor = base_amount_minor * 2", "changed"),
        ("UPDATE journal_entries SET description = 'Office' WHERE key = 'rent 1'", "changed"),
        ("UPDATE journal_entries SET entry_date = '2026-03-11' WHERE key = 'rent 1'", "changed"),
        ("DELETE FROM journal_entries WHERE key = 'rent 1'", "taken out"),
        ("DELETE FROM postings WHERE entry_id = (SELECT id FROM journal_entries WHERE key = 'rent 2')", "changed"),
    ],
)
def test_tampering_shows_even_where_the_triggers_were_taken_away(
    books: BrandStore, chart: dict[str, int], tampering: str, said: str
) -> None:
    append(books, *(expense(f"rent {number}") for number in range(4)))
    assert fault(books) is None
    without_lock(books, tampering)
    assert said in str(fault(books))


def test_entries_in_the_wrong_order_show(books: BrandStore, chart: dict[str, int]) -> None:
    append(books, *(expense(f"rent {number}", amount=number + 1) for number in range(3)))
    swap = "UPDATE journal_entries SET id = {} WHERE id = {}"
    with books.read() as (connection, brand):
        first, second = (
            connection.execute(
                text("SELECT id FROM journal_entries WHERE brand_id = :b AND key = :k"), {"b": brand, "k": key}
            ).scalar_one()
            for key in ("rent 0", "rent 1")
        )
    for new, old in ((10**6, first), (first, second), (second, 10**6)):
        without_lock(books, swap.format(new, old))
    assert "follow" in str(fault(books))


def close(books: BrandStore, month: date, today: date = TODAY) -> str:
    with books.write() as (connection, brand):
        return close_month(connection, brand, month, today=today, actor="ada")


def reopen(books: BrandStore, month: date, reason: str = "late invoice") -> None:
    with books.write() as (connection, brand):
        reopen_month(connection, brand, month, reason=reason, actor="ada")


def test_a_closed_month_takes_no_entry_by_any_way(books: BrandStore, chart: dict[str, int]) -> None:
    append(books, expense())
    close(books, MARCH)
    with pytest.raises(PeriodClosed, match="2026-03 is closed"):
        append(books, expense("late"))
    with pytest.raises(DBAPIError, match="closed"), books.write() as (connection, brand):
        rows = [{"amount": amount, "base": amount, "account": chart["1000"]} for amount in (5, -5)]
        frame = pl.DataFrame(rows).select(
            brand_id=pl.lit(brand, pl.Int64),
            entry_id=pl.lit(10**6, pl.Int64),
            account_id=pl.col("account"),
            amount_minor=pl.col("amount"),
            currency=pl.lit("EUR"),
            base_amount_minor=pl.col("base"),
        )
        from resources.store.bulk import insert_frame

        insert_frame(connection, "postings", frame)
        connection.execute(text(SEALED), {"brand": brand, "entry": 10**6})
    append(books, expense("april", day=APRIL))
    assert journal(books).height == 4


def test_what_an_order_owes_a_closed_month_stands_in_the_next_open_one(
    books: BrandStore, chart: dict[str, int]
) -> None:
    close(books, MARCH)
    close(books, APRIL)
    legs = [(None, "receipt", DAY, "1300", "EUR", 7, 7), (None, "receipt", DAY, "2050", "EUR", -7, -7)]
    names = ["order_id", "subject", "day", "account", "currency", "amount_minor", "base_amount_minor"]
    wanted = pl.DataFrame(legs, schema=names, orient="row").cast({"order_id": pl.Int64})
    with books.write() as (connection, brand):
        assert post(connection, brand, wanted, chart, DAY, DAY) == 1
        assert post(connection, brand, wanted, chart, DAY, DAY) == 0
    assert journal(books)["day"].unique().to_list() == [MAY]
    assert journal(books)["event_day"].unique().to_list() == [DAY]


def test_closing_and_reopening_change_no_entry_and_are_both_kept(books: BrandStore, chart: dict[str, int]) -> None:
    append(books, expense())
    before = journal(books)
    head = close(books, MARCH)
    assert close(books, MARCH) == head
    reopen(books, MARCH)
    assert journal(books).equals(before)
    with books.read() as (connection, brand):
        assert closed_months(connection, brand) == set()
        rows = read_periods(connection, brand)
        audited = connection.execute(
            text("SELECT action, actor, details FROM audit_log WHERE brand_id = :b ORDER BY id"), {"b": brand}
        ).fetchall()
    assert rows.select("month", "status", "head", "changed_by").rows() == [(MARCH, "open", head, "ada")]
    assert [(action, actor) for action, actor, _ in audited] == [("ledger.close", "ada"), ("ledger.reopen", "ada")]
    assert "late invoice" in str(audited[1][2])
    append(books, expense("late"))


def test_months_are_closed_in_order_and_only_when_they_are_over(books: BrandStore, chart: dict[str, int]) -> None:
    append(books, expense(), expense("april", day=APRIL))
    with pytest.raises(CannotClose, match="2026-03 is open"):
        close(books, APRIL)
    with pytest.raises(CannotClose, match="not over"):
        close(books, MARCH, today=date(2026, 3, 31))
    close(books, MARCH)
    close(books, APRIL)
    with pytest.raises(CannotClose, match="2026-04 is closed too"):
        reopen(books, MARCH)
    with pytest.raises(CannotClose, match="reason"):
        reopen(books, APRIL, " ")
    with pytest.raises(CannotClose, match="2026-05 is open"):
        reopen(books, MAY)


def test_nothing_is_closed_over_a_journal_that_was_tampered_with(books: BrandStore, chart: dict[str, int]) -> None:
    append(books, expense())
    without_lock(books, "UPDATE journal_entries SET description = 'Office'")
    with pytest.raises(CannotClose, match="tampered"):
        close(books, MARCH)


def test_a_month_with_orders_outside_the_ledger_is_not_closed(books: BrandStore, chart: dict[str, int]) -> None:
    with books.write() as (connection, brand):
        from datetime import UTC, datetime

        from assets.finance.invoice import InvoiceLine
        from resources.store.transactions import Event, write_order_event

        at = datetime(2026, 3, 10, 12, tzinfo=UTC)
        event = Event("sale", "EUR", at, DAY, "k", {})
        line = InvoiceLine("shipping", "SHIPPING", None, 1, 5_000_000, 500, 0)
        write_order_event(connection, brand, event, [line], channel="online_store", number="A-1")
    with pytest.raises(CannotClose, match="1 orders"):
        close(books, MARCH)
    with pytest.raises(CannotClose, match="1 orders"):
        close(books, APRIL)
