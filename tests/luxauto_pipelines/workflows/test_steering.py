"""Pausing, resuming and cancelling, in every state a workflow can be in."""

import pytest

from luxauto_pipelines.workflows import runs
from luxauto_pipelines.workflows.steps import workflow_lock
from resources.store import journal
from tests.peers.inline import Engine, act, calls, effects, gate, meanwhile


def test_a_paused_workflow_ends_the_task_under_way_and_starts_no_further_one(engine: Engine) -> None:
    key = engine.begin(meanwhile("a", [], lambda _: engine.pause(key)), act("b", ["a"]))
    engine.settle()
    assert engine.state(key) == "paused"
    assert engine.states(key) == {"a": "done", "b": "pending"}
    engine.resume(key)
    engine.settle()
    assert engine.state(key) == "completed"
    assert calls(key) == ["do a", "do b"]


def test_a_workflow_paused_in_the_queue_does_nothing_until_it_is_resumed(engine: Engine) -> None:
    key = engine.begin(act("a"))
    engine.pause(key)
    engine.settle()
    assert (engine.state(key), effects(key)) == ("paused", [])
    engine.resume(key)
    engine.settle()
    assert (engine.state(key), effects(key)) == ("completed", ["do a"])


def test_a_workflow_paused_and_resumed_in_the_queue_runs_as_if_nothing_had_been(engine: Engine) -> None:
    key = engine.begin(act("a"))
    engine.pause(key)
    engine.resume(key)
    engine.settle()
    assert (engine.state(key), effects(key)) == ("completed", ["do a"])
    assert len(engine.instance.get_runs()) == 1


def test_a_workflow_resumed_while_its_run_still_works_goes_on_when_that_is_over(engine: Engine) -> None:
    def pause_and_resume(_: object) -> None:
        engine.pause(key)
        engine.resume(key)

    key = engine.begin(meanwhile("a", [], pause_and_resume), act("b", ["a"]))
    engine.settle()
    assert engine.state(key) == "completed"
    assert calls(key) == ["do a", "do b"]


def test_a_workflow_paused_during_its_last_task_is_completed(engine: Engine) -> None:
    key = engine.begin(meanwhile("a", [], lambda _: engine.pause(key)))
    engine.settle()
    assert engine.state(key) == "completed"


def test_a_task_that_fails_during_a_pause_fails_the_workflow(engine: Engine) -> None:
    key = engine.begin(
        act("x"),
        meanwhile("a", ["x"], lambda _: engine.pause(key), point="after_effect", action="refuse"),
        act("b", ["a"]),
    )
    engine.settle()
    assert engine.state(key) == "failed"
    assert effects(key) == ["do x", "do a", "undo a", "undo x"]


def test_pausing_twice_is_pausing_once(engine: Engine) -> None:
    key = engine.run(gate("g"))
    engine.pause(key)
    assert engine.pause(key).state == "paused"
    assert engine.kinds(key).count("workflow.paused") == 1


@pytest.mark.parametrize("deed", ["pause", "resume", "cancel"])
def test_what_has_ended_cannot_be_steered(engine: Engine, deed: str) -> None:
    key = engine.run(act("a"))
    with pytest.raises(journal.WorkflowConflict, match="completed"):
        getattr(engine, deed)(key)


def test_what_has_not_begun_can_be_neither_paused_nor_resumed(engine: Engine) -> None:
    key = engine.create(act("a"))
    for deed in (engine.pause, engine.resume):
        with pytest.raises(journal.WorkflowConflict, match="pending"):
            deed(key)


def test_what_runs_cannot_be_resumed(engine: Engine) -> None:
    with pytest.raises(journal.WorkflowConflict, match="running"):
        engine.resume(engine.begin(act("a")))


def test_a_workflow_that_was_never_begun_is_cancelled_at_once_and_cannot_be_executed(engine: Engine) -> None:
    key = engine.create(act("a"))
    assert engine.cancel(key).state == "cancelled"
    engine.execute(key)
    engine.settle()
    assert (engine.state(key), effects(key)) == ("cancelled", [])


def test_a_workflow_cancelled_in_the_queue_does_nothing(engine: Engine) -> None:
    key = engine.begin(act("a"))
    assert engine.cancel(key).state == "cancelling"
    engine.settle()
    assert (engine.state(key), calls(key)) == ("cancelled", [])


def test_a_workflow_cancelled_before_its_run_was_made_does_nothing(engine: Engine) -> None:
    key = engine.create(act("a"))
    claim(engine, key)
    engine.cancel(key)
    engine.settle()
    assert (engine.state(key), calls(key)) == ("cancelled", [])


@pytest.mark.parametrize("pauses", [False, True])
def test_a_workflow_cancelled_while_it_waits_is_undone(engine: Engine, pauses: bool) -> None:
    key = engine.run(act("a"), gate("g", ["a"]), act("b", ["g"]))
    if pauses:
        engine.pause(key)
    engine.cancel(key)
    engine.settle()
    workflow = engine.workflow(key)
    assert (workflow.state, workflow.rolled_back, workflow.reason) == ("cancelled", True, "cancelled by tester")
    assert effects(key) == ["do a", "undo a"]


def test_a_workflow_cancelled_while_it_runs_is_interrupted_and_undone(engine: Engine) -> None:
    key = engine.begin(act("a"), meanwhile("b", ["a"], lambda _: engine.cancel(key)), act("c", ["b"]), act("d", ["a"]))
    engine.settle()
    assert engine.state(key) == "cancelled"
    seen = effects(key)
    assert "do c" not in seen
    assert sorted(line for line in seen if line.startswith("undo")) == sorted(
        line.replace("do", "undo") for line in seen if line.startswith("do")
    )
    assert seen[-1] == "undo a"


def test_a_run_that_somebody_cancels_in_dagster_cancels_the_workflow(engine: Engine) -> None:
    def terminate(_: object) -> None:
        engine.instance.run_coordinator.cancel_run(str(engine.workflow(key).run_id))

    key = engine.begin(act("a"), meanwhile("b", ["a"], terminate), act("c", ["b"]))
    engine.settle()
    workflow = engine.workflow(key)
    assert (workflow.state, workflow.reason) == ("cancelled", "its run was cancelled in Dagster")
    assert effects(key) == ["do a", "undo a"]


def test_without_rollback_cancelling_leaves_what_was_done(engine: Engine) -> None:
    key = engine.run(act("a"), gate("g", ["a"]), enable_rollback=False)
    engine.cancel(key)
    engine.settle()
    workflow = engine.workflow(key)
    assert (workflow.state, workflow.rolled_back) == ("cancelled", False)
    assert effects(key) == ["do a"]


def test_cancelling_twice_is_cancelling_once(engine: Engine) -> None:
    key = engine.run(act("a"), gate("g", ["a"]))
    engine.cancel(key)
    engine.cancel(key)
    engine.settle()
    assert engine.state(key) == "cancelled"
    assert calls(key) == ["do a", "undo a"]


def test_an_undoing_cannot_be_cancelled(engine: Engine) -> None:
    refusals: list[str] = []

    def cancel(_: object) -> None:
        with pytest.raises(journal.WorkflowConflict) as refusal:
            engine.cancel(key)
        refusals.append(str(refusal.value))

    key = engine.begin(
        meanwhile("a", [], lambda _: None, undoing=cancel), act("b", ["a"], point="before_effect", action="refuse")
    )
    engine.settle()
    assert len(refusals) == 1 and "compensating" in refusals[0]
    assert engine.state(key) == "failed"


def claim(engine: Engine, key: str) -> None:
    """What is left of `execute` when the power goes before Dagster has made the run."""
    with workflow_lock(engine.books, key) as (connection, brand):
        runs.claim(
            connection, journal.find(connection, brand, key), "forward", kind="workflow.started", state="running"
        )
