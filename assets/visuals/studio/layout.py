"""A page that is filled from the top: shapes, and stacks of texts that shrink together until they fit their box.

Belongs here: placing things, and remembering what was placed where. Does not belong here: which things a page shows
(`templates`).
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from xml.sax.saxutils import escape, quoteattr

from assets.visuals.brand_kit import LoadedKit, Preset, Role, Typeface
from assets.visuals.colour import contrast, mixed
from assets.visuals.errors import VisualsError
from assets.visuals.studio.fonts import Bounds
from assets.visuals.studio.text import Block, Style, longest_word, set_text
from assets.visuals.svg_safety import nested, recoloured

_READABLE = 4.5
_SHRINK = 0.94
_SMALLEST = 0.4
_YIELDS_TO = 0.56
"""How far a headline shrinks alone, before what stands with it does."""
_OWN_SMALLEST = 0.6
"""How far a headline shrinks for its longest word before the word is hyphenated."""


class TextDoesNotFit(VisualsError):
    """A text is too long for its place even at the smallest size that can be read."""


@dataclass(frozen=True)
class Box:
    """A place on the page in pixels, y downwards."""

    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        return self.x + self.width

    @property
    def bottom(self) -> float:
        return self.y + self.height

    @property
    def bounds(self) -> Bounds:
        return self.x, self.y, self.right, self.bottom

    def inset(self, by: float, vertically: float | None = None) -> Box:
        down = by if vertically is None else vertically
        return Box(self.x + by, self.y + down, self.width - 2 * by, self.height - 2 * down)

    def centred(self, width: float, height: float) -> Box:
        return Box(self.x + (self.width - width) / 2, self.y + (self.height - height) / 2, width, height)


@dataclass(frozen=True)
class Theme:
    """A preset with the kit's colours and fonts: what layouts draw with."""

    kit: LoadedKit
    preset: Preset
    ground: str
    ink: str
    muted: str
    accent: str
    display: Style
    text: Style
    label: Style
    wordmark: Style

    @classmethod
    def of(cls, loaded: LoadedKit, preset: Preset) -> Theme:
        kit = loaded.kit
        colours, faces, fallback = kit.palette, kit.typefaces, kit.typefaces.fallback
        ground = colours.of(preset.ground)
        if preset.ground in ("background", "surface"):
            ink, muted, accent = colours.of("ink"), colours.of("muted"), colours.of("accent")
            muted = muted if contrast(muted, ground) >= _READABLE else ink
        else:
            roles: tuple[Role, ...] = ("on_deep", "background", "ink", "deep")
            ink = max((colours.of(role) for role in roles), key=lambda colour: contrast(colour, ground))
            if preset.ground == "accent":
                # Large type leaves an accent's own strength; small type asks for more contrast than most have.
                ink, ground = (
                    colours.of("background"),
                    readable_ground(ground, colours.of("background"), colours.of("deep")),
                )
            muted = mixed(ink, ground, 0.18)
            muted = muted if contrast(muted, ground) >= _READABLE else ink
            accent = colours.of("accent") if contrast(colours.of("accent"), ground) >= 3 else mixed(ink, ground, 0.3)
        display = preset.display or faces.display
        wordmark = Typeface(family=faces.display.family, weight=500, tracking=200, uppercase=True)
        return cls(
            loaded,
            preset,
            ground,
            ink,
            muted,
            accent,
            Style.of(display, fallback, leading=1.04, balanced=True),
            Style.of(faces.text, fallback, leading=1.5, balanced=True),
            Style.of(preset.label or faces.label, fallback, leading=1.5, balanced=True),
            Style.of(wordmark, fallback, leading=1.3, balanced=True),
        )

    @property
    def notes(self) -> list[str]:
        """Families that were asked for and are not installed."""
        styles = (self.display, self.text, self.label, self.wordmark)
        return list(dict.fromkeys(note for style in styles for note in style.fonts.notes))


def readable_ground(ground: str, ink: str, dark: str) -> str:
    """The ground, darkened as little as needed for small text of a light ink."""
    return next((c for n in range(21) if contrast(c := mixed(ground, dark, n / 20), ink) >= _READABLE), dark)


@dataclass(frozen=True)
class Placed:
    """A text on the page: the box it had, and where its black is."""

    name: str
    text: str
    box: Bounds
    ink: Bounds
    size: float
    colour: str


@dataclass(frozen=True)
class Words:
    """A text of a stack. `size` shrinks with the others, not below `floor`; `gap` is the space before it; pixels.

    One that `yields` shrinks before the others do, so that small print keeps its size from page to page.
    """

    name: str
    text: str
    style: Style
    size: float
    colour: str
    gap: float = 0.0
    floor: float = 11.0
    widest: float | None = None
    underlined: bool = False
    yields: bool = False


@dataclass(frozen=True)
class Drawn:
    """A shape of a stack: `draw` gets its box."""

    width: float
    height: float
    draw: Callable[[Page, Box], None]
    gap: float = 0.0


@dataclass
class Page:
    """An SVG in the making. `align` is that of the theme unless a call says otherwise."""

    width: float
    height: float
    theme: Theme
    language: str
    parts: list[str] = field(default_factory=list)
    placed: list[Placed] = field(default_factory=list)
    areas: dict[str, Bounds] = field(default_factory=dict)
    frames: list[tuple[str, Box]] = field(default_factory=list)
    _logos: int = 0

    @property
    def box(self) -> Box:
        return Box(0, 0, self.width, self.height)

    @property
    def unit(self) -> float:
        """A hundredth of the page as the eye takes its size."""
        return min(min(self.width, self.height) * 1.25, (self.width * self.height) ** 0.5) / 100

    def rect(self, box: Box, fill: str = "none", stroke: str = "none", line: float = 0.0) -> None:
        self.parts.append(
            f'<rect x="{box.x:.2f}" y="{box.y:.2f}" width="{box.width:.2f}" height="{box.height:.2f}" '
            f'fill="{fill}" stroke="{stroke}" stroke-width="{line:.2f}"/>'
        )

    def path(
        self, data: str, fill: str = "none", stroke: str = "none", line: float = 0.0, opacity: float = 1.0
    ) -> None:
        faint = f' opacity="{opacity:.3f}"' if opacity < 1 else ""
        self.parts.append(f'<path d="{data}" fill="{fill}" stroke="{stroke}" stroke-width="{line:.2f}"{faint}/>')

    def circle(
        self, x: float, y: float, radius: float, fill: str = "none", stroke: str = "none", line: float = 0.0
    ) -> None:
        self.parts.append(
            f'<circle cx="{x:.2f}" cy="{y:.2f}" r="{radius:.2f}" fill="{fill}" stroke="{stroke}" stroke-width="{line:.2f}"/>'
        )

    def hairline(self, x1: float, y1: float, x2: float, y2: float, colour: str, line: float) -> None:
        self.path(f"M{x1:.2f} {y1:.2f}L{x2:.2f} {y2:.2f}", stroke=colour, line=line)

    def logo(self, box: Box, colour: str | None) -> None:
        """The kit's mark in a box, in one colour or in its own."""
        self._logos += 1
        markup = self.theme.kit.logo.markup
        markup = recoloured(markup, colour) if colour else markup
        self.parts.append(nested(markup, box.x, box.y, box.width, box.height, f"logo{self._logos}"))

    def logo_ink(self) -> Bounds:
        """Left, top, right and bottom of the mark's black in a box of side 1: a mark is placed by what one sees of it."""
        return _ink_of_logo(self.theme.kit.logo.markup)

    def clipped(self, box: Box, draw: Callable[[Page, Box], None], outline: str | None = None) -> None:
        """What `draw` draws, cut at the box or at an outline within it."""
        inner = Page(self.width, self.height, self.theme, self.language)
        inner._logos = self._logos + 1000 * (1 + len(self.parts))
        draw(inner, box)
        name = f"clip{len(self.parts)}"
        shape = outline or f"M{box.x} {box.y}H{box.right}V{box.bottom}H{box.x}Z"
        self.parts.append(f'<clipPath id="{name}"><path d="{shape}"/></clipPath><g clip-path="url(#{name})">')
        self.parts += inner.parts
        self.parts.append("</g>")

    def stack(self, box: Box, items: Sequence[Words | Drawn], *, align: str, upright: str = "middle") -> Box:
        """Items under each other in a box; those that yield shrink first, then all alike, until they fit. Returns their box.

        `align` is left, centre or right, `upright` top, middle or bottom. Raises TextDoesNotFit.
        """
        items = [item for item in items if isinstance(item, Drawn) or item.text.strip()]
        if not items:
            return Box(box.x, box.y, box.width, 0)
        scale, yielded = 1.0, 1.0
        while scale >= _SMALLEST:
            found = self._try(items, box, scale, yielded)
            if found is not None and sum(height + gap for _, height, gap in found) <= box.height:
                return self._put(items, found, box, scale, align, upright)
            if yielded > _YIELDS_TO and any(isinstance(item, Words) and item.yields for item in items):
                yielded *= _SHRINK
            else:
                scale *= _SHRINK
        longest = max((item for item in items if isinstance(item, Words)), key=lambda item: len(item.text))
        raise TextDoesNotFit(
            f"{longest.name} ({len(longest.text)} characters) does not fit {self.width:.0f}x{self.height:.0f}: "
            "shorten it, or choose a larger size"
        )

    def row(self, box: Box, left: Words | None, right: Words | None) -> bool:
        """Two short texts on one baseline at the box's foot, one at each side. False, and nothing, where they do not fit so."""
        items = [item for item in (left, right) if item is not None and item.text.strip()]
        scale = 1.0
        while items and all(item.size * scale >= item.floor for item in items):
            blocks = [
                set_text(item.text, item.style, item.size * scale, box.width, self.language, hyphenate=False)
                for item in items
            ]
            whole = [block for block in blocks if block is not None and len(block.lines) == 1]
            air = 2.5 * max(item.size for item in items) * scale * (len(items) - 1)
            if len(whole) == len(items) and sum(block.ink_width for block in whole) + air <= box.width:
                belows = [
                    block.height - block.first_baseline + (block.size * 0.35 if item.underlined else 0.0)
                    for item, block in zip(items, whole, strict=True)
                ]
                baseline = box.bottom - max(belows)
                if baseline - max(block.first_baseline for block in whole) >= box.y:
                    for item, block, below in zip(items, whole, belows, strict=True):
                        side = "left" if item is left else "right"
                        x = box.x if item is left else box.right - block.width
                        self._set(item, block, x, baseline - block.first_baseline, side, box, below)
                    return True
            scale *= _SHRINK
        return not items

    def upright_label(self, box: Box, words: Words) -> None:
        """One line that is read from below upwards, at the box's lower left. Raises TextDoesNotFit."""
        size = words.size
        while size >= words.floor:
            block = set_text(words.text, words.style, size, box.height, self.language, hyphenate=False)
            if block is not None and len(block.lines) == 1 and block.first_baseline + block.size * 0.3 <= box.width:
                line = block.lines[0]
                left, top, right, bottom = (value * size for value in line.ink)
                x, y = box.x - top, box.bottom + left
                self.parts.append(
                    f'<g transform="translate({x:.2f} {y:.2f}) rotate(-90)"><path fill="{words.colour}" '
                    f'd="{line.path(0, 0, size)}"/></g>'
                )
                ink = (x + top, y - right, x + bottom, y - left)
                self.placed.append(Placed(words.name, words.text, box.bounds, ink, size, words.colour))
                return
            size *= _SHRINK
        raise TextDoesNotFit(f"{words.name} ({len(words.text)} characters) does not fit its edge: shorten it")

    def svg(self, title: str) -> str:
        body = "\n".join(self.parts)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width:g}" height="{self.height:g}" '
            f'viewBox="0 0 {self.width:g} {self.height:g}" role="img" aria-label={quoteattr(title)}>'
            f"<title>{escape(title)}</title>\n{body}\n</svg>"
        )

    def _try(
        self, items: Sequence[Words | Drawn], box: Box, scale: float, yielded: float
    ) -> list[tuple[Block | None, float, float]] | None:
        found: list[tuple[Block | None, float, float]] = []
        for number, item in enumerate(items):
            gap = item.gap * scale if number else 0.0
            if isinstance(item, Drawn):
                if item.width * scale > box.width:
                    return None
                found.append((None, item.height * scale, gap))
                continue
            own = scale * yielded if item.yields else scale
            block = self._block(item, min(box.width, item.widest or box.width), own)
            if block is None:
                return None
            height = block.height + (block.size * 0.35 if item.underlined else 0)
            found.append((block, height, gap))
        return found

    def _block(self, item: Words, width: float, scale: float) -> Block | None:
        size = max(item.size * scale, min(item.floor, item.size))
        longest = longest_word(item.text, item.style, self.language) * size
        if longest <= width:
            return set_text(item.text, item.style, size, width, self.language, hyphenate=False)
        # First smaller, then hyphenated: a headline is read as a shape.
        whole = size * width / longest * 0.999
        least = max(size * _OWN_SMALLEST, min(item.floor, item.size))
        if whole >= least:
            return set_text(item.text, item.style, whole, width, self.language, hyphenate=False)
        return set_text(item.text, item.style, min(size, least), width, self.language, hyphenate=True)

    def _put(
        self,
        items: Sequence[Words | Drawn],
        found: Sequence[tuple[Block | None, float, float]],
        box: Box,
        scale: float,
        align: str,
        upright: str,
    ) -> Box:
        total = sum(height + gap for _, height, gap in found)
        share = {"top": 0.0, "middle": 0.5, "bottom": 1.0}[upright]
        start = y = box.y + (box.height - total) * share
        for item, (block, height, gap) in zip(items, found, strict=True):
            y += gap
            if isinstance(item, Drawn):
                width = item.width * scale
                x = box.x + (box.width - width) * {"left": 0.0, "centre": 0.5, "right": 1.0}[align]
                item.draw(self, Box(x, y, width, height))
            elif block is not None:
                x = box.x + (box.width - block.width) * {"left": 0.0, "centre": 0.5, "right": 1.0}[align]
                self._set(item, block, x, y, align, box, height - block.first_baseline)
            y += height
        return Box(box.x, start, box.width, total)

    def _set(self, item: Words, block: Block, x: float, y: float, align: str, box: Box, below: float) -> None:
        """Draw and remember a block; `below` is the room under its first baseline, at whose end an underline stands."""
        for data in block.paths(x, y, align):
            self.path(data, fill=item.colour)
        ink = block.ink(x, y, align)
        self.placed.append(Placed(item.name, item.text, box.bounds, ink, block.size, item.colour))
        if item.underlined:
            under = y + block.first_baseline + below - block.size * 0.05
            self.hairline(ink[0], under, ink[2], under, item.colour, max(1.0, block.size * 0.05))


@lru_cache(maxsize=16)
def _ink_of_logo(markup: str) -> Bounds:
    from PIL import Image

    from assets.visuals.studio.render import rasterise

    side = 400
    placed = nested(recoloured(markup, "#000000"), 0, 0, side, side, "mark")
    page = f'<svg xmlns="http://www.w3.org/2000/svg" width="{side}" height="{side}">{placed}</svg>'
    with Image.open(io.BytesIO(rasterise(page, side, side)), formats=("PNG",)) as picture:
        found = picture.convert("RGBA").getchannel("A").getbbox()
    left, top, right, bottom = (value / side for value in found or (0, 0, side, side))
    return left, top, right, bottom
