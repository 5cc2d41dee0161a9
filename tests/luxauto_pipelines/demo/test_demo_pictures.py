"""The demo maison's fifty briefs: as many as promised, in their languages, each page sound and each picture good enough.

Does not belong here: what every page of the studio must keep (`tests/assets/visuals/test_studio_pages`).
"""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
import yaml

from assets.visuals.brand_files import briefs_folder, find_briefs, find_kit
from assets.visuals.brand_kit import PRESETS, LoadedKit
from assets.visuals.briefs import Brief, pixels, read_briefs
from assets.visuals.made import VISUALS
from assets.visuals.quality import Fingerprint, fingerprint, judge
from assets.visuals.studio.render import render_brief
from luxauto_pipelines.demo.maison import Maison, found_maison, price_list
from luxauto_pipelines.demo.pictures import (
    BRIEFS,
    SHEET,
    demo_briefs,
    lay_out_pictures,
    picture_figures,
    write_pictures_briefs,
)
from luxauto_pipelines.instance import reload
from resources.images.picture_store import open_picture_store
from resources.lake import Lake
from tests.assets.visuals.kits import load
from tests.assets.visuals.pages import faults, page
from tests.assets.visuals.test_studio_text import needs_japanese

DEMO = read_briefs(BRIEFS)
LANGUAGES = {"en", "fr", "de", "it", "es"}
UNTIL = date(2026, 11, 25)


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> LoadedKit:
    return load(tmp_path_factory.mktemp("kit"))


@pytest.fixture(scope="module")
def maison() -> Maison:
    return found_maison(7, UNTIL)


@pytest.fixture(scope="module")
def catalogue(maison: Maison) -> pl.DataFrame:
    prices = price_list(maison, UNTIL)
    rows = [{"sku": one.sku, "retail_price_minor": prices[one.sku, "EUR"], "currency": "EUR"} for one in maison.items]
    return pl.DataFrame(rows)


@pytest.fixture(scope="module")
def briefs(kit: LoadedKit, catalogue: pl.DataFrame) -> dict[str, Brief]:
    return {brief.id: brief for brief in demo_briefs(kit, catalogue)}


def test_there_are_fifty_in_five_languages_and_every_style(briefs: dict[str, Brief]) -> None:
    assert len(briefs) == 50
    languages = {language for brief in briefs.values() for language in brief.texts}
    assert languages - {"ja"} == LANGUAGES
    assert ("ja" in languages) == bool(needs_japanese)
    assert {brief.preset for brief in briefs.values()} == set(PRESETS)
    assert {brief.template for brief in briefs.values()} == {
        "banner",
        "product_card",
        "lookbook",
        "social",
        "logo",
        "pattern",
    }


def test_the_pieces_and_their_prices_are_those_of_the_catalogue(
    briefs: dict[str, Brief], maison: Maison, catalogue: pl.DataFrame
) -> None:
    names = {item.sku: item.product_name for item in maison.items}
    prices = dict(catalogue.select("sku", "retail_price_minor").iter_rows())
    for brief in briefs.values():
        if brief.product:
            assert brief.product.name.split()[0] in names[brief.product.sku], brief.id
            assert brief.product.price == Decimal(prices[brief.product.sku]) / 100, brief.id
            assert brief.product.currency == "EUR"


def test_a_piece_without_a_price_gets_none(kit: LoadedKit, catalogue: pl.DataFrame) -> None:
    for brief in demo_briefs(kit, catalogue.clear()):
        assert brief.product is None or brief.product.price is None


@pytest.mark.parametrize("name", [brief.id for brief in DEMO])
def test_no_text_leaves_its_box_or_meets_another(kit: LoadedKit, briefs: dict[str, Brief], name: str) -> None:
    brief = briefs[name]
    for language in brief.each_language():
        for size in map(pixels, brief.sizes):
            made = page(kit, brief, size, language)
            assert not faults(made), language
            assert _sizes(text.size for text in made.placed) <= 3, [(t.name, round(t.size, 1)) for t in made.placed]


def test_every_picture_passes_none_repeats_another_and_all_are_the_same_in_another_process(
    kit: LoadedKit, briefs: dict[str, Brief]
) -> None:
    palette = list(kit.kit.palette.colours().values())
    seen: dict[str, Fingerprint] = {}
    hashes = {}
    for brief in briefs.values():
        own = {}
        for picture in render_brief(kit, brief):
            size = (picture.width, picture.height)
            report = judge(picture.content, palette=palette, size=size, others=seen)
            assert report.status == "passed", (picture.name, [c for c in report.checks if c.status != "passed"])
            own[picture.name] = fingerprint(picture.content)
            hashes[picture.name] = hashlib.sha256(picture.content).hexdigest()
        seen |= own
    assert _drawn_elsewhere(kit, briefs) == hashes


def test_the_kit_and_briefs_that_are_there_are_left_alone(home: Path) -> None:
    books = reload()
    write_pictures_briefs(books)
    first = find_kit(books.settings)
    assert first is not None
    assert find_briefs(books.settings) == demo_briefs(first, _nothing_sold())
    file = briefs_folder(books.settings) / BRIEFS.name
    file.write_text(yaml.safe_dump({"briefs": [{"id": "mine", "template": "logo"}]}), encoding="utf-8")
    write_pictures_briefs(books)
    assert [brief.id for brief in find_briefs(books.settings)] == ["mine"]
    again = find_kit(books.settings)
    assert again is not None
    assert again.version == first.version


def test_what_stands_is_laid_out_by_name_with_a_sheet_and_only_anew_when_it_changes(home: Path) -> None:
    books = reload()
    assert lay_out_pictures(books) is None
    write_pictures_briefs(books)
    kit, store = find_kit(books.settings), open_picture_store(books.settings)
    assert kit is not None
    rows = []
    for brief in find_briefs(books.settings)[-3:]:
        [picture] = render_brief(kit, brief)
        asked = {"brief": brief.id, "language": picture.language, "width": picture.width, "height": picture.height}
        made = {"picture": f"pic_{brief.id}", "sha256": store.put(picture.content), "media_type": "image/png"}
        rows.append(dict.fromkeys(VISUALS) | asked | made | {"picture_score": 1.0, "made_at": datetime.now(UTC)})
    lake = Lake(books.settings.lake_url, books.settings.brand)
    lake.write("generated_visuals", pl.DataFrame(rows, schema=VISUALS))
    heard: list[str] = []
    found = lay_out_pictures(books, heard.append)
    assert found is not None
    assert found.pictures == 3
    assert sorted(file.name for file in found.folder.glob("paper-*.png")) == sorted(heard)
    assert found.sheet.name == SHEET
    drawn = found.sheet.stat().st_mtime_ns
    assert lay_out_pictures(books) == found
    assert found.sheet.stat().st_mtime_ns == drawn
    assert picture_figures(lake)["pictures"] == 3


def _sizes(given: Iterable[float]) -> int:
    """How many sizes the eye tells apart: one less than a tenth larger than another is the same."""
    told: list[float] = []
    for size in sorted(given):
        if not told or size > told[-1] * 1.1:
            told.append(size)
    return len(told)


def _nothing_sold() -> pl.DataFrame:
    return pl.DataFrame(schema={"sku": pl.String(), "retail_price_minor": pl.Int64(), "currency": pl.String()})


_ELSEWHERE = """
import hashlib, json, sys
from pathlib import Path
from assets.visuals.brand_kit import read_kit
from assets.visuals.briefs import Brief
from assets.visuals.studio.render import render_brief

kit = read_kit(Path(sys.argv[1]))
briefs = [Brief.model_validate(said) for said in json.load(sys.stdin)]
print(json.dumps({p.name: hashlib.sha256(p.content).hexdigest() for b in briefs for p in render_brief(kit, b)}))
"""


def _drawn_elsewhere(kit: LoadedKit, briefs: dict[str, Brief]) -> dict[str, str]:
    """SHA-256 of each picture, drawn by a process of its own with another seed of Python's hashes."""
    told = json.dumps([brief.model_dump(mode="json") for brief in briefs.values()])
    done = subprocess.run(
        [sys.executable, "-c", _ELSEWHERE, str(kit.folder / "brand.yaml")],
        input=told,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "77"},
        timeout=600,
    )
    return json.loads(done.stdout)
