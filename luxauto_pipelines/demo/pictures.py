"""The demo maison's pictures: its brand kit and fifty briefs, put where an installation looks for them.

Belongs here: copying them once. Does not belong here: making the pictures, which the refresh does as for any brand.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from luxauto_pipelines.demo.maison import NAME
from resources.files import write_file
from resources.lake import Lake, MissingAsset

if TYPE_CHECKING:
    from resources.settings import Settings

BRIEFS = Path(__file__).with_name("visual_briefs.yaml")


def write_pictures_briefs(settings: "Settings") -> None:
    """The kit where there is none, and the briefs. What somebody has changed since stays as it is."""
    from assets.visuals.brand_files import briefs_folder, find_kit, kit_folder, write_starter_kit

    if find_kit(settings) is None:
        write_starter_kit(kit_folder(settings), NAME)
    file = briefs_folder(settings) / BRIEFS.name
    if not file.exists():
        write_file(file, BRIEFS.read_bytes())


def picture_figures(lake: Lake) -> dict[str, Any]:
    """How many pictures stand, for how many briefs, in how many languages, and their mean score."""
    try:
        made = lake.read("generated_visuals").filter(pl.col("picture").is_not_null())
    except MissingAsset:
        return {"pictures": 0, "briefs": 0, "languages": 0, "score": None}
    return {
        "pictures": made.height,
        "briefs": made["brief"].n_unique(),
        "languages": made["language"].drop_nulls().n_unique(),
        "score": made["picture_score"].mean(),
    }
