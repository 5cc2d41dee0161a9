"""The Amazon connector against Amazon's own models: rates, requests, feed documents, and every static sandbox answer."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import stamina

from resources.channels.amazon import Amazon, connect
from resources.channels.amazon_limits import RATES
from resources.channels.amazon_orders import order_of
from resources.channels.protocol import (
    ChannelError,
    ListedItem,
    Outcome,
    PriceWrite,
    RequestRefused,
    StockWrite,
    WriteResult,
)
from tests.peers.amazon import MODELS, AmazonPeer
from tests.peers.vendor import Asked, Fault, Reply
from tests.resources.channels.tools import JumpingClock, memory_tools

SPECS = Path(__file__).parents[3].parent / "shared" / "specs" / "amazon"
LONG_AGO = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def no_pauses() -> Iterator[None]:
    stamina.set_testing(True, attempts=5)
    yield
    stamina.set_testing(False)


@pytest.fixture
def specs() -> Path:
    if not SPECS.is_dir():
        pytest.skip(f"needs Amazon's models in {SPECS}")
    return SPECS


@pytest.fixture
def clock() -> JumpingClock:
    return JumpingClock()


@pytest.fixture
def peer(specs: Path, clock: JumpingClock) -> Iterator[AmazonPeer]:
    with AmazonPeer(specs, clock=clock) as peer:
        yield peer


@pytest.fixture
def operations(specs: Path) -> dict[str, dict[str, Any]]:
    """Each operation's part of its model, by name."""
    models = [json.loads((specs / "models" / name).read_text()) for name in MODELS]
    return {
        operation["operationId"]: operation
        for model in models
        for by_method in model["paths"].values()
        for operation in by_method.values()
        if isinstance(operation, dict) and "operationId" in operation
    }


def connected(peer: AmazonPeer, clock: JumpingClock, **options: Any) -> Amazon:
    return connect(peer.connection("amazon-uk", **options), memory_tools(clock))


def stock(sku: str, quantity: int) -> StockWrite:
    return StockWrite(sku, sku, quantity, None, {}, f"key-{sku}")


def test_the_table_of_rates_agrees_with_the_models(operations: dict[str, dict[str, Any]]) -> None:
    documented = {}
    for name in RATES:
        told = re.search(r"\| *([\d.]+) *\| *([\d.]+) *\|", operations[name]["description"])
        assert told is not None, name
        documented[name] = (float(told.group(1)), float(told.group(2)))
    assert documented == {name: (rate.per_second, rate.burst) for name, rate in RATES.items()}


def test_every_request_is_one_that_the_models_allow(peer: AmazonPeer, clock: JumpingClock) -> None:
    skus = [*(f"SKU-{number}" for number in range(25)), "A,B", "A/B #1", "ä & ö"]
    for number, sku in enumerate(skus):
        peer.add(sku, number)
    peer.add("FBA-1", 4, channel="AMAZON_EU")
    peer.add("FBA-2", 4, channel="AMAZON_EU")
    amazon = connected(peer, clock, queue_url="https://sqs.eu-west-1.amazonaws.com/1/q", feed_above=10)
    assert all(finding.ok for finding in amazon.check())
    items = [item for page in amazon.list_items() for item in page]
    assert len(amazon.read_items(items)) == 30
    drain(amazon.write_stock([stock(sku, 3) for sku in skus[-5:]]))
    drain(amazon.write_stock([stock(sku, 4) for sku in skus]))
    drain(amazon.write_prices([PriceWrite(sku, sku, Decimal("99.90"), "GBP", {}, "k") for sku in skus]))
    peer.faults.append(Fault("reset_after", matches=asking("POST", "/feeds/2021-06-30/feeds")))
    drain(amazon.write_stock([stock(sku, 5) for sku in skus]))
    order_id = peer.buy({skus[0]: 1}) or ""
    peer.buy({"FBA-1": 1})
    assert len(drain(amazon.orders_since(LONG_AGO))) == 2
    assert len(amazon.read_orders([order_id])) == 1
    assert peer.violations == []
    assert peer.misanswers == []
    asked = {(one.method, one.path.split("/")[1]) for one in peer.asked}
    assert {("PATCH", "listings"), ("GET", "fba"), ("PUT", "presigned"), ("GET", "orders"), ("POST", "feeds")} <= asked
    assert peer.listings["SKU-1"].price == Decimal("99.90")


def test_a_feed_of_the_greatest_size_is_valid_and_a_greater_one_is_two(peer: AmazonPeer, clock: JumpingClock) -> None:
    amazon = connected(peer, clock)
    results = drain(amazon.write_stock([stock(f"SKU-{number}", 1) for number in range(25_001)]))
    assert len(results) == 25_001
    assert {result.outcome for result in results} == {Outcome.accepted}
    sizes = [len(json.loads(asked.body)["messages"]) for asked in peer.asked if asked.method == "PUT"]
    assert sizes == [25_000, 1]
    assert peer.violations == []


def test_the_peer_refuses_what_the_models_refuse(peer: AmazonPeer, clock: JumpingClock) -> None:
    amazon = connected(peer, clock)
    wrong = Asked("GET", "/orders/2026-01-01/orders", {"createdAfter": "yesterday"}, headers(peer, amazon), b"")
    assert peer.answer(wrong).status == 400
    patch = b'{"productType": "SHOES", "patches": [{"op": "increment", "path": "/attributes/x"}]}'
    path = "/listings/2021-08-01/items/A3TH9S8BH6GOGM/SKU"
    assert peer.answer(Asked("PATCH", path, {}, headers(peer, amazon), patch)).status == 400
    told = " ".join(peer.violations)
    assert "createdAfter: " in told
    assert "marketplaceIds is missing" in told
    assert "increment" in told


def test_amazons_own_example_of_a_report_refuses_its_messages(
    peer: AmazonPeer, clock: JumpingClock, specs: Path
) -> None:
    example = specs / "schemas" / "feeds" / "listings-feed-processing-report-schema-v2.example.json"
    peer.faults.append(Fault("reply", matches=asking("GET", "/presigned/"), reply=Reply(200, example.read_bytes())))
    results = drain(connected(peer, clock, feed_above=0).write_stock([stock(f"SKU-{n}", 1) for n in range(1, 6)]))
    assert [result.outcome for result in results] == [Outcome.accepted] * 3 + [Outcome.refused] * 2
    assert "'[batteries_required]' is required but not supplied." in (results[3].detail or "")


def test_every_static_sandbox_answer_of_the_operations_used_is_understood(
    peer: AmazonPeer, clock: JumpingClock, operations: dict[str, dict[str, Any]]
) -> None:
    tried = []
    for name, drive in DRIVERS.items():
        for status, example in _static(operations[name]):
            peer.faults.clear()
            body = example.get("response")
            # The addresses in the examples are foreign; the store on loopback takes their place.
            if isinstance(body, dict) and "url" in body:
                peer.documents[body["feedDocumentId"]] = b'{"header": {}, "issues": []}'
                body = {**body, "url": f"{peer.url}/presigned/{body['feedDocumentId']}?X-Amz-Signature=abc"}
            peer.faults.append(Fault("reply", matches=asking(*PLACES[name]), reply=Reply(status, body)))
            drive(connected(peer, clock, feed_above=2, feed_wait_seconds=0), status, example["response"])
            assert peer.faults == [] or name == "getFeeds", (name, status)
            tried.append((name, status))
    assert set(RATES) - {name for name, _ in tried} == {"getInventorySummaries"}, "it has no static example"
    assert len(tried) >= 25


def test_amazons_example_orders_are_read_as_they_are_meant(operations: dict[str, dict[str, Any]]) -> None:
    examples = [one["response"] for status, one in _static(operations["searchOrders"]) if status == 200]
    japan, britain, brazil = (order_of(example["orders"][0]) for example in examples)
    assert [(line.sku, line.taken, line.kept) for line in japan.lines] == [
        ("ECHO-DOT-4-JP-CHARCOAL", 0, 1),
        ("FIRE-TV-4K-MAX-JP", 0, 2),
    ]
    assert (japan.currency, japan.country, japan.lines[1].unit_price) == ("JPY", "JP", Decimal(6980))
    assert [(line.taken, line.kept, line.unit_price) for line in britain.lines] == [(1, 1, Decimal("34.99"))]
    assert (brazil.state, brazil.lines[0].taken) == ("UNSHIPPED", 1)
    singles = [order_of(one["response"]["order"]) for status, one in _static(operations["getOrder"]) if status == 200]
    assert [order.tax for order in singles] == [Decimal(0), Decimal(0), Decimal("10.00")]


def test_amazons_example_listing_is_read_as_it_is_meant(
    peer: AmazonPeer, clock: JumpingClock, operations: dict[str, dict[str, Any]]
) -> None:
    ((_, example), *_) = _static(operations["getListingsItem"])
    peer.faults.append(Fault("reply", matches=asking("GET", "/listings/"), reply=Reply(200, example["response"])))
    amazon = connected(peer, clock, marketplace_id="ATVPDKIKX0DER")
    (item,) = amazon.read_items([ListedItem("GM-ZDPI-9B4E", "GM-ZDPI-9B4E", None)])
    assert (item.title, item.handles["product_type"]) == ("Hardside Carry-On Spinner Suitcase Luggage", "LUGGAGE")


def asking(method: str, part: str) -> Callable[[Asked], bool]:
    return lambda asked: asked.method == method and re.search(part, asked.path) is not None


def drain(pages: Iterator[list[Any]]) -> list[Any]:
    return [one for page in pages for one in page]


def headers(peer: AmazonPeer, amazon: Amazon) -> Mapping[str, str]:
    amazon.read_orders(["111-1111111-1111111"])
    return peer.asked[-1].headers


def _static(operation: Mapping[str, Any]) -> Iterator[tuple[int, dict[str, Any]]]:
    for status, response in operation["responses"].items():
        for example in response.get("x-amzn-api-sandbox", {}).get("static", ()):
            yield int(status), example


def _listing(amazon: Amazon, status: int, body: Mapping[str, Any]) -> None:
    sku = body.get("sku", "BadSKU")
    if status == 400:
        with pytest.raises(RequestRefused, match="Invalid input"):
            amazon.read_items([ListedItem(sku, sku, None)])
        return
    assert [item.key for item in amazon.read_items([ListedItem(sku, sku, None)])] == [sku]


def _search(amazon: Amazon, status: int, body: Mapping[str, Any]) -> None:
    if status == 400:
        with pytest.raises(RequestRefused, match="Invalid input"):
            next(amazon.list_items())
        return
    assert [item.key for item in next(amazon.list_items())] == [raw["sku"] for raw in body["items"]]


def _patch(amazon: Amazon, status: int, body: Mapping[str, Any]) -> None:
    (result,) = drain(amazon.write_stock([stock("SKU", 1)]))
    wanted = {"ACCEPTED": Outcome.accepted, "INVALID": Outcome.refused, "VALID": Outcome.unknown}
    assert result.outcome == (Outcome.refused if status == 400 else wanted[body["status"]])


def _feed(amazon: Amazon, status: int, body: Mapping[str, Any]) -> None:
    """A feed of three, whichever of its calls is answered with the example."""
    try:
        results: list[WriteResult] = drain(amazon.write_stock([stock(sku, 1) for sku in ("A", "B", "C")]))
    except ChannelError as error:
        assert isinstance(error, RequestRefused)
        assert (status, error.status) == (400, 400)
        return
    assert {result.outcome for result in results} <= {Outcome.accepted, Outcome.unknown}


def _lost_feed(amazon: Amazon, status: int, body: Mapping[str, Any]) -> None:
    asked = {"feedTypes": "JSON_LISTINGS_FEED"}
    if status == 400:
        with pytest.raises(RequestRefused, match="Invalid input"):
            amazon._api.read("getFeeds", "/feeds/2021-06-30/feeds", params=asked)
        return
    assert amazon._api.read("getFeeds", "/feeds/2021-06-30/feeds", params=asked) == body
    assert amazon._feeds._found_since(LONG_AGO) is None


def _orders(amazon: Amazon, status: int, body: Mapping[str, Any]) -> None:
    if status == 400:
        with pytest.raises(RequestRefused, match="Invalid Input"):
            drain(amazon.orders_since(LONG_AGO))
        return
    if "pagination" in body:
        # The example's token belongs to no search of the peer, which therefore refuses the second page.
        with pytest.raises(RequestRefused):
            drain(amazon.orders_since(LONG_AGO))
        return
    assert [order.order_id for order in drain(amazon.orders_since(LONG_AGO))] == [o["orderId"] for o in body["orders"]]


def _order(amazon: Amazon, status: int, body: Mapping[str, Any]) -> None:
    found = amazon.read_orders(["250-1234567-8901234"])
    assert [order.order_id for order in found] == ([] if status == 400 else [body["order"]["orderId"]])


def _subscription(amazon: Amazon, status: int, body: Mapping[str, Any]) -> None:
    assert amazon._look("notifications", "", amazon._subscription).ok


DRIVERS: Mapping[str, Callable[[Amazon, int, Mapping[str, Any]], None]] = {
    "getListingsItem": _listing,
    "searchListingsItems": _search,
    "patchListingsItem": _patch,
    "createFeedDocument": _feed,
    "createFeed": _feed,
    "getFeed": _feed,
    "getFeeds": _lost_feed,
    "getFeedDocument": _feed,
    "searchOrders": _orders,
    "getOrder": _order,
    "getSubscription": _subscription,
}
PLACES = {
    "getListingsItem": ("GET", "^/listings/.*/items/[^/]+/"),
    "searchListingsItems": ("GET", "^/listings/.*/items/[^/]+$"),
    "patchListingsItem": ("PATCH", "^/listings/"),
    "createFeedDocument": ("POST", "^/feeds/.*/documents$"),
    "createFeed": ("POST", "^/feeds/.*/feeds$"),
    "getFeed": ("GET", "^/feeds/.*/feeds/"),
    "getFeeds": ("GET", "^/feeds/.*/feeds$"),
    "getFeedDocument": ("GET", "^/feeds/.*/documents/"),
    "searchOrders": ("GET", "^/orders/.*/orders$"),
    "getOrder": ("GET", "^/orders/.*/orders/"),
    "getSubscription": ("GET", "^/notifications/"),
}
