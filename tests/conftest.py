"""Real parts for the tests: an installation of its own for each, a real PostgreSQL, and the public data sets."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from resources.settings import load_settings
from resources.store import Store, open_store
from resources.store.brand_store import BrandStore

ROOT = Path(__file__).parents[1]
VARIABLES = (
    "LUXAUTO_BRAND",
    "LUXAUTO_AUTOMATION",
    "LUXAUTO_PROPHET_SKUS",
    "LUXAUTO_LAKE_URL",
    "DATABASE_URL",
    "DAGSTER_HOME",
)


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
def postgres_server() -> Iterator[str]:
    """A PostgreSQL of this test run on a free loopback port; gives the URL of its maintenance database."""
    binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not binaries:
        pytest.skip("needs a PostgreSQL server: apt-get install postgresql")
    # Not below pytest's own folder: another session at the same time may clear that away.
    folder = Path(tempfile.mkdtemp(prefix="luxauto-postgres-"))
    as_user: list[str] = []
    if os.geteuid() == 0:
        # The server refuses to run as root.
        user = pwd.getpwnam("postgres")
        os.chown(folder, user.pw_uid, user.pw_gid)
        as_user = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    port = free_port()
    data = folder / "data"
    initdb = [*as_user, str(binaries[-1] / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8"]
    subprocess.run(initdb, check=True, capture_output=True, cwd=folder)
    options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={folder} -c fsync=off"
    server = subprocess.Popen(
        [*as_user, str(binaries[-1] / "postgres"), "-D", str(data), *options.split()],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        ready = [str(binaries[-1] / "pg_isready"), "-h", "127.0.0.1", "-p", str(port), "-t", "30"]
        while subprocess.run(ready, check=False, capture_output=True).returncode != 0:
            if server.poll() is not None:
                pytest.fail("PostgreSQL did not start")
        yield f"postgresql://postgres@127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres_server: str, request: pytest.FixtureRequest) -> str:
    """An empty database of this test alone."""
    import psycopg2

    name = f"test_{abs(hash(request.node.nodeid)):x}"
    connection = psycopg2.connect(f"{postgres_server}/postgres")
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {name}")
        cursor.execute(f"CREATE DATABASE {name}")
    connection.close()
    return f"{postgres_server}/{name}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, home: Path) -> str:
    """Both databases, one after the other."""
    if request.param == "sqlite":
        home.mkdir(parents=True, exist_ok=True)
        return f"sqlite:///{home / 'store.db'}"
    return request.getfixturevalue("postgres_url")


@pytest.fixture
def store(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A migrated store on both databases."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    opened = open_store(database_url)
    opened.migrate()
    yield opened
    opened.close()


@pytest.fixture
def books(store: Store) -> BrandStore:
    """The brand's store on both databases."""
    return BrandStore(load_settings(), store)


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
