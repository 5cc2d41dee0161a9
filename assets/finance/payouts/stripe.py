"""Stripe: itemised balance and payout reconciliation reports (CSV), and balance transactions as the API gives them (JSON).

Both name a balance transaction by its `txn_…`, so that a movement which is told in both is taken once.
"""

import json
import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from assets.finance.payouts.cells import (
    clock_of,
    day_of,
    decimal_sign,
    digits_of,
    instant_of,
    minor_of,
    raw,
    scaled,
    table_of,
)
from assets.finance.payouts.frames import Aside, BadRow, Reading, Settlement, StatementError, check_net, settlement

SOURCE = "stripe"
COLUMNS = {"balance_transaction_id", "currency", "gross", "fee", "net", "reporting_category"}
# Where Stripe's minor unit is not that of ISO 4217: see "Special cases" in its documentation of currencies.
DIGITS = {"MGA": 0, "ISK": 2, "UGX": 2}
_KINDS = {
    "charge": "charge",
    "payment": "charge",
    "charge_failure": "refund",
    "payment_failure_refund": "refund",
    "refund": "refund",
    "payment_refund": "refund",
    "partial_capture_reversal": "refund",
    "refund_failure": "charge",
    "dispute": "chargeback",
    "dispute_reversal": "chargeback_reversal",
    "fee": "fee",
    "stripe_fee": "fee",
    "network_cost": "fee",
    "stripe_fx_fee": "fee",
    "payout": "payout",
    "payout_reversal": "payout",
    "payout_cancel": "payout",
    "payout_failure": "payout",
    "adjustment": "adjustment",
    "other_adjustment": "adjustment",
    "risk_reserved_funds": "reserve",
    "reserve_transaction": "reserve",
    "reserved_funds": "reserve",
    "tax": "tax",
    "tax_fee": "fee",
    "currency_conversion": "conversion",
}
_OF_CLIENTS = ("charge", "refund", "chargeback", "chargeback_reversal")
_AMOUNTS = ("gross", "fee", "net", "customer_facing_amount")
# How shops name an order in the words of a payment, where its metadata does not.
_NAMED = re.compile(r"\border\s*(?:no\.?|number)?\s*[#:]?\s*([\w-]*\d[\w-]*)|#([\w-]*\d[\w-]*)", re.IGNORECASE)
_ORDERS = ("order_id", "order_number", "order", "order_no")


def parse_stripe(text: str, reading: Reading) -> Settlement:
    """Settlement lines of an itemised report. Raises StatementError for a file whose numbers cannot be told."""
    aside = Aside()
    table = table_of(text, aside)
    sign = decimal_sign((row.get(name, "") for _, row in table.rows for name in _AMOUNTS), reading.decimal)
    rows: list[dict[str, Any]] = []
    for number, row in table.rows:
        try:
            rows.append({**_line(row, reading, sign), "row_number": number})
        except BadRow as error:
            aside.put(number, error, raw(row))
    return settlement(SOURCE, rows, aside, [])


def parse_stripe_json(text: str, reading: Reading) -> Settlement:
    """Settlement lines of a list of balance transactions, amounts in Stripe's minor units.

    The list of one payout names it in no line but the payout's own: where a list holds just one payout, and its other lines
    come to it, they are its lines. Raises StatementError for what is no such list.
    """
    aside = Aside()
    rows: list[dict[str, Any]] = []
    for number, entry in enumerate(_entries(text), start=1):
        try:
            rows.append({**_entry(entry, reading), "row_number": number})
        except BadRow as error:
            aside.put(number, error, json.dumps(_bare(entry), ensure_ascii=False))
    _assign(rows)
    return settlement(SOURCE, rows, aside, [])


def is_stripe_json(text: str) -> bool:
    """Whether a text is JSON with balance transactions."""
    return text.lstrip()[:1] in ("{", "[") and '"balance_transaction"' in text


def _line(row: dict[str, str], reading: Reading, sign: str) -> dict[str, Any]:
    currency = row["currency"].upper()
    gross, fee, net = (minor_of(row[name], currency, sign, name) for name in ("gross", "fee", "net"))
    check_net(gross, fee, net)
    category = row["reporting_category"].lower()
    at = instant_of(row.get("created_utc") or row.get("created", ""), "created", clock_of("UTC"))
    shown, shown_currency = row.get("customer_facing_amount", ""), row.get("customer_facing_currency", "").upper()
    kind = _KINDS.get(category, "other")
    source = row.get("source_id", "")
    payout = row.get("automatic_payout_id", "")
    available = row.get("automatic_payout_effective_at", "") or row.get("available_on", "")
    return _checked(
        {
            "line_key": row["balance_transaction_id"],
            "payout_ref": (source if kind == "payout" and source else payout) or None,
            "kind": kind,
            "order_ref": next((v for name in _ORDERS if (v := row.get(f"payment_metadata[{name}]"))), None)
            or _named_in(row.get("description", ""), kind),
            "external_id": source or row.get("charge_id") or None,
            "original_id": row.get("charge_id") or None if kind != "charge" else None,
            "occurred_at": at,
            "occurred_on": at.astimezone(clock_of(reading.zone)).date(),
            "available_on": day_of(available, "available_on") if available else None,
            "gross_minor": gross,
            "fee_minor": fee,
            "net_minor": net,
            "currency": currency,
            "presentment_minor": minor_of(shown, shown_currency, sign, "customer_facing_amount") if shown else None,
            "presentment_currency": shown_currency if shown else None,
            "description": _words(row.get("description", ""), kind, category),
        }
    )


def _entries(text: str) -> list[dict[str, Any]]:
    try:
        given = json.loads(text, parse_float=Decimal)
    except json.JSONDecodeError as error:
        raise StatementError(f"the file is no JSON: {error}. Export it again.") from error
    entries = given.get("data") if isinstance(given, dict) else given
    if isinstance(given, dict) and given.get("object") == "balance_transaction":
        entries = [given]
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise StatementError("the file holds no list of balance transactions (`data`). Export it again.")
    return entries


def _entry(entry: dict[str, Any], reading: Reading) -> dict[str, Any]:
    currency = str(entry.get("currency", "")).upper()
    gross, fee, net = (_minor(entry.get(name), currency, name) for name in ("amount", "fee", "net"))
    check_net(gross, fee, net)
    category = str(entry.get("reporting_category") or entry.get("type") or "")
    kind = _KINDS.get(category, "other")
    source = entry.get("source")
    about = source if isinstance(source, dict) else {"id": source}
    metadata = about.get("metadata") or {}
    at = _unix(entry.get("created"), "created")
    ours = str(about.get("currency") or "").upper() if about.get("object") in ("charge", "refund") else ""
    return _checked(
        {
            "line_key": str(entry.get("id") or ""),
            "payout_ref": about.get("id") if kind == "payout" else entry.get("payout"),
            "kind": kind,
            "order_ref": next((str(metadata[name]) for name in _ORDERS if metadata.get(name)), None)
            or _named_in(str(entry.get("description") or ""), kind),
            "external_id": about.get("id"),
            "original_id": about.get("charge"),
            "occurred_at": at,
            "occurred_on": at.astimezone(clock_of(reading.zone)).date(),
            "available_on": _unix(entry["available_on"], "available_on").date() if entry.get("available_on") else None,
            "gross_minor": gross,
            "fee_minor": fee,
            "net_minor": net,
            "currency": currency,
            "presentment_minor": _signed(_minor(about["amount"], ours, "source.amount"), gross) if ours else None,
            "presentment_currency": ours or None,
            "description": _words(str(entry.get("description") or ""), kind, category),
        }
    )


def _checked(line: dict[str, Any]) -> dict[str, Any]:
    if not line["line_key"]:
        raise BadRow("balance_transaction_id", "is empty")
    if line["kind"] == "payout" and not line["payout_ref"]:
        raise BadRow("source_id", "is empty: a payout needs its po_…")
    return line


def _named_in(words: str, kind: str) -> str | None:
    found = _NAMED.search(words) if kind in _OF_CLIENTS else None
    return (found[1] or found[2]) if found else None


def _words(words: str, kind: str, category: str) -> str:
    # A shop may write a client's name into the words of a payment.
    return category if kind in _OF_CLIENTS or not words else words


def _minor(value: Any, currency: str, field: str) -> int:
    """Minor units of ISO 4217 from those of Stripe."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadRow(field, f"{value!r} is no whole number of minor units")
    places = digits_of(currency)
    return scaled(Decimal(value).scaleb(-DIGITS.get(currency, places)), currency, field, places)


def _signed(amount: int, like: int) -> int:
    return -abs(amount) if like < 0 else abs(amount)


def _unix(value: Any, field: str) -> datetime:
    if not isinstance(value, int) or not 0 < value < 10**11:
        raise BadRow(field, f"{value!r} is no time in seconds since 1970")
    return datetime.fromtimestamp(value, UTC)


def _assign(rows: list[dict[str, Any]]) -> None:
    payouts = {row["payout_ref"] for row in rows if row["kind"] == "payout"}
    unnamed = [row for row in rows if row["kind"] != "payout" and not row["payout_ref"]]
    if len(payouts) == 1 and unnamed and sum(row["net_minor"] for row in rows) == 0:
        paid = next(row for row in rows if row["kind"] == "payout")
        if all(row["currency"] == paid["currency"] for row in rows):
            for row in unnamed:
                row["payout_ref"] = paid["payout_ref"]


def _bare(entry: dict[str, Any]) -> dict[str, str]:
    # An expanded source holds the client's name and address.
    return {name: str(value) for name, value in entry.items() if not isinstance(value, (dict, list))}
