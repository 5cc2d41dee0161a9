"""`luxauto visuals review …`: pictures that wait for a person are shown, approved, rejected.

Belongs here: arguments and tables. Does not belong here: what a decision does (`agents/visual_content/review`).
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from luxauto_pipelines.cli_stock import FormatOption, actor, local_time, say
from luxauto_pipelines.console import Format, print_json, print_table

if TYPE_CHECKING:
    from resources.store.brand_store import BrandStore
    from resources.store.pictures import Picture

app = typer.Typer(help="Pictures that wait for a person: look, approve, reject.", no_args_is_help=True)

PictureArgument = Annotated[str, typer.Argument(help="Its id, as `list` shows it.", show_default=False)]
NoteOption = Annotated[str | None, typer.Option(help="Why; kept with the decision.", show_default=False)]
_SUFFIXES = {"image/png": "png", "image/webp": "webp", "image/jpeg": "jpg", "video/mp4": "mp4"}


@app.command("list")
def list_command(
    state: Annotated[str, typer.Option(help="needs_review, accepted, approved, rejected or deleted.")] = "needs_review",
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many at most.")] = 50,
    format: FormatOption = Format.table,
) -> None:
    """Pictures that wait, or those of another state, newest first."""
    from luxauto_pipelines.agents.visual_content.parameters import ReviewQuery
    from luxauto_pipelines.agents.visual_content.review import review

    books = _books()
    found = review(_call(books), ReviewQuery.model_validate({"state": state, "limit": limit}))
    if format is Format.json:
        print_json(found["reviews"])
        return
    if not found["reviews"]:
        say(f"No picture is {state}.")
        return
    columns = ["id", "brief", "content type", "provider", "score", "why"]
    rows = [
        [one["id"], one["brief"], one["content_type"], one["provider"], one["score"], "; ".join(one["why"])]
        for one in found["reviews"]
    ]
    print_table(f"{len(rows)} pictures, {state}", columns, rows)
    if found["next"] is not None:
        say("There are more: raise --limit, or decide about these first.")
    if state == "needs_review":
        say("Next: luxauto visuals review open ID, then approve or reject it")


@app.command()
def show(picture: PictureArgument, format: FormatOption = Format.table) -> None:
    """Everything about one picture: checks, tries, who was asked and why."""
    from luxauto_pipelines.agents.visual_content.review import review_view

    books = _books()
    found = _picture(books, picture)
    if format is Format.json:
        print_json({**review_view(found), "details": dict(found.details)})
        return
    say(f"{found.public_id}: {found.content_type}, {found.state}, {found.width}x{found.height}, {found.media_type}")
    say(f"By {found.provider} ({found.model}), {found.cost_micros / 1_000_000:.4f} USD, seed {found.seed}")
    said = [[check["name"], check["status"], check["score"], check["message"]] for check in found.checks]
    print_table(f"Score {found.score:.2f}", ["check", "outcome", "score", "why"], said)
    tries = found.details.get("tries", ())
    if len(tries) > 1:
        names = ("try", "model", "status", "score", "cost", "chosen")
        print_table("Tries", names, ([one[name] for name in names] for one in tries))
    asked = found.details.get("candidates", ())
    if asked:
        rows = [[one["model"], one["score"], one["rejected"] or one["note"]] for one in asked]
        print_table("Who could be asked", ["model", "score", "why not, or what to know"], rows)
    for note in found.details.get("notes", ()):
        say(f"note: {note}")
    if found.decided_by:
        say(f"{found.state} by {found.decided_by} at {local_time(found.decided_at, books)}: {found.note or 'no note'}")


@app.command()
def approve(picture: PictureArgument, note: NoteOption = None, format: FormatOption = Format.table) -> None:
    """Say that a picture may be shown. Decided once."""
    _decide(picture, "approve", note, format)


@app.command()
def reject(picture: PictureArgument, note: NoteOption = None, format: FormatOption = Format.table) -> None:
    """Say that a picture must not be shown. Decided once."""
    _decide(picture, "reject", note, format)


@app.command("open")
def open_command(
    picture: PictureArgument,
    out: Annotated[Path | None, typer.Option(help="Folder for the file.", show_default="review, in the home")] = None,
) -> None:
    """Write a picture's file, and show it where there is a screen."""
    from assets.visuals.errors import VisualsError
    from resources.files import write_file
    from resources.images.picture_store import open_picture_store

    books = _books()
    found = _picture(books, picture)
    store = open_picture_store(books.settings)
    if found.state == "deleted" or not store.exists(found.sha256):
        raise VisualsError(f"the file of {picture} is gone: the picture was deleted")
    suffix = _SUFFIXES.get(found.media_type, "bin")
    folder = out or books.settings.home / "review"
    file = write_file(folder / f"{found.public_id}.{suffix}", store.get(found.sha256))
    say(str(file))
    if sys.stdout.isatty():
        typer.launch(str(file))


def _decide(picture: str, verdict: str, note: str | None, format: Format) -> None:
    from luxauto_pipelines.agents.visual_content.parameters import Decision
    from luxauto_pipelines.agents.visual_content.review import decide

    said = {"picture_id": picture, "verdict": verdict, "note": note}
    decided = decide(_call(_books()), Decision.model_validate(said))["picture"]
    if format is Format.json:
        print_json(decided)
    else:
        say(f"{decided['id']} is {decided['state']}, by {decided['decided_by']}.")


def _picture(books: "BrandStore", public_id: str) -> "Picture":
    from luxauto_pipelines.agents.visual_content.errors import UnknownPicture
    from resources.store import pictures

    try:
        with books.read() as (connection, brand):
            return pictures.get_picture(connection, brand, public_id)
    except pictures.UnknownPicture as error:
        raise UnknownPicture(f"{error}: see `luxauto visuals review list`") from error


def _books() -> "BrandStore":
    from luxauto_pipelines.instance import prepare
    from resources.settings import load_settings

    return prepare(load_settings())


def _call(books: "BrandStore") -> Any:
    from luxauto_pipelines.agents.registry import Call

    return Call(books, "", actor())
