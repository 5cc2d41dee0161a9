"""Profit and loss by month over a million postings, beside the same sums written by hand in SQL for DuckDB."""

import time
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import duckdb
import numpy as np
import polars as pl

from assets.finance.accounts import CHART
from assets.finance.reports.registry import make_report
from assets.finance.reports.sources import Sources
from assets.finance.reports.span import Span
from benchmarks.measure import Measured, medians
from resources.store.ledger import POSTINGS

PAIRS = 7
TARGET = 2.0
ENTRIES = 1_000_000
FIRST, LAST = date(2024, 1, 1), date(2026, 12, 31)
CHANNELS = ["shopify", "amazon", "online_store", "wholesale"]
BY_HAND = """
    SELECT account, strftime(day, '%Y-%m') AS month, CAST(-sum(base_amount_minor) AS BIGINT) AS amount FROM postings
    WHERE account_type IN ('revenue', 'expense') AND day BETWEEN ? AND ? GROUP BY ALL ORDER BY ALL
"""


def run() -> Iterator[Measured]:
    """One row: entries of two postings each."""
    postings = _postings()
    nothing = pl.DataFrame()
    sources = Sources(postings.lazy(), nothing.lazy(), nothing, nothing, nothing, "EUR", "EUR")
    span = Span(FIRST, LAST)
    with duckdb.connect() as connection:
        connection.register("postings", postings)

        def by_hand() -> pl.DataFrame:
            return connection.sql(BY_HAND, params=[FIRST, LAST]).pl()

        _compare(make_report("profit_and_loss", sources, span, by="month"), by_hand())
        ours, reference = medians(
            lambda: _milliseconds(lambda: make_report("profit_and_loss", sources, span, by="month")),
            lambda: _milliseconds(by_hand),
            PAIRS,
        )
    yield Measured("profit-and-loss", "ms", ours, reference, TARGET, "lower")


def _postings() -> pl.DataFrame:
    """Every entry debits clearing and credits one of the accounts of the profit and loss."""
    random = np.random.default_rng(7)
    results = [account for account in CHART if account.type in ("revenue", "expense")]
    chosen = random.integers(0, len(results), ENTRIES)
    amount = random.integers(1, 500_000, ENTRIES)
    days = random.integers(0, (LAST - FIRST).days + 1, ENTRIES)
    day = pl.lit(FIRST) + pl.duration(days=pl.lit(pl.Series(days)))
    entries = pl.DataFrame({"entry_id": np.arange(ENTRIES), "amount": amount, "chosen": chosen}).with_columns(
        day=day, channel=pl.Series(random.choice(CHANNELS, ENTRIES)), order_id=pl.Series(np.arange(ENTRIES))
    )
    accounts = pl.DataFrame(
        [(a.code, a.name, a.type) for a in results], schema=["account", "account_name", "account_type"], orient="row"
    )
    credits = entries.join(
        accounts.with_row_index("chosen").cast({"chosen": pl.Int64}), on="chosen", maintain_order="left"
    )
    debits = entries.with_columns(
        account=pl.lit("1100"), account_name=pl.lit("Payment clearing"), account_type=pl.lit("asset")
    )
    both = pl.concat([credits.with_columns(-pl.col("amount")), debits], how="diagonal")
    filled = both.with_columns(
        event_day="day",
        kind=pl.lit("order"),
        subaccount="account",
        currency=pl.lit("EUR"),
        amount_minor="amount",
        base_amount_minor="amount",
    ).with_row_index("posting_id")
    missing = [pl.lit(None, dtype).alias(name) for name, dtype in POSTINGS.items() if name not in filled.columns]
    return filled.with_columns(missing).select(pl.col(name).cast(dtype) for name, dtype in POSTINGS.items())


def _compare(report: Any, by_hand: pl.DataFrame) -> None:
    """Two answers can only be compared in speed when they are the same answer."""
    for account, month, amount in by_hand.iter_rows():
        if report.cell(account, month) != amount:
            raise RuntimeError(
                f"{account} in {month}: the report says {report.cell(account, month)}, SQL says {amount}"
            )


def _milliseconds(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    for row in run():
        print(f"{row.name}: {row.ours:.0f} {row.unit}, reference {row.reference:.0f}, ratio {row.ratio:.2f}")
