"""Reports written to a folder: CSV and JSON a file each, XLSX and PDF all in one, and the journal for Beancount.

Belongs here: names of files and their bytes. Does not belong here: how a report is laid out (`assets/finance/reports`).
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from assets.finance.reports.beancount_file import render_beancount
from assets.finance.reports.document import render_document
from assets.finance.reports.model import Report
from assets.finance.reports.plain import as_dict, to_csv
from assets.finance.reports.registry import TABLES, find_report, make_report
from assets.finance.reports.sources import Sources, within
from assets.finance.reports.span import Span
from assets.finance.reports.tables import table_report
from assets.finance.reports.workbook import render_workbook
from luxauto_pipelines.console import to_json
from luxauto_pipelines.report_sources import whole_span
from resources.files import write_file
from resources.lake import Lake


class FileFormat(StrEnum):
    """What a report can be exported as."""

    csv = "csv"
    xlsx = "xlsx"
    pdf = "pdf"
    beancount = "beancount"
    json = "json"


def make_reports(names: Sequence[str], sources: Sources, lake: Lake, days: tuple, by: str | None) -> list[Report]:
    """The named reports, and the assets of TABLES as they stand in the lake. `by` counts where a report has such columns."""
    found: list[Report] = []
    for name in names:
        table = name.replace("-", "_")
        if table in TABLES:
            span = whole_span(sources, find_report("profit_and_loss"), *days)
            found.append(table_report(table, lake.read(table), (span.first, span.last), sources.base_currency))
            continue
        definition = find_report(name)
        span = whole_span(sources, definition, *days)
        found.append(make_report(name, sources, span, by if by in definition.by else None))
    return found


def write_reports(reports: Sequence[Report], format: FileFormat, folder: Path, brand: str) -> list[Path]:
    """Write them; returns the paths. A file of several reports is called `reports`. Raises ReportError."""
    together = reports[0].name if len(reports) == 1 else "reports"
    if format is FileFormat.xlsx:
        return [write_file(folder / f"{together}.xlsx", render_workbook(reports, brand))]
    if format is FileFormat.pdf:
        return [write_file(folder / f"{together}.pdf", render_document(reports, brand, datetime.now(UTC)))]
    texts = {
        report.name: to_csv(report) if format is FileFormat.csv else to_json(as_dict(report)) for report in reports
    }
    return [write_file(folder / f"{name}.{format.value}", text.encode()) for name, text in texts.items()]


def write_journal(sources: Sources, span: Span, folder: Path, brand: str) -> Path:
    """Write every entry of the days as a Beancount file."""
    postings = within(sources.postings, span.first, span.last).collect()
    text = render_beancount(postings, sources.base_currency, brand)
    return write_file(folder / "journal.beancount", text.encode())
