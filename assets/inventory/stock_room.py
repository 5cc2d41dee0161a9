"""What every connected channel should show, and how that compares with what it does show, from the store as it is now.

Does not belong here: the rules themselves (`availability`, `allocation`, `publication`), or acting on them (`channel_sync`).
"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import polars as pl

from assets.ingestion.lines import today_in
from assets.inventory.allocation import Scarcity
from assets.inventory.availability import Stock, available_to_sell, targets
from assets.inventory.publication import compare
from resources.settings import Settings
from resources.store.channel_items import read_items
from resources.store.connections import read_shares
from resources.store.stock_keeping import (
    read_bundles,
    read_levels_by_location,
    read_numbered,
    read_places,
    read_rules,
    read_supply,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection


def compare_channels(
    connection: "Connection", brand: int, settings: Settings, *, overwrite: bool = False
) -> pl.DataFrame:
    """Every item of every connected channel: what it shows, what it should show, and what follows (see `compare`).

    `overwrite`: what somebody else edited is to be written over, whatever the channel's policy says.
    """
    now = datetime.now(UTC)
    items = read_items(connection, brand)
    if overwrite:
        items = items.with_columns(pl.lit("master_wins").alias("policy"))
    return compare(wanted_quantities(connection, brand, settings, items, now), items, now)


def wanted_quantities(
    connection: "Connection", brand: int, settings: Settings, items: pl.DataFrame, now: datetime
) -> pl.DataFrame:
    """What each connected channel should show of each SKU (see `targets`). `items` say what it lists."""
    current = settings.current
    stock = Stock(
        read_levels_by_location(connection, brand),
        read_supply(connection, brand),
        read_bundles(connection, brand),
        read_places(connection, brand),
        today_in(current.timezone, now),
    )
    listed = (
        items.filter(pl.col("sku").is_not_null() & pl.col("unwritable").is_null()).select("channel", "sku").unique()
    )
    numbered = pl.DataFrame({"sku": read_numbered(connection, brand)}, schema={"sku": pl.String()})
    shares = read_shares(connection, brand)
    scarcity = Scarcity(shares, listed, numbered, current.allocation, current.scarce_at)
    return targets(stock, available_to_sell(stock), read_rules(connection, brand), scarcity)
