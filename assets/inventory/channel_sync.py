"""Bringing connected channels and our stock together: their orders move our stock, our stock is shown by them.

Belongs here: the order of the steps, and what is on disk before each. Does not belong here: what should be shown
(`availability`, `publication`), how a vendor is spoken to (`resources/channels`), the rows (`resources/store`).

No transaction is open while a vendor is called. The intent of every write is on disk before it is sent, so that a process that
dies in between leaves a write whose outcome is unknown: the next one reads before it sends anything again.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

import polars as pl

from assets.finance.money import exponent, exponents, to_decimal, to_minor
from assets.ingestion.lines import today_in
from assets.inventory.publication import IN_STEP, plan
from assets.inventory.shortfall import raise_shortfalls
from assets.inventory.stock_room import compare_channels
from resources.channels.connectors import open_connector
from resources.channels.protocol import (
    ChannelError,
    ChannelOrder,
    Connector,
    ListedItem,
    Outcome,
    PriceWrite,
    QuotaExhausted,
    StockWrite,
    WriteResult,
)
from resources.store.alerts import raise_channel_alert
from resources.store.brand_store import BrandStore
from resources.store.catalog_codes import skus_by_id
from resources.store.channel_items import (
    INTENTS,
    SHOWN,
    Intended,
    agree,
    intend,
    keys_of,
    listed_items,
    note_not_sent,
    note_outcomes,
    read_price_differences,
    write_shown,
)
from resources.store.channel_orders import Books, take_order, unmapped_orders, unmapped_skus
from resources.store.connections import (
    ConnectedChannel,
    note_orders_seen,
    note_result,
    read_connection,
    read_connections,
)
from resources.store.locks import exclusively
from resources.store.reservations import read_reservations, release_expired
from resources.store.stock_keeping import read_bundles

if TYPE_CHECKING:
    from sqlalchemy import Connection

ROUNDS = 4
OVERLAP_SECONDS = 300
Tell = Callable[[str], None]
Open = Callable[[BrandStore, ConnectedChannel], Connector]
_T = TypeVar("_T")
_READ_BACK = (Outcome.unknown, Outcome.stale, Outcome.ignored)


@dataclass
class Report:
    """What a sync did at one channel."""

    channel: str
    orders: int = 0
    units_moved: int = 0
    unmapped: list[str] = field(default_factory=list)
    items: int = 0
    gone: int = 0
    planned: list[dict[str, Any]] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    refusals: list[str] = field(default_factory=list)
    waiting: int = 0
    """Items that wait for an earlier write to take effect, or for another channel to show less."""
    postponed: str | None = None
    """Why orders that arrived meanwhile were left for the next sync."""
    error: str | None = None


@dataclass(frozen=True)
class Order:
    """What is to be done. `skus`: only these are looked at. `repair`: what somebody else edited is overwritten, too."""

    channels: tuple[str, ...] = ()
    skus: tuple[str, ...] | None = None
    dry_run: bool = False
    prices: bool = False
    repair: bool = False
    actor: str = "sync"


def open_channel(books: BrandStore, channel: ConnectedChannel) -> Connector:
    """The connector of a connected channel."""
    return open_connector(books, channel.reached)


def sync(books: BrandStore, order: Order, tell: Tell = lambda text: None, open_it: Open = open_channel) -> list[Report]:
    """Take orders in from the channels (all, or those named), and bring every channel to what it should show.

    Channels that are not named are told of those SKUs that the orders moved. A channel that fails is reported and stops none
    of the others. Orders that arrive meanwhile are taken in as well, for a few rounds.
    """
    with _Sync(books, order, tell, open_it) as work:
        return work.run()


def pull_orders(books: BrandStore, channel: ConnectedChannel, connector: Connector, report: Report) -> set[str]:
    """Take in what has changed since orders were last seen, each page in a transaction. Returns the SKUs that moved.

    A few minutes are asked for again: what a vendor lists late is not missed, and what is told twice moves nothing.
    """
    return {sku for moved in _take_in_pages(books, channel, connector, report) for sku in moved}


def take_orders(
    books: BrandStore, channel: ConnectedChannel, orders: Sequence[ChannelOrder], report: Report
) -> set[str]:
    """Move and book these orders. Returns the SKUs that moved."""
    if not orders:
        return set()
    zone = books.settings.current.timezone
    units: Counter[int] = Counter()
    with books.write() as (connection, brand):
        for order in orders:
            taken = take_order(connection, Books(brand, zone, exponent(order.currency)), channel, order)
            report.orders += taken.is_new
            report.unmapped += [sku for sku in dict.fromkeys(taken.unmapped) if sku not in report.unmapped]
            units.update({sku: abs(moved) for sku, moved in taken.moved.items()})
        moved = skus_by_id(connection, list(units))
    report.units_moved += units.total()
    return moved


def publish(
    books: BrandStore,
    channel: ConnectedChannel,
    connector: Connector,
    order: Order,
    report: Report,
    *,
    skus: Iterable[str] | None = None,
    reread: bool = True,
    again: Iterable[str] = (),
    declined: set[tuple[str, int]] | None = None,
) -> int:
    """Read what the channel shows (all, or these SKUs), and write what differs. Returns how many writes were sent.

    One process at a time does this for a channel: of two that plan at once, the slower would write what is no longer true.
    `again`: where not all of that is read, these SKUs are. `declined`: keys and quantities that the channel has said no to;
    they are not sent again, and more are added.
    """
    with exclusively(books, f"channel:{channel.name}", wait=True):
        if reread:
            read_channel(books, channel, connector, report, skus)
        elif again:
            read_channel(books, channel, connector, Report(channel.name), again)
        sent = _publish_stock(books, channel, connector, order, report, skus, set() if declined is None else declined)
        return sent + (_publish_prices(books, channel, connector, order, report, skus) if order.prices else 0)


def read_channel(
    books: BrandStore,
    channel: ConnectedChannel,
    connector: Connector,
    report: Report,
    skus: Iterable[str] | None = None,
) -> None:
    """Read everything on sale, or these SKUs, and keep what is shown. Writes that can now be seen are settled."""
    read_at = datetime.now(UTC)
    items = _look(books, channel, connector, skus)
    keep_items(books, channel, items, read_at, report, complete=skus is None)


def keep_items(
    books: BrandStore,
    channel: ConnectedChannel,
    items: Sequence[ListedItem],
    read_at: datetime,
    report: Report,
    *,
    complete: bool = False,
) -> None:
    """Keep what was read of the channel."""
    with books.write() as (connection, brand):
        gone = write_shown(connection, brand, channel, _rows(items), read_at, complete=complete)
    report.items += len({item.key for item in items})
    report.gone += gone


class _Sync:
    """One call of `sync`: the connectors that it has opened, and a report for each channel."""

    def __init__(self, books: BrandStore, order: Order, tell: Tell, open_it: Open) -> None:
        self._books, self._order, self._tell, self._open = books, order, tell, open_it
        with books.read() as (connection, brand):
            for name in order.channels:
                read_connection(connection, brand, books.vault, name)
            self._channels = read_connections(connection, brand, books.vault)
        self._named = [c for c in self._channels if not order.channels or c.name in order.channels]
        self._reports = {channel.name: Report(channel.name) for channel in self._channels}
        self._connectors: dict[str, Connector] = {}
        self._moved: set[str] = set()
        self._read: dict[str, set[str]] = defaultdict(set)
        self._sold: dict[str, set[str]] = defaultdict(set)
        self._declined: dict[str, set[tuple[str, int]]] = defaultdict(set)

    def __enter__(self) -> "_Sync":
        return self

    def __exit__(self, *_: object) -> None:
        for connector in self._connectors.values():
            connector.close()

    def run(self) -> list[Report]:
        if self._order.dry_run:
            self._preview()
            return [self._reports[channel.name] for channel in self._named]
        self._release()
        self._pull()
        for number in range(ROUNDS):
            is_first = number == 0
            sent = sum(self._publish(channel, is_first=is_first) for channel in self._channels)
            # A channel that was looked at later may have turned out to show what another one was waiting for.
            if not sent and not (is_first and any(report.waiting for report in self._reports.values())):
                break
            if sent:
                self._pull()
        return self._note()

    def _preview(self) -> None:
        """What would be written, by what the channels show now. All of it is undone: nothing is kept of what was read."""
        whole = self._order.skus is None
        skus = None if whole else self._with_sets(set(self._order.skus or ()))
        read: dict[str, tuple[datetime, list[ListedItem]]] = {}
        for channel in self._named:
            self._tell(f"{channel.name}: stock")
            at = datetime.now(UTC)
            items = self._at(channel, lambda known, connector, _: _look(self._books, known, connector, skus), [])
            if self._reports[channel.name].error is None:
                read[channel.name] = at, items
        with self._books.write() as (connection, brand), _undone(connection):
            now = datetime.now(UTC)
            release_expired(connection, brand, now, today_in(self._books.settings.current.timezone, now))
            seen = [channel for channel in self._named if channel.name in read]
            for channel in seen:
                report, (at, items) = self._reports[channel.name], read[channel.name]
                report.items = len({item.key for item in items})
                report.gone = write_shown(connection, brand, channel, _rows(items), at, complete=whole)
            for channel in seen:
                compared = _compared(connection, brand, self._books, channel, self._order, skus)
                self._reports[channel.name].planned = plan(compared).to_dicts()

    def _release(self) -> None:
        """End the promises whose time is over. Their SKUs have moved, as if by an order."""
        with self._books.write() as (connection, brand):
            now = datetime.now(UTC)
            over = read_reservations(connection, brand).filter(pl.col("expires_at") <= now)
            self._moved |= set(over["sku"])
            release_expired(connection, brand, now, today_in(self._books.settings.current.timezone, now))

    def _pull(self) -> None:
        def step(channel: ConnectedChannel, connector: Connector, report: Report) -> None:
            # What has moved before an error has moved, and is told to the others.
            for moved in _take_in_pages(self._books, channel, connector, report):
                self._moved |= moved
                self._sold[channel.name] |= moved

        for channel in self._named:
            self._tell(f"{channel.name}: orders")
            self._at(channel, step, None)
        with self._books.write() as (connection, brand):
            raise_shortfalls(connection, brand)

    def _publish(self, channel: ConnectedChannel, *, is_first: bool) -> int:
        is_named = channel in self._named
        is_whole = is_named and self._order.skus is None
        named = set(self._order.skus or ()) if is_named else set()
        skus = None if is_whole else self._with_sets(self._moved | named)
        if skus is not None and not skus:
            return 0
        self._tell(f"{channel.name}: stock")
        order = self._order if is_named else replace(self._order, repair=False, prices=False)
        # Prices are compared with what was read, which is read once.
        order = order if is_first else replace(order, prices=False)
        # What was sold there meanwhile shows another number than we believe, and what was not read may show any.
        sold = self._with_sets(self._sold.pop(channel.name, set()))
        again, declined = set(skus or ()) - self._read[channel.name] | set(sold), self._declined[channel.name]
        self._read[channel.name] |= again

        def step(channel: ConnectedChannel, connector: Connector, report: Report) -> int:
            how = {"again": again, "declined": declined}
            return publish(self._books, channel, connector, order, report, skus=skus, reread=is_first, **how)

        return self._at(channel, step, 0)

    def _with_sets(self, skus: set[str]) -> list[str]:
        """These, the sets that they are part of, and whatever else shares pieces with those."""
        found = set(skus)
        if found:
            with self._books.read() as (connection, brand):
                parts = read_bundles(connection, brand).select("bundle", "component").rows()
            while more := {sku for part in parts if found.intersection(part) for sku in part} - found:
                found |= more
        return sorted(found)

    def _at(
        self, channel: ConnectedChannel, step: Callable[[ConnectedChannel, Connector, Report], _T], otherwise: _T
    ) -> _T:
        """What a channel cannot do is reported, and the channel is left alone for the rest of this sync."""
        report = self._reports[channel.name]
        if report.error is not None:
            return otherwise
        try:
            if channel.name not in self._connectors:
                self._connectors[channel.name] = self._open(self._books, channel)
            return step(channel, self._connectors[channel.name], report)
        except ChannelError as error:
            report.error = str(error)
            return otherwise

    def _note(self) -> list[Report]:
        """The reports of channels that were named, or told of something; what each has met is kept with it."""
        reports = []
        with self._books.write() as (connection, brand):
            for channel in self._channels:
                report = self._reports[channel.name]
                if channel in self._named or report.items or report.outcomes or report.error:
                    reports.append(report)
                # That a few SKUs could be told says nothing of what was wrong with its orders or its other items.
                if channel in self._named or report.error:
                    unmapped = {*report.unmapped, *unmapped_skus(connection, brand, channel)}
                    note_result(connection, channel, report.error)
                    raise_channel_alert(connection, brand, channel.name, report.error, sorted(unmapped))
        return reports


def _take_in_pages(
    books: BrandStore, channel: ConnectedChannel, connector: Connector, report: Report
) -> Iterator[set[str]]:
    """Take in what has changed since orders were last seen; gives the SKUs that moved, page by page."""
    overlap = timedelta(seconds=float(channel.reached.options.get("orders_overlap_seconds", OVERLAP_SECONDS)))
    since = (channel.orders_seen_until or channel.created_at) - overlap
    with books.read() as (connection, brand):
        waiting = unmapped_orders(connection, brand, channel)
    if waiting:
        yield take_orders(books, channel, connector.read_orders(waiting), report)
    newest = since
    try:
        for page in connector.orders_since(since):
            yield take_orders(books, channel, page, report)
            newest = max([newest, *(order.updated_at for order in page)])
    except QuotaExhausted as error:
        # A vendor that may be asked every few minutes only: what it has told is kept, the rest comes with the next sync.
        report.postponed = str(error)
    with books.write() as (connection, _):
        note_orders_seen(connection, channel, newest)


def _look(
    books: BrandStore, channel: ConnectedChannel, connector: Connector, skus: Iterable[str] | None
) -> list[ListedItem]:
    """What the channel shows now: everything, or what it lists of these SKUs."""
    if skus is None:
        return [item for page in connector.list_items() for item in page]
    with books.read() as (connection, _):
        known = listed_items(connection, channel, keys_of(connection, channel, skus))
    return connector.read_items(known) if known else []


def _publish_stock(
    books: BrandStore,
    channel: ConnectedChannel,
    connector: Connector,
    order: Order,
    report: Report,
    skus: Iterable[str] | None,
    declined: set[tuple[str, int]],
) -> int:
    settle = float(channel.reached.options.get("settle_seconds", connector.settle_seconds))
    with books.write() as (connection, brand):
        compared = _compared(connection, brand, books, channel, order, skus)
        # What shows what it should is agreed upon. Of what waits for a write it is not known yet what it will show.
        agree(connection, channel, compared.filter(pl.col("state").is_in(IN_STEP))["key"].to_list())
        planned = plan(compared)
        rows = planned.filter([row not in declined for row in planned.select("key", "wanted").iter_rows()])
        intents = rows.rename({"shown": "expected"}).select(pl.col(name).cast(dtype) for name, dtype in INTENTS.items())
        intended = intend(connection, brand, channel, "stock", intents, order.actor, settle)
    writes = [
        StockWrite(one.key, one.sku, one.wanted, one.expected, one.handles, one.idempotency_key) for one in intended
    ]
    report.waiting = compared.filter(pl.col("action") == "wait").height
    unsure = _send(books, channel, "stock", intended, connector.write_stock(writes), report, declined=declined)
    if unsure:
        read_at = datetime.now(UTC)
        with books.read() as (connection, _):
            known = listed_items(connection, channel, unsure)
        keep_items(books, channel, connector.read_items(known), read_at, Report(channel.name))
    return len(intended)


def _publish_prices(
    books: BrandStore,
    channel: ConnectedChannel,
    connector: Connector,
    order: Order,
    report: Report,
    skus: Iterable[str] | None,
) -> int:
    """Retail prices of the catalogue, where the channel sells in the same currency and shows another price."""
    with books.write() as (connection, brand):
        rows = _narrowed(read_price_differences(connection, channel), skus)
        currencies = dict(rows.select("key", "currency").iter_rows())
        intended = intend(connection, brand, channel, "price", rows.select(*INTENTS), order.actor, 0.0)
    writes = [
        PriceWrite(
            one.key,
            one.sku,
            to_decimal(one.wanted, currencies[one.key]),
            currencies[one.key],
            one.handles,
            one.idempotency_key,
        )
        for one in intended
    ]
    _send(books, channel, "price", intended, connector.write_prices(writes), report, currencies=currencies)
    return len(intended)


def _compared(
    connection: "Connection",
    brand: int,
    books: BrandStore,
    channel: ConnectedChannel,
    order: Order,
    skus: Iterable[str] | None,
) -> pl.DataFrame:
    """What this channel shows of all its items, or of these SKUs, beside what it should show."""
    compared = compare_channels(connection, brand, books.settings, overwrite=order.repair)
    return _narrowed(compared.filter(pl.col("channel") == channel.name), skus)


def _send(
    books: BrandStore,
    channel: ConnectedChannel,
    field: str,
    intended: Sequence[Intended],
    answers: Iterable[list[WriteResult]],
    report: Report,
    *,
    currencies: dict[str, str] | None = None,
    declined: set[tuple[str, int]] | None = None,
) -> list[str]:
    """Note what becomes of each write as the answers come. Returns keys that have to be read back now."""
    waiting = {one.key: one for one in intended}
    unsure: list[str] = []
    if not waiting:
        return unsure
    try:
        for answer in answers:
            results = [(waiting.pop(result.key), _in_minor(result, currencies)) for result in answer]
            with books.write() as (connection, _):
                note_outcomes(connection, channel, field, results)
            for one, result in results:
                report.outcomes[result.outcome.value] += 1
                if result.outcome in (Outcome.refused, Outcome.ignored):
                    (set() if declined is None else declined).add((one.key, one.wanted))
                    report.refusals.append(f"{one.sku}: {result.detail or result.outcome.value}")
                unsure += [one.key] if result.outcome in _READ_BACK else []
    except ChannelError:
        with books.write() as (connection, _):
            note_not_sent(connection, channel, list(waiting.values()))
        report.outcomes["not_sent"] += len(waiting)
        raise
    return unsure


def _in_minor(result: WriteResult, currencies: dict[str, str] | None) -> WriteResult:
    if currencies is None or result.shown is None:
        return result
    shown = to_minor(Decimal(result.shown), currencies[result.key])
    return WriteResult(result.key, result.outcome, shown, result.detail)


@contextmanager
def _undone(connection: "Connection") -> Iterator[None]:
    """Whatever is written inside is taken back."""
    inner = connection.begin_nested()
    try:
        yield
    finally:
        inner.rollback()


def _narrowed(rows: pl.DataFrame, skus: Iterable[str] | None) -> pl.DataFrame:
    return rows if skus is None else rows.filter(pl.col("sku").is_in(list(skus)))


def _rows(items: Iterable[ListedItem]) -> pl.DataFrame:
    """The columns SHOWN; of an item that was listed twice, as it was listed last."""
    rows = pl.DataFrame([_row(item) for item in items], schema=SHOWN)
    return rows.unique("key", keep="last", maintain_order=True)


def _row(item: ListedItem) -> dict[str, Any]:
    # A price in a currency that is none, such as a test shop's, is not a price.
    priced = item.price is not None and item.currency in exponents()
    return {
        "key": item.key,
        "channel_sku": item.sku or None,
        "title": item.title,
        "shown": item.quantity,
        "price_minor": to_minor(item.price, item.currency) if priced and item.price and item.currency else None,
        "currency": item.currency,
        "unwritable": item.unwritable,
        "handles": json.dumps(dict(item.handles)),
    }
