"""Reports from the ledger and the lines: the daily report, profit and loss, margins.

Belongs here: sums that a finance director reads. Does not belong here: posting (`posting`) and pages (`executive_page`).
Amounts are integer minor units; a margin without a known cost is empty, never zero.
"""

import polars as pl

from assets.finance.accounts import (
    ADJUSTMENTS,
    BAD_DEBT,
    CHART,
    DISCOUNTS,
    FEES,
    GIFT_CARDS,
    OTHER_SALES,
    RETURNS,
    SALES,
    SALES_TAX,
    SAMPLES,
    SHIPPING,
)

# Report column, its account, and the sign that turns credit-negative postings into what a person expects.
_MONEY = {
    "gross_sales": (SALES, -1),
    "returns": (RETURNS, 1),
    "discounts": (DISCOUNTS, 1),
    "shipping": (SHIPPING, -1),
    "other_sales": (OTHER_SALES, -1),
    "adjustments": (ADJUSTMENTS, -1),
    "tax": (SALES_TAX, -1),
    "gift_cards": (GIFT_CARDS, -1),
    "fees": (FEES, 1),
    "samples": (SAMPLES, 1),
    "bad_debt": (BAD_DEBT, 1),
}
_COUNTS = ["orders", "units_sold", "units_returned", "units_costed"]
DAILY: dict[str, pl.DataType] = {
    "day": pl.Date(),
    "channel": pl.String(),
    "currency": pl.String(),
    "base_currency": pl.String(),
    **{f"{name}_minor": pl.Int64() for name in _MONEY},
    "net_revenue_minor": pl.Int64(),
    **{f"base_{name}_minor": pl.Int64() for name in _MONEY},
    "base_net_revenue_minor": pl.Int64(),
    "base_cost_of_goods_minor": pl.Int64(),
    "base_costed_revenue_minor": pl.Int64(),
    **dict.fromkeys(_COUNTS, pl.Int64()),
}


def daily_report(postings: pl.DataFrame, lines: pl.DataFrame, base_currency: str) -> pl.DataFrame:
    """One row per day of the event, channel and currency, with the columns DAILY.

    Money comes from the ledger, counts and costs from the lines. `orders` counts an invoice with goods sold once, on its
    first day. `units_costed` says for how many of the units sold less returned a cost was known; cost and costed revenue are
    of just those, and stand in the row of the currency that they were sold in. The `base_` amounts are null where a day's
    rate is unknown, the cost also where no unit's cost is known.
    """
    key = ["day", "channel", "currency"]
    # A report of a day tells what happened on it, also where its month was closed by then.
    of_event = (
        postings.lazy().with_columns(pl.col("event_day").alias("day"))
        if "event_day" in postings.columns
        else postings.lazy()
    )
    money = (
        _settled(of_event, key)
        # The currency of a cost alone makes no row.
        .filter(pl.col("currency").is_not_null() & pl.col("account").is_in([a.code for a, _ in _MONEY.values()]))
        .group_by(key)
        .agg(
            *(_sum_of(account.code, sign, "amount_minor").alias(f"{n}_minor") for n, (account, sign) in _MONEY.items()),
            *(_known_sum(account.code, sign).alias(f"base_{n}_minor") for n, (account, sign) in _MONEY.items()),
            pl.lit(True).alias("booked"),
        )
        .collect()
    )
    joined = money.join(_counts(lines, key), on=key, how="full", coalesce=True)
    return (
        joined.with_columns(
            pl.lit(base_currency).alias("base_currency"),
            *(pl.col(f"{n}_minor").fill_null(0) for n in _MONEY),
            # Where nothing was booked, nothing is worth nothing at any rate.
            *(pl.when("booked").then(f"base_{n}_minor").otherwise(0).alias(f"base_{n}_minor") for n in _MONEY),
            *(pl.col(c).fill_null(0) for c in _COUNTS),
        )
        .with_columns(
            (pl.col("gross_sales_minor") - pl.col("returns_minor")).alias("net_revenue_minor"),
            (pl.col("base_gross_sales_minor") - pl.col("base_returns_minor")).alias("base_net_revenue_minor"),
        )
        .sort(key)
        .select(pl.col(name).cast(dtype) for name, dtype in DAILY.items())
    )


def profit_and_loss(postings: pl.LazyFrame, base_currency: str) -> pl.DataFrame:
    """Per month and account of the profit and loss: month, section, account, name, amount_minor, base_currency, unconverted.

    Revenue is positive, an expense negative, so that the column sums to the result. `unconverted` counts sums of an order
    without a rate, which are in no amount here.
    """
    kinds = {a.code: a.type for a in CHART}
    return (
        _settled(postings.filter(pl.col("account_type").is_in(["revenue", "expense"])), ["day", "account_name"])
        .group_by(pl.col("day").dt.truncate("1mo").alias("month"), "account", "account_name")
        .agg(
            (-pl.col("base_amount_minor").sum()).alias("amount_minor"),
            pl.col("base_amount_minor").is_null().sum().cast(pl.Int64).alias("unconverted"),
        )
        .with_columns(pl.lit(base_currency).alias("base_currency"))
        .collect()
        .with_columns(pl.col("account").replace_strict(kinds, default="expense").alias("section"))
        .rename({"account_name": "name"})
        .sort("month", "account")
        .select("month", "section", "account", "name", "amount_minor", "base_currency", "unconverted")
    )


def margin_by(valued: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    """Goods sold net of returns by `keys`: units, base_revenue_minor, base_cost_minor, base_margin_minor, margin_rate.

    Cost and margin are null unless the cost of every unit is known; `units_costed` says of how many it is. `unconverted`
    counts lines without an exchange rate, which are in no amount, revenue or cost.
    """
    goods = valued.filter(pl.col("kind").is_in(["goods", "refund"]))
    stocked, costed = pl.col("kind") == "goods", pl.col("base_cost_minor").is_not_null()
    converted = pl.col("base_amount_minor").is_not_null()
    known = converted.any() & ((stocked & ~costed & converted).sum() == 0)
    return (
        goods.group_by(keys)
        .agg(
            pl.col("quantity").filter(stocked).sum().alias("units"),
            pl.col("quantity").filter(stocked & costed).sum().alias("units_costed"),
            pl.col("base_amount_minor").sum().alias("base_revenue_minor"),
            pl.when(known).then(pl.col("base_cost_minor").filter(converted).sum()).first().alias("base_cost_minor"),
            pl.col("base_amount_minor").is_null().sum().cast(pl.Int64).alias("unconverted"),
        )
        .with_columns((pl.col("base_revenue_minor") - pl.col("base_cost_minor")).alias("base_margin_minor"))
        .with_columns(
            pl.when(pl.col("base_revenue_minor") != 0)
            .then(pl.col("base_margin_minor") / pl.col("base_revenue_minor"))
            .alias("margin_rate")
        )
        .sort("base_revenue_minor", *keys, descending=[True, *(False for _ in keys)])
    )


def margin_by_month(valued: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    """`margin_by` of each month of the lines for itself, the oldest first, with the column `month` before the others."""
    dated = valued.with_columns(pl.col("day").dt.truncate("1mo").alias("month"))
    return margin_by(dated, ["month", *keys]).sort("month", maintain_order=True)


def cash_by_month(postings: pl.LazyFrame, clearing: str) -> pl.DataFrame:
    """What the clearing account took in and gave back: month, inflow, outflow, net in minor units of the base currency."""
    amount = pl.col("base_amount_minor")
    return (
        postings.filter(pl.col("account") == clearing)
        .group_by(pl.col("day").dt.truncate("1mo").alias("month"))
        .agg(
            amount.filter(amount > 0).sum().alias("inflow"),
            (-amount.filter(amount < 0).sum()).alias("outflow"),
            amount.sum().alias("net"),
        )
        .sort("month")
        .collect()
    )


SALES_REPORT_SQL = """
    WITH converted AS (
        SELECT *, base_net_revenue_minor IS NOT NULL AS known FROM financial_report
    )
    SELECT
        strftime(date_trunc(?, day), ?) AS period,
        CAST(sum(CASE WHEN known THEN base_gross_sales_minor ELSE gross_sales_minor END) AS BIGINT) AS gross_sales_minor,
        CAST(sum(CASE WHEN known THEN base_returns_minor ELSE returns_minor END) AS BIGINT) AS returns_minor,
        CAST(sum(CASE WHEN known THEN base_net_revenue_minor ELSE net_revenue_minor END) AS BIGINT) AS net_revenue_minor,
        CAST(sum(orders) AS BIGINT) AS orders,
        CAST(sum(units_sold) AS BIGINT) AS units,
        CASE WHEN known THEN base_currency ELSE currency END AS currency
    FROM converted
    WHERE day BETWEEN ? AND ?
    GROUP BY period, 7
    HAVING sum(abs(gross_sales_minor)) + sum(abs(returns_minor)) + sum(orders) > 0
    ORDER BY period, currency
"""
PERIOD_FORMATS = {"day": "%Y-%m-%d", "month": "%Y-%m"}


def _counts(lines: pl.DataFrame, key: list[str]) -> pl.DataFrame:
    goods, quantity = pl.col("kind") == "goods", pl.col("quantity")
    sold, returned = goods & (quantity > 0), goods & (quantity < 0)
    costed = goods & pl.col("base_cost_minor").is_not_null() & pl.col("base_amount_minor").is_not_null()
    return lines.group_by(key).agg(
        pl.col("order_id")
        .filter(sold & (pl.col("day") == pl.col("order_day")))
        .n_unique()
        .cast(pl.Int64)
        .alias("orders"),
        quantity.filter(sold).sum().alias("units_sold"),
        (-quantity.filter(returned).sum()).alias("units_returned"),
        quantity.filter(costed).sum().alias("units_costed"),
        pl.col("base_amount_minor").filter(costed).sum().alias("base_costed_revenue_minor"),
        pl.when(costed.any()).then(pl.col("base_cost_minor").filter(costed).sum()).alias("base_cost_of_goods_minor"),
    )


def _settled(postings: pl.LazyFrame, keys: list[str]) -> pl.LazyFrame:
    """Postings summed by order, day, account and currency (and `keys`): what stands in the journal after its corrections.

    A rate that came late is posted as a difference of the base amount alone; the first posting stays without one. The sum
    has a base amount where any of its postings has.
    """
    base = pl.col("base_amount_minor")
    return postings.group_by(list(dict.fromkeys(["order_id", "day", "account", "currency", *keys]))).agg(
        pl.col("amount_minor").sum(),
        pl.when(base.is_not_null().any()).then(base.sum()).first().alias("base_amount_minor"),
    )


def _sum_of(account: str, sign: int, column: str) -> pl.Expr:
    return pl.col(column).filter(pl.col("account") == account).sum() * sign


def _known_sum(account: str, sign: int) -> pl.Expr:
    of_account = pl.col("base_amount_minor").filter(pl.col("account") == account)
    return pl.when(pl.col("base_amount_minor").is_not_null().all()).then(of_account.sum() * sign).first()
