"""Four channels in bad weather: clients buy, cancel and return, people edit stock, requests fail, and all of it by a seed.

What is true is counted here beside the peers, from what the channels themselves accepted; it is never read from the system.
"""

import importlib
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from resources.breaker import StoreBreaker
from resources.channels.limits import StoreLimiter
from resources.channels.protocol import Connector
from resources.channels.transport import Clock, Tools
from resources.store.brand_store import BrandStore
from resources.store.connections import ConnectedChannel
from tests.peers.amazon import AmazonPeer
from tests.peers.ebay import EbayPeer
from tests.peers.shopify import ShopifyPeer
from tests.peers.vendor import TOO_MANY, Asked, Fault, Reply
from tests.peers.woocommerce import WooCommercePeer

KINDS = ("woocommerce", "shopify", "amazon", "ebay")
# Refunds that put stock back: elsewhere it is not the vendor that does it.
RESTOCKS = ("woocommerce", "shopify")
OPTIONS = {"timeout_seconds": 0.4, "orders_overlap_seconds": 5}


def open_quickly(books: BrandStore, channel: ConnectedChannel) -> Connector:
    """The connector as it is, with a breaker that closes again within the test."""
    clock = Clock()
    tools = Tools(StoreBreaker(books, clock, open_seconds=0.05), StoreLimiter(books, clock), clock)
    return importlib.import_module(f"resources.channels.{channel.kind}").connect(channel.reached, tools)


@dataclass
class Storm:
    """The peers and what happens at them. `sets` are what sets consist of."""

    seed: int
    skus: list[str]
    sets: dict[str, dict[str, int]]
    initial: dict[str, int]
    orders_left: int
    peers: dict[str, Any] = field(default_factory=dict)
    gone: Counter[str] = field(default_factory=Counter)
    """Units that clients have and that were not put back, by SKU that is no set."""
    sold: list[tuple[str, str, dict[str, int]]] = field(default_factory=list)
    happened: Counter[str] = field(default_factory=Counter)
    is_calm: bool = True
    kill: Callable[[], None] | None = None
    kill_at: int = 0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        for kind, peer in zip(KINDS, (WooCommercePeer(), ShopifyPeer(), AmazonPeer(), EbayPeer()), strict=True):
            self.peers[kind] = peer
            for sku in [*self.skus, *self.sets]:
                peer.add(sku, self.random.randint(0, 9), "100.00")
            peer.weather = lambda asked, kind=kind: self._weather(kind, asked)
        self.peers["amazon"].rate_header = "1000"

    def close(self) -> None:
        for peer in self.peers.values():
            peer.close()

    def rain(self, orders: int) -> None:
        """So many orders, and now and then a cancellation, a return or somebody's edit."""
        for _ in range(min(orders, self.orders_left)):
            self._buy()
            chance = self.random.random()
            if chance < 0.08:
                self._cancel()
            elif chance < 0.14:
                self._refund()
            elif chance < 0.17:
                self._edit()

    def _weather(self, kind: str, asked: Asked) -> Fault | None:
        if self.kill is not None:
            self.kill_at -= 1
            if self.kill_at <= 0:
                kill, self.kill = self.kill, None
                self.happened["killed"] += 1
                kill()
        if self.is_calm:
            return None
        chance = self.random.random()
        if chance < 0.10:
            return Fault("meanwhile", act=lambda: self.rain(self.random.randint(1, 6)))
        fault = self._fault(kind, asked, chance)
        if fault is not None:
            self.happened[fault.kind] += 1
        return fault

    def _fault(self, kind: str, asked: Asked, chance: float) -> Fault | None:
        if "token" in asked.path:
            return None
        if chance < 0.115:
            return Fault("reply", reply=TOO_MANY if chance < 0.11 else Reply(429, {}, {"Retry-After": "0"}))
        if chance < 0.125:
            return Fault("reply", reply=Reply(503, {"message": "maintenance"}))
        if chance < 0.131:
            return Fault("reset_before")
        if chance < 0.137:
            return Fault("reset_after")
        if chance < 0.139:
            return Fault("hang_after")
        if chance < 0.140 and asked.method != "GET":
            return Fault("late")
        if chance < 0.142 and kind != "woocommerce":
            self.peers[kind].expire_tokens()
        return None

    def _buy(self) -> None:
        kind = self.random.choice(KINDS)
        chosen = self.random.sample([*self.skus, *self.sets], self.random.choice((1, 1, 1, 2, 3)))
        wanted = {sku: self.random.choice((1, 1, 1, 2)) for sku in chosen}
        order = self.peers[kind].buy(wanted)
        self.orders_left -= 1
        self.happened["orders" if order else "sold out"] += 1
        if order is None:
            return
        self.sold.append((kind, order, wanted))
        for sku, units in wanted.items():
            self._count(sku, units)

    def _cancel(self) -> None:
        kind, order, wanted = self._take_sold()
        if order:
            self.peers[kind].cancel(order)
            self.happened["cancelled"] += 1
            for sku, units in wanted.items():
                self._count(sku, -units)

    def _refund(self) -> None:
        kind, order, wanted = self._take_sold()
        if order:
            sku = self.random.choice(sorted(wanted))
            restock = kind in RESTOCKS and self.random.random() < 0.5
            self.peers[kind].refund(order, sku, 1, restock)
            self.happened["returned" if restock else "refunded"] += 1
            self._count(sku, -1 if restock else 0)

    def _edit(self) -> None:
        kind = self.random.choice(KINDS)
        self.peers[kind].edit(self.random.choice(self.skus), self.random.randint(0, 40))
        self.happened["edited"] += 1

    def _take_sold(self) -> tuple[str, str, dict[str, int]]:
        if not self.sold:
            return "", "", {}
        return self.sold.pop(self.random.randrange(len(self.sold)))

    def _count(self, sku: str, units: int) -> None:
        for part, each in self.sets.get(sku, {sku: 1}).items():
            self.gone[part] += units * each

    def left(self, sku: str) -> int:
        """Units that there truly are; negative where the channels sold more."""
        return self.initial[sku] - self.gone[sku]

    def showable(self, sku: str) -> int:
        """What a channel should show."""
        parts = self.sets.get(sku, {sku: 1})
        return min(max(0, self.left(part)) // each for part, each in parts.items())
