"""The checks: a planted bad row is found and shown, and what it would spoil is not made.

What belongs here: the suites and the queries as they are shipped, run by Dagster on small lakes. What does not: whether
the assets make good rows, which each asset's own tests ask.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from assets.expectations import Rule, sql_check, suite
from assets.finance.assets import TRANSACTIONS
from assets.finance.checks import ledger_suite, transactions_suite
from assets.forecasting.checks import forecast_suite
from assets.forecasting.schemas import FORECAST_SCHEMA
from assets.inventory.checks import movements_suite
from luxauto_pipelines.definitions import build_definitions
from luxauto_pipelines.ingest import ingest_reference
from resources.io_manager import current_store
from resources.lake import Lake
from resources.settings import load_settings
from resources.store.ledger import POSTINGS
from resources.store.stock import MOVEMENTS

ROOT = Path(__file__).parents[2]
DAY, NEXT_DAY = date(2026, 3, 2), date(2026, 3, 3)
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Shipped:
    """A suite of the pipeline, and two rows that keep all of its rules."""

    definition: dg.AssetChecksDefinition
    schema: dict[str, pl.DataType]
    good: tuple[dict[str, Any], dict[str, Any]]

    @property
    def asset(self) -> str:
        return next(iter(self.definition.check_keys)).asset_key.to_user_string()

    @property
    def rules(self) -> set[str]:
        return {key.name for key in self.definition.check_keys}

    def frame(self, *rows: dict[str, Any]) -> pl.DataFrame:
        given = [{**dict.fromkeys(self.schema), **row} for row in rows]
        return pl.DataFrame(given, schema=self.schema, orient="row")


def _line(line_id: int, **values: Any) -> dict[str, Any]:
    line = {"line_id": line_id, "day": DAY, "occurred_at": NOON, "sku": f"BAG-{line_id}", "kind": "goods"}
    return {**line, "quantity": 1, "amount_minor": 120_000, "currency": "EUR", "channel": "online_store", **values}


def _movement(movement_id: int, **values: Any) -> dict[str, Any]:
    moved = {"movement_id": movement_id, "day": DAY, "occurred_at": NOON, "sku": "BAG", "location": "main"}
    return {**moved, "kind": "receipt", "quantity": 3, "reference": "delivery", **values}


def _posting(posting_id: int, account: str, amount: int, **values: Any) -> dict[str, Any]:
    posted = {"posting_id": posting_id, "entry_id": 1, "day": DAY, "account": account, "currency": "EUR"}
    return {**posted, "amount_minor": amount, "base_amount_minor": amount, "description": "sale", **values}


def _week(day: int, **values: Any) -> dict[str, Any]:
    return {"sku": "BAG", "week": date(2026, 3, day), "mean": 4.0, "lower": 2.0, "upper": 7.0, "level": 0.8, **values}


SUITES = {
    "transactions": Shipped(
        transactions_suite, TRANSACTIONS, (_line(1), _line(2, quantity=-1, amount_minor=-120_000, currency="JPY"))
    ),
    "stock_movements": Shipped(movements_suite, MOVEMENTS, (_movement(1), _movement(2, kind="sale", quantity=-1))),
    "ledger": Shipped(ledger_suite, POSTINGS, (_posting(1, "1100", 5), _posting(2, "4000", -5))),
    "demand_forecast": Shipped(forecast_suite, FORECAST_SCHEMA, (_week(2), _week(9, lower=0.0))),
}
PLANTED: list[tuple[str, str, dict[str, Any]]] = [
    ("transactions", "each_line_once", _line(2, sku="PLANTED")),
    ("transactions", "has_a_day", _line(3, sku="PLANTED", day=None)),
    ("transactions", "has_a_kind", _line(3, sku="PLANTED", kind=None)),
    ("transactions", "has_an_amount", _line(3, sku="PLANTED", amount_minor=None)),
    ("transactions", "kind_is_known", _line(3, sku="PLANTED", kind="barter")),
    ("transactions", "currency_is_iso", _line(3, sku="PLANTED", currency="EUX")),
    ("transactions", "quantity_in_range", _line(3, sku="PLANTED", quantity=2 * 10**9)),
    ("transactions", "goods_keep_their_sign", _line(3, sku="PLANTED", quantity=-1)),
    ("stock_movements", "each_movement_once", _movement(2, reference="PLANTED")),
    ("stock_movements", "has_a_sku", _movement(3, reference="PLANTED", sku=None)),
    ("stock_movements", "kind_is_known", _movement(3, reference="PLANTED", kind="theft")),
    ("stock_movements", "moves_something", _movement(3, reference="PLANTED", quantity=0)),
    ("ledger", "each_posting_once", _posting(2, "4000", 0, description="PLANTED")),
    ("ledger", "has_an_amount", _posting(3, "4000", 0, description="PLANTED", amount_minor=None)),
    ("ledger", "account_is_in_the_chart", _posting(3, "9999", 0, description="PLANTED")),
    ("ledger", "debits_equal_credits", _posting(3, "4000", 1, description="PLANTED", base_amount_minor=0)),
    ("ledger", "debits_equal_credits_in_base", _posting(3, "4000", 0, description="PLANTED", base_amount_minor=1)),
    ("demand_forecast", "one_forecast_per_week", _week(9, mean=4.125)),
    ("demand_forecast", "is_known", _week(16, mean=None, lower=None, upper=None, level=4.125)),
    ("demand_forecast", "demand_is_not_negative", _week(16, mean=4.125, lower=-0.5)),
    ("demand_forecast", "lower_end_is_below_the_mean", _week(16, mean=4.125, lower=5.0)),
    ("demand_forecast", "upper_end_is_above_the_mean", _week(16, mean=4.125, upper=3.0)),
]
MARKS = {"demand_forecast": "4.125"}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"), "maison")


def ask(
    definition: dg.AssetChecksDefinition, lake: Lake, tags: dict[str, str] | None = None
) -> dict[str, dg.AssetCheckEvaluation]:
    """What Dagster records of each check of a definition that it runs on a lake."""
    definitions = dg.Definitions(asset_checks=[definition], resources={"lake": lake})
    done = definitions.resolve_implicit_global_asset_job_def().execute_in_process(tags=tags, raise_on_error=False)
    return {evaluation.check_name: evaluation for evaluation in done.get_asset_check_evaluations()}


def failed(evaluations: dict[str, dg.AssetCheckEvaluation]) -> set[str]:
    return {name for name, evaluation in evaluations.items() if not evaluation.passed}


def sample(evaluation: dg.AssetCheckEvaluation) -> str:
    return str(evaluation.metadata["sample"].value)


def figure(evaluation: dg.AssetCheckEvaluation, name: str) -> Any:
    values: Any = evaluation.metadata["result"].value
    return values[name]


@pytest.mark.parametrize("name", SUITES)
def test_good_rows_keep_every_rule(name: str, lake: Lake) -> None:
    shipped = SUITES[name]
    lake.write(shipped.asset, shipped.frame(*shipped.good))
    evaluations = ask(shipped.definition, lake)
    assert set(evaluations) == shipped.rules
    assert failed(evaluations) == set()
    assert {sample(evaluation) for evaluation in evaluations.values()} == {"*no rows*"}
    assert [evaluation.metadata["rows"].value for evaluation in evaluations.values()] == [2] * len(evaluations)


@pytest.mark.parametrize(("name", "rule", "row"), PLANTED, ids=[f"{p[0]}-{p[1]}" for p in PLANTED])
def test_a_planted_row_fails_its_rule_and_is_shown(name: str, rule: str, row: dict[str, Any], lake: Lake) -> None:
    shipped = SUITES[name]
    lake.write(shipped.asset, shipped.frame(*shipped.good, row))
    evaluations = ask(shipped.definition, lake)
    assert failed(evaluations) == {rule}
    found = evaluations[rule]
    assert found.severity == dg.AssetCheckSeverity.ERROR
    assert MARKS.get(name, "PLANTED") in sample(found)
    assert figure(found, "unexpected_count") >= 1


@pytest.mark.parametrize("name", SUITES)
def test_every_rule_about_rows_has_a_planted_row(name: str) -> None:
    assert {rule for asset, rule, _ in PLANTED if asset == name} | {"has_the_agreed_columns"} == SUITES[name].rules


@pytest.mark.parametrize("name", SUITES)
def test_a_column_that_nobody_agreed_to_is_found(name: str, lake: Lake) -> None:
    shipped = SUITES[name]
    lake.write(shipped.asset, shipped.frame(*shipped.good).with_columns(pl.lit(1).alias("surprise")))
    evaluations = ask(shipped.definition, lake)
    assert failed(evaluations) == {"has_the_agreed_columns"}
    assert "surprise" in figure(evaluations["has_the_agreed_columns"], "observed_value")


def test_a_run_of_one_day_is_asked_about_that_day_only(lake: Lake) -> None:
    shipped = SUITES["transactions"]
    lake.write("transactions", shipped.frame(_line(1)), DAY.isoformat())
    lake.write("transactions", shipped.frame(_line(2, day=NEXT_DAY, kind="barter")), NEXT_DAY.isoformat())
    assert failed(ask(transactions_suite, lake, {"dagster/partition": DAY.isoformat()})) == set()
    assert failed(ask(transactions_suite, lake, {"dagster/partition": NEXT_DAY.isoformat()})) == {"kind_is_known"}


def test_a_run_of_a_range_is_asked_about_all_of_its_days(lake: Lake) -> None:
    shipped = SUITES["transactions"]
    for line_id, day in enumerate((DAY, NEXT_DAY, date(2026, 3, 4)), start=1):
        kind = "goods" if day == DAY else "barter"
        lake.write("transactions", shipped.frame(_line(line_id, day=day, kind=kind)), day.isoformat())
    span = {
        "dagster/asset_partition_range_start": DAY.isoformat(),
        "dagster/asset_partition_range_end": NEXT_DAY.isoformat(),
    }
    evaluations = ask(transactions_suite, lake, span)
    assert [evaluation.metadata["rows"].value for evaluation in evaluations.values()] == [2] * len(evaluations)
    assert figure(evaluations["kind_is_known"], "unexpected_count") == 1


def test_a_day_without_rows_keeps_every_rule(lake: Lake) -> None:
    lake.write("transactions", SUITES["transactions"].frame(), DAY.isoformat())
    assert failed(ask(transactions_suite, lake, {"dagster/partition": DAY.isoformat()})) == set()


def test_the_sample_is_ten_rows_of_however_many(lake: Lake) -> None:
    shipped = SUITES["stock_movements"]
    lake.write("stock_movements", shipped.frame(*(_movement(n, quantity=0) for n in range(1, 101))))
    found = ask(movements_suite, lake)["moves_something"]
    assert figure(found, "unexpected_count") == 100
    assert sample(found).count("| receipt |") == 10


def test_a_query_shows_the_rows_that_should_not_exist(lake: Lake) -> None:
    lake.write("prices", pl.DataFrame({"sku": ["BAG", "PLANTED"], "price": [5, -1]}))
    check = sql_check("prices", "none_below_zero", "SELECT * FROM prices WHERE price < 0", "No price is negative.")
    found = ask(check, lake)["none_below_zero"]
    assert not found.passed
    assert found.metadata["rows_found"].value == 1
    assert "PLANTED" in sample(found)
    assert "BAG" not in sample(found)
    lake.write("prices", pl.DataFrame({"sku": ["BAG"], "price": [5]}))
    assert ask(check, lake)["none_below_zero"].passed


def small_pipeline(lake: Lake, rule: Rule) -> dg.ExecuteInProcessResult:
    """Two assets, the second made from the first; the rule is about the first."""

    @dg.asset
    def counted() -> None:
        lake.write("counted", pl.DataFrame({"sku": ["BAG", "BELT"], "units": [4, -1]}))

    @dg.asset(deps=[counted])
    def reported() -> None:
        lake.write("reported", pl.DataFrame({"units": [3]}))

    checks = suite("counted", [rule])
    resources = {"lake": lake}
    definitions = dg.Definitions(assets=[counted, reported], asset_checks=[checks], resources=resources)
    return definitions.resolve_implicit_global_asset_job_def().execute_in_process(raise_on_error=False)


@pytest.mark.parametrize("blocking", [True, False])
def test_a_blocking_rule_that_fails_stops_what_is_downstream_and_a_warning_does_not(lake: Lake, blocking: bool) -> None:
    arguments = {"column": "units", "min_value": 0}
    rule = Rule("not_negative", "ExpectColumnValuesToBeBetween", arguments, "No units below zero.", blocking)
    done = small_pipeline(lake, rule)
    (evaluation,) = done.get_asset_check_evaluations()
    assert not evaluation.passed
    assert evaluation.severity == (dg.AssetCheckSeverity.ERROR if blocking else dg.AssetCheckSeverity.WARN)
    assert done.success is not blocking
    assert lake.assets() == (["counted"] if blocking else ["counted", "reported"])


@pytest.fixture
def day_with_stock(tmp_path: Path) -> Iterator[None]:
    """An installation whose store has one opening count."""
    books = current_store()
    books.store.migrate()
    path = tmp_path / "stock.csv"
    path.write_text(f"sku,occurred_at,kind,quantity\nBAG,{NOON.isoformat()},opening,9\n", encoding="utf-8")
    assert ingest_reference(books, path, "stock", lambda stage: None).exit_code == 0
    yield
    books.store.close()


def materialize(overrides: dict[str, Any], assets: Sequence[str]) -> dg.ExecuteInProcessResult:
    """One day of some of the pipeline's own assets, with their checks."""
    job = build_definitions(overrides).resolve_implicit_global_asset_job_def()
    keys = [dg.AssetKey(name) for name in assets]
    return job.execute_in_process(partition_key=DAY.isoformat(), asset_selection=keys, raise_on_error=False)


def made(done: dg.ExecuteInProcessResult) -> set[str]:
    events = done.get_asset_materialization_events()
    return {event.asset_key.to_user_string() for event in events if event.asset_key}


@pytest.mark.usefixtures("day_with_stock")
def test_corrupt_movements_stop_the_stock_levels_in_the_same_run(lake: Lake) -> None:
    shipped = SUITES["stock_movements"]
    lake.write("stock_movements", shipped.frame(_movement(1, kind="theft")), DAY.isoformat())
    done = materialize({"lake": lake}, ["stock_movements", "stock_levels"])
    assert not done.success
    assert {e.check_name for e in done.get_asset_check_evaluations() if not e.passed} == {"kind_is_known"}
    assert made(done) == {"stock_movements"}


@pytest.mark.usefixtures("day_with_stock")
def test_sound_movements_let_the_stock_levels_be_made() -> None:
    done = materialize({}, ["stock_movements", "stock_levels"])
    assert done.success
    assert all(evaluation.passed for evaluation in done.get_asset_check_evaluations())
    assert made(done) == {"stock_movements", "stock_levels"}
    settings = load_settings()
    assert Lake(settings.lake_url, settings.brand).read("stock_levels")["on_hand"].to_list() == [9]


def test_a_suite_leaves_no_file_behind_and_draws_no_progress_bar(tmp_path: Path) -> None:
    """Great Expectations would otherwise make a project folder where it runs, and report to its maker."""
    code = """
import polars as pl
from assets.expectations import Rule, run_suite
rule = Rule("is_there", "ExpectColumnValuesToNotBeNull", {"column": "sku"}, "")
(found,) = run_suite("catalog", pl.DataFrame({"sku": ["BAG", None]}), [rule])
assert not found.passed
import os
assert os.environ["GX_ANALYTICS_ENABLED"] == "false"
"""
    folders = {name: tmp_path / name for name in ("cwd", "person", "temporary")}
    for folder in folders.values():
        folder.mkdir()
    environment = {
        **{k: v for k, v in os.environ.items() if k != "GX_ANALYTICS_ENABLED"},
        "PYTHONPATH": str(ROOT),
        "HOME": str(folders["person"]),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "TMPDIR": str(folders["temporary"]),
    }
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folders["cwd"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert [str(path) for folder in folders.values() for path in folder.rglob("*")] == []
    assert "Calculating Metrics" not in done.stdout + done.stderr
