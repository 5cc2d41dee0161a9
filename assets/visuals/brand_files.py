"""Where an installation keeps what a brand's pictures are made from: its kit, and the briefs that somebody wrote.

Belongs here: folders, and reading what lies in them. Does not belong here: what a kit or a brief may say.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from assets.visuals.brand_kit import FILE_NAME, LoadedKit, read_kit
from assets.visuals.briefs import Brief, InvalidBrief, read_briefs
from assets.visuals.errors import VisualsError

if TYPE_CHECKING:
    from resources.settings import Settings


def brand_folder(settings: "Settings") -> Path:
    return settings.home / "brands" / settings.brand


def kit_folder(settings: "Settings") -> Path:
    """Where the kit of the brand lies that the installation works for."""
    return brand_folder(settings) / "kit"


def briefs_folder(settings: "Settings") -> Path:
    """Where its written briefs lie: YAML files, and the photographs that they name."""
    return brand_folder(settings) / "briefs"


def find_kit(settings: "Settings") -> LoadedKit | None:
    """The brand's kit; None where nobody has made one. Raises InvalidBrandKit where it cannot be used."""
    file = kit_folder(settings) / FILE_NAME
    return read_kit(file) if file.is_file() else None


def write_starter_kit(folder: Path, name: str) -> LoadedKit:
    """A first kit for a house of that name, written into a folder. What is there is written over. Raises VisualsError."""
    from assets.visuals.starter_kit import starter_logo, starter_text
    from resources.files import write_file

    try:
        write_file(folder / "logo.svg", starter_logo(name).encode())
        file = write_file(folder / FILE_NAME, starter_text(name).encode())
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise VisualsError(f"{folder} cannot be written ({why}): name a folder that you may write to") from error
    return read_kit(file)


def find_briefs(settings: "Settings") -> list[Brief]:
    """The briefs of all files. Raises InvalidBrief for a file that cannot be read, and where two have the same id."""
    found: dict[str, Path] = {}
    briefs = []
    for file in sorted([*briefs_folder(settings).glob("*.yaml"), *briefs_folder(settings).glob("*.yml")]):
        for brief in read_briefs(file):
            if brief.id in found:
                raise InvalidBrief(f"{file}: id: {brief.id!r} stands in {found[brief.id]} too; give each brief its own")
            found[brief.id] = file
            briefs.append(brief)
    return briefs
