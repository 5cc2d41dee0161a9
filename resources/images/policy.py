"""How an installation wants its pictures chosen, paid, remembered and retried: `$LUXAUTO_HOME/images.yaml`.

Belongs here: the settings, their defaults and what is wrong with them. Does not belong here: which models there are
(`registry`), and what is done with a setting (`choice`, `budgets`, `cache`, `failover`).
"""

from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from resources.images.protocol import MICROS

FILE_NAME = "images.yaml"
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Usd = Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]


class PolicyError(ValueError):
    """A setting that cannot be used; the message names the file, the field and the remedy."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Weights(_Part):
    """What counts how much when a provider is chosen. Only their ratios matter."""

    quality: Weight = 0.6
    cost: Weight = 0.2
    latency: Weight = 0.1
    queue: Weight = 0.1

    @model_validator(mode="after")
    def _something_counts(self) -> "Weights":
        if self.total <= 0:
            raise ValueError("all weights are 0; give at least one of quality, cost, latency and queue a weight")
        return self

    @property
    def total(self) -> float:
        return self.quality + self.cost + self.latency + self.queue


class ImagePolicy(_Part):
    """Amounts in US dollars; times in the unit that a field's name ends with."""

    weights: Weights = Weights()
    usual_usd: float = Field(default=0.1, gt=0, description="What a picture may cost to get half of what cost counts")
    usual_seconds: float = Field(
        default=30.0, gt=0, description="How long it may take to get half of what latency counts"
    )
    prior_weight: float = Field(
        default=10.0, gt=0, description="As many pictures judged here count as much as the registry"
    )
    only: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="By content type: the providers or models that alone may make it"
    )
    budget_usd_per_day: Usd = 20.0
    budget_usd_per_campaign: Usd = 50.0
    budget_usd_by_campaign: dict[str, Usd] = Field(default_factory=dict)
    cache_megabytes: float = Field(default=2048.0, ge=0, allow_inf_nan=False)
    attempts: int = Field(default=5, ge=1, le=20, description="Calls of providers for one request, waits included")
    wait_seconds: float = Field(
        default=5.0, ge=0, le=120, description="The longest wait for a provider that says when to ask again"
    )
    blocked_hours: float = Field(
        default=24.0, ge=0, description="How long it is remembered that a filter refused a request"
    )
    switched_off_minutes: float = Field(
        default=30.0, ge=0, description="How long a provider is left alone that needs a change"
    )
    breaker_failures: int = Field(default=3, ge=1, description="Failures in a row after which a model is left alone")
    breaker_seconds: float = Field(default=60.0, gt=0)
    batch_from: int = Field(
        default=50, ge=0, description="So many shots that wait are ordered together, at half the price; 0: never"
    )
    call_minutes: float = Field(
        default=60.0, gt=0, description="A call that has not ended by then counts as lost, and as paid"
    )
    lease_seconds: float = Field(default=30.0, gt=0, le=600, description="How long a dead process keeps others waiting")
    join_seconds: float = Field(default=900.0, gt=0, description="The longest wait for the same request of another one")

    @property
    def day_micros(self) -> int:
        return round(self.budget_usd_per_day * MICROS)

    def campaign_micros(self, campaign: str) -> int:
        return round(self.budget_usd_by_campaign.get(campaign, self.budget_usd_per_campaign) * MICROS)

    @property
    def cache_bytes(self) -> int:
        return round(self.cache_megabytes * 1_000_000)


def read_policy(home: Path | None = None) -> ImagePolicy:
    """The installation's settings, or the defaults where it has none. Raises PolicyError with all that is wrong."""
    file = home / FILE_NAME if home else None
    if file is None or not file.is_file():
        return ImagePolicy()
    try:
        said = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise PolicyError(f"{file} cannot be read as YAML: {error}. Mend it or delete it.") from error
    if said is not None and not isinstance(said, dict):
        raise PolicyError(f"{file} must hold a mapping of settings, such as `budget_usd_per_day: 20`.")
    try:
        return ImagePolicy.model_validate(said or {})
    except ValidationError as error:
        faults = [f"  {'.'.join(map(str, e['loc'])) or 'file'} = {e['input']!r}: {e['msg']}" for e in error.errors()]
        raise PolicyError("\n".join([f"{file} cannot be used:", *faults, "Correct or remove these."])) from error
