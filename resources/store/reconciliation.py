"""Statements and matches in the store: lines are written once, a match is taken back by a further row.

Belongs here: the tables `statement_files`, `settlement_lines`, `payouts`, `bank_statements`, `bank_lines`, `matches`. Does not
belong here: which line belongs to what (`assets/finance/payouts`), suppliers' invoices (`supplier_invoices`).
"""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import polars as pl

from resources.store.bulk import as_instant, fetch, insert_frame, insert_row, read_frame, run, upsert_frame
from resources.store.orders import DAY, INSTANT, INT, TEXT

if TYPE_CHECKING:
    from sqlalchemy import Connection

_LINE = (
    "line_key",
    "payout_ref",
    "kind",
    "order_ref",
    "external_id",
    "original_id",
    "occurred_at",
    "occurred_on",
    "available_on",
    "gross_minor",
    "fee_minor",
    "net_minor",
    "currency",
    "presentment_minor",
    "presentment_currency",
    "description",
    "row_number",
)
_AMOUNTS = {"gross_minor", "fee_minor", "net_minor", "presentment_minor", "row_number"}
_DAYS = {"occurred_on", "available_on"}
SETTLEMENT_LINES: dict[str, pl.DataType] = {
    "line_id": INT,
    "processor": TEXT,
    "source": TEXT,
    **{n: INT if n in _AMOUNTS else DAY if n in _DAYS else INSTANT if n == "occurred_at" else TEXT for n in _LINE},
}
PAYOUTS: dict[str, pl.DataType] = {
    "payout_id": INT,
    "processor": TEXT,
    "payout_ref": TEXT,
    "currency": TEXT,
    "amount_minor": INT,
    "paid_on": DAY,
    "pooled": pl.Boolean(),
}
BANK_LINES: dict[str, pl.DataType] = {
    "bank_line_id": INT,
    "account": TEXT,
    "line_key": TEXT,
    "booked_on": DAY,
    "value_on": DAY,
    "amount_minor": INT,
    "currency": TEXT,
    "counterparty": TEXT,
    "reference": TEXT,
    "end_to_end_id": TEXT,
    "description": TEXT,
    "row_number": INT,
}
ORDER_DUES: dict[str, pl.DataType] = {
    "order_id": INT,
    "number": TEXT,
    "channel": TEXT,
    "external_id": TEXT,
    "placed_on": DAY,
    "currency": TEXT,
    "paid_minor": INT,
    "refunded_minor": INT,
}
MATCHES: dict[str, pl.DataType] = {
    "match_id": INT,
    "line_id": INT,
    "bank_line_id": INT,
    "order_id": INT,
    "payout_id": INT,
    "pool": TEXT,
    "rule": TEXT,
    "amount_minor": INT,
    "currency": TEXT,
    "order_amount_minor": INT,
    "order_currency": TEXT,
    "flag": TEXT,
    "reason": TEXT,
    "actor": TEXT,
    "created_at": INSTANT,
}


class ReconciliationError(Exception):
    """A line or match that cannot be what is asked for; the message names it and the remedy."""


@dataclass(frozen=True)
class StatementRecord:
    """What is noted of a statement that is taken in."""

    source: str
    file_name: str
    sha256: str
    taken_by: str
    rows_aside: int


def write_settlement(
    connection: "Connection", brand: int, file: StatementRecord, processor: str, lines: pl.DataFrame
) -> tuple[int, int]:
    """Add the lines that the store does not have. Returns (new, known).

    A line that is known and whose payout is told now takes it; nothing else of it changes.
    """
    known = _known(connection, brand, "settlement_lines", "processor", processor)
    new = lines.join(known, on="line_key", how="anti", maintain_order="left")
    _name_payouts(connection, brand, processor, lines.join(known, on="line_key", how="semi"))
    number = _write_file(connection, brand, file, new.height, lines.height - new.height)
    fixed = {"brand_id": pl.lit(brand, INT), "file_id": pl.lit(number, INT), "processor": pl.lit(processor)}
    insert_frame(connection, "settlement_lines", new.select(*_LINE).with_columns(**fixed))
    return new.height, lines.height - new.height


def write_payouts(connection: "Connection", brand: int, processor: str, payouts: pl.DataFrame, pooled: bool) -> None:
    """Make these payouts known: payout_ref, currency, amount_minor, paid_on. What was not stated before may be now."""
    rows = payouts.select(
        pl.lit(brand, INT).alias("brand_id"),
        pl.lit(processor).alias("processor"),
        "payout_ref",
        "currency",
        "amount_minor",
        "paid_on",
        pl.lit(pooled).alias("pooled"),
    )
    known = {
        "amount_minor": "coalesce(payouts.amount_minor, excluded.amount_minor)",
        "paid_on": "coalesce(payouts.paid_on, excluded.paid_on)",
    }
    upsert_frame(connection, "payouts", rows, ["brand_id", "processor", "payout_ref", "currency"], known)


def write_bank(
    connection: "Connection", brand: int, file: StatementRecord, lines: pl.DataFrame, statements: pl.DataFrame
) -> tuple[int, int]:
    """Add the bank lines and statements that the store does not have. Both have `account` and `account_hash`.

    Returns (new, known) of the lines.
    """
    new = lines
    for account in lines["account_hash"].unique():
        known = _known(connection, brand, "bank_lines", "account_hash", account)
        new = new.join(known.with_columns(account_hash=pl.lit(account)), on=["account_hash", "line_key"], how="anti")
    new = new.sort("row_number")
    number = _write_file(connection, brand, file, new.height, lines.height - new.height)
    fixed = {"brand_id": pl.lit(brand, INT), "file_id": pl.lit(number, INT)}
    columns = [name for name in BANK_LINES if name != "bank_line_id"]
    insert_frame(connection, "bank_lines", new.select(*columns, "account_hash").with_columns(**fixed))
    key = ["brand_id", "account_hash", "number", "opened_on", "closed_on"]
    upsert_frame(connection, "bank_statements", statements.with_columns(**fixed), key, {})
    return new.height, lines.height - new.height


def read_settlement_lines(connection: "Connection", brand: int) -> pl.DataFrame:
    """Every settlement line, with the columns SETTLEMENT_LINES."""
    columns = ", ".join(f"l.{name}" for name in _LINE)
    query = f"""
        SELECT l.id, l.processor, f.source, {columns} FROM settlement_lines l JOIN statement_files f ON f.id = l.file_id
        WHERE l.brand_id = :brand ORDER BY l.id
    """
    return read_frame(connection, query, SETTLEMENT_LINES, {"brand": brand})


def read_payouts(connection: "Connection", brand: int) -> pl.DataFrame:
    """Every payout, with the columns PAYOUTS."""
    columns = ", ".join(list(PAYOUTS)[1:])
    query = f"SELECT id, {columns} FROM payouts WHERE brand_id = :brand ORDER BY id"
    return read_frame(connection, query, PAYOUTS, {"brand": brand})


def read_bank_lines(connection: "Connection", brand: int) -> pl.DataFrame:
    """Every bank line, with the columns BANK_LINES."""
    columns = ", ".join(list(BANK_LINES)[1:])
    query = f"SELECT id, {columns} FROM bank_lines WHERE brand_id = :brand ORDER BY id"
    return read_frame(connection, query, BANK_LINES, {"brand": brand})


def read_statements(connection: "Connection", brand: int) -> pl.DataFrame:
    """Bank statements in order: account, account_hash, number, currency, opening_minor, closing_minor, opened_on, closed_on."""
    query = """
        SELECT account, account_hash, number, currency, opening_minor, closing_minor, opened_on, closed_on
        FROM bank_statements WHERE brand_id = :brand ORDER BY account_hash, currency, opened_on, closed_on, id
    """
    schema = {"account": TEXT, "account_hash": TEXT, "number": TEXT, "currency": TEXT, "opening_minor": INT}
    schema |= {"closing_minor": INT, "opened_on": DAY, "closed_on": DAY}
    return read_frame(connection, query, schema, {"brand": brand})


def read_order_dues(connection: "Connection", brand: int, unposted: tuple[str, ...]) -> pl.DataFrame:
    """What each order brought in and gave back, by currency (columns ORDER_DUES). Lines of kinds `unposted` move no money."""
    kinds = {f"k{n}": kind for n, kind in enumerate(unposted)}
    back = "(l.kind = 'refund' OR (l.kind = 'goods' AND l.quantity < 0))"
    query = f"""
        SELECT o.id, o.number, c.code, x.external_id, o.local_date, s.currency, s.paid, s.refunded
        FROM (
            SELECT l.order_id, l.currency,
                   CAST(sum(CASE WHEN {back} THEN 0 ELSE l.amount_minor END) AS BIGINT) AS paid,
                   CAST(-sum(CASE WHEN {back} THEN l.amount_minor ELSE 0 END) AS BIGINT) AS refunded
            FROM order_lines l WHERE l.brand_id = :brand AND l.kind NOT IN ({", ".join(f":{k}" for k in kinds)})
            GROUP BY l.order_id, l.currency
        ) AS s
        JOIN orders o ON o.id = s.order_id
        JOIN channels c ON c.id = o.channel_id
        LEFT JOIN (
            SELECT order_id, min(external_id) AS external_id FROM channel_orders
            WHERE brand_id = :brand AND order_id IS NOT NULL GROUP BY order_id
        ) AS x ON x.order_id = o.id
        ORDER BY o.id, s.currency
    """
    return read_frame(connection, query, ORDER_DUES, {"brand": brand, **kinds})


def read_matches(connection: "Connection", brand: int) -> pl.DataFrame:
    """Matches that were not taken back, with the columns MATCHES."""
    query = """
        SELECT m.id, m.settlement_line_id, m.bank_line_id, m.order_id, m.payout_id, m.pool, m.rule, m.amount_minor, m.currency,
               m.order_amount_minor, m.order_currency, m.flag, m.reason, m.actor, m.created_at
        FROM matches m
        WHERE m.brand_id = :brand AND m.undoes IS NULL AND NOT EXISTS (SELECT 1 FROM matches u WHERE u.undoes = m.id)
        ORDER BY m.id
    """
    return read_frame(connection, query, MATCHES, {"brand": brand})


def write_matches(
    connection: "Connection", brand: int, matches: pl.DataFrame, actor: str, reason: str | None = None
) -> None:
    """Append matches: columns of MATCHES as far as they are known.

    Raises ReconciliationError for a line that has a match: nothing is ever matched twice.
    """
    active = read_matches(connection, brand)
    for name in ("line_id", "bank_line_id", "payout_id"):
        if name not in matches.columns:
            continue
        told = matches[name].drop_nulls()
        taken = sorted(
            {*told.filter(told.is_in(active[name].drop_nulls().implode())), *told.filter(told.is_duplicated())}
        )
        if taken:
            what = name.removesuffix("_id").replace("_", " ")
            raise ReconciliationError(
                f"{what} {taken[0]} is matched already: take that match back first (`reconcile unmatch`)"
            )
    optional = (
        "line_id",
        "bank_line_id",
        "order_id",
        "payout_id",
        "pool",
        "order_amount_minor",
        "order_currency",
        "flag",
    )
    missing = [pl.lit(None, MATCHES[name]).alias(name) for name in optional if name not in matches.columns]
    rows = matches.with_columns(*missing).select(
        pl.lit(brand, INT).alias("brand_id"),
        pl.col("line_id").alias("settlement_line_id"),
        *optional[1:],
        "rule",
        "amount_minor",
        "currency",
        pl.lit(reason, TEXT).alias("reason"),
        pl.lit(actor).alias("actor"),
        pl.lit(datetime.now(UTC)).cast(INSTANT).alias("created_at"),
    )
    insert_frame(connection, "matches", rows)


def unmatch(connection: "Connection", brand: int, match_id: int, actor: str, reason: str) -> int:
    """Take a match back by a further row. Returns its id. Raises ReconciliationError where none of this id stands."""
    active = read_matches(connection, brand).filter(pl.col("match_id") == match_id)
    if active.is_empty():
        raise ReconciliationError(f"there is no match {match_id} that stands: see `luxauto finance reconcile list`")
    row = active.row(0, named=True)
    values = {name: row[name] for name in MATCHES if name not in ("match_id", "line_id")}
    values |= {"brand_id": brand, "undoes": match_id, "settlement_line_id": row["line_id"], "rule": "unmatch"}
    return insert_row(
        connection, "matches", values | {"actor": actor, "reason": reason, "created_at": datetime.now(UTC)}
    )


def last_change(connection: "Connection", brand: int) -> datetime | None:
    """When a statement, a match or a supplier's invoice was last written, approved or booked; None where nothing ever was."""
    queries = (
        "SELECT max(taken_at) FROM statement_files WHERE brand_id = :brand",
        "SELECT max(created_at) FROM matches WHERE brand_id = :brand",
        "SELECT max(taken_at) FROM supplier_invoices WHERE brand_id = :brand",
        "SELECT max(approved_at) FROM supplier_invoices WHERE brand_id = :brand",
        "SELECT max(recorded_at) FROM journal_entries WHERE brand_id = :brand AND kind = 'supplier_invoice'",
    )
    found = [fetch(connection, query, {"brand": brand})[0][0] for query in queries]
    return max((as_instant(at) for at in found if at is not None), default=None)


def times_undone(connection: "Connection", brand: int) -> dict[int, int]:
    """How often a match of each payout was taken back, where it ever was."""
    query = """
        SELECT payout_id, count(*) FROM matches
        WHERE brand_id = :brand AND payout_id IS NOT NULL AND undoes IS NOT NULL GROUP BY payout_id
    """
    return {row[0]: row[1] for row in fetch(connection, query, {"brand": brand})}


def booked_keys(connection: "Connection", brand: int, kinds: tuple[str, ...]) -> set[str]:
    """Keys of journal entries of these kinds."""
    named = {f"k{n}": kind for n, kind in enumerate(kinds)}
    query = f"SELECT key FROM journal_entries WHERE brand_id = :brand AND kind IN ({', '.join(f':{k}' for k in named)})"
    return {row[0] for row in fetch(connection, query, {"brand": brand, **named})}


def _known(connection: "Connection", brand: int, table: str, column: str, value: str) -> pl.DataFrame:
    query = f"SELECT line_key FROM {table} WHERE brand_id = :brand AND {column} = :value"
    return read_frame(connection, query, {"line_key": TEXT}, {"brand": brand, "value": value})


def _name_payouts(connection: "Connection", brand: int, processor: str, lines: pl.DataFrame) -> None:
    told = lines.filter(pl.col("payout_ref").is_not_null()).select("line_key", "payout_ref", "available_on")
    unknown = read_frame(
        connection,
        """
        SELECT line_key FROM settlement_lines
        WHERE brand_id = :brand AND processor = :processor AND payout_ref IS NULL
        """,
        {"line_key": TEXT},
        {"brand": brand, "processor": processor},
    )
    statement = """
        UPDATE settlement_lines SET payout_ref = :payout, available_on = coalesce(:available, available_on)
        WHERE brand_id = :brand AND processor = :processor AND line_key = :key AND payout_ref IS NULL
    """
    for key, payout, available in told.join(unknown, on="line_key", how="semi").iter_rows():
        values = {"payout": payout, "available": available, "brand": brand, "processor": processor, "key": key}
        run(connection, statement, values)


def _write_file(connection: "Connection", brand: int, file: StatementRecord, new: int, known: int) -> int:
    values: dict[str, Any] = {**asdict(file), "brand_id": brand, "taken_at": datetime.now(UTC)}
    return insert_row(connection, "statement_files", values | {"rows_new": new, "rows_known": known})
