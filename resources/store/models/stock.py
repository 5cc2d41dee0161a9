"""Stock movements: the one source of truth for every stock level."""

from datetime import date, datetime

from sqlalchemy import Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from resources.store.types import Base, Id, big_integer, one_of, refers_to

MOVEMENT_KINDS = (
    "opening",
    "receipt",
    "sale",
    "return",
    "gift",
    "adjustment",
    "write_off",
    "transfer",
    "reservation",
)


class StockMovement(Base):
    """So many units in (positive) or out (negative) of a location. A level is a sum of these, never a stored number.

    A reservation is a negative movement that a later positive one releases; it counts in `reserved`, not in `on_hand`.
    """

    __tablename__ = "stock_movements"
    __table_args__ = (
        # Covers the sum of a SKU's level, which the low-stock sensor asks for at every tick.
        Index("ix_stock_movements_level", "brand_id", "sku_id", "kind", "quantity"),
        Index("ix_stock_movements_day", "brand_id", "local_date"),
        UniqueConstraint("brand_id", "import_key"),
        UniqueConstraint("order_line_id"),
    )

    id: Mapped[Id]
    brand_id: Mapped[int] = refers_to("brands.id")
    sku_id: Mapped[int] = refers_to("skus.id")
    location_id: Mapped[int] = refers_to("locations.id")
    kind: Mapped[str] = one_of("movement_kind", *MOVEMENT_KINDS)
    quantity: Mapped[int]
    occurred_at: Mapped[datetime]
    local_date: Mapped[date] = mapped_column(doc="Day in the brand's zone, which is its partition")
    reference: Mapped[str | None]
    order_line_id: Mapped[int | None] = mapped_column(big_integer, doc="The order line that moved it")
    import_key: Mapped[str | None] = mapped_column(doc="Identity of the file's row, so that it is taken once")
