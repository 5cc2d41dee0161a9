"""What a report is: rows and columns with keys, cells between them, and of which others each sum is made.

Belongs here: the shape and its arithmetic. Does not belong here: which accounts a row holds (the module of each report), how it
is written out (`workbook`, `document`, `plain`).

A cell of money is an integer of minor units of its row's currency, else of the report's. A cell that is null is unknown.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

import polars as pl

Kind = Literal["money", "count", "share", "text"]
RowKind = Literal["heading", "line", "subtotal", "total"]
Value = int | float | str | None
Term = tuple[str, int]
"""A key and the sign, 1 or -1, with which it goes into a sum."""
Drill = Callable[[str, Collection[str]], pl.DataFrame]
"""What stands behind leaves of a row, by the keys of row and columns: rows whose `value` adds up to those cells."""

NOT_GIVEN = "(none)"
"""Key of the row or column of what has no channel, country, colour and so on."""
CELLS: dict[str, pl.DataType] = {
    "row": pl.String(),
    "label": pl.String(),
    "row_kind": pl.String(),
    "depth": pl.Int64(),
    "column": pl.String(),
    "amount_minor": pl.Int64(),
    "currency": pl.String(),
    "figure": pl.Float64(),
}


class ReportError(ValueError):
    """A report that cannot be made as it was asked for; the message says what can."""


class UnknownReport(ReportError):
    """There is no report of that name."""


class UnknownCell(ReportError):
    """The report has no such cell, or none that entries stand behind."""


@dataclass(frozen=True)
class Column:
    """A column. `sums` are columns that it adds up, `ratio` those that it divides; without either its cells are leaves."""

    key: str
    label: str
    kind: Kind = "money"
    sums: tuple[Term, ...] = ()
    ratio: tuple[str, str] | None = None


@dataclass(frozen=True)
class Row:
    """A row, likewise. `kind` says what it is on the page, `unit` what its cells are where the column does not say.

    A `strict` sum is unknown as soon as one of its parts is; another sum adds up what is known.
    """

    key: str
    label: str
    kind: RowKind = "line"
    depth: int = 0
    currency: str | None = None
    unit: Kind | None = None
    sums: tuple[Term, ...] = ()
    ratio: tuple[str, str] | None = None
    strict: bool = False


@dataclass(frozen=True)
class Report:
    """A report of the days [first, last], complete with its sums."""

    name: str
    title: str
    first: date
    last: date
    currency: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    cells: Mapping[tuple[str, str], Value]
    notes: tuple[str, ...] = ()
    drill: Drill | None = field(default=None, repr=False, compare=False)
    leaves: frozenset[tuple[str, str]] = field(default=frozenset(), repr=False, compare=False)

    @classmethod
    def of(
        cls,
        name: str,
        title: str,
        days: tuple[date, date],
        currency: str,
        columns: Sequence[Column],
        rows: Sequence[Row],
        leaves: Mapping[tuple[str, str], Value],
        notes: Iterable[str],
        drill: Drill,
    ) -> "Report":
        """A report from its leaves; the sums are made here."""
        cells = complete(rows, columns, leaves)
        known = frozenset(key for key, value in leaves.items() if value is not None)
        return cls(name, title, *days, currency, tuple(columns), tuple(rows), cells, tuple(notes), drill, known)

    def cell(self, row: str, column: str) -> Value:
        """A cell; null where it is unknown, and in headings."""
        return self.cells.get((row, column))

    def currency_of(self, row: Row) -> str:
        return row.currency or self.currency

    def kind_of(self, row: Row, column: Column) -> Kind:
        """What a cell is: a share where its row or column divides."""
        if row.ratio or column.ratio:
            return "share"
        return row.unit if row.unit and column.kind == "money" else column.kind

    def row(self, key: str) -> Row:
        """Raises UnknownCell, which names rows that there are."""
        return _named(self.rows, key, f"{self.name} has no row")

    def column(self, key: str) -> Column:
        return _named(self.columns, key, f"{self.name} has no column")

    def body(self) -> Iterator[tuple[Row, list[Value]]]:
        """Rows with their cells, in order."""
        for row in self.rows:
            yield row, [self.cell(row.key, column.key) for column in self.columns]

    def frame(self) -> pl.DataFrame:
        """The cells one below the other, with the columns CELLS; headings and texts have none."""
        found = [
            _stored(row, column, self.currency_of(row), self.kind_of(row, column), self.cell(row.key, column.key))
            for row in self.rows
            if row.kind != "heading"
            for column in self.columns
            if column.kind != "text"
        ]
        return pl.DataFrame(found, schema=CELLS, orient="row")


def complete(
    rows: Sequence[Row], columns: Sequence[Column], leaves: Mapping[tuple[str, str], Value], missing: Value = 0
) -> dict[tuple[str, str], Value]:
    """All cells: the leaves as they are, and every sum and ratio made of them. A leaf that is not given is `missing`."""
    by_row, by_column = {r.key: r for r in rows}, {c.key: c for c in columns}
    cells: dict[tuple[str, str], Value] = {}

    def cell(r: str, c: str) -> Value:
        if (r, c) not in cells:
            cells[r, c] = _made(by_row[r], by_column[c])
        return cells[r, c]

    def _made(row: Row, column: Column) -> Value:
        if (row.key, column.key) in leaves:
            return leaves[row.key, column.key]
        if column.kind == "text":
            return None
        if column.ratio:
            part, whole = (cell(row.key, c) for c in column.ratio)
            return None if row.ratio else _share(part, abs(whole) if isinstance(whole, (int, float)) else None)
        if row.ratio:
            # The change of a share is no share of a change.
            differs = any(sign < 0 for _, sign in column.sums)
            return None if differs else _share(*(cell(r, column.key) for r in row.ratio))
        if row.sums:
            return _sum(((cell(r, column.key), sign) for r, sign in row.sums), strict=row.strict)
        if column.sums:
            return _sum(((cell(row.key, c), sign) for c, sign in column.sums), strict=row.strict)
        return missing

    for row in rows:
        if row.kind != "heading":
            for column in columns:
                cell(row.key, column.key)
    return cells


def leaf_cells(report: Report, row: str, column: str) -> list[tuple[str, str, int]]:
    """The leaves (row, column, sign) that a cell adds up; the cell itself where it is one. Raises UnknownCell for a ratio."""
    r, c = report.row(row), report.column(column)
    if r.kind == "heading" or c.kind == "text":
        raise UnknownCell(f"{report.name} has no amount at {row}:{column}")
    if (row, column) in report.leaves:
        return [(row, column, 1)]
    if r.ratio or c.ratio:
        parts = " and ".join(f"{a}:{column}" for a in r.ratio) if r.ratio else ""
        parts = parts or " and ".join(f"{row}:{b}" for b in c.ratio or ())
        raise UnknownCell(f"{row}:{column} is a share; explain what it divides: {parts}")
    if r.sums:
        return [(*leaf[:2], leaf[2] * sign) for key, sign in r.sums for leaf in leaf_cells(report, key, column)]
    if c.sums:
        return [(*leaf[:2], leaf[2] * sign) for key, sign in c.sums for leaf in leaf_cells(report, row, key)]
    return [(row, column, 1)]


def all_of(keys: Iterable[str], sign: int = 1) -> tuple[Term, ...]:
    """Terms of a plain sum."""
    return tuple((key, sign) for key in keys)


def _named(things: Sequence, key: str, lacks: str):
    for thing in things:
        if thing.key == key:
            return thing
    known = ", ".join(thing.key for thing in things[:40])
    raise UnknownCell(f"{lacks} {key!r}; there are {known}{' and more' if len(things) > 40 else ''}")


def _share(part: Value, whole: Value) -> float | None:
    if not isinstance(part, (int, float)) or not isinstance(whole, (int, float)) or not whole:
        return None
    return part / whole


def _sum(parts: Iterable[tuple[Value, int]], *, strict: bool) -> int | None:
    values = [(value, sign) for value, sign in parts]
    known = [int(value) * sign for value, sign in values if isinstance(value, (int, float))]
    return None if not known or (strict and len(known) < len(values)) else sum(known)


def _stored(row: Row, column: Column, currency: str, kind: Kind, value: Value) -> tuple:
    money = kind == "money"
    return (
        row.key,
        row.label,
        row.kind,
        row.depth,
        column.key,
        value if money else None,
        currency if money else None,
        None if money or value is None else float(value),
    )
