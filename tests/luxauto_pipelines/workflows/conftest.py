"""The workflow engine in one process, on both databases; see `tests/peers/inline.py`."""

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from luxauto_pipelines.workflows import jobs
from resources.store import Store, open_store
from tests.peers import inline
from tests.peers.inline import Engine
from tests.peers.postgres import PostgresServer

SETTINGS = 'agents: ["tests.peers.world", "tests.peers.inline"]\n'


@pytest.fixture(scope="session")
def shared_database(postgres_server: PostgresServer) -> str:
    """A migrated store on PostgreSQL for all tests: one of its own for each would take longer than the test."""
    url = postgres_server.make_database("workflows")
    opened = open_store(url)
    opened.migrate()
    opened.close()
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, home: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both databases, one after the other, migrated; and an installation that knows the agents of the tests."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "luxauto.yaml").write_text(SETTINGS)
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("migrated_file"), home / "store.db")
        return f"sqlite:///{home / 'store.db'}"
    # What a test has to itself is its brand.
    monkeypatch.setenv("LUXAUTO_BRAND", f"test-{uuid.uuid4().hex}")
    return request.getfixturevalue("shared_database")


@pytest.fixture
def store(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """The store of `database_url`, which is migrated already."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    opened = open_store(database_url)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def opened_instance() -> Iterator[dg.DagsterInstance]:
    with inline.open_instance() as opened:
        yield opened


@pytest.fixture
def instance(opened_instance: dg.DagsterInstance) -> dg.DagsterInstance:
    """A Dagster instance in memory without any run."""
    opened_instance.wipe()
    return opened_instance


@pytest.fixture
def engine(books: inline.BrandStore, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """The engine, which does not wait long before it undoes something again."""
    monkeypatch.setattr(jobs, "UNDO_DELAY_SECONDS", 0.01)
    return Engine(books, instance)
