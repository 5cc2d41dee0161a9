"""Channels that are reached by their own APIs: how, what they showed, what was written to them, and their orders."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Float, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from resources.store.types import Base, Code, Currency, Id, MinorUnits, names, one_of, refers_to
from resources.store.vocabulary import CONNECTOR_KINDS, FOREIGN_EDIT_POLICIES, WRITE_STATES

_OPEN = text("finished_at IS NULL")


class ChannelConnection(Base):
    """How a channel is reached, and by which rules it is served."""

    __tablename__ = "channel_connections"
    __table_args__ = (UniqueConstraint("channel_id"),)

    id: Mapped[Id]
    brand_id: Mapped[int] = refers_to("brands.id")
    channel_id: Mapped[int] = refers_to("channels.id")
    kind: Mapped[str] = one_of("connector_kind", *CONNECTOR_KINDS)
    url: Mapped[str] = mapped_column(Text)
    options: Mapped[dict[str, Any]]
    secrets: Mapped[str] = mapped_column(Text, doc="Sealed")
    locations: Mapped[list[Any]] = mapped_column(
        doc="Codes of the locations that it sells from, first choice first; empty for all"
    )
    priority: Mapped[int] = mapped_column(doc="Lower is served first where stock is scarce")
    weight: Mapped[int] = mapped_column(doc="Share of scarce stock where it is dealt out pro rata")
    foreign_edits: Mapped[str] = one_of("foreign_edit_policy", *FOREIGN_EDIT_POLICIES)
    orders_seen_until: Mapped[datetime | None] = mapped_column(doc="Orders that changed later have not been asked for")
    listed_at: Mapped[datetime | None] = mapped_column(doc="When everything on sale was last read")
    last_error: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime]
    key_id: Mapped[str | None] = mapped_column(
        String(32), doc="Data key that sealed the secrets; empty where an earlier version did"
    )


class ChannelItem(Base):
    """One thing on sale as a channel showed it last, and what we have told the channel of it."""

    __tablename__ = "channel_items"
    __table_args__ = (
        UniqueConstraint("channel_id", "key"),
        Index("ix_channel_items_sku", "brand_id", "sku_id"),
    )

    id: Mapped[Id]
    brand_id: Mapped[int] = refers_to("brands.id")
    channel_id: Mapped[int] = refers_to("channels.id")
    key: Mapped[str] = mapped_column(String(255), doc="The channel's own identity of what is written to")
    channel_sku: Mapped[str | None] = mapped_column(doc="As the channel writes it")
    sku_id: Mapped[int | None] = refers_to("skus.id")
    title: Mapped[str | None]
    shown: Mapped[int | None] = mapped_column(doc="Units on sale when last read")
    price_minor: Mapped[int | None] = mapped_column(BigInteger)
    currency: Mapped[str | None] = mapped_column(String(3))
    unwritable: Mapped[str | None] = mapped_column(doc="Why no quantity is written")
    handles: Mapped[dict[str, Any]]
    read_at: Mapped[datetime]
    agreed: Mapped[int | None] = mapped_column(doc="Units at which the channel and our stock last agreed")
    pending: Mapped[int | None] = mapped_column(doc="Units of a write whose effect has not been seen yet")
    pending_until: Mapped[datetime | None] = mapped_column(doc="Until then it may still take effect")


class ChannelWrite(Base):
    """One quantity or price that was to be set: the intent first, then what became of it."""

    __tablename__ = "channel_writes"
    __table_args__ = (
        Index("ix_channel_writes_item", "channel_id", "key"),
        Index("ix_channel_writes_open", "channel_id", sqlite_where=_OPEN, postgresql_where=_OPEN),
    )

    id: Mapped[Id]
    brand_id: Mapped[int] = names("brands.id")
    channel_id: Mapped[int] = names("channels.id")
    key: Mapped[str] = mapped_column(String(255))
    sku_id: Mapped[int] = names("skus.id")
    field: Mapped[str] = one_of("written_field", "stock", "price", checked=False)
    wanted: Mapped[int] = mapped_column(BigInteger, doc="Units, or minor units of the price")
    expected: Mapped[int | None] = mapped_column(BigInteger, doc="What was last read there")
    reason: Mapped[str]
    actor: Mapped[str] = mapped_column(String(255))
    state: Mapped[str] = one_of("write_state", *WRITE_STATES, checked=False)
    shown: Mapped[int | None] = mapped_column(BigInteger, doc="What the channel answered")
    detail: Mapped[str | None] = mapped_column(Text)
    idempotency_key: Mapped[str] = mapped_column(String(64))
    intended_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class SkuMapping(Base):
    """A SKU that a channel writes in its own way."""

    __tablename__ = "sku_mappings"
    __table_args__ = (UniqueConstraint("channel_id", "channel_sku"),)

    id: Mapped[Id]
    brand_id: Mapped[int] = refers_to("brands.id")
    channel_id: Mapped[int] = refers_to("channels.id")
    channel_sku: Mapped[Code]
    sku_id: Mapped[int] = refers_to("skus.id")


class ChannelOrder(Base):
    """An order as its channel told it last, and what of it stands in the books."""

    __tablename__ = "channel_orders"
    __table_args__ = (UniqueConstraint("channel_id", "external_id"),)

    id: Mapped[Id]
    brand_id: Mapped[int] = refers_to("brands.id")
    channel_id: Mapped[int] = refers_to("channels.id")
    external_id: Mapped[Code]
    number: Mapped[Code]
    state: Mapped[str]
    country: Mapped[str | None]
    currency: Mapped[Currency]
    shipping_minor: Mapped[MinorUnits]
    tax_minor: Mapped[MinorUnits]
    discount_minor: Mapped[MinorUnits]
    refunded_minor: Mapped[MinorUnits] = mapped_column(doc="Given back besides the prices of units")
    order_id: Mapped[int | None] = refers_to("orders.id")
    placed_at: Mapped[datetime]
    updated_at: Mapped[datetime] = mapped_column(doc="By the channel's clock; an older telling is not believed")
    seen_at: Mapped[datetime]


class ChannelOrderLine(Base):
    """One line of such an order: `taken` and `kept` are what has been moved and booked, no more and no less."""

    __tablename__ = "channel_order_lines"
    __table_args__ = (
        UniqueConstraint("channel_order_id", "external_id"),
        Index(
            "ix_channel_order_lines_unmapped",
            "brand_id",
            sqlite_where=text("sku_id IS NULL"),
            postgresql_where=text("sku_id IS NULL"),
        ),
    )

    id: Mapped[Id]
    brand_id: Mapped[int] = refers_to("brands.id")
    channel_order_id: Mapped[int] = refers_to("channel_orders.id")
    external_id: Mapped[str] = mapped_column(String(255))
    channel_sku: Mapped[str | None]
    key: Mapped[str | None] = mapped_column(String(255), doc="The listed item's key")
    title: Mapped[str]
    sku_id: Mapped[int | None] = refers_to("skus.id")
    taken: Mapped[int] = mapped_column(doc="Units that our movements have taken out of stock for it")
    kept: Mapped[int] = mapped_column(doc="Units that stand in the books as sold")
    unit_price_micros: Mapped[int] = mapped_column(BigInteger)
    changes: Mapped[int] = mapped_column(doc="How often it has moved stock")


class CircuitBreaker(Base):
    """Whether a connection is called at all, for every process."""

    __tablename__ = "circuit_breakers"
    __table_args__ = (UniqueConstraint("brand_id", "name"),)

    id: Mapped[Id]
    brand_id: Mapped[int] = refers_to("brands.id")
    name: Mapped[Code]
    state: Mapped[str] = one_of("breaker_state", "closed", "open", "half_open")
    failures: Mapped[int] = mapped_column(doc="In a row")
    opened_at: Mapped[datetime | None]
    retry_at: Mapped[datetime | None] = mapped_column(doc="When one caller may try, or when that try counts as lost")
    last_failure_at: Mapped[datetime | None]
    last_failure: Mapped[str | None] = mapped_column(Text)


class RateBucket(Base):
    """A vendor's token bucket as far as we know it."""

    __tablename__ = "rate_buckets"
    __table_args__ = (UniqueConstraint("brand_id", "bucket"),)

    id: Mapped[Id]
    brand_id: Mapped[int] = refers_to("brands.id")
    bucket: Mapped[str] = mapped_column(String(255), doc="Connection and operation")
    available: Mapped[float] = mapped_column(
        Float, doc="At `refilled_at`; negative where more was taken than there was"
    )
    rate: Mapped[float] = mapped_column(Float, doc="A second")
    capacity: Mapped[float] = mapped_column(Float)
    refilled_at: Mapped[datetime]


class DailyQuota(Base):
    """What is used of a quota that is refilled at once."""

    __tablename__ = "daily_quotas"
    __table_args__ = (UniqueConstraint("brand_id", "bucket"),)

    id: Mapped[Id]
    brand_id: Mapped[int] = refers_to("brands.id")
    bucket: Mapped[str] = mapped_column(String(255), doc="Connection and API")
    used: Mapped[int]
    resets_at: Mapped[datetime]
