"""`luxauto finance reconcile …`: statements of processors and banks, what they were matched with, and what is left.

Belongs here: arguments and what is said of them. Does not belong here: reading a statement (`statements`), the rules
(`assets/finance/payouts`).
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from luxauto_pipelines.cli_stock import actor, say, today
from luxauto_pipelines.console import Format, out, print_json, print_table, progress

if TYPE_CHECKING:
    import polars as pl

app = typer.Typer(
    help="Payouts and the bank: take statements in, match them with orders, book what arrived, list what is left.",
    no_args_is_help=True,
)
FormatOption = Annotated[Format, typer.Option("--format", "-f", help="table for people, json for programs.")]
ReasonOption = Annotated[str, typer.Option(help="Why; it is kept with the match.")]
EXIT_CODES = "Exit code 0: all rows taken; 2: some rows were put into quarantine; 1: nothing could be taken."
_MOST_SHOWN = 40


@app.command("import", epilog=EXIT_CODES)
def import_(
    file: Annotated[Path, typer.Argument(help="The statement as it was exported.", show_default=False)],
    kind: Annotated[
        str | None,
        typer.Option(help="Its format, where its content does not tell: shopify_payments, stripe, paypal, amazon, …"),
    ] = None,
    processor: Annotated[
        str | None, typer.Option(help="Whose clearing account it moves; default: the vendor's name, such as stripe.")
    ] = None,
    account: Annotated[str | None, typer.Option(help="Name of the bank account in the books, such as main.")] = None,
    map_file: Annotated[Path | None, typer.Option("--map", help="Which column is what of a bank's CSV (YAML).")] = None,
    decimal: Annotated[str, typer.Option(help="Decimal sign, where the amounts do not tell: . or ,")] = "",
    dates: Annotated[str, typer.Option(help="dmy or mdy, where the dates do not tell.")] = "",
    format: FormatOption = Format.table,
) -> None:
    """Take a statement in: Shopify Payments, Stripe (CSV or JSON), PayPal, Amazon settlement, CAMT.053, MT940, a bank's CSV.

    The same file again, or another that tells the same lines, changes nothing. A bank statement whose lines do not lead from
    its opening to its closing balance is refused. Run `luxauto finance reconcile run` after it.
    """
    from luxauto_pipelines.instance import reload
    from luxauto_pipelines.statements import Take, take_statement

    if decimal not in ("", ".", ","):
        raise typer.BadParameter(f"{decimal!r} is not . or ,", param_hint="--decimal")
    if dates not in ("", "dmy", "mdy"):
        raise typer.BadParameter(f"{dates!r} is not dmy or mdy", param_hint="--dates")
    with progress() as bar:
        bar.add_task(f"reading {file.name}", total=None)
        result = take_statement(reload(), file, Take(kind, processor, account, map_file, decimal, dates), actor())
    if format is Format.json:
        print_json(result.as_dict())
    else:
        of = result.processor or ", ".join(result.accounts)
        columns = ["format", "of", "new", "known", "put aside", "skipped", "payouts"]
        row = [result.source, of, result.new, result.known, result.aside, result.skipped, result.payouts]
        print_table(file.name, columns, [row])
        if result.aside:
            print_table("Put aside", ["field", "reason", "rows"], (reason.values() for reason in result.reasons))
            out.print(f"The rows put aside: {result.quarantine_file}", highlight=False, soft_wrap=True)
    raise typer.Exit(result.exit_code)


@app.command()
def run(format: FormatOption = Format.table) -> None:
    """Match lines with orders and payouts with the bank, and book each payout that has arrived. Again it changes nothing."""
    from assets.finance.reconcile import reconcile
    from luxauto_pipelines.instance import reload

    books = reload()
    with progress() as bar:
        bar.add_task("matching", total=None)
        done = reconcile(books, actor(), today(books))
    if format is Format.json:
        print_json(vars(done))
        return
    columns = ["lines matched", "payouts banked", "payments on account", "entries", "left"]
    print_table("Reconciliation", columns, [[done.lines, done.payouts, done.customers, done.entries, done.left]])
    if done.left:
        say("What is left, with the best guess for each: luxauto finance reconcile list --unmatched")


@app.command("list")
def list_(
    unmatched: Annotated[bool, typer.Option("--unmatched", help="What has no counterpart, with suggestions.")] = False,
    matches: Annotated[
        bool, typer.Option("--matches", help="What was matched with what, by which rule and by whom.")
    ] = False,
    format: FormatOption = Format.table,
) -> None:
    """Payouts: what their lines come to, what was stated, what the bank booked, the difference. Or matches, or what is left."""
    from assets.finance.reconcile import read_state
    from luxauto_pipelines.instance import reload

    books = reload()
    with books.read() as (connection, brand):
        state = read_state(books, connection, brand, today(books))
    if unmatched:
        _show(state.unmatched, "Without a counterpart", format, none="Everything has its counterpart.")
    elif matches:
        _show(_matches(state.active, state.orders), "Matches", format, none="Nothing was matched yet.")
    else:
        _show(state.report, "Payouts", format, none="No payout is known: luxauto finance reconcile import FILE")


@app.command()
def match(
    line: Annotated[int, typer.Argument(help="Id of the line, as `list --unmatched` shows it.", show_default=False)],
    target: Annotated[str, typer.Argument(help="The order's number; with --bank the payout's id.", show_default=False)],
    reason: ReasonOption,
    channel: Annotated[str | None, typer.Option(help="Channel of the order, where several have its number.")] = None,
    bank: Annotated[bool, typer.Option("--bank", help="LINE is a line of the bank, TARGET a payout.")] = False,
) -> None:
    """Match by hand what no rule would: a settlement line with an order or, with --bank, a bank line with a payout."""
    from assets.finance.reconcile import match_by_hand, match_payout_by_hand
    from luxauto_pipelines.instance import reload

    if not bank:
        say(match_by_hand(reload(), line, target, channel, reason, actor()))
        return
    if not target.isdecimal():
        raise typer.BadParameter(
            f"{target!r} is no payout's id: see `luxauto finance reconcile list`", param_hint="TARGET"
        )
    say(match_payout_by_hand(reload(), line, int(target), reason, actor()))


@app.command()
def unmatch(
    match: Annotated[int, typer.Argument(help="Id of the match, as `list --matches` shows it.", show_default=False)],
    reason: ReasonOption,
) -> None:
    """Take a match back, and the entry that was booked because of it. Both stay in sight; nothing is deleted."""
    from assets.finance.reconcile import take_back
    from luxauto_pipelines.instance import reload

    books = reload()
    say(take_back(books, match, reason, actor(), today(books)))


def _matches(active: "pl.DataFrame", orders: "pl.DataFrame") -> "pl.DataFrame":
    numbers = orders.select("order_id", "number").unique("order_id")
    columns = ("match_id", "line_id", "bank_line_id", "number", "payout_id", "rule", "amount_minor", "currency")
    return active.join(numbers, on="order_id", how="left", maintain_order="left").select(
        *columns, "flag", "reason", "actor"
    )


def _show(frame: "pl.DataFrame", title: str, format: Format, *, none: str) -> None:
    """Rows with amounts in the currency's own digits."""
    from assets.finance.money import to_decimal

    rows: list[dict[str, Any]] = []
    for row in frame.iter_rows(named=True):
        shown: dict[str, Any] = {}
        for name, value in row.items():
            if name.endswith("_minor"):
                plain = name.removesuffix("_minor")
                shown[f"{plain}_amount" if plain in row else plain] = (
                    None if value is None else to_decimal(value, row["currency"])
                )
            else:
                shown[name] = value
        rows.append(shown)
    if format is Format.json:
        print_json(rows)
    elif not rows:
        say(none)
    else:
        print_table(title, rows[0], (row.values() for row in rows[:_MOST_SHOWN]))
        if len(rows) > _MOST_SHOWN:
            say(f"{len(rows) - _MOST_SHOWN} more: --format json shows all.")
