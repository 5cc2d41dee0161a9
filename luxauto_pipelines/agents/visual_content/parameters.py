"""What the visual content agent's methods take: every field, its limits, and examples.

Belongs here: what can be judged from a request alone. Does not belong here: how an order is made of it (`generate`). The
gateway serves the same models, so that a workflow and a request are held to the same rules.
"""

from functools import cache
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

from assets.visuals.presets import StylePreset
from luxauto_pipelines.gateway.schema_types import Currency, Identifier, Line, Name, NonNegativeMoney, Prompt, Strict

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
Pixels = Annotated[int, Field(ge=512, le=2048)]
MOST_REQUESTS = 100
MOST_SEED = 2**31 - 1


def _known(name: str) -> str:
    from resources.images.registry import RegistryError, read_registry
    from resources.settings import load_settings

    try:
        read_registry(load_settings().home).named(name, _today())
    except RegistryError as error:
        raise PydanticCustomError("provider", "{fault}", {"fault": str(error)}) from error
    return name


def _today() -> Any:
    from datetime import UTC, datetime

    return datetime.now(UTC).date()


@cache
def _names() -> list[str]:
    """What the project's own registry has names for; an installation may know more."""
    from resources.images.registry import read_registry

    models = read_registry().models
    return sorted({n for m in models for n in (m.provider, m.id, *m.aliases)})


Provider = Annotated[
    str,
    StringConstraints(min_length=1, max_length=64),
    AfterValidator(_known),
    Field(json_schema_extra={"enum": [*_names()]}),
]
"""A provider, an alias such as dalle_3, or a model of the registry."""
Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2}(-[A-Z]{2})?$")]
Colour = Annotated[str, StringConstraints(pattern=r"^#[0-9A-Fa-f]{6}$")]


class Words(Strict):
    """What the studio sets on a page; what is empty is left out."""

    eyebrow: Annotated[Line, Field(max_length=80)] = ""
    headline: Annotated[Line, Field(max_length=160)] = ""
    body: Annotated[Line, Field(max_length=500)] = ""
    call_to_action: Annotated[Line, Field(max_length=60)] = ""
    caption: Annotated[Line, Field(max_length=160)] = ""


class ProductWords(Strict):
    """What a picture is of."""

    name: Annotated[Name, Field(max_length=120)]
    type: Annotated[Line, Field(max_length=80)] = ""
    material: Annotated[Line, Field(max_length=160)] = ""
    colour: Colour | None = None
    price: NonNegativeMoney | None = None
    currency: Currency | None = None


class Generation(Strict):
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
    provider: Provider | None = Field(default=None, description="Default: the best that is available.")
    width: Pixels = 1024
    height: Pixels = 1024
    quality: Literal["low", "medium", "high", "ultra"] = "high"
    variations: Annotated[int, Field(ge=1, le=4)] = 1
    format: Literal["png", "webp", "jpeg"] = "png"
    negative_prompt: Line = Field(default="", description="What is not wanted.")
    seed: Annotated[int, Field(ge=0, le=MOST_SEED)] | None = Field(
        default=None, description="For those who know seeds; others pass it over."
    )
    product: ProductWords | None = None
    texts: Words | None = Field(default=None, description="What the studio sets; default: the kit's tagline.")
    language: Language = "en"
    sku: Identifier | None = None
    campaign: Annotated[Name, Field(max_length=128)] | None = None


class Batch(BaseModel):
    """Several pictures. Without `requests`, those that a launch needs: of a product, or of the brand."""

    model_config = ConfigDict(extra="ignore")

    requests: Annotated[list[Generation], Field(max_length=MOST_REQUESTS)] = Field(default_factory=list)
    brand_name: Line | None = None
    product_name: Line | None = None
    product_type: Line | None = Field(default=None, description="A shot list of the brand kit, such as bags.")
    sku: Identifier | None = None
    campaign: Annotated[Name, Field(max_length=128)] | None = None


class Undoing(BaseModel):
    """A compensation learns from the call what to undo. By itself it is told the requests or the pictures."""

    model_config = ConfigDict(extra="allow")

    pictures: list[Identifier] = Field(default_factory=list, max_length=1000)


class ReviewQuery(Strict):
    """Which pictures; those that wait where nothing is named. `before` is the last one's number."""

    state: Literal["accepted", "needs_review", "approved", "rejected", "deleted"] = "needs_review"
    before: int | None = None
    limit: Annotated[int, Field(ge=1, le=201)] = 50


class Decision(Strict):
    """What a person decided."""

    picture_id: Identifier
    verdict: Literal["approve", "reject"]
    note: Line | None = None
