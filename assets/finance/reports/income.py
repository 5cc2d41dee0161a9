"""Profit and loss, and the waterfall from gross sales to margin: what was earned in a time, by month or place or compared.

Belongs here: the two statements of flows. Does not belong here: balances (`position`), cash (`cash`).
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import polars as pl

from assets.finance.posting import value_lines
from assets.finance.reports.evidence import evidence
from assets.finance.reports.model import Column, Report, Row, Value, all_of
from assets.finance.reports.sections import (
    DISCOUNTS,
    GOODS_COST,
    GROSS,
    INCOME_SECTIONS,
    RETURNS,
    Section,
    income_section,
)
from assets.finance.reports.sources import Sources, moved, unvalued_note, valued, within
from assets.finance.reports.span import Span, bucket, bucket_key, bucket_label, buckets, compared_with, counterparts

TOTAL = "total"
_SUBTOTALS = {
    "sales": ("net_sales", "Net sales"),
    "other_income": ("total_revenue", "Total revenue"),
    "cost": ("gross_profit", "Gross profit"),
    "operating": ("operating_result", "Operating result"),
    "financial": ("result", "Result"),
}
_Key = Callable[[object], str]


@dataclass(frozen=True)
class _Slice:
    """Postings of revenue and expense with `value_minor`, and the columns that they fall into."""

    postings: pl.LazyFrame
    bucket: pl.Expr
    key: _Key


def profit_and_loss(sources: Sources, span: Span, by: str = "month", compare: str | None = None) -> Report:
    """Every revenue and expense account; income is positive, an expense negative, so that each column adds up to the result.

    Columns are the months (or other buckets) and their total; with `compare` this period beside the other, the change, and for
    constant currency this period at the other's rates. Raises ReportError.
    """
    flows = pl.col("account_type").is_in(["revenue", "expense"])
    slices, columns, note = _slices(sources, span, by, compare, flows)
    leaves, names = _leaves(slices)
    rows = _statement_rows(names)
    return Report.of(
        "profit_and_loss",
        "Profit and loss",
        (span.first, span.last),
        sources.currency,
        columns,
        rows,
        leaves,
        (*note, *_unvalued(slices)),
        lambda row, columns: _behind(slices, row, columns),
    )


def revenue_waterfall(sources: Sources, span: Span, by: str = "month", compare: str | None = None) -> Report:
    """From gross sales over returns and discounts to net sales, and less the cost of goods to the margin.

    Where the cost of any unit sold in a column is unknown, its margin is unknown; its cost is what is known of it, or unknown
    where none is.
    """
    accounts = pl.col("account").is_in([GROSS, RETURNS, DISCOUNTS, GOODS_COST])
    slices, columns, note = _slices(sources, span, by, compare, accounts)
    leaves, _ = _leaves(slices)
    lacking = _units_without_cost(sources, span, by, compare)
    for key in lacking:
        leaves["margin", key] = None
        if not leaves.get((GOODS_COST, key)):
            leaves[GOODS_COST, key] = None
    rows = (
        Row(GROSS, "Gross sales"),
        Row(RETURNS, "Returns"),
        Row(DISCOUNTS, "Discounts"),
        Row("net_sales", "Net sales", "subtotal", sums=all_of([GROSS, RETURNS, DISCOUNTS])),
        Row(GOODS_COST, "Cost of goods sold"),
        Row("margin", "Gross margin", "total", sums=all_of(["net_sales", GOODS_COST]), strict=True),
        Row("margin_rate", "Gross margin, share of net sales", depth=1, ratio=("margin", "net_sales")),
    )
    if lacking and not compare:
        leaves["margin", TOTAL] = None
    # The same units stand in two columns of a comparison at constant rates.
    units = sum(count for key, count in lacking.items() if key != "constant")
    unknown = (f"The cost of {units} units is unknown, so margins with them are left empty.",) if units else ()
    return Report.of(
        "revenue_waterfall",
        "Revenue waterfall",
        (span.first, span.last),
        sources.currency,
        columns,
        rows,
        leaves,
        (*note, *unknown, *_unvalued(slices)),
        lambda row, columns: _behind(slices, row, columns),
    )


def _slices(
    sources: Sources, span: Span, by: str, compare: str | None, chosen: pl.Expr
) -> tuple[list[_Slice], tuple[Column, ...], tuple[str, ...]]:
    postings = sources.postings.filter(chosen)
    now = within(postings, span.first, span.last)
    if compare is None:
        part = _Slice(valued(now, sources), bucket(by), lambda value: bucket_key(by, value))  # pyright: ignore[reportArgumentType]
        return [part], _time_columns(part, span, by), ()
    other = compared_with(span, compare)
    parts = [
        _named("current", valued(now, sources)),
        _named("before", valued(within(postings, other.first, other.last), sources)),
    ]
    word = "previous period" if compare.startswith("previous") else "year before"
    columns = [
        Column("current", str(span)),
        Column("before", str(other)),
        Column("change", "Change", sums=(("current", 1), ("before", -1))),
        Column("change_rate", "Change in %", ratio=("change", "before")),
    ]
    if compare.endswith("_constant"):
        rates = moved(sources.ratios, counterparts(span, other, compare))
        parts.append(_named("constant", valued(now, sources, rates)))
        columns += [
            Column("constant", "This period at the rates of the other"),
            Column("constant_change", "Change at constant currency", sums=(("constant", 1), ("before", -1))),
            Column("constant_rate", "At constant currency in %", ratio=("constant_change", "before")),
        ]
    return parts, tuple(columns), (f"Compared with the {word}, {other}.",)


def _named(key: str, postings: pl.LazyFrame) -> _Slice:
    return _Slice(postings, pl.lit(key), str)


def _time_columns(part: _Slice, span: Span, by: str) -> tuple[Column, ...]:
    if by in ("channel", "country"):
        values = part.postings.select(bucket(by).unique()).collect().to_series().to_list()
        keys = [bucket_key(by, value) for value in sorted(values, key=lambda v: (v is None, v))]
    else:
        keys = buckets(span, by)
    columns = [Column(key, bucket_label(by, key)) for key in keys]
    return (*columns, Column(TOTAL, "Total", sums=all_of(keys)))


def _leaves(slices: Sequence[_Slice]) -> tuple[dict[tuple[str, str], Value], dict[str, tuple[str, str]]]:
    """Sums by account and column, and the names and types of the accounts. Null where nothing in the cell has a rate."""
    leaves: dict[tuple[str, str], Value] = {}
    names: dict[str, tuple[str, str]] = {}
    for part in slices:
        value = pl.col("value_minor")
        sums = part.postings.group_by("account", "account_name", "account_type", part.bucket.alias("bucket")).agg(
            (-value.sum()).alias("sum"), value.count().alias("known")
        )
        for account, name, type, key, minor, known in sums.collect().iter_rows():
            names[account] = (name, type)
            leaves[account, part.key(key)] = minor if known else None
    return leaves, names


def _statement_rows(names: dict[str, tuple[str, str]]) -> tuple[Row, ...]:
    rows: list[Row] = []
    before: list[str] = []
    for section in INCOME_SECTIONS:
        lines = _section_lines(section, names)
        if lines:
            rows.append(Row(section.key, section.title, "heading"))
            rows += lines
        key, label = _SUBTOTALS[section.key]
        sums = all_of([*before, *(line.key for line in lines)])
        if lines or section.key in ("sales", "financial"):
            rows.append(Row(key, label, "total" if key == "result" else "subtotal", sums=sums))
            before = [key]
    return tuple(rows)


def _section_lines(section: Section, names: dict[str, tuple[str, str]]) -> list[Row]:
    chosen = sorted(code for code, (_, type) in names.items() if income_section(code, type) == section)
    return [Row(code, f"{code}  {names[code][0]}", depth=1) for code in chosen]


def _units_without_cost(sources: Sources, span: Span, by: str, compare: str | None) -> dict[str, int]:
    """Per column, of how many units sold or returned no cost is known."""
    goods = sources.lines.filter(pl.col("kind") == "goods")
    if compare is None:
        parts = [(span, bucket(by), lambda value: bucket_key(by, value))]
    else:
        other = compared_with(span, compare)
        parts = [(span, pl.lit("current"), str), (other, pl.lit("before"), str)]
        parts += [(span, pl.lit("constant"), str)] if compare.endswith("_constant") else []
    found: dict[str, int] = {}
    for days, cut, key in parts:
        lines = value_lines(
            within(goods, days.first, days.last).collect(), sources.costs, sources.ratios, sources.currency
        )
        lacking = lines.filter(pl.col("base_cost_minor").is_null())
        sums = lacking.group_by(cut.alias("bucket")).agg(pl.col("quantity").abs().sum())
        found |= {key(value): int(units) for value, units in sums.iter_rows()}
    return found


def _unvalued(slices: Sequence[_Slice]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(note for part in slices for note in unvalued_note(part.postings)))


def _behind(slices: Sequence[_Slice], account: str, columns: Collection[str]) -> pl.DataFrame:
    """Postings of an account in some columns, each with the sign that it has in the report."""
    found: list[pl.DataFrame] = []
    for part in slices:
        rows = part.postings.filter(pl.col("account") == account).with_columns(part.bucket.alias("bucket")).collect()
        keys = rows["bucket"].unique().to_list()
        wanted = [key for key in keys if part.key(key) in columns]
        kept = rows.filter(pl.col("bucket").is_in(wanted, nulls_equal=True)) if wanted else rows.clear()
        found.append(evidence(kept, -pl.col("value_minor")))
    return pl.concat(found)
