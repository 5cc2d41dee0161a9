"""The Amazon connector against a stateful peer, trap by trap."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import stamina

from resources.channels.amazon import Amazon, connect
from resources.channels.amazon_limits import RATES, live_rate
from resources.channels.amazon_listings import READ_ONLY
from resources.channels.protocol import (
    ChannelError,
    ChannelUnavailable,
    Connection,
    CredentialsRefused,
    ListedItem,
    Outcome,
    PriceWrite,
    QuotaExhausted,
    StockWrite,
    WriteResult,
)
from resources.channels.transport import Tools
from tests.peers.amazon import AmazonPeer
from tests.peers.vendor import Asked, Fault, Reply
from tests.resources.channels.tools import JumpingClock, MemoryLimiter, memory_tools

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def no_pauses() -> Iterator[None]:
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
def peer(clock: JumpingClock) -> Iterator[AmazonPeer]:
    with AmazonPeer(clock=clock) as peer:
        yield peer
        assert peer.violations == []


def connected(peer: AmazonPeer, tools: Tools, **options: Any) -> Amazon:
    return connect(peer.connection("amazon-uk", **options), tools)


def listed(amazon: Amazon) -> dict[str, ListedItem]:
    return {item.key: item for page in amazon.list_items() for item in page}


def stock(sku: str, quantity: int, **handles: str) -> StockWrite:
    return StockWrite(sku, sku, quantity, None, handles, f"key-{sku}")


def price(sku: str, amount: str, currency: str = "GBP") -> PriceWrite:
    return PriceWrite(sku, sku, Decimal(amount), currency, {}, f"key-{sku}")


def written(amazon: Amazon, *writes: StockWrite) -> list[WriteResult]:
    return [result for results in amazon.write_stock(writes) for result in results]


def on(method: str, part: str = "") -> Any:
    def matches(asked: Asked) -> bool:
        return asked.method == method and part in asked.path

    return matches


def test_a_listing_is_read_with_its_stock_price_and_title(peer: AmazonPeer, tools: Tools) -> None:
    peer.add("BAG-1", 7, "1290.50")
    (item,) = listed(connected(peer, tools)).values()
    assert (item.key, item.sku, item.quantity, item.price) == ("BAG-1", "BAG-1", 7, Decimal("1290.50"))
    assert (item.currency, item.title, item.unwritable) == ("GBP", "Thing BAG-1", None)
    assert item.handles == {"product_type": "SHOES", "fulfillment_channel_code": "DEFAULT"}
    assert item.updated_at is not None and item.updated_at.tzinfo is not None


def test_an_empty_shop_lists_nothing(peer: AmazonPeer, tools: Tools) -> None:
    assert list(connected(peer, tools).list_items()) == []


def test_a_parent_of_variations_is_listed_and_not_writable(peer: AmazonPeer, tools: Tools) -> None:
    peer.add("SHOE", 0, parent_of=("SHOE-36", "SHOE-37"))
    assert listed(connected(peer, tools))["SHOE"].unwritable == "a parent of variations"


def test_more_than_a_thousand_listings_are_all_found_in_slices(peer: AmazonPeer, tools: Tools) -> None:
    for number in range(2100):
        peer.add(f"SKU-{number:04d}", number % 7)
    items = [item for page in connected(peer, tools).list_items() for item in page]
    assert len(items) == 2100
    assert len({item.key for item in items}) == 2100
    assert peer.count("GET", "/listings/") <= 110


def test_exactly_a_thousand_listings_are_all_found(peer: AmazonPeer, tools: Tools) -> None:
    for number in range(1000):
        peer.add(f"SKU-{number:04d}", 1)
    assert len(listed(connected(peer, tools))) == 1000


def test_more_listings_of_one_instant_than_a_search_gives_are_reported_not_lost(peer: AmazonPeer, tools: Tools) -> None:
    for number in range(1001):
        peer.add(f"SKU-{number:04d}", 1)
        peer.listings[f"SKU-{number:04d}"].created = LONG_AGO
    with pytest.raises(ChannelError, match=r"1000 of 1001 .*GET_MERCHANT_LISTINGS_ALL_DATA"):
        listed(connected(peer, tools))


def test_a_search_that_ends_early_is_reported(peer: AmazonPeer, tools: Tools) -> None:
    peer.faults.append(Fault("reply", 2, on("GET", "/listings/"), Reply(200, {"numberOfResults": 3, "items": []})))
    with pytest.raises(ChannelError, match="0 of 3"):
        listed(connected(peer, tools))


def test_listings_fulfilled_by_amazon_are_read_only_and_show_amazons_stock(peer: AmazonPeer, tools: Tools) -> None:
    peer.add("FBA-1", 40, channel="AMAZON_EU")
    peer.add("FBA,2", 41, channel="AMAZON_EU")
    peer.add("OURS", 3)
    amazon = connected(peer, tools)
    items = listed(amazon)
    assert (items["FBA-1"].quantity, items["FBA-1"].unwritable) == (40, READ_ONLY)
    assert items["FBA,2"].quantity == 41
    assert items["OURS"].unwritable is None
    results = written(amazon, stock("FBA-1", 5, **items["FBA-1"].handles), stock("OURS", 9, **items["OURS"].handles))
    assert {result.key: result.outcome for result in results} == {"FBA-1": Outcome.refused, "OURS": Outcome.accepted}
    assert (peer.stock("FBA-1"), peer.stock("OURS")) == (40, 9)
    assert peer.count("PATCH") == 1


def test_a_shop_without_amazons_fulfilment_never_asks_for_its_stock(peer: AmazonPeer, tools: Tools) -> None:
    peer.add("OURS", 3)
    listed(connected(peer, tools))
    assert peer.count("GET", "/fba/") == 0


def test_known_skus_are_read_twenty_at_once(peer: AmazonPeer, tools: Tools) -> None:
    keys = [peer.add(f"SKU-{number}", number) for number in range(45)]
    amazon = connected(peer, tools)
    items = amazon.read_items([ListedItem(key, key, None) for key in [*keys, "GONE"]])
    assert [(item.key, item.quantity) for item in items] == [(f"SKU-{number}", number) for number in range(45)]
    assert peer.count("GET", "/listings/") == 3


@pytest.mark.parametrize("sku", ["A,B", "A/B", "A B", "A#B", "A?B=1&C", "50%", "Ä+Ö", "A%2FB"])
def test_a_sku_of_any_form_is_read_and_written(peer: AmazonPeer, tools: Tools, sku: str) -> None:
    peer.add(sku, 4)
    peer.add("OTHER", 1)
    amazon = connected(peer, tools)
    assert [item.key for item in amazon.read_items([ListedItem(sku, sku, None)])] == [sku]
    assert {i.key for i in amazon.read_items([ListedItem(s, s, None) for s in (sku, "OTHER")])} == {sku, "OTHER"}
    assert written(amazon, stock(sku, 9))[0].outcome == Outcome.accepted
    assert (peer.stock(sku), peer.stock("OTHER")) == (9, 1)


def test_a_sku_of_dots_alone_is_read_and_never_written_to_another_path(peer: AmazonPeer, tools: Tools) -> None:
    peer.add("..", 4)
    amazon = connected(peer, tools)
    assert [item.key for item in amazon.read_items([ListedItem("..", "..", None)])] == [".."]
    assert written(amazon, stock("..", 9))[0].outcome == Outcome.refused
    assert peer.count("PATCH") == 0


def test_a_sku_with_a_comma_is_never_put_into_a_list(peer: AmazonPeer, tools: Tools) -> None:
    for sku in ("A", "B", "A,B", "C"):
        peer.add(sku, 1)
    amazon = connected(peer, tools)
    assert len(amazon.read_items([ListedItem(s, s, None) for s in ("A", "A,B", "C")])) == 3
    assert [asked.query.get("identifiers") for asked in peer.asked if asked.method == "GET"] == ["A,C", None]


def test_what_is_gone_is_left_out(peer: AmazonPeer, tools: Tools) -> None:
    amazon = connected(peer, tools)
    assert amazon.read_items([ListedItem("GONE", "GONE", None)]) == []
    assert amazon.read_items([]) == []


def test_accepted_is_not_done_until_it_is_read_back(clock: JumpingClock, tools: Tools) -> None:
    with AmazonPeer(clock=clock, instant=False) as peer:
        peer.add("BAG-1", 7)
        amazon = connected(peer, tools)
        assert written(amazon, stock("BAG-1", 5))[0] == WriteResult("BAG-1", Outcome.accepted)
        assert listed(amazon)["BAG-1"].quantity == 7
        peer.process()
        assert listed(amazon)["BAG-1"].quantity == 5


def test_an_unknown_sku_is_accepted_and_only_reading_back_tells(peer: AmazonPeer, tools: Tools) -> None:
    amazon = connected(peer, tools)
    assert written(amazon, stock("NEVER", 5))[0].outcome == Outcome.accepted
    assert amazon.read_items([ListedItem("NEVER", "NEVER", None)]) == []


def test_an_invalid_change_is_refused_with_the_vendors_words_and_the_others_are_written(
    peer: AmazonPeer, tools: Tools
) -> None:
    for sku in ("A", "B", "C"):
        peer.add(sku, 1)
    peer.refused["B"] = ("90220", "'batteries_required' is required but not supplied.")
    results = written(connected(peer, tools), stock("A", 2), stock("B", 2), stock("C", 2))
    assert [result.outcome for result in results] == [Outcome.accepted, Outcome.refused, Outcome.accepted]
    assert results[1].detail == "90220 'batteries_required' is required but not supplied."
    assert [peer.stock(sku) for sku in ("A", "B", "C")] == [2, 1, 2]


def test_a_quantity_leaves_the_handling_time_as_it_is(peer: AmazonPeer, tools: Tools) -> None:
    peer.add("BAG-1", 7, extras={"lead_time_to_ship_max_days": 3})
    written(connected(peer, tools), stock("BAG-1", 5))
    assert peer.listings["BAG-1"].extras == {"lead_time_to_ship_max_days": 3}
    written(connected(peer, tools, stock_patch="replace"), stock("BAG-1", 4))
    assert peer.listings["BAG-1"].extras == {}


def test_a_hundred_changes_are_a_hundred_calls_and_nothing_else(peer: AmazonPeer, tools: Tools) -> None:
    for number in range(100):
        peer.add(f"SKU-{number}", 1)
    results = written(connected(peer, tools), *(stock(f"SKU-{number}", number) for number in range(100)))
    assert {result.outcome for result in results} == {Outcome.accepted}
    assert len(peer.asked) == 101
    assert (peer.count("PATCH"), peer.count("POST", "/auth/o2/token")) == (100, 1)
    assert all(peer.stock(f"SKU-{number}") == number for number in range(100))


def test_each_write_is_yielded_when_it_is_known(peer: AmazonPeer, tools: Tools) -> None:
    for sku in ("A", "B"):
        peer.add(sku, 1)
    writes = connected(peer, tools).write_stock([stock("A", 2), stock("B", 2)])
    assert [result.key for result in next(writes)] == ["A"]
    assert (peer.stock("A"), peer.stock("B")) == (2, 1)


@pytest.mark.parametrize("kind", ["reset_after", "hang_after", "late"])
def test_a_write_whose_answer_is_lost_is_unknown_and_the_next_ones_go_on(
    peer: AmazonPeer, tools: Tools, kind: str
) -> None:
    for sku in ("A", "B", "C"):
        peer.add(sku, 1)
    peer.faults.append(Fault(kind, matches=on("PATCH", "/B")))
    results = written(connected(peer, tools, timeout_seconds=0.5), stock("A", 2), stock("B", 2), stock("C", 2))
    assert [result.outcome for result in results] == [Outcome.accepted, Outcome.unknown, Outcome.accepted]
    assert peer.count("PATCH") == 3
    peer.settle()
    assert peer.stock("B") == 2


def test_a_server_error_leaves_the_write_unknown(peer: AmazonPeer, tools: Tools) -> None:
    peer.add("A", 1)
    peer.faults.append(Fault("reply", matches=on("PATCH"), reply=Reply(503, {"errors": []})))
    assert written(connected(peer, tools), stock("A", 2))[0].outcome == Outcome.unknown


def test_an_answer_that_is_no_json_leaves_the_write_unknown(peer: AmazonPeer, tools: Tools) -> None:
    peer.add("A", 1)
    peer.faults.append(Fault("reply_after", matches=on("PATCH"), reply=Reply(200, b"<html>")))
    assert written(connected(peer, tools), stock("A", 2))[0].outcome == Outcome.unknown


def test_a_refused_connection_stops_the_run_before_the_next_item(peer: AmazonPeer, tools: Tools) -> None:
    peer.add("A", 1)
    amazon = connected(peer, tools)
    peer.denied.add("patchListingsItem")
    with pytest.raises(CredentialsRefused):
        written(amazon, stock("A", 2))
    peer.violations.clear()


def test_two_thousand_changes_are_one_feed(peer: AmazonPeer, tools: Tools) -> None:
    for number in range(2000):
        peer.add(f"SKU-{number}", 1)
    batches = list(connected(peer, tools).write_stock([stock(f"SKU-{number}", number % 9) for number in range(2000)]))
    assert [len(batch) for batch in batches] == [2000]
    assert {result.outcome for result in batches[0]} == {Outcome.accepted}
    assert all(peer.stock(f"SKU-{number}") == number % 9 for number in range(2000))
    assert peer.count("PATCH") == 0
    assert [str(asked).split("/")[-1] for asked in peer.asked if asked.method == "POST"] == [
        "token",
        "documents",
        "feeds",
    ]


def test_the_number_of_changes_from_which_a_feed_is_used_is_an_option(peer: AmazonPeer, tools: Tools) -> None:
    for sku in ("A", "B", "C"):
        peer.add(sku, 1)
    amazon = connected(peer, tools, feed_above=2)
    written(amazon, stock("A", 2), stock("B", 2))
    assert (peer.count("PATCH"), peer.created_by_feed) == (2, 0)
    written(amazon, stock("A", 3), stock("B", 3), stock("C", 3))
    assert (peer.count("PATCH"), peer.created_by_feed) == (2, 1)


def feeding(peer: AmazonPeer, tools: Tools, **options: Any) -> list[WriteResult]:
    for sku in ("A", "B", "C"):
        peer.add(sku, 1)
    return written(connected(peer, tools, feed_above=2, **options), stock("A", 2), stock("B", 2), stock("C", 2))


def test_a_feeds_report_refuses_one_of_many(peer: AmazonPeer, tools: Tools) -> None:
    peer.refused["B"] = ("90220", "'batteries_required' is required but not supplied.")
    results = feeding(peer, tools)
    assert [(result.key, result.outcome) for result in results] == [
        ("A", Outcome.accepted),
        ("B", Outcome.refused),
        ("C", Outcome.accepted),
    ]
    assert results[1].detail == "90220 'batteries_required' is required but not supplied."
    assert [peer.stock(sku) for sku in ("A", "B", "C")] == [2, 1, 2]


def test_the_address_to_upload_to_never_sees_the_token(peer: AmazonPeer, tools: Tools) -> None:
    feeding(peer, tools)
    foreign = [asked for asked in peer.asked if asked.path.startswith("/presigned/")]
    assert [asked.method for asked in foreign] == ["PUT", "GET"]
    assert all("x-amz-access-token" not in asked.headers and "authorization" not in asked.headers for asked in foreign)


def test_a_feed_is_json_with_absolute_quantities_of_what_changed_only(peer: AmazonPeer, tools: Tools) -> None:
    peer.add("UNCHANGED", 4)
    feeding(peer, tools)
    (upload,) = (asked for asked in peer.asked if asked.method == "PUT")
    assert upload.headers["content-type"].startswith("application/json")
    messages = json.loads(upload.body)["messages"]
    assert [(message["messageId"], message["sku"]) for message in messages] == [(1, "A"), (2, "B"), (3, "C")]
    assert messages[0]["patches"][0]["value"] == [{"fulfillment_channel_code": "DEFAULT", "quantity": 2}]


def test_a_feed_that_is_not_done_in_time_is_accepted(clock: JumpingClock, tools: Tools) -> None:
    with AmazonPeer(clock=clock, instant=False) as peer:
        results = feeding(peer, tools, feed_poll_seconds=30, feed_wait_seconds=90)
        assert {result.outcome for result in results} == {Outcome.accepted}
        assert "still being processed" in (results[0].detail or "")
        assert peer.count("GET", "/feeds/2021-06-30/feeds/") == 4
        assert clock.slept == [30, 30, 30]
        assert peer.stock("A") == 1
        assert peer.violations == []


def test_a_feed_is_followed_until_it_is_done(clock: JumpingClock, tools: Tools) -> None:
    with AmazonPeer(clock=clock, instant=False) as peer:
        peer.refused["B"] = ("1", "no")
        asks = on("GET", "/feeds/2021-06-30/feeds/")
        peer.faults.append(
            Fault("meanwhile", matches=lambda asked: asks(asked) and len(clock.slept) == 2, act=peer.process)
        )
        results = feeding(peer, tools)
        assert [result.outcome for result in results] == [Outcome.accepted, Outcome.refused, Outcome.accepted]
        assert clock.slept == [30, 30]


@pytest.mark.parametrize("status", ["FATAL", "CANCELLED"])
def test_a_feed_that_failed_leaves_its_changes_unknown(peer: AmazonPeer, tools: Tools, status: str) -> None:
    feed = {"feedId": "3485934", "feedType": "JSON_LISTINGS_FEED", "createdTime": "2026-11-22T12:00:00Z"}
    ended = Reply(200, {**feed, "processingStatus": status})
    peer.faults.append(Fault("reply", matches=on("GET", "/feeds/2021-06-30/feeds/"), reply=ended))
    results = feeding(peer, tools)
    assert {result.outcome for result in results} == {Outcome.unknown}
    assert status in (results[0].detail or "")


def test_a_feed_that_cannot_be_followed_is_accepted(peer: AmazonPeer, tools: Tools) -> None:
    peer.faults.append(Fault("reply", 9, on("GET", "/feeds/2021-06-30/feeds/"), Reply(500, {})))
    results = feeding(peer, tools)
    assert {result.outcome for result in results} == {Outcome.accepted}
    assert "could not be followed" in (results[0].detail or "")


def test_a_report_that_cannot_be_read_leaves_its_changes_accepted(peer: AmazonPeer, tools: Tools) -> None:
    peer.faults.append(Fault("reply", matches=on("GET", "/presigned/"), reply=Reply(200, b"\x1f\x8bbroken")))
    results = feeding(peer, tools)
    assert {result.outcome for result in results} == {Outcome.accepted}
    assert "report could not be read" in (results[0].detail or "")


def test_a_lost_answer_to_create_feed_makes_no_second_feed(peer: AmazonPeer, tools: Tools) -> None:
    peer.faults.append(Fault("hang_after", matches=on("POST", "/feeds/2021-06-30/feeds")))
    results = feeding(peer, tools, timeout_seconds=0.5)
    assert {result.outcome for result in results} == {Outcome.accepted}
    assert peer.count("POST", "/feeds/2021-06-30/feeds") == 1
    assert peer.count("GET", "/feeds/2021-06-30/feeds") == 2
    assert peer.stock("A") == 2


def test_a_create_feed_that_comes_late_is_unknown_and_not_repeated(peer: AmazonPeer, tools: Tools) -> None:
    peer.faults.append(Fault("late", matches=on("POST", "/feeds/2021-06-30/feeds")))
    results = feeding(peer, tools, timeout_seconds=0.5)
    assert {result.outcome for result in results} == {Outcome.unknown}
    assert peer.count("POST", "/feeds/2021-06-30/feeds") == 1
    peer.settle()
    assert (peer.created_by_feed, peer.stock("A")) == (1, 2)


def test_a_lost_answer_with_another_feed_beside_it_assumes_nothing(peer: AmazonPeer, tools: Tools) -> None:
    other = connected(peer, tools, feed_above=0)
    peer.add("OTHER", 1)
    written(other, stock("OTHER", 2))
    peer.faults.append(Fault("reset_after", matches=on("POST", "/feeds/2021-06-30/feeds")))
    assert {result.outcome for result in feeding(peer, tools)} == {Outcome.unknown}
    assert peer.created_by_feed == 2


def test_a_document_whose_upload_fails_sends_nothing(peer: AmazonPeer, tools: Tools) -> None:
    peer.faults.append(Fault("reply", matches=on("PUT"), reply=Reply(403, b"expired")))
    with pytest.raises(ChannelUnavailable, match="no longer valid"):
        feeding(peer, tools)
    assert peer.created_by_feed == 0


def test_a_price_is_written_and_the_sale_price_beside_it_is_kept(peer: AmazonPeer, tools: Tools) -> None:
    sale = {"discounted_price": [{"schedule": [{"start_at": "2026-12-01", "value_with_tax": 80}]}]}
    peer.add("BAG-1", 7, "100.00", offer=sale)
    amazon = connected(peer, tools)
    (results,) = amazon.write_prices([price("BAG-1", "1290.10")])
    assert results == [WriteResult("BAG-1", Outcome.accepted)]
    assert (peer.listings["BAG-1"].price, peer.listings["BAG-1"].offer) == (Decimal("1290.10"), sale)
    (patch,) = (asked for asked in peer.asked if asked.method == "PATCH")
    assert b'"value_with_tax": 1290.10}' in patch.body
    assert listed(amazon)["BAG-1"].price == Decimal("1290.10")


def test_a_price_in_another_currency_or_of_no_listing_is_refused_unsent(peer: AmazonPeer, tools: Tools) -> None:
    peer.add("BAG-1", 7)
    batches = connected(peer, tools).write_prices([price("BAG-1", "10", "EUR"), price("GONE", "10")])
    results = {result.key: result for batch in batches for result in batch}
    assert results["BAG-1"].detail == "priced in GBP, not EUR"
    assert results["GONE"].detail == "there is no such listing"
    assert {result.outcome for result in results.values()} == {Outcome.refused}
    assert peer.count("PATCH") == 0


def test_an_order_takes_stock_and_counts_as_a_sale(peer: AmazonPeer, tools: Tools) -> None:
    peer.add("BAG-1", 7, "1290.50")
    order_id = peer.buy({"BAG-1": 2})
    ((order,),) = connected(peer, tools).orders_since(LONG_AGO)
    assert (order.order_id, order.state, order.currency) == (order_id, "UNSHIPPED", "GBP")
    (line,) = order.lines
    assert (line.sku, line.key, line.taken, line.kept, line.unit_price) == ("BAG-1", "BAG-1", 2, 2, Decimal("1290.50"))
    assert peer.stock("BAG-1") == 5


def quantities(amazon: Amazon, order_id: str | None) -> list[tuple[int, int]]:
    (order,) = amazon.read_orders([order_id or ""])
    return [(line.taken, line.kept) for line in order.lines]


def test_a_pending_order_holds_stock_and_is_no_sale_yet(peer: AmazonPeer, tools: Tools) -> None:
    peer.add("BAG-1", 7)
    order_id = peer.buy({"BAG-1": 2}, pending=True)
    amazon = connected(peer, tools)
    assert quantities(amazon, order_id) == [(2, 0)]
    (order,) = amazon.read_orders([order_id or ""])
    assert (order.currency, order.lines[0].unit_price) == ("GBP", Decimal(0))
    peer.confirm(order_id or "")
    assert quantities(amazon, order_id) == [(2, 2)]
    peer.ship(order_id or "")
    assert quantities(amazon, order_id) == [(2, 2)]


def test_a_cancelled_order_holds_and_sells_nothing(peer: AmazonPeer, tools: Tools) -> None:
    peer.add("BAG-1", 7)
    order_id = peer.buy({"BAG-1": 2})
    peer.cancel(order_id or "")
    assert quantities(connected(peer, tools), order_id) == [(0, 0)]
    assert peer.stock("BAG-1") == 7


def test_a_cancelled_line_of_an_order_that_lives_on_is_given_up_alone(peer: AmazonPeer, tools: Tools) -> None:
    peer.add("BAG-1", 7)
    peer.add("BAG-2", 7)
    order_id = peer.buy({"BAG-1": 2, "BAG-2": 1})
    peer.cancel_item(order_id or "", "BAG-1")
    assert quantities(connected(peer, tools), order_id) == [(0, 0), (1, 1)]


def test_an_order_fulfilled_by_amazon_is_a_sale_that_takes_none_of_our_stock(peer: AmazonPeer, tools: Tools) -> None:
    peer.add("FBA-1", 7, channel="AMAZON_EU")
    order_id = peer.buy({"FBA-1": 2})
    assert quantities(connected(peer, tools), order_id) == [(0, 2)]


def test_an_order_of_another_channel_that_amazon_only_ships_is_no_sale_here(peer: AmazonPeer, tools: Tools) -> None:
    peer.add("FBA-1", 7, channel="AMAZON_EU")
    order_id = peer.buy({"FBA-1": 2}) or ""
    peer.orders[order_id]["salesChannel"]["channelName"] = "NON_AMAZON"
    assert quantities(connected(peer, tools), order_id) == [(0, 0)]


def test_a_refund_leaves_the_order_as_it_is(peer: AmazonPeer, tools: Tools) -> None:
    peer.add("BAG-1", 7)
    order_id = peer.buy({"BAG-1": 2})
    peer.refund(order_id or "", "BAG-1", 1, restock=True)
    assert quantities(connected(peer, tools), order_id) == [(2, 2)]
    assert peer.stock("BAG-1") == 5


def test_orders_come_in_pages_and_the_oldest_change_first(peer: AmazonPeer, tools: Tools) -> None:
    peer.add("BAG-1", 500)
    ids = [peer.buy({"BAG-1": 1}) or "" for _ in range(230)]
    peer.ship(ids[0])
    pages = list(connected(peer, tools).orders_since(LONG_AGO))
    orders = [order for page in pages for order in page]
    assert [len(page) for page in pages] == [100, 100, 30]
    assert [order.order_id for order in orders] == [*ids[1:], ids[0]]
    assert peer.count("GET", "/orders/2026-01-01/orders") == 3


def test_only_orders_changed_since_then_are_asked_for(peer: AmazonPeer, tools: Tools, clock: JumpingClock) -> None:
    peer.add("BAG-1", 9)
    peer.buy({"BAG-1": 1})
    clock.sleep(3600)
    since = clock.now()
    later = peer.buy({"BAG-1": 1})
    local = since.astimezone(tz=datetime.strptime("+0900", "%z").tzinfo)
    assert [[order.order_id for order in page] for page in connected(peer, tools).orders_since(local)] == [[later]]
    assert list(connected(peer, tools).orders_since(since + timedelta(hours=1))) == []


def test_the_last_order_is_found_again_from_its_own_time(peer: AmazonPeer, tools: Tools) -> None:
    peer.add("BAG-1", 9)
    order_id = peer.buy({"BAG-1": 1})
    amazon = connected(peer, tools)
    ((order,),) = amazon.orders_since(LONG_AGO)
    ((again,),) = amazon.orders_since(order.updated_at)
    assert again.order_id == order_id


def test_unknown_orders_are_left_out(peer: AmazonPeer, tools: Tools) -> None:
    assert connected(peer, tools).read_orders(["111-1111111-1111111", "nonsense/1"]) == []


def test_the_country_is_asked_for_only_where_the_connection_says_so(peer: AmazonPeer, tools: Tools) -> None:
    peer.add("BAG-1", 9)
    order_id = peer.buy({"BAG-1": 1}) or ""
    assert connected(peer, tools).read_orders([order_id])[0].country is None
    assert connected(peer, tools, recipients=True).read_orders([order_id])[0].country == "GB"


def test_the_older_orders_api_is_never_called(peer: AmazonPeer, tools: Tools) -> None:
    peer.add("BAG-1", 9)
    order_id = peer.buy({"BAG-1": 1}) or ""
    amazon = connected(peer, tools)
    amazon.check()
    list(amazon.orders_since(LONG_AGO))
    amazon.read_orders([order_id])
    assert peer.count("GET", "/orders/v0") == 0


def test_a_token_that_ends_in_mid_run_is_renewed_and_the_write_is_sent_again(peer: AmazonPeer, tools: Tools) -> None:
    for sku in ("A", "B"):
        peer.add(sku, 1)
    amazon = connected(peer, tools)
    writes = amazon.write_stock([stock("A", 2), stock("B", 2)])
    assert next(writes)[0].outcome == Outcome.accepted
    peer.expire_tokens()
    assert next(writes)[0].outcome == Outcome.accepted
    assert (peer.count("POST", "/auth/o2/token"), peer.stock("B")) == (2, 2)


def test_a_token_answered_with_401_is_renewed_too(peer: AmazonPeer, tools: Tools) -> None:
    peer.add("A", 1)
    amazon = connected(peer, tools)
    refused = Reply(401, {"errors": [{"code": "Unauthorized", "message": "expired"}]})
    peer.faults.append(Fault("reply", matches=on("PATCH"), reply=refused))
    assert written(amazon, stock("A", 2))[0].outcome == Outcome.accepted
    assert peer.count("POST", "/auth/o2/token") == 2


def test_a_token_is_renewed_before_it_ends(peer: AmazonPeer, tools: Tools, clock: JumpingClock) -> None:
    peer.add("A", 1)
    amazon = connected(peer, tools)
    listed(amazon)
    clock.sleep(3590)
    listed(amazon)
    assert peer.count("POST", "/auth/o2/token") == 2
    assert peer.count("GET", "/listings/") == 2


def test_the_token_goes_into_amazons_header_without_a_prefix(peer: AmazonPeer, tools: Tools) -> None:
    listed(connected(peer, tools))
    (asked,) = (asked for asked in peer.asked if asked.method == "GET")
    assert asked.headers["x-amz-access-token"].startswith("Atza|")
    assert "authorization" not in asked.headers


def limiter_of(tools: Tools) -> MemoryLimiter:
    assert isinstance(tools.limiter, MemoryLimiter)
    return tools.limiter


def test_a_429_without_a_header_waits_for_the_operations_next_drop(
    peer: AmazonPeer, tools: Tools, clock: JumpingClock
) -> None:
    peer.rate_header = None
    peer.add("A", 1)
    peer.faults.append(Fault("reply", matches=on("PATCH"), reply=Reply(429, {"errors": []})))
    assert written(connected(peer, tools), stock("A", 2))[0].outcome == Outcome.accepted
    assert sum(clock.slept) == pytest.approx(1 / 5)
    assert (peer.count("PATCH"), peer.stock("A")) == (2, 2)


def test_a_drop_that_comes_in_minutes_is_not_waited_for(peer: AmazonPeer, tools: Tools, clock: JumpingClock) -> None:
    peer.rate_header = None
    peer.faults.append(Fault("reply", matches=on("GET", "/orders/"), reply=Reply(429, {"errors": []})))
    with pytest.raises(QuotaExhausted) as postponed:
        list(connected(peer, tools).orders_since(LONG_AGO))
    assert (postponed.value.until - clock.now()).total_seconds() == pytest.approx(1 / 0.0056)
    assert sum(clock.slept) == 0
    assert peer.count("GET", "/orders/") == 1


def test_a_429_with_a_rate_header_waits_by_the_live_rate(peer: AmazonPeer, tools: Tools, clock: JumpingClock) -> None:
    told = Reply(429, {"errors": []}, {"x-amzn-RateLimit-Limit": "0.5"})
    peer.faults.append(Fault("reply", matches=on("GET", "/orders/"), reply=told))
    assert list(connected(peer, tools).orders_since(LONG_AGO)) == []
    assert sum(clock.slept) == pytest.approx(2)


def test_a_429_with_retry_after_waits_as_long_as_it_says(peer: AmazonPeer, tools: Tools, clock: JumpingClock) -> None:
    peer.add("A", 1)
    told = Reply(429, {"errors": [{"code": "QuotaExceeded"}]}, {"Retry-After": "7"})
    peer.faults.append(Fault("reply", matches=on("PATCH"), reply=told))
    assert written(connected(peer, tools), stock("A", 2))[0].outcome == Outcome.accepted
    assert (clock.slept, peer.stock("A")) == ([7], 2)


def test_a_429_that_never_ends_is_reported(peer: AmazonPeer, tools: Tools) -> None:
    peer.add("A", 1)
    peer.faults.append(Fault("reply", 99, on("PATCH"), Reply(429, {"errors": []})))
    with pytest.raises(ChannelUnavailable):
        written(connected(peer, tools), stock("A", 2))
    assert peer.stock("A") == 1


def test_the_rate_that_an_answer_tells_counts_more_than_the_table(peer: AmazonPeer, tools: Tools) -> None:
    peer.rate_header = "10.0"
    listed(connected(peer, tools))
    assert limiter_of(tools).rates["amazon-uk/searchListingsItems"] == (10.0, 5)


@pytest.mark.parametrize("header", [None, "", "unlimited", "5,0", "nan", "inf", "0", "-1", "1e9"])
def test_a_rate_that_cannot_be_believed_changes_nothing(peer: AmazonPeer, tools: Tools, header: str | None) -> None:
    peer.rate_header = header
    listed(connected(peer, tools))
    assert limiter_of(tools).rates == {}
    assert live_rate({} if header is None else {"x-amzn-ratelimit-limit": header}) is None


def test_a_real_rate_limit_is_never_met_with_the_table_kept(clock: JumpingClock, tools: Tools) -> None:
    with AmazonPeer(clock=clock, enforce_rates=True) as peer:
        for number in range(60):
            peer.add(f"SKU-{number}", 1)
        amazon = connected(peer, tools)
        listed(amazon)
        written(amazon, *(stock(f"SKU-{number}", 2) for number in range(60)))
        assert (peer.count("PATCH"), peer.count("GET")) == (60, 3)
        assert sum(clock.slept) == pytest.approx(11, abs=0.2)


def test_a_real_rate_limit_that_others_use_too_is_waited_out(clock: JumpingClock) -> None:
    with AmazonPeer(clock=clock, enforce_rates=True) as peer:
        amazons = [connected(peer, memory_tools(clock)) for _ in range(2)]
        for number in range(12):
            peer.add(f"SKU-{number}", 1)
            assert written(amazons[number % 2], stock(f"SKU-{number}", 2))[0].outcome == Outcome.accepted
        assert all(peer.stock(f"SKU-{number}") == 2 for number in range(12))


def test_a_check_of_a_working_connection_finds_nothing_wrong(peer: AmazonPeer, tools: Tools) -> None:
    findings = connected(peer, tools, queue_url="https://sqs.eu-west-1.amazonaws.com/1/q").check()
    assert [(one.name, one.ok) for one in findings] == [
        ("token", True),
        ("listings", True),
        ("orders", True),
        ("notifications", True),
    ]


@pytest.mark.parametrize(
    ("operation", "name", "role"),
    [
        ("searchListingsItems", "listings", "Product Listing"),
        ("getOrder", "orders", "Inventory and Order Tracking"),
        ("getSubscription", "notifications", "Inventory and Order Tracking"),
    ],
)
def test_a_check_names_the_missing_role(peer: AmazonPeer, tools: Tools, operation: str, name: str, role: str) -> None:
    peer.denied.add(operation)
    findings = connected(peer, tools, queue_url="https://sqs.eu-west-1.amazonaws.com/1/q").check()
    (wrong,) = (one for one in findings if not one.ok)
    assert wrong.name == name
    assert role in (wrong.remedy or "")


def test_a_check_finds_a_missing_subscription(peer: AmazonPeer, tools: Tools) -> None:
    peer.faults.append(Fault("reply", matches=on("GET", "/notifications/"), reply=Reply(404, {"errors": []})))
    findings = connected(peer, tools, queue_url="https://sqs.eu-west-1.amazonaws.com/1/q").check()
    assert (findings[-1].ok, findings[-1].message) == (False, "nobody subscribed to ORDER_CHANGE")


@pytest.mark.parametrize("secret", ["client_secret", "refresh_token"])
def test_a_check_with_wrong_secrets_says_so_and_calls_nothing_else(peer: AmazonPeer, tools: Tools, secret: str) -> None:
    connection = peer.connection("amazon-uk")
    wrong = replace(connection, secrets={**connection.secrets, secret: "wrong"})
    (finding,) = connect(wrong, tools).check()
    assert (finding.name, finding.ok) == ("token", False)
    assert finding.remedy
    assert "wrong" not in finding.message
    assert len(peer.asked) == 1


def test_a_connection_that_lacks_something_is_refused_by_name(peer: AmazonPeer, tools: Tools) -> None:
    whole = peer.connection("amazon-uk")
    lacking = Connection("amazon-uk", "amazon", peer.url, {}, whole.secrets)
    with pytest.raises(ChannelError, match="options seller_id, marketplace_id"):
        connect(lacking, tools)
    with pytest.raises(ChannelError, match="secrets client_id, client_secret, refresh_token"):
        connect(replace(whole, secrets={}), tools)
    with pytest.raises(ChannelError, match="auth_url"):
        connect(replace(whole, options={**whole.options, "auth_url": "https://api.amazon.com.example/o2"}), tools)


def test_every_operation_has_a_rate() -> None:
    assert all(rate.per_second > 0 and rate.burst >= 1 for rate in RATES.values())
