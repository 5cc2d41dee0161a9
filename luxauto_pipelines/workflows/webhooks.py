"""Telling others of workflow events: signed as the Standard Webhooks specification says, and tried until it is taken.

An event may arrive twice, under the same `webhook-id`: the receiver may have taken it although its answer was lost.
"""

import base64
import hashlib
import hmac
import json
import time
from datetime import UTC, datetime, timedelta

from resources.outbound import OutboundFailed, OutboundRefused, OutboundSession
from resources.store import webhooks
from resources.store.brand_store import BrandStore
from resources.store.brands import brand_id

ATTEMPTS = 10
FIRST_DELAY_SECONDS = 5
LONGEST_DELAY_SECONDS = 6 * 3600
BATCH = 20
TIMEOUT_SECONDS = 5.0
# A round ends well within the minute that Dagster gives a sensor.
ROUND_SECONDS = 25.0
LEASE = timedelta(minutes=2)


def signing_secret(books: BrandStore, subscription: str) -> str:
    """The secret of a subscription, as its receiver configures it: `whsec_` and base64."""
    digest = books.vault.pseudonyms("workflow webhooks", [subscription])[subscription]
    return f"whsec_{base64.b64encode(digest.encode()).decode()}"


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """`v1,` and the base64 of HMAC-SHA256 over id, timestamp and body (standardwebhooks.com, symmetric signatures)."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{message_id}.{timestamp}.".encode() + body
    return f"v1,{base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()}"


def deliver_due(books: BrandStore) -> tuple[int, int]:
    """One round: send what is due. Returns how many were delivered and how many were not."""
    end = time.monotonic() + ROUND_SECONDS
    delivered = missed = 0
    session = OutboundSession(timeout_seconds=TIMEOUT_SECONDS, max_bytes=100_000)
    with books.store.write("webhooks") as connection:
        brand = brand_id(connection, books.settings)
        due = webhooks.take_due(connection, brand, BATCH, LEASE)
    for delivery in due:
        if time.monotonic() > end:
            # Its lease runs out, and the next round takes it.
            break
        fault = _send(books, session, delivery)
        _settle(books, delivery, fault)
        delivered, missed = (delivered + 1, missed) if fault is None else (delivered, missed + 1)
    return delivered, missed


def _send(books: BrandStore, session: OutboundSession, delivery: webhooks.Delivery) -> str | None:
    """None when it was taken, else why not."""
    body = json.dumps(
        {
            "type": delivery.kind,
            "timestamp": delivery.at,
            "data": {
                "workflow_id": delivery.workflow,
                "sequence": delivery.sequence,
                "task": delivery.step,
                "details": delivery.details,
            },
        }
    ).encode()
    message_id = f"{delivery.subscription}-{delivery.event_id}"
    now = int(time.time())
    headers = {
        "Content-Type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(now),
        "webhook-signature": sign(signing_secret(books, delivery.subscription), message_id, now, body),
    }
    try:
        answer = session.request("POST", delivery.url, body=body, headers=headers)
    except (OutboundRefused, OutboundFailed) as error:
        return str(error)
    return None if 200 <= answer.status < 300 else f"it answered {answer.status}"


def _settle(books: BrandStore, delivery: webhooks.Delivery, fault: str | None) -> None:
    attempt = delivery.attempts + 1
    with books.store.write("webhooks") as connection:
        if fault is None:
            webhooks.settle(connection, delivery, "delivered", "taken")
        elif attempt >= ATTEMPTS:
            webhooks.settle(connection, delivery, "failed", fault)
        else:
            delay = min(FIRST_DELAY_SECONDS * 2 ** (2 * delivery.attempts), LONGEST_DELAY_SECONDS)
            webhooks.settle(connection, delivery, "pending", fault, datetime.now(UTC) + timedelta(seconds=delay))
