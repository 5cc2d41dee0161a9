"""Who looks after workflows: alone, several at once, after a crash between two writes, and beside a workflow that is broken."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from luxauto_pipelines.instance import prepare
from luxauto_pipelines.sensors import build_sensors
from luxauto_pipelines.workflows import reconciler, runs
from luxauto_pipelines.workflows.reconciler import MAX_CRASHES, reconcile_all
from luxauto_pipelines.workflows.steps import workflow_lock
from resources.settings import load_settings
from resources.store import journal
from resources.store.brand_store import BrandStore
from resources.store.bulk import run
from tests.conftest import ROOT
from tests.peers.inline import Engine, act, calls, effects, gate, meanwhile, open_instance

# Two processes that start at the same moment: each says that it is ready and waits for the other.
RACER = """
import sys, pathlib
import dagster as dg
from luxauto_pipelines.workflows import control
from luxauto_pipelines.workflows.reconciler import reconcile_all
from resources.settings import load_settings
from resources.store import open_store
from resources.store.brand_store import BrandStore
settings = load_settings()
books, instance = BrandStore(settings, open_store(settings.database_url)), dg.DagsterInstance.get()
sys.stdout.write("ready\\n"); sys.stdout.flush(); sys.stdin.readline()
for _ in range(3):
    tally = reconcile_all(books, instance)
    assert not tally.faults, tally.faults
"""


@pytest.fixture
def on_disk(engine: Engine, tmp_path: Path) -> Any:
    """The engine with a Dagster instance on disk, which several threads may use."""
    with open_instance(tmp_path / "dagster") as instance:
        yield Engine(engine.books, instance)


def at_once(times: int, *deeds: Callable[[], object]) -> list[object]:
    """What the deeds give when so many threads do each of them at the same moment; errors are results too."""
    start = threading.Barrier(times * len(deeds))
    results: list[object] = []

    def body(deed: Callable[[], object]) -> None:
        start.wait(60)
        try:
            results.append(deed())
        except Exception as error:
            results.append(error)

    threads = [threading.Thread(target=body, args=(deed,)) for deed in deeds for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(results) == len(threads)
    return results


def test_executing_from_several_threads_at_once_makes_one_run(on_disk: Engine) -> None:
    key = on_disk.create(act("a"))
    results = at_once(6, lambda: on_disk.execute(key).run_id)
    assert len(set(results)) == 1, results
    on_disk.settle()
    assert on_disk.state(key) == "completed"
    assert calls(key) == ["do a"]
    assert len(on_disk.instance.get_runs()) == 1


def test_several_that_reconcile_at_once_act_once(on_disk: Engine) -> None:
    keys = [on_disk.begin(act("a"), act("b", ["a"], point="before_effect")) for _ in range(3)]
    on_disk.work_off()
    for tally in at_once(4, lambda: reconcile_all(on_disk.books, on_disk.instance)):
        assert not getattr(tally, "faults", tally)
    on_disk.settle()
    for key in keys:
        assert calls(key) == ["do a", "undo a"]
        assert on_disk.kinds(key).count("workflow.compensating") == 1
    # One forward and one back for each.
    assert len(on_disk.instance.get_runs()) == 6


def test_several_processes_that_reconcile_at_once_act_once(
    engine: Engine, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(load_settings())
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    with dg.DagsterInstance.get() as instance:
        real = Engine(engine.books, instance)
        keys = [real.begin(act("a"), gate("g", ["a"]), act("b", ["g"])) for _ in range(3)]
        # Their runs are ended by hand, so that each workflow calls for a new one.
        for key in keys:
            found = instance.get_run_by_id(str(real.workflow(key).run_id))
            assert found is not None
            instance.report_run_failed(found)
        racers = [
            subprocess.Popen(
                [sys.executable, "-c", RACER],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ},
                text=True,
            )
            for _ in range(2)
        ]
        for racer in racers:
            assert racer.stdout is not None and "ready" in racer.stdout.readline()
        for racer in racers:
            assert racer.stdin is not None
            racer.stdin.write("go\n")
            racer.stdin.flush()
        for racer in racers:
            _, errors = racer.communicate(timeout=120)
            assert racer.returncode == 0, errors
        for key in keys:
            assert real.kinds(key).count("workflow.continued") == 1
        assert len(instance.get_runs()) == 6


def test_several_who_create_the_first_workflows_of_a_brand_at_once_all_succeed(on_disk: Engine) -> None:
    results = at_once(4, lambda: on_disk.create(act("a")))
    assert len(set(results)) == 4 and all(isinstance(result, str) for result in results), results


def test_pausing_resuming_reconciling_and_cancelling_at_once_ends_cancelled(on_disk: Engine) -> None:
    key = on_disk.begin(act("a"))
    at_once(
        3,
        lambda: on_disk.pause(key),
        lambda: on_disk.resume(key),
        lambda: on_disk.cancel(key),
        lambda: reconcile_all(on_disk.books, on_disk.instance),
    )
    on_disk.settle()
    assert on_disk.state(key) == "cancelled"
    assert calls(key) == []


def test_two_who_answer_at_once_are_told_which_answer_counts(on_disk: Engine) -> None:
    key = on_disk.run(gate("g"))
    answers = at_once(4, lambda: on_disk.answer(key, approved=True).state)
    assert answers.count("approved") == 1
    assert sum(isinstance(answer, journal.WorkflowConflict) for answer in answers) == 3


@pytest.mark.parametrize("spec", ['{"name": "x"}', '{"name": "x", "tasks": [], "more": 1}', "[]", "{"])
def test_a_workflow_that_cannot_be_read_does_not_keep_the_others_from_being_looked_after(
    engine: Engine, spec: str
) -> None:
    if spec == "{" and not engine.books.store.is_sqlite:
        pytest.skip("PostgreSQL takes no text that is not JSON")
    before = engine.begin(act("a"))
    poisoned = engine.begin(act("a"))
    after = engine.begin(act("a"), act("b", ["a"], point="before_effect"))
    with engine.books.write() as (connection, _):
        run(connection, "UPDATE workflows SET spec = :spec WHERE key = :key", {"spec": spec, "key": poisoned})
    engine.settle(faults=True)
    assert (engine.state(before), engine.state(after)) == ("completed", "failed")
    assert calls(poisoned) == []
    tally = reconcile_all(engine.books, engine.instance)
    assert tally.faults.keys() <= {poisoned}


def test_a_run_that_was_claimed_and_never_made_is_made_under_its_id(engine: Engine) -> None:
    key = engine.create(act("a"))
    with workflow_lock(engine.books, key) as (connection, brand):
        workflow = journal.find(connection, brand, key)
        run_id = runs.claim(connection, workflow, "forward", kind="workflow.started", state="running")
    engine.settle()
    assert engine.state(key) == "completed"
    assert [made.run_id for made in engine.instance.get_runs()] == [run_id]


def test_a_run_that_was_made_and_never_put_into_the_queue_is_put_there(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = engine.create(act("a"))
    with monkeypatch.context() as patch:
        patch.setattr(engine.instance, "submit_run", lambda *_, **__: None)
        engine.execute(key)
    assert [made.status for made in engine.instance.get_runs()] == [dg.DagsterRunStatus.NOT_STARTED]
    engine.settle()
    assert engine.state(key) == "completed"
    assert len(engine.instance.get_runs()) == 1


def test_a_compensation_that_was_claimed_and_never_made_is_made(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = engine.begin(act("a"), act("b", ["a"], point="before_effect"))
    engine.work_off()
    with monkeypatch.context() as patch:
        patch.setattr(runs, "ensure", lambda *_: None)
        reconcile_all(engine.books, engine.instance)
    assert engine.state(key) == "compensating"
    engine.settle()
    assert engine.state(key) == "failed"
    assert effects(key) == ["do a", "undo a"]


def test_a_run_that_dagster_lost_is_made_anew(engine: Engine) -> None:
    key = engine.begin(act("a"))
    engine.instance.delete_run(str(engine.workflow(key).run_id))
    engine.settle()
    assert engine.state(key) == "completed"
    assert calls(key) == ["do a"]


def test_a_fault_while_looking_after_one_workflow_is_told_and_mended_in_the_next_round(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = engine.begin(act("a")), engine.begin(act("a"))
    state_of = runs.state_of
    broken = engine.workflow(first).run_id

    def breaks(instance: dg.DagsterInstance, run_id: str) -> str:
        if run_id == broken:
            raise ConnectionError("Dagster's storage is away")
        return state_of(instance, run_id)

    engine.work_off()
    with monkeypatch.context() as patch:
        patch.setattr(runs, "state_of", breaks)
        tally = reconcile_all(engine.books, engine.instance)
    assert tally.faults.keys() <= {first}
    engine.settle()
    assert (engine.state(first), engine.state(second)) == ("completed", "completed")


def test_runs_that_always_end_before_any_task_is_begun_fail_the_workflow(engine: Engine) -> None:
    key = engine.begin(act("a"))
    for _ in range(MAX_CRASHES + 1):
        for found in engine.instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED])):
            engine.instance.report_run_failed(found)
        reconcile_all(engine.books, engine.instance)
    assert engine.state(key) == "failed"
    assert calls(key) == []


def test_more_workflows_than_a_batch_are_all_looked_after(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciler, "BATCH", 2)
    keys = [engine.begin(act("a", point="before_effect")) for _ in range(5)]
    engine.settle()
    assert {engine.state(key) for key in keys} == {"failed"}
    [engine.run(gate("g")) for _ in range(3)]
    assert reconcile_all(engine.books, engine.instance).seen == 3


def test_workflows_of_another_brand_are_left_alone(engine: Engine) -> None:
    other = BrandStore(engine.books.settings.model_copy(update={"brand": "another"}), engine.books.store)
    key = engine.begin(act("a", point="before_effect"))
    engine.work_off()
    assert reconcile_all(other, engine.instance).seen == 0
    assert engine.state(key) == "running"


def test_the_code_location_looks_after_workflows_and_webhooks_whether_or_not_automation_is_on(engine: Engine) -> None:
    sensors = {sensor.name: sensor for sensor in build_sensors(engine.books.settings)}
    for name in ("workflow_reconciler", "webhook_deliveries"):
        assert sensors[name].default_status is dg.DefaultSensorStatus.RUNNING


def test_a_tick_of_the_sensor_undoes_what_failed_and_says_what_it_could_not_look_after(engine: Engine) -> None:
    key = engine.begin(act("a"), act("b", ["a"], point="before_effect"))
    engine.work_off()
    sensor = next(s for s in build_sensors(engine.books.settings) if s.name == "workflow_reconciler")
    context = dg.build_sensor_context(engine.instance, resources={"store": engine.books})
    for said in ("1 workflows looked after, 0 could not be", "1 workflows looked after, 0 could not be"):
        answer = sensor(context)
        assert isinstance(answer, dg.SkipReason)
        assert answer.skip_message == said
        engine.work_off()
    answer = sensor(context)
    assert isinstance(answer, dg.SkipReason)
    assert engine.state(key) == "failed"
    assert effects(key) == ["do a", "undo a"]


def test_an_effect_under_way_when_another_run_is_claimed_is_not_undone_twice(engine: Engine) -> None:
    def reconcile(_: object) -> None:
        # A round while the task is under way changes nothing.
        assert reconcile_all(engine.books, engine.instance).faults == {}

    key = engine.begin(meanwhile("a", [], reconcile), act("b", ["a"], point="before_effect"))
    engine.settle()
    assert calls(key) == ["do a", "undo a"]
