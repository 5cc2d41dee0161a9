"""Suppliers' invoices: written once, judged again as goods arrive, approved by a person.

Belongs here: the tables `supplier_invoices` and `supplier_invoice_lines`, and what was ordered and has arrived. Does not belong
here: the verdict (`assets/finance/purchase_matching`).
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import polars as pl

from resources.store.bulk import fetch, insert_row, read_frame, run
from resources.store.orders import DAY, INSTANT, INT, TEXT

if TYPE_CHECKING:
    from sqlalchemy import Connection

INVOICES: dict[str, pl.DataType] = {
    "invoice_id": INT,
    "supplier": TEXT,
    "number": TEXT,
    "order_number": TEXT,
    "invoiced_on": DAY,
    "currency": TEXT,
    "goods_minor": INT,
    "tax_minor": INT,
    "result": TEXT,
    "detail": TEXT,
    "approved_by": TEXT,
    "approved_at": INSTANT,
    "reason": TEXT,
}
INVOICE_LINES: dict[str, pl.DataType] = {
    "invoice_id": INT,
    "sku": TEXT,
    "quantity": INT,
    "unit_price_micros": INT,
    "amount_minor": INT,
}
ORDERED: dict[str, pl.DataType] = {
    "order_number": TEXT,
    "sku": TEXT,
    "supplier": TEXT,
    "status": TEXT,
    "quantity": INT,
    "received": INT,
    "unit_cost_minor": INT,
    "currency": TEXT,
}


class UnknownInvoice(Exception):
    """No invoice of this supplier and number, or none that waits for an approval."""


@dataclass(frozen=True)
class NewLine:
    """A line of an invoice that is written."""

    sku: str
    quantity: int
    unit_price_micros: int
    amount_minor: int


@dataclass(frozen=True)
class NewInvoice:
    """An invoice that is written, before it is judged."""

    supplier: str
    number: str
    order_number: str | None
    invoiced_on: date
    currency: str
    goods_minor: int
    tax_minor: int
    lines: tuple[NewLine, ...]


def write_invoice(connection: "Connection", brand: int, invoice: NewInvoice, result: str, detail: str | None) -> int:
    """Write an invoice and its lines. Returns its id. A second one of this supplier and number breaks a constraint."""
    values = {name: getattr(invoice, name) for name in list(INVOICES)[1:8]}
    values |= {"brand_id": brand, "result": result, "detail": detail, "taken_at": datetime.now(UTC)}
    number = insert_row(connection, "supplier_invoices", values)
    for place, line in enumerate(invoice.lines, start=1):
        of_line = {"brand_id": brand, "invoice_id": number, "line_number": place, **vars(line)}
        insert_row(connection, "supplier_invoice_lines", of_line)
    return number


def read_invoices(connection: "Connection", brand: int) -> pl.DataFrame:
    """Every invoice, with the columns INVOICES."""
    columns = ", ".join(list(INVOICES)[1:])
    query = f"SELECT id, {columns} FROM supplier_invoices WHERE brand_id = :brand ORDER BY id"
    return read_frame(connection, query, INVOICES, {"brand": brand})


def read_invoice_lines(connection: "Connection", brand: int) -> pl.DataFrame:
    """Lines of every invoice, with the columns INVOICE_LINES."""
    columns = ", ".join(INVOICE_LINES)
    query = f"SELECT {columns} FROM supplier_invoice_lines WHERE brand_id = :brand ORDER BY invoice_id, line_number"
    return read_frame(connection, query, INVOICE_LINES, {"brand": brand})


def read_ordered(connection: "Connection", brand: int) -> pl.DataFrame:
    """Lines of purchase orders with what of them has arrived (columns ORDERED).

    Arrived is what the order's line says, or what receipts that name the order moved, whichever is more: both tell the same.
    """
    query = """
        SELECT o.number, s.sku, o.supplier, o.status, l.quantity,
               CASE WHEN coalesce(m.received, 0) > l.received_quantity THEN m.received ELSE l.received_quantity END,
               l.unit_cost_minor, l.currency
        FROM purchase_order_lines l
        JOIN purchase_orders o ON o.id = l.purchase_order_id
        JOIN skus s ON s.id = l.sku_id
        LEFT JOIN (
            SELECT reference, sku_id, CAST(sum(quantity) AS BIGINT) AS received FROM stock_movements
            WHERE brand_id = :brand AND kind = 'receipt' AND reference IS NOT NULL GROUP BY reference, sku_id
        ) AS m ON m.reference = o.number AND m.sku_id = l.sku_id
        WHERE l.brand_id = :brand ORDER BY o.number, s.sku
    """
    return read_frame(connection, query, ORDERED, {"brand": brand})


def note_verdict(connection: "Connection", brand: int, invoice: int, result: str, detail: str | None) -> None:
    """Say how an invoice compares now."""
    statement = (
        "UPDATE supplier_invoices SET result = :result, detail = :detail WHERE brand_id = :brand AND id = :invoice"
    )
    run(connection, statement, {"result": result, "detail": detail, "brand": brand, "invoice": invoice})


def approve(connection: "Connection", brand: int, supplier: str, number: str, actor: str, reason: str) -> int:
    """Take an invoice in spite of what differs. Returns its id. Raises UnknownInvoice where none waits for that."""
    statement = """
        UPDATE supplier_invoices SET approved_by = :actor, approved_at = :now, reason = :reason
        WHERE brand_id = :brand AND supplier = :supplier AND number = :number AND approved_by IS NULL AND result <> 'matched'
    """
    values = {"actor": actor, "now": datetime.now(UTC), "reason": reason, "brand": brand}
    if run(connection, statement, values | {"supplier": supplier, "number": number}).rowcount != 1:
        raise UnknownInvoice(
            f"no invoice {number!r} of {supplier!r} waits for an approval: see `luxauto finance match --list`"
        )
    query = "SELECT id FROM supplier_invoices WHERE brand_id = :brand AND supplier = :supplier AND number = :number"
    return fetch(connection, query, {"brand": brand, "supplier": supplier, "number": number})[0][0]
