"""Ten thousand orders on four channels that fail in every way, the sync killed again and again: nothing is lost or doubled."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import stamina

from assets.inventory.channel_sync import Order, sync
from assets.inventory.publication import drift
from assets.inventory.stock_room import compare_channels
from luxauto_pipelines.instance import reload
from resources.store import Store
from resources.store.brand_store import BrandStore
from resources.store.bulk import fetch, run
from resources.store.connections import save_connection
from resources.store.stock_keeping import Counted, read_levels_by_location, save_bundle, set_level
from tests.acceptance.channel_storm import OPTIONS, Storm, open_quickly

ROOT = Path(__file__).parents[2]
SKUS, SETS, ROUNDS = 500, 10, 12
# Fewer for a quick look.
ORDERS = int(os.environ.get("LUXAUTO_STORM_ORDERS", "10000"))
ORDERS_PER_ROUND = ORDERS // ROUNDS


@pytest.fixture
def impatient() -> Iterator[None]:
    """Blind back-off does not wait."""
    stamina.set_testing(True, attempts=4)
    yield
    stamina.set_testing(False)


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_after_a_storm_every_channel_shows_what_there_is(
    store: Store, monkeypatch: pytest.MonkeyPatch, impatient: None
) -> None:
    books = _installation(store, monkeypatch)
    storm = _storm(seed=20261122)
    try:
        _open(books, storm)
        for number in range(ROUNDS):
            storm.is_calm = True
            storm.rain(ORDERS_PER_ROUND * 2 // 3)
            storm.is_calm = False
            if number % 3 == 1:
                _sync_that_is_killed(storm, after=40 + 31 * number)
            elif number % 3 == 2:
                _two_at_once(books)
            else:
                sync(books, Order(), open_it=open_quickly)
        storm.is_calm = True
        storm.rain(storm.orders_left)
        _quiet_down(books, storm)
        _assert_all_agrees(books, storm)
    finally:
        storm.close()


def _installation(store: Store, monkeypatch: pytest.MonkeyPatch) -> BrandStore:
    url = store.engine.url.render_as_string(hide_password=False)
    monkeypatch.setenv("DATABASE_URL", url)
    return reload()


def _storm(seed: int) -> Storm:
    skus = [f"LUX-{number:03}" for number in range(SKUS - SETS)]
    sets = {f"SET-{n}": {skus[2 * n]: 1, skus[2 * n + 1]: 2} for n in range(SETS)}
    initial = {sku: 15 + (number * 7) % 25 for number, sku in enumerate(skus)}
    return Storm(seed, skus, sets, initial, ORDERS)


def _open(books: BrandStore, storm: Storm) -> None:
    began = datetime.now(UTC) - timedelta(minutes=1)
    with books.write() as (connection, brand):
        for sku, units in storm.initial.items():
            set_level(connection, brand, Counted(sku, "main", units, "test", "opening count"), date.today())  # noqa: DTZ011
        for name, parts in storm.sets.items():
            save_bundle(connection, brand, name, parts)
        for kind, peer in storm.peers.items():
            save_connection(connection, brand, books.vault, peer.connection(kind, **OPTIONS), orders_since=began)
    sync(books, Order(), open_it=open_quickly)


def _sync_that_is_killed(storm: Storm, after: int) -> None:
    process = subprocess.Popen([sys.executable, "-m", "tests.acceptance.channel_sync_process"], cwd=ROOT)
    storm.kill_at, storm.kill = after, lambda: os.kill(process.pid, signal.SIGKILL)
    process.wait()
    storm.kill = None


def _two_at_once(books: BrandStore) -> None:
    threads = [
        threading.Thread(target=lambda: sync(reload(), Order(), open_it=open_quickly), daemon=True) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _quiet_down(books: BrandStore, storm: Storm) -> None:
    """Nobody buys any more, late writes have landed, and their time is over."""
    for peer in storm.peers.values():
        peer.settle()
    with books.write() as (connection, _):
        run(connection, "UPDATE channel_items SET pending_until = read_at WHERE pending IS NOT NULL")
    sync(books, Order(), open_it=open_quickly)
    sync(books, Order(repair=True), open_it=open_quickly)
    reports = sync(books, Order(), open_it=open_quickly)
    assert [report.error for report in reports] == [None] * 4


def _assert_all_agrees(books: BrandStore, storm: Storm) -> None:
    assert not [fault for peer in storm.peers.values() for fault in peer.violations]
    with books.read() as (connection, brand):
        compared = compare_channels(connection, brand, books.settings)
        levels = read_levels_by_location(connection, brand)
        unexplained = fetch(
            connection,
            """
                WITH lines AS MATERIALIZED (
                    SELECT c.code || ':' || o.external_id || ':' || l.external_id AS reference
                    FROM channel_order_lines l JOIN channel_orders o ON o.id = l.channel_order_id
                    JOIN channels c ON c.id = o.channel_id)
                SELECT m.id FROM stock_movements m LEFT JOIN lines ON lines.reference = m.reference
                WHERE m.kind <> 'opening' AND (lines.reference IS NULL OR m.actor IS NULL OR m.reason IS NULL)
            """,
            {},
        )
    assert drift(compared).to_dicts() == []
    assert {row["sku"]: row["on_hand"] for row in levels.to_dicts()} == {sku: storm.left(sku) for sku in storm.skus}
    shown = {(kind, sku): peer.stock(sku) for kind, peer in storm.peers.items() for sku in [*storm.skus, *storm.sets]}
    assert shown == {(kind, sku): storm.showable(sku) for kind, sku in shown}
    assert unexplained == []
    assert storm.happened["killed"] >= 2, storm.happened
