"""A sale or a refund as order lines, so that what was told as amounts stands in the books like any other order.

Belongs here: which lines an amount consists of, and that they add up to it. Does not belong here: what lines mean to the
ledger (`posting`), or where they are kept.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from assets.finance.money import MICROS, to_decimal, to_minor

GOODS_WITHOUT_SKU = "SALE"
_EXTRAS = (("SHIPPING", "shipping"), ("TAX", "tax"), ("DISCOUNT", "discount"))


class DoesNotAddUp(ValueError):
    """The amounts contradict each other; `field` names the one to correct."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True)
class Item:
    """Units of a SKU at a price in major units, of at most six digits after the point."""

    sku: str
    quantity: int
    unit_price: Decimal


@dataclass(frozen=True)
class Amounts:
    """What a client says of the whole: major units; None where it says nothing."""

    total: Decimal
    subtotal: Decimal | None = None
    shipping: Decimal | None = None
    tax: Decimal | None = None
    discount: Decimal | None = None


class InvoiceLine(NamedTuple):
    """A row of `order_lines`. `sku` is set where stock moves; `amount_minor` is negative where money goes back."""

    kind: str
    code: str
    sku: str | None
    quantity: int
    unit_price_micros: int
    amount_minor: int
    occurrence: int


def invoice_lines(items: list[Item], amounts: Amounts, currency: str, *, refund: bool = False) -> list[InvoiceLine]:
    """Lines that sum to the total exactly, in minor units of `currency`: plus for a sale, minus for a refund.

    Without items the goods are one line: of goods that nobody named for a sale, of kind `refund` for a refund. A unit given
    away (price 0) is a gift, as in a file. Raises DoesNotAddUp unless goods + tax + shipping - discount is the total, and
    the goods are the subtotal.
    """
    total = to_minor(amounts.total, currency)
    extras = {kind: to_minor(getattr(amounts, kind) or Decimal(0), currency) for _, kind in _EXTRAS}
    around = extras["tax"] + extras["shipping"] - extras["discount"]
    named = [to_minor(item.unit_price * item.quantity, currency) for item in items]
    goods = sum(named) if items else _subtotal(amounts, total - around, currency)
    if amounts.subtotal is not None and to_minor(amounts.subtotal, currency) != goods:
        said = to_decimal(goods, currency)
        raise DoesNotAddUp("subtotal", f"the line items come to {said} {currency}, which is not the subtotal")
    if goods + around != total:
        said = to_decimal(goods + around, currency)
        raise DoesNotAddUp(
            "amount", f"goods + tax + shipping - discount come to {said} {currency}, which is not the amount"
        )
    sign = -1 if refund else 1
    lines = [_goods_line(item, minor, sign) for item, minor in zip(items, named, strict=True)]
    if not items and goods:
        kind = "refund" if refund else "goods"
        lines.append(_line(kind, "REFUND" if refund else GOODS_WITHOUT_SKU, goods, currency, sign))
    for code, kind in _EXTRAS:
        if extras[kind]:
            lines.append(_line(kind, code, -extras[kind] if kind == "discount" else extras[kind], currency, sign))
    return list(_told_apart(lines))


def _subtotal(amounts: Amounts, rest: int, currency: str) -> int:
    if amounts.subtotal is not None:
        return to_minor(amounts.subtotal, currency)
    if rest < 0:
        raise DoesNotAddUp("amount", "tax and shipping less the discount are more than the amount")
    return rest


def _goods_line(item: Item, minor: int, sign: int) -> InvoiceLine:
    price = int(item.unit_price.scaleb(MICROS))
    kind = "goods" if price else "gift"
    return InvoiceLine(kind, item.sku, item.sku, sign * item.quantity, price, sign * minor, 0)


def _line(kind: str, code: str, minor: int, currency: str, sign: int) -> InvoiceLine:
    price = int(to_decimal(minor, currency).scaleb(MICROS))
    return InvoiceLine(kind, code, None, sign, price, sign * minor, 0)


def _told_apart(lines: Iterable[InvoiceLine]) -> Iterable[InvoiceLine]:
    seen: Counter[tuple[str, int, int]] = Counter()
    for line in lines:
        identity = (line.code, line.quantity, line.unit_price_micros)
        yield line._replace(occurrence=seen[identity]) if seen[identity] else line
        seen[identity] += 1
