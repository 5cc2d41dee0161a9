"""The eBay connector against a peer that behaves as eBay does."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import stamina

from resources.channels.ebay import Ebay, connect
from resources.channels.protocol import (
    ChannelOrder,
    ChannelUnavailable,
    CredentialsRefused,
    ListedItem,
    Outcome,
    PriceWrite,
    QuotaExhausted,
    RequestRefused,
    StockWrite,
    WriteResult,
)
from resources.channels.transport import Tools
from tests.peers.ebay import EbayPeer
from tests.peers.vendor import TOO_MANY, Asked, Fault, Reply
from tests.resources.channels.tools import ClosedBreaker, JumpingClock, MemoryLimiter, memory_tools

WRITES = "bulk_update_price_quantity"
LONG_AGO = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _no_blind_waiting() -> Iterator[None]:
    stamina.set_testing(True, attempts=5)
    yield
    stamina.set_testing(False)


@pytest.fixture
def clock() -> JumpingClock:
    return JumpingClock()


@pytest.fixture
def tools(clock: JumpingClock) -> Tools:
    return memory_tools(clock)


@pytest.fixture
def peer(clock: JumpingClock) -> Iterator[EbayPeer]:
    with EbayPeer(clock=clock) as running:
        yield running


@pytest.fixture
def ebay(peer: EbayPeer, tools: Tools) -> Iterator[Ebay]:
    connector = connect(peer.connection("paris", timeout_seconds=0.5), tools)
    yield connector
    connector.close()


def listed(ebay: Ebay) -> dict[str, ListedItem]:
    return {item.key: item for page in ebay.list_items() for item in page}


def write(item: ListedItem, quantity: int) -> StockWrite:
    return StockWrite(item.key, item.sku or "", quantity, item.quantity, item.handles, f"k-{item.key}-{quantity}")


def price(item: ListedItem, value: str, currency: str = "EUR") -> PriceWrite:
    return PriceWrite(item.key, item.sku or "", Decimal(value), currency, item.handles, f"p-{item.key}")


def written(ebay: Ebay, writes: list[StockWrite]) -> dict[str, WriteResult]:
    return {result.key: result for page in ebay.write_stock(writes) for result in page}


def orders(ebay: Ebay, since: datetime = LONG_AGO) -> list[ChannelOrder]:
    return [order for page in ebay.orders_since(since) for order in page]


def is_write(asked: Asked) -> bool:
    return WRITES in asked.path


# Listing


def test_what_is_on_sale_is_listed_with_price_title_and_handles(peer: EbayPeer, ebay: Ebay) -> None:
    peer.add("BAG-1", 3, "1250.50")
    item = listed(ebay)["BAG-1"]
    assert (item.sku, item.quantity, item.price, item.currency) == ("BAG-1", 3, Decimal("1250.50"), "EUR")
    assert (item.title, item.unwritable) == ("Title of BAG-1", None)
    offer = next(iter(peer.offers.values()))
    assert item.handles == {"offers": offer.offer_id, "priced": offer.offer_id, "listing": offer.listing}
    assert peer.violations == []


def test_the_offset_of_items_is_a_page_number(peer: EbayPeer, ebay: Ebay) -> None:
    for number in range(401):
        peer.add_without_offer(f"S-{number}", 1)
    assert len(listed(ebay)) == 401
    pages = [asked.query["offset"] for asked in peer.asked if asked.path.endswith("/inventory_item")]
    assert pages == ["0", "1", "2"]
    assert peer.violations == []


def test_a_listing_starts_again_when_an_item_goes_between_two_pages(peer: EbayPeer, ebay: Ebay) -> None:
    for number in range(201):
        peer.add_without_offer(f"S-{number}", 1)

    def second_page(asked: Asked) -> bool:
        return asked.query.get("offset") == "1"

    peer.faults.append(Fault("meanwhile", matches=second_page, act=lambda: peer.remove("S-0")))
    peer.add_without_offer("S-201", 1)
    assert set(listed(ebay)) == {f"S-{number}" for number in range(1, 202)}


def test_offers_are_asked_for_one_sku_at_a_time(peer: EbayPeer, ebay: Ebay) -> None:
    for number in range(7):
        peer.add(f"S-{number}", 1)
    assert len(listed(ebay)) == 7
    assert sorted(asked.query["sku"] for asked in peer.asked if asked.path.endswith("/offer")) == [
        f"S-{number}" for number in range(7)
    ]


def test_an_item_without_an_offer_has_no_price_and_can_be_written(peer: EbayPeer, ebay: Ebay) -> None:
    peer.add_without_offer("RAW", 4)
    item = listed(ebay)["RAW"]
    assert (item.quantity, item.price, item.unwritable) == (4, None, None)
    assert written(ebay, [write(item, 2)])["RAW"].outcome is Outcome.confirmed
    assert peer.stock("RAW") == 2


def test_an_unpublished_offer_is_neither_counted_nor_written(peer: EbayPeer, ebay: Ebay) -> None:
    peer.add("DRAFT", 4, published=False, share=1)
    item = listed(ebay)["DRAFT"]
    assert (item.quantity, item.handles["offers"], item.price) == (4, "", Decimal("100.00"))


def test_what_buyers_see_is_the_smaller_of_the_whole_and_the_share(peer: EbayPeer, ebay: Ebay) -> None:
    peer.add("FEW", 10, share=3)
    peer.add("LESS", 2, share=8)
    assert {key: item.quantity for key, item in listed(ebay).items()} == {"FEW": 3, "LESS": 2}


def test_an_offer_on_another_marketplace_gives_no_price_and_is_not_priced(peer: EbayPeer, ebay: Ebay) -> None:
    peer.add("TWICE", 5, "100.00")
    peer.add("TWICE", 5, "90.00", marketplace="EBAY_GB", currency="GBP")
    item = listed(ebay)["TWICE"]
    assert (item.price, item.currency, len(item.handles["offers"].split(","))) == (Decimal("100.00"), "EUR", 2)
    [result] = next(ebay.write_prices([price(item, "120.00")]))
    assert (result.outcome, result.shown) == (Outcome.confirmed, Decimal("120.00"))
    assert [str(offer.price) for offer in peer.offers.values()] == ["120.00", "90.00"]
    assert written(ebay, [write(item, 1)])["TWICE"].outcome is Outcome.confirmed
    assert [offer.share for offer in peer.offers.values()] == [1, 1]


def test_items_are_read_25_a_call_and_those_that_are_gone_are_left_out(peer: EbayPeer, ebay: Ebay) -> None:
    for number in range(30):
        peer.add(f"S-{number}", number)
    known = [*listed(ebay).values(), ListedItem("GONE", "GONE", 1)]
    peer.remove("S-7")
    found = ebay.read_items(known)
    assert {item.key for item in found} == {f"S-{number}" for number in range(30) if number != 7}
    assert peer.count("POST", "bulk_get_inventory_item") == 2
    assert ebay.read_items([ListedItem("GONE", "GONE", 1)]) == []
    peer.refuses_unknown_skus = True
    assert {item.key for item in ebay.read_items(known)} == {item.key for item in found}
    assert ebay.read_items([]) == []


def test_a_listing_made_by_hand_is_invisible_and_the_check_says_how_to_take_it_over(peer: EbayPeer, ebay: Ebay) -> None:
    listing = peer.add_by_hand(3)
    assert listed(ebay) == {}
    peer.buy_by_hand(listing)
    finding = next(finding for finding in ebay.check() if finding.name == "listings")
    assert not finding.ok
    assert listing in finding.message
    assert "bulk_migrate_listing" in (finding.remedy or "")


# Writing


def test_100_changed_skus_are_4_writes_and_each_is_read_back(peer: EbayPeer, ebay: Ebay) -> None:
    for number in range(100):
        peer.add(f"S-{number}", 5)
    items = listed(ebay)
    peer.asked.clear()
    results = written(ebay, [write(item, 3) for item in items.values()])
    assert peer.count("POST", WRITES) == 4
    assert len(peer.asked) == 8
    assert {result.outcome for result in results.values()} == {Outcome.confirmed}
    assert all(result.shown == 3 for result in results.values())
    assert {peer.stock(key) for key in items} == {3}
    assert peer.violations == []


def test_26_items_in_a_call_are_refused_and_found_by_halving(peer: EbayPeer, tools: Tools) -> None:
    ebay = connect(peer.connection("paris", batch_size=26), tools)
    for number in range(26):
        peer.add(f"S-{number}", 5)
    results = written(ebay, [write(item, 3) for item in listed(ebay).values()])
    assert {result.outcome for result in results.values()} == {Outcome.confirmed}
    assert peer.count("POST", WRITES) == 3
    assert ["25727" in said for said in peer.violations] == [True]


def test_where_only_one_sku_is_let_through_the_rest_goes_one_by_one(peer: EbayPeer, ebay: Ebay) -> None:
    peer.one_sku_only = True
    for number in range(30):
        peer.add(f"S-{number}", 5)
    items = list(listed(ebay).values())
    results = written(ebay, [write(item, 4) for item in items])
    assert len(results) == 30
    assert {result.outcome for result in results.values()} == {Outcome.confirmed}
    assert peer.count("POST", WRITES) == 31
    written(ebay, [write(item, 3) for item in items[:5]])
    assert peer.count("POST", WRITES) == 36
    assert peer.violations == []


def test_the_full_replacement_of_an_item_is_never_used(peer: EbayPeer, ebay: Ebay) -> None:
    peer.add("BAG-1", 5)
    [item] = listed(ebay).values()
    before = dict(peer.items["BAG-1"].product)
    written(ebay, [write(item, 1)])
    list(ebay.write_prices([price(item, "80.00")]))
    assert peer.count("PUT") == 0
    assert peer.items["BAG-1"].product == before


def test_an_error_of_one_item_in_a_207_is_its_own(peer: EbayPeer, ebay: Ebay) -> None:
    for sku in ("A", "B", "C"):
        peer.add(sku, 5)
    peer.fail("B", 25004, "Invalid quantity.")
    results = written(ebay, [write(item, 2) for item in listed(ebay).values()])
    assert [results[key].outcome for key in "ABC"] == [Outcome.confirmed, Outcome.refused, Outcome.confirmed]
    assert results["B"].detail == "25004 Invalid quantity."
    assert [peer.stock(key) for key in "ABC"] == [2, 5, 2]


def test_an_offer_that_is_gone_refuses_its_item_only(peer: EbayPeer, ebay: Ebay) -> None:
    for sku in ("A", "B"):
        peer.add(sku, 5)
    items = listed(ebay)
    peer.offers.pop(items["B"].handles["offers"])
    results = written(ebay, [write(item, 2) for item in items.values()])
    assert (results["A"].outcome, results["B"].outcome) == (Outcome.confirmed, Outcome.refused)
    assert "25713" in (results["B"].detail or "")


def test_a_system_error_of_one_item_is_tried_once_more(peer: EbayPeer, ebay: Ebay) -> None:
    for sku in ("A", "B", "C"):
        peer.add(sku, 5)
    items = listed(ebay)
    peer.fail("A", 25001)
    peer.fail("B", 25001, times=2)
    results = written(ebay, [write(item, 2) for item in items.values()])
    assert [results[key].outcome for key in "ABC"] == [Outcome.confirmed, Outcome.refused, Outcome.confirmed]
    assert peer.count("POST", WRITES) == 2


def test_a_second_try_that_is_lost_leaves_only_its_items_unknown(peer: EbayPeer, ebay: Ebay) -> None:
    for sku in ("A", "B"):
        peer.add(sku, 5)
    items = listed(ebay)
    peer.fail("A", 25001)
    seen: list[Asked] = []

    def second(asked: Asked) -> bool:
        seen.extend([asked] if is_write(asked) else [])
        return is_write(asked) and len(seen) == 2

    peer.faults.append(Fault("reset_after", matches=second))
    results = written(ebay, [write(item, 2) for item in items.values()])
    assert (results["A"].outcome, results["B"].outcome) == (Outcome.unknown, Outcome.confirmed)


def test_an_item_that_spoils_its_call_is_found_by_halving(peer: EbayPeer, ebay: Ebay) -> None:
    for number in range(25):
        peer.add(f"S-{number}", 5)
    peer.poisoned.add("S-11")
    results = written(ebay, [write(item, 2) for item in listed(ebay).values()])
    assert {key for key, result in results.items() if result.outcome is Outcome.refused} == {"S-11"}
    assert sum(result.outcome is Outcome.confirmed for result in results.values()) == 24
    assert peer.count("POST", WRITES) <= 12


@pytest.mark.parametrize("others", [0, 9])
def test_a_yes_that_changes_nothing_is_ignored(peer: EbayPeer, ebay: Ebay, others: int) -> None:
    for number in range(others):
        peer.add(f"S-{number}", 5)
    peer.add("DEAF", 5)
    peer.forgetful.add("DEAF")
    results = written(ebay, [write(item, 2) for item in listed(ebay).values()])
    assert (results["DEAF"].outcome, results["DEAF"].shown) == (Outcome.ignored, 5)
    assert sum(result.outcome is Outcome.confirmed for result in results.values()) == others


def test_a_sale_between_write_and_read_back_is_seen(peer: EbayPeer, ebay: Ebay) -> None:
    peer.add("A", 5)
    items = listed(ebay)
    peer.faults.append(
        Fault("meanwhile", matches=lambda asked: "bulk_get" in asked.path, act=lambda: peer.buy({"A": 1}))
    )
    result = written(ebay, [write(items["A"], 3)])["A"]
    assert (result.outcome, result.shown) == (Outcome.ignored, 2)


def test_what_cannot_be_read_back_is_accepted_and_no_error_hides_that_it_was_sent(peer: EbayPeer, ebay: Ebay) -> None:
    peer.add("A", 5)
    items = listed(ebay)
    peer.faults.append(Fault("reply", times=9, matches=lambda asked: "bulk_get" in asked.path))
    result = written(ebay, [write(items["A"], 3)])["A"]
    assert result.outcome is Outcome.accepted
    assert peer.stock("A") == 3


@pytest.mark.parametrize("kind", ["hang_after", "reset_after", "reset_before", "late"])
def test_a_lost_answer_leaves_the_write_unknown_and_is_not_sent_again(peer: EbayPeer, ebay: Ebay, kind: str) -> None:
    for number in range(30):
        peer.add(f"S-{number:02d}", 5)
    items = listed(ebay)
    peer.faults.append(Fault(kind, matches=is_write))
    results = written(ebay, [write(item, 2) for item in items.values()])
    outcomes = [results[key].outcome for key in sorted(results)]
    assert outcomes == [Outcome.unknown] * 25 + [Outcome.confirmed] * 5
    assert peer.count("POST", WRITES) == 2


def test_a_server_error_on_a_write_is_unknown(peer: EbayPeer, ebay: Ebay) -> None:
    peer.add("A", 5)
    items = listed(ebay)
    peer.faults.append(Fault("reply_after", matches=is_write, reply=Reply(500)))
    assert written(ebay, [write(items["A"], 2)])["A"].outcome is Outcome.unknown
    assert peer.count("POST", WRITES) == 1
    assert [item.quantity for item in ebay.read_items(list(items.values()))] == [2]


def test_an_answer_that_is_no_json_is_unknown(peer: EbayPeer, ebay: Ebay) -> None:
    peer.add("A", 5)
    items = listed(ebay)
    peer.faults.append(Fault("reply_after", matches=is_write, reply=Reply(200, b"<html>")))
    assert written(ebay, [write(items["A"], 2)])["A"].outcome is Outcome.unknown


def test_stock_may_be_written_for_one_place(peer: EbayPeer, tools: Tools) -> None:
    ebay = connect(peer.connection("paris", merchant_location_key="ATELIER"), tools)
    peer.add("A", 5)
    written(ebay, [write(listed(ebay)["A"], 2)])
    [asked] = [asked for asked in peer.asked if is_write(asked)]
    assert asked.json()["requests"][0]["shipToLocationAvailability"] == {
        "quantity": 2,
        "availabilityDistributions": [{"merchantLocationKey": "ATELIER", "quantity": 2}],
    }
    assert peer.violations == []


def test_a_price_of_what_is_not_on_sale_is_refused_without_a_call(peer: EbayPeer, ebay: Ebay) -> None:
    peer.add_without_offer("RAW", 4)
    [[result]] = list(ebay.write_prices([price(listed(ebay)["RAW"], "10.00")]))
    assert result.outcome is Outcome.refused
    assert peer.count("POST", WRITES) == 0


# Limits


def test_when_the_calls_of_the_day_are_used_up_nothing_is_sent(
    peer: EbayPeer, tools: Tools, clock: JumpingClock
) -> None:
    ebay = connect(peer.connection("paris", daily_quota=4), tools)
    peer.add("A", 5)
    items = listed(ebay)
    assert written(ebay, [write(items["A"], 4)])["A"].outcome is Outcome.accepted
    before = len(peer.asked)
    with pytest.raises(QuotaExhausted) as raised:
        written(ebay, [write(items["A"], 3)])
    assert len(peer.asked) == before
    # Midnight in Los Angeles.
    assert raised.value.until == datetime(2026, 11, 23, 8, tzinfo=UTC)
    clock.sleep(86_400)
    assert written(ebay, [write(items["A"], 3)])["A"].outcome is Outcome.confirmed


def test_a_quota_that_ebay_says_is_used_up_is_not_asked_again(peer: EbayPeer, ebay: Ebay) -> None:
    peer.daily_quota = 0
    with pytest.raises(QuotaExhausted) as raised:
        listed(ebay)
    assert raised.value.until == datetime(2026, 11, 23, 8, tzinfo=UTC)
    assert peer.count("GET", "inventory_item") == 1


def test_too_many_at_once_is_waited_for(peer: EbayPeer, ebay: Ebay, clock: JumpingClock) -> None:
    peer.add("A", 5)
    items = listed(ebay)
    peer.faults.append(Fault("reply", matches=is_write, reply=Reply(429, TOO_MANY.body, {"Retry-After": "7"})))
    assert written(ebay, [write(items["A"], 2)])["A"].outcome is Outcome.confirmed
    assert clock.slept == [7.0]


def test_raises_stop_before_the_revisions_of_a_listing_are_used_up_and_cuts_go_on(peer: EbayPeer, tools: Tools) -> None:
    ebay = connect(peer.connection("paris", revisions_per_day=10), tools)
    peer.add("A", 1)
    item = listed(ebay)["A"]
    outcomes = [written(ebay, [write(item, 2 + number)])["A"] for number in range(10)]
    assert [result.outcome for result in outcomes] == [Outcome.confirmed] * 9 + [Outcome.refused]
    assert "2026-11-23 08:00 UTC" in (outcomes[-1].detail or "")
    assert peer.count("POST", WRITES) == 9
    assert written(ebay, [write(item, 0)])["A"].outcome is Outcome.confirmed
    assert peer.stock("A") == 0


def test_ebay_has_the_last_word_on_revisions(peer: EbayPeer, ebay: Ebay, clock: JumpingClock) -> None:
    peer.revisions_per_day = 1
    peer.add("A", 5)
    item = listed(ebay)["A"]
    assert written(ebay, [write(item, 4)])["A"].outcome is Outcome.confirmed
    result = written(ebay, [write(item, 3)])["A"]
    assert result.outcome is Outcome.refused
    assert "25019" in (result.detail or "")
    assert "2026-11-23 08:00 UTC" in (result.detail or "")
    clock.sleep(86_400)
    assert written(ebay, [write(item, 3)])["A"].outcome is Outcome.confirmed


def test_variations_share_the_revisions_of_their_listing(peer: EbayPeer, tools: Tools) -> None:
    ebay = connect(peer.connection("paris", revisions_per_day=10), tools)
    for number in range(12):
        peer.add(f"V-{number:02d}", 1, listing="2000")
    results = written(ebay, [write(item, 2) for item in listed(ebay).values()])
    outcomes = [results[key].outcome for key in sorted(results)]
    assert outcomes == [Outcome.confirmed] * 9 + [Outcome.refused] * 3


# Tokens and the check


def test_a_token_that_ends_on_the_way_is_renewed(peer: EbayPeer, ebay: Ebay, clock: JumpingClock) -> None:
    peer.add("A", 5)
    items = listed(ebay)
    clock.sleep(7_300)
    assert written(ebay, [write(items["A"], 4)])["A"].outcome is Outcome.confirmed
    peer.expire_tokens()
    assert written(ebay, [write(items["A"], 3)])["A"].outcome is Outcome.confirmed
    assert peer.count("POST", "/oauth2/token") == 3


def test_a_refresh_token_that_was_revoked_is_a_matter_of_credentials(peer: EbayPeer, tools: Tools) -> None:
    connection = peer.connection("paris")
    secrets: dict[str, Any] = {**connection.secrets, "refresh_token": "old"}
    broken = type(connection)(connection.name, connection.kind, connection.url, connection.options, secrets)
    ebay = connect(broken, tools)
    with pytest.raises(CredentialsRefused, match="invalid or was issued to another client") as raised:
        listed(ebay)
    assert "old" not in str(raised.value)
    [finding] = ebay.check()
    assert (finding.name, finding.ok) == ("token", False)


def test_a_scope_that_was_not_granted_is_found(peer: EbayPeer, ebay: Ebay) -> None:
    peer.granted = {"https://api.ebay.com/oauth/api_scope/sell.inventory"}
    [finding] = ebay.check()
    assert not finding.ok
    assert "scope" in finding.message


def test_a_missing_secret_is_named(peer: EbayPeer, tools: Tools) -> None:
    connection = peer.connection("paris")
    with pytest.raises(CredentialsRefused, match="refresh_token"):
        connect(type(connection)("paris", "ebay", peer.url, {}, {"client_id": "a", "client_secret": "b"}), tools)


def test_the_check_takes_the_live_quota_over(peer: EbayPeer, ebay: Ebay) -> None:
    peer.daily_quota = 5
    findings = {finding.name: finding for finding in ebay.check()}
    assert findings["quota"].ok
    assert "of 5 until" in findings["quota"].message
    assert findings["inventory"].ok
    assert findings["orders"].ok
    assert findings["listings"].ok
    assert not findings["notifications"].ok
    with pytest.raises(QuotaExhausted):
        for _ in range(9):
            listed(ebay)
    assert peer.count("GET", "inventory_item") <= 5


def test_the_check_names_a_destination_that_is_down(peer: EbayPeer, ebay: Ebay) -> None:
    peer.destinations.append({"name": "gateway", "status": "MARKED_DOWN"})
    finding = next(finding for finding in ebay.check() if finding.name == "notifications")
    assert (finding.ok, finding.message) == (False, "gateway: MARKED_DOWN")


def test_a_vendor_that_does_not_answer_is_unavailable(peer: EbayPeer, ebay: Ebay) -> None:
    peer.faults.append(Fault("reply", times=9))
    with pytest.raises(ChannelUnavailable):
        listed(ebay)


# Orders


def test_an_order_tells_units_money_and_country(peer: EbayPeer, ebay: Ebay, clock: JumpingClock) -> None:
    peer.add("A", 5, "100.00")
    peer.add("B", 5, "50.00")
    order_id = peer.buy({"A": 2, "B": 1}, shipping="19.8", discount="13.24")
    [order] = orders(ebay)
    assert order.order_id == order.number == order_id
    assert (order.state, order.currency, order.country) == ("NOT_STARTED", "EUR", "FR")
    assert (order.shipping, order.discount, order.refunded_besides) == (Decimal("19.8"), Decimal("13.24"), Decimal(0))
    assert order.placed_at == clock.now()
    lines = [(line.sku, line.key, line.taken, line.kept, line.unit_price) for line in order.lines]
    assert lines == [("A", "A", 2, 2, Decimal(100)), ("B", "B", 1, 1, Decimal(50))]
    assert peer.violations == []


def test_a_cancelled_order_is_told_by_its_state_since_the_list_has_no_requests(peer: EbayPeer, ebay: Ebay) -> None:
    peer.add("A", 5)
    order_id = peer.buy({"A": 2}, shipping="10.00")
    assert order_id
    peer.ask_to_cancel(order_id)
    [asked] = orders(ebay)
    assert [(line.taken, line.kept) for line in asked.lines] == [(2, 2)]
    peer.cancel(order_id)
    [order] = orders(ebay)
    assert order.state == "CANCELED"
    assert [(line.taken, line.kept) for line in order.lines] == [(0, 0)]
    assert order.refunded_besides == Decimal("10.00")
    assert peer.stock("A") == 5


def test_a_refund_gives_units_back_to_the_books_and_not_to_the_stock(peer: EbayPeer, ebay: Ebay) -> None:
    peer.add("A", 5, "33.33")
    order_id = peer.buy({"A": 3}, shipping="9.00")
    assert order_id
    peer.refund(order_id, "A", 1, restock=False)
    [order] = ebay.read_orders([order_id])
    assert [(line.taken, line.kept) for line in order.lines] == [(3, 2)]
    peer.refund_money(order_id, "5.00")
    [order] = ebay.read_orders([order_id])
    assert [(line.taken, line.kept) for line in order.lines] == [(3, 2)]
    assert order.refunded_besides == Decimal("5.00")
    peer.refund(order_id, "A", 2, restock=True)
    [order] = ebay.read_orders([order_id])
    assert [(line.taken, line.kept) for line in order.lines] == [(3, 0)]
    assert peer.stock("A") == 4


def test_an_order_that_is_not_paid_is_no_sale_yet_and_holds_its_stock(peer: EbayPeer, ebay: Ebay) -> None:
    peer.add("A", 5)
    order_id = peer.buy({"A": 2})
    assert order_id
    peer.orders[order_id].payment = "PENDING"
    [order] = orders(ebay)
    assert [(line.taken, line.kept) for line in order.lines] == [(2, 0)]


def test_a_line_of_a_listing_made_by_hand_has_neither_sku_nor_key(peer: EbayPeer, ebay: Ebay) -> None:
    peer.buy_by_hand(peer.add_by_hand(2))
    [order] = orders(ebay)
    assert [(line.sku, line.key, line.kept) for line in order.lines] == [(None, None, 1)]


def test_what_a_relisting_puts_back_on_sale_is_seen_in_the_listing_and_not_in_the_order(
    peer: EbayPeer, ebay: Ebay
) -> None:
    peer.add("A", 5)
    peer.buy({"A": 2})
    peer.relist("A")
    assert listed(ebay)["A"].quantity == 5
    assert orders(ebay)[0].lines[0].taken == 2


def test_orders_come_oldest_change_first_and_only_those_since(peer: EbayPeer, ebay: Ebay, clock: JumpingClock) -> None:
    peer.add("A", 50)
    ids = []
    for _ in range(4):
        ids.append(peer.buy({"A": 1}))
        clock.sleep(60)
    peer.refund_money(ids[0] or "", "1.00")
    assert [order.order_id for order in orders(ebay)] == [ids[1], ids[2], ids[3], ids[0]]
    third = peer.orders[ids[2] or ""].changed
    # eBay tells whole seconds, so that a part of one must not be asked for.
    since = third + timedelta(microseconds=400_000)
    assert [order.order_id for order in orders(ebay, since)] == [ids[2], ids[3], ids[0]]


def test_more_orders_than_a_page_are_all_read_though_some_change_meanwhile(
    peer: EbayPeer, ebay: Ebay, clock: JumpingClock
) -> None:
    peer.add("A", 1000)
    ids = []
    for _ in range(450):
        ids.append(peer.buy({"A": 1}) or "")
        clock.sleep(30)
    changed = iter(ids[::40])

    def change() -> None:
        clock.sleep(5)
        peer.refund_money(next(changed), "1.00")

    peer.faults.append(Fault("meanwhile", times=8, matches=lambda asked: "filter" in asked.query, act=change))
    found = orders(ebay)
    assert {order.order_id for order in found} == set(ids)
    times = [order.updated_at for order in found]
    assert times == sorted(times)
    assert peer.violations == []


def test_more_orders_than_a_page_in_one_second_are_read_by_rows(peer: EbayPeer, ebay: Ebay) -> None:
    peer.add("A", 1000)
    ids = {peer.buy({"A": 1}) for _ in range(410)}
    assert {order.order_id for order in orders(ebay)} == ids
    offsets = {asked.query.get("offset") for asked in peer.asked if asked.path.endswith("/order")}
    assert offsets == {"0", "200", "400"}


def test_orders_of_more_than_two_years_ago_are_not_asked_for(peer: EbayPeer, ebay: Ebay) -> None:
    peer.add("A", 1)
    peer.buy({"A": 1})
    assert len(orders(ebay, datetime(2019, 1, 1, tzinfo=UTC))) == 1
    assert peer.violations == []


def test_orders_are_read_by_id_and_an_unknown_one_is_left_out(peer: EbayPeer, ebay: Ebay) -> None:
    peer.add("A", 500)
    ids = [peer.buy({"A": 1}) or "" for _ in range(60)]
    asked = [*ids[:30], "99-99999-99999", *ids[30:]]
    assert {order.order_id for order in ebay.read_orders(asked)} == set(ids)
    assert ebay.read_orders([]) == []
    assert ebay.read_orders(["99-99999-99999"]) == []


def test_a_refusal_of_another_kind_is_raised(peer: EbayPeer, ebay: Ebay) -> None:
    peer.add("A", 1)
    peer.faults.append(
        Fault(
            "reply", matches=lambda asked: "orderIds" in asked.query, reply=Reply(400, {"errors": [{"errorId": 30700}]})
        )
    )
    with pytest.raises(RequestRefused):
        ebay.read_orders(["13-1-1"])


# Through a store that may be shared


def test_two_connectors_share_the_quota_of_their_connection(peer: EbayPeer, clock: JumpingClock) -> None:
    shared = Tools(ClosedBreaker(), MemoryLimiter(clock), clock)
    first = connect(peer.connection("paris", daily_quota=2), shared)
    second = connect(peer.connection("paris", daily_quota=2), shared)
    listed(first)
    listed(second)
    with pytest.raises(QuotaExhausted):
        listed(first)
