"""Whether the arms have as many units as they should: where they do not, something lost units on one side, and no number of
the experiment means what it says."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from assets.marketing.experiments.errors import ExperimentError

WARN, BLOCK = 0.01, 0.001


@dataclass(frozen=True)
class SampleRatio:
    """Pearson's chi-square of counts against shares. `verdict`: below .01 warn, below .001 block."""

    chi_square: float
    p: float
    verdict: Literal["ok", "warn", "block"]
    expected: Mapping[str, float]


def sample_ratio(counts: Mapping[str, int], shares: Mapping[str, float] | None = None) -> SampleRatio:
    """counts: units per arm. shares: intended shares or weights per arm; equal ones if left out.

    Raises ExperimentError where the arms of both differ, or a share is not above 0.
    """
    from scipy.stats import chi2

    weights = dict.fromkeys(counts, 1.0) if shares is None else dict(shares)
    for arm in counts:
        if arm not in weights:
            raise ExperimentError(f"arm {arm!r} has no intended share. Give one for {', '.join(map(repr, counts))}.")
    for arm, share in weights.items():
        if arm not in counts:
            raise ExperimentError(f"a share is given for {arm!r}, which is no arm. Arms: {', '.join(counts)}.")
        if not 0 < share < float("inf"):
            raise ExperimentError(f"arm {arm!r} has the share {share}. Give a share above 0.")
    units, total = sum(counts.values()), sum(weights.values())
    expected = {arm: units * weights[arm] / total for arm in counts}
    statistic = sum((counts[arm] - expected[arm]) ** 2 / expected[arm] for arm in counts)
    p = float(chi2.sf(statistic, len(counts) - 1))
    return SampleRatio(statistic, p, "block" if p < BLOCK else "warn" if p < WARN else "ok", expected)
