"""Rules that connected channels must keep: read lately, in step, sold no more than there is, every thing known.

A run of one channel asks about that channel; a check that is started by itself asks about all of them.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import dagster as dg
import polars as pl

from assets.expectations import ONE_TAG, rows_found
from assets.inventory.shortfall import read_shortfalls
from resources.lake import Lake
from resources.store.brand_store import BrandStore
from resources.store.connections import ConnectedChannel, read_connections

FRESH_WITHIN_HOURS = 2.0
MOST_DRIFT = 0.01
UNEXPLAINED = ("foreign_edit", "lost_write")
UNKNOWN = ("unmapped", "collision")
REFUSED = ("refused", "ignored")


def stale(channels: list[ConnectedChannel], now: datetime) -> pl.DataFrame:
    """Channels of which not everything on sale was read lately: channel, read_at (null: never), allowed_hours.

    A channel's option `fresh_within_hours` says what is late there; it is 2 hours otherwise.
    """
    found = []
    for channel in channels:
        hours = float(channel.reached.options.get("fresh_within_hours", FRESH_WITHIN_HOURS))
        if channel.listed_at is None or now - channel.listed_at > timedelta(hours=hours):
            found.append((channel.name, channel.listed_at, hours))
    schema = {"channel": pl.String(), "read_at": pl.Datetime("us", "UTC"), "allowed_hours": pl.Float64()}
    return pl.DataFrame(found, schema=schema, orient="row")


def drifting(drift: pl.DataFrame, listings: pl.DataFrame) -> pl.DataFrame:
    """Channels where too many things are out of step and nothing of ours explains it: channel, unexplained, items, share.

    drift: channel, state. listings: channel, a row for each thing on sale.
    """
    unexplained = drift.filter(pl.col("state").is_in(UNEXPLAINED)).group_by("channel").len("unexplained")
    return (
        unexplained.join(listings.group_by("channel").len("items"), on="channel", how="left")
        .with_columns(share=pl.col("unexplained") / pl.max_horizontal("items", "unexplained"))
        .filter(pl.col("share") > MOST_DRIFT)
        .sort("channel")
    )


@dg.asset_check(
    asset="channel_listings",
    name="is_fresh",
    description="Everything on sale was read within the last 2 hours, or what the channel's fresh_within_hours says.",
)
def listings_are_fresh(
    context: dg.AssetCheckExecutionContext, store: dg.ResourceParam[BrandStore]
) -> dg.AssetCheckResult:
    with store.read() as (connection, brand):
        channels = read_connections(connection, brand, store.vault)
    asked = _asked(context.run.tags)
    return rows_found(stale([c for c in channels if asked in (None, c.name)], datetime.now(UTC)))


@dg.asset_check(
    asset="stock_drift",
    name="is_below_the_threshold",
    description="At most 1 % of what is on sale is out of step by an edit of somebody else's or a write that was lost.",
)
def drift_is_low(context: dg.AssetCheckExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.AssetCheckResult:
    return rows_found(drifting(_rows(context, lake, "stock_drift"), _rows(context, lake, "channel_listings")))


@dg.asset_check(
    asset="stock_drift",
    name="everything_is_mapped",
    description="Everything on sale is one SKU of ours, and no two things of a channel are the same one.",
)
def everything_is_mapped(context: dg.AssetCheckExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.AssetCheckResult:
    drift = _rows(context, lake, "stock_drift").filter(pl.col("state").is_in(UNKNOWN))
    return rows_found(drift.select("channel", "key", "sku", "state", "reason"), blocking=False)


@dg.asset_check(
    asset="channel_orders",
    name="nothing_is_oversold",
    description="No SKU is owed beyond what is in stock and what it may be sold beyond that.",
)
def nothing_is_oversold(store: dg.ResourceParam[BrandStore]) -> dg.AssetCheckResult:
    with store.read() as (connection, brand):
        return rows_found(read_shortfalls(connection, brand))


@dg.asset_check(
    asset="published_stock",
    name="channels_take_what_is_written",
    description="The channel has refused and ignored no write of the last run.",
)
def writes_are_taken(context: dg.AssetCheckExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.AssetCheckResult:
    written = _rows(context, lake, "published_stock").filter(pl.col("status").is_in(REFUSED))
    return rows_found(written.select("channel", "key", "sku", "wanted", "shown", "status", "details"), blocking=False)


CHECKS = [listings_are_fresh, drift_is_low, everything_is_mapped, nothing_is_oversold, writes_are_taken]


def _rows(context: dg.AssetCheckExecutionContext, lake: Lake, asset: str) -> pl.DataFrame:
    asked = _asked(context.run.tags)
    return lake.read(asset, None if asked is None else [asked])


def _asked(tags: Mapping[str, str]) -> str | None:
    return tags.get(ONE_TAG)
