"""Looking several times and deciding at each: group-sequential bounds by O'Brien and Fleming's spending of alpha.

Belongs here: bounds, p-values that hold over the planned looks, and the power of such a plan. Does not belong here: a panel
that anybody may look at at any time (`always_valid`).

Lan & DeMets, Discrete sequential boundaries for clinical trials, Biometrika 70, 1983; the recursion over looks is that of
Armitage, McPherson & Rowe, JRSS A 132, 1969. Half of alpha is spent on each side.
"""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np

from assets.marketing.experiments.comparisons import Floats
from assets.marketing.experiments.errors import ExperimentError

MOST_LOOKS = 50
LEAST_P = 1e-12
"""No p-value over several looks is said to be smaller: the search would go on, and nobody would know better."""
_LEAST_LEVEL = 1e-300
_NODES_PER_DEVIATION = 5
_FEWEST_NODES = 64


def equal_looks(looks: int) -> tuple[float, ...]:
    """Shares of the planned units that are known at each of so many equal looks. Raises ExperimentError outside 1 to 100."""
    if not 1 <= looks <= MOST_LOOKS:
        raise ExperimentError(f"{looks} looks are not possible. Plan 1 to {MOST_LOOKS}.")
    return tuple(look / looks for look in range(1, looks + 1))


def spent(alpha: float, share: float) -> float:
    """How much of the two-sided alpha is spent when this share of the units is known."""
    from scipy.stats import norm

    return float(4 * norm.sf(norm.isf(alpha / 4) / math.sqrt(share)))


def bounds(alpha: float, information: Sequence[float]) -> tuple[float, ...]:
    """|z| from which each look is significant; `information` are the shares of the planned units known at each.

    Raises ExperimentError where the shares do not rise within (0, 1], and for alpha outside (0, 1).
    """
    if not 0 < alpha < 1:
        raise ExperimentError(f"alpha is {alpha}. Give a number between 0 and 1, such as 0.05.")
    shares = (0.0, *information)
    if len(shares) < 2 or shares[-1] > 1 or any(b <= a for a, b in pairwise(shares)):
        raise ExperimentError(f"looks at the shares {list(information)} are no plan. Shares rise, from above 0 to 1.")
    return _bounds(float(alpha), tuple(information))


def nominal_alpha(alpha: float, information: Sequence[float], look: int) -> float:
    """The two-sided level of a look (1 is the first) by itself: what its repeated interval is made with."""
    from scipy.stats import norm

    return float(2 * norm.sf(bounds(alpha, information[: _checked(look, information)])[-1]))


def sequential_p(z: float, information: Sequence[float], look: int) -> float:
    """The smallest alpha whose bound this z reaches at this look: below alpha exactly where the look is significant.

    It may be adjusted for several goals as any p-value. At the only look it is the ordinary two-sided p.
    """
    from scipy.stats import norm

    shares = tuple(information[: _checked(look, information)])
    height = abs(z)
    if len(shares) == 1 and shares[0] == 1:
        return min(1.0, float(2 * norm.sf(height)))

    def beyond(log_alpha: float) -> float:
        return height - _bounds(math.exp(log_alpha), shares)[-1]

    most = math.log(1 - 1e-6)
    if beyond(most) <= 0:
        return 1.0
    least = math.log(LEAST_P)
    if beyond(least) >= 0:
        return LEAST_P
    # Alpha can be no smaller than the level of this z by itself, which keeps the search out of the far tail.
    nearest = max(least, float(math.log(2) + norm.logsf(height)) - 1e-9)
    if beyond(nearest) >= 0:
        return math.exp(nearest)
    return math.exp(_root(beyond, nearest, most, 1e-9))


def crossing(limits: Sequence[float], information: Sequence[float], drift: float) -> tuple[Floats, Floats]:
    """Chances that the upper and the lower bound are reached first at each look, (looks,) each.

    drift: mean of z once all units are known.
    """
    from scipy.stats import norm

    upper, lower = np.zeros(len(limits)), np.zeros(len(limits))
    state = _Undecided()
    for look, (limit, share) in enumerate(zip(limits, information, strict=True)):
        width = math.sqrt(share - state.share)
        mean = state.places + drift * (share - state.share)
        edge = limit * math.sqrt(share)
        upper[look] = np.sum(state.mass * norm.sf((edge - mean) / width))
        lower[look] = np.sum(state.mass * norm.sf((edge + mean) / width))
        state = state.after(edge, share, drift)
    return upper, lower


def power(limits: Sequence[float], information: Sequence[float], drift: float) -> float:
    """Chance that some look finds the difference, on its right side."""
    return float(crossing(limits, information, drift)[0].sum())


def drift_for(alpha: float, information: Sequence[float], wanted: float) -> float:
    """The mean of z, all units known, with which the plan has the wanted power."""

    limits = bounds(alpha, information)
    return _root(lambda drift: power(limits, information, drift) - wanted, 0.0, 60.0, 1e-9)


class _Undecided:
    """Where the sum process is while no bound has been reached: places on its scale, and the chance of each."""

    def __init__(self) -> None:
        self.share = 0.0
        self.places: Floats = np.zeros(1)
        self.mass: Floats = np.ones(1)

    def after(self, edge: float, share: float, drift: float = 0.0) -> "_Undecided":
        """At the next look, not beyond +-edge."""
        step = share - self.share
        width = math.sqrt(step)
        needed = max(_FEWEST_NODES, _NODES_PER_DEVIATION * 2 * edge / width)
        # By powers of two, as finding nodes costs more than using some too many.
        nodes, weights = _nodes(2 ** math.ceil(math.log2(needed)))
        later = _Undecided()
        later.share, later.places = share, nodes * edge
        distance = (later.places[:, None] - self.places - drift * step) / width
        density = np.exp(-0.5 * distance**2) / (width * math.sqrt(2 * math.pi))
        later.mass = weights * edge * (density @ self.mass)
        return later


@lru_cache(maxsize=64)
def _nodes(count: int) -> tuple[Floats, Floats]:
    return np.polynomial.legendre.leggauss(count)


@lru_cache(maxsize=4096)
def _bounds(alpha: float, information: tuple[float, ...]) -> tuple[float, ...]:
    from scipy.special import log_ndtr
    from scipy.stats import norm

    found: list[float] = []
    state = _Undecided()
    before = 0.0
    for share in information:
        now = spent(alpha, share)
        level, width = max(now - before, _LEAST_LEVEL), math.sqrt(share - state.share)
        highest = float(norm.isf(level / 2)) * math.sqrt(share)

        def missed(edge: float, state: _Undecided = state, width: float = width, level: float = level) -> float:
            tail = np.sum(state.mass * np.exp(log_ndtr((state.places - edge) / width)))
            return math.log(max(2 * float(tail), 5e-324)) - math.log(level)

        # Without earlier looks this would be the bound; what they took away can only lower it.
        edge = highest if not found else _root(missed, 1e-9, highest * (1 + 1e-9) + 1e-9, 1e-12)
        found.append(edge / math.sqrt(share))
        state, before = state.after(edge, share), now
    return tuple(found)


def _root(function: Callable[[float], float], low: float, high: float, tolerance: float) -> float:
    from scipy.optimize import root_scalar

    return float(root_scalar(function, bracket=(low, high), method="brentq", xtol=tolerance).root)


def _checked(look: int, information: Sequence[float]) -> int:
    if not 1 <= look <= len(information):
        raise ExperimentError(
            f"look {look} is not one of the {len(information)} that were planned. Give 1 to the last."
        )
    return look
