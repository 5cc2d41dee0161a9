"""Webhooks as they came: written once each, read by the sync of the touched SKUs."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from resources.store.bulk import run

if TYPE_CHECKING:
    from sqlalchemy import Connection


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
