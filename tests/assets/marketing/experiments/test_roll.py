"""Test and roll: the closed form against profits that were simulated."""

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from assets.marketing.experiments.comparisons import Summary, summary_of_rate
from assets.marketing.experiments.errors import ExperimentError
from assets.marketing.experiments.roll import (
    Prior,
    best_size,
    expected_gain,
    expected_maximum,
    plan_roll,
    prior_of,
    prior_of_rate,
)

LIST = 20_000
PRIOR = prior_of_rate(0.05, 0.01)


def simulated_gain(n: int, arms: int, draws: int = 400_000) -> float:
    """Mean gain over sending the first arm to all: arms are drawn, tested on n people each, and the better is rolled out.

    Every size sees the same arms and the same luck.
    """
    rng = np.random.default_rng(11)
    true = rng.normal(PRIOR.mean, PRIOR.sd, (draws, arms))
    seen = true + rng.normal(0, 1, (draws, arms)) * math.sqrt(PRIOR.within_variance / n)
    rolled = true[np.arange(draws), seen.argmax(axis=1)]
    # The test itself earns what its arms do, which is on average what the first does.
    return float(((LIST - arms * n) * (rolled - PRIOR.mean)).mean())


@pytest.mark.parametrize("arms", [2, 3, 4])
def test_no_other_size_earns_more_in_simulation(arms: int) -> None:
    best = plan_roll(LIST, PRIOR, arms)
    here = simulated_gain(best.n_per_arm, arms)
    assert here == pytest.approx(best.gain, rel=0.01)
    for factor in (0.25, 0.5, 2, 3):
        assert simulated_gain(min(round(best.n_per_arm * factor), LIST // arms), arms) < 0.98 * here
    sizes = np.linspace(10, LIST / arms, 400)
    profits = [expected_gain(n, LIST, PRIOR, arms) for n in sizes]
    assert sizes[int(np.argmax(profits))] == pytest.approx(best.n_per_arm, abs=sizes[1] - sizes[0])


def test_the_size_for_two_arms_is_the_closed_form() -> None:
    q = 0.0475 / 0.0001
    assert best_size(LIST, PRIOR) == pytest.approx(math.sqrt(LIST / 4 * q + (0.75 * q) ** 2) - 0.75 * q)
    plan = plan_roll(100_000, prior_of_rate(0.02, 0.003))
    assert plan.n_per_arm == 5924
    assert plan.remaining == 88_152
    assert plan.gain / plan.oracle_gain == pytest.approx(0.754, abs=0.001)


def test_the_size_for_more_arms_is_where_the_profit_stops_rising() -> None:
    for arms in (2, 3, 7):
        n = best_size(LIST, PRIOR, arms)
        slope = expected_gain(n + 0.5, LIST, PRIOR, arms) - expected_gain(n - 0.5, LIST, PRIOR, arms)
        assert slope == pytest.approx(0, abs=1e-6 * expected_gain(n, LIST, PRIOR, arms))


def test_longer_lists_and_noisier_people_are_tested_longer_and_unlike_campaigns_shorter() -> None:
    n = best_size(LIST, PRIOR)
    assert best_size(4 * LIST, PRIOR) > n
    assert best_size(LIST, Prior(PRIOR.mean, PRIOR.sd, 2 * PRIOR.within_variance)) > n
    assert best_size(LIST, Prior(PRIOR.mean, 2 * PRIOR.sd, PRIOR.within_variance)) < n


def test_the_mean_of_the_largest_of_normal_numbers() -> None:
    assert expected_maximum(2) == pytest.approx(1 / math.sqrt(math.pi), abs=1e-9)
    assert expected_maximum(3) == pytest.approx(1.5 / math.sqrt(math.pi), abs=1e-9)
    assert expected_maximum(6) == pytest.approx(
        quad(lambda x: 6 * x * norm.cdf(x) ** 5 * norm.pdf(x), -10, 10)[0], abs=1e-7
    )


def test_the_prior_of_past_campaigns_is_the_one_that_they_were_drawn_from() -> None:
    rng = np.random.default_rng(3)
    rates = rng.normal(0.05, 0.01, 400)
    past = [summary_of_rate(int(rng.binomial(5000, rate)), 5000) for rate in rates]
    prior = prior_of(past)
    assert prior.mean == pytest.approx(0.05, abs=0.002)
    assert prior.sd == pytest.approx(0.01, abs=0.001)
    assert prior.within_variance == pytest.approx(0.0475, abs=0.001)


def test_random_effects_by_hand() -> None:
    # Weights 1: Q = 8, so tau² = (8 - 2) / (3 - 1) = 3.
    prior = prior_of([Summary(10, mean, 10.0) for mean in (0.0, 2.0, 4.0)])
    assert (prior.mean, prior.sd, prior.within_variance) == pytest.approx((2.0, math.sqrt(3), 10.0))


def test_what_says_too_little_is_refused() -> None:
    alike = [summary_of_rate(50, 1000), summary_of_rate(51, 1000), summary_of_rate(49, 1000)]
    with pytest.raises(ExperimentError, match="no more than by chance"):
        prior_of(alike)
    with pytest.raises(ExperimentError, match="2 past campaigns"):
        prior_of(alike[:2])
    with pytest.raises(ExperimentError, match="do not vary"):
        prior_of([*alike, summary_of_rate(0, 1000)])
    with pytest.raises(ExperimentError, match="Give both above 0"):
        Prior(0.1, 0.0, 1.0)
    with pytest.raises(ExperimentError, match="rate of 2 is none"):
        prior_of_rate(2, 0.1)
    with pytest.raises(ExperimentError, match="list of 3"):
        plan_roll(3, PRIOR)
    with pytest.raises(ExperimentError, match="1 arms"):
        plan_roll(30, PRIOR, 1)
