"""The bound: what a buyer would earn who knew all demand and every lead time, under the same rules.

Here: the best orders, by dynamic programming over the stock on hand, exact to the unit: same reviews, lead times, lots, least
orders and costs as a replay, where stock is sold as long as there is some. Not here: buyers, who know none of it.

Going back from the end, W(x) is the most that can still be earned with x units after an arrival. Between two arrivals demand D
takes min(x, D) whatever its days, and what is kept costs by the day; an arrival may add any order that is allowed (a lot-sizing
problem with lost sales, after Wagner & Whitin, Dynamic version of the economic lot size model, Management Science 5, 1958).
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from assets.inventory.buying.policies import Floats, Units, in_lots
from assets.inventory.simulation.replay import Seen
from assets.inventory.simulation.setting import YEAR, Scenario, SimulationError

_MOST_UNITS = 2_000_000


@dataclass(frozen=True)
class Scheduled:
    """Orders that were decided before the replay began: SKUs × reviews."""

    orders: Units
    scenario: Scenario

    variants: int = 1

    def wanted(self, seen: Seen) -> Units:
        days = (seen.day - self.scenario.panel.day_of(self.scenario.begin)).days
        return self.orders[None, :, days // self.scenario.review_days]


def perfect_foresight(scenario: Scenario) -> Scheduled:
    """The orders that earn most. Raises SimulationError for demand of millions of units."""
    leads = scenario.lead_steps()
    orders = np.zeros(leads.shape, dtype=np.int64)
    reviews = np.array(scenario.reviews) - scenario.begin
    useful = reviews + scenario.begin < scenario.last_useful_step
    for sku in range(len(orders)):
        arrivals = reviews + leads[sku]
        events = np.flatnonzero(useful & (arrivals < scenario.steps))
        events = events[np.argsort(arrivals[events], kind="stable")]
        if len(events):
            orders[sku, events] = _best_orders(scenario, sku, arrivals[events])
    return Scheduled(orders, scenario)


def _best_orders(scenario: Scenario, sku: int, arrivals: Units) -> Units:
    panel, costs = scenario.panel, scenario.costs
    demand = panel.demand[sku, scenario.begin : scenario.end]
    start, multiple = int(scenario.start[sku]), int(panel.order_multiple[sku])
    least = int(in_lots(1, multiple, panel.min_order_quantity[sku]))
    most = start + int(demand.sum()) + least
    if most > _MOST_UNITS:
        raise SimulationError(
            f"{panel.skus[sku]} has {demand.sum():,} units of demand, too many to know the best orders to the unit: "
            "leave `foresight` out of the policies, or count in dozens"
        )
    cost = float(panel.unit_cost[sku])
    stock = np.arange(most + 1, dtype=np.float64)
    value = cost * stock if costs.salvage is None else cost * costs.salvage * stock
    bounds = [*arrivals.tolist(), scenario.steps]
    after: list[Floats] = []
    for begin, end in reversed(list(pairwise(bounds))):
        value = _until_next(value, demand[begin:end], scenario, sku)
        after.append(value)
        value = np.maximum(value, _with_order(value - cost * stock, least, multiple) + cost * stock - costs.order)
    after.reverse()
    units = start - int(min(start, demand[: bounds[0]].sum()))
    found = np.zeros(len(arrivals), dtype=np.int64)
    for event, (begin, end) in enumerate(pairwise(bounds)):
        offers = np.arange(least, most - units + 1, multiple)
        if len(offers):
            worth = after[event][units + offers] - cost * offers - costs.order
            best = int(np.argmax(worth))
            # An order that earns no more than none is not made.
            if worth[best] > after[event][units] + 1e-9 * max(1.0, abs(worth[best])):
                found[event] = offers[best]
        units += int(found[event])
        units -= int(min(units, demand[begin:end].sum()))
    return found


def _until_next(value: Floats, demand: Units, scenario: Scenario, sku: int) -> Floats:
    """What stock of 0, 1, 2 … units after an arrival earns until the next, and from then on."""
    panel, costs = scenario.panel, scenario.costs
    total = int(demand.sum())
    stock = np.arange(len(value), dtype=np.float64)
    sold = np.minimum(stock, total)
    earned = panel.price[sku] * (sold - costs.lost * (total - sold))
    holding = panel.unit_cost[sku] * costs.holding / YEAR * panel.step_days
    if holding:
        kept = np.zeros(len(value))
        for so_far in np.cumsum(demand).tolist():
            kept[so_far:] += stock[: len(stock) - so_far] if so_far < len(stock) else 0
        earned = earned - holding * kept
    left = np.maximum(np.arange(len(value)) - total, 0)
    return earned + value[left]


def _with_order(worth: Floats, least: int, multiple: int) -> Floats:
    """max over allowed orders q of worth(x + q), for each x; −∞ where none fits."""
    size = len(worth)
    padded = np.full(-(-size // multiple) * multiple, -np.inf)
    padded[:size] = worth
    lattice = padded.reshape(-1, multiple)
    best = np.maximum.accumulate(lattice[::-1], axis=0)[::-1].ravel()[:size]
    found = np.full(size, -np.inf)
    if least < size:
        found[: size - least] = best[least:]
    return found
