"""What a transaction is: the columns that fraud detection reads, under the names that files give them.

Belongs here: names, types and what is missing. Does not belong here: what follows from a column (`features`).

Amounts are floats here and nowhere else: they are only compared with each other, never booked.
"""

from dataclasses import dataclass

import polars as pl

ENTITIES = ("customer", "card", "device", "address", "terminal", "channel")
"""Whom or what a transaction can be followed by."""

ALIASES: dict[str, tuple[str, ...]] = {
    "transaction": ("transaction_id", "tx_id", "order_number", "id"),
    "occurred_at": ("tx_datetime", "datetime", "timestamp", "transaction_time", "created_at"),
    "amount": ("tx_amount", "transaction_amount", "order_total", "total"),
    "customer": ("customer_id", "client_id", "account_id"),
    "card": ("card_token", "card_id", "payment_token"),
    "device": ("device_id", "device_fingerprint"),
    "address": ("shipping_address", "address_hash", "address_id"),
    "terminal": ("terminal_id", "merchant_id", "pos_id"),
    "channel": ("channel_id", "sales_channel"),
    "fraud": ("tx_fraud", "is_fraud", "label"),
    "currency": ("currency_code",),
    "country": ("billing_country", "customer_country"),
    "card_country": ("issuer_country", "bin_country"),
    "ip_country": (),
    "shipping_country": ("ship_country",),
    "latitude": ("lat",),
    "longitude": ("lon", "lng"),
    "units": ("quantity", "qty"),
    "is_return": ("is_refund",),
    "gift_card": ("gift_card_amount",),
}
"""Our name of each column, and what else files call it; case does not matter."""

REQUIRED = ("transaction", "occurred_at", "amount")
_NUMBERS = ("amount", "latitude", "longitude", "units", "gift_card")
_TRUE, _FALSE = ("1", "1.0", "true", "yes", "fraud"), ("0", "0.0", "false", "no", "legit", "genuine")
INSTANT = pl.Datetime("us")


class FraudDataError(Exception):
    """The transactions cannot be used; the message names the column and the remedy."""


@dataclass(frozen=True)
class Transactions:
    """`rows` under our names, in order of time; `names` tells by our name what the file calls the column."""

    rows: pl.DataFrame
    names: dict[str, str]


def find_columns(columns: list[str]) -> dict[str, str]:
    """By our name, what the file calls the column. Raises FraudDataError for one that is required and missing."""
    lower = {name.strip().lower(): name for name in reversed(columns)}
    found = {
        ours: lower[name] for ours, others in ALIASES.items() for name in reversed((ours, *others)) if name in lower
    }
    for ours in REQUIRED:
        if ours not in found:
            known = ", ".join((ours, *ALIASES[ours])).upper()
            raise FraudDataError(
                f"no column for {ours}: the file has {', '.join(columns) or 'none'}. Name one of its columns {known}."
            )
    if not set(ENTITIES) & set(found):
        raise FraudDataError(
            "no column says whose transaction it is: give CUSTOMER_ID, CARD_TOKEN, DEVICE_ID, ADDRESS, TERMINAL_ID or CHANNEL"
        )
    return found


def as_transactions(frame: pl.DataFrame) -> Transactions:
    """The rows of a file under our names, typed, in order of time and id.

    `fraud` is 1, 0 or null where it is not known. Raises FraudDataError: a column is missing or cannot be read, ids are there
    twice, or amounts are in several currencies.
    """
    names = find_columns(frame.columns)
    rows = frame.select(_typed(frame, ours, theirs) for ours, theirs in names.items())
    for ours in REQUIRED:
        _refuse_nulls(frame, rows, ours, names[ours])
    if rows["transaction"].is_duplicated().any():
        twice = rows.filter(pl.col("transaction").is_duplicated())["transaction"][0]
        raise FraudDataError(
            f"{names['transaction']} {twice} is there more than once: give each transaction its own id"
        )
    if "currency" in rows.columns and rows["currency"].n_unique() > 1:
        raise FraudDataError(
            f"{names['currency']} has several currencies, whose amounts cannot be compared: restate them in one, "
            "or give a file for each"
        )
    return Transactions(rows.sort("occurred_at", "transaction"), names)


def labels_of(rows: pl.DataFrame) -> pl.Series:
    """Fraud as 1, 0 or null. Raises FraudDataError where the column is missing."""
    if "fraud" not in rows.columns:
        raise FraudDataError(
            "there are no labels: give a column TX_FRAUD with 1 for fraud and 0 for none, or score with --unsupervised"
        )
    return rows["fraud"]


def _typed(frame: pl.DataFrame, ours: str, theirs: str) -> pl.Expr:
    column, dtype = pl.col(theirs), frame.schema[theirs]
    if ours == "occurred_at":
        return _instant(column, dtype).alias(ours)
    if ours in _NUMBERS:
        return column.cast(pl.Float64, strict=False).alias(ours)
    if ours in ("fraud", "is_return"):
        text = column.cast(pl.Int8, strict=False).cast(pl.String) if dtype.is_numeric() else column.cast(pl.String)
        word = text.str.strip_chars().str.to_lowercase()
        known = pl.when(word.is_in(_TRUE)).then(1).when(word.is_in(_FALSE)).then(0)
        return known.otherwise(None).cast(pl.Int8).alias(ours)
    # Integers are grouped faster than their text.
    return (column if dtype.is_integer() else column.cast(pl.String)).alias(ours)


def _instant(column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    if isinstance(dtype, pl.Datetime):
        return (column.dt.convert_time_zone("UTC").dt.replace_time_zone(None) if dtype.time_zone else column).cast(
            INSTANT
        )
    if dtype == pl.Date:
        return column.cast(INSTANT)
    text = column.cast(pl.String).str.replace("T", " ").str.replace(r"(Z|\+00:?00)$", "")
    return pl.coalesce(
        text.str.to_datetime(pattern, time_unit="us", strict=False)
        for pattern in ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d")
    )


def _refuse_nulls(frame: pl.DataFrame, rows: pl.DataFrame, ours: str, theirs: str) -> None:
    bad = rows[ours].is_null() | (rows[ours].is_nan() if rows[ours].dtype.is_float() else False)
    if bad.any():
        shown = frame.filter(bad)[theirs][0]
        raise FraudDataError(
            f"{theirs}: {int(bad.sum())} of {rows.height} rows cannot be read as {ours}, the first is {shown!r}. "
            "Correct them or leave them out."
        )
