"""The audit log: read by admins, kept by triggers, proved by its chain."""

import json
import os
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy.exc import DatabaseError

from resources.store.audit import record, verify
from resources.store.brand_store import BrandStore
from resources.store.bulk import run
from tests.luxauto_pipelines.gateway.conftest import Peer, luxauto, rows


@pytest.fixture
def written(books: BrandStore) -> BrandStore:
    """Five entries."""
    with books.write() as (connection, brand):
        for number in range(5):
            record(connection, brand, "thing.made", f"thing-{number}", {"n": number}, actor="somebody")
    return books


def tamper(books: BrandStore, *statements: str) -> None:
    """What somebody with the database's password could do."""
    with books.store.write("test") as connection:
        if books.store.is_sqlite:
            connection.exec_driver_sql("DROP TRIGGER audit_log_refuses_update")
            connection.exec_driver_sql("DROP TRIGGER audit_log_refuses_delete")
        else:
            connection.exec_driver_sql("DROP TRIGGER audit_log_refuses_changes ON audit_log")
        for statement in statements:
            connection.exec_driver_sql(statement)


def fault(books: BrandStore) -> str | None:
    with books.read() as (connection, brand):
        return verify(connection, brand).fault


def command(*arguments: str) -> tuple[int, dict[str, Any]]:
    said = luxauto({**os.environ}, "audit", "verify", "--format", "json", *arguments)
    return said.returncode, json.loads(said.stdout)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_log SET actor = 'nobody' WHERE id = 2",
        "DELETE FROM audit_log WHERE id = 2",
        "UPDATE audit_log SET hash = hash",
        "DELETE FROM audit_log",
    ],
)
def test_the_database_refuses_changes(written: BrandStore, statement: str) -> None:
    with pytest.raises(DatabaseError, match="append only"), written.store.write("test") as connection:
        run(connection, statement)
    assert fault(written) is None


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("UPDATE audit_log SET actor = 'nobody' WHERE id = 3", "row 3 was changed"),
        ("UPDATE audit_log SET outcome = 'denied' WHERE id = 1", "row 1 was changed"),
        ("UPDATE audit_log SET details = '{\"n\": 9}' WHERE id = 5", "row 5 was changed"),
        ("UPDATE audit_log SET at = '2020-01-01 00:00:00.000000' WHERE id = 4", "row 4 was changed"),
        ("DELETE FROM audit_log WHERE id = 2", "row 3 does not follow"),
        ("DELETE FROM audit_log WHERE id = 1", "row 2 does not follow"),
        ("UPDATE audit_log SET subject = CASE id WHEN 2 THEN 'thing-2' ELSE 'thing-1' END WHERE id IN (2, 3)", "row 2"),
    ],
)
def test_a_change_behind_the_triggers_back_is_named(written: BrandStore, statement: str, named: str) -> None:
    tamper(written, statement)
    assert named in (fault(written) or "")


def test_the_command_proves_the_chain_and_finds_rows_taken_from_the_end(written: BrandStore) -> None:
    code, found = command()
    assert (code, found["rows"], found["fault"], found["intact"]) == (0, 5, None, True)
    assert command("--expect", found["head"])[0] == 0
    with written.write() as (connection, brand):
        record(connection, brand, "thing.made", "thing-5", {}, actor="somebody")
    assert command("--expect", found["head"])[0] == 0
    tamper(written, "DELETE FROM audit_log WHERE id >= 5")
    assert command()[0] == 0
    code, found = command("--expect", found["head"])
    assert (code, found["intact"]) == (1, False)
    assert "taken out" in found["fault"]


def test_the_command_fails_on_a_broken_chain(written: BrandStore) -> None:
    tamper(written, "UPDATE audit_log SET actor = 'nobody' WHERE id = 3")
    code, found = command()
    assert code == 1
    assert "row 3" in found["fault"]


def test_admins_read_the_log_in_pages(make_peer: Callable[..., Peer], written: BrandStore) -> None:
    peer = make_peer()
    first = peer.get("/audit?limit=3").json()
    second = peer.get(f"/audit?limit=3&cursor={first['next_cursor']}").json()
    subjects = [entry["subject"] for entry in (*first["entries"], *second["entries"])]
    assert subjects == ["thing-4", "thing-3", "thing-2", "thing-1", "thing-0"]
    assert second["next_cursor"] is None
    entry = first["entries"][0]
    assert (entry["actor"], entry["details"], entry["outcome"]) == ("somebody", {"n": 4}, "success")
    assert entry["hash"] == rows(written, "SELECT hash FROM audit_log WHERE subject = 'thing-4'")[0][0]


@pytest.mark.parametrize("role", ["developer", "api_user", "read_only"])
def test_nobody_else_reads_the_log(production: Peer, role: str) -> None:
    assert production.get("/audit", headers=production.bearer(role)).status_code == 403
