"""What people and programs do to workflows: create, execute, pause, resume, cancel, approve. The gateway and the CLI call this.

Each is one transaction on the journal; what Dagster has to do follows from the state, here at once or by the reconciler later.
Does not belong here: how states follow from runs (`reconciler`).
"""

import hashlib
import uuid
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg

from luxauto_pipelines.workflows import runs
from luxauto_pipelines.workflows.spec import InvalidWorkflow, WorkflowSpec, check
from luxauto_pipelines.workflows.steps import workflow_lock
from resources.card_data import find_card_data
from resources.store import journal
from resources.store.audit import record
from resources.store.brand_store import BrandStore

if TYPE_CHECKING:
    from sqlalchemy import Connection


@dataclass(frozen=True)
class Actor:
    """Who asks, for the audit log."""

    name: str
    request_id: str | None = None
    address: str | None = None

    def as_audit(self) -> dict[str, Any]:
        return {"actor": self.name, "request_id": self.request_id, "address": self.address}


def create(
    books: BrandStore, spec: WorkflowSpec, actor: Actor, owner: str | None = None, effect: str | None = None
) -> journal.Workflow:
    """Store the workflow; it belongs to the actor if to nobody else. Asked for the same `effect` again, the first one is given.

    Raises InvalidWorkflow.
    """
    check(spec)
    as_told = spec.model_dump(mode="json")
    place = find_card_data(as_told)
    if place is not None:
        raise InvalidWorkflow([(place, "holds what looks like payment card data, which is taken nowhere")])
    key = f"wf_{hashlib.sha256((effect or uuid.uuid4().hex).encode()).hexdigest()[:32]}"
    with workflow_lock(books, key) as (connection, brand):
        if effect is not None:
            with suppress(journal.UnknownWorkflow):
                return journal.find(connection, brand, key)
        steps = [(task.name, task.weight) for task in spec.tasks]
        workflow = journal.create(connection, brand, key, as_told, owner or actor.name, steps)
        record(connection, brand, "workflow.create", key, {"name": spec.name, "type": spec.type}, **actor.as_audit())
    return workflow


def execute(books: BrandStore, instance: dg.DagsterInstance, key: str, actor: Actor) -> journal.Workflow:
    """Start it. A second call changes nothing and gives the same run. Raises UnknownWorkflow."""
    with workflow_lock(books, key) as (connection, brand):
        workflow = journal.find(connection, brand, key)
        if workflow.state == "pending":
            runs.claim(
                connection, workflow, "forward", kind="workflow.started", state="running", started_at=datetime.now(UTC)
            )
            record(connection, brand, "workflow.execute", key, {}, **actor.as_audit())
    return start_claimed(books, instance, key)


def start_claimed(books: BrandStore, instance: dg.DagsterInstance, key: str) -> journal.Workflow:
    """Have Dagster make the run that the journal names, unless it is there. Safe to repeat."""
    with books.read() as (connection, brand):
        workflow = journal.find(connection, brand, key)
        steps = journal.steps(connection, workflow.id)
        approvals = journal.approvals(connection, brand, workflow=key)
    if workflow.run_id is not None and workflow.state in ("running", "compensating"):
        names = to_undo(steps) if workflow.run_role == "compensation" else to_do(workflow, steps, approvals)
        if names:
            runs.ensure(instance, books, workflow, names)
    return workflow


def to_do(workflow: journal.Workflow, steps: list[journal.Step], approvals: list[journal.Approval]) -> list[str]:
    """The tasks that a forward run can see to now: not over, nor behind a failed one or an approval that nobody has given."""
    spec = WorkflowSpec.model_validate(workflow.spec)
    closed = {a.step for a in approvals if a.state == "pending"} | {s.name for s in steps if s.state == "failed"}
    return [
        step.name
        for step in steps
        if step.state not in journal.OVER and step.name not in closed and not (spec.ancestors(step.name) & closed)
    ]


def to_undo(steps: list[journal.Step]) -> list[str]:
    """The tasks whose effects happened or may have happened."""
    return [step.name for step in steps if step.may_have_acted]


def pause(books: BrandStore, key: str, actor: Actor) -> journal.Workflow:
    """Let tasks that are under way end and start no further one. Raises WorkflowConflict unless it is running or waiting."""
    return _move(books, key, actor, ("running", "waiting"), "paused", "workflow.pause", "workflow.paused")


def resume(books: BrandStore, instance: dg.DagsterInstance, key: str, actor: Actor) -> journal.Workflow:
    """Go on after a pause, or from the failed task of a workflow that was not rolled back. What is done is not repeated.

    One that needs attention goes on with its undoing. Raises WorkflowConflict where there is nothing to go on with.
    """
    with workflow_lock(books, key) as (connection, brand):
        workflow = journal.find(connection, brand, key)
        steps = journal.steps(connection, workflow.id)
        undone = [step.name for step in steps if step.undo_attempts]
        if workflow.state == "needs_attention":
            _undo_again(connection, workflow, steps)
        elif workflow.state not in ("paused", "failed") or undone:
            why = "it was rolled back; create it anew" if undone else "only a paused or failed workflow can be resumed"
            raise journal.WorkflowConflict(f"workflow {key} is {workflow.state}: {why}")
        else:
            _do_again(connection, brand, instance, workflow)
        record(connection, brand, "workflow.resume", key, {}, **actor.as_audit())
    return start_claimed(books, instance, key)


def _undo_again(connection: "Connection", workflow: journal.Workflow, steps: list[journal.Step]) -> None:
    for step in steps:
        if step.state == "compensation_failed":
            journal.change_step(connection, workflow.id, step.name, state="compensating", undo_attempts=0)
    values = {"state": "compensating", "ended_at": None, "crashes": 0}
    runs.claim(connection, workflow, "compensation", kind="workflow.undo_continued", **values)


def _do_again(connection: "Connection", brand: int, instance: dg.DagsterInstance, workflow: journal.Workflow) -> None:
    for step in journal.steps(connection, workflow.id):
        if step.state == "failed":
            journal.change_step(connection, workflow.id, step.name, state="pending", attempts=0, ended_at=None)
            journal.withdraw_answer(connection, workflow.id, step.name)
    values = {"state": "running", "ended_at": None, "reason": None, "crashes": 0}
    if workflow.run_id and runs.state_of(instance, workflow.run_id) in ("waiting", "working"):
        # The run is still on its last task; the reconciler starts the next one when it is over.
        journal.change(connection, workflow, kind="workflow.resumed", **values)
    elif not to_do(
        workflow,
        journal.steps(connection, workflow.id),
        journal.approvals(connection, brand, workflow=workflow.key),
    ):
        # Everything that is left is behind an approval: a run would have nothing to do.
        journal.change(connection, workflow, kind="workflow.resumed", **{**values, "state": "waiting"})
    else:
        runs.claim(connection, workflow, "forward", kind="workflow.resumed", **values)


def cancel(books: BrandStore, instance: dg.DagsterInstance, key: str, actor: Actor) -> journal.Workflow:
    """End it and undo what was done. Raises WorkflowConflict when it has ended already."""
    with workflow_lock(books, key) as (connection, brand):
        workflow = journal.find(connection, brand, key)
        if workflow.state == "pending":
            ended = {"state": "cancelled", "ended_at": datetime.now(UTC), "reason": "cancelled before it began"}
            journal.change(connection, workflow, kind="workflow.cancelled", **ended)
        elif workflow.state in ("running", "waiting", "paused"):
            reason = f"cancelled by {actor.name}"
            journal.change(connection, workflow, kind="workflow.cancelling", state="cancelling", reason=reason)
        elif workflow.state != "cancelling":
            raise journal.WorkflowConflict(
                f"workflow {key} is {workflow.state}; only one that has not ended can be cancelled"
            )
        record(connection, brand, "workflow.cancel", key, {}, **actor.as_audit())
        workflow = journal.find(connection, brand, key)
    if workflow.state == "cancelling" and workflow.run_id:
        stop_run(books, instance, workflow)
    return workflow


def stop_run(books: BrandStore, instance: dg.DagsterInstance, workflow: journal.Workflow) -> None:
    """Have Dagster end the workflow's run. One at a time: of two at once, the second would call a cancelled run back."""
    with workflow_lock(books, workflow.key):
        runs.cancel(instance, str(workflow.run_id))


def decide(
    books: BrandStore, approval: journal.Approval, *, approved: bool, actor: Actor, comment: str | None = None
) -> journal.Approval:
    """Answer an approval. Raises WorkflowConflict when it was answered before or its workflow does not wait any more."""
    with workflow_lock(books, approval.workflow) as (connection, brand):
        workflow = journal.find(connection, brand, approval.workflow)
        state = "approved" if approved else "rejected"
        if workflow.state not in ("running", "waiting", "paused"):
            raise journal.WorkflowConflict(
                f"workflow {workflow.key} is {workflow.state}; nothing waits for this answer"
            )
        if not journal.decide(connection, brand, approval, state, actor.name, comment):
            raise journal.WorkflowConflict(f"approval {approval.id} was answered before")
        record(connection, brand, f"approval.{state}", str(approval.id), {"workflow": workflow.key}, **actor.as_audit())
        return journal.approvals(connection, brand, number=approval.id)[0]


def _move(
    books: BrandStore, key: str, actor: Actor, states: tuple[str, ...], state: str, action: str, kind: str
) -> journal.Workflow:
    with workflow_lock(books, key) as (connection, brand):
        workflow = journal.find(connection, brand, key)
        if workflow.state == state:
            return workflow
        if workflow.state not in states:
            raise journal.WorkflowConflict(
                f"workflow {key} is {workflow.state}; it would have to be {' or '.join(states)}"
            )
        journal.change(connection, workflow, kind=kind, state=state)
        record(connection, brand, action, key, {}, **actor.as_audit())
        return journal.find(connection, brand, key)
