"""The agent at connected channels: synced, compared, and suppliers asked for what is short.

Does not belong here: how a sync goes (`tests/assets/inventory`).
"""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest
import stamina

from assets.inventory.reorder import REORDER_SCHEMA
from luxauto_pipelines.agents.finance_inventory import AGENT
from luxauto_pipelines.agents.finance_inventory.errors import Conflict, UnknownItem
from resources.breaker import StoreBreaker
from resources.channels.transport import Clock
from resources.lake import Lake
from resources.store.brand_store import BrandStore
from resources.store.bulk import run
from resources.store.catalog import CATALOG, COSTS
from resources.store.connections import save_connection
from resources.store.purchasing import read_orders
from resources.store.stock_keeping import Counted, set_level
from tests.peers.shopify import ShopifyPeer
from tests.peers.vendor import Fault, Reply
from tests.peers.woocommerce import WooCommercePeer

Do = Callable[..., dict[str, Any]]
Rows = Callable[[str], list[tuple[Any, ...]]]


@pytest.fixture(autouse=True)
def impatient() -> Iterator[None]:
    stamina.set_testing(True, attempts=3)
    yield
    stamina.set_testing(False)


@pytest.fixture
def boutique(books: BrandStore) -> Iterator[ShopifyPeer]:
    with ShopifyPeer() as peer:
        _open(books, peer, "boutique")
        yield peer


@pytest.fixture
def shop(books: BrandStore) -> Iterator[WooCommercePeer]:
    with WooCommercePeer() as peer:
        _open(books, peer, "shop")
        yield peer


def _open(books: BrandStore, peer: ShopifyPeer | WooCommercePeer, name: str) -> None:
    """Ten of two SKUs; the channel shows one of each."""
    for sku in ("BAG", "BELT"):
        peer.add(sku, 1)
    with books.write() as (connection, brand):
        for sku in ("BAG", "BELT"):
            set_level(connection, brand, Counted(sku, "main", 10, "clerk", "count"), date(2026, 3, 2))
        since = datetime.now(UTC) - timedelta(hours=1)
        save_connection(connection, brand, books.vault, peer.connection(name), orders_since=since)


def test_a_sync_brings_every_channel_to_our_stock(
    do: Do, boutique: ShopifyPeer, shop: WooCommercePeer, rows: Rows
) -> None:
    assert shop.buy({"BAG": 1})
    result = do("sync_channels")
    assert result["success"] is True
    told = {one["channel"]: (one["orders"], one["writes"], one["error"]) for one in result["channels"]}
    assert told == {"boutique": (0, 2, None), "shop": (1, 2, None)}
    assert [peer.stock(sku) for peer in (boutique, shop) for sku in ("BAG", "BELT")] == [9, 10, 9, 10]
    assert rows("SELECT action, actor FROM audit_log WHERE action = 'channels.sync'") == [("channels.sync", "system")]


def test_the_same_sync_again_finds_nothing_to_do(do: Do, boutique: ShopifyPeer) -> None:
    do("sync_channels", key="k")
    (again,) = do("sync_channels", key="k")["channels"]
    assert (again["writes"], again["orders"]) == (0, 0)


def test_a_dry_run_says_what_it_would_write_and_writes_nothing(do: Do, boutique: ShopifyPeer, rows: Rows) -> None:
    result = do("sync_channels", dry_run=True, skus=["BAG"])
    assert result["channels"][0]["planned"] == []
    do("reconcile_channels")
    (told,) = do("sync_channels", dry_run=True, skus=["BAG"])["channels"]
    assert [(row["sku"], row["shown"], row["wanted"]) for row in told["planned"]] == [("BAG", 1, 10)]
    assert boutique.stock("BAG") == 1
    assert rows("SELECT count(*) FROM audit_log WHERE action = 'channels.sync'") == [(0,)]


def test_only_the_named_skus_and_channels_are_synced(do: Do, boutique: ShopifyPeer, shop: WooCommercePeer) -> None:
    do("sync_channels")
    boutique.edit("BAG", 12)
    boutique.edit("BELT", 12)
    do("sync_channels", channels=["boutique"], skus=["BAG"])
    assert (boutique.stock("BAG"), boutique.stock("BELT")) == (10, 12)


def test_a_channel_that_fails_is_reported_and_stops_no_other(
    do: Do, boutique: ShopifyPeer, shop: WooCommercePeer
) -> None:
    shop.faults.append(Fault("reply", times=100, reply=Reply(503)))
    result = do("sync_channels")
    errors = {one["channel"]: one["error"] for one in result["channels"]}
    assert result["success"] is False
    assert errors["boutique"] is None
    assert "503" in errors["shop"]
    assert boutique.stock("BAG") == 10


@pytest.mark.parametrize("method", ["sync_channels", "reconcile_channels"])
def test_a_channel_that_is_not_connected_is_refused_by_name(do: Do, boutique: ShopifyPeer, method: str) -> None:
    with pytest.raises(UnknownItem, match="no channel 'paris' is connected: there are boutique"):
        do(method, channels=["paris"])


def test_a_comparison_counts_every_class_names_the_first_and_writes_nothing(do: Do, boutique: ShopifyPeer) -> None:
    do("sync_channels")
    boutique.edit("BAG", 12)
    boutique.add("WHAT", 4)
    writes = boutique.count("POST")
    (told,) = do("reconcile_channels")["channels"]
    assert (told["items"], told["out_of_step"]) == (3, 2)
    assert told["classes"] == {"clean": 1, "foreign_edit": 1, "unmapped": 1}
    found = {row["sku"]: (row["shown"], row["wanted"], row["state"]) for row in told["differences"]}
    assert found["BAG"] == (12, 10, "foreign_edit")
    assert boutique.stock("BAG") == 12
    assert boutique.count("POST") > writes


def test_a_comparison_with_a_channel_that_is_away_says_so(do: Do, boutique: ShopifyPeer) -> None:
    boutique.faults.append(Fault("reply", times=100, reply=Reply(503)))
    result = do("reconcile_channels")
    assert result["success"] is False
    assert "503" in result["channels"][0]["error"]


class Plan:
    """A reorder plan of two SKUs of one supplier and one of another, as the assets keep it."""

    def __init__(self, books: BrandStore) -> None:
        lake = Lake(books.settings.lake_url, books.settings.brand)
        plan = {"sku": ["BAG", "BELT", "CASE"], "recommended_quantity": [20, 5, 0], "lead_time_days": [7, 7, 7]}
        plan |= {"on_order": [0, 0, 0]}
        lake.write("reorder_plan", _framed(plan, REORDER_SCHEMA))
        catalog = {"sku": ["BAG", "BELT", "CASE"], "supplier": ["Alba", "Borgo", "Alba"]}
        lake.write("catalog", _framed(catalog, CATALOG))
        costs = {"sku": ["BAG"], "valid_from": [date(2026, 1, 1)], "cost_minor": [65000], "currency": ["EUR"]}
        lake.write("sku_costs", _framed(costs, COSTS))
        self.books = books

    def orders(self) -> list[tuple[Any, ...]]:
        with self.books.read() as (connection, brand):
            found = read_orders(connection, brand)
        return found.select("supplier", "sku", "quantity", "status").sort("sku").rows()


def _framed(columns: dict[str, list[Any]], schema: dict[str, pl.DataType]) -> pl.DataFrame:
    known = pl.DataFrame(columns)
    return known.select(
        pl.col(name).cast(dtype) if name in columns else pl.lit(None, dtype).alias(name)
        for name, dtype in schema.items()
    )


@pytest.fixture
def plan(books: BrandStore) -> Plan:
    return Plan(books)


def test_what_the_plan_recommends_is_drafted_one_order_a_supplier(do: Do, plan: Plan) -> None:
    result = do("replenish")
    assert len(result["purchase_orders"]) == 2
    assert plan.orders() == [("Alba", "BAG", 20, "draft"), ("Borgo", "BELT", 5, "draft")]
    assert [(line["sku"], line["quantity"]) for line in result["lines"]] == [("BAG", 20), ("BELT", 5)]


def test_only_the_named_skus_are_ordered(do: Do, plan: Plan) -> None:
    do("replenish", skus=["BELT", "CASE"])
    assert plan.orders() == [("Borgo", "BELT", 5, "draft")]


def test_what_is_on_order_already_is_not_ordered_again(do: Do, plan: Plan) -> None:
    first = do("replenish", key="k", skus=["BAG"])
    assert do("replenish", key="k", skus=["BAG"]) == first
    again = do("replenish")
    assert again["skus_already_on_order"] == ["BAG"]
    assert plan.orders() == [("Alba", "BAG", 20, "draft"), ("Borgo", "BELT", 5, "draft")]


def test_drafts_are_withdrawn_unless_somebody_has_taken_them_up(do: Do, plan: Plan, books: BrandStore) -> None:
    made = do("replenish", key="k")["purchase_orders"]
    with books.write() as (connection, _):
        run(connection, "UPDATE purchase_orders SET status = 'approved' WHERE supplier = 'Alba'")
    result = do("withdraw_replenishment", undoes="k")
    assert (len(result["withdrawn"]), len(result["kept"])) == (1, 1)
    assert sorted([*result["withdrawn"], *result["kept"]]) == made
    assert {(supplier, status) for supplier, _, _, status in plan.orders()} == {
        ("Alba", "approved"),
        ("Borgo", "cancelled"),
    }
    assert do("withdraw_replenishment", undoes="k")["withdrawn"] == []


def test_a_sku_that_the_plan_does_not_know_is_refused(do: Do, plan: Plan) -> None:
    with pytest.raises(UnknownItem, match="SHOE"):
        do("replenish", skus=["BAG", "SHOE"])


def test_without_a_plan_nothing_is_ordered(do: Do) -> None:
    with pytest.raises(Conflict, match="luxauto refresh"):
        do("replenish")


def test_a_replenishment_names_the_method_that_undoes_it() -> None:
    assert AGENT.method("replenish").compensation == "withdraw_replenishment"
    assert AGENT.method("sync_channels").compensation is None


def test_the_status_tells_of_every_integration_that_ever_failed(books: BrandStore) -> None:
    breaker = StoreBreaker(books, Clock(), opens_after=2)
    for name, failures in (("boutique", 2), ("shop", 1)):
        for _ in range(failures):
            breaker.failed(name, "HTTP 503")
    found = AGENT.status(books)["circuit_breakers"]
    assert {name: (told["state"], told["failures"]) for name, told in found.items()} == {
        "boutique": ("open", 2),
        "shop": ("closed", 1),
    }
    at = datetime.fromisoformat(found["shop"]["last_failure"])
    assert at.utcoffset() == timedelta(0)
    assert set(found["shop"]) == {"state", "failures", "last_failure"}
