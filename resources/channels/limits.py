"""Rate limits that all processes share, so that together they ask no more of a vendor than it grants.

Belongs here: how a bucket refills and what a vendor's own word changes. Does not belong here: its rows
(`resources/store/limits.py`), or the vendors' limits (the connectors).
"""

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

from resources.channels.transport import Clock
from resources.store.brand_store import BrandStore
from resources.store.engine import patiently
from resources.store.limits import BucketRow, find_bucket, keep_bucket, take_quota

if TYPE_CHECKING:
    from sqlalchemy import Connection

_T = TypeVar("_T")
_SLACK = 1e-9
_WRONG_CLOCK = timedelta(hours=1)
# As much as the bucket holds, where that is not known yet.
_FULL = 1e12


class StoreLimiter:
    """Token buckets and daily quotas in the store; each step is one short transaction under the bucket's own lock.

    Never to be asked inside a transaction that writes: SQLite would wait for itself. Every method waits for a PostgreSQL that
    is restarting, and raises SQLAlchemy's errors where that does not help; a step whose commit was not answered may then count
    twice, never less than once.
    """

    def __init__(self, books: BrandStore, clock: Clock) -> None:
        self._books = books
        self._clock = clock

    def take(self, bucket: str, cost: float, rate: float, capacity: float) -> float:
        """Take `cost`, or say after how many seconds it could be taken (0: it was taken).

        `rate` (a second) and `capacity` count until the vendor has told others. A cost above the capacity is let through when
        the bucket is full, and leaves it in debt. Raises ValueError for a negative cost, or a rate or capacity of 0 or less.
        """
        if cost < 0 or rate <= 0 or capacity <= 0:
            raise ValueError(f"{bucket}: cannot take {cost} at {rate} a second from a bucket of {capacity}")

        def step(connection: "Connection", brand: int) -> float:
            now = self._clock.now()
            kept = find_bucket(connection, brand, bucket) or BucketRow(_FULL, 0.0, 0.0, now)
            pace, most = kept.rate or rate, kept.capacity or capacity
            filled = _refilled(kept, pace, most, now)
            missing = min(cost, most) - filled.available
            if missing <= _SLACK:
                keep_bucket(connection, brand, bucket, replace(filled, available=filled.available - cost))
                return 0.0
            if filled.refilled_at < kept.refilled_at:
                keep_bucket(connection, brand, bucket, filled)
            # Clocks count whole microseconds: rounded up, so that who sleeps this long does not come a moment early.
            return math.ceil(missing / pace * 1e6) / 1e6

        return self._under_lock(bucket, step)

    def told(
        self, bucket: str, *, available: float | None = None, rate: float | None = None, capacity: float | None = None
    ) -> None:
        """What the vendor says of the bucket now. A rate or capacity of 0 or less says nothing."""

        def step(connection: "Connection", brand: int) -> None:
            now = self._clock.now()
            kept = find_bucket(connection, brand, bucket)
            row = kept or BucketRow(_FULL, 0.0, 0.0, now)
            row = replace(row, rate=_positive(rate) or row.rate, capacity=_positive(capacity) or row.capacity)
            if available is not None:
                row = replace(row, available=available, refilled_at=_mark(row.refilled_at, now))
            if row != kept:
                keep_bucket(connection, brand, bucket, row)

        self._under_lock(bucket, step)

    def take_of_day(self, bucket: str, cost: int, quota: int, resets_at: datetime) -> bool:
        """Take of a quota that is refilled at once at `resets_at`; False when it is used up. ValueError for a negative cost."""
        if cost < 0:
            raise ValueError(f"{bucket}: cannot take {cost} of a quota")

        def step(connection: "Connection", brand: int) -> bool:
            return take_quota(connection, brand, bucket, cost, quota, self._clock.now(), resets_at)

        return self._under_lock(bucket, step)

    def _under_lock(self, bucket: str, step: Callable[["Connection", int], _T]) -> _T:
        def work() -> _T:
            with self._books.read() as (_, brand):
                pass
            # Not the brand's lock: a call to a vendor does not wait for an ingest.
            with self._books.store.write(f"limit:{brand}:{bucket}") as connection:
                return step(connection, brand)

        return patiently(work)


def _refilled(kept: BucketRow, rate: float, capacity: float, now: datetime) -> BucketRow:
    """The bucket now. A clock behind another process's refills nothing."""
    seconds = max(0.0, (now - kept.refilled_at).total_seconds())
    available = min(capacity, kept.available + rate * seconds)
    return replace(kept, available=available, refilled_at=_mark(kept.refilled_at, now))


def _mark(refilled_at: datetime, now: datetime) -> datetime:
    """From when on the next refill counts: never from earlier than before, or the same time would be refilled twice.

    Further ahead than clocks of working machines differ it was set by one that was wrong, and must not stop the refill for
    as long.
    """
    return now if refilled_at - now > _WRONG_CLOCK else max(refilled_at, now)


def _positive(told: float | None) -> float:
    return told if told is not None and told > 0 else 0.0
