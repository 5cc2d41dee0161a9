"""WooCommerce, REST API wc/v3.

Secrets: `key` and `secret` (of a REST API key that may read and write) and `webhook_secret`. Over https they are sent as Basic
authentication; over plain http WooCommerce takes signed requests only. Options besides the common ones: `batch_size` (items
of one write, at most and by default 100; less for a slow host), `concurrency` (requests at a time, 4), `sale_states` (states
that the shop's plugins add and that are sales).

Belongs here: its paths, bodies and traps. Does not belong here: retries and whether a write may have happened (`transport`),
what its JSON means and its webhooks (`woocommerce_answers`).
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import httpx2 as httpx

from resources.channels.oauth1 import OAuth1
from resources.channels.protocol import (
    ChannelError,
    ChannelOrder,
    ChannelUnavailable,
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
from resources.channels.transport import Dial, Tools, Transport
from resources.channels.woocommerce_answers import (
    ITEM_FIELDS,
    SALES,
    SENDER,
    amount,
    changed_at,
    has_variations,
    is_ping,
    item_of,
    order_of,
)

__all__ = ["SENDER", "WooCommerce", "connect", "is_ping"]

_API = "/wp-json/wc/v3/"
_PAGE = 100
_LONGEST_LIST = 4000
"""Characters of a list in a query: servers take about 8,000 in all."""
_SECOND = timedelta(seconds=1)

W = TypeVar("W", StockWrite, PriceWrite)


def connect(connection: Connection, tools: Tools) -> "WooCommerce":
    return WooCommerce(connection, tools)


class WooCommerce:
    """One shop."""

    kind = "woocommerce"
    settle_seconds = 60.0
    """A batch of 100 whose client gave up after a second went on writing for eighteen."""

    def __init__(self, connection: Connection, tools: Tools) -> None:
        options = connection.options
        key, secret = connection.secrets["key"], connection.secrets["secret"]
        is_tls = connection.url.lower().startswith("https:")
        self._auth: dict[str, Any] = {} if is_tls else {"auth": OAuth1(key, secret)}
        self._batch_size = min(_PAGE, max(1, int(options.get("batch_size", _PAGE))))
        self._sale_states = SALES | frozenset(options.get("sale_states", ()))
        self._workers = int(options.get("concurrency", 4))
        dial = Dial(
            name=connection.name,
            url=connection.url.rstrip("/"),
            basic=(key, secret) if is_tls else None,
            verify=options.get("ca_file") or not options.get("insecure", False),
            timeout_seconds=float(options.get("timeout_seconds", 60.0)),
            concurrency=self._workers,
        )
        self._transport = Transport(dial, tools)

    def check(self) -> list[Finding]:
        """Whether the shop answers, what the key may do, how stock is managed, and whether webhooks are delivered."""
        try:
            self._get("products", per_page=1, _fields="id")
        except CredentialsRefused as error:
            remedy = "Make a REST API key with read and write in WooCommerce, Settings, Advanced, and store it."
            return [Finding("credentials", False, str(error), remedy)]
        except ChannelError as error:
            return [
                Finding("reachable", False, str(error), "Check the URL, the certificate and that permalinks are on.")
            ]
        findings = [Finding("credentials", True, "The key is known and may read products.")]
        looks = (self._check_orders, self._check_writing, self._check_version, self._check_stock, self._check_webhooks)
        for look in looks:
            try:
                findings.append(look())
            except ChannelError as error:
                findings.append(Finding(look.__name__.removeprefix("_check_"), False, str(error)))
        return findings

    def list_items(self) -> Iterator[list[ListedItem]]:
        with ThreadPoolExecutor(self._workers) as pool:
            for rows in self._pages("products"):
                # A product with variations is on sale itself only where it keeps one count for all of them.
                own = [row for row in rows if not has_variations(row) or row.get("manage_stock") is True]
                items = [item_of(row, currency=self._currency) for row in own]
                for variations in pool.map(self._variations, (row for row in rows if has_variations(row))):
                    items += variations
                yield items

    def read_items(self, items: Sequence[ListedItem]) -> list[ListedItem]:
        """Products by their ids. Variations of several parents by their SKUs, and those that this does not find (an empty SKU,
        one that has changed, one that many share, one with a comma) by their ids at their parents."""
        wanted = {item.key for item in items}
        by_parent = _by_parent(items)
        found = {item.key: item for item in self._by_ids("products", [item.key for item in by_parent.pop(None, [])])}
        if len(by_parent) > 1:
            for skus in _lists(_listable([item.sku for group in by_parent.values() for item in group])):
                rows = self._get("products", sku=",".join(skus), per_page=_PAGE, _fields=ITEM_FIELDS)
                found |= {str(row["id"]): self._item(row) for row in rows if str(row["id"]) in wanted}
        missing = {parent: [item.key for item in group if item.key not in found] for parent, group in by_parent.items()}
        calls = [(f"products/{parent}/variations", keys) for parent, keys in missing.items() if keys]
        with ThreadPoolExecutor(self._workers) as pool:
            for more in pool.map(lambda call: self._by_ids(*call), calls):
                found |= {item.key: item for item in more}
        return [found[item.key] for item in items if item.key in found]

    def write_stock(self, writes: Sequence[StockWrite]) -> Iterator[list[WriteResult]]:
        return self._write(writes, _Field(lambda write: {"stock_quantity": write.quantity}, _stock_result))

    def write_prices(self, writes: Sequence[PriceWrite]) -> Iterator[list[WriteResult]]:
        """The regular price. A sale price that is lower stays in force (the result's detail tells); WooCommerce drops one that
        is not lower."""
        foreign = [write for write in writes if self._currency and write.currency != self._currency]
        if foreign:
            yield [
                WriteResult(
                    write.key, Outcome.refused, detail=f"the shop sells in {self._currency}, not {write.currency}"
                )
                for write in foreign
            ]
        own = [write for write in writes if write not in foreign]
        yield from self._write(own, _Field(lambda write: {"regular_price": format(write.price, "f")}, _price_result))

    def orders_since(self, since: datetime) -> Iterator[list[ChannelOrder]]:
        """Trashed orders too, which WooCommerce lists only where they are asked for."""
        trashed = [row for rows in self._changed_since(since, "trash") for row in rows]
        for rows in self._changed_since(since, "any"):
            earlier = [row for row in trashed if changed_at(row) <= changed_at(rows[-1])]
            trashed = trashed[len(earlier) :]
            yield self._orders(sorted([*rows, *earlier], key=changed_at))
        if trashed:
            yield self._orders(trashed)

    def read_orders(self, order_ids: Sequence[str]) -> list[ChannelOrder]:
        ids = [each for each in dict.fromkeys(order_ids) if each.isdecimal()]
        rows: list[Mapping[str, Any]] = []
        for status in ("any", "trash"):
            got = {str(row["id"]) for row in rows}
            for part in _lists([each for each in ids if each not in got]):
                rows += self._get("orders", include=",".join(part), status=status, per_page=_PAGE)
        return self._orders(rows)

    def close(self) -> None:
        self._transport.close()

    # Reading

    def _get(self, path: str, **params: Any) -> Any:
        answer = self._transport.read("GET", f"{_API}{path}", params=params, **self._auth)
        return self._told(answer, ChannelUnavailable)

    def _told(self, answer: httpx.Response, error: type[ChannelError]) -> Any:
        """The answer's JSON, with the `error` where it is none: a cache's or a guard's page, or PHP's warnings before it."""
        try:
            return json.loads(answer.content, parse_float=Decimal)
        except ValueError:
            start = " ".join(answer.text[:200].split())
            raise error(f"{self._transport.dial.name} answers {answer.url.path} with no JSON: {start}") from None

    def _pages(self, path: str, **params: Any) -> Iterator[list[Mapping[str, Any]]]:
        """Page after page by ascending id, each thing once.

        When something is deleted meanwhile, what follows moves up by one: the page before is then read again.
        """
        asked = {"orderby": "id", "order": "asc", "per_page": _PAGE, **params}
        if not path.startswith("orders"):
            asked["_fields"] = ITEM_FIELDS
        seen: set[int] = set()
        page, total = 1, 0
        while True:
            answer = self._transport.read("GET", f"{_API}{path}", params={**asked, "page": page}, **self._auth)
            rows = self._told(answer, ChannelUnavailable)
            before, total = total, int(answer.headers.get("x-wp-total", 0))
            if total < before and page > 1:
                page -= 1
                continue
            fresh = [row for row in rows if row["id"] not in seen]
            seen |= {row["id"] for row in fresh}
            if fresh:
                yield fresh
            if not rows or page >= int(answer.headers.get("x-wp-totalpages", page + 1)):
                return
            page += 1

    def _variations(self, parent: Mapping[str, Any]) -> list[ListedItem]:
        pages = self._pages(f"products/{parent['id']}/variations")
        return [item_of(row, parent, self._currency) for rows in pages for row in rows]

    def _by_ids(self, path: str, keys: Sequence[str]) -> list[ListedItem]:
        """What of `keys` there is; nothing where the parent is gone."""
        found: list[ListedItem] = []
        for part in _lists(keys):
            try:
                rows = self._get(path, include=",".join(part), per_page=_PAGE, _fields=ITEM_FIELDS)
            except RequestRefused as error:
                if error.status != 404 or _code(error) == "rest_no_route":
                    raise
                rows = []
            found += [self._item(row) for row in rows]
        return found

    def _item(self, row: Mapping[str, Any]) -> ListedItem:
        return item_of(row, currency=self._currency)

    @cached_property
    def _currency(self) -> str | None:
        """The shop's; None where the key may not know."""
        try:
            return self._get("data/currencies/current").get("code")
        except (CredentialsRefused, RequestRefused):
            return None

    # Writing

    def _write(self, writes: Sequence[W], field: "_Field[W]") -> Iterator[list[WriteResult]]:
        for parent, group in _by_parent(writes).items():
            # An id of a variation among products is an error, and the other way round: they are never mixed.
            path = f"{_API}products/batch" if parent is None else f"{_API}products/{parent}/variations/batch"
            for start in range(0, len(group), self._batch_size):
                yield from self._write_batch(path, group[start : start + self._batch_size], field)

    def _write_batch(self, path: str, writes: Sequence[W], field: "_Field[W]") -> Iterator[list[WriteResult]]:
        body = {"update": [{"id": int(write.key), **field.body(write)} for write in writes]}
        try:
            answer = self._transport.write("POST", path, json=body, **self._auth)
            rows = self._updated(answer)
        except OutcomeUnknown as lost:
            yield [WriteResult(write.key, Outcome.unknown, detail=str(lost)) for write in writes]
        except RequestRefused as error:
            if error.status < 400 or _code(error) == "rest_no_route":
                raise
            if len(writes) == 1 or error.status == 404:
                yield [WriteResult(write.key, Outcome.refused, detail=str(error)) for write in writes]
                return
            for half in (writes[: len(writes) // 2], writes[len(writes) // 2 :]):
                yield from self._write_batch(path, half, field)
        else:
            yield [_judged(write, rows.get(write.key), field) for write in writes]

    def _updated(self, answer: httpx.Response) -> dict[str, Mapping[str, Any]]:
        told = self._told(answer, OutcomeUnknown)
        if not isinstance(told, dict) or not isinstance(told.get("update"), list):
            raise OutcomeUnknown(f"{self._transport.dial.name} answers a batch with something else")
        return {str(row.get("id")): row for row in told["update"]}

    # Orders

    def _changed_since(self, since: datetime, status: str) -> Iterator[list[Mapping[str, Any]]]:
        """By ascending instant of change, and never by page number: an order that changes meanwhile moves to the end, and
        the one after it would be skipped. So always the first page, from the last instant seen on."""
        at = since.astimezone(UTC).replace(microsecond=0)
        given: set[tuple[int, datetime]] = set()
        while True:
            # `modified_after` leaves out the instant itself.
            asked = {"modified_after": _gmt(at - _SECOND), "dates_are_gmt": "true", "status": status}
            rows = self._get("orders", orderby="modified", order="asc", per_page=_PAGE, **asked)
            is_last = len(rows) < _PAGE
            if not is_last and changed_at(rows[-1]) == at:
                rows, at = self._of_second(at, status), at + _SECOND
            elif not is_last:
                at = changed_at(rows[-1])
            fresh = [row for row in rows if (row["id"], changed_at(row)) not in given]
            given = {(row["id"], changed_at(row)) for row in rows}
            if fresh:
                yield fresh
            if is_last:
                return

    def _of_second(self, at: datetime, status: str) -> list[Mapping[str, Any]]:
        """All orders last changed in one second (a bulk edit): by id, since the order among them is not certain."""
        asked = {"modified_after": _gmt(at - _SECOND), "modified_before": _gmt(at + _SECOND), "dates_are_gmt": "true"}
        return [row for rows in self._pages("orders", status=status, **asked) for row in rows]

    def _orders(self, rows: Sequence[Mapping[str, Any]]) -> list[ChannelOrder]:
        with ThreadPoolExecutor(self._workers) as pool:
            return list(pool.map(self._order, rows))

    def _order(self, row: Mapping[str, Any]) -> ChannelOrder:
        refunds = self._get(f"orders/{row['id']}/refunds", per_page=_PAGE) if row.get("refunds") else []
        return order_of(row, refunds, self._sale_states)

    # Checks

    def _check_orders(self) -> Finding:
        self._get("orders", per_page=1, _fields="id")
        return Finding("orders", True, "The key may read orders.")

    def _check_writing(self) -> Finding:
        # No GET tells whether a key may write. A batch of nothing changes nothing, and is refused to a key that may only read.
        try:
            self._transport.read("POST", f"{_API}products/batch", json={}, **self._auth)
        except CredentialsRefused as error:
            return Finding("writing", False, str(error), "Give the REST API key the permission read/write.")
        return Finding("writing", True, "The key may write products (an empty batch was taken).")

    def _check_version(self) -> Finding:
        try:
            told = self._get("system_status", _fields="environment.version,environment.wp_version")["environment"]
        except (CredentialsRefused, RequestRefused, KeyError):
            return Finding("version", True, "The key may not see the version of WooCommerce.")
        return Finding("version", True, f"WooCommerce {told.get('version')} on WordPress {told.get('wp_version')}.")

    def _check_stock(self) -> Finding:
        try:
            told = self._get("settings/products/woocommerce_manage_stock")
        except (CredentialsRefused, RequestRefused):
            return Finding(
                "stock", True, "The key may not see whether stock management is on; listed items tell it too."
            )
        if told.get("value") == "yes":
            return Finding("stock", True, "Stock management is on.")
        remedy = "Turn on stock management in WooCommerce, Settings, Products, Inventory."
        return Finding("stock", False, "Stock management is off: quantities that are written are ignored.", remedy)

    def _check_webhooks(self) -> Finding:
        try:
            hooks = self._get("webhooks", per_page=_PAGE)
        except (CredentialsRefused, RequestRefused) as error:
            return Finding("webhooks", True, f"The key may not see whether webhooks are delivered: {error}")
        off = [f"{hook['id']} ({hook['topic']})" for hook in hooks if hook.get("status") != "active"]
        if off:
            remedy = "WooCommerce disables a webhook after failed deliveries. Set its status to active again."
            return Finding("webhooks", False, f"Not delivered: {', '.join(off)}.", remedy)
        return Finding("webhooks", True, f"{len(hooks)} webhooks, all active.")


@dataclass(frozen=True)
class _Field(Generic[W]):
    """What of an item is written, and how the answer is judged."""

    body: Callable[[W], dict[str, Any]]
    result: Callable[[W, Mapping[str, Any]], WriteResult]


def _judged(write: W, row: Mapping[str, Any] | None, field: _Field[W]) -> WriteResult:
    if row is None:
        return WriteResult(write.key, Outcome.ignored, detail="the answer does not name it")
    error = row.get("error")
    if error is None:
        return field.result(write, row)
    status = (error.get("data") or {}).get("status", 400)
    outcome = Outcome.unknown if isinstance(status, int) and status >= 500 else Outcome.refused
    return WriteResult(write.key, outcome, detail=f"{error.get('code')}: {error.get('message')}")


def _stock_result(write: StockWrite, row: Mapping[str, Any]) -> WriteResult:
    shown = amount(row.get("stock_quantity"))
    if row.get("manage_stock") is not True:
        return WriteResult(write.key, Outcome.ignored, detail="WooCommerce does not manage its stock")
    value = int(shown) if shown is not None and shown == int(shown) else shown
    return WriteResult(write.key, Outcome.confirmed if shown == write.quantity else Outcome.ignored, value)


def _price_result(write: PriceWrite, row: Mapping[str, Any]) -> WriteResult:
    shown, sale = amount(row.get("regular_price")), amount(row.get("sale_price"))
    detail = f"a sale price of {sale} is set" if sale is not None else None
    return WriteResult(write.key, Outcome.confirmed if shown == write.price else Outcome.ignored, shown, detail)


T = TypeVar("T", ListedItem, StockWrite, PriceWrite)


def _by_parent(things: Sequence[T]) -> dict[str | None, list[T]]:
    groups: dict[str | None, list[T]] = defaultdict(list)
    for thing in things:
        groups[thing.handles.get("parent")].append(thing)
    return dict(groups)


def _listable(skus: Sequence[str | None]) -> list[str]:
    """Those that can be in a list of SKUs, each once."""
    return [sku for sku in dict.fromkeys(skus) if sku and "," not in sku and sku == sku.strip()]


def _lists(texts: Sequence[str]) -> Iterator[list[str]]:
    """Parts of at most a page each that fit into a URL."""
    part: list[str] = []
    for text in texts:
        if len(part) == _PAGE or sum(len(quote(each)) + 3 for each in [*part, text]) > _LONGEST_LIST:
            yield part
            part = []
        part.append(text)
    if part:
        yield part


def _code(error: RequestRefused) -> str | None:
    return error.body.get("code") if isinstance(error.body, dict) else None


def _gmt(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S")
