"""A card of a kit's colours and typefaces, for eyes that compare.

Belongs here: the card. Does not belong here: what a kit holds.
"""

from __future__ import annotations

from assets.visuals.brand_kit import LoadedKit
from assets.visuals.colour import contrast
from assets.visuals.studio.layout import Box, Page, Theme, Words
from assets.visuals.studio.render import rasterise

_WIDTH, _SWATCH, _GAP, _EDGE, _COLUMNS = 960, 150, 20, 48, 5
_READ_ON = ("#FFFFFF", "#000000")


def palette_card(loaded: LoadedKit) -> bytes:
    """PNG: the mark and the name, each colour with its role and value, the typefaces set in themselves. Raises VisualsError."""
    kit = loaded.kit
    theme = Theme.of(loaded, kit.presets["minimalist_luxury"])
    colours = list(kit.palette.colours().items())
    rows = -(-len(colours) // _COLUMNS)
    top = 170
    height = top + rows * (_SWATCH + _GAP) + 190
    page = Page(_WIDTH, height, theme, "en")
    page.rect(page.box, kit.palette.of("background"))
    page.logo(Box(_EDGE, 40, 92, 92), kit.palette.of("ink"))
    heading = [Words("name", kit.name, theme.display, 46, theme.ink, floor=14)]
    if kit.tagline:
        heading.append(Words("tagline", kit.tagline, theme.text, 18, theme.muted, gap=8))
    page.stack(Box(_EDGE + 120, 36, _WIDTH - 2 * _EDGE - 120, 100), heading, align="left")
    for number, (role, colour) in enumerate(colours):
        x = _EDGE + number % _COLUMNS * (_WIDTH - 2 * _EDGE - _SWATCH) / (_COLUMNS - 1)
        y = top + number // _COLUMNS * (_SWATCH + _GAP)
        _swatch(page, Box(x, y, _SWATCH, _SWATCH), role, colour)
    below = Box(_EDGE, height - 160, _WIDTH - 2 * _EDGE, 130)
    third = below.width / 3
    for number, (style, face) in enumerate(
        ((theme.display, kit.typefaces.display), (theme.text, kit.typefaces.text), (theme.label, kit.typefaces.label))
    ):
        column = Box(below.x + number * third, below.y, third - _GAP, below.height)
        words = [
            Words("specimen", "Aa Éé 1234", style, 30, theme.ink),
            Words("family", f"{face.family} {face.weight}", theme.text, 16, theme.muted, gap=10),
        ]
        page.stack(column, words, align="left", upright="top")
    return rasterise(page.svg(f"Palette of {kit.name}"), _WIDTH, height)


def _swatch(page: Page, box: Box, role: str, colour: str) -> None:
    hairline = page.theme.kit.kit.palette.of("muted")
    page.rect(box, colour, hairline, 0.6)
    ink = max(_READ_ON, key=lambda one: contrast(one, colour))
    words = [
        Words("role", role.replace("_", " "), page.theme.text, 16, ink, floor=9),
        Words("value", colour.upper(), page.theme.text, 14, ink, gap=3, floor=9),
    ]
    page.stack(box.inset(12), words, align="left", upright="bottom")
