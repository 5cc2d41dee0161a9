"""What is kept only for a time, and its end: clients' profiles, bodies of messages, answers to repeated requests, quarantine.

Belongs here: deleting what is older than the settings say. Does not belong here: erasing one client on request (`customers`),
and what is kept for good: orders, stock, the ledger and the audit log name no client.
"""

from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resources.settings import Settings
from resources.store import idempotency
from resources.store.audit import record
from resources.store.brand_store import BrandStore
from resources.store.bulk import fetch, run

if TYPE_CHECKING:
    from sqlalchemy import Connection

QUARANTINE = "quarantine"


@dataclass(frozen=True)
class Purged:
    """How much was deleted, or with a dry run would be."""

    profiles: int
    messages: int
    answers: int
    quarantine_files: int

    def as_dict(self) -> dict[str, int]:
        return asdict(self)


def purge(books: BrandStore, now: datetime, *, dry_run: bool = False, actor: str | None = None) -> Purged:
    """Delete what is older than `settings.retention` says. The audit log tells how much, and nothing of whose.

    Profiles go when their client has ordered nothing for so long; of a message its body goes and its number stays, so that it
    is not taken for a new one.
    """
    kept = books.settings.retention
    files = _old_files(books.settings, now - timedelta(days=kept.quarantine_days))
    no_order_since = (now - timedelta(days=kept.profiles_days)).date()
    before = now - timedelta(days=kept.messages_days)
    if dry_run:
        with books.read() as (connection, brand):
            return Purged(
                _count(connection, f"customer_profiles WHERE {_FORGOTTEN}", {"brand": brand, "since": no_order_since}),
                _count(connection, f"inbox_messages WHERE {_WORKED_ON}", {"brand": brand, "before": before}),
                _count(connection, "idempotency_keys WHERE expires_at < :now", {"now": now}),
                len(files),
            )
    answers = idempotency.purge(books, now)
    for file in files:
        file.unlink(missing_ok=True)
    with books.write() as (connection, brand):
        done = Purged(
            _forget_profiles(connection, brand, no_order_since),
            _forget_messages(connection, brand, before),
            answers,
            len(files),
        )
        record(connection, brand, "vault.purged", books.settings.brand, _details(done, kept.model_dump()), actor=actor)
    return done


_FORGOTTEN = """
    brand_id = :brand AND customer_id IN (
        SELECT c.id FROM customers c WHERE c.brand_id = :brand AND c.first_seen < :since
        AND NOT EXISTS (SELECT 1 FROM orders o WHERE o.customer_id = c.id AND o.local_date >= :since))
"""
_WORKED_ON = "brand_id = :brand AND state <> 'received' AND processed_at < :before AND body <> ''"


def _forget_profiles(connection: "Connection", brand: int, since: date) -> int:
    return _deleted(connection, f"DELETE FROM customer_profiles WHERE {_FORGOTTEN}", {"brand": brand, "since": since})


def _forget_messages(connection: "Connection", brand: int, before: datetime) -> int:
    statement = f"UPDATE inbox_messages SET body = '', headers = :nothing WHERE {_WORKED_ON}"
    return _deleted(connection, statement, {"brand": brand, "before": before, "nothing": {}})


def _deleted(connection: "Connection", statement: str, values: dict[str, Any]) -> int:
    sqlite = connection.dialect.name == "sqlite"
    if sqlite:
        # What is deleted is overwritten, and does not lie on in the file.
        run(connection, "PRAGMA secure_delete = ON")
    rows = run(connection, statement, values).rowcount
    if sqlite:
        run(connection, "PRAGMA secure_delete = OFF")
    return rows


def _count(connection: "Connection", what: str, values: dict[str, Any]) -> int:
    return fetch(connection, f"SELECT count(*) FROM {what}", values)[0][0]


def _old_files(settings: Settings, before: datetime) -> list[Path]:
    folder = settings.home / QUARANTINE / settings.brand
    files = folder.glob("*.parquet") if folder.is_dir() else ()
    return sorted(file for file in files if datetime.fromtimestamp(file.stat().st_mtime, UTC) < before)


def _details(done: Purged, days: dict[str, int]) -> dict[str, int]:
    return {**done.as_dict(), **days}
