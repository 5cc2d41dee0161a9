"""Where runs start: each in a process of its own, whose life is watched.

Dagster's default launcher asks the code server to start a run and never asks again: after a power cut the run stays started
for ever. This one starts `dagster api execute_run` itself, as the container launchers do, notes which process it is, and can
tell whether that process still lives. A run therefore survives its daemon and its code server.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import Any

import dagster as dg
import psutil
from dagster._core.launcher import CheckRunHealthResult, LaunchRunContext, RunLauncher, WorkerStatus
from dagster._grpc.types import ExecuteRunArgs
from dagster._serdes import ConfigurableClass, ConfigurableClassData, serialize_value

WORKER_TAG = "luxauto/worker"


class ProcessRunLauncher(RunLauncher, ConfigurableClass):
    """Starts each run as a process of this host."""

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        self._inst_data = inst_data
        super().__init__()

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        return self._inst_data

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        return {}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "ProcessRunLauncher":
        return cls(inst_data, **config_value)

    def launch_run(self, context: LaunchRunContext) -> None:
        run = context.dagster_run
        if run.job_code_origin is None:
            raise dg.DagsterInvariantViolationError(f"run {run.run_id} does not say where its job is defined")
        arguments = ExecuteRunArgs(
            job_origin=run.job_code_origin,
            run_id=run.run_id,
            instance_ref=self._instance.get_ref(),
            set_exit_code_on_failure=None,
        )
        process = subprocess.Popen(
            [sys.executable, "-m", "dagster", "api", "execute_run", serialize_value(arguments)],
            stdin=subprocess.DEVNULL,
            # A signal to the daemon's group, such as Ctrl-C, is none to its runs.
            start_new_session=True,
        )
        self._instance.add_run_tags(run.run_id, {WORKER_TAG: _describe(process.pid)})
        # Its end is taken note of, so that it does not stay in the process table for as long as this process lives.
        threading.Thread(target=process.wait, name=f"run {run.run_id}", daemon=True).start()

    def terminate(self, run_id: str) -> bool:
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        self._instance.report_run_canceling(run)
        worker = find_worker(run)
        if worker is None:
            if is_dead(run):
                self._instance.report_run_canceled(run, "its worker had died before")
            return is_dead(run)
        worker.send_signal(signal.SIGINT)
        return True

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        if is_dead(run):
            return CheckRunHealthResult(WorkerStatus.FAILED, "the worker's process is gone")
        return CheckRunHealthResult(WorkerStatus.RUNNING)


def is_dead(run: dg.DagsterRun) -> bool:
    """Whether the run had a worker on this host whose process is gone. Of another host nothing is known."""
    return _is_of_this_host(run) and find_worker(run) is None


def find_worker(run: dg.DagsterRun) -> psutil.Process | None:
    """The run's living process on this host. A process number that was given to another one since does not count."""
    if not _is_of_this_host(run):
        return None
    _, pid, started = run.tags[WORKER_TAG].rsplit("|", 2)
    try:
        process = psutil.Process(int(pid))
        if f"{process.create_time():.2f}" != started or process.status() == psutil.STATUS_ZOMBIE:
            return None
    except psutil.NoSuchProcess:
        return None
    return process


def _is_of_this_host(run: dg.DagsterRun) -> bool:
    return WORKER_TAG in run.tags and run.tags[WORKER_TAG].rsplit("|", 2)[0] == _host()


def _describe(pid: int) -> str:
    try:
        return f"{_host()}|{pid}|{psutil.Process(pid).create_time():.2f}"
    except psutil.NoSuchProcess:
        return f"{_host()}|{pid}|0.00"


def _host() -> str:
    return f"{socket.gethostname()}:{os.getuid()}"
