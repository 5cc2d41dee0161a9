"""Amazon's Selling Partner API on loopback: listings, feeds, orders and FBA stock that change, and its token server.

With the folder of Amazon's own models each request is checked against them, and each answer, too. What a request does wrong is
answered as Amazon does and noted in `violations`; a wrong answer of the peer itself in `misanswers`.
"""

import base64
import gzip
import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

import jsonschema

from resources.channels.amazon_limits import RATES
from resources.channels.protocol import Connection
from resources.channels.transport import Clock
from tests.peers.vendor import Asked, Reply, VendorPeer

SELLER = "A3TH9S8BH6GOGM"
MARKETPLACE = "A1F83G8C2ARO7P"
MODELS = (
    "listings-items-api-model/listingsItems_2021-08-01.json",
    "feeds-api-model/feeds_2021-06-30.json",
    "orders-api-model/orders_2026-01-01.json",
    "fba-inventory-api-model/fbaInventory.json",
    "notifications-api-model/notifications.json",
)
_PATHS = {
    "searchListingsItems": ("GET", "/listings/2021-08-01/items/{sellerId}"),
    "getListingsItem": ("GET", "/listings/2021-08-01/items/{sellerId}/{sku}"),
    "patchListingsItem": ("PATCH", "/listings/2021-08-01/items/{sellerId}/{sku}"),
    "getInventorySummaries": ("GET", "/fba/inventory/v1/summaries"),
    "createFeedDocument": ("POST", "/feeds/2021-06-30/documents"),
    "getFeedDocument": ("GET", "/feeds/2021-06-30/documents/{feedDocumentId}"),
    "createFeed": ("POST", "/feeds/2021-06-30/feeds"),
    "getFeeds": ("GET", "/feeds/2021-06-30/feeds"),
    "getFeed": ("GET", "/feeds/2021-06-30/feeds/{feedId}"),
    "searchOrders": ("GET", "/orders/2026-01-01/orders"),
    "getOrder": ("GET", "/orders/2026-01-01/orders/{orderId}"),
    "getSubscription": ("GET", "/notifications/v1/subscriptions/{notificationType}"),
}
_STEP = timedelta(milliseconds=1)
_MOST_RESULTS = 1000
_SECRETS = {"client_id": "amzn1.client", "client_secret": "amzn1.secret", "refresh_token": "Atzr|refresh"}


@dataclass
class Listing:
    """One SKU. `extras` are the parts of fulfillment_availability and purchasable_offer that nobody else knows of."""

    sku: str
    quantity: int
    price: Decimal
    channel: str
    created: datetime
    updated: datetime
    currency: str = "GBP"
    extras: dict[str, Any] = field(default_factory=dict)
    offer: dict[str, Any] = field(default_factory=dict)
    parent_of: tuple[str, ...] = ()


@dataclass
class Feed:
    feed_id: str
    document_id: str
    created: datetime
    status: str = "IN_QUEUE"
    report_id: str | None = None


class AmazonPeer(VendorPeer):
    """`instant`: a write takes effect at once (its answer is still no more than ACCEPTED), else when `process` is called, or
    after `after_reads` reads of listings. `enforce_rates`: 429 above the vendor's default rates, by `clock`."""

    def __init__(
        self,
        specs: Path | None = None,
        *,
        clock: Clock | None = None,
        instant: bool = True,
        after_reads: int | None = None,
        enforce_rates: bool = False,
    ) -> None:
        super().__init__()
        self.clock = clock or Clock()
        self.violations: list[str] = []
        self.misanswers: list[str] = []
        self.accepted: dict[str, dict[str, int]] = {}
        self.webhooks: list[tuple[dict[str, str], bytes]] = []
        self.refunds: list[tuple[str, str, int]] = []
        self.listings: dict[str, Listing] = {}
        self.orders: dict[str, dict[str, Any]] = {}
        self.feeds: dict[str, Feed] = {}
        self.documents: dict[str, bytes | None] = {}
        self.refused: dict[str, tuple[str, str]] = {}
        """By SKU: code and message of the issue that makes each change of it invalid."""
        self.denied: set[str] = set()
        """Operations for which the application has no role."""
        self.rate_header: str | None = "table"
        """What x-amzn-RateLimit-Limit says: the table's rate, another text, or nothing (None)."""
        self.created_by_feed = 0
        self._models = [json.loads((specs / "models" / name).read_text()) for name in MODELS] if specs else []
        self._feed_schema = _schema(specs, "listings-feed-schema-v2.json")
        self._report_schema = _schema(specs, "listings-feed-processing-report-schema-v2.json")
        self._instant, self._after_reads, self._reads = instant, after_reads, 0
        self._enforce, self._buckets = enforce_rates, {}
        self._queue: list[tuple[str, Any]] = []
        self._tokens: dict[str, datetime] = {}
        self._expired: set[str] = set()
        self._last = self.clock.now()
        self._number = 0

    def connection(self, name: str, **options: Any) -> Connection:
        given = {
            "seller_id": SELLER,
            "marketplace_id": MARKETPLACE,
            "auth_url": f"{self.url}/auth/o2/token",
            "currency": "GBP",
            **options,
        }
        return Connection(name, "amazon", self.url, given, dict(_SECRETS))

    def add(
        self,
        sku: str,
        quantity: int,
        price: str = "100.00",
        channel: str = "DEFAULT",
        extras: Mapping[str, Any] | None = None,
        offer: Mapping[str, Any] | None = None,
        parent_of: tuple[str, ...] = (),
    ) -> str:
        """`channel` AMAZON_EU: fulfilled by Amazon. `extras`: such as lead_time_to_ship_max_days; `offer`: a sale price."""
        with self._lock:
            now = self._now()
            listing = Listing(sku, quantity, Decimal(price), channel, now, now)
            listing.extras, listing.offer, listing.parent_of = dict(extras or {}), dict(offer or {}), parent_of
            self.listings[sku] = listing
            return sku

    def stock(self, sku: str) -> int | None:
        with self._lock:
            listing = self.listings.get(sku)
            return None if listing is None else listing.quantity

    def edit(self, sku: str, quantity: int) -> None:
        with self._lock:
            self._set_quantity(self.listings[sku], quantity)

    def buy(self, units: Mapping[str, int], pending: bool = False) -> str | None:
        """A pending order takes stock, too. One order is fulfilled by one party: that of its first SKU."""
        with self._lock:
            if any(sku not in self.listings or self.listings[sku].quantity < wanted for sku, wanted in units.items()):
                return None
            self._number += 1
            order_id = f"202-{self._number:07d}-{7000000 + self._number}"
            now = _iso(self._now())
            by = "AMAZON" if self.listings[next(iter(units))].channel.startswith("AMAZON") else "MERCHANT"
            status = "PENDING" if pending else "UNSHIPPED"
            self.orders[order_id] = {
                "orderId": order_id,
                "createdTime": now,
                "lastUpdatedTime": now,
                "salesChannel": {"channelName": "AMAZON", "marketplaceId": MARKETPLACE},
                "recipient": {"deliveryAddress": {"countryCode": "GB"}},
                "fulfillment": {"fulfillmentStatus": status, "fulfilledBy": by},
                "orderItems": [self._order_item(sku, wanted, pending) for sku, wanted in units.items()],
            }
            self.accepted[order_id] = dict(units)
            for sku, wanted in units.items():
                self._set_quantity(self.listings[sku], self.listings[sku].quantity - wanted)
            self._order_changed(order_id)
            return order_id

    def confirm(self, order_id: str) -> None:
        """The payment of a pending order is authorised."""
        self._move(order_id, "UNSHIPPED")

    def ship(self, order_id: str) -> None:
        self._move(order_id, "SHIPPED")

    def cancel(self, order_id: str) -> None:
        """Amazon puts the units of a cancelled order back on sale, and the order stays with status CANCELLED."""
        with self._lock:
            for item in self.orders[order_id]["orderItems"]:
                self._cancel_item(item)
            self._move(order_id, "CANCELLED")

    def cancel_item(self, order_id: str, sku: str) -> None:
        """One line of several; the order lives on."""
        with self._lock:
            order = self.orders[order_id]
            self._cancel_item(next(item for item in order["orderItems"] if item["product"]["sellerSku"] == sku))
            self._move(order_id, order["fulfillment"]["fulfillmentStatus"])

    def refund(self, order_id: str, sku: str, units: int, restock: bool) -> None:
        """Money only: the Orders API knows no refunds, the order stays as it is, and Amazon never puts a seller's units back,
        so that `restock` has no effect."""
        with self._lock:
            self.refunds.append((order_id, sku, units))

    def process(self) -> None:
        """What was accepted takes effect, in the order in which it came."""
        with self._lock:
            queue, self._queue = self._queue, []
            for kind, what in queue:
                if kind == "patch":
                    self._apply(*what)
                else:
                    self._process_feed(what)

    def expire_tokens(self) -> None:
        with self._lock:
            self._expired.update(self._tokens)
            self._tokens.clear()

    def answer(self, asked: Asked) -> Reply:
        if asked.path == "/auth/o2/token":
            return self._token(asked)
        if asked.path.startswith("/presigned/"):
            return self._store(asked)
        operation, arguments = _route(asked)
        if operation is None:
            return self._wrong(asked, f"there is no operation {asked}", 404)
        reply = self._refusal(asked, operation) or self._unfit(asked, operation, arguments)
        if reply is None:
            reply = getattr(self, f"_{_snake(operation)}")(asked, **{_snake(k): v for k, v in arguments.items()})
        self._check_answer(operation, reply)
        rate = str(RATES[operation].per_second) if self.rate_header == "table" else self.rate_header
        told = {} if rate is None else {"x-amzn-RateLimit-Limit": rate}
        return Reply(reply.status, reply.body, {"x-amzn-RequestId": str(uuid.uuid4()), **told, **reply.headers})

    # What each operation does.

    def _search_listings_items(self, asked: Asked, seller_id: str) -> Reply:
        query = asked.query
        if "identifiers" in query and query.get("identifiersType") != "SKU":
            return self._wrong(asked, "identifiersType is required with identifiers")
        self._read()
        found = [one for one in self.listings.values() if _matches(one, query)]
        by = {"sku": "sku", "lastUpdatedDate": "updated"}.get(query.get("sortBy", ""), "created")
        found.sort(key=lambda one: getattr(one, by), reverse=query.get("sortOrder", "DESC") == "DESC")
        size = int(query.get("pageSize", 10))
        fixed = {name: value for name, value in query.items() if name != "pageToken"}
        start = 0
        if "pageToken" in query:
            token = _token_of(query["pageToken"])
            if token.get("query") != fixed:
                return self._wrong(asked, "pageToken belongs to another search")
            start = token["start"]
        page = found[start : min(start + size, _MOST_RESULTS)]
        body: dict[str, Any] = {"numberOfResults": len(found), "items": [self._item(one, query) for one in page]}
        if start + size < min(len(found), _MOST_RESULTS):
            body["pagination"] = {"nextToken": _page_token({"query": fixed, "start": start + size})}
        return Reply(200, body)

    def _get_listings_item(self, asked: Asked, seller_id: str, sku: str) -> Reply:
        self._read()
        if sku not in self.listings:
            return _errors(404, "NOT_FOUND", f"SKU '{sku}' not found in marketplace {MARKETPLACE}")
        return Reply(200, self._item(self.listings[sku], asked.query))

    def _patch_listings_item(self, asked: Asked, seller_id: str, sku: str) -> Reply:
        patches = asked.json()["patches"]
        for index, patch in enumerate(patches):
            if not re.fullmatch(r"/attributes/[a-z_0-9]+", patch["path"]):
                return self._wrong(asked, f"Invalid path provided in patch at index of {index}.")
        issues = self._issues(sku, patches)
        status = "INVALID" if issues else "ACCEPTED"
        if not issues:
            self._queue.append(("patch", (sku, patches)))
            if self._instant:
                self.process()
        return Reply(200, {"sku": sku, "status": status, "submissionId": self._id(), "issues": issues})

    def _get_inventory_summaries(self, asked: Asked) -> Reply:
        wanted = asked.query.get("sellerSkus", "").split(",") if "sellerSkus" in asked.query else None
        if "sellerSku" in asked.query and wanted is None:
            wanted = [asked.query["sellerSku"]]
        summaries = [
            {"sellerSku": one.sku, "inventoryDetails": {"fulfillableQuantity": one.quantity}}
            for one in self.listings.values()
            if one.channel.startswith("AMAZON") and (wanted is None or one.sku in wanted)
        ]
        granularity = {"granularityType": "Marketplace", "granularityId": MARKETPLACE}
        return Reply(200, {"payload": {"granularity": granularity, "inventorySummaries": summaries}})

    def _create_feed_document(self, asked: Asked) -> Reply:
        document_id = f"amzn1.tortuga.4.eu.{self._id()}"
        self.documents[document_id] = None
        return Reply(201, {"feedDocumentId": document_id, "url": self._presigned(document_id)})

    def _get_feed_document(self, asked: Asked, feed_document_id: str) -> Reply:
        if self.documents.get(feed_document_id) is None:
            return _errors(404, "NotFound", "there is no such document")
        where = {"feedDocumentId": feed_document_id, "url": self._presigned(feed_document_id)}
        return Reply(200, {**where, "compressionAlgorithm": "GZIP"})

    def _create_feed(self, asked: Asked) -> Reply:
        body = asked.json()
        if body["feedType"] != "JSON_LISTINGS_FEED":
            return self._wrong(asked, f"the feed type {body['feedType']} is not taken any more")
        if self.documents.get(body["inputFeedDocumentId"]) is None:
            return self._wrong(asked, "nothing was uploaded to this document")
        self.created_by_feed += 1
        feed = Feed(str(3485933 + self.created_by_feed), body["inputFeedDocumentId"], self._now())
        self.feeds[feed.feed_id] = feed
        self._queue.append(("feed", feed))
        if self._instant:
            self.process()
        return Reply(202, {"feedId": feed.feed_id})

    def _get_feed(self, asked: Asked, feed_id: str) -> Reply:
        if feed_id not in self.feeds:
            return _errors(404, "NotFound", "there is no such feed")
        return Reply(200, _feed(self.feeds[feed_id]))

    def _get_feeds(self, asked: Asked) -> Reply:
        since = asked.query.get("createdSince")
        feeds = [one for one in self.feeds.values() if since is None or one.created >= datetime.fromisoformat(since)]
        return Reply(200, {"feeds": [_feed(one) for one in reversed(feeds)]})

    def _search_orders(self, asked: Asked) -> Reply:
        query = asked.query
        if ("createdAfter" in query) == ("lastUpdatedAfter" in query):
            return self._wrong(asked, "exactly one of createdAfter and lastUpdatedAfter")
        name = "lastUpdatedTime" if "lastUpdatedAfter" in query else "createdTime"
        since = datetime.fromisoformat(query.get("lastUpdatedAfter") or query["createdAfter"])
        # In the order of the ids: Amazon promises none, and none by time is to be relied on.
        found = [o for _, o in sorted(self.orders.items()) if datetime.fromisoformat(o[name]) >= since]
        start = 0
        fixed = {key: value for key, value in query.items() if key not in ("paginationToken", "includedData")}
        if "paginationToken" in query:
            token = _token_of(query["paginationToken"])
            if token.get("query") != fixed:
                return self._wrong(asked, "paginationToken belongs to another search")
            start = token["start"]
        size = int(query.get("maxResultsPerPage", 100))
        page = found[start : start + size]
        body: dict[str, Any] = {"orders": [_shown(order, query) for order in page]}
        if start + size < len(found):
            body["pagination"] = {"nextToken": _page_token({"query": fixed, "start": start + size})}
        return Reply(200, body)

    def _get_order(self, asked: Asked, order_id: str) -> Reply:
        if not re.fullmatch(r"\d{3}-\d{7}-\d{7}", order_id):
            return _errors(400, "InvalidInput", "Invalid Input")
        if order_id not in self.orders:
            return _errors(404, "NotFound", "there is no such order")
        return Reply(200, {"order": _shown(self.orders[order_id], asked.query)})

    def _get_subscription(self, asked: Asked, notification_type: str) -> Reply:
        ids = {"subscriptionId": "subscription-1", "destinationId": "destination-1", "payloadVersion": "1.0"}
        return Reply(200, {"payload": ids})

    # The state.

    def _apply(self, sku: str, patches: list[dict[str, Any]]) -> None:
        listing = self.listings.get(sku)
        # An unknown SKU was accepted, and nothing comes of it.
        if listing is None:
            return
        for patch in patches:
            value = patch["value"][0]
            if patch["path"] == "/attributes/fulfillment_availability":
                if listing.channel != value["fulfillment_channel_code"]:
                    self.violations.append(f"a quantity for {sku} took it out of Amazon's fulfilment")
                    listing.channel = value["fulfillment_channel_code"]
                if patch["op"] != "merge":
                    listing.extras = {
                        k: v for k, v in value.items() if k not in ("fulfillment_channel_code", "quantity")
                    }
                self._set_quantity(listing, value["quantity"])
            elif patch["path"] == "/attributes/purchasable_offer":
                listing.price = Decimal(str(value["our_price"][0]["schedule"][0]["value_with_tax"]))
                known = ("marketplace_id", "audience", "currency", "our_price")
                listing.offer = {k: v for k, v in value.items() if k not in known}
                listing.updated = self._now()

    def _issues(self, sku: str, patches: list[dict[str, Any]]) -> list[dict[str, Any]]:
        issues = [self.refused[sku]] if sku in self.refused else []
        for patch in patches:
            value = (patch.get("value") or [{}])[0]
            quantity = value.get("quantity", 0)
            if isinstance(quantity, bool) or not isinstance(quantity, int) or quantity < 0:
                issues.append(("99022", "The value of 'quantity' is invalid."))
            for price in value.get("our_price", ()):
                amount = price["schedule"][0]["value_with_tax"]
                if isinstance(amount, (str, bool)) or amount <= 0:
                    issues.append(("4000001", "The provided value for 'purchasable_offer' is invalid."))
        return [
            {"code": code, "message": message, "severity": "ERROR", "categories": ["INVALID_ATTRIBUTE"]}
            for code, message in issues
        ]

    def _process_feed(self, feed: Feed) -> None:
        document = json.loads(self.documents[feed.document_id] or b"")
        issues: list[dict[str, Any]] = []
        for message in document["messages"]:
            wrong = self._issues(message["sku"], message["patches"])
            who = {"messageId": message["messageId"], "sku": message["sku"]}
            issues += [{**who, **{k: one[k] for k in ("code", "severity", "message")}} for one in wrong]
            if not wrong:
                self._apply(message["sku"], message["patches"])
        total, invalid = len(document["messages"]), len({one["messageId"] for one in issues})
        summary = {
            "errors": len(issues),
            "warnings": 0,
            "messagesProcessed": total,
            "messagesAccepted": total - invalid,
            "messagesInvalid": invalid,
        }
        header = {"sellerId": SELLER, "version": "2.0", "feedId": feed.feed_id}
        report = {"header": header, "issues": issues, "summary": summary}
        self.misanswers += _violations(self._report_schema, report)
        feed.report_id = f"amzn1.tortuga.3.{feed.feed_id}"
        self.documents[feed.report_id] = gzip.compress(json.dumps(report).encode())
        feed.status = "DONE"
        told = {"sellerId": SELLER, "accountId": f"amzn1.merchant.o.{SELLER}", "feedId": feed.feed_id}
        told |= {"feedType": "JSON_LISTINGS_FEED", "processingStatus": "DONE", "resultFeedDocumentId": feed.report_id}
        self._notify("FEED_PROCESSING_FINISHED", {"feedProcessingFinishedNotification": told})

    def _set_quantity(self, listing: Listing, quantity: int) -> None:
        listing.quantity, listing.updated = quantity, self._now()
        if listing.channel.startswith("AMAZON"):
            self._notify("FBA_INVENTORY_AVAILABILITY_CHANGES", _amazons_stock(listing))
            return
        what = {"FulfillmentChannelCode": listing.channel, "Sku": listing.sku, "Quantity": quantity}
        self._notify("LISTINGS_ITEM_MFN_QUANTITY_CHANGE", {"SellerId": SELLER, **what})

    def _order_item(self, sku: str, units: int, pending: bool) -> dict[str, Any]:
        listing = self.listings[sku]
        product: dict[str, Any] = {"asin": "B08C1W5N87", "title": f"Thing {sku}", "sellerSku": sku}
        item: dict[str, Any] = {"orderItemId": self._id(), "quantityOrdered": units, "product": product}
        # A pending order tells no price.
        if not pending:
            self._priced(item, listing)
        item["fulfillment"] = {"quantityFulfilled": 0, "quantityUnfulfilled": units}
        return item

    def _priced(self, item: dict[str, Any], listing: Listing) -> None:
        money = {"amount": f"{listing.price:f}", "currencyCode": listing.currency}
        total = {**money, "amount": f"{listing.price * item['quantityOrdered']:f}"}
        item["product"]["price"] = {"unitPrice": money}
        item["proceeds"] = {"proceedsTotal": total, "breakdowns": [{"type": "ITEM", "subtotal": total}]}

    def _cancel_item(self, item: dict[str, Any]) -> None:
        listing = self.listings[item["product"]["sellerSku"]]
        self._set_quantity(listing, listing.quantity + item["fulfillment"]["quantityUnfulfilled"])
        item["fulfillment"]["quantityUnfulfilled"] = 0
        item["cancellation"] = {"cancellationExecution": {"cancelledBy": "BUYER", "cancelReason": "No longer needed"}}

    def _move(self, order_id: str, status: str) -> None:
        with self._lock:
            order = self.orders[order_id]
            for item in order["orderItems"]:
                if status == "SHIPPED":
                    shipping = item["fulfillment"]
                    shipping["quantityFulfilled"], shipping["quantityUnfulfilled"] = shipping["quantityUnfulfilled"], 0
                if "price" not in item["product"] and status == "UNSHIPPED":
                    self._priced(item, self.listings[item["product"]["sellerSku"]])
            order["fulfillment"]["fulfillmentStatus"] = status
            order["lastUpdatedTime"] = _iso(self._now())
            self._order_changed(order_id)

    def _order_changed(self, order_id: str) -> None:
        order = self.orders[order_id]
        # The notification has the words of the older model.
        status = order["fulfillment"]["fulfillmentStatus"].title().replace("Cancelled", "Canceled")
        summary = {
            "MarketplaceId": MARKETPLACE,
            "OrderStatus": status,
            "PurchaseDate": order["createdTime"],
            "DestinationPostalCode": None,
            "FulfillmentType": "AFN" if order["fulfillment"]["fulfilledBy"] == "AMAZON" else "MFN",
            "OrderType": "StandardOrder",
            "OrderItems": [
                {
                    "OrderItemId": item["orderItemId"],
                    "SellerSKU": item["product"]["sellerSku"],
                    "SupplySourceId": None,
                    "Quantity": item["quantityOrdered"],
                }
                for item in order["orderItems"]
            ],
        }
        change = {
            "NotificationLevel": "OrderLevel",
            "SellerId": SELLER,
            "AmazonOrderId": order_id,
            "OrderChangeType": "OrderStatusChange",
            "OrderChangeTrigger": {"TimeOfOrderChange": order["lastUpdatedTime"], "ChangeReason": "status"},
            "Summary": summary,
        }
        self._notify("ORDER_CHANGE", {"OrderChangeNotification": change})

    def _notify(self, kind: str, payload: dict[str, Any]) -> None:
        now = _iso(self._now())
        message = {"NotificationVersion": "1.0", "NotificationType": kind, "PayloadVersion": "1.0", "EventTime": now}
        ids = {"ApplicationId": "app-1", "SubscriptionId": "subscription-1"}
        message |= {
            "Payload": payload,
            "NotificationMetadata": {**ids, "PublishTime": now, "NotificationId": self._id()},
        }
        # This kind alone begins its names with small letters.
        if kind == "FEED_PROCESSING_FINISHED":
            message = _small(message)
        self.webhooks.append(({}, json.dumps(message).encode()))

    def _item(self, listing: Listing, query: Mapping[str, str]) -> dict[str, Any]:
        included = query.get("includedData", "summaries").split(",")
        price = {"amount": f"{listing.price:f}", "currencyCode": listing.currency}
        offer = {"marketplaceId": MARKETPLACE, "offerType": "B2C", "price": price}
        bought = {"schedule": [{"value_with_tax": float(listing.price)}]}
        summary = {
            "marketplaceId": MARKETPLACE,
            "asin": "B08C1W5N87",
            "productType": "SHOES",
            "status": ["BUYABLE"],
            "itemName": f"Thing {listing.sku}",
            "createdDate": _iso(listing.created),
            "lastUpdatedDate": _iso(listing.updated),
        }
        availability: dict[str, Any] = {"fulfillmentChannelCode": listing.channel}
        if not listing.channel.startswith("AMAZON"):
            availability["quantity"] = listing.quantity
        related = {"marketplaceId": MARKETPLACE, "relationships": [_variations(listing)] if listing.parent_of else []}
        parts = {
            "summaries": [summary],
            "offers": [] if listing.parent_of else [offer],
            "fulfillmentAvailability": [] if listing.parent_of else [availability],
            "issues": [],
            "relationships": [related],
            "attributes": {
                "purchasable_offer": [
                    {
                        "marketplace_id": MARKETPLACE,
                        "audience": "ALL",
                        "currency": listing.currency,
                        "our_price": [bought],
                        **listing.offer,
                    }
                ]
            },
        }
        return {"sku": listing.sku, **{name: parts[name] for name in included if name in parts}}

    def _read(self) -> None:
        self._reads += 1
        if self._after_reads is not None and self._reads > self._after_reads:
            self._reads = 0
            self.process()

    # The vendor's door.

    def _token(self, asked: Asked) -> Reply:
        form = {name: values[0] for name, values in parse_qs(asked.body.decode()).items()}
        if form.get("client_id") != _SECRETS["client_id"] or form.get("client_secret") != _SECRETS["client_secret"]:
            return Reply(401, {"error": "invalid_client", "error_description": "Client authentication failed"})
        if form.get("grant_type") != "refresh_token" or form.get("refresh_token") != _SECRETS["refresh_token"]:
            return Reply(
                400, {"error": "invalid_grant", "error_description": "The request has an invalid grant parameter"}
            )
        token = f"Atza|{self._id()}"
        self._tokens[token] = self.clock.now() + timedelta(hours=1)
        told = {"access_token": token, "refresh_token": _SECRETS["refresh_token"], "token_type": "bearer"}
        return Reply(200, {**told, "expires_in": 3600})

    def _store(self, asked: Asked) -> Reply:
        """The store of documents, at another address in truth: it must never see the token."""
        document_id = unquote(asked.path.removeprefix("/presigned/"))
        if "x-amz-access-token" in asked.headers or "authorization" in asked.headers:
            return self._wrong(asked, "a token was sent to a pre-signed address")
        if "X-Amz-Signature" not in asked.query or document_id not in self.documents:
            return self._wrong(asked, "SignatureDoesNotMatch", 403)
        if asked.method == "PUT":
            if asked.headers.get("content-type", "").lower() != "application/json; charset=utf-8":
                return self._wrong(asked, "the content type is not the one that was declared", 403)
            self.violations += _violations(self._feed_schema, asked.json())
            self.documents[document_id] = asked.body
            return Reply(200, b"")
        return Reply(200, self.documents[document_id] or b"", {"content-type": "application/octet-stream"})

    def _refusal(self, asked: Asked, operation: str) -> Reply | None:
        token = asked.headers.get("x-amz-access-token")
        valid_until = self._tokens.get(token or "")
        if valid_until is None or valid_until <= self.clock.now():
            what = "has expired" if token in self._expired or valid_until else "is revoked, malformed or invalid"
            return _errors(
                403, "Unauthorized", "Access to requested resource is denied.", f"The access token you provided {what}."
            )
        if operation in self.denied:
            return _errors(403, "Unauthorized", "Access to requested resource is denied.", "")
        if self._enforce and not self._within_rate(operation):
            return _errors(429, "QuotaExceeded", "You exceeded your quota for the requested resource.")
        return None

    def _within_rate(self, operation: str) -> bool:
        rate, now = RATES[operation], self.clock.now()
        level, since = self._buckets.get(operation, (rate.burst, now))
        level = min(rate.burst, level + rate.per_second * (now - since).total_seconds())
        # The vendor counts in whole requests, a little late: what a correct client asks for just fits.
        fits = level > 0.999
        self._buckets[operation] = (level - 1 if fits else level, now)
        return fits

    def _unfit(self, asked: Asked, operation: str, arguments: Mapping[str, str]) -> Reply | None:
        found = []
        if arguments.get("sellerId", SELLER) != SELLER:
            return _errors(403, "Unauthorized", "Access to requested resource is denied.", "another seller")
        if asked.query.get("marketplaceIds", MARKETPLACE) != MARKETPLACE:
            found.append(f"marketplaceIds {asked.query['marketplaceIds']}")
        for model in self._models:
            for path, by_method in model["paths"].items():
                if (asked.method, path) == _PATHS[operation]:
                    found += _unfit(model, by_method[asked.method.lower()], asked)
        return self._wrong(asked, "; ".join(found)) if found else None

    def _check_answer(self, operation: str, reply: Reply) -> None:
        for model in self._models:
            spec = model["paths"].get(_PATHS[operation][1], {}).get(_PATHS[operation][0].lower())
            schema = (spec or {}).get("responses", {}).get(str(reply.status), {}).get("schema")
            if schema is not None:
                whole = {"definitions": model["definitions"], "allOf": [schema]}
                self.misanswers += [f"{operation}: {one}" for one in _violations(whole, reply.body)]

    def _wrong(self, asked: Asked, message: str, status: int = 400) -> Reply:
        self.violations.append(f"{asked}: {message}")
        return _errors(status, "InvalidInput", message)

    def _presigned(self, document_id: str) -> str:
        return f"{self.url}/presigned/{document_id}?X-Amz-Signature=abc&X-Amz-Expires=300"

    def _id(self) -> str:
        self._number += 1
        return str(uuid.UUID(int=self._number))

    def _now(self) -> datetime:
        """Never the same twice, at the vendor's resolution."""
        self._last = max(self.clock.now(), self._last + _STEP)
        return self._last


def _route(asked: Asked) -> tuple[str | None, dict[str, str]]:
    for operation, (method, template) in _PATHS.items():
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", template)
        match = re.fullmatch(pattern, asked.path)
        if match and method == asked.method:
            return operation, {name: unquote(value) for name, value in match.groupdict().items()}
    return None, {}


def _unfit(model: Mapping[str, Any], operation: Mapping[str, Any], asked: Asked) -> list[str]:
    """What of the request is not as the model has it."""
    known = {one["name"]: one for one in operation["parameters"] if one["in"] == "query"}
    found = [f"{name} is no parameter" for name in asked.query if name not in known]
    found += [f"{name} is missing" for name, one in known.items() if one.get("required") and name not in asked.query]
    for name, text in asked.query.items():
        if name in known:
            found += [f"{name}: {one}" for one in _violations(_typed(known[name]), _value(known[name], text))]
    for one in operation["parameters"]:
        if one["in"] == "body":
            whole = {"definitions": model["definitions"], "allOf": [one["schema"]]}
            found += _violations(whole, asked.json())
    return found


def _page_token(of: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(of).encode()).decode()


def _token_of(text: str) -> dict[str, Any]:
    """Empty for a token that is not the peer's."""
    try:
        return json.loads(base64.urlsafe_b64decode(text))
    except ValueError:
        return {}


def _typed(parameter: Mapping[str, Any]) -> dict[str, Any]:
    names = ("type", "enum", "items", "minItems", "maxItems", "minimum", "maximum", "format")
    return {name: parameter[name] for name in names if name in parameter}


def _value(parameter: Mapping[str, Any], text: str) -> Any:
    kind = parameter["type"]
    if kind == "array":
        return text.split(",")
    if kind == "integer":
        return int(text) if re.fullmatch(r"-?\d+", text) else text
    if kind == "boolean":
        return {"true": True, "false": False}.get(text, text)
    return text


_FORMATS = jsonschema.FormatChecker(formats=())


@_FORMATS.checks("date-time")
def _is_instant(text: object) -> bool:
    pattern = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"
    return not isinstance(text, str) or re.fullmatch(pattern, text) is not None


def _schema(specs: Path | None, name: str) -> dict[str, Any] | None:
    return json.loads((specs / "schemas" / "feeds" / name).read_text()) if specs else None


def _violations(schema: Mapping[str, Any] | None, value: Any) -> list[str]:
    if schema is None:
        return []
    kind = jsonschema.Draft7Validator if "draft-07" in schema.get("$schema", "") else jsonschema.Draft4Validator
    errors = kind(schema, format_checker=_FORMATS).iter_errors(value)
    return [f"{'/'.join(map(str, error.absolute_path))}: {error.message}"[:300] for error in errors]


def _matches(listing: Listing, query: Mapping[str, str]) -> bool:
    if "identifiers" in query and listing.sku not in query["identifiers"].split(","):
        return False
    sides = (("createdAfter", "created", 1), ("createdBefore", "created", -1))
    sides += (("lastUpdatedAfter", "updated", 1), ("lastUpdatedBefore", "updated", -1))
    for name, at, sign in sides:
        if name in query and (getattr(listing, at) - datetime.fromisoformat(query[name])) * sign < timedelta(0):
            return False
    return True


def _shown(order: dict[str, Any], query: Mapping[str, str]) -> dict[str, Any]:
    """Without the data that were not asked for."""
    included = query.get("includedData", "").lower().split(",")
    optional = ("recipient", "proceeds", "fulfillment", "cancellation")
    hidden = {name for name in optional if name not in included}
    shown = {name: value for name, value in order.items() if name not in hidden}
    shown["orderItems"] = [{k: v for k, v in item.items() if k not in hidden} for item in order["orderItems"]]
    return json.loads(json.dumps(shown))


def _variations(listing: Listing) -> dict[str, Any]:
    return {"type": "VARIATION", "childSkus": list(listing.parent_of)}


def _amazons_stock(listing: Listing) -> dict[str, Any]:
    names = ("Working", "Shipped", "Receiving")
    reserved = ("WarehouseProcessing", "WarehouseTransfer", "PendingCustomerOrder")
    stock: dict[str, Any] = dict.fromkeys(
        ("Unfulfillable", "Researching", "FutureSupplyBuyable", "PendingCustomerOrderInTransit"), 0
    )
    stock |= {
        "Fulfillable": listing.quantity,
        "InboundQuantityBreakdown": dict.fromkeys(names, 0),
        "ReservedQuantityBreakdown": dict.fromkeys(reserved, 0),
    }
    here = {"MarketplaceId": MARKETPLACE, "ItemName": listing.sku, "FulfillmentInventory": stock}
    ids = {"SellerId": SELLER, "FNSKU": "X000000001", "ASIN": "B08C1W5N87", "SKU": listing.sku}
    return {**ids, "FulfillmentInventoryByMarketplace": [here]}


def _feed(feed: Feed) -> dict[str, Any]:
    shown = {
        "feedId": feed.feed_id,
        "feedType": "JSON_LISTINGS_FEED",
        "marketplaceIds": [MARKETPLACE],
        "createdTime": _iso(feed.created),
        "processingStatus": feed.status,
    }
    return shown if feed.report_id is None else {**shown, "resultFeedDocumentId": feed.report_id}


def _small(value: Any) -> Any:
    if isinstance(value, dict):
        return {name[0].lower() + name[1:]: _small(one) for name, one in value.items()}
    return value


def _errors(status: int, code: str, message: str, details: str = "") -> Reply:
    return Reply(status, {"errors": [{"code": code, "message": message, "details": details}]})


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])([A-Z])", r"_\1", name).lower()
