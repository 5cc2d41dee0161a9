"""The ledger: entries a second, beside bare batch inserts of the very rows that come out, hashes and all.

Ours compares with what stands, reserves ids, chains and seals under the triggers. The reference writes the
finished rows into the same tables with the same indexes by the same bulk transport, without triggers.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import polars as pl
from sqlalchemy import text

from assets.finance.accounts import chart_frame
from benchmarks.measure import Measured, installation, medians
from benchmarks.orders import empty_books
from benchmarks.postgres import databases
from resources.store import Store
from resources.store.brand_store import BrandStore
from resources.store.bulk import insert_frame, read_frame
from resources.store.ledger import Entry, Leg, append_entries, post, write_accounts
from resources.store.ledger_chain import ENTRY, verify
from resources.store.orders import INT, TEXT

PAIRS = 5
TARGET = 0.3
ENTRIES = {"ledger-post": 60_000, "ledger-append": 20_000}
FIRST, DAYS = date(2026, 1, 1), 100
LAST = FIRST + timedelta(days=DAYS - 1)
_ROWS = {
    "postings": {
        **dict.fromkeys(("brand_id", "entry_id", "account_id", "amount_minor"), INT),
        "currency": TEXT,
        **dict.fromkeys(("base_amount_minor", "rate_numerator", "rate_denominator"), INT),
    },
    "journal_entries": {**ENTRY, "previous_hash": TEXT, "hash": TEXT},
}
SUB_ACCOUNTS = pl.DataFrame(
    [
        (code, code, "asset")
        for code in ("1000.main", "1100.shopify", "1100.stripe", "2200.FR", "4000.shopify", "6100.stripe")
    ],
    schema=["code", "name", "type"],
    orient="row",
)
Rows = dict[str, pl.DataFrame]


def run() -> Iterator[Measured]:
    """Rows for SQLite and, where a server is installed, PostgreSQL."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ENTRIES:
            yield _measure(f"{name}-sqlite", name, Path(folder), (None for _ in count()))
        with databases() as urls:
            if urls is not None:
                for name in ENTRIES:
                    yield _measure(f"{name}-postgresql", name, Path(folder), urls)


def _measure(title: str, name: str, folder: Path, urls: Iterator[str | None]) -> Measured:
    homes = (folder / f"{title}-{number}" for number in count())
    entries = ENTRIES[name]
    write = _posting(entries) if name == "ledger-post" else _appending(entries)
    with _books(next(homes), next(urls)) as books:
        _seconds(books, write)
        rows = _written(books, entries)

    def ours() -> float:
        with _books(next(homes), next(urls)) as books:
            return entries / _seconds(books, write)

    def reference() -> float:
        with _books(next(homes), next(urls)) as books:
            _drop_triggers(books.store)
            return entries / _seconds(books, lambda connection, _brand, _accounts: _insert(connection, rows))

    return Measured(title, "entries/s", *medians(ours, reference, PAIRS), TARGET, "higher")


Write = Callable[[Any, int, dict[str, int]], Any]


def _posting(entries: int) -> Write:
    """The daily asset's way: what should stand, as a frame of three legs an event."""
    number = pl.int_range(entries, eager=True)
    events = pl.DataFrame({"number": number}).select(
        "number",
        order_id=pl.lit(None, INT),
        subject=pl.format("event {}", "number"),
        day=pl.lit(FIRST) + pl.duration(days=pl.col("number") % DAYS),
    )
    legs = [("1100.shopify", 1), ("4000.shopify", -1), ("2200.FR", 0)]
    amount = pl.col("number") % 9_999 + 1
    wanted = pl.concat(
        events.with_columns(
            account=pl.lit(account),
            currency=pl.lit("EUR"),
            # Goods and a fifth of tax.
            amount_minor={1: amount * 6, -1: amount * -5, 0: -amount}[sign],
        ).with_columns(base_amount_minor=pl.col("amount_minor"))
        for account, sign in legs
    ).drop("number")
    return lambda connection, brand, accounts: post(connection, brand, wanted, accounts, FIRST, LAST)


def _appending(entries: int) -> Write:
    """The way of single events: entries with keys of their own."""
    made = [
        Entry(
            f"payout:{n}",
            FIRST + timedelta(days=n % DAYS),
            "payout",
            "Payout",
            (
                Leg("1000.main", "EUR", 97 * n + 97, 97 * n + 97),
                Leg("6100.stripe", "EUR", 3 * n + 3, 3 * n + 3),
                Leg("1100.stripe", "EUR", -100 * n - 100, -100 * n - 100),
            ),
            f"po_{n}",
        )
        for n in range(entries)
    ]
    return lambda connection, brand, _accounts: append_entries(connection, brand, made)


@contextmanager
def _books(home: Path, url: str | None) -> Iterator[BrandStore]:
    with installation(home, url):
        books = empty_books()
        yield books
        books.store.close()


def _seconds(books: BrandStore, write: Write) -> float:
    with books.write() as (connection, brand):
        accounts = write_accounts(connection, brand, pl.concat([chart_frame(), SUB_ACCOUNTS]))
    began = time.perf_counter()
    with books.write() as (connection, brand):
        write(connection, brand, accounts)
    return time.perf_counter() - began


def _written(books: BrandStore, entries: int) -> Rows:
    """The rows as they stand, for the reference to write. Raises RuntimeError unless they are all there and chained."""
    with books.read() as (connection, brand):
        chain = verify(connection, brand)
        if (chain.entries, chain.fault) != (entries, None):
            raise RuntimeError(f"{chain.entries} of {entries} entries stand: {chain.fault}")
        return {
            table: read_frame(connection, f"SELECT {', '.join(schema)} FROM {table} ORDER BY id", schema)
            for table, schema in _ROWS.items()
        }


def _insert(connection: Any, rows: Rows) -> None:
    for table, frame in rows.items():
        insert_frame(connection, table, frame)


def _drop_triggers(store: Store) -> None:
    with store.write("benchmark") as connection:
        if store.is_sqlite:
            for (name,) in connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).fetchall():
                connection.execute(text(f"DROP TRIGGER {name}"))
        else:
            for table in _ROWS:
                connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))


if __name__ == "__main__":
    for row in run():
        print(f"{row.name}: {row.ours:,.0f} {row.unit}, reference {row.reference:,.0f}, ratio {row.ratio:.2f}")
