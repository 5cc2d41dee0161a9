"""The one order of a season: how many of an item that is bought once, sold at its price, and cleared at its salvage value.

Here: the newsvendor's quantity and what it is expected to earn, for normal and Poisson demand and for a forecast's quantiles.
Not here: items that can be ordered again (`policies`).

A unit too few loses Cu = price − cost + goodwill, a unit too many Co = cost − salvage; the best quantity is the demand's
quantile at the critical ratio Cu / (Cu + Co) (Silver, Pyke & Thomas, Inventory and Production Management in Supply Chains,
4th ed., 2017, ch. 10).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from assets.inventory.buying.policies import Floats, InvalidPolicy, in_lots, normal_loss

LEVELS = (0.025, 0.1, 0.5, 0.9, 0.975)
# Shares at which a quantile function is summed up, each the middle of its slice.
_SLICES = 2000


@dataclass(frozen=True)
class Economics:
    """What a unit brings. Raises InvalidPolicy where nothing could be decided with it.

    price, cost: of a unit, landed. salvage: what a unit left at the season's end brings; 0 for a brand that destroys, less
    than 0 where clearing costs. goodwill: what a customer who finds none costs beyond the margin.
    """

    price: float
    cost: float
    salvage: float = 0.0
    goodwill: float = 0.0

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.price, self.cost, self.salvage, self.goodwill))):
            raise InvalidPolicy("price, cost, salvage and goodwill are finite numbers")
        if self.goodwill < 0:
            raise InvalidPolicy(f"goodwill is a cost of 0 or more, not {self.goodwill:g}")
        if self.under <= 0:
            raise InvalidPolicy(f"price {self.price:g} is not above cost {self.cost:g}: no quantity would pay")
        if self.over <= 0:
            raise InvalidPolicy(f"salvage {self.salvage:g} is not below cost {self.cost:g}: any quantity would pay")

    @property
    def under(self) -> float:
        """Cu, the cost of a unit too few."""
        return self.price - self.cost + self.goodwill

    @property
    def over(self) -> float:
        """Co, the cost of a unit too many."""
        return self.cost - self.salvage

    @property
    def critical_ratio(self) -> float:
        return critical_ratio(self.under, self.over)


@dataclass(frozen=True)
class Buy:
    """How many to buy, and what is expected of it: units sold, lost and left, and profit in the price's unit."""

    quantity: int
    critical_ratio: float
    expected_sold: float
    expected_lost: float
    expected_left: float
    expected_profit: float


def critical_ratio(under: float, over: float) -> float:
    """Cu / (Cu + Co). Raises InvalidPolicy unless both cost something."""
    if not (under > 0 and over > 0):
        raise InvalidPolicy(f"a unit too few and a unit too many both cost something, not {under:g} and {over:g}")
    return under / (under + over)


def normal_quantity(mean: float, sd: float, under: float, over: float) -> tuple[float, float]:
    """Best quantity and its expected cost of mismatch for normal demand: (μ + z σ, (Cu + Co) σ φ(z))."""
    from scipy.special import ndtri

    if sd < 0:
        raise InvalidPolicy(f"a standard deviation is 0 or more, not {sd:g}")
    z = float(ndtri(critical_ratio(under, over)))
    return mean + z * sd, sd * float(under * normal_loss(z) + over * (z + normal_loss(z)))


def poisson_quantity(mean: float, under: float, over: float) -> tuple[int, float]:
    """Best quantity, the least whose probability reaches the critical ratio, and its expected cost of mismatch."""
    from scipy.special import pdtr, pdtrik

    if mean < 0:
        raise InvalidPolicy(f"a mean demand is 0 or more, not {mean:g}")
    if mean == 0:
        return 0, 0.0
    ratio = critical_ratio(under, over)
    quantity = max(math.floor(pdtrik(ratio, mean)) - 1, 0)
    while pdtr(quantity, mean) < ratio - 1e-12:
        quantity += 1
    # E[(D − q)⁺] = μ P(D ≥ q) − q P(D > q)
    at_least = 1.0 if quantity == 0 else 1 - float(pdtr(quantity - 1, mean))
    lost = mean * at_least - quantity * (1 - float(pdtr(quantity, mean)))
    return quantity, under * lost + over * (quantity - mean + lost)


def season_buy(
    quantiles: Sequence[float],
    economics: Economics,
    *,
    levels: Sequence[float] = LEVELS,
    order_multiple: int = 1,
    min_order_quantity: int = 0,
) -> Buy:
    """The season's order from the quantiles of its forecast demand.

    quantiles: units, rising, at `levels`. Between them demand is interpolated over the normal scale, and beyond the outermost
    their line goes on: exact where the forecast is normal, and never below zero. Whole lots; where a minimum order quantity is
    above the best quantity, it is bought only if more profit is expected of it than of none. Raises InvalidPolicy for
    quantiles that fall.
    """
    demand = quantile_function(quantiles, (np.arange(_SLICES) + 0.5) / _SLICES, levels)
    best = float(quantile_function(quantiles, economics.critical_ratio, levels))
    # Expected profit is concave in the quantity, so the best lot is next to the best number.
    least = int(in_lots(1, order_multiple, min_order_quantity))
    lots = math.floor(best / order_multiple + 1e-9)
    offers = {0, *(max(n * order_multiple, least) for n in (lots, lots + 1) if n > 0)}
    buys = (_expected(quantity, demand, economics) for quantity in sorted(offers))
    return max(buys, key=lambda buy: round(buy.expected_profit, 9))


def quantile_function(quantiles: Sequence[float], shares: ArrayLike, levels: Sequence[float] = LEVELS) -> Floats:
    """Demand at these shares, from a forecast's quantiles; see `season_buy`."""
    from scipy.special import ndtri

    values = np.asarray(quantiles, dtype=np.float64)
    if len(values) != len(levels) or len(values) < 2:
        raise InvalidPolicy(f"{len(values)} quantiles for {len(levels)} levels: give one each, two or more")
    if not np.all(np.isfinite(values)) or np.any(np.diff(values) < -1e-9):
        raise InvalidPolicy(f"quantiles rise with their levels and are finite numbers, not {list(quantiles)}")
    at, wanted = ndtri(np.asarray(levels)), ndtri(np.asarray(shares, dtype=np.float64))
    inside = np.interp(wanted, at, values)
    below = values[0] + (wanted - at[0]) * (values[1] - values[0]) / (at[1] - at[0])
    above = values[-1] + (wanted - at[-1]) * (values[-1] - values[-2]) / (at[-1] - at[-2])
    return np.maximum(np.where(wanted < at[0], below, np.where(wanted > at[-1], above, inside)), 0)


def _expected(quantity: int, demand: "NDArray[np.float64]", economics: Economics) -> Buy:
    sold = float(np.minimum(demand, quantity).mean())
    lost = float(demand.mean()) - sold
    left = quantity - sold
    profit = economics.price * sold + economics.salvage * left - economics.cost * quantity - economics.goodwill * lost
    return Buy(quantity, economics.critical_ratio, sold, lost, left, profit)
