"""One stock movement at a time, and which location it is of.

Belongs here: taking units out where they are, putting them back where they came from, what a set consists of, the trail of
movements. Does not belong here: files of movements (`stock`), promises (`reservations`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import polars as pl

from resources.store.brands import location_ids
from resources.store.bulk import fetch, insert_row, read_frame, run
from resources.store.orders import INSTANT, INT, TEXT

if TYPE_CHECKING:
    from sqlalchemy import Connection

MAIN = "main"
HISTORY: dict[str, pl.DataType] = {
    "movement_id": INT,
    "occurred_at": INSTANT,
    "location": TEXT,
    "kind": TEXT,
    "quantity": INT,
    "on_hand": INT,
    "reserved": INT,
    "reference": TEXT,
    "actor": TEXT,
    "reason": TEXT,
}
INDEXES = {
    "ix_stock_movements_sku": "(sku_id, location_id)",
    "ix_stock_movements_reference": "(brand_id, reference) WHERE reference IS NOT NULL",
}
_DEEPEST = 16


class InvalidBundle(Exception):
    """A set that contains itself."""


@dataclass(frozen=True)
class Movement:
    """Units in (positive) or out (negative) of one location."""

    brand_id: int
    sku_id: int
    location_id: int
    kind: str
    quantity: int
    occurred_at: datetime
    local_date: date
    reference: str | None
    actor: str | None
    reason: str | None
    import_key: str | None = None


def move(connection: "Connection", movement: Movement) -> int:
    """Write it; its `import_key` makes it once. Raises IntegrityError where that is there already. Returns its id."""
    return insert_row(connection, "stock_movements", asdict(movement))


def index_movements(connection: "Connection") -> None:
    """Make the indexes by which the movements of one SKU, or of one reference, are found. Called before such a question.

    Not by a migration: they would cost a seventh of every ingest, and who only takes files in never asks.
    """
    if connection.dialect.name == "sqlite":
        there = "SELECT name FROM sqlite_master WHERE type = 'index' AND name = :name"
    else:
        there = "SELECT to_regclass(:name)"
    for name, columns in INDEXES.items():
        if run(connection, there, {"name": name}).scalar() is None:
            run(connection, f"CREATE INDEX IF NOT EXISTS {name} ON stock_movements {columns}")


def levels_by_location(connection: "Connection", sku: int) -> dict[int, tuple[int, int]]:
    """On hand and reserved of a SKU by location's id."""
    index_movements(connection)
    query = """
        SELECT location_id, CAST(sum(CASE WHEN kind = 'reservation' THEN 0 ELSE quantity END) AS BIGINT),
               CAST(-sum(CASE WHEN kind = 'reservation' THEN quantity ELSE 0 END) AS BIGINT)
        FROM stock_movements WHERE sku_id = :sku GROUP BY location_id
    """
    return {place: (on_hand, reserved) for place, on_hand, reserved in fetch(connection, query, {"sku": sku})}


def places_of(connection: "Connection", brand: int, locations: Iterable[str]) -> list[int]:
    """Ids of these locations in their order; of all, the main one first, where none is named."""
    named = list(locations)
    if named:
        ids = location_ids(connection, brand, named)
        return list(dict.fromkeys(ids[code] for code in named))
    query = "SELECT id FROM locations WHERE brand_id = :brand ORDER BY CASE WHEN code = :main THEN 0 ELSE 1 END, code"
    found = [row[0] for row in run(connection, query, {"brand": brand, "main": MAIN})]
    return found or [location_ids(connection, brand, [MAIN])[MAIN]]


def take_out(
    connection: "Connection", brand: int, sku: int, units: int, locations: Iterable[str] = ()
) -> Mapping[int, int]:
    """From which locations so many units go: from the first that has them all, else from one after the other.

    What nobody has is taken from the first, which goes below zero: the order stands, and the shortfall is told. Returns
    negative quantities by location's id.
    """
    order = places_of(connection, brand, locations)
    levels = levels_by_location(connection, sku)
    free = {place: max(0, levels.get(place, (0, 0))[0] - levels.get(place, (0, 0))[1]) for place in order}
    whole = next((place for place in order if free[place] >= units), None)
    if whole is not None:
        return {whole: -units}
    taken: dict[int, int] = {}
    for place in order:
        part = min(free[place], units)
        if part:
            taken[place] = -part
            units -= part
    if units:
        taken[order[0]] = taken.get(order[0], 0) - units
    return taken


def put_back(
    connection: "Connection", brand: int, sku: int, units: int, reference: str, locations: Iterable[str] = ()
) -> Mapping[int, int]:
    """To which locations so many units return: where this reference took them from, the rest to the first location."""
    index_movements(connection)
    query = """
        SELECT location_id, CAST(-sum(quantity) AS BIGINT) FROM stock_movements
        WHERE sku_id = :sku AND reference = :reference GROUP BY location_id ORDER BY sum(quantity), location_id
    """
    back: dict[int, int] = {}
    for place, out in fetch(connection, query, {"sku": sku, "reference": reference}):
        part = min(max(out, 0), units)
        if part:
            back[place] = part
            units -= part
    if units:
        first = places_of(connection, brand, locations)[0]
        back[first] = back.get(first, 0) + units
    return back


def units_out(connection: "Connection", brand: int, reference: str) -> dict[int, int]:
    """Units that this reference has taken out of stock and not put back, by SKU's id."""
    index_movements(connection)
    query = """
        SELECT sku_id, CAST(-sum(quantity) AS BIGINT) FROM stock_movements
        WHERE brand_id = :brand AND reference = :reference AND kind IN ('sale', 'return')
        GROUP BY sku_id HAVING sum(quantity) < 0 ORDER BY sku_id
    """
    rows: Any = fetch(connection, query, {"brand": brand, "reference": reference})
    return dict(rows)


def components_of(connection: "Connection", brand: int, sku: int) -> dict[int, int]:
    """Units of each SKU that one of this consists of; of itself where it is no set. Sets of sets are taken apart."""
    parts = {sku: 1}
    for _ in range(_DEEPEST):
        query = "SELECT component_id, units FROM bundle_components WHERE brand_id = :brand AND bundle_id = :bundle ORDER BY id"
        opened: dict[int, int] = {}
        is_plain = True
        for part, count in parts.items():
            inside = fetch(connection, query, {"brand": brand, "bundle": part})
            is_plain = is_plain and not inside
            for component, units in inside or [(part, 1)]:
                opened[component] = opened.get(component, 0) + count * units
        parts = opened
        if is_plain:
            return parts
    raise InvalidBundle(f"the set with id {sku} contains itself, or sets more than {_DEEPEST} deep")


def read_history(connection: "Connection", brand: int, sku: str, most: int | None = None) -> pl.DataFrame:
    """Every movement of a SKU, newest first, with the levels over all locations after it: columns HISTORY."""
    query = f"""
        SELECT * FROM (
            SELECT m.id AS id, m.occurred_at, l.code, m.kind, m.quantity,
                   CAST(sum(CASE WHEN m.kind = 'reservation' THEN 0 ELSE m.quantity END) OVER w AS BIGINT),
                   CAST(-sum(CASE WHEN m.kind = 'reservation' THEN m.quantity ELSE 0 END) OVER w AS BIGINT),
                   coalesce(m.reference, o.number), coalesce(m.actor, i.file_name, c.code), m.reason
            FROM stock_movements m
            JOIN skus s ON s.id = m.sku_id JOIN locations l ON l.id = m.location_id
            LEFT JOIN order_lines n ON n.id = m.order_line_id
            LEFT JOIN orders o ON o.id = n.order_id LEFT JOIN channels c ON c.id = o.channel_id
            LEFT JOIN imports i ON i.id = n.import_id
            WHERE m.brand_id = :brand AND s.brand_id = :brand AND s.sku = :sku
            WINDOW w AS (ORDER BY m.id)
        ) AS h ORDER BY h.id DESC {"" if most is None else "LIMIT :most"}
    """
    values: dict[str, Any] = {"brand": brand, "sku": sku} | ({} if most is None else {"most": most})
    return read_frame(connection, query, HISTORY, values)
