"""Recency, frequency, monetary: each customer's fifth among all, and the tiers of the best by spend.

Equal values are in the same fifth, so fifths need not be equally large: where most bought once, most share a score.
Belongs here: ranks. Does not belong here: the values that are ranked (`features`).
"""

import polars as pl

FIFTHS = 5
TIER_SHARES = {"platinum": 0.01, "gold": 0.05, "silver": 0.20}


def score(values: pl.Expr) -> pl.Expr:
    """1 to 5, 5 for the largest: 1 + the whole fifths of customers with less. Null where the value is."""
    below = values.rank("min") - 1
    return (1 + (below * FIFTHS) // values.count()).cast(pl.Int64)


def scores() -> list[pl.Expr]:
    """recency_score, frequency_score and monetary_score, from days_since_last_order, purchase_days and net_minor."""
    return [
        score(-pl.col("days_since_last_order")).alias("recency_score"),
        score(pl.col("purchase_days")).alias("frequency_score"),
        score(pl.col("net_minor")).alias("monetary_score"),
    ]


def tier(net: pl.Expr) -> pl.Expr:
    """The tier by net spend among customers with any: equal spend, equal tier; who spent nothing has none."""
    spent = pl.when(net > 0).then(net)
    # Customers with more, as a share: of a hundred, the first alone is in the first per cent.
    share = (spent.rank("min", descending=True) - 1) / spent.count()
    found = pl.when(share.is_null()).then(pl.lit("none"))
    for name, limit in TIER_SHARES.items():
        found = found.when(share < limit).then(pl.lit(name))
    return found.otherwise(pl.lit("none")).alias("vip_tier")
