"""Money: every rounding against Decimal, every share against the exact fraction, every exponent against the ISO list."""

from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from pathlib import Path

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from assets.finance.money import (
    INT128,
    WITHDRAWN,
    UnknownCurrency,
    allocate,
    divide_half_even,
    exponent,
    exponent_of,
    exponents,
    format_amount,
    line_amount,
    to_decimal,
    to_minor,
)

WIDE = Context(prec=120)
# One currency of each exponent that there is.
CURRENCIES = {"JPY": 0, "EUR": 2, "KWD": 3, "CLF": 4}
currencies = st.sampled_from(sorted(CURRENCIES))
weights = st.lists(st.integers(0, 10**12), min_size=1, max_size=12)


def half_even(value: Fraction) -> int:
    """The nearest integer, ties to the even one, by way of Fraction alone."""
    return round(value)


def divided(pairs: list[tuple[int, int]]) -> list[int]:
    frame = pl.DataFrame(pairs, schema={"n": INT128, "d": INT128}, orient="row")
    return frame.select(divide_half_even(pl.col("n"), pl.col("d")))["n"].to_list()


def amount_of(quantity: int, micros: int, currency: str) -> int | None:
    frame = pl.DataFrame({"q": [quantity], "p": [micros], "c": [currency]}, schema_overrides={"p": pl.Int64})
    return frame.select(a=line_amount(pl.col("q"), pl.col("p"), pl.col("c")))["a"][0]


@settings(deadline=None)
@given(st.integers(-(10**15), 10**15), weights)
def test_shares_sum_to_the_total_and_are_within_one_unit_of_the_exact_share(total: int, parts: list[int]):
    shares = allocate(total, parts)

    assert len(shares) == len(parts)
    assert sum(shares) == total
    whole = sum(parts)
    for share, weight in zip(shares, parts, strict=True):
        exact = Fraction(total * weight, whole) if whole else Fraction(total, len(parts))
        assert abs(share - exact) < 1


def test_what_is_left_over_goes_to_the_largest_remainders_and_then_to_the_earlier():
    assert allocate(100, [1, 1, 1]) == [34, 33, 33]
    assert allocate(10, [1, 0, 2]) == [3, 0, 7]
    assert allocate(-100, [1, 1, 1]) == [-33, -33, -34]


def test_equal_shares_where_no_weight_says_otherwise_and_none_of_nobody():
    assert allocate(5, [0, 0]) == [3, 2]
    assert allocate(5, []) == []


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(-(10**36), 10**36), st.integers(1, 10**24)), min_size=1, max_size=30))
def test_division_rounds_half_to_even_as_decimal_does(pairs: list[tuple[int, int]]):
    exact = [
        int(WIDE.divide(Decimal(n), Decimal(d)).quantize(Decimal(1), ROUND_HALF_EVEN, context=WIDE)) for n, d in pairs
    ]

    assert divided(pairs) == exact


@settings(deadline=None)
@given(st.integers(-(10**17), 10**17), st.integers(1, 10**17))
def test_ties_go_to_the_even_neighbour_on_both_sides_of_zero(quotient: int, half: int):
    tie = (2 * quotient + 1) * half, 2 * half

    assert divided([tie]) == [quotient if quotient % 2 == 0 else quotient + 1]


def test_ties_by_hand():
    numerators = [-7, -5, -3, -1, 0, 1, 3, 5, 7]

    assert divided([(n, 2) for n in numerators]) == [-4, -2, -2, 0, 0, 0, 2, 2, 4]


@settings(max_examples=200, deadline=None)
@given(st.integers(-(10**6), 10**6), st.integers(-(10**12), 10**12), currencies)
@example(1, 5_000, "EUR")
@example(-3, 5_000, "EUR")
@example(1, 500_000, "JPY")
@example(3, 500_000, "JPY")
def test_a_line_is_worth_what_decimal_says_for_every_exponent(quantity: int, micros: int, currency: str):
    exact = Decimal(quantity) * Decimal(micros).scaleb(-6)
    rounded = exact.quantize(Decimal(1).scaleb(-CURRENCIES[currency]), ROUND_HALF_EVEN)

    assert amount_of(quantity, micros, currency) == int(rounded.scaleb(CURRENCIES[currency]))


def test_a_line_beyond_64_bits_has_no_amount_rather_than_stopping_the_file():
    assert amount_of(10**9, 999_999_999_999 * 10**6, "EUR") is None
    assert amount_of(2**62, 2**62, "JPY") is None


def test_a_line_of_an_unknown_currency_has_no_amount():
    assert amount_of(1, 10**6, "XXL") is None


@settings(deadline=None)
@given(st.integers(-(10**18), 10**18), currencies)
def test_minor_units_come_back_from_their_decimal(minor: int, currency: str):
    amount = to_decimal(minor, currency)

    assert to_minor(amount, currency) == minor
    assert amount.as_tuple().exponent == -CURRENCIES[currency]


@settings(deadline=None)
@given(st.decimals(-(10**12), 10**12, allow_nan=False, places=9), currencies)
def test_a_decimal_becomes_the_nearest_minor_unit(amount: Decimal, currency: str):
    assert to_minor(amount, currency) == half_even(Fraction(amount) * 10 ** CURRENCIES[currency])


def test_an_amount_of_many_digits_is_rounded_once():
    assert to_minor(Decimal("0.01499999999999999999999999999999999"), "EUR") == 1
    assert to_minor(Decimal("0.025"), "EUR") == 2


def test_exponents_are_those_of_the_iso_list(shared_data: Path):
    listed = (
        pl.read_csv(shared_data / "iso4217.csv", infer_schema=False)
        .filter(pl.col("WithdrawalDate").is_null() & pl.col("AlphabeticCode").is_not_null())
        .select("AlphabeticCode", pl.col("MinorUnit").cast(pl.Int64, strict=False).fill_null(0))
        .unique()
    )

    assert listed.height > 150
    assert exponents() == dict(listed.iter_rows())


@pytest.mark.parametrize(("currency", "digits"), CURRENCIES.items())
def test_an_exponent_is_the_same_for_one_code_and_for_a_column(currency: str, digits: int):
    column = pl.DataFrame({"c": [currency, "NIX", None]}).select(exponent_of(pl.col("c")))

    assert exponent(currency) == digits
    assert column["c"].to_list() == [digits, None, None]


@pytest.mark.parametrize("code", ["", "eur", "EURO", "HRK"])
def test_a_code_that_is_not_active_is_refused_by_name(code: str):
    with pytest.raises(UnknownCurrency, match=repr(code)):
        exponent(code)


@pytest.mark.parametrize(
    ("minor", "currency", "locale", "written"),
    [
        (129900, "EUR", "en", "€1,299.00"),
        (129900, "EUR", "de", "1.299,00 €"),
        (-129900, "EUR", "fr", "-1 299,00 €"),
        (129900, "JPY", "ja", "￥129,900"),
        (1299000, "KWD", "en", "KWD 1,299.000"),
        (129900, "CLF", "en", "CLF 12.9900"),
        # CLDR writes these without, or with fewer, digits.
        (129900, "RSD", "en", "RSD 1,299.00"),
        (129900, "IQD", "en", "IQD 129.900"),
        (129900, "ALL", "sq", "1\xa0299,00\xa0Lekë"),
    ],
)
def test_an_amount_is_written_as_people_do_with_the_digits_of_iso(
    minor: int, currency: str, locale: str, written: str
) -> None:
    assert format_amount(minor, currency, locale).replace("\u202f", " ").replace("\xa0", " ") == written.replace(
        "\xa0", " "
    )


@pytest.mark.parametrize("currency", sorted(exponents()))
def test_every_amount_of_every_currency_is_written_with_all_its_digits(currency: str) -> None:
    written = format_amount(12_345_678, currency)
    assert "".join(c for c in written if c.isdigit()) == "12345678"


@pytest.mark.parametrize(
    ("code", "said"), [("HRK", "withdrawn since 2023-01: give the amount in EUR"), ("EUX", "ISO 4217")]
)
def test_a_currency_that_is_not_in_use_names_its_successor(code: str, said: str) -> None:
    with pytest.raises(UnknownCurrency, match=said):
        exponent(code)


def test_withdrawn_codes_are_withdrawn_and_their_successors_are_not(shared_data: Path) -> None:
    listed = pl.read_csv(shared_data / "iso4217.csv", infer_schema=False)
    withdrawn = set(listed.filter(pl.col("WithdrawalDate").is_not_null())["AlphabeticCode"])
    for code, (successor, _) in WITHDRAWN.items():
        assert successor in exponents()
        assert code not in exponents()
        assert code in withdrawn or code in ("BGN", "CUC")


def test_amounts_of_all_currencies_are_converted_exactly() -> None:
    from datetime import date

    from assets.finance.fx import convert, daily_ratios

    day, codes = date(2026, 3, 2), sorted(set(exponents()) - {"EUR"})
    assert len(codes) > 150
    rates = {code: Decimal(n + 1) / 7 for n, code in enumerate(codes)}
    rows = [(day, "EUR", code, rate.quantize(Decimal("1e-12")), "x") for code, rate in rates.items()]
    names = {"day": pl.Date, "base": pl.String, "quote": pl.String, "rate": pl.Decimal(28, 12), "source": pl.String}
    ratios = daily_ratios(pl.DataFrame(rows, schema=names, orient="row"), "EUR")
    amounts = pl.DataFrame({"day": [day] * len(codes), "currency": codes, "minor": [123_456_789] * len(codes)})
    worth = dict(convert(amounts, ratios, "EUR", "minor", "worth").select("currency", "worth").iter_rows())
    for _, _, code, rate, _ in rows:
        exact = Fraction(123_456_789, 10 ** exponent(code)) / Fraction(rate) * 100
        assert worth[code] == half_even(exact), code
