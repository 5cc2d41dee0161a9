"""What people ask about connected channels: how each stands, what nobody knows the SKU of, what was written.

Belongs here: reading only. Does not belong here: keeping what channels show and are told (`channel_items`).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from resources.store.bulk import fetch, read_frame
from resources.store.orders import INT, TEXT

if TYPE_CHECKING:
    from sqlalchemy import Connection

UNMAPPED: dict[str, pl.DataType] = {"channel": TEXT, "what": TEXT, "channel_sku": TEXT, "title": TEXT, "where": TEXT}
COLLISIONS: dict[str, pl.DataType] = {"channel": TEXT, "sku": TEXT, "items": INT, "keys": TEXT}
WRITES: dict[str, pl.DataType] = {
    "channel": TEXT,
    "sku": TEXT,
    "field": TEXT,
    "shown": INT,
    "wanted": INT,
    "state": TEXT,
    "reason": TEXT,
}


@dataclass(frozen=True)
class Listed:
    """How many things a channel lists, and how many of them are SKUs of ours."""

    items: int = 0
    mapped: int = 0


def count_items(connection: "Connection", brand: int) -> dict[str, Listed]:
    """By channel; one that has never been read is left out."""
    query = """
        SELECT c.code, count(*), count(i.sku_id) FROM channel_items i JOIN channels c ON c.id = i.channel_id
        WHERE i.brand_id = :brand GROUP BY c.code
    """
    return {channel: Listed(items, mapped) for channel, items, mapped in fetch(connection, query, {"brand": brand})}


def read_unmapped(connection: "Connection", brand: int) -> pl.DataFrame:
    """Listed items and lines of orders without a SKU of ours (columns UNMAPPED), less those that have a mapping by now.

    `what` is item or order line; `where` is the item's key or the order's number.
    """
    mapped = """
        EXISTS (SELECT 1 FROM sku_mappings m WHERE m.channel_id = {row}.channel_id AND m.channel_sku = {sku}.channel_sku)
    """
    query = f"""
        SELECT c.code, 'item', i.channel_sku, i.title, i.key
        FROM channel_items i JOIN channels c ON c.id = i.channel_id
        WHERE i.brand_id = :brand AND i.sku_id IS NULL AND i.unwritable IS NULL AND NOT {mapped.format(row="i", sku="i")}
        UNION ALL
        SELECT c.code, 'order line', l.channel_sku, l.title, o.number
        FROM channel_order_lines l JOIN channel_orders o ON o.id = l.channel_order_id JOIN channels c ON c.id = o.channel_id
        WHERE l.brand_id = :brand AND l.sku_id IS NULL AND NOT {mapped.format(row="o", sku="l")}
    """
    return read_frame(connection, query, UNMAPPED, {"brand": brand}).sort("channel", "what", "channel_sku", "where")


def read_collisions(connection: "Connection", brand: int) -> pl.DataFrame:
    """SKUs of ours that several writable items of one channel have: columns COLLISIONS, `keys` in one text."""
    query = """
        SELECT c.code, s.sku, i.key FROM channel_items i
        JOIN channels c ON c.id = i.channel_id JOIN skus s ON s.id = i.sku_id
        WHERE i.brand_id = :brand AND i.unwritable IS NULL ORDER BY c.code, s.sku, i.key
    """
    rows = read_frame(connection, query, {"channel": TEXT, "sku": TEXT, "key": TEXT}, {"brand": brand})
    found = rows.group_by("channel", "sku", maintain_order=True).agg(
        items=pl.len().cast(INT), keys=pl.col("key").str.join(", ")
    )
    return found.filter(pl.col("items") > 1).select(*COLLISIONS)


def last_write(connection: "Connection", brand: int) -> int:
    """The number of the newest write that was intended to any channel; 0 where there was none."""
    query = "SELECT coalesce(max(id), 0) FROM channel_writes WHERE brand_id = :brand"
    return fetch(connection, query, {"brand": brand})[0][0]


def read_writes(connection: "Connection", brand: int, after: int, actor: str) -> pl.DataFrame:
    """What somebody has had written since, in its order: columns WRITES, `shown` being what was read before."""
    query = """
        SELECT c.code, s.sku, w.field, w.expected, w.wanted, w.state, w.reason
        FROM channel_writes w JOIN channels c ON c.id = w.channel_id JOIN skus s ON s.id = w.sku_id
        WHERE w.brand_id = :brand AND w.id > :after AND w.actor = :actor ORDER BY w.id
    """
    return read_frame(connection, query, WRITES, {"brand": brand, "after": after, "actor": actor})
