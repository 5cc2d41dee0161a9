"""The audit log, for those who may read it."""

import json
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, Field

from luxauto_pipelines.gateway.dependencies import Books, requires
from luxauto_pipelines.gateway.pagination import Cursor, PageSize, read_cursor, write_cursor
from luxauto_pipelines.gateway.routing import router as make_router
from resources.store.audit import read_page

router = make_router("/audit", "Audit")


class AuditEntry(BaseModel):
    """Who did what to which thing, when, from where and with what outcome."""

    id: str
    at: datetime
    actor: str
    action: str
    subject: str
    outcome: str
    request_id: str | None
    address: str | None
    details: dict[str, Any]
    hash: str


class AuditPage(BaseModel):
    """Newest first."""

    entries: list[AuditEntry]
    next_cursor: str | None = Field(description="None on the last page")


@router.get("", dependencies=[requires("audit:read")])
def audit(books: Books, limit: PageSize = 50, cursor: Cursor = None) -> AuditPage:
    """The brand's audit log, newest first."""
    before = read_cursor(cursor)
    with books.read() as (connection, brand):
        rows = read_page(connection, brand, before, limit + 1)
    following = write_cursor(rows[limit - 1]["id"]) if len(rows) > limit else None
    return AuditPage(entries=[_entry(row) for row in rows[:limit]], next_cursor=following)


def _entry(row: dict[str, Any]) -> AuditEntry:
    at = row["at"] if isinstance(row["at"], datetime) else datetime.fromisoformat(row["at"])
    details = json.loads(row["details"]) if isinstance(row["details"], str) else row["details"]
    utc = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    return AuditEntry.model_validate({**row, "id": str(row["id"]), "at": utc, "details": details})
