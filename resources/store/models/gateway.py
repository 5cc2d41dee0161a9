"""What the REST gateway remembers between requests and shares between its workers."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from resources.store.types import Base, Code, Id, one_of, refers_to


class IdempotencyKey(Base):
    """The first answer to a request that carried an `Idempotency-Key`. No status yet means that it is still being worked on."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (
        UniqueConstraint("brand_id", "principal", "route", "key"),
        Index("ix_idempotency_keys_expires_at", "expires_at"),
    )

    id: Mapped[Id]
    brand_id: Mapped[int] = refers_to("brands.id")
    principal: Mapped[str] = mapped_column(String(255))
    route: Mapped[str] = mapped_column(String(512), doc="Method and path")
    key: Mapped[str] = mapped_column(String(255))
    body_hash: Mapped[str] = mapped_column(String(64))
    status_code: Mapped[int | None]
    answer: Mapped[str | None] = mapped_column(Text)
    media_type: Mapped[str | None]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]


class RevokedToken(Base):
    """A token that is refused although it has not expired."""

    __tablename__ = "revoked_tokens"

    id: Mapped[Id]
    token_id: Mapped[str] = mapped_column(String(255), unique=True, doc="The `jti` claim")
    revoked_at: Mapped[datetime]
    revoked_by: Mapped[str]
    expires_at: Mapped[datetime] = mapped_column(doc="The `exp` claim; the row is of no use after it")


class Spending(Base):
    """What a principal's requests cost on a day (UTC), reservations included."""

    __tablename__ = "spending"
    __table_args__ = (UniqueConstraint("brand_id", "principal", "day"),)

    id: Mapped[Id]
    brand_id: Mapped[int] = refers_to("brands.id")
    principal: Mapped[str] = mapped_column(String(255))
    day: Mapped[date]
    spent_micros: Mapped[int] = mapped_column(BigInteger, doc="Millionths of a US dollar")


class InboxMessage(Base):
    """What a channel's webhook brought, kept as it came until it is worked on."""

    __tablename__ = "inbox_messages"
    __table_args__ = (
        UniqueConstraint("brand_id", "channel", "external_id"),
        Index("ix_inbox_messages_state", "brand_id", "state"),
    )

    id: Mapped[Id]
    brand_id: Mapped[int] = refers_to("brands.id")
    channel: Mapped[Code]
    external_id: Mapped[str] = mapped_column(String(255), doc="The sender's id of the message, or the body's SHA-256")
    state: Mapped[str] = one_of("inbox_state", "received", "processed", "failed")
    received_at: Mapped[datetime]
    processed_at: Mapped[datetime | None]
    headers: Mapped[dict[str, Any]]
    body: Mapped[str] = mapped_column(Text)
    note: Mapped[str | None] = mapped_column(Text, doc="What came of it")
    attempts: Mapped[int | None] = mapped_column(
        doc="How often work on it was begun, less what failed for the channel's sake"
    )
