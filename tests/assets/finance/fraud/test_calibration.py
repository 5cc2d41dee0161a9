"""Platt's scaling, the calibration error and the threshold that costs least."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.finance.fraud.calibration import Costs, Platt, calibration_error, cheapest_threshold, fit_platt


def test_platt_finds_the_scale_that_the_labels_were_drawn_by() -> None:
    rng = np.random.default_rng(0)
    margins = rng.normal(-2, 2, 40_000)
    labels = (rng.random(40_000) < Platt(0.7, -0.5)(margins)).astype(int)
    found = fit_platt(margins, labels)
    assert (found.slope, found.intercept) == (pytest.approx(0.7, abs=0.03), pytest.approx(-0.5, abs=0.06))
    assert calibration_error(found(margins), labels) < 0.005
    assert calibration_error(Platt(2, 0)(margins), labels) > 0.02


def test_ranks_are_kept_even_where_the_margins_are_wrong_way_round() -> None:
    margins = np.array([-3.0, -1.0, 0.0, 2.0, 900.0, -900.0])
    found = fit_platt(margins, np.array([1, 1, 0, 0, 0, 1]))
    assert found.slope > 0
    assert np.all(np.diff(found(np.sort(margins))) >= 0)


def test_no_fraud_at_all_is_no_certainty() -> None:
    found = fit_platt(np.linspace(-5, 5, 100), np.zeros(100))
    assert 0 < found(np.array([5.0]))[0] < 0.2


@given(
    rows=st.lists(st.tuples(st.integers(0, 9), st.booleans(), st.integers(1, 400)), min_size=1, max_size=40),
    review=st.integers(0, 100),
)
def test_no_threshold_costs_less(rows: list[tuple[int, bool, int]], review: int) -> None:
    scores, labels, amounts = (np.array(column, float) for column in zip(*rows, strict=True))
    costs = Costs(review, 0.5)

    def cost(threshold: float) -> float:
        alert = scores >= threshold
        return float(review * alert.sum() + 0.5 * amounts[~alert & (labels > 0)].sum())

    found = cheapest_threshold(scores, labels, amounts, costs)
    assert found.cost == pytest.approx(cost(found.value))
    assert found.cost <= min(cost(threshold) for threshold in [*scores, np.inf]) + 1e-9
    assert found.alerts == int((scores >= found.value).sum())
    assert found.cost_without == pytest.approx(cost(np.inf))
