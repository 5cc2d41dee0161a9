"""Tokens that are refused although they have not expired."""

from datetime import datetime
from typing import TYPE_CHECKING

from resources.store.bulk import run

if TYPE_CHECKING:
    from sqlalchemy import Connection


def revoke(connection: "Connection", token_id: str, by: str, now: datetime, expires_at: datetime) -> bool:
    """Put a token's id on the list until the token would have ended; False when it is there already."""
    # Nobody needs the rows of tokens that have ended by themselves.
    run(connection, "DELETE FROM revoked_tokens WHERE expires_at < :now", {"now": now})
    row = {"token_id": token_id, "revoked_at": now, "revoked_by": by, "expires_at": expires_at}
    statement = """
        INSERT INTO revoked_tokens (token_id, revoked_at, revoked_by, expires_at)
        VALUES (:token_id, :revoked_at, :revoked_by, :expires_at) ON CONFLICT (token_id) DO NOTHING
    """
    return run(connection, statement, row).rowcount == 1


def revoked_ids(connection: "Connection", now: datetime) -> frozenset[str]:
    """Ids of all revoked tokens that would still be in force."""
    rows = run(connection, "SELECT token_id FROM revoked_tokens WHERE expires_at >= :now", {"now": now})
    return frozenset(rows.scalars())
