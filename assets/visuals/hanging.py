"""Pictures as they are looked at: taken out of the store with their thumbnails, for the gallery and for Dagster's pages.

Belongs here: reading rows and bytes. Does not belong here: the page (`gallery`).
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import polars as pl

from assets.visuals.gallery import Hung, data_uri, thumbnail
from resources.store.brand_store import BrandStore

if TYPE_CHECKING:
    from assets.visuals.making import Maker

ON_A_SHEET = 12
_SIDE = 220
_STANDING = ("accepted", "approved", "needs_review")


def hang(books: BrandStore, rows: pl.DataFrame) -> list[Hung]:
    """The pictures of rows of `VISUALS` that were neither rejected nor deleted since, as they stand now.

    One whose bytes are gone is left out: the check on `generated_visuals` tells of it.
    """
    from resources.images.picture_store import MissingPicture, open_picture_store
    from resources.store.pictures import pictures_by_id

    titles = {row["picture"]: row for row in rows.drop_nulls("picture").iter_rows(named=True)}
    with books.read() as (connection, brand):
        found = pictures_by_id(connection, brand, list(titles))
    bytes_of = open_picture_store(books.settings)
    hung = []
    for picture in found:
        row = titles[picture.public_id]
        if picture.state not in _STANDING:
            continue
        try:
            small = thumbnail(bytes_of.get(picture.details.get("poster") or picture.sha256))
        except (MissingPicture, OSError):
            continue
        hung.append(
            Hung(
                picture.public_id,
                row["brief"],
                row["brief"].replace("-", " ").capitalize(),
                picture.content_type,
                picture.state,
                picture.provider,
                picture.model,
                row["why"] or "",
                picture.width,
                picture.height,
                picture.score,
                picture.cost_micros / 1_000_000,
                picture.seed,
                picture.created_at,
                picture.checks,
                small,
            )
        )
    return hung


def sheet(maker: "Maker", rows: Sequence[Mapping[str, Any]]) -> str | None:
    """Markdown with thumbnails of a brief's pictures; None where there is none."""
    from resources.images.picture_store import MissingPicture

    shown = []
    for row in rows[:ON_A_SHEET]:
        if row["picture"] and row["media_type"].startswith("image/"):
            # What is gone or damaged is told by the check on it.
            with suppress(MissingPicture, OSError):
                small = data_uri(thumbnail(maker.store.get(row["sha256"]), _SIDE))
                shown.append(f"![{row['brief']}, {row['width']}x{row['height']}]({small})")
    return " ".join(shown) or None


def broken_credentials(books: BrandStore, rows: pl.DataFrame) -> pl.DataFrame:
    """Pictures of rows of `VISUALS` that stand, and are gone, changed or signed by somebody else: picture, brief, what."""
    from assets.visuals.brand_credentials import anchors_of
    from assets.visuals.provenance import verify
    from resources.images.picture_store import MissingPicture, open_picture_store
    from resources.store.pictures import pictures_by_id

    briefs = dict(rows.drop_nulls("picture").select("picture", "brief").iter_rows())
    with books.read() as (connection, brand):
        found = pictures_by_id(connection, brand, list(briefs))
    bytes_of, anchors = open_picture_store(books.settings), anchors_of(books.settings)
    broken = []
    for picture in found:
        if picture.state not in _STANDING:
            continue
        try:
            verdict = verify(bytes_of.get(picture.sha256), anchors)
            what = None if verdict.state == "trusted" else f"{verdict.state}: {verdict.message}"
        except MissingPicture as error:
            what = str(error)
        if what:
            broken.append({"picture": picture.public_id, "brief": briefs[picture.public_id], "what": what})
    return pl.DataFrame(broken, schema=dict.fromkeys(("picture", "brief", "what"), pl.String()))
