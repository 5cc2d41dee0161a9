"""What WooCommerce's JSON means in the words of `protocol`, and its webhooks.

Belongs here: reading of answers and messages. Does not belong here: requests (`woocommerce`).
"""

import base64
import hashlib
import hmac
import json
import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from resources.channels.protocol import ChannelOrder, Headers, ListedItem, OrderLine, Sender, Touched

ITEM_FIELDS = "id,name,sku,type,parent_id,regular_price,manage_stock,stock_quantity,date_modified_gmt"
SALES = frozenset({"processing", "completed"})

_NO_STOCK_OF_THEIR_OWN = {"grouped", "external", "bundle", "composite"}
_PING = re.compile(rb"webhook_id=[0-9]{1,20}")
_CENT = Decimal("0.01")
_FINEST = Decimal("0.000001")


def item_of(row: Mapping[str, Any], parent: Mapping[str, Any] | None = None, currency: str | None = None) -> ListedItem:
    """A product or a variation as listed. `parent`: the product of a variation, where it is at hand."""
    parent_id = row.get("parent_id") or (parent or {}).get("id")
    unwritable = _unwritable(row)
    title = row.get("name") or None
    return ListedItem(
        key=str(row["id"]),
        sku=row.get("sku") or None,
        quantity=None if unwritable else whole(row.get("stock_quantity")),
        price=amount(row.get("regular_price")),
        currency=currency,
        title=f"{parent['name']} - {title}" if parent and title else title,
        unwritable=unwritable,
        handles={"parent": str(parent_id)} if parent_id else {},
        updated_at=instant(row.get("date_modified_gmt")),
    )


def has_variations(row: Mapping[str, Any]) -> bool:
    return str(row.get("type", "")).startswith("variable")


def order_of(
    row: Mapping[str, Any], refunds: Sequence[Mapping[str, Any]], sale_states: Collection[str]
) -> ChannelOrder:
    """An order with its refunds. `sale_states`: in these states it is a sale, and what is not refunded was bought.

    Fees count as shipping, negative ones as a discount: so the amounts add up to the order's total. A refund of less than the
    units' price (they were bought with a coupon) lessens the discount.
    """
    state = row["status"]
    back = _refunded_units(refunds)
    lines = tuple(_line(line, state, state in sale_states, back) for line in row["line_items"])
    fees = [amount(fee["total"]) or Decimal(0) for fee in row.get("fee_lines", ())]
    discount = _text_amount(row, "discount_total") - sum((fee for fee in fees if fee < 0), Decimal(0))
    besides = Decimal(0)
    if state in sale_states or state == "refunded":
        besides = sum((abs(_text_amount(refund, "amount")) for refund in refunds), Decimal(0))
        ordered = {str(line["id"]): int(line["quantity"]) for line in row["line_items"]}
        besides -= sum(((ordered[line.line_id] - line.kept) * line.unit_price for line in lines), Decimal(0))
    addresses = (row.get("shipping") or {}, row.get("billing") or {})
    return ChannelOrder(
        order_id=str(row["id"]),
        number=str(row.get("number") or row["id"]),
        state=state,
        placed_at=instant(row["date_created_gmt"]) or datetime.fromtimestamp(0, UTC),
        updated_at=changed_at(row),
        currency=row["currency"],
        lines=lines,
        shipping=_text_amount(row, "shipping_total") + sum((fee for fee in fees if fee > 0), Decimal(0)),
        tax=_text_amount(row, "total_tax"),
        discount=max(Decimal(0), discount + min(besides, Decimal(0))),
        refunded_besides=max(Decimal(0), besides),
        country=next((address["country"] for address in addresses if address.get("country")), None),
    )


def changed_at(row: Mapping[str, Any]) -> datetime:
    """When an order was changed last, to the second."""
    return instant(row.get("date_modified_gmt") or row.get("date_created_gmt")) or datetime.fromtimestamp(0, UTC)


def amount(text: Any) -> Decimal | None:
    """None for the empty text, which means no price."""
    try:
        value = Decimal(str(text))
    except InvalidOperation:
        return None
    return value if value.is_finite() else None


def whole(value: Any) -> int | None:
    """A count; a plugin may make it a fraction, of which the whole units are on sale."""
    number = None if value is None or isinstance(value, bool) else amount(value)
    return None if number is None else int(number // 1)


def instant(text: str | None) -> datetime | None:
    """A `…_gmt` field, which has no zone of its own."""
    return datetime.fromisoformat(text.removesuffix("Z")).replace(tzinfo=UTC) if text else None


def is_ping(headers: Headers, body: bytes) -> bool:
    """Whether this is what WooCommerce sends, unsigned, when a webhook is saved: no event, and to be answered with 200."""
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    signed = "x-wc-webhook-signature" in headers
    return kind == "application/x-www-form-urlencoded" and not signed and _PING.fullmatch(body) is not None


def _verify(secret: bytes, headers: Headers, body: bytes) -> bool:
    expected = base64.b64encode(hmac.digest(secret, body, "sha256"))
    return hmac.compare_digest(expected, headers.get("x-wc-webhook-signature", "").encode())


def _message_id(headers: Headers, body: bytes) -> str:
    # Not the delivery's id: it is the same for different products within one second.
    topic = headers.get("x-wc-webhook-topic", "")
    return hashlib.sha256(topic.encode() + b"\n" + body).hexdigest()


def _touched(headers: Headers, body: bytes) -> Touched | None:
    topic = headers.get("x-wc-webhook-topic", "")
    resource = topic.partition(".")[0]
    try:
        told = json.loads(body)
        key = str(int(told["id"]))
    except (ValueError, TypeError, KeyError):
        return None
    if resource == "order":
        return Touched(topic, order_ids=(key,))
    if resource != "product":
        return None
    quantity = whole(told.get("stock_quantity")) if told.get("manage_stock") is True else None
    return Touched(
        topic,
        keys=(key, *(str(each) for each in told.get("variations") or () if isinstance(each, int))),
        skus=(told["sku"],) if told.get("sku") else (),
        quantities={} if quantity is None else {key: quantity},
    )


SENDER = Sender(
    verify=_verify,
    message_id=_message_id,
    touched=_touched,
    kept_headers=(
        "content-type",
        "x-wc-webhook-source",
        "x-wc-webhook-topic",
        "x-wc-webhook-id",
        "x-wc-webhook-delivery-id",
        "x-wc-webhook-signature",
    ),
)


def _unwritable(row: Mapping[str, Any]) -> str | None:
    if row.get("type") in _NO_STOCK_OF_THEIR_OWN:
        return f"a {row['type']} product has no stock of its own"
    if row.get("manage_stock") == "parent":
        return f"its stock is kept at its parent product {row.get('parent_id')}"
    return None if row.get("manage_stock") is True else "WooCommerce does not manage its stock"


def _line(line: Mapping[str, Any], state: str, is_sale: bool, back: Mapping[str, int]) -> OrderLine:
    line_id, ordered = str(line["id"]), int(line["quantity"])
    meta = {
        each["key"]: whole(each["value"]) for each in line.get("meta_data", ()) if str(each["key"]).startswith("_re")
    }
    taken = meta.get("_reduced_stock")
    if taken is None:
        taken = ordered - (meta.get("_restock_refunded_items") or 0) if is_sale or state == "on-hold" else 0
    key = line.get("variation_id") or line.get("product_id")
    return OrderLine(
        line_id=line_id,
        sku=line.get("sku") or None,
        key=str(key) if key else None,
        title=line.get("name") or "",
        taken=max(0, taken),
        kept=max(0, ordered - back.get(line_id, 0)) if is_sale else 0,
        unit_price=_unit_price(_text_amount(line, "subtotal"), ordered),
    )


def _unit_price(subtotal: Decimal, units: int) -> Decimal:
    if units <= 0:
        return subtotal
    price = subtotal / units
    rounded = price.quantize(_CENT)
    return rounded if rounded * units == subtotal else price.quantize(_FINEST)


def _refunded_units(refunds: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Units given back, by the id of the order's line. A refund's own lines have negative quantities and other ids."""
    units: dict[str, int] = defaultdict(int)
    for refund in refunds:
        for line in refund.get("line_items", ()):
            of = next((each["value"] for each in line["meta_data"] if each["key"] == "_refunded_item_id"), None)
            units[str(of)] += abs(int(line["quantity"]))
    return units


def _text_amount(row: Mapping[str, Any], name: str) -> Decimal:
    return amount(row.get(name)) or Decimal(0)
