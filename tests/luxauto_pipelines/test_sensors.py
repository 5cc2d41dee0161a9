"""The low-stock sensor: one run a fall, on both databases, whatever else happens between two ticks.

What belongs here: what a tick asks for. What does not: the daemon that ticks (`tests/ui/test_low_stock_daemon.py`), and
what the run makes.
"""

import csv
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import dagster as dg
import polars as pl
import pytest

from assets.inventory.buying.ahead import AHEAD, WANTED
from assets.inventory.levels import low_stock
from luxauto_pipelines.agents.finance_inventory.state import status
from luxauto_pipelines.ingest import ingest_reference
from luxauto_pipelines.sensors import INTERVAL_SECONDS, build_sensors, evaluate
from resources.settings import load_settings
from resources.store.brand_store import BrandStore
from resources.store.stock import raise_alerts, read_alerts, read_levels

REORDER_POINT = 5
SKUS = ("BAG", "BELT")


class Warehouse:
    """Stock that moves by files, as the brand's people move it."""

    def __init__(self, books: BrandStore, folder: Path) -> None:
        self.books = books
        self.folder = folder
        self.files = 0
        for sku in SKUS:
            self.hold(sku, REORDER_POINT)

    def hold(self, sku: str, reorder_point: int) -> None:
        self._take("catalog", ["sku", "reorder_point"], (sku, reorder_point))

    def count(self, sku: str, units: int) -> None:
        self._move(sku, "opening", units)

    def receive(self, sku: str, units: int) -> None:
        self._move(sku, "receipt", units)

    def lose(self, sku: str, units: int) -> None:
        self._move(sku, "write_off", -units)

    def tick(self, cursor: str | None) -> dg.SensorResult:
        return evaluate(cursor, self.books)

    def _move(self, sku: str, kind: str, units: int) -> None:
        header = ["sku", "occurred_at", "kind", "quantity", "reference"]
        self._take("stock", header, (sku, datetime.now(UTC).isoformat(), kind, units, f"paper {self.files}"))

    def _take(self, kind: Any, header: list[str], *rows: tuple[object, ...]) -> None:
        self.files += 1
        path = self.folder / f"{kind}-{self.files}.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([header, *rows])
        result = ingest_reference(self.books, path, kind, lambda stage: None)
        assert result.exit_code == 0, result.reasons


@pytest.fixture
def warehouse(books: BrandStore, tmp_path: Path) -> Warehouse:
    return Warehouse(books, tmp_path)


def run_keys(result: dg.SensorResult) -> list[str | None]:
    return [request.run_key for request in result.run_requests or []]


def skipped(result: dg.SensorResult) -> str:
    assert not result.run_requests
    return str(cast("dg.SkipReason", result.skip_reason).skip_message)


def test_a_brand_without_any_stock_asks_for_nothing(warehouse: Warehouse) -> None:
    assert skipped(warehouse.tick(None)) == "0 alerts, none of them new"


def test_one_run_is_asked_for_when_stock_falls_to_its_reorder_point(warehouse: Warehouse) -> None:
    warehouse.count("BAG", REORDER_POINT + 1)
    before = warehouse.tick(None)
    assert run_keys(before) == []
    warehouse.lose("BAG", 1)
    fall = warehouse.tick(before.cursor)
    assert len(run_keys(fall)) == 1
    (request,) = fall.run_requests or []
    with warehouse.books.read() as (connection, brand):
        alert = read_alerts(connection, brand).row(0, named=True)
    assert request.run_key == f"low-stock-{alert['alert_id']}"
    assert request.tags == {"luxauto/alerts": str(alert["alert_id"])}
    assert (alert["sku"], alert["kind"]) == ("BAG", "low_stock")
    assert json.loads(alert["details"]) == {"available": REORDER_POINT, "reorder_point": REORDER_POINT}


def test_stock_just_above_its_reorder_point_asks_for_nothing(warehouse: Warehouse) -> None:
    warehouse.count("BAG", REORDER_POINT + 1)
    assert skipped(warehouse.tick(None)) == "0 alerts, none of them new"


def test_nothing_is_looked_at_while_no_stock_has_moved(warehouse: Warehouse) -> None:
    warehouse.count("BAG", 1)
    fall = warehouse.tick(None)
    still = warehouse.tick(fall.cursor)
    assert skipped(still) == "no stock has moved"
    assert still.cursor == fall.cursor


def test_stock_that_stays_low_asks_for_no_further_run(warehouse: Warehouse) -> None:
    warehouse.count("BAG", REORDER_POINT)
    cursor = warehouse.tick(None).cursor
    for _ in range(3):
        warehouse.lose("BAG", 1)
        again = warehouse.tick(cursor)
        assert skipped(again) == "1 alerts, none of them new"
        cursor = again.cursor


def test_a_new_fall_after_a_recovery_asks_for_a_run_of_its_own(warehouse: Warehouse) -> None:
    warehouse.count("BAG", REORDER_POINT)
    first = warehouse.tick(None)
    warehouse.receive("BAG", 10)
    recovered = warehouse.tick(first.cursor)
    assert skipped(recovered) == "0 alerts, none of them new"
    warehouse.lose("BAG", 10)
    second = warehouse.tick(recovered.cursor)
    assert len(run_keys(second)) == 1
    assert run_keys(second) != run_keys(first)


def test_a_tick_that_is_repeated_asks_for_the_same_run(warehouse: Warehouse) -> None:
    """The daemon may die between asking and keeping the cursor; Dagster makes one run of a key."""
    warehouse.count("BAG", REORDER_POINT)
    first, repeated = warehouse.tick(None), warehouse.tick(None)
    assert run_keys(first) == run_keys(repeated) != []
    assert first.cursor == repeated.cursor


def test_two_skus_that_fall_together_are_one_run(warehouse: Warehouse) -> None:
    warehouse.count("BAG", REORDER_POINT)
    warehouse.count("BELT", 2)
    result = warehouse.tick(None)
    (request,) = result.run_requests or []
    assert len(request.tags["luxauto/alerts"].split(",")) == 2


def test_a_second_sku_that_falls_while_the_first_is_low_is_one_more_run(warehouse: Warehouse) -> None:
    warehouse.count("BAG", REORDER_POINT)
    warehouse.count("BELT", 20)
    first = warehouse.tick(None)
    warehouse.lose("BELT", 20 - REORDER_POINT)
    second = warehouse.tick(first.cursor)
    assert len(run_keys(first)) == len(run_keys(second)) == 1
    assert run_keys(first) != run_keys(second)


def test_a_sku_that_nobody_counted_never_asks(warehouse: Warehouse) -> None:
    """Its level is only a difference: below zero says nothing."""
    warehouse.lose("BAG", 50)
    assert skipped(warehouse.tick(None)) == "0 alerts, none of them new"


def test_a_reorder_point_that_is_raised_above_the_stock_is_a_fall(warehouse: Warehouse) -> None:
    warehouse.count("BAG", 20)
    cursor = warehouse.tick(None).cursor
    warehouse.hold("BAG", 25)
    assert len(run_keys(warehouse.tick(cursor))) == 1


def test_an_alert_that_a_run_has_raised_first_is_still_acted_on(warehouse: Warehouse) -> None:
    warehouse.count("BAG", 20)
    cursor = warehouse.tick(None).cursor
    warehouse.lose("BAG", 18)
    with warehouse.books.write() as (connection, brand):
        (raised,) = raise_alerts(connection, brand, low_stock(read_levels(connection, brand)))
    assert run_keys(warehouse.tick(cursor)) == [f"low-stock-{raised}"]


def test_the_sensor_hands_its_cursor_and_the_store_to_the_tick(warehouse: Warehouse) -> None:
    sensor = next(sensor for sensor in build_sensors(load_settings()) if sensor.name == "low_stock_sensor")
    assert sensor.minimum_interval_seconds == INTERVAL_SECONDS
    assert [target.job_name for target in sensor.targets] == ["replenishment"]
    warehouse.count("BAG", REORDER_POINT)
    context = dg.build_sensor_context(resources={"store": warehouse.books})
    first = cast("dg.SensorResult", sensor(context))
    assert len(run_keys(first)) == 1
    context = dg.build_sensor_context(cursor=first.cursor, resources={"store": warehouse.books})
    assert skipped(cast("dg.SensorResult", sensor(context))) == "no stock has moved"


def look_ahead(warehouse: Warehouse, **details: Any) -> int:
    """An alert that a run has raised because of what is coming. Its id."""
    wanted = pl.DataFrame({"sku": ["BAG"], "kind": ["stock_out_ahead"], "details": [json.dumps(details)]})
    with warehouse.books.write() as (connection, brand):
        (alert,) = raise_alerts(connection, brand, wanted, AHEAD)
    return alert


def test_an_alert_that_looks_ahead_asks_for_one_run_though_no_stock_has_moved(warehouse: Warehouse) -> None:
    warehouse.count("BAG", 50)
    cursor = warehouse.tick(None).cursor
    alert = look_ahead(warehouse, available=50)
    asked = warehouse.tick(cursor)
    assert run_keys(asked) == run_keys(warehouse.tick(cursor)) == [f"ahead-{alert}"]
    assert skipped(warehouse.tick(asked.cursor)) == "no stock has moved"
    assert look_ahead(warehouse, available=49) == alert
    assert skipped(warehouse.tick(asked.cursor)) == "no stock has moved"


def test_what_a_replenishment_has_seen_itself_asks_for_no_second_one(warehouse: Warehouse) -> None:
    warehouse.count("BAG", 50)
    cursor = warehouse.tick(None).cursor
    look_ahead(warehouse, available=50, attended=True)
    seen = warehouse.tick(cursor)
    assert skipped(seen) == "1 alerts, none of them new"
    look_ahead(warehouse, available=49)
    assert skipped(warehouse.tick(seen.cursor)) == "no stock has moved"


def test_an_alert_that_is_over_is_resolved_and_the_next_one_asks_again(warehouse: Warehouse) -> None:
    warehouse.count("BAG", 50)
    first = look_ahead(warehouse)
    cursor = warehouse.tick(None).cursor
    with warehouse.books.write() as (connection, brand):
        assert raise_alerts(connection, brand, pl.DataFrame(schema=WANTED), AHEAD) == []
    second = look_ahead(warehouse)
    assert second > first
    assert run_keys(warehouse.tick(cursor)) == [f"ahead-{second}"]


def test_alerts_that_look_ahead_are_among_those_that_the_status_counts(warehouse: Warehouse) -> None:
    warehouse.count("BAG", 50)
    look_ahead(warehouse)
    assert status(warehouse.books)["alerts"] == {"active_alerts": 1, "total_alerts": 1}
    with warehouse.books.write() as (connection, brand):
        raise_alerts(connection, brand, pl.DataFrame(schema=WANTED), AHEAD)
    assert status(warehouse.books)["alerts"] == {"active_alerts": 0, "total_alerts": 1}
