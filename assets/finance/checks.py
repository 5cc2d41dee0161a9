"""Rules that the books must keep. A blocking one that fails stops what is downstream."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import polars as pl

from assets.expectations import Rule, monthly_check, rows_found, sql_check, suite
from assets.finance.assets import TRANSACTIONS
from assets.finance.booking import load_chart
from assets.finance.money import exponents
from resources.lake import Lake
from resources.settings import load_settings
from resources.store.ledger import POSTINGS
from resources.store.vocabulary import LINE_KINDS

FRESH_DAYS = 7


def _with_sign(lines: pl.DataFrame) -> pl.DataFrame:
    """`sign_kept`: goods bring money in when units go out and the other way round. `currency_known`: it is in ISO 4217."""
    same = pl.col("amount_minor").sign() == pl.col("quantity").sign()
    return lines.with_columns(
        (same | (pl.col("kind") != "goods") | (pl.col("amount_minor") == 0)).alias("sign_kept"),
        pl.col("currency").is_in(list(exponents())).alias("currency_known"),
    )


transactions_suite = suite(
    "transactions",
    [
        Rule(
            "has_the_agreed_columns",
            "ExpectTableColumnsToMatchSet",
            {"column_set": [*TRANSACTIONS, "sign_kept", "currency_known"], "exact_match": True},
            "The columns are those that everything downstream reads.",
        ),
        Rule("each_line_once", "ExpectColumnValuesToBeUnique", {"column": "line_id"}, "No order line is there twice."),
        Rule("has_a_day", "ExpectColumnValuesToNotBeNull", {"column": "day"}, "Every line has its local day."),
        Rule(
            "has_an_amount", "ExpectColumnValuesToNotBeNull", {"column": "amount_minor"}, "Every line has its amount."
        ),
        Rule("has_a_kind", "ExpectColumnValuesToNotBeNull", {"column": "kind"}, "Every line has its kind."),
        Rule(
            "kind_is_known",
            "ExpectColumnValuesToBeInSet",
            {"column": "kind", "value_set": list(LINE_KINDS)},
            "Every line is of a kind that has an account.",
        ),
        Rule(
            "currency_is_iso",
            "ExpectColumnValuesToBeInSet",
            {"column": "currency_known", "value_set": [True]},
            "Every amount stands beside an active ISO 4217 code.",
        ),
        Rule(
            "quantity_in_range",
            "ExpectColumnValuesToBeBetween",
            {"column": "quantity", "min_value": -(10**9), "max_value": 10**9},
            "No line moves more than a billion units.",
        ),
        Rule(
            "goods_keep_their_sign",
            "ExpectColumnValuesToBeInSet",
            {"column": "sign_kept", "value_set": [True]},
            "Goods sold bring money in, goods returned give it back.",
        ),
    ],
    prepare=_with_sign,
    partitioned=True,
)


@dg.asset_check(asset="transactions", name="is_fresh", blocking=False)
def transactions_are_fresh(lake: dg.ResourceParam[Lake]) -> dg.AssetCheckResult:
    """The newest order line is not older than a week: otherwise a feed has stopped, or the file is an old one."""
    newest = lake.sql("SELECT max(day) AS newest FROM transactions")
    oldest_fresh = (datetime.now(UTC) - timedelta(days=FRESH_DAYS)).date()
    return rows_found(newest.filter(pl.col("newest").is_null() | (pl.col("newest") < oldest_fresh)), blocking=False)


def _with_balance(postings: pl.DataFrame) -> pl.DataFrame:
    """`imbalance` and `base_imbalance`: what the row's entry sums to in its currency, and in the base currency.

    `account_known`: the chart has it.
    """
    return postings.with_columns(
        pl.col("account").is_in(list(load_chart(load_settings().home).accounts)).alias("account_known"),
        pl.col("amount_minor").sum().over("entry_id", "currency").alias("imbalance"),
        pl.col("base_amount_minor").sum().over("entry_id").alias("base_imbalance"),
    )


ledger_suite = suite(
    "ledger",
    [
        Rule(
            "has_the_agreed_columns",
            "ExpectTableColumnsToMatchSet",
            {"column_set": [*POSTINGS, "imbalance", "base_imbalance", "account_known"], "exact_match": True},
            "The columns are those that everything downstream reads.",
        ),
        Rule(
            "each_posting_once", "ExpectColumnValuesToBeUnique", {"column": "posting_id"}, "No posting is there twice."
        ),
        Rule(
            "has_an_amount",
            "ExpectColumnValuesToNotBeNull",
            {"column": "amount_minor"},
            "Every posting has its amount.",
        ),
        Rule(
            "account_is_in_the_chart",
            "ExpectColumnValuesToBeInSet",
            {"column": "account_known", "value_set": [True]},
            "Every posting is on an account of the chart.",
        ),
        Rule(
            "debits_equal_credits",
            "ExpectColumnValuesToBeInSet",
            {"column": "imbalance", "value_set": [0]},
            "Every entry sums to zero in every currency.",
        ),
        Rule(
            "debits_equal_credits_in_base",
            "ExpectColumnValuesToBeInSet",
            {"column": "base_imbalance", "value_set": [0]},
            "Every entry sums to zero in the base currency.",
        ),
    ],
    prepare=_with_balance,
    partitioned=True,
)

report_is_the_lines = sql_check(
    "financial_report",
    "equals_the_lines",
    """
    WITH lines AS (
        SELECT day, channel, currency,
               sum(CASE WHEN kind = 'goods' AND quantity > 0 THEN amount_minor ELSE 0 END) AS gross,
               -sum(CASE WHEN kind = 'refund' OR (kind = 'goods' AND quantity < 0) THEN amount_minor ELSE 0 END) AS back
        FROM transactions GROUP BY ALL
    )
    SELECT day, channel, currency, gross, gross_sales_minor, back, returns_minor
    FROM lines FULL JOIN financial_report USING (day, channel, currency)
    WHERE coalesce(gross, 0) <> coalesce(gross_sales_minor, 0) OR coalesce(back, 0) <> coalesce(returns_minor, 0)
    """,
    "Gross sales and returns, which come from the ledger, equal a second count from the order lines.",
)

profit_is_the_ledger = monthly_check(
    "profit_and_loss",
    "equals_the_ledger",
    """
    WITH booked AS (
        SELECT date_trunc('month', day) AS month, -sum(base_amount_minor) AS amount FROM ledger
        WHERE account_type IN ('revenue', 'expense') GROUP BY ALL
    ), reported AS (SELECT month, sum(amount_minor) AS amount FROM profit_and_loss GROUP BY ALL)
    SELECT month, booked.amount AS booked, reported.amount AS reported FROM booked FULL JOIN reported USING (month)
    WHERE coalesce(booked.amount, 0) <> coalesce(reported.amount, 0)
    """,
    "The result of every month equals the sum of its postings.",
)

rates_are_positive = sql_check(
    "fx_rates",
    "one_positive_rate_a_day",
    """
    SELECT day, currency, count(*) AS rates, min(numerator) AS numerator, min(denominator) AS denominator FROM fx_rates
    GROUP BY day, currency HAVING count(*) > 1 OR min(numerator) <= 0 OR min(denominator) <= 0
    """,
    "Every currency has one rate a day, and it is above zero.",
)


def margin_check(asset: str) -> dg.AssetChecksDefinition:
    """That the revenue of a table of margins adds up to the daily reports."""
    return sql_check(
        asset,
        "adds_up_to_the_report",
        f"""
        SELECT margins.revenue, report.revenue AS reported
        FROM (SELECT sum(base_revenue_minor) AS revenue FROM {asset}) AS margins,
             (SELECT sum(base_net_revenue_minor) AS revenue FROM financial_report) AS report
        WHERE coalesce(margins.revenue, 0) <> coalesce(report.revenue, 0)
        """,
        "Its revenue adds up to the net revenue of the daily reports.",
    )


def monthly_margin_check(asset: str) -> dg.AssetChecksDefinition:
    """The same of a table of margins with a partition a month."""
    return monthly_check(
        asset,
        "adds_up_to_the_report",
        f"""
        WITH margins AS (SELECT month, sum(base_revenue_minor) AS revenue FROM {asset} GROUP BY month),
        report AS (
            SELECT date_trunc('month', day) AS month, sum(base_net_revenue_minor) AS revenue FROM financial_report
            GROUP BY ALL
        )
        SELECT month, margins.revenue, report.revenue AS reported FROM margins FULL JOIN report USING (month)
        WHERE coalesce(margins.revenue, 0) <> coalesce(report.revenue, 0)
        """,
        "Its revenue adds up to the net revenue of the month's daily reports.",
    )


margins_add_up = [
    margin_check("margin_by_sku"),
    *(monthly_margin_check(asset) for asset in ("margin_by_channel", "margin_by_collection")),
]

report_is_the_books = sql_check(
    "executive_report",
    "shows_the_revenue_of_the_books",
    """
    SELECT shown.net, books.net AS booked
    FROM (SELECT sum(net_revenue) AS net FROM executive_report) AS shown,
         (SELECT sum(base_net_revenue_minor) AS net FROM financial_report) AS books
    WHERE coalesce(shown.net, 0) <> coalesce(books.net, 0)
    """,
    "Its months add up to the net revenue of the daily reports.",
)

CHECKS = [
    transactions_suite,
    transactions_are_fresh,
    ledger_suite,
    report_is_the_lines,
    profit_is_the_ledger,
    rates_are_positive,
    *margins_add_up,
    report_is_the_books,
]
