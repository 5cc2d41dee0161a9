"""Random rules and random customers for property tests: values close together, so that comparisons meet their edges."""

from datetime import date, timedelta
from typing import Any

import polars as pl
from hypothesis import strategies as st

from assets.marketing.segments.catalogue import FEATURES, OPERATORS, Feature
from assets.marketing.segments.features import SCHEMA

WORDS = ["FR", "NO", "null", "it's", '"; DROP TABLE customer_features; --', "été", "Fr", "%", "?"]
DAY = date(2026, 1, 30)


def scalars(feature: Feature) -> st.SearchStrategy[Any]:
    match feature.kind:
        case "number" if SCHEMA[feature.name] == pl.Int64():
            return st.integers(-2, 4)
        case "number":
            return st.one_of(st.integers(-2, 4), st.sampled_from([0.1, 0.3, 99.95, -0.0, 1e15, 2.5]))
        case "date":
            return st.integers(0, 4).map(lambda n: DAY + timedelta(days=n))
        case "boolean":
            return st.booleans()
        case _:
            return st.sampled_from(list(feature.values) or WORDS)


def columns(feature: Feature) -> st.SearchStrategy[Any]:
    one = scalars(feature)
    if feature.kind == "number" and SCHEMA[feature.name] != pl.Int64():
        one = one.map(float)
    return st.none() | (st.lists(one, max_size=3, unique=True) if feature.kind == "texts" else one)


@st.composite
def compared(draw: st.DrawFn) -> dict[str, Any]:
    feature = draw(st.sampled_from(list(FEATURES.values())))
    operator = draw(st.sampled_from(OPERATORS[feature.kind]))
    values = scalars(feature)
    if feature.kind == "number":
        # Rules may ask for halves of whole numbers, too.
        values = values | st.sampled_from([0.5, 1.5, 3.0])
    if operator == "known":
        values = st.booleans()
    elif operator == "between":
        values = st.lists(values, min_size=2, max_size=2).map(sorted)
    elif operator in ("in", "not_in", "has_any", "has_all", "has_none"):
        values = st.lists(values, min_size=1, max_size=4)
    return {"feature": feature.name, operator: draw(values)}


def rules() -> st.SearchStrategy[dict[str, Any]]:
    return st.recursive(
        compared(),
        lambda inner: st.one_of(
            st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"all": parts}),
            st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"any": parts}),
            inner.map(lambda part: {"not": part}),
        ),
        max_leaves=8,
    )


@st.composite
def customers(draw: st.DrawFn) -> pl.DataFrame:
    rows = draw(
        st.lists(st.fixed_dictionaries({name: columns(f) for name, f in FEATURES.items()}), min_size=1, max_size=8)
    )
    return pl.DataFrame([{"customer": f"c{n}", **row} for n, row in enumerate(rows)], schema=SCHEMA)
