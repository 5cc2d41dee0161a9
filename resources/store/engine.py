"""Opening the store: engine, sessions, migrations, and the lock that makes one writer of a brand wait for another.

Does not belong here: any query (`resources/store/<noun>.py`) and any table (`models`).
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from resources.settings import normalise_database_url
from resources.store.bulk import run

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

MIGRATIONS = Path(__file__).parent / "migrations"
SQLITE_BUSY_SECONDS = 60
RESTART_SECONDS = 60
_T = TypeVar("_T")
# As many threads of the gateway may read at once; a connection beyond these is opened and closed each time, which is slow.
POOL_SIZE = 16
_IMMEDIATE = "luxauto_immediate"


class StoreError(Exception):
    """The store cannot be reached or used; the message says what to do."""


@dataclass(frozen=True)
class Store:
    """An open store: its engine reads, `write()` is one exclusive transaction."""

    engine: "Engine"
    # SQLite lets one write at a time. Who finds it busy sleeps, and longer each time: threads had better queue.
    _turn: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False, compare=False)

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def write(self, lock: str) -> Iterator["Connection"]:
        """One transaction that no other `write` with the same lock name overlaps, in this process or another.

        SQLite takes its single write lock at once; PostgreSQL an advisory lock of that name. Rolled back on any error.
        """
        turn = self._turn if self.is_sqlite else nullcontext()
        with (
            turn,
            self.engine.connect().execution_options(**{_IMMEDIATE: True}) as connection,
            connection.begin(),
        ):
            if not self.is_sqlite:
                run(connection, "SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))", {"name": lock})
            yield connection

    def revision(self) -> str | None:
        """The migration that the database stands at; None when it is empty."""
        from alembic.migration import MigrationContext

        with self.engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision()

    def migrate(self, revision: str = "head") -> None:
        """Bring the database forwards to `revision`. Safe to call at every start, and by several processes at once."""
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        with self.write("migrate") as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, revision)

    def is_current(self) -> bool:
        """Whether every migration has been applied."""
        from alembic.script import ScriptDirectory

        return self.revision() == ScriptDirectory(str(MIGRATIONS)).get_current_head()

    def close(self) -> None:
        self.engine.dispose()


def open_store(database_url: str) -> Store:
    """Connect to the store at an SQLAlchemy URL (`sqlite:///…` or `postgresql://…`).

    Raises StoreError when the server does not answer or the driver is missing.
    """
    from sqlalchemy import create_engine
    from sqlalchemy.exc import ArgumentError, OperationalError, ProgrammingError

    url = normalise_database_url(database_url)
    if url.startswith("sqlite:///"):
        Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    try:
        engine = create_engine(url, pool_pre_ping=True, pool_size=POOL_SIZE, max_overflow=POOL_SIZE)
        if engine.dialect.name == "sqlite":
            _configure_sqlite(engine)
        with engine.connect():
            return Store(engine)
    except ModuleNotFoundError as error:
        raise StoreError(
            f"DATABASE_URL needs the package {error.name}: install luxauto with its `postgres` extra."
        ) from error
    except ArgumentError as error:
        # The text may hold a password, so it is not shown.
        raise StoreError("DATABASE_URL is no sqlite:/// or postgresql:// URL. Correct it.") from error
    except (OperationalError, ProgrammingError) as error:
        raise StoreError(
            f"the database at {_without_password(url)} does not answer: {error.orig}. Check DATABASE_URL."
        ) from error


def patiently(work: Callable[[], _T]) -> _T:
    """Do something with the store, again and again while it is restarting. The work is one transaction and may be repeated."""
    from sqlalchemy.exc import DBAPIError

    deadline = time.monotonic() + RESTART_SECONDS
    pause = 0.1
    while True:
        try:
            return work()
        except (DBAPIError, StoreError) as error:
            if not _passes(error) or time.monotonic() > deadline:
                raise
            time.sleep(pause)
            pause = min(pause * 2, 2.0)


def _passes(error: Exception) -> bool:
    from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

    cause = error.__cause__ if isinstance(error, StoreError) else error
    return isinstance(cause, (OperationalError, InterfaceError)) or (
        isinstance(cause, DBAPIError) and cause.connection_invalidated
    )


def _configure_sqlite(engine: "Engine") -> None:
    from sqlalchemy import event

    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _record: Any) -> None:
        # SQLAlchemy's BEGIN, not the driver's: the driver's would not start one before a SELECT.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (
            f"busy_timeout={SQLITE_BUSY_SECONDS * 1000}",
            "journal_mode=WAL",
            "synchronous=NORMAL",
            "foreign_keys=ON",
            "cache_size=-65536",
            "temp_store=MEMORY",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _on_begin(connection: "Connection") -> None:
        # A reader that turns writer fails at once when another has written; a writer that says so early waits its turn.
        immediate = connection.get_execution_options().get(_IMMEDIATE)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def _without_password(url: str) -> str:
    from sqlalchemy.engine import make_url

    return make_url(url).render_as_string(hide_password=True)
