"""An asset's table as a report to export: as it is, without sums and without drill-down.

Belongs here: columns of a frame as columns of a report. Does not belong here: what the asset computes.
"""

from datetime import date, datetime
from typing import Any

import polars as pl

from assets.finance.reports.model import Column, Kind, Report, Row, Value

_HIDDEN = ("currency", "base_currency")


def table_report(name: str, frame: pl.DataFrame, days: tuple[date, date], base_currency: str) -> Report:
    """The rows of an asset. Columns that end in `_minor` are amounts: of the base currency where the name says so or the row
    names no other, else of the row's `currency`; rates and shares stay as they are."""
    kinds: dict[str, Kind] = {
        column: _kind(column, dtype) for column, dtype in frame.schema.items() if column not in _HIDDEN
    }
    columns = [Column(c, c.removesuffix("_minor").replace("_", " ").capitalize(), kind) for c, kind in kinds.items()]
    rows: list[Row] = []
    leaves: dict[tuple[str, str], Value] = {}
    for number, values in enumerate(frame.iter_rows(named=True), 1):
        own = values.get("currency") or values.get("base_currency") or base_currency
        row = Row(str(number), str(number), currency=own)
        rows.append(row)
        leaves |= {(row.key, column): _value(values[column], kind) for column, kind in kinds.items()}
    return Report.of(
        name,
        name.replace("_", " ").capitalize(),
        days,
        base_currency,
        columns,
        rows,
        leaves,
        (),
        lambda row, columns: pl.DataFrame(schema={"value": pl.Int64}),
    )


def _kind(column: str, dtype: pl.DataType) -> Kind:
    if dtype.is_integer():
        return "money" if column.endswith("_minor") else "count"
    return "share" if dtype.is_float() else "text"


def _value(value: Any, kind: Kind) -> Value:
    if value is None or kind in ("money", "count", "share"):
        return value
    return value.isoformat() if isinstance(value, (date, datetime)) else str(value)
