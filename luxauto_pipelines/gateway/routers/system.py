"""The whole installation at a glance. Does not belong here: probes for platforms (`system_probes`)."""

from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from luxauto_pipelines.gateway.dependencies import Books, requires
from luxauto_pipelines.gateway.routers import code, finance, marketing, visual_content
from luxauto_pipelines.gateway.routing import router as make_router
from luxauto_pipelines.gateway.schemas.system import Agents, AgentView, SystemStatus
from luxauto_pipelines.workflows.status import engine_status

router = make_router("/system", "System")


@router.get("/status", dependencies=[requires("status:read")])
def system_status(books: Books) -> SystemStatus:
    """Every agent and the workflow engine, as their own status routes tell them."""
    agents = Agents(
        visual_content=_view(visual_content.status(books)),
        finance_inventory=_view(finance.status(books)),
        marketing=_view(marketing.status(books)),
        code_development=_view(code.status(books)),
        workflow_engine=_engine(engine_status(books)),
    )
    return SystemStatus(timestamp=datetime.now(UTC), version=version("luxauto"), agents=agents)


def _view(status: Any) -> AgentView:
    return AgentView.model_validate(status.model_dump(mode="json"))


def _engine(status: Mapping[str, Any]) -> AgentView:
    return AgentView(available=True, status=dict(status))
