"""Payouts: whether their lines come to what was paid out, and which line of the bank it arrived as.

Belongs here: payouts and bank lines, from frames to matches and a row a payout; customers' payments that come by bank. Does
not belong here: orders (`matching`), entries (`events`).
"""

from datetime import date
from typing import Any

import polars as pl

from assets.finance.payouts.frames import BANK, DAY, INT, PAYOUTS, TEXT
from assets.finance.payouts.matching import Limits, normalised, only_within
from assets.finance.payouts.words import shown

PAYOUT_ROWS: dict[str, pl.DataType] = {"payout_id": INT, "processor": TEXT, **PAYOUTS, "pooled": pl.Boolean()}
BANK_ROWS: dict[str, pl.DataType] = {"bank_line_id": INT, **BANK}
BANKED: dict[str, pl.DataType] = {
    "bank_line_id": INT,
    "payout_id": INT,
    "order_id": INT,
    "rule": TEXT,
    "amount_minor": INT,
    "currency": TEXT,
    "pool": TEXT,
    "order_amount_minor": INT,
    "order_currency": TEXT,
}
RECONCILIATION: dict[str, pl.DataType] = {
    "payout_id": INT,
    "processor": TEXT,
    "payout_ref": TEXT,
    "currency": TEXT,
    "paid_on": DAY,
    "lines": INT,
    "unmatched_lines": INT,
    "lines_minor": INT,
    "stated_minor": INT,
    "expected_minor": INT,
    "banked_minor": INT,
    "banked_on": DAY,
    "difference_minor": INT,
    "state": TEXT,
    "explanation": TEXT,
}
STATES = ("banked", "nothing_due", "in_transit", "overdue", "differs", "no_lines")
# How the bank writes the name of who pays, beside the processor's own name.
NAMES = {"shopify": "shopify", "stripe": "stripe", "paypal": "paypal", "amazon": "amazon"}
_WORD = r"[A-Za-z0-9_\-#]{3,}"


def words_of(bank: pl.DataFrame) -> pl.DataFrame:
    """Each word that a bank line has, as numbers are compared: bank_line_id, word."""
    texts = ("counterparty", "reference", "end_to_end_id", "description")
    return (
        bank.select("bank_line_id", words=pl.concat_str(texts, separator=" ", ignore_nulls=True).str.extract_all(_WORD))
        .explode("words")
        .select("bank_line_id", word=_bare(pl.col("words")))
        .drop_nulls()
        .unique()
    )


def expected(payouts: pl.DataFrame, lines: pl.DataFrame) -> pl.DataFrame:
    """Payouts with the count and sum of their lines and with `expected_minor`: what is stated, else what the lines come to."""
    sums = (
        lines.filter(pl.col("payout_ref").is_not_null() & (pl.col("kind") != "payout"))
        .group_by("processor", "payout_ref", "currency")
        .agg(pl.len().cast(INT).alias("lines"), pl.col("net_minor").sum().alias("lines_minor"))
    )
    return (
        payouts.rename({"amount_minor": "stated_minor"})
        .join(sums, on=["processor", "payout_ref", "currency"], how="left", maintain_order="left")
        .with_columns(pl.col("lines").fill_null(0), pl.coalesce("stated_minor", "lines_minor").alias("expected_minor"))
    )


def match_bank(
    payouts: pl.DataFrame, lines: pl.DataFrame, bank: pl.DataFrame, active: pl.DataFrame, limits: Limits
) -> pl.DataFrame:
    """Matches (columns BANKED) of payouts and bank lines that have none in `active`: the same amount and currency, and

    payout_reference: the bank names the payout; payout_name: it names the processor, and the day fits;
    payout_amount: nothing but amount and day, which fit only one payout and one line.
    """
    due = expected(payouts, lines).join(active.select("payout_id").drop_nulls(), on="payout_id", how="anti")
    due = due.filter(pl.col("expected_minor") != 0)
    free = bank.join(active.select("bank_line_id").drop_nulls(), on="bank_line_id", how="anti")
    words = words_of(free)
    found = pl.DataFrame(schema=BANKED)
    named = words.rename({"word": "key"}).join(
        due.select("payout_id", "expected_minor", "currency", key=_bare(pl.col("payout_ref"))), on="key"
    )
    same = named.join(free, on=["bank_line_id", "currency"]).filter(pl.col("amount_minor") == pl.col("expected_minor"))
    found = pl.concat([found, _both_ways(same, "payout_reference")])
    hints = free.select(
        "bank_line_id",
        text=pl.concat_str(
            "counterparty", "reference", "description", separator=" ", ignore_nulls=True
        ).str.to_lowercase(),
    )
    for rule in ("payout_name", "payout_amount"):
        # Each round may leave only one payout for another line.
        while True:
            due = due.join(found, on="payout_id", how="anti")
            free = free.join(found, on="bank_line_id", how="anti")
            pairs = _near(due, free, hints, rule, limits)
            if pairs.is_empty():
                break
            found = pl.concat([found, pairs])
    return found.sort("bank_line_id")


def match_customers(
    bank: pl.DataFrame, orders: pl.DataFrame, pools: pl.DataFrame, active: pl.DataFrame, on_account: frozenset[str]
) -> pl.DataFrame:
    """Payments by bank of orders on account: the line names the order's number and is just what is open of it."""
    free = bank.join(active.select("bank_line_id").drop_nulls(), on="bank_line_id", how="anti")
    free = free.filter(pl.col("amount_minor") > 0)
    owed = orders.filter(pl.col("channel").is_in(list(on_account))).select(
        "order_id", "currency", key=_bare(pl.col("number"))
    )
    open_ = pools.filter(pl.col("pool") == "paid").select("order_id", "open_minor", currency="order_currency")
    named = words_of(free).rename({"word": "key"}).join(owed, on="key").join(open_, on=["order_id", "currency"])
    same = named.join(free, on=["bank_line_id", "currency"]).filter(pl.col("amount_minor") == pl.col("open_minor"))
    alone = same.filter((pl.len().over("bank_line_id") == 1) & (pl.len().over("order_id") == 1))
    return alone.select(
        "bank_line_id",
        pl.lit(None, INT).alias("payout_id"),
        "order_id",
        pl.lit("order_number").alias("rule"),
        "amount_minor",
        "currency",
        pl.lit("paid").alias("pool"),
        pl.col("open_minor").alias("order_amount_minor"),
        pl.col("currency").alias("order_currency"),
    ).sort("bank_line_id")


def reconciliation(
    payouts: pl.DataFrame, lines: pl.DataFrame, bank: pl.DataFrame, active: pl.DataFrame, limits: Limits, today: date
) -> pl.DataFrame:
    """One row a payout (columns RECONCILIATION): expected from lines, stated, banked, the difference and what it is."""
    arrived = (
        active.filter(pl.col("payout_id").is_not_null())
        .join(bank.select("bank_line_id", "booked_on"), on="bank_line_id")
        .group_by("payout_id")
        .agg(pl.col("amount_minor").sum().alias("banked_minor"), pl.col("booked_on").max().alias("banked_on"))
    )
    open_ = (
        lines.filter(pl.col("kind").is_in(["charge", "refund", "chargeback", "chargeback_reversal"]))
        .join(active.select("line_id").drop_nulls(), on="line_id", how="anti")
        .group_by("processor", "payout_ref", "currency")
        .agg(pl.len().cast(INT).alias("unmatched_lines"))
    )
    rows = (
        expected(payouts, lines)
        .join(arrived, on="payout_id", how="left")
        .join(open_, on=["processor", "payout_ref", "currency"], how="left")
        .with_columns(pl.col("unmatched_lines").fill_null(0))
    )
    return _judged(rows, limits, today).select(*RECONCILIATION).sort("paid_on", "payout_id", nulls_last=True)


def _judged(rows: pl.DataFrame, limits: Limits, today: date) -> pl.DataFrame:
    lines, stated, banked = pl.col("lines_minor"), pl.col("stated_minor"), pl.col("banked_minor")
    has_lines = pl.col("lines") > 0
    apart = pl.when(~pl.col("pooled") & has_lines & stated.is_not_null()).then(stated - lines).otherwise(0)
    short = pl.when(banked.is_not_null()).then(banked - pl.col("expected_minor")).otherwise(0)
    late = pl.lit(today) - pl.col("paid_on") > pl.duration(days=limits.bank_late)
    state = (
        pl.when((apart != 0) | (short != 0))
        .then(pl.lit("differs"))
        .when(~pl.col("pooled") & ~has_lines)
        .then(pl.lit("no_lines"))
        .when(banked.is_not_null())
        .then(pl.lit("banked"))
        .when(pl.col("expected_minor") == 0)
        .then(pl.lit("nothing_due"))
        .when(late)
        .then(pl.lit("overdue"))
        .otherwise(pl.lit("in_transit"))
    )
    words = (
        pl.when(apart != 0)
        .then(
            pl.format(
                "the processor states {}, its {} lines come to {}: {} apart",
                shown("stated_minor"),
                "lines",
                shown("lines_minor"),
                shown(apart),
            )
        )
        .when(short != 0)
        .then(
            pl.format(
                "the bank booked {}, {} were expected: {} apart",
                shown("banked_minor"),
                shown("expected_minor"),
                shown(short),
            )
        )
        .when(~pl.col("pooled") & ~has_lines)
        .then(pl.lit("the lines of this payout were not taken in"))
        .when(banked.is_null() & (pl.col("expected_minor") != 0))
        .then(pl.format("no line of the bank with {} {} yet", shown("expected_minor"), "currency"))
    )
    return rows.with_columns(
        pl.when(apart != 0).then(apart).otherwise(short).alias("difference_minor"),
        state.alias("state"),
        words.alias("explanation"),
    )


def _near(due: pl.DataFrame, free: pl.DataFrame, hints: pl.DataFrame, rule: str, limits: Limits) -> pl.DataFrame:
    group = ["currency", "amount"]
    a = due.filter(pl.col("paid_on").is_not_null()).select(
        "payout_id", "processor", "currency", amount="expected_minor", day="paid_on"
    )
    b = free.select("bank_line_id", "currency", amount="amount_minor", day="booked_on").join(hints, on="bank_line_id")
    if rule == "payout_name":
        group = ["name", *group]
        a = a.with_columns(pl.col("processor").str.to_lowercase().alias("name"))
        names = sorted({*NAMES.values(), *a["name"].to_list()})
        told = [
            b.filter(pl.col("text").str.contains(name, literal=True)).with_columns(name=pl.lit(name)) for name in names
        ]
        b = pl.concat(told) if told else b.clear().with_columns(name=pl.lit(None, TEXT))
    pairs = only_within(
        a.drop("processor"),
        b.drop("text"),
        group,
        "payout_id",
        "bank_line_id",
        pl.lit(limits.bank_early),
        pl.lit(limits.bank_late),
    )
    joined = pairs.join(free, on="bank_line_id")
    return _both_ways(joined, rule)


def _both_ways(pairs: pl.DataFrame, rule: str) -> pl.DataFrame:
    """Pairs that are the only one of their payout and of their bank line."""
    alone = pairs.unique(["payout_id", "bank_line_id"]).filter(
        (pl.len().over("payout_id") == 1) & (pl.len().over("bank_line_id") == 1)
    )
    fixed: dict[str, Any] = {
        "order_id": pl.lit(None, INT),
        "pool": pl.lit(None, TEXT),
        "order_amount_minor": pl.lit(None, INT),
        "order_currency": pl.lit(None, TEXT),
        "rule": pl.lit(rule),
    }
    return alone.with_columns(**fixed).select(*BANKED).sort("bank_line_id")


def _bare(text: pl.Expr) -> pl.Expr:
    plain = normalised(text).str.replace_all(r"[^A-Z0-9]", "")
    return pl.when(plain != "").then(plain)
