"""From a cell back to what it is made of: postings or order lines that add up to it, and the lines behind the postings.

Belongs here: reading a cell's name and walking its sums. Does not belong here: which rows stand behind a leaf (each report).
"""

from dataclasses import dataclass

import polars as pl

from assets.finance.reports.evidence import EVIDENCE, LINE_EVIDENCE
from assets.finance.reports.model import Kind, Report, UnknownCell, leaf_cells

_OF_ACCOUNT: dict[str, pl.Expr] = {
    "4000": (pl.col("kind") == "goods") & (pl.col("quantity") > 0),
    "4100": (pl.col("kind") == "refund") | ((pl.col("kind") == "goods") & (pl.col("quantity") < 0)),
    "4200": pl.col("kind") == "discount",
    "4300": pl.col("kind") == "shipping",
    "4800": pl.col("kind") == "other",
    "4900": pl.col("kind") == "adjustment",
    "5000": pl.col("kind") == "goods",
    "2100": pl.col("kind") == "gift_card",
    "2200": pl.col("kind") == "tax",
    "6100": pl.col("kind") == "fee",
    "6200": pl.col("kind") == "sample",
    "6300": pl.col("kind") == "bad_debt",
}


@dataclass(frozen=True)
class Explanation:
    """A cell with what stands behind it. `evidence` has the columns EVIDENCE or LINE_EVIDENCE; its `value` sums to `total`.

    `total` is null where the cell is unknown: the evidence is then what is known of it. `lines` are the order lines behind
    posted evidence, of the same orders, days and accounts.
    """

    report: Report
    row: str
    column: str
    kind: Kind
    currency: str
    total: int | None
    evidence: pl.DataFrame
    lines: pl.DataFrame

    @property
    def label(self) -> str:
        return f"{self.report.row(self.row).label.strip()}, {self.report.column(self.column).label}"


def explain(report: Report, cell: str, lines: pl.LazyFrame | None = None) -> Explanation:
    """What `ROW:COLUMN` is made of; a sum is taken apart into its leaves. Raises UnknownCell."""
    row, column = split_cell(report, cell)
    kind = report.kind_of(report.row(row), report.column(column))
    found: list[pl.DataFrame] = []
    for (leaf, sign), columns in _by_row(report, row, column).items():
        assert report.drill is not None
        found.append(report.drill(leaf, columns).with_columns(pl.col("value") * sign))
    evidence = pl.concat(found) if found else pl.DataFrame(schema=EVIDENCE)
    total = report.cell(row, column)
    behind = _order_lines(evidence, lines) if lines is not None and "posting_id" in evidence.columns else None
    return Explanation(
        report,
        row,
        column,
        kind,
        report.currency_of(report.row(row)),
        total if isinstance(total, int) else None,
        evidence,
        pl.DataFrame(schema=LINE_EVIDENCE) if behind is None else behind,
    )


def split_cell(report: Report, cell: str) -> tuple[str, str]:
    """Keys of row and column. Raises UnknownCell, which says what there is."""
    rows, columns = {r.key for r in report.rows}, {c.key for c in report.columns}
    for at, sign in enumerate(cell):
        if sign == ":" and cell[:at] in rows and cell[at + 1 :] in columns:
            return cell[:at], cell[at + 1 :]
    row, colon, column = cell.rpartition(":")
    if not colon:
        raise UnknownCell(f"{cell!r} is no cell: write ROW:COLUMN, such as {_example(report)}")
    # Of the two keys one is wrong; its list of what there is helps.
    report.row(row)
    report.column(column)
    raise UnknownCell(f"{report.name} has no cell {cell!r}")


def _example(report: Report) -> str:
    row = next((r.key for r in report.rows if r.kind == "line"), "ROW")
    return f"{row}:{report.columns[-1].key}"


def _by_row(report: Report, row: str, column: str) -> dict[tuple[str, int], list[str]]:
    """The leaves of a cell: columns by row and sign, so that each row is looked through once."""
    found: dict[tuple[str, int], list[str]] = {}
    for leaf, of_column, sign in leaf_cells(report, row, column):
        found.setdefault((leaf, sign), []).append(of_column)
    return found


def _order_lines(evidence: pl.DataFrame, lines: pl.LazyFrame) -> pl.DataFrame:
    """Lines of the orders and days of the evidence, of the kinds that its accounts are booked from; `value` is their amount."""
    heads = evidence.select("order_id", "day", pl.col("account").str.slice(0, 4).alias("head")).drop_nulls().unique()
    found: list[pl.DataFrame] = []
    for (head,), orders in heads.group_by("head"):
        kind = _OF_ACCOUNT.get(str(head))
        if kind is not None:
            found.append(
                lines.filter(kind).join(orders.lazy().drop("head"), on=["order_id", "day"], how="semi").collect()
            )
    if not found:
        return pl.DataFrame(schema=LINE_EVIDENCE)
    return (
        pl.concat(found)
        .unique("line_id")
        .with_columns(pl.col("amount_minor").alias("value"))
        .sort("day", "order_number", "line_id")
        .select(pl.col(name).cast(dtype) for name, dtype in LINE_EVIDENCE.items())
    )
