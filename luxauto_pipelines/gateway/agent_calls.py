"""Calling agents for a request.

Does not belong here: which agents there are (`agents/registry`), or an agent's own refusals (its router).
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from luxauto_pipelines.agents.registry import AgentUnavailable, Call, find_agent
from luxauto_pipelines.gateway.dependencies import Principal
from luxauto_pipelines.gateway.problems import Problem
from resources.store.brand_store import BrandStore


def call_of(books: BrandStore, caller: Principal, key: str) -> Call:
    """What a method is told of the request: its effect's key, and who asks from where."""
    return Call(books, key, caller.subject, request_id=caller.request_id, address=caller.address)


def ask(agent: str, method: str, call: Call, wanted: BaseModel | Mapping[str, Any]) -> Mapping[str, Any]:
    """Do it, or raise Problem 503 where the agent cannot work. What was left out is not passed on."""
    parameters = wanted.model_dump(mode="json", exclude_none=True) if isinstance(wanted, BaseModel) else wanted
    found = find_agent(agent)
    try:
        return found.call(method, call, parameters)
    except AgentUnavailable as error:
        # `unavailable` is why it can never work here; without it only this call failed.
        title = f"Agent {agent} is not built yet" if found.unavailable else f"Agent {agent} is not available"
        raise Problem(503, title, str(error), headers={"Retry-After": "3600"}) from error


def state_of_agent(agent: str, books: BrandStore) -> tuple[bool, dict[str, Any]]:
    """Whether it can work, and its status object."""
    found = find_agent(agent)
    return found.unavailable is None, found.status(books)
