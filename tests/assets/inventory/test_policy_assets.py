"""The replay of the brand's own half year as an asset."""

from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import numpy as np
import polars as pl

from assets.inventory.policy_assets import COMPARISON, LEAST_WEEKS, nobody_beats_foresight, policy_comparison
from resources.lake import Lake

FIRST = date(2024, 1, 1)


def made(weeks: int, skus: int = 8) -> pl.DataFrame:
    random = np.random.default_rng(4)
    rows = [
        {"sku": f"S{n}", "week": FIRST + timedelta(weeks=w), "units": float(random.poisson(3 + n)), "price": 10_000.0}
        for n in range(skus)
        for w in range(weeks)
    ]
    history = pl.DataFrame(rows)
    catalog = pl.DataFrame({"sku": [f"S{n}" for n in range(skus)], "lead_time_days": [21] * skus})
    costs = catalog.select("sku", valid_from=pl.lit(FIRST), cost_minor=pl.lit(4_000), currency=pl.lit("EUR"))
    result = policy_comparison(dg.build_asset_context(), history, catalog, costs)
    assert isinstance(result, dg.MaterializeResult)
    assert isinstance(result.value, pl.DataFrame)
    return result.value


def test_each_policy_has_its_figures_and_none_beats_foresight() -> None:
    frame = made(LEAST_WEEKS + 4)
    assert frame.schema == pl.Schema(COMPARISON)
    assert frame["policy"][0] == "foresight"
    assert set(frame["policy"]) == {"foresight", "forecast", "classic", "fixed-tuned", "fixed"}
    profits = dict(frame.select("policy", "profit_minor").iter_rows())
    assert profits["forecast"] > 0.9 * profits["foresight"]
    assert frame["fill_rate"].is_between(0, 1).all()


def test_too_short_a_history_is_not_replayed() -> None:
    assert made(LEAST_WEEKS - 1).is_empty()


def passed(lake: Lake) -> bool:
    found = nobody_beats_foresight(lake)
    assert isinstance(found, dg.AssetCheckResult)
    return bool(found.passed)


def test_the_check_finds_a_policy_that_earns_more_than_is_possible(tmp_path: Path) -> None:
    lake, frame = Lake(str(tmp_path), "maison"), made(LEAST_WEEKS + 1)
    lake.write("policy_comparison", frame)
    assert passed(lake)
    planted = frame.with_columns(
        pl.when(pl.col("policy") == "classic")
        .then(pl.col("profit_minor") * 9)
        .otherwise("profit_minor")
        .alias("profit_minor")
    )
    lake.write("policy_comparison", planted)
    assert not passed(lake)
