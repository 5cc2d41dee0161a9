"""Reference files: the catalogue, stock movements and rates are typed, and what cannot be is put aside with a reason."""

from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.ingestion.lines import Normalised
from assets.ingestion.mapping import MappingError
from assets.ingestion.reference import MOVEMENTS_IN_FILES, Kind, columns_of, normalise_reference

GOOD: dict[Kind, dict[str, Any]] = {
    "catalog": {"sku": "bag-1", "retail_price": "1,299.50", "cost": "310", "currency": "EUR", "lead_time_days": "30"},
    "stock": {"sku": "bag-1", "occurred_at": "2025-03-01 23:30", "kind": "receipt", "quantity": "5"},
    "rates": {"date": "2025-03-03", "base": "EUR", "quote": "JPY", "rate": "157.123456789012"},
}
KINDS: tuple[Kind, ...] = ("catalog", "stock", "rates")


def judge(kind: Kind, *rows: dict[str, Any], currency: str = "EUR") -> Normalised:
    table = pl.DataFrame(rows, schema=dict.fromkeys(columns_of(kind), pl.String)).with_row_index("row_number", 1)
    source = table.with_columns(pl.col("row_number").cast(pl.Int64))
    return normalise_reference(source, kind, currency=currency, timezone="Europe/Paris")


@pytest.mark.parametrize("kind", KINDS)
def test_a_good_row_is_taken(kind: Kind) -> None:
    found = judge(kind, GOOD[kind])
    assert (found.lines.height, found.rejected.height) == (1, 0)


def test_a_row_of_the_catalogue_is_typed() -> None:
    line = judge(
        "catalog", {**GOOD["catalog"], "launched_on": "2025-03-01", "cost_valid_from": "01.02.2025"}
    ).lines.to_dicts()[0]
    assert (line["sku"], line["retail_price_minor"], line["cost_minor"]) == ("BAG-1", 129950, 31000)
    assert (line["lead_time_days"], line["launched_on"]) == (30, date(2025, 3, 1))
    assert line["cost_valid_from"] == date(2025, 2, 1)


@pytest.mark.parametrize(("currency", "minor"), [("JPY", 1300), ("KWD", 1299500), ("EUR", 129950)])
def test_a_price_has_the_digits_of_its_currency(currency: str, minor: int) -> None:
    own = judge("catalog", {**GOOD["catalog"], "currency": currency})
    of_the_brand = judge("catalog", {**GOOD["catalog"], "currency": None}, currency=currency)
    assert own.lines["retail_price_minor"].to_list() == of_the_brand.lines["retail_price_minor"].to_list() == [minor]


def test_a_movement_has_its_day_and_its_instant() -> None:
    line = judge("stock", GOOD["stock"]).lines.to_dicts()[0]
    assert line["local_date"] == date(2025, 3, 1)
    assert line["occurred_at"].isoformat() == "2025-03-01T22:30:00+00:00"


def test_a_rate_is_exact() -> None:
    assert judge("rates", GOOD["rates"]).lines["rate"].to_list() == [Decimal("157.123456789012")]


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        ("catalog", "sku", None),
        ("catalog", "sku", "x" * 129),
        ("catalog", "product", "x" * 129),
        ("catalog", "retail_price", "a lot"),
        ("catalog", "retail_price", "-1"),
        ("catalog", "cost", "NaN"),
        ("catalog", "currency", "EURO"),
        ("catalog", "launched_on", "spring"),
        ("catalog", "lead_time_days", "12.5"),
        ("catalog", "lead_time_days", "-3"),
        ("catalog", "lead_time_days", "99999999999"),
        ("catalog", "min_order_quantity", "-1"),
        ("catalog", "reorder_point", "-1"),
        ("stock", "sku", None),
        ("stock", "occurred_at", "soon"),
        ("stock", "occurred_at", "1969-01-01"),
        ("stock", "kind", "sale"),
        ("stock", "kind", None),
        ("stock", "quantity", "0"),
        ("stock", "quantity", "1.5"),
        ("stock", "quantity", "4000000000"),
        ("stock", "location", "x" * 129),
        ("rates", "date", None),
        ("rates", "base", "XXXX"),
        ("rates", "quote", "EUR"),
        ("rates", "rate", "0"),
        ("rates", "rate", "-1"),
        ("rates", "rate", "NaN"),
        ("rates", "rate", "inf"),
        ("rates", "rate", None),
        ("rates", "source", "x" * 129),
    ],
)
def test_a_bad_row_is_put_aside_with_its_number_and_its_field(kind: Kind, field: str, value: str | None) -> None:
    found = judge(kind, GOOD[kind], {**GOOD[kind], field: value}, GOOD[kind])
    assert found.rejected.select("row_number", "field").rows() == [(2, field)]
    assert found.lines["row_number"].to_list() == [1, 3]


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_column_is_named_with_those_that_are_needed(kind: Kind) -> None:
    needed = [name for name, is_needed in columns_of(kind).items() if is_needed]
    rows = pl.DataFrame({"row_number": [1], "something": ["x"]})
    with pytest.raises(MappingError) as raised:
        normalise_reference(rows, kind, currency="EUR", timezone="UTC")
    assert all(name in str(raised.value) for name in needed)


def test_every_kind_of_movement_that_a_file_may_hold_is_taken() -> None:
    rows = [{**GOOD["stock"], "kind": kind.upper()} for kind in MOVEMENTS_IN_FILES]
    assert judge("stock", *rows).lines["kind"].to_list() == list(MOVEMENTS_IN_FILES)


CELL = st.one_of(
    st.none(),
    st.text(max_size=10),
    st.sampled_from(["1", "-1", "2025-03-01", "EUR", "USD", "receipt", "1e9", "NaN"]),
    st.integers().map(str),
)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), kind=st.sampled_from(KINDS))
def test_garbage_never_raises_and_never_loses_a_row(data: st.DataObject, kind: Kind) -> None:
    rows = data.draw(st.lists(st.fixed_dictionaries(dict.fromkeys(columns_of(kind), CELL)), min_size=1, max_size=5))
    found = judge(kind, *rows, GOOD[kind])
    told = [*found.lines["row_number"], *found.rejected["row_number"]]
    assert sorted(told) == list(range(1, len(rows) + 2))
    assert found.rejected["reason"].null_count() == 0
