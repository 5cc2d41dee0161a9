"""Values before they are compared."""

import numpy as np
import pytest
import statsmodels.api as sm

from assets.marketing.experiments.comparisons import compare_means, summary_of
from assets.marketing.experiments.errors import ExperimentError
from assets.marketing.experiments.metrics import cuped, kind_of, winsorised


def drawn(correlation: float, seed: int = 1, n: int = 4000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values, covariate and arms; the second arm has .2 more."""
    rng = np.random.default_rng(seed)
    arms = rng.integers(0, 2, n)
    covariate = rng.normal(50, 3, n)
    noise = rng.normal(0, np.sqrt(1 - correlation**2), n)
    return 10 + 0.2 * arms + correlation * (covariate - 50) / 3 + noise, covariate, arms


def test_zeros_and_ones_are_binary_and_anything_else_is_not() -> None:
    assert kind_of(np.array([0.0, 1.0, 1.0])) == "binary"
    assert kind_of(np.zeros(3)) == "binary"
    assert kind_of(np.array([0.0, 1.0, 2.0])) == "continuous"


def test_cuped_is_a_regression_on_arm_and_covariate() -> None:
    values, covariate, arms = drawn(0.7)
    adjusted, told = cuped(values, covariate, arms)
    assert told.applied
    fitted = sm.OLS(values, sm.add_constant(np.column_stack([arms, covariate]))).fit()
    assert told.theta == pytest.approx(fitted.params[2], rel=1e-9)
    assert adjusted[arms == 1].mean() - adjusted[arms == 0].mean() == pytest.approx(fitted.params[1], rel=1e-9)


def test_cuped_takes_the_square_of_the_correlation_of_the_variance_away_and_leaves_the_mean() -> None:
    values, covariate, arms = drawn(0.7)
    adjusted, told = cuped(values, covariate, arms)
    assert told.variance_cut == pytest.approx(0.49, abs=0.03)
    within = sum(adjusted[arms == arm].var() for arm in (0, 1)) / sum(values[arms == arm].var() for arm in (0, 1))
    assert 1 - within == pytest.approx(told.variance_cut, abs=0.002)
    assert adjusted.mean() == pytest.approx(values.mean())
    before = compare_means(summary_of(values[arms == 1]), summary_of(values[arms == 0]))
    after = compare_means(summary_of(adjusted[arms == 1]), summary_of(adjusted[arms == 0]))
    assert after.standard_error < 0.75 * before.standard_error


def test_a_weak_covariate_is_skipped_and_said() -> None:
    values, covariate, arms = drawn(0.05)
    adjusted, told = cuped(values, covariate, arms)
    assert adjusted is values
    assert not told.applied and told.reason.startswith("skipped: the correlation is 0.0")


def test_a_covariate_that_the_arms_changed_is_skipped_and_said() -> None:
    values, covariate, arms = drawn(0.7)
    _, told = cuped(values, covariate + arms, arms)
    assert not told.applied and "not known before the draw" in told.reason


def test_a_covariate_that_does_not_vary_is_skipped() -> None:
    values, covariate, arms = drawn(0.7)
    for constant in (np.full_like(covariate, 0.1), np.zeros_like(covariate), arms.astype(float)):
        assert "does not vary" in cuped(values, constant, arms)[1].reason


def test_one_cap_holds_for_all_arms() -> None:
    values = np.r_[np.arange(999.0), 50_000.0]
    capped, cap, count = winsorised(values, 0.999)
    assert (capped.max(), count) == (cap, 1)
    assert cap == np.quantile(values, 0.999)
    assert (capped[:-1] == values[:-1]).all()
    with pytest.raises(ExperimentError, match=r"between 0\.5 and 1"):
        winsorised(values, 1.0)
