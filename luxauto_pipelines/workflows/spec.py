"""What a workflow is: its tasks, what they depend on, and how each is tried, bounded and undone.

Does not belong here: how far a workflow is (`resources.store.journal`).
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from luxauto_pipelines.agents.registry import Agent, UnknownAgent, find_agent

# The agent and method of tasks that are no effect but a question to a person; see `agents/workflow_control.py`.
APPROVAL = ("workflow", "approval")
# A parameter that is the result of an earlier task: "${Create campaign.campaign_id}".
REFERENCE = re.compile(r"^\$\{(?P<task>[^{}]+)\.(?P<field>[A-Za-z0-9_]+)\}$")


class InvalidWorkflow(ValueError):
    """The specification cannot be run; `errors` are pairs of a JSON pointer and what to change."""

    def __init__(self, errors: list[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{pointer}: {message}" for pointer, message in errors))
        self.errors = errors


class Task(BaseModel):
    """One call of an agent's method."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str = Field(min_length=1, max_length=128, pattern=r"^[^\x00${}]+$")
    agent_type: str = Field(min_length=1, max_length=64)
    agent_method: str = Field(min_length=1, max_length=64)
    parameters: dict[str, Any] = Field(default_factory=dict)
    depends_on: tuple[str, ...] = Field(default=(), max_length=200)
    retry_count: int = Field(
        default=2, ge=0, le=10, description="How often it is tried again after an error or a crash."
    )
    retry_delay_seconds: float = Field(
        default=1.0, ge=0, le=3600, description="Before the first retry; doubled each time."
    )
    timeout_seconds: float = Field(default=300.0, gt=0, le=86_400, description="Of one attempt.")
    allow_failure: bool = Field(default=False, description="The workflow goes on without it.")
    compensation_method: str | None = Field(default=None, max_length=64, description="Default: the method's own.")
    compensation_parameters: dict[str, Any] = Field(default_factory=dict)
    weight: float = Field(default=1.0, gt=0, le=1_000_000, description="Its share of the progress.")


class WorkflowSpec(BaseModel):
    """Tasks and the rules for all of them."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str = Field(min_length=1, max_length=200, pattern=r"^[^\x00]+$")
    type: str = Field(default="custom", max_length=64, pattern=r"^[a-z_]+$")
    max_parallel_tasks: int = Field(default=5, ge=1, le=64, description="Tasks at once; all of them run.")
    enable_rollback: bool = Field(default=True, description="Undo what was done when a task fails.")
    continue_on_failure: bool = Field(
        default=False, description="Tasks that do not depend on a failed one go on, and nothing is undone."
    )
    tasks: tuple[Task, ...] = Field(min_length=1, max_length=200)

    @property
    def rolls_back(self) -> bool:
        return self.enable_rollback and not self.continue_on_failure

    def task(self, name: str) -> Task:
        return next(task for task in self.tasks if task.name == name)

    def ancestors(self, name: str) -> set[str]:
        """Every task that has to be over before this one starts."""
        parents = {task.name: task.depends_on for task in self.tasks}
        found: set[str] = set()
        queue = list(parents[name])
        while queue:
            if (parent := queue.pop()) not in found:
                found.add(parent)
                queue += parents.get(parent, ())
        return found


@dataclass(frozen=True)
class Reference:
    """Where a parameter takes another task's result from."""

    task: str
    field: str


def check(spec: WorkflowSpec) -> None:
    """Raises InvalidWorkflow with everything that is wrong: names, dependencies, cycles, agents, methods, parameters."""
    errors = [*_name_errors(spec), *_dependency_errors(spec)]
    errors = errors or _cycle_errors(spec)
    errors += [error for index, task in enumerate(spec.tasks) for error in _agent_errors(f"/tasks/{index}", task)]
    if not errors:
        errors = [error for index, task in enumerate(spec.tasks) for error in _reference_errors(index, task, spec)]
    if errors:
        raise InvalidWorkflow(errors)


def references(value: Any) -> Iterator[Reference]:
    """The references in a task's parameters, however deep."""
    if isinstance(value, str) and (found := REFERENCE.match(value)):
        yield Reference(found["task"], found["field"])
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from references(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from references(item)


def resolve(value: Any, results: Mapping[str, Mapping[str, Any]]) -> Any:
    """The parameters with each reference replaced by what the task gave. Raises KeyError naming what it did not give."""
    if isinstance(value, str) and (found := REFERENCE.match(value)):
        return results[found["task"]][found["field"]]
    if isinstance(value, Mapping):
        return {key: resolve(item, results) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [resolve(item, results) for item in value]
    return value


def _name_errors(spec: WorkflowSpec) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    for index, task in enumerate(spec.tasks):
        if task.name in seen:
            yield f"/tasks/{index}/name", f"there are two tasks named {task.name!r}; rename one"
        seen.add(task.name)


def _dependency_errors(spec: WorkflowSpec) -> Iterator[tuple[str, str]]:
    names = {task.name for task in spec.tasks}
    for index, task in enumerate(spec.tasks):
        for position, parent in enumerate(task.depends_on):
            if parent not in names:
                yield f"/tasks/{index}/depends_on/{position}", f"there is no task {parent!r}"


def _cycle_errors(spec: WorkflowSpec) -> list[tuple[str, str]]:
    try:
        TopologicalSorter({task.name: task.depends_on for task in spec.tasks}).prepare()
    except CycleError as error:
        return [("/tasks", f"tasks wait for each other in a circle: {' → '.join(error.args[1])}")]
    return []


def _agent_errors(pointer: str, task: Task) -> Iterator[tuple[str, str]]:
    for field in ("parameters", "compensation_parameters"):
        if _unstorable(getattr(task, field)):
            yield f"{pointer}/{field}", "it has a number that is not finite, or a text with a NUL character"
    try:
        agent = find_agent(task.agent_type)
    except UnknownAgent as error:
        yield f"{pointer}/agent_type", str(error)
        return
    if task.allow_failure and (task.agent_type, task.agent_method) == APPROVAL:
        yield (
            f"{pointer}/allow_failure",
            "an approval must not be allowed to fail: what follows it would be done unapproved",
        )
    yield from _method_errors(pointer, agent, "agent_method", task.agent_method, "parameters", task.parameters)
    if task.compensation_method:
        given = task.compensation_parameters
        yield from _method_errors(
            pointer, agent, "compensation_method", task.compensation_method, "compensation_parameters", given
        )
    elif task.compensation_parameters:
        yield f"{pointer}/compensation_parameters", "give the compensation_method that takes them"


def _unstorable(value: Any) -> bool:
    """Whether the value has numbers or characters that JSON or PostgreSQL do not have."""
    if isinstance(value, Mapping):
        return any(_unstorable(part) for pair in value.items() for part in pair)
    if isinstance(value, (list, tuple)):
        return any(_unstorable(item) for item in value)
    return (isinstance(value, float) and not math.isfinite(value)) or (isinstance(value, str) and "\x00" in value)


def _method_errors(
    pointer: str, agent: Agent, field: str, name: str, parameters_field: str, parameters: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    try:
        method = agent.method(name)
    except UnknownAgent as error:
        yield f"{pointer}/{field}", str(error)
        return
    try:
        method.parameters.model_validate(parameters)
    except ValidationError as error:
        for problem in error.errors():
            # What a reference stands for is known only when the task runs.
            if not list(references(problem["input"])):
                place = "/".join(str(part) for part in problem["loc"])
                yield f"{pointer}/{parameters_field}/{place}", problem["msg"]


def _reference_errors(index: int, task: Task, spec: WorkflowSpec) -> Iterator[tuple[str, str]]:
    earlier = spec.ancestors(task.name)
    for field in ("parameters", "compensation_parameters"):
        for reference in references(getattr(task, field)):
            if reference.task not in earlier:
                yield (
                    f"/tasks/{index}/{field}",
                    f"it takes a result of {reference.task!r}, on which it does not depend; add that to depends_on",
                )
