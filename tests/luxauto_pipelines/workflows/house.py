"""A whole installation whose processes can be killed: daemon, code server, run workers, steps, PostgreSQL."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import pytest

from luxauto_pipelines.instance import MODULE, child_environment, prepare
from luxauto_pipelines.workflows import control
from luxauto_pipelines.workflows.spec import WorkflowSpec
from resources.settings import load_settings
from resources.store import journal
from tests.conftest import ROOT
from tests.peers import world
from tests.peers.postgres import PostgresServer

ACTOR = control.Actor("tester")
PATIENCE_SECONDS = 240


class House:
    """An installation on SQLite, or on PostgreSQL together with Dagster's own storage."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch, postgres: PostgresServer | None) -> None:
        self.home = home
        self.postgres = postgres
        home.mkdir(parents=True)
        (home / "luxauto.yaml").write_text('agents: ["tests.peers.world"]\n')
        monkeypatch.setenv("PYTHONPATH", str(ROOT))
        monkeypatch.setenv("DAGSTER_HOME", str(home / "dagster"))
        if postgres is not None:
            monkeypatch.setenv("DATABASE_URL", postgres.make_database("luxauto"))
            dagster_url = postgres.make_database("dagster").replace("postgresql://", "postgresql+psycopg2://")
            monkeypatch.setenv("DAGSTER_PG_URL", dagster_url)
            (home / "dagster").mkdir()
            shutil.copy(ROOT / "deploy" / "dagster.postgres.yaml", home / "dagster" / "dagster.yaml")
        self.books = prepare(load_settings())
        _look_often(home / "dagster" / "dagster.yaml")
        self.instance = dg.DagsterInstance.get()
        self._daemon: subprocess.Popen[bytes] | None = None
        self._log = (home / "daemon.log").open("ab")

    def start_daemon(self) -> None:
        command = [sys.executable, "-m", "dagster._daemon", "run", "-m", MODULE]
        environment = child_environment(self.books.settings)
        self._daemon = subprocess.Popen(
            command, env=environment, cwd=ROOT, stdout=self._log, stderr=self._log, start_new_session=True
        )

    def begin(self, name: str, tasks: Sequence[dict[str, Any]], **rules: Any) -> str:
        """Create and execute a workflow of tasks of the world."""
        spec = WorkflowSpec.model_validate({"name": name, "tasks": tasks, **rules})
        workflow = control.create(self.books, spec, ACTOR)
        control.execute(self.books, self.instance, workflow.key, ACTOR)
        return workflow.key

    def workflow(self, key: str) -> journal.Workflow:
        with self.books.read() as (connection, brand):
            return journal.find(connection, brand, key)

    def wait(self, what: str, condition: Callable[[], bool]) -> None:
        """Until the condition holds; fails, with the state of all workflows, when that takes too long."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            if time.monotonic() > deadline:
                pytest.fail(f"waited in vain until {what}: {self.states()}")
            time.sleep(0.2)

    def wait_for_end(self, keys: Sequence[str]) -> None:
        self.wait("all have ended", lambda: all(self.workflow(key).state in journal.ENDED for key in keys))

    def states(self) -> dict[str, Any]:
        with self.books.read() as (connection, brand):
            rows = journal.newest(connection, brand, 500)
        return {w.name: (w.state, w.reason, w.run_role, w.crashes) for w in rows if w.state != "completed"}

    def holding(self, key: str, task: str, point: str) -> bool:
        return (self.home / "world" / f"holding-{key}:{task}-{point}").exists()

    def release(self) -> None:
        """Let everything that holds go on."""
        (self.home / "world" / "release").touch()

    def kill(self, victim: str) -> None:
        """SIGKILL to the code server, the daemon, PostgreSQL, or every process there is."""
        if victim == "postgresql":
            assert self.postgres is not None
            self.postgres.kill()
            return
        doomed = [process for process in self.processes() if victim == "everything" or _is(victim, process)]
        assert doomed, f"no process is a {victim}"
        for process in doomed:
            process.kill()
        psutil.wait_procs(doomed, 30)
        if victim == "everything" and self.postgres is not None:
            self.postgres.kill()

    def mend(self, victim: str) -> None:
        """Start what was killed, as a supervisor would."""
        if self.postgres is not None and victim in ("postgresql", "everything"):
            self.postgres.start()
        if victim in ("daemon", "everything"):
            if self._daemon is not None:
                self._daemon.wait(30)
            self.start_daemon()

    def processes(self) -> list[psutil.Process]:
        """Every process of this installation but the test's own."""
        found = []
        for process in psutil.process_iter():
            try:
                living = process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE
                if living and process.environ().get("LUXAUTO_HOME") == str(self.home):
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return found

    def close(self) -> None:
        if self._daemon is not None and self._daemon.poll() is None:
            self._daemon.send_signal(signal.SIGTERM)
        self.instance.dispose()
        self.books.store.close()
        while left := self.processes():
            for process in left:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(left, 10)
        if self._daemon is not None:
            self._daemon.wait(30)
        self._log.close()


@contextmanager
def open_house(home: Path, monkeypatch: pytest.MonkeyPatch, database: str) -> Iterator[House]:
    """A house, and the end of all its processes."""
    postgres = PostgresServer() if database == "postgresql" else None
    if postgres is not None:
        postgres.start()
    house = House(home, monkeypatch, postgres)
    try:
        yield house
    finally:
        house.close()
        if postgres is not None:
            postgres.close()


def act(name: str, after: Sequence[str] = (), **behaviour: Any) -> dict[str, Any]:
    """A task of the world; what is no field of a task tells the world how to behave."""
    fields = {field: behaviour.pop(field) for field in ("retry_count", "timeout_seconds") if field in behaviour}
    return {
        "name": name,
        "agent_type": "world",
        "agent_method": "act",
        "depends_on": list(after),
        "parameters": behaviour,
        "retry_delay_seconds": 0.1,
        **fields,
    }


def effects(key: str) -> list[str]:
    """What really changed in the world for this workflow, as `do a`, `undo a`; repeated calls that changed nothing left out."""
    lines = [line.split(" ") for line in world.lines() if f" {key}:" in line and not line.startswith("again")]
    return [f"{verb} {where.split(':', 1)[1]}" for verb, where in lines]


def _look_often(instance_file: Path) -> None:
    """Every second the daemon looks for workers that have died, where an installation looks every ten: we wait for it."""
    shipped = instance_file.read_text()
    often = shipped.replace("  poll_interval_seconds: 10\n", "  poll_interval_seconds: 1\n")
    assert often != shipped
    instance_file.write_text(often)


def _is(victim: str, process: psutil.Process) -> bool:
    line = " ".join(process.cmdline())
    if victim == "daemon":
        return "dagster._daemon" in line
    if victim == "code server":
        return "api grpc" in line
    raise AssertionError(f"unknown victim {victim}")
