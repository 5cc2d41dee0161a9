"""Credit: what each model gives each channel, to the cent, and what is left of it beside holdouts.

Belongs here: all models of one set of journeys, put together and rounded so that they sum. Does not belong here: the models'
weights (`models`) and files (`tables`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assets.finance.money import allocate
from assets.marketing.attribution.holdouts import Incremental
from assets.marketing.attribution.journeys import Journeys
from assets.marketing.attribution.models import (
    MODELS,
    RULES,
    Removal,
    Settings,
    removal_effects,
    shapley_shares,
    touch_shares,
)

# Conversions are shared out in millionths.
MICRO = 1_000_000
_FINENESS = 2**52


@dataclass(frozen=True)
class Credit:
    """One channel's credit by one model: conversions in millionths, value in minor units.

    Calibrated is credit times the share that a holdout showed to be incremental; None where the channel has no holdout.
    """

    conversions_micro: int
    value_minor: int
    calibrated_conversions_micro: int | None = None
    calibrated_value_minor: int | None = None


@dataclass(frozen=True)
class Attribution:
    """`credits[model][channel]`; each model's credits sum to the journeys' conversions and value, exactly."""

    journeys: Journeys
    settings: Settings
    credits: Mapping[str, Mapping[str, Credit]]
    removal: Removal
    incremental: Mapping[str, Incremental]


def attribute(
    journeys: Journeys, settings: Settings | None = None, incremental: Mapping[str, Incremental] | None = None
) -> Attribution:
    """Credit by every one of MODELS."""
    settings = settings or Settings()
    incremental = incremental or {}
    removal = removal_effects(journeys)
    credits = {}
    for model in MODELS:
        conversions, value = _weights(journeys, model, settings, removal)
        credits[model] = _credits(journeys, conversions, value, incremental)
    return Attribution(journeys, settings, credits, removal, incremental)


def apportion(total: int, weights: NDArray[np.float64]) -> list[int]:
    """Share `total` out by weights of 0 or more, so that the shares sum to it; largest remainders, ties to the earlier."""
    scale = float(weights.sum()) or 1.0
    # Weights that are whole numbers stay exact; others are kept to fifteen digits of the whole.
    whole = bool((weights == np.floor(weights)).all())
    return allocate(total, [int(w) if whole else round(w / scale * _FINENESS) for w in weights.tolist()])


def _weights(
    journeys: Journeys, model: str, settings: Settings, removal: Removal
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    n = len(journeys.channels)
    if model == "markov":
        return removal.effects, removal.effects
    conversions, value = journeys.conversions.astype(float), journeys.value_minor.astype(float)
    if model in RULES:
        shares, codes = touch_shares(journeys, model, settings), journeys.codes
        conversions, value = journeys.over_touches(conversions), journeys.over_touches(value)
    else:
        journey, codes, shares = shapley_shares(journeys)
        conversions, value = conversions[journey], value[journey]
    counted = np.bincount(codes, shares * conversions, n).astype(np.float64)
    return counted, np.bincount(codes, shares * value, n).astype(np.float64)


def _credits(
    journeys: Journeys,
    conversions: NDArray[np.float64],
    value: NDArray[np.float64],
    incremental: Mapping[str, Incremental],
) -> dict[str, Credit]:
    counts = apportion(journeys.total_conversions * MICRO, conversions)
    amounts = apportion(journeys.total_value_minor, value)
    credits = {}
    for channel, count, amount in zip(journeys.channels, counts, amounts, strict=True):
        shown = incremental.get(channel)
        if shown is None:
            credits[channel] = Credit(count, amount)
        else:
            credits[channel] = Credit(
                count, amount, round(count * shown.conversions_ratio), round(amount * shown.value_ratio)
            )
    return credits
