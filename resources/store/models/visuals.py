"""What pictures cost, which are remembered, which were made and what a person decided about them."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from resources.store.types import Base, Code, Id, one_of, refers_to
from resources.store.vocabulary import IMAGE_BATCH_STATES, IMAGE_CALL_STATES, PICTURE_STATES

_WAITING = text("state = 'needs_review'")
_UNSETTLED = text("state = 'reserved'")


class ImageCall(Base):
    """One call of a provider: what was reserved for it before, and what it cost after, in millionths of a US dollar."""

    __tablename__ = "image_calls"
    __table_args__ = (
        Index("ix_image_calls_day", "brand_id", "day"),
        Index("ix_image_calls_request", "brand_id", "request_key"),
        Index(
            "ix_image_calls_unsettled",
            "brand_id",
            "started_at",
            sqlite_where=_UNSETTLED,
            postgresql_where=_UNSETTLED,
        ),
    )

    id: Mapped[Id]
    brand_id: Mapped[int] = refers_to("brands.id")
    request_key: Mapped[str] = mapped_column(String(255), doc="The effect's idempotency key")
    provider: Mapped[Code]
    model: Mapped[Code]
    content_key: Mapped[str] = mapped_column(String(64), doc="SHA-256 of all that decides what the picture looks like")
    campaign: Mapped[str | None] = mapped_column(String(128))
    principal: Mapped[str] = mapped_column(String(255))
    day: Mapped[date] = mapped_column(doc="The day (UTC) whose budget it is taken from")
    state: Mapped[str] = one_of("image_call_state", *IMAGE_CALL_STATES)
    reserved_micros: Mapped[int] = mapped_column(BigInteger)
    cost_micros: Mapped[int | None] = mapped_column(BigInteger, doc="None until it is settled")
    images: Mapped[int]
    error_code: Mapped[str | None] = mapped_column(String(128))
    error: Mapped[str | None]
    usage: Mapped[dict[str, Any]]
    seconds: Mapped[float | None]
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class CachedImages(Base):
    """What a request brought, by all that decides what it looks like. The bytes lie in the picture store, by their SHA-256."""

    __tablename__ = "image_cache"
    __table_args__ = (
        UniqueConstraint("brand_id", "content_key"),
        Index("ix_image_cache_used", "brand_id", "used_at"),
    )

    id: Mapped[Id]
    brand_id: Mapped[int] = refers_to("brands.id")
    content_key: Mapped[str] = mapped_column(String(64))
    provider: Mapped[Code]
    model: Mapped[Code]
    entry: Mapped[dict[str, Any]] = mapped_column(
        doc="The pictures: SHA-256, media type, size, seed; and what they cost"
    )
    bytes: Mapped[int] = mapped_column(BigInteger)
    hits: Mapped[int]
    created_at: Mapped[datetime]
    used_at: Mapped[datetime]


class ImageFlight(Base):
    """A request that some process is having made; others with the same one wait for it until `lapses_at`."""

    __tablename__ = "image_flights"
    __table_args__ = (UniqueConstraint("brand_id", "content_key"),)

    id: Mapped[Id]
    brand_id: Mapped[int] = refers_to("brands.id")
    content_key: Mapped[str] = mapped_column(String(64))
    owner: Mapped[str] = mapped_column(String(64))
    began_at: Mapped[datetime]
    lapses_at: Mapped[datetime]


class Picture(Base):
    """A picture that was delivered, how it was judged, and what a person decided."""

    __tablename__ = "pictures"
    __table_args__ = (
        UniqueConstraint("brand_id", "public_id"),
        Index("ix_pictures_request", "brand_id", "request_key"),
        Index("ix_pictures_brief", "brand_id", "brief"),
        Index("ix_pictures_waiting", "brand_id", "created_at", sqlite_where=_WAITING, postgresql_where=_WAITING),
    )

    id: Mapped[Id]
    brand_id: Mapped[int] = refers_to("brands.id")
    public_id: Mapped[str] = mapped_column(String(64))
    request_key: Mapped[str] = mapped_column(String(255))
    brief: Mapped[str | None] = mapped_column(String(128))
    sku: Mapped[Code | None]
    campaign: Mapped[str | None] = mapped_column(String(128))
    content_type: Mapped[Code]
    provider: Mapped[Code]
    model: Mapped[Code]
    seed: Mapped[int | None] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64), doc="Of the delivered file, by which the picture store has it")
    media_type: Mapped[Code]
    width: Mapped[int]
    height: Mapped[int]
    bytes: Mapped[int] = mapped_column(BigInteger)
    score: Mapped[float]
    state: Mapped[str] = one_of("picture_state", *PICTURE_STATES)
    checks: Mapped[list[Any]] = mapped_column(doc="Each check's name, status, score, value and message")
    details: Mapped[dict[str, Any]] = mapped_column(doc="Candidates and why, attempts, prompt's hash, brand kit, notes")
    cost_micros: Mapped[int] = mapped_column(BigInteger, doc="Millionths of a US dollar; its share of its call")
    kit_version: Mapped[Code]
    fingerprint: Mapped[str | None] = mapped_column(String(33), doc="64 bits of the picture, of its mirror image")
    created_at: Mapped[datetime]
    created_by: Mapped[str]
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[str | None]
    note: Mapped[str | None]


class ImageBatch(Base):
    """Requests that a provider works off within a day at half the price, until what they brought has been taken in."""

    __tablename__ = "image_batches"
    __table_args__ = (
        UniqueConstraint("brand_id", "request_key"),
        Index("ix_image_batches_state", "brand_id", "state"),
    )

    id: Mapped[Id]
    brand_id: Mapped[int] = refers_to("brands.id")
    request_key: Mapped[str] = mapped_column(String(255), doc="The effect's idempotency key")
    provider: Mapped[Code]
    model: Mapped[Code]
    vendor_id: Mapped[str | None] = mapped_column(String(255), doc="None while it is not known whether it was taken")
    state: Mapped[str] = one_of("image_batch_state", *IMAGE_BATCH_STATES)
    items: Mapped[list[Any]] = mapped_column(doc="Each request by its `custom_id`")
    results: Mapped[dict[str, Any]] = mapped_column(doc="What came of each, by its `custom_id`")
    campaign: Mapped[str | None] = mapped_column(String(128))
    principal: Mapped[str] = mapped_column(String(255))
    day: Mapped[date]
    reserved_micros: Mapped[int] = mapped_column(BigInteger)
    cost_micros: Mapped[int | None] = mapped_column(BigInteger)
    created_at: Mapped[datetime]
    checked_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    error: Mapped[str | None]
