"""Ingest: rows a second of `ingest_orders`, beside reading the same file and inserting its columns as they are.

Ours reads, judges and values, and writes orders, lines, stock movements and transactions with their indexes in one
transaction. It is the first load of a store, which builds the indexes last. The reference has none of that: one table, no
index, no key.
"""

import io
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, cast

import polars as pl
from polars import selectors as cs
from sqlalchemy import text

from benchmarks.measure import Measured, installation, medians
from benchmarks.orders import OrderFile, empty_books, ingest, order_file
from benchmarks.postgres import databases
from resources.store import Store, open_store

PAIRS = 3
TARGET = 0.3
TABLE = "plain_rows"


def run() -> Iterator[Measured]:
    """Rows for SQLite and, where a server is installed, PostgreSQL."""
    with tempfile.TemporaryDirectory() as folder:
        file = order_file(Path(folder))
        with _sqlite_urls(Path(folder)) as urls:
            yield _measure("ingest-sqlite", file, Path(folder), urls)
        with databases() as urls:
            if urls is not None:
                yield _measure("ingest-postgresql", file, Path(folder), urls)


def _measure(name: str, file: OrderFile, folder: Path, urls: Iterator[str]) -> Measured:
    homes = (folder / f"{name}-{number}" for number in count())
    ours, reference = medians(
        lambda: file.rows / _seconds_of_ingest(file, next(homes), next(urls)),
        lambda: file.rows / _seconds_of_plain_insert(file, next(urls)),
        PAIRS,
    )
    return Measured(name, "rows/s", ours, reference, TARGET, "higher")


def _seconds_of_ingest(file: OrderFile, home: Path, url: str) -> float:
    with installation(home, url):
        books = empty_books()
        began = time.perf_counter()
        ingest(books, file)
        seconds = time.perf_counter() - began
        books.store.close()
    return seconds


def _seconds_of_plain_insert(file: OrderFile, url: str) -> float:
    store = open_store(url)
    _create_table(store, pl.read_parquet_schema(file.path))
    began = time.perf_counter()
    _insert(store, pl.read_parquet(file.path))
    seconds = time.perf_counter() - began
    store.close()
    return seconds


def _create_table(store: Store, columns: dict[str, pl.DataType]) -> None:
    types = ", ".join(f'"{name}" {_sql_type(dtype)}' for name, dtype in columns.items())
    with store.write("benchmark") as connection:
        connection.execute(text(f"CREATE TABLE {TABLE} ({types})"))


def _sql_type(dtype: pl.DataType) -> str:
    if dtype.is_integer():
        return "bigint"
    if dtype.is_float():
        return "double precision"
    return "timestamp" if dtype.is_temporal() else "text"


def _insert(store: Store, rows: pl.DataFrame) -> None:
    with store.write("benchmark") as connection:
        cursor = cast(Any, connection.connection).cursor()
        if store.is_sqlite:
            marks = ", ".join("?" * rows.width)
            cursor.executemany(
                f"INSERT INTO {TABLE} VALUES ({marks})",
                rows.with_columns(cs.datetime().dt.strftime("%Y-%m-%d %H:%M:%S")).iter_rows(),
            )
        else:
            buffer = io.BytesIO(rows.write_csv(include_header=False).encode())
            cursor.copy_expert(f"COPY {TABLE} FROM STDIN (FORMAT csv)", buffer)


@contextmanager
def _sqlite_urls(folder: Path) -> Iterator[Iterator[str]]:
    """URLs of databases that do not exist yet; each file goes when the next one is asked for."""

    def urls() -> Iterator[str]:
        for number in count():
            path = folder / f"store-{number}.db"
            yield f"sqlite:///{path}"
            for used in folder.glob(f"{path.name}*"):
                used.unlink()

    yield urls()
