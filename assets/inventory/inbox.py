"""Working on what channels told by themselves: the touched orders and SKUs are looked at again, and nothing else.

Belongs here: which messages call for work, doing it, and what is noted of each. Does not belong here: receiving messages (the
gateway, Amazon's queue), their words (`resources/channels`), or bringing stock to channels (`channel_sync`).

A message is never taken for the truth: it only says where to look. So it does not matter how often and in which order
messages come, and a message that is lost costs no more than the time until the next whole sync.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from assets.inventory.channel_sync import Open, Order, Report, open_channel, sync, take_orders
from assets.inventory.publication import is_echo
from resources.channels.connectors import KINDS
from resources.channels.protocol import (
    ChannelError,
    ChannelUnavailable,
    CredentialsRefused,
    QuotaExhausted,
    Touched,
)
from resources.channels.senders import sender_of
from resources.store.brand_store import BrandStore
from resources.store.channel_items import standings
from resources.store.connections import ConnectedChannel, read_connection, read_connections
from resources.store.inbox import (
    Message,
    begin_work,
    mark_failed,
    mark_processed,
    note_trouble,
    put_off,
    unread,
)
from resources.store.limits import find_breaker

TRIES = 5
MOST_AT_ONCE = 200
_NOT_THEIR_FAULT = (ChannelUnavailable, CredentialsRefused, QuotaExhausted)
_ACCOUNT_DELETION = "MARKETPLACE_ACCOUNT_DELETION"


@dataclass(frozen=True)
class Waiting:
    """Messages of a connected channel that call for work, the oldest first, and what they are about."""

    channel: str
    messages: tuple[int, ...]
    keys: tuple[str, ...]
    orders: tuple[str, ...]


@dataclass
class Worked:
    """What became of messages: how many of each, what was noted, and the SKUs that were looked at."""

    processed: int = 0
    put_off: int = 0
    troubled: int = 0
    notes: list[str] = field(default_factory=list)
    skus: set[str] = field(default_factory=set)


def sort_out(books: BrandStore, most: int = 1000) -> list[Waiting]:
    """Of the oldest `most` messages, settle those that call for no work, and group the others by channel.

    No work: what only tells our own write, concerns neither stock nor orders, is of no connected channel, cannot be
    understood, or was tried too often.
    """
    with books.read() as (connection, brand):
        messages = unread(connection, brand, most)
        connected = read_connections(connection, brand, books.vault) if messages else []
    judged = [_judge(books, message, _channel_of(message, connected)) for message in messages]
    settled = [verdict for verdict in judged if isinstance(verdict, _Settled)]
    if settled:
        with books.write() as (connection, _):
            for verdict in settled:
                change = mark_failed if verdict.failed else mark_processed
                # The person whose account is gone is named in it.
                forget = {"forget": True} if verdict.note.startswith(_ACCOUNT_DELETION) else {}
                change(connection, [verdict.message], verdict.note, **forget)
    return _grouped([verdict for verdict in judged if isinstance(verdict, _Calling)])


def work(books: BrandStore, name: str, ids: Sequence[int], open_it: Open = open_channel) -> Worked:
    """Look again at what these messages of a connected channel are about; bring what moved to all channels.

    Raises UnknownConnection. A channel that cannot be reached leaves its messages waiting. Messages that were tried before
    are worked on one by one, so that one of them cannot spoil the others.
    """
    with books.read() as (connection, brand):
        channel = read_connection(connection, brand, books.vault, name)
        messages = unread(connection, brand, len(ids), ids)
    worked = Worked()
    groups = [messages] if not any(message.attempts for message in messages) else [[each] for each in messages]
    for group in (group for group in groups if group):
        numbers = [message.id for message in group]
        with books.write() as (connection, _):
            begin_work(connection, numbers)
        try:
            note = _look_again(books, channel, group, worked, open_it)
        except _NOT_THEIR_FAULT as error:
            _note(books, put_off, numbers, str(error), worked)
            worked.put_off += len(numbers)
            break
        except ChannelError as error:
            _note(books, note_trouble, numbers, str(error), worked)
            worked.troubled += len(numbers)
            continue
        _note(books, mark_processed, numbers, note, worked)
        worked.processed += len(numbers)
    return worked


@dataclass(frozen=True)
class _Settled:
    message: int
    note: str
    failed: bool = False


@dataclass(frozen=True)
class _Calling:
    message: Message
    channel: str
    touched: Touched


def _channel_of(message: Message, connected: Iterable[ConnectedChannel]) -> ConnectedChannel | None:
    """The channel of this name, else the one that is of this kind."""
    named = next((channel for channel in connected if channel.name == message.channel), None)
    of_kind = [channel for channel in connected if message.channel in KINDS and channel.kind == message.channel]
    return named or (of_kind[0] if len(of_kind) == 1 else None)


def _judge(books: BrandStore, message: Message, channel: ConnectedChannel | None) -> _Settled | _Calling:
    if channel is None:
        return _Settled(message.id, f"no one channel {message.channel} is connected", failed=True)
    if message.attempts >= TRIES:
        said = message.note or "its work ended without a word"
        return _Settled(message.id, f"given up after {message.attempts} tries: {said}", failed=True)
    try:
        touched = _touched(channel, message)
    except ValueError as error:
        return _Settled(message.id, f"not understood: {error}", failed=True)
    if touched is None:
        return _Settled(message.id, "it concerns neither stock nor orders")
    if touched.topic == _ACCOUNT_DELETION:
        return _Settled(message.id, f"{_ACCOUNT_DELETION}: nothing is kept of the person, nor what the message says")
    if not (touched.keys or touched.order_ids):
        return _Settled(message.id, f"{touched.topic}: it concerns neither stock nor orders")
    if _tells_our_own_write(books, channel, touched):
        return _Settled(message.id, f"{touched.topic}: it tells what we wrote")
    return _Calling(message, channel.name, touched)


def _touched(channel: ConnectedChannel, message: Message) -> Touched | None:
    return sender_of(channel.kind).touched(message.headers, message.body.encode())


def _tells_our_own_write(books: BrandStore, channel: ConnectedChannel, touched: Touched) -> bool:
    if touched.order_ids or set(touched.keys) != touched.quantities.keys():
        return False
    with books.read() as (connection, _):
        known = standings(connection, channel, touched.keys)
    for key, said in touched.quantities.items():
        seen = known.get(key)
        # What was agreed on and is not shown any more was edited: somebody putting it back is news.
        if seen is None or not is_echo(said, seen.agreed if seen.agreed == seen.shown else None, seen.pending):
            return False
    return True


def _grouped(calling: Iterable[_Calling]) -> list[Waiting]:
    by_channel: dict[str, list[_Calling]] = {}
    for one in calling:
        by_channel.setdefault(one.channel, []).append(one)
    return [_waiting(name, group[:MOST_AT_ONCE]) for name, group in sorted(by_channel.items())]


def _waiting(name: str, group: Sequence[_Calling]) -> Waiting:
    keys = dict.fromkeys(key for one in group for key in one.touched.keys)
    orders = dict.fromkeys(order for one in group for order in one.touched.order_ids)
    return Waiting(name, tuple(one.message.id for one in group), tuple(keys), tuple(orders))


def _look_again(
    books: BrandStore, channel: ConnectedChannel, messages: Sequence[Message], worked: Worked, open_it: Open
) -> str:
    """Take the orders in, sync the SKUs. Returns what came of it."""
    touched = [about for message in messages if (about := _touched(channel, message)) is not None]
    orders = list(dict.fromkeys(order for about in touched for order in about.order_ids))
    keys = list(dict.fromkeys(key for about in touched for key in about.keys))
    report = Report(channel.name)
    skus = _take_in(books, channel, orders, report, open_it) if orders else set()
    has_moved = bool(skus)
    with books.read() as (connection, _):
        known = standings(connection, channel, keys)
    skus |= {seen.sku for seen in known.values() if seen.sku is not None}
    if skus or report.unmapped:
        # What the orders moved is every channel's concern, an edit only that of the channel which tells of it.
        channels = () if has_moved else (channel.name,)
        wanted = Order(channels, skus=tuple(sorted(skus)), actor="inbox")
        own = next(done for done in sync(books, wanted, open_it=open_it) if done.channel == channel.name)
        if own.error is not None:
            raise ChannelUnavailable(own.error) if _is_down(books, channel.name) else ChannelError(own.error)
    worked.skus |= skus
    unlisted = len(keys) - len(known)
    later = f", {unlisted} things that are not listed yet" if unlisted else ""
    return f"{len(orders)} orders, {report.units_moved} units moved, {len(skus)} SKUs looked at{later}"


def _take_in(
    books: BrandStore, channel: ConnectedChannel, orders: Sequence[str], report: Report, open_it: Open
) -> set[str]:
    connector = open_it(books, channel)
    try:
        return take_orders(books, channel, connector.read_orders(orders), report)
    finally:
        connector.close()


def _is_down(books: BrandStore, name: str) -> bool:
    with books.read() as (connection, brand):
        return find_breaker(connection, brand, name).state != "closed"


def _note(books: BrandStore, change: Callable[..., None], numbers: Sequence[int], note: str, worked: Worked) -> None:
    worked.notes.append(note)
    with books.write() as (connection, _):
        change(connection, numbers, note)
