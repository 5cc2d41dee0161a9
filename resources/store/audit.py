"""The audit log: one row for each thing that somebody did. Append only, and chained by hashes, so that a change shows.

Belongs here: writing a row in the transaction of the deed, and proving that nothing was changed, put between or taken out.
Does not belong here: what is worth recording; whoever does it decides.
"""

import getpass
import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from resources.card_data import may_hold_card_data, redact, redact_value
from resources.store.bulk import as_instant, as_json, fetch, insert_row, run

if TYPE_CHECKING:
    from sqlalchemy import Connection

FIRST_HASH = "0" * 64
_COLUMNS = "brand_id, at, actor, action, subject, outcome, request_id, address, details"
_CHUNK_ROWS = 10_000


@dataclass(frozen=True)
class Chain:
    """What `verify` found. `head` is the newest hash: whoever keeps it elsewhere can tell when rows at the end are gone."""

    rows: int
    head: str
    fault: str | None


def record(
    connection: "Connection",
    brand: int,
    action: str,
    subject: str,
    details: dict[str, Any],
    *,
    actor: str | None = None,
    outcome: str = "success",
    request_id: str | None = None,
    address: str | None = None,
) -> None:
    """Write who did what, in the transaction of the deed itself. `actor` is the operating system's user if not given."""
    if connection.dialect.name != "sqlite":
        # Two writers must not follow the same row. SQLite has but one writer.
        fetch(connection, "SELECT pg_advisory_xact_lock(hashtextextended('audit', :brand))", {"brand": brand})
    if may_hold_card_data(f"{subject} {actor} {json.dumps(details, default=str)}".encode()):
        # Whoever does something is to refuse card data. Evidence can never be changed, so it is looked at once more.
        subject, actor, details = redact(subject), actor and redact(actor), redact_value(details)
    newest = "SELECT hash FROM audit_log WHERE brand_id = :brand ORDER BY id DESC LIMIT 1"
    row = {
        "brand_id": brand,
        "at": datetime.now(UTC),
        "actor": actor or _user(),
        "action": action,
        "subject": subject,
        "outcome": outcome,
        "request_id": request_id,
        "address": address,
        "details": details,
    }
    found = fetch(connection, newest, {"brand": brand})
    previous = found[0][0] if found else FIRST_HASH
    insert_row(
        connection, "audit_log", {**row, "previous_hash": previous, "hash": chain_hash(previous, tuple(row.values()))}
    )


def chain_hash(previous: str, row: tuple[Any, ...]) -> str:
    """SHA-256 in hexadecimal over the previous hash and the row's columns, in the order of the table, as canonical JSON."""
    brand, at, *texts, details = row
    canonical = [previous, brand, as_instant(at).isoformat(timespec="microseconds"), *texts, as_json(details)]
    return hashlib.sha256(json.dumps(canonical, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def verify(connection: "Connection", brand: int) -> Chain:
    """Walk the brand's chain from its first row. `fault` names the first row that does not follow from those before it."""
    rows, head = 0, FIRST_HASH
    for number, previous, stated, *columns in _read(connection, brand):
        if previous != head:
            return Chain(rows, head, f"row {number} does not follow the row before it: rows were taken out or put in")
        if stated != chain_hash(previous, tuple(columns)):
            return Chain(rows, head, f"row {number} was changed after it was written")
        rows, head = rows + 1, stated
    return Chain(rows, head, None)


def read_page(connection: "Connection", brand: int, before: int | None, count: int) -> list[dict[str, Any]]:
    """The newest `count` rows with an id below `before`, as mappings of the columns."""
    query = f"""
        SELECT id, {_COLUMNS}, hash FROM audit_log
        WHERE brand_id = :brand AND (:before IS NULL OR id < :before) ORDER BY id DESC LIMIT :count
    """
    values = {"brand": brand, "before": before, "count": count}
    return [dict(row._mapping) for row in run(connection, query, values)]


def holds_hash(connection: "Connection", brand: int, expected: str) -> bool:
    """Whether the chain still has the row that was its head once."""
    query = "SELECT 1 FROM audit_log WHERE brand_id = :brand AND hash = :hash"
    return expected == FIRST_HASH or run(connection, query, {"brand": brand, "hash": expected}).first() is not None


def as_dict(chain: Chain) -> dict[str, Any]:
    return asdict(chain)


def _read(connection: "Connection", brand: int) -> Iterator[Any]:
    query = f"""
        SELECT id, previous_hash, hash, {_COLUMNS} FROM audit_log
        WHERE brand_id = :brand AND id > :after ORDER BY id LIMIT {_CHUNK_ROWS}
    """
    after = 0
    while chunk := run(connection, query, {"brand": brand, "after": after}).fetchall():
        yield from chunk
        after = chunk[-1][0]


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
