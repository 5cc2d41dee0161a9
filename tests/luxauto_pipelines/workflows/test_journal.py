"""The journal on both databases: what is written comes back, and of two who write one changes nothing."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from resources.store import journal
from resources.store.brand_store import BrandStore

SPEC = {"name": "Lancement d’été", "type": "custom", "tasks": [{"name": "a", "deep": [1, None, {"x": "ü"}]}]}


def make(
    books: BrandStore, owner: str = "anna", steps: tuple[tuple[str, float], ...] = (("a", 1.0),)
) -> journal.Workflow:
    with books.write() as (connection, brand):
        return journal.create(connection, brand, f"wf_{uuid.uuid4().hex}", SPEC, owner, steps)


def test_a_workflow_comes_back_as_it_was_written(books: BrandStore) -> None:
    before = datetime.now(UTC)
    made = make(books, steps=(("z", 2.0), ("a", 1.0)))
    with books.read() as (connection, brand):
        found = journal.find(connection, brand, made.key)
        steps = journal.steps(connection, made.id)
    assert found == made
    assert (found.spec, found.owner, found.state, found.epoch, found.rolled_back) == (SPEC, "anna", "pending", 0, False)
    assert before - timedelta(seconds=1) <= found.created_at <= datetime.now(UTC)
    assert [(step.name, step.weight, step.state) for step in steps] == [("z", 2.0, "pending"), ("a", 1.0, "pending")]


def test_a_change_that_expects_another_state_writes_nothing(books: BrandStore) -> None:
    made = make(books)
    with books.write() as (connection, _):
        assert journal.change(connection, made, kind="workflow.started", state="running", segment=1)
        for stale in (made, replace(made, state="running"), replace(made, state="running", segment=1, epoch=1)):
            assert not journal.change(connection, stale, kind="workflow.failed", state="failed")
    with books.read() as (connection, brand):
        assert journal.find(connection, brand, made.key).state == "running"
        assert [event.kind for event in journal.events(connection, made.id)] == ["workflow.created", "workflow.started"]


def test_a_change_and_its_event_are_kept_together_or_not_at_all(books: BrandStore) -> None:
    made = make(books)
    with pytest.raises(RuntimeError), books.write() as (connection, _):
        journal.change(connection, made, kind="workflow.started", state="running")
        raise RuntimeError
    with books.read() as (connection, brand):
        assert journal.find(connection, brand, made.key).state == "pending"
        assert len(journal.events(connection, made.id)) == 1


def test_instants_and_results_come_back_as_such(books: BrandStore) -> None:
    made = make(books)
    now = datetime.now(UTC)
    result: dict[str, Any] = {"id": 7, "rows": [{"é": None}], "text": "a'b\"c"}
    with books.write() as (connection, _):
        journal.change_step(connection, made.id, "a", state="done", result=result, ended_at=now)
        journal.change(connection, made, kind="x", started_at=now)
    with books.read() as (connection, brand):
        step = journal.steps(connection, made.id)[0]
        assert journal.find(connection, brand, made.key).started_at == now
    assert (step.result, step.ended_at) == (result, now)


def test_events_are_numbered_by_workflow(books: BrandStore) -> None:
    first, second = make(books), make(books)
    with books.write() as (connection, _):
        for workflow in (first, second, first):
            journal.emit(connection, workflow.id, "note", "a", {"n": 1})
    with books.read() as (connection, _):
        assert [event.sequence for event in journal.events(connection, first.id)] == [1, 2, 3]
        assert [event.sequence for event in journal.events(connection, second.id)] == [1, 2]
        assert journal.events(connection, first.id)[1].details == {"n": 1}


def test_a_share_of_progress_never_falls(books: BrandStore) -> None:
    made = make(books, steps=(("a", 3.0), ("b", 1.0)))
    seen = []
    for name, state in (("a", "done"), ("a", "compensating"), ("b", "failed_allowed"), ("a", "done")):
        with books.write() as (connection, brand):
            journal.change_step(connection, made.id, name, state=state)
            journal.raise_progress(connection, made.id)
            seen.append(journal.find(connection, brand, made.key).progress)
    assert seen == [0.75, 0.75, 0.75, 1.0]


def test_the_newest_workflows_come_page_by_page_and_by_owner(books: BrandStore) -> None:
    made = [make(books, owner) for owner in ("anna", "bert", "anna")]
    with books.read() as (connection, brand):
        page = journal.newest(connection, brand, 2)
        rest = journal.newest(connection, brand, 2, before=page[-1].id)
        annas = journal.newest(connection, brand, 9, owner="anna")
    assert [w.key for w in [*page, *rest]] == [w.key for w in reversed(made)]
    assert [w.key for w in annas] == [made[2].key, made[0].key]


def test_only_workflows_that_have_begun_and_not_ended_are_active(books: BrandStore) -> None:
    made = {state: make(books) for state in (*journal.ACTIVE, *journal.ENDED, "pending")}
    with books.write() as (connection, brand):
        for state, workflow in made.items():
            journal.change(connection, workflow, kind="x", state=state)
        assert journal.counts(connection, brand) == dict.fromkeys(made, 1)
    with books.read() as (connection, brand):
        found = journal.active(connection, brand, 3)
        found += journal.active(connection, brand, 9, found[-1][0])
    assert [key for _, key in found] == [made[state].key for state in journal.ACTIVE]


def test_a_workflow_of_another_brand_is_not_there(books: BrandStore) -> None:
    made = make(books)
    other = BrandStore(books.settings.model_copy(update={"brand": "another"}), books.store)
    with other.write() as (connection, brand), pytest.raises(journal.UnknownWorkflow):
        journal.find(connection, brand, made.key)


def test_a_question_is_asked_and_answered_once(books: BrandStore) -> None:
    made = make(books)
    with books.write() as (connection, brand):
        first = journal.ask(connection, brand, made, "a", "Go?", None)
        assert journal.ask(connection, brand, made, "a", "Go on?", None) == first
        assert journal.decide(connection, brand, first, "approved", "bert", "yes")
        assert not journal.decide(connection, brand, first, "rejected", "carl")
        answered = journal.approvals(connection, brand, number=first.id)
    assert [(a.state, a.decided_by, a.comment, a.owner) for a in answered] == [("approved", "bert", "yes", "anna")]


def test_an_answer_that_was_no_can_be_withdrawn_and_a_yes_cannot(books: BrandStore) -> None:
    made = make(books, steps=(("a", 1.0), ("b", 1.0)))
    with books.write() as (connection, brand):
        for step, state in (("a", "rejected"), ("b", "approved")):
            journal.decide(connection, brand, journal.ask(connection, brand, made, step, "Go?", None), state, "bert")
            journal.withdraw_answer(connection, made.id, step)
        assert [a.step for a in journal.approvals(connection, brand, workflow=made.key)] == ["b"]
