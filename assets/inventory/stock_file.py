"""Files of stock: what each row says, and which rows cannot be taken. Pure.

Belongs here: files with how many units of a SKU lie at a location, or with its numbered pieces. Does not belong here: reading
bytes (`resources/tables`), files of movements (`assets/ingestion`), writing anything (`counting`).
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import polars as pl

from assets.ingestion.lines import MAX_CODE, REJECTED, clean_text
from assets.ingestion.mapping import MappingError
from assets.ingestion.numbers import integers

LEVELS: dict[str, pl.DataType] = {
    "row_number": pl.Int64(),
    "sku": pl.String(),
    "location": pl.String(),
    "quantity": pl.Int64(),
}
PIECES: dict[str, pl.DataType] = {
    "row_number": pl.Int64(),
    "sku": pl.String(),
    "location": pl.String(),
    "serial": pl.String(),
}
QUANTITIES = ("quantity", "counted")
_MOST = 10**9
_PLACE = ["sku", "location"]


@dataclass(frozen=True)
class StockFile:
    """`levels` (LEVELS): units of each SKU at each location, once; where pieces have numbers, as many as there are pieces.

    `pieces` (PIECES): the numbered ones. `rejected` (REJECTED): rows that cannot be taken, with the source row as JSON.
    """

    levels: pl.DataFrame
    pieces: pl.DataFrame
    rejected: pl.DataFrame


def read_stock(rows: pl.DataFrame, location: str, as_written: Collection[str] = ()) -> StockFile:
    """What the rows of a file (with `row_number`) say: sku, quantity (or counted), location and serial where there are any.

    SKUs are in capitals, but for those of `as_written`, and locations in small letters, as in every ingest. `location`: of rows
    that name none. Every row ends in `rejected`, or is in `levels` or `pieces`; one that says the same as an earlier row is
    counted once. Raises MappingError when a needed column is missing.
    """
    parsed = _parsed(rows, location, as_written)
    reason = pl.when(False).then(None)
    for condition, field, why in _problems():
        reason = reason.when(condition).then(pl.struct(field=pl.lit(field), reason=pl.lit(why)))
    alone = parsed.with_columns(reason.otherwise(None).alias("problem"))
    judged = _compared(alone)
    good = judged.filter(pl.col("problem").is_null())
    pieces = good.filter(pl.col("serial").is_not_null()).select(*PIECES)
    plain = good.filter(pl.col("serial").is_null()).select(*LEVELS).unique(_PLACE, keep="first", maintain_order=True)
    counted = pieces.group_by(_PLACE, maintain_order=True).agg(
        pl.col("row_number").first(), pl.len().cast(pl.Int64).alias("quantity")
    )
    levels = pl.concat([plain, counted.select(*LEVELS)]).sort("row_number")
    return StockFile(levels, pieces, _rejected(judged, rows))


def _parsed(rows: pl.DataFrame, location: str, as_written: Collection[str]) -> pl.DataFrame:
    present = {name.strip().casefold(): name for name in rows.columns}
    quantity = next((present[name] for name in QUANTITIES if name in present), None)
    if "sku" not in present or (quantity is None and "serial" not in present):
        raise MappingError(
            "the file needs the columns 'sku' and 'quantity' (or 'counted', or 'serial'); 'location' is optional. "
            f"It has {', '.join(c for c in rows.columns if c != 'row_number')}."
        )
    text = clean_text(rows)
    sku, nothing = text(present["sku"]), pl.lit(None, pl.String)
    place = text(present["location"]).str.to_lowercase() if "location" in present else nothing
    serial = text(present["serial"]) if "serial" in present else nothing
    number, said = (integers(rows, quantity), text(quantity)) if quantity else (pl.lit(None, pl.Int64), nothing)
    parsed = rows.select(
        "row_number",
        pl.when(sku.is_in(list(as_written))).then(sku).otherwise(sku.str.to_uppercase()).alias("sku"),
        place.fill_null(location).alias("location"),
        serial.alias("serial"),
        number.alias("quantity"),
        said.alias("said"),
    )
    # A row of a numbered piece need not say that it is one unit.
    is_one = pl.col("serial").is_not_null() & pl.col("said").is_null()
    return parsed.with_columns(pl.when(is_one).then(1).otherwise("quantity").alias("quantity"))


def _problems() -> Iterator[tuple[pl.Expr, str, str]]:
    """What can be wrong with a row by itself."""
    quantity, serial = pl.col("quantity"), pl.col("serial")
    yield pl.col("sku").is_null(), "sku", "is empty"
    for name in ("sku", "location", "serial"):
        yield pl.col(name).str.len_bytes() > MAX_CODE, name, f"is longer than {MAX_CODE} bytes"
    yield quantity.is_null() & pl.col("said").is_null(), "quantity", "is empty"
    yield quantity.is_null(), "quantity", "is not a whole number"
    yield quantity < 0, "quantity", "is negative"
    yield quantity > _MOST, "quantity", "is larger than a billion"
    yield serial.is_not_null() & (quantity != 1), "quantity", "is not 1, though the row is of one numbered piece"


def _compared(alone: pl.DataFrame) -> pl.DataFrame:
    """With the problems that rows have with each other: of two that contradict, nobody knows which is right."""
    good = pl.col("problem").is_null()
    has_serial = pl.col("serial").is_not_null()
    numbers = pl.col("quantity").filter(good & ~has_serial).n_unique().over(_PLACE)
    numbered = (good & has_serial).any().over(_PLACE)
    # The number of a piece is its own, wherever it lies.
    earlier = pl.int_range(pl.len()).over("sku", "serial", good) > 0
    reason = (
        pl.when(~good)
        .then("problem")
        .when(has_serial & earlier)
        .then(pl.struct(field=pl.lit("serial"), reason=pl.lit("stands in an earlier row")))
        .when(~has_serial & numbered)
        .then(pl.struct(field=pl.lit("serial"), reason=pl.lit("is empty, while other rows of this SKU have one")))
        .when(~has_serial & (numbers > 1))
        .then(
            pl.struct(field=pl.lit("quantity"), reason=pl.lit("differs from another row of the same SKU and location"))
        )
    )
    return alone.with_columns(reason.otherwise(None).alias("problem"))


def _rejected(judged: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    bad = judged.filter(pl.col("problem").is_not_null()).select("row_number", pl.col("problem").struct.unnest())
    if not bad.height:
        return pl.DataFrame(schema=REJECTED)
    as_json = rows.select(
        "row_number", pl.struct(pl.exclude("row_number").cast(pl.String)).struct.json_encode().alias("row")
    )
    return bad.join(as_json, on="row_number").sort("row_number").select(*REJECTED)
