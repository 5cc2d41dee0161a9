"""One small installation, made by the command line, and one running `luxauto up` with automation, for all tests here.

What belongs here: starting it, asking it by GraphQL, stopping it. What does not: what it should answer.
"""

import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest
import requests

from resources.settings import load_settings
from resources.store import open_store
from resources.store.brand_store import BrandStore
from tests.conftest import ROOT, VARIABLES
from tests.peers.postgres import free_port

T = TypeVar("T")
DAYS = 35
SKUS: dict[str, tuple[str, str, str, int, int, int]] = {
    "BAG-NOIR": ("Sac Noir", "bags", "Nocturne", 1200, 400, 12),
    "BELT-OR": ("Ceinture Or", "belts", "Nocturne", 290, 90, 8),
    "SCARF-SOIE": ("Carré de Soie", "scarves", "Aurore", 320, 80, 10),
    "SHOE-38": ("Escarpin Lune", "shoes", "Aurore", 640, 210, 6),
}
FINAL = ("SUCCESS", "FAILURE", "CANCELED")


def until(what: str, seconds: float, ask: Callable[[], T | None]) -> T:
    """The first answer that is not empty; fails when the deadline passes."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := ask():
            return answer
        time.sleep(0.2)
    pytest.fail(f"{what}: not within {seconds:g} seconds")


@dataclass(frozen=True)
class Installation:
    """A folder, and the environment in which `luxauto` works on it."""

    home: Path
    environment: dict[str, str]

    def start(self, *arguments: str, log: Path) -> subprocess.Popen[bytes]:
        with log.open("wb") as file:
            return subprocess.Popen(
                self._command(arguments),
                cwd=self.home.parent,
                env=self.environment,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def luxauto(self, *arguments: str, expected: int = 0) -> str:
        done = subprocess.run(
            self._command(arguments),
            cwd=self.home.parent,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == expected, done.stdout + done.stderr
        return done.stdout

    def write_off(self, sku: str, units: int, reason: str) -> None:
        now = datetime.now(UTC).isoformat()
        header = ["sku", "occurred_at", "kind", "quantity", "reference"]
        path = write_csv(self.home.parent / f"{reason}.csv", header, [(sku, now, "write_off", -units, reason)])
        self.luxauto("ingest", "stock", str(path))

    def books(self) -> BrandStore:
        """The store, as another process may read it."""
        url = f"sqlite:///{self.home / 'store.db'}"
        return BrandStore(load_settings(database_url=url), open_store(url))

    def _command(self, arguments: tuple[str, ...]) -> list[str]:
        return [str(Path(sys.executable).with_name("luxauto")), *arguments]


@dataclass(frozen=True)
class Server:
    """A running `luxauto up`."""

    url: str
    installation: Installation

    def ask(self, query: str, **variables: Any) -> Any:
        """Data of a GraphQL query."""
        answer = requests.post(f"{self.url}/graphql", json={"query": query, "variables": variables}, timeout=30).json()
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    @property
    def repository(self) -> dict[str, str]:
        found = self.ask("{ repositoriesOrError { ... on RepositoryConnection { nodes { name location { name } } } } }")
        (node,) = found["repositoriesOrError"]["nodes"]
        return {"repositoryName": node["name"], "repositoryLocationName": node["location"]["name"]}

    def launch(self, job: str) -> str:
        """Start a job; its run's id."""
        query = """
            mutation($what: ExecutionParams!) { launchPipelineExecution(executionParams: $what) {
              __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }
        """
        what = {"selector": {**self.repository, "pipelineName": job}, "runConfigData": {}}
        launched = self.ask(query, what=what)["launchPipelineExecution"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        return launched["run"]["runId"]

    def runs(self, **wanted: Any) -> list[dict[str, Any]]:
        """Runs that a filter finds, newest first: runId, status, jobName, tags, and how each step ended."""
        query = """
            query($wanted: RunsFilter!) { runsOrError(filter: $wanted) { ... on Runs { results {
              runId status jobName assetSelection { path } tags { key value } stepStats { stepKey status } } } } }
        """
        found = self.ask(query, wanted=wanted)["runsOrError"]["results"]
        return [{**run, "tags": {tag["key"]: tag["value"] for tag in run["tags"]}} for run in found]

    def finished(self, run_id: str, seconds: float) -> dict[str, Any]:
        def ended() -> dict[str, Any] | None:
            (run,) = self.runs(runIds=[run_id])
            return run if run["status"] in FINAL else None

        return until(f"the end of run {run_id}", seconds, ended)

    def ticks(self, sensor: str) -> list[dict[str, Any]]:
        """Ticks of a sensor that have ended, newest first."""
        query = """
            query($sensor: SensorSelector!) { sensorOrError(sensorSelector: $sensor) { ... on Sensor { sensorState {
              status ticks(limit: 100) { status timestamp skipReason runKeys runIds error { message } } } } } }
        """
        found = self.ask(query, sensor={**self.repository, "sensorName": sensor})["sensorOrError"]["sensorState"]
        return [tick for tick in found["ticks"] if tick["status"] != "STARTED"]


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """Four SKUs, five weeks of their sales, none of them low, every asset made."""
    folder = tmp_path_factory.mktemp("ui")
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    environment |= {
        "LUXAUTO_HOME": str(folder / "home"),
        "LUXAUTO_AUTOMATION": "true",
        "GX_ANALYTICS_ENABLED": "false",
    }
    made = Installation(folder / "home", environment)
    first = datetime.now(UTC).date() - timedelta(days=DAYS)
    made.luxauto("init", "--name", "Maison Essai", "--currency", "EUR", "--timezone", "Europe/Paris")
    header = (
        "sku product product_name category collection retail_price cost cost_valid_from currency lead_time_days "
        "min_order_quantity supplier reorder_point"
    )
    rows = [
        [sku, sku.split("-")[0], name, kind, collection, price, cost, first, "EUR", 21, 5, "Atelier Lune", point]
        for sku, (name, kind, collection, price, cost, point) in SKUS.items()
    ]
    made.luxauto("ingest", "catalog", str(write_csv(folder / "catalog.csv", header.split(), rows)))
    header = "sku occurred_at kind quantity location reference"
    rows = [[sku, f"{first}T08:00:00+00:00", "opening", 400, "atelier-paris", "count"] for sku in SKUS]
    made.luxauto("ingest", "stock", str(write_csv(folder / "stock.csv", header.split(), rows)))
    header = (
        "order_number line_type sku description quantity unit_price currency occurred_at channel country customer_id"
    )
    rows = [
        [
            f"F{day:03d}{place}",
            "goods",
            sku,
            name,
            # Now and then a bag comes back.
            -1 if sku == "BAG-NOIR" and day % 7 == 3 else 1 + (day + place) % 3,
            price,
            "EUR",
            f"{first + timedelta(days=day)}T12:00:00+00:00",
            "online_store",
            "France",
            f"C{day % 17}",
        ]
        for day in range(1, DAYS)
        for place, (sku, (name, _, _, price, _, _)) in enumerate(SKUS.items())
        if (day + place) % 2
    ]
    orders = write_csv(folder / "orders.csv", header.split(), rows)
    made.luxauto("ingest", "orders", str(orders), "--preset", "luxauto")
    made.luxauto("refresh")
    return made


@pytest.fixture(scope="session")
def server(installation: Installation) -> Iterator[Server]:
    """`luxauto up`, until the last test here; then it has to leave no process behind."""
    port = free_port()
    log = installation.home.parent / "up.log"
    process = installation.start("up", "--port", str(port), "--api-port", str(free_port()), log=log)
    descendants: list[psutil.Process] = []

    def is_up() -> bool:
        if process.poll() is not None:
            pytest.fail(f"`luxauto up` ended by itself:\n{log.read_text(encoding='utf-8')}")
        return "luxauto is up" in log.read_text(encoding="utf-8")

    try:
        until("`luxauto up` answers", 120, is_up)
        yield Server(f"http://127.0.0.1:{port}", installation)
        descendants = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        _, left = psutil.wait_procs(descendants, timeout=20)
        assert [(one.pid, one.cmdline()) for one in left] == []
    finally:
        with suppress(psutil.NoSuchProcess):
            descendants += psutil.Process(process.pid).children(recursive=True)
        for one in descendants:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        if process.poll() is None:
            process.kill()
            process.wait(10)


def write_csv(path: Path, header: Sequence[str], rows: Any) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


OUTPUT = ROOT / "tests" / "output" / "ui"
