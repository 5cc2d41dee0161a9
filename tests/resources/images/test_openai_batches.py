"""OpenAI's Batch API through the real SDK: handed in once, found again, half the price, and each item's own fate."""

from collections.abc import Iterator
from typing import Any

import pytest

from resources.images.openai_batches import MOST_REQUESTS, OpenAIBatches
from resources.images.openai_images import OpenAIImages
from resources.images.protocol import (
    Blocked,
    Generated,
    ImageError,
    ImageRequest,
    Poisoned,
    Refused,
    SwitchedOff,
    Throttled,
    Unavailable,
    Uncertain,
)
from resources.images.registry import read_registry
from tests.peers.openai_peer import KEY, OpenAIPeer, picture
from tests.peers.sdk_peer import Error
from tests.peers.vendor import Asked, Fault, Reply

REGISTRY = read_registry()
FLARE = REGISTRY.by_id["gpt-image-2.5-flare"]
LOOKS = {
    f"look-{place}": ImageRequest(f"look {place} of the season", width=256, height=256 + 16 * place, quality="low")
    for place in range(4)
}


@pytest.fixture
def peer() -> Iterator[OpenAIPeer]:
    with OpenAIPeer() as running:
        yield running


def batches(peer: OpenAIPeer, **given: Any) -> OpenAIBatches:
    return OpenAIBatches(FLARE, peer.base_url, KEY, **{"timeout_seconds": 10, **given})


def handing_in(asked: Asked) -> bool:
    return (asked.method, asked.path) == ("POST", "/v1/batches")


def test_a_batch_goes_through_its_states_and_brings_each_picture(peer: OpenAIPeer):
    maker = batches(peer)
    batch = maker.submit(LOOKS, "autumn")
    states = []
    while (report := maker.poll(batch, LOOKS)).state == "submitted":
        states.append(report)
    assert len(states) == 2
    assert all(state.results == {} and state.total == 4 for state in states)
    assert (report.state, report.done, report.error) == ("completed", 4, None)
    for name, request in LOOKS.items():
        made = report.results[name]
        assert isinstance(made, Generated)
        assert (made.images[0].width, made.images[0].height) == (request.width, request.height)


def test_a_batch_costs_half_of_what_single_calls_cost(peer: OpenAIPeer):
    with OpenAIPeer() as other:
        single = OpenAIImages(FLARE, other.base_url, KEY, timeout_seconds=10)
        whole = sum(single.generate(request, name).cost for name, request in LOOKS.items())
    maker = batches(peer)
    batch = maker.submit(LOOKS, "autumn")
    peer.finish(batch)
    report = maker.poll(batch, LOOKS)
    assert abs(report.cost - peer.billed) <= len(LOOKS), "each item is rounded for itself, by half a millionth"
    assert abs(2 * report.cost - whole) <= 2 * len(LOOKS)
    assert maker.estimate(LOOKS) >= report.cost > 0
    assert all(line.batch for line in peer.bill)


def test_the_same_key_hands_in_once(peer: OpenAIPeer):
    first, again = (batches(peer).submit(LOOKS, "autumn") for _ in range(2))
    assert first == again
    assert batches(peer).submit(LOOKS, "winter") != first
    assert len(peer.batches) == 2


@pytest.mark.parametrize("fault", ["reset_after", "hang_after"])
def test_a_lost_answer_is_unknown_and_the_batch_is_found_again_not_handed_in_twice(peer: OpenAIPeer, fault: str):
    peer.faults.append(Fault(fault, matches=handing_in))
    with pytest.raises(Uncertain):
        batches(peer, timeout_seconds=1).submit(LOOKS, "autumn")
    maker = batches(peer)
    (taken,) = peer.batches
    assert maker.find("autumn") == taken
    assert maker.submit(LOOKS, "autumn") == taken
    assert peer.count("POST", "/v1/batches") == 1
    peer.finish(taken)
    report = maker.poll(taken, LOOKS)
    assert report.state == "completed"
    assert abs(report.cost - peer.billed) <= len(LOOKS)


def test_a_batch_that_was_not_taken_is_not_found_and_may_be_handed_in(peer: OpenAIPeer):
    peer.faults.append(Fault("reset_before", matches=handing_in))
    with pytest.raises(Uncertain):
        batches(peer).submit(LOOKS, "autumn")
    assert batches(peer).find("autumn") is None
    assert batches(peer).submit(LOOKS, "autumn") in peer.batches
    assert len(peer.batches) == 1


def test_an_answer_that_cannot_be_read_is_as_good_as_lost(peer: OpenAIPeer):
    peer.faults.append(
        Fault("reply_after", matches=handing_in, reply=Reply(200, b"<html>", {"content-type": "text/html"}))
    )
    with pytest.raises(Uncertain):
        batches(peer).submit(LOOKS, "autumn")
    assert batches(peer).find("autumn") is not None


def test_an_old_batch_is_found_beyond_the_first_page(peer: OpenAIPeer):
    one = {"look": LOOKS["look-0"]}
    peer.batch_steps = None
    batch = batches(peer).submit(one, "first")
    file = next(iter(peer.files))
    for place in range(150):
        peer.answer(Asked("POST", "/v1/batches", {}, {"authorization": f"Bearer {KEY}"}, _create(file, f"{place}")))
    assert batches(peer).find("first") == batch
    assert batches(peer).find("never") is None


def _create(file: str, key: str) -> bytes:
    return (
        f'{{"input_file_id": "{file}", "endpoint": "/v1/images/generations", "completion_window": "24h", '
        f'"metadata": {{"luxauto_key": "{key}"}}}}'
    ).encode()


def test_a_lost_upload_is_no_more_than_a_file_that_nobody_uses(peer: OpenAIPeer):
    peer.faults.append(Fault("reset_after", matches=lambda asked: asked.path == "/v1/files"))
    with pytest.raises(Unavailable):
        batches(peer).submit(LOOKS, "autumn")
    assert (len(peer.files), peer.batches) == (1, {})


@pytest.mark.parametrize(
    ("plan", "error", "code", "is_paid"),
    [
        ("moderation_input", Blocked, "moderation_blocked", False),
        ("model_not_found", SwitchedOff, "model_not_found", False),
        ("unknown_parameter", Refused, "unknown_parameter", False),
        ("expired", Unavailable, "batch_expired", False),
        ("empty_data", Poisoned, "no_images", True),
        ("no_image", Poisoned, "unusable_image", True),
        ("wrong_size", Poisoned, "wrong_size", True),
        ("forgotten", Uncertain, "missing_result", False),
    ],
)
def test_one_items_failure_is_its_own(peer: OpenAIPeer, plan: str, error: type[ImageError], code: str, is_paid: bool):
    peer.plans["look-1"] = plan
    maker = batches(peer)
    batch = maker.submit(LOOKS, "autumn")
    peer.finish(batch)
    report = maker.poll(batch, LOOKS)
    result = report.results["look-1"]
    assert type(result) is error
    assert isinstance(result, ImageError)
    assert result.code == code
    assert isinstance(result, Poisoned) is is_paid
    assert sum(isinstance(one, Generated) for one in report.results.values()) == 3
    assert abs(report.cost - peer.billed) <= len(LOOKS)
    assert len(peer.bill) == (4 if is_paid else 3)


@pytest.mark.parametrize(("status", "state"), [("expired", "completed"), ("cancelled", "cancelled")])
def test_a_batch_that_ends_early_keeps_what_was_made_and_bills_that_alone(peer: OpenAIPeer, status: str, state: str):
    maker = batches(peer)
    batch = maker.submit(LOOKS, "autumn")
    peer.finish(batch, status)
    report = maker.poll(batch, LOOKS)
    made = [name for name, result in report.results.items() if isinstance(result, Generated)]
    lost = [result for result in report.results.values() if isinstance(result, Unavailable)]
    assert (report.state, made, len(lost)) == (state, ["look-0", "look-1"], 2)
    assert abs(report.cost - peer.billed) <= len(LOOKS)
    assert len(peer.bill) == 2


def test_a_batch_can_be_cancelled(peer: OpenAIPeer):
    maker = batches(peer)
    batch = maker.submit(LOOKS, "autumn")
    maker.cancel(batch)
    assert maker.poll(batch, LOOKS).state == "cancelled"


def test_a_batch_that_is_not_accepted_says_why_for_each_request(peer: OpenAIPeer):
    maker = batches(peer)
    batch = maker.submit(LOOKS, "autumn")
    peer.batches[batch].faults = [
        {"code": "invalid_request", "message": "Not a line of a batch", "line": 2, "param": None}
    ]
    report = maker.poll(batch, LOOKS)
    assert (report.state, report.cost, peer.billed) == ("failed", 0, 0)
    assert report.error == "line 2: Not a line of a batch"
    assert all(isinstance(result, Refused) for result in report.results.values())


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault("reset_before"), Unavailable),
        (Fault("hang_after"), Unavailable),
        (Fault("reply", reply=Reply(503, {"error": {"message": "busy", "code": "server_is_overloaded"}})), Unavailable),
        (Fault("reply", reply=Reply(502, b"<html>", {"content-type": "text/html"})), Unavailable),
        (Fault("reply", reply=Reply(429, {"error": {"message": "slow", "code": "rate_limit_exceeded"}})), Throttled),
        (Fault("reply", reply=Reply(200, b"<html>", {"content-type": "text/html"})), Unavailable),
    ],
    ids=["reset", "timeout", "503", "502", "429", "page"],
)
@pytest.mark.parametrize("part", ["/v1/batches/", "/content"])
def test_asking_fails_without_harm_and_can_be_repeated(
    peer: OpenAIPeer, fault: Fault, error: type[ImageError], part: str
):
    maker = batches(peer, timeout_seconds=1)
    batch = maker.submit(LOOKS, "autumn")
    peer.finish(batch)
    peer.faults.append(Fault(fault.kind, reply=fault.reply, matches=lambda asked: part in asked.path))
    with pytest.raises(error):
        maker.poll(batch, LOOKS)
    assert maker.poll(batch, LOOKS).state == "completed"
    assert len(peer.bill) == len(LOOKS)


def test_results_that_break_off_are_asked_for_again(peer: OpenAIPeer):
    maker = batches(peer)
    batch = maker.submit(LOOKS, "autumn")
    peer.finish(batch)
    cut_off = peer.FAULTS["cut_off"]()
    cut_off.matches = lambda asked: asked.path.endswith("/content")
    peer.faults.append(cut_off)
    with pytest.raises(Unavailable):
        maker.poll(batch, LOOKS)
    assert all(isinstance(one, Generated) for one in maker.poll(batch, LOOKS).results.values())


def test_no_credit_hands_in_nothing(peer: OpenAIPeer):
    error = Error(429, "credit_balance_exhausted", "You exceeded your current quota", "insufficient_quota")
    peer.faults.append(Fault("reply", reply=peer.error(error), matches=handing_in))
    with pytest.raises(SwitchedOff, match="credit"):
        batches(peer).submit(LOOKS, "autumn")
    assert peer.batches == {}


def test_what_no_batch_takes_is_refused_unsent(peer: OpenAIPeer):
    maker, one = batches(peer), LOOKS["look-0"]
    reference = picture(bytes(32), (64, 64), "png")
    many = {str(place): one for place in range(MOST_REQUESTS + 1)}
    for requests, why in [
        ({}, "1 to 200"),
        (many, "1 to 200"),
        ({"": one}, "custom_id|name a request"),
        ({"x" * 65: one}, "64 characters"),
        ({"edit": ImageRequest("on marble", references=(reference,))}, "no references"),
        ({"huge": ImageRequest("a tote", width=9000)}, "256 to 3840"),
    ]:
        with pytest.raises(Refused, match=why):
            maker.submit(requests, "k")
    assert peer.asked == []


def test_a_model_that_takes_no_batches_says_so(peer: OpenAIPeer):
    recraft = OpenAIBatches(REGISTRY.by_id["recraft-v4"], peer.base_url, KEY)
    with pytest.raises(SwitchedOff, match="takes no batches"):
        recraft.submit(LOOKS, "k")
    assert peer.asked == []
