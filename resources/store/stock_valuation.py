"""Values of stock movements and the layers that are left: the tables `stock_valuations` and `stock_layers`.

Belongs here: reading what is not valued yet, and writing each value once. Does not belong here: what a movement is worth
(`assets/inventory/valuation`).

A SKU is valued from its beginning once any cost of it is known. Until then its movements wait, and nothing is posted of them.
"""

from datetime import date
from typing import TYPE_CHECKING

import polars as pl

from resources.store.bulk import insert_frame, read_frame, run
from resources.store.orders import DAY, INT, TEXT, ensure_skus

if TYPE_CHECKING:
    from sqlalchemy import Connection

VALUED: dict[str, pl.DataType] = {
    "movement_id": INT,
    "part": INT,
    "day": DAY,
    "sku": TEXT,
    "kind": TEXT,
    "order_id": INT,
    "line_id": INT,
    "units": INT,
    "value_minor": INT,
    "variance_minor": INT,
    "currency": TEXT,
    "method": TEXT,
}
LINE_COSTS: dict[str, pl.DataType] = {"line_id": INT, "cost_minor": INT, "cost_currency": TEXT}
UNVALUED: dict[str, pl.DataType] = {
    "movement_id": INT,
    "sku": TEXT,
    "day": DAY,
    "kind": TEXT,
    "quantity": INT,
    "reference": TEXT,
}
PURCHASES: dict[str, pl.DataType] = {"reference": TEXT, "sku": TEXT, "paid_minor": INT, "paid_currency": TEXT}
LAYERS: dict[str, pl.DataType] = {
    "sku": TEXT,
    "position": INT,
    "units": INT,
    "value_minor": INT,
    "currency": TEXT,
    "day": DAY,
}
# A movement between two places, or a promise, changes no value.
_HAS_A_VALUE = """
    m.brand_id = :brand AND m.kind NOT IN ('reservation', 'transfer') AND m.sku_id IN (
        SELECT sku_id FROM sku_costs WHERE brand_id = :brand
        UNION SELECT r.sku_id FROM purchase_orders o JOIN purchase_order_lines l ON l.purchase_order_id = o.id
              JOIN stock_movements r ON r.brand_id = :brand AND r.kind = 'receipt' AND r.reference = o.number
                   AND r.sku_id = l.sku_id
              WHERE o.brand_id = :brand AND l.unit_cost_minor IS NOT NULL)
"""


# A movement of a connected channel's order names it and its line. That line is one of ours where the order has just one of
# the code and direction: what is told of it later, such as another price, makes more of them.
_OF_CHANNELS = """
    WITH told AS (
        SELECT c.code || ':' || o.external_id || ':' || l.external_id AS reference, o.order_id,
               substr(coalesce(l.channel_sku, l.key, l.external_id), 1, 128) AS code,
               count(*) OVER (PARTITION BY o.id, coalesce(l.channel_sku, l.key, l.external_id)) AS alike
        FROM channel_order_lines l JOIN channel_orders o ON o.id = l.channel_order_id JOIN channels c ON c.id = o.channel_id
        WHERE l.brand_id = :brand AND o.order_id IS NOT NULL),
    of_channels AS (
        SELECT t.reference, t.order_id,
               CASE WHEN count(CASE WHEN n.quantity > 0 THEN 1 END) = 1 AND t.alike = 1
                    THEN max(CASE WHEN n.quantity > 0 THEN n.id END) END AS sold_line,
               CASE WHEN count(CASE WHEN n.quantity < 0 THEN 1 END) = 1 AND t.alike = 1
                    THEN max(CASE WHEN n.quantity < 0 THEN n.id END) END AS returned_line
        FROM told t LEFT JOIN order_lines n ON n.order_id = t.order_id AND n.code = t.code AND n.kind = 'goods'
        GROUP BY t.reference, t.order_id, t.alike)
"""
_LINE = "coalesce(m.order_line_id, CASE m.kind WHEN 'sale' THEN t.sold_line WHEN 'return' THEN t.returned_line END)"
_VALUED_MOVEMENTS = """
    stock_movements m JOIN stock_valuations v ON v.movement_id = m.id
    LEFT JOIN of_channels t ON m.order_line_id IS NULL AND m.kind IN ('sale', 'return') AND t.reference = m.reference
"""


def read_unvalued(connection: "Connection", brand: int, last: date) -> pl.DataFrame:
    """Movements up to a day that have a value and were not valued yet: columns UNVALUED."""
    query = f"""
        SELECT m.id, s.sku, m.local_date, m.kind, m.quantity, m.reference
        FROM stock_movements m JOIN skus s ON s.id = m.sku_id
        WHERE {_HAS_A_VALUE} AND m.local_date <= :last
              AND NOT EXISTS (SELECT 1 FROM stock_valuations v WHERE v.movement_id = m.id)
        ORDER BY m.id
    """
    return read_frame(connection, query, UNVALUED, {"brand": brand, "last": last})


def read_moved(connection: "Connection", brand: int, last: date) -> pl.DataFrame:
    """Every movement up to a day, valued or not: columns UNVALUED."""
    query = """
        SELECT m.id, s.sku, m.local_date, m.kind, m.quantity, m.reference
        FROM stock_movements m JOIN skus s ON s.id = m.sku_id
        WHERE m.brand_id = :brand AND m.local_date <= :last ORDER BY m.id
    """
    return read_frame(connection, query, UNVALUED, {"brand": brand, "last": last})


def read_purchases(connection: "Connection", brand: int) -> pl.DataFrame:
    """What a unit of each SKU costs by each purchase order: columns PURCHASES."""
    query = """
        SELECT o.number, s.sku, l.unit_cost_minor, l.currency
        FROM purchase_order_lines l JOIN purchase_orders o ON o.id = l.purchase_order_id JOIN skus s ON s.id = l.sku_id
        WHERE l.brand_id = :brand AND l.unit_cost_minor IS NOT NULL AND l.currency IS NOT NULL ORDER BY l.id
    """
    return read_frame(connection, query, PURCHASES, {"brand": brand})


def read_layers(connection: "Connection", brand: int) -> pl.DataFrame:
    """What is left of every SKU: columns LAYERS."""
    query = """
        SELECT s.sku, l.position, l.units, l.value_minor, l.currency, l.local_date
        FROM stock_layers l JOIN skus s ON s.id = l.sku_id WHERE l.brand_id = :brand ORDER BY s.sku, l.position
    """
    return read_frame(connection, query, LAYERS, {"brand": brand})


def write_values(connection: "Connection", brand: int, parts: pl.DataFrame, layers: pl.DataFrame, method: str) -> None:
    """Write the values of movements that had none, and what is left after them (all layers of the brand).

    Raises IntegrityError where a movement was valued before.
    """
    rows = parts.select(
        "movement_id",
        "part",
        pl.lit(brand, INT).alias("brand_id"),
        "units",
        "value_minor",
        "variance_minor",
        "currency",
        pl.lit(method).alias("method"),
    )
    insert_frame(connection, "stock_valuations", rows)
    skus = ensure_skus(connection, brand, layers.select(pl.col("sku").unique(), name=pl.lit(None, TEXT)))
    run(connection, "DELETE FROM stock_layers WHERE brand_id = :brand", {"brand": brand})
    left = layers.select(
        # Of an empty mapping Polars makes texts, whatever type is asked for.
        pl.col("sku").replace_strict(skus or {"": 0}, return_dtype=INT).alias("sku_id"),
        "position",
        pl.lit(brand, INT).alias("brand_id"),
        "units",
        "value_minor",
        "currency",
        pl.col("day").alias("local_date"),
    )
    insert_frame(connection, "stock_layers", left)


def read_valued(connection: "Connection", brand: int, first: date, last: date) -> pl.DataFrame:
    """Valued movements whose local date lies in [first, last], with the columns VALUED."""
    query = f"""
        {_OF_CHANNELS}
        SELECT m.id, v.part, m.local_date, s.sku, m.kind, coalesce(l.order_id, t.order_id), {_LINE}, v.units, v.value_minor,
               v.variance_minor, v.currency, v.method
        FROM {_VALUED_MOVEMENTS} JOIN skus s ON s.id = m.sku_id LEFT JOIN order_lines l ON l.id = m.order_line_id
        WHERE m.brand_id = :brand AND m.local_date BETWEEN :first AND :last ORDER BY m.id, v.part
    """
    return read_frame(connection, query, VALUED, {"brand": brand, "first": first, "last": last})


def read_line_costs(connection: "Connection", brand: int, first: date, last: date) -> pl.DataFrame:
    """What the order lines of [first, last] cost by their valued movements: columns LINE_COSTS, positive for what was sold.

    The cost is null where that of some units is unknown, or was paid in several currencies.
    """
    query = f"""
        {_OF_CHANNELS}
        SELECT line_id, CASE WHEN is_known THEN cost END, CASE WHEN is_known THEN currency END FROM (
            SELECT {_LINE} AS line_id, CAST(-sum(v.value_minor) AS BIGINT) AS cost, max(v.currency) AS currency,
                   count(*) = count(v.value_minor) AND count(DISTINCT v.currency) <= 1 AS is_known
            FROM {_VALUED_MOVEMENTS}
            WHERE m.brand_id = :brand AND m.local_date BETWEEN :first AND :last GROUP BY 1) AS by_line
        WHERE line_id IS NOT NULL ORDER BY line_id
    """
    return read_frame(connection, query, LINE_COSTS, {"brand": brand, "first": first, "last": last})


def unvalued_days(connection: "Connection", brand: int) -> pl.DataFrame:
    """Days with movements that have a value which was not written yet: day, movements."""
    query = f"""
        SELECT m.local_date, count(*) FROM stock_movements m
        WHERE {_HAS_A_VALUE} AND NOT EXISTS (SELECT 1 FROM stock_valuations v WHERE v.movement_id = m.id)
        GROUP BY m.local_date ORDER BY m.local_date
    """
    return read_frame(connection, query, {"day": DAY, "movements": INT}, {"brand": brand})


def valued_days(connection: "Connection", brand: int) -> pl.DataFrame:
    """Per day: how many rows of values there are, and what they change in all: day, rows, newest (the sum)."""
    query = """
        SELECT m.local_date, count(*), CAST(sum(coalesce(v.value_minor, 0) + v.variance_minor) AS BIGINT)
        FROM stock_valuations v JOIN stock_movements m ON m.id = v.movement_id
        WHERE v.brand_id = :brand GROUP BY m.local_date ORDER BY m.local_date
    """
    return read_frame(connection, query, {"day": DAY, "rows": INT, "newest": INT}, {"brand": brand})


def inventory_balance(connection: "Connection", brand: int, account: str, last: date) -> pl.DataFrame:
    """What events up to a day have left on an account and its sub-accounts: currency, amount_minor."""
    query = """
        SELECT p.currency, CAST(sum(p.amount_minor) AS BIGINT)
        FROM postings p JOIN journal_entries e ON e.id = p.entry_id JOIN accounts a ON a.id = p.account_id
        WHERE p.brand_id = :brand AND e.event_date <= :last AND (a.code = :account OR a.code LIKE :parts)
        GROUP BY p.currency ORDER BY p.currency
    """
    values = {"brand": brand, "account": account, "parts": f"{account}.%", "last": last}
    return read_frame(connection, query, {"currency": TEXT, "amount_minor": INT}, values)


def forget_values(connection: "Connection", brand: int) -> int:
    """Take every value back, so that all movements are valued again from the beginning. Returns how many rows that were."""
    run(connection, "DELETE FROM stock_layers WHERE brand_id = :brand", {"brand": brand})
    return run(connection, "DELETE FROM stock_valuations WHERE brand_id = :brand", {"brand": brand}).rowcount
