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
    """A monogram as SVG: the initial of the name's most telling word in a ring, drawn as outlines that need no font."""
    from assets.visuals.studio.fonts import find_family

    letter = initial(name)
    face = find_family("Cormorant Garamond", weight=500)
    size = 620.0
    outline = face.outline_of(letter, size)
    left, top, right, bottom = outline.ink
    x, y = 500 - (left + right) / 2, 500 - (top + bottom) / 2
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1000 1000">\n'
        '  <g fill="none" stroke="#1F1C18">\n'
        '    <circle cx="500" cy="500" r="470" stroke-width="14"/>\n'
        '    <circle cx="500" cy="500" r="436" stroke-width="5"/>\n'
        "  </g>\n"
        f'  <path fill="#1F1C18" transform="translate({x:.1f} {y:.1f})" d="{outline.path}"/>\n'
        "</svg>\n"
    )


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
