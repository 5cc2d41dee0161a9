"""A first brand kit for a house that has none: complete, checked, and meant to be changed.

Belongs here: the text of the file and a monogram. Does not belong here: what a kit may say (`brand_kit`).
"""

from __future__ import annotations

from pathlib import Path

_TEXT = Path(__file__).with_name("starter_kit.yaml")


def starter_text(name: str) -> str:
    """The text of a `brand.yaml` for a brand of that name. It names `logo.svg`, which `starter_logo` draws."""
    import json

    return _TEXT.read_text(encoding="utf-8").replace("__NAME__", json.dumps(name, ensure_ascii=False))


def starter_logo(name: str) -> str:
    """A monogram as SVG: the initial of the name's most telling word in an emerald-cut stone, as outlines without a font."""
    from assets.visuals.studio.fonts import find_family

    letter = initial(name)
    face = find_family("Cormorant Garamond", weight=500)
    outline = face.outline_of(letter, 560.0)
    left, top, right, bottom = outline.ink
    x, y = 500 - (left + right) / 2, 500 - (top + bottom) / 2
    girdle, table = _emerald_cut(360, 450, 168), _emerald_cut(292, 382, 140)
    facets = "".join(f"M{a:g} {b:g}L{c:g} {d:g}" for (a, b), (c, d) in zip(girdle, table, strict=True))
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1000 1000">\n'
        '  <g fill="none" stroke="#1F1C18" stroke-linejoin="miter">\n'
        f'    <path d="{_closed(girdle)}" stroke-width="13"/>\n'
        f'    <path d="{_closed(table)}" stroke-width="5"/>\n'
        f'    <path d="{facets}" stroke-width="5"/>\n'
        "  </g>\n"
        f'  <path fill="#1F1C18" transform="translate({x:.1f} {y:.1f})" d="{outline.path}"/>\n'
        "</svg>\n"
    )


def _emerald_cut(across: float, down: float, cut: float) -> list[tuple[float, float]]:
    """The eight corners of a stone about 500, 500: half its width and height, and what is cut off at each corner."""
    corners = []
    for sx, sy, first in ((1, -1, True), (1, 1, False), (-1, 1, True), (-1, -1, False)):
        pair = [(500 + sx * (across - cut), 500 + sy * down), (500 + sx * across, 500 + sy * (down - cut))]
        corners += pair if first else pair[::-1]
    return corners


def _closed(corners: list[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in corners) + "Z"


def initial(name: str) -> str:
    """The capital that stands for a house: of the first word that is more than an article or a word for house."""
    common = {
        "maison",
        "house",
        "casa",
        "haus",
        "atelier",
        "the",
        "le",
        "la",
        "les",
        "de",
        "di",
        "da",
        "of",
        "and",
        "et",
    }
    words = [word for word in name.replace("’", " ").replace("'", " ").split() if word[:1].isalpha()]
    telling = [word for word in words if word.casefold() not in common] or words
    return telling[0][0].upper() if telling else "L"
