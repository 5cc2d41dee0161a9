"""What the house's rules come to at the channels: the numbers that they really show.

Does not belong here: the rules by themselves (`test_availability`, `test_publication`).
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from resources.settings import save_brand
from resources.store.brand_store import BrandStore
from resources.store.catalog_codes import known_skus
from resources.store.reservations import Promise, reserve
from resources.store.stock_keeping import add_piece, read_pieces, save_bundle, save_rule, save_supply
from tests.assets.inventory.channel_house import KINDS, TODAY, House
from tests.peers.vendor import Asked

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
SHOPS = ("woocommerce", "shopify")


@pytest.fixture
def house(books: BrandStore) -> Iterator[House]:
    made = House(books)
    yield made
    made.close()


def promise(house: House, sku: str, units: int, until: datetime | None = None) -> None:
    with house.books.write() as (connection, brand):
        number = known_skus(connection, brand, [sku])[sku]
        reserve(connection, brand, Promise("madame-b", number, sku, units, until, "anna"), TODAY)


# What is held back, and what is sold beyond stock


def test_buffers_and_caps_are_not_shown(house: House) -> None:
    house.sell(("BAG-0", "BAG-1"), SHOPS)
    house.count({"BAG-0": 10, "BAG-1": 10})
    with house.books.write() as (connection, brand):
        save_rule(connection, brand, "shopify", None, 2, None)
        save_rule(connection, brand, None, "BAG-1", 0, 4)
    house.sync()
    assert house.shown("BAG-0") == {"woocommerce": 10, "shopify": 8}
    assert house.shown("BAG-1") == {"woocommerce": 4, "shopify": 4}
    assert house.compared("shopify") == {"BAG-0": ("buffered", "none"), "BAG-1": ("buffered", "none")}


def test_a_set_shows_what_can_be_put_together_and_its_order_takes_its_pieces(house: House) -> None:
    house.sell(("SET", "BELT", "BAG"), SHOPS)
    house.count({"BELT": 7, "BAG": 5})
    with house.books.write() as (connection, brand):
        save_bundle(connection, brand, "SET", {"BELT": 2, "BAG": 1})
    house.sync()
    assert house.shown("SET") == {"woocommerce": 3, "shopify": 3}
    house.peers["shopify"].buy({"SET": 2})
    # The pieces are on sale there, too, and so is what they leave of the set elsewhere.
    house.sync("shopify")
    assert house.levels() == {("BELT", "main"): 3, ("BAG", "main"): 3}
    assert [house.shown(sku) for sku in ("SET", "BELT", "BAG")] == [
        {"woocommerce": units, "shopify": units} for units in (1, 3, 3)
    ]


def test_what_is_made_to_order_or_on_pre_order_is_shown_beyond_stock(house: House) -> None:
    skus = ("MADE", "SOON", "LATER")
    house.sell(skus, SHOPS)
    house.count({"MADE": 1})
    with house.books.write() as (connection, brand):
        save_supply(connection, brand, "MADE", "made_to_order", 5)
        now = datetime.now(UTC).date()
        day = timedelta(days=2)
        for sku, first in (("SOON", now - day), ("LATER", now + day)):
            save_supply(connection, brand, sku, "pre_order", 20, first, now + 3 * day)
    house.sync()
    assert [house.peers["shopify"].stock(sku) for sku in skus] == [6, 20, 3]


def test_a_promise_is_not_shown_and_is_shown_again_once_it_has_ended(house: House) -> None:
    house.sell(("BAG-0",), SHOPS)
    house.count({"BAG-0": 10})
    promise(house, "BAG-0", 4, datetime.now(UTC) + timedelta(hours=1))
    house.sync()
    assert house.shown("BAG-0") == {"woocommerce": 6, "shopify": 6}
    house.run("UPDATE reservations SET expires_at = created_at")
    # Also where only one channel is synced: what has ended is every channel's concern.
    house.sync("shopify")
    assert house.shown("BAG-0") == {"woocommerce": 10, "shopify": 10}


# One of one


def test_a_numbered_piece_is_never_on_two_channels_at_once(house: House) -> None:
    most = 0

    def look(asked: Asked) -> None:
        nonlocal most
        most = max(most, sum(bool(units) for units in house.shown("ONE").values()))

    house.sell(("ONE",), shown=0)
    for peer in house.peers.values():
        peer.weather = look
    house.count({"ONE": 1})
    with house.books.write() as (connection, brand):
        add_piece(connection, brand, "ONE", "1/1", "main")
    holders = []
    # By every vendor's way of writing, and with Amazon, which only says that a write is queued.
    for best in ("shopify", "woocommerce", "amazon", "ebay", "woocommerce"):
        rank(house, best)
        house.sync()
        house.sync()
        holders.append(next(kind for kind, units in house.shown("ONE").items() if units))
    assert holders == ["shopify", "woocommerce", "amazon", "ebay", "woocommerce"]
    house.peers["woocommerce"].buy({"ONE": 1})
    house.sync()
    assert house.shown("ONE") == dict.fromkeys(KINDS, 0)
    assert most == 1
    with house.books.read() as (connection, brand):
        assert read_pieces(connection, brand, "ONE")["state"].to_list() == ["sold"]


def rank(house: House, best: str) -> None:
    for kind in KINDS:
        house.connect(kind, priority=1 if kind == best else 100)


# Too few for all


@pytest.mark.parametrize(
    ("rule", "shown"),
    [("shared", (3, 3)), ("priority", (0, 3)), ("pro_rata", (1, 2))],
)
def test_what_is_scarce_is_given_out_by_the_rule(house: House, rule: str, shown: tuple[int, int]) -> None:
    current = house.books.settings.current
    scarce = current.model_copy(update={"allocation": rule, "scarce_at": 3})
    settings = save_brand(house.books.settings, house.books.settings.brand, scarce)
    house.books = BrandStore(settings, house.books.store)
    house.sell(("BAG-0", "BAG-1"), SHOPS, shown=0)
    house.connect("shopify", priority=1, weight=2)
    house.count({"BAG-0": 3, "BAG-1": 4})
    house.sync()
    assert tuple(house.shown("BAG-0").values()) == shown
    assert tuple(house.shown("BAG-1").values()) == (4, 4)


# Several locations


def test_a_channel_shows_what_lies_where_it_sells_from_and_its_orders_take_it_from_there(house: House) -> None:
    for kind, places in (("woocommerce", ("milano",)), ("shopify", ("paris", "milano"))):
        house.peer(kind, ("BAG-0",))
        house.connect(kind, locations=places)
    house.count({"BAG-0": 4}, "milano")
    house.count({"BAG-0": 3}, "paris")
    house.count({"BAG-0": 50}, "vault")
    house.sync()
    assert house.shown("BAG-0") == {"woocommerce": 4, "shopify": 7}
    small = house.peers["shopify"].buy({"BAG-0": 2})
    house.sync()
    assert house.levels() == {("BAG-0", "milano"): 4, ("BAG-0", "paris"): 1, ("BAG-0", "vault"): 50}
    assert house.shown("BAG-0") == {"woocommerce": 4, "shopify": 5}
    house.peers["shopify"].buy({"BAG-0": 5})
    house.sync()
    assert house.shown("BAG-0") == {"woocommerce": 0, "shopify": 0}
    house.peers["shopify"].cancel(small)
    house.sync()
    assert house.levels() == {("BAG-0", "milano"): 0, ("BAG-0", "paris"): 2, ("BAG-0", "vault"): 50}
    assert house.shown("BAG-0") == {"woocommerce": 0, "shopify": 2}


def test_units_of_two_locations_go_back_to_both(house: House) -> None:
    house.peer("shopify", ("BAG-0",))
    house.connect("shopify", locations=("paris", "milano"))
    house.count({"BAG-0": 4}, "milano")
    house.count({"BAG-0": 3}, "paris")
    house.sync()
    order = house.peers["shopify"].buy({"BAG-0": 6})
    house.sync()
    assert house.levels() == {("BAG-0", "milano"): 1, ("BAG-0", "paris"): 0}
    house.peers["shopify"].cancel(order)
    house.sync()
    assert house.levels() == {("BAG-0", "milano"): 4, ("BAG-0", "paris"): 3}
