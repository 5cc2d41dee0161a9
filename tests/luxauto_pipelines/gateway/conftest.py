"""A gateway for each test: the real application over a real store, and tokens for it. `serving` runs real processes."""

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import jwt
import pytest
import requests
from fastapi import FastAPI
from starlette.testclient import TestClient

from luxauto_pipelines.gateway.app import BASE, create_app
from resources.store.brand_store import BrandStore
from resources.store.bulk import insert_row, run
from tests.conftest import ROOT
from tests.peers.postgres import free_port

T = TypeVar("T")
VARIABLES = ("JWT_SECRET_KEY", "REDIS_URL", "PROMETHEUS_MULTIPROC_DIR")
SECRET = secrets.token_urlsafe(48)


@pytest.fixture(autouse=True)
def gateway_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the machine's environment reaches the gateway."""
    keep = ("LUXAUTO_HOME",)
    for name in [*VARIABLES, *(n for n in os.environ if n.startswith("LUXAUTO_") and n not in keep)]:
        monkeypatch.delenv(name, raising=False)


@dataclass
class Peer:
    """One gateway in this process, and what a test may forge for it."""

    app: FastAPI
    client: TestClient
    books: BrandStore

    def token(self, role: str = "admin", subject: str = "tester", hours: float = 1.0) -> str:
        return self.app.state.gateway.authority.issue(subject, role, timedelta(hours=hours)).token

    def bearer(self, role: str = "admin", subject: str = "tester") -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token(role, subject)}"}

    def get(self, path: str, **options: Any) -> Any:
        return self.client.get(BASE + path, **options)

    def post(self, path: str, **options: Any) -> Any:
        return self.client.post(BASE + path, **options)


@pytest.fixture
def make_peer(books: BrandStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Peer]]:
    """Makes a gateway from environment variables, given without LUXAUTO_."""
    made: list[TestClient] = []

    def make(**variables: str) -> Peer:
        for name, value in variables.items():
            monkeypatch.setenv(name if name == "JWT_SECRET_KEY" else f"LUXAUTO_{name}", value)
        app = create_app()
        client = TestClient(app, raise_server_exceptions=False)
        client.__enter__()
        made.append(client)
        return Peer(app, client, books)

    yield make
    for client in made:
        client.__exit__(None, None, None)


@pytest.fixture
def development(make_peer: Callable[..., Peer]) -> Peer:
    return make_peer()


@pytest.fixture
def production(make_peer: Callable[..., Peer]) -> Peer:
    return make_peer(ENV="production", JWT_SECRET_KEY=SECRET)


def forge(secret: str = SECRET, algorithm: str = "HS256", headers: dict[str, Any] | None = None, **claims: Any) -> str:
    """A token with these claims in the place of the right ones; None leaves one out."""
    now = int(time.time())
    right = {
        "iss": "luxauto",
        "aud": "luxauto-gateway",
        "sub": "tester",
        "roles": ["admin"],
        "iat": now,
        "nbf": now,
        "exp": now + 600,
        "jti": secrets.token_hex(8),
        "typ": "access",
    }
    chosen = {name: value for name, value in {**right, **claims}.items() if value is not None}
    return jwt.encode(chosen, secret, algorithm, headers=headers)


def add_alert(books: BrandStore, subject: str = "a workflow", **values: Any) -> int:
    """An open alert."""
    with books.write() as (connection, brand):
        row = {
            "kind": "workflow",
            "status": "open",
            "sku_id": None,
            "opened_at": datetime.now(UTC),
            "details": {"n": 1},
        }
        return insert_row(connection, "alerts", {"brand_id": brand, "subject": subject, **row, **values})


def rows(books: BrandStore, query: str, **values: Any) -> list[tuple[Any, ...]]:
    """What the store holds."""
    with books.read() as (connection, _):
        return [tuple(row) for row in run(connection, query, values)]


def until(what: str, ask: Callable[[], T | None], seconds: float = 30) -> T:
    """The first answer that is not empty; fails when the deadline passes."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := ask():
            return answer
        time.sleep(0.05)
    pytest.fail(f"{what}: not within {seconds:g} seconds")


@dataclass
class Serving:
    """A running `luxauto serve`."""

    process: subprocess.Popen[str]
    url: str
    environment: dict[str, str]
    log: Path
    lines: list[str] = field(default_factory=list)

    def luxauto(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return luxauto(self.environment, *arguments)

    def token(self, role: str = "admin", subject: str = "tester") -> str:
        said = self.luxauto("token", "issue", "--role", role, "--subject", subject, "--format", "json")
        return json.loads(said.stdout)["token"]

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(40)


def luxauto(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of `luxauto`."""
    command = [sys.executable, "-m", "luxauto_pipelines.cli", *arguments]
    return subprocess.run(command, env=environment, cwd=ROOT, text=True, capture_output=True, check=False, timeout=120)


@contextmanager
def serve(home: Path, workers: int = 2, **variables: str) -> Iterator[Serving]:
    """`luxauto serve` with so many workers, until the block ends."""
    environment = {**os.environ, "LUXAUTO_HOME": str(home), "PYTHONPATH": str(ROOT), **variables}
    home.parent.mkdir(parents=True, exist_ok=True)
    log = home.parent / f"serve-{secrets.token_hex(4)}.log"
    port = free_port()
    command = [sys.executable, "-m", "luxauto_pipelines.cli", "serve", "--port", str(port), "--workers", str(workers)]
    with log.open("w") as errors:
        process = subprocess.Popen(command, env=environment, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=errors)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert "gateway is up" in line, log.read_text(encoding="utf-8")[-4000:]
        yield Serving(process, f"http://127.0.0.1:{port}", environment, log, [line])
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)
        process.stdout.close()


def answered(url: str, **options: Any) -> bool:
    """Whether anything answers there."""
    try:
        return requests.get(url, timeout=5, **options).ok
    except requests.RequestException:
        return False
