"""Differences of rates and means against statsmodels and scipy, and what must hold of any of them."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint, proportions_ztest

from assets.marketing.experiments.comparisons import (
    Summary,
    compare_means,
    compare_rates,
    interval_of,
    newcombe,
    pooled_z,
    summary_of,
    summary_of_rate,
    two_sided,
    wilson,
)
from assets.marketing.experiments.errors import ExperimentError

ALPHAS = st.sampled_from([0.001, 0.05, 0.2])


@st.composite
def rates(draw: st.DrawFn) -> tuple[int, int]:
    n = draw(st.integers(2, 10_000))
    return draw(st.integers(0, n)), n


means = st.builds(
    Summary, n=st.integers(2, 100_000), mean=st.floats(-1e6, 1e6), variance=st.floats(1e-6, 1e9) | st.just(0.0)
)


@given(rates(), ALPHAS)
def test_wilsons_interval_is_that_of_statsmodels(rate: tuple[int, int], alpha: float) -> None:
    low, high = wilson(*rate, float(stats.norm.isf(alpha / 2)))
    assert (low, high) == pytest.approx(proportion_confint(*rate, alpha=alpha, method="wilson"), abs=1e-12)


def test_an_arm_alone_has_wilsons_or_students_interval() -> None:
    values = np.random.default_rng(1).gamma(2, 3, 40)
    theirs: Any = stats.ttest_1samp(values, 0)
    interval = theirs.confidence_interval(0.9)
    assert interval_of(summary_of(values), rate=False, alpha=0.1) == pytest.approx((interval.low, interval.high))
    expected = proportion_confint(7, 50, alpha=0.1, method="wilson")
    assert interval_of(summary_of_rate(7, 50), rate=True, alpha=0.1) == pytest.approx(expected)


@given(rates(), rates(), ALPHAS)
def test_newcombes_interval_is_that_of_statsmodels(one: tuple[int, int], other: tuple[int, int], alpha: float) -> None:
    ends = newcombe(*one, *other, float(stats.norm.isf(alpha / 2)))
    expected = confint_proportions_2indep(*one, *other, method="newcomb", compare="diff", alpha=alpha)
    assert ends == pytest.approx(expected, abs=1e-12)


@given(rates(), rates())
def test_z_and_p_are_those_of_statsmodels(one: tuple[int, int], other: tuple[int, int]) -> None:
    assume(0 < one[0] + other[0] < one[1] + other[1])
    z, p = proportions_ztest([one[0], other[0]], [one[1], other[1]])
    found = compare_rates(summary_of_rate(*one), summary_of_rate(*other))
    assert (found.statistic, found.p) == pytest.approx((z, p), rel=1e-9, abs=1e-12)


@given(st.integers(0, 2**32 - 1), st.integers(2, 60), st.integers(2, 60), ALPHAS)
def test_welch_is_that_of_scipy(seed: int, n: int, m: int, alpha: float) -> None:
    rng = np.random.default_rng(seed)
    one, other = rng.normal(3, 2, n), rng.gamma(2, 1, m)
    found = compare_means(summary_of(one), summary_of(other), alpha)
    expected: Any = stats.ttest_ind(one, other, equal_var=False)
    interval = expected.confidence_interval(1 - alpha)
    assert (found.statistic, found.p, found.df) == pytest.approx((expected.statistic, expected.pvalue, expected.df))
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))


def test_the_published_example_of_newcombe_comes_out() -> None:
    # Newcombe 1998, table II, method 10: 56/70 against 48/80, and the corners 9/10 against 3/10, 10/10 against 0/20.
    z = float(stats.norm.isf(0.025))
    for counts, expected in (
        ((56, 70, 48, 80), (0.0524, 0.3339)),
        ((9, 10, 3, 10), (0.1705, 0.8090)),
        ((10, 10, 0, 20), (0.6791, 1.0)),
    ):
        assert newcombe(*counts, z) == pytest.approx(expected, abs=5e-5)


def test_the_delta_method_of_the_relative_effect_is_that_of_simulation() -> None:
    rng = np.random.default_rng(1)
    arm, control = Summary(400, 12.0, 90.0), Summary(500, 10.0, 60.0)
    found = compare_means(arm, control)
    draws = rng.normal(12, math.sqrt(90 / 400), 200_000) / rng.normal(10, math.sqrt(60 / 500), 200_000) - 1
    assert found.relative == pytest.approx(0.2)
    assert found.relative_low is not None and found.relative_high is not None
    assert (found.relative_high - found.relative_low) / 2 == pytest.approx(1.96 * draws.std(), rel=0.01)


@given(rates(), rates(), ALPHAS)
def test_the_interval_of_a_difference_of_rates_holds_it_and_lies_within_minus_one_and_one(
    one: tuple[int, int], other: tuple[int, int], alpha: float
) -> None:
    found = compare_rates(summary_of_rate(*one), summary_of_rate(*other), alpha)
    assert found.low <= found.effect <= found.high
    assert found.low >= -1 - 1e-12 and found.high <= 1 + 1e-12
    assert 0 <= found.p <= 1


@given(means, means, ALPHAS)
def test_the_interval_of_a_difference_of_means_holds_it(one: Summary, other: Summary, alpha: float) -> None:
    found = compare_means(one, other, alpha)
    assert found.low <= found.effect <= found.high
    assert 0 <= found.p <= 1


@given(rates(), rates(), means, means)
def test_swapping_the_arms_turns_everything_round(
    one: tuple[int, int], other: tuple[int, int], mean: Summary, beside: Summary
) -> None:
    a, b = summary_of_rate(*one), summary_of_rate(*other)
    for there, back in (
        (compare_rates(a, b), compare_rates(b, a)),
        (compare_means(mean, beside), compare_means(beside, mean)),
    ):
        assert there.effect == -back.effect
        assert (there.low, there.high) == pytest.approx((-back.high, -back.low), rel=1e-9, abs=1e-12)
        assert there.statistic == pytest.approx(-back.statistic, rel=1e-9)
        assert there.p == pytest.approx(back.p, rel=1e-6, abs=1e-300)


@given(means, means, st.sampled_from([0.1, 0.01]))
def test_p_is_below_alpha_where_the_interval_of_means_leaves_zero_out(a: Summary, b: Summary, alpha: float) -> None:
    found = compare_means(a, b, alpha)
    assume(abs(found.p - alpha) > 1e-6 and found.standard_error > 0)
    assert (found.p < alpha) == (found.low > 0 or found.high < 0)


def test_p_does_not_vanish_far_out() -> None:
    assert two_sided(22.486) == pytest.approx(5.7e-112, rel=0.01)
    assert 2 * (1 - stats.norm.cdf(22.486)) == 0
    assert compare_means(Summary(10**6, 1.03, 1.0), Summary(10**6, 1.0, 1.0)).p > 0


def test_where_nobody_or_everybody_did_it_nothing_is_claimed() -> None:
    for successes in (0, 50):
        found = compare_rates(summary_of_rate(successes, 50), summary_of_rate(successes, 50))
        assert (found.statistic, found.p) == (0, 1)
        assert found.low < 0 < found.high


def test_means_that_do_not_vary_are_not_told_apart() -> None:
    found = compare_means(Summary(5, 1.0, 0.0), Summary(5, 0.0, 0.0))
    assert (found.p, found.relative) == (1, None)


def test_z_is_computed_for_many_tests_at_once() -> None:
    z = pooled_z(np.array([10, 20, 0]), 100, np.array([[15], [0]]), 100)
    assert z.shape == (2, 3)
    assert z[1, 2] == 0
    assert z[0, 0] == pytest.approx(proportions_ztest([10, 15], [100, 100])[0])


def test_an_arm_of_one_unit_is_refused() -> None:
    with pytest.raises(ExperimentError, match="an arm has 1 units"):
        Summary(1, 0.0, 0.0)
    with pytest.raises(ExperimentError, match="5 successes of 4"):
        summary_of_rate(5, 4)
