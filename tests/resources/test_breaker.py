"""The breaker that all processes share: when it opens, for how long, and that one caller alone tries whether to close it."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier, Thread
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from resources.breaker import LONGEST_OPEN_SECONDS, StoreBreaker
from resources.store.brand_store import BrandStore
from resources.store.limits import breakers
from tests.peers.postgres import PostgresServer
from tests.resources.channels.tools import JumpingClock

ROOT = Path(__file__).parents[2]
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
PROCESSES = 4
on_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
# Each process opens the store by itself, says that it is ready, waits for a line and asks once.
ASKER = """
import sys
from resources.breaker import StoreBreaker
from resources.settings import load_settings
from resources.store import open_store
from resources.store.brand_store import BrandStore
from tests.resources.channels.tools import JumpingClock

settings = load_settings()
clock = JumpingClock()
clock.sleep(60)
breaker = StoreBreaker(BrandStore(settings, open_store(settings.database_url)), clock)
print("ready", flush=True)
sys.stdin.readline()
print(breaker.allow("shop"), flush=True)
"""


def fail(breaker: StoreBreaker, times: int, why: str = "HTTP 503") -> None:
    for _ in range(times):
        breaker.failed("shop", why)


def states(books: BrandStore) -> list[tuple[str, str, int]]:
    with books.read() as (connection, brand):
        return [(row["name"], row["state"], row["failures"]) for row in breakers(connection, brand)]


def test_it_opens_after_failures_in_a_row_and_closes_when_a_try_succeeds(books: BrandStore) -> None:
    clock = JumpingClock()
    breaker = StoreBreaker(books, clock)
    fail(breaker, 4)
    assert breaker.allow("shop") == 0
    fail(breaker, 1)
    assert breaker.allow("shop") == 60
    assert breaker.allow("other") == 0
    clock.sleep(59)
    assert breaker.allow("shop") == 1
    clock.sleep(1)
    assert breaker.allow("shop") == 0
    assert states(books) == [("shop", "half_open", 5)]
    breaker.succeeded("shop")
    assert breaker.allow("shop") == 0
    assert states(books) == [("shop", "closed", 0)]


def test_a_success_in_between_starts_the_count_anew_in_whatever_process(books: BrandStore) -> None:
    clock = JumpingClock()
    one, other = StoreBreaker(books, clock), StoreBreaker(books, clock)
    fail(one, 4)
    assert other.allow("shop") == 0
    other.succeeded("shop")
    fail(one, 4)
    assert one.allow("shop") == 0
    fail(other, 1)
    assert one.allow("shop") == other.allow("shop") == 60


def test_each_try_that_fails_leaves_it_open_twice_as_long_up_to_a_quarter_of_an_hour(books: BrandStore) -> None:
    clock = JumpingClock()
    breaker = StoreBreaker(books, clock)
    fail(breaker, 5)
    waits = []
    for _ in range(7):
        waits.append(breaker.allow("shop"))
        clock.sleep(waits[-1])
        assert breaker.allow("shop") == 0
        fail(breaker, 1)
    assert waits == [60, 120, 240, 480, 900, 900, 900]
    clock.sleep(900)
    assert breaker.allow("shop") == 0
    breaker.succeeded("shop")
    fail(breaker, 5)
    assert breaker.allow("shop") == 60


def test_calls_that_were_under_way_when_it_opened_do_not_open_it_for_longer(books: BrandStore) -> None:
    clock = JumpingClock()
    breaker = StoreBreaker(books, clock)
    fail(breaker, 9)
    assert breaker.allow("shop") == 60
    clock.sleep(61)
    fail(breaker, 1)
    assert breaker.allow("shop") == 0


def test_a_caller_that_was_killed_while_it_tried_does_not_block_the_others(books: BrandStore) -> None:
    clock = JumpingClock()
    killed, other = StoreBreaker(books, clock), StoreBreaker(books, clock)
    fail(killed, 5)
    clock.sleep(60)
    assert killed.allow("shop") == 0
    assert other.allow("shop") == 60
    clock.sleep(60)
    assert other.allow("shop") == 0
    assert killed.allow("shop") == 60
    other.succeeded("shop")
    assert killed.allow("shop") == 0


def test_a_time_to_retry_that_a_wrong_clock_set_years_ahead_is_not_waited_for(books: BrandStore) -> None:
    fail(StoreBreaker(books, JumpingClock(NOON + timedelta(days=3650))), 5)
    breaker = StoreBreaker(books, JumpingClock(NOON))
    assert breaker.allow("shop") == 0
    assert breaker.allow("shop") == 60


def test_of_many_threads_one_is_let_through(books: BrandStore) -> None:
    clock = JumpingClock()
    fail(StoreBreaker(books, clock), 5)
    clock.sleep(60)
    together = Barrier(12)

    def ask(_: int) -> float:
        breaker = StoreBreaker(books, clock)
        together.wait(30)
        return breaker.allow("shop")

    with ThreadPoolExecutor(12) as pool:
        waits = sorted(pool.map(ask, range(12)))
    assert waits == [0.0, *[60.0] * 11]


def test_of_many_processes_one_is_let_through(books: BrandStore) -> None:
    fail(StoreBreaker(books, JumpingClock()), 5)
    command = [sys.executable, "-c", ASKER]
    asked = [
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(PROCESSES)
    ]
    for process in asked:
        assert process.stdout and process.stdout.readline() == "ready\n"
    for process in asked:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    assert sorted(float(process.communicate(timeout=60)[0]) for process in asked) == [0.0, 60.0, 60.0, 60.0]


def test_failures_of_many_threads_are_all_counted(books: BrandStore) -> None:
    clock = JumpingClock()
    together = Barrier(8)

    def ask(_: int) -> None:
        together.wait(30)
        StoreBreaker(books, clock, opens_after=100).failed("shop", "reset")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(8)))
    assert states(books) == [("shop", "closed", 8)]


def test_a_success_where_nothing_failed_asks_the_store_nothing(books: BrandStore) -> None:
    breaker = StoreBreaker(books, JumpingClock())
    assert breaker.allow("shop") == 0
    statements: list[str] = []

    def note(*details: object) -> None:
        statements.append(str(details[2]))

    event.listen(books.store.engine, "before_cursor_execute", note)
    for _ in range(3):
        breaker.succeeded("shop")
    assert statements == []
    assert breaker.allow("shop") == 0
    assert not any("UPDATE" in statement or "INSERT" in statement for statement in statements)
    event.remove(books.store.engine, "before_cursor_execute", note)
    assert states(books) == []


def test_what_failed_last_is_told_also_when_it_works_again(books: BrandStore) -> None:
    clock = JumpingClock(NOON)
    breaker = StoreBreaker(books, clock)
    breaker.failed("web", "HTTP 500")
    fail(breaker, 5, "ConnectError: " + "x" * 1000)
    breaker.allow("web")
    breaker.succeeded("web")
    with books.read() as (connection, brand):
        shop, web = breakers(connection, brand)
        assert breakers(connection, brand + 1) == []
    assert shop["last_failure"].startswith("ConnectError: xxx") and len(shop["last_failure"]) == 500
    assert (shop["state"], shop["failures"], shop["retry_at"]) == ("open", 5, NOON + timedelta(seconds=60))
    assert web == {
        "name": "web",
        "state": "closed",
        "failures": 0,
        "last_failure": "HTTP 500",
        "last_failure_at": NOON,
        "retry_at": None,
    }


@on_postgresql
def test_an_ingest_that_holds_the_brand_does_not_stop_the_calls(books: BrandStore) -> None:
    breaker = StoreBreaker(books, JumpingClock())
    breaker.allow("shop")
    with books.write():
        fail(breaker, 5)
        assert breaker.allow("shop") == 60


@on_postgresql
def test_a_postgresql_that_restarts_is_waited_for(books: BrandStore, postgres_server: PostgresServer) -> None:
    breaker = StoreBreaker(books, JumpingClock())
    fail(breaker, 4)
    postgres_server.stop()
    caller = Thread(target=breaker.failed, args=("shop", "HTTP 503"))
    caller.start()
    postgres_server.start()
    caller.join(60)
    assert breaker.allow("shop") == 60


class Model:
    """What a breaker is to do, in plain words."""

    def __init__(self) -> None:
        self.failures = 0
        self.until: datetime | None = None
        self.is_tried = False

    def allow(self, now: datetime) -> float:
        if self.until is None:
            return 0.0
        if now < self.until:
            return (self.until - now).total_seconds()
        self.is_tried, self.until = True, now + timedelta(seconds=60)
        return 0.0

    def fail(self, now: datetime) -> None:
        if self.until is not None and not self.is_tried:
            return
        self.failures += 1
        if self.failures >= 5:
            self.is_tried = False
            self.until = now + timedelta(seconds=min(60 * 2 ** (self.failures - 5), LONGEST_OPEN_SECONDS))

    def succeed(self) -> None:
        self.failures, self.until, self.is_tried = 0, None, False


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(st.sampled_from(["works", "fails", "fails", "fails late", "is killed", "7", "400"]), max_size=40),
)
def test_whatever_happens_to_two_callers_it_does_as_it_is_told_to(books: BrandStore, steps: list[str]) -> None:
    # The store outlives the example, which may be run again.
    name = str(uuid4())
    clock, model = JumpingClock(), Model()
    callers = [StoreBreaker(books, clock), StoreBreaker(books, clock)]
    for number, step in enumerate(steps):
        caller = callers[number % 2]
        if step.isdigit():
            clock.sleep(int(step))
            continue
        if step != "fails late":
            wait = caller.allow(name)
            assert wait == model.allow(clock.now())
            if wait > 0 or step == "is killed":
                continue
        if step == "works":
            caller.succeeded(name)
            model.succeed()
        else:
            caller.failed(name, "HTTP 500")
            model.fail(clock.now())
    clock.sleep(LONGEST_OPEN_SECONDS)
    assert callers[0].allow(name) == 0
