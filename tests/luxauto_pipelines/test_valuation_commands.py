"""`luxauto inventory valuation` and `revalue` as a person or a script runs them.

Does not belong here: what a movement is worth (`tests/assets/inventory`), the tables (`tests/resources/store`).
"""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from assets.finance.accounts import default_chart
from assets.finance.booking import post_days
from assets.finance.fx import daily_ratios
from assets.ingestion.mapping import load_preset
from assets.inventory.stock_values import value_new
from luxauto_pipelines.cli import app
from luxauto_pipelines.ingest import ingest_orders, ingest_reference
from luxauto_pipelines.instance import reload
from resources.settings import load_settings, save_brand
from resources.store import Store
from resources.store.audit import read_page
from resources.store.brand_store import BrandStore
from resources.store.orders import read_order_lines
from resources.store.rates import read_rates

FIRST, LAST = date(2026, 1, 1), date(2026, 12, 31)
FILES = {
    "catalog": "sku,cost,currency,cost_valid_from\nBAG,100.00,EUR,\nBAG,160.00,EUR,2026-02-01\nBELT,30.00,USD,\n",
    "stock": (
        "sku,occurred_at,kind,quantity\nBAG,2026-01-05 10:00,receipt,2\nBAG,2026-02-05 10:00,receipt,2\n"
        "BELT,2026-01-05 10:00,receipt,3\nHAT,2026-01-05 10:00,receipt,7\n"
    ),
}
ORDERS = """\
order_number,line_type,sku,quantity,unit_price,currency,occurred_at,channel
1,goods,BAG,3,500.00,EUR,2026-03-03T10:00:00Z,online_store
"""


@pytest.fixture
def database_url(home: Path) -> str:
    home.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{home / 'store.db'}"


@pytest.fixture
def house(home: Path, store: Store, tmp_path: Path) -> BrandStore:
    """Two SKUs of known cost and one without, taken in, valued and posted."""
    (home / "dagster").mkdir(parents=True, exist_ok=True)
    (home / "dagster" / ".storage-made").touch()
    take(tmp_path, **FILES)
    (tmp_path / "orders.csv").write_text(ORDERS, encoding="utf-8")
    ingest_orders(reload(), tmp_path / "orders.csv", load_preset("luxauto"), "luxauto", lambda stage: None)
    value_new(reload(), LAST)
    post()
    return reload()


def take(folder: Path, **files: str) -> None:
    for kind, text in files.items():
        (folder / f"{kind}.csv").write_text(text, encoding="utf-8")
        ingest_reference(reload(), folder / f"{kind}.csv", kind, lambda stage: None)  # pyright: ignore[reportArgumentType]


def post() -> None:
    books = reload()
    with books.write() as (connection, brand):
        ratios = daily_ratios(read_rates(connection, brand), "EUR")
        lines = read_order_lines(connection, brand, FIRST, LAST)
        post_days(connection, brand, lines, ratios, "EUR", default_chart(), FIRST, LAST)


def say(*words: str, code: int = 0, answer: str | None = None) -> Result:
    done = CliRunner().invoke(app, ["inventory", *words], input=answer, catch_exceptions=False)
    assert done.exit_code == code, done.output
    return done


def told(*words: str) -> dict[str, Any]:
    return json.loads(say("valuation", *words, "--format", "json").stdout)


def test_the_valuation_stands_beside_the_inventory_account(house: BrandStore) -> None:
    found = told()
    assert found["method"] == "weighted_average"
    assert found["totals"] == [
        {"currency": "EUR", "skus": 1, "units": 1, "value": 130.0, "ledger": 130.0},
        {"currency": "USD", "skus": 1, "units": 3, "value": 90.0, "ledger": 90.0},
        {"currency": None, "skus": 1, "units": 7, "value": None, "ledger": None},
    ]
    assert found["skus"][0] == {
        "sku": "BAG",
        "units": 1,
        "currency": "EUR",
        "unit_value": 130.0,
        "value": 130.0,
        "weighted_average": 130.0,
        "fifo": 160.0,
        "standard": 160.0,
        "base_value": 130.0,
        "base_currency": "EUR",
    }


def test_another_method_is_computed_from_the_history(house: BrandStore) -> None:
    found = told("--method", "fifo")
    assert (found["totals"][0]["value"], found["totals"][0]["ledger"]) == (160.0, 130.0)
    said = say("valuation", "--method", "fifo")
    assert "the inventory account differs by -30.00" in said.stderr
    assert "7 units of 1 SKUs have no known cost" in said.stderr


def test_an_earlier_day_has_what_was_there_then_on_both_sides(house: BrandStore) -> None:
    found = told("--as-of", "2026-02-28")
    assert found["totals"][0] == {"currency": "EUR", "skus": 1, "units": 4, "value": 520.0, "ledger": 520.0}
    assert told("--as-of", "2025-12-31")["totals"] == []


def test_movements_that_wait_are_told_of(house: BrandStore, tmp_path: Path) -> None:
    take(tmp_path, stock="sku,occurred_at,kind,quantity\nBAG,2026-03-05 10:00,receipt,1\n")
    assert told()["movements_not_valued"] == 1
    assert "1 movements have not been valued yet" in say("valuation").stderr


def test_an_empty_house_is_worth_nothing(home: Path, store: Store) -> None:
    assert "Nothing is in stock." in say("valuation").stdout


def test_a_cost_that_was_wrong_counts_from_the_beginning_once_stock_is_revalued(
    house: BrandStore, tmp_path: Path
) -> None:
    take(tmp_path, catalog="sku,cost,currency,cost_valid_from\nBAG,120.00,EUR,\n")
    assert told()["totals"][0]["value"] == 130.0
    done = json.loads(say("revalue", "--reason", "a typing error", "--yes", "--format", "json").stdout)
    assert done == {"movements": 4, "method": "weighted_average", "reason": "a typing error"}
    post()
    assert told()["totals"][0] == {"currency": "EUR", "skus": 1, "units": 1, "value": 140.0, "ledger": 140.0}
    with house.read() as (connection, brand):
        (event,) = read_page(connection, brand, None, 1)
    assert event["action"] == "inventory.revalue"


def test_a_new_method_counts_from_the_beginning_once_stock_is_revalued(house: BrandStore) -> None:
    settings = load_settings()
    save_brand(settings, settings.brand, settings.current.model_copy(update={"costing": "fifo"}))
    assert (told()["method"], told()["totals"][0]["value"]) == ("fifo", 130.0)
    assert "fifo" in say("revalue", "--reason", "the auditors ask for it", answer="y\n").stdout
    post()
    assert told()["totals"][0] == {"currency": "EUR", "skus": 1, "units": 1, "value": 160.0, "ledger": 160.0}


def test_nothing_is_revalued_without_a_yes(house: BrandStore) -> None:
    say("revalue", "--reason", "none", code=1, answer="n\n")
    assert told()["totals"][0]["value"] == 130.0
