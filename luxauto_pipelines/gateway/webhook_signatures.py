"""Who may send to `/webhooks/{channel}`: the connected channel or kind of that name, and the secret that its messages bear.

Belongs here: finding both. Does not belong here: how a kind signs (`resources/channels/senders`), or what a message means.
"""

import os
import re
from dataclasses import dataclass

from resources.channels.connectors import KINDS
from resources.channels.protocol import Connection, Sender
from resources.channels.senders import BY_KEY, BY_QUEUE, Senders, sender_of
from resources.store.brand_store import BrandStore
from resources.store.connections import read_connections


@dataclass(frozen=True)
class Source:
    """A channel as it is named in the address. `connection` is None for a kind of which no one channel is connected."""

    name: str
    kind: str
    connection: Connection | None


def find_source(books: BrandStore, name: str) -> Source | None:
    """The connected channel of this name; else the kind of this name, with its one connected channel; else None."""
    with books.read() as (connection, brand):
        connected = [channel.reached for channel in read_connections(connection, brand, books.vault)]
    named = next((reached for reached in connected if reached.name == name), None)
    if named is not None:
        return Source(name, named.kind, named)
    if name not in KINDS:
        return None
    of_kind = [reached for reached in connected if reached.kind == name]
    return Source(name, name, of_kind[0] if len(of_kind) == 1 else None)


def sender_for(books: BrandStore, source: Source, senders: Senders) -> Sender | str:
    """What verifies the source's messages, or why nothing can."""
    if source.kind in BY_QUEUE:
        return f"messages of {source.name} come by their queue (SQS), which is read by the sensor channel_notifications"
    if source.connection is not None:
        return senders.of(books, source.connection)
    if source.kind in BY_KEY:
        return f"messages of {source.name} are verified through its connection: luxauto channel add NAME --kind {source.kind}"
    return sender_of(source.kind)


def secret_of(source: Source) -> bytes | None:
    """From LUXAUTO_WEBHOOK_SECRET_<CHANNEL>, else the connection's; b"" where the kind shares none with us."""
    chosen = os.environ.get(variable_of(source.name))
    if not chosen and source.connection is not None:
        secrets = source.connection.secrets
        chosen = secrets.get("webhook_secret") or (secrets.get("client_secret") if source.kind == "shopify" else None)
    if source.kind in BY_KEY:
        return b""
    return (chosen or "").encode() or None


def variable_of(name: str) -> str:
    """The environment variable of a channel's secret: what no variable's name may hold becomes `_`."""
    return f"LUXAUTO_WEBHOOK_SECRET_{re.sub(r'[^A-Z0-9]', '_', name.upper())}"
