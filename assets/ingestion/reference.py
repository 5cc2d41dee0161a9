"""Reference files: the catalogue with its costs, stock movements, exchange rates. Fixed columns, typed and checked.

Belongs here: what those three files look like. Does not belong here: order lines (`lines`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Literal

import polars as pl

from assets.finance.money import INT128, MICROS, divide_half_even, exponent_of
from assets.ingestion.clock import local_and_utc
from assets.ingestion.lines import MAX_CODE, REJECTED, Normalised, clean_text
from assets.ingestion.mapping import MappingError
from assets.ingestion.numbers import integers, micros

Kind = Literal["catalog", "stock", "rates"]
MOVEMENTS_IN_FILES = ("opening", "receipt", "adjustment", "write_off", "transfer")


@dataclass(frozen=True)
class _Field:
    """How a column is read. `code` is text that must be there; the others may be empty unless `needed`."""

    type: Literal["code", "text", "integer", "money", "rate", "date", "instant", "currency"]
    needed: bool = False


_FIELDS: dict[Kind, dict[str, _Field]] = {
    "catalog": {
        "sku": _Field("code", True),
        "product": _Field("text"),
        "product_name": _Field("text"),
        "category": _Field("text"),
        "subcategory": _Field("text"),
        "collection": _Field("text"),
        "size": _Field("text"),
        "color": _Field("text"),
        "launched_on": _Field("date"),
        "retail_price": _Field("money"),
        "cost": _Field("money"),
        "cost_valid_from": _Field("date"),
        "currency": _Field("currency"),
        "lead_time_days": _Field("integer"),
        "min_order_quantity": _Field("integer"),
        "supplier": _Field("text"),
        "reorder_point": _Field("integer"),
    },
    "stock": {
        "sku": _Field("code", True),
        "occurred_at": _Field("instant", True),
        "kind": _Field("code", True),
        "quantity": _Field("integer", True),
        "location": _Field("text"),
        "reference": _Field("text"),
    },
    "rates": {
        "date": _Field("date", True),
        "base": _Field("currency", True),
        "quote": _Field("currency", True),
        "rate": _Field("rate", True),
        "source": _Field("text"),
    },
}


def columns_of(kind: Kind) -> dict[str, bool]:
    """Names of a reference file's columns, and whether each is needed."""
    return {name: field.needed for name, field in _FIELDS[kind].items()}


def normalise_reference(
    rows: pl.DataFrame, kind: Kind, *, currency: str, timezone: str, today: date | None = None
) -> Normalised:
    """Typed rows of a reference file, and the rows that cannot be taken; with `today`, rates of days to come are among them.

    Money becomes `<name>_minor` (minor units of the row's currency); instants become `occurred_at` (UTC) and `local_date`;
    rates become Decimal(28, 12). Raises MappingError when a needed column is missing.
    """
    fields = _FIELDS[kind]
    named = _named(rows, fields)
    parsed = named.select("row_number", *_parsed(named, fields, currency, timezone))
    problems = list(_problems(parsed, named, fields, kind))
    if kind == "rates" and today is not None:
        problems.append((pl.col("date") > today, "date", "is in the future"))
    first = pl.when(False).then(None)
    for condition, field, reason in problems:
        first = first.when(condition).then(pl.struct(field=pl.lit(field), reason=pl.lit(reason)))
    judged = parsed.with_columns(first.otherwise(None).alias("problem"))
    good = judged.filter(pl.col("problem").is_null()).drop("problem")
    bad = judged.filter(pl.col("problem").is_not_null())
    if not bad.height:
        return Normalised(good, pl.DataFrame(schema=REJECTED))
    originals = rows.select(
        "row_number", pl.struct(pl.exclude("row_number").cast(pl.String)).struct.json_encode().alias("row")
    )
    reasons = bad.select("row_number", pl.col("problem").struct.unnest())
    return Normalised(good, reasons.join(originals, on="row_number").select(*REJECTED))


def _named(rows: pl.DataFrame, fields: dict[str, _Field]) -> pl.DataFrame:
    present = {name.strip().casefold(): name for name in rows.columns}
    missing = [name for name, field in fields.items() if field.needed and name not in present]
    if missing:
        raise MappingError(
            f"the file has no column {', '.join(map(repr, missing))}; "
            f"needed are {', '.join(n for n, f in fields.items() if f.needed)}, known are {', '.join(fields)}."
        )
    return rows.select(
        "row_number",
        *((pl.col(present[n]) if n in present else pl.lit(None, pl.String)).alias(n) for n in fields),
    )


def _parsed(rows: pl.DataFrame, fields: dict[str, _Field], currency: str, timezone: str) -> Iterator[pl.Expr]:
    text = clean_text(rows)
    code = text("currency").str.to_uppercase().fill_null(currency) if "currency" in fields else pl.lit(currency)
    for name, field in fields.items():
        match field.type:
            case "code":
                yield text(name).str.to_uppercase() if name == "sku" else text(name).str.to_lowercase()
            case "text":
                yield text(name)
            case "currency":
                code = text(name).str.to_uppercase()
                yield (code.fill_null(currency) if name == "currency" else code).alias(name)
            case "integer":
                yield integers(rows, name).alias(name)
            case "money":
                divisor = pl.lit(10, INT128).pow(pl.lit(MICROS) - exponent_of(code))
                yield divide_half_even(micros(rows, name), divisor).cast(pl.Int64).alias(f"{name}_minor")
            case "rate":
                yield pl.col(name).cast(pl.Decimal(28, 12), strict=False).alias(name)
            case "date":
                yield local_and_utc(rows, name, timezone)[0].alias(name)
            case "instant":
                yield from local_and_utc(rows, name, timezone)


def _problems(
    parsed: pl.DataFrame, rows: pl.DataFrame, fields: dict[str, _Field], kind: Kind
) -> Iterator[tuple[pl.Expr, str, str]]:
    text = clean_text(rows)
    # Amounts are not understood without their currency, so that is said first.
    for name, field in sorted(fields.items(), key=lambda item: item[1].type != "currency"):
        column = pl.col(f"{name}_minor" if field.type == "money" else name)
        given = pl.lit(rows.select(text(name).is_not_null())[name])
        if field.needed:
            yield column.is_null(), name, "is empty or not understood"
        elif field.type in ("integer", "money", "rate", "date"):
            yield given & column.is_null(), name, f"is not a {field.type} that was understood"
        if field.type == "currency":
            yield column.is_not_null() & exponent_of(column).is_null(), name, "is not an ISO 4217 code such as EUR"
        if field.type in ("money", "rate") or (kind == "catalog" and field.type == "integer"):
            yield column < 0, name, "is negative"
        if field.type == "integer":
            yield ~column.is_between(-(10**9), 10**9), name, "is larger than a billion"
        if name in ("sku", "product", "location", "source"):
            yield column.str.len_bytes() > MAX_CODE, name, f"is longer than {MAX_CODE} bytes"
    if kind == "stock":
        known = ", ".join(MOVEMENTS_IN_FILES)
        yield ~pl.col("kind").is_in(MOVEMENTS_IN_FILES), "kind", f"is not one of {known}"
        yield pl.col("quantity") == 0, "quantity", "is 0; a movement moves at least one unit"
        yield pl.col("local_date") < date(1970, 1, 1), "occurred_at", "is before 1970"
    if kind == "rates":
        yield pl.col("rate") == 0, "rate", "is 0"
        yield pl.col("base") == pl.col("quote"), "quote", "is the same currency as base"
