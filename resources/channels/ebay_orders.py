"""eBay's orders in our words.

Belongs here: what eBay's amounts and states mean for units and money. Does not belong here: how orders are asked for (`ebay`).
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from resources.channels.protocol import ChannelOrder, OrderLine


def order_of(raw: Mapping[str, Any]) -> ChannelOrder:
    """An order as eBay tells it. A list of them tells no cancel requests, so that only `cancelState` is looked at."""
    is_cancelled = raw.get("cancelStatus", {}).get("cancelState") == "CANCELED"
    payment = raw.get("orderPaymentStatus", "PENDING")
    prices = raw.get("pricingSummary", {})
    items = raw.get("lineItems", [])
    is_off = is_cancelled or payment == "FULLY_REFUNDED"
    back = {item["lineItemId"]: item["quantity"] if is_off else _units_back(item) for item in items}
    # Those of the order name no line, and hold the lines' refunds as well.
    whole = sum((_amount(one.get("amount")) for one in raw.get("paymentSummary", {}).get("refunds", [])), Decimal(0))
    refunded = max(whole, sum((_refunds_of(item) for item in items), Decimal(0)))
    goods = sum((_paid(item) * back[item["lineItemId"]] / item["quantity"] for item in items), Decimal(0))
    return ChannelOrder(
        order_id=raw["orderId"],
        number=raw["orderId"],
        state="CANCELED" if is_cancelled else raw.get("orderFulfillmentStatus", "NOT_STARTED"),
        placed_at=datetime.fromisoformat(raw["creationDate"]),
        updated_at=datetime.fromisoformat(raw["lastModifiedDate"]),
        currency=prices.get("total", {}).get("currency") or items[0]["lineItemCost"]["currency"],
        lines=tuple(_line(item, is_cancelled, payment, back[item["lineItemId"]]) for item in items),
        shipping=_amount(prices.get("deliveryCost")),
        tax=_amount(prices.get("tax")),
        discount=_amount(prices.get("priceDiscount")) + _amount(prices.get("deliveryDiscount")),
        refunded_besides=max(Decimal(0), refunded - goods),
        country=_country(raw),
    )


def _line(item: Mapping[str, Any], is_cancelled: bool, payment: str, back: int) -> OrderLine:
    """`taken` does not follow refunds: eBay puts nothing back for them."""
    return OrderLine(
        line_id=item["lineItemId"],
        sku=item.get("sku"),
        key=item.get("sku"),
        title=item.get("title", ""),
        taken=0 if is_cancelled else item["quantity"],
        kept=0 if payment in ("PENDING", "FAILED") else item["quantity"] - back,
        unit_price=_amount(item.get("lineItemCost")) / item["quantity"],
    )


def _units_back(item: Mapping[str, Any]) -> int:
    """Units whose price was given back. eBay tells only money: what is no whole unit's price is goodwill."""
    each = _paid(item) / item["quantity"]
    if each <= 0:
        return 0
    return min(item["quantity"], int((_refunds_of(item) + Decimal("0.01")) // each))


def _paid(item: Mapping[str, Any]) -> Decimal:
    return _amount(item.get("discountedLineItemCost") or item.get("lineItemCost"))


def _refunds_of(item: Mapping[str, Any]) -> Decimal:
    return sum((_amount(one.get("amount")) for one in item.get("refunds", [])), Decimal(0))


def _amount(money: Mapping[str, Any] | None) -> Decimal:
    """Discounts come as negative amounts."""
    return abs(Decimal(money["value"])) if money else Decimal(0)


def _country(raw: Mapping[str, Any]) -> str | None:
    for instruction in raw.get("fulfillmentStartInstructions", []):
        address = instruction.get("shippingStep", {}).get("shipTo", {}).get("contactAddress", {})
        if address.get("countryCode"):
            return address["countryCode"]
    return raw.get("buyer", {}).get("taxAddress", {}).get("countryCode")
