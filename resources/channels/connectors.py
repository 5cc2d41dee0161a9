"""Opening the connector of a connection, with breaker and limits that all processes share."""

import importlib

from resources.breaker import StoreBreaker
from resources.channels.limits import StoreLimiter
from resources.channels.protocol import ChannelError, Connection, Connector
from resources.channels.transport import Breaker, Clock, Tools
from resources.store.brand_store import BrandStore

KINDS = ("woocommerce", "shopify", "amazon", "ebay")
SECRETS = {
    "woocommerce": ("key", "secret"),
    "shopify": ("access_token",),
    "amazon": ("client_id", "client_secret", "refresh_token"),
    "ebay": ("client_id", "client_secret", "refresh_token"),
}
"""What each kind cannot do without. Shopify takes client_id and client_secret in place of an access_token."""


def open_connector(
    books: BrandStore, connection: Connection, clock: Clock | None = None, breaker: Breaker | None = None
) -> Connector:
    """Only the module of this kind is loaded. Raises ChannelError for a kind that there is none of, and for what is missing.

    `breaker`: in place of the one that all processes share.
    """
    if connection.kind not in KINDS:
        raise ChannelError(f"a channel is one of {', '.join(KINDS)}, not {connection.kind!r}")
    chosen = clock or Clock()
    tools = Tools(breaker or StoreBreaker(books, chosen), StoreLimiter(books, chosen), chosen)
    module = importlib.import_module(f"resources.channels.{connection.kind}")
    try:
        return module.connect(connection, tools)
    except OSError as error:
        file = connection.options.get("ca_file")
        raise ChannelError(f"{connection.name}: the certificates in {file} cannot be read: {error}") from error
