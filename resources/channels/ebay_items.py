"""eBay's items, offers and answers to writes in our words.

Belongs here: what they mean for what is on sale, and what became of a write. Does not belong here: how they are asked for
(`ebay`).
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from resources.channels.protocol import ListedItem, Outcome, PriceWrite, RequestRefused, StockWrite, WriteResult

_TRANSIENT = {25001, 25002}
_NOT_ON_SALE = {"ENDED", "EBAY_ENDED", "INACTIVE", "NOT_LISTED"}

Write = StockWrite | PriceWrite


def listed_item(record: Mapping[str, Any], offers: Sequence[Mapping[str, Any]], marketplace: str) -> ListedItem:
    """An inventory item and what it is offered for. Only offers that are on sale count; other marketplaces price nothing."""
    live = [offer for offer in offers if _is_live(offer)]
    own = [offer for offer in live if offer.get("marketplaceId") == marketplace]
    price = next((offer.get("pricingSummary", {}).get("price") for offer in own or live or offers), None)
    return ListedItem(
        key=record["sku"],
        sku=record["sku"],
        quantity=_on_sale(whole_quantity(record), live),
        price=Decimal(price["value"]) if price else None,
        currency=price["currency"] if price else None,
        title=record.get("product", {}).get("title"),
        handles={
            "offers": ",".join(offer["offerId"] for offer in live),
            "priced": ",".join(offer["offerId"] for offer in own),
            "listing": ",".join(sorted({offer["listing"]["listingId"] for offer in live})),
        },
    )


def _is_live(offer: Mapping[str, Any]) -> bool:
    listing = offer.get("listing") or {}
    return (
        offer.get("status") == "PUBLISHED"
        and "listingId" in listing
        and listing.get("listingStatus") not in _NOT_ON_SALE
    )


def whole_quantity(record: Mapping[str, Any]) -> int | None:
    """The item's whole quantity, of which offers take their shares; None where it has none yet."""
    return record.get("availability", {}).get("shipToLocationAvailability", {}).get("quantity")


def _on_sale(whole: int | None, live: Sequence[Mapping[str, Any]]) -> int | None:
    """The most that one marketplace will sell; an offer without a share of its own sells from the whole."""
    if whole is None or not live:
        return whole
    return max(min(whole, offer.get("availableQuantity", whole)) for offer in live)


def offer_ids(write: Write) -> list[str]:
    """The offers that this write goes to: all for stock, those of the marketplace for a price."""
    handles = write.handles
    ids = (
        handles.get("priced", handles.get("offers", "")) if isinstance(write, PriceWrite) else handles.get("offers", "")
    )
    return [offer for offer in ids.split(",") if offer]


def shown_value(item: ListedItem, write: Write) -> int | Decimal | None:
    """What the item shows of what was written; None for a price in another currency."""
    if isinstance(write, StockWrite):
        return item.quantity
    return item.price if item.currency == write.currency else None


def compared(write: Write, shown: int | Decimal | None) -> WriteResult:
    """Confirmed where the channel shows what was wanted, ignored where it said yes and shows another value or none."""
    wanted = write.quantity if isinstance(write, StockWrite) else write.price
    if shown == wanted:
        return WriteResult(write.key, Outcome.confirmed, shown)
    return WriteResult(write.key, Outcome.ignored, shown, f"eBay said yes to {wanted} and shows {shown}")


def refused_result(write: Write, why: str) -> WriteResult:
    """The channel's no to one item."""
    return WriteResult(write.key, Outcome.refused, detail=why)


def errors_of(answers: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """An answer that is no success and names no error counts as one."""
    found: list[Mapping[str, Any]] = []
    for one in answers:
        status = one.get("statusCode", 200)
        found += one.get("errors") or ([{"errorId": status, "message": "no reason given"}] if status >= 400 else [])
    return found


def is_transient(answers: Sequence[Mapping[str, Any]]) -> bool:
    """Whether eBay itself failed on this item, so that once more may help. A worn-out listing is no such case."""
    errors = errors_of(answers)
    return bool(errors) and all(
        error.get("errorId") in _TRANSIENT and "revis" not in str(error.get("message")).lower() for error in errors
    )


def wants_one_sku(refused: RequestRefused) -> bool:
    """eBay's text says both "one SKU a call" and "up to 25 items"; which one holds is found out."""
    said = " ".join(str(refused.body).lower().split())
    return any(words in said for words in ("only one sku", "one sku per", "single sku"))


def error_ids(body: Any) -> set[int]:
    """The numbers of the errors in an answer's body; empty for a body of any other shape."""
    errors = body.get("errors", []) if isinstance(body, dict) else []
    return {error["errorId"] for error in errors if isinstance(error, dict) and isinstance(error.get("errorId"), int)}
