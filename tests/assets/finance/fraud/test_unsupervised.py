"""The score without labels: what it is made of, that it keeps ranks, and that labels are nothing to it."""

import re
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from assets.finance.fraud import evaluation, unsupervised
from assets.finance.fraud.columns import as_transactions
from assets.finance.fraud.features import feature_frame
from tests.assets.finance.fraud.payments import payments


def average_precision(labels: np.ndarray, scores: np.ndarray) -> float:
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(labels, scores))


def row(**values: float | None) -> pl.DataFrame:
    usual = {"owner_deviation": 0.0, "owner_ratio": 1.0, "population_deviation": 0.0, "population_ratio": 1.0}
    return pl.DataFrame({name: [value] for name, value in {**usual, "owner_unusual_14d": 0.0, **values}.items()})


def scored(**values: float | None) -> float:
    return unsupervised.score(row(**values))[0]


def test_four_deviations_are_one_half_and_more_is_more() -> None:
    assert scored(owner_deviation=4.0) == pytest.approx(0.5)
    ladder = [scored(owner_deviation=deviation) for deviation in (0.0, 1.0, 3.0, 4.0, 6.0, 50.0, 1e6)]
    assert ladder == sorted(set(ladder))
    assert 0 < ladder[0] < ladder[-1] < 1


def test_the_greatest_surprise_counts_and_company_adds_to_it() -> None:
    assert scored(owner_deviation=7.0, population_deviation=5.0) == scored(owner_deviation=7.0)
    assert scored(owner_deviation=7.0, owner_unusual_14d=2.0) > scored(owner_deviation=7.0)


def test_what_is_not_known_is_no_surprise() -> None:
    assert scored(owner_deviation=None, population_deviation=float("nan")) == scored()
    assert unsupervised.score(pl.DataFrame({"at_night": [1.0]})).to_list() == [None]


def test_reasons_are_told_the_greatest_first() -> None:
    features = row(
        owner_deviation=5.0, owner_ratio=3.2, population_deviation=9.0, population_ratio=7.0, owner_unusual_14d=2.0
    )
    assert unsupervised.reasons(features) == [
        [
            "amount is 7.0 times the usual one of the last month",
            "amount is 3.2 times what the owner usually spends",
            "2 more unusual amounts in the two weeks before",
        ]
    ]
    assert unsupervised.reasons(row()) == [[]]


def test_a_burst_a_stranger_and_a_returner_stand_out() -> None:
    assert scored(customer_count_1h=2.0) == scored()
    assert scored(customer_count_1h=12.0) > 0.8
    assert scored(country_seen=0.0) == pytest.approx(0.5)
    # While nothing is known of what is usual, every country is new.
    assert scored(country_seen=0.0, population_deviation=None) == scored()
    assert (
        scored(owner_returns_365d=9.0, owner_return_share_365d=0.9)
        > 0.5
        > scored(owner_returns_365d=1.0, owner_return_share_365d=1.0)
    )
    assert scored(km_per_hour=2000.0, km_from_last=4000.0) > 0.5


def test_it_finds_unusual_amounts_without_labels_and_labels_change_nothing() -> None:
    given = payments()
    rows = as_transactions(given.drop("TX_FRAUD")).rows
    scores = unsupervised.score(feature_frame(rows))
    told = given.sort("TX_DATETIME", "TRANSACTION_ID").with_columns(scores.alias("score"))
    # What happens at a compromised terminal looks like everything else.
    asked = told.filter(pl.col("TX_DATETIME") > datetime(2024, 1, 15), pl.col("TX_FRAUD_SCENARIO") != 2)
    assert average_precision(asked["TX_FRAUD"].to_numpy(), asked["score"].to_numpy()) > 0.7
    assert asked["TX_FRAUD"].sum() < 0.04 * asked.height
    turned = given.with_columns(1 - pl.col("TX_FRAUD"))
    assert unsupervised.score(feature_frame(as_transactions(turned).rows)).equals(scores)


def test_reported_frauds_count_only_where_asked_for() -> None:
    rows = as_transactions(payments(clients=80, terminals=20)).rows
    features = feature_frame(rows)
    plain, told = unsupervised.score(features), unsupervised.score(features, reports=True)
    assert (told >= plain).all()
    labels = rows["fraud"].to_numpy()
    assert average_precision(labels, told.to_numpy()) > 1.5 * average_precision(labels, plain.to_numpy())


@pytest.mark.slow
def test_on_the_handbooks_payments_it_beats_an_isolation_forest(shared_data: Path) -> None:
    """Both without labels, the forest over the Handbook's features. With reports, which the published forest had, also it."""
    from sklearn.ensemble import IsolationForest

    rows = as_transactions(pl.read_parquet(shared_data / "card_fraud_sim.parquet")).rows.filter(
        pl.col("occurred_at") < UNTIL + timedelta(14)
    )
    features = feature_frame(rows)
    names = ["value", "at_weekend", "at_night", *(n for n in features.columns if WINDOWED.fullmatch(n))]
    assert len(names) == 12
    given = features.select(names).to_numpy()
    days = rows["occurred_at"]
    week = ((days >= UNTIL - timedelta(7)) & (days < UNTIL)).to_numpy()
    forest = IsolationForest(n_estimators=100, random_state=0).fit(given[week])
    tested = (days >= UNTIL + timedelta(7)).to_numpy()
    isolated = np.zeros(len(given))
    isolated[tested] = -forest.score_samples(given[tested])

    plain, told = unsupervised.score(features), unsupervised.score(features, reports=True)
    ours, theirs, with_reports = (of_the_protocol(rows, pl.Series(scores)) for scores in (plain, isolated, told))
    assert all(one > other for one, other in zip(ours, theirs, strict=True))
    # Two thirds of these frauds are ordinary amounts at a compromised terminal, which only reports can tell.
    assert ours[1] > 0.26
    assert all(one > published for one, published in zip(with_reports, (0.832, 0.281, 0.277), strict=True))


UNTIL = datetime(2018, 5, 15)
WINDOWED = re.compile(r"customer_(count|mean)_\d+d|terminal_count_\d+d")


def of_the_protocol(rows: pl.DataFrame, scores: pl.Series) -> tuple[float, float, float]:
    """ROC AUC, average precision and card precision of the week that lies a delay after UNTIL."""
    told = rows.with_columns(pl.col("customer").alias("card"), scores.alias("score"))
    found = evaluation.figures(evaluation.tested_rows(told, UNTIL, 7, UNTIL - timedelta(7)))
    assert found.roc_auc is not None and found.average_precision is not None and found.card_precision_at_100 is not None
    return found.roc_auc, found.average_precision, found.card_precision_at_100
