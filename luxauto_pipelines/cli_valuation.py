"""`luxauto inventory valuation`, `revalue`: what stock is worth, and computing it again.

Belongs here: arguments, and what is said. Does not belong here: how stock is valued (`assets/inventory`).
"""

from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from luxauto_pipelines.cli_stock import FormatOption, actor, note, say
from luxauto_pipelines.console import Format, print_json, print_table, progress

if TYPE_CHECKING:
    from assets.inventory.stock_values import Worth

app = typer.Typer()


class Method(StrEnum):
    """How stock is valued."""

    weighted_average = "weighted_average"
    fifo = "fifo"
    standard = "standard"


MethodOption = Annotated[
    Method | None, typer.Option(help="Default: the brand's own, `costing` in luxauto.yaml.", show_default=False)
]
DayOption = Annotated[
    datetime | None, typer.Option("--as-of", formats=["%Y-%m-%d"], help="At the end of this day; default: now.")
]
_MOST_SHOWN = 20


@app.command()
def valuation(method: MethodOption = None, as_of: DayOption = None, format: FormatOption = Format.table) -> None:
    """What stock is worth, SKU by SKU, beside the balance of the inventory account.

    By the brand's own method it is what the ledger has, movement by movement. By another method, or of an earlier day, it is
    computed from all movements. Units of unknown cost have no value and are told apart.
    """
    from assets.inventory.stock_values import worth_of
    from luxauto_pipelines.instance import reload

    books = reload()
    with progress() as bar:
        bar.add_task("valuing", total=None)
        worth = worth_of(books, method.value if method else None, as_of.date() if as_of else None)
    found = _told(worth)
    if format is Format.json:
        print_json(found)
    else:
        _print(found)
    if worth.waiting:
        note(f"{worth.waiting} movements have not been valued yet and are in no figure: luxauto refresh")


@app.command()
def revalue(
    reason: Annotated[str, typer.Option(help="Why, for whoever reads the audit log.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    format: FormatOption = Format.table,
) -> None:
    """Value every movement again from the beginning, by the costs and the method of now.

    For a cost that was wrong, or a new method that should count from the start: a movement is otherwise valued once and for
    all. The next `luxauto refresh` posts the differences; of closed months, on the first open day.
    """
    from assets.inventory.stock_values import value_again
    from luxauto_pipelines.instance import reload

    books = reload()
    if not yes and not typer.confirm("Value all movements again?", err=True):
        raise typer.Exit(1)
    with progress() as bar:
        bar.add_task("valuing", total=None)
        count = value_again(books, reason, actor())
    if format is Format.json:
        print_json({"movements": count, "method": books.settings.current.costing, "reason": reason})
        return
    say(f"{count:,} movements were valued again ({books.settings.current.costing}).")
    say("Next: luxauto refresh")


def _told(worth: "Worth") -> dict[str, Any]:
    """The valuation in major units: totals by currency beside the ledger's, and the SKUs."""
    from assets.finance.money import to_decimal
    from assets.inventory.stock_worth import totals

    def major(minor: int | None, currency: str | None) -> Any:
        return None if minor is None or currency is None else to_decimal(minor, currency)

    sums = {row["currency"]: row for row in totals(worth.rows).to_dicts()}
    currencies = [*sums, *(c for c in worth.ledger if c not in sums)]
    rows = [
        {name: row[name] for name in ("sku", "units", "currency")}
        | {name: major(row[f"{name}_minor"], row["currency"]) for name in ("unit_value", "value", *Method)}
        | {"base_value": major(row["base_value_minor"], row["base_currency"]), "base_currency": row["base_currency"]}
        for row in worth.rows.to_dicts()
    ]
    return {
        "method": worth.method,
        "as_of": worth.as_of,
        "totals": [
            {
                "currency": currency,
                "skus": sums.get(currency, {}).get("skus", 0),
                "units": sums.get(currency, {}).get("units", 0),
                "value": major(sums.get(currency, {}).get("value_minor", 0), currency),
                "ledger": major(worth.ledger.get(currency, 0) if currency else None, currency),
            }
            for currency in currencies
        ],
        "skus": rows,
        "movements_not_valued": worth.waiting,
    }


def _print(found: dict[str, Any]) -> None:
    when = f" on {found['as_of']}" if found["as_of"] else ""
    totals = found["totals"]
    if not totals:
        say("Nothing is in stock.")
        return
    print_table(f"Stock by {found['method']}{when}", totals[0], (row.values() for row in totals))
    columns = ("sku", "units", "unit_value", "value", "currency", *Method)
    rows = [[row[name] for name in columns] for row in found["skus"][:_MOST_SHOWN]]
    print_table("The most valuable SKUs", columns, rows)
    if len(found["skus"]) > _MOST_SHOWN:
        say(f"{len(found['skus']) - _MOST_SHOWN} more: --format json has all.")
    for row in totals:
        if row["currency"] is None:
            note(f"{row['units']:,} units of {row['skus']} SKUs have no known cost, and no value.")
        elif row["value"] != row["ledger"]:
            note(f"{row['currency']}: the inventory account differs by {row['ledger'] - row['value']:,}.")
