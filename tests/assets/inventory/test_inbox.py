"""Working on what channels told: the touched things are looked at again, echoes are known, and nothing is lost on the way.

Does not belong here: how messages come in (`tests/luxauto_pipelines/gateway`).
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import stamina

from assets.inventory.channel_sync import Order, sync
from assets.inventory.inbox import TRIES, sort_out, work
from resources.channels.protocol import Connection
from resources.channels.senders import sender_of
from resources.store.brand_store import BrandStore
from resources.store.bulk import fetch, run
from resources.store.connections import save_connection
from resources.store.inbox import receive
from resources.store.stock_keeping import Counted, save_bundle, set_level
from tests.peers.shopify import ShopifyPeer
from tests.peers.vendor import Fault, Reply
from tests.peers.woocommerce import WooCommercePeer

DAY = date(2026, 3, 2)


@pytest.fixture(autouse=True)
def impatient() -> Iterator[None]:
    """Blind back-off does not wait."""
    stamina.set_testing(True, attempts=5)
    yield
    stamina.set_testing(False)


@pytest.fixture
def shop() -> Iterator[WooCommercePeer]:
    with WooCommercePeer() as peer:
        yield peer


@pytest.fixture
def boutique() -> Iterator[ShopifyPeer]:
    with ShopifyPeer() as peer:
        yield peer


class House:
    """Two SKUs, ten of each, on sale in both channels; and the messages that these send."""

    def __init__(self, books: BrandStore, shop: WooCommercePeer, boutique: ShopifyPeer) -> None:
        self.books, self.shop, self.boutique = books, shop, boutique
        self.told = {"shop": 0, "boutique": 0}
        for sku in ("BAG", "BELT"):
            shop.add(sku, 1)
            boutique.add(sku, 1)
            self.count(sku, 10)
        self.connect(shop.connection("shop"))
        self.connect(boutique.connection("boutique"))
        sync(books, Order())

    def connect(self, reached: Connection) -> None:
        with self.books.write() as (connection, brand):
            since = datetime.now(UTC) - timedelta(hours=1)
            save_connection(connection, brand, self.books.vault, reached, orders_since=since)

    def count(self, sku: str, units: int) -> None:
        with self.books.write() as (connection, brand):
            set_level(connection, brand, Counted(sku, "main", units, "clerk", "count"), DAY)

    def deliver(self, channel: str, peer: WooCommercePeer | ShopifyPeer, *, again: bool = False) -> int:
        """What the peer has sent since the last time (or all of it, the newest first) reaches the inbox."""
        kind = "woocommerce" if isinstance(peer, WooCommercePeer) else "shopify"
        sender = sender_of(kind)
        messages = peer.webhooks[::-1] if again else peer.webhooks[self.told[channel] :]
        self.told[channel] = len(peer.webhooks)
        with self.books.write() as (connection, brand):
            for headers, body in messages:
                kept = {name: headers[name] for name in sender.kept_headers if name in headers}
                receive(connection, brand, channel, sender.message_id(headers, body), kept, body.decode())
        return len(messages)

    def settle(self) -> None:
        """Nothing is left in the inbox of what happened so far."""
        self.told = {"shop": len(self.shop.webhooks), "boutique": len(self.boutique.webhooks)}

    def work_off(self) -> list[str]:
        """One round; the channels that were worked on."""
        waiting = sort_out(self.books)
        for one in waiting:
            work(self.books, one.channel, one.messages)
        return [one.channel for one in waiting]

    def shown(self, sku: str) -> tuple[int | None, int | None]:
        return self.shop.stock(sku), self.boutique.stock(sku)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self.books.read() as (connection, _):
            return [tuple(row) for row in fetch(connection, query, {})]

    def states(self) -> set[str]:
        return {row[0] for row in self.rows("SELECT DISTINCT state FROM inbox_messages")}

    def notes(self) -> list[str]:
        return [row[0] for row in self.rows("SELECT note FROM inbox_messages ORDER BY id")]


@pytest.fixture
def house(books: BrandStore, shop: WooCommercePeer, boutique: ShopifyPeer) -> House:
    return House(books, shop, boutique)


def test_an_order_that_a_webhook_tells_of_is_taken_from_every_channel(house: House) -> None:
    house.deliver("shop", house.shop)
    house.deliver("boutique", house.boutique)
    house.work_off()
    assert house.shown("BAG") == (10, 10)
    assert house.shop.buy({"BAG": 3})
    house.deliver("shop", house.shop)
    assert house.work_off() == ["shop"]
    assert house.shown("BAG") == (7, 7)
    assert house.states() == {"processed"}
    assert "3 units moved" in house.notes()[-1]


def test_what_only_tells_our_own_write_calls_for_no_work(house: House) -> None:
    house.deliver("shop", house.shop)
    house.deliver("boutique", house.boutique)
    house.work_off()
    house.count("BELT", 4)
    sync(house.books, Order())
    before = len(house.shop.asked)
    assert house.deliver("shop", house.shop) == 1
    assert sort_out(house.books) == []
    assert house.notes()[-1] == "product.updated: it tells what we wrote"
    assert len(house.shop.asked) == before


def test_just_the_touched_things_are_read_again(house: House) -> None:
    house.deliver("shop", house.shop)
    house.work_off()
    house.shop.edit("BAG", 99)
    house.deliver("shop", house.shop)
    (waiting,) = sort_out(house.books)
    listed = house.shop.count("GET", "/products")
    worked = work(house.books, waiting.channel, waiting.messages)
    assert worked.skus == {"BAG"}
    assert house.shown("BAG") == (10, 10)
    asked = house.shop.asked[-6:]
    assert house.shop.count("GET", "/products") - listed <= 2, [str(each) for each in asked]


def test_repeated_and_reordered_messages_move_nothing_twice(house: House) -> None:
    number = house.shop.buy({"BAG": 2})
    assert number
    house.shop.cancel(number)
    assert house.shop.buy({"BAG": 1})
    house.deliver("shop", house.shop, again=True)
    house.work_off()
    house.deliver("shop", house.shop, again=True)
    house.work_off()
    assert house.shown("BAG") == (9, 9)
    assert house.states() == {"processed"}


def test_a_set_is_taken_down_everywhere_when_a_piece_of_it_is_sold(house: House) -> None:
    house.count("GIFT", 0)
    house.boutique.add("GIFT", 0)
    with house.books.write() as (connection, brand):
        save_bundle(connection, brand, "GIFT", {"BAG": 2, "BELT": 1})
    sync(house.books, Order())
    assert house.boutique.stock("GIFT") == 5
    assert house.shop.buy({"BAG": 7})
    house.deliver("shop", house.shop)
    house.work_off()
    assert house.boutique.stock("GIFT") == 1


def test_a_channel_that_is_away_keeps_its_messages_waiting_and_is_tried_again(house: House) -> None:
    house.settle()
    assert house.shop.buy({"BAG": 3})
    house.deliver("shop", house.shop)
    house.shop.faults.append(Fault("reply", times=50, reply=Reply(503)))
    house.work_off()
    assert house.states() == {"received"}
    assert house.rows("SELECT DISTINCT coalesce(attempts, 0) FROM inbox_messages") == [(0,)]
    assert "shop" in house.notes()[-1]
    house.shop.faults.clear()
    with house.books.write() as (connection, _):
        run(connection, "DELETE FROM circuit_breakers")
    house.work_off()
    assert house.shown("BAG") == (7, 7)
    assert house.states() == {"processed"}


def test_what_cannot_be_done_is_given_up_with_its_reason_after_a_few_tries(house: House) -> None:
    assert house.shop.buy({"BAG": 3})
    house.deliver("shop", house.shop)
    refusal = Reply(400, {"code": "rest_invalid_param", "message": "Invalid parameter(s): include"})
    is_order = lambda asked: "/orders" in asked.path  # noqa: E731
    house.shop.faults.append(Fault("reply", times=1000, matches=is_order, reply=refusal))
    for _ in range(TRIES):
        assert house.work_off() == ["shop"]
    assert house.work_off() == []
    failed = house.rows("SELECT note FROM inbox_messages WHERE state = 'failed'")
    assert failed
    assert all(f"given up after {TRIES} tries" in note and "Invalid parameter" in note for (note,) in failed)


def test_a_message_that_spoils_its_work_does_not_spoil_the_others(house: House) -> None:
    house.settle()
    first, second = house.shop.buy({"BAG": 1}), house.shop.buy({"BELT": 2})
    assert first
    assert second
    house.deliver("shop", house.shop)

    def names_the_first(asked: Any) -> bool:
        return "/orders" in asked.path and first in (asked.query.get("include") or asked.path).split(",")

    refusal = Reply(400, {"code": "x", "message": "not this one"})
    house.shop.faults.append(Fault("reply", times=1000, matches=names_the_first, reply=refusal))
    house.work_off()
    assert house.states() == {"received"}
    house.work_off()
    assert house.rows("SELECT count(*) FROM inbox_messages WHERE state = 'received'") != [(0,)]
    assert house.rows("SELECT count(*) FROM inbox_messages WHERE state = 'processed'") != [(0,)]
    assert house.boutique.stock("BELT") == 8


def test_messages_of_a_kind_belong_to_its_one_connected_channel(house: House) -> None:
    house.told["shopify"] = len(house.boutique.webhooks)
    assert house.boutique.buy({"BAG": 4})
    house.deliver("shopify", house.boutique)
    assert house.work_off() == ["boutique"]
    assert house.shown("BAG") == (6, 6)


@pytest.mark.parametrize(
    ("channel", "headers", "body", "state", "said"),
    [
        ("nobody", {}, "{}", "failed", "no one channel nobody is connected"),
        ("shop", {"x-wc-webhook-topic": "coupon.created"}, '{"id": 1}', "processed", "neither stock nor orders"),
        ("shop", {"x-wc-webhook-topic": "order.updated"}, "not JSON", "processed", "neither stock nor orders"),
    ],
)
def test_what_calls_for_no_work_is_settled_with_a_word(
    house: House, channel: str, headers: dict[str, str], body: str, state: str, said: str
) -> None:
    with house.books.write() as (connection, brand):
        receive(connection, brand, channel, "1", headers, body)
    assert sort_out(house.books) == []
    ((found, note),) = house.rows("SELECT state, note FROM inbox_messages")
    assert found == state
    assert said in note


def test_a_message_about_a_closed_account_is_noted_and_forgotten(books: BrandStore) -> None:
    body = (
        '{"metadata":{"topic":"MARKETPLACE_ACCOUNT_DELETION"},"notification":{"data":{"username":"jo","userId":"u"}}}'
    )
    with books.write() as (connection, brand):
        save_connection(connection, brand, books.vault, Connection("bay", "ebay", "http://127.0.0.1:9", {}, {}))
        receive(connection, brand, "bay", "1", {}, body)
    assert sort_out(books) == []
    with books.read() as (connection, _):
        ((state, kept, note),) = fetch(connection, "SELECT state, body, note FROM inbox_messages", {})
    assert (state, kept) == ("processed", "")
    assert note.startswith("MARKETPLACE_ACCOUNT_DELETION")


def test_amazons_words_that_are_no_message_are_given_up(books: BrandStore) -> None:
    with books.write() as (connection, brand):
        save_connection(connection, brand, books.vault, Connection("az", "amazon", "http://127.0.0.1:9", {}, {}))
        receive(connection, brand, "az", "1", {}, '{"notificationType": "ORDER_CHANGE"}')
    assert sort_out(books) == []
    with books.read() as (connection, _):
        ((state, note),) = fetch(connection, "SELECT state, note FROM inbox_messages", {})
    assert state == "failed"
    assert note.startswith("not understood")


def test_what_somebody_put_back_after_an_edit_is_looked_at(house: House) -> None:
    """It is the number that was agreed upon, yet not the number that was last read."""
    house.deliver("shop", house.shop)
    house.work_off()
    with house.books.write() as (connection, _):
        run(
            connection,
            "UPDATE channel_items SET shown = 5 WHERE key = :key",
            {"key": str(house.shop._of_sku("BAG").id)},
        )
    house.shop.edit("BAG", 9)
    house.shop.edit("BAG", 10)
    house.deliver("shop", house.shop)
    assert [one.channel for one in sort_out(house.books)] == ["shop"]
