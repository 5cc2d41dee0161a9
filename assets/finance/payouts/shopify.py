"""Shopify Payments: the CSV `payment_transactions_export`, one row a transaction.

The export has no id of its own for a row: its key is made of what never changes of it. The payout of a pending transaction
is known in a later export only.
"""

from typing import Any

from assets.finance.payouts.cells import (
    clock_of,
    day_of,
    day_order,
    decimal_sign,
    instant_of,
    key_of,
    minor_of,
    numbered,
    raw,
    table_of,
)
from assets.finance.payouts.frames import Aside, BadRow, Reading, Settlement, check_net, settlement

SOURCE = "shopify_payments"
COLUMNS = {"transaction date", "type", "order", "payout status", "payout id", "amount", "fee", "net"}
_KINDS = {
    "charge": "charge",
    "refund": "refund",
    "refund failure": "charge",
    "chargeback": "chargeback",
    "dispute": "chargeback",
    "chargeback won": "chargeback_reversal",
    "chargeback reversal": "chargeback_reversal",
    "dispute reversal": "chargeback_reversal",
    "adjustment": "adjustment",
    "payout": "payout",
    "payout failure": "payout",
    "reserve": "reserve",
    "reserved funds": "reserve",
    "fee": "fee",
    "tax adjustment": "tax",
}
_AMOUNTS = ("amount", "fee", "net", "presentment amount")


def parse_shopify(text: str, reading: Reading) -> Settlement:
    """Settlement lines of the export. Raises StatementError for a file whose numbers or dates cannot be told."""
    aside = Aside()
    table = table_of(text, aside)
    sign = decimal_sign((row.get(name, "") for _, row in table.rows for name in _AMOUNTS), reading.decimal)
    named = [row["transaction date"] for _, row in table.rows]
    order = "dmy" if all(cell[:4].isdigit() for cell in named) else day_order(named, reading.dates)
    rows: list[dict[str, Any]] = []
    for number, row in table.rows:
        try:
            rows.append({**_line(row, reading, sign, order), "row_number": number})
        except BadRow as error:
            aside.put(number, error, raw(row))
    for row, key in zip(rows, numbered([row["line_key"] for row in rows]), strict=True):
        row["line_key"] = key
    return settlement(SOURCE, rows, aside, [])


def _line(row: dict[str, str], reading: Reading, sign: str, order: str) -> dict[str, Any]:
    currency = row.get("currency", "").upper()
    gross, net = (minor_of(row[name], currency, sign, name) for name in ("amount", "net"))
    fee = minor_of(row["fee"] or "0", currency, sign, "fee")
    check_net(gross, fee, net)
    kind = _KINDS.get(row["type"].lower().replace("_", " "), "other")
    at = instant_of(row["transaction date"], "transaction date", clock_of(reading.zone), order)
    shown, shown_currency = row.get("presentment amount", ""), row.get("presentment currency", "").upper()
    payout_day = row.get("payout date", "") or row.get("available on", "")
    checkout = row.get("checkout", "")
    return {
        "line_key": key_of(at.isoformat(), row["type"].lower(), row["order"], gross, fee, currency, checkout),
        "payout_ref": row["payout id"] or None,
        "kind": kind,
        "order_ref": row["order"] or None,
        "external_id": checkout.lstrip("#") or None,
        "occurred_at": at,
        "occurred_on": at.astimezone(clock_of(reading.zone)).date(),
        "available_on": day_of(payout_day, "payout date", order) if payout_day else None,
        "gross_minor": gross,
        "fee_minor": fee,
        "net_minor": net,
        "currency": currency,
        "presentment_minor": minor_of(shown, shown_currency, sign, "presentment amount") if shown else None,
        "presentment_currency": shown_currency if shown else None,
        "description": " ".join(filter(None, (row["type"], row.get("payment method name")))),
    }
