"""What a workflow does when it goes forward: order, results, retries, time-outs, failures that are allowed.

Does not belong here: undoing (`test_undoing`), people who steer (`test_steering`, `test_approvals`), and who looks after
workflows (`test_reconciler`).
"""

from datetime import timedelta
from time import sleep

import pytest

from luxauto_pipelines.workflows import runs
from luxauto_pipelines.workflows.status import engine_status, read_status
from luxauto_pipelines.workflows.steps import Fenced, Run, do_step, undo_step, workflow_lock
from resources.store import journal
from resources.store.audit import read_page, verify
from tests.peers.inline import Engine, act, calls, effects, gate, meanwhile


def test_tasks_are_done_in_the_order_of_their_dependencies_whatever_their_place_in_the_list(engine: Engine) -> None:
    key = engine.run(act("last", ["left", "right"]), act("right", ["first"]), act("left", ["first"]), act("first"))
    assert engine.state(key) == "completed"
    assert effects(key)[0] == "do first"
    assert effects(key)[-1] == "do last"
    assert sorted(effects(key)) == ["do first", "do last", "do left", "do right"]
    assert set(engine.states(key).values()) == {"done"}


def test_a_completed_workflow_says_when_it_began_and_ended_and_that_nothing_was_undone(engine: Engine) -> None:
    workflow = engine.workflow(engine.run(act("a")))
    assert workflow.started_at is not None and workflow.ended_at is not None
    assert timedelta(0) <= workflow.ended_at - workflow.started_at < timedelta(minutes=5)
    assert (workflow.rolled_back, workflow.reason, workflow.progress) == (False, None, 1.0)


def test_creating_a_workflow_runs_nothing(engine: Engine) -> None:
    key = engine.create(act("a"))
    engine.settle()
    assert engine.state(key) == "pending"
    assert effects(key) == []


def test_names_that_dagster_would_not_take_are_names_of_tasks_all_the_same(engine: Engine) -> None:
    names = ["Générer les visuels", "生成", "a b", "a-b", "output", "x" * 128]
    tasks = [act(name, names[index - 1 : index]) for index, name in enumerate(names)]
    key = engine.run(*tasks)
    assert engine.state(key) == "completed"
    assert effects(key) == [f"do {name}" for name in names]


def test_a_task_is_given_results_of_the_tasks_before_it(engine: Engine) -> None:
    key = engine.run(
        act("a", gives={"campaign": 7, "list": [1, {"deep": None}]}),
        act("b", ["a"]),
        act("c", ["b"], gives={"got": "${a.campaign}", "all": ["${a.list}", "plain"]}),
    )
    result = engine.steps(key)["c"].result
    assert result is not None
    assert (result["got"], result["all"]) == (7, [[1, {"deep": None}], "plain"])


def test_a_result_that_is_not_there_fails_the_task_and_says_which_it_was(engine: Engine) -> None:
    key = engine.run(act("a"), act("b", ["a"], gives={"got": "${a.nothing}"}, retry_count=2))
    assert engine.state(key) == "failed"
    assert "'nothing'" in str(engine.steps(key)["b"].error)
    assert engine.steps(key)["b"].attempts == 1
    assert effects(key) == ["do a", "undo a"]


def test_an_error_is_retried_as_often_as_the_task_says(engine: Engine) -> None:
    key = engine.run(act("a", point="before_effect", times=2, retry_count=2))
    assert engine.state(key) == "completed"
    assert engine.steps(key)["a"].attempts == 3
    assert engine.steps(key)["a"].error is None
    assert engine.kinds(key).count("step.retried") == 2
    assert effects(key) == ["do a"]


def test_a_task_that_fails_once_too_often_fails_the_workflow_with_its_last_error(engine: Engine) -> None:
    key = engine.run(act("a", point="before_effect", times=3, retry_count=2))
    assert engine.state(key) == "failed"
    assert engine.steps(key)["a"].attempts == 3
    assert engine.workflow(key).reason == f"a: ConnectionError: {key}:a was cut off at before_effect"


def test_retries_wait_longer_each_time(engine: Engine) -> None:
    key = engine.run(act("a", point="before_effect", times=3, retry_count=3, retry_delay_seconds=0.05))
    begun = [event.at for event in engine.events(key) if event.kind == "step.started"]
    failed = [event.at for event in engine.events(key) if event.kind == "step.retried"]
    waited = [(start - fault).total_seconds() for fault, start in zip(failed, begun[1:], strict=True)]
    # 0.05, 0.1 and 0.2 seconds, each times a random factor of up to two; the sum of them is at least a half of it.
    assert sum(waited) > 0.5 * sum([0.05, 0.1, 0.2]) * 0.5
    assert all(seconds < 5 for seconds in waited)


def test_the_effect_of_an_attempt_that_was_cut_off_is_not_repeated_by_the_next(engine: Engine) -> None:
    key = engine.run(act("a", point="after_effect", times=2, retry_count=2))
    assert engine.state(key) == "completed"
    assert calls(key) == ["do a", "again do a", "again do a"]


def test_what_an_agent_refuses_is_not_tried_again(engine: Engine) -> None:
    key = engine.run(act("a", point="before_effect", action="refuse", times=9, retry_count=5))
    assert engine.state(key) == "failed"
    assert engine.steps(key)["a"].attempts == 1
    assert "refused" in str(engine.workflow(key).reason)


def test_an_attempt_that_takes_too_long_is_interrupted_and_undone(engine: Engine) -> None:
    key = engine.run(act("a"), act("b", ["a"], point="after_effect", action="sleep", timeout_seconds=0.2))
    assert engine.state(key) == "failed"
    assert engine.steps(key)["b"].error == "it took longer than 0.2 s"
    assert effects(key) == ["do a", "do b", "undo b", "undo a"]


def test_an_attempt_that_took_too_long_is_tried_again(engine: Engine) -> None:
    key = engine.run(act("a", point="before_effect", action="sleep", timeout_seconds=0.2, retry_count=1))
    assert engine.state(key) == "completed"
    assert engine.steps(key)["a"].attempts == 2


def test_an_agent_that_swallows_every_exception_is_interrupted_all_the_same(engine: Engine) -> None:
    def stubborn(_: object) -> None:
        try:
            sleep(600)
        except Exception:
            sleep(600)

    key = engine.run(meanwhile("a", [], stubborn, timeout_seconds=0.2))
    assert engine.state(key) == "failed"
    assert "longer than" in str(engine.workflow(key).reason)


def test_a_failure_that_is_allowed_does_not_keep_the_rest_from_being_done(engine: Engine) -> None:
    key = engine.run(
        act("a", point="before_effect", times=9, retry_count=1, allow_failure=True), act("b", ["a"]), act("c")
    )
    assert engine.state(key) == "completed"
    assert engine.states(key) == {"a": "failed_allowed", "b": "done", "c": "done"}
    assert engine.workflow(key).progress == 1.0
    assert sorted(effects(key)) == ["do b", "do c"]
    assert read_status(engine.books, key)["errors"].keys() == {"a"}


def test_a_workflow_whose_last_task_fails_allowedly_is_completed(engine: Engine) -> None:
    key = engine.run(act("a"), act("b", ["a"], point="before_effect", action="refuse", allow_failure=True))
    assert engine.state(key) == "completed"
    assert engine.kinds(key)[-1] == "workflow.completed"


def test_what_an_allowed_failure_left_behind_is_undone_when_another_task_fails(engine: Engine) -> None:
    key = engine.run(
        act("a", point="after_effect", times=9, allow_failure=True), act("b", ["a"], point="before_effect")
    )
    assert engine.state(key) == "failed"
    assert effects(key) == ["do a", "undo a"]


def test_where_failures_do_not_stop_it_what_does_not_depend_on_them_is_done_and_nothing_is_undone(
    engine: Engine,
) -> None:
    key = engine.run(
        act("a", point="before_effect"), act("after a", ["a"]), act("b"), act("c", ["b"]), continue_on_failure=True
    )
    workflow = engine.workflow(key)
    assert (workflow.state, workflow.rolled_back) == ("failed", False)
    assert engine.states(key) == {"a": "failed", "after a": "pending", "b": "done", "c": "done"}
    assert effects(key) == ["do b", "do c"]


def test_without_rollback_a_failure_leaves_what_was_done_and_resuming_goes_on_from_the_failed_task(
    engine: Engine,
) -> None:
    key = engine.run(act("a"), act("b", ["a"], point="before_effect", times=1), act("c", ["b"]), enable_rollback=False)
    assert engine.state(key) == "failed"
    assert effects(key) == ["do a"]
    engine.resume(key)
    engine.settle()
    workflow = engine.workflow(key)
    assert (workflow.state, workflow.reason, workflow.rolled_back) == ("completed", None, False)
    assert calls(key) == ["do a", "do b", "do c"]


def test_a_resumed_task_has_all_its_attempts_again(engine: Engine) -> None:
    key = engine.run(act("a", point="before_effect", times=3, retry_count=1), enable_rollback=False)
    assert engine.state(key) == "failed"
    engine.resume(key)
    engine.settle()
    assert engine.state(key) == "completed"
    assert engine.steps(key)["a"].attempts == 2


def test_a_task_that_fails_again_after_resuming_fails_the_workflow_again(engine: Engine) -> None:
    key = engine.run(act("a", point="before_effect", times=2), enable_rollback=False)
    for expected in ("failed", "completed"):
        engine.resume(key)
        engine.settle()
        assert engine.state(key) == expected


def test_a_workflow_that_continues_after_failures_can_be_resumed(engine: Engine) -> None:
    key = engine.run(act("a", point="before_effect"), act("after a", ["a"]), act("b"), continue_on_failure=True)
    engine.resume(key)
    engine.settle()
    assert engine.state(key) == "completed"
    assert sorted(calls(key)) == ["do a", "do after a", "do b"]


def test_executing_twice_gives_the_same_run_and_does_everything_once(engine: Engine) -> None:
    key = engine.create(act("a"))
    first = engine.execute(key).run_id
    assert first is not None
    assert engine.execute(key).run_id == first
    engine.settle()
    assert engine.execute(key).run_id == first
    engine.settle()
    assert calls(key) == ["do a"]
    assert len(engine.instance.get_runs()) == 1


def test_executing_what_is_not_there_says_so(engine: Engine) -> None:
    with pytest.raises(journal.UnknownWorkflow, match="wf_nowhere"):
        engine.execute("wf_nowhere")


def test_an_agent_that_is_not_built_yet_fails_the_workflow_for_that_reason_alone(engine: Engine) -> None:
    planned = {"name": "b", "agent_type": "marketing", "agent_method": "create_campaign", "depends_on": ["a"]}
    key = engine.run(act("a"), planned)
    assert engine.state(key) == "failed"
    assert "marketing is not available" in str(engine.workflow(key).reason)
    assert effects(key) == ["do a", "undo a"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "a\x00b"])
def test_a_result_that_the_store_cannot_hold_does_not_leave_the_workflow_between_states(
    engine: Engine, value: object
) -> None:
    key = engine.run(meanwhile("a", [], lambda _: None, instead=lambda: {"value": value}))
    assert engine.state(key) in ("completed", "failed")
    if engine.state(key) == "completed":
        assert engine.steps(key)["a"].result == {"value": None if isinstance(value, float) else value}
    else:
        assert effects(key) == ["do a", "undo a"]


def test_progress_is_the_share_of_weight_that_is_over_and_never_falls(engine: Engine) -> None:
    seen: list[float] = []
    keys: list[str] = []

    def look(_: object) -> None:
        seen.append(engine.workflow(keys[0]).progress)

    keys.append(
        engine.create(
            act("a", weight=5.0),
            meanwhile("b", ["a"], look, weight=3.0),
            meanwhile("c", ["b"], look, weight=2.0, point="after_effect", action="refuse"),
        )
    )
    engine.execute(keys[0])
    engine.settle()
    assert seen == pytest.approx([0.5, 0.8])
    # Undone, and yet the share stays where it was.
    assert engine.workflow(keys[0]).progress == pytest.approx(0.8)
    assert read_status(engine.books, keys[0])["progress"]["percentage"] == 80.0


def test_events_are_numbered_from_one_without_gaps_and_can_be_read_on_from_any(engine: Engine) -> None:
    key = engine.run(act("a", point="after_effect", times=9, retry_count=2), gate("g", ["a"]))
    events = engine.events(key)
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert sorted(event.at for event in events) == [event.at for event in events]
    with engine.books.read() as (connection, _):
        rest = journal.events(connection, engine.workflow(key).id, after=4, limit=3)
    assert [event.sequence for event in rest] == [5, 6, 7]


def test_the_story_of_a_workflow_is_in_its_events(engine: Engine) -> None:
    key = engine.run(act("a"), act("b", ["a"], point="before_effect"))
    assert engine.kinds(key) == [
        "workflow.created",
        "workflow.started",
        "step.started",
        "step.done",
        "step.started",
        "step.failed",
        "workflow.compensating",
        "step.undoing",
        "step.undone",
        "step.undoing",
        "step.undone",
        "workflow.failed",
    ]


def test_the_status_says_in_the_contracts_words_how_it_stands(engine: Engine) -> None:
    key = engine.run(act("a", gives={"x": 1}), act("b", ["a"], point="after_effect", action="refuse"))
    status = read_status(engine.books, key)
    assert (status["status"], status["state"], status["rolled_back"]) == ("failed", "failed", True)
    assert [(undoing["task"], undoing["status"]) for undoing in status["compensations"]] == [
        ("b", "compensated"),
        ("a", "compensated"),
    ]
    assert status["progress"]["total_tasks"] == 2
    assert status["progress"]["current_tasks"] == []
    assert status["errors"].keys() == {"b"}


def test_the_engine_counts_what_it_did(engine: Engine) -> None:
    engine.run(act("a"))
    engine.run(act("a", point="before_effect"))
    engine.create(act("a"))
    engine.run(gate("g"))
    status = engine_status(engine.books)
    assert status["workflows"]["by_state"] == {"completed": 1, "failed": 1, "pending": 1, "waiting": 1}
    assert status["workflows"]["workflows_executed"] == 3
    assert status["workflows"]["active_workflows"] == 1
    assert status["reliability"] == {"rollbacks_performed": 1, "need_attention": 0}


def test_who_created_and_executed_a_workflow_is_in_the_audit_log(engine: Engine) -> None:
    key = engine.run(act("a"))
    with engine.books.read() as (connection, brand):
        rows = read_page(connection, brand, None, 10)
        assert verify(connection, brand).fault is None
    assert [(row["action"], row["subject"], row["actor"]) for row in rows] == [
        ("workflow.execute", key, "tester"),
        ("workflow.create", key, "tester"),
    ]


@pytest.mark.parametrize("stale", ["epoch", "run"])
def test_a_run_that_is_no_longer_the_workflows_own_writes_nothing_and_calls_no_agent(
    engine: Engine, stale: str
) -> None:
    key = engine.begin(act("a"))
    workflow = engine.workflow(key)
    run_id = "another" if stale == "run" else str(workflow.run_id)
    run = Run(engine.books, key, workflow.epoch + (stale == "epoch"), run_id)
    before = engine.events(key)
    with pytest.raises(Fenced):
        do_step(run, "a", last_attempt=True)
    with pytest.raises(Fenced):
        undo_step(run, "a")
    assert engine.events(key) == before
    assert engine.states(key) == {"a": "pending"}
    assert calls(key) == []


def test_an_effect_that_ends_after_the_workflow_has_gone_on_is_not_written_down(engine: Engine) -> None:
    def take_over(_: object) -> None:
        # As the reconciler does when it takes the run for dead.
        with workflow_lock(engine.books, keys[0]) as (connection, brand):
            workflow = journal.find(connection, brand, keys[0])
            runs.claim(connection, workflow, "forward", kind="workflow.continued")

    keys = [engine.create(meanwhile("a", [], take_over, times=1))]
    engine.execute(keys[0])
    assert engine.work_off() == 1
    assert engine.states(keys[0]) == {"a": "intent"}
    assert "step.done" not in engine.kinds(keys[0])
