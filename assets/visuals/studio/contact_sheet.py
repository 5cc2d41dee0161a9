"""A sheet of thumbnails with captions, for eyes that choose.

Belongs here: the sheet. Does not belong here: the pictures on it.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

from assets.visuals.brand_kit import LoadedKit
from assets.visuals.studio.layout import Box, Page, Theme, Words
from assets.visuals.studio.render import rasterise

_WIDTH, _ROW, _EDGE, _GAP, _CAPTION, _HEAD = 2100, 400, 72, 36, 44, 210
_LOWEST, _HIGHEST = 0.72, 1.15
"""How far the pictures of a row may be from the usual height, so that the row is as wide as the sheet."""


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
    """Shapes (width by height) in rows with the height of each: full rows as wide as the sheet, the last as it comes."""
    rows: list[tuple[float, list[float]]] = []
    row: list[float] = []
    room = _WIDTH - 2 * _EDGE
    for shape in shapes:
        if row and (room - len(row) * _GAP) / (sum(row) + shape) < _ROW * _LOWEST:
            rows.append((_height(row, room), row))
            row = []
        row.append(shape)
        if _height(row, room) <= _ROW:
            rows.append((_height(row, room), row))
            row = []
    if row:
        rows.append((min(_height(row, room), float(_ROW)), row))
    return rows


def _height(row: Sequence[float], room: float) -> float:
    return min((room - (len(row) - 1) * _GAP) / sum(row), _ROW * _HIGHEST)


def _thumbnail(content: bytes) -> tuple[bytes, tuple[int, int]]:
    from PIL import Image

    out = io.BytesIO()
    with Image.open(io.BytesIO(content), formats=("PNG", "WEBP", "JPEG")) as picture:
        small = picture.convert("RGBA")
    small.thumbnail((_WIDTH, round(_ROW * _HIGHEST)), Image.Resampling.LANCZOS)
    small.save(out, format="PNG")
    return out.getvalue(), small.size
