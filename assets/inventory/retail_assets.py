"""The assets that say how well stock sells: sell-through, weeks of cover, markdowns, turns and the return on stock.

Belongs here: which frames they are made of, and what is shown. Does not belong here: the formulas (`retail`).
"""

from datetime import date

import dagster as dg
import polars as pl

from assets.finance.monthly import month_options, result_by_month
from assets.finance.posting import value_lines, with_line_costs
from assets.finance.stock_postings import line_costs
from assets.inventory import retail
from assets.partitions import months_of
from assets.presentation import asset_options, result
from resources.store.brand_store import BrandStore


@dg.asset(name="sell_through", **month_options(retail.SELL_THROUGH, reads=["stock_movements"], group="inventory"))
def sell_through_asset(
    context: dg.AssetExecutionContext, stock_movements: pl.LazyFrame, catalog: pl.DataFrame
) -> dg.MaterializeResult[pl.DataFrame]:
    """How much of what there was to sell of each SKU in the month was sold."""
    (first, _), (_, last) = months_of(context)[0], months_of(context)[-1]
    moved = stock_movements.filter(pl.col("day") <= last).select("sku", "day", "kind", "quantity").collect()
    frame = retail.sell_through(moved, catalog, last).filter(pl.col("month") >= first)
    by_collection = retail.sell_through_by_collection(frame)

    def plot() -> bytes:
        from assets.charts import line_chart

        largest = by_collection.group_by("collection").agg(pl.col("units_sold").sum()).top_k(6, by="units_sold")
        shown = by_collection.filter(pl.col("collection").is_in(largest["collection"].to_list()))
        percent = shown.with_columns(pl.col("sell_through") * 100)
        wide = percent.pivot("collection", index="month", values="sell_through").sort("month")
        return line_chart(wide, "month", wide.columns[1:], "Sell-through by collection", "%")

    drawn = plot if by_collection.height else None
    return result_by_month(context, frame, drawn, "Sell-through by collection")


@dg.asset(name="weeks_of_cover", **asset_options("inventory", retail.COVER, kinds={"parquet"}))
def weeks_of_cover_asset(
    stock_levels: pl.DataFrame, demand_history: pl.DataFrame, catalog: pl.DataFrame
) -> dg.MaterializeResult[pl.DataFrame]:
    """For how many weeks the stock of each SKU lasts, as it is now, at the pace of the last weeks."""
    frame = retail.weeks_of_cover(stock_levels, demand_history, catalog)

    def plot() -> bytes:
        from assets.charts import bar_ranking

        short = frame.drop_nulls("weeks_of_cover").head(10)
        return bar_ranking(short["sku"].to_list(), short["weeks_of_cover"].to_list(), "Weeks of cover, lowest ten SKUs")

    return result(frame, plot, "Lowest ten SKUs by weeks of cover", weeks_counted=retail.COVER_WEEKS)


@dg.asset(deps=["financial_report"], **asset_options("inventory", retail.MARKDOWNS, kinds={"parquet"}))
def markdown_effect(
    store: dg.ResourceParam[BrandStore],
    transactions: pl.LazyFrame,
    movement_costs: pl.LazyFrame,
    sku_costs: pl.DataFrame,
    fx_rates: pl.DataFrame,
    catalog: pl.DataFrame,
) -> dg.MaterializeResult[pl.DataFrame]:
    """What was sold at which discount off the list price, which is known as of now only, and what margin it left."""
    base = store.settings.current.base_currency
    goods = transactions.filter(pl.col("kind") == "goods").collect()
    known = with_line_costs(goods, line_costs(movement_costs.collect()))
    frame = retail.markdown_effect(value_lines(known, sku_costs, fx_rates, base), catalog, fx_rates, base)

    def plot() -> bytes:
        from assets.charts import bar_ranking

        shown = frame.drop_nulls("discount")
        return bar_ranking(
            shown["discount"].to_list(), shown["units"].to_list(), "Units by discount off the list price"
        )

    return result(frame, plot, "Units sold by discount")


@dg.asset(name="stock_turns", deps=["financial_report"], **asset_options("inventory", retail.TURNS, kinds={"parquet"}))
def stock_turns_asset(
    store: dg.ResourceParam[BrandStore],
    transactions: pl.LazyFrame,
    movement_costs: pl.LazyFrame,
    sku_costs: pl.DataFrame,
    fx_rates: pl.DataFrame,
    catalog: pl.DataFrame,
) -> dg.MaterializeResult[pl.DataFrame]:
    """How often each SKU's stock was sold in the last 365 days, and the gross margin for each unit of money that it ties up."""
    base = store.settings.current.base_currency
    goods = transactions.filter(pl.col("kind").is_in(["goods", "refund"])).collect()
    lines = value_lines(goods, sku_costs, fx_rates, base)
    changes = retail.base_changes(movement_costs.collect(), fx_rates, base)
    last = changes["day"].max()
    frame = retail.stock_turns(changes, lines, catalog, last if isinstance(last, date) else date.max)

    def plot() -> bytes:
        from assets.charts import bar_ranking

        best = frame.drop_nulls("gmroi").head(10)
        return bar_ranking(best["sku"].to_list(), best["gmroi"].to_list(), "GMROI, best ten SKUs")

    return result(frame, plot, "Ten SKUs of the best return", days=retail.YEAR_DAYS)
