"""From order lines to what the journal should say: each line valued, then summed by order, day and account.

Belongs here: valuation and the double entry of order lines. Does not belong here: the chart (`accounts`), the tables
(`resources/store/ledger`), reports (`statements`).
"""

import polars as pl

from assets.finance.accounts import ACCOUNT_OF_KIND, CLEARING, COST_OF_GOODS, INVENTORY, RETURNS
from assets.finance.fx import convert
from assets.finance.money import INT128

WANTED = ["order_id", "day", "account", "currency", "amount_minor", "base_amount_minor"]


def value_lines(lines: pl.DataFrame, costs: pl.DataFrame, ratios: pl.DataFrame, base_currency: str) -> pl.DataFrame:
    """Add to each line what it is worth in the base currency and, for goods, what it cost.

    Adds base_amount_minor, cost_minor (of the whole line, negative for returns), cost_currency, base_cost_minor: all null
    where no rate or no cost is known. `costs`: sku, valid_from, cost_minor (one unit), currency; the newest cost that is
    valid on the line's day counts.
    """
    valued = convert(lines, ratios, base_currency, "amount_minor", "base_amount_minor")
    by_day = costs.sort("valid_from").rename({"cost_minor": "unit_cost_minor", "currency": "cost_currency"})
    costed = (
        valued.with_row_index("position")
        .sort("day", maintain_order=True)
        .join_asof(by_day, left_on="day", right_on="valid_from", by="sku", strategy="backward", check_sortedness=False)
        .sort("position")
        .drop("position", "valid_from")
    )
    goods = pl.col("kind") == "goods"
    whole = pl.col("unit_cost_minor").cast(INT128) * pl.col("quantity").cast(INT128)
    in_cost_currency = costed.with_columns(
        pl.when(goods).then(whole.cast(pl.Int64, strict=False)).alias("cost_minor"),
        pl.when(goods).then("cost_currency").alias("cost_currency"),
    ).drop("unit_cost_minor")
    renamed = in_cost_currency.rename({"currency": "line_currency", "cost_currency": "currency"})
    converted = convert(renamed, ratios, base_currency, "cost_minor", "base_cost_minor")
    return converted.rename({"currency": "cost_currency", "line_currency": "currency"})


def wanted_postings(valued: pl.DataFrame) -> pl.DataFrame:
    """What the journal should say of these lines: the columns WANTED, summing to zero per order, day and currency.

    A line credits the account of its kind and debits clearing; goods of known cost move inventory to cost of goods. A base
    amount is null when any line behind it has no rate.
    """
    code = pl.col("kind").replace_strict({k: a.code for k, a in ACCOUNT_OF_KIND.items()}, default=None)
    returned = (pl.col("kind") == "goods") & (pl.col("quantity") < 0)
    booked = valued.with_columns(pl.when(returned).then(pl.lit(RETURNS.code)).otherwise(code).alias("account")).filter(
        pl.col("account").is_not_null() & (pl.col("amount_minor") != 0)
    )
    costed = valued.filter(pl.col("cost_minor").is_not_null() & (pl.col("cost_minor") != 0))
    legs = pl.concat(
        [
            _leg(booked, pl.col("account"), "", -1),
            _leg(booked, pl.lit(CLEARING.code), "", 1),
            _leg(costed, pl.lit(COST_OF_GOODS.code), "cost", 1),
            _leg(costed, pl.lit(INVENTORY.code), "cost", -1),
        ]
    )
    base = pl.col("base_amount_minor")
    return (
        legs.group_by("order_id", "day", "account", "currency", maintain_order=True)
        .agg(
            pl.col("amount_minor").sum(),
            pl.when(base.is_not_null().all()).then(base.sum()).first().alias("base_amount_minor"),
        )
        .filter((pl.col("amount_minor") != 0) | (pl.col("base_amount_minor").fill_null(0) != 0))
        .select(WANTED)
    )


def _leg(lines: pl.DataFrame, account: pl.Expr, of: str, sign: int) -> pl.DataFrame:
    amount, base, currency = (
        ("cost_minor", "base_cost_minor", "cost_currency")
        if of == "cost"
        else ("amount_minor", "base_amount_minor", "currency")
    )
    return lines.select(
        "order_id",
        "day",
        account.alias("account"),
        pl.col(currency).alias("currency"),
        (pl.col(amount) * sign).alias("amount_minor"),
        (pl.col(base) * sign).alias("base_amount_minor"),
    )
