"""Card numbers in text: what one looks like, however it is written, and what only looks like one.

Belongs here: a single text. Does not belong here: fields and documents (`card_data`), or what to do about what is found.

A card number is 13 to 19 digits, perhaps in groups, that begin as an issuer's do and pass the Luhn check (ISO/IEC 7812-1).
One of 13, which only old cards of Visa have, counts in one piece or in regular groups: order numbers have as many digits.
Not taken for one are barcodes (GTIN-13 and -14 with a right check digit), UUIDs and hexadecimal hashes, IBANs, the order
numbers of Amazon, telephone numbers and decimal fractions.
"""

import base64
import binascii
import html
import re
import unicodedata
from collections.abc import Iterator
from itertools import pairwise
from urllib.parse import unquote

REDACTED = "[card data]"
SHORTEST = 13
# What may stand between any two groups of a number, as people write it.
_SEPARATORS = r"[\s\-._/]{0,3}"
_MAYBE = re.compile(rf"[0-9](?:{_SEPARATORS}[0-9]){{12,}}")
_GROUP = re.compile(r"[0-9]+")
# Of a number of 13, as it is printed: 4-3-3-3, 4-4-5, 4-4-4-1.
_LARGEST_GROUP = 5
# Anything else, such as the comma of a file's row, may stand between groups as they are printed on cards.
_ODD = r"([^0-9A-Za-z]{1,5})"
_PRINTED = re.compile(
    rf"(?<![0-9])(?:[0-9]{{4}}{_ODD}[0-9]{{4}}\1[0-9]{{4}}\1[0-9]{{4}}(?:\1[0-9]{{3}})?"
    rf"|[0-9]{{4}}{_ODD}[0-9]{{6}}\2[0-9]{{4,5}})(?![0-9])"
)
_NOT_CARDS = re.compile(
    r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b|\b(?=[0-9]*[a-f])[0-9a-f]{32,}\b"
    r"|(?<![\w-])[0-9]{3}-[0-9]{7}-[0-9]{7}(?![\w-])"
    r"|(?<![\w.\-/])[0-9]{1,3}\.[0-9]{7,}(?![\w]|[\-./ ][0-9])",
    re.IGNORECASE,
)
_IBAN = re.compile(r"\b[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")
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
_ESCAPED_DIGIT = re.compile(r"\\u(00[0-9a-fA-F]{2}|ff1[0-9])")
_BASE64 = re.compile(r"[MN][A-Za-z0-9+/_-]{16,70}={0,2}")
# Names of secret fields, words and encodings: what a count of digits does not show.
_TELLING = re.compile(
    rb"cv[vcn]|csc|security|verif|track|stripe|pinblock|\\u|%3|&#|[\x80-\xff]|[MN][A-Za-z0-9+/_-]{16}", re.IGNORECASE
)
_NOT_DIGITS = bytes(byte for byte in range(256) if not 48 <= byte <= 57)
_ONLY_DIGITS = re.compile(r"[0-9\s\-._/]{13,40}")


def may_hold_card_data(content: bytes) -> bool:
    """Whether a closer look is needed. False is certain; it costs a thousandth of reading the document."""
    return len(content.translate(None, _NOT_DIGITS)) >= 13 or _TELLING.search(content) is not None


def has_card_data(text: str) -> bool:
    """Whether a card number or a verification code stands in the text, also in another encoding of it."""
    if not _may_hold(text):
        return False
    return _is_there(_plain(text)[0]) or any(_is_there(_plain(decoded)[0]) for decoded in _decodings(text))


def redact(text: str) -> str:
    """The text with every card number and verification code in it replaced. What is none stays as it is written."""
    if not _may_hold(text):
        return text
    plain, places = _plain(text)
    found = [*_card_numbers(plain), *(match.span() for match in _CODE_IN_TEXT.finditer(plain))]
    for start, end in sorted(found, reverse=True):
        last = end - 1
        text = text[: places[start]] + REDACTED + text[places[last] + 1 :] if places else _cut(text, start, end)
    # In another encoding nothing can be told apart within the text.
    return REDACTED if any(_is_there(_plain(decoded)[0]) for decoded in _decodings(text)) else text


def is_card_number(digits: str) -> bool:
    """Whether ASCII digits alone are a card's number."""
    issuer = _ISSUERS.get(len(digits))
    return issuer is not None and issuer.match(digits) is not None and len(set(digits)) > 1 and _luhn(digits)


def digits_of(text: str) -> str | None:
    """The digits of a text that is nothing but digits and what may stand between them; None for any other."""
    plain = _plain(text)[0].strip() if len(text) <= 40 else ""
    return re.sub(r"[\s\-._/]", "", plain) if plain and re.fullmatch(r"[0-9\s\-._/]+", plain) else None


def _may_hold(text: str) -> bool:
    if len(text) < 6 or not text.isascii():
        return len(text) >= 6
    digits = len(text.encode().translate(None, _NOT_DIGITS))
    # Base64 can do without digits; a code has three.
    return digits >= SHORTEST or text[0] in "MN" or (digits >= 3 and _TELLING.search(text.encode()) is not None)


def _cut(text: str, start: int, end: int) -> str:
    return text[:start] + REDACTED + text[end:]


def _is_there(plain: str) -> bool:
    return next(_card_numbers(plain), None) is not None or _CODE_IN_TEXT.search(plain) is not None


def _plain(text: str) -> tuple[str, list[int] | None]:
    """Digits of every script as ASCII ones, dashes and blanks as the plain ones, without what cannot be seen.

    The second part says where each character stood; None: where it stands.
    """
    if text.isascii():
        return text, None
    kept, places = [], []
    for place, character in enumerate(text):
        if character.isascii():
            kept.append(character)
            places.append(place)
            continue
        kind = unicodedata.category(character)
        if kind in ("Cf", "Mn", "Me"):
            continue
        digit = unicodedata.digit(character, None)
        kept.append(str(digit) if digit is not None else "-" if kind == "Pd" else " " if kind == "Zs" else character)
        places.append(place)
    return "".join(kept), places


def _decodings(text: str) -> Iterator[str]:
    """The text as it is after decoding, for each way that it may be encoded."""
    if "%3" in text:
        yield unquote(text)
    if "&#" in text:
        yield html.unescape(text)
    if "\\u" in text:
        yield _ESCAPED_DIGIT.sub(lambda match: chr(int(match[1], 16)), text)
    if text[0] in "MN" and _BASE64.fullmatch(text):
        try:
            decoded = base64.b64decode(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4)).decode(
                "ascii"
            )
        except (binascii.Error, UnicodeDecodeError):
            return
        if _ONLY_DIGITS.fullmatch(decoded):
            yield decoded


def _card_numbers(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of each card number. A group of digits is never cut: a longer number that contains one is none."""
    if _MAYBE.search(text) is None:
        if len(text) >= SHORTEST:
            yield from _printed(text)
        return
    hidden = _hidden(text)
    ends: set[int] = set()
    for run in _MAYBE.finditer(hidden):
        groups = [(m.start() + run.start(), m.end() + run.start()) for m in _GROUP.finditer(run.group())]
        # After a plus sign comes a telephone number, which has at most fifteen digits.
        first = len(groups) if hidden[: run.start()].endswith("+") and len(_digits(run.group())) <= 15 else 0
        while first < len(groups):
            last = _last_group(hidden, groups, first)
            if last is not None:
                ends.update(range(groups[first][0], groups[last][1]))
                yield groups[first][0], groups[last][1]
                first = last
            first += 1
    yield from ((start, end) for start, end in _printed(hidden) if ends.isdisjoint(range(start, end)))


def _printed(text: str) -> Iterator[tuple[int, int]]:
    """Numbers in the groups of a card, whatever stands between them, unless they are part of a longer list of such groups."""
    for match in _PRINTED.finditer(text):
        between = match[1] or match[2]
        before, after = text[: match.start()], text[match.end() :]
        if re.search(rf"(?<![0-9])[0-9]{{4}}{re.escape(between)}$", before[-12:]):
            continue
        if re.match(rf"{re.escape(between)}[0-9]{{4}}(?![0-9])", after):
            continue
        if is_card_number(_digits(match.group())):
            yield match.span()


def _hidden(text: str) -> str:
    """The text with what is known to be something else made unreadable."""
    hidden = _NOT_CARDS.sub(lambda match: "x" * len(match.group()), text)
    return _IBAN.sub(lambda match: "x" * len(match.group()) if _is_iban(match.group()) else match.group(), hidden)


def _is_iban(text: str) -> bool:
    moved = text.replace(" ", "")[4:] + text[:4]
    return int("".join(str(int(character, 36)) for character in moved)) % 97 == 1


def _last_group(text: str, groups: list[tuple[int, int]], first: int) -> int | None:
    digits = ""
    for last in range(first, min(first + 19, len(groups))):
        digits += text[slice(*groups[last])]
        if len(digits) > 19:
            return None
        if len(digits) < SHORTEST or not is_card_number(digits) or (first == last and _is_barcode(digits)):
            continue
        if len(digits) > SHORTEST or _is_regular(text, groups[first : last + 1]):
            return last
    return None


def _is_regular(text: str, groups: list[tuple[int, int]]) -> bool:
    """Whether digits are in one piece, or in groups small, alike but for the first or last, one mark between."""
    if len(groups) == 1:
        return True
    sizes = [end - start for start, end in groups]
    between = {text[end:start] for (_, end), (start, _) in pairwise(groups)}
    alike = len(set(sizes[1:])) == 1 or len(set(sizes[:-1])) == 1
    return alike and max(sizes) <= _LARGEST_GROUP and len(between) == 1


def _digits(text: str) -> str:
    return "".join(_GROUP.findall(text))


def _luhn(digits: str) -> bool:
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (sum(int(digit) for digit in digits[::-2]) + sum(doubled)) % 10 == 0


def _is_barcode(digits: str) -> bool:
    weighted = sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(reversed(digits)))
    return len(digits) in (13, 14) and weighted % 10 == 0
