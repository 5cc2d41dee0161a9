"""Real parts for the tests: an installation of its own for each, a real PostgreSQL, and the public data sets."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from resources.settings import load_settings
from resources.store import Store, open_store
from resources.store.brand_store import BrandStore
from tests.peers.postgres import PostgresServer

if TYPE_CHECKING:
    from xdist.scheduler import LoadFileScheduling

ROOT = Path(__file__).parents[1]
VARIABLES = (
    "LUXAUTO_BRAND",
    "LUXAUTO_AUTOMATION",
    "LUXAUTO_LAKE_URL",
    "DATABASE_URL",
    "DAGSTER_HOME",
)


# Files of long tests that have no fixture in common: each test may run in another worker.
APART = ("test_channel_storm.py", "test_kills.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with long tests first: one that began last would be waited for by workers that have nothing left to do."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (item.path.name not in APART, item.path not in slow))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> "LoadFileScheduling | None":
    """With `--dist loadfile`: a file is one worker's, but for those of `APART`."""
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return nodeid if file.endswith(APART) else file

    return Scheduling(config, log)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty installation folder; nothing outside it is touched."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "home"
    monkeypatch.setenv("LUXAUTO_HOME", str(folder))
    monkeypatch.setenv("GX_ANALYTICS_ENABLED", "false")
    return folder


@pytest.fixture
def shared_data() -> Path:
    """Folder of the public data sets that lie beside a checkout."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"needs the public data sets in {folder}")
    return folder


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL of this test run."""
    server = PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture
def postgres_url(postgres_server: PostgresServer, request: pytest.FixtureRequest) -> str:
    """An empty database of this test alone."""
    return postgres_server.make_database(f"test_{abs(hash(request.node.nodeid)):x}")


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, home: Path) -> str:
    """Both databases, one after the other."""
    if request.param == "sqlite":
        home.mkdir(parents=True, exist_ok=True)
        return f"sqlite:///{home / 'store.db'}"
    return request.getfixturevalue("postgres_url")


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty store of today's schema, to be copied: migrating each test's own would take most of its time."""
    file = tmp_path_factory.mktemp("migrated") / "store.db"
    _migrate(f"sqlite:///{file}")
    return file


@pytest.fixture(scope="session")
def migrated_database(postgres_server: PostgresServer) -> str:
    """The same on PostgreSQL: the name of a database to be copied."""
    _migrate(postgres_server.make_database("migrated"))
    return "migrated"


@pytest.fixture
def store(database_url: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A migrated store on both databases."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    if database_url.startswith("sqlite"):
        shutil.copy(request.getfixturevalue("migrated_file"), database_url.removeprefix("sqlite:///"))
    else:
        server: PostgresServer = request.getfixturevalue("postgres_server")
        server.make_database(database_url.rsplit("/", 1)[1], request.getfixturevalue("migrated_database"))
    opened = open_store(database_url)
    yield opened
    opened.close()


def _migrate(database_url: str) -> None:
    opened = open_store(database_url)
    opened.migrate()
    opened.close()


@pytest.fixture
def books(store: Store) -> BrandStore:
    """The brand's store on both databases."""
    return BrandStore(load_settings(), store)
