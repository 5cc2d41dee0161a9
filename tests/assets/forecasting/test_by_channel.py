"""A SKU's forecast by channel and country."""

from datetime import date, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.forecasting.by_channel import PRIOR_UNITS, forecast_by_channel
from assets.forecasting.schemas import BY_CHANNEL_SCHEMA

MONDAY = date(2026, 3, 2)


def forecasts(**means: float) -> pl.DataFrame:
    return pl.DataFrame([{"sku": sku, "week": MONDAY, "step": 1, "mean": mean} for sku, mean in means.items()])


def sales(*rows: tuple[str, str, str | None, int], day: date = MONDAY - timedelta(days=1)) -> pl.LazyFrame:
    schema = {"sku": pl.String, "channel": pl.String, "country": pl.String, "quantity": pl.Int64}
    return pl.LazyFrame(rows, schema=schema, orient="row").with_columns(day=pl.lit(day), kind=pl.lit("goods"))


def test_shares_are_the_skus_own_drawn_to_the_brands() -> None:
    sold = sales(("BAG", "store", "FR", 60), ("BELT", "web", "DE", 20))
    told = forecast_by_channel(forecasts(BAG=10.0, NEW=8.0), sold)
    assert told.schema == pl.Schema(BY_CHANNEL_SCHEMA)
    mean = {(sku, channel): value for sku, channel, value in told.select("sku", "channel", "mean").iter_rows()}
    assert mean["BAG", "store"] == pytest.approx(10 * (60 + PRIOR_UNITS * 0.75) / (60 + PRIOR_UNITS))
    assert mean["NEW", "store"] == pytest.approx(6)
    assert mean["NEW", "web"] == pytest.approx(2)


def test_a_sale_without_a_country_is_a_part_of_its_own() -> None:
    told = forecast_by_channel(forecasts(BAG=10.0), sales(("BAG", "store", None, 30), ("BAG", "store", "FR", 10)))
    assert told["country"].null_count() == 1
    assert told["mean"].sum() == pytest.approx(10)


def test_what_was_sold_long_ago_or_comes_back_has_no_say() -> None:
    old = sales(("BAG", "market", "IT", 99), day=MONDAY - timedelta(weeks=27))
    back = sales(("BAG", "web", "DE", -5))
    told = forecast_by_channel(forecasts(BAG=10.0), pl.concat([old, back, sales(("BAG", "store", "FR", 1))]))
    assert told["channel"].to_list() == ["store"]


def test_nothing_sold_has_no_parts() -> None:
    assert forecast_by_channel(forecasts(BAG=10.0), sales()).is_empty()
    assert forecast_by_channel(forecasts(BAG=1.0).clear(), sales()).schema == pl.Schema(BY_CHANNEL_SCHEMA)


parts = st.tuples(
    st.sampled_from(["A", "B", "C"]),
    st.sampled_from(["store", "web"]),
    st.sampled_from(["FR", "DE", None]),
    st.integers(1, 500),
)


@given(st.lists(parts, min_size=1, max_size=20), st.floats(0, 1e5), st.floats(0, 1e5))
def test_parts_sum_to_the_sku(rows: list[tuple[str, str, str | None, int]], one: float, other: float) -> None:
    told = forecast_by_channel(forecasts(A=one, Z=other), sales(*rows))
    sums = dict(told.group_by("sku").agg(pl.col("mean").sum()).iter_rows())
    assert sums == pytest.approx({"A": one, "Z": other})
