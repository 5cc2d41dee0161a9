"""The first load of a table: its indexes are built when its rows are in, since one sort is cheaper than a million look-ups.

Belongs here: taking indexes and keys off empty tables and putting them back. Does not belong here: which tables, or any row.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from resources.store.bulk import run

if TYPE_CHECKING:
    from sqlalchemy import Connection

# Of a table with foreign keys the other keys stay: ON CONFLICT needs them, and so do the tables that refer to it. A partial
# index stays too: it is of rows that are written otherwise.
_POSTGRES = """
    SELECT format('ALTER TABLE %I DROP CONSTRAINT %I', CAST(:table AS text), conname),
           format('ALTER TABLE %I ADD CONSTRAINT %I %s', CAST(:table AS text), conname, pg_get_constraintdef(oid))
    FROM pg_constraint
    WHERE conrelid = to_regclass(:table) AND (contype = 'f' OR contype IN ('p', 'u') AND NOT EXISTS
          (SELECT 1 FROM pg_constraint WHERE conrelid = to_regclass(:table) AND contype = 'f'))
    UNION ALL
    SELECT format('DROP INDEX %s', CAST(indexrelid AS regclass)), pg_get_indexdef(indexrelid)
    FROM pg_index
    WHERE indrelid = to_regclass(:table) AND indpred IS NULL
          AND NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conindid = indexrelid)
"""
_SQLITE = (
    "SELECT 'DROP INDEX ' || name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = :table AND sql <> ''"
)
_REFERRED = """
    SELECT DISTINCT CAST(CAST(confrelid AS regclass) AS text) FROM pg_constraint
    WHERE conrelid = to_regclass(:table) AND contype = 'f'
"""


@contextmanager
def indexed_afterwards(connection: "Connection", *tables: str) -> Iterator[None]:
    """Index those of `tables` that are empty, and check whom they refer to, when their rows are in.

    PostgreSQL locks them until the transaction ends, and those that they refer to; while anybody else is at work it is left
    out there. Whatever goes wrong, the rollback brings indexes and keys back.
    """
    empty = [table for table in tables if not run(connection, f'SELECT EXISTS (SELECT 1 FROM "{table}")').scalar()]
    sqlite = connection.dialect.name == "sqlite"
    taken: list[Any] = [
        index
        for table in (empty if sqlite or _locked(connection, empty) else [])
        for index in run(connection, _SQLITE if sqlite else _POSTGRES, {"table": table})
    ]
    for drop, _ in taken:
        connection.exec_driver_sql(drop)
    yield
    if taken and not sqlite:
        # A million lines are then sorted in memory, by two processes.
        connection.exec_driver_sql("SET LOCAL maintenance_work_mem = '256MB'")
    for _, create in taken:
        connection.exec_driver_sql(create)


def _locked(connection: "Connection", tables: list[str]) -> bool:
    """Lock the tables and those that they refer to, unless somebody uses one: to wait might be to wait for each other."""
    from sqlalchemy.exc import OperationalError

    if not tables:
        return False
    referred = {name for table in tables for name in run(connection, _REFERRED, {"table": table}).scalars()}
    try:
        with connection.begin_nested():
            run(connection, f"LOCK TABLE {', '.join({*tables, *referred})} IN ACCESS EXCLUSIVE MODE NOWAIT")
    except OperationalError:
        return False
    return True
