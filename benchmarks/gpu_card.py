"""What was measured on: the card or the processor, versions, and the clock while it was measured.

Belongs here: what the machine says of itself. Does not belong here: what is timed.
"""

import platform
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from shutil import which
from statistics import median
from typing import Any

PACKAGES = ("torch", "diffusers", "transformers")
_EVERY_MS = 250
_ASKED = "clocks.sm,power.draw,temperature.gpu"


@dataclass
class Clock:
    """Medians while something ran: MHz of the multiprocessors, watts, degrees. None where nobody says."""

    mhz: float | None = None
    watts: float | None = None
    celsius: float | None = None
    samples: int = field(default=0, repr=False)


def machine(device: str) -> dict[str, Any]:
    """Name, memory and highest clock of the device, and versions of what computes."""
    import torch

    told: dict[str, Any] = {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}
    if not device.startswith("cuda"):
        return told | {"device": _processor(), "threads": torch.get_num_threads()}
    card = torch.cuda.get_device_properties(device)
    told |= {"device": card.name, "memory": card.total_memory, "multiprocessors": card.multi_processor_count}
    told |= {"cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}
    highest = _ask("clocks.max.sm,driver_version")
    return told | ({"highest_mhz": float(highest[0]), "driver": highest[1]} if highest else {})


@contextmanager
def clock(device: str) -> Iterator[Clock]:
    """The clock while the block runs; filled in at its end."""
    told = Clock()
    if not device.startswith("cuda") or which("nvidia-smi") is None:
        yield told
        return
    command = ["nvidia-smi", f"--query-gpu={_ASKED}", "--format=csv,noheader,nounits", "-lms", str(_EVERY_MS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            yield told
        finally:
            process.terminate()
            assert process.stdout is not None
            _fill(told, process.stdout.read())


def _fill(told: Clock, lines: str) -> None:
    samples = []
    for line in lines.splitlines():
        try:
            samples.append([float(value) for value in line.split(",")])
        except ValueError:
            continue  # a line that was cut off, or "[N/A]"
    told.samples = len(samples)
    if samples:
        told.mhz, told.watts, told.celsius = (median(column) for column in zip(*samples, strict=True))


def _ask(what: str) -> list[str] | None:
    if which("nvidia-smi") is None:
        return None
    command = ["nvidia-smi", f"--query-gpu={what}", "--format=csv,noheader,nounits"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    return [each.strip() for each in answer.stdout.splitlines()[0].split(",")] if answer.returncode == 0 else None


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
