"""An installation that several processes open for the first time at once."""

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from tests.conftest import ROOT

OPEN = """
import sys
from luxauto_pipelines.instance import prepare
from resources.settings import load_settings
print("ready", flush=True)
sys.stdin.read(1)
prepare(load_settings())
import dagster
dagster.DagsterInstance.get().get_runs()
"""


def test_processes_that_make_an_installation_at_once_leave_it_usable(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN],
            env=environment,
            cwd=ROOT,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    said = [process.communicate("x", timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, said
    monkeypatch.setenv("DAGSTER_HOME", str(home / "dagster"))
    with dg.DagsterInstance.get() as instance:
        assert instance.get_runs() == []
