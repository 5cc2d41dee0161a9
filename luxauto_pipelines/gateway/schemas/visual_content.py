"""Pictures: what may be asked for, and what is answered."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Discriminator, Field, Tag

from luxauto_pipelines.agents.visual_content.parameters import MOST_REQUESTS, Generation
from luxauto_pipelines.gateway.schema_types import Line, Strict

VisualRequest = Generation
Requests = Annotated[list[VisualRequest], Field(min_length=1, max_length=MOST_REQUESTS)]


class VisualBatch(Strict):
    """Several pictures."""

    requests: Requests


def _shape(body: Any) -> str:
    return "[list]" if isinstance(body, list) else "[object]"


BatchBody = Annotated[
    Annotated[Requests, Tag("[list]")] | Annotated[VisualBatch, Tag("[object]")], Discriminator(_shape)
]
"""A bare list, or an object that holds it. The tags stand in brackets, so that no error's pointer shows them."""


class PictureView(BaseModel):
    """One picture. Those in `needs_review` wait for a person: `why` says what the judge found."""

    id: str
    url: str
    state: str
    score: float
    provider: str
    model: str
    media_type: str
    width: int
    height: int
    seed: int | None
    cost: float = Field(description="US dollars.")
    alt: str | None = Field(None, description="What it shows, in the words of who made it.")
    why: list[str]


class VisualGenerated(BaseModel):
    """The pictures, and what they cost."""

    success: bool
    request_id: str
    provider: str | None
    model: str | None = None
    images: list[str]
    pictures: list[PictureView] = []
    quality_score: float | None = Field(ge=0, le=1)
    generation_time: float = Field(description="Seconds.")
    cost: float = Field(description="US dollars, pictures that failed a check included.")
    cached: bool = False
    notes: list[str] = []
    error: str | None


class VisualResult(BaseModel):
    """One request of a batch."""

    request_id: str
    success: bool
    images: list[str]
    pictures: list[PictureView] = []
    provider: str | None = None
    quality_score: float | None = None
    cost: float = 0.0
    notes: list[str] = []
    error: str | None


class VisualsGenerated(BaseModel):
    """`success` only when every request succeeded."""

    success: bool
    total_requests: int
    results: list[VisualResult]
    cost: float = 0.0


class CandidateView(BaseModel):
    """A model that could be asked, or why it would not be."""

    model: str
    provider: str
    score: float | None
    parts: dict[str, float]
    rejected: str | None
    note: str | None


class Candidates(BaseModel):
    """In the order in which they would be asked; `chosen` is the first that would be."""

    success: bool = True
    chosen: str | None
    candidates: list[CandidateView]
    notes: list[str]


class ReviewView(PictureView):
    """A picture with all that helps to decide about it."""

    content_type: str
    brief: str | None
    sku: str | None
    campaign: str | None
    checks: list[dict[str, Any]]
    tries: list[dict[str, Any]]
    notes: list[str]
    kit_version: str
    created_at: datetime
    created_by: str
    decided_at: datetime | None
    decided_by: str | None
    note: str | None


class Reviews(BaseModel):
    """Newest first."""

    reviews: list[ReviewView]
    next_cursor: str | None = Field(description="None on the last page")


class Verdict(Strict):
    """What a person decided."""

    verdict: Literal["approve", "reject"]
    note: Line | None = None


class Decided(BaseModel):
    """What became of a picture."""

    success: bool
    picture: ReviewView


class ProviderPerformance(BaseModel):
    total_requests: int
    successful_requests: int
    total_time: float
    avg_time: float | None
    success_rate: float | None


class VisualState(BaseModel):
    agent_name: str
    version: str
    available_providers: list[str] = []
    generation_count: int = 0
    avg_generation_time: float | None = None
    provider_performance: dict[str, ProviderPerformance] = {}
    pictures: dict[str, int] = Field({}, description="How many there are in each state.")
    output_directory: str | None = None
    cache_directory: str | None = None
    reason: str | None = Field(None, description="Why it is not available.")


class VisualStatus(BaseModel):
    available: bool
    status: VisualState
