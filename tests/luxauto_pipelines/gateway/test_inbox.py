"""Webhooks coming in: signed, written down once, and never for a channel that cannot be verified."""

import base64
import hashlib
import hmac
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.luxauto_pipelines.gateway.conftest import SECRET, Peer, rows

BODY = '{"id": 5432109876543, "name": "Écharpe"}'.encode()
# What WooCommerce numbers are deliveries, all of one second alike: its messages are told apart by their words.
NUMBERS = {
    "shopify": "products/update:m-1",
    "woocommerce": hashlib.sha256(b"products/update\n" + BODY).hexdigest(),
}
HEADERS = {
    "shopify": ("X-Shopify-Hmac-Sha256", "X-Shopify-Event-Id", "X-Shopify-Topic"),
    "woocommerce": ("X-WC-Webhook-Signature", "X-WC-Webhook-Delivery-Id", "X-WC-Webhook-Topic"),
}
STORED = "SELECT channel, external_id, state, body FROM inbox_messages ORDER BY id"


@pytest.fixture
def peer(make_peer: Callable[..., Peer]) -> Peer:
    return make_peer(
        ENV="production", JWT_SECRET_KEY=SECRET, WEBHOOK_SECRET_SHOPIFY="s1", WEBHOOK_SECRET_WOOCOMMERCE="w1"
    )


def send(
    peer: Peer, channel: str, body: bytes = BODY, number: str | None = "m-1", secret: str | None = None, **more: str
) -> Any:
    signature, identity, topic = HEADERS[channel]
    key = (secret or {"shopify": "s1", "woocommerce": "w1"}[channel]).encode()
    signed = base64.b64encode(hmac.new(key, body, hashlib.sha256).digest()).decode()
    headers = {signature: signed, topic: "products/update", "Cookie": "session=1", **more}
    if number:
        headers[identity] = number
    return peer.post(f"/webhooks/{channel}", content=body, headers=headers)


@pytest.mark.parametrize("channel", HEADERS)
def test_a_signed_message_is_kept_as_it_came_without_a_token(peer: Peer, channel: str) -> None:
    answer = send(peer, channel)
    assert (answer.status_code, answer.json()) == (200, {"success": True, "duplicate": False})
    assert rows(peer.books, STORED) == [(channel, NUMBERS[channel], "received", BODY.decode())]
    kept = str(rows(peer.books, "SELECT headers FROM inbox_messages")[0][0])
    assert "products/update" in kept
    assert "session=1" not in kept


def test_a_message_that_comes_again_is_answered_and_not_kept_twice(peer: Peer) -> None:
    answers = [send(peer, "shopify") for _ in range(3)]
    assert [answer.json()["duplicate"] for answer in answers] == [False, True, True]
    assert {answer.status_code for answer in answers} == {200}
    assert len(rows(peer.books, STORED)) == 1


def test_the_same_message_many_times_at_once_is_kept_once(peer: Peer) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: send(peer, "shopify"), range(40)))
    assert [answer.json()["duplicate"] for answer in answers].count(False) == 1
    assert len(rows(peer.books, STORED)) == 1


def test_without_a_number_the_body_tells_messages_apart(peer: Peer) -> None:
    duplicates = [send(peer, "shopify", body, number=None).json()["duplicate"] for body in (BODY, BODY, BODY + b" ")]
    assert duplicates == [False, True, False]
    assert rows(peer.books, STORED)[0][1] == f"products/update:{hashlib.sha256(BODY).hexdigest()}"


def test_the_same_number_of_two_channels_is_two_messages(peer: Peer) -> None:
    assert [send(peer, channel).json()["duplicate"] for channel in HEADERS] == [False, False]


def test_a_wrong_signature_is_a_401_and_nothing_is_kept(peer: Peer) -> None:
    forged = [
        send(peer, "shopify", secret="w1"),
        peer.post("/webhooks/shopify", content=BODY, headers={"X-Shopify-Hmac-Sha256": ""}),
        peer.post("/webhooks/shopify", content=BODY, headers={b"X-Shopify-Hmac-Sha256": "é".encode()}),
        peer.post("/webhooks/shopify", content=BODY),
    ]
    assert [answer.status_code for answer in forged] == [401] * 4
    assert rows(peer.books, STORED) == []


def test_a_body_that_cannot_be_kept_is_a_422(peer: Peer) -> None:
    for body in (b"\xff\xfe\x00", b'{"a": "\x00"}'):
        assert send(peer, "shopify", body).status_code == 422


@pytest.mark.parametrize("channel", ["amazon", "ebay"])
def test_a_channel_without_a_verifier_is_a_503(peer: Peer, channel: str) -> None:
    answer = peer.post(f"/webhooks/{channel}", content=BODY)
    assert answer.status_code == 503
    assert channel in answer.json()["detail"]


def test_a_channel_without_a_secret_is_a_503_that_names_the_variable(development: Peer) -> None:
    answer = send(development, "shopify")
    assert answer.status_code == 503
    assert "LUXAUTO_WEBHOOK_SECRET_SHOPIFY" in answer.json()["detail"]
    assert rows(development.books, STORED) == []


def test_an_unknown_channel_is_a_404(peer: Peer) -> None:
    assert peer.post("/webhooks/myspace", content=BODY).status_code == 404


def test_a_name_that_no_channel_can_have_is_a_422(peer: Peer) -> None:
    assert peer.post("/webhooks/my%20space", content=BODY).status_code == 422
