"""WooCommerce's connector against a shop on loopback that has the traps of the real one."""

import base64
import hashlib
import json
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
import stamina
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from resources.channels.oauth1 import OAuth1
from resources.channels.protocol import (
    ChannelUnavailable,
    CredentialsRefused,
    ListedItem,
    Outcome,
    PriceWrite,
    RequestRefused,
    StockWrite,
)
from resources.channels.woocommerce import SENDER, WooCommerce, connect, is_ping
from tests.peers.vendor import TOO_MANY, Asked, Fault, Reply
from tests.peers.woocommerce import API, KEY, SECRET, WEBHOOK_SECRET, WooCommercePeer
from tests.resources.channels.tools import JumpingClock, memory_tools

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def no_back_off() -> Iterator[None]:
    stamina.set_testing(True, attempts=5)
    yield
    stamina.set_testing(False)


@pytest.fixture
def clock() -> JumpingClock:
    return JumpingClock()


@pytest.fixture
def peer(clock: JumpingClock) -> Iterator[WooCommercePeer]:
    with WooCommercePeer(clock=clock) as peer:
        yield peer


@pytest.fixture
def shop(peer: WooCommercePeer) -> Iterator[WooCommerce]:
    connector = connect(peer.connection("shop", timeout_seconds=5), memory_tools())
    yield connector
    connector.close()


def listed(shop: WooCommerce) -> dict[str, ListedItem]:
    return {item.key: item for page in shop.list_items() for item in page}


def stock_write(key: str, quantity: int, parent: str | None = None) -> StockWrite:
    return StockWrite(key, f"sku-{key}", quantity, None, {"parent": parent} if parent else {}, f"run-{key}")


def price_write(key: str, price: str, currency: str = "EUR") -> PriceWrite:
    return PriceWrite(key, f"sku-{key}", Decimal(price), currency, {}, f"run-{key}")


def write_stock(shop: WooCommerce, *writes: StockWrite) -> dict[str, Any]:
    return {result.key: result for call in shop.write_stock(writes) for result in call}


def ask(peer: WooCommercePeer, method: str, path: str, body: Any = None, **params: Any) -> tuple[int, Any]:
    """A request of somebody else, signed as it must be."""
    with httpx.Client(base_url=peer.url, auth=OAuth1(KEY, SECRET), trust_env=False) as client:
        answer = client.request(method, f"{API}{path}", params=params, **({} if body is None else {"json": body}))
        return answer.status_code, answer.json()


# Listing and reading


def test_products_and_the_variations_of_their_parents_are_listed(peer: WooCommercePeer, shop: WooCommerce):
    simple = [peer.add(f"SCARF-{n}", n, "290.00") for n in range(130)]
    parent = peer.add("BAG", None, "", kind="variable", name="Calf Bag")
    noir = peer.add("BAG-NOI", 5, "1299.99", parent=parent, name="Noir")
    items = listed(shop)
    assert set(items) == {*simple, noir}
    assert items[simple[7]].quantity == 7
    assert items[simple[7]].price == Decimal("290.00")
    assert items[noir].handles == {"parent": parent}
    assert items[noir].title == "Calf Bag - Noir"
    assert (items[noir].currency, items[noir].unwritable) == ("EUR", None)
    assert peer.violations == []


def test_a_product_whose_stock_is_not_managed_is_listed_as_unwritable(peer: WooCommercePeer, shop: WooCommerce):
    key = peer.add("SERVICE", None)
    item = listed(shop)[key]
    assert item.quantity is None
    assert item.unwritable == "WooCommerce does not manage its stock"


def test_a_count_kept_at_the_parent_is_the_parents_and_not_the_variations(peer: WooCommercePeer, shop: WooCommerce):
    parent = peer.add("BELT", 9, "", kind="variable")
    small = peer.add("BELT-S", None, parent=parent, manage_stock="parent")
    items = listed(shop)
    assert (items[parent].quantity, items[parent].unwritable) == (9, None)
    assert items[small].quantity is None
    assert items[small].unwritable == f"its stock is kept at its parent product {parent}"


def test_a_deletion_between_two_pages_skips_nothing(peer: WooCommercePeer, shop: WooCommerce):
    keys = [peer.add(f"S-{n}", 1) for n in range(205)]
    peer.faults.append(
        Fault("meanwhile", matches=lambda asked: asked.query.get("page") == "2", act=lambda: peer.remove(keys[3]))
    )
    assert set(listed(shop)) == set(keys)


def test_items_are_read_again_whatever_their_skus_are(peer: WooCommercePeer, shop: WooCommerce):
    peer.add("SCARF", 3)
    for number, skus in enumerate([("A-S", "A-M"), ("", "B,M"), ("SAME", "SAME"), ("C 1", "ÄÖ/ü&=")]):
        parent = peer.add(f"P{number}", None, kind="variable")
        for sku in skus:
            peer.add(sku, 2, parent=parent)
    items = list(listed(shop).values())
    peer.edit("A-M", 44)
    peer.edit("SCARF", 0)
    again = {item.key: item for item in shop.read_items(items)}
    assert set(again) == {item.key for item in items}
    assert {item.sku: item.quantity for item in again.values() if item.sku in ("A-M", "SCARF")} == {
        "A-M": 44,
        "SCARF": 0,
    }
    assert all(again[item.key].handles == item.handles for item in items)
    assert peer.violations == []


def test_many_variations_are_read_in_one_call_by_their_skus(peer: WooCommercePeer, shop: WooCommerce):
    for number in range(30):
        parent = peer.add(f"P{number}", None, kind="variable")
        peer.add(f"P{number}-S", number, parent=parent)
    items = list(listed(shop).values())
    before = len(peer.asked)
    assert len(shop.read_items(items)) == 30
    assert len(peer.asked) - before == 1


def test_a_long_list_of_skus_is_cut_into_urls_that_servers_take(peer: WooCommercePeer, shop: WooCommerce):
    for number in range(60):
        parent = peer.add(f"P{number}", None, kind="variable")
        peer.add(f"P{number}-" + "ß" * 90, number, parent=parent)
    items = list(listed(shop).values())
    before = len(peer.asked)
    assert len(shop.read_items(items)) == 60
    assert all(len(asked.query.get("sku", "")) < 1000 for asked in peer.asked[before:])


def test_what_is_gone_is_left_out(peer: WooCommercePeer, shop: WooCommerce):
    gone, kept = peer.add("GONE", 1), peer.add("KEPT", 1)
    parent = peer.add("BAG", None, kind="variable")
    peer.add("BAG-S", 1, parent=parent)
    items = list(listed(shop).values())
    peer.remove(gone)
    peer.remove(parent)
    assert [item.key for item in shop.read_items(items)] == [kept]


def test_an_answer_that_is_no_json_is_told_as_such(peer: WooCommercePeer, shop: WooCommerce):
    page = Reply(200, b"<b>Notice</b>: Undefined index in /plugins/x.php [{}]", {"content-type": "text/html"})
    peer.faults.append(Fault("reply", reply=page))
    with pytest.raises(ChannelUnavailable, match="with no JSON: <b>Notice"):
        list(shop.list_items())


# Writing stock


def test_stock_is_written_with_one_call_for_100_products_and_one_for_each_parent(
    peer: WooCommercePeer, shop: WooCommerce
):
    simple = [peer.add(f"S-{n}", 0) for n in range(130)]
    parents = [peer.add(f"P-{n}", None, kind="variable") for n in range(2)]
    variations = [(peer.add(f"V-{n}", 0, parent=parents[n % 2]), parents[n % 2]) for n in range(4)]
    writes = [stock_write(key, 7) for key in simple] + [stock_write(key, 8, parent) for key, parent in variations]
    calls = list(shop.write_stock(writes))
    assert [len(call) for call in calls] == [100, 30, 2, 2]
    assert {result.outcome for call in calls for result in call} == {Outcome.confirmed}
    assert peer.count("POST") == 4
    assert (peer.stock("S-129"), peer.stock("V-3")) == (7, 8)
    assert peer.violations == []


def test_a_quantity_that_the_shop_does_not_count_is_told_as_ignored(peer: WooCommercePeer, shop: WooCommerce):
    key = peer.add("SERVICE", None)
    result = write_stock(shop, stock_write(key, 5))[key]
    assert (result.outcome, result.shown) == (Outcome.ignored, None)


def test_the_parents_count_is_not_taken_for_a_variations_own(peer: WooCommercePeer, shop: WooCommerce):
    parent = peer.add("BELT", 9, "", kind="variable")
    key = peer.add("BELT-S", None, parent=parent, manage_stock="parent")
    result = write_stock(shop, stock_write(key, 9, parent))[key]
    assert (result.outcome, result.shown) == (Outcome.ignored, None)


def test_an_error_of_one_item_in_a_200_concerns_that_item_only(peer: WooCommercePeer, shop: WooCommerce):
    good = peer.add("GOOD", 1)
    results = write_stock(shop, stock_write("99999999", 5), stock_write(good, 5))
    assert results["99999999"].outcome == Outcome.refused
    assert results["99999999"].detail == "woocommerce_rest_product_invalid_id: Invalid ID."
    assert (results[good].outcome, results[good].shown) == (Outcome.confirmed, 5)


def test_a_variation_among_the_products_is_refused_and_the_connector_never_does_it(
    peer: WooCommercePeer, shop: WooCommerce
):
    parent = peer.add("BAG", None, kind="variable")
    key = peer.add("BAG-S", 5, parent=parent)
    assert write_stock(shop, stock_write(key, 6, parent))[key].outcome == Outcome.confirmed
    assert peer.violations == []
    status, told = ask(peer, "POST", "/products/batch", {"update": [{"id": int(key), "stock_quantity": 9}]})
    assert (status, told["update"][0]["error"]["code"]) == (200, "woocommerce_rest_invalid_product_id")
    assert peer.stock("BAG-S") == 6
    assert len(peer.violations) == 1


def test_a_timed_out_write_is_unknown_and_the_next_call_is_made(peer: WooCommercePeer):
    keys = [peer.add(f"S-{n}", 0) for n in range(4)]
    shop = connect(peer.connection("shop", timeout_seconds=0.5, batch_size=2), memory_tools())
    peer.faults.append(Fault("hang_after", matches=lambda asked: asked.method == "POST"))
    calls = list(shop.write_stock([stock_write(key, 3) for key in keys]))
    assert [[result.outcome for result in call] for call in calls] == [[Outcome.unknown] * 2, [Outcome.confirmed] * 2]
    assert peer.count("POST") == 2
    assert peer.stock("S-0") == 3


def test_a_write_whose_client_gave_up_goes_on_item_by_item(peer: WooCommercePeer):
    keys = [peer.add(f"S-{n}", 0) for n in range(4)]
    shop = connect(peer.connection("shop", timeout_seconds=0.5), memory_tools())
    items = list(listed(shop).values())
    peer.faults.append(Fault("late", matches=lambda asked: asked.method == "POST"))
    results = write_stock(shop, *(stock_write(key, 3) for key in keys))
    assert {result.outcome for result in results.values()} == {Outcome.unknown}
    seen = []
    for step in (0, 1, 2, None):
        peer.settle(step)
        seen.append([item.quantity for item in shop.read_items(items)])
    assert seen == [[0, 0, 0, 0], [3, 0, 0, 0], [3, 3, 3, 0], [3, 3, 3, 3]]
    assert shop.settle_seconds >= 18


@pytest.mark.parametrize("kind", ["reset_after", "reply_after"])
def test_a_lost_answer_is_unknown_and_not_sent_again(peer: WooCommercePeer, shop: WooCommerce, kind: str):
    key = peer.add("S", 0)
    peer.faults.append(Fault(kind, matches=lambda asked: asked.method == "POST", reply=Reply(500)))
    assert write_stock(shop, stock_write(key, 3))[key].outcome == Outcome.unknown
    assert peer.count("POST") == 1


def test_a_page_instead_of_json_leaves_a_write_unknown(peer: WooCommercePeer, shop: WooCommerce):
    key = peer.add("S", 0)
    peer.faults.append(Fault("reply_after", matches=lambda asked: asked.method == "POST", reply=Reply(200, b"<html>")))
    assert write_stock(shop, stock_write(key, 3))[key].outcome == Outcome.unknown


def test_a_write_that_is_told_to_wait_is_sent_again(peer: WooCommercePeer, shop: WooCommerce):
    key = peer.add("S", 0)
    peer.faults.append(Fault("reply", reply=TOO_MANY, matches=lambda asked: asked.method == "POST"))
    assert write_stock(shop, stock_write(key, 3))[key].outcome == Outcome.confirmed
    assert peer.count("POST") == 2


def test_an_item_that_spoils_its_call_is_found_by_halving(peer: WooCommercePeer, shop: WooCommerce):
    keys = [peer.add(f"S-{n}", 0) for n in range(64)]
    refusal = Reply(400, {"code": "rest_plugin_error", "message": "A plugin refuses this.", "data": {"status": 400}})
    peer.faults.append(Fault("reply", times=99, reply=refusal, matches=lambda asked: _names(asked, keys[37])))
    results = write_stock(shop, *(stock_write(key, 3) for key in keys))
    assert [key for key, result in results.items() if result.outcome != Outcome.confirmed] == [keys[37]]
    assert "A plugin refuses this" in results[keys[37]].detail
    assert peer.count("POST") == 13


def _names(asked: Asked, key: str) -> bool:
    return asked.method == "POST" and any(item["id"] == int(key) for item in asked.json()["update"])


def test_a_wrong_url_is_an_error_and_not_a_refusal_of_each_item(peer: WooCommercePeer):
    key = peer.add("S", 0)
    connection = peer.connection("shop")
    shop = connect(type(connection)("shop", "woocommerce", f"{peer.url}/blog", {}, connection.secrets), memory_tools())
    with pytest.raises(RequestRefused, match="No route"):
        list(shop.write_stock([stock_write(key, 3)]))


def test_a_plain_set_buries_an_order_that_came_since_the_read(peer: WooCommercePeer, shop: WooCommerce):
    """What no caller can prevent here: there is no compare-and-set. The order itself tells, and a later run corrects it."""
    key = peer.add("S", 10)
    peer.faults.append(Fault("meanwhile", matches=lambda asked: asked.method == "POST", act=lambda: peer.buy({"S": 3})))
    assert write_stock(shop, stock_write(key, 10))[key].outcome == Outcome.confirmed
    assert peer.stock("S") == 10
    assert sum(line.taken for page in shop.orders_since(LONG_AGO) for order in page for line in order.lines) == 3


# Writing prices


def test_prices_are_written_as_plain_text_and_compared(peer: WooCommercePeer, shop: WooCommerce):
    key = peer.add("S", 1, "10.00")
    (result,) = next(shop.write_prices([price_write(key, "1.2995E+3")]))
    assert (result.outcome, result.shown) == (Outcome.confirmed, Decimal("1299.5"))
    assert json.loads(peer.asked[-1].body)["update"] == [{"id": int(key), "regular_price": "1299.5"}]
    assert peer.violations == []


def test_a_sale_price_that_stays_in_force_is_told(peer: WooCommercePeer, shop: WooCommerce):
    key = peer.add("S", 1, "10.00", sale_price="8.00")
    (result,) = next(shop.write_prices([price_write(key, "12.00")]))
    assert (result.outcome, result.detail) == (Outcome.confirmed, "a sale price of 8.00 is set")
    (result,) = next(shop.write_prices([price_write(key, "7.00")]))
    assert (result.outcome, result.detail) == (Outcome.confirmed, None)


def test_a_price_in_a_currency_that_the_shop_does_not_sell_in_is_refused(peer: WooCommercePeer, shop: WooCommerce):
    key = peer.add("S", 1, "10.00")
    results = [result for call in shop.write_prices([price_write(key, "12.00", "USD")]) for result in call]
    assert [(result.outcome, result.detail) for result in results] == [
        (Outcome.refused, "the shop sells in EUR, not USD")
    ]
    assert peer.count("POST") == 0


# Orders


def test_an_order_is_read_with_its_units_and_amounts(peer: WooCommercePeer, shop: WooCommerce):
    key = peer.add("S", 10, "50.00")
    order_id = peer.buy({"S": 4}, discount="20.00", shipping="9.00")
    assert order_id is not None
    (order,) = shop.read_orders([order_id, "99999999", "abc"])
    (line,) = order.lines
    assert (line.key, line.sku, line.taken, line.kept, line.unit_price) == (key, "S", 4, 4, Decimal("50.00"))
    assert (order.shipping, order.discount, order.currency, order.country) == (Decimal(9), Decimal(20), "EUR", "FR")
    assert peer.accepted == {order_id: {"S": 4}}


@pytest.mark.parametrize(
    ("status", "taken", "kept"),
    [
        ("pending", 0, 0),
        ("on-hold", 2, 0),
        ("processing", 2, 2),
        ("completed", 2, 2),
        ("cancelled", 0, 0),
        ("failed", 0, 0),
    ],
)
def test_what_a_state_takes_and_keeps(peer: WooCommercePeer, shop: WooCommerce, status: str, taken: int, kept: int):
    peer.add("S", 10)
    order_id = peer.rest_order({"S": 2}, status)
    (line,) = shop.read_orders([order_id])[0].lines
    assert (line.taken, line.kept) == (taken, kept)
    assert peer.stock("S") == 10 - taken


def test_a_line_of_uncounted_stock_takes_by_its_state(peer: WooCommercePeer, shop: WooCommerce):
    peer.add("SERVICE", None)
    order_id = peer.rest_order({"SERVICE": 2})
    assert shop.read_orders([order_id])[0].lines[0].taken == 2
    peer.cancel(order_id)
    assert shop.read_orders([order_id])[0].lines[0].taken == 0


def test_a_cancelled_order_puts_its_units_back(peer: WooCommercePeer, shop: WooCommerce):
    peer.add("S", 10)
    order_id = peer.buy({"S": 3}) or ""
    assert peer.stock("S") == 7
    peer.cancel(order_id)
    assert peer.stock("S") == 10
    (line,) = shop.read_orders([order_id])[0].lines
    assert (line.taken, line.kept) == (0, 0)


@pytest.mark.parametrize(("restock", "taken"), [(True, 2), (False, 3)])
def test_a_refund_lessens_what_is_kept_and_only_a_restock_what_is_taken(
    peer: WooCommercePeer, shop: WooCommerce, restock: bool, taken: int
):
    peer.add("S", 10, "50.00")
    order_id = peer.buy({"S": 3}) or ""
    peer.refund(order_id, "S", 1, restock)
    peer.give_back_money(order_id, "5.00")
    (order,) = shop.read_orders([order_id])
    assert (order.lines[0].taken, order.lines[0].kept) == (taken, 2)
    assert order.refunded_besides == Decimal("5.00")
    assert peer.stock("S") == 10 - taken


def test_the_refund_of_a_unit_bought_with_a_coupon_lessens_the_discount(peer: WooCommercePeer, shop: WooCommerce):
    peer.add("S", 10, "50.00")
    order_id = peer.buy({"S": 2}, discount="20.00") or ""
    peer.refund(order_id, "S", 1, True)
    (order,) = shop.read_orders([order_id])
    assert (order.discount, order.refunded_besides) == (Decimal("10.00"), Decimal(0))
    assert sum(line.kept * line.unit_price for line in order.lines) - order.discount == Decimal("40.00")


def test_a_wholly_refunded_order_keeps_nothing_and_its_stock_stays_taken(peer: WooCommercePeer, shop: WooCommerce):
    peer.add("S", 10, "50.00")
    order_id = peer.buy({"S": 2}, shipping="9.00") or ""
    peer.set_status(order_id, "refunded")
    (order,) = shop.read_orders([order_id])
    assert (order.state, order.lines[0].taken, order.lines[0].kept) == ("refunded", 2, 0)
    assert order.refunded_besides == Decimal("9.00")


def test_refunds_are_asked_for_only_where_there_are_some(peer: WooCommercePeer, shop: WooCommerce):
    peer.add("S", 10, "50.00")
    peer.buy({"S": 1})
    order_id = peer.buy({"S": 3}) or ""
    peer.refund(order_id, "S", 1, True)
    list(shop.orders_since(LONG_AGO))
    assert peer.count("GET", "/refunds") == 1


def test_orders_come_by_their_last_change_and_the_instant_asked_for_is_included(
    peer: WooCommercePeer, shop: WooCommerce, clock: JumpingClock
):
    peer.add("S", 10)
    orders = []
    for _ in range(3):
        orders.append(peer.buy({"S": 1}))
        clock.sleep(10)
    peer.cancel(orders[1] or "")
    assert [order.order_id for page in shop.orders_since(LONG_AGO) for order in page] == [
        orders[0],
        orders[2],
        orders[1],
    ]
    since = clock.now() - timedelta(seconds=10)
    assert [order.order_id for page in shop.orders_since(since) for order in page] == [orders[2], orders[1]]


def test_an_order_that_changes_while_pages_are_read_makes_none_be_skipped(
    peer: WooCommercePeer, shop: WooCommerce, clock: JumpingClock
):
    peer.add("S", 1000)
    orders = []
    for _ in range(250):
        orders.append(peer.buy({"S": 1}) or "")
        clock.sleep(1)
    asks = [0]

    def at_the_second(asked: Asked) -> bool:
        asks[0] += "orderby" in asked.query and asked.query["status"] == "any"
        return asks[0] == 2

    peer.faults.append(
        Fault("meanwhile", matches=at_the_second, act=lambda: [peer.cancel(each) for each in orders[:5]])
    )
    given = [order for page in shop.orders_since(LONG_AGO) for order in page]
    assert {order.order_id for order in given} == set(orders)
    assert [order.order_id for order in given[-5:]] == orders[:5]
    assert {order.state for order in given[-5:]} == {"cancelled"}
    assert [order.updated_at for order in given] == sorted(order.updated_at for order in given)


@pytest.mark.parametrize("count", [100, 101, 350])
def test_more_orders_than_a_page_that_share_one_second_are_all_read(
    peer: WooCommercePeer, shop: WooCommerce, clock: JumpingClock, count: int
):
    peer.add("S", 1000)
    early = peer.rest_order({"S": 1})
    clock.sleep(5)
    bulk = [peer.rest_order({"S": 1}) for _ in range(count)]
    clock.sleep(5)
    late = peer.rest_order({"S": 1})
    given = [order.order_id for page in shop.orders_since(LONG_AGO) for order in page]
    assert sorted(given) == sorted([early, *bulk, late])
    assert (given[0], given[-1]) == (early, late)


def test_an_order_that_leaves_a_crowded_second_makes_none_of_it_be_skipped(
    peer: WooCommercePeer, shop: WooCommerce, clock: JumpingClock
):
    peer.add("S", 1000)
    bulk = [peer.rest_order({"S": 1}) for _ in range(350)]
    clock.sleep(5)

    def act() -> None:
        for each in bulk[:3]:
            peer.cancel(each)

    in_second = Fault("meanwhile", matches=lambda a: "modified_before" in a.query and a.query["page"] == "2", act=act)
    peer.faults.append(in_second)
    given = [order for page in shop.orders_since(LONG_AGO) for order in page]
    assert {order.order_id for order in given} == set(bulk)
    assert {order.order_id for order in given if order.state == "cancelled"} == set(bulk[:3])


def test_a_trashed_order_is_read_too_and_sells_nothing(peer: WooCommercePeer, shop: WooCommerce, clock: JumpingClock):
    peer.add("S", 10)
    first = peer.buy({"S": 2}) or ""
    clock.sleep(5)
    second = peer.buy({"S": 1}) or ""
    clock.sleep(5)
    peer.trash(first)
    given = [order for page in shop.orders_since(LONG_AGO) for order in page]
    assert [(order.order_id, order.state) for order in given] == [(second, "processing"), (first, "trash")]
    # WooCommerce puts nothing back for it.
    assert (given[1].lines[0].taken, given[1].lines[0].kept) == (2, 0)
    assert shop.read_orders([first])[0].state == "trash"


def test_a_state_of_a_plugin_counts_as_a_sale_where_the_connection_says_so(peer: WooCommercePeer):
    peer.add("S", 10)
    order_id = peer.buy({"S": 2}) or ""
    peer.set_status(order_id, "shipped")
    for states, kept in (([], 0), (["shipped"], 2)):
        shop = connect(peer.connection("shop", sale_states=states), memory_tools())
        assert shop.read_orders([order_id])[0].lines[0].kept == kept


# Checks, authentication and certificates


def test_a_healthy_connection_has_only_good_findings(peer: WooCommercePeer, shop: WooCommerce):
    findings = shop.check()
    assert [finding.name for finding in findings] == [
        "credentials",
        "orders",
        "writing",
        "version",
        "stock",
        "webhooks",
    ]
    assert all(finding.ok for finding in findings)
    assert "10.0.2" in findings[3].message
    assert peer.products == {}


def test_a_webhook_that_woocommerce_disabled_is_found(peer: WooCommercePeer, shop: WooCommerce):
    for _ in range(5):
        peer.delivery_failed("order.updated")
    assert all(finding.ok for finding in shop.check())
    peer.delivery_failed("order.updated")
    (finding,) = [each for each in shop.check() if not each.ok]
    assert finding.name == "webhooks"
    assert "order.updated" in finding.message
    assert "active again" in (finding.remedy or "")
    peer.add("S", 3)
    order_id = peer.buy({"S": 1}) or ""
    before = len(peer.webhooks)
    peer.set_status(order_id, "completed")
    assert len(peer.webhooks) == before


def test_a_key_that_may_only_read_is_found_without_changing_anything():
    with WooCommercePeer(permissions="read") as peer:
        findings = connect(peer.connection("shop"), memory_tools()).check()
        (finding,) = [each for each in findings if not each.ok]
        assert finding.name == "writing"
        assert "does not have write permissions" in finding.message


def test_stock_management_that_is_off_is_found():
    with WooCommercePeer(stock_management=False) as peer:
        peer.add("S", 3)
        shop = connect(peer.connection("shop"), memory_tools())
        assert [each.name for each in shop.check() if not each.ok] == ["stock"]
        assert [item.unwritable for item in listed(shop).values()] == ["WooCommerce does not manage its stock"]


def test_a_key_that_may_not_see_the_system_is_still_good():
    with WooCommercePeer(may_see_system=False) as peer:
        findings = connect(peer.connection("shop"), memory_tools()).check()
        assert all(finding.ok for finding in findings)


def test_wrong_credentials_are_one_finding(peer: WooCommercePeer):
    connection = peer.connection("shop")
    wrong = type(connection)("shop", "woocommerce", peer.url, {}, {**connection.secrets, "secret": "cs_wrong"})
    (finding,) = connect(wrong, memory_tools()).check()
    assert (finding.name, finding.ok) == ("credentials", False)
    with pytest.raises(CredentialsRefused):
        list(connect(wrong, memory_tools()).list_items())


def test_a_shop_that_does_not_answer_is_one_finding(peer: WooCommercePeer):
    peer.faults.append(Fault("reset_before", times=99))
    (finding,) = connect(peer.connection("shop"), memory_tools()).check()
    assert (finding.name, finding.ok) == ("reachable", False)


def test_basic_authentication_over_plain_http_is_refused(peer: WooCommercePeer):
    with httpx.Client(base_url=peer.url, auth=(KEY, SECRET), trust_env=False) as client:
        assert client.get(f"{API}/products").status_code == 401


def test_a_signed_request_cannot_be_sent_twice(peer: WooCommercePeer):
    with httpx.Client(base_url=peer.url, auth=OAuth1(KEY, SECRET), trust_env=False) as client:
        answer = client.get(f"{API}/products")
        assert answer.status_code == 200
        assert httpx.get(answer.request.url, trust_env=False).json()["message"].startswith("Invalid nonce")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1 with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "shop.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + secret)
    return path


@pytest.fixture
def tls_peer(certificate: Path) -> Iterator[WooCommercePeer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with WooCommercePeer(tls=context) as peer:
        peer.add("S", 3)
        yield peer


def test_a_self_signed_certificate_is_refused_unless_told_otherwise(tls_peer: WooCommercePeer, certificate: Path):
    with pytest.raises(ChannelUnavailable, match="certificate"):
        list(connect(tls_peer.connection("shop"), memory_tools()).list_items())
    for options in ({"insecure": True}, {"ca_file": str(certificate)}):
        shop = connect(tls_peer.connection("shop", **options), memory_tools())
        assert [item.quantity for item in listed(shop).values()] == [3]
        shop.close()


def test_over_tls_the_key_goes_as_basic_authentication(tls_peer: WooCommercePeer):
    shop = connect(tls_peer.connection("shop", insecure=True), memory_tools())
    assert listed(shop)
    assert tls_peer.asked[-1].headers["authorization"].startswith("Basic ")
    assert "oauth_signature" not in tls_peer.asked[-1].query


def test_a_ca_file_that_does_not_vouch_for_the_shop_is_no_help(tls_peer: WooCommercePeer):
    import_path = ssl.get_default_verify_paths().cafile
    if import_path is None:
        pytest.skip("needs the system's own certificates as a file")
    with pytest.raises(ChannelUnavailable, match="certificate"):
        list(connect(tls_peer.connection("shop", ca_file=import_path), memory_tools()).list_items())


# Webhooks


def test_a_signed_webhook_is_taken_and_a_forged_one_is_not(peer: WooCommercePeer):
    key = peer.add("S", 5)
    peer.edit("S", 4)
    headers, body = peer.webhooks[-1]
    assert SENDER.verify(WEBHOOK_SECRET.encode(), headers, body)
    assert not SENDER.verify(
        WEBHOOK_SECRET.encode(), headers, body.replace(b'"stock_quantity":4', b'"stock_quantity":9')
    )
    assert not SENDER.verify(b"other", headers, body)
    assert not SENDER.verify(WEBHOOK_SECRET.encode(), {}, body)
    touched = SENDER.touched(headers, body)
    assert touched is not None
    assert (touched.topic, touched.keys, touched.skus) == ("product.updated", (key,), ("S",))
    assert touched.quantities == {key: 4}


def test_delivery_ids_repeat_within_a_second_and_message_ids_do_not(peer: WooCommercePeer, clock: JumpingClock):
    for sku in ("A", "B"):
        peer.add(sku, 5)
        peer.edit(sku, 4)
    (first, one), (second, two) = peer.webhooks[-2:]
    assert first["x-wc-webhook-delivery-id"] == second["x-wc-webhook-delivery-id"]
    assert SENDER.message_id(first, one) != SENDER.message_id(second, two)
    clock.sleep(60)
    again = {**first, "x-wc-webhook-delivery-id": hashlib.md5(b"again").hexdigest()}
    assert SENDER.message_id(again, one) == SENDER.message_id(first, one)
    assert SENDER.message_id({**first, "x-wc-webhook-topic": "product.created"}, one) != SENDER.message_id(first, one)


def test_waiting_webhooks_are_coalesced_and_show_the_state_at_delivery(peer: WooCommercePeer):
    key = peer.add("S", 5)
    peer.holds_webhooks = True
    for quantity in (4, 3, 2):
        peer.edit("S", quantity)
    assert peer.webhooks == []
    peer.deliver()
    ((headers, body),) = peer.webhooks
    touched = SENDER.touched(headers, body)
    assert touched is not None
    assert touched.quantities == {key: 2}


def test_an_order_webhook_names_its_order_and_a_deletion_its_product(peer: WooCommercePeer):
    key = peer.add("S", 5)
    order_id = peer.buy({"S": 1})
    touched = {t.topic: t for t in (SENDER.touched(*message) for message in peer.webhooks) if t}
    assert touched["order.created"].order_ids == (order_id,)
    peer.remove(key)
    deleted = SENDER.touched(*peer.webhooks[-1])
    assert deleted is not None
    assert (deleted.topic, deleted.keys, deleted.quantities) == ("product.deleted", (key,), {})


def test_the_ping_of_a_new_webhook_is_no_event(peer: WooCommercePeer):
    ask(peer, "POST", "/webhooks", {"topic": "order.created", "delivery_url": "http://127.0.0.1/x", "secret": "s"})
    headers, body = peer.webhooks[-1]
    assert is_ping(headers, body)
    assert SENDER.touched(headers, body) is None
    assert not SENDER.verify(WEBHOOK_SECRET.encode(), headers, body)


@pytest.mark.parametrize(
    ("kind", "body", "more"),
    [
        ("application/json", b"webhook_id=7", {}),
        ("application/x-www-form-urlencoded", b"webhook_id=7&topic=order.created", {}),
        ("application/x-www-form-urlencoded", b"webhook_id=7\n", {}),
        ("application/x-www-form-urlencoded", b"webhook_id=", {}),
        ("application/x-www-form-urlencoded", b'{"id":7}', {}),
        ("application/x-www-form-urlencoded", b"webhook_id=7", {"x-wc-webhook-signature": "abc"}),
    ],
)
def test_nothing_else_passes_for_a_ping(kind: str, body: bytes, more: dict[str, str]):
    assert not is_ping({"content-type": kind, **more}, body)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"null", b'{"id":"x"}', b"\xff"])
def test_a_body_that_names_nothing_touches_nothing(body: bytes):
    assert SENDER.touched({"x-wc-webhook-topic": "product.updated"}, body) is None


def test_a_webhook_of_another_resource_touches_nothing():
    assert SENDER.touched({"x-wc-webhook-topic": "customer.updated"}, b'{"id":7}') is None


# The peer itself: the traps as measured


@pytest.mark.parametrize(("sent", "becomes"), [("abc", 0), (2.7, 2), (None, 0), ("13", 13), (-2, -2)])
def test_a_batch_takes_any_quantity_and_makes_something_of_it(peer: WooCommercePeer, sent: object, becomes: int):
    key = peer.add("S", 5)
    status, told = ask(peer, "POST", "/products/batch", {"update": [{"id": int(key), "stock_quantity": sent}]})
    assert (status, told["update"][0]["stock_quantity"], peer.stock("S")) == (200, becomes, becomes)
    assert len(peer.violations) == 1


def test_a_single_put_checks_the_quantitys_type_and_takes_null_for_none(peer: WooCommercePeer):
    key = peer.add("S", 5)
    assert ask(peer, "PUT", f"/products/{key}", {"stock_quantity": "abc"})[0] == 400
    assert ask(peer, "PUT", f"/products/{key}", {"stock_quantity": None})[0] == 200
    assert peer.stock("S") == 0


def test_the_quantity_of_an_unmanaged_product_is_ignored_in_silence(peer: WooCommercePeer):
    key = peer.add("S", None)
    status, told = ask(peer, "PUT", f"/products/{key}", {"stock_quantity": 5})
    assert (status, told["stock_quantity"], peer.stock("S")) == (200, None, None)


def test_a_batch_of_101_is_too_large(peer: WooCommercePeer):
    key = int(peer.add("S", 5))
    assert ask(peer, "POST", "/products/batch", {"update": [{"id": key, "stock_quantity": 1}] * 101})[0] == 413
    assert peer.stock("S") == 5


def test_an_unknown_product_is_404_to_get_and_400_to_put(peer: WooCommercePeer):
    assert ask(peer, "GET", "/products/99999999")[0] == 404
    assert ask(peer, "PUT", "/products/99999999", {"stock_quantity": 1})[0] == 400


def test_variations_cannot_be_listed_by_type_and_past_the_end_is_an_empty_list(peer: WooCommercePeer):
    assert ask(peer, "GET", "/products", type="variation")[0] == 400
    assert ask(peer, "GET", "/products", per_page=100, page=99) == (200, [])
    assert ask(peer, "GET", "/products", per_page=101)[0] == 400


@pytest.mark.parametrize(
    ("sent", "becomes"),
    [
        ("12,50", "1250"),
        ("1.299,99", "1.29999"),
        ("1e3", "13"),
        ("abc", ""),
        ("", ""),
        ("-5", "-5"),
        (" 19.9 ", "19.9"),
    ],
)
def test_a_price_is_made_of_whatever_is_a_digit(peer: WooCommercePeer, sent: str, becomes: str):
    key = peer.add("S", 5)
    status, told = ask(peer, "PUT", f"/products/{key}", {"regular_price": sent})
    assert (status, told["regular_price"]) == (200, becomes)


def test_a_price_that_is_a_number_is_refused(peer: WooCommercePeer):
    key = peer.add("S", 5)
    assert ask(peer, "PUT", f"/products/{key}", {"regular_price": 12.5})[0] == 400


def test_a_sale_price_above_the_regular_one_is_dropped_in_silence(peer: WooCommercePeer):
    key = peer.add("S", 5, "10.00")
    told = ask(peer, "PUT", f"/products/{key}", {"sale_price": "12.00"})[1]
    assert (told["sale_price"], told["price"]) == ("", "10.00")


def test_a_posted_list_makes_an_empty_product(peer: WooCommercePeer):
    status, told = ask(peer, "POST", "/products", [1, 2])
    assert (status, told["sku"], told["name"]) == (201, "", "Product")


def test_the_checkout_looks_at_the_stock_and_rest_does_not(peer: WooCommercePeer):
    key = peer.add("S", 1)
    assert peer.buy({"S": 4}) is None
    assert peer.stock("S") == 1
    line = {"product_id": int(key), "quantity": 4}
    assert ask(peer, "POST", "/orders", {"status": "processing", "line_items": [line]})[0] == 201
    assert peer.stock("S") == -3


def test_a_signed_topic_webhook_of_the_peer_is_signed_as_woocommerce_does(peer: WooCommercePeer):
    peer.add("S", 1)
    peer.edit("S", 2)
    headers, body = peer.webhooks[-1]
    assert len(base64.b64decode(headers["x-wc-webhook-signature"])) == 32
    assert b"\\/" in body
