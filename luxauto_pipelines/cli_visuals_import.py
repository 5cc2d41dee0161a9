"""`luxauto visuals import`: pictures that somebody downloaded, as from Midjourney, which offers no API.

Belongs here: arguments, which files there are, and tables. Does not belong here: what becomes of a file
(`assets/visuals/taking_in`).
"""

import re
from collections.abc import Iterator
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from luxauto_pipelines.cli_brand import kit_file
from luxauto_pipelines.cli_stock import FormatOption, actor, known_sku, say
from luxauto_pipelines.console import Format, print_json, print_table, progress

if TYPE_CHECKING:
    from assets.visuals.taking_in import Taken

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


class SplitChoice(StrEnum):
    """Which files are grids of four."""

    none = "none"
    grids = "grids"
    all = "all"


class ContentType(StrEnum):
    """What pictures are for, as the registry and the API name it."""

    product_photo = "product_photo"
    lifestyle_image = "lifestyle_image"
    fashion_lookbook = "fashion_lookbook"
    social_media_post = "social_media_post"
    banner_ad = "banner_ad"
    design_mockup = "design_mockup"
    brand_logo = "brand_logo"
    pattern_design = "pattern_design"


def import_command(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="A folder of PNG, JPEG and WebP files, or one.", show_default=False)
    ],
    content_type: Annotated[
        ContentType, typer.Option("--content-type", help="What they are for.")
    ] = ContentType.product_photo,
    split: Annotated[
        SplitChoice,
        typer.Option(help="Split grids of four: those that Midjourney's names tell (grids), or all files."),
    ] = SplitChoice.none,
    provider: Annotated[
        str | None, typer.Option(help="Who painted them.", show_default="what a file says, or download")
    ] = None,
    sku: Annotated[str | None, typer.Option(help="The product that they show.", show_default=False)] = None,
    brief: Annotated[str | None, typer.Option(help="The brief that they answer.", show_default=False)] = None,
    campaign: Annotated[str | None, typer.Option(help="The campaign that they are for.", show_default=False)] = None,
    kit: Annotated[
        Path | None, typer.Option("--kit", help="A brand.yaml; default: the installation's.", show_default=False)
    ] = None,
    signed: Annotated[
        bool, typer.Option("--sign/--no-sign", help="Write content credentials (C2PA) into each.")
    ] = True,
    format: FormatOption = Format.table,
) -> None:
    """Take in pictures that were downloaded: read prompt, seed and job, judge them, refuse what is there already, record them.

    The same file twice changes nothing. Exit code 2 where a file is broken or repeats a picture; the others are taken in.
    """
    from assets.visuals.brand_credentials import credentials_of
    from assets.visuals.brand_kit import read_kit
    from assets.visuals.errors import VisualsError
    from assets.visuals.taking_in import REFUSED, Intake, Taken, Wish
    from luxauto_pipelines.instance import reload
    from resources.images.picture_store import open_picture_store

    files = _files(folder)
    if not files:
        raise VisualsError(f"{folder} holds no PNG, JPEG or WebP: check the path")
    books = reload()
    file = kit_file(kit)
    loaded = read_kit(file) if kit is not None or file.is_file() else None
    name = loaded.kit.name if loaded else books.settings.current.name
    wish = Wish(
        content_type.value,
        _code(provider) if provider else None,
        known_sku(books, sku) if sku else None,
        brief,
        campaign,
        split.value,
        actor(),
    )
    credentials = credentials_of(books.settings, name) if signed else None
    intake = Intake(books, open_picture_store(books.settings), wish, loaded, credentials)
    taken: list[Taken] = []
    with progress() as bar:
        task = bar.add_task("reading", total=len(files))
        for one in files:
            bar.update(task, description=one.name, advance=1)
            shown = str(one.relative_to(folder)) if folder.is_dir() else one.name
            try:
                content = one.read_bytes()
            except OSError as error:
                taken.append(Taken(shown, "broken", f"it cannot be read: {error.strerror}"))
                continue
            taken += intake.take(shown, content)
    counts = {
        outcome: sum(one.outcome == outcome for one in taken) for outcome in dict.fromkeys(t.outcome for t in taken)
    }
    if format is Format.json:
        print_json({"files": len(files), "brand_kit": loaded.version if loaded else None, **_said(counts, taken)})
    else:
        rows = [[_shown(one), one.outcome, one.score, one.provider, one.seed, one.why] for one in taken]
        print_table(f"{len(files)} files", ["file", "outcome", "score", "provider", "seed", "why"], rows)
        say(", ".join(f"{number} {outcome.replace('_', ' ')}" for outcome, number in counts.items()) + ".")
        if loaded is None:
            say("No brand kit: colours were not checked. Make one with luxauto brand init")
    if any(one.outcome in REFUSED for one in taken):
        raise typer.Exit(2)


def _files(folder: Path) -> list[Path]:
    if folder.is_file():
        return [folder]
    return sorted(_pictures(folder)) if folder.is_dir() else []


def _pictures(folder: Path) -> Iterator[Path]:
    for file in folder.rglob("*"):
        is_hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
        if file.suffix.lower() in SUFFIXES and not is_hidden and not file.is_dir():
            yield file


def _code(provider: str) -> str:
    """Raises VisualsError for what is no provider's name."""
    from assets.visuals.errors import VisualsError

    if not re.fullmatch(r"[a-z0-9][a-z0-9_]{0,63}", provider):
        raise VisualsError(
            f"--provider {provider!r}: use lower-case letters, digits and underscores, such as midjourney"
        )
    return provider


def _shown(one: "Taken") -> str:
    return one.file if one.place is None else f"{one.file} [{one.place}]"


def _said(counts: dict[str, int], taken: "list[Taken]") -> dict[str, Any]:
    return {"outcomes": counts, "pictures": [asdict(one) for one in taken]}
