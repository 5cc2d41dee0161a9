"""The brand's weeks for a fan chart."""

from datetime import date, timedelta
from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from assets.forecasting.schemas import FAN_SCHEMA
from assets.forecasting.totals import total_fan

FIRST = date(2025, 1, 6)


def history(**units: list[int]) -> pl.DataFrame:
    rows = [(sku, FIRST + timedelta(weeks=n), value) for sku, values in units.items() for n, value in enumerate(values)]
    return pl.DataFrame(rows, schema={"sku": pl.String, "week": pl.Date, "units_sold": pl.Int64}, orient="row")


def forecasts(weeks: int, horizon: int, half: float, **means: float) -> pl.DataFrame:
    first = FIRST + timedelta(weeks=weeks)
    rows = [
        (sku, first + timedelta(weeks=n), mean, max(mean - half, 0), mean + half)
        for sku, mean in means.items()
        for n in range(horizon)
    ]
    return pl.DataFrame(rows, schema=["sku", "week", "mean", "lower", "upper"], orient="row")


def test_past_weeks_have_what_sold_and_coming_ones_a_band() -> None:
    fan = total_fan(forecasts(20, 3, 1, A=5, B=5), history(A=[5] * 20, B=[0] * 10 + [4, 6] * 5))
    assert dict(fan.schema) == FAN_SCHEMA
    assert fan.head(20)["actual"].to_list() == [5.0] * 10 + [9.0, 11.0] * 5
    assert fan.tail(3)["mean"].to_list() == pytest.approx([10.0] * 3)
    assert fan["actual"].null_count() == 3
    assert fan["mean"].null_count() == 20
    assert all(later - earlier == timedelta(weeks=1) for earlier, later in pairwise(fan["week"]))


def test_the_total_is_surer_than_its_parts_if_they_err_apart() -> None:
    random = np.random.default_rng(1)
    skus = {f"SKU{k}": random.poisson(30, 60).tolist() for k in range(16)}
    fan = total_fan(forecasts(60, 13, 7, **dict.fromkeys(skus, 30.0)), history(**skus)).tail(13)
    assert ((fan["upper"] - fan["mean"]) < 0.5 * 16 * 7).all()


def test_the_total_is_no_surer_than_it_was_on_weeks_not_seen_if_its_parts_err_together() -> None:
    together = [100 + 60 * (week // 9 % 2) for week in range(60)]
    skus = {f"SKU{k}": together for k in range(16)}
    fan = total_fan(forecasts(60, 13, 7, **dict.fromkeys(skus, 130.0)), history(**skus)).tail(13)
    # Independent errors would give 28 units; the total itself was off by hundreds.
    assert ((fan["upper"] - fan["mean"]) > 16 * 30).all()
