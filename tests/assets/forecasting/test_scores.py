"""The measures, by hand on a table small enough for it."""

from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.forecasting.scores import QUANTILE_COLUMNS, QUANTILES, pinball, score

DAY = date(2026, 3, 2)


def table(*rows: tuple[str, float, float, list[float], float]) -> pl.DataFrame:
    """unique_id, y, mean, the five quantiles and the scale of each row."""
    columns = ["unique_id", "y", "mean", *QUANTILE_COLUMNS, "scale"]
    flat = [(name, y, mean, *quantiles, scale) for name, y, mean, quantiles, scale in rows]
    kinds = {"unique_id": pl.String, **dict.fromkeys(columns[1:], pl.Float64)}
    return pl.DataFrame(flat, schema=kinds, orient="row").with_columns(cutoff=pl.lit(DAY))


def test_scores_are_what_they_are_by_hand() -> None:
    found = score(
        table(
            ("a", 10, 8, [2, 5, 8, 12, 20], 4),
            ("a", 0, 2, [0, 1, 2, 3, 4], 4),
            ("b", 30, 33, [5, 10, 25, 28, 29], 9),
        )
    )
    assert found is not None
    assert found.rows == 3
    # Errors 2, 2, 3 of 40 units; too little by 2, too much by 2 and 3.
    assert found.wape == pytest.approx(7 / 40)
    assert found.bias == pytest.approx(3 / 40)
    # a: mean square 4 over 4; b: 9 over 9.
    assert found.rmsse == pytest.approx(1)
    # 80 %: 10 within 5 to 12; 0 not within 1 to 3; 30 above 28. 95 %: 10 and 0 (its end) within, 30 above 29.
    assert found.coverage_80 == pytest.approx(1 / 3)
    assert found.coverage_95 == pytest.approx(2 / 3)
    # Of each quantile: level * (y - q) where y is above, (1 - level) * (q - y) where it is below.
    losses = [
        0.025 * 8 + 0 + 0.025 * 25,
        0.1 * 5 + 0.9 * 1 + 0.1 * 20,
        0.5 * 2 + 0.5 * 2 + 0.5 * 5,
        0.1 * 2 + 0.1 * 3 + 0.9 * 2,
        0.025 * 10 + 0.025 * 4 + 0.975 * 1,
    ]
    assert found.weighted_pinball == pytest.approx(2 * sum(losses) / 40 / 5)


def test_both_ends_of_an_interval_belong_to_it() -> None:
    at_the_ends = score(table(("a", 3, 0, [1, 3, 4, 9, 12], 1), ("a", 9, 0, [1, 3, 4, 9, 12], 1)))
    outer_ends = score(table(("a", 1, 0, [1, 3, 4, 9, 12], 1), ("a", 12, 0, [1, 3, 4, 9, 12], 1)))
    assert at_the_ends is not None
    assert outer_ends is not None
    assert at_the_ends.coverage_80 == 1
    assert (outer_ends.coverage_80, outer_ends.coverage_95) == (0, 1)


def test_rmsse_is_the_mean_over_series_and_not_over_rows() -> None:
    found = score(table(("a", 1, 3, [0] * 5, 1), ("a", 1, 3, [0] * 5, 1), ("b", 1, 1, [0] * 5, 1)))
    assert found is not None
    assert found.rmsse == pytest.approx((2 + 0) / 2)


def test_a_series_that_never_changed_has_no_scale_and_counts_in_all_else() -> None:
    found = score(table(("a", 4, 2, [0, 1, 2, 3, 5], 0)))
    assert found is not None
    assert found.rmsse is None
    assert found.wape == pytest.approx(0.5)


def test_where_nothing_was_sold_shares_of_it_are_none() -> None:
    found = score(table(("a", 0, 2, [0, 0, 1, 3, 5], 1)))
    assert found is not None
    assert (found.wape, found.bias, found.weighted_pinball) == (None, None, None)
    assert (found.coverage_80, found.coverage_95) == (1, 1)


def test_no_rows_have_no_scores() -> None:
    assert score(table()) is None


@given(st.lists(st.integers(0, 50), min_size=40, max_size=40))
def test_the_pinball_loss_is_least_at_the_quantile(sold: list[int]) -> None:
    y = np.array(sold, dtype=float)
    levels = np.array(QUANTILES)
    at = np.quantile(y, QUANTILES, method="inverted_cdf")
    least = pinball(y, np.broadcast_to(at, (40, 5)), levels).sum(axis=0)
    for offset in (-3.0, -0.5, 0.5, 3.0):
        assert (pinball(y, np.broadcast_to(at + offset, (40, 5)), levels).sum(axis=0) >= least - 1e-9).all()


def test_the_same_table_has_the_same_scores_to_the_last_bit() -> None:
    random = np.random.default_rng(0)
    rows = [(f"s{n}", float(random.integers(20)), random.random() * 20, [0.0] * 5, random.random()) for n in range(400)]
    assert len({score(table(*rows)) for _ in range(20)}) == 1
