"""`luxauto brand …`: the brand kit is made, checked and shown.

Belongs here: where the kit lies, arguments and tables. Does not belong here: what a kit may say (`assets/visuals/brand_kit`).
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from luxauto_pipelines.cli_stock import FormatOption, say
from luxauto_pipelines.console import Format, fail, print_json, print_table

if TYPE_CHECKING:
    from assets.visuals.brand_kit import Finding, LoadedKit

app = typer.Typer(
    help="The brand kit: colours, typefaces, logo, styles, words. See docs/visuals.md.", no_args_is_help=True
)

KitArgument = Annotated[
    Path | None, typer.Argument(help="A brand.yaml; default: the installation's.", show_default=False)
]


def kit_file(given: Path | None = None) -> Path:
    """The kit that a command works with: the one given, or in the folder given, or the installation's."""
    from assets.visuals.brand_files import kit_folder
    from assets.visuals.brand_kit import FILE_NAME
    from resources.settings import load_settings

    if given is None:
        return kit_folder(load_settings()) / FILE_NAME
    return given / FILE_NAME if given.is_dir() else given


@app.command()
def init(
    name: Annotated[str | None, typer.Option(help="Name of the brand; default: the installation's.")] = None,
    to: Annotated[
        Path | None, typer.Option(help="Folder for it; default: the installation's.", show_default=False)
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a kit that is there.")] = False,
    format: FormatOption = Format.table,
) -> None:
    """Write a first kit: brand.yaml with eight styles and a shot list, and logo.svg with a monogram. Then make it yours."""
    from assets.visuals.brand_files import kit_folder, write_starter_kit
    from assets.visuals.brand_kit import FILE_NAME, Finding, InvalidBrandKit
    from resources.settings import load_settings

    settings = load_settings()
    folder = to or kit_folder(settings)
    name = " ".join((name if name is not None else settings.current.name).split())
    if not name:
        raise InvalidBrandKit("--name", [Finding("name", "it is empty", "Give the brand's name")])
    file = folder / FILE_NAME
    if file.exists() and not force:
        remedy = "Edit it, or write over it with --force"
        raise InvalidBrandKit(str(file), [Finding(FILE_NAME, "there is one already", remedy)])
    loaded = write_starter_kit(folder, name)
    if format is Format.json:
        print_json({"file": str(file), "name": name, "version": loaded.version})
        return
    say(f"{file}: the kit of {name}, version {loaded.version}.")
    say("Next: change its colours and its logo, then luxauto brand check")


@app.command()
def check(file: KitArgument = None, format: FormatOption = Format.table) -> None:
    """Say what is wrong with a kit, field by field, and what to do. Exit code 1 where it cannot be used."""
    from assets.visuals.brand_kit import InvalidBrandKit, read_kit

    path = kit_file(file)
    loaded: LoadedKit | None = None
    try:
        loaded = read_kit(path)
        findings = loaded.warnings
    except InvalidBrandKit as error:
        findings = error.findings
    notes = _notes(loaded) if loaded else []
    if format is Format.json:
        version = loaded.version if loaded else None
        said = [_as_json(finding) for finding in findings]
        print_json(
            {"file": str(path), "usable": loaded is not None, "version": version, "findings": said, "notes": notes}
        )
    else:
        for finding in findings:
            if finding.warning:
                say(f"note: {finding}")
            else:
                fail(str(finding))
        for note in notes:
            say(f"note: {note}")
        if loaded:
            say(f"{path}: usable, version {loaded.version}.")
    if loaded is None:
        raise typer.Exit(1)


@app.command()
def show(file: KitArgument = None, format: FormatOption = Format.table) -> None:
    """What the kit says: colours with their contrast, typefaces and whether they are installed, styles, shots."""
    from assets.visuals.brand_kit import read_kit
    from assets.visuals.colour import contrast
    from assets.visuals.studio.fonts import installed_families

    path = kit_file(file)
    loaded = read_kit(path)
    kit, here = loaded.kit, installed_families()
    ground = kit.palette.of("background")
    if format is Format.json:
        said = {"file": str(path), "version": loaded.version, **kit.model_dump(mode="json")}
        print_json({**said, "installed_families": here, "notes": _notes(loaded)})
        return
    say(f"{kit.name}, kit version {loaded.version} ({path})")
    rows = [[role, colour, f"{contrast(colour, ground):.1f}:1"] for role, colour in kit.palette.colours().items()]
    print_table("Colours", ["role", "value", "contrast on the background"], rows)
    faces = {role: getattr(kit.typefaces, role) for role in ("display", "text", "label")}
    rows = [[role, face.family, face.weight, "yes" if face.family in here else "no"] for role, face in faces.items()]
    print_table("Typefaces", ["for", "family", "weight", "installed"], rows)
    print_table("Styles", ["name", "what it is"], ([name, preset.description] for name, preset in kit.presets.items()))
    rows = [
        [of, shot.name, f"{shot.width}x{shot.height}", shot.description]
        for of, all_ in kit.shots.items()
        for shot in all_
    ]
    print_table("Shots", ["product type", "shot", "size", "what"], rows)
    say(f"Families that are installed: {', '.join(here)}.")
    for note in _notes(loaded):
        say(f"note: {note}")


def _notes(loaded: "LoadedKit") -> list[str]:
    """Typefaces that the kit names and that this machine has not."""
    from assets.visuals.studio.fonts import installed_families

    kit, here = loaded.kit, installed_families()
    faces = [kit.typefaces.display, kit.typefaces.text, kit.typefaces.label]
    faces += [face for preset in kit.presets.values() for face in (preset.display, preset.label) if face]
    named = dict.fromkeys([*(face.family for face in faces), *kit.typefaces.fallback])
    return [f"the family {family} is not installed; another is set instead" for family in named if family not in here]


def _as_json(finding: "Finding") -> dict[str, Any]:
    level = "warning" if finding.warning else "error"
    return {"level": level, "field": finding.field, "problem": finding.problem, "remedy": finding.remedy}
