"""What is planned, as an installation has it: its kit, its written briefs and its catalogue put together.

Belongs here: reading them. Does not belong here: which shots a product needs (`planned`).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from assets.visuals.brand_files import find_briefs, find_kit
from assets.visuals.planned import shots, to_frame, written

if TYPE_CHECKING:
    from resources.settings import Settings


@dataclass(frozen=True)
class Planned:
    """Rows of `PLANNED`, written briefs first, then newest products; types of products that no shot list is for."""

    frame: pl.DataFrame
    without: list[str]
    kit_version: str


def plan_briefs(settings: "Settings", catalog: pl.DataFrame) -> Planned | None:
    """None where there is no kit. A shot whose id somebody gave to a brief of their own is left to them.

    Raises InvalidBrandKit and InvalidBrief.
    """
    loaded = find_kit(settings)
    if loaded is None:
        return None
    pages = written(find_briefs(settings))
    taken = {brief.brief for brief in pages}
    found, without = shots(loaded.kit, catalog)
    return Planned(to_frame([*pages, *(shot for shot in found if shot.brief not in taken)]), without, loaded.version)
