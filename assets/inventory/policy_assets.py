"""What each way of buying would have earned on the brand's own last half year: `policy_comparison`, made once a week.

Belongs here: which frames are replayed, and what is shown. Does not belong here: the replay (`simulation`).
"""

from datetime import timedelta
from typing import TYPE_CHECKING

import dagster as dg
import polars as pl

from assets.expectations import sql_check
from assets.presentation import asset_options, result

if TYPE_CHECKING:
    from assets.inventory.simulation.comparison import Result

REPLAYED_WEEKS, PAST_WEEKS = 26, 26
LEAST_WEEKS = REPLAYED_WEEKS + PAST_WEEKS + 13
_USUAL_LEAD_DAYS = 28
COMPARISON: dict[str, pl.DataType] = {
    "policy": pl.String(),
    "settings": pl.String(),
    "fill_rate": pl.Float64(),
    "stock_outs": pl.Float64(),
    "weeks_of_stock": pl.Float64(),
    "stock_value_minor": pl.Int64(),
    "orders": pl.Int64(),
    "profit_minor": pl.Int64(),
    "of_foresight": pl.Float64(),
}


@dg.asset(**asset_options("inventory", COMPARISON, kinds={"parquet"}))
def policy_comparison(
    context: dg.AssetExecutionContext, demand_history: pl.DataFrame, catalog: pl.DataFrame, sku_costs: pl.DataFrame
) -> dg.MaterializeResult[pl.DataFrame]:
    """The last half year under each policy: by the forecast, classic, a fixed point, and perfect foresight as the bound."""
    from assets.inventory.simulation.comparison import POLICIES, Plan, compare, forecasts_for
    from assets.inventory.simulation.setting import Costs, LeadTimes, panel_of

    demand = _demand(demand_history, sku_costs)
    weeks = demand["ds"].n_unique()
    if weeks < LEAST_WEEKS:
        context.log.info(
            f"{weeks} weeks with a price and a cost are known, {LEAST_WEEKS} are needed to replay a half year"
        )
        return result(pl.DataFrame(schema=COMPARISON), None, "", weeks_known=weeks, weeks_needed=LEAST_WEEKS)
    costs, days = Costs.of({"holding": 0.25, "salvage": None}), _lead_days(catalog)
    panel = panel_of(demand, costs)
    begin = panel.end - timedelta(weeks=REPLAYED_WEEKS)
    plan = Plan(costs, LeadTimes.parse(f"{round(0.75 * days)}-{round(1.25 * days)}"), past_weeks=PAST_WEEKS)
    known = forecasts_for(panel, begin, panel.end, PAST_WEEKS)
    results, _ = compare(panel, begin, panel.end, plan, POLICIES, known)
    rows = [one.as_dict() | {"weeks_of_stock": one.weeks_of_cover} | _in_minor_units(one) for one in results]
    frame = pl.DataFrame(rows).select(pl.col(name).cast(dtype) for name, dtype in COMPARISON.items())
    frame = frame.sort("profit_minor", descending=True)

    def plot() -> bytes:
        from assets.charts import bar_ranking

        shares = [round(100 * share, 1) for share in frame["of_foresight"].fill_null(0.0)]
        return bar_ranking(frame["policy"].to_list(), shares, "Profit by policy, % of perfect foresight")

    return result(
        frame, plot, "Profit by policy", replayed_from=begin.isoformat(), skus=len(panel.skus), lead_days=days
    )


def _in_minor_units(one: "Result") -> dict[str, int]:
    """Prices and costs went in as minor units, so amounts come out as such."""
    return {"stock_value_minor": round(one.stock_value), "profit_minor": round(one.profit)}


def _demand(history: pl.DataFrame, costs: pl.DataFrame) -> pl.DataFrame:
    """Demand of SKUs whose price and cost are known in one currency: unique_id, ds, y, price, unit_cost (minor units)."""
    newest = costs.sort("valid_from").group_by("sku").last()
    usual = newest["currency"].mode().sort()
    unit_costs = newest.filter(pl.col("currency").is_in(usual.head(1).to_list())).select("sku", unit_cost="cost_minor")
    price = pl.col("price").drop_nulls().last().over("sku", order_by="week").alias("price")
    return (
        history.join(unit_costs, on="sku")
        .with_columns(price)
        .filter(pl.col("price") > pl.col("unit_cost"))
        .select(
            pl.col("sku").alias("unique_id"),
            pl.col("week").alias("ds"),
            pl.col("units").clip(lower_bound=0.0).round().cast(pl.Int64).alias("y"),
            "price",
            pl.col("unit_cost").cast(pl.Float64),
        )
    )


def _lead_days(catalog: pl.DataFrame) -> int:
    median = catalog["lead_time_days"].drop_nulls().median()
    return int(median) if isinstance(median, float | int) and median > 0 else _USUAL_LEAD_DAYS


nobody_beats_foresight = sql_check(
    "policy_comparison",
    "nobody_beats_foresight",
    """
    SELECT policy, profit_minor FROM policy_comparison
    WHERE profit_minor > (SELECT max(profit_minor) FROM policy_comparison WHERE policy = 'foresight')
    """,
    "Perfect foresight earns the most.",
)

CHECKS = [nobody_beats_foresight]
