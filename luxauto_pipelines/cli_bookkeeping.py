"""`luxauto finance …`: what goes into the books by hand, and closing and opening their months.

Belongs here: arguments and what is said of them. Does not belong here: reports (`cli_finance`), what an event means
(`assets/finance/posting_rules.yaml`).
"""

import re
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Annotated, Any

import typer

from luxauto_pipelines.cli_stock import actor, say, today
from luxauto_pipelines.console import Format, out, print_json, print_table

if TYPE_CHECKING:
    from resources.store.brand_store import BrandStore

app = typer.Typer()
FormatOption = Annotated[Format, typer.Option("--format", "-f", help="table for people, json for programs.")]
MonthArgument = Annotated[str, typer.Argument(metavar="YYYY-MM", help="The month.", show_default=False)]


@app.command()
def record(
    event: Annotated[str, typer.Argument(help="What happened; `luxauto finance rules` lists it.", show_default=False)],
    amount: Annotated[list[str], typer.Argument(help="100.00, or NAME=100.00 for each amount that the event has.")],
    currency: Annotated[str | None, typer.Option(help="ISO 4217 code; default: the base currency.")] = None,
    on: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Its day; default: today.")] = None,
    of: Annotated[list[str] | None, typer.Option(help="NAME=VALUE, such as category=rent or bank=main.")] = None,
    reference: Annotated[str | None, typer.Option(help="Number to find it by: an order's, an invoice's.")] = None,
    key: Annotated[str | None, typer.Option(help="The same key again records nothing; default: none.")] = None,
    note: Annotated[str, typer.Option(help="Words of your own.")] = "",
    format: FormatOption = Format.table,
) -> None:
    """Record a business event in the ledger, such as `record expense 1200.00 --of category=rent --of bank=main`.

    Several amounts are named: `record payout gross=100.00 fee=3.00 net=97.00 --of processor=stripe`. A sale or a refund is an
    order: take it in with `luxauto ingest orders` or the REST gateway.
    """
    from assets.finance.booking import book, load_chart
    from assets.finance.rules import Event
    from luxauto_pipelines.instance import reload
    from resources.settings import open_books
    from resources.store.audit import record as audit

    books = reload()
    base = books.settings.current.base_currency
    told = _pairs(of or [], "--of")
    code = (currency or base).upper()
    day = on.date() if on else today(books)
    happened = Event(
        event, key or _new_key(), day, code, _amounts(amount, code, told), told, note, reference, told.get("channel")
    )
    chart = load_chart(books.settings.home)
    with books.write() as (connection, brand):
        carry = books.settings.current.fx_carry_days
        booked = book(connection, brand, base, [happened], chart=chart, late="refuse", carry_days=carry)
        number = booked[happened.key]
        details = {"event": event, "currency": code, "amounts": amount, "key": happened.key}
        audit(connection, brand, "ledger.record", f"entry {number}", details, actor=actor())
    open_books(books.settings, day)
    _show_entry(books, number, format)


@app.command()
def reverse(
    entry: Annotated[int, typer.Argument(help="Number of the entry.", show_default=False)],
    reason: Annotated[str, typer.Option(help="Why; it is kept.")],
    on: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Its day; default: today.")] = None,
    format: FormatOption = Format.table,
) -> None:
    """Take an entry back by an equal and opposite one. What stands is never changed.

    Entries of orders and stock follow their orders: correct the order instead.
    """
    from assets.finance.rules import InvalidEvent
    from luxauto_pipelines.instance import reload
    from resources.store.audit import record as audit
    from resources.store.ledger import kind_of_entry, reverse_entry

    books = reload()
    day = on.date() if on else today(books)
    with books.write() as (connection, brand):
        if kind_of_entry(connection, brand, entry) in ("order", "stock"):
            raise InvalidEvent(
                f"entry {entry} follows an order or a movement of stock, and would be posted again: correct that instead"
            )
        number = reverse_entry(connection, brand, entry, key=f"reversal:{entry}", day=day, description=reason)
        audit(connection, brand, "ledger.reverse", f"entry {entry}", {"reason": reason, "by": number}, actor=actor())
    _show_entry(books, number, format)


@app.command()
def close(month: MonthArgument) -> None:
    """Close a month: the database takes no further entry that is dated in it. What comes late is dated in the next open one."""
    from luxauto_pipelines.instance import reload
    from resources.store.periods import close_month

    books = reload()
    with books.write() as (connection, brand):
        head = close_month(connection, brand, parse_month(month), today=today(books), actor=actor())
    say(f"{month} is closed. The journal stands at {head}: keep this number elsewhere to prove what was closed.")


@app.command()
def reopen(month: MonthArgument, reason: Annotated[str, typer.Option(help="Why; the audit log keeps it.")]) -> None:
    """Open a closed month again. Who, when and why are kept."""
    from luxauto_pipelines.instance import reload
    from resources.store.periods import reopen_month

    books = reload()
    with books.write() as (connection, brand):
        reopen_month(connection, brand, parse_month(month), reason=reason, actor=actor())
    say(f"{month} is open.")


@app.command()
def periods(format: FormatOption = Format.table) -> None:
    """The months that were closed, by whom, and how the journal stood then."""
    from luxauto_pipelines.instance import reload
    from resources.store.periods import read_periods

    books = reload()
    with books.read() as (connection, brand):
        rows = read_periods(connection, brand).to_dicts()
    _show(rows, "Months of the books", format, "No month was ever closed.")


@app.command()
def rules(format: FormatOption = Format.table) -> None:
    """What each business event means in accounts: its amounts, its names, and its debits and credits."""
    from assets.finance.rules import rule_table

    _show(rule_table(), "Posting rules", format, "")


@app.command()
def accounts(format: FormatOption = Format.table) -> None:
    """The chart of accounts, with what an account is split by."""
    from assets.finance.booking import load_chart
    from luxauto_pipelines.instance import reload

    chart = load_chart(reload().settings.home)
    rows = [{"code": a.code, "name": a.name, "type": a.type, "split by": a.per} for a in chart.accounts.values()]
    _show(rows, "Chart of accounts", format, "")


@app.command()
def verify() -> None:
    """Prove that nobody changed, removed or inserted an entry of the journal. Exit code 1 where somebody did."""
    from luxauto_pipelines.instance import reload
    from resources.store.ledger_chain import verify as verify_chain

    with reload().read() as (connection, brand):
        chain = verify_chain(connection, brand)
    say(chain.fault or f"{chain.entries} entries follow from one another. The newest is {chain.head}.")
    raise typer.Exit(1 if chain.fault else 0)


def _amounts(given: list[str], currency: str, told: dict[str, str]) -> dict[str, int]:
    """Minor units by name: one amount without a name is `amount`. An amount into another currency counts in that."""
    if len(given) == 1 and "=" not in given[0]:
        given = [f"amount={given[0]}"]
    named = _pairs(given, "AMOUNT")
    other = told.get("into_currency", currency)
    return {name: _minor(name, text, other if name == "into_amount" else currency) for name, text in named.items()}


def _minor(name: str, text: str, currency: str) -> int:
    from assets.finance.money import exponent, to_minor

    try:
        amount = Decimal(text)
    except InvalidOperation:
        raise typer.BadParameter(f"{text!r} is no amount such as 1200.00", param_hint=name) from None
    places = amount.as_tuple().exponent
    if not isinstance(places, int) or -places > exponent(currency):
        raise typer.BadParameter(f"{text} has more digits than {currency} knows", param_hint=name)
    return to_minor(amount, currency)


def _pairs(given: list[str], option: str) -> dict[str, str]:
    pairs = [text.partition("=") for text in given]
    for name, equals, value in pairs:
        if not (name and equals and value):
            raise typer.BadParameter(f"{name!r} is not of the form NAME=VALUE", param_hint=option)
    return {name: value for name, _, value in pairs}


def parse_month(text: str) -> date:
    """The first day of a month such as 2026-10."""
    if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", text):
        raise typer.BadParameter(f"{text!r} is no month such as 2026-10", param_hint="YYYY-MM")
    return date.fromisoformat(f"{text}-01")


def _new_key() -> str:
    import uuid

    return f"record:{uuid.uuid4().hex}"


def _show_entry(books: "BrandStore", number: int, format: Format) -> None:
    from assets.finance.money import to_decimal
    from resources.store.ledger import read_entry

    with books.read() as (connection, brand):
        rows = read_entry(connection, brand, number).to_dicts()
    base = books.settings.current.base_currency
    legs = [
        {
            "account": row["subaccount"],
            "name": row["account_name"],
            "debit": to_decimal(max(row["amount_minor"], 0), row["currency"]) or None,
            "credit": to_decimal(max(-row["amount_minor"], 0), row["currency"]) or None,
            "currency": row["currency"],
            base: None if row["base_amount_minor"] is None else to_decimal(row["base_amount_minor"], base),
        }
        for row in rows
    ]
    first = rows[0]
    if format is Format.json:
        print_json({"entry": number, "day": first["day"], "description": first["description"], "postings": legs})
    else:
        print_table(
            f"Entry {number} of {first['day']}: {first['description']}", legs[0], (leg.values() for leg in legs)
        )


def _show(rows: list[dict[str, Any]], title: str, format: Format, none: str) -> None:
    if format is Format.json:
        print_json(rows)
    elif rows:
        print_table(title, rows[0], (row.values() for row in rows))
    else:
        out.print(none)
