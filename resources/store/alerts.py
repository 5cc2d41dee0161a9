"""Alerts as people work on them: listed, acknowledged, resolved.

Does not belong here: what they are about (`stock`, `fraud`, the workflow journal).
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from resources.store.bulk import as_json, fetch, insert_row, run

if TYPE_CHECKING:
    from sqlalchemy import Connection

# From a state to those that a person may move it to.
MOVES = {"open": ("acknowledged", "resolved"), "acknowledged": ("resolved",), "resolved": ()}
_SELECT = """
    SELECT a.id, a.kind, a.status, s.sku, a.subject, a.opened_at, a.acknowledged_at, a.acknowledged_by, a.resolved_at,
        a.resolved_by, a.details
    FROM alerts a LEFT JOIN skus s ON s.id = a.sku_id
"""


class UnknownAlert(Exception):
    """No alert of the brand has this id."""


class IllegalMove(Exception):
    """The alert's state does not allow it."""


@dataclass(frozen=True)
class AlertFilter:
    """What to list. None means any."""

    status: str | None = None
    kind: str | None = None
    sku: str | None = None


def raise_channel_alert(
    connection: "Connection", brand: int, channel: str, error: str | None, unmapped: list[str]
) -> None:
    """Open, bring up to date or resolve the alert about a connected channel, by what its last sync met."""
    values = {"brand": brand, "channel": channel, "now": datetime.now(UTC)}
    unresolved = "brand_id = :brand AND kind = 'channel' AND subject = :channel AND status <> 'resolved'"
    if error is None and not unmapped:
        run(connection, f"UPDATE alerts SET status = 'resolved', resolved_at = :now WHERE {unresolved}", values)
        return
    details = {"channel": channel, "error": error, "unmapped": unmapped[:50], "unmapped_count": len(unmapped)}
    changed = run(
        connection, f"UPDATE alerts SET details = :details WHERE {unresolved}", {**values, "details": details}
    )
    if not changed.rowcount:
        row = {"brand_id": brand, "kind": "channel", "status": "open", "subject": channel, "details": details}
        insert_row(connection, "alerts", {**row, "opened_at": values["now"]})


def raise_alert(connection: "Connection", brand: int, kind: str, subject: str, details: dict[str, Any]) -> None:
    """Open an alert about a subject, or bring the details of the one that is not resolved yet up to date."""
    values = {"brand": brand, "kind": kind, "subject": subject}
    unresolved = "brand_id = :brand AND kind = :kind AND subject = :subject AND status <> 'resolved'"
    changed = run(
        connection, f"UPDATE alerts SET details = :details WHERE {unresolved}", {**values, "details": details}
    )
    if not changed.rowcount:
        row = {"brand_id": brand, "kind": kind, "status": "open", "subject": subject, "details": details}
        insert_row(connection, "alerts", {**row, "opened_at": datetime.now(UTC)})


def resolve_alert(connection: "Connection", brand: int, kind: str, subject: str, by: str | None) -> None:
    """Resolve what is open about a subject; `by` is None where the cause went away by itself. Nothing open: nothing done."""
    statement = """
        UPDATE alerts SET status = 'resolved', resolved_at = :now, resolved_by = :by
        WHERE brand_id = :brand AND kind = :kind AND subject = :subject AND status <> 'resolved'
    """
    run(connection, statement, {"now": datetime.now(UTC), "by": by, "brand": brand, "kind": kind, "subject": subject})


def unresolved_ids(connection: "Connection", brand: int, kinds: tuple[str, ...]) -> dict[int, dict[str, Any]]:
    """Details of the unresolved alerts of these kinds, by id."""
    named = ", ".join(f"'{kind}'" for kind in kinds)
    query = f"SELECT id, details FROM alerts WHERE brand_id = :brand AND status <> 'resolved' AND kind IN ({named}) ORDER BY id"
    return {number: as_json(details) for number, details in fetch(connection, query, {"brand": brand})}


def list_alerts(
    connection: "Connection", brand: int, wanted: AlertFilter, before: int | None, count: int
) -> list[dict[str, Any]]:
    """The newest `count` alerts with an id below `before`."""
    values: dict[str, Any] = {"brand": brand, "count": count}
    conditions = ["a.brand_id = :brand"]
    for column, value in (("a.status", wanted.status), ("a.kind", wanted.kind), ("s.sku", wanted.sku)):
        if value is not None:
            name = column.replace(".", "_")
            conditions.append(f"{column} = :{name}")
            values[name] = value
    if before is not None:
        conditions.append("a.id < :before")
        values["before"] = before
    query = f"{_SELECT} WHERE {' AND '.join(conditions)} ORDER BY a.id DESC LIMIT :count"
    return [dict(row._mapping) for row in run(connection, query, values)]


def get_alert(connection: "Connection", brand: int, alert: int) -> dict[str, Any]:
    """Raises UnknownAlert."""
    query = f"{_SELECT} WHERE a.brand_id = :brand AND a.id = :alert"
    row = run(connection, query, {"brand": brand, "alert": alert}).first()
    if row is None:
        raise UnknownAlert(f"there is no alert {alert}")
    return dict(row._mapping)


def move_alert(connection: "Connection", brand: int, alert: int, to: str, by: str) -> dict[str, Any]:
    """Acknowledge or resolve. Raises UnknownAlert and IllegalMove."""
    column = {"acknowledged": "acknowledged", "resolved": "resolved"}[to]
    sources = [state for state, targets in MOVES.items() if to in targets]
    statement = f"""
        UPDATE alerts SET status = :to, {column}_at = :now, {column}_by = :by
        WHERE brand_id = :brand AND id = :alert AND status IN ({", ".join(f"'{state}'" for state in sources)})
    """
    values = {"to": to, "now": datetime.now(UTC), "by": by, "brand": brand, "alert": alert}
    changed = run(connection, statement, values).rowcount
    row = get_alert(connection, brand, alert)
    if not changed:
        raise IllegalMove(
            f"alert {alert} is {row['status']}; only an alert that is {' or '.join(sources)} becomes {to}"
        )
    return row
