"""Closing months of the books, and opening them again: who, when, why, and the newest hash of the journal at that time.

Belongs here: the table `accounting_periods`. Does not belong here: entries (`ledger`). A trigger refuses entries of closed
months, whoever writes them.
"""

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import polars as pl

from resources.store.audit import record
from resources.store.bulk import fetch, insert_row, read_frame, run
from resources.store.ledger_chain import head, verify
from resources.store.orders import DAY, INSTANT, TEXT

if TYPE_CHECKING:
    from sqlalchemy import Connection

PERIODS: dict[str, pl.DataType] = {
    "month": DAY,
    "status": TEXT,
    "head": TEXT,
    "changed_at": INSTANT,
    "changed_by": TEXT,
}


class PeriodClosed(Exception):
    """An entry is dated in a closed month."""

    def __init__(self, day: date) -> None:
        month = f"{day:%Y-%m}"
        super().__init__(f"{month} is closed: date the entry in an open month, or run `luxauto finance reopen {month}`")


class CannotClose(Exception):
    """The month cannot be closed or opened; the message says what to do first."""


def close_month(connection: "Connection", brand: int, month: date, *, today: date, actor: str | None = None) -> str:
    """Lock a month that is over. Returns the newest hash of the journal, which proves what was closed.

    Raises CannotClose for a month that is not over, while an earlier month with entries is open, while orders up to its end
    are not in the journal, and where the journal's chain is broken. Closing a closed month changes nothing.
    """
    month = month.replace(day=1)
    closed = closed_months(connection, brand)
    if _following(month) > today:
        raise CannotClose(f"{month:%Y-%m} is not over: it can be closed from {_following(month)} on")
    if month in closed:
        return head(connection, brand)
    if earlier := [other for other in _months_with_entries(connection, brand, month) if other not in closed]:
        raise CannotClose(f"{earlier[0]:%Y-%m} is open and has entries: close it first")
    if unposted := _unposted_orders(connection, brand, _following(month)):
        raise CannotClose(
            f"{unposted} orders of {month:%Y-%m} or before are not in the ledger: run `luxauto refresh` first"
        )
    chain = verify(connection, brand)
    if chain.fault is not None:
        raise CannotClose(f"the journal was tampered with, so that nothing can be closed: {chain.fault}")
    _write(connection, brand, month, "closed", actor)
    details = {"head": chain.head, "entries": chain.entries}
    record(connection, brand, "ledger.close", f"{month:%Y-%m}", details, actor=actor)
    return chain.head


def reopen_month(connection: "Connection", brand: int, month: date, *, reason: str, actor: str | None = None) -> None:
    """Unlock a month. Raises CannotClose without a reason, for an open month, and while a later one is closed."""
    month = month.replace(day=1)
    closed = closed_months(connection, brand)
    if not reason.strip():
        raise CannotClose("reopening needs a reason, which is kept in the audit log")
    if month not in closed:
        raise CannotClose(f"{month:%Y-%m} is open")
    if later := sorted(other for other in closed if other > month):
        raise CannotClose(f"{later[-1]:%Y-%m} is closed too and comes later: reopen it first")
    _write(connection, brand, month, "open", actor)
    details = {"reason": reason, "head": head(connection, brand)}
    record(connection, brand, "ledger.reopen", f"{month:%Y-%m}", details, actor=actor)


def closed_months(connection: "Connection", brand: int) -> set[date]:
    """First days of the months that are closed."""
    query = "SELECT month FROM accounting_periods WHERE brand_id = :brand AND status = 'closed'"
    found = fetch(connection, query, {"brand": brand})
    return {date.fromisoformat(month) if isinstance(month, str) else month for (month,) in found}


def next_open_day(day: date, closed: set[date]) -> date:
    """The day itself, or the first day of the next month that is open."""
    month = day.replace(day=1)
    if month not in closed:
        return day
    while month in closed:
        month = _following(month)
    return month


def read_periods(connection: "Connection", brand: int) -> pl.DataFrame:
    """Every month that was ever closed, with the columns PERIODS."""
    query = f"SELECT {', '.join(PERIODS)} FROM accounting_periods WHERE brand_id = :brand ORDER BY month"
    return read_frame(connection, query, PERIODS, {"brand": brand})


def _following(month: date) -> date:
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)


def _months_with_entries(connection: "Connection", brand: int, before: date) -> list[date]:
    query = "SELECT DISTINCT entry_date FROM journal_entries WHERE brand_id = :brand AND entry_date < :before"
    days = read_frame(connection, query, {"day": DAY}, {"brand": brand, "before": before})
    return sorted({day.replace(day=1) for day in days["day"]})


def _unposted_orders(connection: "Connection", brand: int, before: date) -> int:
    """Orders that have lines which move money before a day, and no entry of that day."""
    query = """
        SELECT count(DISTINCT l.order_id) FROM (
            SELECT order_id, local_date FROM order_lines
            WHERE brand_id = :brand AND local_date < :before AND kind NOT IN ('gift', 'stock_adjustment', 'test')
            GROUP BY order_id, local_date, kind, currency, quantity < 0 HAVING sum(amount_minor) <> 0
        ) l
        LEFT JOIN journal_entries e ON e.order_id = l.order_id AND e.event_date = l.local_date
        WHERE e.id IS NULL
    """
    return run(connection, query, {"brand": brand, "before": before}).scalar_one()


def _write(connection: "Connection", brand: int, month: date, status: str, actor: str | None) -> None:
    values = {
        "status": status,
        "head": head(connection, brand),
        "changed_at": datetime.now(UTC),
        "changed_by": actor or "the command line",
        "brand_id": brand,
        "month": month,
    }
    statement = """
        UPDATE accounting_periods SET status = :status, head = :head, changed_at = :changed_at, changed_by = :changed_by
        WHERE brand_id = :brand_id AND month = :month
    """
    if not run(connection, statement, values).rowcount:
        insert_row(connection, "accounting_periods", values)
