"""The shops' own exports, end to end into both databases: what the export says an order came to is what the books say.

Does not belong here: rows that name one line each (`test_lines`).
"""

import csv
import io
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from sqlalchemy import text

from assets.ingestion.mapping import load_preset
from luxauto_pipelines.ingest import IngestResult, ingest_orders
from resources.settings import load_settings
from resources.store.brand_store import BrandStore
from resources.store.customers import read_profile

SHOPIFY = """\
Name,Email,Financial Status,Paid at,Fulfillment Status,Currency,Subtotal,Shipping,Taxes,Total,Discount Code,Discount Amount,Shipping Method,Created at,Lineitem quantity,Lineitem name,Lineitem price,Lineitem sku,Lineitem requires shipping,Lineitem taxable,Lineitem fulfillment status,Billing Name,Billing Phone,Billing Country,Refunded Amount,Outstanding Balance,Vendor,Id,Tags,Source,Lineitem discount
#1001,Anna@Example.com,paid,2025-03-01 23:31:02 -0500,fulfilled,EUR,225.00,10.00,47.00,282.00,SPRING,25.00,Standard,2025-03-01 23:30:00 -0500,2,"Sac Élan - Noir, M",100.00,BAG-1,true,true,fulfilled,Anna Lind,+33123,FR,0.00,0.00,Maison,9001,,web,0.00
#1001,anna@example.com,,,,,,,,,,,,2025-03-01 23:30:00 -0500,1,Ceinture,50.00,BELT-1,true,true,fulfilled,,,,,,Maison,,,,0.00
#1002,bo@example.com,partially_refunded,2025-03-02 10:00:00 +0100,fulfilled,EUR,120.00,6.00,21.00,126.00,,0.00,Standard,2025-03-02 09:59:00 +0100,3,Foulard,33.33,SCARF-1,true,true,fulfilled,Bo Berg,,DE,30.00,0.00,Maison,9002,,web,0.00
#1002,bo@example.com,,,,,,,,,,,,2025-03-02 09:59:00 +0100,1,Ceinture,20.01,BELT-1,true,true,fulfilled,,,,,,Maison,,,,0.00
#1003,cy@example.com,voided,,,EUR,500.00,0.00,0.00,500.00,,0.00,Standard,2025-03-02 11:00:00 +0100,5,Sac,100.00,BAG-1,true,true,pending,Cy,,FR,0.00,0.00,Maison,9003,,web,0.00
#1004,di@example.com,pending,,,EUR,100.00,0.00,20.00,120.00,,0.00,Standard,2025-03-03 11:00:00 +0100,1,Sac,100.00,BAG-1,true,true,pending,Di,,FR,0.00,120.00,Maison,9004,,web,0.00
#1005,ed@example.com,paid,2025-03-04 11:00:00 +0100,fulfilled,EUR,"1,299.00",0.00,259.80,"1,563.80",,0.00,Standard,2025-03-04 11:00:00 +0100,1,Malle,"1,299.00",TRUNK-1,true,true,fulfilled,Ed,,FR,"1,563.80",0.00,Maison,9005,,web,0.00
#1006,fy@example.com,paid,2025-03-05 11:00:00 +0900,fulfilled,JPY,18000,500,1636,18500,,0,Standard,2025-03-05 11:00:00 +0900,1,Foulard,18000,SCARF-1,true,true,fulfilled,Fy,,JP,0,0,Maison,9006,,web,0
"""  # noqa: E501
WOO = """\
Order Number,Order Status,Order Date,First Name (Billing),Last Name (Billing),Country Code (Billing),Email (Billing),Phone (Billing),Order Currency,Cart Discount Amount,Order Subtotal Amount,Order Shipping Amount,Order Refund Amount,Order Total Amount,Order Total Tax Amount,SKU,Item #,Item Name,Quantity,Item Cost
501,Completed,2025-03-01 10:15,Anna,Lind,FR,anna@example.com,0123,EUR,10.00,150.00,5.90,0.00,175.90,30.00,bag-1,1,"Sac, noir",1,100.00
501,Completed,2025-03-01 10:15,Anna,Lind,FR,anna@example.com,0123,EUR,10.00,150.00,5.90,0.00,175.90,30.00,belt-1,2,Ceinture,2,25.00
502,Processing,2025-03-02 18:00,Bo,Berg,DE,bo@example.com,,EUR,0.00,60.00,0.00,12.00,60.00,10.00,scarf-1,1,Foulard,1,60.00
503,Cancelled,2025-03-02 19:00,Cy,,FR,cy@example.com,,EUR,0.00,60.00,0.00,0.00,72.00,12.00,scarf-1,1,Foulard,1,60.00
504,Pending payment,2025-03-02 20:00,Di,,FR,di@example.com,,EUR,0.00,60.00,0.00,0.00,72.00,12.00,scarf-1,1,Foulard,1,60.00
505,Failed,2025-03-02 21:00,Ed,,FR,ed@example.com,,EUR,0.00,60.00,0.00,0.00,72.00,12.00,scarf-1,1,Foulard,1,60.00
506,Completed,2025-03-03 10:00,Fy,,KW,fy@example.com,,KWD,0.000,12.345,1.000,0.000,13.345,0.000,scarf-1,1,Foulard,1,12.345
"""  # noqa: E501
VOID = {"voided", "pending", "Cancelled", "Pending payment", "Failed"}
NAMES = {
    "shopify-export": ("Name", "Financial Status", "Total", "Refunded Amount", "Currency"),
    "woocommerce-export": (
        "Order Number",
        "Order Status",
        "Order Total Amount",
        "Order Refund Amount",
        "Order Currency",
    ),
}
EXPORTS = [("shopify-export", SHOPIFY), ("woocommerce-export", WOO)]


def ingest(books: BrandStore, tmp_path: Path, preset: str, content: str) -> IngestResult:
    path = tmp_path / "export.csv"
    path.write_text(content, encoding="utf-8")
    mine = BrandStore(load_settings(brand=books.settings.brand), books.store)
    return ingest_orders(mine, path, load_preset(preset), preset, lambda stage: None)


def rows_of(books: BrandStore, query: str) -> list[tuple[Any, ...]]:
    with books.read() as (connection, brand):
        return [tuple(row) for row in connection.execute(text(query), {"brand": brand})]


def totals(books: BrandStore) -> dict[str, int]:
    """Minor units that the books have for each order."""
    query = """
        SELECT o.number, sum(l.amount_minor) FROM order_lines l JOIN orders o ON o.id = l.order_id
        WHERE l.brand_id = :brand GROUP BY o.number
    """
    return {number: int(amount) for number, amount in rows_of(books, query)}


def by_kind(books: BrandStore, number: str) -> dict[str, int]:
    query = f"""
        SELECT l.kind, sum(l.amount_minor) FROM order_lines l JOIN orders o ON o.id = l.order_id
        WHERE l.brand_id = :brand AND o.number = '{number}' GROUP BY l.kind
    """
    return {kind: int(amount) for kind, amount in rows_of(books, query)}


def stated(preset: str, content: str) -> dict[str, int]:
    """What the export itself says of each order that counts: total less refunds, read without any of our code."""
    number, status, total, refund, currency = NAMES[preset]
    found: dict[str, int] = {}
    for row in csv.DictReader(io.StringIO(content)):
        if row[total] and row[status] not in VOID and row[number] not in found:
            digits = {"JPY": 0, "KWD": 3}.get(row[currency], 2)
            amount = Decimal(row[total].replace(",", "")) - Decimal(row[refund].replace(",", ""))
            found[row[number]] = int(amount * 10**digits)
    return found


@pytest.mark.parametrize(("preset", "content"), EXPORTS)
def test_every_order_comes_to_its_total_less_its_refunds(
    books: BrandStore, tmp_path: Path, preset: str, content: str
) -> None:
    told = ingest(books, tmp_path, preset, content)
    assert (told.exit_code, told.quarantined) == (0, 0)
    assert told.rows_in == told.taken == told.new + told.known + told.void
    assert totals(books) == stated(preset, content)
    assert sum(
        amount for (amount,) in rows_of(books, "SELECT amount_minor FROM transactions WHERE brand_id = :brand")
    ) == sum(stated(preset, content).values())


@pytest.mark.parametrize(("preset", "content"), EXPORTS)
def test_the_same_export_twice_changes_nothing(books: BrandStore, tmp_path: Path, preset: str, content: str) -> None:
    first = ingest(books, tmp_path, preset, content)
    before = totals(books), rows_of(books, "SELECT id FROM order_lines WHERE brand_id = :brand")
    again = ingest(books, tmp_path, preset, content)
    assert (again.new, again.known, again.void) == (0, first.new, first.void)
    assert (totals(books), rows_of(books, "SELECT id FROM order_lines WHERE brand_id = :brand")) == before


@pytest.mark.parametrize(("preset", "content"), EXPORTS)
def test_orders_that_were_never_paid_move_neither_stock_nor_money(
    books: BrandStore, tmp_path: Path, preset: str, content: str
) -> None:
    assert ingest(books, tmp_path, preset, content).void == sum(
        row[NAMES[preset][1]] in VOID for row in csv.DictReader(io.StringIO(content))
    )
    assert set(totals(books)) == set(stated(preset, content))


def test_shipping_tax_and_discount_of_shopify_are_lines_of_their_own(books: BrandStore, tmp_path: Path) -> None:
    ingest(books, tmp_path, "shopify-export", SHOPIFY)
    assert by_kind(books, "#1001") == {"goods": 25000, "discount": -2500, "shipping": 1000, "tax": 4700}
    # 120.00 of goods and 6.00 of shipping contain the 21.00 of tax.
    assert by_kind(books, "#1002") == {"goods": 9900, "shipping": 600, "tax": 2100, "refund": -3000}
    assert by_kind(books, "#1005") == {"goods": 129900, "tax": 25980, "adjustment": 500, "refund": -156380}
    assert by_kind(books, "#1006") == {"goods": 16364, "shipping": 500, "tax": 1636}


def test_shipping_tax_and_discount_of_woocommerce_are_lines_of_their_own(books: BrandStore, tmp_path: Path) -> None:
    ingest(books, tmp_path, "woocommerce-export", WOO)
    assert by_kind(books, "501") == {"goods": 15000, "discount": -1000, "shipping": 590, "tax": 3000}
    assert by_kind(books, "502") == {"goods": 5000, "tax": 1000, "refund": -1200}
    assert by_kind(books, "506") == {"goods": 12345, "shipping": 1000}


def test_only_goods_move_stock(books: BrandStore, tmp_path: Path) -> None:
    ingest(books, tmp_path, "shopify-export", SHOPIFY)
    query = """
        SELECT s.sku, sum(m.quantity) FROM stock_movements m JOIN skus s ON s.id = m.sku_id
        WHERE m.brand_id = :brand GROUP BY s.sku
    """
    assert {sku: int(units) for sku, units in rows_of(books, query)} == {
        "BAG-1": -2,
        "BELT-1": -2,
        "SCARF-1": -4,
        "TRUNK-1": -1,
    }


def test_a_line_keeps_the_day_of_the_shops_own_clock(books: BrandStore, tmp_path: Path) -> None:
    ingest(books, tmp_path, "shopify-export", SHOPIFY)
    days = rows_of(books, "SELECT DISTINCT local_date FROM orders WHERE brand_id = :brand AND number = '#1001'")
    assert [str(day) for (day,) in days] == ["2025-03-01"]


@pytest.mark.parametrize(
    ("preset", "content", "number", "row", "changed"),
    [
        ("shopify-export", SHOPIFY, "#1002", "DE,30.00,", "DE,{},"),
        ("woocommerce-export", WOO, "502", "0.00,12.00,60.00", "0.00,{},60.00"),
    ],
)
def test_an_export_after_a_further_refund_grows_only_by_the_difference(
    books: BrandStore, tmp_path: Path, preset: str, content: str, number: str, row: str, changed: str
) -> None:
    assert row in content
    ingest(books, tmp_path, preset, content)
    for refund in ("45.50", "45.50", "60.00", "0.00", "59.99"):
        before = totals(books)
        later = content.replace(row, changed.format(refund))
        told = ingest(books, tmp_path, preset, later)
        assert totals(books) == stated(preset, later)
        assert told.new == int(totals(books) != before)
        refunded = rows_of(
            books,
            "SELECT t.amount_minor FROM transactions t JOIN orders o ON o.id = t.order_id "
            f"WHERE t.brand_id = :brand AND t.type = 'refund' AND o.number = '{number}'",
        )
        assert refunded == [(-int(Decimal(refund) * 100),)]


def test_an_order_that_was_pending_is_taken_once_it_is_paid(books: BrandStore, tmp_path: Path) -> None:
    ingest(books, tmp_path, "shopify-export", SHOPIFY)
    paid = SHOPIFY.replace("di@example.com,pending", "di@example.com,paid")
    assert ingest(books, tmp_path, "shopify-export", paid).new == 1
    assert by_kind(books, "#1004") == {"goods": 10000, "tax": 2000}


@pytest.mark.parametrize(
    ("good", "bad", "aside"),
    [
        ("225.00,10.00,47.00,282.00", "225.00,ten,47.00,282.00", [1, 2]),
        ("225.00,10.00,47.00,282.00", '225.00,"10,00",47.00,282.00', [1, 2]),
        ("225.00,10.00,47.00,282.00", "225.00,10.00,47.00,1e999999", [1, 2]),
        ("225.00,10.00,47.00,282.00", "225.00,NaN,47.00,282.00", [1, 2]),
        ("Ceinture,50.00,BELT-1", "Ceinture,fifty,BELT-1", [1, 2]),
        ("fulfilled,EUR,120.00", "fulfilled,EUX,120.00", [3, 4]),
    ],
)
def test_an_order_with_an_amount_that_is_no_number_is_put_aside_whole(
    books: BrandStore, tmp_path: Path, good: str, bad: str, aside: list[int]
) -> None:
    assert good in SHOPIFY
    told = ingest(books, tmp_path, "shopify-export", SHOPIFY.replace(good, bad))
    assert (told.exit_code, told.quarantined) == (2, len(aside))
    assert pl.read_parquet(str(told.quarantine_file))["row_number"].to_list() == aside
    missing = "#1001" if aside == [1, 2] else "#1002"
    expected = stated("shopify-export", SHOPIFY)
    assert totals(books) == {number: amount for number, amount in expected.items() if number != missing}
    ingest(books, tmp_path, "shopify-export", SHOPIFY)
    assert totals(books) == expected


def test_column_names_are_found_whatever_their_case(books: BrandStore, tmp_path: Path) -> None:
    header, rest = SHOPIFY.split("\n", 1)
    ingest(books, tmp_path, "shopify-export", header.lower() + "\n" + rest)
    assert totals(books) == stated("shopify-export", SHOPIFY)


def test_an_address_is_no_name_for_a_client(books: BrandStore, tmp_path: Path) -> None:
    ingest(books, tmp_path, "shopify-export", SHOPIFY)
    names = [name for (name,) in rows_of(books, "SELECT external_id FROM customers WHERE brand_id = :brand")]
    assert names
    assert not any("@" in name for name in names)
    with books.write() as (connection, brand):
        opened = [read_profile(connection, brand, books.vault, name, reason="a test") for name in names]
    assert ("Anna@Example.com", "Anna Lind") in [(profile.email, profile.name) for profile in opened]
