"""What was done is undone: in reverse, once, as far as it can be, and what cannot be undone is shown to a person."""

import polars as pl
import pytest

from luxauto_pipelines.agents.registry import Call
from luxauto_pipelines.workflows.status import read_status
from luxauto_pipelines.workflows.steps import MAX_UNDO_ATTEMPTS, Fenced, Run, do_step
from resources.store import journal
from resources.store.bulk import run
from resources.store.stock import raise_alerts
from tests.peers.inline import Engine, act, calls, effects, meanwhile


def alerts(engine: Engine) -> list[tuple[str, str, str]]:
    with engine.books.read() as (connection, brand):
        rows = run(connection, "SELECT kind, status, subject FROM alerts WHERE brand_id = :brand", {"brand": brand})
        return [tuple(row) for row in rows]


def fails(name: str, *after: str) -> dict[str, object]:
    return act(name, after, point="before_effect", action="refuse")


def test_a_failure_undoes_what_was_done_in_reverse_order(engine: Engine) -> None:
    key = engine.run(act("a"), act("b", ["a"]), act("c", ["b"]), fails("d", "c"))
    workflow = engine.workflow(key)
    assert (workflow.state, workflow.rolled_back, workflow.epoch) == ("failed", True, 1)
    assert effects(key) == ["do a", "do b", "do c", "undo c", "undo b", "undo a"]
    assert set(engine.states(key).values()) == {"compensated"}


def test_the_failed_task_is_undone_too_for_its_effect_may_have_happened(engine: Engine) -> None:
    key = engine.run(act("a", point="after_effect"))
    assert effects(key) == ["do a", "undo a"]


def test_a_task_that_was_never_begun_is_not_undone(engine: Engine) -> None:
    key = engine.run(fails("a"), act("b", ["a"]))
    assert engine.states(key) == {"a": "compensated", "b": "pending"}
    assert not any("b" in line for line in calls(key))


def test_a_task_that_has_nothing_to_undo_is_kept(engine: Engine) -> None:
    key = engine.run({**act("a"), "agent_method": "look"}, fails("b", "a"))
    assert engine.state(key) == "failed"
    assert "step.kept" in engine.kinds(key)
    assert effects(key) == ["do a"]


def test_a_task_may_name_another_method_that_undoes_it(engine: Engine) -> None:
    task = {**act("a"), "agent_method": "look", "compensation_method": "undo"}
    key = engine.run(task, fails("b", "a"))
    assert effects(key) == ["do a", "undo a"]


def test_an_undoing_that_fails_is_tried_again_until_it_succeeds(engine: Engine) -> None:
    key = engine.run(act("a"), act("b", ["a"], point="before_undo", times=3), fails("c", "b"))
    assert engine.state(key) == "failed"
    assert engine.steps(key)["b"].undo_attempts == 4
    assert effects(key) == ["do a", "do b", "undo b", "undo a"]


def test_an_undoing_whose_answer_was_lost_is_undone_once(engine: Engine) -> None:
    key = engine.run(act("a", point="after_undo", times=2), fails("b", "a"))
    assert calls(key) == ["do a", "undo a", "again undo a", "again undo a"]
    assert engine.state(key) == "failed"


def test_an_undoing_goes_on_in_further_runs_after_the_attempts_of_one(engine: Engine) -> None:
    key = engine.run(act("a"), act("b", ["a"], point="before_undo", times=6), fails("c", "b"))
    assert engine.state(key) == "failed"
    assert effects(key) == ["do a", "do b", "undo b", "undo a"]
    assert "workflow.undo_continued" in engine.kinds(key)


@pytest.mark.parametrize("action", ["raise", "refuse"])
def test_what_cannot_be_undone_calls_for_a_person_and_the_rest_is_undone(engine: Engine, action: str) -> None:
    key = engine.run(
        act("a"), act("b", ["a"], point="before_undo", action=action, times=99), act("c", ["b"]), fails("d", "c")
    )
    workflow = engine.workflow(key)
    assert (workflow.state, workflow.rolled_back) == ("needs_attention", False)
    assert effects(key) == ["do a", "do b", "do c", "undo c", "undo a"]
    assert engine.states(key)["b"] == "compensation_failed"
    assert engine.steps(key)["b"].undo_attempts == (MAX_UNDO_ATTEMPTS if action == "raise" else 1)
    assert alerts(engine) == [("workflow", "open", key)]


def test_the_alert_of_a_workflow_is_none_of_the_stocks(engine: Engine) -> None:
    key = engine.run(act("a", point="before_undo", action="refuse", times=99), fails("b", "a"))
    low = pl.DataFrame({"sku": ["BAG"], "kind": ["low_stock"], "details": ["{}"]})
    with engine.books.write() as (connection, brand):
        raise_alerts(connection, brand, low)
        raise_alerts(connection, brand, low.clear())
    assert ("workflow", "open", key) in alerts(engine)
    assert read_status(engine.books, key)["state"] == "needs_attention"


def test_a_person_who_has_mended_it_lets_the_undoing_go_on(engine: Engine) -> None:
    key = engine.run(act("a"), act("b", ["a"], point="before_undo", times=MAX_UNDO_ATTEMPTS + 1), fails("c", "b"))
    assert engine.state(key) == "needs_attention"
    engine.resume(key)
    engine.settle()
    workflow = engine.workflow(key)
    assert (workflow.state, workflow.rolled_back) == ("failed", True)
    assert effects(key) == ["do a", "do b", "undo a", "undo b"]
    assert alerts(engine) == [("workflow", "resolved", key)]


def test_what_needs_attention_again_after_resuming_raises_no_second_alert(engine: Engine) -> None:
    key = engine.run(act("a", point="before_undo", action="refuse", times=99), fails("b", "a"))
    engine.resume(key)
    engine.settle()
    assert engine.state(key) == "needs_attention"
    assert len(alerts(engine)) == 1


def test_an_undoing_that_takes_too_long_is_interrupted(engine: Engine) -> None:
    key = engine.run(act("a", point="before_undo", action="sleep", timeout_seconds=0.2), fails("b", "a"))
    assert engine.state(key) == "failed"
    assert effects(key) == ["do a", "undo a"]


@pytest.mark.parametrize("point", ["before_undo", "after_undo"])
def test_a_worker_that_ends_while_undoing_is_followed_by_another(engine: Engine, point: str) -> None:
    key = engine.run(act("a"), act("b", ["a"], point=point, action="exit", times=2), fails("c", "b"))
    assert engine.state(key) == "failed"
    assert effects(key) == ["do a", "do b", "undo b", "undo a"]


def test_workers_that_always_end_while_undoing_call_for_a_person(engine: Engine) -> None:
    key = engine.run(act("a"), act("b", ["a"], point="before_undo", action="exit", times=99), fails("c", "b"))
    assert engine.state(key) == "needs_attention"
    assert engine.steps(key)["b"].state == "compensation_failed"
    assert effects(key)[-1] == "undo a"


@pytest.mark.parametrize("point", ["before_effect", "after_effect"])
def test_a_worker_that_ends_is_followed_by_another_which_takes_the_task_up_again(engine: Engine, point: str) -> None:
    key = engine.run(act("a", point=point, action="exit", times=2, retry_count=2), act("b", ["a"]))
    assert engine.state(key) == "completed"
    assert effects(key) == ["do a", "do b"]


def test_workers_that_end_at_every_attempt_fail_the_workflow_and_what_may_have_happened_is_undone(
    engine: Engine,
) -> None:
    key = engine.run(act("a"), act("b", ["a"], point="after_effect", action="exit", times=99, retry_count=1))
    assert engine.state(key) == "failed"
    assert "worker died" in str(engine.workflow(key).reason)
    assert effects(key) == ["do a", "do b", "undo b", "undo a"]


def test_workers_that_end_in_a_task_which_may_fail_let_the_workflow_complete_to_its_full_share(engine: Engine) -> None:
    key = engine.run(act("a"), act("b", ["a"], point="before_effect", action="exit", times=99, allow_failure=True))
    workflow = engine.workflow(key)
    assert (workflow.state, workflow.progress) == ("completed", 1.0)


def test_a_rolled_back_workflow_cannot_be_resumed(engine: Engine) -> None:
    key = engine.run(act("a"), fails("b", "a"))
    with pytest.raises(journal.WorkflowConflict, match="create it anew"):
        engine.resume(key)


def test_nothing_is_done_any_more_once_the_undoing_has_begun(engine: Engine) -> None:
    key = engine.begin(act("a"), fails("b", "a"), act("c", ["b"]))
    forward = engine.workflow(key)
    engine.settle()
    with pytest.raises(Fenced):
        do_step(Run(engine.books, key, forward.epoch, str(forward.run_id)), "c", last_attempt=True)
    assert effects(key) == ["do a", "undo a"]


def test_the_undoing_is_told_what_was_asked_for_and_what_came_of_it(engine: Engine) -> None:
    told: list[Call] = []
    key = engine.run(
        act("a", gives={"campaign": 7}),
        meanwhile("b", ["a"], lambda _: None, undoing=told.append, gives={"of": "${a.campaign}"}),
        fails("c", "b"),
    )
    assert len(told) == 1
    undone = told[0].undoes
    assert undone is not None and undone.result is not None
    assert (undone.key, told[0].key) == (f"{key}:b", f"{key}:b:undo")
    assert undone.parameters == {"gives": {"of": 7}}
    assert undone.result["of"] == 7
