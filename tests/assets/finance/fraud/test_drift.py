"""The population stability index."""

import math

import numpy as np
import polars as pl
import pytest

from assets.finance.fraud.drift import Reference, drift_of, psi, reference_of


def test_it_is_the_formula() -> None:
    reference = Reference((1.0,), (0.5, 0.5, 0.0))
    now = pl.Series([0.0, 2.0, 2.0, 2.0])
    assert psi(reference, now) == pytest.approx(0.25 * math.log(3 / 1) - 0.0 - 0.0, rel=0.01)


def test_the_same_distribution_is_stable_and_another_is_not() -> None:
    rng = np.random.default_rng(0)
    reference = reference_of(pl.Series(rng.normal(size=20_000)))
    assert psi(reference, pl.Series(rng.normal(size=20_000))) < 0.01
    assert 0.1 < psi(reference, pl.Series(rng.normal(0.4, 1, size=20_000))) < 0.25
    assert psi(reference, pl.Series(rng.normal(2, 1, size=20_000))) > 0.25


def test_values_that_are_mostly_one_and_nulls_that_come_up_are_seen() -> None:
    reference = reference_of(pl.Series([0.0] * 95 + [1.0] * 5))
    assert psi(reference, pl.Series([0.0] * 95 + [1.0] * 5)) == 0
    assert psi(reference, pl.Series([0.0] * 50 + [1.0] * 50)) > 0.25
    assert psi(reference, pl.Series([0.0] * 50 + [None] * 50)) > 0.25
    assert psi(reference_of(pl.Series([None, None], dtype=pl.Float64)), pl.Series([1.0])) > 0.25


def test_the_column_that_moved_most_stands_first_and_a_missing_one_is_unknown() -> None:
    even = pl.Series(range(100))
    references = {name: reference_of(even) for name in ("a", "b", "c")}
    frame = pl.DataFrame({"a": even, "b": even + 90})
    assert [(one.column, one.state) for one in drift_of(references, frame)] == [
        ("c", "unknown"),
        ("b", "shifted"),
        ("a", "stable"),
    ]
    assert {one.state for one in drift_of(references, frame.clear())} == {"unknown"}
