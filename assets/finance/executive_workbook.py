"""The executive report as an XLSX workbook: the figures of the page, all rows, as numbers to reckon with.

What belongs here: laying an `ExecutiveReport` out in sheets. What does not: the figures (`executive`),
charts, and writing files.

Texts are written as texts whatever they begin with, so a product called `=1+1` is a name and not a formula.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any, Literal

import polars as pl
import xlsxwriter
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from assets.finance.executive import (
    ExecutiveReport,
    Kpi,
    currency_exponent,
    decimal_amount,
    unconverted_text,
)

Kind = Literal["text", "money", "count", "decimal", "rate", "day", "month"]

WIDTHS: Mapping[Kind, int] = {
    "text": 24,
    "money": 16,
    "count": 12,
    "decimal": 14,
    "rate": 12,
    "day": 14,
    "month": 14,
}
CREATED = datetime.combine(date(2000, 1, 1), time.min)
"""Written in every workbook as its date of creation: the same report gives the same bytes."""

_LONGEST_TEXT = 32_767


@dataclass(frozen=True)
class Column:
    """A column of a sheet: which column of the frame, under which heading, written how, how wide."""

    name: str
    heading: str
    kind: Kind
    width: int | None = None


def render_workbook(report: ExecutiveReport) -> bytes:
    """The workbook: Summary, Monthly, Channels, SKUs, Stock-outs, Forecast, Cash, Returns, Notes.

    Row 1 of every sheet holds the headings; a sheet without data says why, and what to do, in row 2.
    """
    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False})
    book.set_properties({"title": f"{report.brand}: executive report", "created": CREATED})
    styles = _styles(book, report.exponent)
    _summary(book.add_worksheet("Summary"), report, styles)
    for title, columns, frame, absence in _sheets(report):
        _table(book.add_worksheet(title), columns, frame, absence, styles, report)
    _notes(book.add_worksheet("Notes"), report, styles)
    book.close()
    return out.getvalue()


def _sheets(report: ExecutiveReport) -> list[tuple[str, Sequence[Column], pl.DataFrame, str]]:
    says = report.absences
    return [
        ("Monthly", _monthly_columns(report.currency), report.monthly, says.get("monthly", "")),
        ("Channels", _channel_columns(report.currency), report.by_channel, says.get("by_channel", "")),
        ("SKUs", _sku_columns(report.currency), _skus(report), says.get("by_sku", "")),
        ("Stock-outs", STOCKOUT_COLUMNS, report.stockouts_ahead, says.get("stockouts_ahead", "")),
        ("Forecast", FORECAST_COLUMNS, report.fan, says.get("fan", "")),
        ("Cash", _cash_columns(report.currency), report.cash, says.get("cash", "")),
        ("Returns", RETURN_COLUMNS, report.returns, says.get("returns", "")),
    ]


def _skus(report: ExecutiveReport) -> pl.DataFrame:
    """What each SKU sold, beside it what is known of it as a slow mover; those that never sold come last."""
    return report.by_sku.join(report.slow, on="sku", how="full", coalesce=True, maintain_order="left_right").select(
        pl.col("sku"),
        pl.coalesce("name", "name_right").alias("name"),
        pl.exclude("sku", "name", "name_right"),
    )


# Columns


def _monthly_columns(currency: str) -> tuple[Column, ...]:
    return (
        Column("month", "Month", "month"),
        Column("gross_sales", f"Gross sales ({currency})", "money"),
        Column("returns", f"Returns ({currency})", "money"),
        Column("net_revenue", f"Net revenue ({currency})", "money"),
        Column("orders", "Orders", "count"),
        Column("units", "Units", "count"),
        Column("cogs", f"Cost of goods ({currency})", "money"),
        Column("margin", f"Margin ({currency})", "money"),
        Column("costed_revenue", f"Revenue with known cost ({currency})", "money", 20),
    )


def _channel_columns(currency: str) -> tuple[Column, ...]:
    return (
        Column("channel", "Channel", "text"),
        Column("net_revenue", f"Net revenue ({currency})", "money"),
        Column("share", "Share", "rate"),
    )


def _sku_columns(currency: str) -> tuple[Column, ...]:
    return (
        Column("sku", "SKU", "text", 18),
        Column("name", "Name", "text", 40),
        Column("units", "Units", "count"),
        Column("net_revenue", f"Net revenue ({currency})", "money"),
        Column("margin", f"Margin ({currency})", "money"),
        Column("margin_rate", "Margin rate", "rate"),
        Column("on_hand", "On hand (slow movers)", "count", 14),
        Column("units_last_13_weeks", "Units in 13 weeks (slow movers)", "count", 17),
        Column("weeks_since_last_sale", "Weeks since last sale (slow movers)", "count", 18),
    )


STOCKOUT_COLUMNS = (
    Column("sku", "SKU", "text", 18),
    Column("name", "Name", "text", 40),
    Column("available", "Available", "count"),
    Column("weekly_mean", "Forecast a week", "decimal"),
    Column("stockout_on", "Runs out on", "day"),
    Column("recommended_quantity", "Order", "count"),
)

FORECAST_COLUMNS = (
    Column("week", "Week of", "day"),
    Column("actual", "Sold", "decimal"),
    Column("mean", "Expected", "decimal"),
    Column("lower", "Likely low", "decimal"),
    Column("upper", "Likely high", "decimal"),
)

RETURN_COLUMNS = (
    Column("category", "Category", "text"),
    Column("units_sold", "Units sold", "count"),
    Column("units_returned", "Units returned", "count", 15),
    Column("return_rate", "Return rate", "rate"),
)


def _cash_columns(currency: str) -> tuple[Column, ...]:
    return (
        Column("month", "Month", "month"),
        Column("inflow", f"In ({currency})", "money"),
        Column("outflow", f"Out ({currency})", "money"),
        Column("net", f"Net ({currency})", "money"),
    )


# Sheets


def _table(
    sheet: Worksheet,
    columns: Sequence[Column],
    frame: pl.DataFrame,
    absence: str,
    styles: Mapping[str, Format],
    report: ExecutiveReport,
) -> None:
    """A frame under its headings: the first row stays in view, every column can be filtered."""
    _headings(sheet, columns, styles)
    for number, column in enumerate(columns):
        write = _writer(sheet, column.kind, styles, report.exponent)
        for row, value in enumerate(frame[column.name].to_list(), start=1):
            if value is not None:
                write(row, number, value)
    if frame.is_empty():
        _text(sheet, 1, 0, absence, styles["text"])
    sheet.autofilter(0, 0, max(frame.height, 1), len(columns) - 1)


def _summary(sheet: Worksheet, report: ExecutiveReport, styles: Mapping[str, Format]) -> None:
    """One figure a row: what the report is of, and the key figures with their changes."""
    columns = (
        Column("measure", "Measure", "text", 46),
        Column("value", "Value", "text", 22),
        Column("unit", "Unit", "text", 12),
        Column("detail", "Detail", "text", 70),
    )
    _headings(sheet, columns, styles)
    lines: list[tuple[str, Any, Kind, str, str]] = [
        ("Brand", report.brand, "text", "", ""),
        ("First day", report.period_first, "day", "", ""),
        ("Last day", report.period_last, "day", "", ""),
        ("Prepared at", report.generated_at.isoformat(timespec="seconds"), "text", "", ""),
        ("Currency", report.currency, "text", "", "all amounts, unless another is named"),
    ]
    for kpi in report.kpis:
        lines += _lines_of_kpi(kpi, report.currency)
    for row, (measure, value, kind, unit, detail) in enumerate(lines, start=1):
        _text(sheet, row, 0, measure, styles["text"])
        if value is None:
            _text(sheet, row, 1, "unknown", styles["text"])
        else:
            _writer(sheet, kind, styles, report.exponent)(row, 1, value)
        _text(sheet, row, 2, unit, styles["text"])
        _text(sheet, row, 3, detail, styles["text"])
    sheet.autofilter(0, 0, len(lines), len(columns) - 1)


def _lines_of_kpi(kpi: Kpi, currency: str) -> list[tuple[str, Any, Kind, str, str]]:
    unit = {"money": currency, "rate": "share", "count": "count"}[kpi.kind]
    changes: list[tuple[str, Any, Kind, str, str]] = [
        (f"{kpi.label}, change on {change.against}", change.ratio, "rate", "share", "") for change in kpi.changes
    ]
    return [(kpi.label, kpi.value, kpi.kind, unit, kpi.detail), *changes]


def _notes(sheet: Worksheet, report: ExecutiveReport, styles: Mapping[str, Format]) -> None:
    """The notes, and beside them the amounts that are in no other sheet, each in its own currency."""
    columns = (
        Column("note", "Note", "text", 100),
        Column("currency", "Unconverted currency", "text", 22),
        Column("net_revenue", "Unconverted net revenue", "text", 26),
    )
    _headings(sheet, columns, styles)
    for row, note in enumerate(report.notes or ("Nothing to add: every figure is complete.",), start=1):
        _text(sheet, row, 0, note, styles["wrapped"])
    for row, (code, minor) in enumerate(report.unconverted.drop_nulls().iter_rows(), start=1):
        _text(sheet, row, 1, code, styles["text"])
        exponent = currency_exponent(code)
        if exponent is None:
            _text(sheet, row, 2, unconverted_text(code, minor), styles["text"])
        else:
            sheet.write_number(row, 2, float(decimal_amount(minor, exponent)), styles[f"money{exponent}"])
    sheet.autofilter(0, 0, max(len(report.notes), report.unconverted.height, 1), len(columns) - 1)


# Cells


def _headings(sheet: Worksheet, columns: Sequence[Column], styles: Mapping[str, Format]) -> None:
    for number, column in enumerate(columns):
        style = styles["heading" if column.kind == "text" else "heading_of_numbers"]
        sheet.write_string(0, number, column.heading, style)
        sheet.set_column(number, number, column.width or WIDTHS[column.kind])
    sheet.set_row(0, 32)
    sheet.freeze_panes(1, 0)
    sheet.hide_gridlines(2)


def _writer(
    sheet: Worksheet, kind: Kind, styles: Mapping[str, Format], exponent: int
) -> Callable[[int, int, Any], object]:
    """How a value of this kind goes into a cell of the sheet."""
    style = styles[kind]
    if kind == "text":
        return lambda row, column, value: _text(sheet, row, column, value, style)
    if kind == "money":
        return lambda row, column, minor: sheet.write_number(row, column, float(decimal_amount(minor, exponent)), style)
    if kind in ("day", "month"):
        return lambda row, column, day: sheet.write_datetime(row, column, _midnight(day), style)
    return lambda row, column, number: sheet.write_number(row, column, number, style)


def _text(sheet: Worksheet, row: int, column: int, text: str, style: Format) -> None:
    """A text, as text: never a formula or an address; longer than a cell may hold, it is cut."""
    if text:
        sheet.write_string(row, column, text[:_LONGEST_TEXT], style)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time())


def _styles(book: xlsxwriter.Workbook, exponent: int) -> dict[str, Format]:
    plain = {"font_name": "Calibri", "font_size": 11, "valign": "top"}
    heading = plain | {
        "bold": True,
        "bottom": 1,
        "bottom_color": "#B08A3A",
        "bg_color": "#FBF8F2",
        "text_wrap": True,
    }
    money = {decimals: "#,##0" + ("." + "0" * decimals if decimals else "") for decimals in {0, 2, 3, 4, exponent}}
    return {
        "heading": book.add_format(heading),
        "heading_of_numbers": book.add_format(heading | {"align": "right"}),
        "text": book.add_format(plain),
        "wrapped": book.add_format(plain | {"text_wrap": True}),
        "money": book.add_format(plain | {"num_format": money[exponent]}),
        **{f"money{d}": book.add_format(plain | {"num_format": money[d]}) for d in sorted(money)},
        "count": book.add_format(plain | {"num_format": "#,##0"}),
        "decimal": book.add_format(plain | {"num_format": "#,##0.0"}),
        "rate": book.add_format(plain | {"num_format": "0.0%"}),
        "day": book.add_format(plain | {"num_format": "d mmm yyyy", "align": "right"}),
        "month": book.add_format(plain | {"num_format": "mmm yyyy", "align": "right"}),
    }
