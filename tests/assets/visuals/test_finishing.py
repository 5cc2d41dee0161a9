"""Finishing: the size and the format that were ordered, never stretched, and what was invented is said."""

import io
from pathlib import Path

import pytest
from PIL import Image

from assets.visuals.finishing import UnreadablePicture, finish
from assets.visuals.orders import FileFormat
from assets.visuals.studio.render import text_of
from tests.assets.visuals.scenes import encoded, scene

SAID = {"Software": "luxauto pictures 1", "luxauto:provider": "openai"}


def opened(content: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(content))
    picture.load()
    return picture


@pytest.mark.parametrize("format", ["png", "webp", "jpeg"])
@pytest.mark.parametrize("size", [(1024, 1024), (800, 1000), (512, 512), (1300, 700)])
def test_a_file_has_the_size_and_the_format_ordered_and_says_what_it_is(format: FileFormat, size: tuple[int, int]):
    made = finish(encoded(scene()), size, format, SAID)
    picture = opened(made.content)
    assert (picture.size, picture.format) == (size, format.upper())
    assert (made.width, made.height, made.media_type) == (*size, f"image/{format}")
    assert text_of(made.content) == SAID


def test_a_png_that_fits_keeps_its_pixels_and_only_gains_text():
    content = encoded(scene())
    made = finish(content, (1024, 1024), "png", SAID)
    assert made.kept
    assert opened(made.content).tobytes() == opened(content).tobytes()
    again = finish(made.content, (1024, 1024), "png", {**SAID, "Title": "A bag"})
    assert text_of(again.content) == {**SAID, "Title": "A bag"}


def test_a_circle_stays_one():
    ink = Image.new("RGB", (1000, 1000), "white")
    ink.paste("black", (400, 400, 600, 600))
    made = opened(finish(encoded(ink), (500, 250), "png", {}).content).convert("L")
    black = [made.getpixel(place) for place in ((205, 80), (294, 80), (205, 169), (294, 169))]
    white = [made.getpixel(place) for place in ((194, 125), (305, 125), (250, 69), (250, 180))]
    assert black == [0] * 4 and white == [255] * 4


def test_what_is_cut_and_what_is_enlarged_is_said():
    made = finish(encoded(scene()), (2048, 1024), "png", {})
    assert made.enlarged == 2.0
    assert made.notes == (
        "it came as 1024x1024: 50% of it was cut off for 2048x1024",
        "it came as 1024x1024 and was enlarged 2.00 times",
    )
    smaller = finish(encoded(scene()), (512, 512), "png", {})
    assert (smaller.enlarged, smaller.notes) == (1.0, ())


def test_a_picture_that_lies_on_its_side_is_put_upright():
    side = Image.new("RGB", (400, 200), "white")
    side.paste("red", (0, 0, 200, 200))
    exif = Image.Exif()
    exif[0x0112] = 6
    made = opened(finish(encoded(side, "JPEG", exif=exif, quality=95), (200, 400), "png", {}).content)
    red, white = made.getpixel((100, 50)), made.getpixel((100, 350))
    assert isinstance(red, tuple) and isinstance(white, tuple)
    assert red[0] > 200 and red[1] < 60 and white[1] > 200


def test_what_is_transparent_stays_so_where_the_format_can_and_is_white_where_not():
    glass = Image.new("RGBA", (300, 300), (0, 0, 0, 0))
    for format in ("png", "webp"):
        assert opened(finish(encoded(glass), (200, 200), format, SAID).content).convert("RGBA").getpixel((5, 5))[3] == 0  # pyright: ignore
    assert opened(finish(encoded(glass), (200, 200), "jpeg", {}).content).getpixel((5, 5)) == (255, 255, 255)


@pytest.mark.parametrize("content", [b"", b"no picture", encoded(scene())[:500]])
def test_what_is_no_picture_is_refused(content: bytes):
    with pytest.raises(UnreadablePicture):
        finish(content, (512, 512), "png", {})


def test_a_picture_with_credentials_is_written_anew_so_that_they_are_not_broken(tmp_path: Path):
    content = encoded(scene())
    made = finish(content, (1024, 1024), "png", SAID, whole=False)
    assert not made.kept
    assert opened(made.content).tobytes() == opened(content).tobytes()
