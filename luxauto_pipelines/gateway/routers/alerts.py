"""Alerts: listing them, and saying that somebody saw or settled one."""

import json
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

from fastapi import Query, Request, Response
from pydantic import BaseModel, Field

from luxauto_pipelines.gateway.caching import etag_json
from luxauto_pipelines.gateway.dependencies import Books, Caller, Principal, requires
from luxauto_pipelines.gateway.pagination import Cursor, PageSize, read_cursor, write_cursor
from luxauto_pipelines.gateway.problems import Problem
from luxauto_pipelines.gateway.routing import router as make_router
from luxauto_pipelines.gateway.schema_types import Key
from resources.store.alerts import AlertFilter, IllegalMove, UnknownAlert, get_alert, list_alerts, move_alert
from resources.store.brand_store import BrandStore
from resources.store.vocabulary import ALERT_KINDS

router = make_router("/alerts", "Alerts")

AlertStatus = StrEnum("AlertStatus", ["open", "acknowledged", "resolved"])
AlertKind = StrEnum("AlertKind", list(ALERT_KINDS))


class AlertView(BaseModel):
    """Something that a person should look at."""

    alert_id: str
    kind: str
    status: str
    sku: str | None
    subject: str | None = Field(description="What it is about where that is no SKU")
    opened_at: datetime
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    resolved_at: datetime | None
    resolved_by: str | None
    details: dict[str, Any]


class AlertPage(BaseModel):
    """Newest first."""

    alerts: list[AlertView]
    next_cursor: str | None = Field(description="None on the last page")


class AlertChange(BaseModel):
    """What became of an alert."""

    success: bool = True
    alert: AlertView


@router.get("", dependencies=[requires("alert:read")], response_model=AlertPage)
def alerts(
    request: Request,
    books: Books,
    status: AlertStatus | None = None,
    kind: AlertKind | None = None,
    sku: Annotated[str | None, Query(min_length=1, max_length=128)] = None,
    limit: PageSize = 50,
    cursor: Cursor = None,
) -> Response:
    """Alerts, newest first. Send the entity tag back as `If-None-Match` to be told only of changes."""
    before = read_cursor(cursor)
    with books.read() as (connection, brand):
        rows = list_alerts(connection, brand, AlertFilter(status, kind, sku), before, limit + 1)
    following = write_cursor(rows[limit - 1]["id"]) if len(rows) > limit else None
    return etag_json(request, AlertPage(alerts=[_view(row) for row in rows[:limit]], next_cursor=following))


@router.get("/{alert_id}", dependencies=[requires("alert:read")], response_model=AlertView)
def alert(request: Request, books: Books, alert_id: Key) -> Response:
    """One alert."""
    number = _number(alert_id)
    try:
        with books.read() as (connection, brand):
            row = get_alert(connection, brand, number)
    except UnknownAlert as error:
        raise Problem(404, "Not Found", str(error)) from error
    return etag_json(request, _view(row))


@router.post("/{alert_id}/acknowledge", dependencies=[requires("alert:write")])
def acknowledge(books: Books, caller: Caller, alert_id: Key) -> AlertChange:
    """Say that somebody is looking at it."""
    return _move(books, caller, alert_id, "acknowledged")


@router.post("/{alert_id}/resolve", dependencies=[requires("alert:write")])
def resolve(books: Books, caller: Caller, alert_id: Key) -> AlertChange:
    """Say that it is settled."""
    return _move(books, caller, alert_id, "resolved")


def _move(books: BrandStore, caller: Principal, alert_id: str, to: str) -> AlertChange:
    number = _number(alert_id)
    try:
        with books.write() as (connection, brand):
            row = move_alert(connection, brand, number, to, caller.subject)
            caller.record(connection, brand, f"alert.{to}", alert_id, {"kind": row["kind"], "sku": row["sku"]})
    except UnknownAlert as error:
        raise Problem(404, "Not Found", str(error)) from error
    except IllegalMove as error:
        raise Problem(409, "Conflict", str(error)) from error
    return AlertChange(alert=_view(row))


def _number(alert_id: str) -> int:
    if alert_id.isascii() and alert_id.isdigit() and len(alert_id) < 19:
        return int(alert_id)
    raise Problem(404, "Not Found", "there is no such alert")


def _view(row: dict[str, Any]) -> AlertView:
    instants = {name: _instant(row[name]) for name in ("opened_at", "acknowledged_at", "resolved_at")}
    details = json.loads(row["details"]) if isinstance(row["details"], str) else row["details"]
    return AlertView.model_validate({**row, **instants, "alert_id": str(row["id"]), "details": details})


def _instant(value: Any) -> datetime | None:
    if value is None:
        return None
    instant = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
