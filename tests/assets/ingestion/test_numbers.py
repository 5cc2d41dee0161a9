"""Numbers as people export them: read exactly or not at all."""

from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.ingestion.numbers import integers, micros


def price(text: str | None, separator: str = ".") -> int | None:
    rows = pl.DataFrame({"x": [text]}, schema={"x": pl.String})
    return rows.select(micros(rows, "x", separator)).item()


def whole(value: object) -> int | None:
    rows = pl.DataFrame({"x": [value]}, strict=False)
    return rows.select(integers(rows, "x")).item()


@pytest.mark.parametrize(
    ("text", "separator", "expected"),
    [
        ("1,299.99", ".", 1299_990000),
        ("1.299,99", ",", 1299_990000),
        ("1,234,567.5", ".", 1234567_500000),
        ("12.5", ".", 12_500000),
        ("12,5", ",", 12_500000),
        (" 7 ", ".", 7_000000),
        ("+7", ".", 7_000000),
        ("-0.01", ".", -10000),
        (".5", ".", 500000),
        ("5.", ".", 5_000000),
        ("0.0000005", ".", 0),
        ("0.0000015", ".", 2),
        ("999999999999", ".", 999999999999_000000),
        ("1.299,99", ".", None),
        ("1,299.99", ",", None),
        ("12,5", ".", None),
        ("1,29,999", ".", None),
        ("1e3", ".", None),
        ("NaN", ".", None),
        ("inf", ".", None),
        ("-Infinity", ".", None),
        ("1000000000000", ".", None),
        ("9" * 60, ".", None),
        ("", ".", None),
        ("-", ".", None),
        ("1 2", ".", None),
        ("0x10", ".", None),
        (None, ".", None),
    ],
)
def test_a_price_is_read_exactly_or_not_at_all(text: str | None, separator: str, expected: int | None) -> None:
    assert price(text, separator) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("12", 12), ("-3", -3), ("6.0", 6), (" 7 ", 7), ("12.5", None), ("1e3", None), ("", None), ("1,000", None),
        (6.0, 6), (12.5, None), (float("nan"), None), (float("inf"), None), (Decimal("4.0"), 4), (5, 5), (None, None),
    ],
)  # fmt: skip
def test_a_quantity_is_a_whole_number_or_none(value: object, expected: int | None) -> None:
    assert whole(value) == expected


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e300])
def test_a_float_price_that_is_no_amount_is_none(value: float) -> None:
    rows = pl.DataFrame({"x": [value]})
    assert rows.select(micros(rows, "x")).item() is None


@given(st.decimals(min_value=-(10**11), max_value=10**11, places=6))
def test_a_price_of_six_digits_is_exact(value: Decimal) -> None:
    assert price(format(value, "f")) == int(value * 10**6)
    assert price(format(value, ",f")) == int(value * 10**6)
