"""Money: rates, money events, and the double-entry ledger. Amounts are integer minor units beside their currency."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from resources.store.types import Base, Code, Currency, Id, MinorUnits, big_integer, names, one_of, refers_to

_KEYED, _REVERSAL = text("key IS NOT NULL"), text("reversal_of IS NOT NULL")


class FxRate(Base):
    """Units of `quote` for one unit of `base` on a day, as a source gave it."""

    __tablename__ = "fx_rates"
    __table_args__ = (
        UniqueConstraint("brand_id", "base", "quote", "rate_date", "source"),
        Index("ix_fx_rates_day", "brand_id", "rate_date"),
    )

    id: Mapped[Id]
    brand_id: Mapped[int] = refers_to("brands.id")
    base: Mapped[Currency]
    quote: Mapped[Currency]
    rate_date: Mapped[date]
    rate: Mapped[Decimal]
    source: Mapped[Code]
    fetched_at: Mapped[datetime]


class FxRateCorrection(Base):
    """A rate as it was before its source corrected it: what an amount was valued at can still be explained."""

    __tablename__ = "fx_rate_corrections"
    __table_args__ = (Index("ix_fx_rate_corrections_day", "brand_id", "rate_date"),)

    id: Mapped[Id]
    brand_id: Mapped[int] = refers_to("brands.id")
    base: Mapped[Currency]
    quote: Mapped[Currency]
    rate_date: Mapped[date]
    rate: Mapped[Decimal]
    source: Mapped[Code]
    fetched_at: Mapped[datetime]
    replaced_at: Mapped[datetime]


class Transaction(Base):
    """A money event: what an order brought in, what a refund gave back, an expense, a transfer."""

    __tablename__ = "transactions"
    __table_args__ = (
        UniqueConstraint("brand_id", "order_id", "type"),
        Index("uq_transactions_key", "brand_id", "key", unique=True, sqlite_where=_KEYED, postgresql_where=_KEYED),
        Index(
            "uq_transactions_reversal_of",
            "reversal_of",
            unique=True,
            sqlite_where=_REVERSAL,
            postgresql_where=_REVERSAL,
        ),
    )

    id: Mapped[Id]
    brand_id: Mapped[int] = refers_to("brands.id")
    type: Mapped[str] = one_of(
        "transaction_type", "sale", "refund", "purchase", "adjustment", "transfer", "expense", "revenue"
    )
    order_id: Mapped[int | None] = refers_to("orders.id")
    amount_minor: Mapped[MinorUnits] = mapped_column(doc="Sum of the order's lines; negative for refunds")
    currency: Mapped[Currency]
    occurred_at: Mapped[datetime]
    details: Mapped[dict[str, Any] | None]
    key: Mapped[str | None] = mapped_column(
        String(255), doc="Idempotency key of the call that recorded it; empty where a file brought it"
    )
    reversal_of: Mapped[int | None] = names("transactions.id", "The transaction that this one takes back")


class Account(Base):
    """A line of the chart of accounts."""

    __tablename__ = "accounts"
    __table_args__ = (UniqueConstraint("brand_id", "code"),)

    id: Mapped[Id]
    brand_id: Mapped[int] = refers_to("brands.id")
    code: Mapped[Code] = mapped_column(doc="A head such as 4000, or one of its sub-accounts such as 4000.shopify")
    name: Mapped[str]
    type: Mapped[str] = one_of("account_type", "asset", "liability", "equity", "revenue", "expense")


class AccountingPeriod(Base):
    """A month of the books that was closed. While it is, the database takes no entry that is dated in it."""

    __tablename__ = "accounting_periods"
    __table_args__ = (UniqueConstraint("brand_id", "month"),)

    id: Mapped[Id]
    brand_id: Mapped[int] = refers_to("brands.id")
    month: Mapped[date] = mapped_column(doc="Its first day")
    status: Mapped[str] = one_of("period_status", "open", "closed")
    head: Mapped[str] = mapped_column(String(64), doc="Newest hash of the journal when the month was last closed")
    changed_at: Mapped[datetime]
    changed_by: Mapped[str]


class JournalEntry(Base):
    """A dated set of postings that sums to zero in every currency. Append only: a correction is a further entry.

    Triggers hold that: an entry is written after its postings and seals them, and nothing of it is changed or deleted.
    """

    __tablename__ = "journal_entries"
    __table_args__ = (
        UniqueConstraint("brand_id", "key"),
        Index("ix_journal_entries_day", "brand_id", "entry_date"),
        Index("ix_journal_entries_event_day", "brand_id", "event_date"),
        Index("ix_journal_entries_newest", "brand_id", "id"),
        Index("ix_journal_entries_order", "order_id"),
    )

    id: Mapped[Id]
    brand_id: Mapped[int] = refers_to("brands.id")
    key: Mapped[str] = mapped_column(String(255), doc="Identity of the business event, so that it is posted once")
    entry_date: Mapped[date] = mapped_column(doc="Day of the books; the event's own day unless its month was closed")
    event_date: Mapped[date] = mapped_column(doc="Local day of the business event")
    recorded_at: Mapped[datetime]
    kind: Mapped[str] = mapped_column(String(32), doc="order, stock, payout, expense, revaluation, reversal, …")
    description: Mapped[str]
    reference: Mapped[str | None] = mapped_column(doc="Whose number a person would search by; an order's is its own")
    channel: Mapped[str | None] = mapped_column(String(128), doc="Code of the channel where no order says it")
    order_id: Mapped[int | None] = refers_to("orders.id")
    reversal_of: Mapped[int | None] = refers_to("journal_entries.id")
    previous_hash: Mapped[str] = mapped_column(String(64), doc="Of the brand's entry before this one")
    hash: Mapped[str] = mapped_column(String(64), doc="SHA-256 over the previous hash, the entry and its postings")


class Posting(Base):
    """An amount on an account: debit positive, credit negative."""

    __tablename__ = "postings"
    __table_args__ = (Index("ix_postings_entry", "entry_id"),)

    id: Mapped[Id]
    brand_id: Mapped[int] = refers_to("brands.id")
    entry_id: Mapped[int] = mapped_column(big_integer)
    account_id: Mapped[int] = refers_to("accounts.id")
    amount_minor: Mapped[MinorUnits]
    currency: Mapped[Currency]
    base_amount_minor: Mapped[int | None] = mapped_column(
        BigInteger, doc="In the brand's base currency at the day's rate; empty where no rate is known"
    )
    rate_numerator: Mapped[int | None] = mapped_column(
        BigInteger, doc="With the denominator: worth of one unit of the currency in the base currency, as it was posted"
    )
    rate_denominator: Mapped[int | None] = mapped_column(BigInteger)
