"""Serving the gateway: several worker processes on one socket, and a supervisor that replaces those that die.

Does not belong here: the application (`app`), or starting Dagster beside it (`luxauto_pipelines/servers.py`).
"""

import ctypes
import gc
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import requests
import uvicorn
from uvicorn.supervisors.multiprocess import Multiprocess

from luxauto_pipelines.gateway.configuration import load_gateway_settings
from luxauto_pipelines.gateway.telemetry import MULTIPROCESS_VARIABLE
from luxauto_pipelines.instance import child_environment, prepare
from resources.settings import Settings, SettingsError

FACTORY = "luxauto_pipelines.gateway.serve:worker_app"
STOP_SECONDS = 10
HANG_SECONDS = 30
SWITCH_SECONDS = 0.0005
_PR_SET_PDEATHSIG = 1


class Supervisor(Multiprocess):
    """uvicorn's, which also knows whether it was told to stop."""

    told_to_stop = False

    def handle_int(self) -> None:
        self.told_to_stop = True
        super().handle_int()

    def handle_term(self) -> None:
        self.told_to_stop = True
        super().handle_term()


def serve(settings: Settings, host: str, port: int, workers: int, tell: Callable[[str], None]) -> int:
    """Run until a signal comes. Returns 0 after a signal, 1 when the workers cannot start.

    Raises SettingsError when the gateway must not run like this, or the port is taken.
    """
    gateway = load_gateway_settings()
    prepare(settings).store.close()
    listener = _listen(host, port)
    with tempfile.TemporaryDirectory(prefix="luxauto-metrics-") as counters:
        os.environ.update(child_environment(settings))
        os.environ[MULTIPROCESS_VARIABLE] = counters
        config = uvicorn.Config(
            FACTORY,
            factory=True,
            workers=workers,
            access_log=False,
            log_level="warning",
            # The workers write JSON lines; the supervisor's own few go through the standard library.
            log_config=None,
            server_header=False,
            proxy_headers=bool(gateway.trusted_proxies),
            forwarded_allow_ips=gateway.trusted_proxies or None,
            timeout_graceful_shutdown=STOP_SECONDS,
            timeout_worker_healthcheck=HANG_SECONDS,
            ws="none",
        )
        supervisor = Supervisor(config, [listener])
        threading.Thread(target=_announce, args=(listener, supervisor, tell), daemon=True).start()
        try:
            supervisor.run()
        finally:
            listener.close()
    return 0 if supervisor.told_to_stop else 1


def worker_app() -> Any:
    """The application of one worker process, which ends with its supervisor."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    from luxauto_pipelines.gateway.app import create_app

    application = create_app()
    # What is loaded stays: looking through it for garbage again and again would halt every request.
    gc.collect()
    gc.freeze()
    # A thread that answers many small requests had better give way soon: the default of 5 ms is a whole request.
    sys.setswitchinterval(SWITCH_SECONDS)
    return application


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise SettingsError(
            f"port {port} of {host} cannot be used: {error.strerror}. Stop what listens there, or give another --port."
        ) from error
    listener.set_inheritable(True)
    return listener


def _announce(listener: socket.socket, supervisor: Supervisor, tell: Callable[[str], None]) -> None:
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    reached = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(shown, shown)
    while not supervisor.should_exit.is_set():
        # A refused connection says that no worker is there yet.
        with suppress(requests.RequestException):
            if requests.get(f"http://{reached}:{port}/readyz", timeout=5).ok:
                tell(f"luxauto gateway is up: http://{shown}:{port} (Ctrl-C stops it)")
                return
        time.sleep(0.1)
