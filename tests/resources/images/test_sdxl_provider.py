"""SDXL as a provider, against the real server process with a tiny model of random weights on the CPU."""

import hashlib
import io
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from resources.images.protocol import (
    Cancelled,
    Generated,
    ImageRequest,
    Poisoned,
    Refused,
    SwitchedOff,
    Throttled,
    Unavailable,
)
from resources.images.registry import Model, read_registry
from resources.images.sdxl import SdxlProvider
from tests.peers.vendor import Asked, Reply, VendorPeer
from tests.resources.gpu.served import Served, eventually, served
from tests.resources.gpu.tiny_sdxl import write_tiny_sdxl

KEY = "gpu-key"
WISH = ImageRequest("a calfskin tote", width=64, height=64, options={"steps": 3})


def entry(**changes: Any) -> Model:
    return read_registry().by_id["sdxl-1.0"].model_copy(update=changes)


def provider(*urls: str, key: str | None = KEY) -> SdxlProvider:
    return SdxlProvider(entry(), urls, key)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_sdxl(tmp_path_factory.mktemp("sdxl") / "tiny-sdxl")


@pytest.fixture(scope="module")
def server(model: Path) -> Iterator[Served]:
    with served(model, "--queue", "10", key=KEY) as running:
        yield running


# Without a server


def test_without_an_address_it_says_how_to_have_one():
    assert "luxauto gpu serve" in (provider().unavailable() or "")
    assert "LUXAUTO_GPU_URLS" in (provider("  ").unavailable() or "")
    assert "http://" in (provider("gpu-1:8200").unavailable() or "")
    assert "LUXAUTO_GPU_KEY" in (SdxlProvider(entry(key_optional=False), ["http://gpu"], None).unavailable() or "")
    assert "because" in (SdxlProvider(entry(disabled="because"), ["http://gpu"], None).unavailable() or "")
    assert provider("http://gpu-1:8200", key=None).unavailable() is None
    with pytest.raises(SwitchedOff):
        provider().generate(WISH, "k")


def test_the_estimate_grows_with_pictures_pixels_and_steps():
    def estimate(**changes: Any) -> int:
        return provider().estimate(ImageRequest("a tote", **changes))

    # 3.5 dollars an hour for 1500 pictures of 30 steps.
    assert estimate(options={"steps": 30}) == 2334
    assert estimate(options={"steps": 60}, count=2) == pytest.approx(4 * 2334, abs=4)
    assert estimate(options={"steps": 30}, width=2048, height=2048) == pytest.approx(4 * 2334, abs=4)
    assert estimate(quality="low") < estimate(quality="medium") < estimate(quality="high") == estimate(quality="ultra")


def test_a_server_that_is_not_there_is_unavailable():
    with VendorPeer() as gone:
        url = gone.url
    with pytest.raises(Unavailable) as caught:
        provider(url).generate(WISH, "k")
    assert caught.value.code == "unreachable"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"count": 5}, "1 to 4 pictures"),
        ({"count": 0}, "1 to 4 pictures"),
        ({"references": (b"x", b"y")}, "takes 1 reference"),
        ({"format": "svg"}, "svg"),
        ({"transparent": True}, "transparent"),
        ({"options": {"stepz": 3}}, "options stepz"),
        ({"options": {"steps": 2.5}}, "steps is 2.5"),
        ({"options": {"steps": True}}, "steps is True"),
        ({"options": {"guidance": "high"}}, "guidance"),
        ({"options": {"guidance": float("nan")}}, "guidance"),
        ({"options": {"sampler": 4}}, "sampler"),
    ],
)
def test_what_it_cannot_paint_is_refused_unsent(changes: dict[str, Any], why: str):
    with pytest.raises(Refused, match=why):
        provider("http://127.0.0.1:9").generate(ImageRequest(**{"prompt": "a tote", **changes}), "k")


# With the real server


def test_pictures_come_with_their_seeds_and_what_the_gpu_s_time_cost(server: Served):
    made = provider(server.url).generate(
        ImageRequest("a tote", width=64, height=96, count=3, seed=7, options={"steps": 3}), "a"
    )
    assert [image.seed for image in made.images] == [7, 8, 9]
    for image in made.images:
        assert Image.open(io.BytesIO(image.content)).size == (64, 96) == (image.width, image.height)
        assert image.media_type == "image/png"
    assert len({image.content for image in made.images}) == 3
    seconds = made.usage["seconds"]
    worked = seconds["painting"] + seconds["finishing"]
    assert 0 < worked <= seconds["total"]
    assert made.cost == pytest.approx(worked * 3.5 / 3600 * 1_000_000, abs=1)
    assert made.model and made.call_id


def test_a_seed_is_drawn_where_none_is_given_and_paints_the_same_again(server: Served):
    asked = provider(server.url)
    first = asked.generate(WISH, "drawn")
    seed = first.images[0].seed
    assert seed is not None and seed != asked.generate(WISH, "another").images[0].seed
    again = asked.generate(
        ImageRequest("a calfskin tote", width=64, height=64, seed=seed, options={"steps": 3}), "again"
    )
    assert again.images[0].content == first.images[0].content


def test_the_same_key_is_painted_once(server: Served):
    asked = provider(server.url)
    long_key = "brief/hérō ✓ " * 40
    first = asked.generate(WISH, long_key)
    painted = server.metrics()
    again = asked.generate(WISH, long_key)
    assert [image.content for image in again.images] == [image.content for image in first.images]
    assert again.call_id == first.call_id
    assert _images(server.metrics()) == _images(painted)


@pytest.mark.parametrize("format", ["webp", "jpeg"])
def test_formats_are_the_server_s(server: Served, format: Any):
    wish = ImageRequest("a tote", width=64, height=64, format=format, options={"steps": 2})
    (image,) = provider(server.url).generate(wish, f"format {format}").images
    assert Image.open(io.BytesIO(image.content)).format == format.upper()
    assert image.media_type == f"image/{format}"


def test_options_and_the_negative_prompt_change_the_picture(server: Served):
    asked = provider(server.url)

    def sum_of(key: str, negative: str = "", **options: Any) -> str:
        wish = ImageRequest("a tote", width=64, height=64, seed=3, negative=negative, options={"steps": 4, **options})
        return hashlib.sha256(asked.generate(wish, key).images[0].content).hexdigest()

    sums = [
        sum_of("plain"),
        sum_of("guided", guidance=15.0),
        sum_of("steps", steps=2),
        sum_of("sampler", sampler="euler_ancestral"),
        sum_of("negative", "gold chains, logos, text, hands, blur", guidance=15.0),
    ]
    assert len(set(sums)) == len(sums)
    with pytest.raises(Refused) as caught:
        sum_of("unknown", sampler="no-such")
    assert caught.value.code == "sampler"
    with pytest.raises(Refused):
        sum_of("lora", lora="no-such")


def test_a_reference_is_changed_by_its_strength(server: Served):
    out = io.BytesIO()
    Image.linear_gradient("L").resize((64, 64)).convert("RGB").save(out, "PNG")

    def painted(strength: float) -> Image.Image:
        options = {"steps": 4, "strength": strength}
        wish = ImageRequest("a tote", width=64, height=64, seed=3, references=(out.getvalue(),), options=options)
        (image,) = provider(server.url).generate(wish, f"reference {strength}").images
        return Image.open(io.BytesIO(image.content)).convert("RGB")

    assert painted(1.0).tobytes() != painted(0.5).tobytes()
    with pytest.raises(Refused) as caught:
        painted(0.0)
    assert caught.value.code == "strength"


def test_a_size_that_the_model_cannot_paint_is_refused_with_its_field(server: Served):
    with pytest.raises(Refused) as caught:
        provider(server.url).generate(ImageRequest("a tote", width=70, height=64), "odd")
    assert caught.value.code == "size"


def test_a_wrong_key_and_a_model_that_is_not_served_switch_off(server: Served):
    with pytest.raises(SwitchedOff) as caught:
        provider(server.url, key="wrong").generate(WISH, "k")
    assert caught.value.code == "invalid_api_key"
    with pytest.raises(SwitchedOff) as caught:
        SdxlProvider(entry(model="flux"), [server.url], KEY).generate(WISH, "k")
    assert caught.value.code == "model_not_found"


def test_what_is_not_wanted_any_more_is_cancelled_on_the_server(server: Served):
    with pytest.raises(Cancelled):
        provider(server.url).generate(WISH, "never sent", lambda: True)
    wanted = threading.Event()
    outcome: list[BaseException] = []
    long = ImageRequest("a tote", width=256, height=256, seed=1, options={"steps": 150})

    def ask() -> None:
        try:
            provider(server.url).generate(long, "cancelled", wanted.is_set)
        except Cancelled as error:
            outcome.append(error)

    worker = threading.Thread(target=ask, daemon=True)
    worker.start()
    eventually(lambda: _busy(server))
    wanted.set()
    worker.join(60)
    assert len(outcome) == 1
    eventually(lambda: not _busy(server))


def test_a_full_queue_is_throttling_with_a_time(server: Served):
    stop = threading.Event()
    throttled: list[Throttled] = []

    def ask(number: int) -> None:
        wish = ImageRequest("a tote", width=256, height=256, count=4, seed=number, options={"steps": 150})
        try:
            provider(server.url).generate(wish, f"full {number}", stop.is_set)
        except Throttled as error:
            throttled.append(error)
        except Cancelled:
            pass

    workers = [threading.Thread(target=ask, args=(number,), daemon=True) for number in range(8)]
    for worker in workers:
        worker.start()
    try:
        eventually(lambda: throttled)
    finally:
        stop.set()
        for worker in workers:
            worker.join(60)
    assert throttled[0].code == "queue_full" and (throttled[0].retry_after or 0) > 0
    assert len(throttled) < len(workers), "those that had come before were taken"


def test_of_several_servers_one_that_is_gone_is_left_aside(server: Served):
    with VendorPeer() as gone:
        url = gone.url
    made = provider(url, server.url).generate(WISH, "fleet")
    assert made.images[0].details["server"] == server.url


def test_a_server_that_dies_while_it_paints_is_left_for_another(server: Served, model: Path):
    with served(model, key=KEY) as dying:
        busy = ImageRequest("a tote", width=64, height=64, count=4)
        # So that of the two the one that will die has less to do.
        stop = threading.Event()
        other = threading.Thread(
            target=_until,
            args=(server.url, replace(busy, width=256, height=256, options={"steps": 150}), stop),
            daemon=True,
        )
        other.start()
        eventually(lambda: _waiting(server) >= 4)
        made: list[Generated] = []
        long = ImageRequest("a tote", width=256, height=256, seed=11, options={"steps": 100})
        worker = threading.Thread(
            target=lambda: made.append(provider(server.url, dying.url).generate(long, "dies")), daemon=True
        )
        worker.start()
        eventually(lambda: _waiting(dying) > 0)
        dying.kill()
        stop.set()
        other.join(60)
        worker.join(60)
    (answer,) = made
    assert answer.images[0].details["server"] == server.url
    assert answer.notes == ("the server died while it painted, and was asked once more",)
    again = provider(server.url).generate(long, "the same, from the one that lives")
    assert again.images[0].content == answer.images[0].content


# Servers that answer nonsense


class OddServer(VendorPeer):
    """Answers as if all were well, with whatever bytes it was given."""

    def __init__(self, content: bytes, status: int = 200) -> None:
        self.content, self.status = content, status
        super().__init__()

    def answer(self, asked: Asked) -> Reply:
        if self.status != 200:
            return Reply(self.status, {"error": {"message": "no", "code": "generation_failed", "param": None}})
        return Reply(200, self.content, {"content-type": "text/event-stream", "x-job-id": "job-1"})


def done(picture: bytes) -> bytes:
    """The stream of a job that is done."""
    import base64
    import json

    result = {
        "job_id": "job-1",
        "model": "tiny",
        "output_format": "png",
        "data": [{"b64_json": base64.b64encode(picture).decode(), "seed": 1}],
        "usage": {},
        "timing": {"queued": 0.0, "painting": 2.0, "finishing": 0.5, "total": 2.5},
    }
    return b"event: done\ndata: " + json.dumps({"result": result}).encode() + b"\n\n"


def png(size: tuple[int, int]) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, "red").save(out, "PNG")
    return out.getvalue()


def test_a_picture_of_another_size_or_that_is_none_is_poisoned_and_its_seconds_are_charged():
    for content, code in ((png((32, 64)), "wrong_size"), (b"no picture", "unusable_image")):
        with OddServer(done(content)) as odd:
            with pytest.raises(Poisoned) as caught:
                provider(odd.url).generate(WISH, "k")
            assert (caught.value.code, caught.value.cost) == (code, 2431)
    with OddServer(done(png((64, 64)))) as well:
        assert provider(well.url).generate(WISH, "k").cost == 2431


def test_an_answer_that_cannot_be_understood_is_poisoned():
    with OddServer(b"event: done\ndata: {broken\n\n") as odd, pytest.raises(Poisoned):
        provider(odd.url).generate(WISH, "k")


def test_a_server_that_failed_is_unavailable():
    with OddServer(b"", 500) as odd:
        with pytest.raises(Unavailable) as caught:
            provider(odd.url).generate(WISH, "k")
        assert caught.value.code == "generation_failed"


def _until(url: str, wish: ImageRequest, stop: threading.Event) -> None:
    with suppress(Cancelled):
        provider(url).generate(wish, "until", stop.is_set)


def _images(metrics: dict[str, float]) -> float:
    return sum(value for name, value in metrics.items() if name.startswith("images_total"))


def _busy(server: Served) -> bool:
    return _waiting(server) > 0


def _waiting(server: Served) -> int:
    from resources.gpu.client import Client

    with Client(server.url, KEY) as client:
        return client.queue_depth()
