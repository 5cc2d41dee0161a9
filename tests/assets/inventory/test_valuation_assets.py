"""The assets of valuation and retail as Dagster makes them, and that each of their checks can fail."""

from pathlib import Path
from typing import cast

import dagster as dg
import polars as pl
import pytest

from assets.finance import assets as finance
from assets.forecasting import assets as forecasting
from assets.forecasting.shards import KEYS
from assets.inventory import assets as inventory
from assets.inventory import retail_assets, retail_checks, valuation_assets, valuation_checks
from resources.io_manager import LakeResource, ParquetIOManager, StoreResource
from resources.lake import Lake
from resources.store.brand_store import BrandStore
from tests.resources.store.test_stock_valuation import House

DAY = MONTH = "2025-03-01"
SHARD = KEYS[0]
OF_THE_DAY = [
    "fx_rates",
    "catalog",
    "sku_costs",
    "transactions",
    "stock_movements",
    "movement_costs",
    "ledger",
    "financial_report",
]
OF_A_MONTH = ["sell_through"]
OF_A_SHARD = ["demand_history"]
AFTER_IT = [
    "stock_levels",
    "stock_valuation",
    "weeks_of_cover",
    "markdown_effect",
    "stock_turns",
]
CHECKS = [*valuation_checks.CHECKS, *retail_checks.CHECKS]
NAMES = {spec.name for check in CHECKS for spec in check.check_specs}


@pytest.fixture
def database_url(home: Path) -> str:
    """What is read is the same on both databases, which the store's own tests show."""
    home.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{home / 'store.db'}"


@pytest.fixture
def house(books: BrandStore) -> House:
    """Receipts, sales and a count of two SKUs on one day, one of them of unknown cost."""
    house = House(books)
    house.cost("BAG", 10_000)
    house.move("BAG", "receipt", 5)
    house.move("BAG", "adjustment", -1)
    house.move("BELT", "receipt", 3)
    house.sell("BAG", 2, price="250.00")
    house.sell("BELT", 1)
    return house


def make(names: list[str], partition: str | None = None) -> dict[str, bool]:
    """Make these assets; which of their checks passed."""
    assets = dg.load_assets_from_modules([inventory, valuation_assets, retail_assets, finance, forecasting])
    done = dg.materialize(
        [*cast("list[dg.AssetsDefinition]", assets), *CHECKS],
        selection=dg.AssetSelection.assets(*names),
        partition_key=partition,
        resources={"io_manager": ParquetIOManager(), "lake": LakeResource(), "store": StoreResource()},
        raise_on_error=False,
    )
    return {found.check_name: found.passed for found in done.get_asset_check_evaluations()}


def lake(house: House) -> Lake:
    return Lake(house.books.settings.lake_url, house.books.settings.brand)


def test_a_day_is_valued_posted_and_read_off(house: House) -> None:
    passed = make(OF_THE_DAY, DAY) | make(OF_A_MONTH, MONTH) | make(OF_A_SHARD, SHARD) | make(AFTER_IT)
    assert passed == dict.fromkeys(NAMES, True)
    worth = lake(house).read("stock_valuation")
    assert worth.select("sku", "units", "value_minor", "currency", "base_value_minor").rows() == [
        ("BAG", 2, 20_000, "EUR", 20_000),
        ("BELT", 2, None, None, None),
    ]
    report = lake(house).read("financial_report")
    assert report.select("units_sold", "units_costed", "base_cost_of_goods_minor").rows() == [(3, 2, 20_000)]
    turns = lake(house).read("stock_turns").filter(pl.col("sku") == "BAG")
    assert turns.select("base_revenue_minor", "base_cost_minor", "base_margin_minor").rows() == [
        (50_000, 20_000, 30_000)
    ]
    sold = lake(house).read("sell_through").filter(pl.col("sku") == "BAG")
    assert sold["sell_through"].to_list() == [0.4]


def test_each_check_fails_where_what_it_asks_is_not_so(house: House) -> None:
    make(OF_THE_DAY, DAY)
    make(OF_A_MONTH, MONTH)
    make(OF_A_SHARD, SHARD)
    make(AFTER_IT)
    own, movements = lake(house), lake(house).read("stock_movements", [DAY])
    own.write("stock_movements", movements.with_columns(pl.col("quantity") + 1), DAY)
    values = own.read("movement_costs", [DAY])
    own.write("movement_costs", values.with_columns(pl.lit(None, pl.String).alias("currency")), DAY)
    sales = own.read("transactions", [DAY])
    own.write("transactions", sales.with_columns(pl.col("quantity") + 1), DAY)
    found = own.read("stock_valuation")
    own.write("stock_valuation", found.with_columns(-pl.col("value_minor")))
    cover = own.read("weeks_of_cover")
    own.write("weeks_of_cover", cover.with_columns(pl.col("on_hand") + 1))
    turns = own.read("stock_turns")
    own.write("stock_turns", pl.concat([turns, turns]))

    failed = {name for name, passed in ask().items() if not passed}
    assert failed == NAMES


def ask() -> dict[str, bool]:
    """What the checks say of the lake as it is."""
    definitions = dg.Definitions(
        assets=dg.load_assets_from_modules([inventory, valuation_assets, retail_assets, finance, forecasting]),
        asset_checks=CHECKS,
        jobs=[dg.define_asset_job("ask", selection=dg.AssetSelection.checks(*CHECKS))],
        resources={"io_manager": ParquetIOManager(), "lake": LakeResource(), "store": StoreResource()},
    )
    done = definitions.resolve_job_def("ask").execute_in_process(raise_on_error=False)
    return {found.check_name: found.passed for found in done.get_asset_check_evaluations()}
