"""The season's order, beside Stockpyl and by trying every quantity."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtri
from stockpyl import newsvendor

from assets.inventory.buying.newsvendor import (
    LEVELS,
    Economics,
    normal_quantity,
    poisson_quantity,
    quantile_function,
    season_buy,
)
from assets.inventory.buying.policies import InvalidPolicy

BAG = Economics(price=1299.99, cost=650, salvage=390)


def test_the_textbooks_example_is_reproduced() -> None:
    quantity, cost = normal_quantity(120, 10, under=18, over=2)
    assert (quantity, cost) == (pytest.approx(132.8155, abs=1e-4), pytest.approx(35.0997, abs=1e-4))


def test_example_4_3_of_snyder_and_shen_is_reproduced() -> None:
    quantity, cost = normal_quantity(50, 8, under=0.70, over=0.18)
    assert (quantity, cost) == (pytest.approx(56.6040, abs=1e-4), pytest.approx(1.9976, abs=1e-4))


@given(mean=st.floats(1, 500), sd=st.floats(0.1, 100), under=st.floats(0.1, 90), over=st.floats(0.1, 90))
def test_normal_quantities_and_costs_are_stockpyls(mean: float, sd: float, under: float, over: float) -> None:
    theirs = newsvendor.newsvendor_normal(over, under, mean, sd)
    assert normal_quantity(mean, sd, under, over) == pytest.approx([float(one) for one in theirs], rel=1e-6, abs=1e-6)


@given(mean=st.floats(0.05, 120), under=st.floats(0.5, 50), over=st.floats(0.5, 50))
def test_poisson_quantities_and_costs_are_stockpyls(mean: float, under: float, over: float) -> None:
    theirs = newsvendor.newsvendor_poisson(over, under, mean)
    assert poisson_quantity(mean, under, over) == pytest.approx([float(one) for one in theirs], rel=1e-6, abs=1e-6)


@given(mean=st.floats(0.5, 40), under=st.floats(1, 50), over=st.floats(0.5, 10))
def test_without_a_cost_of_ordering_the_best_level_of_stockpyls_s_s_policy_is_the_poisson_quantity(
    mean: float, under: float, over: float
) -> None:
    from stockpyl.ss import s_s_discrete_exact

    _, level, _ = s_s_discrete_exact(over, under, 1e-9, use_poisson=True, demand_mean=mean)
    assert poisson_quantity(mean, under, over)[0] == level


def test_a_brand_that_destroys_what_is_left_buys_less() -> None:
    quantiles = [10, 20, 40, 70, 90]
    destroyed = Economics(price=1300, cost=650)
    assert destroyed.critical_ratio == 0.5
    assert pytest.approx(0.714, abs=1e-3) == BAG.critical_ratio
    assert season_buy(quantiles, destroyed).quantity == 40
    assert season_buy(quantiles, BAG).quantity > 40


def test_quantiles_of_a_normal_forecast_give_the_normal_quantity() -> None:
    quantiles = [120 + 10 * float(ndtri(level)) for level in LEVELS]
    bought = season_buy(quantiles, Economics(price=20, cost=2))
    exact, cost = normal_quantity(120, 10, 18, 2)
    assert abs(bought.quantity - exact) <= 1
    assert bought.expected_profit == pytest.approx(18 * 120 - cost, rel=1e-3)


@given(
    steps=st.lists(st.floats(0, 40), min_size=5, max_size=5),
    margin=st.floats(0.05, 0.95),
    salvage=st.floats(0, 0.9),
    multiple=st.integers(1, 12),
    least=st.integers(0, 60),
)
def test_no_other_lot_is_expected_to_earn_more(
    steps: list[float], margin: float, salvage: float, multiple: int, least: int
) -> None:
    quantiles = np.cumsum(steps).tolist()
    cost = 100 * (1 - margin)
    economics = Economics(price=100, cost=cost, salvage=cost * salvage)
    bought = season_buy(quantiles, economics, order_multiple=multiple, min_order_quantity=least)
    demand = quantile_function(quantiles, (np.arange(2000) + 0.5) / 2000)
    first = -(-max(least, 1) // multiple) * multiple
    offers = np.array([0, *range(first, int(demand.max()) + 2 * multiple + first, multiple)])
    sold = np.minimum(demand, offers[:, None]).mean(axis=1)
    profits = 100 * sold + cost * salvage * (offers - sold) - cost * offers
    assert bought.quantity in offers
    # The quantile function is summed up in slices, which a quantile at its corner can miss by one slice.
    assert bought.expected_profit >= profits.max() - 0.002 * max(profits.max(), 1)
    assert bought.expected_sold + bought.expected_left == pytest.approx(bought.quantity)


def test_a_least_order_far_above_the_demand_is_not_bought() -> None:
    assert season_buy([0, 0, 1, 2, 3], BAG, min_order_quantity=50).quantity == 0


def test_an_item_that_nobody_will_want_is_not_bought() -> None:
    bought = season_buy([0, 0, 0, 0, 0], BAG)
    assert (bought.quantity, bought.expected_profit) == (0, 0)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda: Economics(price=5, cost=6), "price 5 is not above cost 6"),
        (lambda: Economics(price=9, cost=6, salvage=6), "salvage 6 is not below cost 6"),
        (lambda: Economics(price=9, cost=6, goodwill=-1), "goodwill"),
        (lambda: Economics(price=float("nan"), cost=6), "finite"),
        (lambda: season_buy([5, 4, 3, 2, 1], BAG), "quantiles rise"),
        (lambda: season_buy([1, 2], BAG), "2 quantiles for 5 levels"),
        (lambda: normal_quantity(5, -1, 1, 1), "0 or more"),
    ],
)
def test_numbers_that_decide_nothing_are_refused(wrong, says: str) -> None:
    with pytest.raises(InvalidPolicy, match=says):
        wrong()
