"""Cohorts: customers by the month of their first purchase, and what they bought in the months since.

Belongs here: revenue, orders and customers by cohort. Does not belong here: a forecast of their value.
"""

from collections.abc import Collection
from datetime import date

import polars as pl

from assets.finance.fx import convert
from assets.finance.reports.evidence import line_evidence
from assets.finance.reports.model import Column, Report, Row, Value, all_of
from assets.finance.reports.sources import Sources, within
from assets.finance.reports.span import Span

MOST_MONTHS = 24
_SECTIONS = (("revenue", "Net revenue"), ("orders", "Orders"), ("customers", "Customers who bought"))


def cohort_value(sources: Sources, span: Span) -> Report:
    """Rows: months of first purchase within the span. Columns: months since. Net revenue of goods, orders, customers.

    A first purchase is the first of all that is known until the span's last day. An order counts once, in the month of its
    first line with goods sold. Guests are in no cohort; a note says what they bought.
    """
    lines = _lines(sources, span)
    known = lines.filter(pl.col("cohort").is_between(span.first.replace(day=1), span.last))
    oldest = known["cohort"].sort().first()
    width = min(_months_between(oldest, span.last), MOST_MONTHS) if isinstance(oldest, date) else 0
    beyond = known.filter(pl.col("since") > width)
    known = known.filter(pl.col("since") <= width)
    months = [Column(str(n), f"Month {n}") for n in range(width + 1)]
    columns = (*months, Column("total", "Total", sums=all_of(c.key for c in months)))
    cohorts = known["cohort"].unique().sort().to_list()
    rows: list[Row] = []
    leaves = _leaves(known)
    for section, title in _SECTIONS:
        unit = "money" if section == "revenue" else "count"
        keys = [f"{cohort:%Y-%m}/{section}" for cohort in cohorts]
        rows.append(Row(f"all/{section}/", title, "heading"))
        rows += [Row(key, f"{cohort:%Y-%m}", depth=1, unit=unit) for key, cohort in zip(keys, cohorts, strict=True)]
        rows.append(Row(f"all/{section}", f"All cohorts, {title.lower()}", "subtotal", unit=unit, sums=all_of(keys)))
        for cohort, key in zip(cohorts, keys, strict=True):
            # A month that has not begun yet is no month without sales.
            for n in range(_months_between(cohort, span.last) + 1, width + 1):
                leaves[key, str(n)] = None
        if section == "customers":
            leaves |= {(key, "total"): None for key in [*keys, f"all/{section}"]}
    notes = _notes(lines, beyond, sources)
    return Report.of(
        "cohort_value",
        "Value of cohorts",
        (span.first, span.last),
        sources.currency,
        columns,
        rows,
        leaves,
        notes,
        lambda row, columns: _behind(known, row, [int(column) for column in columns]),
    )


def _lines(sources: Sources, span: Span) -> pl.DataFrame:
    """Lines of goods and refunds until the last day, with `cohort`, `since` and `value_minor`."""
    kept = within(sources.lines, None, span.last).filter(pl.col("kind").is_in(["goods", "refund"])).collect()
    worth = convert(kept, sources.ratios, sources.currency, "amount_minor", "value_minor")
    sold = (pl.col("kind") == "goods") & (pl.col("quantity") > 0)
    first = pl.col("day").filter(sold).min().over("customer")
    cohort = pl.when(pl.col("customer").is_not_null()).then(first).dt.truncate("1mo")
    since = (pl.col("day").dt.year() - cohort.dt.year()) * 12 + (
        pl.col("day").dt.month().cast(pl.Int32) - cohort.dt.month().cast(pl.Int32)
    )
    # A return in a month before the first purchase that is known belongs to the first month.
    placed = worth.with_columns(cohort.alias("cohort"), since.clip(lower_bound=0).cast(pl.Int64).alias("since"))
    opened = placed.filter(sold).group_by("order_id").agg(pl.col("line_id").sort_by("day", "line_id").first())
    firsts = opened["line_id"].implode()
    bought = placed.filter(sold).group_by("customer", "since").agg(pl.col("line_id").sort_by("day", "line_id").first())
    return placed.with_columns(
        pl.col("line_id").is_in(firsts).cast(pl.Int64).alias("orders"),
        pl.col("line_id").is_in(bought["line_id"].implode()).cast(pl.Int64).alias("customers"),
    )


def _leaves(known: pl.DataFrame) -> dict[tuple[str, str], Value]:
    sums = known.group_by("cohort", "since").agg(
        pl.col("value_minor").sum(),
        pl.col("value_minor").count().alias("valued"),
        pl.col("orders").sum(),
        pl.col("customers").sum(),
    )
    leaves: dict[tuple[str, str], Value] = {}
    for cohort, since, minor, count, orders, customers in sums.iter_rows():
        of_section = {"revenue": minor if count else None, "orders": orders, "customers": customers}
        leaves |= {(f"{cohort:%Y-%m}/{section}", str(since)): value for section, value in of_section.items()}
    return leaves


def _months_between(cohort: date, last: date) -> int:
    return (last.year - cohort.year) * 12 + last.month - cohort.month


def _notes(lines: pl.DataFrame, beyond: pl.DataFrame, sources: Sources) -> tuple[str, ...]:
    from assets.finance.money import to_decimal

    def told(some: pl.DataFrame, what: str) -> tuple[str, ...]:
        amount = to_decimal(int(some["value_minor"].sum()), sources.currency)
        return (f"{what}: {amount:,} {sources.currency}, in no cohort here.",) if some.height else ()

    lacking = lines.filter(pl.col("value_minor").is_null()).height
    return (
        *told(lines.filter(pl.col("cohort").is_null()), "Guests, and clients of whom no purchase is known"),
        *told(beyond, f"After month {MOST_MONTHS}"),
        *((f"{lacking} order lines have no exchange rate and are in no amount.",) if lacking else ()),
    )


def _behind(known: pl.DataFrame, row: str, since: Collection[int]) -> pl.DataFrame:
    month, _, section = row.partition("/")
    mine = known.filter(pl.col("cohort").dt.strftime("%Y-%m") == month, pl.col("since").is_in(list(since)))
    if section == "revenue":
        return line_evidence(mine, pl.col("value_minor"))
    return line_evidence(mine.filter(pl.col(section) == 1), pl.col(section))
