"""The whole installation at a glance."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel


class AgentView(BaseModel):
    """An agent, as its own status route tells it."""

    available: bool
    status: dict[str, Any]


class Agents(BaseModel):
    visual_content: AgentView
    finance_inventory: AgentView
    marketing: AgentView
    code_development: AgentView
    workflow_engine: AgentView


class SystemStatus(BaseModel):
    timestamp: datetime
    version: str
    agents: Agents
