"""The assets of a connected channel and their checks, run as Dagster runs them, against a channel that answers.

Does not belong here: how a sync goes (`test_channel_sync`), or what asks for a run (`tests/luxauto_pipelines`).
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import dagster as dg
import polars as pl
import pytest
import stamina

from assets.inventory import channel_assets
from assets.inventory.channel_checks import MOST_DRIFT, drifting, stale, writes_are_taken
from assets.partitions import keep_channels
from luxauto_pipelines.definitions import defs
from luxauto_pipelines.jobs import CHANNEL_ASSETS
from resources.channels.protocol import Connection
from resources.lake import Lake
from resources.store.brand_store import BrandStore
from resources.store.bulk import fetch, run
from resources.store.connections import read_connections, save_connection
from resources.store.orders import ensure_skus
from resources.store.stock_keeping import Counted, set_level
from tests.conftest import ROOT
from tests.peers.shopify import ShopifyPeer
from tests.peers.woocommerce import WooCommercePeer

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
SKUS = tuple(f"BAG-{number}" for number in range(5))


@pytest.fixture(autouse=True)
def impatient() -> Iterator[None]:
    stamina.set_testing(True, attempts=3)
    yield
    stamina.set_testing(False)


@pytest.fixture
def boutique() -> Iterator[ShopifyPeer]:
    with ShopifyPeer() as peer:
        for sku in SKUS:
            peer.add(sku, 1)
        yield peer


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        keep_channels(made, ["boutique", "shop"])
        yield made


class House:
    """Ten of each SKU, and a boutique that is connected."""

    def __init__(self, books: BrandStore, instance: dg.DagsterInstance, boutique: ShopifyPeer) -> None:
        self.books, self.instance, self.boutique = books, instance, boutique
        for sku in SKUS:
            self.count(sku, 10)
        self.connect(boutique.connection("boutique"))

    def connect(self, reached: Connection) -> None:
        with self.books.write() as (connection, brand):
            since = datetime.now(UTC) - timedelta(hours=1)
            save_connection(connection, brand, self.books.vault, reached, orders_since=since)

    def count(self, sku: str, units: int) -> None:
        with self.books.write() as (connection, brand):
            set_level(connection, brand, Counted(sku, "main", units, "clerk", "count"), date(2026, 3, 2))

    def make(self, channel: str = "boutique") -> dg.ExecuteInProcessResult:
        """One run of the job `channel_sync`."""
        job = defs.resolve_job_def("channel_sync")
        return job.execute_in_process(instance=self.instance, partition_key=channel, raise_on_error=False)

    def rows(self, asset: str, channel: str = "boutique") -> pl.DataFrame:
        return Lake(self.books.settings.lake_url, self.books.settings.brand).read(asset, [channel])

    def shown(self) -> list[int | None]:
        return [self.boutique.stock(sku) for sku in SKUS]


@pytest.fixture
def house(books: BrandStore, instance: dg.DagsterInstance, boutique: ShopifyPeer) -> House:
    return House(books, instance, boutique)


def checks(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    return {found.check_name: found.passed for found in result.get_asset_check_evaluations()}


def metadata(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, Any]:
    (event,) = result.asset_materializations_for_node(asset)
    return {name: value.value for name, value in event.metadata.items()}


def test_a_run_brings_a_channel_to_what_it_should_show_and_keeps_what_it_saw(house: House) -> None:
    result = house.make()
    assert result.success
    assert house.shown() == [10] * 5
    assert house.rows("channel_listings")["shown"].to_list() == [1] * 5
    assert sorted(house.rows("published_stock").select("sku", "wanted", "expected", "status").iter_rows()) == [
        (sku, 10, 1, "confirmed") for sku in SKUS
    ]
    assert metadata(result, "published_stock")["outcomes"] == {"confirmed": 5}
    assert set(checks(result).values()) == {True}
    assert house.boutique.violations == []


def test_the_lake_holds_the_columns_that_the_assets_declare(house: House) -> None:
    house.make()
    graph = defs.resolve_asset_graph()
    for name in CHANNEL_ASSETS:
        declared: Any = graph.get(dg.AssetKey(name)).metadata["dagster/column_schema"]
        assert house.rows(name).columns == [column.name for column in declared.columns], name


def test_a_run_shows_how_each_thing_stood_before_it_was_written(house: House) -> None:
    house.make()
    house.count("BAG-1", 4)
    house.boutique.edit("BAG-2", 12)
    result = house.make()
    found = {row["sku"]: row["state"] for row in house.rows("stock_drift").to_dicts()}
    assert found == {"BAG-1": "in_flight", "BAG-2": "foreign_edit"}
    shown = metadata(result, "stock_drift")
    assert shown["items"] == 5
    assert (shown["classes"]["clean"], shown["classes"]["foreign_edit"]) == (3, 1)
    assert "data:image/png" in shown["plot"]
    assert "BAG-2" in shown["preview"]
    assert house.shown() == [10, 4, 10, 10, 10]


def test_orders_are_kept_with_what_they_moved(house: House) -> None:
    house.make()
    assert house.boutique.buy({"BAG-0": 2, "BAG-3": 1})
    result = house.make()
    lines = house.rows("channel_orders").select("channel", "sku", "taken", "kept").sort("sku").rows()
    assert lines == [("boutique", "BAG-0", 2, 2), ("boutique", "BAG-3", 1, 1)]
    told = metadata(result, "channel_orders")
    assert (told["orders_new"], told["units_moved"]) == (1, 3)
    assert house.shown() == [8, 10, 10, 9, 10]


def test_a_channels_run_tells_the_others_of_what_its_orders_moved(house: House) -> None:
    with WooCommercePeer() as shop:
        for sku in SKUS:
            shop.add(sku, 1)
        house.connect(shop.connection("shop"))
        house.make("shop")
        house.make("boutique")
        assert house.boutique.buy({"BAG-4": 3})
        house.make("boutique")
        assert shop.stock("BAG-4") == 7


def test_channels_are_kept_apart(house: House) -> None:
    with WooCommercePeer() as shop:
        shop.add("BAG-0", 3)
        house.connect(shop.connection("shop"))
        house.make("shop")
        house.make("boutique")
        assert house.rows("channel_listings", "shop")["channel"].unique().to_list() == ["shop"]
        assert house.rows("channel_listings").height == 5


def test_a_channel_that_refuses_the_credentials_fails_at_once_and_says_so_in_an_alert(house: House) -> None:
    house.connect(Connection("boutique", "shopify", house.boutique.url, {}, {"access_token": "wrong"}))
    result = house.make()
    assert not result.success
    assert [event.node_name for event in result.get_step_failure_events()] != []
    with house.books.read() as (connection, brand):
        (channel,) = read_connections(connection, brand, house.books.vault)
        ((kind, details),) = fetch(connection, "SELECT kind, details FROM alerts", {})
    assert channel.last_error
    assert kind == "channel"
    assert "boutique" in json.dumps(details)


def test_a_channel_that_is_not_connected_fails_with_a_word_about_those_that_are(house: House) -> None:
    result = house.make("shop")
    assert not result.success
    (said, *_) = [event.event_specific_data for event in result.get_step_failure_events()]
    assert "no channel 'shop' is connected: there are boutique" in str(said)


def test_every_asset_of_a_channel_names_its_pool_where_it_calls_the_channel() -> None:
    graph = defs.resolve_asset_graph()
    pools = {name: graph.get(dg.AssetKey(name)).pools for name in CHANNEL_ASSETS}
    assert pools == {
        "channel_orders": {"channels"},
        "channel_listings": {"channels"},
        "stock_drift": set(),
        "published_stock": {"channels"},
    }


def test_too_much_drift_that_nothing_explains_fails_its_check(house: House) -> None:
    house.make()
    house.boutique.edit("BAG-2", 3)
    assert checks(house.make())["is_below_the_threshold"] is False


def test_drift_that_our_own_movements_explain_passes_its_check(house: House) -> None:
    house.make()
    for sku in SKUS:
        house.count(sku, 2)
    assert checks(house.make())["is_below_the_threshold"] is True


@pytest.mark.parametrize(("edits", "found"), [(1, []), (2, [("paris", 2, 100, 0.02)])])
def test_the_threshold_is_one_in_a_hundred(edits: int, found: list[tuple[object, ...]]) -> None:
    assert MOST_DRIFT == 0.01
    listings = pl.DataFrame({"channel": ["paris"] * 100 + ["oslo"] * 1000})
    drift = pl.DataFrame({"channel": ["paris"] * (edits + 3), "state": ["foreign_edit"] * edits + ["in_flight"] * 3})
    assert drifting(drift, listings).rows() == found


def test_a_sku_that_is_sold_beyond_its_stock_fails_its_check(house: House) -> None:
    house.make()
    assert house.boutique.buy({"BAG-0": 9})
    house.count("BAG-0", 5)
    assert checks(house.make())["nothing_is_oversold"] is False


def test_a_sku_that_nobody_counted_is_not_oversold(house: House) -> None:
    house.boutique.add("NEW", 4)
    with house.books.write() as (connection, brand):
        ensure_skus(connection, brand, pl.DataFrame({"sku": ["NEW"], "name": ["New"]}))
    house.make()
    assert house.boutique.buy({"NEW": 1})
    assert checks(house.make())["nothing_is_oversold"] is True


def test_a_thing_that_is_no_sku_of_ours_is_a_warning_only(house: House) -> None:
    house.boutique.add("WHAT", 4)
    result = house.make()
    assert result.success
    (found,) = [each for each in result.get_asset_check_evaluations() if each.check_name == "everything_is_mapped"]
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "WHAT" in str(found.metadata["sample"].value) or "unmapped" in str(found.metadata["sample"].value)


def test_a_write_that_the_channel_does_not_take_is_a_warning_only(house: House) -> None:
    house.make()
    written = house.rows("published_stock").with_columns(status=pl.lit("refused"), details=pl.lit("no such item"))
    lake = Lake(house.books.settings.lake_url, house.books.settings.brand)
    lake.write("published_stock", written.head(1), "boutique")
    job = dg.define_asset_job("ask", dg.AssetSelection.checks(writes_are_taken))
    asked = dg.Definitions(
        dg.load_assets_from_modules([channel_assets]),
        jobs=[job],
        asset_checks=[writes_are_taken],
        resources=defs.resources,
    )
    result = asked.resolve_job_def("ask").execute_in_process(instance=house.instance)
    (found,) = result.get_asset_check_evaluations()
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "no such item" in str(found.metadata["sample"].value)


def test_listings_that_were_read_too_long_ago_are_stale(house: House) -> None:
    house.connect(Connection("slow", "shopify", house.boutique.url, {"fresh_within_hours": 30}, {"access_token": "x"}))
    house.connect(Connection("never", "shopify", house.boutique.url, {}, {"access_token": "x"}))
    with house.books.write() as (connection, _):
        read = {"read": NOW - timedelta(hours=3), "never": None}
        run(connection, "UPDATE channel_connections SET listed_at = :read", read)
    with house.books.read() as (connection, brand):
        channels = read_connections(connection, brand, house.books.vault)
    assert set(stale(channels, NOW)["channel"]) == {"boutique", "never"}
    assert stale(channels, NOW - timedelta(hours=1))["channel"].to_list() == []


def test_the_freshness_job_asks_about_every_channel(house: House) -> None:
    house.make()
    check = dg.AssetCheckKey(dg.AssetKey("channel_listings"), "is_fresh")
    with house.books.write() as (connection, _):
        run(connection, "UPDATE channel_connections SET listed_at = :read", {"read": NOW - timedelta(days=900)})
    result = defs.resolve_job_def("freshness").execute_in_process(instance=house.instance, raise_on_error=False)
    evaluations = [each for each in result.get_asset_check_evaluations() if each.asset_check_key == check]
    assert [each.passed for each in evaluations] == [False]
    assert "boutique" in str(cast("Any", evaluations[0].metadata["sample"]).value)


def test_dagsters_list_of_channels_is_that_of_the_connected_ones(instance: dg.DagsterInstance) -> None:
    keep_channels(instance, ["boutique", "new"])
    assert sorted(instance.get_dynamic_partitions("channels")) == ["boutique", "new"]
    keep_channels(instance, [])
    assert instance.get_dynamic_partitions("channels") == []


def test_the_command_line_makes_a_channel_that_was_connected_there(boutique: ShopifyPeer, tmp_path: Path) -> None:
    """As people do it: processes of their own, in an installation of their own."""
    home = tmp_path / "installation"
    environment = {**os.environ, "LUXAUTO_HOME": str(home), "DAGSTER_HOME": str(home / "dagster"), "DATABASE_URL": ""}
    luxauto = Path(sys.executable).with_name("luxauto")
    secrets = boutique.connection("boutique").secrets
    add = [luxauto, "channel", "add", "boutique", "--kind", "shopify", "--url", boutique.url]
    add += ["--key", secrets["client_id"], "--secret", secrets["client_secret"]]
    make = [sys.executable, "-m", "dagster", "asset", "materialize", "-m", "luxauto_pipelines.definitions"]
    make += ["--select", "channel_listings", "--partition", "boutique"]
    for command in (add, make):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=ROOT)
        assert done.returncode == 0, done.stdout + done.stderr
    assert list(home.rglob("channel_listings/boutique.parquet"))
