"""`luxauto inventory …`: promises, buffers and caps, sets, what is made to order, numbered pieces.

Belongs here: arguments and what is said of them. Does not belong here: stock itself and its channels (`cli_inventory`), the
rows (`resources/store`).
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer

from luxauto_pipelines.cli_stock import (
    FormatOption,
    LocationOption,
    SkuArgument,
    actor,
    known_sku,
    local_time,
    note,
    say,
    show_rows,
    today,
)
from luxauto_pipelines.console import Format

if TYPE_CHECKING:
    from resources.store.brand_store import BrandStore

app = typer.Typer()

ReferenceArgument = Annotated[str, typer.Argument(help="As it was given to `reserve --for`.", show_default=False)]


@app.command()
def reserve(
    sku: SkuArgument,
    quantity: Annotated[int, typer.Argument(min=1, help="Units to promise.", show_default=False)],
    reference: Annotated[str, typer.Option("--for", help="For whom: a client or an order. It names the promise.")],
    until: Annotated[str | None, typer.Option(help="When it ends by itself, such as 2026-12-01T18:00.")] = None,
    hours: Annotated[float | None, typer.Option(min=0.01, max=87_600, help="Or after so many hours.")] = None,
) -> None:
    """Promise units to somebody: no channel sells them until they are fetched or released."""
    from luxauto_pipelines.instance import reload
    from resources.store.audit import record
    from resources.store.catalog_codes import known_skus
    from resources.store.reservations import Promise
    from resources.store.reservations import reserve as promise_units

    books = reload()
    ends = _ends(books, until, hours)
    ours = known_sku(books, sku)
    with books.write() as (connection, brand):
        number = known_skus(connection, brand, [ours])[ours]
        promise = Promise(reference, number, ours, quantity, ends, actor())
        promise_units(connection, brand, promise, today(books))
        details = {"reference": reference, "quantity": quantity, "until": ends and ends.isoformat()}
        record(connection, brand, "inventory.reserve", ours, details)
    held = f"until {local_time(ends, books)}" if ends else "until it is fetched or released"
    say(f"{quantity} of {ours} are promised to {reference!r}, {held}.")
    say(f"Next: luxauto inventory sync --sku {ours}")


@app.command()
def release(reference: ReferenceArgument) -> None:
    """End a promise: its units can be sold again."""
    from resources.store.reservations import release as end

    _end(reference, end, "inventory.release", "are available again")


@app.command()
def fetch(reference: ReferenceArgument) -> None:
    """The promised units were fetched: the promise ends, and they leave the stock."""
    from resources.store.reservations import consume

    _end(reference, consume, "inventory.fetch", "have left the stock")


@app.command()
def reservations(
    everything: Annotated[bool, typer.Option("--all", help="Also those that have ended.")] = False,
    format: FormatOption = Format.table,
) -> None:
    """Promises that hold, the oldest first."""
    from luxauto_pipelines.instance import reload
    from resources.store.reservations import read_reservations

    books = reload()
    with books.read() as (connection, brand):
        rows = read_reservations(connection, brand, active_only=not everything).to_dicts()
    show_rows(rows, "Promises", format, books, none="Nothing is promised to anybody.")


@app.command()
def rule(
    channel: Annotated[str | None, typer.Option(help="Every channel without it.")] = None,
    sku: Annotated[str | None, typer.Option(help="Every SKU without it.")] = None,
    buffer: Annotated[int, typer.Option(min=0, help="Units that are held back.")] = 0,
    most: Annotated[int | None, typer.Option(min=0, help="Show no more than so many.")] = None,
) -> None:
    """Hold units back from a channel, or show it no more than so many. Neither of both: the rule ends."""
    from luxauto_pipelines.instance import reload
    from resources.store.audit import record
    from resources.store.stock_keeping import save_rule

    books = reload()
    ours = None if sku is None else known_sku(books, sku)
    with books.write() as (connection, brand):
        save_rule(connection, brand, channel, ours, buffer, most)
        details = {"channel": channel, "sku": ours, "buffer": buffer, "most": most}
        record(connection, brand, "inventory.rule", ours or "every SKU", details)
    where = f"{ours or 'every SKU'} on {channel or 'every channel'}"
    said = [f"{buffer} held back"] if buffer else []
    said += [f"no more than {most} shown"] if most is not None else []
    say(f"{where}: {', '.join(said) or 'no rule any more'}.")


@app.command()
def rules(format: FormatOption = Format.table) -> None:
    """Buffers and caps. For a channel and SKU the one that names most of both counts."""
    from luxauto_pipelines.instance import reload
    from resources.store.stock_keeping import read_rules

    books = reload()
    with books.read() as (connection, brand):
        rows = read_rules(connection, brand).to_dicts()
    show_rows(
        rows, "Rules (– is every one)", format, books, none="There is no rule: channels are shown all that there is."
    )


@app.command()
def bundle(
    sku: SkuArgument,
    component: Annotated[list[str] | None, typer.Argument(metavar="[COMPONENT=UNITS]...", show_default=False)] = None,
) -> None:
    """Say what a set consists of: it is sold as long as each component is there. None: it is no set any more."""
    from assets.inventory.counting import our_sku
    from luxauto_pipelines.instance import reload
    from resources.store.audit import record
    from resources.store.stock_keeping import save_bundle

    books = reload()
    parts = {known_sku(books, name): units for name, units in map(_component, component or [])}
    with books.write() as (connection, brand):
        ours = our_sku(connection, brand, sku)
        save_bundle(connection, brand, ours, parts)
        record(connection, brand, "inventory.bundle", ours, {"components": parts})
    said = ", ".join(f"{units} × {part}" for part, units in parts.items())
    say(f"{ours} is a set of {said}." if parts else f"{ours} is no set any more.")


@app.command()
def supply(
    sku: SkuArgument,
    kind: Annotated[str, typer.Argument(help="made_to_order, pre_order or stock.", show_default=False)],
    limit: Annotated[int, typer.Option(min=0, help="Units that may be sold beyond the stock.")] = 0,
    first: Annotated[datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="First day.")] = None,
    last: Annotated[datetime | None, typer.Option("--until", formats=["%Y-%m-%d"], help="Last day.")] = None,
) -> None:
    """Say how a SKU is supplied: from stock alone, or sold beyond it, since it is made to order or on pre-order."""
    from assets.inventory.counting import our_sku
    from luxauto_pipelines.instance import reload
    from resources.store.audit import record
    from resources.store.stock_keeping import InvalidStockKeeping, save_supply

    if kind in ("made_to_order", "pre_order") and not limit:
        raise InvalidStockKeeping(f"{kind} needs --limit N: how many units may be sold beyond the stock")
    books = reload()
    days = [None if day is None else day.date() for day in (first, last)]
    with books.write() as (connection, brand):
        ours = our_sku(connection, brand, sku)
        save_supply(connection, brand, ours, kind, limit, *days)
        details = {"kind": kind, "limit": limit, "from": days[0] and str(days[0]), "until": days[1] and str(days[1])}
        record(connection, brand, "inventory.supply", ours, details)
    say(f"{ours}: {kind.replace('_', ' ')}" + (f", up to {limit} beyond the stock." if limit else "."))


@app.command()
def piece(
    sku: SkuArgument,
    serial: Annotated[str, typer.Argument(help="The piece's number.", show_default=False)],
    location: LocationOption = "main",
) -> None:
    """Number a piece that is in stock. A SKU with numbered pieces is never shown by two channels at once."""
    from assets.inventory.counting import our_sku
    from luxauto_pipelines.instance import reload
    from resources.store.audit import record
    from resources.store.stock_keeping import InvalidStockKeeping, add_piece, read_levels_by_location, read_pieces

    books = reload()
    place = location.strip().lower()
    with books.write() as (connection, brand):
        ours = our_sku(connection, brand, sku)
        known = [row for row in read_pieces(connection, brand, ours).to_dicts() if row["serial"] == serial]
        if known:
            raise InvalidStockKeeping(f"{ours} {serial} is known: {known[0]['state']} at {known[0]['location']}")
        add_piece(connection, brand, ours, serial, place)
        record(connection, brand, "inventory.piece", ours, {"serial": serial, "location": place})
        found = read_levels_by_location(connection, brand).to_dicts()
        pieces = read_pieces(connection, brand, ours).to_dicts()
    numbered = sum(row["state"] == "in_stock" and row["location"] == place for row in pieces)
    units = sum(row["on_hand"] for row in found if (row["sku"], row["location"]) == (ours, place))
    say(f"{ours} {serial} is in stock at {place}.")
    if numbered != units:
        note(f"{place} has {numbered} numbered pieces and {units} units: luxauto inventory set {ours} {numbered}")


@app.command()
def pieces(sku: SkuArgument, format: FormatOption = Format.table) -> None:
    """The numbered pieces of a SKU: where each is, and on which order it was sold."""
    from luxauto_pipelines.instance import reload
    from resources.store.stock_keeping import read_pieces

    books = reload()
    ours = known_sku(books, sku)
    with books.read() as (connection, brand):
        rows = read_pieces(connection, brand, ours).to_dicts()
    show_rows(rows, f"{ours}: numbered pieces", format, books, none=f"No piece of {ours} has a number.")


def _end(reference: str, end: Callable[..., None], action: str, said: str) -> None:
    from luxauto_pipelines.instance import reload
    from resources.store.audit import record

    books = reload()
    with books.write() as (connection, brand):
        end(connection, brand, reference, actor(), today(books))
        record(connection, brand, action, reference, {})
    say(f"The units promised to {reference!r} {said}.")


def _component(text: str) -> tuple[str, int]:
    name, _, units = text.partition("=")
    if not name.strip() or not units.strip().isdecimal():
        raise typer.BadParameter(f"{text!r} is not of the form COMPONENT=UNITS")
    return name, int(units)


def _ends(books: "BrandStore", until: str | None, hours: float | None) -> datetime | None:
    now = datetime.now(UTC)
    if until is not None and hours is not None:
        raise typer.BadParameter("give either --until or --hours")
    if until is None:
        return None if hours is None else now + timedelta(hours=hours)
    try:
        at = datetime.fromisoformat(until)
    except ValueError as error:
        raise typer.BadParameter(f"{until!r} is no time such as 2026-12-01T18:00", param_hint="--until") from error
    at = (at if at.tzinfo else at.replace(tzinfo=ZoneInfo(books.settings.current.timezone))).astimezone(UTC)
    if at <= now:
        raise typer.BadParameter(f"{until} is over", param_hint="--until")
    return at
