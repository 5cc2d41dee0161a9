"""What requests for pictures brought, who is having which request made, and what is counted about both.

Belongs here: the tables `image_cache` and `image_flights`. Does not belong here: how a request is named, and bytes
(`resources/images/cache`).

Rows of `image_cache` without bytes are no pictures: a filter's refusals, what a flight brought, and counters (`count:…`).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from resources.store.bulk import as_instant, as_json, run
from resources.store.pictures import BATCH_DAYS

if TYPE_CHECKING:
    from sqlalchemy import Connection

COUNTERS = ("hits", "misses", "joined", "evicted")
_WRONG_CLOCK = timedelta(hours=1)
_SUM = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")


@dataclass(frozen=True)
class Entry:
    """What is remembered under a key."""

    key: str
    provider: str
    model: str
    entry: Mapping[str, Any]
    bytes: int
    created_at: datetime
    used_at: datetime


_COLUMNS = "content_key, provider, model, entry, bytes, created_at, used_at"


def find_entry(connection: "Connection", brand: int, key: str) -> Entry | None:
    query = f"SELECT {_COLUMNS} FROM image_cache WHERE brand_id = :brand AND content_key = :key"
    row = run(connection, query, {"brand": brand, "key": key}).first()
    return None if row is None else _entry(row)


def keep_entry(connection: "Connection", brand: int, entry: Entry) -> None:
    """Write it, in the place of what was there."""
    statement = """
        INSERT INTO image_cache (brand_id, content_key, provider, model, entry, bytes, hits, created_at, used_at)
        VALUES (:brand, :key, :provider, :model, :entry, :bytes, 0, :created, :used)
        ON CONFLICT (brand_id, content_key) DO UPDATE SET provider = excluded.provider, model = excluded.model,
        entry = excluded.entry, bytes = excluded.bytes, created_at = excluded.created_at, used_at = excluded.used_at
    """
    values = {
        "brand": brand,
        "key": entry.key,
        "provider": entry.provider,
        "model": entry.model,
        "entry": dict(entry.entry),
        "bytes": entry.bytes,
        "created": entry.created_at,
        "used": entry.used_at,
    }
    run(connection, statement, values)


def touch_entry(connection: "Connection", brand: int, key: str, now: datetime) -> None:
    """It was used."""
    statement = "UPDATE image_cache SET hits = hits + 1, used_at = :now WHERE brand_id = :brand AND content_key = :key"
    run(connection, statement, {"now": now, "brand": brand, "key": key})


def drop_entry(connection: "Connection", brand: int, key: str) -> bool:
    """Forget it; whether it was there."""
    statement = "DELETE FROM image_cache WHERE brand_id = :brand AND content_key = :key"
    return run(connection, statement, {"brand": brand, "key": key}).rowcount == 1


def least_used(connection: "Connection", brand: int, before: datetime, limit: int = 100) -> list[Entry]:
    """Pictures that nobody has used since then, the longest unused first."""
    query = f"""
        SELECT {_COLUMNS} FROM image_cache WHERE brand_id = :brand AND bytes > 0 AND used_at < :before
        ORDER BY used_at, id LIMIT :limit
    """
    return [_entry(row) for row in run(connection, query, {"brand": brand, "before": before, "limit": limit})]


def drop_notes(connection: "Connection", brand: int, before: datetime) -> int:
    """Forget refusals and what flights brought that were written before then."""
    statement = """
        DELETE FROM image_cache
        WHERE brand_id = :brand AND bytes = 0 AND used_at < :before AND content_key NOT LIKE 'count:%'
    """
    return run(connection, statement, {"brand": brand, "before": before}).rowcount


def total(connection: "Connection", brand: int) -> tuple[int, int]:
    """How many requests are remembered with their pictures, and the bytes of these."""
    query = "SELECT count(*), coalesce(sum(bytes), 0) FROM image_cache WHERE brand_id = :brand AND bytes > 0"
    row: Any = run(connection, query, {"brand": brand}).one()
    return int(row[0]), int(row[1])


def count(connection: "Connection", brand: int, name: str, now: datetime, by: int = 1) -> None:
    """Add to one of COUNTERS."""
    statement = """
        INSERT INTO image_cache (brand_id, content_key, provider, model, entry, bytes, hits, created_at, used_at)
        VALUES (:brand, :key, '', '', :nothing, 0, :by, :now, :now)
        ON CONFLICT (brand_id, content_key) DO UPDATE SET hits = image_cache.hits + excluded.hits, used_at = excluded.used_at
    """
    run(connection, statement, {"brand": brand, "key": f"count:{name}", "nothing": {}, "by": by, "now": now})


def take_turn(connection: "Connection", brand: int, name: str, now: datetime, every: timedelta) -> bool:
    """Whether something that is done every so often is due; then it is the caller's to do. The first time it is not."""
    values = {"brand": brand, "key": f"count:{name}", "now": now, "before": now - every, "nothing": {}}
    insertion = """
        INSERT INTO image_cache (brand_id, content_key, provider, model, entry, bytes, hits, created_at, used_at)
        VALUES (:brand, :key, '', '', :nothing, 0, 0, :now, :now) ON CONFLICT (brand_id, content_key) DO NOTHING
    """
    if run(connection, insertion, {n: v for n, v in values.items() if n != "before"}).rowcount:
        return False
    statement = """
        UPDATE image_cache SET hits = hits + 1, used_at = :now
        WHERE brand_id = :brand AND content_key = :key AND used_at < :before
    """
    return run(connection, statement, {n: v for n, v in values.items() if n != "nothing"}).rowcount == 1


def counts(connection: "Connection", brand: int) -> dict[str, int]:
    """All COUNTERS."""
    query = "SELECT content_key, hits FROM image_cache WHERE brand_id = :brand AND content_key LIKE 'count:%'"
    found = {row.content_key.removeprefix("count:"): row.hits for row in run(connection, query, {"brand": brand})}
    return {name: int(found.get(name, 0)) for name in COUNTERS}


def needed_sums(connection: "Connection", brand: int) -> set[str]:
    """The SHA-256 of all bytes that a picture that is not deleted, a remembered request or a late batch names."""
    pictures = (
        "SELECT sha256, CAST(details AS TEXT) AS said FROM pictures WHERE brand_id = :brand AND state <> 'deleted'"
    )
    cached = "SELECT '' AS sha256, CAST(entry AS TEXT) AS said FROM image_cache WHERE brand_id = :brand AND bytes > 0"
    batched = """
        SELECT '' AS sha256, CAST(results AS TEXT) AS said FROM image_batches WHERE brand_id = :brand AND ended_at >= :since
    """
    found: set[str] = set()
    since = datetime.now(UTC) - timedelta(days=BATCH_DAYS)
    for query in (pictures, cached, batched):
        for row in run(connection, query, {"brand": brand, "since": since}):
            found.update(_SUM.findall(f"{row.sha256} {row.said}"))
    return found


def claim_flights(
    connection: "Connection", brand: int, keys: Sequence[str], owner: str, now: datetime, lapses: datetime
) -> bool:
    """Make all of these requests the owner's to have made, or none where another one holds any of them."""
    if any(_is_held(connection, brand, key, owner, now) for key in keys):
        return False
    statement = """
        INSERT INTO image_flights (brand_id, content_key, owner, began_at, lapses_at)
        VALUES (:brand, :key, :owner, :now, :lapses)
        ON CONFLICT (brand_id, content_key) DO UPDATE SET
        owner = excluded.owner, began_at = excluded.began_at, lapses_at = excluded.lapses_at
    """
    for key in keys:
        run(connection, statement, {"brand": brand, "key": key, "owner": owner, "now": now, "lapses": lapses})
    return True


def are_held(connection: "Connection", brand: int, keys: Sequence[str], owner: str, now: datetime) -> bool:
    """Whether another one is having any of them made."""
    return any(_is_held(connection, brand, key, owner, now) for key in keys)


def renew_flights(connection: "Connection", brand: int, owner: str, lapses: datetime) -> None:
    """The owner is still at it."""
    run(
        connection,
        "UPDATE image_flights SET lapses_at = :lapses WHERE brand_id = :brand AND owner = :owner",
        {"lapses": lapses, "brand": brand, "owner": owner},
    )


def end_flights(connection: "Connection", brand: int, owner: str) -> None:
    """The owner has ended. Rows that another one has taken over meanwhile stay."""
    run(
        connection,
        "DELETE FROM image_flights WHERE brand_id = :brand AND owner = :owner",
        {"brand": brand, "owner": owner},
    )


def _is_held(connection: "Connection", brand: int, key: str, owner: str, now: datetime) -> bool:
    query = "SELECT owner, lapses_at FROM image_flights WHERE brand_id = :brand AND content_key = :key"
    row = run(connection, query, {"brand": brand, "key": key}).first()
    if row is None or row.owner == owner:
        return False
    # Nobody takes that long a lease: what is beyond was written by a clock that was wrong.
    return now < as_instant(row.lapses_at) <= now + _WRONG_CLOCK


def _entry(row: Any) -> Entry:
    return Entry(
        row.content_key,
        row.provider,
        row.model,
        as_json(row.entry),
        row.bytes,
        as_instant(row.created_at),
        as_instant(row.used_at),
    )
