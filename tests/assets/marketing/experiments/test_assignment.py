"""Drawing arms and holdout by hash."""

import hashlib
import re

import duckdb
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from assets.marketing.experiments.assignment import (
    BUCKETS,
    HOLDOUT,
    assign,
    assign_all,
    bucket,
    bucket_sql,
    buckets,
    split,
)
from assets.marketing.experiments.errors import ExperimentError

MILLION = pl.Series("unit", range(1_000_000))
TWO = {"control": 1, "mail": 1}


@pytest.fixture(scope="module")
def drawn() -> pl.Series:
    return assign_all(split("autumn", TWO, holdout_share=0.1), MILLION)


def test_a_bucket_is_the_md5_of_salt_and_unit_modulo_ten_thousand() -> None:
    # By hand: md5("abc") is 900150983cd24fb0d6963f7d28e17f72.
    assert hashlib.md5(b"abc").hexdigest() == "900150983cd24fb0d6963f7d28e17f72"
    assert bucket("a", "bc") == 0x900150983CD24FB0D6963F7D28E17F72 % BUCKETS == 3570
    assert bucket("a", 12) == bucket("a", "12")


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=20), st.lists(st.text(max_size=30), max_size=30))
def test_a_column_gets_the_buckets_of_its_units(salt: str, units: list[str]) -> None:
    column = pl.Series("unit", units, dtype=pl.String)
    assert buckets(salt, column).to_list() == [bucket(salt, unit) for unit in units]


@settings(max_examples=30, deadline=None)
@given(st.integers(-(2**63), 2**63 - 1))
def test_whole_numbers_are_units_as_their_text_is(unit: int) -> None:
    assert buckets("s", pl.Series([unit])).item() == bucket("s", str(unit))


def test_an_audience_drawn_in_sql_is_the_same() -> None:
    people = pl.DataFrame({'the "id"': ["ö1", "x' OR 1=1", ""]})
    with duckdb.connect() as connection:
        connection.register("people", people.to_arrow())
        expression = bucket_sql("it's", 'the "id"')
        told = connection.sql(f"SELECT {expression} FROM people").fetchall()
    assert [row[0] for row in told] == [bucket("it's", unit) for unit in people.to_series()]


def test_a_column_gets_the_arms_of_its_units(drawn: pl.Series) -> None:
    division = split("autumn", TWO, holdout_share=0.1)
    assert drawn[:3000].to_list() == [assign(division, unit) for unit in range(3000)]
    assert drawn.null_count() == 0


def test_a_million_units_fall_into_buckets_evenly() -> None:
    counts = buckets("any", MILLION).value_counts()
    assert counts.height == BUCKETS
    assert chisquare(counts["count"].to_numpy()).pvalue > 0.001


def test_arms_and_holdout_have_their_shares_and_do_not_depend_on_each_other(drawn: pl.Series) -> None:
    counts = dict(drawn.value_counts().iter_rows())
    expected = {"control": 450_000, "mail": 450_000, HOLDOUT: 100_000}
    assert chisquare([counts[arm] for arm in expected], list(expected.values())).pvalue > 0.001
    without = assign_all(split("autumn", TWO), MILLION)
    assert (without == drawn).filter(drawn != HOLDOUT).all()
    of_held = without.filter(drawn == HOLDOUT).value_counts()["count"].to_numpy()
    assert chisquare(of_held).pvalue > 0.001


def test_the_holdout_is_the_same_whatever_is_filtered_and_whichever_arms_there_are(drawn: pl.Series) -> None:
    held = drawn == HOLDOUT
    consenting = MILLION.filter(MILLION % 7 != 0).shuffle(seed=3)
    later = assign_all(split("winter", {"a": 1, "b": 2, "c": 3}, holdout_share=0.1), consenting)
    again = pl.DataFrame({"unit": consenting, "held": later == HOLDOUT}).sort("unit")["held"]
    assert (again == held.filter(MILLION % 7 != 0)).all()


def test_a_larger_holdout_only_adds_people(drawn: pl.Series) -> None:
    larger = assign_all(split("autumn", TWO, holdout_share=0.15), MILLION)
    assert (larger == HOLDOUT).filter(drawn == HOLDOUT).all()
    assert (larger == drawn).filter(larger != HOLDOUT).all()


def test_another_salt_draws_anew(drawn: pl.Series) -> None:
    other = assign_all(split("winter", TWO, holdout_share=0.1), MILLION)
    both = pl.DataFrame({"one": drawn, "other": other}).filter(pl.col("one") != HOLDOUT)
    same = both.select((pl.col("one") == pl.col("other")).mean()).item()
    assert same == pytest.approx(0.5, abs=0.003)


@given(st.dictionaries(st.text(min_size=1, max_size=5), st.floats(0.05, 10), min_size=2, max_size=6))
def test_every_bucket_has_an_arm(weights: dict[str, float]) -> None:
    division = split("s", {f"arm {name}": weight for name, weight in weights.items()})
    assert sum(parts for _, parts in division.arms) == BUCKETS
    total = sum(weights.values())
    for arm, parts in division.arms:
        assert abs(parts - BUCKETS * weights[arm.removeprefix("arm ")] / total) <= 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("s", {"a": 1}), "two arms"),
        (("s", {"a": 1, "b": 0}), "arm 'b' has the weight 0"),
        (("s", {"a": 1, "b": 1e-9}), "below one in 10,000"),
        (("s", {"a": 1, HOLDOUT: 1}), "cannot be called 'holdout'"),
        (("", {"a": 1, "b": 1}), "salt is empty"),
        ((HOLDOUT, {"a": 1, "b": 1}), "arms would depend on the holdout"),
    ],
)
def test_a_split_that_is_none_is_refused(arguments: tuple[str, dict[str, float]], message: str) -> None:
    with pytest.raises(ExperimentError, match=re.escape(message)):
        split(*arguments)


def test_units_that_cannot_be_hashed_the_same_everywhere_are_refused() -> None:
    with pytest.raises(ExperimentError, match="column 'unit' holds Float64"):
        buckets("s", pl.Series("unit", [1.0]))
    with pytest.raises(ExperimentError, match="column 'unit' is empty in 1 rows"):
        buckets("s", pl.Series("unit", ["a", None]))
