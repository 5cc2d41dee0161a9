"""Seven ways to share out what journeys brought among the channels that they touched.

Belongs here: each model's weights. Does not belong here: rounding to cents (`credit`) and holdouts (`holdouts`).

Five rules look at one journey at a time: first, last, linear, time decay, position based. Two look at all: Markov asks how much
less would be bought if a channel led nowhere; Shapley shares out what coalitions of channels bring.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assets.marketing.attribution.errors import AttributionError
from assets.marketing.attribution.journeys import Journeys

RULES = ("first", "last", "linear", "time_decay", "position_based")
MODELS = (*RULES, "markov", "shapley")
SHAPLEY_GAME = (
    "A coalition of channels is worth the conversions (or their value) of all paths that touch no channel outside of it. "
    "Each path is then a unanimity game of the channels on it, so its worth is shared equally among them, however "
    "often each was touched."
)
# The transition matrix is dense: beyond this it would take gigabytes.
MOST_CHANNELS = 3_000


@dataclass(frozen=True)
class Settings:
    """Half-lives of time decay in days and, where times are not known, in touches; shares of first and last by position."""

    half_life_days: float = 7.0
    half_life_touches: float = 1.0
    first_share: float = 0.4
    last_share: float = 0.4

    def __post_init__(self) -> None:
        for name in ("half_life_days", "half_life_touches"):
            if not (np.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise AttributionError(f"{name} is {getattr(self, name)}. Give a number above 0.")
        if not (self.first_share >= 0 and self.last_share >= 0 and 0 < self.first_share + self.last_share <= 1):
            raise AttributionError("shares of the first and the last touch must be 0 or more and sum to at most 1")


@dataclass(frozen=True)
class Removal:
    """Markov's answer: `base` is the chance to convert, `effects[c]` the share of it that is lost without channel c."""

    base: float
    effects: NDArray[np.float64]


def touch_shares(journeys: Journeys, rule: str, settings: Settings) -> NDArray[np.float64]:
    """Each touch's share of its journey by one of RULES, shape (touches,); shares of a journey sum to 1."""
    lengths, touches = journeys.lengths, journeys.codes.size
    if rule == "linear":
        return journeys.over_touches(1.0 / lengths)
    shares = np.zeros(touches)
    first, last = journeys.starts[:-1], journeys.starts[1:] - 1
    if rule == "first":
        shares[first] = 1.0
        return shares
    if rule == "last":
        shares[last] = 1.0
        return shares
    if rule == "time_decay":
        return _decayed(journeys, settings)
    if rule == "position_based":
        return _by_position(journeys, settings)
    raise AttributionError(f"{rule!r} is no rule. There are {', '.join(RULES)}.")


def removal_effects(journeys: Journeys) -> Removal:
    """First-order Markov chain over channels, solved exactly (Anderl et al., 2016).

    Without channel c (whoever gets there is lost) the chance to convert is P - reach(c) h(c): reach(c) = N[start, c] / N[c, c]
    is the chance ever to get there, N = (I - Q)^-1 the expected visits, h(c) the chance to convert from there. One inverse
    serves all.
    """
    n = len(journeys.channels)
    if n > MOST_CHANNELS:
        raise AttributionError(f"there are {n:,} channels, more than {MOST_CHANNELS:,}. Put campaigns together.")
    weights = (journeys.conversions + journeys.nulls).astype(float)
    codes, first, last = journeys.codes, journeys.starts[:-1], journeys.starts[1:] - 1
    start = np.bincount(codes[first], weights, n)
    counts = _steps(journeys, weights, n)
    converted = np.bincount(codes[last], journeys.conversions.astype(float), n)
    lost = np.bincount(codes[last], journeys.nulls.astype(float), n)
    leaving = counts.sum(axis=1) + converted + lost
    seen = leaving > 0
    rows = np.where(seen, leaving, 1.0)
    visits = np.linalg.inv(np.eye(n) - counts / rows[:, None])
    chance = visits @ (converted / rows)
    begun = start / start.sum()
    base = float(begun @ chance)
    reach = (begun @ visits) / np.diag(visits)
    return Removal(base, np.clip(np.where(seen, reach * chance, 0.0) / base, 0.0, 1.0))


def shapley_shares(journeys: Journeys) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float64]]:
    """(journey, channel, share) for each different channel of each journey; shares of a journey are equal. See SHAPLEY_GAME.

    That is the exact Shapley value for any number of channels: it is linear, and a unanimity game's value is equal shares.
    """
    n = len(journeys.channels)
    keys = journeys.over_touches(np.arange(journeys.lengths.size, dtype=np.int64))
    keys *= n
    keys += journeys.codes
    keys.sort()
    keys = keys[np.concatenate([[True], keys[1:] != keys[:-1]])]
    journey, channel = keys // n, (keys % n).astype(np.int32)
    return journey, channel, 1.0 / np.bincount(journey)[journey]


def _decayed(journeys: Journeys, settings: Settings) -> NDArray[np.float64]:
    if journeys.age_days is None:
        positions = np.arange(journeys.codes.size, dtype=np.int64)
        age = (journeys.over_touches(journeys.starts[1:] - 1) - positions) / settings.half_life_touches
    else:
        # Relative to the youngest, so that old journeys do not vanish below the smallest number.
        youngest = np.minimum.reduceat(journeys.age_days, journeys.starts[:-1])
        age = (journeys.age_days - journeys.over_touches(youngest)) / settings.half_life_days
    weights = np.exp2(-age)
    return weights / journeys.over_touches(np.add.reduceat(weights, journeys.starts[:-1]))


def _by_position(journeys: Journeys, settings: Settings) -> NDArray[np.float64]:
    """40/20/40 by default; of two touches each has its end's share of both, one alone has all."""
    ends = settings.first_share + settings.last_share
    lengths, first, last = journeys.lengths, journeys.starts[:-1], journeys.starts[1:] - 1
    between = lengths > 2
    shares = journeys.over_touches((1.0 - ends) / np.maximum(lengths - 2, 1))
    shares[first] = np.where(between, settings.first_share, settings.first_share / ends)
    shares[last] = np.where(between, settings.last_share, settings.last_share / ends)
    shares[first[lengths == 1]] = 1.0
    return shares


def _steps(journeys: Journeys, weights: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """How often each channel was followed by each, shape (n, n)."""
    within = np.ones(journeys.codes.size, dtype=bool)
    within[journeys.starts[1:] - 1] = False
    before = np.flatnonzero(within)
    pairs = journeys.codes[before].astype(np.int64) * n + journeys.codes[before + 1]
    return np.bincount(pairs, journeys.over_touches(weights)[before], n * n).astype(np.float64).reshape(n, n)
