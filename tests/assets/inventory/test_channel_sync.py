"""A sync against the vendors' peers: what is written, what orders move, and who is told of what.

Belongs here: syncs that nothing disturbs. Does not belong here: faults (`test_channel_sync_faults`), rules about quantities
(`test_channel_sync_rules`), or all of it at once (`tests/acceptance/test_channel_storm`).
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import stamina

from resources.channels.limits import StoreLimiter
from resources.store.brand_store import BrandStore
from resources.store.bulk import run
from resources.store.catalog_codes import known_skus, sku_ids
from resources.store.channel_items import save_mapping
from resources.store.types import Base
from tests.assets.inventory.channel_house import KINDS, House, is_write
from tests.peers.vendor import Asked, Fault

BAGS = ("BAG-0", "BAG-1", "BAG-2")
NOTHING = dict.fromkeys(KINDS, 0)
# Both databases where the store does much of the work, one of them where the vendor does.
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
each_vendor = pytest.mark.parametrize(
    ("database_url", "kind"),
    [("sqlite", "woocommerce"), ("postgresql", "shopify"), ("sqlite", "amazon"), ("postgresql", "ebay")],
    indirect=["database_url"],
)


@pytest.fixture(autouse=True)
def impatient() -> Iterator[None]:
    stamina.set_testing(True, attempts=3)
    yield
    stamina.set_testing(False)


@pytest.fixture
def house(books: BrandStore) -> Iterator[House]:
    made = House(books)
    yield made
    made.close()


def everywhere(units: int) -> dict[str, int]:
    return dict.fromkeys(KINDS, units)


# What is written


def test_what_shows_what_it_should_is_not_written_again(house: House) -> None:
    house.sell(BAGS)
    house.count(dict.fromkeys(BAGS, 10))
    first = house.sync()
    assert {kind: report.items for kind, report in first.items()} == everywhere(3)
    assert [house.shown(sku) for sku in BAGS] == [everywhere(10)] * 3
    house.forget()
    second = house.sync()
    assert house.writes() == NOTHING
    assert [dict(report.outcomes) for report in second.values()] == [{}] * 4
    assert house.violations() == []


@on_sqlite
def test_a_hundred_changed_skus_cost_the_fewest_calls(house: House) -> None:
    skus = [f"BAG-{number:03}" for number in range(100)]
    house.sell(skus, feed_above=50)
    house.count(dict.fromkeys(skus, 10))
    house.sync()
    # Amazon: one feed, and no listing is patched.
    assert house.writes() == {"woocommerce": 1, "shopify": 1, "amazon": 1, "ebay": 4}
    assert house.peers["amazon"].count("PATCH") == 0
    assert [house.shown(sku) for sku in skus] == [everywhere(10)] * 100


@on_sqlite
def test_variations_cost_one_call_for_each_parent(house: House) -> None:
    shop = house.peer("woocommerce")
    for name in ("RED", "BLUE"):
        parent = shop.add(name, None, kind="variable")
        for size in range(3):
            shop.add(f"{name}-{size}", 1, parent=parent)
    house.connect("woocommerce")
    house.count({f"{name}-{size}": 7 for name in ("RED", "BLUE") for size in range(3)})
    house.sync()
    assert [shop.stock(f"{name}-{size}") for name in ("RED", "BLUE") for size in range(3)] == [7] * 6
    assert house.writes() == {"woocommerce": 2}


@on_sqlite
def test_a_sku_that_was_never_counted_is_never_written(house: House) -> None:
    house.sell(BAGS)
    house.count({"BAG-0": 10})
    with house.books.write() as (connection, brand):
        sku_ids(connection, brand, BAGS)
    # A sale of it is only a difference, and makes no stock known.
    house.peers["shopify"].buy({"BAG-1": 1})
    house.sync()
    assert house.levels()["BAG-1", "main"] == -1
    assert house.shown("BAG-1") == {**everywhere(3), "shopify": 2}
    assert {sku for kind in KINDS for sku, _, _ in house.told(kind)} == {"BAG-0"}
    assert house.compared("ebay")["BAG-1"] == ("uncounted", "hold")


@on_sqlite
def test_what_a_channel_does_not_want_written_is_left_alone(house: House) -> None:
    house.peer("woocommerce").add("LOOSE", 3, manage_stock=False)
    house.peers["woocommerce"].add("GROUP", None, kind="grouped", manage_stock=True)
    house.peer("shopify").add("LOOSE", 3, tracked=False)
    house.peers["shopify"].add("SET", 3, bundle=True)
    house.peer("amazon").add("LOOSE", 3, channel="AMAZON_EU")
    for kind in ("woocommerce", "shopify", "amazon"):
        house.connect(kind)
    house.count(dict.fromkeys(("LOOSE", "GROUP", "SET"), 10))
    reports = house.sync()
    assert house.writes() == {"woocommerce": 0, "shopify": 0, "amazon": 0}
    assert house.compared("shopify") == {"LOOSE": ("unwritable", "none"), "SET": ("unwritable", "none")}
    assert [report.items for report in reports.values()] == [1, 2, 2]


@on_sqlite
def test_what_we_wrote_is_no_edit_of_somebody_else(house: House) -> None:
    house.sell(BAGS[:1])
    house.count({"BAG-0": 10})
    house.sync()
    house.count({"BAG-0": 4})
    house.sync()
    house.sync()
    assert [house.compared(kind) for kind in KINDS] == [{"BAG-0": ("clean", "none")}] * 4
    assert [house.told(kind) for kind in KINDS] == [[("BAG-0", 10, "confirmed"), ("BAG-0", 4, "confirmed")]] * 4


@on_sqlite
def test_two_things_of_one_sku_are_held(house: House) -> None:
    house.sell(("BAG-0", "BAG-0", "BAG-1"), ["woocommerce"])
    house.count({"BAG-0": 10, "BAG-1": 10})
    house.sync()
    assert house.compared("woocommerce") == {"BAG-0": ("collision", "hold"), "BAG-1": ("clean", "none")}
    assert [product.quantity for product in house.peers["woocommerce"].products.values()] == [3, 3, 10]


def test_a_dry_run_sends_nothing_and_keeps_nothing(house: House) -> None:
    house.sell(BAGS[:2])
    house.count(dict.fromkeys(BAGS, 10))
    first = dump(house)
    assert [row["wanted"] for report in house.sync(dry_run=True).values() for row in report.planned] == [10] * 8
    assert dump(house) == first
    house.sync()
    house.count({"BAG-0": 4})
    house.peers["ebay"].edit("BAG-1", 12)
    house.peers["shopify"].buy({"BAG-1": 1})
    house.forget()
    before = dump(house)
    planned = house.sync(dry_run=True)
    assert {kind: [(row["sku"], row["wanted"]) for row in report.planned] for kind, report in planned.items()} == {
        "woocommerce": [("BAG-0", 4)],
        "shopify": [("BAG-0", 4)],
        "amazon": [("BAG-0", 4)],
        "ebay": [("BAG-0", 4), ("BAG-1", 10)],
    }
    assert house.writes() == NOTHING
    assert dump(house) == before


def dump(house: House) -> dict[str, list[Any]]:
    """Every row of every table, less the limits: a call that only reads counts for these, too."""
    limits = ("rate_buckets", "daily_quotas", "circuit_breakers")
    with house.books.read() as (connection, _):
        return {
            table.name: sorted(map(repr, connection.execute(table.select())))
            for table in Base.metadata.sorted_tables
            if table.name not in limits
        }


# Foreign edits


@on_sqlite
@pytest.mark.parametrize(
    ("policy", "edited", "shown", "state"),
    [
        ("min_wins", 14, 10, ("clean", "none")),
        ("min_wins", 6, 6, ("foreign_edit", "hold")),
        ("hold", 14, 14, ("foreign_edit", "hold")),
        ("master_wins", 6, 10, ("clean", "none")),
    ],
)
def test_somebody_elses_edit_is_treated_by_the_channels_policy(
    house: House, policy: str, edited: int, shown: int, state: tuple[str, str]
) -> None:
    shop = house.peer("woocommerce", BAGS[:1])
    house.connect("woocommerce", foreign_edits=policy)
    house.count({"BAG-0": 10})
    house.sync()
    shop.edit("BAG-0", edited)
    house.sync()
    assert shop.stock("BAG-0") == shown
    assert house.compared("woocommerce")["BAG-0"] == state


@on_sqlite
def test_a_repair_writes_over_every_edit_and_says_who_did_it(house: House) -> None:
    for kind, policy in (("woocommerce", "hold"), ("ebay", "min_wins")):
        house.peer(kind, BAGS[:1])
        house.connect(kind, foreign_edits=policy)
    house.count({"BAG-0": 10})
    house.sync()
    for peer in house.peers.values():
        peer.edit("BAG-0", 6)
    house.sync()
    assert house.shown("BAG-0") == {"woocommerce": 6, "ebay": 6}
    house.sync(repair=True, actor="repair by anna")
    assert house.shown("BAG-0") == {"woocommerce": 10, "ebay": 10}
    with house.books.read() as (connection, _):
        said = "SELECT reason FROM channel_writes WHERE actor = 'repair by anna'"
        reasons = set(run(connection, said).scalars())
    assert reasons == {"The channel moved from 10 to 6 without us: written by the policy master_wins."}


# Orders


@each_vendor
def test_an_order_on_one_channel_lowers_the_others_and_its_cancellation_raises_them(house: House, kind: str) -> None:
    house.sell(BAGS[:1])
    house.count({"BAG-0": 10})
    house.sync()
    order = house.peers[kind].buy({"BAG-0": 2})
    report = house.sync()[kind]
    assert (report.orders, report.units_moved) == (1, 2)
    assert house.shown("BAG-0") == everywhere(8)
    house.peers[kind].cancel(order)
    house.sync()
    assert house.shown("BAG-0") == everywhere(10)
    assert house.levels() == {("BAG-0", "main"): 10}
    assert house.violations() == []


@on_sqlite
def test_a_sync_of_one_channel_tells_the_others_what_moved_and_nothing_else(house: House) -> None:
    house.sell(BAGS)
    house.count(dict.fromkeys(BAGS, 10))
    house.sync()
    house.sync()
    house.peers["shopify"].buy({"BAG-1": 1})
    house.forget()
    house.sync("shopify")
    assert house.shown("BAG-1") == everywhere(9)
    assert house.writes() == {"woocommerce": 1, "shopify": 0, "amazon": 1, "ebay": 1}
    asked = {kind: [said(one) for one in peer.asked] for kind, peer in house.peers.items()}
    assert asked["woocommerce"] == ["GET products", "GET current", "POST batch"]
    assert asked["amazon"] == ["POST token", "GET BAG-1", "PATCH BAG-1"]
    reads = ["POST bulk_get_inventory_item", "GET offer"]
    assert asked["ebay"] == ["POST token", *reads, "POST bulk_update_price_quantity", *reads]
    (told,) = [one.json() for one in house.peers["woocommerce"].asked if is_write(one)]
    assert [item["stock_quantity"] for item in told["update"]] == [9]


def said(asked: Asked) -> str:
    return f"{asked.method} {asked.path.rpartition('/')[2]}"


@on_sqlite
def test_what_moves_while_one_channel_is_synced_is_read_at_the_others_before_it_is_written(house: House) -> None:
    house.sell(BAGS, ("woocommerce", "shopify"))
    house.count(dict.fromkeys(BAGS, 10))
    house.sync()
    boutique = house.peers["shopify"]
    boutique.buy({"BAG-1": 1})
    # While the shop is told of the first order, there is a second one, of something else.
    shop = house.peers["woocommerce"]
    shop.faults.append(Fault("meanwhile", matches=is_write, act=lambda: boutique.buy({"BAG-2": 1})))
    house.forget()
    house.sync("shopify")
    assert [house.shown(sku) for sku in BAGS[1:]] == [{"woocommerce": 9, "shopify": 9}] * 2
    asked = [said(one) for one in shop.asked]
    assert asked == ["GET products", "GET current", "POST batch", "GET products", "POST batch"]


@on_sqlite
def test_an_order_of_an_unknown_sku_moves_stock_once_somebody_has_mapped_it(house: House) -> None:
    house.sell(("BAG-0", "STRAY"), ("woocommerce",))
    house.sell(BAGS[:1], ("shopify",))
    house.count({"BAG-0": 10})
    house.peers["woocommerce"].buy({"STRAY": 2})
    assert house.sync()["woocommerce"].unmapped == ["STRAY"]
    assert house.levels() == {("BAG-0", "main"): 10}
    assert house.peers["woocommerce"].stock("STRAY") == 1
    # Later syncs are not told of the order again; nobody knows the SKU all the same.
    house.run("UPDATE channel_connections SET orders_seen_until = :later", later=datetime.now(UTC) + timedelta(hours=1))
    assert house.sync()["woocommerce"].unmapped == []
    house.sync("shopify")
    (alert,) = house.alerts("channel")
    assert (alert["subject"], alert["details"]["unmapped"]) == ("woocommerce", ["STRAY"])
    with house.books.write() as (connection, brand):
        ours = known_skus(connection, brand, ["BAG-0"])["BAG-0"]
        save_mapping(connection, brand, house.channel("woocommerce"), "STRAY", ours)
    house.sync()
    assert house.levels() == {("BAG-0", "main"): 8}
    assert house.peers["shopify"].stock("BAG-0") == 8
    assert house.alerts("channel") == []
    # Now there are two things of that SKU.
    assert house.compared("woocommerce") == {"BAG-0": ("collision", "hold")}


@on_sqlite
def test_an_order_that_cannot_be_served_raises_a_shortfall_with_what_might_be_done(house: House) -> None:
    house.sell(BAGS[:1], ("woocommerce", "ebay"))
    house.count({"BAG-0": 1})
    house.count({"BAG-0": 0}, "paris")
    house.sync()
    for peer in house.peers.values():
        assert peer.buy({"BAG-0": 1}) is not None
    house.sync()
    (alert,) = house.alerts("shortfall")
    assert (alert["sku"], alert["details"]["short"], alert["details"]["owed_at"]) == ("BAG-0", 1, {"main": 1})
    assert alert["details"]["remedies"] == ["make or order 1, or tell the clients of the newest orders and refund them"]
    house.count({"BAG-0": 3}, "paris")
    house.sync()
    (alert,) = house.alerts("shortfall")
    assert alert["details"]["remedies"] == ["transfer 1 from paris"]
    assert house.shown("BAG-0") == {"woocommerce": 2, "ebay": 2}


@on_sqlite
def test_a_vendor_that_is_not_to_be_asked_for_orders_now_is_told_of_stock_all_the_same(house: House) -> None:
    house.sell(BAGS[:1], ("shopify", "amazon"))
    house.count({"BAG-0": 10})
    house.peers["amazon"].rate_header = "table"
    limiter = StoreLimiter(house.books, house.clock)
    limiter.told("amazon/searchOrders", available=0.0, rate=0.0056, capacity=20.0)
    house.peers["amazon"].buy({"BAG-0": 1})
    report = house.sync()["amazon"]
    assert report.postponed is not None
    assert "searchOrders may be called again at" in report.postponed
    assert (report.error, report.orders) == (None, 0)
    assert house.shown("BAG-0") == {"shopify": 10, "amazon": 10}
    assert house.alerts("channel") == []
    # In a few minutes the order is told, too.
    limiter.told("amazon/searchOrders", available=5.0)
    assert house.sync()["amazon"].orders == 1
    assert house.peers["shopify"].stock("BAG-0") == 9


# Prices


@on_sqlite
def test_prices_are_written_once_where_the_channel_sells_in_our_currency(house: House) -> None:
    house.sell(BAGS[:2])
    house.count(dict.fromkeys(BAGS, 3))
    house.run("UPDATE skus SET retail_price_minor = 4120050, currency = 'EUR' WHERE sku = 'BAG-0'")
    house.sync()
    house.forget()
    reports = house.sync(prices=True)
    # Amazon sells in pounds there, and BAG-1 has no price of ours.
    assert house.writes() == {"woocommerce": 1, "shopify": 1, "amazon": 0, "ebay": 1}
    assert [dict(reports[kind].outcomes) for kind in ("woocommerce", "shopify", "ebay")] == [{"confirmed": 1}] * 3
    (batch,) = [one.json() for one in house.peers["woocommerce"].asked if is_write(one)]
    assert [item["regular_price"] for item in batch["update"]] == ["41200.50"]
    (bulk,) = [one.json() for one in house.peers["ebay"].asked if is_write(one)]
    assert [offer["price"]["value"] for offer in bulk["requests"][0]["offers"]] == ["41200.50"]
    assert house.peers["shopify"].goods["BAG-0"].price == "41200.50"
    assert house.peers["amazon"].listings["BAG-0"].price == 100
    house.forget()
    house.sync(prices=True)
    assert house.writes() == NOTHING
    assert house.violations() == []


@on_sqlite
def test_a_price_that_a_channel_only_queues_is_confirmed_when_it_is_seen(house: House) -> None:
    house.sell(BAGS[:1], ("amazon",))
    house.count({"BAG-0": 3})
    house.run("UPDATE skus SET retail_price_minor = 12900, currency = 'GBP'")
    house.sync(prices=True)
    assert house.told("amazon") == [("BAG-0", 12900, "accepted")]
    house.sync(prices=True)
    assert house.told("amazon") == [("BAG-0", 12900, "confirmed")]
    (patch,) = [json.loads(one.body) for one in house.peers["amazon"].asked if one.method == "PATCH"]
    assert patch["patches"][0]["value"][0]["our_price"] == [{"schedule": [{"value_with_tax": 129.0}]}]
