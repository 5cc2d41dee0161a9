"""Which pictures a brand needs: the pages that somebody wrote briefs for, and the shots that the kit lists for each product.

Belongs here: one brief as a row, and the rows of a catalogue. Does not belong here: reading files and the store (`assets`), and
how a picture is made.

A shot is wanted once for a product in a colour, as sizes look alike. Its brief is named after both, so that a product which is
renamed keeps its pictures.
"""

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

import polars as pl

from assets.visuals.brand_kit import BrandKit, Shot
from assets.visuals.briefs import CONTENT_TYPES, Brief, pixels

SHOT_PRESET = "minimalist_luxury"
OTHER = "other"
"""The shot list of products whose type has none of its own."""
LONGEST_ID = 120
_TEMPLATES = {template: content_type for content_type, template in CONTENT_TYPES.items()} | {
    "product_card": "design_mockup"
}

PLANNED: dict[str, pl.DataType] = {
    "brief": pl.String(),
    "source": pl.String(),
    "content_type": pl.String(),
    "style_preset": pl.String(),
    "prompt": pl.String(),
    "width": pl.Int64(),
    "height": pl.Int64(),
    "pictures": pl.Int64(),
    "sku": pl.String(),
    "product_name": pl.String(),
    "campaign": pl.String(),
    "layout": pl.String(),
    "brief_hash": pl.String(),
}


@dataclass(frozen=True)
class PlannedBrief:
    """One brief. `layout` is what the studio sets; without it `prompt` says what is to be seen. Sizes in pixels."""

    brief: str
    source: Literal["file", "shot_list"]
    content_type: str
    style_preset: str
    prompt: str
    width: int
    height: int
    pictures: int
    sku: str | None = None
    product_name: str | None = None
    campaign: str | None = None
    layout: Brief | None = None

    @property
    def hash(self) -> str:
        """Twelve hexadecimal digits of all that it says."""
        said = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "layout"}
        said["layout"] = self.layout.hash if self.layout else None
        return hashlib.sha256(json.dumps(said, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:12]

    def as_row(self) -> dict[str, Any]:
        layout = self.layout.model_dump_json() if self.layout else None
        return {**vars(self), "layout": layout, "brief_hash": self.hash}


def planned_of(row: Mapping[str, Any]) -> PlannedBrief:
    """The brief of a row of `PLANNED`."""
    layout = Brief.model_validate_json(row["layout"]) if row["layout"] else None
    names = {field.name for field in fields(PlannedBrief)} - {"layout"}
    return PlannedBrief(**{name: row[name] for name in names}, layout=layout)


def written(briefs: Iterable[Brief]) -> list[PlannedBrief]:
    """Briefs that somebody wrote. One of them may ask for several pictures: one for each size and language."""
    found = []
    for brief in briefs:
        width, height = pixels(brief.sizes[0])
        found.append(
            PlannedBrief(
                brief.id,
                "file",
                _TEMPLATES[brief.template],
                brief.preset,
                "",
                width,
                height,
                len(brief.sizes) * len(brief.each_language()),
                brief.product.sku or None if brief.product else None,
                brief.product.name if brief.product else None,
                brief.campaign or None,
                brief,
            )
        )
    return found


def shots(kit: BrandKit, catalog: pl.DataFrame) -> tuple[list[PlannedBrief], list[str]]:
    """The shots of each product and colour of a catalogue, newest products first, and the types that no list is for.

    A list is a product's if it has the name of its subcategory, or of its category, or is called `other`.
    """
    looks = (
        catalog.sort("sku")
        .with_columns(look=pl.coalesce("product", "sku"))
        .unique(["look", "color"], keep="first", maintain_order=True)
        .sort("launched_on", "look", "color", descending=[True, False, False], nulls_last=True)
    )
    found, without = [], set()
    for row in looks.iter_rows(named=True):
        listed = _list_for(kit, row["subcategory"], row["category"])
        if listed is None:
            without.add(str(row["category"] or row["subcategory"] or "no category"))
        found += [_shot(row, shot) for shot in listed or ()]
    return list({brief.brief: brief for brief in found}.values()), sorted(without)


def to_frame(briefs: Iterable[PlannedBrief]) -> pl.DataFrame:
    return pl.DataFrame([brief.as_row() for brief in briefs], schema=PLANNED)


def _list_for(kit: BrandKit, *types: str | None) -> Iterable[Shot] | None:
    for kind in (*types, OTHER):
        name = re.sub(r"[^a-z0-9]+", "_", (kind or "").casefold()).strip("_")
        if name in kit.shots:
            return kit.shots[name]
    return None


def _shot(row: Mapping[str, Any], shot: Shot) -> PlannedBrief:
    name = row["name"] or row["sku"]
    return PlannedBrief(
        _identity(row["look"], row["color"], shot.name),
        "shot_list",
        shot.content_type,
        SHOT_PRESET,
        ". ".join(part.rstrip(".") for part in (f"{name}, {row['color']}" if row["color"] else name, shot.description)),
        shot.width,
        shot.height,
        1,
        row["sku"],
        name,
    )


def _identity(*parts: str | None) -> str:
    whole = "-".join(_slugs(*parts))
    if len(whole) <= LONGEST_ID:
        return whole
    # Two long names that begin alike stay two.
    return f"{whole[: LONGEST_ID - 9]}-{hashlib.sha256(whole.encode()).hexdigest()[:8]}"


def _slugs(*parts: str | None) -> Iterator[str]:
    for part in parts:
        plain = unicodedata.normalize("NFKD", part or "").encode("ascii", "ignore").decode().casefold()
        slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
        # What has no Latin letters keeps its own name by a hash.
        if part and not slug:
            slug = hashlib.sha256(part.encode()).hexdigest()[:8]
        if slug:
            yield slug
