"""Importing the code location, which every run pays for, beside importing Dagster alone: CPU seconds of a fresh process."""

import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import Measured, installation, medians

PAIRS = 7
TARGET = 1.6
ROOT = Path(__file__).parents[1]


def run() -> Iterator[Measured]:
    """One row."""
    with tempfile.TemporaryDirectory() as folder, installation(Path(folder)):
        for module in ("luxauto_pipelines.definitions", "dagster"):
            # The first import writes the byte code.
            _cpu_seconds(module)
        ours, reference = medians(
            lambda: _cpu_seconds("luxauto_pipelines.definitions"), lambda: _cpu_seconds("dagster"), PAIRS
        )
    yield Measured("import", "CPU s", ours, reference, TARGET, "lower")


def _cpu_seconds(module: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", f"import {module}"], check=True, cwd=ROOT)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
