"""OpenAI's Images API and Recraft's through the real SDK, against a peer that bills and misbehaves on demand."""

import base64
import hashlib
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from resources.images.openai_images import OpenAIImages
from resources.images.protocol import (
    Blocked,
    Cancelled,
    ImageError,
    ImageRequest,
    Poisoned,
    Quality,
    Refused,
    SwitchedOff,
    Throttled,
    Unavailable,
    Uncertain,
)
from resources.images.registry import Gpu, Model, read_registry
from tests.peers.openai_peer import KEY, LOCAL, OpenAIPeer, picture

REGISTRY = read_registry()
FLARE, SUNBURST = REGISTRY.by_id["gpt-image-2.5-flare"], REGISTRY.by_id["gpt-image-2.6-sunburst"]
MINI, RECRAFT = REGISTRY.by_id["gpt-image-1-mini"], REGISTRY.by_id["recraft-v4"]
WISH = ImageRequest("a calfskin tote on travertine", width=256, height=320, quality="low")


@pytest.fixture
def peer() -> Iterator[OpenAIPeer]:
    with OpenAIPeer() as running:
        yield running


def provider(peer: OpenAIPeer, model: Model = FLARE, **given: Any) -> OpenAIImages:
    return OpenAIImages(model, peer.base_url, KEY, **{"timeout_seconds": 10, **given})


def reference(size: tuple[int, int] = (300, 200), form: str = "webp", seed: bytes = b"r") -> bytes:
    return picture(hashlib.sha256(seed).digest(), size, form)


def rounded(micros: Decimal) -> int:
    return int(micros.quantize(Decimal(1), ROUND_HALF_UP))


def opened(content: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(content))
    picture.load()
    return picture


# What is sent, and what comes


def test_a_picture_comes_as_it_was_asked_for(peer: OpenAIPeer):
    made = provider(peer).generate(WISH, "order-1")
    (image,) = made.images
    assert opened(image.content).size == (image.width, image.height) == (256, 320)
    assert (image.media_type, image.seed, made.model) == ("image/png", None, "gpt-image-2.5-flare-2026-09-08")
    assert made.call_id and made.call_id.startswith("req_")
    assert peer.bodies() == [
        {
            "model": "gpt-image-2.5-flare-2026-09-08",
            "prompt": "a calfskin tote on travertine",
            "n": 1,
            "size": "256x320",
            "quality": "low",
            "output_format": "png",
            "background": "opaque",
            "moderation": "auto",
        }
    ]


@pytest.mark.parametrize(
    ("quality", "word"), [("low", "low"), ("medium", "medium"), ("high", "high"), ("ultra", "xhigh")]
)
def test_quality_is_always_sent_in_the_models_words(peer: OpenAIPeer, quality: Quality, word: str):
    provider(peer).generate(ImageRequest("a tote", width=256, height=256, quality=quality), "k")
    assert peer.bodies()[0]["quality"] == word


def test_each_models_own_word_for_the_best_quality(peer: OpenAIPeer):
    best = ImageRequest("a tote", quality="ultra")
    provider(peer, SUNBURST).generate(best, "a")
    provider(peer, MINI).generate(best, "b")
    assert [body["quality"] for body in peer.bodies()] == ["max", "high"]


@pytest.mark.parametrize(("form", "media_type"), [("png", "image/png"), ("webp", "image/webp"), ("jpeg", "image/jpeg")])
def test_the_format_is_the_one_that_was_asked_for(peer: OpenAIPeer, form: Any, media_type: str):
    made = provider(peer).generate(ImageRequest("a tote", width=256, height=256, quality="low", format=form), "k")
    assert made.images[0].media_type == media_type


def test_a_transparent_ground_is_asked_for_and_has_alpha(peer: OpenAIPeer):
    made = provider(peer).generate(ImageRequest("a tote", width=256, height=256, quality="low", transparent=True), "k")
    assert peer.bodies()[0]["background"] == "transparent"
    lowest, _ = opened(made.images[0].content).getchannel("A").getextrema()
    assert lowest == 0


def test_several_pictures_of_one_call_differ(peer: OpenAIPeer):
    made = provider(peer).generate(ImageRequest("a tote", width=256, height=256, quality="low", count=4), "k")
    assert len({image.content for image in made.images}) == 4
    assert peer.paid_calls() == 1


@pytest.mark.parametrize(
    ("width", "height", "told"),
    [
        (1080, 1350, "1088x1360"),
        (1024, 1024, "1024x1024"),
        (3838, 2158, "3840x2160"),
        (2880, 2880, "2880x2880"),
        (3833, 2163, "3824x2160"),
        (270, 800, "272x800"),
    ],
)
def test_sides_become_multiples_within_the_models_limits(peer: OpenAIPeer, width: int, height: int, told: str):
    made = provider(peer).generate(ImageRequest("a tote", width=width, height=height, quality="low"), "k")
    assert peer.bodies()[0]["size"] == told == f"{made.images[0].width}x{made.images[0].height}"
    assert bool(made.notes) == (told != f"{width}x{height}")


def test_whom_a_picture_is_for_is_told_as_a_hash_alone(peer: OpenAIPeer):
    provider(peer, end_user="ada@maison.example").generate(WISH, "k")
    provider(peer, end_user="ada@maison.example").generate(WISH, "l")
    provider(peer, end_user="eve@maison.example").generate(WISH, "m")
    one, again, other = (body["safety_identifier"] for body in peer.bodies())
    assert one == again != other
    assert len(one) == 64
    assert not any(b"maison" in asked.body for asked in peer.asked)


def test_references_are_edited_and_named_with_their_types(peer: OpenAIPeer):
    wish = ImageRequest(
        "on a marble plinth", width=256, height=256, quality="low", references=(reference(), reference(form="png"))
    )
    made = provider(peer).generate(wish, "k")
    assert [asked.path for asked in peer.asked] == ["/v1/images/edits"]
    assert (made.images[0].width, made.images[0].height) == (256, 256)
    assert made.usage["input_tokens_details"]["image_tokens"] > 0


def test_sixteen_references_are_taken_and_seventeen_are_refused_unsent(peer: OpenAIPeer):
    many = tuple(reference((64, 64), seed=bytes([n])) for n in range(17))
    wish = {"prompt": "a collage", "width": 256, "height": 256, "quality": "low"}
    provider(peer).generate(ImageRequest(**wish, references=many[:16]), "k")
    with pytest.raises(Refused, match="16 references"):
        provider(peer).generate(ImageRequest(**wish, references=many), "k")
    assert peer.paid_calls() == 1


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"prompt": "  "}, "no prompt"),
        ({"prompt": "x" * 32_001}, "32,000"),
        ({"count": 11}, "1 to 10"),
        ({"count": 0}, "1 to 10"),
        ({"format": "svg"}, "svg"),
        ({"format": "jpeg", "transparent": True}, "transparent"),
        ({"width": 128}, "256 to 3840"),
        ({"width": 3856}, "256 to 3840"),
        ({"width": 256, "height": 1024}, "3 to 1"),
        ({"width": 3840, "height": 3840}, "8,294,400"),
        ({"references": (b"no picture",)}, "reference 1"),
    ],
)
def test_what_the_model_does_not_take_is_refused_unsent(peer: OpenAIPeer, changes: dict[str, Any], why: str):
    with pytest.raises(Refused, match=why):
        provider(peer).generate(ImageRequest(**{"prompt": "a tote", **changes}), "k")
    assert peer.asked == []


def test_one_who_does_not_want_it_any_more_is_not_billed(peer: OpenAIPeer):
    with pytest.raises(Cancelled):
        provider(peer).generate(WISH, "k", is_cancelled=lambda: True)
    assert (peer.asked, peer.billed) == ([], 0)


def test_without_a_key_or_an_address_it_says_what_to_set():
    assert "OPENAI_API_KEY" in (OpenAIImages(FLARE, "https://api.example/v1", None).unavailable() or "")
    assert "https://" in (OpenAIImages(FLARE, "api.example", KEY).unavailable() or "")
    assert OpenAIImages(FLARE, None, KEY).unavailable() is None
    with pytest.raises(SwitchedOff, match="OPENAI_API_KEY"):
        OpenAIImages(FLARE, None, None).generate(WISH, "k")


def test_options_that_nobody_understands_are_said_by_field(peer: OpenAIPeer):
    odd = FLARE.model_copy(update={"options": {"qualitys": {}}})
    with pytest.raises(SwitchedOff, match=r"options\.qualitys"):
        provider(peer, odd).generate(WISH, "k")


# What it costs


PRICED = [
    *((model, size, count) for model in (FLARE, SUNBURST) for size in ((256, 256), (1536, 1024)) for count in (1, 3)),
    *((model, (1024, 1024), 1) for model in (FLARE, SUNBURST, MINI)),
    (MINI, (1024, 1536), 1),
]


@pytest.mark.parametrize("quality", ["low", "medium", "high", "ultra"])
@pytest.mark.parametrize(
    ("model", "size", "count"), PRICED, ids=lambda part: part.id if isinstance(part, Model) else str(part)
)
def test_what_is_told_is_what_is_billed_and_never_more_than_estimated(
    peer: OpenAIPeer, model: Model, size: tuple[int, int], quality: Quality, count: int
):
    wish = ImageRequest(
        "a calfskin tote on travertine, evening light",
        width=size[0],
        height=size[1],
        quality=quality,
        count=count,
        format="jpeg",
    )
    maker = provider(peer, model)
    made = maker.generate(wish, "k")
    assert made.cost == peer.billed
    assert maker.estimate(wish) >= made.cost


def test_the_largest_picture_costs_no_more_than_estimated(peer: OpenAIPeer):
    wish = ImageRequest("a tote", width=3840, height=2160, format="jpeg")
    made = provider(peer).generate(wish, "k")
    assert made.cost == peer.billed
    assert Decimal("0.09") < peer.billed / 1_000_000 < Decimal("0.11"), "what is published for this size: ten cents"
    assert provider(peer).estimate(wish) >= made.cost


@pytest.mark.parametrize("prompt", ["💎👜" * 200, "皮革手提包" * 300, "0123456789" * 200, "é" * 1000])
def test_no_writing_makes_a_prompt_cost_more_than_estimated(peer: OpenAIPeer, prompt: str):
    wish = ImageRequest(prompt, width=256, height=256, quality="low")
    made = provider(peer).generate(wish, "k")
    assert made.cost == peer.billed <= provider(peer).estimate(wish)


def test_an_edits_references_are_billed_as_estimated_or_below(peer: OpenAIPeer):
    wish = ImageRequest(
        "on marble", width=256, height=256, quality="low", references=(reference((3000, 400)), reference((512, 512)))
    )
    made = provider(peer).generate(wish, "k")
    assert made.cost == peer.billed <= provider(peer).estimate(wish)
    assert peer.bill[0].what == "edit"


def test_parts_of_a_millionth_are_rounded_half_up(peer: OpenAIPeer):
    """2.5 dollars a million make half a millionth for an odd number of tokens."""
    costs, exact = [], []
    for side in (300, 600):
        before = peer.billed
        costs.append(
            provider(peer, MINI)
            .generate(ImageRequest("on marble", quality="low", references=(reference((side, 300)),)), "k")
            .cost
        )
        exact.append(peer.billed - before)
    assert any(one != int(one) for one in exact), "the case itself"
    assert costs == [rounded(one) for one in exact]


def test_many_calls_add_up_to_the_vendors_bill_to_the_cent(peer: OpenAIPeer):
    total = 0
    for place in range(12):
        quality: Quality = ("low", "medium", "high", "ultra")[place % 4]
        wish = ImageRequest(f"look {place}", width=256 + 64 * place, height=512, quality=quality, count=1 + place % 3)
        total += provider(peer).generate(wish, f"k{place}").cost
    assert (Decimal(total) / 10_000).quantize(Decimal(1), ROUND_HALF_UP) == peer.cents > 0


def test_the_bill_outlives_the_vendors_process(tmp_path: Path):
    with OpenAIPeer(tmp_path / "bill") as first:
        cost = provider(first).generate(WISH, "k").cost
    with OpenAIPeer(tmp_path / "bill") as second:
        assert second.billed == cost
        assert provider(second).generate(WISH, "k").cost + cost == second.billed


def test_without_usage_the_most_that_it_may_cost_counts(peer: OpenAIPeer):
    peer.queue("no_usage")
    made = provider(peer).generate(WISH, "k")
    assert made.cost == provider(peer).estimate(WISH) >= peer.billed
    assert "told no usage" in made.notes[0]


# What goes wrong, each once: one call, no second one by the SDK

ERRORS: list[tuple[str, type[ImageError], str]] = [
    ("rate_limited_ms", Throttled, "rate_limit_exceeded"),
    ("rate_limited", Throttled, "rate_limit_exceeded"),
    ("rate_limited_long", Throttled, "rate_limit_exceeded"),
    ("rate_limited_silent", Throttled, "rate_limit_exceeded"),
    ("credit_exhausted", SwitchedOff, "credit_balance_exhausted"),
    ("model_not_found", SwitchedOff, "model_not_found"),
    ("unauthorised", SwitchedOff, "invalid_api_key"),
    ("forbidden", SwitchedOff, "permission_denied"),
    ("payment_required", SwitchedOff, "billing_error"),
    ("moderation_input", Blocked, "moderation_blocked"),
    ("moderation_output", Blocked, "moderation_blocked"),
    ("unknown_parameter", Refused, "unknown_parameter"),
    ("server_error", Unavailable, "server_error"),
    ("overloaded", Unavailable, "server_is_overloaded"),
    ("overloaded_529", Unavailable, "overloaded_error"),
    ("bad_gateway_page", Unavailable, "http_502"),
    ("gateway_timeout", Uncertain, "gateway_timeout"),
    ("reset_before", Uncertain, "connection_lost"),
    ("reset_after", Uncertain, "connection_lost"),
    ("cut_off", Uncertain, "connection_lost"),
    ("broken_json", Poisoned, "unreadable_answer"),
    ("page_instead_of_json", Poisoned, "unreadable_answer"),
    ("empty_data", Poisoned, "no_images"),
    ("null_data", Poisoned, "no_images"),
    ("no_bytes", Poisoned, "no_bytes"),
    ("no_base64", Poisoned, "unusable_image"),
    ("no_image", Poisoned, "unusable_image"),
    ("wrong_size", Poisoned, "wrong_size"),
]


@pytest.mark.parametrize(("fault", "error", "code"), ERRORS, ids=[name for name, _, _ in ERRORS])
def test_each_failure_is_told_in_the_protocols_words_after_one_call(
    peer: OpenAIPeer, fault: str, error: type[ImageError], code: str
):
    peer.queue(fault)
    with pytest.raises(error) as raised:
        provider(peer).generate(WISH, "k")
    assert type(raised.value) is error
    assert raised.value.code == code
    assert "gpt-image-2.5-flare" in str(raised.value)
    assert len(str(raised.value)) < 700
    assert peer.paid_calls() == 1, "the SDK asks again by itself unless it is told not to"
    assert provider(peer).generate(WISH, "k").images, "the fault was of that call alone"


def test_an_outage_of_three_calls_is_three_errors_and_three_calls(peer: OpenAIPeer):
    peer.queue("overloaded", times=3)
    for _ in range(3):
        with pytest.raises(Unavailable):
            provider(peer).generate(WISH, "k")
    assert provider(peer).generate(WISH, "k").images
    assert peer.paid_calls() == 4


def test_recraft_bills_what_did_not_come_and_it_is_told(peer: OpenAIPeer):
    peer.queue("fewer")
    made = provider(peer, RECRAFT).generate(ImageRequest("a mark", count=3), "k")
    assert len(made.images) == 2
    assert made.cost == peer.billed == 120_000


def test_an_unusable_answer_carries_what_was_billed(peer: OpenAIPeer):
    for fault in ("empty_data", "no_bytes", "no_image", "wrong_size"):
        before = peer.billed
        peer.queue(fault)
        with pytest.raises(Poisoned) as raised:
            provider(peer).generate(WISH, "k")
        assert raised.value.cost == peer.billed - before > 0


def test_an_unreadable_answer_carries_the_most_that_it_may_have_cost(peer: OpenAIPeer):
    peer.queue("broken_json")
    with pytest.raises(Poisoned) as raised:
        provider(peer).generate(WISH, "k")
    assert raised.value.cost == provider(peer).estimate(WISH) >= peer.billed > 0


@pytest.mark.parametrize(
    ("fault", "seconds"),
    [("rate_limited_ms", 0.12), ("rate_limited", 2.0), ("rate_limited_long", 600.0), ("rate_limited_silent", None)],
)
def test_when_to_ask_again_is_told_as_the_vendor_said(peer: OpenAIPeer, fault: str, seconds: float | None):
    peer.queue(fault)
    with pytest.raises(Throttled) as raised:
        provider(peer).generate(WISH, "k")
    assert raised.value.retry_after == seconds


@pytest.mark.parametrize(
    ("fault", "stage", "category"),
    [("moderation_input", "input", "violence"), ("moderation_output", "output", "sexual")],
)
def test_a_filter_says_at_which_stage_and_for_what(peer: OpenAIPeer, fault: str, stage: str, category: str):
    peer.queue(fault)
    with pytest.raises(Blocked) as raised:
        provider(peer).generate(WISH, "k")
    assert (raised.value.stage, raised.value.categories) == (stage, (category,))


def test_words_that_the_vendor_forbids_are_blocked_unbilled(peer: OpenAIPeer):
    with pytest.raises(Blocked):
        provider(peer).generate(ImageRequest("nude with a tote", width=256, height=256), "k")
    assert peer.billed == 0


def test_an_answer_that_is_withheld_is_uncertain_and_was_billed(peer: OpenAIPeer):
    peer.queue("withheld")
    with pytest.raises(Uncertain, match="may be billed") as raised:
        provider(peer, timeout_seconds=0.5).generate(WISH, "k")
    assert raised.value.code == "timeout"
    assert peer.billed > 0
    assert peer.paid_calls() == 1


def test_where_nobody_listens_nothing_was_sent():
    with OpenAIPeer() as gone:
        url = gone.base_url
    with pytest.raises(Unavailable, match="nothing was sent"):
        OpenAIImages(FLARE, url, KEY, timeout_seconds=5).generate(WISH, "k")


def test_a_model_that_was_retired_is_switched_off(peer: OpenAIPeer):
    with pytest.raises(SwitchedOff, match="dall-e-3"):
        provider(peer, REGISTRY.by_id["dall-e-3"].model_copy(update={"price": FLARE.price})).generate(
            ImageRequest("a tote"), "k"
        )
    assert peer.billed == 0


def test_a_wrong_key_is_switched_off(peer: OpenAIPeer):
    with pytest.raises(SwitchedOff, match="Check the key"):
        OpenAIImages(FLARE, peer.base_url, "sk-wrong", timeout_seconds=10).generate(WISH, "k")


def test_the_good_pictures_of_a_call_are_kept_and_the_bad_ones_said(peer: OpenAIPeer):
    three = ImageRequest("a tote", width=256, height=256, quality="low", count=3)
    peer.queue("one_bad")
    made = provider(peer).generate(three, "k")
    assert len(made.images) == 2
    assert "picture 1" in made.notes[0]
    peer.queue("fewer")
    made = provider(peer).generate(three, "l")
    assert len(made.images) == 2
    assert "2 pictures came of the 3" in made.notes[0]


def test_fields_that_nobody_knows_yet_do_no_harm(peer: OpenAIPeer):
    peer.queue("unknown_fields")
    assert provider(peer).generate(WISH, "k").images


def test_faults_at_a_rate_befall_about_that_many_and_the_bill_is_still_whole(peer: OpenAIPeer):
    peer.rates = {"overloaded": 0.2, "no_image": 0.2, "rate_limited": 0.1}
    paid, seen = 0, []
    for place in range(60):
        try:
            paid += provider(peer).generate(WISH, f"k{place}").cost
        except (Unavailable, Throttled, Poisoned) as error:
            paid += error.cost if isinstance(error, Poisoned) else 0
            seen.append(error)
    assert len(seen) == sum(peer.met.values())
    assert 15 <= len(seen) <= 45
    assert peer.paid_calls() == 60
    assert paid == peer.billed


def test_threads_share_a_provider_and_every_call_is_billed_once(peer: OpenAIPeer):
    maker = provider(peer)
    with ThreadPoolExecutor(8) as pool:
        made = list(
            pool.map(lambda place: maker.generate(replace(WISH, prompt=f"look {place}"), f"k{place}"), range(24))
        )
    assert len({one.images[0].content for one in made}) == 24
    assert sum(one.cost for one in made) == peer.billed
    assert peer.paid_calls() == 24


# Recraft, in the same shape


def test_recraft_is_asked_in_its_own_fields_for_the_nearest_ratio(peer: OpenAIPeer):
    made = provider(peer, RECRAFT).generate(ImageRequest("a monogram", width=1080, height=1350), "k")
    assert peer.bodies() == [
        {"model": "recraftv4", "prompt": "a monogram", "n": 1, "size": "4:5", "response_format": "b64_json"}
    ]
    assert (made.images[0].width, made.images[0].height) == (896, 1152)
    assert made.cost == peer.billed == provider(peer, RECRAFT).estimate(ImageRequest("a monogram")) == 40_000
    assert "nearest" in made.notes[0]


def test_recrafts_vectors_come_as_svg_with_the_palette_that_was_asked(peer: OpenAIPeer):
    wish = ImageRequest("a monogram", format="svg", options={"palette": ["#1B1A17", "#B08D57"]}, count=2)
    made = provider(peer, RECRAFT).generate(wish, "k")
    assert peer.bodies()[0]["model"] == "recraftv4_vector"
    assert peer.bodies()[0]["controls"] == {"colors": [{"rgb": [27, 26, 23]}, {"rgb": [176, 141, 87]}]}
    assert [image.media_type for image in made.images] == ["image/svg+xml"] * 2
    assert made.images[0].content.startswith(b"<svg")
    assert made.cost == peer.billed == provider(peer, RECRAFT).estimate(wish) == 160_000


def test_recraft_keeps_to_the_colours_that_the_prompt_names(peer: OpenAIPeer):
    prompt = "a monogram. Keep to this palette: ink #1B1A17, accent #b08d57, ink again #1B1A17."
    provider(peer, RECRAFT).generate(ImageRequest(prompt), "k")
    assert peer.bodies()[0]["controls"] == {"colors": [{"rgb": [27, 26, 23]}, {"rgb": [176, 141, 87]}]}


@pytest.mark.parametrize(
    ("form", "model", "cost"), [("png", "recraftv4_pro", 250_000), ("svg", "recraftv4_pro_vector", 300_000)]
)
def test_recrafts_best_is_another_model_at_another_price(peer: OpenAIPeer, form: Any, model: str, cost: int):
    made = provider(peer, RECRAFT).generate(ImageRequest("a monogram", quality="ultra", format=form), "k")
    assert made.model == model
    assert made.cost == peer.billed == cost


def test_a_vector_is_handed_on_as_it_came_and_called_what_it_is(peer: OpenAIPeer):
    peer.queue("bad_svg")
    (image,) = provider(peer, RECRAFT).generate(ImageRequest("a monogram", format="svg"), "k").images
    assert image.media_type == "image/svg+xml"
    assert image.markup and "<script>" in image.markup, "cleaning is for whoever draws it"


def test_a_palette_that_is_no_colour_is_refused_unsent(peer: OpenAIPeer):
    with pytest.raises(Refused, match="#rrggbb"):
        provider(peer, RECRAFT).generate(ImageRequest("a mark", options={"palette": ["gold"]}), "k")
    assert peer.asked == []


# A server of our own, in the same shape


def test_a_server_of_our_own_needs_no_key_and_takes_a_seed_and_what_is_not_wanted(peer: OpenAIPeer):
    peer.key = "none"
    price = Gpu(kind="gpu", usd_per_hour=3.6, images_per_hour=1200)
    options = {"sends": ["response_format", "seed", "negative_prompt"]}
    changes = {"id": "local", "model": LOCAL, "key_optional": True, "price": price, "options": options}
    maker = OpenAIImages(FLARE.model_copy(update=changes), peer.base_url, None, timeout_seconds=10)
    wish = ImageRequest("a tote", width=256, height=256, seed=7, negative="people")
    made = maker.generate(wish, "k")
    assert peer.bodies()[0]["seed"] == made.images[0].seed == 7
    assert peer.bodies()[0]["negative_prompt"] == "people"
    assert made.cost == maker.estimate(wish) == 3000


# The peer itself is no pushover


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"style": "vivid"}, "unknown_parameter"),
        ({"cake": 1}, "unknown_parameter"),
        ({"n": 99}, "integer_out_of_range"),
        ({"n": "three"}, "invalid_value"),
        ({"quality": "hd"}, "invalid_value"),
        ({"quality": "best"}, "invalid_value"),
        ({"size": "1000x1000"}, "invalid_value"),
        ({"size": "4096x4096"}, "invalid_value"),
        ({"output_format": "bmp"}, "invalid_value"),
        ({"prompt": "x" * 32_001}, "string_above_max_length"),
        ({"model": "dall-e-3"}, "model_not_found"),
    ],
)
def test_the_peer_refuses_what_openai_refuses(peer: OpenAIPeer, changes: dict[str, Any], code: str):
    import openai

    client = openai.OpenAI(api_key=KEY, base_url=peer.base_url, max_retries=0)
    body = {"model": "gpt-image-2.5-flare", "prompt": "a tote", **changes}
    with pytest.raises(openai.APIStatusError) as raised:
        client.post("/images/generations", body=body, cast_to=dict[str, object])
    assert raised.value.code == code
    assert peer.billed == 0


def test_the_same_request_brings_the_same_bytes(peer: OpenAIPeer):
    one, again = (provider(peer).generate(WISH, key).images[0].content for key in "ab")
    assert one == again
    other = (
        provider(peer).generate(ImageRequest("a scarf", width=256, height=320, quality="low"), "c").images[0].content
    )
    assert base64.b64encode(one) != base64.b64encode(other)
