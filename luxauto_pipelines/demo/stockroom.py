"""The demo maison's stock: shelves, suppliers, the buyer's habits, and the shortages planted among them.

What belongs here: what is on hand, what comes in and goes out other than by orders, and when a buyer orders
more. What does not: customers and their orders, which are in `trade`; they only take from the shelf.

What comes in during a day (deliveries, returns) is on the shelf from the next day on, so that stock is never
negative at any moment, whatever the order of a day's events.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

import numpy as np

from luxauto_pipelines.demo.maison import Item, Maison, Season, season_factor, skus_by_pull

ATELIER = "atelier-paris"
"""The one location that orders draw on and returns come back to."""

BOUTIQUE = "boutique-saint-honore"
"""Display pieces only; they go back to the atelier before they are sold."""


@dataclass(frozen=True, slots=True)
class StockRow:
    """One stock movement that no order makes; `quantity` is signed."""

    occurred_at: datetime
    sku: str
    location: str
    kind: str
    quantity: int
    reference: str


@dataclass(frozen=True, slots=True)
class StockOut:
    """The planted stock-out: the shelf is empty from `first` to `last`, whole days, both included.
    `lost_units` were asked for at retail in vain."""

    sku: str
    first: date
    last: date
    lost_units: int


@dataclass(frozen=True, slots=True)
class PurchaseOrder:
    """Ordered from the supplier, to be delivered on `due_on`."""

    reference: str
    sku: str
    quantity: int
    due_on: date


@dataclass(slots=True)
class Stockroom:
    """The shelves at the start of day number `today`, less what the day has taken so far.

    `low_skus` are the ones nobody reorders in time towards the end; `empty_days` counts by SKU the days,
    other than those planted, that began with nothing to sell.
    """

    maison: Maison
    days: list[date]
    items: dict[str, Item]
    rng: np.random.Generator
    planted_sku: str
    low_skus: tuple[str, ...]
    plan: dict[str, float]
    season_sums: dict[Season, np.ndarray]
    sold: dict[str, np.ndarray]
    today: int = 0
    on_hand: Counter[str] = field(default_factory=Counter)
    incoming: Counter[str] = field(default_factory=Counter)
    on_order: Counter[str] = field(default_factory=Counter)
    arrivals: defaultdict[date, list[PurchaseOrder]] = field(default_factory=lambda: defaultdict(list))
    displayed: list[str] = field(default_factory=list)
    rows: list[StockRow] = field(default_factory=list)
    numbers: Counter[str] = field(default_factory=Counter)
    empty_from: date | None = None
    empty_to: date | None = None
    lost_units: int = 0
    empty_days: Counter[str] = field(default_factory=Counter)


def open_stockroom(maison: Maison, seed: int) -> Stockroom:
    """The shelves on the first morning, with the first delivery of every launch already ordered."""
    days = maison.days()
    total_pull = sum(item.pull for item in maison.items)
    room = Stockroom(
        maison=maison,
        days=days,
        items={item.sku: item for item in maison.items},
        rng=np.random.default_rng([seed, 4]),
        planted_sku=skus_by_pull(maison.items, "bags")[0],
        # The second bag, because the first is planted already.
        low_skus=tuple(
            skus_by_pull(maison.items, kind)[nth] for kind, nth in (("bags", 1), ("shoes", 0), ("scarves", 0))
        ),
        plan={item.sku: _UNITS_A_DAY * item.pull / total_pull for item in maison.items},
        season_sums={season: _season_sums(days[0], len(days) + 400, season) for season in ("", "winter", "summer")},
        sold={item.sku: np.zeros(len(days), dtype=np.int64) for item in maison.items},
    )
    for item in maison.items:
        quantity = _round_up(_expected(room, item, _reach(room, item)), item.min_order_quantity)
        if item.launched_on < maison.first_day:
            _put(room, at(days[0], 0, 15), item.sku, ATELIER, "opening", quantity, "OPENING")
            room.on_hand[item.sku] += quantity
        else:
            _order(room, item.sku, quantity, item.launched_on - timedelta(6))
    return room


def begin_day(room: Stockroom, today: int) -> None:
    """Go to day number `today`: note what is missing, and let the planted stock-out begin and end."""
    room.today = today
    day = room.days[today]
    _drive_planted_stock_out(room, day)
    for sku, item in room.items.items():
        planted = sku == room.planted_sku and room.empty_from and day <= (room.empty_to or day) + timedelta(1)
        if item.launched_on <= day and not room.on_hand[sku] and not planted:
            room.empty_days[sku] += 1


def take(room: Stockroom, sku: str, quantity: int, *, for_shops_of_others: bool = False) -> bool:
    """Take units for an order; False, and nothing taken, when the shelf does not allow it.

    Shops of others (wholesale) get nothing that the house's own shops will need within six weeks.
    """
    kept = round(_expected(room, room.items[sku], 42)) if for_shops_of_others else 0
    if room.on_hand[sku] - quantity < kept:
        if _planted_and_empty(room, sku) and not for_shops_of_others:
            room.lost_units += quantity
        return False
    room.on_hand[sku] -= quantity
    room.sold[sku][room.today] += quantity
    return True


def take_back(room: Stockroom, sku: str, quantity: int) -> bool:
    """Shelve a return for tomorrow; False during the planted stock-out, which a return would end."""
    if _planted_and_empty(room, sku):
        return False
    room.incoming[sku] += quantity
    return True


def fullest(room: Stockroom, kind: str) -> str:
    """The SKU of a (sub)category with most on hand, of those launched and not planted to be short."""
    shelf = [
        sku
        for sku, item in room.items.items()
        if kind in (item.category, item.subcategory)
        and item.launched_on < room.days[room.today]
        and sku not in (room.planted_sku, *room.low_skus)
    ]
    return max(shelf, key=lambda sku: room.on_hand[sku])


def end_day(room: Stockroom) -> None:
    """Deliveries, the house's own movements, the buyer's Monday; then everything that came in is shelved."""
    day = room.days[room.today]
    for order in room.arrivals.pop(day, []):
        _receive(room, order)
    shelf = [
        sku
        for sku, item in room.items.items()
        if item.launched_on <= day and room.on_hand[sku] >= 6 and sku not in (room.planted_sku, *room.low_skus)
    ]
    if day.weekday() == 0 and day.day <= 7:
        _change_display(room, day, shelf)
    if (day.month, day.day) in ((1, 31), (7, 31)):
        _count(room, day, shelf)
    if room.rng.random() < 0.04:
        sku = str(room.rng.choice(shelf))
        _put(room, at(day, 16, 45), sku, ATELIER, "write_off", -1, _number(room, "DAMAGE", 0))
        room.on_hand[sku] -= 1
    if day.weekday() == 0:
        _reorder(room, day)
    room.on_hand.update(room.incoming)
    room.incoming.clear()
    left = room.on_hand[room.planted_sku]
    if room.today == int(_RECALL_AFTER * len(room.days)) and room.empty_from is None and left:
        _put(room, at(day, 21, 30), room.planted_sku, ATELIER, "write_off", -left, "RECALL-1")
        room.on_hand[room.planted_sku] = 0


def planted_stock_out(room: Stockroom) -> StockOut:
    """The planted stock-out as it went, once all days are over."""
    assert room.empty_from is not None
    assert room.empty_to is not None
    return StockOut(room.planted_sku, room.empty_from, room.empty_to, room.lost_units)


def open_purchase_orders(room: Stockroom) -> list[PurchaseOrder]:
    """What suppliers still owe, by due day."""
    return [order for due in sorted(room.arrivals) for order in room.arrivals[due]]


def at(day: date, hour: int, minute: int = 0) -> datetime:
    """A moment of a day, in UTC."""
    return datetime.combine(day, time(hour, minute), UTC)


# --- buying -------------------------------------------------------------------------------------------------

_UNITS_A_DAY = 20.0
"""What the house plans to sell on a mean day, all channels together."""


def _reorder(room: Stockroom, day: date) -> None:
    """What sells at today's pace must last two lead times and eight weeks, or more is ordered.

    Two lead times, because the house would rather tie up money than be asked for what it does not have.
    """
    for sku, item in room.items.items():
        if item.launched_on > day or (sku == room.planted_sku and _supplier_is_shut(room)):
            continue
        if sku in room.low_skus and (room.maison.until - day).days < _LOW_DAYS:
            _live_from_hand_to_mouth(room, item, day)
            continue
        position = room.on_hand[sku] + room.on_order[sku]
        reach = _reach(room, item)
        if position < _expected(room, item, reach - 56):
            quantity = _round_up(_expected(room, item, reach) - position, item.min_order_quantity)
            late = int(room.rng.integers(-3, 11))
            _order(room, sku, quantity, day + timedelta(item.lead_time_days + late))


def _reach(room: Stockroom, item: Item) -> int:
    """Days of demand that an order is to last for; what is planted is bought leanly, to run out in time."""
    lean = item.sku in (room.planted_sku, *room.low_skus)
    return (1 if lean else 2) * item.lead_time_days + 112


def _expected(room: Stockroom, item: Item, days: int) -> float:
    """Units the buyer expects to sell in the coming days, by last quarter's pace and the season to come.

    A SKU without a past is expected to sell as planned, with the rush of its launch on top.
    """
    season = room.season_sums[item.season]
    since = max(0, room.today - 91, (item.launched_on - room.days[0]).days)
    past = float(season[room.today] - season[since]) if room.today > since else 0.0
    seen = int(room.sold[item.sku][since : room.today].sum()) if past else 0
    # The plan weighs as much as twenty days of experience: one good week is no reason to double an order.
    rate = (seen + 20 * room.plan[item.sku]) / (past + 20)
    rush = 70 * room.plan[item.sku] if not past and item.launched_on >= room.days[0] else 0.0
    return rate * float(season[room.today + days] - season[room.today]) + rush


def _order(room: Stockroom, sku: str, quantity: int, due: date) -> None:
    room.arrivals[due].append(PurchaseOrder(_number(room, "PO", 4000), sku, quantity, due))
    room.on_order[sku] += quantity


def _receive(room: Stockroom, order: PurchaseOrder) -> None:
    moment = at(order.due_on, 7 + int(room.rng.integers(3)), int(room.rng.integers(60)))
    _put(room, moment, order.sku, ATELIER, "receipt", order.quantity, order.reference)
    room.incoming[order.sku] += order.quantity
    room.on_order[order.sku] -= order.quantity


# --- planted shortages --------------------------------------------------------------------------------------

_SHUT_AFTER = 0.40
"""The part of the two years after which the planted SKU's supplier stops delivering."""

_RECALL_AFTER = 0.70
"""If it has sold so badly that it did not run out by then, what is left is recalled for its clasp."""

_EMPTY_DAYS = 48
"""Six whole calendar weeks, whatever weekday the shelf goes empty on."""

_LOW_DAYS = 300
"""Longer before the end than any order lasts, so that the shelves of `low_skus` are low by then."""


def _supplier_is_shut(room: Stockroom) -> bool:
    return room.today >= _SHUT_AFTER * len(room.days) and room.empty_to is None


def _planted_and_empty(room: Stockroom, sku: str) -> bool:
    return sku == room.planted_sku and room.empty_from is not None and room.empty_to is None


def _drive_planted_stock_out(room: Stockroom, day: date) -> None:
    sku = room.planted_sku
    if not _supplier_is_shut(room):
        return
    for due, orders in room.arrivals.items():
        room.arrivals[due] = [order for order in orders if order.sku != sku]
    room.on_order[sku] = 0
    if room.empty_from is None and not room.on_hand[sku]:
        room.empty_from = day
    elif room.empty_from and (day - room.empty_from).days == _EMPTY_DAYS:
        room.empty_to = day - timedelta(1)
        item = room.items[sku]
        season = room.season_sums[item.season]
        # By the plan, not by the last quarter's sales: the buyer knows why there were none.
        need = room.plan[sku] * float(season[room.today + 2 * item.lead_time_days + 112] - season[room.today])
        _order(room, sku, _round_up(need, item.min_order_quantity), day)


def _live_from_hand_to_mouth(room: Stockroom, item: Item, day: date) -> None:
    """The large order was forgotten: the sample room makes a fortnight's need at a time, for the next day."""
    short = round(_expected(room, item, 16)) - room.on_hand[item.sku]
    if short > 0 and not room.on_order[item.sku]:
        _order(room, item.sku, short, day + timedelta(1))


# --- the house's own movements ------------------------------------------------------------------------------


def _change_display(room: Stockroom, day: date, shelf: list[str]) -> None:
    """Each month six pieces go to the boutique's windows, and those of the month before come back."""
    for sku in room.displayed:
        _transfer(room, day, sku, BOUTIQUE, ATELIER)
        room.incoming[sku] += 1
    room.displayed = sorted(str(sku) for sku in room.rng.choice(shelf, 6, replace=False))
    for sku in room.displayed:
        _transfer(room, day, sku, ATELIER, BOUTIQUE)
        room.on_hand[sku] -= 1


def _count(room: Stockroom, day: date, shelf: list[str]) -> None:
    """Twice a year the shelves are counted, and a few are one off, mostly short."""
    for sku in sorted(str(sku) for sku in room.rng.choice(shelf, 7, replace=False)):
        found = 1 if room.rng.random() < 0.25 else -1
        _put(room, at(day, 17, 30), sku, ATELIER, "adjustment", found, f"COUNT-{day:%Y-%m}")
        room.incoming[sku] += max(found, 0)
        room.on_hand[sku] += min(found, 0)


def _transfer(room: Stockroom, day: date, sku: str, source: str, target: str) -> None:
    reference = _number(room, "T", 2000)
    _put(room, at(day, 16, 0), sku, source, "transfer", -1, reference)
    _put(room, at(day, 16, 30), sku, target, "transfer", 1, reference)


def _put(room: Stockroom, moment: datetime, sku: str, location: str, kind: str, quantity: int, reference: str) -> None:
    room.rows.append(StockRow(moment, sku, location, kind, quantity, reference))


def _number(room: Stockroom, prefix: str, start: int) -> str:
    room.numbers[prefix] += 1
    return f"{prefix}-{start + room.numbers[prefix]}"


def _season_sums(first_day: date, days: int, season: Season) -> np.ndarray:
    """Sums of the season up to before each day number, so that any span is one subtraction."""
    factors = [season_factor(first_day + timedelta(n), season) for n in range(days)]
    return np.concatenate(([0.0], np.cumsum(factors)))


def _round_up(units: float, step: int) -> int:
    return step * max(1, -(-int(np.ceil(units)) // step))
