"""Weekly demand of each SKU, read off the transactions: what was wanted, which is not always what was sold.

Here: what counts as demand, which weeks a SKU's history has, and the frame that the models read. Not here: the models
themselves (`models`), where transactions come from, and the rules for empty shelves (`stockouts`), returns (`returns`) and
bulk orders (`bulk_orders`).
"""

from datetime import date, timedelta

import polars as pl

from assets.forecasting.bulk_orders import cap_bulk_orders
from assets.forecasting.returns import cancelled_orders, link_returns, returned_by_sale_week
from assets.forecasting.stockouts import days_out_of_stock, with_lost_sales

DEMAND_SCHEMA: dict[str, pl.DataType] = {
    "sku": pl.String(),
    "week": pl.Date(),
    "units_sold": pl.Int64(),
    "units_returned": pl.Int64(),
}
HISTORY_SCHEMA: dict[str, pl.DataType] = DEMAND_SCHEMA | {
    "units": pl.Float64(),
    "units_lost": pl.Float64(),
    "days_out_of_stock": pl.Int64(),
    "units_bulk": pl.Float64(),
    "units_cancelled": pl.Int64(),
    "units_returned_of_week": pl.Int64(),
    "price": pl.Float64(),
    "discount": pl.Float64(),
}
TRANSACTION_COLUMNS = ("day", "sku", "kind", "quantity", "amount_minor")
OPTIONAL_COLUMNS = (
    "order_id",
    "order_number",
    "original_order",
    "customer",
    "currency",
    "occurred_at",
)
GOODS = "goods"
WEEK = timedelta(days=7)
SUNDAY = timedelta(days=6)


def weekly_demand(
    transactions: pl.LazyFrame | pl.DataFrame,
    last_day: date | None = None,
    *,
    movements: pl.LazyFrame | pl.DataFrame | None = None,
    as_of: date | None = None,
    currency: str | None = None,
) -> pl.DataFrame:
    """What was wanted of each SKU, one row for every week (`HISTORY_SCHEMA`), sorted by sku and week.

    `transactions` has a row a line: day (Date), sku (null unless goods), kind, quantity (Int64, negative for
    a return), amount_minor (Int64), and where they are known the `OPTIONAL_COLUMNS`. Only lines of kind "goods" with an amount
    other than zero count: a line given away or written off is not demand. `movements` are stock movements (see
    `stockouts.days_out_of_stock`); without them no day is known to be out of stock.

    `week` is the Monday. A SKU's rows run without a hole from the week of its first sale to the panel's last
    complete week; weeks without a sale are zeros. `last_day` is the last day that the transactions cover (the
    latest day among them if not given; later lines are left out). A week that it does not complete, because
    it is not a Sunday, is left out whole: half a week reads as a fall in demand. Returns before a SKU's first
    sale belong to sales that the panel does not hold, and are left out with the weeks they fell in.

    - `units_sold`, `units_returned`: gross, each in the week of its own day. A sale that came back was still demand on its day.
    - `units` = units_sold - units_cancelled - units_bulk + units_lost: the demand to train on.
    - `units_cancelled`: of orders taken back whole within two days (`returns.cancelled_orders`).
    - `units_bulk`: the part of bulk orders beyond the usual (`bulk_orders.cap_bulk_orders`).
    - `days_out_of_stock`, `units_lost`: see `stockouts`.
    - `units_returned_of_week`: units sold in this week that came back, whenever they did (`returns.link_returns`).
    - `price`: the middle net price of one unit among the week's lines in `currency`, in its minor units, after the order's
      discount; the middle and not the mean, which every wholesale line would pull down. It stays what it last was in weeks
      without a sale, and is null before the first. By default `currency` is what most lines of the panel's first week are in.
    - `discount`: the share of the week's lines' worth that was given away in discount; null in a week without a sale or where
      lines have no order.

    `as_of` leaves out whatever became known after that day, so that the rows are those that would have been made then; it is
    `last_day` if not given, and may be later, to see the same weeks with what came back since. Nothing is computed from later
    weeks: with more days of data the rows of earlier weeks stay what they were, but for `units_returned_of_week`, which grows
    as goods come back, and for orders of a week's last two days that are cancelled in the next (so `units` and what it is made
    of are final two days after the week). Raises ValueError for missing columns.
    """
    lines = transactions.lazy()
    _require_columns(lines)
    end = last_day or lines.select(pl.col("day").max()).collect().item()
    if end is None:
        return pl.DataFrame(schema=HISTORY_SCHEMA)
    end = min(end, as_of) if as_of else end
    last_week = last_complete_week(end)
    sold = _units_by_week(lines, last_week=last_week).collect()
    weeks = _fill_weeks(sold, last_week=last_week)
    if weeks.is_empty():
        return pl.DataFrame(schema=HISTORY_SCHEMA)

    known = _known_goods(lines, as_of or end)
    links = link_returns(known)
    sales = known.filter(pl.col("quantity") > 0, pl.col("day") <= last_week + SUNDAY)
    weeks = _with_unwanted(weeks, sales, cancelled_orders(known, links))
    weeks = _with_stock(weeks, sales, movements, last_week + SUNDAY)
    weeks = weeks.join(returned_by_sale_week(links), on=["sku", "week"], how="left")
    weeks = _with_prices(weeks, sales, _discounted(lines, sales), currency)
    return weeks.with_columns(
        pl.col("units_returned_of_week").fill_null(0),
        units=pl.col("units_sold") - pl.col("units_cancelled") - pl.col("units_bulk") + pl.col("units_lost"),
    ).select(pl.col(name).cast(dtype) for name, dtype in HISTORY_SCHEMA.items())


def last_complete_week(day: date) -> date:
    """The Monday of the last week that is over by the end of `day`."""
    return day - timedelta(days=day.isoweekday() % 7) - timedelta(days=6)


def _require_columns(lines: pl.LazyFrame) -> None:
    missing = sorted(set(TRANSACTION_COLUMNS) - set(lines.collect_schema().names()))
    if missing:
        raise ValueError(f"transactions lack the columns {', '.join(missing)}: weekly demand is made from them")


def _is_goods() -> pl.Expr:
    return (pl.col("kind") == GOODS) & pl.col("sku").is_not_null() & (pl.col("amount_minor") != 0)


def _units_by_week(lines: pl.LazyFrame, *, last_week: date) -> pl.LazyFrame:
    quantity = pl.col("quantity").cast(pl.Int64)
    return (
        lines.filter(_is_goods(), pl.col("day") < last_week + WEEK)
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


def _known_goods(lines: pl.LazyFrame, as_of: date) -> pl.DataFrame:
    """The lines of goods that were known by then, with `order`: its number, or one of its own for a line without an order."""
    there = [name for name in OPTIONAL_COLUMNS if name in lines.collect_schema().names()]
    goods = lines.filter(_is_goods(), pl.col("day") <= as_of).select(*TRANSACTION_COLUMNS, *there).collect()
    alone = -1 - pl.int_range(pl.len(), dtype=pl.Int64)
    order = pl.coalesce(pl.col("order_id").cast(pl.Int64), alone) if "order_id" in there else alone
    return goods.with_columns(pl.col("quantity").cast(pl.Int64), order=order)


def _with_unwanted(weeks: pl.DataFrame, sales: pl.DataFrame, cancelled: pl.Series) -> pl.DataFrame:
    never = pl.col("order").is_in(cancelled.implode())
    of_cancelled = (
        sales.filter(never)
        .group_by("sku", week=pl.col("day").dt.truncate("1w"))
        .agg(units_cancelled=pl.col("quantity").sum())
    )
    of_bulk = (
        cap_bulk_orders(sales.filter(~never))
        .group_by("sku", "week")
        .agg(units_bulk=(pl.col("quantity") - pl.col("kept")).sum())
    )
    return (
        weeks.join(of_cancelled, on=["sku", "week"], how="left")
        .join(of_bulk, on=["sku", "week"], how="left")
        .with_columns(pl.col("units_cancelled").fill_null(0), pl.col("units_bulk").fill_null(0.0))
        .sort("sku", "week")
    )


def _with_stock(
    weeks: pl.DataFrame, sales: pl.DataFrame, movements: pl.LazyFrame | pl.DataFrame | None, last_day: date
) -> pl.DataFrame:
    if movements is None:
        return weeks.with_columns(days_out_of_stock=pl.lit(0, pl.Int64), units_lost=pl.lit(0.0))
    first_sale = sales.group_by("sku").agg(offered_from=pl.col("day").min())
    out = (
        days_out_of_stock(movements, last_day)
        .join(first_sale, on="sku")
        .filter(pl.col("day") >= pl.col("offered_from"))
        .group_by("sku", week=pl.col("day").dt.truncate("1w"))
        .agg(days_out_of_stock=pl.len().cast(pl.Int64))
    )
    late = (pl.col("offered_from") - pl.col("week")).dt.total_days().clip(lower_bound=0)
    offered = (
        weeks.join(first_sale, on="sku", how="left")
        .join(out, on=["sku", "week"], how="left")
        .sort("sku", "week")
        .with_columns(
            pl.col("days_out_of_stock").fill_null(0),
            units=pl.col("units_sold") - pl.col("units_cancelled") - pl.col("units_bulk"),
            days_offered=7 - late,
        )
    )
    return with_lost_sales(offered).drop("units", "days_offered", "offered_from")


def _discounted(lines: pl.LazyFrame, sales: pl.DataFrame) -> pl.DataFrame | None:
    """order, day, given: the share of its goods that an order's discount of the same day takes off; None without orders.

    Discounts are lines of their own, and are spread over the order's goods by their amounts. One given on a later day would
    change a week that is over, and is not looked at.
    """
    if "order_id" not in sales.columns:
        return None
    discounts = (
        lines.filter(pl.col("kind") == "discount", pl.col("amount_minor") < 0, pl.col("order_id").is_not_null())
        .group_by("day", order=pl.col("order_id").cast(pl.Int64))
        .agg(off=-pl.col("amount_minor").sum())
        .collect()
    )
    worth = sales.group_by("order", "day").agg(worth=pl.col("amount_minor").sum())
    return worth.join(discounts, on=["order", "day"]).select(
        "order", "day", given=(pl.col("off") / pl.col("worth")).clip(0.0, 1.0)
    )


def _with_prices(
    weeks: pl.DataFrame, sales: pl.DataFrame, discounts: pl.DataFrame | None, currency: str | None
) -> pl.DataFrame:
    priced = sales.with_columns(week=pl.col("day").dt.truncate("1w"))
    given = pl.col("given").fill_null(0.0)
    if discounts is None:
        priced = priced.with_columns(given=pl.lit(0.0))
    else:
        priced = priced.join(discounts, on=["order", "day"], how="left")
    off = (given * pl.col("amount_minor")).sum() / pl.col("amount_minor").sum()
    shares = priced.group_by("sku", "week").agg(discount=off if discounts is not None else pl.lit(None, pl.Float64))
    unit = (pl.col("amount_minor") / pl.col("quantity") * (1 - given)).median()
    prices = priced.filter(_of_currency(priced, currency)).group_by("sku", "week").agg(price=unit)
    return (
        weeks.join(shares, on=["sku", "week"], how="left")
        .join(prices, on=["sku", "week"], how="left")
        .sort("sku", "week")
        .with_columns(pl.col("price").forward_fill().over("sku"))
    )


def _of_currency(priced: pl.DataFrame, currency: str | None) -> pl.Expr:
    """Lines whose prices can be compared. The default is of the panel's first week, which later data leaves as it is."""
    if "currency" not in priced.columns:
        return pl.lit(True)
    if currency is None:
        first = priced.filter(pl.col("week") == pl.col("week").min())
        counts = first.group_by("currency").len().sort(["len", "currency"], descending=[True, False])
        currency = counts["currency"][0]
    return pl.col("currency") == currency
