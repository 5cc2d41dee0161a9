"""One GPU server, started by its command, as its clients see it: OpenAI's SDK, our own client, and plain HTTP."""

import base64
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np
import pytest
from PIL import ExifTags, Image

from resources.gpu.client import Busy, Cancelled, Client, Generated, GenerationRequest, Progress, Refused
from tests.resources.gpu.served import Served, eventually, served, since

KEY = "a key for the tests"
QUEUE = 20
SMALL = GenerationRequest("a bag", width=64, height=64, steps=4)
LONG = GenerationRequest("a bag", width=192, height=192, steps=150)


@pytest.fixture(scope="module")
def server(sdxl_folder: Path) -> Iterator[Served]:
    with served(sdxl_folder, "--queue", str(QUEUE), "--window-ms", "40", "--size", "64x64", key=KEY) as server:
        yield server


@pytest.fixture
def client(server: Served) -> Iterator[Client]:
    with Client(server.url, KEY, restart_seconds=0) as client:
        yield client


@pytest.fixture
def http(server: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {KEY}"}, timeout=60) as http:
        yield http


@pytest.fixture(autouse=True)
def _nothing_left(server: Served) -> Iterator[None]:
    """No test finds the work of another in the queue."""
    yield
    with httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {KEY}"}) as http:
        for job in http.get("/v1/jobs").json()["data"]:
            if job["status"] in ("queued", "running"):
                http.delete(f"/v1/jobs/{job['id']}")
        eventually(lambda: _work(http) == 0)


def _work(http: httpx.Client) -> int:
    queue = http.get("/v1/queue").json()
    return queue["waiting"] + queue["running"]


def pixels(content: bytes) -> np.ndarray:
    with Image.open(BytesIO(content)) as picture:
        return np.asarray(picture.convert("RGB"), dtype=np.int16)


def png(mode: str, colour: Any, size: int = 64) -> bytes:
    with BytesIO() as file:
        Image.new(mode, (size, size), colour).save(file, "PNG")
        return file.getvalue()


def body(**fields: Any) -> dict[str, Any]:
    return {"prompt": "a bag", "size": "64x64", "steps": 4, **fields}


def long_job(http: httpx.Client, **fields: Any) -> str:
    """Begin a job of seconds without waiting for it; gives its id."""
    asked = body(size="192x192", steps=150, **fields)
    return http.post("/v1/images/generations", json=asked, headers={"Prefer": "respond-async"}).json()["id"]


def openai_client(server: Served, key: str = KEY) -> Any:
    import openai

    return openai.OpenAI(
        base_url=f"{server.url}/v1", api_key=key, max_retries=0, timeout=60, _strict_response_validation=True
    )


def test_openais_sdk_generates_pictures(server: Served) -> None:
    sdk = openai_client(server)
    made = sdk.images.generate(
        model="sdxl", prompt="a bag on marble", n=2, size="64x96", output_format="webp", quality="low",
        extra_body={"seed": 41, "steps": 4, "guidance": 3.5, "negative_prompt": "text", "sampler": "dpmpp_2m"},
    )  # fmt: skip
    assert [image.seed for image in made.data] == [41, 42]
    for image in made.data:
        with Image.open(BytesIO(base64.b64decode(image.b64_json))) as picture:
            assert (picture.format, picture.size) == ("WEBP", (64, 96))
    assert (made.size, made.output_format, made.quality) == ("64x96", "webp", "low")
    assert made.usage.output_tokens == 2 * 8 * 12
    assert made.usage.input_tokens_details.text_tokens == 2 * 77
    assert made.usage.total_tokens == made.usage.input_tokens + made.usage.output_tokens
    (served_model,) = sdk.models.list().data
    assert served_model.id == "tiny-sdxl"
    assert "dpmpp_2m" in served_model.samplers


def test_openais_sdk_edits_where_the_mask_is_transparent_and_nowhere_else(server: Served) -> None:
    images = openai_client(server).images
    image = png("RGB", (180, 40, 60))

    def edited(prompt: str, mask: bytes | None, **fields: Any) -> np.ndarray:
        given = {} if mask is None else {"mask": ("mask.png", mask)}
        made = images.edit(
            image=("image.png", image), prompt=prompt, size="64x64", **given,
            extra_body={"seed": 7, "steps": 8, "strength": 0.9, **fields},
        )  # fmt: skip
        assert made.usage.input_tokens_details.image_tokens == 64
        return pixels(base64.b64decode(made.data[0].b64_json))

    opaque, clear = png("RGBA", (0, 0, 0, 255)), png("RGBA", (0, 0, 0, 0))
    assert np.array_equal(edited("a bag", opaque), edited("sharp shoes", opaque)), "nothing was to be painted"
    assert not np.array_equal(edited("a bag", clear), edited("sharp shoes", clear))
    assert not np.array_equal(edited("a bag", None), edited("a bag", None, strength=0.4))


def test_concurrent_requests_share_batches_and_get_what_they_would_get_alone(server: Served, client: Client) -> None:
    alone = [client.generate(replace(SMALL, seed=seed)) for seed in range(12)]
    before = server.metrics()
    with ThreadPoolExecutor(12) as pool:
        together = list(pool.map(lambda seed: client.generate(replace(SMALL, seed=seed)), range(12)))
    after = server.metrics()
    assert since(before, after, "batch_size_sum") == 12
    assert since(before, after, "batch_size_count") <= 4
    for one, other in zip(alone, together, strict=True):
        assert one.seeds == other.seeds
        assert np.abs(pixels(one.images[0].content) - pixels(other.images[0].content)).max() <= 1


def test_requests_of_other_shapes_are_not_mixed(server: Served, client: Client) -> None:
    before = server.metrics()
    sizes = [(64, 64), (64, 72)] * 3
    with ThreadPoolExecutor(6) as pool:
        made = pool.map(lambda size: client.generate(GenerationRequest("a bag", width=size[0], height=size[1])), sizes)
    assert [pixels(one.images[0].content).shape[:2] for one in made] == [(height, width) for width, height in sizes]
    assert since(before, server.metrics(), "batch_size_count") >= 2


def test_a_picture_tells_what_it_was_painted_from_but_not_its_prompt(client: Client) -> None:
    import hashlib

    expected = hashlib.sha256(b"a bag that nobody knows of").hexdigest()
    for format in ("png", "webp", "jpeg"):
        request = replace(SMALL, prompt="a bag that nobody knows of", seed=5, output_format=format)
        (image,) = client.generate(request).images
        assert image.media_type == f"image/{format}"
        assert b"nobody knows" not in image.content
        with Image.open(BytesIO(image.content)) as picture:
            facts = picture.info
            if format != "png":
                facts = json.loads(picture.getexif()[ExifTags.Base.ImageDescription])
        told = {name: facts[name] for name in ("model", "seed", "prompt_sha256", "steps", "sampler")}
        assert told == {
            "model": "tiny-sdxl",
            "seed": "5",
            "prompt_sha256": expected,
            "steps": "4",
            "sampler": "euler",
        }


def test_quality_chooses_the_steps_where_none_are_given(http: httpx.Client) -> None:
    def steps(**fields: Any) -> int:
        asked = {"prompt": "a bag", **fields}
        job = http.post("/v1/images/generations", json=asked, headers={"Prefer": "respond-async"}).json()
        return job["images"][0]["of"]

    assert [steps(quality=quality) for quality in ("low", "medium", "auto", "high")] == [15, 24, 30, 42]
    assert steps(quality="high", steps=3) == 3


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"style": "vivid"}, "style", "unknown_parameter"),
        ({"guidance_scale": 7}, "guidance_scale", "unknown_parameter"),
        ({"strength": 0.5}, "strength", "unknown_parameter"),
        ({"prompt": None}, "prompt", "invalid_type"),
        ({"prompt": "  "}, "prompt", "invalid_value"),
        ({"n": 11}, "n", "integer_out_of_range"),
        ({"n": "2"}, "n", "invalid_type"),
        ({"size": "large"}, "size", "invalid_value"),
        ({"size": "70x64"}, "size", "invalid_value"),
        ({"size": "64x9000"}, "size", "invalid_value"),
        ({"output_format": "gif"}, "output_format", "invalid_value"),
        ({"response_format": "url"}, "response_format", "invalid_value"),
        ({"background": "transparent"}, "background", "invalid_value"),
        ({"quality": "hd"}, "quality", "invalid_value"),
        ({"stream": True}, "stream", "invalid_value"),
        ({"steps": 0}, "steps", "invalid_value"),
        ({"steps": 2.5}, "steps", "invalid_type"),
        ({"guidance": 99}, "guidance", "invalid_value"),
        ({"sampler": "magic"}, "sampler", "invalid_value"),
        ({"lora": "house-style"}, "lora", "invalid_value"),
        ({"lora_scale": 0.5}, "lora_scale", "invalid_value"),
        ({"seed": -1}, "seed", "integer_out_of_range"),
        ({"negative_prompt": "x" * 5000}, "negative_prompt", "invalid_value"),
    ],
)
def test_a_request_that_cannot_be_painted_is_refused_by_the_name_of_its_field(
    http: httpx.Client, fields: dict[str, Any], param: str, code: str
) -> None:
    answer = http.post("/v1/images/generations", json=body(**fields))
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], error["code"]) == (400, param, code)
    assert error["type"] == "invalid_request_error"
    assert param in error["message"]


def test_openais_sdk_understands_refusals(server: Served) -> None:
    import openai

    sdk = openai_client(server)
    with pytest.raises(openai.BadRequestError) as refused:
        sdk.images.generate(prompt="a bag", size="64x64", extra_body={"cfg": 7})
    assert (refused.value.param, refused.value.code) == ("cfg", "unknown_parameter")
    with pytest.raises(openai.NotFoundError) as absent:
        sdk.images.generate(prompt="a bag", model="dall-e-3")
    assert (absent.value.param, absent.value.code) == ("model", "model_not_found")
    with pytest.raises(openai.AuthenticationError) as stranger:
        openai_client(server, "another key").images.generate(prompt="a bag")
    assert stranger.value.code == "invalid_api_key"


@pytest.mark.parametrize(
    ("files", "fields", "param"),
    [
        ({}, {"prompt": "a bag"}, "image"),
        ({"image": b"no picture"}, {"prompt": "a bag"}, "image"),
        ({"image": png("RGB", "red")}, {}, "prompt"),
        ({"image": png("RGB", "red")}, {"prompt": "a bag", "strength": "2"}, "strength"),
        ({"image": png("RGB", "red")}, {"prompt": "a bag", "strength": "much"}, "strength"),
        ({"image": png("RGB", "red"), "mask": png("L", 0)}, {"prompt": "a bag"}, "mask"),
        ({"image": png("RGB", "red"), "logo": png("RGB", "red")}, {"prompt": "a bag"}, "logo"),
        ({"image": png("RGB", "red", 256)[:200]}, {"prompt": "a bag"}, "image"),
    ],
)
def test_an_edit_that_cannot_be_painted_is_refused_by_the_name_of_its_field(
    http: httpx.Client, files: dict[str, bytes], fields: dict[str, str], param: str
) -> None:
    parts = {name: (name, content, "image/png") for name, content in files.items()}
    # Without files the client would send no form of several parts.
    parts = parts or {"model": (None, "sdxl")}
    answer = http.post("/v1/images/edits", data=fields, files=parts)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param), answer.text


def test_bodies_that_are_no_request_are_refused(http: httpx.Client) -> None:
    def refused(path: str, content: bytes, kind: str = "application/json") -> tuple[int, str]:
        answer = http.post(path, content=content, headers={"Content-Type": kind})
        return answer.status_code, answer.json()["error"]["code"]

    assert refused("/v1/images/generations", b"{") == (400, "invalid_json")
    assert refused("/v1/images/generations", b"[]") == (400, "invalid_json")
    assert refused("/v1/images/generations", b" " * 2**21) == (413, "request_too_large")
    assert refused("/v1/images/edits", b"{}") == (400, "invalid_form")
    assert refused("/v1/images/edits", b"--x\r\n", "multipart/form-data; boundary=x") == (400, "invalid_form")
    assert refused("/v1/videos", b"{}") == (404, "not_found")


def test_without_the_key_only_probes_are_answered(server: Served) -> None:
    with httpx.Client(base_url=server.url) as stranger:
        assert stranger.get("/healthz").json() == {"status": "alive"}
        assert stranger.get("/readyz").json() == {"state": "ready"}
        assert stranger.get("/metrics").status_code == 200
        for path in ("/v1/models", "/v1/queue", "/v1/jobs", "/v1/jobs/x", "/v1/jobs/x/events"):
            assert stranger.get(path).status_code == 401, path
        assert stranger.post("/v1/images/generations", json=body()).status_code == 401
        assert stranger.post("/v1/images/edits").status_code == 401
        assert stranger.delete("/v1/jobs/x").status_code == 401


def test_a_job_can_be_asked_for_now_and_fetched_later(http: httpx.Client) -> None:
    taken = http.post("/v1/images/generations", json=body(seed=9), headers={"Prefer": "respond-async"})
    assert taken.status_code == 202
    assert taken.headers["Preference-Applied"] == "respond-async"
    assert taken.json()["status"] in ("queued", "running")
    job = http.get(taken.headers["Location"], params={"wait": 30}).json()
    assert job["status"] == "done"
    assert job["images"] == [{"index": 0, "seed": 9, "step": 4, "of": 4}]
    assert pixels(base64.b64decode(job["result"]["data"][0]["b64_json"])).shape == (64, 64, 3)
    assert set(job["result"]["timing"]) == {"queued", "painting", "finishing", "total"}
    assert http.get("/v1/jobs/imgjob_unknown").json()["error"]["code"] == "job_not_found"


def test_previews_change_from_step_to_step(http: httpx.Client) -> None:
    job = long_job(http)
    seen: dict[int, str] = {}

    def look() -> bool:
        (image,) = http.get(f"/v1/jobs/{job}").json()["images"]
        if image.get("preview"):
            seen[image["step"]] = image["preview"]
        return len(seen) >= 4

    eventually(look)
    for preview in seen.values():
        with Image.open(BytesIO(base64.b64decode(preview))) as picture:
            assert (picture.format, picture.size) == ("WEBP", (24, 24))
    assert len(set(seen.values())) == len(seen)


def events_of(http: httpx.Client, path: str, **headers: str) -> list[tuple[int, str, dict[str, Any]]]:
    found = []
    with http.stream("GET", path, headers=headers) as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        for block in answer.read().decode().split("\n\n"):
            lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
            if lines:
                found.append((int(lines["id"]), lines["event"], json.loads(lines["data"])))
    return found


def test_events_come_in_order_and_can_be_taken_up_again(http: httpx.Client) -> None:
    asked = body(n=2, seed=3, steps=25, size="128x128")
    job = http.post("/v1/images/generations", json=asked, headers={"Prefer": "respond-async"}).json()["id"]
    path = f"/v1/jobs/{job}/events"
    events = events_of(http, f"{path}?previews=true")
    assert [number for number, _, _ in events] == list(range(1, len(events) + 1))
    names = [name for _, name, _ in events]
    assert (names[0], names[-1], names.count("done")) == ("queued", "done", 1)
    for image in (0, 1):
        steps = [data["step"] for _, name, data in events if name == "step" and data["image"] == image]
        assert steps == list(range(1, 26))
        finished = [place for place, (_, name, data) in enumerate(events) if name == "image" and data["image"] == image]
        (place,) = finished
        assert all(data["image"] != image for _, name, data in events[place:] if name == "step")
    previews = {data["preview"] for _, name, data in events if name == "step" and data["preview"]}
    assert len(previews) > 3
    assert len(events[-1][2]["result"]["data"]) == 2
    again = events_of(http, path, **{"Last-Event-ID": "50"})
    assert [number for number, _, _ in again] == list(range(51, len(events) + 1))
    for last in (len(events), 9999):
        assert events_of(http, path, **{"Last-Event-ID": str(last)}) == []
    wrong = http.get(f"/v1/jobs/{job}", params={"wait": "long"})
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "wait")


def test_our_client_follows_a_job(client: Client) -> None:
    steps: list[Progress] = []
    made = client.generate(replace(SMALL, count=2, seed=1), on_progress=steps.append)
    assert [step.step for step in steps if step.image == 1] == [1, 2, 3, 4]
    assert made.seeds == (1, 2)
    assert (made.model, made.attempts) == ("tiny-sdxl", 1)
    assert made.timing.total >= made.timing.painting > 0
    assert made.job_id == steps[0].job_id
    assert client.health().ready
    assert client.models()[0].max_batch == 16
    assert client.queue_depth() == 0
    assert client.queue().seconds_per_image > 0
    drawn = client.generate(SMALL)
    assert drawn.seeds != client.generate(SMALL).seeds


def test_our_client_edits(client: Client) -> None:
    request = replace(SMALL, seed=1, image=png("RGB", "red"), strength=0.5)
    mask = png("RGBA", (0, 0, 0, 255))
    whole = client.generate(request).images[0].content
    kept = client.generate(replace(request, mask=mask)).images[0].content
    assert not np.array_equal(pixels(whole), pixels(kept))


def test_our_client_says_which_field_was_refused(client: Client, server: Served) -> None:
    with pytest.raises(Refused) as size:
        client.generate(GenerationRequest("a bag", width=70, height=64))
    assert size.value.param == "size"
    with pytest.raises(Refused) as mask:
        client.generate(GenerationRequest("a bag", mask=b"x"))
    assert mask.value.param == "mask"
    with Client(server.url, "another key") as stranger, pytest.raises(Refused) as key:
        stranger.models()
    assert key.value.code == "invalid_api_key"


def test_a_job_that_waits_can_be_cancelled_before_it_starts(server: Served, http: httpx.Client, client: Client) -> None:
    running = long_job(http)
    eventually(lambda: http.get(f"/v1/jobs/{running}").json()["status"] == "running")
    before = server.metrics()
    waiting = long_job(http, seed=1)
    assert http.get(f"/v1/jobs/{waiting}").json()["status"] == "queued"
    assert client.cancel(waiting)
    assert not client.cancel(waiting.replace("imgjob_", "imgjob_x"))
    job = http.get(f"/v1/jobs/{waiting}").json()
    assert (job["status"], job["error"]["code"]) == ("cancelled", "cancelled")
    assert job["images"][0]["step"] == 0
    after = server.metrics()
    assert since(before, after, 'cancellations_total{stage="waiting"}') == 1
    assert since(before, after, "batch_size_count") == 0
    assert http.get(f"/v1/jobs/{running}").json()["status"] == "running"


def test_a_job_can_be_cancelled_in_the_middle(server: Served, http: httpx.Client) -> None:
    before = server.metrics()
    job = long_job(http)
    eventually(lambda: http.get(f"/v1/jobs/{job}").json()["images"][0]["step"] > 3)
    assert http.delete(f"/v1/jobs/{job}").json()["status"] == "cancelled"
    eventually(lambda: _work(http) == 0)
    after = server.metrics()
    assert since(before, after, 'cancellations_total{stage="running"}') == 1
    assert since(before, after, 'requests_total{outcome="cancelled"}') == 1
    assert 3 < since(before, after, "steps_total") < 150
    assert [name for _, name, _ in events_of(http, f"/v1/jobs/{job}/events")][-1] == "cancelled"


def test_our_client_cancels_when_it_is_told_to(server: Served, client: Client) -> None:
    before, told = server.metrics(), threading.Event()
    with pytest.raises(Cancelled):
        client.generate(LONG, on_progress=lambda step: told.set(), is_cancelled=told.is_set)
    assert since(before, server.metrics(), 'cancellations_total{stage="running"}') == 1


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
def test_a_client_that_hangs_up_cancels_its_job(server: Served, http: httpx.Client, accept: str) -> None:
    before = server.metrics()
    asked = body(size="192x192", steps=150)
    with pytest.raises((httpx.ReadTimeout, InterruptedError)):
        timeout = httpx.Timeout(0.5 if accept == "application/json" else 30)
        with http.stream(
            "POST", "/v1/images/generations", json=asked, headers={"Accept": accept}, timeout=timeout
        ) as answer:
            for line in answer.iter_lines():
                if line == "event: step":
                    raise InterruptedError
    eventually(lambda: since(before, server.metrics(), 'cancellations_total{stage="running"}') == 1)


def test_a_full_queue_says_when_to_come_back(server: Served, http: httpx.Client, client: Client) -> None:
    import openai

    before = server.metrics()
    running = long_job(http)
    eventually(lambda: http.get(f"/v1/jobs/{running}").json()["status"] == "running")
    for seed in (10, 20):
        long_job(http, n=10, seed=seed)
    queue = client.queue()
    assert (queue.waiting, queue.running, queue.capacity) == (QUEUE, 1, QUEUE)
    answer = http.post("/v1/images/generations", json=body())
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) >= 1
    assert answer.json()["error"]["code"] == "queue_full"
    with pytest.raises(openai.RateLimitError) as limited:
        openai_client(server).images.generate(prompt="a bag", size="64x64")
    assert limited.value.code == "queue_full"
    with pytest.raises(Busy) as busy:
        client.generate(SMALL)
    assert busy.value.retry_after >= 1
    after = server.metrics()
    assert since(before, after, 'refusals_total{reason="queue_full"}') == 3
    assert after["queue_depth"] == QUEUE
    assert after["images_in_progress"] == 1


def test_under_one_key_a_request_is_painted_once(server: Served, http: httpx.Client) -> None:
    before = server.metrics()

    def ask(_: int) -> dict[str, Any]:
        asked = body(size="128x128", steps=40)
        return http.post("/v1/images/generations", json=asked, headers={"Idempotency-Key": "one"}).json()

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(ask, range(4)))
    answers.append(ask(4))
    assert all(answer == answers[0] for answer in answers)
    after = server.metrics()
    assert since(before, after, 'images_total{format="png"}') == 1
    assert since(before, after, "joined_requests_total") == 4
    other = http.post("/v1/images/generations", json=body(seed=2), headers={"Idempotency-Key": "one"})
    assert (other.status_code, other.json()["error"]["code"]) == (422, "idempotency_key_reused")


def test_a_client_that_lost_its_connection_takes_its_job_up_again(server: Served, http: httpx.Client) -> None:
    before = server.metrics()
    asked, headers = body(size="192x192", steps=150), {"Idempotency-Key": "lost"}
    with pytest.raises(httpx.ReadTimeout):
        http.post("/v1/images/generations", json=asked, headers=headers, timeout=0.5)
    assert http.post("/v1/images/generations", json=asked, headers=headers).status_code == 200
    after = server.metrics()
    assert since(before, after, 'images_total{format="png"}') == 1
    assert since(before, after, "batch_size_count") == 1
    assert since(before, after, 'requests_total{outcome="cancelled"}') == 0


def test_a_key_of_a_cancelled_job_is_free_again(http: httpx.Client) -> None:
    headers = {"Idempotency-Key": "again", "Prefer": "respond-async"}
    job = http.post("/v1/images/generations", json=body(steps=150), headers=headers).json()["id"]
    assert http.delete(f"/v1/jobs/{job}").json()["status"] == "cancelled"
    other = http.post("/v1/images/generations", json=body(steps=150), headers=headers).json()
    assert other["id"] != job
    assert other["status"] in ("queued", "running")


def test_metrics_count_what_was_done(server: Served, client: Client, http: httpx.Client) -> None:
    before = server.metrics()
    made: list[Generated] = [
        client.generate(replace(SMALL, count=3)),
        client.generate(replace(SMALL, output_format="jpeg")),
    ]
    http.post("/v1/images/generations", json=body(cfg=1))
    after = server.metrics()
    grown = {
        'images_total{format="png"}': 3,
        'images_total{format="jpeg"}': 1,
        'requests_total{outcome="done"}': 2,
        'refusals_total{reason="invalid"}': 1,
        "batch_size_count": 2,
        "batch_size_sum": 4,
        "steps_total": 8,
        "queue_seconds_count": 4,
        "paint_seconds_count": 2,
        "decode_seconds_count": 2,
        "encode_seconds_count": 4,
        "image_seconds_count": 4,
    }
    assert {name: since(before, after, name) for name in grown} == grown
    painted = sum(one.timing.painting for one in made)
    assert since(before, after, "paint_seconds_sum") == pytest.approx(painted, abs=0.1)
    assert after['memory_bytes{kind="weights"}'] > 10_000
    assert (after["ready"], after["queue_capacity"]) == (1, QUEUE)
    assert after["process_resident_memory_bytes"] > 1e8
