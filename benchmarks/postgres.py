"""A PostgreSQL server for the length of a benchmark, with the settings it comes with, and an empty database each time."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

START_SECONDS = 30


@contextmanager
def databases() -> Iterator[Iterator[str] | None]:
    """URLs of empty databases, one after the other; None when no server is installed under /usr/lib/postgresql."""
    binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not binaries:
        yield None
        return
    with _server(binaries[-1]) as url:
        yield _urls(url)


def _urls(server: str) -> Iterator[str]:
    import psycopg2

    for number in count(1):
        connection = psycopg2.connect(f"{server}/postgres")
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS bench_{number - 1}")
            cursor.execute(f"CREATE DATABASE bench_{number}")
        connection.close()
        yield f"{server}/bench_{number}"


@contextmanager
def _server(binaries: Path) -> Iterator[str]:
    folder = Path(tempfile.mkdtemp(prefix="bench-postgres-"))
    as_user: list[str] = []
    if os.geteuid() == 0:
        # The server refuses to run as root.
        user = pwd.getpwnam("postgres")
        os.chown(folder, user.pw_uid, user.pw_gid)
        as_user = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    data, port = folder / "data", _free_port()
    initdb = [*as_user, str(binaries / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8"]
    subprocess.run(initdb, check=True, capture_output=True, cwd=folder)
    options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={folder}"
    server = subprocess.Popen(
        [*as_user, str(binaries / "postgres"), "-D", str(data), *options.split()],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        ready = [str(binaries / "pg_isready"), "-h", "127.0.0.1", "-p", str(port), "-t", str(START_SECONDS)]
        while subprocess.run(ready, check=False, capture_output=True).returncode != 0:
            if server.poll() is not None:
                raise RuntimeError("PostgreSQL did not start")
        yield f"postgresql://postgres@127.0.0.1:{port}"
    finally:
        # A fast shutdown: the default one waits for every client.
        server.send_signal(signal.SIGINT)
        server.wait(START_SECONDS)
        shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
