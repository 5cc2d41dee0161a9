"""`luxauto finance reconcile` and `luxauto finance match` as a person or a script runs them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner, Result

from assets.finance.payouts.frames import StatementError
from luxauto_pipelines.cli import app
from resources.store import Store
from resources.store.audit import read_page
from resources.store.brand_store import BrandStore
from resources.store.purchasing import draft_orders
from resources.store.reconciliation import ReconciliationError
from resources.store.supplier_invoices import UnknownInvoice
from tests.assets.finance.payouts import samples
from tests.assets.finance.test_purchase_matching import HEAD, ONE

pytestmark = pytest.mark.usefixtures("installation")
ORDERS = """\
order_number,line_type,sku,quantity,unit_price,currency,occurred_at,channel
1001,goods,BAG,1,1290.00,EUR,2026-11-03 10:00,shopify
1001,refund,REFUND,1,-290.00,EUR,2026-11-04 10:00,shopify
1004,goods,BAG,1,109.00,EUR,2026-11-06 10:00,shopify
"""


@pytest.fixture
def database_url(home: Path) -> str:
    """The rules are tested on both databases elsewhere."""
    home.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{home / 'store.db'}"


@pytest.fixture
def installation(home: Path, store: Store) -> Iterator[None]:
    (home / "dagster").mkdir(parents=True, exist_ok=True)
    (home / "dagster" / ".storage-made").touch()
    yield


def luxauto(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def answer(*arguments: object) -> Any:
    done = luxauto(*arguments, "--format", "json")
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return json.loads(done.stdout)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "shopify.csv").write_text(samples.SHOPIFY)
    (tmp_path / "bank.xml").write_text(samples.CAMT_02)
    (tmp_path / "orders.csv").write_text(ORDERS)
    return tmp_path


def test_statements_are_taken_matched_and_listed(files: Path, books: BrandStore) -> None:
    assert luxauto("ingest", "orders", files / "orders.csv", "--preset", "luxauto").exit_code == 0
    taken = answer("finance", "reconcile", "import", files / "shopify.csv")
    assert (taken["source"], taken["processor"], taken["new"], taken["payouts"]) == (
        "shopify_payments",
        "shopify",
        6,
        1,
    )
    assert answer("finance", "reconcile", "import", files / "shopify.csv")["known"] == 6
    assert answer("finance", "reconcile", "import", files / "bank.xml", "--account", "main")["accounts"] == ["main"]
    done = answer("finance", "reconcile", "run")
    assert (done["lines"], done["payouts"]) == (3, 1)
    assert answer("finance", "reconcile", "run")["entries"] == 0
    (payout,) = answer("finance", "reconcile", "list")
    assert (payout["payout_ref"], payout["expected"], payout["banked"], payout["state"]) == (
        "91000000001",
        1814.63,
        1814.63,
        "banked",
    )
    left = answer("finance", "reconcile", "list", "--unmatched")
    assert {row["reference"] for row in left if row["item"] == "settlement_line"} == {"#1002", "#1003", "#0990"}
    part = [row for row in answer("finance", "reconcile", "list", "--matches") if row["rule"] == "reference_partial"]
    assert [row["number"] for row in part] == ["1004"]
    assert "Payouts" in luxauto("finance", "reconcile", "list").stdout


def test_a_match_by_hand_is_made_and_taken_back(files: Path, books: BrandStore) -> None:
    luxauto("ingest", "orders", files / "orders.csv", "--preset", "luxauto")
    text = samples.SHOPIFY.replace("#1004", "").replace("99.00,1.99,97.01", "109.00,1.99,107.01")
    (files / "shopify.csv").write_text(
        text.replace("2026-11-06 10:00:00", "2026-11-16 10:00:00").replace(",99.00,EUR", ",109.00,EUR")
    )
    answer("finance", "reconcile", "import", files / "shopify.csv")
    answer("finance", "reconcile", "run")
    (line,) = [
        r for r in answer("finance", "reconcile", "list", "--unmatched") if r["amount"] == 109 and r["item"] != "order"
    ]
    assert line["suggestion"] == "order 1004 has just this amount, 10 days away"
    done = luxauto("finance", "reconcile", "match", line["item_id"], "1004", "--reason", "the client called")
    assert done.exit_code == 0, done.output
    (row,) = [r for r in answer("finance", "reconcile", "list", "--matches") if r["rule"] == "by_hand"]
    assert row["reason"] == "the client called"
    again = luxauto("finance", "reconcile", "match", line["item_id"], "1004", "--reason", "again")
    assert isinstance(again.exception, ReconciliationError)
    assert luxauto("finance", "reconcile", "unmatch", row["match_id"], "--reason", "it was 1005").exit_code == 0
    with books.read() as (connection, brand):
        actions = [entry["action"] for entry in read_page(connection, brand, None, 10)]
    assert actions[:2] == ["finance.unmatch", "finance.match"]


def test_what_cannot_be_taken_says_why(files: Path) -> None:
    missing = luxauto("finance", "reconcile", "import", files / "nothing.csv")
    assert isinstance(missing.exception, StatementError)
    (files / "bank.xml").write_text(samples.CAMT_02.replace("2882.10", "2882.15"))
    refused = luxauto("finance", "reconcile", "import", files / "bank.xml")
    assert isinstance(refused.exception, StatementError)
    (files / "shopify.csv").write_text(samples.SHOPIFY.replace("1267.43", "1267.44"))
    partly = luxauto("finance", "reconcile", "import", files / "shopify.csv")
    assert partly.exit_code == 2
    assert "is 126744, but gross 129000 less fee 2257 is 126743" in partly.stdout
    assert luxauto("finance", "reconcile", "import", files / "shopify.csv", "--dates", "ymd").exit_code == 2


def test_a_limit_that_cannot_be_is_named(files: Path, home: Path) -> None:
    (home / "reconciliation.yaml").write_text("date_window_days: -1\n")
    done = luxauto("finance", "reconcile", "run")
    assert isinstance(done.exception, StatementError)
    assert "date_window_days" in str(done.exception)


def test_invoices_are_matched_and_approved(files: Path, books: BrandStore) -> None:
    schema = {"sku": pl.String, "supplier": pl.String, "quantity": pl.Int64, "expected_on": pl.Date}
    schema |= {"unit_cost_minor": pl.Int64, "currency": pl.String}
    needs = pl.DataFrame([("BAG", "Tannerie", 10, None, 31000, "EUR")], schema=schema, orient="row")
    with books.write() as (connection, brand):
        draft_orders(connection, brand, needs, pl.DataFrame(schema={"sku": pl.String, "on_order": pl.Int64}))
    file = files / "invoices.csv"
    file.write_text(f"{HEAD}\n{ONE}\n{ONE.replace('F-17', 'F-18').replace(';10;', ';x;')}\n")
    assert luxauto("finance", "match", file, "--dates", "dmy").exit_code == 2
    told = answer("finance", "match")
    assert [(i["number"], i["result"], i["booked"]) for i in told["invoices"]] == [("F-17", "no_receipt", False)]
    wrong = luxauto("finance", "approve-invoice", "Tannerie", "F-1", "--reason", "seen")
    assert isinstance(wrong.exception, UnknownInvoice)
    done = luxauto("finance", "approve-invoice", "Tannerie", "F-17", "--reason", "they are in the shop")
    assert done.exit_code == 0, done.output
    assert answer("finance", "match")["invoices"][0]["booked"] is True
