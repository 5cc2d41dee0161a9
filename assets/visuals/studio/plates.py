"""What stands where a photograph would: a photograph, or else cloth, pleats, arches, a horizon or the monogram, from a seed.

Belongs here: pictures without words. Does not belong here: showing a product that nobody photographed; none of these claims to.
"""

from __future__ import annotations

import base64
import io
import math
from random import Random

from assets.visuals.colour import luminance, mixed
from assets.visuals.studio.layout import Box, Page

KINDS = ("drape", "arches", "horizon", "monogram")
"""Those that a seed chooses among; `pleats` and `weave` are drawn where a brief names them."""


def plate(
    page: Page, box: Box, seed: int, *, photo: bytes | None = None, tone: str | None = None, kind: str = ""
) -> None:
    """Fill a box. `tone` is the colour that leads, such as a product's; without it the accent does."""
    if photo is not None:
        _photograph(page, box, photo)
        return
    random = Random(seed)
    draw = {
        "drape": _drape,
        "pleats": _pleats,
        "weave": _weave,
        "arches": _arches,
        "horizon": _horizon,
        "monogram": _monogram,
    }
    chosen = kind or KINDS[seed % len(KINDS)]
    draw[chosen](page, box, random, tone or _tone(page))


def pattern(page: Page, box: Box, colour: str, cell: float, *, turned: bool = False) -> None:
    """The mark in half-drop repeat, with diamonds between."""
    rows, columns = math.ceil(box.height / cell) + 2, math.ceil(box.width / cell) + 2
    x0 = box.x + (box.width - columns * cell) / 2
    y0 = box.y + (box.height - rows * cell) / 2
    mark = cell * 0.5
    for column in range(columns):
        drop = cell / 2 if column % 2 else 0.0
        for row in range(-1, rows):
            x, y = x0 + (column + 0.5) * cell, y0 + (row + 0.5) * cell + drop
            if turned and (row + column) % 2:
                diamond(page, x, y, mark * 0.3, colour)
            else:
                page.logo(Box(x - mark / 2, y - mark / 2, mark, mark), colour)
            diamond(page, x, y + cell / 2, cell * 0.035, colour)


def diamond(page: Page, x: float, y: float, radius: float, colour: str) -> None:
    page.path(
        f"M{x:.2f} {y - radius:.2f}L{x + radius:.2f} {y:.2f}L{x:.2f} {y + radius:.2f}L{x - radius:.2f} {y:.2f}Z", colour
    )


def arch(box: Box) -> str:
    """Outline of a round arch that fills a box."""
    radius = min(box.width / 2, box.height)
    top = box.y + radius
    return (
        f"M{box.x:.2f} {box.bottom:.2f}V{top:.2f}A{box.width / 2:.2f} {radius:.2f} 0 0 1 {box.right:.2f} {top:.2f}"
        f"V{box.bottom:.2f}Z"
    )


def _tone(page: Page) -> str:
    """The accent on light pages, a lighter ground on dark ones."""
    theme = page.theme
    return theme.accent if luminance(theme.ground) > 0.3 else mixed(theme.ground, theme.accent, 0.55)


def _drape(page: Page, box: Box, random: Random, tone: str) -> None:
    """Cloth that hangs in folds: strips between flowing lines, each a shade of the fold's curve."""
    palette = page.theme.kit.kit.palette
    light, dark = mixed(tone, palette.of("background"), 0.62), mixed(tone, palette.of("deep"), 0.55)
    waves = [
        (random.uniform(0.6, 1.2), random.uniform(0, math.tau)),
        (random.uniform(1.4, 2.4), random.uniform(0, math.tau)),
    ]
    folds = [
        (random.uniform(2.4, 3.6), random.uniform(0, math.tau)),
        (random.uniform(5.0, 8.0), random.uniform(0, math.tau)),
    ]
    sway = box.width * random.uniform(0.05, 0.11)
    lean = box.width * random.uniform(-0.22, 0.22)
    strips, steps = 420, 24
    page.rect(box, mixed(light, dark, 0.5))

    def x_of(part: float, down: float) -> float:
        bend = sum(math.sin(math.tau * turns * (down * 0.5 + part * 0.35) + phase) / turns for turns, phase in waves)
        return box.x - box.width * 0.3 + part * box.width * 1.6 + bend * sway + lean * (down - 0.5)

    for number in range(strips):
        part = number / strips
        curve = sum(
            weight * math.sin(math.tau * turns * part + phase)
            for weight, (turns, phase) in zip((0.62, 0.38), folds, strict=True)
        )
        shade = 0.5 + 0.5 * math.tanh(1.5 * curve)
        edge = [(x_of(part, n / steps), box.y + box.height * n / steps) for n in range(steps + 1)]
        line = "L".join(f"{x:.1f} {y:.1f}" for x, y in edge)
        page.path(
            f"M{line}L{box.right + 9:.1f} {box.bottom:.1f}L{box.right + 9:.1f} {box.y:.1f}Z", mixed(light, dark, shade)
        )


def _pleats(page: Page, box: Box, random: Random, tone: str) -> None:
    """Silk in knife pleats: each is lit at its edge and falls into the shadow of the next."""
    palette = page.theme.kit.kit.palette
    light, dark = mixed(tone, palette.of("background"), 0.5), mixed(tone, palette.of("deep"), 0.62)
    count, shades, steps = random.randint(13, 18), 26, 20
    lean, phase = random.uniform(-0.16, 0.16), random.uniform(0, math.tau)
    widths = [1 + 0.34 * math.sin(math.tau * n / count * 1.3 + phase) for n in range(count)]
    spread = box.width * 1.4
    page.rect(box, mixed(light, dark, 0.5))

    def edge(part: float) -> str:
        points = []
        for n in range(steps + 1):
            down = n / steps
            bend = lean * (down - 0.5) + 0.018 * math.sin(math.tau * (0.55 * down + 0.4 * part) + phase)
            points.append(
                f"{box.x - box.width * 0.2 + part * spread + bend * box.width:.1f} {box.y + box.height * down:.1f}"
            )
        return "L".join(points)

    begin, total = 0.0, sum(widths)
    for width in widths:
        share = width / total
        for number in range(shades):
            part = begin + share * number / shades
            # Bright where the fold turns, then down the side that leans away.
            fall = (number / (shades - 1)) ** 0.7
            page.path(
                f"M{edge(part)}L{box.right + 9:.1f} {box.bottom:.1f}L{box.right + 9:.1f} {box.y:.1f}Z",
                mixed(light, dark, 0.06 + 0.9 * fall),
            )
        begin += share


def _weave(page: Page, box: Box, random: Random, tone: str) -> None:
    """Herringbone, close: two yarns that change their slant from column to column."""
    palette = page.theme.kit.kit.palette
    ground, yarn = mixed(tone, palette.of("deep"), 0.3), mixed(tone, palette.of("background"), 0.3)
    page.rect(box, ground)
    column = min(box.width, box.height) / random.choice((15, 16, 17))
    pitch = column / 3.4
    columns = math.ceil(box.width / column) + 1
    for number in range(columns):
        left = box.x + number * column
        slant = 1 if number % 2 else -1
        line = []
        for row in range(-int(column / pitch) - 1, math.ceil(box.height / pitch) + int(column / pitch) + 2):
            y = box.y + row * pitch
            line.append(
                f"M{left + 0.04 * column:.1f} {y:.1f}L{left + 0.96 * column:.1f} {y + slant * column * 0.92:.1f}"
            )
        page.path("".join(line), stroke=yarn, line=pitch * 0.46)
        page.hairline(left, box.y, left, box.bottom, mixed(ground, palette.of("deep"), 0.5), max(1.0, column * 0.035))


def _arches(page: Page, box: Box, random: Random, tone: str) -> None:
    """A row of doorways, one within the other."""
    palette = page.theme.kit.kit.palette
    light, dark = mixed(tone, palette.of("background"), 0.8), mixed(tone, palette.of("deep"), 0.35)
    page.rect(box, light)
    count = 6
    side = random.choice((-1, 1))
    for number in range(count):
        share = 1 - number / count
        width, height = box.width * 0.82 * share + box.width * 0.04, box.height * 0.86 * share + box.height * 0.06
        x = box.x + (box.width - width) / 2 + side * number * box.width * 0.022
        page.path(arch(Box(x, box.bottom - height, width, height)), mixed(light, dark, (number + 1) / count))


def _horizon(page: Page, box: Box, random: Random, tone: str) -> None:
    """A low sun over hills, in one colour."""
    palette = page.theme.kit.kit.palette
    light, dark = mixed(tone, palette.of("background"), 0.82), mixed(tone, palette.of("deep"), 0.5)
    page.rect(box, light)
    short = min(box.width, box.height)
    page.circle(
        box.x + box.width * random.uniform(0.36, 0.64), box.y + box.height * 0.42, short * 0.2, mixed(light, tone, 0.75)
    )
    layers = 5
    for number in range(layers):
        level = box.y + box.height * (0.54 + 0.1 * number)
        phase, turns = random.uniform(0, math.tau), random.uniform(0.5, 1.1)
        points = [
            (
                box.x + box.width * n / 48,
                level
                + box.height * 0.05 * math.sin(math.tau * turns * n / 48 + phase)
                + box.height * 0.016 * math.sin(math.tau * 2.3 * turns * n / 48 + phase * 2),
            )
            for n in range(49)
        ]
        line = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        page.path(
            f"M{line}L{box.right:.1f} {box.bottom:.1f}L{box.x:.1f} {box.bottom:.1f}Z",
            mixed(light, dark, 0.25 + 0.75 * number / (layers - 1)),
        )


def _monogram(page: Page, box: Box, random: Random, tone: str) -> None:
    """The mark, large, over its own repeat."""
    palette = page.theme.kit.kit.palette
    ground = mixed(tone, palette.of("deep"), 0.55)
    page.rect(box, ground)
    pattern(page, box, mixed(ground, palette.of("on_deep"), 0.16), min(box.width, box.height) / random.choice((4, 5)))


def _photograph(page: Page, box: Box, photo: bytes) -> None:
    """Cut to the box about the middle of the upper half, where a figure's head is, and scaled to its pixels."""
    from PIL import Image, ImageOps

    with Image.open(io.BytesIO(photo), formats=("PNG", "JPEG", "WEBP")) as opened:
        picture = ImageOps.exif_transpose(opened).convert("RGB")
    fitted = ImageOps.fit(
        picture, (math.ceil(box.width), math.ceil(box.height)), Image.Resampling.LANCZOS, centering=(0.5, 0.42)
    )
    out = io.BytesIO()
    fitted.save(out, format="PNG", compress_level=1)
    data = base64.b64encode(out.getvalue()).decode("ascii")
    page.parts.append(
        f'<image x="{box.x:.2f}" y="{box.y:.2f}" width="{box.width:.2f}" height="{box.height:.2f}" '
        f'preserveAspectRatio="none" href="data:image/png;base64,{data}"/>'
    )
