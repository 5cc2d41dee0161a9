"""Intervals that hold at every moment at once: for a panel that anybody may look at whenever they like.

Belongs here: asymptotic confidence sequences. Does not belong here: decisions. Bounds at planned looks (`sequential`) find
twice as many real differences with the same units; these are for watching.

Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas, Time-uniform central limit theory and asymptotic confidence sequences, Annals
of Statistics 52, 2024, theorem 2.2 and its choice of rho.
"""

import math

import numpy as np
from numpy.typing import ArrayLike

from assets.marketing.experiments.comparisons import Floats
from assets.marketing.experiments.errors import ExperimentError


def rho_for(planned: float, alpha: float) -> float:
    """The tuning with which the interval is narrowest when so many units (both arms together) are known.

    It must be settled before the first look: planned, not counted, units.
    """
    if planned <= 0:
        raise ExperimentError(f"{planned} planned units are too few. Say how many both arms will have together.")
    if not 0 < alpha < 1:
        raise ExperimentError(f"alpha is {alpha}. Give a number between 0 and 1, such as 0.05.")
    twice = -2 * math.log(alpha)
    return math.sqrt((twice + math.log(twice + 1)) / planned)


def radius(standard_error: ArrayLike, n: ArrayLike, rho: float, alpha: float) -> Floats:
    """Half the interval's width, elementwise; n units of both arms together are known, with this standard error."""
    error, n = (np.asarray(value, dtype=float) for value in (standard_error, n))
    known = n * rho**2
    return error * np.sqrt(2 * (known + 1) / known * np.log(np.sqrt(known + 1) / alpha))


def always_valid_p(effect: float, standard_error: float, n: int, rho: float) -> float:
    """The smallest alpha whose interval, with this rho, leaves 0 out; 1 where neither arm varies."""
    if standard_error <= 0:
        return 1.0
    known = n * rho**2
    z = effect / standard_error
    exponent = 0.5 * math.log(known + 1) - z * z * known / (2 * (known + 1))
    return min(1.0, max(1e-300, math.exp(min(0.0, max(exponent, -700.0)))))
