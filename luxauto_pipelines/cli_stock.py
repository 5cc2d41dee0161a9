"""What all commands about stock share: their arguments, our name of a SKU, who gives the command, and how rows are shown."""

import getpass
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer

from luxauto_pipelines.console import Format, err, out, print_json, print_table

if TYPE_CHECKING:
    from resources.store.brand_store import BrandStore

FormatOption = Annotated[Format, typer.Option("--format", "-f", help="table for people, json for programs.")]
SkuArgument = Annotated[str, typer.Argument(help="Our SKU.", show_default=False)]
LocationOption = Annotated[str, typer.Option(help="Code of the place where it lies.")]


def show_rows(rows: Sequence[dict[str, Any]], title: str, format: Format, books: "BrandStore", *, none: str) -> None:
    if format is Format.json:
        print_json(rows)
    elif rows:
        shown = ([local_time(v, books) if isinstance(v, datetime) else v for v in row.values()] for row in rows)
        print_table(title, rows[0], shown)
    else:
        say(none)


def known_sku(books: "BrandStore", sku: str) -> str:
    """The SKU as it is kept. Raises InvalidStockKeeping where there is none."""
    from assets.inventory.counting import our_sku
    from resources.store.catalog_codes import known_skus
    from resources.store.stock_keeping import InvalidStockKeeping

    with books.read() as (connection, brand):
        ours = our_sku(connection, brand, sku)
        if ours not in known_skus(connection, brand, [ours]):
            raise InvalidStockKeeping(
                f"there is no SKU {ours!r}: take it in with `luxauto inventory import`, or correct it"
            )
    return ours


def today(books: "BrandStore") -> date:
    from assets.ingestion.lines import today_in

    return today_in(books.settings.current.timezone, datetime.now(UTC))


def local_time(at: datetime | None, books: "BrandStore") -> str | None:
    zone = ZoneInfo(books.settings.current.timezone)
    return None if at is None else f"{at.astimezone(zone):%Y-%m-%d %H:%M:%S}"


def actor() -> str:
    """The operating system's user."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "operator"


def say(text: str) -> None:
    out.print(text, markup=False, highlight=False, soft_wrap=True)


def note(text: str) -> None:
    err.print(f"note: {text}", markup=False, highlight=False, soft_wrap=True)
