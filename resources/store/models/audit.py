"""Alerts for people, and the record of who did what."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from resources.store.types import Base, Id, one_of, refers_to
from resources.store.vocabulary import ALERT_KINDS

_UNRESOLVED = text("status <> 'resolved'")


class Alert(Base):
    """Something that a person should look at.

    There is one unresolved alert per kind and SKU, or per kind and subject where no SKU is meant.
    """

    __tablename__ = "alerts"
    __table_args__ = (
        Index(
            "uq_alerts_unresolved",
            "brand_id",
            "sku_id",
            "kind",
            unique=True,
            sqlite_where=_UNRESOLVED,
            postgresql_where=_UNRESOLVED,
        ),
        Index(
            "uq_alerts_unresolved_subject",
            "brand_id",
            "subject",
            "kind",
            unique=True,
            sqlite_where=_UNRESOLVED,
            postgresql_where=_UNRESOLVED,
        ),
    )

    id: Mapped[Id]
    brand_id: Mapped[int] = refers_to("brands.id")
    kind: Mapped[str] = one_of("alert_kind", *ALERT_KINDS)
    status: Mapped[str] = one_of("alert_status", "open", "acknowledged", "resolved")
    sku_id: Mapped[int | None] = refers_to("skus.id")
    subject: Mapped[str | None] = mapped_column(doc="What it is about where that is no SKU, such as a workflow's key")
    opened_at: Mapped[datetime]
    acknowledged_at: Mapped[datetime | None]
    acknowledged_by: Mapped[str | None]
    resolved_at: Mapped[datetime | None]
    resolved_by: Mapped[str | None] = mapped_column(doc="Empty where the cause went away by itself")
    details: Mapped[dict[str, Any]]


class AuditEvent(Base):
    """Who did what to which thing, when, from where and with what outcome.

    Append only: triggers refuse changes. Each row carries a hash over itself and the brand's row before it.
    """

    __tablename__ = "audit_log"
    __table_args__ = (
        Index("ix_audit_log_at", "brand_id", "at"),
        # Every row asks for the one before it.
        Index("ix_audit_log_newest", "brand_id", "id"),
        UniqueConstraint("brand_id", "previous_hash"),
    )

    id: Mapped[Id]
    brand_id: Mapped[int | None] = refers_to("brands.id")
    at: Mapped[datetime]
    actor: Mapped[str]
    action: Mapped[str] = mapped_column(doc="Verb and noun, such as `ingest.orders`")
    subject: Mapped[str]
    outcome: Mapped[str] = mapped_column(doc="`success`, or why it was refused")
    request_id: Mapped[str | None]
    address: Mapped[str | None] = mapped_column(doc="Network address of who asked")
    details: Mapped[dict[str, Any]]
    previous_hash: Mapped[str] = mapped_column(String(64))
    hash: Mapped[str] = mapped_column(String(64), doc="SHA-256 over `previous_hash` and the row as canonical JSON")
