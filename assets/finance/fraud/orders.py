"""Orders as transactions: one row an order or credit note, made of its lines, in the base currency.

Belongs here: which lines make an order's amount, what is a return, and what a gift card. Does not belong here: valuing lines in
the base currency (`assets/finance/posting`), or what is suspicious.
"""

import polars as pl

ORDER_TRANSACTIONS: dict[str, pl.DataType] = {
    "transaction": pl.String(),
    "occurred_at": pl.Datetime("us"),
    "day": pl.Date(),
    "order_number": pl.String(),
    "channel": pl.String(),
    "customer": pl.String(),
    "country": pl.String(),
    "amount": pl.Float64(),
    "amount_minor": pl.Int64(),
    "currency": pl.String(),
    "base_amount_minor": pl.Int64(),
    "units": pl.Float64(),
    "is_return": pl.Int8(),
    "gift_card": pl.Float64(),
}
"""`transaction` is `channel/number`; `amount` and `gift_card` are `base_amount_minor` as a number to compare with others."""

ON_ACCOUNT = ("wholesale", "b2b")
"""Channels that are billed: shops of others order much, and are known."""
PAID = ("goods", "gift", "shipping", "discount", "gift_card", "refund", "other")


def order_transactions(valued: pl.DataFrame) -> pl.DataFrame:
    """Orders of lines that `value_lines` has valued, in order of time. An order without any known amount is left out.

    A line's `channel`, `order_number`, `kind`, `quantity`, `amount_minor`, `base_amount_minor`, `occurred_at`, `customer` and
    `country` are read. An order is a return where more comes back than goes out.
    """
    goods = pl.col("kind") == "goods"
    gift = pl.col("kind") == "gift_card"
    orders = (
        valued.filter(pl.col("kind").is_in(PAID), ~pl.col("channel").is_in(ON_ACCOUNT))
        .group_by("channel", "order_number")
        .agg(
            pl.col("occurred_at").min().dt.replace_time_zone(None),
            pl.col("day").min(),
            pl.col("customer", "country", "currency").drop_nulls().first(),
            pl.col("amount_minor").sum(),
            # A sum over lines of which one has no rate is no sum.
            pl.when(pl.col("base_amount_minor").null_count() == 0).then(pl.col("base_amount_minor").sum()),
            pl.col("quantity").filter(goods & (pl.col("quantity") > 0)).sum().cast(pl.Float64).alias("units"),
            pl.col("base_amount_minor").filter(gift).sum().cast(pl.Float64).alias("gift_card"),
            pl.col("quantity").filter(goods | (pl.col("kind") == "refund")).sum().alias("_net"),
        )
        .filter(pl.col("base_amount_minor").is_not_null())
    )
    returned = (pl.col("_net") < 0) | (pl.col("base_amount_minor") < 0)
    return (
        orders.with_columns(
            pl.concat_str("channel", pl.lit("/"), "order_number").alias("transaction"),
            pl.col("base_amount_minor").cast(pl.Float64).alias("amount"),
            returned.cast(pl.Int8).alias("is_return"),
        )
        .select(pl.col(name).cast(dtype) for name, dtype in ORDER_TRANSACTIONS.items())
        .sort("occurred_at", "transaction")
    )
