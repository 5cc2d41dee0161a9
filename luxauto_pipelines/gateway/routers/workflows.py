"""Workflows over HTTP: create, execute, watch, steer; the approvals they wait for; and the webhooks that tell of them.

Does not belong here: what any of it means (`luxauto_pipelines.workflows`). Executing launches a Dagster run and
returns at once.
"""

import json
from collections.abc import AsyncIterator
from datetime import datetime
from functools import cache
from typing import Annotated, Any, Literal

import anyio
import dagster as dg
from fastapi import Depends, Header, Query, Request, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, Field
from pydantic_core import to_json
from starlette.concurrency import run_in_threadpool

from luxauto_pipelines.gateway.caching import etag_json
from luxauto_pipelines.gateway.dependencies import Books, Caller, EffectKey, Principal, requires
from luxauto_pipelines.gateway.pagination import Cursor, PageSize, read_cursor, write_cursor
from luxauto_pipelines.gateway.problems import PROBLEM_RESPONSES, Problem
from luxauto_pipelines.gateway.routing import router as make_router
from luxauto_pipelines.gateway.schema_types import Key, LargeJson, Line, Name, Strict
from luxauto_pipelines.workflows import control, status
from luxauto_pipelines.workflows.spec import InvalidWorkflow
from luxauto_pipelines.workflows.templates import WorkflowType, build_spec
from resources.store import journal
from resources.store.brand_store import BrandStore

router = make_router("", "Workflows")
EVENT_POLL_SECONDS = 0.5
EVENT_PING_SECONDS = 15.0
PublicState = Literal["pending", "running", "paused", "completed", "failed", "cancelled"]
ApprovalState = Literal["pending", "approved", "rejected", "expired"]


class CreateWorkflow(Strict):
    """A workflow from a template, or of your own tasks (`custom`)."""

    workflow_type: WorkflowType
    workflow_data: LargeJson = Field(
        default_factory=dict,
        examples=[{"brand_name": "Élégance Noir", "inventory_params": {"initial_products": 50}}],
        description="What the template asks for; for `custom` the tasks and their rules. See docs/workflows.md.",
    )
    owner: Name | None = Field(
        default=None, description="Subject whose workflow it is; only an admin may name another."
    )


class WorkflowCreated(BaseModel):
    success: bool = True
    workflow_id: str
    name: str
    type: str
    total_tasks: int
    status: PublicState


class WorkflowStarted(BaseModel):
    success: bool = True
    workflow_id: str
    message: str
    run_id: str | None = Field(description="The Dagster run that works on it")
    status_endpoint: str


class WorkflowMoved(BaseModel):
    success: bool = True
    workflow_id: str
    status: PublicState
    state: str


class Progress(BaseModel):
    total_tasks: int
    completed_tasks: int
    failed_tasks: int
    current_tasks: list[str]
    percentage: float = Field(description="Weighted; never falls")


class Timing(BaseModel):
    start_time: datetime | None
    end_time: datetime | None
    duration_seconds: float | None


class Compensation(BaseModel):
    task: str
    status: str
    at: datetime
    error: str | None


class Waiting(BaseModel):
    approval_id: str
    task: str
    question: str


class WorkflowStatus(BaseModel):
    workflow_id: str
    name: str
    type: str
    status: PublicState
    state: str = Field(description="As the engine sees it: also waiting, cancelling, compensating, needs_attention")
    run_id: str | None
    progress: Progress
    timing: Timing
    results: dict[str, Any]
    errors: dict[str, str]
    reason: str | None
    rolled_back: bool
    compensations: list[Compensation]
    waiting_for: list[Waiting]


class TimelineStep(BaseModel):
    task: str
    state: str
    attempts: int
    undo_attempts: int
    weight: float
    started_at: datetime | None
    ended_at: datetime | None
    error: str | None


class Timeline(BaseModel):
    workflow_id: str
    steps: list[TimelineStep]


class WorkflowSummary(BaseModel):
    workflow_id: str
    name: str
    type: str
    status: PublicState
    owner: str
    percentage: float
    created_at: datetime
    ended_at: datetime | None


class WorkflowPage(BaseModel):
    workflows: list[WorkflowSummary]
    next_cursor: str | None


class EngineStatus(BaseModel):
    available: bool
    status: dict[str, Any]


class ApprovalView(BaseModel):
    approval_id: str
    workflow_id: str
    task: str
    question: str
    state: str
    requested_at: datetime
    expires_at: datetime | None
    decided_at: datetime | None
    decided_by: str | None
    comment: str | None


class ApprovalPage(BaseModel):
    approvals: list[ApprovalView]
    next_cursor: str | None


class Decision(Strict):
    comment: Line | None = None


class ApprovalDecided(BaseModel):
    success: bool = True
    approval: ApprovalView


def owned_workflow(workflow_id: Key, books: Books, caller: Caller) -> journal.Workflow:
    """The workflow, if it is the caller's; somebody else's is as unknown as one that is not there."""
    try:
        with books.read() as (connection, brand):
            workflow = journal.find(connection, brand, workflow_id)
    except journal.UnknownWorkflow as error:
        raise _unknown() from error
    if not caller.owns(workflow.owner):
        raise _unknown()
    return workflow


Owned = Annotated[journal.Workflow, Depends(owned_workflow)]


@router.post("/workflows/create", dependencies=[requires("workflow:write")])
def create_workflow(wanted: CreateWorkflow, books: Books, caller: Caller, effect: EffectKey) -> WorkflowCreated:
    """Store a workflow; nothing runs yet. A cycle, an unknown dependency, agent or method is a 422 that names the task."""
    try:
        spec = build_spec(wanted.workflow_type, wanted.workflow_data)
        workflow = control.create(books, spec, _actor(caller), owner=wanted.owner or caller.subject, effect=effect)
    except InvalidWorkflow as error:
        raise _invalid(error) from error
    return WorkflowCreated(
        workflow_id=workflow.key, name=workflow.name, type=workflow.type, total_tasks=len(spec.tasks), status="pending"
    )


@router.get("/workflows/status", dependencies=[requires("status:read")])
def engine_status(books: Books) -> EngineStatus:
    """How many workflows there are, what agents and templates there are for them."""
    return EngineStatus(available=True, status=dict(status.engine_status(books)))


@router.get("/workflows", dependencies=[requires("workflow:read")])
def list_workflows(books: Books, caller: Caller, limit: PageSize = 50, cursor: Cursor = None) -> WorkflowPage:
    """Workflows, newest first: an admin's all, anybody else's own."""
    before = read_cursor(cursor)
    owner = None if caller.owns("") else caller.subject
    with books.read() as (connection, brand):
        rows = journal.newest(connection, brand, limit + 1, before, owner)
    following = write_cursor(rows[limit - 1].id) if len(rows) > limit else None
    return WorkflowPage(workflows=[_summary(row) for row in rows[:limit]], next_cursor=following)


@router.post("/workflows/{workflow_id}/execute", dependencies=[requires("workflow:write")])
def execute_workflow(owned: Owned, books: Books, caller: Caller, request: Request) -> WorkflowStarted:
    """Launch it as a Dagster run. Executing twice returns the same run."""
    workflow = control.execute(books, _instance(), owned.key, _actor(caller))
    return WorkflowStarted(
        workflow_id=workflow.key,
        message=f"the workflow is {status.public_state(workflow.state)}",
        run_id=workflow.run_id,
        status_endpoint=str(request.url.path).replace("/execute", "/status"),
    )


@router.get("/workflows/{workflow_id}/status", dependencies=[requires("workflow:read")], response_model=WorkflowStatus)
def workflow_status(workflow_id: Key, books: Books, caller: Caller) -> Response:
    """How far it is. Poll until `status` is completed, failed or cancelled."""
    try:
        found = status.read_status(books, workflow_id)
    except journal.UnknownWorkflow as error:
        raise _unknown() from error
    if not caller.owns(found.pop("owner")):
        raise _unknown()
    # What clients poll: not checked against the model on its way out. A test holds the two together.
    return Response(to_json(found), media_type="application/json")


@router.get("/workflows/{workflow_id}/timeline", dependencies=[requires("workflow:read")], response_model=Timeline)
def workflow_timeline(owned: Owned, books: Books, request: Request) -> Response:
    """One row a task: state, attempts, times."""
    with books.read() as (connection, _):
        steps = journal.steps(connection, owned.id)
    return etag_json(request, Timeline.model_validate({"workflow_id": owned.key, "steps": status.timeline(steps)}))


@router.get(
    "/workflows/{workflow_id}/events",
    dependencies=[requires("workflow:read")],
    response_class=EventSourceResponse,
    responses={**PROBLEM_RESPONSES, 200: {"content": {"text/event-stream": {}}, "description": "Server-sent events"}},
)
async def workflow_events(
    owned: Owned,
    books: Books,
    last_event_id: Annotated[str, Header(pattern=r"^[0-9]{0,18}$")] = "",
    after: Annotated[int, Query(ge=0, le=2**53)] = 0,
) -> AsyncIterator[ServerSentEvent]:
    """What happens to it, as it happens, without gaps. Send `Last-Event-ID` to go on after an interruption.

    The stream ends when the workflow has ended.
    """
    seen = int(last_event_id) if last_event_id else after
    quiet = 0.0
    while True:
        # In this order: what has ended before the events were read has no further ones.
        ended, batch = await run_in_threadpool(_news, books, owned, seen)
        for event in batch:
            data = {"workflow_id": owned.key, "kind": event.kind, "task": event.step, "at": event.at.isoformat()}
            yield ServerSentEvent(
                raw_data=json.dumps({**data, "details": event.details}), event=event.kind, id=str(event.sequence)
            )
            seen, quiet = event.sequence, 0.0
        if ended and not batch:
            return
        if not batch:
            quiet += EVENT_POLL_SECONDS
            if quiet >= EVENT_PING_SECONDS:
                yield ServerSentEvent(comment="still there")
                quiet = 0.0
            await anyio.sleep(EVENT_POLL_SECONDS)


@router.post("/workflows/{workflow_id}/pause", dependencies=[requires("workflow:write")])
def pause_workflow(owned: Owned, books: Books, caller: Caller) -> WorkflowMoved:
    """Let tasks under way end, and start no further one."""
    return _moved(lambda: control.pause(books, owned.key, _actor(caller)))


@router.post("/workflows/{workflow_id}/resume", dependencies=[requires("workflow:write")])
def resume_workflow(owned: Owned, books: Books, caller: Caller) -> WorkflowMoved:
    """Go on after a pause, or from the failed task. What is done is not repeated."""
    return _moved(lambda: control.resume(books, _instance(), owned.key, _actor(caller)))


@router.post("/workflows/{workflow_id}/cancel", dependencies=[requires("workflow:write")])
def cancel_workflow(owned: Owned, books: Books, caller: Caller) -> WorkflowMoved:
    """End it, and undo what was done."""
    return _moved(lambda: control.cancel(books, _instance(), owned.key, _actor(caller)))


@router.get("/approvals", dependencies=[requires("workflow:read")])
def list_approvals(
    books: Books,
    caller: Caller,
    state: ApprovalState | None = None,
    limit: PageSize = 50,
    cursor: Cursor = None,
) -> ApprovalPage:
    """Questions on which workflows wait, newest first."""
    before = read_cursor(cursor)
    owner = None if caller.owns("") else caller.subject
    with books.read() as (connection, brand):
        rows = journal.approvals(connection, brand, state=state, before=before, limit=limit + 1, owner=owner)
    following = write_cursor(rows[limit - 1].id) if len(rows) > limit else None
    return ApprovalPage(approvals=[_approval_view(row) for row in rows[:limit]], next_cursor=following)


@router.post("/approvals/{approval_id}/approve", dependencies=[requires("approval:write")])
def approve(approval_id: Key, decision: Decision, books: Books, caller: Caller) -> ApprovalDecided:
    """Let the workflow go on."""
    return _decide(books, caller, approval_id, decision, approved=True)


@router.post("/approvals/{approval_id}/reject", dependencies=[requires("approval:write")])
def reject(approval_id: Key, decision: Decision, books: Books, caller: Caller) -> ApprovalDecided:
    """Let the workflow fail, and what was done be undone."""
    return _decide(books, caller, approval_id, decision, approved=False)


@cache
def _instance() -> dg.DagsterInstance:
    return dg.DagsterInstance.get()


def _actor(caller: Principal) -> control.Actor:
    return control.Actor(caller.subject, caller.request_id, caller.address)


def _unknown() -> Problem:
    return Problem(404, "Unknown workflow", "there is no workflow of this id; see GET /workflows")


def _invalid(error: InvalidWorkflow) -> Problem:
    places = [{"pointer": f"#/workflow_data{pointer}", "message": message} for pointer, message in error.errors]
    return Problem(
        422, "Invalid workflow", "these are not valid: " + ", ".join(p["pointer"] for p in places[:5]), places
    )


def _moved(move: Any) -> WorkflowMoved:
    try:
        workflow = move()
    except journal.WorkflowConflict as error:
        raise Problem(409, "Not in this state", str(error)) from error
    public = status.public_state(workflow.state)
    return WorkflowMoved.model_validate({"workflow_id": workflow.key, "status": public, "state": workflow.state})


def _news(books: BrandStore, workflow: journal.Workflow, seen: int) -> tuple[bool, list[journal.Event]]:
    with books.read() as (connection, brand):
        ended = journal.find(connection, brand, workflow.key).state in journal.ENDED
        return ended, journal.events(connection, workflow.id, seen)


def _summary(workflow: journal.Workflow) -> WorkflowSummary:
    return WorkflowSummary.model_validate(
        {
            "workflow_id": workflow.key,
            "name": workflow.name,
            "type": workflow.type,
            "status": status.public_state(workflow.state),
            "owner": workflow.owner,
            "percentage": round(workflow.progress * 100, 2),
            "created_at": workflow.created_at,
            "ended_at": workflow.ended_at,
        }
    )


def _approval_view(approval: journal.Approval) -> ApprovalView:
    return ApprovalView(
        approval_id=str(approval.id),
        workflow_id=approval.workflow,
        task=approval.step,
        question=approval.question,
        state=approval.state,
        requested_at=approval.requested_at,
        expires_at=approval.expires_at,
        decided_at=approval.decided_at,
        decided_by=approval.decided_by,
        comment=approval.comment,
    )


def _decide(
    books: BrandStore, caller: Principal, approval_id: str, decision: Decision, *, approved: bool
) -> ApprovalDecided:
    number = int(approval_id) if approval_id.isascii() and approval_id.isdigit() and len(approval_id) < 19 else 0
    with books.read() as (connection, brand):
        found = journal.approvals(connection, brand, number=number) if number else []
    if not found or not caller.owns(found[0].owner):
        raise Problem(404, "Unknown approval", "there is no approval of this id; see GET /approvals")
    try:
        decided = control.decide(books, found[0], approved=approved, actor=_actor(caller), comment=decision.comment)
    except journal.WorkflowConflict as error:
        raise Problem(409, "Not in this state", str(error)) from error
    return ApprovalDecided(approval=_approval_view(decided))
