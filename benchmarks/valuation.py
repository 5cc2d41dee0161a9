"""Valuing a million movements of stock, beside one cumulative pass of DuckDB over the same rows.

Ours starts from movements and a cost table, finds each movement's cost, and values it by the weighted average or first in first
out, state by state. The reference is given each movement's cost and only sums: units and units times cost by SKU, in order. It
is no valuation (an average that depends on its own past is no window function), but the least that any has to read and write.
"""

import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Any

import duckdb
import numpy as np
import polars as pl

from assets.inventory.valuation import LAYERS, Method, price_movements, value_movements
from benchmarks.measure import Measured, medians

PAIRS = 5
TARGET = 15.0
MOVEMENTS = 1_000_000
SKUS = 5_000
DAYS = 700
FIRST = date(2024, 1, 1)
_CUMULATIVE = """
    SELECT movement_id, sum(quantity) OVER state AS units, sum(quantity * cost_minor) OVER state AS value_minor
    FROM priced WINDOW state AS (PARTITION BY sku ORDER BY day, movement_id)
"""


def run() -> Iterator[Measured]:
    """One row a method."""
    movements, costs, purchases = _history()
    priced = price_movements(movements, costs, purchases)
    for method in ("weighted_average", "fifo"):
        _prove(priced, method)
        ours, reference = medians(
            lambda method=method: _seconds(lambda: _value(price_movements(movements, costs, purchases), method)),
            lambda: _seconds(lambda: _bare(priced)),
            PAIRS,
        )
        yield Measured(f"valuation-{method.replace('_', '-')}", "s", ours, reference, TARGET, "lower")


def _value(priced: pl.DataFrame, method: Method) -> pl.DataFrame:
    return value_movements(priced, pl.DataFrame(schema=LAYERS), method).parts


def _bare(priced: pl.DataFrame) -> pl.DataFrame:
    with duckdb.connect() as connection:
        connection.register("priced", priced)
        return connection.sql(_CUMULATIVE).pl()


def _history() -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Movements of two years, one in ten a receipt; costs that change every quarter; receipts of no purchase order."""
    random = np.random.default_rng(7)
    bought = random.random(MOVEMENTS) < 0.1
    units = random.integers(1, 4, MOVEMENTS)
    names = pl.Series([f"LX-{number:05d}" for number in range(SKUS)])
    movements = pl.DataFrame(
        {
            "movement_id": np.arange(1, MOVEMENTS + 1),
            "sku": names.gather(random.integers(0, SKUS, MOVEMENTS)),
            "days": np.sort(random.integers(0, DAYS, MOVEMENTS)),
            "kind": np.where(bought, "receipt", np.where(random.random(MOVEMENTS) < 0.05, "return", "sale")),
            "units": units,
        }
    ).with_columns(day=pl.lit(FIRST) + pl.duration(days="days"), reference=pl.lit(None, pl.String))
    signed = pl.when(pl.col("kind") == "receipt").then(pl.col("units") * 10).otherwise("units")
    movements = movements.with_columns(
        quantity=pl.when(pl.col("kind") == "sale").then(-pl.col("units")).otherwise(signed)
    )
    since = [FIRST + timedelta(days=90 * quarter) for quarter in range(DAYS // 90 + 1)]
    costs = pl.DataFrame({"sku": names}).join(pl.DataFrame({"valid_from": since}), how="cross")
    costs = costs.with_columns(
        cost_minor=pl.Series(random.integers(1000, 90_000, costs.height)), currency=pl.lit("EUR")
    )
    none = {"reference": pl.String, "sku": pl.String, "paid_minor": pl.Int64, "paid_currency": pl.String}
    return movements, costs, pl.DataFrame(schema=none)


def _prove(priced: pl.DataFrame, method: Method) -> None:
    """A speed counts only of an answer that is right: values sum to what is left, and units to the level."""
    valued = value_movements(priced, pl.DataFrame(schema=LAYERS), method)
    worth = int(valued.parts["value_minor"].sum()) + int(valued.parts["variance_minor"].sum())
    if worth != int(valued.layers["value_minor"].sum()):
        raise RuntimeError("the values do not sum to what is left: their speed does not count")
    if int(valued.layers["units"].sum()) != int(priced["quantity"].sum()):
        raise RuntimeError("the units that are left are not those that moved")


def _seconds(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    for row in run():
        print(f"{row.name}: {row.ours:.2f} {row.unit}, reference {row.reference:.2f}, ratio {row.ratio:.2f}")
