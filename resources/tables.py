"""Reading a table that somebody exported: CSV, CSV.gz, Parquet and XLSX.

Belongs here: bytes to a frame, and the rows that are not even rows. Does not belong here: what the columns mean
(`assets/ingestion`).
"""

import csv
import gzip
import hashlib
import io
import zlib
from dataclasses import dataclass
from pathlib import Path

import polars as pl

SUFFIXES = (".csv", ".csv.gz", ".parquet", ".xlsx")
ROW_NUMBER = "row_number"
_DAMAGED = (pl.exceptions.PolarsError, OSError, EOFError, UnicodeDecodeError, csv.Error, zlib.error)


class UnreadableTable(Exception):
    """The file as a whole cannot be read; the message says what to do."""


@dataclass(frozen=True)
class SourceTable:
    """`rows` has a `row_number` (1 is the first under the header); CSV cells are text. `ragged` are rows of another width."""

    rows: pl.DataFrame
    ragged: pl.DataFrame
    sha256: str


def read_table(path: Path) -> SourceTable:
    """Read a file by its ending. Raises UnreadableTable for a missing, empty, damaged or unknown file."""
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
            rows = pl.read_parquet(io.BytesIO(content)).with_row_index(ROW_NUMBER, 1)
        elif name.endswith(".xlsx"):
            rows = _read_workbook(content)
        else:
            raise UnreadableTable(f"{path}: unknown ending. Give one of {', '.join(SUFFIXES)}.")
    except _DAMAGED as error:
        raise UnreadableTable(
            f"{path} cannot be read: {error}. Export it again, or open it and check what it holds."
        ) from error
    if rows.width <= 1:
        raise UnreadableTable(f"{path} has no columns. Export it again with its header row.")
    return SourceTable(rows.with_columns(pl.col(ROW_NUMBER).cast(pl.Int64)), ragged, digest)


def _read_workbook(content: bytes) -> pl.DataFrame:
    """Every sheet that has the first sheet's columns, one under the other: some exports give each year its own."""
    from fastexcel import FastExcelError

    try:
        sheets = pl.read_excel(io.BytesIO(content), sheet_id=0, engine="calamine", infer_schema_length=None)
    except FastExcelError as error:
        raise UnreadableTable(f"the workbook is damaged: {error}. Save it again as .xlsx.") from error
    first = next(iter(sheets.values()))
    alike = [sheet for sheet in sheets.values() if sheet.columns == first.columns]
    return pl.concat(alike, how="vertical_relaxed").with_row_index(ROW_NUMBER, 1)


def _read_csv(content: bytes) -> tuple[pl.DataFrame, pl.DataFrame]:
    content = _as_utf8(content)
    header = content.split(b"\n", 1)[0].decode()
    separator = max(",;\t|", key=header.count)
    try:
        rows = pl.read_csv(content, separator=separator, infer_schema=False)
        return rows.with_row_index(ROW_NUMBER, 1), _no_ragged()
    except pl.exceptions.ComputeError:
        return _read_ragged_csv(content.decode(), separator)
    except pl.exceptions.NoDataError as error:
        raise UnreadableTable("the file is empty. Export it again with its header row.") from error


def _read_ragged_csv(content: str, separator: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    reader = csv.reader(io.StringIO(content), delimiter=separator)
    header = next(reader)
    good: list[list[str | None]] = []
    bad: list[tuple[int, str]] = []
    for number, cells in enumerate((row for row in reader if row), start=1):
        if len(cells) == len(header):
            good.append([str(number), *(cell or None for cell in cells)])
        else:
            bad.append((number, separator.join(cells)))
    rows = pl.DataFrame(good, schema={ROW_NUMBER: pl.String, **dict.fromkeys(header, pl.String)}, orient="row")
    return rows.with_columns(pl.col(ROW_NUMBER).cast(pl.Int64)), pl.DataFrame(
        bad, schema=_no_ragged().schema, orient="row"
    )


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
