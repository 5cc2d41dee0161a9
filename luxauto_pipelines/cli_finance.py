"""`luxauto finance report|explain|export`: reports from the books, what stands behind their cells, and files of them.

Belongs here: arguments and what is said of them. Does not belong here: what a report says (`assets/finance/reports`).
"""

from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from luxauto_pipelines.console import Format, err, out, print_json, print_table

if TYPE_CHECKING:
    from assets.finance.reports.model import Report
    from assets.finance.reports.sources import Sources
    from resources.store.brand_store import BrandStore

app = typer.Typer(help="The books: what was recorded, and reports of it.", no_args_is_help=True)

NAMES = "profit-and-loss, balance-sheet, trial-balance, general-ledger, cash-flow, revenue-waterfall, vat-report, "
NAMES += "receivables-ageing, cohort-value, margin-by-sku (-colour, -size, -collection, -category, -channel, -country)"
FormatOption = Annotated[Format, typer.Option("--format", "-f", help="table for people, json for programs.")]
StartOption = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="First day.")]
EndOption = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Last day.")]
CurrencyOption = Annotated[
    str | None, typer.Option(help="Restate in this currency, each day at its own rate. See docs/reports.md.")
]
CompareOption = Annotated[
    str | None,
    typer.Option(help="Beside it: previous, year, or previous_constant and year_constant for constant currency."),
]
ByOption = Annotated[str | None, typer.Option(help="Columns: day, month, quarter, year, channel or country.")]
NameArgument = Annotated[str, typer.Argument(help=f"One of: {NAMES}.", show_default=False)]
_LABEL_WIDTH, _CELL_WIDTH = 44, 16


@app.command()
def report(
    name: Annotated[
        str | None, typer.Argument(help=f"Sales by day or month where none is named; else one of: {NAMES}.")
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(help="Columns: day or month (the default), and with NAME quarter, year, channel, country."),
    ] = None,
    start: StartOption = None,
    end: EndOption = None,
    currency: CurrencyOption = None,
    compare: CompareOption = None,
    format: FormatOption = Format.table,
) -> None:
    """Show a report of the books. Without a name: gross sales, returns and net revenue from goods, by day or month.

    Run `luxauto refresh` after an ingest. In the sales by day or month, amounts of days without an exchange rate stand in rows
    of their own currency; named reports say in a note what is in no amount.
    """
    from luxauto_pipelines.instance import reload

    books = reload()
    if name is None:
        if currency or compare:
            raise typer.BadParameter("name a report, such as profit-and-loss, to restate or compare it")
        _sales(books, by or "month", _day(start), _day(end), format)
        return
    made = _make(_sources(books, currency), name, by, (_day(start), _day(end)), compare)
    if format is Format.json:
        from assets.finance.reports.plain import as_dict

        print_json(as_dict(made))
    else:
        show_report(made, books.settings.current.name)


@app.command()
def explain(
    name: NameArgument,
    cell: Annotated[str, typer.Argument(help="ROW:COLUMN, such as 4000:2025-03, by the keys that JSON shows.")],
    by: ByOption = None,
    start: StartOption = None,
    end: EndOption = None,
    currency: CurrencyOption = None,
    compare: CompareOption = None,
    limit: Annotated[int, typer.Option(min=1, help="Most entries and order lines that a table shows.")] = 50,
    format: FormatOption = Format.table,
) -> None:
    """Say what a cell of a report is made of: journal entries, the order lines behind them, and their total.

    Give the days, the currency and the comparison as for the report itself. JSON shows everything, a table the first rows.
    """
    from assets.finance.reports.explain import explain as explain_cell
    from assets.finance.reports.plain import explanation_as_dict
    from luxauto_pipelines.instance import reload

    books = reload()
    sources = _sources(books, currency)
    made = _make(sources, name, by, (_day(start), _day(end)), compare)
    told = explanation_as_dict(explain_cell(made, cell, sources.lines))
    if format is Format.json:
        print_json(told)
        return
    title = (
        f"{made.title}, {told['label']}: {told['total'] if told['total'] is not None else 'unknown'} {told['currency']}"
    )
    for heading, rows in ((title, told["entries"]), ("Order lines behind them", told["order_lines"])):
        if rows or heading == title:
            columns = list(rows[0]) if rows else ["entry_id"]
            print_table(heading, columns, (row.values() for row in rows[:limit]))
        if len(rows) > limit:
            err.print(f"note: {len(rows) - limit} more rows are not shown; --limit and --format json show them.")


@app.command()
def export(
    names: Annotated[
        list[str] | None,
        typer.Argument(help=f"Which; the statements where none is named. {NAMES}.", show_default=False),
    ] = None,
    format: Annotated[
        str, typer.Option("--format", "-f", help="csv, xlsx, pdf, json, or beancount for the journal.")
    ] = "xlsx",
    to: Annotated[Path | None, typer.Option(help="Folder; default: the installation's reports folder.")] = None,
    by: ByOption = None,
    start: StartOption = None,
    end: EndOption = None,
    currency: CurrencyOption = None,
) -> None:
    """Write reports as files: CSV and JSON one each, XLSX (sums are formulas) and PDF all in one, the journal for Beancount."""
    from assets.finance.reports.registry import STATEMENTS, find_report
    from luxauto_pipelines.instance import reload
    from luxauto_pipelines.report_files import FileFormat, make_reports, write_journal, write_reports
    from luxauto_pipelines.report_sources import whole_span
    from resources.lake import Lake

    if format not in list(FileFormat):
        raise typer.BadParameter(f"{format!r} is not one of {', '.join(FileFormat)}", param_hint="--format")
    wanted = FileFormat(format)
    books = reload()
    settings = books.settings
    folder = to or settings.home / "reports" / settings.brand
    sources, days = _sources(books, currency), (_day(start), _day(end))
    if wanted is FileFormat.beancount:
        span = whole_span(sources, find_report("profit_and_loss"), *days)
        written = [write_journal(sources, span, folder, settings.current.name)]
    else:
        found = make_reports(names or STATEMENTS, sources, Lake(settings.lake_url, settings.brand), days, by)
        written = write_reports(found, wanted, folder, settings.current.name)
    for path in written:
        out.print(str(path), markup=False, highlight=False, soft_wrap=True)


def show_report(made: "Report", brand: str) -> None:
    """A report on the terminal; where its columns are more than fit, in several tables."""
    from rich.markup import escape
    from rich.table import Table

    from assets.finance.reports.plain import table_rows

    rows = list(table_rows(made))
    room = max(1, (out.width - _LABEL_WIDTH) // _CELL_WIDTH)
    for first in range(0, max(len(made.columns), 1), room):
        shown = made.columns[first : first + room]
        title = f"{brand}: {made.title}, {made.first} to {made.last}, {made.currency}" if not first else "continued"
        table = Table(title=escape(title), title_justify="left", header_style="bold", title_style="bold")
        table.add_column("", max_width=_LABEL_WIDTH)
        for column in shown:
            table.add_column(escape(column.label), justify="left" if column.kind == "text" else "right")
        for row, cells in zip(made.rows, rows, strict=True):
            texts = [
                "–" if cell is None else escape(str(cell)) for cell in [cells[0], *cells[1 + first : 1 + first + room]]
            ]
            table.add_row(*texts, style="" if row.kind == "line" else "bold", end_section=row.kind == "total")
        out.print(table)
    for note in made.notes:
        err.print(f"note: {note}", markup=False, highlight=False, soft_wrap=True)


def _sources(books: "BrandStore", currency: str | None) -> "Sources":
    from assets.finance.money import exponent
    from luxauto_pipelines.report_sources import lake_sources

    if currency is not None:
        exponent(currency)
    _note_days_behind(books)
    return lake_sources(books, currency)


def _make(
    sources: "Sources", name: str, by: str | None, days: tuple[date | None, date | None], compare: str | None
) -> "Report":
    from assets.finance.reports.registry import find_report, make_report
    from luxauto_pipelines.report_sources import whole_span

    return make_report(name, sources, whole_span(sources, find_report(name), *days), by, compare)


def _sales(books: "BrandStore", by: str, first: date | None, last: date | None, format: Format) -> None:
    from luxauto_pipelines.sales_report import PERIODS, sales_report
    from resources.lake import Lake

    if by not in PERIODS:
        raise typer.BadParameter(f"{by!r} is not one of {', '.join(PERIODS)}", param_hint="--by")
    rows = sales_report(Lake(books.settings.lake_url, books.settings.brand), by, first, last)
    _note_days_behind(books)
    if format is Format.json:
        print_json(rows)
    else:
        columns = list(rows[0]) if rows else ["period"]
        print_table(f"{books.settings.current.name}: sales by {by}", columns, (row.values() for row in rows))


def _note_days_behind(books: "BrandStore") -> None:
    from luxauto_pipelines.refresh import days_behind

    if behind := days_behind(books):
        err.print(f"note: {behind} ingested days are not in these figures yet; run `luxauto refresh`.")


def _day(given: datetime | None) -> date | None:
    return given.date() if given else None
