"""The forecast that is served: every SKU's coming weeks, what was forecast at earlier origins, and who is new or over.

Belongs here: the frames of a shard. Does not belong here: how a panel is forecast (`ensemble`), launches and ends (`launches`).
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from assets.forecasting.demand_class import NAMES
from assets.forecasting.ensemble import LEAST_WEEKS, Forecaster
from assets.forecasting.evaluate import table_of, with_actuals
from assets.forecasting.launches import ACTIVE, launch_forecasts, lifecycle, new_skus, with_end_of_life
from assets.forecasting.members import Memory
from assets.forecasting.panel import Panel, read_panel, with_calendar
from assets.forecasting.schemas import BACKTEST_SCHEMA, FORECAST_SCHEMA, SHARD
from assets.forecasting.scores import QUANTILE_COLUMNS

HORIZON_WEEKS = 13
BACKTEST_ORIGINS = 3
INTERVAL_LEVEL = 0.80
LAUNCH = "launch_curve"
MOST_TIMES = 3.0
NEW_WEEKS = 8
"""An item younger than this is forecast by the curves of similar ones, where there are any."""
FREQ = "W-MON"


@dataclass(frozen=True)
class Served:
    """forecasts (FORECAST_SCHEMA): the coming weeks. backtest (BACKTEST_SCHEMA): what was said from earlier origins."""

    forecasts: pl.DataFrame
    backtest: pl.DataFrame


def forecast_shard(
    history: pl.DataFrame,
    attributes: pl.DataFrame,
    *,
    horizon: int = HORIZON_WEEKS,
    country: str | None = None,
    memory: Memory | None = None,
    seed: int = 0,
    unsold: Collection[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> Served:
    """Forecast the SKUs of a shard from `history` (HISTORY: what `demand.weekly_demand` returns, with its shard).

    The backtest goes back `BACKTEST_ORIGINS` horizons, as far as there is history; each origin was made of what was known
    then. Its newest origin is `locked`: nothing that is chosen has seen it. `attributes`: see `launches.launch_forecasts`.
    `country` (ISO 3166) adds its public holidays and sales periods. `unsold` are SKUs without a sale that this shard forecasts
    too. Raises InvalidPanel.
    """
    if history.is_empty():
        return Served(pl.DataFrame(schema=FORECAST_SCHEMA), pl.DataFrame(schema=BACKTEST_SCHEMA))
    panel = read_panel(history.select(unique_id="sku", ds="week", y=pl.col("units").clip(lower_bound=0.0)), FREQ)
    panel = with_calendar(panel, horizon, country) if country else panel
    forecaster = Forecaster(panel, horizon, memory=memory, seed=seed)
    origins = [panel.periods - horizon * back for back in range(BACKTEST_ORIGINS, 0, -1)]
    origins = [origin for origin in origins if origin >= LEAST_WEEKS]
    tables = []
    for done, origin in enumerate(origins):
        tables.append(_backtested(panel, forecaster, origin, locked=origin == origins[-1]))
        if progress:
            progress(done + 1, len(origins) + 1)
    coming = _named(table_of(panel, forecaster.at(panel.periods)))
    coming = _with_life(_with_launches(_guarded(coming, history), history, attributes, horizon, unsold), history)
    shard = history[SHARD][0]
    forecasts = coming.with_columns(
        pl.lit(shard).alias(SHARD),
        pl.lit(INTERVAL_LEVEL).alias("level"),
        pl.lit(panel.snapshot()).alias("snapshot"),
        lower=pl.min_horizontal("q0.1", "mean"),
        upper=pl.max_horizontal("q0.9", "mean"),
    )
    backtest = pl.concat([pl.DataFrame(schema=BACKTEST_SCHEMA), *(_typed(t, shard) for t in tables)])
    if progress:
        progress(len(origins) + 1, len(origins) + 1)
    return Served(
        forecasts.select(pl.col(name).cast(dtype) for name, dtype in FORECAST_SCHEMA.items()).sort("sku", "week"),
        backtest,
    )


def _named(table: pl.DataFrame) -> pl.DataFrame:
    """Rows of a panel under the names of the assets, with the step that they are ahead."""
    step = ((pl.col("ds") - pl.col("cutoff")).dt.total_days() // 7).alias("step")
    return table.select(
        pl.col("unique_id").alias("sku"),
        "cutoff",
        pl.col("ds").alias("week"),
        step,
        pl.exclude("ds", "cutoff", "unique_id"),
    )


def _backtested(panel: Panel, forecaster: Forecaster, origin: int, *, locked: bool) -> pl.DataFrame:
    forecast = forecaster.at(origin)
    kinds = dict(zip(panel.ids, (NAMES[kind] for kind in forecast.classes), strict=True))
    rows = with_actuals(table_of(panel, forecast), panel)
    return _named(rows).with_columns(
        pl.col("sku").replace_strict(kinds, return_dtype=pl.String).alias("demand_class"),
        pl.lit(locked).alias("locked"),
        units=pl.col("y"),
    )


def _typed(table: pl.DataFrame, shard: str) -> pl.DataFrame:
    rows = table.with_columns(pl.lit(shard).alias(SHARD))
    return rows.select(pl.col(name).cast(dtype) for name, dtype in BACKTEST_SCHEMA.items()).sort("sku", "week")


def _guarded(coming: pl.DataFrame, history: pl.DataFrame) -> pl.DataFrame:
    """Means that are, a week, at most `MOST_TIMES` the best quarter of the last year and a unit: one member may run away."""
    last = history.select(pl.col("week").max()).item()
    quarter = pl.col("units").rolling_mean(13, min_samples=1).over("sku", order_by="week")
    best = (
        history.filter(pl.col("week") > last - timedelta(weeks=52))
        .with_columns(quarter.alias("quarter"))
        .group_by("sku")
        .agg(most=MOST_TIMES * pl.col("quarter").max() + 1)
    )
    told = pl.col("mean").mean().over("sku")
    share = pl.when(told > pl.col("most")).then(pl.col("most") / told).otherwise(1.0)
    return coming.join(best, on="sku", how="left").with_columns(pl.col("mean") * share.fill_null(1.0)).drop("most")


def _with_launches(
    coming: pl.DataFrame, history: pl.DataFrame, attributes: pl.DataFrame, horizon: int, unsold: Collection[str]
) -> pl.DataFrame:
    """The curves of similar items in place of forecasts from a few weeks, and for items that have not sold yet."""
    own = {*history["sku"].unique().to_list(), *unsold}
    new = [sku for sku in new_skus(history, attributes, NEW_WEEKS) if sku in own]
    curves = launch_forecasts(history, attributes, new, horizon)
    if curves.is_empty():
        return coming
    kept = coming.filter(~pl.col("sku").is_in(curves["sku"].unique().to_list()))
    named = curves.with_columns(pl.lit(LAUNCH).alias("model"), pl.lit(coming["cutoff"][0]).alias("cutoff"))
    return pl.concat([kept, named.select(pl.col(name).cast(dtype) for name, dtype in kept.schema.items())])


def _with_life(coming: pl.DataFrame, history: pl.DataFrame) -> pl.DataFrame:
    """Demand that ends for items that are over; `state` says who is."""
    cycle = lifecycle(history)
    told = with_end_of_life(coming, cycle, ["mean", *QUANTILE_COLUMNS])
    states = cycle.select("sku", "state")
    return told.join(states, on="sku", how="left").with_columns(pl.col("state").fill_null(ACTIVE))
