"""Settings of buyers, chosen on the weeks before a replay: the level that is named is never the one that is reached.

Here: the settings that are tried, and the choice among them. Not here: the replay of a setting (`replay`).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assets.inventory.buying.policies import CLASSES, Floats, demand_classes
from assets.inventory.simulation.buyers import RECENT_WEEKS, FixedPoint, ForecastBased, MovingAverage
from assets.inventory.simulation.forecasts import Forecasts
from assets.inventory.simulation.replay import Outcome, replay
from assets.inventory.simulation.setting import Scenario, weekly_units

# Shares of protection intervals without a stock-out.
_USUAL_LEVELS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.925, 0.95, 0.97, 0.98, 0.99, 0.995, 0.999)
# Errors have longer tails than the normal curve, so that cheap stock is worth more than three standard errors.
SERVICE_LEVELS = (*_USUAL_LEVELS, 0.9997, 0.99997, 0.999997)
_FACTORS = (-0.5, -0.25, 0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 3.5, 4.0)
_WINDOWS = (RECENT_WEEKS, 26)
_LOTS = (0.0, 0.5, 1.0, 1.5, 2.0)
_FIXED_LEVELS = 24


@dataclass(frozen=True)
class Aim:
    """What a setting is chosen for: the most profit; or with fill_rate, the most profit among those that reach it."""

    fill_rate: float | None = None

    def best(self, outcome: Outcome, weight: Floats | None = None) -> int:
        """The variant to take, SKUs counting by weight. Where none reaches the fill rate, the one that comes closest."""
        of = np.ones(outcome.demand.shape[1]) if weight is None else weight
        profit, wanted, sold = outcome.profit() @ of, outcome.demand @ of, outcome.sold @ of
        if self.fill_rate is None:
            return int(np.argmax(profit))
        fill = np.where(wanted > 0, sold / np.where(wanted > 0, wanted, 1.0), 1.0)
        reached = fill >= self.fill_rate
        return int(np.argmax(np.where(reached, profit, -np.inf) if reached.any() else fill))


def tuned_fixed_point(past: Scenario, aim: Aim) -> FixedPoint:
    """The best single pair of a reorder point and a level, for all SKUs alike."""
    weekly = weekly_units(past.panel, past.begin)
    most = max(float(weekly.max(initial=1)), 10.0) * 4
    levels = np.unique(np.geomspace(1, most, _FIXED_LEVELS).round().astype(np.int64))
    pairs = [(0, int(level)) for level in levels]
    pairs += [(int(low), int(high)) for n, low in enumerate(levels) for high in levels[n:]]
    points, up_to = np.array(pairs, dtype=np.int64).T
    buyer = FixedPoint(points[:, None], up_to[:, None])
    best = aim.best(replay(past, buyer))
    return FixedPoint(buyer.reorder_point[[best]], buyer.order_up_to[[best]])


def tuned_moving_average(past: Scenario, aim: Aim) -> MovingAverage:
    """The best number of weeks and of spreads, for all SKUs alike."""
    pairs = [(z, weeks) for weeks in _WINDOWS for z in _FACTORS]
    buyer = MovingAverage(
        np.array([[z] for z, _ in pairs]),
        np.array([[weeks] for _, weeks in pairs]),
        past.lead_times,
        past.review_days,
    )
    best = aim.best(replay(past, buyer))
    return MovingAverage(buyer.z[[best]], buyer.weeks[[best]], past.lead_times, past.review_days)


def tuned_forecast_based(
    past: Scenario, replayed: Scenario, aim: Aim, forecasts: Forecasts | None
) -> tuple[ForecastBased, dict[str, tuple[float, bool, float]]]:
    """The best level, kind of margin and lots for each class of demand; and these settings by class.

    Classes are those that the weeks before the replay show. Half a year of thirty SKUs is little to choose by, so a class's own
    result counts for one half and that of all SKUs for the other: on a real retailer's sales, both alone were worse.
    """
    lots = _LOTS if past.costs.order else (0.0,)
    tried = [(level, pooled, lot) for pooled in (False, True) for level in SERVICE_LEVELS for lot in lots]
    level, pooled, lot = (np.array([[one[n]] for one in tried]) for n in range(3))
    outcome = replay(past, ForecastBased(level, pooled.astype(bool), lot, past.terms), forecasts)
    classes = demand_classes(weekly_units(replayed.panel, replayed.begin))
    revenue = past.panel.price * outcome.demand[0]
    chosen = np.zeros(len(classes), dtype=np.int64)
    told = {}
    for name in CLASSES:
        members = classes == name
        if members.any():
            best = aim.best(outcome, _half_of_class(members, revenue))
            chosen[members] = best
            told[name] = tried[best]
    buyer = ForecastBased(
        level[chosen].T.astype(np.float64),
        pooled[chosen].T.astype(bool),
        lot[chosen].T.astype(np.float64),
        replayed.terms,
    )
    return buyer, told


def _half_of_class(members: NDArray[np.bool_], revenue: Floats) -> Floats:
    """Weights of SKUs: the class and all of them together count alike, whatever they sell."""
    of_class, of_all = float(revenue[members].sum()), float(revenue.sum())
    return members / (of_class or 1.0) + 1 / (of_all or 1.0)
