"""Amounts in words of suggestions and explanations: minor units as a person reads them."""

import polars as pl

from assets.finance.money import exponent_of


def shown(amount: str | pl.Expr, currency: str | pl.Expr = "currency") -> pl.Expr:
    """A column of minor units as text with the currency's digits: 129900 EUR is 1299.00."""
    minor = pl.col(amount) if isinstance(amount, str) else amount
    code = pl.col(currency) if isinstance(currency, str) else currency
    digits = exponent_of(code).fill_null(0)
    unit = pl.lit(10, pl.Int64).pow(digits)
    magnitude = minor.abs()
    rest = (magnitude % unit).cast(pl.String).str.zfill(digits)
    sign = pl.when(minor < 0).then(pl.lit("-")).otherwise(pl.lit(""))
    point = pl.when(digits > 0).then(pl.lit(".") + rest).otherwise(pl.lit(""))
    return sign + (magnitude // unit).cast(pl.String) + point
