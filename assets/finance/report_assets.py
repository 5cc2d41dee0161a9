"""The reports as assets: statements, margins, tax, receivables and cohorts over all closed days, one cell a row.

Belongs here: reading, calling and metadata. Does not belong here: what a report says (`assets/finance/reports`).
"""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import cast

import dagster as dg
import polars as pl

from assets.charts import Unit, bar_ranking, stacked_bars
from assets.finance.assets import MARGIN, TRANSACTIONS
from assets.finance.fx import RATIOS
from assets.finance.money import exponent
from assets.finance.posting import value_lines, with_line_costs
from assets.finance.reports.margins import margin_frame
from assets.finance.reports.model import CELLS, Report
from assets.finance.reports.registry import make_report
from assets.finance.reports.sources import Sources
from assets.finance.reports.span import Span
from assets.finance.stock_postings import line_costs
from assets.ingestion.lines import today_in
from assets.presentation import asset_options, result
from resources.store.brand_store import BrandStore
from resources.store.catalog import CATALOG, COSTS

_TEXT = pl.String()
MARGIN_BY_COLOUR: dict[str, pl.DataType] = {"colour": _TEXT, **MARGIN}
MARGIN_BY_SIZE: dict[str, pl.DataType] = {"size": _TEXT, **MARGIN}
MARGIN_BY_COUNTRY: dict[str, pl.DataType] = {"country": _TEXT, **MARGIN}


def _of_the_ledger(name: str, says: str, rows: Sequence[str] = (), title: str = "") -> dg.AssetsDefinition:
    """An asset that needs the ledger alone. `rows` of it are drawn over its columns of time."""

    @dg.asset(name=name, description=says, **asset_options("finance", CELLS, kinds={"parquet"}))
    def asset(store: dg.ResourceParam[BrandStore], ledger: pl.LazyFrame) -> dg.MaterializeResult[pl.DataFrame]:
        sources = _sources(store, ledger)
        return _result(make_report(name, sources, _span(store, ledger)), rows, title)

    return cast("dg.AssetsDefinition", asset)


balance_sheet = _of_the_ledger(
    "balance_sheet", "Assets, liabilities and equity at the end of each month.", ["total_assets"], "Total assets"
)
trial_balance = _of_the_ledger("trial_balance", "Every account in every currency: opening, debit, credit, closing.")
cash_flow = _of_the_ledger(
    "cash_flow", "What moved banks and clearing accounts, month by month.", ["closing"], "Cash at the end of the month"
)
vat_report = _of_the_ledger(
    "vat_report", "Sales tax and VAT by jurisdiction and quarter.", ["due"], "Tax owed by quarter"
)
receivables_ageing = _of_the_ledger("receivables_ageing", "What wholesale customers owe, by how long it is open.")


@dg.asset(deps=["financial_report"], **asset_options("finance", CELLS, kinds={"parquet"}))
def revenue_waterfall(
    store: dg.ResourceParam[BrandStore],
    ledger: pl.LazyFrame,
    transactions: pl.LazyFrame,
    fx_rates: pl.DataFrame,
    sku_costs: pl.DataFrame,
    movement_costs: pl.LazyFrame,
) -> dg.MaterializeResult[pl.DataFrame]:
    """Month by month from gross sales over returns and discounts to net sales and the gross margin."""
    lines = with_line_costs(transactions, line_costs(movement_costs.collect()).lazy())
    sources = _sources(store, ledger, lines, fx_rates, sku_costs)
    report = make_report("revenue_waterfall", sources, _span(store, ledger))
    return _result(report, ["4000", "4100", "4200"], "From gross to net sales")


@dg.asset(deps=["financial_report"], **asset_options("finance", CELLS, kinds={"parquet"}))
def cohort_value(
    store: dg.ResourceParam[BrandStore], ledger: pl.LazyFrame, transactions: pl.LazyFrame, fx_rates: pl.DataFrame
) -> dg.MaterializeResult[pl.DataFrame]:
    """Customers by the month of their first purchase: revenue, orders and customers in the months since."""
    sources = _sources(store, ledger, transactions, fx_rates)
    return _result(make_report("cohort_value", sources, _span(store, ledger)), (), "")


def _margin_asset(by: str, says: str, schema: dict[str, pl.DataType]) -> dg.AssetsDefinition:
    @dg.asset(
        name=f"margin_by_{by}",
        description=says,
        deps=["financial_report"],
        **asset_options("finance", schema, kinds={"parquet"}),
    )
    def asset(
        store: dg.ResourceParam[BrandStore],
        transactions: pl.LazyFrame,
        fx_rates: pl.DataFrame,
        sku_costs: pl.DataFrame,
        movement_costs: pl.LazyFrame,
        catalog: pl.DataFrame,
    ) -> dg.MaterializeResult[pl.DataFrame]:
        base = store.settings.current.base_currency
        goods = transactions.filter(pl.col("kind").is_in(["goods", "refund"])).collect()
        lines = with_line_costs(goods, line_costs(movement_costs.collect()))
        frame = margin_frame(value_lines(lines, sku_costs, fx_rates, base), catalog, by).select(*schema)
        return result(frame, lambda: _ranking(frame, by, base), f"Net revenue by {by}")

    return cast("dg.AssetsDefinition", asset)


margin_by_colour = _margin_asset(
    "colour", "Revenue, cost and margin of each colour; SKUs without one are in an empty row.", MARGIN_BY_COLOUR
)
margin_by_size = _margin_asset(
    "size", "Revenue, cost and margin of each size; SKUs without one are in an empty row.", MARGIN_BY_SIZE
)
margin_by_country = _margin_asset(
    "country", "Revenue, cost and margin of each country of the orders.", MARGIN_BY_COUNTRY
)


def _sources(
    store: BrandStore,
    ledger: pl.LazyFrame,
    transactions: pl.LazyFrame | None = None,
    fx_rates: pl.DataFrame | None = None,
    sku_costs: pl.DataFrame | None = None,
) -> Sources:
    base = store.settings.current.base_currency
    return Sources(
        ledger,
        pl.LazyFrame(schema=TRANSACTIONS) if transactions is None else transactions,
        pl.DataFrame(schema=COSTS) if sku_costs is None else sku_costs,
        pl.DataFrame(schema=CATALOG),
        pl.DataFrame(schema=RATIOS) if fx_rates is None else fx_rates,
        base,
        base,
    )


def _span(store: BrandStore, ledger: pl.LazyFrame) -> Span:
    """From the first posting to the last; today where there is none."""
    days = ledger.select(pl.col("day").min().alias("first"), pl.col("day").max().alias("last")).collect()
    today = today_in(store.settings.current.timezone, datetime.now(UTC))
    return Span(days["first"][0] or today, days["last"][0] or today)


def _result(report: Report, rows: Sequence[str], title: str) -> dg.MaterializeResult[pl.DataFrame]:
    frame = report.frame()
    notes = dg.MetadataValue.md("\n".join(f"- {note}" for note in report.notes) or "none")
    preview = frame.filter(pl.col("row_kind").is_in(["subtotal", "total"]))
    plot = _drawn(report, frame, rows, title) if rows else None
    return result(frame, plot, title, preview=preview, notes=notes)


def _drawn(report: Report, frame: pl.DataFrame, rows: Sequence[str], title: str) -> Callable[[], bytes]:
    """Bars of some rows over the columns that are months, quarters or days."""
    labels = {row.key: row.label for row in report.rows}
    times = [column.key for column in report.columns if column.key[:4].isdigit()]
    kept = frame.filter(pl.col("row").is_in(rows), pl.col("column").is_in(times))
    begins = pl.col("column").map_elements(_begins, return_dtype=pl.Date).alias("month")
    wide = kept.with_columns(begins).pivot("row", index="month", values="amount_minor").sort("month")
    named = wide.rename({row: labels[row] for row in rows if row in wide.columns})
    unit = Unit(currency=report.currency, exponent=exponent(report.currency))
    return lambda: stacked_bars(named, "month", named.columns[1:], title, report.currency, unit=unit)


def _begins(key: str) -> date:
    year, _, rest = key.partition("-")
    month = int(rest[1:]) * 3 - 2 if rest.startswith("Q") else int(rest[:2] or 1)
    return datetime(int(year), month, 1, tzinfo=UTC).date()


def _ranking(frame: pl.DataFrame, label: str, base: str) -> bytes:
    top = frame.drop_nulls(label).head(10)
    unit = Unit(currency=base, exponent=exponent(base))
    return bar_ranking(top[label].to_list(), top["base_revenue_minor"].to_list(), f"Net revenue by {label}", unit)
