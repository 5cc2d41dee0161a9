"""`luxauto replenish plan`, `approve`, `orders`, `receive`: from a proposal to goods on the shelf and in the books.

Does not belong here: how much is right (`tests/assets/inventory`), the store's rules (`tests/resources/store/test_purchasing`).
"""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner, Result

from assets.finance.accounts import default_chart
from assets.finance.booking import post_days
from assets.finance.fx import RATIOS
from assets.ingestion.lines import today_in
from assets.inventory.buying.settings import BuyingError
from assets.inventory.stock_values import value_new
from luxauto_pipelines.cli import app
from luxauto_pipelines.ingest import ingest_reference
from resources.lake import Lake, MissingAsset
from resources.store import Store
from resources.store.audit import read_page
from resources.store.brand_store import BrandStore
from resources.store.bulk import run
from resources.store.ledger import read_postings
from resources.store.orders import read_order_lines
from resources.store.purchasing import PurchaseOrderError, deliveries, on_order
from resources.store.stock import read_levels
from resources.store.stock_keeping import InvalidStockKeeping

pytestmark = pytest.mark.usefixtures("installation")
FIRST, LAST = date(2025, 1, 1), date(2030, 12, 31)


@pytest.fixture
def installation(home: Path, store: Store) -> Iterator[None]:
    (home / "dagster").mkdir(parents=True, exist_ok=True)
    (home / "dagster" / ".storage-made").touch()
    yield


@pytest.fixture
def brand(books: BrandStore, tmp_path: Path) -> BrandStore:
    """Two bags and a hat of two suppliers, all of which sell a unit a day and are short; a scarf of which there is plenty."""
    catalog = tmp_path / "catalog.csv"
    catalog.write_text(
        "sku,product,supplier,category,retail_price,cost,currency,lead_time_days,min_order_quantity\n"
        "BAG,B,Arnolfi,bags,300.00,100.00,EUR,14,6\nTOTE,T,Arnolfi,bags,150.00,100.00,EUR,14,1\n"
        "HAT,H,Brim,hats,90.00,30.00,EUR,14,1\nSCARF,S,Brim,hats,90.00,30.00,EUR,14,1\n"
    )
    stock = tmp_path / "stock.csv"
    now = datetime.now(UTC).isoformat()
    units = {"BAG": 4, "TOTE": 4, "HAT": 4, "SCARF": 400}
    stock.write_text("sku,occurred_at,kind,quantity\n" + "".join(f"{s},{now},opening,{n}\n" for s, n in units.items()))
    for kind, file in (("catalog", catalog), ("stock", stock)):
        assert ingest_reference(books, file, kind, lambda stage: None).exit_code == 0  # pyright: ignore[reportArgumentType]
    monday = datetime.now(UTC).date() - timedelta(days=datetime.now(UTC).weekday())
    rows = [(s, "mean", monday + timedelta(weeks=n), n + 1, 7.0, 4.0, 10.0, 0.8) for s in units for n in range(13)]
    names = ["sku", "model", "week", "step", "mean", "lower", "upper", "level"]
    Lake(books.settings.lake_url, books.settings.brand).write(
        "demand_forecast", pl.DataFrame(rows, schema=names, orient="row")
    )
    return books


def luxauto(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def answer(*arguments: object) -> Any:
    done = luxauto(*arguments, "--format", "json")
    assert done.exit_code == 0, (done.output, done.exception)
    return json.loads(done.stdout)


def statuses(everything: bool = True) -> dict[str, str]:
    return {row["number"]: row["status"] for row in answer("replenish", "orders", *(["--all"] if everything else []))}


def test_the_plan_proposes_each_sku_in_one_sentence_with_its_numbers(brand: BrandStore) -> None:
    found = answer("replenish", "plan")
    rows = {row["sku"]: row for row in found["proposals"]}
    assert rows.keys() == {"BAG", "TOTE", "HAT"}
    assert rows["BAG"]["quantity"] % 6 == 0
    assert rows["BAG"]["amount"] == rows["BAG"]["quantity"] * 100.0
    assert rows["BAG"]["expected_profit"] > 0
    for row in rows.values():
        assert row["reason"].startswith(f"Order {row['quantity']}")
        assert row["reason"].count(". ") == 0
        assert row["reason"].endswith(".")
    assert found["totals"] == {"EUR": sum(row["amount"] for row in rows.values())}
    assert (found["chosen_by"], found["errors_from"]) == ("as planned", "demand_forecast")
    told = luxauto("replenish", "plan").stdout
    assert "BAG: Order" in told
    assert "In all EUR" in told


def test_a_sku_that_needs_nothing_is_explained_when_it_is_asked_for(brand: BrandStore) -> None:
    found = answer("replenish", "plan", "--sku", "SCARF")
    assert found["proposals"] == []
    assert found["not_ordered"][0]["reason"].startswith("Nothing to order: 400 available and 0 on order are above")
    assert isinstance(luxauto("replenish", "plan", "--sku", "NONE").exception, InvalidStockKeeping)


def test_a_budget_is_kept_and_goes_where_it_earns_most(brand: BrandStore) -> None:
    found = answer("replenish", "plan", "--budget", "1500")
    rows = {row["sku"]: row for row in found["proposals"]}
    assert found["chosen_by"] == "milp"
    assert sum(row["amount"] for row in rows.values()) <= 1500
    assert rows["BAG"]["quantity"] > rows["TOTE"]["quantity"]
    assert "within the limits other units earn more" in rows["TOTE"]["reason"]
    more = answer("replenish", "plan", "--budget", "EUR=3000")
    earned = [sum(row["expected_profit"] for row in one["proposals"]) for one in (found, more)]
    assert earned[1] >= earned[0]
    for wrong in ("x", "-5", "EUR=", "QQQ=5"):
        assert luxauto("replenish", "plan", "--budget", wrong).exit_code != 0


def test_settings_of_buying_count_and_wrong_ones_are_named(brand: BrandStore, home: Path) -> None:
    (home / "buying.yaml").write_text("items: {bags: {pack_size: 10}}\nbudgets: {EUR: 2500}\n")
    found = answer("replenish", "plan")
    assert all(row["quantity"] % 10 == 0 for row in found["proposals"] if row["sku"] in ("BAG", "TOTE"))
    assert found["budgets"] == {"EUR": 2500.0}
    (home / "buying.yaml").write_text("pack_size: 10\n")
    assert isinstance(luxauto("replenish", "plan").exception, BuyingError)


def test_without_a_forecast_the_command_says_what_to_do(books: BrandStore) -> None:
    done = luxauto("replenish", "plan")
    assert isinstance(done.exception, MissingAsset)
    assert "luxauto refresh" in str(done.exception)


def test_drafts_are_approved_once_and_then_on_order(brand: BrandStore) -> None:
    assert answer("replenish", "plan", "--draft")["drafts"] == {"written": 2, "revised": 0, "held_back": []}
    assert answer("replenish", "plan", "--draft")["drafts"]["written"] == 0
    with brand.read() as (connection, number):
        assert on_order(connection, number).is_empty()
    assert [row["status"] for row in answer("replenish", "approve")] == ["draft"] * 3
    old = datetime.now(UTC).date() - timedelta(days=40)
    with brand.write() as (connection, number):
        run(connection, "UPDATE purchase_orders SET expected_on = :day", {"day": old})
    assert answer("replenish", "approve", "--supplier", "Arnolfi")["decided"] == ["PO-000001"]
    assert answer("replenish", "approve", "--all")["decided"] == ["PO-000002"]
    today = today_in(brand.settings.current.timezone, datetime.now(UTC))
    due = {row["number"]: row["expected_on"] for row in answer("replenish", "orders")}
    assert due == dict.fromkeys(("PO-000001", "PO-000002"), (today + timedelta(days=14)).isoformat())
    again = answer("replenish", "approve", "po-000001")
    assert (again["decided"], again["unchanged"]) == ([], ["PO-000001"])
    assert statuses() == {"PO-000001": "approved", "PO-000002": "approved"}
    assert answer("replenish", "plan")["proposals"] == []
    with brand.read() as (connection, number):
        told = [row["action"] for row in read_page(connection, number, None, 20)]
    assert told.count("replenish.approve") == 2
    assert isinstance(luxauto("replenish", "approve", "PO-9").exception, PurchaseOrderError)
    assert isinstance(luxauto("replenish", "approve", "--supplier", "Nobody").exception, PurchaseOrderError)


def test_what_is_rejected_is_not_proposed_again_by_a_draft(brand: BrandStore) -> None:
    answer("replenish", "plan", "--draft")
    assert isinstance(luxauto("replenish", "approve", "PO-000002", "--reject").exception, PurchaseOrderError)
    done = answer("replenish", "approve", "PO-000002", "--reject", "--reason", "no cash this month")
    assert done == {"decision": "rejected", "decided": ["PO-000002"], "unchanged": []}
    assert answer("replenish", "plan", "--draft")["drafts"] == {"written": 0, "revised": 0, "held_back": []}
    assert {row["sku"] for row in answer("replenish", "plan")["proposals"]} == {"BAG", "TOTE"}
    (told,) = answer("replenish", "plan", "--sku", "HAT")["not_ordered"]
    assert "were rejected by" in told["reason"]
    assert told["reason"].endswith(": no cash this month.")
    assert statuses() == {"PO-000001": "draft", "PO-000002": "rejected"}
    (row,) = [row for row in answer("replenish", "orders", "--all") if row["sku"] == "HAT"]
    assert row["why"] == "no cash this month"
    with brand.read() as (connection, number):
        (event,) = [row for row in read_page(connection, number, None, 20) if row["action"] == "replenish.reject"]
    assert event["subject"] == "PO-000002"


def test_goods_that_are_received_are_on_the_shelf_and_in_the_books_at_the_orders_cost(brand: BrandStore) -> None:
    answer("replenish", "plan", "--draft")
    assert isinstance(luxauto("replenish", "receive", "PO-000002").exception, PurchaseOrderError)
    answer("replenish", "approve", "--all")
    (line,) = [row for row in answer("replenish", "orders") if row["sku"] == "HAT"]
    part = answer("replenish", "receive", "PO-000002", "HAT=3", "--location", "Paris")
    assert (part["received"], part["status"], part["location"]) == ({"HAT": 3}, "approved", "paris")
    rest = answer("replenish", "receive", "PO-000002")
    assert (rest["received"], rest["status"]) == ({"HAT": line["quantity"] - 3}, "received")
    assert luxauto("replenish", "receive", "PO-000001", "BAG").exit_code == 2

    now = today_in(brand.settings.current.timezone, datetime.now(UTC))
    value_new(brand, now)
    with brand.write() as (connection, number):
        levels = dict(read_levels(connection, number).select("sku", "on_hand").iter_rows())
        lines = read_order_lines(connection, number, FIRST, LAST)
        post_days(connection, number, lines, pl.DataFrame(schema=RATIOS), "EUR", default_chart(), FIRST, LAST)
        postings = read_postings(connection, number, FIRST, LAST)
        came = deliveries(connection, number).filter(pl.col("units").is_not_null())
    assert levels["HAT"] == 4 + line["quantity"]
    chart = default_chart()
    owed = postings.filter(pl.col("account") == chart.of_role("received_not_invoiced").code)["amount_minor"].sum()
    assert owed == -line["quantity"] * 3000
    held = postings.filter(pl.col("account") == chart.of_role("inventory").code)["amount_minor"].sum()
    opening = 4 * 10000 * 2 + 4 * 3000 + 400 * 3000
    assert held == opening + line["quantity"] * 3000
    assert came.select("supplier", "ordered_units", "units").rows() == [("Brim", line["quantity"], line["quantity"])]
