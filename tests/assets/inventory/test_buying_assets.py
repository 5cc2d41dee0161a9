"""The assets of buying as Dagster makes them, from a lake that holds what is upstream; each of their checks can fail.

Does not belong here: the figures (`tests/assets/inventory/buying`).
"""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import dagster as dg
import polars as pl
import pytest

from assets.finance import assets as finance
from assets.finance import fx_assets
from assets.forecasting import assets as forecasting
from assets.forecasting.schemas import BACKTEST_SCHEMA, FORECAST_SCHEMA, HISTORY
from assets.inventory import assets as inventory
from assets.inventory import buying_assets, checks, valuation_assets
from luxauto_pipelines.ingest import ingest_reference
from resources.io_manager import LakeResource, ParquetIOManager, StoreResource
from resources.lake import Lake
from resources.store.brand_store import BrandStore
from resources.store.catalog import read_catalog, read_costs
from resources.store.purchasing import on_order, read_orders

NAMES = ["stock_levels", "reorder_plan", "stock_alerts", "purchase_orders"]
AROUND = ["supplier_lead_times", "transfer_plan", "markdown_plan", "open_to_buy"]
SHARD = "00"


@pytest.fixture
def database_url(home: Path) -> str:
    """What is read is the same on both databases, which the store's own tests show."""
    home.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{home / 'store.db'}"


@pytest.fixture
def lake(books: BrandStore, tmp_path: Path) -> Lake:
    """A bag that sells 7 a week and is short, one that sells three times what was forecast, and far too many hats."""
    catalog, stock = tmp_path / "catalog.csv", tmp_path / "stock.csv"
    catalog.write_text(
        "sku,product,supplier,category,retail_price,cost,currency,lead_time_days,min_order_quantity\n"
        "BAG,B,Arnolfi,bags,300.00,100.00,EUR,14,6\nTOTE,T,Arnolfi,bags,150.00,100.00,EUR,14,1\nHAT,H,Brim,hats,90.00,30.00,EUR,14,1\n"
    )
    now = datetime.now(UTC).isoformat()
    stock.write_text(
        f"sku,occurred_at,kind,quantity,location\nBAG,{now},opening,4,main\nTOTE,{now},opening,90,main\n"
        f"HAT,{now},opening,900,main\n"
    )
    for kind, file in (("catalog", catalog), ("stock", stock)):
        assert ingest_reference(books, file, kind, lambda stage: None).exit_code == 0  # pyright: ignore[reportArgumentType]
    made = Lake(books.settings.lake_url, books.settings.brand)
    with books.read() as (connection, brand):
        made.write("catalog", read_catalog(connection, brand))
        made.write("sku_costs", read_costs(connection, brand))
    monday = datetime.now(UTC).date() - timedelta(days=datetime.now(UTC).weekday())
    weeks = [monday + timedelta(weeks=n) for n in range(13)]
    ahead = [
        {"sku": s, "week": w, "step": n + 1, "mean": 7.0, "upper": 10.0, "level": 0.8}
        for s in ("BAG", "TOTE", "HAT")
        for n, w in enumerate(weeks)
    ]
    made.write("demand_forecast", framed(ahead, FORECAST_SCHEMA), SHARD)
    past = [monday - timedelta(weeks=n + 1) for n in range(8)]
    sold = {"BAG": 7, "TOTE": 21, "HAT": 7}
    made.write(
        "demand_history",
        framed([{"sku": s, "week": w, "units_sold": n} for s, n in sold.items() for w in past], HISTORY),
        SHARD,
    )
    tried = [
        {
            "sku": s,
            "cutoff": past[-1] - timedelta(weeks=1),
            "week": w,
            "step": n + 1,
            "units": 9.0,
            "mean": 7.0,
            "q0.975": 12.0,
        }
        for s in sold
        for n, w in enumerate(reversed(past))
    ]
    made.write("forecast_backtest", framed(tried, BACKTEST_SCHEMA), SHARD)
    moved = {
        "sku": ["BAG"],
        "location": ["main"],
        "day": [monday - timedelta(days=9)],
        "kind": ["sale"],
        "quantity": [-7],
    }
    made.write("stock_movements", pl.DataFrame(moved), "2026-01-01")
    return made


def framed(rows: list[dict[str, Any]], schema: dict[str, pl.DataType]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=schema)


def make(names: list[str], **tags: str) -> dict[str, bool]:
    """Make these assets; which of their checks passed."""
    assets = dg.load_assets_from_modules([inventory, buying_assets, forecasting, finance, fx_assets, valuation_assets])
    apart = ("equal_the_movements",)
    found = [check for check in checks.CHECKS if not any(spec.name in apart for spec in check.check_specs)]
    done = dg.materialize(
        [*cast("list[dg.AssetsDefinition]", assets), *found],
        selection=dg.AssetSelection.assets(*names),
        resources={"io_manager": ParquetIOManager(), "lake": LakeResource(), "store": StoreResource()},
        tags=tags,
    )
    assert done.success
    return {one.check_name: one.passed for one in done.get_asset_check_evaluations()}


def test_the_plan_is_drafted_by_the_backtests_errors_and_told_of(lake: Lake, books: BrandStore) -> None:
    passed = make(NAMES)
    assert passed["quantities_can_be_ordered"]
    assert all(passed.values())
    plan = {row["sku"]: row for row in lake.read("reorder_plan").to_dicts()}
    # Off by 2 units in each of three weeks: the errors add up, and the forecast's own interval plays no part.
    assert plan["BAG"]["sigma_weekly"] == pytest.approx(6 / 3**0.5)
    assert plan["BAG"]["recommended_quantity"] > 0
    assert lake.read("purchase_orders").select("sku", "status").rows() == [("BAG", "draft")]
    told = dict(lake.read("stock_alerts").select("sku", "kind").filter(pl.col("kind") == "high_demand").iter_rows())
    assert told == {"TOTE": "high_demand"}
    ahead = lake.read("stock_alerts").filter(pl.col("kind") == "stock_out_ahead")
    assert ahead["sku"].to_list() == ["BAG"]
    with books.read() as (connection, brand):
        assert on_order(connection, brand).is_empty()


def test_the_same_run_again_drafts_and_alerts_nothing_new(lake: Lake, books: BrandStore) -> None:
    make(NAMES)
    first = lake.read("stock_alerts")["alert_id"].to_list()
    make(NAMES)
    assert lake.read("stock_alerts")["alert_id"].to_list() == first
    with books.read() as (connection, brand):
        assert read_orders(connection, brand).height == 1


def test_what_a_replenishment_raises_itself_is_marked_as_attended_to(lake: Lake) -> None:
    make(NAMES, **{"luxauto/job": "replenishment"})
    alerts = lake.read("stock_alerts")
    marked = {row["kind"]: json.loads(row["details"]).get("attended", False) for row in alerts.to_dicts()}
    assert marked == {"low_stock": False, "stock_out_ahead": True, "high_demand": True}


def test_the_assets_around_buying_are_made_and_pass_their_checks(lake: Lake) -> None:
    make(NAMES)
    passed = make(AROUND)
    assert passed.keys() >= {
        "lead_times_are_days",
        "moves_between_two_places",
        "adds_up",
        "recovers_no_less_than_the_full_price",
    }
    assert all(passed.values())
    assert lake.read("supplier_lead_times")["lead_time_source"].to_list() == ["catalogue", "catalogue"]
    assert lake.read("markdown_plan")["sku"].to_list() == ["HAT"]
    assert lake.read("transfer_plan").is_empty()
    months = lake.read("open_to_buy")
    assert set(months["category"]) == {"bags", "hats"}
    assert (months.filter(pl.col("category") == "hats")["open_to_buy_minor"] < 0).all()


@pytest.mark.parametrize(
    ("asset", "change", "check"),
    [
        ("supplier_lead_times", {"lead_time_sd": -1.0}, checks.lead_times_are_days),
        ("markdown_plan", {"recovery_minor": 0}, checks.markdowns_are_sound),
        ("open_to_buy", {"open_to_buy_minor": 1}, checks.open_to_buy_adds_up),
        ("reorder_plan", {"recommended_quantity": 7}, checks.plan_is_possible),
    ],
)
def test_each_check_can_fail(asset: str, change: dict[str, Any], check: dg.AssetChecksDefinition, lake: Lake) -> None:
    make(NAMES)
    make(AROUND)
    frame = lake.read(asset)
    lake.write(
        asset, frame.with_columns(pl.lit(value, frame.schema[name]).alias(name) for name, value in change.items())
    )
    found = cast("dg.AssetCheckResult", check(lake))
    assert not found.passed
