"""One step, done or undone: the intent is written first, then the effect, then the outcome.

Each of the three is fenced: a run that is no longer the workflow's own, or an epoch that is over, writes nothing and starts
no effect. Does not belong here: Dagster's ops (`jobs`), and what follows when a run is over (`reconciler`).
"""

import ctypes
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from pydantic_core import to_jsonable_python

from luxauto_pipelines.agents.registry import AgentError, Call, Undone, find_agent
from luxauto_pipelines.workflows.spec import APPROVAL, Task, WorkflowSpec, resolve
from resources.card_numbers import redact
from resources.store import journal
from resources.store.brand_store import BrandStore
from resources.store.brands import brand_id
from resources.store.engine import patiently

if TYPE_CHECKING:
    from sqlalchemy import Connection

MAX_UNDO_ATTEMPTS = 8
_PR_SET_PDEATHSIG = 1


class Fenced(Exception):
    """The workflow has gone on without this run; it must not act any more."""


class StepFailed(Exception):
    """The step did not succeed. `again` says whether another attempt may."""

    def __init__(self, message: str, *, again: bool) -> None:
        super().__init__(message)
        self.again = again


class _TimedOut(BaseException):
    """Not an Exception, so that no agent's `except Exception` swallows it."""


@dataclass(frozen=True)
class Run:
    """Which run of which workflow a step belongs to."""

    books: BrandStore
    workflow: str
    epoch: int
    run_id: str


def do_step(run: Run, name: str, *, last_attempt: bool) -> bool:
    """Do the task once. Returns whether what depends on it may go on.

    False where it was not started: paused, another task has failed, or it waits for a person. Raises StepFailed, and Fenced
    where this run has nothing to say any more.
    """
    begun = patiently(lambda: _begin(run, name))
    if not isinstance(begun, _Begun):
        return begun
    task, spec = begun.task, begun.spec
    if (task.agent_type, task.agent_method) == APPROVAL:
        return patiently(lambda: _ask(run, task))
    try:
        with _time_limit(task.timeout_seconds):
            call = Call(run.books, f"{run.workflow}:{name}", begun.owner, begun.results)
            given = _resolved(task.parameters, begun.results)
            result = find_agent(task.agent_type).call(task.agent_method, call, given)
    except (Exception, _TimedOut) as error:
        message, again = _explain(error, task)
        final = last_attempt or not again
        patiently(lambda: _fail(run, spec, task, message, final))
        if final and task.allow_failure:
            return True
        raise StepFailed(message, again=again) from error
    plain = to_jsonable_python(dict(result), fallback=str, inf_nan_mode="null")
    patiently(lambda: _finish(run, name, plain))
    return True


def undo_step(run: Run, name: str) -> None:
    """Undo what the task did or may have done. Raises StepFailed; Fenced where this run has nothing to say any more.

    A step that cannot be undone after `MAX_UNDO_ATTEMPTS` is marked so, and the rest is still undone.
    """
    begun = patiently(lambda: _begin_undo(run, name))
    if begun is None:
        return
    task, step = begun.task, begun.step
    agent = find_agent(task.agent_type)
    compensation = task.compensation_method or agent.method(task.agent_method).compensation
    if compensation is None:
        patiently(lambda: _kept(run, name))
        return
    key = f"{run.workflow}:{name}"
    try:
        with _time_limit(task.timeout_seconds):
            undone = Undone(key, _as_far_as_known(task.parameters, begun.results), step.result)
            call = Call(run.books, f"{key}:undo", begun.owner, begun.results, undone)
            agent.call(compensation, call, _resolved(task.compensation_parameters, begun.results))
    except (Exception, _TimedOut) as error:
        message, again = _explain(error, task)
        over = step.undo_attempts + 1 >= MAX_UNDO_ATTEMPTS or not again
        patiently(lambda: _undo_failed(run, name, message, over))
        if over:
            return
        raise StepFailed(message, again=True) from error
    patiently(lambda: _undone(run, name))


def die_with_parent() -> None:
    """Have the kernel kill this process when the run's worker dies, so that no step acts after its run is dead.

    Does nothing where the step runs in the worker itself.
    """
    worker = multiprocessing.parent_process()
    if worker is None:
        return
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != worker.pid:
        # It died before the kernel was told.
        os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class _Begun:
    spec: WorkflowSpec
    task: Task
    step: journal.Step
    owner: str
    results: Mapping[str, Mapping[str, Any]]


@contextmanager
def workflow_lock(books: BrandStore, key: str) -> Iterator[tuple["Connection", int]]:
    """One transaction on a workflow that no other writer of the same workflow overlaps, and the brand's id."""
    with books.store.write(f"workflow:{key}") as connection:
        yield connection, brand_id(connection, books.settings)


def _begin(run: Run, name: str) -> "_Begun | bool":
    with workflow_lock(run.books, run.workflow) as (connection, brand):
        workflow, steps = _own(connection, brand, run)
        spec = WorkflowSpec.model_validate(workflow.spec)
        step = steps[name]
        if step.state in journal.OVER:
            return True
        failed = any(other.state == "failed" for other in steps.values())
        if workflow.state != "running" or (failed and not spec.continue_on_failure):
            return False
        sequence = step.sequence or journal.next_sequence(connection, workflow.id)
        journal.change_step(
            connection,
            workflow.id,
            name,
            state="intent",
            attempts=step.attempts + 1,
            sequence=sequence,
            run_id=run.run_id,
            started_at=step.started_at or datetime.now(UTC),
        )
        journal.emit(connection, workflow.id, "step.started", name, {"attempt": step.attempts + 1})
        results = {other.name: other.result for other in steps.values() if other.result is not None}
        return _Begun(spec, spec.task(name), step, workflow.owner, results)


def _ask(run: Run, task: Task) -> bool:
    hours = task.parameters.get("timeout_hours")
    with workflow_lock(run.books, run.workflow) as (connection, brand):
        workflow, _ = _own(connection, brand, run)
        question = str(task.parameters.get("question") or f"May {task.name!r} go on?")
        expires = datetime.now(UTC) + timedelta(hours=float(hours)) if hours else None
        approval = journal.ask(connection, brand, workflow, task.name, question, expires)
        if approval.state != "approved":
            # A question that was asked is no attempt at anything.
            journal.change_step(connection, workflow.id, task.name, state="pending", attempts=0)
            return False
    _finish(run, task.name, {"approved_by": approval.decided_by, "comment": approval.comment})
    return True


def _finish(run: Run, name: str, result: Mapping[str, Any]) -> None:
    with workflow_lock(run.books, run.workflow) as (connection, brand):
        workflow, steps = _own(connection, brand, run)
        now = datetime.now(UTC)
        values = {"state": "done", "result": dict(result), "error": None, "ended_at": now}
        journal.change_step(connection, workflow.id, name, **values)
        journal.emit(connection, workflow.id, "step.done", name)
        journal.raise_progress(connection, workflow.id)
        if workflow.crashes:
            journal.reset_crashes(connection, workflow.id)
        if workflow.state == "running" and all(s.state in journal.OVER for s in steps.values() if s.name != name):
            journal.change(connection, workflow, kind="workflow.completed", state="completed", ended_at=now)


def _fail(run: Run, spec: WorkflowSpec, task: Task, message: str, final: bool) -> None:
    with workflow_lock(run.books, run.workflow) as (connection, brand):
        workflow, steps = _own(connection, brand, run)
        if not final:
            journal.change_step(connection, workflow.id, task.name, error=message)
            journal.emit(connection, workflow.id, "step.retried", task.name, {"error": message})
            return
        now = datetime.now(UTC)
        state = "failed_allowed" if task.allow_failure else "failed"
        journal.change_step(connection, workflow.id, task.name, state=state, error=message, ended_at=now)
        journal.emit(
            connection, workflow.id, "step.failed", task.name, {"error": message, "allowed": task.allow_failure}
        )
        journal.raise_progress(connection, workflow.id)
        others = all(s.state in journal.OVER for s in steps.values() if s.name != task.name)
        if task.allow_failure and others and workflow.state == "running":
            journal.change(connection, workflow, kind="workflow.completed", state="completed", ended_at=now)


def _begin_undo(run: Run, name: str) -> _Begun | None:
    with workflow_lock(run.books, run.workflow) as (connection, brand):
        workflow, steps = _own(connection, brand, run)
        step = steps[name]
        if workflow.state != "compensating":
            raise Fenced(f"workflow {run.workflow} is {workflow.state}")
        if not step.may_have_acted:
            return None
        journal.change_step(
            connection, workflow.id, name, state="compensating", undo_attempts=step.undo_attempts + 1, run_id=run.run_id
        )
        journal.emit(connection, workflow.id, "step.undoing", name, {"attempt": step.undo_attempts + 1})
        results = {other.name: other.result for other in steps.values() if other.result is not None}
        spec = WorkflowSpec.model_validate(workflow.spec)
        return _Begun(spec, spec.task(name), step, workflow.owner, results)


def _undone(run: Run, name: str) -> None:
    _close(run, name, "compensated", "step.undone", {})


def _kept(run: Run, name: str) -> None:
    _close(run, name, "compensated", "step.kept", {"why": "nothing of it can or need be undone"})


def _undo_failed(run: Run, name: str, message: str, over: bool) -> None:
    if over:
        _close(run, name, "compensation_failed", "step.undo_failed", {"error": message}, error=message)
        return
    with workflow_lock(run.books, run.workflow) as (connection, brand):
        workflow, _ = _own(connection, brand, run)
        journal.emit(connection, workflow.id, "step.undo_retried", name, {"error": message})


def _close(run: Run, name: str, state: str, kind: str, details: dict[str, Any], **values: Any) -> None:
    with workflow_lock(run.books, run.workflow) as (connection, brand):
        workflow, _ = _own(connection, brand, run)
        journal.change_step(connection, workflow.id, name, state=state, ended_at=datetime.now(UTC), **values)
        journal.emit(connection, workflow.id, kind, name, details)


def _own(connection: "Connection", brand: int, run: Run) -> tuple[journal.Workflow, dict[str, journal.Step]]:
    workflow = journal.find(connection, brand, run.workflow)
    if workflow.epoch != run.epoch or workflow.run_id != run.run_id:
        raise Fenced(f"workflow {run.workflow} has gone on in epoch {workflow.epoch}, run {workflow.run_id}")
    return workflow, {step.name: step for step in journal.steps(connection, workflow.id)}


def _resolved(parameters: Mapping[str, Any], results: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    try:
        return resolve(parameters, results)
    except KeyError as error:
        raise AgentError(f"the result {error} of an earlier task, which it needs, is not there") from error


def _as_far_as_known(parameters: Mapping[str, Any], results: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    # The task may have failed because a result was missing; its parameters are then shown as they were written.
    try:
        return resolve(parameters, results)
    except KeyError:
        return parameters


def _explain(error: BaseException, task: Task) -> tuple[str, bool]:
    """What to tell, and whether trying again may help."""
    if isinstance(error, _TimedOut):
        return f"it took longer than {task.timeout_seconds:g} s", True
    if isinstance(error, ValidationError):
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        return f"its parameters do not fit: {problems}", False
    # What others say of a failure may repeat what somebody typed.
    if isinstance(error, AgentError):
        return redact(str(error))[:2000], False
    return redact(f"{type(error).__name__}: {error}")[:2000], True


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Interrupt the body after so many seconds. Works in a process's main thread, where Dagster runs its steps."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(_number: int, _frame: object) -> None:
        raise _TimedOut

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
