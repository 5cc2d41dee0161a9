"""Which location units leave and to which they return, what a set consists of, and the trail that movements leave.

Does not belong here: movements from files (`test_stock`) and from orders (`test_channel_orders`).
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import inspect
from sqlalchemy.exc import IntegrityError

from resources.store.brand_store import BrandStore
from resources.store.brands import location_ids
from resources.store.bulk import run
from resources.store.catalog_codes import sku_ids
from resources.store.movements import (
    INDEXES,
    Movement,
    components_of,
    levels_by_location,
    move,
    put_back,
    read_history,
    take_out,
    units_out,
)
from resources.store.reservations import Promise, reserve
from resources.store.stock_keeping import Counted, save_bundle, set_level

DAY, NOON = date(2026, 3, 1), datetime(2026, 3, 1, 12, tzinfo=UTC)
PLACES = ("main", "paris", "tokyo")


def count(books: BrandStore, **units: int) -> None:
    """What each location has of BAG."""
    with books.write() as (connection, brand):
        for place, quantity in units.items():
            set_level(connection, brand, Counted("BAG", place, quantity, "anna", "count"), DAY)


def promise(books: BrandStore, units: int, place: str) -> None:
    with books.write() as (connection, brand):
        sku = sku_ids(connection, brand, ["BAG"])["BAG"]
        reserve(connection, brand, Promise(f"{place}:{units}", sku, "BAG", units, None, "anna"), DAY, (place,))


def take(books: BrandStore, units: int, *places: str) -> dict[str, int]:
    """Take BAGs out, for the reference R. Returns what each location lost."""
    return _moved(books, lambda c, b, sku: take_out(c, b, sku, units, places), "sale", "R")


def back(books: BrandStore, units: int, *places: str, reference: str = "R") -> dict[str, int]:
    return _moved(books, lambda c, b, sku: put_back(c, b, sku, units, reference, places), "return", reference)


def _moved(books: BrandStore, decide: Any, kind: str, reference: str) -> dict[str, int]:
    with books.write() as (connection, brand):
        sku = sku_ids(connection, brand, ["BAG"])["BAG"]
        decided: Mapping[int, int] = decide(connection, brand, sku)
        for place, quantity in decided.items():
            move(connection, Movement(brand, sku, place, kind, quantity, NOON, DAY, reference, "shop", "order 1"))
        codes = {number: code for code, number in location_ids(connection, brand, PLACES).items()}
    return {codes[place]: quantity for place, quantity in decided.items()}


def levels(books: BrandStore) -> dict[str, tuple[int, int]]:
    """On hand and reserved of BAG."""
    with books.read() as (connection, brand):
        codes = {number: code for code, number in location_ids(connection, brand, PLACES).items()}
        found = levels_by_location(connection, sku_ids(connection, brand, ["BAG"])["BAG"])
    return {codes[place]: level for place, level in found.items()}


def test_units_leave_the_first_location_that_has_them_all(books: BrandStore) -> None:
    count(books, main=1, paris=5, tokyo=5)
    assert take(books, 3) == {"paris": -3}
    assert take(books, 3, "tokyo", "paris") == {"tokyo": -3}


def test_without_names_the_main_location_comes_first(books: BrandStore) -> None:
    count(books, paris=5, main=5)
    assert take(books, 2) == {"main": -2}


def test_units_that_no_location_has_alone_are_split(books: BrandStore) -> None:
    count(books, main=2, paris=3, tokyo=4)
    assert take(books, 8) == {"main": -2, "paris": -3, "tokyo": -3}


def test_what_nobody_has_makes_the_first_location_go_below_zero(books: BrandStore) -> None:
    count(books, main=1, paris=2)
    assert take(books, 5, "paris", "main") == {"paris": -4, "main": -1}
    assert levels(books) == {"main": (0, 0), "paris": (-2, 0)}


def test_a_location_that_is_named_twice_is_taken_from_once(books: BrandStore) -> None:
    count(books, main=3, paris=1)
    assert take(books, 4, "main", "main", "paris") == {"main": -3, "paris": -1}


def test_a_location_that_is_not_named_keeps_its_units(books: BrandStore) -> None:
    count(books, main=5, paris=1)
    assert take(books, 3, "paris") == {"paris": -3}


def test_a_brand_without_locations_has_the_main_one(books: BrandStore) -> None:
    assert take(books, 1) == {"main": -1}


def test_units_that_are_promised_are_not_taken_while_others_are_free(books: BrandStore) -> None:
    count(books, main=3, paris=3)
    promise(books, 2, "main")
    assert take(books, 3) == {"paris": -3}
    assert take(books, 1) == {"main": -1}


def test_units_return_to_where_they_were_taken_from_and_the_rest_to_the_first(books: BrandStore) -> None:
    count(books, main=2, paris=3)
    take(books, 4)
    assert back(books, 1) == {"main": 1}
    assert back(books, 4, "tokyo") == {"main": 1, "paris": 2, "tokyo": 1}
    assert back(books, 1, "tokyo", reference="never seen") == {"tokyo": 1}


def test_what_a_reference_took_is_told_by_sku_until_it_is_back(books: BrandStore) -> None:
    def out() -> list[int]:
        with books.read() as (connection, brand):
            return list(units_out(connection, brand, "R").values())

    count(books, main=2, paris=3)
    take(books, 4)
    assert out() == [4]
    back(books, 3)
    assert out() == [1]
    back(books, 1)
    assert out() == []


STEP = st.tuples(
    st.sampled_from(["take", "back", "promise"]), st.integers(1, 6), st.permutations(PLACES), st.integers(0, 3)
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=st.tuples(*[st.integers(0, 5)] * 3), steps=st.lists(STEP, max_size=8))
def test_quantities_add_up_to_the_units_and_promised_ones_go_last(
    books: BrandStore, first: tuple[int, ...], steps: list[tuple[str, int, list[str], int]]
) -> None:
    number = brands(books)
    mine = BrandStore(books.settings.model_copy(update={"brand": f"b{number}"}), books.store)
    count(mine, **dict(zip(PLACES, first, strict=True)))
    for at, (kind, units, order, named) in enumerate(steps):
        places = order[:named] or sorted(PLACES, key=lambda code: (code != "main", code))
        was = levels(mine)
        free = {place: max(0, on_hand - reserved) for place, (on_hand, reserved) in was.items()}
        if kind == "take":
            found = take(mine, units, *order[:named])
            assert sum(found.values()) == -units
            assert set(found) <= set(places)
            beyond = {place: -quantity - free[place] for place, quantity in found.items() if -quantity > free[place]}
            # More than is free is only taken from the first, and only when nothing is free anywhere else.
            assert set(beyond) <= {places[0]}
            assert not beyond or all(-found.get(place, 0) == free[place] for place in places[1:])
        elif kind == "back":
            assert sum(back(mine, units, *order[:named]).values()) == units
        elif free[order[0]] >= units:
            with mine.write() as (connection, brand):
                sku = sku_ids(connection, brand, ["BAG"])["BAG"]
                reserve(connection, brand, Promise(f"p{at}", sku, "BAG", units, None, "anna"), DAY, (order[0],))


def brands(books: BrandStore) -> int:
    with books.read() as (connection, _):
        return run(connection, "SELECT count(*) FROM brands").scalar_one()


def test_the_same_change_cannot_move_twice(books: BrandStore) -> None:
    count(books, main=3)
    with books.write() as (connection, brand):
        sku = sku_ids(connection, brand, ["BAG"])["BAG"]
        place = location_ids(connection, brand, ["main"])["main"]
        movement = Movement(brand, sku, place, "sale", -1, NOON, DAY, "R", "shop", "order 1", "R:1")
        move(connection, movement)
    with pytest.raises(IntegrityError), books.write() as (connection, _):
        move(connection, movement)
    assert levels(books) == {"main": (2, 0)}


def test_sets_of_sets_are_taken_apart_and_units_multiplied(books: BrandStore) -> None:
    with books.write() as (connection, brand):
        save_bundle(connection, brand, "PAIR", {"BAG": 2})
        save_bundle(connection, brand, "BOX", {"PAIR": 3, "BAG": 1, "BELT": 1})
        ids = sku_ids(connection, brand, ["BOX", "BAG", "BELT"])
        assert components_of(connection, brand, ids["BOX"]) == {ids["BAG"]: 7, ids["BELT"]: 1}
        assert components_of(connection, brand, ids["BAG"]) == {ids["BAG"]: 1}


def test_the_history_tells_the_level_after_each_movement_and_who_made_it(books: BrandStore) -> None:
    count(books, main=5)
    promise(books, 2, "main")
    take(books, 1)
    with books.read() as (connection, brand):
        found = read_history(connection, brand, "BAG")
        newest = read_history(connection, brand, "BAG", 1)
    assert found.select("kind", "quantity", "on_hand", "reserved", "actor", "reason").rows() == [
        ("sale", -1, 4, 2, "shop", "order 1"),
        ("reservation", -2, 5, 2, "anna", "promised"),
        ("opening", 5, 5, 0, "anna", "count"),
    ]
    assert newest.rows() == found.head(1).rows()


def test_the_indexes_of_single_skus_are_made_by_the_first_question(books: BrandStore) -> None:
    def made() -> set[str]:
        with books.read() as (connection, _):
            return {index["name"] or "" for index in inspect(connection).get_indexes("stock_movements")}

    assert not made() & set(INDEXES)
    with books.write() as (connection, _):
        levels_by_location(connection, 1)
    assert made() >= set(INDEXES)
    with books.write() as (connection, _):
        levels_by_location(connection, 1)
