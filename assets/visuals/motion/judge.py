"""Whether a film is good enough to be shown: it is decoded from the first frame to the last and measured.

Belongs here: what is measured on moving pictures, the limits. Does not belong here: checks of one picture (`quality`), which
the key frames go through.

A film from here says in its own file which scene is when. Of another's film nobody knows, so checks by scene are *skipped*.
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from assets.visuals.motion.encode import said_in
from assets.visuals.motion.plan import Timeline
from assets.visuals.quality import Check, Status
from assets.visuals.quality import judge as judge_picture


@dataclass(frozen=True)
class FilmLimits:
    """Where checks fail. `deviation` is of grey values; `jitter` is in the film's own pixels."""

    deviation: float = 3.0
    blank_run: int = 2
    jitter: float = 0.4
    longest_still: float = 4.0


@dataclass(frozen=True)
class FilmReport:
    """All checks of one film; size in pixels, `seconds` as the container says, `frames` as they were decoded."""

    width: int
    height: int
    fps: float
    frames: int
    seconds: float
    checks: tuple[Check, ...]

    @property
    def status(self) -> Status:
        found = {check.status for check in self.checks}
        return "failed" if "failed" in found else "warned" if "warned" in found else "passed"

    def as_dict(self) -> dict[str, Any]:
        size = {"width": self.width, "height": self.height, "fps": self.fps, "frames": self.frames}
        return {"status": self.status, **size, "seconds": self.seconds, "checks": [vars(one) for one in self.checks]}


def judge_film(
    content: bytes,
    *,
    size: tuple[int, int] | None = None,
    seconds: float | None = None,
    fps: float | None = None,
    timeline: Timeline | None = None,
    limits: FilmLimits = FilmLimits(),
) -> FilmReport:
    """Check a film's bytes, MP4 or WebM.

    `size`, `seconds` and `fps` are what was asked for; what is not given is skipped. `timeline` is read from the film where it
    is not given. Loudness is not measured, as these films have no sound.
    """
    try:
        seen = _watched(content, timeline)
    except Exception as error:
        unreadable = Check("readable", "failed", 0.0, None, f"it cannot be decoded as a film: {error}"[:200])
        return FilmReport(0, 0, 0.0, 0, 0.0, (unreadable,))
    checks = (
        Check("readable", "passed", 1.0, seen.codec, f"{seen.frames} frames of {seen.codec} were decoded"),
        _size(seen, size),
        _rate(seen, fps),
        _duration(seen, seconds),
        _edges(seen, limits),
        _blank_runs(seen, limits),
        _frozen(seen, limits),
        *_key_frames(seen),
        _jitter(seen, limits),
    )
    return FilmReport(*seen.size, seen.fps, seen.frames, seen.seconds, checks)


@dataclass
class _Seen:
    """What is kept of a film while it goes by: numbers a frame, and the key frames as pictures."""

    size: tuple[int, int]
    codec: str
    fps: float
    seconds: float
    timeline: Timeline | None
    steps: list[float] = field(default_factory=list)
    deviations: list[float] = field(default_factory=list)
    changes: list[float] = field(default_factory=list)
    motions: list[tuple[float, float, float]] = field(default_factory=list)
    keys: dict[int, bytes] = field(default_factory=dict)

    @property
    def frames(self) -> int:
        return len(self.deviations)


def _watched(content: bytes, timeline: Timeline | None) -> _Seen:
    import av
    import numpy as np

    with av.open(io.BytesIO(content), "r") as film:
        stream = film.streams.video[0]
        stream.thread_count = 1
        if timeline is None:
            timeline = _timeline_in(dict(film.metadata))
        seen = _Seen(
            (stream.codec_context.width, stream.codec_context.height),
            stream.codec_context.name,
            float(stream.average_rate or 0),
            (film.duration or 0) / av.time_base,
            timeline,
        )
        scenes = {timeline.key_frame(n): n for n in range(len(timeline.scenes))} if timeline else {}
        moving = _moving(timeline)
        times: list[float] = []
        before: Any = None
        lately: deque[Any] = deque(maxlen=_half_second(seen.fps))
        for number, frame in enumerate(film.decode(video=0)):
            times.append(float(frame.time or 0.0))
            grey = _small_grey(frame)
            seen.deviations.append(float(grey.std()))
            if len(lately) == lately.maxlen:
                seen.changes.append(float(np.abs(grey - lately[0]).mean()))
            lately.append(grey.astype(np.uint8))
            # Only where it is asked for: between two frames of one still.
            both = number in moving and number - 1 in moving
            seen.motions.append(_motion(before, grey) if both else (0.0, 0.0, 0.0))
            before = grey
            if number in scenes:
                seen.keys[scenes[number]] = _png(frame)
        seen.steps = [later - earlier for earlier, later in pairwise(times)]
    if not seen.frames:
        raise ValueError("it holds no frame")
    return seen


def _half_second(fps: float) -> int:
    """In frames, within reason for files that say anything."""
    return min(max(round(fps / 2), 1), 60)


def _timeline_in(metadata: dict[str, str]) -> Timeline | None:
    try:
        return Timeline.read(said_in(metadata).get("luxauto:timeline", ""))
    except ValueError:
        return None


def _moving(timeline: Timeline | None) -> frozenset[int]:
    if timeline is None:
        return frozenset()
    return frozenset(
        frame for n, scene in enumerate(timeline.scenes) if scene.still is not None for frame in timeline.alone(n)
    )


# The checks


def _size(seen: _Seen, asked: tuple[int, int] | None) -> Check:
    value = f"{seen.size[0]}x{seen.size[1]}"
    if asked is None:
        return Check("size", "skipped", None, value, "no size was asked for")
    if seen.size != asked:
        return Check("size", "failed", 0.0, value, f"{asked[0]}x{asked[1]} was asked for")
    return Check("size", "passed", 1.0, value, "as asked for")


def _rate(seen: _Seen, asked: float | None) -> Check:
    """Constant, whatever was asked for: players stumble over frames that come early or late."""
    value = round(seen.fps, 3)
    if seen.fps <= 0:
        return Check("frame_rate", "failed", 0.0, value, "it says no frame rate")
    # Matroska counts in milliseconds.
    uneven = max((abs(step - 1 / seen.fps) for step in seen.steps), default=0.0)
    if uneven > 0.00101:
        return Check("frame_rate", "failed", 0.0, value, f"frames come up to {uneven * 1000:.0f} ms early or late")
    if asked is not None and abs(seen.fps - asked) > 0.01:
        return Check("frame_rate", "failed", 0.0, value, f"{asked:g} frames a second were asked for")
    return Check("frame_rate", "passed", 1.0, value, f"{value:g} frames a second, evenly")


def _duration(seen: _Seen, asked: float | None) -> Check:
    value = round(seen.seconds, 3)
    frame = 1 / seen.fps if seen.fps else 0.0
    told = seen.timeline.seconds if seen.timeline else None
    for wanted, whose in (
        (asked, "was asked for"),
        (told, "its timeline says"),
        (seen.frames * frame, "its frames last"),
    ):
        if wanted is not None and abs(seen.seconds - wanted) > frame + 1e-6:
            return Check("duration", "failed", 0.0, value, f"{wanted:.3f} s {whose}")
    return Check("duration", "passed", 1.0, value, f"{seen.frames} frames, {value:g} s")


def _edges(seen: _Seen, limits: FilmLimits) -> Check:
    first, last = seen.deviations[0], seen.deviations[-1]
    value = round(min(first, last), 2)
    blank = [name for name, found in (("first", first), ("last", last)) if found < limits.deviation]
    if blank:
        return Check("edges", "failed", 0.0, value, f"its {' and '.join(blank)} frame shows nothing")
    return Check("edges", "passed", 1.0, value, "its first and its last frame show something")


def _blank_runs(seen: _Seen, limits: FilmLimits) -> Check:
    start, length = longest_run([found < limits.deviation for found in seen.deviations])
    if length >= limits.blank_run:
        at = start / seen.fps if seen.fps else 0.0
        return Check("blank_frames", "failed", 0.0, length, f"{length} frames from {at:.2f} s on show nothing")
    return Check("blank_frames", "passed", 1.0, length, "no run of frames shows nothing")


def _frozen(seen: _Seen, limits: FilmLimits) -> Check:
    """A picture that stands for long looks like a player that hangs."""
    # Within half a second the slowest move is far above this, and an encoder that renews a standing picture below.
    start, length = longest_run([change < 0.5 for change in seen.changes])
    standing = (length + _half_second(seen.fps)) / seen.fps if length and seen.fps else 0.0
    value = round(standing, 2)
    if standing > limits.longest_still:
        at = start / seen.fps
        return Check("frozen", "warned", 0.5, value, f"nothing moves for {standing:.1f} s from {at:.2f} s on")
    return Check("frozen", "passed", 1.0, value, f"nothing stands for longer than {standing:.1f} s")


def _key_frames(seen: _Seen) -> Iterator[Check]:
    """The middle of each scene, by the checks of a picture."""
    if seen.timeline is None:
        yield Check("scenes", "skipped", None, None, "it does not say when its scenes are")
        return
    for number, scene in enumerate(seen.timeline.scenes):
        name = f"scene_{number + 1}_{scene.kind}"
        if number not in seen.keys:
            yield Check(name, "failed", 0.0, None, "it ends before this scene's key frame")
            continue
        found = {check.name: check for check in judge_picture(seen.keys[number], size=seen.size).checks}
        worst = min((found["blur"], found["blank"]), key=lambda check: 1.0 if check.score is None else check.score)
        yield Check(name, worst.status, worst.score, worst.value, f"{worst.name}: {worst.message}")


def _jitter(seen: _Seen, limits: FilmLimits) -> Check:
    if seen.timeline is None:
        return Check("jitter", "skipped", None, None, "it does not say when its scenes are")
    shaken = [
        jitter_of(seen.motions[alone.start + 1 : alone.stop], seen.size)
        for n, scene in enumerate(seen.timeline.scenes)
        if scene.still is not None and (alone := seen.timeline.alone(n)).stop <= seen.frames
    ]
    worst = round(max(shaken, default=0.0), 3)
    if worst > limits.jitter:
        return Check("jitter", "failed", 0.0, worst, f"its moves shake by {worst:g} pixels")
    return Check("jitter", "passed", 1 - worst / limits.jitter / 2, worst, f"its moves are even to {worst:g} pixels")


# What they measure


def longest_run(found: Sequence[bool]) -> tuple[int, int]:
    """Where the longest run of trues begins, and its length."""
    best, start = (0, 0), 0
    for number, one in enumerate([*found, False]):
        if one:
            continue
        if number - start > best[1]:
            best = (start, number - start)
        start = number + 1
    return best


def jitter_of(motions: Sequence[tuple[float, float, float]], size: tuple[int, int]) -> float:
    """How far a move is from even, in pixels: the root mean square of the motion's second difference, at a corner.

    `motions` are shifts to the right and down and growth between frames, in shares of the height. An even pace or an even gain
    of speed has none; a window that is cut at whole pixels has 0.7 and more.
    """
    import numpy as np

    if len(motions) < 3:
        return 0.0
    shift = np.asarray(motions, dtype=np.float64)
    corner = np.array([size[0] / size[1] / 2, 0.5])
    paths = np.stack([shift[:, :2] + way * shift[:, 2:] * corner for way in (1, -1)])
    second = np.diff(paths, n=2, axis=1)
    return float(np.sqrt((second**2).sum(axis=2).mean(axis=1)).max()) * size[1]


def _motion(before: Any, after: Any) -> tuple[float, float, float]:
    """Shift to the right and down and growth from one small grey picture to the next, in shares of its height.

    By least squares on the brightness that stays as it is along the motion (Lucas and Kanade, 1981), with one shift and one
    growth for the whole picture.
    """
    import numpy as np

    height = before.shape[0]
    before, after = _soft(before), _soft(after)
    mean = (before + after) / 2
    right = (mean[1:-1, 2:] - mean[1:-1, :-2]) / 2
    down = (mean[2:, 1:-1] - mean[:-2, 1:-1]) / 2
    rows, columns = right.shape
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float64)
    y, x = y - (rows - 1) / 2, x - (columns - 1) / 2
    terms = np.stack([right.ravel(), down.ravel(), (right * x + down * y).ravel()])
    change = -(after - before)[1:-1, 1:-1].ravel()
    normal = terms @ terms.T
    if np.linalg.matrix_rank(normal) < 3:
        return 0.0, 0.0, 0.0
    across, along, growth = np.linalg.solve(normal, terms @ change)
    return float(across) / height, float(along) / height, float(growth)


def _small_grey(frame: Any) -> Any:
    """Brightness from 0 to 255 at about 240 rows or columns, by whole blocks: split pixels would feign motion."""
    import numpy as np
    from PIL import Image

    luma = Image.fromarray(frame.to_ndarray(format="gray"))
    return np.asarray(luma.reduce(max(1, min(luma.size) // 240)), dtype=np.float64)


def _soft(grey: Any) -> Any:
    """Through a bell of 1.5 pixels, so that brightness is near a plane along the motion; 4 pixels are lost at each edge."""
    import numpy as np

    bell = np.exp(-0.5 * (np.arange(-4, 5) / 1.5) ** 2)
    bell /= bell.sum()
    rows, columns = grey.shape[0] - 8, grey.shape[1] - 8
    down = np.sum([weight * grey[n : n + rows] for n, weight in enumerate(bell)], axis=0)
    return np.sum([weight * down[:, n : n + columns] for n, weight in enumerate(bell)], axis=0)


def _png(frame: Any) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(frame.to_ndarray(format="rgb24")).save(out, format="PNG", compress_level=1)
    return out.getvalue()
