"""The finance routes: every field of the contract, the seed's requests as they are written, and what is refused.

Does not belong here: what the agent does to the rows (`tests/luxauto_pipelines/agents`).
"""

import json
from typing import Any

import dagster as dg
import pytest

from luxauto_pipelines.gateway.app import BASE
from resources.store.bulk import fetch
from tests.luxauto_pipelines.gateway.conftest import Peer

# As the brand's own description of the service has it.
SEED_SYNC = {
    "channel": "online_store",
    "items": [{"sku": "LUX-BAG-001", "quantity_available": 50, "retail_price": 1299.99, "cost_price": 650.00}],
}
SALE = {
    "type": "sale",
    "amount": 1299.99,
    "currency": "EUR",
    "channel": "online_store",
    "order_id": "A-1001",
    "customer_id": "C-1",
    "payment_method": "card",
    "line_items": [{"sku": "LUX-BAG-001", "quantity": 1, "unit_price": 1299.99}],
    "subtotal": 1299.99,
    "tax_amount": 0,
    "shipping_amount": 0,
    "discount_amount": 0,
    "metadata": {"campaign": "spring"},
}
PAN = "4111111111111111"


def everything(peer: Peer) -> str:
    """Every row of every table, as text."""
    tables = "SELECT name FROM sqlite_master WHERE type = 'table'"
    if not peer.books.store.is_sqlite:
        tables = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
    with peer.books.read() as (connection, _):
        names = [name for (name,) in fetch(connection, tables, {})]
        return json.dumps([fetch(connection, f'SELECT * FROM "{name}"', {}) for name in names], default=str)


def count(peer: Peer, table: str) -> int:
    with peer.books.read() as (connection, _):
        return fetch(connection, f"SELECT count(*) FROM {table}", {})[0][0]


def test_the_seeds_sync_works_as_it_is_written(development: Peer) -> None:
    answer = development.post("/finance/inventory/sync", json=SEED_SYNC)
    assert answer.status_code == 200
    body = answer.json()
    shown = {
        name: body[name] for name in ("success", "channel", "synced_items", "updated_items", "errors", "error_details")
    }
    assert shown == {
        "success": True,
        "channel": "online_store",
        "synced_items": 1,
        "updated_items": 0,
        "errors": 0,
        "error_details": [],
    }
    assert body["timestamp"].endswith("Z") or "+" in body["timestamp"]
    again = development.post("/finance/inventory/sync", json=SEED_SYNC).json()
    assert (again["synced_items"], again["updated_items"], again["movements"]) == (0, 1, 0)


def test_a_bad_item_is_told_beside_the_good_ones(development: Peer) -> None:
    body = {"channel": "shopify", "items": [{"sku": "A"}, {"sku": "B", "quantity_available": -3}]}
    answer = development.post("/finance/inventory/sync", json=body).json()
    assert (answer["synced_items"], answer["errors"]) == (1, 1)
    assert answer["error_details"][0]["item"] == "B"
    assert "quantity_available" in answer["error_details"][0]["error"]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"items": [{"sku": "A"}]}, "#/channel"),
        ({"channel": "souk", "items": [{"sku": "A"}]}, "#/channel"),
        ({"channel": "shopify"}, "#/items"),
        ({"channel": "shopify", "items": []}, "#/items"),
        ({"channel": "shopify", "items": {"sku": "A"}}, "#/items"),
        ({"channel": "shopify", "items": [{"sku": "A"}] * 10_001}, "#/items"),
        ({"channel": "shopify", "items": [{"sku": "A"}], "extra": 1}, "#/extra"),
        ({"channel": "shopify", "items": [{"sku": "A", "extra": 1}]}, "#/items"),
        ({"channel": "shopify", "items": [{"sku": ""}]}, "#/items/0/sku"),
        ({"channel": "shopify", "items": [{"sku": "A", "name": PAN}]}, "#/items/0/name"),
    ],
)
def test_a_sync_that_is_not_valid_names_the_field(development: Peer, body: dict[str, Any], pointer: str) -> None:
    answer = development.post("/finance/inventory/sync", json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["success"] is False
    assert answer.json()["errors"][0]["pointer"] == pointer
    assert count(development, "skus") == 0


def test_a_sale_is_recorded_once_with_the_contracts_answer(development: Peer) -> None:
    first = development.post("/finance/transactions/record", json=SALE)
    assert first.status_code == 200
    body = first.json()
    assert set(body) == {"success", "transaction_id", "type", "amount", "currency", "status", "created_at"}
    assert (body["success"], body["type"], body["amount"], body["currency"]) == (True, "sale", 1299.99, "EUR")
    assert development.post("/finance/transactions/record", json=SALE).json() == body
    assert count(development, "transactions") == 1


def test_type_and_currency_have_the_contracts_defaults(development: Peer) -> None:
    body = development.post("/finance/transactions/record", json={"amount": 5}).json()
    assert (body["type"], body["currency"]) == ("sale", "USD")


@pytest.mark.parametrize("type", ["sale", "refund", "purchase", "adjustment", "transfer", "expense", "revenue"])
def test_every_type_of_the_contract_is_taken(development: Peer, type: str) -> None:
    answer = development.post("/finance/transactions/record", json={"type": type, "amount": "12.50", "currency": "EUR"})
    assert (answer.status_code, answer.json()["type"], answer.json()["amount"]) == (200, type, 12.5)


def test_an_idempotency_key_records_once_where_there_is_no_order(development: Peer) -> None:
    body = {"amount": 10, "currency": "EUR"}
    answers = [
        development.post("/finance/transactions/record", json=body, headers={"Idempotency-Key": "once"})
        for _ in range(2)
    ]
    assert answers[0].json() == answers[1].json()
    other = development.post("/finance/transactions/record", json={"amount": 11}, headers={"Idempotency-Key": "once"})
    assert other.status_code == 409
    assert count(development, "transactions") == 1


def test_another_amount_for_the_same_order_is_a_conflict(development: Peer) -> None:
    body = {"amount": 10, "currency": "EUR", "order_id": "A"}
    development.post("/finance/transactions/record", json=body)
    answer = development.post("/finance/transactions/record", json={**body, "amount": 11})
    assert answer.status_code == 409
    assert "10.00 EUR" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"amount": 0}, "#/amount"),
        ({"amount": None}, "#/amount"),
        ({"amount": 1299.98}, "#/amount"),
        ({"type": "theft"}, "#/type"),
        ({"currency": "XXL"}, "#/currency"),
        ({"channel": "souk"}, "#/channel"),
        ({"line_items": [{"sku": "A"}]}, "#/line_items/0/quantity"),
        ({"occurred_at": "yesterday"}, "#/occurred_at"),
        ({"occurred_at": "2026-01-01T10:00:00"}, "#/occurred_at"),
        ({"unknown": 1}, "#/unknown"),
        ({"metadata": []}, "#/metadata"),
    ],
)
def test_a_transaction_that_is_not_valid_names_the_field(
    development: Peer, change: dict[str, Any], pointer: str
) -> None:
    answer = development.post("/finance/transactions/record", json={**SALE, **change})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == pointer
    assert count(development, "transactions") == 0


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000, b"\xff", b'{"amount": NaN}'])
def test_a_body_that_is_no_json_is_no_fault_of_the_gateway(development: Peer, content: bytes) -> None:
    headers = {"content-type": "application/json"}
    answer = development.post("/finance/transactions/record", content=content, headers=headers)
    assert answer.status_code in (400, 413, 422)
    assert answer.json()["success"] is False


@pytest.mark.parametrize(
    "change",
    [
        {"metadata": {"card": PAN}},
        {"metadata": {"note": f"card {PAN[:4]} {PAN[4:8]} {PAN[8:12]} {PAN[12:]}"}},
        {"metadata": {PAN: 1}},
        {"payment_method": PAN},
        {"customer_id": PAN},
        {"order_id": PAN},
        {"metadata": {"cvv": "737"}},
        {"card_number": PAN},
    ],
)
def test_a_card_number_is_refused_and_found_nowhere(
    development: Peer, capsys: pytest.CaptureFixture[str], change: dict[str, Any]
) -> None:
    headers = {"Idempotency-Key": "with-a-card"}
    answer = development.post("/finance/transactions/record", json={**SALE, **change}, headers=headers)
    assert answer.status_code == 422
    logged = capsys.readouterr()
    for place in (answer.text, everything(development), logged.out, logged.err):
        assert PAN not in place
        assert PAN[8:12] + " " + PAN[12:] not in place
    assert count(development, "transactions") == 0


def test_the_audit_log_says_who_recorded_from_where(production: Peer) -> None:
    headers = {**production.bearer("admin", "ada"), "X-Request-Id": "request-0001"}
    assert production.post("/finance/transactions/record", json=SALE, headers=headers).status_code == 200
    with production.books.read() as (connection, _):
        query = "SELECT actor, action, subject, request_id, address FROM audit_log WHERE action = 'transaction.record'"
        ((actor, _, subject, request_id, address),) = fetch(connection, query, {})
    assert (actor, subject, request_id, bool(address)) == ("ada", "txn-1", "request-0001", True)


@pytest.mark.parametrize("role", ["developer", "api_user", "read_only"])
def test_only_an_admin_writes_the_books(production: Peer, role: str) -> None:
    for path, body in (("/finance/inventory/sync", SEED_SYNC), ("/finance/transactions/record", SALE)):
        assert production.post(path, json=body, headers=production.bearer(role)).status_code == 403
        assert production.post(path, json=body).status_code == 401
    assert count(production, "transactions") == 0


def test_a_forecast_of_an_item_without_sales_says_so(development: Peer) -> None:
    development.post("/finance/inventory/sync", json=SEED_SYNC)
    answer = development.get("/finance/forecast/LUX-BAG-001?forecast_period_days=7")
    assert answer.status_code == 200
    body = answer.json()
    contract = {
        "forecast_id", "item_id", "sku", "predicted_demand", "confidence_interval", "confidence_score",
        "recommended_order_quantity", "forecast_period", "generated_at", "model", "daily",
    }  # fmt: skip
    assert contract <= set(body)
    assert (body["model"], body["predicted_demand"], body["daily"]) == ("no_history", None, [])
    tag = answer.headers["etag"]
    again = development.get("/finance/forecast/LUX-BAG-001?forecast_period_days=7", headers={"If-None-Match": tag})
    assert again.status_code == 304


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/finance/forecast/NOPE", 404),
        ("/finance/forecast/NOPE?forecast_period_days=0", 422),
        ("/finance/forecast/NOPE?forecast_period_days=366", 422),
        ("/finance/forecast/NOPE?forecast_period_days=soon", 422),
        ("/finance/reports/financial?start_date=2026-02-01&end_date=2026-01-01", 422),
        ("/finance/reports/financial?start_date=soon", 422),
        ("/finance/reports/financial?currency=XXL", 422),
    ],
)
def test_reads_that_are_not_possible_say_why(development: Peer, path: str, status: int) -> None:
    answer = development.get(path)
    assert answer.status_code == status
    assert answer.json()["success"] is False


def test_a_forecast_that_waits_for_a_refresh_is_a_503_that_says_so(development: Peer) -> None:
    development.post("/finance/transactions/record", json=SALE)
    answer = development.get("/finance/forecast/LUX-BAG-001")
    assert answer.status_code == 503
    assert "luxauto refresh" in answer.json()["detail"]
    assert "retry-after" in answer.headers


def test_a_report_holds_what_was_recorded_a_moment_ago(development: Peer) -> None:
    development.post("/finance/inventory/sync", json=SEED_SYNC)
    development.post("/finance/transactions/record", json=SALE)
    answer = development.get("/finance/reports/financial")
    body = answer.json()
    contract = {
        "total_revenue", "total_refunds", "net_revenue", "transaction_count", "average_order_value", "cost_of_goods_sold",
        "gross_profit", "gross_margin", "operating_expenses", "net_profit", "roi", "tax_collected",
    }  # fmt: skip
    assert contract <= set(body["summary"])
    assert set(body["period"]) == {"start_date", "end_date"}
    assert (body["summary"]["total_revenue"], body["summary"]["gross_profit"]) == (1299.99, 649.99)
    assert body["revenue_by_channel"] == {"online_store": 1299.99}
    assert body["top_selling_items"] == [{"sku": "LUX-BAG-001", "quantity_sold": 1, "revenue": 1299.99}]
    tag = {"If-None-Match": answer.headers["etag"]}
    assert development.get("/finance/reports/financial", headers=tag).status_code == 304
    development.post("/finance/transactions/record", json={**SALE, "order_id": "A-1002"})
    assert development.get("/finance/reports/financial", headers=tag).status_code == 200


def test_days_of_a_report_may_be_instants(development: Peer) -> None:
    query = "start_date=2026-01-01T00:00:00%2B01:00&end_date=2026-01-31T22:59:59Z"
    period = development.get(f"/finance/reports/financial?{query}").json()["period"]
    assert period == {"start_date": "2026-01-01", "end_date": "2026-01-31"}


def test_the_status_has_the_contracts_shape(development: Peer) -> None:
    body = development.get("/finance/status").json()
    assert body["available"] is True
    assert set(body["status"]) == {
        "agent_name", "version", "inventory", "transactions", "alerts", "performance", "circuit_breakers",
    }  # fmt: skip
    assert {"total_items", "in_stock", "low_stock", "out_of_stock"} <= set(body["status"]["inventory"])


def test_dagster_sees_what_requests_wrote(development: Peer) -> None:
    development.post("/finance/inventory/sync", json=SEED_SYNC)
    for number in range(3):
        development.post("/finance/transactions/record", json={**SALE, "order_id": f"A-{number}"})
    # Leaving the application sends what was gathered.
    development.client.__exit__(None, None, None)
    with dg.DagsterInstance.get() as instance:
        for asset, rows in (("transactions", 3), ("stock_movements", 1), ("catalog", 1)):
            events = instance.fetch_observations(dg.AssetKey(asset), limit=10).records
            told = [event.asset_observation.metadata["rows"].value for event in events if event.asset_observation]
            assert sum(int(str(number)) for number in told) == rows
            assert not instance.fetch_materializations(dg.AssetKey(asset), limit=1).records
    development.client.__enter__()


def test_the_documentation_names_every_request_and_answer(development: Peer) -> None:
    document = development.client.get("/openapi.json").json()
    text = json.dumps(document)
    references = {part.split('"')[0] for part in text.split('"#/components/schemas/')[1:]}
    assert references <= set(document["components"]["schemas"])
    record = document["paths"][f"{BASE}/finance/transactions/record"]["post"]
    body = record["requestBody"]["content"]["application/json"]["schema"]
    assert {"type", "amount", "currency", "line_items", "metadata"} <= set(body["properties"])
    assert "422" in record["responses"]
