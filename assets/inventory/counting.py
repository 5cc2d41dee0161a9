"""Bringing stock to what was counted: a file, or one SKU. Every difference becomes a movement that says who and why.

Belongs here: the order of the writes, and what is refused. Does not belong here: what a row of a file means (`stock_file`), or
the rows of the store (`resources/store/stock_keeping`).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import polars as pl

from assets.ingestion.lines import today_in
from resources.store.brand_store import BrandStore
from resources.store.catalog_codes import known_skus
from resources.store.movements import InvalidBundle
from resources.store.stock_keeping import (
    LEVELS_BY_LOCATION,
    Counted,
    InvalidStockKeeping,
    add_piece,
    read_levels_by_location,
    read_pieces,
    set_level,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection

COMPARED: dict[str, pl.DataType] = {
    "sku": pl.String(),
    "location": pl.String(),
    "expected": pl.Int64(),
    "counted": pl.Int64(),
    "variance": pl.Int64(),
}
_AT_ONCE = 200


@dataclass(frozen=True)
class By:
    """Who counted, why, and by which file or paper."""

    actor: str
    reason: str
    reference: str | None = None


@dataclass
class Result:
    """What a count did: places that changed or were right already, units moved, pieces that are new, rows that were refused.

    `refused`: row_number, field, reason.
    """

    changed: int = 0
    same: int = 0
    units: int = 0
    pieces: int = 0
    refused: list[dict[str, Any]] = field(default_factory=list)


def our_sku(connection: "Connection", brand: int, code: str) -> str:
    """The SKU as it is kept: as written if there is one such, else in capitals, as every ingest keeps it."""
    code = code.strip()
    return code if code in known_skus(connection, brand, [code]) else code.upper()


def compare(levels: pl.DataFrame, counted: pl.DataFrame) -> pl.DataFrame:
    """What is expected beside what was counted (columns COMPARED). Nothing is expected of what was never in stock: null.

    levels: LEVELS_BY_LOCATION. counted: sku, location, quantity.
    """
    expected = levels.select("sku", "location", expected="on_hand")
    both = counted.select("sku", "location", counted="quantity").join(
        expected, on=["sku", "location"], how="left", maintain_order="left"
    )
    variance = pl.col("counted") - pl.col("expected").fill_null(0)
    return both.with_columns(variance=variance).select(pl.col(name).cast(dtype) for name, dtype in COMPARED.items())


def take_count(
    books: BrandStore,
    counted: pl.DataFrame,
    pieces: pl.DataFrame,
    by: By,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> Result:
    """Write what differs, a few hundred rows in a transaction: what was interrupted is simply done again.

    counted: row_number, sku, location, quantity; pieces: row_number, sku, location, serial, as `read_stock` gives them.
    """
    result = Result()
    today = today_in(books.settings.current.timezone, datetime.now(UTC))
    with books.read() as (connection, brand):
        held = _held(read_levels_by_location(connection, brand))
    # Most of a file is right already, and needs no transaction that others would wait for.
    rows = [row for row in counted.to_dicts() if held.get((row["sku"], row["location"])) != row["quantity"]]
    result.same = counted.height - len(rows)
    for start in range(0, len(rows), _AT_ONCE):
        with books.write() as (connection, brand):
            for row in rows[start : start + _AT_ONCE]:
                count = Counted(row["sku"], row["location"], row["quantity"], by.actor, by.reason, by.reference)
                try:
                    moved = set_level(connection, brand, count, today)
                except (InvalidStockKeeping, InvalidBundle) as error:
                    result.refused.append(_refusal(row, "sku", str(error)))
                    continue
                result.units += abs(moved)
                result.changed += 1
        tell(min(start + _AT_ONCE, len(rows)), len(rows))
    refused = [row["row_number"] for row in result.refused]
    taken = counted.filter(~pl.col("row_number").is_in(refused))
    _add_pieces(books, pieces.join(taken, on=["sku", "location"], how="semi", maintain_order="left").to_dicts(), result)
    return result


def _held(levels: pl.DataFrame) -> dict[tuple[str, str], int]:
    """Units by SKU and location, of what was counted there before."""
    rows = levels.select(*LEVELS_BY_LOCATION).filter("counted").select("sku", "location", "on_hand")
    return {(sku, location): on_hand for sku, location, on_hand in rows.iter_rows()}


def _add_pieces(books: BrandStore, rows: Iterable[dict[str, Any]], result: Result) -> None:
    by_sku: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_sku.setdefault(row["sku"], []).append(row)
    for sku, its in by_sku.items():
        with books.write() as (connection, brand):
            known = {piece["serial"]: piece for piece in read_pieces(connection, brand, sku).to_dicts()}
            for row in its:
                piece = known.get(row["serial"])
                if piece is None:
                    add_piece(connection, brand, sku, row["serial"], row["location"])
                    result.pieces += 1
                elif (piece["state"], piece["location"]) != ("in_stock", row["location"]):
                    said = f"{row['serial']} is known as {piece['state']} at {piece['location']}"
                    result.refused.append(_refusal(row, "serial", said))


def _refusal(row: dict[str, Any], name: str, reason: str) -> dict[str, Any]:
    return {"row_number": row["row_number"], "field": name, "reason": reason}
