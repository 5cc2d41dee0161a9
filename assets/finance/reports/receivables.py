"""Ageing of what wholesale customers owe: open items of account 1200 by how long they are open.

Belongs here: open items. Does not belong here: matching payments that name no order (reconciliation).

An item is what was booked under one reference (the order number) on one sub-account and in one currency, and is as old as its
first posting that raised it. What is settled is not shown. A payment that names no order is an item of its own, below zero.
"""

from collections.abc import Collection
from datetime import date

import polars as pl

from assets.finance.reports.evidence import evidence
from assets.finance.reports.model import NOT_GIVEN, Column, Report, Row, Value, all_of
from assets.finance.reports.sections import RECEIVABLE
from assets.finance.reports.sources import Sources, within
from assets.finance.reports.span import Span

_AGES = ((0, 30), (31, 60), (61, 90), (91, 120), (121, None))
_COLUMNS = tuple(
    Column(f"{low}-{high}" if high else "120+", f"{low} to {high} days" if high else "Over 120 days")
    for low, high in _AGES
)
_KEY = ["subaccount", "item", "currency"]


def receivables_ageing(sources: Sources, span: Span) -> Report:
    """Open items on the last day of the span, by sub-account, reference and currency; each currency has its own total."""
    sources.in_base_only("receivables_ageing")
    items = _items(within(sources.postings, None, span.last).collect(), span.last)
    open_items = (
        items.group_by(*_KEY, "column")
        .agg(pl.col("amount_minor").sum(), pl.col("opened").first())
        .filter(pl.col("amount_minor") != 0)
        .sort("currency", "subaccount", "opened", "item")
    )
    rows: list[Row] = []
    leaves: dict[tuple[str, str], Value] = {}
    for (currency,), mine in open_items.group_by("currency", maintain_order=True):
        rows.append(Row(f"in/{currency}", str(currency), "heading"))
        keys = []
        for account, item, _, column, minor, opened in mine.iter_rows():
            key = f"{account}/{item}/{currency}"
            label = f"{account.partition('.')[2] or account}  {item}, open since {opened}"
            rows.append(Row(key, label, depth=1, currency=str(currency)))
            leaves[key, column] = minor
            keys.append(key)
        rows.append(Row(f"total/{currency}", f"Total {currency}", "total", currency=str(currency), sums=all_of(keys)))
    columns = (*_COLUMNS, Column("open", "Open", sums=all_of(c.key for c in _COLUMNS)))
    return Report.of(
        "receivables_ageing",
        "Ageing of receivables",
        (span.first, span.last),
        sources.currency,
        columns,
        rows,
        leaves,
        () if rows else ("Nothing is owed.",),
        lambda row, columns: _behind(items, row, columns),
    )


def _items(postings: pl.DataFrame, until: date) -> pl.DataFrame:
    """Postings of receivables with `item`, when it was `opened`, and the `column` of its age."""
    reference = pl.coalesce("reference", "order_number", pl.format("entry {}", "entry_id"))
    mine = postings.filter(pl.col("account") == RECEIVABLE).with_columns(reference.alias("item"))
    raised = pl.col("day").filter(pl.col("amount_minor") > 0).min()
    opened = pl.coalesce(raised, pl.col("day").min()).over(_KEY)
    aged = mine.with_columns(opened.alias("opened"))
    age = (pl.lit(until) - pl.col("opened")).dt.total_days()
    column = pl.when(age > 120).then(pl.lit("120+")).otherwise(pl.lit(NOT_GIVEN))
    for low, high in _AGES[:-1]:
        column = pl.when(age.is_between(low, high)).then(pl.lit(f"{low}-{high}")).otherwise(column)
    return aged.with_columns(column.alias("column"))


def _behind(items: pl.DataFrame, row: str, columns: Collection[str]) -> pl.DataFrame:
    mine = (pl.format("{}/{}/{}", *_KEY) == row) & pl.col("column").is_in(list(columns))
    return evidence(items.filter(mine), pl.col("amount_minor"))
