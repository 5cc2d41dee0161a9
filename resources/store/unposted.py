"""Order lines of which the journal says nothing yet: taken in or recorded since the last close.

Belongs here: the query. Does not belong here: what they mean in accounts (`assets/finance/posting`).
"""

from datetime import date
from typing import TYPE_CHECKING

import polars as pl

from resources.store.bulk import read_frame
from resources.store.orders import ORDER_LINES

if TYPE_CHECKING:
    from sqlalchemy import Connection


def read_unposted_lines(connection: "Connection", brand: int, first: date, last: date) -> pl.DataFrame:
    """Lines with an amount, of orders and days in [first, last] that have no entry, with the columns ORDER_LINES."""
    query = """
        SELECT l.id, l.import_id, l.local_date, l.occurred_at, o.id, o.number, o.local_date, c.code, o.country,
               o.customer_id, l.kind, l.code, s.sku, l.description, l.quantity, l.unit_price_micros, l.amount_minor,
               l.currency
        FROM order_lines l
        JOIN orders o ON o.id = l.order_id
        JOIN channels c ON c.id = o.channel_id
        LEFT JOIN skus s ON s.id = l.sku_id
        WHERE l.brand_id = :brand AND l.local_date BETWEEN :first AND :last AND l.amount_minor <> 0
              AND NOT EXISTS (
                  SELECT 1 FROM journal_entries e
                  WHERE e.brand_id = :brand AND e.order_id = l.order_id AND e.event_date = l.local_date
              )
        ORDER BY l.id
    """
    return read_frame(connection, query, ORDER_LINES, {"brand": brand, "first": first, "last": last})
