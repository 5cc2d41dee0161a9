"""Orders and their lines as the channels and files tell them, and the imports that brought them."""

from datetime import date, datetime

from sqlalchemy import BigInteger, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from resources.store.types import Base, Code, Currency, Id, MinorUnits, days_index, names, one_of, refers_to
from resources.store.vocabulary import LINE_KINDS


class Import(Base):
    """One ingest of one file: what came, what was taken, what was put aside."""

    __tablename__ = "imports"

    id: Mapped[Id]
    brand_id: Mapped[int] = refers_to("brands.id")
    kind: Mapped[str] = one_of("import_kind", "orders", "catalog", "stock", "rates")
    file_name: Mapped[str]
    sha256: Mapped[str] = mapped_column(String(64))
    mapping: Mapped[str] = mapped_column(doc="Preset or map file that read it")
    finished_at: Mapped[datetime]
    rows_in: Mapped[int]
    rows_new: Mapped[int]
    rows_known: Mapped[int] = mapped_column(doc="Rows that an earlier import had taken")
    rows_quarantined: Mapped[int]


class Order(Base):
    """An invoice, or a credit note, of one channel."""

    __tablename__ = "orders"
    __table_args__ = (UniqueConstraint("brand_id", "channel_id", "number"),)

    id: Mapped[Id]
    brand_id: Mapped[int] = refers_to("brands.id")
    channel_id: Mapped[int] = refers_to("channels.id")
    number: Mapped[Code]
    customer_id: Mapped[int | None] = refers_to("customers.id")
    country: Mapped[str | None]
    currency: Mapped[Currency]
    placed_at: Mapped[datetime]
    local_date: Mapped[date] = mapped_column(doc="Day on which it was placed, by the source's own clock")


class OrderLine(Base):
    """One line as it was invoiced. Two equal lines are told apart by `occurrence`."""

    __tablename__ = "order_lines"
    __table_args__ = (
        UniqueConstraint(
            "order_id", "code", "quantity", "unit_price_micros", "occurrence", name="uq_order_lines_identity"
        ),
        days_index("ix_order_lines_day"),
    )

    id: Mapped[Id]
    brand_id: Mapped[int] = names("brands.id")
    order_id: Mapped[int] = names("orders.id")
    import_id: Mapped[int] = names("imports.id")
    row_number: Mapped[int] = mapped_column(doc="Row of the import's file; the first under the header is 1")
    kind: Mapped[str] = one_of("line_kind", *LINE_KINDS, checked=False)
    code: Mapped[Code] = mapped_column(doc="Stock code as the source writes it")
    sku_id: Mapped[int | None] = names("skus.id", "Set where the line moves stock")
    description: Mapped[str | None]
    quantity: Mapped[int]
    unit_price_micros: Mapped[int] = mapped_column(BigInteger, doc="Millionths of the currency's major unit")
    amount_minor: Mapped[MinorUnits] = mapped_column(doc="Minor units; negative for returns")
    currency: Mapped[Currency]
    occurrence: Mapped[int] = mapped_column(doc="0 for the first of equal lines in the order, then 1, 2, …")
    occurred_at: Mapped[datetime]
    local_date: Mapped[date] = mapped_column(doc="Day by the source's own clock, which is its partition")
