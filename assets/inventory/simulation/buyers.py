"""Buyers of a replay: at a fixed point, up to a mean and its spread, and by a forecast and its own error.

Here: how each decides from what it sees. Not here: the arithmetic (`assets/inventory/buying/policies.py`), the choice of
settings (`calibration`), and perfect foresight, which sees what none of these may (`foresight`).

Settings are arrays of variants × SKUs, or what broadcasts to it, so that many settings run side by side.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assets.inventory.buying.policies import (
    CLASSES,
    Floats,
    Units,
    conformal_quantile,
    demand_classes,
    economic_order_quantity,
    order_up_to_level,
    protection_sigma,
    reorder_to_level,
)
from assets.inventory.simulation.forecasts import LEVELS, Forecasts
from assets.inventory.simulation.replay import Seen
from assets.inventory.simulation.setting import DAYS, YEAR, LeadTimes, Terms

RECENT_WEEKS = 13
# A SKU's own errors are weighed against its class's, which count for so many windows.
POOLED_WINDOWS = 8
_LEAST_ORIGINS = 4
_MOST_LEADS = 8
_LONGEST_LOT_WEEKS = 26
_LEAST_SCALE = 0.3
_LOW, _HIGH = LEVELS.index(0.1), LEVELS.index(0.9)
_SPREAD = 2 * 1.2815515655446004


@dataclass(frozen=True)
class FixedPoint:
    """At this position or below, up to that: the same numbers week in, week out."""

    reorder_point: NDArray[np.int64]
    order_up_to: NDArray[np.int64]

    @classmethod
    def of(cls, reorder_point: int, order_up_to: int) -> "FixedPoint":
        return cls(np.array([[reorder_point]]), np.array([[order_up_to]]))

    @property
    def variants(self) -> int:
        return len(self.reorder_point)

    def wanted(self, seen: Seen) -> Units:
        return reorder_to_level(seen.position, self.reorder_point, self.order_up_to)


@dataclass(frozen=True)
class MovingAverage:
    """Each review up to the mean of the weeks before over the protection interval, and z spreads of their sales more."""

    z: Floats
    weeks: NDArray[np.int64]
    lead_times: LeadTimes
    review_days: int

    @property
    def variants(self) -> int:
        return len(self.z)

    def wanted(self, seen: Seen) -> Units:
        interval = (self.lead_times.mean + self.review_days) / DAYS
        up_to = np.empty((self.variants, seen.on_hand.shape[1]))
        for count in np.unique(self.weeks):
            units = seen.weeks(int(count))
            mean = units.mean(axis=1) if units.shape[1] else seen.history.mean(axis=1) * DAYS / seen.step_days
            sd = units.std(axis=1, ddof=1) if units.shape[1] > 1 else np.sqrt(mean)
            sigma = protection_sigma(sd * np.sqrt(interval), mean, self.lead_times.sd / DAYS)
            rows = self.weeks[:, 0] == count
            up_to[rows] = mean * interval + self.z[rows] * sigma
        return order_up_to_level(seen.position, up_to)


@dataclass(frozen=True)
class ForecastBased:
    """(R, s, S) by the newest forecast: s is the mean over the protection interval and a margin for the forecast's own error.

    level: the share of intervals that are to end without a stock-out. pooled: the margin is the conformal quantile of earlier
    errors of the SKU's class of demand, in spreads of the forecast; else z standard errors of its own, weighed against the
    class's, with the lead time's spread. lots: S is this many economic order quantities above s. Where less than
    `_LEAST_ORIGINS` earlier forecasts can be judged, the margin is that of the forecast's own quantiles.

    Where stock is written off at the end, nothing is bought for days beyond it, and the last orders aim at the newsvendor's
    critical ratio if that is lower.
    """

    level: Floats
    pooled: NDArray[np.bool_]
    lots: Floats
    terms: Terms

    @property
    def variants(self) -> int:
        return len(self.level)

    def wanted(self, seen: Seen) -> Units:
        terms = self.terms
        lead, interval = terms.lead_times.mean, terms.lead_times.mean + terms.review_days
        days = interval if seen.days_left is None else min(interval, seen.days_left)
        outlook = _Outlook.of(seen, days, terms)
        level = self._level(seen.days_left, interval, len(outlook.mean))
        reorder_point = outlook.mean + outlook.margin(level, self.pooled)
        lot = economic_order_quantity(
            outlook.mean / days * YEAR,
            terms.costs.order,
            terms.unit_cost * terms.costs.holding,
        )
        longest = outlook.mean / days * DAYS * _LONGEST_LOT_WEEKS
        wanted = reorder_to_level(
            seen.position, reorder_point, np.maximum(reorder_point, 0) + self.lots * np.minimum(lot, longest)
        )
        if seen.days_left is None:
            return wanted
        # What arrives after a stock-out cannot bring back what was lost before, and what is left at the end is written off.
        until_end = _over(outlook.weekly, outlook.offset, seen.days_left)
        useful = until_end - _over(outlook.weekly, outlook.offset, min(lead, seen.days_left))
        room = useful + np.maximum(reorder_point - outlook.mean, 0)
        still = np.maximum(until_end + np.maximum(reorder_point - outlook.mean, 0) - seen.position, 0)
        return np.minimum(wanted, np.ceil(np.minimum(room, still))).astype(np.int64)

    def _level(self, days_left: int | None, interval: float, skus: int) -> Floats:
        level = np.broadcast_to(self.level, (self.variants, skus))
        if days_left is None or days_left > interval + self.terms.review_days:
            return level
        terms, costs = self.terms, self.terms.costs
        under = np.maximum(terms.price * (1 + costs.lost) - terms.unit_cost, 1e-9)
        over = np.maximum(terms.unit_cost * (1 - (costs.salvage or 0.0)), 1e-9)
        return np.minimum(level, np.clip(under / (under + over), 0.01, 0.999))


@dataclass(frozen=True)
class _Outlook:
    """The newest forecast from a day on, over an interval, and how wrong earlier ones of the same length were.

    weekly: units a week, SKUs × weeks; offset: days of its first week that are over. mean, scale: units over the interval, and
    the spread of the forecast's quantiles. errors, scales: of earlier forecasts, origins × SKUs. scores_by_lead: errors with
    each lead time's length, in such spreads, leads × origins × SKUs. Where an item had not begun, 0, 0 and NaN.
    """

    weekly: Floats
    offset: float
    mean: Floats
    scale: Floats
    classes: NDArray[np.str_]
    errors: Floats
    scales: Floats
    scores_by_lead: Floats
    lead_weights: Floats
    lead_sd_weeks: float
    weeks: float

    @classmethod
    def of(cls, seen: Seen, days: float, terms: Terms) -> "_Outlook":
        recent = seen.weeks(RECENT_WEEKS)
        usual = recent.mean(axis=1) if recent.shape[1] else seen.history.mean(axis=1) * DAYS / seen.step_days
        spread = recent.std(axis=1) if recent.shape[1] > 1 else np.sqrt(usual)
        forecasts = seen.forecasts
        offset = 0.0
        if forecasts is None or not forecasts.cutoffs:
            weekly, variance = usual[:, None], spread[:, None] ** 2
        else:
            mean, of_weeks = _filled(forecasts, usual, spread)
            weekly, variance = mean[-1], of_weeks[-1]
            offset = float((seen.day - forecasts.first_day(len(forecasts.cutoffs) - 1)).days)
        leads, weights = _few_leads(terms.lead_times)
        none = np.empty((0, len(usual)))
        judged = none, none, np.empty((len(leads), 0, len(usual)))
        if forecasts is not None and forecasts.cutoffs:
            lengths = np.minimum(leads + terms.review_days, days) if seen.days_left else leads + terms.review_days
            judged = _judged(seen, forecasts, mean, of_weeks, days, lengths)
        return cls(
            weekly=weekly,
            offset=offset,
            mean=_over(weekly, offset, days),
            scale=_scale(_over(weekly, offset, days), _over(variance, offset, days)),
            classes=demand_classes(seen.weeks()),
            errors=judged[0],
            scales=judged[1],
            scores_by_lead=judged[2],
            lead_weights=weights,
            lead_sd_weeks=terms.lead_times.sd / DAYS,
            weeks=days / DAYS,
        )

    def margin(self, level: Floats, pooled: NDArray[np.bool_]) -> Floats:
        """Units on top of the mean: variants × SKUs."""
        from scipy.special import ndtri

        z = ndtri(level)
        if len(self.errors) < _LEAST_ORIGINS:
            return z * protection_sigma(self.scale, self.mean / self.weeks, self.lead_sd_weeks)
        by_error = z * protection_sigma(self._own_sigma(), self.mean / self.weeks, self.lead_sd_weeks)
        if not pooled.any():
            return by_error
        by_class = by_error.copy()
        for name in CLASSES:
            members = self.classes == name
            scores = self.scores_by_lead[:, :, members]
            judged = np.isfinite(scores)
            if judged.any():
                weights = np.broadcast_to(self.lead_weights[:, None, None], scores.shape)[judged]
                levels, where = np.unique(level[:, members], return_inverse=True)
                quantiles = conformal_quantile(scores[judged], levels, weights)[where].reshape(-1, int(members.sum()))
                by_class[:, members] = quantiles * self.scale[members]
        return np.where(pooled, by_class, by_error)

    def _own_sigma(self) -> Floats:
        """The scale, times how many of it errors were: its own, weighed against the class's.

        Sums over sums, as scores of forecasts next to nothing would drown all others in a mean of scores.
        """
        own, spread = (self.errors**2).sum(axis=0), (self.scales**2).sum(axis=0)
        weight = POOLED_WINDOWS / len(self.errors)
        of_class = np.ones(len(self.mean))
        for name in CLASSES:
            members = self.classes == name
            if spread[members].any():
                of_class[members] = own[members].sum() / spread[members].sum()
        known = np.maximum((1 + weight) * spread, _LEAST_SCALE**2)
        return self.scale * np.sqrt(np.where(spread > 0, (own + weight * of_class * spread) / known, of_class))


def _judged(
    seen: Seen, forecasts: Forecasts, mean: Floats, variance: Floats, days: float, lengths: Floats
) -> tuple[Floats, Floats, Floats]:
    """Of the forecasts whose intervals are over: errors and scales over `days`, and scores over each of `lengths`."""
    total: Floats = np.zeros((len(seen.history), seen.history.shape[1] + 1))
    np.cumsum(seen.history, axis=1, out=total[:, 1:])
    first = seen.day.toordinal() - seen.history.shape[1] * seen.step_days
    begins = np.array([forecasts.first_day(k).toordinal() - first for k in range(len(forecasts.cutoffs))])
    longest = max(float(lengths.max()), days)
    over = (begins >= 0) & (begins + longest <= seen.history.shape[1] * seen.step_days)
    begins = begins[over]
    expected = _over(mean[over], 0, days)
    scale = _scale(expected, _over(variance[over], 0, days))
    # Before its first sale an item was none to buy, and a forecast of it is not judged.
    begun = _at(total, begins / seen.step_days) > 0

    def actual(length: float) -> Floats:
        return _at(total, (begins + length) / seen.step_days) - _at(total, begins / seen.step_days)

    by_lead = [(actual(float(length)) - expected) / scale for length in lengths]
    return (actual(days) - expected) * begun, scale * begun, np.where(begun, np.stack(by_lead), np.nan)


def _at(total: Floats, steps: Floats) -> Floats:
    """Cumulated units at points between steps: points × SKUs."""
    low = np.minimum(steps.astype(np.int64), total.shape[1] - 1)
    high = np.minimum(low + 1, total.shape[1] - 1)
    part = steps - low
    return (total[:, low] * (1 - part) + total[:, high] * part).T


def _over(weekly: Floats, offset: float, days: float) -> Floats:
    """Units over `days` from `offset` on; weeks are spread evenly, and what lies beyond the last is as the average week."""
    total = np.concatenate([np.zeros((*weekly.shape[:-1], 1)), np.cumsum(weekly, axis=-1)], axis=-1)
    average = weekly.mean(axis=-1)

    def until(day: float) -> Floats:
        week = min(day / DAYS, weekly.shape[-1])
        low = min(int(week), weekly.shape[-1] - 1)
        inside = total[..., low] + (week - low) * weekly[..., low]
        return inside + average * (day / DAYS - week)

    return until(offset + days) - until(offset)


def _scale(mean: Floats, variance: Floats) -> Floats:
    return np.maximum(np.sqrt(np.maximum(variance, mean)), _LEAST_SCALE)


def _filled(forecasts: Forecasts, usual: Floats, spread: Floats) -> tuple[Floats, Floats]:
    """Means and variances of weeks; those of the recent weeks where there is no forecast."""
    sd = (forecasts.quantiles[..., _HIGH] - forecasts.quantiles[..., _LOW]) / _SPREAD
    mean = np.where(np.isnan(forecasts.mean), usual[None, :, None], forecasts.mean)
    return mean, np.where(np.isnan(sd), spread[None, :, None], sd) ** 2


def _few_leads(lead_times: LeadTimes) -> tuple[Floats, Floats]:
    """Lead times and weights; the middles of equal slices where there are many."""
    days, shares = np.array(lead_times.days, dtype=np.float64), np.array(lead_times.shares)
    if len(days) <= _MOST_LEADS:
        return days, shares
    middles = (np.arange(_MOST_LEADS) + 0.5) / _MOST_LEADS
    return days[np.searchsorted(np.cumsum(shares), middles)], np.full(_MOST_LEADS, 1 / _MOST_LEADS)
