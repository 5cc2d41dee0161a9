"""Bounds of O'Brien and Fleming's spending against published ones, and what they do to tests that are looked at ten times."""

from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal, norm

from assets.marketing.experiments.comparisons import Floats, pooled_z
from assets.marketing.experiments.errors import ExperimentError
from assets.marketing.experiments.sequential import (
    bounds,
    crossing,
    drift_for,
    equal_looks,
    nominal_alpha,
    power,
    sequential_p,
    spent,
)

# Lan-DeMets bounds of O'Brien-Fleming type, two-sided .05, equal looks, as Reboussin, DeMets, Kim & Lan's program prints them.
PUBLISHED = {
    2: (2.963, 1.969),
    3: (3.710, 2.511, 1.993),
    4: (4.333, 2.963, 2.359, 2.014),
    5: (4.877, 3.357, 2.680, 2.290, 2.031),
}
SIMULATIONS = 20_000
LOOKS = 10
INFORMATION = equal_looks(LOOKS)


@pytest.mark.parametrize("looks", PUBLISHED)
def test_bounds_are_the_published_ones(looks: int) -> None:
    assert bounds(0.05, equal_looks(looks)) == pytest.approx(PUBLISHED[looks], abs=1e-3)


def test_bounds_at_unequal_looks_are_those_of_ldbounds() -> None:
    assert bounds(0.05, (0.1, 0.33, 1.0)) == pytest.approx((6.9913, 3.7308, 1.9605), abs=1e-3)


@pytest.mark.parametrize("looks", range(2, 11))
def test_at_each_look_the_chance_of_having_stopped_is_what_was_to_be_spent(looks: int) -> None:
    # The chance is integrated here in as many dimensions as there were looks, not look by look.
    information = np.array(equal_looks(looks))
    limits = np.array(bounds(0.05, information.tolist()))
    covariance = np.sqrt(np.minimum.outer(information, information) / np.maximum.outer(information, information))
    for look in range(2, looks + 1):
        cdf: Any = multivariate_normal.cdf
        within = cdf(
            limits[:look],
            mean=np.zeros(look),
            cov=covariance[:look, :look],
            lower_limit=-limits[:look],
            rng=np.random.default_rng(look),
        )
        # A bound that is .001 off changes this by .0001.
        assert 1 - float(within) == pytest.approx(spent(0.05, information[look - 1]), abs=6e-5)


def test_all_of_alpha_is_spent_at_the_end() -> None:
    assert spent(0.05, 1.0) == pytest.approx(0.05)
    upper, lower = crossing(bounds(0.05, INFORMATION), INFORMATION, 0.0)
    assert upper == pytest.approx(lower)
    assert (upper + lower).cumsum() == pytest.approx([spent(0.05, share) for share in INFORMATION], rel=1e-6)


def test_one_look_is_the_ordinary_test() -> None:
    assert bounds(0.05, (1.0,)) == pytest.approx((1.959964,), abs=1e-6)
    assert sequential_p(2.5, (1.0,), 1) == pytest.approx(2 * norm.sf(2.5))
    assert nominal_alpha(0.05, (1.0,), 1) == pytest.approx(0.05)
    assert drift_for(0.05, (1.0,), 0.8) == pytest.approx(norm.isf(0.025) + norm.isf(0.2), abs=1e-4)


@given(st.floats(0, 6), st.integers(1, 6), st.sampled_from([0.01, 0.05, 0.2]))
@settings(max_examples=60, deadline=None)
def test_a_p_over_looks_is_below_alpha_exactly_where_the_bound_is_reached(z: float, look: int, alpha: float) -> None:
    information = equal_looks(6)
    limit = bounds(alpha, information)[look - 1]
    p = sequential_p(z, information, look)
    assert 0 < p <= 1
    if abs(z - limit) > 1e-5:
        assert (p < alpha) == (z > limit)


@given(st.floats(0, 5), st.floats(0.05, 2), st.integers(1, 5))
@settings(max_examples=40, deadline=None)
def test_more_is_never_less_significant(z: float, more: float, look: int) -> None:
    information = equal_looks(5)
    assert sequential_p(z + more, information, look) <= sequential_p(z, information, look) * (1 + 1e-6)
    assert sequential_p(-z, information, look) == sequential_p(z, information, look)


@lru_cache(maxsize=2)
def simulated(lift: float, seed: int) -> Floats:
    """z at each look, (simulations, looks): 1,000 people per arm and look, a rate of a tenth and its lift."""
    rng = np.random.default_rng(seed)
    shape, n = (SIMULATIONS, LOOKS), 1000 * np.arange(1, LOOKS + 1)
    control, treated = (rng.binomial(1000, rate, shape).cumsum(axis=1) for rate in (0.1, 0.1 + lift))
    return pooled_z(treated, n, control, n)


def found(z: Floats, limits: tuple[float, ...] | float) -> float:
    return float((np.abs(z) >= np.asarray(limits)).any(axis=1).mean())


def test_looked_at_ten_times_one_in_twenty_tests_without_a_difference_finds_one() -> None:
    assert 0.045 <= found(simulated(0.0, 1), bounds(0.05, INFORMATION)) <= 0.055


def test_looking_ten_times_with_the_ordinary_test_finds_one_in_five() -> None:
    # The same simulations, so that it is known that they would notice bounds that are too low.
    z = simulated(0.0, 1)
    assert found(z, 1.96) > 0.17
    assert found(z[:, -1:], 1.96) == pytest.approx(0.05, abs=0.005)
    assert found(z, tuple(0.95 * limit for limit in bounds(0.05, INFORMATION))) > 0.055


def test_little_power_is_lost_against_the_test_that_is_looked_at_once() -> None:
    # The lift that 10,000 people per arm find in four of five tests.
    lift = 0.012208
    z = simulated(lift, 2)
    assert found(z[:, -1:], 1.959964) == pytest.approx(0.80, abs=0.01)
    limits = bounds(0.05, INFORMATION)
    sequential = float((z >= np.asarray(limits)).any(axis=1).mean())
    assert sequential >= 0.77
    assert sequential == pytest.approx(power(limits, INFORMATION, float(norm.isf(0.025) + norm.isf(0.2))), abs=0.01)
    reached = np.abs(z) >= np.asarray(limits)
    stopped = np.where(reached.any(axis=1), reached.argmax(axis=1) + 1, LOOKS)
    assert stopped.mean() / LOOKS < 0.85


@pytest.mark.parametrize("information", [(), (0.5, 0.5), (0.5, 0.4), (0.5, 1.2), (0.0, 1.0)])
def test_looks_that_are_no_plan_are_refused(information: tuple[float, ...]) -> None:
    with pytest.raises(ExperimentError, match="no plan"):
        bounds(0.05, information)


def test_looks_and_alphas_that_cannot_be_are_refused() -> None:
    with pytest.raises(ExperimentError, match="0 looks"):
        equal_looks(0)
    with pytest.raises(ExperimentError, match="51 looks"):
        equal_looks(51)
    with pytest.raises(ExperimentError, match="alpha is 1"):
        bounds(1, (1.0,))
    with pytest.raises(ExperimentError, match="look 3 is not one of the 2"):
        sequential_p(1.0, (0.5, 1.0), 3)
