"""Order lines from any mapped file: parsed, classified, valued, or put aside with a reason.

Belongs here: pure functions over frames. Does not belong here: reading files, the store, or the mapping language.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import get_args
from zoneinfo import ZoneInfo

import polars as pl

from assets.finance.money import INT128, exponent_of, line_amount
from assets.ingestion.clock import local_and_utc
from assets.ingestion.mapping import REQUIRED, LineKind, MappingError, OrderMapping
from assets.ingestion.numbers import integers, micros
from assets.ingestion.reshape import CUMULATIVE, UNREADABLE, reshape

LINES: dict[str, pl.DataType] = {
    "row_number": pl.Int64(),
    "channel": pl.String(),
    "location": pl.String(),
    "order_number": pl.String(),
    "customer": pl.String(),
    "email": pl.String(),
    "name": pl.String(),
    "phone": pl.String(),
    "country": pl.String(),
    "kind": pl.String(),
    "code": pl.String(),
    "sku": pl.String(),
    "description": pl.String(),
    "quantity": pl.Int64(),
    "unit_price_micros": pl.Int64(),
    "amount_minor": pl.Int64(),
    "currency": pl.String(),
    "occurrence": pl.Int64(),
    "cumulative": pl.Boolean(),
    "occurred_at": pl.Datetime("us", "UTC"),
    "local_date": pl.Date(),
}
REJECTED: dict[str, pl.DataType] = {
    "row_number": pl.Int64(),
    "field": pl.String(),
    "reason": pl.String(),
    "row": pl.String(),
}
OLDEST = date(1970, 1, 1)
LARGEST_MINOR = 10**15
MAX_CODE = 128
_STOCKED: tuple[LineKind, ...] = ("goods", "gift", "stock_adjustment")


@dataclass(frozen=True)
class Normalised:
    """`lines` has the columns LINES; `rejected` the columns REJECTED, with the source row as JSON."""

    lines: pl.DataFrame
    rejected: pl.DataFrame


@dataclass(frozen=True)
class Defaults:
    """What the brand says where the file does not."""

    currency: str
    timezone: str
    today: date
    channels: tuple[str, ...]


def normalise(rows: pl.DataFrame, mapping: OrderMapping, defaults: Defaults) -> Normalised:
    """Turn the rows of a file (with `row_number`) into order lines.

    Every row ends in exactly one of the two frames, but for rows that `reshape` adds, which carry the number of the row
    they came from. Raises MappingError when a needed column is missing.
    """
    source = rows if mapping.reshape is None else reshape(rows, mapping.reshape)
    parsed = _parse(_rename(source, mapping), mapping, defaults)
    classified = _classify(parsed, mapping)
    judged = classified.with_columns(
        _first_problem(list(_problems(defaults, classified["currency"].n_unique()))).alias("problem")
    )
    bad = judged.filter(pl.col("problem").is_not_null()).select("row_number", pl.col("problem").struct.unnest())
    # A row of the file is taken whole or not at all, also when it was reshaped into several lines.
    good = judged.join(bad, on="row_number", how="anti") if bad.height else judged
    return Normalised(_finish(good), _rejected(bad, rows))


def _rename(rows: pl.DataFrame, mapping: OrderMapping) -> pl.DataFrame:
    present = {name.strip().casefold(): name for name in rows.columns}
    chosen: dict[str, str] = {}
    for field, names in mapping.columns.model_dump(exclude_none=True).items():
        candidates = (names,) if isinstance(names, str) else names
        found = next((present[c.casefold()] for c in candidates if c.casefold() in present), None)
        if found is not None:
            chosen[field] = found
        elif field in REQUIRED:
            raise MappingError(
                f"the file has no column {' or '.join(map(repr, candidates))} (needed for `{field}`); "
                f"it has {', '.join(c for c in rows.columns if c != 'row_number')}. Choose another --preset or write a --map."
            )
    marks = (pl.col(m) if m in rows.columns else pl.lit(False).alias(m) for m in (CUMULATIVE, UNREADABLE))
    names_wanted = type(mapping.columns).model_fields
    return rows.select(
        "row_number",
        *marks,
        *((pl.col(chosen[f]) if f in chosen else pl.lit(None, pl.String)).alias(f) for f in names_wanted),
    )


def _parse(rows: pl.DataFrame, mapping: OrderMapping, defaults: Defaults) -> pl.DataFrame:
    text = clean_text(rows)
    return rows.select(
        "row_number",
        CUMULATIVE,
        UNREADABLE,
        *(text(f) for f in ("order_number", "customer", "email", "name", "phone", "country", "description")),
        text("line_type").str.to_lowercase(),
        text("status").str.to_lowercase(),
        # The code stays as it is written: whether it is goods is decided on just that.
        text("sku", strip=False).alias("code"),
        text("channel").str.to_lowercase().fill_null(mapping.channel),
        text("location").fill_null(mapping.location),
        text("currency").str.to_uppercase().fill_null(mapping.currency or defaults.currency),
        integers(rows, "quantity").alias("quantity"),
        micros(rows, "unit_price", mapping.decimal_separator).alias("unit_price_micros"),
        *local_and_utc(rows, "occurred_at", mapping.timezone or defaults.timezone, mapping.datetime_formats),
    )


def _classify(lines: pl.DataFrame, mapping: OrderMapping) -> pl.DataFrame:
    code, price = pl.col("code"), pl.col("unit_price_micros")
    codes = lines.select("code").unique()
    by_code = codes.with_columns(_kind_of_code(mapping).alias("code_kind"), _sku(code, mapping).alias("sku"))
    stated = pl.coalesce("line_type", "code_kind")
    fits = pl.col("quantity").cast(INT128).abs() * price.cast(INT128).abs() <= LARGEST_MINOR * 10**4
    kind = (
        pl.when(pl.col("status").is_in(list(mapping.void_statuses)))
        .then(pl.lit("void"))
        .when((stated == "goods") & (price == 0) & pl.col("customer").is_null())
        .then(pl.lit(mapping.zero_price_without_customer))
        .when((stated == "goods") & (price == 0))
        .then(pl.lit("gift"))
        .otherwise(stated)
    )
    return (
        lines.join(by_code, on="code", how="left", nulls_equal=True, maintain_order="left")
        .with_columns(
            kind.alias("kind"),
            # A line without goods may lack a code; it then goes by what it is.
            pl.coalesce(code, pl.when(stated != "goods").then(stated.str.to_uppercase())).alias("code"),
            line_amount(pl.when(fits).then("quantity"), price, pl.col("currency")).alias("amount_minor"),
        )
        .with_columns(pl.when(pl.col("kind").is_in(list(_STOCKED))).then("sku").alias("sku"))
    )


def _kind_of_code(mapping: OrderMapping) -> pl.Expr:
    code = pl.col("code")
    goods = code.str.contains(mapping.goods_pattern) if mapping.goods_pattern else pl.lit(False)
    kind = pl.when(goods).then(pl.lit("goods"))
    for rule in mapping.kinds:
        kind = kind.when(rule.matches(code)).then(pl.lit(rule.kind))
    return kind.otherwise(pl.lit(mapping.default_kind if mapping.goods_pattern else "goods"))


def _sku(code: pl.Expr, mapping: OrderMapping) -> pl.Expr:
    stripped = code.str.strip_chars()
    return stripped.str.to_uppercase() if mapping.uppercase_sku else stripped


def _problems(defaults: Defaults, currencies: int) -> Iterator[tuple[pl.Expr, str, str]]:
    """Conditions under which a row cannot be taken, each with its field and what to do about it."""
    tomorrow = defaults.today + timedelta(days=1)
    price, day = pl.col("unit_price_micros"), pl.col("local_date")
    yield (
        pl.col("order_number").is_null(),
        "order_number",
        "is empty; a line needs the invoice that it belongs to",
    )
    yield (
        pl.col("order_number").str.len_bytes() > MAX_CODE,
        "order_number",
        f"is longer than {MAX_CODE} bytes",
    )
    yield pl.col("code").is_null(), "sku", "is empty; goods need a stock code"
    yield pl.col("code").str.len_bytes() > MAX_CODE, "sku", f"is longer than {MAX_CODE} bytes"
    yield pl.col("quantity").is_null(), "quantity", "is not a whole number"
    yield pl.col("quantity") == 0, "quantity", "is 0; a line moves at least one unit"
    yield ~pl.col("quantity").is_between(-(10**9), 10**9), "quantity", "is larger than a billion"
    yield price.is_null(), "unit_price", "is not a finite number; check the decimal separator in the map"
    yield (
        pl.col("occurred_at").is_null(),
        "occurred_at",
        "is not a time that was understood; name its format in the map",
    )
    yield day < OLDEST, "occurred_at", f"is before {OLDEST}"
    yield day > tomorrow, "occurred_at", f"is after today ({defaults.today}); check day and month"
    yield exponent_of(pl.col("currency")).is_null(), "currency", "is not an ISO 4217 code such as EUR"
    for name in ("customer", "location"):
        yield pl.col(name).str.len_bytes() > MAX_CODE, name, f"is longer than {MAX_CODE} bytes"
    if currencies > 1:
        order_currency = pl.col("currency").first().over("channel", "order_number")
        yield pl.col("currency") != order_currency, "currency", "is not the one of the order's first line"
    yield (
        ~pl.col("channel").is_in(list(defaults.channels)),
        "channel",
        f"is not one of {', '.join(defaults.channels)}",
    )
    yield (
        ~pl.col("kind").is_in(list(get_args(LineKind))),
        "line_type",
        f"is not one of {', '.join(get_args(LineKind))}",
    )
    goods = (pl.col("kind") == "goods") & (price < 0)
    yield goods, "unit_price", "is negative on goods; write a return with a negative quantity"
    too_large = pl.col("quantity").cast(INT128).abs() * price.cast(INT128).abs() > LARGEST_MINOR * 10**4
    yield (
        too_large,
        "unit_price",
        "gives an amount that no invoice holds; check the decimal separator in the map",
    )
    yield pl.col(UNREADABLE), "order", "has a row or a total (shipping, tax, discount, refund) that is not a number"


def _first_problem(problems: list[tuple[pl.Expr, str, str]]) -> pl.Expr:
    chain = pl.when(False).then(None)
    for condition, field, reason in problems:
        chain = chain.when(condition).then(pl.struct(field=pl.lit(field), reason=pl.lit(reason)))
    return chain.otherwise(None)


def _finish(lines: pl.DataFrame) -> pl.DataFrame:
    identity = ["channel", "order_number", "code", "quantity", "unit_price_micros"]
    ordered = lines.sort("row_number", maintain_order=True).with_row_index("position")
    # Numbering only the lines that have an equal is five times as fast as numbering all.
    twins = ordered.filter(pl.struct(identity).hash().is_duplicated()).select(
        "position", pl.int_range(pl.len()).over(identity).alias("occurrence")
    )
    return (
        ordered.join(twins, on="position", how="left", maintain_order="left")
        .with_columns(pl.col("occurrence").fill_null(0))
        .select(pl.col(name).cast(dtype) for name, dtype in LINES.items())
    )


def _rejected(bad: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    if not bad.height:
        return pl.DataFrame(schema=REJECTED)
    originals = rows.join(bad.select("row_number"), on="row_number", how="semi")
    as_json = originals.select(
        "row_number", pl.struct(pl.exclude("row_number").cast(pl.String)).struct.json_encode().alias("row")
    )
    return bad.unique("row_number", keep="first").join(as_json, on="row_number").sort("row_number").select(*REJECTED)


def clean_text(rows: pl.DataFrame) -> Callable[..., pl.Expr]:
    """Columns of `rows` as clean text: no NUL, no blanks around (unless strip=False), nothing instead of empty."""

    def text(name: str, *, strip: bool = True) -> pl.Expr:
        column, dtype = pl.col(name), rows.schema[name]
        if dtype.is_float():
            # Spreadsheets turn 17850 into 17850.0.
            as_integer = column.cast(pl.Int64, strict=False)
            column = pl.when(column == as_integer).then(as_integer.cast(pl.String)).otherwise(column.cast(pl.String))
        column = column.cast(pl.String).str.replace_all("\x00", "", literal=True)
        stripped = column.str.strip_chars()
        # Each mention of a column's expression is worked out anew.
        return (stripped.replace("", None) if strip else pl.when(stripped != "").then(column)).alias(name)

    return text


def today_in(timezone: str, now: datetime) -> date:
    """The date on the brand's wall at an instant."""
    return now.astimezone(ZoneInfo(timezone)).date()
