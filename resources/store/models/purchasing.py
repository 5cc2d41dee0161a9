"""Purchase orders: what the brand has asked its suppliers for."""

from datetime import date, datetime

from sqlalchemy import BigInteger, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from resources.store.types import Base, Code, Id, one_of, refers_to
from resources.store.vocabulary import OPEN_STATES


class PurchaseOrder(Base):
    """An order to one supplier. The replenishment job writes drafts; a person approves or rejects them.

    A rejected draft is a cancelled order that somebody decided on; one that was only withdrawn has no decision.
    """

    __tablename__ = "purchase_orders"
    __table_args__ = (UniqueConstraint("brand_id", "number"),)

    id: Mapped[Id]
    brand_id: Mapped[int] = refers_to("brands.id")
    number: Mapped[Code]
    supplier: Mapped[str | None]
    status: Mapped[str] = one_of("purchase_order_status", *OPEN_STATES, "received", "cancelled")
    created_at: Mapped[datetime]
    expected_on: Mapped[date | None]
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[str | None] = mapped_column(String(255), doc="Who approved or rejected it")
    decision_reason: Mapped[str | None] = mapped_column(doc="Why it was rejected")
    ordered_on: Mapped[date | None] = mapped_column(doc="Day on which it went out: lead times are counted from here")


class PurchaseOrderLine(Base):
    """So many of one SKU."""

    __tablename__ = "purchase_order_lines"
    __table_args__ = (UniqueConstraint("purchase_order_id", "sku_id"),)

    id: Mapped[Id]
    brand_id: Mapped[int] = refers_to("brands.id")
    purchase_order_id: Mapped[int] = refers_to("purchase_orders.id")
    sku_id: Mapped[int] = refers_to("skus.id")
    quantity: Mapped[int]
    received_quantity: Mapped[int]
    unit_cost_minor: Mapped[int | None] = mapped_column(BigInteger, doc="Empty where the cost is unknown")
    currency: Mapped[str | None] = mapped_column(String(3))
    reason: Mapped[str | None] = mapped_column(doc="Why so many were proposed, in one sentence")
