"""The monthly sales report, beside DuckDB asked by hand for the same sums over the same Parquet files."""

import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from assets.finance.accounts import chart_frame
from assets.finance.fx import daily_ratios
from assets.finance.posting import value_lines, wanted_postings
from assets.finance.statements import daily_report
from benchmarks.measure import Measured, installation, medians
from benchmarks.orders import empty_books, ingest, order_file
from luxauto_pipelines.instance import reload
from luxauto_pipelines.sales_report import sales_report
from resources.lake import Lake
from resources.store.brand_store import BrandStore
from resources.store.catalog import read_costs
from resources.store.ledger import post, read_postings, write_accounts
from resources.store.orders import read_order_lines
from resources.store.rates import read_rates

PAIRS = 15
TARGET = 3.0
ASSET = "financial_report"
BY_HAND = """
    SELECT strftime(date_trunc('month', day), '%Y-%m') AS period, sum(base_gross_sales_minor), sum(base_returns_minor),
           sum(base_net_revenue_minor), sum(orders), sum(units_sold), base_currency
    FROM read_parquet('{files}') WHERE base_net_revenue_minor IS NOT NULL
    GROUP BY period, base_currency ORDER BY period
"""


def run() -> Iterator[Measured]:
    """One row: the report by month over one file a day."""
    with tempfile.TemporaryDirectory() as folder, installation(Path(folder) / "home"):
        found = ingest(empty_books(), order_file(Path(folder)))
        assert found.first_day is not None and found.last_day is not None
        # The first file settled the currency of the books.
        lake = _daily_reports(reload(), found.first_day, found.last_day)
        query = BY_HAND.format(files=f"{lake.folder(ASSET)}/*.parquet")
        ours, reference = medians(
            lambda: _milliseconds(lambda: sales_report(lake, "month")),
            lambda: _milliseconds(lambda: _by_hand(query)),
            PAIRS,
        )
        _compare(sales_report(lake, "month"), _by_hand(query))
    yield Measured("report-month", "ms", ours, reference, TARGET, "lower")


def _daily_reports(books: BrandStore, first: date, last: date) -> Lake:
    """The lake with the daily reports of all days, made by what the assets are made of but without Dagster."""
    base = books.settings.current.base_currency
    with books.write() as (connection, brand):
        lines = read_order_lines(connection, brand, first, last)
        ratios = daily_ratios(read_rates(connection, brand), base)
        valued = value_lines(lines, read_costs(connection, brand), ratios, base)
        post(connection, brand, wanted_postings(valued), write_accounts(connection, brand, chart_frame()), first, last)
        postings = read_postings(connection, brand, first, last)
    lake = Lake(books.settings.lake_url, books.settings.brand)
    for (day,), report in daily_report(postings, valued, base).group_by("day"):
        lake.write(ASSET, report, str(day))
    return lake


def _by_hand(query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect() as connection:
        return connection.execute(query).fetchall()


def _compare(ours: list[dict[str, Any]], by_hand: list[tuple[Any, ...]]) -> None:
    """Two answers can only be compared in speed when they are the same answer."""
    own_currency = by_hand[0][-1]
    mine = [(r["period"], r["orders"], r["units"]) for r in ours if r["currency"] == own_currency]
    if mine != [(period, orders, units) for period, *_, orders, units, _ in by_hand]:
        raise RuntimeError("the report and the query by hand differ: their speeds cannot be compared")


def _milliseconds(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000
