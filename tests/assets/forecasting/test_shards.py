"""Which SKUs are forecast together."""

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from assets.forecasting.shards import KEYS, SHARDS, SKUS_OF_A_SHARD, shards_in_use, with_shard


def test_a_small_brand_has_one_shard_and_a_large_one_all() -> None:
    assert [shards_in_use(count) for count in (0, 1, SKUS_OF_A_SHARD)] == [1, 1, 1]
    assert [shards_in_use(SKUS_OF_A_SHARD + 1), shards_in_use(3 * SKUS_OF_A_SHARD)] == [2, 4]
    assert shards_in_use(10**6) == SHARDS == len(KEYS)


@given(st.sets(st.text(min_size=1), min_size=1, max_size=50), st.text(min_size=1))
def test_a_sku_stays_in_its_shard_when_others_come(skus: set[str], newcomer: str) -> None:
    before = dict(with_shard(pl.DataFrame({"sku": sorted(skus)})).select("sku", "shard").iter_rows())
    after = dict(with_shard(pl.DataFrame({"sku": sorted({*skus, newcomer})})).select("sku", "shard").iter_rows())
    assert all(after[sku] == shard for sku, shard in before.items())


def test_many_skus_are_spread_evenly() -> None:
    frame = with_shard(pl.DataFrame({"sku": [f"SKU-{n}" for n in range(16 * SKUS_OF_A_SHARD)]}))
    counts = frame.group_by("shard").len()["len"].to_list()
    assert frame["shard"].n_unique() == SHARDS
    assert min(counts) > 0.9 * SKUS_OF_A_SHARD
    assert max(counts) < 1.1 * SKUS_OF_A_SHARD


def test_no_rows_have_no_shard() -> None:
    assert with_shard(pl.DataFrame(schema={"sku": pl.String})).columns == ["shard", "sku"]
