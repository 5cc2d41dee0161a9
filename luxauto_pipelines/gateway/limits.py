"""How often one principal may ask: a fixed window that all workers count in together.

Belongs here: the counter and its places, a small SQLite file in the installation or the Redis that REDIS_URL names. Does not
belong here: how much a principal may spend (`resources/store/spending.py`).
"""

import math
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from limits import RateLimitItem
from limits.storage import Storage, storage_from_string

from luxauto_pipelines.gateway.problems import Problem

FILE_NAME = "rate-limits.db"
_BUSY_SECONDS = 0.5
_SWEEP_EVERY = 10_000

_TABLE = (
    "CREATE TABLE IF NOT EXISTS windows (key TEXT PRIMARY KEY, hits INTEGER NOT NULL, ends REAL NOT NULL) WITHOUT ROWID"
)
_HIT = """
    INSERT INTO windows VALUES (?1, ?2, ?3 + ?4)
    ON CONFLICT (key) DO UPDATE SET
        hits = CASE WHEN ends <= ?4 THEN ?2 ELSE hits + ?2 END,
        ends = CASE WHEN ends <= ?4 THEN ?3 + ?4 ELSE ends END
    RETURNING hits, ends
"""


class SQLiteStorage(Storage):
    """Counters in a SQLite file of their own, shared by every process that opens it. Losing them costs nothing."""

    STORAGE_SCHEME = ["luxauto+sqlite"]  # noqa: RUF012 (as the base class declares it)

    def __init__(self, uri: str | None = None, wrap_exceptions: bool = False, **options: Any) -> None:
        super().__init__(uri, wrap_exceptions, **options)
        self._path = (uri or "").partition("://")[2]
        self._lock = threading.Lock()
        self._calls = 0
        self._connection = self._connect()

    @property
    def base_exceptions(self) -> type[Exception]:
        return sqlite3.Error

    def hit(self, key: str, expiry: float, amount: int = 1) -> tuple[int, float]:
        """Count, and give how many there now are in the window and when it ends."""
        with self._lock:
            now = time.time()
            hits, ends = self._connection.execute(_HIT, (key, amount, expiry, now)).fetchone()
            self._calls += 1
            if self._calls % _SWEEP_EVERY == 0:
                self._connection.execute("DELETE FROM windows WHERE ends <= ?", (now,))
            return hits, ends

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        return self.hit(key, expiry, amount)[0]

    def get(self, key: str) -> int:
        return self._row(key)[0]

    def get_expiry(self, key: str) -> float:
        return self._row(key)[1]

    def check(self) -> bool:
        try:
            self._row("")
        except sqlite3.Error:
            return False
        return True

    def reset(self) -> int | None:
        with self._lock:
            return self._connection.execute("DELETE FROM windows").rowcount

    def clear(self, key: str) -> None:
        with self._lock:
            self._connection.execute("DELETE FROM windows WHERE key = ?", (key,))

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def _row(self, key: str) -> tuple[int, float]:
        now = time.time()
        with self._lock:
            query = "SELECT hits, ends FROM windows WHERE key = ? AND ends > ?"
            return self._connection.execute(query, (key, now)).fetchone() or (0, now)

    def _connect(self) -> sqlite3.Connection:
        Path(self._path).parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(
            self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=16
        )
        for pragma in ("journal_mode=WAL", "synchronous=OFF", "wal_autocheckpoint=1000"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute(_TABLE)
        return connection


@dataclass(frozen=True, slots=True)
class Window:
    """What is left of a principal's window."""

    limit: int
    remaining: int
    reset_seconds: int

    def headers(self) -> dict[str, str]:
        """RateLimit fields as many clients read them."""
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(self.reset_seconds),
        }


class Limiter:
    """Counts hits and refuses those beyond the limit."""

    def __init__(self, item: RateLimitItem | None, home: Path, redis_url: str | None) -> None:
        self._item = item
        self._storage = cast(Storage, storage_from_string(redis_url or f"luxauto+sqlite://{home / FILE_NAME}"))
        self._hit: Callable[[str, float], tuple[int, float]] = self._hit_any
        self.waits = True
        if isinstance(self._storage, SQLiteStorage):
            # Microseconds, so that the event loop may do it by itself.
            self._hit, self.waits = self._storage.hit, False

    def take(self, principal: str) -> Window | None:
        """Count one request; None where no limit is set. Raises Problem 429 beyond the limit."""
        if self._item is None:
            return None
        try:
            hits, ends = self._hit(f"request/{principal}", self._item.get_expiry())
        except self._storage.base_exceptions:
            # The counter is away or held for longer than a request may wait. Answering matters more than counting.
            return None
        reset = max(1, math.ceil(ends - time.time()))
        window = Window(self._item.amount, max(0, self._item.amount - hits), reset)
        if hits > self._item.amount:
            raise too_many(window)
        return window

    def allows(self, what: str, amount: int, seconds: int) -> bool:
        """Whether `what` has happened at most `amount` times in its window, this time included."""
        try:
            return self._hit(f"event/{what}", seconds)[0] <= amount
        except self._storage.base_exceptions:
            return False

    def close(self) -> None:
        if isinstance(self._storage, SQLiteStorage):
            self._storage.close()

    def _hit_any(self, key: str, seconds: float) -> tuple[int, float]:
        hits = self._storage.incr(key, int(seconds))
        return hits, self._storage.get_expiry(key)


def too_many(window: Window) -> Problem:
    detail = f"more than {window.limit} requests in the window; try again in {window.reset_seconds} s"
    headers = {**window.headers(), "Retry-After": str(window.reset_seconds)}
    return Problem(429, "Too many requests", detail, headers=headers)
