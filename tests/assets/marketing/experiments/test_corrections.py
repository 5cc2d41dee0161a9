"""Holm, and Benjamini and Hochberg, against statsmodels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from assets.marketing.experiments.corrections import Correction, adjusted
from assets.marketing.experiments.errors import ExperimentError


@pytest.mark.parametrize(("correction", "theirs"), [("holm", "holm"), ("bh", "fdr_bh")])
@given(p_values=st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_adjusted_p_values_are_those_of_statsmodels(correction: Correction, theirs: str, p_values: list[float]) -> None:
    expected = np.asarray(multipletests(p_values, method=theirs)[1]).tolist()
    assert adjusted(p_values, correction) == pytest.approx(expected, abs=1e-15)


def test_holm_by_hand() -> None:
    assert adjusted([0.01, 0.04, 0.03], "holm") == pytest.approx([0.03, 0.06, 0.06])
    assert adjusted([0.01, 0.04, 0.03], "bh") == pytest.approx([0.03, 0.04, 0.04])
    assert adjusted([0.01, 0.04, 0.03], "none") == [0.01, 0.04, 0.03]
    assert adjusted([], "holm") == []


def test_what_is_no_p_value_is_refused() -> None:
    with pytest.raises(ExperimentError, match=r"1.5 is no p-value"):
        adjusted([1.5], "holm")
    with pytest.raises(ExperimentError, match="nan is no p-value"):
        adjusted([float("nan")], "bh")
