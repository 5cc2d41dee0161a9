"""Probes and counters."""

from luxauto_pipelines.gateway.app import BASE
from tests.luxauto_pipelines.gateway.conftest import Peer


def test_a_healthy_gateway_is_up_and_ready(production: Peer) -> None:
    for base in ("", BASE):
        assert production.client.get(f"{base}/healthz").json() == {"status": "ok"}
        ready = production.client.get(f"{base}/readyz")
        assert ready.json() == {"status": "ready", "checks": {"store": "ok", "code_location": "ok"}}


def test_a_store_that_is_not_migrated_is_not_ready(production: Peer) -> None:
    with production.books.store.write("test") as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0003'")
    answer = production.client.get("/readyz")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "not migrated" in answer.json()["detail"]
    assert production.client.get("/healthz").status_code == 200


def test_a_store_that_is_away_is_not_ready(production: Peer) -> None:
    with production.books.store.write("test") as connection:
        connection.exec_driver_sql("DROP TABLE alembic_version")
    answer = production.client.get("/readyz")
    assert answer.status_code == 503
    assert [error["pointer"] for error in answer.json()["errors"]] == ["store"]


def test_a_missing_instance_is_not_ready(production: Peer) -> None:
    (production.books.settings.dagster_home / "dagster.yaml").unlink()
    answer = production.client.get("/readyz")
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (503, "code_location")


def test_counters_are_for_those_with_a_token(production: Peer) -> None:
    assert production.client.get("/metrics").status_code == 401
    answer = production.client.get("/metrics", headers=production.bearer("read_only"))
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    assert "luxauto_http_requests_total" in answer.text
