"""The answers of a real WooCommerce 10.0.2: read by the connector, and compared with what the peer answers."""

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
import stamina

from resources.channels.oauth1 import OAuth1
from resources.channels.protocol import ListedItem, Outcome, PriceWrite, StockWrite
from resources.channels.woocommerce import SENDER, WooCommerce, connect, is_ping
from tests.peers.vendor import Fault, Reply
from tests.peers.woocommerce import KEY, SECRET, WooCommercePeer
from tests.resources.channels.tools import JumpingClock, memory_tools

# Fields that WooCommerce itself shows now as a text and now as a number.
_EITHER = ("total_sales", "image.id")


@pytest.fixture(scope="module")
def recordings() -> list[dict[str, Any]]:
    path = Path(__file__).parents[3].parent / "shared" / "specs" / "woocommerce" / "recordings.jsonl"
    if not path.is_file():
        pytest.skip(f"needs the recorded answers of WooCommerce in {path}")
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def recorded(recordings: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in recordings}


@pytest.fixture(autouse=True)
def no_back_off() -> Iterator[None]:
    stamina.set_testing(True, attempts=5)
    yield
    stamina.set_testing(False)


@pytest.fixture
def peer() -> Iterator[WooCommercePeer]:
    with WooCommercePeer(clock=JumpingClock(datetime(2026, 11, 22, 14, 51, tzinfo=UTC))) as peer:
        yield peer


@pytest.fixture
def shop(peer: WooCommercePeer) -> WooCommerce:
    return connect(peer.connection("shop"), memory_tools())


def answer_with(
    peer: WooCommercePeer, path: str, exchange: dict[str, Any], method: str = "GET", **headers: str
) -> None:
    """The next request of this path gets the recorded answer; an answer about one thing comes as a list of it."""
    told = exchange["response"]
    body = told["json"] if method == "POST" or isinstance(told["json"], list) else [told["json"]]
    reply = Reply(told["status"], body, {**told["headers"], **headers})
    peer.faults.append(
        Fault("reply", reply=reply, matches=lambda asked: asked.method == method and asked.path.endswith(path))
    )


# What the connector reads


def test_recorded_products_are_listed(peer: WooCommercePeer, shop: WooCommerce, recorded: dict[str, dict[str, Any]]):
    answer_with(peer, "/products", recorded["index_products_p1"], **{"x-wp-totalpages": "1"})
    (items,) = shop.list_items()
    first = recorded["index_products_p1"]["response"]["json"][0]
    assert len(items) == 5
    assert items[0].sku == first["sku"]
    assert (items[0].quantity, items[0].price) == (first["stock_quantity"], Decimal(first["regular_price"]))
    assert items[0].updated_at is not None
    assert all(item.unwritable is None and not item.handles for item in items)


def test_recorded_variations_are_read_by_parent_and_by_sku(
    peer: WooCommercePeer, shop: WooCommerce, recorded: dict[str, dict[str, Any]]
):
    asked = [ListedItem(key, None, 0, handles={"parent": "227"}) for key in ("229", "228")]
    answer_with(peer, "/variations", recorded["variations_list"])
    cognac, noir = shop.read_items(asked)
    assert (cognac.sku, cognac.quantity, cognac.price) == ("LUX-BAG-19-COG", 5, Decimal("1299.99"))
    assert noir.handles == {"parent": "227"}
    asked = [
        ListedItem("171", "LUX-BAG-00-NOI", 0, handles={"parent": "170"}),
        ListedItem("999", "GONE", 0, handles={"parent": "998"}),
    ]
    answer_with(peer, "/products", recorded["by_sku_variation"])
    (found,) = shop.read_items(asked)
    assert (found.key, found.quantity, found.handles) == ("171", 5, {"parent": "170"})


def test_a_recorded_product_without_stock_management_is_unwritable(
    peer: WooCommercePeer, shop: WooCommerce, recorded: dict[str, dict[str, Any]]
):
    answer_with(peer, "/products", recorded["put_stock_unmanaged"])
    (item,) = shop.read_items([ListedItem("11", None, None)])
    assert (item.quantity, item.unwritable) == (None, "WooCommerce does not manage its stock")


@pytest.mark.parametrize(
    ("name", "key", "asked", "parent", "outcome", "shown"),
    [
        ("variations_batch", "229", 6, "227", Outcome.confirmed, 6),
        ("batch_garbage", "12", 5, None, Outcome.ignored, 0),
        ("batch_float", "12", 3, None, Outcome.ignored, 2),
        ("batch_float", "12", 2, None, Outcome.confirmed, 2),
        ("products_batch_with_variation_id", "229", 9, None, Outcome.refused, None),
        ("batch_missing_id", "13", 7, None, Outcome.ignored, None),
        ("batch_empty", "13", 7, None, Outcome.unknown, None),
        ("batch_101", "13", 7, None, Outcome.refused, None),
    ],
)
def test_recorded_batch_answers_are_judged(
    peer: WooCommercePeer,
    shop: WooCommerce,
    recorded: dict[str, dict[str, Any]],
    name: str,
    key: str,
    asked: int,
    parent: str | None,
    outcome: Outcome,
    shown: int | None,
):
    answer_with(peer, "/batch", recorded[name], "POST")
    write = StockWrite(key, "S", asked, None, {"parent": parent} if parent else {}, "run")
    ((result,),) = shop.write_stock([write])
    assert (result.key, result.outcome, result.shown) == (key, outcome, shown)


def test_recorded_prices_are_compared_and_not_believed(
    peer: WooCommercePeer, shop: WooCommerce, recorded: dict[str, dict[str, Any]]
):
    results = []
    for name in ("price_'12.50'", "price_'12,50'", "price_'abc'", "sale_below_regular"):
        told = recorded[name]["response"]
        wrapped = {"response": {**told, "json": {"update": [told["json"]]}}}
        answer_with(peer, "/batch", wrapped, "POST")
        price = Decimal("10" if name == "sale_below_regular" else "12.5")
        ((result,),) = shop.write_prices([PriceWrite("14", "S", price, "EUR", {}, "run")])
        results.append((result.outcome, result.shown, result.detail))
    assert results == [
        (Outcome.confirmed, Decimal("12.50"), None),
        (Outcome.ignored, Decimal(1250), None),
        (Outcome.ignored, None, None),
        (Outcome.confirmed, Decimal("10.00"), "a sale price of 8.00 is set"),
    ]


@pytest.mark.parametrize(
    ("name", "order_id", "state", "key", "taken", "kept", "price"),
    [
        ("order_get", "277", "processing", "17", 2, 2, "297.00"),
        ("order_cancel", "277", "cancelled", "17", 0, 0, "297.00"),
        ("order_pending", "278", "pending", "17", 0, 0, "297.00"),
        ("order_variation", "280", "processing", "229", 1, 1, "1299.99"),
    ],
)
def test_recorded_orders_are_read(
    peer: WooCommercePeer,
    shop: WooCommerce,
    recorded: dict[str, dict[str, Any]],
    name: str,
    order_id: str,
    state: str,
    key: str,
    taken: int,
    kept: int,
    price: str,
):
    answer_with(peer, "/orders", recorded[name])
    (order,) = shop.read_orders([order_id])
    (line,) = order.lines
    assert (order.order_id, order.state, order.currency) == (order_id, state, "EUR")
    assert (line.key, line.taken, line.kept, line.unit_price) == (key, taken, kept, Decimal(price))
    assert (order.shipping, order.tax, order.discount, order.refunded_besides) == (0, 0, 0, 0)
    assert order.placed_at <= order.updated_at


def test_recorded_orders_come_by_their_last_change(
    peer: WooCommercePeer, shop: WooCommerce, recorded: dict[str, dict[str, Any]]
):
    exchange = recorded["orders_modified_after"]
    asks_for_all = Fault(
        "reply",
        reply=Reply(200, exchange["response"]["json"]),
        matches=lambda asked: asked.query.get("status") == "any",
    )
    peer.faults.append(asks_for_all)
    (page,) = shop.orders_since(datetime(2026, 11, 22, 14, 50, 23, tzinfo=UTC))
    assert [order.order_id for order in page] == ["277", "278", "279"]
    assert peer.asked[-1].query["modified_after"] == exchange["request"]["params"]["modified_after"]


def test_recorded_webhooks_are_verified_and_pings_are_known(recordings: list[dict[str, Any]]):
    signed, pings = 0, 0
    for each in recordings:
        if each["name"] != "webhook_delivery":
            continue
        headers = {name.lower(): value for name, value in each["headers"].items()}
        body, secret = base64.b64decode(each["body_b64"]), each["secret"].encode()
        if is_ping(headers, body):
            pings += 1
            assert SENDER.touched(headers, body) is None
            continue
        signed += 1
        assert SENDER.verify(secret, headers, body)
        assert not SENDER.verify(secret, headers, body + b" ")
        touched = SENDER.touched(headers, body)
        assert touched is not None
        assert (touched.keys, touched.skus, touched.quantities) == (("18",), ("LUX-SCF-008",), {"18": 20})
    assert (signed, pings) == (1, 3)


# What the peer answers


def test_the_peer_answers_what_the_real_one_answered(peer: WooCommercePeer, recordings: list[dict[str, Any]]):
    _stock(peer)
    differences, compared = [], 0
    with httpx.Client(base_url=peer.url, trust_env=False) as client:
        for each in recordings:
            request = each.get("request")
            if request is None or "oauth1" in request:
                continue
            auth = OAuth1(KEY, "bad" if each["name"] == "bad_secret" else SECRET) if request["auth"] else None
            body = {} if request["json"] is None else {"json": request["json"]}
            answer = client.request(
                request["method"], request["path"], params=request["params"] or {}, auth=auth, **body
            )
            compared += 1
            ours, real = answer.json(), each["response"]["json"]
            found = [*_differences(real, ours, ""), *_other_values(real, ours)]
            if answer.status_code != each["response"]["status"]:
                found.append(f"status {answer.status_code}, not {each['response']['status']}")
            wanted = {name for name in each["response"]["headers"] if name.startswith("x-wp-")}
            found += [f"no header {name}" for name in wanted - set(answer.headers)]
            differences += [f"{each['name']}: {one}" for one in found]
    assert compared == 54
    assert differences == []


def _stock(peer: WooCommercePeer) -> None:
    """What the recorded requests speak of, under the same ids."""

    def add(key: int, sku: str, quantity: int | None, price: str, **more: Any) -> None:
        peer._next_id = key - 1
        peer.add(sku, quantity, price, **more)

    for number in range(89):
        add(10 + number, f"LUX-SCF-{number:03}", 2022, f"{290 + number}.00", name=f"Silk Scarf {number:03}")
    for parent, number in ((170, "00"), (227, "19")):
        add(parent, f"LUX-BAG-{number}", None, "", kind="variable", name=f"Calf Bag {number}")
        for step, colour in enumerate(("NOI", "COG"), 1):
            add(parent + step, f"LUX-BAG-{number}-{colour}", 5, "1299.99", parent=str(parent), name=colour)
    peer._next_id = 275


def _differences(real: Any, ours: Any, where: str) -> list[str]:
    """Where keys or types differ. Of lists the first elements are compared; nothing is any type's."""
    if where.endswith("._links") or real is None or ours is None:
        return []
    if isinstance(real, dict) and isinstance(ours, dict):
        found = [f"{where} lacks {name}" for name in set(real) - set(ours)]
        found += [f"{where} has {name} besides" for name in set(ours) - set(real)]
        return found + [
            one for name in set(real) & set(ours) for one in _differences(real[name], ours[name], f"{where}.{name}")
        ]
    if isinstance(real, list) and isinstance(ours, list):
        return _differences(real[0], ours[0], f"{where}[]") if real and ours else []
    same = _kind(real) == _kind(ours) or where.endswith(_EITHER)
    return [] if same else [f"{where} is {ours!r}, not like {real!r}"]


def _kind(value: Any) -> str:
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


def _other_values(real: Any, ours: Any) -> list[str]:
    """Errors and what was written are compared by value."""
    if isinstance(real, dict) and "update" in real and isinstance(ours, dict) and "update" in ours:
        return [one for a, b in zip(real["update"], ours["update"], strict=True) for one in _other_values(a, b)]
    if not isinstance(real, dict) or not isinstance(ours, dict):
        return []
    if "error" in real and "error" in ours:
        return _other_values(real["error"], ours["error"])
    names = {
        "code",
        "message",
        "status",
        "manage_stock",
        "stock_status",
        "regular_price",
        "sale_price",
        "price",
        "on_sale",
    }
    if real.get("stock_quantity") is None or real["stock_quantity"] < 100:
        names.add("stock_quantity")
    if "data" in real:
        names.discard("message" if real["code"] == "woocommerce_rest_authentication_error" else "")
        names.add("data")
    return [f"{n} is {ours.get(n)!r}, not {real[n]!r}" for n in sorted(names & set(real)) if ours.get(n) != real[n]]
