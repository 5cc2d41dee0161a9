"""Money: exponents of currencies, exact conversion between decimals, minor units and frames.

Belongs here: arithmetic on amounts. Does not belong here: exchange rates (`fx`) and accounts (`posting`).

An amount is an integer number of minor units beside its ISO 4217 code. A unit price is an integer number of *micros*,
millionths of the major unit, because prices are quoted finer than they are paid.
"""

from decimal import ROUND_HALF_EVEN, Decimal
from functools import cache

import polars as pl

MICROS = 6
INT128 = pl.Int128()


# Withdrawn codes that old files and clients still write: what took their place, and since when.
WITHDRAWN: dict[str, tuple[str, str]] = {
    "ANG": ("XCG", "2025-07"),
    "BGN": ("EUR", "2026-01"),
    "BYR": ("BYN", "2017-01"),
    "CUC": ("CUP", "2021-06"),
    "CYP": ("EUR", "2008-01"),
    "DEM": ("EUR", "2002-03"),
    "EEK": ("EUR", "2011-01"),
    "ESP": ("EUR", "2002-03"),
    "FRF": ("EUR", "2002-03"),
    "HRK": ("EUR", "2023-01"),
    "ITL": ("EUR", "2002-03"),
    "LTL": ("EUR", "2015-01"),
    "LVL": ("EUR", "2014-01"),
    "MRO": ("MRU", "2018-01"),
    "MTL": ("EUR", "2008-01"),
    "ROL": ("RON", "2005-07"),
    "SIT": ("EUR", "2007-01"),
    "SKK": ("EUR", "2009-01"),
    "SLL": ("SLE", "2024-01"),
    "STD": ("STN", "2018-01"),
    "TRL": ("TRY", "2006-01"),
    "VEF": ("VES", "2018-08"),
    "ZMK": ("ZMW", "2013-01"),
    "ZWL": ("ZWG", "2024-09"),
}


class UnknownCurrency(ValueError):
    """Not an active ISO 4217 code."""


@cache
def exponents() -> dict[str, int]:
    """Digits after the point of every active ISO 4217 currency; funds and metals without any are 0."""
    from iso4217 import Currency

    return {currency.code: currency.exponent or 0 for currency in Currency}


def exponent(currency: str) -> int:
    """Digits after the point: 2 for EUR, 0 for JPY, 3 for KWD. Raises UnknownCurrency."""
    try:
        return exponents()[currency]
    except KeyError:
        if currency in WITHDRAWN:
            successor, since = WITHDRAWN[currency]
            words = f"{currency!r} is withdrawn since {since}: give the amount in {successor}"
            raise UnknownCurrency(words) from None
        raise UnknownCurrency(f"{currency!r} is not an ISO 4217 code such as EUR") from None


def to_minor(amount: Decimal, currency: str) -> int:
    """Minor units of a decimal amount, rounded half to even."""
    digits = exponent(currency)
    # Rounded before it is scaled: scaling would already round an amount of more than 28 digits.
    return int(amount.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_EVEN).scaleb(digits))


def to_decimal(minor: int, currency: str) -> Decimal:
    """The decimal amount, with just the currency's digits: 129900 EUR is 1299.00."""
    return Decimal(minor).scaleb(-exponent(currency))


def format_amount(minor: int, currency: str, locale: str = "en") -> str:
    """The amount as people of a locale write it: 129900 EUR is €1,299.00 in English and 1.299,00 € in German.

    Digits after the point are ISO 4217's. CLDR has others for thirteen currencies, since it counts coins in use.
    """
    from babel.numbers import format_currency

    pattern = _pattern(locale, "0" * exponent(currency), currency)
    return format_currency(to_decimal(minor, currency), currency, pattern, locale=locale, currency_digits=False)


@cache
def _pattern(locale: str, digits: str, currency: str) -> str:
    """The locale's pattern for money, with so many digits after the point; a code of letters does not touch the number."""
    import re

    from babel import Locale
    from babel.numbers import get_currency_symbol

    pattern = re.sub(r"\.0+", f".{digits}" if digits else "", Locale.parse(locale).currency_formats["standard"].pattern)
    in_letters = get_currency_symbol(currency, locale=locale)[-1:].isalpha()
    return pattern.replace("¤#", "¤\N{NO-BREAK SPACE}#") if in_letters else pattern


def allocate(total: int, weights: list[int]) -> list[int]:
    """Share `total` minor units out by `weights` (none negative) so that the shares sum to it, by the largest remainder.

    Equal shares when every weight is 0. The method is Hamilton's; ties go to the earlier share.
    """
    weights = weights if any(weights) else [1] * len(weights)
    whole = sum(weights)
    if not whole:
        return []
    floors = [total * weight // whole for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: (-(total * weights[i] % whole), i))
    for i in by_remainder[: total - sum(floors)]:
        floors[i] += 1
    return floors


def exponent_of(currency: pl.Expr) -> pl.Expr:
    """Exponents of a column of codes; null where the code is unknown."""
    return currency.replace_strict(exponents(), default=None, return_dtype=pl.Int64)


def divide_half_even(numerator: pl.Expr, denominator: pl.Expr) -> pl.Expr:
    """Integer quotient of two integer columns, rounded half to even. The denominator must be positive; 128-bit inside."""
    numerator, denominator = numerator.cast(INT128), denominator.cast(INT128)
    magnitude = numerator.abs()
    quotient = magnitude // denominator
    twice_rest = (magnitude - quotient * denominator) * 2
    up = (twice_rest > denominator) | ((twice_rest == denominator) & (quotient % 2 == 1))
    return (quotient + up.cast(INT128)) * numerator.sign()


def line_amount(quantity: pl.Expr, unit_price_micros: pl.Expr, currency: pl.Expr) -> pl.Expr:
    """Minor units of quantity x unit price, rounded half to even once a line; null where they do not fit 64 bits."""
    divisor = pl.lit(10, INT128).pow(pl.lit(MICROS) - exponent_of(currency))
    return divide_half_even(quantity.cast(INT128) * unit_price_micros.cast(INT128), divisor).cast(
        pl.Int64, strict=False
    )
