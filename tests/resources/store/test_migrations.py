"""The migrations: from nothing and from every earlier revision to the newest, on both databases.

Does not belong here: what the tables are used for.
"""

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text
from sqlalchemy.exc import DBAPIError

from resources.store import Store, StoreError, open_store
from resources.store.engine import MIGRATIONS
from resources.store.ledger_chain import verify
from resources.store.models import Base

REVISIONS = [script.revision for script in reversed(list(ScriptDirectory(str(MIGRATIONS)).walk_revisions()))]
MIGRATE = """
import sys
from resources.store import open_store
print("ready", flush=True)
sys.stdin.read(1)
open_store(sys.argv[1]).migrate()
"""


@pytest.fixture
def empty(database_url: str) -> Iterator[Store]:
    """A store without any table."""
    opened = open_store(database_url)
    yield opened
    opened.close()


def differences(store: Store) -> list[object]:
    with store.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": False})
        return list(compare_metadata(context, Base.metadata))


def test_the_revisions_form_one_line() -> None:
    script = ScriptDirectory(str(MIGRATIONS))
    assert len(script.get_heads()) == 1
    assert sorted(REVISIONS) == REVISIONS


def test_an_empty_database_has_no_revision_and_is_not_current(empty: Store) -> None:
    assert empty.revision() is None
    assert not empty.is_current()


@pytest.mark.parametrize("start", [None, *REVISIONS])
def test_every_revision_leads_to_the_models(empty: Store, start: str | None) -> None:
    if start is not None:
        empty.migrate(start)
        assert empty.revision() == start
    empty.migrate()
    assert empty.is_current()
    assert differences(empty) == []


def test_days_are_found_by_page_ranges_on_postgresql(empty: Store) -> None:
    if empty.is_sqlite:
        pytest.skip("SQLite has B-trees only")
    empty.migrate()
    with empty.engine.connect() as connection:
        query = "SELECT indexname, indexdef FROM pg_indexes WHERE indexname LIKE 'ix_%_day' AND indexdef LIKE '%USING brin%'"
        found: dict[str, str] = {row.indexname: row.indexdef for row in connection.execute(text(query))}
    assert set(found) == {"ix_order_lines_day", "ix_stock_movements_day"}
    assert all("autosummarize" in definition for definition in found.values())


def test_migrating_again_changes_nothing(empty: Store) -> None:
    empty.migrate()
    tables = inspect(empty.engine).get_table_names()
    empty.migrate()
    assert inspect(empty.engine).get_table_names() == tables


@pytest.mark.parametrize("start", REVISIONS[:-1])
def test_what_was_written_at_an_earlier_revision_survives(empty: Store, start: str) -> None:
    empty.migrate(start)
    founded = datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)
    with empty.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO brands (slug, name, base_currency, timezone, created_at) "
                "VALUES ('maison', 'Maison Élan', 'EUR', 'Europe/Paris', :at)"
            ),
            {"at": founded if not empty.is_sqlite else "2024-01-02 03:04:05.000000"},
        )
        connection.execute(
            text(
                "INSERT INTO skus (brand_id, sku, reorder_point, reorder_point_source, updated_at) "
                "SELECT id, 'BAG-1', 7, 'manual', created_at FROM brands"
            )
        )
    empty.migrate()
    with empty.engine.connect() as connection:
        brand = connection.execute(Base.metadata.tables["brands"].select()).one()
        sku = connection.execute(Base.metadata.tables["skus"].select()).one()
    assert (brand.slug, brand.name, brand.created_at) == ("maison", "Maison Élan", founded)
    assert (sku.brand_id, sku.sku, sku.reorder_point, sku.reorder_point_source) == (brand.id, "BAG-1", 7, "manual")


def test_a_journal_from_before_the_chain_is_chained_and_kept(empty: Store) -> None:
    empty.migrate("0007")
    at = "2024-01-02 03:04:05.000000"
    with empty.engine.begin() as connection:
        for statement in (
            "INSERT INTO brands (id, slug, name, base_currency, timezone, created_at) "
            f"VALUES (1, 'maison', 'Maison', 'EUR', 'Europe/Paris', '{at}')",
            "INSERT INTO accounts (id, brand_id, code, name, type) VALUES (1, 1, '1100', 'Clearing', 'asset')",
            "INSERT INTO accounts (id, brand_id, code, name, type) VALUES (2, 1, '4000', 'Sales', 'revenue')",
            *(
                "INSERT INTO journal_entries (id, brand_id, key, entry_date, recorded_at, description) "
                f"VALUES ({n}, 1, 'old:{n}', '2024-01-0{n}', '{at}', 'Old')"
                for n in (1, 2, 3)
            ),
            *(
                "INSERT INTO postings (brand_id, entry_id, account_id, amount_minor, currency) "
                f"VALUES (1, {n}, {account}, {sign * n}, 'EUR')"
                for n in (1, 2, 3)
                for account, sign in ((1, 1), (2, -1))
            ),
        ):
            connection.execute(text(statement))
    empty.migrate()
    with empty.engine.connect() as connection:
        chain = verify(connection, 1)
        rows = connection.execute(
            text("SELECT key, event_date, entry_date, kind FROM journal_entries ORDER BY id")
        ).all()
    assert (chain.entries, chain.fault) == (3, None)
    assert [row.key for row in rows] == ["old:1", "old:2", "old:3"]
    assert all((row.event_date, row.kind) == (row.entry_date, "manual") for row in rows)
    with pytest.raises(DBAPIError, match="append only"), empty.engine.begin() as connection:
        connection.execute(text("DELETE FROM journal_entries"))


def test_four_processes_that_migrate_at_once_all_succeed(empty: Store, database_url: str) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", MIGRATE, database_url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    errors = []
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("g")
        process.stdin.flush()
    for process in processes:
        errors.append(process.communicate(timeout=60)[1])
    assert [process.returncode for process in processes] == [0] * 4, errors
    assert empty.is_current()
    assert differences(empty) == []


def test_a_migration_that_fails_leaves_the_database_where_it_was(empty: Store) -> None:
    empty.migrate(REVISIONS[0])
    with empty.engine.begin() as connection:
        connection.execute(text("CREATE TABLE postings (id INTEGER)"))
    with pytest.raises(Exception, match="postings"):
        empty.migrate()
    assert empty.revision() == REVISIONS[0]
    with empty.engine.begin() as connection:
        connection.execute(text("DROP TABLE postings"))
    empty.migrate()
    assert differences(empty) == []


def test_a_database_that_does_not_answer_is_named_without_its_password() -> None:
    with pytest.raises(StoreError, match="does not answer") as raised:
        open_store("postgresql://somebody:secret@127.0.0.1:1/books")
    assert "127.0.0.1" in str(raised.value)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("url", ["nonsense", "mysqlite:///x.db", ""])
def test_a_url_that_is_none_says_which_variable_to_correct(url: str) -> None:
    with pytest.raises(StoreError, match="DATABASE_URL"):
        open_store(url)


def test_the_folder_of_a_new_sqlite_file_is_made(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'a' / 'b' / 'store.db'}")
    store.migrate()
    store.close()
    assert (tmp_path / "a" / "b" / "store.db").exists()
