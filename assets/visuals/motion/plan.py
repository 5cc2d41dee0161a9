"""What a film shows and when: its stills, its length, and which frame belongs to which scene.

Belongs here: what may be asked for, the division of time into scenes and fades, easing and the moves. Does not belong here:
pixels (`frames`) and files (`encode`).

Time is counted in frames. Every scene has a slot, the slots fill the film without gap or overlap, and a fade of an odd number
of frames straddles each cut, so that its middle frame is half of each picture.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Literal

from assets.visuals.brand_kit import PresetName
from assets.visuals.briefs import Texts
from assets.visuals.errors import VisualsError

Container = Literal["mp4", "webm"]
SHORTEST_SIDE, LONGEST_SIDE = 240, 3840
SLOWEST, FASTEST = 12, 60
"""Frames a second."""
LONGEST_SECONDS = 60.0
_OPENING, _CLOSING, _STILL = (0.16, 1.4, 2.4), (0.18, 1.6, 2.8), 1.2
"""Cards: share of the film, least and most seconds. A still needs that many seconds to be seen."""
_FADE = 0.62
"""Seconds of a crossfade, less where scenes are short."""
_RAMP = 0.22
"""Share of a move in which it gathers speed, and in which it loses it again."""


class FilmRefused(VisualsError):
    """A film cannot be made as asked; the message says what to change."""


@dataclass(frozen=True)
class FilmFormat:
    """What a film of a content type usually is: pixels and seconds."""

    size: tuple[int, int]
    seconds: float


CONTENT_TYPES: dict[str, FilmFormat] = {
    "video_commercial": FilmFormat((1280, 720), 15.0),
    "promotional_video": FilmFormat((1080, 1920), 12.0),
}
"""The content types of the API that films answer."""


@dataclass(frozen=True)
class Still:
    """A picture of the film: PNG, JPEG or WebP. A `page` holds words and is moved so little that none leaves the frame.

    `drawn` says that the studio drew it from rules alone: a film of such stills is no composite of photographs.
    """

    name: str
    content: bytes
    page: bool = False
    drawn: bool = False


@dataclass(frozen=True)
class FilmPlan:
    """What is asked for. `size` is pixels, `seconds` is rounded to whole frames, `brief` is the brief's hash if there is one.

    The opening shows the eyebrow and the headline of `texts`, or else the brand's name; the closing shows the logo with the
    call to action, or else with the tagline.
    """

    stills: tuple[Still, ...]
    size: tuple[int, int] = (1080, 1920)
    seconds: float = 12.0
    fps: int = 24
    texts: Texts = field(default_factory=lambda: Texts.model_validate({}))
    language: str = "en"
    preset: PresetName = "minimalist_luxury"
    brief: str = ""
    seed: int = 1
    container: Container = "mp4"
    poster: Literal["png", "webp"] = "png"


@dataclass(frozen=True)
class Scene:
    """A slot of the film: its first frame and how many it has. `still` counts from 0 and is None for the cards."""

    kind: Literal["opening", "still", "closing"]
    first: int
    frames: int
    still: int | None = None

    @property
    def end(self) -> int:
        """The first frame after it."""
        return self.first + self.frames


@dataclass(frozen=True)
class Shown:
    """A scene in a frame: how far it has come (0 to 1) and its share of the light."""

    scene: int
    progress: float
    weight: float


@dataclass(frozen=True)
class Timeline:
    """Which frame shows what. A fade reaches from `half` frames before a cut to `half` after it: 2 · half + 1 frames."""

    fps: int
    half: int
    scenes: tuple[Scene, ...]

    @property
    def frames(self) -> int:
        return self.scenes[-1].end

    @property
    def seconds(self) -> float:
        return self.frames / self.fps

    def visible(self, scene: int) -> range:
        """All frames in which a scene is seen, fades included."""
        slot = self.scenes[scene]
        first = slot.first if scene == 0 else slot.first - self.half
        last = slot.end - 1 if scene == len(self.scenes) - 1 else slot.end + self.half
        return range(first, last + 1)

    def alone(self, scene: int) -> range:
        """The frames in which a scene alone is seen."""
        slot = self.scenes[scene]
        first = slot.first if scene == 0 else slot.first + self.half + 1
        end = slot.end if scene == len(self.scenes) - 1 else slot.end - self.half
        return range(first, end)

    def key_frame(self, scene: int) -> int:
        """The middle of the frames in which it is alone."""
        alone = self.alone(scene)
        return alone[len(alone) // 2]

    def at(self, frame: int) -> tuple[Shown, ...]:
        """The one or two scenes of a frame; weights sum to 1."""
        for number, slot in enumerate(self.scenes):
            if frame < slot.end or number == len(self.scenes) - 1:
                break
        into = frame - slot.first
        if number > 0 and into <= self.half:
            return self._fading(frame, number - 1, into)
        if number < len(self.scenes) - 1 and slot.end - frame <= self.half:
            return self._fading(frame, number, frame - slot.end)
        return (Shown(number, self._progress(frame, number), 1.0),)

    def _fading(self, frame: int, leaving: int, from_cut: int) -> tuple[Shown, ...]:
        share = eased((from_cut + self.half + 1) / (2 * self.half + 2))
        return (
            Shown(leaving, self._progress(frame, leaving), 1 - share),
            Shown(leaving + 1, self._progress(frame, leaving + 1), share),
        )

    def _progress(self, frame: int, scene: int) -> float:
        visible = self.visible(scene)
        return (frame - visible.start) / max(len(visible) - 1, 1)

    def __str__(self) -> str:
        """As it stands in a film's file; `Timeline.read` reads it again."""
        cuts = ",".join(f"{scene.kind[0]}{scene.first}" for scene in self.scenes)
        return f"fps={self.fps} half={self.half} frames={self.frames} cuts={cuts}"

    @classmethod
    def read(cls, text: str) -> Timeline:
        """Raises ValueError for what `str` of a timeline did not write."""
        found = re.fullmatch(
            r"fps=(\d{1,3}) half=(\d{1,4}) frames=(\d{1,6}) cuts=([osc]\d{1,6}(?:,[osc]\d{1,6})*)", text
        )
        if not found:
            raise ValueError(f"{text!r} is no timeline of a film")
        fps, half, frames = (int(found[n]) for n in (1, 2, 3))
        cuts = [(one[0], int(one[1:])) for one in found[4].split(",")]
        ends = [first for _, first in cuts[1:]] + [frames]
        kinds = {"o": "opening", "s": "still", "c": "closing"}
        scenes, stills = [], 0
        for (letter, first), end in zip(cuts, ends, strict=True):
            is_still = letter == "s"
            scenes.append(Scene(kinds[letter], first, end - first, stills if is_still else None))  # pyright: ignore
            stills += is_still
        line = cls(fps, half, tuple(scenes))
        if fps == 0 or scenes[0].first != 0 or any(not len(line.alone(n)) for n in range(len(scenes))):
            raise ValueError(f"{text!r} is no timeline of a film: its scenes do not follow each other")
        return line


def timeline_of(plan: FilmPlan) -> Timeline:
    """The scenes of a plan: opening, each still alike long to a frame, closing. Raises FilmRefused for what cannot be made."""
    refuse_what_cannot_be_made(plan)
    total = round(plan.seconds * plan.fps)
    count = len(plan.stills)
    opening, closing = (_card(share, plan.seconds, plan.fps) for share in (_OPENING, _CLOSING))
    rest = total - opening - closing
    if rest < count * math.ceil(_STILL * plan.fps):
        raise FilmRefused(_too_short(plan, count))
    each, left_over = divmod(rest, count)
    slots = [each + (number < left_over) for number in range(count)]
    half = max(1, min(round(_FADE * plan.fps / 2), min(opening, closing, each) // 4))
    scenes, first = [Scene("opening", 0, opening)], opening
    for number, frames in enumerate(slots):
        scenes.append(Scene("still", first, frames, number))
        first += frames
    return Timeline(plan.fps, half, (*scenes, Scene("closing", first, closing)))


def refuse_what_cannot_be_made(plan: FilmPlan) -> None:
    """Raises FilmRefused for sizes, rates and lengths that no film here has, and where there is no still."""
    width, height = plan.size
    if not plan.stills:
        raise FilmRefused("a film needs stills and none were given: give pictures, or a brief that the studio draws")
    if width % 2 or height % 2:
        even = f"{width + width % 2}x{height + height % 2}"
        raise FilmRefused(f"{width}x{height} has an odd side, which H.264 and VP9 cannot hold in 4:2:0: ask for {even}")
    if min(width, height) < SHORTEST_SIDE or max(width, height) > LONGEST_SIDE:
        raise FilmRefused(
            f"{width}x{height} is too small or too large: sides may have {SHORTEST_SIDE} to {LONGEST_SIDE} pixels"
        )
    if not SLOWEST <= plan.fps <= FASTEST:
        raise FilmRefused(f"{plan.fps} frames a second are too few or too many: ask for {SLOWEST} to {FASTEST}")
    if not math.isfinite(plan.seconds) or plan.seconds <= 0:
        raise FilmRefused(f"{plan.seconds} s is no length of a film: ask for more than 0")
    if plan.seconds > LONGEST_SECONDS:
        raise FilmRefused(f"{plan.seconds:g} s is too long: a motion card has {LONGEST_SECONDS:g} s at most")


@dataclass(frozen=True)
class View:
    """A window on a canvas: 1 / `zoom` of the largest that fits, at `across` and `down` (0 to 1) of the room it has."""

    across: float
    down: float
    zoom: float


@dataclass(frozen=True)
class Move:
    """From one view to another."""

    start: View
    end: View

    def at(self, progress: float) -> View:
        """The view at a part of the way, 0 to 1. Zoom is interpolated by ratio, so that its pace looks even."""
        way = gathered(progress)
        zoom = self.start.zoom * (self.end.zoom / self.start.zoom) ** way
        return View(
            self.start.across + (self.end.across - self.start.across) * way,
            self.start.down + (self.end.down - self.start.down) * way,
            zoom,
        )


def move_of(
    canvas: tuple[int, int],
    size: tuple[int, int],
    seconds: float,
    number: int,
    focus: tuple[float, float],
    *,
    page: bool,
) -> Move:
    """The move over a canvas: along its longer side where it has one, else towards the focus (0 to 1 of each side) or back.

    `number` makes neighbours move differently. A page is approached by 3 % at most, about its middle.
    """
    if page:
        return Move(View(0.5, 0.5, 1.0), View(0.5, 0.5, 1 + min(0.03, 0.008 * seconds)))
    room = (canvas[0] / canvas[1]) / (size[0] / size[1])
    spare = max(room, 1 / room) - 1
    """How much longer the canvas is than the window, in windows."""
    if spare > 0.12:
        travel = min(1.0, 0.045 * seconds / spare)
        along = focus[0] if room > 1 else focus[1]
        start = min(max(along - travel / 2, 0.0), 1 - travel)
        ends = (start, start + travel) if number % 2 == 0 else (start + travel, start)
        views = [View(end, focus[1], 1.03) if room > 1 else View(focus[0], end, 1.03) for end in ends]
        return Move(views[0], views[1])
    far, near = View(*focus, 1.0), View(*focus, 1 + min(0.12, 0.028 * seconds))
    return Move(far, near) if number % 2 == 0 else Move(near, far)


def eased(share: float) -> float:
    """Smoothstep: 0 to 1 with no speed at either end, and one half at one half."""
    share = min(max(share, 0.0), 1.0)
    return share * share * (3 - 2 * share)


def gathered(share: float) -> float:
    """0 to 1 at an even pace, with a ramp at either end along which the speed follows a smoothstep."""
    share = min(max(share, 0.0), 1.0)
    if share > 0.5:
        return 1 - gathered(1 - share)
    pace = 1 / (1 - _RAMP)
    if share >= _RAMP:
        return pace * (share - _RAMP / 2)
    part = share / _RAMP
    return pace * _RAMP * (part**3 - part**4 / 2)


def _card(limits: tuple[float, float, float], seconds: float, fps: int) -> int:
    share, least, most = limits
    return math.ceil(min(max(share * seconds, least), most) * fps)


def _too_short(plan: FilmPlan, count: int) -> str:
    """With the least length for so many stills, and the most stills for such a length."""
    cards = [(_card(_OPENING, s / 10, plan.fps) + _card(_CLOSING, s / 10, plan.fps), s / 10) for s in range(1, 601)]
    each = math.ceil(_STILL * plan.fps)
    enough = next((s for frames, s in cards if round(s * plan.fps) - frames >= count * each), None)
    own = _card(_OPENING, plan.seconds, plan.fps) + _card(_CLOSING, plan.seconds, plan.fps)
    fits = (round(plan.seconds * plan.fps) - own) // each
    longer = f"give it {enough:g} s" if enough is not None else f"{LONGEST_SECONDS:g} s, the most, would not do either"
    fewer = f"at most {fits} stills" if fits > 1 else "one still" if fits == 1 else "no still, so make it longer"
    return (
        f"{plan.seconds:g} s is too short for {count} still{'s' * (count > 1)} with an opening and a closing: {longer}, "
        f"or {fewer}"
    )
