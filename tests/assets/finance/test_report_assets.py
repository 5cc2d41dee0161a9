"""The reports as Dagster makes them over a small house: a partition a month, and that each of their checks can fail.

Does not belong here: what a report says (`tests/assets/finance/reports`), which months a refresh makes again
(`tests/luxauto_pipelines/test_refresh_months.py`).
"""

import shutil
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from assets.finance import report_checks
from assets.finance.money import to_decimal
from assets.finance.monthly import MONTHLY_CELLS
from assets.partitions import month_end
from benchmarks.measure import installation
from luxauto_pipelines.instance import reload
from luxauto_pipelines.jobs import MONTHLY_ASSETS
from luxauto_pipelines.report_files import make_reports
from luxauto_pipelines.report_sources import lake_sources
from resources.lake import UNPARTITIONED, Lake
from resources.store.brand_store import BrandStore
from tests.luxauto_pipelines.monthly_house import (
    FEBRUARY,
    MARCH,
    ask,
    lake_of,
    make,
    make_days,
    make_months,
    open_house,
)

MONTHS = [FEBRUARY, MARCH]
KEYS = [month.isoformat() for month in MONTHS]
OF_CELLS = (
    "balance_sheet",
    "cash_flow",
    "receivables_ageing",
    "revenue_waterfall",
    "trial_balance",
    "vat_report",
)
DIMENSIONS = ("channel", "collection", "colour", "country", "size")
# What is written over a cell, and which check finds it.
FAULTS: list[tuple[str, str, str | None, str]] = [
    ("balance_sheet", "total_claims", None, "balances"),
    ("balance_sheet", "total_assets", None, "equals_the_ledger"),
    ("trial_balance", "total/EUR", "closing", "sums_to_zero_in_every_currency"),
    ("trial_balance", "4000/USD", "closing", "equals_the_ledger"),
    ("cash_flow", "closing", "total", "ends_at_the_balance"),
    ("revenue_waterfall", "net_sales", "total", "net_is_that_of_the_profit_and_loss"),
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
        open_house(folder / "files")
        make_days()
        passed = make_months() | make(["cohort_value"])
    return folder, passed


@pytest.fixture
def books(made: tuple[Path, dict], home: Path) -> BrandStore:
    shutil.copytree(made[0], home)
    return reload()


@pytest.fixture
def lake(books: BrandStore) -> Lake:
    return lake_of(books)


def test_every_report_is_made_and_keeps_its_rules(made: tuple[Path, dict], lake: Lake) -> None:
    of_reports = {(c.check_key.asset_key.to_user_string(), c.check_key.name) for c in report_checks.CHECKS}
    assert of_reports <= set(made[1])
    assert {asset for asset, _ in made[1]} == {*MONTHLY_ASSETS, "cohort_value"}
    assert [key for key, passed in made[1].items() if not passed] == []
    assert lake.partitions("cohort_value") == [UNPARTITIONED]


@pytest.mark.parametrize("asset", MONTHLY_ASSETS)
def test_one_run_over_several_months_writes_the_file_of_each(asset: str, lake: Lake) -> None:
    assert lake.partitions(asset) == KEYS
    for month in MONTHS:
        assert lake.read(asset, [month.isoformat()])["month"].unique().to_list() == [month]


@pytest.mark.parametrize("month", KEYS)
def test_a_month_alone_is_what_it_is_in_a_run_of_several_and_leaves_the_others(month: str, lake: Lake) -> None:
    before = contents(lake)
    for asset in MONTHLY_ASSETS:
        for key in KEYS:
            lake.write(asset, lake.read(asset, [key]).clear(), key)
    emptied = contents(lake)
    # The waterfall is held against the profit and loss of its month, so that all are made.
    make(MONTHLY_ASSETS, month, month)
    assert contents(lake) == emptied | {place: kept for place, kept in before.items() if place[1] == month}


def contents(lake: Lake) -> dict[tuple[str, str], bytes]:
    """The bytes of each file of a month."""
    return {(asset, key): Path(lake.path(asset, key)).read_bytes() for asset in MONTHLY_ASSETS for key in KEYS}


@pytest.mark.parametrize("month", MONTHS, ids=str)
@pytest.mark.parametrize("asset", OF_CELLS)
def test_the_cells_of_a_month_are_those_of_the_command(asset: str, month: date, books: BrandStore) -> None:
    (report,) = make_reports([asset], lake_sources(books), lake_of(books), (month, month_end(month)), "month")
    stored = lake_of(books).read(asset, [month.isoformat()])
    assert dict(stored.schema) == MONTHLY_CELLS
    assert stored.drop("month").equals(report.frame())
    assert stored.height


@pytest.mark.parametrize("month", MONTHS, ids=str)
def test_the_profit_and_loss_of_a_month_is_that_of_the_command(month: date, books: BrandStore) -> None:
    days = (month, month_end(month))
    (report,) = make_reports(["profit_and_loss"], lake_sources(books), lake_of(books), days, "month")
    stored = dict(lake_of(books).read("profit_and_loss", [month.isoformat()]).select("account", "amount_minor").rows())
    shown = report.frame().filter(pl.col("row_kind") == "line", pl.col("column") == month.isoformat()[:7])
    assert stored == dict(shown.select("row", "amount_minor").rows())
    assert report.cell("result", "total") == sum(stored.values())


@pytest.mark.parametrize("month", MONTHS, ids=str)
@pytest.mark.parametrize("by", DIMENSIONS)
def test_the_margins_of_a_month_are_those_of_the_command(by: str, month: date, books: BrandStore) -> None:
    days = (month, month_end(month))
    (report,) = make_reports([f"margin_by_{by}"], lake_sources(books), lake_of(books), days, None)
    stored = lake_of(books).read(f"margin_by_{by}", [month.isoformat()])
    shown = {
        row.key: tuple(report.cell(row.key, c) for c in ("units", "revenue", "cost", "margin", "units_costed"))
        for row in report.rows
        if row.kind == "line"
    }
    named = stored.select(
        pl.col(by).fill_null("(none)"),
        "units",
        "base_revenue_minor",
        "base_cost_minor",
        "base_margin_minor",
        "units_costed",
    )
    assert {name: tuple(cells) for name, *cells in named.rows()} == shown
    assert shown


def test_a_balance_counts_the_months_before_it(lake: Lake) -> None:
    """1000 and 20 euros and 200 of tax were paid in February, 1000 given back and 220 dollars paid in March."""
    clearing = lake.read("balance_sheet").filter(pl.col("row") == "1100")
    told = dict(clearing.select("column", "amount_minor").rows())
    assert {day: to_decimal(minor, "EUR") for day, minor in told.items()} == {
        "2026-02-28": to_decimal(122_000, "EUR"),
        "2026-03-31": to_decimal(42_000, "EUR"),
    }


def test_receivables_are_as_old_as_they_are_at_the_months_end(lake: Lake) -> None:
    """The invoice of the tenth of February is 18 days old at its end and 49 at that of March, when half of it is paid."""
    items = lake.read("receivables_ageing").filter(
        pl.col("row").str.starts_with("1200."), pl.col("amount_minor") != 0, pl.col("column") != "open"
    )
    assert items.select("month", "column", "amount_minor").rows() == [
        (FEBRUARY, "0-30", 90_000),
        (MARCH, "31-60", 40_000),
    ]


@pytest.mark.parametrize(("asset", "row", "column", "check"), FAULTS)
def test_each_check_finds_a_wrong_cell(lake: Lake, asset: str, row: str, column: str | None, check: str) -> None:
    key = lake.partitions(asset)[-1]
    frame = lake.read(asset, [key])
    here = pl.col("row") == row
    if column is not None:
        here &= pl.col("column") == column
    assert frame.filter(here).height
    wrong = [pl.when(here).then(pl.col(name) + 1).otherwise(name).alias(name) for name in ("amount_minor", "figure")]
    lake.write(asset, frame.with_columns(wrong), key)
    assert not ask(asset, check)


@pytest.mark.parametrize("by", DIMENSIONS)
def test_margins_that_do_not_add_up_are_found(lake: Lake, by: str) -> None:
    asset = f"margin_by_{by}"
    lake.write(asset, lake.read(asset, KEYS[-1:]).with_columns(pl.col("base_revenue_minor") + 1), KEYS[-1])
    assert not ask(asset, "adds_up_to_the_report")


def test_a_run_answers_for_its_own_months_only(lake: Lake) -> None:
    february = lake.read("profit_and_loss", KEYS[:1])
    lake.write("profit_and_loss", february.with_columns(pl.col("amount_minor") + 1), KEYS[0])
    assert not ask("profit_and_loss", "equals_the_ledger")
    assert make(["profit_and_loss"], KEYS[1], KEYS[1])["profit_and_loss", "equals_the_ledger"]


def test_a_report_that_was_not_cut_by_months_is_replaced(lake: Lake) -> None:
    """An installation from before has one file of all days, which would count twice."""
    frame = lake.read("vat_report")
    shutil.rmtree(Path(lake.path("vat_report")).parent)
    lake.write("vat_report", frame.drop("month"))
    make(["vat_report"], KEYS[0], KEYS[-1])
    assert lake.partitions("vat_report") == KEYS
    assert lake.read("vat_report").equals(frame)
