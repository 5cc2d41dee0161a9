"""History again, a step at a time: goods arrive, a buyer orders by what lay before the day, customers take what is there.

Here: the course of a step, what a buyer gets to see, and what is counted. Not here: how a buyer decides (`buyers`).

A step begins with what arrives. At a review the buyer then sees the demand of the steps before, never that of its own, and
orders. Demand that stock cannot meet is lost. Several variants of a buyer run side by side, as rows of the same arrays.
"""

from dataclasses import dataclass
from datetime import date
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from assets.inventory.buying.policies import Floats, Units, in_lots
from assets.inventory.simulation.forecasts import Forecasts
from assets.inventory.simulation.setting import DAYS, YEAR, Scenario


@dataclass(frozen=True)
class Seen:
    """All that a buyer knows on a day: copies of what lay before it, and its own stock.

    history: SKUs × steps before the day. forecasts: those made before it, or None. on_hand, on_order: variants × SKUs.
    days_left: how long stock can be sold, or None where it keeps its worth.
    """

    day: date
    step_days: int
    history: Units
    forecasts: Forecasts | None
    on_hand: Units
    on_order: Units
    days_left: int | None

    @property
    def position(self) -> Units:
        """Units on hand and under way."""
        return self.on_hand + self.on_order

    def weeks(self, last: int | None = None) -> Units:
        """Units of the newest whole weeks: SKUs × weeks."""
        width = DAYS // self.step_days
        count = self.history.shape[1] // width
        count = count if last is None else min(count, last)
        used = self.history[:, self.history.shape[1] - count * width :]
        return used.reshape(len(used), count, width).sum(axis=2)


class Buyer(Protocol):
    """Decides what to order."""

    @property
    def variants(self) -> int:
        """How many settings of it are tried side by side."""
        ...

    def wanted(self, seen: Seen) -> NDArray[np.int64]:
        """Units to order: variants × SKUs, before lots and least orders."""
        ...


@dataclass(frozen=True)
class Outcome:
    """What became of each variant and SKU: units, unless it says otherwise. Shapes: variants × SKUs.

    stock: the sum of what was on hand at the end of each step. short_steps, empty_steps: steps in which a sale was lost, and
    that ended with nothing on hand. orders: how many; ordered: units at each review (variants × SKUs × reviews).
    """

    scenario: Scenario
    demand: Units
    sold: Units
    received: Units
    left: Units
    written_off: Units
    under_way: Units
    stock: Units
    short_steps: Units
    empty_steps: Units
    orders: Units
    ordered: Units

    @property
    def lost(self) -> Units:
        return self.demand - self.sold

    def profit(self) -> Floats:
        """Sales less what was sold of cost, keeping, ordering, lost sales and write-offs: variants × SKUs."""
        costs, panel = self.scenario.costs, self.scenario.panel
        bought = self.scenario.start + self.received
        kept = panel.unit_cost * self.left + panel.unit_cost * (costs.salvage or 0.0) * self.written_off
        holding = panel.unit_cost * costs.holding / YEAR * panel.step_days
        return (
            panel.price * self.sold
            - panel.unit_cost * bought
            + kept
            - holding * self.stock
            - costs.order * self.orders
            - costs.lost * panel.price * self.lost
        )

    def fill_rate(self) -> Floats:
        """Share of units delivered from stock, of each variant; 1 where nothing was wanted."""
        wanted = self.demand.sum(axis=-1)
        return np.where(wanted > 0, self.sold.sum(axis=-1) / np.maximum(wanted, 1), 1.0)


def replay(scenario: Scenario, buyer: Buyer, forecasts: Forecasts | None = None) -> Outcome:
    """Run a buyer through a scenario. Its forecasts are handed to it as they become known."""
    panel, steps = scenario.panel, scenario.lead_steps()
    shape = (buyer.variants, len(panel.skus))
    everybody = np.arange(shape[1])
    slots = int(steps.max(initial=0)) + 1
    coming = np.zeros((slots, *shape), dtype=np.int64)
    on_hand = np.broadcast_to(scenario.start, shape).astype(np.int64)
    on_order, received, sold, stock, short, empty = (np.zeros(shape, dtype=np.int64) for _ in range(6))
    ordered = np.zeros((*shape, len(scenario.reviews)), dtype=np.int64)
    for step in range(scenario.begin, scenario.end):
        arrived = coming[step % slots]
        on_hand = on_hand + arrived
        on_order = on_order - arrived
        received += arrived
        coming[step % slots] = 0
        review, between = divmod(step - scenario.begin, scenario.review_steps)
        if not between and step < scenario.last_useful_step:
            wanted = buyer.wanted(_seen(scenario, step, forecasts, on_hand, on_order))
            units = in_lots(np.maximum(wanted, 0), panel.order_multiple, panel.min_order_quantity)
            ordered[:, :, review] = units
            on_order = on_order + units
            coming[(step + steps[:, review]) % slots, :, everybody] += units.T
            at_once = np.where(steps[:, review] == 0, units, 0)
            if at_once.any():
                coming[step % slots] -= at_once
                on_hand, on_order = on_hand + at_once, on_order - at_once
                received += at_once
        taken = np.minimum(on_hand, panel.demand[:, step])
        on_hand = on_hand - taken
        sold += taken
        stock += on_hand
        short += taken < panel.demand[:, step]
        empty += on_hand == 0
    writes_off = scenario.costs.salvage is not None
    none = np.zeros(shape, dtype=np.int64)
    return Outcome(
        scenario=scenario,
        demand=np.broadcast_to(panel.demand[:, scenario.begin : scenario.end].sum(axis=1), shape),
        sold=sold,
        received=received + on_order if writes_off else received,
        left=none if writes_off else on_hand,
        written_off=on_hand + on_order if writes_off else none,
        under_way=none if writes_off else on_order,
        stock=stock,
        short_steps=short,
        empty_steps=empty,
        orders=(ordered > 0).sum(axis=2),
        ordered=ordered,
    )


def _seen(scenario: Scenario, step: int, forecasts: Forecasts | None, on_hand: Units, on_order: Units) -> Seen:
    panel = scenario.panel
    day = panel.day_of(step)
    return Seen(
        day=day,
        step_days=panel.step_days,
        history=panel.demand[:, :step].copy(),
        forecasts=forecasts.made_before(day) if forecasts else None,
        on_hand=on_hand.copy(),
        on_order=on_order.copy(),
        days_left=None if scenario.costs.salvage is None else (scenario.end - step) * panel.step_days,
    )
