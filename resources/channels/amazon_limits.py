"""How often each operation of the Selling Partner API may be called, and what an answer says about it.

Belongs here: the table of the vendor's default rates and the reading of its rate header. Does not belong here: requests.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from resources.channels.transport import Limit

RATE_HEADER = "x-amzn-ratelimit-limit"
_HIGHEST_RATE = 1000.0


@dataclass(frozen=True)
class Rate:
    """A token bucket: refilled `per_second`, holding at most `burst`."""

    per_second: float
    burst: float


RATES: Mapping[str, Rate] = {
    "searchListingsItems": Rate(5, 5),
    "getListingsItem": Rate(5, 10),
    "patchListingsItem": Rate(5, 5),
    "getInventorySummaries": Rate(2, 2),
    "createFeedDocument": Rate(0.5, 15),
    "createFeed": Rate(0.0083, 15),
    "getFeed": Rate(2, 15),
    "getFeeds": Rate(0.0222, 10),
    "getFeedDocument": Rate(0.0222, 10),
    "searchOrders": Rate(0.0056, 20),
    "getOrder": Rate(0.5, 30),
    "getSubscription": Rate(1, 5),
}
"""The vendor's defaults, by the name of the operation; each application and seller has buckets of its own."""


def limit_of(operation: str) -> Limit:
    """The operation's bucket. Raises KeyError for an operation that is not in the table."""
    rate = RATES[operation]
    return Limit(operation, rate.per_second, rate.burst)


def live_rate(headers: Mapping[str, str]) -> float | None:
    """The rate a second that the answer tells, or None where it tells none that can be believed."""
    try:
        rate = float(headers.get(RATE_HEADER, ""))
    except ValueError:
        return None
    return rate if math.isfinite(rate) and 0 < rate <= _HIGHEST_RATE else None
