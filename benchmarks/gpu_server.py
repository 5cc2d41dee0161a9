"""The whole way: `luxauto gpu serve` as a process of its own, and clients that ask it at once over HTTP.

Belongs here: starting it and asking it. Does not belong here: the rate of the engine that it is held against.
"""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from resources.gpu.client import Client, GenerationRequest

ROOT = Path(__file__).parents[1]
_READY = re.compile(r"is ready: .* at (http://\S+)")
_STOP_SECONDS = 60


class ServerDidNotStart(RuntimeError):
    """The server ended, or did not say that it is ready in time; the message holds what it printed."""


@dataclass(frozen=True)
class Served:
    """`images` in `seconds` to `clients` at once; the median and longest wait of one, in seconds."""

    clients: int
    images: int
    seconds: float
    median_wait: float
    longest_wait: float

    @property
    def images_per_hour(self) -> float:
        return self.images / self.seconds * 3600


@contextmanager
def server(model: Path, patience: float, *options: str) -> Iterator[str]:
    """A server of that model that takes requests: its address. It is asked to stop in the end. Raises ServerDidNotStart."""
    command = [
        sys.executable,
        "-m",
        "luxauto_pipelines.cli",
        "gpu",
        "serve",
        "--model",
        str(model),
        "--port",
        "0",
        *options,
    ]
    environment = {name: value for name, value in os.environ.items() if name != "LUXAUTO_GPU_KEY"}
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    lines: list[str] = []
    ready, found = threading.Event(), list[str]()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if told := _READY.search(line):
                found.append(told[1])
                ready.set()
        ready.set()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        if not ready.wait(patience) or not found:
            raise ServerDidNotStart(f"{' '.join(command)}: {''.join(lines[-20:])}")
        yield found[0]
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def drive(url: str, clients: int, images: int, width: int, height: int, steps: int, guidance: float) -> Served:
    """Ask for `images` pictures by `clients` at once, each its next as soon as it has one. A picture that fails raises."""
    seeds = iter(range(images))
    taking = threading.Lock()
    waits: list[float] = []

    def ask_until_done(number: int) -> None:
        with Client(url, None) as client:
            while True:
                with taking:
                    seed = next(seeds, None)
                if seed is None:
                    return
                began = time.perf_counter()
                made = client.generate(
                    GenerationRequest(
                        f"a bag, number {number}",
                        width=width,
                        height=height,
                        seed=seed,
                        steps=steps,
                        guidance=guidance,
                        output_format="webp",
                    )
                )
                if len(made.images) != 1 or not made.images[0].content:
                    raise AssertionError(f"{url} answered a request for one picture with {made}")
                waits.append(time.perf_counter() - began)

    began = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(ask_until_done, range(clients)))
    return Served(clients, len(waits), time.perf_counter() - began, median(waits), max(waits))
