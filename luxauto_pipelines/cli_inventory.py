"""`luxauto inventory …`: what is in stock, what is promised, how it is shown, and bringing channels and stock together.

Belongs here: arguments, questions and tables. Does not belong here: how stock moves (`resources/store`), how channels are
brought to it (`assets/inventory`).
"""

from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from luxauto_pipelines.cli_stock import (
    FormatOption,
    LocationOption,
    SkuArgument,
    actor,
    known_sku,
    note,
    say,
    show_rows,
    today,
)
from luxauto_pipelines.console import Format, print_json, print_table, progress

if TYPE_CHECKING:
    from assets.inventory.channel_sync import Order, Report
    from assets.inventory.counting import Result
    from assets.inventory.stock_file import StockFile
    from resources.store.brand_store import BrandStore
    from resources.tables import SourceTable

app = typer.Typer(help="Stock, and how every channel shows it.", no_args_is_help=True)

FileArgument = Annotated[Path, typer.Argument(help="CSV, CSV.gz, Parquet or XLSX.", show_default=False)]
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
    result = _take(books, told, By(actor(), f"import of {file.name}", file.name), "inventory.import")
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
        say(f"{len(compared) - len(differ)} of {len(compared)} places are as expected.")
    sure = not dry_run and (yes or bool(differ and typer.confirm("Adjust the stock to what was counted?", err=True)))
    if not sure:
        code = _say_rejected(books, source, told, file, [], format, {"compared": compared, "written": False})
        raise typer.Exit(code)
    result = _take(books, told, By(actor(), f"count {file.name}", file.name), "inventory.count")
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
        moved = set_level(connection, brand, Counted(ours, place, quantity, actor(), reason), today(books))
        details = {"location": place, "quantity": quantity, "moved": moved, "reason": reason}
        record(connection, brand, "inventory.set", ours, details)
    if format is Format.json:
        print_json({"sku": ours, **details, "new": is_new})
        return
    if is_new:
        note(f"there was no SKU {ours} before; it has been made.")
    say(f"{ours} at {place}: {quantity} ({moved:+d}).")
    say(f"Next: luxauto inventory sync --sku {ours}")


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
    order = Order(tuple(channel or ()), _ours(books, sku), dry_run, prices, actor=actor())
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
        note(f"{name} could not be read: {error}")
    if counted:
        print_table("Items by class", counted[0], (row.values() for row in counted))
    if different:
        columns = ("channel", "sku", "key", "shown", "wanted", "state", "action", "reason")
        print_table("Differences", columns, ([row[name] for name in columns] for row in different))
    if not counted:
        note("nothing has been read of any channel yet: luxauto inventory sync, or drift --read")
    elif not different:
        say("Every channel shows what it should.")


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
    channels, skus, by = tuple(channel or ()), _ours(books, sku), f"repair by {actor()}"
    planned: list[Report] = []
    if dry_run or not yes:
        planned = _sync(books, Order(channels, skus, dry_run=True, repair=True, actor=by))
        if format is Format.table:
            _print_planned(planned)
            if any(report.planned for report in planned):
                note(
                    "orders that are not taken in yet may explain some of it; a repair takes them in before it writes."
                )
    failed = any(report.error for report in planned)
    if not yes and any(report.planned for report in planned) and not dry_run:
        yes = typer.confirm("Write this to the channels?", err=True)
    if dry_run or not yes:
        if format is Format.json:
            print_json({"planned": [_as_dict(report) for report in planned], "written": []})
        raise typer.Exit(1 if failed else 0)
    reports, written = _repair(books, Order(channels, skus, repair=True, actor=by))
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
    ours = known_sku(books, sku)
    with books.read() as (connection, brand):
        rows = read_history(connection, brand, ours, most).to_dicts()
    show_rows(rows, f"{ours}: movements", format, books, none=f"{ours} has never moved.")


@app.command()
def levels(
    sku: Annotated[list[str] | None, typer.Argument(help="All of them without it.", show_default=False)] = None,
    format: FormatOption = Format.table,
) -> None:
    """Units of each SKU at each location: on hand, reserved, available."""
    from luxauto_pipelines.instance import reload
    from resources.store.stock_keeping import read_bundles, read_levels_by_location

    books = reload()
    wanted = [known_sku(books, one) for one in sku or []]
    with books.read() as (connection, brand):
        found = read_levels_by_location(connection, brand).to_dicts()
        sets = read_bundles(connection, brand).to_dicts()
    rows = [
        {**row, "available": row["on_hand"] - row["reserved"]} for row in found if not wanted or row["sku"] in wanted
    ]
    for one in wanted:
        parts = [f"{part['units']} × {part['component']}" for part in sets if part["bundle"] == one]
        if parts:
            note(f"{one} is a set of {', '.join(parts)} and has no stock of its own.")
    nothing = "No stock of it was ever kept." if wanted else "Nothing is in stock: luxauto inventory import FILE"
    show_rows(rows, "Stock", format, books, none=nothing)


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
    counts = {"rows_in": source.height, **asdict(result)}
    refused = counts.pop("refused")
    if format is Format.table:
        print_table(file.name, counts, [counts.values()])
    code = _say_rejected(books, source, told, file, refused, format, {**counts, **(more or {})})
    if format is Format.table and result.changed:
        say("Next: luxauto inventory sync")
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
        say(f"{len(rows)} rows were put aside, with their reasons: {kept}")
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
        note("no channel is connected: luxauto channel add NAME --kind KIND --url URL")
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
            note(f"another process is writing to {name}; waiting for it to end.")


def _warn_of_unlisted(books: "BrandStore", order: "Order") -> None:
    """What a channel lists is known once it has been read as a whole; until then no SKU of it can be picked out."""
    from resources.store.connections import read_connections

    if order.skus is None:
        return
    with books.read() as (connection, brand):
        channels = read_connections(connection, brand, books.vault)
    for channel in channels:
        if channel.listed_at is None and (not order.channels or channel.name in order.channels):
            note(f"{channel.name} has never been read as a whole: luxauto inventory sync --channel {channel.name}")


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
            say(f"{report.channel} refused {text}")
        if report.postponed:
            say(f"{report.channel}: the rest of its orders comes with the next sync: {report.postponed}")
        if report.unmapped:
            said = ", ".join(sorted(set(report.unmapped))[:_MOST_SHOWN])
            say(f"{report.channel} sold what is no SKU of ours: {said}. See luxauto channel unmapped {report.channel}")


def _as_dict(report: "Report") -> dict[str, Any]:
    return {**vars(report), "outcomes": dict(report.outcomes), "unmapped": sorted(set(report.unmapped))}


def _print_planned(reports: "Sequence[Report]") -> None:
    columns = ("channel", "sku", "shown", "wanted", "reason")
    rows = [[row[name] for name in columns] for report in reports for row in report.planned]
    if rows:
        print_table("Would be written", columns, rows)
    for report in reports:
        if report.error:
            say(f"{report.channel} could not be read: {report.error}")
        elif not report.planned:
            say(f"{report.channel}: nothing would be written ({report.items} items were read).")


# What is said, and words of the command line


def _ours(books: "BrandStore", skus: Sequence[str] | None) -> tuple[str, ...] | None:
    return tuple(known_sku(books, sku) for sku in skus) if skus else None
