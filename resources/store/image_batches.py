"""Batches of pictures: written down before they are handed in, until what they brought has been taken in.

Belongs here: the table `image_batches`. Does not belong here: what a batch may cost, handing it in and what comes of it
(`resources/images/batches`).

An `intent` may have been handed in or not: its process was killed, or is at it. A batch is `unknown` where the answer to
handing it in was lost. `submitted` ones have the vendor's id. The other states are final.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Literal

from resources.store.bulk import as_instant, as_json, insert_row, run

if TYPE_CHECKING:
    from sqlalchemy import Connection

BatchState = Literal["intent", "submitted", "unknown", "completed", "failed", "cancelled"]
OPEN_STATES: tuple[BatchState, ...] = ("intent", "submitted", "unknown")


@dataclass(frozen=True)
class BatchItem:
    """A request of a batch. `key` is its effect's, `content_key` that of what it is to bring; `reserved_micros` the most that
    it may cost. `brief` and `brief_hash` say what it is for, where it is for a brief."""

    key: str
    content_key: str
    reserved_micros: int
    request: Mapping[str, Any]
    brief: str | None = None
    brief_hash: str | None = None

    @property
    def custom_id(self) -> str:
        """What the vendor is told: 64 hexadecimal digits."""
        return custom_id(self.key)


@dataclass(frozen=True)
class BatchRow:
    """A batch. Amounts in millionths of a US dollar; `results` say what came of each item, by its `custom_id`."""

    request_key: str
    provider: str
    model: str
    items: Sequence[BatchItem]
    principal: str
    day: date
    reserved_micros: int
    created_at: datetime
    state: BatchState = "intent"
    campaign: str | None = None
    vendor_id: str | None = None
    results: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    cost_micros: int | None = None
    checked_at: datetime | None = None
    ended_at: datetime | None = None
    error: str | None = None
    id: int = 0

    @property
    def is_open(self) -> bool:
        return self.state in OPEN_STATES

    @property
    def counted(self) -> int:
        """What of it is counted in the budgets, while it is open; the calls of its items are, once it has ended."""
        return self.reserved_micros if self.is_open else 0


_COLUMNS = (
    "id, request_key, provider, model, vendor_id, state, items, results, campaign, principal, day, reserved_micros, "
    "cost_micros, created_at, checked_at, ended_at, error"
)


def custom_id(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def begin_batch(connection: "Connection", brand: int, row: BatchRow) -> int:
    """Write a batch down as an intent. Returns its number. Raises the driver's IntegrityError where its key is taken."""
    values = {
        "brand_id": brand,
        "request_key": row.request_key,
        "provider": row.provider,
        "model": row.model,
        "state": "intent",
        "items": json.dumps([{"custom_id": item.custom_id, **asdict(item)} for item in row.items]),
        "results": {},
        "campaign": row.campaign,
        "principal": row.principal,
        "day": row.day,
        "reserved_micros": row.reserved_micros,
        "created_at": row.created_at,
    }
    return insert_row(connection, "image_batches", values)


def move_batch(
    connection: "Connection",
    brand: int,
    number: int,
    states: Sequence[BatchState],
    to: BatchState,
    now: datetime,
    *,
    vendor_id: str | None = None,
    error: str | None = None,
) -> bool:
    """Move a batch to an open state, if it is in one of `states`; whether it was. A vendor's id that is known stays."""
    statement = f"""
        UPDATE image_batches SET state = :to, vendor_id = coalesce(:vendor, vendor_id), error = :error, checked_at = :now
        WHERE brand_id = :brand AND id = :id AND state IN ({_listed(states)})
    """
    values = {"to": to, "vendor": vendor_id, "error": _short(error), "now": now, "brand": brand, "id": number}
    return run(connection, statement, values).rowcount == 1


def end_batch(
    connection: "Connection",
    brand: int,
    number: int,
    to: BatchState,
    cost_micros: int,
    results: Mapping[str, Mapping[str, Any]],
    now: datetime,
    error: str | None = None,
) -> bool:
    """End a batch that is open; False where another one has ended it."""
    statement = f"""
        UPDATE image_batches SET state = :to, cost_micros = :cost, results = :results, error = :error,
        checked_at = :now, ended_at = :now
        WHERE brand_id = :brand AND id = :id AND state IN ({_listed(OPEN_STATES)})
    """
    values = {
        "to": to,
        "cost": cost_micros,
        "results": {name: dict(result) for name, result in results.items()},
        "error": _short(error),
        "now": now,
        "brand": brand,
        "id": number,
    }
    return run(connection, statement, values).rowcount == 1


def touch_batch(connection: "Connection", brand: int, number: int, now: datetime) -> None:
    """The vendor was asked about it, and told."""
    statement = "UPDATE image_batches SET checked_at = :now, error = NULL WHERE brand_id = :brand AND id = :id"
    run(connection, statement, {"now": now, "brand": brand, "id": number})


def find_batch(connection: "Connection", brand: int, key: str) -> BatchRow | None:
    """The batch of an effect's key."""
    query = f"SELECT {_COLUMNS} FROM image_batches WHERE brand_id = :brand AND request_key = :key"
    row = run(connection, query, {"brand": brand, "key": key}).first()
    return None if row is None else _batch(row)


def open_batches(connection: "Connection", brand: int) -> list[BatchRow]:
    """Those that have not ended, oldest first."""
    query = f"""
        SELECT {_COLUMNS} FROM image_batches WHERE brand_id = :brand AND state IN ({_listed(OPEN_STATES)}) ORDER BY id
    """
    return [_batch(row) for row in run(connection, query, {"brand": brand})]


def batches_since(connection: "Connection", brand: int, since: datetime) -> list[BatchRow]:
    """Those that are open, and those that were begun or ended after then, oldest first."""
    query = f"""
        SELECT {_COLUMNS} FROM image_batches
        WHERE brand_id = :brand AND (state IN ({_listed(OPEN_STATES)}) OR created_at >= :since OR ended_at >= :since)
        ORDER BY id
    """
    return [_batch(row) for row in run(connection, query, {"brand": brand, "since": since})]


def open_batch_of(connection: "Connection", brand: int, key: str) -> str | None:
    """The key of the open batch that has an item with this key; None where none has."""
    query = f"""
        SELECT request_key FROM image_batches
        WHERE brand_id = :brand AND state IN ({_listed(OPEN_STATES)}) AND CAST(items AS TEXT) LIKE :item LIMIT 1
    """
    return run(connection, query, {"brand": brand, "item": f'%"{custom_id(key)}"%'}).scalar()


def _listed(states: Sequence[BatchState]) -> str:
    return ", ".join(f"'{state}'" for state in states)


def _short(error: str | None) -> str | None:
    return error[:2000] if error else None


def _batch(row: Any) -> BatchRow:
    said = dict(row._mapping)
    items = [{name: value for name, value in one.items() if name != "custom_id"} for one in as_json(said["items"])]
    said |= {
        "items": [BatchItem(**one) for one in items],
        "results": as_json(said["results"]),
        "day": date.fromisoformat(said["day"]) if isinstance(said["day"], str) else said["day"],
    }
    for name in ("created_at", "checked_at", "ended_at"):
        said[name] = None if said[name] is None else as_instant(said[name])
    return BatchRow(**said)
