"""Sizes of tests against statsmodels and against simulation."""

import numpy as np
import pytest
from statsmodels.stats.power import NormalIndPower
from statsmodels.stats.proportion import samplesize_proportions_2indep_onetail

from assets.marketing.experiments.comparisons import pooled_z
from assets.marketing.experiments.errors import ExperimentError
from assets.marketing.experiments.planning import plan_mean, plan_rate


def test_a_mean_looked_at_once_is_the_textbooks() -> None:
    expected = NormalIndPower().solve_power(0.1, power=0.8, alpha=0.05, alternative="two-sided")
    assert plan_mean(10, 1).n_per_arm == np.ceil(expected) == 1570
    assert plan_mean(10, -1) == plan_mean(10, 1)


def test_a_rate_looked_at_once_is_the_textbooks() -> None:
    expected = samplesize_proportions_2indep_onetail(0.004, 0.02, 0.8, ratio=1, alpha=0.05)
    assert plan_rate(0.02, 0.004).n_per_arm == pytest.approx(expected, abs=1)


@pytest.mark.parametrize("effect", [0.01, -0.01])
def test_several_looks_have_the_power_that_was_asked_for_and_stop_as_early_as_said(effect: float) -> None:
    plan = plan_rate(0.1, effect, power=0.9, looks=5)
    rng = np.random.default_rng(9)
    n = np.array([size for size, _, _ in plan.looks])
    steps = np.diff(n, prepend=0)
    control, arm = (rng.binomial(steps, rate, (20_000, 5)).cumsum(axis=1) for rate in (0.1, 0.1 + effect))
    reached = np.abs(pooled_z(arm, n, control, n)) >= [limit for _, limit, _ in plan.looks]
    assert reached.any(axis=1).mean() == pytest.approx(0.9, abs=0.01)
    stopped = np.where(reached.any(axis=1), reached.argmax(axis=1), 4)
    assert n[stopped].mean() == pytest.approx(plan.expected_n_per_arm, rel=0.01)
    assert plan.expected_n_per_arm < plan.fixed_n_per_arm < plan.n_per_arm < 1.05 * plan.fixed_n_per_arm


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.02, 0.0), "effect of 0.0"),
        ((0.02, -0.03), "impossible"),
        ((1.2, 0.1), "impossible"),
    ],
)
def test_rates_that_cannot_be_are_refused(arguments: tuple[float, float], message: str) -> None:
    with pytest.raises(ExperimentError, match=message):
        plan_rate(*arguments)


def test_means_and_powers_that_cannot_be_are_refused() -> None:
    with pytest.raises(ExperimentError, match="standard deviation of 0"):
        plan_mean(0, 1)
    with pytest.raises(ExperimentError, match="power of 1"):
        plan_mean(1, 1, power=1)
    with pytest.raises(ExperimentError, match="alpha is 0"):
        plan_mean(1, 1, alpha=0)
