"""What an order of Shopify means: which units it holds, which are sold, and what was given back besides.

Belongs here: orders, their lines and refunds. Does not belong here: which orders are read when (`shopify`).
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from resources.channels import shopify_documents as documents
from resources.channels.protocol import ChannelOrder, OrderLine
from resources.channels.shopify_graph import Graph

_SALES = frozenset({"PAID", "AUTHORIZED", "PARTIALLY_PAID", "PARTIALLY_REFUNDED", "REFUNDED"})
_PUT_BACK = frozenset({"CANCEL", "RETURN", "LEGACY_RESTOCK"})


def order_of(graph: Graph, node: Mapping[str, Any]) -> ChannelOrder:
    """The order that the document's fragment `Order` gave. Further lines and refunds are read where there are any."""
    lines = list(node["lineItems"]["nodes"])
    if node["lineItems"]["pageInfo"]["hasNextPage"]:
        lines += _further_lines(graph, node["id"], node["lineItems"]["pageInfo"]["endCursor"])
    is_changed = node["cancelledAt"] or any(line["currentQuantity"] < line["quantity"] for line in lines)
    refunds = _refunds_of(graph, node["id"]) if is_changed or _money(node["totalRefundedSet"]) else _Refunds()
    is_sale = node["displayFinancialStatus"] in _SALES and not node["cancelledAt"] and not node["test"]
    return ChannelOrder(
        order_id=node["id"],
        number=node["name"],
        state="cancelled" if node["cancelledAt"] else (node["displayFinancialStatus"] or "unknown").lower(),
        placed_at=datetime.fromisoformat(node["createdAt"]),
        updated_at=datetime.fromisoformat(node["updatedAt"]),
        currency=node["currencyCode"],
        lines=tuple(_line(line, refunds, is_sale, bool(node["cancelledAt"])) for line in lines),
        shipping=_money(node["totalShippingPriceSet"]),
        tax=_money(node["totalTaxSet"]),
        discount=_money(node["currentTotalDiscountsSet"]),
        refunded_besides=refunds.besides,
        country=(node["shippingAddress"] or {}).get("countryCodeV2"),
    )


def _further_lines(graph: Graph, order_id: str, after: str) -> Iterator[Mapping[str, Any]]:
    while True:
        order = graph.read(documents.ORDER_LINES, order=order_id, after=after)["order"]
        if order is None:
            # Deleted since its first lines were read.
            return
        page = order["lineItems"]
        yield from page["nodes"]
        if not page["pageInfo"]["hasNextPage"]:
            return
        after = page["pageInfo"]["endCursor"]


def _refunds_of(graph: Graph, order_id: str) -> "_Refunds":
    """Order edits that remove units are told here too, as refunds of no money."""
    all_of_it = _Refunds()
    order = graph.read(documents.REFUNDS, order=order_id)["order"]
    for refund in order["refunds"] if order else ():
        page = refund["refundLineItems"]
        lines = list(page["nodes"])
        while page["pageInfo"]["hasNextPage"]:
            after = page["pageInfo"]["endCursor"]
            page = graph.read(documents.REFUND_LINES, refund=refund["id"], after=after)["node"]["refundLineItems"]
            lines += page["nodes"]
        for line in lines:
            kind = all_of_it.put_back if line["restockType"] in _PUT_BACK else all_of_it.gone
            kind[line["lineItem"]["id"]] += line["quantity"]
        units = sum((_money(line["subtotalSet"]) for line in lines), Decimal(0))
        all_of_it.besides += max(Decimal(0), _money(refund["totalRefundedSet"]) - units)
    return all_of_it


@dataclass
class _Refunds:
    """Units by line id, and money."""

    put_back: Counter[str] = field(default_factory=Counter)
    gone: Counter[str] = field(default_factory=Counter)
    besides: Decimal = Decimal(0)


def _line(line: Mapping[str, Any], refunds: _Refunds, is_sale: bool, is_cancelled: bool) -> OrderLine:
    put_back, gone = refunds.put_back[line["id"]], refunds.gone[line["id"]]
    removed = line["quantity"] if is_cancelled else line["quantity"] - line["currentQuantity"]
    # Removed without a record of a refund: never shipped, so nothing is held.
    released = max(0, removed - put_back - gone)
    variant = line["variant"]
    return OrderLine(
        line_id=line["id"],
        sku=line["sku"] or None,
        key=variant["inventoryItem"]["id"] if variant else None,
        title=line["name"],
        taken=max(0, line["quantity"] - put_back - released),
        kept=line["currentQuantity"] if is_sale else 0,
        unit_price=_money(line["originalUnitPriceSet"]),
    )


def _money(bag: Mapping[str, Any] | None) -> Decimal:
    return Decimal(bag["shopMoney"]["amount"]) if bag else Decimal(0)
