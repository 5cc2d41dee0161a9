"""Recording one money event at a time, as a request tells it: few statements, the same rows as an ingest writes.

Belongs here: the rows of one sale, refund or other event, found again by order or by key. Does not belong here: files of many
(`orders`), or what an amount consists of (`assets/finance/invoice`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Protocol

import polars as pl

from resources.store.brands import channel_ids, location_ids
from resources.store.bulk import as_instant, as_json, fetch, ids_by_code, insert_row, read_frame, run
from resources.store.catalog_codes import sku_ids
from resources.store.orders import INSTANT, INT, TEXT

if TYPE_CHECKING:
    from sqlalchemy import Connection

REQUESTS = "requests"
EVENTS: dict[str, pl.DataType] = {
    "transaction_id": INT,
    "type": TEXT,
    "amount_minor": INT,
    "currency": TEXT,
    "occurred_at": INSTANT,
}


class Line(Protocol):
    """A row of `order_lines` before it has an order."""

    @property
    def kind(self) -> str: ...
    @property
    def code(self) -> str: ...
    @property
    def sku(self) -> str | None: ...
    @property
    def quantity(self) -> int: ...
    @property
    def unit_price_micros(self) -> int: ...
    @property
    def amount_minor(self) -> int: ...
    @property
    def occurrence(self) -> int: ...


@dataclass(frozen=True)
class Recorded:
    """A transaction as it stands. `details` is None where a file brought it."""

    transaction: int
    type: str
    order: int | None
    amount_minor: int
    currency: str
    occurred_at: datetime
    details: dict[str, Any] | None


@dataclass(frozen=True)
class KnownOrder:
    """An order of the number asked for, and its transaction of the type asked for, if there is one."""

    order: int
    channel: str
    currency: str
    recorded: Recorded | None


@dataclass(frozen=True)
class Event:
    """When something happened, in what currency, and by whose key."""

    type: str
    currency: str
    occurred_at: datetime
    local_date: date
    key: str
    details: dict[str, Any]
    reversal_of: int | None = None


_TRANSACTION = "t.id, t.type, t.order_id, t.amount_minor, t.currency, t.occurred_at, t.details"


def find_by_key(connection: "Connection", brand: int, key: str) -> Recorded | None:
    """The transaction that a call with this key wrote."""
    query = f"SELECT {_TRANSACTION} FROM transactions t WHERE t.brand_id = :brand AND t.key = :key"
    rows = fetch(connection, query, {"brand": brand, "key": key})
    return _recorded(rows[0]) if rows else None


def find_transaction(connection: "Connection", brand: int, transaction: int) -> Recorded | None:
    query = f"SELECT {_TRANSACTION} FROM transactions t WHERE t.brand_id = :brand AND t.id = :id"
    row = run(connection, query, {"brand": brand, "id": transaction}).fetchone()
    return _recorded(row) if row else None


def find_reversal(connection: "Connection", brand: int, transaction: int) -> Recorded | None:
    """The transaction that took this one back."""
    query = f"SELECT {_TRANSACTION} FROM transactions t WHERE t.brand_id = :brand AND t.reversal_of = :id"
    row = run(connection, query, {"brand": brand, "id": transaction}).fetchone()
    return _recorded(row) if row else None


def find_orders(
    connection: "Connection", brand: int, number: str, type: str, channel: str | None = None
) -> list[KnownOrder]:
    """Orders of this number, on one channel or on all."""
    only = "AND c.code = :channel" if channel else ""
    query = f"""
        SELECT o.id, c.code, o.currency, {_TRANSACTION}
        FROM channels c CROSS JOIN orders o
        LEFT JOIN transactions t ON t.brand_id = o.brand_id AND t.order_id = o.id AND t.type = :type
        WHERE c.brand_id = :brand AND o.brand_id = c.brand_id AND o.channel_id = c.id AND o.number = :number {only}
    """
    values = {"brand": brand, "number": number, "type": type} | ({"channel": channel} if channel else {})
    # CROSS makes SQLite go from channel to channel, and sorting is done here: else it would walk through all orders.
    return [
        KnownOrder(order, code, currency, _recorded(rest) if rest[0] is not None else None)
        for order, code, currency, *rest in sorted(fetch(connection, query, values), key=lambda row: row[0])
    ]


def find_order_of(connection: "Connection", brand: int, order: int) -> tuple[str, str]:
    """Channel and number of an order."""
    query = """
        SELECT c.code, o.number FROM orders o JOIN channels c ON c.id = o.channel_id
        WHERE o.brand_id = :brand AND o.id = :order
    """
    code, number = fetch(connection, query, {"brand": brand, "order": order})[0]
    return code, number


def write_order_event(
    connection: "Connection",
    brand: int,
    event: Event,
    lines: Sequence[Line],
    *,
    channel: str,
    number: str,
    order: int | None = None,
    customer: str | None = None,
    location: str = "main",
) -> int:
    """Write a sale or refund: its order unless it is known, its lines, the stock that they move, the transaction.

    Returns the transaction's id. `location` is where stock leaves or comes back to.
    """
    channel_id, import_id = _channel_and_import(connection, brand, channel)
    if order is None:
        row = {
            "brand_id": brand,
            "channel_id": channel_id,
            "number": number,
            "customer_id": None if customer is None else _customer(connection, brand, customer, event.local_date),
            "currency": event.currency,
            "placed_at": event.occurred_at,
            "local_date": event.local_date,
        }
        order = insert_row(connection, "orders", row)
    _write_lines(connection, brand, event, lines, order, import_id, location)
    return write_transaction(connection, brand, event, sum(line.amount_minor for line in lines), order)


def write_transaction(
    connection: "Connection", brand: int, event: Event, amount_minor: int, order: int | None = None
) -> int:
    """Write the money event alone. Returns its id."""
    row = {
        "brand_id": brand,
        "type": event.type,
        "order_id": order,
        "amount_minor": amount_minor,
        "currency": event.currency,
        "occurred_at": event.occurred_at,
        "details": event.details,
        "key": event.key,
        "reversal_of": event.reversal_of,
    }
    return insert_row(connection, "transactions", row)


def location_of_channel(connection: "Connection", brand: int, channel: str, otherwise: str) -> str:
    """The channel's own location, of the same code, where there is one."""
    query = "SELECT code FROM locations WHERE brand_id = :brand AND code = :code"
    return channel if fetch(connection, query, {"brand": brand, "code": channel}) else otherwise


def skus_of_items(connection: "Connection", brand: int, channel: str, item_ids: Iterable[str]) -> dict[str, str]:
    """SKUs by the channel's own item ids, as far as its listings know them."""
    found: dict[str, str] = {}
    query = """
        SELECT s.sku FROM listings l JOIN channels c ON c.id = l.channel_id JOIN skus s ON s.id = l.sku_id
        WHERE l.brand_id = :brand AND c.code = :channel AND l.external_id = :item ORDER BY l.id LIMIT 1
    """
    for item in item_ids:
        sku = run(connection, query, {"brand": brand, "channel": channel, "item": item}).scalar()
        if sku is not None:
            found[item] = sku
    return found


def read_events(
    connection: "Connection", brand: int, types: Sequence[str], first: datetime, last: datetime
) -> pl.DataFrame:
    """Money events without an order in [first, last), with the columns EVENTS."""
    names = ", ".join(f"'{name}'" for name in types)
    query = f"""
        SELECT id, type, amount_minor, currency, occurred_at FROM transactions
        WHERE brand_id = :brand AND order_id IS NULL AND type IN ({names}) AND occurred_at >= :first AND occurred_at < :last
        ORDER BY id
    """
    return read_frame(connection, query, EVENTS, {"brand": brand, "first": first, "last": last})


def _recorded(row: Sequence[Any]) -> Recorded:
    number, type, order, amount, currency, at, details = row
    return Recorded(number, type, order, amount, currency, as_instant(at), as_json(details))


def _channel_and_import(connection: "Connection", brand: int, channel: str) -> tuple[int, int]:
    query = """
        SELECT (SELECT id FROM channels WHERE brand_id = :brand AND code = :code),
               (SELECT max(id) FROM imports WHERE brand_id = :brand AND mapping = :mapping)
    """
    ((found, import_id),) = fetch(connection, query, {"brand": brand, "code": channel, "mapping": REQUESTS})
    if found is None:
        found = channel_ids(connection, brand, [channel])[channel]
    return found, import_id if import_id is not None else _import_of_requests(connection, brand)


def _import_of_requests(connection: "Connection", brand: int) -> int:
    """One row stands for all requests: their lines are not counted in it, since each would have to change it."""
    row = {
        "brand_id": brand,
        "kind": "orders",
        "file_name": REQUESTS,
        "sha256": "0" * 64,
        "mapping": REQUESTS,
        "finished_at": datetime.now(UTC),
        "rows_in": 0,
        "rows_new": 0,
        "rows_known": 0,
        "rows_quarantined": 0,
    }
    return insert_row(connection, "imports", row)


def _customer(connection: "Connection", brand: int, external_id: str, day: date) -> int:
    values = {"brand": brand, "customer": external_id}
    query = "SELECT id FROM customers WHERE brand_id = :brand AND external_id = :customer"
    found = fetch(connection, query, values)
    if found:
        return found[0][0]
    return insert_row(connection, "customers", {"brand_id": brand, "external_id": external_id, "first_seen": day})


def _write_lines(
    connection: "Connection",
    brand: int,
    event: Event,
    lines: Sequence[Line],
    order: int,
    import_id: int,
    location: str,
) -> None:
    skus = sku_ids(connection, brand, {line.sku for line in lines if line.sku is not None})
    before = 0
    if skus:
        before = fetch(connection, "SELECT coalesce(max(id), 0) FROM order_lines", {})[0][0]
    for number, line in enumerate(lines, start=1):
        row = {
            "brand_id": brand,
            "order_id": order,
            "import_id": import_id,
            "row_number": number,
            "kind": line.kind,
            "code": line.code,
            "sku_id": skus.get(line.sku) if line.sku is not None else None,
            "quantity": line.quantity,
            "unit_price_micros": line.unit_price_micros,
            "amount_minor": line.amount_minor,
            "currency": event.currency,
            "occurrence": line.occurrence,
            "occurred_at": event.occurred_at,
            "local_date": event.local_date,
        }
        insert_row(connection, "order_lines", row)
    if skus:
        _move_stock(connection, brand, order, before, location)


def _move_stock(connection: "Connection", brand: int, order: int, after_line: int, location: str) -> None:
    # As an ingest does: a sale takes out, a return puts back.
    query = """
        INSERT INTO stock_movements
            (brand_id, sku_id, location_id, kind, quantity, occurred_at, local_date, order_line_id)
        SELECT l.brand_id, l.sku_id, :location,
               CASE WHEN l.kind = 'gift' THEN 'gift' WHEN l.quantity < 0 THEN 'return' ELSE 'sale' END,
               -l.quantity, l.occurred_at, l.local_date, l.id
        FROM order_lines l
        WHERE l.order_id = :order AND l.id > :after AND l.brand_id = :brand AND l.sku_id IS NOT NULL
        ORDER BY l.id
    """
    place = location_ids(connection, brand, [location])[location]
    run(connection, query, {"location": place, "order": order, "after": after_line, "brand": brand})


def count_by_type(connection: "Connection", brand: int) -> dict[str, int]:
    """How many transactions there are of each type."""
    query = "SELECT type, count(*) FROM transactions WHERE brand_id = :brand GROUP BY type ORDER BY type"
    return ids_by_code(connection, query, {"brand": brand})
