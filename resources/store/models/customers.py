"""Clients. Personal data stands in a table of its own, so that it can be erased and the orders stay."""

from datetime import date

from sqlalchemy import ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from resources.store.types import Base, Code, Id, big_integer, refers_to


class Customer(Base):
    """A client, by the number that the source gives; says nothing about the person."""

    __tablename__ = "customers"
    __table_args__ = (UniqueConstraint("brand_id", "external_id"),)

    id: Mapped[Id]
    brand_id: Mapped[int] = refers_to("brands.id")
    external_id: Mapped[Code]
    first_seen: Mapped[date]


class CustomerProfile(Base):
    """Who the client is, each text sealed. Never copied to the lake; erased by deleting the row."""

    __tablename__ = "customer_profiles"

    customer_id: Mapped[int] = mapped_column(
        big_integer, ForeignKey("customers.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    brand_id: Mapped[int] = refers_to("brands.id")
    email: Mapped[str | None]
    name: Mapped[str | None]
    phone: Mapped[str | None]
    key_id: Mapped[str | None] = mapped_column(
        String(32), doc="Data key that sealed the texts; empty for those that stand as an earlier version wrote them"
    )
