"""One process at a time, for longer than a transaction, on both databases; and free again when its holder dies."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from luxauto_pipelines.instance import reload
from resources.settings import load_settings
from resources.store.brand_store import BrandStore
from resources.store.bulk import run
from resources.store.locks import Busy, exclusively

ROOT = Path(__file__).parents[3]
HOLD = """
import sys
from luxauto_pipelines.instance import reload
from resources.store.locks import exclusively
with exclusively(reload(), sys.argv[1], wait=True):
    print("held", flush=True)
    sys.stdin.read(1)
print("left", flush=True)
"""


def start(work: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLD, work]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


@pytest.fixture
def holder(books: BrandStore) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the work `sync`."""
    process = start("sync")
    assert said(process) == "held"
    yield process
    process.kill()
    process.communicate()


def test_work_that_another_process_is_at_is_busy(books: BrandStore, holder: subprocess.Popen[str]) -> None:
    with pytest.raises(Busy, match="sync"), exclusively(books, "sync"):
        pass
    with exclusively(books, "something else"):
        pass


def test_work_is_free_when_its_holder_was_killed(books: BrandStore, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()
    with exclusively(books, "sync", wait=True):
        pass


def test_who_waits_gets_it_when_the_holder_leaves(books: BrandStore, holder: subprocess.Popen[str]) -> None:
    waiting = start("sync")
    assert holder.communicate("\n")[0].strip() == "left"
    assert said(waiting) == "held"
    assert waiting.communicate("\n")[0].strip() == "left"


def test_work_is_free_after_an_error_and_can_be_taken_up_again(books: BrandStore) -> None:
    for _ in range(2):
        with pytest.raises(ValueError, match="no"), exclusively(books, "sync"):
            raise ValueError("no")


def test_work_is_held_against_the_same_process_too(books: BrandStore) -> None:
    with exclusively(books, "sync"):
        with pytest.raises(Busy), exclusively(reload(), "sync"):
            pass
        with pytest.raises(Busy), exclusively(books, "sync"):
            pass


def test_each_brand_has_its_own(books: BrandStore) -> None:
    second = BrandStore(load_settings(brand="second"), books.store)
    with exclusively(books, "sync"), exclusively(second, "sync"):
        pass


def test_a_transaction_may_be_written_while_work_is_held(books: BrandStore) -> None:
    with exclusively(books, "sync"), books.write() as (connection, brand):
        assert run(connection, "SELECT :brand", {"brand": brand}).scalar() == brand


def test_a_lock_that_was_lost_with_its_connection_can_be_left(books: BrandStore) -> None:
    if books.store.is_sqlite:
        pytest.skip("a lock of the operating system has no connection")
    with exclusively(books, "sync"):
        with books.read() as (connection, _):
            query = (
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND pid <> pg_backend_pid()"
            )
            assert run(connection, query).scalars().all() == [True]
        with exclusively(books, "sync", wait=True):
            pass
