"""Rules that the reports must keep: each is held against the ledger, the lines or another report."""

from assets.expectations import sql_check
from assets.finance.checks import margin_check

sheet_balances = sql_check(
    "balance_sheet",
    "balances",
    """
    SELECT assets."column", assets.amount_minor AS assets, claims.amount_minor AS claims
    FROM balance_sheet AS assets JOIN balance_sheet AS claims USING ("column")
    WHERE assets."row" = 'total_assets' AND claims."row" = 'total_claims'
      AND coalesce(assets.amount_minor, 0) <> coalesce(claims.amount_minor, 0)
    """,
    "On every day the assets equal the liabilities and the equity.",
)
sheet_is_the_ledger = sql_check(
    "balance_sheet",
    "equals_the_ledger",
    """
    WITH booked AS (
        SELECT sum(base_amount_minor) AS amount FROM ledger WHERE account_type = 'asset'
    ), shown AS (
        SELECT amount_minor AS amount FROM balance_sheet WHERE "row" = 'total_assets'
        ORDER BY "column" DESC LIMIT 1
    )
    SELECT booked.amount AS booked, shown.amount AS shown FROM booked, shown
    WHERE coalesce(booked.amount, 0) <> coalesce(shown.amount, 0)
    """,
    "On the last day the assets are the sum of all postings on accounts of assets.",
)
trial_balance_is_even = sql_check(
    "trial_balance",
    "sums_to_zero_in_every_currency",
    """
    SELECT "row",
           sum(CASE WHEN "column" = 'closing' THEN amount_minor ELSE 0 END) AS closing,
           sum(CASE WHEN "column" = 'debit' THEN amount_minor WHEN "column" = 'credit' THEN -amount_minor ELSE 0 END) AS moved
    FROM trial_balance WHERE row_kind = 'total' GROUP BY "row" HAVING closing <> 0 OR moved <> 0
    """,
    "In every currency, and in the base currency, debits equal credits and the closing balances sum to zero.",
)
trial_balance_is_the_ledger = sql_check(
    "trial_balance",
    "equals_the_ledger",
    """
    WITH booked AS (
        SELECT account || '/' || currency AS "row", sum(amount_minor) AS amount FROM ledger GROUP BY ALL
    ), shown AS (
        SELECT "row", amount_minor AS amount FROM trial_balance
        WHERE "column" = 'closing' AND row_kind = 'line' AND "row" NOT LIKE '%/base'
    )
    SELECT "row", booked.amount AS booked, shown.amount AS shown FROM booked FULL JOIN shown USING ("row")
    WHERE coalesce(booked.amount, 0) <> coalesce(shown.amount, 0)
    """,
    "The closing balance of every account and currency is the sum of its postings.",
)
cash_is_the_ledger = sql_check(
    "cash_flow",
    "ends_at_the_balance",
    """
    WITH booked AS (
        SELECT coalesce(sum(base_amount_minor), 0) AS amount FROM ledger WHERE account IN ('1000', '1100')
    ), shown AS (
        SELECT amount_minor AS amount FROM cash_flow WHERE "row" = 'closing' AND "column" = 'total'
    )
    SELECT booked.amount AS booked, shown.amount AS shown FROM booked, shown WHERE booked.amount <> shown.amount
    """,
    "What flowed, which comes from the legs against cash, ends at the balance of the cash accounts themselves.",
)
waterfall_is_the_profit_and_loss = sql_check(
    "revenue_waterfall",
    "net_is_that_of_the_profit_and_loss",
    """
    WITH reported AS (
        SELECT strftime(month, '%Y-%m') AS "column", sum(amount_minor) AS amount FROM profit_and_loss
        WHERE account IN ('4000', '4100', '4200') GROUP BY ALL
    ), shown AS (
        SELECT "column", amount_minor AS amount FROM revenue_waterfall WHERE "row" = 'net_sales' AND "column" <> 'total'
    )
    SELECT "column", reported.amount AS reported, shown.amount AS shown FROM reported FULL JOIN shown USING ("column")
    WHERE coalesce(reported.amount, 0) <> coalesce(shown.amount, 0)
    """,
    "Net sales of every month are those of the profit and loss: sales less returns and discounts.",
)
tax_is_the_ledger = sql_check(
    "vat_report",
    "equals_account_2200",
    """
    WITH booked AS (
        SELECT coalesce(-sum(base_amount_minor), 0) AS amount FROM ledger WHERE account = '2200'
    ), shown AS (
        SELECT amount_minor AS amount FROM vat_report WHERE "row" = 'due' AND "column" = 'total'
    )
    SELECT booked.amount AS booked, shown.amount AS shown FROM booked, shown
    WHERE booked.amount <> coalesce(shown.amount, 0)
    """,
    "Tax owed over all jurisdictions is what account 2200 has moved.",
)
receivables_are_the_ledger = sql_check(
    "receivables_ageing",
    "equals_account_1200",
    """
    WITH booked AS (
        SELECT currency, sum(amount_minor) AS amount FROM ledger WHERE account = '1200' GROUP BY ALL
    ), shown AS (
        SELECT currency, sum(amount_minor) AS amount FROM receivables_ageing
        WHERE row_kind = 'total' AND "column" = 'open' GROUP BY ALL
    )
    SELECT currency, booked.amount AS booked, shown.amount AS shown FROM booked FULL JOIN shown USING (currency)
    WHERE coalesce(booked.amount, 0) <> coalesce(shown.amount, 0)
    """,
    "Open items of every currency add up to the balance of account 1200.",
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
    *(margin_check(f"margin_by_{by}") for by in ("colour", "size", "country")),
]
