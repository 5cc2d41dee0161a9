"""Exchange rates: kept as their source gave them, one row a day, pair and source."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import polars as pl

from resources.store.bulk import read_frame, upsert_frame
from resources.store.orders import DAY, INSTANT, INT, TEXT

if TYPE_CHECKING:
    from sqlalchemy import Connection

RATES: dict[str, pl.DataType] = {
    "day": DAY,
    "base": TEXT,
    "quote": TEXT,
    "rate": pl.Decimal(28, 12),
    "source": TEXT,
}


def write_rates(connection: "Connection", brand: int, rows: pl.DataFrame) -> tuple[int, int]:
    """Add or correct rates: `rate` units of `quote` for one of `base`. Returns (new, known)."""
    keyed = rows.with_columns(pl.col("source").fill_null("file")).unique(
        ["date", "base", "quote", "source"], keep="last"
    )
    before = read_rates(connection, brand).height
    now = pl.lit(datetime.now(UTC)).cast(INSTANT)
    table = keyed.select(
        pl.lit(brand, INT).alias("brand_id"),
        "base",
        "quote",
        pl.col("date").alias("rate_date"),
        "rate",
        "source",
        now.alias("fetched_at"),
    )
    key = ["brand_id", "base", "quote", "rate_date", "source"]
    upsert_frame(connection, "fx_rates", table, key, {"rate": "excluded.rate", "fetched_at": "excluded.fetched_at"})
    new = read_rates(connection, brand).height - before
    return new, rows.height - new


def read_rates(connection: "Connection", brand: int) -> pl.DataFrame:
    """Every rate of the brand, with the columns RATES."""
    query = """
        SELECT rate_date, base, quote, rate, source FROM fx_rates WHERE brand_id = :brand ORDER BY rate_date, base, quote, id
    """
    return read_frame(connection, query, RATES, {"brand": brand})
