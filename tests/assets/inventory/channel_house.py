"""A house with real channels: the vendors' peers on loopback, a store, and the sync as it runs.

Belongs here: setting the scene and looking at what came of it. Does not belong here: any expectation (the tests).
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl

from assets.inventory.channel_sync import Order, Report, sync
from assets.inventory.stock_room import compare_channels
from resources.channels.connectors import open_connector
from resources.channels.protocol import Connector
from resources.channels.transport import Clock
from resources.store.alerts import AlertFilter, list_alerts
from resources.store.brand_store import BrandStore
from resources.store.bulk import as_json, fetch, run
from resources.store.connections import ConnectedChannel, read_connection, save_connection
from resources.store.stock_keeping import Counted, read_levels_by_location, set_level
from tests.peers.amazon import AmazonPeer
from tests.peers.ebay import EbayPeer
from tests.peers.shopify import ShopifyPeer
from tests.peers.vendor import Asked
from tests.peers.woocommerce import WooCommercePeer

KINDS = ("woocommerce", "shopify", "amazon", "ebay")
TODAY = date(2026, 11, 23)
_PEERS: dict[str, type[Any]] = {
    "woocommerce": WooCommercePeer,
    "shopify": ShopifyPeer,
    "amazon": AmazonPeer,
    "ebay": EbayPeer,
}


class Ahead(Clock):
    """Goes on by itself, and at once by as much as somebody would sleep."""

    def __init__(self) -> None:
        self._ahead = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    def sleep(self, seconds: float) -> None:
        self._ahead += timedelta(seconds=seconds)


class House:
    """Channels are named after their kind."""

    def __init__(self, books: BrandStore) -> None:
        self.books = books
        self.peers: dict[str, Any] = {}
        self.clock = Ahead()

    def close(self) -> None:
        for peer in self.peers.values():
            peer.close()

    def peer(self, kind: str, skus: Iterable[str] = (), shown: int = 3) -> Any:
        """A vendor's server that has these on sale."""
        peer = self.peers[kind] = _PEERS[kind]()
        for sku in skus:
            peer.add(sku, shown)
        if kind == "amazon":
            peer.rate_header = "1000"
        return peer

    def connect(self, kind: str, *, options: dict[str, Any] | None = None, **how: Any) -> None:
        """`how` goes to `save_connection`; once more: it is changed."""
        with self.books.write() as (connection, brand):
            reached = self.peers[kind].connection(kind, **(options or {}))
            how.setdefault("orders_since", datetime.now(UTC) - timedelta(hours=1))
            save_connection(connection, brand, self.books.vault, reached, **how)

    def sell(self, skus: Iterable[str], kinds: Iterable[str] = KINDS, *, shown: int = 3, **options: Any) -> None:
        """Connect channels that have these SKUs on sale."""
        for kind in kinds:
            self.peer(kind, skus, shown)
            self.connect(kind, options=options)

    def count(self, levels: dict[str, int], location: str = "main") -> None:
        with self.books.write() as (connection, brand):
            for sku, units in levels.items():
                set_level(connection, brand, Counted(sku, location, units, "clerk", "count"), TODAY)

    def sync(self, *channels: str, **order: Any) -> dict[str, Report]:
        reports = sync(self.books, Order(channels, **order), open_it=self.open)
        return {report.channel: report for report in reports}

    def open(self, books: BrandStore, channel: ConnectedChannel) -> Connector:
        return open_connector(books, channel.reached, self.clock)

    def shown(self, sku: str) -> dict[str, int | None]:
        return {kind: peer.stock(sku) for kind, peer in self.peers.items()}

    def writes(self) -> dict[str, int]:
        """Calls that write stock or prices, so far."""
        return {kind: sum(is_write(asked) for asked in peer.asked) for kind, peer in self.peers.items()}

    def forget(self) -> None:
        """What has been asked so far does not count."""
        for peer in self.peers.values():
            peer.asked.clear()

    def violations(self) -> list[str]:
        return [fault for peer in self.peers.values() for fault in peer.violations]

    def levels(self) -> dict[tuple[str, str], int]:
        """On hand by SKU and location."""
        with self.books.read() as (connection, brand):
            rows = read_levels_by_location(connection, brand).select("sku", "location", "on_hand").iter_rows()
        return {(sku, location): on_hand for sku, location, on_hand in rows}

    def compared(self, kind: str) -> dict[str, tuple[str, str]]:
        """State and action of each SKU at a channel."""
        with self.books.read() as (connection, brand):
            rows = compare_channels(connection, brand, self.books.settings).filter(pl.col("channel") == kind)
        return {row["sku"]: (row["state"], row["action"]) for row in rows.to_dicts()}

    def told(self, kind: str) -> list[tuple[str, int, str]]:
        """What was to be written to a channel, in its order: SKU, value, what became of it."""
        query = """
            SELECT s.sku, w.wanted, w.state FROM channel_writes w
            JOIN channels c ON c.id = w.channel_id JOIN skus s ON s.id = w.sku_id WHERE c.code = :kind ORDER BY w.id
        """
        with self.books.read() as (connection, _):
            return [(sku, wanted, state) for sku, wanted, state in fetch(connection, query, {"kind": kind})]

    def alerts(self, kind: str) -> list[dict[str, Any]]:
        """Those that are not resolved."""
        with self.books.read() as (connection, brand):
            found = list_alerts(connection, brand, AlertFilter(kind=kind), None, 100)
        open_still = (alert for alert in found if alert["status"] != "resolved")
        return [{**alert, "details": as_json(alert["details"])} for alert in open_still]

    def channel(self, kind: str) -> ConnectedChannel:
        with self.books.read() as (connection, brand):
            return read_connection(connection, brand, self.books.vault, kind)

    def run(self, statement: str, **values: Any) -> None:
        with self.books.write() as (connection, _):
            run(connection, statement, values)

    def let_time_pass(self) -> None:
        """Until writes whose outcome is unknown can no longer take effect."""
        self.run("UPDATE channel_items SET pending_until = read_at WHERE pending IS NOT NULL")


def is_write(asked: Asked) -> bool:
    """Whether it sets stock or prices (an empty batch of WooCommerce's, which asks for permissions, sets none)."""
    graphql = b"inventorySetQuantities" in asked.body or b"productVariantsBulkUpdate" in asked.body
    ends = ("/batch", "/bulk_update_price_quantity", "/feeds")
    return asked.method == "PATCH" or graphql or (asked.method == "POST" and asked.path.endswith(ends))
