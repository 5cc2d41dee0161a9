"""What processors hold: from the orders that they cleared to what they paid out, by clearing account and currency.

Belongs here: the movements of account 1100, by what stands against them. Does not belong here: which line of a statement
belongs to which order (reconciliation).

An entry that moves one clearing account in a currency is split by its other legs, so that a payout shows its fee apart. One
that moves two of them, such as an order that was paid through another processor, is a transfer. What is left at the end is
what is not settled: the orders that are not paid out, less what was paid out and belongs to no order.
"""

from collections.abc import Collection

import polars as pl

from assets.finance.reports.evidence import evidence
from assets.finance.reports.model import Column, Report, Row, Value, all_of
from assets.finance.reports.sources import Sources, within
from assets.finance.reports.span import Span

CLEARING = "1100"
_AGAINST = {"1000": "paid_out", "6100": "fees", "1150": "disputes", "6350": "disputes", "1900": "moved"}
_COLUMNS = (
    Column("opening", "At the beginning"),
    Column("orders", "Orders and refunds"),
    Column("fees", "Fees"),
    Column("disputes", "Chargebacks"),
    Column("moved", "Transfers and conversions"),
    Column("paid_out", "Paid out"),
)
_PLACE = ["entry_id", "currency"]


def payouts(sources: Sources, span: Span) -> Report:
    """Clearing accounts by currency, each in its own: opening, orders, fees, chargebacks, transfers, payouts, closing."""
    sources.in_base_only("payouts")
    parts = _parts(within(sources.postings, None, span.last).collect(), span)
    sums = (
        parts.group_by("place", "currency", "clearing", "column")
        .agg(pl.col("value").sum())
        .filter(pl.col("value") != 0)
        .sort("currency", "clearing", "column")
    )
    rows: list[Row] = []
    leaves: dict[tuple[str, str], Value] = {}
    for (currency,), mine in sums.group_by("currency", maintain_order=True):
        rows.append(Row(f"in/{currency}", str(currency), "heading"))
        keys: list[str] = []
        for place, _, clearing, column, value in mine.iter_rows():
            if place not in keys:
                keys.append(place)
                label = str(clearing).partition(".")[2] or str(clearing)
                rows.append(Row(place, label, depth=1, currency=str(currency)))
            leaves[place, column] = value
        rows.append(Row(f"total/{currency}", f"Total {currency}", "total", currency=str(currency), sums=all_of(keys)))
    columns = (*_COLUMNS, Column("open", "Not settled", sums=all_of(column.key for column in _COLUMNS)))
    return Report.of(
        "payouts",
        "Payouts",
        (span.first, span.last),
        sources.currency,
        columns,
        rows,
        leaves,
        () if rows else ("No processor holds or held anything.",),
        lambda row, columns: _behind(parts, row, columns),
    )


def _parts(postings: pl.DataFrame, span: Span) -> pl.DataFrame:
    """Postings that say what moved clearing, each with the `clearing` account, its `place`, the `column` and the `value`."""
    own = postings.filter((pl.col("account") == CLEARING) & (pl.col("amount_minor") != 0))
    accounts = own.group_by(_PLACE).agg(
        pl.col("subaccount").n_unique().alias("accounts"), pl.col("subaccount").min().alias("clearing")
    )
    alone = accounts.filter(pl.col("accounts") == 1).drop("accounts")
    against = postings.filter((pl.col("account") != CLEARING) & (pl.col("amount_minor") != 0)).join(alone, on=_PLACE)
    column = pl.col("account").replace_strict(_AGAINST, default="orders", return_dtype=pl.String)
    split = against.with_columns(column.alias("column"), (-pl.col("amount_minor")).alias("value"))
    between = own.join(alone, on=_PLACE, how="anti").with_columns(
        pl.col("subaccount").alias("clearing"), pl.lit("moved").alias("column"), pl.col("amount_minor").alias("value")
    )
    both = pl.concat([split, between.select(split.columns)])
    earlier = pl.when(pl.col("day") < span.first).then(pl.lit("opening")).otherwise("column")
    return both.with_columns(earlier.alias("column"), pl.format("{}/{}", "clearing", "currency").alias("place"))


def _behind(parts: pl.DataFrame, row: str, columns: Collection[str]) -> pl.DataFrame:
    mine = parts.filter((pl.col("place") == row) & pl.col("column").is_in(list(columns)))
    return evidence(
        mine.drop("value"), -pl.col("amount_minor") * pl.when(pl.col("account") == CLEARING).then(-1).otherwise(1)
    )
