"""A workflow as Dagster jobs: the tasks of one run as ops in the order of their dependencies, and the undoing in reverse.

A job is built anew in each process from its arguments and the stored specification, which never changes; so the run's worker,
its steps and whoever created the run see the same job. Dagster executes it: order, parallelism, retries, events.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from graphlib import TopologicalSorter

import dagster as dg

from luxauto_pipelines.workflows.spec import Task, WorkflowSpec
from luxauto_pipelines.workflows.steps import Fenced, Run, StepFailed, die_with_parent, do_step, undo_step
from resources.settings import Settings, load_settings
from resources.store import Store, journal, open_store
from resources.store.brand_store import BrandStore
from resources.store.engine import patiently

UNDO_RETRIES = 3
UNDO_DELAY_SECONDS = 1.0


def build_workflow_job(brand: str, key: str, role: str, epoch: int, names: list[str]) -> dg.JobDefinition:
    """The job of one run: `role` is forward or compensation, `names` the tasks it has to see to."""
    books = _books(load_settings(brand=brand))

    def read() -> WorkflowSpec:
        with books.read() as (connection, number):
            return WorkflowSpec.model_validate(journal.find(connection, number, key).spec)

    return job_of(patiently(read), books, key, role, epoch, names)


def job_of(
    spec: WorkflowSpec, books: BrandStore, key: str, role: str, epoch: int, names: Sequence[str]
) -> dg.JobDefinition:
    """Like `build_workflow_job`, for a specification that is at hand."""
    chosen = {task.name: task for task in spec.tasks if task.name in set(names)}
    op_names = {task.name: _op_name(index, task) for index, task in enumerate(spec.tasks)}
    if role == "forward":
        parents = {name: [p for p in task.depends_on if p in chosen] for name, task in chosen.items()}
        ops = [
            _forward_op(op_names[name], task, parents[name], op_names, books, key, epoch)
            for name, task in chosen.items()
        ]
    else:
        parents = undo_order(spec, chosen)
        ops = [
            _undo_op(op_names[name], task, parents[name], op_names, books, key, epoch) for name, task in chosen.items()
        ]
    graph = dg.GraphDefinition(
        name=f"{'' if role == 'forward' else 'undo_'}{spec.type}",
        node_defs=ops,
        dependencies={
            op_names[name]: {_input(op_names[p]): dg.DependencyDefinition(op_names[p], "done") for p in parents[name]}
            for name in chosen
        },
        description=f"{spec.name}: {'what is to be done' if role == 'forward' else 'what has to be undone'}",
    )
    parallel = role == "forward" and spec.max_parallel_tasks > 1 and widest(parents) > 1
    return graph.to_job(executor_def=_processes(spec.max_parallel_tasks) if parallel else dg.in_process_executor)


def undo_order(spec: WorkflowSpec, chosen: Mapping[str, Task]) -> dict[str, list[str]]:
    """For each task the tasks that have to be undone before it: those that depended on it, across tasks that never ran."""
    before: dict[str, list[str]] = {name: [] for name in chosen}
    for name in chosen:
        for ancestor in spec.ancestors(name) & chosen.keys():
            before[ancestor].append(name)
    return before


def widest(parents: Mapping[str, Sequence[str]]) -> int:
    """The most tasks that can be ready at once when they go in waves."""
    sorter = TopologicalSorter(parents)
    sorter.prepare()
    most = 0
    while sorter.is_active():
        ready = sorter.get_ready()
        most = max(most, len(ready))
        sorter.done(*ready)
    return most


def _forward_op(
    name: str, task: Task, parents: Sequence[str], op_names: Mapping[str, str], books: BrandStore, key: str, epoch: int
) -> dg.OpDefinition:
    @dg.op(
        name=name,
        description=f"{task.name}: {task.agent_type}.{task.agent_method}",
        ins={_input(op_names[parent]): dg.In(dg.Nothing) for parent in parents},
        # Without the output, what depends on it is skipped: paused, or waiting for a person.
        out={"done": dg.Out(dg.Nothing, is_required=False)},
        retry_policy=dg.RetryPolicy(
            max_retries=task.retry_count,
            delay=task.retry_delay_seconds,
            backoff=dg.Backoff.EXPONENTIAL,
            jitter=dg.Jitter.PLUS_MINUS,
        ),
        tags={"luxauto/task": task.name},
    )
    def forward(context: dg.OpExecutionContext) -> Iterator[dg.Output[None]]:
        die_with_parent()
        last = context.retry_number >= task.retry_count
        try:
            goes_on = do_step(Run(books, key, epoch, context.run_id), task.name, last_attempt=last)
        except StepFailed as failure:
            raise dg.Failure(str(failure), allow_retries=failure.again) from failure
        except Fenced as fenced:
            raise dg.Failure(f"not done: {fenced}", allow_retries=False) from fenced
        if goes_on:
            yield dg.Output(None, "done")

    return forward


def _undo_op(
    name: str, task: Task, parents: Sequence[str], op_names: Mapping[str, str], books: BrandStore, key: str, epoch: int
) -> dg.OpDefinition:
    @dg.op(
        name=name,
        description=f"Undo {task.name}: {task.agent_type}.{task.compensation_method or task.agent_method}",
        ins={_input(op_names[parent]): dg.In(dg.Nothing) for parent in parents},
        out={"done": dg.Out(dg.Nothing)},
        retry_policy=dg.RetryPolicy(
            max_retries=UNDO_RETRIES,
            delay=UNDO_DELAY_SECONDS,
            backoff=dg.Backoff.EXPONENTIAL,
            jitter=dg.Jitter.PLUS_MINUS,
        ),
        tags={"luxauto/task": task.name},
    )
    def undo(context: dg.OpExecutionContext) -> None:
        try:
            undo_step(Run(books, key, epoch, context.run_id), task.name)
        except StepFailed as failure:
            raise dg.Failure(str(failure)) from failure
        except Fenced as fenced:
            raise dg.Failure(f"not undone: {fenced}", allow_retries=False) from fenced

    return undo


def _processes(most: int) -> dg.ExecutorDefinition:
    # Spawned, not forked: only then is a step the worker's own child, and dies with it.
    return dg.multiprocess_executor.configured({"max_concurrent": most, "start_method": {"spawn": {}}})


def _books(settings: Settings) -> BrandStore:
    return BrandStore(settings, _store(settings.database_url))


@cache
def _store(database_url: str) -> Store:
    return patiently(lambda: open_store(database_url))


def _op_name(index: int, task: Task) -> str:
    plain = "".join(c if c.isascii() and c.isalnum() else "_" for c in task.name).strip("_").lower()
    return f"t{index}_{plain}"[:100]


def _input(op_name: str) -> str:
    return f"after_{op_name}"
