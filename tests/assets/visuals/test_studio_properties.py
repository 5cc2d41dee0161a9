"""Whatever is written in the five languages: a page is sound, or the text is refused by name. Nothing in between."""

from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from tempfile import mkdtemp

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assets.visuals.brand_kit import PRESETS, LoadedKit
from assets.visuals.briefs import FORMATS, Brief
from assets.visuals.studio.layout import Page, TextDoesNotFit
from tests.assets.visuals.kits import load
from tests.assets.visuals.pages import faults, page

WORDS = {
    "en": [
        "uncharacteristically",
        "understated",
        "double-breasted",
        "overcoat",
        "of",
        "Knightsbridge,",
        "hand-finished",
    ],
    "de": [
        "Die",
        "Herbstkollektionspräsentation,",
        "Kaschmirdoppelgesichtsmäntel",
        "für",
        "Größenberatungsgespräche",
        "im",
        "Übergangsmantel",
    ],
    "fr": [
        "L’extraordinaire",
        "prêt-à-porter",
        "d’après-midi,",
        "anticonstitutionnellement",
        "brodé",
        ":",
        "à",
        "Saint-Germain-des-Prés",
        "!",
    ],
    "it": [
        "L’artigianalità",
        "precipitevolissimevolmente",
        "ricercata",
        "dell’impermeabilizzazione,",
        "perché",
        "così",
        "è",
        "più",
        "bella",
    ],
    "es": [
        "La",
        "extraordinariamente",
        "desproporcionada",
        "confección",
        "¿artesanal?",
        "de",
        "impermeabilización,",
        "electroencefalografista",
    ],
}
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]
NAMES = [
    "Aurore",
    "Écuyer",
    "Solène-Marguerite",
    "Übergangsjacke Großherzogin",
    "Ñandú",
    "Constantinopolitana d’Été",
    "Ligne",
]
PLATES = ("auto", "drape", "arches", "monogram")
# At half their size, so that many can be drawn; layouts measure in hundredths of the page.
SIZES = {name: (width // 2, height // 2) for name, (width, height) in FORMATS.items()}


@lru_cache(maxsize=1)
def kit() -> LoadedKit:
    return load(Path(mkdtemp()))


@st.composite
def briefs(draw: st.DrawFn, longest: int = 9) -> tuple[Brief, tuple[int, int], str]:
    language = draw(st.sampled_from(sorted(WORDS)))
    words = st.sampled_from(WORDS[language])

    def text(most: int, characters: int, least: int = 0) -> str:
        return " ".join(draw(st.lists(words, min_size=least, max_size=most)))[:characters].strip()

    said = {
        "eyebrow": text(3, 80),
        "headline": text(longest, 160, 1),
        "body": text(longest * 3, 600),
        "call_to_action": text(3, 60),
        "caption": text(5, 160),
    }
    template = draw(st.sampled_from(["banner", "social", "product_card", "lookbook", "logo"]))
    product = None
    if template == "product_card":
        price = draw(st.none() | st.decimals(0, 10**7, places=2))
        product = {
            "name": draw(st.sampled_from(NAMES)),
            "type": text(3, 80),
            "material": text(8, 160),
            "colour": "#8A4B2A",
        }
        product |= {"price": Decimal(price), "currency": "EUR"} if price is not None else {}
        said["headline"] = draw(st.sampled_from(["", said["headline"]]))
    brief = {
        "id": "any",
        "template": template,
        "preset": draw(st.sampled_from(PRESETS)),
        "plate": draw(st.sampled_from(PLATES)),
        "texts": {language: said},
        "product": product,
        "seed": 4,
    }
    return Brief.model_validate(brief), SIZES[draw(st.sampled_from(sorted(SIZES)))], language


@settings(max_examples=150, deadline=None, suppress_health_check=SLOW)
@given(briefs())
def test_a_page_is_sound_or_its_text_is_refused(asked: tuple[Brief, tuple[int, int], str]):
    brief, size, language = asked
    try:
        made = page(kit(), brief, size, language)
    except TextDoesNotFit as refused:
        assert "shorten it" in str(refused)
        return
    assert not faults(made)
    _all_is_said(made, brief, language)


@settings(max_examples=60, deadline=None, suppress_health_check=SLOW)
@given(briefs(longest=3))
def test_a_few_long_words_always_fit(asked: tuple[Brief, tuple[int, int], str]):
    brief, size, language = asked
    assert not faults(page(kit(), brief, size, language))


@pytest.mark.parametrize("language", sorted(WORDS))
@pytest.mark.parametrize("preset", PRESETS)
def test_a_headline_of_the_longest_word_of_a_language_fits_every_format(preset: str, language: str):
    word = max(WORDS[language], key=len).strip(",!?¿¡")
    for template in ("banner", "social", "lookbook"):
        said = {"id": "any", "template": template, "preset": preset, "seed": 4, "texts": {language: {"headline": word}}}
        for name, size in SIZES.items():
            assert not faults(page(kit(), Brief.model_validate(said), size, language)), (template, name)


def _all_is_said(made: Page, brief: Brief, language: str) -> None:
    """Nothing that the brief says of a page with words is left out of it silently."""
    shown = {text.text for text in made.placed}
    words = brief.words(language)
    if brief.template in ("banner", "social"):
        assert {text for text in words.model_dump().values() if text.strip()} <= shown
