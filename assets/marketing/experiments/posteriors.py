"""What is believed of each arm after its data: the chance that it is the best, and what is lost if it is not.

Belongs here: posteriors and integrals over them, on a grid and not by drawing, so that the same data give the same numbers.
Does not belong here: what is done about it (`roll`, `bandit`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from assets.marketing.experiments.comparisons import Floats, Summary
from assets.marketing.experiments.errors import ExperimentError

if TYPE_CHECKING:
    from assets.marketing.experiments.roll import Prior

# Steps of a hundredth of a deviation in the middle, reaching 40 deviations out for skewed ones.
_REACH, _BEND, _POINTS = 40.0, 6.0, 4001


@dataclass(frozen=True)
class Normal:
    """Of a mean: its own mean and standard deviation."""

    mean: float
    sd: float

    def below(self, x: Floats) -> Floats:
        """Distribution function."""
        from scipy.special import ndtr

        return ndtr((x - self.mean) / self.sd)


@dataclass(frozen=True)
class Beta:
    """Of a rate: successes and failures, each with what the prior adds."""

    a: float
    b: float

    @property
    def mean(self) -> float:
        return self.a / (self.a + self.b)

    @property
    def sd(self) -> float:
        return math.sqrt(self.mean * (1 - self.mean) / (self.a + self.b + 1))

    def below(self, x: Floats) -> Floats:
        """Distribution function."""
        from scipy.special import betainc

        return betainc(self.a, self.b, np.clip(x, 0.0, 1.0))


Posterior = Normal | Beta


def of_rate(data: Summary, a: float = 1.0, b: float = 1.0) -> Beta:
    """Posterior of a rate under a Beta(a, b) prior; the default says that every rate is as likely as any other."""
    successes = round(data.mean * data.n)
    return Beta(a + successes, b + data.n - successes)


def of_mean(data: Summary, prior: "Prior | None" = None) -> Normal:
    """Posterior of a mean, under a normal prior or, without one, from the data alone.

    Raises ExperimentError where neither prior nor data say how much units vary.
    """
    variance = data.variance if prior is None else prior.within_variance
    if variance <= 0:
        raise ExperimentError(
            "the units of an arm do not vary, so nothing can be said of its mean. Wait for more units."
        )
    if prior is None:
        return Normal(data.mean, math.sqrt(variance / data.n))
    precision = 1 / prior.sd**2 + data.n / variance
    return Normal((prior.mean / prior.sd**2 + data.mean * data.n / variance) / precision, 1 / math.sqrt(precision))


def chances_of_being_best(posteriors: Sequence[Posterior]) -> list[float]:
    """For each the chance that its mean is the largest, (arms,), to about six digits; they sum to 1."""
    _, below = _grid(posteriors)
    told = []
    for place, own in enumerate(below):
        others = np.prod(np.delete(below, place, axis=0), axis=0)
        told.append(float(np.sum(np.diff(own) * (others[1:] + others[:-1]) / 2)))
    total = sum(told)
    return [chance / total for chance in told]


def expected_largest(posteriors: Sequence[Posterior]) -> float:
    """What the best arm's mean is expected to be, not knowing which it is."""
    x, below = _grid(posteriors)
    largest = np.prod(below, axis=0)
    # The mean of a variable is where it may begin, and the area above its distribution function from there on.
    return float(x[0] + np.sum(np.diff(x) * (2 - largest[1:] - largest[:-1]) / 2))


def expected_loss(posteriors: Sequence[Posterior], chosen: int) -> float:
    """What is given away per unit, on average, by taking this arm for the best."""
    return max(0.0, expected_largest(posteriors) - posteriors[chosen].mean)


def _grid(posteriors: Sequence[Posterior]) -> tuple[Floats, Floats]:
    """Points fine enough for the narrowest of them and wide enough for the widest, and (arms, points) distributions there."""
    steps = np.sinh(np.linspace(-_BEND, _BEND, _POINTS)) / math.sinh(_BEND) * _REACH
    x = np.unique(np.concatenate([one.mean + one.sd * steps for one in posteriors]))
    if all(isinstance(one, Beta) for one in posteriors):
        x = np.unique(np.clip(x, 0.0, 1.0))
    return x, np.stack([one.below(x) for one in posteriors])
