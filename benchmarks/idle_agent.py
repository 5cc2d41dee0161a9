"""An agent that does nothing, so that what is measured is the engine."""

from typing import Any

from luxauto_pipelines.agents.registry import Agent, Call, FreeParameters, Method


def _rest(call: Call, parameters: FreeParameters) -> dict[str, Any]:
    return {}


AGENTS = [Agent("idle", "1", {"rest": Method(_rest)}, lambda books: {})]
