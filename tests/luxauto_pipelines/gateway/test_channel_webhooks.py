"""Webhooks of connected channels, signed by the vendors' servers on loopback: verified by the connection, kept once.

Does not belong here: what a message leads to (`tests/assets/inventory/test_inbox.py`).
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import stamina

from resources.channels.protocol import Connection
from resources.store.brand_store import BrandStore
from resources.store.connections import save_connection
from tests.luxauto_pipelines.gateway.conftest import Peer, rows
from tests.peers.ebay import VERIFICATION_TOKEN, EbayPeer
from tests.peers.shopify import ShopifyPeer
from tests.peers.vendor import Fault, Reply
from tests.peers.woocommerce import WooCommercePeer

STORED = "SELECT channel, state, body FROM inbox_messages ORDER BY id"
ADDRESS = "https://brand.example/api/v1/luxury-automation/webhooks/bay"


@pytest.fixture(autouse=True)
def impatient() -> Iterator[None]:
    stamina.set_testing(True, attempts=2)
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


@pytest.fixture
def bay() -> Iterator[EbayPeer]:
    with EbayPeer() as peer:
        yield peer


def connect(books: BrandStore, *channels: Connection) -> None:
    with books.write() as (connection, brand):
        for reached in channels:
            save_connection(connection, brand, books.vault, reached)


def post(gateway: Peer, channel: str, message: tuple[dict[str, str], bytes], **more: str) -> Any:
    headers, body = message
    return gateway.post(f"/webhooks/{channel}", content=body, headers={**headers, **more})


def test_every_message_of_a_shop_is_kept_once_under_the_channels_own_name(
    development: Peer, shop: WooCommercePeer
) -> None:
    connect(development.books, shop.connection("paris"))
    shop.add("BAG", 5)
    shop.add("BELT", 5)
    assert shop.buy({"BAG": 1, "BELT": 1})
    answers = [post(development, "paris", message) for message in shop.webhooks * 2]
    assert {answer.status_code for answer in answers} == {200}
    kept = rows(development.books, STORED)
    assert [(channel, body.encode()) for channel, _, body in kept] == [("paris", body) for _, body in shop.webhooks]
    assert [answer.json()["duplicate"] for answer in answers].count(True) == len(shop.webhooks)


def test_two_products_of_one_second_have_one_delivery_id_and_are_two_messages(
    development: Peer, shop: WooCommercePeer
) -> None:
    connect(development.books, shop.connection("paris"))
    for sku in ("BAG", "BELT"):
        shop.add(sku, 5)
        shop.edit(sku, 4)
    first, second = ({**headers, "x-wc-webhook-delivery-id": "the same"} for headers, _ in shop.webhooks)
    bodies = [body for _, body in shop.webhooks]
    answers = [post(development, "paris", message) for message in zip((first, second), bodies, strict=True)]
    assert [answer.json()["duplicate"] for answer in answers] == [False, False]


def test_what_a_shop_sends_when_a_webhook_is_made_is_answered_and_kept_nowhere(
    development: Peer, shop: WooCommercePeer
) -> None:
    connect(development.books, shop.connection("paris"))
    headers = {"content-type": "application/x-www-form-urlencoded"}
    assert post(development, "paris", (headers, b"webhook_id=12")).status_code == 200
    assert rows(development.books, STORED) == []
    assert post(development, "paris", (headers, b"webhook_id=12&more=1")).status_code == 401


def test_messages_of_a_boutique_are_signed_with_its_apps_secret(development: Peer, boutique: ShopifyPeer) -> None:
    connect(development.books, boutique.connection("milan"))
    boutique.add("BAG", 5)
    assert boutique.buy({"BAG": 1})
    headers, body = boutique.webhooks[0]
    assert post(development, "milan", (headers, body)).status_code == 200
    assert post(development, "milan", (headers, body + b" ")).status_code == 401
    assert [row[0] for row in rows(development.books, STORED)] == ["milan"]


def test_a_secret_in_the_environment_counts_more_than_the_connections(
    make_peer: Callable[..., Peer], boutique: ShopifyPeer
) -> None:
    gateway = make_peer(WEBHOOK_SECRET_MILAN_2="another")
    connect(gateway.books, boutique.connection("milan-2"))
    boutique.add("BAG", 5)
    assert boutique.buy({"BAG": 1})
    assert post(gateway, "milan-2", boutique.webhooks[0]).status_code == 401


def test_a_kind_stands_for_its_one_connected_channel(development: Peer, boutique: ShopifyPeer) -> None:
    connect(development.books, boutique.connection("milan"))
    boutique.add("BAG", 5)
    assert boutique.buy({"BAG": 1})
    assert post(development, "shopify", boutique.webhooks[0]).status_code == 200
    connect(development.books, boutique.connection("rome"))
    assert post(development, "shopify", boutique.webhooks[0]).status_code == 503


def test_the_message_of_one_channel_is_none_of_anothers(
    development: Peer, shop: WooCommercePeer, boutique: ShopifyPeer
) -> None:
    connect(development.books, shop.connection("paris"), boutique.connection("milan"))
    boutique.add("BAG", 5)
    assert boutique.buy({"BAG": 1})
    assert post(development, "paris", boutique.webhooks[0]).status_code == 401
    assert rows(development.books, STORED) == []


def test_ebays_messages_are_verified_by_its_key_which_is_fetched_once(development: Peer, bay: EbayPeer) -> None:
    connect(development.books, bay.connection("bay"))
    bay.add("BAG", 5)
    for _ in range(3):
        assert bay.buy({"BAG": 1})
    answers = [post(development, "bay", message) for message in bay.webhooks]
    assert {answer.status_code for answer in answers} == {200}
    assert bay.count("GET", "/public_key/") == 1
    assert len(rows(development.books, STORED)) == len(bay.webhooks)


def test_a_message_that_ebay_sends_again_is_kept_once_although_its_bytes_differ(
    development: Peer, bay: EbayPeer
) -> None:
    connect(development.books, bay.connection("bay"))
    bay.add("BAG", 5)
    assert bay.buy({"BAG": 1})
    first = bay.webhooks[0]
    again = bay.redelivered(first[1])
    assert first[1] != again[1]
    answers = [post(development, "bay", message).json()["duplicate"] for message in (first, again)]
    assert answers == [False, True]


def test_a_message_that_only_claims_to_be_ebays_is_a_401(development: Peer, bay: EbayPeer) -> None:
    connect(development.books, bay.connection("bay"))
    bay.add("BAG", 5)
    assert bay.buy({"BAG": 1})
    headers, body = bay.webhooks[0]
    forged = [(headers, body.replace(b"BAG", b"BAD") + b" "), ({}, body), ({"x-ebay-signature": "e30="}, body)]
    assert [post(development, "bay", message).status_code for message in forged] == [401] * 3
    assert rows(development.books, STORED) == []


def test_while_ebays_key_cannot_be_fetched_it_is_asked_to_send_again(development: Peer, bay: EbayPeer) -> None:
    connect(development.books, bay.connection("bay"))
    bay.add("BAG", 5)
    assert bay.buy({"BAG": 1})
    is_key = "/public_key/"
    bay.faults.append(Fault("reply", times=2, matches=lambda asked: is_key in asked.path, reply=Reply(503)))
    answers = [post(development, "bay", bay.webhooks[0]) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [503, 200]
    assert "cannot be verified now" in answers[0].json()["detail"]


def test_ebays_word_that_an_account_was_closed_is_kept_like_any_other(development: Peer, bay: EbayPeer) -> None:
    connect(development.books, bay.connection("bay"))
    told = {
        "metadata": {"topic": "MARKETPLACE_ACCOUNT_DELETION", "schemaVersion": "1.0", "deprecated": False},
        "notification": {"notificationId": "n-1", "data": {"username": "jo", "userId": "u-1", "eiasToken": "t"}},
    }
    assert post(development, "bay", bay.signed(json.dumps(told).encode())).status_code == 200
    assert rows(development.books, "SELECT external_id, state FROM inbox_messages") == [("n-1", "received")]


def test_ebays_challenge_is_answered_for_the_address_that_it_was_told(development: Peer, bay: EbayPeer) -> None:
    connect(development.books, bay.connection("bay", notification_url=ADDRESS))
    answer = development.get("/webhooks/bay?challenge_code=c0de")
    wanted = hashlib.sha256(f"c0de{VERIFICATION_TOKEN}{ADDRESS}".encode()).hexdigest()
    assert (answer.status_code, answer.json()) == (200, {"challengeResponse": wanted})
    assert answer.headers["content-type"].startswith("application/json")


def test_a_challenge_that_cannot_be_answered_says_what_the_connection_lacks(development: Peer, bay: EbayPeer) -> None:
    connect(development.books, bay.connection("bay"))
    answer = development.get("/webhooks/bay?challenge_code=c0de")
    assert answer.status_code == 503
    assert "notification_url" in answer.json()["detail"]


def test_only_ebay_is_answered_a_challenge(development: Peer, shop: WooCommercePeer) -> None:
    connect(development.books, shop.connection("paris"))
    assert development.get("/webhooks/paris?challenge_code=c0de").status_code == 404
    assert development.get("/webhooks/nobody?challenge_code=c0de").status_code == 404
    assert development.get("/webhooks/paris").status_code == 422


def test_amazons_messages_come_by_its_queue_and_no_webhook_is_taken_for_one(development: Peer) -> None:
    connect(development.books, Connection("market", "amazon", "http://127.0.0.1:9", {}, {"client_secret": "s"}))
    answer = development.post("/webhooks/market", content=b"{}")
    assert answer.status_code == 503
    assert "SQS" in answer.json()["detail"]
    assert rows(development.books, STORED) == []


def test_ebay_without_a_connection_cannot_be_verified(development: Peer) -> None:
    answer = development.post("/webhooks/ebay", content=b"{}")
    assert answer.status_code == 503
    assert "luxauto channel add" in answer.json()["detail"]
