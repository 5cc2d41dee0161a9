"""Rules that suspicious orders and anomalies must keep: nothing is left out, nothing is silent, nothing is without a reason."""

import dagster as dg
import polars as pl

from assets.expectations import rows_found, sql_check
from assets.finance.fraud.anomalies import KINDS
from assets.finance.fraud.orders import ON_ACCOUNT, PAID
from assets.finance.fraud_assets import REVIEW_DAYS
from resources.lake import Lake
from resources.store.brand_store import BrandStore
from resources.store.fraud import ORDERS, read_reviews

_ALL = 10**9


def _listed(words: tuple[str, ...]) -> str:
    return ", ".join(f"'{word}'" for word in words)


@dg.asset_check(
    asset="fraud_scores",
    name="every_order_is_scored_once",
    description="Every order whose lines all have a rate has one score, and nothing else has one.",
)
def every_order_is_scored_once(
    lake: dg.ResourceParam[Lake], store: dg.ResourceParam[BrandStore]
) -> dg.AssetCheckResult:
    query = f"""
        WITH wanted AS (
            SELECT t.channel || '/' || t.order_number AS subject,
                   count(*) FILTER (WHERE r.numerator IS NULL AND t.currency <> ?) AS unvalued
            FROM transactions t LEFT JOIN fx_rates r ON r.day = t.day AND r.currency = t.currency
            WHERE t.kind IN ({_listed(PAID)}) AND t.channel NOT IN ({_listed(ON_ACCOUNT)}) GROUP BY subject
        ), scored AS (
            SELECT subject, count(*) AS times FROM fraud_scores GROUP BY subject
        )
        SELECT subject, times, unvalued FROM wanted FULL JOIN scored USING (subject)
        WHERE unvalued IS NULL OR coalesce(times, 0) <> CASE WHEN unvalued = 0 THEN 1 ELSE 0 END
    """
    return rows_found(lake.sql(query, [store.settings.current.base_currency]))


scores_are_shares = sql_check(
    "fraud_scores",
    "scores_lie_between_0_and_1",
    "SELECT subject, score FROM fraud_scores WHERE score IS NULL OR NOT score BETWEEN 0 AND 1",
    "Every score is from 0 to 1.",
)
alerts_have_reasons = sql_check(
    "fraud_scores",
    "alerts_have_reasons",
    """
    SELECT subject, score, action, reason FROM fraud_scores
    WHERE alert <> (action <> 'none') OR (alert AND coalesce(reason, '') = '')
    """,
    "Every alert asks for a review or a hold, and says why.",
    blocking=False,
)


@dg.asset_check(
    asset="fraud_scores",
    name="alerts_are_in_the_queue",
    description="Every recent alert stands in the review queue, open or decided: none is silent.",
)
def alerts_are_in_the_queue(lake: dg.ResourceParam[Lake], store: dg.ResourceParam[BrandStore]) -> dg.AssetCheckResult:
    with store.read() as (connection, brand):
        known = [r.subject for r in read_reviews(connection, brand, state="all", source=ORDERS, count=_ALL)]
    recent = lake.sql(
        f"""
        SELECT subject, day, score, action FROM fraud_scores
        WHERE alert AND day > (SELECT max(day) FROM fraud_scores) - {REVIEW_DAYS}
        """
    )
    return rows_found(recent.filter(~pl.col("subject").is_in(known)))


anomalies_are_told = sql_check(
    "anomalies",
    "each_has_a_known_kind_and_a_reason",
    f"SELECT * FROM anomalies WHERE kind NOT IN ({_listed(KINDS)}) OR subject IS NULL OR coalesce(reason, '') = ''",
    "Every anomaly is of a known kind and says what it is about and why.",
)
refunds_are_in_the_books = sql_check(
    "anomalies",
    "orders_are_in_the_books",
    """
    SELECT a.kind, a.subject FROM anomalies a
    WHERE a.kind IN ('price_outlier', 'refund_above_sale', 'refund_without_sale')
      AND NOT EXISTS (SELECT 1 FROM transactions t WHERE t.channel || '/' || t.order_number = a.subject)
    """,
    "Every anomaly of an order can be followed to its lines.",
)

CHECKS = [
    every_order_is_scored_once,
    scores_are_shares,
    alerts_have_reasons,
    alerts_are_in_the_queue,
    anomalies_are_told,
    refunds_are_in_the_books,
]
