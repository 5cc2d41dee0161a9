"""What a stock level means: which SKUs are low, which are out, and as of when. Pure."""

from datetime import date, datetime, timedelta

import polars as pl

ALERTS_WANTED = ["sku", "kind", "details"]


def low_stock(levels: pl.DataFrame) -> pl.DataFrame:
    """SKUs out of stock, or at or below their reorder point: sku, kind (out_of_stock or low_stock), details (JSON).

    A SKU that was never counted has an unknown stock and is neither.
    """
    available, point = pl.col("available"), pl.col("reorder_point")
    out = available <= 0
    return (
        levels.filter(pl.col("counted") & (out | (available <= point)))
        .with_columns(
            pl.when(out).then(pl.lit("out_of_stock")).otherwise(pl.lit("low_stock")).alias("kind"),
            pl.struct("available", "reorder_point").struct.json_encode().alias("details"),
        )
        .select(*ALERTS_WANTED)
        .sort("sku")
    )


def day_after_last_movement(levels: pl.DataFrame, now: datetime) -> date:
    """The day that the levels stand at the beginning of: the plan looks ahead from there, at the latest from today."""
    last = levels["last_movement_at"].max()
    return min(last.date() + timedelta(days=1), now.date()) if isinstance(last, datetime) else now.date()
