"""The assets of what stock is worth: the value of each day's movements, and what is left in all.

Belongs here: when movements are valued. Does not belong here: how (`valuation`), and accounts (`assets/finance`).
"""

from datetime import date

import dagster as dg
import polars as pl

from assets.finance.money import exponent
from assets.inventory.stock_values import base_value, value_new
from assets.inventory.stock_worth import STOCK_WORTH, History, stock_worth, totals
from assets.partitions import DAILY, day_range
from assets.presentation import asset_options, count_days, result
from resources.store.brand_store import BrandStore
from resources.store.stock_valuation import VALUED, read_layers, read_purchases, read_valued


@dg.asset(
    partitions_def=DAILY,
    deps=["sku_costs", "stock_movements"],
    **asset_options("inventory", VALUED, kinds={"sql", "parquet"}),
)
def movement_costs(
    context: dg.AssetExecutionContext, store: dg.ResourceParam[BrandStore]
) -> dg.MaterializeResult[pl.DataFrame]:
    """What the units of each movement of the day are worth: valued once, at the state of their SKU at that time."""
    first, last = map(date.fromisoformat, day_range(context))
    valued = value_new(store, last)
    with store.read() as (connection, brand):
        frame = read_valued(connection, brand, first, last)
    count_days(context, frame)
    unknown = int(frame.filter(pl.col("value_minor").is_null())["units"].abs().sum())
    return result(frame, movements_valued=valued, units_without_a_cost=unknown)


@dg.asset(deps=["ledger"], **asset_options("inventory", STOCK_WORTH, kinds={"sql", "parquet"}))
def stock_valuation(
    store: dg.ResourceParam[BrandStore],
    movement_costs: pl.LazyFrame,
    stock_movements: pl.LazyFrame,
    sku_costs: pl.DataFrame,
    fx_rates: pl.DataFrame,
) -> dg.MaterializeResult[pl.DataFrame]:
    """What stock is worth, SKU by SKU: by the brand's method, as the ledger has it, and beside it by the other methods."""
    current = store.settings.current
    with store.read() as (connection, brand):
        layers, purchases = read_layers(connection, brand), read_purchases(connection, brand)
    moved = stock_movements.select("movement_id", "sku", "day", "kind", "quantity", "reference").collect()
    base_values = base_value(movement_costs.collect(), fx_rates, current.base_currency)
    history = History(moved, sku_costs, purchases)
    frame = stock_worth(layers, base_values, history, current.costing, current.base_currency)

    def plot() -> bytes:
        from assets.charts import Unit, bar_ranking

        top = frame.drop_nulls("base_value_minor").sort("base_value_minor", descending=True).head(10)
        unit = Unit(currency=current.base_currency, exponent=exponent(current.base_currency))
        return bar_ranking(top["sku"].to_list(), top["base_value_minor"].to_list(), "Stock value, first ten SKUs", unit)

    worth = {f"value_{currency}": minor for currency, _, _, minor in totals(frame).iter_rows() if currency is not None}
    unknown = int(frame.filter(pl.col("value_minor").is_null())["units"].sum())
    return result(frame, plot, "Ten most valuable SKUs", units_without_a_cost=unknown, **worth)
