"""Which of the recommended orders to place when not all of them can be: most expected profit within budgets and containers.

Belongs here: the value of each further unit, the choice as a mixed-integer program, and a greedy one where no solution is found
in time. Does not belong here: how much would be right without limits (`assets/inventory/reorder`).

A further unit of a SKU is sold within the lead time and the review with the probability that demand exceeds what is there
before it, and then earns its margin; else it costs its holding. Both fall in the number of units, so that the first are worth
most. An order begins with the minimum quantity as one block, and goes on in packs:

    maximise Σ value·x   over x in {0, 1}, a block only after the one before it,
    Σ cost·x ≤ budget by currency,   Σ volume·x ≤ container, Σ weight·x ≤ container by supplier,
    Σ cost·x ≥ minimum·z, x ≤ z for a supplier with a minimum order value.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from assets.inventory.buying.policies import in_lots

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST_BLOCKS = 40
AS_PLANNED, MILP, IN_TIME, GREEDY = "as planned", "milp", "milp, cut short", "greedy"
# A solver keeps a bound but for this share of it.
_SLACK = 1e-5


@dataclass(frozen=True)
class Offer:
    """What is recommended of one SKU. Amounts are minor units of `currency`; a cost or margin of None is unknown.

    quantity: units recommended. position: available and on order. mean, sigma: demand over lead time and review. holding: what
    a unit costs that is still there after it. volume, weight: of one unit. rate: units of a common currency for one of
    `currency`, to compare profits.
    """

    sku: str
    supplier: str | None
    currency: str | None
    unit_cost: int | None
    margin: int | None
    quantity: int
    position: int
    mean: float
    sigma: float
    min_order_quantity: int = 1
    pack_size: int | None = None
    holding: float = 0.0
    volume: float = 0.0
    weight: float = 0.0
    rate: float = 1.0


@dataclass(frozen=True)
class Terms:
    """A supplier's: least worth of an order in minor units, room and weight of its container."""

    minimum: int = 0
    volume: float | None = None
    weight: float | None = None


@dataclass(frozen=True)
class Limits:
    """What a plan may spend, in minor units by currency, and suppliers' terms by name."""

    budgets: Mapping[str, int] = field(default_factory=dict)
    suppliers: Mapping[str, Terms] = field(default_factory=dict)

    def of(self, supplier: str | None) -> Terms:
        return self.suppliers.get(supplier or "", Terms())


@dataclass(frozen=True)
class Choice:
    """Units of each SKU, what they are expected to earn (in the common currency's minor units), how that was found.

    left_out: why a SKU was not chosen from, where that was not for its worth.
    """

    quantities: dict[str, int]
    profit: float
    method: str
    left_out: dict[str, str] = field(default_factory=dict)


def choose(offers: Sequence[Offer], limits: Limits, *, seconds: float = 10.0) -> Choice:
    """The quantities that earn most within the limits; without any limit, what is recommended.

    Never above a budget or a container, always whole packs and minimum quantities, and a larger budget never earns less (but
    where the solver was cut short: `method` says so). With limits a unit that would cost more than it is expected to earn is
    not chosen. A SKU without a known cost or price cannot be weighed, and is left out.
    """
    wanted = [offer for offer in offers if offer.quantity > 0]
    if not _bind(wanted, limits):
        quantities = {offer.sku: offer.quantity for offer in wanted}
        return Choice(quantities, sum(expected_profit(o, o.quantity) for o in wanted), AS_PLANNED)
    left_out = {offer.sku: why for offer in wanted if (why := _unweighable(offer)) is not None}
    ladders = [_Ladder.of(offer) for offer in wanted if offer.sku not in left_out]
    greedy = _greedy(ladders, limits)
    taken, method = _solve(ladders, limits, seconds)
    if taken is None or _worth(ladders, greedy) > _worth(ladders, taken) + 1e-6:
        taken, method = greedy, GREEDY if method != MILP else MILP
    quantities = {ladder.offer.sku: ladder.units[taken[at]] for at, ladder in enumerate(ladders)}
    return Choice(quantities, _worth(ladders, taken), method, left_out)


def expected_profit(offer: Offer, quantity: int) -> float:
    """What so many units are expected to earn until the next order arrives, in the common currency's minor units."""
    return 0.0 if offer.margin is None else offer.rate * float(_unit_values(offer, quantity).sum())


def _unit_values(offer: Offer, quantity: int) -> "NDArray[np.float64]":
    """Of each further unit, in minor units of the offer's currency."""
    import numpy as np
    from scipy.special import ndtr

    there = offer.position + np.arange(quantity) + 0.5
    sold = ndtr((offer.mean - there) / offer.sigma) if offer.sigma > 0 else (offer.mean > there).astype(np.float64)
    return (offer.margin or 0) * sold - offer.holding * (1 - sold)


def _unweighable(offer: Offer) -> str | None:
    if offer.unit_cost is None or offer.currency is None:
        return "its cost is unknown, so it is in no budget"
    if offer.margin is None:
        return "its price is unknown, so its profit is"
    return None


def _bind(offers: Iterable[Offer], limits: Limits) -> bool:
    return bool(limits.budgets) or any(limits.of(offer.supplier) != Terms() for offer in offers)


@dataclass(frozen=True)
class _Ladder:
    """An offer in blocks: units and value of each, and of the first so many of them together."""

    offer: Offer
    blocks: tuple[int, ...]
    values: tuple[float, ...]
    units: tuple[int, ...]
    worth: tuple[float, ...]

    @classmethod
    def of(cls, offer: Offer) -> "_Ladder":
        pack = offer.pack_size or offer.min_order_quantity
        first = min(int(in_lots(1, pack, offer.min_order_quantity)), offer.quantity)
        rest = (offer.quantity - first) // pack
        step = pack * max(1, -(-rest // (MOST_BLOCKS - 1)))
        blocks = [first]
        while sum(blocks) < offer.quantity:
            blocks.append(min(step, offer.quantity - sum(blocks)))
        units = tuple(accumulate(blocks, initial=0))
        each = _unit_values(offer, offer.quantity)
        values = tuple(offer.rate * float(each[low:high].sum()) for low, high in pairwise(units))
        return cls(offer, tuple(blocks), values, units, tuple(accumulate(values, initial=0.0)))

    @property
    def cost(self) -> int:
        return self.offer.unit_cost or 0


def _worth(ladders: Sequence[_Ladder], taken: Sequence[int]) -> float:
    return sum(ladder.worth[count] for ladder, count in zip(ladders, taken, strict=True))


def _solve(ladders: Sequence[_Ladder], limits: Limits, seconds: float) -> tuple[list[int] | None, str]:
    """Blocks taken of each offer, and how that was found; None where the solver found nothing in time."""
    for slack in (0.0, _SLACK):
        taken, method = _milp(ladders, limits, seconds, slack)
        if taken is None or _keeps(ladders, taken, limits):
            return taken, method
    return None, GREEDY


def _milp(ladders: Sequence[_Ladder], limits: Limits, seconds: float, slack: float) -> tuple[list[int] | None, str]:
    import numpy as np
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import coo_matrix

    places = [(at, k) for at, ladder in enumerate(ladders) for k in range(len(ladder.blocks))]
    if not places:
        return [], MILP
    number = {place: n for n, place in enumerate(places)}
    with_minimum = sorted({s for s, terms in limits.suppliers.items() if terms.minimum > 0})
    switch = {supplier: len(places) + n for n, supplier in enumerate(with_minimum)}
    rows: list[tuple[dict[int, float], float, float]] = []
    for at, k in places:
        if k:
            rows.append(({number[at, k]: 1.0, number[at, k - 1]: -1.0}, -np.inf, 0.0))
        supplier = ladders[at].offer.supplier
        if not k and supplier in switch:
            rows.append(({number[at, 0]: 1.0, switch[supplier]: -1.0}, -np.inf, 0.0))
    for used, most in _uses(ladders, limits):
        if most > 0:
            share = {number[at, k]: used[at] * ladders[at].blocks[k] / most for at, k in places if used[at]}
            rows.append((share, -np.inf, 1.0 - slack))
        else:
            rows.append(({number[at, k]: 1.0 for at, k in places if used[at]}, -np.inf, 0.0))
    for supplier, switched in switch.items():
        least = limits.suppliers[supplier].minimum
        worth = {
            number[at, k]: ladders[at].cost * ladders[at].blocks[k] / least
            for at, k in places
            if ladders[at].offer.supplier == supplier
        }
        rows.append(({**worth, switched: -1.0 - slack}, 0.0, np.inf))
    kept = [row for row in rows if row[0]]
    entries = [(n, column, value) for n, (of_row, _, _) in enumerate(kept) for column, value in of_row.items()]
    width = len(places) + len(switch)
    values = np.zeros(width)
    values[: len(places)] = [ladders[at].values[k] for at, k in places]
    constraints = []
    if kept:
        row, column, value = (list(part) for part in zip(*entries, strict=True))
        matrix = coo_matrix((value, (row, column)), shape=(len(kept), width)).tocsr()
        constraints = [LinearConstraint(matrix, [low for _, low, _ in kept], [high for _, _, high in kept])]  # pyright: ignore
    scale = float(np.abs(values).max()) or 1.0
    found = milp(
        -values / scale,
        integrality=np.ones(width),
        bounds=Bounds(0, 1),
        constraints=constraints,
        options={"time_limit": seconds, "mip_rel_gap": 0.0},
    )
    if found.x is None:
        return None, GREEDY
    taken = [0] * len(ladders)
    for (at, _), chosen in zip(places, found.x, strict=False):
        taken[at] += int(chosen > 0.5)
    return taken, MILP if found.status == 0 else IN_TIME


def _uses(ladders: Sequence[_Ladder], limits: Limits) -> list[tuple[list[float], float]]:
    """What a unit of each offer uses of what there is only so much of, and how much that is."""
    uses: list[tuple[list[float], float]] = []
    for currency, most in limits.budgets.items():
        uses.append(([float(x.cost) if x.offer.currency == currency else 0.0 for x in ladders], float(most)))
    for supplier, terms in limits.suppliers.items():
        for name in ("volume", "weight"):
            if (room := getattr(terms, name)) is not None:
                own = [getattr(x.offer, name) if x.offer.supplier == supplier else 0.0 for x in ladders]
                uses.append((own, room))
    return uses


def _keeps(ladders: Sequence[_Ladder], taken: Sequence[int], limits: Limits) -> bool:
    """Whether every limit holds exactly."""
    units = [ladder.units[count] for ladder, count in zip(ladders, taken, strict=True)]
    fits = all(
        sum(used * count for used, count in zip(of, units, strict=True)) <= most * (1 + 1e-12)
        for of, most in _uses(ladders, limits)
    )
    return fits and not _below_minimum(ladders, units, limits)


def _below_minimum(ladders: Sequence[_Ladder], units: Sequence[int], limits: Limits) -> set[str]:
    worth: dict[str, int] = {}
    for ladder, count in zip(ladders, units, strict=True):
        if count and ladder.offer.supplier:
            worth[ladder.offer.supplier] = worth.get(ladder.offer.supplier, 0) + count * ladder.cost
    return {supplier for supplier, total in worth.items() if total < limits.of(supplier).minimum}


def _greedy(ladders: Sequence[_Ladder], limits: Limits) -> list[int]:
    """Again and again the blocks that earn most for the scarcest thing they use; a supplier below its minimum is left out."""
    without: set[str] = set()
    while True:
        taken = _fill(ladders, limits, without)
        short = _below_minimum(ladders, [x.units[n] for x, n in zip(ladders, taken, strict=True)], limits)
        if not short:
            return taken
        without |= short


def _fill(ladders: Sequence[_Ladder], limits: Limits, without: set[str]) -> list[int]:
    uses = _uses(ladders, limits)
    left = [most for _, most in uses]
    taken = [0] * len(ladders)

    def best(at: int) -> tuple[float, int, int] | None:
        """How dear (negative, for the heap), which offer, up to which block: of those that still fit."""
        ladder, done = ladders[at], taken[at]
        found: tuple[float, int, int] | None = None
        for upto in range(done + 1, len(ladder.blocks) + 1):
            units, value = ladder.units[upto] - ladder.units[done], ladder.worth[upto] - ladder.worth[done]
            if any(of[at] * units > room for (of, _), room in zip(uses, left, strict=True)):
                break
            if value > 0:
                scarcest = max((of[at] * units / most for of, most in uses if of[at] and most > 0), default=0.0)
                density = value / max(scarcest, 1e-12)
                found = min(found, (-density, at, upto)) if found else (-density, at, upto)
        return found

    heap = [one for at, x in enumerate(ladders) if x.offer.supplier not in without and (one := best(at)) is not None]
    heapify(heap)
    while heap:
        offered = heappop(heap)
        at = offered[1]
        # What there is only so much of has become less since it was offered.
        now = best(at)
        if now is not None and now == offered:
            used = ladders[at].units[now[2]] - ladders[at].units[taken[at]]
            left = [room - of[at] * used for (of, _), room in zip(uses, left, strict=True)]
            taken[at] = now[2]
            now = best(at)
        if now is not None:
            heappush(heap, now)
    return taken
