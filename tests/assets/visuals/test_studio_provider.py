"""The studio among the providers: what it sets for a request, and what it says that it does not do."""

import io
from pathlib import Path

import pytest
from PIL import Image

from assets.visuals.brand_kit import LoadedKit
from assets.visuals.briefs import CONTENT_TYPES, Brief, Product
from assets.visuals.studio_provider import PAINTS_NOTHING, Layout, StudioProvider, layout_of
from resources.images.protocol import Cancelled, ImageRequest, Refused
from tests.assets.visuals.kits import load
from tests.assets.visuals.scenes import encoded, scene


@pytest.fixture
def loaded(tmp_path: Path) -> LoadedKit:
    return load(tmp_path, tagline="Slow since 1924")


@pytest.mark.parametrize("content_type", CONTENT_TYPES)
def test_each_content_type_has_a_page_with_the_kits_words(loaded: LoadedKit, content_type: str):
    layout = layout_of(loaded.kit, content_type, "haute_couture")
    request = ImageRequest("a bag on marble", content_type, 1024, 768, layout=layout)
    made = StudioProvider(loaded).generate(request, "key")
    [image] = made.images
    assert Image.open(io.BytesIO(image.content)).size == (image.width, image.height) == (1024, 768)
    assert image.details["metadata"]["luxauto:preset"] == "haute_couture"
    assert PAINTS_NOTHING in made.notes
    assert made.cost == 0
    said = " ".join(image.details["texts"])
    assert content_type == "pattern_design" or "Slow since 1924" in said or loaded.kit.name in said


@pytest.mark.parametrize("content_type", ["product_photo", "lifestyle_image", "video_commercial"])
def test_what_has_to_be_painted_is_refused(loaded: LoadedKit, content_type: str):
    assert layout_of(loaded.kit, content_type, "minimalist_luxury") is None
    with pytest.raises(Refused, match="paints nothing"):
        StudioProvider(loaded).generate(ImageRequest("a bag", content_type), "key")


def test_a_brief_is_set_with_its_own_words_and_nothing_is_said_of_a_prompt(loaded: LoadedKit):
    brief = Brief.model_validate(
        {"id": "hero", "template": "banner", "texts": {"en": {"headline": "Light"}, "de": {"headline": "Licht"}}}
    )
    request = ImageRequest("composed of the brief", "banner_ad", 900, 700, layout=Layout(brief, "de"))
    made = StudioProvider(loaded).generate(request, "key")
    assert "Licht" in made.images[0].details["texts"]
    assert PAINTS_NOTHING not in made.notes


def test_a_request_without_a_layout_gets_the_kits_page_and_a_bare_brief_its_first_language(loaded: LoadedKit):
    bare = StudioProvider(loaded).generate(ImageRequest("a banner", "banner_ad", 900, 700), "key")
    assert "Slow since 1924" in bare.images[0].details["texts"]
    brief = Brief.model_validate({"id": "x", "template": "social", "texts": {"fr": {"headline": "Lumière"}}})
    given = StudioProvider(loaded).generate(ImageRequest("x", "social_media_post", 900, 900, layout=brief), "key")
    assert "Lumière" in given.images[0].details["texts"]


def test_variations_have_their_own_seeds_and_the_same_request_the_same_bytes(loaded: LoadedKit):
    layout = layout_of(loaded.kit, "pattern_design", "modern_elegance")
    request = ImageRequest("", "pattern_design", 600, 600, count=3, seed=7, layout=layout)
    first, again = (StudioProvider(loaded).generate(request, "key").images for _ in range(2))
    assert [image.seed for image in first] == [7, 8, 9]
    assert [image.content for image in first] == [image.content for image in again]
    assert len({image.content for image in first}) > 1


def test_a_layout_is_known_by_all_that_it_says_and_by_no_address(loaded: LoadedKit):
    def of(**said: object) -> Layout:
        product = Product.model_validate({"name": said.get("name", "Tote")})
        photo = said.get("photo")
        return layout_of(  # pyright: ignore[reportReturnType]
            loaded.kit,
            "design_mockup",
            "modern_elegance",
            product=product,
            photo=photo if isinstance(photo, bytes) else None,
        )

    assert of().hash == of().hash
    assert len({of().hash, of(name="Belt").hash, of(photo=b"a").hash, of(photo=b"b").hash}) == 4
    assert repr(of(photo=b"a")) == f"Layout({of(photo=b'a').hash})"


def test_a_photograph_is_set_into_the_page(loaded: LoadedKit):
    plain, with_photo = (
        StudioProvider(loaded).generate(
            ImageRequest(
                "",
                "design_mockup",
                600,
                800,
                layout=layout_of(loaded.kit, "design_mockup", "modern_elegance", photo=photo),
            ),
            "key",
        )
        for photo in (None, encoded(scene(), "JPEG"))
    )
    assert plain.images[0].content != with_photo.images[0].content
    assert "luxauto:photo" in with_photo.images[0].details["metadata"]


def test_what_cannot_be_set_and_what_is_not_wanted_any_more_ends_with_its_reason(loaded: LoadedKit):
    long = Brief.model_validate({"id": "x", "template": "social", "texts": {"en": {"headline": "W" * 160}}})
    studio = StudioProvider(loaded)
    with pytest.raises(Refused) as refused:
        studio.generate(ImageRequest("", "social_media_post", 200, 200, layout=Layout(long)), "key")
    assert "headline" in str(refused.value)
    with pytest.raises(Refused, match="200 to 4096"):
        studio.generate(ImageRequest("", "brand_logo", 100, 300), "key")
    forbidden = Brief.model_validate({"id": "x", "template": "social", "texts": {"en": {"headline": "A bargain"}}})
    with pytest.raises(Refused, match="bargain"):
        studio.generate(ImageRequest("", "social_media_post", 900, 900, layout=Layout(forbidden)), "key")
    with pytest.raises(Cancelled):
        studio.generate(ImageRequest("", "brand_logo", 600, 600), "key", lambda: True)
