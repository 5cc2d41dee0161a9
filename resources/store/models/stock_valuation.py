"""What stock is worth: the value of each movement, written once, and the layers that are left."""

from datetime import date

from sqlalchemy import BigInteger, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from resources.store.types import Base, big_integer, names, one_of
from resources.store.vocabulary import COSTING_METHODS


class StockValuation(Base):
    """What units of a movement are worth, in one currency. Into stock positive.

    A movement has more than one part where its units were bought in several currencies, or some at an unknown cost.
    """

    __tablename__ = "stock_valuations"

    movement_id: Mapped[int] = mapped_column(
        big_integer, primary_key=True, autoincrement=False, doc="Id (of stock_movements.id, unchecked)"
    )
    part: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    brand_id: Mapped[int] = names("brands.id")
    units: Mapped[int]
    value_minor: Mapped[int | None] = mapped_column(BigInteger, doc="Empty where the cost of these units is unknown")
    variance_minor: Mapped[int] = mapped_column(
        BigInteger, doc="What the stock changes besides: paid otherwise than was assumed"
    )
    currency: Mapped[str | None] = mapped_column(String(3))
    method: Mapped[str] = one_of("costing_method", *COSTING_METHODS, checked=False)


class StockLayer(Base):
    """Units of a SKU that are worth so much together, the oldest first. Below zero: they went out before they came in."""

    __tablename__ = "stock_layers"

    sku_id: Mapped[int] = mapped_column(
        big_integer, primary_key=True, autoincrement=False, doc="Id (of skus.id, unchecked)"
    )
    position: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    brand_id: Mapped[int] = names("brands.id")
    units: Mapped[int] = mapped_column(BigInteger)
    value_minor: Mapped[int | None] = mapped_column(BigInteger, doc="Empty where the cost is unknown")
    currency: Mapped[str | None] = mapped_column(String(3))
    local_date: Mapped[date] = mapped_column(doc="Newest day of a movement that they have been through")
