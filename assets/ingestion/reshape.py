"""Exports that keep shipping, tax, discounts and refunds in columns of the order: each becomes a line of its own.

Belongs here: the shapes of Shopify's and WooCommerce's exports. Does not belong here: what any line means to the books.

Added lines are `cumulative`: a later export of the same order tells the new total, not the difference.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

import polars as pl

from assets.finance.money import UnknownCurrency, allocate, to_decimal, to_minor
from assets.ingestion.numbers import LARGEST

CUMULATIVE = "cumulative"
UNREADABLE = "unreadable_order"
_GROUPED = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?")


@dataclass(frozen=True)
class _Shape:
    """Names of the columns that stand once an order. `discount` is derived from `subtotal` where there is no column."""

    number: str
    sku: str
    item: str
    quantity: str
    price: str
    shipping: str
    tax: str
    total: str
    refund: str
    discount: str | None = None
    subtotal: str | None = None
    currency: str = "Currency"


_SHAPES = {
    "shopify": _Shape(
        "Name", "Lineitem sku", "Lineitem name", "Lineitem quantity", "Lineitem price",
        "Shipping", "Taxes", "Total", "Refunded Amount", subtotal="Subtotal",
    ),
    "woocommerce": _Shape(
        "Order Number", "SKU", "Item Name", "Quantity", "Item Cost",
        "Order Shipping Amount", "Order Total Tax Amount", "Order Total Amount", "Order Refund Amount",
        discount="Cart Discount Amount", currency="Order Currency",
    ),
}  # fmt: skip


def reshape(rows: pl.DataFrame, shape: Literal["shopify", "woocommerce"]) -> pl.DataFrame:
    """Rows with `line_type` and `cumulative`, items first and the order-level lines after them.

    A total of nothing is a line of 0, because an earlier export may have told another. An order with an amount that is no
    number keeps its items as they are, marked `unreadable_order`: without its totals no part of it can be booked.
    """
    form = _SHAPES[shape]
    spelling = {str(name).casefold(): str(name) for name in vars(form).values() if name}
    named = rows.rename(lambda name: spelling.get(name.strip().casefold(), name))
    if not {form.number, form.quantity, form.price} <= set(named.columns):
        return named
    filled = _fill_down(named.with_columns(pl.exclude("row_number").cast(pl.String)), form)
    out: list[dict[str, Any]] = []
    for _, order in filled.group_by(form.number, maintain_order=True):
        out.extend(_lines_of(order.to_dicts(), form))
    schema = {**filled.schema, "line_type": pl.String(), CUMULATIVE: pl.Boolean(), UNREADABLE: pl.Boolean()}
    return pl.DataFrame(out, schema=schema, orient="row")


def _fill_down(rows: pl.DataFrame, form: _Shape) -> pl.DataFrame:
    if "First Name (Billing)" in rows.columns and "Last Name (Billing)" in rows.columns:
        full = pl.concat_str("First Name (Billing)", "Last Name (Billing)", separator=" ", ignore_nulls=True)
        rows = rows.with_columns(full.alias("Billing Name"))
    own = {form.number, form.sku, form.item, form.quantity, form.price, "row_number"}
    shared = [name for name in rows.columns if name not in own]
    return rows.with_columns(pl.col(shared).forward_fill().over(form.number))


def _lines_of(items: list[dict[str, Any]], form: _Shape) -> Iterator[dict[str, Any]]:
    first = items[0]
    try:
        amounts = _Amounts.read(items, form)
        prices = amounts.net_prices(items, form)
        extra = list(amounts.extra_lines())
    except (ArithmeticError, UnknownCurrency):
        yield from ({**item, "line_type": None, CUMULATIVE: False, UNREADABLE: True} for item in items)
        return
    for item, price in zip(items, prices, strict=True):
        yield {**item, form.price: price, "line_type": "goods", CUMULATIVE: False, UNREADABLE: False}
    for line_type, amount in extra:
        yield {
            **first,
            form.sku: line_type.upper(),
            form.item: None,
            form.quantity: "-1" if line_type == "refund" else "1",
            form.price: format(abs(amount) if line_type == "refund" else amount, "f"),
            "line_type": line_type,
            CUMULATIVE: True,
            UNREADABLE: False,
        }


@dataclass(frozen=True)
class _Amounts:
    """Amounts of one order in its currency; `included_tax` is the tax that the item prices contain."""

    currency: str
    items: Decimal
    discount: Decimal
    shipping: Decimal
    tax: Decimal
    total: Decimal
    refund: Decimal
    included_tax: Decimal

    @classmethod
    def read(cls, items: list[dict[str, Any]], form: _Shape) -> "_Amounts":
        first = items[0]
        goods = sum((_number(i[form.quantity]) * _number(i[form.price]) for i in items), Decimal(0))
        shipping, tax, refund = (_number(first.get(name)) for name in (form.shipping, form.tax, form.refund))
        if form.subtotal:
            discount = goods - _number(first.get(form.subtotal), goods)
        else:
            discount = _number(first.get(form.discount or ""))
        net = goods - discount + shipping
        total = _number(first.get(form.total), net + tax)
        # Prices contain the tax when the total is reached without adding it.
        included = tax if tax and abs(net - total) < abs(net + tax - total) else Decimal(0)
        currency = (first.get(form.currency) or "EUR").strip().upper()
        return cls(currency, goods, discount, shipping, tax, total, refund, included)

    def net_prices(self, items: list[dict[str, Any]], form: _Shape) -> list[Any]:
        """Item prices without the tax that they contain, which is shared out by amount to the last minor unit."""
        if not self.included_tax:
            return [item[form.price] for item in items]
        quantities = [_number(item[form.quantity]) for item in items]
        gross = [
            to_minor(q * _number(item[form.price]), self.currency) for q, item in zip(quantities, items, strict=True)
        ]
        shares = allocate(to_minor(self.included_tax, self.currency), [abs(g) for g in gross])
        return [
            str(to_decimal(g - share, self.currency) / q) if q else item[form.price]
            for g, share, q, item in zip(gross, shares, quantities, items, strict=True)
        ]

    def extra_lines(self) -> Iterator[tuple[str, Decimal]]:
        yield "shipping", self.shipping
        yield "discount", -self.discount
        yield "tax", self.tax
        accounted = self.items - self.included_tax - self.discount + self.shipping + self.tax
        # Tips, duties, gift wrap: whatever the export sums up without telling it apart.
        yield "adjustment", self.total - accounted
        yield "refund", self.refund


def _number(value: Any, default: Decimal = Decimal(0)) -> Decimal:
    text = (value or "").strip()
    # A comma elsewhere would be a decimal comma, and "4,90" must not become 490.
    number = Decimal(text.replace(",", "") if _GROUPED.fullmatch(text) else text) if text else default
    if not number.is_finite() or abs(number) >= LARGEST:
        raise InvalidOperation(f"{value} is no amount")
    return number
