"""How SKUs are kept and shown: buffers and caps, sets, what is made to order, numbered pieces; levels by location.

Does not belong here: movements (`movements`, `stock`), promises (`reservations`).
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import polars as pl

from resources.store.brands import location_ids
from resources.store.bulk import as_json, fetch, insert_row, read_frame, run
from resources.store.catalog_codes import sku_ids
from resources.store.movements import InvalidBundle, Movement, components_of, levels_by_location, move
from resources.store.orders import DAY, INT, TEXT
from resources.store.vocabulary import SUPPLIES

if TYPE_CHECKING:
    from sqlalchemy import Connection

LEVELS_BY_LOCATION: dict[str, pl.DataType] = {
    "sku": TEXT,
    "location": TEXT,
    "on_hand": INT,
    "reserved": INT,
    "counted": pl.Boolean(),
}
SUPPLY: dict[str, pl.DataType] = {"sku": TEXT, "kind": TEXT, "limit": INT, "from": DAY, "until": DAY}
BUNDLES: dict[str, pl.DataType] = {"bundle": TEXT, "component": TEXT, "units": INT}
RULES: dict[str, pl.DataType] = {"channel": TEXT, "sku": TEXT, "buffer": INT, "most": INT}
PIECES: dict[str, pl.DataType] = {"sku": TEXT, "serial": TEXT, "location": TEXT, "state": TEXT, "reference": TEXT}


class InvalidStockKeeping(Exception):
    """Something that stock cannot be kept like; the message names the field and says why."""


@dataclass(frozen=True)
class Counted:
    """What a count or a person found: the level of a SKU at one location is brought to `quantity`."""

    sku: str
    location: str
    quantity: int
    actor: str
    reason: str
    reference: str | None = None


def read_levels_by_location(connection: "Connection", brand: int) -> pl.DataFrame:
    """On hand and reserved of every SKU at every location where it moved: columns LEVELS_BY_LOCATION."""
    query = """
        SELECT s.sku, l.code, m.on_hand, m.reserved, m.counted > 0
        FROM (
            SELECT sku_id, location_id,
                   CAST(sum(CASE WHEN kind = 'reservation' THEN 0 ELSE quantity END) AS BIGINT) AS on_hand,
                   CAST(-sum(CASE WHEN kind = 'reservation' THEN quantity ELSE 0 END) AS BIGINT) AS reserved,
                   sum(CASE WHEN kind IN ('opening', 'receipt') THEN 1 ELSE 0 END) AS counted
            FROM stock_movements WHERE brand_id = :brand GROUP BY sku_id, location_id
        ) AS m JOIN skus s ON s.id = m.sku_id JOIN locations l ON l.id = m.location_id
        ORDER BY s.sku, l.code
    """
    return read_frame(connection, query, LEVELS_BY_LOCATION, {"brand": brand})


def read_supply(connection: "Connection", brand: int) -> pl.DataFrame:
    """SKUs that are sold beyond what is in stock: columns SUPPLY."""
    query = """
        SELECT sku, supply, coalesce(supply_limit, 0), supply_from, supply_until FROM skus
        WHERE brand_id = :brand AND supply IS NOT NULL AND supply <> 'stock' ORDER BY sku
    """
    return read_frame(connection, query, SUPPLY, {"brand": brand})


def read_bundles(connection: "Connection", brand: int) -> pl.DataFrame:
    """What sets consist of: columns BUNDLES."""
    query = """
        SELECT b.sku, c.sku, k.units FROM bundle_components k
        JOIN skus b ON b.id = k.bundle_id JOIN skus c ON c.id = k.component_id
        WHERE k.brand_id = :brand ORDER BY b.sku, c.sku
    """
    return read_frame(connection, query, BUNDLES, {"brand": brand})


def read_places(connection: "Connection", brand: int) -> pl.DataFrame:
    """Which connected channel sells from which locations; one that names none sells from all: columns channel, location."""
    locations = [
        row[0] for row in fetch(connection, "SELECT code FROM locations WHERE brand_id = :brand", {"brand": brand})
    ]
    query = """
        SELECT c.code, n.locations FROM channel_connections n JOIN channels c ON c.id = n.channel_id WHERE n.brand_id = :brand
    """
    rows = [
        (channel, place)
        for channel, named in fetch(connection, query, {"brand": brand})
        for place in as_json(named) or sorted(locations)
    ]
    return pl.DataFrame(rows, schema={"channel": TEXT, "location": TEXT}, orient="row")


def read_rules(connection: "Connection", brand: int) -> pl.DataFrame:
    """Buffers and caps: columns RULES; an empty channel or SKU means every one."""
    query = """
        SELECT c.code, s.sku, r.buffer, r.most FROM stock_rules r
        LEFT JOIN channels c ON c.id = r.channel_id LEFT JOIN skus s ON s.id = r.sku_id
        WHERE r.brand_id = :brand ORDER BY r.id
    """
    return read_frame(connection, query, RULES, {"brand": brand})


def read_numbered(connection: "Connection", brand: int) -> list[str]:
    """SKUs whose pieces have numbers of their own."""
    query = "SELECT sku FROM skus WHERE brand_id = :brand AND is_numbered ORDER BY sku"
    return [row[0] for row in fetch(connection, query, {"brand": brand})]


def read_pieces(connection: "Connection", brand: int, sku: str) -> pl.DataFrame:
    """Numbered pieces of a SKU: columns PIECES."""
    query = """
        SELECT s.sku, p.serial, l.code, p.state, p.reference
        FROM numbered_pieces p JOIN skus s ON s.id = p.sku_id JOIN locations l ON l.id = p.location_id
        WHERE p.brand_id = :brand AND s.sku = :sku ORDER BY p.serial
    """
    return read_frame(connection, query, PIECES, {"brand": brand, "sku": sku})


def set_level(connection: "Connection", brand: int, counted: Counted, today: date) -> int:
    """Write the movement after which the location holds what was counted. Returns the units that it moved.

    The first count of a SKU there is its opening, also one of nothing; a later one is an adjustment, if anything differs.
    Raises InvalidStockKeeping.
    """
    if counted.quantity < 0:
        raise InvalidStockKeeping(f"quantity of {counted.sku}: {counted.quantity} is below 0")
    sku = sku_ids(connection, brand, [counted.sku])[counted.sku]
    if components_of(connection, brand, sku) != {sku: 1}:
        raise InvalidStockKeeping(f"{counted.sku} is a set and has no stock of its own: count its components")
    place = location_ids(connection, brand, [counted.location])[counted.location]
    on_hand, _ = levels_by_location(connection, sku).get(place, (0, 0))
    was_counted = run(
        connection,
        """
            SELECT 1 FROM stock_movements
            WHERE sku_id = :sku AND location_id = :place AND kind IN ('opening', 'receipt') LIMIT 1
        """,
        {"sku": sku, "place": place},
    ).scalar()
    moved = counted.quantity - on_hand
    if moved or not was_counted:
        movement = Movement(
            brand,
            sku,
            place,
            "adjustment" if was_counted else "opening",
            moved,
            datetime.now(UTC),
            today,
            counted.reference,
            counted.actor,
            counted.reason,
        )
        move(connection, movement)
    return moved


def save_rule(
    connection: "Connection", brand: int, channel: str | None, sku: str | None, buffer: int, most: int | None
) -> None:
    """One rule for a channel (None: all) and a SKU (None: all), in place of the one before. No buffer and no cap: no rule."""
    if buffer < 0 or (most is not None and most < 0):
        raise InvalidStockKeeping("a buffer and a cap are whole numbers of 0 or more")
    channel_id = None if channel is None else _id(connection, brand, "channels", "code", channel)
    sku_id = None if sku is None else _id(connection, brand, "skus", "sku", sku)
    values = {"brand": brand, "channel": channel_id, "sku": sku_id}
    run(
        connection,
        f"""
            DELETE FROM stock_rules WHERE brand_id = :brand
            AND {"channel_id IS NULL" if channel is None else "channel_id = :channel"}
            AND {"sku_id IS NULL" if sku is None else "sku_id = :sku"}
        """,
        {name: value for name, value in values.items() if value is not None},
    )
    if buffer or most is not None:
        row = {"brand_id": brand, "channel_id": channel_id, "sku_id": sku_id, "buffer": buffer, "most": most}
        insert_row(connection, "stock_rules", row)


def save_bundle(connection: "Connection", brand: int, bundle: str, components: dict[str, int]) -> None:
    """What a set consists of from now on; no components: it is a SKU like any other. Raises InvalidStockKeeping."""
    if any(units < 1 for units in components.values()):
        raise InvalidStockKeeping(f"a set has at least one unit of each component: {bundle}")
    ids = sku_ids(connection, brand, [bundle, *components])
    if components and levels_by_location(connection, ids[bundle]).values():
        held = sum(on_hand for on_hand, _ in levels_by_location(connection, ids[bundle]).values())
        if held:
            raise InvalidStockKeeping(
                f"{bundle} has {held} units in stock of its own; set them to 0 before it becomes a set"
            )
    run(connection, "DELETE FROM bundle_components WHERE bundle_id = :bundle", {"bundle": ids[bundle]})
    for component, units in components.items():
        row = {"brand_id": brand, "bundle_id": ids[bundle], "component_id": ids[component], "units": units}
        insert_row(connection, "bundle_components", row)
    # It is looked through here, so that a set which contains itself is refused and not met later.
    try:
        for whole in _sets_around(connection, ids[bundle]):
            components_of(connection, brand, whole)
    except InvalidBundle as error:
        raise InvalidStockKeeping(f"{bundle}: {error}") from error


def save_supply(
    connection: "Connection",
    brand: int,
    sku: str,
    kind: str,
    limit: int,
    first: date | None = None,
    last: date | None = None,
) -> None:
    """How a SKU is supplied: from stock, made to order, or on pre-order between two days, up to `limit` units beyond stock."""
    if kind not in SUPPLIES:
        raise InvalidStockKeeping(f"a SKU is supplied as one of {', '.join(SUPPLIES)}, not {kind!r}")
    if limit < 0 or (first and last and last < first):
        raise InvalidStockKeeping(f"{sku}: a limit is 0 or more, and a pre-order ends after it begins")
    number = sku_ids(connection, brand, [sku])[sku]
    statement = """
        UPDATE skus SET supply = :kind, supply_limit = :limit, supply_from = :first, supply_until = :last, updated_at = :now
        WHERE id = :id
    """
    values: dict[str, Any] = {"kind": kind, "limit": limit, "first": first, "last": last, "id": number}
    run(connection, statement, {**values, "now": datetime.now(UTC)})


def add_piece(connection: "Connection", brand: int, sku: str, serial: str, location: str) -> None:
    """A numbered piece that is in stock. The SKU's pieces are numbered from then on."""
    number = sku_ids(connection, brand, [sku])[sku]
    place = location_ids(connection, brand, [location])[location]
    row = {
        "brand_id": brand,
        "sku_id": number,
        "serial": serial,
        "location_id": place,
        "state": "in_stock",
        "moved_at": datetime.now(UTC),
    }
    insert_row(connection, "numbered_pieces", row)
    run(
        connection,
        "UPDATE skus SET is_numbered = :yes, updated_at = :now WHERE id = :id",
        {"yes": True, "now": datetime.now(UTC), "id": number},
    )


def assign_pieces(
    connection: "Connection", brand: int, sku: int, units: int, reference: str, location: int | None = None
) -> list[str]:
    """Which pieces go with a sale: those of the lowest numbers; for a negative number of units those of the sale come back.

    Those at the location (its id) go first, and come back to it. Returns their numbers: fewer than `units` where there are no
    more.
    """
    out = units > 0
    which = "state = 'in_stock'" if out else "state = 'sold' AND reference = :reference"
    query = f"SELECT id, serial, location_id FROM numbered_pieces WHERE brand_id = :brand AND sku_id = :sku AND {which}"
    values = {"brand": brand, "sku": sku} | ({} if out else {"reference": reference})
    found = fetch(connection, query, values)
    found.sort(key=lambda piece: (location is not None and piece[2] != location, _by_number(piece[1])))
    for number, _, place in found[: abs(units)]:
        run(
            connection,
            """
                UPDATE numbered_pieces SET state = :state, reference = :reference, location_id = :place, moved_at = :now
                WHERE id = :id
            """,
            {
                "state": "sold" if out else "in_stock",
                "reference": reference if out else None,
                "place": location or place,
                "now": datetime.now(UTC),
                "id": number,
            },
        )
    return [serial for _, serial, _ in found[: abs(units)]]


def _by_number(serial: str) -> list[tuple[int, str]]:
    """Sorts 2 before 10, alike on every database."""
    return [(int(part), "") if at % 2 else (0, part) for at, part in enumerate(re.split("([0-9]+)", serial))]


def _sets_around(connection: "Connection", bundle: int) -> set[int]:
    """The set, and those that it is in."""
    found, fresh = {bundle}, [bundle]
    while fresh:
        query = "SELECT bundle_id FROM bundle_components WHERE component_id = :component"
        around = {row[0] for component in fresh for row in fetch(connection, query, {"component": component})}
        fresh = sorted(around - found)
        found |= around
    return found


def _id(connection: "Connection", brand: int, table: str, column: str, code: str) -> int:
    query = f"SELECT id FROM {table} WHERE brand_id = :brand AND {column} = :code"
    found = run(connection, query, {"brand": brand, "code": code}).scalar()
    if found is None:
        raise InvalidStockKeeping(f"there is no {'SKU' if column == 'sku' else 'channel'} {code!r}")
    return found
