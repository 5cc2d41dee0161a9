"""The long-lived processes: Dagster's web server and daemon, started together and stopped together."""

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


def serve(settings: Settings, host: str, port: int, tell: Callable[[str], None]) -> int:
    """Run both until one ends or a signal comes. Returns 0 after a signal, 1 when a process ended by itself.

    Returns 1 at once where something listens on the port: its answers would be taken for the web server's.
    """
    if _is_taken(host, port):
        tell(f"port {port} of {host} is taken. Stop what listens there, or give another --port.")
        return 1
    web = [sys.executable, "-m", "dagster_webserver", "-m", MODULE, "-h", host, "-p", str(port)]
    daemon = [sys.executable, "-m", "dagster._daemon", "run", "-m", MODULE]
    environment = child_environment(settings)
    stopped: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _frame: stopped.append(received))
    processes = [subprocess.Popen(command, env=environment, start_new_session=True) for command in (web, daemon)]
    url = f"http://{host}:{port}"
    try:
        if _answers(url, processes, stopped):
            tell(f"luxauto is up: {url} (Ctrl-C stops it)")
        while not stopped and all(process.poll() is None for process in processes):
            time.sleep(0.5)
    finally:
        _stop(processes)
    return 0 if stopped else 1


def _is_taken(host: str, port: int) -> bool:
    with suppress(OSError), socket.create_connection((host, port), timeout=2):
        return True
    return False


def _answers(url: str, processes: list[subprocess.Popen[bytes]], stopped: list[int]) -> bool:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and not stopped and all(process.poll() is None for process in processes):
        with suppress(requests.RequestException):
            if requests.get(f"{url}/server_info", timeout=2).ok:
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
