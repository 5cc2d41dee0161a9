"""The first load: whatever it takes off an empty table is back afterwards, and has been checked.

Does not belong here: what an ingest writes (`test_orders`).
"""

from typing import Any

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from resources.store import Store
from resources.store.bulk import run
from resources.store.first_load import indexed_afterwards

TABLES = ("orders", "order_lines", "stock_movements", "transactions")
LINE = """
    INSERT INTO order_lines (brand_id, order_id, import_id, row_number, kind, code, quantity, unit_price_micros, amount_minor,
                             currency, occurrence, occurred_at, local_date)
    VALUES (1, 1, 1, 1, 'goods', 'BAG', 1, 1, 1, 'EUR', 0, '2025-03-01 12:00:00', '2025-03-01')
"""
ORDER = """
    INSERT INTO orders (brand_id, channel_id, number, currency, placed_at, local_date)
    VALUES (1, 1, '1', 'EUR', '2025-03-01 12:00:00', '2025-03-01')
"""


def rules(connection: Connection) -> set[Any]:
    """Every index and constraint of the tables, in the database's own words."""
    listed = ", ".join(f"'{table}'" for table in TABLES)
    if connection.dialect.name == "sqlite":
        return set(run(connection, f"SELECT sql FROM sqlite_master WHERE tbl_name IN ({listed})").scalars())
    tables = f"CAST(ARRAY[{listed}] AS regclass[])"
    indexes = f"SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = ANY({tables})"
    keys = f"SELECT conname || pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = ANY({tables})"
    return {*run(connection, indexes).scalars(), *run(connection, keys).scalars()}


def test_indexes_and_keys_are_back_after_the_rows(store: Store) -> None:
    with store.write("test") as connection:
        before = rules(connection)
        with indexed_afterwards(connection, *TABLES):
            assert rules(connection) < before
            run(connection, LINE)
        assert rules(connection) == before
        with pytest.raises(IntegrityError):
            run(connection, LINE)


def test_an_error_brings_them_back_too(store: Store) -> None:
    with store.engine.connect() as connection:
        before = rules(connection)
    with pytest.raises(ZeroDivisionError), store.write("test") as connection, indexed_afterwards(connection, *TABLES):
        run(connection, LINE)
        _ = 1 / 0
    with store.engine.connect() as connection:
        assert rules(connection) == before
        assert run(connection, "SELECT count(*) FROM order_lines").scalar() == 0


@pytest.mark.parametrize("rows", [(LINE, LINE), (ORDER,)], ids=["the same line twice", "an order of no brand"])
def test_what_breaks_a_key_is_refused_whole(store: Store, rows: tuple[str, ...]) -> None:
    with pytest.raises(IntegrityError), store.write("test") as connection, indexed_afterwards(connection, *TABLES):
        for row in rows:
            run(connection, row)
    with store.engine.connect() as connection:
        assert [run(connection, f"SELECT count(*) FROM {table}").scalar() for table in TABLES] == [0] * len(TABLES)


def test_a_table_with_rows_keeps_its_indexes(store: Store) -> None:
    with store.write("test") as connection:
        run(connection, LINE)
        before = rules(connection)
        with indexed_afterwards(connection, "order_lines"):
            assert rules(connection) == before


def test_nothing_is_taken_off_while_somebody_reads(store: Store) -> None:
    if store.is_sqlite:
        pytest.skip("a reader of SQLite sees the state before the transaction")
    with store.engine.connect() as reader:
        reader.execute(text("SELECT * FROM brands"))
        with store.write("test") as connection:
            before = rules(connection)
            with indexed_afterwards(connection, *TABLES):
                assert rules(connection) == before
