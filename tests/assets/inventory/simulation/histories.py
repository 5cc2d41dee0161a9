"""Small histories for the tests of a replay."""

from datetime import date, timedelta

import numpy as np
import polars as pl
from hypothesis import strategies as st

from assets.inventory.buying.policies import Units
from assets.inventory.simulation.buyers import FixedPoint, ForecastBased, MovingAverage
from assets.inventory.simulation.forecasts import QUANTILES, Forecasts, forecasts_of
from assets.inventory.simulation.replay import Buyer
from assets.inventory.simulation.setting import Costs, LeadTimes, Panel, Scenario

MONDAY = date(2026, 1, 5)


def panel(demand: object, *, step_days: int = 1, price: float = 10.0, cost: float = 4.0, **terms: int) -> Panel:
    units = np.array(demand, dtype=np.int64)
    count = len(units)
    return Panel(
        skus=tuple(f"bag-{n}" for n in range(count)),
        first_day=MONDAY,
        step_days=step_days,
        demand=units,
        price=np.full(count, price),
        unit_cost=np.full(count, cost),
        order_multiple=np.full(count, terms.get("order_multiple", 1)),
        min_order_quantity=np.full(count, terms.get("min_order_quantity", 0)),
    )


def weekly_forecasts(of: Panel, *, first: int = 4, horizon: int = 8) -> Forecasts:
    """The mean of the four weeks before each Monday, from the first week on; it knows nothing else."""
    rows = []
    days = of.demand.shape[1] * of.step_days
    for week in range(first, days // 7):
        until = week * 7 // of.step_days
        means = of.demand[:, until - 28 // of.step_days : until].sum(axis=1) / 4
        for sku, mean in zip(of.skus, means.tolist(), strict=True):
            for ahead in range(horizon):
                quantiles = [mean * share for share in (0.2, 0.5, 1.0, 1.6, 2.0)]
                cutoff = MONDAY + timedelta(7 * (week - 1))
                rows.append((sku, cutoff, cutoff + timedelta(7 * (ahead + 1)), mean, *quantiles))
    table = pl.DataFrame(rows, schema=["unique_id", "cutoff", "ds", "mean", *QUANTILES], orient="row")
    return forecasts_of(table, of.skus)


def buyers(of: Scenario) -> dict[str, Buyer]:
    level = np.array([[0.9], [0.6]])
    return {
        "fixed": FixedPoint.of(10, 50),
        "mean": MovingAverage(np.array([[1.0]]), np.array([[4]]), of.lead_times, of.review_days),
        "forecast": ForecastBased(level, np.array([[True], [False]]), np.array([[0.0], [1.0]]), of.terms),
    }


@st.composite
def scenarios(draw: st.DrawFn, skus: int = 3) -> Scenario:
    """Ten weeks of days, of which the last three or four are replayed."""
    seed = draw(st.integers(0, 10_000))
    rng = np.random.default_rng(seed)
    rate = draw(st.sampled_from([0.0, 0.2, 1.0, 4.0]))
    demand: Units = rng.poisson(rate * rng.gamma(1, 1, (skus, 70))).astype(np.int64)
    low = draw(st.integers(0, 9))
    lead_times = LeadTimes.between(low, low + draw(st.integers(0, 14)))
    costs = Costs(
        holding=draw(st.sampled_from([0.0, 0.3, 5.0])),
        order=draw(st.sampled_from([0.0, 3.0])),
        lost=draw(st.sampled_from([0.0, 0.2])),
        salvage=draw(st.sampled_from([None, 0.0, 0.4, 1.0])),
    )
    terms = {"order_multiple": draw(st.integers(1, 6)), "min_order_quantity": draw(st.sampled_from([0, 5, 20]))}
    of = panel(demand, cost=draw(st.sampled_from([4.0, 9.0, 11.0])), **terms)
    begin, review = draw(st.integers(42, 49)), draw(st.sampled_from([1, 3, 7]))
    leads = lead_times.draw((skus, len(range(begin, 70, review))), seed)
    start = rng.integers(0, 30, skus)
    return Scenario(of, begin, 70, review, costs, lead_times, leads, start)
