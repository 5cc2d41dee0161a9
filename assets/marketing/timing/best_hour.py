"""The best hour to write: a curve over the 24 hours of the recipient's day, learnt from when people engage.

Belongs here: Dirichlet posteriors of hours. Does not belong here: which events are people's (`machine_opens`), quiet hours.

A channel starts with the hours that are known to work as its prior, worth PRIOR_EVENTS events: 80 % on those hours, the rest on
all hours alike. A segment's engagements are added to it; its curve, worth PERSONAL_EVENTS, is the prior of each of its
customers. People can only engage after they were written to, so hours at which nothing was ever sent stay near the prior:
`draw_hour` (Thompson sampling) tries them now and then, `best_hour` never does.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from assets.marketing.timing.errors import TimingError
from assets.marketing.timing.quiet_hours import Hours, next_allowed, zone

HOURS = 24
PRIOR_EVENTS = 48.0
PERSONAL_EVENTS = 12.0
_SOCIAL, _PUSH = (11, 13, 17, 19), (9, 12, 20)
KNOWN_HOURS = {
    "email": (10, 14, 20),
    "sms": (12, 18),
    "facebook": _SOCIAL,
    "instagram": _SOCIAL,
    "tiktok": (6, 10, 19, 22),
    "push": _PUSH,
    "push_notification": _PUSH,
}
_FOCUS = 0.8


@dataclass(frozen=True)
class Curve:
    """Dirichlet weights of the hours 0 to 23 by the recipient's clock; all are above 0, and their sum is what is known."""

    weights: tuple[float, ...]

    @property
    def shares(self) -> tuple[float, ...]:
        """Mean share of engagements in each hour."""
        total = sum(self.weights)
        return tuple(weight / total for weight in self.weights)


def prior(channel: str, events: float = PRIOR_EVENTS) -> Curve:
    """The curve before anything was seen; even for a channel whose hours are not known."""
    known = KNOWN_HOURS.get(channel, tuple(range(HOURS)))
    focus = _FOCUS * events / len(known)
    return Curve(tuple((1 - _FOCUS) * events / HOURS + (focus if hour in known else 0.0) for hour in range(HOURS)))


def updated(curve: Curve, hours: Iterable[int]) -> Curve:
    """The curve after engagements in those local hours. Raises TimingError for an hour that is none."""
    weights = list(curve.weights)
    for hour in hours:
        if not 0 <= hour < HOURS:
            raise TimingError(f"hours: {hour} is no hour of a day. Give 0 to 23 by the recipient's clock.")
        weights[hour] += 1
    return Curve(tuple(weights))


def personal(segment: Curve, hours: Iterable[int], events: float = PERSONAL_EVENTS) -> Curve:
    """One customer's curve: the segment's, worth `events`, after the customer's own hours."""
    return updated(Curve(tuple(share * events for share in segment.shares)), hours)


def local_hours(instants: Iterable[datetime], zone_name: str) -> list[int]:
    """The hours that the recipient's clock showed."""
    place = zone(zone_name)
    return [at.astimezone(place).hour for at in instants]


def best_hour(curve: Curve, allowed: Iterable[int] = range(HOURS)) -> int:
    """The hour with the largest share among those allowed; of equal ones the earliest. Raises TimingError without any."""
    return max(_some(allowed), key=lambda hour: (curve.weights[hour], -hour))


def draw_hour(curve: Curve, generator: np.random.Generator, allowed: Iterable[int] = range(HOURS)) -> int:
    """An hour by Thompson sampling: one curve is drawn from the posterior, and its best hour taken."""
    hours = _some(allowed)
    drawn = generator.dirichlet(curve.weights)
    return max(hours, key=lambda hour: drawn[hour])


def hours_allowed(rules: Sequence[Hours]) -> list[int]:
    """Hours that every rule allows from their first to their last minute on at least one weekday."""
    return [
        hour
        for hour in range(HOURS)
        if any(
            all((w := h.week[day]) and w[0] <= hour * 60 and hour * 60 + 60 <= w[1] for h in rules) for day in range(7)
        )
    ]


def send_at(not_before: datetime, hour: int, zones: Sequence[str], rules: Sequence[Hours]) -> datetime:
    """The next time that the clock of the first zone shows that hour, moved on out of quiet hours; in UTC.

    Within the hour it is at once. An hour that the clock skips is the one after it. Raises TimingError as `next_allowed` does.
    """
    if not 0 <= hour < HOURS:
        raise TimingError(f"hour: {hour} is no hour of a day. Give 0 to 23.")
    not_before = next_allowed(not_before, zones, rules)
    place = zone(zones[0])
    local = not_before.astimezone(place)
    if local.hour == hour:
        return not_before
    wall = local.replace(hour=hour, minute=0, second=0, microsecond=0, fold=0)
    instant = wall.astimezone(UTC)
    if instant < not_before:
        instant = (wall + timedelta(days=1)).astimezone(UTC)
    return next_allowed(instant, zones, rules)


def _some(allowed: Iterable[int]) -> list[int]:
    hours = sorted(set(allowed))
    if not hours:
        raise TimingError(
            "hours: quiet hours leave none of the day. Correct the table, or give the recipient's own zone."
        )
    return hours
