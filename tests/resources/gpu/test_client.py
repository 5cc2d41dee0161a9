"""What the client and the fleet make of servers that are away, full, silent, dying, or that answer nonsense."""

import base64
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import dagster as dg
import pytest

from resources.gpu.client import (
    Busy,
    Cancelled,
    Client,
    GenerationRequest,
    Refused,
    ServerError,
    Unreachable,
)
from resources.gpu.fleet import Fleet
from resources.gpu.resource import POOL, SDXLServer

REQUEST = GenerationRequest("a bag", width=64, height=64)
Act = Callable[["Handler", dict[str, Any]], None]


class Peer(ThreadingHTTPServer):
    """Speaks the server's protocol and misbehaves as told: a POST is answered by the next of `acts`, the last one for good."""

    daemon_threads = True

    def __init__(self, *acts: Act, depth: int = 0) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.acts = list(acts) or [finish]
        self.depth = depth
        self.posts: list[tuple[str, dict[str, Any]]] = []
        self.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that was broken off on purpose."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Peer

    def do_GET(self) -> None:
        answers = {
            "/readyz": {"state": "ready"},
            "/v1/queue": {"waiting": self.server.depth, "running": 0, "capacity": 64, "seconds_per_image": 0.5},
            "/v1/models": {"data": [{"id": "peer"}]},
        }
        self.tell(200, answers[self.path])

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.posts.append((self.headers["Idempotency-Key"], asked))
        act = self.server.acts.pop(0) if len(self.server.acts) > 1 else self.server.acts[0]
        act(self, asked)

    def tell(self, status: int, content: Any, **headers: str) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def events(self, *blocks: str) -> None:
        """The beginning of a stream, which ends with the connection."""
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("X-Job-Id", "imgjob_1")
        self.end_headers()
        for block in blocks:
            self.wfile.write(block.encode())
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        pass


STEP = 'event: step\ndata: {"job": "imgjob_1", "image": 0, "step": 1, "of": 9}\n\n'


def result_of(asked: dict[str, Any], content: bytes = b"pixels", images: int | None = None) -> dict[str, Any]:
    count = asked["n"] if images is None else images
    data = [{"b64_json": base64.b64encode(content).decode(), "seed": asked["seed"] + place} for place in range(count)]
    timing = {"queued": 0.1, "painting": 0.2, "finishing": 0.1, "total": 0.4}
    return {
        "data": data,
        "output_format": "png",
        "model": "peer",
        "timing": timing,
        "usage": {},
        "job_id": "imgjob_1",
    }


def finish(handler: Handler, asked: dict[str, Any]) -> None:
    handler.events(STEP, f"event: done\ndata: {json.dumps({'result': result_of(asked)})}\n\n")


def die(handler: Handler, asked: dict[str, Any]) -> None:
    handler.events(STEP)


def die_before_answering(handler: Handler, asked: dict[str, Any]) -> None:
    handler.close_connection = True


def full(seconds: str | None) -> Act:
    error = {"error": {"message": "no place", "type": "invalid_request_error", "param": None, "code": "queue_full"}}
    headers = {} if seconds is None else {"Retry_After": seconds}
    return lambda handler, asked: handler.tell(429, error, **headers)


@contextmanager
def peers(*servers: Peer) -> Iterator[None]:
    with ExitStack() as stack:
        for server in servers:
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
            stack.callback(server.server_close)
            stack.callback(server.shutdown)
        yield


@contextmanager
def client_of(*acts: Act, **settings: Any) -> Iterator[tuple[Client, Peer]]:
    peer = Peer(*acts)
    with peers(peer), Client(peer.url, **settings) as client:
        yield client, peer


def nowhere() -> str:
    """An address at which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.mark.parametrize("death", [die, die_before_answering])
def test_a_request_is_sent_again_once_under_its_key_and_with_its_seed(death: Act) -> None:
    with client_of(death, finish) as (client, peer):
        made = client.generate(REQUEST, idempotency_key="effect-7")
    assert made.attempts == 2
    assert [key for key, _ in peer.posts] == ["effect-7"] * 2
    assert peer.posts[0][1] == peer.posts[1][1]
    assert made.seeds == (peer.posts[0][1]["seed"],)


def test_a_second_death_is_told() -> None:
    with client_of(die) as (client, peer):
        with pytest.raises(Unreachable, match="stopped in the middle") as gone:
            client.generate(REQUEST)
        assert gone.value.sent
        assert len(peer.posts) == 2


def test_where_nothing_listens_nothing_is_waited_for() -> None:
    began = time.monotonic()
    with Client(nowhere()) as client:
        with pytest.raises(Unreachable, match="Is the GPU server started") as gone:
            client.generate(REQUEST)
        assert not gone.value.sent
        assert (client.health().live, client.health().state) == (False, "unreachable")
        with pytest.raises(Unreachable):
            client.queue_depth()
    assert time.monotonic() - began < 20


def test_an_address_that_is_none_is_refused() -> None:
    for url in ("gpu-1:8200", "ftp://gpu-1"):
        with Client(url) as client, pytest.raises(Refused) as refused:
            client.generate(REQUEST)
        assert refused.value.param == "url"


def test_a_silent_server_is_taken_for_dead() -> None:
    quiet = threading.Event()

    def hang(handler: Handler, asked: dict[str, Any]) -> None:
        handler.events(STEP)
        quiet.wait(30)

    with client_of(hang, finish, silence_seconds=0.3) as (client, peer):
        assert client.generate(REQUEST).attempts == 2
        assert len(peer.posts) == 2
        quiet.set()


def test_a_slow_job_is_not_a_dead_server() -> None:
    pause = threading.Event()

    def slow(handler: Handler, asked: dict[str, Any]) -> None:
        handler.events()
        for _ in range(8):
            handler.wfile.write(b": alive\n\n")
            handler.wfile.flush()
            pause.wait(0.1)
        finish_now = f"event: done\ndata: {json.dumps({'result': result_of(asked)})}\n\n"
        handler.wfile.write(finish_now.encode())

    with client_of(slow, silence_seconds=0.5) as (client, _):
        assert client.generate(REQUEST).attempts == 1


@pytest.mark.parametrize(("told", "seconds"), [("7", 7.0), ("0", 0.0), (None, 1.0), ("soon", 1.0)])
def test_a_full_server_is_not_asked_again(told: str | None, seconds: float) -> None:
    with client_of(full(told)) as (client, peer):
        with pytest.raises(Busy, match="no place") as busy:
            client.generate(REQUEST)
        assert busy.value.retry_after == seconds
        assert len(peer.posts) == 1


@pytest.mark.parametrize(
    "block",
    [
        "event: done\ndata: {no json\n\n",
        'event: done\ndata: {"result": {}}\n\n',
        "event: done\ndata: []\n\n",
        "event: failed\ndata: {}\n\n",
        f"event: done\ndata: {json.dumps({'result': result_of({'n': 1, 'seed': 1}, images=2)})}\n\n",
        f"event: done\ndata: {json.dumps({'result': result_of({'n': 1, 'seed': 1}, content=b'')})}\n\n",
        f"event: done\ndata: {json.dumps({'result': result_of({'n': 1, 'seed': 1})}).replace('cGl4', '?!?!')}\n\n",
    ],
)
def test_an_answer_without_the_pictures_is_an_error_of_the_server(block: str) -> None:
    with client_of(lambda handler, asked: handler.events(block)) as (client, peer):
        with pytest.raises(ServerError) as failed:
            client.generate(REQUEST)
        assert failed.value.code == "unusable_answer"
        assert len(peer.posts) == 1


def test_a_proxys_page_of_errors_is_an_error_of_the_server() -> None:
    with (
        client_of(lambda handler, asked: handler.tell(502, b"<html>Bad gateway</html>")) as (client, _),
        pytest.raises(ServerError, match="answered 502"),
    ):
        client.generate(REQUEST)


def test_what_is_not_wanted_any_more_is_not_sent_again() -> None:
    with client_of(die) as (client, peer):
        with pytest.raises(Cancelled):
            client.generate(REQUEST, is_cancelled=lambda: len(peer.posts) > 0)
        assert len(peer.posts) == 1


def test_an_error_of_who_follows_the_progress_is_his() -> None:
    def complain(step: Any) -> None:
        raise ValueError("mine")

    with client_of(finish) as (client, _), pytest.raises(ValueError, match="mine"):
        client.generate(REQUEST, on_progress=complain)


def test_a_fleet_needs_a_server() -> None:
    with pytest.raises(Refused) as refused:
        Fleet([])
    assert refused.value.param == "urls"


def test_a_fleet_asks_the_next_where_one_is_full_and_all_full_tells_the_shortest_time() -> None:
    first, second = Peer(full("9")), Peer(full("4"), depth=3)
    with peers(first, second), Fleet([first.url, second.url]) as fleet:
        with pytest.raises(Busy) as busy:
            fleet.generate(REQUEST)
        assert busy.value.retry_after == 4
        assert [len(peer.posts) for peer in (first, second)] == [1, 1]
        second.acts = [finish]
        assert fleet.generate(REQUEST).server == second.url


def test_a_fleet_sends_the_same_key_and_seed_to_the_server_that_takes_over() -> None:
    first, second = Peer(die), Peer(finish, depth=5)
    with peers(first, second), Fleet([first.url, second.url]) as fleet:
        made = fleet.generate(REQUEST)
        assert (made.server, made.attempts) == (second.url, 2)
        assert first.posts == second.posts
        # For a while the other is not asked, although it has less to do.
        assert fleet.generate(REQUEST).server == second.url
        assert len(first.posts) == 1


def test_a_fleet_passes_over_servers_that_are_away_and_tells_when_all_are() -> None:
    peer, away = Peer(), [nowhere(), nowhere()]
    with peers(peer), Fleet([away[0], peer.url]) as fleet:
        assert fleet.generate(REQUEST).attempts == 1
        assert fleet.queue_depth() == 0
        assert [model.id for model in fleet.models()] == ["peer"]
    with Fleet(away) as fleet:
        with pytest.raises(Unreachable):
            fleet.generate(REQUEST)
        with pytest.raises(Unreachable):
            fleet.queue_depth()
        with pytest.raises(Unreachable):
            fleet.models()
        assert not fleet.cancel("imgjob_1")


def test_a_refusal_is_not_carried_to_another_server() -> None:
    error = {"error": {"message": "steps: is 0", "param": "steps", "code": "invalid_value"}}
    first, second = Peer(lambda handler, asked: handler.tell(400, error)), Peer(depth=1)
    with peers(first, second), Fleet([first.url, second.url]) as fleet:
        with pytest.raises(Refused) as refused:
            fleet.generate(REQUEST)
        assert refused.value.param == "steps"
        assert not second.posts


def test_a_fleet_has_no_more_under_way_than_it_may() -> None:
    going, most, lock = 0, 0, threading.Lock()
    gate = threading.Event()

    def count(handler: Handler, asked: dict[str, Any]) -> None:
        nonlocal going, most
        with lock:
            going += 1
            most = max(most, going)
            if going == 2:
                gate.set()
        gate.wait(10)
        with lock:
            going -= 1
        finish(handler, asked)

    peer = Peer(count)
    with peers(peer), Fleet([peer.url], in_flight=2) as fleet:
        threads = [threading.Thread(target=fleet.generate, args=(REQUEST,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert (len(peer.posts), most) == (8, 2)


def test_a_dagster_step_is_given_the_fleet() -> None:
    peer = Peer()

    @dg.asset(pool=POOL)
    def painted(gpu: dg.ResourceParam[Fleet]) -> list[int]:
        return [image.seed for image in gpu.generate(GenerationRequest("a bag", count=3, seed=5)).images]

    with peers(peer):
        made = dg.materialize([painted], resources={"gpu": SDXLServer(urls=[peer.url])})
    assert made.output_for_node("painted") == [5, 6, 7]
    assert painted.op.pool == "gpu"
