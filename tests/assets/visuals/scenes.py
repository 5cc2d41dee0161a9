"""Pictures for tests, made of shapes in the starter kit's colours."""

import io
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

COLOURS = ("#F8F4EC", "#EBE2D3", "#1F1C18", "#6A6056", "#9A7631", "#2B1A1D", "#F3E9D7", "#6E2A35", "#6F7F6C")


def scene(seed: int = 0, size: tuple[int, int] = (1024, 1024), colours: tuple[str, ...] = COLOURS) -> Image.Image:
    """Ellipses and bars on the first colour."""
    random = np.random.default_rng(seed)
    picture = Image.new("RGB", (1024, 1024), colours[0])
    draw = ImageDraw.Draw(picture)
    for n in range(40):
        x, y = (int(value) for value in random.integers(0, 900, 2))
        w, h = (int(value) for value in random.integers(30, 320, 2))
        shape = draw.ellipse if n % 2 else draw.rectangle
        shape((x, y, x + w, y + h), fill=colours[int(random.integers(0, len(colours)))])
    return picture.resize(size, Image.Resampling.LANCZOS)


def encoded(picture: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, format=format, **options)
    return out.getvalue()
