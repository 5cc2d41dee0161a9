"""Workflows beside a bare Dagster job of the same shape: from being asked for to the first step, and for each step.

Both go through the same queue, daemon and launcher of one installation. The bare job has as many ops in a row,
which do nothing.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
from dagster import DagsterEventType

from benchmarks.measure import Measured, installation, medians
from luxauto_pipelines.instance import MODULE, child_environment, prepare
from luxauto_pipelines.workflows import control
from luxauto_pipelines.workflows.runs import submit_job
from luxauto_pipelines.workflows.spec import WorkflowSpec
from resources.settings import load_settings
from resources.store.brand_store import BrandStore

STEPS = 10
PAIRS = 5
PATIENCE_SECONDS = 120
ROOT = Path(__file__).parents[1]


def bare_job() -> dg.JobDefinition:
    """Ten ops in a row that do nothing."""

    def op(number: int) -> dg.OpDefinition:
        @dg.op(name=f"t{number}", ins={"after": dg.In(dg.Nothing)} if number else {}, out=dg.Out(dg.Nothing))
        def nothing() -> None:
            return None

        return nothing

    after = {f"t{n}": {"after": dg.DependencyDefinition(f"t{n - 1}")} for n in range(1, STEPS)}
    graph = dg.GraphDefinition("bare", node_defs=[op(n) for n in range(STEPS)], dependencies=after)
    return graph.to_job(executor_def=dg.in_process_executor)


def run() -> Iterator[Measured]:
    """Seconds until the first step starts, and seconds for each step; ratios to the bare job's."""
    with tempfile.TemporaryDirectory() as folder, installation(Path(folder)):
        (Path(folder) / "luxauto.yaml").write_text('agents: ["benchmarks.idle_agent"]\n')
        books = prepare(load_settings())
        environment = {**child_environment(books.settings), "PYTHONPATH": str(ROOT)}
        daemon = subprocess.Popen(
            [sys.executable, "-m", "dagster._daemon", "run", "-m", MODULE],
            env=environment,
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            instance = dg.DagsterInstance.get()
            # The daemon's own start falls on neither.
            _bare(instance)
            steps: list[tuple[float, float]] = []

            def keep(pair: tuple[float, float]) -> float:
                steps.append(pair)
                return pair[0]

            ours, reference = medians(lambda: keep(_workflow(books, instance)), lambda: keep(_bare(instance)), PAIRS)
            yield Measured("workflow, created to first step", "s", ours, reference, 1.5, "lower")
            mine = sorted(pair[1] for pair in steps[0::2])[PAIRS // 2]
            other = sorted(pair[1] for pair in steps[1::2])[PAIRS // 2]
            yield Measured("workflow, each step", "s", mine, other, 2.0, "lower")
        finally:
            daemon.terminate()
            daemon.wait(60)


def _workflow(books: BrandStore, instance: dg.DagsterInstance) -> tuple[float, float]:
    tasks = [
        {"name": f"t{n}", "agent_type": "idle", "agent_method": "rest", "depends_on": [f"t{n - 1}"] if n else []}
        for n in range(STEPS)
    ]
    actor = control.Actor("benchmark")
    asked = time.time()
    workflow = control.create(books, WorkflowSpec.model_validate({"name": "Bench", "tasks": tasks}), actor)
    started = control.execute(books, instance, workflow.key, actor)
    return _times(instance, str(started.run_id), asked)


def _bare(instance: dg.DagsterInstance) -> tuple[float, float]:
    asked = time.time()
    run_id = submit_job(instance, bare_job(), "benchmarks.workflow", "bare_job", (), {})
    return _times(instance, run_id, asked)


def _times(instance: dg.DagsterInstance, run_id: str, asked: float) -> tuple[float, float]:
    """Seconds from `asked` to the first step, and from there to the end of the last, for each step."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (run := instance.get_run_by_id(run_id)) or not run.is_finished:
        if time.monotonic() > deadline:
            raise TimeoutError(f"run {run_id} did not end; see the daemon")
        time.sleep(0.1)
    first = instance.all_logs(run_id, of_type=DagsterEventType.STEP_START)[0].timestamp
    last = instance.all_logs(run_id, of_type=DagsterEventType.STEP_SUCCESS)[-1].timestamp
    return first - asked, (last - first) / STEPS
