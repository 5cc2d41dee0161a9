"""Rules that the reports must keep: each is held against the ledger, the lines or another report."""

from assets.expectations import monthly_check, sql_check
from assets.finance.checks import monthly_margin_check

sheet_balances = monthly_check(
    "balance_sheet",
    "balances",
    """
    SELECT month, assets."column", assets.amount_minor AS assets, claims.amount_minor AS claims
    FROM balance_sheet AS assets JOIN balance_sheet AS claims USING (month, "column")
    WHERE assets."row" = 'total_assets' AND claims."row" = 'total_claims'
      AND coalesce(assets.amount_minor, 0) <> coalesce(claims.amount_minor, 0)
    """,
    "At every month's end the assets equal the liabilities and the equity.",
)
sheet_is_the_ledger = monthly_check(
    "balance_sheet",
    "equals_the_ledger",
    """
    WITH moved AS (
        SELECT date_trunc('month', day) AS moved_in, sum(base_amount_minor) AS amount FROM ledger
        WHERE account_type = 'asset' GROUP BY ALL
    ), shown AS (SELECT month, amount_minor AS amount FROM balance_sheet WHERE "row" = 'total_assets'),
    booked AS (
        SELECT month, sum(moved.amount) AS amount FROM shown JOIN moved ON moved_in <= month GROUP BY month
    )
    SELECT month, booked.amount AS booked, shown.amount AS shown FROM shown LEFT JOIN booked USING (month)
    WHERE coalesce(booked.amount, 0) <> coalesce(shown.amount, 0)
    """,
    "At every month's end the assets are the sum of all postings on accounts of assets until then.",
)
trial_balance_is_even = monthly_check(
    "trial_balance",
    "sums_to_zero_in_every_currency",
    """
    SELECT month, "row",
           sum(CASE WHEN "column" = 'closing' THEN amount_minor ELSE 0 END) AS closing,
           sum(CASE WHEN "column" = 'debit' THEN amount_minor WHEN "column" = 'credit' THEN -amount_minor ELSE 0 END) AS moved
    FROM trial_balance WHERE row_kind = 'total' GROUP BY month, "row" HAVING closing <> 0 OR moved <> 0
    """,
    "In every currency, and in the base currency, debits equal credits and the closing balances sum to zero.",
)
trial_balance_is_the_ledger = monthly_check(
    "trial_balance",
    "equals_the_ledger",
    """
    WITH moved AS (
        SELECT date_trunc('month', day) AS moved_in, account || '/' || currency AS "row", sum(amount_minor) AS amount
        FROM ledger GROUP BY ALL
    ), months AS (SELECT DISTINCT month FROM trial_balance),
    booked AS (SELECT month, "row", sum(amount) AS amount FROM months JOIN moved ON moved_in <= month GROUP BY ALL),
    shown AS (
        SELECT month, "row", amount_minor AS amount FROM trial_balance
        WHERE "column" = 'closing' AND row_kind = 'line' AND "row" NOT LIKE '%/base'
    )
    SELECT month, "row", booked.amount AS booked, shown.amount AS shown
    FROM booked FULL JOIN shown USING (month, "row")
    WHERE coalesce(booked.amount, 0) <> coalesce(shown.amount, 0)
    """,
    "The closing balance of every account and currency is the sum of its postings until then.",
)
cash_is_the_ledger = monthly_check(
    "cash_flow",
    "ends_at_the_balance",
    """
    WITH moved AS (
        SELECT date_trunc('month', day) AS moved_in, sum(base_amount_minor) AS amount FROM ledger
        WHERE account IN ('1000', '1100') GROUP BY ALL
    ), shown AS (
        SELECT month, amount_minor AS amount FROM cash_flow WHERE "row" = 'closing' AND "column" = 'total'
    ),
    booked AS (
        SELECT month, sum(moved.amount) AS amount FROM shown JOIN moved ON moved_in <= month GROUP BY month
    )
    SELECT month, booked.amount AS booked, shown.amount AS shown FROM shown LEFT JOIN booked USING (month)
    WHERE coalesce(booked.amount, 0) <> coalesce(shown.amount, 0)
    """,
    "What flowed, which comes from the legs against cash, ends at the balance of the cash accounts themselves.",
)
waterfall_is_the_profit_and_loss = monthly_check(
    "revenue_waterfall",
    "net_is_that_of_the_profit_and_loss",
    """
    WITH reported AS (
        SELECT month, sum(amount_minor) AS amount FROM profit_and_loss
        WHERE account IN ('4000', '4100', '4200') GROUP BY month
    ), shown AS (
        SELECT month, amount_minor AS amount FROM revenue_waterfall WHERE "row" = 'net_sales' AND "column" = 'total'
    )
    SELECT month, reported.amount AS reported, shown.amount AS shown FROM reported FULL JOIN shown USING (month)
    WHERE coalesce(reported.amount, 0) <> coalesce(shown.amount, 0)
    """,
    "Net sales of every month are those of the profit and loss: sales less returns and discounts.",
)
tax_is_the_ledger = monthly_check(
    "vat_report",
    "equals_account_2200",
    """
    WITH booked AS (
        SELECT date_trunc('month', day) AS month, -sum(base_amount_minor) AS amount FROM ledger
        WHERE account = '2200' GROUP BY ALL
    ), shown AS (
        SELECT month, amount_minor AS amount FROM vat_report WHERE "row" = 'due' AND "column" = 'total'
    )
    SELECT month, booked.amount AS booked, shown.amount AS shown FROM booked FULL JOIN shown USING (month)
    WHERE coalesce(booked.amount, 0) <> coalesce(shown.amount, 0)
    """,
    "Tax owed over all jurisdictions is what account 2200 has moved in the month.",
)
receivables_are_the_ledger = monthly_check(
    "receivables_ageing",
    "equals_account_1200",
    """
    WITH moved AS (
        SELECT date_trunc('month', day) AS moved_in, currency, sum(amount_minor) AS amount FROM ledger
        WHERE account = '1200' GROUP BY ALL
    ),
    months AS (SELECT moved_in AS month FROM moved UNION SELECT month FROM receivables_ageing),
    booked AS (SELECT month, currency, sum(amount) AS amount FROM months JOIN moved ON moved_in <= month GROUP BY ALL),
    shown AS (
        SELECT month, currency, sum(amount_minor) AS amount FROM receivables_ageing
        WHERE row_kind = 'total' AND "column" = 'open' GROUP BY ALL
    )
    SELECT month, currency, booked.amount AS booked, shown.amount AS shown
    FROM booked FULL JOIN shown USING (month, currency)
    WHERE coalesce(booked.amount, 0) <> coalesce(shown.amount, 0)
    """,
    "Open items of every currency add up to the balance of account 1200 at the month's end.",
)
cohorts_are_the_customers = sql_check(
    "cohort_value",
    "has_every_customer_once",
    """
    WITH bought AS (
        SELECT count(DISTINCT customer) AS customers FROM transactions WHERE kind = 'goods' AND quantity > 0
    ), shown AS (
        SELECT coalesce(sum(figure), 0) AS customers FROM cohort_value
        WHERE "row" LIKE '%/customers' AND row_kind = 'line' AND "column" = '0'
    )
    SELECT bought.customers AS bought, shown.customers AS shown FROM bought, shown
    WHERE bought.customers <> shown.customers
    """,
    "The cohorts hold every customer who ever bought, each in one.",
)

CHECKS = [
    sheet_balances,
    sheet_is_the_ledger,
    trial_balance_is_even,
    trial_balance_is_the_ledger,
    cash_is_the_ledger,
    waterfall_is_the_profit_and_loss,
    tax_is_the_ledger,
    receivables_are_the_ledger,
    cohorts_are_the_customers,
    *(monthly_margin_check(f"margin_by_{by}") for by in ("colour", "size", "country")),
]
