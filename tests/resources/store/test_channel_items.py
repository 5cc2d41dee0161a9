"""What channels showed and what became of each write: kept, mapped, settled, and never a statement an item.

Does not belong here: what a channel should show (`tests/assets/inventory`).
"""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from sqlalchemy import event

from resources.channels.protocol import Connection, Outcome, WriteResult
from resources.store.brand_store import BrandStore
from resources.store.bulk import fetch, run
from resources.store.catalog_codes import sku_ids
from resources.store.channel_items import (
    INTENTS,
    SHOWN,
    Intended,
    agree,
    intend,
    keys_of,
    listed_items,
    note_not_sent,
    note_outcomes,
    read_items,
    read_price_differences,
    save_mapping,
    write_shown,
)
from resources.store.connections import ConnectedChannel, read_connection, save_connection

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
Item = tuple[str, str | None, int | None]
"""Key, the channel's SKU, units."""


def connect(books: BrandStore, name: str = "shop", *skus: str) -> None:
    with books.write() as (connection, brand):
        reached = Connection(name, "shopify", "https://shop.example", {}, {"token": "t"})
        save_connection(connection, brand, books.vault, reached)
        sku_ids(connection, brand, skus or ("BAG", "BELT"))


def channel_of(connection: Any, brand: int, books: BrandStore, name: str = "shop") -> ConnectedChannel:
    return read_connection(connection, brand, books.vault, name)


def shown(*items: Item) -> pl.DataFrame:
    rows = [
        {
            "key": key,
            "channel_sku": sku,
            "title": f"Item {key}",
            "shown": units,
            "price_minor": 100_00,
            "currency": "EUR",
            "handles": json.dumps({"parent": key}),
        }
        for key, sku, units in items
    ]
    return pl.DataFrame(rows, schema=SHOWN)


def show(books: BrandStore, *items: Item, hour: int = 0, complete: bool = True) -> int:
    with books.write() as (connection, brand):
        channel = channel_of(connection, brand, books)
        read_at = NOON + timedelta(hours=hour)
        return write_shown(connection, brand, channel, shown(*items), read_at, complete=complete)


def items(books: BrandStore, *columns: str) -> list[Any]:
    with books.read() as (connection, brand):
        found = read_items(connection, brand)
    return found.select(*columns).rows() if columns else found.to_dicts()


def writes(books: BrandStore, columns: str = "key, wanted, state") -> list[Any]:
    with books.read() as (connection, _):
        return fetch(connection, f"SELECT {columns} FROM channel_writes ORDER BY id", {})


def plan(books: BrandStore, *wanted: tuple[str, str, int], field: str = "stock") -> list[Intended]:
    rows = [{"key": key, "sku": sku, "wanted": units, "expected": 3, "reason": "differs"} for key, sku, units in wanted]
    with books.write() as (connection, brand):
        channel = channel_of(connection, brand, books)
        return intend(connection, brand, channel, field, pl.DataFrame(rows, schema=INTENTS), "anna", 60)


def note(books: BrandStore, *results: tuple[Intended, WriteResult], field: str = "stock") -> None:
    with books.write() as (connection, brand):
        note_outcomes(connection, channel_of(connection, brand, books), field, results)


class TestWhatIsShown:
    """A reading of the channel."""

    def test_an_item_that_is_read_again_is_the_same_item(self, books: BrandStore) -> None:
        connect(books)
        show(books, ("1", "BAG", 3), ("2", "GHOST", 1))
        assert items(books, "key", "sku", "channel_sku", "shown", "read_at") == [
            ("1", "BAG", "BAG", 3, NOON),
            ("2", None, "GHOST", 1, NOON),
        ]
        with books.read() as (connection, brand):
            ids = fetch(connection, "SELECT id FROM channel_items ORDER BY key", {})
        show(books, ("1", "BAG", 5), ("2", "GHOST", None), hour=1)
        assert items(books, "key", "shown") == [("1", 5), ("2", None)]
        with books.read() as (connection, brand):
            assert fetch(connection, "SELECT id FROM channel_items ORDER BY key", {}) == ids
            (one,) = listed_items(connection, channel_of(connection, brand, books), ["1"])
        assert (one.key, one.sku, one.quantity, one.handles) == ("1", "BAG", 5, {"parent": "1"})

    def test_what_a_whole_reading_does_not_show_is_gone_and_a_part_leaves_the_rest(self, books: BrandStore) -> None:
        connect(books)
        show(books, ("1", "BAG", 3), ("2", "BELT", 1))
        assert show(books, ("1", "BAG", 4), hour=1, complete=False) == 0
        assert items(books, "key", "shown") == [("1", 4), ("2", 1)]
        assert show(books, ("1", "BAG", 4), hour=2) == 1
        assert items(books, "key") == [("1",)]
        assert show(books, hour=3) == 1
        assert items(books) == []

    def test_a_whole_reading_is_remembered_by_its_time(self, books: BrandStore) -> None:
        connect(books)
        show(books, ("1", "BAG", 3), complete=False)
        with books.read() as (connection, brand):
            assert channel_of(connection, brand, books).listed_at is None
        show(books, ("1", "BAG", 3), hour=1)
        with books.read() as (connection, brand):
            assert channel_of(connection, brand, books).listed_at == NOON + timedelta(hours=1)

    def test_the_items_of_another_channel_are_left_alone(self, books: BrandStore) -> None:
        connect(books)
        connect(books, "other")
        show(books, ("1", "BAG", 3))
        with books.write() as (connection, brand):
            write_shown(connection, brand, channel_of(connection, brand, books, "other"), shown(), NOON, complete=True)
        assert items(books, "channel", "key") == [("shop", "1")]

    def test_a_mapping_goes_before_a_sku_of_the_same_name(self, books: BrandStore) -> None:
        connect(books)
        show(books, ("1", "bag-eu", 3), ("2", "BAG", 3))
        with books.write() as (connection, brand):
            channel, ids = channel_of(connection, brand, books), sku_ids(connection, brand, ["BAG", "BELT"])
            save_mapping(connection, brand, channel, "bag-eu", ids["BAG"])
            save_mapping(connection, brand, channel, "BAG", ids["BAG"])
            save_mapping(connection, brand, channel, "BAG", ids["BELT"])
        show(books, ("1", "bag-eu", 3), ("2", "BAG", 3), hour=1)
        assert items(books, "key", "sku") == [("1", "BAG"), ("2", "BELT")]
        with books.write() as (connection, brand):
            save_mapping(connection, brand, channel, "BAG", None)
        show(books, ("2", "BAG", 3), hour=2, complete=False)
        assert items(books, "key", "sku") == [("1", "BAG"), ("2", "BAG")]

    def test_two_items_of_one_sku_are_both_kept_and_one_of_them_is_its_listing(self, books: BrandStore) -> None:
        connect(books)
        show(books, ("2", "BAG", 7), ("1", "BAG", 3))
        assert items(books, "key", "sku") == [("1", "BAG"), ("2", "BAG")]
        with books.read() as (connection, brand):
            assert fetch(connection, "SELECT external_id, quantity FROM listings", {}) == [("1", 3)]
            assert keys_of(connection, channel_of(connection, brand, books), ["BAG"]) == ["1", "2"]

    def test_the_price_of_a_sku_that_is_there_twice_is_not_written(self, books: BrandStore) -> None:
        connect(books)
        with books.write() as (connection, _):
            run(connection, "UPDATE skus SET retail_price_minor = 12000, currency = 'EUR'")
        show(books, ("1", "BAG", 3), ("2", "BAG", 3), ("3", "BELT", 1))
        with books.read() as (connection, brand):
            found = read_price_differences(connection, channel_of(connection, brand, books))
        assert found.select("key", "wanted", "expected", "currency").rows() == [("3", 12000, 10000, "EUR")]

    def test_twenty_thousand_items_take_few_statements(self, books: BrandStore) -> None:
        connect(books)
        many = [(str(number), f"SKU-{number}", 1) for number in range(20_000)]
        show(books, *many)
        statements: list[str] = []

        def hear(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            statements.append(statement)

        event.listen(books.store.engine, "before_cursor_execute", hear)
        show(books, *many[:-1], hour=1)
        event.remove(books.store.engine, "before_cursor_execute", hear)
        assert len(statements) < 40
        assert len(items(books)) == 19_999


class TestWrites:
    """Intents and their outcomes."""

    def test_an_intent_is_on_disk_with_a_key_of_its_own_and_its_item_waits(self, books: BrandStore) -> None:
        connect(books)
        show(books, ("1", "BAG", 3), ("2", "BELT", 3))
        first = plan(books, ("1", "BAG", 5), ("2", "BELT", 0))
        assert [(one.key, one.sku, one.wanted, one.expected, one.handles) for one in first] == [
            ("1", "BAG", 5, 3, {"parent": "1"}),
            ("2", "BELT", 0, 3, {"parent": "2"}),
        ]
        assert writes(books) == [("1", 5, "intent"), ("2", 0, "intent")]
        assert items(books, "key", "pending") == [("1", 5), ("2", 0)]
        second = plan(books, ("1", "BAG", 5))
        assert len({one.idempotency_key for one in first + second}) == 3

    def test_nothing_to_write_is_no_intent(self, books: BrandStore) -> None:
        connect(books)
        assert plan(books) == []

    def test_a_newer_intent_makes_an_older_open_one_lost_and_leaves_the_others(self, books: BrandStore) -> None:
        connect(books)
        show(books, ("1", "BAG", 3), ("2", "BELT", 3))
        plan(books, ("1", "BAG", 5), ("2", "BELT", 4))
        plan(books, ("1", "BAG", 9900), field="price")
        plan(books, ("1", "BAG", 6))
        assert writes(books, "key, field, wanted, state, finished_at IS NOT NULL") == [
            ("1", "stock", 5, "lost", True),
            ("2", "stock", 4, "intent", False),
            ("1", "price", 9900, "intent", False),
            ("1", "stock", 6, "intent", False),
        ]
        assert items(books, "key", "pending") == [("1", 6), ("2", 4)]

    def test_a_pending_write_is_confirmed_when_it_is_seen(self, books: BrandStore) -> None:
        connect(books)
        show(books, ("1", "BAG", 3), ("2", "BELT", 3))
        plan(books, ("1", "BAG", 5), ("2", "BELT", 4))
        show(books, ("1", "BAG", 5), ("2", "BELT", 3), hour=1)
        assert items(books, "key", "shown", "agreed", "pending") == [("1", 5, 5, None), ("2", 3, None, 4)]
        assert writes(books) == [("1", 5, "confirmed"), ("2", 4, "intent")]

    @pytest.mark.parametrize(
        ("outcome", "answered", "finished", "expected"),
        [
            (Outcome.confirmed, 5, True, (5, 5, None)),
            (Outcome.accepted, None, False, (3, None, 5)),
            (Outcome.unknown, None, False, (3, None, 5)),
            (Outcome.stale, 2, True, (2, None, None)),
            (Outcome.stale, None, True, (3, None, None)),
            (Outcome.refused, None, True, (3, None, None)),
            (Outcome.ignored, 4, True, (4, None, None)),
        ],
    )
    def test_each_outcome_leaves_its_item_as_it_is_known_to_be(
        self,
        books: BrandStore,
        outcome: Outcome,
        answered: int | None,
        finished: bool,
        expected: tuple[int, int | None, int | None],
    ) -> None:
        connect(books)
        show(books, ("1", "BAG", 3))
        (intended,) = plan(books, ("1", "BAG", 5))
        note(books, (intended, WriteResult("1", outcome, answered, "as it was told")))
        assert items(books, "shown", "agreed", "pending") == [expected]
        assert writes(books, "state, shown, detail, finished_at IS NOT NULL") == [
            (outcome.value, answered, "as it was told", finished)
        ]

    def test_the_outcome_of_a_price_leaves_the_stock_alone(self, books: BrandStore) -> None:
        connect(books)
        show(books, ("1", "BAG", 3))
        plan(books, ("1", "BAG", 5))
        (price,) = plan(books, ("1", "BAG", 9900), field="price")
        note(books, (price, WriteResult("1", Outcome.confirmed, 9900)), field="price")
        assert items(books, "shown", "agreed", "pending") == [(3, None, 5)]

    def test_what_was_surely_not_sent_is_not_waited_for(self, books: BrandStore) -> None:
        connect(books)
        show(books, ("1", "BAG", 3))
        intended = plan(books, ("1", "BAG", 5))
        with books.write() as (connection, brand):
            note_not_sent(connection, channel_of(connection, brand, books), intended)
        assert items(books, "shown", "agreed", "pending", "pending_until") == [(3, None, None, None)]
        assert writes(books) == [("1", 5, "not_sent")]

    def test_a_price_that_was_not_sent_leaves_a_pending_quantity_waiting(self, books: BrandStore) -> None:
        connect(books)
        show(books, ("1", "BAG", 3))
        plan(books, ("1", "BAG", 5))
        price = plan(books, ("1", "BAG", 9900), field="price")
        with books.write() as (connection, brand):
            note_not_sent(connection, channel_of(connection, brand, books), price)
        assert items(books, "pending") == [(5,)]

    def test_what_shows_what_it_should_is_agreed_upon(self, books: BrandStore) -> None:
        connect(books)
        show(books, ("1", "BAG", 3), ("2", "BELT", 4))
        plan(books, ("1", "BAG", 5))
        with books.write() as (connection, brand):
            agree(connection, channel_of(connection, brand, books), ["1"])
        assert items(books, "key", "agreed", "pending") == [("1", 3, None), ("2", None, None)]
