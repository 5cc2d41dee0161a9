"""The finance assets: from order lines to the ledger, the daily report and what is read off it."""

from datetime import UTC, date, datetime
from typing import Any

import dagster as dg
import polars as pl

from assets.finance.booking import load_chart, post_days
from assets.finance.fx import RATIOS, daily_ratios
from assets.finance.money import exponent
from assets.finance.monthly import MONTH, month_options, newest, result_by_month, within_months
from assets.finance.posting import value_lines, with_line_costs
from assets.finance.statements import DAILY as REPORT
from assets.finance.statements import daily_report, margin_by, margin_by_month, profit_and_loss
from assets.finance.stock_postings import line_costs
from assets.partitions import DAILY, day_range
from assets.presentation import asset_options, count_days, result
from resources.files import write_file
from resources.io_manager import PARTITION_COLUMN
from resources.store.brand_store import BrandStore
from resources.store.ledger import POSTINGS, read_postings
from resources.store.orders import ORDER_LINES, read_order_lines
from resources.store.rates import read_rates

INT, TEXT = pl.Int64(), pl.String()
TRANSACTIONS = {
    ("customer" if n == "customer_id" else n): (TEXT if n == "customer_id" else t) for n, t in ORDER_LINES.items()
}
PROFIT_AND_LOSS: dict[str, pl.DataType] = {
    "month": pl.Date(),
    "section": TEXT,
    "account": TEXT,
    "name": TEXT,
    "amount_minor": INT,
    "base_currency": TEXT,
    "unconverted": INT,
}
MARGIN: dict[str, pl.DataType] = {
    "units": INT,
    "units_costed": INT,
    "base_revenue_minor": INT,
    "base_cost_minor": INT,
    "unconverted": INT,
    "base_margin_minor": INT,
    "margin_rate": pl.Float64(),
}
EXECUTIVE: dict[str, pl.DataType] = {
    "month": pl.Date(),
    **dict.fromkeys(
        ("gross_sales", "returns", "net_revenue", "orders", "units", "cogs", "margin", "costed_revenue"), INT
    ),
}
BY_EVENT_DAY: dict[str, Any] = {PARTITION_COLUMN: "event_day"}
MARGIN_READS = ("transactions", "movement_costs")
MARGIN_BY_SKU: dict[str, pl.DataType] = {"sku": TEXT, "name": TEXT, **MARGIN}
MARGIN_BY_CHANNEL: dict[str, pl.DataType] = {**MONTH, "channel": TEXT, **MARGIN}
MARGIN_BY_COLLECTION: dict[str, pl.DataType] = {**MONTH, "collection": TEXT, "category": TEXT, **MARGIN}


@dg.asset(partitions_def=DAILY, **asset_options("finance", TRANSACTIONS, kinds={"sql", "parquet"}))
def transactions(
    context: dg.AssetExecutionContext, store: dg.ResourceParam[BrandStore]
) -> dg.MaterializeResult[pl.DataFrame]:
    """Order lines of the day as they were invoiced, each with its kind and amount; clients only as keyed hashes."""
    first, last = map(date.fromisoformat, day_range(context))
    with store.read() as (connection, brand):
        lines = read_order_lines(connection, brand, first, last)
    clients = store.vault.pseudonyms("lake-customer", map(str, lines["customer_id"].drop_nulls().unique().to_list()))
    hashed = pl.col("customer_id").cast(TEXT).replace_strict(clients, default=None, return_dtype=TEXT).alias("customer")
    frame = lines.with_columns(hashed).select(*TRANSACTIONS)
    count_days(context, frame)
    return result(frame)


@dg.asset(**asset_options("finance", RATIOS, kinds={"sql", "parquet"}))
def fx_rates(store: dg.ResourceParam[BrandStore]) -> dg.MaterializeResult[pl.DataFrame]:
    """What each currency is worth in the base currency on every day, as an exact ratio; holes are carried, and marked."""
    base = store.settings.current.base_currency
    with store.read() as (connection, brand):
        rates = read_rates(connection, brand)
    ratios = daily_ratios(rates, base, store.settings.current.fx_carry_days)

    def plot() -> bytes:
        from assets.charts import line_chart

        quoted = ratios.filter(~pl.col("carried"))
        indexed = quoted.with_columns((pl.col("rate") / pl.col("rate").first().over("currency") * 100).alias("index"))
        wide = indexed.pivot("currency", index="day", values="index").sort("day")
        return line_chart(wide, "day", wide.columns[1:7], f"Currencies against {base}", "first day = 100")

    return result(ratios, plot, f"Worth of each currency in {base}", preview=ratios.sort("day", descending=True))


@dg.asset(
    partitions_def=DAILY,
    deps=["movement_costs"],
    **asset_options("finance", POSTINGS, kinds={"sql", "parquet"}, **BY_EVENT_DAY),
)
def ledger(
    context: dg.AssetExecutionContext,
    store: dg.ResourceParam[BrandStore],
    transactions: pl.DataFrame,
    fx_rates: pl.DataFrame,
) -> dg.MaterializeResult[pl.DataFrame]:
    """Double entry, append only: what the day's lines and events mean in accounts; only what differs from it is posted."""
    first, last = map(date.fromisoformat, day_range(context))
    base, chart = store.settings.current.base_currency, load_chart(store.settings.home)
    with store.write() as (connection, brand):
        entries = post_days(connection, brand, transactions, fx_rates, base, chart, first, last)
        frame = read_postings(connection, brand, first, last, by_event_day=True)
    count_days(context, frame, "event_day")
    return result(frame, entries_appended=entries)


@dg.asset(partitions_def=DAILY, **asset_options("finance", REPORT, kinds={"duckdb", "parquet"}))
def financial_report(
    context: dg.AssetExecutionContext,
    store: dg.ResourceParam[BrandStore],
    ledger: pl.DataFrame,
    transactions: pl.DataFrame,
    fx_rates: pl.DataFrame,
    sku_costs: pl.DataFrame,
    movement_costs: pl.DataFrame,
) -> dg.MaterializeResult[pl.DataFrame]:
    """The day by channel and currency: gross sales, returns, net revenue and the rest, from the ledger; counts from lines."""
    base = store.settings.current.base_currency
    lines = with_line_costs(transactions, line_costs(movement_costs))
    valued = value_lines(lines, sku_costs, fx_rates, base)
    frame = daily_report(ledger, valued, base)
    count_days(context, frame)
    return result(frame)


@dg.asset(name="profit_and_loss", **month_options(PROFIT_AND_LOSS, reads=["ledger"], after=["financial_report"]))
def profit_and_loss_asset(
    context: dg.AssetExecutionContext, store: dg.ResourceParam[BrandStore], ledger: pl.LazyFrame
) -> dg.MaterializeResult[pl.DataFrame]:
    """Every revenue and expense account of the month in the base currency."""
    base = store.settings.current.base_currency
    frame = profit_and_loss(within_months(context, ledger), base)

    def plot() -> bytes:
        from assets.charts import Unit, stacked_bars

        income = pl.col("amount_minor").filter(pl.col("section") == "revenue").sum()
        costs = pl.col("amount_minor").filter(pl.col("section") == "expense").sum()
        months = frame.group_by("month").agg(income.alias("revenue"), costs.alias("expenses")).sort("month")
        unit = Unit(currency=base, exponent=exponent(base))
        return stacked_bars(months, "month", ["revenue", "expenses"], "Revenue and expenses by month", base, unit=unit)

    return result_by_month(context, frame, plot, "Revenue and expenses by month")


def _ranking(frame: pl.DataFrame, label: str, title: str, base: str) -> bytes:
    from assets.charts import Unit, bar_ranking

    top = frame.drop_nulls(label).head(10)
    return bar_ranking(
        top[label].to_list(), top["base_revenue_minor"].to_list(), title, Unit(currency=base, exponent=exponent(base))
    )


@dg.asset(deps=["financial_report"], **asset_options("finance", MARGIN_BY_SKU, kinds={"parquet"}))
def margin_by_sku(
    store: dg.ResourceParam[BrandStore],
    transactions: pl.LazyFrame,
    fx_rates: pl.DataFrame,
    sku_costs: pl.DataFrame,
    movement_costs: pl.LazyFrame,
    catalog: pl.DataFrame,
) -> dg.MaterializeResult[pl.DataFrame]:
    """Revenue, cost and margin of each SKU over the whole history, by which the executive report ranks them."""
    base = store.settings.current.base_currency
    margins = margin_by(_goods(transactions, movement_costs, sku_costs, fx_rates, base), ["sku"])
    frame = margins.join(catalog.select("sku", "name"), on="sku", how="left", maintain_order="left").select(
        *MARGIN_BY_SKU
    )
    return result(
        frame, lambda: _ranking(frame, "sku", "Net revenue, best ten SKUs", base), "Best ten SKUs by net revenue"
    )


@dg.asset(**month_options(MARGIN_BY_CHANNEL, reads=MARGIN_READS, after=["financial_report"]))
def margin_by_channel(
    context: dg.AssetExecutionContext,
    store: dg.ResourceParam[BrandStore],
    transactions: pl.LazyFrame,
    fx_rates: pl.DataFrame,
    sku_costs: pl.DataFrame,
    movement_costs: pl.LazyFrame,
) -> dg.MaterializeResult[pl.DataFrame]:
    """Revenue, cost and margin of each channel in the month."""
    base = store.settings.current.base_currency
    goods = _goods(within_months(context, transactions), movement_costs, sku_costs, fx_rates, base)
    frame = margin_by_month(goods, ["channel"]).select(*MARGIN_BY_CHANNEL)
    title = "Net revenue by channel"
    return result_by_month(context, frame, lambda: _ranking(newest(frame), "channel", title, base), title)


@dg.asset(**month_options(MARGIN_BY_COLLECTION, reads=MARGIN_READS, after=["financial_report"]))
def margin_by_collection(
    context: dg.AssetExecutionContext,
    store: dg.ResourceParam[BrandStore],
    transactions: pl.LazyFrame,
    fx_rates: pl.DataFrame,
    sku_costs: pl.DataFrame,
    movement_costs: pl.LazyFrame,
    catalog: pl.DataFrame,
) -> dg.MaterializeResult[pl.DataFrame]:
    """Revenue, cost and margin of each collection and category in the month; products without one are in an empty row."""
    base = store.settings.current.base_currency
    goods = _goods(within_months(context, transactions), movement_costs, sku_costs, fx_rates, base)
    placed = goods.join(catalog.select("sku", "collection", "category"), on="sku", how="left")
    frame = margin_by_month(placed, ["collection", "category"]).select(*MARGIN_BY_COLLECTION)

    def plot() -> bytes:
        summed = (
            newest(frame)
            .group_by("collection")
            .agg(pl.col("base_revenue_minor").sum())
            .sort("base_revenue_minor", descending=True)
        )
        return _ranking(summed, "collection", "Net revenue by collection", base)

    return result_by_month(context, frame, plot, "Net revenue by collection")


def _goods(
    transactions: pl.LazyFrame, movement_costs: pl.LazyFrame, costs: pl.DataFrame, ratios: pl.DataFrame, base: str
) -> pl.DataFrame:
    goods = transactions.filter(pl.col("kind").is_in(["goods", "refund"])).collect()
    return value_lines(with_line_costs(goods, line_costs(movement_costs.collect())), costs, ratios, base)


@dg.asset(**asset_options("finance", EXECUTIVE, kinds={"html", "excel"}))
def executive_report(
    context: dg.AssetExecutionContext,
    store: dg.ResourceParam[BrandStore],
    financial_report: pl.DataFrame,
    margin_by_sku: pl.DataFrame,
    transactions: pl.LazyFrame,
    ledger: pl.LazyFrame,
    catalog: pl.DataFrame,
    stock_levels: pl.DataFrame,
    reorder_plan: pl.DataFrame,
    demand_history: pl.DataFrame,
    demand_forecast: pl.DataFrame,
) -> dg.MaterializeResult[pl.DataFrame]:
    """The state of the house on one page: revenue, margin, stock-outs ahead, forecast, cash, returns; also as a workbook."""
    from assets.charts import Unit, stacked_bars
    from assets.finance.executive_figures import Sources, executive_report_of
    from assets.finance.executive_page import render_page
    from assets.finance.executive_workbook import render_workbook

    sources = Sources(
        financial_report,
        margin_by_sku,
        transactions,
        ledger,
        catalog,
        stock_levels,
        reorder_plan,
        demand_history,
        demand_forecast,
    )
    current = store.settings.current
    base = current.base_currency
    report = executive_report_of(sources, brand=current.name, base_currency=base, generated_at=datetime.now(UTC))
    folder = store.settings.home / "reports" / store.settings.brand
    page = write_file(folder / "executive.html", render_page(report).encode())
    workbook = write_file(folder / "executive.xlsx", render_workbook(report))
    context.log.info(f"page: {page}; workbook: {workbook}")

    def plot() -> bytes:
        unit = Unit(currency=base, exponent=exponent(base))
        return stacked_bars(report.monthly, "month", ["net_revenue"], "Net revenue by month", base, unit=unit)

    return result(
        report.monthly,
        plot,
        "Net revenue by month",
        preview=report.monthly.sort("month", descending=True),
        page=dg.MetadataValue.path(str(page)),
        workbook=dg.MetadataValue.path(str(workbook)),
        notes=dg.MetadataValue.md("\n".join(f"- {note}" for note in report.notes) or "none"),
    )
