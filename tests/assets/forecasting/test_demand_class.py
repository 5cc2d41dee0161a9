"""The four kinds of demand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from assets.forecasting.demand_class import (
    ERRATIC,
    INTERMITTENT,
    LUMPY,
    MOST_INTERVAL,
    MOST_VARIATION,
    NAMES,
    SMOOTH,
    demand_classes,
)


@pytest.mark.parametrize(
    ("y", "kind"),
    [
        ([5, 5, 6, 5], SMOOTH),
        ([1, 1, 1, 30], ERRATIC),
        ([5, 0, 5, 0], INTERMITTENT),
        ([1, 0, 0, 30], LUMPY),
        # 4 periods, 3 demands: an interval of 1.33 is enough.
        ([5, 5, 5, 0], INTERMITTENT),
        # 5 periods, 4 demands: 1.25 is not.
        ([5, 5, 5, 5, 0], SMOOTH),
        # The weeks before it was sold are no idle ones.
        ([np.nan, np.nan, 5, 5, 5], SMOOTH),
        ([0, 0, 0, 0], LUMPY),
        ([0, 7, 0, 0], LUMPY),
        ([np.nan, np.nan, np.nan, np.nan], LUMPY),
    ],
)
def test_demand_is_called_by_how_often_and_how_evenly_it_comes(y: list[float], kind: int) -> None:
    assert demand_classes(np.array([y], dtype=float)).tolist() == [kind]


@given(arrays.arrays(float, (6, 20), elements=st.integers(0, 9).map(float)), st.integers(1, 1000))
def test_classes_are_those_of_the_paper_in_any_unit(y: np.ndarray, unit: int) -> None:
    expected = []
    for row in y:
        demands = row[row > 0]
        if len(demands) < 2:
            expected.append("lumpy")
            continue
        often = len(row) / len(demands) < MOST_INTERVAL
        even = np.var(demands, ddof=1) / np.mean(demands) ** 2 < MOST_VARIATION
        expected.append({(1, 1): "smooth", (1, 0): "erratic", (0, 1): "intermittent", (0, 0): "lumpy"}[often, even])
    assert [NAMES[kind] for kind in demand_classes(y)] == expected
    assert (demand_classes(y * unit) == demand_classes(y)).all()
