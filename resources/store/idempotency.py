"""First answers to requests that carried an `Idempotency-Key`.

Belongs here: claiming a key, and keeping or dropping what was answered under it. Does not belong here: which answers are worth
keeping (`luxauto_pipelines/gateway/idempotency.py`).

A row without a status is a claim: it belongs to whoever made it until `expires_at`, which its owner moves on while at work.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from resources.store.brand_store import BrandStore
from resources.store.bulk import as_instant, insert_row, run


@dataclass(frozen=True)
class Scope:
    """What a key is bound to."""

    principal: str
    route: str
    key: str


@dataclass(frozen=True)
class StoredAnswer:
    status: int
    body: str
    media_type: str | None


@dataclass(frozen=True)
class Held:
    """A claim that is ours. SQLite gives the number of a deleted row again, so that the number alone would not do."""

    row: int
    since: datetime


@dataclass(frozen=True)
class Claim:
    """A key that is `held`, or the first `answer`, or neither: in progress elsewhere, or used with another body."""

    held: Held | None = None
    answer: StoredAnswer | None = None
    in_progress: bool = False


def claim(books: BrandStore, scope: Scope, body_hash: str, now: datetime, lease: timedelta) -> Claim:
    """Make the key this request's, unless it is another's. A claim that has lapsed, or an old answer, is replaced."""
    query = """
        SELECT id, body_hash, status_code, answer, media_type, expires_at FROM idempotency_keys
        WHERE brand_id = :brand AND principal = :principal AND route = :route AND key = :key
    """
    named = {"principal": scope.principal, "route": scope.route, "key": scope.key}
    # Not the brand's lock: a claim need not wait for an ingest.
    with books.read() as (_, brand):
        pass
    with books.store.write(f"idempotency:{brand}:{scope}") as connection:
        found = run(connection, query, {"brand": brand, **named}).first()
        if found is not None and as_instant(found.expires_at) > now:
            if found.body_hash != body_hash:
                return Claim()
            if found.status_code is None:
                return Claim(in_progress=True)
            return Claim(answer=StoredAnswer(found.status_code, found.answer, found.media_type))
        if found is not None:
            run(connection, "DELETE FROM idempotency_keys WHERE id = :id", {"id": found.id})
        row = {"brand_id": brand, **named, "body_hash": body_hash, "created_at": now, "expires_at": now + lease}
        return Claim(held=Held(insert_row(connection, "idempotency_keys", row), now))


def renew(books: BrandStore, held: Held, until: datetime) -> None:
    """Keep a claim for longer."""
    _change(books, held, "UPDATE idempotency_keys SET expires_at = :until", {"until": until})


def finish(books: BrandStore, held: Held, answer: StoredAnswer, until: datetime) -> bool:
    """Keep the answer; False when the claim had lapsed and was taken over, so that another answer is the first."""
    values = {"status": answer.status, "body": answer.body, "media": answer.media_type, "until": until}
    change = (
        "UPDATE idempotency_keys SET status_code = :status, answer = :body, media_type = :media, expires_at = :until"
    )
    return _change(books, held, change, values)


def drop(books: BrandStore, held: Held) -> bool:
    """Give the key back: the request may be tried again."""
    return _change(books, held, "DELETE FROM idempotency_keys", {})


def purge(books: BrandStore, now: datetime) -> int:
    """Delete what has expired."""
    with books.store.write("idempotency:purge") as connection:
        return run(connection, "DELETE FROM idempotency_keys WHERE expires_at < :now", {"now": now}).rowcount


def _change(books: BrandStore, held: Held, change: str, values: dict[str, Any]) -> bool:
    ours = "id = :id AND created_at = :since AND status_code IS NULL"
    with books.store.write(f"idempotency:row:{held.row}") as connection:
        named = {**values, "id": held.row, "since": held.since}
        return run(connection, f"{change} WHERE {ours}", named).rowcount == 1
