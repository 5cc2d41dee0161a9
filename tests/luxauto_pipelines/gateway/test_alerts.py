"""Alerts over HTTP: lists and pages, moves and who made them."""

import base64
from typing import Any

import pytest

from resources.store.brands import channel_ids
from tests.luxauto_pipelines.gateway.conftest import Peer, add_alert, rows


def listed(peer: Peer, query: str = "") -> list[str]:
    answer = peer.get(f"/alerts{query}", headers=peer.bearer("api_user"))
    assert answer.status_code == 200, answer.text
    return [alert["subject"] for alert in answer.json()["alerts"]]


def test_an_alert_is_acknowledged_then_resolved_and_both_are_recorded(production: Peer) -> None:
    alert = add_alert(production.books)
    first = production.post(f"/alerts/{alert}/acknowledge", headers=production.bearer(subject="anna"))
    assert (first.status_code, first.json()["alert"]["status"]) == (200, "acknowledged")
    assert first.json()["alert"]["acknowledged_by"] == "anna"
    second = production.post(f"/alerts/{alert}/resolve", headers=production.bearer(subject="ben"))
    shown = second.json()["alert"]
    assert (shown["status"], shown["resolved_by"], shown["details"]) == ("resolved", "ben", {"n": 1})
    assert shown["opened_at"] < shown["acknowledged_at"] < shown["resolved_at"]
    assert shown["resolved_at"].endswith("Z")
    record = rows(production.books, "SELECT actor, action, subject, address FROM audit_log ORDER BY id")
    assert record == [
        ("anna", "alert.acknowledged", str(alert), "testclient"),
        ("ben", "alert.resolved", str(alert), "testclient"),
    ]
    ids = rows(production.books, "SELECT request_id FROM audit_log ORDER BY id")
    assert ids == [(first.headers["x-request-id"],), (second.headers["x-request-id"],)]


@pytest.mark.parametrize("moves", [["resolve", "resolve"], ["resolve", "acknowledge"], ["acknowledge", "acknowledge"]])
def test_a_move_that_the_state_does_not_allow_is_a_409(production: Peer, moves: list[str]) -> None:
    alert = add_alert(production.books)
    answers = [production.post(f"/alerts/{alert}/{move}", headers=production.bearer()) for move in moves]
    assert [answer.status_code for answer in answers] == [200, 409]
    assert len(rows(production.books, "SELECT 1 FROM audit_log")) == 1


@pytest.mark.parametrize("alert", ["999999", "0", "-1", "x", "9" * 30, "%C2%B2", "1;DROP", "1%2F2"])
def test_an_unknown_alert_is_a_404(production: Peer, alert: str) -> None:
    headers = production.bearer()
    assert production.get(f"/alerts/{alert}", headers=headers).status_code == 404
    assert production.post(f"/alerts/{alert}/resolve", headers=headers).status_code == 404


def test_alerts_come_newest_first_and_in_pages_without_gaps(production: Peer) -> None:
    for number in range(7):
        add_alert(production.books, f"s{number}")
    seen: list[str] = []
    cursor, pages = None, 0
    while cursor is not None or not pages:
        query = "?limit=3" + (f"&cursor={cursor}" if cursor else "")
        page = production.get(f"/alerts{query}", headers=production.bearer()).json()
        seen += [alert["subject"] for alert in page["alerts"]]
        cursor, pages = page["next_cursor"], pages + 1
        # One that comes in between does not shift the pages.
        add_alert(production.books, f"late-{pages}")
    assert seen == ["s6", "s5", "s4", "s3", "s2", "s1", "s0"]
    assert pages == 3


def test_alerts_are_filtered(production: Peer) -> None:
    add_alert(production.books, "one")
    add_alert(production.books, "two", kind="low_stock")
    add_alert(production.books, "three", status="resolved")
    assert listed(production) == ["three", "two", "one"]
    assert listed(production, "?status=open") == ["two", "one"]
    assert listed(production, "?kind=low_stock&status=open") == ["two"]
    assert listed(production, "?sku=none") == []


@pytest.mark.parametrize(
    "query", ["?limit=0", "?limit=201", "?limit=x", "?status=lost", "?kind=", "?cursor=", "?cursor=garbage", "?sku="]
)
def test_a_query_that_is_not_valid_is_a_422(production: Peer, query: str) -> None:
    answer = production.get(f"/alerts{query}", headers=production.bearer())
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"].startswith("query/")


def encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "cursor",
    [encoded(t) for t in ("audit:5", "alert:-1", "alert:05", f"alert:{2**63}", "alert:", "alert:1 OR 1=1")]
    + ["%00", "é", "=", "a" * 128, encoded("alert:5") + "="],
)
def test_a_cursor_of_another_list_or_of_somebodys_own_making_is_a_422(production: Peer, cursor: str) -> None:
    assert production.get(f"/alerts?cursor={cursor}", headers=production.bearer()).status_code == 422


def test_a_list_that_did_not_change_is_not_sent_again(production: Peer) -> None:
    alert = add_alert(production.books)
    headers = production.bearer()

    def ask(tag: str) -> Any:
        return production.get("/alerts", headers={**headers, "If-None-Match": tag})

    first = ask('"none"')
    assert (first.status_code, first.headers["cache-control"]) == (200, "private, no-cache")
    for tag in (first.headers["etag"], f'"other", W/{first.headers["etag"]}', "*"):
        again = ask(tag)
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    production.post(f"/alerts/{alert}/resolve", headers=headers)
    assert ask(first.headers["etag"]).status_code == 200


def test_another_brands_alerts_are_not_there(production: Peer) -> None:
    with production.books.write() as (connection, _):
        connection.exec_driver_sql(
            "INSERT INTO brands (slug, name, base_currency, timezone, created_at) "
            "VALUES ('other', 'Other', 'EUR', 'UTC', '2026-01-01 00:00:00.000000')"
        )
    other = rows(production.books, "SELECT id FROM brands WHERE slug = 'other'")[0][0]
    with production.books.write() as (connection, _):
        channel_ids(connection, other, ["shopify"])
    alert = add_alert(production.books, "theirs", brand_id=other)
    assert listed(production) == []
    headers = production.bearer()
    assert production.get(f"/alerts/{alert}", headers=headers).status_code == 404
    assert production.post(f"/alerts/{alert}/resolve", headers=headers).status_code == 404
