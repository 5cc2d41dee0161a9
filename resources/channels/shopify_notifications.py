"""How Shopify signs and numbers its webhooks, and what each is about.

Belongs here: headers and bodies of messages. Does not belong here: receiving and remembering them.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from resources.channels.protocol import Headers, Sender, Touched


def webhook_secret(secrets: Mapping[str, str]) -> str | None:
    """What this connection's webhooks are signed with; None where no secret is known."""
    return secrets.get("webhook_secret") or secrets.get("client_secret")


def _is_signed(secret: bytes, headers: Headers, body: bytes) -> bool:
    wanted = base64.b64encode(hmac.new(secret, body, hashlib.sha256).digest()).decode()
    # As bytes: a header may hold what is not ASCII.
    return hmac.compare_digest(headers.get("x-shopify-hmac-sha256", "").encode(), wanted.encode())


def _message_id(headers: Headers, body: bytes) -> str:
    number = (
        headers.get("x-shopify-webhook-id") or headers.get("x-shopify-event-id") or hashlib.sha256(body).hexdigest()
    )
    return f"{headers.get('x-shopify-topic', 'unknown')}:{number}"


def _touched(headers: Headers, body: bytes) -> Touched | None:
    """Only `inventory_levels/update` tells a quantity that is of one location; a product's is the sum of all."""
    topic = headers.get("x-shopify-topic", "")
    try:
        told = json.loads(body)
    except ValueError:
        return None
    if not isinstance(told, dict):
        return None
    family = topic.partition("/")[0]
    if family == "inventory_levels" and told.get("inventory_item_id"):
        key = _gid("InventoryItem", told["inventory_item_id"])
        available = told.get("available")
        return Touched(topic, keys=(key,), quantities={key: available} if isinstance(available, int) else {})
    if family == "inventory_items" and told.get("id"):
        return Touched(topic, keys=(_gid("InventoryItem", told["id"]),))
    if family == "products":
        variants = [one for one in told.get("variants") or [] if one.get("inventory_item_id")]
        keys = tuple(_gid("InventoryItem", one["inventory_item_id"]) for one in variants)
        return Touched(topic, keys=keys, skus=tuple(one["sku"] for one in variants if one.get("sku")))
    number = (told.get("order_edit") or told).get("order_id") or (told.get("id") if family == "orders" else None)
    return Touched(topic, order_ids=(_gid("Order", number),)) if family in ("orders", "refunds") and number else None


def _gid(kind: str, number: Any) -> str:
    return f"gid://shopify/{kind}/{number}"


SENDER = Sender(
    verify=_is_signed,
    message_id=_message_id,
    touched=_touched,
    kept_headers=(
        "x-shopify-topic",
        "x-shopify-shop-domain",
        "x-shopify-webhook-id",
        "x-shopify-event-id",
        "x-shopify-triggered-at",
        "x-shopify-api-version",
    ),
)
