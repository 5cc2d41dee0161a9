"""The shortages that are planted in the demo maison are foreseen a lead time ahead, by a plan that knows only earlier days.

Belongs here: the plan replayed as of each day before a shelf goes empty. Does not belong here: the plan after the whole command
(`tests/acceptance/test_demo.py`).
"""

from collections import Counter
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from statistics import NormalDist, fmean, stdev
from typing import Any

import polars as pl
import pytest

from assets.inventory.buying.ahead import stock_out_ahead
from assets.inventory.buying.lead_times import learn, sku_lead_times
from assets.inventory.buying.service import classify
from assets.inventory.buying.settings import BuyingSettings
from assets.inventory.reorder import Known, ReorderPolicy, reorder_plan
from luxauto_pipelines.demo.maison import Maison, found_maison
from luxauto_pipelines.demo.trade import Trade, simulate
from resources.store.purchasing import DELIVERIES

UNTIL = date(2026, 10, 31)
SEEDS = (7, 11, 23, 3, 5, 42, 99)
LEVEL = 0.8
PACE_WEEKS, SPREAD_WEEKS, HORIZON = 8, 26, 13
SETTINGS = BuyingSettings()


@dataclass(frozen=True)
class Past:
    """What happened to each SKU by day: units into stock, and units sold at retail."""

    maison: Maison
    trade: Trade
    moved: dict[str, Counter[date]]
    sold: dict[str, Counter[date]]

    def available(self, sku: str, day: date) -> int:
        """On the morning of the day."""
        return sum(units for on, units in self.moved[sku].items() if on < day)

    def weeks(self, sku: str, day: date) -> list[int]:
        """Units sold in the complete weeks before the day, the newest first."""
        monday = day - timedelta(days=day.weekday())
        starts = [monday - timedelta(weeks=n + 1) for n in range(SPREAD_WEEKS)]
        return [sum(self.sold[sku][start + timedelta(days=d)] for d in range(7)) for start in starts]


@cache
def past(seed: int) -> Past:
    maison = found_maison(seed, UNTIL)
    trade = simulate(maison, seed)
    moved: dict[str, Counter[date]] = {item.sku: Counter() for item in maison.items}
    sold: dict[str, Counter[date]] = {item.sku: Counter() for item in maison.items}
    for row in trade.stock:
        moved[row.sku][row.occurred_at.date()] += row.quantity
    for line in trade.lines:
        if line.line_type == "goods":
            moved[line.sku][line.order.occurred_at.date()] -= line.quantity
            if line.quantity > 0 and line.unit_price > 0:
                sold[line.sku][line.order.occurred_at.date()] += line.quantity
    return Past(maison, trade, moved, sold)


def plan_as_of(known: Past, day: date) -> pl.DataFrame:
    """The plan of all launched SKUs on the morning of a day, from a forecast as plain as the mean of the last weeks."""
    items = [item for item in known.maison.items if item.launched_on < day - timedelta(weeks=4)]
    monday = day - timedelta(days=day.weekday())
    z = NormalDist().inv_cdf((1 + LEVEL) / 2)
    rows = []
    for item in items:
        weeks = known.weeks(item.sku, day)
        mean, spread = fmean(weeks[:PACE_WEEKS]), stdev(weeks)
        rows += [(item.sku, monday + timedelta(weeks=n), mean, mean + z * spread, LEVEL) for n in range(HORIZON)]
    forecasts = pl.DataFrame(rows, schema=["sku", "week", "mean", "upper", "level"], orient="row")
    catalog = pl.DataFrame(
        [(i.sku, i.supplier, i.lead_time_days, i.min_order_quantity, None, i.first_price * 100, i.cost) for i in items],
        schema={
            **dict.fromkeys(("sku", "supplier"), pl.String()),
            **dict.fromkeys(("lead_time_days", "min_order_quantity", "manual_reorder_point"), pl.Int64()),
            **dict.fromkeys(("price_minor", "cost_minor"), pl.Int64()),
        },
        orient="row",
    )
    means = forecasts.group_by("sku").agg(weekly_mean=pl.col("mean").mean())
    service = classify(catalog.join(means, on="sku").with_columns(currency=pl.lit("EUR")), SETTINGS)
    lead_times = sku_lead_times(learn(pl.DataFrame(schema=DELIVERIES), day), catalog)
    levels = pl.DataFrame(
        [(i.sku, known.available(i.sku, day), True) for i in items],
        schema=["sku", "available", "counted"],
        orient="row",
    )
    # Nothing is on order: of what is planted the supplier has told that nothing comes, or nobody ordered.
    none = pl.DataFrame(schema={"sku": pl.String, "on_order": pl.Int64})
    frames = (levels, forecasts, catalog, none, ReorderPolicy())
    return reorder_plan(*frames, as_of=day, known=Known(lead_times=lead_times, service=service))


def told(plan: pl.DataFrame, sku: str) -> tuple[int, bool]:
    """How many units are to be ordered, and whether the alert stands."""
    line: dict[str, Any] = plan.row(by_predicate=pl.col("sku") == sku, named=True)
    return line["recommended_quantity"], sku in set(stock_out_ahead(plan)["sku"])


@pytest.mark.parametrize("seed", SEEDS)
def test_the_planted_stock_out_is_foreseen_at_least_one_lead_time_ahead(seed: int) -> None:
    known = past(seed)
    out = known.trade.stock_out
    lead = next(item.lead_time_days for item in known.maison.items if item.sku == out.sku)
    assert known.available(out.sku, out.first) <= 0 < known.available(out.sku, out.first - timedelta(days=1))
    for days_ahead in range(lead, 0, -7):
        quantity, alert = told(plan_as_of(known, out.first - timedelta(days=days_ahead)), out.sku)
        # To be ordered is to be at the reorder point, which the safety stock is part of: the alert of low stock stands too.
        assert quantity > 0, f"{days_ahead} days ahead"
        # The alert that looks ahead goes by the mean. Before a season that last weeks do not show it may be a week later.
        assert alert or days_ahead == lead, f"{days_ahead} days ahead"


@pytest.mark.parametrize("seed", SEEDS)
def test_the_shelves_that_are_planted_to_be_low_are_ordered_for_and_told_of(seed: int) -> None:
    known = past(seed)
    plan = plan_as_of(known, UNTIL + timedelta(days=1))
    for sku in known.trade.low_skus:
        quantity, alert = told(plan, sku)
        assert quantity > 0, sku
        assert alert or known.available(sku, UNTIL + timedelta(days=1)) <= 0, sku


@pytest.mark.parametrize("seed", SEEDS)
def test_a_day_that_one_of_them_goes_empty_was_foreseen_a_lead_time_before(seed: int) -> None:
    """The buyer lives from hand to mouth: what he has not ordered in time is told of all along."""
    known = past(seed)
    for sku in known.trade.low_skus:
        lead = next(item.lead_time_days for item in known.maison.items if item.sku == sku)
        days = [UNTIL - timedelta(days=n) for n in range(180)]
        empty = [day for day in days if known.available(sku, day) <= 0]
        for day in empty[-2:]:
            quantity, _ = told(plan_as_of(known, day - timedelta(days=lead)), sku)
            assert quantity > 0, (sku, day)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_plan_does_not_cry_wolf(seed: int) -> None:
    """Of the SKUs that are well stocked few are told of: an alert for everything would foresee every stock-out."""
    known = past(seed)
    told_of, looked_at = 0, 0
    for weeks in range(4, 40, 12):
        plan = plan_as_of(known, UNTIL - timedelta(weeks=weeks))
        told_of += stock_out_ahead(plan).height
        looked_at += plan.height
    assert told_of < 0.2 * looked_at
