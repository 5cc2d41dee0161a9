"""Counts, sets, rules, supply and numbered pieces: how stock is kept before any channel sees it.

Does not belong here: what a channel is shown of it (`tests/assets/inventory/test_availability`).
"""

from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest
from sqlalchemy.exc import IntegrityError

from assets.expectations import run_suite
from assets.inventory import checks
from resources.channels.protocol import Connection
from resources.store.brand_store import BrandStore
from resources.store.bulk import fetch
from resources.store.catalog_codes import sku_ids
from resources.store.channel_stock import ITEMS, Count, count_stock, undo_count, write_items
from resources.store.channel_stock import read_known as known_items
from resources.store.connections import save_connection
from resources.store.stock import read_levels, read_movements
from resources.store.stock_keeping import (
    Counted,
    InvalidStockKeeping,
    add_piece,
    assign_pieces,
    read_bundles,
    read_levels_by_location,
    read_numbered,
    read_pieces,
    read_places,
    read_rules,
    read_supply,
    save_bundle,
    save_rule,
    save_supply,
    set_level,
)

DAY, NOON = date(2026, 3, 1), datetime(2026, 3, 1, 12, tzinfo=UTC)


def count(books: BrandStore, sku: str, quantity: int, place: str = "main") -> int:
    with books.write() as (connection, brand):
        return set_level(connection, brand, Counted(sku, place, quantity, "anna", "cycle count", "2026-03"), DAY)


def movements(books: BrandStore) -> list[Any]:
    query = """
        SELECT s.sku, m.kind, m.quantity FROM stock_movements m JOIN skus s ON s.id = m.sku_id
        WHERE m.brand_id = :brand ORDER BY m.id
    """
    with books.read() as (connection, brand):
        return fetch(connection, query, {"brand": brand})


def bundle(books: BrandStore, sku: str, **components: int) -> None:
    with books.write() as (connection, brand):
        save_bundle(connection, brand, sku, components)


def rule(books: BrandStore, channel: str | None, sku: str | None, buffer: int, most: int | None = None) -> None:
    with books.write() as (connection, brand):
        save_rule(connection, brand, channel, sku, buffer, most)


def connect(books: BrandStore, name: str, *locations: str) -> None:
    with books.write() as (connection, brand):
        reached = Connection(name, "shopify", "http://127.0.0.1", {}, {"token": "t"})
        save_connection(connection, brand, books.vault, reached, locations=locations)


def frame(books: BrandStore, read: Any, *more: Any) -> list[Any]:
    with books.read() as (connection, brand):
        return read(connection, brand, *more).rows()


class TestCounts:
    """Bringing a level to what was counted."""

    def test_a_count_brings_the_level_to_what_was_counted_and_again_moves_nothing(self, books: BrandStore) -> None:
        assert [count(books, "BAG", units) for units in (5, 5, 3, 3, 8)] == [5, 0, -2, 0, 5]
        assert movements(books) == [("BAG", "opening", 5), ("BAG", "adjustment", -2), ("BAG", "adjustment", 5)]
        assert frame(books, read_levels_by_location) == [("BAG", "main", 8, 0, True)]

    def test_a_first_count_of_nothing_is_an_opening_so_that_the_sku_is_counted(self, books: BrandStore) -> None:
        assert [count(books, "BAG", 0) for _ in range(3)] == [0, 0, 0]
        assert movements(books) == [("BAG", "opening", 0)]
        assert frame(books, read_levels_by_location) == [("BAG", "main", 0, 0, True)]

    def test_each_location_is_counted_by_itself(self, books: BrandStore) -> None:
        count(books, "BAG", 5)
        count(books, "BAG", 2, "paris")
        assert frame(books, read_levels_by_location) == [("BAG", "main", 5, 0, True), ("BAG", "paris", 2, 0, True)]

    def test_less_than_nothing_cannot_be_counted(self, books: BrandStore) -> None:
        with pytest.raises(InvalidStockKeeping, match="BAG: -1 is below 0"):
            count(books, "BAG", -1)

    def test_a_set_cannot_be_counted(self, books: BrandStore) -> None:
        bundle(books, "SET", BAG=1)
        with pytest.raises(InvalidStockKeeping, match="SET is a set and has no stock of its own"):
            count(books, "SET", 1)

    def test_a_channel_that_shows_nothing_of_a_sku_has_counted_it(self, books: BrandStore) -> None:
        assert [told(books, 0, f"call {number}") for number in range(2)] == [1, 0]
        assert movements(books) == [("BAG", "opening", 0)]
        assert told(books, 4, "call 3") == 1
        assert movements(books)[1:] == [("BAG", "adjustment", 4)]
        with books.read() as (connection, brand):
            assert read_levels(connection, brand).select("sku", "on_hand", "counted").rows() == [("BAG", 4, True)]

    def test_an_opening_of_nothing_is_undone_by_no_movement_of_nothing(self, books: BrandStore) -> None:
        told(books, 0, "call 1")
        with books.write() as (connection, brand):
            assert undo_count(connection, brand, "call 1", Count("shopify", NOON, DAY, "undo")) == 0
        assert movements(books) == [("BAG", "opening", 0)]


def told(books: BrandStore, units: int, reference: str) -> int:
    """A channel tells how many there are. Returns how many movements that took."""
    items = pl.DataFrame([{"sku": "BAG", "quantity": units}], schema=ITEMS)
    with books.write() as (connection, brand):
        write_items(connection, brand, items, known_items(connection, brand, ["BAG"]), NOON)
        return count_stock(connection, brand, items, Count("shopify", NOON, DAY, reference))


@pytest.mark.parametrize(
    ("kind", "quantity", "passes"),
    [("opening", 0, True), ("adjustment", 0, False), ("sale", 0, False), ("sale", -1, True), ("opening", 5, True)],
)
def test_only_an_opening_may_move_nothing(books: BrandStore, kind: str, quantity: int, passes: bool) -> None:
    count(books, "BAG", 1)
    with books.read() as (connection, brand):
        rows = read_movements(connection, brand, DAY, DAY)
    changed = rows.with_columns(pl.lit(kind).alias("kind"), pl.lit(quantity, pl.Int64).alias("quantity"))
    results = run_suite("stock_movements", checks.with_effect(changed), checks.MOVEMENT_RULES)
    assert {result.check_name: result.passed for result in results} == {
        "has_the_agreed_columns": True,
        "each_movement_once": True,
        "has_a_sku": True,
        "kind_is_known": True,
        "moves_something": passes,
    }


class TestSets:
    """SKUs that consist of others."""

    def test_a_set_may_contain_sets(self, books: BrandStore) -> None:
        bundle(books, "SET", BAG=1, BELT=2)
        bundle(books, "BOX", SET=2)
        assert frame(books, read_bundles) == [("BOX", "SET", 2), ("SET", "BAG", 1), ("SET", "BELT", 2)]

    def test_what_a_set_consists_of_is_replaced(self, books: BrandStore) -> None:
        bundle(books, "SET", BAG=1, BELT=2)
        bundle(books, "SET", SCARF=3)
        assert frame(books, read_bundles) == [("SET", "SCARF", 3)]
        bundle(books, "SET")
        assert frame(books, read_bundles) == []
        assert count(books, "SET", 4) == 4

    @pytest.mark.parametrize("last", ["A", "B", "C"])
    def test_a_set_that_would_contain_itself_is_refused_and_nothing_is_kept(self, books: BrandStore, last: str) -> None:
        bundle(books, "A", B=1)
        bundle(books, "B", C=1)
        with pytest.raises(InvalidStockKeeping, match="contains itself"):
            bundle(books, "C", **{last: 1, "BAG": 1})
        assert frame(books, read_bundles) == [("A", "B", 1), ("B", "C", 1)]

    def test_sets_that_become_too_deep_are_refused_wherever_they_grow(self, books: BrandStore) -> None:
        for depth in range(10):
            bundle(books, f"TOP{depth}", **{f"TOP{depth + 1}": 1})
            bundle(books, f"LOW{depth}", **{f"LOW{depth + 1}": 1})
        with pytest.raises(InvalidStockKeeping, match="more than 16 deep"):
            bundle(books, "TOP10", LOW0=1)

    def test_a_set_has_at_least_one_of_each(self, books: BrandStore) -> None:
        with pytest.raises(InvalidStockKeeping, match="at least one unit of each"):
            bundle(books, "SET", BAG=0)

    def test_a_sku_with_stock_of_its_own_does_not_become_a_set(self, books: BrandStore) -> None:
        count(books, "SET", 3)
        with pytest.raises(InvalidStockKeeping, match="SET has 3 units in stock"):
            bundle(books, "SET", BAG=1)
        count(books, "SET", 0)
        bundle(books, "SET", BAG=1)


class TestRules:
    """Buffers and caps."""

    def test_a_rule_is_replaced_and_not_doubled(self, books: BrandStore) -> None:
        count(books, "BAG", 1)
        connect(books, "shop")
        cases = [(None, None), ("shop", None), (None, "BAG"), ("shop", "BAG")]
        for buffer in (1, 2):
            for channel, sku in cases:
                rule(books, channel, sku, buffer, 10)
        assert frame(books, read_rules) == [(channel, sku, 2, 10) for channel, sku in cases]

    def test_a_rule_of_nothing_is_none(self, books: BrandStore) -> None:
        rule(books, None, None, 3)
        rule(books, None, None, 0, 0)
        assert frame(books, read_rules) == [(None, None, 0, 0)]
        rule(books, None, None, 0)
        assert frame(books, read_rules) == []

    @pytest.mark.parametrize(("buffer", "most"), [(-1, None), (0, -1)])
    def test_what_is_below_nothing_is_refused(self, books: BrandStore, buffer: int, most: int | None) -> None:
        with pytest.raises(InvalidStockKeeping, match="whole numbers of 0 or more"):
            rule(books, None, None, buffer, most)

    def test_a_rule_of_something_unknown_is_refused(self, books: BrandStore) -> None:
        with pytest.raises(InvalidStockKeeping, match="no channel 'shop'"):
            rule(books, "shop", None, 1)
        with pytest.raises(InvalidStockKeeping, match="no SKU 'BAG'"):
            rule(books, None, "BAG", 1)


class TestSupply:
    """What is sold beyond stock."""

    def test_only_what_is_sold_beyond_stock_is_told(self, books: BrandStore) -> None:
        with books.write() as (connection, brand):
            save_supply(connection, brand, "BAG", "made_to_order", 5)
            save_supply(connection, brand, "BELT", "pre_order", 9, DAY, date(2026, 4, 1))
            save_supply(connection, brand, "SCARF", "stock", 0)
        assert frame(books, read_supply) == [
            ("BAG", "made_to_order", 5, None, None),
            ("BELT", "pre_order", 9, DAY, date(2026, 4, 1)),
        ]

    def test_what_makes_no_sense_is_refused(self, books: BrandStore) -> None:
        cases = [("magic", 1, None), ("made_to_order", -1, None), ("pre_order", 1, date(2026, 2, 1))]
        for kind, limit, last in cases:
            with pytest.raises(InvalidStockKeeping), books.write() as (connection, brand):
                save_supply(connection, brand, "BAG", kind, limit, DAY, last)


class TestPieces:
    """Pieces with numbers of their own."""

    def test_pieces_are_kept_by_number_and_each_once(self, books: BrandStore) -> None:
        with books.write() as (connection, brand):
            add_piece(connection, brand, "BAG", "7", "paris")
        with pytest.raises(IntegrityError), books.write() as (connection, brand):
            add_piece(connection, brand, "BAG", "7", "main")
        with books.read() as (connection, brand):
            assert read_numbered(connection, brand) == ["BAG"]
        assert frame(books, read_pieces, "BAG") == [("BAG", "7", "paris", "in_stock", None)]

    def test_the_lowest_numbers_go_first_and_those_of_a_sale_come_back(self, books: BrandStore) -> None:
        with books.write() as (connection, brand):
            for serial in ("A10", "A9", "A100", "B1"):
                add_piece(connection, brand, "BAG", serial, "main")
            sku = sku_ids(connection, brand, ["BAG"])["BAG"]
            assert assign_pieces(connection, brand, sku, 2, "order 1") == ["A9", "A10"]
            assert assign_pieces(connection, brand, sku, 1, "order 2") == ["A100"]
            assert assign_pieces(connection, brand, sku, -1, "order 1") == ["A9"]
            assert assign_pieces(connection, brand, sku, -5, "order 3") == []
            assert assign_pieces(connection, brand, sku, 9, "order 4") == ["A9", "B1"]


def test_a_channel_sells_from_the_locations_that_it_names_and_else_from_all(books: BrandStore) -> None:
    count(books, "BAG", 1)
    count(books, "BAG", 1, "paris")
    connect(books, "everywhere")
    connect(books, "france", "paris")
    assert sorted(frame(books, read_places)) == [("everywhere", "main"), ("everywhere", "paris"), ("france", "paris")]
