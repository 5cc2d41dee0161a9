"""The ground floor's hands for Dagster: the Parquet IO manager, the lake and the brand's store as resources.

Belongs here: turning Dagster's contexts into calls of `Lake` and `BrandStore`. Does not belong here: any logic of theirs.
"""

import dagster as dg
import polars as pl

from resources.lake import UNPARTITIONED, Lake
from resources.settings import load_settings
from resources.store.brand_store import BrandStore
from resources.store.engine import open_store

DAY = "day"
PARTITION_COLUMN = "luxauto/partition_column"
"""Metadata of an asset whose partitions are cut by another column than `day`."""


class LakeResource(dg.ConfigurableResource[Lake]):
    """The brand's Parquet files; DuckDB sees each asset as a view of its name."""

    def create_resource(self, context: dg.InitResourceContext) -> Lake:
        return current_lake()


class StoreResource(dg.ConfigurableResource[BrandStore]):
    """The brand's rows in the relational store."""

    def create_resource(self, context: dg.InitResourceContext) -> BrandStore:
        return current_store()


class ParquetIOManager(dg.ConfigurableIOManager):
    """One Parquet file a partition, replaced whole.

    A run over a range of days returns one frame, which is cut by its column `day`, or by the one that the asset's metadata
    names; a day without rows gets an empty file, so that it counts as known. Inputs are read as the parameter is annotated:
    `pl.LazyFrame` or `pl.DataFrame`.
    """

    def handle_output(self, context: dg.OutputContext, obj: pl.DataFrame) -> None:
        lake, asset = current_lake(), context.asset_key.path[-1]
        if not context.has_asset_partitions:
            lake.write(asset, obj, UNPARTITIONED)
            return
        keys = context.asset_partition_keys
        by_key = {keys[0]: obj}
        if len(keys) > 1:
            column = (context.definition_metadata or {}).get(PARTITION_COLUMN, DAY)
            by_key = {str(day): rows for (day,), rows in obj.partition_by(column, as_dict=True).items()}
        for key in keys:
            lake.write(asset, by_key.get(key, obj.clear()), key)

    def load_input(self, context: dg.InputContext) -> pl.DataFrame | pl.LazyFrame:
        lake, asset = current_lake(), context.asset_key.path[-1]
        keys = context.asset_partition_keys if context.has_asset_partitions else None
        rows = lake.scan(asset, keys)
        return rows if context.dagster_type.typing_type is pl.LazyFrame else rows.collect()


def current_lake() -> Lake:
    """The lake of the brand that this process works for."""
    settings = load_settings()
    return Lake(settings.lake_url, settings.brand)


def current_store() -> BrandStore:
    """The store of the brand that this process works for."""
    settings = load_settings()
    return BrandStore(settings, open_store(settings.database_url))
