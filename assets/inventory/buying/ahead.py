"""Alerts that look ahead: stock that will run out before an order could arrive, and demand above what was forecast. Pure.

Belongs here: who is told of, and the figures. Does not belong here: stock that is low now (`assets/inventory/levels`), keeping
alerts (`resources/store/stock`).
"""

import json
from datetime import date, timedelta
from typing import Any

import polars as pl

STOCK_OUT_AHEAD, HIGH_DEMAND = AHEAD = ("stock_out_ahead", "high_demand")
WANTED: dict[str, pl.DataType] = {"sku": pl.String(), "kind": pl.String(), "details": pl.String()}
JUMP = 1.5
_JUMP_WEEKS, _PACE_WEEKS, _Z = 4, 13, 1.96


def stock_out_ahead(plan: pl.DataFrame) -> pl.DataFrame:
    """SKUs of which nothing will be left within lead time and review: columns WANTED.

    plan: columns REORDER_SCHEMA. What is available and what arrives in time is used up by the expected demand before the end
    of the protection interval: an order of the next review would come too late. A SKU of which nothing is left now is out of
    stock, which is another alert.
    """
    until = pl.col("as_of") + pl.duration(days="protection_days")
    soon = plan.filter((pl.col("available") > 0) & (pl.col("projected_stockout_on") < until)).sort("sku")
    rows = [(row["sku"], STOCK_OUT_AHEAD, json.dumps(_ahead(row))) for row in soon.to_dicts()]
    return pl.DataFrame(rows, schema=WANTED, orient="row")


def high_demand(
    history: pl.DataFrame, forecasts: pl.DataFrame, backtest: pl.DataFrame | None, weeks: int = 2
) -> pl.DataFrame:
    """SKUs that sell more than was expected of them: columns WANTED.

    history: sku, week, units_sold, up to the last complete week. backtest: sku, cutoff, week, units, mean, q0.975: forecasts
    that were made before their weeks. forecasts: sku, week, mean, of the coming weeks.

    Each of the last `weeks` weeks is above the 97.5 % quantile of the newest forecast that was made for it. Where there was
    none, the forecast has jumped: the mean of its first four weeks is half as much again as that of the last 13 weeks, and
    above what those let expect (1.96 standard errors).
    """
    newest = history["week"].max()
    if not isinstance(newest, date):
        return pl.DataFrame(schema=WANTED)
    since = newest - timedelta(weeks=weeks - 1)
    told: dict[str, dict[str, Any]] = {}
    judged: set[str] = set()
    if backtest is not None and backtest.height:
        compared = _compared(history, backtest, since)
        judged = set(compared["sku"])
        for sku, of in compared.group_by("sku"):
            if of.height == weeks and (of["units_sold"] > of["q0.975"]).all():
                told[str(sku[0])] = {
                    "weeks": weeks,
                    "units": int(of["units_sold"].sum()),
                    "expected": round(float(of["mean"].sum()), 2),
                    "q975": round(float(of["q0.975"].sum()), 2),
                }
    told |= {sku: row for sku, row in _jumps(history, forecasts, newest).items() if sku not in judged}
    rows = [(sku, HIGH_DEMAND, json.dumps(row)) for sku, row in sorted(told.items())]
    return pl.DataFrame(rows, schema=WANTED, orient="row")


def _ahead(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "available": row["available"],
        "arriving_in_time": row["arriving_in_time"],
        "lead_time_days": row["lead_time_days"],
        "protection_days": row["protection_days"],
        "stock_out_on": str(row["projected_stockout_on"]),
    }


def _compared(history: pl.DataFrame, backtest: pl.DataFrame, since: date) -> pl.DataFrame:
    """Units of the recent weeks beside the newest forecast that was made before each."""
    made = (
        backtest.filter((pl.col("week") >= since) & (pl.col("cutoff") <= pl.col("week")))
        .sort("cutoff")
        .group_by("sku", "week", maintain_order=True)
        .last()
        .select("sku", "week", "mean", "q0.975")
    )
    return history.filter(pl.col("week") >= since).select("sku", "week", "units_sold").join(made, on=["sku", "week"])


def _jumps(history: pl.DataFrame, forecasts: pl.DataFrame, newest: date) -> dict[str, dict[str, Any]]:
    recent = (
        history.filter(pl.col("week") > newest - timedelta(weeks=_PACE_WEEKS))
        .group_by("sku")
        .agg(pace=pl.col("units_sold").mean(), spread=pl.col("units_sold").std(), seen=pl.len())
    )
    ahead = (
        forecasts.filter(pl.col("week") > newest)
        .sort("week")
        .group_by("sku")
        .agg(expected=pl.col("mean").head(_JUMP_WEEKS).mean())
    )
    error = pl.col("spread").fill_null(0) * (1 / _JUMP_WEEKS + 1 / pl.col("seen")).sqrt()
    jumped = recent.join(ahead, on="sku").filter(
        (pl.col("seen") >= _JUMP_WEEKS)
        & (pl.col("expected") > JUMP * pl.col("pace"))
        & (pl.col("expected") > pl.col("pace") + _Z * error)
        & (pl.col("expected") >= 1)
    )
    return {
        row["sku"]: {"expected_weekly": round(row["expected"], 2), "pace_weekly": round(row["pace"], 2)}
        for row in jumped.to_dicts()
    }
