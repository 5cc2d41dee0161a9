"""How a brand buys: `$LUXAUTO_HOME/buying.yaml`, over these defaults.

Belongs here: what can be set, and which entry counts for a SKU. Does not belong here: any formula.
"""

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

BUYING_FILE = "buying.yaml"
CLASSES = ("A", "B", "C")
MARGINS = ("high", "middle", "low")


class BuyingError(Exception):
    """A setting or a request that nobody can buy by; the message names it and the remedy."""


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Item(_Entry):
    """How units of a SKU, or of all SKUs of a category, are packed. A SKU's own entry counts before its category's."""

    pack_size: int | None = Field(default=None, ge=1, description="Orders are whole multiples of it.")
    volume_m3: float | None = Field(default=None, ge=0, description="Of one unit.")
    weight_kg: float | None = Field(default=None, ge=0, description="Of one unit.")


class Supplier(_Entry):
    """Terms of one supplier, for an order."""

    minimum_value: Decimal = Field(default=Decimal(0), ge=0, description="Least worth of an order, in its currency.")
    volume_m3: float | None = Field(default=None, gt=0, description="Room of the container that an order travels in.")
    weight_kg: float | None = Field(default=None, gt=0, description="What that container may weigh.")


class Season(_Entry):
    """Goods that are bought once: by collection or by category."""

    collection: str | None = None
    category: str | None = None
    ends: date = Field(description="Last day on which they sell at full price.")
    salvage: float | None = Field(
        default=None, ge=0, le=1, description="What is left is worth, as a share of the price."
    )


class BuyingSettings(_Entry):
    """Everything that a brand can set about buying. Shares are of 1; amounts are in major units of their currency."""

    review_days: int = Field(default=7, ge=1, description="Days between two looks at the stock.")
    default_lead_time_days: int = Field(default=28, ge=0, description="Where the catalogue says none.")
    lead_time_spread: float = Field(
        default=0.15, ge=0, le=2, description="Standard deviation over mean, before any receipt is known."
    )
    lead_time_weight: float = Field(
        default=4.0, gt=0, description="How many receipts the catalogue's number counts for."
    )
    service_target: Literal["cycle", "fill"] = Field(
        default="cycle", description="Share of cycles without a stock-out, or share of units served from stock."
    )
    service_levels: dict[str, float] = Field(
        default_factory=dict, description="By class A, B, C or by class and margin, such as A-high."
    )
    class_shares: tuple[float, float] = Field(default=(0.80, 0.95), description="Where A ends and where B ends.")
    margin_bounds: tuple[float, float] = Field(default=(0.40, 0.60), description="Below: low; above: high.")
    holding_rate: float = Field(
        default=0.20, ge=0, description="Cost of a year in stock, as a share of the unit's cost."
    )
    material_change: float = Field(default=0.2, ge=0, description="What a rejected quantity must change by.")
    budgets: dict[str, Decimal] = Field(default_factory=dict, description="What may be spent in one plan, by currency.")
    items: dict[str, Item] = Field(default_factory=dict, description="By SKU or by category.")
    suppliers: dict[str, Supplier] = Field(default_factory=dict)
    solver_seconds: float = Field(
        default=10.0, gt=0, description="How long the best choice within a budget is looked for."
    )
    seasons: tuple[Season, ...] = ()
    salvage: float = Field(default=0.30, ge=0, le=1, description="Of the price, for what a season leaves.")
    elasticity: float = Field(
        default=-2.0, le=-0.1, description="Assumed: a price 1 % lower sells so many % more (as a negative number)."
    )
    markdown_steps: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4, 0.5)
    cover_limit_weeks: int = Field(default=52, ge=1, description="Stock that lasts longer is marked down.")
    end_stock_weeks: float = Field(default=8.0, ge=0, description="Planned stock at a month's end, in weeks of sales.")
    markdown_rate: float = Field(default=0.0, ge=0, le=1, description="Planned markdowns, as a share of planned sales.")
    transfer_cover_days: int = Field(default=28, ge=1, description="Days of its own demand that a location keeps.")
    high_demand_weeks: int = Field(default=2, ge=1, description="Weeks in a row that count as a rise in demand.")

    @field_validator("service_levels")
    @classmethod
    def _known_classes(cls, value: dict[str, float]) -> dict[str, float]:
        known = {*CLASSES, *(f"{c}-{m}" for c in CLASSES for m in MARGINS)}
        for name, level in value.items():
            if name not in known:
                raise ValueError(f"{name!r} is no class: A, B, C, or with a margin such as A-high")
            if not 0.5 <= level < 1:
                raise ValueError(f"the level of {name} is a share from 0.5 up to 1, not {level}")
        return value

    @field_validator("markdown_steps")
    @classmethod
    def _steps_are_shares(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not value or any(not 0 < step < 1 for step in value):
            raise ValueError("markdown steps are shares between 0 and 1")
        return tuple(sorted(value))

    def service_level(self, sku_class: str) -> float:
        """Of a class such as A-high: its own entry, else that of A, else the default."""
        abc = sku_class[0]
        default = {"A": 0.97, "B": 0.95, "C": 0.90}[abc]
        return self.service_levels.get(sku_class, self.service_levels.get(abc, default))

    def item(self, sku: str, category: str | None) -> Item:
        """What is set for a SKU: its own entry, what that leaves open by its category."""
        own, of_category = self.items.get(sku, Item()), self.items.get(category or "", Item())
        return own.model_copy(update={n: v for n, v in of_category if getattr(own, n) is None})

    def season(self, collection: str | None, category: str | None) -> Season | None:
        """The season that a product is bought for; the first entry that names its collection or category."""
        for season in self.seasons:
            if (season.collection, season.category) != (None, None) and (
                season.collection in (None, collection) and season.category in (None, category)
            ):
                return season
        return None

    def salvage_of(self, season: Season | None) -> float:
        return self.salvage if season is None or season.salvage is None else season.salvage


def load_buying(home: Path) -> BuyingSettings:
    """The brand's settings. Raises BuyingError naming the one that is wrong."""
    file = home / BUYING_FILE
    if not file.is_file():
        return BuyingSettings()
    try:
        return BuyingSettings.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")) or {})
    except yaml.YAMLError as error:
        raise BuyingError(f"{file} is not valid YAML: {error}") from error
    except ValidationError as error:
        raise BuyingError(
            f"{file}: {_problems(error.errors())}. See docs/replenishment.md for the settings."
        ) from error


def _problems(errors: Iterable) -> str:
    return "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in errors)
