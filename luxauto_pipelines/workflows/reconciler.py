"""Looks at every workflow that has not ended and does what its state calls for, however it came about.

Level-triggered: nothing depends on having seen an event. It may be stopped at any point and run by several at once. One
workflow that cannot be looked after does not keep the others from it.
"""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg

from luxauto_pipelines.workflows import control, runs
from luxauto_pipelines.workflows.spec import APPROVAL, WorkflowSpec
from luxauto_pipelines.workflows.steps import MAX_UNDO_ATTEMPTS, workflow_lock
from resources.store import journal
from resources.store.brand_store import BrandStore

if TYPE_CHECKING:
    from sqlalchemy import Connection

MAX_CRASHES = 5
BATCH = 200
_OVER = ("succeeded", "failed", "cancelled")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tally:
    """What one round found: workflows looked after, and the keys of those where that failed, with the error."""

    seen: int
    faults: dict[str, str]


def reconcile_all(books: BrandStore, instance: dg.DagsterInstance) -> Tally:
    """One round over all workflows that have not ended."""
    seen, after, faults = 0, 0, {}
    while True:
        with books.read() as (connection, brand):
            batch = journal.active(connection, brand, BATCH, after)
        for _, key in batch:
            try:
                reconcile(books, instance, key)
            except Exception as error:
                log.exception("workflow %s could not be looked after", key)
                faults[key] = f"{type(error).__name__}: {error}"
        if len(batch) < BATCH:
            return Tally(seen + len(batch), faults)
        seen, after = seen + len(batch), batch[-1][0]


def reconcile(books: BrandStore, instance: dg.DagsterInstance, key: str) -> None:
    """Do what the workflow's state calls for, if it calls for anything."""
    with books.read() as (connection, brand):
        workflow = journal.find(connection, brand, key)
    if workflow.state not in journal.ACTIVE:
        return
    run = runs.state_of(instance, workflow.run_id) if workflow.run_id else "missing"
    if run in ("working", "waiting") and workflow.state == "cancelling":
        control.stop_run(books, instance, workflow)
        return
    if run == "working":
        return
    if run in _OVER and not runs.stop_worker(instance, str(workflow.run_id)):
        return
    if run in _OVER or workflow.state == "cancelling":
        with workflow_lock(books, key) as (connection, brand):
            current = journal.find(connection, brand, key)
            if current.state in journal.ACTIVE and current.segment == workflow.segment:
                _Case(connection, brand, current, run).settle()
    control.start_claimed(books, instance, key)


class _Case:
    """One workflow whose newest run is over, under its lock: what now?"""

    def __init__(self, connection: "Connection", brand: int, workflow: journal.Workflow, run: str) -> None:
        self.connection = connection
        self.brand = brand
        self.workflow = workflow
        self.run = run
        self.spec = WorkflowSpec.model_validate(workflow.spec)
        self.steps = journal.steps(connection, workflow.id)

    def settle(self) -> None:
        if self.workflow.state == "compensating":
            self._after_compensation()
        elif self.workflow.state == "cancelling":
            self._undo("cancelled", self.workflow.reason or "cancelled")
        elif self.run == "cancelled":
            self._undo("cancelled", "its run was cancelled in Dagster")
        else:
            self._after_forward()

    def _after_forward(self) -> None:
        self._close_interrupted()
        self._close_refused()
        failed = [step for step in self.steps if step.state == "failed"]
        left = self._unblocked({step.name for step in failed})
        approvals = journal.approvals(self.connection, self.brand, workflow=self.workflow.key)
        todo = control.to_do(self.workflow, self.steps, approvals)
        if all(step.state in journal.OVER for step in self.steps):
            self._change("workflow.completed", state="completed", ended_at=datetime.now(UTC))
        elif failed and not (self.spec.continue_on_failure and left):
            self._fail("; ".join(f"{step.name}: {step.error}" for step in failed))
        elif self.workflow.state == "paused":
            return
        elif not todo:
            if self.workflow.state == "running":
                self._change("workflow.waiting", state="waiting")
        elif self.workflow.crashes >= MAX_CRASHES:
            self._fail(f"{MAX_CRASHES} runs in a row ended before any task was done")
        else:
            self._claim("forward", "workflow.continued", state="running", crashes=self.workflow.crashes + 1)

    def _close_interrupted(self) -> None:
        """Steps whose worker died: those with attempts left stay as they are and are taken up again under the same key."""
        for step in self.steps:
            task = self.spec.task(step.name)
            # Asking a person is no effect, and may be repeated at will.
            again = step.attempts <= task.retry_count or (task.agent_type, task.agent_method) == APPROVAL
            if step.state != "intent" or again:
                continue
            state = "failed_allowed" if task.allow_failure else "failed"
            self._close(step, state, step.error or f"its worker died, {step.attempts} times")

    def _close_refused(self) -> None:
        """Approvals that were rejected, or that nobody gave in time."""
        now = datetime.now(UTC)
        for approval in journal.approvals(self.connection, self.brand, workflow=self.workflow.key):
            state = approval.state
            if state == "pending" and approval.expires_at is not None and approval.expires_at <= now:
                journal.decide(self.connection, self.brand, approval, "expired", "the clock")
                state = "expired"
            step = next(step for step in self.steps if step.name == approval.step)
            if state in ("rejected", "expired") and step.state == "pending":
                why = f"{state} by {approval.decided_by}" if state == "rejected" else "nobody answered in time"
                self._close(step, "failed", f"{why}{f': {approval.comment}' if approval.comment else ''}")

    def _close(self, step: journal.Step, state: str, error: str) -> None:
        journal.change_step(
            self.connection, self.workflow.id, step.name, state=state, error=error, ended_at=datetime.now(UTC)
        )
        details = {"error": error, "allowed": state == "failed_allowed"}
        journal.emit(self.connection, self.workflow.id, "step.failed", step.name, details)
        journal.raise_progress(self.connection, self.workflow.id)
        self.steps = journal.steps(self.connection, self.workflow.id)

    def _unblocked(self, failed: set[str]) -> list[str]:
        """What is not over and not after a failed task; some of it may be behind an approval."""
        left = [step.name for step in self.steps if step.state not in journal.OVER and step.name not in failed]
        return [name for name in left if not (self.spec.ancestors(name) & failed)]

    def _fail(self, reason: str) -> None:
        if self.spec.rolls_back:
            self._undo("failed", reason)
        else:
            self._change("workflow.failed", state="failed", reason=reason, ended_at=datetime.now(UTC))

    def _undo(self, ends_as: str, reason: str) -> None:
        values = {"reason": reason, "ends_as": ends_as, "epoch": self.workflow.epoch + 1}
        if self.spec.enable_rollback and control.to_undo(self.steps):
            self._claim("compensation", "workflow.compensating", state="compensating", crashes=0, **values)
        else:
            self._end(ends_as, **values)

    def _after_compensation(self) -> None:
        left = [step for step in self.steps if step.may_have_acted]
        for step in left:
            if step.undo_attempts >= MAX_UNDO_ATTEMPTS:
                self._give_up(step)
        if any(step.may_have_acted for step in self.steps):
            if self.workflow.crashes < MAX_CRASHES * MAX_UNDO_ATTEMPTS:
                self._claim("compensation", "workflow.undo_continued", crashes=self.workflow.crashes + 1)
                return
            for step in left:
                self._give_up(step)
        stuck = [step.name for step in self.steps if step.state == "compensation_failed"]
        if stuck:
            self._change("workflow.needs_attention", state="needs_attention", ended_at=datetime.now(UTC))
            details = {"workflow": self.workflow.name, "not_undone": stuck, "reason": self.workflow.reason}
            journal.call_for_attention(self.connection, self.brand, self.workflow, details)
        else:
            self._end(str(self.workflow.ends_as))
            journal.settle_attention(self.connection, self.brand, self.workflow)

    def _give_up(self, step: journal.Step) -> None:
        error = step.error or "its worker died each time"
        journal.change_step(self.connection, self.workflow.id, step.name, state="compensation_failed", error=error)
        journal.emit(self.connection, self.workflow.id, "step.undo_failed", step.name, {"error": error})
        self.steps = journal.steps(self.connection, self.workflow.id)

    def _end(self, state: str, **values: Any) -> None:
        rolled_back = self.spec.enable_rollback
        ended = {"state": state, "rolled_back": rolled_back, "ended_at": datetime.now(UTC)}
        self._change(f"workflow.{state}", **{**values, **ended})

    def _change(self, kind: str, **values: Any) -> None:
        changed = journal.change(self.connection, self.workflow, kind=kind, **values)
        if changed and values.get("state") in journal.ENDED:
            journal.withdraw_questions(self.connection, self.workflow.id)

    def _claim(self, role: str, kind: str, **values: Any) -> None:
        runs.claim(self.connection, self.workflow, role, kind=kind, **values)
