"""The reports as assets: statements, margins, tax and receivables of each month, cohorts over all closed days, one cell a row.

Belongs here: reading, calling and metadata. Does not belong here: what a report says (`assets/finance/reports`).
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import cast

import dagster as dg
import polars as pl

from assets.charts import Unit, bar_ranking, stacked_bars
from assets.finance.assets import MARGIN, MARGIN_READS, TRANSACTIONS
from assets.finance.fx import RATIOS
from assets.finance.money import exponent
from assets.finance.monthly import (
    MONTH,
    MONTHLY_CELLS,
    cells_by_month,
    month_options,
    newest,
    result_by_month,
    within_months,
)
from assets.finance.posting import value_lines, with_line_costs
from assets.finance.reports.margins import margin_frame
from assets.finance.reports.model import CELLS, Report
from assets.finance.reports.registry import find_report, make_report
from assets.finance.reports.sources import Sources
from assets.finance.reports.span import Span
from assets.finance.stock_postings import line_costs
from assets.ingestion.lines import today_in
from assets.partitions import months_of
from assets.presentation import asset_options, result
from resources.store.brand_store import BrandStore
from resources.store.catalog import CATALOG, COSTS

_TEXT = pl.String()
MARGIN_BY_COLOUR: dict[str, pl.DataType] = {**MONTH, "colour": _TEXT, **MARGIN}
MARGIN_BY_SIZE: dict[str, pl.DataType] = {**MONTH, "size": _TEXT, **MARGIN}
MARGIN_BY_COUNTRY: dict[str, pl.DataType] = {**MONTH, "country": _TEXT, **MARGIN}


def _of_the_ledger(name: str, says: str, rows: Sequence[str] = (), title: str = "") -> dg.AssetsDefinition:
    """An asset of a month that needs the ledger alone. `rows` of it are drawn over the months of the run."""

    @dg.asset(name=name, description=says, **month_options(MONTHLY_CELLS, reads=["ledger"]))
    def asset(
        context: dg.AssetExecutionContext, store: dg.ResourceParam[BrandStore], ledger: pl.DataFrame
    ) -> dg.MaterializeResult[pl.DataFrame]:
        return _monthly(context, name, _sources(store, ledger.lazy()), rows, title)

    return cast("dg.AssetsDefinition", asset)


balance_sheet = _of_the_ledger(
    "balance_sheet", "Assets, liabilities and equity at the month's end.", ["total_assets"], "Total assets"
)
trial_balance = _of_the_ledger(
    "trial_balance", "Every account in every currency: opening, debit and credit of the month, closing."
)
cash_flow = _of_the_ledger(
    "cash_flow", "What moved banks and clearing accounts in the month.", ["closing"], "Cash at the end of the month"
)
vat_report = _of_the_ledger(
    "vat_report", "Sales tax and VAT of the month by jurisdiction; a quarter is a command's.", ["due"], "Tax owed"
)
receivables_ageing = _of_the_ledger(
    "receivables_ageing", "What wholesale customers owe at the month's end, by how long it is open by then."
)


@dg.asset(
    **month_options(
        MONTHLY_CELLS,
        reads=["ledger", "transactions", "movement_costs"],
        after=["financial_report"],
        beside=["profit_and_loss"],
    )
)
def revenue_waterfall(
    context: dg.AssetExecutionContext,
    store: dg.ResourceParam[BrandStore],
    ledger: pl.DataFrame,
    transactions: pl.LazyFrame,
    fx_rates: pl.DataFrame,
    sku_costs: pl.DataFrame,
    movement_costs: pl.LazyFrame,
) -> dg.MaterializeResult[pl.DataFrame]:
    """From gross sales of the month over returns and discounts to net sales and the gross margin."""
    sold = within_months(context, transactions).collect()
    lines = with_line_costs(sold, line_costs(movement_costs.collect())).lazy()
    sources = _sources(store, ledger.lazy(), lines, fx_rates, sku_costs)
    rows = ["4000", "4100", "4200"]
    return _monthly(context, "revenue_waterfall", sources, rows, "From gross to net sales")


@dg.asset(deps=["financial_report"], **asset_options("finance", CELLS, kinds={"parquet"}))
def cohort_value(
    store: dg.ResourceParam[BrandStore], ledger: pl.LazyFrame, transactions: pl.LazyFrame, fx_rates: pl.DataFrame
) -> dg.MaterializeResult[pl.DataFrame]:
    """Customers by the month of their first purchase, and what they brought since: each row is of the whole history."""
    report = make_report("cohort_value", _sources(store, ledger, transactions, fx_rates), _span(store, ledger))
    frame = report.frame()
    return result(frame, preview=_sums(frame), notes=dg.MetadataValue.md(_listed(report.notes)))


def _margin_asset(by: str, says: str, schema: dict[str, pl.DataType]) -> dg.AssetsDefinition:
    @dg.asset(
        name=f"margin_by_{by}",
        description=says,
        **month_options(schema, reads=MARGIN_READS, after=["financial_report"]),
    )
    def asset(
        context: dg.AssetExecutionContext,
        store: dg.ResourceParam[BrandStore],
        transactions: pl.LazyFrame,
        fx_rates: pl.DataFrame,
        sku_costs: pl.DataFrame,
        movement_costs: pl.LazyFrame,
        catalog: pl.DataFrame,
    ) -> dg.MaterializeResult[pl.DataFrame]:
        base = store.settings.current.base_currency
        goods = within_months(context, transactions).filter(pl.col("kind").is_in(["goods", "refund"])).collect()
        lines = with_line_costs(goods, line_costs(movement_costs.collect()))
        frame = margin_frame(value_lines(lines, sku_costs, fx_rates, base), catalog, by).select(*schema)
        return result_by_month(context, frame, lambda: _ranking(newest(frame), by, base), f"Net revenue by {by}")

    return cast("dg.AssetsDefinition", asset)


margin_by_colour = _margin_asset(
    "colour",
    "Revenue, cost and margin of each colour in the month; SKUs without one are in an empty row.",
    MARGIN_BY_COLOUR,
)
margin_by_size = _margin_asset(
    "size", "Revenue, cost and margin of each size in the month; SKUs without one are in an empty row.", MARGIN_BY_SIZE
)
margin_by_country = _margin_asset(
    "country", "Revenue, cost and margin of each country of the month's orders.", MARGIN_BY_COUNTRY
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


def _monthly(
    context: dg.AssetExecutionContext, name: str, sources: Sources, rows: Sequence[str], title: str
) -> dg.MaterializeResult[pl.DataFrame]:
    """The report of each month of the run, as `luxauto finance report` makes it of that month."""
    by = "month" if "month" in find_report(name).by else None
    reports = [make_report(name, sources, Span(first, last), by) for first, last in months_of(context)]
    frame = cells_by_month(reports)
    plot = (lambda: _drawn(reports[0], frame, rows, title)) if rows else None
    notes = {report.first: report.notes for report in reports}
    return result_by_month(context, frame, plot, title, preview=_sums(frame), notes=notes)


def _sums(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.filter(pl.col("row_kind").is_in(["subtotal", "total"]))


def _listed(notes: Sequence[str]) -> str:
    return "\n".join(f"- {note}" for note in notes) or "none"


def _drawn(report: Report, frame: pl.DataFrame, rows: Sequence[str], title: str) -> bytes:
    """Bars of some rows over the months."""
    labels = {row.key: row.label for row in report.rows}
    kept = frame.filter(pl.col("row").is_in(rows), pl.col("column").str.slice(0, 4).str.contains(r"^\d{4}$"))
    wide = kept.pivot("row", index="month", values="amount_minor").sort("month")
    named = wide.rename({row: labels[row] for row in rows if row in wide.columns})
    unit = Unit(currency=report.currency, exponent=exponent(report.currency))
    return stacked_bars(named, "month", named.columns[1:], title, report.currency, unit=unit)


def _ranking(frame: pl.DataFrame, label: str, base: str) -> bytes:
    top = frame.drop_nulls(label).head(10)
    unit = Unit(currency=base, exponent=exponent(base))
    return bar_ranking(top[label].to_list(), top["base_revenue_minor"].to_list(), f"Net revenue by {label}", unit)
