"""The order lines that the benchmarks work on: the public data set beside the checkout, or else the demo brand's, repeated.

Belongs here: one file, the preset that reads it, and an installation that has taken it in.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl

from assets.ingestion.mapping import load_preset
from luxauto_pipelines.ingest import IngestResult, ingest_orders
from luxauto_pipelines.instance import prepare
from resources.settings import load_settings
from resources.store.brand_store import BrandStore

PUBLIC = Path(__file__).parents[2] / "shared" / "data" / "online_retail.parquet"
REPEATS = 20


@dataclass(frozen=True)
class OrderFile:
    """A Parquet file of order lines and the preset that understands it."""

    path: Path
    preset: str
    rows: int


def order_file(scratch: Path) -> OrderFile:
    """The public file if it is there; otherwise the demo brand's orders, each repetition under numbers of its own."""
    if PUBLIC.is_file():
        return OrderFile(PUBLIC, "online-retail", pl.scan_parquet(PUBLIC).select(pl.len()).collect().item())
    from luxauto_pipelines.demo.files import write_demo

    files = write_demo(scratch / "demo", until=date(2025, 12, 31))
    lines = pl.read_csv(files.orders, infer_schema=False)
    number = pl.col("order_number")
    repeated = pl.concat([lines.with_columns(number + f"-{n}") for n in range(REPEATS)])
    path = scratch / "orders.parquet"
    repeated.write_parquet(path)
    return OrderFile(path, "luxauto", repeated.height)


def empty_books() -> BrandStore:
    """The installation that the environment names, with a migrated store and nothing in it."""
    return prepare(load_settings())


def ingest(books: BrandStore, file: OrderFile, progress: Callable[[str], None] = lambda stage: None) -> IngestResult:
    """The whole way of a file into the store. Raises RuntimeError when not every row is new."""
    result = ingest_orders(books, file.path, load_preset(file.preset), file.preset, progress)
    if result.new != file.rows:
        raise RuntimeError(
            f"{result.new} of {file.rows} rows of {file.path} were taken: the figures would mean nothing"
        )
    return result
