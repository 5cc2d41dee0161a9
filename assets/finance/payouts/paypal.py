"""PayPal: the activity report (CSV with English column names), one row a movement of the balance.

PayPal keeps a balance; a withdrawal pays out of it and names no lines. Rows that are no money yet (pending, denied, memo) are
skipped, names and addresses of payers are not read.
"""

from typing import Any

from assets.finance.payouts.cells import (
    clock_of,
    day_order,
    decimal_sign,
    instant_of,
    minor_of,
    raw,
    table_of,
)
from assets.finance.payouts.frames import Aside, BadRow, Reading, Settlement, check_net, settlement

SOURCE = "paypal"
COLUMNS = {"date", "time", "timezone", "type", "status", "currency", "gross", "fee", "net", "transaction id"}
_PERSONAL = ("name", "from email address", "to email address", "shipping address", "address line 1", "phone")
_WITHDRAWALS = ("withdrawal", "withdraw", "transfer to bank", "auto-sweep", "auto sweep")
_HOLDS = ("hold", "reserve", "release")
_AMOUNTS = ("gross", "fee", "net")


def parse_paypal(text: str, reading: Reading) -> Settlement:
    """Settlement lines of the report. Raises StatementError for a file whose numbers or dates cannot be told."""
    aside = Aside()
    table = table_of(text, aside)
    sign = decimal_sign((row[name] for _, row in table.rows for name in _AMOUNTS), reading.decimal)
    order = day_order((row["date"] for _, row in table.rows), reading.dates)
    rows: list[dict[str, Any]] = []
    skipped = 0
    for number, row in table.rows:
        if row["status"].lower() not in ("completed", "") or row.get("balance impact", "").lower() == "memo":
            skipped += 1
            continue
        try:
            rows.append({**_line(row, reading, sign, order), "row_number": number})
        except BadRow as error:
            aside.put(number, error, raw({k: v for k, v in row.items() if k not in _PERSONAL}))
    return settlement(SOURCE, rows, aside, [], skipped)


def kind_of(words: str, gross: int) -> str:
    """What a row of this type is. A payment that the house makes is `other`."""
    words = words.lower()
    if "currency conversion" in words:
        return "conversion"
    if any(word in words for word in _WITHDRAWALS):
        return "payout"
    if "chargeback" in words or "reversal" in words or "dispute" in words:
        if "fee" in words:
            return "fee"
        return "chargeback" if gross < 0 else "chargeback_reversal"
    if "refund" in words:
        return "refund" if gross < 0 else "adjustment"
    if any(word in words for word in _HOLDS):
        return "reserve"
    if "fee" in words:
        return "fee"
    if "payment" in words or "checkout" in words:
        return "charge" if gross > 0 else "other"
    return "other"


def _line(row: dict[str, str], reading: Reading, sign: str, order: str) -> dict[str, Any]:
    currency = row["currency"].upper()
    gross, net = (minor_of(row[name], currency, sign, name) for name in ("gross", "net"))
    fee = -minor_of(row["fee"] or "0", currency, sign, "fee")
    check_net(gross, fee, net)
    number = row["transaction id"]
    if not number:
        raise BadRow("transaction id", "is empty")
    at = instant_of(f"{row['date']} {row['time']}", "date", clock_of(reading.zone), order, row["timezone"])
    day = at.astimezone(clock_of(reading.zone)).date()
    kind = kind_of(row["type"], gross)
    return {
        "line_key": number,
        "payout_ref": number if kind == "payout" else None,
        "kind": kind,
        "order_ref": row.get("invoice number") or row.get("custom number") or None,
        "external_id": number,
        "original_id": row.get("reference txn id") or None,
        "occurred_at": at,
        "occurred_on": day,
        "available_on": day,
        "gross_minor": gross,
        "fee_minor": fee,
        "net_minor": net,
        "currency": currency,
        "description": row["type"],
    }
