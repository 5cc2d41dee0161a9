"""Days without stock, and what would have been sold on them.

Here: which days a shelf was empty, read off the movements, and the estimate of the sales lost. Not here: where movements come
from, and the frame of weekly demand (`demand`).
"""

from datetime import date, timedelta

import polars as pl

MEMORY = 0.9
"""What a week weighs beside the week after it: half after six and a half weeks."""

LONGEST_OUTAGE = 26
"""Weeks of an empty shelf after which nobody can say that it would still sell as it did."""

COUNTS = ("opening", "receipt")
WEEK = timedelta(days=7)


def days_out_of_stock(movements: pl.DataFrame | pl.LazyFrame, last_day: date) -> pl.DataFrame:
    """Days up to `last_day` on which a SKU could not be bought: sku, day, sorted.

    `movements` has the columns sku, day and quantity (signed; reservations too, which make units unavailable), and kind where
    it is known. The level is the sum of all movements. A day is out of stock if the level is zero when it begins and nothing
    leaves the shelf on it; so the day on which a delivery comes to an empty shelf is out unless something sells on it. A day
    on which the last piece is sold is not: it was there to be bought.

    A SKU is counted from its first opening count or receipt on (from its first movement, without `kind`). Before that, and
    while the level is below zero, which says that the count is wrong or that orders are taken without stock, nothing is
    known, and no day is called out of stock. Raises ValueError for missing columns.
    """
    frame = movements.lazy()
    columns = frame.collect_schema().names()
    missing = sorted({"sku", "day", "quantity"} - set(columns))
    if missing:
        raise ValueError(f"movements lack the columns {', '.join(missing)}: days without stock are read off them")
    counts = pl.col("kind").is_in(COUNTS) if "kind" in columns else pl.lit(True)
    daily = (
        frame.filter(pl.col("day") <= last_day, pl.col("sku").is_not_null())
        .group_by("sku", "day")
        .agg(
            moved=pl.col("quantity").sum(),
            taken=(pl.col("quantity") < 0).any(),
            counted=counts.any(),
        )
        .sort("sku", "day")
        .with_columns(
            level=pl.col("moved").cum_sum().over("sku"),
            counted=pl.col("counted").cum_max().over("sku"),
            until=pl.col("day").shift(-1).over("sku"),
            # The day of the next movement is out as well, unless that movement took something off the shelf.
            sold_next=pl.col("taken").shift(-1).over("sku"),
        )
        .filter(pl.col("level") == 0, pl.col("counted"))
        .select(
            "sku",
            first=pl.col("day") + timedelta(days=1),
            last=pl.when(pl.col("until").is_null())
            .then(pl.lit(last_day))
            .when(pl.col("sold_next"))
            .then(pl.col("until") - timedelta(days=1))
            .otherwise(pl.col("until")),
        )
        .filter(pl.col("first") <= pl.col("last"))
        .collect()
    )
    days = daily.with_columns(day=pl.date_ranges("first", "last", interval="1d")).explode("day")
    return days.select("sku", "day").sort("sku", "day")


def with_lost_sales(weeks: pl.DataFrame) -> pl.DataFrame:
    """`weeks` with `units_lost` (Float64): the sales expected of the days out of stock, had there been stock.

    `weeks` has a row for every SKU and week without a hole, sorted: sku, week, units (what was sold on the days in stock),
    days_out_of_stock, days_offered (7, or less in the week in which it came on sale). Demand is Poisson with a rate a day
    that drifts; the rate's gamma distribution is carried from week to week with a power discount (Harvey and Fernandes 1989,
    Journal of Business & Economic Statistics 7(4)), and a day without stock is a day unseen, not a day of zero:

        a_t = MEMORY * a_(t-1) + units_t        b_t = MEMORY * b_(t-1) + days_offered_t - days_out_of_stock_t
        units_lost_t = days_out_of_stock_t * a_t / b_t

    which is the expectation of what was not seen, given the week's own days in stock and the weeks before. Later weeks are not
    looked at. A SKU never seen in stock has no rate and loses nothing; neither does one from its 27th week in a row without
    stock on, for by then it may have left the range: such weeks say zero and are known by their seven days out.
    """
    lost: list[float] = []
    for (_,), rows in weeks.group_by("sku", maintain_order=True):
        if rows["days_out_of_stock"].max() == 0:
            lost.extend([0.0] * rows.height)
        else:
            lost.extend(_lost(rows))
    return weeks.with_columns(pl.Series("units_lost", lost, dtype=pl.Float64))


def _lost(rows: pl.DataFrame) -> list[float]:
    units, days, outage, lost = 0.0, 0.0, 0, []
    for sold, out, offered in rows.select("units", "days_out_of_stock", "days_offered").iter_rows():
        units, days = MEMORY * units + sold, MEMORY * days + max(offered - out, 0)
        outage = outage + 1 if out >= 7 else 0
        unknown = days <= 0 or outage > LONGEST_OUTAGE
        lost.append(0.0 if unknown else out * units / days)
    return lost
