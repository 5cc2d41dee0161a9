"""The marks of each language: quotation marks, apostrophes, dashes, and spaces at which no line ends."""

from pathlib import Path

import pytest

from assets.visuals.studio.text import Block, Style, prepare, set_text
from assets.visuals.studio.typography import dressed
from tests.assets.visuals.kits import load

THIN, FIXED = "\u202f", "\u00a0"


@pytest.mark.parametrize(
    ("language", "typed", "printed"),
    [
        ("en", 'The "quiet" coat\'s weight...', "The “quiet” coat’s weight…"),
        ("en", "The workers' hands", "The workers’ hands"),
        ("de", 'Das "leise" Tuch', "Das „leise“ Tuch"),
        ("fr", 'L\'heure "bleue"', f"L’heure «{THIN}bleue{THIN}»"),
        ("it", 'L\'ultima "danza"', "L’ultima «danza»"),
        ("es", 'La "siesta"', "La «siesta»"),
        ("fr", "Quoi ? Oui!", f"Quoi{THIN}? Oui{THIN}!"),
        ("fr", "Biella : le poids", f"Biella{FIXED}: le poids"),
        ("fr", "À 10:30, le 12 décembre", f"À 10:30, le 12{FIXED}décembre"),
        ("de", "Am 3. Dezember, Nr. 7", f"Am 3.{FIXED}Dezember, Nr.{FIXED}7"),
        ("es", "Desde el 3 de diciembre", f"Desde el 3{FIXED}de diciembre"),
        ("en", "Open 10-12", "Open 10–12"),
        ("en", "Call 01-22-33", "Call 01-22-33"),
        ("en", "Silk - and nothing else", f"Silk{FIXED}– and nothing else"),
        ("de", "Länge 38 cm", f"Länge 38{FIXED}cm"),
    ],
)
def test_what_is_typed_is_printed_as_the_language_does(language: str, typed: str, printed: str):
    assert dressed(typed, language) == printed


@pytest.mark.parametrize("language", ["en", "fr", "de", "it", "es", "ja"])
def test_a_text_that_is_dressed_stays_as_it_is(language: str):
    text = "L’heure « bleue »… le 12 décembre : oui ! “So” – „so“, 10–12, 静かな"
    once = dressed(text, language)
    assert dressed(once, language) == once


def test_no_line_ends_between_a_day_and_its_month(tmp_path: Path):
    style = Style.of(load(tmp_path).kit.typefaces.text, ("EB Garamond",), balanced=True)
    text = "Un nuovo salone in via de’ Tornabuoni, dal 3 dicembre, su invito"
    for width in range(240, 700, 20):
        block = set_text(text, style, 20, width, "it", hyphenate=False)
        assert block is not None
        ends = _line_ends(prepare(text, style, "it"), block)
        assert not any(end.endswith(" 3") for end in ends), (width, ends)


def _line_ends(text: str, block: Block) -> list[str]:
    """The text up to the end of each line: a line holds as many letters as it has clusters."""
    found, at = [], 0
    for line in block.lines[:-1]:
        at += max(glyph.cluster for glyph in line.glyphs) + 1
        found.append(text[:at])
        at += text[at : at + 1] == " "
    return found
