"""Messages of channels as they came: written once each, worked on later, and what came of each.

Belongs here: the table `inbox_messages`. Does not belong here: what a message means (`resources/channels`), or what is done
about it (`assets/inventory/inbox`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from resources.store.bulk import as_instant, as_json, fetch, run

if TYPE_CHECKING:
    from sqlalchemy import Connection


@dataclass(frozen=True)
class Message:
    """A message that waits. `attempts`: how often work on it was begun before. Header names are in lower case."""

    id: int
    channel: str
    external_id: str
    received_at: datetime
    headers: dict[str, str]
    body: str
    note: str | None
    attempts: int


def receive(
    connection: "Connection", brand: int, channel: str, external_id: str, headers: dict[str, str], body: str
) -> bool:
    """Keep a message; False when the sender's id is there already, whatever the rest says."""
    statement = """
        INSERT INTO inbox_messages (brand_id, channel, external_id, state, received_at, headers, body)
        VALUES (:brand, :channel, :external_id, 'received', :now, :headers, :body)
        ON CONFLICT (brand_id, channel, external_id) DO NOTHING
    """
    values = {
        "brand": brand,
        "channel": channel,
        "external_id": external_id,
        "now": datetime.now(UTC),
        "headers": headers,
        "body": body,
    }
    return run(connection, statement, values).rowcount == 1


def unread(connection: "Connection", brand: int, most: int, ids: Iterable[int] | None = None) -> list[Message]:
    """The oldest messages that wait, or those of `ids` that do."""
    only = "" if ids is None else f"AND id IN ({_listed(ids)})"
    query = f"""
        SELECT id, channel, external_id, received_at, headers, body, note, coalesce(attempts, 0) FROM inbox_messages
        WHERE brand_id = :brand AND state = 'received' {only} ORDER BY id LIMIT :most
    """
    return [
        Message(row[0], row[1], row[2], as_instant(row[3]), as_json(row[4]), row[5], row[6], row[7])
        for row in fetch(connection, query, {"brand": brand, "most": most})
    ]


def begin_work(connection: "Connection", ids: Sequence[int]) -> None:
    """Count an attempt before it is made, so that one which kills its process counts as well."""
    _change(connection, ids, "attempts = coalesce(attempts, 0) + 1", {})


def put_off(connection: "Connection", ids: Sequence[int], note: str) -> None:
    """The attempt came to nothing for a reason that is not the messages': they wait, and it does not count."""
    _change(connection, ids, "attempts = attempts - 1, note = :note", {"note": note})


def note_trouble(connection: "Connection", ids: Sequence[int], note: str) -> None:
    """The attempt failed, for this reason; there may be another."""
    _change(connection, ids, "note = :note", {"note": note})


def mark_processed(connection: "Connection", ids: Sequence[int], note: str, *, forget: bool = False) -> None:
    """Nothing is left to do about these. `forget`: nor is there a reason to keep what they say."""
    body = ", body = ''" if forget else ""
    _change(
        connection,
        ids,
        f"state = 'processed', processed_at = :now, note = :note{body}",
        {"note": note, "now": datetime.now(UTC)},
    )


def mark_failed(connection: "Connection", ids: Sequence[int], note: str) -> None:
    """These are given up, for this reason."""
    changes = "state = 'failed', processed_at = :now, note = :note"
    _change(connection, ids, changes, {"note": note, "now": datetime.now(UTC)})


def _change(connection: "Connection", ids: Sequence[int], changes: str, values: dict[str, Any]) -> None:
    """Of messages that somebody else is done with, nothing is changed."""
    run(connection, f"UPDATE inbox_messages SET {changes} WHERE id IN ({_listed(ids)}) AND state = 'received'", values)


def _listed(ids: Iterable[int]) -> str:
    # No id is 0: an empty list would be no SQL.
    return ", ".join(str(int(number)) for number in ids) or "0"
