"""Reports as JSON, CSV and rows of a table: what programs read, and terminals.

Belongs here: cells as numbers with their currency's digits. Does not belong here: spreadsheets and pages.
"""

import csv
import io
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from assets.finance.money import to_decimal
from assets.finance.reports.explain import Explanation
from assets.finance.reports.model import Column, Report, Row, Value

# A spreadsheet would take a text that begins so for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
Shown = Decimal | int | float | str | None


def shown(report: Report, row: Row, column: Column) -> Shown:
    """A cell as people and programs want it: money in major units, exact; a share as a fraction; null where unknown."""
    return _shown(report.cell(row.key, column.key), report.kind_of(row, column), report.currency_of(row))


def _shown(value: Value, kind: str, currency: str) -> Shown:
    if kind == "money" and isinstance(value, int):
        return to_decimal(value, currency)
    return round(value, 6) if isinstance(value, float) else value


def as_dict(report: Report) -> dict[str, Any]:
    """The report for JSON. Headings have no cells."""
    return {
        "name": report.name,
        "title": report.title,
        "period": {"start_date": report.first, "end_date": report.last},
        "currency": report.currency,
        "columns": [{"key": c.key, "label": c.label, "kind": c.kind} for c in report.columns],
        "rows": [
            {
                "key": row.key,
                "label": row.label,
                "kind": row.kind,
                "depth": row.depth,
                "currency": report.currency_of(row),
                "cells": {} if row.kind == "heading" else {c.key: shown(report, row, c) for c in report.columns},
            }
            for row in report.rows
        ],
        "notes": list(report.notes),
    }


def explanation_as_dict(found: Explanation) -> dict[str, Any]:
    """A drill-down for JSON; amounts in major units of their own currency, `value` in that of the cell."""
    return {
        "report": found.report.name,
        "cell": f"{found.row}:{found.column}",
        "label": found.label,
        "currency": found.currency,
        "total": _shown(found.total, found.kind, found.currency),
        "entries": [_evidence(row, found) for row in found.evidence.iter_rows(named=True)],
        "order_lines": [_evidence(row, None) for row in found.lines.iter_rows(named=True)],
    }


def _evidence(row: dict[str, Any], found: Explanation | None) -> dict[str, Any]:
    amount, value = row.pop("amount_minor"), row.pop("value")
    # Ids below zero are of what is not in the journal yet.
    row |= {name: None for name in ("posting_id", "entry_id") if row.get(name, 0) < 0}
    worth = {} if found is None else {"value": _shown(value, found.kind, found.currency)}
    return {**row, "amount": to_decimal(amount, row["currency"]), **worth}


def to_csv(report: Report) -> str:
    """The table: key, label, currency and the cells; notes are left out. UTF-8, lines end with CRLF as RFC 4180 asks."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["row", "label", "currency", *(column.key for column in report.columns)])
    for row in report.rows:
        if row.kind != "heading":
            cells = (shown(report, row, column) for column in report.columns)
            writer.writerow(map(_harmless, [row.key, row.label, report.currency_of(row), *cells]))
    return out.getvalue()


def table_rows(report: Report) -> Iterable[list[Any]]:
    """Rows for a terminal: the indented label and the cells; shares in per cent."""
    for row in report.rows:
        label = "  " * row.depth + row.label
        if row.kind == "heading":
            yield [label, *("" for _ in report.columns)]
        else:
            yield [label, *(_in_terminal(report, row, column) for column in report.columns)]


def _in_terminal(report: Report, row: Row, column: Column) -> Any:
    value = shown(report, row, column)
    if report.kind_of(row, column) == "share" and isinstance(value, float):
        return f"{value:.1%}"
    return f"{value:,}" if isinstance(value, (int, Decimal)) else value


def _harmless(value: Shown) -> Shown:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
