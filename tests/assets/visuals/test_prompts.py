"""Prompts: the words of whoever asks first and whole, then the kit's; what it forbids is refused before anybody is asked."""

from pathlib import Path

import pytest

from assets.visuals.brand_kit import BrandKit
from assets.visuals.briefs import Brief, Product
from assets.visuals.errors import VisualsError
from assets.visuals.presets import PRESETS
from assets.visuals.prompts import ROOM, ForbiddenWords, compose, plain, words_of
from tests.assets.visuals.kits import load

BAG = Product.model_validate({"name": "Seine tote", "material": "Vegetable-tanned calfskin", "colour": "#8A4B2A"})


@pytest.fixture
def kit(tmp_path: Path) -> BrandKit:
    return load(tmp_path, forbidden__words=["cheap", "limited offer"], forbidden__marks=["Herbès"]).kit


def test_a_prompt_begins_with_the_words_asked_for_and_names_the_palette_by_name_and_value(kit: BrandKit):
    prompt = compose(kit, "minimalist_luxury", "a bag on marble", shot="From the front", product=BAG)
    assert prompt.text.startswith(
        "a bag on marble. From the front. Seine tote, Vegetable-tanned calfskin, in the colour #8A4B2A."
    )
    for colour in (kit.palette.background, kit.palette.accent, *kit.palette.extra):
        assert f"{colour.name} {colour.hex.upper()}" in prompt.text
    assert kit.presets["minimalist_luxury"].prompt in prompt.text
    assert all(text in prompt.text for text in (*kit.dos, *kit.donts))
    assert prompt.left_out == ()


@pytest.mark.parametrize("preset", PRESETS)
def test_each_preset_brings_its_own_words_and_what_it_does_not_want(kit: BrandKit, preset):
    prompt = compose(kit, preset, "a bag", negative="people")
    assert kit.presets[preset].prompt in prompt.text
    assert prompt.negative.startswith(f"people, {kit.presets[preset].negative}, Herbès, ")


def test_the_same_words_have_the_same_hash_and_any_other_word_another(kit: BrandKit):
    hashes = [compose(kit, "modern_elegance", words).hash for words in ("a bag", "a bag ", "a belt")]
    assert hashes[0] == hashes[1] != hashes[2]
    assert compose(kit, "modern_elegance", "a bag", negative="people").hash != hashes[0]


@pytest.mark.parametrize(
    ("words", "shot", "product", "field", "found"),
    [
        ("a CHEAP bag", "", None, "prompt", "cheap"),
        ("a li\u00admited   offer", "", None, "prompt", "limited offer"),
        ("in the manner of Herbes", "", None, "prompt", "Herbès"),
        ("a bag", "cheap, close", None, "shot", "cheap"),
        ("a bag", "", Product.model_validate({"name": "Cheap tote"}), "product.name", "cheap"),
        ("a bag", "", Product.model_validate({"name": "Tote", "material": "cheap hide"}), "product.material", "cheap"),
    ],
)
def test_forbidden_words_and_marks_are_refused_with_their_field(kit: BrandKit, words, shot, product, field, found):
    with pytest.raises(ForbiddenWords) as refused:
        compose(kit, "minimalist_luxury", words, shot=shot, product=product)
    assert refused.value.found == ((field, found),)


def test_a_word_that_only_holds_a_forbidden_one_is_none(kit: BrandKit):
    assert "cheapest" in compose(kit, "minimalist_luxury", "not the cheapest").text


def test_long_words_stay_whole_and_what_of_the_kit_did_not_fit_is_said(kit: BrandKit):
    long = "x" * (ROOM - 400)
    prompt = compose(kit, "minimalist_luxury", long)
    assert prompt.text.startswith(long)
    assert len(prompt.text) <= ROOM
    assert "dos" in prompt.left_out or "palette" in prompt.left_out
    whole = compose(kit, "minimalist_luxury", "y" * ROOM)
    assert whole.text == f"{'y' * ROOM}."
    assert "style" in whole.left_out


def test_a_prompt_without_anything_to_be_seen_is_refused(kit: BrandKit):
    with pytest.raises(VisualsError, match="nothing to be seen"):
        compose(kit, "minimalist_luxury", " \u200b\n")
    assert compose(kit, "minimalist_luxury", "", product=BAG).text.startswith("Seine tote")


def test_control_and_invisible_characters_are_no_words():
    assert plain("a\u0000 b\u200bc\r\n d\u2028e") == "a bc d e"
    assert plain("Cafe\u0301") == "Caf\u00e9"


def test_a_layout_means_its_theme_to_a_painter(kit: BrandKit):
    brief = Brief.model_validate(
        {
            "id": "hero",
            "template": "banner",
            "campaign": "Autumn 2026",
            "texts": {"en": {"headline": "The quiet weight of cloth", "call_to_action": "Discover"}},
        }
    )
    assert words_of(brief, "en") == "The quiet weight of cloth. Autumn 2026."
