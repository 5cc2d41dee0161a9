"""A listing of the Listings Items API 2021-08-01 in our words, and the changes of one in the vendor's.

Belongs here: what a listing's parts mean, and the attributes that a change of stock or price sets. Does not belong here:
requests.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from resources.channels.amazon_feeds import Change
from resources.channels.protocol import ListedItem, Outcome, PriceWrite, StockWrite, WriteResult

READ_ONLY = "fulfilled by Amazon: its stock is read-only"
AMAZON = "AMAZON"
"""The handle `fulfilled_by` of a listing that Amazon ships from its own warehouses."""


@dataclass(frozen=True)
class Listings:
    """How listings of one marketplace are read and changed."""

    marketplace_id: str
    product_type: str
    """Where the listing tells none."""
    stock_patch: str
    """merge, or replace, which also clears handling time and restock date."""

    def item(self, raw: Mapping[str, Any], amazons_stock: Mapping[str, int]) -> ListedItem:
        """`amazons_stock`: units in Amazon's warehouses, by SKU."""
        summary = self.here(raw.get("summaries")) or {}
        offers = [one for one in raw.get("offers") or () if one.get("marketplaceId") == self.marketplace_id]
        price = next((offer["price"] for offer in offers if offer["offerType"] == "B2C"), None)
        channels = raw.get("fulfillmentAvailability") or ()
        handles = {"product_type": str(summary.get("productType") or self.product_type)}
        quantity, unwritable = None, None
        if is_fulfilled_by_amazon(raw):
            quantity, unwritable, handles["fulfilled_by"] = amazons_stock.get(raw["sku"]), READ_ONLY, AMAZON
        elif len(channels) > 1:
            unwritable = "sold from several supply sources"
        elif channels:
            quantity = channels[0].get("quantity")
            handles["fulfillment_channel_code"] = channels[0]["fulfillmentChannelCode"]
        elif _is_parent(raw):
            unwritable = "a parent of variations"
        return ListedItem(
            key=raw["sku"],
            sku=raw["sku"],
            quantity=quantity,
            price=None if price is None else Decimal(str(price["amount"])),
            currency=None if price is None else price["currencyCode"],
            title=summary.get("itemName"),
            unwritable=unwritable,
            handles=handles,
            updated_at=datetime.fromisoformat(summary["lastUpdatedDate"]) if "lastUpdatedDate" in summary else None,
        )

    def stock_change(self, write: StockWrite) -> Change:
        patch = {
            "op": self.stock_patch,
            "path": "/attributes/fulfillment_availability",
            "value": [
                {
                    "fulfillment_channel_code": write.handles.get("fulfillment_channel_code", "DEFAULT"),
                    "quantity": write.quantity,
                }
            ],
        }
        return Change(write.key, write.key, write.handles.get("product_type") or self.product_type, patch)

    def price_change(self, write: PriceWrite, raw: Mapping[str, Any] | None) -> Change | WriteResult:
        """`raw`: the listing with its attributes, None where it is gone. The result where there is nothing to send."""
        if raw is None:
            return WriteResult(write.key, Outcome.refused, detail="there is no such listing")
        offers = (raw.get("attributes") or {}).get("purchasable_offer") or ()
        ours = [one for one in offers if one.get("marketplace_id", self.marketplace_id) == self.marketplace_id]
        offer = next((one for one in ours if one.get("audience", "ALL") == "ALL"), {})
        if offer.get("currency", write.currency) != write.currency:
            return WriteResult(
                write.key, Outcome.refused, detail=f"priced in {offer['currency']}, not {write.currency}"
            )
        wanted = {
            "marketplace_id": self.marketplace_id,
            "audience": "ALL",
            "currency": write.currency,
            **offer,
            "our_price": [{"schedule": [{"value_with_tax": write.price}]}],
        }
        patch = {"op": "replace", "path": "/attributes/purchasable_offer", "value": [wanted]}
        summary = self.here(raw.get("summaries")) or {}
        return Change(write.key, write.key, str(summary.get("productType") or self.product_type), patch)

    def here(self, by_marketplace: Sequence[Mapping[str, Any]] | None) -> Mapping[str, Any] | None:
        """The part about this marketplace."""
        return next((one for one in by_marketplace or () if one.get("marketplaceId") == self.marketplace_id), None)


def is_fulfilled_by_amazon(raw: Mapping[str, Any]) -> bool:
    channels = raw.get("fulfillmentAvailability") or ()
    return any(channel["fulfillmentChannelCode"].startswith("AMAZON") for channel in channels)


def _is_parent(raw: Mapping[str, Any]) -> bool:
    return any(
        related.get("childSkus")
        for here in raw.get("relationships") or ()
        for related in here.get("relationships") or ()
    )
