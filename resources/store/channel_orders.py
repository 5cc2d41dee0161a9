"""Orders of connected channels: told again and again, each change moves stock and books money once.

What a line has moved (`taken`) and what of it stands in the books (`kept`) is kept beside it; a telling moves the difference.
The same telling again, or told by two processes at once, moves nothing.

Belongs here: the rows of one telling, in one transaction. Does not belong here: what a vendor's answer means
(`resources/channels`).
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from resources.channels.protocol import ChannelOrder, OrderLine
from resources.store.bulk import as_instant, fetch, insert_row, run
from resources.store.connections import ConnectedChannel
from resources.store.movements import Movement, components_of, move, put_back, take_out, units_out
from resources.store.stock_keeping import assign_pieces

if TYPE_CHECKING:
    from sqlalchemy import Connection

MAPPING = "channels"
_TOTALS = (
    ("shipping", "shipping_minor"),
    ("tax", "tax_minor"),
    ("discount", "discount_minor"),
    ("refund", "refunded_minor"),
)


@dataclass
class Taken:
    """What a telling changed."""

    is_new: bool = False
    is_stale: bool = False
    moved: Counter[int] = field(default_factory=Counter)
    """Units that left stock by SKU's id; negative for what came back."""
    unmapped: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Books:
    """What the books are kept in: the brand, its zone, and digits after the point of a currency."""

    brand: int
    zone: str
    exponent: int

    def day(self, at: datetime) -> date:
        return at.astimezone(ZoneInfo(self.zone)).date()

    def minor(self, amount: Decimal) -> int:
        return int((amount.scaleb(self.exponent)).to_integral_value(ROUND_HALF_EVEN))

    def worth(self, units: int, unit_price_micros: int) -> int:
        """Minor units that so many units come to."""
        return self.minor(Decimal(unit_price_micros) * units / 1_000_000)


def take_order(connection: "Connection", books: Books, channel: ConnectedChannel, order: ChannelOrder) -> Taken:
    """Move and book what has changed since the order was last told. An older telling than the last changes nothing.

    An order that a file brought before is taken over as it is, since it moved stock then; what changes later, moves.
    """
    known = _known(connection, channel, order)
    if known is not None and order.updated_at < known.updated_at:
        return Taken(is_stale=True)
    taken = Taken(is_new=known is None)
    if known is None:
        known = _write_order(connection, books, channel, order)
    told = {line.line_id: line for line in order.lines}
    telling = _Telling(connection, books, channel, order, known)
    lines = _lines(connection, known.id)
    booked: list[_Booking] = []
    for line_id in [*told, *(i for i in lines if i not in told)]:
        line = lines.get(line_id) or _write_line(connection, books, channel, known.id, told[line_id])
        # A line that is not told any more was taken off the order.
        wanted = _wanted(told[line_id]) if line_id in told else _Wanted(0, 0, line.unit_price_micros)
        if taken.is_new and known.is_adopted:
            _note_line(connection, line, _map(connection, books.brand, channel, line), wanted)
            continue
        sku = line.sku_id or _map(connection, books.brand, channel, line)
        if sku is None:
            taken.unmapped.append(line.channel_sku or line.title)
            # It moves nothing, but its money is booked all the same: the client has paid.
            wanted = replace(wanted, taken=line.taken)
        else:
            _name_booked(telling, line, sku)
            _move_line(telling, line, sku, wanted.taken - line.taken, taken.moved)
        booked += _bookings(books, line, sku, wanted)
        _note_line(connection, line, sku, wanted)
    _book(telling, booked)
    _note_order(connection, books, known.id, order)
    return taken


def unmapped_orders(connection: "Connection", brand: int, channel: ConnectedChannel) -> list[str]:
    """Orders of the channel with lines that have moved nothing, since nobody knew their SKU, and that somebody knows now."""
    query = """
        SELECT DISTINCT o.external_id FROM channel_order_lines l JOIN channel_orders o ON o.id = l.channel_order_id
        WHERE l.brand_id = :brand AND l.sku_id IS NULL AND o.channel_id = :channel AND (
            EXISTS (SELECT 1 FROM skus s WHERE s.brand_id = :brand AND s.sku IN (l.channel_sku, upper(l.channel_sku)))
            OR EXISTS (SELECT 1 FROM sku_mappings m WHERE m.channel_id = :channel AND m.channel_sku = l.channel_sku)
            OR EXISTS (SELECT 1 FROM channel_items i WHERE i.channel_id = :channel AND i.key = l.key AND i.sku_id IS NOT NULL))
        ORDER BY o.external_id
    """
    return [row[0] for row in fetch(connection, query, {"brand": brand, "channel": channel.channel_id})]


def unmapped_skus(connection: "Connection", brand: int, channel: ConnectedChannel) -> list[str]:
    """SKUs, as the channel writes them, of what was sold there and moved nothing, since nobody knows them."""
    query = """
        SELECT DISTINCT l.channel_sku FROM channel_order_lines l JOIN channel_orders o ON o.id = l.channel_order_id
        WHERE l.brand_id = :brand AND l.sku_id IS NULL AND l.channel_sku IS NOT NULL AND l.kept > 0
              AND o.channel_id = :channel AND o.state NOT LIKE :adopted
        ORDER BY l.channel_sku
    """
    values = {"brand": brand, "channel": channel.channel_id, "adopted": f"{_ADOPTED}%"}
    return [row[0] for row in fetch(connection, query, values)]


@dataclass(frozen=True)
class _Known:
    id: int
    updated_at: datetime
    order_id: int | None
    is_adopted: bool


@dataclass(frozen=True)
class _Line:
    id: int
    external_id: str
    channel_sku: str | None
    key: str | None
    title: str
    sku_id: int | None
    taken: int
    kept: int
    unit_price_micros: int
    changes: int


@dataclass(frozen=True)
class _Wanted:
    """How a line should stand."""

    taken: int
    kept: int
    unit_price_micros: int


@dataclass(frozen=True)
class _Booking:
    kind: str
    code: str
    sku_id: int | None
    title: str | None
    quantity: int
    unit_price_micros: int
    amount_minor: int


@dataclass(frozen=True)
class _Telling:
    """One telling of an order that is on its way into the store."""

    connection: "Connection"
    books: Books
    channel: ConnectedChannel
    order: ChannelOrder
    known: _Known


_LINE = "id, external_id, channel_sku, key, title, sku_id, taken, kept, unit_price_micros, changes"


def _known(connection: "Connection", channel: ConnectedChannel, order: ChannelOrder) -> _Known | None:
    query = "SELECT id, updated_at, order_id, state FROM channel_orders WHERE channel_id = :channel AND external_id = :order"
    rows = fetch(connection, query, {"channel": channel.channel_id, "order": order.order_id})
    if not rows:
        return None
    number, updated, order_id, state = rows[0]
    return _Known(number, as_instant(updated), order_id, state.startswith(_ADOPTED))


_ADOPTED = "from a file: "


def _write_order(connection: "Connection", books: Books, channel: ConnectedChannel, order: ChannelOrder) -> _Known:
    query = "SELECT id FROM orders WHERE brand_id = :brand AND channel_id = :channel AND number = :number"
    values = {"brand": books.brand, "channel": channel.channel_id, "number": order.number}
    adopted = run(connection, query, values).scalar()
    # What a file brought is in the books already, so that it is noted as booked.
    totals = _totals_of(books, order) if adopted else (0, 0, 0, 0)
    row = {
        "brand_id": books.brand,
        "channel_id": channel.channel_id,
        "external_id": order.order_id,
        "number": order.number,
        "state": f"{_ADOPTED if adopted else ''}{order.state}",
        "country": order.country,
        "currency": order.currency,
        **dict(zip((column for _, column in _TOTALS), totals, strict=True)),
        "order_id": adopted,
        "placed_at": order.placed_at,
        "updated_at": order.updated_at,
        "seen_at": datetime.now(UTC),
    }
    number = insert_row(connection, "channel_orders", row)
    return _Known(number, order.updated_at, adopted, adopted is not None)


def _lines(connection: "Connection", order: int) -> dict[str, _Line]:
    rows = fetch(
        connection, f"SELECT {_LINE} FROM channel_order_lines WHERE channel_order_id = :order", {"order": order}
    )
    return {row[1]: _Line(*row) for row in rows}


def _write_line(
    connection: "Connection", books: Books, channel: ConnectedChannel, order: int, line: OrderLine
) -> _Line:
    row = {
        "brand_id": books.brand,
        "channel_order_id": order,
        "external_id": line.line_id,
        "channel_sku": line.sku or None,
        "key": line.key,
        "title": line.title,
        "sku_id": None,
        "taken": 0,
        "kept": 0,
        "unit_price_micros": _wanted(line).unit_price_micros,
        "changes": 0,
    }
    number = insert_row(connection, "channel_order_lines", row)
    return _Line(number, line.line_id, line.sku or None, line.key, line.title, None, 0, 0, row["unit_price_micros"], 0)


def _wanted(line: OrderLine) -> _Wanted:
    return _Wanted(line.taken, line.kept, int((line.unit_price * 1_000_000).to_integral_value(ROUND_HALF_EVEN)))


def _map(connection: "Connection", brand: int, channel: ConnectedChannel, line: _Line) -> int | None:
    """Our SKU: by a mapping, by the channel's SKU, or by the item that it lists."""
    query = """
        SELECT coalesce(
            (SELECT sku_id FROM sku_mappings WHERE channel_id = :channel AND channel_sku = :sku),
            (SELECT id FROM skus WHERE brand_id = :brand AND sku = :sku),
            (SELECT id FROM skus WHERE brand_id = :brand AND sku = upper(CAST(:sku AS TEXT))),
            (SELECT sku_id FROM channel_items WHERE channel_id = :channel AND key = :key))
    """
    values = {"channel": channel.channel_id, "brand": brand, "sku": line.channel_sku, "key": line.key}
    return run(connection, query, values).scalar()


def _name_booked(telling: _Telling, line: _Line, sku: int) -> None:
    """Lines that were booked while nobody knew the SKU are that SKU's from now on."""
    if line.sku_id is not None or not line.kept:
        return
    statement = """
        UPDATE order_lines SET sku_id = :sku WHERE order_id = :order AND code = :code AND kind = 'goods' AND sku_id IS NULL
    """
    run(telling.connection, statement, {"sku": sku, "order": telling.known.order_id, "code": _code(line)})


def _move_line(telling: _Telling, line: _Line, sku: int, units: int, moved: Counter[int]) -> None:
    """Take so many more units out of stock, or put them back where they are negative."""
    if not units:
        return
    connection, books, channel, order = telling.connection, telling.books, telling.channel, telling.order
    reference = f"{channel.name}:{order.order_id}:{line.external_id}"
    # By as much the channel has changed what it shows: that is no edit of somebody else's.
    expected = "UPDATE channel_items SET agreed = agreed - :units WHERE channel_id = :channel AND sku_id = :sku"
    run(connection, expected, {"units": units, "channel": channel.channel_id, "sku": sku})
    # The first units left when the order was placed; what changed later, changed when the channel says.
    at = order.placed_at if not line.changes else order.updated_at
    for part, count in _parts(telling, line, sku, units, reference).items():
        places = (
            take_out(connection, books.brand, part, count, channel.locations)
            if units > 0
            else put_back(connection, books.brand, part, count, reference, channel.locations)
        )
        for place, quantity in places.items():
            serials = assign_pieces(connection, books.brand, part, -quantity, reference, place)
            pieces = f", pieces {', '.join(serials)}" if serials else ""
            movement = Movement(
                books.brand,
                part,
                place,
                "sale" if units > 0 else "return",
                quantity,
                at,
                books.day(at),
                reference,
                channel.name,
                f"order {order.number} ({order.state}){pieces}",
                f"{reference}:{line.changes + 1}:{part}:{place}",
            )
            move(connection, movement)
            moved[part] -= quantity


def _parts(telling: _Telling, line: _Line, sku: int, units: int, reference: str) -> dict[int, int]:
    """How many units of which SKUs that is. What comes back is what went, also of a set that consists of something else now."""
    went = (
        {} if units > 0 or telling.known.is_adopted else units_out(telling.connection, telling.books.brand, reference)
    )
    if went:
        return {part: out * -units // line.taken for part, out in went.items() if out * -units // line.taken}
    each = components_of(telling.connection, telling.books.brand, sku)
    return {part: abs(units) * count for part, count in each.items()}


def _bookings(books: Books, line: _Line, sku: int | None, wanted: _Wanted) -> Iterable[_Booking]:
    """What brings the books from how a line stands to how it should: the difference; at another price all of it anew.

    An amount is the difference of two rounded ones, so that whatever the steps were, the sum is that of the units kept.
    """
    old, new = line.unit_price_micros, wanted.unit_price_micros
    steps = [(old, line.kept, wanted.kept)] if old == new else [(old, line.kept, 0), (new, 0, wanted.kept)]
    for price, was, now in steps:
        if now != was:
            amount = books.worth(now, price) - books.worth(was, price)
            yield _Booking("goods", _code(line), sku, line.title, now - was, price, amount)


def _code(line: _Line) -> str:
    return (line.channel_sku or line.key or line.external_id)[:128]


def _book(telling: _Telling, booked: list[_Booking]) -> None:
    """Lines of the order in the books, and the money event of each kind, for what has changed."""
    connection, books, order, known = telling.connection, telling.books, telling.order, telling.known
    booked = [*booked, *_totals(connection, books, order, known)]
    if not booked:
        return
    fresh = known.order_id is None
    order_id = known.order_id or _write_booked_order(connection, books, telling.channel, order, known)
    at = order.placed_at if fresh else order.updated_at
    sums: Counter[str] = Counter()
    imported = _import_row(connection, books.brand)
    for number, line in enumerate(booked, start=1):
        row = {
            "brand_id": books.brand,
            "order_id": order_id,
            "import_id": imported,
            "row_number": number,
            "kind": line.kind,
            "code": line.code,
            "sku_id": line.sku_id,
            "description": line.title,
            "quantity": line.quantity,
            "unit_price_micros": line.unit_price_micros,
            "amount_minor": line.amount_minor,
            "currency": order.currency,
            "occurrence": _occurrence(connection, order_id, line),
            "occurred_at": at,
            "local_date": books.day(at),
        }
        insert_row(connection, "order_lines", row)
        sums["refund" if line.quantity < 0 else "sale"] += line.amount_minor
    for kind, amount in sums.items():
        _add_to_transaction(connection, books.brand, order_id, kind, amount, order.currency, at)


def _totals(connection: "Connection", books: Books, order: ChannelOrder, known: _Known) -> Iterable[_Booking]:
    """What has been added to the order's totals since they were last booked. An order that is no sale yet has none."""
    columns = ", ".join(column for _, column in _TOTALS)
    stood = fetch(connection, f"SELECT {columns} FROM channel_orders WHERE id = :id", {"id": known.id})[0]
    wanted = _totals_of(books, order)
    is_sale = known.order_id is not None or any(line.kept for line in order.lines)
    if not is_sale:
        return
    for (kind, _), was, now in zip(_TOTALS, stood, wanted, strict=True):
        if now == was:
            continue
        # As an export of the order would say it: a discount is a negative price, and only what is given back a negative count.
        amount = (was - now) if kind in ("discount", "refund") else now - was
        quantity = -1 if kind == "refund" or _is_taken_back(order) else 1
        micros = amount * quantity * 10 ** (6 - books.exponent)
        yield _Booking(kind, kind.upper(), None, None, quantity, micros, amount)
    changes = ", ".join(f"{column} = :{column}" for _, column in _TOTALS)
    values = dict(zip((column for _, column in _TOTALS), wanted, strict=True))
    run(connection, f"UPDATE channel_orders SET {changes} WHERE id = :id", {**values, "id": known.id})


def _totals_of(books: Books, order: ChannelOrder) -> Sequence[int]:
    if _is_taken_back(order):
        return (0, 0, 0, 0)
    return tuple(books.minor(a) for a in (order.shipping, order.tax, order.discount, order.refunded_besides))


def _is_taken_back(order: ChannelOrder) -> bool:
    """Whether all of it was given back or cancelled: with its goods went shipping, tax and discount."""
    return not any(line.kept for line in order.lines) and order.refunded_besides == 0


def _write_booked_order(
    connection: "Connection", books: Books, channel: ConnectedChannel, order: ChannelOrder, known: _Known
) -> int:
    row = {
        "brand_id": books.brand,
        "channel_id": channel.channel_id,
        "number": order.number,
        "customer_id": None,
        "country": order.country,
        "currency": order.currency,
        "placed_at": order.placed_at,
        "local_date": books.day(order.placed_at),
    }
    number = insert_row(connection, "orders", row)
    run(connection, "UPDATE channel_orders SET order_id = :order WHERE id = :id", {"order": number, "id": known.id})
    return number


def _import_row(connection: "Connection", brand: int) -> int:
    """One row stands for all that connected channels tell: their lines are not counted in it."""
    query = "SELECT max(id) FROM imports WHERE brand_id = :brand AND mapping = :mapping"
    known = run(connection, query, {"brand": brand, "mapping": MAPPING}).scalar()
    if known is not None:
        return known
    counts = dict.fromkeys(("rows_in", "rows_new", "rows_known", "rows_quarantined"), 0)
    row = {
        "brand_id": brand,
        "kind": "orders",
        "file_name": MAPPING,
        "sha256": "0" * 64,
        "mapping": MAPPING,
        "finished_at": datetime.now(UTC),
        **counts,
    }
    return insert_row(connection, "imports", row)


def _occurrence(connection: "Connection", order: int, line: _Booking) -> int:
    query = """
        SELECT count(*) FROM order_lines
        WHERE order_id = :order AND code = :code AND quantity = :quantity AND unit_price_micros = :micros
    """
    values = {"order": order, "code": line.code, "quantity": line.quantity, "micros": line.unit_price_micros}
    return fetch(connection, query, values)[0][0]


def _add_to_transaction(
    connection: "Connection", brand: int, order: int, kind: str, amount: int, currency: str, at: datetime
) -> None:
    statement = """
        INSERT INTO transactions (brand_id, type, order_id, amount_minor, currency, occurred_at)
        VALUES (:brand, :type, :order, :amount, :currency, :at)
        ON CONFLICT (brand_id, order_id, type) DO UPDATE SET amount_minor = transactions.amount_minor + excluded.amount_minor
    """
    values = {"brand": brand, "type": kind, "order": order, "amount": amount, "currency": currency, "at": at}
    run(connection, statement, values)


def _note_line(connection: "Connection", line: _Line, sku: int | None, wanted: _Wanted) -> None:
    stands = _Wanted(line.taken, line.kept, line.unit_price_micros)
    if (sku, wanted) == (line.sku_id, stands):
        return
    statement = """
        UPDATE channel_order_lines
        SET sku_id = :sku, taken = :taken, kept = :kept, unit_price_micros = :micros, changes = changes + :moved WHERE id = :id
    """
    values = {"sku": sku, "taken": wanted.taken, "kept": wanted.kept, "micros": wanted.unit_price_micros, "id": line.id}
    run(connection, statement, {**values, "moved": int(wanted.taken != line.taken)})


def _note_order(connection: "Connection", books: Books, known: int, order: ChannelOrder) -> None:
    statement = """
        UPDATE channel_orders SET updated_at = :updated, seen_at = :seen, country = :country,
               state = CASE WHEN state LIKE :adopted THEN :adopted_as ELSE :state END
        WHERE id = :id
    """
    values = {
        "updated": order.updated_at,
        "seen": datetime.now(UTC),
        "country": order.country,
        "adopted": f"{_ADOPTED}%",
        "adopted_as": f"{_ADOPTED}{order.state}",
        "state": order.state,
        "id": known,
    }
    run(connection, statement, values)
