"""An order of the Orders API 2026-01-01 in our words.

Belongs here: what its statuses, quantities and proceeds mean. Does not belong here: requests.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from resources.channels.protocol import ChannelOrder, OrderLine

NO_CURRENCY = "XXX"
"""ISO 4217's code for no currency: a pending order tells no price."""
_NOT_YET_SOLD = frozenset({"PENDING", "PENDING_AVAILABILITY", "UNKNOWN"})
_NEVER_SOLD = frozenset({"CANCELLED", "UNFULFILLABLE"})


def order_of(raw: Mapping[str, Any], currency: str | None = None) -> ChannelOrder:
    """`currency` counts where the order tells none. Raises KeyError or ValueError for what the model rules out.

    Refunds and returns are not part of this API: `kept` knows of cancellations only.
    """
    fulfillment = raw.get("fulfillment") or {}
    state = fulfillment.get("fulfillmentStatus", "UNKNOWN")
    items = raw["orderItems"]
    return ChannelOrder(
        order_id=raw["orderId"],
        number=raw["orderId"],
        state=state,
        placed_at=datetime.fromisoformat(raw["createdTime"]),
        updated_at=datetime.fromisoformat(raw["lastUpdatedTime"]),
        currency=_currency(raw, items) or currency or NO_CURRENCY,
        lines=tuple(_line(item, state, raw) for item in items),
        shipping=_proceeds(raw, items, "SHIPPING"),
        tax=_proceeds(raw, items, "TAX"),
        discount=_proceeds(raw, items, "DISCOUNT"),
        country=((raw.get("recipient") or {}).get("deliveryAddress") or {}).get("countryCode"),
    )


def _line(item: Mapping[str, Any], state: str, order: Mapping[str, Any]) -> OrderLine:
    product = item.get("product") or {}
    live = 0 if state in _NEVER_SOLD else _live(item)
    by_amazon = (order.get("fulfillment") or {}).get("fulfilledBy") == "AMAZON"
    # An order of another channel that Amazon only ships was sold there.
    elsewhere = (order.get("salesChannel") or {}).get("channelName") == "NON_AMAZON"
    return OrderLine(
        line_id=item["orderItemId"],
        sku=product.get("sellerSku"),
        key=product.get("sellerSku"),
        title=product.get("title") or product.get("sellerSku") or item["orderItemId"],
        taken=0 if by_amazon else live,
        kept=0 if elsewhere or state in _NOT_YET_SOLD else live,
        unit_price=_unit_price(item),
    )


def _live(item: Mapping[str, Any]) -> int:
    """Units neither cancelled nor given up."""
    ordered = int(item["quantityOrdered"])
    if not (item.get("cancellation") or {}).get("cancellationExecution"):
        return ordered
    # Of a cancelled item only what was shipped, or is still to be, is left.
    shipping = item.get("fulfillment") or {}
    left = int(shipping.get("quantityFulfilled", 0)) + int(shipping.get("quantityUnfulfilled", 0))
    return min(ordered, left)


def _unit_price(item: Mapping[str, Any]) -> Decimal:
    price = ((item.get("product") or {}).get("price") or {}).get("unitPrice")
    if price is not None:
        return Decimal(str(price["amount"]))
    ordered = int(item["quantityOrdered"])
    return _sum(_breakdowns([item]), "ITEM") / ordered if ordered else Decimal(0)


def _proceeds(raw: Mapping[str, Any], items: Iterable[Mapping[str, Any]], kind: str) -> Decimal:
    """The order's own breakdowns are already sums over its items."""
    whole = list(_breakdowns([raw]))
    return abs(_sum(whole or _breakdowns(items), kind))


def _breakdowns(holders: Iterable[Mapping[str, Any]]) -> Iterable[Mapping[str, Any]]:
    for holder in holders:
        yield from (holder.get("proceeds") or {}).get("breakdowns") or ()


def _sum(breakdowns: Iterable[Mapping[str, Any]], kind: str) -> Decimal:
    return sum((Decimal(str(part["subtotal"]["amount"])) for part in breakdowns if part["type"] == kind), Decimal(0))


def _currency(raw: Mapping[str, Any], items: Iterable[Mapping[str, Any]]) -> str | None:
    for item in items:
        price = ((item.get("product") or {}).get("price") or {}).get("unitPrice")
        if price is not None:
            return price["currencyCode"]
    total = (raw.get("proceeds") or {}).get("grandTotal")
    return total["currencyCode"] if total is not None else None
