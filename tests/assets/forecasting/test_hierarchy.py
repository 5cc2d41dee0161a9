"""Forecasts that add up: sums hold, coherent ones stay, and textbook matrices and bounded least squares say the same."""

import time
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from assets.forecasting.hierarchy import (
    BRAND,
    SKU_CHANNEL_REGION_LEVELS,
    SKU_LEVELS,
    aggregate,
    reconcile,
    shrinkage,
    summing_matrix,
)

MONDAY = date(2026, 3, 2)
MAPPING = pl.DataFrame(
    [
        ("BAG-S", "BAG", "bags"),
        ("BAG-L", "BAG", "bags"),
        ("CLUTCH", "CLUTCH", "bags"),
        ("SHOE-36", "SHOE", "shoes"),
        ("SHOE-37", "SHOE", "shoes"),
        ("SHOE-38", "SHOE", "shoes"),
    ],
    schema=["sku", "product", "category"],
    orient="row",
)
GROUPED = MAPPING.join(pl.DataFrame({"channel": ["shop", "web"]}), how="cross").join(
    pl.DataFrame({"region": ["EU", "US"]}), how="cross"
)
METHODS = ["bottom_up", "structure", "variance", "mint"]
HIERARCHY = summing_matrix(MAPPING, SKU_LEVELS)
SERIES = HIERARCHY.nodes.height


def week(n: int) -> date:
    return MONDAY + timedelta(weeks=n)


def frame(values: np.ndarray, name: str = "mean", mapping: pl.DataFrame = MAPPING, levels=SKU_LEVELS) -> pl.DataFrame:
    """A long frame of a matrix, series by weeks."""
    nodes = summing_matrix(mapping, levels).nodes
    rows = [
        (*node, week(j), float(values[i, j])) for i, node in enumerate(nodes.rows()) for j in range(values.shape[1])
    ]
    return pl.DataFrame(rows, schema=["level", "node", "week", name], orient="row")


def matrix(long: pl.DataFrame, weeks: int, name: str = "mean") -> np.ndarray:
    return long[name].to_numpy().reshape(-1, weeks)


RESIDUALS = frame(np.random.default_rng(5).normal(0, 1, (SERIES, 40)) * np.linspace(8, 1, SERIES)[:, None], "residual")


def test_every_series_is_the_sum_of_its_skus():
    nodes = HIERARCHY.nodes.rows()
    sums = {
        node: set(MAPPING["sku"].to_numpy()[row.astype(bool)])
        for node, row in zip(nodes, HIERARCHY.sums.toarray(), strict=True)
    }

    assert sums["brand", "brand"] == set(MAPPING["sku"])
    assert sums["category", "bags"] == {"BAG-S", "BAG-L", "CLUTCH"}
    assert sums["product", "SHOE"] == {"SHOE-36", "SHOE-37", "SHOE-38"}
    assert all(sums["sku", sku] == {sku} for sku in MAPPING["sku"])
    assert (HIERARCHY.aggregates, HIERARCHY.bottoms) == (6, 6)


def test_a_grouped_hierarchy_has_a_series_for_each_crossing():
    grouped = summing_matrix(GROUPED, SKU_CHANNEL_REGION_LEVELS)
    counts = dict(grouped.nodes.group_by("level").len().iter_rows())

    assert counts["sku/channel/region"] == 24
    assert (counts["category/region"], counts["channel/region"], counts["brand"]) == (4, 4, 1)
    assert ("category/channel", "shoes/web") in grouped.nodes.rows()


def test_a_missing_attribute_is_a_node_of_its_own():
    mapping = MAPPING.with_columns(category=pl.when(pl.col("sku") == "CLUTCH").then(None).otherwise("category"))
    assert ("category", "unknown") in summing_matrix(mapping, SKU_LEVELS).nodes.rows()


def test_a_last_level_that_does_not_tell_series_apart_is_refused():
    with pytest.raises(ValueError, match="'BAG' more than once"):
        summing_matrix(MAPPING, (BRAND, ("product",)))


def test_history_is_summed_at_every_level():
    history = MAPPING.with_columns(week=pl.lit(MONDAY), units=pl.Series([1, 2, 3, 4, 5, 6]))
    total = aggregate(history, SKU_LEVELS, "units")

    assert total.filter(level="brand")["units"].item() == 21
    assert total.filter(level="category", node="bags")["units"].item() == 6
    assert total.height == SERIES


def test_the_formula_is_that_of_the_textbook():
    rng = np.random.default_rng(2)
    base, errors = rng.normal(50, 5, (SERIES, 3)), matrix(RESIDUALS, 40, "residual")
    sums = HIERARCHY.sums.toarray()
    variance = (errors**2).mean(axis=1)
    shrink = shrinkage(errors / np.sqrt(variance)[:, None])
    covariance = errors @ errors.T / 40
    for method, weights in (
        ("structure", np.diag(sums.sum(axis=1))),
        ("variance", np.diag(variance)),
        ("mint", shrink * np.diag(variance) + (1 - shrink) * covariance),
    ):
        inverse = np.linalg.inv(weights)
        expected = sums @ np.linalg.solve(sums.T @ inverse @ sums, sums.T @ inverse @ base)
        found = reconcile(frame(base), MAPPING, method=method, residuals=RESIDUALS, non_negative=False)
        assert matrix(found, 3) == pytest.approx(expected), method


def test_more_sums_than_series_give_the_same_as_the_textbook():
    levels = SKU_CHANNEL_REGION_LEVELS
    rng = np.random.default_rng(4)
    grouped = summing_matrix(GROUPED, levels)
    assert grouped.aggregates > grouped.bottoms
    base, errors = rng.normal(20, 5, (grouped.nodes.height, 2)), rng.normal(0, 1, (grouped.nodes.height, 30))
    found = reconcile(
        frame(base, mapping=GROUPED, levels=levels),
        GROUPED,
        levels,
        residuals=frame(errors, "residual", GROUPED, levels),
        non_negative=False,
    )
    sums, variance = grouped.sums.toarray(), (errors**2).mean(axis=1)
    shrink = shrinkage(errors / np.sqrt(variance)[:, None])
    inverse = np.linalg.inv(shrink * np.diag(variance) + (1 - shrink) * errors @ errors.T / 30)
    expected = sums @ np.linalg.solve(sums.T @ inverse @ sums, sums.T @ inverse @ base)
    assert matrix(found, 2) == pytest.approx(expected)


def test_shrinkage_is_that_of_all_pairs_one_by_one():
    scaled = np.random.default_rng(6).normal(0, 1, (7, 25))
    scaled[1] = 0.8 * scaled[0] + 0.2 * scaled[1]
    variances = correlations = 0.0
    for i in range(7):
        for j in range(7):
            if i != j:
                products = scaled[i] * scaled[j]
                variances += ((products**2).sum() - products.sum() ** 2 / 25) / (25 * 24)
                correlations += (products.sum() / 25) ** 2
    assert shrinkage(scaled) == pytest.approx(min(variances / correlations, 1))


def test_unbiased_forecasts_stay_unbiased_and_get_better():
    rng = np.random.default_rng(8)
    truth = HIERARCHY.sums @ rng.gamma(5, 20, (6, 1))
    deviation = np.linspace(20, 6, SERIES)[:, None]
    noise = rng.normal(0, 1, (SERIES, 3000)) * deviation
    past = rng.normal(0, 1, (SERIES, 60)) * deviation
    for method in METHODS:
        found = reconcile(
            frame(truth + noise), MAPPING, method=method, residuals=frame(past, "residual"), non_negative=False
        )
        errors = matrix(found, 3000) - truth
        assert np.abs(errors.mean(axis=1)).max() < 4 * deviation.max() / np.sqrt(3000), method
        if method == "mint":
            assert (errors**2).sum() < 0.6 * (noise**2).sum()


def test_quantiles_keep_their_distance_beside_the_mean():
    base = frame(np.full((SERIES, 1), 10.0)).with_columns(
        q=pl.col("mean") * 0 + 5, upper=pl.col("mean") * 2, model=pl.lit("x")
    )
    base = base.rename({"q": "q0.1"})
    found = reconcile(base, MAPPING, method="bottom_up")

    assert found.columns == base.columns
    brand = found.filter(level="brand").row(0, named=True)
    assert (brand["mean"], brand["q0.1"], brand["upper"], brand["model"]) == (60, 30, 120, "x")


def test_the_quantiles_of_a_mean_of_zero_move_with_it():
    base = frame(np.zeros((SERIES, 1))).with_columns(mean=pl.when(pl.col("level") == "brand").then(12.0).otherwise(0.0))
    found = reconcile(base.with_columns(upper=pl.col("mean") + 1), MAPPING, method="structure")
    sku = found.filter(node="SHOE-36").row(0, named=True)
    assert sku["mean"] > 0
    assert sku["upper"] == pytest.approx(sku["mean"] + 1)


def test_rows_that_are_in_no_level_stay_as_they_are():
    extra = pl.DataFrame({"level": ["shelf"], "node": ["A"], "week": [MONDAY], "mean": [3.0]})
    base = pl.concat([frame(np.full((SERIES, 1), 10.0)), extra])
    assert reconcile(base, MAPPING, method="structure").row(-1) == ("shelf", "A", MONDAY, 3.0)


def test_what_lacks_is_named():
    base = frame(np.ones((SERIES, 2)))
    with pytest.raises(ValueError, match="sku 'CLUTCH'"):
        reconcile(base.filter((pl.col("node") != "CLUTCH") | (pl.col("level") != "sku")), MAPPING, method="structure")
    with pytest.raises(ValueError, match="give residuals"):
        reconcile(base, MAPPING)
    with pytest.raises(ValueError, match="magic"):
        reconcile(base, MAPPING, method="magic")


numbers = st.lists(st.floats(-20, 100), min_size=2 * SERIES, max_size=2 * SERIES).map(
    lambda v: np.reshape(v, (SERIES, 2))
)
bottoms = st.lists(st.floats(0, 100), min_size=12, max_size=12).map(lambda v: np.reshape(v, (6, 2)))


@settings(max_examples=40, deadline=None)
@given(numbers, st.sampled_from(METHODS), st.booleans())
def test_reconciled_forecasts_add_up_and_are_not_below_zero(base: np.ndarray, method: str, bounded: bool):
    found = matrix(reconcile(frame(base), MAPPING, method=method, residuals=RESIDUALS, non_negative=bounded), 2)

    assert found == pytest.approx(HIERARCHY.sums @ found[-6:], abs=1e-8)
    if bounded:
        assert (found >= 0).all()


@settings(max_examples=40, deadline=None)
@given(bottoms, st.sampled_from(METHODS))
def test_a_coherent_forecast_is_never_changed(bottom: np.ndarray, method: str):
    coherent = HIERARCHY.sums @ bottom
    found = reconcile(frame(coherent), MAPPING, method=method, residuals=RESIDUALS)
    assert matrix(found, 2) == pytest.approx(coherent, rel=1e-12, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(numbers)
def test_bounded_forecasts_are_those_of_bounded_least_squares(base: np.ndarray):
    root = 1 / np.sqrt((matrix(RESIDUALS, 40, "residual") ** 2).mean(axis=1))
    found = matrix(reconcile(frame(base), MAPPING, method="variance", residuals=RESIDUALS), 2)
    for n in range(2):
        expected, _ = nnls(root[:, None] * HIERARCHY.sums.toarray(), root * base[:, n])
        assert found[-6:, n] == pytest.approx(expected, abs=1e-5)


def test_ten_thousand_series_take_seconds():
    skus = 8_600
    mapping = pl.DataFrame({"sku": [f"S{n:05}" for n in range(skus)]}).with_columns(
        product=pl.col("sku").str.head(5), category=pl.col("sku").str.head(3)
    )
    hierarchy = summing_matrix(mapping, SKU_LEVELS)
    rng = np.random.default_rng(9)
    truth = hierarchy.sums @ rng.gamma(3, 2, (skus, 1))
    base = truth + rng.normal(0, 1, (hierarchy.nodes.height, 4)) * np.sqrt(truth + 1)
    past = rng.normal(0, 1, (hierarchy.nodes.height, 52)) * np.sqrt(truth + 1)
    long = [
        pl.DataFrame(
            {
                "level": np.repeat(hierarchy.nodes["level"].to_numpy(), values.shape[1]),
                "node": np.repeat(hierarchy.nodes["node"].to_numpy(), values.shape[1]),
                "week": [week(n) for n in range(values.shape[1])] * hierarchy.nodes.height,
                name: values.reshape(-1),
            }
        )
        for values, name in ((base, "mean"), (past, "residual"))
    ]
    started = time.process_time()
    found = matrix(reconcile(long[0], mapping, residuals=long[1]), 4)
    assert time.process_time() - started < 60
    assert found == pytest.approx(hierarchy.sums @ found[-skus:], rel=1e-9, abs=1e-9)
    assert (found >= 0).all()
    assert ((found - truth) ** 2).sum() < ((base - truth) ** 2).sum()
