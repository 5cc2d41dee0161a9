"""Two hundred workflows while PostgreSQL is shut down and started again every few seconds."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from resources.settings import load_settings
from resources.store import journal, open_store
from resources.store.brand_store import BrandStore
from tests.conftest import ROOT
from tests.luxauto_pipelines.workflows.conftest import SETTINGS
from tests.peers.inline import effects
from tests.peers.postgres import PostgresServer

pytestmark = pytest.mark.slow
DRIVERS = 2
WORKFLOWS = 100
UP_SECONDS = 4.0


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """A PostgreSQL for this test alone, to be stopped at will."""
    opened = PostgresServer()
    opened.start()
    yield opened
    opened.close()


def test_two_hundred_workflows_end_well_though_postgresql_restarts_every_few_seconds(
    server: PostgresServer, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.mkdir(parents=True)
    (home / "luxauto.yaml").write_text(SETTINGS)
    monkeypatch.setenv("DATABASE_URL", server.make_database("luxauto"))
    store = open_store(load_settings().database_url)
    store.migrate()
    books = BrandStore(load_settings(), store)
    command = [sys.executable, "-m", "tests.peers.driver"]
    drivers = [
        subprocess.Popen([*command, f"driver {n}", str(WORKFLOWS)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for n in range(DRIVERS)
    ]
    restarts = 0
    while any(driver.poll() is None for driver in drivers):
        _let_pass(UP_SECONDS, drivers)
        server.stop()
        server.start()
        restarts += 1
    results = [json.loads(driver.communicate()[0]) for driver in drivers]
    assert restarts >= 3, "too fast to have met a restart: more workflows are needed"
    assert [result["left"] for result in results] == [[], []]
    with books.read() as (connection, brand):
        ended = {w.name: w for w in journal.newest(connection, brand, 1000)}
    # A client that is told nothing asks again, and may thereby create a workflow that it never learns of.
    known = {key for result in results for key in result["keys"]}
    assert len(known) == DRIVERS * WORKFLOWS
    for workflow in ended.values():
        if workflow.key not in known:
            assert workflow.state == "pending"
            continue
        seen = effects(workflow.key)
        if int(workflow.name.split()[-1]) % 3 == 0:
            assert (workflow.state, workflow.rolled_back) == ("failed", True)
            assert seen == ["do a", "do b", "do c", "undo c", "undo b", "undo a"]
        else:
            assert workflow.state == "completed"
            assert seen == ["do a", "do b", "do c"]
    store.close()


def _let_pass(seconds: float, drivers: list[subprocess.Popen[str]]) -> None:
    """The time for which the database is up; shorter when the last driver ends."""
    deadline = time.monotonic() + seconds
    for driver in drivers:
        try:
            driver.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            continue
