"""What the brand makes: products (styles), their SKUs, what a SKU costs and where it is listed."""

from datetime import date, datetime

from sqlalchemy import BigInteger, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from resources.store.types import Base, Code, Currency, Id, MinorUnits, one_of, refers_to
from resources.store.vocabulary import SUPPLIES


class Product(Base):
    """A style: what the client calls the thing, before size and colour."""

    __tablename__ = "products"
    __table_args__ = (UniqueConstraint("brand_id", "code"),)

    id: Mapped[Id]
    brand_id: Mapped[int] = refers_to("brands.id")
    code: Mapped[Code]
    name: Mapped[str | None]
    category: Mapped[str | None]
    subcategory: Mapped[str | None]
    collection: Mapped[str | None]
    launched_on: Mapped[date | None]


class Sku(Base):
    """The unit that is stocked, counted and sold."""

    __tablename__ = "skus"
    __table_args__ = (UniqueConstraint("brand_id", "sku"),)

    id: Mapped[Id]
    brand_id: Mapped[int] = refers_to("brands.id")
    product_id: Mapped[int | None] = refers_to("products.id")
    sku: Mapped[Code]
    name: Mapped[str | None]
    size: Mapped[str | None]
    color: Mapped[str | None]
    retail_price_minor: Mapped[int | None] = mapped_column(BigInteger, doc="Minor units of `currency`")
    currency: Mapped[str | None] = mapped_column(String(3))
    supplier: Mapped[str | None]
    lead_time_days: Mapped[int | None]
    min_order_quantity: Mapped[int | None]
    reorder_point: Mapped[int | None] = mapped_column(doc="Units; at or below it the SKU is low")
    reorder_point_source: Mapped[str | None] = one_of("reorder_point_source", "manual", "plan")
    updated_at: Mapped[datetime]
    description: Mapped[str | None] = mapped_column(Text)
    label: Mapped[str | None] = mapped_column(doc="Brand on the label, as a channel names it")
    reorder_quantity: Mapped[int | None] = mapped_column(doc="Units that a person orders at a time")
    supply: Mapped[str | None] = one_of("supply", *SUPPLIES, checked=False)
    supply_limit: Mapped[int | None] = mapped_column(doc="Units that may be sold beyond what is in stock")
    supply_from: Mapped[date | None] = mapped_column(doc="First day of a pre-order")
    supply_until: Mapped[date | None] = mapped_column(doc="Last day of a pre-order")
    is_numbered: Mapped[bool | None] = mapped_column(
        doc="Each piece has a number of its own, and is on one channel at a time"
    )


class BundleComponent(Base):
    """What a set consists of. A set has no stock of its own."""

    __tablename__ = "bundle_components"
    __table_args__ = (UniqueConstraint("bundle_id", "component_id"),)

    id: Mapped[Id]
    brand_id: Mapped[int] = refers_to("brands.id")
    bundle_id: Mapped[int] = refers_to("skus.id")
    component_id: Mapped[int] = refers_to("skus.id")
    units: Mapped[int]


class SkuCost(Base):
    """The cost table: what one unit costs from a day on. No row means that the cost is unknown."""

    __tablename__ = "sku_costs"
    __table_args__ = (UniqueConstraint("sku_id", "valid_from"),)

    id: Mapped[Id]
    brand_id: Mapped[int] = refers_to("brands.id")
    sku_id: Mapped[int] = refers_to("skus.id")
    valid_from: Mapped[date]
    cost_minor: Mapped[MinorUnits]
    currency: Mapped[Currency]


class Listing(Base):
    """A SKU as a channel shows it, when it was last seen there."""

    __tablename__ = "listings"
    __table_args__ = (UniqueConstraint("channel_id", "sku_id"),)

    id: Mapped[Id]
    brand_id: Mapped[int] = refers_to("brands.id")
    channel_id: Mapped[int] = refers_to("channels.id")
    sku_id: Mapped[int] = refers_to("skus.id")
    external_id: Mapped[str | None]
    price_minor: Mapped[int | None] = mapped_column(BigInteger)
    currency: Mapped[str | None] = mapped_column(String(3))
    quantity: Mapped[int | None]
    seen_at: Mapped[datetime]
