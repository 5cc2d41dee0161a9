"""The assets of connected channels, one partition each: its orders, its listings, how it drifts, and what was written to it.

Belongs here: when a channel is spoken to, and what is shown of it. Does not belong here: how a sync goes (`channel_sync`), what
counts as drift (`publication`), or the rules that the assets must keep (`channel_checks`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg
import polars as pl

from assets.inventory.publication import COMPARED_SCHEMA, drift
from assets.partitions import CHANNELS
from assets.presentation import asset_options, result
from resources.store.brand_store import BrandStore
from resources.store.channel_items import ITEMS, read_items
from resources.store.channel_reports import ORDER_LINES, WRITES, read_order_lines, read_writes

if TYPE_CHECKING:
    from assets.inventory.channel_sync import Report
    from resources.channels.protocol import Connector
    from resources.store.connections import ConnectedChannel

LISTINGS: dict[str, pl.DataType] = {name: dtype for name, dtype in ITEMS.items() if name != "policy"}
# In the lake words are text, whatever a comparison keeps them as.
DRIFT: dict[str, pl.DataType] = {
    name: dtype if dtype.is_integer() else pl.String() for name, dtype in COMPARED_SCHEMA.items() if name != "order"
}
# A channel bears few calls at a time, and two runs that publish at once would wait for each other.
_POOL = "channels"
_PATIENCE = dg.RetryPolicy(max_retries=3, delay=30, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)


def _options(schema: dict[str, pl.DataType], kinds: set[str]) -> dict[str, Any]:
    return {**asset_options("inventory", schema, kinds=kinds), "backfill_policy": dg.BackfillPolicy.multi_run(1)}


@dg.asset(
    partitions_def=CHANNELS,
    pool=_POOL,
    retry_policy=_PATIENCE,
    **_options(ORDER_LINES, {"api", "sql", "parquet"}),
)
def channel_orders(
    context: dg.AssetExecutionContext, store: dg.ResourceParam[BrandStore]
) -> dg.MaterializeResult[pl.DataFrame]:
    """Orders of a connected channel, line by line: asked for since the last time, and what they have moved and booked."""
    from assets.inventory.channel_sync import pull_orders
    from assets.inventory.shortfall import raise_shortfalls

    with _calling(store, context.partition_key) as call:
        moved = pull_orders(store, call.channel, call.connector, call.report)
    with store.write() as (connection, brand):
        raise_shortfalls(connection, brand)
        frame = read_order_lines(connection, brand, context.partition_key)
    context.log.info(f"{call.report.orders} new orders moved {call.report.units_moved} units of {len(moved)} SKUs")
    unmapped = sorted(set(call.report.unmapped))
    return result(
        frame,
        orders_new=call.report.orders,
        units_moved=call.report.units_moved,
        orders=frame["order_number"].n_unique(),
        unmapped=dg.MetadataValue.json(unmapped[:50]),
    )


@dg.asset(
    partitions_def=CHANNELS,
    pool=_POOL,
    retry_policy=_PATIENCE,
    **_options(LISTINGS, {"api", "sql", "parquet"}),
)
def channel_listings(
    context: dg.AssetExecutionContext, store: dg.ResourceParam[BrandStore]
) -> dg.MaterializeResult[pl.DataFrame]:
    """Everything that a connected channel has on sale, variations included, as it shows it now."""
    from assets.inventory.channel_sync import read_channel
    from resources.store.locks import exclusively

    name = context.partition_key
    with _calling(store, name) as call, exclusively(store, f"channel:{name}", wait=True):
        read_channel(store, call.channel, call.connector, call.report)
    with store.read() as (connection, brand):
        frame = read_items(connection, brand).filter(pl.col("channel") == name).select(*LISTINGS)
    unmapped = frame.filter(pl.col("sku").is_null())
    return result(
        frame,
        items=frame.height,
        items_gone=call.report.gone,
        items_unmapped=unmapped.height,
        units_shown=int(frame["shown"].sum()),
    )


@dg.asset(partitions_def=CHANNELS, deps=["channel_listings", "stock_levels"], **_options(DRIFT, {"sql", "parquet"}))
def stock_drift(
    context: dg.AssetExecutionContext, store: dg.ResourceParam[BrandStore]
) -> dg.MaterializeResult[pl.DataFrame]:
    """What a connected channel shows that it should not, each thing with its class and the reason."""
    from assets.inventory.stock_room import compare_channels

    name = context.partition_key
    with store.read() as (connection, brand):
        compared = compare_channels(connection, brand, store.settings).filter(pl.col("channel") == name)
    frame = drift(compared).select(pl.col(column).cast(dtype) for column, dtype in DRIFT.items())
    counts = dict(compared["state"].cast(pl.String).value_counts(sort=True).iter_rows())

    def plot() -> bytes:
        from assets.charts import bar_ranking

        return bar_ranking(list(counts), list(counts.values()), f"Things on sale at {name}, by class")

    extra = {"items": compared.height, "classes": dg.MetadataValue.json(counts)}
    if not compared.height:
        return result(frame, **extra)
    return result(frame, plot, f"Things on sale at {name}, by class", **extra)


@dg.asset(
    partitions_def=CHANNELS,
    deps=["channel_orders", "channel_listings", "stock_drift"],
    pool=_POOL,
    retry_policy=_PATIENCE,
    **_options(WRITES, {"api", "sql", "parquet"}),
)
def published_stock(
    context: dg.AssetExecutionContext, store: dg.ResourceParam[BrandStore]
) -> dg.MaterializeResult[pl.DataFrame]:
    """What was written so that a connected channel shows what it should, and what became of each write."""
    from assets.inventory.channel_sync import Order, sync
    from assets.inventory.publication import plan
    from assets.inventory.stock_room import compare_channels

    name, begun = context.partition_key, datetime.now(UTC)
    with store.read() as (connection, brand):
        wanted = plan(compare_channels(connection, brand, store.settings))
    # What this channel's orders have moved is out of step at the others. Just that is read again, and then written.
    channels = tuple(sorted({name, *wanted["channel"]}))
    order = Order(channels, skus=tuple(wanted["sku"].unique().sort()), actor=f"run {context.run.run_id[:8]}")
    own = next(report for report in sync(store, order, tell=context.log.info) if report.channel == name)
    if own.error is not None:
        raise dg.Failure(f"{name}: {own.error}")
    with store.read() as (connection, brand):
        frame = read_writes(connection, brand, name, begun)
    return result(
        frame, outcomes=dg.MetadataValue.json(dict(own.outcomes)), refusals=dg.MetadataValue.json(own.refusals)
    )


@dataclass(frozen=True)
class _Call:
    channel: "ConnectedChannel"
    connector: "Connector"
    report: "Report"


@contextmanager
def _calling(store: BrandStore, name: str) -> Iterator[_Call]:
    """The channel's connector while it is spoken to. What goes wrong is kept with the connection and raised as an alert.

    Raises dg.Failure, which is not tried again where only a person can mend the cause.
    """
    from assets.inventory.channel_sync import Report, open_channel
    from resources.channels.protocol import ChannelError, CredentialsRefused, QuotaExhausted
    from resources.store.alerts import raise_channel_alert
    from resources.store.connections import UnknownConnection, note_result, read_connection

    try:
        with store.read() as (connection, brand):
            channel = read_connection(connection, brand, store.vault, name)
    except UnknownConnection as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    try:
        connector = open_channel(store, channel)
        try:
            yield _Call(channel, connector, Report(name))
        finally:
            connector.close()
    except ChannelError as error:
        with store.write() as (connection, brand):
            note_result(connection, channel, str(error))
            raise_channel_alert(connection, brand, name, str(error), [])
        lasting = isinstance(error, CredentialsRefused | QuotaExhausted)
        raise dg.Failure(str(error), allow_retries=not lasting) from error
