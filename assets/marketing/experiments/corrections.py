"""p-values of several goals and arms together: Holm where no error may be made, Benjamini and Hochberg where a few may.

Holm, Scandinavian Journal of Statistics 6, 1979; Benjamini & Hochberg, JRSS B 57, 1995.
"""

from collections.abc import Sequence
from typing import Literal

from assets.marketing.experiments.errors import ExperimentError

Correction = Literal["holm", "bh", "none"]


def adjusted(p_values: Sequence[float], correction: Correction) -> list[float]:
    """Adjusted p-values in the order given; one below alpha is significant. Raises ExperimentError outside 0 to 1."""
    for p in p_values:
        if not 0 <= p <= 1:
            raise ExperimentError(f"{p} is no p-value. Give numbers from 0 to 1.")
    if correction == "holm":
        return holm(p_values)
    if correction == "bh":
        return benjamini_hochberg(p_values)
    return list(p_values)


def holm(p_values: Sequence[float]) -> list[float]:
    """The k-th smallest of m is taken m - k + 1 times, and is no smaller than those before it."""
    told = [0.0] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda n: p_values[n])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        told[place] = largest
    return told


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """The k-th smallest of m is taken m / k times, and is no larger than those after it."""
    told = [0.0] * len(p_values)
    smallest, count = 1.0, len(p_values)
    for rank, place in enumerate(sorted(range(count), key=lambda n: -p_values[n])):
        smallest = min(smallest, count / (count - rank) * p_values[place])
        told[place] = smallest
    return told
