"""Stock movements: written from files, summed to levels; the alerts that low levels raise."""

import json
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import polars as pl

from resources.store.brands import location_ids
from resources.store.bulk import insert_frame, read_frame, run
from resources.store.orders import DAY, INSTANT, INT, TEXT, ensure_skus

if TYPE_CHECKING:
    from sqlalchemy import Connection

MOVEMENTS: dict[str, pl.DataType] = {
    "movement_id": INT,
    "day": DAY,
    "occurred_at": INSTANT,
    "sku": TEXT,
    "location": TEXT,
    "kind": TEXT,
    "quantity": INT,
    "reference": TEXT,
    "line_id": INT,
}
LEVELS: dict[str, pl.DataType] = {
    "sku": TEXT,
    "on_hand": INT,
    "reserved": INT,
    "available": INT,
    "counted": pl.Boolean(),
    "reorder_point": INT,
    "last_movement_at": INSTANT,
}


def write_movements(connection: "Connection", brand: int, rows: pl.DataFrame, default_location: str) -> tuple[int, int]:
    """Add the movements of a file that the store does not have. Returns (new, known).

    Equal rows of a file are told apart by their order, so that the same file again adds nothing. `rows` is what
    `normalise_reference(…, "stock")` gives.
    """
    located = rows.with_columns(pl.col("location").fill_null(default_location))
    locations = location_ids(connection, brand, located["location"].unique().sort().to_list())
    skus = ensure_skus(connection, brand, located.select("sku", name=pl.lit(None, TEXT)))
    identity = ["occurred_at", "sku", "location", "kind", "quantity", "reference"]
    keyed = located.with_columns(
        pl.concat_str(
            *(pl.col(c).cast(TEXT).fill_null("") for c in identity),
            pl.int_range(pl.len()).over(identity).cast(TEXT),
            separator="|",
        ).alias("import_key")
    )
    known = read_frame(
        connection,
        "SELECT import_key FROM stock_movements WHERE brand_id = :brand AND import_key IS NOT NULL",
        {"import_key": TEXT},
        {"brand": brand},
    )
    new = keyed.join(known, on="import_key", how="anti", maintain_order="left")
    insert_frame(
        connection,
        "stock_movements",
        new.select(
            pl.lit(brand, INT).alias("brand_id"),
            pl.col("sku").replace_strict(skus, return_dtype=INT).alias("sku_id"),
            pl.col("location").replace_strict(locations, return_dtype=INT).alias("location_id"),
            "kind",
            "quantity",
            "occurred_at",
            "local_date",
            "reference",
            "import_key",
        ),
    )
    return new.height, rows.height - new.height


def read_movements(connection: "Connection", brand: int, first: date, last: date) -> pl.DataFrame:
    """Movements whose local date lies in [first, last], with the columns MOVEMENTS."""
    query = """
        SELECT m.id, m.local_date, m.occurred_at, s.sku, l.code, m.kind, m.quantity, m.reference, m.order_line_id
        FROM stock_movements m JOIN skus s ON s.id = m.sku_id JOIN locations l ON l.id = m.location_id
        WHERE m.brand_id = :brand AND m.local_date BETWEEN :first AND :last ORDER BY m.id
    """
    return read_frame(connection, query, MOVEMENTS, {"brand": brand, "first": first, "last": last})


def movement_days(connection: "Connection", brand: int) -> pl.DataFrame:
    """Per day with movements: how many there are and the newest one's id. Columns day, movements, newest."""
    query = """
        SELECT local_date, count(*), max(id) FROM stock_movements
        WHERE brand_id = :brand GROUP BY local_date ORDER BY local_date
    """
    return read_frame(connection, query, {"day": DAY, "movements": INT, "newest": INT}, {"brand": brand})


def read_levels(connection: "Connection", brand: int) -> pl.DataFrame:
    """The level of every SKU that ever moved, with the columns LEVELS: sums of movements over all locations.

    `counted` says whether there ever was an opening count or a receipt; without one the level is only a difference.
    """
    query = """
        SELECT s.sku, m.on_hand, m.reserved, m.on_hand - m.reserved, m.counted > 0, s.reorder_point, m.last_at
        FROM (
            SELECT sku_id,
                   CAST(sum(CASE WHEN kind = 'reservation' THEN 0 ELSE quantity END) AS BIGINT) AS on_hand,
                   CAST(-sum(CASE WHEN kind = 'reservation' THEN quantity ELSE 0 END) AS BIGINT) AS reserved,
                   sum(CASE WHEN kind IN ('opening', 'receipt') THEN 1 ELSE 0 END) AS counted,
                   max(occurred_at) AS last_at
            FROM stock_movements WHERE brand_id = :brand GROUP BY sku_id
        ) AS m JOIN skus s ON s.id = m.sku_id
        ORDER BY s.sku
    """
    return read_frame(connection, query, LEVELS, {"brand": brand})


def stock_version(connection: "Connection", brand: int) -> str:
    """A text that changes whenever a level or a reorder point may have changed; cheap to ask for."""
    newest = run(connection, "SELECT max(id) FROM stock_movements").scalar()
    updated = run(connection, "SELECT max(updated_at) FROM skus WHERE brand_id = :brand", {"brand": brand}).scalar()
    return f"{newest}|{updated}"


LEVEL_ALERTS = ("low_stock", "out_of_stock")


def raise_alerts(
    connection: "Connection", brand: int, low: pl.DataFrame, kinds: tuple[str, ...] = LEVEL_ALERTS
) -> list[int]:
    """Make the unresolved alerts of `kinds` just those of `low` (sku, kind, details as JSON). Returns ids of the unresolved.

    One that is still true keeps its id and its state, and its details are brought up to date; one that is true again after it
    was resolved is a new one.
    """
    ids = ensure_skus(connection, brand, low.select("sku", name=pl.lit(None, TEXT)))
    now = pl.lit(datetime.now(UTC)).cast(INSTANT)
    wanted = low.select(
        pl.lit(brand, INT).alias("brand_id"),
        "kind",
        pl.lit("open").alias("status"),
        # Of an empty mapping Polars makes texts, whatever type is asked for.
        pl.col("sku").replace_strict(ids or {"": 0}, return_dtype=INT).alias("sku_id"),
        now.alias("opened_at"),
        "details",
    )
    unresolved = _unresolved_alerts(connection, brand, kinds)
    over = unresolved.join(wanted, on=["sku_id", "kind"], how="anti")["id"]
    if over.len():
        run(
            connection,
            f"UPDATE alerts SET status = 'resolved', resolved_at = :now WHERE id IN ({','.join(map(str, over))})",
            {"now": datetime.now(UTC)},
        )
    for alert, details, was in (
        wanted.join(unresolved, on=["sku_id", "kind"]).select("id", "details", "was").iter_rows()
    ):
        if json.loads(details) != json.loads(was):
            values = {"details": json.loads(details), "id": alert}
            run(connection, "UPDATE alerts SET details = :details WHERE id = :id", values)
    new = wanted.join(unresolved, on=["sku_id", "kind"], how="anti", maintain_order="left")
    insert_frame(connection, "alerts", new)
    return _unresolved_alerts(connection, brand, kinds)["id"].to_list()


def read_alerts(connection: "Connection", brand: int) -> pl.DataFrame:
    """Unresolved alerts: alert_id, sku, kind, status, opened_at, details (JSON)."""
    query = """
        SELECT a.id, s.sku, a.kind, a.status, a.opened_at, CAST(a.details AS TEXT) FROM alerts a JOIN skus s ON s.id = a.sku_id
        WHERE a.brand_id = :brand AND a.status <> 'resolved' ORDER BY a.id
    """
    schema = {"alert_id": INT, "sku": TEXT, "kind": TEXT, "status": TEXT, "opened_at": INSTANT, "details": TEXT}
    return read_frame(connection, query, schema, {"brand": brand})


def _unresolved_alerts(connection: "Connection", brand: int, kinds: tuple[str, ...]) -> pl.DataFrame:
    named = ", ".join(f"'{kind}'" for kind in kinds)
    schema = {"id": INT, "sku_id": INT, "kind": TEXT, "was": TEXT}
    query = f"""
        SELECT id, sku_id, kind, CAST(details AS TEXT) FROM alerts
        WHERE brand_id = :brand AND sku_id IS NOT NULL AND status <> 'resolved' AND kind IN ({named}) ORDER BY id
    """
    return read_frame(connection, query, schema, {"brand": brand})
