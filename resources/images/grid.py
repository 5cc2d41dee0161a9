"""Four pictures that came as one: two by two, side by side, without a gap.

Belongs here: taking a grid apart. Does not belong here: who sent it (`midjourney`), or whether a file is one
(`assets/visuals/downloads`).
"""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}
MOST_PIXELS = 64_000_000


class NoPicture(ValueError):
    """The bytes are no picture that can be read, or no grid."""


def open_picture(content: bytes) -> tuple["Image", str]:
    """A picture, decoded whole, and its format's name in `FORMATS`. Raises NoPicture."""
    from PIL import Image, UnidentifiedImageError

    try:
        picture = Image.open(io.BytesIO(content), formats=tuple(FORMATS))
        if picture.width * picture.height > MOST_PIXELS:
            raise ValueError(f"{picture.width}x{picture.height} are more than {MOST_PIXELS:,} pixels")
        picture.load()
    except UnidentifiedImageError as error:
        raise NoPicture("cannot be read as PNG, JPEG or WebP") from error
    except Exception as error:
        raise NoPicture(f"cannot be read as PNG, JPEG or WebP: {error}"[:200]) from error
    # A JPEG with further pictures behind the first, as telephones write it, is one all the same.
    return picture, "JPEG" if picture.format == "MPO" else picture.format or ""


def split_grid(content: bytes) -> Sequence[bytes]:
    """The four pictures row by row, as PNG without loss; what else stands in the file is left out, but its colour profile.

    Raises NoPicture for what cannot be halved.
    """
    picture, _ = open_picture(content)
    width, height = picture.size
    if width % 2 or height % 2:
        raise NoPicture(f"has {width}x{height} pixels, which cannot be halved: it is no grid of four")
    across, down = width // 2, height // 2
    is_clear = "A" in picture.mode or "transparency" in picture.info
    plain = picture.convert("RGBA" if is_clear else "RGB")
    quarters = []
    for top in (0, down):
        for left in (0, across):
            out = io.BytesIO()
            tile = plain.crop((left, top, left + across, top + down))
            tile.save(out, "PNG", compress_level=1, icc_profile=picture.info.get("icc_profile"))
            quarters.append(out.getvalue())
    return quarters
