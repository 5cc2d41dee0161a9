"""The first answer to a repeated POST, whatever happens in between."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi import Response
from sqlalchemy.exc import OperationalError
from starlette.responses import StreamingResponse

from luxauto_pipelines.gateway.dependencies import Books, Caller, EffectKey, requires
from luxauto_pipelines.gateway.idempotency import KEPT
from luxauto_pipelines.gateway.problems import Problem
from luxauto_pipelines.gateway.routing import router as make_router
from luxauto_pipelines.gateway.schema_types import Name, Strict
from resources.store.idempotency import Claim, Held, Scope, StoredAnswer, claim, drop, finish, purge, renew
from tests.luxauto_pipelines.gateway.conftest import Peer, add_alert, rows

LEASE = timedelta(seconds=30)
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
SCOPE = Scope("somebody", "POST /things", "key-1")


class Thing(Strict):
    name: Name = "one"
    answer: int = 200


@dataclass
class Things:
    """What the test's routes did."""

    made: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    go_on: threading.Event = field(default_factory=threading.Event)
    started: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def things(production: Peer) -> Things:
    """Routes that count what they make."""
    did = Things()
    routes = make_router("/test-things", "Test")

    @routes.post("", dependencies=[requires("status:read")])
    def make(thing: Thing, key: EffectKey, caller: Caller, response: Response) -> dict[str, Any]:
        did.made.append(thing.name)
        did.keys.append(key)
        if thing.answer >= 400:
            raise Problem(thing.answer, "As asked", "the test wanted this")
        response.status_code = thing.answer
        return {"number": len(did.made), "by": caller.subject}

    @routes.post("/slow", dependencies=[requires("status:read")])
    def slow() -> dict[str, int]:
        did.made.append("slow")
        did.started.set()
        assert did.go_on.wait(20)
        return {"number": len(did.made)}

    @routes.post("/broken", dependencies=[requires("status:read")])
    def broken() -> None:
        did.made.append("broken")
        raise RuntimeError("a fault")

    @routes.post("/away", dependencies=[requires("status:read")])
    def away(books: Books) -> None:
        did.made.append("away")
        raise OperationalError("SELECT 1", {}, Exception("gone"))

    @routes.post("/stream", dependencies=[requires("status:read")])
    def stream() -> StreamingResponse:
        did.made.append("stream")
        return StreamingResponse(iter([b"a", b"b"]))

    production.app.router.routes.extend(routes.routes)
    return did


def post(peer: Peer, key: str | None, path: str = "", subject: str = "tester", **body: Any) -> Any:
    headers = {**peer.bearer(subject=subject), **({"Idempotency-Key": key} if key else {})}
    return peer.post(f"/test-things{path}", json=body, headers=headers)


def test_a_thousand_repetitions_make_one_thing(production: Peer, things: Things) -> None:
    headers = {**production.bearer(), "Idempotency-Key": "order-17"}
    answers = [production.post("/test-things", json={"name": "x"}, headers=headers) for _ in range(1000)]
    assert things.made == ["x"]
    assert {answer.text for answer in answers} == {'{"number":1,"by":"tester"}'}
    assert [answer.headers.get("idempotent-replayed") for answer in answers] == [None] + ["true"] * 999
    assert {answer.headers["content-type"] for answer in answers} == {"application/json"}


def test_many_at_once_make_one_thing(production: Peer, things: Things) -> None:
    headers = {**production.bearer(), "Idempotency-Key": "order-18"}

    def send(_: int) -> Any:
        return production.post("/test-things", json={}, headers=headers)

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(send, range(200)))
    assert things.made == ["one"]
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert {answer.text for answer in answers if answer.status_code == 200} == {'{"number":1,"by":"tester"}'}
    assert all(answer.headers["retry-after"] == "1" for answer in answers if answer.status_code == 409)


def test_a_repetition_while_the_first_is_at_work_is_a_409(production: Peer, things: Things) -> None:
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(post, production, "k", "/slow")
        assert things.started.wait(20)
        second = post(production, "k", "/slow")
        things.go_on.set()
        assert first.result().status_code == 200
    assert (second.status_code, second.json()["title"]) == (409, "Request in progress")
    assert post(production, "k", "/slow").json() == first.result().json() == {"number": 1}


def test_another_body_under_the_same_key_is_a_409(production: Peer, things: Things) -> None:
    assert post(production, "k", name="a").status_code == 200
    answer = post(production, "k", name="b")
    assert (answer.status_code, answer.json()["title"]) == (409, "Idempotency key reused")
    assert things.made == ["a"]


def test_a_key_belongs_to_its_principal_and_its_route(production: Peer, things: Things) -> None:
    things.go_on.set()
    post(production, "k")
    post(production, "k", subject="another")
    post(production, "k", "/slow")
    assert things.made == ["one", "one", "slow"]


def test_without_a_key_every_request_counts(production: Peer, things: Things) -> None:
    assert [post(production, None).json()["number"] for _ in range(3)] == [1, 2, 3]
    assert len(set(things.keys)) == 3


def test_the_effects_key_is_the_same_for_every_attempt(production: Peer, things: Things) -> None:
    for _ in range(3):
        assert post(production, "k", answer=503).status_code == 503
    assert len(things.made) == 3
    assert len(set(things.keys)) == 1


@pytest.mark.parametrize("status", [201, 404, 409, 422])
def test_a_definite_answer_is_kept(production: Peer, things: Things, status: int) -> None:
    first, second = post(production, "k", answer=status), post(production, "k", answer=status)
    assert first.status_code == second.status_code == status
    assert first.json() == second.json()
    assert first.headers["content-type"] == second.headers["content-type"]
    assert len(things.made) == 1


@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_answer_that_may_change_is_not_kept(production: Peer, things: Things, status: int) -> None:
    assert [post(production, "k", answer=status).status_code for _ in range(2)] == [status] * 2
    assert len(things.made) == 2


@pytest.mark.parametrize(("path", "status"), [("/broken", 500), ("/away", 503), ("/stream", 200)])
def test_after_a_fault_the_key_is_free_again(production: Peer, things: Things, path: str, status: int) -> None:
    assert [post(production, "k", path).status_code for _ in range(2)] == [status] * 2
    assert things.made == [path[1:]] * 2
    assert rows(production.books, "SELECT count(*) FROM idempotency_keys") == [(0,)]


def test_an_invalid_body_is_answered_the_same_way_twice(production: Peer, things: Things) -> None:
    first, second = post(production, "k", wrong=1), post(production, "k", wrong=1)
    assert (first.status_code, second.status_code) == (422, 422)
    assert first.json()["errors"] == second.json()["errors"] == [{"pointer": "#/wrong", "message": "unknown field"}]


def test_a_denied_request_leaves_the_key_alone(production: Peer) -> None:
    alert = add_alert(production.books)
    path, key = f"/alerts/{alert}/resolve", {"Idempotency-Key": "k"}
    assert production.post(path, headers={**production.bearer("api_user"), **key}).status_code == 403
    assert production.post(path, headers={**production.bearer("admin"), **key}).status_code == 200


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "é"])
def test_a_key_that_is_none_is_a_422(production: Peer, things: Things, key: str) -> None:
    headers = {**production.bearer(), "Idempotency-Key": key.encode("latin-1")}
    answer = production.post("/test-things", json={}, headers=headers)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "header/Idempotency-Key"
    assert things.made == []


def test_a_request_in_progress_keeps_its_claim_alive(
    production: Peer, things: Things, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("luxauto_pipelines.gateway.idempotency._RENEW_SECONDS", 0.05)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(post, production, "k", "/slow")
        assert things.started.wait(20)
        query = "SELECT expires_at FROM idempotency_keys"
        before = rows(production.books, query)
        deadline = time.monotonic() + 20
        while rows(production.books, query) == before and time.monotonic() < deadline:
            time.sleep(0.02)
        assert rows(production.books, query) > before
        things.go_on.set()
        assert first.result().status_code == 200


def held(found: Claim) -> Held:
    assert found.held is not None
    return found.held


def test_a_claim_whose_worker_died_is_taken_over(make_peer: Callable[..., Peer]) -> None:
    books = make_peer().books
    dead = held(claim(books, SCOPE, "body", NOW, LEASE))
    assert claim(books, SCOPE, "body", NOW + timedelta(seconds=29), LEASE).in_progress
    heir = held(claim(books, SCOPE, "body", NOW + timedelta(seconds=31), LEASE))
    answer = StoredAnswer(200, "{}", "application/json")
    assert not finish(books, dead, answer, NOW + KEPT)
    assert not drop(books, dead)
    assert finish(books, heir, answer, NOW + KEPT)
    assert claim(books, SCOPE, "body", NOW + timedelta(hours=23), LEASE).answer == answer


def test_a_renewed_claim_is_not_taken_over(make_peer: Callable[..., Peer]) -> None:
    books = make_peer().books
    renew(books, held(claim(books, SCOPE, "body", NOW, LEASE)), NOW + timedelta(seconds=60))
    assert claim(books, SCOPE, "body", NOW + timedelta(seconds=45), LEASE).in_progress


def test_a_key_is_forgotten_after_a_day(make_peer: Callable[..., Peer]) -> None:
    books = make_peer().books
    finish(books, held(claim(books, SCOPE, "body", NOW, LEASE)), StoredAnswer(200, "{}", None), NOW + KEPT)
    assert claim(books, SCOPE, "other", NOW + timedelta(hours=25), LEASE).held
    assert purge(books, NOW + timedelta(hours=26)) == 1
