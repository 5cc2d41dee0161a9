"""What a person looks at because it may be fraud, what was found, and which orders wait meanwhile."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from resources.store.types import Base, Code, Currency, Id, MinorUnits, one_of, refers_to
from resources.store.vocabulary import FRAUD_VERDICTS

_OPEN, _HELD = text("verdict IS NULL"), text("released_at IS NULL")


class FraudReview(Base):
    """One scored transaction that a person should look at, and the verdict, which is a label of the next training."""

    __tablename__ = "fraud_reviews"
    __table_args__ = (
        UniqueConstraint("brand_id", "source", "subject"),
        Index("ix_fraud_reviews_open", "brand_id", "score", sqlite_where=_OPEN, postgresql_where=_OPEN),
    )

    id: Mapped[Id]
    brand_id: Mapped[int] = refers_to("brands.id")
    source: Mapped[Code] = mapped_column(doc="Where the transaction is from: `orders`, or the name of a feed")
    subject: Mapped[str] = mapped_column(String(255), doc="Id of the transaction; of an order its channel/number")
    occurred_at: Mapped[datetime]
    score: Mapped[float | None] = mapped_column(doc="0 to 1 as it was when the review was asked for")
    amount_minor: Mapped[MinorUnits | None]
    currency: Mapped[Currency | None]
    details: Mapped[dict[str, Any]] = mapped_column(doc="Reasons, rules and the model")
    requested_at: Mapped[datetime]
    requested_by: Mapped[str]
    verdict: Mapped[str | None] = one_of("fraud_verdict", *FRAUD_VERDICTS)
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[str | None]
    note: Mapped[str | None]


class OrderHold(Base):
    """An order that is not to be fulfilled until somebody releases it. One unreleased hold an order."""

    __tablename__ = "order_holds"
    __table_args__ = (
        Index(
            "uq_order_holds_held",
            "brand_id",
            "channel",
            "order_number",
            unique=True,
            sqlite_where=_HELD,
            postgresql_where=_HELD,
        ),
    )

    id: Mapped[Id]
    brand_id: Mapped[int] = refers_to("brands.id")
    channel: Mapped[Code]
    order_number: Mapped[Code]
    reason: Mapped[str]
    held_at: Mapped[datetime]
    held_by: Mapped[str]
    released_at: Mapped[datetime | None]
    released_by: Mapped[str | None]
    release_note: Mapped[str | None]
