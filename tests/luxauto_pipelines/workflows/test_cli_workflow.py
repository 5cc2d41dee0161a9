"""`luxauto workflow …`: what people see, what programs read, and what a shell is told."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from luxauto_pipelines import cli
from tests.conftest import ROOT
from tests.peers.inline import Engine, act, effects, gate

INSTANCE = """
run_coordinator: {module: dagster._core.run_coordinator, class: QueuedRunCoordinator}
run_launcher: {module: tests.peers.inline, class: InlineLauncher}
telemetry: {enabled: false}
"""


class Shell:
    """Runs `luxauto` in this process, as its entry point does."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.capsys = capsys
        self.monkeypatch = monkeypatch

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, standard output and standard error."""
        self.capsys.readouterr()
        self.monkeypatch.setattr(sys, "argv", ["luxauto", *arguments])
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = int(end.code or 0)
        told = self.capsys.readouterr()
        return code, told.out, told.err

    def json(self, *arguments: str) -> Any:
        code, told, fault = self(*arguments, "--format", "json")
        assert code == 0, fault
        return json.loads(told)

    def create(self, *tasks: dict[str, Any], **rules: Any) -> str:
        data = {"name": "Test", "max_parallel_tasks": 1, "tasks": tasks, **rules}
        return self.json("workflow", "create", "custom", "--data", json.dumps(data))["workflow_id"]


@pytest.fixture
def on_disk(engine: Engine, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """The engine with a Dagster instance on disk, as the command line finds it."""
    folder = home / "dagster"
    folder.mkdir()
    (folder / "dagster.yaml").write_text(INSTANCE)
    monkeypatch.setenv("DAGSTER_HOME", str(folder))
    with dg.DagsterInstance.get() as instance:
        yield Engine(engine.books, instance)


@pytest.fixture
def shell(on_disk: Engine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    return Shell(capsys, monkeypatch)


pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def test_a_workflow_is_created_run_and_shown(on_disk: Engine, shell: Shell) -> None:
    key = shell.create(act("a"), act("b", ["a"]))
    assert shell.json("workflow", "status", key)["state"] == "pending"
    started = shell.json("workflow", "run", key)
    assert (started["workflow_id"], started["state"]) == (key, "running")
    assert shell.json("workflow", "run", key)["run_id"] == started["run_id"]
    on_disk.settle()
    status = shell.json("workflow", "status", key)
    assert (status["status"], status["progress"]["percentage"]) == ("completed", 100.0)
    assert effects(key) == ["do a", "do b"]


def test_the_table_of_a_workflow_shows_its_tasks_and_why_it_failed(on_disk: Engine, shell: Shell) -> None:
    key = shell.create(act("first task"), act("second task", ["first task"], point="before_effect", action="refuse"))
    shell("workflow", "run", key)
    on_disk.settle()
    code, told, _ = shell("workflow", "status", key)
    assert code == 0
    for part in ("Test", "failed", "first task", "compensated", "refused"):
        assert part in told


def test_a_template_is_filled_from_a_file_and_the_next_step_is_told(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "launch.yaml"
    file.write_text(yaml.safe_dump({"brand_name": "Élégance Noir"}, allow_unicode=True))
    code, told, _ = shell("workflow", "create", "fashion_brand_launch", "--file", str(file))
    assert code == 0
    assert "Élégance Noir" in told and "luxauto workflow run wf_" in told


def test_the_newest_workflows_are_listed_first(shell: Shell) -> None:
    keys = [shell.create(act("a"), name=f"Number {n}") for n in range(3)]
    listed = shell.json("workflow", "list", "--limit", "2")
    assert [row["workflow_id"] for row in listed] == [keys[2], keys[1]]
    assert [row["name"] for row in listed] == ["Number 2", "Number 1"]
    code, told, _ = shell("workflow", "list")
    assert code == 0 and all(f"Number {n}" in told for n in range(3))


@pytest.mark.parametrize(("more", "state"), [([], "completed"), (["--reject"], "failed")])
def test_a_question_is_shown_and_answered(on_disk: Engine, shell: Shell, more: list[str], state: str) -> None:
    key = shell.create(act("a"), gate("g", ["a"], question="May it go?"), act("b", ["g"]))
    shell("workflow", "run", key)
    on_disk.settle()
    code, told, _ = shell("workflow", "watch", key)
    assert code == 3
    assert "May it go?" in told and f"luxauto workflow approve {key}" in " ".join(told.split())
    answer = shell.json("workflow", "approve", key, "--comment", "seen", *more)
    assert answer["task"] == "g" and answer["state"] == ("rejected" if more else "approved")
    on_disk.settle()
    assert on_disk.state(key) == state
    code, _, fault = shell("workflow", "approve", key)
    assert code == 1 and "asks nothing" in fault


def test_of_several_questions_one_has_to_be_named(on_disk: Engine, shell: Shell) -> None:
    key = shell.create(gate("g"), gate("h"))
    shell("workflow", "run", key)
    on_disk.settle()
    code, _, fault = shell("workflow", "approve", key)
    assert code == 1 and "'g'" in fault and "'h'" in fault and "--task" in fault
    assert shell.json("workflow", "approve", key, "--task", "h")["task"] == "h"


def test_a_workflow_is_paused_resumed_and_cancelled(on_disk: Engine, shell: Shell) -> None:
    key = shell.create(act("a"), gate("g", ["a"]))
    shell("workflow", "run", key)
    on_disk.settle()
    assert shell.json("workflow", "pause", key)["state"] == "paused"
    assert shell("workflow", "watch", key)[0] == 3
    assert shell("workflow", "resume", key)[0] == 0
    on_disk.settle()
    assert on_disk.state(key) == "waiting"
    assert shell.json("workflow", "cancel", key)["state"] == "cancelling"
    on_disk.settle()
    assert on_disk.state(key) == "cancelled"
    assert effects(key) == ["do a", "undo a"]
    assert shell("workflow", "watch", key)[0] == 1


def test_watching_ends_with_what_became_of_it(on_disk: Engine, shell: Shell) -> None:
    good = shell.create(act("a"))
    bad = shell.create(act("a", point="before_effect"))
    stuck = shell.create(
        act("a", point="before_undo", action="refuse", times=99), act("b", ["a"], point="before_effect")
    )
    for key in (good, bad, stuck):
        shell("workflow", "run", key)
    on_disk.settle()
    assert [shell("workflow", "watch", key)[0] for key in (good, bad, stuck)] == [0, 1, 1]


def test_running_and_watching_waits_until_it_has_ended(on_disk: Engine, shell: Shell) -> None:
    key = shell.create(act("a", point="before_effect"))
    watcher = subprocess.Popen(
        [sys.executable, "-m", "luxauto_pipelines.cli", "workflow", "run", key, "--watch"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while on_disk.state(key) == "pending" and watcher.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert watcher.poll() is None
    on_disk.settle()
    told, errors = watcher.communicate(timeout=120)
    assert watcher.returncode == 1, errors
    assert "failed" in told and "was cut off" in " ".join(told.split())


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["create", "fashion_brand_launch", "--data", "{}"], ["/brand_name", "required"]),
        (["create", "fashion_brand_launch", "--data", '{"brand_name": "x", "colour": 1}'], ["/colour"]),
        (["create", "custom", "--data", '{"name": "x", "tasks": []}'], ["/tasks"]),
        (["create", "marketing_campaign", "--data", '{"campaign_name": ""}'], ["/campaign_name"]),
        (["status", "wf_nowhere"], ["wf_nowhere"]),
        (["run", "wf_nowhere"], ["wf_nowhere"]),
        (["approve", "wf_nowhere"], ["wf_nowhere"]),
        (["watch", "wf_nowhere"], ["wf_nowhere"]),
    ],
)
def test_what_cannot_be_done_is_told_with_the_field_and_exit_code_one(
    shell: Shell, arguments: list[str], named: list[str]
) -> None:
    code, told, fault = shell("workflow", *arguments)
    assert code == 1
    assert told == ""
    assert "Traceback" not in fault
    assert all(part in fault for part in named), fault


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["create", "party", "--data", "{}"], ["party", "product_launch"]),
        (["create", "custom"], ["--file", "--data"]),
        (["create", "custom", "--data", "{}", "--file", "x"], ["--file", "--data"]),
        (["create", "custom", "--data", "[1]"], ["object"]),
        (["create", "custom", "--data", "{"], ["cannot be read"]),
        (["create", "custom", "--file", "nowhere.yaml"], ["cannot be read"]),
        (["list", "--limit", "0"], ["--limit"]),
        (["create"], ["TYPE"]),
    ],
)
def test_a_command_line_that_is_wrong_is_told_with_exit_code_two(
    shell: Shell, arguments: list[str], named: list[str]
) -> None:
    code, _, fault = shell("workflow", *arguments)
    assert code == 2
    # Boxes and line breaks of the terminal aside.
    plain = " ".join(fault.replace("│", " ").split())
    assert all(part in plain for part in named), fault


def test_a_circle_among_tasks_is_told_task_by_task(shell: Shell) -> None:
    data = json.dumps({"name": "x", "tasks": [act("one", ["two"]), act("two", ["one"])]})
    code, _, fault = shell("workflow", "create", "custom", "--data", data)
    plain = " ".join(fault.split())
    assert code == 1 and "/tasks" in plain and "one" in plain and "two" in plain and "→" in plain


def test_what_has_ended_cannot_be_steered(on_disk: Engine, shell: Shell) -> None:
    key = shell.create(act("a"))
    shell("workflow", "run", key)
    on_disk.settle()
    for deed in ("pause", "resume", "cancel"):
        code, _, fault = shell("workflow", deed, key)
        assert code == 1 and "completed" in fault
