"""The journal: append only. What should stand is compared with what stands, and the difference is posted.

Belongs here: the tables `accounts`, `journal_entries`, `postings`. Does not belong here: which account an event touches
(`assets/finance/posting`).
"""

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import polars as pl

from resources.store.bulk import ids_by_code, insert_frame, read_frame, run, upsert_frame
from resources.store.orders import DAY, INSTANT, INT, TEXT

if TYPE_CHECKING:
    from sqlalchemy import Connection

POSTINGS: dict[str, pl.DataType] = {
    "posting_id": INT,
    "entry_id": INT,
    "day": DAY,
    "recorded_at": INSTANT,
    "order_id": INT,
    "order_number": TEXT,
    "channel": TEXT,
    "description": TEXT,
    "account": TEXT,
    "account_name": TEXT,
    "account_type": TEXT,
    "amount_minor": INT,
    "currency": TEXT,
    "base_amount_minor": INT,
}
_KEY = ["order_id", "day", "account", "currency"]


def write_accounts(connection: "Connection", brand: int, accounts: pl.DataFrame) -> dict[str, int]:
    """Make the chart of accounts (code, name, type) stand in the store. Returns ids by code."""
    rows = accounts.select(pl.lit(brand, INT).alias("brand_id"), "code", "name", "type")
    upsert_frame(connection, "accounts", rows, ["brand_id", "code"], {"name": "excluded.name"})
    return ids_by_code(connection, "SELECT code, id FROM accounts WHERE brand_id = :brand", {"brand": brand})


def post(
    connection: "Connection", brand: int, wanted: pl.DataFrame, accounts: dict[str, int], first: date, last: date
) -> int:
    """Append what is missing so that the journal of [first, last] says just `wanted`. Returns how many entries that took.

    `wanted`: order_id, day, account (code), currency, amount_minor, base_amount_minor (null: no rate known). One entry per
    order and day the first time; where the order or its valuation has changed since, a further entry of the difference.
    """
    stands = _posted(connection, brand, first, last)
    delta = (
        wanted.join(stands, on=_KEY, how="full", coalesce=True)
        .with_columns(
            pl.col("amount_minor").fill_null(0) - pl.col("posted_minor").fill_null(0),
            pl.when(pl.col("base_amount_minor").is_not_null() | pl.col("posted_base").is_not_null()).then(
                pl.col("base_amount_minor").fill_null(0) - pl.col("posted_base").fill_null(0)
            ),
        )
        .filter((pl.col("amount_minor") != 0) | (pl.col("base_amount_minor").fill_null(0) != 0))
        .select(*_KEY, "amount_minor", "base_amount_minor")
    )
    if not delta.height:
        return 0
    entries = _append_entries(connection, brand, delta, first, last)
    rows = delta.join(entries, on=["order_id", "day"]).sort("entry_id", "account", "currency")
    insert_frame(
        connection,
        "postings",
        rows.select(
            pl.lit(brand, INT).alias("brand_id"),
            "entry_id",
            pl.col("account").replace_strict(accounts, return_dtype=INT).alias("account_id"),
            "amount_minor",
            "currency",
            "base_amount_minor",
        ),
    )
    return entries.height


def read_postings(connection: "Connection", brand: int, first: date, last: date) -> pl.DataFrame:
    """Postings of entries dated in [first, last], with the columns POSTINGS. Debit positive, credit negative."""
    query = """
        SELECT p.id, e.id, e.entry_date, e.recorded_at, e.order_id, o.number, c.code, e.description, a.code, a.name, a.type,
               p.amount_minor, p.currency, p.base_amount_minor
        FROM postings p
        JOIN journal_entries e ON e.id = p.entry_id
        JOIN accounts a ON a.id = p.account_id
        LEFT JOIN orders o ON o.id = e.order_id
        LEFT JOIN channels c ON c.id = o.channel_id
        WHERE e.brand_id = :brand AND e.entry_date BETWEEN :first AND :last
        ORDER BY p.id
    """
    return read_frame(connection, query, POSTINGS, {"brand": brand, "first": first, "last": last})


def _posted(connection: "Connection", brand: int, first: date, last: date) -> pl.DataFrame:
    query = """
        SELECT e.order_id, e.entry_date, a.code, p.currency, CAST(sum(p.amount_minor) AS BIGINT),
               CAST(sum(p.base_amount_minor) AS BIGINT)
        FROM postings p JOIN journal_entries e ON e.id = p.entry_id JOIN accounts a ON a.id = p.account_id
        WHERE e.brand_id = :brand AND e.entry_date BETWEEN :first AND :last AND e.order_id IS NOT NULL
        GROUP BY e.order_id, e.entry_date, a.code, p.currency
    """
    schema = {"order_id": INT, "day": DAY, "account": TEXT, "currency": TEXT, "posted_minor": INT, "posted_base": INT}
    return read_frame(connection, query, schema, {"brand": brand, "first": first, "last": last})


def _append_entries(connection: "Connection", brand: int, delta: pl.DataFrame, first: date, last: date) -> pl.DataFrame:
    """New entries for the orders and days of `delta`: order_id, day, entry_id."""
    query = """
        SELECT order_id, entry_date, count(*) FROM journal_entries
        WHERE brand_id = :brand AND entry_date BETWEEN :first AND :last AND order_id IS NOT NULL GROUP BY order_id, entry_date
    """
    earlier = read_frame(
        connection, query, {"order_id": INT, "day": DAY, "earlier": INT}, {"brand": brand, "first": first, "last": last}
    )
    wanted = delta.select("order_id", "day").unique().sort("day", "order_id")
    numbered = wanted.join(earlier, on=["order_id", "day"], how="left", maintain_order="left")
    count = pl.col("earlier").fill_null(0)
    key = pl.format("order:{}:{}:{}", "order_id", pl.col("day").cast(TEXT), count)
    newest = run(connection, "SELECT coalesce(max(id), 0) FROM journal_entries").scalar()
    now = pl.lit(datetime.now(UTC)).cast(INSTANT)
    insert_frame(
        connection,
        "journal_entries",
        numbered.select(
            pl.lit(brand, INT).alias("brand_id"),
            key.alias("key"),
            pl.col("day").alias("entry_date"),
            now.alias("recorded_at"),
            pl.when(count == 0).then(pl.lit("Order")).otherwise(pl.lit("Correction of an order")).alias("description"),
            "order_id",
        ),
    )
    return read_frame(
        connection,
        "SELECT order_id, entry_date, id FROM journal_entries WHERE brand_id = :brand AND id > :newest",
        {"order_id": INT, "day": DAY, "entry_id": INT},
        {"brand": brand, "newest": newest},
    )
