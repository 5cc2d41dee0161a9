"""`luxauto visuals batch …`: shots that are not urgent, ordered together at half the price.

Belongs here: arguments and tables. Does not belong here: which shots are for a batch, and what is done (`picture_batches`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from luxauto_pipelines.cli_stock import FormatOption, local_time, say
from luxauto_pipelines.console import Format, print_json, print_table, progress

if TYPE_CHECKING:
    from resources.images.batches import PictureBatches
    from resources.store.brand_store import BrandStore
    from resources.store.image_batches import BatchRow

app = typer.Typer(help="Many pictures that are not urgent, within a day, at half the price.", no_args_is_help=True)
_DAYS = 30


@app.command()
def submit(
    least: Annotated[int, typer.Option(min=1, max=200, help="Nothing is handed in for fewer pictures.")] = 1,
    again: Annotated[
        bool, typer.Option("--again", help="Those, too, that an earlier batch did not bring.", show_default=False)
    ] = False,
    format: FormatOption = Format.table,
) -> None:
    """Order the shots that wait as one batch, as far as the budgets reach: at most 200, newest products first.

    Exit code 2 where the vendor refused it.
    """
    from luxauto_pipelines.picture_batches import submit_batch

    books = _books()
    with _told_plainly():
        row, note = submit_batch(books, least=least, again=again)
    if format is Format.json:
        print_json({"batch": _shown(row) if row else None, "note": note})
    else:
        say(note[0].upper() + note[1:])
        if row is not None:
            if row.error:
                say(f"note: {row.error}")
            say(f"It may cost up to {row.reserved_micros / 1_000_000:.4f} USD. Next: luxauto visuals batch status")
    if row is not None and row.state == "failed":
        raise typer.Exit(2)


@app.command()
def status(format: FormatOption = Format.table) -> None:
    """Batches of the last thirty days. The vendor is asked about open ones, which costs nothing."""
    from datetime import UTC, datetime, timedelta

    from resources.images.protocol import ImageError

    books = _books()
    found = []
    with _opened(books) as batches:
        for row in batches.batches(datetime.now(UTC) - timedelta(days=_DAYS)):
            shown = _shown(row)
            if row.state == "submitted":
                try:
                    report = batches.standing(row)
                    shown |= {"done": report.done, "vendor": "waits" if report.state == "submitted" else "has ended"}
                except ImageError as error:
                    shown["error"] = str(error)
            found.append(shown)
    if format is Format.json:
        print_json(found)
        return
    columns = ["key", "state", "model", "pictures", "done", "made", "reserved", "cost", "created", "note"]
    rows = [
        [
            one["key"],
            one["state"],
            one["model"],
            one["pictures"],
            one["done"],
            one["made"],
            one["reserved_usd"],
            one["cost_usd"],
            local_time(one["created_at"], books),
            one["error"] or one["vendor"],
        ]
        for one in found
    ]
    print_table(f"{len(rows)} batches", columns, rows)
    if any(one["vendor"] == "has ended" for one in found):
        say("Next: luxauto visuals batch collect --make")


@app.command()
def collect(
    make: Annotated[
        bool, typer.Option("--make", help="Judge and keep what came at once, and hang it.", show_default=False)
    ] = False,
    format: FormatOption = Format.table,
) -> None:
    """Take in what batches have brought, and take up those that were not surely handed in.

    Without --make the sensor picture_batches has the pictures judged and kept.
    """
    from luxauto_pipelines.picture_batches import brought, told

    books = _books()
    with _opened(books) as batches:
        steps = batches.collect()
    if format is Format.json:
        print_json([{**_shown(step.batch), "change": step.change, "note": step.note} for step in steps])
    else:
        for step in steps:
            line = told(step)
            say(line[0].upper() + line[1:])
        if not steps:
            say("No batch is open.")
    with _opened(books) as batches:
        briefs = brought(books, batches)
    if not briefs:
        return
    if make:
        _make(books, briefs, quiet=format is Format.json)
    elif format is not Format.json:
        say(f"The pictures of {len(briefs)} briefs have come. Next: luxauto visuals batch collect --make")


def _make(books: "BrandStore", briefs: list[str], *, quiet: bool) -> None:
    from luxauto_pipelines.jobs import PICTURE_QUALITY, PICTURES
    from luxauto_pipelines.refresh_pictures import PicturePlan, make_pictures

    with progress() as bar:
        task = bar.add_task("judging", total=None)
        log = make_pictures(
            books,
            PicturePlan((PICTURES, PICTURE_QUALITY), tuple(briefs)),
            lambda step, done, total: bar.update(task, description=step, completed=done, total=total),
        )
    if not quiet:
        say(f"The pictures of {len(briefs)} briefs were judged and kept; {log} tells more.")


def _shown(row: "BatchRow") -> dict[str, Any]:
    made = sum(one.get("outcome") == "made" for one in row.results.values())
    return {
        "key": row.request_key,
        "state": row.state,
        "provider": row.provider,
        "model": row.model,
        "pictures": len(row.items),
        "done": None if row.is_open else len(row.items),
        "made": None if row.is_open else made,
        "vendor": None,
        "vendor_id": row.vendor_id,
        "reserved_usd": row.reserved_micros / 1_000_000,
        "cost_usd": None if row.cost_micros is None else row.cost_micros / 1_000_000,
        "campaign": row.campaign,
        "created_at": row.created_at,
        "ended_at": row.ended_at,
        "error": row.error,
    }


def _books() -> "BrandStore":
    from luxauto_pipelines.instance import prepare
    from resources.settings import load_settings

    return prepare(load_settings())


@contextmanager
def _opened(books: "BrandStore") -> "Iterator[PictureBatches]":
    from resources.images.batches import open_picture_batches

    with _told_plainly():
        batches = open_picture_batches(books)
        try:
            yield batches
        finally:
            batches.close()


@contextmanager
def _told_plainly() -> Iterator[None]:
    """Refusals as the command line shows them."""
    from assets.visuals.errors import VisualsError
    from resources.images.batches import BatchError
    from resources.images.budgets import BudgetReached
    from resources.images.policy import PolicyError
    from resources.images.protocol import Refused
    from resources.images.registry import RegistryError

    try:
        yield
    except (BatchError, BudgetReached, PolicyError, Refused, RegistryError) as error:
        raise VisualsError(str(error)) from error
