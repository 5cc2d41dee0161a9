"""Rules of reconciliation. Those that say the books are wrong block; those that say a person should look warn."""

import dagster as dg
import polars as pl

from assets.expectations import rows_found, sql_check
from assets.finance.payouts.limits import load_limits
from assets.finance.payouts.matching import open_pools
from assets.finance.reconcile import read_state
from resources.lake import Lake
from resources.store.brand_store import BrandStore
from resources.store.reconciliation import read_statements

payouts_add_up = sql_check(
    "payout_reconciliation",
    "lines_come_to_the_payout",
    """
    SELECT processor, payout_ref, currency, stated_minor, lines_minor, banked_minor, difference_minor, explanation
    FROM payout_reconciliation WHERE difference_minor <> 0 OR payout_state IN ('differs', 'no_lines')
    """,
    "What a processor states, what its lines come to and what the bank booked are the same amount.",
    blocking=False,
)


@dg.asset_check(asset="payout_reconciliation", name="nothing_is_matched_twice", blocking=True)
def nothing_is_matched_twice(store: dg.ResourceParam[BrandStore]) -> dg.AssetCheckResult:
    """No settlement line, bank line or payout has two matches that stand."""
    with store.read() as (connection, brand):
        active = read_state(store, connection, brand).active
    twice = [
        active.select(pl.lit(name).alias("what"), pl.col(name).alias("id"))
        .drop_nulls()
        .group_by("what", "id")
        .len()
        .filter(pl.col("len") > 1)
        for name in ("line_id", "bank_line_id", "payout_id")
    ]
    return rows_found(pl.concat(twice))


@dg.asset_check(asset="payout_reconciliation", name="bank_statements_follow_each_other", blocking=False)
def bank_statements_follow_each_other(store: dg.ResourceParam[BrandStore]) -> dg.AssetCheckResult:
    """Each statement of an account opens with what the one before it closed with: else one was not taken in."""
    with store.read() as (connection, brand):
        statements = read_statements(connection, brand)
    account = ["account_hash", "currency"]
    before = [pl.col(name).shift(1).over(account).alias(f"{name}_before") for name in ("number", "closing_minor")]
    gaps = statements.sort("closed_on", "opened_on", "number").with_columns(before)
    gaps = gaps.filter(pl.col("closing_minor_before") != pl.col("opening_minor")).drop("account_hash")
    return rows_found(gaps, blocking=False)


@dg.asset_check(asset="unmatched_items", name="no_order_is_settled_beyond_its_amount", blocking=False)
def no_order_is_settled_beyond_its_amount(store: dg.ResourceParam[BrandStore]) -> dg.AssetCheckResult:
    """No more was matched with an order than it brought in or gave back: else it was changed after it was paid."""
    with store.read() as (connection, brand):
        state = read_state(store, connection, brand)
    beyond = open_pools(state.orders, state.active).filter((pl.col("open_minor") < 0) & (pl.col("whole_minor") >= 0))
    return rows_found(beyond, blocking=False)


@dg.asset_check(asset="unmatched_items", name="nothing_is_left_for_long", blocking=False)
def nothing_is_left_for_long(lake: dg.ResourceParam[Lake], store: dg.ResourceParam[BrandStore]) -> dg.AssetCheckResult:
    """Nothing is without a counterpart for longer than `warn_after_days`, two weeks unless it is set."""
    days = load_limits(store.settings.home).warn_after_days
    old = lake.sql(f"SELECT * FROM unmatched_items WHERE age_days > {days} ORDER BY age_days DESC")
    return rows_found(old, blocking=False)


invoices_are_sound = sql_check(
    "purchase_matches",
    "only_what_matches_or_was_approved_is_booked",
    """
    SELECT supplier, invoice_number, match_result, variance FROM purchase_matches
    WHERE booked AND match_result <> 'matched' AND NOT approved
    """,
    "No invoice stands in the books that neither matches its order and its receipt nor was approved.",
)

CHECKS = [
    payouts_add_up,
    nothing_is_matched_twice,
    bank_statements_follow_each_other,
    no_order_is_settled_beyond_its_amount,
    nothing_is_left_for_long,
    invoices_are_sound,
]
