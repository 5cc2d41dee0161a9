"""A sync that is disturbed: answers that get lost, processes that die, two at once, channels that are down.

Does not belong here: how each connector takes what its vendor answers (`tests/resources/channels`).
"""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import stamina

from assets.inventory.channel_sync import Order, sync
from resources.store.brand_store import BrandStore
from resources.store.bulk import fetch
from resources.store.limits import find_breaker
from resources.store.locks import Busy, exclusively
from tests.assets.inventory.channel_house import KINDS, House, is_write
from tests.peers.vendor import Asked, Fault, Reply

ROOT = Path(__file__).parents[3]
BAGS = ("BAG-0", "BAG-1", "BAG-2")
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
# Longer than a test, so that it is over when the test says so.
LONG = 600


@pytest.fixture(autouse=True)
def impatient() -> Iterator[None]:
    """As many attempts as there really are, and no pause between them."""
    stamina.set_testing(True, attempts=5)
    yield
    stamina.set_testing(False)


@pytest.fixture
def house(books: BrandStore) -> Iterator[House]:
    made = House(books)
    yield made
    made.close()


# Writes whose outcome is unknown


@on_sqlite
def test_a_write_that_took_place_and_was_not_answered_in_time_is_not_sent_again(house: House) -> None:
    house.sell(BAGS[:1], ("woocommerce",), timeout_seconds=1.5)
    house.count({"BAG-0": 10})
    house.peers["woocommerce"].faults.append(Fault("hang_after", matches=is_write))
    assert dict(house.sync()["woocommerce"].outcomes) == {"unknown": 1}
    assert house.told("woocommerce") == [("BAG-0", 10, "confirmed")]
    house.sync()
    assert house.writes() == {"woocommerce": 1}
    assert house.compared("woocommerce") == {"BAG-0": ("clean", "none")}


@on_sqlite
@pytest.mark.parametrize("kind", KINDS)
def test_a_write_that_was_lost_is_sent_again_only_after_its_time_to_take_effect(house: House, kind: str) -> None:
    house.sell(BAGS[:1], (kind,), settle_seconds=LONG)
    house.count({"BAG-0": 10})
    house.peers[kind].faults.append(Fault("reset_before", matches=is_write))
    assert dict(house.sync()[kind].outcomes) == {"unknown": 1}
    house.sync()
    assert house.writes() == {kind: 1}
    assert house.compared(kind) == {"BAG-0": ("in_flight", "wait")}
    house.let_time_pass()
    assert house.compared(kind) == {"BAG-0": ("lost_write", "write")}
    house.sync()
    house.sync()
    assert house.peers[kind].stock("BAG-0") == 10
    assert house.told(kind) == [("BAG-0", 10, "lost"), ("BAG-0", 10, "confirmed")]


@on_sqlite
@pytest.mark.parametrize("units", [12, 5])
def test_a_late_write_that_lands_after_a_newer_one_is_found_and_corrected(house: House, units: int) -> None:
    house.sell(BAGS[:1], ("woocommerce",), timeout_seconds=1.5, settle_seconds=LONG)
    shop = house.peers["woocommerce"]
    house.count({"BAG-0": 10})
    shop.faults.append(Fault("late", matches=is_write))
    house.sync()
    house.count({"BAG-0": units})
    house.let_time_pass()
    house.sync()
    assert shop.stock("BAG-0") == units
    shop.settle()
    assert shop.stock("BAG-0") == 10
    # It shows too little in one of the cases: an edit of somebody else's would be held.
    house.sync()
    assert shop.stock("BAG-0") == units
    assert house.told("woocommerce") == [
        ("BAG-0", 10, "confirmed"),
        ("BAG-0", units, "confirmed"),
        ("BAG-0", units, "confirmed"),
    ]


@on_sqlite
def test_a_write_that_may_still_land_is_not_forgotten_when_the_old_number_is_right_again(house: House) -> None:
    house.sell(BAGS[:1], ("woocommerce",), timeout_seconds=1.5, settle_seconds=LONG)
    shop = house.peers["woocommerce"]
    house.count({"BAG-0": 10})
    house.sync()
    house.count({"BAG-0": 7})
    shop.faults.append(Fault("late", matches=is_write))
    house.sync()
    house.count({"BAG-0": 10})
    house.sync()
    assert house.compared("woocommerce") == {"BAG-0": ("in_flight", "wait")}
    house.let_time_pass()
    house.sync()
    assert house.told("woocommerce")[1:] == [("BAG-0", 7, "lost")]
    shop.settle()
    house.sync()
    assert shop.stock("BAG-0") == 10


@pytest.mark.parametrize(
    ("database_url", "took_place"), [("sqlite", False), ("postgresql", True)], indirect=["database_url"]
)
def test_after_a_killed_sync_the_next_one_reads_before_it_writes(house: House, took_place: bool) -> None:
    house.sell(BAGS[:1], ("woocommerce",), settle_seconds=LONG)
    house.count({"BAG-0": 10})
    shop = house.peers["woocommerce"]
    process = start_sync()

    def die_at_the_write(asked: Asked) -> Fault | None:
        if not is_write(asked) or process.poll() is not None:
            return None
        process.kill()
        process.wait()
        return Fault("meanwhile" if took_place else "reset_before")

    shop.weather = die_at_the_write
    process.wait()
    assert house.told("woocommerce") == [("BAG-0", 10, "intent")]
    house.forget()
    house.sync()
    assert house.writes() == {"woocommerce": 0}
    assert shop.count("GET", "/products") == 1
    if took_place:
        assert house.told("woocommerce") == [("BAG-0", 10, "confirmed")]
        return
    house.let_time_pass()
    house.sync()
    assert shop.stock("BAG-0") == 10
    assert house.told("woocommerce") == [("BAG-0", 10, "lost"), ("BAG-0", 10, "confirmed")]


def start_sync() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "tests.acceptance.channel_sync_process"], cwd=ROOT)


# Two at once


def test_two_syncs_at_once_apply_nothing_twice(house: House) -> None:
    house.sell(BAGS, ("woocommerce", "shopify"))
    house.count(dict.fromkeys(BAGS, 10))
    house.peers["shopify"].buy({"BAG-0": 1, "BAG-1": 2})
    processes = [start_sync(), start_sync()]
    assert [process.wait() for process in processes] == [0, 0]
    assert [house.shown(sku) for sku in BAGS] == [{"woocommerce": n, "shopify": n} for n in (9, 8, 10)]
    with house.books.read() as (connection, _):
        sales = fetch(connection, "SELECT quantity FROM stock_movements WHERE kind = 'sale' ORDER BY quantity", {})
    assert [quantity for (quantity,) in sales] == [-2, -1]
    assert house.writes() == {"woocommerce": 1, "shopify": 1}
    assert [len(house.told(kind)) for kind in ("woocommerce", "shopify")] == [3, 3]


@on_sqlite
def test_a_second_sync_waits_until_the_first_is_done_with_the_channel(house: House) -> None:
    house.sell(BAGS[:1], ("woocommerce",))
    house.count({"BAG-0": 10})
    is_about_to_publish = threading.Event()
    held: list[bool] = []

    def notice(text: str) -> None:
        if text == "woocommerce: stock":
            is_about_to_publish.set()

    second = threading.Thread(target=lambda: sync(house.books, Order(), notice, house.open), daemon=True)

    def begin_another() -> None:
        second.start()
        is_about_to_publish.wait()
        try:
            with exclusively(house.books, "channel:woocommerce"):
                held.append(False)
        except Busy:
            held.append(True)

    shop = house.peers["woocommerce"]
    shop.faults.append(Fault("meanwhile", matches=is_write, act=begin_another))
    house.sync()
    second.join()
    assert held == [True]
    asked = [f"{one.method} {one.path.rpartition('/')[2]}" for one in shop.asked if not one.path.endswith("/orders")]
    assert asked == ["GET products", "GET current", "POST batch", "GET products", "GET current"]


# Clients who buy at the wrong moment


@on_sqlite
def test_who_buys_between_our_read_and_our_write_is_not_overwritten_where_the_vendor_compares(house: House) -> None:
    house.sell(BAGS[:1], ("woocommerce", "shopify"))
    house.count({"BAG-0": 10})
    house.sync()
    house.count({"BAG-0": 8})
    boutique = house.peers["shopify"]
    boutique.faults.append(Fault("meanwhile", matches=is_write, act=lambda: boutique.buy({"BAG-0": 1})))
    report = house.sync()["shopify"]
    assert (report.orders, dict(report.outcomes)) == (1, {"stale": 1, "confirmed": 1})
    assert house.told("shopify") == [("BAG-0", 10, "confirmed"), ("BAG-0", 8, "stale"), ("BAG-0", 7, "confirmed")]
    assert house.shown("BAG-0") == {"woocommerce": 7, "shopify": 7}
    assert boutique.applied["BAG-0"] == 2


@on_sqlite
@pytest.mark.parametrize("policy", ["min_wins", "hold"])
def test_an_order_that_a_write_buried_is_found_in_the_same_sync(house: House, policy: str) -> None:
    shop = house.peer("woocommerce", BAGS[:1])
    house.connect("woocommerce", foreign_edits=policy)
    house.count({"BAG-0": 10})
    house.sync()
    house.count({"BAG-0": 8})
    shop.faults.append(Fault("meanwhile", matches=is_write, act=lambda: shop.buy({"BAG-0": 1})))
    assert house.sync()["woocommerce"].orders == 1
    assert shop.stock("BAG-0") == 7
    assert house.told("woocommerce")[1:] == [("BAG-0", 8, "confirmed"), ("BAG-0", 7, "confirmed")]


@on_sqlite
@pytest.mark.parametrize("policy", ["min_wins", "hold"])
def test_an_order_that_a_write_buried_is_found_by_the_channels_next_sync(house: House, policy: str) -> None:
    shop = house.peer("woocommerce", BAGS[:1])
    house.connect("woocommerce", foreign_edits=policy)
    house.sell(BAGS[:1], ("ebay",))
    house.count({"BAG-0": 10})
    house.sync()
    house.peers["ebay"].buy({"BAG-0": 2})
    shop.faults.append(Fault("meanwhile", matches=is_write, act=lambda: shop.buy({"BAG-0": 1})))
    # The shop is told of the order at eBay, and is not asked for its own.
    house.sync("ebay")
    assert shop.stock("BAG-0") == 8
    house.sync()
    assert house.shown("BAG-0") == {"woocommerce": 7, "ebay": 7}


@on_sqlite
@pytest.mark.parametrize("policy", ["min_wins", "hold"])
def test_a_sale_there_and_a_return_elsewhere_are_no_edit_of_somebody_else(house: House, policy: str) -> None:
    for kind in ("woocommerce", "shopify"):
        house.peer(kind, BAGS[:1])
        house.connect(kind, foreign_edits=policy)
    house.count({"BAG-0": 10})
    house.sync()
    order = house.peers["shopify"].buy({"BAG-0": 1})
    house.sync()
    # What is wanted of the shop stays 9, and what it shows falls to 8.
    house.peers["woocommerce"].buy({"BAG-0": 1})
    house.peers["shopify"].cancel(order)
    house.sync()
    assert house.shown("BAG-0") == {"woocommerce": 9, "shopify": 9}


# Channels and items that fail


def refuse_connections(house: House) -> None:
    house.peers["woocommerce"].close()


def answer_503(house: House) -> None:
    house.peers["woocommerce"].weather = lambda asked: Fault("reply", reply=Reply(503, {"message": "maintenance"}))


def withdraw_the_key(house: House) -> None:
    house.peers["woocommerce"].permissions = "none"


@on_sqlite
@pytest.mark.parametrize(
    ("fail", "said", "breaker"),
    [
        (refuse_connections, "does not answer", "open"),
        (answer_503, "HTTP 503", "open"),
        (withdraw_the_key, "refuses the credentials", "closed"),
    ],
)
def test_a_channel_that_is_down_is_reported_and_stops_none_of_the_others(
    house: House, fail: Callable[[House], None], said: str, breaker: str
) -> None:
    house.sell(BAGS[:1], ("woocommerce", "shopify", "ebay"))
    house.count({"BAG-0": 10})
    fail(house)
    reports = house.sync()
    assert said in str(reports["woocommerce"].error)
    assert [reports[kind].error for kind in ("shopify", "ebay")] == [None, None]
    assert [house.peers[kind].stock("BAG-0") for kind in ("shopify", "ebay")] == [10, 10]
    (alert,) = house.alerts("channel")
    assert (alert["subject"], alert["details"]["error"]) == ("woocommerce", reports["woocommerce"].error)
    assert house.channel("woocommerce").last_error == reports["woocommerce"].error
    with house.books.read() as (connection, brand):
        assert find_breaker(connection, brand, "woocommerce").state == breaker


@on_sqlite
def test_the_next_good_sync_resolves_the_alert_of_a_channel_that_was_down(house: House) -> None:
    house.sell(BAGS[:1], ("woocommerce", "shopify"))
    house.count({"BAG-0": 10})
    answer_503(house)
    house.sync()
    shop = house.peers["woocommerce"]
    shop.weather = lambda asked: None
    house.forget()
    assert "is left alone for" in str(house.sync()["woocommerce"].error)
    assert shop.asked == []
    house.clock.sleep(60)
    assert house.sync()["woocommerce"].error is None
    assert shop.stock("BAG-0") == 10
    assert house.alerts("channel") == []
    assert house.channel("woocommerce").last_error is None


@on_sqlite
def test_a_channel_that_cannot_be_told_of_anothers_order_is_reported(house: House) -> None:
    house.sell(BAGS[:1], ("woocommerce", "shopify"))
    house.count({"BAG-0": 10})
    house.sync()
    answer_503(house)
    house.peers["shopify"].buy({"BAG-0": 1})
    reports = house.sync("shopify")
    assert reports["shopify"].error is None
    assert "HTTP 503" in str(reports["woocommerce"].error)
    assert [alert["subject"] for alert in house.alerts("channel")] == ["woocommerce"]


@on_sqlite
def test_orders_that_came_before_a_channel_failed_are_told_to_the_others(house: House) -> None:
    house.sell(BAGS[:1], ("woocommerce", "shopify"))
    house.count({"BAG-0": 40})
    house.sync()
    house.sync()
    boutique = house.peers["shopify"]
    for _ in range(26):
        boutique.buy({"BAG-0": 1})
    pages = iter(range(100))

    def is_after_the_first(asked: Asked) -> bool:
        return b" orders(" in asked.body and next(pages) > 0

    # 25 orders a page; what comes after the first page is refused for ever.
    boutique.faults.append(Fault("reply", 100, is_after_the_first, Reply(503)))
    report = house.sync("shopify")["shopify"]
    assert report.error is not None
    assert house.levels() == {("BAG-0", "main"): 15}
    assert house.peers["woocommerce"].stock("BAG-0") == 15


def spoil_woocommerce(house: House) -> None:
    shop = house.peers["woocommerce"]
    key = next(str(product.id) for product in shop.products.values() if product.sku == "BAG-7")
    shop.faults.append(Fault("meanwhile", matches=is_write, act=lambda: shop.remove(key)))


def spoil_shopify(house: House) -> None:
    boutique = house.peers["shopify"]
    boutique.faults.append(Fault("meanwhile", matches=is_write, act=lambda: boutique.goods.pop("BAG-7")))


def spoil_amazon(house: House) -> None:
    house.peers["amazon"].refused["BAG-7"] = ("8541", "The SKU data provided is different.")


def spoil_ebay(house: House) -> None:
    house.peers["ebay"].poisoned.add("BAG-7")


@on_sqlite
@pytest.mark.parametrize("spoil", [spoil_woocommerce, spoil_shopify, spoil_amazon, spoil_ebay])
def test_one_item_that_is_refused_does_not_sink_the_others(house: House, spoil: Callable[[House], None]) -> None:
    kind = spoil.__name__.removeprefix("spoil_")
    skus = [f"BAG-{number}" for number in range(60)]
    house.sell(skus, (kind,))
    house.count(dict.fromkeys(skus, 10))
    spoil(house)
    report = house.sync()[kind]
    done = "accepted" if kind == "amazon" else "confirmed"
    assert dict(report.outcomes) == {done: 59, "refused": 1}
    assert [refusal.partition(":")[0] for refusal in report.refusals] == ["BAG-7"]
    assert report.error is None
    assert {house.peers[kind].stock(sku) for sku in skus if sku != "BAG-7"} == {10}
    assert [state for sku, _, state in house.told(kind) if sku == "BAG-7"] == ["refused"]
