"""Planning what to write to four channels, beside a bare anti-join of what is wanted and what is shown.

Ours starts from stock levels and includes bundles, buffers and scarce stock; the reference is given the targets.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import polars as pl

from assets.inventory.allocation import Scarcity
from assets.inventory.availability import Stock, available_to_sell, targets
from assets.inventory.publication import compare, plan
from benchmarks.measure import Measured, medians

PAIRS = 9
TARGET = 4.0
SKUS = 100_000
BUNDLES = 2_000
NUMBERED = 1_000
CHANNELS = ["amazon", "ebay", "shopify", "woocommerce"]
MOVED = 50
"""One listing in so many shows something else than it should."""
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Inputs:
    """What a plan is made of."""

    stock: Stock
    rules: pl.DataFrame
    scarcity: Scarcity
    items: pl.DataFrame


def run() -> Iterator[Measured]:
    """One row: 100,000 SKUs on each of four channels."""
    stock, rules, scarcity = _brand()
    wanted = _wanted(stock, rules, scarcity)
    inputs = Inputs(stock, rules, scarcity, _items(wanted))
    _compare(_plan(inputs), wanted, inputs.items)
    ours, reference = medians(
        lambda: _milliseconds(lambda: _plan(inputs)),
        lambda: _milliseconds(lambda: _bare(wanted, inputs.items)),
        PAIRS,
    )
    yield Measured("publication-plan", "ms", ours, reference, TARGET, "lower")


def _plan(inputs: Inputs) -> pl.DataFrame:
    wanted = _wanted(inputs.stock, inputs.rules, inputs.scarcity)
    return plan(compare(wanted, inputs.items, NOW))


def _wanted(stock: Stock, rules: pl.DataFrame, scarcity: Scarcity) -> pl.DataFrame:
    return targets(stock, available_to_sell(stock), rules, scarcity)


def _bare(wanted: pl.DataFrame, items: pl.DataFrame) -> pl.DataFrame:
    return wanted.join(items, left_on=["channel", "sku", "quantity"], right_on=["channel", "sku", "shown"], how="anti")


def _brand() -> tuple[Stock, pl.DataFrame, Scarcity]:
    """Two places, of which marketplaces sell from one; one SKU in twenty is scarce; rules of every scope."""
    random = np.random.default_rng(7)
    skus = [f"LX-{number:06d}" for number in range(SKUS)]
    single, bundles = skus[BUNDLES:], skus[:BUNDLES]
    levels = pl.DataFrame(
        {
            "sku": single * 2,
            "location": np.repeat(["lyon", "paris"], len(single)),
            "on_hand": random.integers(0, 40, 2 * len(single)),
            "reserved": random.integers(0, 3, 2 * len(single)),
            "counted": True,
        }
    )
    parts = {"bundle": bundles * 2, "component": random.choice(single, 2 * BUNDLES), "units": 1}
    supply = pl.DataFrame({"sku": single[:500], "kind": "made_to_order", "limit": 5}).with_columns(
        pl.lit(None, pl.Date).alias("from"), pl.lit(None, pl.Date).alias("until")
    )
    sells_from = [(channel, "paris") for channel in CHANNELS] + [(channel, "lyon") for channel in CHANNELS[2:]]
    places = pl.DataFrame(sells_from, schema=["channel", "location"], orient="row")
    rules = [(None, None, 1, None), ("ebay", None, 2, 10), *((None, sku, 0, None) for sku in single[:5000])]
    rules += [("amazon", sku, 3, 20) for sku in single[2500:7500]]
    scarcity = Scarcity(
        channels=pl.DataFrame({"channel": CHANNELS, "priority": [4, 3, 2, 1], "weight": [1, 1, 2, 4]}),
        listed=pl.DataFrame({"channel": np.repeat(CHANNELS, SKUS), "sku": skus * len(CHANNELS)}),
        numbered=pl.DataFrame({"sku": single[-NUMBERED:]}),
        rule="pro_rata",
        scarce_at=2,
    )
    stock = Stock(levels, supply, pl.DataFrame(parts).unique(["bundle", "component"]), places, date(2026, 11, 20))
    scope = {"channel": pl.String, "sku": pl.String, "buffer": pl.Int64, "most": pl.Int64}
    return stock, pl.DataFrame(rules, schema=scope, orient="row"), scarcity


def _items(wanted: pl.DataFrame) -> pl.DataFrame:
    """Every target is listed and shows its quantity, but for one in `MOVED`, whose stock went down since. By channel."""
    row = pl.int_range(pl.len())
    moved = pl.when(row % MOVED == 0).then(pl.col("quantity") + 1).otherwise("quantity")
    return (
        wanted.sample(fraction=1, shuffle=True, seed=7)
        .with_columns(key=pl.format("gid-{}", row), shown=moved, agreed=moved)
        .select("channel", "key", "sku", "shown", "agreed")
        .with_columns(
            pending=pl.lit(None, pl.Int64),
            pending_until=pl.lit(None, pl.Datetime("us", "UTC")),
            unwritable=pl.lit(None, pl.String),
            policy=pl.lit(None, pl.String),
        )
        .sort("channel", "key")
    )


def _compare(ours: pl.DataFrame, wanted: pl.DataFrame, items: pl.DataFrame) -> None:
    """Two answers can only be compared in speed when they are the same answer."""
    keys = ["channel", "sku"]
    if not ours.select(keys).sort(keys).equals(_bare(wanted, items).select(keys).sort(keys)):
        raise RuntimeError("the plan and the anti-join differ: their speeds cannot be compared")


def _milliseconds(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    for row in run():
        print(f"{row.name}: {row.ours:.0f} {row.unit}, reference {row.reference:.0f}, ratio {row.ratio:.2f}")
