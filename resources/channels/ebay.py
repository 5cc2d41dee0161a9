"""eBay, by its Inventory, Fulfillment and Analytics APIs.

Belongs here: their paths, bodies and answers. Does not belong here: what eBay sends by itself (`ebay_notifications`), how a
request is repeated (`transport`), what a quantity should be.

Secrets: `client_id`, `client_secret`, `refresh_token` (of the seller's consent), `verification_token` (of notifications).
Options, beside those of every connection: `marketplace_id` (EBAY_FR), `auth_url` (beneath the connection's URL), `scopes`,
`daily_quota` (calls of the Inventory API; 2,000,000, or what eBay tells in `check`), `batch_size` (25), `revisions_per_day`
(250 a listing), `merchant_location_key` (stock is written for that place as well).

A key is a SKU. What buyers see is the smaller of the item's whole quantity and the offer's share of it, so both are written.
eBay's answer to a write shows no value. Each call is therefore read back at once: the whole quantity for a batch, with the
offers where there are few items. What cannot be read back then is `accepted`. There is no compare-and-set: `expected` is not
compared. Listings made by hand cannot be seen here until `bulk_migrate_listing` has taken them over.
A listing that is written to 0 stays where the seller has switched on eBay's out-of-stock option, else eBay ends it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import httpx2 as httpx

from resources.channels.ebay_access import application, dial, refresh_grant, tokens_of
from resources.channels.ebay_items import (
    Write,
    compared,
    error_ids,
    errors_of,
    is_transient,
    listed_item,
    offer_ids,
    refused_result,
    shown_value,
    wants_one_sku,
    whole_quantity,
)
from resources.channels.ebay_orders import order_of
from resources.channels.protocol import (
    ChannelError,
    ChannelOrder,
    ChannelUnavailable,
    Connection,
    Finding,
    ListedItem,
    Outcome,
    OutcomeUnknown,
    PriceWrite,
    QuotaExhausted,
    RequestRefused,
    StockWrite,
    WriteResult,
)
from resources.channels.transport import Tools, Transport

_INVENTORY = "/sell/inventory/v1"
_ORDERS = "/sell/fulfillment/v1/order"
_RATE_LIMITS = "/developer/analytics/v1_beta/rate_limit/"
_DESTINATIONS = "/commerce/notification/v1/destination"
_QUOTAS = {"inventory": 2_000_000, "fulfillment": 100_000}
_PAGE = 200
_BULK = 25
_ORDERS_A_CALL = 50
_READ_BACK_WITH_OFFERS = 4
_LISTING_TRIES = 3
_OLDEST = timedelta(days=729)
_NO_SUCH_ITEM = {25702, 25710}
_NO_SUCH_ORDER = {32100}
_DAY_SPENT = 2001
_LANGUAGES = {"EBAY_FR": "fr-FR", "EBAY_DE": "de-DE", "EBAY_GB": "en-GB", "EBAY_IT": "it-IT", "EBAY_ES": "es-ES"}
_MIGRATE = "Take listings over with POST /sell/inventory/v1/bulk_migrate_listing (5 a call), each with a SKU."

_Answers = dict[str, list[dict[str, Any]]]


def connect(connection: Connection, tools: Tools) -> "Ebay":
    """A connector for this connection. Asks nothing yet."""
    return Ebay(connection, tools)


class Ebay:
    """One seller's account on one marketplace. See the module for what it can and cannot show."""

    kind = "ebay"
    settle_seconds = 30.0

    def __init__(self, connection: Connection, tools: Tools) -> None:
        options = connection.options
        self._name = connection.name
        self._tools = tools
        self._marketplace = str(options.get("marketplace_id", "EBAY_FR"))
        self._location = options.get("merchant_location_key")
        self._batch = int(options.get("batch_size", _BULK))
        self._revisions = int(options.get("revisions_per_day", 250))
        self._quotas = {**_QUOTAS, "inventory": int(options.get("daily_quota", _QUOTAS["inventory"]))}
        self._is_quota_given = "daily_quota" in options
        self._has_notifications = bool(connection.secrets.get("verification_token"))
        self._tokens = tokens_of(connection, tools, refresh_grant(connection))
        language = _LANGUAGES.get(self._marketplace, "en-US")
        headers = {
            "Accept-Language": language,
            "Content-Language": language,
            "X-EBAY-C-MARKETPLACE-ID": self._marketplace,
        }
        self._seller = Transport(dial(connection, connection.url, headers, self._tokens), tools, self._look_at)
        self._application = application(connection, tools)

    def check(self) -> list[Finding]:
        """Token and scopes, both APIs, the quota, listings that cannot be seen, where notifications go."""
        token = self._tried("token", self._fetch_token, "Let the seller consent again, and save the new refresh token.")
        if not token.ok:
            return [token]
        return [
            token,
            self._tried("inventory", self._count_items, "Consent to the scope sell.inventory."),
            self._tried("orders", self._count_orders, "Consent to the scope sell.fulfillment."),
            self._tried("quota", self._read_quota, "Ask eBay for an Application Growth Check."),
            self._hand_made(),
            *([self._destinations()] if self._has_notifications else []),
        ]

    def list_items(self) -> Iterator[list[ListedItem]]:
        """All inventory items with their offers: a call for 200 items, and one more for each item's offers."""
        records = self._all_records()
        for start in range(0, len(records), _PAGE):
            yield self._with_offers(records[start : start + _PAGE])

    def read_items(self, items: Sequence[ListedItem]) -> list[ListedItem]:
        """Just these: a call for 25 items, and one more for each item's offers."""
        return self._with_offers(self._records([item.key for item in items]))

    def write_stock(self, writes: Sequence[StockWrite]) -> Iterator[list[WriteResult]]:
        """Sets the item's whole quantity and each offer's share to the same, up to 25 SKUs a call."""
        yield from self._write(writes)

    def write_prices(self, writes: Sequence[PriceWrite]) -> Iterator[list[WriteResult]]:
        """Sets the price of this marketplace's offers; those of other marketplaces have other currencies."""
        unsold = [write for write in writes if not offer_ids(write)]
        if unsold:
            yield [
                refused_result(write, "no offer on this marketplace is published, so there is no price")
                for write in unsold
            ]
        yield from self._write([write for write in writes if offer_ids(write)])

    def orders_since(self, since: datetime) -> Iterator[list[ChannelOrder]]:
        """Orders changed at or after `since`, at most two years back. eBay's times are whole seconds."""
        earliest = self._tools.clock.now() - _OLDEST
        yield from self._changed_between(max(since, earliest).replace(microsecond=0), None)

    def read_orders(self, order_ids: Sequence[str]) -> list[ChannelOrder]:
        """Just these orders, 50 a call."""
        chunks = (order_ids[start : start + _ORDERS_A_CALL] for start in range(0, len(order_ids), _ORDERS_A_CALL))
        return [order for chunk in chunks for order in self._orders(chunk)]

    def close(self) -> None:
        self._seller.close()
        self._application.close()

    # Asking, within the day's quota

    def _ask(self, method: str, path: str, **request: Any) -> Any:
        self._take(_api(path))
        return self._said(self._seller.read(method, path, **request))

    def _said(self, answer: httpx.Response) -> Any:
        try:
            return answer.json()
        except ValueError as error:
            raise ChannelUnavailable(
                f"{self._name} answers {answer.url.path} with what is no JSON. Is the URL right?"
            ) from error

    def _take(self, api: str, calls: int = 1) -> None:
        until = _day_ends(self._tools.clock.now())
        if not self._tools.limiter.take_of_day(f"{self._name}/calls/{api}", calls, self._quotas[api], until):
            raise QuotaExhausted(
                f"{self._name}: the {self._quotas[api]:,} calls a day of eBay's {api} API are used up until {_told(until)}.",
                until,
            )

    def _look_at(self, answer: httpx.Response) -> None:
        """A 429 without a time to wait is the day's quota: to ask again would only be refused again."""
        if answer.status_code != 429 or "retry-after" in answer.headers or _DAY_SPENT not in error_ids(_json(answer)):
            return
        self._tools.breaker.succeeded(self._name)
        until = _day_ends(self._tools.clock.now())
        raise QuotaExhausted(
            f"{self._name}: eBay says that its calls of the day are used up until {_told(until)}.", until
        )

    # Items

    def _all_records(self) -> list[dict[str, Any]]:
        """Every inventory item, from the start again where their number changed between two pages: `offset` is the number
        of a page there, so that an item which goes would let another slip through."""
        for _ in range(_LISTING_TRIES):
            found: dict[str, dict[str, Any]] = {}
            totals: set[int] = set()
            page = 0
            while True:
                answer = self._ask("GET", f"{_INVENTORY}/inventory_item", params={"limit": _PAGE, "offset": page})
                totals.add(int(answer.get("total", 0)))
                found.update((record["sku"], record) for record in answer.get("inventoryItems", []))
                page += 1
                if page * _PAGE >= max(totals):
                    break
            if len(totals) == 1:
                return list(found.values())
        raise ChannelUnavailable(f"{self._name}: items come and go faster than they can be listed. Try again later.")

    def _records(self, keys: Sequence[str]) -> list[dict[str, Any]]:
        """These inventory items; one that is gone is left out."""
        chunks = (keys[start : start + _BULK] for start in range(0, len(keys), _BULK))
        return [record for chunk in chunks for record in self._chunk_of_records(chunk)]

    def _chunk_of_records(self, keys: Sequence[str]) -> list[dict[str, Any]]:
        """One that is gone may spoil its call: halved until it is found, lest the others seem gone too."""
        try:
            asked = {"requests": [{"sku": key} for key in keys]}
            answer = self._ask("POST", f"{_INVENTORY}/bulk_get_inventory_item", json=asked)
        except RequestRefused as refused:
            if not _NO_SUCH_ITEM & error_ids(refused.body):
                raise
            half = len(keys) // 2
            return self._chunk_of_records(keys[:half]) + self._chunk_of_records(keys[half:]) if half else []
        found = [one for one in answer.get("responses", []) if one.get("statusCode") == 200]
        return [{**one["inventoryItem"], "sku": one["sku"]} for one in found if "inventoryItem" in one]

    def _with_offers(self, records: Sequence[dict[str, Any]]) -> list[ListedItem]:
        if not records:
            return []
        self._take("inventory", len(records))
        with ThreadPoolExecutor(self._seller.dial.concurrency) as few:
            offers = few.map(self._offers, [record["sku"] for record in records])
            return [listed_item(record, its, self._marketplace) for record, its in zip(records, offers, strict=True)]

    def _offers(self, sku: str) -> list[dict[str, Any]]:
        try:
            answer = self._seller.read("GET", f"{_INVENTORY}/offer", params={"sku": sku})
        except RequestRefused as refused:
            if refused.status == 404:
                return []
            raise
        return self._said(answer).get("offers", [])

    # Writing

    def _write(self, writes: Sequence[Write]) -> Iterator[list[WriteResult]]:
        left = list(writes)
        while left:
            # May have become one on the way.
            part, left = left[: self._batch], left[self._batch :]
            worn = [write for write in part if not self._may_revise(write)]
            if worn:
                yield [
                    refused_result(write, f"listing {write.handles.get('listing')}: {self._worn_out()}")
                    for write in worn
                ]
            fresh = [write for write in part if write not in worn]
            if fresh:
                yield from self._sent(fresh)

    def _sent(self, writes: Sequence[Write]) -> Iterator[list[WriteResult]]:
        try:
            answers = self._post(writes)
        except OutcomeUnknown as lost:
            yield [WriteResult(write.key, Outcome.unknown, detail=str(lost)) for write in writes]
            return
        except RequestRefused as refused:
            if len(writes) == 1:
                yield [refused_result(writes[0], str(refused))]
                return
            if wants_one_sku(refused):
                self._batch = 1
            size = max(1, min(self._batch, len(writes) // 2))
            for start in range(0, len(writes), size):
                yield from self._sent(writes[start : start + size])
            return
        yield self._judged(writes, answers)

    def _post(self, writes: Sequence[Write]) -> _Answers:
        """What eBay says of each key: nothing, or an answer for the item and one for each of its offers."""
        self._take("inventory")
        requests = {"requests": [self._request(write) for write in writes]}
        sent = self._seller.write("POST", f"{_INVENTORY}/bulk_update_price_quantity", json=requests)
        answer = _json(sent)
        if not isinstance(answer, dict):
            raise OutcomeUnknown(f"{self._name}: a write was answered with {sent.status_code} and with what is no JSON")
        answers: _Answers = {write.key: [] for write in writes}
        keys = {offer: write.key for write in writes for offer in offer_ids(write)}
        for one in answer.get("responses", []):
            key = one.get("sku") or keys.get(one.get("offerId", ""))
            if key in answers:
                answers[key].append(one)
        return answers

    def _request(self, write: Write) -> dict[str, Any]:
        if isinstance(write, PriceWrite):
            price = {"value": format(write.price, "f"), "currency": write.currency}
            return {"sku": write.key, "offers": [{"offerId": offer, "price": price} for offer in offer_ids(write)]}
        whole: dict[str, Any] = {"quantity": write.quantity}
        if self._location:
            whole["availabilityDistributions"] = [{"merchantLocationKey": self._location, "quantity": write.quantity}]
        request: dict[str, Any] = {"sku": write.key, "shipToLocationAvailability": whole}
        if offers := offer_ids(write):
            request["offers"] = [{"offerId": offer, "availableQuantity": write.quantity} for offer in offers]
        return request

    def _judged(self, writes: Sequence[Write], answers: _Answers) -> list[WriteResult]:
        """Nothing is raised here: these were sent, whatever comes after."""
        lost: str | None = None
        again = [write for write in writes if is_transient(answers[write.key])]
        if again:
            try:
                answers = {**answers, **self._post(again)}
            except ChannelError as error:
                lost = str(error)
        unsure = {write.key for write in again} if lost else set()
        agreed = [write for write in writes if write.key not in unsure and not errors_of(answers[write.key])]
        results = {result.key: result for result in self._read_back(agreed)} if agreed else {}
        for write in writes:
            if write.key in unsure:
                results[write.key] = WriteResult(write.key, Outcome.unknown, detail=f"eBay had a system error; {lost}")
            elif write.key not in results:
                results[write.key] = refused_result(write, self._words(errors_of(answers[write.key])))
        return [results[write.key] for write in writes]

    def _read_back(self, writes: Sequence[Write]) -> list[WriteResult]:
        keys = [write.key for write in writes]
        shown: dict[str, int | Decimal | None]
        try:
            records = self._records(keys)
            if len(writes) <= _READ_BACK_WITH_OFFERS or any(isinstance(write, PriceWrite) for write in writes):
                of = {item.key: item for item in self._with_offers(records)}
                shown = {write.key: shown_value(of[write.key], write) for write in writes if write.key in of}
            else:
                shown = {record["sku"]: whole_quantity(record) for record in records}
        except ChannelError as error:
            why = f"eBay said yes, and could not be read back: {error}"
            return [WriteResult(key, Outcome.accepted, detail=why) for key in keys]
        return [compared(write, shown.get(write.key)) for write in writes]

    def _may_revise(self, write: Write) -> bool:
        """Counts a revision of the write's listing. A tenth of the day's is kept for fewer units on sale: these are always
        sent, since eBay itself may count otherwise than we do, and too many on sale is what must not be."""
        listing = write.handles.get("listing")
        if not listing:
            return True
        lowers = isinstance(write, StockWrite) and (write.expected is None or write.quantity < write.expected)
        quota = self._revisions if lowers else self._revisions - self._revisions // 10
        until = _day_ends(self._tools.clock.now())
        return self._tools.limiter.take_of_day(f"{self._name}/revisions/{listing}", 1, quota, until) or lowers

    def _worn_out(self) -> str:
        until = _told(_day_ends(self._tools.clock.now()))
        return (
            f"eBay lets a listing be revised {self._revisions} times a day, and these are used up until {until}; "
            f"a tenth is kept for lower quantities. Write it again after that."
        )

    def _words(self, errors: Sequence[Mapping[str, Any]]) -> str:
        said = "; ".join(
            f"{error.get('errorId')} {error.get('longMessage') or error.get('message')}" for error in errors
        )
        return f"{said}. {self._worn_out()}" if "revis" in said.lower() else said

    # Orders

    def _changed_between(self, start: datetime, end: datetime | None) -> Iterator[list[ChannelOrder]]:
        """Halves the time until it fits a page: an order that changes meanwhile only moves to a later part, which is read
        later, while with an offset it would let another slip through."""
        first = self._order_page(start, end, 0)
        orders, total = first.get("orders", []), int(first.get("total", 0))
        middle = start + ((end or self._tools.clock.now()) - start) / 2
        if total > _PAGE and middle - start >= timedelta(seconds=1):
            yield from self._changed_between(start, middle)
            yield from self._changed_between(middle + timedelta(milliseconds=1), end)
            return
        # So many in one second: there is no other way than rows.
        for offset in range(_PAGE, total, _PAGE):
            orders = [*orders, *self._order_page(start, end, offset).get("orders", [])]
        if orders:
            yield sorted({raw["orderId"]: order_of(raw) for raw in orders}.values(), key=lambda order: order.updated_at)

    def _order_page(self, start: datetime, end: datetime | None, offset: int) -> Any:
        changed = f"lastmodifieddate:[{_stamp(start)}..{_stamp(end) if end else ''}]"
        return self._ask("GET", _ORDERS, params={"filter": changed, "limit": _PAGE, "offset": offset})

    def _orders(self, order_ids: Sequence[str]) -> list[ChannelOrder]:
        """One id that eBay does not know spoils its call: halved until it is found."""
        if not order_ids:
            return []
        try:
            answer = self._ask("GET", _ORDERS, params={"orderIds": ",".join(order_ids)})
        except RequestRefused as refused:
            if refused.status != 404 and not _NO_SUCH_ORDER & error_ids(refused.body):
                raise
            half = len(order_ids) // 2
            return self._orders(order_ids[:half]) + self._orders(order_ids[half:]) if half else []
        return [order_of(raw) for raw in answer.get("orders", [])]

    # Checking

    def _tried(self, name: str, call: Callable[[], str], remedy: str) -> Finding:
        try:
            return Finding(name, True, call())
        except ChannelError as error:
            return Finding(name, False, str(error), remedy)

    def _fetch_token(self) -> str:
        self._tokens.current()
        return "eBay gives a token with the scopes asked for."

    def _count_items(self) -> str:
        total = self._ask("GET", f"{_INVENTORY}/inventory_item", params={"limit": 1, "offset": 0}).get("total", 0)
        return f"The Inventory API shows {total} items."

    def _count_orders(self) -> str:
        total = self._ask("GET", _ORDERS, params={"limit": 1}).get("total", 0)
        return f"The Fulfillment API shows {total} orders of the last 90 days."

    def _read_quota(self) -> str:
        """Takes the live quota over, unless the connection gives one."""
        answer = self._application.read("GET", _RATE_LIMITS, params={"api_context": "sell"})
        told = []
        for limit in answer.json().get("rateLimits", []) if answer.content else []:
            api = str(limit.get("apiName", "")).lower()
            rates = [rate for resource in limit.get("resources", []) for rate in resource.get("rates", [])]
            if api not in self._quotas or not rates:
                continue
            least = min(rates, key=lambda rate: rate["limit"])
            if not (api == "inventory" and self._is_quota_given):
                self._quotas[api] = int(least["limit"])
            told.append(f"{api} {least['remaining']:,} of {least['limit']:,} until {least['reset']}")
        return f"Calls left: {'; '.join(told)}." if told else "eBay tells no quota; its documented ones are used."

    def _hand_made(self) -> Finding:
        """Whether what was sold lately can be seen at all."""
        unseen = "Listings that were made by hand or by other tools are invisible to the Inventory API"
        try:
            sold = self._ask("GET", _ORDERS, params={"limit": _ORDERS_A_CALL}).get("orders", [])
            lines = [line for raw in sold for line in raw.get("lineItems", [])]
            skus = {line["sku"] for line in lines if line.get("sku")}
            seen = {record["sku"] for record in self._records(sorted(skus))}
        except ChannelError as error:
            return Finding("listings", False, str(error))
        missing = sorted({line.get("legacyItemId", "?") for line in lines if line.get("sku") not in seen})
        if missing:
            return Finding("listings", False, f"{unseen}; of those sold lately: {', '.join(missing[:10])}.", _MIGRATE)
        return Finding("listings", True, f"{unseen}. Whatever was sold lately is visible.", _MIGRATE)

    def _destinations(self) -> Finding:
        try:
            found = self._application.read("GET", _DESTINATIONS).json().get("destinations", [])
        except ChannelError as error:
            return Finding("notifications", False, str(error), "Look at the application's Alerts and Notifications.")
        bad = [one for one in found if one.get("status") != "ENABLED"]
        if bad or not found:
            said = "; ".join(f"{one.get('name')}: {one.get('status')}" for one in bad) or "there is no destination"
            return Finding("notifications", False, said, "Create or enable the destination; until then eBay is polled.")
        return Finding("notifications", True, f"{len(found)} destination(s) enabled.")


def _json(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        return None


def _api(path: str) -> str:
    return path.split("/")[2]


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def _day_ends(now: datetime) -> datetime:
    """eBay's days begin at midnight of its own coast."""
    there = now.astimezone(ZoneInfo("America/Los_Angeles"))
    return datetime.combine(there.date() + timedelta(days=1), time(), there.tzinfo).astimezone(UTC)


def _told(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
