"""`luxauto finance …`: reports from the books.

Belongs here: arguments and what is said of them. Does not belong here: what a report says (`assets/finance`).
"""

from datetime import datetime
from typing import Annotated

import typer

from luxauto_pipelines.console import Format, err, print_json, print_table

app = typer.Typer(help="The books: what was recorded, and reports of it.", no_args_is_help=True)

FormatOption = Annotated[Format, typer.Option("--format", "-f", help="table for people, json for programs.")]


@app.command()
def report(
    by: Annotated[str, typer.Option(help="day or month.")] = "month",
    start: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="First day.")] = None,
    end: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Last day.")] = None,
    format: FormatOption = Format.table,
) -> None:
    """Gross sales, returns and net revenue from goods, in the base currency, by day or month.

    Amounts of days without an exchange rate stand in rows of their own currency. Run `luxauto refresh` after an ingest.
    """
    from luxauto_pipelines.instance import reload
    from luxauto_pipelines.refresh import days_behind
    from luxauto_pipelines.sales_report import PERIODS, sales_report
    from resources.lake import Lake

    if by not in PERIODS:
        raise typer.BadParameter(f"{by!r} is not one of {', '.join(PERIODS)}", param_hint="--by")
    books = reload()
    lake = Lake(books.settings.lake_url, books.settings.brand)
    rows = sales_report(lake, by, start.date() if start else None, end.date() if end else None)
    if behind := days_behind(books):
        err.print(f"note: {behind} ingested days are not in these figures yet; run `luxauto refresh`.")
    if format is Format.json:
        print_json(rows)
    else:
        columns = list(rows[0]) if rows else ["period"]
        print_table(f"{books.settings.current.name}: sales by {by}", columns, (row.values() for row in rows))
