"""What to order, and why: safety stock, reorder point and order-up-to level of each SKU, from its forecast.

Here: the arithmetic of a periodic review with an order-up-to level, that of fixed order quantities, and the sentence a buyer
reads. Not here: where stock, orders, forecasts and lead times come from, budgets (`buying/choice`), and what becomes of a
recommendation.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import polars as pl

from assets.inventory.buying.service import safety_units

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

REORDER_SCHEMA: dict[str, pl.DataType] = {
    "sku": pl.String(),
    "as_of": pl.Date(),
    "available": pl.Int64(),
    "on_order": pl.Int64(),
    "arriving_in_time": pl.Int64(),
    "lead_time_days": pl.Int64(),
    "lead_time_sd": pl.Float64(),
    "protection_days": pl.Int64(),
    "protection_mean": pl.Float64(),
    "protection_sigma": pl.Float64(),
    "weekly_mean": pl.Float64(),
    "sigma_weekly": pl.Float64(),
    "sku_class": pl.String(),
    "service_level": pl.Float64(),
    "safety_stock": pl.Int64(),
    "reorder_point": pl.Int64(),
    "order_up_to": pl.Int64(),
    "needed_quantity": pl.Int64(),
    "recommended_quantity": pl.Int64(),
    "weeks_of_cover": pl.Float64(),
    "stockout_on": pl.Date(),
    "projected_stockout_on": pl.Date(),
    "min_order_quantity": pl.Int64(),
    "pack_size": pl.Int64(),
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
    service_level: the share that is to be served, from 0.5 up to 1, where a SKU has none of its own.
    default_lead_time_days: days from order to shelf for a SKU whose catalogue entry does not say.
    target: "cycle", the share of replenishment cycles that end without a stock-out, or "fill", the share of units that are
        delivered from stock, which is another number and usually higher.
    """

    review_days: int = 7
    service_level: float = 0.95
    default_lead_time_days: int = 28
    target: str = "cycle"

    def __post_init__(self) -> None:
        if self.review_days < 1 or self.default_lead_time_days < 0:
            raise ValueError("a review takes 1 day or more, and a lead time 0 or more: see ReorderPolicy")
        if not 0.5 <= self.service_level < 1:
            raise ValueError(f"the service level is a share from 0.5 up to 1 (0.95, not {self.service_level})")
        if self.target not in ("cycle", "fill"):
            raise ValueError(f"service is counted by cycle or by fill, not by {self.target!r}")


@dataclass(frozen=True)
class Known:
    """What is known of SKUs besides the catalogue; a SKU that a frame lacks is planned without.

    lead_times: sku, lead_time_mean, lead_time_sd (days), in place of the catalogue's number, which is taken as kept.
    errors: sku, variance: mean squared error of the forecast's sum over the protection interval (`protection_errors`), in
        place of the width of the forecast's interval.
    service: sku, sku_class, service_level.
    packs: sku, pack_size, order_quantity. Orders are whole packs; with an order quantity that many are ordered at a time.
    """

    lead_times: pl.DataFrame | None = None
    errors: pl.DataFrame | None = None
    service: pl.DataFrame | None = None
    packs: pl.DataFrame | None = None


def reorder_plan(
    levels: pl.DataFrame,
    forecasts: pl.DataFrame,
    catalog: pl.DataFrame,
    on_order: pl.DataFrame,
    policy: ReorderPolicy | None = None,
    *,
    as_of: date,
    known: Known | None = None,
) -> pl.DataFrame:
    """What to order of every SKU in stock, in the catalogue or forecast (`REORDER_SCHEMA`, sorted by sku).

    levels: sku, available (units; on hand less reserved), counted (whether the SKU ever had an opening count
        or a receipt). A SKU that is not counted, or has no row, has an unknown stock: `available` and
        `recommended_quantity` are null, and the reason says so.
    forecasts: sku, week (Monday), mean, upper, level; units a week, as `forecast_demand` returns them. A
        forecast that ends before `as_of` is as none, and without one only a manual reorder point can
        recommend.
    catalog: sku, lead_time_days, min_order_quantity, manual_reorder_point, each null where it is not set.
    on_order: sku, on_order (units under way) and perhaps expected_on; several rows of a SKU are added up. What is expected
        on no day, or on one that is over, is taken to arrive at the next review.
    as_of: the day whose stock, before its sales, `available` is.

    With review time R, lead time L (its mean, to whole days) and protection interval P = R + L, in days:

    - sigma is the standard deviation of what the forecast errs by over P: of `known.errors`, else from its interval, the root
      of the summed squares of (upper - mean) / z of its level (never from (mean - lower), which is cut at zero). From the
      error of the forecast, not the spread of demand: a season that is foreseen needs no safety stock. Lead times that vary
      add to it: sigma² + (mean a day)² Var(L) (Silver, Pyke & Thomas, Inventory and Production Management in Supply Chains,
      4th ed., 2017, ch. 6). `sigma_weekly` is sigma without lead times, brought to a week.
    - safety_stock is what keeps the service level against it (`service.safety_units`).
    - reorder_point s = mean over L + safety_stock; order_up_to S = mean over P + safety_stock (a periodic-review (R, s, S)
      system, ibid.). If the position, available + on order, is at s or below, S less the position is recommended.
    - with an order quantity Q (an (s, Q) system) it is the least whole number of Q that lifts the position above s.
    - a manual reorder point takes the place of s; S is then s + mean over R, at least one unit above s.
    - an order is rounded up: with a pack size to whole packs and at least min_order_quantity, else to whole multiples of
      min_order_quantity. `needed_quantity` is what was asked for before that.
    - weekly_mean is the mean over P by the week; weeks_of_cover = available / weekly_mean, null if it is 0.
    - stockout_on is the day on which `available` alone is used up at the forecast's means, null if it lasts longer than the
      forecast; projected_stockout_on the same with what is on order arriving when it is expected, looked for over P at least.

    Days that the forecast does not hold count as its average day.

    Units are whole and rounded up. Raises ValueError for missing columns, a SKU twice in levels or catalog,
    and lead times, order quantities, reorder points, units on order or forecasts below zero.
    """
    policy, known = policy or ReorderPolicy(), known or Known()
    _check(levels, forecasts, catalog, on_order)
    stock = dict(levels.filter("counted").select("sku", "available").iter_rows())
    coming = _coming(on_order, as_of, policy)
    demand = _daily_demand(forecasts, as_of)
    skus = sorted({*levels["sku"], *catalog["sku"], *forecasts["sku"]})
    every_terms = _every_terms(skus, catalog, policy, known)
    rows = []
    for sku in skus:
        position = _Position(stock.get(sku), coming.get(sku, ()))
        rows.append({"sku": sku, "as_of": as_of, **_line(position, every_terms[sku], demand.get(sku), policy, as_of)})
    return pl.DataFrame(rows, schema=REORDER_SCHEMA)


def protection_days(catalog: pl.DataFrame, lead_times: pl.DataFrame | None, policy: ReorderPolicy) -> pl.DataFrame:
    """Days that an order has to last, by SKU of the catalogue: sku, protection_days."""
    every = _every_terms(catalog["sku"].to_list(), catalog, policy, Known(lead_times=lead_times))
    rows = [(sku, terms.lead_time_days + policy.review_days) for sku, terms in every.items()]
    return pl.DataFrame(rows, schema={"sku": pl.String(), "protection_days": pl.Int64()}, orient="row")


def order_needs(plan: pl.DataFrame, catalog: pl.DataFrame, costs: pl.DataFrame, today: date) -> pl.DataFrame:
    """What the plan recommends to order: sku, supplier, quantity, expected_on, unit_cost_minor, currency, reason.

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
            "reason",
        )
    )


def whole_lots(needed: int, min_order_quantity: int, pack_size: int | None) -> int:
    """Units to order so that `needed` are covered: whole packs and the minimum at least; without packs multiples of it."""
    from assets.inventory.buying.policies import in_lots

    return int(in_lots(max(needed, 0), pack_size or min_order_quantity, min_order_quantity))


@dataclass(frozen=True)
class _Position:
    """Units that can be sold (None if nobody counted them), and units under way as (days from now, units)."""

    available: int | None
    coming: tuple[tuple[int, int], ...]

    @property
    def on_order(self) -> int:
        return sum(units for _, units in self.coming)

    @property
    def total(self) -> int:
        return (self.available or 0) + self.on_order

    def within(self, days: int) -> int:
        return sum(units for due, units in self.coming if due < days)


@dataclass(frozen=True)
class _Terms:
    """How a SKU is bought, and how well it is to be served."""

    lead_time_days: int
    lead_time_sd: float
    lead_time_assumed: bool
    min_order_quantity: int
    manual_reorder_point: int | None
    service_level: float
    sku_class: str | None = None
    pack_size: int | None = None
    order_quantity: int | None = None
    error_variance: float | None = None


@dataclass(frozen=True)
class _DailyDemand:
    """A forecast from `as_of` on, as far as it reaches: units and variance of each day."""

    units: "NDArray[np.float64]"
    variance: "NDArray[np.float64]"

    def mean(self, days: int) -> float:
        return _sum(self.units, days)

    def sigma(self, days: int) -> float:
        return math.sqrt(_sum(self.variance, days))

    def path(self, days: int) -> "NDArray[np.float64]":
        """Units of each day, for so many days at least."""
        import numpy as np

        beyond = max(0, days - len(self.units))
        return np.concatenate([self.units, np.full(beyond, self.units.mean())])


@dataclass(frozen=True)
class _Target:
    """What a SKU's stock is held to; None throughout without a forecast and a point set by hand."""

    lead_mean: float | None = None
    protection_mean: float | None = None
    protection_sigma: float | None = None
    weekly_mean: float | None = None
    sigma_weekly: float | None = None
    safety_stock: int | None = None
    computed_reorder_point: int | None = None
    reorder_point: int | None = None
    order_up_to: int | None = None


def _line(
    position: _Position, terms: _Terms, demand: _DailyDemand | None, policy: ReorderPolicy, as_of: date
) -> dict[str, Any]:
    target = _by_hand(terms, _computed(terms, demand, policy), demand, policy)
    needed = _needed(position, terms, target)
    quantity = None if needed is None else whole_lots(needed, terms.min_order_quantity, terms.pack_size)
    protection = terms.lead_time_days + policy.review_days
    return {
        "available": position.available,
        "on_order": position.on_order,
        "arriving_in_time": position.within(protection),
        "lead_time_days": terms.lead_time_days,
        "lead_time_sd": terms.lead_time_sd,
        "protection_days": protection,
        "protection_mean": target.protection_mean,
        "protection_sigma": target.protection_sigma,
        "weekly_mean": target.weekly_mean,
        "sigma_weekly": target.sigma_weekly,
        "sku_class": terms.sku_class,
        "service_level": terms.service_level,
        "safety_stock": target.safety_stock,
        "reorder_point": target.reorder_point,
        "order_up_to": target.order_up_to,
        "needed_quantity": needed,
        "recommended_quantity": quantity,
        "weeks_of_cover": _cover(position, target),
        "stockout_on": _stockout(position.available, demand, as_of),
        "projected_stockout_on": _projected_stockout(position, demand, protection, as_of),
        "min_order_quantity": terms.min_order_quantity,
        "pack_size": terms.pack_size,
        "reason": _reason(position, terms, target, quantity, policy),
    }


def _computed(terms: _Terms, demand: _DailyDemand | None, policy: ReorderPolicy) -> _Target:
    if demand is None:
        return _Target()
    lead, protection = terms.lead_time_days, terms.lead_time_days + policy.review_days
    of_forecast = demand.sigma(protection) if terms.error_variance is None else math.sqrt(terms.error_variance)
    daily = demand.mean(protection) / protection
    sigma = math.hypot(of_forecast, daily * terms.lead_time_sd)
    cycle = max(
        demand.mean(policy.review_days), float(terms.order_quantity or terms.pack_size or terms.min_order_quantity)
    )
    safety = _up(safety_units(sigma, terms.service_level, policy.target, cycle))
    reorder_point = _up(demand.mean(lead)) + safety
    return _Target(
        lead_mean=demand.mean(lead),
        protection_mean=demand.mean(protection),
        protection_sigma=sigma,
        weekly_mean=daily * DAYS,
        sigma_weekly=of_forecast / math.sqrt(protection / DAYS),
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


def _needed(position: _Position, terms: _Terms, target: _Target) -> int | None:
    if position.available is None or target.reorder_point is None or target.order_up_to is None:
        return None
    from assets.inventory.buying.policies import reorder_in_lots, reorder_to_level

    if terms.order_quantity:
        return int(reorder_in_lots(position.total, target.reorder_point, terms.order_quantity))
    return int(reorder_to_level(position.total, target.reorder_point, target.order_up_to))


def _cover(position: _Position, target: _Target) -> float | None:
    if position.available is None or not target.weekly_mean:
        return None
    return max(position.available, 0) / target.weekly_mean


def _reason(position: _Position, terms: _Terms, target: _Target, quantity: int | None, policy: ReorderPolicy) -> str:
    if position.available is None:
        return "No stock count, so the stock is unknown and no quantity is recommended: count this SKU first."
    if quantity is None:
        return "No forecast and no reorder point set by hand, so no quantity is recommended."
    stock = f"{position.available} available and {position.on_order} on order"
    point = f"the reorder point of {target.reorder_point}{_point(terms, target, policy)}"
    assumed = f"; no lead time is set: {terms.lead_time_days} days assumed" if terms.lead_time_assumed else ""
    if not quantity and position.total > (target.reorder_point or 0):
        return f"Nothing to order: {stock} are above {point}{assumed}."
    if not quantity:
        return f"Nothing to order: {stock} are at the order-up-to level of {target.order_up_to}{assumed}."
    filled = f", and fill up to {target.order_up_to}" if not terms.order_quantity else ""
    no_sale = "; no sale is forecast: all of it is safety stock" if target.weekly_mean == 0 else ""
    return f"Order {quantity}{_lots(terms)}: {stock} are not above {point}{filled}{no_sale}{assumed}."


def _lots(terms: _Terms) -> str:
    if terms.order_quantity:
        return f" ({terms.order_quantity} at a time)"
    if terms.pack_size:
        least = f", at least {terms.min_order_quantity}" if terms.min_order_quantity > 1 else ""
        return f" (packs of {terms.pack_size}{least})" if terms.pack_size > 1 or least else ""
    return f" (lots of {terms.min_order_quantity})" if terms.min_order_quantity > 1 else ""


def _point(terms: _Terms, target: _Target, policy: ReorderPolicy) -> str:
    if terms.manual_reorder_point is not None:
        computed = target.computed_reorder_point
        return f" set by hand ({'there is no forecast' if computed is None else f'computed: {computed}'})"
    spread = f" ± {terms.lead_time_sd:.0f}" if terms.lead_time_sd >= 0.5 else ""
    of_class = f", class {terms.sku_class}" if terms.sku_class else ""
    return (
        f" ({target.lead_mean:.1f} expected in a lead time of {terms.lead_time_days}{spread} days, safety stock "
        f"{target.safety_stock} for {terms.service_level:.0%} {policy.target} service{of_class})"
    )


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


def _projected_stockout(position: _Position, demand: _DailyDemand | None, protection: int, as_of: date) -> date | None:
    """The day on which nothing is left of what is there and what has arrived by then."""
    if position.available is None:
        return None
    if demand is None:
        return as_of if position.available + position.within(1) <= 0 else None
    import numpy as np

    path = demand.path(protection)
    arrived = np.zeros(len(path))
    for due, units in position.coming:
        if due < len(path):
            arrived[due] += units
    left = position.available + np.cumsum(arrived) - np.cumsum(path)
    empty = np.flatnonzero(left <= ROUNDING)
    # Where nothing is expected to sell, only an empty shelf is a stock-out.
    return as_of + timedelta(days=int(empty[0])) if len(empty) else None


def _coming(on_order: pl.DataFrame, as_of: date, policy: ReorderPolicy) -> dict[str, tuple[tuple[int, int], ...]]:
    if "expected_on" not in on_order.columns:
        on_order = on_order.with_columns(pl.lit(None, pl.Date()).alias("expected_on"))
    days = (pl.col("expected_on") - pl.lit(as_of)).dt.total_days()
    due = pl.when(days >= 0).then(days).otherwise(policy.review_days)
    grouped = (
        on_order.select("sku", due.alias("due"), "on_order").sort("sku", "due").group_by("sku", maintain_order=True)
    )
    return {
        sku: tuple(zip(days, units, strict=True)) for sku, days, units in grouped.agg("due", "on_order").iter_rows()
    }


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


def _every_terms(skus: Iterable[str], catalog: pl.DataFrame, policy: ReorderPolicy, known: Known) -> dict[str, _Terms]:
    of_catalog = _by_sku(catalog, *CATALOG_COLUMNS[1:])
    lead_times = _by_sku(known.lead_times, "lead_time_mean", "lead_time_sd")
    errors = _by_sku(known.errors, "variance")
    service = _by_sku(known.service, "sku_class", "service_level")
    packs = _by_sku(known.packs, "pack_size", "order_quantity")
    found: dict[str, _Terms] = {}
    for sku in skus:
        promised, least, manual = of_catalog.get(sku, (None, None, None))
        mean, sd = lead_times.get(sku, (promised, 0.0))
        sku_class, level = service.get(sku, (None, None))
        pack, quantity = packs.get(sku, (None, None))
        found[sku] = _Terms(
            lead_time_days=policy.default_lead_time_days if mean is None else round(mean),
            lead_time_sd=sd or 0.0,
            lead_time_assumed=mean is None,
            min_order_quantity=least or 1,
            manual_reorder_point=manual,
            service_level=policy.service_level if level is None else level,
            sku_class=sku_class,
            pack_size=pack,
            order_quantity=quantity,
            error_variance=errors.get(sku, (None,))[0],
        )
    return found


def _by_sku(frame: pl.DataFrame | None, *columns: str) -> dict[str, tuple[Any, ...]]:
    if frame is None:
        return {}
    return {sku: tuple(values) for sku, *values in frame.select("sku", *columns).iter_rows()}


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
