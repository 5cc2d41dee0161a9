"""`luxauto fx …`: exchange rates in, and what an amount is worth.

Belongs here: arguments and what is said of them. Does not belong here: where rates come from (`exchange_rates`), what follows
from them (`assets/finance/fx`).
"""

from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from luxauto_pipelines.cli_bookkeeping import parse_month
from luxauto_pipelines.cli_stock import actor, note, say, today
from luxauto_pipelines.console import Format, print_json, print_table, progress

if TYPE_CHECKING:
    from luxauto_pipelines.exchange_rates import Imported

app = typer.Typer(
    help="Exchange rates: take them in, look at them, convert, revalue at a month's end.", no_args_is_help=True
)
FormatOption = Annotated[Format, typer.Option("--format", "-f", help="table for people, json for programs.")]
OnOption = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Day of the rate; default: today.")]


@app.command(
    "import", epilog="Exit code 0: all rows taken; 2: some were put into quarantine; 1: nothing could be read."
)
def import_file(
    file: Annotated[Path, typer.Argument(help="XML, CSV, ZIP, Parquet or XLSX.", show_default=False)],
    source: Annotated[str | None, typer.Option(help="Who says so: ecb, manual (overrides all others), …")] = None,
    format: FormatOption = Format.table,
) -> None:
    """Take rates in: the European Central Bank's files as they are, or date, base, quote, rate (of quote for one base)."""
    from luxauto_pipelines.exchange_rates import import_rates
    from luxauto_pipelines.instance import reload

    with progress() as bar:
        task = bar.add_task("starting", total=None)
        imported = import_rates(
            reload(),
            file,
            source=source,
            progress=lambda stage: bar.update(task, description=stage, completed=0),
            count=lambda done, total: bar.update(task, completed=done, total=total),
        )
    _tell(imported, format)
    raise typer.Exit(imported.result.exit_code)


@app.command()
def fetch(
    url: Annotated[str | None, typer.Option(help="Default: $LUXAUTO_FX_URL, or the central bank's daily file.")] = None,
    format: FormatOption = Format.table,
) -> None:
    """Ask the European Central Bank for its newest rates. Asks only for what changed since the last time."""
    from luxauto_pipelines.exchange_rates import fetch_rates
    from luxauto_pipelines.instance import reload

    imported = fetch_rates(reload(), url)
    if imported is None:
        say("Nothing new since the last time.")
        return
    _tell(imported, format)
    raise typer.Exit(imported.result.exit_code)


@app.command()
def show(on: OnOption = None, format: FormatOption = Format.table) -> None:
    """What each currency is worth in the base currency on a day, from which day and whom the rate is."""
    from luxauto_pipelines.instance import reload

    books = reload()
    day = on.date() if on else today(books)
    rows = [
        {name: row[name] for name in ("currency", "rate", "quoted_on", "carried", "source")}
        for row in _ratios(books, day).sort("currency").to_dicts()
    ]
    base = books.settings.current.base_currency
    if format is Format.json:
        print_json(rows)
    elif rows:
        print_table(f"One unit in {base} on {day}", rows[0], (row.values() for row in rows))
    else:
        say(f"No rate is known on {day}. Take some in with `luxauto fx import FILE` or `luxauto fx fetch`.")


@app.command()
def convert(
    amount: Annotated[str, typer.Argument(help="Such as 1299.00.", show_default=False)],
    currency: Annotated[str, typer.Argument(metavar="FROM", help="ISO 4217 code.", show_default=False)],
    into: Annotated[str, typer.Argument(metavar="TO", help="ISO 4217 code.", show_default=False)],
    on: OnOption = None,
    format: FormatOption = Format.table,
) -> None:
    """What an amount is worth in another currency, rounded half to even to its digits."""
    from assets.finance.money import exponent, to_decimal, to_minor
    from luxauto_pipelines.instance import reload

    books = reload()
    day = on.date() if on else today(books)
    currency, into = currency.upper(), into.upper()
    given = _decimal(amount)
    minor = to_minor(given, currency)
    if to_decimal(minor, currency) != given:
        raise typer.BadParameter(f"{amount} has more digits than {currency} knows", param_hint="AMOUNT")
    exponent(into)
    found = _worth(books, minor, currency, into, day)
    if found is None:
        say(f"No rate leads from {currency} to {into} on {day}. Take some in with `luxauto fx import FILE`.")
        raise typer.Exit(1)
    worth, quoted_on = found
    answer = {
        "amount": given,
        "currency": currency,
        "worth": to_decimal(worth, into),
        "into": into,
        "quoted_on": quoted_on,
    }
    if format is Format.json:
        print_json(answer)
    else:
        say(f"{to_decimal(minor, currency)} {currency} is {answer['worth']} {into} at the rate of {quoted_on}")


@app.command()
def revalue(
    month: Annotated[str, typer.Argument(metavar="YYYY-MM", help="A month that is over.", show_default=False)],
    dry_run: Annotated[bool, typer.Option(help="Only show what would be posted.")] = False,
    format: FormatOption = Format.table,
) -> None:
    """Bring foreign balances to the closing rate: realised gains stay, unrealised ones are taken back the day after.

    The same month again posts nothing; after a corrected rate it posts the difference.
    """
    from assets.finance.booking import load_chart
    from assets.finance.fx_closing import month_end, revalue_month
    from luxauto_pipelines.instance import reload
    from resources.store.audit import record

    books = reload()
    first = parse_month(month)
    if month_end(first) >= today(books):
        raise typer.BadParameter(f"{month} is not over", param_hint="YYYY-MM")
    chart = load_chart(books.settings.home)
    with books.write() as (connection, brand):
        found, entries = revalue_month(connection, brand, books.settings.current, chart, first, dry_run=dry_run)
        if entries and not dry_run:
            record(connection, brand, "ledger.revalue", month, {"entries": entries}, actor=actor())
    rows = [_revalued(row, books.settings.current.base_currency) for row in found.to_dicts()]
    if format is Format.json:
        print_json({"month": month, "entries": entries, "posted": not dry_run, "accounts": rows})
        return
    if rows:
        print_table(f"Foreign balances at the end of {month}", rows[0], (row.values() for row in rows))
    lacking = sum(row["worth at the closing rate"] is None for row in rows)
    if lacking:
        note(f"{lacking} balances are not revalued for want of a rate: take it in with `luxauto fx import FILE`")
    say(f"{entries} entries {'would be' if dry_run else 'were'} posted.")


def _revalued(row: dict[str, Any], base: str) -> dict[str, Any]:
    from assets.finance.money import to_decimal

    def worth(name: str) -> Decimal | None:
        return None if row[name] is None else to_decimal(row[name], base)

    return {
        "account": row["subaccount"],
        "balance": to_decimal(row["foreign_minor"], row["currency"]),
        "currency": row["currency"],
        "carried at": worth("carrying_minor"),
        "worth at the closing rate": worth("closing_minor"),
        "realised": worth("realised_minor"),
        "unrealised": worth("unrealised_minor"),
    }


def _worth(books: Any, minor: int, currency: str, into: str, day: date) -> tuple[int, date] | None:
    import polars as pl

    from assets.finance.fx import convert as converted

    if currency == into:
        return minor, day
    ratios = _ratios(books, day, into)
    frame = pl.DataFrame({"day": [day], "currency": [currency], "minor": [minor]})
    worth = converted(frame, ratios, into, "minor", "worth")["worth"][0]
    if worth is None:
        return None
    return worth, ratios.filter(pl.col("currency") == currency)["quoted_on"][0]


def _ratios(books: Any, day: date, into: str | None = None) -> Any:
    from datetime import timedelta

    import polars as pl

    from assets.finance.fx import daily_ratios
    from resources.store.rates import read_rates

    current = books.settings.current
    carry = current.fx_carry_days
    with books.read() as (connection, brand):
        rates = read_rates(connection, brand, first=day - timedelta(days=carry), last=day)
    return daily_ratios(rates, into or current.base_currency, carry).filter(pl.col("day") == day)


def _decimal(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal("NaN")
    # More than that is in no column of 64 bits.
    if not amount.is_finite() or amount.adjusted() > 14:
        raise typer.BadParameter(f"{text!r} is no amount such as 1299.00", param_hint="AMOUNT")
    return amount


def _tell(imported: "Imported", format: Format) -> None:
    result = imported.result
    if format is Format.json:
        print_json({**result.as_dict(), "withdrawn": imported.withdrawn})
        return
    counts = ("rows_in", "new", "known", "quarantined")
    print_table(Path(result.file).name, counts, [[getattr(result, name) for name in counts]])
    if imported.withdrawn:
        note(f"left out, as withdrawn currencies: {', '.join(imported.withdrawn)}")
    if result.quarantined:
        print_table("Put aside", ["field", "reason", "rows"], (reason.values() for reason in result.reasons))
        say(f"The rows put aside, with their reasons: {result.quarantine_file}")
