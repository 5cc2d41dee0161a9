"""Tools for a connector's own tests: buckets and breakers in memory, a clock that jumps."""

from datetime import UTC, datetime, timedelta

from resources.channels.transport import Clock, Tools


class JumpingClock(Clock):
    """`sleep` moves it at once; `slept` says what was waited for."""

    def __init__(self, start: datetime | None = None) -> None:
        self._now = start or datetime(2026, 11, 22, 12, tzinfo=UTC)
        self.slept: list[float] = []

    def now(self) -> datetime:
        return self._now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self._now += timedelta(seconds=seconds)


class ClosedBreaker:
    """Never opens, and counts."""

    def __init__(self) -> None:
        self.successes = 0
        self.failures: list[str] = []

    def allow(self, name: str) -> float:
        return 0.0

    def succeeded(self, name: str) -> None:
        self.successes += 1

    def failed(self, name: str, why: str) -> None:
        self.failures.append(why)


class MemoryLimiter:
    """Token buckets over the clock given."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.buckets: dict[str, tuple[float, datetime]] = {}
        self.rates: dict[str, tuple[float, float]] = {}
        self.days: dict[tuple[str, datetime], int] = {}

    def take(self, bucket: str, cost: float, rate: float, capacity: float) -> float:
        rate, capacity = self.rates.get(bucket, (rate, capacity))
        now = self._clock.now()
        available, since = self.buckets.get(bucket, (capacity, now))
        available = min(capacity, available + rate * (now - since).total_seconds())
        # A cost above the capacity is let through when the bucket is full.
        needed = min(cost, capacity)
        if available + 1e-9 < needed:
            self.buckets[bucket] = (available, now)
            return (needed - available) / rate
        self.buckets[bucket] = (available - cost, now)
        return 0.0

    def told(
        self, bucket: str, *, available: float | None = None, rate: float | None = None, capacity: float | None = None
    ) -> None:
        before = self.rates.get(bucket)
        if rate is not None or capacity is not None:
            self.rates[bucket] = (
                rate if rate is not None else (before or (1.0, 1.0))[0],
                capacity if capacity is not None else (before or (1.0, 1.0))[1],
            )
        if available is not None:
            self.buckets[bucket] = (available, self._clock.now())

    def take_of_day(self, bucket: str, cost: int, quota: int, resets_at: datetime) -> bool:
        used = self.days.get((bucket, resets_at), 0)
        if used + cost > quota:
            return False
        self.days[(bucket, resets_at)] = used + cost
        return True


def memory_tools(clock: Clock | None = None) -> Tools:
    """Everything in memory. The clock jumps unless one is given."""
    chosen = clock or JumpingClock()
    return Tools(ClosedBreaker(), MemoryLimiter(chosen), chosen)
