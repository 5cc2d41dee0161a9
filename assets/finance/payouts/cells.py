"""Cells of statements: text in any encoding, tables of any separator, amounts with points or commas, dates of any order.

Belongs here: what the vendors' layouts share. Does not belong here: a layout.
"""

import csv
import hashlib
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

from assets.finance.money import exponents
from assets.finance.payouts.frames import LARGEST, Aside, BadRow, StatementError

_BLANKS = re.compile(r"[\s\u00a0\u202f'’]")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)")
_GROUPED = {",": re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?"), ".": re.compile(r"[+-]?\d{1,3}(\.\d{3})+(,\d*)?")}
_AMBIGUOUS = re.compile(r"[+-]?\d{1,3}[.,]\d{3}")
_ISO = re.compile(r"(\d{4})[-/](\d{2})[-/](\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?)?\s*(.*)")
_PARTS = re.compile(r"(\d{1,2})[./-](\d{1,2})[./-](\d{4})(?:[ ,T]+(\d{1,2}):(\d{2})(?::(\d{2}))?)?\s*(.*)")
_OFFSET = re.compile(r"(?:UTC|GMT)?\s*([+-])(\d{1,2}):?(\d{2})?")
# Abbreviations as PayPal writes them, in hours from UTC.
_ZONES = {
    **{"UTC": 0, "GMT": 0, "Z": 0, "WET": 0, "BST": 1, "WEST": 1, "CET": 1, "CEST": 2, "EET": 2, "EEST": 3},
    **{"PST": -8, "PDT": -7, "MST": -7, "MDT": -6, "CST": -6, "CDT": -5, "EST": -5, "EDT": -4, "JST": 9},
    **{"HKT": 8, "SGT": 8, "AEST": 10, "AEDT": 11},
}


@dataclass(frozen=True)
class Table:
    """Rows of a delimited text by lower-case column name, with their number (1 is the first under the header)."""

    columns: tuple[str, ...]
    rows: list[tuple[int, dict[str, str]]]


def as_text(content: bytes) -> str:
    """The text of a file in UTF-8 or UTF-16, with or without a byte order mark, or else in Windows-1252."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")


def header_of(text: str) -> tuple[str, ...]:
    """Names of the columns of a delimited text, in lower case; empty where there are none."""
    line = text.lstrip("\r\n").partition("\n")[0]
    cells = next(csv.reader([line], delimiter=_separator(line)), [])
    return tuple(cell.strip().lower() for cell in cells)


def table_of(text: str, aside: Aside) -> Table:
    """Every row that has as many cells as the header; the others are put aside. Empty rows are left out."""
    text = text.lstrip("\r\n")
    separator = _separator(text.partition("\n")[0])
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    columns = tuple(cell.strip().lower() for cell in next(reader, []))
    rows: list[tuple[int, dict[str, str]]] = []
    try:
        for number, cells in enumerate(reader, start=1):
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(columns):
                reason = f"has {len(cells)} cells where the header has {len(columns)}"
                aside.put(number, BadRow("row", reason), json.dumps(cells, ensure_ascii=False))
                continue
            rows.append((number, {name: cell.strip() for name, cell in zip(columns, cells, strict=True)}))
    except csv.Error as error:
        raise StatementError(f"the file is damaged after row {len(rows)}: {error}. Export it again.") from error
    return Table(columns, rows)


def decimal_sign(cells: Iterable[str], given: str = "") -> str:
    """Whether a file writes decimals after a point or a comma: what its cells show. Empty where nothing tells.

    Raises StatementError where some cells can only be the one and others only the other.
    """
    if given:
        return given
    seen = {sign for cell in cells if (sign := _sign_of(_BLANKS.sub("", cell)))}
    if len(seen) > 1:
        raise StatementError("some amounts have a decimal point, others a decimal comma. Export the file again.")
    return seen.pop() if seen else ""


def minor_of(text: str, currency: str, sign: str, field: str, digits: int | None = None) -> int:
    """Minor units of an amount as it is written. Raises BadRow where it is none, or finer than its currency."""
    plain = _BLANKS.sub("", text).replace("−", "-")
    if plain.startswith("(") and plain.endswith(")"):
        plain = f"-{plain[1:-1]}"
    places = digits if digits is not None else digits_of(currency)
    if not sign and places == 3 and _AMBIGUOUS.fullmatch(plain) and "," in plain:
        raise BadRow(field, f"{text!r} may be a thousand or a thousandth part: give --decimal")
    point = sign or "."
    group = "," if point == "." else "."
    if group in plain:
        if not _GROUPED[group].fullmatch(plain):
            raise BadRow(field, f"{text!r} is no amount")
        plain = plain.replace(group, "")
    plain = plain.replace(point, ".")
    if not _NUMBER.fullmatch(plain):
        raise BadRow(field, "is empty" if not plain else f"{text!r} is no amount")
    return scaled(Decimal(plain), currency, field, places)


def scaled(amount: Decimal, currency: str, field: str, digits: int | None = None) -> int:
    """Minor units of a decimal amount. Raises BadRow where it is finer than its currency or too large."""
    try:
        minor = amount.scaleb(digits if digits is not None else digits_of(currency))
        whole = int(minor)
    except (InvalidOperation, ValueError, OverflowError):
        raise BadRow(field, f"{amount} is no amount") from None
    if minor != whole:
        raise BadRow(field, f"{amount} has more digits than {currency} has")
    if abs(whole) > LARGEST:
        raise BadRow(field, f"{amount} is larger than any payout")
    return whole


def digits_of(currency: str) -> int:
    """Digits after the point. Raises BadRow for what is not in ISO 4217."""
    known = exponents()
    if currency not in known:
        raise BadRow("currency", f"{currency!r} is not an ISO 4217 code" if currency else "is empty")
    return known[currency]


def day_order(cells: Iterable[str], given: str = "") -> Literal["dmy", "mdy"]:
    """Whether a file writes the day or the month first. Raises StatementError where its dates do not tell."""
    if given in ("dmy", "mdy"):
        return "dmy" if given == "dmy" else "mdy"
    first = second = points = total = 0
    for cell in cells:
        if (parts := _PARTS.match(cell)) is None:
            continue
        total += 1
        first = max(first, int(parts[1]))
        second = max(second, int(parts[2]))
        points += "." in cell[:6]
    if first > 12 and second > 12:
        raise StatementError("some dates have the day first, others the month. Export the file again.")
    if total and not points and first <= 12 and second <= 12:
        raise StatementError("the dates may have the day or the month first: give --dates dmy or --dates mdy.")
    return "mdy" if second > 12 else "dmy"


def instant_of(text: str, field: str, default: tzinfo, order: str = "dmy", zone: str = "") -> datetime:
    """The instant, in UTC, of a date and time as it is written; a date alone is its noon.

    `zone` names the clock where the text does not, `default` is the clock where neither does. Raises BadRow.
    """
    found, year_first = _ISO.fullmatch(text.strip()), True
    if found is None:
        found, year_first = _PARTS.fullmatch(text.strip()), False
    if found is None:
        raise BadRow(field, f"{text!r} is no date" if text else "is empty")
    numbers = [int(part) if part else None for part in found.groups()[:6]]
    a, b, c = (number or 0 for number in numbers[:3])
    year, month, day = (a, b, c) if year_first else (c, b, a) if order == "dmy" else (c, a, b)
    hour, minute, second = (12, 0, 0) if numbers[3] is None else (numbers[3], numbers[4] or 0, numbers[5] or 0)
    clock = _clock(found[7] or zone, field) or default
    if not 1970 <= year <= 2100:
        raise BadRow(field, f"{text!r} is not of our time")
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=clock).astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadRow(field, f"{text!r} is no date") from None


def day_of(text: str, field: str, order: str = "dmy") -> date:
    """The day as it is written, whatever time stands beside it. Raises BadRow."""
    return instant_of(text.strip()[:10], field, UTC, order).date()


@lru_cache(maxsize=32)
def clock_of(zone: str) -> tzinfo:
    """The clock of an IANA zone."""
    return ZoneInfo(zone)


def key_of(*parts: object) -> str:
    """A short name for a row that has none of its own: the first 128 bits of SHA-256 over what never changes of it."""
    return hashlib.sha256(json.dumps([str(part) for part in parts]).encode()).hexdigest()[:32]


def numbered(keys: Iterable[str]) -> Iterator[str]:
    """Equal keys told apart by their order: the first stays as it is, then come `…-1`, `…-2`."""
    seen: Counter[str] = Counter()
    for key in keys:
        count = seen[key]
        seen[key] += 1
        yield f"{key}-{count}" if count else key


def raw(row: Mapping[str, str]) -> str:
    """A row as it is put aside."""
    return json.dumps(dict(row), ensure_ascii=False)


def _separator(line: str) -> str:
    return max("\t,;|", key=line.count)


def _sign_of(cell: str) -> str:
    cell = cell.strip("()")
    point, comma = cell.rfind("."), cell.rfind(",")
    if point >= 0 and comma >= 0:
        return "." if point > comma else ","
    place, sign = (point, ".") if point >= 0 else (comma, ",")
    if place < 0:
        return ""
    if cell.count(sign) > 1:
        return "," if sign == "." else "."
    # Three digits may be a group of thousands, unless a zero or nothing stands before them.
    decisive = (
        len(cell) - place - 1 != 3 or cell[:place].lstrip("+-−") in ("", "0") or len(cell[:place].lstrip("+-−")) > 3
    )
    return sign if decisive else ""


@lru_cache(maxsize=256)
def _clock(name: str, field: str) -> tzinfo | None:
    name = name.strip()
    if not name:
        return None
    if name.upper() in _ZONES:
        return timezone(timedelta(hours=_ZONES[name.upper()]))
    if offset := _OFFSET.fullmatch(name):
        ahead = timedelta(hours=int(offset[2]), minutes=int(offset[3] or 0))
        if ahead >= timedelta(hours=24):
            raise BadRow(field, f"{name!r} is no time zone")
        return timezone(ahead if offset[1] == "+" else -ahead)
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise BadRow(field, f"{name!r} is no time zone that is known") from None
