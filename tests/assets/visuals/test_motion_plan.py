"""When a film shows what: slots fill it to the frame, fades straddle cuts, moves never leave their canvas."""

import math
import re
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from assets.visuals.motion import FilmPlan, FilmRefused, Still, Timeline, timeline_of
from assets.visuals.motion.frames import box_of
from assets.visuals.motion.plan import FASTEST, SLOWEST, Move, View, eased, gathered, move_of


def plan(count: int = 3, seconds: float = 12.0, fps: int = 24) -> FilmPlan:
    return FilmPlan(tuple(Still(f"{n}.png", b"") for n in range(count)), (1280, 720), seconds, fps)


plans = st.builds(
    plan,
    st.integers(1, 40),
    st.floats(0.5, 60).map(lambda seconds: round(seconds, 3)),
    st.integers(SLOWEST, FASTEST),
)


@settings(max_examples=300, deadline=None)
@given(plans)
def test_slots_fill_the_film_to_the_frame(asked: FilmPlan):
    try:
        line = timeline_of(asked)
    except FilmRefused as refused:
        assume("too short" not in str(refused))
        raise
    total = round(asked.seconds * asked.fps)
    assert sum(scene.frames for scene in line.scenes) == line.frames == total
    assert line.scenes[0].first == 0
    assert all(before.end == after.first for before, after in pairwise(line.scenes))
    stills = [scene.frames for scene in line.scenes if scene.kind == "still"]
    assert max(stills) - min(stills) <= 1
    assert [scene.still for scene in line.scenes] == [None, *range(len(asked.stills)), None]
    assert all(len(line.alone(n)) >= asked.fps * 0.5 for n in range(len(line.scenes)))


@settings(max_examples=60, deadline=None)
@given(plans)
def test_in_every_frame_one_or_two_neighbours_share_the_whole_light(asked: FilmPlan):
    try:
        line = timeline_of(asked)
    except FilmRefused:
        assume(False)
    shown = [line.at(frame) for frame in range(line.frames)]
    assert all(sum(one.weight for one in frame) == pytest.approx(1, abs=1e-12) for frame in shown)
    assert all([one.scene for one in frame] in ([n := frame[0].scene], [n, n + 1]) for frame in shown)
    for number in range(len(line.scenes)):
        seen = [frame for frame, scenes in enumerate(shown) if number in [one.scene for one in scenes]]
        alone = [frame for frame in seen if len(shown[frame]) == 1]
        assert seen == list(line.visible(number))
        assert alone == list(line.alone(number))
        assert line.key_frame(number) in alone
        progress = [next(one.progress for one in shown[frame] if one.scene == number) for frame in seen]
        assert progress[0] == 0 and progress[-1] == 1
        assert all(earlier < later for earlier, later in pairwise(progress))


@pytest.mark.parametrize("fps", [12, 24, 25, 30, 60])
def test_the_frame_at_a_cut_is_half_of_each_picture_and_the_fade_is_even_about_it(fps: int):
    line = timeline_of(plan(fps=fps))
    for scene in line.scenes[1:]:
        weights = [line.at(frame)[1].weight for frame in range(scene.first - line.half, scene.first + line.half + 1)]
        assert weights[line.half] == 0.5
        assert all(earlier < later for earlier, later in pairwise(weights))
        assert weights == pytest.approx([1 - weight for weight in reversed(weights)])


@settings(max_examples=100, deadline=None)
@given(plans)
def test_a_timeline_is_read_again_as_it_was_written(asked: FilmPlan):
    try:
        line = timeline_of(asked)
    except FilmRefused:
        assume(False)
    assert Timeline.read(str(line)) == line


@pytest.mark.parametrize(
    "text",
    [
        "",
        "fps=24",
        "fps=24 half=7 frames=10 cuts=o0,s9,c8",
        "fps=24 half=90 frames=99 cuts=o0,c50",
        "fps=0 half=1 frames=9 cuts=o0",
    ],
)
def test_what_is_no_timeline_is_refused(text: str):
    with pytest.raises(ValueError, match="no timeline"):
        Timeline.read(text)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (replace(plan(), stills=()), "none were given"),
        (replace(plan(), size=(1281, 720)), "odd side.*ask for 1282x720"),
        (replace(plan(), size=(1280, 719)), "ask for 1280x720"),
        (replace(plan(), size=(200, 720)), "too small or too large"),
        (replace(plan(), size=(1280, 4000)), "too small or too large"),
        (replace(plan(), seconds=60.5), "60.5 s is too long"),
        (replace(plan(), seconds=0), "no length"),
        (replace(plan(), seconds=math.nan), "no length"),
        (replace(plan(), seconds=math.inf), "no length"),
        (replace(plan(), fps=8), "12 to 60"),
        (plan(12), "too short for 12 stills.*give it .* s, or at most 6 stills"),
        (plan(1, 3.0), "too short for 1 still with"),
        (plan(60, 60.0), "would not do either"),
    ],
)
def test_what_cannot_be_made_is_refused_with_what_to_change(asked: FilmPlan, message: str):
    with pytest.raises(FilmRefused, match=message):
        timeline_of(asked)


@settings(max_examples=100, deadline=None)
@given(plans)
def test_what_a_refusal_advises_can_be_made(asked: FilmPlan):
    try:
        timeline_of(asked)
        return
    except FilmRefused as refused:
        said = str(refused)
    longer = re.search(r"give it ([\d.]+) s", said)
    fewer = re.search(r"at most (\d+) stills", said)
    if longer:
        timeline_of(replace(asked, seconds=float(longer[1])))
    if fewer:
        timeline_of(replace(asked, stills=asked.stills[: int(fewer[1])]))
        with pytest.raises(FilmRefused):
            timeline_of(replace(asked, stills=asked.stills[: int(fewer[1]) + 1]))
    assert longer or "would not do either" in said


@pytest.mark.parametrize("ease", [eased, gathered])
def test_easing_goes_from_nothing_to_all_without_a_step_back_and_alike_at_both_ends(ease):
    steps = [ease(n / 1000) for n in range(1001)]
    assert (steps[0], steps[500], steps[1000]) == pytest.approx((0, 0.5, 1))
    assert all(earlier < later for earlier, later in pairwise(steps))
    assert steps == pytest.approx([1 - step for step in reversed(steps)])
    # It begins from rest: the first thousandth is far below an even pace.
    assert steps[1] < 0.0001
    speeds = [later - earlier for earlier, later in pairwise(steps)]
    assert max(abs(later - earlier) for earlier, later in pairwise(speeds)) < 0.00002


sides = st.integers(64, 4000)


@settings(max_examples=200, deadline=None)
@given(
    st.tuples(sides, sides),
    st.sampled_from([(1280, 720), (1080, 1920), (1080, 1080)]),
    st.floats(1, 60),
    st.integers(0, 3),
    st.tuples(st.floats(0.25, 0.75), st.floats(0.25, 0.75)),
    st.booleans(),
)
def test_a_move_stays_on_its_canvas_keeps_the_sides_and_goes_one_way(canvas, size, seconds, number, focus, page):
    move = move_of(canvas, size, seconds, number, focus, page=page)
    boxes = [box_of(canvas, move.at(n / 40), size) for n in range(41)]
    for left, top, right, bottom in boxes:
        assert 0 <= left < right <= canvas[0] and 0 <= top < bottom <= canvas[1]
        assert (right - left) / (bottom - top) == pytest.approx(size[0] / size[1], rel=1e-6)
    for edge in range(4):
        path = [box[edge] for box in boxes]
        steps = [later - earlier for earlier, later in pairwise(path)]
        assert all(step >= -1e-6 for step in steps) or all(step <= 1e-6 for step in steps)
    assert boxes[0] != boxes[-1]


def test_neighbours_move_differently_and_a_page_is_hardly_cut():
    near = [move_of((1400, 800), (1280, 720), 4, n, (0.5, 0.5), page=False) for n in (0, 1)]
    assert near[0] == Move(near[1].end, near[1].start)
    page = move_of((1280, 720), (1280, 720), 30, 0, (0.2, 0.9), page=True)
    assert page.end == View(0.5, 0.5, 1.03)
