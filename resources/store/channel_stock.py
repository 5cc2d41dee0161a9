"""What a channel tells of its SKUs: attributes, prices, costs, and a count that the movements are brought to agree with.

Belongs here: those rows, written only where something differs. Does not belong here: catalogue files (`catalog`), what an item
may say (`agents/finance_inventory/parameters`).
"""

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import polars as pl

from resources.store.brands import channel_ids, location_ids
from resources.store.bulk import insert_frame, read_frame, upsert_frame
from resources.store.catalog import ALWAYS
from resources.store.catalog_codes import among
from resources.store.orders import DAY, INSTANT, INT, TEXT

if TYPE_CHECKING:
    from sqlalchemy import Connection

ITEMS: dict[str, pl.DataType] = {
    "sku": TEXT,
    "item_id": TEXT,
    "name": TEXT,
    "description": TEXT,
    "category": TEXT,
    "subcategory": TEXT,
    "label": TEXT,
    "collection": TEXT,
    "quantity": INT,
    "reserved": INT,
    "reorder_point": INT,
    "reorder_quantity": INT,
    "cost_minor": INT,
    "retail_price_minor": INT,
    "currency": TEXT,
}
"""A row a SKU; null where the channel says nothing. `currency` is that of both prices."""
KNOWN: dict[str, pl.DataType] = {
    "sku_id": INT,
    "sku": TEXT,
    "product": TEXT,
    "name": TEXT,
    "description": TEXT,
    "category": TEXT,
    "subcategory": TEXT,
    "label": TEXT,
    "collection": TEXT,
    "reorder_point": INT,
    "reorder_quantity": INT,
    "retail_price_minor": INT,
    "currency": TEXT,
}
_COUNTED: dict[str, pl.DataType] = {"sku_id": INT, "on_hand": INT, "reserved": INT, "counted": INT}
_OF_PRODUCT = ("category", "subcategory", "collection")
_OF_SKU = ("name", "description", "label", "reorder_quantity", "retail_price_minor")
_MOVED: dict[str, pl.DataType] = {"sku_id": INT, "location_id": INT, "kind": TEXT, "quantity": INT}


@dataclass(frozen=True)
class Count:
    """When and by which call a channel was counted."""

    channel: str
    at: datetime
    local_date: date
    reference: str


def read_known(connection: "Connection", brand: int, skus: list[str]) -> pl.DataFrame:
    """Those of the SKUs that there are, with the columns KNOWN. A reorder point that no person set is null."""
    query = f"""
        SELECT s.id, s.sku, p.code, coalesce(s.name, p.name), s.description, p.category, p.subcategory, s.label,
               p.collection, CASE WHEN s.reorder_point_source = 'manual' THEN s.reorder_point END, s.reorder_quantity,
               s.retail_price_minor, s.currency
        FROM skus s LEFT JOIN products p ON p.id = s.product_id
        WHERE s.brand_id = :brand AND s.sku IN ({among(connection, "skus")}) ORDER BY s.sku
    """
    return read_frame(connection, query, KNOWN, {"brand": brand, "skus": json.dumps(skus)})


def write_items(connection: "Connection", brand: int, items: pl.DataFrame, known: pl.DataFrame, at: datetime) -> None:
    """Make the catalogue say what `items` (columns ITEMS, a row a SKU) say; rows that would not change are not touched."""
    was = items.join(known, on="sku", how="left", suffix="_was", maintain_order="left")
    described = was.filter(_differs(_OF_PRODUCT) & pl.any_horizontal(pl.col(c).is_not_null() for c in _OF_PRODUCT))
    _write_products(connection, brand, described)
    point = pl.col("reorder_point").is_not_null() & pl.col("reorder_point").ne_missing(pl.col("reorder_point_was"))
    priced = pl.col("retail_price_minor").is_not_null() & pl.col("currency").ne_missing(pl.col("currency_was"))
    unplaced = pl.col("sku").is_in(described.filter(pl.col("product").is_null())["sku"].implode())
    changed = was.filter(pl.col("sku_id").is_null() | _differs(_OF_SKU) | point | priced | unplaced)
    _write_skus(connection, brand, changed, at)


def write_costs(connection: "Connection", brand: int, items: pl.DataFrame, day: date) -> int:
    """A cost that differs from the one of `day` holds from that day on; a first cost has always held. Returns how many."""
    costs = items.filter(pl.col("cost_minor").is_not_null())
    if not costs.height:
        return 0
    query = f"""
        SELECT s.id, s.sku, c.cost_minor, c.currency
        FROM skus s LEFT JOIN sku_costs c ON c.sku_id = s.id AND c.valid_from =
             (SELECT max(valid_from) FROM sku_costs WHERE sku_id = s.id AND valid_from <= :day)
        WHERE s.brand_id = :brand AND s.sku IN ({among(connection, "skus")})
    """
    schema = {"sku_id": INT, "sku": TEXT, "was_minor": INT, "was_currency": TEXT}
    values = {"brand": brand, "day": day, "skus": json.dumps(costs["sku"].to_list())}
    held = costs.join(read_frame(connection, query, schema, values), on="sku", maintain_order="left")
    changed = held.filter(
        pl.col("cost_minor").ne_missing(pl.col("was_minor")) | pl.col("currency").ne_missing(pl.col("was_currency"))
    )
    first = pl.col("was_minor").is_null()
    rows = changed.select(
        pl.lit(brand, INT).alias("brand_id"),
        "sku_id",
        pl.when(first).then(pl.lit(ALWAYS)).otherwise(pl.lit(day)).cast(DAY).alias("valid_from"),
        "cost_minor",
        "currency",
    )
    if rows.height:
        update = {"cost_minor": "excluded.cost_minor", "currency": "excluded.currency"}
        upsert_frame(connection, "sku_costs", rows, ["sku_id", "valid_from"], update)
    return rows.height


def count_stock(connection: "Connection", brand: int, items: pl.DataFrame, count: Count) -> int:
    """Write the movements after which the channel's own location holds what `items` say. Returns how many.

    The location has the channel's code. The first count of a SKU there is its opening, also one of nothing; a later one is an
    adjustment.
    """
    told = items.filter(pl.col("quantity").is_not_null() | pl.col("reserved").is_not_null())
    if not told.height:
        return 0
    location = location_ids(connection, brand, [count.channel])[count.channel]
    ids = read_known(connection, brand, told["sku"].to_list()).select("sku", "sku_id")
    held = told.join(ids, on="sku", maintain_order="left").join(
        _held(connection, brand, location), on="sku_id", how="left", suffix="_was", maintain_order="left"
    )
    more = pl.col("quantity") - pl.col("on_hand").fill_null(0)
    # A reservation is a negative movement that a positive one releases.
    promised = pl.col("reserved_was").fill_null(0) - pl.col("reserved")
    opening = pl.col("counted").fill_null(0) == 0
    kind = pl.when(opening).then(pl.lit("opening")).otherwise(pl.lit("adjustment"))
    place = pl.lit(location, INT).alias("location_id")
    moved = pl.concat(
        [
            held.select("sku_id", place, kind.alias("kind"), more.alias("quantity")),
            held.select("sku_id", place, pl.lit("reservation").alias("kind"), promised.alias("quantity")),
        ]
    ).filter(pl.col("quantity").is_not_null() & ((pl.col("quantity") != 0) | (pl.col("kind") == "opening")))
    return _write_movements(connection, brand, moved, count)


def undo_count(connection: "Connection", brand: int, counted_by: str, undone: Count) -> int:
    """Write the opposite of every movement with the reference `counted_by`. Returns how many."""
    query = """
        SELECT sku_id, location_id, CASE WHEN kind = 'reservation' THEN kind ELSE 'adjustment' END, -quantity
        FROM stock_movements WHERE brand_id = :brand AND reference = :reference AND quantity <> 0 ORDER BY id
    """
    moved = read_frame(connection, query, _MOVED, {"brand": brand, "reference": counted_by})
    return _write_movements(connection, brand, moved, undone)


def write_listings(connection: "Connection", brand: int, items: pl.DataFrame, channel: str, at: datetime) -> None:
    """Keep what the channel shows of each SKU, and that it was seen there now."""
    number = channel_ids(connection, brand, [channel])[channel]
    ids = read_known(connection, brand, items["sku"].to_list()).select("sku", "sku_id")
    rows = items.join(ids, on="sku", maintain_order="left").select(
        pl.lit(brand, INT).alias("brand_id"),
        pl.lit(number, INT).alias("channel_id"),
        "sku_id",
        pl.col("item_id").alias("external_id"),
        pl.col("retail_price_minor").alias("price_minor"),
        pl.when(pl.col("retail_price_minor").is_not_null()).then("currency").alias("currency"),
        "quantity",
        pl.lit(at).cast(INSTANT).alias("seen_at"),
    )
    kept = ("external_id", "price_minor", "currency", "quantity")
    update = {c: f"coalesce(excluded.{c}, listings.{c})" for c in kept} | {"seen_at": "excluded.seen_at"}
    upsert_frame(connection, "listings", rows, ["channel_id", "sku_id"], update)


def read_channels(connection: "Connection", brand: int) -> list[dict[str, Any]]:
    """Every channel with how many SKUs it lists and when one was last seen there."""
    query = """
        SELECT c.code, count(l.id), max(l.seen_at)
        FROM channels c LEFT JOIN listings l ON l.channel_id = c.id
        WHERE c.brand_id = :brand GROUP BY c.code ORDER BY c.code
    """
    schema = {"channel": TEXT, "listings": INT, "last_seen_at": INSTANT}
    return read_frame(connection, query, schema, {"brand": brand}).to_dicts()


def _differs(columns: tuple[str, ...]) -> pl.Expr:
    return pl.any_horizontal(pl.col(c).is_not_null() & pl.col(c).ne_missing(pl.col(f"{c}_was")) for c in columns)


def _write_products(connection: "Connection", brand: int, items: pl.DataFrame) -> None:
    # A SKU without a product becomes one of its own, under its code.
    rows = (
        items.with_columns(pl.coalesce("product", "sku").alias("code"))
        .group_by("code", maintain_order=True)
        .agg(pl.col(*_OF_PRODUCT).drop_nulls().last())
        .select(pl.lit(brand, INT).alias("brand_id"), "code", *_OF_PRODUCT)
    )
    if rows.height:
        update = {c: f"coalesce(excluded.{c}, products.{c})" for c in _OF_PRODUCT}
        upsert_frame(connection, "products", rows, ["brand_id", "code"], update)


def _write_skus(connection: "Connection", brand: int, items: pl.DataFrame, at: datetime) -> None:
    if not items.height:
        return
    codes = items.select(pl.coalesce("product", "sku").alias("code"))["code"].to_list()
    query = f"SELECT code, id FROM products WHERE brand_id = :brand AND code IN ({among(connection, 'codes')})"
    values = {"brand": brand, "codes": json.dumps(codes)}
    products = read_frame(connection, query, {"code": TEXT, "product_id": INT}, values)
    rows = (
        items.with_columns(pl.coalesce("product", "sku").alias("code"))
        .join(products, on="code", how="left", maintain_order="left")
        .select(
            pl.lit(brand, INT).alias("brand_id"),
            "product_id",
            "sku",
            "name",
            "description",
            "label",
            "reorder_quantity",
            "retail_price_minor",
            # It is the price's, and must not come to stand beside another one.
            pl.when(pl.col("retail_price_minor").is_not_null()).then("currency").alias("currency"),
            "reorder_point",
            pl.when(pl.col("reorder_point").is_not_null()).then(pl.lit("manual")).alias("reorder_point_source"),
            pl.lit(at.astimezone(UTC)).cast(INSTANT).alias("updated_at"),
        )
    )
    kept = [c for c in rows.columns if c not in ("brand_id", "sku", "updated_at")]
    update = {c: f"coalesce(excluded.{c}, skus.{c})" for c in kept} | {"updated_at": "excluded.updated_at"}
    upsert_frame(connection, "skus", rows, ["brand_id", "sku"], update)


def _held(connection: "Connection", brand: int, location: int) -> pl.DataFrame:
    query = """
        SELECT sku_id, CAST(sum(CASE WHEN kind = 'reservation' THEN 0 ELSE quantity END) AS BIGINT),
               CAST(-sum(CASE WHEN kind = 'reservation' THEN quantity ELSE 0 END) AS BIGINT),
               sum(CASE WHEN kind IN ('opening', 'receipt') THEN 1 ELSE 0 END)
        FROM stock_movements WHERE brand_id = :brand AND location_id = :location GROUP BY sku_id
    """
    return read_frame(connection, query, _COUNTED, {"brand": brand, "location": location})


def _write_movements(connection: "Connection", brand: int, moved: pl.DataFrame, count: Count) -> int:
    rows = moved.select(
        pl.lit(brand, INT).alias("brand_id"),
        "sku_id",
        "location_id",
        "kind",
        "quantity",
        pl.lit(count.at).cast(INSTANT).alias("occurred_at"),
        pl.lit(count.local_date).alias("local_date"),
        pl.lit(count.reference).alias("reference"),
    )
    insert_frame(connection, "stock_movements", rows)
    return rows.height
