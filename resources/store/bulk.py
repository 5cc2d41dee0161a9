"""Moving whole frames into and out of the store: COPY on PostgreSQL, executemany on SQLite.

Belongs here: the transport. Does not belong here: which rows go where (`orders`, `stock`, …).
"""

import io
from typing import Any, cast

import polars as pl
from polars import selectors as cs
from sqlalchemy import Connection, Executable, Table, text

CHUNK_ROWS = 50_000


def insert_frame(connection: Connection, table: Table | Any, frame: pl.DataFrame) -> None:
    """Insert every row of `frame`, whose columns are columns of `table`. Instants must be UTC.

    Raises the driver's IntegrityError when a row breaks a constraint; nothing of the transaction is then kept.
    """
    names = ", ".join(f'"{name}"' for name in frame.columns)
    for chunk in frame.iter_slices(CHUNK_ROWS):
        if connection.dialect.name == "sqlite":
            marks = ", ".join("?" * frame.width)
            statement = f'INSERT INTO "{table.name}" ({names}) VALUES ({marks})'
            connection.exec_driver_sql(statement, cast(Any, _as_sqlite(chunk).rows()))
        else:
            buffer = io.BytesIO()
            _as_text(chunk).write_csv(buffer, include_header=False)
            buffer.seek(0)
            with cast(Any, connection.connection).cursor() as cursor:
                cursor.copy_expert(f'COPY "{table.name}" ({names}) FROM STDIN (FORMAT csv)', buffer)


def read_frame(
    connection: Connection,
    query: str | Executable,
    schema: dict[str, pl.DataType],
    parameters: dict[str, Any] | None = None,
) -> pl.DataFrame:
    """Rows of an SQL query as a frame with exactly `schema`: names and Polars types, in the query's order.

    Dates and instants come back as such on both databases; instants in UTC.
    """
    statement = text(query) if isinstance(query, str) else query
    cursor = connection.execute(statement, parameters or {})
    rows = [tuple(row) for row in cursor]
    if connection.dialect.name != "sqlite":
        return pl.DataFrame(rows, schema=schema, orient="row")
    raw = {name: pl.String if dtype.is_temporal() or dtype.is_decimal() else dtype for name, dtype in schema.items()}
    return pl.DataFrame(rows, schema=raw, orient="row").with_columns(_from_sqlite(n, t) for n, t in schema.items())


def _from_sqlite(name: str, dtype: pl.DataType) -> pl.Expr:
    if dtype == pl.Date:
        return pl.col(name).str.to_date("%Y-%m-%d")
    if isinstance(dtype, pl.Datetime):
        return pl.col(name).str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us", time_zone="UTC")
    return pl.col(name).cast(dtype)


def _as_sqlite(frame: pl.DataFrame) -> pl.DataFrame:
    # The very text that SQLAlchemy's SQLite types write and read.
    return frame.with_columns(
        cs.datetime().dt.strftime("%Y-%m-%d %H:%M:%S%.6f"),
        cs.date().dt.strftime("%Y-%m-%d"),
        cs.decimal().cast(pl.String),
    )


def _as_text(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(cs.datetime().dt.strftime("%Y-%m-%d %H:%M:%S%.6f+00"))
