"""Shopify: the Admin GraphQL API, version 2026-10.

Belongs here: the connector. Does not belong here: the documents (`shopify_documents`), what an answer of status 200 really says
(`shopify_graph`), the meaning of an order (`shopify_orders`), the webhooks (`shopify_notifications`).

secrets: `access_token` of an existing custom app (`shpat_…`), or `client_id` and `client_secret` of an app of the Dev Dashboard
(a token is fetched and lasts 24 hours); `webhook_secret` where it is not the client secret.
options: `location`, the id of the location whose stock is kept (a gid or its number; without it the only active location that
fulfils online orders); `currency`, asked of the shop without it; `timeout_seconds`, `ca_file`, `insecure`.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice
from typing import Any, TypeVar
from uuid import UUID

from resources.channels import shopify_documents as documents
from resources.channels.protocol import (
    ChannelError,
    ChannelOrder,
    Connection,
    Connector,
    Finding,
    ListedItem,
    Outcome,
    OutcomeUnknown,
    PriceWrite,
    RequestRefused,
    StockWrite,
    WriteResult,
)
from resources.channels.shopify_graph import API_VERSION, Graph, code_of
from resources.channels.shopify_notifications import SENDER, webhook_secret
from resources.channels.shopify_orders import order_of
from resources.channels.transport import Tools

__all__ = ["API_VERSION", "SENDER", "Shopify", "connect", "webhook_secret"]

# Shopify takes no more than this in one list of an input.
_MOST_INPUTS = 250
_ITEMS_A_READ = 190
_ORDERS_A_READ = 25
_STALE = frozenset({"CHANGE_FROM_QUANTITY_STALE", "COMPARE_QUANTITY_STALE"})
_IN_PROGRESS = "IDEMPOTENCY_CONCURRENT_REQUEST"
_KEY_SPENT = frozenset({"IDEMPOTENCY_KEY_PARAMETER_MISMATCH", "IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED"})
# These blame the call, not an item: there is nothing to search for.
_OF_THE_CALL = _KEY_SPENT | {"INVALID_NAME", "INVALID_REASON", "INVALID_REFERENCE_DOCUMENT"}
_LONGEST_PATIENCE = 5
_T = TypeVar("_T")
_PERMISSIONS = {
    "read_products": "list what is on sale",
    "write_products": "write prices",
    "read_inventory": "read stock",
    "write_inventory": "write stock",
    "read_orders": "read orders",
    "read_locations": "find the location",
}


def connect(connection: Connection, tools: Tools) -> "Shopify":
    """Calls nothing yet. Raises CredentialsRefused where secrets are missing."""
    return Shopify(connection, tools)


class Shopify(Connector):
    """One shop, one location of it."""

    kind = "shopify"
    settle_seconds = 5.0

    def __init__(self, connection: Connection, tools: Tools) -> None:
        self._graph = Graph(connection, tools)
        self._tools = tools
        self._name = connection.name
        self._location = _location_gid(connection.options.get("location"))
        self._currency: str | None = connection.options.get("currency")

    def check(self) -> list[Finding]:
        """The token, the version that is served, each permission, the location."""
        try:
            told = self._graph.read(documents.SHOP)
        except ChannelError as error:
            return [Finding("access", False, str(error), "Check the shop's address and the app's secrets.")]
        shop = told["shop"]
        findings = [
            Finding("access", True, f"{shop['name']} answers; its currency is {shop['currencyCode']}"),
            self._version_finding(),
            *_permission_findings({scope["handle"] for scope in told["currentAppInstallation"]["accessScopes"]}),
        ]
        if self._currency not in (None, shop["currencyCode"]):
            message = f"the option says {self._currency}, the shop {shop['currencyCode']}"
            findings.append(Finding("currency", False, message, "Correct the connection's option `currency`."))
        return [*findings, self._location_finding()]

    def list_items(self) -> Iterator[list[ListedItem]]:
        currency, location = self._shop_currency(), self._written_location()
        for page in self._graph.pages(documents.LIST_ITEMS, "productVariants", location=location):
            yield [_listed(node, location, currency) for node in page]

    def read_items(self, items: Sequence[ListedItem]) -> list[ListedItem]:
        currency, location = self._shop_currency(), self._written_location()
        read = []
        for some in _chunks(items, _ITEMS_A_READ):
            ids = [item.handles["variant"] for item in some]
            nodes = self._graph.read(documents.READ_ITEMS, ids=ids, location=location)["nodes"]
            read += [_listed(node, location, currency) for node in nodes if node]
        return read

    def write_stock(self, writes: Sequence[StockWrite]) -> Iterator[list[WriteResult]]:
        """Up to 250 items a call, compare-and-set by `expected`; without an expectation nothing is compared."""
        for some in _chunks(writes, _MOST_INPUTS):
            yield from self._set_quantities(some)

    def write_prices(self, writes: Sequence[PriceWrite]) -> Iterator[list[WriteResult]]:
        """A call for each product: Shopify has none for variants of several products."""
        currency = self._shop_currency()
        foreign = [write for write in writes if write.currency != currency]
        if foreign:
            why = f"the shop's currency is {currency}"
            yield [WriteResult(write.key, Outcome.refused, detail=f"{why}, not {write.currency}") for write in foreign]
        by_product: dict[str, list[PriceWrite]] = defaultdict(list)
        for write in writes:
            if write.currency == currency:
                by_product[write.handles["product"]].append(write)
        for product, all_of_it in by_product.items():
            for some in _chunks(all_of_it, _MOST_INPUTS):
                yield self._set_prices(product, some)

    def orders_since(self, since: datetime) -> Iterator[list[ChannelOrder]]:
        """Without the permission `read_all_orders` Shopify shows those of the last 60 days only."""
        moment = f"{since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        for page in self._graph.pages(documents.ORDERS, "orders", query=f"updated_at:>='{moment}'"):
            yield [order_of(self._graph, node) for node in page]

    def read_orders(self, order_ids: Sequence[str]) -> list[ChannelOrder]:
        read = []
        for some in _chunks(order_ids, _ORDERS_A_READ):
            nodes = self._graph.read(documents.READ_ORDERS, ids=some)["nodes"]
            read += [order_of(self._graph, node) for node in nodes if node]
        return read

    def close(self) -> None:
        self._graph.close()

    def _set_quantities(self, writes: list[StockWrite]) -> Iterator[list[WriteResult]]:
        """One bad item fails its whole call: it is left out and the rest is sent again, under another key."""
        waiting = [writes]
        while waiting:
            batch = waiting.pop(0)
            try:
                payload = self._send_quantities(batch)
            except OutcomeUnknown as lost:
                yield [WriteResult(write.key, Outcome.unknown, detail=str(lost)) for write in batch]
                continue
            errors = payload["userErrors"]
            if not errors:
                yield self._written(batch, payload)
                continue
            bad = _blamed(errors, len(batch))
            if not bad and len(batch) > 1 and not _OF_THE_CALL & {error["code"] for error in errors}:
                half = len(batch) // 2
                waiting += [batch[:half], batch[half:]]
                continue
            first: Mapping[str, Any] = errors[0]
            blamed = bad or dict.fromkeys(range(len(batch)), first)
            yield [_refusal(batch[place].key, error) for place, error in blamed.items()]
            if rest := [write for place, write in enumerate(batch) if place not in blamed]:
                waiting.append(rest)

    def _send_quantities(self, batch: list[StockWrite]) -> Mapping[str, Any]:
        """What Shopify answered at last. Raises OutcomeUnknown where the same call has been in progress for too long."""
        waits = spent = 0
        quantities = [
            {
                "inventoryItemId": write.key,
                "locationId": self._location_of(write),
                "quantity": write.quantity,
                "changeFromQuantity": write.expected,
            }
            for write in batch
        ]
        while True:
            key = _call_key(batch, quantities, spent)
            document = f"gid://luxauto/Write/{key}"
            sent = {"name": "available", "reason": "correction", "referenceDocumentUri": document}
            payload = self._tell(documents.SET_QUANTITIES, input={**sent, "quantities": quantities}, key=key)
            codes = {error["code"] for error in payload["userErrors"]}
            if _IN_PROGRESS in codes:
                if waits == _LONGEST_PATIENCE:
                    raise OutcomeUnknown(f"{self._name}: the same write, sent before, is still in progress")
                self._tools.clock.sleep(2.0**waits)
                waits += 1
            elif codes & _KEY_SPENT and spent < _LONGEST_PATIENCE:
                spent += 1
            else:
                return payload

    def _tell(self, document: str, **variables: Any) -> Mapping[str, Any]:
        """The payload. An item that Shopify cannot even parse is told like any other bad one, instead of the whole call."""
        try:
            (payload,) = self._graph.write(document, **variables).values()
        except RequestRefused as error:
            problems = _unparsed(error)
            if not problems:
                raise
            return {"userErrors": problems}
        return payload

    def _written(self, batch: list[StockWrite], payload: Mapping[str, Any]) -> list[WriteResult]:
        group = payload["inventoryAdjustmentGroup"] or {"changes": []}
        changes = {
            (one["item"]["id"], one["location"]["id"]): one
            for one in group["changes"]
            if one["item"] and one["location"]
        }
        shown = {}
        for write in batch:
            change = changes.get((write.key, self._location_of(write)))
            if change and change["quantityAfterChange"] is not None:
                shown[write.key] = change["quantityAfterChange"]
            elif change and write.expected is not None:
                shown[write.key] = write.expected + change["delta"]
        silent = [write for write in batch if write.key not in shown]
        told = [_compared(write, shown[write.key]) for write in batch if write.key in shown]
        try:
            read = self._read_quantities(silent)
        except ChannelError as error:
            lost = f"agreed to by Shopify, and not read back: {error}"
            return told + [WriteResult(write.key, Outcome.unknown, detail=lost) for write in silent]
        return told + [_compared(write, read.get(write.key)) for write in silent]

    def _read_quantities(self, writes: list[StockWrite]) -> dict[str, int | None]:
        """What is on sale now of items that the answer to a write did not tell: it names changes only."""
        by_location: dict[str, list[str]] = defaultdict(list)
        for write in writes:
            by_location[self._location_of(write)].append(write.key)
        shown = {}
        for location, ids in by_location.items():
            nodes = self._graph.read(documents.READ_QUANTITIES, ids=ids, location=location)["nodes"]
            shown |= {node["id"]: _available(node["inventoryLevel"]) for node in nodes if node}
        return shown

    def _set_prices(self, product: str, writes: list[PriceWrite]) -> list[WriteResult]:
        variants = [{"id": write.handles["variant"], "price": f"{write.price:f}"} for write in writes]
        try:
            payload = self._tell(documents.SET_PRICES, product=product, variants=variants)
        except OutcomeUnknown as lost:
            return [WriteResult(write.key, Outcome.unknown, detail=str(lost)) for write in writes]
        errors = payload["userErrors"]
        bad = _blamed(errors, len(writes))
        shown = {node["id"]: Decimal(node["price"]) for node in payload.get("productVariants") or []}
        results = []
        for place, write in enumerate(writes):
            price = shown.get(write.handles["variant"])
            if place in bad:
                results.append(_refusal(write.key, bad[place]))
            elif price is None and errors:
                results.append(_refusal(write.key, errors[0]))
            else:
                results.append(_compared(write, price))
        return results

    def _location_of(self, write: StockWrite) -> str:
        return write.handles.get("location") or self._written_location()

    def _shop_currency(self) -> str:
        if self._currency is None:
            self._currency = str(self._graph.read(documents.SHOP)["shop"]["currencyCode"])
        return self._currency

    def _written_location(self) -> str:
        if self._location is None:
            possible = [one for one in self._locations() if one["fulfillsOnlineOrders"]]
            if len(possible) != 1:
                raise ChannelError(
                    f"{self._name}: which location's stock is kept? Those that fulfil online orders: {_named(possible)}. "
                    "Set the connection's option `location` to one of them."
                )
            self._location = possible[0]["id"]
        return self._location

    def _locations(self) -> list[Mapping[str, Any]]:
        """The active ones."""
        pages = self._graph.pages(documents.LOCATIONS, "locations")
        return [one for page in pages for one in page if one["isActive"]]

    def _location_finding(self) -> Finding:
        try:
            wanted, found = self._written_location(), self._locations()
        except ChannelError as error:
            return Finding("location", False, str(error), "Set the option `location`, or grant `read_locations`.")
        named = next((one["name"] for one in found if one["id"] == wanted), None)
        if named is None:
            message = f"the shop has no active location {wanted}"
            return Finding("location", False, message, f"Set the option `location` to one of: {_named(found)}.")
        return Finding("location", True, f"the stock of {named} is kept")

    def _version_finding(self) -> Finding:
        served = self._graph.served_version
        if served in (None, API_VERSION):
            return Finding("version", True, f"the API is served as {API_VERSION}")
        message = f"version {API_VERSION} was asked for and {served} is served"
        return Finding("version", False, message, f"{API_VERSION} has fallen off support: upgrade luxauto.")


def _listed(node: Mapping[str, Any], location: str, currency: str) -> ListedItem:
    item, level = node["inventoryItem"], node["inventoryItem"]["inventoryLevel"]
    handles = {"variant": node["id"], "product": node["product"]["id"], "location": location}
    if item["duplicateSkuCount"]:
        handles["same_sku"] = str(item["duplicateSkuCount"])
    if not item["tracked"]:
        unwritable = "its stock is not tracked"
    elif node["requiresComponents"]:
        unwritable = "a bundle: its stock follows from its components"
    else:
        unwritable = None if level else "not stocked at the location"
    return ListedItem(
        key=item["id"],
        sku=item["sku"] or None,
        quantity=_available(level) if item["tracked"] else None,
        price=Decimal(node["price"]),
        currency=currency,
        title=node["displayName"],
        unwritable=unwritable,
        handles=handles,
        updated_at=datetime.fromisoformat(level["updatedAt"]) if level else None,
    )


def _available(level: Mapping[str, Any] | None) -> int | None:
    quantities = level["quantities"] if level else []
    return next((one["quantity"] for one in quantities if one["name"] == "available"), None)


def _compared(write: StockWrite | PriceWrite, shown: int | Decimal | None) -> WriteResult:
    wanted = write.quantity if isinstance(write, StockWrite) else write.price
    if shown == wanted:
        return WriteResult(write.key, Outcome.confirmed, shown)
    return WriteResult(write.key, Outcome.ignored, shown, f"Shopify agreed to {wanted} and shows {shown}")


def _refusal(key: str, error: Mapping[str, Any]) -> WriteResult:
    outcome = Outcome.stale if error["code"] in _STALE else Outcome.refused
    return WriteResult(key, outcome, detail=f"{error['code']}: {error['message']}")


def _blamed(errors: Iterable[Mapping[str, Any]], count: int) -> dict[int, Mapping[str, Any]]:
    """The first error of each item, by its place in the call; errors that name no item are left out."""
    found: dict[int, Mapping[str, Any]] = {}
    for error in errors:
        place = next((int(part) for part in error["field"] or [] if str(part).isdigit()), None)
        if place is not None and place < count:
            found.setdefault(place, error)
    return found


def _unparsed(error: RequestRefused) -> list[Mapping[str, Any]]:
    """Items of a variable that are not of its type, in the form of user errors."""
    errors = error.body if isinstance(error.body, list) else []
    return [
        {"code": "INVALID_VARIABLE", "field": problem.get("path"), "message": str(problem.get("explanation"))}
        for one in errors
        if code_of(one) == "INVALID_VARIABLE"
        for problem in one["extensions"].get("problems") or []
        if any(str(part).isdigit() for part in problem.get("path") or [])
    ]


def _call_key(batch: Sequence[StockWrite], quantities: list[dict[str, Any]], spent: int) -> str:
    """The same for the same call sent again, another for any other call."""
    text = json.dumps([[write.idempotency_key for write in batch], quantities, spent], sort_keys=True)
    return str(UUID(bytes=hashlib.sha256(text.encode()).digest()[:16]))


def _permission_findings(granted: set[str]) -> list[Finding]:
    granted |= {handle.replace("write_", "read_") for handle in granted}
    findings = []
    for scope, purpose in _PERMISSIONS.items():
        remedy = f"Add `{scope}` to the app's access scopes and install it again."
        has = scope in granted
        findings.append(Finding(scope, has, f"may {'' if has else 'not '}{purpose}", None if has else remedy))
    seen = "all orders are seen" if "read_all_orders" in granted else "orders older than 60 days are not seen"
    return [*findings, Finding("read_all_orders", True, seen)]


def _named(locations: Iterable[Mapping[str, Any]]) -> str:
    return ", ".join(f"{one['name']} ({one['id']})" for one in locations) or "none"


def _location_gid(option: Any) -> str | None:
    text = str(option or "").strip()
    return f"gid://shopify/Location/{text}" if text.isdigit() else text or None


def _chunks(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    left = iter(items)
    while some := list(islice(left, size)):
        yield some
