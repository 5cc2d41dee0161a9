"""What a request body may hold, tried with what it may not."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field, TypeAdapter, ValidationError

from luxauto_pipelines.gateway.schema_types import (
    Count,
    Currency,
    Day,
    Identifier,
    Instant,
    Json,
    Money,
    Name,
    Number,
    PositiveMoney,
    Strict,
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


class Colour(StrEnum):
    noir = "noir"


class Part(Strict):
    sku: Identifier
    quantity: int


class Everything(Strict):
    name: Name = "x"
    count: Count = 0
    plain: int = 0
    number: Number = 0.0
    ratio: float = 0.0
    flag: bool = False
    colour: Colour = Colour.noir
    price: Money = Decimal(0)
    currency: Currency = "EUR"
    day: Day | None = None
    at: Instant | None = None
    metadata: Json | None = None
    parts: list[Part] = Field(default_factory=list)


def taken(**fields: Any) -> Any:
    """What the model makes of a body as the gateway reads it."""
    return getattr(Everything.model_validate(json.loads(json.dumps(fields))), next(iter(fields)))


def is_refused(**fields: Any) -> bool:
    try:
        Everything.model_validate(fields)
    except ValidationError:
        return True
    return False


REFUSED: list[tuple[str, Any]] = [
    *[("count", value) for value in (True, False, "3", 3.5, -1, 2**53, 10**400, None, float("nan"), float("inf"))],
    *[("plain", value) for value in (True, "3", 3.5, None, float("inf"))],
    *[("number", value) for value in (True, "3", 1e16, float("nan"), float("inf"), float("-inf"))],
    *[("ratio", value) for value in (True, "0.5", float("nan"), float("inf"))],
    *[("flag", value) for value in (0, 1, "true", None)],
    *[("name", value) for value in ("", 3, "a\0b", "\ud800", "x" * 201, None, ["x"])],
    *[("colour", value) for value in ("rouge", 1, None)],
    *[("price", value) for value in (True, "abc", "1e5", "NaN", "Infinity", float("nan"), float("inf"), 10**15, None)],
    *[("price", value) for value in ("0.0000001", "1_000", " 1", "+1", "١", [], 0.12345678901234567, 1e300)],
    *[("currency", value) for value in ("eur", "EURO", "XYZ", "", 978, "EU\0")],
    *[("day", value) for value in (0, 20260101, "2026-13-01", "2026-02-30", "20260101", "2026-01-01T00:00:00Z", True)],
    *[("at", value) for value in ("2026-01-01T00:00:00", 0, 1.5, "yesterday", "0001-01-01T00:00:00+23:00")],
    *[("metadata", value) for value in ([], "x", {"a": float("inf")}, {"a": "\0"}, {"\0": 1}, {"a": 2**60})],
    *[("metadata", value) for value in ({"a": "\udfff"}, {"a": "x" * 17_000})],
    *[("parts", value) for value in ([{"sku": "A"}], [{"sku": "A", "quantity": 1, "more": 2}], [1], {"sku": "A"})],
    ("unknown", 1),
]


@pytest.mark.parametrize(
    ("field", "value"), REFUSED, ids=[f"{name}-{number}" for number, (name, _) in enumerate(REFUSED)]
)
def test_what_is_not_of_the_type_is_refused(field: str, value: Any) -> None:
    assert is_refused(**{field: value}), f"{field} took {value!r}"


def test_metadata_is_bounded_in_depth() -> None:
    deep: dict[str, Any] = {}
    for _ in range(12):
        deep = {"a": deep}
    assert is_refused(metadata=deep)


def test_what_is_of_the_type_is_taken() -> None:
    assert taken(price=19.99) == Decimal("19.99")
    assert taken(price="19.990") == Decimal("19.99")
    assert taken(price=-3) == Decimal(-3)
    assert taken(number=3) == 3.0
    assert taken(colour="noir") is Colour.noir
    assert taken(at="2026-01-01T10:00:00+01:00") == datetime(2026, 1, 1, 9, tzinfo=UTC)
    assert str(taken(day="2026-01-31")) == "2026-01-31"
    assert taken(parts=[{"sku": "A-1", "quantity": 2}])[0].quantity == 2
    assert taken(metadata={"a": [1, {"b": None}]}) == {"a": [1, {"b": None}]}


def test_an_id_is_the_same_however_its_letters_are_composed() -> None:
    identifier = TypeAdapter(Identifier)
    assert identifier.validate_python("Cafe\u0301") == identifier.validate_python("Caf\u00e9") == "Café"
    assert identifier.validate_python(" A-1 ") == "A-1"
    for odd in ("", " ", "a\nb", "a\0", "x" * 129):
        with pytest.raises(ValidationError):
            identifier.validate_python(odd)


@given(st.decimals(min_value="-999999999999.99", max_value="999999999999.99", places=2))
def test_an_amount_of_cents_survives_as_number_and_as_text(amount: Decimal) -> None:
    assert taken(price=str(amount)) == amount
    assert taken(price=float(amount)) == amount


@pytest.mark.parametrize("amount", [0, -1, "0", "-0.01", 0.0])
def test_a_positive_amount_is_above_zero(amount: Any) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(PositiveMoney).validate_python(amount)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from([*Everything.model_fields, "other"]), json_values, max_size=5))
def test_whatever_is_sent_is_taken_or_refused_and_nothing_else(body: dict[str, Any]) -> None:
    try:
        made = Everything.model_validate(body)
    except ValidationError:
        return
    # What was taken can be written to a log, a database and an answer.
    assert "\0" not in made.model_dump_json()
    json.dumps(made.model_dump(mode="json"), allow_nan=False).encode()


def test_the_schema_says_what_is_checked() -> None:
    schema = Everything.model_json_schema()
    assert schema["additionalProperties"] is False
    count = schema["properties"]["count"]
    assert (count["type"], count["minimum"], count["maximum"]) == ("integer", 0, 2**53 - 1)
    assert schema["properties"]["name"]["pattern"] == r"^[^\u0000]*$"
    assert "EUR" in schema["properties"]["currency"]["enum"]
