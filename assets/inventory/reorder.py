"""What to order, and why: safety stock, reorder point and order-up-to level of each SKU, from its forecast.

Here: the arithmetic of a periodic review with an order-up-to level, and the words a buyer reads. Not here: where
stock, orders and forecasts come from, and what becomes of a recommendation.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import NormalDist
from typing import Any

import numpy as np
import polars as pl
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


@dataclass(frozen=True)
class ReorderPolicy:
    """How stock is reviewed. Raises ValueError for numbers that no policy can have.

    review_days: days between two looks at the stock.
    service_level: the share of replenishment cycles that are to end without a stock-out, between 0.5 and 1. It is
        not the share of units delivered from stock, which is usually higher and depends on the order size.
    default_lead_time_days: days from order to shelf for a SKU whose catalogue entry does not say.
    """

    review_days: int = 7
    service_level: float = 0.95
    default_lead_time_days: int = 28

    def __post_init__(self) -> None:
        if self.review_days < 1 or self.default_lead_time_days < 0:
            raise ValueError("a review takes 1 day or more, and a lead time 0 or more: see ReorderPolicy")
        if not 0.5 <= self.service_level < 1:
            raise ValueError(
                f"the service level is a share from 0.5 up to 1 (0.95, not {self.service_level})"
            )

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
    """What to order of every SKU that is in stock, in the catalogue or forecast (`REORDER_SCHEMA`, sorted by sku).

    levels: sku, available (units; on hand less reserved), counted (whether the SKU ever had an opening count or a
        receipt). A SKU that is not counted, or has no row, has an unknown stock: `available` and
        `recommended_quantity` are null, and the reason says so.
    forecasts: sku, week (Monday), mean, upper, level; units a week, as `forecast_demand` returns them. A forecast
        that ends before `as_of` is as none.
    catalog: sku, lead_time_days, min_order_quantity, manual_reorder_point, each null where it is not set.
    on_order: sku, on_order (units under way); several rows of a SKU are added up.
    as_of: the day whose stock, before its sales, `available` is.

    With review time R, lead time L and protection interval P = R + L, in days:

    - sigma_weekly is the forecast's standard error in units a week, (upper - mean) / z of its level, root mean
      square over P. From the forecast's error and not from the spread of demand: a season that is foreseen needs no
      safety stock (Silver, Pyke & Thomas, Inventory and Production Management in Supply Chains, 4th ed., 2017,
      chapter 6). Not from (mean - lower), which is cut at zero.
    - safety_stock = z · sigma_weekly · √(P / 7), z the normal quantile of the service level (ibid.). It supposes
      that the errors of different weeks are independent and that the lead time is kept.
    - reorder_point s = mean over L + safety_stock; order_up_to S = mean over P + safety_stock (the (R, s, S)
      system, ibid.). When the position, available + on order, is at s or below, S less the position is
      recommended, rounded up to whole multiples of min_order_quantity.
    - a manual reorder point takes the place of s, and S is then s + mean over R, at least one unit above s.
    - weekly_mean is the mean over P by the week; weeks_of_cover = available / weekly_mean, null if that is zero.
    - stockout_on is the day on which `available` alone is used up at the forecast's means, null if it lasts for the
      weeks that are forecast. Days past the last forecast week count as its average week.

    Units are whole and rounded up. Raises ValueError for missing columns, a SKU twice in levels or catalog, and
    negative lead times, order quantities or units on order.
    """
    policy = policy or ReorderPolicy()
    _check(levels, forecasts, catalog, on_order)
    stock = _by_sku(levels.filter(pl.col("counted") & pl.col("available").is_not_null()))
    terms = _by_sku(catalog)
    coming = _by_sku(on_order.group_by("sku").agg(pl.col("on_order").sum()))
    demand = _demand(forecasts, as_of)
    skus = {sku for frame in (levels, catalog, forecasts) for sku in frame["sku"]}
    rows = (
        _line(
            sku,
            available=stock.get(sku, {}).get("available"),
            on_order=coming.get(sku, {}).get("on_order", 0),
            terms=_terms(terms.get(sku, {}), policy),
            demand=demand.get(sku),
            policy=policy,
            as_of=as_of,
        )
        for sku in sorted(skus)
    )
    return pl.DataFrame(list(rows), schema=REORDER_SCHEMA, orient="row")


@dataclass(frozen=True)
class _Terms:
    """How a SKU is bought."""

    lead_time_days: int
    assumed_lead_time: bool
    min_order_quantity: int
    manual_reorder_point: int | None


@dataclass(frozen=True)
class _Demand:
    """A forecast from `as_of` on: units and variance of each day, as far as it reaches."""

    units: NDArray[np.float64]
    variance: NDArray[np.float64]

    def over(self, days: int) -> float:
        return _sum_of(self.units, days)

    def sigma_weekly(self, days: int) -> float:
        return math.sqrt(_sum_of(self.variance, days) / days * DAYS)


@dataclass(frozen=True)
class _Target:
    """What the stock of a SKU is held to; `computed` is the reorder point that a human's has replaced."""

    weekly_mean: float | None
    sigma_weekly: float | None
    safety_stock: int | None
    reorder_point: int | None
    order_up_to: int | None
    computed: int | None = None
