"""The assets around buying: how long suppliers take, what moves before anything is bought, what is marked down, open to buy.

Belongs here: which frames they are made of, and what is shown. Does not belong here: the formulas (`buying`), the reorder plan
and its orders (`assets`).
"""

from datetime import UTC, date, datetime

import dagster as dg
import polars as pl

from assets.inventory.buying.lead_times import LEAD_TIMES, supplier_lead_times
from assets.inventory.buying.markdowns import MARKDOWN_PLAN, suggest_markdowns
from assets.inventory.buying.open_to_buy import OPEN_TO_BUY, open_to_buy
from assets.inventory.buying.settings import load_buying
from assets.inventory.buying.transfers import TRANSFERS, demand_shares, propose_transfers
from assets.inventory.buying_plan import learnt_lead_times
from assets.inventory.levels import day_after_last_movement
from assets.presentation import asset_options, result
from resources.store.brand_store import BrandStore
from resources.store.purchasing import coming
from resources.store.stock_keeping import read_levels_by_location


@dg.asset(
    name="supplier_lead_times",
    deps=["purchase_orders", "stock_movements"],
    **asset_options("inventory", LEAD_TIMES, kinds={"sql", "parquet"}),
)
def supplier_lead_times_asset(
    store: dg.ResourceParam[BrandStore], catalog: pl.DataFrame
) -> dg.MaterializeResult[pl.DataFrame]:
    """How long each supplier takes, learnt from receipts of orders and held by what the catalogue promises."""
    buying = load_buying(store.settings.home)
    with store.read() as (connection, brand):
        learnt = learnt_lead_times(connection, brand, buying, datetime.now(UTC).date())
    frame = supplier_lead_times(learnt, catalog, buying.default_lead_time_days)

    def plot() -> bytes:
        from assets.charts import bar_ranking

        slow = frame.sort("lead_time_mean", descending=True).head(10)
        return bar_ranking(slow["supplier"].to_list(), slow["lead_time_mean"].to_list(), "Days from order to shelf")

    drawn = plot if frame.height else None
    return result(frame, drawn, "Days from order to shelf, slowest ten suppliers", orders_seen=learnt.everybody.orders)


@dg.asset(deps=["stock_levels"], **asset_options("inventory", TRANSFERS, kinds={"sql", "parquet"}))
def transfer_plan(
    store: dg.ResourceParam[BrandStore], reorder_plan: pl.DataFrame, stock_movements: pl.LazyFrame
) -> dg.MaterializeResult[pl.DataFrame]:
    """What one location has too much of and another needs: to be moved before anything is bought."""
    buying = load_buying(store.settings.home)
    newest = reorder_plan["as_of"].max()
    as_of = newest if isinstance(newest, date) else datetime.now(UTC).date()
    moved = stock_movements.select("sku", "location", "day", "kind", "quantity").collect()
    with store.read() as (connection, brand):
        levels = read_levels_by_location(connection, brand)
    frame = propose_transfers(levels, demand_shares(moved, as_of), reorder_plan, buying)
    return result(frame, units=int(frame["quantity"].sum()))


@dg.asset(**asset_options("inventory", MARKDOWN_PLAN, kinds={"parquet"}))
def markdown_plan(
    store: dg.ResourceParam[BrandStore], stock_levels: pl.DataFrame, reorder_plan: pl.DataFrame, catalog: pl.DataFrame
) -> dg.MaterializeResult[pl.DataFrame]:
    """What will not sell by its season's end or within the limit of cover, and the price step that recovers most."""
    buying = load_buying(store.settings.home)
    as_of = day_after_last_movement(stock_levels, datetime.now(UTC))
    frame = suggest_markdowns(stock_levels, reorder_plan, catalog, buying, as_of)
    return result(frame, elasticity_assumed=buying.elasticity, units=int(frame["excess_units"].sum()))


@dg.asset(
    name="open_to_buy", deps=["purchase_orders"], **asset_options("inventory", OPEN_TO_BUY, kinds={"sql", "parquet"})
)
def open_to_buy_asset(
    store: dg.ResourceParam[BrandStore],
    stock_levels: pl.DataFrame,
    demand_forecast: pl.DataFrame,
    catalog: pl.DataFrame,
    markdown_plan: pl.DataFrame,
) -> dg.MaterializeResult[pl.DataFrame]:
    """What may still be bought in each month and category so that stock ends where it is planned to, at retail value."""
    buying = load_buying(store.settings.home)
    as_of = day_after_last_movement(stock_levels, datetime.now(UTC))
    with store.read() as (connection, brand):
        due = coming(connection, brand)
    frame = open_to_buy(stock_levels, demand_forecast, catalog, due, buying, as_of, markdown_plan)
    return result(frame)
