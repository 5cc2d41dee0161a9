"""Stock movements, the one source of truth for every level; promises of stock, rules for showing it, numbered pieces."""

from datetime import date, datetime

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from resources.store.types import Base, Code, Id, big_integer, days_index, names, one_of, refers_to
from resources.store.vocabulary import MOVEMENT_KINDS, PIECE_STATES, RESERVATION_STATES

_IMPORTED = text("import_key IS NOT NULL")


class StockMovement(Base):
    """So many units in (positive) or out (negative) of a location. A level is a sum of these, never a stored number.

    A reservation is a negative movement that a later positive one releases; it counts in `reserved`, not in `on_hand`.
    """

    __tablename__ = "stock_movements"
    __table_args__ = (
        days_index("ix_stock_movements_day"),
        Index(
            "uq_stock_movements_import_key",
            "brand_id",
            "import_key",
            unique=True,
            sqlite_where=_IMPORTED,
            postgresql_where=_IMPORTED,
        ),
    )

    id: Mapped[Id]
    brand_id: Mapped[int] = names("brands.id")
    sku_id: Mapped[int] = names("skus.id")
    location_id: Mapped[int] = names("locations.id")
    kind: Mapped[str] = one_of("movement_kind", *MOVEMENT_KINDS, checked=False)
    quantity: Mapped[int]
    occurred_at: Mapped[datetime]
    local_date: Mapped[date] = mapped_column(doc="Day in the brand's zone, which is its partition")
    reference: Mapped[str | None]
    order_line_id: Mapped[int | None] = names(
        "order_lines.id", "The line that moved it, written in the same transaction"
    )
    import_key: Mapped[str | None] = mapped_column(
        doc="Identity of the file's row or order's change, so that it is taken once"
    )
    actor: Mapped[str | None] = mapped_column(
        String(255), doc="Who moved it; empty where the reference or the line tells"
    )
    reason: Mapped[str | None]


class Reservation(Base):
    """Units that are promised to somebody, for a time. Its movements take them from `available`, never from `on_hand`."""

    __tablename__ = "reservations"
    __table_args__ = (
        UniqueConstraint("brand_id", "reference"),
        Index("ix_reservations_expires_at", "brand_id", "state", "expires_at"),
    )

    id: Mapped[Id]
    brand_id: Mapped[int] = refers_to("brands.id")
    reference: Mapped[str] = mapped_column(String(255), doc="Whose it is, such as a client's name or an order")
    sku_id: Mapped[int] = refers_to("skus.id")
    location_id: Mapped[int] = refers_to("locations.id")
    quantity: Mapped[int]
    state: Mapped[str] = one_of("reservation_state", *RESERVATION_STATES)
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(String(255))
    expires_at: Mapped[datetime | None] = mapped_column(doc="Empty for one that holds until it is released")
    ended_at: Mapped[datetime | None]


class StockRule(Base):
    """What a channel is not shown of the stock. The rule that says most about the case counts."""

    __tablename__ = "stock_rules"

    id: Mapped[Id]
    brand_id: Mapped[int] = refers_to("brands.id")
    channel_id: Mapped[int | None] = mapped_column(
        big_integer, ForeignKey("channels.id"), doc="Empty for every channel"
    )
    sku_id: Mapped[int | None] = mapped_column(big_integer, ForeignKey("skus.id"), doc="Empty for every SKU")
    buffer: Mapped[int] = mapped_column(doc="Units that are held back")
    most: Mapped[int | None] = mapped_column(doc="Units that are shown at the most")


class NumberedPiece(Base):
    """One piece with a number of its own."""

    __tablename__ = "numbered_pieces"
    __table_args__ = (UniqueConstraint("brand_id", "sku_id", "serial"),)

    id: Mapped[Id]
    brand_id: Mapped[int] = refers_to("brands.id")
    sku_id: Mapped[int] = refers_to("skus.id")
    serial: Mapped[Code]
    location_id: Mapped[int] = refers_to("locations.id")
    state: Mapped[str] = one_of("piece_state", *PIECE_STATES)
    reference: Mapped[str | None] = mapped_column(doc="Channel, order and line that it was sold on")
    moved_at: Mapped[datetime]
