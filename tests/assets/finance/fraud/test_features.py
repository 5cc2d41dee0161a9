"""What is known of a transaction: windows are right, and never look ahead."""

from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from assets.finance.fraud.columns import as_transactions
from assets.finance.fraud.features import DAYS, DELAY_DAYS, feature_frame, feature_names
from tests.assets.finance.fraud.payments import payments

START = datetime(2024, 3, 1)


def frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Transactions under our names; `at` are hours from the start, ids are numbers in order."""
    made = [
        {"transaction": n, "occurred_at": START + timedelta(hours=row.pop("at")), **row} for n, row in enumerate(rows)
    ]
    return as_transactions(pl.DataFrame(made, infer_schema_length=None)).rows


def features(rows: list[dict[str, Any]], **options: Any) -> list[dict[str, Any]]:
    return feature_frame(frame(rows), **options).to_dicts()


_ROW = st.fixed_dictionaries(
    {
        "at": st.integers(0, 24 * 60),
        "customer": st.sampled_from(["a", "b", None]),
        "terminal": st.sampled_from(["x", "y"]),
        "device": st.sampled_from(["p", "q", None]),
        "card": st.sampled_from(["1", "2", "3"]),
        "channel": st.sampled_from(["shop", "web"]),
        "country": st.sampled_from(["FR", "SG"]),
        "amount": st.floats(-50, 500).map(lambda value: round(value, 2)),
        "fraud": st.sampled_from([0, 1, None]),
        "is_return": st.sampled_from([0, 1]),
        "gift_card": st.sampled_from([0.0, 50.0]),
        "latitude": st.floats(-80, 80),
        "longitude": st.floats(-170, 170),
    }
)


@settings(max_examples=8, deadline=None)
@given(rows=st.lists(_ROW, min_size=2, max_size=25), cut=st.integers(0, 24 * 60))
def test_rows_that_come_later_never_change_what_was_known(rows: list[dict[str, Any]], cut: int) -> None:
    whole = frame([dict(row) for row in sorted(rows, key=lambda row: row["at"])])
    until = START + timedelta(hours=cut)
    earlier = whole.filter(pl.col("occurred_at") <= until)
    assert_frame_equal(
        feature_frame(earlier), feature_frame(whole).head(earlier.height) if earlier.height else feature_frame(earlier)
    )


@settings(max_examples=8, deadline=None)
@given(rows=st.lists(_ROW, min_size=2, max_size=25))
def test_a_label_younger_than_the_delay_is_not_looked_at(rows: list[dict[str, Any]]) -> None:
    told = frame([dict(row) for row in sorted(rows, key=lambda row: row["at"])])
    last = told["occurred_at"].max()
    assert isinstance(last, datetime)
    young = pl.col("occurred_at") > last - timedelta(DELAY_DAYS)
    hidden = told.with_columns(pl.when(young).then(None).otherwise("fraud").alias("fraud"))
    turned = told.with_columns(pl.when(young).then(1 - pl.col("fraud")).otherwise("fraud").alias("fraud"))
    of_last = pl.Series(told["occurred_at"] == last)
    wanted = feature_frame(told).filter(of_last)
    assert_frame_equal(feature_frame(hidden).filter(of_last), wanted)
    assert_frame_equal(feature_frame(turned).filter(of_last), wanted)


def test_windows_of_a_spender_are_those_counted_by_hand() -> None:
    rows = as_transactions(payments(days=40, clients=20)).rows
    made = feature_frame(rows)
    for number in range(0, rows.height, 97):
        row = rows.row(number, named=True)
        for days in DAYS:
            window = rows.filter(
                (pl.col("customer") == row["customer"])
                & (pl.col("occurred_at") >= row["occurred_at"] - timedelta(days))
                & (pl.col("occurred_at") <= row["occurred_at"])
            )
            assert made[f"customer_count_{days}d"][number] == window.height
            assert made[f"customer_mean_{days}d"][number] == pytest.approx(window["amount"].mean())


def test_reports_of_a_terminal_are_those_counted_by_hand() -> None:
    rows = as_transactions(payments(days=40, clients=40, terminals=10)).rows
    made = feature_frame(rows)
    for number in range(rows.height // 2, rows.height, 97):
        row = rows.row(number, named=True)
        for days in DAYS:
            until = row["occurred_at"] - timedelta(DELAY_DAYS)
            window = rows.filter(
                (pl.col("terminal") == row["terminal"])
                & (pl.col("occurred_at") >= until - timedelta(days))
                & (pl.col("occurred_at") <= until)
            )
            assert made[f"terminal_reported_{days}d"][number] == window["fraud"].sum()
            if window.height:
                assert made[f"terminal_reported_share_{days}d"][number] == pytest.approx(window["fraud"].mean())


def test_a_share_counts_only_rows_whose_label_is_known() -> None:
    rows = [{"at": 0, "terminal": "x", "amount": 1, "fraud": label} for label in (1, None, None, 0)]
    *_, last = features([*rows, {"at": 24 * 8, "terminal": "x", "amount": 1, "fraud": None}])
    assert (last["terminal_reported_7d"], last["terminal_reported_share_7d"]) == (1, 0.5)


def test_without_reports_labels_are_not_looked_at_at_all() -> None:
    rows = as_transactions(payments(days=10)).rows
    made = feature_frame(rows, reports=False)
    assert not [name for name in made.columns if "reported" in name]
    assert_frame_equal(made, feature_frame(rows.drop("fraud")))


def test_an_amount_is_compared_with_what_was_spent_before_and_not_with_itself() -> None:
    usual = [{"at": hour, "customer": "a", "amount": amount} for hour, amount in enumerate([10, 12, 11, 9, 10, 13, 10])]
    *before, last = features([*usual, {"at": 30, "customer": "a", "amount": 100}])
    assert last["owner_median"] == 10
    assert last["owner_ratio"] == 10
    assert last["owner_deviation"] > 12
    assert before[0]["owner_deviation"] is None
    assert all(abs(row["owner_deviation"]) < 2 for row in before[1:])


def test_what_is_given_back_is_not_what_is_usually_spent() -> None:
    rows = [{"at": n, "customer": "a", "amount": amount} for n, amount in enumerate([100, -100, -100, 100])]
    assert [row["owner_median"] for row in features(rows)] == [None, 100, 100, 100]


def test_unusual_amounts_of_the_fortnight_before_are_counted() -> None:
    usual = [{"at": hour, "customer": "a", "amount": 10} for hour in range(20)]
    high = [{"at": 30 + hour, "customer": "a", "amount": 200} for hour in range(3)]
    later = {"at": 30 + 15 * 24, "customer": "a", "amount": 10}
    made = features([*usual, *high, later])
    assert [row["owner_unusual_14d"] for row in made[20:]] == [0, 1, 2, 0]


def test_the_usual_amount_of_everybody_is_of_the_channel_and_the_days_before() -> None:
    rows = [
        {"at": 12 * day, "customer": f"{day}", "channel": channel, "amount": amount + day % 3}
        for day in range(120)
        for channel, amount in (("web", 10), ("wholesale", 1000))
    ]
    made = features(rows)
    assert made[0]["population_deviation"] is None
    assert made[-1]["population_ratio"] == pytest.approx(1, abs=0.1)
    assert made[-2]["population_ratio"] == pytest.approx(1, abs=0.1)


def test_nobody_is_no_group() -> None:
    made = features([{"at": n, "customer": None, "terminal": "x", "amount": 5} for n in range(3)])
    assert [row["customer_count_7d"] for row in made] == [None] * 3
    assert [row["terminal_count_7d"] for row in made] == [1, 2, 3]


def test_distance_and_speed_from_the_transaction_before() -> None:
    paris, singapore = (48.8566, 2.3522), (1.3521, 103.8198)
    rows = [
        {"at": hour, "customer": "a", "amount": 5, "latitude": lat, "longitude": lon}
        for hour, (lat, lon) in ((0, paris), (1, paris), (3, singapore))
    ]
    first, second, third = features(rows)
    assert first["km_from_last"] is None
    assert second["km_from_last"] == pytest.approx(0, abs=1e-6)
    assert third["km_from_last"] == pytest.approx(10_730, rel=0.01)
    assert third["km_per_hour"] == pytest.approx(third["km_from_last"] / 2)


def test_mismatches_first_times_and_company() -> None:
    rows = [
        {"at": 0, "customer": "a", "device": "d", "card": "1", "country": "FR", "card_country": "fr", "amount": 5},
        {"at": 1, "customer": "b", "device": "d", "card": "2", "country": "FR", "card_country": "US", "amount": 5},
        {"at": 2, "customer": "b", "device": "e", "card": "3", "country": "SG", "card_country": None, "amount": 5},
    ]
    made = features(rows)
    assert [row["card_country_differs_from_country"] for row in made] == [0, 1, None]
    assert [row["country_seen"] for row in made] == [0, 1, 0]
    assert [row["first_time_country"] for row in made] == [1, 1, 1]
    assert [row["device_customers_7d"] for row in made] == [1, 2, 1]
    assert [row["customer_cards_7d"] for row in made] == [1, 1, 2]


def test_returns_and_gift_cards_are_counted() -> None:
    rows = [
        {"at": 24 * n, "customer": "a", "amount": 50, "is_return": back, "gift_card": card}
        for n, (back, card) in enumerate([(0, 50.0), (0, 0.0), (1, 0.0), (1, 50.0)])
    ]
    made = features(rows)
    assert [row["owner_returns_365d"] for row in made] == [0, 0, 1, 2]
    assert [row["owner_return_share_365d"] for row in made] == [0, 0, 0.5, 1]
    assert [row["owner_gift_cards_7d"] for row in made] == [1, 1, 1, 2]
    assert [row["owner_gift_card_amount_7d"] for row in made] == [50, 50, 50, 100]


def test_features_are_in_the_order_of_the_rows_and_named_in_advance() -> None:
    rows = as_transactions(payments(days=5)).rows
    made = feature_frame(rows)
    assert made["transaction"].to_list() == rows["transaction"].to_list()
    assert made.columns[1:] == feature_names(rows.columns)
    assert feature_frame(rows.clear()).height == 0
