"""What reports are made from, and what a posting is worth in the report's currency.

Belongs here: frames as they are read, valuation, and what could not be valued. Does not belong here: any report.

The rule of restating: in the base currency a posting is worth what the ledger says. In another currency it is worth its own
amount at the ratio of its own day, rounded half to even once a posting. A posting of a base amount alone is worth that amount
at the day's ratio where it is an exchange difference; elsewhere it only completes the value of an earlier posting, which was
converted itself, and is worth nothing more.
"""

from dataclasses import dataclass
from datetime import date

import polars as pl

from assets.finance.fx import convert
from assets.finance.reports.model import ReportError
from assets.finance.reports.sections import EXCHANGE_ACCOUNTS

_SETTLED = ["order_id", "kind", "event_day", "currency"]


@dataclass(frozen=True)
class Sources:
    """The books: `postings` with the columns POSTINGS, `lines` of orders with `customer`, and what they are valued with.

    `ratios` lead into `currency`, the report's; the costs are those of `sku_costs`. Frames may hold more days than a report
    is of.
    """

    postings: pl.LazyFrame
    lines: pl.LazyFrame
    costs: pl.DataFrame
    catalog: pl.DataFrame
    ratios: pl.DataFrame
    base_currency: str
    currency: str

    @property
    def restated(self) -> bool:
        return self.currency != self.base_currency

    def in_base_only(self, name: str) -> None:
        """Raises ReportError where balances are asked for in another currency: they have no one day whose rate counts."""
        if self.restated:
            raise ReportError(
                f"{name} is kept in {self.base_currency} and not restated in {self.currency}: leave the currency out"
            )


def valued(postings: pl.LazyFrame, sources: Sources, ratios: pl.DataFrame | None = None) -> pl.LazyFrame:
    """Postings with `value_minor`: what each is worth in the report's currency, debit positive; null without a rate.

    `ratios`, where given, take the place of the days' own: for constant currency.
    """
    if ratios is None and not sources.restated:
        return postings.with_columns(pl.col("base_amount_minor").alias("value_minor"))
    rates = sources.ratios if ratios is None else ratios
    own = convert(postings.collect(), rates, sources.currency, "amount_minor", "value_minor")
    base_only = (pl.col("amount_minor") == 0) & (pl.col("base_amount_minor").fill_null(0) != 0)
    bare = own.with_columns(pl.col("currency").alias("own"), pl.lit(sources.base_currency).alias("currency"))
    both = convert(bare, rates, sources.currency, "base_amount_minor", "of_base").with_columns(
        pl.col("own").alias("currency"),
        pl.when(~base_only)
        .then("value_minor")
        .when(pl.col("account").str.starts_with(EXCHANGE_ACCOUNTS))
        .then("of_base")
        .otherwise(0)
        .alias("value_minor"),
    )
    return both.drop("own", "of_base").lazy()


def moved(ratios: pl.DataFrame, counterparts: pl.DataFrame) -> pl.DataFrame:
    """Ratios of the counterparts, dated as the days that they are counterparts of."""
    renamed = ratios.rename({"day": "counterpart"})
    return counterparts.join(renamed, on="counterpart").drop("counterpart")


def within(frame: pl.LazyFrame, first: date | None, last: date) -> pl.LazyFrame:
    """Rows of the days [first, last]; of all days up to `last` where there is no first."""
    kept = frame.filter(pl.col("day") <= last)
    return kept if first is None else kept.filter(pl.col("day") >= first)


def unvalued_note(values: pl.LazyFrame) -> tuple[str, ...]:
    """What is in no amount for want of a rate: a note a currency; none where all has one.

    A posting whose value came later, as the difference that a late rate makes, has one.
    """
    nothing = pl.col("value_minor").is_null()
    lacking = values.filter(nothing).collect()
    if not lacking.height:
        return ()
    late = pl.col("amount_minor") == 0
    completed = values.filter(~nothing & late).select(_SETTLED).unique().collect()
    rest = lacking.join(completed, on=_SETTLED, how="anti", nulls_equal=True)
    told = rest.group_by("currency").agg(pl.len(), pl.col("day").n_unique().alias("days")).sort("currency")
    return tuple(
        f"{postings} postings in {currency}, of {days} days, have no exchange rate and are in no amount."
        for currency, postings, days in told.iter_rows()
    )
