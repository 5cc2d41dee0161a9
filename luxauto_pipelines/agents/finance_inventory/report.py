"""The financial report of a period, straight from the store, so that what was recorded a moment ago is in it.

Belongs here: which days and rows. Does not belong here: the sums (`assets/finance/period`).
"""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from assets.finance.fx import daily_ratios
from assets.finance.period import Books, period_report
from assets.finance.posting import with_line_costs
from assets.ingestion.lines import today_in
from luxauto_pipelines.agents.finance_inventory.errors import InvalidFields
from luxauto_pipelines.agents.finance_inventory.parameters import ReportRequest
from luxauto_pipelines.agents.registry import Call
from resources.store.catalog import read_costs
from resources.store.orders import read_order_lines
from resources.store.rates import read_rates
from resources.store.stock_valuation import read_line_costs
from resources.store.transactions import read_events

DEFAULT_DAYS = 30
_EVENTS = ("expense", "revenue", "purchase", "adjustment", "transfer")


def financial_report(call: Call, wanted: ReportRequest) -> dict[str, Any]:
    """Revenue, cost and profit of the days [start, end], each amount at its day's exchange rate.

    The same days as `luxauto finance report` after a refresh say the same. Raises InvalidFields for days that run backwards.
    """
    books = call.books
    current = books.settings.current
    now = datetime.now(UTC)
    first, last = days_of(wanted, current.timezone, today_in(current.timezone, now))
    currency = wanted.currency or current.base_currency
    with books.read() as (connection, brand):
        lines = with_line_costs(
            read_order_lines(connection, brand, first, last), read_line_costs(connection, brand, first, last)
        )
        costs = read_costs(connection, brand)
        rates = read_rates(connection, brand)
        begin, end = _instants(first, last, current.timezone)
        events = read_events(connection, brand, _EVENTS, begin, end)
    dated = events.with_columns(pl.col("occurred_at").dt.convert_time_zone(current.timezone).dt.date().alias("day"))
    return {
        "period": {"start_date": first.isoformat(), "end_date": last.isoformat()},
        **period_report(Books(lines, costs, daily_ratios(rates, currency, current.fx_carry_days), dated, currency)),
        "generated_at": now.isoformat(),
    }


def days_of(wanted: ReportRequest, timezone: str, today: date) -> tuple[date, date]:
    """First and last day; thirty until today where none is named. Raises InvalidFields."""
    last = _day(wanted.end_date, timezone)
    first = _day(wanted.start_date, timezone)
    if last is None:
        last = today if first is None else max(first, today)
    if first is None:
        first = last - timedelta(days=min(DEFAULT_DAYS - 1, (last - date.min).days))
    if first > last:
        raise InvalidFields(("query/start_date", "is after end_date"))
    return first, last


def _day(given: date | datetime | None, timezone: str) -> date | None:
    if not isinstance(given, datetime):
        return given
    try:
        return given.astimezone(ZoneInfo(timezone)).date()
    except OverflowError:
        return given.date()


def _instants(first: date, last: date, timezone: str) -> tuple[datetime, datetime]:
    """The period's bounds as instants; at the ends of the calendar those of UTC."""
    zone = ZoneInfo(timezone)
    try:
        begin = datetime.combine(first, time.min, zone).astimezone(UTC)
    except OverflowError:
        begin = datetime.min.replace(tzinfo=UTC)
    try:
        end = datetime.combine(last + timedelta(days=1), time.min, zone).astimezone(UTC)
    except OverflowError:
        end = datetime.max.replace(tzinfo=UTC)
    return begin, end
