"""Test and roll: how many people of a finite list should see a test before the rest gets what did better.

Belongs here: the size of the test that earns most, its prior from past campaigns, and what it is expected to earn. Does not
belong here: whether a difference is proven; here a wrong choice between nearly equal arms costs nearly nothing.

Feit & Berman, Test & Roll: profit-maximizing A/B tests, Marketing Science 38, 2019: arms' true means are drawn from one normal
prior, units are normal around them. With two arms the size is theirs in closed form; with more it is found from the same
profit, where the best of k normal means is expected E[max of k] deviations above their mean.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass as checked

from assets.marketing.experiments.comparisons import Summary
from assets.marketing.experiments.errors import ExperimentError

_FEWEST_CAMPAIGNS = 3


@checked(frozen=True, config=ConfigDict(allow_inf_nan=False))
class Prior:
    """Before the test: true means of arms have this mean and standard deviation; units vary around them."""

    mean: float
    sd: float
    within_variance: float

    def __post_init__(self) -> None:
        if self.sd <= 0 or self.within_variance <= 0:
            raise ExperimentError(
                f"a prior with sd {self.sd} and a variance of {self.within_variance} within arms is none. Give both above 0."
            )


def prior_of_rate(mean: float, sd: float) -> Prior:
    """For a rate; people vary by mean (1 - mean). Raises ExperimentError for a mean outside (0, 1)."""
    if not 0 < mean < 1:
        raise ExperimentError(f"a rate of {mean} is none. Give it as a share, such as 0.02 for 2 %.")
    return Prior(mean, sd, mean * (1 - mean))


def prior_of(past: Sequence[Summary]) -> Prior:
    """From arms of past campaigns, by DerSimonian and Laird's random effects: the spread beyond what chance made.

    Raises ExperimentError with fewer than three, or where chance alone explains their spread.
    """
    if len(past) < _FEWEST_CAMPAIGNS:
        raise ExperimentError(
            f"{len(past)} past campaigns say too little of how campaigns differ. Give {_FEWEST_CAMPAIGNS} or more, or a prior."
        )
    if any(one.variance <= 0 for one in past):
        raise ExperimentError("a past campaign's units do not vary. Leave it out, or give a prior by hand.")
    means, weights = np.array([one.mean for one in past]), np.array([1 / one.of_mean for one in past])
    fixed = float(weights @ means / weights.sum())
    scatter = float(weights @ (means - fixed) ** 2)
    between = (scatter - (len(past) - 1)) / float(weights.sum() - (weights**2).sum() / weights.sum())
    if between <= 0:
        raise ExperimentError(
            "past campaigns differ no more than by chance, so there is nothing to find by testing. "
            "Send what you have, or give a prior's standard deviation by hand."
        )
    random = 1 / (1 / weights + between)
    within = sum((one.n - 1) * one.variance for one in past) / sum(one.n - 1 for one in past)
    return Prior(float(random @ means / random.sum()), math.sqrt(between), within)


@dataclass(frozen=True)
class RollPlan:
    """n_per_arm people see each arm; `remaining` get the better one.

    Gains are per list, in units of the metric, over sending one arm to all without a test: `gain` of this plan, `oracle_gain`
    of knowing the best arm beforehand.
    """

    n_per_arm: int
    remaining: int
    gain: float
    oracle_gain: float


def plan_roll(list_size: int, prior: Prior, arms: int = 2) -> RollPlan:
    """The test that earns most. Raises ExperimentError for fewer than two arms, or a list too short for two people an arm."""
    if arms < 2:
        raise ExperimentError(f"{arms} arms are no test. Give two or more.")
    if list_size < 2 * arms:
        raise ExperimentError(f"a list of {list_size} is too short for {arms} arms. Send one of them to all.")
    n = min(max(2, round(best_size(list_size, prior, arms))), list_size // arms)
    oracle = list_size * expected_maximum(arms) * prior.sd
    return RollPlan(n, list_size - arms * n, expected_gain(n, list_size, prior, arms), oracle)


def best_size(list_size: float, prior: Prior, arms: int = 2) -> float:
    """People per arm that earn most, not rounded.

    With two: n* = sqrt(N/4 q + (3/4 q)²) - 3/4 q, q = variance within arms / prior variance.
    """
    q = prior.within_variance / prior.sd**2
    if arms == 2:
        return math.sqrt(list_size / 4 * q + (0.75 * q) ** 2) - 0.75 * q
    # Where d/dn of (N - kn) / sqrt(1 + q/n) is zero: 2kn² + 3kqn - qN = 0.
    return (math.sqrt((3 * arms * q) ** 2 + 8 * arms * q * list_size) - 3 * arms * q) / (4 * arms)


def expected_gain(n_per_arm: float, list_size: float, prior: Prior, arms: int = 2) -> float:
    """What a test of this size earns over no test, on average over the prior."""
    if n_per_arm <= 0:
        return 0.0
    spread = prior.sd**2 / math.sqrt(prior.sd**2 + prior.within_variance / n_per_arm)
    return (list_size - arms * n_per_arm) * expected_maximum(arms) * spread


def expected_maximum(count: int) -> float:
    """Mean of the largest of so many standard normal numbers; 1/sqrt(pi) for two."""
    from scipy.special import ndtr

    x = np.linspace(-12, 12, 24001)
    density = count * ndtr(x) ** (count - 1) * np.exp(-0.5 * x**2) / math.sqrt(2 * math.pi)
    return float(np.sum(x * density) * (x[1] - x[0]))
