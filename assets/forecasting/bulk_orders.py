"""Orders far beyond what a SKU's orders usually are: how much of them says something about next week.

Here: the rule and the cap. Not here: what else is no demand (`demand`), and whether such an order is a fraud.
"""

from datetime import timedelta

import polars as pl

SPREADS = 10.0
"""How many robust standard deviations above the middle order still are usual: orders have long tails."""

LEAST_SPREAD = 0.5
"""The least such deviation in units: most pieces are sold one by one, and their deviation is zero."""

WEEKS_OF_DEMAND = 3.0
"""How many weeks of demand one order may take before it is more than the SKU's usual trade."""

LEAST_ORDERS = 8
LEAST_WEEKS = 4
RECENT_WEEKS = 26
MAD_TO_SIGMA = 1.4826
WEEK = timedelta(days=7)


def cap_bulk_orders(sales: pl.DataFrame) -> pl.DataFrame:
    """What each order took of each SKU, and what of it counts: sku, week, order, quantity (Int64), kept (Float64).

    `sales` has a row a line: sku, day, order, quantity (above zero); lines of an order are taken together. An order is bulk if
    it is larger than both

    - median + `SPREADS` * max(1.4826 * MAD, `LEAST_SPREAD`) of the quantities of the SKU's orders of earlier weeks (Hampel's
      rule, with limits as wide as the long tails of orders ask for), and
    - `WEEKS_OF_DEMAND` times the SKU's mean week over the up to 26 weeks before, themselves capped,

    and is cut to the larger of the two (winsorised). Only earlier weeks are looked at, so that later orders change nothing. A
    SKU with fewer than eight earlier orders, or on sale for less than four weeks, is not judged: its orders count whole.
    """
    orders = (
        sales.group_by("sku", "order", week=pl.col("day").dt.truncate("1w"))
        .agg(pl.col("quantity").sum())
        .sort("sku", "week", "order")
        .with_columns(kept=pl.col("quantity").cast(pl.Float64))
    )
    # The second pass measures the weeks without the excess that the first one found.
    for _ in range(2):
        orders = _capped(orders)
    return orders.select("sku", "week", "order", "quantity", "kept")


def _capped(orders: pl.DataFrame) -> pl.DataFrame:
    rated = orders.join(_earlier_means(orders), on=["sku", "week"], how="left").sort("sku", "week", "order")
    few_weeks = WEEKS_OF_DEMAND * pl.col("mean_week")
    suspects = rated.filter(pl.col("quantity") > few_weeks, pl.col("quantity") > 1 + SPREADS * LEAST_SPREAD)
    caps = pl.DataFrame(
        {**suspects.select("sku", "week", "order").to_dict(), "usual": _usual_orders(suspects, orders)},
        schema={"sku": pl.String(), "week": pl.Date(), "order": pl.Int64(), "usual": pl.Float64()},
    )
    cap = pl.max_horizontal("usual", few_weeks)
    return (
        rated.join(caps, on=["sku", "week", "order"], how="left")
        .with_columns(
            kept=pl.when(pl.col("usual").is_null() | pl.col("mean_week").is_null())
            .then(pl.col("quantity").cast(pl.Float64))
            .otherwise(pl.min_horizontal(pl.col("quantity").cast(pl.Float64), cap))
        )
        .drop("mean_week", "usual")
    )


def _earlier_means(orders: pl.DataFrame) -> pl.DataFrame:
    """sku, week, mean_week: mean units of the up to 26 weeks before, zeros included; null for a SKU's first four weeks."""
    weekly = orders.group_by("sku", "week").agg(pl.col("kept").sum()).sort("sku", "week")
    grid = weekly.group_by("sku").agg(first=pl.col("week").min(), last=pl.col("week").max())
    grid = grid.with_columns(week=pl.date_ranges("first", "last", interval="1w")).explode("week").select("sku", "week")
    filled = (
        grid.join(weekly, on=["sku", "week"], how="left")
        .with_columns(pl.col("kept").fill_null(0.0))
        .sort("sku", "week")
    )
    before = pl.col("kept").shift(1).rolling_mean(RECENT_WEEKS, min_samples=LEAST_WEEKS).over("sku")
    return filled.select("sku", "week", mean_week=before)


def _usual_orders(suspects: pl.DataFrame, orders: pl.DataFrame) -> list[float | None]:
    """For each suspect, the largest order that the SKU's orders of earlier weeks make usual; None where they are too few."""
    import numpy as np

    wanted = suspects.select("sku").unique()
    earlier = orders.join(wanted, on="sku", how="semi").sort("sku", "week").select("sku", "week", "quantity")
    of_sku = {sku: part for (sku,), part in earlier.partition_by("sku", as_dict=True, include_key=False).items()}
    arrays = {sku: (part["week"].to_numpy(), part["quantity"].to_numpy()) for sku, part in of_sku.items()}
    usual: list[float | None] = []
    for sku, week in suspects.select("sku", "week").iter_rows():
        weeks, quantities = arrays[sku]
        seen = quantities[: int(np.searchsorted(weeks, np.datetime64(week, "D")))]
        if len(seen) < LEAST_ORDERS:
            usual.append(None)
            continue
        middle = float(np.median(seen))
        spread = max(MAD_TO_SIGMA * float(np.median(np.abs(seen - middle))), LEAST_SPREAD)
        usual.append(middle + SPREADS * spread)
    return usual
