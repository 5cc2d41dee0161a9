"""eBay on loopback: inventory items, offers and listings, orders, quotas, tokens and signed notifications.

The shapes of requests are checked by schemas of our own (`_SCHEMAS`), written after eBay's documented types: no official ones
lie beside a checkout. The orders and notifications look like published real ones: times of whole seconds, negative discounts.

What it does as eBay does, and is easily got wrong:
- `offset` of inventory items counts pages, `offset` of orders counts rows;
- a listing shows the smaller of the item's whole quantity and the offer's share; both fall with a sale;
- an answer to a write tells a status for each offer and no value; 200 for all, else 207;
- more than 25 items are refused, or more than one with `one_sku_only` (its text says both);
- a listing is revised 250 times a day of Los Angeles; each SKU that is written counts;
- createOrReplaceInventoryItem forgets what it is not told; listings made by hand are not there;
- a refund puts nothing back; a cancelled order puts back what was sold (`restores_on_cancel`);
- there is no notification of a cancelled order, and ITEM_AVAILABILITY is sent only where something comes to or goes from sale.
"""

import base64
import json
import re
import secrets
import urllib.error
import urllib.request
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote
from zoneinfo import ZoneInfo

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from jsonschema import Draft202012Validator

from resources.channels.protocol import Connection
from resources.channels.transport import Clock
from tests.peers.vendor import Asked, Reply, VendorPeer

CLIENT = ("Luxauto-PRD-1", "PRD-secret")
REFRESH_TOKEN = "v^1.1#refresh"
VERIFICATION_TOKEN = "luxauto_verification-token_0123456789abcdef"
_BASE = "https://api.ebay.com/oauth/api_scope"
_COUNT = {"type": "integer", "minimum": 0}
_SKU = {"type": "string", "minLength": 1, "maxLength": 50}
_PRICE = {
    "type": "object",
    "required": ["value", "currency"],
    "additionalProperties": False,
    "properties": {
        "value": {"type": "string", "pattern": r"^\d+(\.\d+)?$"},
        "currency": {"type": "string", "pattern": "^[A-Z]{3}$"},
    },
}
_SCHEMAS = {
    "bulk_update_price_quantity": {
        "type": "object",
        "required": ["requests"],
        "additionalProperties": False,
        "properties": {
            "requests": {
                "type": "array",
                "minItems": 1,
                "items": {
                    "type": "object",
                    "required": ["sku"],
                    "additionalProperties": False,
                    "properties": {
                        "sku": _SKU,
                        "shipToLocationAvailability": {
                            "type": "object",
                            "additionalProperties": False,
                            "properties": {
                                "quantity": _COUNT,
                                "availabilityDistributions": {
                                    "type": "array",
                                    "items": {
                                        "type": "object",
                                        "required": ["merchantLocationKey", "quantity"],
                                        "properties": {
                                            "merchantLocationKey": {"type": "string", "maxLength": 36},
                                            "quantity": _COUNT,
                                        },
                                    },
                                },
                            },
                        },
                        "offers": {
                            "type": "array",
                            "minItems": 1,
                            "maxItems": 25,
                            "items": {
                                "type": "object",
                                "required": ["offerId"],
                                "additionalProperties": False,
                                "properties": {
                                    "offerId": {"type": "string", "minLength": 1},
                                    "availableQuantity": _COUNT,
                                    "price": _PRICE,
                                },
                            },
                        },
                    },
                },
            }
        },
    },
    "bulk_get_inventory_item": {
        "type": "object",
        "required": ["requests"],
        "additionalProperties": False,
        "properties": {
            "requests": {
                "type": "array",
                "minItems": 1,
                "items": {
                    "type": "object",
                    "required": ["sku"],
                    "additionalProperties": False,
                    "properties": {"sku": _SKU},
                },
            }
        },
    },
    "destination": {
        "type": "object",
        "required": ["name", "status", "deliveryConfig"],
        "properties": {
            "deliveryConfig": {
                "type": "object",
                "required": ["endpoint", "verificationToken"],
                "properties": {"verificationToken": {"type": "string", "pattern": "^[A-Za-z0-9_-]{32,80}$"}},
            }
        },
    },
}


@dataclass
class _Offer:
    offer_id: str
    sku: str
    marketplace: str
    share: int | None
    price: Decimal
    currency: str
    listing: str | None
    sold: int = 0


@dataclass
class _Item:
    sku: str
    quantity: int
    title: str
    product: dict[str, Any] = field(default_factory=dict)


@dataclass
class _Line:
    line_id: str
    sku: str | None
    listing: str
    title: str
    units: int
    each: Decimal
    refunded: Decimal = Decimal(0)


@dataclass
class _Order:
    order_id: str
    lines: list[_Line]
    currency: str
    placed: datetime
    changed: datetime
    payment: str = "PAID"
    cancel_state: str = "NONE_REQUESTED"
    shipping: Decimal = Decimal(0)
    discount: Decimal = Decimal(0)
    refunds: list[Decimal] = field(default_factory=list)


class EbayPeer(VendorPeer):
    """One seller. Everything is paid when it is bought."""

    def __init__(
        self,
        specs: Path | None = None,
        clock: Clock | None = None,
        *,
        one_sku_only: bool = False,
        restores_on_cancel: bool = True,
        revisions_per_day: int = 250,
        daily_quota: int = 2_000_000,
    ) -> None:
        super().__init__()
        self.clock = clock or Clock()
        self.one_sku_only = one_sku_only
        self.restores_on_cancel = restores_on_cancel
        self.revisions_per_day = revisions_per_day
        self.daily_quota = daily_quota
        self.granted = {f"{_BASE}/sell.inventory", f"{_BASE}/sell.fulfillment"}
        self.violations: list[str] = []
        self.accepted: dict[str, dict[str, int]] = {}
        self.webhooks: list[tuple[dict[str, str], bytes]] = []
        self.items: dict[str, _Item] = {}
        self.offers: dict[str, _Offer] = {}
        self.orders: dict[str, _Order] = {}
        self.hand_made: dict[str, tuple[int, Decimal]] = {}
        self.destinations: list[dict[str, Any]] = []
        self.item_errors: dict[str, deque[tuple[int, int, str]]] = {}
        """What the next writes of a SKU are answered with: status, error, words. Nothing is done then."""
        self.poisoned: set[str] = set()
        """A write that names one of these is refused as a whole."""
        self.forgetful: set[str] = set()
        """Writes of these are answered with 200, and nothing is done."""
        self.refuses_unknown_skus = False
        """Whether a bulk read that names an unknown SKU is refused as a whole; its documents leave that open."""
        self.digest = "SHA1"
        self.keys: dict[str, ec.EllipticCurvePrivateKey] = {}
        self.kid = ""
        self._tokens: dict[str, tuple[str, set[str], datetime]] = {}
        self._revised: Counter[tuple[str, str]] = Counter()
        self._called: Counter[tuple[str, str]] = Counter()
        self._last = datetime.min.replace(tzinfo=UTC)
        self._serial = 10_000
        self.rotate_key()

    # What a test does

    def connection(self, name: str, **options: Any) -> Connection:
        """With working secrets; `auth_url` follows the URL."""
        given = {"client_id": CLIENT[0], "client_secret": CLIENT[1], "refresh_token": REFRESH_TOKEN}
        return Connection(name, "ebay", self.url, options, {**given, "verification_token": VERIFICATION_TOKEN})

    def add(
        self,
        sku: str,
        quantity: int,
        price: str = "100.00",
        *,
        published: bool = True,
        marketplace: str = "EBAY_FR",
        currency: str = "EUR",
        share: int | None = None,
        listing: str | None = None,
    ) -> str:
        """An inventory item with an offer; once more with the same SKU: a further offer. Variations share a `listing`."""
        with self._lock:
            title = f"Title of {sku}"
            product = {"title": title, "description": f"About {sku}", "aspects": {"Brand": ["Luxauto"]}}
            self.items.setdefault(sku, _Item(sku, quantity, title, product))
            number = self._next()
            its = (listing or f"2{number}") if published else None
            part = quantity if share is None else share
            self.offers[number] = _Offer(number, sku, marketplace, part, Decimal(price), currency, its)
            return sku

    def add_without_offer(self, sku: str, quantity: int) -> str:
        with self._lock:
            self.items[sku] = _Item(sku, quantity, f"Title of {sku}", {"title": f"Title of {sku}"})
            return sku

    def add_by_hand(self, quantity: int, price: str = "100.00") -> str:
        """A listing that no Inventory API shows. Returns its number."""
        with self._lock:
            listing = f"3{self._next()}"
            self.hand_made[listing] = (quantity, Decimal(price))
            return listing

    def stock(self, sku: str) -> int | None:
        """What buyers see; of an item that is not published, its whole quantity."""
        with self._lock:
            item = self.items.get(sku)
            if item is None:
                return None
            live = [offer for offer in self._offers_of(sku) if offer.listing]
            return max((self._shown(offer) for offer in live), default=item.quantity)

    def edit(self, sku: str, quantity: int) -> None:
        """By hand in the Seller Hub: whole quantity and shares alike."""
        with self._lock:
            before = self.stock(sku)
            self.items[sku].quantity = quantity
            for offer in self._offers_of(sku):
                offer.share = quantity
            self._availability(sku, before)

    def edit_price(self, sku: str, price: str) -> None:
        with self._lock:
            for offer in self._offers_of(sku):
                offer.price = Decimal(price)
                data = {"itemId": f"v1|{offer.listing}|0", "listingMarketplaceId": offer.marketplace}
                self._send("ITEM_PRICE_REVISION", data)

    def remove(self, sku: str) -> None:
        with self._lock:
            del self.items[sku]
            self.offers = {number: offer for number, offer in self.offers.items() if offer.sku != sku}

    def buy(
        self, wanted: dict[str, int], *, shipping: str = "0.0", discount: str = "0.0", marketplace: str = "EBAY_FR"
    ) -> str | None:
        """A client orders and pays. None, and nothing is done, where there is too little of anything."""
        with self._lock:
            chosen: list[tuple[_Offer, int]] = []
            for sku, units in wanted.items():
                live = [one for one in self._offers_of(sku) if one.listing and one.marketplace == marketplace]
                if not live or self._shown(live[0]) < units:
                    return None
                chosen.append((live[0], units))
            lines = [
                _Line(f"1{self._next()}", one.sku, one.listing or "", self.items[one.sku].title, units, one.price)
                for one, units in chosen
            ]
            for one, units in chosen:
                before = self.stock(one.sku)
                self._move(one, -units)
                self._availability(one.sku, before)
            order = self._place(lines, chosen[0][0].currency, Decimal(shipping), Decimal(discount))
            self.accepted[order.order_id] = dict(wanted)
            return order.order_id

    def buy_by_hand(self, listing: str, units: int = 1) -> str:
        """An order of a listing that was made by hand: its line has no SKU."""
        with self._lock:
            quantity, price = self.hand_made[listing]
            self.hand_made[listing] = (quantity - units, price)
            line = _Line(f"1{self._next()}", None, listing, "Made by hand", units, price)
            return self._place([line], "EUR").order_id

    def cancel(self, order_id: str) -> None:
        """The seller cancels before shipping: the money goes back, and what was sold comes to the listing again unless
        `restores_on_cancel` is off (so where the seller says that it is out of stock). No notification tells."""
        with self._lock:
            order = self.orders[order_id]
            if order.cancel_state == "CANCELED":
                return
            order.cancel_state, order.payment = "CANCELED", "FULLY_REFUNDED"
            total = sum((line.each * line.units for line in order.lines), Decimal(0)) + order.shipping - order.discount
            order.refunds.append(total - sum(order.refunds, Decimal(0)))
            order.changed = self._now()
            if not self.restores_on_cancel:
                return
            for line in order.lines:
                for offer in self.offers.values():
                    if offer.sku == line.sku and offer.listing == line.listing:
                        before = self.stock(offer.sku)
                        self._move(offer, line.units)
                        self._availability(offer.sku, before)

    def ask_to_cancel(self, order_id: str) -> None:
        """The buyer asks; nothing is cancelled yet."""
        with self._lock:
            self.orders[order_id].cancel_state = "IN_PROGRESS"
            self.orders[order_id].changed = self._now()

    def refund(self, order_id: str, sku: str, units: int, restock: bool) -> None:
        """Money of whole units goes back, told at the line and at the order. eBay itself never puts stock back for it: with
        `restock` the seller raises the quantity by hand afterwards."""
        with self._lock:
            order = self.orders[order_id]
            line = next(line for line in order.lines if line.sku == sku)
            self.refund_money(order_id, str(line.each * units), sku)
            if restock:
                self.edit(sku, (self.stock(sku) or 0) + units)

    def refund_money(self, order_id: str, amount: str, sku: str | None = None) -> None:
        """Any amount; of the order as a whole where no `sku` is named."""
        with self._lock:
            order = self.orders[order_id]
            for line in order.lines:
                if sku is not None and line.sku == sku:
                    line.refunded += Decimal(amount)
            order.refunds.append(Decimal(amount))
            paid = sum((line.each * line.units for line in order.lines), Decimal(0)) + order.shipping - order.discount
            is_all = sum(order.refunds, Decimal(0)) >= paid
            order.payment = "FULLY_REFUNDED" if is_all else "PARTIALLY_REFUNDED"
            order.changed = self._now()

    def relist(self, sku: str) -> None:
        """A listing ends and is listed again: what it had sold is back on sale. Never take that for the truth."""
        with self._lock:
            for offer in self._offers_of(sku):
                self._move(offer, offer.sold)
                offer.listing, offer.sold = f"2{self._next()}", 0

    def fail(self, sku: str, error: int, message: str = "A system error has occurred.", *, times: int = 1) -> None:
        """The next `times` writes of this SKU meet this error, within a call that is answered with 207."""
        status = 500 if error == 25001 else 400
        with self._lock:
            self.item_errors.setdefault(sku, deque()).extend([(status, error, message)] * times)

    def delete_account(self) -> None:
        """Some buyer leaves eBay: told to every application."""
        with self._lock:
            self._send(
                "MARKETPLACE_ACCOUNT_DELETION", {"username": "gone", "userId": "ma8vp1jySJC", "eiasToken": "nY+s="}
            )

    def rotate_key(self) -> None:
        """Signs with a new key under a new id; the old ones are still served."""
        with self._lock:
            self.kid = f"9936261a-{len(self.keys):04d}"
            self.keys[self.kid] = ec.generate_private_key(ec.SECP256R1())

    def replace_key(self) -> None:
        """Another key under the same id."""
        with self._lock:
            self.keys[self.kid] = ec.generate_private_key(ec.SECP256R1())

    def redelivered(self, body: bytes) -> tuple[dict[str, str], bytes]:
        """The same message once more: with the same id, and yet other bytes, since the attempts are counted in it."""
        with self._lock:
            message = json.loads(body)
            message["notification"]["publishAttemptCount"] += 1
            message["notification"]["publishDate"] = _shown_time(self._now())
            return self.signed(json.dumps(message, separators=(",", ":")).encode())

    def signed(self, body: bytes) -> tuple[dict[str, str], bytes]:
        digest = {"SHA1": hashes.SHA1(), "SHA256": hashes.SHA256()}[self.digest]
        signature = base64.b64encode(self.keys[self.kid].sign(body, ec.ECDSA(digest))).decode()
        header = {"alg": "ecdsa", "kid": self.kid, "signature": signature, "digest": self.digest}
        encoded = base64.b64encode(json.dumps(header).encode()).decode()
        return {"x-ebay-signature": encoded, "content-type": "application/json"}, body

    def expire_tokens(self) -> None:
        with self._lock:
            self._tokens.clear()

    # What is asked

    def answer(self, asked: Asked) -> Reply:
        if asked.path == "/identity/v1/oauth2/token":
            return self._token(asked)
        kind = "user" if asked.path.startswith("/sell/") else "application"
        refused = self._admit(asked, kind)
        if refused:
            return refused
        for pattern, handle in _ROUTES:
            method, _, path = pattern.partition(" ")
            found = re.fullmatch(path, asked.path) if method == asked.method else None
            if found:
                return handle(self, asked, *(unquote(group) for group in found.groups()))
        return self._wrong(404, 2002, f"Resource not found: {asked}")

    def _token(self, asked: Asked) -> Reply:
        expected = "Basic " + base64.b64encode(":".join(CLIENT).encode()).decode()
        if asked.headers.get("authorization") != expected:
            return Reply(401, {"error": "invalid_client", "error_description": "client authentication failed"})
        form = {name: values[0] for name, values in parse_qs(asked.body.decode()).items()}
        grant, scopes = form.get("grant_type"), set(form.get("scope", "").split())
        if grant == "refresh_token":
            if form.get("refresh_token") != REFRESH_TOKEN:
                words = "the provided authorization refresh token is invalid or was issued to another client"
                return Reply(400, {"error": "invalid_grant", "error_description": words})
            if not scopes <= self.granted:
                words = "The requested scope is invalid, unknown, malformed, or exceeds the scope granted to the client"
                return Reply(400, {"error": "invalid_scope", "error_description": words})
        elif grant != "client_credentials":
            return Reply(400, {"error": "unsupported_grant_type", "error_description": f"grant type {grant}"})
        kind = "user" if grant == "refresh_token" else "application"
        value = f"v^1.1#{secrets.token_hex(8)}"
        self._tokens[value] = (kind, scopes, self.clock.now() + timedelta(seconds=7200))
        title = "User Access Token" if kind == "user" else "Application Access Token"
        return Reply(200, {"access_token": value, "expires_in": 7200, "token_type": title})

    def _admit(self, asked: Asked, kind: str) -> Reply | None:
        value = asked.headers.get("authorization", "").removeprefix("Bearer ")
        of, scopes, ends = self._tokens.get(value, ("", set(), datetime.min.replace(tzinfo=UTC)))
        if not of or ends <= self.clock.now():
            return Reply(401, _errors(1001, "Invalid access token", "OAuth"))
        api = asked.path.split("/")[2]
        needed = f"{_BASE}/sell.{api}" if kind == "user" else _BASE
        if of != kind or needed not in scopes:
            return Reply(
                403, _errors(1100, "Access denied. Insufficient permissions to fulfill the request.", "ACCESS")
            )
        if not re.fullmatch(r"[a-z]{2}-[A-Z]{2}", asked.headers.get("accept-language", "en-US")):
            return self._wrong(400, 25709, "Invalid value for header Accept-Language.")
        self._called[(api, self._day())] += 1
        if api == "inventory" and self._called[(api, self._day())] > self.daily_quota:
            words = "Too many requests. The request limit has been reached for the resource."
            return Reply(429, _errors(2001, words, "ACCESS"))
        return None

    def _list_items(self, asked: Asked) -> Reply:
        limit, page = int(asked.query.get("limit", "25")), int(asked.query.get("offset", "0"))
        if not 1 <= limit <= 200:
            return self._wrong(400, 25709, "Invalid value for limit.")
        records = [self._record(item) for item in self.items.values()]
        here = records[page * limit : (page + 1) * limit]
        if page and not here:
            return self._wrong(400, 25706, "Invalid value for offset: there is no such page.")
        body = {"total": len(records), "size": len(here), "limit": limit, "href": asked.path, "inventoryItems": here}
        return Reply(200, body)

    def _get_item(self, asked: Asked, sku: str) -> Reply:
        item = self.items.get(sku)
        return Reply(200, self._record(item)) if item else Reply(404, _errors(25710, "We didn't find the entity."))

    def _replace_item(self, asked: Asked, sku: str) -> Reply:
        """What is not named is gone."""
        body = asked.json() or {}
        product = body.get("product", {})
        quantity = body.get("availability", {}).get("shipToLocationAvailability", {}).get("quantity", 0)
        self.items[sku] = _Item(sku, quantity, product.get("title", ""), product)
        return Reply(204, b"")

    def _bulk_get(self, asked: Asked) -> Reply:
        refused = self._checked(asked, "bulk_get_inventory_item")
        if refused:
            return refused
        unknown = [one["sku"] for one in asked.json()["requests"] if one["sku"] not in self.items]
        if unknown and self.refuses_unknown_skus:
            return Reply(400, _errors(25702, f"SKU {unknown[0]} is not available in the system"))
        responses: list[dict[str, Any]] = []
        for one in asked.json()["requests"]:
            item = self.items.get(one["sku"])
            if item is None:
                gone = _errors(25702, f"SKU {one['sku']} is not available in the system")["errors"]
                responses.append({"sku": one["sku"], "statusCode": 404, "errors": gone, "warnings": []})
            else:
                record = {name: value for name, value in self._record(item).items() if name != "sku"}
                whole = {"sku": item.sku, "statusCode": 200, "inventoryItem": record, "errors": [], "warnings": []}
                responses.append(whole)
        return Reply(200 if all(one["statusCode"] == 200 for one in responses) else 207, {"responses": responses})

    def _bulk_update(self, asked: Asked) -> Reply:
        refused = self._checked(asked, "bulk_update_price_quantity")
        if refused:
            return refused
        requests = asked.json()["requests"]
        if self.one_sku_only and len(requests) > 1:
            # No violation: nobody can know beforehand.
            return Reply(400, _errors(25709, "Invalid value for requests. Only one SKU can be updated per call."))
        if self.poisoned & {one["sku"] for one in requests}:
            return Reply(400, _errors(25709, "Invalid value for sku."))
        responses = [answer for one in requests for answer in self._update(one)]
        return Reply(200 if all(one["statusCode"] == 200 for one in responses) else 207, {"responses": responses})

    def _update(self, request: dict[str, Any]) -> list[dict[str, Any]]:
        sku, offers = request["sku"], request.get("offers", [])

        def said(status: int, error: int | None = None, words: str = "", offer: str | None = None) -> dict[str, Any]:
            errors = _errors(error, words)["errors"] if error else []
            answer: dict[str, Any] = {"statusCode": status, "sku": sku, "errors": errors, "warnings": []}
            return {**answer, "offerId": offer} if offer else answer

        if self.item_errors.get(sku):
            status, error, words = self.item_errors[sku].popleft()
            return [said(status, error, words)]
        item = self.items.get(sku)
        if item is None:
            return [said(404, 25702, f"SKU {sku} is not available in the system")]
        for one in offers:
            if one["offerId"] not in self.offers or self.offers[one["offerId"]].sku != sku:
                return [said(400, 25713, "This Offer is not available.", one["offerId"])]
        listings = {listing for one in self._offers_of(sku) if (listing := one.listing)}
        if any(self._revised[(listing, self._day())] >= self.revisions_per_day for listing in listings):
            return [said(400, 25019, "Cannot revise listing. It was revised as often as is allowed for one day.")]
        self._revised.update((listing, self._day()) for listing in listings)
        if sku not in self.forgetful:
            before = self.stock(sku)
            item.quantity = request.get("shipToLocationAvailability", {}).get("quantity", item.quantity)
            for one in offers:
                offer = self.offers[one["offerId"]]
                offer.share = one.get("availableQuantity", offer.share)
                offer.price = Decimal(one["price"]["value"]) if "price" in one else offer.price
            self._availability(sku, before)
        return [said(200, offer=one["offerId"]) for one in offers] or [said(200)]

    def _list_offers(self, asked: Asked) -> Reply:
        if "sku" not in asked.query:
            return self._wrong(400, 25707, "Invalid SKU. One is asked for at a time.")
        found = [self._offer(offer) for offer in self._offers_of(asked.query["sku"])]
        if not found:
            return Reply(404, _errors(25713, "This Offer is not available."))
        return Reply(200, {"total": len(found), "size": len(found), "limit": 100, "offers": found})

    def _migrate(self, asked: Asked) -> Reply:
        responses = []
        for one in asked.json()["requests"][:5]:
            quantity, price = self.hand_made.pop(one["listingId"])
            sku = self.add(f"MIGRATED-{one['listingId']}", quantity, str(price), listing=one["listingId"])
            responses.append({"statusCode": 200, "listingId": one["listingId"], "inventoryItems": [{"sku": sku}]})
        return Reply(200, {"responses": responses})

    def _list_orders(self, asked: Asked) -> Reply:
        query = asked.query
        if "orderIds" in query:
            wanted = query["orderIds"].split(",")
            if len(wanted) > 50:
                return self._wrong(400, 30820, "The number of order IDs exceeds 50.")
            if unknown := [one for one in wanted if one not in self.orders]:
                return Reply(400, _errors(32100, f"Invalid order ID: {unknown[0]}", "API_FULFILLMENT"))
            return self._order_page([self.orders[one] for one in wanted], 50, 0)
        limit, offset = int(query.get("limit", "50")), int(query.get("offset", "0"))
        if not 1 <= limit <= 200:
            return self._wrong(400, 30810, "Invalid limit.")
        now = self.clock.now()
        if "filter" not in query:
            found = [one for one in self.orders.values() if one.placed >= now - timedelta(days=90)]
            return self._order_page(found, limit, offset)
        moment = r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)"
        parts = re.fullmatch(rf"lastmodifieddate:\[{moment}\.\.{moment}?\]", query["filter"])
        if parts is None:
            return self._wrong(400, 30700, f"Invalid filter: {query['filter']}")
        start = datetime.fromisoformat(parts[1])
        end = datetime.fromisoformat(parts[2]) if parts[2] else None
        if start < now - timedelta(days=730):
            return self._wrong(400, 30700, "The start date is more than two years back.")
        changed = {one.order_id: one.changed.replace(microsecond=0) for one in self.orders.values()}
        found = [
            one
            for one in self.orders.values()
            if start <= changed[one.order_id] and (end is None or changed[one.order_id] <= end)
        ]
        return self._order_page(found, limit, offset)

    def _order_page(self, found: list[_Order], limit: int, offset: int) -> Reply:
        newest_first = sorted(found, key=lambda one: one.changed, reverse=True)
        here = [self._told(one) for one in newest_first[offset : offset + limit]]
        return Reply(200, {"total": len(found), "limit": limit, "offset": offset, "orders": here})

    def _get_order(self, asked: Asked, order_id: str) -> Reply:
        order = self.orders.get(order_id)
        if order is None:
            return Reply(404, _errors(32100, f"Invalid order ID: {order_id}", "API_FULFILLMENT"))
        told = self._told(order)
        if order.cancel_state != "NONE_REQUESTED":
            told["cancelStatus"]["cancelRequests"] = [{"cancelRequestId": "5360375787", "cancelInitiator": "SELLER"}]
        return Reply(200, told)

    def _rate_limits(self, asked: Asked) -> Reply:
        used = self._called[("inventory", self._day())]
        rate = {
            "limit": self.daily_quota,
            "remaining": max(0, self.daily_quota - used),
            "count": used,
            "reset": "2026-11-23T08:00:00.000Z",
            "timeWindow": 86400,
        }
        resources = [{"name": "sell.inventory", "rates": [rate]}]
        whole = {"apiContext": "sell", "apiName": "Inventory", "apiVersion": "v1", "resources": resources}
        return Reply(200, {"rateLimits": [whole, {"apiContext": "sell", "apiName": "Marketing", "resources": []}]})

    def _list_destinations(self, asked: Asked) -> Reply:
        return Reply(200, {"total": len(self.destinations), "destinations": self.destinations})

    def _create_destination(self, asked: Asked) -> Reply:
        """Asks the endpoint for its answer to a challenge first."""
        refused = self._checked(asked, "destination")
        if refused:
            return refused
        body = asked.json()
        endpoint, token = body["deliveryConfig"]["endpoint"], body["deliveryConfig"]["verificationToken"]
        code = secrets.token_hex(16)
        try:
            with urllib.request.urlopen(f"{endpoint}?challenge_code={code}", timeout=5) as given:
                said = json.loads(given.read())
        except (urllib.error.URLError, ValueError):
            said = {}
        if said != {"challengeResponse": sha256((code + token + endpoint).encode()).hexdigest()}:
            return Reply(
                409, _errors(195021, "Challenge verification failed for requested endpoint", "API_NOTIFICATION")
            )
        self.destinations.append({**body, "destinationId": secrets.token_hex(8)})
        return Reply(201, b"")

    def _public_key(self, asked: Asked, kid: str) -> Reply:
        if kid not in self.keys:
            return Reply(404, _errors(195001, "Invalid key id", "API_NOTIFICATION"))
        pem = (
            self.keys[kid]
            .public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        )
        # On one line, as eBay gives it.
        key = pem.decode().replace("\n", "")
        return Reply(200, {"key": key, "algorithm": "ECDSA", "digest": self.digest})

    # Helpers

    def _checked(self, asked: Asked, name: str) -> Reply | None:
        if asked.headers.get("content-type") != "application/json":
            return self._wrong(415, 2004, "Content-Type must be application/json")
        body = asked.json()
        found = next(iter(Draft202012Validator(_SCHEMAS[name]).iter_errors(body)), None)
        if found is not None:
            return self._wrong(400, 25709, f"Invalid value for {found.json_path}: {found.message}")
        requests = body.get("requests", [])
        if len(requests) > 25:
            return self._wrong(400, 25727, "The number of InventoryItems in the request cannot exceed 25.")
        if len({one["sku"] for one in requests}) < len(requests):
            return self._wrong(400, 25734, "SKU should be unique in the request.")
        return None

    def _wrong(self, status: int, error: int, words: str) -> Reply:
        self.violations.append(f"{error} {words}")
        return Reply(status, _errors(error, words))

    def _offers_of(self, sku: str) -> list[_Offer]:
        return [offer for offer in self.offers.values() if offer.sku == sku]

    def _shown(self, offer: _Offer) -> int:
        whole = self.items[offer.sku].quantity
        return whole if offer.share is None else min(whole, offer.share)

    def _move(self, offer: _Offer, units: int) -> None:
        self.items[offer.sku].quantity += units
        offer.share = None if offer.share is None else offer.share + units
        offer.sold -= units if units < 0 else 0

    def _place(
        self, lines: list[_Line], currency: str, shipping: Decimal = Decimal(0), discount: Decimal = Decimal(0)
    ) -> _Order:
        number = self._next()
        now = self._now()
        order = _Order(f"13-{number}-{len(self.orders):05d}", lines, currency, now, now)
        order.shipping, order.discount = shipping, discount
        self.orders[order.order_id] = order
        sold = [{"orderLineItemId": one.line_id, "listingId": one.listing, "quantity": one.units} for one in lines]
        user = {"userId": "TFHVhLbkQtu", "username": "luxauto"}
        self._send("ORDER_CONFIRMATION", {"user": user, "order": {"orderId": order.order_id, "orderLineItems": sold}})
        return order

    def _availability(self, sku: str, before: int | None) -> None:
        after = self.stock(sku)
        if bool(before) == bool(after):
            return
        for offer in self._offers_of(sku):
            kind = "AVAILABLE" if after else "TEMPORARILY_UNAVAILABLE"
            data = {"itemId": f"v1|{offer.listing}|0", "listingMarketplaceId": offer.marketplace, "availability": kind}
            self._send("ITEM_AVAILABILITY", data)

    def _send(self, topic: str, data: dict[str, Any]) -> None:
        now = _shown_time(self._now())
        notification = {
            "notificationId": f"{secrets.token_hex(8)}_{secrets.token_hex(8)}",
            "eventDate": now,
            "publishDate": now,
            "publishAttemptCount": 1,
            "data": data,
        }
        metadata = {"topic": topic, "schemaVersion": "1.0", "deprecated": False}
        body = json.dumps({"metadata": metadata, "notification": notification}, separators=(",", ":")).encode()
        self.webhooks.append(self.signed(body))

    def _record(self, item: _Item) -> dict[str, Any]:
        whole = {"shipToLocationAvailability": {"quantity": item.quantity}}
        return {"sku": item.sku, "locale": "fr_FR", "condition": "NEW", "product": item.product, "availability": whole}

    def _offer(self, offer: _Offer) -> dict[str, Any]:
        told: dict[str, Any] = {
            "offerId": offer.offer_id,
            "sku": offer.sku,
            "marketplaceId": offer.marketplace,
            "format": "FIXED_PRICE",
            "pricingSummary": {"price": {"value": str(offer.price), "currency": offer.currency}},
            "status": "PUBLISHED" if offer.listing else "UNPUBLISHED",
        }
        if offer.share is not None:
            told["availableQuantity"] = offer.share
        if offer.listing:
            status = "ACTIVE" if self._shown(offer) else "OUT_OF_STOCK"
            told["listing"] = {"listingId": offer.listing, "listingStatus": status, "soldQuantity": offer.sold}
        return told

    def _told(self, order: _Order) -> dict[str, Any]:
        def money(amount: Decimal) -> dict[str, str]:
            return {"value": str(amount), "currency": order.currency}

        subtotal = sum((line.each * line.units for line in order.lines), Decimal(0))
        prices = {
            "priceSubtotal": money(subtotal),
            "deliveryCost": money(order.shipping),
            "total": money(subtotal + order.shipping - order.discount),
        }
        if order.discount:
            prices["priceDiscount"] = money(-order.discount)
        address = {"contactAddress": {"city": "Lyon", "postalCode": "69001", "countryCode": "FR"}}
        return {
            "orderId": order.order_id,
            "legacyOrderId": order.order_id,
            "creationDate": _shown_time(order.placed),
            "lastModifiedDate": _shown_time(order.changed),
            "orderFulfillmentStatus": "NOT_STARTED",
            "orderPaymentStatus": order.payment,
            "sellerId": "luxauto",
            "buyer": {"username": "buyer", "taxAddress": {"countryCode": "FR"}},
            "pricingSummary": prices,
            "cancelStatus": {"cancelState": order.cancel_state, "cancelRequests": []},
            "paymentSummary": {"refunds": [{"amount": money(amount)} for amount in order.refunds], "payments": []},
            "fulfillmentStartInstructions": [{"shippingStep": {"shipTo": address}}],
            "lineItems": [self._told_line(order, line) for line in order.lines],
        }

    def _told_line(self, order: _Order, line: _Line) -> dict[str, Any]:
        whole = {"value": str(line.each * line.units), "currency": order.currency}
        refund = {"amount": {"value": str(line.refunded), "currency": order.currency}}
        told = {
            "lineItemId": line.line_id,
            "legacyItemId": line.listing,
            "sku": line.sku,
            "title": line.title,
            "quantity": line.units,
            "soldFormat": "FIXED_PRICE",
            "lineItemCost": whole,
            "total": whole,
            "refunds": [refund] if line.refunded else [],
        }
        return {name: value for name, value in told.items() if value is not None}

    def _next(self) -> str:
        self._serial += 1
        return str(self._serial)

    def _now(self) -> datetime:
        self._last = max(self.clock.now(), self._last + timedelta(microseconds=1))
        return self._last

    def _day(self) -> str:
        return self.clock.now().astimezone(ZoneInfo("America/Los_Angeles")).date().isoformat()


_ROUTES = [
    (r"GET /sell/inventory/v1/inventory_item", EbayPeer._list_items),
    (r"GET /sell/inventory/v1/inventory_item/([^/]+)", EbayPeer._get_item),
    (r"PUT /sell/inventory/v1/inventory_item/([^/]+)", EbayPeer._replace_item),
    (r"POST /sell/inventory/v1/bulk_get_inventory_item", EbayPeer._bulk_get),
    (r"POST /sell/inventory/v1/bulk_update_price_quantity", EbayPeer._bulk_update),
    (r"POST /sell/inventory/v1/bulk_migrate_listing", EbayPeer._migrate),
    (r"GET /sell/inventory/v1/offer", EbayPeer._list_offers),
    (r"GET /sell/fulfillment/v1/order", EbayPeer._list_orders),
    (r"GET /sell/fulfillment/v1/order/([^/]+)", EbayPeer._get_order),
    (r"GET /developer/analytics/v1_beta/rate_limit/", EbayPeer._rate_limits),
    (r"GET /commerce/notification/v1/destination", EbayPeer._list_destinations),
    (r"POST /commerce/notification/v1/destination", EbayPeer._create_destination),
    (r"GET /commerce/notification/v1/public_key/([^/]+)", EbayPeer._public_key),
]


def _errors(error: int, words: str, domain: str = "API_INVENTORY") -> dict[str, Any]:
    one = {"errorId": error, "domain": domain, "category": "REQUEST", "message": words, "longMessage": words}
    return {"errors": [one]}


def _shown_time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
