"""Finding payment card data, so that it is stored and logged nowhere.

Belongs here: what looks like a card number (PAN), a verification code (CVV) or a magnetic track. Does not belong here: what to
do about it; the gateway refuses, the log redacts.

A card number is 13 to 19 digits, perhaps in groups, that begin as an issuer's do and pass the Luhn check (ISO/IEC 7812-1).
Barcodes (GTIN-13 and -14 with a right check digit) are not taken for one, nor are UUIDs and hexadecimal hashes.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

REDACTED = "[card data]"
_SEPARATORS = r"[\s\-._/]{0,3}"
_MAYBE = re.compile(rf"\d(?:{_SEPARATORS}\d){{12,}}")
_GROUP = re.compile(r"\d+")
_NOT_CARDS = re.compile(
    r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b|\b(?=\d*[a-f])[0-9a-f]{32,}\b", re.IGNORECASE
)
# How numbers of each length begin. Shorter ones of Maestro are left out: shops number their orders like that.
_VISA, _AMEX, _DINERS, _JCB = "4", "3[47]", "3(?:0[0-5]|09|[689])", "35"
_MASTERCARD = "5[1-5]|2(?:22[1-9]|2[3-9]|[3-6]|7[01]|720)"
# Discover, Maestro and UnionPay.
_LONG = "5[0678]|6"
_ISSUERS = {
    13: re.compile(_VISA),
    14: re.compile(_DINERS),
    15: re.compile(_AMEX),
    16: re.compile(f"{_VISA}|{_MASTERCARD}|{_DINERS}|{_JCB}|{_LONG}"),
    17: re.compile(_LONG),
    18: re.compile(_LONG),
    19: re.compile(f"{_VISA}|{_DINERS}|{_JCB}|{_LONG}"),
}
_CODE_IN_TEXT = re.compile(r"\b(?:cvv2?|cvc2?|cvn2?|csc|card\s+security\s+code)\b\W{0,4}\d{3,4}\b", re.IGNORECASE)
_SECRET_FIELDS = re.compile(
    r"(?:card|cc|creditcard|payment)*(?:cvv2?|cvc2?|cvn2?|csc|securitycode|verificationcode|verificationvalue)(?:code|value|number)?"
    r"|track[12]?data|track[12]|magstripe|magneticstripe|pinblock"
)


def find_card_data(value: Any) -> str | None:
    """JSON pointer to the first card data in a value as JSON has them (keys included), such as `/metadata/note`.

    None where there is none; `""` where the value itself is card data.
    """
    return next(_find(value, ""), None)


def redact(text: str) -> str:
    """The text with every card number and verification code in it replaced."""
    if not _may_hold_some(text):
        return text
    plain = _plain(text)
    for start, end in reversed(list(_card_numbers(plain))):
        plain = plain[:start] + REDACTED + plain[end:]
    return _CODE_IN_TEXT.sub(REDACTED, plain)


def _find(value: Any, pointer: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            name = str(key)
            place = f"{pointer}/{redact(name).replace('~', '~0').replace('/', '~1')}"
            if _has_card_data(name) or (_is_secret_field(name) and item not in (None, "", [], {})):
                yield place
            yield from _find(item, place)
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _find(item, f"{pointer}/{index}")
    elif _has_card_data(_as_text(value)):
        yield pointer


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else ""
    if isinstance(value, Decimal):
        return str(int(value)) if value.is_finite() and value.adjusted() < 20 and value == int(value) else ""
    # A longer number is none, and writing it out would cost.
    return str(value) if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**20 else ""


def _is_secret_field(name: str) -> bool:
    return _SECRET_FIELDS.fullmatch(re.sub(r"[^a-z0-9]", "", name.lower())) is not None


def _may_hold_some(text: str) -> bool:
    return len(text) >= 6 and (not text.isascii() or _MAYBE.search(text) or _CODE_IN_TEXT.search(text)) is not None


def _has_card_data(text: str) -> bool:
    if len(text) < 6:
        return False
    plain = _plain(text)
    return next(_card_numbers(plain), None) is not None or _CODE_IN_TEXT.search(plain) is not None


def _plain(text: str) -> str:
    """Full-width and other digits as ASCII ones, without what cannot be seen."""
    if text.isascii():
        return text
    return "".join(
        c if unicodedata.decimal(c, None) is None else str(unicodedata.decimal(c))
        for c in text
        if unicodedata.category(c) != "Cf"
    )


def _card_numbers(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of each card number. A group of digits is never cut: a longer number that contains one is none."""
    if _MAYBE.search(text) is None:
        return
    hidden = _NOT_CARDS.sub(lambda match: "x" * len(match.group()), text)
    for run in _MAYBE.finditer(hidden):
        groups = [(m.start() + run.start(), m.end() + run.start()) for m in _GROUP.finditer(run.group())]
        # After a plus sign comes a telephone number, which has at most fifteen digits.
        first = len(groups) if hidden[: run.start()].endswith("+") and len(_digits(run.group())) <= 15 else 0
        while first < len(groups):
            last = _last_group(hidden, groups, first)
            if last is not None:
                yield groups[first][0], groups[last][1]
                first = last
            first += 1


def _last_group(text: str, groups: list[tuple[int, int]], first: int) -> int | None:
    digits = ""
    for last in range(first, min(first + 19, len(groups))):
        digits += text[slice(*groups[last])]
        if len(digits) > 19:
            return None
        if len(digits) >= 13 and _is_card_number(digits) and not (first == last and _is_barcode(digits)):
            return last
    return None


def _digits(text: str) -> str:
    return "".join(_GROUP.findall(text))


def _is_card_number(digits: str) -> bool:
    return _ISSUERS[len(digits)].match(digits) is not None and len(set(digits)) > 1 and _luhn(digits)


def _luhn(digits: str) -> bool:
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (sum(int(digit) for digit in digits[::-2]) + sum(doubled)) % 10 == 0


def _is_barcode(digits: str) -> bool:
    weighted = sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(reversed(digits)))
    return len(digits) in (13, 14) and weighted % 10 == 0
