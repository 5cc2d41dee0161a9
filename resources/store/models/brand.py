"""The brand and the places where it keeps and sells its goods."""

from datetime import datetime

from sqlalchemy import String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from resources.store.types import Base, Code, Currency, Id, one_of, refers_to
from resources.store.vocabulary import CHANNEL_KINDS


class Brand(Base):
    """A house. Several live apart in one installation."""

    __tablename__ = "brands"

    id: Mapped[Id]
    slug: Mapped[str] = mapped_column(String(63), unique=True)
    name: Mapped[str]
    base_currency: Mapped[Currency]
    timezone: Mapped[str] = mapped_column(doc="IANA zone of the books and of the daily partitions")
    created_at: Mapped[datetime]


class Location(Base):
    """A warehouse, a shop or a workshop that holds stock."""

    __tablename__ = "locations"
    __table_args__ = (UniqueConstraint("brand_id", "code"),)

    id: Mapped[Id]
    brand_id: Mapped[int] = refers_to("brands.id")
    code: Mapped[Code]
    name: Mapped[str]


class Channel(Base):
    """A place of sale."""

    __tablename__ = "channels"
    __table_args__ = (UniqueConstraint("brand_id", "code"),)

    id: Mapped[Id]
    brand_id: Mapped[int] = refers_to("brands.id")
    code: Mapped[Code]
    kind: Mapped[str] = one_of("channel_kind", *CHANNEL_KINDS)
