"""Holdouts: what a channel brought that would not have come without it.

Belongs here: the difference between people drawn to be reached and people drawn to be left alone. Does not belong here: drawing
them (`assets/marketing/experiments/assignment`) and tests of several arms.

Intent to treat: everybody drawn for treatment counts, whether or not the message got there; otherwise the
sides differ.
"""

from dataclasses import dataclass
from math import exp, sqrt
from statistics import NormalDist

from assets.marketing.attribution.errors import AttributionError


@dataclass(frozen=True)
class Side:
    """People of one side, conversions among them, what they bought (minor units, None: not known), and its sd per person."""

    n: int
    conversions: int
    value_minor: int | None = None
    value_sd_minor: float | None = None


@dataclass(frozen=True)
class Incremental:
    """What one channel added over its holdout, for all its treated people; intervals are (low, high) at `confidence`.

    `conversions_ratio` is the share of treated people's conversions that would not have come by themselves; `value_ratio`
    the same of value, or `conversions_ratio` where `value_known` is false.
    """

    channel: str
    treated: Side
    holdout: Side
    confidence: float
    rate_difference: float
    conversions: float
    conversions_interval: tuple[float, float]
    conversions_ratio: float
    conversions_ratio_interval: tuple[float, float] | None
    value_minor: float | None
    value_interval: tuple[float, float] | None
    value_ratio: float
    value_known: bool


def incremental_of(channel: str, treated: Side, holdout: Side, confidence: float = 0.95) -> Incremental:
    """Newcombe's interval for the rates, Katz's for the ratio, and a normal one for value where its sd is known.

    Raises AttributionError for sides without people, more conversions than people, or no conversions of treated people.
    """
    if not 0 < confidence < 1:
        raise AttributionError(f"a confidence of {confidence} is not between 0 and 1")
    for name, side in (("treated", treated), ("holdout", holdout)):
        _check(channel, name, side)
    if not treated.conversions:
        raise AttributionError(f"holdout of {channel!r}: no treated person converted, so there is no share to find")
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    p, q = treated.conversions / treated.n, holdout.conversions / holdout.n
    low, high = _newcombe(treated, holdout, z)
    value, value_interval, value_ratio = _value(channel, treated, holdout, z)
    ratio = (p - q) / p
    return Incremental(
        channel=channel,
        treated=treated,
        holdout=holdout,
        confidence=confidence,
        rate_difference=p - q,
        conversions=(p - q) * treated.n,
        conversions_interval=(low * treated.n, high * treated.n),
        conversions_ratio=ratio,
        conversions_ratio_interval=_katz(treated, holdout, z),
        value_minor=value,
        value_interval=value_interval,
        value_ratio=ratio if value_ratio is None else value_ratio,
        value_known=value_ratio is not None,
    )


def _check(channel: str, name: str, side: Side) -> None:
    if side.n < 1:
        raise AttributionError(f"holdout of {channel!r}: {name} has {side.n} people. Both sides need some.")
    if not 0 <= side.conversions <= side.n:
        raise AttributionError(
            f"holdout of {channel!r}: {side.conversions} conversions of {side.n} {name} people. Count people who converted."
        )
    if (side.value_minor or 0) < 0 or (side.value_sd_minor or 0) < 0:
        raise AttributionError(f"holdout of {channel!r}: the value of {name} people is negative. Correct it.")


def _newcombe(treated: Side, holdout: Side, z: float) -> tuple[float, float]:
    """Newcombe (1998), method 10: Wilson's limits of both, combined."""
    p, q = treated.conversions / treated.n, holdout.conversions / holdout.n
    p_low, p_high = _wilson(treated, z)
    q_low, q_high = _wilson(holdout, z)
    low = p - q - sqrt((p - p_low) ** 2 + (q_high - q) ** 2)
    return low, p - q + sqrt((p_high - p) ** 2 + (q - q_low) ** 2)


def _wilson(side: Side, z: float) -> tuple[float, float]:
    p, n = side.conversions / side.n, side.n
    middle = p + z * z / (2 * n)
    half = z * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)


def _katz(treated: Side, holdout: Side, z: float) -> tuple[float, float] | None:
    """Of 1 - holdout rate / treated rate; None where nobody of the holdout converted, which has no logarithm."""
    if not holdout.conversions:
        return None
    ratio = (holdout.conversions / holdout.n) / (treated.conversions / treated.n)
    spread = z * sqrt(1 / holdout.conversions - 1 / holdout.n + 1 / treated.conversions - 1 / treated.n)
    return 1 - ratio * exp(spread), 1 - ratio * exp(-spread)


def _value(
    channel: str, treated: Side, holdout: Side, z: float
) -> tuple[float | None, tuple[float, float] | None, float | None]:
    if treated.value_minor is None and holdout.value_minor is None:
        return None, None, None
    if treated.value_minor is None or holdout.value_minor is None:
        raise AttributionError(f"holdout of {channel!r}: give the value of both sides, or of none")
    if not treated.value_minor:
        raise AttributionError(f"holdout of {channel!r}: treated people bought for nothing. Leave the values out.")
    mine, other = treated.value_minor / treated.n, holdout.value_minor / holdout.n
    difference, interval = (mine - other) * treated.n, None
    if treated.value_sd_minor is not None and holdout.value_sd_minor is not None:
        half = z * sqrt(treated.value_sd_minor**2 / treated.n + holdout.value_sd_minor**2 / holdout.n) * treated.n
        interval = (difference - half, difference + half)
    return difference, interval, (mine - other) / mine
