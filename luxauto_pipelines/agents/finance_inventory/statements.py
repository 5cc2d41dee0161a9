"""Reports of the books by name, and what their cells are made of, straight from the store.

Belongs here: which days, and refusals in the agent's words. Does not belong here: the sums (`assets/finance/reports`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from assets.finance.reports.explain import explain
from assets.finance.reports.model import Report, ReportError, UnknownCell, UnknownReport
from assets.finance.reports.plain import as_dict, explanation_as_dict
from assets.finance.reports.registry import find_report, make_report
from assets.finance.reports.sources import Sources
from assets.finance.reports.span import Span
from assets.ingestion.lines import today_in
from luxauto_pipelines.agents.finance_inventory.errors import InvalidFields, UnknownItem
from luxauto_pipelines.agents.finance_inventory.parameters import ExplanationRequest, StatementRequest
from luxauto_pipelines.agents.finance_inventory.report import days_of
from luxauto_pipelines.agents.registry import Call
from luxauto_pipelines.report_sources import store_sources

MOST_ROWS = 20_000
MOST_ENTRIES = 1_000


def statement(call: Call, wanted: StatementRequest) -> dict[str, Any]:
    """The report, amounts in major units. Raises UnknownItem for a name that no report has, InvalidFields for what it cannot
    be asked for, and for more rows than an answer holds."""
    with _refusals():
        report, _ = _made(call, wanted, with_lines=False)
        if len(report.rows) > MOST_ROWS:
            raise ReportError(f"{len(report.rows)} rows are more than an answer of {MOST_ROWS} holds: name fewer days")
        return {**_json(as_dict(report)), "generated_at": datetime.now(UTC).isoformat()}


def explain_statement(call: Call, wanted: ExplanationRequest) -> dict[str, Any]:
    """What stands behind a cell: the first entries and order lines, how many there are, and their total."""
    with _refusals():
        report, sources = _made(call, wanted, with_lines=True)
        found = explain(report, wanted.cell, sources.lines)
        told = explanation_as_dict(found)
    counts = {"entry_count": len(told["entries"]), "order_line_count": len(told["order_lines"])}
    shown = {name: told[name][:MOST_ENTRIES] for name in ("entries", "order_lines")}
    return _json({**told, **counts, **shown})


def _made(call: Call, wanted: StatementRequest, *, with_lines: bool) -> tuple[Report, Sources]:
    definition = find_report(wanted.name)
    timezone = call.books.settings.current.timezone
    span = Span(*days_of(wanted, timezone, today_in(timezone, datetime.now(UTC))))
    sources = store_sources(call.books, definition, span, wanted.currency, wanted.compare, with_lines=with_lines)
    return make_report(wanted.name, sources, span, wanted.by, wanted.compare), sources


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except (UnknownReport, UnknownCell) as error:
        raise UnknownItem(str(error)) from error
    except ReportError as error:
        raise InvalidFields(("query", str(error))) from error


def _json(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_json(item) for item in value]
    if isinstance(value, Decimal):
        # Exact: a double holds every amount of up to fifteen digits.
        return float(value)
    return value.isoformat() if isinstance(value, date) else value
