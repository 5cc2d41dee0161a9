"""What a replay is given: demand, costs, lead times, terms of purchase, the calendar.

Here: these values, their checks, and how they are read from a table or from words. Not here: the replay itself (`replay`).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from assets.inventory.buying.policies import Floats, Units, whole_units

DAYS = 7
YEAR = 365
_MOST_DAYS = 366 * 40


class SimulationError(ValueError):
    """Something that no replay can run with; the message names the field and the remedy."""


@dataclass(frozen=True)
class Costs:
    """What selling and keeping costs. Shares are of 1; amounts are in the unit of the price.

    price: of a unit, for SKUs whose rows have none. margin: share of the price that is not the unit's cost, for SKUs
    whose rows have no unit_cost. holding: a year in stock, as a share of the unit's cost. order: of an order of one SKU.
    lost: a sale that is lost costs this share of the price beyond its margin. salvage: None keeps what is left at the end
    at its cost; a share of the cost writes it off, and what is under way too, for that share.
    """

    price: float = 1.0
    margin: float = 0.6
    holding: float = 0.25
    order: float = 0.0
    lost: float = 0.0
    salvage: float | None = None

    def __post_init__(self) -> None:
        bounds = {"price": (0, math.inf), "margin": (0, 1), "holding": (0, math.inf), "order": (0, math.inf)}
        bounds |= {"lost": (0, math.inf), "salvage": (0, 1)}
        for name, (low, high) in bounds.items():
            value = getattr(self, name)
            if value is not None and not (low <= value <= high and math.isfinite(value)):
                most = "" if math.isinf(high) else f" to {high}"
                raise SimulationError(f"the cost {name!r} is a number from {low}{most}, not {value:g}")
        if not self.price:
            raise SimulationError("the cost 'price' is above 0")

    @classmethod
    def of(cls, given: Mapping[str, float | None]) -> "Costs":
        """By name. Raises SimulationError for a name that is none."""
        known = [one.name for one in fields(cls)]
        for name, value in given.items():
            if name not in known:
                raise SimulationError(f"{name!r} is no cost: give {', '.join(known)}")
            if value is None and name != "salvage":
                raise SimulationError(f"the cost {name!r} has no number")
        named: dict[str, Any] = dict(given)
        return cls(**named)

    def as_dict(self) -> dict[str, float | None]:
        return asdict(self)


@dataclass(frozen=True)
class LeadTimes:
    """Days from an order to the shelf, each with its probability."""

    days: tuple[int, ...]
    shares: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.days or len(self.days) != len(self.shares):
            raise SimulationError("lead times are one day or more, each with its share")
        if min(self.days) < 0 or min(self.shares) < 0 or not math.isclose(sum(self.shares), 1, abs_tol=1e-9):
            raise SimulationError("lead times are 0 days or more, and their shares add up to 1")

    @classmethod
    def between(cls, low: int, high: int, mean: float | None = None) -> "LeadTimes":
        """Whole days from low to high: alike, or with that mean and otherwise as open as can be (greatest entropy)."""
        if not 0 <= low <= high:
            raise SimulationError(f"a lead time runs from fewer days to more, 0 or more: not {low} to {high}")
        days = np.arange(low, high + 1)
        if mean is None or low == high:
            return cls(tuple(days.tolist()), (1 / len(days),) * len(days))
        if not low < mean < high:
            raise SimulationError(f"the mean lead time lies between {low} and {high}, not at {mean:g}")
        from scipy.optimize import brentq

        def shares(tilt: float) -> Floats:
            weight = np.exp(tilt * (days - mean) - np.max(tilt * (days - mean)))
            return weight / weight.sum()

        tilt: Any = brentq(lambda x: float(shares(x) @ days) - mean, -50, 50)
        found: Any = shares(tilt)
        return cls(tuple(days.tolist()), tuple(found.tolist()))

    @classmethod
    def parse(cls, text: str) -> "LeadTimes":
        """`14`, `7-28` (alike) or `7-28:15.4` (with that mean), in days."""
        span, _, mean = text.strip().partition(":")
        low, _, high = span.partition("-")
        try:
            return cls.between(int(low), int(high or low), float(mean) if mean else None)
        except ValueError as error:
            if isinstance(error, SimulationError):
                raise
            raise SimulationError(
                f"the lead time {text!r} is not understood: write days such as 14, 7-28, or 7-28:15 with a mean"
            ) from error

    @property
    def mean(self) -> float:
        return float(np.dot(self.days, self.shares))

    @property
    def sd(self) -> float:
        return math.sqrt(max(float(np.dot(np.square(self.days), self.shares)) - self.mean**2, 0.0))

    def draw(self, shape: tuple[int, ...], seed: int) -> Units:
        """Days, drawn at random; the same seed draws the same."""
        return np.random.default_rng(seed).choice(np.array(self.days, dtype=np.int64), size=shape, p=self.shares)


@dataclass(frozen=True)
class Panel:
    """Demand of all SKUs without a hole: `demand[i, t]` units of SKU i in the t-th step of `step_days` from first_day on."""

    skus: tuple[str, ...]
    first_day: date
    step_days: int
    demand: Units
    price: Floats
    unit_cost: Floats
    order_multiple: Units
    min_order_quantity: Units

    def step_of(self, day: date) -> int:
        """The step that begins on this day or next after it."""
        return -(-(day - self.first_day).days // self.step_days)

    def day_of(self, step: int) -> date:
        return self.first_day + timedelta(step * self.step_days)

    @property
    def end(self) -> date:
        """The first day that is not known any more."""
        return self.day_of(self.demand.shape[1])


@dataclass(frozen=True)
class Terms:
    """What a buyer knows of costs and of its supplier: no demand, and of lead times no more than how they are spread."""

    price: Floats
    unit_cost: Floats
    costs: Costs
    lead_times: LeadTimes
    review_days: int


@dataclass(frozen=True)
class Scenario:
    """One replay: which steps of the panel, and all that is not a buyer's to choose.

    begin, end: steps; the last one is not replayed. leads: days that an order of SKU i at the r-th review takes. start: units
    on hand at the beginning. review_steps: steps between two reviews, the first at the beginning.
    """

    panel: Panel
    begin: int
    end: int
    review_steps: int
    costs: Costs
    lead_times: LeadTimes
    leads: Units = field(repr=False)
    start: Units = field(repr=False)

    @property
    def steps(self) -> int:
        return self.end - self.begin

    @property
    def review_days(self) -> int:
        return self.review_steps * self.panel.step_days

    @property
    def terms(self) -> Terms:
        return Terms(self.panel.price, self.panel.unit_cost, self.costs, self.lead_times, self.review_days)

    @property
    def reviews(self) -> range:
        return range(self.begin, self.end, self.review_steps)

    def lead_steps(self) -> Units:
        """The same in steps, rounded up: what arrives within a step is there at the next."""
        return -(-self.leads // self.panel.step_days)

    @property
    def last_useful_step(self) -> int:
        """After it an order may be too late for all that counts: where the end writes off, the quickest arrives at the end."""
        if self.costs.salvage is None:
            return self.end
        return self.end - -(-min(self.lead_times.days) // self.panel.step_days)


def scenario(
    panel: Panel,
    begin: date,
    end: date,
    costs: Costs,
    lead_times: LeadTimes,
    *,
    review_days: int = DAYS,
    start_weeks: float = 4.0,
    seed: int = 0,
) -> Scenario:
    """A replay of the days from `begin` to before `end`, starting with weeks of cover by the mean of the 13 weeks before.

    Raises SimulationError where the panel does not hold these days, or has none before them.
    """
    first, last = panel.step_of(begin), panel.step_of(end)
    if not panel.first_day < begin < end <= panel.end:
        raise SimulationError(
            f"the replay runs from {begin} to before {end}, but demand is known from {panel.first_day} to before "
            f"{panel.end}: choose days within, and leave some before the first for policies to learn from"
        )
    if review_days < 1 or review_days % panel.step_days:
        raise SimulationError(
            f"--review is {review_days} days and may be whole steps of {panel.step_days} days, 1 step or more"
        )
    if start_weeks < 0:
        raise SimulationError(f"the stock at the start is 0 weeks of cover or more, not {start_weeks:g}")
    review_steps = review_days // panel.step_days
    reviews = len(range(first, last, review_steps))
    recent = panel.demand[:, max(0, first - 13 * DAYS // panel.step_days) : first]
    start = whole_units(recent.mean(axis=1) * DAYS / panel.step_days * start_weeks)
    leads = lead_times.draw((len(panel.skus), reviews), seed)
    return Scenario(panel, first, last, review_steps, costs, lead_times, leads, start)


def panel_of(rows: pl.DataFrame, costs: Costs) -> Panel:
    """A panel of a long table: unique_id, ds, y; and, if there, price, unit_cost, order_multiple, min_order_quantity.

    ds: days, or weeks where all of them lie whole weeks apart. y: whole units, 0 or more; days that are missing sold nothing.
    The other columns count by their last value. Raises SimulationError naming the column and the row.
    """
    missing = {"unique_id", "ds", "y"} - set(rows.columns)
    if missing:
        raise SimulationError(
            f"the demand lacks {', '.join(sorted(missing))}: give a long table with unique_id, ds (day or Monday) and y (units)"
        )
    rows = _typed(rows).sort("unique_id", "ds")
    _check(rows)
    days = sorted(rows["ds"].unique())
    first, last = days[0], days[-1]
    if (last - first).days > _MOST_DAYS:
        raise SimulationError(f"ds runs from {first} to {last}: a date is wrong")
    offset = (rows["ds"] - first).dt.total_days().to_numpy()
    weekly = len(days) > 1 and not np.any(offset % DAYS)
    step_days = DAYS if weekly else 1
    skus = rows["unique_id"].unique(maintain_order=True)
    index = rows["unique_id"].rle_id().to_numpy()
    demand = np.zeros((len(skus), int(offset.max()) // step_days + 1), dtype=np.int64)
    demand[index, offset // step_days] = rows["y"].to_numpy().round().astype(np.int64)
    price = _latest(rows, "price", costs.price)
    unit_cost = _latest(rows, "unit_cost", None)
    unit_cost = np.where(np.isnan(unit_cost), price * (1 - costs.margin), unit_cost)
    multiple, least = _latest(rows, "order_multiple", 1), _latest(rows, "min_order_quantity", 0)
    for name, values, low in (("price", price, 0), ("unit_cost", unit_cost, 0), ("order_multiple", multiple, 1)):
        if np.any(values < low):
            raise SimulationError(f"{name} of {skus[int(np.argmax(values < low))]} is below {low}: correct it")
    return Panel(
        tuple(skus.to_list()),
        first,
        step_days,
        demand,
        price,
        unit_cost,
        multiple.astype(np.int64),
        least.astype(np.int64),
    )


def weekly_units(panel: Panel, step: int) -> Units:
    """Units of the whole weeks that end before a step, the last of them at its end: SKUs × weeks."""
    width = DAYS // panel.step_days
    weeks = step // width
    past = panel.demand[:, step - weeks * width : step]
    return past.reshape(len(panel.skus), weeks, width).sum(axis=2)


def _typed(rows: pl.DataFrame) -> pl.DataFrame:
    try:
        return rows.with_columns(
            pl.col("unique_id").cast(pl.String),
            pl.col("ds").str.to_datetime().cast(pl.Date)
            if rows.schema["ds"] == pl.String()
            else pl.col("ds").cast(pl.Date),
            pl.col("y").cast(pl.Float64),
        )
    except (pl.exceptions.PolarsError, TypeError) as error:
        raise SimulationError(f"ds are days such as 2026-03-02 and y are numbers: {error}") from error


def _check(rows: pl.DataFrame) -> None:
    if not rows.height:
        raise SimulationError("the demand has no rows")
    for name in ("unique_id", "ds", "y"):
        if rows[name].null_count():
            raise SimulationError(f"{name} is empty in {rows[name].null_count()} rows: fill them in, or leave them out")
    wrong = rows.filter(
        (pl.col("y") < 0) | ~pl.col("y").is_finite() | ((pl.col("y") - pl.col("y").round()).abs() > 1e-6)
    )
    if wrong.height:
        sku, day, units = wrong.select("unique_id", "ds", "y").row(0)
        raise SimulationError(
            f"y of {sku} on {day} is {units:g}, and demand is whole units, 0 or more: take returns off their day of sale"
        )
    twice = rows.filter(pl.struct("unique_id", "ds").is_duplicated())
    if twice.height:
        sku, day = twice.select("unique_id", "ds").row(0)
        raise SimulationError(f"{sku} has more than one row on {day}: add them up")


def _latest(rows: pl.DataFrame, name: str, default: float | None) -> NDArray[np.float64]:
    filled = float("nan") if default is None else default
    if name not in rows.columns:
        return np.full(rows["unique_id"].n_unique(), filled)
    try:
        column = pl.col(name).cast(pl.Float64).drop_nulls().last().fill_null(filled)
        return rows.group_by("unique_id", maintain_order=True).agg(column)[name].fill_null(filled).to_numpy()
    except pl.exceptions.PolarsError as error:
        raise SimulationError(f"{name} is a number: {error}") from error


def names(words: Sequence[str]) -> str:
    """Words for a message: `a, b or c`."""
    return " or ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
