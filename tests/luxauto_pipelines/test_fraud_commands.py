"""`luxauto fraud` as a person or a script runs it. Does not belong here: how good a score is (`tests/assets/finance/fraud`)."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner, Result

from assets.finance.fraud.columns import FraudDataError
from assets.finance.fraud.model_file import ModelFileError
from assets.finance.fraud.rules import SHIPPED, InvalidRule
from luxauto_pipelines.cli import app
from luxauto_pipelines.instance import reload
from resources.card_data import CardDataRefused
from resources.store.audit import read_page
from resources.store.brands import channel_ids
from resources.store.bulk import insert_row
from resources.store.fraud import FraudReviewError
from resources.tables import UnreadableTable
from tests.assets.finance.fraud.payments import START, payments

UNTIL = START + timedelta(42)


def luxauto(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["fraud", *(str(one) for one in arguments)])


def said(*arguments: object, code: int = 0) -> Any:
    result = luxauto(*arguments, "--format", "json")
    assert isinstance(result.exception, SystemExit | None), repr(result.exception)
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def done(*arguments: object) -> str:
    result = luxauto(*arguments)
    assert result.exit_code == 0, f"{result.output} {result.exception!r}"
    return result.stdout


def refused(kind: type[Exception], *arguments: object) -> str:
    result = luxauto(*arguments)
    assert isinstance(result.exception, kind), result.output
    return str(result.exception)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("payments") / "payments.parquet"
    payments(days=50, clients=200, terminals=80).write_parquet(path)
    return path


@pytest.fixture(scope="module")
def model(file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of the payments, made where there is no installation."""
    path = tmp_path_factory.mktemp("model") / "fraud.model"
    patch = pytest.MonkeyPatch()
    patch.setenv("LUXAUTO_HOME", str(path.parent / "none"))
    done("train", file, "--until", f"{UNTIL:%Y-%m-%d}", "--out", path)
    patch.undo()
    assert not (path.parent / "none").exists()
    return path


@pytest.fixture
def installation(home: Path) -> Iterator[Path]:
    """An installation without a run of Dagster."""
    (home / "dagster").mkdir(parents=True)
    (home / "dagster" / ".storage-made").touch()
    yield home


def test_train_prints_figures_of_later_days_and_keeps_them(file: Path, model: Path, tmp_path: Path) -> None:
    text = done("train", file, "--until", f"{UNTIL:%Y-%m-%d}", "--out", tmp_path / "m")
    for words in ("ROC AUC", "average precision", "card precision at 100", "threshold"):
        assert words in text
    told = said("train", file, "--until", f"{UNTIL:%Y-%m-%d}", "--out", tmp_path / "m", "--no-history")
    assert told["validation"]["roc_auc"] > 0.6
    assert told["verdicts"] == 0
    assert (tmp_path / "m").stat().st_size < model.stat().st_size


def test_score_writes_every_id_with_its_score_and_reasons(file: Path, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "scores.parquet"
    told = said("score", file, "--model", model, "--out", out)
    scores, rows = pl.read_parquet(out), pl.read_parquet(file)
    assert scores.columns == ["TRANSACTION_ID", "score", "alert", "action", "rules", "reasons"]
    assert scores["TRANSACTION_ID"].equals(rows["TRANSACTION_ID"])
    assert scores["score"].is_between(0, 1).all()
    assert (told["rows"], told["alerts"]) == (rows.height, scores["alert"].sum())
    assert scores.filter(pl.col("alert") != (pl.col("reasons").list.len() > 0)).is_empty()
    assert "burst" not in told["rules_left_out"]
    assert "first order to a country" in told["rules_left_out"]
    fraud, other = (scores.filter(rows["TX_FRAUD"] == label)["score"].mean() for label in (1, 0))
    assert isinstance(fraud, float) and isinstance(other, float)
    assert fraud > 3 * other


def test_score_needs_no_labels_at_all(file: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare.csv"
    pl.read_parquet(file).drop("TX_FRAUD", "TX_FRAUD_SCENARIO").head(5000).write_csv(bare)
    text = done("score", bare, "--unsupervised", "--out", tmp_path / "bare.parquet")
    assert "alerts from 0.5000 on" in text
    labelled, out = tmp_path / "labelled.parquet", tmp_path / "labelled.scores.parquet"
    pl.read_parquet(file).head(5000).write_parquet(labelled)
    done("score", labelled, "--unsupervised", "--no-reports", "--out", out)
    assert pl.read_parquet(out)["score"].equals(pl.read_parquet(tmp_path / "bare.parquet")["score"])
    done("score", labelled, "--unsupervised", "--out", out)
    assert not pl.read_parquet(out)["score"].equals(pl.read_parquet(tmp_path / "bare.parquet")["score"])


def test_new_days_alone_are_scored_after_the_days_before(file: Path, tmp_path: Path) -> None:
    rows = pl.read_parquet(file)
    new = pl.col("TX_DATETIME") >= UNTIL
    earlier, later = tmp_path / "earlier.csv", tmp_path / "later.parquet"
    rows.filter(~new).write_csv(earlier)
    rows.filter(new).write_parquet(later)
    found = {}
    for name, arguments in {"all": [file], "new": [later, "--before", earlier], "bare": [later]}.items():
        done("score", *arguments, "--unsupervised", "--out", tmp_path / name)
        found[name] = pl.read_parquet(tmp_path / name)
    count = found["new"].height
    assert found["new"]["TRANSACTION_ID"].equals(rows.filter(new)["TRANSACTION_ID"])
    assert found["new"]["score"].equals(found["all"]["score"].tail(count))
    assert not found["bare"]["score"].equals(found["new"]["score"])


def test_what_is_missing_is_named_with_the_remedy(file: Path, model: Path, tmp_path: Path) -> None:
    rows = pl.read_parquet(file).head(100)
    lacking, unlabelled = tmp_path / "lacking.parquet", tmp_path / "unlabelled.parquet"
    rows.drop("TX_AMOUNT").write_parquet(lacking)
    rows.drop("TX_FRAUD").write_parquet(unlabelled)
    out = ("--out", tmp_path / "out")
    day = ("--until", "2024-02-01")
    assert "TX_AMOUNT" in refused(FraudDataError, "score", lacking, "--unsupervised", *out)
    assert "TX_FRAUD" in refused(FraudDataError, "train", unlabelled, *day, *out)
    assert "are needed" in refused(FraudDataError, "train", file, "--until", "2024-01-10", *out)
    assert "either --model" in refused(FraudDataError, "score", file, *out)
    assert "either --model" in refused(FraudDataError, "score", file, "--model", model, "--unsupervised", *out)
    assert "goes with --unsupervised" in refused(FraudDataError, "score", file, "--model", model, "--no-reports", *out)
    assert "is not a file" in refused(ModelFileError, "score", file, "--model", tmp_path / "none", *out)
    assert "no fraud model" in refused(ModelFileError, "score", file, "--model", file, *out)
    assert "not a file" in refused(UnreadableTable, "score", tmp_path / "none.csv", "--unsupervised", *out)
    assert not (tmp_path / "out").exists()


def test_card_numbers_are_refused_and_tokens_taken(file: Path, tmp_path: Path) -> None:
    rows = pl.read_parquet(file).head(50)
    numbers, tokens = tmp_path / "numbers.csv", tmp_path / "tokens.csv"
    rows.with_columns(pl.lit("4111 1111 1111 1111").alias("card")).write_csv(numbers)
    rows.with_columns(pl.lit("tok_4fA1x").alias("card")).write_csv(tokens)
    message = refused(CardDataRefused, "score", numbers, "--unsupervised", "--out", tmp_path / "out")
    assert "column card" in message
    assert "4111" not in message
    done("score", tokens, "--unsupervised", "--out", tmp_path / "out")


@pytest.mark.usefixtures("installation")
def test_alerts_are_queued_reviewed_and_become_labels(file: Path, model: Path, tmp_path: Path) -> None:
    day = tmp_path / "day.parquet"
    rows = pl.read_parquet(file).filter(pl.col("TX_DATETIME") >= UNTIL)
    rows.write_parquet(day)
    told = said("score", day, "--model", model, "--out", tmp_path / "s.parquet", "--threshold", "0.5", "--queue")
    assert told["queued"] == told["alerts"] > 1
    assert (
        said("score", day, "--model", model, "--out", tmp_path / "s.parquet", "--threshold", "0.5", "--queue")["queued"]
        == 0
    )
    queue = said("queue", "--limit", "1000")["reviews"]
    assert len(queue) == told["alerts"]
    assert [row["score"] for row in queue] == sorted((row["score"] for row in queue), reverse=True)
    first, second = queue[0]["subject"], queue[1]["subject"]
    assert said("review", first, "legit", "--note", "her birthday")["verdict"] == "legit"
    done("review", second, "fraud")
    assert {row["subject"] for row in said("queue", "--state", "decided")["reviews"]} == {first, second}
    again = said("train", file, "--until", f"{UNTIL + timedelta(8):%Y-%m-%d}", "--out", tmp_path / "m")
    assert again["verdicts"] == 2
    with reload().read() as (connection, brand):
        deeds = [(row["action"], row["subject"]) for row in reversed(read_page(connection, brand, None, 10))]
    assert deeds == [("fraud.request_review", "transactions"), ("fraud.review", first), ("fraud.review", second)]


@pytest.mark.usefixtures("installation")
def test_an_order_is_held_and_released() -> None:
    assert "Nothing waits" in done("queue")
    with reload().write() as (connection, brand):
        shop = channel_ids(connection, brand, ["online_store"])["online_store"]
        row = {
            "brand_id": brand,
            "channel_id": shop,
            "number": "M-1",
            "currency": "EUR",
            "local_date": date(2026, 1, 1),
        }
        insert_row(connection, "orders", {**row, "placed_at": datetime(2026, 1, 1, tzinfo=UTC)})
    assert "online_store/M-1 is held." in done("hold", "online_store/M-1", "--reason", "a burst")
    assert "already" in done("hold", "online_store/M-1", "--reason", "a burst")
    assert [(hold["order_number"], hold["reason"]) for hold in said("queue")["held"]] == [("M-1", "a burst")]
    assert "released" in done("release", "online_store/M-1", "--note", "called")
    assert "not held" in refused(FraudReviewError, "release", "online_store/M-1")
    assert "no order M-2" in refused(FraudReviewError, "hold", "online_store/M-2", "--reason", "x")
    assert "channel/number" in refused(FraudReviewError, "hold", "M-1", "--reason", "x")
    assert "not in the queue" in refused(FraudReviewError, "review", "online_store/M-1", "fraud")
    assert "open, decided or all" in refused(FraudReviewError, "queue", "--state", "new")


def test_rules_are_shown_written_checked_and_used(home: Path, file: Path, tmp_path: Path) -> None:
    assert {row["action"] for row in said("rules")} == {"review", "hold"}
    copy = tmp_path / "mine.yaml"
    done("rules", "--write", copy)
    assert copy.read_bytes() == SHIPPED.read_bytes()
    assert "exists already" in refused(InvalidRule, "rules", "--write", copy)
    copy.write_text(
        "- name: all\n  when: {value: {at_least: 0}}\n  action: hold\n  reason: because\n", encoding="utf-8"
    )
    assert "because" in done("rules", "--check", copy)
    small, out = tmp_path / "small.parquet", tmp_path / "out.parquet"
    pl.read_parquet(file).head(50).write_parquet(small)
    assert said("score", small, "--unsupervised", "--out", out, "--rules", copy)["holds"] == 50
    home.mkdir()
    copy.rename(home / "fraud-rules.yaml")
    assert said("score", small, "--unsupervised", "--out", out)["holds"] == 50
    (home / "fraud-rules.yaml").write_text("- name: all\n", encoding="utf-8")
    assert "has no action" in refused(InvalidRule, "score", small, "--unsupervised", "--out", out)


def test_drift_says_what_has_moved(file: Path, model: Path, tmp_path: Path) -> None:
    rows = pl.read_parquet(file).filter(pl.col("TX_DATETIME") >= UNTIL)
    dear = tmp_path / "dear.parquet"
    rows.with_columns(pl.col("TX_AMOUNT") * 4).write_parquet(dear)
    found = {row["column"]: row for row in said("drift", dear, "--model", model, code=1)}
    assert found["value"]["state"] == "shifted"
    assert found["at_weekend"]["psi"] < found["value"]["psi"]
    assert "give --model" in refused(FraudDataError, "drift", dear)


def test_every_command_explains_itself() -> None:
    for command in ("train", "score", "queue", "review", "hold", "release", "rules", "drift"):
        assert len(luxauto(command, "--help").stdout) > 300, command
