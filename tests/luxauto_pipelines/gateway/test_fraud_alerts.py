"""What is suspicious, as `/alerts` tells it."""

from datetime import UTC, date, datetime

from resources.store.brands import channel_ids
from resources.store.bulk import insert_row
from resources.store.fraud import ORDERS, ReviewRequest, hold_order, request_reviews
from tests.luxauto_pipelines.gateway.conftest import Peer

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_a_held_order_and_the_review_queue_are_alerts_of_the_kind_fraud(production: Peer) -> None:
    with production.books.write() as (connection, brand):
        channel = channel_ids(connection, brand, ["online_store"])["online_store"]
        order = {"brand_id": brand, "channel_id": channel, "number": "M-1", "currency": "EUR"}
        insert_row(connection, "orders", {**order, "placed_at": NOON, "local_date": date(2026, 3, 1)})
        asked = ReviewRequest("online_store/M-1", NOON, 0.9, ["22 transactions of one customer within an hour"])
        request_reviews(connection, brand, ORDERS, [asked], "ann")
        hold_order(connection, brand, "online_store", "M-1", "a burst", "ann")
    answer = production.get("/alerts?kind=fraud&status=open", headers=production.bearer())
    assert answer.status_code == 200, answer.text
    found = {alert["subject"]: alert["details"] for alert in answer.json()["alerts"]}
    assert found["online_store/M-1"]["reason"] == "a burst"
    assert found["review queue"]["waiting"] == 1
    assert found["review queue"]["first"][0]["score"] == 0.9
