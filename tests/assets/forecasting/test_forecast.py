"""The forecast that is served: its frames, its ranking, its total, and real demand from end to end."""

from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from assets.forecasting.demand import weekly_demand
from assets.forecasting.forecast import (
    FAN_SCHEMA,
    FORECAST_SCHEMA,
    SCORE_SCHEMA,
    ForecastResult,
    forecast_demand,
    total_fan,
)

ONLINE_RETAIL = Path(__file__).resolve().parents[4] / "shared" / "data" / "online_retail.parquet"
MONDAY = date(2024, 1, 1)


def history(**units: list[int]) -> pl.DataFrame:
    """Weekly demand of each SKU, all ending in the same week."""
    longest = max(map(len, units.values()))
    return pl.DataFrame(
        [
            (sku, MONDAY + timedelta(weeks=longest - len(sold) + k), count, 0)
            for sku, sold in units.items()
            for k, count in enumerate(sold)
        ],
        schema=["sku", "week", "units_sold", "units_returned"],
        orient="row",
    ).cast({"units_sold": pl.Int64, "units_returned": pl.Int64})


def noisy(weeks: int, mean: float = 20, seed: int = 7) -> list[int]:
    return np.random.default_rng(seed).poisson(mean, weeks).tolist()


def models_of(result: ForecastResult) -> dict[str, set[str]]:
    return {sku: set(rows["model"]) for (sku,), rows in result.scores.group_by("sku")}


def test_every_sku_has_each_coming_week_once_with_an_interval_around_the_mean():
    result = forecast_demand(history(BAG=noisy(60), BELT=noisy(20, 2), SCARF=[3]), horizon=6, prophet_skus=1)

    forecasts = result.forecasts
    assert dict(forecasts.schema) == FORECAST_SCHEMA
    assert forecasts.group_by("sku").len()["len"].to_list() == [6, 6, 6]
    assert forecasts.filter(sku="SCARF")["step"].to_list() == [1, 2, 3, 4, 5, 6]
    assert forecasts.filter(step=1)["week"].unique().to_list() == [MONDAY + timedelta(weeks=60)]
    assert forecasts.filter(step=6)["week"].unique().to_list() == [MONDAY + timedelta(weeks=65)]
    assert forecasts.filter(
        ~((pl.col("lower") >= 0) & pl.col("mean").is_between("lower", "upper") & (pl.col("level") == 0.8))
    ).is_empty()


def test_exactly_one_model_of_each_sku_is_chosen_and_it_is_the_one_that_serves():
    result = forecast_demand(history(BAG=noisy(90), BELT=noisy(20, 2), NEVER=[0, 0]), prophet_skus=1)

    chosen = result.scores.filter("chosen")
    assert dict(result.scores.schema) == SCORE_SCHEMA
    assert chosen["sku"].to_list() == ["BAG", "BELT", "NEVER"]
    served = result.forecasts.select("sku", "model").unique()
    assert served.join(chosen, on=["sku", "model"]).height == served.height == 2
    assert result.scores["reason"].str.len_chars().min() > 20  # pyright: ignore[reportOperatorIssue]


def test_a_sku_with_no_sales_gets_no_forecast():
    result = forecast_demand(history(NEVER=[0] * 30))

    assert result.forecasts.is_empty()
    assert result.scores.select("model", "folds", "wape", "rmsse").row(0) == ("no_history", 0, None, None)


def test_an_empty_history_gives_empty_frames():
    result = forecast_demand(history(BAG=[1]).clear())

    assert dict(result.forecasts.schema) == FORECAST_SCHEMA
    assert result.scores.is_empty()


def test_prophet_goes_to_the_best_sellers_of_the_last_half_year():
    once_great = [500] * 40 + noisy(26, 5)
    result = forecast_demand(history(ONCE=once_great, NOW=noisy(66, 30), SMALL=noisy(66, 2)), prophet_skus=1)

    assert {sku for sku, models in models_of(result).items() if "prophet" in models} == {"NOW"}


def test_a_sku_too_young_for_prophet_takes_no_place_from_one_that_may_have_it():
    result = forecast_demand(history(HIT=noisy(10, 900), NOW=noisy(66, 30)), prophet_skus=1)

    assert "prophet" in models_of(result)["NOW"]


def test_the_same_history_gives_the_same_forecast():
    demand = history(BAG=noisy(60), BELT=[2 * week for week in range(60)])

    first, again = forecast_demand(demand), forecast_demand(demand.reverse())

    assert "prophet" in first.forecasts["model"]
    assert first.forecasts.equals(again.forecasts)
    assert first.scores.equals(again.scores)


def test_a_skus_forecast_does_not_depend_on_its_neighbours():
    growing = [2 * week for week in range(60)]

    alone = forecast_demand(history(BELT=growing)).forecasts
    beside = forecast_demand(history(BAG=noisy(60), BELT=growing)).forecasts

    assert beside.filter(sku="BELT").equals(alone)


def test_progress_is_told_sku_by_sku():
    told: list[tuple[int, int]] = []

    forecast_demand(history(A=[1], B=[2], C=[3]), on_progress=lambda done, total: told.append((done, total)))

    assert told == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(
    "broken",
    [
        history(BAG=[1, 2, 3]).filter(pl.col("units_sold") != 2),
        history(BAG=[1, 2, 3]).vstack(history(BAG=[1, 2, 3]).tail(1)),
        history(BAG=[1, 2, 3], BELT=[4, 5, 6]).filter(pl.col("units_sold") != 3),
        history(BAG=[1, -2, 3]),
    ],
    ids=["a hole", "a week twice", "an early end", "below zero"],
)
def test_a_history_with_a_fault_is_refused_by_the_name_of_the_sku(broken: pl.DataFrame):
    with pytest.raises(ValueError, match=r"BAG.*weekly_demand"):
        forecast_demand(broken)


def test_missing_columns_and_impossible_numbers_are_refused():
    with pytest.raises(ValueError, match="lacks the columns units_sold"):
        forecast_demand(history(BAG=[1]).drop("units_sold"))
    with pytest.raises(ValueError, match="horizon must be 1 or more"):
        forecast_demand(history(BAG=[1]), horizon=0)


def test_the_total_adds_the_means_and_holds_every_past_week():
    demand = history(BAG=[5] * 20, BELT=[4, 6] * 5)
    forecasts = forecast_demand(demand, horizon=3).forecasts

    fan = total_fan(forecasts, demand)

    assert dict(fan.schema) == FAN_SCHEMA
    assert fan.head(20)["actual"].to_list() == [5.0] * 10 + [9.0, 11.0] * 5
    assert fan.tail(3)["mean"].to_list() == pytest.approx([10.0] * 3)
    assert fan["actual"].null_count() == 3 and fan["mean"].null_count() == 20
    assert all(later - earlier == timedelta(weeks=1) for earlier, later in pairwise(fan["week"]))


def half_widths(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select("week", half=pl.col("upper") - pl.col("mean")).group_by("week").agg(pl.col("half").sum())


def test_the_total_is_surer_than_its_parts_if_they_err_apart():
    demand = history(**{f"SKU{k}": noisy(60, 30, seed=k) for k in range(16)})
    forecasts = forecast_demand(demand, prophet_skus=0).forecasts

    total, parts = half_widths(total_fan(forecasts, demand).tail(13)), half_widths(forecasts)

    assert (total.join(parts, on="week")["half"] < 0.5 * total.join(parts, on="week")["half_right"]).all()


def test_the_total_is_no_surer_than_it_was_on_weeks_not_seen_if_its_parts_err_together():
    together = [100 + 60 * (week // 9 % 2) for week in range(60)]
    demand = history(**{f"SKU{k}": together for k in range(16)})
    forecasts = forecast_demand(demand, prophet_skus=0).forecasts

    total, parts = half_widths(total_fan(forecasts, demand).tail(13)), half_widths(forecasts)

    assert total.sort("week")["half"].to_list() == pytest.approx(parts.sort("week")["half"].to_list())


@pytest.mark.skipif(not ONLINE_RETAIL.exists(), reason="the Online Retail data set is not beside the repository")
def test_real_demand_of_a_gift_retailer_is_forecast_closer_than_by_repeating_last_year():
    demand = weekly_demand(_online_retail())
    cut = demand["week"].max() - timedelta(weeks=13)  # pyright: ignore[reportOperatorIssue, reportOptionalOperand]
    known, later = demand.filter(pl.col("week") <= cut), demand.filter(pl.col("week") > cut)

    result = forecast_demand(known, prophet_skus=10)

    assert result.forecasts["sku"].n_unique() == known["sku"].n_unique() > 3500
    assert result.scores.filter(model="prophet").height == 10
    held_out = result.forecasts.join(later, on=["sku", "week"])
    assert 0.75 < held_out.select(pl.col("units_sold").is_between("lower", "upper").mean()).item() < 0.97
    year_ago = known.select("sku", pl.col("week") + timedelta(weeks=52), last_year="units_sold")
    ours, naive = (
        held_out.join(year_ago, on=["sku", "week"])
        .select((pl.col(guess) - pl.col("units_sold")).abs().sum().cast(pl.Float64) for guess in ("mean", "last_year"))
        .row(0)
    )
    assert ours < 0.85 * naive


def _online_retail() -> pl.LazyFrame:
    return (
        pl.scan_parquet(ONLINE_RETAIL)
        .filter(pl.col("StockCode").str.contains(r"^\d{5}[A-Za-z]{0,2}$"), pl.col("UnitPrice") > 0)
        .select(
            day=pl.col("InvoiceDate").dt.date(),
            sku=pl.col("StockCode").str.to_uppercase(),
            kind=pl.lit("goods"),
            quantity=pl.col("Quantity").cast(pl.Int64),
            amount_minor=(pl.col("UnitPrice") * pl.col("Quantity") * 100).round().cast(pl.Int64),
        )
    )
