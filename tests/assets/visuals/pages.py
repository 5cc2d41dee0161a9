"""What every page of the studio must keep, measured on the page itself: texts in their boxes, apart from all else, readable."""

from itertools import combinations
from math import hypot
from typing import Any

from assets.visuals.brand_kit import LoadedKit
from assets.visuals.briefs import Brief
from assets.visuals.colour import contrast
from assets.visuals.studio.layout import Box, Page, Theme
from assets.visuals.studio.templates import Wanted, draw


def page(kit: LoadedKit, one: Brief, size: tuple[int, int], language: str) -> Page:
    made = Page(*size, Theme.of(kit, kit.kit.presets[one.preset]), language)
    draw(made, Wanted(one, one.words(language), None, one.seed))
    return made


def overlap(one: Any, other: Any) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def faults(made: Page) -> list[str]:
    """Each text that leaves its box or the page, is on another, the mark, the picture or a frame's line, or is hard to read."""
    found = []
    for text in made.placed:
        left, top, right, bottom = text.ink
        within = text.box[0] - 1e-6 <= left <= right <= text.box[2] + 1e-6
        if not (within and text.box[1] - 1e-6 <= top <= bottom <= text.box[3] + 1e-6):
            found.append(f"{text.name} leaves its box: {text}")
        if not (left > 0 and top > 0 and right < made.width and bottom < made.height):
            found.append(f"{text.name} leaves the page: {text}")
        if contrast(text.colour, made.theme.ground) < 4.5:
            found.append(f"{text.name} in {text.colour} on {made.theme.ground} cannot be read")
        found += [f"{text.name} is on the {name}" for name, area in made.areas.items() if overlap(text.ink, area)]
        found += [f"{text.name} crosses a frame ({kind})" for kind, box in made.frames if _crosses(text.ink, kind, box)]
    found += [f"{a.name} is on {b.name}" for a, b in combinations(made.placed, 2) if overlap(a.ink, b.ink)]
    return found


def _crosses(ink: Any, kind: str, box: Box) -> bool:
    left, top, right, bottom = ink
    if not overlap(ink, box.bounds):
        return False
    if kind == "bar":
        return True
    inside = box.x < left and right < box.right and box.y < top and bottom < box.bottom
    if kind == "rect" or not inside:
        return not inside
    radius, spring = box.width / 2, box.y + min(box.width / 2, box.height)
    middle = box.x + radius
    return top < spring and max(hypot(x - middle, top - spring) for x in (left, right)) >= radius
