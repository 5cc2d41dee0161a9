"""Products, SKUs and costs: written from the catalogue file, read as frames."""

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import polars as pl

from resources.store.bulk import read_frame, run, upsert_frame
from resources.store.orders import DAY, INSTANT, INT, TEXT, ensure_skus

if TYPE_CHECKING:
    from sqlalchemy import Connection

CATALOG: dict[str, pl.DataType] = {
    "sku": TEXT,
    "name": TEXT,
    "product": TEXT,
    "category": TEXT,
    "subcategory": TEXT,
    "collection": TEXT,
    "size": TEXT,
    "color": TEXT,
    "launched_on": DAY,
    "retail_price_minor": INT,
    "currency": TEXT,
    "supplier": TEXT,
    "lead_time_days": INT,
    "min_order_quantity": INT,
    "manual_reorder_point": INT,
}
COSTS: dict[str, pl.DataType] = {"sku": TEXT, "valid_from": DAY, "cost_minor": INT, "currency": TEXT}
ALWAYS = date(1970, 1, 1)


def write_catalog(connection: "Connection", brand: int, rows: pl.DataFrame) -> tuple[int, int]:
    """Insert or update SKUs and their products by code, and add costs. Returns the rows of (new, known) SKUs.

    An empty cell leaves what is known. `rows` is what `normalise_reference(…, "catalog")` gives.
    """
    every, rows = rows, rows.unique("sku", keep="last", maintain_order=True)
    before = read_catalog(connection, brand)["sku"]
    _write_products(connection, brand, rows)
    products = read_frame(
        connection,
        "SELECT code, id FROM products WHERE brand_id = :brand",
        {"product": TEXT, "product_id": INT},
        {"brand": brand},
    )
    now = pl.lit(datetime.now(UTC)).cast(INSTANT)
    given = pl.col("reorder_point").is_not_null()
    skus = rows.join(products, on="product", how="left", maintain_order="left").select(
        pl.lit(brand, INT).alias("brand_id"),
        "product_id",
        "sku",
        pl.col("product_name").alias("name"),
        "size",
        "color",
        "retail_price_minor",
        # It is the price's: without a price in the file it must not come to stand beside another one.
        pl.when(pl.col("retail_price_minor").is_not_null()).then("currency").alias("currency"),
        "supplier",
        "lead_time_days",
        "min_order_quantity",
        "reorder_point",
        pl.when(given).then(pl.lit("manual")).alias("reorder_point_source"),
        now.alias("updated_at"),
    )
    kept = [c for c in skus.columns if c not in ("brand_id", "sku", "updated_at")]
    update = {c: f"coalesce(excluded.{c}, skus.{c})" for c in kept} | {"updated_at": "excluded.updated_at"}
    upsert_frame(connection, "skus", skus, ["brand_id", "sku"], update)
    _write_costs(connection, brand, every)
    known = every.filter(pl.col("sku").is_in(before.to_list())).height
    return every.height - known, known


def read_catalog(connection: "Connection", brand: int) -> pl.DataFrame:
    """Every SKU of the brand with its product's attributes, with the columns CATALOG."""
    query = """
        SELECT s.sku, coalesce(s.name, p.name), coalesce(p.code, s.sku), p.category, p.subcategory, p.collection, s.size,
               s.color, p.launched_on, s.retail_price_minor, s.currency, s.supplier, s.lead_time_days,
               s.min_order_quantity, CASE WHEN s.reorder_point_source = 'manual' THEN s.reorder_point END
        FROM skus s LEFT JOIN products p ON p.id = s.product_id
        WHERE s.brand_id = :brand ORDER BY s.sku
    """
    return read_frame(connection, query, CATALOG, {"brand": brand})


def catalog_version(connection: "Connection", brand: int) -> str:
    """A text that changes whenever a product or a SKU was added or changed; cheap to ask for."""
    query = "SELECT count(*), max(id), max(updated_at) FROM skus WHERE brand_id = :brand"
    return "|".join(map(str, run(connection, query, {"brand": brand}).one()))


def read_costs(connection: "Connection", brand: int) -> pl.DataFrame:
    """The cost table, with the columns COSTS: unit cost in minor units from a day on."""
    query = """
        SELECT s.sku, c.valid_from, c.cost_minor, c.currency FROM sku_costs c JOIN skus s ON s.id = c.sku_id
        WHERE c.brand_id = :brand ORDER BY s.sku, c.valid_from
    """
    return read_frame(connection, query, COSTS, {"brand": brand})


def write_reorder_points(connection: "Connection", brand: int, points: pl.DataFrame) -> None:
    """Keep computed reorder points (sku, reorder_point) on the SKUs, but never over one that a person set."""
    now = pl.lit(datetime.now(UTC)).cast(INSTANT)
    rows = points.filter(pl.col("reorder_point").is_not_null()).select(
        pl.lit(brand, INT).alias("brand_id"),
        "sku",
        pl.col("reorder_point").cast(INT),
        pl.lit("plan").alias("reorder_point_source"),
        now.alias("updated_at"),
    )
    manual = "skus.reorder_point_source = 'manual'"
    update = {
        "reorder_point": f"CASE WHEN {manual} THEN skus.reorder_point ELSE excluded.reorder_point END",
        "reorder_point_source": f"CASE WHEN {manual} THEN 'manual' ELSE 'plan' END",
        "updated_at": "excluded.updated_at",
    }
    upsert_frame(connection, "skus", rows, ["brand_id", "sku"], update)


def _write_products(connection: "Connection", brand: int, rows: pl.DataFrame) -> None:
    products = (
        rows.filter(pl.col("product").is_not_null())
        .group_by("product", maintain_order=True)
        .agg(pl.col("product_name", "category", "subcategory", "collection", "launched_on").drop_nulls().first())
        .select(
            pl.lit(brand, INT).alias("brand_id"),
            pl.col("product").alias("code"),
            pl.col("product_name").alias("name"),
            "category",
            "subcategory",
            "collection",
            "launched_on",
        )
    )
    names = products.columns[2:]
    update = {name: f"coalesce(excluded.{name}, products.{name})" for name in names}
    upsert_frame(connection, "products", products, ["brand_id", "code"], update)


def _write_costs(connection: "Connection", brand: int, rows: pl.DataFrame) -> None:
    costs = rows.filter(pl.col("cost_minor").is_not_null())
    ids = ensure_skus(connection, brand, costs.select("sku", name="product_name"))
    table = costs.select(
        pl.lit(brand, INT).alias("brand_id"),
        pl.col("sku").replace_strict(ids, return_dtype=INT).alias("sku_id"),
        # A cost without a day has always been the cost.
        pl.col("cost_valid_from").fill_null(ALWAYS).alias("valid_from"),
        "cost_minor",
        "currency",
    ).unique(["sku_id", "valid_from"], keep="last", maintain_order=True)
    update = {"cost_minor": "excluded.cost_minor", "currency": "excluded.currency"}
    upsert_frame(connection, "sku_costs", table, ["sku_id", "valid_from"], update)
