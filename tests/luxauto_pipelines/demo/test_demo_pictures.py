"""The demo maison's fifty briefs: as many as promised, in five languages, each page sound and each picture good enough.

Does not belong here: what every page of the studio must keep (`tests/assets/visuals/test_studio_pages`).
"""

from itertools import combinations
from pathlib import Path

import pytest
import yaml

from assets.visuals.brand_files import briefs_folder, find_briefs, find_kit
from assets.visuals.brand_kit import PRESETS, LoadedKit
from assets.visuals.briefs import Brief, pixels, read_briefs
from assets.visuals.colour import contrast
from assets.visuals.quality import fingerprint, judge
from assets.visuals.studio.render import render_brief
from luxauto_pipelines.demo.maison import STYLES
from luxauto_pipelines.demo.pictures import BRIEFS, write_pictures_briefs
from resources.settings import load_settings
from tests.assets.visuals.kits import load
from tests.assets.visuals.test_studio_pages import overlap, page

DEMO = read_briefs(BRIEFS)
LANGUAGES = {"en", "fr", "de", "it", "es"}


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> LoadedKit:
    return load(tmp_path_factory.mktemp("kit"))


def test_there_are_fifty_in_five_languages_and_every_style() -> None:
    assert len(DEMO) == 50
    assert {language for brief in DEMO for language in brief.texts} == LANGUAGES
    assert {brief.preset for brief in DEMO} == set(PRESETS)
    assert {brief.template for brief in DEMO} == {"banner", "product_card", "lookbook", "social", "logo", "pattern"}


def test_the_pieces_are_those_of_the_maison() -> None:
    for brief in DEMO:
        if brief.product:
            code = brief.product.sku.split("-")[1]
            [style] = [one for one in STYLES if one.code == code]
            assert float(brief.product.price or 0) == style.price, brief.id


@pytest.mark.parametrize("brief", DEMO, ids=lambda brief: brief.id)
def test_no_text_leaves_its_box_or_meets_another(kit: LoadedKit, brief: Brief) -> None:
    for language in brief.each_language():
        for size in map(pixels, brief.sizes):
            made = page(kit, brief, size, language)
            for text in made.placed:
                left, top, right, bottom = text.ink
                assert text.box[0] - 1e-6 <= left <= right <= text.box[2] + 1e-6, text
                assert text.box[1] - 1e-6 <= top <= bottom <= text.box[3] + 1e-6, text
                assert left > 0 and top > 0 and right < size[0] and bottom < size[1], text
                assert contrast(text.colour, made.theme.ground) >= 4.5, text
                assert not any(overlap(text.ink, area) for area in made.areas.values()), text
            for a, b in combinations(made.placed, 2):
                assert not overlap(a.ink, b.ink), (a.name, b.name)


def test_every_picture_passes_and_none_repeats_that_of_another_brief(kit: LoadedKit) -> None:
    palette = list(kit.kit.palette.colours().values())
    seen = {}
    for brief in DEMO:
        own = {}
        for picture in render_brief(kit, brief):
            size = (picture.width, picture.height)
            report = judge(picture.content, palette=palette, size=size, others=seen)
            assert report.status == "passed", (picture.name, [c for c in report.checks if c.status != "passed"])
            own[picture.name] = fingerprint(picture.content)
        seen |= own


def test_a_kit_and_briefs_that_are_there_are_left_alone(home: Path) -> None:
    settings = load_settings()
    write_pictures_briefs(settings)
    assert find_briefs(settings) == DEMO
    first = find_kit(settings)
    assert first is not None
    file = briefs_folder(settings) / BRIEFS.name
    file.write_text(yaml.safe_dump({"briefs": [{"id": "mine", "template": "logo"}]}), encoding="utf-8")
    write_pictures_briefs(settings)
    assert [brief.id for brief in find_briefs(settings)] == ["mine"]
    again = find_kit(settings)
    assert again is not None
    assert again.version == first.version
