"""How often a customer is written to: caps over any span of time, whichever campaigns the messages are of.

Belongs here: counting sends. Does not belong here: reading them, or holding two campaigns apart that send at once (the outbox).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from assets.marketing.timing.errors import TimingError
from assets.marketing.timing.quiet_hours import Hours, next_allowed

ALL_CHANNELS = "all"


@dataclass(frozen=True)
class Cap:
    """At most `count` messages on `channel` (or on all together) in any span shorter than `span`."""

    channel: str
    count: int
    span: timedelta

    def __post_init__(self) -> None:
        if self.count < 1 or self.span <= timedelta(0):
            raise TimingError(
                f"cap of {self.channel}: count and span must be above 0. To send nothing, stop the campaign."
            )


@dataclass(frozen=True)
class Sent:
    """A message that went out, or that is planned to."""

    channel: str
    at: datetime


DEFAULT_CAPS = (
    Cap("email", 3, timedelta(days=7)),
    Cap("sms", 2, timedelta(days=7)),
    Cap("push", 4, timedelta(days=7)),
    Cap(ALL_CHANNELS, 1, timedelta(hours=4)),
    Cap(ALL_CHANNELS, 5, timedelta(days=7)),
)
"""What a house starts with: a choice, not a finding."""


def broken_cap(sends: Sequence[Sent], channel: str, at: datetime, caps: Sequence[Cap] = DEFAULT_CAPS) -> Cap | None:
    """The first cap that one more message at that instant would break, beside all sends before and after it; else None."""
    return next((cap for cap in caps if _breaks(cap, sends, channel, at)), None)


def next_uncapped(sends: Sequence[Sent], channel: str, at: datetime, caps: Sequence[Cap] = DEFAULT_CAPS) -> datetime:
    """The earliest instant from `at` on at which one more message breaks no cap, in UTC; `at` where that is one."""
    at = at.astimezone(UTC)
    # A cap stops to bite only where a send has become as old as its span.
    ends = {send.at.astimezone(UTC) + cap.span for send in sends for cap in caps}
    return next(
        instant
        for instant in (at, *sorted(end for end in ends if end > at))
        if not broken_cap(sends, channel, instant, caps)
    )


def next_send(
    sends: Sequence[Sent],
    channel: str,
    at: datetime,
    zones: Sequence[str],
    rules: Sequence[Hours],
    caps: Sequence[Cap] = DEFAULT_CAPS,
) -> datetime:
    """The earliest instant that is neither quiet nor above a cap. Raises TimingError as `next_allowed` does."""
    while True:
        awake = next_allowed(at, zones, rules)
        at = next_uncapped(sends, channel, awake, caps)
        if at == awake:
            return at


def _breaks(cap: Cap, sends: Sequence[Sent], channel: str, at: datetime) -> bool:
    if cap.channel not in (channel, ALL_CHANNELS):
        return False
    near = sorted(
        send.at for send in sends if cap.channel in (send.channel, ALL_CHANNELS) and abs(send.at - at) < cap.span
    )
    # The new one and the `count` of a row around it must not all lie in less than a span.
    row = sorted([*near, at])
    return any(
        row[n + cap.count] - row[n] < cap.span and row[n] <= at <= row[n + cap.count]
        for n in range(len(row) - cap.count)
    )
