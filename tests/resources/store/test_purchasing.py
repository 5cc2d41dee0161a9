"""Purchase orders: a draft a supplier and none twice for the same need, decided on once, received to the last unit."""

from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest
from sqlalchemy import text

from resources.store.brand_store import BrandStore
from resources.store.purchasing import (
    Decision,
    Drafted,
    PurchaseOrderError,
    approve_orders,
    coming,
    deliveries,
    draft_orders,
    on_order,
    read_orders,
    receive_order,
    reject_orders,
    settle_received,
)
from resources.store.stock import read_levels, write_movements

DAY, LATER = date(2025, 4, 1), date(2025, 5, 3)
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


def draft(books: BrandStore, wanted: pl.DataFrame, seen: pl.DataFrame | None = None, *, join: bool = False) -> Drafted:
    planned = looked_at(books) if seen is None else seen
    with books.write() as (connection, brand):
        return draft_orders(connection, brand, wanted, planned, join=join)


def looked_at(books: BrandStore, *skus: str) -> pl.DataFrame:
    """What a plan of these SKUs saw on order."""
    every = pl.DataFrame({"sku": skus or ("BAG", "BELT", "SCARF")})
    return every.join(open_units(books), on="sku", how="left")


def approve(books: BrandStore, *numbers: str) -> list[str]:
    with books.write() as (connection, brand):
        return approve_orders(connection, brand, numbers, Decision("ana", DAY))


def reject(books: BrandStore, *numbers: str, reason: str | None = "no cash") -> list[str]:
    with books.write() as (connection, brand):
        return reject_orders(connection, brand, numbers, Decision("ana", DAY, reason))


def receive(books: BrandStore, number: str, **units: int) -> dict[str, int]:
    with books.write() as (connection, brand):
        return receive_order(
            connection, brand, number, units, "main", datetime(2025, 5, 3, 9, tzinfo=UTC), LATER, "ana"
        )


def orders(books: BrandStore) -> list[tuple[Any, ...]]:
    with books.read() as (connection, brand):
        return read_orders(connection, brand).select("number", "supplier", "status", "sku", "quantity").rows()


def test_needs_become_one_draft_a_supplier(books: BrandStore) -> None:
    assert draft(books, needs(("BAG", "Atelier", 5), ("BELT", "Tannerie", 2), ("SCARF", "Atelier", 1))).written == 2
    assert sorted(orders(books)) == [
        ("PO-000001", "Atelier", "draft", "BAG", 5),
        ("PO-000001", "Atelier", "draft", "SCARF", 1),
        ("PO-000002", "Tannerie", "draft", "BELT", 2),
    ]


def test_a_need_without_a_supplier_is_drafted_all_the_same(books: BrandStore) -> None:
    assert draft(books, needs(("BAG", None, 5))).written == 1
    assert orders(books) == [("PO-000001", None, "draft", "BAG", 5)]
    assert draft(books, needs(("BAG", None, 5), ("BELT", None, 1)), join=True) == Drafted(1, 0, ())
    assert len({number for number, *_ in orders(books)}) == 1


def test_the_same_plan_twice_is_drafted_once(books: BrandStore) -> None:
    assert draft(books, needs(("BAG", "Atelier", 5))) == Drafted(1, 0, ())
    assert draft(books, needs(("BAG", "Atelier", 5))) == Drafted(0, 0, ())
    assert orders(books) == [("PO-000001", "Atelier", "draft", "BAG", 5)]


def test_a_draft_is_not_on_order_and_an_approved_one_is(books: BrandStore) -> None:
    draft(books, needs(("BAG", "Atelier", 5)))
    assert open_units(books).rows() == []
    assert approve(books, "PO-000001") == ["PO-000001"]
    assert open_units(books).rows() == [("BAG", 5)]
    with books.read() as (connection, brand):
        assert coming(connection, brand).rows() == [("BAG", date(2025, 5, 1), 5)]


def test_a_draft_follows_the_plan_and_goes_when_nothing_is_needed(books: BrandStore) -> None:
    draft(books, needs(("BAG", "Atelier", 5), ("SCARF", "Atelier", 1)))
    assert draft(books, needs(("BAG", "Atelier", 8), ("SCARF", "Atelier", 1))) == Drafted(0, 1, ())
    assert [row[3:] for row in orders(books)] == [("BAG", 8), ("SCARF", 1)]
    draft(books, needs(("SCARF", "Atelier", 1)))
    assert [row[2:] for row in orders(books)] == [("draft", "SCARF", 1)]
    draft(books, needs())
    assert orders(books) == []


def test_a_plan_of_some_skus_leaves_the_drafts_of_others(books: BrandStore) -> None:
    draft(books, needs(("BAG", "Atelier", 5), ("BELT", "Tannerie", 2)))
    draft(books, needs(), looked_at(books, "BELT"))
    assert [(sku, units) for _, _, _, sku, units in orders(books)] == [("BAG", 5)]


def test_a_suppliers_draft_takes_what_is_needed_later_where_it_is_asked_for(books: BrandStore) -> None:
    draft(books, needs(("BAG", "Atelier", 5)))
    assert draft(books, needs(("BAG", "Atelier", 5), ("SCARF", "Atelier", 1)), join=True).written == 1
    assert {number for number, *_ in orders(books)} == {"PO-000001"}


def test_a_plan_from_before_an_approval_orders_nothing_again(books: BrandStore) -> None:
    before = looked_at(books)
    draft(books, needs(("BAG", "Atelier", 5)))
    approve(books, "PO-000001")
    assert draft(books, needs(("BAG", "Atelier", 5)), before).written == 0
    assert draft(books, needs(("BAG", "Atelier", 3))).written == 1
    assert [row[2:] for row in orders(books)] == [("draft", "BAG", 3), ("approved", "BAG", 5)]


def test_approving_twice_approves_once_and_keeps_who_was_first(books: BrandStore) -> None:
    draft(books, needs(("BAG", "Atelier", 5)))
    approve(books, "PO-000001")
    with books.write() as (connection, brand):
        assert approve_orders(connection, brand, ["PO-000001"], Decision("bob", LATER)) == []
        row = read_orders(connection, brand).row(0, named=True)
    assert (row["decided_by"], row["ordered_on"], row["status"]) == ("ana", DAY, "approved")
    with pytest.raises(PurchaseOrderError, match="is approved, and only a draft"):
        reject(books, "PO-000001")


def test_what_was_rejected_is_not_proposed_again_until_its_quantity_changes_materially(books: BrandStore) -> None:
    draft(books, needs(("BAG", "Atelier", 10), ("BELT", "Tannerie", 2)))
    with pytest.raises(PurchaseOrderError, match="needs a reason"):
        reject(books, "PO-000001", reason=" ")
    assert reject(books, "PO-000001") == ["PO-000001"]
    assert draft(books, needs(("BAG", "Atelier", 10), ("BELT", "Tannerie", 2))) == Drafted(0, 0, ("BAG",))
    assert draft(books, needs(("BAG", "Atelier", 12), ("BELT", "Tannerie", 2))) == Drafted(0, 0, ("BAG",))
    assert draft(books, needs(("BAG", "Atelier", 13), ("BELT", "Tannerie", 2))) == Drafted(1, 0, ())
    assert ("PO-000001", "Atelier", "rejected", "BAG", 10) in orders(books)
    with pytest.raises(PurchaseOrderError, match="is rejected"):
        approve(books, "PO-000001")
    with pytest.raises(PurchaseOrderError, match="no purchase order 'PO-9'"):
        approve(books, "PO-9")


def test_an_approval_of_the_same_sku_ends_an_earlier_rejection(books: BrandStore) -> None:
    draft(books, needs(("BAG", "Atelier", 10)))
    reject(books, "PO-000001")
    draft(books, needs(("BAG", "Atelier", 20)))
    approve(books, "PO-000002")
    assert draft(books, needs(("BAG", "Atelier", 10))).written == 1


def test_goods_that_are_received_move_stock_and_end_the_order_with_the_last_unit(books: BrandStore) -> None:
    draft(books, needs(("BAG", "Atelier", 5), ("SCARF", "Atelier", 1)))
    with pytest.raises(PurchaseOrderError, match="only an approved order"):
        receive(books, "PO-000001")
    approve(books, "PO-000001")
    with pytest.raises(PurchaseOrderError, match="still has 5 of BAG to bring, not 6"):
        receive(books, "PO-000001", BAG=6)
    with pytest.raises(PurchaseOrderError, match="orders no HAT"):
        receive(books, "PO-000001", HAT=1)
    assert receive(books, "PO-000001", BAG=2) == {"BAG": 2}
    assert open_units(books).rows() == [("BAG", 3), ("SCARF", 1)]
    assert receive(books, "PO-000001") == {"BAG": 3, "SCARF": 1}
    with books.read() as (connection, brand):
        found = read_orders(connection, brand)
        levels = dict(read_levels(connection, brand).select("sku", "on_hand").iter_rows())
        came = deliveries(connection, brand)
    assert found.select("sku", "received_quantity", "status").rows() == [
        ("BAG", 5, "received"),
        ("SCARF", 1, "received"),
    ]
    assert levels == {"BAG": 5, "SCARF": 1}
    assert came.select("supplier", "ordered_on", "ordered_units", "received_on", "units").rows() == [
        ("Atelier", DAY, 6, LATER, 6)
    ]


def test_a_receipt_that_was_taken_in_from_a_file_counts_by_its_reference(books: BrandStore) -> None:
    draft(books, needs(("BAG", "Atelier", 5)))
    approve(books, "PO-000001")
    at = datetime(2025, 5, 3, 9, tzinfo=UTC)
    row = {"occurred_at": at, "local_date": LATER, "sku": "BAG", "location": "main", "kind": "receipt"}
    rows = pl.DataFrame([row | {"quantity": 5, "reference": "PO-000001"}])
    with books.write() as (connection, brand):
        write_movements(
            connection, brand, rows.with_columns(pl.col("occurred_at").cast(pl.Datetime("us", "UTC"))), "main"
        )
    assert open_units(books).rows() == []
    with books.write() as (connection, brand):
        assert settle_received(connection, brand) == 1
        assert settle_received(connection, brand) == 0
        assert read_orders(connection, brand)["status"].to_list() == ["received"]


def test_what_was_received_or_cancelled_is_no_longer_to_come(books: BrandStore) -> None:
    draft(books, needs(("BAG", "Atelier", 5), ("BELT", "Tannerie", 2)))
    approve(books, "PO-000001", "PO-000002")
    with books.write() as (connection, _):
        connection.execute(text("UPDATE purchase_orders SET status = 'cancelled' WHERE supplier = 'Tannerie'"))
        connection.execute(text("UPDATE purchase_order_lines SET received_quantity = 4 WHERE quantity = 5"))
    assert open_units(books).rows() == [("BAG", 1)]


def test_the_purchase_orders_of_two_brands_live_apart(books: BrandStore) -> None:
    second = BrandStore(books.settings.model_copy(update={"brand": "second"}), books.store)
    draft(books, needs(("BAG", "Atelier", 5)))
    assert draft(second, needs(("BAG", "Atelier", 7))).written == 1
    assert orders(second) == [("PO-000001", "Atelier", "draft", "BAG", 7)]
    approve(books, "PO-000001")
    assert open_units(books).rows() == [("BAG", 5)]
    assert open_units(second).rows() == []


def test_nothing_needed_writes_nothing(books: BrandStore) -> None:
    assert draft(books, needs()) == Drafted(0, 0, ())
    assert orders(books) == []
