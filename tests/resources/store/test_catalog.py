"""The catalogue in the store: what a file says is taken, what it leaves out stays, what a person set is not overwritten."""

from datetime import date
from typing import Any

import polars as pl
from sqlalchemy import text

from assets.ingestion.reference import columns_of, normalise_reference
from resources.store.brand_store import BrandStore
from resources.store.catalog import read_catalog, read_costs, write_catalog, write_reorder_points


def write(books: BrandStore, *rows: dict[str, Any], currency: str = "EUR") -> tuple[int, int]:
    schema = dict.fromkeys(columns_of("catalog"), pl.String)
    table = pl.DataFrame(rows, schema=schema).with_row_index("row_number", 1)
    judged = normalise_reference(table, "catalog", currency=currency, timezone="Europe/Paris")
    assert not judged.rejected.height, judged.rejected
    with books.write() as (connection, brand):
        return write_catalog(connection, brand, judged.lines)


def read(books: BrandStore) -> dict[str, dict[str, Any]]:
    with books.read() as (connection, brand):
        return {row["sku"]: row for row in read_catalog(connection, brand).to_dicts()}


def costs(books: BrandStore) -> list[tuple[Any, ...]]:
    with books.read() as (connection, brand):
        return read_costs(connection, brand).rows()


def plan_points(books: BrandStore, **points: int) -> None:
    frame = pl.DataFrame({"sku": list(points), "reorder_point": list(points.values())})
    with books.write() as (connection, brand):
        write_reorder_points(connection, brand, frame)


def stored_points(books: BrandStore) -> dict[str, tuple[int | None, str | None]]:
    query = text("SELECT sku, reorder_point, reorder_point_source FROM skus WHERE brand_id = :brand")
    with books.read() as (connection, brand):
        return {sku: (point, source) for sku, point, source in connection.execute(query, {"brand": brand})}


BAG = {
    "sku": "bag-1",
    "product": "bag",
    "product_name": "Sac Élan",
    "category": "bags",
    "size": "M",
    "retail_price": "1,299.50",
    "cost": "310.25",
    "lead_time_days": "30",
    "supplier": "Atelier",
}


def test_a_sku_is_read_as_it_was_written(books: BrandStore) -> None:
    assert write(books, BAG) == (1, 0)
    found = read(books)["BAG-1"]
    assert (found["name"], found["product"], found["category"], found["size"]) == ("Sac Élan", "bag", "bags", "M")
    assert (found["retail_price_minor"], found["currency"], found["lead_time_days"]) == (129950, "EUR", 30)
    assert costs(books) == [("BAG-1", date(1970, 1, 1), 31025, "EUR")]


def test_the_same_catalogue_twice_changes_nothing(books: BrandStore) -> None:
    write(books, BAG)
    first = read(books)
    assert write(books, BAG) == (0, 1)
    assert read(books) == first
    assert len(costs(books)) == 1


def test_an_empty_cell_leaves_what_is_known(books: BrandStore) -> None:
    write(books, BAG)
    write(books, {"sku": "bag-1", "color": "noir"})
    found = read(books)["BAG-1"]
    assert (found["color"], found["size"], found["supplier"], found["category"]) == ("noir", "M", "Atelier", "bags")


def test_a_price_keeps_its_currency_when_a_file_without_prices_comes(books: BrandStore) -> None:
    write(books, {"sku": "bag-1", "retail_price": "180000", "currency": "JPY"})
    write(books, {"sku": "bag-1", "color": "noir"})
    found = read(books)["BAG-1"]
    assert (found["retail_price_minor"], found["currency"]) == (180000, "JPY")


def test_a_file_with_several_costs_of_a_sku_gives_its_whole_history(books: BrandStore) -> None:
    rows = [
        {"sku": "BAG", "cost": "10", "cost_valid_from": "2024-01-01"},
        {"sku": "BAG", "cost": "12", "cost_valid_from": "2025-01-01"},
        {"sku": "BAG", "cost": "13", "cost_valid_from": "2025-01-01"},
    ]
    assert write(books, *rows) == (3, 0)
    assert write(books, *rows) == (0, 3)
    assert costs(books) == [("BAG", date(2024, 1, 1), 1000, "EUR"), ("BAG", date(2025, 1, 1), 1300, "EUR")]


def test_the_catalogues_of_two_brands_live_apart(books: BrandStore) -> None:
    second = BrandStore(books.settings.model_copy(update={"brand": "second"}), books.store)
    write(books, BAG)
    assert write(second, {**BAG, "supplier": "Other", "cost": "1"}) == (1, 0)
    assert read(books)["BAG-1"]["supplier"] == "Atelier"
    assert [row[2] for row in costs(books)] == [31025]
    assert [row[2] for row in costs(second)] == [100]


def test_a_file_without_skus_writes_nothing(books: BrandStore) -> None:
    assert write(books) == (0, 0)
    assert read(books) == {}


def test_a_planned_reorder_point_follows_the_plan(books: BrandStore) -> None:
    write(books, BAG)
    plan_points(books, **{"BAG-1": 5})
    plan_points(books, **{"BAG-1": 8})
    assert stored_points(books) == {"BAG-1": (8, "plan")}
    assert read(books)["BAG-1"]["manual_reorder_point"] is None


def test_a_reorder_point_that_a_person_set_is_never_overwritten(books: BrandStore) -> None:
    write(books, {**BAG, "reorder_point": "3"}, {"sku": "belt"})
    plan_points(books, **{"BAG-1": 40, "BELT": 6})
    assert stored_points(books) == {"BAG-1": (3, "manual"), "BELT": (6, "plan")}
    write(books, {"sku": "bag-1", "color": "noir"})
    plan_points(books, **{"BAG-1": 41})
    assert stored_points(books)["BAG-1"] == (3, "manual")
    assert read(books)["BAG-1"]["manual_reorder_point"] == 3


def test_a_person_overrules_the_plan(books: BrandStore) -> None:
    write(books, BAG)
    plan_points(books, **{"BAG-1": 40})
    write(books, {"sku": "bag-1", "reorder_point": "0"})
    assert stored_points(books) == {"BAG-1": (0, "manual")}
