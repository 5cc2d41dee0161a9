"""How a GPU server begins and ends, and what its clients have of it: loading, draining, kills, and another server."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import httpx2 as httpx
import numpy as np
import pytest
from PIL import Image

from resources.gpu.client import Client, Generated, GenerationRequest, Progress, Unreachable
from resources.gpu.fleet import Fleet
from tests.resources.gpu.served import Served, eventually

LONG = GenerationRequest("a bag", width=192, height=192, steps=150)
SHORT = GenerationRequest("a bag", width=64, height=64, steps=4)


class Pair:
    """Two servers of one model, each on its port; one that a test has ended is started again there for the next."""

    def __init__(self, model: Path) -> None:
        self._model = model
        self._servers: list[Served | None] = [None, None]

    def both(self) -> tuple[Served, Served]:
        """Two that take requests."""
        for place in (0, 1):
            self.start(place)
        first, second = (server.ready() for server in self._servers if server is not None)
        return first, second

    def one(self) -> Served:
        """One that takes requests, whichever there is."""
        alive = [place for place, server in enumerate(self._servers) if server and server.process.poll() is None]
        return self.start(alive[0] if alive else 0).ready()

    def start(self, place: int) -> Served:
        """Start one that is not running, without waiting for it."""
        server = self._servers[place]
        if server is None or server.process.poll() is not None:
            server = Served(self._model, port=server.port if server else 0)
            self._servers[place] = server
        return server

    def end(self) -> None:
        for server in self._servers:
            if server is not None:
                server.kill()


@pytest.fixture(scope="module")
def pair(sdxl_folder: Path) -> Iterator[Pair]:
    pair = Pair(sdxl_folder)
    yield pair
    pair.end()


def pixels(made: Generated) -> np.ndarray:
    with Image.open(BytesIO(made.images[0].content)) as picture:
        return np.asarray(picture.convert("RGB"), dtype=np.int16)


class Under:
    """A request under way in another thread; `began` is set at its first step."""

    def __init__(self, pool: ThreadPoolExecutor, asked: Client | Fleet, request: GenerationRequest) -> None:
        self.began = threading.Event()
        self.answer: Future[Generated] = pool.submit(asked.generate, request, on_progress=self._step)

    def _step(self, step: Progress) -> None:
        self.began.set()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as pool:
        yield pool


def test_while_it_loads_it_lives_and_is_not_ready(pair: Pair) -> None:
    server = pair.start(0)
    pair.start(1)
    if any("is ready" in line for line in server.lines):
        server.kill()
        server = pair.start(0)
    with Client(server.url) as client:
        assert httpx.get(f"{server.url}/healthz").status_code == 200
        health = client.health()
        assert (health.live, health.ready, health.state) == (True, False, "loading")
        with pytest.raises(Unreachable) as early:
            client.generate(SHORT)
        assert (early.value.code, early.value.sent) == ("loading", False)
        answer = httpx.post(f"{server.url}/v1/images/generations", json={"prompt": "a bag"})
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        server.ready()
        assert client.health().ready


def test_a_server_that_still_loads_ends_at_once(sdxl_folder: Path) -> None:
    server = Served(sdxl_folder)
    try:
        server.terminate()
        assert server.process.wait(30) == 0
        assert not any("is ready" in line for line in server.lines)
    finally:
        server.kill()


def test_a_fleet_asks_the_server_with_the_shorter_queue(pair: Pair, pool: ThreadPoolExecutor) -> None:
    first, second = pair.both()
    with Fleet([first.url, second.url]) as fleet:
        for busy, idle in ((first, second), (second, first)):
            with Client(busy.url) as client:
                stopped = threading.Event()
                held = pool.submit(client.generate, LONG, is_cancelled=stopped.is_set)
                eventually(lambda client=client: client.queue_depth() == 1)
                made = [fleet.generate(SHORT).server for _ in range(3)]
                assert made == [idle.url] * 3
                assert fleet.queue_depth() == 1
                stopped.set()
                assert held.exception() is not None
        assert all(health.ready for health in fleet.health().values())
        assert [model.id for model in fleet.models()] == ["tiny-sdxl"]


def test_many_requests_through_a_fleet_are_shared_out(pair: Pair, pool: ThreadPoolExecutor) -> None:
    first, second = pair.both()
    with Fleet([first.url, second.url]) as fleet:
        request = GenerationRequest("a bag", width=128, height=128, steps=30)
        made = [one.result() for one in [pool.submit(fleet.generate, request) for _ in range(12)]]
    counts = {url: sum(one.server == url for one in made) for url in (first.url, second.url)}
    assert min(counts.values()) >= 3, counts


def test_requests_that_a_kill_interrupts_are_painted_once_the_server_is_back(
    pair: Pair, pool: ThreadPoolExecutor
) -> None:
    server, other = pair.both()
    requests = [GenerationRequest("a bag", width=128, height=128, steps=120, seed=seed) for seed in range(6)]
    with Client(server.url) as client, Client(other.url) as witness:
        under = [Under(pool, client, request) for request in requests]
        eventually(lambda: client.queue_depth() == 6 and any(one.began.is_set() for one in under))
        server.kill()
        again = pair.start(0)
        assert again.port == server.port
        made = [one.answer.result() for one in under]
        assert [one.attempts for one in made] == [2] * 6
        assert [one.seeds for one in made] == [(seed,) for seed in range(6)]
        counted = again.ready().metrics()
        assert counted['images_total{format="png"}'] == 6, "none was lost, and none painted twice"
        assert counted['requests_total{outcome="done"}'] == 6
        expected = witness.generate(requests[4])
        assert np.abs(pixels(made[4]) - pixels(expected)).max() <= 1


def test_where_one_server_of_a_fleet_is_killed_the_other_takes_over(pair: Pair, pool: ThreadPoolExecutor) -> None:
    servers = pair.both()
    with Fleet([server.url for server in servers]) as fleet:
        under = [Under(pool, fleet, LONG) for _ in range(2)]
        eventually(lambda: all(queue is not None and queue.depth == 1 for queue in fleet.queues().values()))
        killed, other = servers
        killed.kill()
        made = [one.answer.result() for one in under]
        assert {one.server for one in made} == {other.url}
        assert sorted(one.attempts for one in made) == [1, 2]
        assert fleet.generate(SHORT).server == other.url
        assert not fleet.health()[killed.url].live


def test_on_sigterm_it_finishes_what_it_took_and_refuses_what_is_new(pair: Pair, pool: ThreadPoolExecutor) -> None:
    server = pair.one()
    with Client(server.url) as client, httpx.Client(base_url=server.url) as http:
        under = [Under(pool, client, LONG) for _ in range(2)]
        eventually(lambda: client.queue_depth() == 2)
        plain = {"prompt": "a bag", "size": "64x64", "steps": 150}
        later = http.post("/v1/images/generations", json=plain, headers={"Prefer": "respond-async"}).json()["id"]
        server.terminate()
        eventually(lambda: client.health().state == "draining")
        answer = http.post("/v1/images/generations", json=plain)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "draining")
        assert "Retry-After" in answer.headers
        assert http.get("/healthz").status_code == 200
        assert not any(one.answer.done() for one in under), "it was not draining but idle"
        assert all(one.answer.result().attempts == 1 for one in under)
        # A result that was asked for asynchronously is kept until it is fetched.
        assert http.get(f"/v1/jobs/{later}", params={"wait": 30}).json()["status"] == "done"
    assert server.wait() == 0


def test_a_second_signal_ends_it_at_once_and_a_server_that_stays_away_is_given_up(
    pair: Pair, pool: ThreadPoolExecutor
) -> None:
    server = pair.one()
    with Client(server.url, restart_seconds=0.5) as client:
        under = Under(pool, client, replace(LONG, count=4))
        assert under.began.wait(60)
        server.terminate()
        eventually(lambda: client.health().state == "draining")
        server.terminate()
        with pytest.raises(Unreachable) as gone:
            under.answer.result()
        assert gone.value.sent
        with pytest.raises(Unreachable) as still:
            client.generate(SHORT)
        assert not still.value.sent
        assert server.wait() == 0
