"""Pixels of frames: a still as a canvas, the window that moves over it, and the mean of two pictures in linear light.

Belongs here: reading stills, sampling and mixing. Does not belong here: when a frame is shown (`plan`).

A window is cut at float coordinates from a canvas that has more pixels than the frame, through a Lanczos filter, so that a move
of a tenth of a pixel is a tenth of a pixel. Integer crops would jump.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from assets.visuals.colour import rgb_of
from assets.visuals.motion.plan import FilmRefused, Move, Still, View, move_of

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PIXELS = 64_000_000
FINER = 1.25
"""Pixels of a canvas to one of the frame where the window is nearest, so that no phase of the filter is the sharpest."""
_FORMATS = ("PNG", "JPEG", "WEBP")
_LEAST_SHARE = 0.5
"""A still of which the frame would show less is set whole on the brand's ground instead."""
_LEAST_SIDE, _SOFT = 64, 1.6
_MARGIN = 0.07


@dataclass(frozen=True)
class Canvas:
    """A still as a film needs it, and its move. `notes` say what was not as one would wish."""

    image: Image
    move: Move
    notes: tuple[str, ...] = ()


def canvas_of(still: Still, size: tuple[int, int], seconds: float, number: int, ground: str) -> Canvas:
    """Unpacks a still: upright, in sRGB, no larger than needed. `ground` (`#RRGGBB`) lies under what is transparent.

    Raises FilmRefused, with the still's name, where it cannot be read or is too small or large.
    """
    from PIL import Image

    picture = _read(still, size, ground)
    shown = (picture.width / picture.height) / (size[0] / size[1])
    whole = still.page or min(shown, 1 / shown) < _LEAST_SHARE
    if min(shown, 1 / shown) < _LEAST_SHARE:
        picture = _on_ground(picture, size, ground)
    move = move_of(picture.size, size, seconds, number, _focus(picture), page=whole)
    nearest = max(move.start.zoom, move.end.zoom)
    widest = _widest(picture.size, size)[0]
    scale = size[0] * nearest * FINER / widest
    notes = ()
    if scale < 1:
        wanted = (round(picture.width * scale), round(picture.height * scale))
        picture = picture.resize(wanted, Image.Resampling.LANCZOS, reducing_gap=3.0)
    elif scale > _SOFT * FINER:
        notes = (f"{still.name} is enlarged {scale / FINER:.1f} times and will look soft: give it with more pixels",)
    return Canvas(picture, move, notes)


def window(canvas: Image, view: View, size: tuple[int, int]) -> Any:
    """What a view shows, as an array (height, width, 3) of sRGB from 0 to 255."""
    import numpy as np
    from PIL import Image

    return np.asarray(canvas.resize(size, Image.Resampling.LANCZOS, box=box_of(canvas.size, view, size)))


def box_of(canvas: tuple[int, int], view: View, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of a view in the canvas's pixels; never outside of it."""
    width, height = (side / view.zoom for side in _widest(canvas, size))
    left, top = view.across * (canvas[0] - width), view.down * (canvas[1] - height)
    return max(left, 0.0), max(top, 0.0), min(left + width, canvas[0]), min(top + height, canvas[1])


def crossfaded(leaving: Any, coming: Any, share: float) -> Any:
    """Two pictures (uint8, sRGB) mixed by their light: `share` (0 to 1) of the second. Mixing sRGB values would dip darker."""
    import numpy as np

    to_light, to_srgb = _light_tables()
    weight = round(share * 65536)
    light = to_light[leaving] * np.uint32(65536 - weight) + to_light[coming] * np.uint32(weight)
    return to_srgb[(light + 32768) >> 16]


@cache
def _light_tables() -> tuple[Any, Any]:
    """sRGB to linear light in 65,535 steps (IEC 61966-2-1), and back."""
    import numpy as np

    srgb = np.arange(256) / 255
    light = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    to_light = np.rint(light * 65535).astype(np.uint32)
    linear = np.arange(65536) / 65535
    back = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return to_light, np.rint(back * 255).astype(np.uint8)


def _read(still: Still, size: tuple[int, int], ground: str) -> Image:
    from PIL import Image, ImageOps

    try:
        with Image.open(io.BytesIO(still.content), formats=_FORMATS) as opened:
            if opened.width * opened.height > MAX_PIXELS:
                raise FilmRefused(f"{still.name} has more than {MAX_PIXELS:,} pixels: make it smaller")
            if min(opened.size) < _LEAST_SIDE:
                raise FilmRefused(f"{still.name} is {opened.width}x{opened.height}: no side may be below {_LEAST_SIDE}")
            # A JPEG can be unpacked at a half or a quarter; the longer side of either way up must stay fine enough.
            opened.draft("RGB", (2 * max(size), 2 * max(size)))
            picture = _in_srgb(ImageOps.exif_transpose(opened))
    except FilmRefused:
        raise
    except Exception as error:
        raise FilmRefused(f"{still.name} cannot be read as a PNG, JPEG or WebP: {error}"[:300]) from error
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        page = Image.new("RGBA", picture.size, ground)
        return Image.alpha_composite(page, picture.convert("RGBA")).convert("RGB")
    return picture.convert("RGB")


def _in_srgb(picture: Image) -> Image:
    """By the profile that a photograph brings, as phones' Display P3; without one it is sRGB."""
    from PIL import ImageCms

    profile = picture.info.get("icc_profile")
    if not profile or picture.mode not in ("RGB", "RGBA", "CMYK", "L"):
        return picture
    mode = "RGBA" if picture.mode == "RGBA" else "RGB"
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        turned = ImageCms.profileToProfile(picture, source, ImageCms.createProfile("sRGB"), outputMode=mode)
    except ImageCms.PyCMSError:
        return picture
    return picture if turned is None else turned


def _on_ground(picture: Image, size: tuple[int, int], ground: str) -> Image:
    """Whole, with a margin, in the middle of a page of the frame's sides."""
    from PIL import Image

    page = Image.new("RGB", (round(size[0] * 1.5), round(size[1] * 1.5)), rgb_of(ground))
    margin = round(min(page.size) * _MARGIN)
    room = (page.width - 2 * margin, page.height - 2 * margin)
    scale = min(room[0] / picture.width, room[1] / picture.height)
    fitted = picture.resize(
        (max(1, round(picture.width * scale)), max(1, round(picture.height * scale))), Image.Resampling.LANCZOS
    )
    page.paste(fitted, ((page.width - fitted.width) // 2, (page.height - fitted.height) // 2))
    return page


def _focus(picture: Image) -> tuple[float, float]:
    """Where most detail is, by the centre of mass of squared edges, drawn half way to the middle; 0 to 1 of each side."""
    import numpy as np
    from PIL import Image

    grey = np.asarray(picture.convert("L").resize((64, 64), Image.Resampling.BOX), dtype=np.float64)
    edges = np.diff(grey, axis=0)[:, :-1] ** 2 + np.diff(grey, axis=1)[:-1] ** 2
    total = edges.sum()
    if total == 0:
        return 0.5, 0.5
    places = (np.arange(63) + 1) / 64
    across, down = (edges.sum(axis=0) * places).sum() / total, (edges.sum(axis=1) * places).sum() / total
    return 0.25 + float(across) / 2, 0.25 + float(down) / 2


def _widest(canvas: tuple[int, int], size: tuple[int, int]) -> tuple[float, float]:
    """The largest window of the frame's sides that fits a canvas."""
    scale = min(canvas[0] / size[0], canvas[1] / size[1])
    return size[0] * scale, size[1] * scale
