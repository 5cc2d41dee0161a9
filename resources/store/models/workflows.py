"""The workflow journal: what was meant to be done, what was done, and what was undone. Approvals and events beside it."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from resources.store.types import Base, Code, Id, one_of, refers_to
from resources.store.vocabulary import APPROVAL_STATES, STEP_STATES, WORKFLOW_STATES


class Workflow(Base):
    """One workflow: its specification, where it stands, and the Dagster run that works on it."""

    __tablename__ = "workflows"
    __table_args__ = (Index("ix_workflows_state", "brand_id", "state"),)

    id: Mapped[Id]
    brand_id: Mapped[int] = refers_to("brands.id")
    key: Mapped[str] = mapped_column(String(40), unique=True, doc="The id that people and programs use")
    name: Mapped[str]
    type: Mapped[Code]
    spec: Mapped[dict[str, Any]]
    owner: Mapped[str] = mapped_column(doc="Subject of the token that created it")
    state: Mapped[str] = one_of("workflow_state", *WORKFLOW_STATES)
    epoch: Mapped[int] = mapped_column(
        doc="Grows when compensation begins; forward writes of an older epoch are refused"
    )
    segment: Mapped[int] = mapped_column(doc="How many Dagster runs have been asked for")
    run_id: Mapped[str | None] = mapped_column(String(36), doc="The newest Dagster run")
    run_role: Mapped[str | None] = one_of("workflow_run_role", "forward", "compensation")
    crashes: Mapped[int] = mapped_column(doc="Runs in a row that died before any step was done")
    progress: Mapped[float] = mapped_column(doc="Share of the weight that is done, 0 to 1; never falls")
    ends_as: Mapped[str | None] = mapped_column(doc="What it becomes when everything is undone: failed or cancelled")
    rolled_back: Mapped[bool]
    reason: Mapped[str | None] = mapped_column(doc="Why it failed, was cancelled or needs a person")
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]


class WorkflowStep(Base):
    """One task of a workflow. `intent` is written before the effect, `done` after it."""

    __tablename__ = "workflow_steps"
    __table_args__ = (UniqueConstraint("workflow_id", "name"),)

    id: Mapped[Id]
    brand_id: Mapped[int] = refers_to("brands.id")
    workflow_id: Mapped[int] = refers_to("workflows.id")
    name: Mapped[Code]
    position: Mapped[int]
    weight: Mapped[float]
    state: Mapped[str] = one_of("step_state", *STEP_STATES)
    attempts: Mapped[int]
    undo_attempts: Mapped[int]
    sequence: Mapped[int | None] = mapped_column(doc="Order in which intents were first written")
    run_id: Mapped[str | None] = mapped_column(String(36), doc="The Dagster run of the newest attempt")
    result: Mapped[dict[str, Any] | None]
    error: Mapped[str | None]
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]


class WorkflowEvent(Base):
    """What happened to a workflow, written in the transaction that made it so. Also the outbox of webhooks."""

    __tablename__ = "workflow_events"
    __table_args__ = (UniqueConstraint("workflow_id", "sequence"),)

    id: Mapped[Id]
    brand_id: Mapped[int] = refers_to("brands.id")
    workflow_id: Mapped[int] = refers_to("workflows.id")
    sequence: Mapped[int] = mapped_column(doc="1, 2, 3, … within the workflow, without gaps")
    kind: Mapped[Code]
    step: Mapped[str | None]
    at: Mapped[datetime]
    details: Mapped[dict[str, Any]]


class Approval(Base):
    """A question to a person on which a workflow waits."""

    __tablename__ = "approvals"
    __table_args__ = (UniqueConstraint("workflow_id", "step"),)

    id: Mapped[Id]
    brand_id: Mapped[int] = refers_to("brands.id")
    workflow_id: Mapped[int] = refers_to("workflows.id")
    step: Mapped[Code]
    question: Mapped[str]
    state: Mapped[str] = one_of("approval_state", *APPROVAL_STATES)
    requested_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[str | None]
    comment: Mapped[str | None]


class WebhookSubscription(Base):
    """A URL that is told of workflow events. Its signing secret is derived from the installation's key, never stored."""

    __tablename__ = "webhook_subscriptions"

    id: Mapped[Id]
    brand_id: Mapped[int] = refers_to("brands.id")
    key: Mapped[str] = mapped_column(String(40), unique=True)
    url: Mapped[str]
    kinds: Mapped[str] = mapped_column(
        doc="Event kinds it wants, between commas as in `,workflow.failed,`; empty for all"
    )
    owner: Mapped[str]
    created_at: Mapped[datetime]
    disabled_at: Mapped[datetime | None]


class WebhookDelivery(Base):
    """One event on its way to one subscription."""

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        UniqueConstraint("subscription_id", "event_id"),
        Index("ix_webhook_deliveries_due", "state", "next_at"),
    )

    id: Mapped[Id]
    brand_id: Mapped[int] = refers_to("brands.id")
    subscription_id: Mapped[int] = refers_to("webhook_subscriptions.id")
    event_id: Mapped[int] = refers_to("workflow_events.id")
    state: Mapped[str] = one_of("delivery_state", "pending", "delivered", "failed")
    attempts: Mapped[int]
    next_at: Mapped[datetime]
    last_answer: Mapped[str | None]
