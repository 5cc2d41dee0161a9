"""All features of a million transactions, beside the Fraud Detection Handbook's window queries written by hand in DuckDB."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import duckdb
import numpy as np
import polars as pl

from assets.finance.fraud.columns import as_transactions
from assets.finance.fraud.features import feature_frame
from benchmarks.measure import Measured, medians

ROWS, CLIENTS, TERMINALS, DAYS = 1_000_000, 5_000, 10_000, 90
PAIRS = 3
TARGET = 3.0
WINDOWS = (1, 7, 30)
_COLUMNS = ",\n".join(
    f"""
    count(*) OVER c{days} AS customer_count_{days}d, avg(amount) OVER c{days} AS customer_mean_{days}d,
    count(*) OVER t{days} AS terminal_count_{days}d,
    sum(fraud) OVER r{days} / nullif(count(fraud) OVER r{days}, 0) AS terminal_reported_share_{days}d
    """
    for days in WINDOWS
)
_WINDOWS = ",\n".join(
    f"""
    c{days} AS (PARTITION BY customer ORDER BY occurred_at RANGE BETWEEN INTERVAL {days} DAY PRECEDING AND CURRENT ROW),
    t{days} AS (PARTITION BY terminal ORDER BY occurred_at RANGE BETWEEN INTERVAL {days} DAY PRECEDING AND CURRENT ROW),
    r{days} AS (PARTITION BY terminal ORDER BY occurred_at
                RANGE BETWEEN INTERVAL {days + 7} DAY PRECEDING AND INTERVAL 7 DAY PRECEDING)
    """
    for days in WINDOWS
)
BY_HAND = f"SELECT transaction, {_COLUMNS} FROM given WINDOW {_WINDOWS}"


def run() -> Iterator[Measured]:
    """One row: seconds for all of them. Ours are more than twice as many columns as the query by hand gives."""
    rows = as_transactions(_payments()).rows
    _compare(feature_frame(rows), _by_hand(rows))
    ours, reference = medians(
        lambda: _seconds(lambda: feature_frame(rows)), lambda: _seconds(lambda: _by_hand(rows)), PAIRS
    )
    yield Measured("fraud-features", "s", ours, reference, TARGET, "lower")


def _payments() -> pl.DataFrame:
    """Payments over ninety days, in order of time; one in a hundred is fraud."""
    rng = np.random.default_rng(3)
    first = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
    moments = np.sort(rng.integers(0, DAYS * 86_400, ROWS)) + first
    return pl.DataFrame(
        {
            "TRANSACTION_ID": np.arange(ROWS),
            "TX_DATETIME": pl.Series(moments * 1_000_000).cast(pl.Datetime("us")),
            "CUSTOMER_ID": rng.integers(0, CLIENTS, ROWS),
            "TERMINAL_ID": rng.integers(0, TERMINALS, ROWS),
            "TX_AMOUNT": rng.gamma(2, 30, ROWS).round(2),
            "TX_FRAUD": (rng.random(ROWS) < 0.01).astype(np.int8),
        }
    )


def _by_hand(rows: pl.DataFrame) -> pl.DataFrame:
    with duckdb.connect() as connection:
        connection.execute("SET enable_progress_bar = false")
        connection.register("given", rows)
        return connection.sql(BY_HAND).pl()


def _compare(ours: pl.DataFrame, by_hand: pl.DataFrame) -> None:
    """Two answers can only be compared in speed when they are the same answer."""
    wanted = by_hand.sort("transaction")
    mine = ours.select(wanted.columns).sort("transaction")
    for name in wanted.columns[1:]:
        difference = (mine[name] - wanted[name].cast(pl.Float64)).abs().max()
        same = mine[name].null_count() == wanted[name].null_count()
        if not same or not isinstance(difference, float) or difference > 1e-6:
            raise RuntimeError(f"{name} differs from the query by hand: their speeds cannot be compared")


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
