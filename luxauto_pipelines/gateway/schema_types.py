"""The types that request bodies are made of: strict, bounded, and free of what a database or a log would choke on.

Belongs here: types that more than one area's schemas use. Does not belong here: any area's schema (`gateway/schemas`).

JSON numbers, booleans and strings are taken as they are: `false` is no price and `"3"` no quantity. Instants, days and the
words of an enumeration are read from strings, as JSON has nothing else for them.
"""

import json
import math
import re
import unicodedata
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StringConstraints,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

MAX_INT = 2**53 - 1
JSON_DEPTH = 8
JSON_BYTES = 16_384
MONEY_INTEGER_DIGITS = 15
MONEY_FRACTION_DIGITS = 6
_FLOAT_DIGITS = 15
_STRICT_KINDS = ("int", "float", "bool")
_TEXT_KINDS = ("date", "datetime", "time", "enum")
# What generators of requests read; the check itself is `_printable`.
_TEXT_PATTERN = r"^[^\u0000]*$"
_ID_CHARACTER = r"[^\u0000-\u001f\u007f-\u009f]"
_ID_PATTERN = rf"^{_ID_CHARACTER}*[^\u0000-\u0020\u007f-\u00a0]{_ID_CHARACTER}*$"
_CURRENCY = re.compile(r"[A-Z]{3}")
# What follows is pydantic's to check; it alone would take "0.5" for half a second after 1970.
_RFC_3339 = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}")
_NUMERIC = re.compile(r"-?\d{1,40}(\.\d{1,40})?")


def _printable(value: str) -> str:
    if "\0" in value:
        raise PydanticCustomError("nul", "must not hold a NUL character")
    if not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value):
        raise PydanticCustomError("surrogate", "must not hold half of a surrogate pair")
    return value


def _tightened(schema: Any) -> Any:
    if isinstance(schema, dict):
        kind = schema.get("type")
        inner = {key: value if key == "metadata" else _tightened(value) for key, value in schema.items()}
        if kind == "str":
            return core_schema.no_info_after_validator_function(_printable, {"strict": True, **inner})  # pyright: ignore
        if kind == "int":
            # JSON has one kind of number: 3.0 is the integer 3.
            whole: Any = {"strict": True, **inner}
            return core_schema.no_info_before_validator_function(_whole, whole)
        if kind in _STRICT_KINDS:
            return {"strict": True, **inner}
        if kind in _TEXT_KINDS:
            return core_schema.no_info_before_validator_function(_only_text, inner)  # pyright: ignore[reportArgumentType]
        return inner
    if isinstance(schema, list):
        return [_tightened(item) for item in schema]
    if isinstance(schema, tuple):
        return tuple(_tightened(item) for item in schema)
    return schema


def _strings(schema: Any) -> Iterator[dict[str, Any]]:
    """Parts of a JSON schema that take any text."""
    if isinstance(schema, dict):
        if schema.get("type") == "string" and not schema.keys() & {"pattern", "enum", "const", "format"}:
            yield schema
        for part in schema.values():
            yield from _strings(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from _strings(part)


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _only_text(value: Any) -> Any:
    if isinstance(value, (int, float, Decimal)) and not isinstance(value, str):
        raise PydanticCustomError("text_only", "must be a string")
    return value


class Strict(BaseModel):
    """A request body, or part of one: an unknown field is an error, and nothing is converted from one JSON type to another."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, validate_default=False)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return _tightened(handler(source))

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        shown = handler(schema)
        for part in _strings(handler.resolve_ref_schema(shown).get("properties", {})):
            part["pattern"] = _TEXT_PATTERN
        return shown


def _normal_id(value: str) -> str:
    normal = unicodedata.normalize("NFC", value).strip()
    if not normal or any(unicodedata.category(c) in ("Cc", "Cs") for c in normal):
        raise PydanticCustomError("id", "must not be blank or hold control characters")
    return normal


_SHOWN = Field(json_schema_extra={"pattern": _TEXT_PATTERN})
_CHECKED = AfterValidator(_printable)

Name = Annotated[str, StringConstraints(min_length=1, max_length=200), _SHOWN, _CHECKED]
"""1 to 200 characters."""
Line = Annotated[str, StringConstraints(max_length=500), _SHOWN, _CHECKED]
"""Up to 500 characters, perhaps none."""
Prompt = Annotated[str, StringConstraints(min_length=1, max_length=4000), _SHOWN, _CHECKED]
"""1 to 4,000 characters."""
Prose = Annotated[str, StringConstraints(max_length=4000), _SHOWN, _CHECKED]
"""Up to 4,000 characters, perhaps none."""
Document = Annotated[str, StringConstraints(max_length=100_000), _SHOWN, _CHECKED]
"""Up to 100,000 characters, perhaps none."""

Identifier = Annotated[
    str,
    StringConstraints(min_length=1, max_length=128),
    Field(json_schema_extra={"pattern": _ID_PATTERN}),
    AfterValidator(_normal_id),
]
"""Something's code or id, such as a SKU: NFC, trimmed, no control characters."""

Count = Annotated[int, Field(strict=True, ge=0, le=MAX_INT)]
PositiveCount = Annotated[int, Field(strict=True, ge=1, le=MAX_INT)]
Integer = Annotated[int, Field(strict=True, ge=-MAX_INT, le=MAX_INT)]
Fraction = Annotated[float, Field(strict=True, ge=0, le=1, allow_inf_nan=False)]
Number = Annotated[float, Field(strict=True, ge=-1e15, le=1e15, allow_inf_nan=False)]


def _exact(value: Any) -> Any:
    if isinstance(value, Decimal):
        number = value
    elif isinstance(value, str) and _NUMERIC.fullmatch(value) and value.isascii():
        number = Decimal(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        number = Decimal(value) if abs(value) < 10**40 else Decimal("inf")
    elif isinstance(value, float):
        number = _exact_float(value)
    else:
        raise PydanticCustomError("money", 'must be a number, or a string such as "12.50"')
    try:
        whole = number.is_finite() and abs(number) < 10**MONEY_INTEGER_DIGITS
        if not whole or number != number.quantize(Decimal(1).scaleb(-MONEY_FRACTION_DIGITS)):
            raise InvalidOperation
    except InvalidOperation as error:
        raise PydanticCustomError(
            "money", "must be finite, below 10^15 and have at most six decimals", {"digits": MONEY_FRACTION_DIGITS}
        ) from error
    return number


def _exact_float(value: float) -> Decimal:
    if not math.isfinite(value):
        return Decimal("inf")
    number = Decimal(repr(value))
    if len(number.normalize().as_tuple().digits) > _FLOAT_DIGITS:
        # A double no longer holds what was written, and an amount must never be nearly right.
        raise PydanticCustomError("money", "has too many digits for a JSON number; send it as a string")
    return number


_MONEY_LIMIT = 10**MONEY_INTEGER_DIGITS - 1


def _money(text: str = r"^-?\d{1,12}(\.\d{1,2})?$", **bounds: float) -> Any:
    """JSON Schema of an amount: a number within bounds, or the same as a string."""
    return WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": -_MONEY_LIMIT, "maximum": _MONEY_LIMIT, "multipleOf": 0.01, **bounds},
                {"type": "string", "pattern": text},
            ]
        },
        mode="validation",
    )


_NOT_NEGATIVE = r"^\d{1,12}(\.\d{1,2})?$"
_POSITIVE = r"^(0\.\d?[1-9]|[1-9]\d{0,11}(\.\d{1,2})?)$"
Money = Annotated[Decimal, BeforeValidator(_exact), _money()]
"""An exact amount from a JSON number or a numeric string."""
PositiveMoney = Annotated[Decimal, BeforeValidator(_exact), Field(gt=0), _money(_POSITIVE, exclusiveMinimum=0)]
NonNegativeMoney = Annotated[Decimal, BeforeValidator(_exact), Field(ge=0), _money(_NOT_NEGATIVE, minimum=0)]


def _currency(value: str) -> str:
    from assets.finance.money import UnknownCurrency, exponent

    try:
        if not _CURRENCY.fullmatch(value):
            raise UnknownCurrency(value)
        exponent(value)
    except UnknownCurrency as error:
        raise PydanticCustomError("currency", "must be an ISO 4217 code such as EUR") from error
    return value


def _currency_codes() -> list[str]:
    from iso4217 import Currency as Codes

    return sorted(entry.code for entry in Codes)


Currency = Annotated[str, AfterValidator(_currency), Field(json_schema_extra={"enum": [*_currency_codes()]})]
"""An ISO 4217 code."""


def _instant(value: Any) -> Any:
    if not isinstance(value, datetime) and not (isinstance(value, str) and _RFC_3339.match(value)):
        raise PydanticCustomError("instant", "must be a string such as 2026-01-31T09:00:00+01:00")
    return value


def _with_offset(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise PydanticCustomError("instant", "must have an offset, such as 2026-01-31T09:00:00+01:00")
    try:
        return value.astimezone(UTC)
    except OverflowError as error:
        raise PydanticCustomError("instant", "is outside the calendar") from error


def _day(value: Any) -> Any:
    if isinstance(value, date) or (isinstance(value, str) and re.fullmatch(r"\d{4}-\d{2}-\d{2}", value)):
        return value
    raise PydanticCustomError("day", "must be a string such as 2026-01-31")


Instant = Annotated[datetime, AfterValidator(_with_offset), BeforeValidator(_instant)]
"""RFC 3339 with an offset; in UTC afterwards."""
Day = Annotated[date, BeforeValidator(_day)]
"""`YYYY-MM-DD`."""


def _json(value: Any) -> Any:
    _check_json(value, 0)
    if len(json.dumps(value)) > JSON_BYTES:
        raise PydanticCustomError("json", "must be at most 16 KiB as JSON")
    return value


def _check_json(value: Any, depth: int) -> None:
    if depth > JSON_DEPTH:
        raise PydanticCustomError("json", "must be nested at most eight deep")
    if isinstance(value, str):
        _printable(value)
    elif isinstance(value, float) and not math.isfinite(value):
        raise PydanticCustomError("json", "must not hold a number that is not finite")
    elif isinstance(value, int) and abs(value) > MAX_INT:
        raise PydanticCustomError("json", "must not hold an integer beyond 2^53")
    elif isinstance(value, dict):
        for key, item in value.items():
            _printable(str(key))
            _check_json(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _check_json(item, depth + 1)


Json = Annotated[dict[str, Any], AfterValidator(_json)]
"""A free-form object: bounded in depth and size, finite numbers, no NUL."""


def _nested(value: Any) -> Any:
    _check_json(value, 0)
    return value


LargeJson = Annotated[dict[str, Any], AfterValidator(_nested)]
"""A free-form object as large as the body may be; otherwise bounded like `Json`."""
JsonValue = Annotated[Any, AfterValidator(_json)]
"""Any JSON value, bounded in the same way."""

Key = Annotated[
    str,
    StringConstraints(min_length=1, max_length=128),
    Field(json_schema_extra={"pattern": _ID_PATTERN}),
    AfterValidator(_normal_id),
]
"""An id in a path."""
