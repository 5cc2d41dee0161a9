"""The files: sums of a workbook are formulas that come to the figures, and pages hold what the report says."""

import io
import re
import zlib
from datetime import UTC, date, datetime

import openpyxl
import pytest

from assets.finance.reports.document import render_document
from assets.finance.reports.model import Report, ReportError
from assets.finance.reports.plain import to_csv
from assets.finance.reports.registry import make_report
from assets.finance.reports.span import Span
from assets.finance.reports.workbook import render_workbook
from tests.assets.finance.reports.books import entry, line, sources

SPAN = Span(date(2026, 2, 1), date(2026, 4, 30))
POSTED = [
    *entry(1, date(2026, 2, 3), [("1100.shop", 900, "EUR"), ("4000.shop", -1000, "EUR"), ("4100.shop", 100, "EUR")]),
    *entry(2, date(2026, 3, 3), [("1100.shop", 5000, "JPY"), ("4300", -5000, "JPY")]),
    *entry(3, date(2026, 4, 3), [("6400.meta", 70, "EUR"), ("1000", -70, "EUR")]),
    *entry(4, date(2026, 4, 4), [("1200.wholesale", 70, "EUR"), ("4000.wholesale", -70, "EUR")], reference="=W1"),
]
NAMES = ("profit_and_loss", "balance_sheet", "trial_balance", "cash_flow", "revenue_waterfall", "receivables_ageing")


def reports() -> list[Report]:
    books = sources(POSTED, [line(1, 1, date(2026, 2, 3))])
    compared = make_report("profit_and_loss", books, SPAN, compare="previous")
    return [*(make_report(name, books, SPAN) for name in NAMES), compared]


def evaluated(sheet, text) -> float | str:
    """A cell's value from its formula: sums, differences and guarded ratios, as the workbook writes them."""
    if not isinstance(text, str) or not text.startswith("="):
        return text or 0
    if ratio := re.fullmatch(r'=IF\((\w+)=0,"",(\w+)/(ABS\()?(\w+)\)?\)', text):
        part, whole = (evaluated(sheet, sheet[ratio[n]].value) for n in (2, 4))
        return "" if not whole else part / (abs(whole) if ratio[3] else whole)  # pyright: ignore
    total = 0.0
    for sign, first, last, one in re.findall(r"([+-]?)(?:SUM\((\w+):(\w+)\)|(\w+))", text[1:]):
        block = sheet[f"{first}:{last}"] if first else ((sheet[one],),)
        values = [evaluated(sheet, cell.value) for row in block for cell in row]
        total += (-1 if sign == "-" else 1) * sum(v for v in values if isinstance(v, (int, float)))
    return total


def test_every_sum_of_the_workbook_is_a_formula_that_comes_to_its_figure() -> None:
    content = render_workbook(reports(), "Maison")
    formulas = openpyxl.load_workbook(io.BytesIO(content))
    values = openpyxl.load_workbook(io.BytesIO(content), data_only=True)
    sums = 0
    for written, cached in zip(formulas.worksheets, values.worksheets, strict=True):
        for row in written.iter_rows():
            for cell in row:
                if isinstance(cell.value, str) and cell.value.startswith("=") and cell.data_type == "f":
                    sums += 1
                    expected = cached[cell.coordinate].value
                    assert evaluated(written, cell.value) == pytest.approx(expected), (written.title, cell.coordinate)
    assert sums > 60
    profit = formulas.worksheets[0]
    totals = {row[0].value: row for row in profit.iter_rows() if row[0].value}
    assert totals["Net sales"][1].value == "=SUM(B6:B7)"
    assert all(str(cell.value).startswith("=") for cell in totals["Result"][1:5])


def test_the_workbook_is_the_same_for_the_same_report_and_names_its_sheets_apart() -> None:
    assert render_workbook(reports(), "Maison") == render_workbook(reports(), "Maison")
    names = openpyxl.load_workbook(io.BytesIO(render_workbook(reports(), "Maison"))).sheetnames
    assert (names[0], names[-1]) == ("Profit and loss", "Profit and loss 2")


def test_digits_of_a_workbook_are_those_of_the_currency() -> None:
    book = openpyxl.load_workbook(io.BytesIO(render_workbook(reports()[2:3], "Maison")))
    formats = {row[0].value: row[2].number_format for row in book.worksheets[0].iter_rows() if row[0].value}
    assert formats["Total JPY"].startswith("#,##0;") and formats["Total EUR"].startswith("#,##0.00;")


def test_a_text_that_looks_like_a_formula_stays_a_text() -> None:
    ageing = [one for one in reports() if one.name == "receivables_ageing"]
    sheet = openpyxl.load_workbook(io.BytesIO(render_workbook(ageing, "=1+1"))).worksheets[0]
    assert all(cell.data_type != "f" for cell in sheet["A"])
    margin = make_report("margin_by_sku", sources([], [line(1, 1, SPAN.first, sku="=1+1")]), SPAN)
    assert "\r\n'=1+1,'=1+1,EUR,1,10.00," in to_csv(margin)


def test_a_document_has_a_page_a_report_and_its_numbers() -> None:
    content = render_document(reports()[:2], "Maison Élysée Ωmega", datetime(2026, 5, 1, tzinfo=UTC))
    assert content.startswith(b"%PDF-")
    assert len(re.findall(rb"/Type /Page\b(?!s)", content)) == 2
    streams = [zlib.decompress(s) for s in re.findall(rb"stream\n(.*?)\nendstream", content, re.S) if s[:1] == b"x"]
    assert sum(b"BT" in stream for stream in streams) >= 2
    assert content == render_document(reports()[:2], "Maison Élysée Ωmega", datetime(2026, 5, 1, tzinfo=UTC))


def test_many_columns_go_over_several_pages_and_too_many_rows_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = make_report("profit_and_loss", sources(POSTED), Span(date(2024, 1, 1), date(2026, 4, 30)))
    content = render_document([wide], "Maison", datetime(2026, 5, 1, tzinfo=UTC))
    assert len(re.findall(rb"/Type /Page\b(?!s)", content)) >= 3
    monkeypatch.setattr("assets.finance.reports.document.MOST_ROWS", 3)
    with pytest.raises(ReportError, match="fewer days"):
        render_document([wide], "Maison", datetime(2026, 5, 1, tzinfo=UTC))
