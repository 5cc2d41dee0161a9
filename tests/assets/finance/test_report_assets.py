"""The reports as Dagster makes them over a small house, and that each of their checks can fail.

Does not belong here: what a report says (`tests/assets/finance/reports`).
"""

import shutil
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from assets.finance import report_assets, report_checks
from assets.finance.statements import profit_and_loss
from benchmarks.measure import installation
from resources.io_manager import LakeResource, ParquetIOManager, StoreResource
from resources.lake import Lake
from tests.luxauto_pipelines.report_books import close, take_in

RESOURCES = {"io_manager": ParquetIOManager(), "lake": LakeResource(), "store": StoreResource()}
UPSTREAM = ("ledger", "transactions", "movement_costs", "fx_rates", "sku_costs", "catalog", "financial_report")
# What is written over a cell, and which check finds it.
FAULTS: list[tuple[str, str, str | None, str]] = [
    ("balance_sheet", "total_claims", None, "balances"),
    ("balance_sheet", "total_assets", None, "equals_the_ledger"),
    ("trial_balance", "total/EUR", "closing", "sums_to_zero_in_every_currency"),
    ("trial_balance", "4000/USD", "closing", "equals_the_ledger"),
    ("cash_flow", "closing", "total", "ends_at_the_balance"),
    ("revenue_waterfall", "net_sales", "2026-02", "net_is_that_of_the_profit_and_loss"),
    ("vat_report", "due", "total", "equals_account_2200"),
    ("receivables_ageing", "total/EUR", "open", "equals_account_1200"),
    ("cohort_value", "2026-02/customers", "0", "has_every_customer_once"),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, migrated_file: Path) -> tuple[Path, dict[tuple[str, str], bool]]:
    """The installation with all report assets, and which of their checks passed."""
    folder = tmp_path_factory.mktemp("made") / "home"
    folder.mkdir()
    shutil.copy(migrated_file, folder / "store.db")
    with installation(folder):
        lake = close(take_in(folder / "files"))
        lake.write("profit_and_loss", profit_and_loss(lake.scan("ledger"), "EUR"))
        definitions = dg.Definitions(
            assets=[*dg.load_assets_from_modules([report_assets]), *(dg.AssetSpec(name) for name in UPSTREAM)],
            asset_checks=report_checks.CHECKS,
            resources=RESOURCES,
        )
        done = definitions.resolve_implicit_global_asset_job_def().execute_in_process()
        found = done.get_asset_check_evaluations()
    return folder, {(one.asset_key.to_user_string(), one.check_name): one.passed for one in found}


@pytest.fixture
def lake(made: tuple[Path, dict], home: Path) -> Lake:
    shutil.copytree(made[0], home)
    return Lake(str(home / "lake"), "maison")


def passes(asset: str, check: str, lake: Lake) -> bool:
    for definition in report_checks.CHECKS:
        if (definition.check_key.asset_key.to_user_string(), definition.check_key.name) == (asset, check):
            run: Any = definition.node_def
            return run.compute_fn.decorated_fn(lake).passed
    raise AssertionError(f"{asset} has no check {check}")


def test_every_report_is_made_and_keeps_its_rules(made: tuple[Path, dict], lake: Lake) -> None:
    assert len(made[1]) == len(report_checks.CHECKS)
    assert [key for key, passed in made[1].items() if not passed] == []
    for (asset, _), _ in made[1].items():
        assert lake.read(asset).height, asset


@pytest.mark.parametrize(("asset", "row", "column", "check"), FAULTS)
def test_each_check_finds_a_wrong_cell(lake: Lake, asset: str, row: str, column: str | None, check: str) -> None:
    frame = lake.read(asset)
    here = pl.col("row") == row
    if column is not None:
        here &= pl.col("column") == column
    assert frame.filter(here).height
    wrong = [pl.when(here).then(pl.col(name) + 1).otherwise(name).alias(name) for name in ("amount_minor", "figure")]
    assert passes(asset, check, lake)
    lake.write(asset, frame.with_columns(wrong))
    assert not passes(asset, check, lake)


@pytest.mark.parametrize("by", ["colour", "size", "country"])
def test_margins_that_do_not_add_up_are_found(lake: Lake, by: str) -> None:
    frame = lake.read(f"margin_by_{by}")
    lake.write(f"margin_by_{by}", frame.with_columns(pl.col("base_revenue_minor") + 1))
    assert not passes(f"margin_by_{by}", "adds_up_to_the_report", lake)
