"""Rows of what vendors bear: whether a connection is called at all, how fast, and how often a day.

Belongs here: `circuit_breakers`, `rate_buckets`, `daily_quotas`. Does not belong here: when a breaker opens
(`resources/breaker.py`), how a bucket refills (`resources/channels/limits.py`).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from resources.store.bulk import as_instant, run

if TYPE_CHECKING:
    from sqlalchemy import Connection


@dataclass(frozen=True)
class BreakerRow:
    """A breaker as it stands: `closed`, `open` or `half_open`, and the failures in a row."""

    state: str = "closed"
    failures: int = 0
    opened_at: datetime | None = None
    retry_at: datetime | None = None
    last_failure_at: datetime | None = None
    last_failure: str | None = None


@dataclass(frozen=True)
class BucketRow:
    """A token bucket: `available` at `refilled_at`; `rate` (a second) and `capacity` are 0 where the vendor told none."""

    available: float
    rate: float
    capacity: float
    refilled_at: datetime


def breakers(connection: "Connection", brand: int) -> list[dict[str, Any]]:
    """Every breaker that has ever counted a failure, by name. Instants in UTC; `retry_at` is None where it is closed."""
    query = """
        SELECT name, state, failures, last_failure, last_failure_at, retry_at FROM circuit_breakers
        WHERE brand_id = :brand ORDER BY name
    """
    return [
        {
            "name": row.name,
            "state": row.state,
            "failures": row.failures,
            "last_failure": row.last_failure,
            "last_failure_at": _instant(row.last_failure_at),
            "retry_at": _instant(row.retry_at),
        }
        for row in run(connection, query, {"brand": brand})
    ]


def find_breaker(connection: "Connection", brand: int, name: str) -> BreakerRow:
    """One breaker; closed without failures where nothing is known."""
    query = """
        SELECT state, failures, opened_at, retry_at, last_failure_at, last_failure FROM circuit_breakers
        WHERE brand_id = :brand AND name = :name
    """
    row = run(connection, query, {"brand": brand, "name": name}).first()
    if row is None:
        return BreakerRow()
    opened, retry, failed = (_instant(value) for value in (row.opened_at, row.retry_at, row.last_failure_at))
    return BreakerRow(row.state, row.failures, opened, retry, failed, row.last_failure)


def keep_breaker(connection: "Connection", brand: int, name: str, breaker: BreakerRow) -> None:
    """Write it as it is now. Only under the breaker's lock, since it was read before."""
    statement = """
        INSERT INTO circuit_breakers
        (brand_id, name, state, failures, opened_at, retry_at, last_failure_at, last_failure)
        VALUES (:brand, :name, :state, :failures, :opened_at, :retry_at, :last_failure_at, :last_failure)
        ON CONFLICT (brand_id, name) DO UPDATE SET
        state = excluded.state, failures = excluded.failures, opened_at = excluded.opened_at,
        retry_at = excluded.retry_at, last_failure_at = excluded.last_failure_at, last_failure = excluded.last_failure
    """
    run(connection, statement, {"brand": brand, "name": name, **vars(breaker)})


def claim_probe(
    connection: "Connection", brand: int, name: str, now: datetime, beyond: datetime, lapses: datetime
) -> bool:
    """Let the caller be the one that tries, until `lapses`; False where it is too early or another one is at it.

    A time to retry after `beyond` was written by a clock that was wrong, and is due.
    """
    statement = """
        UPDATE circuit_breakers SET state = 'half_open', retry_at = :lapses
        WHERE brand_id = :brand AND name = :name AND state <> 'closed' AND (retry_at <= :now OR retry_at > :beyond)
    """
    values = {"brand": brand, "name": name, "now": now, "beyond": beyond, "lapses": lapses}
    return run(connection, statement, values).rowcount == 1


def close_breaker(connection: "Connection", brand: int, name: str) -> None:
    """Closed, with no failures in a row. What failed last is kept for who asks."""
    statement = """
        UPDATE circuit_breakers SET state = 'closed', failures = 0, opened_at = NULL, retry_at = NULL
        WHERE brand_id = :brand AND name = :name AND (state <> 'closed' OR failures <> 0)
    """
    run(connection, statement, {"brand": brand, "name": name})


def find_bucket(connection: "Connection", brand: int, bucket: str) -> BucketRow | None:
    """What is known of a bucket."""
    query = """
        SELECT available, rate, capacity, refilled_at FROM rate_buckets WHERE brand_id = :brand AND bucket = :bucket
    """
    row = run(connection, query, {"brand": brand, "bucket": bucket}).first()
    return None if row is None else BucketRow(row.available, row.rate, row.capacity, as_instant(row.refilled_at))


def keep_bucket(connection: "Connection", brand: int, bucket: str, row: BucketRow) -> None:
    """Write it as it is now. Only under the bucket's lock, since it was read before."""
    statement = """
        INSERT INTO rate_buckets (brand_id, bucket, available, rate, capacity, refilled_at)
        VALUES (:brand, :bucket, :available, :rate, :capacity, :refilled_at)
        ON CONFLICT (brand_id, bucket) DO UPDATE SET
        available = excluded.available, rate = excluded.rate, capacity = excluded.capacity,
        refilled_at = excluded.refilled_at
    """
    run(connection, statement, {"brand": brand, "bucket": bucket, **vars(row)})


def take_quota(
    connection: "Connection", brand: int, bucket: str, cost: int, quota: int, now: datetime, resets_at: datetime
) -> bool:
    """Use `cost` more of a quota, if no more than `quota` is used then; whether it was.

    What was used counts until the time to reset that was given first has passed; the next one is `resets_at`.
    """
    if cost > quota:
        return False
    statement = """
        INSERT INTO daily_quotas (brand_id, bucket, used, resets_at) VALUES (:brand, :bucket, :cost, :resets_at)
        ON CONFLICT (brand_id, bucket) DO UPDATE SET
        used = CASE WHEN daily_quotas.resets_at <= :now THEN 0 ELSE daily_quotas.used END + excluded.used,
        resets_at = CASE WHEN daily_quotas.resets_at <= :now THEN excluded.resets_at ELSE daily_quotas.resets_at END
        WHERE daily_quotas.resets_at <= :now OR daily_quotas.used + excluded.used <= :quota
        RETURNING used
    """
    values = {"brand": brand, "bucket": bucket, "cost": cost, "quota": quota, "now": now, "resets_at": resets_at}
    return run(connection, statement, values).scalar() is not None


def _instant(value: Any) -> datetime | None:
    return None if value is None else as_instant(value)
