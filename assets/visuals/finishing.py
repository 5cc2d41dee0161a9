"""From the picture that a provider sent to the file that was ordered: its size, its format, and what stands in it.

Belongs here: pixels and the file around them. Does not belong here: judging (`quality`), and credentials
(`provenance`).

A picture is cut about its middle and scaled by Lanczos, never stretched. One that is enlarged shows no more than it did, so
that `enlarged` tells by how much, and more than `ENLARGED_AT_MOST` is for a person to look at.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assets.visuals.errors import VisualsError
from assets.visuals.orders import FileFormat
from assets.visuals.quality import MAX_PIXELS
from assets.visuals.studio.render import text_of, with_text, xmp_of

if TYPE_CHECKING:
    from PIL.Image import Image

ENLARGED_AT_MOST = 1.5
MEDIA_TYPES: dict[str, str] = {"png": "image/png", "webp": "image/webp", "jpeg": "image/jpeg"}
_CUT_THAT_IS_SAID = 0.01


class UnreadablePicture(VisualsError):
    """What a provider sent is no picture that can be opened."""


@dataclass(frozen=True)
class Finished:
    """A file as it was ordered. `enlarged` is above 1 where pixels were invented; `kept` says that no pixel was touched."""

    content: bytes
    media_type: str
    width: int
    height: int
    enlarged: float
    kept: bool
    notes: tuple[str, ...] = ()


def finish(
    content: bytes, size: tuple[int, int], format: FileFormat, said: Mapping[str, str], *, whole: bool = True
) -> Finished:
    """The picture in that size (pixels) and format, with `said` written into it as text.

    `whole` allows the bytes to be kept where size and format fit already; a picture that brings credentials of its own must be
    written anew, as text added to it would break them. Raises UnreadablePicture.
    """
    picture, upright = _opened(content)
    enlarged = max(size[0] / upright.width, size[1] / upright.height)
    fits = picture.size == size and picture.format == format.upper()
    if fits and whole and format == "png":
        there = text_of(content)
        missing = {name: value for name, value in said.items() if name not in there}
        return Finished(with_text(content, missing), MEDIA_TYPES[format], *size, 1.0, True)
    if fits and whole and b"luxauto" in picture.info.get("xmp", b""):
        return Finished(content, MEDIA_TYPES[format], *size, 1.0, True)
    notes = []
    if upright.size != size:
        cut = 1 - (size[0] / size[1]) / (upright.width / upright.height)
        cut = max(cut, 1 - (upright.width / upright.height) / (size[0] / size[1]))
        if cut > _CUT_THAT_IS_SAID:
            notes.append(
                f"it came as {upright.width}x{upright.height}: {cut:.0%} of it was cut off for {size[0]}x{size[1]}"
            )
        if enlarged > 1:
            notes.append(f"it came as {upright.width}x{upright.height} and was enlarged {enlarged:.2f} times")
    return Finished(
        _written(_covering(upright, size), format, said),
        MEDIA_TYPES[format],
        *size,
        max(enlarged, 1.0),
        False,
        tuple(notes),
    )


def _opened(content: bytes) -> tuple[Image, Image]:
    """As it is in the file, and as it is looked at."""
    from PIL import Image, ImageOps

    try:
        picture = Image.open(io.BytesIO(content), formats=("PNG", "JPEG", "WEBP"))
        if picture.width * picture.height > MAX_PIXELS:
            raise ValueError(f"{picture.width}x{picture.height} are more than {MAX_PIXELS:,} pixels")
        picture.load()
    except Exception as error:
        raise UnreadablePicture(f"what came is no picture that can be read: {error}"[:300]) from error
    return picture, ImageOps.exif_transpose(picture)


def _covering(picture: Image, size: tuple[int, int]) -> Image:
    """Scaled so that it covers the size, what stands over is cut off at both sides alike."""
    from PIL import Image, ImageOps

    transparent = picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info
    plain = picture.convert("RGBA" if transparent else "RGB")
    if plain.size == size:
        return plain
    return ImageOps.fit(plain, size, method=Image.Resampling.LANCZOS, centering=(0.5, 0.5))


def _written(picture: Image, format: FileFormat, said: Mapping[str, str]) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    if format == "png":
        picture.save(out, format="PNG", compress_level=4)
        return with_text(out.getvalue(), said)
    if format == "webp":
        picture.save(out, format="WEBP", quality=92, method=4, xmp=xmp_of(said))
        return out.getvalue()
    if picture.mode == "RGBA":
        page = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(page, picture).convert("RGB")
    picture.save(out, format="JPEG", quality=93, optimize=True, xmp=xmp_of(said))
    return out.getvalue()
