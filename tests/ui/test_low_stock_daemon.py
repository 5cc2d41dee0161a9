"""Stock falls while the house is running: the daemon sees it and orders, once."""

from typing import Any

import polars as pl
import pytest

from resources.store.purchasing import read_orders
from resources.store.stock import read_alerts, read_levels
from tests.ui.conftest import FINAL, SKUS, Server, until

SENSOR = "low_stock_sensor"
SKU = "BELT-OR"
REORDER_POINT = SKUS[SKU][-1]
SECONDS = 45

pytestmark = pytest.mark.slow


def requested_runs(server: Server) -> list[dict[str, Any]]:
    """Runs that the sensor has asked for."""
    return server.runs(tags=[{"key": "dagster/sensor_name", "value": SENSOR}])


def orders_of(server: Server, sku: str) -> pl.DataFrame:
    books = server.installation.books()
    with books.read() as (connection, brand):
        orders = read_orders(connection, brand)
    books.store.close()
    return orders.filter(pl.col("sku") == sku)


def available(server: Server, sku: str) -> int:
    books = server.installation.books()
    with books.read() as (connection, brand):
        levels = read_levels(connection, brand)
    books.store.close()
    return levels.row(by_predicate=pl.col("sku") == sku, named=True)["available"]


def alerts(server: Server) -> list[dict[str, Any]]:
    """Those of what is low now. The run that they start may add one that looks ahead, which it attends to itself."""
    books = server.installation.books()
    with books.read() as (connection, brand):
        found = read_alerts(connection, brand).filter(pl.col("kind") == "low_stock").to_dicts()
    books.store.close()
    return found


def ticks_after(server: Server, timestamp: float) -> list[dict[str, Any]]:
    return [tick for tick in server.ticks(SENSOR) if tick["timestamp"] > timestamp]


def test_stock_that_falls_below_its_reorder_point_is_ordered_once(server: Server) -> None:
    until("the sensor's first tick", 30, lambda: server.ticks(SENSOR))
    assert requested_runs(server) == []
    assert orders_of(server, SKU).is_empty()

    server.installation.write_off(SKU, available(server, SKU) - (REORDER_POINT - 2), "flood")
    run = until(
        "a run of the sensor that has ended",
        SECONDS,
        lambda: next((run for run in requested_runs(server) if run["status"] in FINAL), None),
    )
    assert (run["jobName"], run["status"]) == ("replenishment", "SUCCESS"), run["stepStats"]
    (alert,) = alerts(server)
    assert (alert["sku"], alert["kind"], alert["status"]) == (SKU, "low_stock", "open")
    assert run["tags"]["dagster/run_key"] == f"low-stock-{alert['alert_id']}"
    (order,) = orders_of(server, SKU).to_dicts()
    assert (order["status"], order["supplier"]) == ("draft", "Atelier Lune")
    assert order["quantity"] > 0
    assert order["quantity"] % 5 == 0

    # It stays low and goes on falling: that is no second fall.
    newest = server.ticks(SENSOR)[0]["timestamp"]
    server.installation.write_off(SKU, 1, "moths")
    later = until(
        "two further ticks",
        60,
        lambda: found if len(found := ticks_after(server, newest)) >= 2 else None,
    )
    reasons = [tick["skipReason"] for tick in later]
    assert any(reason and reason.endswith("alerts, none of them new") for reason in reasons), reasons
    assert {tick["status"] for tick in server.ticks(SENSOR)} == {"SKIPPED", "SUCCESS"}
    assert [found["runId"] for found in requested_runs(server)] == [run["runId"]]
    assert [found["alert_id"] for found in alerts(server)] == [alert["alert_id"]]
    assert orders_of(server, SKU).height == 1
