"""Bringing connected channels and our stock together: their orders move our stock, our stock is shown by them.

Belongs here: the order of the steps, and what is on disk before each. Does not belong here: what should be shown
(`availability`, `publication`), how a vendor is spoken to (`resources/channels`), the rows (`resources/store`).

No transaction is open while a vendor is called. The intent of every write is on disk before it is sent, so that a process that
dies in between leaves a write whose outcome is unknown: the next one reads before it sends anything again.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

import polars as pl

from assets.finance.money import exponent, exponents, to_decimal, to_minor
from assets.ingestion.lines import today_in
from assets.inventory.publication import plan
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
from resources.store.channel_orders import Books, take_order, unmapped_orders
from resources.store.connections import (
    ConnectedChannel,
    note_orders_seen,
    note_result,
    read_connection,
    read_connections,
)
from resources.store.locks import exclusively
from resources.store.reservations import release_expired

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
    overlap = timedelta(seconds=float(channel.reached.options.get("orders_overlap_seconds", OVERLAP_SECONDS)))
    since = (channel.orders_seen_until or channel.created_at) - overlap
    moved: set[str] = set()
    with books.read() as (connection, brand):
        waiting = unmapped_orders(connection, brand, channel)
    if waiting:
        moved |= take_orders(books, channel, connector.read_orders(waiting), report)
    newest = since
    for page in connector.orders_since(since):
        moved |= take_orders(books, channel, page, report)
        newest = max([newest, *(order.updated_at for order in page)])
    with books.write() as (connection, _):
        note_orders_seen(connection, channel, newest)
    return moved


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
            report.unmapped += taken.unmapped
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
) -> int:
    """Read what the channel shows (all, or these SKUs), and write what differs. Returns how many writes were sent.

    One process at a time does this for a channel: of two that plan at once, the slower would write what is no longer true.
    """
    with exclusively(books, f"channel:{channel.name}", wait=True):
        if reread:
            read_channel(books, channel, connector, report, skus)
        if order.dry_run:
            with books.read() as (connection, brand):
                report.planned += _planned(connection, brand, books, channel, order, skus).to_dicts()
            return 0
        sent = _publish_stock(books, channel, connector, order, report, skus)
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
    if skus is None:
        items = [item for page in connector.list_items() for item in page]
    else:
        with books.read() as (connection, _):
            known = listed_items(connection, channel, keys_of(connection, channel, skus))
        items = connector.read_items(known) if known else []
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
    rows = pl.DataFrame([_row(item) for item in items], schema=SHOWN).unique("key", keep="last", maintain_order=True)
    with books.write() as (connection, brand):
        gone = write_shown(connection, brand, channel, rows, read_at, complete=complete)
    report.items += rows.height
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
        self._moved: set[str] = set(order.skus or ())

    def __enter__(self) -> "_Sync":
        return self

    def __exit__(self, *_: object) -> None:
        for connector in self._connectors.values():
            connector.close()

    def run(self) -> list[Report]:
        if not self._order.dry_run:
            with self._books.write() as (connection, brand):
                now = datetime.now(UTC)
                release_expired(connection, brand, now, today_in(self._books.settings.current.timezone, now))
        self._pull()
        for number in range(ROUNDS):
            sent = sum(self._publish(channel, number) for channel in self._channels)
            if self._order.dry_run or not sent:
                break
            self._pull()
        named = {channel.name for channel in self._named}
        reports = [report for report in self._reports.values() if report.channel in named or report.items]
        if not self._order.dry_run:
            self._note(reports)
        return reports

    def _pull(self) -> None:
        if self._order.dry_run:
            return
        for channel in self._named:
            self._tell(f"{channel.name}: orders")
            nothing: set[str] = set()
            self._moved |= self._at(channel, lambda c, con, rep: pull_orders(self._books, c, con, rep), nothing)
        with self._books.write() as (connection, brand):
            raise_shortfalls(connection, brand)

    def _publish(self, channel: ConnectedChannel, number: int) -> int:
        is_whole = channel in self._named and self._order.skus is None
        skus = None if is_whole else sorted(self._moved)
        if skus is not None and not skus:
            return 0
        self._tell(f"{channel.name}: stock")

        def step(channel: ConnectedChannel, connector: Connector, report: Report) -> int:
            fresh = number == 0
            return publish(self._books, channel, connector, self._order, report, skus=skus, reread=fresh)

        return self._at(channel, step, 0)

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

    def _note(self, reports: Iterable[Report]) -> None:
        by_name = {channel.name: channel for channel in self._channels}
        with self._books.write() as (connection, brand):
            for report in reports:
                note_result(connection, by_name[report.channel], report.error)
                raise_channel_alert(connection, brand, report.channel, report.error, sorted(set(report.unmapped)))


def _publish_stock(
    books: BrandStore,
    channel: ConnectedChannel,
    connector: Connector,
    order: Order,
    report: Report,
    skus: Iterable[str] | None,
) -> int:
    settle = float(channel.reached.options.get("settle_seconds", connector.settle_seconds))
    with books.write() as (connection, brand):
        rows = _planned(connection, brand, books, channel, order, skus)
        intents = rows.rename({"shown": "expected"}).select(pl.col(name).cast(dtype) for name, dtype in INTENTS.items())
        intended = intend(connection, brand, channel, "stock", intents, order.actor, settle)
    writes = [
        StockWrite(one.key, one.sku, one.wanted, one.expected, one.handles, one.idempotency_key) for one in intended
    ]
    unsure = _send(books, channel, "stock", intended, connector.write_stock(writes), report)
    if unsure:
        read_at = datetime.now(UTC)
        with books.read() as (connection, _):
            known = listed_items(connection, channel, unsure)
        keep_items(books, channel, connector.read_items(known), read_at, report)
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
    _send(books, channel, "price", intended, connector.write_prices(writes), report, currencies)
    return len(intended)


def _planned(
    connection: "Connection",
    brand: int,
    books: BrandStore,
    channel: ConnectedChannel,
    order: Order,
    skus: Iterable[str] | None,
) -> pl.DataFrame:
    """The writes to this channel. What shows what it should is noted as agreed upon, in the same transaction."""
    compared = compare_channels(connection, brand, books.settings, overwrite=order.repair)
    mine = _narrowed(compared.filter(pl.col("channel") == channel.name), skus)
    if not order.dry_run:
        agree(connection, channel, mine.filter(pl.col("shown") == pl.col("wanted"))["key"].to_list())
    return plan(mine)


def _send(
    books: BrandStore,
    channel: ConnectedChannel,
    field: str,
    intended: Sequence[Intended],
    answers: Iterable[list[WriteResult]],
    report: Report,
    currencies: dict[str, str] | None = None,
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


def _narrowed(rows: pl.DataFrame, skus: Iterable[str] | None) -> pl.DataFrame:
    return rows if skus is None else rows.filter(pl.col("sku").is_in(list(skus)))


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
