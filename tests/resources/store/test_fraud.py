"""Reviews of suspicious transactions and held orders, on both databases. Does not belong here: what is suspicious."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from resources.store.alerts import AlertFilter, list_alerts
from resources.store.audit import read_page, verify
from resources.store.brand_store import BrandStore
from resources.store.brands import channel_ids
from resources.store.bulk import as_json, insert_row
from resources.store.fraud import (
    ORDERS,
    FraudReviewError,
    ReviewRequest,
    decide,
    find_review,
    held_orders,
    hold_order,
    is_held,
    read_reviews,
    read_verdicts,
    release_order,
    request_reviews,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def wanted(subject: str, score: float | None = 0.9, **more: Any) -> ReviewRequest:
    return ReviewRequest(subject, NOON, score, ["amount is 9 times the usual one"], **more)


def open_alerts(books: BrandStore) -> dict[str, dict[str, Any]]:
    with books.read() as (connection, brand):
        rows = list_alerts(connection, brand, AlertFilter(kind="fraud"), None, 100)
    return {row["subject"]: as_json(row["details"]) for row in rows if row["status"] != "resolved"}


def audited(books: BrandStore) -> list[tuple[str, str, str]]:
    with books.read() as (connection, brand):
        assert verify(connection, brand).fault is None
        rows = read_page(connection, brand, None, 100)
    return [(row["action"], row["subject"], row["actor"]) for row in reversed(rows)]


@pytest.fixture
def order(books: BrandStore) -> tuple[str, str]:
    """An order of the house."""
    with books.write() as (connection, brand):
        channel = channel_ids(connection, brand, ["online_store"])["online_store"]
        row = {"brand_id": brand, "channel_id": channel, "number": "M/1", "currency": "EUR"}
        insert_row(connection, "orders", {**row, "placed_at": NOON, "local_date": date(2026, 3, 1)})
    return "online_store", "M/1"


def test_a_request_is_queued_once_audited_and_told_by_one_alert(books: BrandStore) -> None:
    requests = [wanted("17", 0.7, amount_minor=1250, currency="EUR"), wanted("18", 0.9, rules=("burst",), model="m1")]
    with books.write() as (connection, brand):
        assert request_reviews(connection, brand, "payments", requests, "ann") == ["17", "18"]
        assert request_reviews(connection, brand, "payments", requests, "ann") == []
        assert request_reviews(connection, brand, "other feed", requests[:1], "ann") == ["17"]
    with books.read() as (connection, brand):
        queue = read_reviews(connection, brand, source="payments")
    assert [(r.subject, r.score, r.rules, r.model, r.verdict) for r in queue] == [
        ("18", 0.9, ["burst"], "m1", None),
        ("17", 0.7, [], None, None),
    ]
    assert (queue[1].amount_minor, queue[1].currency, queue[1].occurred_at) == (1250, "EUR", NOON)
    assert [row[:2] for row in audited(books)] == [
        ("fraud.request_review", "payments"),
        ("fraud.request_review", "other feed"),
    ]
    alerts = open_alerts(books)
    assert list(alerts) == ["review queue"]
    assert alerts["review queue"]["waiting"] == 3
    assert alerts["review queue"]["first"][0]["subject"] == "18"


def test_a_verdict_is_a_label_and_may_be_corrected(books: BrandStore) -> None:
    with books.write() as (connection, brand):
        request_reviews(connection, brand, "payments", [wanted("17"), wanted("18"), wanted("19")], "ann")
        decided = decide(connection, brand, "payments", "17", "legit", "bob", "called the client")
        decide(connection, brand, "payments", "18", "fraud", "bob")
        corrected = decide(connection, brand, "payments", "17", "fraud", "cid")
    assert (decided.verdict, decided.decided_by, decided.note) == ("legit", "bob", "called the client")
    assert (corrected.verdict, corrected.decided_by, corrected.note) == ("fraud", "cid", None)
    with books.read() as (connection, brand):
        assert read_verdicts(connection, brand, "payments").rows() == [("17", 1), ("18", 1)]
        assert [r.subject for r in read_reviews(connection, brand)] == ["19"]
        assert {r.subject for r in read_reviews(connection, brand, state="decided")} == {"17", "18"}
    assert open_alerts(books)["review queue"]["waiting"] == 1
    assert [row for row in audited(books) if row[0] == "fraud.review"] == [
        ("fraud.review", "17", "bob"),
        ("fraud.review", "18", "bob"),
        ("fraud.review", "17", "cid"),
    ]


def test_the_alert_goes_when_nobody_waits_and_comes_back_with_the_next(books: BrandStore) -> None:
    with books.write() as (connection, brand):
        request_reviews(connection, brand, "payments", [wanted("17")], "ann")
        decide(connection, brand, "payments", "17", "legit", "bob")
    assert open_alerts(books) == {}
    with books.write() as (connection, brand):
        # What was decided does not come back.
        assert request_reviews(connection, brand, "payments", [wanted("17"), wanted("20")], "ann") == ["20"]
    assert open_alerts(books)["review queue"]["waiting"] == 1


def test_what_is_not_in_the_queue_and_no_verdict_are_refused(books: BrandStore) -> None:
    with books.write() as (connection, brand):
        request_reviews(connection, brand, "payments", [wanted("17", None)], "ann")
        with pytest.raises(FraudReviewError, match="99 of payments is not in the queue"):
            decide(connection, brand, "payments", "99", "fraud", "bob")
        with pytest.raises(FraudReviewError, match="may be fraud or legit"):
            decide(connection, brand, "payments", "17", "maybe", "bob")
        assert find_review(connection, brand, "payments", "17").verdict is None


def test_a_held_order_is_seen_told_and_released(books: BrandStore, order: tuple[str, str]) -> None:
    with books.write() as (connection, brand):
        assert hold_order(connection, brand, *order, "a burst", "ann")
        assert not hold_order(connection, brand, *order, "again", "ann")
        assert is_held(connection, brand, *order)
        assert [(h.channel, h.order_number, h.reason, h.held_by) for h in held_orders(connection, brand)] == [
            (*order, "a burst", "ann")
        ]
    assert open_alerts(books)["online_store/M/1"]["reason"] == "a burst"
    with books.write() as (connection, brand):
        release_order(connection, brand, *order, "bob", "it was a gift")
        assert not is_held(connection, brand, *order)
        with pytest.raises(FraudReviewError, match="is not held"):
            release_order(connection, brand, *order, "bob")
        assert hold_order(connection, brand, *order, "once more", "ann")
    assert [row[0] for row in audited(books)] == ["order.hold", "order.release", "order.hold"]


def test_only_an_order_that_is_known_is_held(books: BrandStore, order: tuple[str, str]) -> None:
    with books.write() as (connection, brand), pytest.raises(FraudReviewError, match="no order M/2 of channel online"):
        hold_order(connection, brand, "online_store", "M/2", "a burst", "ann")
    assert open_alerts(books) == {}


@pytest.mark.parametrize(("verdict", "held"), [("legit", False), ("fraud", True)])
def test_the_verdict_legit_lets_the_order_go_and_fraud_keeps_it(
    books: BrandStore, order: tuple[str, str], verdict: str, held: bool
) -> None:
    with books.write() as (connection, brand):
        request_reviews(connection, brand, ORDERS, [wanted("online_store/M/1")], "ann")
        hold_order(connection, brand, *order, "a burst", "ann")
        decide(connection, brand, ORDERS, "online_store/M/1", verdict, "bob")
        assert is_held(connection, brand, *order) == held
    assert ("online_store/M/1" in open_alerts(books)) == held


def test_a_deed_that_fails_leaves_nothing(books: BrandStore) -> None:
    with pytest.raises(RuntimeError), books.write() as (connection, brand):
        request_reviews(connection, brand, "payments", [wanted("17")], "ann")
        raise RuntimeError
    assert open_alerts(books) == {}
    with books.read() as (connection, brand):
        assert read_reviews(connection, brand, state="all") == []
