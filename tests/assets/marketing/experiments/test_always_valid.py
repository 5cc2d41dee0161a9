"""Intervals that hold at every moment."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.marketing.experiments.always_valid import always_valid_p, radius, rho_for
from assets.marketing.experiments.errors import ExperimentError


def test_the_formula_by_hand() -> None:
    # n = 400, sd of a unit 2 (error .1), rho = .1: known = 4, sqrt(2 * 5/4 * log(sqrt(5)/.05)) = sqrt(2.5 * 3.80045).
    assert radius(0.1, 400, 0.1, 0.05) == pytest.approx(0.1 * math.sqrt(2.5 * math.log(math.sqrt(5) / 0.05)))
    assert radius(0.1, 400, 0.1, 0.05) == pytest.approx(0.308239, abs=1e-6)


def test_rho_makes_the_interval_narrowest_where_it_was_planned_to_be() -> None:
    rho = rho_for(10_000, 0.05)
    there = radius(0.01, 10_000, rho, 0.05)
    others = [radius(0.01, 10_000, rho * factor, 0.05) for factor in (0.25, 0.5, 0.8, 1.25, 2, 4)]
    assert all(there < other for other in others)
    assert radius(0.01, 10_000, rho * 1.02, 0.05) == pytest.approx(there, rel=1e-3)


def test_watched_after_every_hundred_people_they_err_in_fewer_than_one_of_twenty_tests() -> None:
    rng = np.random.default_rng(5)
    looks, tests = 100, 4000
    n = 200 * np.arange(1, looks + 1)
    difference = rng.normal(0, math.sqrt(2 / 100), (tests, looks)).cumsum(axis=1) / np.arange(1, looks + 1)
    error = 2 / np.sqrt(n)
    always = (np.abs(difference) > radius(error, n, rho_for(n[-1], 0.05), 0.05)).any(axis=1).mean()
    ordinary = (np.abs(difference) > 1.96 * error).any(axis=1).mean()
    assert always <= 0.05
    assert ordinary > 0.3


@given(st.floats(-5, 5), st.floats(0.01, 3), st.integers(10, 10**6), st.sampled_from([0.01, 0.05, 0.2]))
def test_p_is_below_alpha_exactly_where_the_interval_leaves_zero_out(
    effect: float, error: float, n: int, alpha: float
) -> None:
    rho = rho_for(5000, 0.05)
    half = float(radius(error, n, rho, alpha))
    p = always_valid_p(effect, error, n, rho)
    if abs(abs(effect) - half) > 1e-9 * half:
        assert (p < alpha) == (abs(effect) > half)


@given(st.floats(0.001, 10), st.integers(2, 10**6), st.integers(2, 10**6))
def test_it_is_wider_than_the_ordinary_interval(error: float, n: int, planned: int) -> None:
    assert radius(error, n, rho_for(planned, 0.05), 0.05) > 1.96 * error


def test_what_cannot_be_tuned_is_refused() -> None:
    with pytest.raises(ExperimentError, match="0 planned units"):
        rho_for(0, 0.05)
    with pytest.raises(ExperimentError, match="alpha is 0"):
        rho_for(10, 0)
    assert always_valid_p(1.0, 0.0, 10, 0.1) == 1
