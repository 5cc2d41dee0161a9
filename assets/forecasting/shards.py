"""Which SKUs are forecast together: a shard is a panel of its own, so that many workers can share the work.

A shard holds about `SKUS_OF_A_SHARD` SKUs, which is as many as pooled errors and a shared season need. A small brand has one
shard and the others are empty; their number doubles when the brand outgrows them, and never changes in between.
"""

import zlib

import polars as pl

from assets.forecasting.schemas import SHARD

SKUS_OF_A_SHARD = 2000
SHARDS = 16
KEYS = tuple(f"{number:02d}" for number in range(SHARDS))


def shards_in_use(skus: int) -> int:
    """How many shards so many SKUs are spread over: a power of two, at most `SHARDS`."""
    count = 1
    while count < SHARDS and skus > count * SKUS_OF_A_SHARD:
        count *= 2
    return count


def with_shard(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame (column sku) with the column `shard` in front. By the SKU's name alone, so that it stays where it is."""
    skus = frame["sku"].unique().to_list()
    count = shards_in_use(len(skus))
    keys = {sku: KEYS[zlib.crc32(sku.encode()) % count] for sku in skus}
    shard = pl.col("sku").replace_strict(keys, return_dtype=pl.String).alias(SHARD)
    return frame.select(shard, *frame.columns) if skus else frame.select(pl.lit(None, pl.String).alias(SHARD), pl.all())
