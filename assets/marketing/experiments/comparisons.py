"""An arm beside the control: rates by pooled z with Newcombe's interval, means by Welch.

Belongs here: differences, their intervals and p-values from counts, means and variances. Does not belong here: what follows
from them (`decisions`), or looking more than once (`sequential`, `always_valid`).

Decisions are made on the difference itself. The relative effect is for the eye: it divides by a mean that is uncertain too.

Newcombe, Interval estimation for the difference between independent proportions, Statistics in Medicine 17, 1998, method 10;
Wilson, JASA 22, 1927; Welch, Biometrika 34, 1947.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass as checked

from assets.marketing.experiments.errors import ExperimentError

Floats = NDArray[np.float64]


@checked(frozen=True, config=ConfigDict(allow_inf_nan=False))
class Summary:
    """All that tests need of one arm's metric: n units, their mean and their sample variance (n - 1 below the line)."""

    n: int
    mean: float
    variance: float

    def __post_init__(self) -> None:
        if self.n < 2:
            raise ExperimentError(f"an arm has {self.n} units. A comparison needs two at least: wait for more.")
        if self.variance < 0:
            raise ExperimentError(f"a variance of {self.variance} is none. Give the sample variance, 0 or more.")

    @property
    def of_mean(self) -> float:
        """Variance of the mean."""
        return self.variance / self.n


def summary_of(values: ArrayLike) -> Summary:
    """Of the values of an arm's units, (n,)."""
    array = np.asarray(values, dtype=float)
    return Summary(len(array), float(array.mean()), float(array.var(ddof=1)) if len(array) > 1 else 0.0)


def summary_of_rate(successes: int, n: int) -> Summary:
    """Of n units of which so many have 1 and the others 0."""
    if not 0 <= successes <= n:
        raise ExperimentError(f"{successes} successes of {n} units cannot be. Give 0 to {n}.")
    rate = successes / n if n else 0.0
    return Summary(n, rate, rate * (1 - rate) * n / (n - 1) if n > 1 else 0.0)


@dataclass(frozen=True)
class Comparison:
    """`effect` is the arm's mean less the control's; `low` and `high` its interval. p is two-sided.

    `relative` is the effect over the control's mean, with an interval by the delta method; None where that mean is 0.
    `statistic` is z or t, as `statistic_name` says; t has `df` degrees of freedom.
    """

    effect: float
    low: float
    high: float
    relative: float | None
    relative_low: float | None
    relative_high: float | None
    standard_error: float
    statistic: float
    statistic_name: str
    df: float | None
    p: float


def interval_of(data: Summary, *, rate: bool, alpha: float = 0.05) -> tuple[float, float]:
    """Of one arm alone: Wilson's of a rate, Student's of a mean."""
    from scipy.stats import norm
    from scipy.stats import t as student

    if rate:
        low, high = wilson(round(data.mean * data.n), data.n, float(norm.isf(alpha / 2)))
        return float(low), float(high)
    half = float(student.isf(alpha / 2, data.n - 1)) * math.sqrt(data.of_mean)
    return data.mean - half, data.mean + half


def compare_rates(arm: Summary, control: Summary, alpha: float = 0.05) -> Comparison:
    """Of two shares of units that did something: pooled z for p, Newcombe's hybrid score interval."""
    from scipy.stats import norm

    counts = (round(arm.mean * arm.n), arm.n, round(control.mean * control.n), control.n)
    z = float(pooled_z(*counts))
    critical = float(norm.isf(alpha / 2))
    low, high = (float(end) for end in newcombe(*counts, critical))
    error = math.sqrt(sum(s.mean * (1 - s.mean) / s.n for s in (arm, control)))
    return Comparison(
        arm.mean - control.mean,
        low,
        high,
        *_relative(arm, control, critical),
        standard_error=error,
        statistic=z,
        statistic_name="z",
        df=None,
        p=float(two_sided(z)),
    )


def compare_means(arm: Summary, control: Summary, alpha: float = 0.05) -> Comparison:
    """Of two means whose variances differ. Where neither arm varies nothing can be said: t = 0 and p = 1."""
    from scipy.stats import t as student

    statistic, df, error = (float(value) for value in welch(arm, control))
    critical = float(student.isf(alpha / 2, df))
    effect = arm.mean - control.mean
    return Comparison(
        effect,
        effect - critical * error,
        effect + critical * error,
        *_relative(arm, control, critical),
        standard_error=error,
        statistic=statistic,
        statistic_name="t",
        df=df,
        p=float(min(1.0, 2 * student.sf(abs(statistic), df))),
    )


def pooled_z(successes: ArrayLike, n: ArrayLike, control_successes: ArrayLike, control_n: ArrayLike) -> Floats:
    """z of a difference of two rates under equal rates, elementwise; 0 where nobody or everybody did it."""
    x, n, y, m = (np.asarray(value, dtype=float) for value in (successes, n, control_successes, control_n))
    pooled = (x + y) / (n + m)
    error = np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    return np.divide(x / n - y / m, error, out=np.zeros(np.broadcast(x, n, y, m).shape), where=error > 0)


def wilson(successes: ArrayLike, n: ArrayLike, critical: float) -> tuple[Floats, Floats]:
    """Wilson's score interval of a rate, elementwise; `critical` is the normal quantile, 1.96 for 95 %."""
    x, n = (np.asarray(value, dtype=float) for value in (successes, n))
    rate, square = x / n, critical**2
    middle = (rate + square / (2 * n)) / (1 + square / n)
    half = critical * np.sqrt(rate * (1 - rate) / n + square / (4 * n**2)) / (1 + square / n)
    # Rounding must not push an end past the rate itself.
    return np.clip(middle - half, 0.0, rate), np.clip(middle + half, rate, 1.0)


def newcombe(
    successes: ArrayLike, n: ArrayLike, control_successes: ArrayLike, control_n: ArrayLike, critical: float
) -> tuple[Floats, Floats]:
    """Interval of a difference of two rates from their Wilson intervals, elementwise."""
    rate = np.asarray(successes, dtype=float) / np.asarray(n, dtype=float)
    other = np.asarray(control_successes, dtype=float) / np.asarray(control_n, dtype=float)
    low, high = wilson(successes, n, critical)
    other_low, other_high = wilson(control_successes, control_n, critical)
    down = np.sqrt((rate - low) ** 2 + (other_high - other) ** 2)
    up = np.sqrt((high - rate) ** 2 + (other - other_low) ** 2)
    return rate - other - down, rate - other + up


def welch(arm: Summary, control: Summary) -> tuple[float, float, float]:
    """t, its degrees of freedom and the standard error of the difference of two means."""
    squared = arm.of_mean + control.of_mean
    if squared <= 0:
        return 0.0, float(arm.n + control.n - 2), 0.0
    # Shares of the sum, not squares of tiny variances, which would vanish.
    share, other = arm.of_mean / squared, control.of_mean / squared
    df = 1.0 / (share**2 / (arm.n - 1) + other**2 / (control.n - 1))
    error = math.sqrt(squared)
    return (arm.mean - control.mean) / error, df, error


def two_sided(z: Any) -> Any:
    """p of a normal statistic by its upper tail: 1 less the distribution function would be 0 beyond z = 8.3."""
    from scipy.stats import norm

    return np.minimum(1.0, 2 * norm.sf(np.abs(z)))


def _relative(arm: Summary, control: Summary, critical: float) -> tuple[float | None, float | None, float | None]:
    if control.mean == 0:
        return None, None, None
    ratio = arm.mean / control.mean
    error = math.sqrt(arm.of_mean + ratio * ratio * control.of_mean) / abs(control.mean)
    relative = (arm.mean - control.mean) / control.mean
    if not all(map(math.isfinite, (relative, error))):
        return None, None, None
    return relative, relative - critical * error, relative + critical * error
