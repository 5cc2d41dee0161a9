"""A PostgreSQL server of the tests' own: started on a free loopback port, killed and started again on the same data."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import psycopg2
import pytest


class PostgresServer:
    """One server. Runs as the user postgres where the tests run as root, since the server refuses to be root."""

    def __init__(self) -> None:
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
        if not found:
            pytest.skip("needs a PostgreSQL server: apt-get install postgresql")
        self.binaries = found[-1]
        # Not below pytest's own folder: another session at the same time may clear that away.
        self.folder = Path(tempfile.mkdtemp(prefix="luxauto-postgres-"))
        self._as_user: list[str] = []
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            self._as_user = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        self.port = free_port()
        self.url = f"postgresql://postgres@127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None
        self._run("initdb", "-D", str(self._data), "-U", "postgres", "-A", "trust", "-E", "UTF8")

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def start(self) -> None:
        """Returns when it takes connections."""
        options = (
            f"-c listen_addresses=127.0.0.1 -c port={self.port} -c unix_socket_directories={self.folder} -c fsync=off"
        )
        self._process = subprocess.Popen(
            [*self._as_user, str(self.binaries / "postgres"), "-D", str(self._data), *options.split()],
            cwd=self.folder,
            # It belongs to no installation, whatever the tests' own environment says.
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        ready = [str(self.binaries / "pg_isready"), "-h", "127.0.0.1", "-p", str(self.port), "-t", "30"]
        while subprocess.run(ready, check=False, capture_output=True).returncode != 0:
            if self._process.poll() is not None:
                pytest.fail("PostgreSQL did not start")

    def stop(self) -> None:
        """A fast shutdown: transactions under way are rolled back."""
        if self._process is not None:
            self._process.send_signal(2)
            self._process.wait(60)
            self._process = None

    def kill(self) -> None:
        """What a power cut leaves: every process of the server gone at once."""
        import psutil

        if self._process is not None:
            parent = psutil.Process(self._process.pid)
            family = [parent, *parent.children(recursive=True)]
            for process in family:
                process.kill()
            self._process.wait(60)
            psutil.wait_procs(family, 60)
            (self._data / "postmaster.pid").unlink(missing_ok=True)
            self._process = None

    def make_database(self, name: str, template: str = "template0") -> str:
        """A database of this name in place of any other, empty or a copy of another one; gives its URL."""
        connection = psycopg2.connect(f"{self.url}/postgres")
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS {name}")
            cursor.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        connection.close()
        return f"{self.url}/{name}"

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [*self._as_user, str(self.binaries / program), *arguments], check=True, capture_output=True, cwd=self.folder
        )


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
