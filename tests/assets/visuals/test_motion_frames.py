"""Pixels: windows at tenths of pixels, light that is mixed as light, stills as their makers meant them."""

import io
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from assets.visuals.motion import FilmRefused, Still
from assets.visuals.motion.frames import canvas_of, crossfaded, window
from assets.visuals.motion.plan import View
from tests.assets.visuals.scenes import encoded, scene

SIZE = (480, 270)


def linear(srgb):
    share = np.asarray(srgb, dtype=np.float64) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def to_srgb(light):
    return 255 * np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


def canvas(still: Still, number: int = 0):
    return canvas_of(still, SIZE, 3.0, number, "#F8F4EC")


def test_the_middle_of_a_fade_is_the_mean_of_the_light():
    one, other = (np.asarray(scene(n, SIZE)) for n in (1, 2))
    found = crossfaded(one, other, 0.5).astype(np.float64)
    mean = to_srgb((linear(one) + linear(other)) / 2)
    assert np.abs(found - mean).max() <= 2
    # The mean of the numbers is something else, or this test would prove nothing.
    assert np.abs((one.astype(np.float64) + other) / 2 - mean).max() > 20


@settings(max_examples=100, deadline=None)
@given(st.floats(0, 1), st.integers(0, 255), st.integers(0, 255))
def test_every_share_of_every_two_values_is_mixed_by_light(share: float, one: int, other: int):
    leaving, coming = (np.full((1, 1, 3), value, dtype=np.uint8) for value in (one, other))
    found = int(crossfaded(leaving, coming, share)[0, 0, 0])
    assert abs(found - to_srgb(linear(one) * (1 - share) + linear(other) * share)) <= 1
    assert min(one, other) <= found <= max(one, other)


def test_a_window_moves_by_tenths_of_a_pixel():
    """A wave that the window shows: its phase tells where the window is, to a fiftieth of a pixel."""
    x = np.arange(1200)
    wave = np.rint(127.5 + 100 * np.sin(2 * np.pi * x / 40)).astype(np.uint8)
    picture = Image.fromarray(np.repeat(np.repeat(wave[None, :, None], 300, axis=0), 3, axis=2))
    size, width = (480, 240), 600
    for step in range(30):
        left = 100 + step * 0.1
        shown = window(picture, View(left / (1200 - width), 0.5, 1.0), size)[120, :, 0].astype(np.float64) - 127.5
        places = left + (np.arange(480) + 0.5) * width / 480 - 0.5
        phase = np.angle(np.sum(shown * np.exp(-2j * np.pi * places / 40)))
        off = (phase + np.pi / 2) / (2 * np.pi) * 40
        assert abs(off) < 0.02, (step, off)


def test_a_still_is_never_shown_beyond_its_edge_and_moves_all_the_time():
    found = canvas(Still("a.png", encoded(scene(1, (900, 600)))))
    frames = [window(found.image, found.move.at(n / 36), SIZE).astype(np.int16) for n in range(37)]
    assert all(frame.shape == (270, 480, 3) for frame in frames)
    assert all(np.abs(later - earlier).max() > 0 for earlier, later in pairwise(frames[3:-3]))


def test_a_photograph_on_its_side_is_set_upright():
    picture = Image.new("RGB", (600, 400), "white")
    picture.paste("black", (0, 0, 300, 400))
    exif = Image.Exif()
    exif[0x0112] = 6
    still = Still("phone.jpg", encoded(picture, "JPEG", exif=exif.tobytes()))
    upright = canvas_of(still, (270, 480), 3.0, 0, "#F8F4EC").image
    assert upright.height > upright.width
    pixels = np.asarray(upright)
    assert pixels[5].max() < 60 and pixels[-5].min() > 200


def test_a_photographs_own_colours_are_turned_into_srgb():
    """By a profile in which red and blue are exchanged."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exchanged = profile.replace(b"rXYZ", b"?XYZ").replace(b"bXYZ", b"rXYZ").replace(b"?XYZ", b"bXYZ")
    assert exchanged != profile
    found = canvas(Still("a.png", encoded(Image.new("RGB", (600, 400), (250, 10, 10)), icc_profile=exchanged))).image
    red, _, blue = np.asarray(found)[100, 100]
    assert red < 60 and blue > 200


def test_what_is_transparent_shows_the_brands_ground():
    found = canvas(Still("mark.png", encoded(Image.new("RGBA", (600, 400), (0, 0, 0, 0))))).image
    assert found.getpixel((10, 10)) == (0xF8, 0xF4, 0xEC)


def test_a_still_that_would_lose_more_than_half_is_set_whole_on_the_ground():
    found = canvas(Still("tall.png", encoded(scene(1, (400, 1200)))))
    assert found.image.width / found.image.height == pytest.approx(480 / 270, rel=0.01)
    assert found.image.getpixel((5, 5)) == (0xF8, 0xF4, 0xEC)
    whole = canvas(Still("square.png", encoded(scene(1, (900, 900)))))
    assert whole.image.width == pytest.approx(whole.image.height, abs=1)


def test_a_large_still_is_made_as_small_as_the_film_needs_and_a_small_one_is_said():
    large = canvas(Still("large.jpg", encoded(scene(1, (6000, 4000)), "JPEG")))
    assert large.image.width < 900 and large.notes == ()
    small = canvas(Still("small.png", encoded(scene(1, (160, 90)))))
    assert "small.png is enlarged" in small.notes[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no picture", "cannot be read as a PNG"),
        (encoded(scene(1, (400, 300)))[:2000], "cannot be read as a PNG"),
        (encoded(Image.new("RGB", (900, 20))), "no side may be below 64"),
    ],
)
def test_a_still_that_cannot_be_used_is_named(content: bytes, message: str):
    with pytest.raises(FilmRefused, match=rf"looks/a\.png .*{message}"):
        canvas(Still("looks/a.png", content))


def test_a_still_of_too_many_pixels_is_refused_before_it_is_unpacked():
    out = io.BytesIO()
    Image.new("1", (10_000, 7_000)).save(out, format="PNG")
    with pytest.raises(FilmRefused, match=r"huge\.png has more than 64,000,000"):
        canvas(Still("huge.png", out.getvalue()))
