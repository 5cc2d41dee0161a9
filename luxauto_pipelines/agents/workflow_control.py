"""Tasks that steer a workflow instead of changing the world: the approval of a person."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from luxauto_pipelines.agents.registry import Agent, AgentError, Call, Method
from resources.store.brand_store import BrandStore


class ApprovalParameters(BaseModel):
    """What is asked, and how long an answer is waited for."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    question: str = Field(default="", max_length=500)
    timeout_hours: float | None = Field(
        default=None, gt=0, le=24 * 365, description="Unanswered by then, it is refused."
    )


def _approval(call: Call, parameters: ApprovalParameters) -> dict[str, Any]:
    raise AgentError("an approval is a gate of a workflow; it cannot be called by itself")


def _status(books: BrandStore) -> dict[str, Any]:
    return {"agent_name": "workflow", "version": "1"}


AGENTS = (Agent("workflow", "1", {"approval": Method(_approval, ApprovalParameters)}, _status),)
