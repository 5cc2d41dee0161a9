"""Surfaces in light: the same from the same seed, without steps in their gradients, and gone where a page begins."""

import io
import itertools

import numpy as np
import pytest
from PIL import Image

from assets.visuals.brand_kit import LoadedKit
from assets.visuals.colour import rgb_of
from assets.visuals.studio.layout import Box, Page, Theme
from assets.visuals.studio.plates import Side, plate, solid_of
from assets.visuals.studio.render import rasterise
from assets.visuals.studio.surfaces import Ramp, surface
from tests.assets.visuals.kits import load

KINDS = ("drape", "pleats", "weave", "marble", "arches", "horizon", "window", "monogram")
RAMP = Ramp("#4A3A22", "#9A7631", "#E9DFC8")


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> LoadedKit:
    return load(tmp_path_factory.mktemp("kit"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_gives_one_surface_and_another_seed_another(kind: str):
    first, again, other = (surface(kind, 160, 200, seed, RAMP) for seed in (3, 3, 4))
    assert first.shape == (200, 160, 3)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_no_kind_looks_like_another():
    drawn = [surface(kind, 120, 120, 5, RAMP).astype(float) for kind in KINDS]
    for one, other in itertools.combinations(drawn, 2):
        assert np.abs(one - other).mean() > 6


@pytest.mark.parametrize("kind", KINDS)
def test_colours_stay_between_the_shadow_and_the_light(kind: str):
    drawn = surface(kind, 160, 200, 3, RAMP).astype(int)
    low, high = np.array(rgb_of(RAMP.shadow)), np.array(rgb_of(RAMP.light))
    assert (drawn >= low - 1).all()
    assert (drawn <= high + 1).all()


def test_a_soft_sky_has_no_steps():
    # Rounded without noise, whole stretches of a row are one value and then all change at once.
    sky = surface("horizon", 400, 400, 3, RAMP)[:60, :, 1].astype(int)
    longest = max(len(list(run)) for row in sky for _, run in itertools.groupby(row))
    assert longest < 40


@pytest.mark.parametrize("side", ["left", "right", "top", "bottom"])
def test_a_picture_that_melts_is_nothing_but_ground_beyond_its_solid_part(kit: LoadedKit, side: Side):
    theme = Theme.of(kit, kit.kit.presets["haute_couture"])
    page = Page(300, 240, theme, "en")
    plate(page, page.box, 4, kind="drape", melts=side)
    with Image.open(io.BytesIO(rasterise(page.svg("x"), 300, 240))) as opened:
        pixels = np.asarray(opened.convert("RGB")).astype(int)
    solid = solid_of(page.box, side)
    outside = np.ones((240, 300), dtype=bool)
    outside[round(solid.y) : round(solid.bottom), round(solid.x) : round(solid.right)] = False
    assert outside.any()
    assert np.abs(pixels[outside] - np.array(rgb_of(theme.ground))).max() <= 1
    assert np.abs(pixels[~outside] - np.array(rgb_of(theme.ground))).max() > 40


def test_the_mark_is_pressed_into_leather(kit: LoadedKit):
    theme = Theme.of(kit, kit.kit.presets["minimalist_luxury"])
    box = Box(0, 0, 400, 400)

    def drawn(kind: str) -> np.ndarray:
        page = Page(400, 400, theme, "en")
        plate(page, box, 4, kind=kind, tone="#8A4B2A")
        with Image.open(io.BytesIO(rasterise(page.svg("x"), 400, 400))) as opened:
            return np.asarray(opened.convert("L")).astype(float)

    leather = drawn("monogram")
    around, edge = leather[100:300, 100:300], leather[:60, :60]
    assert around.std() > edge.std()
