"""What is kept for a time only is deleted after it, and nothing else is."""

import os
from datetime import UTC, date, datetime, timedelta

import pytest

from resources.settings import Retention
from resources.store.audit import read_page
from resources.store.brand_store import BrandStore
from resources.store.brands import channel_ids
from resources.store.bulk import as_json, insert_row, run
from resources.store.inbox import mark_processed, receive
from resources.store.retention import QUARANTINE, Purged, purge
from tests.resources.store.test_key_ring import add_customers

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


def ids(books: BrandStore, query: str) -> list[int]:
    with books.read() as (connection, _):
        return [row[0] for row in run(connection, query)]


def add_order(books: BrandStore, customer: int, day: date) -> None:
    with books.write() as (connection, brand):
        channel = channel_ids(connection, brand, ["online_store"])["online_store"]
        row = {"brand_id": brand, "channel_id": channel, "number": f"{customer}-{day}", "customer_id": customer}
        placed = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
        insert_row(connection, "orders", {**row, "currency": "EUR", "placed_at": placed, "local_date": day})


def set_first_seen(books: BrandStore, day: date) -> None:
    with books.write() as (connection, _):
        run(connection, "UPDATE customers SET first_seen = :day", {"day": day})


def test_a_profile_goes_when_its_client_has_ordered_nothing_for_so_long(books: BrandStore) -> None:
    add_customers(books, 3)
    first, second, third = ids(books, "SELECT id FROM customers ORDER BY id")
    set_first_seen(books, date(2020, 1, 1))
    days = Retention().profiles_days
    add_order(books, first, (NOW - timedelta(days=days)).date())
    add_order(books, second, (NOW - timedelta(days=days + 1)).date())
    assert purge(books, NOW, dry_run=True).profiles == 2
    assert purge(books, NOW, actor="night").profiles == 2
    assert ids(books, "SELECT customer_id FROM customer_profiles") == [first]
    assert ids(books, "SELECT id FROM customers ORDER BY id") == [first, second, third]
    assert len(ids(books, "SELECT id FROM orders")) == 2
    with books.read() as (connection, brand):
        (told,) = read_page(connection, brand, None, 1)
    assert (told["actor"], told["action"]) == ("night", "vault.purged")
    assert as_json(told["details"])["profiles"] == 2


def test_a_new_client_without_an_order_keeps_the_profile(books: BrandStore) -> None:
    add_customers(books, 1)
    set_first_seen(books, NOW.date())
    assert purge(books, NOW) == Purged(0, 0, 0, 0)


def test_bodies_of_old_messages_go_and_their_numbers_stay(books: BrandStore) -> None:
    with books.write() as (connection, brand):
        for number in ("old", "waiting"):
            receive(connection, brand, "shop", number, {"x-topic": "orders"}, '{"name": "Anna Lind"}')
        (old, _) = [row[0] for row in run(connection, "SELECT id FROM inbox_messages ORDER BY id")]
        mark_processed(connection, [old], "looked at")
    later = datetime.now(UTC) + timedelta(days=Retention().messages_days + 1)
    assert purge(books, later - timedelta(days=2)).messages == 0
    assert purge(books, later).messages == 1
    assert purge(books, later).messages == 0
    with books.write() as (connection, brand):
        rows = [tuple(row) for row in run(connection, "SELECT external_id, body FROM inbox_messages ORDER BY id")]
        assert rows == [("old", ""), ("waiting", '{"name": "Anna Lind"}')]
        assert not receive(connection, brand, "shop", "old", {}, "again")


def test_old_answers_and_quarantine_files_go(books: BrandStore) -> None:
    folder = books.settings.home / QUARANTINE / books.settings.brand
    folder.mkdir(parents=True)
    for name, days in (("old", 91), ("new", 89)):
        file = folder / f"{name}.parquet"
        file.touch()
        at = (NOW - timedelta(days=days)).timestamp()
        os.utime(file, (at, at))
    with books.write() as (connection, brand):
        for key, ends in (("old", NOW - timedelta(seconds=1)), ("new", NOW + timedelta(hours=1))):
            row = {"brand_id": brand, "principal": "p", "route": "r", "key": key, "body_hash": "h"}
            insert_row(connection, "idempotency_keys", {**row, "created_at": NOW, "expires_at": ends})
    assert purge(books, NOW, dry_run=True) == Purged(0, 0, 1, 1)
    assert purge(books, NOW) == Purged(0, 0, 1, 1)
    assert [file.name for file in folder.iterdir()] == ["new.parquet"]
    with books.read() as (connection, _):
        assert [row[0] for row in run(connection, "SELECT key FROM idempotency_keys")] == ["new"]


def test_what_was_deleted_does_not_lie_on_in_the_file(books: BrandStore) -> None:
    if not books.store.is_sqlite:
        pytest.skip("PostgreSQL's own vacuum overwrites what was deleted")
    with books.write() as (connection, brand):
        receive(connection, brand, "shop", "1", {}, "Anna Lind of Rue Cambon")
        run(connection, "UPDATE inbox_messages SET state = 'processed', processed_at = :at", {"at": NOW})
    purge(books, NOW + timedelta(days=31))
    with books.store.engine.connect() as connection:
        run(connection, "PRAGMA wal_checkpoint(TRUNCATE)")
    assert b"Rue Cambon" not in (books.settings.home / "store.db").read_bytes()
