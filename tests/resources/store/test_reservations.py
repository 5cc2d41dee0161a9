"""Promises of stock: never of more than is available, and never kept longer than they last.

Does not belong here: orders of channels (`test_channel_orders`).
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resources.store.brand_store import BrandStore
from resources.store.bulk import run
from resources.store.catalog_codes import sku_ids
from resources.store.movements import Movement, move, take_out
from resources.store.reservations import (
    NotEnough,
    Promise,
    TakenReference,
    UnknownReservation,
    consume,
    next_expiry,
    read_reservations,
    release,
    release_expired,
    reserve,
)
from resources.store.stock import read_levels
from resources.store.stock_keeping import Counted, add_piece, read_pieces, save_bundle, set_level

DAY, NOON = date(2026, 3, 1), datetime(2026, 3, 1, 12, tzinfo=UTC)


def stock(books: BrandStore, place: str = "main", **units: int) -> None:
    with books.write() as (connection, brand):
        for sku, quantity in units.items():
            set_level(connection, brand, Counted(sku, place, quantity, "anna", "count"), DAY)


def promise(
    books: BrandStore,
    reference: str,
    units: int,
    sku: str = "BAG",
    until: datetime | None = None,
    places: tuple[str, ...] = (),
) -> None:
    with books.write() as (connection, brand):
        number = sku_ids(connection, brand, [sku])[sku]
        reserve(connection, brand, Promise(reference, number, sku, units, until, "anna"), DAY, places)


def end(books: BrandStore, reference: str) -> None:
    with books.write() as (connection, brand):
        release(connection, brand, reference, "anna", DAY)


def fetched(books: BrandStore, reference: str) -> None:
    with books.write() as (connection, brand):
        consume(connection, brand, reference, "anna", DAY)


def expire(books: BrandStore, now: datetime) -> int:
    with books.write() as (connection, brand):
        return release_expired(connection, brand, now, DAY)


def sell(books: BrandStore, units: int) -> None:
    with books.write() as (connection, brand):
        sku = sku_ids(connection, brand, ["BAG"])["BAG"]
        for place, quantity in take_out(connection, brand, sku, units).items():
            move(connection, Movement(brand, sku, place, "sale", quantity, NOON, DAY, "R", "shop", "order"))


def levels(books: BrandStore, sku: str = "BAG") -> tuple[int, int, int]:
    """On hand, reserved, available."""
    with books.read() as (connection, brand):
        found = {row["sku"]: row for row in read_levels(connection, brand).to_dicts()}[sku]
    return found["on_hand"], found["reserved"], found["available"]


def states(books: BrandStore) -> dict[str, str]:
    with books.read() as (connection, brand):
        found = read_reservations(connection, brand, active_only=False)
    return dict(found.select("reference", "state").iter_rows())


def test_a_promise_lowers_what_is_available_until_it_is_released(books: BrandStore) -> None:
    stock(books, BAG=5)
    promise(books, "Anna", 2)
    assert levels(books) == (5, 2, 3)
    end(books, "Anna")
    assert levels(books) == (5, 0, 5)
    assert states(books) == {"Anna": "released"}


def test_more_than_is_available_is_not_promised(books: BrandStore) -> None:
    stock(books, BAG=5)
    promise(books, "Anna", 4)
    with pytest.raises(NotEnough, match="BAG: 1 available, 2 asked for"):
        promise(books, "Bo", 2)
    assert levels(books) == (5, 4, 1)


def test_what_another_location_has_is_not_promised_at_this_one(books: BrandStore) -> None:
    stock(books, BAG=1)
    stock(books, "paris", BAG=5)
    with pytest.raises(NotEnough, match="BAG: 1 available, 2 asked for"):
        promise(books, "Anna", 2, places=("main",))
    promise(books, "Anna", 2, places=("paris", "main"))
    with books.read() as (connection, brand):
        assert read_reservations(connection, brand)["location"].to_list() == ["paris"]


def test_a_promise_over_several_locations_is_released_at_each(books: BrandStore) -> None:
    stock(books, BAG=2)
    stock(books, "paris", BAG=2)
    promise(books, "Anna", 3)
    fetched(books, "Anna")
    assert levels(books) == (1, 0, 1)


def test_what_was_fetched_has_left_the_stock(books: BrandStore) -> None:
    stock(books, BAG=5)
    promise(books, "Anna", 2)
    fetched(books, "Anna")
    assert levels(books) == (3, 0, 3)
    assert states(books) == {"Anna": "consumed"}


@pytest.mark.parametrize("ending", [end, fetched])
def test_a_promise_ends_once(books: BrandStore, ending: Callable[[BrandStore, str], None]) -> None:
    stock(books, BAG=5)
    promise(books, "Anna", 2)
    ending(books, "Anna")
    before = levels(books)
    for again in (end, fetched):
        with pytest.raises(UnknownReservation, match="'Anna'"):
            again(books, "Anna")
    assert levels(books) == before


def test_an_unknown_promise_cannot_be_fetched(books: BrandStore) -> None:
    stock(books, BAG=5)
    with pytest.raises(UnknownReservation, match="'Anna'"):
        fetched(books, "Anna")


def test_the_same_promise_again_changes_nothing(books: BrandStore) -> None:
    stock(books, BAG=5)
    for _ in range(2):
        promise(books, "Anna", 2)
    assert levels(books) == (5, 2, 3)


def test_another_promise_under_the_same_reference_is_refused(books: BrandStore) -> None:
    stock(books, BAG=5, BELT=5)
    promise(books, "Anna", 2)
    for units, sku in ((3, "BAG"), (2, "BELT")):
        with pytest.raises(TakenReference, match="another promise's"):
            promise(books, "Anna", units, sku)


def test_a_promise_that_has_ended_is_not_taken_for_one_that_holds(books: BrandStore) -> None:
    stock(books, BAG=5)
    promise(books, "Anna", 2)
    end(books, "Anna")
    with pytest.raises(TakenReference, match=r"has ended \(released\)"):
        promise(books, "Anna", 2)
    assert levels(books) == (5, 0, 5)


@pytest.mark.parametrize("units", [0, -1])
def test_less_than_one_unit_is_no_promise(books: BrandStore, units: int) -> None:
    stock(books, BAG=5)
    with pytest.raises(ValueError, match="at least one unit"):
        promise(books, "Anna", units)


def test_a_promise_ends_when_its_time_is_over_and_not_before(books: BrandStore) -> None:
    stock(books, BAG=5)
    promise(books, "Anna", 1, until=NOON)
    promise(books, "Bo", 1, until=NOON + timedelta(hours=1))
    promise(books, "Cy", 1)
    with books.read() as (connection, brand):
        assert next_expiry(connection, brand) == NOON
    assert expire(books, NOON - timedelta(microseconds=1)) == 0
    assert expire(books, NOON) == 1
    assert expire(books, NOON) == 0
    assert states(books) == {"Anna": "expired", "Bo": "active", "Cy": "active"}
    assert levels(books) == (5, 2, 3)
    assert expire(books, NOON + timedelta(days=365)) == 1
    with books.read() as (connection, brand):
        assert next_expiry(connection, brand) is None
        assert read_reservations(connection, brand)["reference"].to_list() == ["Cy"]


def test_a_set_is_promised_by_its_components(books: BrandStore) -> None:
    stock(books, BAG=4, BELT=5)
    with books.write() as (connection, brand):
        save_bundle(connection, brand, "SET", {"BAG": 1, "BELT": 2})
    promise(books, "Anna", 2, "SET")
    assert (levels(books), levels(books, "BELT")) == ((4, 2, 2), (5, 4, 1))
    with pytest.raises(NotEnough, match="SET: 0 available, 1 asked for"):
        promise(books, "Bo", 1, "SET")
    # Nothing of the promise that failed is left behind.
    assert (levels(books), levels(books, "BELT")) == ((4, 2, 2), (5, 4, 1))
    fetched(books, "Anna")
    assert (levels(books), levels(books, "BELT")) == ((2, 0, 2), (1, 0, 1))


def test_a_numbered_piece_that_was_fetched_is_no_longer_in_stock(books: BrandStore) -> None:
    stock(books, BAG=2)
    with books.write() as (connection, brand):
        for serial in ("2", "10"):
            add_piece(connection, brand, "BAG", serial, "main")
    promise(books, "Anna", 1)
    fetched(books, "Anna")
    with books.read() as (connection, brand):
        found = read_pieces(connection, brand, "BAG")
    assert dict(found.select("serial", "state").iter_rows()) == {"2": "sold", "10": "in_stock"}


def test_two_who_promise_the_last_unit_at_once_do_not_both_get_it(books: BrandStore) -> None:
    stock(books, BAG=3)

    def ask(number: int) -> bool:
        try:
            promise(books, f"client {number}", 1)
        except NotEnough:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        granted = list(pool.map(ask, range(12)))
    assert sum(granted) == 3
    assert levels(books) == (3, 3, 0)


ACTION = st.tuples(
    st.sampled_from(["reserve", "reserve", "release", "consume", "expire", "sell"]),
    st.sampled_from(["A", "B", "C", "D"]),
    st.integers(1, 4),
    st.integers(0, 5),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=st.integers(0, 8), actions=st.lists(ACTION, max_size=14))
def test_whatever_happens_to_promises_they_hold_what_they_say(
    books: BrandStore, first: int, actions: list[tuple[str, str, int, int]]
) -> None:
    with books.read() as (connection, _):
        number = run(connection, "SELECT count(*) FROM brands").scalar_one()
    mine = BrandStore(books.settings.model_copy(update={"brand": f"b{number}"}), books.store)
    stock(mine, BAG=first)
    on_hand = first
    held: dict[str, tuple[int, int]] = {}
    ended: set[str] = set()
    for kind, name, units, hour in actions:
        available = on_hand - sum(quantity for quantity, _ in held.values())
        if kind == "reserve" and name not in ended and name not in held:
            if available < units:
                with pytest.raises(NotEnough):
                    promise(mine, name, units, until=NOON + timedelta(hours=hour))
            else:
                promise(mine, name, units, until=NOON + timedelta(hours=hour))
                held[name] = (units, hour)
        elif kind in ("release", "consume") and name in held:
            (end if kind == "release" else fetched)(mine, name)
            gone, _ = held.pop(name)
            on_hand -= gone if kind == "consume" else 0
            ended.add(name)
        elif kind == "expire":
            over = {each for each, (_, until) in held.items() if until <= hour}
            assert expire(mine, NOON + timedelta(hours=hour)) == len(over)
            held = {each: kept for each, kept in held.items() if each not in over}
            ended |= over
        elif kind == "sell":
            sell(mine, units)
            on_hand -= units
        reserved = sum(quantity for quantity, _ in held.values())
        assert levels(mine) == (on_hand, reserved, on_hand - reserved)
        assert {each for each, state in states(mine).items() if state == "active"} == set(held)
