"""The forecasting assets: weekly demand, the forecast and how good it was."""

from collections.abc import Iterator

import dagster as dg
import polars as pl

from assets.forecasting.demand import DEMAND_SCHEMA, weekly_demand
from assets.forecasting.schemas import FORECAST_SCHEMA, SCORE_SCHEMA
from assets.presentation import asset_options, metadata_of, result
from resources.store.brand_store import BrandStore


@dg.asset(**asset_options("forecasting", DEMAND_SCHEMA, kinds={"parquet"}))
def demand_history(transactions: pl.LazyFrame) -> dg.MaterializeResult[pl.DataFrame]:
    """Units sold and returned by SKU and week, without holes; the running week is left out."""
    frame = weekly_demand(transactions)

    def plot() -> bytes:
        from assets.charts import line_chart

        total = frame.group_by("week").agg(pl.col("units_sold", "units_returned").sum()).sort("week")
        return line_chart(total, "week", ["units_sold", "units_returned"], "Units by week", "units")

    return result(frame, plot, "Units sold and returned by week", preview=frame.sort("week", descending=True))


def _out(schema: dict[str, pl.DataType], description: str) -> dg.AssetOut:
    options = asset_options("forecasting", schema, kinds={"prophet", "parquet"})
    options.pop("backfill_policy")
    return dg.AssetOut(description=description, dagster_type=pl.DataFrame, **options)


@dg.multi_asset(
    outs={
        "demand_forecast": _out(FORECAST_SCHEMA, "The coming 13 weeks of every SKU with an 80 % interval."),
        "forecast_accuracy": _out(SCORE_SCHEMA, "How each model did on held-out weeks, and which was chosen."),
    },
    backfill_policy=dg.BackfillPolicy.single_run(),
)
def demand_forecasts(
    context: dg.AssetExecutionContext, store: dg.ResourceParam[BrandStore], demand_history: pl.DataFrame
) -> Iterator[dg.Output[pl.DataFrame]]:
    """Prophet and last year's weeks beside the recent mean, the best per SKU by a rolling-origin backtest."""
    from assets.forecasting.forecast import forecast_demand, total_fan

    context.log.info(f"forecasting {demand_history['sku'].n_unique()} SKUs")
    made = forecast_demand(demand_history, prophet_skus=store.settings.prophet_skus)
    fan = total_fan(made.forecasts, demand_history)
    chosen = made.scores.filter(pl.col("chosen"))

    def fan_plot() -> bytes:
        from assets.charts import fan_chart

        return fan_chart(fan.tail(65), "Units a week, all SKUs")

    def models_plot() -> bytes:
        from assets.charts import bar_ranking

        models = chosen.group_by("model").len().sort("len", descending=True)
        return bar_ranking(models["model"].to_list(), models["len"].to_list(), "SKUs by chosen model")

    yield dg.Output(
        made.forecasts,
        "demand_forecast",
        metadata=metadata_of(made.forecasts, fan_plot, "Forecast of all SKUs with its interval"),
    )
    yield dg.Output(
        made.scores,
        "forecast_accuracy",
        metadata=metadata_of(made.scores, models_plot, "SKUs by chosen model", preview=chosen.sort("rmsse")),
    )
