"""Films are judged by what is in them: each fault that a film can have is found, and a good one has none."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter

from assets.visuals.brand_kit import LoadedKit
from assets.visuals.motion import Film, FilmPlan, Still, judge_film, make_film, timeline_of
from assets.visuals.motion.encode import encoded_film
from assets.visuals.motion.film import frames_of
from assets.visuals.motion.frames import FINER, box_of, canvas_of
from assets.visuals.motion.judge import FilmReport, jitter_of, longest_run
from tests.assets.visuals.films import SIZE, small_plan
from tests.assets.visuals.kits import load
from tests.assets.visuals.scenes import encoded, scene


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> LoadedKit:
    return load(tmp_path_factory.mktemp("kit"))


@pytest.fixture(scope="module")
def film(kit: LoadedKit) -> Film:
    return make_film(kit, small_plan())


@pytest.fixture(scope="module")
def frames(kit: LoadedKit) -> list[Any]:
    return list(frames_of(kit, small_plan()))


def filmed(film: Film, frames: Iterable[Any]) -> FilmReport:
    """The verdict on other frames with the same film's data."""
    return judge_film(encoded_film(frames, SIZE, 12, "mp4", film.metadata), size=SIZE, seconds=6.0, fps=12)


def failed(report: FilmReport) -> list[str]:
    return [check.name for check in report.checks if check.status == "failed"]


def test_a_good_film_passes_every_check(film: Film):
    report = judge_film(film.content, size=SIZE, seconds=6.0, fps=12)
    assert {check.name: check.status for check in report.checks} == {
        "readable": "passed",
        "size": "passed",
        "frame_rate": "passed",
        "duration": "passed",
        "edges": "passed",
        "blank_frames": "passed",
        "frozen": "passed",
        "scene_1_opening": "passed",
        "scene_2_still": "passed",
        "scene_3_still": "passed",
        "scene_4_closing": "passed",
        "jitter": "passed",
    }
    assert (report.width, report.height, report.fps, report.frames, report.seconds) == (*SIZE, 12, 72, 6.0)
    assert report.as_dict()["status"] == "passed"


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ({"size": (270, 480)}, "size"),
        ({"seconds": 5.9}, "duration"),
        ({"seconds": 6.1}, "duration"),
        ({"fps": 24}, "frame_rate"),
    ],
)
def test_a_film_that_is_not_as_asked_for_fails(film: Film, asked: dict[str, Any], name: str):
    assert failed(judge_film(film.content, **asked)) == [name]


def test_a_run_of_black_frames_is_found_with_its_time(film: Film, frames: list[Any]):
    dark = [np.zeros_like(frame) if n in (24, 25, 26) else frame for n, frame in enumerate(frames)]
    report = filmed(film, dark)
    assert "blank_frames" in failed(report)
    assert next(check.message for check in report.checks if check.name == "blank_frames").startswith(
        "3 frames from 2.00 s"
    )


@pytest.mark.parametrize(("place", "said"), [(0, "first"), (-1, "last")])
def test_a_blank_first_or_last_frame_is_found(film: Film, frames: list[Any], place: int, said: str):
    changed = list(frames)
    changed[place] = np.full_like(frames[0], 240)
    report = filmed(film, changed)
    assert failed(report) == ["edges"]
    assert said in next(check.message for check in report.checks if check.name == "edges")


def test_a_film_that_ends_early_is_found(film: Film, frames: list[Any]):
    assert failed(filmed(film, frames[:50])) == ["duration", "scene_4_closing"]


def test_a_scene_without_anything_sharp_is_named(kit: LoadedKit):
    soft = encoded(scene(3, (900, 600)).filter(ImageFilter.GaussianBlur(24)))
    made = make_film(kit, small_plan(stills=(small_plan().stills[0], Still("soft.png", soft))))
    assert failed(judge_film(made.content)) == ["scene_3_still"]


@pytest.mark.parametrize(("size", "number"), [((480, 270), 0), ((480, 270), 1), ((640, 360), 0), ((270, 480), 1)])
def test_windows_that_are_cut_at_whole_pixels_shake_and_ours_do_not(kit: LoadedKit, size: tuple[int, int], number: int):
    still = Still("one.png", encoded(scene(1, (900, 600))))
    plan = FilmPlan((still,), size, 5.0, 24, seed=number)
    good = make_film(kit, plan)
    assert failed(judge_film(good.content)) == []
    line = timeline_of(plan)
    canvas = canvas_of(still, size, len(line.visible(1)) / 24, number, "#F8F4EC")
    coarse = canvas.image.resize([round(side / FINER) for side in canvas.image.size])

    def whole(frame: int, drawn: Any) -> Any:
        if frame not in line.alone(1):
            return drawn
        box = box_of(coarse.size, canvas.move.at(line.at(frame)[0].progress), size)
        left, top, right, bottom = (round(edge) for edge in box)
        return np.asarray(coarse.crop((left, top, right, bottom)).resize(size, Image.Resampling.LANCZOS))

    cut = [whole(n, drawn) for n, drawn in enumerate(frames_of(kit, plan))]
    assert failed(judge_film(encoded_film(cut, size, 24, "mp4", good.metadata))) == ["jitter"]


def test_the_motion_is_measured_as_it_was_planned(kit: LoadedKit):
    """What the decoder shows grows and shifts as the plan's boxes do."""
    from assets.visuals.motion.judge import _watched

    still = Still("one.png", encoded(scene(1, (900, 600))))
    plan = FilmPlan((still,), (640, 360), 6.0, 24)
    line = timeline_of(plan)
    canvas = canvas_of(still, plan.size, len(line.visible(1)) / 24, plan.seed, "#F8F4EC")
    seen = _watched(make_film(kit, plan).content, None)
    alone = line.alone(1)
    widths = [
        (box := box_of(canvas.image.size, canvas.move.at(line.at(n)[0].progress), plan.size))[2] - box[0] for n in alone
    ]
    planned = np.log(widths[0] / widths[-1])
    measured = sum(growth for _, _, growth in seen.motions[alone.start + 1 : alone.stop])
    if abs(planned) > 0.02:
        assert measured == pytest.approx(planned, rel=0.1)
    shifts = np.array(seen.motions[alone.start + 1 : alone.stop])[:, 0]
    assert (shifts > -0.0005).all() or (shifts < 0.0005).all()


def test_another_programs_film_is_checked_without_its_scenes(film: Film, frames: list[Any]):
    foreign = encoded_film(frames, SIZE, 12, "mp4", {"Title": "theirs", "Software": "other"})
    statuses = {check.name: check.status for check in judge_film(foreign).checks}
    assert statuses["scenes"] == statuses["jitter"] == "skipped"
    told = judge_film(foreign, timeline=film.timeline)
    assert {check.name: check.status for check in told.checks}["jitter"] == "passed"


def test_a_picture_that_stands_for_long_is_a_warning(film: Film, frames: list[Any]):
    stands = [frames[30]] * 60
    report = judge_film(encoded_film(stands, SIZE, 12, "mp4", {"Title": "a", "Software": "b"}))
    assert report.status == "warned"
    assert "nothing moves for 5.0 s" in next(check.message for check in report.checks if check.name == "frozen")


@pytest.mark.parametrize("content", [b"", b"no film", b"\0\0\0\x18ftypisom\0\0\0\0isomavc1"])
def test_what_is_no_film_is_unreadable(content: bytes):
    report = judge_film(content)
    assert (report.status, [check.name for check in report.checks]) == ("failed", ["readable"])


def test_a_film_that_was_cut_off_fails(film: Film):
    assert judge_film(film.content[: len(film.content) // 2]).status == "failed"


def test_even_paces_and_even_gains_have_no_jitter_and_steps_have():
    even = [(0.001, 0.0, 0.0)] * 20
    gaining = [(0.0001 * n, 0.0, 0.00002 * n) for n in range(20)]
    stepping = [(0.001 * (n % 2), 0.0, 0.0) for n in range(20)]
    assert jitter_of(even, (1280, 720)) == pytest.approx(0)
    assert jitter_of(gaining, (1280, 720)) == pytest.approx(0, abs=1e-9)
    assert jitter_of(stepping, (1280, 720)) > 1
    assert jitter_of(even[:2], (1280, 720)) == 0


def test_the_longest_run_is_found_wherever_it_stands():
    assert longest_run([]) == longest_run([False]) == (0, 0)
    assert longest_run([True, False, True, True]) == (2, 2)
    assert longest_run([True, True, False, True]) == (0, 2)


def test_a_plan_with_other_words_is_another_film(kit: LoadedKit, film: Film):
    other = make_film(kit, replace(small_plan(), seed=2))
    assert other.content != film.content
