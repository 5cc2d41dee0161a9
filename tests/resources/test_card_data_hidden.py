"""Card data that is spread, encoded or written in other digits is found; the numbers of a business are not taken for it."""

import base64
import json
import random
import uuid
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from resources.card_data import REDACTED, find_card_data, redact, redact_value
from resources.card_numbers import has_card_data, may_hold_card_data
from resources.withholding import WITHHELD, withhold

NUMBER = "4111111111111111"
PARTS = ["4111", "1111", "1111", "1111"]
SPREAD: dict[str, Any] = {
    "fields that are numbered": {"number1": "4111", "number2": "1111", "number3": "1111", "number4": "1111"},
    "in another order": {"n4": "1111", "n2": "1111", "n1": "4111", "n3": "1111"},
    "neighbours": {"a": "4111", "of": "1111", "some": "1111", "form": "1111", "expiry": "12"},
    "halves": {"pan_a": "41111111", "pan_b": "11111111"},
    "a list": {"parts": PARTS},
    "a list of digits": {"digits": list(NUMBER)},
    "a list of numbers": [4111, 1111, 1111, 1111],
    "an express card": {"a": "3782", "b": "822463", "c": "10005"},
    "json in a text": {"note": json.dumps({"inner": {"number": NUMBER}})},
    "json in json in a text": json.dumps({"note": json.dumps({"a": PARTS})}),
    "a row of a file": "4111,1111,1111,1111,12,28",
    "quoted cells": '"4111","1111","1111","1111"',
    "base64": base64.b64encode(NUMBER.encode()).decode(),
    "an address": "card=%34%31%31%31%31%31%31%31%31%31%31%31%31%31%31%31",
    "html": "".join(f"&#{ord(digit)};" for digit in NUMBER),
    "escapes": "".join(f"\\u{ord(digit):04x}" for digit in NUMBER),
    "mathematical digits": "".join(chr(0x1D7D8 + int(digit)) for digit in NUMBER),
    "superscripts": "4" + "\u00b9" * 15,
    "a mark on each digit": "\u0301".join(NUMBER),
    "en dashes": "\u2013".join(PARTS),
    "a track": f";{NUMBER}=25121010000012300000?",
    "a number": int(NUMBER),
}
HARMLESS: dict[str, Any] = {
    "an order of Amazon": "403-1234567-1234569",
    "an IBAN": "DE89 3704 0044 0532 0130 00",
    "a French IBAN": "FR14 2004 1010 0505 0001 3M02 606",
    "a rate": "4.245600000000",
    "two ids": {"order_id": "40001234", "customer_id": "12345678"},
    "counts": {"a": 4111, "b": 1111, "c": 1111, "d": 1111},
    "years": ["2023", "2024", "2025", "2026"],
    "a list of codes": "4120, 5230, 1234, 5678, 9012, 3456",
    "an instant": {"ms": 1732622761123, "at": "2026-11-26T11:46:53.123456+00:00"},
    "the last four": {"brand": "visa", "last4": "1111", "expiry": "12/28", "bin": "41111111"},
}
MANY = 4000
SOURCES: dict[str, tuple[Callable[[random.Random], Any], float]] = {
    # Of random digits a tenth passes the Luhn check; what remains is what also begins as a card does.
    "sixteen random digits": (lambda r: str(r.randrange(10**15, 10**16)), 0.05),
    "barcodes of 13": (lambda r: str(r.randrange(10**12, 10**13)), 0.015),
    "right barcodes of 13": (lambda r: gtin(str(r.randrange(10**11, 10**12))), 0.0),
    "milliseconds": (lambda r: r.randrange(1_500_000_000_000, 1_900_000_000_000), 0.0),
    "uuids": (lambda r: str(uuid.UUID(int=r.getrandbits(128), version=4)), 0.0),
    "hashes": (lambda r: f"{r.getrandbits(256) | (10 << 252):064x}", 0.0),
    "orders of Shopify": (lambda r: r.randrange(5_000_000_000_000, 7_000_000_000_000), 0.0),
    "orders of Amazon": (
        lambda r: f"{r.randrange(100, 1000)}-{r.randrange(10**6, 10**7)}-{r.randrange(10**6, 10**7)}",
        0.0,
    ),
    "telephone numbers": (lambda r: f"+{r.randrange(10**10, 10**13)}", 0.0),
    "orders of a run and a number": (lambda r: f"B-{r.randrange(10**8, 10**9)}-{r.randrange(1, 10**6)}", 0.005),
    "orders of a run and four digits": (lambda r: f"B-{r.randrange(10**8, 10**9)}-{r.randrange(10**3, 10**4)}", 0.0),
    "invoices": (lambda r: f"INV-2026-{r.randrange(10**6):06}", 0.0),
    "amounts": (lambda r: f"{r.randrange(10**9) / 100:,.2f}", 0.0),
}


def gtin(digits: str) -> str:
    weighted = sum(int(d) * (3 if place % 2 == 0 else 1) for place, d in enumerate(reversed(digits)))
    return f"{digits}{-weighted % 10}"


@pytest.mark.parametrize("value", SPREAD.values(), ids=SPREAD)
def test_it_is_found_and_taken_out(value: Any) -> None:
    assert find_card_data({"here": value}) is not None
    assert may_hold_card_data(json.dumps({"here": value}).encode())
    cleaned = redact_value({"here": value})
    assert find_card_data(cleaned) is None
    assert REDACTED in json.dumps(cleaned)


@pytest.mark.parametrize("value", HARMLESS.values(), ids=HARMLESS)
def test_it_is_left_alone(value: Any) -> None:
    assert find_card_data({"here": value}) is None
    assert redact_value({"here": value}) == {"here": value}


@pytest.mark.parametrize("name", SOURCES)
def test_numbers_of_a_business_are_rarely_taken_for_cards(name: str) -> None:
    make, allowed = SOURCES[name]
    source = random.Random(11)
    found = sum(find_card_data(make(source)) is not None for _ in range(MANY))
    assert found / MANY <= allowed, f"{found} of {MANY}"


def test_only_the_number_is_replaced_and_other_signs_stay_as_they_are() -> None:
    assert (
        redact("Écharpe de soie – ４１１１ １１１１ １１１１ １１１１ – payé") == f"Écharpe de soie – {REDACTED} – payé"
    )
    assert redact("Écharpe ４２ – naïve") == "Écharpe ４２ – naïve"


def test_a_quick_look_misses_nothing_that_a_long_one_finds() -> None:
    for value in SPREAD.values():
        content = json.dumps(value, ensure_ascii=False).encode()
        assert may_hold_card_data(content)
    assert not may_hold_card_data(b'{"type": "sale", "amount": 12.5, "currency": "EUR"}')


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, v in SPREAD.items() if isinstance(v, str)])
def test_the_rows_of_a_table_are_withheld_for_what_one_text_is_refused_for(name: str, value: str) -> None:
    rows = pl.DataFrame({"row_number": [1, 2, 3], "note": ["fine", value, "4006381333931"], "n": [1, 2, 3]})
    kept, withheld = withhold(rows)
    assert kept["row_number"].to_list() == [1, 3]
    assert withheld.select("row_number", "field").rows() == [(2, "note")]
    assert dict(withheld.schema) == WITHHELD
    assert not has_card_data(str(withheld["row"][0]))


def test_numbers_in_columns_of_numbers_and_over_columns_are_withheld() -> None:
    rows = pl.DataFrame(
        {
            "row_number": [1, 2, 3, 4],
            "a": ["4111", "4111", "x", None],
            "b": ["1111", "1112", "x", None],
            "c": ["1111", "1111", "x", None],
            "d": ["1111", "1111", "x", None],
            "number": [1, 2, int(NUMBER), 1732622761123],
            "amount": [0.5, 5555555555554444.0, 1.0, 2.0],
        }
    )
    kept, withheld = withhold(rows)
    assert kept["row_number"].to_list() == [4]
    assert withheld.select("row_number", "field").rows() == [(1, "a"), (2, "amount"), (3, "number")]


def test_a_column_of_verification_codes_withholds_every_row_that_has_one() -> None:
    kept, withheld = withhold(pl.DataFrame({"row_number": [1, 2], "CVV": ["123", None], "sku": ["A", "B"]}))
    assert kept["row_number"].to_list() == [2]
    assert "123" not in str(withheld["row"][0])
