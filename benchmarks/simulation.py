"""Replaying a history beside a bare loop over its days, and what buying by the forecast earns beside other ways of buying.

The loop is the least that any replay has to do: arrivals, sales and orders at a fixed point, without reviews, lots, costs or a
buyer that is shown copies. Profits are of invented sales of 80 SKUs, whose season the forecasts have seen once before; those of
real sales are held by `tests/assets/inventory/simulation/test_on_real_series.py`.
"""

import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta

import numpy as np
import polars as pl

from assets.inventory.buying.policies import Units
from assets.inventory.simulation.buyers import FixedPoint
from assets.inventory.simulation.comparison import CLASSIC, FIXED, FORECAST, FORESIGHT, TUNED, Plan, compare
from assets.inventory.simulation.forecasts import Forecasts, forecasts_of, weekly_rows
from assets.inventory.simulation.replay import replay
from assets.inventory.simulation.setting import Costs, LeadTimes, Panel, Scenario, panel_of, scenario
from benchmarks.measure import Measured, medians

PAIRS, REPEATS = 9, 20
REPLAY_TARGET = 8.0
SKUS, DAYS, REPLAYED = 120, 540, 230
FIRST = date(2025, 1, 6)
POINT = (10, 50)
LEADS = LeadTimes.between(7, 28, 15.4)
WEEKS, FORECAST_FROM, REPLAY_FROM = 128, 56, 96
COSTS = {
    "season": Costs(margin=0.65, holding=0.25, order=2, salvage=0.3),
    "thin-margin": Costs(margin=0.3, holding=0.5, order=2, lost=0.1),
    "kept-stock": Costs(margin=0.6, holding=0.25),
}
# Of the forecast's profit, for one of the other's; 1.05 where stock is so cheap that little is left to gain.
LEAST = {
    FIXED: {"season": 1.10, "thin-margin": 1.10, "kept-stock": 1.10},
    TUNED: {"season": 1.10, "thin-margin": 1.10, "kept-stock": 1.05},
    CLASSIC: {"season": 1.0, "thin-margin": 1.0, "kept-stock": 1.0},
    FORESIGHT: {"season": 0.75, "thin-margin": 0.75, "kept-stock": 0.85},
}


def run() -> Iterator[Measured]:
    """Time of a replay, and profits of the forecast's policy beside each other under three settings of costs."""
    of = _scenario()
    ours = replay(of, FixedPoint.of(*POINT))
    if (ours.sold[0] != _bare(of)).any():
        raise RuntimeError("the bare loop sells otherwise: their speeds cannot be compared")
    mine, reference = medians(
        lambda: _milliseconds(lambda: replay(of, FixedPoint.of(*POINT))),
        lambda: _milliseconds(lambda: _bare(of)),
        PAIRS,
    )
    yield Measured("simulation-replay", "ms", mine, reference, REPLAY_TARGET, "lower")
    rows = _sales()
    forecasts = _forecasts(panel_of(rows, Costs()))
    for name, costs in COSTS.items():
        found, _ = compare(
            panel_of(rows, costs),
            FIRST + timedelta(7 * REPLAY_FROM),
            FIRST + timedelta(7 * WEEKS),
            Plan(costs, LEADS),
            forecasts=forecasts,
        )
        profit = {one.policy: one.profit for one in found}
        for other, least in LEAST.items():
            yield Measured(
                f"simulation-{name}-{other}", "profit", profit[FORECAST], profit[other], least[name], "higher"
            )


def _scenario() -> Scenario:
    rng = np.random.default_rng(3)
    demand = rng.poisson(rng.gamma(1, 3, (SKUS, 1)) * rng.gamma(1, 1, (SKUS, DAYS))).astype(np.int64)
    ones = np.ones(SKUS)
    skus = tuple(map(str, range(SKUS)))
    panel = Panel(skus, FIRST, 1, demand, 10 * ones, 4 * ones, ones.astype(np.int64), 0 * ones.astype(np.int64))
    return scenario(panel, panel.day_of(DAYS - REPLAYED), panel.end, Costs(), LEADS)


def _bare(of: Scenario) -> Units:
    """Units sold: no more than a loop over the days."""
    demand = of.panel.demand[:, of.begin : of.end]
    everybody = np.arange(SKUS)
    on_hand, position = of.start.copy(), of.start.copy()
    coming = np.zeros((of.steps + 29, SKUS), dtype=np.int64)
    sold = np.zeros(SKUS, dtype=np.int64)
    for day in range(of.steps):
        on_hand += coming[day]
        if not day % 7:
            order = np.where(position <= POINT[0], POINT[1] - position, 0)
            coming[day + of.leads[:, day // 7], everybody] += order
            position += order
        taken = np.minimum(on_hand, demand[:, day])
        on_hand -= taken
        position -= taken
        sold += taken
    return sold


def _sales() -> pl.DataFrame:
    """Days of all kinds of demand, with a season of gifts at each year's end."""
    rng = np.random.default_rng(11)
    days = np.arange(7 * WEEKS)
    year = np.array([(FIRST + timedelta(int(day))).timetuple().tm_yday for day in days])
    season = 1 + 1.2 * np.exp(-(((year - 340) / 25) ** 2))
    frames = []
    for number in range(80):
        rate = float(rng.gamma(0.7, 4)) + 0.05
        buys = rng.random(len(days)) < min(0.9, 0.08 * (1 + number % 8))
        units = rng.negative_binomial(1.5, 1.5 / (1.5 + rate * season)) * buys
        price = float(rng.uniform(2, 30))
        frames.append(
            pl.DataFrame({"unique_id": f"sku-{number}", "day": days, "y": units, "price": price}).select(
                "unique_id", pl.lit(FIRST).dt.offset_by(pl.format("{}d", "day")).alias("ds"), "y", "price"
            )
        )
    return pl.concat(frames)


def _forecasts(panel: Panel) -> Forecasts:
    from assets.forecasting.evaluate import rolling_forecasts

    weekly = weekly_rows(panel)
    cutoffs = sorted(weekly["ds"].unique())[FORECAST_FROM:-1]
    return forecasts_of(rolling_forecasts(weekly, freq="W-MON", horizon=8, cutoffs=cutoffs), panel.skus)


def _milliseconds(work: Callable[[], object]) -> float:
    """Of one, from many: a single one is over before the clock is worth reading."""
    began = time.perf_counter()
    for _ in range(REPEATS):
        work()
    return (time.perf_counter() - began) / REPEATS * 1000
