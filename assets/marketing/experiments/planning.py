"""How many people a test needs before it begins: once looked at, or several times.

Belongs here: sizes for a wanted power. Does not belong here: lists that are tested and rolled (`roll`).
"""

import math
from dataclasses import dataclass

import numpy as np

from assets.marketing.experiments.errors import ExperimentError
from assets.marketing.experiments.sequential import bounds, crossing, drift_for, equal_looks


@dataclass(frozen=True)
class SizePlan:
    """`n_per_arm` at the end; `expected_n_per_arm` on average, if the effect is as planned (stopping early where possible).

    `looks` says for each look how many per arm are known, from which |z| it is significant, and the chance to stop there.
    """

    n_per_arm: int
    fixed_n_per_arm: int
    expected_n_per_arm: float
    looks: tuple[tuple[int, float, float], ...]


def plan_rate(baseline: float, effect: float, *, alpha: float = 0.05, power: float = 0.8, looks: int = 1) -> SizePlan:
    """For a rate that changes by `effect` (absolute: 0.002 is 0.2 points). Raises ExperimentError for impossible ones."""
    if not 0 < baseline < 1 or not 0 < baseline + effect < 1:
        raise ExperimentError(
            f"a rate of {baseline} changed by {effect} is impossible. Give shares, and the effect as a difference of shares."
        )
    other = baseline + effect
    middle = (baseline + other) / 2
    null = 2 * middle * (1 - middle)
    alternative = baseline * (1 - baseline) + other * (1 - other)
    return _plan(effect, null, alternative, alpha, power, looks)


def plan_mean(sd: float, effect: float, *, alpha: float = 0.05, power: float = 0.8, looks: int = 1) -> SizePlan:
    """For a mean that changes by `effect` where units have the standard deviation `sd`. Raises ExperimentError for none."""
    if not 0 < sd < math.inf:
        raise ExperimentError(f"a standard deviation of {sd} is none. Give the metric's, above 0.")
    return _plan(effect, 2 * sd**2, 2 * sd**2, alpha, power, looks)


def _plan(effect: float, null: float, alternative: float, alpha: float, power: float, looks: int) -> SizePlan:
    """null, alternative: variances of the difference for one unit per arm."""
    from scipy.stats import norm

    if effect == 0 or not math.isfinite(effect):
        raise ExperimentError(
            f"an effect of {effect} cannot be found by any test. Give the smallest that would matter."
        )
    if not alpha < power < 1:
        raise ExperimentError(f"a power of {power} is not possible. Give one above alpha and below 1, such as 0.8.")
    information = equal_looks(looks)
    limits = bounds(alpha, information)
    quantiles = float(norm.isf(alpha / 2)) * math.sqrt(null) - float(norm.ppf(1 - power)) * math.sqrt(alternative)
    fixed = (quantiles / effect) ** 2
    single = float(norm.isf(alpha / 2) + norm.isf(1 - power))
    drift = drift_for(alpha, information, power) if looks > 1 else single
    n = fixed * (drift / single) ** 2
    upper, lower = crossing(limits, information, drift)
    stops = upper + lower
    shares = np.array(information)
    expected = float(n * (stops[:-1] @ shares[:-1] + (1 - stops[:-1].sum())))
    told = tuple(
        (math.ceil(n * share), float(limit), float(stop))
        for share, limit, stop in zip(information, limits, stops, strict=True)
    )
    return SizePlan(math.ceil(n), math.ceil(fixed), expected, told)
