"""What stock is worth: each movement valued once, in its order, at the state of its SKU at that time. Pure.

Belongs here: the costing methods (IAS 2.25 and ASC 330-10-30-9: first in first out, weighted average; IAS 2.21: standard cost).
Does not belong here: the tables (`resources/store/stock_valuation`), accounts (`assets/finance/stock_postings`).

The state of a SKU is a queue of layers, the oldest first, all above zero or all below: units, what they are worth together
(null: their cost is unknown) and in which currency. All locations are one, so transfers and promises move no value.

  - Units that are bought (receipt, opening) come in at what was paid, else at the cost table's cost of the day.
  - Units that come back otherwise (return, adjustment) come in at the unit cost of the oldest layer.
  - Units go out of the oldest layer. The last unit of a layer takes what rounding left, so that empty stock is worth 0.
  - Units that go out before they came in make a layer below zero, at the cost of the day. What comes in later covers it. What
    was paid for them otherwise than assumed is `variance_minor`.
  - Standard: every unit is worth the cost of the day; what was paid otherwise, and what a new cost changes, is variance.

For each SKU and currency, value_minor plus variance_minor of its movements always sum to the value of its layers. Currencies
are never converted: units that were bought in another currency are a layer of their own.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from itertools import islice
from typing import Any, Literal, NamedTuple, get_args

import polars as pl

from assets.finance.money import INT128

Method = Literal["weighted_average", "fifo", "standard"]
METHODS: tuple[Method, ...] = get_args(Method)
BOUGHT = ("opening", "receipt")
VALUELESS = ("reservation", "transfer")
INT, TEXT = pl.Int64(), pl.String()
MOST_MINOR = 10**16
PRICED: dict[str, pl.DataType] = {
    "movement_id": INT,
    "sku": TEXT,
    "day": pl.Date(),
    "kind": TEXT,
    "quantity": INT,
    "paid_minor": INT,
    "paid_currency": TEXT,
    "cost_minor": INT,
    "cost_currency": TEXT,
}
PARTS: dict[str, pl.DataType] = {
    "movement_id": INT,
    "part": INT,
    "units": INT,
    "value_minor": INT,
    "variance_minor": INT,
    "currency": TEXT,
}
LAYERS: dict[str, pl.DataType] = {
    "sku": TEXT,
    "position": INT,
    "units": INT,
    "value_minor": INT,
    "currency": TEXT,
    "day": pl.Date(),
}


class Valued(NamedTuple):
    """Movements with their values (PARTS: one row a movement, more where its units are of several currencies or of unknown
    cost), and the layers (LAYERS) that are left of every SKU, also of those that did not move."""

    parts: pl.DataFrame
    layers: pl.DataFrame


def price_movements(movements: pl.DataFrame, costs: pl.DataFrame, purchases: pl.DataFrame) -> pl.DataFrame:
    """Movements that have a value, with what a unit cost: columns PRICED, in the order in which they are valued.

    movements: movement_id, sku, day, kind, quantity, reference. costs: sku, valid_from, cost_minor, currency; the newest one
    that is valid on the day counts. purchases: reference, sku, paid_minor, paid_currency of a unit, by which a receipt with
    this reference came in. A movement that would be worth 10^16 minor units or more has no known cost: sums must fit 64 bits.
    """
    by_day = costs.sort("valid_from").rename({"currency": "cost_currency"})
    bought = purchases.with_columns(pl.lit("receipt").alias("kind"))
    return (
        movements.filter(~pl.col("kind").is_in(VALUELESS))
        .join(bought, on=["reference", "sku", "kind"], how="left")
        .sort("day")
        .join_asof(by_day, left_on="day", right_on="valid_from", by="sku", strategy="backward", check_sortedness=False)
        .with_columns(_within_bounds("paid_minor"), _within_bounds("cost_minor"))
        .sort("sku", "day", "movement_id")
        .select(pl.col(name).cast(dtype) for name, dtype in PRICED.items())
    )


def value_movements(priced: pl.DataFrame, layers: pl.DataFrame, method: Method) -> Valued:
    """Value movements (`price_movements`) after those that left these layers (LAYERS; empty: from the beginning)."""
    states = _load(layers, pooled=method != "fifo")
    told = _Told()
    rows = priced.sort("sku", "day", "movement_id")
    columns = zip(*(rows[name].to_list() for name in PRICED if name != "sku"), strict=True)
    runs = rows.group_by("sku", maintain_order=True).agg(pl.len(), pl.col("day").max())
    for sku, count, newest in runs.iter_rows():
        state = states.setdefault(sku, _State())
        if method == "standard":
            _value_at_standard(state, islice(columns, count), told)
        else:
            _value_by_layers(state, islice(columns, count), told, pooled=method == "weighted_average")
        state.day = max(state.day, newest)
    return Valued(told.frame(), _layers_frame(states))


def stock_value(layers: pl.DataFrame) -> pl.DataFrame:
    """What is left of each SKU: sku, currency, units, value_minor; units of unknown cost are in a row without currency."""
    known = pl.col("value_minor").is_not_null()
    return (
        layers.group_by("sku", "currency")
        .agg(pl.col("units").sum(), pl.when(known.all()).then(pl.col("value_minor").sum()).first().alias("value_minor"))
        .sort("sku", "currency", nulls_last=True)
    )


def _within_bounds(cost: str) -> pl.Expr:
    worth = pl.col(cost).cast(INT128) * pl.col("quantity").cast(INT128)
    return pl.when(worth.abs() < MOST_MINOR).then(cost).alias(cost)


@dataclass
class _State:
    """Layers as [units, value, currency]; the newest day of a movement in it."""

    layers: deque[list[Any]] = field(default_factory=deque)
    day: date = date.min


@dataclass
class _Told:
    """The answer, column by column; what a movement does in one currency is one row."""

    movements: list[int] = field(default_factory=list)
    units: list[int] = field(default_factory=list)
    values: list[int | None] = field(default_factory=list)
    variances: list[int] = field(default_factory=list)
    currencies: list[str | None] = field(default_factory=list)

    def add(self, movement: int, units: int, value: int | None, variance: int, currency: str | None) -> None:
        if self.movements and self.movements[-1] == movement and self.currencies[-1] == currency:
            self.units[-1] += units
            self.variances[-1] += variance
            if value is not None:
                self.values[-1] = (self.values[-1] or 0) + value
            return
        self.movements.append(movement)
        self.units.append(units)
        self.values.append(value)
        self.variances.append(variance)
        self.currencies.append(currency)

    def frame(self) -> pl.DataFrame:
        columns = (self.movements, self.units, self.values, self.variances, self.currencies)
        names = [name for name in PARTS if name != "part"]
        series = [pl.Series(n, values, dtype=PARTS[n]) for n, values in zip(names, columns, strict=True)]
        part = pl.int_range(pl.len()).over("movement_id").cast(INT).alias("part")
        return pl.DataFrame(series).with_columns(part).select(*PARTS)


_Row = tuple[int, date, str, int, int | None, str | None, int | None, str | None]


def _value_by_layers(state: _State, rows: Iterator[_Row], told: _Told, *, pooled: bool) -> None:
    """First in first out; with `pooled`, what comes in is mixed with what is there: the weighted average."""
    layers = state.layers
    for movement, _, kind, quantity, paid, paid_currency, cost, currency in rows:
        if quantity < 0:
            _take(layers, movement, -quantity, cost, currency, told, pooled=pooled)
        elif quantity == 0:
            told.add(movement, 0, 0, 0, None)
        elif kind not in BOUGHT:
            _put_back(layers, movement, quantity, cost, currency, told, pooled=pooled)
        elif paid is not None:
            _buy(layers, movement, quantity, paid * quantity, paid_currency, told, pooled=pooled)
        elif cost is not None:
            _buy(layers, movement, quantity, cost * quantity, currency, told, pooled=pooled)
        else:
            rest = _cover_as_assumed(layers, movement, quantity, told)
            if rest:
                _push(layers, rest, None, None, pooled=pooled)
                told.add(movement, rest, None, 0, None)


def _take(
    layers: deque[list[Any]],
    movement: int,
    units: int,
    cost: int | None,
    currency: str | None,
    told: _Told,
    *,
    pooled: bool,
) -> None:
    """Units go out: of the oldest layers, then below zero at the cost of the day."""
    while units and layers and layers[0][0] > 0:
        layer = layers[0]
        there, value, own = layer
        taken = units if units < there else there
        worth = None if value is None else _share(value, taken, there)
        if taken == there:
            layers.popleft()
        else:
            layer[0] = there - taken
            layer[1] = None if worth is None else layer[1] - worth
        told.add(movement, -taken, None if worth is None else -worth, 0, own)
        units -= taken
    if units:
        worth, currency = (None, None) if cost is None else (-cost * units, currency)
        _push(layers, -units, worth, currency, pooled=pooled)
        told.add(movement, -units, worth, 0, currency)


def _buy(
    layers: deque[list[Any]], movement: int, units: int, paid: int, currency: str | None, told: _Told, *, pooled: bool
) -> None:
    """Units come in at what was paid for them together: first for those that went out before, the rest is a layer."""
    while units and layers and layers[0][0] < 0:
        covered, assumed, own = _cover(layers, 0, units)
        share = _share(paid, covered, units)
        if assumed is None:
            told.add(movement, covered, share, -share, currency)
        elif own == currency:
            told.add(movement, covered, share, assumed - share, currency)
        else:
            told.add(movement, covered, share, -share, currency)
            told.add(movement, 0, 0, assumed, own)
        units -= covered
        paid -= share
    if units:
        _push(layers, units, paid, currency, pooled=pooled)
        told.add(movement, units, paid, 0, currency)


def _put_back(
    layers: deque[list[Any]],
    movement: int,
    units: int,
    cost: int | None,
    currency: str | None,
    told: _Told,
    *,
    pooled: bool,
) -> None:
    """Units come back that nobody bought: at what they went out at, at the oldest layer's unit cost, or at the day's."""
    units = _cover_as_assumed(layers, movement, units, told)
    if not units:
        return
    if layers and (layers[0][1] is not None or cost is None):
        oldest = layers[0]
        there, value, own = oldest
        worth = None if value is None else _share(value, units, there)
        oldest[0] += units
        if worth is not None:
            oldest[1] += worth
        told.add(movement, units, worth, 0, own)
        return
    worth, currency = (None, None) if cost is None else (cost * units, currency)
    _push(layers, units, worth, currency, pooled=pooled)
    told.add(movement, units, worth, 0, currency)


def _cover_as_assumed(layers: deque[list[Any]], movement: int, units: int, told: _Told) -> int:
    """Take back the newest units below zero at the cost that was assumed for them. Returns how many are left to come in."""
    while units and layers and layers[-1][0] < 0:
        covered, assumed, own = _cover(layers, -1, units)
        told.add(movement, covered, assumed, 0, own)
        units -= covered
    return units


def _cover(layers: deque[list[Any]], at: int, units: int) -> tuple[int, int | None, str | None]:
    """Cover at most so many units of a layer below zero. Returns how many, what they were assumed to cost, its currency."""
    layer = layers[at]
    short, value, own = -layer[0], layer[1], layer[2]
    covered = min(short, units)
    assumed = None if value is None else _share(-value, covered, short)
    if covered < short:
        layer[0] += covered
        layer[1] = None if assumed is None else layer[1] + assumed
    elif at == 0:
        layers.popleft()
    else:
        layers.pop()
    return covered, assumed, own


def _push(layers: deque[list[Any]], units: int, value: int | None, currency: str | None, *, pooled: bool) -> None:
    """A newest layer; mixed with the one before where they may not, or need not, be told apart."""
    if layers:
        last = layers[-1]
        if last[2] == currency and (pooled or value is None or last[1] * units == value * last[0]):
            last[0] += units
            last[1] = None if value is None else last[1] + value
            return
    layers.append([units, value, currency])


def _value_at_standard(state: _State, rows: Iterator[_Row], told: _Told) -> None:
    """Every unit is worth the cost of the day; a movement that is told late, what the others are worth now."""
    layers = state.layers
    for row in rows:
        movement, day, kind, quantity, paid, paid_currency, cost, currency = row
        if quantity == 0:
            told.add(movement, 0, 0, 0, None)
            continue
        if day < state.day and len(layers) == 1 and layers[0][1] is not None:
            cost, currency = layers[0][1] // layers[0][0], layers[0][2]
        state.day = max(day, state.day)
        if cost is None and kind in BOUGHT and paid is not None:
            cost, currency = paid, paid_currency
        if cost is None:
            _value_by_layers(state, iter([row]), told, pooled=True)
            continue
        held = _revalue(layers, movement, cost, currency, told)
        worth = cost * quantity
        if kind in BOUGHT and paid is not None and quantity > 0 and paid_currency == currency:
            told.add(movement, quantity, paid * quantity, worth - paid * quantity, currency)
        elif kind in BOUGHT and paid is not None and quantity > 0:
            told.add(movement, quantity, paid * quantity, -paid * quantity, paid_currency)
            told.add(movement, 0, 0, worth, currency)
        else:
            told.add(movement, quantity, worth, 0, currency)
        layers.clear()
        if held + quantity:
            layers.append([held + quantity, cost * (held + quantity), currency])


def _revalue(layers: deque[list[Any]], movement: int, cost: int, currency: str | None, told: _Told) -> int:
    """Tell what a new cost changes in the value of the units that are there. Returns how many there are."""
    held = sum(layer[0] for layer in layers)
    values: dict[str | None, int] = {currency: 0}
    for _, value, own in layers:
        if value is not None:
            values[own] = values.get(own, 0) + value
    for own, value in values.items():
        change = (cost * held if own == currency else 0) - value
        if change:
            told.add(movement, 0, 0, change, own)
    return held


def _share(value: int, part: int, whole: int) -> int:
    """`part` of `whole` units of a value, rounded half to even; all of it for all of them."""
    if part == whole:
        return value
    quotient, rest = divmod(value * part, whole)
    twice = rest * 2
    return quotient + (twice > whole or (twice == whole and quotient & 1))


def _load(layers: pl.DataFrame, *, pooled: bool) -> dict[str, _State]:
    states: dict[str, _State] = {}
    for sku, _, units, value, currency, day in layers.sort("sku", "position").select(*LAYERS).iter_rows():
        state = states.setdefault(sku, _State(day=day))
        # Layers of another method are mixed by the average.
        _push(state.layers, units, value, currency, pooled=pooled)
    return states


def _layers_frame(states: dict[str, _State]) -> pl.DataFrame:
    rows = [
        (sku, position, units, value, currency, state.day)
        for sku, state in states.items()
        for position, (units, value, currency) in enumerate(state.layers)
    ]
    columns = list(zip(*rows, strict=True)) if rows else [[] for _ in LAYERS]
    return pl.DataFrame([pl.Series(n, c, dtype=t) for (n, t), c in zip(LAYERS.items(), columns, strict=True)])
