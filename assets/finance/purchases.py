"""Suppliers' invoices over the store: taken in, judged, judged again when goods arrive, booked once they match or are approved.

Belongs here: the order of these steps. Does not belong here: the verdict (`purchase_matching`), the tables.
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from assets.finance.booking import book, load_chart
from assets.finance.payouts.limits import load_limits
from assets.finance.purchase_matching import Invoice, InvoiceLine, Ledger, Ordered, Tolerance, Verdict, judge_all
from assets.finance.rules import Event
from resources.store.audit import record
from resources.store.brand_store import BrandStore
from resources.store.reconciliation import booked_keys
from resources.store.supplier_invoices import (
    NewInvoice,
    NewLine,
    approve,
    note_verdict,
    read_invoice_lines,
    read_invoices,
    read_ordered,
    write_invoice,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection


@dataclass(frozen=True)
class Taken:
    """What became of a file's invoices. `booked` counts entries, also of invoices that match only now."""

    new: int
    known: int
    booked: int

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def take_invoices(books: BrandStore, invoices: list[Invoice], actor: str) -> Taken:
    """Write those that the store does not have, judge all that are open, and book those that match. Again it changes nothing.

    An invoice with a number that is known and another content is written under that number with a mark, as a duplicate.
    """
    with books.write() as (connection, brand):
        standing = {(i.supplier, i.number): i for i, *_ in _standing(connection, brand)}
        new = 0
        for invoice in invoices:
            number, mark = invoice.number, 2
            while (other := standing.get((invoice.supplier, number))) is not None:
                if _renumbered(other, invoice.number) == invoice:
                    break
                number, mark = f"{invoice.number} ({mark})", mark + 1
            if other is not None:
                continue
            written = _renumbered(invoice, number)
            write_invoice(connection, brand, _as_new(written), "no_order", None)
            standing[invoice.supplier, number] = written
            new += 1
        booked = _judge(books, connection, brand)
        if new or booked:
            record(connection, brand, "finance.invoices", "match", {"new": new, "booked": booked}, actor=actor)
    return Taken(new, len(invoices) - new, booked)


def approve_invoice(books: BrandStore, supplier: str, number: str, reason: str, actor: str) -> Taken:
    """Take an invoice in spite of what differs, and book it. Audited. Raises UnknownInvoice."""
    with books.write() as (connection, brand):
        approve(connection, brand, supplier, number, actor, reason)
        record(connection, brand, "finance.approve_invoice", f"{supplier} {number}", {"reason": reason}, actor=actor)
        booked = _judge(books, connection, brand)
    return Taken(0, 0, booked)


def purchase_matches(connection: "Connection", brand: int, tolerance: Tolerance) -> pl.DataFrame:
    """Every invoice with the verdict as of now (columns of INVOICES), and whether it stands in the books (`booked`)."""
    judged = _judged(connection, brand, tolerance)
    invoices = read_invoices(connection, brand)
    key = pl.format("supplier_invoice:{}:{}", "supplier", "number")
    results = {judged.ids[place]: verdict.result for place, verdict in judged.verdicts.items()}
    details = {judged.ids[place]: verdict.detail for place, verdict in judged.verdicts.items()}
    number = pl.col("invoice_id")
    return invoices.with_columns(
        number.replace_strict(results or {0: ""}, default=pl.col("result"), return_dtype=pl.String).alias("result"),
        number.replace_strict(details or {0: None}, default=pl.col("detail"), return_dtype=pl.String).alias("detail"),
        key.is_in(sorted(judged.booked)).alias("booked"),
    )


def tolerance_of(home: Path) -> Tolerance:
    """The brand's tolerances. Raises StatementError for settings that cannot be."""
    limits = load_limits(home)
    return Tolerance(limits.price_tolerance_percent, limits.quantity_tolerance_percent)


@dataclass(frozen=True)
class _Judged:
    """Verdicts on what is not decided yet, ids of those, keys of what is booked, and what should be."""

    verdicts: dict[tuple[str, str], Verdict]
    ids: dict[tuple[str, str], int]
    booked: set[str]
    due: list[Invoice]
    ordered: dict[tuple[str, str], Ordered]


def _judged(connection: "Connection", brand: int, tolerance: Tolerance) -> _Judged:
    keys = booked_keys(connection, brand, ("supplier_invoice",))
    ordered = _ordered(connection, brand)
    known = Ledger(ordered)
    pending: list[Invoice] = []
    ids: dict[tuple[str, str], int] = {}
    due: list[Invoice] = []
    for invoice, number, approved in _standing(connection, brand):
        if _key(invoice) in keys or approved:
            known.accept(invoice)
            known.earlier.append(invoice)
            due += [] if _key(invoice) in keys else [invoice]
        else:
            pending.append(invoice)
            ids[invoice.supplier, invoice.number] = number
    verdicts = judge_all(pending, known, tolerance)
    due += [invoice for invoice in pending if verdicts[invoice.supplier, invoice.number].result == "matched"]
    return _Judged(verdicts, ids, keys, due, ordered)


def _judge(books: BrandStore, connection: "Connection", brand: int) -> int:
    """Judge what is not in the books yet, book what matches. Returns how many entries that took."""
    judged = _judged(connection, brand, tolerance_of(books.settings.home))
    for place, verdict in judged.verdicts.items():
        note_verdict(connection, brand, judged.ids[place], verdict.result, verdict.detail)
    events = [event for invoice in judged.due if (event := _event(invoice, judged.ordered)) is not None]
    if events:
        chart = load_chart(books.settings.home)
        current = books.settings.current
        book(connection, brand, current.base_currency, events, chart=chart, carry_days=current.fx_carry_days)
    return len(events)


def _event(invoice: Invoice, ordered: dict[tuple[str, str], Ordered]) -> Event | None:
    variance = sum(_variance(invoice, line, ordered) for line in invoice.lines)
    optional = {"tax": invoice.tax_minor, "variance": variance}
    amounts = {"goods": invoice.goods_minor, **{name: amount for name, amount in optional.items() if amount}}
    if not any(amounts.values()):
        return None
    words = f"Invoice {invoice.number} of {invoice.supplier}"
    dimensions = {"supplier": invoice.supplier}
    return Event(
        "supplier_invoice",
        _key(invoice),
        invoice.invoiced_on,
        invoice.currency,
        amounts,
        dimensions,
        words,
        invoice.number,
    )


def _variance(invoice: Invoice, line: InvoiceLine, ordered: dict[tuple[str, str], Ordered]) -> int:
    """Minor units that a line costs more than was agreed; nothing where no price was, or one in another currency."""
    of_order = ordered.get((invoice.order_number or "", line.sku))
    if of_order is None or of_order.unit_cost_minor is None or of_order.currency != invoice.currency:
        return 0
    return line.amount_minor - of_order.unit_cost_minor * line.quantity


def _key(invoice: Invoice) -> str:
    return f"supplier_invoice:{invoice.supplier}:{invoice.number}"


def _standing(connection: "Connection", brand: int) -> list[tuple[Invoice, int, bool]]:
    """Invoices of the store: each with its id and whether it was approved."""
    lines: dict[int, list[InvoiceLine]] = {}
    for number, *of_line in read_invoice_lines(connection, brand).iter_rows():
        lines.setdefault(number, []).append(InvoiceLine(*of_line))
    found: list[tuple[Invoice, int, bool]] = []
    for row in read_invoices(connection, brand).iter_rows(named=True):
        its = tuple(lines.get(row["invoice_id"], ()))
        head = (
            row["supplier"],
            row["number"],
            row["order_number"],
            row["invoiced_on"],
            row["currency"],
            row["tax_minor"],
        )
        found.append((Invoice(*head, its), row["invoice_id"], row["approved_by"] is not None))
    return found


def _ordered(connection: "Connection", brand: int) -> dict[tuple[str, str], Ordered]:
    return {(number, sku): Ordered(*rest) for number, sku, *rest in read_ordered(connection, brand).iter_rows()}


def _as_new(invoice: Invoice) -> NewInvoice:
    lines = tuple(NewLine(li.sku, li.quantity, li.unit_price_micros, li.amount_minor) for li in invoice.lines)
    return NewInvoice(
        invoice.supplier,
        invoice.number,
        invoice.order_number,
        invoice.invoiced_on,
        invoice.currency,
        invoice.goods_minor,
        invoice.tax_minor,
        lines,
    )


def _renumbered(invoice: Invoice, number: str) -> Invoice:
    return replace(invoice, number=number)
