"""Rules that the values of stock must keep: they are the ledger's, and of the units that are there."""

from assets.expectations import sql_check
from assets.finance.accounts import INVENTORY

costs_have_their_currency = sql_check(
    "movement_costs",
    "values_have_their_currency",
    """
    SELECT movement_id, part, units, value_minor, variance_minor, currency FROM movement_costs
    WHERE (currency IS NULL AND (coalesce(value_minor, 0) <> 0 OR variance_minor <> 0))
       OR (currency IS NOT NULL AND value_minor IS NULL)
    """,
    "Every value stands beside its currency, and units of unknown cost have none.",
)

costs_are_the_movements = sql_check(
    "movement_costs",
    "units_equal_the_movements",
    """
    WITH valued AS (SELECT movement_id, sum(units) AS units FROM movement_costs GROUP BY movement_id)
    SELECT movement_id, valued.units, moved.quantity FROM valued LEFT JOIN stock_movements AS moved USING (movement_id)
    WHERE moved.quantity IS NULL OR valued.units <> moved.quantity OR moved.kind IN ('reservation', 'transfer')
    """,
    "The units that were valued are those that moved.",
)

valuation_is_the_ledger = sql_check(
    "stock_valuation",
    "equals_the_ledger",
    f"""
    WITH booked AS (
        SELECT currency, sum(amount_minor) AS amount, sum(base_amount_minor) AS base
        FROM ledger WHERE account = '{INVENTORY.code}' GROUP BY currency
    ), worth AS (
        SELECT currency, sum(value_minor) AS amount, sum(base_value_minor) AS base
        FROM stock_valuation WHERE currency IS NOT NULL GROUP BY currency
    )
    SELECT currency, worth.amount AS stock, booked.amount AS ledger, worth.base AS base_stock, booked.base AS base_ledger
    FROM booked FULL JOIN worth USING (currency)
    WHERE coalesce(worth.amount, 0) <> coalesce(booked.amount, 0)
    """,
    f"In every currency, the stock's value is the balance of the inventory account {INVENTORY.code}.",
    blocking=False,
)

valuation_is_the_movements = sql_check(
    "stock_valuation",
    "values_are_sums_of_movements",
    """
    WITH moved AS (
        SELECT sku, currency, sum(coalesce(value_minor, 0) + variance_minor) AS amount
        FROM movement_costs WHERE currency IS NOT NULL GROUP BY sku, currency
    ), worth AS (SELECT sku, currency, value_minor AS amount FROM stock_valuation WHERE currency IS NOT NULL)
    SELECT sku, currency, moved.amount AS moved, worth.amount AS worth FROM moved FULL JOIN worth USING (sku, currency)
    WHERE coalesce(moved.amount, 0) <> coalesce(worth.amount, 0)
    """,
    "What each SKU is worth is the sum of what its movements were worth.",
    blocking=False,
)

valuation_has_the_units = sql_check(
    "stock_valuation",
    "units_equal_the_levels",
    """
    WITH moved AS (
        SELECT sku, sum(quantity) AS units FROM stock_movements
        WHERE kind NOT IN ('reservation', 'transfer') GROUP BY sku
    ), worth AS (SELECT sku, sum(units) AS units FROM stock_valuation GROUP BY sku)
    SELECT sku, moved.units AS moved, worth.units AS worth FROM moved FULL JOIN worth USING (sku)
    WHERE coalesce(moved.units, 0) <> coalesce(worth.units, 0)
    """,
    "The units that are valued are those on hand; units between two locations count as there.",
    blocking=False,
)

valuation_has_one_sign = sql_check(
    "stock_valuation",
    "units_and_value_have_one_sign",
    "SELECT sku, units, value_minor, currency FROM stock_valuation WHERE sign(units) * sign(value_minor) < 0",
    "No unit that is there is worth less than nothing.",
)

CHECKS = [
    costs_have_their_currency,
    costs_are_the_movements,
    valuation_is_the_ledger,
    valuation_is_the_movements,
    valuation_has_the_units,
    valuation_has_one_sign,
]
