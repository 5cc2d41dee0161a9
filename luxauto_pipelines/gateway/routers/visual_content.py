"""Pictures: generate one or several, status."""

from typing import Annotated

from fastapi import Body

from luxauto_pipelines.gateway.agent_calls import ask, call_of, state_of_agent
from luxauto_pipelines.gateway.dependencies import Books, Caller, EffectKey, requires
from luxauto_pipelines.gateway.routing import router as make_router
from luxauto_pipelines.gateway.schemas.visual_content import (
    BatchBody,
    VisualBatch,
    VisualGenerated,
    VisualRequest,
    VisualsGenerated,
    VisualState,
    VisualStatus,
)

AGENT = "visual_content"
router = make_router("/visual-content", "Visual content")


@router.post("/generate", dependencies=[requires("visual:write")])
def generate(wanted: VisualRequest, books: Books, caller: Caller, key: EffectKey) -> VisualGenerated:
    """Generate a picture in up to four variations."""
    return VisualGenerated.model_validate(ask(AGENT, "generate", call_of(books, caller, key), wanted))


@router.post("/batch-generate", dependencies=[requires("visual:write")])
def batch_generate(
    wanted: Annotated[BatchBody, Body()], books: Books, caller: Caller, key: EffectKey
) -> VisualsGenerated:
    """Generate several pictures. `success` only when every one succeeded."""
    batch = wanted if isinstance(wanted, VisualBatch) else VisualBatch(requests=wanted)
    return VisualsGenerated.model_validate(ask(AGENT, "batch_generate", call_of(books, caller, key), batch))


@router.get("/status", dependencies=[requires("status:read")])
def status(books: Books) -> VisualStatus:
    """Providers and what they did."""
    available, state = state_of_agent(AGENT, books)
    return VisualStatus(available=available, status=VisualState.model_validate(state))
