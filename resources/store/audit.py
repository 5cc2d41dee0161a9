"""The audit log: one row for each thing that somebody did."""

import getpass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from resources.store.bulk import insert_row

if TYPE_CHECKING:
    from sqlalchemy import Connection


def record(connection: "Connection", brand: int, action: str, subject: str, details: dict[str, Any]) -> None:
    """Write who did what, in the transaction of the deed itself."""
    values = {"brand_id": brand, "at": datetime.now(UTC), "actor": _actor(), "action": action, "subject": subject}
    insert_row(connection, "audit_log", {**values, "details": details})


def _actor() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
