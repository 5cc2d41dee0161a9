"""Gross margin by SKU, colour, size, collection, channel or country: revenue net of returns, its cost, what is left.

Belongs here: sums of valued order lines. Does not belong here: how a line is valued (`posting`).
"""

import polars as pl

from assets.finance.posting import value_lines
from assets.finance.reports.evidence import line_evidence
from assets.finance.reports.model import NOT_GIVEN, Column, Report, ReportError, Row, Value, all_of
from assets.finance.reports.sources import Sources, within
from assets.finance.reports.span import Span
from assets.finance.statements import margin_by, margin_by_month

DIMENSIONS = {
    "sku": "SKU",
    "colour": "colour",
    "size": "size",
    "collection": "collection",
    "category": "category",
    "channel": "channel",
    "country": "country",
}
_OF_CATALOG = {"colour": "color", "size": "size", "collection": "collection", "category": "category"}
# No SKU, colour or place is called so.
_TOTAL = "(total)"
_COLUMNS = (
    Column("units", "Units", "count"),
    Column("revenue", "Net revenue"),
    Column("cost", "Cost"),
    Column("margin", "Margin"),
    Column("margin_rate", "Margin in %", ratio=("margin", "revenue")),
    Column("units_costed", "Units of known cost", "count"),
)


def margin_by_dimension(sources: Sources, span: Span, by: str = "sku") -> Report:
    """Units, revenue, cost and margin of what was sold net of returns, by one of DIMENSIONS, the largest revenue first.

    Cost and margin are unknown unless the cost of every unit is known. Raises ReportError for another dimension.
    """
    if by not in DIMENSIONS:
        raise ReportError(f"{by!r} is not one of {', '.join(DIMENSIONS)}")
    lines = goods(sources, span, by)
    margins = margin_by(lines, [by])
    names = dict(sources.catalog.select("sku", "name").iter_rows()) if by == "sku" else {}
    rows: list[Row] = []
    leaves: dict[tuple[str, str], Value] = {}
    for row in margins.iter_rows(named=True):
        key = NOT_GIVEN if row[by] is None else str(row[by])
        name = names.get(key)
        rows.append(Row(key, f"{key}  {name}" if name and name != key else key))
        whole = row["base_cost_minor"] is not None
        known = whole or row["base_revenue_minor"] or not row["unconverted"]
        leaves |= {
            (key, "units"): row["units"],
            (key, "revenue"): row["base_revenue_minor"] if known else None,
            (key, "cost"): row["base_cost_minor"],
            (key, "margin"): row["base_margin_minor"],
            (key, "units_costed"): row["units_costed"],
        }
    rows.append(Row(_TOTAL, "Total", "total", sums=all_of([row.key for row in rows])))
    for column in ("cost", "margin"):
        if any(leaves[row.key, column] is None for row in rows[:-1]):
            leaves[_TOTAL, column] = None
    return Report.of(
        f"margin_by_{by}",
        f"Gross margin by {DIMENSIONS[by]}",
        (span.first, span.last),
        sources.currency,
        _COLUMNS,
        rows,
        leaves,
        _notes(margins),
        lambda row, columns: pl.concat(_behind(lines, by, row, column) for column in columns),
    )


def goods(sources: Sources, span: Span, by: str) -> pl.DataFrame:
    """Lines of goods and refunds of the days, valued in the report's currency, with the column `by`."""
    kept = within(sources.lines, span.first, span.last).filter(pl.col("kind").is_in(["goods", "refund"]))
    lines = value_lines(kept.collect(), sources.costs, sources.ratios, sources.currency)
    return placed(lines, sources.catalog, by)


def placed(lines: pl.DataFrame, catalog: pl.DataFrame, by: str) -> pl.DataFrame:
    """Lines with the column `by`: from the catalogue where it is a property of the SKU."""
    column = _OF_CATALOG.get(by)
    if column is None:
        return lines
    return lines.join(catalog.select("sku", pl.col(column).alias(by)), on="sku", how="left", maintain_order="left")


def _notes(margins: pl.DataFrame) -> tuple[str, ...]:
    lacking = int(margins["units"].sum()) - int(margins["units_costed"].sum())
    lines = int(margins["unconverted"].sum())
    return (
        *((f"The cost of {lacking} units is unknown, so margins with them are left empty.",) if lacking else ()),
        *((f"{lines} order lines have no exchange rate and are in no amount.",) if lines else ()),
    )


def _behind(lines: pl.DataFrame, by: str, row: str, column: str) -> pl.DataFrame:
    mine = lines.filter(pl.col(by).is_null() if row == NOT_GIVEN else pl.col(by) == row)
    stocked = pl.col("kind") == "goods"
    converted = pl.col("base_amount_minor").is_not_null()
    cost = pl.when(stocked & converted).then("base_cost_minor").otherwise(0)
    value = {
        "units": pl.when(stocked).then("quantity").otherwise(0),
        "units_costed": pl.when(stocked & pl.col("base_cost_minor").is_not_null()).then("quantity").otherwise(0),
        "revenue": pl.col("base_amount_minor"),
        "cost": cost,
        "margin": pl.col("base_amount_minor") - cost,
    }[column]
    return line_evidence(mine, value)


def margin_frame(sources_lines: pl.DataFrame, catalog: pl.DataFrame, by: str) -> pl.DataFrame:
    """`margin_by_month` of valued lines, with the dimension taken from the catalogue where it is a property of the SKU."""
    return margin_by_month(placed(sources_lines, catalog, by), [by])
