"""Processes killed with SIGKILL at every point of a step and of its undoing: effects net to zero or are complete, once each.

Before the intent, after the intent, after the effect, after the outcome, while it is undone; the step's own process, the
run's worker, the code server, the daemon, PostgreSQL, everything at once. On SQLite, and on PostgreSQL with Dagster's storage.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import pytest

from luxauto_pipelines.launcher import find_worker
from luxauto_pipelines.workflows.steps import workflow_lock
from tests.luxauto_pipelines.workflows.house import House, act, effects, open_house

DATABASES = ("sqlite", "postgresql")
pytestmark = pytest.mark.slow


@pytest.fixture(params=DATABASES)
def house(request: pytest.FixtureRequest, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    with open_house(home, monkeypatch, request.param) as opened:
        opened.start_daemon()
        yield opened


def assert_complete(house: House, key: str, *tasks: str) -> None:
    workflow = house.workflow(key)
    assert (workflow.state, workflow.reason) == ("completed", None)
    assert sorted(effects(key)) == sorted(f"do {task}" for task in tasks)


def assert_nothing_left(house: House, key: str, dependencies: dict[str, list[str]]) -> None:
    """Each effect was undone once, and after those of the tasks that depended on it."""
    workflow = house.workflow(key)
    assert (workflow.state, workflow.rolled_back) == ("failed", True)
    seen = effects(key)
    done = {line.removeprefix("do ") for line in seen if line.startswith("do ")}
    undone = [line.removeprefix("undo ") for line in seen if line.startswith("undo ")]
    assert sorted(undone) == sorted(done)
    for task, parents in dependencies.items():
        for parent in parents:
            if task in done and parent in done:
                assert undone.index(task) < undone.index(parent)


WIDE = {"a": [], "b": [], "c": ["a", "b"]}


def wide(**on_b: Any) -> list[dict[str, Any]]:
    """Two tasks side by side, each in a process of its own, and one after both."""
    return [act("a"), act("b", **on_b), act("c", ["a", "b"])]


def narrow(**on_b: Any) -> list[dict[str, Any]]:
    """Three tasks one after the other, in the run's worker itself."""
    return [act("a"), act("b", ["a"], **on_b), act("c", ["b"])]


NARROW = {"a": [], "b": ["a"], "c": ["b"]}


def test_steps_and_workers_that_kill_themselves_leave_all_or_nothing(house: House) -> None:
    again = {
        # Attempts are left: the workflow goes on, and the repeated call changes nothing.
        "step, after the intent": (wide(point="before_effect", action="kill", retry_count=1), WIDE),
        "step, after the effect": (wide(point="after_effect", action="kill", retry_count=1), WIDE),
        "step, after the outcome": (wide(point="after_done", action="kill", retry_count=1), WIDE),
        "worker, after the intent": (narrow(point="before_effect", action="kill", retry_count=1), NARROW),
        "worker, after the effect": (narrow(point="after_effect", action="kill", retry_count=1), NARROW),
        "worker, after the outcome": (narrow(point="after_done", action="kill", retry_count=1), NARROW),
        "worker of several": (wide(point="before_effect", action="kill_worker", retry_count=1), WIDE),
    }
    never = {
        # None is left: everything is undone, with what may have happened.
        "step, for good": (wide(point="before_effect", action="kill", times=9, retry_count=0), WIDE),
        "step, for good after the effect": (wide(point="after_effect", action="kill", times=9, retry_count=0), WIDE),
        "worker, for good": (narrow(point="before_effect", action="kill", times=9, retry_count=0), NARROW),
        "worker, for good after the effect": (
            narrow(point="after_effect", action="kill", times=9, retry_count=0),
            NARROW,
        ),
        "worker of several, for good": (
            wide(point="before_effect", action="kill_worker", times=9, retry_count=0),
            WIDE,
        ),
        "while undoing, before": (
            [*narrow(point="before_undo", action="kill"), act("d", ["c"], point="before_effect", action="refuse")],
            NARROW,
        ),
        "while undoing, after": (
            [*narrow(point="after_undo", action="kill"), act("d", ["c"], point="after_effect", action="refuse")],
            NARROW,
        ),
    }
    keys = {name: house.begin(name, tasks) for name, (tasks, _) in {**again, **never}.items()}
    house.wait_for_end(list(keys.values()))
    for name in again:
        assert_complete(house, keys[name], "a", "b", "c")
    for name, (_, dependencies) in never.items():
        assert_nothing_left(house, keys[name], dependencies)
    assert "do b" not in effects(keys["worker of several, for good"]), "an orphan acted after its run was dead"


@pytest.mark.parametrize("victim", ["step", "worker"])
def test_a_kill_before_the_intent_costs_nothing(house: House, victim: str) -> None:
    tasks = wide() if victim == "step" else narrow()
    key = house.begin(f"{victim}, before the intent", tasks)
    with workflow_lock(house.books, key):
        # Whoever wants to write an intent now waits for this lock.
        house.wait("a step has begun", lambda: _steps_begun(house, key) > 0)
        worker = _worker(house, key)
        doomed = worker.children() if victim == "step" else [worker]
        assert doomed
        for process in doomed:
            process.kill()
        psutil.wait_procs(doomed, 30)
    house.wait_for_end([key])
    assert_complete(house, key, "a", "b", "c")


@pytest.mark.parametrize("victim", ["code server", "daemon", "postgresql", "everything"])
def test_what_the_house_loses_is_made_good(house: House, victim: str) -> None:
    if victim == "postgresql" and house.postgres is None:
        pytest.skip("there is no PostgreSQL to kill where the store is SQLite")
    held = {
        "after the intent": (narrow(point="before_effect", action="hold"), "b", "before_effect"),
        "after the effect": (narrow(point="after_effect", action="hold"), "b", "after_effect"),
        "after the outcome": ([act("a"), act("b", ["a"], point="before_effect", action="hold")], "b", "before_effect"),
        "while undoing": (
            [
                *narrow(point="before_undo", action="hold"),
                act("d", ["c"], point="before_effect", action="refuse", retry_count=0),
            ],
            "b",
            "before_undo",
        ),
    }
    keys = {name: house.begin(name, tasks) for name, (tasks, _, _) in held.items()}
    for name, (_, task, point) in held.items():
        house.wait(f"{name} holds", lambda key=keys[name], task=task, point=point: house.holding(key, task, point))
    # The four that hold fill the queue's four places: this one has not begun.
    keys["before the intent"] = house.begin("before the intent", narrow())
    house.kill(victim)
    house.release()
    house.mend(victim)
    house.wait_for_end(list(keys.values()))
    assert_nothing_left(house, keys["while undoing"], NARROW)
    assert_complete(house, keys["after the outcome"], "a", "b")
    for name in ("after the intent", "after the effect", "before the intent"):
        assert_complete(house, keys[name], "a", "b", "c")


def _steps_begun(house: House, key: str) -> int:
    run_id = house.workflow(key).run_id
    assert run_id is not None
    return len(house.instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_START))


def _worker(house: House, key: str) -> psutil.Process:
    run = house.instance.get_run_by_id(str(house.workflow(key).run_id))
    assert run is not None
    worker = find_worker(run)
    assert worker is not None
    return worker
