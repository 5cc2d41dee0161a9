"""The statements of a real shop's eighteen months, held against DuckDB over the file itself and against Beancount.

Belongs here: what an auditor counts again. Does not belong here: the sales report (`test_online_retail`).

The rule of restating, written out: every invoice's lines of a day and an account are one posting. A posting of so many pence is
worth pence x USD / GBP cents, where both are the European Central Bank's units for one euro on that day, or on the last day
before it, at most seven days old; rounded half to even, once a posting.
"""

import shutil
from collections import defaultdict
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from assets.finance.accounts import chart_frame, default_chart
from assets.finance.fx import daily_ratios
from assets.finance.posting import value_lines, wanted_postings, with_rates
from assets.finance.reports.beancount_file import render_beancount
from assets.finance.reports.explain import explain
from assets.finance.reports.model import Report
from assets.finance.reports.registry import find_report, make_report
from assets.finance.reports.sources import Sources
from assets.finance.reports.span import Span
from assets.ingestion.mapping import load_preset
from benchmarks.measure import installation
from luxauto_pipelines.ingest import ingest_orders
from luxauto_pipelines.instance import reload
from luxauto_pipelines.report_sources import store_sources
from resources.store.catalog import read_costs
from resources.store.ledger import post, write_accounts
from resources.store.orders import read_order_lines
from resources.store.rates import read_rates, write_rates

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

DATA = Path(__file__).parents[3] / "shared" / "data"
FILE, RATES = DATA / "online_retail.parquet", DATA / "ecb_fx.parquet"
SPAN = Span(date(2009, 12, 1), date(2011, 5, 31))
# What each row of the file is in accounts, and worth in pence: written here anew, from the shop's codes.
ROWS = """
    CREATE MACRO half_even(n, d) AS sign(n) * CAST(
        abs(n) // d + CASE WHEN 2 * (abs(n) % d) > d OR (2 * (abs(n) % d) = d AND (abs(n) // d) % 2 = 1) THEN 1 ELSE 0 END
        AS HUGEINT
    );
    CREATE VIEW rows AS
    SELECT InvoiceNo AS invoice, CAST(InvoiceDate AS DATE) AS day,
           half_even(CAST(round(UnitPrice * 1000) AS HUGEINT) * Quantity, 10) AS pence,
           CASE
               WHEN regexp_full_match(StockCode, '[0-9]{{5}}[A-Za-z]{{0,2}}') THEN
                   CASE WHEN UnitPrice = 0 THEN NULL WHEN Quantity > 0 THEN '4000' ELSE '4100' END
               WHEN StockCode IN ('POST', 'DOT', 'C2', 'C3') THEN '4300'
               WHEN StockCode IN ('BANK CHARGES', 'AMAZONFEE', 'CRUK') THEN '6100'
               WHEN StockCode = 'D' THEN '4200'
               WHEN StockCode IN ('M', 'm', 'ADJUST', 'ADJUST2') THEN '4900'
               WHEN StockCode = 'B' THEN '6300'
               WHEN StockCode = 'S' THEN '6200'
               WHEN StockCode = 'GIFT' OR StockCode LIKE 'gift_%' OR StockCode LIKE 'TEST%' THEN NULL
               ELSE '4800'
           END AS account
    FROM read_parquet('{file}');
    CREATE VIEW postings AS
    SELECT invoice, day, account, CAST(sum(pence) AS HUGEINT) AS pence FROM rows WHERE account IS NOT NULL GROUP BY ALL;
    CREATE VIEW rates AS
    SELECT CAST(Date AS DATE) AS quoted, CAST(round(USD * 10000) AS HUGEINT) AS usd, CAST(round(GBP * 100000) AS HUGEINT) AS gbp
    FROM read_parquet('{rates}') WHERE USD IS NOT NULL AND GBP IS NOT NULL;
"""
IN_POUNDS = "SELECT strftime(day, '%Y-%m'), account, CAST(sum(pence) AS BIGINT) FROM postings GROUP BY ALL"
IN_DOLLARS = """
    SELECT strftime(day, '%Y-%m'), account, CAST(sum(half_even(pence * usd * 10, gbp)) AS BIGINT)
    FROM postings ASOF JOIN rates ON quoted <= day WHERE day - quoted <= 7 GROUP BY ALL
"""


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory, migrated_file: Path) -> dict[str, Sources]:
    """The file taken in and posted, read in pounds and in dollars."""
    if not FILE.is_file() or not RATES.is_file():
        pytest.skip(f"needs the public data sets in {DATA}")
    home = tmp_path_factory.mktemp("statements")
    shutil.copy(migrated_file, home / "store.db")
    with installation(home):
        ingest_orders(reload(), FILE, load_preset("online-retail"), "online-retail", lambda stage: None)
        store = reload()
        with store.write() as (connection, brand):
            write_rates(connection, brand, central_bank())
            lines = read_order_lines(connection, brand, SPAN.first, SPAN.last)
            ratios = daily_ratios(read_rates(connection, brand), "GBP")
            valued = value_lines(lines, read_costs(connection, brand), ratios, "GBP")
            wanted = with_rates(wanted_postings(valued, default_chart()), ratios)
            post(connection, brand, wanted, write_accounts(connection, brand, chart_frame()), SPAN.first, SPAN.last)
        waterfall = find_report("revenue_waterfall")
        return {code: store_sources(store, waterfall, SPAN, code, None) for code in ("GBP", "USD")}


def central_bank() -> pl.DataFrame:
    """The bank's dollars and pounds for one euro, as they were published."""
    quoted = pl.read_parquet(RATES).select(pl.col("Date").cast(pl.Date).alias("date"), "USD", "GBP")
    long = quoted.unpivot(index="date", variable_name="quote", value_name="rate").drop_nulls()
    decimal = pl.col("rate").cast(pl.String).cast(pl.Decimal(28, 12))
    return long.with_columns(decimal, base=pl.lit("EUR"), source=pl.lit("ECB"))


def counted(query: str) -> dict[tuple[str, str], int]:
    """By month and account, from the file."""
    with duckdb.connect() as connection:
        connection.execute(ROWS.format(file=FILE, rates=RATES))
        return {(month, account): minor for month, account, minor in connection.execute(query).fetchall() if minor}


def told(report: Report) -> dict[tuple[str, str], int]:
    """By month and account, from the report."""
    cells = {(c.key, r.key): report.cell(r.key, c.key) for r in report.rows if r.kind == "line" for c in report.columns}
    return {key: int(value) for key, value in cells.items() if value and key[0] != "total"}


def test_the_profit_and_loss_by_month_equals_a_count_of_the_file_to_the_penny(books: dict[str, Sources]) -> None:
    expected = counted(IN_POUNDS)
    assert len({month for month, _ in expected}) == 18
    report = make_report("profit_and_loss", books["GBP"], SPAN)
    assert told(report) == expected
    assert report.cell("result", "total") == sum(expected.values())


def test_in_dollars_it_equals_the_central_banks_rates_to_the_cent(books: dict[str, Sources]) -> None:
    expected = counted(IN_DOLLARS)
    assert set(expected) == set(counted(IN_POUNDS))
    report = make_report("profit_and_loss", books["USD"], SPAN)
    assert told(report) == expected
    assert report.cell("result", "total") == sum(expected.values())
    assert report.notes == ()


def test_the_other_statements_agree_with_it(books: dict[str, Sources]) -> None:
    profit = make_report("profit_and_loss", books["GBP"], SPAN)
    waterfall = make_report("revenue_waterfall", books["GBP"], SPAN)
    sheet = make_report("balance_sheet", books["GBP"], SPAN)
    for column in profit.columns:
        assert waterfall.cell("net_sales", column.key) == profit.cell("net_sales", column.key)
    assert sheet.cell("result", "2011-05-31") == profit.cell("result", "total")
    for column in sheet.columns:
        assert sheet.cell("total_assets", column.key) == sheet.cell("total_claims", column.key)
    assert waterfall.cell("margin", "total") is None, "the file tells no costs"


def test_a_month_drills_down_to_its_invoices(books: dict[str, Sources]) -> None:
    found = explain(make_report("profit_and_loss", books["GBP"], SPAN), "4100:2010-11", books["GBP"].lines)
    expected = counted(IN_POUNDS)["2010-11", "4100"]
    assert found.total == expected
    assert int(found.evidence["value"].sum()) == int(found.lines["value"].sum()) == expected
    assert found.evidence["order_number"].str.starts_with("C").all()


def test_beancount_accepts_the_journal_and_finds_the_same_balances(books: dict[str, Sources], tmp_path: Path) -> None:
    from beancount import loader
    from beancount.core.data import Open, Transaction

    # A quarter of it: Beancount reads some two thousand transactions a second.
    autumn = Span(date(2010, 9, 1), date(2010, 11, 30))
    days = pl.col("day").is_between(autumn.first, autumn.last)
    sources = replace(books["GBP"], postings=books["GBP"].postings.filter(days))
    file = tmp_path / "journal.beancount"
    file.write_text(render_beancount(sources.postings.collect(), "GBP", "A shop"), encoding="utf-8")
    entries, errors, _ = loader.load_file(str(file))
    assert errors == []
    codes = {entry.account: entry.meta["code"][:4] for entry in entries if isinstance(entry, Open)}
    balances: dict[str, Decimal] = defaultdict(Decimal)
    for entry in entries:
        for posting in entry.postings if isinstance(entry, Transaction) else ():
            assert posting.units is not None and posting.units.number is not None
            balances[codes[posting.account]] += posting.units.number
    trial = make_report("trial_balance", sources, autumn)
    expected: dict[str, Any] = {
        row.key.partition("/")[0]: Decimal(int(trial.cell(row.key, "closing") or 0)) / 100
        for row in trial.rows
        if row.kind == "line"
    }
    assert dict(balances) == expected
