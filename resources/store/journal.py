"""The journal of workflows: intents, outcomes and undoings, each with its event in the same transaction.

Belongs here: every read and write of `workflows`, `workflow_steps`, `workflow_events` and `approvals`. A write names the state
that it expects, so that of two who act on the same workflow one changes nothing. Does not belong here: what follows from a
state (`luxauto_pipelines.workflows`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from resources.store.bulk import as_instant, as_json, insert_row, run

if TYPE_CHECKING:
    from sqlalchemy import Connection

ENDED = ("completed", "failed", "cancelled", "needs_attention")
# A workflow in one of these is looked after by the reconciler.
ACTIVE = ("running", "waiting", "paused", "cancelling", "compensating")
OVER = ("done", "failed_allowed", "skipped")
_WORKFLOW = """id, key, name, type, spec, owner, state, epoch, segment, run_id, run_role, crashes, progress, ends_as,
    rolled_back, reason, created_at, started_at, ended_at"""
_STEP = "name, position, weight, state, attempts, undo_attempts, sequence, run_id, result, error, started_at, ended_at"
_EVENT = "e.id, e.sequence, e.kind, e.step, e.at, e.details"
_APPROVAL = """a.id, w.key, a.step, a.question, a.state, a.requested_at, a.expires_at, a.decided_at, a.decided_by, a.comment,
    w.owner"""


class UnknownWorkflow(LookupError):
    """There is no workflow of this id."""


class WorkflowConflict(Exception):
    """The workflow is in a state in which this cannot be done; the message says in which."""


@dataclass(frozen=True)
class Workflow:
    """A row of `workflows`; `id` is the store's number, `key` the id that others use."""

    id: int
    key: str
    name: str
    type: str
    spec: Mapping[str, Any]
    owner: str
    state: str
    epoch: int
    segment: int
    run_id: str | None
    run_role: str | None
    crashes: int
    progress: float
    ends_as: str | None
    rolled_back: bool
    reason: str | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True)
class Step:
    """A row of `workflow_steps`."""

    name: str
    position: int
    weight: float
    state: str
    attempts: int
    undo_attempts: int
    sequence: int | None
    run_id: str | None
    result: Mapping[str, Any] | None
    error: str | None
    started_at: datetime | None
    ended_at: datetime | None

    @property
    def may_have_acted(self) -> bool:
        """Whether there may be an effect to undo: an intent was written and nothing was undone yet."""
        return self.attempts > 0 and self.state not in ("compensated", "compensation_failed", "pending", "skipped")


@dataclass(frozen=True)
class Event:
    """A row of `workflow_events`."""

    id: int
    sequence: int
    kind: str
    step: str | None
    at: datetime
    details: Mapping[str, Any]


@dataclass(frozen=True)
class Approval:
    """A row of `approvals`, with its workflow's key and owner."""

    id: int
    workflow: str
    step: str
    question: str
    state: str
    requested_at: datetime
    expires_at: datetime | None
    decided_at: datetime | None
    decided_by: str | None
    comment: str | None
    owner: str


def create(
    connection: "Connection",
    brand: int,
    key: str,
    spec: Mapping[str, Any],
    owner: str,
    steps: Iterable[tuple[str, float]],
) -> Workflow:
    """Store a pending workflow and its steps (name, weight), in their order."""
    row = {
        "brand_id": brand,
        "key": key,
        "name": spec["name"],
        "type": spec["type"],
        "spec": dict(spec),
        "owner": owner,
    }
    start = {"state": "pending", "epoch": 0, "segment": 0, "crashes": 0, "progress": 0.0, "rolled_back": False}
    number = insert_row(connection, "workflows", {**row, **start, "created_at": datetime.now(UTC)})
    for position, (name, weight) in enumerate(steps):
        step = {"brand_id": brand, "workflow_id": number, "name": name, "position": position, "weight": weight}
        insert_row(connection, "workflow_steps", {**step, "state": "pending", "attempts": 0, "undo_attempts": 0})
    emit(connection, number, "workflow.created", details={"name": spec["name"], "owner": owner})
    return find(connection, brand, key)


def find(connection: "Connection", brand: int, key: str) -> Workflow:
    """Raises UnknownWorkflow."""
    query = f"SELECT {_WORKFLOW} FROM workflows WHERE brand_id = :brand AND key = :key"
    row = run(connection, query, {"brand": brand, "key": key}).fetchone()
    if row is None:
        raise UnknownWorkflow(f"there is no workflow {key!r}")
    return _workflow(row)


def active(connection: "Connection", brand: int, limit: int, after: int = 0) -> list[tuple[int, str]]:
    """Ids and keys of workflows that somebody has to look after, oldest first, with an id above `after`.

    Nothing more is read here: one row that cannot be read must not hide the others.
    """
    states = ", ".join(f"'{state}'" for state in ACTIVE)
    query = f"""
        SELECT id, key FROM workflows
        WHERE brand_id = :brand AND state IN ({states}) AND id > :after ORDER BY id LIMIT {limit}
    """
    rows: Any = run(connection, query, {"brand": brand, "after": after})
    return [(int(number), str(key)) for number, key in rows]


def newest(
    connection: "Connection", brand: int, limit: int, before: int | None = None, owner: str | None = None
) -> list[Workflow]:
    """Workflows, newest first, with an id below `before`; those of one owner if that is given."""
    query = f"""
        SELECT {_WORKFLOW} FROM workflows
        WHERE brand_id = :brand AND id < :before AND (:owner = '' OR owner = :owner) ORDER BY id DESC LIMIT {limit}
    """
    values = {"brand": brand, "before": before if before is not None else 2**62, "owner": owner or ""}
    return [_workflow(row) for row in run(connection, query, values)]


def steps(connection: "Connection", workflow: int) -> list[Step]:
    """The steps in the order of the specification."""
    query = f"SELECT {_STEP} FROM workflow_steps WHERE workflow_id = :workflow ORDER BY position"
    return [_step(row) for row in run(connection, query, {"workflow": workflow})]


def find_with_steps(connection: "Connection", brand: int, key: str) -> tuple[Workflow, list[Step]]:
    """A workflow and its steps in one statement. Raises UnknownWorkflow."""
    columns = ", ".join([*(f"w.{name}" for name in _WORKFLOW_NAMES), *(f"s.{name}" for name in _STEP_NAMES)])
    query = f"""
        SELECT {columns} FROM workflows w JOIN workflow_steps s ON s.workflow_id = w.id
        WHERE w.brand_id = :brand AND w.key = :key ORDER BY s.position
    """
    rows = run(connection, query, {"brand": brand, "key": key}).fetchall()
    if not rows:
        raise UnknownWorkflow(f"there is no workflow {key!r}")
    width = len(_WORKFLOW_NAMES)
    return _workflow(rows[0][:width]), [_step(row[width:]) for row in rows]


def change(connection: "Connection", workflow: Workflow, *, kind: str, step: str | None = None, **values: Any) -> bool:
    """Set columns of the workflow if its state, epoch and run are still those of `workflow`; write the event `kind`.

    Returns False, and writes nothing, where somebody else was faster.
    """
    expected = "state = :old_state AND epoch = :old_epoch AND segment = :old_segment"
    assignments = ", ".join(f"{name} = :{name}" for name in values)
    old = {"old_state": workflow.state, "old_epoch": workflow.epoch, "old_segment": workflow.segment, "id": workflow.id}
    changed = run(connection, f"UPDATE workflows SET {assignments} WHERE id = :id AND {expected}", {**values, **old})
    if changed.rowcount != 1:
        return False
    told = {
        name: value
        for name, value in values.items()
        if name in ("state", "reason", "run_id", "run_role", "rolled_back")
    }
    emit(connection, workflow.id, kind, step, told)
    return True


def change_step(connection: "Connection", workflow: int, name: str, **values: Any) -> None:
    """Set columns of one step. The caller holds the workflow's lock and has looked at its state."""
    assignments = ", ".join(f"{column} = :{column}" for column in values)
    run(
        connection,
        f"UPDATE workflow_steps SET {assignments} WHERE workflow_id = :workflow AND name = :step_name",
        {**values, "workflow": workflow, "step_name": name},
    )


def next_sequence(connection: "Connection", workflow: int) -> int:
    query = "SELECT coalesce(max(sequence), 0) + 1 FROM workflow_steps WHERE workflow_id = :workflow"
    return int(run(connection, query, {"workflow": workflow}).scalar_one())


def raise_progress(connection: "Connection", workflow: int) -> None:
    """Bring the share of weight that is over up to date. It never falls, not even while steps are undone."""
    over = ", ".join(f"'{state}'" for state in OVER)
    run(
        connection,
        f"""
        UPDATE workflows SET progress = (
            SELECT CASE WHEN sum(CASE WHEN s.state IN ({over}) THEN s.weight ELSE 0 END) / sum(s.weight) > workflows.progress
                        THEN sum(CASE WHEN s.state IN ({over}) THEN s.weight ELSE 0 END) / sum(s.weight)
                        ELSE workflows.progress END
            FROM workflow_steps s WHERE s.workflow_id = workflows.id
        ) WHERE id = :workflow
        """,
        {"workflow": workflow},
    )


def reset_crashes(connection: "Connection", workflow: int) -> None:
    run(connection, "UPDATE workflows SET crashes = 0 WHERE id = :workflow", {"workflow": workflow})


def emit(
    connection: "Connection",
    workflow: int,
    kind: str,
    step: str | None = None,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Write an event, and a delivery of it for each subscription that wants it, in the transaction of the change itself."""
    event = run(
        connection,
        """
        INSERT INTO workflow_events (brand_id, workflow_id, sequence, kind, step, at, details)
        SELECT w.brand_id, w.id, coalesce((SELECT max(e.sequence) FROM workflow_events e WHERE e.workflow_id = w.id), 0) + 1,
               :kind, :step, :at, :details
        FROM workflows w WHERE w.id = :workflow RETURNING id
        """,
        {"workflow": workflow, "kind": kind, "step": step, "at": datetime.now(UTC), "details": dict(details or {})},
    ).scalar_one()
    run(
        connection,
        """
        INSERT INTO webhook_deliveries (brand_id, subscription_id, event_id, state, attempts, next_at)
        SELECT s.brand_id, s.id, e.id, 'pending', 0, e.at
        FROM workflow_events e JOIN webhook_subscriptions s ON s.brand_id = e.brand_id
        WHERE e.id = :event AND s.disabled_at IS NULL AND (s.kinds = '' OR s.kinds LIKE :pattern)
        """,
        {"event": event, "pattern": f"%,{kind},%"},
    )


def events(connection: "Connection", workflow: int, after: int = 0, limit: int = 500) -> list[Event]:
    """Events with a sequence above `after`, in order."""
    query = f"""
        SELECT {_EVENT} FROM workflow_events e
        WHERE e.workflow_id = :workflow AND e.sequence > :after ORDER BY e.sequence LIMIT {limit}
    """
    return [_event(row) for row in run(connection, query, {"workflow": workflow, "after": after})]


def ask(
    connection: "Connection", brand: int, workflow: Workflow, step: str, question: str, expires_at: datetime | None
) -> Approval:
    """The approval of a step; asked for now if it was not asked for before."""
    found = approvals(connection, brand, workflow=workflow.key, step=step)
    if not found:
        row = {"brand_id": brand, "workflow_id": workflow.id, "step": step, "question": question, "state": "pending"}
        insert_row(connection, "approvals", {**row, "requested_at": datetime.now(UTC), "expires_at": expires_at})
        emit(connection, workflow.id, "approval.requested", step, {"question": question})
        found = approvals(connection, brand, workflow=workflow.key, step=step)
    return found[0]


def approvals(
    connection: "Connection",
    brand: int,
    *,
    workflow: str | None = None,
    step: str | None = None,
    state: str | None = None,
    number: int | None = None,
    owner: str | None = None,
    before: int | None = None,
    limit: int = 200,
) -> list[Approval]:
    """Approvals that fit what is given, newest first."""
    query = f"""
        SELECT {_APPROVAL} FROM approvals a JOIN workflows w ON w.id = a.workflow_id
        WHERE a.brand_id = :brand AND (:workflow = '' OR w.key = :workflow) AND (:step = '' OR a.step = :step)
          AND (:state = '' OR a.state = :state) AND (:number = 0 OR a.id = :number)
          AND (:owner = '' OR w.owner = :owner) AND a.id < :before
        ORDER BY a.id DESC LIMIT {limit}
    """
    given = {"workflow": workflow or "", "step": step or "", "state": state or "", "owner": owner or ""}
    values = {"brand": brand, "number": number or 0, **given}
    return [
        _approval(row) for row in run(connection, query, {**values, "before": before if before is not None else 2**62})
    ]


def decide(
    connection: "Connection", brand: int, approval: Approval, state: str, by: str, comment: str | None = None
) -> bool:
    """Answer a pending question. Returns False when it has been answered before."""
    changed = run(
        connection,
        """
        UPDATE approvals SET state = :state, decided_at = :now, decided_by = :by, comment = :comment
        WHERE id = :id AND state = 'pending'
        """,
        {"id": approval.id, "state": state, "now": datetime.now(UTC), "by": by, "comment": comment},
    )
    if changed.rowcount != 1:
        return False
    workflow = find(connection, brand, approval.workflow)
    emit(connection, workflow.id, f"approval.{state}", approval.step, {"by": by, "comment": comment})
    return True


def withdraw_answer(connection: "Connection", workflow: int, step: str) -> None:
    """Forget that an approval was refused, so that it is asked for anew."""
    run(
        connection,
        "DELETE FROM approvals WHERE workflow_id = :workflow AND step = :step AND state IN ('rejected', 'expired')",
        {"workflow": workflow, "step": step},
    )


def withdraw_questions(connection: "Connection", workflow: int) -> None:
    """Close the approvals on which an ended workflow no longer waits."""
    run(
        connection,
        "UPDATE approvals SET state = 'expired', decided_at = :now WHERE workflow_id = :workflow AND state = 'pending'",
        {"workflow": workflow, "now": datetime.now(UTC)},
    )


def settle_attention(connection: "Connection", brand: int, workflow: Workflow) -> None:
    """Resolve the workflow's alert, if one was raised: its cause is gone."""
    run(
        connection,
        """
        UPDATE alerts SET status = 'resolved', resolved_at = :now
        WHERE brand_id = :brand AND kind = 'workflow' AND subject = :subject AND status <> 'resolved'
        """,
        {"brand": brand, "subject": workflow.key, "now": datetime.now(UTC)},
    )


def call_for_attention(connection: "Connection", brand: int, workflow: Workflow, details: Mapping[str, Any]) -> None:
    """Raise the workflow's alert, unless it is raised already."""
    run(
        connection,
        """
        INSERT INTO alerts (brand_id, kind, status, subject, opened_at, details)
        SELECT :brand, 'workflow', 'open', :subject, :now, :details WHERE NOT EXISTS (
            SELECT 1 FROM alerts WHERE brand_id = :brand AND kind = 'workflow' AND subject = :subject AND status <> 'resolved'
        )
        """,
        {"brand": brand, "subject": workflow.key, "now": datetime.now(UTC), "details": dict(details)},
    )


def counts(connection: "Connection", brand: int) -> dict[str, int]:
    """Workflows by state."""
    query = "SELECT state, count(*) FROM workflows WHERE brand_id = :brand GROUP BY state"
    rows: Any = run(connection, query, {"brand": brand})
    return {str(state): int(number) for state, number in rows}


def totals(connection: "Connection", brand: int) -> tuple[int, int, int]:
    """Workflows that were ever executed, tasks that were executed, workflows that were rolled back."""
    executed: Any = run(
        connection,
        """
        SELECT coalesce(sum(CASE WHEN started_at IS NOT NULL THEN 1 ELSE 0 END), 0),
               coalesce(sum(CASE WHEN rolled_back THEN 1 ELSE 0 END), 0)
        FROM workflows WHERE brand_id = :brand
        """,
        {"brand": brand},
    ).one()
    tasks = run(
        connection, "SELECT count(*) FROM workflow_steps WHERE brand_id = :brand AND attempts > 0", {"brand": brand}
    ).scalar_one()
    return int(executed[0]), int(tasks), int(executed[1])


def _names(columns: str) -> list[str]:
    return [name.strip() for name in columns.split(",")]


_WORKFLOW_NAMES = _names(_WORKFLOW)
_STEP_NAMES = _names(_STEP)


def _workflow(row: Any) -> Workflow:
    values = dict(zip(_WORKFLOW_NAMES, row, strict=True))
    times = {name: values[name] and as_instant(values[name]) for name in ("created_at", "started_at", "ended_at")}
    return Workflow(**{**values, **times, "spec": as_json(values["spec"]), "rolled_back": bool(values["rolled_back"])})


def _step(row: Any) -> Step:
    values = dict(zip(_STEP_NAMES, row, strict=True))
    times = {name: values[name] and as_instant(values[name]) for name in ("started_at", "ended_at")}
    return Step(**{**values, **times, "result": as_json(values["result"])})


def _event(row: Any) -> Event:
    values = row._asdict()
    return Event(**{**values, "at": as_instant(values["at"]), "details": as_json(values["details"])})


def _approval(row: Any) -> Approval:
    values = row._asdict()
    values["workflow"] = values.pop("key")
    times = {name: values[name] and as_instant(values[name]) for name in ("requested_at", "expires_at", "decided_at")}
    return Approval(**{**values, **times})
