"""Units per arm against what was drawn."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from assets.marketing.experiments.errors import ExperimentError
from assets.marketing.experiments.sample_ratio import sample_ratio


@given(st.lists(st.tuples(st.integers(0, 10**6), st.floats(0.01, 100)), min_size=2, max_size=6))
def test_it_is_pearsons_chi_square(arms: list[tuple[int, float]]) -> None:
    counts = {str(n): count for n, (count, _) in enumerate(arms)}
    weights = {str(n): weight for n, (_, weight) in enumerate(arms)}
    if not sum(counts.values()):
        return
    found = sample_ratio(counts, weights)
    total = sum(weights.values())
    theirs = chisquare(list(counts.values()), [sum(counts.values()) * weight / total for weight in weights.values()])
    assert found.p == pytest.approx(theirs.pvalue, rel=1e-6, abs=1e-300)


def test_it_warns_below_one_in_a_hundred_and_blocks_below_one_in_a_thousand() -> None:
    # A game's test of two gates: 44,700 and 45,489 players.
    warned = sample_ratio({"gate_30": 44_700, "gate_40": 45_489})
    assert (round(warned.p, 5), warned.verdict) == (0.00861, "warn")
    assert sample_ratio({"a": 10_000, "b": 10_100}).verdict == "ok"
    assert sample_ratio({"a": 44_000, "b": 45_489}).verdict == "block"


def test_arms_need_not_be_equal() -> None:
    counts = {"a": 9_000, "b": 1_000}
    assert sample_ratio(counts).verdict == "block"
    assert sample_ratio(counts, {"a": 9, "b": 1}).p == 1


def test_shares_of_other_arms_are_refused() -> None:
    with pytest.raises(ExperimentError, match="arm 'b' has no intended share"):
        sample_ratio({"a": 1, "b": 1}, {"a": 1})
    with pytest.raises(ExperimentError, match="'c', which is no arm"):
        sample_ratio({"a": 1, "b": 1}, {"a": 1, "b": 1, "c": 1})
    with pytest.raises(ExperimentError, match="share 0"):
        sample_ratio({"a": 1, "b": 1}, {"a": 1, "b": 0})
