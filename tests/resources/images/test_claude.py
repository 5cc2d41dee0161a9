"""Claude's mock-ups through the real SDK and the real renderer, against a peer that bills, refuses and cuts off on demand."""

import hashlib
import io
import json
from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest
from PIL import Image

from assets.visuals.rasterising import Rasteriser
from resources.images.claude import ClaudeArtifacts
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
from resources.images.registry import read_registry
from tests.peers.anthropic_peer import KEY, AnthropicPeer
from tests.peers.openai_peer import picture

SONNET = read_registry().by_id["claude-sonnet-5-5"]
WISH = ImageRequest(
    "A business card. Keep to this palette: ink #1B1A17, accent #B08D57. Do not crowd the logo.",
    content_type="design_mockup",
    width=600,
    height=400,
    quality="low",
    negative="gradients",
)


@pytest.fixture
def peer() -> Iterator[AnthropicPeer]:
    with AnthropicPeer() as running:
        yield running


def svg_alone(kind: str, markup: str, size: tuple[int, int]) -> bytes:
    return Rasteriser()(kind, markup, size)


def provider(peer: AnthropicPeer, rasterise: Any = svg_alone, **given: Any) -> ClaudeArtifacts:
    return ClaudeArtifacts(SONNET, peer.url, KEY, rasterise, **{"timeout_seconds": 10, **given})


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content)).convert("RGBA")


# What is asked, and what comes


def test_a_design_is_drawn_at_its_size_and_keeps_its_markup(peer: AnthropicPeer):
    made = provider(peer).generate(WISH, "order-1")
    (image,) = made.images
    assert opened(image.content).size == (image.width, image.height) == (600, 400)
    assert image.media_type == "image/png"
    assert image.markup and image.markup.startswith("<svg")
    assert image.details == {"kind": "svg", "alt": "A monogram in an arch", "title": "Arch"}
    assert (made.model, made.call_id) == ("claude-sonnet-5-5", "req_000001")


def test_the_request_asks_for_a_shape_and_carries_the_kits_words(peer: AnthropicPeer):
    provider(peer).generate(WISH, "k")
    (body,) = peer.bodies()
    assert set(body) == {"model", "max_tokens", "system", "messages", "output_config"}
    schema = body["output_config"]["format"]["schema"]
    assert schema["required"] == ["kind", "markup", "alt", "title"]
    assert "600 by 400" in body["system"]
    (text,) = body["messages"][0]["content"]
    assert "#B08D57" in text["text"]
    assert "Do not crowd the logo" in text["text"]
    assert "Not wanted: gradients" in text["text"]


@pytest.mark.parametrize(
    ("quality", "effort"), [("low", "low"), ("medium", "medium"), ("high", "high"), ("ultra", "xhigh")]
)
def test_quality_decides_effort_and_length(peer: AnthropicPeer, quality: Quality, effort: str):
    provider(peer).generate(ImageRequest("an arch", content_type="brand_logo", quality=quality), "k")
    (body,) = peer.bodies()
    assert body["output_config"]["effort"] == effort
    assert body["max_tokens"] == {"low": 4000, "medium": 6000, "high": 8000, "ultra": 16_000}[quality]


@pytest.mark.parametrize(
    ("form", "media_type"), [("png", "image/png"), ("webp", "image/webp"), ("svg", "image/svg+xml")]
)
def test_the_format_is_the_one_that_was_asked_for(peer: AnthropicPeer, form: Any, media_type: str):
    (image,) = provider(peer).generate(ImageRequest("an arch", content_type="brand_logo", format=form), "k").images
    assert image.media_type == media_type
    if form == "svg":
        assert image.content.decode() == image.markup


def test_references_are_shown_before_the_words(peer: AnthropicPeer):
    content = tuple(picture(hashlib.sha256(form.encode()).digest(), (96, 64), form) for form in ("png", "webp", "jpeg"))
    provider(peer).generate(ImageRequest("like these", content_type="brand_logo", references=content), "k")
    blocks = peer.bodies()[0]["messages"][0]["content"]
    assert [block["type"] for block in blocks] == ["image", "image", "image", "text"]
    assert [block["source"]["media_type"] for block in blocks[:3]] == ["image/png", "image/webp", "image/jpeg"]


def test_html_is_asked_for_only_where_it_can_be_drawn_and_may_stay_pixels(peer: AnthropicPeer):
    both = provider(peer, kinds=("svg", "html"))
    logo = ImageRequest("an arch", content_type="brand_logo")
    vector = ImageRequest("an arch", content_type="design_mockup", format="svg")
    provider(peer).generate(WISH, "a")
    both.generate(WISH, "b")
    both.generate(logo, "c")
    both.generate(vector, "d")
    asked = [body["output_config"]["format"]["schema"]["properties"]["kind"]["enum"] for body in peer.bodies()]
    assert asked == [["svg"], ["svg", "html"], ["svg"], ["svg"]]


def test_what_a_rasteriser_can_draw_is_asked_of_itself(peer: AnthropicPeer):
    rasteriser = Rasteriser()
    provider(peer, rasteriser).generate(WISH, "k")
    schema = peer.bodies()[0]["output_config"]["format"]["schema"]
    assert schema["properties"]["kind"]["enum"] == list(rasteriser.kinds)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"prompt": " "}, "no prompt"),
        ({"prompt": "x" * 4001}, "4,000"),
        ({"count": 2}, "one design"),
        ({"format": "jpeg"}, "jpeg"),
        ({"width": 4000}, "256 to 2048"),
        ({"references": (b"x",) * 5}, "4 references"),
        ({"references": (b"no picture",)}, "reference 1"),
    ],
)
def test_what_it_does_not_take_is_refused_unsent(peer: AnthropicPeer, changes: dict[str, Any], why: str):
    with pytest.raises(Refused, match=why):
        provider(peer).generate(ImageRequest(**{"prompt": "an arch", **changes}), "k")
    assert peer.asked == []


def test_one_who_does_not_want_it_any_more_is_not_billed(peer: AnthropicPeer):
    with pytest.raises(Cancelled):
        provider(peer).generate(WISH, "k", is_cancelled=lambda: True)
    assert (peer.asked, peer.billed) == ([], 0)


def test_without_a_key_it_says_what_to_set():
    without = ClaudeArtifacts(SONNET, None, None, svg_alone)
    assert "ANTHROPIC_API_KEY" in (without.unavailable() or "")
    with pytest.raises(SwitchedOff):
        without.generate(WISH, "k")


# What it costs


@pytest.mark.parametrize("quality", ["low", "medium", "high", "ultra"])
@pytest.mark.parametrize("references", [0, 4])
def test_what_is_told_is_what_is_billed_and_never_more_than_estimated(
    peer: AnthropicPeer, quality: Quality, references: int
):
    given = tuple(picture(bytes([n] * 32), (1800, 1800), "jpeg") for n in range(references))
    wish = ImageRequest("皮革手提包 an arch " * 40, content_type="brand_logo", quality=quality, references=given)
    made = provider(peer).generate(wish, "k")
    assert made.cost == peer.billed <= provider(peer).estimate(wish)


def test_an_answer_as_long_as_allowed_costs_no_more_than_estimated(peer: AnthropicPeer):
    peer.queue("max_tokens")
    with pytest.raises(Poisoned) as raised:
        provider(peer).generate(WISH, "k")
    assert raised.value.cost == peer.billed <= provider(peer).estimate(WISH)


def test_many_calls_add_up_to_the_vendors_bill_to_the_cent(peer: AnthropicPeer):
    total = 0
    for place in range(10):
        total += (
            provider(peer).generate(ImageRequest(f"arch {place}" * (place + 1), content_type="brand_logo"), "k").cost
        )
    assert (Decimal(total) / 10_000).quantize(Decimal(1), ROUND_HALF_UP) == peer.cents > 0


# What goes wrong, each once: one call, no second one by the SDK

ERRORS: list[tuple[str, type[ImageError], str]] = [
    ("refusal", Blocked, "refusal"),
    ("max_tokens", Poisoned, "max_tokens"),
    ("pause_turn", Poisoned, "pause_turn"),
    ("context_exceeded", Poisoned, "model_context_window_exceeded"),
    ("not_json", Poisoned, "unusable_answer"),
    ("wrong_shape", Poisoned, "unusable_answer"),
    ("empty_content", Poisoned, "unusable_answer"),
    ("wrong_kind", Poisoned, "wrong_kind"),
    ("svg_bomb", Poisoned, "unsafe_markup"),
    ("svg_local_file", Poisoned, "unsafe_markup"),
    ("svg_broken", Poisoned, "unsafe_markup"),
    ("not_svg", Poisoned, "unsafe_markup"),
    ("rate_limited_ms", Throttled, "rate_limit_error"),
    ("rate_limited_long", Throttled, "rate_limit_error"),
    ("spend_limit", SwitchedOff, "enforced_spend_limit_reached"),
    ("credit_exhausted", SwitchedOff, "billing_error"),
    ("model_not_found", SwitchedOff, "not_found_error"),
    ("unauthorised", SwitchedOff, "authentication_error"),
    ("too_large", Refused, "request_too_large"),
    ("unknown_parameter", Refused, "invalid_request_error"),
    ("server_error", Unavailable, "api_error"),
    ("overloaded", Unavailable, "overloaded_error"),
    ("overloaded_529", Unavailable, "overloaded_error"),
    ("bad_gateway_page", Unavailable, "http_502"),
    ("gateway_timeout", Uncertain, "timeout_error"),
    ("reset_before", Uncertain, "connection_lost"),
    ("reset_after", Uncertain, "connection_lost"),
    ("cut_off", Uncertain, "connection_lost"),
    ("broken_json", Poisoned, "unreadable_answer"),
    ("page_instead_of_json", Poisoned, "unreadable_answer"),
]


@pytest.mark.parametrize(("fault", "error", "code"), ERRORS, ids=[name for name, _, _ in ERRORS])
def test_each_failure_is_told_in_the_protocols_words_after_one_call(
    peer: AnthropicPeer, fault: str, error: type[ImageError], code: str
):
    peer.queue(fault)
    with pytest.raises(error) as raised:
        provider(peer).generate(WISH, "k")
    assert type(raised.value) is error
    assert raised.value.code == code
    assert peer.paid_calls() == 1, "the SDK asks again by itself unless it is told not to"
    if isinstance(raised.value, Poisoned):
        assert raised.value.cost >= peer.billed > 0
    assert provider(peer).generate(WISH, "k").images, "the fault was of that call alone"


def test_a_refusal_says_for_what(peer: AnthropicPeer):
    with pytest.raises(Blocked, match="about pathogens") as raised:
        provider(peer).generate(ImageRequest("a poster on how to grow a pathogen", content_type="brand_logo"), "k")
    assert (raised.value.stage, raised.value.categories) == ("output", ("bio",))
    assert raised.value.cost >= peer.billed > 0


@pytest.mark.parametrize("fault", ["svg_script", "svg_external"])
def test_scripts_and_pictures_from_elsewhere_are_not_drawn(peer: AnthropicPeer, fault: str):
    peer.queue(fault)
    (image,) = provider(peer).generate(WISH, "k").images
    assert image.markup and "evil.example" in image.markup, "the case itself"
    assert opened(image.content).size == (600, 400)


def test_an_answer_that_is_withheld_is_uncertain_and_was_billed(peer: AnthropicPeer):
    peer.queue("withheld")
    with pytest.raises(Uncertain, match="may be billed"):
        provider(peer, timeout_seconds=0.5).generate(WISH, "k")
    assert peer.billed > 0
    assert peer.paid_calls() == 1


def test_where_nobody_listens_nothing_was_sent():
    with AnthropicPeer() as gone:
        url = gone.url
    with pytest.raises(Unavailable, match="nothing was sent"):
        ClaudeArtifacts(SONNET, url, KEY, svg_alone, timeout_seconds=5).generate(WISH, "k")


@pytest.mark.parametrize(
    ("drawn", "code"), [(b"no picture", "unusable_image"), (picture(bytes(32), (300, 200), "png"), "wrong_size")]
)
def test_a_drawing_that_is_not_what_was_asked_for_is_paid_and_unusable(peer: AnthropicPeer, drawn: bytes, code: str):
    with pytest.raises(Poisoned) as raised:
        provider(peer, lambda kind, markup, size: drawn).generate(WISH, "k")
    assert raised.value.code == code
    assert raised.value.cost == peer.billed > 0


def test_the_same_request_brings_the_same_drawing(peer: AnthropicPeer):
    one, again = (provider(peer).generate(WISH, key).images[0] for key in "ab")
    assert one.content == again.content
    assert json.dumps(one.markup) == json.dumps(again.markup)


# The peer itself is no pushover


@pytest.mark.parametrize(
    "changes",
    [
        {"temperature": 0.2},
        {"cake": 1},
        {"max_tokens": 0},
        {"output_config": {"effort": "huge", "format": {"type": "json_schema", "schema": {}}}},
        {"output_config": {"format": {"type": "text"}}},
        {"output_config": {}},
        {"messages": [{"role": "user", "content": ""}]},
    ],
    ids=str,
)
def test_the_peer_refuses_what_anthropic_refuses(peer: AnthropicPeer, changes: dict[str, Any]):
    import anthropic

    client = anthropic.Anthropic(api_key=KEY, base_url=peer.url, max_retries=0)
    body = {
        "model": "claude-sonnet-5-5",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "an arch"}],
        **changes,
    }
    with pytest.raises(anthropic.BadRequestError):
        client.post("/v1/messages", body=body, cast_to=dict[str, object])
    assert peer.billed == 0
