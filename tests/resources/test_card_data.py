"""Card data is found wherever it hides, and what only looks like it is left alone."""

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.card_data import REDACTED, find_card_data, redact

# Test numbers that the networks and processors publish.
CARDS = {
    "visa": "4111111111111111",
    "visa of 13": "4222222222222",
    "visa of 19": "4000000000000000006",
    "mastercard": "5555555555554444",
    "mastercard, new range": "2223003122003222",
    "amex": "378282246310005",
    "discover": "6011111111111117",
    "diners": "30569309025904",
    "jcb": "3530111333300000",
    "unionpay": "6200000000000005",
    "maestro": "6759649826438453",
}
HARMLESS = [
    "",
    "12345",
    "4111111111111112",
    "1732300000000",
    "4006381333931",
    "0000000000000000",
    "4" * 40,
    "123e4567-e89b-12d3-a456-426614174000",
    "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "2026-11-22T20:31:26.123456+00:00",
    "SKU-2026-001, 3 pieces",
    "+33 6 12 34 56 78",
    "**** **** **** 4242",
    "cvv",
]


@pytest.mark.parametrize("number", CARDS.values(), ids=CARDS)
@pytest.mark.parametrize("shape", ["{}", "card {} please", "x{}y", "({})", "2026-11-22 {} 5"])
def test_a_card_number_is_found_in_any_text(number: str, shape: str) -> None:
    text = shape.format(number)
    assert find_card_data(text) == ""
    assert redact(text) == shape.format(REDACTED)


@pytest.mark.parametrize("separator", [" ", "-", ".", "/", "_", "  ", " - ", "\u00a0", "\u2009", "\u200b"])
def test_a_card_number_in_groups_is_found(separator: str) -> None:
    number = separator.join(("4111", "1111", "1111", "1111"))
    assert find_card_data({"note": number}) == "/note"
    assert "1111" not in redact(number)


@pytest.mark.parametrize("sizes", [(4, 3, 3, 3), (4, 4, 5), (4, 4, 4, 1), (1, 3, 3, 3, 3), (3, 3, 3, 4), (1,) * 13])
@pytest.mark.parametrize("separator", [" ", "-", "."])
def test_an_old_number_of_13_digits_is_found_in_regular_groups(sizes: tuple[int, ...], separator: str) -> None:
    digits = iter(CARDS["visa of 13"])
    number = separator.join("".join(next(digits) for _ in range(size)) for size in sizes)
    assert redact(f"card {number} please") == f"card {REDACTED} please"


@pytest.mark.parametrize("sizes", [(9, 4), (4, 9), (6, 7), (8, 5), (1, 12), (4, 2, 7), (2, 4, 4, 3)])
def test_13_digits_in_other_groups_are_some_other_number(sizes: tuple[int, ...]) -> None:
    digits = iter(CARDS["visa of 13"])
    number = "-".join("".join(next(digits) for _ in range(size)) for size in sizes)
    assert find_card_data(f"B-{number}") is None
    assert find_card_data("412345678-1234") is None


@pytest.mark.parametrize("separator", [" ", "-"])
@pytest.mark.parametrize("name", [name for name in CARDS if name != "visa of 13"])
def test_longer_numbers_are_found_in_any_two_groups(name: str, separator: str) -> None:
    number = CARDS[name]
    for place in range(1, len(number)):
        assert find_card_data(f"card {number[:place]}{separator}{number[place:]}") == ""


@pytest.mark.parametrize("digits", ["４１１１１１１１１１１１１１１１", "٤١١١١١١١١١١١١١١١"])
def test_digits_of_other_scripts_are_digits(digits: str) -> None:
    assert find_card_data(digits) == ""


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"amount": 1, "metadata": {"note": [1, "4111111111111111"]}}, "/metadata/note/1"),
        ({"number": 4111111111111111}, "/number"),
        ({"number": 4111111111111111.0}, "/number"),
        ({"4111111111111111": True}, f"/{REDACTED}"),
        ({"cvv": "123"}, "/cvv"),
        ({"card": {"CVC2": 123}}, "/card/CVC2"),
        ({"a/b": {"card_security_code": "1"}}, "/a~1b/card_security_code"),
        ({"Card-CVV": "12"}, "/Card-CVV"),
        ({"track2": ";4111=99"}, "/track2"),
        ({"note": "cvv: 123"}, "/note"),
        ([[], ["CVC 1234"]], "/1/0"),
    ],
)
def test_the_place_is_named_by_a_pointer(value: Any, place: str) -> None:
    assert find_card_data(value) == place


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_no_card_number_is_left_alone(text: str) -> None:
    assert find_card_data({"text": text, "list": [text]}) is None
    assert redact(text) == text


@pytest.mark.parametrize(
    "value", [None, True, 0, -5, 1.5, float("inf"), 10**400, {"cvv": None}, {"cvv": ""}, {"curve": 123}]
)
def test_other_values_are_left_alone(value: Any) -> None:
    assert find_card_data(value) is None


def test_order_numbers_of_shops_are_rarely_taken_for_cards() -> None:
    source = random.Random(7)
    numbers = [source.randrange(5_000_000_000_000, 7_000_000_000_000) for _ in range(2000)]
    assert sum(find_card_data(number) is not None for number in numbers) == 0


@given(
    st.recursive(st.text() | st.integers() | st.floats(), lambda inner: st.dictionaries(st.text(), inner), max_leaves=8)
)
def test_nothing_that_was_redacted_is_found_again(value: Any) -> None:
    find_card_data(value)
    text = json.dumps(value)
    assert find_card_data(redact(text)) is None


def test_a_long_text_takes_no_longer_than_its_length() -> None:
    assert find_card_data("1 " * 200_000) is None
    assert find_card_data("41" * 200_000) is None
