"""A metric's values before they are compared: binary or continuous, winsorised, and freed of what was known before (CUPED).

Belongs here: what happens to the numbers of units. Does not belong here: reading them (`analysis`), testing them.

Deng, Xu, Kohavi & Walker, Improving the sensitivity of online controlled experiments by utilizing pre-experiment data, 2013.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from assets.marketing.experiments.comparisons import Floats, compare_means, summary_of
from assets.marketing.experiments.errors import ExperimentError

Kind = Literal["binary", "continuous"]
LEAST_CORRELATION = 0.1
"""CUPED takes away corr² of the variance: below this, less than 1 %, which is not worth a number that is harder to explain."""
_UNLIKE = 0.001


def kind_of(values: Floats) -> Kind:
    """Binary where there is nothing but 0 and 1."""
    return "binary" if bool(np.isin(values, (0.0, 1.0)).all()) else "continuous"


def winsorised(values: Floats, share: float) -> tuple[Floats, float, int]:
    """Values above the quantile `share` of all arms together set to it; the quantile, and how many were above it.

    One cap for all arms: a cap for each would take the difference away. Raises ExperimentError for a share outside (0.5, 1).
    """
    if not 0.5 < share < 1:
        raise ExperimentError(f"winsorising at {share} is not meant. Give a share between 0.5 and 1, such as 0.999.")
    cap = float(np.quantile(values, share))
    return np.minimum(values, cap), cap, int((values > cap).sum())


@dataclass(frozen=True)
class Cuped:
    """Whether values were adjusted by a covariate, and why (not). `variance_cut`: the share of variance that it took away."""

    applied: bool
    correlation: float | None
    theta: float | None
    variance_cut: float
    reason: str


def cuped(values: Floats, covariate: Floats, arms: NDArray[np.int64]) -> tuple[Floats, Cuped]:
    """values - theta (covariate - its mean); correlation and theta are those within arms, one theta for all.

    values, covariate, arms: (n,); arms are whole numbers from 0. A covariate that differs between arms was not known before,
    or the draw is broken: then nothing is adjusted, and said.
    """
    y, x = _centred(values, arms), _centred(covariate, arms)
    spread_x, spread_y = float(x @ x), float(y @ y)
    # A constant leaves rounding behind when its mean is taken away.
    if spread_x <= 1e-24 * float(covariate @ covariate) or spread_y <= 1e-24 * float(values @ values):
        return values, Cuped(False, None, None, 0.0, "skipped: metric or covariate does not vary within arms")
    correlation = float(x @ y) / float(np.sqrt(spread_x) * np.sqrt(spread_y))
    if abs(correlation) <= LEAST_CORRELATION:
        told = f"skipped: the correlation is {correlation:.3f}; it pays from {LEAST_CORRELATION}"
        return values, Cuped(False, correlation, None, 0.0, told)
    if (p := _imbalance(covariate, arms)) < _UNLIKE:
        told = (
            f"skipped: the covariate differs between the arms already (p {p:.1e}), so it was not known before the draw"
        )
        return values, Cuped(False, correlation, None, 0.0, told)
    theta = float(x @ y) / spread_x
    adjusted = values - theta * (covariate - covariate.mean())
    return adjusted, Cuped(True, correlation, theta, correlation**2, f"applied: the correlation is {correlation:.3f}")


def _centred(values: Floats, arms: NDArray[np.int64]) -> Floats:
    counts = np.bincount(arms)
    means = np.bincount(arms, weights=values) / np.maximum(counts, 1)
    return values - means[arms]


def _imbalance(covariate: Floats, arms: NDArray[np.int64]) -> float:
    """The smallest p of an arm against the first, times their number."""
    first, *others = (summary_of(covariate[arms == arm]) for arm in range(int(arms.max()) + 1))
    return min((compare_means(other, first).p for other in others), default=1.0) * len(others)
