"""Pictures: what may be asked for, and what is answered."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from assets.visuals.presets import StylePreset
from luxauto_pipelines.gateway.schema_types import Prompt, Strict

ContentType = Literal[
    "product_photo",
    "lifestyle_image",
    "fashion_lookbook",
    "social_media_post",
    "banner_ad",
    "video_commercial",
    "promotional_video",
    "design_mockup",
    "brand_logo",
    "pattern_design",
]
Provider = Literal["dalle_3", "stable_diffusion_xl", "midjourney", "claude_artifacts"]
Pixels = Annotated[int, Field(ge=512, le=2048)]
MOST_REQUESTS = 100


class VisualRequest(Strict):
    """One picture, in some variations."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "prompt": "luxury handbag on marble surface, studio lighting, high-end fashion photography",
                    "content_type": "product_photo",
                    "style_preset": "minimalist_luxury",
                    "width": 1024,
                    "height": 1024,
                    "quality": "high",
                    "variations": 3,
                }
            ]
        }
    )

    prompt: Prompt
    content_type: ContentType = "product_photo"
    style_preset: StylePreset = "minimalist_luxury"
    provider: Provider | None = Field(None, description="Default: the best that is available.")
    width: Pixels = 1024
    height: Pixels = 1024
    quality: Literal["low", "medium", "high", "ultra"] = "high"
    variations: Annotated[int, Field(ge=1, le=4)] = 1


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


class VisualGenerated(BaseModel):
    """The pictures, and what they cost."""

    success: bool
    request_id: str
    provider: str | None
    images: list[str]
    quality_score: float | None = Field(ge=0, le=1)
    generation_time: float = Field(description="Seconds.")
    cost: float = Field(description="US dollars.")
    error: str | None


class VisualResult(BaseModel):
    request_id: str
    success: bool
    images: list[str]
    error: str | None


class VisualsGenerated(BaseModel):
    """`success` only when every request succeeded."""

    success: bool
    total_requests: int
    results: list[VisualResult]


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
    output_directory: str | None = None
    cache_directory: str | None = None
    reason: str | None = Field(None, description="Why it is not available.")


class VisualStatus(BaseModel):
    available: bool
    status: VisualState
