"""Weekly demand of each SKU, read off the transactions.

Here: what counts as demand, which weeks a SKU's history has, and the frame that the models read.
Not here: the models themselves (`models`), and where transactions come from.
"""

from datetime import date, timedelta

import polars as pl

DEMAND_SCHEMA: dict[str, pl.DataType] = {
    "sku": pl.String(),
    "week": pl.Date(),
    "units_sold": pl.Int64(),
    "units_returned": pl.Int64(),
}
TRANSACTION_COLUMNS = ("day", "sku", "kind", "quantity", "amount_minor")
GOODS = "goods"
WEEK = timedelta(days=7)


def weekly_demand(transactions: pl.LazyFrame | pl.DataFrame, last_day: date | None = None) -> pl.DataFrame:
    """Units sold and returned of each SKU, one row for every week (`DEMAND_SCHEMA`), sorted by sku and week.

    `transactions` has a row a line: day (Date), sku (null unless goods), kind, quantity (Int64, negative for
    a return), amount_minor (Int64). Only lines of kind "goods" with an amount other than zero count: a line
    given away or written off is not demand.

    `week` is the Monday. A SKU's rows run without a hole from the week of its first sale to the panel's last
    complete week; weeks without a sale are zeros. `last_day` is the last day that the transactions cover (the
    latest day among them if not given; later lines are left out). A week that it does not complete, because
    it is not a Sunday, is left out whole: half a week reads as a fall in demand. Returns before a SKU's first
    sale belong to sales that the panel does not hold, and are left out with the weeks they fell in.

    Demand is gross: a sale that came back later was still demand on its day. Raises ValueError for missing
    columns.
    """
    lines = transactions.lazy()
    _require_columns(lines)
    end = last_day or lines.select(pl.col("day").max()).collect().item()
    if end is None:
        return pl.DataFrame(schema=DEMAND_SCHEMA)
    sold = _units_by_week(lines, last_week=last_complete_week(end)).collect()
    return _fill_weeks(sold, last_week=last_complete_week(end))


def last_complete_week(day: date) -> date:
    """The Monday of the last week that is over by the end of `day`."""
    return day - timedelta(days=day.isoweekday() % 7) - timedelta(days=6)


def _require_columns(lines: pl.LazyFrame) -> None:
    missing = sorted(set(TRANSACTION_COLUMNS) - set(lines.collect_schema().names()))
    if missing:
        raise ValueError(f"transactions lack the columns {', '.join(missing)}: weekly demand is made from them")


def _units_by_week(lines: pl.LazyFrame, *, last_week: date) -> pl.LazyFrame:
    quantity = pl.col("quantity").cast(pl.Int64)
    return (
        lines.filter(
            pl.col("kind") == GOODS,
            pl.col("sku").is_not_null(),
            pl.col("amount_minor") != 0,
            pl.col("day") < last_week + WEEK,
        )
        .group_by("sku", week=pl.col("day").dt.truncate("1w"))
        .agg(
            units_sold=quantity.filter(quantity > 0).sum(),
            units_returned=-quantity.filter(quantity < 0).sum(),
        )
    )


def _fill_weeks(sold: pl.DataFrame, *, last_week: date) -> pl.DataFrame:
    every_week = (
        sold.filter(pl.col("units_sold") > 0)
        .group_by("sku")
        .agg(first=pl.col("week").min())
        .with_columns(week=pl.date_ranges("first", pl.lit(last_week), interval="1w"))
        .explode("week")
    )
    return (
        every_week.join(sold, on=["sku", "week"], how="left")
        .with_columns(pl.col("units_sold", "units_returned").fill_null(0))
        .select(pl.col(name).cast(dtype) for name, dtype in DEMAND_SCHEMA.items())
        .sort("sku", "week")
    )
