"""A film from a kit and a plan: frames are drawn one by one and go straight into the encoder.

Belongs here: the order of things, what is written about a film into its file. Does not belong here: how a frame is drawn
(`frames`), what a card shows (`stills`), the file (`encode`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from assets.visuals.brand_kit import LoadedKit
from assets.visuals.motion.encode import MEDIA_TYPES, encoded_film
from assets.visuals.motion.frames import canvas_of, crossfaded, window
from assets.visuals.motion.plan import FilmPlan, Timeline, timeline_of
from assets.visuals.motion.stills import closing_card, opening_card, poster_of
from assets.visuals.studio.layout import Theme

SOFTWARE = "luxauto motion 1"
Progress = Callable[[int, int], None]
"""Told how many frames of how many are done."""


@dataclass(frozen=True)
class Film:
    """A finished film, unsigned. `poster` is its most telling frame as a picture; `metadata` is what stands in both files."""

    content: bytes
    media_type: str
    width: int
    height: int
    seconds: float
    fps: int
    poster: bytes
    metadata: Mapping[str, str]
    timeline: Timeline
    notes: tuple[str, ...] = ()


def make_film(loaded: LoadedKit, plan: FilmPlan, progress: Progress = lambda done, of: None) -> Film:
    """Draw and encode a film. The same kit, plan and fonts give the same bytes on the same machine.

    At most two stills are unpacked at a time, and no frame is kept. Raises FilmRefused for what cannot be made and for a still
    that cannot be read, InvalidBrief for words that the kit forbids, TextDoesNotFit and FontError for what cannot be set.
    """
    timeline = timeline_of(plan)
    metadata = _metadata(loaded, plan, timeline)
    notes: list[str] = []
    poster = bytearray()
    wanted = timeline.key_frame(1)

    def drawn() -> Iterator[Any]:
        for number, pixels in enumerate(_frames(loaded, plan, timeline, notes)):
            if number == wanted:
                poster.extend(poster_of(pixels, plan.poster, metadata))
            yield pixels
            progress(number + 1, timeline.frames)

    content = encoded_film(drawn(), plan.size, plan.fps, plan.container, metadata)
    return Film(
        content,
        MEDIA_TYPES[plan.container],
        *plan.size,
        timeline.seconds,
        plan.fps,
        bytes(poster),
        metadata,
        timeline,
        tuple(dict.fromkeys(notes)),
    )


def frames_of(loaded: LoadedKit, plan: FilmPlan) -> Iterator[Any]:
    """A film's frames before they are encoded: arrays (height, width, 3) of sRGB. Raises as `make_film`."""
    yield from _frames(loaded, plan, timeline_of(plan), [])


def _frames(loaded: LoadedKit, plan: FilmPlan, timeline: Timeline, notes: list[str]) -> Iterator[Any]:
    ground = Theme.of(loaded, loaded.kit.presets[plan.preset]).ground
    scenes: dict[int, Callable[[float], Any]] = {}
    for number in range(timeline.frames):
        shown = timeline.at(number)
        needed = {one.scene for one in shown}
        # What has left goes before what comes is unpacked.
        for gone in scenes.keys() - needed:
            del scenes[gone]
        for scene in sorted(needed - scenes.keys()):
            scenes[scene] = _scene(loaded, plan, timeline, scene, ground, notes)
        pictures = [scenes[one.scene](one.progress) for one in shown]
        yield pictures[0] if len(pictures) == 1 else crossfaded(pictures[0], pictures[1], shown[1].weight)


def _scene(
    loaded: LoadedKit, plan: FilmPlan, timeline: Timeline, scene: int, ground: str, notes: list[str]
) -> Callable[[float], Any]:
    """What a scene looks like at a part of its way, 0 to 1."""
    still = timeline.scenes[scene].still
    if still is None:
        card = (opening_card if timeline.scenes[scene].kind == "opening" else closing_card)(loaded, plan)
        return lambda progress: card
    seconds = len(timeline.visible(scene)) / plan.fps
    canvas = canvas_of(plan.stills[still], plan.size, seconds, still + plan.seed, ground)
    notes.extend(canvas.notes)
    return lambda progress: window(canvas.image, canvas.move.at(progress), plan.size)


def _metadata(loaded: LoadedKit, plan: FilmPlan, timeline: Timeline) -> dict[str, str]:
    said = {
        "Software": SOFTWARE,
        "Title": plan.texts.headline.strip() or loaded.kit.name,
        "luxauto:provider": "motion",
        "luxauto:brand_kit": loaded.version,
        "luxauto:preset": plan.preset,
        "luxauto:language": plan.language,
        "luxauto:seed": str(plan.seed),
        "luxauto:stills": ",".join(hashlib.sha256(still.content).hexdigest()[:12] for still in plan.stills),
        "luxauto:timeline": str(timeline),
    }
    return said | ({"luxauto:brief": plan.brief} if plan.brief else {})
