"""What stands where a photograph would, and papers: a photograph, or else a surface in light; the mark in repeat.

Belongs here: pictures without words. Does not belong here: how a surface is drawn (`surfaces`), and showing a product that
nobody photographed; none of these claims to.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from assets.visuals.colour import contrast, luminance, mixed, rgb_of
from assets.visuals.studio.layout import Box, Page

if TYPE_CHECKING:
    from assets.visuals.studio.surfaces import Ramp

KINDS = ("drape", "arches", "horizon", "window")
"""Those that a seed chooses among; `pleats`, `weave`, `marble` and `monogram` are drawn where a brief names them."""

Side = Literal["", "left", "right", "top", "bottom"]
_MELTS = (0.30, 0.86)
"""A picture that melts into its page is gone at the first share of its length, and whole from the second on."""


def plate(
    page: Page,
    box: Box,
    seed: int,
    *,
    photo: bytes | None = None,
    tone: str | None = None,
    kind: str = "",
    melts: Side = "",
) -> None:
    """Fill a box. `tone` is the colour that leads, such as a product's; without it the accent does.

    `melts` names the side at which the picture becomes the page's ground.
    """
    # On whole pixels, so that the renderer copies them and no fine weave is blurred; what is too much is cut by the caller.
    x, y = math.floor(box.x), math.floor(box.y)
    width, height = math.ceil(box.right) - x, math.ceil(box.bottom) - y
    box = Box(x, y, width, height)
    if photo is not None:
        pixels = _photograph(photo, width, height)
        if melts:
            pixels = _melted(pixels, melts, page.theme.ground)
        _put(page, box, _png(pixels))
        return
    chosen = _chosen(seed, kind)
    ramp = _ramp(page, tone or _tone(page), chosen)
    logo = page.theme.kit.logo.markup if chosen == "monogram" else ""
    _put(page, box, _surface(chosen, width, height, seed, ramp, logo, melts, page.theme.ground))


def leading(page: Page, seed: int, *, tone: str | None = None, kind: str = "") -> str:
    """The colour that most of such a plate has, for what is to stand out from it."""
    chosen = _chosen(seed, kind)
    ramp = _ramp(page, tone or _tone(page), chosen)
    return mixed(ramp.tone, ramp.light, 0.5) if chosen in _AIRY else ramp.tone


def diamond(page: Page, x: float, y: float, radius: float, colour: str) -> None:
    page.path(_diamond(x, y, radius), colour)


def arch(box: Box) -> str:
    """Outline of a round arch that fills a box."""
    radius = min(box.width / 2, box.height)
    top = box.y + radius
    return (
        f"M{box.x:.2f} {box.bottom:.2f}V{top:.2f}A{box.width / 2:.2f} {radius:.2f} 0 0 1 {box.right:.2f} {top:.2f}"
        f"V{box.bottom:.2f}Z"
    )


# Papers


def pattern(page: Page, box: Box, colour: str, cell: float, number: int) -> None:
    """A paper in one colour, one of `PAPERS`; `cell` is its repeat in pixels."""
    PAPERS[number % len(PAPERS)](page, box, colour, cell)


def _half_drop(page: Page, box: Box, colour: str, cell: float) -> None:
    """The mark in half-drop repeat, a point between each two."""
    mark = cell * 0.46
    for x, y in _places(box, cell, drop=True):
        page.logo(Box(x - mark / 2, y - mark / 2, mark, mark), colour)
        diamond(page, x, y + cell / 2, cell * 0.026, colour)


def _lattice(page: Page, box: Box, colour: str, cell: float) -> None:
    """Quilted: fine lines that cross, the mark in each second field, a point where they meet."""
    lines = []
    reach = box.width + box.height
    for n in range(-math.ceil(reach / cell), math.ceil(reach / cell) + 1):
        x = box.x + box.width / 2 + n * cell
        lines.append(
            f"M{x - reach:.1f} {box.y + box.height / 2 - reach:.1f}L{x + reach:.1f} {box.y + box.height / 2 + reach:.1f}"
        )
        lines.append(
            f"M{x + reach:.1f} {box.y + box.height / 2 - reach:.1f}L{x - reach:.1f} {box.y + box.height / 2 + reach:.1f}"
        )
    page.path("".join(lines), stroke=colour, line=cell * 0.009)
    mark = cell * 0.3
    x0, y0 = box.x + box.width / 2, box.y + box.height / 2
    across, down = math.ceil(box.width / cell / 2) + 1, math.ceil(box.height / cell / 2) + 1
    for column in range(-across, across + 1):
        for row in range(-down, down + 1):
            x, y = x0 + column * cell, y0 + (row + 0.5) * cell
            page.logo(Box(x - mark / 2, y - mark / 2, mark, mark), colour)
            diamond(page, x, y - cell / 2, cell * 0.035, colour)


def _fans(page: Page, box: Box, colour: str, cell: float) -> None:
    """Fans of the nineteen twenties: half circles within half circles, row over row."""
    ground = page.theme.ground
    rows = math.ceil(box.height / (cell / 2)) + 2
    columns = math.ceil(box.width / cell) + 2
    for row in range(rows + 1):
        y = box.y + row * cell / 2
        for column in range(-1, columns):
            x = box.x + (box.width - (columns - 2) * cell) / 2 + column * cell + (cell / 2 if row % 2 else 0.0)
            for step, share in enumerate((1.0, 0.84, 0.68, 0.52, 0.36, 0.2)):
                radius = cell / 2 * share
                page.circle(
                    x, y, radius, ground if step == 0 else "none", colour, cell * (0.012 if step == 0 else 0.006)
                )
            page.circle(x, y, cell * 0.026, colour)


def _arcade(page: Page, box: Box, colour: str, cell: float) -> None:
    """Arches side by side, floor over floor, each a half further on."""
    tall = cell * 1.24
    rows, columns = math.ceil(box.height / tall) + 1, math.ceil(box.width / cell) + 2
    for row in range(rows):
        for column in range(-1, columns):
            x = box.x + column * cell + (cell / 2 if row % 2 else 0.0)
            y = box.y + (box.height - rows * tall) / 2 + row * tall
            for step in range(3):
                inset = cell * (0.045 + 0.075 * step)
                page.path(
                    arch(Box(x + inset, y + inset, cell - 2 * inset, tall - inset)),
                    stroke=colour,
                    line=cell * (0.012 if step == 0 else 0.006),
                )
            diamond(page, x + cell / 2, y + tall * 0.66, cell * 0.04, colour)


PAPERS: tuple[Callable[[Page, Box, str, float], None], ...] = (_half_drop, _lattice, _fans, _arcade)


def _places(box: Box, cell: float, *, drop: bool) -> list[tuple[float, float]]:
    """Middles of the fields of a repeat that covers the box, the first in its middle."""
    across, down = math.ceil(box.width / cell / 2) + 1, math.ceil(box.height / cell / 2) + 1
    x0, y0 = box.x + box.width / 2, box.y + box.height / 2
    return [
        (x0 + column * cell, y0 + row * cell + (cell / 2 if drop and column % 2 else 0.0))
        for column in range(-across, across + 1)
        for row in range(-down, down + 1)
    ]


def _diamond(x: float, y: float, radius: float) -> str:
    return f"M{x:.2f} {y - radius:.2f}L{x + radius:.2f} {y:.2f}L{x:.2f} {y + radius:.2f}L{x - radius:.2f} {y:.2f}Z"


# Surfaces


def _chosen(seed: int, kind: str) -> str:
    return kind or KINDS[seed % len(KINDS)]


def _tone(page: Page) -> str:
    """The accent on light pages, a lighter ground on dark ones."""
    theme = page.theme
    return theme.accent if luminance(theme.ground) > 0.3 else mixed(theme.ground, theme.accent, 0.72)


def _ramp(page: Page, tone: str, kind: str) -> Ramp:
    """Shadow and light of a tone, in the house's own dark and light, so that no picture leaves the palette."""
    from assets.visuals.studio.surfaces import Ramp

    palette = page.theme.kit.kit.palette
    dark, pale = palette.of("deep"), palette.of("background")
    if kind in _AIRY and luminance(page.theme.ground) > 0.3:
        tone = mixed(tone, pale, 0.5) if contrast(tone, pale) > 2 else tone
        return Ramp(mixed(tone, dark, 0.5), mixed(tone, pale, 0.2), mixed(tone, pale, 0.9))
    return Ramp(mixed(tone, dark, 0.8), tone, mixed(tone, pale, 0.72))


_AIRY = frozenset({"arches", "horizon", "window"})


@lru_cache(maxsize=6)
def _surface(kind: str, width: int, height: int, seed: int, ramp: Ramp, logo: str, melts: Side, ground: str) -> bytes:
    """PNG of a surface. The pages of a brief in several languages share it."""
    from assets.visuals.studio.surfaces import surface

    mark = _mark(logo, width, height) if logo else None
    pixels = surface(kind, width, height, seed, ramp, mark)
    return _png(_melted(pixels, melts, ground) if melts else pixels)


def _mark(logo: str, width: int, height: int) -> Any:
    """Where the kit's mark is, 0 to 1, in the middle of a plate, with the soft edge of a press."""
    import numpy as np
    from PIL import Image, ImageFilter

    from assets.visuals.studio.render import rasterise
    from assets.visuals.svg_safety import nested, recoloured

    side = min(width, height) * 0.5
    placed = nested(recoloured(logo, "#000000"), (width - side) / 2, (height - side) / 2, side, side, "mark")
    page = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}">{placed}</svg>'
    with Image.open(io.BytesIO(rasterise(page, width, height)), formats=("PNG",)) as picture:
        soft = picture.convert("RGBA").getchannel("A").filter(ImageFilter.GaussianBlur(side / 420))
    return np.asarray(soft, dtype=np.float32) / 255


def _melted(pixels: Any, side: Side, ground: str) -> Any:
    """The picture becomes its page's ground towards a side, and is nothing but ground at its edge."""
    import numpy as np

    from assets.visuals.studio.surfaces import smooth

    height, width = pixels.shape[:2]
    along = np.linspace(0, 1, width if side in ("left", "right") else height, dtype=np.float32)
    seen = smooth(*_MELTS, along if side in ("left", "top") else 1 - along)
    seen = seen[None, :, None] if side in ("left", "right") else seen[:, None, None]
    chance = np.random.default_rng(1).uniform(-0.5, 0.5, pixels.shape).astype(np.float32) * (seen > 0)
    return np.clip(np.rint(np.array(rgb_of(ground)) * (1 - seen) + pixels * seen + chance), 0, 255).astype(np.uint8)


def solid_of(box: Box, side: Side) -> Box:
    """The part of a picture that melts at a side in which there is more than ground."""
    gone = _MELTS[0]
    return {
        "": box,
        "left": Box(box.x + box.width * gone, box.y, box.width * (1 - gone), box.height),
        "right": Box(box.x, box.y, box.width * (1 - gone), box.height),
        "top": Box(box.x, box.y + box.height * gone, box.width, box.height * (1 - gone)),
        "bottom": Box(box.x, box.y, box.width, box.height * (1 - gone)),
    }[side]


def _photograph(photo: bytes, width: int, height: int) -> Any:
    """Cut to the box about the middle of the upper half, where a figure's head is, and scaled to its pixels."""
    import numpy as np
    from PIL import Image, ImageOps

    with Image.open(io.BytesIO(photo), formats=("PNG", "JPEG", "WEBP")) as opened:
        picture = ImageOps.exif_transpose(opened).convert("RGB")
    return np.asarray(ImageOps.fit(picture, (width, height), Image.Resampling.LANCZOS, centering=(0.5, 0.42)))


def _png(pixels: Any) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(pixels).save(out, format="PNG", compress_level=1)
    return out.getvalue()


def _put(page: Page, box: Box, png: bytes) -> None:
    data = base64.b64encode(png).decode("ascii")
    page.parts.append(
        f'<image x="{box.x:.2f}" y="{box.y:.2f}" width="{box.width:.2f}" height="{box.height:.2f}" '
        f'preserveAspectRatio="none" image-rendering="optimizeSpeed" href="data:image/png;base64,{data}"/>'
    )
