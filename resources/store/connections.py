"""How channels are reached: added, read and removed, with their credentials sealed.

Does not belong here: what a channel showed (`channel_items`) or sold (`channel_orders`).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import polars as pl

from resources.channels.protocol import Connection as Reached
from resources.store.bulk import as_instant, as_json, fetch, insert_row, read_frame, run
from resources.store.key_ring import open_ring, open_ring_to_seal
from resources.vault import Vault
from resources.vault.ring import Ring

if TYPE_CHECKING:
    from sqlalchemy import Connection

PURPOSE = "channel-credentials"
_SELECT = """
    SELECT n.id, n.channel_id, c.code, n.kind, n.url, n.options, n.secrets, n.locations, n.priority, n.weight, n.foreign_edits,
           n.orders_seen_until, n.listed_at, n.last_error, n.created_at
    FROM channel_connections n JOIN channels c ON c.id = n.channel_id
    WHERE n.brand_id = :brand
"""


class UnknownConnection(Exception):
    """No channel of this name is connected; the message names those that are."""


@dataclass(frozen=True)
class ConnectedChannel:
    """A connection as it is kept. `reached` is what a connector is opened with."""

    id: int
    channel_id: int
    reached: Reached
    locations: tuple[str, ...]
    priority: int
    weight: int
    foreign_edits: str
    orders_seen_until: datetime | None
    listed_at: datetime | None
    last_error: str | None
    created_at: datetime

    @property
    def name(self) -> str:
        return self.reached.name

    @property
    def kind(self) -> str:
        return self.reached.kind


def save_connection(
    connection: "Connection",
    brand: int,
    vault: Vault,
    reached: Reached,
    *,
    locations: tuple[str, ...] = (),
    priority: int = 100,
    weight: int = 1,
    foreign_edits: str = "min_wins",
    orders_since: datetime | None = None,
) -> bool:
    """Connect a channel, or change how it is reached. Returns whether it is new.

    Orders from `orders_since` (default: now) on move stock; what was sold before is taken to be in the counts.
    """
    now = datetime.now(UTC)
    channel = _channel(connection, brand, reached.name, reached.kind)
    ring = open_ring_to_seal(connection, vault)
    values = {
        "kind": reached.kind,
        "url": reached.url,
        "options": json.dumps(dict(reached.options)),
        "secrets": ring.seal(PURPOSE, json.dumps(dict(reached.secrets)), place_of(channel)),
        "key_id": ring.active,
        "locations": json.dumps(list(locations)),
        "priority": priority,
        "weight": weight,
        "foreign_edits": foreign_edits,
    }
    known = fetch(connection, "SELECT id FROM channel_connections WHERE channel_id = :channel", {"channel": channel})
    if known:
        changes = ", ".join(f"{name} = :{name}" for name in values)
        cursor = ", orders_seen_until = :since" if orders_since else ""
        run(
            connection,
            f"UPDATE channel_connections SET {changes}{cursor}, last_error = NULL WHERE id = :id",
            {**values, "id": known[0][0]} | ({"since": orders_since} if orders_since else {}),
        )
        return False
    insert_row(
        connection,
        "channel_connections",
        {
            **values,
            "brand_id": brand,
            "channel_id": channel,
            "orders_seen_until": orders_since or now,
            "created_at": now,
        },
    )
    return True


def read_connections(connection: "Connection", brand: int, vault: Vault) -> list[ConnectedChannel]:
    """Every connected channel, by priority and name."""
    rows = fetch(connection, f"{_SELECT} ORDER BY n.priority, c.code", {"brand": brand})
    ring = open_ring(connection, vault)
    return [_connected(row, ring) for row in rows]


def read_connection(connection: "Connection", brand: int, vault: Vault, name: str) -> ConnectedChannel:
    """Raises UnknownConnection."""
    rows = fetch(connection, f"{_SELECT} AND c.code = :name", {"brand": brand, "name": name})
    if not rows:
        names = [row[2] for row in fetch(connection, f"{_SELECT} ORDER BY c.code", {"brand": brand})]
        known = f"there are {', '.join(names)}" if names else "there is none; `luxauto channel add` makes one"
        raise UnknownConnection(f"no channel {name!r} is connected: {known}")
    return _connected(rows[0], open_ring(connection, vault))


def read_shares(connection: "Connection", brand: int) -> pl.DataFrame:
    """Which channel is served first, and by what weight: columns channel, priority, weight."""
    query = """
        SELECT c.code, n.priority, n.weight FROM channel_connections n JOIN channels c ON c.id = n.channel_id
        WHERE n.brand_id = :brand ORDER BY n.priority, c.code
    """
    schema = {"channel": pl.String(), "priority": pl.Int64(), "weight": pl.Int64()}
    return read_frame(connection, query, schema, {"brand": brand})


def remove_connection(connection: "Connection", brand: int, name: str) -> bool:
    """Forget how a channel is reached and what it showed. Its orders and what moved stock stay. False where there was none."""
    values = {"brand": brand, "name": name}
    channel = run(
        connection,
        """
            SELECT n.channel_id FROM channel_connections n JOIN channels c ON c.id = n.channel_id
            WHERE n.brand_id = :brand AND c.code = :name
        """,
        values,
    ).scalar()
    if channel is None:
        return False
    for table in ("channel_items", "sku_mappings", "channel_connections"):
        run(connection, f"DELETE FROM {table} WHERE channel_id = :channel", {"channel": channel})
    return True


def note_orders_seen(connection: "Connection", channel: ConnectedChannel, until: datetime) -> None:
    """All orders that changed before `until` have been worked on. Never moves backwards."""
    run(
        connection,
        """
            UPDATE channel_connections SET orders_seen_until = :until
            WHERE id = :id AND (orders_seen_until IS NULL OR orders_seen_until < :until)
        """,
        {"id": channel.id, "until": until},
    )


def note_result(connection: "Connection", channel: ConnectedChannel, error: str | None) -> None:
    """How the last sync with the channel ended."""
    run(
        connection,
        "UPDATE channel_connections SET last_error = :error WHERE id = :id",
        {"id": channel.id, "error": error},
    )


def _channel(connection: "Connection", brand: int, name: str, kind: str) -> int:
    query = "SELECT id FROM channels WHERE brand_id = :brand AND code = :code"
    known = fetch(connection, query, {"brand": brand, "code": name})
    if known:
        return known[0][0]
    return insert_row(connection, "channels", {"brand_id": brand, "code": name, "kind": kind})


def place_of(channel: int) -> str:
    """What a connection's secrets are bound to."""
    return f"channel:{channel}"


def _connected(row: tuple[Any, ...], ring: Ring) -> ConnectedChannel:
    (
        number,
        channel,
        code,
        kind,
        url,
        options,
        secrets,
        locations,
        priority,
        weight,
        edits,
        seen,
        listed,
        error,
        made,
    ) = row
    unsealed: Mapping[str, str] = json.loads(ring.unseal(PURPOSE, secrets, place_of(channel)))
    return ConnectedChannel(
        number,
        channel,
        Reached(code, kind, url, as_json(options), unsealed),
        tuple(as_json(locations)),
        priority,
        weight,
        edits,
        None if seen is None else as_instant(seen),
        None if listed is None else as_instant(listed),
        error,
        as_instant(made),
    )
