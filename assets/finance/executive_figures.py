"""The figures of the executive report, brought from the assets into the shape that the page and the workbook read.

Belongs here: sums and joins. Does not belong here: what a section says when it is empty (`executive`), or any mark-up.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

import polars as pl

from assets.finance.accounts import CLEARING
from assets.finance.executive import ExecutiveReport, build_report
from assets.finance.money import exponent
from assets.finance.statements import cash_by_month
from assets.forecasting.totals import total_fan

SLOW_WEEKS = 26
RECENT_WEEKS = 13
FAN_WEEKS = 65


@dataclass(frozen=True)
class Sources:
    """The assets that the report is made of, as frames."""

    financial_report: pl.DataFrame
    margin_by_sku: pl.DataFrame
    transactions: pl.LazyFrame
    ledger: pl.LazyFrame
    catalog: pl.DataFrame
    stock_levels: pl.DataFrame
    reorder_plan: pl.DataFrame
    demand_history: pl.DataFrame
    demand_forecast: pl.DataFrame


def executive_report_of(sources: Sources, *, brand: str, base_currency: str, generated_at: datetime) -> ExecutiveReport:
    """Everything that the page shows, in the base currency. Raises ValueError when there is no day with a sale."""
    report = sources.financial_report
    first, last = report["day"].min(), report["day"].max()
    if not isinstance(first, date) or not isinstance(last, date):
        raise ValueError("there are no order lines yet; run `luxauto ingest orders FILE` first")
    names = sources.catalog.select("sku", "name", "category")
    return build_report(
        brand=brand,
        currency=base_currency,
        exponent=exponent(base_currency),
        period_first=first,
        period_last=last,
        generated_at=generated_at,
        monthly=_monthly(report),
        unconverted=_unconverted(report),
        by_channel=_by_channel(report),
        by_sku=_by_sku(sources.margin_by_sku),
        slow=_slow(sources, names),
        stockouts_ahead=_stockouts_ahead(sources.reorder_plan, names),
        fan=total_fan(sources.demand_forecast, sources.demand_history).tail(FAN_WEEKS),
        cash=cash_by_month(sources.ledger, CLEARING.code),
        returns=_returns(sources.transactions, names),
    )


def _monthly(report: pl.DataFrame) -> pl.DataFrame:
    known = report.filter(pl.col("base_net_revenue_minor").is_not_null())
    costed, cost = pl.col("base_costed_revenue_minor").sum(), pl.col("base_cost_of_goods_minor").sum()
    any_cost = pl.col("base_cost_of_goods_minor").is_not_null().any()
    return (
        known.group_by(pl.col("day").dt.month_start().alias("month"))
        .agg(
            pl.col("base_gross_sales_minor").sum().alias("gross_sales"),
            pl.col("base_returns_minor").sum().alias("returns"),
            pl.col("base_net_revenue_minor").sum().alias("net_revenue"),
            pl.col("orders").sum(),
            pl.col("units_sold").sum().alias("units"),
            pl.when(any_cost).then(cost).alias("cogs"),
            pl.when(any_cost).then(costed - cost).alias("margin"),
            pl.when(any_cost).then(costed).alias("costed_revenue"),
        )
        .sort("month")
    )


def _unconverted(report: pl.DataFrame) -> pl.DataFrame:
    unknown = report.filter(pl.col("base_net_revenue_minor").is_null() & (pl.col("net_revenue_minor") != 0))
    return unknown.group_by("currency").agg(pl.col("net_revenue_minor").sum().alias("net_revenue")).sort("currency")


def _by_channel(report: pl.DataFrame) -> pl.DataFrame:
    # Payouts, fees and expenses may be of no channel; they sell nothing.
    sold = report.filter(pl.col("channel").is_not_null() | (pl.col("base_net_revenue_minor") != 0))
    return sold.group_by("channel").agg(pl.col("base_net_revenue_minor").sum().alias("net_revenue"))


def _by_sku(margins: pl.DataFrame) -> pl.DataFrame:
    return margins.filter(pl.col("sku").is_not_null()).select(
        "sku",
        "name",
        "units",
        pl.col("base_revenue_minor").alias("net_revenue"),
        pl.col("base_margin_minor").alias("margin"),
        "margin_rate",
    )


def _slow(sources: Sources, names: pl.DataFrame) -> pl.DataFrame:
    history = sources.demand_history
    end = history["week"].max()
    # Without a whole week of history there are no rows, and any day will do.
    end = end if isinstance(end, date) else date.max
    sold = history.group_by("sku").agg(
        pl.col("units_sold")
        .filter(pl.col("week") > end - timedelta(weeks=RECENT_WEEKS))
        .sum()
        .alias("units_last_13_weeks"),
        ((pl.lit(end) - pl.col("week").filter(pl.col("units_sold") > 0).max()).dt.total_days() // 7).alias(
            "weeks_since_last_sale"
        ),
    )
    in_stock = sources.stock_levels.filter(pl.col("counted") & (pl.col("on_hand") > 0))
    return (
        in_stock.join(sold, on="sku", how="left")
        .with_columns(pl.col("units_last_13_weeks").fill_null(0))
        # Slow: at the pace of the last quarter the stock lasts longer than half a year.
        .filter(pl.col("on_hand") * RECENT_WEEKS > pl.col("units_last_13_weeks") * SLOW_WEEKS)
        .join(names, on="sku", how="left")
        .select("sku", "name", "on_hand", "units_last_13_weeks", "weeks_since_last_sale")
    )


def _stockouts_ahead(plan: pl.DataFrame, names: pl.DataFrame) -> pl.DataFrame:
    return (
        plan.filter(pl.col("stockout_on").is_not_null())
        .join(names, on="sku", how="left")
        .select("sku", "name", "available", "weekly_mean", "stockout_on", "recommended_quantity")
    )


def _returns(transactions: pl.LazyFrame, names: pl.DataFrame) -> pl.DataFrame:
    goods = transactions.filter(pl.col("kind") == "goods").select("sku", "quantity").collect()
    # "all" is the name of the sum.
    category = pl.col("category").fill_null("other").replace("all", "all (category)")
    placed = goods.join(names, on="sku", how="left").with_columns(category)
    quantity = pl.col("quantity")
    sums = (
        quantity.filter(quantity > 0).sum().alias("units_sold"),
        (-quantity.filter(quantity < 0).sum()).alias("units_returned"),
    )
    whole = placed.select(pl.lit("all").alias("category"), *sums)
    parts = placed.group_by("category").agg(*sums)
    return pl.concat([whole, parts if parts.height > 1 else parts.clear()])
