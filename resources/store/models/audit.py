"""Alerts for people, and the record of who did what."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index, text
from sqlalchemy.orm import Mapped, mapped_column

from resources.store.types import Base, Id, one_of, refers_to

_UNRESOLVED = text("status <> 'resolved'")


class Alert(Base):
    """Something that a person should look at. One unresolved alert per SKU and kind."""

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
    )

    id: Mapped[Id]
    brand_id: Mapped[int] = refers_to("brands.id")
    kind: Mapped[str] = one_of("alert_kind", "low_stock", "out_of_stock")
    status: Mapped[str] = one_of("alert_status", "open", "acknowledged", "resolved")
    sku_id: Mapped[int | None] = refers_to("skus.id")
    opened_at: Mapped[datetime]
    resolved_at: Mapped[datetime | None]
    details: Mapped[dict[str, Any]]


class AuditEvent(Base):
    """Who did what to which thing, and when."""

    __tablename__ = "audit_log"
    __table_args__ = (Index("ix_audit_log_at", "brand_id", "at"),)

    id: Mapped[Id]
    brand_id: Mapped[int | None] = refers_to("brands.id")
    at: Mapped[datetime]
    actor: Mapped[str]
    action: Mapped[str] = mapped_column(doc="Verb and noun, such as `ingest.orders`")
    subject: Mapped[str]
    details: Mapped[dict[str, Any]]
