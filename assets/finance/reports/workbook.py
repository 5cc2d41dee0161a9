"""Reports as an XLSX workbook: one sheet each, every sum a formula that a spreadsheet can follow, with its value beside it.

Belongs here: sheets. Does not belong here: figures (each report's module).
"""

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, time
from itertools import groupby
from typing import Any

import xlsxwriter
from xlsxwriter.format import Format
from xlsxwriter.utility import xl_rowcol_to_cell
from xlsxwriter.worksheet import Worksheet

from assets.finance.money import exponent, to_decimal
from assets.finance.reports.model import Column, Report, Row

CREATED = datetime.combine(date(2000, 1, 1), time.min)
"""Written in every workbook as its date of creation: the same report gives the same bytes."""
_HEAD = 4
_LONGEST_TEXT = 32_767
_LONGEST_FORMULA = 8000
INK, MUTED, GOLD, IVORY, HAIRLINE = "#1F1C18", "#6A6358", "#B08A3A", "#FBF8F2", "#E3DBCC"


def render_workbook(reports: Sequence[Report], brand: str) -> bytes:
    """The workbook. Amounts are numbers in major units, written with the digits of their currency; unknown cells are empty."""
    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False})
    book.set_properties({"title": f"{brand}: {', '.join(r.title for r in reports)}", "created": CREATED})
    styles = _Styles(book)
    names: set[str] = set()
    for report in reports:
        _sheet(book.add_worksheet(_sheet_name(report.title, names)), report, brand, styles)
    book.close()
    return out.getvalue()


class _Styles:
    """Cell formats, each made once."""

    def __init__(self, book: xlsxwriter.Workbook) -> None:
        self._book = book
        self._made: dict[tuple, Format] = {}

    def get(self, **properties: object) -> Format:
        key = tuple(sorted(properties.items()))
        if key not in self._made:
            plain = {"font_name": "Calibri", "font_size": 11, "font_color": INK, "valign": "vcenter"}
            self._made[key] = self._book.add_format(plain | properties)
        return self._made[key]

    def of(self, row: Row, number: str | None = None) -> Format:
        """The style of a row, for its label or for numbers written like `number`."""
        look: dict[str, object] = {"num_format": number, "align": "right"} if number else {"indent": row.depth}
        if row.kind == "heading":
            look |= {"bold": True, "font_color": GOLD if row.depth == 0 else INK}
        elif row.kind == "subtotal":
            look |= {"bold": True, "top": 1, "top_color": HAIRLINE}
        elif row.kind == "total":
            look |= {"bold": True, "top": 1, "top_color": INK, "bottom": 6, "bottom_color": INK, "bg_color": IVORY}
        return self.get(**look)


def _sheet(sheet: Worksheet, report: Report, brand: str, styles: _Styles) -> None:
    sheet.hide_gridlines(2)
    sheet.write_string(0, 0, report.title, styles.get(font_name="Georgia", font_size=18))
    days = f"{brand}  ·  {report.first:%-d %B %Y} to {report.last:%-d %B %Y}  ·  amounts in {report.currency}"
    sheet.write_string(1, 0, days, styles.get(font_color=MUTED))
    heading: dict[str, object] = {
        "bold": True,
        "bottom": 2,
        "bottom_color": GOLD,
        "text_wrap": True,
        "valign": "bottom",
    }
    sheet.write_string(_HEAD - 1, 0, "", styles.get(**heading))
    for n, column in enumerate(report.columns, 1):
        align = "left" if column.kind == "text" else "right"
        sheet.write_string(_HEAD - 1, n, column.label, styles.get(**heading, align=align))
        sheet.set_column(n, n, _width(report, column))
    labels = [len(row.label) + 3 * row.depth for row in report.rows]
    sheet.set_column(0, 0, min(max([24, *labels]) + 2, 64))
    places = {row.key: n for n, row in enumerate(report.rows, _HEAD)}
    across = {column.key: n for n, column in enumerate(report.columns, 1)}
    for row in report.rows:
        _row(sheet, report, row, places, across, styles)
    end = _HEAD + len(report.rows) + 1
    for n, note in enumerate(report.notes):
        sheet.write_string(end + n, 0, note[:_LONGEST_TEXT], styles.get(font_color=MUTED, italic=True))
    sheet.freeze_panes(_HEAD, 1)
    sheet.set_landscape() if len(report.columns) > 4 else sheet.set_portrait()
    sheet.set_paper(9)
    sheet.fit_to_pages(1, 0)
    sheet.repeat_rows(_HEAD - 1)
    sheet.set_footer(f"&L{report.title}&RPage &P of &N")


def _row(
    sheet: Worksheet,
    report: Report,
    row: Row,
    places: Mapping[str, int],
    across: Mapping[str, int],
    styles: _Styles,
) -> None:
    at = places[row.key]
    sheet.write_string(at, 0, row.label[:_LONGEST_TEXT], styles.of(row))
    for column in report.columns:
        n, value = across[column.key], report.cell(row.key, column.key)
        if column.kind == "text":
            sheet.write_string(at, n, str(value or "")[:_LONGEST_TEXT], styles.of(row))
            continue
        style = styles.of(row, _number_format(report, row, column))
        if value is None or isinstance(value, str):
            sheet.write_blank(at, n, None, style)
            continue
        money = report.kind_of(row, column) == "money"
        number: Any = float(to_decimal(int(value), report.currency_of(row))) if money else value
        formula = None if (row.key, column.key) in report.leaves else _formula(report, row, column, places, across)
        if formula:
            sheet.write_formula(at, n, formula, style, number)
        else:
            sheet.write_number(at, n, number, style)


def _formula(
    report: Report, row: Row, column: Column, places: Mapping[str, int], across: Mapping[str, int]
) -> str | None:
    """How the cell follows from others on the sheet; None for a leaf."""
    at, n = places[row.key], across[column.key]
    if column.ratio and not row.ratio:
        part, whole = (xl_rowcol_to_cell(at, across[key]) for key in column.ratio)
        return f'=IF({whole}=0,"",{part}/ABS({whole}))'
    if row.ratio:
        part, whole = (xl_rowcol_to_cell(places[key], n) for key in row.ratio)
        return f'=IF({whole}=0,"",{part}/{whole})'
    if row.sums:
        return _summed([(places[key], sign) for key, sign in row.sums], lambda place: xl_rowcol_to_cell(place, n))
    if column.sums:
        return _summed([(across[key], sign) for key, sign in column.sums], lambda place: xl_rowcol_to_cell(at, place))
    return None


def _summed(terms: Iterable[tuple[int, int]], cell: Callable[[int], str]) -> str | None:
    """A sum with each unbroken run of cells as a range; None where it is longer than a spreadsheet takes."""
    text = ""
    for sign, some in groupby(sorted(terms), key=lambda term: term[1]):
        for _, run in groupby(enumerate(some), key=lambda item: item[1][0] - item[0]):
            found = [place for _, (place, _) in run]
            cells = cell(found[0]) if len(found) == 1 else f"SUM({cell(found[0])}:{cell(found[-1])})"
            text += f"{'+' if sign > 0 else '-'}{cells}"
    return f"={text.removeprefix('+')}" if len(text) < _LONGEST_FORMULA else None


def _number_format(report: Report, row: Row, column: Column) -> str:
    kind = report.kind_of(row, column)
    if kind == "share":
        return "0.0%;[Red]-0.0%"
    digits = exponent(report.currency_of(row)) if kind == "money" else 0
    plain = "#,##0" + ("." + "0" * digits if digits else "")
    # Zero is a dash, as in printed statements.
    return f'{plain};-{plain};"–"'


def _width(report: Report, column: Column) -> int:
    if column.kind == "text":
        return 22
    largest = max(
        (abs(v) for r in report.rows if isinstance(v := report.cell(r.key, column.key), (int, float))), default=0
    )
    return max(13, len(f"{largest:,}") + 4)


def _sheet_name(title: str, taken: set[str]) -> str:
    name = title[:31]
    for n in range(2, 100):
        if name.lower() not in taken:
            break
        name = f"{title[:28]} {n}"
    taken.add(name.lower())
    return name
