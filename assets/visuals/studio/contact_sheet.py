"""A sheet of thumbnails with captions, for eyes that choose.

Belongs here: the sheet. Does not belong here: the pictures on it.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence

from assets.visuals.brand_kit import LoadedKit
from assets.visuals.studio.layout import Box, Page, Theme, Words
from assets.visuals.studio.render import rasterise

_WIDTH, _ROW, _EDGE, _GAP, _CAPTION, _HEAD = 2100, 400, 72, 36, 44, 210
_HIGHEST = 1.4
"""How much higher than usual a row may be, to be as wide as the sheet; a row of few pictures ends before its edge."""
_MOST = 12


def contact_sheet(loaded: LoadedKit, pictures: Sequence[tuple[str, bytes]], title: str) -> bytes:
    """PNG of pictures (caption, bytes) in rows that are as wide as the sheet, each whole, in the kit's colours.

    Raises VisualsError.
    """
    thumbnails = [(caption, *_thumbnail(content)) for caption, content in pictures]
    rows = _rows([width / height for _, _, (width, height) in thumbnails])
    theme = Theme.of(loaded, loaded.kit.presets["minimalist_luxury"])
    height = _HEAD + sum(tall + _CAPTION + _GAP for tall, _ in rows) + _EDGE - _GAP
    page = Page(_WIDTH, round(height), theme, "en")
    page.rect(page.box, theme.ground)
    _head(page, title, len(pictures))
    y, number = float(_HEAD), 0
    for tall, shapes in rows:
        x = float(_EDGE)
        for shape in shapes:
            caption, content, _ = thumbnails[number]
            spot = Box(x, y, tall * shape, tall)
            data = base64.b64encode(content).decode("ascii")
            page.parts.append(
                f'<image x="{spot.x:.1f}" y="{spot.y:.1f}" width="{spot.width:.1f}" height="{spot.height:.1f}" '
                f'preserveAspectRatio="none" href="data:image/png;base64,{data}"/>'
            )
            page.rect(spot, stroke=theme.kit.kit.palette.of("surface"), line=1.5)
            below = Box(x, spot.bottom + 12, max(spot.width, 60), _CAPTION - 12)
            words = Words("caption", caption, theme.text, 17, theme.muted, floor=7)
            page.stack(below, [words], align="left", upright="top")
            x, number = x + spot.width + _GAP, number + 1
        y += tall + _CAPTION + _GAP
    return rasterise(page.svg(title), _WIDTH, round(height))


def _head(page: Page, title: str, count: int) -> None:
    theme, side = page.theme, 92.0
    page.logo(Box(_EDGE, 60, side, side), theme.ink)
    heading = Words("title", title, theme.display, 58, theme.ink, floor=12)
    left = _EDGE + side + 30
    page.stack(Box(left, 60, (_WIDTH - left) * 0.7, side), [heading], align="left")
    told = Words("count", f"{count} pictures", theme.label, 17, theme.muted, floor=9)
    page.stack(Box(_WIDTH - _EDGE - 400, 60, 400, side), [told], align="right")


def _rows(shapes: Sequence[float]) -> list[tuple[float, list[float]]]:
    """Shapes (width by height) in rows with the height of each, so that rows are full and their heights as even as can be."""
    best: list[tuple[float, int]] = [(0.0, 0)]
    for end in range(1, len(shapes) + 1):
        choices = []
        for begin in range(max(0, end - _MOST), end):
            off = math.log(_full(shapes[begin:end]) / _ROW)
            choices.append((best[begin][0] + off * off, begin))
        best.append(min(choices))
    rows, end = [], len(shapes)
    while end:
        begin = best[end][1]
        row = list(shapes[begin:end])
        rows.append((min(_full(row), _ROW * _HIGHEST), row))
        end = begin
    return rows[::-1]


def _full(row: Sequence[float]) -> float:
    """The height at which a row is as wide as the sheet."""
    return (_WIDTH - 2 * _EDGE - (len(row) - 1) * _GAP) / sum(row)


def _thumbnail(content: bytes) -> tuple[bytes, tuple[int, int]]:
    from PIL import Image

    out = io.BytesIO()
    with Image.open(io.BytesIO(content), formats=("PNG", "WEBP", "JPEG")) as picture:
        small = picture.convert("RGBA")
    small.thumbnail((_WIDTH, round(_ROW * _HIGHEST)), Image.Resampling.LANCZOS)
    small.save(out, format="PNG")
    return out.getvalue(), small.size
