"""Rows of any mapped file: each is a line or is put aside with its number, its field and a reason; none is lost.

Does not belong here: the shops' exports (`test_exports`), numbers and clocks on their own.
"""

import json
from datetime import date
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.ingestion.lines import LINES, REJECTED, Defaults, Normalised, normalise
from assets.ingestion.mapping import MappingError, OrderMapping, load_preset
from resources.store.models.brand import CHANNEL_KINDS

TODAY = date(2026, 1, 1)
DEFAULTS = Defaults("EUR", "Europe/Paris", TODAY, CHANNEL_KINDS)
FIELDS = (
    "order_number", "sku", "quantity", "unit_price", "occurred_at", "description", "line_type",
    "customer", "currency", "channel", "location", "status", "country",
)  # fmt: skip
PLAIN = OrderMapping.model_validate({"columns": {name: name for name in FIELDS}, "void_statuses": ["cancelled"]})
GOOD = {"order_number": "1", "sku": "BAG", "quantity": "2", "unit_price": "10.50", "occurred_at": "2025-03-01 12:00"}


def rows_of(*rows: dict[str, Any], columns: tuple[str, ...] = FIELDS) -> pl.DataFrame:
    table = pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String)).with_row_index("row_number", 1)
    return table.with_columns(pl.col("row_number").cast(pl.Int64))


def judge(*rows: dict[str, Any]) -> Normalised:
    return normalise(rows_of(*rows), PLAIN, DEFAULTS)


def retail(code: str | None, price: str = "2.55", quantity: str = "6", **more: str | None) -> dict[str, Any]:
    row = {"InvoiceNo": "536365", "StockCode": code, "Description": "x", "Quantity": quantity, "UnitPrice": price}
    return {**row, "InvoiceDate": "12/1/2010 8:26", "CustomerID": "17850", "Country": "France", **more}


def judge_retail(*rows: dict[str, Any]) -> Normalised:
    source = rows_of(*rows, columns=tuple(rows[0]))
    return normalise(source, load_preset("online-retail"), DEFAULTS)


def test_a_good_row_becomes_a_line() -> None:
    found = judge(GOOD)
    assert found.rejected.height == 0
    assert found.lines.schema == pl.Schema(LINES)
    line = found.lines.to_dicts()[0]
    assert (line["kind"], line["sku"], line["quantity"], line["amount_minor"]) == ("goods", "BAG", 2, 2100)
    assert (line["currency"], line["channel"], line["location"]) == ("EUR", "online_store", "main")


@pytest.mark.parametrize(
    ("currency", "price", "quantity", "minor"),
    [
        ("JPY", "1500", "2", 3000),
        ("JPY", "1500.5", "1", 1500),
        ("JPY", "1501.5", "1", 1502),
        ("KWD", "12.345", "2", 24690),
        ("EUR", "0.005", "1", 0),
        ("EUR", "0.015", "1", 2),
        ("EUR", "0.335", "3", 100),
        ("CLF", "1.23456", "1", 12346),
        ("eur", "9.99", "-1", -999),
    ],
)
def test_an_amount_has_the_digits_of_its_currency(currency: str, price: str, quantity: str, minor: int) -> None:
    found = judge({**GOOD, "currency": currency, "unit_price": price, "quantity": quantity})
    assert found.lines["amount_minor"].to_list() == [minor]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("order_number", None),
        ("order_number", "   "),
        ("order_number", "9" * 129),
        ("sku", None),
        ("sku", "\x00"),
        ("sku", "é" * 65),
        ("quantity", None),
        ("quantity", "0"),
        ("quantity", "12.5"),
        ("quantity", "1e3"),
        ("quantity", "many"),
        ("quantity", "1000000001"),
        ("quantity", "-9223372036854775808"),
        ("quantity", "99999999999999999999"),
        ("unit_price", None),
        ("unit_price", "NaN"),
        ("unit_price", "inf"),
        ("unit_price", "-inf"),
        ("unit_price", "1e3"),
        ("unit_price", "1.299,99"),
        ("unit_price", "12,5"),
        ("unit_price", "€5"),
        ("unit_price", "-1"),
        ("unit_price", "9999999999999"),
        ("unit_price", "999999999999"),
        ("occurred_at", None),
        ("occurred_at", "yesterday"),
        ("occurred_at", "2025-02-30 10:00"),
        ("occurred_at", "1969-12-31 10:00"),
        ("occurred_at", "2026-01-03 10:00"),
        ("currency", "EURO"),
        ("currency", "XYZ"),
        ("channel", "carrier pigeon"),
        ("line_type", "unheard of"),
        ("customer", "x" * 129),
        ("location", "x" * 129),
    ],
)
def test_a_bad_row_is_put_aside_with_its_number_its_field_and_a_reason(field: str, value: str | None) -> None:
    quantity = "999999999" if value == "999999999999" else GOOD["quantity"]
    bad = {**GOOD, "quantity": quantity, field: value}
    found = judge(GOOD, bad, {**GOOD, "order_number": "3"})
    assert found.rejected.schema == pl.Schema(REJECTED)
    assert found.rejected.select("row_number", "field").rows() == [(2, field)]
    assert len(found.rejected["reason"][0]) > 5
    assert json.loads(found.rejected["row"][0])[field] == value
    assert found.lines["row_number"].to_list() == [1, 3]


def test_amounts_that_no_number_holds_are_put_aside_and_do_not_raise() -> None:
    found = judge({**GOOD, "quantity": "999999999999999999", "unit_price": "999999999999"}, GOOD)
    assert found.rejected["row_number"].to_list() == [1]
    assert found.lines.height == 1


def test_an_order_has_one_currency() -> None:
    found = judge(
        {**GOOD, "currency": "EUR"}, {**GOOD, "currency": "USD"}, {**GOOD, "order_number": "2", "currency": "USD"}
    )
    assert found.rejected.select("row_number", "field").rows() == [(2, "currency")]


def test_equal_lines_of_an_order_are_counted() -> None:
    found = judge(GOOD, {**GOOD, "sku": "BELT"}, GOOD, {**GOOD, "order_number": "2"}, GOOD)
    assert found.lines["occurrence"].to_list() == [0, 0, 1, 0, 2]


def test_a_cancelled_order_is_void() -> None:
    assert judge({**GOOD, "status": "Cancelled"}, GOOD).lines["kind"].to_list() == ["void", "goods"]


def test_a_missing_column_is_named_with_those_that_are_there() -> None:
    source = rows_of({"order_number": "1", "sku": "x"}, columns=("order_number", "sku", "units"))
    with pytest.raises(MappingError, match="quantity") as raised:
        normalise(source, PLAIN, DEFAULTS)
    assert "units" in str(raised.value)


def test_columns_are_found_whatever_their_case_and_blanks() -> None:
    source = rows_of(GOOD).rename({"sku": " SKU ", "quantity": "Quantity"})
    assert normalise(source, PLAIN, DEFAULTS).lines["sku"].to_list() == ["BAG"]


def test_numbers_of_a_spreadsheet_are_read_like_text() -> None:
    typed = pl.DataFrame(
        {
            "order_number": [536365.0],
            "sku": [85123.0],
            "quantity": [6.0],
            "unit_price": [2.55],
            "occurred_at": [date(2025, 3, 1)],
        }
    ).with_row_index("row_number", 1)
    mapping = OrderMapping.model_validate({"columns": {name: name for name in typed.columns[1:]}})
    line = normalise(typed, mapping, DEFAULTS).lines.to_dicts()[0]
    assert (line["order_number"], line["sku"], line["quantity"], line["amount_minor"]) == ("536365", "85123", 6, 1530)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("85123A", "goods"),
        ("22423", "goods"),
        ("15056bl", "goods"),
        ("POST", "shipping"),
        ("DOT", "shipping"),
        ("C2", "shipping"),
        ("BANK CHARGES", "fee"),
        ("AMAZONFEE", "fee"),
        ("CRUK", "fee"),
        ("D", "discount"),
        ("M", "adjustment"),
        ("m", "adjustment"),
        ("B", "bad_debt"),
        ("S", "sample"),
        ("gift_0001_20", "gift_card"),
        ("TEST001", "test"),
        ("PADS", "other"),
        ("DCGS0076", "other"),
        ("85123ABC", "other"),
    ],
)
def test_each_code_of_the_retailer_is_of_its_kind(code: str, kind: str) -> None:
    line = judge_retail(retail(code)).lines.to_dicts()[0]
    assert line["kind"] == kind
    assert line["currency"] == "GBP"
    assert line["sku"] == (code.upper() if kind == "goods" else None)


def test_goods_for_nothing_are_a_gift_to_a_client_and_a_stock_take_without_one() -> None:
    found = judge_retail(retail("22423", "0"), retail("22423", "0.0", "-5", CustomerID=None), retail("POST", "0"))
    assert found.lines["kind"].to_list() == ["gift", "stock_adjustment", "shipping"]
    assert found.lines["amount_minor"].to_list() == [0, 0, 0]


def test_a_cancelled_invoice_of_the_retailer_is_a_return() -> None:
    line = judge_retail(retail("22423", "2.55", "-6", InvoiceNo="C536379")).lines.to_dicts()[0]
    assert (line["order_number"], line["kind"], line["quantity"], line["amount_minor"]) == (
        "C536379",
        "goods",
        -6,
        -1530,
    )


def test_bad_debt_may_be_negative_and_goods_may_not() -> None:
    found = judge_retail(retail("B", "-11062.06", "1"), retail("22423", "-1", "1"))
    assert found.lines["amount_minor"].to_list() == [-1106206]
    assert found.rejected.select("row_number", "field").rows() == [(2, "unit_price")]


def test_both_spellings_of_the_retailers_columns_are_known() -> None:
    second = rows_of(retail("22423"), columns=tuple(retail("x"))).rename(
        {"InvoiceNo": "Invoice", "UnitPrice": "Price", "CustomerID": "Customer ID"}
    )
    assert normalise(second, load_preset("online-retail"), DEFAULTS).lines["customer"].to_list() == ["17850"]


CELL = st.one_of(
    st.none(),
    st.text(max_size=12),
    st.sampled_from(
        ["1", "-3", "10.50", "1,299.99", "NaN", "inf", "2025-03-01 12:00", "EUR", "JPY", "goods", "void", "cancelled"]
    ),
    st.integers().map(str),
    st.floats().map(str),
)


@settings(max_examples=80, deadline=None)
@given(rows=st.lists(st.fixed_dictionaries(dict.fromkeys(FIELDS, CELL)), min_size=1, max_size=6))
def test_garbage_never_raises_and_never_loses_a_row(rows: list[dict[str, str | None]]) -> None:
    mixed = [
        row if n % 2 else {**GOOD, **{k: v for k, v in row.items() if k not in GOOD}} for n, row in enumerate(rows)
    ]
    found = judge(*mixed)
    told = [*found.lines["row_number"], *found.rejected["row_number"]]
    assert sorted(told) == list(range(1, len(rows) + 1))
    assert found.rejected["reason"].null_count() == 0
    assert found.lines["amount_minor"].null_count() == 0
    assert found.lines["occurred_at"].null_count() == 0
