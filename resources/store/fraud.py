"""Transactions that a person should look at, their verdicts, and orders that wait. Each deed is audited and told by an alert.

Belongs here: the tables `fraud_reviews` and `order_holds` and the alerts of kind `fraud`. Does not belong here: what is
suspicious (`assets/finance/fraud`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import polars as pl

from resources.store.alerts import raise_alert, resolve_alert
from resources.store.audit import record
from resources.store.bulk import as_instant, as_json, fetch, insert_row, read_frame, run
from resources.store.vocabulary import FRAUD_VERDICTS

if TYPE_CHECKING:
    from sqlalchemy import Connection

ORDERS = "orders"
KIND = "fraud"
_QUEUE = "review queue"
_SHOWN = 20
_REVIEW = """
    SELECT id, source, subject, occurred_at, score, amount_minor, currency, details, requested_at, requested_by, verdict,
           decided_at, decided_by, note
    FROM fraud_reviews
"""


class FraudReviewError(Exception):
    """A review or a hold that is not possible; the message says why and what to do."""


@dataclass(frozen=True)
class ReviewRequest:
    """One transaction to look at. `subject` is its id within `source`."""

    subject: str
    occurred_at: datetime
    score: float | None
    reasons: Sequence[str]
    rules: Sequence[str] = ()
    amount_minor: int | None = None
    currency: str | None = None
    model: str | None = None


@dataclass(frozen=True)
class Hold:
    """An order that is not to be fulfilled."""

    channel: str
    order_number: str
    reason: str
    held_at: datetime
    held_by: str


@dataclass(frozen=True)
class Review:
    """A row of the queue. `verdict` is None while nobody has looked."""

    id: int
    source: str
    subject: str
    occurred_at: datetime
    score: float | None
    amount_minor: int | None
    currency: str | None
    requested_at: datetime
    requested_by: str
    verdict: str | None
    decided_at: datetime | None
    decided_by: str | None
    note: str | None
    reasons: list[str] = field(default_factory=list)
    rules: list[str] = field(default_factory=list)
    model: str | None = None


def request_reviews(
    connection: "Connection", brand: int, source: str, wanted: Sequence[ReviewRequest], actor: str
) -> list[str]:
    """Put transactions into the queue; the subjects that are new there. What is there already, or was decided, stays.

    One audit row and one alert tell of all that are new.
    """
    rows = fetch(
        connection,
        "SELECT subject FROM fraud_reviews WHERE brand_id = :brand AND source = :source",
        {"brand": brand, "source": source},
    )
    known = {subject for (subject,) in rows}
    new = {one.subject: one for one in wanted if one.subject not in known}
    now = datetime.now(UTC)
    for one in new.values():
        details = {"reasons": list(one.reasons), "rules": list(one.rules), "model": one.model}
        row = {
            "brand_id": brand,
            "source": source,
            "subject": one.subject,
            "occurred_at": one.occurred_at if one.occurred_at.tzinfo else one.occurred_at.replace(tzinfo=UTC),
            "score": one.score,
            "amount_minor": one.amount_minor,
            "currency": one.currency,
            "details": details,
            "requested_at": now,
            "requested_by": actor,
        }
        insert_row(connection, "fraud_reviews", row)
    if new:
        told = {"source": source, "count": len(new), "subjects": list(new)[:_SHOWN]}
        record(connection, brand, "fraud.request_review", source, told, actor=actor)
        _tell_of_queue(connection, brand)
    return list(new)


def decide(
    connection: "Connection", brand: int, source: str, subject: str, verdict: str, actor: str, note: str | None = None
) -> Review:
    """Say what a transaction was; saying otherwise later is allowed, and audited. Raises FraudReviewError.

    The verdict `legit` releases the order that is held for it; `fraud` leaves it held.
    """
    if verdict not in FRAUD_VERDICTS:
        raise FraudReviewError(f"the verdict is {verdict!r} and may be {' or '.join(FRAUD_VERDICTS)}")
    before = find_review(connection, brand, source, subject)
    values = {"id": before.id, "verdict": verdict, "now": datetime.now(UTC), "actor": actor, "note": note}
    run(
        connection,
        "UPDATE fraud_reviews SET verdict = :verdict, decided_at = :now, decided_by = :actor, note = :note WHERE id = :id",
        values,
    )
    told = {"source": source, "verdict": verdict, "before": before.verdict, "score": before.score, "note": note}
    record(connection, brand, "fraud.review", subject, told, actor=actor)
    _tell_of_queue(connection, brand, actor)
    if verdict == "legit" and source == ORDERS and "/" in subject:
        channel, number = subject.split("/", 1)
        if is_held(connection, brand, channel, number):
            release_order(connection, brand, channel, number, actor, note or "reviewed: legit")
    return find_review(connection, brand, source, subject)


def hold_order(connection: "Connection", brand: int, channel: str, number: str, reason: str, actor: str) -> bool:
    """Hold an order, so that nothing of it leaves; whether it was not held already. Raises FraudReviewError.

    The order must be known, from a file or a channel. Whoever fulfils asks `is_held` or `held_orders`.
    """
    if not _is_known(connection, brand, channel, number):
        raise FraudReviewError(f"there is no order {number} of channel {channel}: take it in first, or correct it")
    if is_held(connection, brand, channel, number):
        return False
    row = {"brand_id": brand, "channel": channel, "order_number": number, "reason": reason}
    insert_row(connection, "order_holds", {**row, "held_at": datetime.now(UTC), "held_by": actor})
    subject = f"{channel}/{number}"
    record(connection, brand, "order.hold", subject, {"reason": reason}, actor=actor)
    details = {"channel": channel, "order_number": number, "reason": reason, "held": True}
    raise_alert(connection, brand, KIND, subject, details)
    return True


def release_order(
    connection: "Connection", brand: int, channel: str, number: str, actor: str, note: str | None = None
) -> None:
    """Let an order go on. Raises FraudReviewError where it is not held."""
    changed = run(
        connection,
        """
        UPDATE order_holds SET released_at = :now, released_by = :actor, release_note = :note
        WHERE brand_id = :brand AND channel = :channel AND order_number = :number AND released_at IS NULL
        """,
        {"now": datetime.now(UTC), "actor": actor, "note": note, "brand": brand, "channel": channel, "number": number},
    ).rowcount
    if not changed:
        raise FraudReviewError(f"order {number} of channel {channel} is not held")
    record(connection, brand, "order.release", f"{channel}/{number}", {"note": note}, actor=actor)
    resolve_alert(connection, brand, KIND, f"{channel}/{number}", actor)


def is_held(connection: "Connection", brand: int, channel: str, number: str) -> bool:
    """Whether the order waits."""
    query = """
        SELECT 1 FROM order_holds
        WHERE brand_id = :brand AND channel = :channel AND order_number = :number AND released_at IS NULL
    """
    return bool(fetch(connection, query, {"brand": brand, "channel": channel, "number": number}))


def held_orders(connection: "Connection", brand: int) -> list[Hold]:
    """Every order that waits, the oldest hold first."""
    query = """
        SELECT channel, order_number, reason, held_at, held_by FROM order_holds
        WHERE brand_id = :brand AND released_at IS NULL ORDER BY id
    """
    return [
        Hold(channel, number, reason, as_instant(held_at), held_by)
        for channel, number, reason, held_at, held_by in fetch(connection, query, {"brand": brand})
    ]


def read_reviews(
    connection: "Connection", brand: int, *, state: str = "open", source: str | None = None, count: int = 50
) -> list[Review]:
    """The queue, the most suspicious first. `state` is open, decided or all."""
    conditions = {"open": "AND verdict IS NULL", "decided": "AND verdict IS NOT NULL", "all": ""}
    query = f"""
        {_REVIEW} WHERE brand_id = :brand {conditions[state]} {"AND source = :source" if source else ""}
        ORDER BY CASE WHEN score IS NULL THEN 1 ELSE 0 END, score DESC, id LIMIT :count
    """
    values = {"brand": brand, "count": count} | ({"source": source} if source else {})
    return [_review(row) for row in fetch(connection, query, values)]


def find_review(connection: "Connection", brand: int, source: str, subject: str) -> Review:
    """Raises FraudReviewError."""
    query = f"{_REVIEW} WHERE brand_id = :brand AND source = :source AND subject = :subject"
    rows = fetch(connection, query, {"brand": brand, "source": source, "subject": subject})
    if not rows:
        raise FraudReviewError(
            f"{subject} of {source} is not in the queue: `luxauto fraud queue --state all` shows what is"
        )
    return _review(rows[0])


def read_verdicts(connection: "Connection", brand: int, source: str) -> pl.DataFrame:
    """What people have found: columns subject and fraud (1 or 0)."""
    query = """
        SELECT subject, CASE WHEN verdict = 'fraud' THEN 1 ELSE 0 END FROM fraud_reviews
        WHERE brand_id = :brand AND source = :source AND verdict IS NOT NULL ORDER BY subject
    """
    schema: dict[str, pl.DataType] = {"subject": pl.String(), "fraud": pl.Int8()}
    return read_frame(connection, query, schema, {"brand": brand, "source": source})


def _tell_of_queue(connection: "Connection", brand: int, actor: str | None = None) -> None:
    """One alert says how many wait; with none left it is resolved."""
    waiting = read_reviews(connection, brand, count=_SHOWN)
    if not waiting:
        resolve_alert(connection, brand, KIND, _QUEUE, actor)
        return
    query = "SELECT count(*) FROM fraud_reviews WHERE brand_id = :brand AND verdict IS NULL"
    count = fetch(connection, query, {"brand": brand})[0][0]
    first = [{"subject": r.subject, "source": r.source, "score": r.score, "reasons": r.reasons} for r in waiting]
    raise_alert(connection, brand, KIND, _QUEUE, {"waiting": count, "first": first})


def _is_known(connection: "Connection", brand: int, channel: str, number: str) -> bool:
    values = {"brand": brand, "channel": channel, "number": number}
    return any(
        fetch(
            connection,
            f"""
            SELECT 1 FROM {table} o JOIN channels c ON c.id = o.channel_id
            WHERE o.brand_id = :brand AND c.code = :channel AND o.number = :number
            """,
            values,
        )
        for table in ("orders", "channel_orders")
    )


def _review(row: tuple[Any, ...]) -> Review:
    (number, source, subject, occurred_at, score, amount, currency, details, requested_at, requested_by, *decision) = (
        row
    )
    verdict, decided_at, decided_by, note = decision
    told = as_json(details)
    return Review(
        number,
        source,
        subject,
        as_instant(occurred_at),
        score,
        amount,
        currency,
        as_instant(requested_at),
        requested_by,
        verdict,
        as_instant(decided_at) if decided_at is not None else None,
        decided_by,
        note,
        told["reasons"],
        told["rules"],
        told["model"],
    )
