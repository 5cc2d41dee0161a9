"""Writing and reading order lines, with the stock that they move and the money that they mean.

Belongs here: the tables `orders`, `order_lines`, `imports`, the movements and transactions that follow from lines.
Does not belong here: what a line of a file means (`assets/ingestion`), or a ledger entry (`resources/store/ledger`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import polars as pl

from resources.store.brands import channel_ids, location_ids
from resources.store.bulk import (
    ids_by_code,
    insert_frame,
    insert_row,
    read_frame,
    reserve_ids,
    run,
    upsert_frame,
)
from resources.store.customers import seal_profiles
from resources.store.first_load import indexed_afterwards
from resources.vault import Vault

if TYPE_CHECKING:
    from sqlalchemy import Connection

INT, TEXT, DAY, INSTANT = pl.Int64(), pl.String(), pl.Date(), pl.Datetime("us", "UTC")
# What a line moves, as SQL that Polars reads too.
_MOVED_AS = """
    CASE WHEN kind = 'stock_adjustment' THEN 'adjustment'
         WHEN kind = 'gift' THEN 'gift'
         WHEN quantity < 0 THEN 'return' ELSE 'sale' END
"""
_MOVED = "CASE WHEN kind = 'stock_adjustment' THEN quantity ELSE -quantity END"
_IDENTITY = ["order_id", "code", "quantity", "unit_price_micros", "occurrence"]

ORDER_LINES: dict[str, pl.DataType] = {
    "line_id": INT,
    "import_id": INT,
    "day": DAY,
    "occurred_at": INSTANT,
    "order_id": INT,
    "order_number": TEXT,
    "order_day": DAY,
    "channel": TEXT,
    "country": TEXT,
    "customer_id": INT,
    "kind": TEXT,
    "code": TEXT,
    "sku": TEXT,
    "description": TEXT,
    "quantity": INT,
    "unit_price_micros": INT,
    "amount_minor": INT,
    "currency": TEXT,
}


@dataclass(frozen=True)
class ImportRecord:
    """What is known of a file before its rows are written."""

    kind: str
    file_name: str
    sha256: str
    mapping: str
    rows_in: int
    rows_quarantined: int


@dataclass(frozen=True)
class Written:
    """How many rows of the file were new and how many an earlier import had brought."""

    new: int
    known: int


def write_order_lines(
    connection: "Connection",
    brand: int,
    record: ImportRecord,
    lines: pl.DataFrame,
    progress: Callable[[int, int], None] = lambda done, total: None,
    vault: Vault | None = None,
) -> Written:
    """Add the lines that the store does not have yet; what it has stays as it is.

    `lines` has the columns of `assets.ingestion.lines.LINES`. Equal lines of an order are told apart by `occurrence`, so
    that the same file again adds nothing. `progress` hears how many of the lines and movements have been sent. Runs inside
    the caller's `Store.write` transaction. Who the clients are is sealed by the `vault`; without one it is not kept.
    """
    if not lines.height:
        return Written(0, 0)
    with indexed_afterwards(connection, "orders", "order_lines", "stock_movements", "transactions"):
        missing = _missing(connection, brand, lines, vault)
        new = missing["row_number"].n_unique()
        written = Written(new, lines["row_number"].n_unique() - new)
        if new:
            import_id = _record_import(connection, brand, record, written)
            _insert_lines(connection, brand, import_id, missing, progress)
            _book_transactions(connection, brand, missing)
    return written


def read_order_lines(connection: "Connection", brand: int, first: date, last: date) -> pl.DataFrame:
    """Lines whose local date lies in [first, last], in the order of their ids, with the columns ORDER_LINES."""
    query = """
        SELECT l.id, l.import_id, l.local_date, l.occurred_at, o.id, o.number, o.local_date, c.code, o.country,
               o.customer_id, l.kind, l.code, s.sku, l.description, l.quantity, l.unit_price_micros, l.amount_minor,
               l.currency
        FROM order_lines l
        JOIN orders o ON o.id = l.order_id
        JOIN channels c ON c.id = o.channel_id
        LEFT JOIN skus s ON s.id = l.sku_id
        WHERE l.brand_id = :brand AND l.local_date BETWEEN :first AND :last
        ORDER BY l.id
    """
    return read_frame(connection, query, ORDER_LINES, {"brand": brand, "first": first, "last": last})


def line_days(connection: "Connection", brand: int) -> pl.DataFrame:
    """Per day with order lines: how many there are and the newest one's id. Columns day, lines, newest."""
    query = """
        SELECT local_date, count(*), max(id) FROM order_lines WHERE brand_id = :brand GROUP BY local_date ORDER BY local_date
    """
    return read_frame(connection, query, {"day": DAY, "lines": INT, "newest": INT}, {"brand": brand})


def ensure_skus(connection: "Connection", brand: int, wanted: pl.DataFrame) -> dict[str, int]:
    """Ids by SKU code; unknown ones are made with the name given. Columns sku, name."""
    known = _sku_ids(connection, brand)
    missing = wanted.unique("sku", keep="first", maintain_order=True).filter(~pl.col("sku").is_in(list(known)))
    if missing.height:
        now = pl.lit(datetime.now(UTC)).cast(INSTANT)
        rows = missing.select(pl.lit(brand, INT).alias("brand_id"), "sku", "name", now.alias("updated_at"))
        insert_frame(connection, "skus", rows)
        known = _sku_ids(connection, brand)
    return known


def _sku_ids(connection: "Connection", brand: int) -> dict[str, int]:
    return ids_by_code(connection, "SELECT sku, id FROM skus WHERE brand_id = :brand", {"brand": brand})


def _ensure_orders(
    connection: "Connection", brand: int, lines: pl.DataFrame, vault: Vault | None
) -> tuple[pl.DataFrame, bool]:
    """Ids of the lines' orders (channel_id, order_number, order_id), and whether every one of them is new."""
    wanted = lines.group_by("channel_id", "order_number", maintain_order=True).agg(
        pl.col("customer", "country", "currency").drop_nulls().first(),
        pl.col("occurred_at").min().alias("placed_at"),
        pl.col("local_date").min(),
    )
    known = _order_ids(connection, brand)
    missing = wanted.join(known, on=["channel_id", "order_number"], how="anti", maintain_order="left")
    if missing.height:
        customers = _ensure_customers(connection, brand, lines, vault)
        insert_frame(
            connection,
            "orders",
            missing.select(
                pl.lit(brand, INT).alias("brand_id"),
                "channel_id",
                pl.col("order_number").alias("number"),
                pl.col("customer").replace_strict(customers, default=None, return_dtype=INT).alias("customer_id"),
                "country",
                "currency",
                "placed_at",
                "local_date",
            ),
        )
        known = _order_ids(connection, brand)
    return known, missing.height == wanted.height


def _order_ids(connection: "Connection", brand: int) -> pl.DataFrame:
    query = "SELECT channel_id, number, id FROM orders WHERE brand_id = :brand"
    return read_frame(connection, query, {"channel_id": INT, "order_number": TEXT, "order_id": INT}, {"brand": brand})


def _ensure_customers(connection: "Connection", brand: int, lines: pl.DataFrame, vault: Vault | None) -> dict[str, int]:
    wanted = (
        lines.filter(pl.col("customer").is_not_null())
        .group_by("customer", maintain_order=True)
        .agg(pl.col("local_date").min(), pl.col("email", "name", "phone").drop_nulls().first())
    )
    known = _customer_ids(connection, brand)
    missing = wanted.filter(~pl.col("customer").is_in(list(known)))
    if not missing.height:
        return known
    brand_column = pl.lit(brand, INT).alias("brand_id")
    insert_frame(
        connection,
        "customers",
        missing.select(brand_column, pl.col("customer").alias("external_id"), pl.col("local_date").alias("first_seen")),
    )
    known = _customer_ids(connection, brand)
    profiles = missing.filter(pl.any_horizontal(pl.col("email", "name", "phone").is_not_null()))
    if vault is not None and profiles.height:
        ids = pl.col("customer").replace_strict(known, return_dtype=INT).alias("customer_id")
        sealed = seal_profiles(connection, vault, profiles.select(ids, brand_column, "email", "name", "phone"))
        insert_frame(connection, "customer_profiles", sealed)
    return known


def _customer_ids(connection: "Connection", brand: int) -> dict[str, int]:
    return ids_by_code(connection, "SELECT external_id, id FROM customers WHERE brand_id = :brand", {"brand": brand})


def _missing(connection: "Connection", brand: int, lines: pl.DataFrame, vault: Vault | None) -> pl.DataFrame:
    """The lines that the store does not have, with their `order_id`; their orders are made."""
    channels = channel_ids(connection, brand, lines["channel"].unique().sort().to_list())
    located = lines.with_columns(pl.col("channel").replace_strict(channels, return_dtype=INT).alias("channel_id"))
    orders, fresh = _ensure_orders(connection, brand, located, vault)
    placed = located.join(orders, on=["channel_id", "order_number"], maintain_order="left")
    nothing = pl.col("cumulative") & (pl.col("amount_minor") == 0)
    return placed.filter(~nothing) if fresh else _not_yet_written(connection, brand, placed)


def _not_yet_written(connection: "Connection", brand: int, lines: pl.DataFrame) -> pl.DataFrame:
    # A line keeps its day whatever file it comes in; totals of an order may come on a later day than before.
    days = {"first": lines["local_date"].min(), "last": lines["local_date"].max()}
    query = """
        SELECT order_id, code, quantity, unit_price_micros, occurrence, amount_minor FROM order_lines
        WHERE brand_id = :brand AND local_date BETWEEN :first AND :last
    """
    schema = {**dict.fromkeys(_IDENTITY, INT), "code": TEXT, "amount_minor": INT}
    written = read_frame(connection, query, schema, {"brand": brand, **days})
    plain = lines.filter(~pl.col("cumulative")).join(written, on=_IDENTITY, how="anti", maintain_order="left")
    return pl.concat([plain, _growth(lines.filter("cumulative"), written)]).sort("row_number", maintain_order=True)


def _growth(totals: pl.DataFrame, written: pl.DataFrame) -> pl.DataFrame:
    """What has been added to an order's totals (shipping, tax, refunds) since they were last written."""
    value = pl.col("unit_price_micros") * pl.col("quantity")
    before = written.group_by("order_id", "code").agg(
        pl.col("amount_minor").sum().alias("before"),
        value.sum().alias("value_before"),
        pl.len().cast(INT).alias("occurrence_after"),
    )
    grown = totals.join(before, on=["order_id", "code"], how="left", maintain_order="left").with_columns(
        pl.col("before", "value_before", "occurrence_after").fill_null(0)
    )
    delta = pl.col("amount_minor") - pl.col("before")
    added = (value - pl.col("value_before")) // pl.col("quantity")
    return (
        grown.filter(delta != 0)
        .with_columns(delta.alias("amount_minor"), added.alias("unit_price_micros"))
        .with_columns(pl.col("occurrence_after").alias("occurrence"))
        .select(totals.columns)
    )


def _record_import(connection: "Connection", brand: int, record: ImportRecord, written: Written) -> int:
    values = {
        "brand_id": brand,
        "kind": record.kind,
        "file_name": record.file_name,
        "sha256": record.sha256,
        "mapping": record.mapping,
        "finished_at": datetime.now(UTC),
        "rows_in": record.rows_in,
        "rows_new": written.new,
        "rows_known": written.known,
        "rows_quarantined": record.rows_quarantined,
    }
    return insert_row(connection, "imports", values)


def _insert_lines(
    connection: "Connection", brand: int, import_id: int, lines: pl.DataFrame, progress: Callable[[int, int], None]
) -> None:
    """The lines, and the movements that follow from them."""
    skus = ensure_skus(connection, brand, lines.filter(pl.col("sku").is_not_null()).select("sku", name="description"))
    locations = location_ids(connection, brand, lines["location"].unique().sort().to_list())
    rows = lines.select(
        _ids(connection, "order_lines", lines.height),
        pl.lit(brand, INT).alias("brand_id"),
        "order_id",
        pl.lit(import_id, INT).alias("import_id"),
        "row_number",
        "kind",
        "code",
        pl.col("sku").replace_strict(skus, default=None, return_dtype=INT).alias("sku_id"),
        "description",
        "quantity",
        "unit_price_micros",
        "amount_minor",
        "currency",
        "occurrence",
        "occurred_at",
        "local_date",
    )
    places = lines["location"].replace_strict(locations, return_dtype=INT).alias("location_id")
    total = 2 * rows.height - rows["sku_id"].null_count()
    insert_frame(connection, "order_lines", rows, lambda done: progress(done, total))
    _move_stock(connection, rows, places, lambda done: progress(rows.height + done, total))


def _move_stock(
    connection: "Connection", rows: pl.DataFrame, places: pl.Series, progress: Callable[[int], None]
) -> None:
    """The movements of the lines just written: a sale takes out, a return puts back."""
    stocked = rows.with_columns(places).filter(pl.col("sku_id").is_not_null())
    if connection.dialect.name == "sqlite" and places.n_unique() == 1:
        # Half the time of sending them.
        run(
            connection,
            f"""
                INSERT INTO stock_movements
                    (brand_id, sku_id, location_id, kind, quantity, occurred_at, local_date, order_line_id)
                SELECT brand_id, sku_id, :location, {_MOVED_AS}, {_MOVED}, occurred_at, local_date, id
                FROM order_lines WHERE id >= :first AND sku_id IS NOT NULL ORDER BY id
            """,
            {"location": places[0], "first": rows["id"][0]},
        )
        progress(stocked.height)
        return
    movements = stocked.select(
        _ids(connection, "stock_movements", stocked.height),
        "brand_id",
        "sku_id",
        "location_id",
        pl.sql_expr(_MOVED_AS).alias("kind"),
        pl.sql_expr(_MOVED).alias("quantity"),
        "occurred_at",
        "local_date",
        pl.col("id").alias("order_line_id"),
    )
    insert_frame(connection, "stock_movements", movements, progress)


def _ids(connection: "Connection", table: str, count: int) -> pl.Expr:
    return (pl.int_range(pl.len(), dtype=INT) + reserve_ids(connection, table, count)).alias("id")


def _book_transactions(connection: "Connection", brand: int, lines: pl.DataFrame) -> None:
    """One money event per order and type; what an order's new lines of that type are worth is added to it."""
    kind = pl.col("kind")
    typed = (
        lines.filter(~kind.is_in(["test", "gift", "stock_adjustment"]))
        .with_columns(
            pl.when(kind.is_in(["fee", "bad_debt", "sample"]))
            .then(pl.lit("expense"))
            .when(kind == "adjustment")
            .then(pl.lit("adjustment"))
            .when(pl.col("quantity") < 0)
            .then(pl.lit("refund"))
            .otherwise(pl.lit("sale"))
            .alias("type")
        )
        .group_by("order_id", "type", "currency", maintain_order=True)
        .agg(pl.col("amount_minor").sum(), pl.col("occurred_at").min())
        .with_columns(pl.lit(brand, INT).alias("brand_id"))
    )
    sums = {"amount_minor": "transactions.amount_minor + excluded.amount_minor"}
    upsert_frame(connection, "transactions", typed, ["brand_id", "order_id", "type"], sums)
