"""Reports by name through the gateway: of this moment, drilled down to entries, and what is refused.

Does not belong here: what a report says (`tests/assets/finance/reports`).
"""

from typing import Any

import pytest

from assets.finance.reports.registry import REPORTS
from tests.luxauto_pipelines.gateway.conftest import Peer

SALE = {
    "type": "sale",
    "amount": 1320.0,
    "currency": "EUR",
    "channel": "online_store",
    "order_id": "A-1",
    "occurred_at": "2026-02-03T10:00:00Z",
    "line_items": [{"sku": "BAG", "quantity": 1, "unit_price": 1100.0}],
    "subtotal": 1100.0,
    "tax_amount": 200.0,
    "shipping_amount": 20.0,
    "discount_amount": 0,
}
DAYS = "start_date=2026-02-01&end_date=2026-02-28"


def cells(answer: Any) -> dict[str, dict[str, Any]]:
    return {row["key"]: row["cells"] for row in answer.json()["rows"] if row["kind"] != "heading"}


def test_a_report_holds_what_was_recorded_a_moment_ago(development: Peer) -> None:
    path = f"/finance/reports/profit_and_loss?{DAYS}"
    empty = development.get(path)
    assert cells(empty)["result"] == {"2026-02": 0, "total": 0}
    development.post("/finance/transactions/record", json=SALE)
    expense = {"type": "expense", "amount": 100.0, "currency": "EUR", "occurred_at": "2026-02-05T10:00:00Z"}
    assert development.post("/finance/transactions/record", json=expense).status_code == 200
    answer = development.get(path, headers={"If-None-Match": empty.headers["etag"]})
    assert answer.status_code == 200
    found = cells(answer)
    assert (found["4000"]["total"], found["4300"]["total"], found["6500"]["total"]) == (1100, 20, -100)
    assert found["result"]["2026-02"] == 1020
    tag = {"If-None-Match": answer.headers["etag"]}
    assert development.get(path, headers=tag).status_code == 304


def test_hyphens_are_as_good_as_underscores_and_columns_can_be_chosen(development: Peer) -> None:
    development.post("/finance/transactions/record", json=SALE)
    answer = development.get(f"/finance/reports/revenue-waterfall?{DAYS}&by=channel")
    assert [column["key"] for column in answer.json()["columns"]] == ["online_store", "total"]
    assert cells(answer)["margin"]["total"] is None, "the cost of the bag is unknown"
    compared = development.get(f"/finance/reports/profit-and-loss?{DAYS}&compare=previous_constant")
    assert cells(compared)["4000"] == {
        "current": 1100, "before": 0, "change": 1100, "change_rate": None,
        "constant": 1100, "constant_change": 1100, "constant_rate": None,
    }  # fmt: skip


def test_a_cell_is_explained_down_to_its_lines(development: Peer) -> None:
    development.post("/finance/transactions/record", json=SALE)
    body = development.get(f"/finance/reports/profit_and_loss/explain?{DAYS}&cell=4000:2026-02").json()
    assert (body["total"], body["entry_count"], body["order_line_count"]) == (1100, 1, 1)
    (entry,) = body["entries"]
    assert (entry["order_number"], entry["value"], entry["account"]) == ("A-1", 1100, "4000.online_store")
    assert entry["entry_id"] is None, "the journal gets it at the day's close"
    assert [line["sku"] for line in body["order_lines"]] == ["BAG"]
    whole = development.get(f"/finance/reports/balance_sheet/explain?{DAYS}&cell=total_assets:2026-02-28").json()
    assert whole["total"] == sum(entry["value"] for entry in whole["entries"]) == 1320


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/finance/reports/profits", 404, "there are profit_and_loss, balance_sheet"),
        (f"/finance/reports/profit_and_loss/explain?{DAYS}&cell=9999:total", 404, "has no row '9999'"),
        (f"/finance/reports/profit_and_loss/explain?{DAYS}&cell=nothing", 404, "write ROW:COLUMN"),
        (f"/finance/reports/profit_and_loss/explain?{DAYS}", 422, ""),
        ("/finance/reports/trial_balance?by=month", 422, ""),
        ("/finance/reports/balance_sheet?currency=USD", 422, ""),
        ("/finance/reports/vat_report?compare=year", 422, ""),
        ("/finance/reports/profit_and_loss?by=week", 422, ""),
        ("/finance/reports/profit_and_loss?by=day&start_date=0001-01-01&end_date=9999-12-31", 422, ""),
        ("/finance/reports/profit_and_loss?compare=year&start_date=0001-01-01&end_date=0001-12-31", 422, ""),
        ("/finance/reports/profit_and_loss?start_date=2026-02-01&end_date=2026-01-01", 422, ""),
    ],
)
def test_what_cannot_be_asked_is_refused(development: Peer, path: str, status: int, words: str) -> None:
    answer = development.get(path)
    assert answer.status_code == status, answer.text
    assert words in answer.json()["detail"]


def test_every_report_answers_an_empty_house(development: Peer) -> None:
    known = development.get("/finance/reports/none").json()["detail"].partition("there are ")[2].split(", ")
    assert known == list(REPORTS)
    for name in known:
        assert development.get(f"/finance/reports/{name}").status_code == 200, name
