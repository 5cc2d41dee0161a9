"""How each kind of channel signs, numbers and words its messages.

Belongs here: which module knows a kind, and the verifiers that need a connection. Does not belong here: receiving messages
(the gateway, Amazon's queue), or acting on them (`assets/inventory/inbox`).
"""

import importlib
from threading import Lock

from resources.breaker import StoreBreaker
from resources.channels.limits import StoreLimiter
from resources.channels.protocol import Connection, Sender
from resources.channels.transport import Clock, Tools
from resources.store.brand_store import BrandStore

_MODULES = {
    "woocommerce": "woocommerce_answers",
    "shopify": "shopify_notifications",
    "amazon": "amazon_notifications",
    "ebay": "ebay_notifications",
}
BY_QUEUE = ("amazon",)
"""Kinds whose messages come by a queue: no webhook is ever taken for theirs."""
BY_KEY = ("ebay",)
"""Kinds that sign with a key of their own, which a connection fetches: they share no secret with us."""


def sender_of(kind: str) -> Sender:
    """What every message of the kind has in common. Only the kind's own module is loaded."""
    return importlib.import_module(f"resources.channels.{_MODULES[kind]}").SENDER


class Senders:
    """Senders of connections. A process keeps one of these, since fetched keys are remembered in it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._made: dict[tuple[str, ...], Sender] = {}

    def of(self, books: BrandStore, connection: Connection) -> Sender:
        """The sender that verifies this connection's messages."""
        if connection.kind not in BY_KEY:
            return sender_of(connection.kind)
        from resources.channels.ebay_notifications import key_fetcher, sender

        identity = (connection.name, connection.url, connection.secrets.get("client_id", ""))
        with self._lock:
            if identity not in self._made:
                clock = Clock()
                tools = Tools(StoreBreaker(books, clock), StoreLimiter(books, clock), clock)
                self._made[identity] = sender(key_fetcher(connection, tools), clock)
            return self._made[identity]
