"""The workflow engine in one process, on both databases; see `tests/peers/inline.py`."""

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from luxauto_pipelines.workflows import jobs
from resources.store import open_store
from tests.peers import inline
from tests.peers.inline import Engine
from tests.peers.postgres import PostgresServer

SETTINGS = 'agents: ["tests.peers.world", "tests.peers.inline"]\n'


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty store of today's schema, to be copied: migrating each test's own would take most of its time."""
    file = tmp_path_factory.mktemp("migrated") / "store.db"
    store = open_store(f"sqlite:///{file}")
    store.migrate()
    store.close()
    return file


@pytest.fixture(scope="session")
def migrated_database(postgres_server: PostgresServer) -> str:
    """The same on PostgreSQL, for all tests."""
    url = postgres_server.make_database("workflows")
    store = open_store(url)
    store.migrate()
    store.close()
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, home: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both databases, one after the other, migrated; and an installation that knows the agents of the tests."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "luxauto.yaml").write_text(SETTINGS)
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("migrated_file"), home / "store.db")
        return f"sqlite:///{home / 'store.db'}"
    # A database of its own for each test would take longer than the test: each has a brand of its own.
    monkeypatch.setenv("LUXAUTO_BRAND", f"test-{uuid.uuid4().hex}")
    return request.getfixturevalue("migrated_database")


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
