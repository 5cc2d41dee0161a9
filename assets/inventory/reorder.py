"""What to order, and why: safety stock, reorder point and order-up-to level of each SKU, from its forecast.

Here: the arithmetic of a periodic review with an order-up-to level, and the words a buyer reads. Not here:
where stock, orders and forecasts come from, and what becomes of a recommendation.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import polars as pl

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

REORDER_SCHEMA: dict[str, pl.DataType] = {
    "sku": pl.String(),
    "available": pl.Int64(),
    "on_order": pl.Int64(),
    "lead_time_days": pl.Int64(),
    "weekly_mean": pl.Float64(),
    "sigma_weekly": pl.Float64(),
    "safety_stock": pl.Int64(),
    "reorder_point": pl.Int64(),
    "order_up_to": pl.Int64(),
    "recommended_quantity": pl.Int64(),
    "weeks_of_cover": pl.Float64(),
    "stockout_on": pl.Date(),
    "min_order_quantity": pl.Int64(),
    "reason": pl.String(),
}
LEVEL_COLUMNS = ("sku", "available", "counted")
FORECAST_COLUMNS = ("sku", "week", "mean", "upper", "level")
CATALOG_COLUMNS = ("sku", "lead_time_days", "min_order_quantity", "manual_reorder_point")
ON_ORDER_COLUMNS = ("sku", "on_order")
DAYS = 7
ROUNDING = 1e-9


@dataclass(frozen=True)
class ReorderPolicy:
    """How stock is reviewed. Raises ValueError for numbers that no policy can have.

    review_days: days between two looks at the stock.
    service_level: the share of replenishment cycles that are to end without a stock-out, from 0.5 up to
        1; the share of units delivered from stock is another number, and usually higher.
    default_lead_time_days: days from order to shelf for a SKU whose catalogue entry does not say.
    """

    review_days: int = 7
    service_level: float = 0.95
    default_lead_time_days: int = 28

    def __post_init__(self) -> None:
        if self.review_days < 1 or self.default_lead_time_days < 0:
            raise ValueError("a review takes 1 day or more, and a lead time 0 or more: see ReorderPolicy")
        if not 0.5 <= self.service_level < 1:
            raise ValueError(f"the service level is a share from 0.5 up to 1 (0.95, not {self.service_level})")

    @property
    def z(self) -> float:
        """Standard deviations of forecast error that the safety stock covers."""
        return NormalDist().inv_cdf(self.service_level)


def reorder_plan(
    levels: pl.DataFrame,
    forecasts: pl.DataFrame,
    catalog: pl.DataFrame,
    on_order: pl.DataFrame,
    policy: ReorderPolicy | None = None,
    *,
    as_of: date,
) -> pl.DataFrame:
    """What to order of every SKU in stock, in the catalogue or forecast (`REORDER_SCHEMA`, sorted by sku).

    levels: sku, available (units; on hand less reserved), counted (whether the SKU ever had an opening count
        or a receipt). A SKU that is not counted, or has no row, has an unknown stock: `available` and
        `recommended_quantity` are null, and the reason says so.
    forecasts: sku, week (Monday), mean, upper, level; units a week, as `forecast_demand` returns them. A
        forecast that ends before `as_of` is as none, and without one only a manual reorder point can
        recommend.
    catalog: sku, lead_time_days, min_order_quantity, manual_reorder_point, each null where it is not set.
    on_order: sku, on_order (units under way); several rows of a SKU are added up.
    as_of: the day whose stock, before its sales, `available` is.

    With review time R, lead time L and protection interval P = R + L, in days:

    - sigma_weekly is the forecast's standard error in units a week, (upper - mean) / z of its level, root
      mean square over P. From the error of the forecast, not the spread of demand: a season that is foreseen
      needs no safety stock (Silver, Pyke & Thomas, Inventory and Production Management in Supply Chains, 4th
      ed., 2017, ch. 6). Not from (mean - lower), which is cut at zero.
    - safety_stock = z * sigma_weekly * sqrt(P in weeks), z the normal quantile of the service level (ibid.).
      It supposes that the errors of different weeks are independent and that lead times are kept.
    - reorder_point s = mean over L + safety_stock; order_up_to S = mean over P + safety_stock (a
      periodic-review (R, s, S) system, ibid.). If the position, available + on order, is at s or below, S
      less the position is recommended, rounded up to whole multiples of min_order_quantity.
    - a manual reorder point takes the place of s; S is then s + mean over R, at least one unit above s.
    - weekly_mean is the mean over P by the week; weeks_of_cover = available / weekly_mean, null if it is 0.
    - stockout_on is the day on which `available` alone is used up at the forecast's means, null if it lasts
      longer than the forecast.

    Days that the forecast does not hold count as its average day.

    Units are whole and rounded up. Raises ValueError for missing columns, a SKU twice in levels or catalog,
    and lead times, order quantities, reorder points, units on order or forecasts below zero.
    """
    policy = policy or ReorderPolicy()
    _check(levels, forecasts, catalog, on_order)
    stock = dict(levels.filter("counted").select("sku", "available").iter_rows())
    coming = dict(on_order.group_by("sku").agg(pl.col("on_order").sum()).iter_rows())
    terms = {sku: _terms(policy, *known) for sku, *known in catalog.select(CATALOG_COLUMNS).iter_rows()}
    demand = _daily_demand(forecasts, as_of)
    rows = []
    for sku in sorted({*levels["sku"], *catalog["sku"], *forecasts["sku"]}):
        position = _Position(stock.get(sku), coming.get(sku, 0))
        rows.append(
            {
                "sku": sku,
                **_line(position, terms.get(sku, _terms(policy)), demand.get(sku), policy),
                "stockout_on": _stockout(position.available, demand.get(sku), as_of),
            }
        )
    return pl.DataFrame(rows, schema=REORDER_SCHEMA)


def order_needs(plan: pl.DataFrame, catalog: pl.DataFrame, costs: pl.DataFrame, today: date) -> pl.DataFrame:
    """What the plan recommends to order: sku, supplier, quantity, expected_on, unit_cost_minor, currency.

    plan: columns REORDER_SCHEMA. catalog: sku, supplier. costs: sku, valid_from, cost_minor, currency; the latest one counts.
    """
    unit_costs = (
        costs.sort("valid_from").group_by("sku").last().select("sku", unit_cost_minor="cost_minor", currency="currency")
    )
    return (
        plan.filter(pl.col("recommended_quantity") > 0)
        .join(catalog.select("sku", "supplier"), on="sku", how="left")
        .join(unit_costs, on="sku", how="left")
        .select(
            "sku",
            "supplier",
            pl.col("recommended_quantity").alias("quantity"),
            (pl.lit(today) + pl.duration(days="lead_time_days")).cast(pl.Date).alias("expected_on"),
            "unit_cost_minor",
            "currency",
        )
    )


@dataclass(frozen=True)
class _Position:
    """Units that can be sold (None if nobody counted them) and units under way."""

    available: int | None
    on_order: int

    @property
    def total(self) -> int:
        return (self.available or 0) + self.on_order


@dataclass(frozen=True)
class _Terms:
    """How a SKU is bought."""

    lead_time_days: int
    lead_time_assumed: bool
    min_order_quantity: int
    manual_reorder_point: int | None


@dataclass(frozen=True)
class _DailyDemand:
    """A forecast from `as_of` on, as far as it reaches: units and variance of each day."""

    units: "NDArray[np.float64]"
    variance: "NDArray[np.float64]"

    def mean(self, days: int) -> float:
        return _sum(self.units, days)

    def sigma_weekly(self, days: int) -> float:
        return math.sqrt(_sum(self.variance, days) / days * DAYS)


@dataclass(frozen=True)
class _Target:
    """What a SKU's stock is held to; None throughout without a forecast and a point set by hand."""

    weekly_mean: float | None = None
    sigma_weekly: float | None = None
    safety_stock: int | None = None
    computed_reorder_point: int | None = None
    reorder_point: int | None = None
    order_up_to: int | None = None


def _line(position: _Position, terms: _Terms, demand: _DailyDemand | None, policy: ReorderPolicy) -> dict[str, Any]:
    target = _by_hand(terms, _computed(terms, demand, policy), demand, policy)
    quantity = _quantity(position, terms, target)
    return {
        "available": position.available,
        "on_order": position.on_order,
        "lead_time_days": terms.lead_time_days,
        "weekly_mean": target.weekly_mean,
        "sigma_weekly": target.sigma_weekly,
        "safety_stock": target.safety_stock,
        "reorder_point": target.reorder_point,
        "order_up_to": target.order_up_to,
        "recommended_quantity": quantity,
        "weeks_of_cover": _cover(position, target),
        "min_order_quantity": terms.min_order_quantity,
        "reason": _reason(position, terms, target, quantity),
    }


def _computed(terms: _Terms, demand: _DailyDemand | None, policy: ReorderPolicy) -> _Target:
    if demand is None:
        return _Target()
    lead, protection = terms.lead_time_days, terms.lead_time_days + policy.review_days
    sigma = demand.sigma_weekly(protection)
    safety = _up(policy.z * sigma * math.sqrt(protection / DAYS))
    reorder_point = _up(demand.mean(lead)) + safety
    return _Target(
        weekly_mean=demand.mean(protection) / protection * DAYS,
        sigma_weekly=sigma,
        safety_stock=safety,
        computed_reorder_point=reorder_point,
        reorder_point=reorder_point,
        order_up_to=_up(demand.mean(protection)) + safety,
    )


def _by_hand(terms: _Terms, target: _Target, demand: _DailyDemand | None, policy: ReorderPolicy) -> _Target:
    manual = terms.manual_reorder_point
    if manual is None:
        return target
    until_next_look = _up(demand.mean(policy.review_days)) if demand else 0
    return replace(target, reorder_point=manual, order_up_to=manual + max(1, until_next_look))


def _quantity(position: _Position, terms: _Terms, target: _Target) -> int | None:
    if position.available is None or target.reorder_point is None or target.order_up_to is None:
        return None
    if position.total > target.reorder_point:
        return 0
    lots = -(-(target.order_up_to - position.total) // terms.min_order_quantity)
    return max(0, lots * terms.min_order_quantity)


def _cover(position: _Position, target: _Target) -> float | None:
    if position.available is None or not target.weekly_mean:
        return None
    return max(position.available, 0) / target.weekly_mean


def _reason(position: _Position, terms: _Terms, target: _Target, quantity: int | None) -> str:
    if position.available is None:
        return "No stock count, so the stock is unknown and no quantity is recommended: count this SKU first."
    if quantity is None:
        return "No forecast and no reorder point set by hand, so no quantity is recommended."
    stock = f"Position {position.total} ({position.available} available, {position.on_order} on order)"
    point = f"the reorder point of {target.reorder_point}{_set_by_hand(terms, target)}"
    if quantity:
        lots = f" in lots of {terms.min_order_quantity}" if terms.min_order_quantity > 1 else ""
        words = f"{stock} is not above {point}: order up to {target.order_up_to}{lots}."
    elif position.total > (target.reorder_point or 0):
        words = f"{stock} is above {point}: nothing to order."
    else:
        words = f"{stock} is at the order-up-to level of {target.order_up_to}: nothing to order."
    if quantity and target.weekly_mean == 0:
        words += " No sale is forecast: all of it is safety stock."
    if terms.lead_time_assumed:
        words += f" No lead time is set: {terms.lead_time_days} days assumed."
    return words


def _set_by_hand(terms: _Terms, target: _Target) -> str:
    if terms.manual_reorder_point is None:
        return ""
    computed = target.computed_reorder_point
    return f" set by hand ({'there is no forecast' if computed is None else f'computed: {computed}'})"


def _stockout(available: int | None, demand: _DailyDemand | None, as_of: date) -> date | None:
    if available is None:
        return None
    if available <= 0:
        return as_of
    if demand is None:
        return None
    import numpy as np

    used_up = np.flatnonzero(np.cumsum(demand.units) >= available - ROUNDING)
    return as_of + timedelta(days=int(used_up[0])) if len(used_up) else None


def _daily_demand(forecasts: pl.DataFrame, as_of: date) -> dict[str, _DailyDemand]:
    z = {level: NormalDist().inv_cdf((1 + level) / 2) for level in forecasts["level"].unique()}
    weeks = (
        forecasts.filter(pl.col("week") + pl.duration(days=DAYS) > as_of)
        .with_columns(z=pl.col("level").replace_strict(z, return_dtype=pl.Float64))
        .select(
            "sku",
            start=(pl.col("week") - pl.lit(as_of)).dt.total_days(),
            units=pl.col("mean") / DAYS,
            variance=((pl.col("upper") - pl.col("mean")) / pl.col("z")) ** 2 / DAYS,
        )
        .sort("sku", "start")
        .group_by("sku", maintain_order=True)
        .agg("start", "units", "variance")
    )
    return {
        sku: _DailyDemand(_spread(start, units), _spread(start, variance))
        for sku, start, units, variance in weeks.iter_rows()
    }


def _spread(starts: list[int], weekly: list[float]) -> "NDArray[np.float64]":
    import numpy as np

    days = np.full(starts[-1] + DAYS, sum(weekly) / len(weekly))
    for start, value in zip(starts, weekly, strict=True):
        days[max(start, 0) : start + DAYS] = value
    return days


def _sum(daily: "NDArray[np.float64]", days: int) -> float:
    beyond = max(0, days - len(daily))
    return float(daily[:days].sum() + beyond * daily.mean())


def _terms(
    policy: ReorderPolicy,
    lead_time_days: int | None = None,
    min_order_quantity: int | None = None,
    manual_reorder_point: int | None = None,
) -> _Terms:
    assumed = lead_time_days is None
    lead = policy.default_lead_time_days if lead_time_days is None else lead_time_days
    return _Terms(lead, assumed, min_order_quantity or 1, manual_reorder_point)


def _up(units: float) -> int:
    # Adding days up leaves 12.000000000000002 where 12 is meant, which is no thirteenth unit.
    return math.ceil(units - ROUNDING)


def _check(levels: pl.DataFrame, forecasts: pl.DataFrame, catalog: pl.DataFrame, on_order: pl.DataFrame) -> None:
    _require("levels", levels, LEVEL_COLUMNS)
    _require("forecasts", forecasts, FORECAST_COLUMNS)
    _require("catalog", catalog, CATALOG_COLUMNS, not_negative=CATALOG_COLUMNS[1:])
    _require("on_order", on_order, ON_ORDER_COLUMNS, not_negative=("on_order",))
    for name, frame in (("levels", levels), ("catalog", catalog)):
        twice = frame.filter(pl.col("sku").is_duplicated())["sku"].unique().sort()
        if len(twice):
            raise ValueError(f"{name} holds {', '.join(twice.head(5))} more than once: one row a SKU is needed")
    wrong = forecasts.filter((pl.col("mean") < 0) | (pl.col("upper") < pl.col("mean")))
    if wrong.height:
        raise ValueError(f"the forecast of {wrong['sku'][0]} is below zero, or its upper end below its mean")


def _require(name: str, frame: pl.DataFrame, columns: Iterable[str], *, not_negative: Iterable[str] = ()) -> None:
    missing = sorted(set(columns) - set(frame.columns))
    if missing:
        raise ValueError(f"{name} lacks the columns {', '.join(missing)}")
    for column in not_negative:
        below = frame.filter(pl.col(column) < 0)
        if below.height:
            raise ValueError(f"{name} holds a {column} below zero for {below['sku'][0]}")
