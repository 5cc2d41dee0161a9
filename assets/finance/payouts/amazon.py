"""Amazon: the settlement report, flat file V2 (tab separated, one row an amount of an order).

Rows of one shipment or one refund become one line: what the client paid (price, tax, shipping, less promotions), less the
fees; tax that Amazon keeps and remits itself is a line of its own. A settlement is one payout and never changes.
"""

from dataclasses import dataclass, field
from typing import Any

from assets.finance.payouts.cells import (
    clock_of,
    day_of,
    decimal_sign,
    instant_of,
    key_of,
    minor_of,
    numbered,
    raw,
    table_of,
)
from assets.finance.payouts.frames import Aside, BadRow, Reading, Settlement, StatementError, settlement

SOURCE = "amazon"
COLUMNS = {
    "settlement-id",
    "total-amount",
    "transaction-type",
    "order-id",
    "amount-type",
    "amount-description",
    "amount",
}
_OF_ORDERS = {
    "order": "charge",
    "refund": "refund",
    "chargeback refund": "chargeback",
    "a-to-z guarantee refund": "refund",
    "chargeback reversal": "chargeback_reversal",
    "guarantee refund reversal": "chargeback_reversal",
}
_FEES = ("itemfees", "shipmentfees", "orderfees", "couponredemptionfee", "cost of advertising", "amazonfees")
_RESERVES = ("current reserve amount", "previous reserve amount balance")


@dataclass
class _Part:
    """Rows that become one line."""

    kind: str
    first: dict[str, str]
    number: int
    gross: int = 0
    fee: int = 0
    words: list[str] = field(default_factory=list)


def parse_amazon(text: str, reading: Reading) -> Settlement:
    """Settlement lines and the payout of each settlement in the file. Raises StatementError where its first row is missing."""
    aside = Aside()
    table = table_of(text, aside)
    sign = decimal_sign((row[name] for _, row in table.rows for name in ("amount", "total-amount")), reading.decimal)
    heads = {row["settlement-id"]: row for _, row in table.rows if row["total-amount"] and not row["transaction-type"]}
    parts: dict[tuple[str, ...], _Part] = {}
    for number, row in table.rows:
        if row is heads.get(row["settlement-id"]):
            continue
        if row["settlement-id"] not in heads:
            raise StatementError(f"row {number} is of settlement {row['settlement-id']!r}, whose total row is missing.")
        try:
            _add(parts, row, number, heads[row["settlement-id"]]["currency"].upper(), sign)
        except BadRow as error:
            aside.put(number, error, raw(row))
    rows: list[dict[str, Any]] = []
    for part in parts.values():
        try:
            rows.append(_line(part, heads[part.first["settlement-id"]], reading))
        except BadRow as error:
            aside.put(part.number, error, raw(part.first))
    for row, key in zip(rows, numbered([row["line_key"] for row in rows]), strict=True):
        row["line_key"] = key
    return settlement(SOURCE, rows, aside, [_payout(head, sign) for head in heads.values()])


def _add(parts: dict[tuple[str, ...], _Part], row: dict[str, str], number: int, currency: str, sign: str) -> None:
    amount = minor_of(row["amount"], currency, sign, "amount")
    of_order = _OF_ORDERS.get(row["transaction-type"].lower()) if row["order-id"] else None
    type_, words = row["amount-type"].lower().replace(" ", ""), row["amount-description"]
    is_fee = type_ in {name.replace(" ", "") for name in _FEES} or words.lower().endswith(("fee", "commission"))
    if of_order and not is_fee and type_ == "itemwithheldtax":
        kind = "tax"
    elif of_order:
        kind = of_order
    else:
        kind = _other_kind(row, is_fee)
    about = ("order-id", "shipment-id", "adjustment-id", "posted-date")
    identity = [row["settlement-id"], row["transaction-type"], kind, *(row.get(name, "") for name in about)]
    if of_order is None:
        # What belongs to no order stays a line of its own.
        identity += [words, str(number)]
    part = parts.setdefault(tuple(identity), _Part(kind, row, number))
    if of_order and kind == of_order and is_fee:
        part.fee -= amount
    else:
        part.gross += amount
    if words not in part.words:
        part.words.append(words)


def _other_kind(row: dict[str, str], is_fee: bool) -> str:
    words = row["amount-description"].lower()
    if words in _RESERVES:
        return "reserve"
    if is_fee or row["transaction-type"].lower() in ("servicefee", "service fee", "subscription fee"):
        return "fee"
    return "adjustment"


def _line(part: _Part, head: dict[str, str], reading: Reading) -> dict[str, Any]:
    row, settlement_id = part.first, part.first["settlement-id"]
    clock = clock_of(reading.zone)
    posted = row.get("posted-date-time") or row.get("posted-date", "")
    at = instant_of(posted, "posted-date", clock)
    about = ("order-id", "shipment-id", "adjustment-id", "posted-date")
    words = part.words if not row["order-id"] else ""
    return {
        "line_key": key_of(settlement_id, row["transaction-type"], part.kind, *(row.get(n, "") for n in about), *words),
        "payout_ref": settlement_id,
        "kind": part.kind,
        "order_ref": row.get("merchant-order-id") or row["order-id"] or None,
        "external_id": row["order-id"] or None,
        "occurred_at": at,
        "occurred_on": at.astimezone(clock).date(),
        "available_on": day_of(head["deposit-date"], "deposit-date") if head["deposit-date"] else None,
        "gross_minor": part.gross,
        "fee_minor": part.fee,
        "net_minor": part.gross - part.fee,
        "currency": head["currency"].upper(),
        "description": f"{row['transaction-type']}: {', '.join(part.words[:4])}",
        "row_number": part.number,
    }


def _payout(head: dict[str, str], sign: str) -> dict[str, Any]:
    currency = head["currency"].upper()
    try:
        return {
            "payout_ref": head["settlement-id"],
            "currency": currency,
            "amount_minor": minor_of(head["total-amount"], currency, sign, "total-amount"),
            "paid_on": day_of(head["deposit-date"], "deposit-date") if head["deposit-date"] else None,
        }
    except BadRow as error:
        raise StatementError(f"settlement {head['settlement-id']}: {error}. Export it again.") from error
