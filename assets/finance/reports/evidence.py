"""What a cell drills down to: postings or order lines, each with the value that it has in the cell.

Belongs here: their columns. Does not belong here: which of them stand behind a cell (the report's own module).
"""

import polars as pl

EVIDENCE: dict[str, pl.DataType] = {
    "posting_id": pl.Int64(),
    "entry_id": pl.Int64(),
    "day": pl.Date(),
    "kind": pl.String(),
    "order_id": pl.Int64(),
    "order_number": pl.String(),
    "reference": pl.String(),
    "channel": pl.String(),
    "account": pl.String(),
    "account_name": pl.String(),
    "description": pl.String(),
    "amount_minor": pl.Int64(),
    "currency": pl.String(),
    "value": pl.Int64(),
}
LINE_EVIDENCE: dict[str, pl.DataType] = {
    "line_id": pl.Int64(),
    "day": pl.Date(),
    "kind": pl.String(),
    "order_id": pl.Int64(),
    "order_number": pl.String(),
    "channel": pl.String(),
    "sku": pl.String(),
    "description": pl.String(),
    "quantity": pl.Int64(),
    "amount_minor": pl.Int64(),
    "currency": pl.String(),
    "value": pl.Int64(),
}


def evidence(postings: pl.DataFrame, value: pl.Expr) -> pl.DataFrame:
    """Postings with the columns EVIDENCE, in the order of days and entries; `account` is the sub-account."""
    return (
        postings.with_columns(value.alias("value"), pl.col("subaccount").alias("account"))
        .sort("day", "entry_id", "posting_id")
        .select(pl.col(name).cast(dtype) for name, dtype in EVIDENCE.items())
    )


def line_evidence(lines: pl.DataFrame, value: pl.Expr) -> pl.DataFrame:
    """Order lines with the columns LINE_EVIDENCE, likewise."""
    return (
        lines.with_columns(value.alias("value"))
        .sort("day", "order_number", "line_id")
        .select(pl.col(name).cast(dtype) for name, dtype in LINE_EVIDENCE.items())
    )
