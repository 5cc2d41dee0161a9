"""Work that only one process may do at a time, for longer than a transaction.

The lock ends with the process that holds it, however that ends: it is a lock of the operating system beside a SQLite file,
and of the session on PostgreSQL.
"""

import fcntl
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from resources.store.brand_store import BrandStore
from resources.store.bulk import run

if TYPE_CHECKING:
    from sqlalchemy import Connection


_BUSY = "another process is at {}: try again when it has ended"


class Busy(Exception):
    """Somebody else is at it; the message names the brand and the work."""


@contextmanager
def exclusively(books: BrandStore, work: str, *, wait: bool = False) -> Iterator[None]:
    """Hold the brand's lock of this name. Raises Busy where it is held, unless `wait`."""
    name = f"{books.settings.brand}:{work}"
    with _file_lock(books, name, wait) if books.store.is_sqlite else _session_lock(books, name, wait):
        yield


@contextmanager
def _file_lock(books: BrandStore, name: str, wait: bool) -> Iterator[None]:
    database = Path(books.store.engine.url.database or "store.db")
    number = hashlib.sha256(name.encode()).hexdigest()[:16]
    folder = database.parent / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{number}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as error:
            raise Busy(_BUSY.format(name)) from error
        yield


@contextmanager
def _session_lock(books: BrandStore, name: str, wait: bool) -> Iterator[None]:
    with books.store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if wait:
            run(connection, "SELECT pg_advisory_lock(hashtextextended(:name, 1))", {"name": name})
        elif not run(connection, "SELECT pg_try_advisory_lock(hashtextextended(:name, 1))", {"name": name}).scalar():
            raise Busy(_BUSY.format(name))
        try:
            yield
        finally:
            _unlock(connection, name)


def _unlock(connection: "Connection", name: str) -> None:
    from sqlalchemy.exc import DBAPIError

    try:
        run(connection, "SELECT pg_advisory_unlock(hashtextextended(:name, 1))", {"name": name})
    except DBAPIError as error:
        # A connection that was lost has lost the lock with it.
        if not error.connection_invalidated:
            raise
