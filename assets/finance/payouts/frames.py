"""What every statement becomes: settlement lines, payouts, bank lines, bank statements, and rows that were put aside.

Belongs here: the shapes, and the errors. Does not belong here: any vendor's layout (a module each), matching (`matching`).

Amounts are minor units. A settlement line's `net_minor` is `gross_minor` less `fee_minor`; money that comes to the house is
positive, and so is a fee that it pays.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import polars as pl

Kind = Literal[
    "charge",
    "refund",
    "fee",
    "chargeback",
    "chargeback_reversal",
    "payout",
    "adjustment",
    "reserve",
    "conversion",
    "tax",
    "other",
]
KINDS: tuple[str, ...] = get_args(Kind)
INT, TEXT, DAY = pl.Int64(), pl.String(), pl.Date()
INSTANT = pl.Datetime("us", "UTC")
LARGEST = 10**15

SETTLEMENT: dict[str, pl.DataType] = {
    "line_key": TEXT,
    "payout_ref": TEXT,
    "kind": TEXT,
    "order_ref": TEXT,
    "external_id": TEXT,
    "original_id": TEXT,
    "occurred_at": INSTANT,
    "occurred_on": DAY,
    "available_on": DAY,
    "gross_minor": INT,
    "fee_minor": INT,
    "net_minor": INT,
    "currency": TEXT,
    "presentment_minor": INT,
    "presentment_currency": TEXT,
    "description": TEXT,
    "row_number": INT,
}
PAYOUTS: dict[str, pl.DataType] = {"payout_ref": TEXT, "currency": TEXT, "amount_minor": INT, "paid_on": DAY}
BANK: dict[str, pl.DataType] = {
    "account": TEXT,
    "line_key": TEXT,
    "booked_on": DAY,
    "value_on": DAY,
    "amount_minor": INT,
    "currency": TEXT,
    "counterparty": TEXT,
    "reference": TEXT,
    "end_to_end_id": TEXT,
    "description": TEXT,
    "row_number": INT,
}
STATEMENTS: dict[str, pl.DataType] = {
    "account": TEXT,
    "number": TEXT,
    "currency": TEXT,
    "opening_minor": INT,
    "closing_minor": INT,
    "opened_on": DAY,
    "closed_on": DAY,
}
ASIDE: dict[str, pl.DataType] = {"row_number": INT, "field": TEXT, "reason": TEXT, "row": TEXT}


class StatementError(Exception):
    """A statement that cannot be taken as a whole; the message names what is wrong and the remedy."""


class BadRow(ValueError):
    """A row that cannot be taken."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field, self.reason = field, reason


@dataclass(frozen=True)
class Reading:
    """How a file is read where it does not say so itself. `zone` is the IANA zone of the books."""

    zone: str = "UTC"
    decimal: Literal[".", ",", ""] = ""
    dates: Literal["dmy", "mdy", ""] = ""
    account: str = ""


@dataclass(frozen=True)
class Settlement:
    """A processor's or marketplace's statement: `lines` (SETTLEMENT), `payouts` (PAYOUTS), `aside` (ASIDE).

    `skipped` counts rows that are no money yet, such as pending payments.
    """

    source: str
    lines: pl.DataFrame
    payouts: pl.DataFrame
    aside: pl.DataFrame
    skipped: int = 0


@dataclass(frozen=True)
class BankFile:
    """A bank's statements: `lines` (BANK), `statements` (STATEMENTS), `aside` (ASIDE)."""

    source: str
    lines: pl.DataFrame
    statements: pl.DataFrame
    aside: pl.DataFrame
    skipped: int = 0


@dataclass
class Aside:
    """Collects rows that cannot be taken, each with its reason."""

    rows: list[tuple[int, str, str, str]] = field(default_factory=list)

    def put(self, number: int, error: BadRow, row: str) -> None:
        self.rows.append((number, error.field, error.reason, row))

    def frame(self) -> pl.DataFrame:
        return pl.DataFrame(self.rows, schema=ASIDE, orient="row")


def frame_of(rows: Iterable[Mapping[str, Any]], schema: dict[str, pl.DataType]) -> pl.DataFrame:
    """Rows as a frame of just these columns; a column that a row lacks is null."""
    return pl.DataFrame([tuple(row.get(name) for name in schema) for row in rows], schema=schema, orient="row")


def settlement(
    source: str, rows: list[dict[str, Any]], aside: Aside, payouts: list[dict[str, Any]], skipped: int = 0
) -> Settlement:
    """A settlement of rows that were read. Rows of the kind payout state what was paid, beside what `payouts` says."""
    stated = [
        {
            "payout_ref": row["payout_ref"],
            "currency": row["currency"],
            "amount_minor": -row["net_minor"],
            "paid_on": row.get("available_on") or row["occurred_on"],
        }
        for row in rows
        if row["kind"] == "payout" and row["payout_ref"]
    ]
    lines = frame_of(rows, SETTLEMENT)
    return Settlement(source, lines, _one_each(lines, frame_of([*stated, *payouts], PAYOUTS)), aside.frame(), skipped)


def check_net(gross: int, fee: int, net: int) -> None:
    """Raises BadRow where net is not gross less fee."""
    if net != gross - fee:
        raise BadRow("net", f"is {net}, but gross {gross} less fee {fee} is {gross - fee} (minor units)")


def check_balance(name: str, opening: int, lines: Iterable[int], closing: int, shown: Callable[[int], str]) -> None:
    """Raises StatementError where a statement's opening balance and lines do not lead to its closing balance."""
    reached = opening + sum(lines)
    if reached != closing:
        raise StatementError(
            f"{name}: opening balance {shown(opening)} and its lines lead to {shown(reached)}, but its closing balance is "
            f"{shown(closing)}: a difference of {shown(closing - reached)}. Export it again; nothing of it was taken."
        )


def _one_each(lines: pl.DataFrame, stated: pl.DataFrame) -> pl.DataFrame:
    """Each payout once: what lines only name has no stated amount. Of a payout that is paid in two parts the sum counts."""
    named = (
        lines.filter(pl.col("payout_ref").is_not_null() & (pl.col("kind") != "payout"))
        .group_by("payout_ref", "currency")
        .agg(pl.col("available_on").max().alias("paid_on"))
        .select("payout_ref", "currency", pl.lit(None, INT).alias("amount_minor"), "paid_on")
    )
    amount = pl.col("amount_minor")
    return (
        pl.concat([stated, named.select(*PAYOUTS)])
        .group_by("payout_ref", "currency")
        .agg(
            pl.when(amount.is_not_null().any()).then(amount.sum()).first().alias("amount_minor"),
            pl.col("paid_on").filter(amount.is_not_null()).min().fill_null(pl.col("paid_on").max()).alias("paid_on"),
        )
        .select(*PAYOUTS)
        .sort("payout_ref", "currency")
    )
