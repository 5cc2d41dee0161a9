"""Which columns of a file are taken for what, and what is said where one is missing or cannot be read."""

from datetime import date, datetime

import polars as pl
import pytest

from assets.finance.fraud.columns import FraudDataError, as_transactions, labels_of

ROWS = pl.DataFrame(
    {
        "TRANSACTION_ID": [3, 1, 2],
        "TX_DATETIME": ["2024-01-02 10:00:00", "2024-01-01T09:30:00Z", "2024-01-01 09:30:00"],
        "CUSTOMER_ID": ["b", "a", None],
        "TX_AMOUNT": ["12.50", "7", "1e3"],
        "TX_FRAUD": ["1", "0", ""],
    }
)


def refused(frame: pl.DataFrame) -> str:
    with pytest.raises(FraudDataError) as raised:
        as_transactions(frame)
    return str(raised.value)


def test_text_becomes_instants_and_numbers_in_order_of_time_and_id() -> None:
    found = as_transactions(ROWS)
    assert found.rows.rows() == [
        (1, datetime(2024, 1, 1, 9, 30), 7.0, "a", 0),
        (2, datetime(2024, 1, 1, 9, 30), 1000.0, None, None),
        (3, datetime(2024, 1, 2, 10), 12.5, "b", 1),
    ]
    assert found.rows.columns == ["transaction", "occurred_at", "amount", "customer", "fraud"]
    assert found.names["occurred_at"] == "TX_DATETIME"


@pytest.mark.parametrize(
    "moments",
    [
        pl.Series([datetime(2024, 1, 1, 9, 30)] * 3, dtype=pl.Datetime("ns")),
        pl.Series([datetime(2024, 1, 1, 9, 30)] * 3).dt.replace_time_zone("UTC"),
        pl.Series([datetime(2024, 1, 1, 10, 30)] * 3).dt.replace_time_zone("Europe/Paris"),
    ],
)
def test_an_instant_of_any_zone_is_utc(moments: pl.Series) -> None:
    found = as_transactions(ROWS.with_columns(moments.alias("TX_DATETIME")))
    assert set(found.rows["occurred_at"]) == {datetime(2024, 1, 1, 9, 30)}


def test_a_day_is_its_midnight() -> None:
    found = as_transactions(ROWS.with_columns(pl.lit(date(2024, 1, 1)).alias("TX_DATETIME")))
    assert set(found.rows["occurred_at"]) == {datetime(2024, 1, 1)}


@pytest.mark.parametrize(
    ("label", "expected"),
    [(True, 1), (False, 0), (1, 1), (0, 0), (1.0, 1), ("fraud", 1), ("legit", 0), (None, None), (7, None)],
)
def test_a_label_is_one_nought_or_not_known(label: object, expected: int | None) -> None:
    found = as_transactions(ROWS.with_columns(pl.Series("TX_FRAUD", [label] * 3)))
    assert set(labels_of(found.rows)) == {expected}


@pytest.mark.parametrize(
    ("column", "ours"), [("TX_DATETIME", "occurred_at"), ("TRANSACTION_ID", "transaction"), ("TX_AMOUNT", "amount")]
)
def test_a_missing_column_is_named_with_what_it_may_be_called(column: str, ours: str) -> None:
    said = refused(ROWS.drop(column))
    assert said.startswith(f"no column for {ours}")
    assert column in said


def test_a_file_must_say_whose_a_transaction_is() -> None:
    assert "CUSTOMER_ID" in refused(ROWS.drop("CUSTOMER_ID"))


@pytest.mark.parametrize(("column", "bad"), [("TX_AMOUNT", "many"), ("TX_DATETIME", "yesterday"), ("TX_AMOUNT", None)])
def test_what_cannot_be_read_is_shown(column: str, bad: str | None) -> None:
    said = refused(ROWS.with_columns(pl.Series(column, [ROWS[column][0], bad, ROWS[column][2]])))
    assert said.startswith(f"{column}: 1 of 3 rows cannot be read")
    assert repr(bad) in said


def test_an_id_that_is_there_twice_is_refused() -> None:
    assert "TRANSACTION_ID 1 is there more than once" in refused(ROWS.with_columns(pl.lit(1).alias("TRANSACTION_ID")))


def test_amounts_of_two_currencies_are_not_compared() -> None:
    assert "several currencies" in refused(ROWS.with_columns(pl.Series("currency", ["EUR", "JPY", "EUR"])))
    assert as_transactions(ROWS.with_columns(pl.lit("EUR").alias("currency"))).rows.height == 3


def test_without_labels_it_says_what_to_do() -> None:
    with pytest.raises(FraudDataError, match="--unsupervised"):
        labels_of(as_transactions(ROWS.drop("TX_FRAUD")).rows)
