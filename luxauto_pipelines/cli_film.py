"""`luxauto visuals film`: a short film from stills, judged and signed.

Belongs here: arguments, where stills come from and files go. Does not belong here: how a film is made or judged
(`assets/visuals/motion`).
"""

import hashlib
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from luxauto_pipelines.cli_brand import kit_file
from luxauto_pipelines.cli_stock import FormatOption, say
from luxauto_pipelines.console import Format, print_json, print_table, progress

if TYPE_CHECKING:
    from assets.visuals.brand_kit import LoadedKit
    from assets.visuals.briefs import Brief, Texts
    from assets.visuals.motion import FilmPlan, Still


class FilmType(StrEnum):
    """The content types that films answer: what they usually measure and last."""

    promotional_video = "promotional_video"
    video_commercial = "video_commercial"


def film(
    out: Annotated[Path, typer.Option(help="The film: .mp4 (H.264) or .webm (VP9).", show_default=False)],
    more: Annotated[
        list[Path] | None, typer.Argument(metavar="[IMAGES]...", help="Further stills.", show_default=False)
    ] = None,
    images: Annotated[
        list[Path] | None,
        typer.Option("--images", help="Stills in their order: --images A.png B.png C.png.", show_default=False),
    ] = None,
    brief: Annotated[
        Path | None,
        typer.Option(
            help="Words and style (YAML); where no stills are given, the studio draws them.", show_default=False
        ),
    ] = None,
    type: Annotated[
        FilmType, typer.Option(help="What it is for: gives size and seconds.")
    ] = FilmType.promotional_video,
    size: Annotated[
        str | None, typer.Option(help="Such as 1280x720, 1080x1920, square.", show_default="by --type")
    ] = None,
    seconds: Annotated[float | None, typer.Option(help="Its length, 60 at most.", show_default="by --type")] = None,
    fps: Annotated[int, typer.Option(help="Frames a second, 12 to 60.")] = 24,
    language: Annotated[
        str | None, typer.Option(help="Language of its words.", show_default="the brief's first")
    ] = None,
    poster: Annotated[
        Path | None,
        typer.Option(help="Its poster, .png or .webp.", show_default="beside the film, .png"),
    ] = None,
    kit: Annotated[
        Path | None, typer.Option("--kit", help="A brand.yaml; default: the installation's.", show_default=False)
    ] = None,
    signed: Annotated[bool, typer.Option("--sign/--no-sign", help="Write content credentials (C2PA) into it.")] = True,
    format: FormatOption = Format.table,
) -> None:
    """Make a film from stills: title, slow moves, crossfades, logo. Needs no model and no network.

    Exit code 2 where the film fails a check.
    """
    from assets.visuals.brand_kit import read_kit
    from assets.visuals.motion import CONTENT_TYPES, judge_film, make_film, signed_film
    from luxauto_pipelines.brand_credentials import credentials_of
    from luxauto_pipelines.visuals_made import write_out
    from resources.settings import load_settings

    usual = CONTENT_TYPES[type.value]
    loaded = read_kit(kit_file(kit))
    asked = _size(size) if size else usual.size
    picture_file = poster or out.with_suffix(".png")
    plan = _plan(loaded, [*(images or ()), *(more or ())], brief, asked, language)
    plan = _with(plan, usual.seconds if seconds is None else seconds, fps, out, picture_file)
    with progress() as bar:
        task = bar.add_task("drawing frames", total=None)
        made = make_film(loaded, plan, lambda done, of: bar.update(task, completed=done, total=of))
        bar.update(task, description="judging")
        report = judge_film(made.content, size=asked, seconds=plan.seconds, fps=fps, timeline=made.timeline)
    if signed:
        made = signed_film(made, plan.stills, credentials_of(load_settings(), loaded.kit.name))
    write_out(out, made.content)
    write_out(picture_file, made.poster)
    if format is Format.json:
        said = {
            "file": str(out),
            "poster": str(picture_file),
            "media_type": made.media_type,
            "bytes": len(made.content),
        }
        hashed = {
            "sha256": hashlib.sha256(made.content).hexdigest(),
            "signed": signed and made.media_type == "video/mp4",
        }
        print_json({**said, **hashed, **report.as_dict(), "notes": made.notes, "metadata": dict(made.metadata)})
    else:
        rows = [[check.name, check.status, check.score, check.message] for check in report.checks]
        print_table(f"{out}: {report.status}", ["check", "outcome", "score", "why"], rows)
        for note in made.notes:
            say(f"note: {note}")
        say(f"{made.seconds:g} s, {len(made.content) / 1e6:.1f} MB, {len(plan.stills)} stills. Poster: {picture_file}")
    if report.status == "failed":
        raise typer.Exit(2)


def _plan(
    loaded: "LoadedKit", images: Sequence[Path], brief: Path | None, size: tuple[int, int], language: str | None
) -> "FilmPlan":
    """The stills given, or else those of the briefs; words and style of the first brief."""
    from assets.visuals.briefs import InvalidBrief, read_briefs
    from assets.visuals.motion import FilmPlan, Still

    briefs = read_briefs(brief) if brief else []
    spoken = briefs[0].each_language()[0] if briefs else "en"
    chosen = language or spoken
    missing = [one.id for one in briefs if one.texts and chosen not in one.texts]
    if missing:
        raise InvalidBrief(
            f"brief {missing[0]} has no words in {chosen}: add texts.{chosen}, or ask for another language"
        )
    from luxauto_pipelines.cli_visuals import image_bytes

    stills = [Still(str(image), image_bytes(image)) for image in images]
    if not stills and brief:
        stills = _drawn(loaded, briefs, brief.parent, size, chosen)
    if not briefs:
        return FilmPlan(tuple(stills), size, language=chosen)
    first = briefs[0]
    hashed = hashlib.sha256("".join(one.hash for one in briefs).encode()).hexdigest()[:12]
    return FilmPlan(
        tuple(stills),
        size,
        texts=_words(first, chosen),
        language=chosen,
        preset=first.preset,
        brief=first.hash if len(briefs) == 1 else hashed,
        seed=first.seed,
    )


def _drawn(
    loaded: "LoadedKit", briefs: Sequence["Brief"], photos: Path, size: tuple[int, int], language: str
) -> list["Still"]:
    from assets.visuals.motion import stills_of
    from luxauto_pipelines.cli_visuals import image_bytes

    return [
        still
        for one in briefs
        for still in stills_of(loaded, one, size, language, image_bytes(photos / one.photo) if one.photo else None)
    ]


def _words(brief: "Brief", language: str) -> "Texts":
    """A film's title is the headline, or else what the product is called."""
    words = brief.words(language)
    if words.headline.strip() or brief.product is None:
        return words
    return words.model_copy(update={"headline": brief.product.name})


def _with(plan: "FilmPlan", seconds: float, fps: int, out: Path, poster: Path) -> "FilmPlan":
    from dataclasses import replace

    from assets.visuals.motion import FilmRefused

    suffix, picture = out.suffix.lower(), poster.suffix.lower()
    if suffix not in (".mp4", ".webm"):
        raise FilmRefused(f"{out} is no name for a film: let it end in .mp4 or .webm")
    if picture not in (".png", ".webp"):
        raise FilmRefused(f"{poster} is no name for a poster: let it end in .png or .webp")
    return replace(
        plan,
        seconds=seconds,
        fps=fps,
        container="webm" if suffix == ".webm" else "mp4",
        poster="webp" if picture == ".webp" else "png",
    )


def _size(text: str) -> tuple[int, int]:
    from assets.visuals.briefs import FORMATS
    from luxauto_pipelines.cli_visuals import parse_size

    return FORMATS.get(text.strip().lower()) or parse_size(text)
