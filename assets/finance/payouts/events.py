"""What a reconciled payout means in the books: events for `assets/finance/booking`, each with a key of the file's own ids.

Belongs here: from frames to events. Does not belong here: which accounts an event touches (`rules`), whether it was booked
before (its key says so).

A payout is booked once it has arrived at the bank and its lines come to it. Then clearing holds just what is not settled.
"""

from collections.abc import Iterator

import polars as pl

from assets.finance.accounts import Chart, head_of, sub_account
from assets.finance.rules import Event

_APART = ("fee", "chargeback", "chargeback_reversal", "tax")
KINDS = ("payout", "fee", "chargeback", "chargeback_won", "withheld_tax", "clearing_transfer", "customer_payment")


def payout_events(report: pl.DataFrame, lines: pl.DataFrame, banks: dict[int, str]) -> Iterator[Event]:
    """Events of payouts that are banked, or of nothing due, and of their lines. `banks`: the bank account by payout's id."""
    due = report.filter(pl.col("state").is_in(["banked", "nothing_due"]))
    inside = lines.filter(pl.col("payout_ref").is_not_null() & (pl.col("kind") != "payout"))
    mine = inside.join(
        due.select("processor", "payout_ref", "currency", "payout_id", "banked_on", "paid_on"),
        on=["processor", "payout_ref", "currency"],
    )
    fees = dict(
        mine.filter(~pl.col("kind").is_in(_APART)).group_by("payout_id").agg(pl.col("fee_minor").sum()).iter_rows()
    )
    for row in due.iter_rows(named=True):
        net, fee = row["expected_minor"], fees.get(row["payout_id"], 0)
        amounts = {"gross": net + fee, "net": net, **({"fee": fee} if fee else {})}
        day = row["banked_on"] or row["paid_on"]
        if not any(amounts.values()) or day is None:
            continue
        yield Event(
            "payout",
            f"payout:{row['processor']}:{row['payout_ref']}:{row['currency']}",
            day,
            row["currency"],
            amounts,
            {"processor": row["processor"], "bank": banks.get(row["payout_id"], "")},
            f"Payout {row['payout_ref']} of {row['processor']}",
            row["payout_ref"],
        )
    yield from line_events(mine.filter(pl.col("kind").is_in(_APART)), with_fees=False)


def pooled_events(lines: pl.DataFrame) -> Iterator[Event]:
    """Events of lines of a processor that keeps a balance: its fees and disputes, and what it converted."""
    yield from line_events(lines, with_fees=True)
    halves = lines.filter((pl.col("kind") == "conversion") & pl.col("original_id").is_not_null())
    for (processor, original), pair in halves.sort("line_key").group_by(
        "processor", "original_id", maintain_order=True
    ):
        rows = pair.sort("gross_minor").to_dicts()
        if len(rows) != 2 or rows[0]["gross_minor"] >= 0 or rows[1]["gross_minor"] <= 0:
            continue
        given, got = rows
        if given["currency"] == got["currency"]:
            continue
        yield Event(
            "clearing_transfer",
            f"conversion:{processor}:{original}",
            given["occurred_on"],
            given["currency"],
            {"amount": -given["gross_minor"], "into_amount": got["gross_minor"]},
            {"from_processor": str(processor), "into_processor": str(processor), "into_currency": got["currency"]},
            f"Currency converted by {processor}",
            str(original),
        )


def line_events(lines: pl.DataFrame, *, with_fees: bool) -> Iterator[Event]:
    """Events of fees, disputes and taxes withheld; with `with_fees` also of what every other line costs."""
    for row in lines.sort("occurred_at", "line_key").iter_rows(named=True):
        kind, gross, fee = row["kind"], row["gross_minor"], row["fee_minor"]
        if kind == "fee":
            yield from _event("fee", row, "fee", {"amount": fee - gross})
        elif kind == "tax":
            yield from _event("withheld_tax", row, "tax", {"amount": fee - gross})
        elif kind == "chargeback":
            yield from _event("chargeback", row, "chargeback", {"amount": -gross, **({"fee": fee} if fee else {})})
        elif kind == "chargeback_reversal":
            yield from _event("chargeback_won", row, "chargeback", {"amount": gross})
            yield from _event("fee", row, "fee", {"amount": fee})
        elif with_fees and kind not in ("payout", "conversion"):
            yield from _event("fee", row, "fee", {"amount": fee})


def match_events(matches: pl.DataFrame, chart: Chart) -> Iterator[Event]:
    """Events of matches whose order stands on another clearing account, or in another currency, than its line.

    `matches`: match_id, processor, channel, number, day, pool, amount_minor, currency, order_amount_minor, order_currency.
    """
    clearing = chart.of_role("clearing").code
    for row in matches.sort("match_id").iter_rows(named=True):
        account = chart.paid_through(row["channel"])
        if row["pool"] not in ("paid", "refunded") or head_of(account) != clearing:
            continue
        home = account.partition(".")[2]
        same = row["currency"] == row["order_currency"]
        if account == sub_account(clearing, row["processor"]) and same:
            continue
        sign = -1 if row["pool"] == "refunded" else 1
        into = {} if same else {"into_amount": sign * abs(row["amount_minor"])}
        yield Event(
            "clearing_transfer",
            f"clearing:{row['match_id']}",
            row["day"],
            row["order_currency"],
            {"amount": sign * row["order_amount_minor"], **into},
            {"from_processor": home, "into_processor": row["processor"], "into_currency": row["currency"]},
            f"Order {row['number']} was paid through {row['processor']}",
            row["number"],
        )


def customer_events(matches: pl.DataFrame) -> Iterator[Event]:
    """Payments by bank of orders on account: match_id, channel, number, day, account, amount_minor, currency."""
    for row in matches.sort("match_id").iter_rows(named=True):
        yield Event(
            "customer_payment",
            f"customer:{row['match_id']}",
            row["day"],
            row["currency"],
            {"amount": row["amount_minor"]},
            {"channel": row["channel"], "bank": row["account"]},
            f"Payment of order {row['number']}",
            row["number"],
            row["channel"],
        )


def _event(type_: str, row: dict[str, object], prefix: str, amounts: dict[str, int]) -> Iterator[Event]:
    if not any(amounts.values()):
        return
    processor = str(row["processor"])
    yield Event(
        type_,
        f"{prefix}:{processor}:{row['line_key']}",
        row["occurred_on"],  # pyright: ignore[reportArgumentType]
        str(row["currency"]),
        amounts,
        {"processor": processor},
        f"{str(type_).replace('_', ' ').capitalize()} at {processor}",
        str(row["order_ref"]) if row["order_ref"] else None,
    )
