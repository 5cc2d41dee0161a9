"""Units that are promised to somebody for a time: they leave `available`, and stay in `on_hand` until they are fetched.

Does not belong here: orders of channels, which take units out at once (`channel_orders`).
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import polars as pl

from resources.store.bulk import as_instant, fetch, insert_row, read_frame, run
from resources.store.movements import (
    Movement,
    components_of,
    index_movements,
    levels_by_location,
    move,
    places_of,
    take_out,
)
from resources.store.orders import INSTANT, INT, TEXT
from resources.store.stock_keeping import assign_pieces

if TYPE_CHECKING:
    from sqlalchemy import Connection

RESERVATIONS: dict[str, pl.DataType] = {
    "reference": TEXT,
    "sku": TEXT,
    "location": TEXT,
    "quantity": INT,
    "state": TEXT,
    "created_by": TEXT,
    "created_at": INSTANT,
    "expires_at": INSTANT,
}


class NotEnough(Exception):
    """Fewer units are available than are to be promised."""


class UnknownReservation(Exception):
    """None of this reference is active."""


class TakenReference(Exception):
    """Another promise has this reference."""


@dataclass(frozen=True)
class Promise:
    """So many units of a SKU for whom, until when (None: until released), and who promised it."""

    reference: str
    sku_id: int
    sku: str
    quantity: int
    expires_at: datetime | None
    actor: str

    def __post_init__(self) -> None:
        if self.quantity < 1:
            raise ValueError(f"{self.sku}: at least one unit is promised, not {self.quantity}")


def reserve(
    connection: "Connection", brand: int, promise: Promise, today: date, locations: tuple[str, ...] = ()
) -> None:
    """Promise units. The same promise again, while it is active, changes nothing. Raises NotEnough and TakenReference.

    Only what is available can be promised, at these locations if any are named. A numbered piece or a set is promised like any
    SKU: by its components.
    """
    if _is_known(connection, brand, promise):
        return
    parts = components_of(connection, brand, promise.sku_id)
    places = set(places_of(connection, brand, locations))
    for part, each in parts.items():
        levels = levels_by_location(connection, part)
        available = sum(on_hand - reserved for place, (on_hand, reserved) in levels.items() if place in places)
        if available < promise.quantity * each:
            raise NotEnough(f"{promise.sku}: {max(0, available // each)} available, {promise.quantity} asked for")
    now = datetime.now(UTC)
    first: int | None = None
    for part, each in parts.items():
        for place, quantity in take_out(connection, brand, part, promise.quantity * each, locations).items():
            first = first or place
            _move(connection, brand, part, place, quantity, promise.reference, promise.actor, "promised", now, today)
    row = {
        "brand_id": brand,
        "reference": promise.reference,
        "sku_id": promise.sku_id,
        "location_id": first,
        "quantity": promise.quantity,
        "state": "active",
        "created_at": now,
        "created_by": promise.actor,
        "expires_at": promise.expires_at,
    }
    insert_row(connection, "reservations", row)


def release(
    connection: "Connection", brand: int, reference: str, actor: str, today: date, as_state: str = "released"
) -> None:
    """Give the units back to `available`. Raises UnknownReservation unless one of this reference is active."""
    now = datetime.now(UTC)
    statement = """
        UPDATE reservations SET state = :state, ended_at = :now
        WHERE brand_id = :brand AND reference = :reference AND state = 'active'
    """
    values = {"state": as_state, "now": now, "brand": brand, "reference": reference}
    if not run(connection, statement, values).rowcount:
        raise UnknownReservation(f"no active reservation has the reference {reference!r}")
    for part, place, held in _held(connection, brand, reference):
        _move(connection, brand, part, place, held, reference, actor, as_state, now, today)


def consume(connection: "Connection", brand: int, reference: str, actor: str, today: date) -> None:
    """The units were fetched: the promise ends, and they leave the stock. Raises UnknownReservation."""
    held = _held(connection, brand, reference)
    release(connection, brand, reference, actor, today, "consumed")
    now = datetime.now(UTC)
    for part, place, units in held:
        serials = assign_pieces(connection, brand, part, units, _tag(reference), place)
        reason = f"fetched, pieces {', '.join(serials)}" if serials else "fetched"
        move(connection, Movement(brand, part, place, "sale", -units, now, today, _tag(reference), actor, reason))


def release_expired(connection: "Connection", brand: int, now: datetime, today: date) -> int:
    """End every promise whose time is over. Returns how many."""
    query = """
        SELECT reference FROM reservations
        WHERE brand_id = :brand AND state = 'active' AND expires_at <= :now ORDER BY id
    """
    over = [row[0] for row in fetch(connection, query, {"brand": brand, "now": now})]
    for reference in over:
        release(connection, brand, reference, "expiry", today, "expired")
    return len(over)


def read_reservations(connection: "Connection", brand: int, *, active_only: bool = True) -> pl.DataFrame:
    """Promises, the oldest first, with the columns RESERVATIONS."""
    query = f"""
        SELECT r.reference, s.sku, l.code, r.quantity, r.state, r.created_by, r.created_at, r.expires_at
        FROM reservations r JOIN skus s ON s.id = r.sku_id JOIN locations l ON l.id = r.location_id
        WHERE r.brand_id = :brand {"AND r.state = 'active'" if active_only else ""} ORDER BY r.id
    """
    return read_frame(connection, query, RESERVATIONS, {"brand": brand})


def next_expiry(connection: "Connection", brand: int) -> datetime | None:
    """When the first of the active promises ends."""
    query = "SELECT min(expires_at) FROM reservations WHERE brand_id = :brand AND state = 'active'"
    found: Any = run(connection, query, {"brand": brand}).scalar()
    return None if found is None else as_instant(found)


def _is_known(connection: "Connection", brand: int, promise: Promise) -> bool:
    query = "SELECT sku_id, quantity, state FROM reservations WHERE brand_id = :brand AND reference = :reference"
    known = fetch(connection, query, {"brand": brand, "reference": promise.reference})
    if not known:
        return False
    sku, quantity, state = known[0]
    if (sku, quantity) != (promise.sku_id, promise.quantity):
        raise TakenReference(f"the reference {promise.reference!r} is another promise's; choose another one")
    if state != "active":
        raise TakenReference(f"the promise {promise.reference!r} has ended ({state}); choose another reference")
    return True


def _held(connection: "Connection", brand: int, reference: str) -> list[tuple[int, int, int]]:
    """SKU's id, location's id and units that the promise still holds."""
    index_movements(connection)
    query = """
        SELECT sku_id, location_id, CAST(-sum(quantity) AS BIGINT) FROM stock_movements
        WHERE brand_id = :brand AND kind = 'reservation' AND reference = :reference
        GROUP BY sku_id, location_id HAVING sum(quantity) < 0 ORDER BY sku_id, location_id
    """
    values = {"brand": brand, "reference": _tag(reference)}
    return [(row[0], row[1], row[2]) for row in fetch(connection, query, values)]


def _move(
    connection: "Connection",
    brand: int,
    sku: int,
    place: int,
    quantity: int,
    reference: str,
    actor: str,
    reason: str,
    at: datetime,
    day: date,
) -> None:
    move(connection, Movement(brand, sku, place, "reservation", quantity, at, day, _tag(reference), actor, reason))


def _tag(reference: str) -> str:
    return f"reservation:{reference}"
