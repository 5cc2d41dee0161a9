"""Text in the studio: no black outside its box in six languages, lines broken as each language breaks them, kerning kept."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from assets.visuals.brand_kit import PRESETS, LoadedKit
from assets.visuals.errors import VisualsError
from assets.visuals.quality import _on_white, _opened
from assets.visuals.studio.fonts import FontError, find_family, font_set, installed_families
from assets.visuals.studio.layout import Box, Page, TextDoesNotFit, Theme, Words
from assets.visuals.studio.render import rasterise
from assets.visuals.studio.text import Style, capitals, longest_word, set_text
from tests.assets.visuals.kits import load

SENTENCES = {
    "en": "The quiet weight of good cloth, cut for ever; £1,299 — jacket WAVY To. fjord affluent",
    "de": "Donaudampfschifffahrtsgesellschaftskapitänsmütze Kaschmirmantelkollektion größte Übergröße Straße und für Ärmel",
    "fr": "L’heure bleue à l’atelier : « Élégance » façonnée, cœur d’ébène, où naît l’œuvre À ÇA",
    "it": "Un’ultima danza al Grand Hôtel; velluto, lacca, perché così è più",
    "el": "Η τέχνη του χρόνου, Δέρμα ραμμένο στο χέρι· Ώρα ϊΐ Ύφασμα",
    "ja": "静けさを纏う、 「冬の一着」 カシミア 仕立てて います。 Maison パリ",
}
WORDS = {language: sentence.split() for language, sentence in SENTENCES.items()}
needs_japanese = "IPAexMincho" in installed_families()
LANGUAGES = [language for language in WORDS if language != "ja" or needs_japanese]


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> LoadedKit:
    return load(tmp_path_factory.mktemp("kit"))


@st.composite
def sentences(draw: st.DrawFn) -> tuple[str, str]:
    language = draw(st.sampled_from(LANGUAGES))
    words = draw(st.lists(st.sampled_from(WORDS[language]), min_size=1, max_size=14))
    return language, ("" if language == "ja" else " ").join(words)


def black_outside(svg: str, size: int, box: Box) -> int:
    """Pixels that are not white and lie more than one from the box: an edge may be smoothed over one."""
    pixels = np.asarray(_on_white(_opened(rasterise(svg, size, size))).convert("L")) < 250
    left, top = int(np.floor(box.x)) - 1, int(np.floor(box.y)) - 1
    pixels[max(top, 0) : int(np.ceil(box.bottom)) + 1, max(left, 0) : int(np.ceil(box.right)) + 1] = False
    return int(pixels.sum())


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sentences(),
    st.sampled_from(PRESETS),
    st.sampled_from(["left", "centre", "right"]),
    st.sampled_from(["top", "middle", "bottom"]),
    st.integers(60, 460),
    st.integers(40, 460),
    st.floats(14, 120),
)
def test_no_black_leaves_its_box(
    kit: LoadedKit, said: tuple[str, str], preset: str, align: str, upright: str, width: int, height: int, size: float
):
    language, text = said
    theme = Theme.of(kit, kit.kit.presets[preset])  # type: ignore[index]
    page = Page(600, 600, theme, language)
    box = Box((600 - width) / 2, (600 - height) / 2, width, height)
    items = [
        Words("eyebrow", text[:20], theme.label, size / 3, "#000000", floor=8),
        Words("headline", text, theme.display, size, "#000000", gap=size / 4, floor=9),
        Words("body", text, theme.text, size / 3, "#000000", gap=size / 4, floor=8, underlined=True),
    ]
    try:
        page.stack(box, items, align=align, upright=upright)
    except TextDoesNotFit:
        assume(False)
    assert black_outside(page.svg("test"), 600, box) == 0
    for placed in page.placed:
        assert placed.ink[0] >= box.x - 1e-6
        assert placed.ink[1] >= box.y - 1e-6
        assert placed.ink[2] <= box.right + 1e-6
        assert placed.ink[3] <= box.bottom + 1e-6
    for above, below in zip(page.placed, page.placed[1:], strict=False):
        assert above.ink[3] <= below.ink[1] + 1e-6


def style(family: str = "Cormorant Garamond", **options: object) -> Style:
    return Style(font_set(family, 400, False), **options)  # type: ignore[arg-type]


def lines(
    text: str, set_in: Style, width: float, language: str = "en", size: float = 20, hyphenate: bool = True
) -> list[str]:
    """The lines as text, by where each glyph came from."""
    from assets.visuals.studio import text as module

    found = module._break(module.prepare(text, set_in, language), set_in, width / size, language, hyphenate)
    assert found is not None
    return found


def test_a_german_compound_is_hyphenated_where_its_parts_meet():
    found = lines("Donaudampfschifffahrtsgesellschaft", style(), 150, "de")
    assert all(line.endswith("-") for line in found[:-1])
    assert "".join(line.rstrip("-") for line in found) == "Donaudampfschifffahrtsgesellschaft"
    assert set_text("Donaudampfschifffahrtsgesellschaft", style(), 20, 150, "de", hyphenate=False) is None


def test_french_punctuation_stays_with_its_word():
    found = lines("Une question\u202f? Une «\u00a0réponse\u00a0» longue", style(), 120, "fr")
    assert not any(line.startswith(("?", "»")) for line in found)


@pytest.mark.skipif(not needs_japanese, reason="needs fonts-ipaexfont-mincho: sh tests/install-servers.sh")
def test_japanese_breaks_after_a_comma_and_begins_no_line_with_one():
    found = lines("静けさを纏う、冬の一着を、あなたに。", style(balanced=True), 150, "ja")
    assert len(found) > 1
    assert not any(line[0] in "、。」ー" for line in found)
    assert lines("静けさを纏う、冬の一着", style(balanced=True), 145, "ja") == ["静けさを纏う、", "冬の一着"]


def test_lines_are_balanced_and_as_few_as_can_be():
    found = lines("Double-faced cashmere, woven in Biella and cut in our atelier", style(balanced=True), 330)
    assert len(found) == 2
    assert len(found[1]) > len(found[0]) * 0.6


def test_a_soft_hyphen_shows_only_where_a_line_ends():
    assert lines("Kollek\u00adtion", style(), 500) == ["Kollektion"]
    assert lines("Kollek\u00adtion", style(), 60, hyphenate=False) == ["Kollek-", "tion"]


def test_letters_are_kerned():
    face = find_family("Jost")
    pair = face.shape("AV").advance
    assert pair < face.shape("A").advance + face.shape("V").advance - 0.02


def test_space_between_letters_is_added_between_and_not_after_them():
    plain, spaced = style(), style(tracking=0.2)
    assert longest_word("HHHH", spaced, "en") == pytest.approx(longest_word("HHHH", plain, "en") + 0.6)


@pytest.mark.parametrize(
    ("text", "language", "shown"),
    [
        ("straße", "de", "STRASSE"),
        ("Από το χέρι", "el", "ΑΠΟ ΤΟ ΧΕΡΙ"),
        ("istanbul", "tr", "İSTANBUL"),
        ("à ça", "fr", "À ÇA"),
    ],
)
def test_capitals_are_those_of_the_language(text: str, language: str, shown: str):
    assert capitals(text, language) == shown


def test_greek_is_set_in_one_face_with_its_figures():
    shaped = font_set("Jost", 400, False).shape("Από το 1924")
    assert {glyph.face.family for glyph in shaped.glyphs} == {"EB Garamond"}


def test_a_letter_that_no_font_has_is_named():
    with pytest.raises(FontError, match=r"U\+16A0"):
        Style(font_set("Jost", 400, False).__class__([find_family("Jost")])).fonts.shape("ᚠ")


def test_a_family_that_is_not_installed_is_replaced_and_said():
    found = font_set("Didot Rara", 400, False)
    assert "Didot Rara is not installed" in found.notes[0]


def test_what_is_written_from_the_right_is_refused():
    with pytest.raises(VisualsError, match="from the right"):
        set_text("שלום", style(), 20, 200, "he", hyphenate=False)


def test_a_text_that_cannot_fit_says_which_and_how_long(kit: LoadedKit, tmp_path: Path):
    theme = Theme.of(kit, kit.kit.presets["haute_couture"])
    page = Page(600, 600, theme, "en")
    with pytest.raises(TextDoesNotFit, match=r"headline \(800 characters\)"):
        page.stack(Box(0, 0, 100, 50), [Words("headline", "word " * 160, theme.display, 40, "#000000")], align="left")
