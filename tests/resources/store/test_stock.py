"""Stock: levels are sums of movements, and an alert is open just as long as what it says is true."""

import json
from datetime import date, datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from assets.ingestion.reference import MOVEMENTS_IN_FILES, normalise_reference
from resources.store.brand_store import BrandStore
from resources.store.stock import (
    movement_days,
    raise_alerts,
    read_alerts,
    read_levels,
    read_movements,
    stock_version,
    write_movements,
)

COLUMNS = ("sku", "occurred_at", "kind", "quantity", "location", "reference")


def movement(sku: str, kind: str, quantity: int, at: str = "2025-03-01 12:00", **more: str) -> dict[str, Any]:
    return {"sku": sku, "kind": kind, "quantity": str(quantity), "occurred_at": at, **more}


def frame(*movements: dict[str, Any]) -> pl.DataFrame:
    rows = pl.DataFrame(movements, schema=dict.fromkeys(COLUMNS, pl.String)).with_row_index("row_number", 1)
    judged = normalise_reference(rows, "stock", currency="EUR", timezone="Europe/Paris")
    assert not judged.rejected.height, judged.rejected
    return judged.lines


def write(books: BrandStore, *movements: dict[str, Any]) -> tuple[int, int]:
    with books.write() as (connection, brand):
        return write_movements(connection, brand, frame(*movements), "main")


def levels(books: BrandStore) -> pl.DataFrame:
    with books.read() as (connection, brand):
        return read_levels(connection, brand)


def on_hand(books: BrandStore) -> dict[str, int]:
    return dict(levels(books).select("sku", "on_hand").iter_rows())


def alert(books: BrandStore, *low: tuple[str, str]) -> list[int]:
    rows = [{"sku": sku, "kind": kind, "details": json.dumps({"available": 1})} for sku, kind in low]
    wanted = pl.DataFrame(rows, schema={"sku": pl.String, "kind": pl.String, "details": pl.String})
    with books.write() as (connection, brand):
        return raise_alerts(connection, brand, wanted)


def test_a_level_is_the_sum_of_its_movements(books: BrandStore) -> None:
    write(
        books,
        movement("BAG", "opening", 10),
        movement("BAG", "receipt", 5, location="paris"),
        movement("BAG", "write_off", -2),
        movement("BELT", "adjustment", -1),
    )
    found = levels(books)
    assert found.select("sku", "on_hand", "reserved", "available", "counted").rows() == [
        ("BAG", 13, 0, 13, True),
        ("BELT", -1, 0, -1, False),
    ]


def test_a_reservation_lowers_what_is_available_and_not_what_is_on_hand(books: BrandStore) -> None:
    write(books, movement("BAG", "opening", 10))
    with books.write() as (connection, _):
        connection.execute(
            text(
                "INSERT INTO stock_movements (brand_id, sku_id, location_id, kind, quantity, occurred_at, local_date) "
                "SELECT brand_id, sku_id, location_id, 'reservation', -3, occurred_at, local_date FROM stock_movements"
            )
        )
    assert levels(books).select("on_hand", "reserved", "available").rows() == [(10, 3, 7)]


def test_the_same_movements_twice_change_nothing(books: BrandStore) -> None:
    movements = [movement("BAG", "receipt", 5), movement("BAG", "receipt", 5), movement("BELT", "opening", 1)]
    assert write(books, *movements) == (3, 0)
    assert write(books, *movements) == (0, 3)
    assert on_hand(books) == {"BAG": 10, "BELT": 1}


def test_overlapping_files_of_movements_add_only_what_is_new(books: BrandStore) -> None:
    first, second, third = (movement("BAG", "receipt", units) for units in (1, 2, 4))
    write(books, first, second)
    assert write(books, second, third) == (1, 1)
    assert on_hand(books) == {"BAG": 7}


def test_the_stock_of_two_brands_lives_apart(books: BrandStore) -> None:
    second = BrandStore(books.settings.model_copy(update={"brand": "second"}), books.store)
    write(books, movement("BAG", "opening", 10))
    assert write(second, movement("BAG", "opening", 10)) == (1, 0)
    write(second, movement("BAG", "write_off", -4))
    assert on_hand(books) == {"BAG": 10}
    assert on_hand(second) == {"BAG": 6}


def test_movements_are_read_by_their_local_day(books: BrandStore) -> None:
    write(books, movement("BAG", "opening", 1, "2025-03-01 23:30"), movement("BAG", "receipt", 2, "2025-03-02 00:10"))
    with books.read() as (connection, brand):
        found = read_movements(connection, brand, date(2025, 3, 2), date(2025, 3, 2))
        days = movement_days(connection, brand)
    assert found["quantity"].to_list() == [2]
    assert found["occurred_at"][0] == datetime.fromisoformat("2025-03-01T23:10:00+00:00")
    assert days.select("day", "movements").rows() == [(date(2025, 3, 1), 1), (date(2025, 3, 2), 1)]


def test_a_file_without_movements_writes_nothing(books: BrandStore) -> None:
    with books.write() as (connection, brand):
        assert write_movements(connection, brand, frame(movement("BAG", "opening", 1)).clear(), "main") == (0, 0)
    assert on_hand(books) == {}


def test_the_version_of_the_stock_changes_when_something_moves(books: BrandStore) -> None:
    def version() -> str:
        with books.read() as (connection, brand):
            return stock_version(connection, brand)

    write(books, movement("BAG", "opening", 1))
    before = version()
    assert version() == before
    write(books, movement("BAG", "receipt", 1))
    assert version() != before


def test_a_sku_has_one_unresolved_alert_of_a_kind(books: BrandStore) -> None:
    write(books, movement("BAG", "opening", 1))
    first = alert(books, ("BAG", "low_stock"))
    assert len(first) == 1
    assert alert(books, ("BAG", "low_stock")) == first
    assert len(alert(books, ("BAG", "low_stock"), ("BAG", "out_of_stock"))) == 2


def test_an_alert_is_resolved_when_the_stock_recovers_and_a_new_one_follows_the_next_fall(books: BrandStore) -> None:
    write(books, movement("BAG", "opening", 1))
    first = alert(books, ("BAG", "low_stock"))
    assert alert(books) == []
    query = text("SELECT id, status, resolved_at IS NOT NULL FROM alerts WHERE brand_id = :brand ORDER BY id")
    with books.read() as (connection, brand):
        assert [tuple(row) for row in connection.execute(query, {"brand": brand})] == [(first[0], "resolved", True)]
    second = alert(books, ("BAG", "low_stock"))
    assert len(second) == 1
    assert second != first


def test_an_acknowledged_alert_stays_acknowledged_while_it_is_true(books: BrandStore) -> None:
    write(books, movement("BAG", "opening", 1))
    first = alert(books, ("BAG", "low_stock"))
    with books.write() as (connection, _):
        connection.execute(text("UPDATE alerts SET status = 'acknowledged'"))
    assert alert(books, ("BAG", "low_stock")) == first
    with books.read() as (connection, brand):
        found = read_alerts(connection, brand)
    assert found.select("sku", "kind", "status").rows() == [("BAG", "low_stock", "acknowledged")]
    assert json.loads(found["details"][0]) == {"available": 1}


def test_the_alerts_of_another_brand_are_left_alone(books: BrandStore) -> None:
    second = BrandStore(books.settings.model_copy(update={"brand": "second"}), books.store)
    write(books, movement("BAG", "opening", 1))
    write(second, movement("BAG", "opening", 1))
    first = alert(books, ("BAG", "low_stock"))
    alert(second)
    assert alert(books, ("BAG", "low_stock")) == first


MOVEMENT = st.builds(
    movement,
    st.sampled_from(["BAG", "BELT", "SCARF"]),
    st.sampled_from(MOVEMENTS_IN_FILES),
    st.integers(-9, 9).filter(bool),
    st.sampled_from(["2025-03-01 12:00", "2025-03-30 02:30", "2025-10-26 02:30"]),
    location=st.sampled_from(["main", "paris"]),
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=st.lists(st.lists(MOVEMENT, min_size=1, max_size=8), min_size=1, max_size=3))
@pytest.mark.parametrize("again", [1, 2])
def test_levels_are_sums_whatever_moves_how_often(
    books: BrandStore, again: int, files: list[list[dict[str, Any]]]
) -> None:
    mine = BrandStore(books.settings.model_copy(update={"brand": f"b{abs(hash(repr(files)))}"}), books.store)
    # Files tell a movement as often as it happened, so that the most frequent telling counts.
    told: dict[tuple[str, ...], int] = {}
    for file in files:
        for _ in range(again):
            write(mine, *file)
        keys = [tuple(row.values()) for row in file]
        told |= {key: max(told.get(key, 0), keys.count(key)) for key in keys}
    expected: dict[str, int] = {}
    for (sku, _, quantity, *_), times in told.items():
        expected[sku] = expected.get(sku, 0) + int(quantity) * times
    assert on_hand(mine) == expected
