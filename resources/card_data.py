"""Finding payment card data, so that it is stored and logged nowhere.

Belongs here: what looks like a card number (PAN), a verification code (CVV) or a magnetic track in a document as JSON has them,
also where it is spread over fields. Does not belong here: what a number looks like in a text (`card_numbers`), or what to do
about it; entrances refuse, logs redact.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import islice
from typing import Any

from resources.card_numbers import REDACTED, digits_of, has_card_data, is_card_number, may_hold_card_data, redact

__all__ = [
    "REDACTED",
    "CardDataRefused",
    "find_card_data",
    "is_secret_field",
    "may_hold_card_data",
    "places_of_card_data",
    "redact",
    "redact_value",
]
_SECRET_FIELDS = re.compile(
    r"(?:card|cc|creditcard|payment)*(?:cvv2?|cvc2?|cvn2?|csc|securitycode|verificationcode|verificationvalue)(?:code|value|number)?"
    r"|track[12]?data|track[12]|magstripe|magneticstripe|pinblock"
)
# The groups in which numbers are printed: of strings that follow each other in an object, only these count as one number.
_PRINTED = ((4, 4, 4, 4, 3), (4, 4, 4, 4), (4, 6, 5), (4, 6, 4))
_DEPTH = 3


class CardDataRefused(Exception):
    """Something holds card data and was not taken; the message names the place and never repeats it."""


def find_card_data(value: Any) -> str | None:
    """JSON pointer to the first card data in a value as JSON has them (keys included), such as `/metadata/note`.

    None where there is none; `""` where the value itself is card data.
    """
    return next(_find(value, "", 0), None)


def places_of_card_data(value: Any, most: int = 20) -> list[str]:
    """JSON pointers to card data, each once, as `find_card_data` gives the first."""
    return list(islice(dict.fromkeys(_find(value, "", 0)), most))


def redact_value(value: Any) -> Any:
    """The same document with all card data in it replaced, names of fields included."""
    if isinstance(value, Mapping):
        spread = set(_spread_over_fields(value))
        return {
            redact(str(key)): REDACTED if key in spread or _is_secret(key, item) else redact_value(item)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [REDACTED] * len(value) if _is_spread(value) else [redact_value(item) for item in value]
    text = _as_text(value)
    if isinstance(value, str):
        cleaned = redact(value)
        return REDACTED if next(_within(cleaned, 0), None) is not None else cleaned
    return REDACTED if has_card_data(text) else value


def is_secret_field(name: str) -> bool:
    """Whether a field of this name holds what must never be kept after a payment: verification codes, tracks, PINs."""
    return _SECRET_FIELDS.fullmatch(re.sub(r"[^a-z0-9]", "", name.lower())) is not None


def _find(value: Any, pointer: str, depth: int) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key in _spread_over_fields(value):
            yield f"{pointer}/{_escaped(str(key))}"
        for key, item in value.items():
            place = f"{pointer}/{_escaped(str(key))}"
            if has_card_data(str(key)) or _is_secret(key, item):
                yield place
            yield from _find(item, place, depth)
    elif isinstance(value, (list, tuple)):
        if _is_spread(value):
            yield f"{pointer}/0"
        for index, item in enumerate(value):
            yield from _find(item, f"{pointer}/{index}", depth)
    else:
        text = _as_text(value)
        if has_card_data(text) or next(_within(text, depth), None) is not None:
            yield pointer


def _within(text: str, depth: int) -> Iterator[str]:
    """What is found in a text that is itself JSON."""
    if depth < _DEPTH and len(text) >= 13 and text.lstrip()[:1] in ("{", "[", '"'):
        try:
            inner = json.loads(text)
        except (ValueError, RecursionError):
            return
        yield from _find(inner, "", depth + 1)


def _escaped(name: str) -> str:
    return redact(name).replace("~", "~0").replace("/", "~1")


def _is_secret(name: Any, item: Any) -> bool:
    return is_secret_field(str(name)) and item not in (None, "", [], {})


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        # From seventeen digits on a float holds others than were written, and is written with an exponent.
        return str(int(value)) if value.is_integer() and abs(value) < 1e16 else ""
    if isinstance(value, Decimal):
        return str(int(value)) if value.is_finite() and value.adjusted() < 20 and value == int(value) else ""
    # A longer number is none, and writing it out would cost.
    return str(value) if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**20 else ""


def _part(value: Any) -> str | None:
    """Digits of a field that may be a part of a number: too few for a whole one, and not a lone digit that is a count."""
    if isinstance(value, str):
        digits = digits_of(value)
        return digits if digits and len(digits) < 13 else None
    if isinstance(value, int) and not isinstance(value, bool) and 10 <= value < 10**12:
        return str(value)
    return None


def _is_spread(items: Sequence[Any]) -> bool:
    """Whether the items of a list are the parts of one number, and nothing else."""
    if not 2 <= len(items) <= 19:
        return False
    parts = [_part(item) for item in items]
    return None not in parts and is_card_number("".join(part or "" for part in parts))


def _spread_over_fields(fields: Mapping[Any, Any]) -> Iterable[Any]:
    """Keys of the fields over which a number is spread: those whose names differ by a number, or neighbours in its groups."""
    if len(fields) < 2:
        return ()
    parts = [(key, part) for key, item in fields.items() if (part := _part(item))]
    if sum(len(part) for _, part in parts) < 13:
        return ()
    return _alike(parts) or _neighbours(fields, dict(parts))


def _alike(parts: Iterable[tuple[Any, str]]) -> list[Any]:
    by_stem: dict[str, list[tuple[int, Any, str]]] = {}
    for key, part in parts:
        name = str(key)
        stem = re.sub(r"\d+|[_\W]+[a-z]$", "", name.lower())
        number = re.search(r"\d+", name)
        by_stem.setdefault(stem, []).append((int(number[0][:9]) if number else 0, key, part))
    for members in by_stem.values():
        ordered = sorted(members, key=lambda member: member[0])
        if len(members) > 1 and is_card_number("".join(part for _, _, part in ordered)):
            return [key for _, key, _ in ordered]
    return []


def _neighbours(fields: Mapping[Any, Any], parts: Mapping[Any, str]) -> list[Any]:
    # A count of thousands beside others is none of this; numbers of cards come as text.
    keys = list(fields)
    lengths = [len(parts[key]) if key in parts and isinstance(fields[key], str) else 0 for key in keys]
    for first in range(len(keys)):
        for groups in _PRINTED:
            window = keys[first : first + len(groups)]
            if tuple(lengths[first : first + len(groups)]) == groups and is_card_number(
                "".join(parts[k] for k in window)
            ):
                return window
    return []
