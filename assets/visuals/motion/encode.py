"""Frames to a file: H.264 in MP4, or VP9 in WebM, the same bytes for the same frames.

Belongs here: the encoder's settings and what the container says. Does not belong here: what is in a frame.

The colours are BT.709 in the narrow range and are tagged so, which is what players take an untagged film of this size for. One
thread encodes: with more, x264 and VP9 may divide the work another way. x264's macroblock tree is off, as its assembler gave
other bytes for the same frames from run to run where a row has 30 blocks. Neither a time nor a random identifier is written.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from assets.visuals.motion.plan import Container, FilmRefused

MEDIA_TYPES: dict[Container, str] = {"mp4": "video/mp4", "webm": "video/webm"}
_CODECS: dict[Container, str] = {"mp4": "libx264", "webm": "libvpx-vp9"}
_OPTIONS: dict[Container, dict[str, str]] = {
    "mp4": {
        "preset": "medium",
        "crf": "20",
        "tune": "film",
        "profile": "high",
        "x264-params": "aq-mode=3:mbtree=0:threads=1",
    },
    "webm": {"crf": "15", "b": "0", "deadline": "good", "cpu-used": "3", "row-mt": "0", "tile-columns": "0"},
}
_MUXER: dict[Container, dict[str, str]] = {"mp4": {"movflags": "+faststart"}, "webm": {}}
_BT709 = 1


def encoded_film(
    frames: Iterable[Any], size: tuple[int, int], fps: int, container: Container, metadata: Mapping[str, str]
) -> bytes:
    """The file of frames, arrays (height, width, 3) of sRGB. `metadata` needs Title and Software; the rest becomes a comment.

    Frames are taken one by one. They go through a temporary file, as the index of an MP4 is moved to its front at the end.
    Raises FilmRefused where this installation's PyAV lacks the encoder.
    """
    import av
    from av.container.core import Flags
    from av.video.reformatter import ColorRange
    from av.video.stream import VideoStream

    codec = _CODECS[container]
    if codec not in av.codecs_available:
        raise FilmRefused(
            f"this installation's PyAV has no {codec}: ask for {'mp4' if container == 'webm' else 'webm'}"
        )
    with tempfile.TemporaryDirectory(prefix="luxauto-film-") as folder:
        file = Path(folder, f"film.{container}")
        with av.open(str(file), "w", format=container, options=_MUXER[container]) as out:
            out.flags |= Flags.bitexact.value
            out.metadata.update(_said(metadata))
            stream = out.add_stream(codec, rate=fps, options=_OPTIONS[container])
            assert isinstance(stream, VideoStream)
            stream.width, stream.height = size
            stream.pix_fmt = "yuv420p"
            stream.thread_count = 1
            stream.gop_size = 2 * fps
            stream.codec_context.time_base = Fraction(1, fps)
            context = stream.codec_context
            context.color_primaries = context.color_trc = context.colorspace = _BT709
            context.color_range = ColorRange.MPEG
            for number, pixels in enumerate(frames):
                out.mux(stream.encode(_yuv(pixels, number, fps)))
            out.mux(stream.encode(None))
        return file.read_bytes()


def said_in(metadata: Mapping[str, str]) -> dict[str, str]:
    """What `encoded_film` wrote, of a container's own metadata; empty where another program made it."""
    tags = {key.lower(): value for key, value in metadata.items()}
    try:
        said = json.loads(tags.get("comment", ""))
    except ValueError:
        return {}
    if not isinstance(said, dict) or not all(isinstance(value, str) for value in said.values()):
        return {}
    return {"Title": tags.get("title", ""), **said}


def _said(metadata: Mapping[str, str]) -> dict[str, str]:
    """The title stands where players look for it."""
    comment = {key: value for key, value in metadata.items() if key != "Title"}
    return {
        "title": metadata["Title"],
        "comment": json.dumps(comment, ensure_ascii=False, sort_keys=True, separators=(",", ":")),
    }


def _yuv(pixels: Any, number: int, fps: int) -> Any:
    import av
    from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, Interpolation

    frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(
        format="yuv420p",
        dst_colorspace=Colorspace.ITU709,
        src_color_range=ColorRange.JPEG,
        dst_color_range=ColorRange.MPEG,
        dst_color_trc=ColorTrc.BT709,
        dst_color_primaries=ColorPrimaries.BT709,
        interpolation=Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INP,
        threads=1,
    )
    frame.pts = number
    frame.time_base = Fraction(1, fps)
    return frame
