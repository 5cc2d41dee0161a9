"""A Shopify shop on loopback: Admin GraphQL 2026-10 over stock, prices and orders, with its traps.

With the vendor's introspections each document and variable is validated and executed by graphql-core against the real schema;
without them a small executor gives what was selected. Where the notes have a recorded answer, it is given word for word; what
is not known of Shopify (marked "assumed") is modelled on the schema's own texts.
"""

import base64
import functools
import gzip
import hashlib
import hmac
import json
import re
import ssl
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    build_client_schema,
    execute,
    parse,
    type_from_ast,
    validate,
    value_from_ast_untyped,
)
from graphql.utilities import coerce_input_value

from resources.channels.protocol import Connection
from resources.channels.transport import Clock
from tests.peers.vendor import Asked, Reply, VendorPeer

VERSION = "2026-10"
NO_IDEMPOTENT = "The @idempotent directive is required for this mutation but was not provided."
NO_CHANGE_FROM = "InventoryQuantityInput must include the following argument: changeFromQuantity."
SCOPES = ("read_products", "write_products", "read_inventory", "write_inventory", "read_orders", "read_locations")
_NEEDED = {
    "productVariants": "read_products",
    "locations": "read_locations",
    "orders": "read_orders",
    "order": "read_orders",
    "inventorySetQuantities": "write_inventory",
    "productVariantsBulkUpdate": "write_products",
}
_REASONS = {
    "correction",
    "cycle_count_available",
    "damaged",
    "received",
    "restock",
    "other",
    "shrinkage",
    "movement_updated",
}
_CLIENT_ID, _CLIENT_SECRET = "client-of-a-test", "shpss_of_a_test"
_STATIC_TOKEN = "shpat_static"
_MOST_INPUTS, _MOST_COST = 250, 1000
_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass
class Level:
    """Stock at one location. An inactive one counts, and is not shown to who does not ask for it."""

    available: int
    committed: int = 0
    is_active: bool = True
    updated: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass
class Goods:
    """A variant and its inventory item (they share their number here)."""

    number: int
    sku: str
    product: int
    price: str
    tracked: bool
    bundle: bool
    levels: dict[str, Level]

    @property
    def item(self) -> str:
        return _gid("InventoryItem", self.number)

    @property
    def variant(self) -> str:
        return _gid("ProductVariant", self.number)


@dataclass
class Line:
    number: int
    goods: Goods
    quantity: int
    current: int
    price: Decimal


class RefundedLine(NamedTuple):
    line: Line
    units: int
    kind: str
    subtotal: Decimal


@dataclass
class Refund:
    number: int
    lines: list[RefundedLine]
    money: Decimal


@dataclass
class Order:
    number: int
    lines: list[Line]
    created: datetime
    updated: datetime
    status: str
    refunds: list[Refund] = field(default_factory=list)
    cancelled: datetime | None = None
    is_test: bool = False
    shipping: Decimal = Decimal("15.00")
    tax: Decimal = Decimal("20.00")
    discount: Decimal = Decimal(0)

    @property
    def gid(self) -> str:
        return _gid("Order", self.number)


class ShopifyPeer(VendorPeer):
    """The shop. `specs`: the folder of the vendors' schemas; without it only this class's own checks are made."""

    def __init__(
        self,
        specs: Path | None = None,
        *,
        clock: Clock | None = None,
        tls: ssl.SSLContext | None = None,
        locations: Iterable[str] = ("Milano",),
        metered: bool = False,
    ) -> None:
        """`metered`: points are taken and restored by `clock` (give the connector the same one)."""
        self.clock = clock or Clock()
        self.violations: list[str] = []
        self.accepted: dict[str, dict[str, int]] = {}
        self.webhooks: list[tuple[dict[str, str], bytes]] = []
        self.goods: dict[str, Goods] = {}
        self.orders: dict[str, Order] = {}
        self.costs: list[int] = []
        self.applied: Counter[str] = Counter()
        """How often an item's quantity was really set."""
        self.locations = {
            _gid("Location", 100 + place): {"name": name, "isActive": True, "fulfillsOnlineOrders": True}
            for place, name in enumerate(locations)
        }
        self.home = next(iter(self.locations))
        self.currency = "EUR"
        self.scopes = set(SCOPES)
        self.served_version: str | None = None
        self.token_lifetime = timedelta(hours=24)
        self.metered, self.maximum, self.restore_rate = metered, 2000.0, 100.0
        self.points = self.maximum
        self.names_fields = True
        """Whether user errors say which item they are about."""
        self.hides_after = False
        """Whether `quantityAfterChange` is null, as the schema allows."""
        self.hides_addresses = False
        self.swallows: set[str] = set()
        """SKUs whose writes are agreed to and not done."""
        self._schema = _schema(specs / "shopify" / f"admin_{VERSION}.json.gz") if specs else None
        self._tokens: dict[str, datetime] = {}
        self._keys: dict[str, tuple[str, dict[str, Any] | None]] = {}
        self._numbers = 1000
        self._last = _NEVER
        self._restored = self.clock.now()
        super().__init__(tls)

    # What a test does to the shop.

    def connection(self, name: str = "shopify", **options: Any) -> Connection:
        """With an app of the Dev Dashboard, whose tokens last 24 hours."""
        return Connection(
            name, "shopify", self.url, options, {"client_id": _CLIENT_ID, "client_secret": _CLIENT_SECRET}
        )

    def old_connection(self, name: str = "shopify", **options: Any) -> Connection:
        """With the lasting token of an old custom app."""
        return Connection(
            name, "shopify", self.url, options, {"access_token": _STATIC_TOKEN, "webhook_secret": _CLIENT_SECRET}
        )

    @property
    def webhook_secret(self) -> bytes:
        return _CLIENT_SECRET.encode()

    def add(
        self,
        sku: str,
        quantity: int,
        price: str = "100.00",
        *,
        product: int | None = None,
        tracked: bool = True,
        bundle: bool = False,
        stocked: bool = True,
    ) -> str:
        """A variant; `product` is its parent's number (one of its own by default). Gives the inventory item's gid."""
        with self._lock:
            number = self._number()
            levels = {self.home: Level(quantity, updated=self._tick())} if stocked else {}
            self.goods[sku] = Goods(number, sku, product or number, price, tracked, bundle, levels)
            return self.goods[sku].item

    def stock(self, sku: str) -> int | None:
        """Available at the first location; None where it is not tracked or not stocked there."""
        with self._lock:
            goods = self.goods[sku]
            level = goods.levels.get(self.home)
            return level.available if level and level.is_active and goods.tracked else None

    def edit(self, sku: str, quantity: int) -> None:
        """Somebody types another number in the admin."""
        with self._lock:
            self._put(self.goods[sku], self.home, quantity)

    def buy(self, wanted: Mapping[str, int], *, status: str = "PAID") -> str | None:
        """Units leave `available` and are `committed` as soon as the order is made, paid or not."""
        with self._lock:
            if any((self.stock(sku) or 0) < units for sku, units in wanted.items()):
                return None
            now = self._tick()
            lines = []
            for sku, units in wanted.items():
                goods = self.goods[sku]
                goods.levels[self.home].committed += units
                self._put(goods, self.home, goods.levels[self.home].available - units)
                lines.append(Line(self._number(), goods, units, units, Decimal(goods.price)))
            order = Order(self._number(), lines, now, now, status)
            self.orders[order.gid] = order
            self.accepted[order.gid] = dict(wanted)
            self._tell_order("orders/create", order)
            return order.gid

    def cancel(self, order_id: str, *, restock: bool = True) -> None:
        """`orderCancel`: everything is refunded; with `restock` (as the admin proposes) stock goes back as CANCEL."""
        with self._lock:
            order = self.orders[order_id]
            kind = "CANCEL" if restock else "NO_RESTOCK"
            was_paid = order.status not in ("PENDING", "VOIDED", "EXPIRED")
            taken_back = [(line, line.current) for line in order.lines if line.current]
            self._refund(order, taken_back, kind, order.shipping + order.tax, was_paid)
            order.cancelled = self._tick()
            order.status = "REFUNDED" if was_paid else "VOIDED"
            self._tell_order("orders/cancelled", order)

    def refund(self, order_id: str, sku: str, units: int, restock: bool) -> None:
        """`refundCreate` of units: RETURN puts them back, NO_RESTOCK does not. currentQuantity falls either way."""
        with self._lock:
            order = self.orders[order_id]
            line = next(line for line in order.lines if line.goods.sku == sku)
            self._refund(order, [(line, units)], "RETURN" if restock else "NO_RESTOCK", Decimal(0), True)
            order.status = "PARTIALLY_REFUNDED" if any(line.current for line in order.lines) else "REFUNDED"
            self._tell_order("refunds/create", order)

    def goodwill(self, order_id: str, amount: str) -> None:
        """Money back for no unit."""
        with self._lock:
            order = self.orders[order_id]
            self._refund(order, [], "NO_RESTOCK", Decimal(amount), True)
            order.status = "PARTIALLY_REFUNDED"
            self._tell_order("refunds/create", order)

    def remove(self, order_id: str, sku: str, units: int, *, restock: bool = True, recorded: bool = True) -> None:
        """An order edit takes units out. `recorded` (assumed): told as a refund of no money."""
        with self._lock:
            order = self.orders[order_id]
            line = next(line for line in order.lines if line.goods.sku == sku)
            kind = "CANCEL" if restock else "NO_RESTOCK"
            self._refund(order, [(line, units)], kind, Decimal(0), False)
            if not recorded:
                order.refunds.pop()
            self._tell_order("orders/edited", order)

    def expire_tokens(self) -> None:
        with self._lock:
            self._tokens.clear()

    def deactivate(self, sku: str) -> None:
        """The item is no longer stocked at the first location."""
        with self._lock:
            self.goods[sku].levels[self.home].is_active = False

    # What the shop answers.

    def answer(self, asked: Asked) -> Reply:
        if asked.path == "/admin/oauth/access_token":
            return self._grant(asked)
        version = re.fullmatch(r"/admin/api/(\d{4}-\d{2})/graphql\.json", asked.path)
        if version is None or asked.method != "POST":
            return self._violates(f"{asked}", Reply(404, {"errors": "Not Found"}))
        token = asked.headers.get("x-shopify-access-token", "")
        if token != _STATIC_TOKEN and self._tokens.get(token, _NEVER) <= self.clock.now():
            text = "[API] Invalid API key or access token (unrecognized login or wrong password)"
            return Reply(401, {"errors": text})
        headers = {"X-Shopify-API-Version": self.served_version or version[1], "X-Request-Id": str(uuid.uuid4())}
        return Reply(200, self._graphql(asked.json()), headers)

    def _grant(self, asked: Asked) -> Reply:
        form = dict(parse_qsl(asked.body.decode()))
        if form != {"grant_type": "client_credentials", "client_id": _CLIENT_ID, "client_secret": _CLIENT_SECRET}:
            return Reply(400, {"error": "invalid_client", "error_description": "Client authentication failed"})
        token = f"shpat_{self._number()}"
        self._tokens[token] = self.clock.now() + self.token_lifetime
        seconds = int(self.token_lifetime.total_seconds()) - 1
        return Reply(200, {"access_token": token, "scope": ",".join(sorted(self.scopes)), "expires_in": seconds})

    def _graphql(self, sent: Mapping[str, Any]) -> dict[str, Any]:
        variables = sent.get("variables") or {}
        try:
            document = parse(sent["query"])
        except GraphQLError as error:
            return self._refused(error.message, "PARSE_ERROR")
        operation = next(one for one in document.definitions if isinstance(one, OperationDefinitionNode))
        roots = [one for one in operation.selection_set.selections if isinstance(one, FieldNode)]
        cost = _cost_of(document, operation, variables)
        refusal = self._invalid(document, operation, variables, roots, cost)
        if refusal is None and not self._pay(cost):
            refusal = _error("Throttled", "THROTTLED")
        answer = refusal or self._execute(document, operation, roots, variables)
        status = {"maximumAvailable": self.maximum, "currentlyAvailable": self.points, "restoreRate": self.restore_rate}
        actual = None if refusal else cost
        told = {"requestedQueryCost": cost, "actualQueryCost": actual, "throttleStatus": status}
        return {**answer, "extensions": {"cost": told}}

    def _invalid(
        self,
        document: DocumentNode,
        operation: OperationDefinitionNode,
        variables: Mapping[str, Any],
        roots: list[FieldNode],
        cost: int,
    ) -> dict[str, Any] | None:
        """The answer to a request that Shopify does not carry out, None for one that it does."""
        name = roots[0].name.value
        if self._schema is not None and (errors := validate(self._schema, document)):
            return self._refused(errors[0].message, "undefinedField")
        if problems := self._problems(operation, variables):
            said = "; ".join(f"{'.'.join(map(str, one['path']))} ({one['explanation']})" for one in problems)
            return self._refused(
                f"Variable was provided invalid value for {said}", "INVALID_VARIABLE", problems=problems
            )
        if (needed := _NEEDED.get(name)) and needed not in self.scopes:
            text = f"Access denied for {name} field. Required access: `{needed}` access scope."
            return _error(text, "ACCESS_DENIED")
        if (longest := _longest(variables)) > _MOST_INPUTS:
            text = f"The input array size of {longest} is greater than the maximum allowed of {_MOST_INPUTS}."
            return self._refused(text, "MAX_INPUT_SIZE_EXCEEDED")
        if cost > _MOST_COST:
            text = f"Query cost is {cost}, which exceeds the single query max cost limit ({_MOST_COST})."
            return self._refused(text, "MAX_COST_EXCEEDED")
        if name == "inventorySetQuantities":
            if _idempotency_key(roots[0], variables) is None:
                return self._refused(NO_IDEMPOTENT, "BAD_REQUEST")
            if any("changeFromQuantity" not in one for one in variables["input"]["quantities"]):
                return self._refused(NO_CHANGE_FROM, "INVALID_FIELD_ARGUMENTS")
        return None

    def _problems(self, operation: OperationDefinitionNode, variables: Mapping[str, Any]) -> list[dict[str, Any]]:
        """What in the variables is not of its type."""
        found: list[dict[str, Any]] = []

        def note(path: list[str | int], value: object, error: GraphQLError) -> None:
            found.append({"path": list(path), "explanation": error.message})

        if self._schema is None:
            known = {"inventoryItemId", "locationId", "quantity", "changeFromQuantity"}
            for place, one in enumerate((variables.get("input") or {}).get("quantities", [])):
                for name in one.keys() - known:
                    note(
                        ["quantities", place, name], one, GraphQLError("Field is not defined on InventoryQuantityInput")
                    )
            return found
        for definition in operation.variable_definitions:
            wanted: Any = type_from_ast(self._schema, definition.type)
            coerce_input_value(variables.get(definition.variable.name.value), wanted, note)
        return found

    def _execute(
        self,
        document: DocumentNode,
        operation: OperationDefinitionNode,
        roots: list[FieldNode],
        variables: dict[str, Any],
    ) -> dict[str, Any]:
        key = _idempotency_key(roots[0], variables)
        root = {**self._queries(), **self._mutations(key)}
        if self._schema is None:
            data = _select(operation.selection_set, root, _fragments(document), variables)
            return self._without_addresses({"data": data})
        result: Any = execute(self._schema, document, root, variable_values=variables)
        if result.errors:
            # The peer's own fault: a field that was asked for and that it does not have.
            self.violations += [f"the peer cannot answer: {error}" for error in result.errors]
            return {"data": None, "errors": [{"message": str(error)} for error in result.errors]}
        return self._without_addresses({"data": result.data})

    def _without_addresses(self, answer: dict[str, Any]) -> dict[str, Any]:
        orders = (answer["data"].get("orders") or {}).get("nodes") or answer["data"].get("nodes") or []
        errors = []
        for place, node in enumerate(orders if self.hides_addresses else []):
            if node and node.get("shippingAddress"):
                node["shippingAddress"] = None
                path = ["orders", "nodes", place, "shippingAddress"]
                text = "This app is not approved to access the shippingAddress field."
                errors += [{**one, "path": path} for one in _error(text, "ACCESS_DENIED")["errors"]]
        return {**answer, "errors": errors} if errors else answer

    # Queries.

    def _queries(self) -> dict[str, Any]:
        return {
            "shop": {"name": "Maison Test", "currencyCode": self.currency},
            "currentAppInstallation": {"accessScopes": [{"handle": scope} for scope in sorted(self.scopes)]},
            "locations": lambda info, **args: _connection(
                [(gid, {"id": gid, **told}) for gid, told in sorted(self.locations.items())], **args
            ),
            "productVariants": lambda info, **args: _connection(
                [(f"{one.number:012d}", self._variant(one)) for one in self._all_goods()], **args
            ),
            "orders": lambda info, query, **args: _connection(self._orders_since(query), **args),
            "order": lambda info, id: self._order(self.orders[id]) if id in self.orders else None,
            "node": lambda info, id: self._node(id),
            "nodes": lambda info, ids: [self._node(one) for one in ids],
        }

    def _all_goods(self) -> list[Goods]:
        return sorted(self.goods.values(), key=lambda goods: goods.number)

    def _node(self, gid: str) -> dict[str, Any] | None:
        if gid in self.orders:
            return self._order(self.orders[gid])
        for goods in self.goods.values():
            if gid == goods.variant:
                return self._variant(goods)
            if gid == goods.item:
                return self._item(goods)
        refunds = (refund for order in self.orders.values() for refund in order.refunds)
        return next((self._refund_node(one) for one in refunds if _gid("Refund", one.number) == gid), None)

    def _variant(self, goods: Goods) -> dict[str, Any]:
        return {
            "__typename": "ProductVariant",
            "id": goods.variant,
            "displayName": f"Product {goods.product} - {goods.sku}",
            "price": goods.price,
            "requiresComponents": goods.bundle,
            "product": {"id": _gid("Product", goods.product)},
            "inventoryItem": self._item(goods),
        }

    def _item(self, goods: Goods) -> dict[str, Any]:
        def level(info: Any, locationId: str, includeInactive: bool = False) -> dict[str, Any] | None:  # noqa: N803
            found = goods.levels.get(locationId)
            if found is None or not (found.is_active or includeInactive):
                return None
            amounts = {"available": found.available, "committed": found.committed}
            amounts["on_hand"] = found.available + found.committed
            return {
                "updatedAt": _text(found.updated),
                "quantities": lambda info, names: [{"name": name, "quantity": amounts[name]} for name in names],
            }

        same = sum(other.sku == goods.sku for other in self.goods.values()) - 1
        told = {"__typename": "InventoryItem", "id": goods.item, "sku": goods.sku, "tracked": goods.tracked}
        return {**told, "duplicateSkuCount": same, "inventoryLevel": level}

    def _orders_since(self, query: str) -> list[tuple[str, dict[str, Any]]]:
        found = re.fullmatch(r"updated_at:>='(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)'", query)
        if found is None:
            self.violations.append(f"a query that this peer does not know: {query}")
        since = datetime.fromisoformat(found[1]) if found else _NEVER
        changed = [order for order in self.orders.values() if order.updated.replace(microsecond=0) >= since]
        changed.sort(key=lambda order: (order.updated, order.number))
        return [(f"{order.updated.isoformat()} {order.number:012d}", self._order(order)) for order in changed]

    def _order(self, order: Order) -> dict[str, Any]:
        refunded = sum((refund.money for refund in order.refunds), Decimal(0))
        return {
            "__typename": "Order",
            "id": order.gid,
            "name": f"#{order.number}",
            "test": order.is_test,
            "createdAt": _text(order.created),
            "updatedAt": _text(order.updated),
            "cancelledAt": _text(order.cancelled) if order.cancelled else None,
            "displayFinancialStatus": order.status,
            "currencyCode": self.currency,
            "totalShippingPriceSet": self._bag(order.shipping),
            "totalTaxSet": self._bag(order.tax),
            "currentTotalDiscountsSet": self._bag(order.discount),
            "totalRefundedSet": self._bag(refunded),
            "shippingAddress": {"countryCodeV2": "IT"},
            "lineItems": lambda info, **args: _connection(
                [(f"{place:06d}", self._line(line)) for place, line in enumerate(order.lines)], **args
            ),
            "refunds": lambda info, first=None: [self._refund_node(one) for one in order.refunds[:first]],
        }

    def _line(self, line: Line) -> dict[str, Any]:
        return {
            "id": _gid("LineItem", line.number),
            "sku": line.goods.sku,
            "name": f"Product {line.goods.product}",
            "quantity": line.quantity,
            "currentQuantity": line.current,
            "originalUnitPriceSet": self._bag(line.price),
            "variant": self._variant(line.goods) if line.goods.sku in self.goods else None,
        }

    def _refund_node(self, refund: Refund) -> dict[str, Any]:
        def line(one: RefundedLine) -> dict[str, Any]:
            told = {"quantity": one.units, "restockType": one.kind, "subtotalSet": self._bag(one.subtotal)}
            return {**told, "lineItem": self._line(one.line)}

        return {
            "__typename": "Refund",
            "id": _gid("Refund", refund.number),
            "totalRefundedSet": self._bag(refund.money),
            "refundLineItems": lambda info, **args: _connection(
                [(f"{place:06d}", line(one)) for place, one in enumerate(refund.lines)], **args
            ),
        }

    def _bag(self, amount: Decimal) -> dict[str, Any]:
        return {"shopMoney": {"amount": f"{amount:.2f}", "currencyCode": self.currency}}

    # Mutations.

    def _mutations(self, key: str | None) -> dict[str, Callable[..., dict[str, Any]]]:
        return {
            "inventorySetQuantities": lambda info, input: self._set_once(input, key or ""),
            "productVariantsBulkUpdate": lambda info, **args: self._set_prices(**args),
        }

    def _set_once(self, wanted: Mapping[str, Any], key: str) -> dict[str, Any]:
        """The same key again gives the first answer; a failed one is spent."""
        if any(key.encode() in late.body for late in self._late):
            return _failed("IDEMPOTENCY_CONCURRENT_REQUEST", "This request is currently in progress, please try again.")
        parameters = json.dumps(wanted, sort_keys=True)
        known, payload = self._keys.get(key, (parameters, None))
        if known != parameters:
            text = "The same idempotency key cannot be used with different operation parameters."
            return _failed("IDEMPOTENCY_KEY_PARAMETER_MISMATCH", text)
        if payload is not None:
            return payload
        if key in self._keys:
            text = "A previous request with this idempotency key failed. Retry with a new idempotency key."
            return _failed("IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED", text)
        payload = self._set_quantities(wanted)
        self._keys[key] = (parameters, None if payload["userErrors"] else payload)
        return payload

    def _set_quantities(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        errors = self._quantity_errors(wanted)
        if errors:
            return {"inventoryAdjustmentGroup": None, "userErrors": errors}
        by_item = {goods.item: goods for goods in self.goods.values()}
        changes = []
        for one in wanted["quantities"]:
            goods, location = by_item[one["inventoryItemId"]], one["locationId"]
            before = goods.levels[location].available if location in goods.levels else 0
            if goods.sku in self.swallows or before == one["quantity"]:
                continue
            self._put(goods, location, one["quantity"])
            self.applied[goods.sku] += 1
            for name in ("available", "on_hand"):
                after = None if self.hides_after or name == "on_hand" else one["quantity"]
                told = {"name": name, "delta": one["quantity"] - before, "quantityAfterChange": after}
                changes.append({**told, "item": self._item(goods), "location": {"id": location}})

        def told_changes(info: Any, quantityNames: list[str] | None = None) -> list[dict[str, Any]]:  # noqa: N803
            return [one for one in changes if quantityNames is None or one["name"] in quantityNames]

        return {"inventoryAdjustmentGroup": {"changes": told_changes} if changes else None, "userErrors": []}

    def _quantity_errors(self, wanted: Mapping[str, Any]) -> list[dict[str, Any]]:
        if wanted["name"] not in ("available", "on_hand"):
            return _failed("INVALID_NAME", "The quantity name must be either 'available' or 'on_hand'.")["userErrors"]
        if wanted["reason"] not in _REASONS:
            return _failed("INVALID_REASON", "The specified reason is invalid.")["userErrors"]
        if not re.fullmatch(r"gid://[\w-]+/\w+/.+", wanted.get("referenceDocumentUri") or "gid://a/b/c"):
            return _failed("INVALID_REFERENCE_DOCUMENT", "The specified reference document is invalid.")["userErrors"]
        by_item = {goods.item: goods for goods in self.goods.values()}
        seen: set[tuple[str, str]] = set()
        errors = []
        for place, one in enumerate(wanted["quantities"]):
            pair = (one["inventoryItemId"], one["locationId"])
            found = self._quantity_error(by_item.get(pair[0]), one, pair in seen)
            seen.add(pair)
            if found:
                name, code, text = found
                where = ["input", "quantities", str(place), name] if self.names_fields else None
                errors.append({"code": code, "field": where, "message": text})
        return errors

    def _quantity_error(self, goods: Goods | None, one: Mapping[str, Any], again: bool) -> tuple[str, str, str] | None:
        if goods is None:
            text = "The specified inventory item could not be found."
            return "inventoryItemId", "INVALID_INVENTORY_ITEM", text
        if one["locationId"] not in self.locations:
            return "locationId", "INVALID_LOCATION", "The specified location could not be found."
        if again:
            text = "The combination of inventoryItemId and locationId must be unique."
            return "inventoryItemId", "NO_DUPLICATE_INVENTORY_ITEM_ID_GROUP_ID_PAIR", text
        if goods.bundle:
            text = "The specified inventory item is not allowed to be adjusted via API."
            return "inventoryItemId", "NON_MUTABLE_INVENTORY_ITEM", text
        if one["quantity"] < 0:
            return "quantity", "INVALID_QUANTITY_NEGATIVE", "The quantity can't be negative."
        if one["quantity"] > 1_000_000_000:
            text = "The total quantity can't be higher than 1,000,000,000."
            return "quantity", "INVALID_QUANTITY_TOO_HIGH", text
        level = goods.levels.get(one["locationId"])
        if one["changeFromQuantity"] not in (None, level.available if level else 0):
            text = "The changeFromQuantity value does not match persisted value."
            return "changeFromQuantity", "CHANGE_FROM_QUANTITY_STALE", text
        return None

    def _set_prices(
        self,
        productId: str,  # noqa: N803
        variants: list[dict[str, Any]],
        allowPartialUpdates: bool = False,  # noqa: N803
    ) -> dict[str, Any]:
        of_it = {goods.variant: goods for goods in self.goods.values() if _gid("Product", goods.product) == productId}
        if not of_it:
            error = {"code": "PRODUCT_DOES_NOT_EXIST", "field": ["productId"], "message": "Product does not exist"}
            return {"productVariants": None, "userErrors": [error]}
        errors, good = [], []
        for place, one in enumerate(variants):
            where = ["variants", str(place)]
            if one["id"] not in of_it:
                text = "Product variant does not exist"
                errors.append({"code": "PRODUCT_VARIANT_DOES_NOT_EXIST", "field": [*where, "id"], "message": text})
            elif Decimal(one["price"]) < 0:
                text = "Price must be greater than or equal to 0"
                errors.append({"code": "GREATER_THAN_OR_EQUAL_TO", "field": [*where, "price"], "message": text})
            else:
                good.append(one)
        if errors and not allowPartialUpdates:
            return {"productVariants": None, "userErrors": errors}
        for one in good:
            goods = of_it[one["id"]]
            if goods.sku not in self.swallows:
                goods.price = f"{Decimal(one['price']):.2f}"
        self._tell_product(next(iter(of_it.values())))
        return {"productVariants": [self._variant(of_it[one["id"]]) for one in good], "userErrors": errors}

    # State.

    def _put(self, goods: Goods, location: str, quantity: int) -> None:
        """Since 2026-10 a quantity is kept at any location; where the item is not stocked that is seen by nobody."""
        level = goods.levels.setdefault(location, Level(0, is_active=False))
        level.available, level.updated = quantity, self._tick()
        told = {
            "inventory_item_id": goods.number,
            "location_id": int(location.rpartition("/")[2]),
            "available": quantity,
            "updated_at": _text(level.updated),
        }
        self._tell("inventory_levels/update", told)
        self._tell_product(goods)

    def _refund(
        self, order: Order, taken_back: list[tuple[Line, int]], kind: str, besides: Decimal, with_money: bool
    ) -> None:
        lines = []
        for line, units in taken_back:
            line.current -= units
            lines.append(RefundedLine(line, units, kind, line.price * units))
            level = line.goods.levels[self.home]
            level.committed -= units
            if kind != "NO_RESTOCK":
                self._put(line.goods, self.home, level.available + units)
        money = sum((one.subtotal for one in lines), besides) if with_money else Decimal(0)
        order.refunds.append(Refund(self._number(), lines, money))
        order.updated = self._tick()

    def _tell_order(self, topic: str, order: Order) -> None:
        told: dict[str, Any] = {
            "id": order.number,
            "admin_graphql_api_id": order.gid,
            "name": f"#{order.number}",
            "financial_status": order.status.lower(),
            "updated_at": _text(order.updated),
        }
        if topic == "orders/edited":
            self._tell(topic, {"order_edit": {"id": self._number(), "order_id": order.number}})
        elif topic == "refunds/create":
            self._tell(topic, {"id": order.refunds[-1].number, "order_id": order.number})
        else:
            self._tell(topic, told)
        if topic != "orders/create":
            self._tell("orders/updated", told)

    def _tell_product(self, goods: Goods) -> None:
        variants = [
            {
                "id": one.number,
                "sku": one.sku,
                "price": one.price,
                "inventory_item_id": one.number,
                "inventory_quantity": sum(level.available for level in one.levels.values()),
            }
            for one in self.goods.values()
            if one.product == goods.product
        ]
        self._tell("products/update", {"id": goods.product, "title": f"Product {goods.product}", "variants": variants})

    def _tell(self, topic: str, told: Mapping[str, Any]) -> None:
        """A delivery, as it comes the first time and, with the same id, each time that it is not answered."""
        body = json.dumps(told).encode()
        signature = base64.b64encode(hmac.new(_CLIENT_SECRET.encode(), body, hashlib.sha256).digest()).decode()
        headers = {
            "content-type": "application/json",
            "x-shopify-topic": topic,
            "x-shopify-shop-domain": "maison-test.myshopify.com",
            "x-shopify-api-version": VERSION,
            "x-shopify-webhook-id": str(uuid.uuid4()),
            "x-shopify-event-id": str(uuid.uuid4()),
            "x-shopify-hmac-sha256": signature,
        }
        self.webhooks.append((headers, body))

    def _pay(self, cost: int) -> bool:
        self.costs.append(cost)
        if not self.metered:
            return True
        now = self.clock.now()
        self.points = min(self.maximum, self.points + self.restore_rate * (now - self._restored).total_seconds())
        self._restored = now
        if self.points + 1e-6 < cost:
            return False
        self.points -= cost
        return True

    def _refused(self, text: str, code: str, **more: Any) -> dict[str, Any]:
        self.violations.append(text)
        return _error(text, code, **more)

    def _violates(self, text: str, reply: Reply) -> Reply:
        self.violations.append(text)
        return reply

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers

    def _tick(self) -> datetime:
        self._last = max(self.clock.now(), self._last + timedelta(microseconds=1))
        return self._last


@functools.cache
def _schema(path: Path) -> GraphQLSchema:
    told = json.loads(gzip.decompress(path.read_bytes()))
    return build_client_schema(told["data"], assume_valid=True)


def _gid(kind: str, number: int) -> str:
    return f"gid://shopify/{kind}/{number}"


def _text(moment: datetime) -> str:
    """Shopify tells whole seconds."""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _error(text: str, code: str, **more: Any) -> dict[str, Any]:
    return {"data": None, "errors": [{"message": text, "extensions": {"code": code, **more}}]}


def _failed(code: str, text: str) -> dict[str, Any]:
    return {"inventoryAdjustmentGroup": None, "userErrors": [{"code": code, "field": None, "message": text}]}


def _connection(nodes: list[tuple[str, Any]], first: int = 50, after: str | None = None, **_: Any) -> dict[str, Any]:
    """Pages by key, so that what changes meanwhile is not counted twice."""
    left = [(key, node) for key, node in nodes if after is None or key > base64.b64decode(after).decode()]
    page = left[:first]
    cursor = base64.b64encode(page[-1][0].encode()).decode() if page else None
    return {"nodes": [node for _, node in page], "pageInfo": {"hasNextPage": len(left) > first, "endCursor": cursor}}


def _longest(value: Any) -> int:
    if isinstance(value, list):
        return max([len(value), *map(_longest, value)])
    return max(map(_longest, value.values()), default=0) if isinstance(value, dict) else 0


def _idempotency_key(root: FieldNode, variables: Mapping[str, Any]) -> str | None:
    for directive in root.directives:
        if directive.name.value == "idempotent":
            return value_from_ast_untyped(directive.arguments[0].value, dict(variables))
    return None


def _fragments(document: DocumentNode) -> dict[str, FragmentDefinitionNode]:
    return {one.name.value: one for one in document.definitions if isinstance(one, FragmentDefinitionNode)}


def _cost_of(document: DocumentNode, operation: OperationDefinitionNode, variables: Mapping[str, Any]) -> int:
    """The worst that the published rules can mean: objects 1, connections 2 and `first` times a node, a mutation 10."""
    fragments = _fragments(document)

    def cost(selections: SelectionSetNode | None, is_connection: bool = False) -> int:
        total = 0
        for one in selections.selections if selections else ():
            if isinstance(one, FieldNode):
                total += field_cost(one, is_connection)
            elif isinstance(one, FragmentSpreadNode):
                total += cost(fragments[one.name.value].selection_set, is_connection)
            elif isinstance(one, InlineFragmentNode):
                total += cost(one.selection_set, is_connection)
        return total

    def field_cost(one: FieldNode, in_connection: bool) -> int:
        if one.selection_set is None or one.name.value == "pageInfo":
            return 0
        arguments = {arg.name.value: value_from_ast_untyped(arg.value, dict(variables)) for arg in one.arguments}
        if "first" in arguments:
            return 2 + arguments["first"] * cost(one.selection_set, is_connection=True)
        if one.name.value == "nodes" and not in_connection:
            return len(arguments["ids"]) * (1 + cost(one.selection_set))
        return 1 + cost(one.selection_set)

    return (10 if operation.operation.value == "mutation" else 0) + cost(operation.selection_set)


def _select(
    selections: SelectionSetNode,
    source: Any,
    fragments: Mapping[str, FragmentDefinitionNode],
    variables: dict[str, Any],
) -> Any:
    """Exactly the fields that were selected, where there is no schema to execute against."""
    if isinstance(source, list):
        return [_select(selections, one, fragments, variables) for one in source]
    if source is None:
        return None
    found: dict[str, Any] = {}
    for one in selections.selections:
        if isinstance(one, FieldNode):
            value = source[one.name.value]
            if callable(value):
                arguments = {arg.name.value: value_from_ast_untyped(arg.value, variables) for arg in one.arguments}
                value = value(None, **arguments)
            chosen = one.selection_set
            name = one.alias.value if one.alias else one.name.value
            found[name] = _select(chosen, value, fragments, variables) if chosen else value
            continue
        chosen = fragments[one.name.value] if isinstance(one, FragmentSpreadNode) else one
        assert isinstance(chosen, FragmentDefinitionNode | InlineFragmentNode)
        if source.get("__typename") in (None, chosen.type_condition.name.value):
            found |= _select(chosen.selection_set, source, fragments, variables)
    return found
