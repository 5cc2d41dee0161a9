"""What every answer has, and what no request gets past."""

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from luxauto_pipelines.gateway import telemetry
from luxauto_pipelines.gateway.app import BASE
from luxauto_pipelines.gateway.dependencies import requires
from luxauto_pipelines.gateway.routing import router as make_router
from luxauto_pipelines.gateway.schema_types import Strict
from tests.luxauto_pipelines.gateway.conftest import SECRET, Peer, serve

CARD = "4111 1111 1111 1111"


class Anything(Strict):
    text: str


@pytest.fixture
def echo(production: Peer) -> Peer:
    """A gateway with a route that takes a body and one that fails."""
    routes = make_router("/test-echo", "Test")

    @routes.post("", dependencies=[requires("status:read")])
    def take(anything: Anything) -> int:
        return len(anything.text)

    @routes.post("/broken", dependencies=[requires("status:read")])
    def broken(anything: Anything) -> int:
        raise RuntimeError(f"cannot work with {anything.text}, password=hunter2, {SECRET}")

    production.app.router.routes.extend(routes.routes)
    return production


@pytest.mark.parametrize(
    ("path", "status"),
    [("/healthz", 200), ("/none-such", 404), (f"{BASE}/alerts", 401), (f"{BASE}/alerts?x=%00", 422)],
)
def test_every_answer_has_the_security_headers(production: Peer, path: str, status: int) -> None:
    answer = production.client.get(path)
    assert answer.status_code == status
    expected = {
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "referrer-policy": "no-referrer",
        "cache-control": "no-store",
        "strict-transport-security": "max-age=31536000; includeSubDomains",
    }
    assert {name: answer.headers.get(name) for name in expected} == expected
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert len(answer.headers.get_list("x-request-id")) == 1
    assert "server" not in answer.headers


def test_development_does_not_ask_for_https(development: Peer) -> None:
    assert "strict-transport-security" not in development.client.get("/healthz").headers


def test_the_documentation_may_load_its_scripts(development: Peer) -> None:
    answer = development.client.get("/docs")
    assert answer.status_code == 200
    assert "https://cdn.jsdelivr.net" in answer.text
    assert "script-src 'self' 'unsafe-inline' https://cdn.jsdelivr.net" in answer.headers["content-security-policy"]


def test_a_sane_request_id_is_kept_and_another_is_replaced(development: Peer) -> None:
    def id_of(sent: str) -> str:
        return development.client.get("/healthz", headers={"X-Request-Id": sent}).headers["x-request-id"]

    assert id_of("trace-0123456789") == "trace-0123456789"
    for odd in ("short", "x" * 65, "has space 123", 'quote"12345678', "a;b=c12345678"):
        assert id_of(odd) != odd


def test_the_request_id_is_in_the_problem_too(development: Peer) -> None:
    answer = development.get("/alerts/999", headers={"X-Request-Id": "trace-0123456789"})
    assert answer.json()["instance"] == "urn:luxauto:request:trace-0123456789"


def test_a_body_of_the_limit_is_taken_and_one_beyond_is_a_413(echo: Peer) -> None:
    headers = echo.bearer()
    fitting = json.dumps({"text": "x" * (4_000_000 - 12)})
    assert len(fitting) == 4_000_000
    assert echo.post("/test-echo", content=fitting, headers={**headers, "Content-Type": "application/json"}).is_success
    for path in ("/test-echo", "/webhooks/shopify"):
        answer = echo.post(path, content=fitting + " ", headers={**headers, "Content-Type": "application/json"})
        assert answer.status_code == 413
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("key", [None, "k"])
def test_a_body_without_a_length_is_counted_while_it_comes(echo: Peer, key: str | None) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while sent < 50_000_000:
            sent += 65_536
            yield b"x" * 65_536

    headers = {**echo.bearer(), "Content-Type": "application/json", **({"Idempotency-Key": key} if key else {})}
    answer = echo.post("/test-echo", content=endless(), headers=headers)
    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"


def test_another_host_is_refused(make_peer: Callable[..., Peer]) -> None:
    client = make_peer(ALLOWED_HOSTS="api.example").client
    assert client.get("/healthz", headers={"Host": "api.example:8000"}).status_code == 200
    for host in ("evil.example", "api.example.evil.example", ""):
        answer = client.get("/healthz", headers={"Host": host})
        assert (answer.status_code, answer.json()["success"]) == (400, False)


def test_only_listed_origins_may_read_answers(make_peer: Callable[..., Peer]) -> None:
    client = make_peer(CORS_ORIGINS="https://shop.example").client
    assert (
        client.get("/healthz", headers={"Origin": "https://shop.example"}).headers["access-control-allow-origin"]
        == "https://shop.example"
    )
    other = client.get("/healthz", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in other.headers


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422),
        (b"not json", 422),
        (b'{"text": "a"', 422),
        (b'{"text": "\xff"}', 400),
        (b"[" * 100_000, 400),
        (b'{"text": ' + b"9" * 6000 + b"}", 400),
        (b'{"text": 1e400}', 422),
        (b'{"text": NaN}', 422),
        (b'{"text": "\\ud800"}', 422),
        (b'{"\\ud800": 1, "text": "a"}', 422),
        (b"null", 422),
        (b"[]", 422),
    ],
)
def test_a_broken_body_is_the_callers_fault(echo: Peer, body: bytes, status: int) -> None:
    headers = {**echo.bearer(), "Content-Type": "application/json"}
    answer = echo.post("/test-echo", content=body, headers=headers)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["success"] is False


def test_a_fault_tells_nothing_of_the_inside(echo: Peer) -> None:
    refused = echo.post("/test-echo/broken", json={"text": CARD}, headers=echo.bearer())
    assert (refused.status_code, CARD in refused.text) == (422, False)
    answer = echo.post("/test-echo/broken", json={"text": "told in confidence"}, headers=echo.bearer())
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    for told in ("told in confidence", "hunter2", SECRET, "RuntimeError", "Traceback", ".py"):
        assert told not in answer.text


def test_a_refused_field_is_named_and_not_repeated(echo: Peer) -> None:
    answer = echo.post("/test-echo", json={"text": 4111111111111111, CARD: 1}, headers=echo.bearer())
    assert answer.status_code == 422
    assert "4111" not in answer.text
    assert [error["pointer"] for error in answer.json()["errors"]] == ["#/text", "#/[card data]"]


def test_another_method_is_a_405_that_names_the_right_one(development: Peer) -> None:
    answer = development.client.put(f"{BASE}/alerts")
    assert (answer.status_code, answer.headers["allow"], answer.json()["status"]) == (405, "GET", 405)


def test_counters_name_routes_and_not_paths(development: Peer) -> None:
    for number in range(5):
        development.get(f"/alerts/{number}")
    development.client.get("/some-path-of-a-scanner")
    text = development.get("/metrics").text
    assert 'route="/api/v1/luxury-automation/alerts/{alert_id}",status="404"' in text
    assert "some-path-of-a-scanner" not in text
    assert "alerts/3" not in text


@pytest.mark.parametrize(
    ("event", "gone"),
    [
        ({"authorization": "abc"}, "abc"),
        ({"text": f"sent Bearer {SECRET}"}, SECRET),
        ({"text": "token eyJhbGciOiJI.eyJzdWIi.c2ln"}, "eyJzdWIi"),
        ({"text": f"paid with {CARD}"}, "1111"),
        ({"deep": {"api_key": "abcdef", "list": [CARD]}}, "abcdef"),
        ({"url": "postgresql://user:hunter2@host/db"}, "hunter2"),
        ({"error": ValueError(CARD)}, "1111"),
        ({"key": "sk-ant-0123456789"}, "0123456789"),
    ],
    ids=["authorization", "bearer", "token", "card", "deep", "password", "error", "provider-key"],
)
def test_the_log_holds_no_secrets(event: dict[str, Any], gone: str) -> None:
    assert gone not in json.dumps(telemetry.redact_event(None, "", event))


def test_the_log_has_a_line_of_json_for_each_request(home: Path) -> None:
    with serve(home, workers=1) as gateway:
        with socket.create_connection(("127.0.0.1", int(gateway.url.rpartition(":")[2])), timeout=20) as raw:
            # What a client library would not send.
            raw.sendall(
                b"GET /healthz?card=4111111111111111 HTTP/1.1\r\nHost: a\r\nX-Request-Id: trace-0123456789\r\n\r\n"
            )
            answers = b""
            while b"Card data refused" not in answers:  # the head and the body may come one by one
                more = raw.recv(65_536)
                assert more, answers
                answers += more
            assert answers.startswith(b"HTTP/1.1 422")
            assert b"4111111111111111" not in answers
            raw.sendall(b"GARBAGE\r\n\r\n")
            assert raw.makefile("rb").readline().startswith(b"HTTP/1.1 400")
        gateway.stop()
        text = gateway.log.read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    mine = [line for line in lines if line.get("request_id") == "trace-0123456789"]
    assert [(line["path"], line["status"], line["level"]) for line in mine] == [("/healthz", 422, "info")]
    assert "4111111111111111" not in text
