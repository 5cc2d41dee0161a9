"""A GPU server as its command starts it: a process of its own on a free port of the loopback interface.

Belongs here: starting, waiting, ending, and reading its metrics. Does not belong here: what is asked of it.
"""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2 as httpx

ROOT = Path(__file__).parents[3]
PATIENCE_SECONDS = 120
_ADDRESS = re.compile(r"is up: (http://\S+?),")
_SAMPLE = re.compile(r"^(\w+(?:\{[^}]*\})?) (\S+)$", re.M)


class Served:
    """One process; `lines` is what it printed. The port of a first start is kept for the next."""

    def __init__(self, model: Path, *options: str, key: str | None = None, port: int = 0) -> None:
        self.lines: list[str] = []
        environment = {**os.environ, "LUXAUTO_GPU_KEY": key or "", "TQDM_DISABLE": "1"}
        command = [sys.executable, "-m", "luxauto_pipelines.cli", "gpu", "serve", "--model", str(model)]
        command += ["--port", str(port), "--threads", "1", "--device", "cpu", *options]
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self._spoke = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.url = self.line(_ADDRESS.search)[1]
        self.port = int(self.url.rsplit(":", 1)[1])

    def line(self, found: Callable[[str], "re.Match[str] | None"]) -> "re.Match[str]":
        """The first line that it prints and that is looked for."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        with self._spoke:
            while True:
                for line in self.lines:
                    if match := found(line):
                        return match
                if self.process.poll() is not None and not self._reader.is_alive():
                    raise AssertionError(f"the server ended with {self.process.returncode}: {''.join(self.lines)}")
                if time.monotonic() > deadline:
                    raise AssertionError(f"the server did not say what was waited for: {''.join(self.lines)}")
                self._spoke.wait(0.2)

    def ready(self) -> "Served":
        """Wait until it takes requests."""
        self.line(re.compile("is ready").search)
        return self

    def kill(self) -> None:
        """End it as a power cut does."""
        self.process.kill()
        self.process.wait()

    def terminate(self) -> None:
        """Ask it to end, without waiting for it."""
        self.process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        """Its exit code."""
        return self.process.wait(PATIENCE_SECONDS)

    def metrics(self) -> dict[str, float]:
        """Every sample by its name and labels, without the prefix."""
        text = httpx.get(f"{self.url}/metrics").raise_for_status().text
        return {name.removeprefix("luxauto_gpu_"): float(value) for name, value in _SAMPLE.findall(text)}

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._spoke:
                self.lines.append(line)
                self._spoke.notify_all()


@contextmanager
def served(model: Path, *options: str, key: str | None = None) -> Iterator[Served]:
    """One that takes requests, and is killed in the end."""
    server = Served(model, *options, key=key)
    try:
        yield server.ready()
    finally:
        server.kill()


def eventually(condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "what was waited for did not happen"
        time.sleep(0.01)


def since(before: dict[str, float], after: dict[str, float], name: str) -> float:
    """By how much a counter has grown."""
    return after.get(name, 0.0) - before.get(name, 0.0)
