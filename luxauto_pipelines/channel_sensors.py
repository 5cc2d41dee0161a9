"""What connected channels start by themselves: their messages, and promises of stock that end.

Belongs here: when a run is asked for, and under which key. Does not belong here: what the run does (`jobs`), or which messages
call for work (`assets/inventory/inbox`).

A tick looks at what waits, not at what is new: a run that was lost is asked for again. The key of a run names what it is about
and the part of an hour, so that a tick which is repeated starts it once, and nothing waits for longer than that part.
"""

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime

import dagster as dg
import polars as pl
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

from assets.ingestion.lines import today_in
from assets.partitions import keep_channels
from luxauto_pipelines.jobs import CHANNEL_TAG, channel_inbox_sync, stock_publication
from resources.settings import Settings
from resources.store.brand_store import BrandStore
from resources.store.connections import ConnectedChannel, read_connections, read_shares
from resources.store.inbox import receive
from resources.store.limits import breakers
from resources.store.reservations import next_expiry, read_reservations, release_expired

INBOX_INTERVAL_SECONDS = 5
EXPIRY_INTERVAL_SECONDS = 30
QUEUE_INTERVAL_SECONDS = 30
ASKED_AGAIN_AFTER_SECONDS = 300
MOST_MESSAGES = 200
_SHOWN = 20


def build_channel_sensors(settings: Settings) -> list[dg.SensorDefinition]:
    """The inbox, Amazon's queues, and reservations that end."""
    running = dg.DefaultSensorStatus.RUNNING if settings.automation else dg.DefaultSensorStatus.STOPPED

    @dg.sensor(
        job=channel_inbox_sync,
        name="channel_inbox",
        minimum_interval_seconds=INBOX_INTERVAL_SECONDS,
        default_status=running,
        description="When channels tell of orders or stock, start a run that looks again at just those.",
    )
    def channel_inbox(context: dg.SensorEvaluationContext, store: dg.ResourceParam[BrandStore]) -> dg.SensorResult:
        return ask_for_work(store, context.instance, datetime.now(UTC))

    @dg.sensor(
        name="channel_notifications",
        minimum_interval_seconds=QUEUE_INTERVAL_SECONDS,
        default_status=running,
        description="Takes Amazon's notifications from the queues of its connections into the inbox.",
    )
    def channel_notifications(
        context: dg.SensorEvaluationContext, store: dg.ResourceParam[BrandStore]
    ) -> dg.SkipReason:
        taken, faults = take_from_queues(store)
        for name, fault in faults.items():
            context.log.error(f"{name}: {fault}")
        return dg.SkipReason(f"{taken} messages taken, {len(faults)} queues could not be read")

    @dg.sensor(
        job=stock_publication,
        name="reservation_expiry",
        minimum_interval_seconds=EXPIRY_INTERVAL_SECONDS,
        default_status=running,
        description="When a promise of stock ends, release it and bring its SKU to every channel.",
    )
    def reservation_expiry(context: dg.SensorEvaluationContext, store: dg.ResourceParam[BrandStore]) -> dg.SensorResult:
        return ask_for_release(store, datetime.now(UTC))

    return [channel_inbox, channel_notifications, reservation_expiry]


def ask_for_work(store: BrandStore, instance: dg.DagsterInstance, now: datetime) -> dg.SensorResult:
    """One tick of the inbox: a run for each channel whose messages call for one. None while one is under way or it is away."""
    from assets.inventory.inbox import Waiting, sort_out

    with store.read() as (connection, brand):
        keep_channels(instance, read_shares(connection, brand)["channel"])
        away = {row["name"] for row in breakers(connection, brand) if row["retry_at"] and row["retry_at"] > now}
    waiting = sort_out(store)

    def request(one: Waiting) -> dg.RunRequest:
        config = {
            "channel": one.channel,
            "messages": list(one.messages),
            "keys": list(one.keys),
            "orders": list(one.orders),
        }
        tags = {CHANNEL_TAG: one.channel, "luxauto/orders": ",".join(one.orders[:_SHOWN])}
        return dg.RunRequest(
            run_key=f"inbox-{one.channel}-{_digest(map(str, one.messages))}-{_part(now)}",
            run_config={"ops": {"work_on_messages": {"config": config}}},
            tags={name: value for name, value in tags.items() if value},
        )

    wanted = [one for one in waiting if one.channel not in away and not _is_under_way(instance, one.channel)]
    if not wanted:
        return dg.SensorResult(skip_reason=f"messages of {len(waiting)} channels wait, nothing is to be started")
    return dg.SensorResult(run_requests=[request(one) for one in wanted])


def take_from_queues(store: BrandStore) -> tuple[int, dict[str, str]]:
    """Store what Amazon's queues hold, then delete it there. Returns how many messages, and what went wrong by channel."""
    with store.read() as (connection, brand):
        channels = read_connections(connection, brand, store.vault)
    taken, faults = 0, {}
    for channel in (c for c in channels if c.kind == "amazon" and c.reached.options.get("queue_url")):
        from resources.channels.protocol import ChannelError

        try:
            taken += _take(store, channel)
        except ChannelError as error:
            faults[channel.name] = str(error)
    return taken, faults


def ask_for_release(store: BrandStore, now: datetime) -> dg.SensorResult:
    """One tick over the promises: a run where some have ended; where no channel is connected they are released at once."""
    with store.read() as (connection, brand):
        first = next_expiry(connection, brand)
        if first is None or first > now:
            return dg.SensorResult(skip_reason="no promise has ended")
        ended = read_reservations(connection, brand).filter(pl.col("expires_at") <= now)
        is_connected = read_shares(connection, brand).height > 0
    if not is_connected:
        with store.write() as (connection, brand):
            count = release_expired(connection, brand, now, today_in(store.settings.current.timezone, now))
        return dg.SensorResult(skip_reason=f"{count} promises were released")
    config = {"skus": ended["sku"].unique().sort().to_list()}
    request = dg.RunRequest(
        run_key=f"expiry-{_digest(ended['reference'].sort())}-{_part(now)}",
        run_config={"ops": {"publish_skus": {"config": config}}},
    )
    return dg.SensorResult(run_requests=[request])


def _take(store: BrandStore, channel: ConnectedChannel) -> int:
    # It costs a large library, which only those pay who have a queue.
    from resources.channels.amazon_notifications import delete, pull

    messages = pull(channel.reached, MOST_MESSAGES)
    with store.write() as (connection, brand):
        for _, number, body in messages:
            receive(
                connection, brand, channel.name, number[:255], {}, body.decode("utf-8", "replace").replace("\0", "")
            )
    delete(channel.reached, [receipt for receipt, _, _ in messages])
    return len(messages)


def _is_under_way(instance: dg.DagsterInstance, channel: str) -> bool:
    wanted = dg.RunsFilter(
        job_name=channel_inbox_sync.name, tags={CHANNEL_TAG: channel}, statuses=list(NOT_FINISHED_STATUSES)
    )
    return instance.get_runs_count(wanted) > 0


def _part(now: datetime) -> int:
    return int(now.timestamp()) // ASKED_AGAIN_AFTER_SECONDS


def _digest(texts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]
