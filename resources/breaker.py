"""A circuit breaker that all processes share: a vendor that fails is left alone, and one caller tries whether it is back.

Belongs here: when it opens, for how long, and who tries. Does not belong here: its rows (`resources/store/limits.py`), or
what counts as a failure (`resources/channels/transport.py`).
"""

from dataclasses import replace
from datetime import datetime, timedelta

from resources.channels.transport import Clock
from resources.store.brand_store import BrandStore
from resources.store.engine import patiently
from resources.store.limits import BreakerRow, claim_probe, close_breaker, find_breaker, keep_breaker

LONGEST_OPEN_SECONDS = 900.0
_LEAST_SECONDS = 0.001
_REASON_CHARACTERS = 500


class StoreBreaker:
    """Closed until `opens_after` failures in a row, then open for `open_seconds`, twice as long after each try that fails.

    Never to be asked inside a transaction that writes: SQLite would wait for itself. Every method waits for a PostgreSQL that
    is restarting, and raises SQLAlchemy's errors where that does not help.
    """

    def __init__(self, books: BrandStore, clock: Clock, opens_after: int = 5, open_seconds: float = 60.0) -> None:
        self._books = books
        self._clock = clock
        self._opens_after = opens_after
        self._open_seconds = open_seconds
        # Names whose breakers had nothing to reset when last looked at, so that a success need not write.
        self._spotless: set[str] = set()

    def allow(self, name: str) -> float:
        """0 when a call may be made now, else the seconds until one may be tried.

        Of all callers one is let through when that time has come. It has as long as the breaker was first open for: a process
        that is killed while it tries does not block the others for ever.
        """
        return patiently(lambda: self._allow(name))

    def succeeded(self, name: str) -> None:
        """The vendor answered. Costs nothing where the `allow` before found nothing to reset."""
        if name not in self._spotless:
            patiently(lambda: self._close(name))
            self._spotless.add(name)

    def failed(self, name: str, why: str) -> None:
        """The vendor did not answer, or answered that it is broken."""
        self._spotless.discard(name)
        patiently(lambda: self._count(name, why))

    def _allow(self, name: str) -> float:
        with self._books.read() as (connection, brand):
            seen = find_breaker(connection, brand, name)
        if seen.state == "closed":
            (self._spotless.discard if seen.failures else self._spotless.add)(name)
            return 0.0
        self._spotless.discard(name)
        now = self._clock.now()
        # Nobody sets a time to retry that far ahead: what is beyond was written by a clock that was wrong.
        beyond = now + timedelta(seconds=max(LONGEST_OPEN_SECONDS, self._open_seconds))
        if seen.retry_at is None or now < seen.retry_at <= beyond:
            return self._wait(seen, now)
        with self._books.store.write(_lock(brand, name)) as connection:
            lapses = now + timedelta(seconds=self._open_seconds)
            if claim_probe(connection, brand, name, now, beyond, lapses):
                return 0.0
            return self._wait(find_breaker(connection, brand, name), now)

    def _wait(self, seen: BreakerRow, now: datetime) -> float:
        if seen.state == "closed":
            return 0.0
        left = (seen.retry_at - now).total_seconds() if seen.retry_at else self._open_seconds
        return max(left, _LEAST_SECONDS)

    def _close(self, name: str) -> None:
        with self._books.read() as (_, brand):
            pass
        with self._books.store.write(_lock(brand, name)) as connection:
            close_breaker(connection, brand, name)

    def _count(self, name: str, why: str) -> None:
        with self._books.read() as (_, brand):
            pass
        with self._books.store.write(_lock(brand, name)) as connection:
            before = find_breaker(connection, brand, name)
            now = self._clock.now()
            after = replace(before, last_failure_at=now, last_failure=why[:_REASON_CHARACTERS])
            # While it is open only calls end that were under way before, and say nothing new.
            if before.state != "open":
                after = replace(after, failures=before.failures + 1)
            if before.state == "half_open" or (before.state == "closed" and after.failures >= self._opens_after):
                until = now + timedelta(seconds=self._open_for(after.failures))
                after = replace(after, state="open", opened_at=now, retry_at=until)
            keep_breaker(connection, brand, name, after)

    def _open_for(self, failures: int) -> float:
        # Beyond ten doublings it is the longest anyway, and the number would only grow.
        doublings = min(max(failures - self._opens_after, 0), 10)
        return min(self._open_seconds * 2**doublings, max(LONGEST_OPEN_SECONDS, self._open_seconds))


def _lock(brand: int, name: str) -> str:
    # Not the brand's: a call to a vendor does not wait for an ingest.
    return f"breaker:{brand}:{name}"
