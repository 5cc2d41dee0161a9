"""`luxauto finance match`: suppliers' invoices beside what was ordered and what has arrived.

Belongs here: arguments and what is said of them. Does not belong here: the verdict (`assets/finance/purchase_matching`).
"""

from pathlib import Path
from typing import Annotated

import typer

from luxauto_pipelines.cli_stock import actor, say
from luxauto_pipelines.console import Format, err, print_json, print_table

app = typer.Typer()
FormatOption = Annotated[Format, typer.Option("--format", "-f", help="table for people, json for programs.")]


@app.command()
def match(
    file: Annotated[Path | None, typer.Argument(help="CSV of invoices, a row a line.", show_default=False)] = None,
    decimal: Annotated[str, typer.Option(help="Decimal sign, where the prices do not tell: . or ,")] = "",
    dates: Annotated[str, typer.Option(help="dmy or mdy, where the dates do not tell.")] = "",
    format: FormatOption = Format.table,
) -> None:
    """Compare suppliers' invoices with purchase orders and receipts, and book those that match (three-way match).

    FILE has the columns supplier, invoice_number, invoice_date, purchase_order, sku, quantity, unit_price, currency and
    perhaps tax. Without FILE, what waits is compared again, as after goods have arrived. Taken again it changes nothing.
    Exit code 2: some rows could not be taken.
    """
    from assets.finance.purchases import purchase_matches, take_invoices, tolerance_of
    from luxauto_pipelines.instance import reload
    from luxauto_pipelines.statements import read_invoice_file
    from resources.settings import open_books

    books = reload()
    invoices, aside = read_invoice_file(file, decimal, dates) if file else ([], [])
    taken = take_invoices(books, invoices, actor())
    if invoices:
        open_books(books.settings, min(invoice.invoiced_on for invoice in invoices))
    with books.read() as (connection, brand):
        rows = purchase_matches(connection, brand, tolerance_of(books.settings.home))
    if format is Format.json:
        print_json({**taken.as_dict(), "aside": aside, "invoices": rows.to_dicts()})
    else:
        _print(rows.to_dicts())
        say(f"{taken.new} new, {taken.known} known, {taken.booked} booked.")
        for row in aside:
            err.print(f"row {row['row_number']}: {row['field']} {row['reason']}", markup=False, highlight=False)
    raise typer.Exit(2 if aside else 0)


@app.command("approve-invoice")
def approve_invoice(
    supplier: Annotated[str, typer.Argument(help="The supplier, as the invoice names it.", show_default=False)],
    number: Annotated[str, typer.Argument(help="The invoice's number.", show_default=False)],
    reason: Annotated[str, typer.Option(help="Why; the audit log keeps it.")],
) -> None:
    """Take an invoice in spite of what differs, and book it. Who and why are kept."""
    from assets.finance.purchases import approve_invoice as approve
    from luxauto_pipelines.instance import reload

    taken = approve(reload(), supplier, number, reason, actor())
    say(f"invoice {number} of {supplier} is approved, {taken.booked} entries booked.")


def _print(rows: list[dict[str, object]]) -> None:
    from assets.finance.money import to_decimal

    columns = ["supplier", "number", "order", "day", "goods", "tax", "currency", "result", "detail", "booked"]
    shown = [
        [
            *(row["supplier"], row["number"], row["order_number"], row["invoiced_on"]),
            *(to_decimal(int(str(row[name])), str(row["currency"])) for name in ("goods_minor", "tax_minor")),
            *(row["currency"], row["result"], row["detail"], row["booked"]),
        ]
        for row in rows
    ]
    print_table("Suppliers' invoices", columns, shown)
