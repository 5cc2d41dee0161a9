"""Observations for Dagster: gathered, told at the end, and never in the way of a request."""

import threading
from typing import Any

import dagster as dg
import pytest

from luxauto_pipelines.gateway.lineage import Lineage


class Deaf:
    """A Dagster instance that cannot be written to."""

    def report_runless_asset_event(self, event: Any) -> None:
        raise RuntimeError("the database is away")


@pytest.fixture
def instance() -> dg.DagsterInstance:
    return dg.DagsterInstance.ephemeral()


def rows_told(instance: dg.DagsterInstance, asset: str) -> list[int]:
    events = instance.fetch_observations(dg.AssetKey(asset), limit=10_000).records
    return [int(str(e.asset_observation.metadata["rows"].value)) for e in events if e.asset_observation]


def test_many_reports_are_one_event_with_their_count(instance: dg.DagsterInstance) -> None:
    lineage = Lineage(instance, interval=60)
    for _ in range(500):
        lineage.report(transactions=1, stock_movements=2)
    lineage.close()
    assert rows_told(instance, "transactions") == [500]
    assert rows_told(instance, "stock_movements") == [1000]


def test_nothing_written_is_nothing_told(instance: dg.DagsterInstance) -> None:
    lineage = Lineage(instance)
    lineage.report(stock_movements=0)
    lineage.close()
    assert rows_told(instance, "stock_movements") == []


def test_reports_of_many_threads_are_all_counted(instance: dg.DagsterInstance) -> None:
    lineage = Lineage(instance, interval=0)
    threads = [threading.Thread(target=lambda: [lineage.report(transactions=1) for _ in range(200)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lineage.close()
    assert sum(rows_told(instance, "transactions")) == 1600


def test_a_report_after_the_end_begins_anew(instance: dg.DagsterInstance) -> None:
    lineage = Lineage(instance, interval=60)
    for _ in range(2):
        lineage.report(transactions=1)
        lineage.close()
    assert rows_told(instance, "transactions") == [1, 1]


def test_a_dagster_that_is_away_stops_nobody() -> None:
    lineage = Lineage(Deaf(), interval=0)
    lineage.report(transactions=1)
    lineage.close()
    lineage.report(transactions=1)
    lineage.close()
