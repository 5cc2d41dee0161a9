"""Exchange rates: kept as their source gave them, one row a day, pair and source; and what they were before a correction.

Belongs here: the tables `fx_rates` and `fx_rate_corrections`, and whose rate counts. Does not belong here: what follows from
rates (`assets/finance/fx`).
"""

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import polars as pl

from resources.store.bulk import insert_frame, read_frame, upsert_frame
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
MANUAL, CENTRAL_BANK = "manual", "ecb"
_KEY = ["day", "base", "quote", "source"]
# What somebody entered by hand overrides everybody, and the central bank everybody else.
_PRIORITY = f"CASE source WHEN '{MANUAL}' THEN 0 WHEN '{CENTRAL_BANK}' THEN 1 ELSE 2 END, source"
_DAYS = "(:first IS NULL OR rate_date >= CAST(:first AS DATE)) AND (:last IS NULL OR rate_date <= CAST(:last AS DATE))"
_DAYS_SQLITE = "(:first IS NULL OR rate_date >= :first) AND (:last IS NULL OR rate_date <= :last)"


def write_rates(connection: "Connection", brand: int, rows: pl.DataFrame) -> tuple[int, int]:
    """Add or correct rates: `rate` units of `quote` for one of `base` on `date`. Returns (new, known).

    A rate that differs from what its source said before takes its place, and the earlier one is kept as a correction. What is
    known already changes nothing.
    """
    given = rows.select(day="date", base="base", quote="quote", rate="rate", source=pl.col("source").fill_null("file"))
    wanted = given.unique(_KEY, keep="last", maintain_order=True)
    if not wanted.height:
        return 0, 0
    first, last = wanted.select(pl.col("day").min().alias("first"), pl.col("day").max().alias("last")).row(0)
    stands = _stored(connection, brand, first, last)
    compared = wanted.join(stands, on=_KEY, how="left", maintain_order="left")
    changed = compared.filter(pl.col("stored").is_null() | (pl.col("stored") != pl.col("rate")))
    now = datetime.now(UTC)
    _keep_corrected(connection, brand, changed.filter(pl.col("stored").is_not_null()), now)
    table = _row(changed, brand, "rate").with_columns(fetched_at=pl.lit(now).cast(INSTANT))
    key = ["brand_id", "base", "quote", "rate_date", "source"]
    upsert_frame(connection, "fx_rates", table, key, {"rate": "excluded.rate", "fetched_at": "excluded.fetched_at"})
    new = compared["stored"].null_count()
    return new, rows.height - new


def read_rates(
    connection: "Connection",
    brand: int,
    *,
    first: date | None = None,
    last: date | None = None,
    as_of: datetime | None = None,
) -> pl.DataFrame:
    """Rates of the days [first, last] with the columns RATES: of a day and pair, the source that counts stands first.

    `as_of`: as they were known at that instant, before later corrections.
    """
    days = _DAYS_SQLITE if connection.dialect.name == "sqlite" else _DAYS
    of_brand = f"brand_id = :brand AND {days}"
    found, values = f"SELECT * FROM fx_rates WHERE {of_brand}", {"brand": brand, "first": first, "last": last}
    columns = "id, rate_date, base, quote, rate, source"
    if as_of is not None:
        found = f"""
            SELECT {columns} FROM fx_rates WHERE {of_brand} AND fetched_at <= :as_of
            UNION ALL
            SELECT {columns} FROM fx_rate_corrections WHERE {of_brand} AND fetched_at <= :as_of AND replaced_at > :as_of
        """
        values["as_of"] = as_of
    query = f"""
        SELECT rate_date, base, quote, rate, source FROM ({found}) AS known ORDER BY rate_date, base, quote, {_PRIORITY}, id
    """
    return read_frame(connection, query, RATES, values)


def _stored(connection: "Connection", brand: int, first: date, last: date) -> pl.DataFrame:
    query = """
        SELECT rate_date, base, quote, rate, source, fetched_at FROM fx_rates
        WHERE brand_id = :brand AND rate_date BETWEEN :first AND :last
    """
    schema = {**RATES, "fetched_at": INSTANT}
    rows = read_frame(connection, query, schema, {"brand": brand, "first": first, "last": last})
    return rows.rename({"rate": "stored"})


def _keep_corrected(connection: "Connection", brand: int, corrected: pl.DataFrame, now: datetime) -> None:
    if corrected.height:
        replaced = pl.lit(now).cast(INSTANT).alias("replaced_at")
        frame = _row(corrected, brand, "stored").with_columns(corrected["fetched_at"], replaced)
        insert_frame(connection, "fx_rate_corrections", frame)


def _row(rates: pl.DataFrame, brand: int, rate: str) -> pl.DataFrame:
    of_brand = pl.lit(brand, INT).alias("brand_id")
    return rates.select(of_brand, "base", "quote", rate_date="day", rate=pl.col(rate), source="source")
