"""Files of exchange rates as their publishers lay them out, brought into the rows of a reference file.

Belongs here: the European Central Bank's XML, and tables with a column for each currency. Does not belong here: judging rows
(`reference`), reading bytes of a table (`resources/tables`).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from assets.ingestion.mapping import MappingError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

CENTRAL_BANK, ITS_CURRENCY = "ecb", "EUR"
_CODE = re.compile(r"[A-Z]{3}")
# How publishers write that a currency was not quoted on a day.
_HOLES = ("N/A", "n/a", "-", "")


@dataclass(frozen=True)
class RateRows:
    """Rows for `reference.normalise_reference`, one a quotation, and the withdrawn currencies whose columns are left out."""

    rows: pl.DataFrame
    withdrawn: list[str]


def rate_rows(table: pl.DataFrame, active: set[str]) -> RateRows:
    """A table of either shape as rows of date, base, quote, rate, source, each with a `row_number` of its own.

    A table with columns base, quote and rate stays as it is. Otherwise it has a date and one column a currency, in units for
    one euro, as the European Central Bank's history has; a hole is no row. Columns of currencies that are not in `active` are
    of withdrawn ones. Raises MappingError for a table of neither shape.
    """
    names = {name.strip().casefold(): name for name in table.columns}
    if {"base", "quote", "rate"} <= set(names):
        return RateRows(table, [])
    currencies = [name for name in table.columns if _CODE.fullmatch(name.strip())]
    if "date" not in names or not currencies:
        raise MappingError(
            "this is no table of exchange rates: it needs the columns date, base, quote and rate, or a date and a column for "
            "each currency, such as USD, in units for one euro"
        )
    wanted = [name for name in currencies if name.strip() in active]
    # The shortest text of a floating-point number is the decimal that was published.
    day = pl.col(names["date"]).cast(pl.String).str.strip_chars().str.slice(0, 10).alias("date")
    text = table.select("row_number", day, *(pl.col(name).cast(pl.String) for name in wanted))
    long = text.unpivot(wanted, index=["row_number", "date"], variable_name="quote", value_name="rate")
    quoted = long.filter(~pl.col("rate").str.strip_chars().is_in(_HOLES)).sort("row_number", "quote")
    numbered = quoted.drop("row_number").with_row_index("row_number", 1)
    rows = numbered.select(
        pl.col("row_number").cast(pl.Int64),
        "date",
        pl.lit(ITS_CURRENCY).alias("base"),
        pl.col("quote").str.strip_chars(),
        pl.col("rate").str.strip_chars(),
        pl.lit(CENTRAL_BANK).alias("source"),
    )
    return RateRows(rows, sorted(name.strip() for name in currencies if name.strip() not in active))


def parse_central_bank(content: bytes, source: str) -> pl.DataFrame:
    """Rows of the European Central Bank's XML, the daily file or a history. Raises MappingError for any other document.

    Entities and external references are refused: the file may come from anywhere.
    """
    from xml.etree.ElementTree import ParseError

    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        root = fromstring(content)
    except (ParseError, DefusedXmlException) as error:
        raise MappingError(f"{source} is not the central bank's XML: {error}") from error
    rows = list(_quotations(root))
    if not rows:
        raise MappingError(
            f"{source} holds no exchange rates: the central bank's XML has elements Cube with time and rate"
        )
    frame = pl.DataFrame(rows, schema=dict.fromkeys(("date", "quote", "rate"), pl.String), orient="row")
    return frame.with_row_index("row_number", 1).select(
        pl.col("row_number").cast(pl.Int64),
        "date",
        pl.lit(ITS_CURRENCY).alias("base"),
        "quote",
        "rate",
        pl.lit(CENTRAL_BANK).alias("source"),
    )


def _quotations(root: "Element") -> Iterator[tuple[str, str | None, str | None]]:
    for day in root.iter():
        if day.tag.rpartition("}")[2] == "Cube" and day.get("time"):
            for cube in day:
                yield day.get("time", ""), cube.get("currency"), cube.get("rate")
