"""The gateway as processes: one ready line, workers that share what they know, and replacement of those that are killed."""

import os
import signal
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from luxauto_pipelines.gateway.app import BASE
from resources.settings import load_settings
from resources.store import open_store
from resources.store.brand_store import BrandStore
from tests.luxauto_pipelines.gateway.conftest import SECRET, Serving, add_alert, answered, luxauto, rows, serve, until
from tests.peers.postgres import free_port


def workers_of(gateway: Serving) -> list[psutil.Process]:
    def works(child: psutil.Process) -> bool:
        try:
            return "spawn_main" in " ".join(child.cmdline())
        except psutil.NoSuchProcess:
            return False

    return [child for child in psutil.Process(gateway.process.pid).children() if works(child)]


def ask(gateway: Serving, path: str, token: str | None = None, method: str = "GET", **headers: str) -> Any:
    """One request on a connection of its own, which any worker may take."""
    sent = {**headers, "Connection": "close", **({"Authorization": f"Bearer {token}"} if token else {})}
    return requests.request(method, gateway.url + BASE + path, headers=sent, timeout=30)


@pytest.fixture
def installation(home: Path) -> BrandStore:
    """The store that the processes of a test share."""
    settings = load_settings()
    store = open_store(settings.database_url)
    store.migrate()
    return BrandStore(settings, store)


def test_it_says_one_line_when_it_is_ready_and_ends_well_on_a_signal(home: Path) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        with serve(home) as gateway:
            assert answered(f"{gateway.url}/readyz")
            family = psutil.Process(gateway.process.pid).children(recursive=True)
            gateway.process.send_signal(number)
            assert gateway.process.wait(40) == 0
            assert gateway.process.stdout is not None
            assert gateway.process.stdout.read() == ""
            assert psutil.wait_procs(family, timeout=20)[1] == []


def test_a_killed_worker_is_replaced_and_what_it_wrote_is_there(home: Path, installation: BrandStore) -> None:
    alert = add_alert(installation)
    with serve(home) as gateway:
        assert ask(gateway, f"/alerts/{alert}/acknowledge", method="POST").status_code == 200
        before = {worker.pid for worker in workers_of(gateway)}
        assert len(before) == 2
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        until(
            "two new workers answer",
            lambda: len({w.pid for w in workers_of(gateway)} - before) == 2 and answered(f"{gateway.url}/readyz"),
            60,
        )
        assert ask(gateway, f"/alerts/{alert}").json()["status"] == "acknowledged"
        assert gateway.stop() == 0


def test_workers_end_with_a_supervisor_that_is_killed(home: Path) -> None:
    with serve(home) as gateway:
        workers = workers_of(gateway)
        gateway.process.kill()
        assert psutil.wait_procs(workers, timeout=30)[1] == []


def test_the_limit_holds_over_all_workers(home: Path) -> None:
    with serve(home, 3, LUXAUTO_RATE_LIMIT="60/hour") as gateway:
        token = gateway.token()
        with ThreadPoolExecutor(8) as pool:
            statuses = Counter(pool.map(lambda _: ask(gateway, "/alerts", token).status_code, range(150)))
        assert statuses == {200: 60, 429: 90}


def test_a_key_holds_over_all_workers(home: Path, installation: BrandStore) -> None:
    alert = add_alert(installation)
    with serve(home, 3) as gateway:

        def resolve(_: int) -> Any:
            return ask(gateway, f"/alerts/{alert}/resolve", method="POST", **{"Idempotency-Key": "k"})

        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(resolve, range(100)))
    good = [answer for answer in answers if answer.status_code == 200]
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert len({answer.text for answer in good}) == 1
    assert len(good) > 50
    assert rows(installation, "SELECT count(*) FROM audit_log WHERE action = 'alert.resolved'") == [(1,)]


def test_a_token_revoked_on_the_command_line_is_refused_by_every_worker(home: Path) -> None:
    with serve(home, 3) as gateway:
        token = gateway.token("api_user")
        assert {ask(gateway, "/alerts", token).status_code for _ in range(12)} == {200}
        assert gateway.luxauto("token", "revoke", token).returncode == 0

        def all_refuse() -> bool:
            return {ask(gateway, "/alerts", token).status_code for _ in range(12)} == {401}

        until("every worker refuses", all_refuse, 20)


def test_counters_of_all_workers_are_shown_together(home: Path) -> None:
    with serve(home, 2) as gateway:
        for _ in range(30):
            ask(gateway, "/alerts")
        text = requests.get(f"{gateway.url}/metrics", timeout=20).text
    line = f'luxauto_http_requests_total{{method="GET",route="{BASE}/alerts",status="200"}} 30.0'
    assert line in text.splitlines()


def test_production_without_a_secret_does_not_start(home: Path) -> None:
    environment = {**os.environ, "LUXAUTO_ENV": "production"}
    said = luxauto(environment, "serve", "--port", str(free_port()))
    assert said.returncode == 1
    assert said.stdout == ""
    assert "JWT_SECRET_KEY" in said.stderr


def test_production_with_a_secret_starts_and_asks_for_tokens(home: Path) -> None:
    with serve(home, 1, LUXAUTO_ENV="production", JWT_SECRET_KEY=SECRET) as gateway:
        assert ask(gateway, "/alerts").status_code == 401
        assert ask(gateway, "/alerts", gateway.token("api_user")).status_code == 200
        assert SECRET not in gateway.log.read_text(encoding="utf-8")


def test_a_port_that_is_taken_is_said_to_be_so(home: Path) -> None:
    with serve(home, 1) as gateway:
        port = gateway.url.rpartition(":")[2]
        said = gateway.luxauto("serve", "--port", port)
        assert said.returncode == 1
        assert f"port {port}" in said.stderr


def test_tokens_are_issued_and_taken_back_on_the_command_line(home: Path, installation: BrandStore) -> None:
    environment = {**os.environ}
    issued = luxauto(environment, "token", "issue", "--role", "developer", "--subject", "dora", "--hours", "2")
    assert issued.returncode == 0
    token = issued.stdout.strip()
    assert token.count(".") == 2
    assert luxauto(environment, "token", "revoke", token).returncode == 0
    assert "as before" in luxauto(environment, "token", "revoke", token).stdout
    assert luxauto(environment, "token", "revoke", "a.b.c").returncode == 2
    for wrong in (["--role", "owner"], ["--role", "admin", "--hours", "1000"], ["--role", "admin", "--hours", "inf"]):
        assert luxauto(environment, "token", "issue", *wrong).returncode in (1, 2)
    actions = rows(installation, "SELECT action, subject FROM audit_log ORDER BY id")
    assert actions[0] == ("token.issued", "dora")
    assert token not in str(rows(installation, "SELECT details FROM audit_log"))
