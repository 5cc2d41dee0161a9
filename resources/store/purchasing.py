"""Purchase orders: drafts written from the reorder plan, and what is still to come."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import polars as pl

from resources.store.bulk import insert_frame, insert_row, read_frame, run
from resources.store.orders import DAY, INSTANT, INT, TEXT, ensure_skus
from resources.store.vocabulary import OPEN_STATES

if TYPE_CHECKING:
    from sqlalchemy import Connection

ORDERS: dict[str, pl.DataType] = {
    "number": TEXT,
    "supplier": TEXT,
    "status": TEXT,
    "created_at": INSTANT,
    "expected_on": DAY,
    "sku": TEXT,
    "quantity": INT,
    "received_quantity": INT,
    "unit_cost_minor": INT,
    "currency": TEXT,
}
_OPEN = ", ".join(f"'{state}'" for state in OPEN_STATES)


def on_order(connection: "Connection", brand: int) -> pl.DataFrame:
    """Units of each SKU that open purchase orders still have to bring. Columns sku, on_order."""
    query = f"""
        SELECT s.sku, CAST(sum(l.quantity - l.received_quantity) AS BIGINT)
        FROM purchase_order_lines l JOIN purchase_orders o ON o.id = l.purchase_order_id JOIN skus s ON s.id = l.sku_id
        WHERE l.brand_id = :brand AND o.status IN ({_OPEN}) GROUP BY s.sku ORDER BY s.sku
    """
    return read_frame(connection, query, {"sku": TEXT, "on_order": INT}, {"brand": brand})


def draft_orders(connection: "Connection", brand: int, needs: pl.DataFrame, planned_on_order: pl.DataFrame) -> int:
    """Write one draft per supplier for `needs`; a need that an open order has come to cover meanwhile is left out.

    `needs`: sku, supplier, quantity, expected_on, unit_cost_minor, currency. `planned_on_order`: sku, on_order as the plan
    saw them. Returns how many orders were written.
    """
    now_open = on_order(connection, brand).rename({"on_order": "open_now"})
    fresh = (
        needs.join(planned_on_order, on="sku", how="left")
        .join(now_open, on="sku", how="left")
        .filter(pl.col("open_now").fill_null(0) <= pl.col("on_order").fill_null(0))
        .sort("supplier", "sku", nulls_last=True)
    )
    ids = ensure_skus(connection, brand, fresh.select("sku", name=pl.lit(None, TEXT)))
    for (supplier,), lines in fresh.group_by("supplier", maintain_order=True):
        order = _insert_order(connection, brand, supplier, lines["expected_on"].max())  # pyright: ignore[reportArgumentType]
        insert_frame(
            connection,
            "purchase_order_lines",
            lines.select(
                pl.lit(brand, INT).alias("brand_id"),
                pl.lit(order, INT).alias("purchase_order_id"),
                pl.col("sku").replace_strict(ids, return_dtype=INT).alias("sku_id"),
                "quantity",
                pl.lit(0, INT).alias("received_quantity"),
                "unit_cost_minor",
                "currency",
            ),
        )
    return fresh["supplier"].n_unique()


def read_orders(connection: "Connection", brand: int) -> pl.DataFrame:
    """Lines of every purchase order, newest first, with the columns ORDERS."""
    query = """
        SELECT o.number, o.supplier, o.status, o.created_at, o.expected_on, s.sku, l.quantity, l.received_quantity,
               l.unit_cost_minor, l.currency
        FROM purchase_order_lines l JOIN purchase_orders o ON o.id = l.purchase_order_id JOIN skus s ON s.id = l.sku_id
        WHERE l.brand_id = :brand ORDER BY o.id DESC, s.sku
    """
    return read_frame(connection, query, ORDERS, {"brand": brand})


def withdraw_drafts(connection: "Connection", brand: int, numbers: Sequence[str]) -> list[str]:
    """Cancel those of these orders that are drafts still. Returns their numbers."""
    statement = """
        UPDATE purchase_orders SET status = 'cancelled' WHERE brand_id = :brand AND number = :number AND status = 'draft'
    """
    return [
        number for number in numbers if run(connection, statement, {"brand": brand, "number": number}).rowcount == 1
    ]


def _insert_order(connection: "Connection", brand: int, supplier: object, expected_on: date | None) -> int:
    number = run(connection, "SELECT count(*) FROM purchase_orders WHERE brand_id = :brand", {"brand": brand}).scalar()
    values = {
        "brand_id": brand,
        "number": f"PO-{(number or 0) + 1:06d}",
        "supplier": supplier,
        "status": "draft",
        "created_at": datetime.now(UTC),
        "expected_on": expected_on,
    }
    return insert_row(connection, "purchase_orders", values)
