"""Which agents there are and what each can do: the one place that workflows and the gateway ask.

Belongs here: the shape of an agent and of its methods, the errors they raise, and finding them by name. Does not belong here:
what a method does (`agents/<agent>.py`).

An agent that is not built yet is listed with the names of its methods and the reason why it is not available, so that a
workflow which names it is understood and fails for that reason alone.
"""

import importlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from pydantic import BaseModel, ConfigDict

from resources.settings import load_settings
from resources.store.brand_store import BrandStore


class AgentError(Exception):
    """Something an agent will not do, however often it is asked; the message says what to change."""


class UnknownAgent(AgentError):
    """No such agent or method."""


class AgentUnavailable(AgentError):
    """The agent, or what it needs, is not there."""


class FreeParameters(BaseModel):
    """Parameters that are passed on as they are."""

    model_config = ConfigDict(extra="allow")


@dataclass(frozen=True)
class Undone:
    """What a compensating method undoes. `result` is None when nobody knows whether the effect happened."""

    key: str
    parameters: Mapping[str, Any]
    result: Mapping[str, Any] | None


@dataclass(frozen=True)
class Call:
    """What a method is told besides its parameters.

    `key` is the idempotency key of the effect: the same for every attempt, so that a repeated call changes nothing.
    `results` are the results of the tasks that this one depends on, by name. `request_id` and `address` are for the audit log.
    """

    books: BrandStore
    key: str
    principal: str = "system"
    results: Mapping[str, Any] = field(default_factory=dict)
    undoes: Undone | None = None
    request_id: str | None = None
    address: str | None = None


@dataclass(frozen=True)
class Method:
    """One thing that an agent can do. `compensation` names the method of the same agent that undoes it, if one can."""

    run: Callable[[Call, Any], Mapping[str, Any]]
    parameters: type[BaseModel] = FreeParameters
    compensation: str | None = None
    description: str = ""


@dataclass(frozen=True)
class Agent:
    """`status` gives the contract's status object; `unavailable` says why the agent cannot work, if so."""

    name: str
    version: str
    methods: Mapping[str, Method]
    status: Callable[[BrandStore], dict[str, Any]]
    unavailable: str | None = None

    def method(self, name: str) -> Method:
        """Raises UnknownAgent, naming the methods that there are."""
        if name not in self.methods:
            raise UnknownAgent(f"agent {self.name!r} has no method {name!r}; it has {', '.join(sorted(self.methods))}")
        return self.methods[name]

    def call(self, name: str, call: Call, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        """Check the parameters and do it.

        Raises AgentUnavailable, UnknownAgent, pydantic's ValidationError, and what the method raises.
        """
        method = self.method(name)
        if self.unavailable:
            raise AgentUnavailable(f"the agent {self.name} is not available: {self.unavailable}")
        return method.run(call, method.parameters.model_validate(parameters))


def find_agent(name: str) -> Agent:
    """Raises UnknownAgent, naming the agents that there are. Loads no more modules than it has to."""
    for module in _modules():
        found = next((agent for agent in _agents_of(module) if agent.name == name), None)
        if found is not None:
            return found
    raise UnknownAgent(f"there is no agent {name!r}; there are {', '.join(sorted(all_agents()))}")


def all_agents() -> Mapping[str, Agent]:
    """Every agent by name: those of the project and those of the modules that the setting `agents` names."""
    return {agent.name: agent for module in reversed(_modules()) for agent in _agents_of(module)}


def _modules() -> tuple[str, ...]:
    # The heaviest last: a step of another agent's does not pay for it.
    return (
        "luxauto_pipelines.agents.workflow_control",
        "luxauto_pipelines.agents.planned",
        *load_settings().agents,
        "luxauto_pipelines.agents.visual_content",
        "luxauto_pipelines.agents.finance_inventory",
    )


@cache
def _agents_of(module: str) -> Iterable[Agent]:
    try:
        return tuple(importlib.import_module(module).AGENTS)
    except (ImportError, AttributeError) as error:
        raise AgentError(
            f"setting `agents` names {module!r}, which is no module with a list AGENTS: {error}. Correct luxauto.yaml."
        ) from error
