"""Rules that stock must keep."""

import polars as pl

from assets.expectations import Rule, sql_check, suite
from resources.store.stock import MOVEMENTS
from resources.store.vocabulary import MOVEMENT_KINDS


def with_effect(movements: pl.DataFrame) -> pl.DataFrame:
    """`moves_something`: only a first count may find nothing."""
    return movements.with_columns(((pl.col("quantity") != 0) | (pl.col("kind") == "opening")).alias("moves_something"))


MOVEMENT_RULES = [
    Rule(
        "has_the_agreed_columns",
        "ExpectTableColumnsToMatchSet",
        {"column_set": [*MOVEMENTS, "moves_something"], "exact_match": True},
        "The columns are those that everything downstream reads.",
    ),
    Rule(
        "each_movement_once",
        "ExpectColumnValuesToBeUnique",
        {"column": "movement_id"},
        "No movement is there twice.",
    ),
    Rule("has_a_sku", "ExpectColumnValuesToNotBeNull", {"column": "sku"}, "Every movement is of a SKU."),
    Rule(
        "kind_is_known",
        "ExpectColumnValuesToBeInSet",
        {"column": "kind", "value_set": list(MOVEMENT_KINDS)},
        "Every movement is of a known kind.",
    ),
    Rule(
        "moves_something",
        "ExpectColumnValuesToBeInSet",
        {"column": "moves_something", "value_set": [True]},
        "Every movement moves at least one unit, but for an opening, which may be a count of nothing.",
    ),
]

movements_suite = suite("stock_movements", MOVEMENT_RULES, prepare=with_effect, partitioned=True)

levels_are_sums = sql_check(
    "stock_levels",
    "equal_the_movements",
    """
    WITH moved AS (
        SELECT sku, sum(CASE WHEN kind = 'reservation' THEN 0 ELSE quantity END) AS on_hand,
               -sum(CASE WHEN kind = 'reservation' THEN quantity ELSE 0 END) AS reserved
        FROM stock_movements GROUP BY sku
    )
    SELECT sku, moved.on_hand AS moved, levels.on_hand, moved.reserved AS moved_reserved, levels.reserved
    FROM moved FULL JOIN stock_levels AS levels USING (sku)
    WHERE coalesce(moved.on_hand, 0) <> coalesce(levels.on_hand, 0)
       OR coalesce(moved.reserved, 0) <> coalesce(levels.reserved, 0) OR levels.available <> levels.on_hand - levels.reserved
    """,
    "Every level is the sum of the SKU's movements, and available is on hand less reserved.",
)

catalog_is_unique = sql_check(
    "catalog",
    "each_sku_once",
    "SELECT sku, count(*) AS rows FROM catalog GROUP BY sku HAVING count(*) > 1 OR sku IS NULL",
    "Every SKU is there once.",
)

costs_are_positive = sql_check(
    "sku_costs",
    "cost_is_not_negative",
    "SELECT * FROM sku_costs WHERE cost_minor < 0",
    "No cost is negative.",
)

alerts_are_single = sql_check(
    "stock_alerts",
    "one_alert_per_sku_and_kind",
    "SELECT sku, kind, count(*) AS alerts FROM stock_alerts GROUP BY sku, kind HAVING count(*) > 1",
    "A SKU has at most one unresolved alert of a kind.",
)

plan_is_possible = sql_check(
    "reorder_plan",
    "quantities_can_be_ordered",
    """
    SELECT sku, recommended_quantity, min_order_quantity, available, on_order, reason FROM reorder_plan
    WHERE recommended_quantity < 0
       OR recommended_quantity % greatest(coalesce(pack_size, min_order_quantity, 1), 1) <> 0
       OR (recommended_quantity > 0 AND recommended_quantity < min_order_quantity)
    """,
    "Recommended quantities are whole packs, no smaller than the minimum and not negative.",
)

orders_are_positive = sql_check(
    "purchase_orders",
    "quantities_are_positive",
    "SELECT number, sku, quantity, received_quantity FROM purchase_orders WHERE quantity <= 0 OR received_quantity < 0",
    "Every purchase order line orders something.",
)

lead_times_are_days = sql_check(
    "supplier_lead_times",
    "lead_times_are_days",
    "SELECT * FROM supplier_lead_times WHERE lead_time_mean < 0 OR lead_time_sd < 0 OR lead_time_p50 > lead_time_p90",
    "No lead time is negative, and its quantiles rise.",
)

transfers_are_possible = sql_check(
    "transfer_plan",
    "moves_between_two_places",
    "SELECT * FROM transfer_plan WHERE quantity <= 0 OR source = target",
    "Every transfer moves units from one place to another.",
)

markdowns_are_sound = sql_check(
    "markdown_plan",
    "recovers_no_less_than_the_full_price",
    """
    SELECT * FROM markdown_plan
    WHERE excess_units <= 0 OR price_step < 0 OR price_step >= 1 OR recovery_minor < full_price_minor
    """,
    "A step is suggested only where more than the full price is expected to be recovered.",
)

open_to_buy_adds_up = sql_check(
    "open_to_buy",
    "adds_up",
    """
    SELECT * FROM open_to_buy WHERE open_to_buy_minor <> planned_sales_minor + planned_markdowns_minor
        + planned_end_stock_minor - opening_stock_minor - arriving_minor
    """,
    "Open to buy is planned sales, markdowns and end stock, less what is there and what arrives.",
)

CHECKS = [
    movements_suite,
    levels_are_sums,
    catalog_is_unique,
    costs_are_positive,
    alerts_are_single,
    plan_is_possible,
    orders_are_positive,
    lead_times_are_days,
    transfers_are_possible,
    markdowns_are_sound,
    open_to_buy_adds_up,
]
