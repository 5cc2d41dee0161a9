"""Rows of a table that hold card data: taken out before anybody else sees the table, with the numbers in them replaced.

Belongs here: finding such rows in frames of any size. Does not belong here: what card data looks like (`card_data`), reading
files (`tables`), where the rows are kept (`luxauto_pipelines/ingest.py`).

Most cells are ruled out by one pass of a pattern in Polars; only the distinct texts that are left are looked at one by one.
"""

import json
from collections.abc import Iterator

import polars as pl
from polars import selectors as cs

from resources.card_data import REDACTED, find_card_data, is_secret_field, redact_value
from resources.card_numbers import has_card_data, is_card_number

WITHHELD: dict[str, pl.DataType] = {
    "row_number": pl.Int64(),
    "field": pl.String(),
    "reason": pl.String(),
    "row": pl.String(),
}
REASON = "holds what looks like payment card data, which is never kept; take it out of the file"
_DIGIT = r"[\d\p{No}]"
_BETWEEN = r"[\s\p{Pd}\p{Zs}\p{Cf}\p{Mn}\p{Me}._/]{0,4}"
_OTHER = r"[^0-9A-Za-z]{1,5}"
# Wider than what is a card number in the end: it must miss none.
_MAYBE = (
    rf"{_DIGIT}(?:{_BETWEEN}{_DIGIT}){{12}}|\d{{4}}{_OTHER}\d{{4}}{_OTHER}\d{{4}}{_OTHER}\d{{4}}"
    rf"|\d{{4}}{_OTHER}\d{{6}}{_OTHER}\d{{4}}|(?i:\bcv[vcn]|\bcsc\b|security\s+code)|%3\d|&#|\\u|^[MN][A-Za-z0-9+/_-]{{16,70}}=*$"
    r'|^\s*["{\[].*\d'
)
_ISSUER = r"^(?:[46]|5[0-8]|2[2-7]|3[0-9])\d{12,18}$"
_PARTS = ((4, 4, 4, 4), (4, 6, 5), (4, 6, 4))


def withhold(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows that may be taken, and those that hold card data (columns WITHHELD; `row` is the redacted row as JSON).

    rows: any columns and a `row_number`. Looked at are texts, whole numbers, columns named like a verification code, and
    numbers that are spread over neighbouring columns in the groups in which they are printed.
    """
    found: dict[int, str] = {}
    for name in rows.columns:
        if name != "row_number":
            for number in _rows_with(rows, name):
                found.setdefault(number, name)
    for name, numbers in _spread(rows):
        for number in numbers:
            found.setdefault(number, name)
    if not found:
        return rows, pl.DataFrame(schema=WITHHELD)
    held = pl.col("row_number").is_in(list(found))
    bad = [(row["row_number"], found[row["row_number"]], REASON, _as_json(row)) for row in rows.filter(held).to_dicts()]
    return rows.filter(~held), pl.DataFrame(bad, schema=WITHHELD, orient="row")


def columns_with_card_data(rows: pl.DataFrame) -> pl.DataFrame:
    """Text columns with card data: columns column, rows. What was found is not repeated."""
    found = []
    for name in rows.select(cs.string()).columns:
        guilty = text_with_card_data(rows[name])
        if guilty.len():
            found.append((name, rows.filter(pl.col(name).is_in(guilty.implode())).height))
    return pl.DataFrame(found, schema={"column": pl.String(), "rows": pl.Int64()}, orient="row")


def text_with_card_data(texts: pl.Series) -> pl.Series:
    """The distinct values of a column of texts in which there is card data."""
    maybe = texts.filter((texts.str.len_bytes() >= 6) & texts.str.contains(_MAYBE)).unique()
    return maybe.filter(pl.Series([_has(text) for text in maybe], dtype=pl.Boolean))


def _has(text: str) -> bool:
    return has_card_data(text) or find_card_data(text) is not None


def _rows_with(rows: pl.DataFrame, name: str) -> list[int]:
    column, dtype = rows[name], rows.schema[name]
    if is_secret_field(name):
        return rows.filter(pl.col(name).is_not_null())["row_number"].to_list()
    if dtype.is_nested():
        texts = [find_card_data(value) is not None for value in column.to_list()]
        return rows.filter(pl.Series(texts, dtype=pl.Boolean))["row_number"].to_list()
    if dtype == pl.String:
        guilty = text_with_card_data(column)
    elif dtype.is_integer() or dtype.is_float():
        guilty = _numbers(column)
    else:
        return []
    return rows.filter(column.is_in(guilty.implode()))["row_number"].to_list() if guilty.len() else []


def _numbers(column: pl.Series) -> pl.Series:
    """The distinct numbers of a column that are card numbers."""
    maybe = column.filter(column.is_between(1e12, 1e19)).unique()
    if maybe.dtype.is_float():
        maybe = maybe.filter(maybe == maybe.floor())
    whole = maybe.cast(pl.Int128, strict=False).cast(pl.String)
    kept = whole.str.contains(_ISSUER)
    maybe, whole = maybe.filter(kept), whole.filter(kept)
    return maybe.filter(pl.Series([has_card_data(text) for text in whole], dtype=pl.Boolean))


def _spread(rows: pl.DataFrame) -> Iterator[tuple[str, list[int]]]:
    """First column and rows of numbers that stand in neighbouring text columns, a printed group in each."""
    texts = rows.select(cs.string())
    stripped = texts.select(pl.all().str.strip_chars())
    sizes = {
        name: {size for size in (4, 5, 6) if (stripped[name].str.contains(rf"^\d{{{size}}}$")).any()}
        for name in stripped.columns
    }
    for first in range(len(stripped.columns)):
        for parts in _PARTS:
            window = stripped.columns[first : first + len(parts)]
            if len(window) < len(parts) or not all(size in sizes[n] for n, size in zip(window, parts, strict=True)):
                continue
            whole = pl.all_horizontal(
                pl.col(name).str.contains(rf"^\d{{{size}}}$") for name, size in zip(window, parts, strict=True)
            )
            joined = stripped.select(rows["row_number"], whole.alias("whole"), pl.concat_str(window).alias("digits"))
            maybe = joined.filter(pl.col("whole").fill_null(False))
            guilty = [number for number, digits in maybe.select("row_number", "digits").iter_rows() if _is_card(digits)]
            if guilty:
                yield window[0], guilty


def _is_card(digits: str) -> bool:
    return is_card_number("".join(str(int(digit)) for digit in digits))


def _as_json(row: dict[str, object]) -> str:
    number = row.pop("row_number")
    cleaned = redact_value({name: None if value is None else str(value) for name, value in row.items()})
    text = json.dumps(cleaned, ensure_ascii=False)
    row["row_number"] = number
    # Redaction that missed what was found would be worse than a row without its content.
    return json.dumps(REDACTED) if _has(text) else text
