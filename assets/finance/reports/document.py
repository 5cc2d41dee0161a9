"""Reports as PDF: pages to print and to sign, with the period, the house, page numbers, and amounts in straight columns.

Belongs here: pages. Does not belong here: figures (each report's module).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assets.finance.reports.model import Column, Report, ReportError, Row
from assets.finance.reports.plain import shown

if TYPE_CHECKING:
    from fpdf import FPDF

MOST_ROWS = 20_000
_INK, _MUTED, _GOLD, _HAIRLINE, _IVORY = (31, 28, 24), (106, 99, 88), (176, 138, 58), (227, 219, 204), (251, 248, 242)
_LINE, _SIZE, _MARGIN = 5.2, 8.0, 16.0
_LABEL_MOST, _LABEL_LEAST, _GAP = 92.0, 48.0, 4.0
_MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class _Page:
    """Where things stand on the pages of one report: widths of the label and of the columns that fit beside each other."""

    label: float
    columns: tuple[tuple[Column, float], ...]


def render_document(reports: Sequence[Report], brand: str, generated_at: datetime) -> bytes:
    """The reports one after the other, each from a page of its own, as the bytes of a PDF.

    Raises ReportError for more rows than anybody prints.
    """
    rows = sum(len(report.rows) for report in reports)
    if rows > MOST_ROWS:
        raise ReportError(f"{rows} rows are more than a PDF of {MOST_ROWS} holds: name fewer days, or export as CSV")
    pdf = _document(reports, brand, generated_at)
    for report in reports:
        _report(pdf, report, brand)
    return bytes(pdf.output())


def _document(reports: Sequence[Report], brand: str, generated_at: datetime) -> "FPDF":
    from fpdf import FPDF

    class Pages(FPDF):
        def footer(self) -> None:
            self.set_y(-12)
            self.set_font("text", size=7)
            self.set_text_color(*_MUTED)
            self.cell(0, 5, f"{brand}  ·  made {generated_at:%-d %B %Y, %H:%M} {generated_at.tzname() or ''}".rstrip())
            self.set_x(self.l_margin)
            self.cell(0, 5, f"{self.page_no()} / {{nb}}", align="R")

    pdf = Pages(unit="mm", format="A4")
    pdf.set_creation_date(generated_at)
    pdf.set_title(f"{brand}: {', '.join(report.title for report in reports)}")
    pdf.set_producer("luxauto")
    pdf.set_lang("en")
    fonts = _fonts()
    for family, style, file in (
        ("text", "", "DejaVuSans"),
        ("text", "B", "DejaVuSans-Bold"),
        ("title", "", "DejaVuSerif"),
    ):
        pdf.add_font(family, style, fonts / f"{file}.ttf")
    pdf.set_margins(_MARGIN, _MARGIN, _MARGIN)
    pdf.set_auto_page_break(False)
    return pdf


def _fonts() -> Path:
    """DejaVu, which has every letter of Latin, Greek and Cyrillic names, comes with matplotlib."""
    spec = find_spec("matplotlib")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf"


def _report(pdf: "FPDF", report: Report, brand: str) -> None:
    wide = len(report.columns) > 4
    for number, page in enumerate(_pages(pdf, report, wide)):
        pdf.add_page(orientation="L" if wide else "P")
        _title(pdf, report, brand, continued=number > 0)
        _heads(pdf, page)
        for row in report.rows:
            if pdf.get_y() + _LINE > pdf.h - 18:
                pdf.add_page(orientation="L" if wide else "P")
                _title(pdf, report, brand, continued=True)
                _heads(pdf, page)
            _row(pdf, report, row, page)
    _notes(pdf, report, wide)


def _pages(pdf: "FPDF", report: Report, wide: bool) -> list[_Page]:
    """The columns in groups that fit beside the label; what does not fit goes to further pages."""
    room = (297 if wide else 210) - 2 * _MARGIN
    pdf.set_font("text", "B", _SIZE)
    labels = [pdf.get_string_width(row.label) + _GAP + 4 * row.depth for row in report.rows]
    label = min(max([_LABEL_LEAST, *labels]), _LABEL_MOST)
    sized = [(column, _width(pdf, report, column)) for column in report.columns]
    groups: list[list[tuple[Column, float]]] = [[]]
    for column, width in sized:
        if groups[-1] and label + sum(w for _, w in groups[-1]) + width > room:
            groups.append([])
        groups[-1].append((column, width))
    # What is left over goes to the label, so that the last column ends at the margin.
    return [_Page(room - sum(w for _, w in group), tuple(group)) for group in groups]


def _width(pdf: "FPDF", report: Report, column: Column) -> float:
    texts = [_text(report, row, column) for row in report.rows if row.kind != "heading"]
    widest = max((pdf.get_string_width(text) for text in texts), default=0.0)
    words = max((pdf.get_string_width(word) for word in column.label.split()), default=0.0)
    return min(max(widest, words, 12.0) + _GAP, 60.0)


def _title(pdf: "FPDF", report: Report, brand: str, *, continued: bool) -> None:
    pdf.set_y(_MARGIN - 2)
    pdf.set_text_color(*_MUTED)
    pdf.set_font("text", size=7.5)
    pdf.cell(0, 5, brand.upper())
    pdf.ln(6)
    pdf.set_text_color(*_INK)
    pdf.set_font("title", size=12 if continued else 18)
    pdf.cell(0, 9, f"{report.title}, continued" if continued else report.title)
    pdf.ln(9)
    pdf.set_text_color(*_MUTED)
    pdf.set_font("text", size=8)
    pdf.cell(0, 5, f"{report.first:%-d %B %Y} to {report.last:%-d %B %Y}  ·  amounts in {report.currency}")
    pdf.ln(9)


def _heads(pdf: "FPDF", page: _Page) -> None:
    pdf.set_font("text", "B", 7)
    pdf.set_text_color(*_MUTED)
    lines: list[Any] = [
        pdf.multi_cell(width - 1, 3.4, column.label, dry_run=True, output="LINES") for column, width in page.columns
    ]
    deepest = max((len(found) for found in lines), default=1)
    top = pdf.get_y()
    x = pdf.l_margin + page.label
    for (column, width), found in zip(page.columns, lines, strict=True):
        for n, text in enumerate(found):
            pdf.set_xy(x, top + 3.4 * (deepest - len(found) + n))
            pdf.cell(width, 3.4, str(text), align="L" if column.kind == "text" else "R")
        x += width
    bottom = top + 3.4 * deepest + 1.2
    pdf.set_draw_color(*_GOLD)
    pdf.set_line_width(0.4)
    pdf.line(pdf.l_margin, bottom, pdf.w - pdf.r_margin, bottom)
    pdf.set_y(bottom + 1.4)


def _row(pdf: "FPDF", report: Report, row: Row, page: _Page) -> None:
    heading = row.kind == "heading"
    if heading:
        pdf.ln(1.6)
    top, left, right = pdf.get_y(), pdf.l_margin, pdf.w - pdf.r_margin
    if row.kind == "total":
        pdf.set_fill_color(*_IVORY)
        pdf.rect(left, top, right - left, _LINE, style="F")
    if row.kind in ("subtotal", "total"):
        pdf.set_draw_color(*(_INK if row.kind == "total" else _HAIRLINE))
        pdf.set_line_width(0.25)
        pdf.line(left, top, right, top)
    pdf.set_font("text", "" if row.kind == "line" else "B", _SIZE)
    pdf.set_text_color(*(_GOLD if heading and row.depth == 0 else _INK))
    indent = 4.0 * row.depth
    pdf.set_xy(left + indent, top)
    room = right - left if heading else page.label
    pdf.cell(room - indent, _LINE, _fitting(pdf, row.label, room - indent - 2))
    x = left + page.label
    for column, width in page.columns:
        if not heading:
            pdf.set_xy(x, top)
            text = _fitting(pdf, _text(report, row, column), width)
            pdf.cell(width, _LINE, text, align="L" if column.kind == "text" else "R")
        x += width
    pdf.set_y(top + _LINE)
    if row.kind == "total":
        pdf.set_draw_color(*_INK)
        for offset in (0.0, 0.7):
            pdf.line(left, top + _LINE + offset, right, top + _LINE + offset)
        pdf.ln(1.6)
    elif row.kind == "subtotal":
        pdf.ln(0.8)


def _notes(pdf: "FPDF", report: Report, wide: bool) -> None:
    pdf.set_font("text", size=7)
    pdf.set_text_color(*_MUTED)
    for n, note in enumerate(report.notes):
        if pdf.get_y() + 8 > pdf.h - 12:
            pdf.add_page(orientation="L" if wide else "P")
        pdf.set_y(pdf.get_y() + (4 if n == 0 else 0.6))
        pdf.multi_cell(0, 3.8, note, new_x="LMARGIN", new_y="NEXT")


def _text(report: Report, row: Row, column: Column) -> str:
    value: Any = shown(report, row, column)
    if value is None:
        return "" if column.kind == "text" else "unknown" if report.kind_of(row, column) == "money" else ""
    if isinstance(value, float):
        return f"{value:.1%}".replace("-", _MINUS)
    if isinstance(value, (int, Decimal)):
        return f"{value:,}".replace("-", _MINUS) if value else "–"
    return str(value)


def _fitting(pdf: "FPDF", text: str, width: float) -> str:
    """The text, cut where it would run into the next column."""
    text = " ".join(text.split())
    if pdf.get_string_width(text) <= width:
        return text
    while text and pdf.get_string_width(text + "…") > width:
        text = text[:-1]
    return text + "…"
