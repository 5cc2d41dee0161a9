"""The visual content agent: pictures made, taken back, reviewed, for workflows and the gateway alike.

Here stands what it can do; each thing is done in a module of its own.
"""

from collections.abc import Callable
from typing import Any

from luxauto_pipelines.agents.registry import Agent, Call, Method
from luxauto_pipelines.agents.visual_content.parameters import Batch, Decision, Generation, ReviewQuery, Undoing
from luxauto_pipelines.agents.visual_content.state import NAME, VERSION, status


def _of(module: str, name: str) -> Callable[[Call, Any], dict[str, Any]]:
    # What makes pictures is heavy; a process that asks for the status alone does not load it.
    def do(call: Call, wanted: Any) -> dict[str, Any]:
        from importlib import import_module

        return getattr(import_module(f"{__name__}.{module}"), name)(call, wanted)

    return do


AGENT = Agent(
    NAME,
    VERSION,
    {
        "generate": Method(
            _of("generate", "generate"), Generation, "delete_generated", "Have a picture made, in some variations."
        ),
        "batch_generate": Method(
            _of("generate", "batch_generate"), Batch, "delete_generated", "Have several pictures made."
        ),
        "delete_generated": Method(_of("generate", "delete_generated"), Undoing, None, "Take pictures back."),
        "providers": Method(
            _of("generate", "providers"), Generation, None, "Who would make a picture, and why others would not."
        ),
        "review": Method(_of("review", "review"), ReviewQuery, None, "Pictures that a person should look at."),
        "decide": Method(_of("review", "decide"), Decision, None, "Approve or reject a picture."),
    },
    status,
)
AGENTS = (AGENT,)
