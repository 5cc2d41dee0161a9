"""Amazon, by the Selling Partner API: listings 2021-08-01, feeds 2021-06-30, orders 2026-01-01, FBA inventory v1.

Belongs here: the connector. Does not belong here: token and rates (`amazon_api.py`), the meaning of a listing and of an order
(`amazon_listings.py`, `amazon_orders.py`), the life of a feed (`amazon_feeds.py`), the notifications' queue
(`amazon_notifications.py`).

The connection's `url` is the region's endpoint. Secrets: `client_id`, `client_secret`, `refresh_token` (Login with Amazon).
Options: `seller_id`, `marketplace_id` (both needed); `auth_url`; `feed_above` (1500: more changes than this go by feed),
`feed_poll_seconds` (30), `feed_wait_seconds` (600); `product_type` ("PRODUCT", where the listing tells none); `currency` (for
pending orders, which tell none); `stock_patch` ("merge", or "replace", which also clears handling time and restock date);
`recipients` (false; true asks for the country, which needs a role for personal data); `queue_url` (see
`amazon_notifications.py`); `timeout_seconds`, `insecure`, `ca_file`. A listing's key is its SKU.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from resources.channels.amazon_api import Api
from resources.channels.amazon_feeds import MOST_MESSAGES, Change, Feeds
from resources.channels.amazon_listings import AMAZON, READ_ONLY, Listings, is_fulfilled_by_amazon
from resources.channels.amazon_orders import order_of
from resources.channels.protocol import (
    ChannelError,
    ChannelOrder,
    Connection,
    CredentialsRefused,
    Finding,
    ListedItem,
    Outcome,
    OutcomeUnknown,
    PriceWrite,
    RequestRefused,
    StockWrite,
    WriteResult,
)
from resources.channels.transport import Tools

_ORDERS = "/orders/2026-01-01/orders"
_INCLUDED = "summaries,offers,fulfillmentAvailability,issues,relationships"
_PAGE = 20
_MOST_RESULTS = 1000
"""A search gives no more than this, however many it found."""
_DOTS = (".", "..")
"""SKUs that would be taken for a part of the path."""
_NO_SUCH_ORDER = "000-0000000-0000000"


def connect(connection: Connection, tools: Tools) -> "Amazon":
    """Raises ChannelError where the connection lacks something. Calls nothing yet."""
    return Amazon(connection, tools)


class Amazon:
    """One seller in one marketplace. No compare-and-set: what is `accepted` is known to be done only when it is read back."""

    kind = "amazon"
    settle_seconds = 900.0

    def __init__(self, connection: Connection, tools: Tools) -> None:
        options = connection.options
        missing = [name for name in ("seller_id", "marketplace_id") if not options.get(name)]
        if missing:
            raise ChannelError(f"{connection.name} lacks the options {', '.join(missing)}: add them to the connection")
        if options.get("stock_patch", "merge") not in ("merge", "replace"):
            raise ChannelError(f"{connection.name}: stock_patch is merge or replace, not {options['stock_patch']!r}")
        self.name = connection.name
        self._options = options
        self._marketplace = str(options["marketplace_id"])
        self._as = Listings(
            self._marketplace,
            str(options.get("product_type", "PRODUCT")),
            str(options.get("stock_patch", "merge")),
        )
        self._listings = f"/listings/2021-08-01/items/{quote(str(options['seller_id']), safe='')}"
        self._feed_above = int(options.get("feed_above", 1500))
        self._api = Api(connection, tools)
        self._feeds = Feeds(
            self._api,
            str(options["seller_id"]),
            self._marketplace,
            float(options.get("feed_poll_seconds", 30)),
            float(options.get("feed_wait_seconds", 600)),
        )

    def check(self) -> list[Finding]:
        try:
            self._api.check_token()
        except ChannelError as error:
            return [Finding("token", False, str(error), "Check client_id, client_secret and refresh_token.")]
        findings = [
            Finding("token", True, "Login with Amazon gives a token"),
            self._look("listings", "Product Listing", self._a_listing),
            self._look("orders", "Inventory and Order Tracking", lambda: self._order(_NO_SUCH_ORDER)),
        ]
        if self._options.get("queue_url"):
            return [*findings, self._look("notifications", "Inventory and Order Tracking", self._subscription)]
        return [*findings, Finding("notifications", True, "no queue_url: orders are only polled, every few minutes")]

    def list_items(self) -> Iterator[list[ListedItem]]:
        """Sliced by the time of creation, since a search ends after 1,000 results."""
        seen: set[str] = set()
        since: str | None = None
        while True:
            got, found, last = 0, 0, since
            for page in self._search({"sortBy": "createdDate", "sortOrder": "ASC", "createdAfter": since}):
                found = int(page["numberOfResults"])
                got += len(page["items"])
                last = self._last_created(page["items"], last)
                fresh = [raw for raw in page["items"] if raw["sku"] not in seen]
                seen.update(raw["sku"] for raw in fresh)
                if fresh:
                    yield self._items(fresh)
            if got >= found and got < _MOST_RESULTS:
                return
            if last == since:
                raise ChannelError(
                    f"{self.name} shows {got} of {found} listings created at {since or 'an unknown time'} and no way to "
                    "the others. Compare with the report GET_MERCHANT_LISTINGS_ALL_DATA."
                )
            since = last

    def read_items(self, items: Sequence[ListedItem]) -> list[ListedItem]:
        return self._items([raw for group in _groups([i.key for i in items]) for raw in self._raw(group, _INCLUDED)])

    def write_stock(self, writes: Sequence[StockWrite]) -> Iterator[list[WriteResult]]:
        ours = [write for write in writes if write.handles.get("fulfilled_by") != AMAZON]
        if len(ours) < len(writes):
            amazons = [write for write in writes if write.handles.get("fulfilled_by") == AMAZON]
            yield [WriteResult(write.key, Outcome.refused, detail=READ_ONLY) for write in amazons]
        yield from self._write([self._as.stock_change(write) for write in ours])

    def write_prices(self, writes: Sequence[PriceWrite]) -> Iterator[list[WriteResult]]:
        """An offer is replaced as a whole, so that the other parts of it (a sale price, its dates) are read and kept."""
        changes: list[Change] = []
        wanted = {write.key: write for write in writes}
        for group in _groups(list(wanted)):
            shown = {raw["sku"]: raw for raw in self._raw(group, "summaries,attributes")}
            for key in group:
                change = self._as.price_change(wanted[key], shown.get(key))
                if isinstance(change, WriteResult):
                    yield [change]
                else:
                    changes.append(change)
        yield from self._write(changes)

    def orders_since(self, since: datetime) -> Iterator[list[ChannelOrder]]:
        """The vendor states no order of its pages, so all are fetched before the first is given."""
        asked: dict[str, Any] = {
            "lastUpdatedAfter": since.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "marketplaceIds": self._marketplace,
            "includedData": self._of_an_order,
            "maxResultsPerPage": 100,
        }
        orders: list[ChannelOrder] = []
        while True:
            page = self._api.read("searchOrders", _ORDERS, params=asked)
            orders += [order_of(raw, self._options.get("currency")) for raw in page["orders"]]
            token = (page.get("pagination") or {}).get("nextToken")
            if not token:
                break
            asked["paginationToken"] = token
        orders.sort(key=lambda order: order.updated_at)
        for first in range(0, len(orders), 100):
            yield orders[first : first + 100]

    def read_orders(self, order_ids: Sequence[str]) -> list[ChannelOrder]:
        return [order for order_id in order_ids if (order := self._order(order_id)) is not None]

    def close(self) -> None:
        self._api.close()

    def _look(self, name: str, role: str, at: Callable[[], object]) -> Finding:
        remedy = f"Give the application the role {role} in Seller Central, then authorise it again."
        try:
            at()
        except CredentialsRefused as refused:
            return Finding(name, False, str(refused), remedy)
        except RequestRefused as refused:
            if name == "notifications" and refused.status == 404:
                return Finding(name, False, "nobody subscribed to ORDER_CHANGE", "Subscribe the queue to ORDER_CHANGE.")
            return Finding(name, False, str(refused), "Check url (the region), seller_id and marketplace_id.")
        except ChannelError as error:
            return Finding(name, False, str(error), "Check url and try again later.")
        return Finding(name, True, f"{name} can be read")

    def _a_listing(self) -> None:
        self._api.read(
            "searchListingsItems", self._listings, params={"marketplaceIds": self._marketplace, "pageSize": 1}
        )

    def _subscription(self) -> None:
        self._api.read("getSubscription", "/notifications/v1/subscriptions/ORDER_CHANGE")

    def _search(self, asked: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        """The pages of a search."""
        params = {"marketplaceIds": self._marketplace, "includedData": _INCLUDED, "pageSize": _PAGE}
        params |= {name: value for name, value in asked.items() if value is not None}
        while True:
            page = self._api.read("searchListingsItems", self._listings, params=params)
            yield page
            token = (page.get("pagination") or {}).get("nextToken")
            # Without the second test an empty page with a token would be asked for without end.
            if not token or not page["items"]:
                return
            params["pageToken"] = token

    def _last_created(self, items: Sequence[Mapping[str, Any]], before: str | None) -> str | None:
        last = before
        for raw in items:
            created = (self._as.here(raw.get("summaries")) or {}).get("createdDate")
            if created is None:
                continue
            if last is not None and datetime.fromisoformat(created) < datetime.fromisoformat(last):
                raise ChannelError(f"{self.name} gives its listings in no order: more than 1,000 cannot be told apart")
            last = created
        return last

    def _raw(self, keys: Sequence[str], included: str) -> list[Mapping[str, Any]]:
        """The listings with these SKUs, at most 20 and none with a comma unless it is alone. One that is gone is left out."""
        if len(keys) > 1 or keys[0] in _DOTS:
            asked = {"identifiers": ",".join(keys), "identifiersType": "SKU", "includedData": included}
            found = {raw["sku"]: raw for page in self._search(asked) for raw in page["items"]}
            return [found[key] for key in keys if key in found]
        params = {"marketplaceIds": self._marketplace, "includedData": included}
        try:
            return [self._api.read("getListingsItem", self._path(keys[0]), params=params)]
        except RequestRefused as refused:
            if refused.status == 404:
                return []
            raise

    def _path(self, sku: str) -> str:
        return f"{self._listings}/{quote(sku, safe='')}"

    def _items(self, raws: Sequence[Mapping[str, Any]]) -> list[ListedItem]:
        amazons = [raw["sku"] for raw in raws if is_fulfilled_by_amazon(raw)]
        stock = self._amazons_stock(amazons) if amazons else {}
        return [self._as.item(raw, stock) for raw in raws]

    def _amazons_stock(self, skus: Sequence[str]) -> dict[str, int]:
        """Units that Amazon can pick and ship now, by SKU."""
        found: dict[str, int] = {}
        for group in _groups(skus):
            params: dict[str, Any] = {
                "details": "true",
                "granularityType": "Marketplace",
                "granularityId": self._marketplace,
                "marketplaceIds": self._marketplace,
                "sellerSkus" if len(group) > 1 else "sellerSku": ",".join(group),
            }
            while True:
                told = self._api.read("getInventorySummaries", "/fba/inventory/v1/summaries", params=params)
                for one in (told.get("payload") or {}).get("inventorySummaries", ()):
                    found[one["sellerSku"]] = int((one.get("inventoryDetails") or {}).get("fulfillableQuantity", 0))
                token = (told.get("pagination") or {}).get("nextToken")
                if not token:
                    break
                params["nextToken"] = token
        return found

    def _write(self, changes: Sequence[Change]) -> Iterator[list[WriteResult]]:
        if len(changes) <= self._feed_above:
            yield from ([self._patched(change)] for change in changes)
            return
        for first in range(0, len(changes), MOST_MESSAGES):
            yield self._feeds.submit(changes[first : first + MOST_MESSAGES])

    def _patched(self, change: Change) -> WriteResult:
        if change.sku in _DOTS:
            return WriteResult(change.key, Outcome.refused, detail="a SKU of dots alone cannot be addressed")
        path = f"{self._path(change.sku)}?marketplaceIds={quote(self._marketplace, safe='')}"
        body = {"productType": change.product_type, "patches": [change.patch]}
        try:
            told = self._api.write("patchListingsItem", "PATCH", path, body)
        except OutcomeUnknown as lost:
            return WriteResult(change.key, Outcome.unknown, detail=str(lost))
        except RequestRefused as refused:
            return WriteResult(change.key, Outcome.refused, detail=str(refused))
        status = told.get("status") if isinstance(told, dict) else None
        if status == "ACCEPTED":
            return WriteResult(change.key, Outcome.accepted)
        if status == "INVALID":
            issues = (f"{issue['code']} {issue['message']}" for issue in told.get("issues") or ())
            return WriteResult(change.key, Outcome.refused, detail="; ".join(issues) or "invalid, no reason given")
        return WriteResult(change.key, Outcome.unknown, detail=f"the answer's status is {status!r}")

    @property
    def _of_an_order(self) -> str:
        wanted = "PROCEEDS,FULFILLMENT,CANCELLATION"
        return f"{wanted},RECIPIENT" if self._options.get("recipients") else wanted

    def _order(self, order_id: str) -> ChannelOrder | None:
        path = f"{_ORDERS}/{quote(order_id, safe='')}"
        try:
            told = self._api.read("getOrder", path, params={"includedData": self._of_an_order})
        except RequestRefused as refused:
            # An id that is not even of the vendor's form is answered with 400.
            if refused.status in (400, 404):
                return None
            raise
        return order_of(told["order"], self._options.get("currency"))


def _groups(skus: Sequence[str]) -> Iterator[list[str]]:
    """Up to 20 at once; a SKU with a comma cannot be in a list."""
    plain = [sku for sku in skus if "," not in sku]
    for first in range(0, len(plain), _PAGE):
        yield plain[first : first + _PAGE]
    yield from ([sku] for sku in skus if "," in sku)
