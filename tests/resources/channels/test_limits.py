"""Limits that all processes share: never more in sum than the vendor grants, and what the vendor says counts."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier, Thread
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resources.channels.limits import StoreLimiter
from resources.channels.transport import Clock
from resources.store.brand_store import BrandStore
from tests.peers.postgres import PostgresServer
from tests.resources.channels.tools import JumpingClock

ROOT = Path(__file__).parents[3]
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
PROCESSES, THREADS, TRIES = 4, 8, 40
on_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
# Each process opens the store by itself, says that it is ready, waits for a line and takes as often as it can.
TAKER = f"""
import sys
from datetime import UTC, datetime
from resources.channels.limits import StoreLimiter
from resources.settings import load_settings
from resources.store import open_store
from resources.store.brand_store import BrandStore
from tests.resources.channels.tools import JumpingClock

settings = load_settings()
clock = JumpingClock()
limiter = StoreLimiter(BrandStore(settings, open_store(settings.database_url)), clock)
print("ready", flush=True)
sys.stdin.readline()
taken = sum(limiter.take("shop/all", 1, 2.0, 50) == 0 for _ in range({TRIES}))
day = sum(limiter.take_of_day("shop/day", 1, 50, datetime(2026, 11, 23, tzinfo=UTC)) for _ in range({TRIES}))
print(taken, day)
"""


class SetClock(Clock):
    """Shows what it was set to, which may be earlier than before."""

    def __init__(self) -> None:
        self.time = NOON

    def now(self) -> datetime:
        return self.time


def test_a_bucket_gives_what_it_holds_and_then_as_fast_as_it_refills(books: BrandStore) -> None:
    clock = JumpingClock()
    limiter = StoreLimiter(books, clock)
    assert [limiter.take("shop/all", 1, 0.5, 3) for _ in range(4)] == [0, 0, 0, 2]
    assert limiter.take("shop/other", 1, 0.5, 3) == 0
    clock.sleep(1)
    assert limiter.take("shop/all", 1, 0.5, 3) == 1
    clock.sleep(1)
    assert [limiter.take("shop/all", 1, 0.5, 3) for _ in range(2)] == [0, 2]
    clock.sleep(3600)
    assert [limiter.take("shop/all", 1, 0.5, 3) for _ in range(4)] == [0, 0, 0, 2]


def test_a_cost_above_the_capacity_waits_for_a_full_bucket_and_leaves_it_in_debt(books: BrandStore) -> None:
    clock = JumpingClock()
    limiter = StoreLimiter(books, clock)
    assert limiter.take("shop/all", 1, 1, 10) == 0
    assert limiter.take("shop/all", 25, 1, 10) == 1
    clock.sleep(1)
    assert limiter.take("shop/all", 25, 1, 10) == 0
    assert limiter.take("shop/all", 1, 1, 10) == 16


def test_who_sleeps_as_long_as_told_finds_it_there(books: BrandStore) -> None:
    clock = JumpingClock()
    limiter = StoreLimiter(books, clock)
    for rate in (1 / 3, 0.0167, 0.0083, 7 / 9, 49.99):
        bucket = f"shop/{rate}"
        for _ in range(20):
            wait = limiter.take(bucket, 1, rate, 1)
            if wait > 0:
                clock.sleep(wait)
                assert limiter.take(bucket, 1, rate, 1) == 0


def test_what_the_vendor_tells_counts_more_than_what_was_documented(books: BrandStore) -> None:
    clock = JumpingClock()
    limiter = StoreLimiter(books, clock)
    assert limiter.take("shop/all", 100, 50, 1000) == 0
    limiter.told("shop/all", available=20, rate=100, capacity=2000)
    assert limiter.take("shop/all", 120, 50, 1000) == 1
    clock.sleep(60)
    assert limiter.take("shop/all", 2000, 50, 1000) == 0
    limiter.told("shop/all", available=0.0)
    assert limiter.take("shop/all", 100, 50, 1000) == 1


def test_a_rate_that_is_told_alone_leaves_the_documented_capacity(books: BrandStore) -> None:
    limiter = StoreLimiter(books, JumpingClock())
    limiter.told("shop/all", rate=4)
    assert limiter.take("shop/all", 20, 1, 20) == 0
    assert limiter.take("shop/all", 20, 1, 20) == 5
    # A vendor that tells nonsense has told nothing.
    limiter.told("shop/all", rate=0, capacity=-1)
    assert limiter.take("shop/all", 20, 1, 20) == 5
    # Another release may document another capacity, as long as the vendor tells none.
    assert limiter.take("shop/all", 40, 1, 40) == 10


def test_nonsense_is_refused(books: BrandStore) -> None:
    limiter = StoreLimiter(books, JumpingClock())
    for cost, rate, capacity in ((-1, 1, 1), (1, 0, 1), (1, 1, 0)):
        with pytest.raises(ValueError, match="shop/all"):
            limiter.take("shop/all", cost, rate, capacity)
    with pytest.raises(ValueError, match="shop/day"):
        limiter.take_of_day("shop/day", -1, 5, NOON)


def test_clocks_that_differ_refill_no_time_twice(books: BrandStore) -> None:
    ahead, behind = SetClock(), SetClock()
    ahead.time += timedelta(minutes=5)
    takers = [StoreLimiter(books, ahead), StoreLimiter(books, behind)]
    assert takers[1].take("shop/all", 10, 1, 10) == 0
    taken = sum(takers[number % 2].take("shop/all", 1, 1, 10) == 0 for number in range(100))
    assert taken == 10


def test_a_bucket_that_a_wrong_clock_filled_refills_all_the_same(books: BrandStore) -> None:
    clock = SetClock()
    clock.time += timedelta(days=3650)
    limiter = StoreLimiter(books, clock)
    assert limiter.take("shop/all", 10, 1, 10) == 0
    clock.time = NOON
    assert limiter.take("shop/all", 1, 1, 10) == 1
    clock.time += timedelta(seconds=1)
    assert limiter.take("shop/all", 1, 1, 10) == 0


def test_a_quota_is_there_again_when_its_time_has_come(books: BrandStore) -> None:
    clock = JumpingClock(NOON)
    limiter = StoreLimiter(books, clock)
    midnight = NOON + timedelta(hours=12)
    assert [limiter.take_of_day("shop/day", 4, 10, midnight) for _ in range(3)] == [True, True, False]
    assert limiter.take_of_day("shop/day", 2, 10, midnight)
    assert not limiter.take_of_day("shop/day", 1, 10, midnight)
    assert limiter.take_of_day("shop/other", 10, 10, midnight)
    clock.sleep(12 * 3600)
    tomorrow = midnight + timedelta(days=1)
    assert limiter.take_of_day("shop/day", 9, 10, tomorrow)
    # Whoever still believes in the day before takes of the same.
    assert not limiter.take_of_day("shop/day", 2, 10, midnight)
    assert not limiter.take_of_day("shop/new", 11, 10, midnight)


def test_many_threads_take_no_more_than_there_is(books: BrandStore) -> None:
    clock = SetClock()

    def take_all() -> int:
        together = Barrier(THREADS)

        def take(_: int) -> int:
            limiter = StoreLimiter(books, clock)
            together.wait(30)
            return sum(limiter.take("shop/all", 1, 2, 50) == 0 for _ in range(15))

        with ThreadPoolExecutor(THREADS) as pool:
            return sum(pool.map(take, range(THREADS)))

    assert take_all() == 50
    clock.time += timedelta(seconds=10)
    assert take_all() == 20


def test_many_processes_take_no_more_than_there_is(books: BrandStore) -> None:
    with books.read():
        pass
    command = [sys.executable, "-c", TAKER]
    takers = [
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(PROCESSES)
    ]
    for process in takers:
        assert process.stdout and process.stdout.readline() == "ready\n"
    for process in takers:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    taken = [[int(number) for number in process.communicate(timeout=120)[0].split()] for process in takers]
    assert [sum(each) for each in zip(*taken, strict=True)] == [50, 50]


@on_postgresql
def test_an_ingest_that_holds_the_brand_does_not_stop_the_calls(books: BrandStore) -> None:
    limiter = StoreLimiter(books, JumpingClock())
    limiter.take("shop/all", 1, 1, 10)
    with books.write():
        assert limiter.take("shop/all", 9, 1, 10) == 0
        limiter.told("shop/all", available=0)
        assert limiter.take_of_day("shop/day", 1, 1, NOON + timedelta(days=1))


@on_postgresql
def test_a_postgresql_that_restarts_is_waited_for(books: BrandStore, postgres_server: PostgresServer) -> None:
    limiter = StoreLimiter(books, JumpingClock())
    assert limiter.take("shop/all", 4, 1, 10) == 0
    postgres_server.stop()
    waits: list[float] = []
    taker = Thread(target=lambda: waits.append(limiter.take("shop/all", 4, 1, 10)))
    taker.start()
    postgres_server.start()
    taker.join(60)
    assert waits == [0]
    assert limiter.take("shop/all", 4, 1, 10) == 2


@dataclass
class Model:
    """A bucket in plain arithmetic. Numbers are quarters, which floating point adds without error."""

    rate: float
    capacity: float
    available: float
    since: datetime = NOON

    def take(self, cost: float, now: datetime) -> float:
        elapsed = max(0.0, (now - self.since).total_seconds())
        held = min(self.capacity, self.available + self.rate * elapsed)
        missing = min(cost, self.capacity) - held
        if missing > 0:
            return missing / self.rate
        self.available, self.since = held - cost, max(now, self.since)
        return 0.0


quarters = st.integers(1, 80).map(lambda number: number / 4)
takes = st.tuples(st.just("take"), quarters)
tells = st.tuples(st.sampled_from(["available", "rate", "capacity"]), quarters)
jumps = st.tuples(st.just("jump"), st.integers(-400, 1200).map(lambda number: number / 4))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rate=quarters, capacity=quarters, steps=st.lists(st.one_of(takes, takes, tells, jumps), max_size=30))
def test_takes_tells_and_jumps_of_the_clock_give_what_plain_arithmetic_gives(
    books: BrandStore, rate: float, capacity: float, steps: list[tuple[str, float]]
) -> None:
    # The store outlives the example, which may be run again.
    bucket = str(uuid4())
    clock, model = SetClock(), Model(rate, capacity, capacity)
    callers = [StoreLimiter(books, clock), StoreLimiter(books, clock)]
    callers[0].take(bucket, 0, rate, capacity)
    for number, (kind, value) in enumerate(steps):
        caller = callers[number % 2]
        if kind == "jump":
            clock.time += timedelta(seconds=value)
        elif kind == "take":
            expected = model.take(value, clock.time)
            assert caller.take(bucket, value, rate, capacity) == pytest.approx(expected, abs=2e-6)
        else:
            caller.told(bucket, **{kind: value})
            setattr(model, kind, value)
            model.since = max(clock.time, model.since) if kind == "available" else model.since


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rate=quarters, capacity=quarters, steps=st.lists(st.one_of(takes, takes, jumps), max_size=30))
def test_never_more_is_given_than_the_capacity_and_what_time_refills(
    books: BrandStore, rate: float, capacity: float, steps: list[tuple[str, float]]
) -> None:
    bucket, clock = str(uuid4()), SetClock()
    callers = [StoreLimiter(books, clock), StoreLimiter(books, clock)]
    given_away, latest = 0.0, NOON
    for number, (kind, value) in enumerate(steps):
        if kind == "jump":
            clock.time += timedelta(seconds=value)
            latest = max(latest, clock.time)
            continue
        cost = min(value, capacity)
        if callers[number % 2].take(bucket, cost, rate, capacity) == 0:
            given_away += cost
        assert given_away <= capacity + rate * (latest - NOON).total_seconds() + 1e-6
