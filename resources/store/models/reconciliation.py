"""Statements of processors and banks, what their lines were matched with, and suppliers' invoices."""

from datetime import date, datetime

from sqlalchemy import BigInteger, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from resources.store.types import Base, Code, Currency, Id, MinorUnits, names, one_of, refers_to
from resources.store.vocabulary import INVOICE_RESULTS, SETTLEMENT_KINDS

_UNDONE = text("undoes IS NOT NULL")


class StatementFile(Base):
    """One take of one statement: what came, what was taken, what was put aside."""

    __tablename__ = "statement_files"

    id: Mapped[Id]
    brand_id: Mapped[int] = refers_to("brands.id")
    source: Mapped[str] = mapped_column(String(32), doc="Format: stripe, camt053, …")
    file_name: Mapped[str]
    sha256: Mapped[str] = mapped_column(String(64))
    taken_at: Mapped[datetime]
    taken_by: Mapped[str]
    rows_new: Mapped[int]
    rows_known: Mapped[int] = mapped_column(doc="Lines that an earlier file had brought")
    rows_aside: Mapped[int]


class SettlementLine(Base):
    """A movement of money at a processor or marketplace. Net is gross less fee; what comes to the house is positive."""

    __tablename__ = "settlement_lines"
    __table_args__ = (
        UniqueConstraint("brand_id", "processor", "line_key"),
        Index("ix_settlement_lines_payout", "brand_id", "processor", "payout_ref"),
    )

    id: Mapped[Id]
    brand_id: Mapped[int] = names("brands.id")
    file_id: Mapped[int] = names("statement_files.id")
    row_number: Mapped[int]
    processor: Mapped[Code] = mapped_column(doc="Whose clearing account it moves")
    line_key: Mapped[str] = mapped_column(
        String(255), doc="The processor's own id of it, or a hash of what never changes"
    )
    payout_ref: Mapped[str | None] = mapped_column(doc="Payout that it is part of; empty while none is known")
    kind: Mapped[str] = one_of("settlement_kind", *SETTLEMENT_KINDS, checked=False)
    order_ref: Mapped[str | None] = mapped_column(doc="The order's number as the processor writes it")
    external_id: Mapped[str | None]
    original_id: Mapped[str | None] = mapped_column(doc="External id of the movement that this one is about")
    occurred_at: Mapped[datetime]
    occurred_on: Mapped[date] = mapped_column(doc="Day in the brand's zone")
    available_on: Mapped[date | None]
    gross_minor: Mapped[MinorUnits]
    fee_minor: Mapped[MinorUnits]
    net_minor: Mapped[MinorUnits]
    currency: Mapped[Currency]
    presentment_minor: Mapped[int | None] = mapped_column(BigInteger, doc="What the client saw, where it is told")
    presentment_currency: Mapped[str | None] = mapped_column(String(3))
    description: Mapped[str | None]


class Payout(Base):
    """What a processor paid out, or will."""

    __tablename__ = "payouts"
    __table_args__ = (UniqueConstraint("brand_id", "processor", "payout_ref", "currency"),)

    id: Mapped[Id]
    brand_id: Mapped[int] = refers_to("brands.id")
    processor: Mapped[Code]
    payout_ref: Mapped[str]
    currency: Mapped[Currency]
    amount_minor: Mapped[int | None] = mapped_column(
        BigInteger, doc="As the processor states it; empty where it does not"
    )
    paid_on: Mapped[date | None]
    pooled: Mapped[bool] = mapped_column(doc="Paid out of a balance: it names no lines")


class BankStatement(Base):
    """A statement whose lines lead from its opening to its closing balance; those that do not are never taken."""

    __tablename__ = "bank_statements"
    __table_args__ = (UniqueConstraint("brand_id", "account_hash", "number", "opened_on", "closed_on"),)

    id: Mapped[Id]
    brand_id: Mapped[int] = refers_to("brands.id")
    file_id: Mapped[int] = refers_to("statement_files.id")
    account: Mapped[Code] = mapped_column(doc="Name of the account, or its last four digits")
    account_hash: Mapped[str] = mapped_column(String(64), doc="Keyed hash of the account's number")
    number: Mapped[str]
    currency: Mapped[Currency]
    opening_minor: Mapped[int | None] = mapped_column(BigInteger)
    closing_minor: Mapped[int | None] = mapped_column(BigInteger)
    opened_on: Mapped[date | None]
    closed_on: Mapped[date | None]


class BankLine(Base):
    """A booked movement of a bank account. Of the other party only a processor's name is kept."""

    __tablename__ = "bank_lines"
    __table_args__ = (UniqueConstraint("brand_id", "account_hash", "line_key"),)

    id: Mapped[Id]
    brand_id: Mapped[int] = names("brands.id")
    file_id: Mapped[int] = names("statement_files.id")
    row_number: Mapped[int]
    account: Mapped[Code]
    account_hash: Mapped[str] = mapped_column(String(64))
    line_key: Mapped[str] = mapped_column(String(255))
    booked_on: Mapped[date]
    value_on: Mapped[date]
    amount_minor: Mapped[MinorUnits]
    currency: Mapped[Currency]
    counterparty: Mapped[str | None]
    reference: Mapped[str | None]
    end_to_end_id: Mapped[str | None]
    description: Mapped[str | None]


class Match(Base):
    """That a line belongs to an order or a payout. Append only: an unmatch is a further row, which names what it undoes."""

    __tablename__ = "matches"
    __table_args__ = (
        Index("uq_matches_undoes", "undoes", unique=True, sqlite_where=_UNDONE, postgresql_where=_UNDONE),
        Index("ix_matches_brand", "brand_id", "id"),
    )

    id: Mapped[Id]
    brand_id: Mapped[int] = names("brands.id")
    undoes: Mapped[int | None] = refers_to("matches.id")
    settlement_line_id: Mapped[int | None] = names("settlement_lines.id")
    bank_line_id: Mapped[int | None] = names("bank_lines.id")
    order_id: Mapped[int | None] = names("orders.id")
    payout_id: Mapped[int | None] = names("payouts.id")
    pool: Mapped[str | None] = mapped_column(
        String(32), doc="What of the order it uses up: paid, refunded, disputed, won"
    )
    rule: Mapped[str] = mapped_column(String(32))
    amount_minor: Mapped[MinorUnits] = mapped_column(doc="Of the line, in its currency")
    currency: Mapped[Currency]
    order_amount_minor: Mapped[int | None] = mapped_column(BigInteger, doc="Of the order, in its currency")
    order_currency: Mapped[str | None] = mapped_column(String(3))
    flag: Mapped[str | None] = mapped_column(doc="What a person should look at, such as a tolerated difference")
    reason: Mapped[str | None]
    actor: Mapped[str]
    created_at: Mapped[datetime]


class SupplierInvoice(Base):
    """A supplier's invoice, and how it compares with its purchase order and with what arrived."""

    __tablename__ = "supplier_invoices"
    __table_args__ = (UniqueConstraint("brand_id", "supplier", "number"),)

    id: Mapped[Id]
    brand_id: Mapped[int] = refers_to("brands.id")
    supplier: Mapped[Code]
    number: Mapped[Code]
    order_number: Mapped[str | None] = mapped_column(doc="Purchase order that the invoice names")
    invoiced_on: Mapped[date]
    currency: Mapped[Currency]
    goods_minor: Mapped[MinorUnits]
    tax_minor: Mapped[MinorUnits]
    result: Mapped[str] = one_of("invoice_result", *INVOICE_RESULTS)
    detail: Mapped[str | None] = mapped_column(doc="What differs, and by how much")
    taken_at: Mapped[datetime]
    approved_by: Mapped[str | None] = mapped_column(doc="Who took it in spite of what differs")
    approved_at: Mapped[datetime | None]
    reason: Mapped[str | None]


class SupplierInvoiceLine(Base):
    """So many of one SKU, at a price."""

    __tablename__ = "supplier_invoice_lines"
    __table_args__ = (UniqueConstraint("invoice_id", "line_number"),)

    id: Mapped[Id]
    brand_id: Mapped[int] = refers_to("brands.id")
    invoice_id: Mapped[int] = refers_to("supplier_invoices.id")
    line_number: Mapped[int]
    sku: Mapped[Code]
    quantity: Mapped[int]
    unit_price_micros: Mapped[int] = mapped_column(BigInteger, doc="Millionths of the currency's major unit")
    amount_minor: Mapped[MinorUnits]
