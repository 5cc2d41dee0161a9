"""What is asked for: one product or campaign, one layout, its words in each language, and sizes.

Belongs here: what a brief may say and whether it keeps to the kit's words. Does not belong here: how it is drawn (`studio`).
"""

import hashlib
import json
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from assets.visuals.brand_kit import BrandKit, Hex, PresetName, forbidden_in
from assets.visuals.errors import VisualsError

FORMATS = {
    "square": (1080, 1080),
    "portrait": (1080, 1350),
    "story": (1080, 1920),
    "landscape": (1200, 628),
    "hero": (1920, 800),
    "wide": (2048, 1152),
    "card": (960, 1280),
    "page": (1240, 1754),
    "spread": (2000, 1400),
}
"""Sizes by name, in pixels."""
SHORTEST, LONGEST = 200, 4096

Template = Literal["banner", "product_card", "lookbook", "social", "logo", "pattern"]
CONTENT_TYPES: dict[str, Template] = {
    "banner_ad": "banner",
    "brand_logo": "logo",
    "design_mockup": "product_card",
    "fashion_lookbook": "lookbook",
    "pattern_design": "pattern",
    "social_media_post": "social",
}
"""The layout that answers each content type of the API; the others need a photograph or a film, which none here invents."""
NEEDS_HEADLINE = frozenset({"banner", "lookbook", "social"})

Language = Annotated[str, Field(pattern=r"^[a-z]{2}(-[A-Z]{2})?$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Texts(_Part):
    """The words of one language; what is empty is left out of the picture."""

    eyebrow: str = Field("", max_length=80)
    headline: str = Field("", max_length=160)
    body: str = Field("", max_length=600)
    call_to_action: str = Field("", max_length=60)
    caption: str = Field("", max_length=160)


class Product(_Part):
    """What a picture is of. A price needs its currency."""

    name: Annotated[str, Field(min_length=1, max_length=120)]
    sku: str = Field("", max_length=80)
    type: str = Field("", max_length=80)
    material: str = Field("", max_length=160)
    colour: Hex | None = None
    price: Annotated[Decimal, Field(ge=0, allow_inf_nan=False)] | None = None
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] | None = None

    @model_validator(mode="after")
    def _has_its_currency(self) -> Self:
        if self.price is not None and self.currency is None:
            raise ValueError("a price needs its currency: add an ISO 4217 code such as EUR")
        return self


class Brief(_Part):
    """One brief; `sizes` are names of `FORMATS` or such as 1080x1350. The same brief and kit give the same bytes."""

    brief: Literal[1] = 1
    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,79}$")]
    template: Template
    preset: PresetName = "minimalist_luxury"
    sizes: Annotated[tuple[str, ...], Field(min_length=1, max_length=20)] = ("square",)
    texts: dict[Language, Texts] = Field(default_factory=dict)
    languages: tuple[Language, ...] = ()
    product: Product | None = None
    campaign: str = Field("", max_length=120)
    photo: str | None = Field(None, max_length=300)
    plate: Literal["auto", "drape", "pleats", "weave", "marble", "arches", "horizon", "window", "monogram"] = "auto"
    variant: Literal["auto", "stacked", "horizontal", "mark", "wordmark"] = "auto"
    transparent: bool = False
    format: Literal["png", "webp"] = "png"
    seed: int = Field(1, ge=0, le=2**32 - 1)

    @field_validator("sizes")
    @classmethod
    def _can_be_drawn(cls, sizes: tuple[str, ...]) -> tuple[str, ...]:
        for size in sizes:
            pixels(size)
        return sizes

    @model_validator(mode="after")
    def _has_what_its_layout_shows(self) -> Self:
        for language in self.languages:
            if self.texts and language not in self.texts:
                raise ValueError(f"languages names {language}, but there are no texts for it: add texts.{language}")
        if self.template in NEEDS_HEADLINE:
            if not self.texts:
                raise ValueError(f"a {self.template} needs words: add texts.en.headline, or of another language")
            for language, texts in self.texts.items():
                if not texts.headline.strip():
                    raise ValueError(f"a {self.template} needs a headline: add texts.{language}.headline")
        if self.template == "product_card" and self.product is None:
            raise ValueError("a product_card needs a product: add product.name at least")
        return self

    def each_language(self) -> tuple[str, ...]:
        """Those asked for, else those that there are words for, else English."""
        return self.languages or tuple(self.texts) or ("en",)

    def words(self, language: str) -> Texts:
        return self.texts.get(language) or Texts.model_validate({})

    @property
    def hash(self) -> str:
        """Twelve hexadecimal digits of all that the brief says."""
        said = json.dumps(self.model_dump(mode="json"), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(said.encode()).hexdigest()[:12]


class InvalidBrief(VisualsError):
    """The brief cannot be drawn; the message names each field and what to do."""


def pixels(size: str) -> tuple[int, int]:
    """Width and height of a size. Raises ValueError for one that is not known or too small or large."""
    if size in FORMATS:
        return FORMATS[size]
    found = re.fullmatch(r"(\d{1,5})x(\d{1,5})", size)
    if not found:
        raise ValueError(f"{size!r} is no size: write {', '.join(FORMATS)}, or width and height such as 1080x1350")
    width, height = int(found[1]), int(found[2])
    if not (min(width, height) >= SHORTEST and max(width, height) <= LONGEST):
        raise ValueError(f"{size} is too small or too large: sides may have {SHORTEST} to {LONGEST} pixels")
    return width, height


def read_briefs(file: Path) -> list[Brief]:
    """The briefs of a YAML file: one, or a list under `briefs`. Raises InvalidBrief with all that is wrong."""
    import yaml

    try:
        said = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidBrief(f"{file} cannot be read ({error.strerror}): check the path") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InvalidBrief(f"{file} is no YAML in UTF-8: {error}") from error
    if isinstance(said, dict) and set(said) == {"briefs"}:
        given: Any = said["briefs"]
    else:
        given = [said]
    if not isinstance(given, list) or not given:
        raise InvalidBrief(f"{file}: write one brief, or a list of them under `briefs`")
    briefs, faults = [], []
    for number, one in enumerate(given):
        where = f"briefs.{number}." if len(given) > 1 else ""
        try:
            briefs.append(Brief.model_validate(one))
        except ValidationError as error:
            faults += [
                f"  {where}{'.'.join(str(p) for p in e['loc'] if p != '[key]') or 'brief'}: {e['msg']}"
                for e in error.errors()
            ]
    names = [brief.id for brief in briefs]
    faults += [
        f"  id: {name!r} stands twice; give each brief its own"
        for name in sorted({n for n in names if names.count(n) > 1})
    ]
    if faults:
        raise InvalidBrief("\n".join([f"{file} cannot be drawn:", *faults]))
    return briefs


def refuse_forbidden_words(kit: BrandKit, brief: Brief) -> None:
    """Raises InvalidBrief where the brief's words hold what the kit forbids."""
    faults = [
        f"  {field}: it holds {word!r}, which the brand kit forbids; write it otherwise"
        for field, text in _fields(brief)
        for word in forbidden_in(kit, text)
    ]
    if faults:
        raise InvalidBrief("\n".join([f"brief {brief.id} says what the brand does not:", *faults]))


def _fields(brief: Brief) -> Iterator[tuple[str, str]]:
    for language, texts in brief.texts.items():
        for name, text in texts.model_dump().items():
            yield f"texts.{language}.{name}", text
    if brief.product:
        for name in ("name", "type", "material"):
            yield f"product.{name}", getattr(brief.product, name)
    yield "campaign", brief.campaign
