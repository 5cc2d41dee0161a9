"""Values of movements in the store: each is written once, and what is left of all is the ledger's inventory account."""

import random
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import psycopg2
import pytest

from assets.finance.accounts import default_chart
from assets.finance.booking import post_days
from assets.finance.fx import RATIOS
from assets.finance.stock_postings import line_costs
from assets.ingestion.lines import Defaults, normalise
from assets.ingestion.mapping import OrderMapping
from assets.ingestion.reference import normalise_reference
from assets.inventory.stock_values import value_new
from assets.inventory.valuation import METHODS, Method, stock_value
from resources.channels.protocol import ChannelOrder, Connection, OrderLine
from resources.settings import BrandSettings
from resources.store.brand_store import BrandStore
from resources.store.bulk import insert_row, run
from resources.store.catalog import write_catalog
from resources.store.catalog_codes import sku_ids
from resources.store.channel_orders import Books, take_order
from resources.store.connections import read_connection, save_connection
from resources.store.ledger import read_postings
from resources.store.models.brand import CHANNEL_KINDS
from resources.store.orders import ImportRecord, read_order_lines, write_order_lines
from resources.store.stock import write_movements
from resources.store.stock_keeping import save_bundle
from resources.store.stock_valuation import (
    VALUED,
    forget_values,
    read_layers,
    read_line_costs,
    read_unvalued,
    read_valued,
    unvalued_days,
    valued_days,
    write_values,
)

FIRST, LAST = date(2025, 1, 1), date(2026, 12, 31)
SOLD = ("order_number", "sku", "quantity", "unit_price", "occurred_at", "line_type", "currency")
MAPPING = OrderMapping.model_validate({"columns": {name: name for name in SOLD}})
DEFAULTS = Defaults("EUR", "Europe/Paris", date(2027, 1, 1), CHANNEL_KINDS)


class House:
    """Costs, movements and orders of a brand, told as files tell them."""

    def __init__(self, books: BrandStore) -> None:
        self.books, self.orders, self.movements = books, 0, 0

    def cost(self, sku: str, minor: int, since: str = "", currency: str = "EUR") -> None:
        row = {"sku": sku, "cost": f"{minor / 100:.2f}", "cost_valid_from": since, "currency": currency}
        rows = self._judged([row], "catalog")
        with self.books.write() as (connection, brand):
            write_catalog(connection, brand, rows)

    def move(self, sku: str, kind: str, quantity: int, day: str = "2025-03-01", **more: str) -> None:
        self.movements += 1
        row = {"sku": sku, "kind": kind, "quantity": str(quantity), "occurred_at": f"{day} 12:00", "location": "main"}
        rows = self._judged([{**row, "reference": f"m{self.movements}", **more}], "stock")
        with self.books.write() as (connection, brand):
            write_movements(connection, brand, rows, "main")

    def sell(self, sku: str, quantity: int, day: str = "2025-03-01", kind: str = "goods", price: str = "9.99") -> None:
        self.orders += 1
        row = {"order_number": str(self.orders), "sku": sku, "quantity": str(quantity), "unit_price": price}
        told = {**row, "occurred_at": f"{day} 12:00", "line_type": kind, "currency": "EUR"}
        rows = pl.DataFrame([told], schema=dict.fromkeys(SOLD, pl.String)).with_row_index("row_number", 1)
        judged = normalise(rows, MAPPING, DEFAULTS)
        assert not judged.rejected.height, judged.rejected
        with self.books.write() as (connection, brand):
            record = ImportRecord("orders", "orders.csv", str(self.orders), "test", 1, 0)
            lines = judged.lines.with_columns(pl.lit(False).alias("cumulative"))
            write_order_lines(connection, brand, record, lines, vault=self.books.vault)

    def value(self, last: date = LAST) -> int:
        return value_new(self.books, last)

    def post(self) -> None:
        with self.books.write() as (connection, brand):
            lines = read_order_lines(connection, brand, FIRST, LAST)
            none = pl.DataFrame(schema=RATIOS)
            post_days(connection, brand, lines, none, "EUR", default_chart(), FIRST, LAST)

    def valued(self) -> pl.DataFrame:
        with self.books.read() as (connection, brand):
            return read_valued(connection, brand, FIRST, LAST)

    def worth(self) -> dict[str, tuple[int, int | None]]:
        with self.books.read() as (connection, brand):
            left = stock_value(read_layers(connection, brand))
        return {sku: (units, minor) for sku, _, units, minor in left.iter_rows()}

    def account(self, code: str) -> int:
        with self.books.read() as (connection, brand):
            postings = read_postings(connection, brand, FIRST, LAST)
        return int(postings.filter(pl.col("account") == code)["amount_minor"].sum())

    def _judged(self, rows: list[dict[str, Any]], kind: Any) -> pl.DataFrame:
        frame = pl.DataFrame(rows, schema=dict.fromkeys(rows[0], pl.String)).with_row_index("row_number", 1)
        judged = normalise_reference(frame, kind, currency="EUR", timezone="Europe/Paris")
        assert not judged.rejected.height, judged.rejected
        return judged.lines


@pytest.fixture
def house(books: BrandStore) -> House:
    return House(books)


def costing(books: BrandStore, method: Method) -> House:
    brands = {books.settings.brand: BrandSettings(costing=method)}
    return House(BrandStore(books.settings.model_copy(update={"brands": brands}), books.store))


def test_a_movement_is_valued_once(house: House) -> None:
    house.cost("BAG", 10000)
    house.move("BAG", "receipt", 3)
    house.sell("BAG", 1)
    assert (house.value(), house.value()) == (2, 0)
    house.cost("BAG", 20000)
    house.move("BAG", "receipt", 1, "2025-03-02")
    assert house.value() == 1
    assert house.valued()["value_minor"].to_list() == [30000, -10000, 20000]
    assert house.worth() == {"BAG": (3, 40000)}


def test_the_store_refuses_to_value_a_movement_again(house: House) -> None:
    house.cost("BAG", 100)
    house.move("BAG", "receipt", 1)
    house.value()
    parts = house.valued().select("movement_id", "part", "units", "value_minor", "variance_minor", "currency")
    refused = (sqlite3.IntegrityError, psycopg2.IntegrityError)
    with pytest.raises(refused), house.books.write() as (connection, brand):
        write_values(connection, brand, parts, read_layers(connection, brand), "fifo")
    assert house.worth() == {"BAG": (1, 100)}


def test_movements_of_later_days_wait_for_their_day(house: House) -> None:
    house.cost("BAG", 100)
    house.move("BAG", "receipt", 1, "2025-03-01")
    house.move("BAG", "receipt", 1, "2025-03-02")
    assert house.value(date(2025, 3, 1)) == 1
    assert house.worth() == {"BAG": (1, 100)}
    assert house.value() == 1


def test_a_sku_without_a_cost_waits_and_is_valued_from_its_beginning_once_it_has_one(house: House) -> None:
    house.sell("BAG", 2)
    house.move("BAG", "receipt", 5, "2025-03-02")
    assert house.value() == 0
    with house.books.read() as (connection, brand):
        assert unvalued_days(connection, brand).height == 0
    house.cost("BAG", 100)
    with house.books.read() as (connection, brand):
        assert unvalued_days(connection, brand)["movements"].to_list() == [1, 1]
    assert house.value() == 2
    assert house.valued()["value_minor"].to_list() == [-200, 500]
    with house.books.read() as (connection, brand):
        assert valued_days(connection, brand).select("rows", "newest").rows() == [(1, -200), (1, 500)]
        assert unvalued_days(connection, brand).height == 0
        assert read_unvalued(connection, brand, LAST).height == 0


def test_what_moved_before_the_first_cost_was_valid_has_no_value(house: House) -> None:
    house.move("BAG", "receipt", 2, "2025-03-01")
    house.cost("BAG", 100, "2025-03-05")
    house.move("BAG", "receipt", 1, "2025-03-06")
    house.value()
    assert house.valued().select("units", "value_minor").rows() == [(2, None), (1, 100)]
    house.post()
    assert house.account("1300") == 100


def test_a_receipt_costs_what_its_purchase_order_says(house: House) -> None:
    with house.books.write() as (connection, brand):
        sku = sku_ids(connection, brand, ["BAG"])["BAG"]
        now = datetime(2025, 2, 1, tzinfo=UTC)
        order = {"brand_id": brand, "number": "PO-000001", "status": "ordered", "created_at": now}
        number = insert_row(connection, "purchase_orders", order)
        line = {"brand_id": brand, "purchase_order_id": number, "sku_id": sku, "quantity": 9, "received_quantity": 0}
        insert_row(connection, "purchase_order_lines", {**line, "unit_cost_minor": 77, "currency": "EUR"})
    house.move("BAG", "receipt", 3, reference="PO-000001")
    house.move("BAG", "receipt", 3, reference="PO-000002")
    house.value()
    assert house.valued()["value_minor"].to_list() == [231, None]


def test_transfers_and_the_two_places_they_are_between_change_no_value(house: House) -> None:
    house.cost("BAG", 100)
    house.move("BAG", "receipt", 3)
    house.move("BAG", "transfer", -2)
    house.move("BAG", "transfer", 2, location="paris")
    assert house.value() == 1
    house.move("BAG", "write_off", -1, location="paris")
    assert house.value() == 1
    assert house.worth() == {"BAG": (2, 200)}


def test_the_books_of_two_brands_are_valued_apart(house: House) -> None:
    second = House(BrandStore(house.books.settings.model_copy(update={"brand": "second"}), house.books.store))
    for place, minor in ((house, 100), (second, 700)):
        place.cost("BAG", minor)
        place.move("BAG", "receipt", 2)
    assert (house.value(), second.value()) == (1, 1)
    assert (house.worth(), second.worth()) == ({"BAG": (2, 200)}, {"BAG": (2, 1400)})
    second.move("BAG", "write_off", -2)
    second.value()
    assert (house.worth(), second.worth()) == ({"BAG": (2, 200)}, {})


def test_the_store_says_of_each_line_what_the_frames_say(house: House) -> None:
    house.cost("BAG", 100)
    house.move("BAG", "receipt", 1)
    house.sell("BAG", 2)
    house.sell("BAG", -1, "2025-03-02")
    house.sell("BELT", 1)
    house.value()
    with house.books.read() as (connection, brand):
        told = read_line_costs(connection, brand, FIRST, LAST)
        valued = read_valued(connection, brand, FIRST, LAST)
    assert told["cost_minor"].to_list() == [200, -100]
    assert told.equals(line_costs(valued).sort("line_id"))


def test_lines_without_a_known_cost_say_so_on_both_ways(house: House) -> None:
    house.sell("BAG", 2, "2025-03-01")
    house.cost("BAG", 100, "2025-03-05")
    house.sell("BAG", 2, "2025-03-06")
    house.value()
    with house.books.read() as (connection, brand):
        told = read_line_costs(connection, brand, FIRST, LAST)
    assert told["cost_minor"].to_list() == [None, 200]
    assert told.equals(line_costs(house.valued()).sort("line_id"))


def test_values_that_are_taken_back_are_computed_again_from_the_costs_of_now(house: House) -> None:
    house.cost("BAG", 100)
    house.move("BAG", "receipt", 3)
    house.sell("BAG", 1, "2025-03-02")
    house.value()
    house.post()
    house.cost("BAG", 120)
    with house.books.write() as (connection, brand):
        assert forget_values(connection, brand) == 2
    assert house.value() == 2
    house.post()
    assert house.worth() == {"BAG": (2, 240)}
    assert (house.account("1300"), house.account("5000")) == (240, 120)


class Shop:
    """A connected channel that tells of one order again and again."""

    def __init__(self, house: House) -> None:
        self.house, self.hours = house, 0
        with house.books.write() as (connection, brand):
            save_bundle(connection, brand, "SET", {"BAG": 1, "BELT": 2})
            reached = Connection("shop", "woocommerce", "http://127.0.0.1", {}, {"key": "ck"})
            save_connection(connection, brand, house.books.vault, reached)

    def tell(self, *lines: tuple[str, str, int]) -> None:
        """Line, SKU and units that are sold now."""
        placed = datetime(2025, 3, 2, 12, tzinfo=UTC)
        self.hours += 1
        told = tuple(OrderLine(number, sku, number, sku, units, units, Decimal(10)) for number, sku, units in lines)
        with self.house.books.write() as (connection, brand):
            channel = read_connection(connection, brand, self.house.books.vault, "shop")
            at = placed + timedelta(hours=self.hours)
            order = ChannelOrder("77", "1077", "processing", placed, at, "EUR", told)
            take_order(connection, Books(brand, "Europe/Paris", 2), channel, order)

    def costs(self) -> list[tuple[str, int, int | None]]:
        """SKU, units and cost of each line of the order, alike from the store and from the frames."""
        with self.house.books.read() as (connection, brand):
            lines = read_order_lines(connection, brand, FIRST, LAST)
            told = read_line_costs(connection, brand, FIRST, LAST)
        assert told.equals(line_costs(self.house.valued()).sort("line_id"))
        known = lines.join(told, on="line_id", how="left", maintain_order="left")
        return known.select("sku", "quantity", "cost_minor").rows()


@pytest.fixture
def shop(house: House) -> Shop:
    for sku, minor in (("BAG", 100), ("BELT", 30)):
        house.cost(sku, minor)
        house.move(sku, "receipt", 9)
    return Shop(house)


def test_movements_of_a_connected_channel_are_of_its_order(shop: Shop) -> None:
    shop.tell(("l1", "BAG", 2))
    shop.tell(("l1", "BAG", 1))
    shop.house.value()
    moved = shop.house.valued().filter(pl.col("kind") != "receipt")
    assert moved["order_id"].n_unique() == 1
    assert moved["order_id"].null_count() == 0
    shop.house.post()
    assert (shop.house.account("1300"), shop.house.account("5000")) == (1070, 100)
    assert shop.costs() == [("BAG", 2, 200), ("BAG", -1, -100)]


def test_a_set_costs_what_its_parts_do(shop: Shop) -> None:
    shop.tell(("l1", "SET", 2))
    shop.house.value()
    assert shop.costs() == [("SET", 2, 320)]


def test_two_lines_of_a_channel_that_cannot_be_told_apart_have_no_cost_of_their_own(shop: Shop) -> None:
    shop.tell(("l1", "BAG", 2), ("l2", "BAG", 1), ("l3", "BELT", 1))
    shop.house.value()
    assert shop.costs() == [("BAG", 2, None), ("BAG", 1, None), ("BELT", 1, 30)]


@pytest.mark.parametrize("method", METHODS)
def test_the_inventory_account_is_the_value_of_stock_after_every_close(books: BrandStore, method: Method) -> None:
    """Receipts, sales, returns, gifts and counts of three SKUs over three weeks, some told late, closed five times."""
    house, dice = costing(books, method), random.Random(7)
    for sku, currency in (("BAG", "EUR"), ("BELT", "EUR"), ("SCARF", "USD")):
        house.cost(sku, dice.randint(100, 900), currency=currency)
        house.cost(sku, dice.randint(100, 900), "2025-03-10", currency)
    for week in range(5):
        for _ in range(8):
            sku, day = dice.choice(["BAG", "BELT", "SCARF"]), f"2025-03-{dice.randint(1, 4 + 5 * week):02}"
            kind = dice.choice(["receipt", "opening", "adjustment", "write_off", "sale", "sale", "return", "gift"])
            units = dice.randint(1, 5)
            if kind in ("sale", "return", "gift"):
                line = "gift" if kind == "gift" else "goods"
                house.sell(sku, -units if kind == "return" else units, day, line, "0" if kind == "gift" else "9.99")
            else:
                house.move(sku, kind, units if kind in ("receipt", "opening") else dice.choice([-units, units]), day)
        house.value(date(2025, 3, 4 + 5 * week))
        house.post()
        assert _inventory(house) == _worth(house), week
    with books.read() as (connection, brand):
        on_hand = run(connection, "SELECT sum(quantity) FROM stock_movements WHERE brand_id = :b", {"b": brand})
        assert sum(units for units, _ in house.worth().values()) == on_hand.scalar()
    assert set(house.valued()["method"]) == {method}
    assert house.valued().schema == pl.Schema(VALUED)


def test_two_closes_at_once_value_each_movement_once(house: House) -> None:
    house.cost("BAG", 100)
    for _ in range(20):
        house.move("BAG", "receipt", 1)
    start = threading.Barrier(2)

    def close() -> int:
        start.wait(10)
        return house.value()

    with ThreadPoolExecutor(2) as both:
        counts = sorted(done.result(60) for done in [both.submit(close), both.submit(close)])
    assert counts == [0, 20]
    assert house.worth() == {"BAG": (20, 2000)}
    assert house.valued().height == 20


def _inventory(house: House) -> dict[str, int]:
    with house.books.read() as (connection, brand):
        postings = read_postings(connection, brand, FIRST, LAST).filter(pl.col("account") == "1300")
    sums = postings.group_by("currency").agg(pl.col("amount_minor").sum())
    return {currency: minor for currency, minor in sums.iter_rows() if minor}


def _worth(house: House) -> dict[str, int]:
    with house.books.read() as (connection, brand):
        left = stock_value(read_layers(connection, brand)).group_by("currency").agg(pl.col("value_minor").sum())
    return {currency: minor for currency, minor in left.iter_rows() if minor}
