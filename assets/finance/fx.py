"""Exchange rates for the books: one exact ratio per day and currency, carried over days without a quotation.

Belongs here: triangulation, carrying forward, conversion. Does not belong here: fetching rates, gains and losses.
"""

from datetime import timedelta

import polars as pl

from assets.finance.money import INT128, divide_half_even, exponent, exponent_of

CARRY_DAYS = 7
SCALE = 10**12
MANUAL = "manual"
"""Whoever enters a rate by hand means it, in whichever direction."""
RATIOS: dict[str, pl.DataType] = {
    "day": pl.Date(),
    "currency": pl.String(),
    "numerator": pl.Int64(),
    "denominator": pl.Int64(),
    "rate": pl.Float64(),
    "quoted_on": pl.Date(),
    "carried": pl.Boolean(),
    "source": pl.String(),
}


def daily_ratios(rates: pl.DataFrame, base_currency: str, carry_days: int = CARRY_DAYS) -> pl.DataFrame:
    """What one unit of each currency is worth in the base currency, for every day: `numerator / denominator`.

    `rates`: day, base, quote, rate (Decimal units of quote for one base), source. A pair that no source quotes directly goes
    through a currency that both are quoted against. A day without a quotation takes the last one, at most `carry_days` old,
    and says so in `carried`; further days have no row. A rate entered by hand comes before all others; of two
    sources of a pair the first row counts. A rate of nine million
    and more does not fit and is as good as none. Columns RATIOS; `rate` is for the eye only.
    """
    scaled = _scaled(rates)
    quoted = pl.concat(
        [_direct(scaled, base_currency), _inverse(scaled, base_currency), _crossed(scaled, base_currency)]
    )
    by_hand = pl.col("source") != MANUAL
    best = quoted.sort(by_hand, "priority", maintain_order=True).unique(
        ["day", "currency"], keep="first", maintain_order=True
    )
    return _carry(best.drop("priority"), carry_days)


def convert(frame: pl.DataFrame, ratios: pl.DataFrame, base_currency: str, amount: str, into: str) -> pl.DataFrame:
    """Add column `into`: the minor units of `amount`, in the row's `currency`, in minor units of the base currency.

    Exact to the last unit: integers of 128 bits, rounded half to even once. Null where the day has no rate, or where the
    result does not fit 64 bits. Needs the columns `day` and `currency`.
    """
    joined = frame.join(
        ratios.select("day", "currency", "numerator", "denominator"),
        on=["day", "currency"],
        how="left",
        maintain_order="left",
    )
    shift = pl.lit(exponent(base_currency)) - exponent_of(pl.col("currency"))
    ten = pl.lit(10, INT128)
    numerator = pl.col(amount).cast(INT128) * pl.col("numerator").cast(INT128) * ten.pow(shift.clip(lower_bound=0))
    denominator = pl.col("denominator").cast(INT128) * ten.pow((-shift).clip(lower_bound=0))
    converted = divide_half_even(numerator, denominator).cast(pl.Int64, strict=False)
    own = pl.col("currency") == base_currency
    return joined.with_columns(pl.when(own).then(pl.col(amount)).otherwise(converted).alias(into)).drop(
        "numerator", "denominator"
    )


def disagreements(rates: pl.DataFrame, base_currency: str, tolerance: float = 0.005) -> pl.DataFrame:
    """Quotations that differ from the way through a third currency: day, currency, direct, crossed (worth in the base)."""
    scaled = _scaled(rates)
    worth = (pl.col("numerator") / pl.col("denominator")).alias("worth")
    direct = pl.concat([_direct(scaled, base_currency), _inverse(scaled, base_currency)]).with_columns(worth)
    crossed = _crossed(scaled, base_currency).with_columns(worth)
    both = direct.join(crossed, on=["day", "currency"], suffix="_crossed")
    apart = (pl.col("worth") / pl.col("worth_crossed") - 1).abs() > tolerance
    return (
        both.filter(apart)
        .select("day", "currency", direct="worth", crossed="worth_crossed")
        .unique()
        .sort("day", "currency")
    )


def _scaled(rates: pl.DataFrame) -> pl.DataFrame:
    scaled = (pl.col("rate") * SCALE).cast(pl.Int64, strict=False).alias("scaled")
    return rates.with_columns(scaled).filter(pl.col("scaled") > 0)


def _direct(rates: pl.DataFrame, base: str) -> pl.DataFrame:
    # So many units of the currency for one of the base: the base's worth is the reciprocal.
    return _ratio(rates.filter(pl.col("base") == base), "quote", pl.lit(SCALE), pl.col("scaled"), 0)


def _inverse(rates: pl.DataFrame, base: str) -> pl.DataFrame:
    return _ratio(rates.filter(pl.col("quote") == base), "base", pl.col("scaled"), pl.lit(SCALE), 1)


def _crossed(rates: pl.DataFrame, base: str) -> pl.DataFrame:
    others = rates.filter((pl.col("quote") != base) & (pl.col("base") != base))
    # So many units of each for one of the pivot: EUR/USD beside EUR/GBP.
    for_one = rates.filter(pl.col("quote") == base).select("day", "base", pivot="scaled")
    per_pivot = others.join(for_one, on=["day", "base"], maintain_order="left_right")
    # So many units of the pivot for one of each: USD/EUR beside GBP/EUR.
    in_pivot = rates.filter(pl.col("base") == base).select("day", "quote", pivot="scaled")
    of_pivot = others.join(in_pivot, on=["day", "quote"], maintain_order="left_right")
    return pl.concat(
        [
            _ratio(per_pivot, "quote", pl.col("pivot"), pl.col("scaled"), 2),
            _ratio(of_pivot, "base", pl.col("scaled"), pl.col("pivot"), 3),
        ]
    )


def _ratio(rates: pl.DataFrame, currency: str, numerator: pl.Expr, denominator: pl.Expr, priority: int) -> pl.DataFrame:
    return rates.select(
        "day",
        pl.col(currency).alias("currency"),
        numerator.cast(pl.Int64).alias("numerator"),
        denominator.cast(pl.Int64).alias("denominator"),
        pl.col("source"),
        pl.lit(priority).alias("priority"),
    )


def _carry(quoted: pl.DataFrame, carry_days: int) -> pl.DataFrame:
    if not quoted.height:
        return pl.DataFrame(schema=RATIOS)
    spans = quoted.sort("day").with_columns(
        pl.min_horizontal(
            pl.col("day").shift(-1).over("currency") - timedelta(days=1), pl.col("day") + timedelta(days=carry_days)
        ).alias("until")
    )
    return (
        spans.with_columns(pl.date_ranges("day", "until").alias("days"), pl.col("day").alias("quoted_on"))
        .drop("day", "until")
        .explode("days")
        .rename({"days": "day"})
        .with_columns(
            (pl.col("numerator") / pl.col("denominator")).alias("rate"),
            (pl.col("day") != pl.col("quoted_on")).alias("carried"),
        )
        .sort("currency", "day")
        .select(pl.col(name).cast(dtype) for name, dtype in RATIOS.items())
    )
