"""The served gateway with four workers and the daemon beside it: clients as they are written, and what all workers see."""

import contextlib
import io
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import psutil
import pytest
import requests

from luxauto_pipelines.gateway.app import BASE
from luxauto_pipelines.instance import MODULE, prepare
from resources.settings import load_settings
from resources.store.brand_store import BrandStore
from tests.conftest import ROOT
from tests.luxauto_pipelines.gateway.conftest import Serving, rows, serve, until
from tests.luxauto_pipelines.gateway.test_workflow_routes import AGENTS, custom, events_of, task

pytestmark = pytest.mark.slow
WORKERS = 4
ENDED = ("completed", "failed", "cancelled")


@dataclass
class Site:
    """A gateway of four workers and a Dagster daemon, in development."""

    serving: Serving
    books: BrandStore

    @property
    def base(self) -> str:
        return self.serving.url + BASE

    def post(self, path: str, **options: Any) -> Any:
        # A connection of its own: any worker may get it.
        return requests.post(self.base + path, timeout=60, **options)

    def get(self, path: str, **options: Any) -> Any:
        return requests.get(self.base + path, timeout=60, **options)

    def workers(self) -> list[psutil.Process]:
        living = []
        for process in psutil.Process(self.serving.process.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                if "spawn_main" in " ".join(process.cmdline()):
                    living.append(process)
        return living


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    home = tmp_path_factory.mktemp("site") / "home"
    home.mkdir()
    (home / "luxauto.yaml").write_text(AGENTS)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("LUXAUTO_HOME", str(home))
        environment.setenv("PYTHONPATH", str(ROOT))
        environment.delenv("DAGSTER_HOME", raising=False)
        books = prepare(load_settings())
        with serve(home, workers=WORKERS, DAGSTER_HOME=str(home / "dagster")) as serving:
            daemon = subprocess.Popen(
                [sys.executable, "-m", "dagster._daemon", "run", "-m", MODULE],
                env=serving.environment,
                cwd=ROOT,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            try:
                yield Site(serving, books)
            finally:
                daemon.send_signal(signal.SIGTERM)
                daemon.wait(60)


def test_the_brand_launch_script_of_the_design_runs_and_ends(site: Site) -> None:
    seed = ROOT.parent / "shared" / "design" / "seed.md"
    if not seed.exists():
        pytest.skip(f"needs the design document in {seed}")
    script = re.search(r"### Complete Brand Launch\n\n```python\n(.*?)```", seed.read_text(encoding="utf-8"), re.DOTALL)
    assert script is not None
    code = (
        script[1].replace("http://localhost:8000", site.serving.url).replace("asyncio.sleep(5)", "asyncio.sleep(0.2)")
    )
    code = code.replace("asyncio.run(launch_brand())", "status = asyncio.run(launch_brand())")
    names: dict[str, Any] = {}
    with contextlib.redirect_stdout(io.StringIO()) as said:
        exec(compile(code, str(seed), "exec"), names)
    assert "Progress: 0.0%" in said.getvalue()
    # Pictures and websites are made by agents that are not built yet: it says so, and leaves nothing behind.
    assert (names["status"]["status"], names["status"]["rolled_back"]) == ("failed", True)
    assert "not built yet" in " ".join(names["status"]["errors"].values())


def test_a_workflow_of_the_agents_that_are_there_completes(site: Site) -> None:
    wanted = {
        "workflow_type": "inventory_sync",
        "workflow_data": {"channel": "online_store", "items": [{"sku": "LUX-BAG-001", "quantity_available": 50}]},
    }
    key = site.post("/workflows/create", json=wanted).json()["workflow_id"]
    site.post(f"/workflows/{key}/execute")
    status = until("it has ended", lambda: _ended(site, key), seconds=120)
    assert (status["status"], status["errors"]) == ("completed", {})
    assert status["progress"]["percentage"] == 100
    assert status["results"]["Sync inventory"]["synced_items"] == 1


def test_what_one_worker_wrote_every_worker_sees(site: Site) -> None:
    assert len(site.workers()) >= WORKERS
    misses = 0
    for _ in range(200):
        key = site.post("/workflows/create", json=custom(task("a"))).json()["workflow_id"]
        misses += site.get(f"/workflows/{key}/status").status_code != 200
    assert misses == 0


def test_a_thousand_repetitions_create_one_workflow(site: Site) -> None:
    headers = {"Idempotency-Key": "thousand"}
    before = rows(site.books, "SELECT count(*) FROM workflows")[0][0]

    def repeat(_: int) -> tuple[int, str | None]:
        answer = site.post("/workflows/create", json=custom(task("a")), headers=headers)
        return answer.status_code, answer.json().get("workflow_id")

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(repeat, range(1000)))
    assert {status for status, _ in answers} <= {200, 409}
    assert len({key for status, key in answers if status == 200}) == 1
    assert rows(site.books, "SELECT count(*) FROM workflows")[0][0] == before + 1


def test_an_interrupted_stream_goes_on_without_a_gap(site: Site) -> None:
    key = site.post("/workflows/create", json=custom(task("a"), task("b", "a"), task("c", "b"))).json()["workflow_id"]
    site.post(f"/workflows/{key}/execute")
    seen: list[int] = []
    ended = False
    while not ended:
        headers = {"Last-Event-ID": str(seen[-1])} if seen else {}
        with site.get(f"/workflows/{key}/events", headers=headers, stream=True) as stream:
            got = ""
            for chunk in stream.iter_content(None, decode_unicode=True):
                got += chunk
                events = events_of(got[: got.rfind("\n\n") + 2]) if "\n\n" in got else []
                if len(events) >= 2:
                    # The connection breaks after every second event.
                    break
            events = events_of(got[: got.rfind("\n\n") + 2])
        seen += [event["id"] for event in events]
        ended = any(event["event"] == "workflow.completed" for event in events)
    assert seen == list(range(1, len(seen) + 1))


def test_no_write_is_lost_when_workers_are_killed_under_load(site: Site) -> None:
    told: list[str] = []

    def record(number: int) -> None:
        body = {"type": "expense", "amount": 10 + number, "currency": "EUR", "metadata": {"number": number}}
        # A request that a dying worker did not answer is sent again under its key.
        headers = {"Idempotency-Key": f"load-{number}"}
        while True:
            with contextlib.suppress(requests.RequestException):
                answer = site.post("/finance/transactions/record", json=body, headers=headers)
                if answer.status_code == 200:
                    told.append(answer.json()["transaction_id"])
                    return
                assert answer.status_code in (409, 503), answer.text

    with ThreadPoolExecutor(8) as pool:
        work = [pool.submit(record, number) for number in range(300)]
        for round_ in range(3):
            until("some are through", lambda least=60 * (round_ + 1): len(told) >= least, seconds=120)
            site.workers()[0].kill()
        for future in work:
            future.result()
    assert len(set(told)) == 300
    stored = rows(site.books, "SELECT count(*), count(DISTINCT amount_minor) FROM transactions WHERE type = 'expense'")
    assert stored == [(300, 300)]
    until("the workers are replaced", lambda: len(site.workers()) >= WORKERS)


def _ended(site: Site, key: str) -> dict[str, Any] | None:
    status = site.get(f"/workflows/{key}/status").json()
    return status if status["status"] in ENDED else None
