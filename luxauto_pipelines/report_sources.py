"""Where reports are read from: the lake, as it was refreshed, or the store, as it is at this moment.

Belongs here: frames, their days and their rates. Does not belong here: any sum (`assets/finance/reports`).
"""

from datetime import date

import polars as pl

from assets.finance.assets import TRANSACTIONS
from assets.finance.booking import load_chart
from assets.finance.fx import daily_ratios
from assets.finance.posting import with_line_costs
from assets.finance.reports.model import ReportError
from assets.finance.reports.pending import pending_postings
from assets.finance.reports.registry import Definition
from assets.finance.reports.sources import Sources
from assets.finance.reports.span import Span, compared_with
from assets.finance.stock_postings import line_costs
from resources.lake import Lake
from resources.store.brand_store import BrandStore
from resources.store.catalog import read_catalog, read_costs
from resources.store.ledger import POSTINGS, read_postings
from resources.store.orders import read_order_lines
from resources.store.rates import read_rates
from resources.store.stock_valuation import read_line_costs
from resources.store.unposted import read_unposted_lines


def lake_sources(books: BrandStore, currency: str | None = None) -> Sources:
    """The books as the lake has them. Raises MissingAsset before the first refresh.

    Rates into another currency than the base come from the store: the lake has none.
    """
    lake = Lake(books.settings.lake_url, books.settings.brand)
    base = books.settings.current.base_currency
    wanted = currency or base
    if wanted == base:
        ratios = lake.read("fx_rates")
    else:
        with books.read() as (connection, brand):
            ratios = daily_ratios(read_rates(connection, brand), wanted, books.settings.current.fx_carry_days)
    return Sources(
        # Read once: a report and its drill-down ask for the postings several times.
        lake.read("ledger").lazy(),
        with_line_costs(lake.scan("transactions"), line_costs(lake.read("movement_costs")).lazy()),
        lake.read("sku_costs"),
        lake.read("catalog"),
        ratios,
        base,
        wanted,
    )


def store_sources(
    books: BrandStore,
    definition: Definition,
    span: Span,
    currency: str | None,
    compare: str | None,
    *,
    with_lines: bool = False,
) -> Sources:
    """The books as the store has them, as far as this report needs them, or its explanation (`with_lines`).

    Orders of which the journal has nothing yet are in them as they will be posted.
    """
    base = books.settings.current.base_currency
    wanted = currency or base
    first = date.min if definition.history else span.first
    if compare is not None:
        first = min(first, compared_with(span, compare).first)
    with books.read() as (connection, brand):
        postings = read_postings(connection, brand, first, span.last)
        lines = pl.DataFrame(schema=TRANSACTIONS)
        costs, catalog = read_costs(connection, brand), read_catalog(connection, brand)
        if definition.lines or with_lines:
            found = read_order_lines(connection, brand, first, span.last)
            known = with_line_costs(found, read_line_costs(connection, brand, first, span.last))
            lines = known.with_columns(pl.col("customer_id").cast(pl.String).alias("customer"))
        rates = read_rates(connection, brand)
        carry = books.settings.current.fx_carry_days
        ratios, into_base = daily_ratios(rates, wanted, carry), daily_ratios(rates, base, carry)
        unposted = read_unposted_lines(connection, brand, first, span.last)
    if unposted.height:
        chart = load_chart(books.settings.home)
        postings = pl.concat([postings, pending_postings(unposted, costs, into_base, base, chart, POSTINGS)])
    return Sources(postings.lazy(), lines.lazy(), costs, catalog, ratios, base, wanted)


def whole_span(sources: Sources, definition: Definition, first: date | None, last: date | None) -> Span:
    """The days that were asked for; else those of the books. Raises ReportError where there are no books."""
    days = sources.postings.select(pl.col("day").min().alias("first"), pl.col("day").max().alias("last")).collect()
    oldest, newest = days["first"][0], days["last"][0]
    if first is not None and last is not None:
        return Span(first, last)
    if newest is None:
        raise ReportError("the ledger is empty: take orders in and run `luxauto refresh`, or name --start and --end")
    end = last or (newest if first is None else max(first, newest))
    begin = first or definition.begin(end) or min(oldest, end)
    return Span(begin, end)
