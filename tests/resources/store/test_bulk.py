"""Frames into the store and out again: nothing is lost, rounded or shifted on the way.

Does not belong here: what any table means.
"""

from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import psycopg2.errors
import pytest
from polars.testing import assert_frame_equal

from resources.store import Store
from resources.store.bulk import CHUNK_ROWS, insert_frame, read_frame, reserve_ids, run
from resources.store.orders import DAY, INSTANT, INT, TEXT

SCHEMA: dict[str, pl.DataType] = {
    "number": INT,
    "small": INT,
    "word": TEXT,
    "maybe_number": INT,
    "maybe_word": TEXT,
    "maybe_small": INT,
    "day": DAY,
    "maybe_day": DAY,
    "instant": INSTANT,
    "maybe_instant": INSTANT,
    "flag": pl.Boolean(),
}
ODD = 'a "quoted", one;\nwith a \\ line break, an é, a 手, \\N and it\'s ? :x'
ROWS: list[tuple[Any, ...]] = [
    (0, 0, "", 0, "", 0, date(2000, 1, 1), date(2000, 1, 1), datetime(2000, 1, 1), datetime(2000, 1, 1), False),
    (-1, -1, ODD, None, None, None, date(1970, 1, 1), None, datetime(1970, 1, 1, 0, 0, 0, 1), None, True),
    (
        2**63 - 1,
        2**31 - 1,
        "é" * 5000,
        -(2**63),
        ODD,
        -(2**31),
        date(2999, 12, 31),
        date(1066, 10, 14),
        datetime(2999, 12, 31, 23, 59, 59, 999_999),
        datetime(1969, 12, 31, 23, 59, 59, 999_999),
        True,
    ),
]


@pytest.fixture
def table(store: Store) -> Store:
    """A store with the empty table `everything`."""
    instant = "DATETIME" if store.is_sqlite else "TIMESTAMP WITH TIME ZONE"
    with store.write("test") as connection:
        run(
            connection,
            f"""
            CREATE TABLE everything (
                number BIGINT NOT NULL, small INTEGER, word VARCHAR(9999), maybe_number BIGINT, maybe_word VARCHAR,
                maybe_small INTEGER, day DATE, maybe_day DATE, instant {instant}, maybe_instant {instant}, flag BOOLEAN)
            """,
        )
    return store


def frame(rows: list[tuple[Any, ...]]) -> pl.DataFrame:
    moments = [tuple(v.replace(tzinfo=UTC) if isinstance(v, datetime) else v for v in row) for row in rows]
    return pl.DataFrame(moments, schema=SCHEMA, orient="row")


def there_and_back(store: Store, rows: pl.DataFrame) -> pl.DataFrame:
    with store.write("test") as connection:
        insert_frame(connection, "everything", rows)
        return read_frame(connection, f"SELECT {', '.join(SCHEMA)} FROM everything", SCHEMA)


def test_every_type_comes_back_as_it_was(table: Store) -> None:
    rows = frame(ROWS)
    assert_frame_equal(there_and_back(table, rows), rows)


@pytest.mark.parametrize("row", range(len(ROWS)))
def test_one_row_alone_comes_back_as_it_was(table: Store, row: int) -> None:
    rows = frame(ROWS[row : row + 1])
    assert_frame_equal(there_and_back(table, rows), rows)


@pytest.mark.parametrize("height", [0, 1, 49, 50, 51, CHUNK_ROWS - 1, CHUNK_ROWS, 2 * CHUNK_ROWS + 7])
def test_chunks_of_any_height_come_back_in_order(table: Store, height: int) -> None:
    rows = frame([(*ROWS[n % 3][:1], n, *ROWS[n % 3][2:]) for n in range(height)])
    told: list[int] = []
    with table.write("test") as connection:
        insert_frame(connection, "everything", rows, told.append)
        found = read_frame(connection, f"SELECT {', '.join(SCHEMA)} FROM everything", SCHEMA)
    assert_frame_equal(found, rows)
    assert told == sorted(set(told))
    assert told[-1:] == ([height] if height else [])


def test_a_column_of_nothing_stays_empty(table: Store) -> None:
    with table.write("test") as connection:
        insert_frame(connection, "everything", pl.DataFrame({"number": [1, 2], "maybe_word": [None, None]}))
        found = run(connection, "SELECT number, maybe_word, maybe_day FROM everything").all()
    assert [tuple(row) for row in found] == [(1, None, None), (2, None, None)]


def test_rows_that_are_all_alike_are_all_there(table: Store) -> None:
    with table.write("test") as connection:
        insert_frame(connection, "everything", pl.DataFrame({"number": [7] * 60}))
        assert run(connection, "SELECT count(*), sum(number) FROM everything").one() == (60, 420)


def test_a_number_that_does_not_fit_is_an_error_and_not_another_number(table: Store) -> None:
    if table.is_sqlite:
        pytest.skip("SQLite's integers all have 64 bits")
    with pytest.raises(psycopg2.errors.QueryCanceled, match="small"), table.write("test") as connection:
        insert_frame(connection, "everything", pl.DataFrame({"number": [1], "small": [2**31]}))
    with table.engine.connect() as connection:
        assert run(connection, "SELECT count(*) FROM everything").scalar() == 0


def test_reserved_ids_follow_each_other_and_what_the_database_gives(store: Store) -> None:
    movement = """
        INSERT INTO stock_movements (brand_id, sku_id, location_id, kind, quantity, occurred_at, local_date{more})
        VALUES (1, 1, 1, 'sale', 1, '2025-03-01 12:00:00', '2025-03-01'{value})
    """
    with store.write("test") as connection:
        assert reserve_ids(connection, "stock_movements", 0) == 1
        assert reserve_ids(connection, "stock_movements", 3) == 1
        run(connection, movement.format(more=", id", value=", 3"))
        run(connection, movement.format(more="", value=""))
        assert run(connection, "SELECT id FROM stock_movements ORDER BY id").scalars().all() == [3, 4]
        assert reserve_ids(connection, "stock_movements", 2) == 5
