"""Whether a webhook is from the channel it says: one verifier a channel, over the raw body.

Belongs here: how each channel signs, and which header numbers its messages. Does not belong here: what a message means.
"""

import base64
import hashlib
import hmac
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

Headers = Mapping[str, str]


class WebhookChannel(StrEnum):
    """Channels that send webhooks."""

    woocommerce = "woocommerce"
    shopify = "shopify"
    amazon = "amazon"
    ebay = "ebay"


@dataclass(frozen=True)
class Sender:
    """How a channel signs. `verify` gets the secret, the headers (names in lower case) and the raw body.

    `id_headers` number a message, the first that is there counts; `kept_headers` are stored with it.
    """

    verify: Callable[[bytes, Headers, bytes], bool]
    id_headers: tuple[str, ...]
    kept_headers: tuple[str, ...]


def hmac_sha256_base64(header: str) -> Callable[[bytes, Headers, bytes], bool]:
    """The verifier of a channel that sends base64(HMAC-SHA256(secret, body)) in `header`."""

    def verify(secret: bytes, headers: Headers, body: bytes) -> bool:
        expected = base64.b64encode(hmac.digest(secret, body, hashlib.sha256))
        return hmac.compare_digest(expected, headers.get(header, "").encode("utf-8", "replace"))

    return verify


SENDERS: dict[str, Sender] = {
    "woocommerce": Sender(
        hmac_sha256_base64("x-wc-webhook-signature"),
        ("x-wc-webhook-delivery-id",),
        ("x-wc-webhook-topic", "x-wc-webhook-resource", "x-wc-webhook-event", "x-wc-webhook-id", "x-wc-webhook-source"),
    ),
    "shopify": Sender(
        hmac_sha256_base64("x-shopify-hmac-sha256"),
        ("x-shopify-event-id", "x-shopify-webhook-id"),
        ("x-shopify-topic", "x-shopify-shop-domain", "x-shopify-api-version", "x-shopify-triggered-at"),
    ),
}
"""Channels that are not here cannot be verified, so that nothing is taken from them."""


def secret_of(channel: str) -> bytes | None:
    """The channel's shared secret, from LUXAUTO_WEBHOOK_SECRET_<CHANNEL>."""
    return (os.environ.get(f"LUXAUTO_WEBHOOK_SECRET_{channel.upper()}") or "").encode() or None
