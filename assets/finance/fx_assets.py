"""Foreign balances at each month's end, as an asset, and whether the books say so."""

import dagster as dg
import polars as pl

from assets.expectations import rows_found, sql_check
from assets.finance.booking import load_chart
from assets.finance.fx import disagreements
from assets.finance.fx_closing import month_end
from assets.finance.revaluation import REVALUED, revalue
from assets.presentation import asset_options, result
from resources.store.brand_store import BrandStore
from resources.store.rates import read_rates


@dg.asset(**asset_options("finance", REVALUED, kinds={"parquet"}))
def fx_revaluation(
    store: dg.ResourceParam[BrandStore], ledger: pl.LazyFrame, fx_rates: pl.DataFrame
) -> dg.MaterializeResult[pl.DataFrame]:
    """Foreign balances at each month's end, and what was gained or lost on them; later days tell which months are over."""
    base, chart = store.settings.current.base_currency, load_chart(store.settings.home)
    postings = ledger.collect()
    # A carried rate is of a day that may still be to come.
    known = pl.concat([postings["day"], fx_rates.filter(~pl.col("carried"))["day"]])
    ends = sorted({month_end(day) for day in postings["day"].unique()})
    over = [end for end in ends if (known >= end).any()]
    frames = [revalue(postings, fx_rates, base, chart, end) for end in over]
    frame = pl.concat(frames) if frames else pl.DataFrame(schema=REVALUED)
    return result(frame, preview=frame.sort("month", "subaccount", descending=[True, False]))


books_say_so = sql_check(
    "fx_revaluation",
    "the_books_say_so",
    """
    SELECT month, subaccount, currency, closing_minor, booked_minor FROM fx_revaluation
    WHERE posted AND closing_minor IS NOT NULL AND closing_minor <> booked_minor
    """,
    "Where a month was revalued, the books value each foreign balance at the closing rate, to the minor unit.",
)
rates_do_not_jump = sql_check(
    "fx_rates",
    "no_jump",
    """
    WITH quoted AS (
        SELECT currency, day, numerator / denominator AS worth,
               lag(numerator / denominator) OVER (PARTITION BY currency ORDER BY day) AS before
        FROM fx_rates WHERE NOT carried
    )
    SELECT currency, day, before, worth FROM quoted WHERE worth > before * 1.1 OR worth < before / 1.1
    """,
    "No currency moves by more than a tenth from one quotation to the next: that is rather a wrong rate.",
    blocking=False,
)
amounts_are_valued = sql_check(
    "ledger",
    "every_amount_is_valued",
    """
    SELECT event_day, currency, count(*) AS postings FROM (
        SELECT event_day, currency, order_id, kind, sum(abs(amount_minor)) AS amount, count(base_amount_minor) AS valued
        FROM ledger GROUP BY ALL
    ) WHERE valued = 0 AND amount <> 0 GROUP BY event_day, currency
    """,
    "Every amount has a rate of its day, at most so old as the limit allows. Take missing ones in with `luxauto fx import`.",
    blocking=False,
)


@dg.asset_check(asset="fx_rates", name="direct_agrees_with_cross", blocking=False)
def direct_agrees_with_cross(store: dg.ResourceParam[BrandStore]) -> dg.AssetCheckResult:
    """Where a pair is quoted directly and can be reckoned through a third currency, both differ by at most 0.5 %."""
    with store.read() as (connection, brand):
        rates = read_rates(connection, brand)
    return rows_found(disagreements(rates, store.settings.current.base_currency), blocking=False)


CHECKS = [books_say_so, rates_do_not_jump, amounts_are_valued, direct_agrees_with_cross]
