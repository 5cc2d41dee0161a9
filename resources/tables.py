"""Reading a table that somebody exported: CSV, CSV.gz, Parquet and XLSX.

Belongs here: bytes to a frame, and the rows that are not even rows. Does not belong here: what the columns mean
(`assets/ingestion`).

Every file comes in here, so here rows with card data are withheld: nothing that reads tables ever sees them.
"""

import csv
import gzip
import hashlib
import io
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
from polars import selectors as cs

from resources.card_data import CardDataRefused, redact
from resources.card_numbers import has_card_data
from resources.withholding import WITHHELD, withhold

SUFFIXES = (".csv", ".csv.gz", ".parquet", ".xlsx")
ROW_NUMBER = "row_number"
# What readers raise for bytes that they cannot read; anything else is a fault of ours and stays visible.
_DAMAGED = (
    pl.exceptions.ComputeError,
    pl.exceptions.NoDataError,
    OSError,
    EOFError,
    UnicodeDecodeError,
    csv.Error,
    zlib.error,
)


class UnreadableTable(Exception):
    """The file as a whole cannot be read; the message says what to do."""


@dataclass(frozen=True)
class SourceTable:
    """`rows` has a `row_number` (1 is the first under the header); CSV cells are text. `ragged` are rows of another width.

    `withheld` (WITHHELD) are rows with card data, which has been replaced in them.
    """

    rows: pl.DataFrame
    ragged: pl.DataFrame
    sha256: str
    withheld: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=WITHHELD))

    @property
    def height(self) -> int:
        """How many rows the file has, whatever becomes of them."""
        return self.rows.height + self.ragged.height + self.withheld.height


def read_table(path: Path) -> SourceTable:
    """Read a file by its ending. Raises UnreadableTable for a missing, empty, damaged or unknown file.

    Raises CardDataRefused for one with card data in its name or its header, which would be told again and again.
    """
    refuse_named(path)
    if not path.is_file():
        raise UnreadableTable(f"{path} is not a file. Check the path.")
    name = path.name.lower()
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    ragged = _no_ragged()
    try:
        if name.endswith((".csv", ".csv.gz")):
            rows, ragged = _read_csv(gzip.decompress(content) if name.endswith(".gz") else content)
        elif name.endswith(".parquet"):
            rows = _numbered(_plain(pl.read_parquet(io.BytesIO(content))))
        elif name.endswith(".xlsx"):
            rows = _read_workbook(content)
        else:
            raise UnreadableTable(f"{path}: unknown ending. Give one of {', '.join(SUFFIXES)}.")
    except _EmptyTable as error:
        raise UnreadableTable(f"{path} is empty. Export it again with its header row.") from error
    except _DAMAGED as error:
        raise UnreadableTable(
            f"{path} cannot be read: {error}. Export it again, or open it and check what it holds."
        ) from error
    if rows.width <= 1:
        raise UnreadableTable(f"{path} has no columns. Export it again with its header row.")
    return withheld_from(rows, digest, ragged)


def refuse_named(path: Path) -> None:
    """Raises CardDataRefused for a file with card data in its name."""
    if has_card_data(path.name):
        raise CardDataRefused("the name of the file holds what looks like payment card data. Give it another name.")


def withheld_from(rows: pl.DataFrame, sha256: str, ragged: pl.DataFrame | None = None) -> SourceTable:
    """The table of rows (with a `row_number`) that were read by other means, those with card data withheld.

    Raises CardDataRefused for card data in the header.
    """
    if any(has_card_data(name) for name in rows.columns):
        raise CardDataRefused(
            "the header of the file holds what looks like payment card data. Take it out of the file."
        )
    kept, withheld = withhold(rows.with_columns(pl.col(ROW_NUMBER).cast(pl.Int64)))
    whole = _no_ragged() if ragged is None else ragged
    cleaned = whole.with_columns(pl.col("raw").map_elements(redact, return_dtype=pl.String))
    return SourceTable(kept, cleaned, sha256, withheld)


class _EmptyTable(Exception):
    """There is not even a header."""


def _numbered(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows with their number; those without any content are counted and left out."""
    if ROW_NUMBER in rows.columns:
        rows = rows.rename({ROW_NUMBER: f"{ROW_NUMBER} of the file"})
    return rows.with_row_index(ROW_NUMBER, 1).filter(pl.any_horizontal(pl.exclude(ROW_NUMBER).is_not_null()))


def _plain(rows: pl.DataFrame) -> pl.DataFrame:
    # Data frames keep repeated words as categories; they are text all the same.
    return rows.with_columns(cs.categorical().cast(pl.String), cs.enum().cast(pl.String))


def _read_workbook(content: bytes) -> pl.DataFrame:
    """Every sheet that has the first sheet's columns, one under the other: some exports give each year its own."""
    from fastexcel import FastExcelError

    try:
        sheets = pl.read_excel(
            io.BytesIO(content), sheet_id=0, engine="calamine", infer_schema_length=None, raise_if_empty=False
        )
    except FastExcelError as error:
        raise EOFError(str(error).splitlines()[0]) from error
    filled = [sheet for sheet in sheets.values() if sheet.width]
    if not filled:
        raise _EmptyTable
    alike = [sheet for sheet in filled if sheet.columns == filled[0].columns]
    return _numbered(pl.concat(alike, how="vertical_relaxed"))


def _read_csv(content: bytes) -> tuple[pl.DataFrame, pl.DataFrame]:
    content = _as_utf8(content)
    if b"\n" not in content:
        content = content.replace(b"\r", b"\n")
    header = content.split(b"\n", 1)[0].decode()
    separator = max(",;\t|", key=header.count)
    try:
        rows = _numbered(pl.read_csv(content, separator=separator, infer_schema=False))
    except pl.exceptions.ComputeError:
        return _read_ragged_csv(content.decode(), separator)
    except pl.exceptions.NoDataError as error:
        raise _EmptyTable from error
    if _has_short_rows(rows, content, separator.encode()):
        return _read_ragged_csv(content.decode(), separator)
    return rows, _no_ragged()


def _has_short_rows(rows: pl.DataFrame, content: bytes, separator: bytes) -> bool:
    """Polars fills short rows up. They differ from rows with an empty last cell in that no separator ends their line."""
    empty_last = rows[rows.columns[-1]].null_count()
    if not empty_last or rows.width <= 2:
        return False
    endings = content.count(separator + b"\n") + content.count(separator + b"\r\n") + content.endswith(separator)
    return empty_last > endings


def _read_ragged_csv(content: str, separator: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    reader = csv.reader(io.StringIO(content, newline=""), delimiter=separator)
    header = _unique(next(reader))
    good: list[list[str | None]] = []
    bad: list[tuple[int, str]] = []
    for number, cells in enumerate(reader, start=1):
        if not any(cells):
            continue
        if len(cells) == len(header):
            good.append([str(number), *(cell or None for cell in cells)])
        else:
            bad.append((number, separator.join(cells)))
    rows = pl.DataFrame(good, schema={ROW_NUMBER: pl.String, **dict.fromkeys(header, pl.String)}, orient="row")
    return rows.with_columns(pl.col(ROW_NUMBER).cast(pl.Int64)), pl.DataFrame(
        bad, schema=_no_ragged().schema, orient="row"
    )


def _unique(header: list[str]) -> list[str]:
    """Names of columns, told apart as Polars does; none is taken by the row number."""
    seen: dict[str, int] = {}
    names = []
    for name in header:
        count = seen[name] = seen.get(name, -1) + 1
        names.append(f"{name}_duplicated_{count - 1}" if count else name)
    return [f"{ROW_NUMBER} of the file" if name == ROW_NUMBER else name for name in names]


def _as_utf8(content: bytes) -> bytes:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16").encode()
    try:
        content.decode("utf-8")
        return content.removeprefix(b"\xef\xbb\xbf")
    except UnicodeDecodeError:
        # Western spreadsheets still write Windows-1252, in which every byte is a letter.
        return content.decode("cp1252", errors="replace").encode()


def _no_ragged() -> pl.DataFrame:
    return pl.DataFrame(schema={ROW_NUMBER: pl.Int64, "raw": pl.String})
