"""Who wants to be told of workflow events, and which deliveries are due. Deliveries are made by `journal.emit`."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from resources.store.bulk import as_instant, as_json, insert_row, run

if TYPE_CHECKING:
    from sqlalchemy import Connection

_SUBSCRIPTION = "id, key, url, kinds, owner, created_at"


@dataclass(frozen=True)
class Subscription:
    """A row of `webhook_subscriptions`; no kinds means all."""

    id: int
    key: str
    url: str
    kinds: tuple[str, ...]
    owner: str
    created_at: datetime


@dataclass(frozen=True)
class Delivery:
    """A due row of `webhook_deliveries`, with the event that it carries."""

    id: int
    attempts: int
    subscription: str
    url: str
    event_id: int
    workflow: str
    sequence: int
    kind: str
    step: str | None
    at: str
    details: dict[str, Any]


def subscribe(
    connection: "Connection", brand: int, key: str, url: str, kinds: tuple[str, ...], owner: str
) -> Subscription:
    """From now on each event of these kinds is delivered to the URL."""
    listed = f",{','.join(kinds)}," if kinds else ""
    row = {"brand_id": brand, "key": key, "url": url, "kinds": listed, "owner": owner, "created_at": datetime.now(UTC)}
    insert_row(connection, "webhook_subscriptions", row)
    return next(s for s in subscriptions(connection, brand) if s.key == key)


def subscriptions(connection: "Connection", brand: int) -> list[Subscription]:
    """Those that are in force, newest first."""
    query = f"""
        SELECT {_SUBSCRIPTION} FROM webhook_subscriptions WHERE brand_id = :brand AND disabled_at IS NULL ORDER BY id DESC
    """
    return [_subscription(row) for row in run(connection, query, {"brand": brand})]


def unsubscribe(connection: "Connection", brand: int, key: str) -> bool:
    """End a subscription, and what was still due to it. False where there is none."""
    values = {"brand": brand, "key": key, "now": datetime.now(UTC)}
    ended = run(
        connection,
        "UPDATE webhook_subscriptions SET disabled_at = :now WHERE brand_id = :brand AND key = :key AND disabled_at IS NULL",
        values,
    )
    run(
        connection,
        """
        UPDATE webhook_deliveries SET state = 'failed', last_answer = 'unsubscribed' WHERE state = 'pending'
          AND subscription_id = (SELECT id FROM webhook_subscriptions WHERE brand_id = :brand AND key = :key)
        """,
        values,
    )
    return ended.rowcount == 1


def take_due(connection: "Connection", brand: int, limit: int, lease: timedelta) -> list[Delivery]:
    """Deliveries that are due, oldest first; nobody else is given them for as long as the lease. Counts the attempt."""
    query = f"""
        SELECT d.id, d.attempts, s.key AS subscription, s.url, e.id AS event_id, w.key AS workflow, e.sequence, e.kind, e.step,
               e.at, e.details
        FROM webhook_deliveries d JOIN webhook_subscriptions s ON s.id = d.subscription_id
        JOIN workflow_events e ON e.id = d.event_id JOIN workflows w ON w.id = e.workflow_id
        WHERE d.brand_id = :brand AND d.state = 'pending' AND d.next_at <= :now ORDER BY d.id LIMIT {limit}
    """
    now = datetime.now(UTC)
    due = [_delivery(row) for row in run(connection, query, {"brand": brand, "now": now})]
    for delivery in due:
        run(
            connection,
            "UPDATE webhook_deliveries SET attempts = attempts + 1, next_at = :until WHERE id = :id",
            {"until": now + lease, "id": delivery.id},
        )
    return due


def settle(
    connection: "Connection", delivery: Delivery, state: str, answer: str, next_at: datetime | None = None
) -> None:
    """What became of an attempt: delivered, failed for good, or pending until `next_at`. Nothing if it was ended meanwhile."""
    run(
        connection,
        """
        UPDATE webhook_deliveries SET state = :state, last_answer = :answer, next_at = coalesce(:next, next_at)
        WHERE id = :id AND state = 'pending'
        """,
        {"state": state, "answer": answer[:500], "next": next_at, "id": delivery.id},
    )


def _subscription(row: Any) -> Subscription:
    kinds = tuple(kind for kind in row.kinds.split(",") if kind)
    return Subscription(row.id, row.key, row.url, kinds, row.owner, as_instant(row.created_at))


def _delivery(row: Any) -> Delivery:
    values = row._asdict()
    at, details = as_instant(values["at"]), as_json(values["details"])
    return Delivery(**{**values, "at": at.isoformat(), "details": details})
