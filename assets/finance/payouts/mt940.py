"""Banks: SWIFT's MT940, with `:86:` in subfields (`?20…`, as German banks write it), in slashes (`/REMI/`) or as plain text."""

import re
from datetime import date
from typing import Any

from assets.finance.money import to_decimal
from assets.finance.payouts.cells import key_of, numbered, scaled
from assets.finance.payouts.frames import (
    BANK,
    STATEMENTS,
    Aside,
    BadRow,
    BankFile,
    Reading,
    StatementError,
    check_balance,
    frame_of,
)

SOURCE = "mt940"
_START = re.compile(r"(?m)^:20:")
_SUBFIELD = re.compile(r"\?(\d\d)")
_SEPA = re.compile(r"\b(EREF|KREF|MREF|CRED|DEBT|SVWZ|ABWA|ABWE|IBAN|BIC)\+")
_SLASHED = re.compile(r"/(EREF|REMI|NAME|BENM|ORDP|TRTP|IBAN|BIC|CSID|MARF|USTD)/")
_NOTHING = ("NONREF", "NOTPROVIDED", "")


def is_mt940(text: str) -> bool:
    """Whether a text has MT940's opening balance and a reference."""
    return re.search(r"(?m)^:60[FM]:", text) is not None and _START.search(text) is not None


def parse_mt940(text: str, reading: Reading) -> BankFile:
    """Lines of every statement. Raises StatementError for what is damaged and for balances that its lines do not lead to."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    starts = [match.start() for match in _START.finditer(text)]
    lines: list[dict[str, Any]] = []
    statements: list[dict[str, Any]] = []
    for first, last in zip(starts, [*starts[1:], len(text)], strict=True):
        try:
            about, found = _statement(text[first:last], reading)
        except BadRow as error:
            raise StatementError(f"statement {len(statements) + 1}: {error}. Export it again.") from error
        for place, line in enumerate(found, start=len(lines) + 1):
            line["row_number"] = place
        statements.append(about)
        lines += found
    return BankFile(SOURCE, frame_of(lines, BANK), frame_of(statements, STATEMENTS), Aside().frame())


def _statement(text: str, reading: Reading) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    from mt940.models import Transactions

    # What stands in :86: is read here: the library leaves no trace of what it does not know.
    statement = Transactions(processors={"post_transaction_details": []})
    try:
        statement.parse(text)
    except Exception as error:  # The library raises whatever its parts raise.
        raise BadRow("statement", f"cannot be read: {error}") from error
    told = statement.data
    account = str(told.get("account_identification") or "") or reading.account
    if not account:
        raise BadRow(":25:", "names no account: give --account")
    opening = told.get("final_opening_balance") or told.get("intermediate_opening_balance")
    closing = told.get("final_closing_balance") or told.get("intermediate_closing_balance")
    if opening is None or closing is None:
        raise BadRow(":60F:, :62F:", "the statement has no opening or no closing balance")
    currency = str(opening.amount.currency)
    number = "/".join(str(told[n]) for n in ("statement_number", "sequence_number") if told.get(n))
    if text.count("\n:61:") != len(statement.transactions):
        raise BadRow(
            ":61:", f"{text.count(chr(10) + ':61:')} lines, of which {len(statement.transactions)} can be read"
        )
    lines = [_line(transaction.data, account, currency) for transaction in statement]
    for line, key in zip(lines, numbered([line["line_key"] for line in lines]), strict=True):
        line["line_key"] = key
    opens, closes = (scaled(balance.amount.amount, currency, "balance") for balance in (opening, closing))
    check_balance(
        f"statement {number or told.get('transaction_reference')}",
        opens,
        [line["amount_minor"] for line in lines],
        closes,
        lambda minor: f"{to_decimal(minor, currency)} {currency}",
    )
    return {
        "account": account,
        "number": number or str(told.get("transaction_reference") or ""),
        "currency": currency,
        "opening_minor": opens,
        "closing_minor": closes,
        "opened_on": _day(opening.date),
        "closed_on": _day(closing.date),
    }, lines


def _line(told: dict[str, Any], account: str, currency: str) -> dict[str, Any]:
    amount = scaled(told["amount"].amount, currency, ":61:")
    value_on = _day(told["date"])
    booked_on = _day(told.get("entry_date") or told.get("guessed_entry_date") or told["date"])
    name, reference, end_to_end, words = _details(str(told.get("transaction_details") or ""))
    owner = str(told.get("customer_reference") or "")
    bank = str(told.get("bank_reference") or "")
    told_by = [part for part in (reference, owner if owner not in _NOTHING else "", told.get("extra_details")) if part]
    return {
        "account": account,
        "line_key": key_of(account, value_on, booked_on, amount, owner, bank, reference),
        "booked_on": booked_on,
        "value_on": value_on,
        "amount_minor": amount,
        "currency": currency,
        "counterparty": name or None,
        "reference": " ".join(dict.fromkeys(told_by)) or None,
        "end_to_end_id": end_to_end or (owner if owner not in _NOTHING else None),
        "description": words or None,
    }


def _details(text: str) -> tuple[str, str, str, str]:
    """Counterparty, reference, end-to-end id and the bank's own words of a field `:86:`."""
    parts = _SUBFIELD.split(text)
    if len(parts) < 3:
        return _slashed(" ".join(text.split()))
    fields: dict[str, str] = {}
    for code, value in zip(parts[1::2], parts[2::2], strict=True):
        fields[code] = fields.get(code, "") + value.replace("\n", "")
    # A label begins a subfield; whatever else does goes on from the one before.
    purpose = "\n".join(fields[c] for c in sorted(fields) if "20" <= c <= "29" or "60" <= c <= "63")
    named = _labelled(_SEPA, purpose)
    name = " ".join((fields.get("32", "") + fields.get("33", "")).split())
    reference = named.get("SVWZ") or named[""]
    return name, " ".join(reference.split()), _known(named.get("EREF", "")), fields.get("00", "").strip()


def _slashed(text: str) -> tuple[str, str, str, str]:
    named = _labelled(_SLASHED, text)
    if len(named) < 2:
        sepa = _labelled(_SEPA, text)
        return "", sepa.get("SVWZ", text), _known(sepa.get("EREF", "")), ""
    reference = (named.get("REMI") or named.get("USTD") or "").removeprefix("USTD//").strip("/ ")
    return named.get("NAME", "").strip("/ "), reference or text, _known(named.get("EREF", "").strip("/ ")), ""


def _labelled(pattern: re.Pattern[str], text: str) -> dict[str, str]:
    parts = pattern.split(text)
    return {
        "": parts[0].replace("\n", "").strip(),
        **{k: v.replace("\n", "").strip() for k, v in zip(parts[1::2], parts[2::2], strict=True)},
    }


def _known(reference: str) -> str:
    return "" if reference in _NOTHING else reference


def _day(day: Any) -> date:
    return date(day.year, day.month, day.day)
