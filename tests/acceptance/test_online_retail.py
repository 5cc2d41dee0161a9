"""Eighteen months of a real shop through the command line, told apart from a count that shares no code with it.

Belongs here: what a finance director checks before trusting a system: its figures are those of the file, to the penny, and
neither a second ingest nor a killed one moves them. Does not belong here: what each step does, which its own tests ask.
"""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from sqlalchemy import text

from resources.store import open_store

# A refresh writes some thousand events, which takes minutes on a busy machine.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

ROOT = Path(__file__).parents[2]
FILE = ROOT.parent / "shared" / "data" / "online_retail.parquet"
FORMATS = {"month": "%Y-%m", "day": "%Y-%m-%d"}
SETTINGS = ("LUXAUTO_BRAND", "LUXAUTO_AUTOMATION", "LUXAUTO_LAKE_URL", "DATABASE_URL", "DAGSTER_HOME")
SLICE_ROWS = 3_000
WAL_BYTES = 16 * 2**20

# Pence, as integers: a price has at most three decimals, and goods have two.
LINES = """
    SELECT *, CAST(InvoiceDate AS DATE) AS day,
           regexp_full_match(StockCode, '[0-9]{5}[A-Za-z]{0,2}') AS coded,
           CAST(round(UnitPrice * 100) AS BIGINT) * Quantity AS pence
    FROM read_parquet(?)
"""


@dataclass(frozen=True)
class Installation:
    """A folder of its own, worked on by processes of their own."""

    home: Path
    database_url: str = ""

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name not in SETTINGS}
        own = {"LUXAUTO_HOME": str(self.home), "GX_ANALYTICS_ENABLED": "false"}
        return kept | own | ({"DATABASE_URL": self.database_url} if self.database_url else {})

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "luxauto_pipelines.cli", *arguments],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str) -> Any:
        """What the command says in JSON; amounts as they are written, not as binary fractions."""
        process = self.start(*arguments, "--format", "json")
        said, complained = process.communicate()
        assert process.returncode == 0, complained
        return json.loads(said, parse_float=Decimal)

    def ingest(self, file: Path) -> Any:
        return self.run("ingest", "orders", str(file), "--preset", "online-retail")

    def report(self, by: str) -> list[dict[str, Any]]:
        return self.run("finance", "report", "--by", by)

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """Rows straight from the store."""
        store = open_store(self.database_url or f"sqlite:///{self.home / 'store.db'}")
        try:
            with store.engine.connect() as connection:
                return [tuple(row) for row in connection.execute(text(statement))]
        finally:
            store.close()

    def totals(self) -> dict[str, list[tuple[Any, ...]]]:
        """Everything an ingest writes, summed up in ways that the two databases answer alike."""
        queries = {
            "lines": "SELECT kind, currency, count(*), sum(quantity), sum(amount_minor) FROM order_lines GROUP BY 1, 2",
            "days": "SELECT local_date, count(*), sum(amount_minor) FROM order_lines GROUP BY 1",
            "transactions": "SELECT type, currency, count(*), sum(amount_minor) FROM transactions GROUP BY 1, 2",
            "movements": "SELECT kind, count(*), sum(quantity) FROM stock_movements GROUP BY 1",
            "orders": "SELECT currency, country, count(*) FROM orders GROUP BY 1, 2",
            "clients": "SELECT count(*), count(DISTINCT external_id) FROM customers",
            "skus": "SELECT count(*), count(DISTINCT sku) FROM skus",
            "imports": "SELECT kind, count(*), sum(rows_in), sum(rows_new), sum(rows_quarantined) FROM imports GROUP BY 1",
        }
        return {name: sorted(map(_plain, self.query(query)), key=str) for name, query in queries.items()}


@dataclass(frozen=True)
class Shop:
    """The installation after its first ingest and refresh, and what those two said."""

    installation: Installation
    ingested: Any
    refreshed: Any
    totals: dict[str, list[tuple[Any, ...]]]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Taken in and refreshed once for all tests, none of which changes what it holds."""
    if not FILE.is_file():
        pytest.skip(f"needs the public data set {FILE}")
    installation = Installation(tmp_path_factory.mktemp("shop") / "home")
    ingested = installation.ingest(FILE)
    totals = installation.totals()
    return Shop(installation, ingested, installation.run("refresh"), totals)


def test_every_row_of_the_file_is_either_taken_or_put_aside(shop: Shop) -> None:
    (rows,) = counted("SELECT count(*) FROM lines")
    told = shop.ingested
    assert told["rows_in"] == rows[0]
    assert told["rows_in"] == told["taken"] + told["quarantined"]
    assert told["taken"] == told["new"] + told["known"] + told["void"]
    assert (told["known"], told["void"], told["quarantined"]) == (0, 0, 0)
    assert shop.installation.query("SELECT count(*), count(DISTINCT row_number) FROM order_lines") == [rows * 2]
    assert "financial_report" in shop.refreshed["assets"]


@pytest.mark.parametrize("by", ["month", "day"])
def test_the_report_equals_a_count_of_the_file_to_the_penny(shop: Shop, by: str) -> None:
    expected = counted(
        f"""
        SELECT strftime(day, '{FORMATS[by]}') AS period,
               CAST(sum(CASE WHEN Quantity > 0 THEN pence ELSE 0 END) AS BIGINT),
               CAST(sum(CASE WHEN Quantity < 0 THEN -pence ELSE 0 END) AS BIGINT),
               CAST(sum(pence) AS BIGINT),
               count(DISTINCT CASE WHEN Quantity > 0 THEN InvoiceNo END),
               CAST(sum(CASE WHEN Quantity > 0 THEN Quantity ELSE 0 END) AS BIGINT)
        FROM lines WHERE coded AND UnitPrice > 0 GROUP BY period ORDER BY period
        """
    )
    reported = shop.installation.report(by)
    money = ("gross_sales", "returns", "net_revenue")
    found = [(r["period"], *(r[m] * 100 for m in money), r["orders"], r["units"]) for r in reported]
    assert found == expected
    assert {row["currency"] for row in reported} == {"GBP"}
    assert all(row["net_revenue"] == row["gross_sales"] - row["returns"] for row in reported)


def test_every_entry_of_the_ledger_sums_to_zero_in_its_currency(shop: Shop) -> None:
    crooked = shop.installation.query(
        """
        SELECT entry_id, currency, sum(amount_minor), sum(base_amount_minor) FROM postings GROUP BY entry_id, currency
        HAVING sum(amount_minor) <> 0 OR sum(base_amount_minor) <> 0 OR count(*) < 2
        """
    )
    assert crooked == []
    assert shop.installation.query(
        "SELECT count(*) FROM postings WHERE entry_id NOT IN (SELECT id FROM journal_entries)"
    ) == [(0,)]


def test_sales_and_returns_in_the_ledger_are_those_of_the_file(shop: Shop) -> None:
    ((gross, returns),) = counted(
        """
        SELECT CAST(-sum(pence) FILTER (Quantity > 0) AS BIGINT), CAST(-sum(pence) FILTER (Quantity < 0) AS BIGINT)
        FROM lines WHERE coded AND UnitPrice > 0
        """
    )
    assert balances(shop.installation) == {"4000": gross, "4100": returns}


def test_stock_levels_are_the_units_of_the_file(shop: Shop) -> None:
    # Without a price and a client a line is a stock-take: its units were found (positive) or lost.
    expected = counted(
        """
        SELECT upper(StockCode) AS sku,
               CAST(sum(CASE WHEN UnitPrice = 0 AND CustomerID IS NULL THEN Quantity ELSE -Quantity END) AS BIGINT) AS level
        FROM lines WHERE coded GROUP BY sku ORDER BY sku
        """
    )
    levels = pl.read_parquet(shop.installation.home / "lake" / "maison" / "stock_levels" / "all.parquet").sort("sku")
    assert levels.select("sku", "on_hand").rows() == expected
    assert levels.select("sku", "available").rows() == expected
    assert not levels["counted"].any(), "a shop that never counted its stock has no known levels"


def test_the_same_file_again_changes_no_figure(shop: Shop) -> None:
    before = {by: shop.installation.report(by) for by in FORMATS}
    again = shop.installation.ingest(FILE)
    assert (again["new"], again["known"]) == (0, shop.ingested["new"])
    assert (again["rows_in"], again["taken"], again["quarantined"]) == (shop.ingested["rows_in"], again["known"], 0)
    assert shop.installation.totals() == shop.totals
    assert shop.installation.run("refresh")["assets"] == []
    assert {by: shop.installation.report(by) for by in FORMATS} == before
    assert shop.installation.totals() == shop.totals


def test_an_ingest_that_is_killed_and_repeated_counts_nothing_twice(shop: Shop, tmp_path: Path) -> None:
    installation = Installation(tmp_path / "killed")
    kill_while_writing(installation)
    assert installation.query("SELECT count(*) FROM order_lines") == [(0,)], "half a file is no file"
    assert installation.query("SELECT count(*) FROM stock_movements") == [(0,)]
    assert installation.ingest(FILE)["new"] == shop.ingested["new"]
    assert installation.totals() == shop.totals
    assert installation.query("PRAGMA integrity_check") == [("ok",)]


def test_postgresql_holds_the_same_totals_as_sqlite(shop: Shop, postgres_url: str, tmp_path: Path) -> None:
    installation = Installation(tmp_path / "postgres", postgres_url)
    first, second = installation.ingest(FILE), installation.ingest(FILE)
    assert (first["new"], second["new"], second["known"]) == (shop.ingested["new"], 0, shop.ingested["new"])
    assert first["kinds"] == shop.ingested["kinds"]
    assert installation.totals() == shop.totals


@pytest.mark.parametrize("ending", [".csv.gz", ".xlsx"])
def test_a_part_of_the_file_gives_the_same_lines_in_every_format(
    shared_data: Path, tmp_path: Path, ending: str
) -> None:
    part = pl.read_parquet(shared_data / FILE.name).head(SLICE_ROWS)
    files = {suffix: tmp_path / f"part{suffix}" for suffix in (".parquet", ending)}
    part.write_parquet(files[".parquet"])
    if ending == ".xlsx":
        part.write_excel(files[ending], dtype_formats={pl.Datetime: "yyyy-mm-dd hh:mm:ss"})
    else:
        part.write_csv(files[ending], compression="gzip", datetime_format="%Y-%m-%d %H:%M:%S")
    found = {suffix: lines_of(Installation(tmp_path / suffix[1:]), file) for suffix, file in files.items()}
    assert len(found[".parquet"]) == SLICE_ROWS
    assert found[ending] == found[".parquet"]


def counted(query: str) -> list[tuple[Any, ...]]:
    """Rows of a query over `lines`, the file itself."""
    with duckdb.connect() as connection:
        return connection.execute(f"WITH lines AS ({LINES}) {query}", [str(FILE)]).fetchall()


def balances(installation: Installation) -> dict[str, int]:
    rows = installation.query(
        """
        SELECT substr(a.code, 1, 4), sum(p.amount_minor) FROM postings p JOIN accounts a ON a.id = p.account_id
        WHERE substr(a.code, 1, 4) IN ('4000', '4100') GROUP BY 1
        """
    )
    return {code: int(total) for code, total in rows}


def lines_of(installation: Installation, file: Path) -> list[tuple[Any, ...]]:
    installation.ingest(file)
    return installation.query(
        """
        SELECT l.row_number, o.number, o.country, o.placed_at, c.external_id, l.kind, l.code, s.sku, l.description, l.quantity,
               l.unit_price_micros, l.amount_minor, l.currency, l.occurrence, l.occurred_at, l.local_date
        FROM order_lines l JOIN orders o ON o.id = l.order_id LEFT JOIN customers c ON c.id = o.customer_id
        LEFT JOIN skus s ON s.id = l.sku_id ORDER BY l.row_number
        """
    )


def kill_while_writing(installation: Installation) -> None:
    """Start an ingest and kill it when much, but not all, of its transaction lies in the store's log."""
    process = installation.start("ingest", "orders", str(FILE), "--preset", "online-retail")
    log = installation.home / "store.db-wal"
    while not (log.exists() and log.stat().st_size > WAL_BYTES):
        try:
            process.wait(0.01)
        except subprocess.TimeoutExpired:
            continue
        pytest.fail(f"the ingest ended before it was killed: {process.communicate()[1]}")
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def _plain(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """PostgreSQL sums to Decimal and gives dates, SQLite integers and text."""
    return tuple(
        int(v)
        if isinstance(v, Decimal)
        else v.isoformat()
        if hasattr(v, "isoformat") and not isinstance(v, datetime)
        else v
        for v in row
    )
