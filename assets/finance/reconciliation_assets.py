"""The assets of reconciliation: payouts, what is left without a counterpart, and suppliers' invoices.

They tell what the store holds. Matching and booking is `luxauto finance reconcile run`, `luxauto finance match`, or the job
`reconcile_payouts`.
"""

import dagster as dg
import polars as pl

from assets.finance.money import exponent
from assets.finance.payouts.banked import RECONCILIATION
from assets.finance.payouts.unmatched import UNMATCHED
from assets.finance.purchases import purchase_matches as read_purchase_matches
from assets.finance.purchases import tolerance_of
from assets.finance.reconcile import read_state
from assets.presentation import asset_options, result
from resources.store.brand_store import BrandStore
from resources.store.supplier_invoices import INVOICES

_PAYOUT = {"state": "payout_state", "lines": "settlement_lines"}
_INVOICE = {
    "number": "invoice_number",
    "order_number": "purchase_order",
    "result": "match_result",
    "detail": "variance",
}
_KEPT = (
    "supplier",
    "number",
    "order_number",
    "invoiced_on",
    "currency",
    "goods_minor",
    "tax_minor",
    "result",
    "detail",
)
PAYOUT_RECONCILIATION: dict[str, pl.DataType] = {_PAYOUT.get(name, name): t for name, t in RECONCILIATION.items()}
UNMATCHED_ITEMS: dict[str, pl.DataType] = dict(UNMATCHED)
PURCHASE_MATCHES: dict[str, pl.DataType] = {
    **{_INVOICE.get(name, name): INVOICES[name] for name in _KEPT},
    "approved": pl.Boolean(),
    "booked": pl.Boolean(),
}
AGES = ((7, "a week"), (14, "two weeks"), (30, "a month"), (60, "two months"), (10**6, "older"))


@dg.asset(deps=["ledger"], **asset_options("finance", PAYOUT_RECONCILIATION, kinds={"sql", "parquet"}))
def payout_reconciliation(store: dg.ResourceParam[BrandStore]) -> dg.MaterializeResult[pl.DataFrame]:
    """Each payout of a processor: what its lines come to, what was stated, what the bank booked, and the difference."""
    with store.read() as (connection, brand):
        report = read_state(store, connection, brand).report
    frame = report.rename(_PAYOUT).select(*PAYOUT_RECONCILIATION)
    states = frame["payout_state"].value_counts(sort=True)

    def plot() -> bytes:
        from assets.charts import bar_ranking

        return bar_ranking(states["payout_state"].to_list(), states["count"].to_list(), "Payouts by state")

    return result(frame, plot, "Payouts by state", preview=frame.sort("paid_on", descending=True, nulls_last=True))


@dg.asset(deps=["ledger"], **asset_options("finance", UNMATCHED_ITEMS, kinds={"sql", "parquet"}))
def unmatched_items(store: dg.ResourceParam[BrandStore]) -> dg.MaterializeResult[pl.DataFrame]:
    """What should have a counterpart and has none: lines, payouts, bank lines, orders; each with the best guess and why."""
    base = store.settings.current.base_currency
    with store.read() as (connection, brand):
        frame = read_state(store, connection, brand).unmatched

    def plot() -> bytes:
        from assets.charts import Unit, bar_ranking

        ages = clearing_by_age(frame, base)
        unit = Unit(currency=base, exponent=exponent(base))
        title = f"Open in clearing by age, {base} only"
        return bar_ranking(ages["age"].to_list(), ages["open_minor"].to_list(), title, unit)

    return result(
        frame, plot, "Open in clearing by age", preview=frame.sort("age_days", descending=True, nulls_last=True)
    )


@dg.asset(
    deps=["purchase_orders", "stock_movements"], **asset_options("finance", PURCHASE_MATCHES, kinds={"sql", "parquet"})
)
def purchase_matches(store: dg.ResourceParam[BrandStore]) -> dg.MaterializeResult[pl.DataFrame]:
    """Suppliers' invoices beside what was ordered and what has arrived, and whether they stand in the books."""
    with store.read() as (connection, brand):
        invoices = read_purchase_matches(connection, brand, tolerance_of(store.settings.home))
    frame = (
        invoices.with_columns(pl.col("approved_by").is_not_null().alias("approved"))
        .rename(_INVOICE)
        .select(*PURCHASE_MATCHES)
    )
    results = frame["match_result"].value_counts(sort=True)

    def plot() -> bytes:
        from assets.charts import bar_ranking

        return bar_ranking(results["match_result"].to_list(), results["count"].to_list(), "Invoices by result")

    return result(frame, plot, "Suppliers' invoices by result", preview=frame.sort("invoiced_on", descending=True))


def clearing_by_age(unmatched: pl.DataFrame, currency: str) -> pl.DataFrame:
    """What processors still owe of orders, less what they paid that belongs to none, by age: age, open_minor."""
    owed = pl.when(pl.col("item") == "order").then("amount_minor").otherwise(-pl.col("amount_minor"))
    open_ = unmatched.filter(pl.col("item").is_in(["order", "settlement_line"]) & (pl.col("currency") == currency))
    rows: list[tuple[str, int]] = []
    lower = -(10**6)
    for upto, words in AGES:
        inside = open_.filter((pl.col("age_days") > lower) & (pl.col("age_days") <= upto))
        rows.append((words, inside.select(owed.sum()).item() or 0))
        lower = upto
    return pl.DataFrame(rows, schema={"age": pl.String, "open_minor": pl.Int64}, orient="row")
