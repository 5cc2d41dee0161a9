"""Thompson sampling in batches: floor, least numbers, and only outcomes whose time is over."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.marketing.experiments.bandit import FLOOR, LEAST, matured, next_weights
from assets.marketing.experiments.comparisons import Summary, summary_of_rate
from assets.marketing.experiments.errors import ExperimentError

NOW = datetime(2026, 11, 20)
WEEK = timedelta(7)


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(100, 100_000)), min_size=2, max_size=8))
@settings(max_examples=50, deadline=None)
def test_every_arm_keeps_its_floor_and_all_is_given_away(counts: list[tuple[int, int]]) -> None:
    weights = next_weights({str(n): summary_of_rate(x, m) for n, (x, m) in enumerate(counts)}, "binary")
    assert not weights.exploring
    assert sum(weights.shares.values()) == pytest.approx(1)
    assert min(weights.shares.values()) >= FLOOR


def test_a_hopeless_arm_is_down_at_its_floor_and_no_lower() -> None:
    weights = next_weights({"good": summary_of_rate(500, 1000), "bad": summary_of_rate(5, 1000)}, "binary")
    assert weights.shares == pytest.approx({"good": 0.99, "bad": 0.01})


def test_the_rest_is_shared_by_the_chance_of_being_the_best() -> None:
    weights = next_weights({"a": Summary(400, 10.0, 400.0), "b": Summary(400, 11.0, 400.0)}, "continuous")
    # One apart, with an error of sqrt(2): the chance is that of .7071 normal deviations.
    assert weights.best == pytest.approx({"a": 0.239750, "b": 0.760250}, abs=1e-5)
    assert weights.shares["b"] == pytest.approx(0.01 + 0.98 * 0.760250, abs=1e-5)


@pytest.mark.parametrize("second", [None, summary_of_rate(LEAST - 1, LEAST - 1)])
def test_until_each_arm_has_a_hundred_people_nothing_is_believed(second: Summary | None) -> None:
    weights = next_weights({"a": summary_of_rate(10, 5000), "b": second}, "binary")
    assert weights.exploring
    assert weights.shares == {"a": 0.5, "b": 0.5}
    assert not next_weights({"a": summary_of_rate(10, 5000), "b": summary_of_rate(1, LEAST)}, "binary").exploring


def test_revenue_that_does_not_vary_is_not_believed_yet() -> None:
    weights = next_weights({"a": Summary(200, 0.0, 0.0), "b": Summary(200, 3.0, 80.0)}, "continuous")
    assert weights.exploring


def people(*rows: tuple[str, float, float | None, float]) -> pl.DataFrame:
    """arm, days ago when it was seen, days after that when it converted, what it was worth."""
    return pl.DataFrame(
        {
            "arm": [arm for arm, *_ in rows],
            "exposed_at": [NOW - timedelta(ago) for _, ago, *_ in rows],
            "converted_at": [None if after is None else NOW - timedelta(ago - after) for _, ago, after, _ in rows],
            "value": [value for *_, value in rows],
        },
        schema_overrides={"converted_at": pl.Datetime("us")},
    )


def test_people_whose_window_is_still_open_do_not_count_even_if_they_bought() -> None:
    rows = people(("a", 8, 1, 1), ("a", 7, None, 1), ("a", 6.9, 0.1, 1), ("a", 1, None, 1), ("b", 3, 1, 1))
    found = matured(rows, NOW, WEEK, ("a", "b"))
    assert found == {"a": Summary(2, 0.5, 0.5), "b": None}


def test_what_is_bought_after_the_window_does_not_count_either() -> None:
    rows = people(("a", 30, 6.9, 120), ("a", 30, 7.1, 500), ("a", 30, None, 0))
    assert matured(rows, NOW, WEEK, ("a",))["a"] == Summary(3, 40.0, 4800.0)


def test_waiting_for_windows_to_close_keeps_a_slow_arm_from_looking_bad() -> None:
    # Both convert one in ten; b takes three to six days, and is newer.
    rng = np.random.default_rng(2)
    rows = []
    for arm, delay, oldest in (("a", (0, 1), 20), ("b", (3, 6), 8)):
        for _ in range(6000):
            ago = rng.uniform(0, oldest)
            after = rng.uniform(*delay) if rng.random() < 0.1 else None
            rows.append((arm, ago, after if after is not None and after < ago else None, 1))
    table = people(*rows)
    found = matured(table, NOW, WEEK, ("a", "b"))
    means = [summary.mean for summary in found.values() if summary is not None]
    assert means == pytest.approx([0.1, 0.1], abs=0.025)
    naive = dict(table.group_by("arm").agg(pl.col("converted_at").is_not_null().mean()).iter_rows())
    assert naive["b"] < 0.06


def test_in_batches_the_better_arm_gets_most_people() -> None:
    rng = np.random.default_rng(7)
    rates, n, x = {"a": 0.04, "b": 0.06, "c": 0.05}, dict.fromkeys("abc", 0), dict.fromkeys("abc", 0)
    for _ in range(20):
        data = {arm: summary_of_rate(x[arm], n[arm]) if n[arm] > 1 else None for arm in rates}
        for arm, share in next_weights(data, "binary").shares.items():
            batch = round(1000 * share)
            n[arm] += batch
            x[arm] += int(rng.binomial(batch, rates[arm]))
    assert n["b"] > 0.6 * sum(n.values())
    assert min(n.values()) >= 333 + 19 * 10


def test_arms_and_floors_that_cannot_be_are_refused() -> None:
    with pytest.raises(ExperimentError, match="two arms"):
        next_weights({"a": None}, "binary")
    with pytest.raises(ExperimentError, match="leave nothing to share"):
        next_weights({"a": None, "b": None}, "binary", floor=0.5)
    with pytest.raises(ExperimentError, match="arm 'c'"):
        matured(people(("c", 9, 1, 1)), NOW, WEEK, ("a", "b"))
