"""`luxauto channel …`: connect a channel and see that it works. A few lines each over `onboarding` and the store.

Belongs here: arguments, questions and tables. Does not belong here: what a vendor asks for (`onboarding`).
"""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer

from luxauto_pipelines.console import Format, err, out, print_json, print_table, progress

if TYPE_CHECKING:
    from luxauto_pipelines.onboarding import Checked
    from resources.channels.protocol import Connection
    from resources.store.brand_store import BrandStore
    from resources.store.connections import ConnectedChannel

app = typer.Typer(help="Channels that are reached by their own APIs: shops and marketplaces.", no_args_is_help=True)

FormatOption = Annotated[Format, typer.Option("--format", "-f", help="table for people, json for programs.")]
NameArgument = Annotated[
    str, typer.Argument(help="Your own name for the channel, such as shop-eu.", show_default=False)
]
_POLICIES = ("min_wins", "master_wins", "hold")
_ADD_HELP = (
    "Secrets are also read from LUXAUTO_CHANNEL_<NAME>_KEY, _SECRET, _REFRESH_TOKEN and so on, or as lines NAME=VALUE from "
    "standard input. docs/channels.md says where each vendor shows them. Exit code 1: something essential does not work, and "
    "nothing was saved."
)


@app.command(epilog=_ADD_HELP)
def add(
    name: NameArgument,
    kind: Annotated[str | None, typer.Option(help="woocommerce, shopify, amazon or ebay.")] = None,
    url: Annotated[str | None, typer.Option(help="Address of the shop, or of the marketplace's API.")] = None,
    key: Annotated[str | None, typer.Option(help="Consumer key, or client id.")] = None,
    secret: Annotated[str | None, typer.Option(help="Consumer secret, or client secret.")] = None,
    credential: Annotated[list[str] | None, typer.Option(help="Any credential, as NAME=VALUE.")] = None,
    webhook_secret: Annotated[str | None, typer.Option(help="What its webhooks are signed with.")] = None,
    secrets_from_stdin: Annotated[bool, typer.Option("--secrets-from-stdin", help="Lines NAME=VALUE.")] = False,
    option: Annotated[list[str] | None, typer.Option(help="NAME=VALUE, such as seller_id=…; NAME= forgets it.")] = None,
    ca_file: Annotated[Path | None, typer.Option(help="Certificate (PEM) that the server's is signed with.")] = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="Do not check the server's certificate.")] = False,
    location: Annotated[list[str] | None, typer.Option(help="It sells from here; again for the next choice.")] = None,
    priority: Annotated[int | None, typer.Option(help="Lower is served first when stock is scarce [100].")] = None,
    weight: Annotated[int | None, typer.Option(min=1, help="Share of scarce stock [1].")] = None,
    foreign_edits: Annotated[str | None, typer.Option(help="min_wins [default], master_wins or hold.")] = None,
    orders_since: Annotated[str | None, typer.Option(help="Orders since this day move stock [now].")] = None,
    test: Annotated[bool, typer.Option("--test/--no-test", help="Try it before it is saved.")] = True,
    format: FormatOption = Format.table,
) -> None:
    """Connect a channel, after a test that only reads. The same NAME again changes it; what is not given stays."""
    from luxauto_pipelines.instance import reload
    from luxauto_pipelines.onboarding import check_connection, works

    books = reload()
    given = _Given(
        *(name, kind, url, _named_secrets(key, secret, webhook_secret), credential or [], secrets_from_stdin),
        *(option or [], ca_file, insecure),
    )
    rules = _Rules(location, priority, weight, foreign_edits, orders_since)
    rules.check()
    known, reached = _described(books, given)
    checked = _checking(lambda: check_connection(books, reached)) if test else []
    if works(checked):
        _save(books, known, reached, rules)
    _say_added(known, reached, checked, format)
    if not works(checked):
        raise typer.Exit(1)


@app.command("test")
def test_command(
    name: Annotated[str | None, typer.Argument(help="All of them without it.", show_default=False)] = None,
    format: FormatOption = Format.table,
) -> None:
    """Try credentials and permissions by calls that only read. Exit code 1 when something does not work."""
    from luxauto_pipelines.instance import reload
    from luxauto_pipelines.onboarding import check_connection, works

    books = reload()
    found = {
        channel.name: _checking(lambda reached=channel.reached: check_connection(books, reached))
        for channel in _connected(books, name)
    }
    if format is Format.json:
        print_json({name: [one.as_dict() for one in checked] for name, checked in found.items()})
    else:
        for channel, checked in found.items():
            _print_checked(channel, checked)
        _say_if_none(found)
    raise typer.Exit(0 if all(works(checked) for checked in found.values()) else 1)


@app.command("list")
def list_command(format: FormatOption = Format.table) -> None:
    """Connected channels, how far each is read, and what last went wrong."""
    from luxauto_pipelines.instance import reload
    from resources.store.channel_overview import Listed, count_items
    from resources.store.limits import breakers

    books = reload()
    channels = _connected(books, None)
    with books.read() as (connection, brand):
        items = count_items(connection, brand)
        states = {row["name"]: row["state"] for row in breakers(connection, brand)}
    rows = [
        {
            "name": channel.name,
            "kind": channel.kind,
            "url": channel.reached.url,
            "items": items.get(channel.name, Listed()).items,
            "mapped": items.get(channel.name, Listed()).mapped,
            "listed_at": channel.listed_at,
            "orders_seen_until": channel.orders_seen_until,
            "breaker": states.get(channel.name, "closed"),
            "last_error": channel.last_error,
        }
        for channel in channels
    ]
    if format is Format.json:
        print_json(rows)
        return
    zone = ZoneInfo(books.settings.current.timezone)
    for row in rows:
        row |= {name: _when(row[name], zone) for name in ("listed_at", "orders_seen_until")}
    if rows:
        print_table(f"Channels (times of {zone})", rows[0], (row.values() for row in rows))
    _say_if_none(rows)


@app.command()
def remove(
    name: NameArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Forget how a channel is reached. Nothing is changed at the channel itself."""
    from luxauto_pipelines.instance import reload, tell_dagster
    from resources.store.audit import record
    from resources.store.connections import remove_connection
    from resources.store.locks import exclusively

    books = reload()
    (channel,) = _connected(books, name)
    if not yes:
        typer.confirm(
            f"Remove {name} ({channel.kind}, {channel.reached.url}), its credentials and mappings?", abort=True
        )
    with exclusively(books, f"channel:{name}"), books.write() as (connection, brand):
        remove_connection(connection, brand, name)
        record(connection, brand, "channel.remove", name, {"kind": channel.kind, "url": channel.reached.url})
    tell_dagster(books)
    _line(f"{name} is removed: its credentials, mappings, and what it showed last.")
    _line(
        "What stays: its orders, what they moved and booked, its buffers, the log of writes. The channel itself goes on"
    )
    _line("showing the numbers that it shows now, and goes on selling: set them to 0 there if it should not.")


@app.command("map")
def map_command(
    name: NameArgument,
    channel_sku: Annotated[str, typer.Argument(help="The SKU as the channel writes it.", show_default=False)],
    sku: Annotated[str | None, typer.Argument(help="Our SKU.", show_default=False)] = None,
    forget: Annotated[bool, typer.Option("--forget", help="Forget what was said of it.")] = False,
) -> None:
    """Say which SKU of ours something on a channel is. Orders that waited for it move stock with the next sync."""
    from assets.inventory.counting import our_sku
    from luxauto_pipelines.instance import reload
    from luxauto_pipelines.onboarding import InvalidConnection
    from resources.store.audit import record
    from resources.store.catalog_codes import known_skus
    from resources.store.channel_items import save_mapping

    if forget == (sku is not None):
        raise typer.BadParameter("give either our SKU or --forget")
    books = reload()
    (channel,) = _connected(books, name)
    with books.write() as (connection, brand):
        ours = None if sku is None else our_sku(connection, brand, sku)
        number = None if ours is None else known_skus(connection, brand, [ours]).get(ours)
        if ours is not None and number is None:
            raise InvalidConnection(f"there is no SKU {ours!r}: take it in with `luxauto inventory import` first")
        save_mapping(connection, brand, channel, channel_sku, number)
        record(connection, brand, "channel.map", name, {"channel_sku": channel_sku, "sku": ours})
    _line(f"{name}: {channel_sku} is {ours}." if ours else f"{name}: nothing is said of {channel_sku} any more.")
    _line(f"Next: luxauto inventory sync --channel {name}")


@app.command()
def unmapped(
    name: Annotated[str | None, typer.Argument(help="All channels without it.", show_default=False)] = None,
    format: FormatOption = Format.table,
) -> None:
    """What no SKU of ours is known for, as last read: items, lines of orders; and SKUs that a channel has several times."""
    from luxauto_pipelines.instance import reload
    from resources.store.channel_overview import read_collisions, read_unmapped

    books = reload()
    names = [channel.name for channel in _connected(books, name)]
    with books.read() as (connection, brand):
        nobody = [row for row in read_unmapped(connection, brand).to_dicts() if row["channel"] in names]
        twice = [row for row in read_collisions(connection, brand).to_dicts() if row["channel"] in names]
    if format is Format.json:
        print_json({"unmapped": nobody, "collisions": twice})
        return
    if nobody:
        print_table("Without a SKU of ours", nobody[0], (row.values() for row in nobody))
        _line("Remedy: luxauto channel map NAME CHANNEL_SKU SKU; where there is no channel_sku, write our SKU there.")
    if twice:
        print_table("Several items of one SKU: nothing is written to them", twice[0], (row.values() for row in twice))
        _line("Remedy: give each its own SKU at the channel, or delete the one that is too many.")
    if not nobody and not twice:
        _line("Everything that was read is a SKU of ours, and no SKU is there twice.")


@dataclass(frozen=True)
class _Given:
    """How the channel is reached, as far as the command says it."""

    name: str
    kind: str | None
    url: str | None
    secrets: Mapping[str, str]
    credentials: Sequence[str]
    from_stdin: bool
    options: Sequence[str]
    ca_file: Path | None
    insecure: bool


@dataclass(frozen=True)
class _Rules:
    """By which rules it is served; None is as before."""

    locations: Sequence[str] | None
    priority: int | None
    weight: int | None
    foreign_edits: str | None
    orders_since: str | None

    def check(self) -> None:
        """Raises typer.BadParameter."""
        if self.foreign_edits not in (None, *_POLICIES):
            raise typer.BadParameter(
                f"{self.foreign_edits!r} is not one of {', '.join(_POLICIES)}", param_hint="--foreign-edits"
            )
        _instant(self.orders_since, ZoneInfo("UTC"))


def _described(books: "BrandStore", given: _Given) -> "tuple[ConnectedChannel | None, Connection]":
    """The connection as it is kept, if it is, and as it is to be. Raises InvalidConnection."""
    from luxauto_pipelines import onboarding
    from resources.channels.protocol import Connection
    from resources.store.connections import read_connections

    onboarding.check_name(given.name)
    with books.read() as (connection, brand):
        channels = {channel.name: channel for channel in read_connections(connection, brand, books.vault)}
    known = channels.get(given.name)
    kind, url = _kind_and_url(known, given)
    secrets = {} if known is None else dict(known.reached.secrets)
    secrets |= onboarding.credentials_of_environment(kind, given.name, os.environ)
    if given.from_stdin:
        lines = onboarding.pairs_of(onboarding.lines_of(sys.stdin.read()), "line")
        secrets |= onboarding.checked_credentials(kind, lines)
    credentials = {**given.secrets, **onboarding.pairs_of(given.credentials, "--credential")}
    secrets |= onboarding.checked_credentials(kind, credentials)
    if missing := onboarding.missing_credentials(kind, given.name, secrets):
        raise onboarding.InvalidConnection(f"{given.name} lacks credentials.\n  " + "\n  ".join(missing))
    options = {} if known is None else dict(known.reached.options)
    return known, Connection(given.name, kind, url, _options(kind, options, given), secrets)


def _kind_and_url(known: "ConnectedChannel | None", given: _Given) -> tuple[str, str]:
    from luxauto_pipelines.onboarding import InvalidConnection, checked_url
    from resources.channels.connectors import KINDS

    kind = given.kind or (known.kind if known else None)
    url = given.url or (known.reached.url if known else None)
    if kind not in KINDS:
        raise InvalidConnection(f"--kind is one of {', '.join(KINDS)}" + (f", not {kind!r}" if kind else ""))
    if known is not None and kind != known.kind:
        raise InvalidConnection(
            f"{given.name} is a channel of the kind {known.kind}: remove it first, or take another name"
        )
    if url is None:
        raise InvalidConnection(f"--url is missing: the address that {given.name} is reached by")
    return kind, checked_url(kind, url)


def _options(kind: str, kept: dict[str, Any], given: _Given) -> dict[str, Any]:
    """Options as they are to be: those that are kept, and over them what is given."""
    from luxauto_pipelines.onboarding import InvalidConnection, checked_options, pairs_of

    if given.insecure and given.ca_file:
        raise InvalidConnection("give either --ca-file or --insecure")
    pairs = pairs_of(given.options, "--option")
    named = checked_options(kind, pairs)
    options = {name: value for name, value in {**kept, **named}.items() if value != ""}
    if given.insecure or given.ca_file:
        options.pop("ca_file", None)
        options.pop("insecure", None)
        # Whoever syncs later may stand in another folder.
        options |= {"insecure": True} if given.insecure else {"ca_file": str(_readable(given.ca_file))}
    return options


def _readable(file: Path | None) -> Path:
    from luxauto_pipelines.onboarding import InvalidConnection

    assert file is not None
    if not file.is_file():
        raise InvalidConnection(f"{file} is not a file. Check the path after --ca-file.")
    return file.resolve()


def _named_secrets(key: str | None, secret: str | None, webhook_secret: str | None) -> dict[str, str]:
    named = {"key": key, "secret": secret, "webhook_secret": webhook_secret}
    return {name: value for name, value in named.items() if value}


def _save(books: "BrandStore", known: "ConnectedChannel | None", reached: "Connection", rules: _Rules) -> None:
    from luxauto_pipelines.instance import tell_dagster
    from resources.store.audit import record
    from resources.store.connections import save_connection

    zone = ZoneInfo(books.settings.current.timezone)
    since = _instant(rules.orders_since, zone)
    before = (known.locations, known.priority, known.weight, known.foreign_edits) if known else ((), 100, 1, "min_wins")
    locations = before[0] if rules.locations is None else tuple(code.lower() for code in rules.locations if code)
    serving = {
        "locations": locations,
        "priority": before[1] if rules.priority is None else rules.priority,
        "weight": before[2] if rules.weight is None else rules.weight,
        "foreign_edits": rules.foreign_edits or before[3],
    }
    with books.write() as (connection, brand):
        save_connection(connection, brand, books.vault, reached, **serving, orders_since=since)
        details = {
            **{"kind": reached.kind, "url": reached.url, "options": dict(reached.options)},
            **{"credentials": sorted(reached.secrets), **serving, "locations": list(locations)},
        }
        record(connection, brand, "channel.change" if known else "channel.add", reached.name, details)
    tell_dagster(books)
    _warn_of_places(books, locations)


def _warn_of_places(books: "BrandStore", locations: Sequence[str]) -> None:
    from resources.store.stock_keeping import read_levels_by_location

    with books.read() as (connection, brand):
        kept = set(read_levels_by_location(connection, brand)["location"])
    for code in locations:
        if code not in kept:
            _note(
                f"no stock has ever been kept at {code!r}; there is some at {', '.join(sorted(kept)) or 'no location'}."
            )


def _say_added(
    known: "ConnectedChannel | None", reached: "Connection", checked: "Sequence[Checked]", format: Format
) -> None:
    from luxauto_pipelines.onboarding import is_readable_on_its_way, works

    saved = works(checked)
    if format is Format.json:
        told = {"name": reached.name, "kind": reached.kind, "url": reached.url, "saved": saved, "new": known is None}
        print_json({**told, "findings": [one.as_dict() for one in checked]})
        return
    if checked:
        _print_checked(reached.name, checked)
    if not saved:
        _note("Nothing was saved. Mend what is a fault above and run the same command again.")
        return
    if is_readable_on_its_way(reached.url):
        _note("the address is http, not https: what is sent can be read on its way.")
    _line(f"{reached.name} is {'connected' if known is None else 'changed; what was not given is as before'}.")
    _line(f"Next: luxauto inventory sync --channel {reached.name} --dry-run")


def _connected(books: "BrandStore", name: str | None) -> "list[ConnectedChannel]":
    """The one of this name, or all. Raises UnknownConnection."""
    from resources.store.connections import read_connection, read_connections

    with books.read() as (connection, brand):
        if name is not None:
            return [read_connection(connection, brand, books.vault, name)]
        return read_connections(connection, brand, books.vault)


def _checking(check: Any) -> "list[Checked]":
    from luxauto_pipelines.onboarding import tell_retries

    with progress() as bar:
        task = bar.add_task("asking the channel", total=None)
        tell_retries(lambda text: bar.update(task, description=text))
        return check()


def _print_checked(name: str, checked: "Sequence[Checked]") -> None:
    print_table(name, ["what", "state", "message", "remedy"], (one.as_dict().values() for one in checked))


def _instant(text: str | None, zone: ZoneInfo) -> datetime | None:
    """A day, or an instant in ISO 8601; of the brand's zone where it names none."""
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no day such as 2026-11-01", param_hint="--orders-since") from error
    at = at if at.tzinfo else at.replace(tzinfo=zone)
    if at > datetime.now(UTC):
        raise typer.BadParameter(f"{text} has not come yet", param_hint="--orders-since")
    return at.astimezone(UTC)


def _when(at: datetime | None, zone: ZoneInfo) -> str | None:
    return None if at is None else f"{at.astimezone(zone):%Y-%m-%d %H:%M}"


def _say_if_none(found: Any) -> None:
    if not found:
        _note("no channel is connected: luxauto channel add NAME --kind KIND --url URL")


def _line(text: str) -> None:
    out.print(text, markup=False, highlight=False, soft_wrap=True)


def _note(text: str) -> None:
    err.print(f"note: {text}" if text[0].islower() else text, markup=False, highlight=False, soft_wrap=True)
