"""Dagster without its daemon and its worker processes: the test itself takes runs from the queue and executes them.

The jobs, the queue, the steps and their retries are Dagster's own; only the processes are not there. Processes that die are in
`tests/luxauto_pipelines/workflows/test_kills.py`. Belongs here too: an agent whose method does whatever a test likes while a
task is under way.
"""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import dagster as dg
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.execution.api import execute_run_iterator
from dagster._core.instance import InstanceType
from dagster._core.launcher import LaunchRunContext
from dagster._core.launcher.sync_in_memory_run_launcher import SyncInMemoryRunLauncher
from dagster._core.origin import JobPythonOrigin
from dagster._core.run_coordinator import QueuedRunCoordinator
from dagster._core.storage.event_log import InMemoryEventLogStorage, SqliteEventLogStorage
from dagster._core.storage.noop_compute_log_manager import NoOpComputeLogManager
from dagster._core.storage.root import TemporaryLocalArtifactStorage
from dagster._core.storage.runs import InMemoryRunStorage, SqliteRunStorage
from dagster._utils.hosted_user_process import recon_job_from_origin

from luxauto_pipelines.agents.registry import Agent, Call, Method
from luxauto_pipelines.workflows import control
from luxauto_pipelines.workflows.reconciler import reconcile_all
from luxauto_pipelines.workflows.spec import Task, WorkflowSpec
from resources.store import journal
from resources.store.brand_store import BrandStore
from resources.store.bulk import run
from tests.peers import world

ACTOR = control.Actor("tester")
# A workflow that is still not at rest after so many rounds never will be.
MOST_ROUNDS = 60
_meanwhile: dict[str, Callable[[Call], object]] = {}
_undoing: dict[str, Callable[[Call], object]] = {}
_instead: dict[str, Callable[[], Any] | None] = {}


class InlineLauncher(SyncInMemoryRunLauncher):
    """Executes a run in this thread, as `dagster api execute_run` does in a process; ends it by SIGINT, as that is ended."""

    working: str | None = None

    def launch_run(self, context: LaunchRunContext) -> None:
        run = context.dagster_run
        self.working = run.run_id
        try:
            for _ in execute_run_iterator(
                recon_job_from_origin(cast(JobPythonOrigin, run.job_code_origin)), run, self._instance
            ):
                pass
        except (Exception, SystemExit, DagsterExecutionInterruptedError):
            # Most often Dagster has been told. It has not where the job itself could not be built.
            left = self._instance.get_run_by_id(run.run_id)
            if left is not None and not left.is_finished:
                self._instance.report_run_failed(left)
        finally:
            self.working = None

    def terminate(self, run_id: str) -> bool:
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        self._instance.report_run_canceling(run)
        if self.working == run_id:
            os.kill(os.getpid(), signal.SIGINT)
        return True


@contextmanager
def open_instance(folder: Path | None = None) -> Iterator[dg.DagsterInstance]:
    """An instance with the queue of the shipped `dagster.yaml`; in memory unless it has a folder, as several threads need."""
    if folder is not None:
        folder.mkdir(parents=True)
    with dg.DagsterInstance(
        instance_type=InstanceType.EPHEMERAL,
        local_artifact_storage=TemporaryLocalArtifactStorage(),
        run_storage=SqliteRunStorage.from_local(str(folder)) if folder else InMemoryRunStorage(),
        event_storage=SqliteEventLogStorage(str(folder)) if folder else InMemoryEventLogStorage(),
        compute_log_manager=NoOpComputeLogManager(),
        run_coordinator=QueuedRunCoordinator(),
        run_launcher=InlineLauncher(),
    ) as instance:
        yield instance


def work_off(instance: dg.DagsterInstance) -> int:
    """Execute what is in the queue, oldest first, here and now. Returns how many runs that were."""
    queued = instance.get_run_records(dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED]), ascending=True)
    for record in queued:
        instance.launch_run(record.dagster_run.run_id, cast(Any, None))
    return len(queued)


def settle(books: BrandStore, instance: dg.DagsterInstance, *, faults: bool = False) -> None:
    """Reconcile and execute until nothing changes any more. Faults are errors unless they are expected."""
    quiet = 0
    for _ in range(MOST_ROUNDS):
        before = _written(books)
        tally = reconcile_all(books, instance)
        assert faults or not tally.faults, tally.faults
        quiet = 0 if work_off(instance) or _written(books) != before else quiet + 1
        # A round may change Dagster's runs alone, and the next one act on that.
        if quiet == 2:
            return
    raise AssertionError(f"not at rest after {MOST_ROUNDS} rounds")


class Engine:
    """The workflow engine on one store, with shorthands for what tests ask of it."""

    def __init__(self, books: BrandStore, instance: dg.DagsterInstance) -> None:
        self.books = books
        self.instance = instance

    def create(self, *tasks: dict[str, Any], **rules: Any) -> str:
        values = {"name": "Test", "max_parallel_tasks": 1, "tasks": tasks, **rules}
        return control.create(self.books, WorkflowSpec.model_validate(values), ACTOR).key

    def execute(self, key: str) -> journal.Workflow:
        return control.execute(self.books, self.instance, key, ACTOR)

    def begin(self, *tasks: dict[str, Any], **rules: Any) -> str:
        """Create and execute; the run is in the queue."""
        key = self.create(*tasks, **rules)
        self.execute(key)
        return key

    def run(self, *tasks: dict[str, Any], **rules: Any) -> str:
        """Create, execute, and go on as far as it goes."""
        key = self.begin(*tasks, **rules)
        self.settle()
        return key

    def settle(self, *, faults: bool = False) -> None:
        settle(self.books, self.instance, faults=faults)

    def work_off(self) -> int:
        return work_off(self.instance)

    def pause(self, key: str) -> journal.Workflow:
        return control.pause(self.books, key, ACTOR)

    def resume(self, key: str) -> journal.Workflow:
        return control.resume(self.books, self.instance, key, ACTOR)

    def cancel(self, key: str) -> journal.Workflow:
        return control.cancel(self.books, self.instance, key, ACTOR)

    def answer(self, key: str, *, approved: bool, comment: str | None = None) -> journal.Approval:
        """Answer the newest question of the workflow, whether or not it has been answered."""
        with self.books.read() as (connection, brand):
            asked = journal.approvals(connection, brand, workflow=key)[0]
        return control.decide(self.books, asked, approved=approved, actor=ACTOR, comment=comment)

    def workflow(self, key: str) -> journal.Workflow:
        with self.books.read() as (connection, brand):
            return journal.find(connection, brand, key)

    def state(self, key: str) -> str:
        return self.workflow(key).state

    def steps(self, key: str) -> dict[str, journal.Step]:
        with self.books.read() as (connection, brand):
            number = journal.find(connection, brand, key).id
            return {step.name: step for step in journal.steps(connection, number)}

    def states(self, key: str) -> dict[str, str]:
        return {name: step.state for name, step in self.steps(key).items()}

    def events(self, key: str) -> list[journal.Event]:
        with self.books.read() as (connection, brand):
            return journal.events(connection, journal.find(connection, brand, key).id, limit=10_000)

    def kinds(self, key: str) -> list[str]:
        return [event.kind for event in self.events(key)]

    def approvals(self, key: str) -> list[journal.Approval]:
        with self.books.read() as (connection, brand):
            return journal.approvals(connection, brand, workflow=key)


def act(name: str, after: Sequence[str] = (), **more: Any) -> dict[str, Any]:
    """A task of the world, not retried; what is no field of a task tells the world how to behave."""
    fields = {field: more.pop(field) for field in Task.model_fields if field in more}
    return {
        "name": name,
        "agent_type": "world",
        "agent_method": "act",
        "depends_on": list(after),
        "retry_count": 0,
        "retry_delay_seconds": 0.01,
        "parameters": more,
        **fields,
    }


def gate(name: str, after: Sequence[str] = (), **parameters: Any) -> dict[str, Any]:
    """A task that asks a person."""
    asks = {"agent_type": "workflow", "agent_method": "approval", "parameters": parameters}
    return {"name": name, "depends_on": list(after), **asks}


def meanwhile(
    name: str,
    after: Sequence[str],
    deed: Callable[[Call], object],
    undoing: Callable[[Call], object] = lambda _: None,
    instead: Callable[[], Any] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """A task of the world: before its effect `deed` is done, before it is undone `undoing`; `instead` gives its result."""
    _meanwhile[name] = deed
    _undoing[name] = undoing
    _instead[name] = instead
    return {**act(name, after, **more), "agent_type": "here"}


def effects(key: str) -> list[str]:
    """What changed in the world for this workflow, in order, as `do a` and `undo a`."""
    return [line for line in calls(key) if not line.startswith("again ")]


def calls(key: str) -> list[str]:
    """Like `effects`, with `again do a` for calls that changed nothing any more."""
    return [line.replace(f"{key}:", "") for line in world.lines() if f" {key}:" in line]


def _here(call: Call, behaviour: world.Behaviour) -> Any:
    name = call.key.split(":", 1)[1]
    _meanwhile[name](call)
    result = _WORLD.method("act").run(call, behaviour)
    give = _instead[name]
    return give() if give else result


def _undo_here(call: Call, behaviour: world.Behaviour) -> Any:
    assert call.undoes is not None
    _undoing[call.undoes.key.split(":", 1)[1]](call)
    return _WORLD.method("undo").run(call, behaviour)


def _written(books: BrandStore) -> Any:
    with books.read() as (connection, brand):
        written = run(connection, "SELECT count(*) FROM workflow_events WHERE brand_id = :brand", {"brand": brand})
        return written.scalar_one(), journal.counts(connection, brand)


_WORLD = world.AGENTS[0]
AGENTS = [
    Agent(
        "here",
        "1",
        {"act": Method(_here, world.Behaviour, compensation="undo"), "undo": Method(_undo_here, world.Behaviour)},
        _WORLD.status,
    )
]
