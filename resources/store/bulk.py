"""Moving whole frames into and out of the store: COPY on PostgreSQL, many rows a statement on SQLite.

Belongs here: the transport, and the one place where a textual statement is run: SQLAlchemy is imported here, when the first
statement runs, so that a code location which only defines assets does not pay for it.
Does not belong here: which rows go where (`orders`, `stock`, …).
"""

import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

import polars as pl
from polars import selectors as cs

if TYPE_CHECKING:
    from sqlalchemy import Connection, CursorResult, TextClause

CHUNK_ROWS = 10_000
STATEMENT_ROWS = 50
_PLAIN = (int, str, type(None))


def insert_frame(
    connection: "Connection", table: str, frame: pl.DataFrame, progress: Callable[[int], None] = lambda done: None
) -> None:
    """Insert every row of `frame`, whose columns are columns of `table`. Instants must be UTC.

    `progress` hears, maybe from another thread, how many rows are on their way. Raises the driver's IntegrityError when a
    row breaks a constraint; nothing of the transaction is then kept.
    """
    cursor = cast(Any, connection.connection).cursor()
    chunks = _told(frame, progress)
    if connection.dialect.name == "sqlite":
        for chunk in chunks:
            _insert_sqlite(cursor, table, chunk)
    elif frame.select(cs.decimal()).width:
        buffer = io.BytesIO(_as_text(frame).write_csv(include_header=False).encode())
        cursor.copy_expert(f'COPY "{table}" ({_quoted(frame.columns)}) FROM STDIN (FORMAT csv)', buffer)
    else:
        from resources.store.binary_copy import copy_binary

        copy_binary(cursor, table, _quoted(frame.columns), chunks)
    cursor.close()


def _told(frame: pl.DataFrame, progress: Callable[[int], None]) -> Iterator[pl.DataFrame]:
    for start in range(0, frame.height, CHUNK_ROWS):
        yield frame.slice(start, CHUNK_ROWS)
        progress(min(start + CHUNK_ROWS, frame.height))


def _insert_sqlite(cursor: Any, name: str, chunk: pl.DataFrame) -> None:
    # What is the same in every row, such as the brand, is written into the statement: binding it a million times is slow.
    fixed = [c for c in chunk.columns if _is_fixed(chunk[c])][: chunk.width - 1]
    bound = _as_sqlite(chunk.drop(fixed))
    columns = _quoted([*fixed, *bound.columns])
    row = f"({', '.join([*(_literal(chunk[c][0]) for c in fixed), *('?' * bound.width)])})"
    values: list[Any] = [None] * (bound.height * bound.width)
    for index, column in enumerate(bound.iter_columns()):
        values[index :: bound.width] = column.to_list()
    # Fifty rows a statement take three quarters of the time of one.
    whole = chunk.height // STATEMENT_ROWS * STATEMENT_ROWS * bound.width
    for rows, part in ((STATEMENT_ROWS, values[:whole]), (1, values[whole:])):
        step = rows * bound.width
        statement = f'INSERT INTO "{name}" ({columns}) VALUES {", ".join([row] * rows)}'
        cursor.executemany(statement, (part[start : start + step] for start in range(0, len(part), step)))


def _is_fixed(column: pl.Series) -> bool:
    if not (column.dtype.is_integer() or column.dtype == pl.String) or column.null_count():
        return False
    # A statement ends at a NUL; a bound value does not.
    return column.min() == column.max() and "\0" not in str(column[0])


def _literal(value: str | int) -> str:
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else str(value)


def _quoted(columns: list[str]) -> str:
    return ", ".join(f'"{column}"' for column in columns)


def reserve_ids(connection: "Connection", table: str, count: int) -> int:
    """The first of `count` consecutive ids that nobody else gets: other writers of the table wait for this transaction."""
    if connection.dialect.name == "sqlite" or not count:
        return run(connection, f'SELECT coalesce(max(id), 0) + 1 FROM "{table}"').scalar_one()
    run(connection, f'LOCK TABLE "{table}" IN SHARE ROW EXCLUSIVE MODE')
    sequence = f"pg_get_serial_sequence('{table}', 'id')"
    last = run(connection, f"SELECT setval({sequence}, nextval({sequence}) + :more)", {"more": count - 1}).scalar_one()
    return last - count + 1


def insert_row(connection: "Connection", table: str, values: dict[str, Any]) -> int:
    """Insert one row and return its id. Dates, instants and JSON are bound as the column types of the models write them."""
    return fetch(connection, _insertion(table, tuple(values)), values)[0][0]


def insert_few(
    connection: "Connection", table: str, columns: tuple[str, ...], rows: Sequence[Sequence[Any]]
) -> list[int]:
    """Insert some rows in one statement, bound as `insert_row` does. Returns their ids. For a handful: each value is named."""
    values = {f"{name}_{n}": value for n, row in enumerate(rows) for name, value in zip(columns, row, strict=True)}
    return [number for (number,) in fetch(connection, _insertion_of_few(table, columns, len(rows)), values)]


@lru_cache(maxsize=256)
def _insertion(table: str, columns: tuple[str, ...]) -> str:
    marks = ", ".join(f":{name}" for name in columns)
    return f'INSERT INTO "{table}" ({_quoted(list(columns))}) VALUES ({marks}) RETURNING id'


@lru_cache(maxsize=256)
def _insertion_of_few(table: str, columns: tuple[str, ...], rows: int) -> str:
    marks = ", ".join("(" + ", ".join(f":{name}_{n}" for name in columns) + ")" for n in range(rows))
    return f'INSERT INTO "{table}" ({_quoted(list(columns))}) VALUES {marks} RETURNING id'


def fetch(connection: "Connection", statement: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Rows of a statement like `run`'s, straight from the driver: a fifth of the time, for what a request waits for.

    What the driver gives is not converted: in SQLite instants, days and JSON are text. Raises SQLAlchemy's errors.
    """
    dialect = connection.dialect
    sqlite = dialect.name == "sqlite"
    bound = {n: v if v.__class__ in _PLAIN else _bound(v, sqlite) for n, v in values.items()}
    cursor = cast(Any, connection.connection).cursor()
    try:
        cursor.execute(statement if sqlite else _for_psycopg(statement), bound)
        return cursor.fetchall()
    except dialect.loaded_dbapi.Error as error:
        from sqlalchemy.exc import DBAPIError

        raise DBAPIError.instance(statement, {}, error, dialect.loaded_dbapi.Error, hide_parameters=True) from error
    finally:
        cursor.close()


@lru_cache(maxsize=256)
def _for_psycopg(statement: str) -> str:
    return re.sub(r"(?<!:):(\w+)", r"%(\1)s", statement.replace("%", "%%"))


def run(connection: "Connection", statement: str, values: dict[str, Any] | None = None) -> "CursorResult[Any]":
    """Execute SQL with `:name` parameters: dicts are bound as JSON, and for SQLite dates and instants as its text."""
    sqlite = connection.dialect.name == "sqlite"
    return connection.execute(
        _parsed(statement), {name: _bound(value, sqlite) for name, value in (values or {}).items()}
    )


@lru_cache(maxsize=256)
def _parsed(statement: str) -> "TextClause":
    from sqlalchemy import text

    return text(statement)


def _bound(value: Any, sqlite: bool) -> Any:
    if isinstance(value, dict):
        return json.dumps(value)
    if sqlite and isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")
    if sqlite and isinstance(value, date):
        return value.isoformat()
    return value


def as_instant(value: Any) -> datetime:
    """An instant as either database gives it, in UTC."""
    instant = datetime.fromisoformat(value) if isinstance(value, str) else value
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


def as_json(value: Any) -> Any:
    """A JSON column as either database gives it."""
    return json.loads(value) if isinstance(value, str) else value


def ids_by_code(connection: "Connection", query: str, values: dict[str, Any]) -> dict[str, int]:
    """Rows of two columns, a code and an id, as a mapping."""
    rows: Any = run(connection, query, values)
    return {str(code): int(number) for code, number in rows}


def upsert_frame(
    connection: "Connection", table: str, frame: pl.DataFrame, key: list[str], update: dict[str, str]
) -> None:
    """Insert the rows of `frame`, of distinct keys; where `key` is already there, set `update`, SQL expressions by column.

    An expression names the row's own value as `excluded.x` and the stored one as `table.x`. Nothing to update: keep the row.
    """
    if not run(connection, f'SELECT EXISTS (SELECT 1 FROM "{table}")').scalar():
        insert_frame(connection, table, frame)
        return
    staging = f"staging_{table}"
    columns = _quoted(frame.columns)
    run(connection, f'CREATE TEMPORARY TABLE {staging} AS SELECT {columns} FROM "{table}" WHERE 1 = 0')
    insert_frame(connection, staging, frame)
    action = "UPDATE SET " + ", ".join(f'"{c}" = {e}' for c, e in update.items()) if update else "NOTHING"
    run(
        connection,
        f'INSERT INTO "{table}" ({columns}) SELECT {columns} FROM {staging} WHERE true '
        f"ON CONFLICT ({', '.join(key)}) DO {action}",
    )
    run(connection, f"DROP TABLE {staging}")


def read_frame(
    connection: "Connection",
    query: str,
    schema: dict[str, pl.DataType],
    parameters: dict[str, Any] | None = None,
) -> pl.DataFrame:
    """Rows of an SQL query as a frame with exactly `schema`: names and Polars types, in the query's order.

    Dates and instants come back as such on both databases; instants in UTC.
    """
    cursor = run(connection, query, parameters)
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
