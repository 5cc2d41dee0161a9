"""Pictures that were delivered, what a person decided about them, and which of them others must not repeat.

Belongs here: the table `pictures`. Does not belong here: their bytes (`resources/images/picture_store`), and how they are made
and judged (`assets/visuals`).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from resources.store.bulk import as_instant, as_json, insert_row, run

if TYPE_CHECKING:
    from sqlalchemy import Connection

Verdict = Literal["approved", "rejected"]
BATCH_DAYS = 7
"""For so long the bytes that a batch brought wait for whoever ordered them."""
SHOWN_STATES = ("accepted", "approved")
"""Of pictures that stand for the brand: others are not to repeat them."""
_INSTANTS = ("created_at", "decided_at")


class UnknownPicture(Exception):
    """There is no such picture."""


class AlreadyDecided(Exception):
    """A person has decided about it, or it was deleted."""


@dataclass(frozen=True)
class Picture:
    """A row. `checks` are the judge's, `cost_micros` millionths of a US dollar, `fingerprint` what it looks like."""

    public_id: str
    request_key: str
    content_type: str
    provider: str
    model: str
    sha256: str
    media_type: str
    width: int
    height: int
    bytes: int
    score: float
    state: str
    kit_version: str
    created_at: datetime
    created_by: str
    cost_micros: int = 0
    brief: str | None = None
    sku: str | None = None
    campaign: str | None = None
    seed: int | None = None
    fingerprint: str | None = None
    checks: Sequence[Mapping[str, Any]] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    decided_at: datetime | None = None
    decided_by: str | None = None
    note: str | None = None
    id: int = 0


@dataclass(frozen=True)
class Mark:
    """What tells, without its bytes, whether another picture may be the same."""

    public_id: str
    request_key: str
    brief: str | None
    asked: str | None
    fingerprint: str
    sha256: str


_COLUMNS = tuple(one.name for one in fields(Picture))
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM pictures"


def keep_pictures(connection: "Connection", brand: int, pictures: Sequence[Picture]) -> None:
    """Insert rows. Raises the driver's IntegrityError where one with the same id is there."""
    for picture in pictures:
        values = {name: getattr(picture, name) for name in _COLUMNS if name != "id"}
        values |= {"checks": json.dumps([dict(check) for check in picture.checks]), "details": dict(picture.details)}
        insert_row(connection, "pictures", {"brand_id": brand, **values})


def pictures_of(connection: "Connection", brand: int, request_key: str) -> list[Picture]:
    """What an order brought, deleted ones included, in the order in which it was written."""
    query = f"{_SELECT} WHERE brand_id = :brand AND request_key = :key ORDER BY id"
    return [_picture(row) for row in run(connection, query, {"brand": brand, "key": request_key}).mappings()]


def get_picture(connection: "Connection", brand: int, public_id: str) -> Picture:
    """Raises UnknownPicture."""
    query = f"{_SELECT} WHERE brand_id = :brand AND public_id = :id"
    row = run(connection, query, {"brand": brand, "id": public_id}).mappings().first()
    if row is None:
        raise UnknownPicture(f"there is no picture {public_id!r}")
    return _picture(row)


def pictures_by_id(connection: "Connection", brand: int, public_ids: Sequence[str]) -> list[Picture]:
    """Those of the ids that there are, deleted ones included, in the order in which they were written."""
    found: list[Picture] = []
    # Databases bound how many values a statement takes.
    for begin in range(0, len(public_ids), 500):
        some = {f"id_{n}": one for n, one in enumerate(public_ids[begin : begin + 500])}
        query = f"{_SELECT} WHERE brand_id = :brand AND public_id IN ({', '.join(f':{name}' for name in some)})"
        found += [_picture(row) for row in run(connection, query, {"brand": brand, **some}).mappings()]
    return sorted(found, key=lambda picture: picture.id)


def list_pictures(
    connection: "Connection",
    brand: int,
    *,
    states: Sequence[str] = (),
    brief: str | None = None,
    sku: str | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[Picture]:
    """Newest first; of one state, brief or SKU where it is named. `before` is the id of the last one seen."""
    values: dict[str, Any] = {"brand": brand, "limit": limit}
    clauses = ["brand_id = :brand"]
    for name, wanted in (("brief", brief), ("sku", sku)):
        if wanted is not None:
            clauses.append(f"{name} = :{name}")
            values[name] = wanted
    if before is not None:
        clauses.append("id < :before")
        values["before"] = before
    if states:
        clauses.append(f"state IN ({', '.join(f':state_{n}' for n in range(len(states)))})")
        values |= {f"state_{n}": state for n, state in enumerate(states)}
    query = f"{_SELECT} WHERE {' AND '.join(clauses)} ORDER BY id DESC LIMIT :limit"
    return [_picture(row) for row in run(connection, query, values).mappings()]


def count_pictures(connection: "Connection", brand: int) -> dict[str, int]:
    """How many there are in each state."""
    query = "SELECT state, count(*) FROM pictures WHERE brand_id = :brand GROUP BY state"
    found: Any = run(connection, query, {"brand": brand})
    return {state: int(number) for state, number in found}


def marks(connection: "Connection", brand: int) -> list[Mark]:
    """Of every picture that stands for the brand, oldest first."""
    query = (
        "SELECT public_id, request_key, brief, details, fingerprint, sha256 FROM pictures "
        "WHERE brand_id = :brand AND fingerprint IS NOT NULL AND state IN ('accepted', 'approved') ORDER BY id"
    )
    rows: Any = run(connection, query, {"brand": brand})
    return [Mark(p, k, b, (as_json(d) or {}).get("asked"), f, s) for p, k, b, d, f, s in rows]


def decide(
    connection: "Connection", brand: int, public_id: str, verdict: Verdict, by: str, note: str | None, now: datetime
) -> Picture:
    """Write what a person decided, once. What was accepted without anybody may be rejected, too.

    Raises UnknownPicture, AlreadyDecided.
    """
    changed = run(
        connection,
        "UPDATE pictures SET state = :verdict, decided_by = :by, decided_at = :now, note = :note "
        "WHERE brand_id = :brand AND public_id = :id AND state IN ('needs_review', 'accepted')",
        {"verdict": verdict, "by": by, "now": now, "note": note, "brand": brand, "id": public_id},
    ).rowcount
    picture = get_picture(connection, brand, public_id)
    if not changed:
        whom = f" by {picture.decided_by}" if picture.decided_by else ""
        raise AlreadyDecided(f"picture {public_id} is {picture.state} already{whom}: that is not decided again")
    return picture


def delete_pictures(
    connection: "Connection", brand: int, public_ids: Sequence[str], by: str, now: datetime
) -> list[Picture]:
    """Mark pictures as deleted; gives those that were not so before. Their bytes are the caller's to remove."""
    gone = []
    for public_id in public_ids:
        changed = run(
            connection,
            "UPDATE pictures SET state = 'deleted', decided_by = :by, decided_at = :now "
            "WHERE brand_id = :brand AND public_id = :id AND state <> 'deleted'",
            {"by": by, "now": now, "brand": brand, "id": public_id},
        ).rowcount
        if changed:
            gone.append(get_picture(connection, brand, public_id))
    return gone


def is_needed(connection: "Connection", sha256: str) -> bool:
    """Whether a picture that is not deleted, a remembered answer, or a batch that ended within `BATCH_DAYS` has these bytes or
    names them, of whichever brand."""
    named = f"%{sha256}%"
    since = datetime.now(UTC) - timedelta(days=BATCH_DAYS)
    queries = (
        ("SELECT 1 FROM pictures WHERE state <> 'deleted' AND sha256 = :sum LIMIT 1", sha256),
        ("SELECT 1 FROM pictures WHERE state <> 'deleted' AND CAST(details AS TEXT) LIKE :sum LIMIT 1", named),
        ("SELECT 1 FROM image_cache WHERE CAST(entry AS TEXT) LIKE :sum LIMIT 1", named),
        ("SELECT 1 FROM image_batches WHERE ended_at >= :since AND CAST(results AS TEXT) LIKE :sum LIMIT 1", named),
    )
    return any(run(connection, query, {"sum": value, "since": since}).first() for query, value in queries)


def _picture(row: Mapping[Any, Any]) -> Picture:
    said = dict(row)
    said |= {name: as_instant(said[name]) if said[name] is not None else None for name in _INSTANTS}
    said |= {"checks": as_json(said["checks"]), "details": as_json(said["details"])}
    return Picture(**said)
