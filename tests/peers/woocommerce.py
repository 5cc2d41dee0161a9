"""WooCommerce 10.0.2 (wc/v3) on loopback, with the traps that were measured on the real one.

Basic authentication over TLS, signed requests over plain http. What the vendor checks is answered as it answers; what a
careful client would never send is written down in `violations` besides.
"""

import base64
import hashlib
import hmac
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from resources.channels.protocol import Connection
from resources.channels.transport import Clock
from tests.peers.vendor import Asked, Reply, VendorPeer

KEY, SECRET, WEBHOOK_SECRET = "ck_peer", "cs_peer", "shh-loopback"
API = "/wp-json/wc/v3"
_TYPES = ("simple", "grouped", "external", "variable")
_PARAMS = {
    *("page", "per_page", "orderby", "order", "include", "exclude", "status", "sku", "type", "_fields"),
    *("modified_after", "modified_before", "dates_are_gmt"),
}
_ORDERBY = {
    "orders": ("date", "id", "include", "title", "slug", "modified"),
    "products": ("date", "id", "include", "title", "slug", "modified", "price", "popularity", "rating", "menu_order"),
}
_PLAIN_PRICE = re.compile(r"[0-9]+(\.[0-9]+)?")


@dataclass
class Product:
    id: int
    sku: str
    name: str
    type: str
    created: datetime
    modified: datetime
    regular_price: str = ""
    sale_price: str = ""
    manage_stock: bool | str = False
    quantity: int | None = None
    parent_id: int = 0
    total_sales: int = 0


@dataclass
class Line:
    id: int
    product: Product
    quantity: int
    subtotal: Decimal
    meta: dict[str, str] = field(default_factory=dict)


@dataclass
class Refund:
    id: int
    amount: Decimal
    created: datetime
    lines: list[tuple[int, int, Decimal]]
    """Line, units, money."""


@dataclass
class Order:
    id: int
    status: str
    lines: list[Line]
    created: datetime
    modified: datetime
    paid: datetime | None = None
    refunds: list[Refund] = field(default_factory=list)
    shipping: Decimal = Decimal(0)
    discount: Decimal = Decimal(0)
    country: str = "FR"
    before_trash: str = ""

    @property
    def total(self) -> Decimal:
        return sum((line.subtotal for line in self.lines), self.shipping - self.discount)


@dataclass
class Webhook:
    id: int
    topic: str
    created: datetime
    status: str = "active"
    failures: int = 0
    delivery_url: str = "http://127.0.0.1/webhooks/shop"


class WooCommercePeer(VendorPeer):
    """A shop. `permissions` are those of its REST API key: "read", "write" or "read_write"."""

    def __init__(
        self,
        tls: Any = None,
        clock: Clock | None = None,
        permissions: str = "read_write",
        stock_management: bool = True,
        may_see_system: bool = True,
    ) -> None:
        self.clock = clock or Clock()
        self.permissions = permissions
        self.stock_management = stock_management
        self.may_see_system = may_see_system
        self.products: dict[int, Product] = {}
        self.orders: dict[int, Order] = {}
        self.accepted: dict[str, dict[str, int]] = {}
        self.webhooks: list[tuple[dict[str, str], bytes]] = []
        self.violations: list[str] = []
        self.holds_webhooks = False
        """While true, events wait for `deliver`, as the real ones wait for the action scheduler."""
        self._waiting: dict[tuple[str, int], None] = {}
        self._trickle: list[Asked] = []
        self._nonces: set[str] = set()
        self._last = datetime.min.replace(tzinfo=UTC)
        self._next_id = 9
        self._next_line = 46
        topics = ("product.updated", "product.deleted", "order.created", "order.updated", "order.deleted")
        self.hooks = {n: Webhook(n, topic, self._tick()) for n, topic in enumerate(topics, 1)}
        super().__init__(tls)

    # What the tests do to the shop

    def connection(self, name: str, **options: Any) -> Connection:
        secrets = {"key": KEY, "secret": SECRET, "webhook_secret": WEBHOOK_SECRET}
        return Connection(name, "woocommerce", self.url, options, secrets)

    def add(
        self,
        sku: str,
        quantity: int | None,
        price: str = "100.00",
        *,
        parent: str | None = None,
        kind: str = "simple",
        manage_stock: bool | str | None = None,
        sale_price: str = "",
        name: str | None = None,
    ) -> str:
        """A simple product, or a variation of `parent`, or a product of another `kind` ("variable" makes a parent)."""
        with self._lock:
            now = self._tick()
            if manage_stock is None:
                manage_stock = quantity is not None
            kind = "variation" if parent else kind
            made = Product(self._new_id(), sku, name or sku or "Product", kind, now, now, price, sale_price)
            made.manage_stock, made.quantity, made.parent_id = manage_stock, quantity, int(parent or 0)
            self.products[made.id] = made
            return str(made.id)

    def remove(self, key: str) -> None:
        """A product is deleted, with its variations."""
        with self._lock:
            gone = [each.id for each in self.products.values() if key in (str(each.id), str(each.parent_id))]
            for each in gone:
                del self.products[each]
                self._event("product.deleted", each)

    def stock(self, sku: str) -> int | None:
        """Units on sale; None where they are not counted."""
        with self._lock:
            return self._shown_quantity(self._of_sku(sku))

    def edit(self, sku: str, quantity: int) -> None:
        """Somebody sets the stock in the shop's back office."""
        with self._lock:
            self._set_quantity(self._of_sku(sku), quantity)

    def buy(self, wanted: Mapping[str, int], *, discount: str = "0.00", shipping: str = "0.00") -> str | None:
        """A client pays at the checkout, which looks at the stock. The order's id, or None where there is too little."""
        with self._lock:
            for sku, units in wanted.items():
                quantity = self._shown_quantity(self._of_sku(sku))
                if quantity is not None and quantity < units:
                    return None
            return self._sell(wanted, "processing", Decimal(discount), Decimal(shipping))

    def rest_order(self, wanted: Mapping[str, int], status: str = "processing") -> str:
        """An order made through REST, which does not look at the stock: it may go below zero."""
        with self._lock:
            return self._sell(wanted, status)

    def set_status(self, order_id: str, status: str) -> None:
        """Processing, completed and on-hold take the stock; cancelled and pending give it back; the others leave it."""
        with self._lock:
            self._change_status(self.orders[int(order_id)], status)

    def cancel(self, order_id: str) -> None:
        """What is still taken (`_reduced_stock` of each line) goes back into the stock, and the mark is removed."""
        self.set_status(order_id, "cancelled")

    def trash(self, order_id: str) -> None:
        """The order is no longer listed; its stock stays taken."""
        with self._lock:
            order = self.orders[int(order_id)]
            order.before_trash, order.status, order.modified = order.status, "trash", self._tick()
            self._event("order.deleted", order.id)

    def refund(self, order_id: str, sku: str, units: int, restock: bool) -> None:
        """Units and their money. Put back, they are taken off the line's `_reduced_stock`. Wholly refunded, the order becomes
        "refunded", which puts nothing back."""
        with self._lock:
            order = self.orders[int(order_id)]
            line = next(line for line in order.lines if line.product.sku == sku)
            share = line.subtotal / sum((each.subtotal for each in order.lines), Decimal(0)) * order.discount
            money = ((line.subtotal - share) * units / line.quantity).quantize(Decimal("0.01"))
            self._refund(order, money, [(line.id, units, money)], restock)

    def give_back_money(self, order_id: str, money: str) -> None:
        """A refund that is of no line: goodwill."""
        with self._lock:
            self._refund(self.orders[int(order_id)], Decimal(money), [], False)

    def deliver(self) -> None:
        """The action scheduler runs: each waiting event once, with the state of now."""
        with self._lock:
            waiting, self._waiting = list(self._waiting), {}
            for topic, thing in waiting:
                self._deliver(topic, thing)

    def delivery_failed(self, topic: str) -> None:
        """The receiver answered with an error. After more than five such answers the webhook is disabled; nobody is told."""
        with self._lock:
            for hook in self.hooks.values():
                if hook.topic == topic:
                    hook.failures += 1
                    hook.status = "disabled" if hook.failures > 5 else hook.status

    def settle(self, items: int | None = None) -> None:
        """Writes whose clients gave up take effect: all, or the next `items` items of their batches."""
        with self._lock:
            late, self._late = self._late, []
            self._trickle += [single for asked in late for single in _singles(asked)]
            due, self._trickle = self._trickle[:items], self._trickle[items:] if items is not None else []
            for asked in due:
                self._routed(asked)

    # Requests

    def answer(self, asked: Asked) -> Reply:
        refused = self._unauthorized(asked)
        reply = refused or self._routed(asked)
        return replace(reply, headers={"content-type": "application/json; charset=UTF-8", **reply.headers})

    def _routed(self, asked: Asked) -> Reply:
        unknown = set(asked.query) - _PARAMS - {name for name in asked.query if name.startswith("oauth_")}
        if unknown:
            self.violations.append(f"{asked}: unknown parameters {sorted(unknown)}")
        routes: list[tuple[str, str, Callable[..., Reply]]] = [
            ("GET", r"/products", self._list_products),
            ("POST", r"/products", self._create_product),
            ("POST", r"/products/batch", self._batch),
            ("GET", r"/products/(\d+)", self._get_product),
            ("PUT", r"/products/(\d+)", self._put_product),
            ("GET", r"/products/(\d+)/variations", self._list_variations),
            ("POST", r"/products/(\d+)/variations/batch", self._batch),
            ("PUT", r"/products/(\d+)/variations/(\d+)", self._put_variation),
            ("GET", r"/orders", self._list_orders),
            ("POST", r"/orders", self._create_order),
            ("GET", r"/orders/(\d+)", self._get_order),
            ("PUT", r"/orders/(\d+)", self._put_order),
            ("GET", r"/orders/(\d+)/refunds", self._list_refunds),
            ("POST", r"/orders/(\d+)/refunds", self._create_refund),
            ("GET", r"/webhooks", self._list_webhooks),
            ("POST", r"/webhooks", self._create_webhook),
            ("GET", r"/system_status", self._system_status),
            ("GET", r"/settings/products/woocommerce_manage_stock", self._stock_setting),
            (
                "GET",
                r"/data/currencies/current",
                lambda asked: Reply(200, {"code": "EUR", "name": "Euro", "symbol": "€"}),
            ),
        ]
        for method, pattern, handle in routes:
            match = re.fullmatch(re.escape(API) + pattern, asked.path)
            if match and asked.method == method:
                return handle(asked, *(int(each) for each in match.groups()))
        self.violations.append(f"{asked}: no such route")
        return _error(404, "rest_no_route", "No route was found matching the URL and request method.")

    def _unauthorized(self, asked: Asked) -> Reply | None:
        if self._scheme == "https":
            told = asked.headers.get("authorization", "")
            if not told.startswith("Basic "):
                return _error(401, "woocommerce_rest_cannot_view", "Sorry, you cannot list resources.")
            key, _, secret = base64.b64decode(told.removeprefix("Basic ")).decode().partition(":")
            if key != KEY:
                return _error(401, "woocommerce_rest_authentication_error", "Consumer key is invalid.")
            if secret != SECRET:
                return _error(401, "woocommerce_rest_authentication_error", "Consumer secret is invalid.")
        elif refused := self._unsigned(asked):
            return refused
        may = {"GET": ("read", "read_write")}.get(asked.method, ("write", "read_write"))
        if self.permissions not in may:
            kind = "read" if asked.method == "GET" else "write"
            message = f"The API key provided does not have {kind} permissions."
            return _error(401, "woocommerce_rest_authentication_error", message)
        return None

    def _unsigned(self, asked: Asked) -> Reply | None:
        """Over plain http only a signature counts; Basic is not even looked at."""
        query = dict(asked.query)
        given = query.pop("oauth_signature", None)
        if given is None:
            return _error(401, "woocommerce_rest_cannot_view", "Sorry, you cannot list resources.")
        failed = "woocommerce_rest_authentication_error"
        if query.get("oauth_consumer_key") != KEY:
            return _error(401, failed, "Consumer key is invalid.")
        algorithm = {"HMAC-SHA1": "sha1", "HMAC-SHA256": "sha256"}.get(query.get("oauth_signature_method", ""), "")
        pairs = sorted((quote(name, safe="~"), quote(value, safe="~")) for name, value in query.items())
        where = quote(f"http://{asked.headers['host']}{asked.path}", safe="~")
        text = f"{asked.method}&{where}&{quote('&'.join(f'{n}={v}' for n, v in pairs), safe='~')}"
        if not algorithm or given != _mac(SECRET + "&", text.encode(), algorithm):
            return _error(401, failed, "Invalid signature - provided signature does not match.")
        if abs(time.time() - int(query["oauth_timestamp"])) > 900:
            return _error(401, failed, "Invalid timestamp.")
        if query["oauth_nonce"] in self._nonces:
            return _error(401, failed, "Invalid nonce - nonce has already been used.")
        self._nonces.add(query["oauth_nonce"])
        return None

    def _list_products(self, asked: Asked) -> Reply:
        kind = asked.query.get("type")
        if kind is not None and kind not in _TYPES:
            return self._invalid(asked, {"type": f"type is not one of {', '.join(_TYPES)}."})
        rows = [each for each in self.products.values() if each.parent_id == 0]
        if sku := asked.query.get("sku"):
            # The only way in which this list shows variations.
            listed = {*sku.split(","), sku}
            rows = [each for each in self.products.values() if each.sku in listed]
        rows = [each for each in rows if kind is None or each.type == kind]
        return self._listed(asked, "products", rows, self._product_row)

    def _list_variations(self, asked: Asked, parent: int) -> Reply:
        rows = [each for each in self.products.values() if each.parent_id == parent]
        return self._listed(asked, "products", rows, self._variation_row)

    def _list_orders(self, asked: Asked) -> Reply:
        status = asked.query.get("status", "any")
        shown = [each for each in self.orders.values() if (status == "any" and each.status != "trash")]
        shown += [each for each in self.orders.values() if each.status in status.split(",")]
        return self._listed(asked, "orders", shown, self._order_row)

    def _listed(self, asked: Asked, what: str, rows: Sequence[Any], render: Callable[[Any], dict[str, Any]]) -> Reply:
        query = asked.query
        size, page = int(query.get("per_page", 10)), int(query.get("page", 1))
        order_by = query.get("orderby", "date")
        if not 1 <= size <= 100:
            text = "per_page must be between 1 (inclusive) and 100 (inclusive)"
            return self._invalid(asked, {"per_page": text}, "rest_out_of_bounds")
        if order_by not in _ORDERBY[what]:
            *most, last = _ORDERBY[what]
            text = f"orderby is not one of {', '.join(most)}, and {last}."
            return self._invalid(asked, {"orderby": text}, "rest_not_in_enum")
        if "include" in query:
            rows = [each for each in rows if str(each.id) in query["include"].split(",")]
        rows = [each for each in rows if str(each.id) not in query.get("exclude", "").split(",")]
        if "modified_after" in query:
            rows = [each for each in rows if _second(each.modified) > query["modified_after"]]
        if "modified_before" in query:
            rows = [each for each in rows if _second(each.modified) < query["modified_before"]]
        rows = _sorted(rows, order_by, query.get("order", "desc") == "desc", page)
        part = rows[(page - 1) * size : page * size]
        shown = [render(each) for each in part]
        if names := query.get("_fields"):
            shown = [{name: row[name] for name in row if name in names.split(",")} for row in shown]
        pages = -(-len(rows) // size)
        return Reply(200, shown, {"X-WP-Total": str(len(rows)), "X-WP-TotalPages": str(pages), "Allow": "GET, POST"})

    def _create_product(self, asked: Asked) -> Reply:
        # A list instead of an object makes an empty product.
        body = asked.json()
        told = body if isinstance(body, dict) else {}
        if not told:
            self.violations.append(f"{asked}: creates an empty product")
        made = self.products[
            int(self.add(told.get("sku", ""), None, told.get("regular_price", ""), name=told.get("name")))
        ]
        self._update(made, told)
        return Reply(201, {**self._product_row(made), **self._for_editing(made)})

    def _get_product(self, asked: Asked, key: int) -> Reply:
        found = self.products.get(key)
        if found is None or found.parent_id:
            return _error(404, "woocommerce_rest_product_invalid_id", "Invalid ID.")
        row = self._product_row(found)
        names = asked.query.get("_fields")
        return Reply(200, row if not names else {n: row[n] for n in row if n in [*names.split(","), "_links"]})

    def _put_product(self, asked: Asked, key: int) -> Reply:
        told = asked.json()
        if wrong := _wrong_types(told):
            return self._invalid(asked, wrong, "rest_invalid_type")
        if refused := self._unfit(key, None):
            return refused
        self._update(self.products[key], told)
        return Reply(200, {**self._product_row(self.products[key]), **self._for_editing(self.products[key])})

    def _put_variation(self, asked: Asked, parent: int, key: int) -> Reply:
        told = asked.json()
        if wrong := _wrong_types(told):
            return self._invalid(asked, wrong, "rest_invalid_type")
        if refused := self._unfit(key, parent):
            return refused
        self._update(self.products[key], told)
        return Reply(200, self._variation_row(self.products[key]))

    def _batch(self, asked: Asked, parent: int | None = None) -> Reply:
        """Item by item, without any check of types, and HTTP 200 whatever becomes of them."""
        told = asked.json() or {}
        items = told.get("update", [])
        if len(items) > 100:
            self.violations.append(f"{asked}: {len(items)} items")
            message = "Unable to accept more than 100 items for this request."
            return _error(413, "woocommerce_rest_request_entity_too_large", message)
        if not items:
            return Reply(200, [])
        rows: list[dict[str, Any]] = []
        for item in items:
            self._note_carelessness(asked, item)
            key = item.get("id")
            if refused := self._unfit(key, parent):
                rows.append({"id": key, "error": refused.body})
                if key is None or (key in self.products and parent is None):
                    self.violations.append(f"{asked}: {refused.body['message']}")
                continue
            product = self.products[key]
            self._update(product, item)
            row = (
                self._variation_row(product) if parent else {**self._product_row(product), **self._for_editing(product)}
            )
            rows.append(row)
        return Reply(200, {"update": rows})

    def _unfit(self, key: int | None, parent: int | None) -> Reply | None:
        """Why this id cannot be written to here."""
        product = self.products.get(key) if key is not None else None
        if product is None or (parent is not None and product.parent_id != parent):
            return _error(400, "woocommerce_rest_product_invalid_id", "Invalid ID.")
        if parent is None and product.parent_id:
            where = "/products/&lt;product_id&gt;/variations/&lt;id&gt;"
            message = f"To manipulate product variations you should use the {where} endpoint."
            return _error(404, "woocommerce_rest_invalid_product_id", message)
        return None

    def _note_carelessness(self, asked: Asked, item: Mapping[str, Any]) -> None:
        quantity = item.get("stock_quantity", 0)
        if isinstance(quantity, bool) or not isinstance(quantity, int) or quantity < 0:
            self.violations.append(f"{asked}: stock_quantity {quantity!r}")
        price = item.get("regular_price", "1")
        if not isinstance(price, str) or not _PLAIN_PRICE.fullmatch(price):
            self.violations.append(f"{asked}: regular_price {price!r}")
        if other := set(item) - {"id", "stock_quantity", "regular_price"}:
            self.violations.append(f"{asked}: fields {sorted(other)} in an update")

    def _create_order(self, asked: Asked) -> Reply:
        told = asked.json()
        wanted: dict[str, int] = {}
        for line in told.get("line_items", []):
            product = self.products[line.get("variation_id") or line["product_id"]]
            wanted[product.sku] = wanted.get(product.sku, 0) + line["quantity"]
        country = told.get("billing", {}).get("country", "")
        order = self.orders[int(self._sell(wanted, told.get("status", "pending"), country=country))]
        return Reply(201, self._order_row(order))

    def _get_order(self, asked: Asked, key: int) -> Reply:
        if key not in self.orders:
            return _error(404, "woocommerce_rest_shop_order_invalid_id", "Invalid ID.")
        return Reply(200, self._order_row(self.orders[key]))

    def _put_order(self, asked: Asked, key: int) -> Reply:
        if key not in self.orders:
            return _error(400, "woocommerce_rest_shop_order_invalid_id", "Invalid ID.")
        self._change_status(self.orders[key], asked.json()["status"])
        return Reply(200, self._order_row(self.orders[key]))

    def _list_refunds(self, asked: Asked, key: int) -> Reply:
        if key not in self.orders:
            return _error(404, "woocommerce_rest_invalid_order_id", "Invalid order ID.")
        order = self.orders[key]
        return Reply(200, [_refund_row(order, each) for each in order.refunds])

    def _create_refund(self, asked: Asked, key: int) -> Reply:
        told = asked.json()
        lines = [(each["id"], each["quantity"], Decimal(each.get("refund_total", "0"))) for each in told["line_items"]]
        made = self._refund(self.orders[key], Decimal(told["amount"]), lines, bool(told.get("api_restock", True)))
        return Reply(201, _refund_row(self.orders[key], made))

    def _list_webhooks(self, asked: Asked) -> Reply:
        return Reply(200, [_webhook_row(hook) for hook in self.hooks.values()])

    def _create_webhook(self, asked: Asked) -> Reply:
        """Saving it sends a ping: a form, and no signature."""
        told = asked.json()
        made = Webhook(max(self.hooks, default=0) + 1, told["topic"], self._tick(), delivery_url=told["delivery_url"])
        self.hooks[made.id] = made
        form = {"content-type": "application/x-www-form-urlencoded", "user-agent": "WooCommerce/10.0.2 Hookshot"}
        self.webhooks.append((form, f"webhook_id={made.id}".encode()))
        return Reply(201, _webhook_row(made))

    def _system_status(self, asked: Asked) -> Reply:
        if not self.may_see_system:
            return _error(403, "woocommerce_rest_cannot_view", "Sorry, you cannot list resources.")
        return Reply(200, {"environment": {"version": "10.0.2", "wp_version": "6.9.7"}})

    def _stock_setting(self, asked: Asked) -> Reply:
        if not self.may_see_system:
            return _error(403, "woocommerce_rest_cannot_view", "Sorry, you cannot list resources.")
        return Reply(200, {"id": "woocommerce_manage_stock", "value": "yes" if self.stock_management else "no"})

    def _invalid(self, asked: Asked, wrong: Mapping[str, str], code: str = "rest_not_in_enum") -> Reply:
        self.violations.append(f"{asked}: {'; '.join(wrong.values())}")
        details = {
            name: {"code": code, "message": text, "data": {"param": name} if code == "rest_invalid_type" else None}
            for name, text in wrong.items()
        }
        data = {"status": 400, "params": dict(wrong), "details": details}
        message = f"Invalid parameter(s): {', '.join(wrong)}"
        return Reply(400, {"code": "rest_invalid_param", "message": message, "data": data})

    # State

    def _update(self, product: Product, told: Mapping[str, Any]) -> None:
        if "manage_stock" in told:
            product.manage_stock = told["manage_stock"]
        if "regular_price" in told:
            product.regular_price = _formatted_price(told["regular_price"])
        if "sale_price" in told:
            product.sale_price = _formatted_price(told["sale_price"])
        if product.sale_price and Decimal(product.sale_price) >= Decimal(product.regular_price or 0):
            product.sale_price = ""
        if not product.manage_stock:
            product.quantity = None
        if "stock_quantity" in told and product.manage_stock is True:
            product.quantity = _stock_amount(told["stock_quantity"])
        self._modified(product)

    def _modified(self, product: Product) -> None:
        product.modified = self._tick()
        if product.parent_id in self.products:
            self.products[product.parent_id].modified = product.modified
        self._event("product.updated", product.id)

    def _counted(self, product: Product) -> Product | None:
        """The product that keeps the count: itself, its parent, or none."""
        if product.manage_stock == "parent":
            return self.products[product.parent_id]
        return product if product.manage_stock else None

    def _shown_quantity(self, product: Product) -> int | None:
        counted = self._counted(product) if self.stock_management else None
        return counted.quantity if counted else None

    def _set_quantity(self, product: Product, quantity: int) -> None:
        counted = self._counted(product)
        if counted is not None:
            counted.quantity = quantity
            self._modified(counted)

    def _move(self, product: Product, units: int) -> None:
        counted = self._counted(product)
        if counted is not None:
            self._set_quantity(product, (counted.quantity or 0) + units)

    def _sell(
        self,
        wanted: Mapping[str, int],
        status: str,
        discount: Decimal = Decimal(0),
        shipping: Decimal = Decimal(0),
        country: str = "FR",
    ) -> str:
        now = self._tick()
        lines = []
        for sku, units in wanted.items():
            self._next_line += 1
            product = self._of_sku(sku)
            lines.append(
                Line(self._next_line, product, units, Decimal(product.sale_price or product.regular_price) * units)
            )
            product.total_sales += units
        order = Order(self._new_id(), "pending", lines, now, now, None, [], shipping, discount, country)
        self.orders[order.id] = order
        if status != "pending":
            self._change_status(order, status, is_new=True)
        self._event("order.created", order.id)
        self.accepted[str(order.id)] = dict(wanted)
        return str(order.id)

    def _change_status(self, order: Order, status: str, is_new: bool = False) -> None:
        before, order.status, order.modified = order.status, status, self._tick()
        if status in ("processing", "completed"):
            order.paid = order.paid or order.modified
        for line in order.lines:
            taken = int(line.meta.get("_reduced_stock", 0))
            if status in ("processing", "completed", "on-hold") and "_reduced_stock" not in line.meta:
                if self._counted(line.product) is not None:
                    self._move(line.product, -line.quantity)
                    line.meta["_reduced_stock"] = str(line.quantity)
            elif status in ("cancelled", "pending") and taken:
                self._move(line.product, taken)
                del line.meta["_reduced_stock"]
        if status == "refunded" and before != "refunded":
            rest = order.total - sum((each.amount for each in order.refunds), Decimal(0))
            if rest > 0:
                order.refunds.append(Refund(self._new_id(), rest, order.modified, []))
        if not is_new:
            self._event("order.updated", order.id)

    def _refund(self, order: Order, money: Decimal, lines: list[tuple[int, int, Decimal]], restock: bool) -> Refund:
        made = Refund(self._new_id(), money, self._tick(), lines)
        order.refunds.append(made)
        order.modified = made.created
        for line_id, units, _ in lines if restock else []:
            line = next(line for line in order.lines if line.id == line_id)
            taken = int(line.meta.get("_reduced_stock", 0))
            if not taken or self._counted(line.product) is None:
                continue
            self._move(line.product, units)
            line.meta["_reduced_stock"] = str(taken - units)
            line.meta["_restock_refunded_items"] = str(int(line.meta.get("_restock_refunded_items", 0)) + units)
        if sum((each.amount for each in order.refunds), Decimal(0)) >= order.total:
            order.status = "refunded"
        self._event("order.updated", order.id)
        return made

    def _event(self, topic: str, thing: int) -> None:
        if self.holds_webhooks:
            self._waiting[topic, thing] = None
        else:
            self._deliver(topic, thing)

    def _deliver(self, topic: str, thing: int) -> None:
        hook = next((each for each in self.hooks.values() if each.topic == topic and each.status == "active"), None)
        if hook is None:
            return
        resource, _, event = topic.partition(".")
        row: dict[str, Any] = {"id": thing}
        if event != "deleted" and resource == "product":
            row = self._product_row(self.products[thing])
        elif event != "deleted":
            row = self._order_row(self.orders[thing])
        body = json.dumps(row, separators=(",", ":")).replace("/", "\\/").encode()
        second = int(self.clock.now().timestamp())
        headers = {
            "content-type": "application/json",
            "user-agent": "WooCommerce/10.0.2 Hookshot (WordPress/6.9.7)",
            "x-wc-webhook-source": f"{self.url}/",
            "x-wc-webhook-topic": topic,
            "x-wc-webhook-resource": resource,
            "x-wc-webhook-event": event,
            "x-wc-webhook-signature": _mac(WEBHOOK_SECRET, body, "sha256"),
            "x-wc-webhook-id": str(hook.id),
            # The same for all that this webhook delivers within one second.
            "x-wc-webhook-delivery-id": hashlib.md5(f"{hook.id}{second}".encode()).hexdigest(),
        }
        self.webhooks.append((headers, body))

    def _of_sku(self, sku: str) -> Product:
        return next(each for each in self.products.values() if each.sku == sku and each.type != "variable")

    def _new_id(self) -> int:
        self._next_id += 1
        return self._next_id

    def _tick(self) -> datetime:
        self._last = max(
            self.clock.now(), self._last + timedelta(microseconds=1) if self._last.year > 1 else self._last
        )
        return self._last

    # What it shows

    def _product_row(self, product: Product) -> dict[str, Any]:
        own = {"id": product.id, "name": product.name, "type": product.type, "total_sales": product.total_sales}
        children = [each.id for each in self.products.values() if each.parent_id == product.id]
        counted = {**self._shared_fields(product), "parent_id": product.parent_id, "variations": children}
        slug = product.name.lower().replace(" ", "-")
        return {**_PRODUCT, **own, **counted, "slug": slug, "has_options": product.type == "variable"}

    def _for_editing(self, product: Product) -> dict[str, Any]:
        slug = product.name.lower().replace(" ", "-")
        return {"permalink_template": f"{self.url}/product/%pagename%/", "generated_slug": slug}

    def _variation_row(self, product: Product) -> dict[str, Any]:
        own = {"id": product.id, "name": product.name, "parent_id": product.parent_id}
        return {**_VARIATION, **own, **self._shared_fields(product)}

    def _shared_fields(self, product: Product) -> dict[str, Any]:
        created, modified = _second(product.created), _second(product.modified)
        quantity = self._shown_quantity(product)
        is_in = quantity is None or quantity > 0
        return {
            "permalink": f"{self.url}/product/{product.id}/",
            "date_created": created,
            "date_created_gmt": created,
            "date_modified": modified,
            "date_modified_gmt": modified,
            "sku": product.sku,
            "price": product.sale_price or product.regular_price,
            "regular_price": product.regular_price,
            "sale_price": product.sale_price,
            "on_sale": bool(product.sale_price),
            "purchasable": bool(product.regular_price),
            "manage_stock": product.manage_stock if self.stock_management else False,
            "stock_quantity": quantity,
            "stock_status": "instock" if is_in else "outofstock",
            "_links": {"self": [{"href": f"{self.url}{API}/products/{product.id}"}], "collection": []},
        }

    def _order_row(self, order: Order) -> dict[str, Any]:
        created, modified = _second(order.created), _second(order.modified)
        paid = _second(order.paid) if order.paid else None
        refunds = [{"id": each.id, "reason": "", "total": f"-{each.amount:.2f}"} for each in order.refunds]
        return {
            **_ORDER,
            "id": order.id,
            "number": str(order.id),
            "status": order.status,
            "date_created": created,
            "date_created_gmt": created,
            "date_modified": modified,
            "date_modified_gmt": modified,
            "date_paid": paid,
            "date_paid_gmt": paid,
            "total": f"{order.total:.2f}",
            "discount_total": f"{order.discount:.2f}",
            "shipping_total": f"{order.shipping:.2f}",
            "billing": {**_ADDRESS, "country": order.country, "email": "a@example.test"},
            "line_items": [_line_row(line) for line in order.lines],
            "refunds": refunds,
            "_links": {
                "self": [{"href": f"{self.url}{API}/orders/{order.id}"}],
                "collection": [],
                "email_templates": [],
            },
        }


def _error(status: int, code: str, message: str) -> Reply:
    return Reply(status, {"code": code, "message": message, "data": {"status": status}})


def _mac(secret: str, text: bytes, algorithm: str) -> str:
    return base64.b64encode(hmac.digest(secret.encode(), text, algorithm)).decode()


def _second(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S")


def _sorted(rows: Sequence[Any], order_by: str, is_descending: bool, page: int) -> list[Any]:
    if order_by == "modified":
        # Within one second the real order is not certain: another page may see another one.
        rows = sorted(rows, key=lambda each: each.id, reverse=page % 2 == 0)
        return sorted(rows, key=lambda each: _second(each.modified), reverse=is_descending)
    return sorted(rows, key=lambda each: each.id, reverse=is_descending)


def _formatted_price(text: str) -> str:
    """As wc_format_decimal does: the last point stays, and whatever is no digit is dropped."""
    return re.sub(r"\.(?![^.]+$)|[^0-9.-]", "", text.strip())


def _stock_amount(value: Any) -> int:
    """As PHP's intval."""
    if isinstance(value, str):
        match = re.match(r"\s*[+-]?[0-9]+", value)
        return int(match.group()) if match else 0
    return int(value or 0)


def _wrong_types(told: Mapping[str, Any]) -> dict[str, str]:
    wrong = {}
    quantity = told.get("stock_quantity")
    if quantity is not None and not re.fullmatch(r"-?[0-9]+(\.0+)?", str(quantity)):
        wrong["stock_quantity"] = "stock_quantity is not of type integer."
    for name in ("regular_price", "sale_price"):
        if name in told and not isinstance(told[name], str):
            wrong[name] = f"{name} is not of type string."
    return wrong


def _singles(asked: Asked) -> list[Asked]:
    """A batch as many batches of one item, as it takes effect; anything else as it is."""
    told = asked.json()
    if not asked.path.endswith("/batch") or not isinstance(told, dict):
        return [asked]
    return [replace(asked, body=json.dumps({"update": [item]}).encode()) for item in told.get("update", [])]


def _line_row(line: Line) -> dict[str, Any]:
    product = line.product
    unit = line.subtotal / line.quantity
    meta = [
        {"id": number, "key": key, "value": value, "display_key": key, "display_value": value}
        for number, (key, value) in enumerate(line.meta.items(), 1)
    ]
    return {
        "id": line.id,
        "name": product.name,
        "product_id": product.parent_id or product.id,
        "variation_id": product.id if product.parent_id else 0,
        "quantity": line.quantity,
        "tax_class": "",
        "subtotal": f"{line.subtotal:.2f}",
        "subtotal_tax": "0.00",
        "total": f"{line.subtotal:.2f}",
        "total_tax": "0.00",
        "taxes": [],
        "meta_data": meta,
        "sku": product.sku,
        "price": int(unit) if unit == int(unit) else float(unit),
        "image": {"id": "", "src": ""},
        "parent_name": "Parent" if product.parent_id else None,
    }


def _refund_row(order: Order, refund: Refund) -> dict[str, Any]:
    lines = []
    for number, (line_id, units, money) in enumerate(refund.lines, 1):
        line = next(line for line in order.lines if line.id == line_id)
        meta = [{"id": number, "key": "_refunded_item_id", "value": str(line_id)}]
        changed = {"id": 100_000 + line_id, "quantity": -units, "meta_data": meta}
        lines.append({**_line_row(line), **changed, "subtotal": f"-{money:.2f}", "total": f"-{money:.2f}"})
    created = _second(refund.created)
    return {
        "id": refund.id,
        "parent_id": order.id,
        "date_created": created,
        "date_created_gmt": created,
        "amount": f"{refund.amount:.2f}",
        "reason": "",
        "refunded_by": 1,
        "refunded_payment": False,
        "meta_data": [],
        "line_items": lines,
        "shipping_lines": [],
        "tax_lines": [],
        "fee_lines": [],
    }


def _webhook_row(hook: Webhook) -> dict[str, Any]:
    resource, _, event = hook.topic.partition(".")
    return {
        "id": hook.id,
        "name": hook.topic,
        "status": hook.status,
        "topic": hook.topic,
        "resource": resource,
        "event": event,
        "hooks": [],
        "delivery_url": hook.delivery_url,
        "date_created": _second(hook.created),
        "date_created_gmt": _second(hook.created),
        "date_modified": None,
        "date_modified_gmt": None,
        "_links": {"self": [], "collection": []},
    }


_VARIATION: dict[str, Any] = {
    **{"id": 0, "type": "variation", "description": "", "global_unique_id": "", "status": "publish"},
    **{"date_on_sale_from": None, "date_on_sale_from_gmt": None, "date_on_sale_to": None, "date_on_sale_to_gmt": None},
    **{"virtual": False, "downloadable": False, "downloads": [], "download_limit": -1, "download_expiry": -1},
    **{"tax_status": "taxable", "tax_class": "", "backorders": "no", "backorders_allowed": False, "backordered": False},
    **{"low_stock_amount": None, "weight": "", "dimensions": {"length": "", "width": "", "height": ""}},
    **{"shipping_class": "", "shipping_class_id": 0, "image": None, "attributes": [], "menu_order": 0, "meta_data": []},
}
_PRODUCT: dict[str, Any] = {
    **{name: value for name, value in _VARIATION.items() if name != "image"},
    **{
        "featured": False,
        "catalog_visibility": "visible",
        "short_description": "",
        "external_url": "",
        "button_text": "",
    },
    **{"sold_individually": False, "shipping_required": True, "shipping_taxable": True, "reviews_allowed": True},
    **{"average_rating": "0.00", "rating_count": 0, "upsell_ids": [], "cross_sell_ids": [], "purchase_note": ""},
    **{"categories": [], "brands": [], "tags": [], "images": [], "default_attributes": [], "grouped_products": []},
    **{"price_html": "", "related_ids": [], "post_password": ""},
}
_ADDRESS: dict[str, Any] = {
    **{"first_name": "", "last_name": "", "company": "", "address_1": "", "address_2": "", "city": "", "state": ""},
    **{"postcode": "", "country": "", "phone": ""},
}
_ORDER: dict[str, Any] = {
    **{"parent_id": 0, "currency": "EUR", "version": "10.0.2", "prices_include_tax": False, "discount_tax": "0.00"},
    **{"shipping_tax": "0.00", "cart_tax": "0.00", "total_tax": "0.00", "customer_id": 0, "order_key": "wc_order_peer"},
    **{"shipping": dict(_ADDRESS), "payment_method": "", "payment_method_title": "", "transaction_id": ""},
    **{"customer_ip_address": "", "customer_user_agent": "", "created_via": "rest-api", "customer_note": ""},
    **{"date_completed": None, "date_completed_gmt": None, "cart_hash": "", "meta_data": [], "tax_lines": []},
    **{"shipping_lines": [], "fee_lines": [], "coupon_lines": [], "payment_url": "", "is_editable": False},
    **{"needs_payment": False, "needs_processing": True, "currency_symbol": "€"},
}
