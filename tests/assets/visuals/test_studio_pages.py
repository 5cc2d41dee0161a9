"""Pages of the studio: no text on another, on a picture or over the edge; the same bytes each time; their origin."""

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops

from assets.visuals.brand_kit import PRESETS, LoadedKit
from assets.visuals.briefs import FORMATS, Brief, InvalidBrief, read_briefs
from assets.visuals.quality import judge
from assets.visuals.studio.contact_sheet import contact_sheet
from assets.visuals.studio.render import Picture, render, render_brief, text_of, with_text
from assets.visuals.studio.text import longest_word
from tests.assets.visuals.kits import load
from tests.assets.visuals.pages import faults, page
from tests.assets.visuals.scenes import encoded, scene
from tests.assets.visuals.test_studio_text import needs_japanese

TEXTS: dict[str, dict[str, str]] = {
    "en": {
        "eyebrow": "Autumn 2026",
        "headline": "The quiet weight of good cloth",
        "body": "Double-faced cashmere, woven in Biella and cut in our atelier.",
        "call_to_action": "Discover the coats",
        "caption": "Paris",
    },
    "de": {
        "eyebrow": "Herbst und Winter",
        "headline": "Die Herbstkollektionspräsentation der Kaschmirmäntel",
        "body": "Doppelgesichtiges Kaschmir, in Biella gewebt und in unserem Atelier zugeschnitten.",
        "call_to_action": "Zur Kollektionsübersicht",
        "caption": "Größenberatung",
    },
    "fr": {
        "eyebrow": "Haute couture",
        "headline": "L’heure bleue à l’atelier",
        "body": "Cent quarante heures de broderie, une seule main.",
        "call_to_action": "Voir le défilé",
        "caption": "Prêt-à-porter",
    },
    "it": {
        "eyebrow": "Serata",
        "headline": "Un’ultima danza al Grand Hôtel",
        "body": "Velluto, lacca e una luce d’oro.",
        "call_to_action": "Scopri",
    },
    "el": {
        "eyebrow": "Από το 1924",
        "headline": "Η τέχνη του χρόνου",
        "body": "Δέρμα που γερνά όμορφα, ραμμένο στο χέρι.",
        "caption": "Παρίσι, Μιλάνο, Αθήνα",
    },
}
if needs_japanese:
    TEXTS["ja"] = {
        "eyebrow": "秋冬",
        "headline": "静けさを纏う、冬の一着",
        "body": "ビエラで織られたカシミアを、一着ずつ仕立てています。",
    }
PRODUCT = {
    "name": "Seine tote",
    "type": "Bags",
    "material": "Vegetable-tanned calfskin",
    "colour": "#8A4B2A",
    "price": "1980",
    "currency": "EUR",
}
TEMPLATES = ("banner", "social", "product_card", "lookbook", "logo")


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> LoadedKit:
    return load(tmp_path_factory.mktemp("kit"), tagline="Paris, depuis 1924")


def brief(template: str, **changes: Any) -> Brief:
    product = PRODUCT if template == "product_card" else None
    said = {"id": "one", "template": template, "texts": TEXTS, "product": product, "campaign": "Autumn"}
    return Brief.model_validate({**said, **changes})


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("preset", PRESETS)
def test_nothing_overlaps_or_leaves_its_place_and_all_can_be_read(kit: LoadedKit, template: str, preset: str):
    one = brief(template, preset=preset)
    for name, size in FORMATS.items():
        for language in TEXTS:
            made = page(kit, one, size, language)
            where = f"{template} {preset} {name} {language}"
            assert made.placed, where
            assert not faults(made), where


@pytest.mark.parametrize("preset", PRESETS)
def test_a_headline_is_the_largest_text(kit: LoadedKit, preset: str):
    for template in ("banner", "social", "lookbook"):
        sizes = {text.name: text.size for text in page(kit, brief(template, preset=preset), (1080, 1350), "en").placed}
        assert sizes["headline"] > 1.8 * max(size for name, size in sizes.items() if name != "headline"), template


def test_a_word_that_fits_when_it_is_smaller_is_not_hyphenated(kit: LoadedKit):
    text = {"de": {"headline": "Die Herbstkollektionspräsentation"}}
    made = page(kit, brief("banner", texts=text), (1920, 800), "de")
    headline = next(placed for placed in made.placed if placed.name == "headline")
    whole = longest_word("Herbstkollektionspräsentation", made.theme.display, "de") * headline.size
    assert headline.ink[2] - headline.ink[0] == pytest.approx(whole, rel=1e-6)


def test_a_wide_logo_stands_in_the_middle(kit: LoadedKit):
    picture = render(kit, brief("logo"), (1600, 600), "en")
    with Image.open(io.BytesIO(picture.content)) as opened:
        box = ImageChops.invert(opened.convert("L").point([0] * 200 + [255] * 56)).getbbox()
    assert box is not None
    assert abs(box[0] - (1600 - box[2])) < 12


def one_picture(kit: LoadedKit, one: Brief, **options: Any) -> Picture:
    return render(kit, one, (600, 750), "fr", **options)


@pytest.mark.parametrize("format", ["png", "webp"])
def test_the_same_brief_gives_the_same_bytes_and_says_what_it_was_made_from(kit: LoadedKit, format: str):
    one = brief("banner", format=format)
    first, second = one_picture(kit, one), one_picture(kit, one)
    assert first.content == second.content
    said = text_of(first.content)
    assert said == dict(first.metadata)
    assert said["luxauto:brand_kit"] == kit.version
    assert said["luxauto:brief"] == one.hash
    assert said["Title"] == "L’heure bleue à l’atelier"
    with Image.open(io.BytesIO(first.content)) as picture:
        assert (picture.format, picture.size) == (format.upper(), (600, 750))


def test_another_seed_or_word_gives_another_picture_and_hash(kit: LoadedKit):
    one, seeded = brief("banner"), brief("banner", seed=2)
    assert one.hash != seeded.hash
    assert one_picture(kit, one).content != one_picture(kit, seeded).content


@pytest.mark.parametrize("template", [*TEMPLATES, "pattern"])
def test_pages_pass_the_checks_of_quality(kit: LoadedKit, template: str):
    picture = render(kit, brief(template), (1080, 1080), "en")
    palette = list(kit.kit.palette.colours().values())
    report = judge(picture.content, palette=palette, size=(1080, 1080), others={})
    assert report.status != "failed", report.as_dict()


def test_a_photograph_is_shown_and_named(kit: LoadedKit):
    photo = encoded(scene(), "JPEG")
    with_photo, without = one_picture(kit, brief("banner"), photo=photo), one_picture(kit, brief("banner"))
    assert with_photo.content != without.content
    assert "luxauto:photo" in with_photo.metadata


def test_a_logo_may_stand_on_nothing(kit: LoadedKit):
    picture = render(kit, brief("logo", transparent=True), (600, 600), "en")
    with Image.open(io.BytesIO(picture.content)) as opened:
        assert opened.convert("RGBA").getpixel((2, 2))[3] == 0  # type: ignore[index]


def test_prices_are_written_as_the_language_does(kit: LoadedKit):
    one = brief("product_card")
    shown = {
        language: next(t.text for t in page(kit, one, (960, 1280), language).placed if t.name == "price")
        for language in ("en", "de", "fr", "it", "es")
    }
    assert shown == {
        "en": "€1,980",
        "de": "1.980\u00a0€",
        "fr": "1\u202f980\u00a0€",
        "it": "1.980\u00a0€",
        "es": "1980\u00a0€",
    }


def test_text_in_a_png_leaves_its_pixels(kit: LoadedKit):
    content = encoded(scene(size=(64, 64)))
    changed = with_text(content, {"Title": "Élégance 日本"})
    assert text_of(changed) == {"Title": "Élégance 日本"}
    with Image.open(io.BytesIO(content)) as a, Image.open(io.BytesIO(changed)) as b:
        assert a.tobytes() == b.tobytes()


def test_a_contact_sheet_shows_each_picture_whole_in_full_rows(kit: LoadedKit):
    shades = [(40 + 20 * n, 200 - 20 * n, 90) for n in range(9)]
    sizes = [(300, 200), (200, 300), (200, 200)] * 3
    pictures = [(f"picture {n}", encoded(Image.new("RGB", sizes[n], shades[n]))) for n in range(9)]
    with Image.open(io.BytesIO(contact_sheet(kit, pictures, "Maison Orsenna"))) as sheet:
        pixels = sheet.convert("RGB")
    boxes = []
    for (width, height), shade in zip(sizes, shades, strict=True):
        off = ImageChops.difference(pixels, Image.new("RGB", pixels.size, shade)).convert("L")
        alike = off.point([255, 255] + [0] * 254)
        left, top, right, bottom = alike.getbbox() or (0, 0, 0, 0)
        assert (right - left) / (bottom - top) == pytest.approx(width / height, rel=0.03)
        boxes.append((left, top, right, bottom))
    ends = {max(box[2] for box in boxes if box[1] == top) for top in {box[1] for box in boxes}}
    assert max(ends) - min(ends) <= 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"texts": {}}, "texts.en.headline"),
        ({"texts": {"en": {"eyebrow": "x"}}}, "texts.en.headline"),
        ({"sizes": ["huge"]}, "1080x1350"),
        ({"sizes": ["10x10"]}, "200 to 4096"),
        ({"preset": "grunge"}, "preset"),
        ({"languages": ["es"]}, "add texts.es"),
        ({"template": "product_card", "product": None}, "product.name"),
        ({"product": {"name": "x", "price": 3}}, "currency"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_brief_that_cannot_be_drawn_says_which_field(tmp_path: Path, changes: dict[str, Any], message: str):
    import yaml

    file = tmp_path / "brief.yaml"
    said = {"id": "one", "template": "banner", "texts": {"en": {"headline": "x"}}, **changes}
    file.write_text(yaml.safe_dump(said))
    with pytest.raises(InvalidBrief, match=message):
        read_briefs(file)


def test_forbidden_words_are_refused_before_anything_is_drawn(kit: LoadedKit):
    with pytest.raises(InvalidBrief, match=r"texts\.en\.body.*discount"):
        next(render_brief(kit, brief("banner", texts={"en": {"headline": "x", "body": "A discount"}})))
