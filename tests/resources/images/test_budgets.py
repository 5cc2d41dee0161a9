"""Budgets hold whatever happens between a reservation and its end, and the calls always add up to what they say is spent."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resources.images.budgets import CAMPAIGN_DAY, BudgetReached, Budgets, principal_of, today
from resources.images.policy import ImagePolicy
from resources.store import spending
from resources.store.brand_store import BrandStore
from resources.store.bulk import as_instant, run
from resources.store.image_calls import Call, CallRow, Ended, calls_of, counted, find_call
from tests.resources.channels.tools import JumpingClock
from tests.resources.images.scripted import PRICE, Scripted, service, wanted

ROOT = Path(__file__).parents[3]
DAY, CAMPAIGN = 1_000_000, 400_000
POLICY = ImagePolicy(budget_usd_per_day=DAY / 1e6, budget_usd_per_campaign=CAMPAIGN / 1e6)
# Opens the store by itself, and reserves and settles as fast as it can until nothing is left.
SPENDER = """
import sys
from resources.channels.transport import Clock
from resources.images.budgets import BudgetReached, Budgets, today
from resources.images.policy import ImagePolicy
from resources.settings import load_settings
from resources.store import open_store
from resources.store.brand_store import BrandStore
from resources.store.image_calls import Call, Ended

settings = load_settings()
books, clock = BrandStore(settings, open_store(settings.database_url)), Clock()
budgets = Budgets(books, clock, ImagePolicy(budget_usd_per_day=0.5))
print("ready", flush=True)
sys.stdin.readline()
paid = 0
while True:
    call = Call(sys.argv[1], "vendor", "model", "c", 9_000, today(clock), clock.now())
    try:
        number = budgets.reserve(call)
    except BudgetReached:
        break
    budgets.settle(number, Ended("settled", "made", 7_000))
    paid += 7_000
print(paid, flush=True)
"""
# Asks for a picture and stands still in the middle of the call, until it is killed.
STUCK = """
import sys, time
from pathlib import Path
from resources.settings import load_settings
from resources.store import open_store
from resources.store.brand_store import BrandStore
from tests.resources.images.scripted import Scripted, service, wanted

def stand_still():
    print("calling", flush=True)
    while True:
        time.sleep(60)

settings = load_settings()
books = BrandStore(settings, open_store(settings.database_url))
provider = Scripted("one", before=stand_still, log=Path(sys.argv[1]))
service(books, [provider], lease_seconds=2).make(wanted("a bag", "killed", campaign="autumn"))
"""


@pytest.fixture
def clock() -> JumpingClock:
    return JumpingClock()


def a_call(clock: JumpingClock, micros: int, campaign: str | None = None, key: str = "k") -> Call:
    return Call(key, "vendor", "model", "content", micros, today(clock), clock.now(), campaign=campaign)


def row_of(books: BrandStore, number: int) -> CallRow:
    with books.read() as (connection, brand):
        row = find_call(connection, brand, number)
    assert row is not None
    return row


def assert_sums_agree(books: BrandStore, days: Sequence[date], campaigns: Sequence[str] = ("autumn",)) -> None:
    with books.read() as (connection, brand):
        for day in days:
            assert counted(connection, brand, day=day) == spending.spent(connection, brand, "images", day)
        for campaign in campaigns:
            spent = spending.spent(connection, brand, principal_of(campaign), CAMPAIGN_DAY)
            assert counted(connection, brand, campaign=campaign) == spent


def clear(books: BrandStore) -> None:
    with books.write() as (connection, _):
        for table in ("image_calls", "spending"):
            run(connection, f"DELETE FROM {table}")


# Amounts of which a few reach a ceiling, exactly or by one too much.
AMOUNTS = st.sampled_from([100_000, 133_334, 200_000, 250_001, 399_999, 400_000]) | st.integers(0, 300_000)
RESERVE = st.tuples(st.just("reserve"), AMOUNTS, st.sampled_from(["autumn", "autumn", "winter", None]))
STEPS = st.lists(
    st.one_of(
        RESERVE,
        RESERVE,
        RESERVE,
        st.tuples(st.just("settle"), st.integers(0, 20), st.floats(0, 1)),
        st.tuples(st.just("release"), st.integers(0, 20), st.none()),
        st.tuples(st.just("lose"), st.integers(0, 20), st.none()),
        st.tuples(st.just("crash"), st.integers(0, 20), st.none()),
        st.tuples(st.just("sweep"), st.none(), st.none()),
        st.tuples(st.just("midnight"), st.none(), st.none()),
    ),
    min_size=4,
    max_size=30,
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_budgets_hold_and_calls_add_up_whatever_happens_in_which_order(books: BrandStore, steps: list) -> None:
    clear(books)
    clock = JumpingClock()
    budgets, days = Budgets(books, clock, POLICY), {today(clock)}
    open_calls: list[tuple[int, int]] = []
    begun: list[int] = []
    for what, first, second in steps:
        if what == "reserve":
            before = budgets.room(second)
            try:
                number = budgets.reserve(a_call(clock, first, second))
            except BudgetReached:
                left = before.day if before.campaign is None else min(before.day, before.campaign)
                assert first > left and budgets.room(second) == before
            else:
                open_calls.append((number, first))
                begun.append(number)
        elif what == "sweep":
            clock.sleep(3601)
            budgets.sweep()
        elif what == "midnight":
            clock.sleep(86_400)
        elif open_calls:
            number, reserved = open_calls[first % len(open_calls)]
            if what == "settle":
                actual = round(reserved * second)
                budgets.settle(number, Ended("settled", "made", actual))
            elif what == "release":
                budgets.settle(number, Ended("released", "unavailable", 0))
            elif what == "lose":
                budgets.settle(number, Ended("uncertain", "uncertain", 0))
            open_calls = [one for one in open_calls if one[0] != number or what == "lose"]
        days.add(today(clock))
        for day in days:
            with books.read() as (connection, brand):
                assert 0 <= spending.spent(connection, brand, "images", day) <= DAY
        for campaign in ("autumn", "winter"):
            with books.read() as (connection, brand):
                assert 0 <= spending.spent(connection, brand, principal_of(campaign), CAMPAIGN_DAY) <= CAMPAIGN
        assert_sums_agree(books, sorted(days), ("autumn", "winter"))
    clock.sleep(3601)
    budgets.sweep()
    paid = sum(row_of(books, number).counted for number in begun)
    with books.read() as (connection, brand):
        assert paid == sum(spending.spent(connection, brand, "images", day) for day in days)
    assert all(row_of(books, number).state != "reserved" for number in begun)


def test_a_refused_reservation_leaves_no_trace_in_the_other_budget(books: BrandStore, clock: JumpingClock) -> None:
    budgets = Budgets(books, clock, POLICY)
    with pytest.raises(BudgetReached, match=r"0\.5000 USD and 0\.4000 USD of the budget of the campaign autumn"):
        budgets.reserve(a_call(clock, 500_000, "autumn"))
    assert budgets.room("autumn").day == DAY and budgets.room("autumn").campaign == CAMPAIGN
    with books.read() as (connection, brand):
        assert calls_of(connection, brand, "k") == []


def test_a_campaign_of_its_own_budget_has_that(books: BrandStore, clock: JumpingClock) -> None:
    policy = ImagePolicy(budget_usd_per_campaign=1, budget_usd_by_campaign={"gala": 5})
    budgets = Budgets(books, clock, policy)
    assert (budgets.room("gala").campaign, budgets.room("autumn").campaign) == (5_000_000, 1_000_000)


def test_a_call_is_settled_once(books: BrandStore, clock: JumpingClock) -> None:
    budgets = Budgets(books, clock, POLICY)
    number = budgets.reserve(a_call(clock, 100_000))
    assert budgets.settle(number, Ended("settled", "made", 60_000))
    assert not budgets.settle(number, Ended("released", "unavailable", 0))
    assert budgets.room().day == DAY - 60_000 and row_of(books, number).cost_micros == 60_000


def test_more_than_was_reserved_is_written_down_as_it_was_billed(books: BrandStore, clock: JumpingClock) -> None:
    budgets = Budgets(books, clock, POLICY)
    budgets.settle(budgets.reserve(a_call(clock, 900_000)), Ended("settled", "made", 1_200_000))
    assert budgets.room().day == -200_000
    assert_sums_agree(books, [today(clock)])
    with pytest.raises(BudgetReached, match=r"0\.0000 USD of the budget of the day"):
        budgets.reserve(a_call(clock, 1))


def test_what_is_swept_counts_as_paid_and_a_process_that_lived_after_all_still_settles_it(
    books: BrandStore, clock: JumpingClock
) -> None:
    budgets = Budgets(books, clock, POLICY)
    number = budgets.reserve(a_call(clock, 100_000))
    clock.sleep(3500)
    assert budgets.sweep() == 0
    clock.sleep(200)
    assert (budgets.sweep(), budgets.sweep()) == (1, 0)
    assert (row_of(books, number).state, row_of(books, number).cost_micros) == ("uncertain", 100_000)
    assert budgets.room().day == DAY - 100_000
    assert budgets.settle(number, Ended("settled", "made", 40_000))
    assert budgets.room().day == DAY - 40_000


def test_the_day_that_a_call_began_on_pays_for_it(books: BrandStore, clock: JumpingClock) -> None:
    budgets = Budgets(books, clock, POLICY)
    yesterday = today(clock)
    number = budgets.reserve(a_call(clock, 100_000))
    clock.sleep(86_400)
    budgets.settle(number, Ended("settled", "made", 30_000))
    assert budgets.room().day == DAY
    with books.read() as (connection, brand):
        assert spending.spent(connection, brand, "images", yesterday) == 30_000


def test_processes_that_hammer_one_budget_never_pass_it_together(books: BrandStore) -> None:
    with books.write():
        pass
    command = [sys.executable, "-c", SPENDER]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": ROOT}
    processes = [subprocess.Popen([*command, f"p{n}"], **pipes) for n in range(2)]
    try:
        for process in processes:
            assert process.stdout and process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin
            process.stdin.write("go\n")
            process.stdin.flush()
        paid = [int(process.stdout.readline()) for process in processes if process.stdout]
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    with books.read() as (connection, brand):
        spent = run(connection, "SELECT spent_micros FROM spending WHERE principal = 'images'").scalar_one()
        assert counted(connection, brand) == spent == sum(paid)
    assert 500_000 - 9_000 - 7_000 < spent <= 500_000


def test_a_process_killed_between_reserving_and_settling_leaves_a_call_that_is_swept_and_stays_paid(
    books: BrandStore, tmp_path: Path
) -> None:
    with books.write():
        pass
    log = tmp_path / "calls"
    process = subprocess.Popen(
        [sys.executable, "-c", STUCK, str(log)], stdout=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ}
    )
    try:
        assert process.stdout and process.stdout.readline() == "calling\n"
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    with books.read() as (connection, brand):
        (row,) = calls_of(connection, brand, "killed")
    assert (row.state, row.counted, row.campaign) == ("reserved", PRICE, "autumn")
    later = JumpingClock(_started(books, row.id) + timedelta(hours=2))
    one, two = Scripted("one"), Scripted("two")
    made = service(books, [one, two], clock=later)
    assert (made.sweep(), made.sweep()) == (1, 0)
    assert (row_of(books, row.id).state, row_of(books, row.id).cost_micros) == ("uncertain", PRICE)
    assert_sums_agree(books, [row.day])
    outcome = made.make(wanted("a bag", "killed", campaign="autumn"))
    assert (outcome.state, outcome.model, outcome.cost) == ("made", "two", 2 * PRICE)
    assert not one.calls, "what may have been made and billed is not asked of the same provider again"
    assert log.read_text() == "one killed\n"


def test_the_same_key_takes_over_from_a_killed_process_as_soon_as_its_lease_has_lapsed(
    books: BrandStore, tmp_path: Path
) -> None:
    with books.write():
        pass
    process = subprocess.Popen(
        [sys.executable, "-c", STUCK, str(tmp_path / "calls")], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    try:
        assert process.stdout and process.stdout.readline() == "calling\n"
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    one, two = Scripted("one"), Scripted("two")
    outcome = service(books, [one, two]).make(wanted("a bag", "killed", campaign="autumn"))
    assert (outcome.state, outcome.model, len(one.calls)) == ("made", "two", 0)
    with books.read() as (connection, brand):
        states = [(row.model, row.state) for row in calls_of(connection, brand, "killed")]
    assert states == [("one", "uncertain"), ("two", "settled")]
    assert outcome.cost == 2 * PRICE


def _started(books: BrandStore, number: int) -> datetime:
    with books.read() as (connection, _):
        return as_instant(run(connection, "SELECT started_at FROM image_calls WHERE id = :id", {"id": number}).scalar())
