"""Postings that the journal is about to get: of orders that were taken in since the last close.

Belongs here: giving them the shape of postings, so that a report of this moment holds them. Does not belong here: writing them
(the asset `ledger` does).
"""

from collections.abc import Mapping

import polars as pl

from assets.finance.accounts import Chart, chart_frame, head_of
from assets.finance.posting import value_lines, wanted_postings

WORDS = "Order, not in the journal yet"


def pending_postings(
    lines: pl.DataFrame,
    costs: pl.DataFrame,
    ratios: pl.DataFrame,
    base_currency: str,
    chart: Chart,
    schema: Mapping[str, pl.DataType],
) -> pl.DataFrame:
    """What the lines will be posted as, with the columns of `schema` (POSTINGS); ids are negative, as there are none yet.

    Costs are those of the cost table. `ratios` lead into the base currency.
    """
    valued = value_lines(lines, costs, ratios, base_currency)
    wanted = wanted_postings(valued, chart).rename({"account": "subaccount"})
    orders = lines.select("order_id", "order_number", "channel", "country").unique("order_id")
    heads = {code: head_of(code) for code in wanted["subaccount"].unique()}
    named = chart_frame(chart).rename({"code": "account", "name": "account_name", "type": "account_type"})
    full = (
        wanted.with_columns(
            pl.col("subaccount").replace_strict(heads, return_dtype=pl.String).alias("account"),
            (-pl.struct("order_id", "day").rank("dense").cast(pl.Int64)).alias("entry_id"),
            (-pl.int_range(1, pl.len() + 1, dtype=pl.Int64)).alias("posting_id"),
            pl.col("day").alias("event_day"),
            pl.lit("order").alias("kind"),
            pl.lit(WORDS).alias("description"),
            pl.lit(None, schema["recorded_at"]).alias("recorded_at"),
        )
        .join(orders, on="order_id", how="left", maintain_order="left")
        .join(named, on="account", how="left", maintain_order="left")
        .with_columns(pl.col("order_number").alias("reference"))
    )
    return full.select(pl.col(name).cast(dtype) for name, dtype in schema.items())
