"""What the tables of connected channels hold, as frames for the lake.

Does not belong here: writing any of it (`channel_orders`, `channel_items`).
"""

from datetime import datetime
from typing import TYPE_CHECKING

import polars as pl

from resources.store.bulk import read_frame
from resources.store.orders import INSTANT, INT, TEXT

if TYPE_CHECKING:
    from sqlalchemy import Connection

ORDER_LINES: dict[str, pl.DataType] = {
    "channel": TEXT,
    "order_id": TEXT,
    "order_number": TEXT,
    "status": TEXT,
    "line_id": TEXT,
    "channel_sku": TEXT,
    "sku": TEXT,
    "title": TEXT,
    "taken": INT,
    "kept": INT,
    "unit_price_micros": INT,
    "currency": TEXT,
    "placed_at": INSTANT,
    "updated_at": INSTANT,
}
WRITES: dict[str, pl.DataType] = {
    "channel": TEXT,
    "key": TEXT,
    "sku": TEXT,
    "field": TEXT,
    "wanted": INT,
    "expected": INT,
    "shown": INT,
    "status": TEXT,
    "reason": TEXT,
    "details": TEXT,
    "written_by": TEXT,
    "intended_at": INSTANT,
    "finished_at": INSTANT,
}


def read_order_lines(connection: "Connection", brand: int, channel: str) -> pl.DataFrame:
    """Lines of every order of the channel, the newest order first, with the columns ORDER_LINES. The ids are the channel's."""
    query = """
        SELECT c.code, o.external_id, o.number, o.state, l.external_id, l.channel_sku, s.sku, l.title, l.taken, l.kept,
               l.unit_price_micros, o.currency, o.placed_at, o.updated_at
        FROM channel_orders o JOIN channels c ON c.id = o.channel_id
        JOIN channel_order_lines l ON l.channel_order_id = o.id LEFT JOIN skus s ON s.id = l.sku_id
        WHERE o.brand_id = :brand AND c.code = :channel ORDER BY o.placed_at DESC, o.id DESC, l.id
    """
    return read_frame(connection, query, ORDER_LINES, {"brand": brand, "channel": channel})


def read_writes(connection: "Connection", brand: int, channel: str, since: datetime) -> pl.DataFrame:
    """Writes to the channel that were intended since then, in their order, with the columns WRITES."""
    query = """
        SELECT c.code, w.key, s.sku, w.field, w.wanted, w.expected, w.shown, w.state, w.reason, w.detail, w.actor,
               w.intended_at, w.finished_at
        FROM channel_writes w JOIN channels c ON c.id = w.channel_id JOIN skus s ON s.id = w.sku_id
        WHERE w.brand_id = :brand AND c.code = :channel AND w.intended_at >= :since ORDER BY w.id
    """
    return read_frame(connection, query, WRITES, {"brand": brand, "channel": channel, "since": since})
