"""How channels are reached: kept sealed, changed without losing the place in their orders, and forgotten.

Does not belong here: speaking to a channel (`tests/resources/channels`).
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from resources.channels.protocol import ChannelOrder, Connection
from resources.settings import load_settings
from resources.store.brand_store import BrandStore
from resources.store.bulk import run
from resources.store.catalog_codes import sku_ids
from resources.store.channel_items import read_items, save_mapping
from resources.store.channel_orders import Books, take_order
from resources.store.connections import (
    ConnectedChannel,
    UnknownConnection,
    note_orders_seen,
    note_result,
    read_connection,
    read_connections,
    read_shares,
    remove_connection,
    save_connection,
)
from resources.vault import KEY_FILE, Vault, VaultError
from tests.resources.store.test_channel_items import connect, show

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SHOP = Connection(
    "shop", "woocommerce", "https://shop.example", {"verify": False}, {"key": "ck_1", "secret": "cs_hush"}
)


def save(books: BrandStore, reached: Connection = SHOP, **more: object) -> bool:
    with books.write() as (connection, brand):
        return save_connection(connection, brand, books.vault, reached, **more)  # pyright: ignore[reportArgumentType]


def read(books: BrandStore, name: str = "shop") -> ConnectedChannel:
    with books.read() as (connection, brand):
        return read_connection(connection, brand, books.vault, name)


def test_a_connection_comes_back_as_it_was_saved(books: BrandStore) -> None:
    assert save(books, locations=("paris", "main"), priority=3, weight=2, foreign_edits="hold", orders_since=NOON)
    found = read(books)
    assert found.reached == SHOP
    assert (found.name, found.kind) == ("shop", "woocommerce")
    assert (found.locations, found.priority, found.weight, found.foreign_edits) == (("paris", "main"), 3, 2, "hold")
    assert found.orders_seen_until == NOON
    assert (found.listed_at, found.last_error) == (None, None)


def test_no_secret_can_be_read_in_the_table_or_in_what_is_shown(books: BrandStore) -> None:
    save(books)
    with books.read() as (connection, _):
        row = str(run(connection, "SELECT * FROM channel_connections").one())
    assert "ck_1" not in row
    assert "cs_hush" not in row
    assert "cs_hush" not in repr(read(books))


def test_another_key_is_told_by_what_to_do_about_it(books: BrandStore) -> None:
    save(books)
    (books.settings.home / KEY_FILE).unlink()
    with pytest.raises(VaultError, match=rf"channel-credentials cannot be opened with .*{KEY_FILE}: restore that file"):
        read(books)


def test_a_secret_that_was_sealed_for_something_else_is_refused(books: BrandStore) -> None:
    save(books)
    with books.write() as (connection, _):
        sealed = Vault(books.settings.home).seal("something else", '{"key": "ck_2"}')
        run(connection, "UPDATE channel_connections SET secrets = :sealed", {"sealed": sealed})
    with pytest.raises(VaultError):
        read(books)


def test_a_channel_that_is_saved_again_goes_on_where_its_orders_were_left(books: BrandStore) -> None:
    save(books, orders_since=NOON)
    with books.write() as (connection, _):
        channel = read(books)
        note_orders_seen(connection, channel, NOON + timedelta(hours=2))
        note_result(connection, channel, "the key was refused")
    assert read(books).last_error == "the key was refused"
    changed = replace(SHOP, url="https://new.example", secrets={"key": "ck_2"})
    assert not save(books, changed, priority=1)
    found = read(books)
    assert (found.reached, found.priority) == (changed, 1)
    assert found.orders_seen_until == NOON + timedelta(hours=2)
    assert found.last_error is None
    save(books, changed, orders_since=NOON)
    assert read(books).orders_seen_until == NOON


def test_a_new_channel_is_asked_for_orders_from_now_on(books: BrandStore) -> None:
    before = datetime.now(UTC)
    save(books)
    seen = read(books).orders_seen_until
    assert seen
    assert before <= seen <= datetime.now(UTC)


def test_the_place_in_the_orders_never_moves_backwards(books: BrandStore) -> None:
    save(books, orders_since=NOON)
    for hours in (2, 1):
        with books.write() as (connection, _):
            note_orders_seen(connection, read(books), NOON + timedelta(hours=hours))
    assert read(books).orders_seen_until == NOON + timedelta(hours=2)


def test_an_unknown_channel_is_told_with_those_that_there_are(books: BrandStore) -> None:
    with pytest.raises(UnknownConnection, match="there is none; `luxauto channel add` makes one"):
        read(books)
    save(books)
    save(books, replace(SHOP, name="atelier"))
    with pytest.raises(UnknownConnection, match="no channel 'shopp' is connected: there are atelier, shop"):
        read(books, "shopp")


def test_channels_come_by_priority_and_name_and_with_their_shares(books: BrandStore) -> None:
    for name, priority in (("b", 2), ("c", 1), ("a", 2)):
        save(books, replace(SHOP, name=name), priority=priority, weight=priority * 10)
    with books.read() as (connection, brand):
        assert [one.name for one in read_connections(connection, brand, books.vault)] == ["c", "a", "b"]
        assert read_shares(connection, brand).rows() == [("c", 1, 10), ("a", 2, 20), ("b", 2, 20)]


def test_a_channel_that_is_removed_leaves_its_orders_and_movements(books: BrandStore) -> None:
    connect(books)
    show(books, ("1", "BAG", 3))
    with books.write() as (connection, brand):
        channel = read_connection(connection, brand, books.vault, "shop")
        save_mapping(connection, brand, channel, "bag-x", sku_ids(connection, brand, ["BAG"])["BAG"])
        told = ChannelOrder("7", "7", "paid", NOON, NOON, "EUR", ())
        take_order(connection, Books(brand, "Europe/Paris", 2), channel, told)
        assert remove_connection(connection, brand, "shop")
        assert not remove_connection(connection, brand, "shop")
    with books.read() as (connection, brand):
        counts = "(SELECT count(*) FROM sku_mappings), (SELECT count(*) FROM channel_orders)"
        assert tuple(run(connection, f"SELECT {counts}").one()) == (0, 1)
        assert read_items(connection, brand).height == 0
    connect(books)
    assert read(books).listed_at is None


def test_channels_of_another_brand_are_not_seen(books: BrandStore) -> None:
    save(books)
    second = BrandStore(load_settings(brand="second"), books.store)
    with second.read() as (connection, brand):
        assert read_connections(connection, brand, second.vault) == []
    with second.write() as (connection, brand):
        assert not remove_connection(connection, brand, "shop")
    assert read(books).name == "shop"
