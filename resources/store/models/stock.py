"""Stock movements: the one source of truth for every stock level."""

from datetime import date, datetime

from sqlalchemy import Index, text
from sqlalchemy.orm import Mapped, mapped_column

from resources.store.types import Base, Id, days_index, names, one_of
from resources.store.vocabulary import MOVEMENT_KINDS

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
    import_key: Mapped[str | None] = mapped_column(doc="Identity of the file's row, so that it is taken once")
