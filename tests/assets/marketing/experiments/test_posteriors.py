"""Chances of being the best, and what is lost, against closed forms and drawing."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from assets.marketing.experiments.comparisons import Summary, summary_of_rate
from assets.marketing.experiments.errors import ExperimentError
from assets.marketing.experiments.posteriors import (
    Beta,
    Normal,
    chances_of_being_best,
    expected_largest,
    expected_loss,
    of_mean,
    of_rate,
)
from assets.marketing.experiments.roll import Prior

normals = st.builds(Normal, st.floats(-3, 3), st.floats(0.001, 3))


@given(normals, normals)
@settings(deadline=None)
def test_two_normal_arms_have_their_closed_form(one: Normal, other: Normal) -> None:
    spread = math.hypot(one.sd, other.sd)
    apart = (one.mean - other.mean) / spread
    assert chances_of_being_best([one, other])[0] == pytest.approx(norm.cdf(apart), abs=2e-5)
    largest = one.mean * norm.cdf(apart) + other.mean * norm.cdf(-apart) + spread * norm.pdf(apart)
    assert expected_largest([one, other]) == pytest.approx(largest, abs=2e-4 * spread)
    assert expected_loss([one, other], 0) == pytest.approx(max(0, largest - one.mean), abs=2e-4 * spread)


def test_rates_are_those_of_drawing() -> None:
    arms = [Beta(100, 4900), Beta(120, 4880), Beta(1, 200)]
    rng = np.random.default_rng(1)
    draws = np.stack([rng.beta(arm.a, arm.b, 1_000_000) for arm in arms])
    expected = np.bincount(draws.argmax(axis=0)) / draws.shape[1]
    assert chances_of_being_best(arms) == pytest.approx(expected.tolist(), abs=0.002)
    assert expected_largest(arms) == pytest.approx(draws.max(axis=0).mean(), abs=1e-5)


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(500, 5000)), min_size=2, max_size=5))
@settings(max_examples=40, deadline=None)
def test_chances_sum_to_one_and_follow_the_arms(counts: list[tuple[int, int]]) -> None:
    arms = [of_rate(summary_of_rate(x, n)) for x, n in counts]
    chances = chances_of_being_best(arms)
    assert sum(chances) == pytest.approx(1)
    assert min(chances) >= 0
    assert chances_of_being_best(arms[::-1]) == pytest.approx(chances[::-1], abs=1e-12)


def test_a_prior_draws_the_mean_to_itself_as_far_as_the_data_are_few() -> None:
    prior = Prior(mean=0.02, sd=0.01, within_variance=0.0196)
    few, many = (of_mean(Summary(n, 0.05, 0.0475), prior) for n in (196, 10**7))
    # 196 people weigh as much as the prior: .0196 / 196 = .01².
    assert (few.mean, few.sd) == pytest.approx((0.035, 0.01 / math.sqrt(2)))
    assert many.mean == pytest.approx(0.05, abs=1e-5)


def test_arms_that_do_not_vary_have_no_posterior() -> None:
    with pytest.raises(ExperimentError, match="do not vary"):
        of_mean(Summary(10, 1.0, 0.0))
