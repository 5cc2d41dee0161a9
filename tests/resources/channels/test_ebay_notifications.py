"""eBay's challenge and its signed notifications, with real keys over real HTTP."""

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2 as httpx
import pytest
import stamina

from resources.channels.ebay_notifications import (
    SENDER,
    SIGNATURE,
    PublicKey,
    Verifier,
    challenge_response,
    key_fetcher,
    sender,
)
from resources.channels.protocol import ChannelUnavailable, Sender, Touched
from tests.peers.ebay import VERIFICATION_TOKEN, EbayPeer
from tests.peers.vendor import Fault
from tests.resources.channels.tools import JumpingClock, memory_tools


@pytest.fixture(autouse=True)
def _no_blind_waiting() -> Iterator[None]:
    stamina.set_testing(True, attempts=5)
    yield
    stamina.set_testing(False)


@pytest.fixture
def clock() -> JumpingClock:
    return JumpingClock()


@pytest.fixture
def peer(clock: JumpingClock) -> Iterator[EbayPeer]:
    with EbayPeer(clock=clock) as running:
        running.add("BAG-1", 5)
        yield running


@pytest.fixture
def gate(peer: EbayPeer, clock: JumpingClock) -> Sender:
    return sender(key_fetcher(peer.connection("paris", timeout_seconds=0.5), memory_tools(clock)), clock)


def order_message(peer: EbayPeer) -> tuple[dict[str, str], bytes]:
    peer.buy({"BAG-1": 1})
    return peer.webhooks[-1]


def keys_asked(peer: EbayPeer) -> int:
    return peer.count("GET", "/public_key/")


def altered(headers: dict[str, str], **changes: str) -> dict[str, str]:
    told = {**json.loads(base64.b64decode(headers[SIGNATURE])), **changes}
    return {**headers, SIGNATURE: base64.b64encode(json.dumps(told).encode()).decode()}


@contextmanager
def endpoint(answer: Callable[[str, str], dict[str, Any]]) -> Iterator[str]:
    """A gateway that knows only how to answer a challenge. `answer(code, its own URL)`."""

    class Gateway(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            [code] = parse_qs(urlsplit(self.path).query)["challenge_code"]
            body = json.dumps(answer(code, url)).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
    url = f"http://127.0.0.1:{server.server_port}/hooks/paris"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield url
    finally:
        server.shutdown()
        server.server_close()


def create_destination(peer: EbayPeer, url: str) -> int:
    auth = httpx.post(
        f"{peer.url}/identity/v1/oauth2/token",
        auth=("Luxauto-PRD-1", "PRD-secret"),
        data={"grant_type": "client_credentials", "scope": "https://api.ebay.com/oauth/api_scope"},
    ).json()
    return httpx.post(
        f"{peer.url}/commerce/notification/v1/destination",
        headers={"Authorization": f"Bearer {auth['access_token']}"},
        json={
            "name": "gateway",
            "status": "ENABLED",
            "deliveryConfig": {"endpoint": url, "verificationToken": VERIFICATION_TOKEN},
        },
    ).status_code


def test_the_challenge_is_answered_with_the_digest_of_code_token_and_endpoint() -> None:
    answer = challenge_response("a8628072", "MyVerificationToken", "https://example.test/hook")
    assert answer == {"challengeResponse": "60647bb9137e51ff70e767db4b62e655ca5e52805a85391115d5a320167d0cbd"}


def test_a_destination_is_created_only_where_the_challenge_is_answered_rightly(peer: EbayPeer) -> None:
    with endpoint(lambda code, url: challenge_response(code, VERIFICATION_TOKEN, url)) as url:
        assert create_destination(peer, url) == 201
    with endpoint(lambda code, url: challenge_response(code, VERIFICATION_TOKEN, f"{url}/")) as url:
        assert create_destination(peer, url) == 409
    assert len(peer.destinations) == 1


@pytest.mark.parametrize("digest", ["SHA1", "SHA256"])
def test_a_notification_of_ebay_is_trusted(peer: EbayPeer, gate: Sender, digest: str) -> None:
    peer.digest = digest
    headers, body = order_message(peer)
    assert gate.verify(b"", headers, body)


def test_a_notification_names_its_order(peer: EbayPeer, gate: Sender) -> None:
    headers, body = order_message(peer)
    assert gate.touched(headers, body) == Touched("ORDER_CONFIRMATION", order_ids=(next(iter(peer.orders)),))


def test_a_body_that_was_tampered_with_is_not_trusted(peer: EbayPeer, gate: Sender) -> None:
    headers, body = order_message(peer)
    assert not gate.verify(b"", headers, body.replace(b"ORDER_CONFIRMATION", b"ITEM_AVAILABILITY "))
    assert not gate.verify(b"", headers, body + b" ")
    assert gate.verify(b"", headers, body)


def test_a_key_that_ebay_does_not_know_is_not_trusted(peer: EbayPeer, gate: Sender) -> None:
    headers, body = order_message(peer)
    assert not gate.verify(b"", altered(headers, kid="no-such-key"), body)
    assert not gate.verify(b"", altered(headers, kid="no-such-key"), body)
    assert keys_asked(peer) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"alg": "none"},
        {"alg": "rsa"},
        {"digest": "MD5"},
        {"digest": "SHA512"},
        {"kid": "../oauth2/token"},
        {"kid": ""},
        {"signature": "%%%"},
    ],
)
def test_another_algorithm_is_not_trusted_and_no_key_is_asked_for(
    peer: EbayPeer, gate: Sender, changes: dict[str, str]
) -> None:
    headers, body = order_message(peer)
    assert not gate.verify(b"", altered(headers, **changes), body)
    assert keys_asked(peer) == 0


@pytest.mark.parametrize(
    "value", ["", "no base64!", base64.b64encode(b"[]").decode(), base64.b64encode(b"{}").decode()]
)
def test_a_damaged_signature_is_not_trusted(peer: EbayPeer, gate: Sender, value: str) -> None:
    _, body = order_message(peer)
    assert not gate.verify(b"", {SIGNATURE: value}, body)
    assert not gate.verify(b"", {}, body)


def test_a_digest_that_is_not_the_one_signed_with_is_not_trusted(peer: EbayPeer, gate: Sender) -> None:
    headers, body = order_message(peer)
    assert not gate.verify(b"", altered(headers, digest="SHA256"), body)


def test_a_key_is_fetched_once_an_hour(peer: EbayPeer, gate: Sender, clock: JumpingClock) -> None:
    for _ in range(3):
        headers, body = order_message(peer)
        assert gate.verify(b"", headers, body)
    assert keys_asked(peer) == 1
    clock.sleep(3_601)
    assert gate.verify(b"", headers, body)
    assert keys_asked(peer) == 2


def test_a_new_key_is_fetched_at_once(peer: EbayPeer, gate: Sender) -> None:
    first = order_message(peer)
    assert gate.verify(b"", *first)
    peer.rotate_key()
    assert gate.verify(b"", *order_message(peer))
    assert gate.verify(b"", *first)
    assert keys_asked(peer) == 2


def test_a_key_that_was_replaced_under_its_id_is_fetched_again(
    peer: EbayPeer, gate: Sender, clock: JumpingClock
) -> None:
    old = order_message(peer)
    assert gate.verify(b"", *old)
    clock.sleep(120)
    peer.replace_key()
    assert gate.verify(b"", *order_message(peer))
    assert not gate.verify(b"", *old)
    assert keys_asked(peer) == 2


def test_strangers_cannot_make_it_ask_ebay_without_end(peer: EbayPeer, gate: Sender, clock: JumpingClock) -> None:
    headers, body = order_message(peer)
    assert gate.verify(b"", headers, body)
    for number in range(100):
        assert not gate.verify(b"", altered(headers, kid=f"made-up-{number}"), body)
    assert keys_asked(peer) == 20
    assert gate.verify(b"", headers, body)
    clock.sleep(61)
    peer.rotate_key()
    assert gate.verify(b"", *order_message(peer))


def test_where_ebay_cannot_be_asked_nothing_is_said_about_the_sender(peer: EbayPeer, gate: Sender) -> None:
    headers, body = order_message(peer)
    fault = Fault("reply", times=99, matches=lambda asked: "public_key" in asked.path)
    peer.faults.append(fault)
    with pytest.raises(ChannelUnavailable):
        gate.verify(b"", headers, body)
    peer.faults.remove(fault)
    assert gate.verify(b"", headers, body)


def test_a_key_of_another_kind_is_not_trusted(peer: EbayPeer, clock: JumpingClock) -> None:
    headers, body = order_message(peer)
    for key in (
        PublicKey("-----BEGIN PUBLIC KEY-----nonsense-----END PUBLIC KEY-----", "ECDSA", "SHA1"),
        PublicKey("", "ECDSA", "SHA1"),
        PublicKey("-----BEGIN PUBLIC KEY-----AAAA-----END PUBLIC KEY-----", "RSA", "SHA1"),
    ):
        assert not Verifier(lambda kid, key=key: key, clock).verify(headers, body)


def test_a_repeated_notification_has_the_same_id_though_other_bytes(peer: EbayPeer, gate: Sender) -> None:
    headers, body = order_message(peer)
    again = peer.redelivered(body)
    assert again[1] != body
    assert gate.verify(b"", *again)
    assert gate.message_id(*again) == gate.message_id(headers, body)


def test_repeated_and_reordered_notifications_are_one_id_each(peer: EbayPeer, gate: Sender) -> None:
    for _ in range(4):
        order_message(peer)
    sent = [message for message in peer.webhooks if b"ORDER_CONFIRMATION" in message[1]]
    delivered = [*reversed(sent), *(peer.redelivered(body) for _, body in sent)]
    assert len({gate.message_id(*message) for message in delivered}) == 4
    touched = [gate.touched(*message) for message in delivered if gate.verify(b"", *message)]
    assert len(touched) == 8
    assert {order_id for one in touched if one for order_id in one.order_ids} == set(peer.orders)


def test_the_last_unit_that_goes_is_told_and_names_no_key(peer: EbayPeer, gate: Sender) -> None:
    peer.buy({"BAG-1": 5})
    peer.edit_price("BAG-1", "90.00")
    told = [gate.touched(*message) for message in peer.webhooks]
    assert Touched("ITEM_AVAILABILITY") in told
    assert Touched("ITEM_PRICE_REVISION") in told


def test_a_deleted_account_is_a_topic_without_keys(peer: EbayPeer, gate: Sender) -> None:
    peer.delete_account()
    headers, body = peer.webhooks[-1]
    assert gate.verify(b"", headers, body)
    assert gate.touched(headers, body) == Touched("MARKETPLACE_ACCOUNT_DELETION")


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"\xff", b'{"metadata":{}}'])
def test_what_is_no_notification_is_about_nothing(gate: Sender, body: bytes) -> None:
    assert gate.touched({}, body) is None
    assert gate.message_id({}, body)


def test_the_sender_without_keys_trusts_nobody_and_reads_what_was_kept(peer: EbayPeer, gate: Sender) -> None:
    headers, body = order_message(peer)
    assert not SENDER.verify(b"", headers, body)
    assert SENDER.touched(headers, body) == gate.touched(headers, body)
    assert SENDER.message_id(headers, body) == gate.message_id(headers, body)
    assert SENDER.kept_headers == gate.kept_headers == (SIGNATURE,)


def test_a_day_of_notifications_asks_for_a_key_24_times(peer: EbayPeer, gate: Sender, clock: JumpingClock) -> None:
    message = order_message(peer)
    for _ in range(24 * 12):
        assert gate.verify(b"", *message)
        clock.sleep(timedelta(minutes=5).total_seconds())
    assert keys_asked(peer) == 24
