"""A kit on disk for tests: the starter's, with fields changed."""

from pathlib import Path
from typing import Any

import yaml

from assets.visuals.brand_kit import FILE_NAME, LoadedKit, read_kit
from assets.visuals.starter_kit import starter_logo, starter_text

NAME = "Maison Orsenna"


def write_kit(folder: Path, name: str = NAME, **changes: Any) -> Path:
    """`palette__ink__hex="#000000"` changes the field `palette.ink.hex`; the value `...` removes it."""
    folder.mkdir(parents=True, exist_ok=True)
    said = yaml.safe_load(starter_text(name))
    for field, value in changes.items():
        *way, last = field.split("__")
        part = said
        for step in way:
            part = part[step]
        if value is ...:
            del part[last]
        else:
            part[last] = value
    (folder / "logo.svg").write_text(starter_logo(name))
    file = folder / FILE_NAME
    file.write_text(yaml.safe_dump(said, allow_unicode=True, sort_keys=False))
    return file


def load(folder: Path, **changes: Any) -> LoadedKit:
    return read_kit(write_kit(folder, **changes))
