"""How many calls it takes to tell a vendor of changed stock, beside the least that the vendor's own rules allow.

The peers of the tests count what changes something; reading back is not counted.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.measure import Measured
from resources.channels import amazon, ebay, shopify, woocommerce
from resources.channels.protocol import Connector, ListedItem, Outcome, StockWrite
from tests.peers.amazon import AmazonPeer
from tests.peers.ebay import EbayPeer
from tests.peers.shopify import ShopifyPeer
from tests.peers.vendor import Asked
from tests.peers.woocommerce import WooCommercePeer
from tests.resources.channels.tools import memory_tools

SKUS = 100
PER_PARENT = 5
FEED = 2000


@dataclass(frozen=True)
class Case:
    """One vendor and one size. `least` is what the vendor's limits make of `count` changes."""

    name: str
    peer: Any
    connect: Callable[..., Connector]
    is_write: Callable[[Asked], bool]
    least: int
    count: int = SKUS
    parents: int = 0


def run() -> Iterator[Measured]:
    """One row a vendor; the ratio has to be one."""
    for case in _cases():
        with case.peer as peer:
            yield Measured(
                f"calls-{case.name}", f"calls/{case.count} SKUs", _calls(case, peer), case.least, 1.0, "lower"
            )


def _cases() -> Sequence[Case]:
    tools = memory_tools()
    return (
        Case("shopify", ShopifyPeer(), shopify.connect, lambda a: b"inventorySetQuantities" in a.body, 1),
        Case("woocommerce", WooCommercePeer(), woocommerce.connect, _posts("/batch"), 1),
        Case(
            "woocommerce-variations",
            WooCommercePeer(),
            woocommerce.connect,
            _posts("/batch"),
            SKUS // PER_PARENT,
            parents=SKUS // PER_PARENT,
        ),
        Case("amazon", AmazonPeer(clock=tools.clock), amazon.connect, lambda a: a.method == "PATCH", SKUS),
        Case("amazon-feed", AmazonPeer(clock=tools.clock), amazon.connect, _posts("/feeds/2021-06-30/feeds"), 1, FEED),
        Case("ebay", EbayPeer(), ebay.connect, _posts("bulk_update_price_quantity"), SKUS // 25),
    )


def _posts(part: str) -> Callable[[Asked], bool]:
    return lambda asked: asked.method == "POST" and part in asked.path


def _calls(case: Case, peer: Any) -> int:
    parents = [peer.add(f"PARENT-{number}", None, kind="variable") for number in range(case.parents)]
    for number in range(case.count):
        family = {"parent": parents[number % len(parents)]} if parents else {}
        peer.add(f"SKU-{number:04}", 1, **family)
    connector = case.connect(peer.connection("bench"), memory_tools(getattr(peer, "clock", None)))
    items = [item for page in connector.list_items() for item in page if (item.sku or "").startswith("SKU-")]
    before = len(peer.asked)
    results = [result for page in connector.write_stock([_write(item) for item in items]) for result in page]
    connector.close()
    done = {Outcome.confirmed, Outcome.accepted}
    if len(results) != case.count or {result.outcome for result in results} - done:
        raise RuntimeError(f"{case.name}: not every write was taken: {results[:3]}")
    return sum(case.is_write(asked) for asked in peer.asked[before:])


def _write(item: ListedItem) -> StockWrite:
    return StockWrite(item.key, item.sku or "", 7, item.quantity, item.handles, f"bench-{item.key}")


if __name__ == "__main__":
    for row in run():
        print(f"{row.name}: {row.ours:.0f} {row.unit}, least {row.reference:.0f}")
