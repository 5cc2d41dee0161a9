"""The invented maison as the frames that demand is read from, and its truth. Made once for a process: nobody changes it."""

import gzip
import json
import tempfile
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

import polars as pl

from luxauto_pipelines.demo.files import write_demo

UNTIL = date(2026, 10, 31)


@dataclass(frozen=True)
class Panel:
    """`transactions` as the asset has them (with the order that a return names), stock `movements`, `catalog`, `truth`."""

    transactions: pl.DataFrame
    movements: pl.DataFrame
    catalog: pl.DataFrame
    truth: dict[str, Any]


@lru_cache(maxsize=1)
def demo_panel() -> Panel:
    with tempfile.TemporaryDirectory() as folder:
        files = write_demo(Path(folder), until=UNTIL)
        day = pl.col("occurred_at").str.head(10).str.to_date()
        orders = pl.read_csv(gzip.decompress(files.orders.read_bytes()), infer_schema=False)
        exponent = pl.when(pl.col("currency") == "JPY").then(1).otherwise(100)
        quantity = pl.col("quantity").cast(pl.Int64)
        transactions = orders.select(
            day=day,
            occurred_at="occurred_at",
            order_id=pl.col("order_number").rank("dense").cast(pl.Int64),
            order_number="order_number",
            original_order="original_order",
            channel="channel",
            country="country",
            customer="customer_id",
            kind="line_type",
            sku="sku",
            quantity=quantity,
            amount_minor=(pl.col("unit_price").cast(pl.Float64) * quantity * exponent).round().cast(pl.Int64),
            currency="currency",
        )
        moved = pl.read_csv(files.stock, schema_overrides={"quantity": pl.Int64}).select(
            "sku", "kind", "quantity", day=day
        )
        by_orders = transactions.filter(kind="goods").select("sku", kind=pl.lit("sale"), quantity=-quantity, day="day")
        price = (pl.col("retail_price") * 100).round().cast(pl.Int64)
        catalog = pl.read_csv(files.catalog, try_parse_dates=True).with_columns(retail_price_minor=price)
        truth = json.loads(files.truth.read_text(encoding="utf-8"))
    return Panel(transactions, pl.concat([moved, by_orders]), catalog, truth)
