"""`luxauto inventory …`: what is in stock, what is promised, how it is shown, and bringing channels and stock together.

Belongs here: arguments, questions and tables. Does not belong here: how stock moves (`resources/store`), how channels are
brought to it (`assets/inventory`).
"""

import getpass
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer

from luxauto_pipelines.console import Format, err, out, print_json, print_table, progress

if TYPE_CHECKING:
    from assets.inventory.channel_sync import Order, Report
    from assets.inventory.counting import Result
    from assets.inventory.stock_file import StockFile
    from resources.store.brand_store import BrandStore
    from resources.tables import SourceTable

app = typer.Typer(help="Stock, and how every channel shows it.", no_args_is_help=True)

FormatOption = Annotated[Format, typer.Option("--format", "-f", help="table for people, json for programs.")]
FileArgument = Annotated[Path, typer.Argument(help="CSV, CSV.gz, Parquet or XLSX.", show_default=False)]
SkuArgument = Annotated[str, typer.Argument(help="Our SKU.", show_default=False)]
ReferenceArgument = Annotated[str, typer.Argument(help="As it was given to `reserve --for`.", show_default=False)]
LocationOption = Annotated[str, typer.Option(help="Code of the place where it lies.")]
ChannelsOption = Annotated[list[str] | None, typer.Option("--channel", help="Only this one; again for more.")]
SkusOption = Annotated[list[str] | None, typer.Option("--sku", help="Only this one; again for more.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only say what would be written.")]
_FILE_CODES = "Exit code 0: all rows taken; 2: some rows were put aside; 1: nothing could be read."
_SYNC_CODES = "Exit code 0: every channel was worked on; 1: one of them failed."
_MOST_SHOWN = 20


@app.command("import", epilog=_FILE_CODES)
def import_command(
    file: FileArgument,
    location: Annotated[str, typer.Option(help="Where rows lie that name no location.")] = "main",
    format: FormatOption = Format.table,
) -> None:
    """Bring stock to what a file says: sku, quantity, location (optional), serial (optional; of numbered pieces).

    Every difference becomes a movement. The same file again moves nothing. Rows that cannot be taken are put aside.
    """
    from assets.inventory.counting import By
    from luxauto_pipelines.instance import reload

    books = reload()
    source, told = _read_stock(books, file, location)
    result = _take(books, told, By(_actor(), f"import of {file.name}", file.name), "inventory.import")
    raise typer.Exit(_say_taken(books, file, source, told, result, format))


@app.command(epilog=_FILE_CODES)
def count(
    file: FileArgument,
    location: Annotated[str, typer.Option(help="Where rows were counted that name no location.")] = "main",
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    format: FormatOption = Format.table,
) -> None:
    """A cycle count: show what was expected and counted (columns sku, counted, location), and adjust what differs."""
    from assets.inventory.counting import By, compare
    from luxauto_pipelines.instance import reload
    from resources.store.stock_keeping import read_levels_by_location

    books = reload()
    source, told = _read_stock(books, file, location)
    with books.read() as (connection, brand):
        compared = compare(read_levels_by_location(connection, brand), told.levels).to_dicts()
    differ = [row for row in compared if row["variance"] or row["expected"] is None]
    if format is Format.table:
        if differ:
            print_table("Counted otherwise than expected", differ[0], (row.values() for row in differ))
        _line(f"{len(compared) - len(differ)} of {len(compared)} places are as expected.")
    sure = not dry_run and (yes or bool(differ and typer.confirm("Adjust the stock to what was counted?", err=True)))
    if not sure:
        code = _say_rejected(books, source, told, file, [], format, {"compared": compared, "written": False})
        raise typer.Exit(code)
    result = _take(books, told, By(_actor(), f"count {file.name}", file.name), "inventory.count")
    raise typer.Exit(_say_taken(books, file, source, told, result, format, {"compared": compared, "written": True}))


@app.command("set")
def set_command(
    sku: SkuArgument,
    quantity: Annotated[int, typer.Argument(help="Units that are there.", show_default=False)],
    location: LocationOption = "main",
    reason: Annotated[str, typer.Option(help="Why, for whoever reads the history.")] = "set by hand",
    format: FormatOption = Format.table,
) -> None:
    """Bring the stock of one SKU at one location to a number, by a movement."""
    from assets.inventory.counting import our_sku
    from luxauto_pipelines.instance import reload
    from resources.store.audit import record
    from resources.store.catalog_codes import known_skus
    from resources.store.stock_keeping import Counted, set_level

    books = reload()
    place = location.strip().lower()
    with books.write() as (connection, brand):
        ours = our_sku(connection, brand, sku)
        is_new = ours not in known_skus(connection, brand, [ours])
        moved = set_level(connection, brand, Counted(ours, place, quantity, _actor(), reason), _today(books))
        details = {"location": place, "quantity": quantity, "moved": moved, "reason": reason}
        record(connection, brand, "inventory.set", ours, details)
    if format is Format.json:
        print_json({"sku": ours, **details, "new": is_new})
        return
    if is_new:
        _note(f"there was no SKU {ours} before; it has been made.")
    _line(f"{ours} at {place}: {quantity} ({moved:+d}).")
    _line(f"Next: luxauto inventory sync --sku {ours}")


@app.command(epilog=_SYNC_CODES)
def sync(
    channel: ChannelsOption = None,
    sku: SkusOption = None,
    prices: Annotated[bool, typer.Option("--prices", help="Write the catalogue's retail prices, too.")] = False,
    dry_run: DryRunOption = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait where another process is writing.")] = True,
    format: FormatOption = Format.table,
) -> None:
    """Take orders in from the channels, and bring each channel to what it should show."""
    from assets.inventory.channel_sync import Order
    from luxauto_pipelines.instance import reload

    books = reload()
    order = Order(tuple(channel or ()), _ours(books, sku), dry_run, prices, actor=_actor())
    _look_for_others(books, order.channels, wait)
    reports = _sync(books, order)
    if format is Format.json:
        print_json([_as_dict(report) for report in reports])
    elif dry_run:
        _print_planned(reports)
    else:
        _print_reports(reports)
    raise typer.Exit(1 if any(report.error for report in reports) else 0)


@app.command()
def drift(
    channel: ChannelsOption = None,
    read: Annotated[bool, typer.Option("--read", help="Read the channels now; else what was last read.")] = False,
    format: FormatOption = Format.table,
) -> None:
    """Compare what each channel shows with what it should show, and say of each difference where it comes from.

    docs/channels.md says what each class means and what to do about it. Nothing is written.
    """
    import polars as pl

    from assets.inventory import publication
    from assets.inventory.stock_room import compare_channels
    from luxauto_pipelines.instance import reload

    books = reload()
    names = _names(books, channel)
    errors = _read_channels(books, names) if read else {}
    with books.read() as (connection, brand):
        compared = compare_channels(connection, brand, books.settings).filter(pl.col("channel").is_in(names))
    counted = compared.group_by("channel", "state").len("items").sort("channel", "state").to_dicts()
    different = publication.drift(compared).to_dicts()
    if format is Format.json:
        print_json({"counts": counted, "differences": different, "errors": errors})
        return
    for name, error in errors.items():
        _note(f"{name} could not be read: {error}")
    if counted:
        print_table("Items by class", counted[0], (row.values() for row in counted))
    if different:
        columns = ("channel", "sku", "key", "shown", "wanted", "state", "action", "reason")
        print_table("Differences", columns, ([row[name] for name in columns] for row in different))
    if not counted:
        _note("nothing has been read of any channel yet: luxauto inventory sync, or drift --read")
    elif not different:
        _line("Every channel shows what it should.")


@app.command(epilog=_SYNC_CODES)
def repair(
    channel: ChannelsOption = None,
    sku: SkusOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    format: FormatOption = Format.table,
) -> None:
    """Write what each channel should show, also over what somebody else edited there. Audited with SKUs and values."""
    from assets.inventory.channel_sync import Order
    from luxauto_pipelines.instance import reload

    books = reload()
    channels, skus, actor = tuple(channel or ()), _ours(books, sku), f"repair by {_actor()}"
    planned: list[Report] = []
    if dry_run or not yes:
        planned = _sync(books, Order(channels, skus, dry_run=True, repair=True, actor=actor))
        if format is Format.table:
            _print_planned(planned)
            if any(report.planned for report in planned):
                _note(
                    "orders that are not taken in yet may explain some of it; a repair takes them in before it writes."
                )
    failed = any(report.error for report in planned)
    if not yes and any(report.planned for report in planned) and not dry_run:
        yes = typer.confirm("Write this to the channels?", err=True)
    if dry_run or not yes:
        if format is Format.json:
            print_json({"planned": [_as_dict(report) for report in planned], "written": []})
        raise typer.Exit(1 if failed else 0)
    reports, written = _repair(books, Order(channels, skus, repair=True, actor=actor))
    if format is Format.json:
        print_json({"planned": [_as_dict(report) for report in planned], "written": written})
    else:
        _print_reports(reports)
        if written:
            print_table("Written", written[0], (row.values() for row in written))
    raise typer.Exit(1 if any(report.error for report in reports) else 0)


@app.command()
def history(
    sku: SkuArgument,
    most: Annotated[int, typer.Option(min=1, help="No more than so many, the newest.")] = 50,
    format: FormatOption = Format.table,
) -> None:
    """Every movement of a SKU, newest first: who, why, by which order or file, and what was left after it."""
    from luxauto_pipelines.instance import reload
    from resources.store.movements import read_history

    books = reload()
    ours = _known(books, sku)
    with books.read() as (connection, brand):
        rows = read_history(connection, brand, ours, most).to_dicts()
    _show(rows, f"{ours}: movements", format, books, none=f"{ours} has never moved.")


@app.command()
def levels(
    sku: Annotated[list[str] | None, typer.Argument(help="All of them without it.", show_default=False)] = None,
    format: FormatOption = Format.table,
) -> None:
    """Units of each SKU at each location: on hand, reserved, available."""
    from luxauto_pipelines.instance import reload
    from resources.store.stock_keeping import read_bundles, read_levels_by_location

    books = reload()
    wanted = [_known(books, one) for one in sku or []]
    with books.read() as (connection, brand):
        found = read_levels_by_location(connection, brand).to_dicts()
        sets = read_bundles(connection, brand).to_dicts()
    rows = [
        {**row, "available": row["on_hand"] - row["reserved"]} for row in found if not wanted or row["sku"] in wanted
    ]
    for one in wanted:
        parts = [f"{part['units']} × {part['component']}" for part in sets if part["bundle"] == one]
        if parts:
            _note(f"{one} is a set of {', '.join(parts)} and has no stock of its own.")
    nothing = "No stock of it was ever kept." if wanted else "Nothing is in stock: luxauto inventory import FILE"
    _show(rows, "Stock", format, books, none=nothing)


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
    ours = _known(books, sku)
    with books.write() as (connection, brand):
        number = known_skus(connection, brand, [ours])[ours]
        promise = Promise(reference, number, ours, quantity, ends, _actor())
        promise_units(connection, brand, promise, _today(books))
        details = {"reference": reference, "quantity": quantity, "until": ends and ends.isoformat()}
        record(connection, brand, "inventory.reserve", ours, details)
    held = f"until {_when(ends, books)}" if ends else "until it is fetched or released"
    _line(f"{quantity} of {ours} are promised to {reference!r}, {held}.")
    _line(f"Next: luxauto inventory sync --sku {ours}")


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
    _show(rows, "Promises", format, books, none="Nothing is promised to anybody.")


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
    ours = None if sku is None else _known(books, sku)
    with books.write() as (connection, brand):
        save_rule(connection, brand, channel, ours, buffer, most)
        details = {"channel": channel, "sku": ours, "buffer": buffer, "most": most}
        record(connection, brand, "inventory.rule", ours or "every SKU", details)
    where = f"{ours or 'every SKU'} on {channel or 'every channel'}"
    said = [f"{buffer} held back"] if buffer else []
    said += [f"no more than {most} shown"] if most is not None else []
    _line(f"{where}: {', '.join(said) or 'no rule any more'}.")


@app.command()
def rules(format: FormatOption = Format.table) -> None:
    """Buffers and caps. For a channel and SKU the one that names most of both counts."""
    from luxauto_pipelines.instance import reload
    from resources.store.stock_keeping import read_rules

    books = reload()
    with books.read() as (connection, brand):
        rows = read_rules(connection, brand).to_dicts()
    _show(rows, "Rules (– is every one)", format, books, none="There is no rule: channels are shown all that there is.")


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
    parts = {_known(books, name): units for name, units in map(_component, component or [])}
    with books.write() as (connection, brand):
        ours = our_sku(connection, brand, sku)
        save_bundle(connection, brand, ours, parts)
        record(connection, brand, "inventory.bundle", ours, {"components": parts})
    said = ", ".join(f"{units} × {part}" for part, units in parts.items())
    _line(f"{ours} is a set of {said}." if parts else f"{ours} is no set any more.")


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
    _line(f"{ours}: {kind.replace('_', ' ')}" + (f", up to {limit} beyond the stock." if limit else "."))


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
    _line(f"{ours} {serial} is in stock at {place}.")
    if numbered != units:
        _note(f"{place} has {numbered} numbered pieces and {units} units: luxauto inventory set {ours} {numbered}")


@app.command()
def pieces(sku: SkuArgument, format: FormatOption = Format.table) -> None:
    """The numbered pieces of a SKU: where each is, and on which order it was sold."""
    from luxauto_pipelines.instance import reload
    from resources.store.stock_keeping import read_pieces

    books = reload()
    ours = _known(books, sku)
    with books.read() as (connection, brand):
        rows = read_pieces(connection, brand, ours).to_dicts()
    _show(rows, f"{ours}: numbered pieces", format, books, none=f"No piece of {ours} has a number.")


# Files


def _read_stock(books: "BrandStore", file: Path, location: str) -> "tuple[SourceTable, StockFile]":
    from assets.inventory.stock_file import read_stock
    from resources.store.catalog_codes import not_in_capitals
    from resources.tables import read_table

    source = read_table(file)
    with books.read() as (connection, brand):
        as_written = not_in_capitals(connection, brand)
    return source, read_stock(source.rows, location.strip().lower(), as_written)


def _take(books: "BrandStore", told: "StockFile", by: Any, action: str) -> "Result":
    from assets.inventory.counting import take_count
    from resources.store.audit import record

    with progress() as bar:
        task = bar.add_task("writing", total=None)
        result = take_count(
            books, told.levels, told.pieces, by, lambda done, total: bar.update(task, completed=done, total=total)
        )
    details = {name: value for name, value in asdict(result).items() if name != "refused"}
    with books.write() as (connection, brand):
        record(connection, brand, action, str(by.reference), {**details, "refused": len(result.refused)})
    return result


def _say_taken(
    books: "BrandStore",
    file: Path,
    source: "SourceTable",
    told: "StockFile",
    result: "Result",
    format: Format,
    more: dict[str, Any] | None = None,
) -> int:
    counts = {"rows_in": source.rows.height + source.ragged.height, **asdict(result)}
    refused = counts.pop("refused")
    if format is Format.table:
        print_table(file.name, counts, [counts.values()])
    code = _say_rejected(books, source, told, file, refused, format, {**counts, **(more or {})})
    if format is Format.table and result.changed:
        _line("Next: luxauto inventory sync")
    return code


def _say_rejected(
    books: "BrandStore",
    source: "SourceTable",
    told: "StockFile",
    file: Path,
    refused: Sequence[dict[str, Any]],
    format: Format,
    more: dict[str, Any],
) -> int:
    """What was put aside, in a file and on the screen. The exit code."""
    import polars as pl

    from assets.ingestion.lines import REJECTED
    from luxauto_pipelines.ingest import put_aside

    later = [{**row, "row": None} for row in refused]
    rejected = pl.concat([told.rejected, pl.DataFrame(later, schema=REJECTED)])
    rejected, kept = put_aside(books.settings, source, rejected, file)
    rows = rejected.select("row_number", "field", "reason").to_dicts()
    if format is Format.json:
        print_json({"file": str(file), **more, "rejected": rows, "quarantine_file": kept})
    elif rows:
        print_table("Put aside", rows[0], (row.values() for row in rows[:_MOST_SHOWN]))
        _line(f"{len(rows)} rows were put aside, with their reasons: {kept}")
    return 2 if rows else 0


# Channels


def _sync(books: "BrandStore", order: "Order") -> "list[Report]":
    from assets.inventory.channel_sync import sync as bring_together
    from luxauto_pipelines.onboarding import tell_retries

    _warn_of_unlisted(books, order)
    with progress() as bar:
        task = bar.add_task("starting", total=None)

        def tell(text: str) -> None:
            bar.update(task, description=text)

        tell_retries(tell)
        reports = bring_together(books, order, tell)
    if not reports:
        _note("no channel is connected: luxauto channel add NAME --kind KIND --url URL")
    return reports


def _repair(books: "BrandStore", order: "Order") -> "tuple[list[Report], list[dict[str, Any]]]":
    """Do it, and note in the audit log what was written where: also when it ends half-way."""
    from resources.store.audit import record
    from resources.store.channel_overview import last_write, read_writes

    with books.read() as (connection, brand):
        before = last_write(connection, brand)
    try:
        reports = _sync(books, order)
    finally:
        with books.write() as (connection, brand):
            written = read_writes(connection, brand, before, order.actor).to_dicts()
            for name in dict.fromkeys(row["channel"] for row in written):
                its = [{k: v for k, v in row.items() if k != "channel"} for row in written if row["channel"] == name]
                record(connection, brand, "inventory.repair", name, {"writes": its})
    return reports, written


def _look_for_others(books: "BrandStore", channels: Iterable[str], wait: bool) -> None:
    """Say that another process is writing to a channel, or raise Busy where nobody wants to wait."""
    from resources.store.locks import Busy, exclusively

    for name in _names(books, channels):
        try:
            with exclusively(books, f"channel:{name}"):
                pass
        except Busy:
            if not wait:
                raise
            _note(f"another process is writing to {name}; waiting for it to end.")


def _warn_of_unlisted(books: "BrandStore", order: "Order") -> None:
    """What a channel lists is known once it has been read as a whole; until then no SKU of it can be picked out."""
    from resources.store.connections import read_connections

    if order.skus is None:
        return
    with books.read() as (connection, brand):
        channels = read_connections(connection, brand, books.vault)
    for channel in channels:
        if channel.listed_at is None and (not order.channels or channel.name in order.channels):
            _note(f"{channel.name} has never been read as a whole: luxauto inventory sync --channel {channel.name}")


def _names(books: "BrandStore", channels: Iterable[str] | None) -> list[str]:
    """These connected channels, or all. Raises UnknownConnection."""
    from resources.store.connections import read_connection, read_connections

    with books.read() as (connection, brand):
        named = [read_connection(connection, brand, books.vault, name).name for name in channels or ()]
        return named or [channel.name for channel in read_connections(connection, brand, books.vault)]


def _read_channels(books: "BrandStore", names: Iterable[str]) -> dict[str, str]:
    """Read what these show now. Returns what went wrong, by channel."""
    from assets.inventory.channel_sync import Report, open_channel, read_channel
    from luxauto_pipelines.onboarding import tell_retries
    from resources.channels.protocol import ChannelError
    from resources.store.connections import read_connection
    from resources.store.locks import exclusively

    errors: dict[str, str] = {}
    with progress() as bar:
        task = bar.add_task("reading", total=None)
        tell_retries(lambda text: bar.update(task, description=text))
        for name in names:
            bar.update(task, description=f"{name}: reading")
            with books.read() as (connection, brand):
                channel = read_connection(connection, brand, books.vault, name)
            try:
                with (
                    closing(open_channel(books, channel)) as connector,
                    exclusively(books, f"channel:{name}", wait=True),
                ):
                    read_channel(books, channel, connector, Report(name))
            except ChannelError as error:
                errors[name] = str(error)
    return errors


def _print_reports(reports: "Sequence[Report]") -> None:
    columns = ["channel", "orders", "units_moved", "items", "written", "refused", "unknown", "error"]
    rows = [
        [
            *(report.channel, report.orders, report.units_moved, report.items),
            report.outcomes["confirmed"] + report.outcomes["accepted"],
            report.outcomes["refused"] + report.outcomes["ignored"],
            report.outcomes["unknown"] + report.outcomes["stale"],
            report.error or "",
        ]
        for report in reports
    ]
    if rows:
        print_table("Channels", columns, rows)
    for report in reports:
        for text in report.refusals[:_MOST_SHOWN]:
            _line(f"{report.channel} refused {text}")
        if report.postponed:
            _line(f"{report.channel}: the rest of its orders comes with the next sync: {report.postponed}")
        if report.unmapped:
            said = ", ".join(sorted(set(report.unmapped))[:_MOST_SHOWN])
            _line(
                f"{report.channel} sold what is no SKU of ours: {said}. See luxauto channel unmapped {report.channel}"
            )


def _as_dict(report: "Report") -> dict[str, Any]:
    return {**vars(report), "outcomes": dict(report.outcomes), "unmapped": sorted(set(report.unmapped))}


def _print_planned(reports: "Sequence[Report]") -> None:
    columns = ("channel", "sku", "shown", "wanted", "reason")
    rows = [[row[name] for name in columns] for report in reports for row in report.planned]
    if rows:
        print_table("Would be written", columns, rows)
    for report in reports:
        if report.error:
            _line(f"{report.channel} could not be read: {report.error}")
        elif not report.planned:
            _line(f"{report.channel}: nothing would be written ({report.items} items were read).")


# What is said, and words of the command line


def _show(rows: Sequence[dict[str, Any]], title: str, format: Format, books: "BrandStore", *, none: str) -> None:
    if format is Format.json:
        print_json(rows)
    elif rows:
        shown = ([_when(v, books) if isinstance(v, datetime) else v for v in row.values()] for row in rows)
        print_table(title, rows[0], shown)
    else:
        _line(none)


def _end(reference: str, end: Callable[..., None], action: str, said: str) -> None:
    from luxauto_pipelines.instance import reload
    from resources.store.audit import record

    books = reload()
    with books.write() as (connection, brand):
        end(connection, brand, reference, _actor(), _today(books))
        record(connection, brand, action, reference, {})
    _line(f"The units promised to {reference!r} {said}.")


def _known(books: "BrandStore", sku: str) -> str:
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


def _ours(books: "BrandStore", skus: Sequence[str] | None) -> tuple[str, ...] | None:
    return tuple(_known(books, sku) for sku in skus) if skus else None


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


def _today(books: "BrandStore") -> date:
    from assets.ingestion.lines import today_in

    return today_in(books.settings.current.timezone, datetime.now(UTC))


def _when(at: datetime | None, books: "BrandStore") -> str | None:
    zone = ZoneInfo(books.settings.current.timezone)
    return None if at is None else f"{at.astimezone(zone):%Y-%m-%d %H:%M:%S}"


def _actor() -> str:
    """The operating system's user."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "operator"


def _line(text: str) -> None:
    out.print(text, markup=False, highlight=False, soft_wrap=True)


def _note(text: str) -> None:
    err.print(f"note: {text}", markup=False, highlight=False, soft_wrap=True)
