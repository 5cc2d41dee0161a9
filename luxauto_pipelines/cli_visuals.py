"""`luxauto visuals …`: pictures are made, signed, checked and verified, and who would make them.

Belongs here: arguments, tables and where files go. Does not belong here: how a picture is made or judged (`assets/visuals`).
"""

import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from luxauto_pipelines import cli_visuals_batch, cli_visuals_review
from luxauto_pipelines.cli_brand import kit_file
from luxauto_pipelines.cli_film import film
from luxauto_pipelines.cli_stock import FormatOption, actor, say
from luxauto_pipelines.cli_visuals_import import import_command
from luxauto_pipelines.console import Format, print_json, print_table, progress

if TYPE_CHECKING:
    from assets.visuals.brand_kit import LoadedKit
    from assets.visuals.making import Maker
    from assets.visuals.quality import Fingerprint

app = typer.Typer(
    help="Pictures of the brand: made, signed, checked, verified. See docs/visuals.md.", no_args_is_help=True
)
app.command()(film)
app.command("import")(import_command)
app.add_typer(cli_visuals_review.app, name="review")
app.add_typer(cli_visuals_batch.app, name="batch")
STUDIO, AUTO = "studio", "auto"


class QualityChoice(StrEnum):
    """How much effort a model that paints makes."""

    low = "low"
    medium = "medium"
    high = "high"
    ultra = "ultra"


ImagesArgument = Annotated[list[Path], typer.Argument(help="PNG, JPEG or WebP files.", show_default=False)]
KitOption = Annotated[
    Path | None, typer.Option("--kit", help="A brand.yaml; default: the installation's.", show_default=False)
]


@app.command()
def generate(
    brief: Annotated[Path, typer.Option(help="One brief, or a list of them (YAML).", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder for the pictures.", show_default=False)],
    provider: Annotated[
        str, typer.Option(help="Who makes them: studio, the renderer here; auto; or another of `providers`.")
    ] = "studio",
    quality: Annotated[QualityChoice, typer.Option(help="For models that paint.")] = QualityChoice.high,
    campaign: Annotated[
        str | None, typer.Option(help="Whose budget it is taken from; default: the brief's.", show_default=False)
    ] = None,
    again: Annotated[
        str, typer.Option(help="Any new word has them made anew, where they were made before.", show_default=False)
    ] = "",
    kit: KitOption = None,
    signed: Annotated[
        bool, typer.Option("--sign/--no-sign", help="Write content credentials (C2PA) into each.")
    ] = True,
    format: FormatOption = Format.table,
) -> None:
    """Make the pictures of briefs: a file a size and language, pictures.json with scores, and contact-sheet.png.

    The studio needs no network and draws the same pixels each time. Others are asked once: the same command again brings the
    same pictures. Exit code 2 where a picture fails a check or was not made.
    """
    from assets.visuals.brand_kit import read_kit
    from assets.visuals.briefs import read_briefs
    from luxauto_pipelines.brand_credentials import credentials_of
    from luxauto_pipelines.visuals_made import SHEET, Asked, make_by_providers, make_in_studio, signer_of
    from resources.settings import load_settings

    if provider != STUDIO:
        _refuse_unknown(provider)
    loaded, briefs = read_kit(kit_file(kit)), read_briefs(brief)
    with progress() as bar:
        task = bar.add_task("making", total=sum(len(one.sizes) * len(one.each_language()) for one in briefs))

        def tell(name: str) -> None:
            bar.update(task, description=name, advance=1)

        if provider == STUDIO:
            sign = signer_of(credentials_of(load_settings(), loaded.kit.name)) if signed else None
            made = make_in_studio(loaded, briefs, brief.parent, out, sign, tell)
        else:
            asked = Asked(None if provider == AUTO else provider, quality.value, campaign, actor(), again)
            made = make_by_providers(_maker(loaded, signed=signed), briefs, brief.parent, out, asked, tell)
    if format is Format.json:
        print_json({"brand_kit": loaded.version, "contact_sheet": str(out / SHEET), "pictures": made})
    else:
        rows = [[row["file"], row["provider"], row["score"], row["status"], "; ".join(row["why"])] for row in made]
        print_table(f"{len(made)} pictures", ["file", "by", "score", "outcome", "why"], rows)
        for note in dict.fromkeys(note for row in made for note in row["notes"]):
            say(f"note: {note}")
        if any(row["file"] for row in made):
            say(f"All of them at a glance: {out / SHEET}")
        if any(row.get("state") == "needs_review" for row in made):
            say("Some wait for a person: luxauto visuals review list")
    if any(row["status"] == "failed" for row in made):
        raise typer.Exit(2)


@app.command()
def providers(
    brief: Annotated[
        Path | None, typer.Option(help="For these briefs (YAML); default: a product photo.", show_default=False)
    ] = None,
    provider: Annotated[str, typer.Option(help="Only these; auto for all.")] = AUTO,
    quality: Annotated[QualityChoice, typer.Option(help="For models that paint.")] = QualityChoice.high,
    kit: KitOption = None,
    format: FormatOption = Format.table,
) -> None:
    """Who would make a picture, why the others would not, what each costs, and when it ends. Asks nobody."""
    from assets.visuals.brand_kit import read_kit
    from luxauto_pipelines.providers_shown import candidates_for, sentence_of

    if provider != AUTO:
        _refuse_unknown(provider)
    maker = _maker(read_kit(kit_file(kit)), signed=False)
    named = None if provider == AUTO else provider
    found = candidates_for(maker, brief, named, quality.value, actor())
    if format is Format.json:
        print_json(found)
        return
    for one in found:
        columns = ["model", "provider", "score", "parts", "price", "outcome"]
        rows = [
            [
                row["model"],
                row["provider"],
                row["score"],
                " ".join(f"{name} {value:g}" for name, value in row["parts"].items()),
                row["price"],
                sentence_of(row),
            ]
            for row in one["candidates"]
        ]
        print_table(one["of"], columns, rows)


@app.command()
def check(
    images: ImagesArgument,
    kit: KitOption = None,
    size: Annotated[str | None, typer.Option(help="Size that was asked for, such as 1080x1350.")] = None,
    text: Annotated[
        list[str] | None, typer.Option(help="Text that should be read in them; may be repeated.", show_default=False)
    ] = None,
    language: Annotated[str, typer.Option(help="Language of that text, such as fr.")] = "en",
    format: FormatOption = Format.table,
) -> None:
    """Judge pictures: blank, blur, noise, resolution, aspect, the brand's colours, duplicates, legibility.

    A check that cannot be made here is skipped and says why. Exit code 1 where a picture fails.
    """
    from assets.visuals.quality import fingerprint, judge
    from assets.visuals.text_reader import find_text_reader

    loaded = _kit_if_any(kit)
    colours = list(loaded.kit.palette.colours().values()) if loaded else []
    asked = parse_size(size) if size else None
    reader = find_text_reader(language) if text else None
    seen: dict[str, Fingerprint] = {}
    found = []
    for image in images:
        content = image_bytes(image)
        report = judge(content, palette=colours, size=asked, others=dict(seen), texts=text or (), reader=reader)
        found.append((image, report))
        if report.width:
            seen[str(image)] = fingerprint(content)
    if format is Format.json:
        said = [{"image": str(image), **report.as_dict()} for image, report in found]
        print_json({"kit_version": loaded.version if loaded else None, "images": said})
    else:
        for image, report in found:
            rows = [[check.name, check.status, check.score, check.message] for check in report.checks]
            print_table(f"{image}: {report.status}, {report.score:.2f}", ["check", "outcome", "score", "why"], rows)
        if loaded is None:
            say("No brand kit: colours were not checked. Make one with luxauto brand init")
    if any(report.status == "failed" for _, report in found):
        raise typer.Exit(1)


@app.command()
def verify(
    images: ImagesArgument,
    anchor: Annotated[
        Path | None,
        typer.Option(help="Certificates of signers to trust (PEM); default: the installation's.", show_default=False),
    ] = None,
    format: FormatOption = Format.table,
) -> None:
    """Say who signed pictures, what they were made from, and whether anybody changed them since.

    Exit code 1 where one was changed or brings no content credentials.
    """
    from assets.visuals.provenance import verify as examine
    from luxauto_pipelines.brand_credentials import anchors_of
    from resources.settings import load_settings

    anchors = image_bytes(anchor) if anchor else anchors_of(load_settings())
    found = [(image, examine(image_bytes(image), anchors)) for image in images]
    if format is Format.json:
        print_json([{"image": str(image), "intact": verdict.is_intact, **vars(verdict)} for image, verdict in found])
    else:
        for image, verdict in found:
            say(f"{image}: {verdict.state}. {verdict.message[0].upper()}{verdict.message[1:]}.")
            rows = [["signer", verdict.signer], ["source", verdict.source], ["actions", ", ".join(verdict.actions)]]
            rows += [[key, value] for key, value in (verdict.said or {}).items()]
            rows += [["problem", problem] for problem in verdict.problems]
            if verdict.signer or verdict.problems:
                print_table("What it says", ["field", "value"], rows)
    if not all(verdict.is_intact for _, verdict in found):
        raise typer.Exit(1)


def parse_size(text: str) -> tuple[int, int]:
    """Width and height of `1080x1350`. Raises VisualsError for anything else."""
    from assets.visuals.errors import VisualsError

    found = re.fullmatch(r"(\d{2,5})\s*[xX×]\s*(\d{2,5})", text.strip())
    if not found or "0" in (found[1].lstrip("0") or "0", found[2].lstrip("0") or "0"):
        raise VisualsError(f"{text!r} is no size: write width and height in pixels, such as 1080x1350")
    return int(found[1]), int(found[2])


def image_bytes(file: Path) -> bytes:
    """A file's content. Raises VisualsError where there is none."""
    from assets.visuals.errors import VisualsError

    try:
        return file.read_bytes()
    except OSError as error:
        raise VisualsError(f"{file} cannot be read ({error.strerror}): check the path") from error


def _maker(loaded: "LoadedKit", *, signed: bool) -> "Maker":
    from assets.visuals.errors import VisualsError
    from assets.visuals.making import open_maker
    from luxauto_pipelines.instance import prepare
    from resources.images.policy import PolicyError
    from resources.images.registry import RegistryError
    from resources.settings import load_settings

    try:
        return open_maker(prepare(load_settings()), loaded, signed=signed)
    except (RegistryError, PolicyError) as error:
        raise VisualsError(str(error)) from error


def _refuse_unknown(provider: str) -> None:
    """Raises VisualsError for a name that nobody has; before anything else is made or read."""
    from datetime import UTC, datetime

    from assets.visuals.errors import VisualsError
    from resources.images.registry import RegistryError, read_registry
    from resources.settings import load_settings

    if provider == AUTO:
        return
    try:
        read_registry(load_settings().home).named(provider, datetime.now(UTC).date())
    except RegistryError as error:
        raise VisualsError(f"{error}; or auto, which lets the best be chosen") from error


def _kit_if_any(given: Path | None) -> "LoadedKit | None":
    from assets.visuals.brand_kit import read_kit

    file = kit_file(given)
    return read_kit(file) if given is not None or file.is_file() else None
