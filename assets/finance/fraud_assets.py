"""Suspicious orders and anomalies of the books as assets, and what follows from them: reviews and holds.

Belongs here: reading, calling, acting and metadata. Does not belong here: what is suspicious (`assets/finance/fraud`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

import dagster as dg
import polars as pl

from assets.finance.fraud.anomalies import ANOMALIES, KINDS, SPENDING_KINDS, Benford, benford, find_anomalies
from assets.finance.fraud.anomalies import spending_documents as documents_of
from assets.finance.fraud.orders import order_transactions
from assets.finance.fx import convert
from assets.presentation import asset_options, result
from resources.settings import Settings
from resources.store.brand_store import BrandStore
from resources.store.fraud import ORDERS, ReviewRequest, hold_order, read_verdicts, request_reviews

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from assets.finance.fraud.columns import Transactions
    from assets.finance.fraud.supervised import Model

INT, TEXT = pl.Int64(), pl.String()
FRAUD_SCORES: dict[str, pl.DataType] = {
    "subject": TEXT,
    "day": pl.Date(),
    "occurred_at": pl.Datetime("us", "UTC"),
    "channel": TEXT,
    "order_number": TEXT,
    "customer": TEXT,
    "country": TEXT,
    "amount_minor": INT,
    "currency": TEXT,
    "base_amount_minor": INT,
    "is_return": pl.Boolean(),
    "score": pl.Float64(),
    "alert": pl.Boolean(),
    "action": TEXT,
    "rules": TEXT,
    "reason": TEXT,
}
REVIEW_DAYS, HOLD_DAYS = 60, 7
"""Up to how many days before the newest order an alert is worth a review, and an order may still be in the house."""
REVIEW_SCORE = 0.8
"""Without labels, scores of orders from here on are alerts; the half that payments have would be one order in seventy."""
ENOUGH_VERDICTS = 200
ACTOR = "fraud_scores"
NO_MODEL = "without labels"


@dg.asset(**asset_options("finance", FRAUD_SCORES, kinds={"duckdb", "sql", "parquet"}))
def fraud_scores(
    context: dg.AssetExecutionContext,
    store: dg.ResourceParam[BrandStore],
    transactions: pl.LazyFrame,
    fx_rates: pl.DataFrame,
) -> dg.MaterializeResult[pl.DataFrame]:
    """Every order and credit note with a score, and why; what is suspicious and recent is put up for review, or held."""
    base = store.settings.current.base_currency
    orders = order_transactions(convert(transactions.collect(), fx_rates, base, "amount_minor", "base_amount_minor"))
    with store.read() as (connection, brand):
        verdicts = read_verdicts(connection, brand, ORDERS)
    scored = score_orders(orders, verdicts, store.settings)
    with store.write() as (connection, brand):
        acted = act_on(connection, brand, scored)
    context.log.info(f"{len(acted.reviews)} new reviews, {len(acted.holds)} orders held; scored {scored.by}")

    def plot() -> bytes:
        from assets.charts import stacked_bars

        alerts = scored.frame.filter("alert").with_columns(pl.col("day").dt.truncate("1mo").alias("month"))
        months = alerts.group_by("month").agg(
            (pl.col("action") == action).sum().alias(action) for action in ("review", "hold")
        )
        return stacked_bars(months.sort("month"), "month", ["review", "hold"], "Suspicious orders by month", "orders")

    suspicious = scored.frame.filter("alert").sort("day", "score", descending=True)
    shown = suspicious.select("day", "subject", "score", "action", "reason")
    return result(
        scored.frame,
        plot,
        "Suspicious orders by month",
        preview=shown,
        alerts=suspicious.height,
        reviews_new=len(acted.reviews),
        holds_new=len(acted.holds),
        verdicts=verdicts.height,
        scored_by=scored.by,
        rules_left_out=dg.MetadataValue.json(scored.left_out),
    )


@dg.asset(**asset_options("finance", ANOMALIES, kinds={"parquet"}))
def anomalies(ledger: pl.LazyFrame, transactions: pl.LazyFrame) -> dg.MaterializeResult[pl.DataFrame]:
    """What is odd in the books: documents twice, round sums, first digits, prices and refunds that do not fit."""
    kinds = [*SPENDING_KINDS, "reversal"]
    postings = ledger.filter(pl.col("kind").is_in(kinds)).collect()
    frame = find_anomalies(postings, transactions.collect())
    counts = dict(frame["kind"].value_counts().iter_rows())

    def plot() -> bytes:
        from assets.charts import bar_ranking

        names = [kind.replace("_", " ") for kind in KINDS]
        return bar_ranking(names, [counts.get(kind, 0) for kind in KINDS], "Anomalies by kind")

    digits = benford(documents_of(postings)["amount_minor"])
    return result(frame, plot, "Anomalies by kind", first_digits=_told(digits))


@dataclass(frozen=True)
class ScoredOrders:
    """Rows of FRAUD_SCORES, by what they were scored, and the rules that could not be asked."""

    frame: pl.DataFrame
    by: str
    left_out: dict[str, list[str]]


@dataclass(frozen=True)
class Acted:
    """Subjects that are newly up for review, and orders that are newly held."""

    reviews: list[str]
    holds: list[str]


def score_orders(orders: pl.DataFrame, verdicts: pl.DataFrame, settings: Settings) -> ScoredOrders:
    """Score orders (ORDER_TRANSACTIONS) by a model of the verdicts where there are enough of them, else without labels."""
    from assets.finance.fraud.columns import as_transactions
    from assets.finance.fraud.rules import RULES_FILE, load_rules
    from assets.finance.fraud.scoring import score_transactions

    if not orders.height:
        return ScoredOrders(pl.DataFrame(schema=FRAUD_SCORES), NO_MODEL, {})
    labelled = orders.join(verdicts, left_on="transaction", right_on="subject", how="left", maintain_order="left")
    given = as_transactions(labelled.drop("order_number", "amount_minor", "currency", "base_amount_minor"))
    model, by = _learn(given, verdicts, orders)
    rules = load_rules(settings.home / RULES_FILE)
    scored = score_transactions(given, rules, model, threshold=None if model else REVIEW_SCORE)
    told = orders.join(scored.rows, on="transaction", maintain_order="left").with_columns(
        pl.col("transaction").alias("subject"),
        pl.col("occurred_at").dt.replace_time_zone("UTC"),
        pl.col("is_return").cast(pl.Boolean),
        pl.col("rules").list.join("; "),
        pl.col("reasons").list.join("; ").alias("reason"),
    )
    return ScoredOrders(told.select(pl.col(n).cast(t) for n, t in FRAUD_SCORES.items()), by, scored.left_out)


def act_on(connection: "Connection", brand: int, scored: ScoredOrders) -> Acted:
    """Ask for reviews of recent alerts, and hold the newest orders that a rule says to hold. Audited and alerted."""
    newest = scored.frame["day"].max()
    if not isinstance(newest, date):
        return Acted([], [])
    recent = scored.frame.filter("alert", pl.col("day") > newest - timedelta(REVIEW_DAYS))
    requests = [
        ReviewRequest(
            row["subject"],
            row["occurred_at"],
            row["score"],
            _words(row["reason"]),
            _words(row["rules"]),
            row["amount_minor"],
            row["currency"],
            scored.by,
        )
        for row in recent.iter_rows(named=True)
    ]
    reviews = request_reviews(connection, brand, ORDERS, requests, ACTOR)
    # What was reviewed before is not held again.
    held = [
        row["subject"]
        for row in recent.filter(
            (pl.col("action") == "hold")
            & ~pl.col("is_return")
            & (pl.col("day") > newest - timedelta(HOLD_DAYS))
            & pl.col("subject").is_in(reviews)
        ).iter_rows(named=True)
        if hold_order(connection, brand, row["channel"], row["order_number"], row["reason"], ACTOR)
    ]
    return Acted(reviews, held)


def _learn(given: "Transactions", verdicts: pl.DataFrame, orders: pl.DataFrame) -> "tuple[Model | None, str]":
    """A model of the verdicts, and how it is called; None and why while there are too few."""
    from assets.finance.fraud.columns import FraudDataError
    from assets.finance.fraud.supervised import train

    if verdicts.height < ENOUGH_VERDICTS:
        return None, f"{NO_MODEL}: {verdicts.height} verdicts of {ENOUGH_VERDICTS}"
    last = orders["occurred_at"].max()
    assert isinstance(last, datetime)
    try:
        model = train(given, last + timedelta(seconds=1), keep_history=False)
    except FraudDataError as error:
        return None, f"{NO_MODEL}: {error}"
    return model, f"by a model of {verdicts.height} verdicts"


def _words(joined: str) -> Sequence[str]:
    return joined.split("; ") if joined else []


def _told(digits: Benford | None) -> str:
    if digits is None:
        return "too few documents of spending to ask for their first digits"
    return f"{digits.count} documents: mean deviation {digits.mad:.4f}, conformity {digits.conformity}"
