"""A workflow that asks a person: yes, no, no answer, two answers, and what happens before and after."""

import pytest

from resources.store import journal
from tests.peers.inline import Engine, act, calls, effects, gate

AT_ONCE = 1e-9


def test_a_workflow_waits_for_an_answer_and_goes_on_with_what_comes_after_it(engine: Engine) -> None:
    key = engine.run(act("a"), gate("g", ["a"], question="Go?"), act("b", ["g"]))
    assert engine.state(key) == "waiting"
    assert effects(key) == ["do a"]
    asked = engine.approvals(key)
    assert [(approval.step, approval.question, approval.state) for approval in asked] == [("g", "Go?", "pending")]
    engine.answer(key, approved=True, comment="fine")
    engine.settle()
    assert engine.state(key) == "completed"
    assert calls(key) == ["do a", "do b"]
    assert engine.steps(key)["g"].result == {"approved_by": "tester", "comment": "fine"}


def test_a_question_that_was_not_worded_names_the_task(engine: Engine) -> None:
    key = engine.run(gate("the launch"))
    assert "the launch" in engine.approvals(key)[0].question


def test_what_does_not_depend_on_the_question_goes_on_meanwhile(engine: Engine) -> None:
    key = engine.run(gate("g"), act("b", ["g"]), act("c"), act("d", ["c"]))
    assert engine.state(key) == "waiting"
    assert effects(key) == ["do c", "do d"]


def test_a_refusal_fails_the_workflow_and_undoes_what_was_done(engine: Engine) -> None:
    key = engine.run(act("a"), gate("g", ["a"]), act("b", ["g"]))
    engine.answer(key, approved=False, comment="too early")
    engine.settle()
    workflow = engine.workflow(key)
    assert (workflow.state, workflow.rolled_back) == ("failed", True)
    assert workflow.reason == "g: rejected by tester: too early"
    assert effects(key) == ["do a", "undo a"]


def test_a_question_that_nobody_answers_in_time_is_refused(engine: Engine) -> None:
    key = engine.run(act("a"), gate("g", ["a"], timeout_hours=AT_ONCE), act("b", ["g"]))
    workflow = engine.workflow(key)
    assert (workflow.state, workflow.reason) == ("failed", "g: nobody answered in time")
    assert engine.approvals(key)[0].state == "expired"
    assert effects(key) == ["do a", "undo a"]


def test_a_question_is_asked_once_however_often_its_run_is_repeated(engine: Engine) -> None:
    key = engine.run(gate("g"), gate("h"))
    assert [approval.state for approval in engine.approvals(key)] == ["pending", "pending"]
    engine.answer(key, approved=True)
    engine.settle()
    assert engine.state(key) == "waiting"
    assert len(engine.approvals(key)) == 2
    assert engine.kinds(key).count("approval.requested") == 2


def test_an_answer_counts_once(engine: Engine) -> None:
    key = engine.run(gate("g"))
    engine.answer(key, approved=True)
    with pytest.raises(journal.WorkflowConflict, match="answered before"):
        engine.answer(key, approved=False)
    engine.settle()
    assert engine.state(key) == "completed"


def test_an_answer_to_a_workflow_that_has_ended_is_refused(engine: Engine) -> None:
    key = engine.run(act("a"), gate("g", ["a"]))
    engine.cancel(key)
    engine.settle()
    assert [approval.state for approval in engine.approvals(key)] == ["expired"]
    with pytest.raises(journal.WorkflowConflict, match="cancelled"):
        engine.answer(key, approved=True)


def test_an_answer_to_a_workflow_that_is_being_undone_is_refused(engine: Engine) -> None:
    key = engine.run(act("a"), gate("g", ["a"]))
    engine.cancel(key)
    with pytest.raises(journal.WorkflowConflict, match="cancelling"):
        engine.answer(key, approved=True)


def test_an_answer_during_a_pause_counts_when_it_goes_on(engine: Engine) -> None:
    key = engine.run(gate("g"), act("b", ["g"]))
    engine.pause(key)
    engine.answer(key, approved=True)
    engine.settle()
    assert engine.state(key) == "paused"
    assert effects(key) == []
    engine.resume(key)
    engine.settle()
    assert engine.state(key) == "completed"


@pytest.mark.parametrize("approved", [True, False])
def test_an_answer_after_a_pause_counts(engine: Engine, approved: bool) -> None:
    key = engine.run(act("a"), gate("g", ["a"]), act("b", ["g"]))
    engine.pause(key)
    engine.settle()
    engine.resume(key)
    engine.settle()
    assert engine.state(key) == "waiting"
    engine.answer(key, approved=approved)
    engine.settle()
    assert engine.state(key) == ("completed" if approved else "failed")


def test_a_refusal_is_asked_again_when_the_workflow_is_resumed(engine: Engine) -> None:
    key = engine.run(act("a"), gate("g", ["a"]), act("b", ["g"]), enable_rollback=False)
    engine.answer(key, approved=False)
    engine.settle()
    assert engine.state(key) == "failed"
    engine.resume(key)
    engine.settle()
    assert engine.state(key) == "waiting"
    engine.answer(key, approved=True)
    engine.settle()
    assert engine.state(key) == "completed"
    assert calls(key) == ["do a", "do b"]


def test_a_failure_elsewhere_does_not_close_a_question_where_failures_do_not_stop_it(engine: Engine) -> None:
    key = engine.run(
        gate("g"), act("b", ["g"]), act("c", point="before_effect", action="refuse"), continue_on_failure=True
    )
    assert engine.state(key) == "waiting"
    engine.answer(key, approved=True)
    engine.settle()
    assert engine.state(key) == "failed"
    assert effects(key) == ["do b"]
