"""The long-lived processes: Dagster's web server and daemon and the gateway, started together and stopped together."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress

import requests

from luxauto_pipelines.instance import MODULE, child_environment
from resources.settings import Settings

START_SECONDS = 120
STOP_SECONDS = 20


def serve(settings: Settings, host: str, port: int, api_port: int, tell: Callable[[str], None]) -> int:
    """Run all until one ends or a signal comes. Returns 0 after a signal, 1 when a process ended by itself.

    Returns 1 at once where something listens on a port: its answers would be taken for those of ours.
    """
    for option, number in (("--port", port), ("--api-port", api_port)):
        if _is_taken(host, number):
            tell(f"port {number} of {host} is taken. Stop what listens there, or give another {option}.")
            return 1
    web = [sys.executable, "-m", "dagster_webserver", "-m", MODULE, "-h", host, "-p", str(port)]
    daemon = [sys.executable, "-m", "dagster._daemon", "run", "-m", MODULE]
    gateway = [sys.executable, "-m", "luxauto_pipelines.cli", "serve", "--host", host, "--port", str(api_port)]
    environment = child_environment(settings)
    stopped: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _frame: stopped.append(received))
    processes = [subprocess.Popen(command, env=environment, start_new_session=True) for command in (web, daemon)]
    # Its own line is for whoever starts it alone.
    processes.append(subprocess.Popen(gateway, env=environment, start_new_session=True, stdout=subprocess.DEVNULL))
    url, api = f"http://{host}:{port}", f"http://{host}:{api_port}"
    try:
        if all(_answers(probe, processes, stopped) for probe in (f"{url}/server_info", f"{api}/readyz")):
            tell(f"luxauto is up: {url}, REST gateway at {api} (Ctrl-C stops it)")
        while not stopped and all(process.poll() is None for process in processes):
            time.sleep(0.5)
    finally:
        _stop(processes)
    return 0 if stopped else 1


def _is_taken(host: str, port: int) -> bool:
    with suppress(OSError), socket.create_connection((host, port), timeout=2):
        return True
    return False


def _answers(probe: str, processes: list[subprocess.Popen[bytes]], stopped: list[int]) -> bool:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and not stopped and all(process.poll() is None for process in processes):
        with suppress(requests.RequestException):
            if requests.get(probe, timeout=2).ok:
                return True
        time.sleep(0.3)
    return False


def _stop(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
    for process in processes:
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            # Each leads a session of its own: with it go the code servers that it has started.
            os.killpg(process.pid, signal.SIGKILL)
