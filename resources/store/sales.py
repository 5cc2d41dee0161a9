"""What has been sold, read straight from the order lines."""

from datetime import date
from typing import TYPE_CHECKING, Any

import polars as pl

from resources.store.bulk import read_frame, run
from resources.store.orders import DAY, INT

if TYPE_CHECKING:
    from sqlalchemy import Connection

_SOLD = "kind = 'goods' AND quantity > 0 AND amount_minor <> 0"
_OF_SKU = "sku_id = (SELECT id FROM skus WHERE brand_id = :brand AND sku = :sku)"


def has_sold(connection: "Connection", brand: int, sku: str) -> bool:
    """Whether the SKU was ever sold for money."""
    query = f"SELECT 1 FROM order_lines WHERE brand_id = :brand AND {_OF_SKU} AND {_SOLD} LIMIT 1"
    return run(connection, query, {"brand": brand, "sku": sku}).fetchone() is not None


def last_sale(connection: "Connection", brand: int, sku: str) -> date | None:
    """The day on which the SKU was last sold for money."""
    query = f"SELECT max(local_date) FROM order_lines WHERE brand_id = :brand AND {_OF_SKU} AND {_SOLD}"
    day: Any = run(connection, query, {"brand": brand, "sku": sku}).scalar()
    return date.fromisoformat(day) if isinstance(day, str) else day


def units_by_day(connection: "Connection", brand: int, sku: str, first: date, last: date) -> pl.DataFrame:
    """Units sold for money on each day of [first, last] with a sale: day, of_sku, of_brand (that have a SKU)."""
    query = f"""
        SELECT local_date, CAST(sum(CASE WHEN {_OF_SKU} THEN quantity ELSE 0 END) AS BIGINT),
               CAST(sum(quantity) AS BIGINT)
        FROM order_lines
        WHERE brand_id = :brand AND local_date BETWEEN :first AND :last AND sku_id IS NOT NULL AND {_SOLD}
        GROUP BY local_date ORDER BY local_date
    """
    values = {"brand": brand, "sku": sku, "first": first, "last": last}
    return read_frame(connection, query, {"day": DAY, "of_sku": INT, "of_brand": INT}, values)
