"""What must hold in every replay, whatever the history and the buyer. Does not belong here: how much a policy earns."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.inventory.buying.policies import Units
from assets.inventory.simulation.buyers import FixedPoint
from assets.inventory.simulation.foresight import perfect_foresight
from assets.inventory.simulation.replay import Outcome, Seen, replay
from assets.inventory.simulation.setting import Costs, LeadTimes, Scenario
from tests.assets.inventory.simulation.histories import MONDAY, buyers, panel, scenarios, weekly_forecasts


def run(of: Scenario, name: str) -> Outcome:
    return replay(of, buyers(of)[name], weekly_forecasts(of.panel))


@pytest.mark.parametrize("name", ["fixed", "mean", "forecast"])
@settings(deadline=None, max_examples=40)
@given(of=scenarios())
def test_no_unit_appears_or_disappears(name: str, of: Scenario) -> None:
    outcome = run(of, name)
    assert (of.start + outcome.received == outcome.sold + outcome.left + outcome.written_off).all()
    assert (outcome.ordered.sum(axis=2) == outcome.received + outcome.under_way).all()
    assert (outcome.sold <= outcome.demand).all()
    assert (outcome.left >= 0).all()


@pytest.mark.parametrize("name", ["fixed", "mean", "forecast"])
@settings(deadline=None, max_examples=40)
@given(of=scenarios())
def test_perfect_foresight_is_never_beaten(name: str, of: Scenario) -> None:
    best = replay(of, perfect_foresight(of)).profit()
    assert (run(of, name).profit() <= best + 1e-6).all()


@settings(deadline=None, max_examples=25)
@given(of=scenarios(skus=1), data=st.data())
def test_no_other_orders_earn_more_than_perfect_foresight(of: Scenario, data: st.DataObject) -> None:
    multiple, least = int(of.panel.order_multiple[0]), int(of.panel.min_order_quantity[0])
    sizes = st.just(0) | st.integers(1, 60).map(lambda n: -(-max(n, least) // multiple) * multiple)
    count = len(of.reviews)
    orders = np.array([data.draw(st.lists(sizes, min_size=count, max_size=count))])
    best = perfect_foresight(of)
    earned = replay(of, replace(best, orders=orders)).profit().sum()
    assert earned <= replay(of, best).profit().sum() + 1e-6


@settings(deadline=None, max_examples=40)
@given(of=scenarios())
def test_lots_and_least_orders_are_kept(of: Scenario) -> None:
    for name in buyers(of):
        ordered = run(of, name).ordered
        assert not (ordered % of.panel.order_multiple[:, None]).any()
        assert ((ordered == 0) | (ordered >= of.panel.min_order_quantity[:, None])).all()


class Watching:
    """A buyer that keeps what it was shown, and orders at random."""

    variants = 1

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.rng = np.random.default_rng(1)

    def wanted(self, seen: Seen) -> Units:
        self.seen.append(seen)
        return self.rng.integers(0, 12, seen.on_hand.shape)


@settings(deadline=None, max_examples=40)
@given(of=scenarios())
def test_the_position_counts_each_unit_once(of: Scenario) -> None:
    watching = Watching()
    outcome = replay(of, watching)
    for number, seen in enumerate(watching.seen):
        ordered = outcome.ordered[0, :, :number].sum(axis=1)
        # Stock and orders can only have been lessened by sales: start and orders less position were sold before.
        sold = of.start + ordered - seen.position[0]
        step = of.reviews[number]
        assert (sold >= 0).all()
        assert (sold <= of.panel.demand[:, of.begin : step].sum(axis=1)).all()
        assert (seen.on_order >= 0).all()


@settings(deadline=None, max_examples=40)
@given(of=scenarios())
def test_a_buyer_is_shown_the_days_before_alone_and_cannot_change_them(of: Scenario) -> None:
    watching = Watching()
    replay(of, watching, weekly_forecasts(of.panel))
    for seen in watching.seen:
        assert seen.history.shape[1] == (seen.day - of.panel.first_day).days
        assert not np.shares_memory(seen.history, of.panel.demand)
        assert seen.history.base is None
        assert seen.forecasts is not None
        assert seen.forecasts.mean.base is None
        assert all(cutoff + timedelta(7) <= seen.day for cutoff in seen.forecasts.cutoffs)


@pytest.mark.parametrize("name", ["fixed", "mean", "forecast"])
@settings(deadline=None, max_examples=40)
@given(of=scenarios(), on=st.integers(0, 27))
def test_a_spike_changes_no_order_of_its_day_or_before(name: str, of: Scenario, on: int) -> None:
    day = min(of.begin + on, of.end - 1)
    demand = of.panel.demand.copy()
    demand[:, day] += 1000
    spiked = replace(of, panel=replace(of.panel, demand=demand))
    before = [number for number, step in enumerate(of.reviews) if step <= day]
    assert (run(of, name).ordered[..., before] == run(spiked, name).ordered[..., before]).all()


def test_a_spike_does_change_later_orders() -> None:
    demand = np.full((1, 70), 2)
    quiet = scenario_of(demand)
    spiked = demand.copy()
    spiked[:, 50] += 100
    for name in ("mean", "forecast"):
        assert (run(quiet, name).ordered != run(scenario_of(spiked), name).ordered).any()


def scenario_of(demand: Any, *, lead: int = 7, start: int = 0, costs: Costs | None = None, begin: int = 42) -> Scenario:
    of = panel(demand)
    lead_times = LeadTimes.between(lead, lead)
    leads = lead_times.draw((len(of.skus), len(range(begin, of.demand.shape[1], 7))), 0)
    stock = np.full(len(of.skus), start)
    return Scenario(of, begin, of.demand.shape[1], 7, costs or Costs(), lead_times, leads, stock)


@pytest.mark.parametrize("name", ["fixed", "mean", "forecast"])
def test_without_demand_nothing_is_ordered_twice(name: str) -> None:
    outcome = run(scenario_of(np.zeros((2, 70))), name)
    assert (outcome.orders <= 1).all()


@settings(deadline=None, max_examples=30)
@given(of=scenarios())
def test_without_demand_nothing_is_ordered_twice_under_any_terms(of: Scenario) -> None:
    quiet = replace(of, panel=replace(of.panel, demand=np.zeros_like(of.panel.demand)))
    for name in buyers(of):
        assert (run(quiet, name).orders <= 1).all()


@settings(deadline=None, max_examples=20)
@given(of=scenarios())
def test_variants_side_by_side_do_what_each_does_alone(of: Scenario) -> None:
    pairs = [(0, 5), (10, 50), (30, 30)]
    together = replay(of, FixedPoint(np.array([[p] for p, _ in pairs]), np.array([[q] for _, q in pairs])))
    for number, pair in enumerate(pairs):
        alone = replay(of, FixedPoint.of(*pair))
        assert (together.ordered[number] == alone.ordered[0]).all()
        assert (together.profit()[number] == alone.profit()[0]).all()


def test_a_week_by_hand() -> None:
    """Stock 5, three wanted a day, at 10 or fewer up to 50, seven days of lead time."""
    outcome = replay(scenario_of(np.full((1, 56), 3), start=5), FixedPoint.of(10, 50))
    # Day 1 and 2 sell 3 and 2; the 45 ordered on day 1 are there on day 8, and then 3 a day are sold. On day 8 the position
    # is 45, above 10.
    assert outcome.ordered[0, 0].tolist() == [45, 0]
    assert (outcome.sold[0, 0], outcome.lost[0, 0]) == (5 + 7 * 3, 7 * 3 - 5)
    assert (outcome.left[0, 0], outcome.short_steps[0, 0], outcome.empty_steps[0, 0]) == (24, 6, 6)
    assert outcome.stock[0, 0] == 2 + sum(45 - 3 * n for n in range(1, 8))
    costs = 10 * 26 - 4 * (26 + 24) + 4 * 24 - 4 * 0.25 / 365 * outcome.stock[0, 0]
    assert outcome.profit()[0, 0] == pytest.approx(costs)


def test_what_is_under_way_at_a_seasons_end_is_written_off_too() -> None:
    of = scenario_of(np.full((1, 60), 3), lead=14, start=5, costs=Costs(salvage=0.25, holding=0))
    outcome = replay(of, FixedPoint.of(10, 50))
    assert outcome.ordered[0, 0].tolist() == [45, 0, 0]
    assert (outcome.received[0, 0], outcome.sold[0, 0], outcome.written_off[0, 0]) == (45, 5 + 12, 50 - 17)
    assert outcome.profit()[0, 0] == 10 * 17 - 4 * 50 + 0.25 * 4 * 33


def test_nothing_is_ordered_that_can_only_arrive_after_a_seasons_end() -> None:
    of = scenario_of(np.full((1, 49), 3), lead=7, costs=Costs(salvage=0.25))
    assert not replay(of, FixedPoint.of(10, 50)).ordered.any()


def test_stockpyl_holds_the_same_stock_where_no_sale_is_lost() -> None:
    """An (s, S) node that looks every period, with a lead time of two periods."""
    from stockpyl.sim import simulation
    from stockpyl.supply_chain_network import single_stage_system

    rng = np.random.default_rng(5)
    demand = rng.integers(0, 9, (1, 100))
    network = single_stage_system(
        demand_type="D",
        demand_list=demand[0].tolist(),
        shipment_lead_time=2,
        policy_type="sS",
        reorder_point=40,
        order_up_to_level=70,
        initial_inventory_level=70,
        holding_cost=1,
        stockout_cost=1,
    )
    simulation(network, 100, rand_seed=1, progress_bar=False)
    theirs = [next(iter(network.nodes[0].state_vars[t].inventory_level.values())) for t in range(100)]
    # Stockpyl orders at the end of a period, which is the beginning of the next here: a period of lead time less.
    of = panel(np.concatenate([np.zeros((1, 1)), demand], axis=1))
    leads = np.ones((1, 100), dtype=np.int64)
    ours = Scenario(of, 1, 101, 1, Costs(), LeadTimes.between(1, 1), leads, np.array([70]))
    recording = Recording(FixedPoint.of(40, 70))
    outcome = replay(ours, recording)
    assert not outcome.lost.any()
    assert outcome.orders[0, 0] > 5
    assert [int(seen.on_hand[0, 0]) - int(d) for seen, d in zip(recording.seen, demand[0], strict=True)] == theirs


class Recording:
    variants = 1

    def __init__(self, buyer: FixedPoint) -> None:
        self.buyer = buyer
        self.seen: list[Seen] = []

    def wanted(self, seen: Seen) -> Units:
        self.seen.append(seen)
        return self.buyer.wanted(seen)


def test_lead_times_are_the_same_for_the_same_seed_and_others_for_another() -> None:
    times = LeadTimes.parse("7-28:15.4")
    assert (times.draw((50, 9), 3) == times.draw((50, 9), 3)).all()
    assert (times.draw((50, 9), 3) != times.draw((50, 9), 4)).any()
    drawn = times.draw((400, 200), 1)
    assert (drawn.min(), drawn.max()) == (7, 28)
    assert drawn.mean() == pytest.approx(times.mean, abs=0.1)
    assert drawn.std() == pytest.approx(times.sd, abs=0.1)
    assert times.mean == pytest.approx(15.4)


def test_an_order_is_late_by_its_own_lead_time_and_one_may_overtake_another() -> None:
    of = scenario_of(np.zeros((1, 70)))
    of = replace(of, leads=np.array([[21, 7, 7, 7]]), panel=of.panel)
    watching = Watching()
    outcome = replay(of, watching)
    first, second, third, _ = outcome.ordered[0, 0].tolist()
    on_hand = [int(seen.on_hand[0, 0]) for seen in watching.seen]
    assert on_hand == [0, 0, second, second + third + first]
    assert watching.seen[0].day == MONDAY + timedelta(42)
