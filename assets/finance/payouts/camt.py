"""Banks: the account statement camt.053 of ISO 20022, in any version from .001.02 to .001.08 and later ones like them.

A batched entry becomes a line for each of its transactions, where they have amounts in the entry's currency that come to it.
"""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from assets.finance.money import to_decimal
from assets.finance.payouts.cells import day_of, key_of, numbered, scaled
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

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

SOURCE = "camt053"
_OPENING, _CLOSING = ("OPBD", "PRCD"), ("CLBD",)


def is_camt(text: str) -> bool:
    """Whether a text is a camt.053 message."""
    return text.lstrip()[:1] == "<" and ("camt.053" in text[:2000] or "BkToCstmrStmt" in text[:2000])


def parse_camt(text: str, reading: Reading) -> BankFile:
    """Booked entries of every statement. Raises StatementError for damaged XML and balances that its lines do not lead to."""
    root = _root(text)
    lines: list[dict[str, Any]] = []
    statements: list[dict[str, Any]] = []
    aside = Aside()
    skipped = 0
    for statement in _all(root, "Stmt"):
        try:
            about, found, pending = _statement(statement, reading, len(lines))
        except BadRow as error:
            # A statement without one of its entries would not lead to its balance.
            raise StatementError(f"statement {_text(statement, 'Id')}: {error}. Export it again.") from error
        statements.append(about)
        lines += found
        skipped += pending
    if not statements:
        raise StatementError("the message holds no statement (`Stmt`). Export it again.")
    return BankFile(SOURCE, frame_of(lines, BANK), frame_of(statements, STATEMENTS), aside.frame(), skipped)


def _root(text: str) -> "Element":
    from xml.etree.ElementTree import ParseError

    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    # A text has no encoding any more, whatever its declaration says.
    body = text.lstrip()
    if body.startswith("<?xml"):
        body = body[body.index("?>") + 2 :]
    try:
        return fromstring(body)
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise StatementError(f"the file is no XML that can be read: {error}. Export it again.") from error


def _statement(statement: "Element", reading: Reading, before: int) -> tuple[dict[str, Any], list[dict[str, Any]], int]:
    account = _text(statement, "Acct/Id/IBAN") or _text(statement, "Acct/Id/Othr/Id") or reading.account
    if not account:
        raise BadRow("Acct", "names no account: give --account")
    opening, opened_on = _balance(statement, _OPENING)
    closing, closed_on = _balance(statement, _CLOSING)
    currency = _currency(statement)
    lines: list[dict[str, Any]] = []
    pending = 0
    for entry in _all(statement, "Ntry"):
        if (_text(entry, "Sts/Cd") or _text(entry, "Sts") or "BOOK").strip() != "BOOK":
            pending += 1
            continue
        lines += _entry(entry, currency)
    number = _text(statement, "Id") or _text(statement, "ElctrncSeqNb")
    keys = numbered([line["line_key"] for line in lines])
    for place, (line, key) in enumerate(zip(lines, keys, strict=True), start=before + 1):
        line |= {"account": account, "line_key": key, "row_number": place}
    if opening is not None and closing is not None:
        check_balance(
            f"statement {number}",
            opening,
            [line["amount_minor"] for line in lines],
            closing,
            lambda minor: f"{to_decimal(minor, currency)} {currency}",
        )
    about = {
        "account": account,
        "number": number,
        "currency": currency,
        "opening_minor": opening,
        "closing_minor": closing,
        "opened_on": opened_on,
        "closed_on": closed_on,
    }
    return about, lines, pending


def _entry(entry: "Element", currency: str) -> list[dict[str, Any]]:
    amount = _amount(entry, "Amt", currency)
    signed = amount if _text(entry, "CdtDbtInd") == "CRDT" else -amount
    booked = _date(entry, "BookgDt")
    shared = {
        "booked_on": booked,
        "value_on": _date(entry, "ValDt") or booked,
        "currency": currency,
        "amount_minor": signed,
    }
    if booked is None:
        raise BadRow("BookgDt", "is missing")
    own = _text(entry, "AcctSvcrRef") or _text(entry, "NtryRef")
    info = _text(entry, "AddtlNtryInf")
    details = list(_all(entry, "TxDtls"))
    parts = [_part(detail, currency, signed) for detail in details]
    if len(parts) > 1 and all(part is not None for part in parts) and sum(p for p in parts if p) == signed:
        told = [_told(detail, signed, info) | {"amount_minor": p} for detail, p in zip(details, parts, strict=True)]
    else:
        told = [_together([_told(detail, signed, info) for detail in details], info)]
    return [
        shared | line | {"line_key": key_of(own, booked, line.get("amount_minor", signed), line["reference"])}
        for line in told
    ]


def _told(detail: "Element", signed: int, info: str) -> dict[str, Any]:
    """Who and why, as one transaction tells it. The other side is the debtor of what comes in."""
    side = "Dbtr" if signed > 0 else "Cdtr"
    name = _text(detail, f"RltdPties/{side}/Nm") or _text(detail, f"RltdPties/{side}/Pty/Nm")
    remittance = [found.text.strip() for found in _all(detail, "Ustrd") if found.text]
    remittance += [found.text.strip() for found in _all(detail, "CdtrRefInf/Ref") if found.text]
    end_to_end = _text(detail, "Refs/EndToEndId")
    return {
        "counterparty": name or None,
        "reference": " ".join(remittance) or info or None,
        "end_to_end_id": end_to_end if end_to_end not in ("", "NOTPROVIDED") else None,
        "description": info or None,
    }


def _together(told: list[dict[str, Any]], info: str) -> dict[str, Any]:
    names = ("counterparty", "reference", "end_to_end_id", "description")
    joined = {n: " ".join(dict.fromkeys(str(one[n]) for one in told if one[n])) or None for n in names}
    return {**joined, "reference": joined["reference"] or info or None, "description": info or joined["description"]}


def _part(detail: "Element", currency: str, signed: int) -> int | None:
    for path in ("Amt", "AmtDtls/TxAmt/Amt"):
        found = next(_all(detail, path), None)
        if found is not None and found.get("Ccy") == currency:
            amount = _amount(detail, path, currency)
            side = _text(detail, "CdtDbtInd")
            return -amount if side == "DBIT" or (not side and signed < 0) else amount
    return None


def _balance(statement: "Element", codes: tuple[str, ...]) -> tuple[int | None, date | None]:
    for code in codes:
        for balance in _all(statement, "Bal"):
            if _text(balance, "Tp/CdOrPrtry/Cd") == code:
                currency = _currency(statement)
                amount = _amount(balance, "Amt", currency)
                return (amount if _text(balance, "CdtDbtInd") == "CRDT" else -amount), _date(balance, "Dt")
    return None, None


def _currency(statement: "Element") -> str:
    for path in ("Bal/Amt", "Ntry/Amt"):
        for amount in _all(statement, path):
            if amount.get("Ccy"):
                return str(amount.get("Ccy"))
    return _text(statement, "Acct/Ccy")


def _amount(parent: "Element", path: str, currency: str) -> int:
    found = next(_all(parent, path), None)
    if found is None or found.text is None:
        raise BadRow(path, "is missing")
    if (found.get("Ccy") or currency) != currency:
        raise BadRow(path, f"is in {found.get('Ccy')}, the account in {currency}")
    try:
        return scaled(Decimal(found.text.strip()), currency, path)
    except InvalidOperation:
        raise BadRow(path, f"{found.text!r} is no amount") from None


def _date(parent: "Element", path: str) -> date | None:
    text = _text(parent, f"{path}/Dt") or _text(parent, f"{path}/DtTm")
    return day_of(text, path) if text else None


def _text(parent: "Element", path: str) -> str:
    found = next(_all(parent, path), None)
    return (found.text or "").strip() if found is not None else ""


def _all(parent: "Element", path: str) -> Iterator["Element"]:
    """Descendants by local names, as versions differ by namespace: the first at any depth, each other a child of the last."""
    first, _, rest = path.partition("/")
    for found in parent.iter():
        if found is not parent and found.tag.rpartition("}")[2] == first:
            yield from _below(found, rest) if rest else iter([found])


def _below(parent: "Element", path: str) -> Iterator["Element"]:
    first, _, rest = path.partition("/")
    for child in parent:
        if child.tag.rpartition("}")[2] == first:
            yield from _below(child, rest) if rest else iter([child])
