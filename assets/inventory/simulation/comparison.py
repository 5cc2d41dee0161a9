"""Policies beside each other: each replayed over the same days, with the same luck, and what it is measured by.

Here: which policies there are, how each is set before the replay, and the figures. Not here: files and tables for people.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, timedelta
from typing import Any

import polars as pl

from assets.inventory.simulation.buyers import FixedPoint
from assets.inventory.simulation.calibration import (
    Aim,
    tuned_fixed_point,
    tuned_forecast_based,
    tuned_moving_average,
)
from assets.inventory.simulation.forecasts import Forecasts, forecasts_of, weekly_rows
from assets.inventory.simulation.foresight import perfect_foresight
from assets.inventory.simulation.replay import Buyer, Outcome, replay
from assets.inventory.simulation.setting import (
    DAYS,
    Costs,
    LeadTimes,
    Panel,
    Scenario,
    SimulationError,
    names,
    scenario,
)

FORECAST, CLASSIC, TUNED, FIXED, FORESIGHT = POLICIES = ("forecast", "classic", "fixed-tuned", "fixed", "foresight")
SEED_POINT = (10, 50)
LEAST_PAST_WEEKS = 6


_HORIZON = 8
# Forecasts before the weeks on which settings are chosen, so that their errors are known there.
_WEEKS_OF_ERRORS = 16
_LEAST_WEEKS_TO_FORECAST = 13


@dataclass(frozen=True)
class Plan:
    """What is compared, and how. past_weeks: weeks before the replay on which settings are chosen."""

    costs: Costs
    lead_times: LeadTimes
    review_days: int = DAYS
    start_weeks: float = 4.0
    seed: int = 0
    past_weeks: int = 26
    aim: Aim = field(default_factory=Aim)
    fixed: tuple[int, int] = SEED_POINT


@dataclass(frozen=True)
class Result:
    """Figures of one policy. Shares are of 1, amounts in the unit of the price, stock is what was there at the ends of steps.

    stock_outs: share of SKU-steps in which a sale was lost. empty: share that ended with nothing on hand. written_off: units,
    and write_off what was lost on them. of_foresight: share of the profit of perfect foresight, if that was asked for.
    """

    policy: str
    settings: str
    fill_rate: float
    sku_fill_rate: float
    stock_outs: float
    empty: float
    weeks_of_cover: float
    stock_units: float
    stock_value: float
    written_off: int
    write_off: float
    orders: int
    profit: float
    of_foresight: float | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def compare(
    panel: Panel,
    begin: date,
    end: date,
    plan: Plan,
    policies: Sequence[str] = POLICIES,
    forecasts: Forecasts | None = None,
    tell: Callable[[str], None] = lambda stage: None,
) -> tuple[list[Result], pl.DataFrame]:
    """Figures of each policy over the days from begin to before end, in the order given; and of each policy and SKU.

    Raises SimulationError for a policy that there is not, and for forecasts that begin too late.
    """
    for name in policies:
        if name not in POLICIES:
            raise SimulationError(f"there is no policy {name!r}: choose {names(POLICIES)}")
    replayed = _scenario(panel, begin, end, plan, plan.seed)
    past = _past(panel, begin, plan, forecasts if FORECAST in policies else None)
    outcomes: list[tuple[str, str, Outcome]] = []
    for name in policies:
        tell(name)
        buyer, settings = _buyer(name, past, replayed, plan, forecasts)
        outcomes.append((name, settings, replay(replayed, buyer, forecasts if name == FORECAST else None)))
    best = next((float(o.profit().sum()) for name, _, o in outcomes if name == FORESIGHT), None)
    results = [result(name, settings, outcome, best) for name, settings, outcome in outcomes]
    return results, pl.concat([by_sku(name, outcome) for name, _, outcome in outcomes])


def result(policy: str, settings: str, outcome: Outcome, best: float | None = None) -> Result:
    """The figures of an outcome of one variant. best: the profit of perfect foresight."""
    of = outcome.scenario
    cost, steps = of.panel.unit_cost, of.steps
    demand, sold, stock = outcome.demand[0], outcome.sold[0], outcome.stock[0] / steps
    wanted = demand > 0
    per_week = demand.sum() / (steps * of.panel.step_days / DAYS)
    profit = float(outcome.profit().sum())
    return Result(
        policy=policy,
        settings=settings,
        fill_rate=float(outcome.fill_rate()[0]),
        sku_fill_rate=float((sold[wanted] / demand[wanted]).mean()) if wanted.any() else 1.0,
        stock_outs=float(outcome.short_steps[0].mean() / steps),
        empty=float(outcome.empty_steps[0].mean() / steps),
        weeks_of_cover=float(stock.sum() / per_week) if per_week else 0.0,
        stock_units=float(stock.sum()),
        stock_value=float(stock @ cost),
        written_off=int(outcome.written_off[0].sum()),
        write_off=float(outcome.written_off[0] @ cost) * (1 - (of.costs.salvage or 0.0)),
        orders=int(outcome.orders[0].sum()),
        profit=profit,
        of_foresight=profit / best if best else None,
    )


def by_sku(policy: str, outcome: Outcome) -> pl.DataFrame:
    """A row a SKU: policy, unique_id, and what became of it (units, orders, profit)."""
    columns = {
        "start": outcome.scenario.start,
        "demand": outcome.demand[0],
        "sold": outcome.sold[0],
        "lost": outcome.lost[0],
        "received": outcome.received[0],
        "left": outcome.left[0],
        "written_off": outcome.written_off[0],
        "under_way": outcome.under_way[0],
        "mean_stock": outcome.stock[0] / outcome.scenario.steps,
        "short_steps": outcome.short_steps[0],
        "orders": outcome.orders[0],
        "profit": outcome.profit()[0],
    }
    return pl.DataFrame({"policy": policy, "unique_id": outcome.scenario.panel.skus, **columns})


def past_begin(panel: Panel, begin: date, weeks: int) -> date:
    """Where the weeks on which settings are chosen begin: half of the history stays before them to learn from, at least."""
    known = (begin - panel.first_day).days // DAYS
    return begin - timedelta(DAYS * min(weeks, known // 2))


def forecasts_for(
    panel: Panel, begin: date, end: date, past_weeks: int, progress: Callable[[int, int], None] | None = None
) -> Forecasts:
    """Forecasts of every week that a replay from `begin` to before `end` and the choice of settings before it look at.

    Each is made of the weeks before it alone, by `evaluate.rolling_forecasts`.
    """
    from assets.forecasting.evaluate import rolling_forecasts

    weekly = weekly_rows(panel)
    first = past_begin(panel, begin, past_weeks) - timedelta(DAYS * _WEEKS_OF_ERRORS)
    mondays = sorted(weekly["ds"].unique())[_LEAST_WEEKS_TO_FORECAST - 1 :]
    cutoffs = [monday for monday in mondays if first <= monday and monday + timedelta(DAYS) < end]
    made = rolling_forecasts(weekly, freq="W-MON", horizon=_HORIZON, cutoffs=cutoffs, progress=progress)
    return forecasts_of(made, panel.skus)


def _past(panel: Panel, begin: date, plan: Plan, forecasts: Forecasts | None) -> Scenario:
    first = past_begin(panel, begin, plan.past_weeks)
    if forecasts is not None:
        known = forecasts.first_day(0)
        if known > begin:
            raise SimulationError(
                f"the first forecast is of {known}, after the replay's first day {begin}: forecast from earlier cutoffs, or "
                "replay later days"
            )
        first = max(first, known)
    # In whole reviews before the replay, so that both are looked at on the same days of the week.
    reviews = (begin - first).days // plan.review_days
    first = begin - timedelta(reviews * plan.review_days)
    if (begin - first).days < LEAST_PAST_WEEKS * DAYS:
        raise SimulationError(
            f"only {(begin - first).days // DAYS} weeks before {begin} can be simulated to choose settings, and "
            f"{LEAST_PAST_WEEKS} are needed: replay later days, or give forecasts from earlier cutoffs"
        )
    return _scenario(panel, first, begin, plan, plan.seed + 1)


def _scenario(panel: Panel, begin: date, end: date, plan: Plan, seed: int) -> Scenario:
    return scenario(
        panel,
        begin,
        end,
        plan.costs,
        plan.lead_times,
        review_days=plan.review_days,
        start_weeks=plan.start_weeks,
        seed=seed,
    )


def _buyer(name: str, past: Scenario, replayed: Scenario, plan: Plan, forecasts: Forecasts | None) -> tuple[Buyer, str]:
    """A buyer of this name, set by the past, and its settings in words."""
    if name == FIXED:
        return FixedPoint.of(*plan.fixed), "at {} up to {}".format(*plan.fixed)
    if name == TUNED:
        fixed = tuned_fixed_point(past, plan.aim)
        return fixed, f"at {fixed.reorder_point[0, 0]} up to {fixed.order_up_to[0, 0]}"
    if name == CLASSIC:
        classic = tuned_moving_average(past, plan.aim)
        return classic, f"{classic.weeks[0, 0]} weeks, z {classic.z[0, 0]:g}"
    if name == FORECAST:
        buyer, chosen = tuned_forecast_based(past, replayed, plan.aim, forecasts)
        return buyer, "; ".join(_in_words(kind, *settings) for kind, settings in chosen.items())
    return perfect_foresight(replayed), "knows all demand and lead times"


def _in_words(kind: str, level: float, pooled: bool, lots: float) -> str:
    return f"{kind} {level:g} {'pooled' if pooled else 'own error'}{f' + {lots:g} lots' if lots else ''}"
