"""From weeks to days: a SKU's weekly forecast spread over the days that it sells on, and carried past its last week.

Here: arithmetic on weeks and days. Not here: the models that made the weeks (`models`), where sales and forecasts come from.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from assets.forecasting.models import (
    PROPHET,
    SEASONAL_NAIVE,
    YEARLY_FROM_WEEKS,
    Units,
    prophet_band,
    seasonal_naive,
)

LEAST_UNITS = 50
WEEK = timedelta(days=7)
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


def carried_on(weeks: list[Week], count: int, model: str, sku: str, units: Units, first_week: date) -> list[Week]:
    """`weeks` and as many after them as make `count`, by the model that made them.

    The mean of recent weeks stays what it is; last year's weeks go on; Prophet is fitted to the history (`units` a week from
    `first_week` on) once more for the longer horizon. Beyond the horizon of `weeks` no model was tested, and the interval of
    the last week is kept for the first two. Raises what `prophet_band` raises.
    """
    missing = count - len(weeks)
    if missing <= 0:
        return weeks[:count]
    last = weeks[-1]
    mondays = [last.monday + WEEK * (k + 1) for k in range(missing)]
    if model == PROPHET:
        seed = zlib.crc32(sku.encode())
        band = prophet_band(units, first_week, count, yearly=len(units) >= YEARLY_FROM_WEEKS, seed=seed)
        bounds = zip(band.mean[-missing:], band.lower[-missing:], band.upper[-missing:], strict=True)
        further = [Week(day, *map(float, row)) for day, row in zip(mondays, bounds, strict=True)]
    elif model == SEASONAL_NAIVE:
        half = last.upper - last.mean
        means = seasonal_naive(units, count)[-missing:]
        further = [
            Week(d, float(m), max(float(m) - half, 0.0), float(m) + half) for d, m in zip(mondays, means, strict=True)
        ]
    else:
        further = [Week(day, last.mean, last.lower, last.upper) for day in mondays]
    return weeks + further
