"""What connected channels start: one run for what waits, none for what is under way, and nothing lost with a run.

Does not belong here: what the runs do (`tests/assets/inventory`).
"""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import boto3
import dagster as dg
import pytest
import stamina
from moto.server import ThreadedMotoServer

from assets.ingestion.lines import today_in
from assets.inventory.channel_sync import Order, sync
from luxauto_pipelines.channel_sensors import (
    ASKED_AGAIN_AFTER_SECONDS,
    ask_for_release,
    ask_for_work,
    take_from_queues,
)
from luxauto_pipelines.definitions import defs
from luxauto_pipelines.jobs import CHANNEL_TAG
from luxauto_pipelines.schedules import build_schedules
from luxauto_pipelines.sensors import build_sensors
from resources.breaker import StoreBreaker
from resources.channels.protocol import Connection
from resources.channels.senders import sender_of
from resources.channels.transport import Clock
from resources.settings import load_settings
from resources.store.brand_store import BrandStore
from resources.store.bulk import fetch
from resources.store.catalog_codes import sku_ids
from resources.store.connections import remove_connection, save_connection
from resources.store.inbox import receive
from resources.store.reservations import Promise, read_reservations, reserve
from resources.store.stock_keeping import Counted, set_level
from tests.peers.amazon import AmazonPeer
from tests.peers.woocommerce import WooCommercePeer

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
LATER = NOW + timedelta(seconds=ASKED_AGAIN_AFTER_SECONDS)


@pytest.fixture(autouse=True)
def impatient() -> Iterator[None]:
    stamina.set_testing(True, attempts=3)
    yield
    stamina.set_testing(False)


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as made:
        yield made


@pytest.fixture
def shop(books: BrandStore) -> Iterator[WooCommercePeer]:
    """Ten bags, and a shop that sells them."""
    with WooCommercePeer() as peer:
        peer.add("BAG", 1)
        with books.write() as (connection, brand):
            set_level(connection, brand, Counted("BAG", "main", 10, "clerk", "count"), date(2026, 3, 1))
            since = datetime.now(UTC) - timedelta(hours=1)
            save_connection(connection, brand, books.vault, peer.connection("shop"), orders_since=since)
        yield peer


def deliver(books: BrandStore, peer: WooCommercePeer) -> None:
    sender = sender_of("woocommerce")
    with books.write() as (connection, brand):
        for headers, body in peer.webhooks:
            kept = {name: headers[name] for name in sender.kept_headers if name in headers}
            receive(connection, brand, "shop", sender.message_id(headers, body), kept, body.decode())


def requests(result: dg.SensorResult) -> list[dg.RunRequest]:
    return list(result.run_requests or [])


def run_of(request: dg.RunRequest, job: str, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    resolved = defs.resolve_job_def(job)
    return resolved.execute_in_process(request.run_config, instance=instance, tags=request.tags)


def states(books: BrandStore) -> list[str]:
    with books.read() as (connection, _):
        return [row[0] for row in fetch(connection, "SELECT DISTINCT state FROM inbox_messages", {})]


def test_an_empty_inbox_asks_for_nothing(books: BrandStore, instance: dg.DagsterInstance) -> None:
    assert requests(ask_for_work(books, instance, NOW)) == []


def test_messages_of_a_channel_are_one_run_that_says_what_they_are_about(
    books: BrandStore, shop: WooCommercePeer, instance: dg.DagsterInstance
) -> None:
    shop.add("BELT", 5)
    order = shop.buy({"BAG": 1})
    deliver(books, shop)
    (request,) = requests(ask_for_work(books, instance, NOW))
    config = request.run_config["ops"]["work_on_messages"]["config"]
    assert (config["channel"], config["orders"]) == ("shop", [order])
    assert len(config["messages"]) == 2
    assert request.tags == {CHANNEL_TAG: "shop", "luxauto/orders": order}


def test_the_run_brings_the_sale_to_the_books_and_leaves_nothing_waiting(
    books: BrandStore, shop: WooCommercePeer, instance: dg.DagsterInstance
) -> None:
    assert shop.buy({"BAG": 1})
    deliver(books, shop)
    (request,) = requests(ask_for_work(books, instance, NOW))
    assert run_of(request, "channel_inbox_sync", instance).success
    assert states(books) == ["processed"]
    with books.read() as (connection, _):
        sold = fetch(connection, "SELECT quantity FROM stock_movements WHERE kind = 'sale'", {})
    assert sold == [(-1,)]
    assert requests(ask_for_work(books, instance, NOW)) == []


def test_a_tick_that_is_repeated_asks_for_the_same_run(
    books: BrandStore, shop: WooCommercePeer, instance: dg.DagsterInstance
) -> None:
    assert shop.buy({"BAG": 1})
    deliver(books, shop)
    keys = [[request.run_key for request in requests(ask_for_work(books, instance, NOW))] for _ in range(2)]
    assert keys[0] == keys[1]
    assert len(keys[0]) == 1


def test_messages_whose_run_was_lost_are_asked_for_again(
    books: BrandStore, shop: WooCommercePeer, instance: dg.DagsterInstance
) -> None:
    assert shop.buy({"BAG": 1})
    deliver(books, shop)
    (first,), (second,) = (requests(ask_for_work(books, instance, at)) for at in (NOW, LATER))
    assert first.run_key != second.run_key
    assert first.run_config == second.run_config


def test_no_second_run_is_asked_for_while_one_is_under_way(
    books: BrandStore, shop: WooCommercePeer, instance: dg.DagsterInstance
) -> None:
    assert shop.buy({"BAG": 1})
    deliver(books, shop)
    job = defs.resolve_job_def("channel_inbox_sync")
    (request,) = requests(ask_for_work(books, instance, NOW))
    status, tags = dg.DagsterRunStatus.STARTED, {CHANNEL_TAG: "shop"}
    begun = instance.create_run_for_job(job, run_config=request.run_config, tags=tags, status=status)
    assert requests(ask_for_work(books, instance, NOW)) == []
    instance.report_run_failed(begun)
    assert len(requests(ask_for_work(books, instance, NOW))) == 1


def test_a_channel_that_is_away_is_left_alone_until_its_breaker_lets_somebody_try(
    books: BrandStore, shop: WooCommercePeer, instance: dg.DagsterInstance
) -> None:
    assert shop.buy({"BAG": 1})
    deliver(books, shop)
    breaker = StoreBreaker(books, Clock(), opens_after=1)
    breaker.failed("shop", "HTTP 503")
    now = datetime.now(UTC)
    assert requests(ask_for_work(books, instance, now)) == []
    assert states(books) == ["received"]
    assert len(requests(ask_for_work(books, instance, now + timedelta(hours=1)))) == 1


def test_a_tick_has_dagster_know_the_connected_channels(
    books: BrandStore, shop: WooCommercePeer, instance: dg.DagsterInstance
) -> None:
    ask_for_work(books, instance, NOW)
    assert instance.get_dynamic_partitions("channels") == ["shop"]
    with books.write() as (connection, brand):
        remove_connection(connection, brand, "shop")
    ask_for_work(books, instance, NOW)
    assert instance.get_dynamic_partitions("channels") == []


def test_the_hourly_sync_is_one_run_a_channel_and_hour(
    books: BrandStore, shop: WooCommercePeer, instance: dg.DagsterInstance
) -> None:
    schedule = next(each for each in build_schedules(load_settings()) if each.name == "channel_sync_schedule")

    def tick(at: datetime) -> Any:
        context = dg.build_schedule_context(
            instance, scheduled_execution_time=at, resources={"store": books}, repository_def=defs.get_repository_def()
        )
        return schedule.evaluate_tick(context)

    (first,), (again,), (next_hour,) = (
        cast("list[dg.RunRequest]", tick(at).run_requests) for at in (NOW, NOW, NOW + timedelta(hours=1))
    )
    assert (first.run_key, first.partition_key) == ("shop-2026-03-02T12", "shop")
    assert first.run_key == again.run_key != next_hour.run_key
    assert first.tags[CHANNEL_TAG] == "shop"


def test_the_hourly_sync_of_a_brand_without_channels_is_skipped(
    books: BrandStore, instance: dg.DagsterInstance
) -> None:
    schedule = next(each for each in build_schedules(load_settings()) if each.name == "channel_sync_schedule")
    context = dg.build_schedule_context(
        instance, scheduled_execution_time=NOW, resources={"store": books}, repository_def=defs.get_repository_def()
    )
    assert not schedule.evaluate_tick(context).run_requests


def promise(books: BrandStore, units: int, ends: datetime | None, reference: str = "client-1") -> None:
    with books.write() as (connection, brand):
        sku = sku_ids(connection, brand, ["BAG"])["BAG"]
        reserve(connection, brand, Promise(reference, sku, "BAG", units, ends, "clerk"), date(2026, 3, 1))


def test_a_promise_that_ends_is_released_and_shown_by_every_channel(
    books: BrandStore, shop: WooCommercePeer, instance: dg.DagsterInstance
) -> None:
    ended = datetime.now(UTC) - timedelta(minutes=1)
    sync(books, Order())
    promise(books, 4, ended)
    (request,) = requests(ask_for_release(books, datetime.now(UTC)))
    assert request.run_config == {"ops": {"publish_skus": {"config": {"skus": ["BAG"]}}}}
    assert run_of(request, "stock_publication", instance).success
    assert shop.stock("BAG") == 10
    with books.read() as (connection, brand):
        assert read_reservations(connection, brand).height == 0
    assert requests(ask_for_release(books, datetime.now(UTC))) == []


def test_a_promise_that_lasts_asks_for_nothing(books: BrandStore, shop: WooCommercePeer) -> None:
    promise(books, 4, NOW + timedelta(minutes=1))
    promise(books, 1, None, "client-2")
    assert requests(ask_for_release(books, NOW)) == []
    assert len(requests(ask_for_release(books, NOW + timedelta(minutes=1)))) == 1


def test_where_no_channel_is_connected_a_promise_is_released_at_once(books: BrandStore) -> None:
    with books.write() as (connection, brand):
        today = today_in(books.settings.current.timezone, NOW)
        set_level(connection, brand, Counted("BAG", "main", 10, "clerk", "count"), today)
    promise(books, 4, NOW)
    assert requests(ask_for_release(books, NOW)) == []
    with books.read() as (connection, brand):
        assert read_reservations(connection, brand).height == 0


@pytest.fixture
def queue(books: BrandStore) -> Iterator[Any]:
    """A real SQS server, and an Amazon connection with a queue there: (client, its URL)."""
    server = ThreadedMotoServer("127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    secrets = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
    client = boto3.client("sqs", region_name="eu-west-1", endpoint_url=f"http://{host}:{port}", **secrets)
    url = client.create_queue(QueueName="told")["QueueUrl"]
    options = {"queue_url": url, "aws_region": "eu-west-1", "aws_endpoint_url": f"http://{host}:{port}"}
    with books.write() as (connection, brand):
        reached = Connection("market", "amazon", "http://127.0.0.1:9", options, secrets)
        save_connection(connection, brand, books.vault, reached)
    yield client, url
    server.stop()


def test_amazons_messages_are_stored_first_and_deleted_afterwards(books: BrandStore, queue: Any) -> None:
    client, url = queue
    with AmazonPeer() as peer:
        peer.add("BAG", 7)
        assert peer.buy({"BAG": 1})
        bodies = [body.decode() for _, body in peer.webhooks]
    for body in [*bodies, *bodies]:
        client.send_message(QueueUrl=url, MessageBody=body)
    assert take_from_queues(books) == (2 * len(bodies), {})
    assert "Messages" not in client.receive_message(QueueUrl=url)
    with books.read() as (connection, _):
        kept = fetch(connection, "SELECT channel, body FROM inbox_messages ORDER BY id", {})
    assert sorted(kept) == sorted(("market", body) for body in bodies)


def test_a_queue_that_cannot_be_read_is_told_and_stops_no_other(books: BrandStore, queue: Any) -> None:
    client, url = queue
    client.send_message(QueueUrl=url, MessageBody=json.dumps({"notificationType": "X", "payload": {}}))
    with books.write() as (connection, brand):
        options = {"queue_url": f"{url}-none", "aws_region": "eu-west-1", "aws_endpoint_url": client.meta.endpoint_url}
        secrets = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
        save_connection(connection, brand, books.vault, Connection("away", "amazon", "http://x", options, secrets))
    taken, faults = take_from_queues(books)
    assert taken == 1
    assert list(faults) == ["away"]


def test_every_sensor_ticks_with_the_store_that_it_is_given(
    books: BrandStore, instance: dg.DagsterInstance, shop: WooCommercePeer
) -> None:
    sensors = {sensor.name: sensor for sensor in build_sensors(load_settings())}
    for name in ("channel_inbox", "channel_notifications", "reservation_expiry"):
        context = dg.build_sensor_context(instance, resources={"store": books})
        assert sensors[name](context) is not None
