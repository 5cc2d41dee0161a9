"""Numbers as people export them: text with separators, floats that are whole, decimals."""

import polars as pl

_MICRO = 10**6
LARGEST = 10**12
_THOUSANDS = {".": ",", ",": "."}


def integers(rows: pl.DataFrame, name: str) -> pl.Expr:
    """Whole numbers of a column; null where a cell is not one."""
    column, dtype = pl.col(name), rows.schema[name]
    if dtype.is_integer():
        return column.cast(pl.Int64, strict=False)
    if dtype == pl.String:
        return column.str.strip_chars().str.strip_suffix(".0").cast(pl.Int64, strict=False)
    whole = column.cast(pl.Float64, strict=False)
    return (
        pl.when(whole.is_finite() & (whole == whole.round(0))).then(whole).otherwise(None).cast(pl.Int64, strict=False)
    )


def micros(rows: pl.DataFrame, name: str, decimal_separator: str = ".") -> pl.Expr:
    """A column of prices in millionths, rounded half to even; null where a cell is no finite number below 10^12."""
    column, dtype = pl.col(name), rows.schema[name]
    if dtype.is_float():
        value = column.cast(pl.Float64)
        return (
            pl.when(value.is_finite() & (value.abs() < LARGEST))
            .then(value * _MICRO)
            .round(0)
            .cast(pl.Int64, strict=False)
        )
    if dtype == pl.String:
        column = _plain(column.str.strip_chars(), decimal_separator)
    exact = column.cast(pl.Decimal(38, 10), strict=False)
    inside = pl.when(exact.abs() < LARGEST).then(exact)
    return (inside.round(6, mode="half_to_even") * _MICRO).cast(pl.Int64, strict=False)


def _plain(text: pl.Expr, decimal_separator: str) -> pl.Expr:
    # "1.299,99" and "1,299.99": blanks and grouped thousands go, the decimal separator becomes a point.
    group = _THOUSANDS[decimal_separator]
    grouped = rf"^[+-]?\d{{1,3}}(?:\{group}\d{{3}})+(?:\{decimal_separator}\d+)?$"
    text = pl.when(text.str.contains(grouped)).then(text.str.replace_all(group, "", literal=True)).otherwise(text)
    text = text.str.replace_all(decimal_separator, ".", literal=True)
    return pl.when(text.str.contains(r"^[+-]?(\d+(\.\d*)?|\.\d+)$")).then(text.str.strip_prefix("+"))
