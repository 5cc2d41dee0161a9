"""Who is chosen and why: what a model must be able to do, what its score is made of, and every rejected one's reason."""

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.images.budgets import Room
from resources.images.choice import Ranked, Standing, fitted, rank
from resources.images.policy import ImagePolicy, Weights
from resources.images.protocol import ImageRequest
from resources.images.registry import Found, Model, read_registry
from tests.resources.images.scripted import model

TODAY = date(2026, 11, 26)
ROOM = Room(20_000_000)


def ranked(
    *models: Model,
    request: ImageRequest | None = None,
    standing: dict[str, Standing] | None = None,
    policy: ImagePolicy | None = None,
    room: Room = ROOM,
    **more: Any,
) -> list[Ranked]:
    known = standing or {}
    return rank(
        [Found(one) for one in models],
        request or ImageRequest("a bag"),
        TODAY,
        lambda one, asked: known.get(one.id, Standing(50_000)),
        room,
        policy or ImagePolicy(),
        **more,
    )


def reason(changes: dict[str, Any] | None = None, asked: dict[str, Any] | None = None, **more: Any) -> str | None:
    one = model("one", **(changes or {}))
    return ranked(one, request=ImageRequest("a bag", **(asked or {})), **more)[0].candidate.rejected


@pytest.mark.parametrize(
    ("changes", "asked", "why"),
    [
        ({}, {"content_type": "brand_logo"}, "makes no brand_logo"),
        ({}, {"width": 32}, "makes no side below 64 pixels, and 32 × 1024 is wanted"),
        ({}, {"height": 5000}, "makes no side above 4096 pixels, and 1024 × 5000 is wanted"),
        (
            {"sizes": {"smallest": 64, "longest": 4096, "ratio": 3.0}},
            {"width": 4000, "height": 1000},
            "makes no side longer than 3 times the other, and 4000 × 1000 is wanted",
        ),
        (
            {"sizes": {"smallest": 64, "longest": 4096, "most_pixels": 1_000_000}},
            {},
            "makes no more than 1,000,000 pixels, and 1024 × 1024 is wanted",
        ),
        ({}, {"format": "svg"}, "writes no svg, only png, webp"),
        ({}, {"count": 5}, "makes 4 at once, and 5 are wanted"),
        ({}, {"references": (b"",) * 5}, "takes 4 references, and 5 are given"),
        ({"supports": [], "most_references": 4}, {"references": (b"",)}, "takes no references"),
        ({"supports": [], "most_references": 0}, {"references": (b"",)}, "takes no references, and 1 are given"),
        ({"supports": []}, {"transparent": True}, "makes no transparent ground"),
        ({}, {"options": {"steps": 30, "lora": "house"}}, "knows no options such as lora, steps"),
        ({}, {"options": {"palette": ["#112233"]}}, "takes no colours of its own (`palette`)"),
        (
            {"supports": ["palette"]},
            {"options": {"palette": ["#112233"], "lora": "x"}},
            "knows no options such as lora",
        ),
        ({"most_prompt": 3}, {}, "takes prompts of 3 characters, and this has 5"),
        ({"retires": "2026-11-26"}, {}, "was retired on 2026-11-26"),
        ({"retires": "2026-05-12", "replacement": "two"}, {}, "was retired on 2026-05-12; two stands for it"),
        ({"available": "2026-12-01"}, {}, "is not there before 2026-12-01"),
        ({"disabled": "its terms\n forbid it"}, {}, "its terms forbid it"),
    ],
)
def test_what_a_model_cannot_do_is_its_reason(changes: dict[str, Any], asked: dict[str, Any], why: str) -> None:
    assert reason(changes, asked) == why


@pytest.mark.parametrize(
    ("changes", "asked"),
    [
        ({"retires": "2026-11-27"}, {}),
        ({"available": "2026-11-26"}, {}),
        ({"supports": []}, {"seed": 4, "negative": "text"}),
        ({"supports": ["palette"]}, {"options": {"palette": ["#112233"]}}),
        ({}, {"width": 64, "height": 4096, "count": 4, "references": (b"",) * 4, "transparent": True}),
    ],
)
def test_what_it_can_do_is_no_reason(changes: dict[str, Any], asked: dict[str, Any]) -> None:
    assert reason(changes, asked) is None


def test_a_seed_is_passed_over_unless_it_is_required() -> None:
    without = {"supports": []}
    assert reason(without, {"seed": 4}, seed_required=True) == "knows no seeds, and one is required"
    assert reason({}, {"seed": 4}, seed_required=True) is None
    asked, notes = fitted(model("one", supports=[]), ImageRequest("a bag", seed=4))
    assert asked.seed is None and notes == ("knows no seeds: the one given is passed over",)


def test_sides_and_formats_are_fitted_to_what_the_model_makes_and_it_is_said() -> None:
    one = model("one", sizes={"smallest": 64, "longest": 4096, "multiple_of": 16}, formats=["png"])
    (first,) = ranked(one, request=ImageRequest("a bag", width=1080, height=1350, format="jpeg"))
    assert (first.request.width, first.request.height, first.request.format) == (1088, 1360, "png")
    assert first.differs == (
        "made at 1088 × 1360, as its sides are multiples of 16",
        "comes as PNG, as it writes no jpeg",
    )


def test_rules_say_who_alone_makes_a_content_type() -> None:
    policy = ImagePolicy(only={"product_photo": ("two",)})
    one, two = ranked(model("one", 0.9), model("two", 0.1), policy=policy)[::-1]
    assert one.candidate.rejected == "by the rules of images.yaml, product_photo comes from two only"
    assert two.is_open and not one.able


@pytest.mark.parametrize(
    ("standing", "room", "why"),
    [
        (Standing(50_000, unavailable="has no key: set X"), ROOM, "has no key: set X"),
        (Standing(50_000, shut="has failed"), ROOM, "has failed"),
        (Standing(None), ROOM, "its price for this is not known; correct its `price` in image_models.yaml"),
        (
            Standing(50_000),
            Room(40_000),
            "it may cost 0.0500 USD and 0.0400 USD of the budget of the day (20.0000 USD) is left; raise budget_usd_per_day "
            "in images.yaml",
        ),
    ],
)
def test_what_may_pass_is_a_reason_for_now(standing: Standing, room: Room, why: str) -> None:
    (one,) = ranked(model("one"), standing={"one": standing}, room=room)
    assert one.candidate.rejected == why and one.able and one.candidate.score is not None


def test_every_candidate_is_told_the_best_first_with_its_parts_and_why() -> None:
    found = ranked(model("poor", 0.3), model("good", 0.9), model("none", content_types=["brand_logo"]))
    assert [one.candidate.model for one in found] == ["good", "poor", "none"]
    good = found[0].candidate
    assert good.parts == {"quality": 0.9, "cost": 0.666667, "latency": 0.75, "queue": 1.0}
    assert good.score == pytest.approx(0.6 * 0.9 + 0.2 * 0.666667 + 0.1 * 0.75 + 0.1)
    assert good.note == "quality 0.90 by the registry, up to 0.0500 USD, 10 s by the registry, 0 of 4 under way"
    assert found[2].candidate.score is None and found[2].candidate.rejected == "makes no product_photo"


def test_other_weights_make_another_choice() -> None:
    models = [model("fine", 0.95, seconds=60.0), model("cheap", 0.5, seconds=40.0), model("quick", 0.5, seconds=1.0)]
    standing = {"fine": Standing(200_000), "cheap": Standing(1_000), "quick": Standing(90_000, in_flight=1)}

    def first(**weights: float) -> str:
        policy = ImagePolicy(weights=Weights(**({"quality": 0, "cost": 0, "latency": 0, "queue": 0} | weights)))
        return ranked(*models, standing=standing, policy=policy)[0].candidate.model

    assert first(quality=1) == "fine" and first(cost=1) == "cheap" and first(latency=1) == "quick"
    assert first(queue=1) == "fine", "of equal ones the first of the registry"
    assert first(quality=1, cost=2) == "cheap" and first(quality=4, cost=1) == "fine"
    assert first(latency=0.02, queue=0.01, quality=0.1) == "fine"


def test_what_was_judged_here_outweighs_the_registry_the_more_there_is() -> None:
    def quality(mean: float, number: int) -> float:
        standing = {"one": Standing(0, judged=(mean, number))}
        return ranked(model("one", 0.8), standing=standing)[0].candidate.parts["quality"]

    assert quality(0.2, 0) == 0.8
    assert quality(0.2, 10) == pytest.approx(0.5)
    assert quality(0.2, 990) == pytest.approx(0.206)


def test_failures_lower_the_quality_and_measured_times_the_latency() -> None:
    standing = {"one": Standing(0, made=10, troubles=20, seconds=(100.0,) * 10)}
    (one,) = ranked(model("one", 0.8, seconds=20.0), standing=standing)
    assert one.candidate.parts["quality"] == pytest.approx(0.8 * 20 / 40)
    assert one.candidate.parts["latency"] == pytest.approx(1 / 3)
    assert "10 of 30 calls went well" in (one.candidate.note or "") and "100.0 s here" in (one.candidate.note or "")


def test_the_prior_of_the_content_type_counts_before_the_general_one() -> None:
    prior = {"quality": 0.2, "by_content_type": {"banner_ad": 0.9}}
    request = ImageRequest("a bag", content_type="banner_ad")
    assert ranked(model("one", prior=prior), request=request)[0].candidate.parts["quality"] == 0.9


def test_one_that_asked_to_wait_is_rejected_and_may_be_waited_for_unless_more_is_in_its_way() -> None:
    held = Standing(50_000, shut="asked to be left alone for 2.0 s", wait=2.0)
    (one,) = ranked(model("one"), standing={"one": held})
    assert not one.is_open and one.wait == 2.0
    (poor,) = ranked(model("one"), standing={"one": held}, room=Room(0))
    assert poor.wait is None


@given(
    st.fixed_dictionaries({name: st.floats(0, 10) for name in ("quality", "cost", "latency", "queue")}),
    st.integers(0, 10**9),
    st.tuples(st.floats(0, 1), st.integers(0, 10**6)),
    st.integers(0, 1000),
    st.integers(0, 1000),
    st.lists(st.floats(0, 10**4), max_size=5),
    st.integers(0, 1000),
)
def test_scores_and_parts_are_always_between_0_and_1(
    weights: dict[str, float],
    estimate: int,
    judged: tuple[float, int],
    made: int,
    troubles: int,
    seconds: list[float],
    flying: int,
) -> None:
    if sum(weights.values()) <= 0:
        weights = weights | {"quality": 1.0}
    standing = Standing(estimate, None, judged, made, troubles, seconds, flying)
    policy = ImagePolicy(weights=Weights(**weights))
    (one,) = ranked(model("one"), standing={"one": standing}, policy=policy, room=Room(10**10))
    assert one.candidate.score is not None and 0 <= one.candidate.score <= 1
    assert all(0 <= part <= 1 for part in one.candidate.parts.values())
    assert one.calm + 1e-6 >= one.candidate.score


def test_the_projects_own_registry_answers_for_a_product_photo_today() -> None:
    found = ranked(*read_registry().models)
    open_now = [one.candidate.model for one in found if one.is_open]
    reasons = {one.candidate.model: one.candidate.rejected or "" for one in found if not one.is_open}
    assert open_now[0] in ("gpt-image-2.5-flare", "gpt-image-2.6-sunburst")
    assert {"sdxl-1.0", "recraft-v4", "gpt-image-1-mini"} <= set(open_now)
    assert reasons["dall-e-3"] == "was retired on 2026-05-12; gpt-image-2.5-flare stands for it"
    assert reasons["midjourney-gateway"].startswith("Midjourney's terms of service forbid automated use")
    assert reasons["studio"] == "makes no product_photo"
