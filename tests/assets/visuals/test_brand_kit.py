"""The brand kit: what it refuses, with the field and the remedy, and what its version depends on."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.visuals.brand_kit import PRESETS, InvalidBrandKit, forbidden_in, read_kit
from assets.visuals.starter_kit import initial
from tests.assets.visuals.kits import load, write_kit


def test_the_starter_kit_can_be_used_and_has_nothing_to_better(tmp_path: Path):
    loaded = load(tmp_path)
    assert loaded.kit.name == "Maison Orsenna"
    assert set(loaded.kit.presets) == set(PRESETS)
    assert loaded.warnings == ()


@pytest.mark.parametrize(
    ("changes", "field", "remedy"),
    [
        ({"palette__ink__hex": "#1F1C1"}, "palette.ink.hex", "six hexadecimal digits"),
        ({"palette__ink__hex": None}, "palette.ink.hex", "quotes"),
        ({"palette__ink__hex": "#C0C0C0"}, "palette.ink.hex", "darker or lighter"),
        ({"palette__accent": ...}, "palette.accent", "Add it"),
        ({"colour": "red"}, "colour", "Correct its name"),
        ({"presets__avant_garde": ...}, "presets.avant_garde", "Add it"),
        ({"presets__grunge": {}}, "presets.grunge", "minimalist_luxury"),
        ({"presets__avant_garde__frame": "baroque"}, "presets.avant_garde.frame", "hairline"),
        ({"logo": "../logo.svg"}, "logo", "beside brand.yaml"),
        ({"logo": "mark.svg"}, "logo", "correct the path"),
        ({"logo": "brand.yaml"}, "logo", "export it again"),
        ({"references": [{"path": "logo.svg"}]}, "references.0.path", "PNG, JPEG or WebP"),
        ({"tagline": "A must-have"}, "tagline", "Change the text"),
        ({"shots__bags": []}, "shots.bags", "Correct the value"),
        ({"typefaces__display__weight": 4000}, "typefaces.display.weight", "Correct the value"),
    ],
)
def test_an_error_names_the_field_and_the_remedy(tmp_path: Path, changes: dict[str, Any], field: str, remedy: str):
    with pytest.raises(InvalidBrandKit) as caught:
        load(tmp_path, **changes)
    found = {finding.field: finding for finding in caught.value.findings}
    assert field in found
    assert remedy in str(found[field])


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path):
    with pytest.raises(InvalidBrandKit) as caught:
        load(tmp_path, palette__ink__hex="#C0C0C0", logo="none.svg", tagline="cheap")
    assert {finding.field for finding in caught.value.findings} >= {"palette.ink.hex", "logo", "tagline"}


@pytest.mark.parametrize("text", ["palette: [", "", "- 1\n", "name: !!python/object:os.system {}"])
def test_a_file_that_is_no_kit_is_refused(tmp_path: Path, text: str):
    file = tmp_path / "brand.yaml"
    file.write_text(text)
    with pytest.raises(InvalidBrandKit):
        read_kit(file)
    with pytest.raises(InvalidBrandKit, match="luxauto brand init"):
        read_kit(tmp_path / "other.yaml")


def test_the_version_changes_with_the_kit_and_its_files_and_with_nothing_else(tmp_path: Path):
    first = load(tmp_path / "a").version
    assert load(tmp_path / "b").version == first
    assert load(tmp_path / "c", dos=["Other"]).version != first
    file = write_kit(tmp_path / "d")
    file.write_text("# a remark\n" + file.read_text())
    assert read_kit(file).version == first
    logo = file.with_name("logo.svg")
    logo.write_text(logo.read_text().replace("</svg>", '<path d="M0 0H9"/></svg>'))
    assert read_kit(file).version != first


def test_a_logo_that_does_more_than_draw_is_used_without_it(tmp_path: Path):
    file = write_kit(tmp_path)
    logo = file.with_name("logo.svg")
    logo.write_text(logo.read_text().replace("</svg>", "<script>alert(1)</script></svg>"))
    loaded = read_kit(file)
    assert "script" not in loaded.logo.markup
    assert "<script>" in loaded.warnings[0].problem


@pytest.mark.parametrize("text", ["So CHEAP!", "ｃｈｅａｐ", "che\u00adap", "chéap", "a\nLimited   Offer"])
def test_forbidden_words_are_found_however_they_are_written(tmp_path: Path, text: str):
    assert forbidden_in(load(tmp_path).kit, text)


@pytest.mark.parametrize("text", ["cheapside", "an offer", ""])
def test_other_words_are_not(tmp_path: Path, text: str):
    assert not forbidden_in(load(tmp_path).kit, text)


@given(st.text(max_size=40))
def test_every_name_has_an_initial(name: str):
    assert initial(name)


def test_an_initial_is_that_of_the_telling_word():
    assert [initial(name) for name in ("Maison Orsenna", "The Row", "Élan", "l'Été", "")] == ["O", "R", "É", "L", "L"]
