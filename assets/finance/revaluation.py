"""What foreign balances are worth at a month's end, and what was gained or lost on them (IAS 21, 23a and 28).

Belongs here: the sums over postings. Does not belong here: posting them (`fx_closing`), rates (`fx`).

Monetary are banks, clearing, disputes, receivables, payables, goods received but not invoiced, gift cards, taxes and what
companies of the house owe each other. The account between two currencies of an exchange is not: its position is closed.
"""

from datetime import date

import polars as pl

from assets.finance.accounts import Chart
from assets.finance.fx import convert

MONETARY = (
    "bank",
    "clearing",
    "disputes",
    "receivables",
    "input_tax",
    "intercompany_receivable",
    "payables",
    "received_not_invoiced",
    "gift_cards",
    "sales_tax",
    "intercompany_payable",
)
REVALUATION = "revaluation"
REALISED, UNREALISED = "realised", "unrealised"
REVALUED: dict[str, pl.DataType] = {
    "month": pl.Date(),
    "account": pl.String(),
    "subaccount": pl.String(),
    "currency": pl.String(),
    "foreign_minor": pl.Int64(),
    "carrying_minor": pl.Int64(),
    "closing_minor": pl.Int64(),
    "realised_minor": pl.Int64(),
    "unrealised_minor": pl.Int64(),
    "booked_minor": pl.Int64(),
    "posted": pl.Boolean(),
    "base_currency": pl.String(),
}
_PLACE = ["account", "subaccount", "currency"]


def revalue(
    postings: pl.DataFrame, ratios: pl.DataFrame, base_currency: str, chart: Chart, month_end: date
) -> pl.DataFrame:
    """Every foreign monetary balance on a day, with the columns REVALUED; amounts in minor units of the base currency.

    `postings` (columns POSTINGS) are all until then. `carrying_minor` is what the balance stands at by the average rate of what
    came in: what goes out takes its share along, and the difference to its own day's rate was realised (`realised_minor`, as
    the account's side: positive is a gain of an asset). `closing_minor` is its worth at the rate of the day, `unrealised_minor`
    the difference, both null where the day has no rate or an amount has none: such a balance is not revalued. `booked_minor` is
    what the books say with all revaluations, `posted` whether there is one of this month.
    """
    heads = [chart.of_role(role).code for role in MONETARY]
    until = postings.filter(
        (pl.col("day") <= month_end) & pl.col("account").is_in(heads) & (pl.col("currency") != base_currency)
    )
    if not until.height:
        return pl.DataFrame(schema=REVALUED)
    carried = _carried(until.filter(pl.col("kind") != REVALUATION))
    booked = until.group_by(_PLACE).agg(
        pl.col("base_amount_minor").sum().alias("booked_minor"),
        ((pl.col("kind") == REVALUATION) & (pl.col("reference") == unrealised_of(month_end))).any().alias("posted"),
    )
    dated = carried.with_columns(pl.lit(month_end).alias("day"))
    valued = convert(dated, ratios, base_currency, "foreign_minor", "closing_minor")
    known = pl.col("carrying_minor").is_not_null()
    stands = (pl.col("foreign_minor") != 0) | (pl.col("realised_minor").fill_null(1) != 0)
    return (
        valued.join(booked, on=_PLACE, how="left")
        .with_columns(
            closing_minor=pl.when(known).then("closing_minor"),
            realised_minor=pl.col("carrying_minor") - pl.col("settled_minor"),
            month=pl.lit(month_end.replace(day=1)),
            base_currency=pl.lit(base_currency),
        )
        .with_columns(unrealised_minor=pl.col("closing_minor") - pl.col("carrying_minor"))
        # A gain that was posted and is none any more has to be taken back, so a worth without a balance stays in sight.
        .filter(stands | pl.col("posted") | (pl.col("booked_minor") != 0))
        .sort("subaccount", "currency")
        .select(pl.col(name).cast(dtype) for name, dtype in REVALUED.items())
    )


def unrealised_of(month_end: date) -> str:
    """The reference of a month's unrealised entries."""
    return f"{UNREALISED} {month_end:%Y-%m}"


def average_carrying(days: list[tuple[int, int]]) -> int:
    """What a balance stands at after its days' sums (foreign amount, worth at the day's rate), by the average of what came in.

    What goes against the balance releases its share, rounded half to even; what goes beyond zero begins anew at its own rate.
    """
    balance = carrying = 0
    for amount, worth in days:
        after = balance + amount
        if amount == 0:
            # A worth alone completes what stands; where nothing does, it is realised.
            carrying = carrying + worth if balance else 0
        elif balance == 0 or (balance > 0) == (amount > 0):
            carrying += worth
        elif after == 0 or (after > 0) == (balance > 0):
            carrying = _divided(carrying * after, balance)
        else:
            carrying = _divided(worth * after, amount)
        balance = after
    return carrying


def _carried(postings: pl.DataFrame) -> pl.DataFrame:
    """Per place: foreign_minor, carrying_minor (null where an amount has no rate), settled_minor (all at their days' rates)."""
    base = pl.col("base_amount_minor")
    settled = postings.group_by([*_PLACE, "order_id", "kind", "event_day"]).agg(
        pl.col("amount_minor").sum(), base.sum().alias("base"), pl.col("day").min(), _unvalued().alias("unknown")
    )
    daily = (
        settled.group_by([*_PLACE, "day"])
        .agg(pl.col("amount_minor").sum(), pl.col("base").sum(), pl.col("unknown").any())
        .sort(*_PLACE, "day")
        .group_by(_PLACE, maintain_order=True)
        .agg("amount_minor", "base", pl.col("unknown").any())
    )
    carrying = [
        None if unknown else average_carrying(list(zip(amounts, bases, strict=True)))
        for amounts, bases, unknown in daily.select("amount_minor", "base", "unknown").iter_rows()
    ]
    return daily.select(
        *_PLACE,
        foreign_minor=pl.col("amount_minor").list.sum(),
        settled_minor=pl.col("base").list.sum(),
        carrying_minor=pl.Series(carrying, dtype=pl.Int64),
    )


def _unvalued() -> pl.Expr:
    """Whether an amount among these postings of one kind and day has no rate.

    What follows orders and stock is posted as differences: a sum has a base amount where any of its postings has. Any other
    entry that had no rate gets one further posting, of a base amount alone, for each of its own.
    """
    amount, base = pl.col("amount_minor"), pl.col("base_amount_minor")
    lacking = (base.is_null() & (amount != 0)).sum()
    by_difference = pl.col("kind").first().is_in(["order", "stock"])
    return pl.when(by_difference).then(base.is_null().all() & (lacking > 0)).otherwise(lacking > (amount == 0).sum())


def _divided(numerator: int, denominator: int) -> int:
    """Rounded half to even."""
    quotient, rest = divmod(numerator, denominator)
    twice = 2 * rest
    if denominator < 0:
        twice, denominator = -twice, -denominator
    return quotient + (twice > denominator or (twice == denominator and quotient % 2 == 1))
