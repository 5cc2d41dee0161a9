"""The model: it learns, it sees nothing in shuffled labels, it is calibrated, and it is one file that runs nothing."""

import io
import json
import zipfile
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal, assert_series_equal

from assets.finance.fraud import evaluation
from assets.finance.fraud.calibration import Costs, calibration_error
from assets.finance.fraud.columns import FraudDataError, Transactions, as_transactions
from assets.finance.fraud.drift import drift_of
from assets.finance.fraud.features import feature_frame
from assets.finance.fraud.model_file import ModelFileError, from_bytes, to_bytes
from assets.finance.fraud.scoring import in_order_of_file, preceded_by, score_transactions
from assets.finance.fraud.supervised import Model, reasons, score, train, words
from tests.assets.finance.fraud.payments import START, payments

DAYS = 56
UNTIL = START + timedelta(42)


@pytest.fixture(scope="module")
def given() -> pl.DataFrame:
    return payments(days=DAYS, clients=220, terminals=90)


@pytest.fixture(scope="module")
def transactions(given: pl.DataFrame) -> Transactions:
    return as_transactions(given)


@pytest.fixture(scope="module")
def model(transactions: Transactions) -> Model:
    return train(transactions, UNTIL)


@pytest.fixture(scope="module")
def features(transactions: Transactions) -> pl.DataFrame:
    return feature_frame(transactions.rows)


def later(transactions: Transactions, scores: pl.Series) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, scores and amounts a delay after what was trained on."""
    told = transactions.rows.with_columns(scores.alias("score")).filter(pl.col("occurred_at") >= UNTIL + timedelta(7))
    return told["fraud"].to_numpy(), told["score"].to_numpy(), told["amount"].to_numpy()


def ranked(labels: np.ndarray, scores: np.ndarray) -> tuple[float, float]:
    """ROC AUC and average precision."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    return float(roc_auc_score(labels, scores)), float(average_precision_score(labels, scores))


def test_it_ranks_and_is_calibrated_on_later_weeks(
    transactions: Transactions, model: Model, features: pl.DataFrame
) -> None:
    labels, scores, _ = later(transactions, score(model, features))
    area, precision = ranked(labels, scores)
    assert area > 0.75
    assert precision > 6 * labels.mean()
    assert calibration_error(scores, labels) < 0.05
    assert scores.sum() == pytest.approx(labels.sum(), rel=0.5)
    assert model.validation.roc_auc is not None and model.validation.roc_auc > 0.7
    assert model.validation.frauds > 0


def test_shuffled_labels_teach_nothing(given: pl.DataFrame, transactions: Transactions, features: pl.DataFrame) -> None:
    rng = np.random.default_rng(1)
    shuffled = given.with_columns(pl.Series("TX_FRAUD", rng.permutation(given["TX_FRAUD"].to_numpy())))
    blind = train(as_transactions(shuffled), UNTIL)
    assert blind.validation.roc_auc is not None and 0.35 < blind.validation.roc_auc < 0.65
    labels, scores, _ = later(transactions, score(blind, feature_frame(as_transactions(shuffled).rows)))
    area, precision = ranked(labels, scores)
    assert 0.4 < area < 0.6
    assert precision < 1.5 * labels.mean()
    # It knows that it knows nothing: every row is about as likely as the mean.
    assert np.quantile(scores, 0.99) < 5 * labels.mean()


def test_nothing_after_the_given_day_is_looked_at(transactions: Transactions, model: Model) -> None:
    future = pl.col("occurred_at") >= UNTIL
    changed = transactions.rows.with_columns(
        pl.when(future).then(1 - pl.col("fraud")).otherwise("fraud").alias("fraud"),
        pl.when(future).then(pl.col("amount") * 9).otherwise("amount").alias("amount"),
    )
    again = train(replace(transactions, rows=changed), UNTIL)
    assert again.booster == model.booster
    assert (again.calibration, again.threshold, again.validation) == (
        model.calibration,
        model.threshold,
        model.validation,
    )


def test_the_threshold_costs_less_than_any_other(transactions: Transactions, model: Model) -> None:
    assert 0 < model.threshold.cost < model.threshold.cost_without
    dear, cheap = (train(transactions, UNTIL, Costs(cost)).threshold for cost in (200.0, 0.5))
    assert cheap.alerts > model.threshold.alerts > dear.alerts
    assert cheap.value < model.threshold.value < dear.value


def test_reasons_are_what_raised_the_score(transactions: Transactions, model: Model, features: pl.DataFrame) -> None:
    large = features.filter(transactions.rows["amount"] > 300).head(5)
    for told in reasons(model, large):
        assert 1 <= len(told) <= 3
        assert any("amount" in one for one in told)
    assert reasons(model, features.head(0)) == []
    assert words("terminal_reported_share_7d") == "share of reported frauds of the terminal, a week ago, within 7 days"
    assert words("customer_count_1h") == "transactions of the customer within 1 hour"


@pytest.mark.parametrize(
    ("until", "said"),
    [
        (START, "no row with a label lies before 2024-01-01"),
        (START + timedelta(8), "there are 0 frauds to learn from and 20 are needed"),
    ],
)
def test_too_few_labels_are_refused_with_what_to_do(transactions: Transactions, until: datetime, said: str) -> None:
    with pytest.raises(FraudDataError) as raised:
        train(transactions, until)
    assert said in str(raised.value)
    assert "--until" in str(raised.value)


def test_without_labels_there_is_nothing_to_learn(given: pl.DataFrame) -> None:
    with pytest.raises(FraudDataError, match="--unsupervised"):
        train(as_transactions(given.drop("TX_FRAUD")), UNTIL)


def test_a_model_is_one_file_that_says_the_same_again(model: Model, features: pl.DataFrame) -> None:
    content = to_bytes(model)
    assert to_bytes(model) == content
    again = from_bytes(content)
    assert_series_equal(score(again, features), score(model, features))
    assert replace(again, history=None) == replace(model, history=None)
    assert again.history is not None and model.history is not None
    assert_frame_equal(again.history, model.history)
    assert again.versions["lightgbm"]


def test_a_model_file_holds_text_and_tables_only(model: Model) -> None:
    with zipfile.ZipFile(io.BytesIO(to_bytes(model))) as file:
        assert file.namelist() == ["metadata.json", "model.txt", "history.parquet"]
        metadata = json.loads(file.read("metadata.json"))
    assert metadata["format"] == "luxauto-fraud-model"
    assert metadata["validation"]["roc_auc"] == model.validation.roc_auc
    with zipfile.ZipFile(io.BytesIO(to_bytes(replace(model, history=None)))) as file:
        assert file.namelist() == ["metadata.json", "model.txt"]


def rewritten(model: Model, part: str, change: Any) -> bytes:
    """The model's file with one part changed."""
    with zipfile.ZipFile(io.BytesIO(to_bytes(model))) as file:
        parts = {name: file.read(name) for name in file.namelist()}
    parts[part] = change(parts[part])
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        for name, content in parts.items():
            file.writestr(name, content)
    return made.getvalue()


def test_damaged_foreign_and_newer_files_are_refused(model: Model) -> None:
    with pytest.raises(ModelFileError, match=r"damaged: model\.txt"):
        from_bytes(rewritten(model, "model.txt", lambda text: text + b" "), "m")
    with pytest.raises(ModelFileError, match="version 2 of the format and this program reads 1"):
        from_bytes(rewritten(model, "metadata.json", lambda text: text.replace(b'"version": 1', b'"version": 2')), "m")
    for content in (b"", b"words", b"\x80\x04K\x01.", rewritten(model, "metadata.json", lambda text: b"{}")):
        with pytest.raises(ModelFileError, match="m is no fraud model"):
            from_bytes(content, "m")


def test_a_file_of_new_days_alone_is_scored_with_the_days_before(
    given: pl.DataFrame, transactions: Transactions, model: Model, features: pl.DataFrame
) -> None:
    """The model's history stands in for the days that the file lacks: the scores are those of the whole file."""
    fresh = given.filter(pl.col("TX_DATETIME") >= UNTIL)
    alone = score_transactions(as_transactions(fresh), [], model)
    whole = score(model, features).tail(fresh.height)
    assert_series_equal(alone.rows["score"], whole)
    without = score_transactions(as_transactions(fresh), [], replace(model, history=None))
    assert not without.rows["score"].equals(whole)
    unlabelled = as_transactions(fresh.drop("TX_FRAUD"))
    assert model.history is not None
    assert preceded_by(model.history, unlabelled.rows)["fraud"].null_count() == fresh.height
    first_week = pl.Series(transactions.rows.tail(fresh.height)["occurred_at"] < UNTIL + timedelta(7))
    # For a week nothing of what is reported lies in the new days.
    assert_series_equal(
        score_transactions(unlabelled, [], model).rows["score"].filter(first_week), whole.filter(first_week)
    )


def test_days_long_after_the_training_are_scored_by_themselves(
    given: pl.DataFrame, model: Model, features: pl.DataFrame
) -> None:
    """The model has seen the file to its end, though it learned only from its beginning."""
    assert model.history is not None
    assert model.history["occurred_at"].max() == given["TX_DATETIME"].max()
    later_days = payments(days=DAYS + 4, clients=220, terminals=90).filter(
        pl.col("TX_DATETIME") >= START + timedelta(DAYS)
    )
    alone = as_transactions(later_days)
    together = as_transactions(pl.concat([given, later_days.with_columns(pl.col("TRANSACTION_ID") + 10**6)]))
    whole = score(model, feature_frame(together.rows)).tail(later_days.height)
    assert_series_equal(score_transactions(alone, [], model).rows["score"], whole)
    text = alone.rows.with_columns(pl.col("customer", "terminal", "transaction").cast(pl.String))
    assert_series_equal(score_transactions(replace(alone, rows=text), [], model).rows["score"], whole)


def test_scores_keep_the_files_ids_and_order(given: pl.DataFrame, model: Model) -> None:
    mixed = (
        given.tail(500)
        .sample(fraction=1, shuffle=True, seed=3)
        .with_columns((pl.lit("p-") + pl.col("TRANSACTION_ID").cast(pl.String)).alias("TRANSACTION_ID"))
    )
    told = as_transactions(mixed)
    made = in_order_of_file(mixed, score_transactions(told, [], model), told.names)
    assert made.columns == ["TRANSACTION_ID", "score", "alert", "action", "rules", "reasons"]
    assert made["TRANSACTION_ID"].to_list() == mixed["TRANSACTION_ID"].to_list()
    assert made["score"].is_between(0, 1).all()
    assert (made["alert"] == (made["score"] >= model.threshold.value)).all()
    assert (made["alert"] == (made["reasons"].list.len() > 0)).all()


def test_a_file_without_most_of_what_was_learned_from_is_refused(model: Model, given: pl.DataFrame) -> None:
    other = as_transactions(given.select("TRANSACTION_ID", "TX_DATETIME", "TX_AMOUNT", pl.lit("shop").alias("channel")))
    with pytest.raises(FraudDataError, match="lacks what most of the model's features are made of"):
        score(model, feature_frame(other.rows))


def test_drift_is_seen_where_there_is_some(model: Model, features: pl.DataFrame, transactions: Transactions) -> None:
    fresh = features.filter(transactions.rows["occurred_at"] >= UNTIL)
    told = fresh.with_columns(score(model, fresh).alias("score"))
    calm = {one.column: one for one in drift_of(model.references, told)}
    assert calm["score"].state == "stable"
    assert calm["value"].state == "stable"
    dearer = {one.column: one.state for one in drift_of(model.references, told.with_columns(pl.col("value") * 3))}
    assert dearer["value"] == "shifted"
    gone = {one.column: one.state for one in drift_of(model.references, told.drop("value"))}
    assert gone["value"] == "unknown"


@pytest.mark.slow
def test_the_handbooks_protocol_gives_the_handbooks_figures(shared_data: Path) -> None:
    """Train before 2018-05-15, a week's delay, a week of test: .885 ROC AUC, .686 average precision, .374 card precision."""
    rows = as_transactions(pl.read_parquet(shared_data / "card_fraud_sim.parquet"))
    rows = replace(rows, rows=rows.rows.filter(pl.col("occurred_at") < datetime(2018, 6, 5)))
    until = datetime(2018, 5, 15)
    trained = train(rows, until)
    told = rows.rows.with_columns(score(trained, feature_frame(rows.rows)), pl.col("customer").alias("card"))
    first, second = (
        evaluation.figures(evaluation.tested_rows(told, until + timedelta(days), 7, until + timedelta(days - 7)))
        for days in (0, 7)
    )
    for found in (first, second):
        assert found.roc_auc is not None and found.roc_auc > 0.885 - 0.02
        assert found.average_precision is not None and found.average_precision > 0.686
        assert found.card_precision_at_100 is not None and found.card_precision_at_100 > 0.374 - 0.04
    assert (first.rows, first.frauds) == (58175, 402)
    tested = told.filter(pl.col("occurred_at") >= until + timedelta(7))
    assert calibration_error(tested["score"].to_numpy(), tested["fraud"].to_numpy()) < 0.004
