"""How a workflow stands, in the words of the REST contract: status, progress, timeline."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from luxauto_pipelines import __version__
from luxauto_pipelines.agents.registry import all_agents
from luxauto_pipelines.workflows.templates import WorkflowType
from resources.store import journal
from resources.store.brand_store import BrandStore

# Clients poll until completed, failed or cancelled. While something is still being undone it has not ended.
_PUBLIC = {
    "waiting": "paused",
    "cancelling": "running",
    "compensating": "running",
    "needs_attention": "failed",
}
_UNDO_EVENTS = {
    "step.undone": "compensated",
    "step.kept": "nothing to undo",
    "step.undo_failed": "compensation_failed",
    "step.undo_retried": "retried",
}


def public_state(state: str) -> str:
    """The contract's word for a state of the journal."""
    return _PUBLIC.get(state, state)


def read_status(books: BrandStore, key: str) -> dict[str, Any]:
    """The contract's `GET /workflows/{id}/status`. Raises UnknownWorkflow."""
    with books.read() as (connection, brand):
        workflow, steps = journal.find_with_steps(connection, brand, key)
        waiting = (
            journal.approvals(connection, brand, workflow=key, state="pending") if workflow.state == "waiting" else []
        )
        undone = undoings(journal.events(connection, workflow.id, limit=100_000)) if workflow.epoch else []
    return {
        "workflow_id": workflow.key,
        "name": workflow.name,
        "type": workflow.type,
        "owner": workflow.owner,
        "status": public_state(workflow.state),
        "state": workflow.state,
        "run_id": workflow.run_id,
        "progress": progress(workflow, steps),
        "timing": timing(workflow),
        "results": {step.name: step.result for step in steps if step.result is not None},
        "errors": {step.name: step.error for step in steps if step.error is not None and step.state != "done"},
        "reason": workflow.reason,
        "rolled_back": workflow.rolled_back,
        "compensations": undone,
        "waiting_for": [{"approval_id": str(a.id), "task": a.step, "question": a.question} for a in waiting],
    }


def progress(workflow: journal.Workflow, steps: Sequence[journal.Step]) -> dict[str, Any]:
    """Counts of tasks and the percentage, which is weighted and never falls."""
    return {
        "total_tasks": len(steps),
        "completed_tasks": sum(step.state == "done" for step in steps),
        "failed_tasks": sum(
            step.state in ("failed", "failed_allowed") or bool(step.undo_attempts and step.error) for step in steps
        ),
        "current_tasks": [step.name for step in steps if step.state in ("intent", "compensating")]
        if workflow.state in journal.ACTIVE
        else [],
        "percentage": round(workflow.progress * 100, 2),
    }


def timing(workflow: journal.Workflow) -> dict[str, Any]:
    """When it began and ended, and the seconds in between or until now."""
    end = workflow.ended_at or datetime.now(UTC)
    seconds = (end - workflow.started_at).total_seconds() if workflow.started_at else None
    return {"start_time": workflow.started_at, "end_time": workflow.ended_at, "duration_seconds": seconds}


def undoings(events: Sequence[journal.Event]) -> list[dict[str, Any]]:
    """What was undone, in the order in which it was."""
    return [
        {"task": event.step, "status": _UNDO_EVENTS[event.kind], "at": event.at, "error": event.details.get("error")}
        for event in events
        if event.kind in _UNDO_EVENTS
    ]


def timeline(steps: Sequence[journal.Step]) -> list[dict[str, Any]]:
    """One row a step: state, attempts, times."""
    return [
        {
            "task": step.name,
            "state": step.state,
            "attempts": step.attempts,
            "undo_attempts": step.undo_attempts,
            "weight": step.weight,
            "started_at": step.started_at,
            "ended_at": step.ended_at,
            "error": step.error,
        }
        for step in steps
    ]


def engine_status(books: BrandStore) -> Mapping[str, Any]:
    """The contract's `status` of the engine."""
    with books.read() as (connection, brand):
        counts = journal.counts(connection, brand)
        executed, tasks, rolled_back = journal.totals(connection, brand)
    return {
        "engine_name": "workflow_engine",
        "version": __version__,
        "workflows": {
            "total_workflows": sum(counts.values()),
            "active_workflows": sum(counts.get(state, 0) for state in journal.ACTIVE),
            "workflows_executed": executed,
            "by_state": counts,
        },
        "tasks": {"tasks_executed": tasks},
        "reliability": {"rollbacks_performed": rolled_back, "need_attention": counts.get("needs_attention", 0)},
        "registered_agents": sorted(all_agents()),
        "available_templates": [kind.value for kind in WorkflowType],
    }
