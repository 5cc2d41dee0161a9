"""Where a customer stands with the house: one of seven stages, by days since the first and the newest order.

| stage | in words |
| --- | --- |
| prospect | has never ordered |
| new | one order, at most 60 days ago |
| reactivated | ordered in the last 180 days, after more than a year without an order |
| active | ordered in the last 180 days, otherwise |
| at_risk | newest order more than 180 days ago, at most a year |
| lapsed | more than a year ago, at most two |
| lost | more than two years ago |

The first line that fits counts. An order is a day with an order. Belongs here: the stages. Does not belong here: chances
(`predicted_value`).
"""

import polars as pl

NEW_DAYS, ACTIVE_DAYS, AT_RISK_DAYS, LAPSED_DAYS = 60, 180, 365, 730
GAP_DAYS = 365


def stage_expression() -> pl.Expr:
    """The stage, from the columns purchase_days, days_since_last_order and gap_before_last (days between the newest two)."""
    last = pl.col("days_since_last_order")
    return (
        pl.when(last.is_null())
        .then(pl.lit("prospect"))
        .when((pl.col("purchase_days") == 1) & (last <= NEW_DAYS))
        .then(pl.lit("new"))
        .when((last <= ACTIVE_DAYS) & (pl.col("gap_before_last") > GAP_DAYS))
        .then(pl.lit("reactivated"))
        .when(last <= ACTIVE_DAYS)
        .then(pl.lit("active"))
        .when(last <= AT_RISK_DAYS)
        .then(pl.lit("at_risk"))
        .when(last <= LAPSED_DAYS)
        .then(pl.lit("lapsed"))
        .otherwise(pl.lit("lost"))
        .alias("lifecycle_stage")
    )
