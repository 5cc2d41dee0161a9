"""Each kind of failure has its way: who is asked next, what is written down, and who is left alone."""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from resources.images.protocol import (
    Blocked,
    Cancelled,
    Generated,
    ImageError,
    ImageRequest,
    Poisoned,
    Refused,
    SwitchedOff,
    Throttled,
    Unavailable,
    Uncertain,
)
from resources.images.service import Outcome
from resources.store import spending
from resources.store.brand_store import BrandStore
from resources.store.image_calls import CallRow, calls_of
from resources.store.limits import find_breaker
from tests.resources.channels.tools import JumpingClock
from tests.resources.images.scripted import PRICE, Scripted, model, service, wanted


def ledger(books: BrandStore, key: str = "k1") -> list[CallRow]:
    with books.read() as (connection, brand):
        return calls_of(connection, brand, key)


def spent(books: BrandStore, clock: JumpingClock) -> int:
    with books.read() as (connection, brand):
        return spending.spent(connection, brand, "images", clock.now().date())


def failures(books: BrandStore, name: str) -> int:
    with books.read() as (connection, brand):
        return find_breaker(connection, brand, f"images:{name}").failures


def rejected(outcome: Outcome) -> dict[str, str | None]:
    return {one.model: one.rejected for one in outcome.candidates}


@pytest.fixture
def clock() -> JumpingClock:
    return JumpingClock()


def test_the_best_candidate_makes_it_and_the_others_are_not_asked(books: BrandStore, clock: JumpingClock) -> None:
    one, two = Scripted("one"), Scripted("two")
    outcome = service(books, [one, two], clock=clock).make(wanted())
    assert (outcome.state, outcome.model, outcome.cost) == ("made", "one", PRICE)
    assert (len(one.calls), len(two.calls)) == (1, 0)
    assert [(a.model, a.outcome, a.cost) for a in outcome.attempts] == [("one", "made", PRICE)]
    assert [(row.state, row.cost_micros, len(row.images)) for row in ledger(books)] == [("settled", PRICE, 1)]
    assert spent(books, clock) == PRICE


def test_an_unavailable_provider_counts_against_its_breaker_and_the_next_one_makes_it(
    books: BrandStore, clock: JumpingClock
) -> None:
    one, two = Scripted("one", [Unavailable("HTTP 503", "server_error")]), Scripted("two")
    outcome = service(books, [one, two], clock=clock).make(wanted())
    assert (outcome.state, outcome.model, outcome.cost) == ("made", "two", PRICE)
    assert [(a.model, a.outcome, a.code) for a in outcome.attempts] == [
        ("one", "unavailable", "server_error"),
        ("two", "made", ""),
    ]
    assert failures(books, "one") == 1
    assert [(row.model, row.state, row.cost_micros) for row in ledger(books)] == [
        ("one", "released", 0),
        ("two", "settled", PRICE),
    ]
    assert spent(books, clock) == PRICE == one.billed + two.billed


def test_a_provider_that_fails_again_and_again_is_left_alone_and_tried_once_when_the_time_has_come(
    books: BrandStore, clock: JumpingClock
) -> None:
    down: list[ImageError] = [Unavailable("HTTP 503") for _ in range(4)]
    one, two = Scripted("one", [*down]), Scripted("two")
    made = service(books, [one, two], clock=clock, breaker_failures=3, breaker_seconds=60)
    for n in range(5):
        assert made.make(wanted(f"picture {n}", f"k{n}")).model == "two"
    assert len(one.calls) == 3
    reason = rejected(made.make(wanted("another", "k9")))["one"]
    assert reason and "has failed repeatedly, last with HTTP 503, and is left alone for 60 s" in reason
    clock.sleep(61)
    made.make(wanted("a try", "k10"))
    assert len(one.calls) == 4
    clock.sleep(121)
    assert made.make(wanted("it is back", "k11")).model == "one"
    assert failures(books, "one") == 0


def test_a_block_is_a_result_that_nobody_else_is_asked_about(books: BrandStore, clock: JumpingClock) -> None:
    refusal = Blocked("violence", "moderation_blocked", "input", ("violence",))
    one, two = Scripted("one", [refusal]), Scripted("two")
    made = service(books, [one, two], clock=clock)
    outcome = made.make(wanted("blood", "k1"))
    assert (outcome.state, outcome.error, outcome.cost) == ("blocked", "violence", 0)
    assert (outcome.attempts[0].stage, outcome.attempts[0].categories) == ("input", ("violence",))
    assert not two.calls and failures(books, "one") == 0
    assert [(row.state, row.outcome) for row in ledger(books)] == [("released", "blocked")]


def test_a_block_is_remembered_for_other_keys_sizes_and_re_rolls_and_asked_again_after_its_time(
    books: BrandStore, clock: JumpingClock
) -> None:
    one, two = Scripted("one", [Blocked("violence")]), Scripted("two")
    made = service(books, [one, two], clock=clock, blocked_hours=24)
    made.make(wanted("blood  on silk", "k1"))
    again = made.make(wanted("blood on silk", "k2"))
    larger = made.make(wanted("blood on silk", "k3", width=2048))
    rolled = made.make(wanted("blood on silk", "k4", fresh=True, seed=4))
    named = made.make(wanted("blood on silk", "k5", provider="two"))
    for outcome in (again, larger, rolled, named):
        assert (outcome.state, outcome.error, outcome.attempts[0].model) == ("blocked", "violence", "one")
    assert len(one.calls) == 1 and not two.calls
    assert "refused these words at 2026-11-22 12:00 UTC" in again.notes[0]
    clock.sleep(24 * 3600 + 1)
    assert made.make(wanted("blood on silk", "k6")).state == "made"
    assert made.make(wanted("blood on silk", "k1")).state == "blocked", "the same key brings the same for ever"


def test_a_refused_request_goes_to_the_next_and_says_nothing_about_the_provider(
    books: BrandStore, clock: JumpingClock
) -> None:
    one, two = Scripted("one", [Refused("no such size", "invalid_value")]), Scripted("two")
    outcome = service(books, [one, two], clock=clock).make(wanted())
    assert [a.outcome for a in outcome.attempts] == ["refused", "made"]
    assert failures(books, "one") == 0 and spent(books, clock) == PRICE


def test_a_throttled_provider_is_not_waited_for_while_there_is_another(books: BrandStore, clock: JumpingClock) -> None:
    one, two = Scripted("one", [Throttled("slow down", retry_after=1.0)]), Scripted("two")
    made = service(books, [one, two], clock=clock)
    outcome = made.make(wanted("first", "k1"))
    assert [a.outcome for a in outcome.attempts] == ["throttled", "made"] and not clock.slept
    assert failures(books, "one") == 0
    second = made.make(wanted("second", "k2"))
    assert (second.model, rejected(second)["one"]) == ("two", "asked to be left alone for 1.0 s")
    clock.sleep(1.1)
    assert made.make(wanted("third", "k3")).model == "one"


def test_a_throttled_provider_is_waited_for_where_it_is_the_last_and_told_a_short_time(
    books: BrandStore, clock: JumpingClock
) -> None:
    one = Scripted("one", [Throttled("slow down", retry_after=2.0)])
    outcome = service(books, [one], clock=clock, wait_seconds=5).make(wanted())
    assert [a.outcome for a in outcome.attempts] == ["throttled", "made"]
    assert 2.0 <= sum(clock.slept) <= 2.6


def test_who_comes_while_the_last_provider_asks_to_wait_waits_too(books: BrandStore, clock: JumpingClock) -> None:
    one = Scripted("one", [Throttled("slow down", retry_after=2.0)])
    first = service(books, [one], clock=clock, wait_seconds=0)
    assert (outcome := first.make(wanted())).state == "failed"
    assert "longer than is waited for" in (outcome.error or "")
    second = service(books, [one], clock=clock, wait_seconds=5).make(wanted("another", "k2"))
    assert second.state == "made" and sum(clock.slept) >= 2.0


def test_a_long_wait_is_not_waited_for(books: BrandStore, clock: JumpingClock) -> None:
    one = Scripted("one", [Throttled("slow down", retry_after=600.0)])
    outcome = service(books, [one], clock=clock).make(wanted())
    assert (outcome.state, outcome.code, len(one.calls)) == ("failed", "no_candidate", 1)
    assert not clock.slept and "600 s" in (rejected(outcome)["one"] or "")


def test_a_provider_that_always_asks_to_wait_is_asked_no_more_than_attempts_allow(
    books: BrandStore, clock: JumpingClock
) -> None:
    one = Scripted("one", [Throttled("slow down", retry_after=0.5) for _ in range(99)])
    outcome = service(books, [one], clock=clock, attempts=4).make(wanted())
    assert (outcome.state, outcome.code, len(one.calls)) == ("failed", "attempts", 4)
    assert spent(books, clock) == 0


def test_a_switched_off_provider_is_left_alone_with_all_that_its_key_opens_until_the_key_changes(
    books: BrandStore, clock: JumpingClock
) -> None:
    models = [model("one", 0.9, provider="vendor"), model("other", 0.85, provider="vendor"), model("two", 0.5)]
    off = SwitchedOff("credit is used up", "insufficient_quota")
    one, other, two = Scripted("one", [off]), Scripted("other"), Scripted("two")
    marks = {"one": "aaaa", "other": "aaaa"}
    made = service(books, [one, other, two], models, clock, marks)
    outcome = made.make(wanted("first", "k1"))
    assert [(a.model, a.outcome) for a in outcome.attempts] == [("one", "switched_off"), ("two", "made")]
    later = made.make(wanted("second", "k2"))
    assert later.model == "two" and len(one.calls) == 1 and not other.calls
    assert "is switched off (insufficient_quota: credit is used up): it is asked again in 30 min" in str(
        rejected(later)["other"]
    )
    changed = service(books, [one, other, two], models, clock, {"one": "bbbb", "other": "bbbb"})
    assert changed.make(wanted("third", "k3")).model == "one"
    clock.sleep(30 * 60 + 1)
    assert made.make(wanted("fourth", "k4")).model == "one"


def test_a_model_that_is_gone_is_left_alone_without_the_others_of_its_provider(
    books: BrandStore, clock: JumpingClock
) -> None:
    models = [model("one", 0.9, provider="vendor"), model("other", 0.85, provider="vendor")]
    one, other = Scripted("one", [SwitchedOff("no such model", "model_not_found")]), Scripted("other")
    made = service(books, [one, other], models, clock)
    assert made.make(wanted("first", "k1")).model == "other"
    assert made.make(wanted("second", "k2")).model == "other" and len(one.calls) == 1


def test_a_lost_answer_counts_as_paid_and_is_tried_once_more_elsewhere_and_no_more(
    books: BrandStore, clock: JumpingClock
) -> None:
    lost = [Uncertain("reset after it was sent", "timed_out") for _ in range(2)]
    one, two, three = Scripted("one", [lost[0]]), Scripted("two", [lost[1]]), Scripted("three")
    made = service(books, [one, two, three], clock=clock)
    outcome = made.make(wanted())
    assert (outcome.state, outcome.code) == ("failed", "uncertain")
    assert [(a.model, a.outcome, a.cost) for a in outcome.attempts] == [
        ("one", "uncertain", PRICE),
        ("two", "uncertain", PRICE),
    ]
    assert not three.calls and failures(books, "one") == failures(books, "two") == 1
    assert [(row.state, row.cost_micros) for row in ledger(books)] == [("uncertain", PRICE)] * 2
    assert spent(books, clock) == 2 * PRICE == outcome.cost
    again = made.make(wanted())
    assert (again.code, len(one.calls) + len(two.calls) + len(three.calls)) == ("uncertain", 2)


def test_one_lost_answer_is_made_good_by_another_provider(books: BrandStore, clock: JumpingClock) -> None:
    one, two = Scripted("one", [Uncertain("reset")]), Scripted("two")
    outcome = service(books, [one, two], clock=clock).make(wanted())
    assert (outcome.state, outcome.model, outcome.cost) == ("made", "two", 2 * PRICE)
    assert len(one.calls) == 1


def test_elsewhere_is_another_provider_rather_than_another_model_of_the_same(
    books: BrandStore, clock: JumpingClock
) -> None:
    models = [model("one", 0.9, provider="vendor"), model("other", 0.85, provider="vendor"), model("two", 0.3)]
    providers = [Scripted("one", [Uncertain("reset")]), Scripted("other"), Scripted("two")]
    outcome = service(books, providers, models, clock).make(wanted())
    assert [(a.model, a.outcome) for a in outcome.attempts] == [("one", "uncertain"), ("two", "made")]


def test_a_filter_that_bills_what_it_refuses_is_paid(books: BrandStore, clock: JumpingClock) -> None:
    refusal = Blocked("it refused", "refusal", "output")
    refusal.__dict__["cost"] = 1_200
    outcome = service(books, [Scripted("one", [refusal])], clock=clock).make(wanted())
    assert (outcome.state, outcome.cost, spent(books, clock)) == ("blocked", 1_200, 1_200)
    assert [(row.state, row.outcome) for row in ledger(books)] == [("settled", "blocked")]


def test_a_lost_answer_with_nobody_else_to_ask_is_not_asked_for_again_under_the_same_key(
    books: BrandStore, clock: JumpingClock
) -> None:
    one = Scripted("one", [Uncertain("reset")])
    made = service(books, [one], clock=clock)
    assert made.make(wanted()).code == "uncertain"
    again = made.make(wanted())
    assert again.state == "failed" and len(one.calls) == 1
    assert "may have been made and billed" in str(rejected(again)["one"])


def test_a_provider_that_knows_keys_is_asked_for_its_lost_answer_and_that_call_is_settled(
    books: BrandStore, clock: JumpingClock
) -> None:
    one = Scripted("one", [Uncertain("timed out")], cost=30_000, estimated=PRICE)
    models = [model("one", supports=["keys"])]
    made = service(books, [one], models, clock)
    assert made.make(wanted()).code == "uncertain" and spent(books, clock) == PRICE
    outcome = made.make(wanted())
    assert (outcome.state, outcome.cost, one.calls[0][0]) == ("made", 30_000, one.calls[1][0])
    assert [(row.state, row.cost_micros) for row in ledger(books)] == [("settled", 30_000)]
    assert spent(books, clock) == 30_000 == one.billed


def test_a_poisoned_answer_is_paid_and_counts_against_the_breaker(books: BrandStore, clock: JumpingClock) -> None:
    one, two = Scripted("one", [Poisoned("no image", "empty_data", 41_000)]), Scripted("two")
    outcome = service(books, [one, two], clock=clock).make(wanted())
    assert (outcome.model, outcome.cost, failures(books, "one")) == ("two", 41_000 + PRICE, 1)
    assert [(row.state, row.outcome, row.cost_micros) for row in ledger(books)] == [
        ("settled", "poisoned", 41_000),
        ("settled", "made", PRICE),
    ]
    assert spent(books, clock) == one.billed + two.billed


def test_an_answer_without_a_picture_is_poisoned_though_the_adapter_did_not_say_so(
    books: BrandStore, clock: JumpingClock
) -> None:
    one, two = Scripted("one", [lambda request: Generated((), "one", 7)]), Scripted("two")
    outcome = service(books, [one, two], clock=clock).make(wanted())
    assert [(a.outcome, a.cost) for a in outcome.attempts] == [("poisoned", 7), ("made", PRICE)]


def test_a_cancelled_request_ends_and_costs_nothing(books: BrandStore, clock: JumpingClock) -> None:
    one, two = Scripted("one", [Cancelled("not wanted")]), Scripted("two")
    outcome = service(books, [one, two], clock=clock).make(wanted())
    assert (outcome.state, outcome.code, outcome.cost) == ("failed", "cancelled", 0)
    assert not two.calls and spent(books, clock) == 0


def test_nobody_is_asked_for_what_is_not_wanted_any_more(books: BrandStore, clock: JumpingClock) -> None:
    one = Scripted("one")
    outcome = service(books, [one], clock=clock).make(wanted(), lambda: True)
    assert (outcome.code, one.calls) == ("cancelled", [])


def test_an_adapter_that_breaks_leaves_no_call_open(books: BrandStore, clock: JumpingClock) -> None:
    def broken(request: object) -> Generated:
        raise KeyError("data")

    one, two = Scripted("one", [broken]), Scripted("two")
    outcome = service(books, [one, two], clock=clock).make(wanted())
    assert [(a.outcome, a.code) for a in outcome.attempts] == [("uncertain", "KeyError"), ("made", "")]
    assert spent(books, clock) == 2 * PRICE


def test_an_interrupted_call_is_written_down_as_lost(books: BrandStore, clock: JumpingClock) -> None:
    def interrupted(request: object) -> Generated:
        raise KeyboardInterrupt

    made = service(books, [Scripted("one", [interrupted])], clock=clock)
    with pytest.raises(KeyboardInterrupt):
        made.make(wanted())
    assert [(row.state, row.code) for row in ledger(books)] == [("uncertain", "interrupted")]


def test_who_cannot_say_what_it_costs_is_not_asked_and_does_not_stop_the_others(
    books: BrandStore, clock: JumpingClock
) -> None:
    class Priceless(Scripted):
        def estimate(self, request: ImageRequest) -> int:
            raise KeyError("ultra")

    one, two = Priceless("one"), Scripted("two")
    outcome = service(books, [one, two], clock=clock).make(wanted())
    assert (outcome.model, one.calls) == ("two", [])
    assert "its price for this is not known" in (rejected(outcome)["one"] or "")


def test_no_more_calls_are_made_than_attempts_allow(books: BrandStore, clock: JumpingClock) -> None:
    providers = [Scripted(f"p{n}", [Unavailable("HTTP 500")]) for n in range(6)]
    outcome = service(books, providers, clock=clock, attempts=3).make(wanted())
    assert (outcome.code, sum(len(one.calls) for one in providers)) == ("attempts", 3)
    assert "p2: HTTP 500" in (outcome.error or "")


def test_the_dearer_candidate_is_passed_over_where_only_the_cheaper_one_is_within_the_budget(
    books: BrandStore, clock: JumpingClock
) -> None:
    one, two = Scripted("one", cost=2_000_000), Scripted("two", cost=10_000)
    outcome = service(books, [one, two], clock=clock, budget_usd_per_day=1).make(wanted())
    assert outcome.model == "two" and "1.0000 USD of the budget of the day" in str(rejected(outcome)["one"])


def test_what_nobody_may_pay_for_any_more_says_which_budget_is_used_up(books: BrandStore, clock: JumpingClock) -> None:
    made = service(books, [Scripted("one")], clock=clock, budget_usd_per_campaign=0.06)
    assert made.make(wanted("first", "k1", campaign="autumn")).state == "made"
    outcome = made.make(wanted("second", "k2", campaign="autumn"))
    assert (outcome.state, outcome.code) == ("failed", "budget")
    assert "the budget of the campaign autumn" in (outcome.error or "")
    assert made.make(wanted("second", "k3", campaign="winter")).state == "made"
    clock.sleep(86_400)
    assert made.make(wanted("third", "k4", campaign="autumn")).code == "budget", "a campaign's is not a day's"


ERRORS = st.sampled_from(
    [
        "made",
        "made",
        "blocked",
        "refused",
        "throttled",
        "unavailable",
        "switched_off",
        "uncertain",
        "poisoned",
        "broken",
    ]
)


def step(what: str) -> ImageError | Callable[[ImageRequest], Generated] | None:
    def broken(request: ImageRequest) -> Generated:
        raise KeyError("data")

    return {
        "made": None,
        "blocked": Blocked("violence"),
        "refused": Refused("no such size"),
        "throttled": Throttled("slow down", retry_after=1.0),
        "unavailable": Unavailable("HTTP 503"),
        "switched_off": SwitchedOff("no credit", "insufficient_quota"),
        "uncertain": Uncertain("reset"),
        "poisoned": Poisoned("no image", cost=PRICE // 2),
        "broken": broken,
    }[what]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    scripts=st.lists(st.lists(ERRORS, max_size=12), min_size=3, max_size=3),
    asked=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 5), st.integers(0, 70)), min_size=1, max_size=12),
    budget=st.integers(1, 12),
)
def test_whatever_providers_do_budgets_hold_bills_are_counted_and_each_key_is_paid_once(
    books: BrandStore, scripts: list[list[str]], asked: list[tuple[int, int, int]], budget: int
) -> None:
    with books.write() as (connection, _):
        for table in ("image_calls", "image_cache", "image_flights", "spending", "circuit_breakers"):
            connection.execute(text(f"DELETE FROM {table}"))
    clock = JumpingClock()
    providers = [Scripted(f"p{n}", [step(what) for what in script]) for n, script in enumerate(scripts)]
    made = service(books, providers, clock=clock, budget_usd_per_day=budget * PRICE / 1e6)
    brought: dict[str, Outcome] = {}
    refused: set[str] = set()
    for prompt, key, seconds in asked:
        before = sum(len(one.calls) for one in providers)
        outcome = made.make(wanted(f"motif {prompt}", f"k{key}"))
        calls = sum(len(one.calls) for one in providers) - before
        assert calls <= 5 and (outcome.state == "made") == bool(outcome.images)
        assert outcome.state == "made" or outcome.error
        if f"k{key}" in brought:
            assert calls == 0 and outcome.images == brought[f"k{key}"].images
        elif f"motif {prompt}" in refused:
            assert calls == 0 and outcome.state == "blocked"
        if outcome.state == "made" and not outcome.cached:
            brought.setdefault(f"k{key}", outcome)
        if outcome.state == "blocked" and calls:
            refused.add(f"motif {prompt}")
        clock.sleep(seconds)
    rows = [row for key in range(6) for row in ledger(books, f"k{key}")]
    lost = sum(row.counted for row in rows if row.state == "uncertain")
    assert spent(books, clock) == sum(row.counted for row in rows) <= budget * PRICE
    assert spent(books, clock) == sum(one.billed for one in providers) + lost
    for key in range(6):
        states = [row.state for row in rows if row.key == f"k{key}"]
        assert states.count("uncertain") <= 2 and "reserved" not in states
        assert sum(row.outcome == "made" for row in rows if row.key == f"k{key}") <= 1


def test_what_is_told_of_a_call_names_no_row_of_another_brand(books: BrandStore, clock: JumpingClock) -> None:
    service(books, [Scripted("one")], clock=clock).make(wanted())
    with books.read() as (connection, brand):
        rows = connection.execute(text("SELECT brand_id, principal, images FROM image_calls")).all()
    assert [tuple(row) for row in rows] == [(brand, "system", 1)]
