"""Order lines in the store: each is there once, whatever comes how often, from wherever, at the same time.

Does not belong here: how a file becomes lines (`tests/assets/ingestion`).
"""

import random
import subprocess
import sys
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from assets.ingestion.lines import Defaults, normalise
from assets.ingestion.mapping import OrderMapping
from resources.settings import load_settings
from resources.store import open_store
from resources.store.brand_store import BrandStore
from resources.store.customers import read_profile
from resources.store.models.brand import CHANNEL_KINDS
from resources.store.orders import ImportRecord, Written, line_days, read_order_lines, write_order_lines
from tests.peers.postgres import PostgresServer

FIRST, LAST = date(1970, 1, 1), date(2100, 1, 1)
FIELDS = (
    "order_number", "sku", "quantity", "unit_price", "occurred_at", "line_type", "customer", "email", "currency", "location",
)  # fmt: skip
MAPPING = OrderMapping.model_validate({"columns": {name: name for name in FIELDS}})
DEFAULTS = Defaults("EUR", "Europe/Paris", date(2026, 1, 1), CHANNEL_KINDS)
INGEST = """
import sys
from pathlib import Path
from assets.ingestion.mapping import load_preset
from luxauto_pipelines.ingest import ingest_orders
from luxauto_pipelines.instance import reload
books = reload()
print("ready", flush=True)
sys.stdin.read(1)
result = ingest_orders(books, Path(sys.argv[1]), load_preset("luxauto"), "luxauto", lambda stage: None)
print(result.new, result.known)
"""


def line(number: str, sku: str = "BAG", quantity: int = 1, price: str = "100.00", **more: str) -> dict[str, Any]:
    base = {"order_number": number, "sku": sku, "quantity": str(quantity), "unit_price": price}
    return base | {"occurred_at": "2025-03-01 12:00"} | more


def frame(*lines: dict[str, Any], cumulative: bool = False) -> pl.DataFrame:
    """Lines as an ingest makes them of rows."""
    rows = pl.DataFrame(lines, schema=dict.fromkeys(FIELDS, pl.String)).with_row_index("row_number", 1)
    judged = normalise(rows, MAPPING, DEFAULTS)
    assert not judged.rejected.height, judged.rejected
    return judged.lines.with_columns(pl.lit(cumulative).alias("cumulative"))


def write(books: BrandStore, lines: pl.DataFrame) -> Written:
    with books.write() as (connection, brand):
        return write_order_lines(
            connection, brand, ImportRecord("orders", "f", "0" * 64, "m", lines.height, 0), lines, vault=books.vault
        )


def read(books: BrandStore) -> pl.DataFrame:
    with books.read() as (connection, brand):
        return read_order_lines(connection, brand, FIRST, LAST)


def rows_of(books: BrandStore, query: str) -> list[tuple[Any, ...]]:
    with books.read() as (connection, brand):
        return [tuple(row) for row in connection.execute(text(query), {"brand": brand})]


def levels(books: BrandStore) -> dict[str, int]:
    query = """
        SELECT s.sku, sum(m.quantity) FROM stock_movements m JOIN skus s ON s.id = m.sku_id
        WHERE m.brand_id = :brand GROUP BY s.sku
    """
    return {sku: int(units) for sku, units in rows_of(books, query)}


def transactions(books: BrandStore) -> dict[tuple[str, str], int]:
    query = """
        SELECT o.number, t.type, t.amount_minor FROM transactions t JOIN orders o ON o.id = t.order_id
        WHERE t.brand_id = :brand
    """
    return {(number, kind): amount for number, kind, amount in rows_of(books, query)}


def other_brand(books: BrandStore) -> BrandStore:
    return BrandStore(books.settings.model_copy(update={"brand": "second"}), books.store)


def test_the_same_lines_twice_change_nothing(books: BrandStore) -> None:
    lines = frame(line("1"), line("1", "BELT", 2), line("2", quantity=-1))
    assert write(books, lines) == Written(new=3, known=0)
    first, stock, money = read(books), levels(books), transactions(books)
    assert write(books, lines) == Written(new=0, known=3)
    assert read(books).equals(first)
    assert (levels(books), transactions(books)) == (stock, money)


def test_two_equal_lines_of_an_invoice_are_two_lines(books: BrandStore) -> None:
    lines = frame(line("1"), line("1"))
    assert write(books, lines).new == 2
    assert write(books, lines).known == 2
    assert levels(books) == {"BAG": -2}
    assert transactions(books) == {("1", "sale"): 20000}


def test_a_third_equal_line_in_a_later_file_is_the_only_new_one(books: BrandStore) -> None:
    write(books, frame(line("1"), line("1")))
    assert write(books, frame(line("1"), line("1"), line("1"))) == Written(new=1, known=2)
    assert levels(books) == {"BAG": -3}


def test_overlapping_files_give_each_invoice_once(books: BrandStore) -> None:
    write(books, frame(line("1"), line("2")))
    assert write(books, frame(line("2"), line("3"))) == Written(new=1, known=1)
    assert sorted(read(books)["order_number"]) == ["1", "2", "3"]


def test_a_line_that_is_added_to_a_known_invoice_is_added_to_its_transaction(books: BrandStore) -> None:
    write(books, frame(line("1")))
    assert write(books, frame(line("1"), line("1", "BELT", 1, "50"))) == Written(new=1, known=1)
    assert transactions(books) == {("1", "sale"): 15000}


def test_two_brands_with_the_same_numbers_live_apart(books: BrandStore) -> None:
    second = other_brand(books)
    write(books, frame(line("1", customer="7")))
    assert write(second, frame(line("1", quantity=5, customer="7"))) == Written(new=1, known=0)
    assert levels(books) == {"BAG": -1}
    assert levels(second) == {"BAG": -5}
    assert transactions(books) == {("1", "sale"): 10000}
    assert transactions(second) == {("1", "sale"): 50000}
    assert read(books)["customer_id"][0] != read(second)["customer_id"][0]


def test_a_sale_takes_stock_out_and_a_return_puts_it_back(books: BrandStore) -> None:
    write(
        books, frame(line("1", quantity=3), line("2", quantity=-1), line("3", line_type="stock_adjustment", price="0"))
    )
    query = "SELECT kind, quantity FROM stock_movements WHERE brand_id = :brand ORDER BY id"
    assert rows_of(books, query) == [("sale", -3), ("return", 1), ("adjustment", 1)]


def test_lines_without_goods_move_no_stock(books: BrandStore) -> None:
    write(books, frame(line("1", "POST", line_type="shipping"), line("1", "VAT", line_type="tax")))
    assert levels(books) == {}
    assert read(books)["sku"].to_list() == [None, None]


def test_an_order_has_one_transaction_of_each_type(books: BrandStore) -> None:
    write(
        books,
        frame(
            line("1"),
            line("1", "POST", 1, "10", line_type="shipping"),
            line("1", "BELT", -1, "40"),
            line("1", "FEE", 1, "-3", line_type="fee"),
            line("1", "ADJ", 1, "0.5", line_type="adjustment"),
            line("1", "GIFT", 1, "0", customer="7", line_type="gift"),
            line("1", "TEST", 1, "9", line_type="test"),
        ),
    )
    assert transactions(books) == {
        ("1", "sale"): 11000,
        ("1", "refund"): -4000,
        ("1", "expense"): -300,
        ("1", "adjustment"): 50,
    }


def test_a_total_that_grows_adds_only_its_growth(books: BrandStore) -> None:
    def refunded(amount: str) -> pl.DataFrame:
        total = frame(line("1", "REFUND", -1, amount, line_type="refund"), cumulative=True)
        return pl.concat([frame(line("1")), total.with_columns(row_number=pl.lit(1, pl.Int64))])

    write(books, refunded("0"))
    assert read(books).height == 1
    for told in ("30", "30", "45.50", "45.50", "20", "0", "100"):
        write(books, refunded(told))
        refund = read(books).filter(pl.col("kind") == "refund")
        assert refund["amount_minor"].sum() == -round(float(told) * 100)
        assert (refund["unit_price_micros"] * refund["quantity"] // 10_000 == refund["amount_minor"]).all()
    assert transactions(books)[("1", "refund")] == -10000
    assert read(books).filter(pl.col("kind") == "refund")["amount_minor"].to_list() == [
        -3000,
        -1550,
        2550,
        2000,
        -10000,
    ]


def test_a_customer_is_known_again_and_keeps_one_profile(books: BrandStore) -> None:
    write(
        books, frame(line("1", customer="7", email="a@example.com"), line("2", customer="7"), line("3", customer="8"))
    )
    write(books, frame(line("4", customer="7", email="b@example.com")))
    assert rows_of(books, "SELECT external_id FROM customers WHERE brand_id = :brand ORDER BY 1") == [("7",), ("8",)]
    assert rows_of(books, "SELECT count(*) FROM customer_profiles WHERE brand_id = :brand") == [(1,)]
    with books.write() as (connection, brand):
        profile = read_profile(connection, brand, books.vault, "7", reason="a test")
    assert (profile.email, profile.name, profile.phone) == ("a@example.com", None, None)


def test_goods_leave_from_where_their_line_says(books: BrandStore) -> None:
    write(books, frame(line("1", "A", location="shop"), line("1", "B"), line("2", "A", -1, location="shop")))
    query = """
        SELECT l.code, s.sku, m.kind, m.quantity, m.order_line_id - o.id
        FROM stock_movements m JOIN locations l ON l.id = m.location_id JOIN skus s ON s.id = m.sku_id
        JOIN order_lines o ON o.id = m.order_line_id AND o.sku_id = m.sku_id AND o.quantity = -m.quantity
        WHERE m.brand_id = :brand ORDER BY m.id
    """
    assert rows_of(books, query) == [
        ("shop", "A", "sale", -1, 0),
        ("main", "B", "sale", -1, 0),
        ("shop", "A", "return", 1, 0),
    ]


def test_two_brands_that_write_in_turn_share_no_id(books: BrandStore) -> None:
    second = other_brand(books)
    for number, of in enumerate((books, second, books, second)):
        write(of, frame(line(str(number)), line(str(number), "BELT")))
    query = "SELECT (SELECT count(*) FROM order_lines), (SELECT count(DISTINCT order_line_id) FROM stock_movements)"
    assert rows_of(books, query) == [(8, 8)]
    assert levels(books) == levels(second) == {"BAG": -2, "BELT": -2}


def test_progress_counts_lines_and_movements_to_the_end(books: BrandStore) -> None:
    told: list[tuple[int, int]] = []
    lines = frame(*(line(str(n), line_type="goods" if n % 2 else "shipping") for n in range(100)))
    with books.write() as (connection, brand):
        record = ImportRecord("orders", "f", "0" * 64, "m", 100, 0)
        write_order_lines(connection, brand, record, lines, lambda done, total: told.append((done, total)))
    assert told == sorted(told)
    assert told[-1] == (150, 150)


def test_an_import_is_recorded_with_what_was_new(books: BrandStore) -> None:
    write(books, frame(line("1"), line("2")))
    write(books, frame(line("2"), line("3")))
    query = "SELECT rows_in, rows_new, rows_known FROM imports WHERE brand_id = :brand ORDER BY id"
    assert rows_of(books, query) == [(2, 2, 0), (2, 1, 1)]


def test_days_tell_how_many_lines_they_have_and_the_newest(books: BrandStore) -> None:
    write(books, frame(line("1"), line("2"), line("3", occurred_at="2025-03-02 09:00")))
    with books.read() as (connection, brand):
        days = line_days(connection, brand)
    assert days.select("day", "lines").rows() == [(date(2025, 3, 1), 2), (date(2025, 3, 2), 1)]
    assert days["newest"].to_list() == sorted(days["newest"])


def test_an_error_in_the_transaction_leaves_nothing(books: BrandStore) -> None:
    with pytest.raises(ZeroDivisionError), books.write() as (connection, brand):
        write_order_lines(connection, brand, ImportRecord("orders", "f", "0" * 64, "m", 1, 0), frame(line("1")))
        _ = 1 / 0
    assert read(books).height == 0
    assert levels(books) == {}


def test_nothing_but_the_header_writes_nothing(books: BrandStore) -> None:
    assert write(books, frame(line("1")).clear()) == Written(0, 0)
    assert rows_of(books, "SELECT id FROM imports WHERE brand_id = :brand") == []


def test_text_of_every_kind_comes_back_as_it_was(books: BrandStore) -> None:
    odd = 'a "quoted", one;\nwith a \\ line break, an é, a 手 and \\N'
    write(books, frame(line('N°1,"x"', customer=odd[:60], occurred_at="2025-03-01T23:30:00.123456-05:00")))
    found = read(books)
    assert found["order_number"].to_list() == ['N°1,"x"']
    assert found["occurred_at"][0].isoformat() == "2025-03-02T04:30:00.123456+00:00"
    assert found["day"][0] == date(2025, 3, 1)
    assert rows_of(books, "SELECT external_id FROM customers WHERE brand_id = :brand") == [(odd[:60],)]


def test_four_processes_with_one_file_give_each_line_once(books: BrandStore, tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    header = "order_number,line_type,sku,quantity,unit_price,currency,occurred_at,channel,customer_id\n"
    rows = (
        f"{n // 3},goods,SKU-{n % 17},1,10.00,EUR,2025-03-01T10:00:00Z,online_store,{n % 50}\n" for n in range(3000)
    )
    path.write_text(header + "".join(rows), encoding="utf-8")
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", INGEST, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", process.communicate()[1]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("g")
        process.stdin.flush()
    told = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, told
    assert sorted(out for out, _ in told) == ["0 3000\n"] * 3 + ["3000 0\n"]
    found = read(books)
    assert found.height == 3000
    assert found["quantity"].sum() == -sum(levels(books).values()) == 3000
    assert sum(transactions(books).values()) == found["amount_minor"].sum() == 3_000_000


def invoices() -> list[list[dict[str, Any]]]:
    """Twelve invoices with equal lines, returns and lines at midnight; always the same."""
    pick = random.Random(5)
    made = []
    for number in range(12):
        day = date(2025, 3, 1) + timedelta(days=number // 2)
        base = [
            line(
                str(number),
                pick.choice("ABC"),
                pick.choice([-1, 1, 2]),
                occurred_at=f"{day} {pick.choice(['00:00', '23:59'])}",
            )
            for _ in range(pick.randint(1, 4))
        ]
        made.append([*base, *base[: pick.randint(0, 1)]])
    return made


INVOICES = invoices()


@pytest.fixture(scope="module")
def fresh_brand(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: PostgresServer
) -> Callable[[str], BrandStore]:
    """A brand of its own on a store that the examples share, so that no example has to migrate."""
    urls = {
        "sqlite": f"sqlite:///{tmp_path_factory.mktemp('orders') / 'store.db'}",
        "postgresql": postgres_server.make_database("order_examples"),
    }
    stores = {name: open_store(url) for name, url in urls.items()}
    for store in stores.values():
        store.migrate()
    count = iter(range(10**6))

    def make(database: str) -> BrandStore:
        return BrandStore(load_settings(brand=f"b{next(count)}"), stores[database])

    return make


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_overlapping_files_in_any_order_give_the_same_totals(
    fresh_brand: Callable[[str], BrandStore], database: str, data: st.DataObject
) -> None:
    everything = st.sets(st.integers(0, len(INVOICES) - 1), min_size=1)
    files = [sorted(chosen) for chosen in data.draw(st.lists(everything, min_size=1, max_size=4))]
    covered = {number for file in files for number in file}
    # The invoices that no file has drawn come in one of their own, so that every example ends at the same books.
    files.append([number for number in range(len(INVOICES)) if number not in covered] or [0])
    books = fresh_brand(database)
    for file in data.draw(st.permutations(files)):
        write(books, frame(*(row for number in file for row in INVOICES[number])))
    lines = read(books)
    expected = frame(*(row for invoice in INVOICES for row in invoice))
    by = ["order_number", "code", "quantity", "amount_minor", "occurred_at"]
    assert lines.select(by).sort(by).equals(expected.select(by).sort(by))
    moved = expected.group_by("sku").agg(-pl.col("quantity").sum())
    assert levels(books) == dict(moved.iter_rows())
    assert sum(transactions(books).values()) == expected["amount_minor"].sum()
