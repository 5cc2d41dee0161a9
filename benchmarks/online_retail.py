"""A real panel to forecast: weekly sales of 120 products of a gift retailer (UCI Online Retail II, D. Chen, CC BY 4.0).

Belongs here: the choice of series. Does not belong here: forecasts of them.
"""

from pathlib import Path

import numpy as np
import polars as pl

from assets.forecasting.demand_class import NAMES, demand_classes
from assets.forecasting.panel import read_panel

FILE = Path(__file__).parents[2] / "shared" / "data" / "online_retail.parquet"
FREQ = "W-MON"
PER_CLASS = 30
LEAST_WEEKS, LEAST_SELLING_WEEKS = 60, 20


def weekly_sales(file: Path = FILE) -> pl.DataFrame:
    """unique_id, ds (Monday), y (units) of every product and whole week from its first sale on; weeks without are zeros.

    Products have five digits at the start of their code. Cancellations and lines without a price are left out.
    """
    lines = pl.read_parquet(file).filter(
        pl.col("StockCode").str.contains(r"^\d{5}")
        & ~pl.col("InvoiceNo").str.starts_with("C")
        & (pl.col("Quantity") > 0)
        & (pl.col("UnitPrice") > 0)
    )
    week = pl.col("InvoiceDate").dt.date().dt.truncate("1w")
    sums = lines.group_by(pl.col("StockCode").alias("unique_id"), week.alias("ds")).agg(
        pl.col("Quantity").sum().cast(pl.Float64).alias("y")
    )
    last = lines["InvoiceDate"].dt.date().max()
    whole = sums.filter(pl.col("ds") + pl.duration(days=6) <= pl.lit(last))
    end = whole["ds"].max()
    every = (
        whole.group_by("unique_id")
        .agg(pl.col("ds").min())
        .with_columns(pl.date_ranges("ds", pl.lit(end), "1w"))
        .explode("ds")
    )
    return (
        every.join(whole, on=["unique_id", "ds"], how="left")
        .with_columns(pl.col("y").fill_null(0))
        .sort("unique_id", "ds")
    )


def some_series(sales: pl.DataFrame, seed: int) -> pl.DataFrame:
    """`PER_CLASS` series of each demand class, chosen by `seed`, of those that are long enough and sell often enough."""
    enough = (pl.len() >= LEAST_WEEKS) & ((pl.col("y") > 0).sum() >= LEAST_SELLING_WEEKS)
    able = sales.filter(enough.over("unique_id"))
    panel = read_panel(able, FREQ)
    ids, kinds = np.array(panel.ids), demand_classes(panel.y)
    random = np.random.default_rng(seed)
    chosen = [random.choice(ids[kinds == kind], PER_CLASS, replace=False) for kind in range(len(NAMES))]
    return able.filter(pl.col("unique_id").is_in(np.concatenate(chosen).tolist()))
