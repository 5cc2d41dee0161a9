"""The real connector against a shop on loopback that has Shopify's traps."""

import json
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
import stamina

from resources.channels import shopify_documents as documents
from resources.channels.protocol import (
    ChannelError,
    ChannelUnavailable,
    Connection,
    CredentialsRefused,
    ListedItem,
    Outcome,
    PriceWrite,
    RequestRefused,
    StockWrite,
    WriteResult,
)
from resources.channels.shopify import SENDER, Shopify, connect, webhook_secret
from tests.peers.shopify import NO_CHANGE_FROM, NO_IDEMPOTENT, Goods, Line, ShopifyPeer
from tests.peers.vendor import TOO_MANY, Fault, Reply
from tests.resources.channels.tools import JumpingClock, memory_tools

SPECS = Path(__file__).parents[3].parent / "shared" / "specs"
GRAPHQL = "graphql.json"
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def no_blind_waits() -> Iterator[None]:
    stamina.set_testing(True, attempts=5)
    yield
    stamina.set_testing(False)


@pytest.fixture
def clock() -> JumpingClock:
    return JumpingClock()


@pytest.fixture
def peer(clock: JumpingClock) -> Iterator[ShopifyPeer]:
    # With the vendor's schema where it is here; its own checks alone elsewhere.
    with ShopifyPeer(SPECS if SPECS.exists() else None, clock=clock) as shop:
        yield shop


@pytest.fixture
def shop(peer: ShopifyPeer, clock: JumpingClock) -> Iterator[Shopify]:
    connector = connect(peer.connection(timeout_seconds=0.5), memory_tools(clock))
    yield connector
    connector.close()


def listed(shop: Shopify) -> dict[str, ListedItem]:
    return {item.sku or "": item for page in shop.list_items() for item in page}


def stock_write(item: ListedItem, quantity: int, expected: int | None = None, key: str = "run-1") -> StockWrite:
    return StockWrite(item.key, item.sku or "", quantity, expected, item.handles, f"{key}/{item.sku}")


def price_write(item: ListedItem, price: str, currency: str = "EUR") -> PriceWrite:
    return PriceWrite(item.key, item.sku or "", Decimal(price), currency, item.handles, f"run-1/{item.sku}")


def written(shop: Shopify, writes: Sequence[StockWrite]) -> dict[str, WriteResult]:
    """By key."""
    return {result.key: result for results in shop.write_stock(writes) for result in results}


def outcomes(results: dict[str, WriteResult]) -> set[Outcome]:
    return {result.outcome for result in results.values()}


def sent(peer: ShopifyPeer, operation: str) -> list[dict[str, Any]]:
    """The variables of each request for this operation."""
    bodies = [asked.json() for asked in peer.asked if GRAPHQL in asked.path]
    return [body["variables"] for body in bodies if f" {operation}(" in body["query"]]


def calls(peer: ShopifyPeer) -> int:
    return peer.count("POST", GRAPHQL)


def is_write(asked: Any) -> bool:
    return b"mutation SetQuantities" in asked.body


def is_read_back(asked: Any) -> bool:
    return b"query ReadQuantities" in asked.body


def ask(peer: ShopifyPeer, query: str, variables: dict[str, Any]) -> dict[str, Any]:
    """What any client gets, whatever it sends."""
    headers = {"X-Shopify-Access-Token": peer.old_connection().secrets["access_token"]}
    url = f"{peer.url}/admin/api/2026-10/graphql.json"
    answer = httpx.post(url, json={"query": query, "variables": variables}, headers=headers, trust_env=False)
    assert answer.status_code == 200
    return answer.json()


def raw_set(peer: ShopifyPeer, *quantities: dict[str, Any], key: str = "k-1") -> dict[str, Any]:
    of_call = {"name": "available", "reason": "correction", "quantities": list(quantities)}
    return ask(peer, documents.SET_QUANTITIES, {"input": of_call, "key": key})


def raw_quantity(item: str, peer: ShopifyPeer, quantity: int, **more: Any) -> dict[str, Any]:
    return {"inventoryItemId": item, "locationId": peer.home, "quantity": quantity, **more}


class TestReading:
    def test_every_variant_is_listed_with_what_a_write_needs(self, peer: ShopifyPeer, shop: Shopify):
        key = peer.add("BAG-1", 3, "1250.50", product=7)
        assert list(shop.list_items()) == [
            [
                ListedItem(
                    key=key,
                    sku="BAG-1",
                    quantity=3,
                    price=Decimal("1250.50"),
                    currency="EUR",
                    title="Product 7 - BAG-1",
                    handles={
                        "variant": key.replace("InventoryItem", "ProductVariant"),
                        "product": "gid://shopify/Product/7",
                        "location": peer.home,
                    },
                    updated_at=shop._tools.clock.now(),
                )
            ]
        ]
        assert peer.violations == []

    def test_a_catalogue_of_several_pages_is_listed_once_and_whole(self, peer: ShopifyPeer, shop: Shopify):
        for number in range(400):
            peer.add(f"S{number}", number)
        pages = list(shop.list_items())
        assert [len(page) for page in pages] == [190, 190, 20]
        assert {item.sku: item.quantity for page in pages for item in page} == {f"S{n}": n for n in range(400)}

    def test_no_request_may_cost_more_than_a_single_query_may_by_the_strictest_reading(
        self, peer: ShopifyPeer, shop: Shopify
    ):
        for number in range(260):
            peer.add(f"S{number}", 9)
        items = [item for page in shop.list_items() for item in page]
        shop.read_items(items)
        written(shop, [stock_write(item, 1, 9) for item in items])
        for _ in range(30):
            order = peer.buy({"S1": 0, "S2": 0, "S3": 0})
        peer.refund(order or "", "S1", 0, restock=True)
        peer.goodwill(order or "", "1")
        orders = [order for page in shop.orders_since(LONG_AGO) for order in page]
        shop.read_orders([order.order_id for order in orders])
        shop.check()
        assert 900 < max(peer.costs) <= 1000
        assert peer.violations == []

    def test_what_is_not_tracked_has_no_quantity_and_is_not_to_be_written(self, peer: ShopifyPeer, shop: Shopify):
        peer.add("GIFT", 5, tracked=False)
        item = listed(shop)["GIFT"]
        assert (item.quantity, item.unwritable) == (None, "its stock is not tracked")

    def test_a_bundle_is_not_to_be_written(self, peer: ShopifyPeer, shop: Shopify):
        peer.add("SET", 5, bundle=True)
        assert listed(shop)["SET"].unwritable == "a bundle: its stock follows from its components"

    def test_what_is_not_stocked_at_the_location_is_not_to_be_written(self, peer: ShopifyPeer, shop: Shopify):
        peer.add("A", 5, stocked=False)
        assert (listed(shop)["A"].quantity, listed(shop)["A"].unwritable) == (None, "not stocked at the location")
        # Since 2026-10 Shopify would agree to the write, and nobody would see it.
        assert outcomes(written(shop, [stock_write(listed(shop)["A"], 5)])) == {Outcome.confirmed}
        assert (peer.stock("A"), listed(shop)["A"].quantity) == (None, None)

    def test_an_inactive_level_is_not_stocked(self, peer: ShopifyPeer, shop: Shopify):
        peer.add("A", 5)
        peer.deactivate("A")
        assert listed(shop)["A"].unwritable == "not stocked at the location"

    def test_two_variants_of_one_sku_are_told(self, peer: ShopifyPeer, shop: Shopify):
        peer.add("A", 1)
        peer.goods["A2"] = Goods(5000, "A", 5000, "1.00", True, False, {})
        assert {item.handles.get("same_sku") for page in shop.list_items() for item in page} == {"1"}

    def test_just_the_items_that_are_asked_for_are_read_again(self, peer: ShopifyPeer, shop: Shopify):
        for sku in ("A", "B", "C"):
            peer.add(sku, 1)
        items = listed(shop)
        peer.edit("B", 8)
        gone = replace(items["C"], handles={**items["C"].handles, "variant": "gid://shopify/ProductVariant/9"})
        assert [(item.sku, item.quantity) for item in shop.read_items([items["B"], gone])] == [("B", 8)]

    def test_the_stock_is_that_of_the_location_that_is_named(self, clock: JumpingClock):
        with ShopifyPeer(clock=clock, locations=("Milano", "Paris")) as peer:
            peer.add("A", 3)
            paris = list(peer.locations)[1]
            item = listed(connect(peer.connection(location=paris), memory_tools(clock)))["A"]
            assert (item.quantity, item.handles["location"]) == (None, paris)
            numbered = connect(peer.connection(location=int(peer.home.rpartition("/")[2])), memory_tools(clock))
            assert listed(numbered)["A"].quantity == 3

    def test_a_shop_of_two_locations_asks_which_one_and_names_them(self, clock: JumpingClock):
        with ShopifyPeer(clock=clock, locations=("Milano", "Paris")) as peer:
            with pytest.raises(ChannelError, match=r"Milano \(gid.*Paris \(gid.*option `location`"):
                listed(connect(peer.connection(), memory_tools(clock)))
            peer.locations[list(peer.locations)[1]]["fulfillsOnlineOrders"] = False
            peer.add("A", 3)
            assert listed(connect(peer.connection(), memory_tools(clock)))["A"].quantity == 3


class TestWritingStock:
    def test_a_hundred_changed_skus_are_one_call(self, peer: ShopifyPeer, shop: Shopify):
        for number in range(100):
            peer.add(f"S{number}", 5)
        items = listed(shop)
        before = calls(peer)
        results = written(shop, [stock_write(item, 7, 5) for item in items.values()])
        assert calls(peer) - before == 1
        assert outcomes(results) == {Outcome.confirmed}
        assert {result.shown for result in results.values()} == {7}
        assert {peer.stock(sku) for sku in items} == {7}
        assert peer.violations == []

    def test_two_hundred_and_fifty_are_one_call_and_one_more_is_two(self, peer: ShopifyPeer, shop: Shopify):
        for number in range(251):
            peer.add(f"S{number}", 5)
        writes = [stock_write(item, 7, 5) for item in listed(shop).values()]
        before = calls(peer)
        assert len(written(shop, writes[:250])) == 250
        assert calls(peer) - before == 1
        peer.edit("S3", 5)
        pages = list(shop.write_stock([replace(write, expected=None) for write in writes]))
        assert [len(page) for page in pages] == [250, 1]
        assert len(sent(peer, "SetQuantities")) == 3

    def test_a_foreign_edit_makes_its_item_stale_and_no_other(self, peer: ShopifyPeer, shop: Shopify):
        keys = {sku: peer.add(sku, 5) for sku in ("A", "B", "C")}
        writes = [stock_write(item, 7, 5) for item in listed(shop).values()]
        peer.edit("B", 4)
        results = written(shop, writes)
        assert results[keys["B"]].outcome is Outcome.stale
        assert {results[keys["A"]].outcome, results[keys["C"]].outcome} == {Outcome.confirmed}
        assert [peer.stock(sku) for sku in ("A", "B", "C")] == [7, 4, 7]

    def test_an_order_that_comes_just_before_the_write_is_not_buried(self, peer: ShopifyPeer, shop: Shopify):
        key = peer.add("A", 5)
        write = stock_write(listed(shop)["A"], 7, 5)
        peer.faults.append(Fault("meanwhile", matches=is_write, act=lambda: peer.buy({"A": 2})))
        assert written(shop, [write])[key].outcome is Outcome.stale
        assert peer.stock("A") == 3

    def test_without_an_expectation_null_is_sent_and_nothing_is_compared(self, peer: ShopifyPeer, shop: Shopify):
        key = peer.add("A", 5)
        write = stock_write(listed(shop)["A"], 7, None)
        peer.edit("A", 2)
        assert written(shop, [write])[key].outcome is Outcome.confirmed
        assert sent(peer, "SetQuantities")[0]["input"]["quantities"][0]["changeFromQuantity"] is None
        assert peer.stock("A") == 7

    def test_one_bundle_among_two_hundred_and_fifty_costs_one_more_call(self, peer: ShopifyPeer, shop: Shopify):
        for number in range(249):
            peer.add(f"S{number}", 5)
        bundle = peer.add("SET", 5, bundle=True)
        writes = [stock_write(item, 7, 5) for item in listed(shop).values()]
        before = calls(peer)
        results = written(shop, writes)
        assert calls(peer) - before == 2
        assert results[bundle].outcome is Outcome.refused
        assert "not allowed to be adjusted" in (results[bundle].detail or "")
        del results[bundle]
        assert outcomes(results) == {Outcome.confirmed}
        first, second = (one["key"] for one in sent(peer, "SetQuantities"))
        assert first != second

    def test_bad_items_that_are_not_named_are_found_by_halves(self, peer: ShopifyPeer, shop: Shopify):
        peer.names_fields = False
        for number in range(62):
            peer.add(f"S{number}", 5)
        bad = {peer.add("SET", 5, bundle=True), peer.add("SET2", 5, bundle=True)}
        results = written(shop, [stock_write(item, 7, 5) for item in listed(shop).values()])
        assert {key for key, result in results.items() if result.outcome is Outcome.refused} == bad
        assert len(results) == 64
        assert {peer.stock(f"S{number}") for number in range(62)} == {7}
        assert len(sent(peer, "SetQuantities")) <= 2 * 2 * 6 + 1

    def test_an_item_that_is_gone_and_a_number_that_is_too_high_are_refused(self, peer: ShopifyPeer, shop: Shopify):
        keys = {sku: peer.add(sku, 5) for sku in ("A", "B", "C")}
        items = listed(shop)
        del peer.goods["B"]
        wanted = {"A": 7, "B": 7, "C": 1_000_000_001}
        results = written(shop, [stock_write(items[sku], units, 5) for sku, units in wanted.items()])
        assert (results[keys["B"]].detail or "").startswith("INVALID_INVENTORY_ITEM")
        assert (results[keys["C"]].detail or "").startswith("INVALID_QUANTITY_TOO_HIGH")
        assert results[keys["A"]].outcome is Outcome.confirmed

    def test_an_item_that_shopify_cannot_parse_does_not_sink_its_batch(self, clock: JumpingClock):
        if not SPECS.exists():
            pytest.skip("only the vendor's schema knows what an Int is")
        with ShopifyPeer(SPECS, clock=clock) as peer:
            shop = connect(peer.connection(), memory_tools(clock))
            keys = {sku: peer.add(sku, 5) for sku in ("A", "B")}
            items = listed(shop)
            results = written(shop, [stock_write(items["A"], 2**40, 5), stock_write(items["B"], 7, 5)])
            assert results[keys["A"]].outcome is Outcome.refused
            assert results[keys["B"]].outcome is Outcome.confirmed

    def test_a_quantity_that_is_there_already_is_read_back(self, peer: ShopifyPeer, shop: Shopify):
        keys = {sku: peer.add(sku, 5) for sku in ("A", "B")}
        items = listed(shop)
        before = calls(peer)
        results = written(shop, [stock_write(items["A"], 5, 5), stock_write(items["B"], 6, 5)])
        assert [results[key].outcome for key in keys.values()] == [Outcome.confirmed] * 2
        assert calls(peer) - before == 2
        assert len(sent(peer, "ReadQuantities")[0]["ids"]) == 1

    def test_a_write_that_is_agreed_to_and_not_done_is_ignored(self, peer: ShopifyPeer, shop: Shopify):
        key = peer.add("A", 5)
        peer.swallows = {"A"}
        result = written(shop, [stock_write(listed(shop)["A"], 7, 5)])[key]
        assert (result.outcome, result.shown) == (Outcome.ignored, 5)

    def test_where_the_answer_gives_only_the_difference_the_value_is_reckoned(self, peer: ShopifyPeer, shop: Shopify):
        keys = {sku: peer.add(sku, 5) for sku in ("A", "B")}
        peer.hides_after = True
        items = listed(shop)
        results = written(shop, [stock_write(items["A"], 7, 5), stock_write(items["B"], 7, None)])
        assert [(results[key].outcome, results[key].shown) for key in keys.values()] == [(Outcome.confirmed, 7)] * 2
        assert sent(peer, "ReadQuantities")[0]["ids"] == [keys["B"]]

    def test_a_write_that_cannot_be_read_back_is_unknown_and_the_next_call_is_made(
        self, peer: ShopifyPeer, shop: Shopify
    ):
        for number in range(251):
            peer.add(f"S{number}", 5)
        items = list(listed(shop).values())
        same = stock_write(items[0], 5, 5)
        peer.faults.append(Fault("reply", times=5, matches=is_read_back, reply=Reply(503)))
        results = written(shop, [same, *(stock_write(item, 7, 5) for item in items[1:])])
        assert results[same.key].outcome is Outcome.unknown
        del results[same.key]
        assert outcomes(results) == {Outcome.confirmed}

    def test_the_call_names_the_document_that_caused_it(self, peer: ShopifyPeer, shop: Shopify):
        peer.add("A", 5)
        written(shop, [stock_write(listed(shop)["A"], 7, 5)])
        variables = sent(peer, "SetQuantities")[0]
        assert variables["input"]["referenceDocumentUri"] == f"gid://luxauto/Write/{variables['key']}"
        assert (variables["input"]["name"], variables["input"]["reason"]) == ("available", "correction")


class TestLostAnswers:
    @pytest.mark.parametrize("kind", ["reset_after", "hang_after", "reset_before"])
    def test_a_lost_answer_leaves_its_items_unknown_and_the_next_call_is_made(
        self, kind: str, peer: ShopifyPeer, shop: Shopify
    ):
        for number in range(251):
            peer.add(f"S{number}", 5)
        writes = [stock_write(item, 7, 5) for item in listed(shop).values()]
        peer.faults.append(Fault(kind, matches=is_write))
        first, second = shop.write_stock(writes)
        assert {result.outcome for result in first} == {Outcome.unknown}
        assert [result.outcome for result in second] == [Outcome.confirmed]
        assert len(sent(peer, "SetQuantities")) == 2

    def test_an_internal_error_inside_an_answer_of_status_200_is_unknown(self, peer: ShopifyPeer, shop: Shopify):
        key = peer.add("A", 5)
        write = stock_write(listed(shop)["A"], 7, 5)
        said = {
            "data": None,
            "errors": [{"message": "Internal error.", "extensions": {"code": "INTERNAL_SERVER_ERROR"}}],
        }
        peer.faults.append(Fault("reply_after", matches=is_write, reply=Reply(200, said)))
        assert written(shop, [write])[key].outcome is Outcome.unknown
        assert peer.stock("A") == 7

    @pytest.mark.parametrize("body", [b"<html>", [], {"data": {}}, {"data": {"inventorySetQuantities": None}}])
    def test_an_answer_that_is_none_is_unknown(self, body: Any, peer: ShopifyPeer, shop: Shopify):
        key = peer.add("A", 5)
        write = stock_write(listed(shop)["A"], 7, 5)
        peer.faults.append(Fault("reply_after", matches=is_write, reply=Reply(200, body)))
        assert written(shop, [write])[key].outcome is Outcome.unknown

    def test_the_same_call_sent_again_carries_the_same_key_and_is_applied_once(self, peer: ShopifyPeer, shop: Shopify):
        key = peer.add("A", 5)
        write = stock_write(listed(shop)["A"], 7, 5)
        peer.faults.append(Fault("reset_after", matches=is_write))
        assert written(shop, [write])[key].outcome is Outcome.unknown
        again = written(shop, [write])[key]
        assert (again.outcome, again.shown) == (Outcome.confirmed, 7)
        first, second = (one["key"] for one in sent(peer, "SetQuantities"))
        assert first == second
        assert peer.applied["A"] == 1

    def test_another_value_another_expectation_or_another_run_is_another_key(self, peer: ShopifyPeer, shop: Shopify):
        peer.add("A", 5)
        item = listed(shop)["A"]
        for write in (
            stock_write(item, 7, 5),
            stock_write(item, 8, 7),
            stock_write(item, 8, 8),
            stock_write(item, 8, 8, key="run-2"),
        ):
            written(shop, [write])
        assert len({one["key"] for one in sent(peer, "SetQuantities")}) == 4

    def test_a_call_that_is_still_in_progress_is_asked_again_with_its_own_key(
        self, peer: ShopifyPeer, shop: Shopify, clock: JumpingClock
    ):
        key = peer.add("A", 5)
        write = stock_write(listed(shop)["A"], 7, 5)
        peer.faults.append(Fault("late", matches=is_write))
        assert written(shop, [write])[key].outcome is Outcome.unknown
        seen = len(sent(peer, "SetQuantities"))
        peer.faults.append(
            Fault(
                "meanwhile",
                matches=lambda asked: is_write(asked) and len(sent(peer, "SetQuantities")) == seen + 3,
                act=peer.settle,
            )
        )
        assert written(shop, [write])[key].outcome is Outcome.confirmed
        assert clock.slept[-2:] == [1.0, 2.0]
        assert len({one["key"] for one in sent(peer, "SetQuantities")}) == 1
        assert peer.applied["A"] == 1

    def test_a_call_that_never_ends_is_unknown_after_a_bounded_wait(
        self, peer: ShopifyPeer, shop: Shopify, clock: JumpingClock
    ):
        key = peer.add("A", 5)
        write = stock_write(listed(shop)["A"], 7, 5)
        peer.faults.append(Fault("late", matches=is_write))
        written(shop, [write])
        assert written(shop, [write])[key].outcome is Outcome.unknown
        assert sum(clock.slept) == 31.0

    def test_a_key_that_was_spent_on_a_failure_is_replaced(self, peer: ShopifyPeer, shop: Shopify):
        key = peer.add("A", 5)
        write = stock_write(listed(shop)["A"], 7, 5)
        peer.edit("A", 4)
        assert written(shop, [write])[key].outcome is Outcome.stale
        peer.edit("A", 5)
        assert written(shop, [write])[key].outcome is Outcome.confirmed
        assert len({one["key"] for one in sent(peer, "SetQuantities")}) == 2

    def test_a_key_that_another_call_has_used_is_replaced(self, peer: ShopifyPeer, shop: Shopify):
        key = peer.add("A", 5)
        write = stock_write(listed(shop)["A"], 7, 5)
        peer.faults.append(Fault("reset_before", matches=is_write))
        written(shop, [write])
        taken = sent(peer, "SetQuantities")[0]["key"]
        raw_set(peer, raw_quantity(key, peer, 6, changeFromQuantity=5), key=taken)
        peer.edit("A", 5)
        assert written(shop, [write])[key].outcome is Outcome.confirmed


class TestTraps:
    """The shop's own answers, to any client."""

    def test_a_write_without_the_directive_is_an_answer_of_200_without_data(self, peer: ShopifyPeer):
        key = peer.add("A", 5)
        bare = documents.SET_QUANTITIES.replace("@idempotent(key: $key)", "").replace(", $key: String!", "")
        quantity = raw_quantity(key, peer, 7, changeFromQuantity=5)
        of_call = {"name": "available", "reason": "correction", "quantities": [quantity]}
        answer = ask(peer, bare, {"input": of_call})
        assert answer["data"] is None
        assert answer["errors"] == [{"message": NO_IDEMPOTENT, "extensions": {"code": "BAD_REQUEST"}}]
        assert (peer.stock("A"), peer.violations) == (5, [NO_IDEMPOTENT])

    def test_a_write_without_an_expectation_is_refused_and_one_of_null_is_not(self, peer: ShopifyPeer):
        key = peer.add("A", 5)
        answer = raw_set(peer, raw_quantity(key, peer, 7))
        assert answer["data"] is None
        assert answer["errors"] == [{"message": NO_CHANGE_FROM, "extensions": {"code": "INVALID_FIELD_ARGUMENTS"}}]
        assert raw_set(peer, raw_quantity(key, peer, 7, changeFromQuantity=None))["data"] is not None
        assert peer.stock("A") == 7

    def test_the_old_comparison_is_not_a_field(self, peer: ShopifyPeer):
        key = peer.add("A", 5)
        answer = raw_set(peer, raw_quantity(key, peer, 7, compareQuantity=5))
        assert answer["errors"][0]["extensions"]["code"] == "INVALID_VARIABLE"
        assert answer["errors"][0]["extensions"]["problems"][0]["path"][:2] == ["quantities", 0]

    def test_more_than_two_hundred_and_fifty_items_are_refused(self, peer: ShopifyPeer):
        key = peer.add("A", 5)
        quantities = [raw_quantity(key, peer, 7, changeFromQuantity=5)] * 251
        answer = raw_set(peer, *quantities)
        assert answer["errors"][0]["extensions"]["code"] == "MAX_INPUT_SIZE_EXCEEDED"
        assert peer.stock("A") == 5

    def test_one_stale_item_fails_all_and_says_which(self, peer: ShopifyPeer):
        keys = [peer.add(sku, 5) for sku in ("A", "B")]
        expected = (5, 4)
        quantities = [raw_quantity(k, peer, 7, changeFromQuantity=e) for k, e in zip(keys, expected, strict=True)]
        payload = raw_set(peer, *quantities)["data"]["inventorySetQuantities"]
        assert [(one["code"], one["field"]) for one in payload["userErrors"]] == [
            ("CHANGE_FROM_QUANTITY_STALE", ["input", "quantities", "1", "changeFromQuantity"])
        ]
        assert (peer.stock("A"), peer.stock("B")) == (5, 5)

    def test_a_key_answers_once_and_for_the_same_parameters_only(self, peer: ShopifyPeer):
        key = peer.add("A", 5)
        quantity = raw_quantity(key, peer, 7, changeFromQuantity=5)
        first = raw_set(peer, quantity)["data"]
        peer.edit("A", 1)
        assert raw_set(peer, quantity)["data"] == first
        other = raw_set(peer, {**quantity, "quantity": 8})["data"]["inventorySetQuantities"]
        assert [one["code"] for one in other["userErrors"]] == ["IDEMPOTENCY_KEY_PARAMETER_MISMATCH"]
        assert (peer.stock("A"), peer.applied["A"]) == (1, 1)

    def test_the_answer_holds_what_was_selected_and_no_more(self, peer: ShopifyPeer):
        peer.add("A", 5)
        answer = ask(peer, "query Few { productVariants(first: 2) { nodes { price product { id } } } }", {})
        assert answer["data"] == {
            "productVariants": {"nodes": [{"price": "100.00", "product": {"id": "gid://shopify/Product/1001"}}]}
        }


class TestLimits:
    def test_a_throttled_write_waits_as_long_as_its_points_need_and_was_not_done(self, clock: JumpingClock):
        with ShopifyPeer(clock=clock, metered=True) as peer:
            key = peer.add("A", 5)
            tools = memory_tools(clock)
            shop = connect(peer.connection(location=peer.home, currency="EUR"), tools)
            write = stock_write(listed(shop)["A"], 7, 5)

            # Another process spends the points of which this one's limiter knows nothing.
            def spend() -> None:
                peer.points, peer._restored = 2.0, clock.now()

            peer.faults.append(Fault("meanwhile", matches=is_write, act=spend))
            slept = len(clock.slept)
            assert written(shop, [write])[key].outcome is Outcome.confirmed
            cost = peer.costs[-1]
            assert clock.slept[slept:] == pytest.approx([(cost - 2.0) / 100.0])
            assert len(sent(peer, "SetQuantities")) == 2
            assert peer.applied["A"] == 1

    def test_every_answer_tells_the_limiter_what_is_left(self, clock: JumpingClock):
        with ShopifyPeer(clock=clock, metered=True) as peer:
            peer.maximum = peer.points = 1000.0
            peer.restore_rate = 50.0
            peer.add("A", 5)
            tools = memory_tools(clock)
            listed(connect(peer.connection("maison"), tools))
            limiter: Any = tools.limiter
            assert limiter.rates["maison/graphql"] == (50.0, 1000.0)
            assert limiter.buckets["maison/graphql"][0] == peer.points

    def test_a_long_catalogue_is_read_without_one_throttled_answer(self, clock: JumpingClock):
        with ShopifyPeer(clock=clock, metered=True) as peer:
            for number in range(1000):
                peer.add(f"S{number}", 1)
            shop = connect(peer.connection(), memory_tools(clock))
            assert len(listed(shop)) == 1000
            throttled = len(sent(peer, "ListItems")) - 6
            # The first request alone may misjudge its cost.
            assert throttled <= 1

    def test_too_many_requests_are_waited_for(self, peer: ShopifyPeer, shop: Shopify, clock: JumpingClock):
        peer.add("A", 5)
        peer.faults.append(Fault("reply", reply=replace(TOO_MANY, headers={"retry-after": "2.0"})))
        assert listed(shop)["A"].quantity == 5
        assert 2.0 in clock.slept

    def test_a_query_that_is_too_dear_is_refused_with_the_vendor_s_words(self, peer: ShopifyPeer, shop: Shopify):
        said = {
            "errors": [{"message": "Query cost is 1723, which exceeds", "extensions": {"code": "MAX_COST_EXCEEDED"}}]
        }
        peer.faults.append(Fault("reply", matches=lambda asked: GRAPHQL in asked.path, reply=Reply(200, said)))
        with pytest.raises(RequestRefused, match="Query cost is 1723"):
            listed(shop)


class TestTokens:
    def test_a_token_that_ends_in_the_middle_is_renewed_and_nothing_is_written_twice(
        self, peer: ShopifyPeer, shop: Shopify
    ):
        for number in range(251):
            peer.add(f"S{number}", 5)
        writes = [stock_write(item, 7, 5) for item in listed(shop).values()]
        running = shop.write_stock(writes)
        next(running)
        peer.expire_tokens()
        assert [result.outcome for results in running for result in results] == [Outcome.confirmed]
        assert peer.count("POST", "oauth/access_token") == 2
        assert set(peer.applied.values()) == {1}

    def test_a_token_is_renewed_before_it_ends(self, peer: ShopifyPeer, shop: Shopify, clock: JumpingClock):
        listed(shop)
        clock.sleep(86_400 - 30)
        listed(shop)
        assert peer.count("POST", "oauth/access_token") == 2
        assert peer.count("POST", GRAPHQL) == 4

    def test_an_old_token_is_sent_as_it_is(self, peer: ShopifyPeer, clock: JumpingClock):
        peer.add("A", 5)
        assert listed(connect(peer.old_connection(), memory_tools(clock)))["A"].quantity == 5
        assert peer.count("POST", "oauth/access_token") == 0

    def test_wrong_credentials_are_told(self, peer: ShopifyPeer, clock: JumpingClock):
        wrong = replace(peer.connection(), secrets={"client_id": "no", "client_secret": "no"})
        with pytest.raises(CredentialsRefused, match="Client authentication failed"):
            listed(connect(wrong, memory_tools(clock)))
        old = replace(peer.connection(), secrets={"access_token": "shpat_no"})
        with pytest.raises(CredentialsRefused, match="Invalid API key"):
            listed(connect(old, memory_tools(clock)))

    def test_a_connection_without_secrets_says_which_it_needs(self, clock: JumpingClock):
        with pytest.raises(CredentialsRefused, match="client_id"):
            connect(Connection("s", "shopify", "http://127.0.0.1:1", {}, {}), memory_tools(clock))

    def test_a_permission_that_is_missing_stops_the_write_before_anything_is_written(
        self, peer: ShopifyPeer, shop: Shopify
    ):
        peer.add("A", 5)
        write = stock_write(listed(shop)["A"], 7, 5)
        peer.scopes.remove("write_inventory")
        with pytest.raises(CredentialsRefused, match="write_inventory"):
            written(shop, [write])
        assert peer.stock("A") == 5

    def test_a_vendor_that_is_away_is_unavailable(self, peer: ShopifyPeer, shop: Shopify):
        peer.faults.append(Fault("reply", times=5, reply=Reply(503)))
        with pytest.raises(ChannelUnavailable):
            listed(shop)


class TestWritingPrices:
    def test_the_variants_of_a_product_are_one_call(self, peer: ShopifyPeer, shop: Shopify):
        for sku, product in (("A", 1), ("B", 1), ("C", 2)):
            peer.add(sku, 1, product=product)
        writes = [price_write(item, "99.90") for item in listed(shop).values()]
        pages = list(shop.write_prices(writes))
        assert [[result.outcome for result in page] for page in pages] == [[Outcome.confirmed] * 2, [Outcome.confirmed]]
        assert pages[0][0].shown == Decimal("99.90")
        assert {goods.price for goods in peer.goods.values()} == {"99.90"}
        assert len(sent(peer, "SetPrices")) == 2
        assert peer.violations == []

    def test_a_variant_that_is_gone_does_not_stop_the_others(self, peer: ShopifyPeer, shop: Shopify):
        keys = {sku: peer.add(sku, 1, product=1) for sku in ("A", "B")}
        writes = [price_write(item, "99.90") for item in listed(shop).values()]
        del peer.goods["A"]
        (results,) = shop.write_prices(writes)
        assert {result.key: result.outcome for result in results} == {
            keys["A"]: Outcome.refused,
            keys["B"]: Outcome.confirmed,
        }

    def test_a_product_that_is_gone_refuses_its_own_only(self, peer: ShopifyPeer, shop: Shopify):
        keys = {sku: peer.add(sku, 1) for sku in ("A", "B")}
        writes = [price_write(item, "99.90") for item in listed(shop).values()]
        del peer.goods["A"]
        results = {result.key: result for page in shop.write_prices(writes) for result in page}
        assert (results[keys["A"]].outcome, results[keys["B"]].outcome) == (Outcome.refused, Outcome.confirmed)
        assert (results[keys["A"]].detail or "").startswith("PRODUCT_DOES_NOT_EXIST")

    def test_another_currency_is_refused_before_it_is_sent(self, peer: ShopifyPeer, shop: Shopify):
        peer.add("A", 1)
        item = listed(shop)["A"]
        (results,) = shop.write_prices([price_write(item, "99.90", "USD")])
        assert [(result.outcome, result.detail) for result in results] == [
            (Outcome.refused, "the shop's currency is EUR, not USD")
        ]
        assert sent(peer, "SetPrices") == []

    def test_a_price_that_is_agreed_to_and_not_set_is_ignored(self, peer: ShopifyPeer, shop: Shopify):
        peer.add("A", 1)
        peer.swallows = {"A"}
        (results,) = shop.write_prices([price_write(listed(shop)["A"], "99.90")])
        assert [(result.outcome, result.shown) for result in results] == [(Outcome.ignored, Decimal("100.00"))]

    def test_a_lost_answer_is_unknown(self, peer: ShopifyPeer, shop: Shopify):
        peer.add("A", 1)
        write = price_write(listed(shop)["A"], "99.90")
        peer.faults.append(Fault("reset_after"))
        (results,) = shop.write_prices([write])
        assert [result.outcome for result in results] == [Outcome.unknown]


class TestOrders:
    def test_an_order_is_told_with_its_lines_and_amounts(self, peer: ShopifyPeer, shop: Shopify, clock: JumpingClock):
        key = peer.add("A", 5, "80.00")
        number = peer.buy({"A": 2}) or ""
        ((order,),) = shop.orders_since(LONG_AGO)
        assert (order.order_id, order.state, order.currency, order.country) == (number, "paid", "EUR", "IT")
        assert (order.shipping, order.tax, order.discount, order.refunded_besides) == (15, 20, 0, 0)
        assert order.placed_at == order.updated_at.replace(microsecond=0) == clock.now()
        (line,) = order.lines
        assert (line.sku, line.key, line.taken, line.kept, line.unit_price) == ("A", key, 2, 2, Decimal("80.00"))
        assert shop.read_orders([number, "gid://shopify/Order/1"]) == [order]
        assert len(sent(peer, "Refunds")) == 0
        assert peer.violations == []

    @pytest.mark.parametrize(
        ("status", "kept"),
        [("PENDING", 0), ("VOIDED", 0), ("EXPIRED", 0), ("AUTHORIZED", 2), ("PARTIALLY_PAID", 2), ("PAID", 2)],
    )
    def test_an_order_takes_stock_before_it_is_a_sale(self, status: str, kept: int, peer: ShopifyPeer, shop: Shopify):
        peer.add("A", 5)
        peer.buy({"A": 2}, status=status)
        ((order,),) = shop.orders_since(LONG_AGO)
        assert (order.lines[0].taken, order.lines[0].kept, peer.stock("A")) == (2, kept, 3)

    def test_a_test_order_takes_stock_and_is_no_sale(self, peer: ShopifyPeer, shop: Shopify):
        peer.add("A", 5)
        peer.orders[peer.buy({"A": 2}) or ""].is_test = True
        ((order,),) = shop.orders_since(LONG_AGO)
        assert (order.lines[0].taken, order.lines[0].kept) == (2, 0)

    @pytest.mark.parametrize(("restock", "taken"), [(True, 0), (False, 2)])
    def test_a_cancelled_order_keeps_nothing_and_holds_what_was_not_put_back(
        self, restock: bool, taken: int, peer: ShopifyPeer, shop: Shopify
    ):
        peer.add("A", 5)
        peer.cancel(peer.buy({"A": 2}) or "", restock=restock)
        ((order,),) = shop.orders_since(LONG_AGO)
        assert (order.state, order.lines[0].taken, order.lines[0].kept) == ("cancelled", taken, 0)
        assert peer.stock("A") == 5 - taken
        assert order.refunded_besides == 35

    @pytest.mark.parametrize(("restock", "taken"), [(True, 2), (False, 3)])
    def test_a_refund_without_restock_gives_money_back_and_no_stock(
        self, restock: bool, taken: int, peer: ShopifyPeer, shop: Shopify
    ):
        peer.add("A", 5, "80.00")
        peer.refund(peer.buy({"A": 3}) or "", "A", 1, restock=restock)
        ((order,),) = shop.orders_since(LONG_AGO)
        assert (order.lines[0].taken, order.lines[0].kept) == (taken, 2)
        assert (peer.stock("A"), order.refunded_besides) == (5 - taken, 0)

    def test_money_given_back_for_no_unit_is_told_apart(self, peer: ShopifyPeer, shop: Shopify):
        peer.add("A", 5)
        number = peer.buy({"A": 3}) or ""
        peer.refund(number, "A", 1, restock=True)
        peer.goodwill(number, "12.50")
        ((order,),) = shop.orders_since(LONG_AGO)
        assert (order.lines[0].kept, order.refunded_besides) == (2, Decimal("12.50"))

    @pytest.mark.parametrize("recorded", [True, False])
    def test_a_line_that_an_edit_removed_holds_nothing(self, recorded: bool, peer: ShopifyPeer, shop: Shopify):
        peer.add("A", 5)
        peer.add("B", 5)
        peer.remove(peer.buy({"A": 1, "B": 2}) or "", "B", 2, recorded=recorded)
        ((order,),) = shop.orders_since(LONG_AGO)
        assert [(line.sku, line.taken, line.kept) for line in order.lines] == [("A", 1, 1), ("B", 0, 0)]
        assert order.refunded_besides == 0

    def test_what_an_edit_removed_without_restock_is_still_held(self, peer: ShopifyPeer, shop: Shopify):
        peer.add("A", 5)
        peer.remove(peer.buy({"A": 2}) or "", "A", 1, restock=False)
        ((order,),) = shop.orders_since(LONG_AGO)
        assert (order.lines[0].taken, order.lines[0].kept, peer.stock("A")) == (2, 1, 3)

    @pytest.mark.parametrize("seed", range(3))
    def test_whatever_happens_to_orders_what_they_take_and_what_is_left_is_what_there_was(
        self, seed: int, peer: ShopifyPeer, shop: Shopify
    ):
        dice = random.Random(seed)
        skus = ("A", "B", "C")
        for sku in skus:
            peer.add(sku, 40)
        for _ in range(60):
            living = [order for order in peer.orders.values() if not order.cancelled]
            order = dice.choice(living) if living and dice.random() < 0.5 else None
            left = [line for line in order.lines if line.current] if order else []
            if order is None or not left:
                peer.buy({sku: dice.randint(1, 3) for sku in dice.sample(skus, 2)})
                continue
            line, restock = dice.choice(left), dice.random() < 0.6
            units = dice.randint(1, line.current)
            match dice.randrange(3):
                case 0:
                    peer.refund(order.gid, line.goods.sku, units, restock=restock)
                case 1:
                    peer.remove(order.gid, line.goods.sku, units, restock=restock)
                case _:
                    peer.cancel(order.gid, restock=restock)
        taken = Counter[str]()
        for page in shop.orders_since(LONG_AGO):
            for line in (line for order in page for line in order.lines):
                taken[line.sku or ""] += line.taken
                assert 0 <= line.kept <= line.taken
        assert {sku: taken[sku] + (peer.stock(sku) or 0) for sku in skus} == dict.fromkeys(skus, 40)

    def test_an_order_of_many_lines_loses_none(self, peer: ShopifyPeer, shop: Shopify):
        wanted = {f"S{number}": 1 for number in range(180)}
        for sku in wanted:
            peer.add(sku, 5)
        number = peer.buy(wanted) or ""
        ((order,),) = shop.orders_since(LONG_AGO)
        assert {line.sku: line.taken for line in order.lines} == wanted
        assert len(sent(peer, "OrderLines")) == 2
        assert shop.read_orders([number]) == [order]
        peer.cancel(number)
        assert {line.taken for line in shop.read_orders([number])[0].lines} == {0}
        assert len(sent(peer, "RefundLines")) == 1
        assert peer.violations == []

    def test_orders_come_by_their_last_change_and_page_by_page(
        self, peer: ShopifyPeer, shop: Shopify, clock: JumpingClock
    ):
        peer.add("A", 100)
        numbers = []
        for _ in range(30):
            clock.sleep(60)
            numbers.append(peer.buy({"A": 1}) or "")
        clock.sleep(60)
        peer.refund(numbers[3], "A", 1, restock=True)
        pages = list(shop.orders_since(LONG_AGO))
        assert [len(page) for page in pages] == [25, 5]
        told = [order.order_id for page in pages for order in page]
        assert told == [number for number in numbers if number != numbers[3]] + [numbers[3]]
        since = clock.now() - timedelta(seconds=90)
        assert [order.order_id for page in shop.orders_since(since) for order in page] == [numbers[29], numbers[3]]

    def test_a_moment_of_the_second_is_not_lost(self, peer: ShopifyPeer, shop: Shopify, clock: JumpingClock):
        peer.add("A", 5)
        peer.buy({"A": 1})
        assert len(list(shop.orders_since(clock.now() + timedelta(milliseconds=900)))) == 1
        assert list(shop.orders_since(clock.now() + timedelta(seconds=1))) == []

    def test_an_address_that_the_app_may_not_see_does_not_hide_the_order(self, peer: ShopifyPeer, shop: Shopify):
        peer.add("A", 5)
        peer.buy({"A": 1})
        peer.hides_addresses = True
        ((order,),) = shop.orders_since(LONG_AGO)
        assert (order.country, order.lines[0].taken) == (None, 1)

    def test_a_line_without_a_variant_is_told_without_a_key(self, peer: ShopifyPeer, shop: Shopify):
        peer.add("A", 5)
        number = peer.buy({"A": 1}) or ""
        foreign = Goods(7777, "", 7777, "5.00", True, False, {})
        peer.orders[number].lines.append(Line(8888, foreign, 1, 1, Decimal("5.00")))
        (order,) = shop.read_orders([number])
        assert (order.lines[1].key, order.lines[1].sku, order.lines[1].taken) == (None, None, 1)


class TestChecking:
    def test_a_good_connection_has_no_bad_finding(self, peer: ShopifyPeer, shop: Shopify):
        findings = shop.check()
        assert [finding for finding in findings if not finding.ok] == []
        told = {finding.name: finding.message for finding in findings}
        assert told["location"] == "the stock of Milano is kept"
        assert "60 days" in told["read_all_orders"]

    @pytest.mark.parametrize("scope", ["read_products", "write_products", "write_inventory", "read_orders"])
    def test_a_missing_permission_is_found_with_its_remedy(self, scope: str, peer: ShopifyPeer, shop: Shopify):
        peer.scopes -= {scope, scope.replace("read_", "write_")}
        bad = {finding.name: finding.remedy for finding in shop.check() if not finding.ok}
        assert scope in bad
        assert f"`{scope}`" in (bad[scope] or "")

    def test_a_location_that_cannot_be_read_is_found(self, peer: ShopifyPeer, shop: Shopify):
        peer.scopes.remove("read_locations")
        assert {finding.name for finding in shop.check() if not finding.ok} == {"read_locations", "location"}

    def test_a_location_that_does_not_exist_is_found(self, peer: ShopifyPeer, clock: JumpingClock):
        shop = connect(peer.connection(location=999), memory_tools(clock))
        (bad,) = [finding for finding in shop.check() if not finding.ok]
        assert (bad.name, "Milano" in (bad.remedy or "")) == ("location", True)

    def test_a_version_that_fell_off_support_is_found(self, peer: ShopifyPeer, shop: Shopify):
        peer.served_version = "2027-10"
        assert [finding.name for finding in shop.check() if not finding.ok] == ["version"]

    def test_another_currency_than_the_shop_s_is_found(self, peer: ShopifyPeer, clock: JumpingClock):
        shop = connect(peer.connection(currency="USD"), memory_tools(clock))
        assert [finding.name for finding in shop.check() if not finding.ok] == ["currency"]

    def test_wrong_credentials_are_a_finding_and_no_error(self, peer: ShopifyPeer, clock: JumpingClock):
        shop = connect(replace(peer.connection(), secrets={"access_token": "no"}), memory_tools(clock))
        assert [finding.ok for finding in shop.check()] == [False]


class TestMessages:
    def test_a_message_of_the_shop_is_known_by_its_signature(self, peer: ShopifyPeer):
        peer.add("A", 5)
        peer.buy({"A": 1})
        assert peer.webhooks
        for headers, body in peer.webhooks:
            assert SENDER.verify(peer.webhook_secret, headers, body)
            assert not SENDER.verify(peer.webhook_secret, headers, body + b" ")
            assert not SENDER.verify(b"another", headers, body)
            assert not SENDER.verify(peer.webhook_secret, {}, body)
        assert not SENDER.verify(peer.webhook_secret, {"x-shopify-hmac-sha256": "é"}, b"")

    def test_the_secret_is_the_app_s_where_no_other_is_given(self, peer: ShopifyPeer):
        assert (webhook_secret(peer.connection().secrets) or "").encode() == peer.webhook_secret
        assert (webhook_secret(peer.old_connection().secrets) or "").encode() == peer.webhook_secret
        assert webhook_secret({"access_token": "t"}) is None

    def test_a_message_that_comes_again_carries_the_same_number_and_no_other_does(self, peer: ShopifyPeer):
        peer.add("A", 5)
        peer.edit("A", 4)
        peer.buy({"A": 1})
        numbers = [SENDER.message_id(headers, body) for headers, body in peer.webhooks]
        assert len(set(numbers)) == len(numbers)
        headers, body = peer.webhooks[0]
        assert SENDER.message_id({**headers, "x-shopify-triggered-at": "later"}, body) == numbers[0]
        assert numbers[0].startswith("inventory_levels/update:")

    def test_a_message_without_a_number_is_known_by_its_event_or_its_body(self):
        topic = {"x-shopify-topic": "orders/create"}
        assert SENDER.message_id({**topic, "x-shopify-event-id": "e"}, b"{}") == "orders/create:e"
        assert SENDER.message_id(topic, b"1") == SENDER.message_id(topic, b"1") != SENDER.message_id(topic, b"2")

    def test_a_change_of_stock_tells_the_item_and_its_quantity(self, peer: ShopifyPeer):
        key = peer.add("A", 5)
        peer.edit("A", 4)
        told = {headers["x-shopify-topic"]: SENDER.touched(headers, body) for headers, body in peer.webhooks}
        level, product = told["inventory_levels/update"], told["products/update"]
        assert level is not None and (level.keys, level.quantities) == ((key,), {key: 4})
        # A product's message sums the stock of all locations: no echo can be known by it.
        assert product is not None and (product.keys, product.skus, product.quantities) == ((key,), ("A",), {})

    def test_every_message_about_an_order_tells_which(self, peer: ShopifyPeer):
        peer.add("A", 5)
        number = peer.buy({"A": 3}) or ""
        peer.refund(number, "A", 1, restock=True)
        peer.remove(number, "A", 1)
        peer.cancel(number)
        told = {headers["x-shopify-topic"]: SENDER.touched(headers, body) for headers, body in peer.webhooks}
        topics = {"orders/create", "orders/updated", "orders/edited", "orders/cancelled", "refunds/create"}
        assert {topic: touched.order_ids for topic, touched in told.items() if touched and touched.order_ids} == (
            dict.fromkeys(topics, (number,))
        )

    @pytest.mark.parametrize("body", [b"", b"not json", b"[]", b"{}", json.dumps({"id": 1}).encode()])
    def test_a_message_about_nothing_touches_nothing(self, body: bytes):
        assert SENDER.touched({"x-shopify-topic": "app/uninstalled"}, body) is None
