"""Policies in numbers, beside Stockpyl's formulas. Does not belong here: what they earn on a real history."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stockpyl import loss_functions

from assets.inventory.buying.policies import (
    InvalidPolicy,
    conformal_quantile,
    demand_classes,
    economic_order_quantity,
    error_sigma,
    factor_for_cycles,
    factor_for_fill,
    gamma_loss,
    in_lots,
    level_for_fill_of_gamma,
    normal_loss,
    order_up_to_level,
    protection_sigma,
    reorder_in_lots,
    reorder_to_level,
    whole_units,
)

units = st.integers(0, 10_000)


def test_a_fixed_point_orders_at_it_and_not_above() -> None:
    assert reorder_to_level([9, 10, 11], 10, 50).tolist() == [41, 40, 0]


def test_an_order_up_to_level_rounds_up() -> None:
    assert order_up_to_level([3, 20], [12.2, 12.2]).tolist() == [10, 0]


def test_twelve_and_a_rounding_error_are_twelve() -> None:
    assert whole_units([12.000000000000002, 12.1]).tolist() == [12, 13]


@given(position=units, point=units, lot=st.integers(1, 500))
def test_lots_lift_the_position_just_above_the_point(position: int, point: int, lot: int) -> None:
    ordered = int(reorder_in_lots(position, point, lot))
    assert ordered % lot == 0
    assert position + ordered > point
    assert ordered == 0 or position + ordered - lot <= point


@given(wanted=units, multiple=st.integers(1, 60), least=st.integers(0, 300))
def test_an_order_is_whole_multiples_and_no_less_than_the_least(wanted: int, multiple: int, least: int) -> None:
    ordered = int(in_lots(wanted, multiple, least))
    assert ordered % multiple == 0
    assert (ordered == 0) == (wanted == 0)
    assert ordered == 0 or max(wanted, least) <= ordered < max(wanted, least) + multiple


def test_the_economic_order_quantity_is_stockpyls() -> None:
    from stockpyl.eoq import economic_order_quantity as theirs

    assert economic_order_quantity(1300, 8, 0.225) == pytest.approx(theirs(8, 0.225, 1300)[0])
    assert economic_order_quantity([0, 5, 5], [3, 0, 3], [1, 1, 0]).tolist() == [0, 0, np.inf]


@given(
    mean=st.floats(10, 5000),
    sd=st.floats(1, 500),
    lead=st.floats(0.05, 2),
    holding=st.floats(0.1, 5),
    cost=st.floats(1, 90),
)
def test_a_reorder_point_and_its_lot_are_stockpyls_r_q_policy(
    mean: float, sd: float, lead: float, holding: float, cost: float
) -> None:
    """Its approximation by economic order quantity and safety stock, where a unit short costs nine times its holding."""
    from stockpyl.rq import r_q_eoqss_approximation

    point, lot = r_q_eoqss_approximation(holding, 9 * holding, cost, mean, sd, lead)[:2]
    assert mean * lead + factor_for_cycles(0.9) * sd * np.sqrt(lead) == pytest.approx(point)
    assert economic_order_quantity(mean, cost, holding) == pytest.approx(lot)


def test_a_forecast_that_is_always_right_needs_no_safety_stock_whatever_the_season() -> None:
    season = np.array([[10.0], [200.0], [30.0]])
    assert error_sigma(season, season).tolist() == [0]
    assert error_sigma(season, season - 5).tolist() == [5]


def test_the_lead_times_spread_adds_to_the_forecasts_error() -> None:
    assert protection_sigma([3.0], [4.0], 1.0) == pytest.approx([5.0])


@given(st.floats(-4, 6))
def test_the_normal_loss_is_stockpyls(z: float) -> None:
    assert float(normal_loss(z)) == pytest.approx(loss_functions.standard_normal_loss(z)[0], abs=1e-9)


@given(level=st.floats(0.01, 200), mean=st.floats(0.1, 60), variation=st.floats(0.2, 2.5))
def test_the_gamma_loss_is_stockpyls(level: float, mean: float, variation: float) -> None:
    sd = mean * variation
    theirs = loss_functions.gamma_loss(level, 1 / variation**2, sd * variation)[0]
    assert float(gamma_loss(level, mean, sd)) == pytest.approx(theirs, abs=1e-7 * max(mean, 1))


def test_the_gamma_loss_of_certain_demand_is_what_is_missing() -> None:
    assert gamma_loss([0, 3, 9], [5, 5, 5], 0).tolist() == [5, 2, 0]


@given(fill=st.floats(0.5, 0.999), sigma=st.floats(0.5, 80), demand=st.floats(1, 200))
def test_the_factor_for_a_fill_rate_leaves_that_share_short(fill: float, sigma: float, demand: float) -> None:
    z = float(factor_for_fill(fill, sigma, demand))
    short = sigma * float(normal_loss(z))
    assert short <= (1 - fill) * demand * (1 + 1e-9)
    assert z <= -4 + 1e-9 or short == pytest.approx((1 - fill) * demand, rel=1e-6)


@given(fill=st.floats(0.5, 0.999), mean=st.floats(0.5, 80), variation=st.floats(0.2, 2.5))
def test_the_level_for_a_fill_rate_of_gamma_demand_leaves_that_share_short(
    fill: float, mean: float, variation: float
) -> None:
    level = float(level_for_fill_of_gamma(fill, mean, mean * variation, mean))
    assert float(gamma_loss(level, mean, mean * variation)) == pytest.approx((1 - fill) * mean, rel=1e-5)


def test_a_fill_rate_needs_less_stock_than_the_same_share_of_cycles() -> None:
    assert factor_for_fill(0.95, 10, 50) < factor_for_cycles(0.95)


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=60), st.floats(0.05, 0.95))
def test_a_conformal_quantile_covers_its_share_of_the_scores(scores: list[float], level: float) -> None:
    found = float(conformal_quantile(scores, level))
    assert found in scores
    assert np.mean(np.array(scores) <= found) >= min(level * (1 + 1 / len(scores)), 1) - 1e-9


def test_weights_count_scores() -> None:
    assert conformal_quantile([1, 2, 3, 4], 0.5, [0, 0, 0, 9]) == 4


def test_classes_of_demand_by_interval_and_variation() -> None:
    steady, wild = [5] * 12, [1, 30] * 6
    rare, rare_and_wild = [0, 0, 5] * 4, [0, 0, 1, 0, 0, 30] * 2
    found = demand_classes([steady, wild, rare, rare_and_wild, [0] * 12])
    assert found.tolist() == ["smooth", "erratic", "intermittent", "lumpy", "lumpy"]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda: factor_for_cycles(95), "0.95, not 95"),
        (lambda: factor_for_fill(1.0, 1, 1), "fill rate is a share"),
        (lambda: in_lots(5, 0), "multiple is 1 or more"),
        (lambda: reorder_in_lots(1, 2, 0), "1 unit or more"),
        (lambda: conformal_quantile([], 0.5), "at least one score"),
        (lambda: protection_sigma(1, 1, -1), "0 or more"),
    ],
)
def test_numbers_that_no_policy_can_have_are_refused(wrong, says: str) -> None:
    with pytest.raises(InvalidPolicy, match=says):
        wrong()
