"""Films for tests, small enough to be made often, and what a decoder finds in one."""

import io
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av

from assets.visuals.briefs import Texts
from assets.visuals.motion import FilmPlan, Still
from tests.assets.visuals.scenes import encoded, scene

SIZE = (480, 270)


def texts(**words: str) -> Texts:
    said = {"eyebrow": "Autumn 2026", "headline": "Light lines", "call_to_action": "Discover", **words}
    return Texts.model_validate(said)


def small_plan(**changes: Any) -> FilmPlan:
    stills = (Still("one.png", encoded(scene(1, (900, 600)))), Still("two.png", encoded(scene(2, (800, 800)))))
    asked = {"stills": stills, "size": SIZE, "seconds": 6.0, "fps": 12, "texts": texts(), "brief": "abc123def456"}
    return FilmPlan(**{**asked, **changes})


@dataclass(frozen=True)
class Decoded:
    codec: str
    pixel_format: str
    size: tuple[int, int]
    rate: Fraction
    seconds: float
    metadata: dict[str, str]
    colours: tuple[int, int, int, int]
    times: list[float]
    pictures: list[Any]
    """Arrays (height, width, 3) of sRGB."""


def decoded(content: bytes) -> Decoded:
    with av.open(io.BytesIO(content), "r") as film:
        stream = film.streams.video[0]
        assert len(film.streams) == 1
        frames = list(film.decode(video=0))
        context = stream.codec_context
        colours = (context.color_primaries, context.color_trc, context.colorspace, context.color_range)
        return Decoded(
            context.name,
            context.pix_fmt or "",
            (context.width, context.height),
            stream.average_rate or Fraction(0),
            (film.duration or 0) / av.time_base,
            dict(film.metadata),
            colours,
            [float(frame.time or 0) for frame in frames],
            [frame.to_ndarray(format="rgb24") for frame in frames],
        )


def boxes(mp4: bytes) -> list[tuple[str, int, int]]:
    """Kind, first byte and size of each box at the top of an MP4."""
    found, at = [], 0
    while at < len(mp4):
        size = int.from_bytes(mp4[at : at + 4], "big")
        found.append((mp4[at + 4 : at + 8].decode("latin-1"), at, size))
        at += size
    return found
