"""The three-way match of purchases: what was ordered, what arrived, what the supplier invoices.

Belongs here: reading a file of invoices, and the verdict on each. Does not belong here: tables (`resources/store/
supplier_invoices`), booking (`purchases`).

The first verdict that fits counts: duplicate, no_order, no_receipt, quantity_variance, price_variance, matched.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from assets.finance.money import to_decimal, to_minor
from assets.finance.payouts.cells import as_text, day_of, day_order, decimal_sign, digits_of, minor_of, raw, table_of
from assets.finance.payouts.frames import Aside, BadRow, StatementError

COLUMNS = ("supplier", "invoice_number", "invoice_date", "purchase_order", "sku", "quantity", "unit_price", "currency")
_SAME_WITHIN = timedelta(days=30)
_MOST_UNITS = 10**9
_MARK = re.compile(r" \(\d+\)$")


@dataclass(frozen=True)
class InvoiceLine:
    """So many of one SKU; the price is in millionths of the currency's major unit."""

    sku: str
    quantity: int
    unit_price_micros: int
    amount_minor: int


@dataclass(frozen=True)
class Invoice:
    """A supplier's invoice as it came."""

    supplier: str
    number: str
    order_number: str | None
    invoiced_on: date
    currency: str
    tax_minor: int
    lines: tuple[InvoiceLine, ...]

    @property
    def goods_minor(self) -> int:
        return sum(line.amount_minor for line in self.lines)

    @property
    def is_marked(self) -> bool:
        """Whether its number was taken by another invoice when it came."""
        return _MARK.search(self.number) is not None

    @property
    def identity(self) -> tuple[str, str]:
        """What tells two invoices apart: the supplier, and the number without what people leave out or add."""
        number = "".join(sign for sign in _MARK.sub("", self.number).upper() if sign.isalnum())
        return self.supplier.strip().casefold(), number.lstrip("0") or number


@dataclass(frozen=True)
class Ordered:
    """A line of a purchase order and what of it has arrived."""

    supplier: str | None
    status: str
    quantity: int
    received: int
    unit_cost_minor: int | None
    currency: str | None


@dataclass(frozen=True)
class Tolerance:
    """Shares of a percent that a price and a quantity may be above what was agreed."""

    price: Decimal = Decimal(1)
    quantity: Decimal = Decimal(0)


@dataclass(frozen=True)
class Verdict:
    """How an invoice compares, and in words what differs."""

    result: str
    detail: str | None = None


@dataclass
class Ledger:
    """What judging needs to know besides the invoice: purchase orders, and what was invoiced before."""

    ordered: Mapping[tuple[str, str], Ordered]
    invoiced: dict[tuple[str, str], int] = field(default_factory=dict)
    earlier: list[Invoice] = field(default_factory=list)

    def accept(self, invoice: Invoice) -> None:
        """Count an invoice that is taken: the next ones find its units invoiced."""
        for line in invoice.lines:
            place = (invoice.order_number or "", line.sku)
            self.invoiced[place] = self.invoiced.get(place, 0) + line.quantity


def read_invoices(content: bytes, decimal: str = "", dates: str = "") -> tuple[list[Invoice], Aside]:
    """Invoices of a CSV, a row a line (columns COLUMNS, and perhaps `tax`), and the rows that cannot be taken.

    An invoice of which a row cannot be taken is put aside as a whole. Raises StatementError for missing columns.
    """
    aside = Aside()
    table = table_of(as_text(content), aside)
    if missing := [name for name in COLUMNS if name not in table.columns]:
        raise StatementError(
            f"the file has no column {missing[0]!r}; an invoice has {', '.join(COLUMNS)} and perhaps tax."
        )
    sign = decimal_sign((row.get(n, "") for _, row in table.rows for n in ("unit_price", "tax")), decimal)
    order = day_order((row["invoice_date"] for _, row in table.rows), dates)
    found: dict[tuple[str, str], list[tuple[int, dict[str, str], dict[str, Any]]]] = {}
    spoilt: set[tuple[str, str]] = set()
    for number, row in table.rows:
        key = (row["supplier"], row["invoice_number"])
        try:
            found.setdefault(key, []).append((number, row, _line(row, sign, order)))
        except BadRow as error:
            spoilt.add(key)
            aside.put(number, error, raw(row))
    invoices: list[Invoice] = []
    for key, rows in found.items():
        try:
            if key in spoilt:
                raise BadRow("invoice_number", "another row of this invoice cannot be taken")
            invoices.append(_invoice(key, [line for _, _, line in rows]))
        except BadRow as error:
            for number, row, _ in rows:
                aside.put(number, error, raw(row))
    return invoices, aside


def judge(invoice: Invoice, known: Ledger, tolerance: Tolerance) -> Verdict:
    """Compare one invoice with its purchase order, what arrived, and what was invoiced before."""
    if twin := _twin(invoice, known.earlier):
        return Verdict("duplicate", twin)
    lines = [(line, known.ordered.get((invoice.order_number or "", line.sku))) for line in invoice.lines]
    if strange := [text for line, ordered in lines if (text := _not_ordered(invoice, line, ordered))]:
        return Verdict("no_order", "; ".join(dict.fromkeys(strange)))
    pairs = [(line, ordered) for line, ordered in lines if ordered is not None]
    if missing := [line.sku for line, ordered in pairs if ordered.received <= 0]:
        return Verdict("no_receipt", f"nothing has arrived of {', '.join(missing)}")
    places = known.invoiced
    if apart := [t for line, o in pairs if (t := _quantity(invoice, line, o, places, tolerance))]:
        return Verdict("quantity_variance", "; ".join(apart))
    if apart := [text for line, ordered in pairs if (text := _price(invoice, line, ordered, tolerance))]:
        return Verdict("price_variance", "; ".join(apart))
    return Verdict("matched")


def judge_all(invoices: Sequence[Invoice], known: Ledger, tolerance: Tolerance) -> dict[tuple[str, str], Verdict]:
    """Verdicts by supplier and number, invoices taken by their day and number, so that their order in a file is nothing."""
    verdicts: dict[tuple[str, str], Verdict] = {}
    for invoice in sorted(invoices, key=lambda i: (i.is_marked, i.invoiced_on, i.supplier, i.number)):
        verdict = judge(invoice, known, tolerance)
        verdicts[invoice.supplier, invoice.number] = verdict
        known.earlier.append(invoice)
        if verdict.result == "matched":
            known.accept(invoice)
    return verdicts


def _line(row: dict[str, str], sign: str, order: str) -> dict[str, Any]:
    currency = row["currency"].upper()
    digits_of(currency)
    for name in ("supplier", "invoice_number", "sku"):
        if not row[name]:
            raise BadRow(name, "is empty")
    quantity = row["quantity"].removesuffix(".0")
    if not quantity.isdecimal() or not 0 < int(quantity) <= _MOST_UNITS:
        raise BadRow("quantity", f"{row['quantity']!r} is no number of units above zero")
    micros = minor_of(row["unit_price"], currency, sign, "unit_price", digits=6)
    try:
        amount = to_minor(Decimal(micros) * int(quantity) / 10**6, currency)
    except InvalidOperation:
        raise BadRow("unit_price", f"{row['unit_price']} times {quantity} is larger than any invoice") from None
    return {
        "currency": currency,
        "invoiced_on": day_of(row["invoice_date"], "invoice_date", order),
        "order_number": row["purchase_order"] or None,
        "tax": minor_of(row["tax"], currency, sign, "tax") if row.get("tax") else 0,
        "line": InvoiceLine(row["sku"], int(quantity), micros, amount),
    }


def _invoice(key: tuple[str, str], lines: list[dict[str, Any]]) -> Invoice:
    for name in ("currency", "invoiced_on", "order_number"):
        if len({line[name] for line in lines}) > 1:
            raise BadRow(name, "differs between the rows of one invoice")
    first = lines[0]
    return Invoice(
        *key,
        order_number=first["order_number"],
        invoiced_on=first["invoiced_on"],
        currency=first["currency"],
        tax_minor=sum(line["tax"] for line in lines),
        lines=tuple(line["line"] for line in lines),
    )


def _twin(invoice: Invoice, earlier: Iterable[Invoice]) -> str | None:
    for other in earlier:
        if other.identity == invoice.identity:
            return f"invoice {other.number} of {other.invoiced_on} has this number"
        near = abs(other.invoiced_on - invoice.invoiced_on) <= _SAME_WITHIN
        same = (other.identity[0], other.order_number, other.currency) == (
            invoice.identity[0],
            invoice.order_number,
            invoice.currency,
        )
        if same and near and sorted(map(_content, other.lines)) == sorted(map(_content, invoice.lines)):
            return f"invoice {other.number} of {other.invoiced_on} is of the same goods and amounts"
    return None


def _content(line: InvoiceLine) -> tuple[str, int, int]:
    return line.sku, line.quantity, line.amount_minor


def _not_ordered(invoice: Invoice, line: InvoiceLine, ordered: Ordered | None) -> str | None:
    if invoice.order_number is None:
        return "the invoice names no purchase order"
    if ordered is None:
        return f"purchase order {invoice.order_number} has no {line.sku}"
    if ordered.status == "cancelled":
        return f"purchase order {invoice.order_number} was cancelled"
    if ordered.supplier is not None and ordered.supplier.strip().casefold() != invoice.supplier.strip().casefold():
        return f"purchase order {invoice.order_number} was given to {ordered.supplier}"
    return None


def _quantity(
    invoice: Invoice, line: InvoiceLine, ordered: Ordered, invoiced: Mapping[tuple[str, str], int], tolerance: Tolerance
) -> str | None:
    before = invoiced.get((invoice.order_number or "", line.sku), 0)
    # The same SKU on several lines of the invoice is one quantity.
    now = sum(other.quantity for other in invoice.lines if other.sku == line.sku)
    if (before + now) * 100 <= ordered.received * (100 + tolerance.quantity):
        return None
    earlier = f" after {before} on earlier invoices" if before else ""
    return f"{line.sku}: {now} invoiced{earlier}, {ordered.received} arrived of {ordered.quantity} ordered"


def _price(invoice: Invoice, line: InvoiceLine, ordered: Ordered, tolerance: Tolerance) -> str | None:
    if ordered.unit_cost_minor is None or ordered.currency is None:
        return f"{line.sku}: the purchase order has no price"
    if ordered.currency != invoice.currency:
        return f"{line.sku}: invoiced in {invoice.currency}, ordered in {ordered.currency}"
    agreed = to_decimal(ordered.unit_cost_minor, ordered.currency)
    asked = Decimal(line.unit_price_micros) / 10**6
    if abs(asked - agreed) * 100 <= agreed * tolerance.price:
        return None
    return f"{line.sku}: {asked.normalize():f} a unit invoiced, {agreed} {invoice.currency} ordered"
