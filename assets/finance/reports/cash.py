"""Cash flow by the direct method: what moved banks and clearing accounts, by what it was for.

Belongs here: payments. Does not belong here: which payouts match which orders (reconciliation).

Cash is the banks and what processors hold for us. Every entry sums to zero, so what moved its cash is the other legs with the
sign turned round. Goods taken out of stock at cost fall into one row with their cost, and cancel out.
"""

from collections.abc import Collection
from datetime import date

import polars as pl

from assets.finance.reports.evidence import evidence
from assets.finance.reports.model import Column, Report, Row, Value, all_of
from assets.finance.reports.sections import CASH, EXCHANGE, FINANCING_CASH, OPERATING_CASH, cash_section
from assets.finance.reports.sources import Sources, unvalued_note, valued, within
from assets.finance.reports.span import TIMES, Span, bucket, bucket_key, bucket_label, buckets

_TITLE = "Cash flow"


def cash_flow(sources: Sources, span: Span, by: str = "month") -> Report:
    """Money in (positive) and out (negative) by month or other bucket, between the opening and the closing cash."""
    sources.in_base_only("cash_flow")
    keys = buckets(span, by if by in TIMES else "month")
    by = by if by in TIMES else "month"
    columns = (*(Column(key, bucket_label(by, key)) for key in keys), Column("total", "Total", sums=all_of(keys)))
    postings = valued(within(sources.postings, None, span.last), sources)
    legs = _other_legs(postings, span)
    leaves = _flows(legs, by)
    rows = _rows()
    return Report.of(
        "cash_flow",
        _TITLE,
        (span.first, span.last),
        sources.currency,
        columns,
        rows,
        leaves | _openings(postings, span, by, keys),
        unvalued_note(legs),
        lambda row, columns: _evidence(postings, legs, span, by, row, columns),
    )


def _rows() -> tuple[Row, ...]:
    operating = [Row(s.key, s.title, depth=1) for s in OPERATING_CASH]
    financing = [Row(s.key, s.title, depth=1) for s in FINANCING_CASH]
    return (
        Row("operations", "Operations", "heading"),
        *operating,
        Row("from_operations", "From operations", "subtotal", sums=all_of(r.key for r in operating)),
        Row("financing", "Financing", "heading"),
        *financing,
        Row("from_financing", "From financing", "subtotal", sums=all_of(r.key for r in financing)),
        Row(EXCHANGE.key, EXCHANGE.title),
        Row("net", "Change in cash", "total", sums=all_of(["from_operations", "from_financing", EXCHANGE.key])),
        Row("opening", "Cash at the beginning"),
        Row("closing", "Cash at the end", "total", sums=all_of(["opening", "net"])),
    )


def _other_legs(postings: pl.LazyFrame, span: Span) -> pl.LazyFrame:
    """Legs against cash, of entries of the span that move cash."""
    now = postings.filter(pl.col("day") >= span.first)
    cash = pl.col("account").is_in(CASH)
    entries = now.filter(cash).select("entry_id").unique()
    return now.filter(~cash).join(entries, on="entry_id", how="semi")


def _flows(legs: pl.LazyFrame, by: str) -> dict[tuple[str, str], Value]:
    value = pl.col("value_minor")
    sums = legs.group_by("account", bucket(by).alias("bucket")).agg(value.sum(), value.count().alias("known")).collect()
    found: dict[tuple[str, str], tuple[int, int]] = {}
    for account, key, minor, known in sums.iter_rows():
        cell = (cash_section(account).key, bucket_key(by, key))
        before = found.get(cell, (0, 0))
        found[cell] = (before[0] - minor, before[1] + known)
    return {cell: minor if known else None for cell, (minor, known) in found.items()}


def _openings(postings: pl.LazyFrame, span: Span, by: str, keys: list[str]) -> dict[tuple[str, str], Value]:
    """Cash at the beginning of each bucket, from the cash accounts themselves and not from the flows."""
    cash = postings.filter(pl.col("account").is_in(CASH))
    before = cash.filter(pl.col("day") < span.first).select(pl.col("value_minor").sum()).collect().item()
    moved = (
        cash.filter(pl.col("day") >= span.first).group_by(bucket(by).alias("bucket")).agg(pl.col("value_minor").sum())
    )
    by_key = {bucket_key(by, key): minor for key, minor in moved.collect().iter_rows()}
    found: dict[tuple[str, str], Value] = {("opening", "total"): before}
    for key in keys:
        found["opening", key] = before
        before += by_key.get(key, 0)
    return found


def _evidence(
    postings: pl.LazyFrame, legs: pl.LazyFrame, span: Span, by: str, row: str, columns: Collection[str]
) -> pl.DataFrame:
    if row == "opening":
        cash = postings.filter(pl.col("account").is_in(CASH))
        firsts = [span.first if column == "total" else _begin(span, by, column) for column in columns]
        found = [cash.filter(pl.col("day") < first).collect() for first in firsts]
        return evidence(pl.concat(found), pl.col("value_minor"))
    mine = legs.with_columns(bucket(by).alias("bucket")).collect()
    accounts = [code for code in mine["account"].unique() if cash_section(code).key == row]
    days = [day for day in mine["bucket"].unique() if bucket_key(by, day) in columns]
    chosen = mine.filter(pl.col("account").is_in(accounts), pl.col("bucket").is_in(days))
    return evidence(chosen, -pl.col("value_minor"))


def _begin(span: Span, by: str, column: str) -> date:
    days = pl.DataFrame([pl.date_range(span.first, span.last, "1d", eager=True).alias("day")])
    cut = days.group_by(bucket(by).alias("bucket"), maintain_order=True).agg(pl.col("day").min())
    return next(day for value, day in cut.iter_rows() if bucket_key(by, value) == column)
