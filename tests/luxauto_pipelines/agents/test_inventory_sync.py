"""Inventory from a channel: upserted, counted by movements, undone by movements.

Does not belong here: the route (`tests/luxauto_pipelines/gateway/test_finance_routes.py`).
"""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from luxauto_pipelines.agents.finance_inventory import AGENT
from luxauto_pipelines.agents.finance_inventory.errors import InvalidFields
from luxauto_pipelines.agents.registry import Call
from resources.settings import load_settings
from resources.store import open_store
from resources.store.brand_store import BrandStore
from resources.store.bulk import fetch

Do = Callable[..., dict[str, Any]]
Rows = Callable[[str], list[tuple[Any, ...]]]
BAG = {"sku": "LUX-BAG-001", "quantity_available": 50, "retail_price": 1299.99, "cost_price": 650.00}


def levels(rows: Rows) -> dict[tuple[str, str], int]:
    query = """
        SELECT s.sku, l.code, CAST(sum(m.quantity) AS BIGINT) FROM stock_movements m
        JOIN skus s ON s.id = m.sku_id JOIN locations l ON l.id = m.location_id
        WHERE m.kind <> 'reservation' GROUP BY s.sku, l.code
    """
    return {(sku, place): units for sku, place, units in rows(query)}


def test_a_new_sku_is_made_with_its_price_cost_stock_and_listing(do: Do, rows: Rows) -> None:
    result = do("sync_inventory", channel="online_store", items=[BAG])
    assert (result["synced_items"], result["updated_items"], result["errors"]) == (1, 0, 0)
    assert rows("SELECT sku, retail_price_minor, currency FROM skus") == [("LUX-BAG-001", 129999, "EUR")]
    assert rows("SELECT cost_minor, currency FROM sku_costs") == [(65000, "EUR")]
    assert levels(rows) == {("LUX-BAG-001", "online_store"): 50}
    assert rows("SELECT price_minor, quantity FROM listings") == [(129999, 50)]
    assert do("stock_levels")["levels"][0]["counted"] is True


def test_every_field_of_an_item_is_kept(do: Do, rows: Rows) -> None:
    item = {
        "sku": "LUX-SCARF-7",
        "item_id": "gid-77",
        "name": "Carré",
        "description": "Silk twill",
        "category": "accessories",
        "subcategory": "scarves",
        "brand": "Élégance Noir",
        "collection": "SS27",
        "quantity_available": 12,
        "quantity_reserved": 5,
        "reorder_point": 4,
        "reorder_quantity": 20,
        "cost_price": 90,
        "retail_price": 38000,
        "currency": "JPY",
    }
    do("sync_inventory", channel="shopify", items=[item])
    sku = "SELECT name, description, label, reorder_point, reorder_point_source, reorder_quantity, retail_price_minor, currency"
    assert rows(f"{sku} FROM skus") == [("Carré", "Silk twill", "Élégance Noir", 4, "manual", 20, 38000, "JPY")]
    assert rows("SELECT category, subcategory, collection FROM products") == [("accessories", "scarves", "SS27")]
    assert rows("SELECT cost_minor, currency FROM sku_costs") == [(90, "JPY")]
    assert rows("SELECT external_id FROM listings") == [("gid-77",)]
    assert do("stock_levels", skus=["LUX-SCARF-7"])["levels"] == [
        {"sku": "LUX-SCARF-7", "on_hand": 12, "reserved": 5, "available": 7, "counted": True, "reorder_point": 4}
    ]


def test_the_same_request_again_changes_nothing(do: Do, rows: Rows) -> None:
    tables = ("skus", "products", "sku_costs", "stock_movements")
    item = {**BAG, "category": "bags", "quantity_reserved": 2, "reorder_point": 3}
    do("sync_inventory", channel="online_store", items=[item])
    before = [rows(f"SELECT * FROM {table} ORDER BY id") for table in tables]
    again = do("sync_inventory", channel="online_store", items=[item])
    assert (again["synced_items"], again["updated_items"], again["movements"]) == (0, 1, 0)
    assert [rows(f"SELECT * FROM {table} ORDER BY id") for table in tables] == before


def test_a_repeated_call_gives_the_first_result_and_does_not_count_again(do: Do, rows: Rows) -> None:
    first = do("sync_inventory", key="step-1", channel="online_store", items=[BAG])
    do("sync_inventory", channel="online_store", items=[{**BAG, "quantity_available": 40}])
    assert do("sync_inventory", key="step-1", channel="online_store", items=[BAG]) == first
    assert levels(rows) == {("LUX-BAG-001", "online_store"): 40}


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        ({"quantity_available": 1}, "sku"),
        ({"sku": "X", "quantity_available": -1}, "quantity_available"),
        ({"sku": "X", "quantity_available": "many"}, "quantity_available"),
        ({"sku": "X", "quantity_available": True}, "quantity_available"),
        ({"sku": " "}, "sku"),
        ({"sku": "X" * 200}, "sku"),
        ({"sku": "X\x00"}, "sku"),
        ({"sku": "X", "retail_price": -1}, "retail_price"),
        ({"sku": "X", "retail_price": 1.005}, "retail_price"),
        ({"sku": "X", "retail_price": 10.5, "currency": "JPY"}, "retail_price"),
        ({"sku": "X", "currency": "EURO"}, "currency"),
        ("X", ""),
        (None, ""),
    ],
)
def test_a_bad_item_is_reported_and_does_not_stop_the_others(do: Do, rows: Rows, bad: Any, field: str) -> None:
    result = do("sync_inventory", channel="online_store", items=[BAG, bad, {"sku": "OTHER"}])
    assert (result["synced_items"], result["errors"]) == (2, 1)
    (detail,) = result["error_details"]
    assert detail["index"] == 1
    assert detail["error"].startswith(field)
    assert rows("SELECT count(*) FROM skus") == [(2,)]


def test_a_request_without_one_good_item_is_refused_and_names_each(do: Do, rows: Rows) -> None:
    with pytest.raises(InvalidFields) as error:
        do("sync_inventory", channel="online_store", items=[{"sku": "A", "cost_price": -1}, {}])
    assert [place for place, _ in error.value.errors] == ["#/items/0/cost_price", "#/items/1/sku"]
    assert rows("SELECT count(*) FROM skus") == [(0,)]


def test_channels_are_counted_apart(do: Do, rows: Rows) -> None:
    do("sync_inventory", channel="shopify", items=[{"sku": "A", "quantity_available": 5}])
    do("sync_inventory", channel="amazon", items=[{"sku": "A", "quantity_available": 3}])
    do("sync_inventory", channel="shopify", items=[{"sku": "A", "quantity_available": 1}])
    assert levels(rows) == {("A", "shopify"): 1, ("A", "amazon"): 3}
    channels = do("channel_sync_status")["channels"]
    assert [(c["channel"], c["listings"]) for c in channels] == [("amazon", 1), ("shopify", 1)]


def test_a_sku_named_twice_counts_as_the_last_item_says(do: Do, rows: Rows) -> None:
    items = [{"sku": "A", "quantity_available": 5, "name": "Bag"}, {"sku": "A", "quantity_available": 7}]
    result = do("sync_inventory", channel="shopify", items=items)
    assert (result["synced_items"], result["updated_items"]) == (1, 1)
    assert levels(rows) == {("A", "shopify"): 7}
    assert rows("SELECT name FROM skus") == [("Bag",)]


def test_a_new_cost_holds_from_now_on_and_the_first_has_always_held(do: Do, rows: Rows) -> None:
    for cost in (100, 100, 120):
        do("sync_inventory", channel="shopify", items=[{"sku": "A", "cost_price": cost}])
    costs = rows("SELECT cost_minor FROM sku_costs ORDER BY valid_from")
    assert costs == [(10000,), (12000,)]
    assert str(rows("SELECT min(valid_from) FROM sku_costs")[0][0]) == "1970-01-01"


def test_what_is_left_out_stays_as_it_was(do: Do, rows: Rows) -> None:
    do("sync_inventory", channel="shopify", items=[{**BAG, "name": "Bag", "reorder_point": 4, "currency": "USD"}])
    do("sync_inventory", channel="shopify", items=[{"sku": BAG["sku"], "retail_price": 1400}])
    found = rows("SELECT name, retail_price_minor, currency, reorder_point FROM skus")
    assert found == [("Bag", 140000, "USD", 4)]
    assert levels(rows) == {(BAG["sku"], "shopify"): 50}


def test_a_restore_takes_the_movements_back_by_movements_once(do: Do, rows: Rows) -> None:
    do("sync_inventory", channel="shopify", items=[{"sku": "A", "quantity_available": 5, "quantity_reserved": 1}])
    do(
        "sync_inventory",
        key="step",
        channel="shopify",
        items=[{"sku": "A", "quantity_available": 9, "quantity_reserved": 3}],
    )
    for _ in range(2):
        assert do("restore_inventory", undoes="step") == {"success": True, "movements_reversed": 2}
    (level,) = do("stock_levels")["levels"]
    assert (level["on_hand"], level["reserved"]) == (5, 1)
    assert rows("SELECT count(*) FROM stock_movements") == [(6,)]


def test_a_restore_of_a_sync_that_never_happened_moves_nothing(do: Do, rows: Rows) -> None:
    assert do("restore_inventory", undoes="never")["movements_reversed"] == 0
    assert rows("SELECT count(*) FROM stock_movements") == [(0,)]


def test_card_data_in_an_item_is_refused_and_kept_nowhere(do: Do, rows: Rows) -> None:
    with pytest.raises(InvalidFields):
        do("sync_inventory", channel="shopify", items=[{"sku": "A", "description": "paid with 4111 1111 1111 1111"}])
    assert rows("SELECT count(*) FROM skus") == [(0,)]


def test_a_setup_makes_channels_and_the_main_location_and_invents_no_product(do: Do, rows: Rows) -> None:
    do("sync_inventory", channel="shopify", items=[{"sku": "A"}])
    result = do("setup_inventory", key="setup", initial_products=50, channels=["woocommerce", "shopify"], theme="dark")
    assert result["created_channels"] == ["woocommerce"]
    assert result["created_locations"] == ["main"]
    assert (result["catalogue_size"], result["products_missing"]) == (1, 49)
    assert (result["skus_without_stock"], result["skus_without_reorder_point"]) == (1, 1)
    assert do("setup_inventory", key="setup", channels=[]) == result
    assert rows("SELECT count(*) FROM skus") == [(1,)]


def test_a_setup_is_removed_only_as_far_as_it_was_made_and_is_unused(do: Do, rows: Rows) -> None:
    do("sync_inventory", channel="shopify", items=[{"sku": "A"}])
    do("setup_inventory", key="setup", channels=["woocommerce", "shopify", "ebay"])
    do("sync_inventory", channel="ebay", items=[{"sku": "A"}])
    removed = do("remove_inventory_setup", undoes="setup")
    assert removed == {"success": True, "removed_channels": ["woocommerce"], "removed_locations": ["main"]}
    assert sorted(code for (code,) in rows("SELECT code FROM channels")) == ["ebay", "shopify"]
    assert do("remove_inventory_setup", undoes="setup")["removed_channels"] == []


@pytest.fixture(scope="module")
def fresh_brand(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], BrandStore]:
    """A brand of its own on a store that the examples share, so that no example has to migrate."""
    store = open_store(f"sqlite:///{tmp_path_factory.mktemp('sync') / 'store.db'}")
    store.migrate()
    count = iter(range(10**6))
    return lambda: BrandStore(load_settings(brand=f"b{next(count)}"), store)


_counts = st.lists(
    st.tuples(
        st.sampled_from(["shopify", "amazon"]),
        st.dictionaries(st.sampled_from("ABC"), st.tuples(st.integers(0, 99), st.integers(0, 9)), min_size=1),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(syncs=_counts)
def test_any_sequence_of_syncs_ends_at_the_last_count_of_each_channel(
    fresh_brand: Callable[[], BrandStore], syncs: list[tuple[str, dict[str, tuple[int, int]]]]
) -> None:
    books = fresh_brand()
    last: dict[tuple[str, str], tuple[int, int]] = {}
    for number, (channel, counts) in enumerate(syncs):
        items = [{"sku": s, "quantity_available": q, "quantity_reserved": r} for s, (q, r) in counts.items()]
        AGENT.call("sync_inventory", Call(books, f"k{number}"), {"channel": channel, "items": items})
        last |= {(sku, channel): count for sku, count in counts.items()}
    query = """
        SELECT s.sku, l.code, sum(CASE WHEN m.kind = 'reservation' THEN 0 ELSE m.quantity END),
               -sum(CASE WHEN m.kind = 'reservation' THEN m.quantity ELSE 0 END)
        FROM stock_movements m JOIN skus s ON s.id = m.sku_id JOIN locations l ON l.id = m.location_id
        WHERE m.brand_id = :brand GROUP BY s.sku, l.code
    """
    with books.read() as (connection, brand):
        held = {
            (sku, place): (on_hand, kept) for sku, place, on_hand, kept in fetch(connection, query, {"brand": brand})
        }
    assert held == {place: count for place, count in last.items() if place in held}
    assert all(count == (0, 0) for place, count in last.items() if place not in held)
    shown = AGENT.call("stock_levels", Call(books, ""), {})["levels"]
    assert {row["sku"]: row["on_hand"] for row in shown} == {
        sku: sum(q for (s, _), (q, _) in held.items() if s == sku) for sku, _ in held
    }
