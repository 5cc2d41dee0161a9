"""The forecasting assets: what was wanted, what will be, what was forecast and what came; a partition a shard of SKUs."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import polars as pl

from assets.forecasting.accuracy import accuracy_over_time, by_cutoff
from assets.forecasting.demand import weekly_demand
from assets.forecasting.schemas import (
    ACCURACY_SCHEMA,
    BACKTEST_SCHEMA,
    BY_CHANNEL_SCHEMA,
    FORECAST_SCHEMA,
    HISTORY,
    LEVELS_SCHEMA,
    SHARD,
    WORDS,
)
from assets.forecasting.shards import KEYS, with_shard
from assets.partitions import SHARDS
from assets.presentation import asset_options, count_days, metadata_of, result
from resources.io_manager import PARTITION_COLUMN
from resources.lake import Lake, MissingAsset
from resources.store.brand_store import BrandStore

_ALL = dg.AllPartitionMapping()


def _sharded(schema: dict[str, pl.DataType], kinds: set[str]) -> Any:
    return asset_options("forecasting", schema, kinds=kinds, words=WORDS, **{PARTITION_COLUMN: SHARD})


@dg.asset(
    partitions_def=SHARDS,
    ins={"transactions": dg.AssetIn(partition_mapping=_ALL), "stock_movements": dg.AssetIn(partition_mapping=_ALL)},
    **_sharded(HISTORY, {"parquet"}),
)
def demand_history(
    context: dg.AssetExecutionContext, transactions: pl.LazyFrame, stock_movements: pl.LazyFrame
) -> dg.MaterializeResult[pl.DataFrame]:
    """What was wanted of each SKU by whole week: sold, less bulk and cancelled orders, and what an empty shelf lost."""
    weeks = with_shard(weekly_demand(transactions, movements=stock_movements))
    frame = weeks.filter(pl.col(SHARD).is_in(context.partition_keys))
    count_days(context, frame, SHARD)

    def plot() -> bytes:
        from assets.charts import line_chart

        total = frame.group_by("week").agg(pl.col("units_sold", "units").sum()).sort("week")
        return line_chart(total, "week", ["units_sold", "units"], "Sold, and wanted", "units")

    lost = frame.filter(pl.col("days_out_of_stock") > 0)
    return result(
        frame,
        plot,
        "Units sold and wanted by week",
        preview=frame.sort("week", descending=True),
        skus=frame["sku"].n_unique(),
        weeks_out_of_stock=lost.height,
        units_lost=round(float(lost["units_lost"].sum()), 1),
    )


def _out(schema: dict[str, pl.DataType], description: str) -> dg.AssetOut:
    options = _sharded(schema, {"prophet", "lightgbm", "parquet"})
    options.pop("backfill_policy")
    return dg.AssetOut(description=description, dagster_type=pl.DataFrame, **options)


@dg.multi_asset(
    outs={
        "demand_forecast": _out(FORECAST_SCHEMA, "The coming 13 weeks of every SKU: mean and quantiles."),
        "forecast_backtest": _out(
            BACKTEST_SCHEMA,
            "What would have been forecast from earlier weeks by what was known then, beside what came.",
        ),
    },
    partitions_def=SHARDS,
    backfill_policy=dg.BackfillPolicy.single_run(),
)
def demand_forecasts(
    context: dg.AssetExecutionContext,
    store: dg.ResourceParam[BrandStore],
    demand_history: pl.DataFrame,
    catalog: pl.DataFrame,
) -> Iterator[dg.Output[pl.DataFrame]]:
    """Members, boosting and a shared season combined; intervals that hold; a champion for each SKU; curves for new items."""
    from assets.forecasting.members import Memory
    from assets.forecasting.served import forecast_shard

    folder = store.settings.home / "forecasts" / store.settings.brand
    forecasts, backtests = [pl.DataFrame(schema=FORECAST_SCHEMA)], [pl.DataFrame(schema=BACKTEST_SCHEMA)]
    whole = set(context.partition_keys) == set(KEYS)
    unsold = set(catalog["sku"]) - set(demand_history["sku"]) if whole else set()
    for key in context.partition_keys:
        history = demand_history.filter(pl.col(SHARD) == key)
        if history.is_empty():
            continue
        # Histories that did not change since the last run are not fitted again.
        memory = Memory(folder / f"members-{key}.parquet")
        country = store.settings.current.country
        made = forecast_shard(history, catalog, country=country, memory=memory, unsold=unsold if key == KEYS[0] else ())
        memory.save()
        context.log.info(f"shard {key}: {history['sku'].n_unique()} SKUs, {memory.fitted} histories fitted")
        forecasts.append(made.forecasts)
        backtests.append(made.backtest)
    forecast, backtest = pl.concat(forecasts), pl.concat(backtests)
    for name, frame in (("demand_forecast", forecast), ("forecast_backtest", backtest)):
        count_days(context, frame, SHARD, asset=name)
    yield dg.Output(forecast, "demand_forecast", metadata=_of_forecast(forecast, demand_history))
    yield dg.Output(backtest, "forecast_backtest", metadata=_of_backtest(backtest))


def _of_forecast(forecast: pl.DataFrame, history: pl.DataFrame) -> dict[str, Any]:
    from assets.forecasting.totals import total_fan

    def fan() -> bytes:
        from assets.charts import fan_chart

        return fan_chart(total_fan(forecast, history).tail(65), "Units a week, all SKUs")

    return metadata_of(forecast, fan, "Forecast of all SKUs with its interval", skus=forecast["sku"].n_unique())


def _of_backtest(backtest: pl.DataFrame) -> dict[str, Any]:
    """Measures of the newest origin by class, which nothing that was chosen has seen, and who was champion."""
    from assets.charts import bar_ranking, inline_png
    from assets.forecasting.demand_class import NAMES
    from assets.forecasting.scores import score

    locked = backtest.filter("locked").with_columns(unique_id=pl.col("sku"), y=pl.col("units"))
    overall = score(locked)
    if overall is None:
        return metadata_of(backtest)
    of_class = {name: score(locked.filter(pl.col("demand_class") == name)) for name in NAMES}
    known = {name: scores.weighted_pinball for name, scores in of_class.items() if scores and scores.weighted_pinball}
    models = locked.group_by("model").agg(pl.col("sku").n_unique().alias("skus")).sort("skus", descending=True)
    champions = bar_ranking(models["model"].to_list(), models["skus"].to_list(), "SKUs by champion")
    return metadata_of(
        backtest,
        lambda: bar_ranking(list(known), [round(value, 3) for value in known.values()], "Weighted pinball by class"),
        "Weighted pinball loss by demand class",
        preview=locked.sort("scale", descending=True),
        champion_map=dg.MetadataValue.md(inline_png(champions, "SKUs by champion")),
        **{name: value for name, value in overall.as_dict().items() if value is not None},
    )


@dg.asset(
    **asset_options("forecasting", ACCURACY_SCHEMA, kinds={"parquet"}, words=WORDS),
)
def forecast_accuracy(
    lake: dg.ResourceParam[Lake], demand_forecast: pl.DataFrame, demand_history: pl.DataFrame
) -> dg.MaterializeResult[pl.DataFrame]:
    """What was said then against what came, kept for a year of forecasts: the only measure that no backtest can flatter."""
    try:
        said = lake.read("forecast_accuracy")
    except MissingAsset:
        said = pl.DataFrame(schema=ACCURACY_SCHEMA)
    if said.schema != pl.Schema(ACCURACY_SCHEMA):
        said = pl.DataFrame(schema=ACCURACY_SCHEMA)
    frame = accuracy_over_time(said, demand_forecast, demand_history)
    told = by_cutoff(frame)

    def plot() -> bytes:
        from assets.charts import line_chart

        return line_chart(told, "cutoff", ["wape", "coverage"], "What was said, against what came", "share")

    return result(
        frame,
        plot if told.height else None,
        "WAPE and coverage of what was said, by when it was said",
        preview=told.sort("cutoff", descending=True) if told.height else frame,
        cutoffs=frame["cutoff"].n_unique(),
        weeks_known=int(frame["units"].is_not_null().sum()),
    )


@dg.asset(
    **asset_options("forecasting", LEVELS_SCHEMA, kinds={"parquet"}, words=WORDS),
)
def forecast_hierarchy(
    demand_forecast: pl.DataFrame, forecast_backtest: pl.DataFrame, demand_history: pl.DataFrame, catalog: pl.DataFrame
) -> dg.MaterializeResult[pl.DataFrame]:
    """Forecasts of brand, categories, products and SKUs that add up: each level forecast by itself, then reconciled."""
    from assets.forecasting.levels import coherent_levels

    frame = coherent_levels(demand_forecast, forecast_backtest, demand_history, catalog)

    def plot() -> bytes:
        from assets.charts import line_chart

        brand = frame.filter(pl.col("hierarchy_level") == "brand").sort("week")
        return line_chart(brand, "week", ["mean", "base_mean"], "The brand, reconciled and by itself", "units")

    levels = frame.group_by("hierarchy_level").agg(pl.col("node").n_unique().alias("nodes"))
    return result(
        frame,
        plot if frame.height else None,
        "The brand's forecast, reconciled and by itself",
        preview=frame.filter(pl.col("hierarchy_level") != "sku"),
        **{f"nodes_{level}": nodes for level, nodes in levels.iter_rows()},
    )


@dg.asset(
    **asset_options("forecasting", BY_CHANNEL_SCHEMA, kinds={"parquet"}, words=WORDS),
)
def demand_forecast_by_channel(
    demand_forecast: pl.DataFrame, transactions: pl.LazyFrame
) -> dg.MaterializeResult[pl.DataFrame]:
    """Every SKU's forecast by channel and country, by who bought it in the last half year; the parts sum to the SKU."""
    from assets.forecasting.by_channel import forecast_by_channel

    frame = forecast_by_channel(demand_forecast, transactions)

    def plot() -> bytes:
        from assets.charts import stacked_bars

        total = (
            frame.group_by("week", "channel").agg(pl.col("mean").sum()).pivot("channel", index="week", values="mean")
        )
        return stacked_bars(total.sort("week"), "week", sorted(total.columns[1:]), "Forecast by channel", "units")

    return result(frame, plot if frame.height else None, "Units that are forecast, by week and channel")
