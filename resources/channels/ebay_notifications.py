"""What eBay sends by itself: the answer to its challenge, who signed a notification, and what one is about.

Belongs here: eBay's Notification API as seen by the receiver. Does not belong here: what is done about a notification (the
gateway), or reading what it is about (`ebay`).

A notification is signed with a key of eBay's own, which is fetched by its id: no secret of ours is in it. `sender` therefore
needs a way to fetch keys; `key_fetcher` gives one for a connection. Both are made once a connection and kept, since the keys
are remembered in them.
"""

import base64
import binascii
import json
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from threading import Lock
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from resources.channels.ebay_access import application
from resources.channels.protocol import Connection, Headers, RequestRefused, Sender, Touched
from resources.channels.transport import Clock, Tools

SIGNATURE = "x-ebay-signature"
_PUBLIC_KEY = "/commerce/notification/v1/public_key/"
_KEPT_FOR = timedelta(hours=1)
_FETCHED_AGAIN_AFTER = timedelta(minutes=1)
_MOST_KEYS = 32
_MOST_FETCHES = 20
_DIGESTS: dict[str, type[hashes.HashAlgorithm]] = {"SHA1": hashes.SHA1, "SHA256": hashes.SHA256}


@dataclass(frozen=True)
class PublicKey:
    """A key as eBay gives it: `key` in PEM, on one line or on several."""

    key: str
    algorithm: str
    digest: str


FetchKey = Callable[[str], PublicKey | None]
"""Gives the key of an id, None for an id that eBay does not know. Raises ChannelError where eBay cannot be asked."""


def challenge_response(code: str, token: str, endpoint: str) -> dict[str, str]:
    """The JSON answer to `GET endpoint?challenge_code=code`. `endpoint` is the URL just as eBay was told it."""
    return {"challengeResponse": sha256(f"{code}{token}{endpoint}".encode()).hexdigest()}


def key_fetcher(connection: Connection, tools: Tools) -> FetchKey:
    """Asks eBay for public keys, as the connection's application."""
    transport = application(connection, tools)

    def fetch(kid: str) -> PublicKey | None:
        try:
            answer = transport.read("GET", f"{_PUBLIC_KEY}{kid}").json()
        except RequestRefused:
            return None
        return PublicKey(answer["key"], answer["algorithm"], answer["digest"])

    return fetch


class Verifier:
    """Knows eBay's signature. Keys are kept for an hour, as eBay asks; strangers cannot make it ask eBay at will."""

    def __init__(self, fetch: FetchKey, clock: Clock) -> None:
        self._fetch = fetch
        self._clock = clock
        self._lock = Lock()
        self._keys: OrderedDict[str, tuple[PublicKey | None, datetime]] = OrderedDict()
        self._fetched: list[datetime] = []

    def verify(self, headers: Headers, body: bytes) -> bool:
        """Whether eBay sent these very bytes. Raises ChannelError where a key is needed and eBay cannot be asked."""
        signed = _signature(headers)
        if signed is None:
            return False
        if _is_signed(self._key(signed.kid, _KEPT_FOR), signed, body):
            return True
        # The key of an id may have been replaced since it was fetched.
        return _is_signed(self._key(signed.kid, _FETCHED_AGAIN_AFTER), signed, body)

    def _key(self, kid: str, kept_for: timedelta) -> PublicKey | None:
        with self._lock:
            now = self._clock.now()
            known = self._keys.get(kid)
            if known is not None and now - known[1] < kept_for:
                return known[0]
            self._fetched = [moment for moment in self._fetched if now - moment < _FETCHED_AGAIN_AFTER]
            if len(self._fetched) >= _MOST_FETCHES:
                return known[0] if known else None
            self._fetched.append(now)
            self._keys[kid] = (self._fetch(kid), now)
            self._keys.move_to_end(kid)
            if len(self._keys) > _MOST_KEYS:
                self._keys.popitem(last=False)
            return self._keys[kid][0]


def sender(fetch: FetchKey, clock: Clock) -> Sender:
    """eBay as a sender. The secret that `verify` is given is not looked at: it has no part in the signature."""
    verifier = Verifier(fetch, clock)
    return Sender(
        verify=lambda secret, headers, body: verifier.verify(headers, body),
        message_id=_message_id,
        touched=_touched,
        kept_headers=(SIGNATURE,),
    )


SENDER = Sender(
    verify=lambda secret, headers, body: False,
    message_id=lambda headers, body: _message_id(headers, body),
    touched=lambda headers, body: _touched(headers, body),
    kept_headers=(SIGNATURE,),
)
"""Tells what kept notifications are about. It trusts none, since it cannot fetch keys: to receive, `sender` is used."""


@dataclass(frozen=True)
class _Signature:
    kid: str
    digest: str
    value: bytes


def _signature(headers: Headers) -> _Signature | None:
    """What the header says, None where it is missing, damaged, or of an algorithm that eBay does not use."""
    try:
        told = json.loads(base64.b64decode(headers.get(SIGNATURE, ""), validate=True))
        kid, digest = str(told["kid"]), str(told["digest"]).upper()
        value = base64.b64decode(told["signature"], validate=True)
        is_ecdsa = str(told["alg"]).upper() == "ECDSA"
    except (binascii.Error, ValueError, KeyError, TypeError):
        return None
    # The id becomes part of a URL.
    if not is_ecdsa or digest not in _DIGESTS or not re.fullmatch(r"[A-Za-z0-9-]{1,80}", kid):
        return None
    return _Signature(kid, digest, value)


def _is_signed(key: PublicKey | None, signed: _Signature, body: bytes) -> bool:
    if key is None or key.algorithm.upper() not in ("ECDSA", "EC"):
        return False
    try:
        inner = re.sub(r"-----[A-Z ]+-----|\s", "", key.key)
        public = load_der_public_key(base64.b64decode(inner, validate=True))
    except (binascii.Error, ValueError, UnsupportedAlgorithm):
        return False
    if not isinstance(public, ec.EllipticCurvePublicKey):
        return False
    try:
        public.verify(signed.value, body, ec.ECDSA(_DIGESTS[signed.digest]()))
    except InvalidSignature:
        return False
    return True


def _message_id(headers: Headers, body: bytes) -> str:
    """A message that is sent again has other bytes, since its attempts are counted in it, and the same id."""
    told = _message(body).get("notification", {}).get("notificationId")
    return str(told) if told else sha256(body).hexdigest()


def _touched(headers: Headers, body: bytes) -> Touched | None:
    """Orders are named, items are not: eBay tells the number of a listing, which is no key. None for what is no JSON."""
    message = _message(body)
    topic = message.get("metadata", {}).get("topic")
    if not topic:
        return None
    data = message.get("notification", {}).get("data") or {}
    if topic != "ORDER_CONFIRMATION":
        return Touched(str(topic))
    order = data.get("order", data)
    return Touched(str(topic), order_ids=(str(order["orderId"]),) if order.get("orderId") else ())


def _message(body: bytes) -> Mapping[str, Any]:
    try:
        message = json.loads(body)
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}
