"""The demo maison's pictures: its brand kit and fifty briefs, put where an installation looks for them; their contact sheet.

Belongs here: the briefs, and laying out what was made. Does not belong here: making the pictures, which the refresh does as for
any brand.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from luxauto_pipelines.demo.maison import EXPONENTS, NAME
from resources.files import write_file
from resources.lake import Lake, MissingAsset
from resources.store.brand_store import BrandStore
from resources.store.catalog import read_catalog

if TYPE_CHECKING:
    from assets.visuals.brand_kit import LoadedKit
    from assets.visuals.briefs import Brief

BRIEFS = Path(__file__).with_name("visual_briefs.yaml")
FOLDER, LIST, SHEET = "pictures", "pictures.json", "contact-sheet.png"


@dataclass(frozen=True)
class LaidOut:
    """The folder with each picture under a name that can be read, and a sheet that shows one of each brief."""

    folder: Path
    sheet: Path
    pictures: int


def demo_briefs(kit: "LoadedKit", catalogue: pl.DataFrame) -> "list[Brief]":
    """The fifty briefs, with the prices of a catalogue (sku, retail_price_minor, currency) and the languages that the kit's
    fonts can set."""
    from assets.visuals.briefs import read_briefs
    from assets.visuals.studio.text import Style

    faces = kit.kit.typefaces
    fonts = [Style.of(face, faces.fallback).fonts for face in (faces.display, faces.text, faces.label)]
    prices = {
        row["sku"]: (row["retail_price_minor"], row["currency"])
        for row in catalogue.iter_rows(named=True)
        if row["retail_price_minor"] is not None and row["currency"]
    }
    briefs = []
    for brief in read_briefs(BRIEFS):
        texts = {
            language: words
            for language, words in brief.texts.items()
            if all(font.can_set(text) for font in fonts for text in words.model_dump().values())
        }
        change: dict[str, Any] = {"texts": texts}
        if brief.product and (found := prices.get(brief.product.sku)):
            amount, currency = found
            price = Decimal(amount).scaleb(-EXPONENTS.get(currency, 2))
            change["product"] = brief.product.model_copy(update={"price": price, "currency": currency})
        briefs.append(brief.model_copy(update=change))
    return briefs


def write_pictures_briefs(books: BrandStore) -> None:
    """The kit where there is none, and the briefs. What somebody has changed since stays as it is."""
    import yaml

    from assets.visuals.brand_files import briefs_folder, find_kit, kit_folder, write_starter_kit

    settings = books.settings
    kit = find_kit(settings) or write_starter_kit(kit_folder(settings), NAME)
    file = briefs_folder(settings) / BRIEFS.name
    if file.exists():
        return
    with books.read() as (connection, brand):
        catalogue = read_catalog(connection, brand)
    said = [brief.model_dump(mode="json", exclude_defaults=True) for brief in demo_briefs(kit, catalogue)]
    write_file(file, yaml.safe_dump({"briefs": said}, allow_unicode=True, sort_keys=False, width=120).encode())


def lay_out_pictures(books: BrandStore, progress: Callable[[str], None] = lambda name: None) -> LaidOut | None:
    """The pictures that stand, in a folder by name, and their contact sheet; nothing is written where nothing is new.

    None where no picture was made. `progress` hears each file's name.
    """
    from assets.visuals.brand_files import find_briefs, find_kit
    from assets.visuals.studio.contact_sheet import contact_sheet
    from resources.images.picture_store import open_picture_store

    kit, rows = find_kit(books.settings), _made(Lake(books.settings.lake_url, books.settings.brand))
    if kit is None or rows is None or rows.is_empty():
        return None
    order = {brief.id: number for number, brief in enumerate(find_briefs(books.settings))}
    pages = [row for row in rows.iter_rows(named=True) if row["brief"] in order]
    pages.sort(key=lambda row: order[row["brief"]])
    folder = books.settings.home / "reports" / books.settings.brand / FOLDER
    found = LaidOut(folder, folder / SHEET, len(pages))
    listed = json.dumps([[_name(row), row["sha256"]] for row in pages], indent=1)
    file = folder / LIST
    if found.sheet.exists() and file.exists() and file.read_text(encoding="utf-8") == listed:
        return found
    store, shown = open_picture_store(books.settings), {}
    for row in pages:
        progress(_name(row))
        content = store.get(row["sha256"])
        write_file(folder / _name(row), content)
        shown.setdefault(row["brief"], content)
    captions = [(brief.replace("-", " ").capitalize(), content) for brief, content in shown.items()]
    write_file(found.sheet, contact_sheet(kit, captions, kit.kit.name))
    write_file(file, listed.encode())
    return found


def picture_figures(lake: Lake) -> dict[str, Any]:
    """How many pictures stand, for how many briefs, in how many languages, and their mean score."""
    made = _made(lake)
    if made is None:
        return {"pictures": 0, "briefs": 0, "languages": 0, "score": None}
    return {
        "pictures": made.height,
        "briefs": made["brief"].n_unique(),
        "languages": made["language"].drop_nulls().n_unique(),
        "score": made["picture_score"].mean(),
    }


def _made(lake: Lake) -> pl.DataFrame | None:
    try:
        return lake.read("generated_visuals").filter(pl.col("picture").is_not_null())
    except MissingAsset:
        return None


def _name(row: dict[str, Any]) -> str:
    kind = row["media_type"].removeprefix("image/")
    return f"{row['brief']}-{row['language'] or 'all'}-{row['width']}x{row['height']}.{kind}"
