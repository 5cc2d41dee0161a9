"""Purchase orders: a draft a supplier, and none twice for the same need."""

from datetime import date
from typing import Any

import polars as pl
from sqlalchemy import text

from resources.store.brand_store import BrandStore
from resources.store.purchasing import draft_orders, on_order, read_orders

NEED = {
    "sku": pl.String,
    "supplier": pl.String,
    "quantity": pl.Int64,
    "expected_on": pl.Date,
    "unit_cost_minor": pl.Int64,
    "currency": pl.String,
}


def needs(*rows: tuple[str, str | None, int]) -> pl.DataFrame:
    full = [(sku, supplier, units, date(2025, 5, 1), 3100, "EUR") for sku, supplier, units in rows]
    return pl.DataFrame(full, schema=NEED, orient="row")


def open_units(books: BrandStore) -> pl.DataFrame:
    with books.read() as (connection, brand):
        return on_order(connection, brand)


def draft(books: BrandStore, wanted: pl.DataFrame, seen: pl.DataFrame | None = None) -> int:
    planned = open_units(books) if seen is None else seen
    with books.write() as (connection, brand):
        return draft_orders(connection, brand, wanted, planned)


def orders(books: BrandStore) -> list[tuple[Any, ...]]:
    with books.read() as (connection, brand):
        return read_orders(connection, brand).select("number", "supplier", "status", "sku", "quantity").rows()


def test_needs_become_one_draft_a_supplier(books: BrandStore) -> None:
    assert draft(books, needs(("BAG", "Atelier", 5), ("BELT", "Tannerie", 2), ("SCARF", "Atelier", 1))) == 2
    assert sorted(orders(books)) == [
        ("PO-000001", "Atelier", "draft", "BAG", 5),
        ("PO-000001", "Atelier", "draft", "SCARF", 1),
        ("PO-000002", "Tannerie", "draft", "BELT", 2),
    ]


def test_a_need_without_a_supplier_is_drafted_all_the_same(books: BrandStore) -> None:
    assert draft(books, needs(("BAG", None, 5))) == 1
    assert orders(books) == [("PO-000001", None, "draft", "BAG", 5)]


def test_the_same_plan_twice_is_drafted_once(books: BrandStore) -> None:
    before = open_units(books)
    assert draft(books, needs(("BAG", "Atelier", 5)), before) == 1
    assert draft(books, needs(("BAG", "Atelier", 5)), before) == 0
    assert open_units(books).rows() == [("BAG", 5)]


def test_a_plan_that_saw_the_open_order_may_ask_for_more(books: BrandStore) -> None:
    draft(books, needs(("BAG", "Atelier", 5)))
    assert draft(books, needs(("BAG", "Atelier", 3))) == 1
    assert open_units(books).rows() == [("BAG", 8)]


def test_what_was_received_or_cancelled_is_no_longer_to_come(books: BrandStore) -> None:
    draft(books, needs(("BAG", "Atelier", 5), ("BELT", "Tannerie", 2)))
    with books.write() as (connection, _):
        connection.execute(text("UPDATE purchase_orders SET status = 'cancelled' WHERE supplier = 'Tannerie'"))
        connection.execute(text("UPDATE purchase_order_lines SET received_quantity = 4 WHERE quantity = 5"))
    assert open_units(books).rows() == [("BAG", 1)]


def test_the_purchase_orders_of_two_brands_live_apart(books: BrandStore) -> None:
    second = BrandStore(books.settings.model_copy(update={"brand": "second"}), books.store)
    draft(books, needs(("BAG", "Atelier", 5)))
    assert draft(second, needs(("BAG", "Atelier", 7))) == 1
    assert orders(second) == [("PO-000001", "Atelier", "draft", "BAG", 7)]
    assert open_units(books).rows() == [("BAG", 5)]


def test_nothing_needed_writes_nothing(books: BrandStore) -> None:
    assert draft(books, needs()) == 0
    assert orders(books) == []
