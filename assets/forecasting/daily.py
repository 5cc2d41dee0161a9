"""From weeks to days: a SKU's weekly forecast spread over the days that it sells on, and carried past its last week.

Here: arithmetic on weeks and days. Not here: what made the weeks (`served`), where sales and forecasts come from.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

LEAST_UNITS = 50
WEEK = timedelta(days=7)
_LEVEL_OF = 4
EVEN: tuple[float, ...] = (1 / 7,) * 7


@dataclass(frozen=True)
class Week:
    """A forecast week, by its Monday: units expected, and the bounds of the interval."""

    monday: date
    mean: float
    lower: float
    upper: float


@dataclass(frozen=True)
class Day:
    """A day's share of its week."""

    day: date
    mean: float
    lower: float
    upper: float


def weekday_profile(of_sku: Mapping[date, int], of_brand: Mapping[date, int]) -> tuple[tuple[float, ...], str]:
    """The share of a week's units that falls on each weekday (Monday first, sum 1), and whose it is: sku, brand or even.

    The SKU's own where it sold `LEAST_UNITS` units in the days given, else the brand's, else the same for each day: a few
    sales say nothing about weekdays.
    """
    for units, whose in ((of_sku, "sku"), (of_brand, "brand")):
        total = sum(units.values())
        if total >= LEAST_UNITS:
            shares = [0] * 7
            for day, sold in units.items():
                shares[day.weekday()] += sold
            return tuple(share / total for share in shares), whose
    return EVEN, "even"


def spread(weeks: list[Week], profile: tuple[float, ...]) -> list[Day]:
    """Each week's units over its seven days by the profile: the days of a week sum to the week, bounds included.

    A day's bounds are its share of the week's, so that the bounds of a longer period are sums too. That takes the errors of
    all days as going the same way, which makes a period's interval rather too wide than too narrow.
    """
    return [
        Day(week.monday + timedelta(days=n), week.mean * share, week.lower * share, week.upper * share)
        for week in weeks
        for n, share in enumerate(profile)
    ]


def carried_on(weeks: list[Week], count: int) -> list[Week]:
    """`weeks` and as many after them as make `count`: the mean of the last four, with an interval that widens.

    Beyond the horizon no forecast was ever tried. What is certain is that less is known: the distance of the bounds from the
    mean grows with the root of how far ahead a week is, as that of a random walk does.
    """
    missing = count - len(weeks)
    if missing <= 0:
        return weeks[:count]
    newest = weeks[-_LEVEL_OF:]
    mean, lower, upper = (
        sum(getattr(week, name) for week in newest) / len(newest) for name in ("mean", "lower", "upper")
    )
    further = []
    for n in range(1, missing + 1):
        wider = math.sqrt((len(weeks) + n) / len(weeks))
        bounds = max(0.0, mean - (mean - lower) * wider), mean + (upper - mean) * wider
        further.append(Week(weeks[-1].monday + WEEK * n, mean, *bounds))
    return weeks + further
