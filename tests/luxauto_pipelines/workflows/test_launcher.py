"""The launcher that can tell a dead worker from a living one, with real processes."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import psutil
import pytest
from dagster._core.launcher import WorkerStatus

from luxauto_pipelines.instance import prepare
from luxauto_pipelines.launcher import WORKER_TAG, ProcessRunLauncher, find_worker, is_dead
from luxauto_pipelines.workflows import runs
from luxauto_pipelines.workflows.reconciler import reconcile_all
from resources.settings import load_settings
from tests.conftest import ROOT
from tests.peers.inline import Engine, act, calls

HOST = f"{socket.gethostname()}:{os.getuid()}"


def run_of(pid: int, started: float, host: str = HOST) -> dg.DagsterRun:
    return dg.DagsterRun(job_name="x", run_id="1", tags={WORKER_TAG: f"{host}|{pid}|{started:.2f}"})


@pytest.fixture
def process() -> Iterator[psutil.Process]:
    """A process that does nothing until it is killed."""
    started = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    yield psutil.Process(started.pid)
    started.kill()
    started.wait()


def test_a_worker_that_lives_is_found(process: psutil.Process) -> None:
    run = run_of(process.pid, process.create_time())
    worker = find_worker(run)
    assert worker is not None and worker.pid == process.pid
    assert not is_dead(run)


def test_a_worker_that_died_is_dead(process: psutil.Process) -> None:
    run = run_of(process.pid, process.create_time())
    process.kill()
    process.wait()
    assert not psutil.pid_exists(process.pid)
    assert find_worker(run) is None
    assert is_dead(run)


def test_a_worker_that_died_and_that_nobody_has_buried_is_dead(process: psutil.Process) -> None:
    run = run_of(process.pid, process.create_time())
    os.kill(process.pid, signal.SIGKILL)
    # Waits for its end and leaves it a zombie.
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE
    assert is_dead(run)


def test_a_process_that_was_given_the_number_of_a_dead_worker_is_not_the_worker(process: psutil.Process) -> None:
    run = run_of(process.pid, process.create_time() - 60)
    assert find_worker(run) is None
    assert is_dead(run)


@pytest.mark.parametrize("host", ["elsewhere:0", f"{socket.gethostname()}:{os.getuid() + 1}"])
def test_of_a_worker_on_another_host_nothing_is_known(process: psutil.Process, host: str) -> None:
    run = run_of(process.pid, process.create_time() - 60, host)
    assert find_worker(run) is None
    assert not is_dead(run)


def test_of_a_run_that_nobody_has_started_nothing_is_known() -> None:
    run = dg.DagsterRun(job_name="x", run_id="1")
    assert find_worker(run) is None
    assert not is_dead(run)


@pytest.fixture
def real(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """The engine with the shipped instance on disk, whose runs are processes."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("DAGSTER_HOME", str(load_settings().home / "dagster"))
    prepare(load_settings())
    with dg.DagsterInstance.get() as instance:
        yield Engine(engine.books, instance)
        for run in instance.get_runs():
            if worker := find_worker(run):
                worker.kill()
                worker.wait(30)


def wait(what: str, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"waited in vain until {what}")
        time.sleep(0.05)


def launch(engine: Engine, home: Path) -> tuple[str, dg.DagsterRun]:
    """A workflow whose second task holds, in a worker of its own."""
    key = engine.begin(act("a"), act("b", ["a"], point="before_effect", action="hold"))
    run_id = str(engine.workflow(key).run_id)
    # What the daemon does with what is in the queue.
    engine.instance.launch_run(run_id, None)  # pyright: ignore[reportArgumentType]
    wait("the task holds", (home / "world" / f"holding-{key}:b-before_effect").exists)
    return key, current(engine, run_id)


def current(engine: Engine, run_id: str) -> dg.DagsterRun:
    run = engine.instance.get_run_by_id(run_id)
    assert run is not None
    return run


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_run_whose_worker_was_killed_is_found_dead_and_the_workflow_goes_on(real: Engine, home: Path) -> None:
    assert isinstance(real.instance.run_launcher, ProcessRunLauncher)
    key, run = launch(real, home)
    worker = find_worker(run)
    assert worker is not None
    # It is no child of a terminal's group: Ctrl-C at the daemon does not end it.
    assert os.getpgid(worker.pid) == worker.pid
    assert runs.state_of(real.instance, run.run_id) == "working"
    assert real.instance.run_launcher.check_run_worker_health(run).status is WorkerStatus.RUNNING
    worker.kill()
    wait("it is dead", lambda: is_dead(run))
    assert real.instance.run_launcher.check_run_worker_health(run).status is WorkerStatus.FAILED
    assert runs.state_of(real.instance, run.run_id) == "failed"
    assert current(real, run.run_id).status is dg.DagsterRunStatus.FAILURE
    runs_before = len(real.instance.get_runs())
    assert reconcile_all(real.books, real.instance).faults == {}
    assert real.workflow(key).run_id != run.run_id
    assert len(real.instance.get_runs()) == runs_before + 1
    assert calls(key) == ["do a"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_run_that_is_terminated_interrupts_its_task_and_ends_cancelled(real: Engine, home: Path) -> None:
    key, run = launch(real, home)
    assert real.cancel(key).state == "cancelling"
    wait("it is cancelled", lambda: runs.state_of(real.instance, run.run_id) == "cancelled")
    wait("its worker has ended", lambda: is_dead(run))
    assert not real.instance.run_launcher.terminate(run.run_id)
    assert reconcile_all(real.books, real.instance).faults == {}
    assert real.state(key) == "compensating"
    assert real.states(key) == {"a": "done", "b": "intent"}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_terminating_a_run_whose_worker_had_died_ends_it_cancelled(real: Engine) -> None:
    key = real.begin(act("a"))
    run_id = str(real.workflow(key).run_id)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    started = psutil.Process(gone.pid).create_time()
    gone.wait()
    real.instance.report_run_canceling(current(real, run_id))
    real.instance.add_run_tags(run_id, {WORKER_TAG: f"{HOST}|{gone.pid}|{started:.2f}"})
    assert real.instance.run_launcher.terminate(run_id)
    assert current(real, run_id).status is dg.DagsterRunStatus.CANCELED
