"""`luxauto finance report|explain|export` as a person or a script runs them, over a small house of two months.

Does not belong here: what a report says (`tests/assets/finance/reports`).
"""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import openpyxl
import polars as pl
import pytest
from typer.testing import CliRunner, Result

from assets.finance.money import UnknownCurrency
from assets.finance.reports.model import ReportError, UnknownCell, UnknownReport
from benchmarks.measure import installation
from luxauto_pipelines.cli import app
from resources.lake import Lake, MissingAsset
from tests.luxauto_pipelines.report_books import close, take_in


@pytest.fixture(scope="module")
def closed_books(tmp_path_factory: pytest.TempPathFactory, migrated_file: Path) -> Path:
    """The folder of an installation, made once: each test works on a copy."""
    folder = tmp_path_factory.mktemp("closed") / "home"
    folder.mkdir()
    shutil.copy(migrated_file, folder / "store.db")
    with installation(folder):
        close(take_in(folder / "files"))
    return folder


@pytest.fixture
def lake(closed_books: Path, home: Path) -> Lake:
    shutil.copytree(closed_books, home)
    return Lake(str(home / "lake"), "maison")


def luxauto(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["finance", *(str(one) for one in arguments)])


def said(*arguments: object) -> Any:
    result = luxauto(*arguments, "--format", "json")
    assert isinstance(result.exception, SystemExit | None), repr(result.exception)
    return json.loads(result.stdout)


def cells(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["key"]: row["cells"] for row in report["rows"] if row["kind"] != "heading"}


@pytest.mark.usefixtures("lake")
class TestReports:
    """What is shown."""

    def test_without_a_name_the_sales_are_shown_as_ever(self) -> None:
        months = said("report", "--by", "month")
        assert [(m["period"], m["gross_sales"], m["returns"], m["orders"], m["units"]) for m in months] == [
            ("2026-02", 1900, 0, 2, 2),
            ("2026-03", 200, 1000, 1, 2),
        ]
        assert {month["currency"] for month in months} == {"EUR"}

    def test_the_profit_and_loss_has_a_column_a_month(self) -> None:
        found = cells(said("report", "profit-and-loss"))
        assert found["4000"] == {"2026-02": 1900, "2026-03": 200, "total": 2100}
        assert found["4100"] == {"2026-02": 0, "2026-03": -1000, "total": -1000}
        assert found["5000"] == {"2026-02": -800, "2026-03": 340, "total": -460}
        assert found["result"] == {"2026-02": 1120, "2026-03": -460, "total": 660}

    def test_it_is_restated_each_day_at_its_own_rate_and_says_what_is_left_out(self) -> None:
        march = said("report", "profit_and_loss", "--currency", "USD", "--start", "2026-03-01", "--end", "2026-03-31")
        assert cells(march)["4000"]["total"] == 220
        assert cells(march)["4100"]["total"] == -1100
        all_days = said("report", "profit_and_loss", "--currency", "USD")
        assert cells(all_days)["4000"] == {"2026-02": None, "2026-03": 220, "total": 220}
        assert any("in EUR" in note and "in no amount" in note for note in all_days["notes"])

    def test_it_stands_beside_the_month_before(self) -> None:
        found = said(
            "report", "profit-and-loss", "--start", "2026-03-01", "--end", "2026-03-31", "--compare", "previous"
        )
        assert cells(found)["4000"] == {"current": 200, "before": 1900, "change": -1700, "change_rate": -0.894737}

    def test_a_table_is_for_people(self) -> None:
        shown = luxauto("report", "balance-sheet", "--end", "2026-03-31")
        assert shown.exit_code == 0
        assert "Total assets" in shown.stdout
        assert "2026-03-31" in shown.stdout

    def test_receivables_are_what_the_client_still_owes(self) -> None:
        found = cells(said("report", "receivables-ageing", "--end", "2026-03-31"))
        assert found["1200.wholesale/3/EUR"]["31-60"] == 400
        assert found["total/EUR"]["open"] == 400

    def test_margins_by_colour_come_from_the_catalogue(self) -> None:
        found = cells(said("report", "margin-by-colour"))
        assert found["red"]["revenue"] == 900
        assert (found["black"]["cost"], found["black"]["margin"]) == (60, 140)

    def test_a_report_that_is_not_there_or_not_so_is_refused_in_words(self) -> None:
        for arguments, error, words in (
            (("report", "profits"), UnknownReport, "there are profit_and_loss, balance_sheet"),
            (("report", "trial-balance", "--by", "month"), ReportError, "no other columns"),
            (("report", "vat-report", "--compare", "year"), ReportError, "not compared"),
            (("report", "balance-sheet", "--currency", "USD"), ReportError, "kept in EUR"),
            (("report", "profit-and-loss", "--currency", "XXL"), UnknownCurrency, "ISO 4217"),
            (
                ("report", "profit-and-loss", "--start", "2026-03-01", "--end", "2026-02-01"),
                ReportError,
                "after the last",
            ),
            (("explain", "profit-and-loss", "4000:1999-01"), UnknownCell, "there are 2026-02"),
        ):
            refused = luxauto(*arguments)
            assert isinstance(refused.exception, error), arguments
            assert words in str(refused.exception)


@pytest.mark.usefixtures("lake")
class TestExplanations:
    """What stands behind a cell."""

    def test_a_cell_names_its_entries_the_lines_behind_them_and_its_total(self) -> None:
        found = said("explain", "profit-and-loss", "4000:2026-02")
        assert found["total"] == 1900
        assert [(e["day"], e["order_number"], e["account"], e["value"]) for e in found["entries"]] == [
            ("2026-02-03", "1", "4000.online_store", 1000),
            ("2026-02-10", "3", "4000.wholesale", 900),
        ]
        assert [(line["sku"], line["quantity"], line["amount"]) for line in found["order_lines"]] == [
            ("BAG", 1, 1000),
            ("BAG", 1, 900),
        ]
        assert all(entry["entry_id"] for entry in found["entries"])

    def test_so_does_a_sum(self) -> None:
        found = said("explain", "profit-and-loss", "result:total")
        assert found["total"] == 660
        assert round(sum(entry["value"] for entry in found["entries"]), 2) == 660

    def test_a_table_is_cut_and_says_so(self) -> None:
        shown = luxauto("explain", "profit-and-loss", "result:total", "--limit", "2")
        assert shown.exit_code == 0
        assert "more rows are not shown" in shown.output


class TestExports:
    """What is written."""

    def test_each_format_has_its_files(self, lake: Lake, tmp_path: Path) -> None:
        to = tmp_path / "out"
        for format, names in (
            ("csv", {"profit_and_loss.csv", "vat_report.csv"}),
            ("json", {"profit_and_loss.json", "vat_report.json"}),
            ("xlsx", {"reports.xlsx"}),
            ("pdf", {"reports.pdf"}),
        ):
            done = luxauto("export", "profit-and-loss", "vat-report", "--format", format, "--to", to)
            assert done.exit_code == 0, done.output
            assert {Path(line).name for line in done.stdout.split()} == names
            assert all(Path(line).is_file() for line in done.stdout.split())
        rows = list(csv.reader((to / "profit_and_loss.csv").open(encoding="utf-8", newline="")))
        assert rows[0] == ["row", "label", "currency", "2026-02", "2026-03", "total"]
        assert ["4000", "4000  Sales of goods", "EUR", "1900.00", "200.00", "2100.00"] in rows
        assert (to / "reports.pdf").read_bytes().startswith(b"%PDF-")
        assert openpyxl.load_workbook(to / "reports.xlsx").sheetnames == ["Profit and loss", "Sales tax and VAT"]
        assert json.loads((to / "vat_report.json").read_text())["name"] == "vat_report"

    def test_without_names_the_statements_are_written(self, lake: Lake, home: Path) -> None:
        done = luxauto("export")
        assert done.stdout.split() == [str(home / "reports" / "maison" / "reports.xlsx")]
        assert len(openpyxl.load_workbook(done.stdout.strip()).sheetnames) == 8

    def test_the_journal_is_a_file_that_beancount_takes(self, lake: Lake, tmp_path: Path) -> None:
        from beancount import loader

        done = luxauto("export", "--format", "beancount", "--to", tmp_path)
        entries, errors, _ = loader.load_file(done.stdout.strip())
        assert errors == []
        assert len([entry for entry in entries if type(entry).__name__ == "Transaction"]) == 5

    def test_tables_of_other_assets_are_exported_by_name(self, lake: Lake, tmp_path: Path) -> None:
        with pytest.raises(MissingAsset):
            raise luxauto("export", "stock-valuation", "--to", tmp_path).exception or AssertionError
        lake.write("stock_valuation", pl.DataFrame({"sku": ["BAG"], "value_minor": [12345], "share": [0.5]}))
        assert luxauto("export", "stock-valuation", "--format", "csv", "--to", tmp_path).exit_code == 0
        assert "1,1,EUR,BAG,123.45,0.5" in (tmp_path / "stock_valuation.csv").read_text()

    def test_another_format_is_refused(self, lake: Lake) -> None:
        assert "is not one of csv" in luxauto("export", "--format", "doc").output.replace("\n", " ")


def test_before_the_first_refresh_it_says_what_to_do(lake: Lake, home: Path) -> None:
    shutil.rmtree(home / "lake")
    error = luxauto("report", "profit-and-loss").exception
    assert isinstance(error, MissingAsset)
    assert "luxauto refresh" in str(error)
