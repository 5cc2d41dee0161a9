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

_COLUMNS, _CELL, _GAP, _CAPTION = 5, 300, 36, 46


def contact_sheet(loaded: LoadedKit, pictures: Sequence[tuple[str, bytes]], title: str) -> bytes:
    """PNG of pictures (caption, bytes) in rows of five, each whole, in the kit's colours. Raises VisualsError."""
    columns = min(_COLUMNS, max(len(pictures), 2))
    rows = math.ceil(len(pictures) / columns)
    width = columns * _CELL + (columns + 1) * _GAP
    head = 130
    height = head + rows * (_CELL + _CAPTION + _GAP) + _GAP
    theme = Theme.of(loaded, loaded.kit.presets["minimalist_luxury"])
    page = Page(width, height, theme, "en")
    page.rect(page.box, theme.ground)
    heading = Words("title", title, theme.display, 44, theme.ink, floor=12)
    page.stack(Box(_GAP, 24, width - 2 * _GAP, head - 40), [heading], align="left")
    for number, (caption, content) in enumerate(pictures):
        x = _GAP + number % columns * (_CELL + _GAP)
        y = head + number // columns * (_CELL + _CAPTION + _GAP)
        cell = Box(x, y, _CELL, _CELL)
        thumbnail, size = _thumbnail(content)
        spot = cell.centred(*size)
        data = base64.b64encode(thumbnail).decode("ascii")
        page.parts.append(
            f'<image x="{spot.x:.1f}" y="{spot.y:.1f}" width="{spot.width}" height="{spot.height}" '
            f'href="data:image/png;base64,{data}"/>'
        )
        page.rect(spot, stroke=theme.kit.kit.palette.of("surface"), line=1)
        below = Box(x, y + _CELL + 12, _CELL, _CAPTION - 12)
        page.stack(
            below, [Words("caption", caption, theme.text, 15, theme.muted, floor=7)], align="left", upright="top"
        )
    return rasterise(page.svg(title), width, height)


def _thumbnail(content: bytes) -> tuple[bytes, tuple[int, int]]:
    from PIL import Image

    out = io.BytesIO()
    with Image.open(io.BytesIO(content), formats=("PNG", "WEBP", "JPEG")) as picture:
        small = picture.convert("RGBA")
    small.thumbnail((_CELL, _CELL), Image.Resampling.LANCZOS)
    small.save(out, format="PNG")
    return out.getvalue(), small.size
