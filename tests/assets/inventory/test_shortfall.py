"""Orders that the stock cannot serve: what is said of each, and how long."""

import json
from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest

from assets.inventory.levels import low_stock
from assets.inventory.shortfall import raise_shortfalls, shortfalls
from resources.store.brand_store import BrandStore
from resources.store.brands import location_ids
from resources.store.bulk import run
from resources.store.catalog_codes import sku_ids
from resources.store.movements import Movement, move, take_out
from resources.store.stock import raise_alerts, read_alerts, read_levels
from resources.store.stock_keeping import Counted, save_supply, set_level

DAY, NOON = date(2026, 3, 1), datetime(2026, 3, 1, 12, tzinfo=UTC)
LAST = "make or order {}, or tell the clients of the newest orders and refund them"


def found(levels: dict[str, int], *, limit: int = 0, coming: int = 0, reserved: int = 0) -> dict[str, Any] | None:
    """What is said of BAG, of which each location has so many."""
    rows = [("BAG", place, units, reserved) for place, units in levels.items()]
    short = shortfalls(
        pl.DataFrame(rows, schema=["sku", "location", "on_hand", "reserved"], orient="row"),
        pl.DataFrame([("BAG", limit)], schema=["sku", "limit"], orient="row"),
        pl.DataFrame([("BAG", coming)], schema=["sku", "on_order"], orient="row"),
    )
    return json.loads(short["details"][0]) if short.height else None


@pytest.mark.parametrize(
    ("levels", "coming", "remedies"),
    [
        ({"main": -2}, 0, [LAST.format(2)]),
        ({"main": -2, "paris": 5}, 0, ["transfer 2 from paris"]),
        ({"main": -3, "paris": 2, "tokyo": 2}, 0, ["transfer 2 from paris", "transfer 1 from tokyo"]),
        ({"main": -3, "paris": 1, "tokyo": 2}, 0, ["transfer 2 from tokyo", "transfer 1 from paris"]),
        ({"main": -3, "paris": 1}, 0, ["transfer 1 from paris", LAST.format(2)]),
        ({"main": -3}, 9, ["promise 3 from the purchase orders that are on their way (9 units)"]),
        (
            {"main": -5, "paris": 1},
            3,
            [
                "transfer 1 from paris",
                "promise 3 from the purchase orders that are on their way (3 units)",
                LAST.format(1),
            ],
        ),
    ],
)
def test_what_might_be_done_is_said_the_best_first(levels: dict[str, int], coming: int, remedies: list[str]) -> None:
    said = found(levels, coming=coming)
    assert said
    assert said["remedies"] == remedies
    assert (said["short"], said["owed_at"]) == (-levels["main"], {"main": -levels["main"]})


def test_what_every_location_owes_is_summed() -> None:
    said = found({"main": -2, "paris": -1})
    assert said
    assert (said["short"], said["owed_at"]) == (3, {"main": 2, "paris": 1})


def test_stock_that_is_promised_is_not_spare(books: BrandStore) -> None:
    said = found({"main": 0, "paris": 1}, reserved=1)
    assert said
    assert (said["short"], said["remedies"]) == (1, [LAST.format(1)])


def test_what_may_be_sold_beyond_stock_is_no_shortfall() -> None:
    assert found({"main": -3}, limit=3) is None
    said = found({"main": -5}, limit=3)
    assert said
    assert said["short"] == 2


def test_a_sku_that_owes_nothing_is_not_short() -> None:
    assert found({"main": 0, "paris": 4}) is None


def count(books: BrandStore, units: int, place: str = "main") -> None:
    with books.write() as (connection, brand):
        set_level(connection, brand, Counted("BAG", place, units, "anna", "count"), DAY)


def sell(books: BrandStore, units: int) -> None:
    with books.write() as (connection, brand):
        sku = sku_ids(connection, brand, ["BAG"])["BAG"]
        for place, quantity in take_out(connection, brand, sku, units).items():
            move(connection, Movement(brand, sku, place, "sale", quantity, NOON, DAY, "R", "shop", "order"))


def receive(books: BrandStore, units: int) -> None:
    with books.write() as (connection, brand):
        sku = sku_ids(connection, brand, ["BAG"])["BAG"]
        place = location_ids(connection, brand, ["main"])["main"]
        move(connection, Movement(brand, sku, place, "receipt", units, NOON, DAY, "PO-1", "anna", "delivery"))


def look(books: BrandStore) -> list[int]:
    with books.write() as (connection, brand):
        return raise_shortfalls(connection, brand)


def alerts(books: BrandStore) -> list[Any]:
    """Kind, state and details of those that are not resolved."""
    with books.read() as (connection, brand):
        rows = read_alerts(connection, brand).select("kind", "status", "details").rows()
    return [(kind, status, json.loads(details)) for kind, status, details in rows]


def test_an_alert_is_raised_once_brought_up_to_date_and_resolved_when_stock_arrives(books: BrandStore) -> None:
    count(books, 1)
    assert look(books) == []
    sell(books, 3)
    first = look(books)
    assert look(books) == first
    details = {"short": 2, "owed_at": {"main": 2}, "remedies": [LAST.format(2)]}
    assert alerts(books) == [("shortfall", "open", details)]
    with books.write() as (connection, _):
        run(connection, "UPDATE alerts SET status = 'acknowledged'")
    count(books, 5, "paris")
    sell(books, 6)
    assert look(books) == first
    details = {"short": 3, "owed_at": {"main": 3}, "remedies": [LAST.format(3)]}
    assert alerts(books) == [("shortfall", "acknowledged", details)]
    receive(books, 2)
    assert look(books) == first
    receive(books, 1)
    assert look(books) == []
    assert alerts(books) == []
    sell(books, 1)
    second = look(books)
    assert len(second) == 1
    assert second != first


def test_what_is_made_to_order_is_short_beyond_its_limit_only(books: BrandStore) -> None:
    count(books, 0)
    with books.write() as (connection, brand):
        save_supply(connection, brand, "BAG", "made_to_order", 2)
    sell(books, 2)
    assert look(books) == []
    sell(books, 1)
    assert len(look(books)) == 1


def test_low_stock_and_shortfall_do_not_resolve_each_other(books: BrandStore) -> None:
    def look_for_low_stock() -> None:
        with books.write() as (connection, brand):
            low = low_stock(read_levels(connection, brand)).select("sku", "kind", "details")
            raise_alerts(connection, brand, low)

    count(books, 1)
    with books.write() as (connection, _):
        run(connection, "UPDATE skus SET reorder_point = 3")
    sell(books, 2)
    look(books)
    look_for_low_stock()
    look(books)
    assert sorted(kind for kind, *_ in alerts(books)) == ["out_of_stock", "shortfall"]
    receive(books, 2)
    look(books)
    look_for_low_stock()
    assert [kind for kind, *_ in alerts(books)] == ["low_stock"]
    receive(books, 20)
    look_for_low_stock()
    sell(books, 50)
    look(books)
    with books.write() as (connection, brand):
        raise_alerts(
            connection, brand, low_stock(read_levels(connection, brand)).select("sku", "kind", "details").clear()
        )
    assert [kind for kind, *_ in alerts(books)] == ["shortfall"]
