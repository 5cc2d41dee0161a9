"""The inventory assets: catalogue and costs, movements and levels, alerts, the reorder plan and its purchase orders."""

import json
from datetime import UTC, date, datetime

import dagster as dg
import polars as pl

from assets.inventory.buying.ahead import AHEAD, high_demand, stock_out_ahead
from assets.inventory.buying.settings import load_buying
from assets.inventory.buying_plan import Frames, plan_purchases, read_backtest
from assets.inventory.levels import ALERTS_WANTED, day_after_last_movement, low_stock
from assets.inventory.reorder import REORDER_SCHEMA, order_needs
from assets.partitions import DAILY, day_range
from assets.presentation import asset_options, count_days, result
from resources.lake import Lake
from resources.store.brand_store import BrandStore
from resources.store.catalog import CATALOG, COSTS, read_catalog, read_costs, write_reorder_points
from resources.store.purchasing import ORDERS, draft_orders, read_orders, settle_received
from resources.store.stock import LEVELS, MOVEMENTS, raise_alerts, read_alerts, read_levels, read_movements

STOCK_LEVELS = {name: dtype for name, dtype in LEVELS.items() if name != "reorder_point"}
ALERTS: dict[str, pl.DataType] = {
    "alert_id": pl.Int64(),
    "sku": pl.String(),
    "kind": pl.String(),
    "status": pl.String(),
    "opened_at": pl.Datetime("us", "UTC"),
    "details": pl.String(),
}


@dg.asset(**asset_options("inventory", CATALOG, kinds={"sql", "parquet"}))
def catalog(store: dg.ResourceParam[BrandStore]) -> dg.MaterializeResult[pl.DataFrame]:
    """Every SKU with its product, category, collection, supplier and lead time."""
    with store.read() as (connection, brand):
        frame = read_catalog(connection, brand)
    return result(frame)


@dg.asset(**asset_options("inventory", COSTS, kinds={"sql", "parquet"}))
def sku_costs(store: dg.ResourceParam[BrandStore]) -> dg.MaterializeResult[pl.DataFrame]:
    """The cost table: what one unit costs from a day on. A SKU without a row has no known cost."""
    with store.read() as (connection, brand):
        frame = read_costs(connection, brand)
    return result(frame)


@dg.asset(partitions_def=DAILY, **asset_options("inventory", MOVEMENTS, kinds={"sql", "parquet"}))
def stock_movements(
    context: dg.AssetExecutionContext, store: dg.ResourceParam[BrandStore]
) -> dg.MaterializeResult[pl.DataFrame]:
    """Units in and out of every location on the day: the source of every level."""
    first, last = map(date.fromisoformat, day_range(context))
    with store.read() as (connection, brand):
        frame = read_movements(connection, brand, first, last)
    count_days(context, frame)
    return result(frame)


@dg.asset(deps=["stock_movements"], **asset_options("inventory", STOCK_LEVELS, kinds={"sql", "parquet"}))
def stock_levels(store: dg.ResourceParam[BrandStore]) -> dg.MaterializeResult[pl.DataFrame]:
    """On hand, reserved and available of every SKU that ever moved: sums of movements."""
    with store.read() as (connection, brand):
        # The reorder point is the plan's, which comes after the levels.
        frame = read_levels(connection, brand).select(*STOCK_LEVELS)

    def plot() -> bytes:
        from assets.charts import bar_ranking

        lowest = frame.filter(pl.col("counted")).sort("available").head(10)
        return bar_ranking(lowest["sku"].to_list(), lowest["available"].to_list(), "Units available, lowest ten SKUs")

    uncounted = frame.filter(~pl.col("counted")).height
    return result(frame, plot, "Lowest ten SKUs by units available", skus_never_counted=uncounted)


@dg.asset(
    name="reorder_plan", deps=["forecast_backtest"], **asset_options("inventory", REORDER_SCHEMA, kinds={"parquet"})
)
def reorder_plan_asset(
    store: dg.ResourceParam[BrandStore],
    lake: dg.ResourceParam[Lake],
    stock_levels: pl.DataFrame,
    demand_forecast: pl.DataFrame,
    catalog: pl.DataFrame,
    sku_costs: pl.DataFrame,
) -> dg.MaterializeResult[pl.DataFrame]:
    """What to order, how much and why; the computed reorder points are kept on the SKUs, where no person has set one."""
    as_of = day_after_last_movement(stock_levels, datetime.now(UTC))
    frames = Frames(stock_levels, demand_forecast, catalog, sku_costs, read_backtest(lake))
    buying = load_buying(store.settings.home)
    with store.read() as (connection, brand):
        proposed = plan_purchases(connection, brand, store.settings, buying, frames, as_of)
    frame = proposed.plan
    with store.write() as (connection, brand):
        write_reorder_points(connection, brand, frame.select("sku", "reorder_point"))

    def plot() -> bytes:
        from assets.charts import bar_ranking

        needed = frame.filter(pl.col("recommended_quantity") > 0).sort("recommended_quantity", descending=True).head(10)
        return bar_ranking(
            needed["sku"].to_list(), needed["recommended_quantity"].to_list(), "Units to order, first ten SKUs"
        )

    urgent = frame.filter(pl.col("recommended_quantity") > 0).sort("stockout_on", nulls_last=True)
    return result(
        frame,
        plot,
        "Units to order",
        preview=urgent,
        skus_to_order=urgent.height,
        as_of=as_of.isoformat(),
        chosen_by=proposed.choice.method,
        errors_from="demand_forecast" if frames.backtest is None else "forecast_backtest",
    )


@dg.asset(deps=["forecast_backtest", "stock_levels"], **asset_options("inventory", ALERTS, kinds={"sql", "parquet"}))
def stock_alerts(
    context: dg.AssetExecutionContext,
    store: dg.ResourceParam[BrandStore],
    lake: dg.ResourceParam[Lake],
    reorder_plan: pl.DataFrame,
    demand_forecast: pl.DataFrame,
    demand_history: pl.DataFrame,
) -> dg.MaterializeResult[pl.DataFrame]:
    """Unresolved alerts: SKUs that are low or out of stock, will run out, or sell above their forecast. Over: resolved."""
    weeks = load_buying(store.settings.home).high_demand_weeks
    rising = high_demand(demand_history, demand_forecast, read_backtest(lake), weeks)
    ahead = pl.concat([stock_out_ahead(reorder_plan), rising])
    # This run drafts the orders itself: the sensor need not start another one for them.
    attended = context.run.tags.get("luxauto/job") == "replenishment"
    if attended:
        ahead = ahead.with_columns(pl.col("details").map_elements(_attended, return_dtype=pl.String))
    with store.write() as (connection, brand):
        raise_alerts(connection, brand, low_stock(read_levels(connection, brand)).select(*ALERTS_WANTED))
        raise_alerts(connection, brand, ahead, AHEAD)
        frame = read_alerts(connection, brand)
    return result(frame)


def _attended(details: str) -> str:
    return json.dumps({**json.loads(details), "attended": True})


@dg.asset(**asset_options("inventory", ORDERS, kinds={"sql", "parquet"}))
def purchase_orders(
    store: dg.ResourceParam[BrandStore], reorder_plan: pl.DataFrame, catalog: pl.DataFrame, sku_costs: pl.DataFrame
) -> dg.MaterializeResult[pl.DataFrame]:
    """Drafts, one a supplier, of what the plan recommends; what an open order already brings is not ordered again."""
    needs = order_needs(reorder_plan, catalog, sku_costs, datetime.now(UTC).date())
    with store.write() as (connection, brand):
        settle_received(connection, brand)
        seen = reorder_plan.select("sku", "on_order")
        change = load_buying(store.settings.home).material_change
        drafted = draft_orders(connection, brand, needs, seen, join=True, material_change=change)
        frame = read_orders(connection, brand)
    return result(
        frame,
        drafts_written=drafted.written,
        drafts_revised=drafted.revised,
        skus_held_back=len(drafted.held_back),
        details=json.dumps({"skus": needs.height}),
    )
