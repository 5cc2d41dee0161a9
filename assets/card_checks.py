"""That no card data has come into the lake, nor into what Dagster shows of it: a check on every asset that is made of raw rows.

Belongs here: the check, one for each such asset. Does not belong here: what card data looks like (`resources/card_data`). The
entrances refuse it; this finds what came in by a way that nobody thought of.
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg
import polars as pl

from assets.expectations import ONE_TAG, rows_found, run_days
from resources.card_data import find_card_data
from resources.lake import Lake
from resources.withholding import columns_with_card_data

# Ids that vendors give are long numbers, a few of a hundred of which look like a card's.
VENDORS_IDS = frozenset({"key", "order_id", "external_id", "idempotency_key"})
OF_A_DAY = ("transactions", "stock_movements")
OF_A_CHANNEL = ("channel_orders", "channel_listings", "published_stock")
RAW = (*OF_A_DAY, *OF_A_CHANNEL, "catalog", "sku_costs")


def offending(rows: pl.DataFrame, metadata: Mapping[str, Any]) -> pl.DataFrame:
    """Where card data stands: columns of the asset, and entries of its metadata. Columns column, rows; nothing is repeated."""
    columns = columns_with_card_data(rows.drop(VENDORS_IDS & set(rows.columns)))
    shown = [(f"metadata: {name}", 1) for name, value in metadata.items() if find_card_data({name: value}) is not None]
    return pl.concat([columns, pl.DataFrame(shown, schema=columns.schema, orient="row")])


def partitions_of(asset: str, tags: Mapping[str, str]) -> list[str] | None:
    """What the run made of the asset; None, which means all, where it has no partitions or none were chosen."""
    if asset in OF_A_DAY:
        return run_days(tags)
    return [tags[ONE_TAG]] if asset in OF_A_CHANNEL and ONE_TAG in tags else None


def holds_no_card_data(asset: str) -> dg.AssetChecksDefinition:
    """The check of one asset, over the partitions of the run, or over all of them when it is started by itself."""

    @dg.asset_check(
        asset=asset,
        name="holds_no_card_data",
        description="No text of it, and nothing that is shown of it here, looks like a payment card's number or code.",
        blocking=True,
    )
    def check(context: dg.AssetCheckExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.AssetCheckResult:
        event = context.instance.get_latest_materialization_event(dg.AssetKey(asset))
        made = event.asset_materialization if event else None
        metadata = {name: value.value for name, value in made.metadata.items()} if made else {}
        return rows_found(offending(lake.read(asset, partitions_of(asset, context.run.tags)), metadata))

    return check


CHECKS = [holds_no_card_data(asset) for asset in RAW]
