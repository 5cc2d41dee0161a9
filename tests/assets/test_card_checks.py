"""Card data that came into the lake by any way is found by the checks of the assets, which repeat nothing of it."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from assets.card_checks import CHECKS, RAW, offending, partitions_of
from assets.finance.assets import TRANSACTIONS
from assets.inventory.channel_assets import LISTINGS, ORDER_LINES
from resources.lake import Lake
from resources.store.stock import MOVEMENTS

CARD = "4111111111111111"
GROUPED = "5555 5555 5555 4444"
DAY = date(2026, 3, 2)
BY_ASSET: dict[str, dg.AssetChecksDefinition] = {str(name): check for name, check in zip(RAW, CHECKS, strict=True)}
SCHEMAS: dict[str, dict[str, pl.DataType]] = {
    "transactions": TRANSACTIONS,
    "stock_movements": MOVEMENTS,
    "channel_orders": ORDER_LINES,
    "channel_listings": LISTINGS,
    "catalog": {"sku": pl.String(), "name": pl.String()},
}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"), "maison")


def ask(asset: str, lake: Lake, tags: dict[str, str] | None = None) -> dg.AssetCheckEvaluation:
    definitions = dg.Definitions(asset_checks=[BY_ASSET[asset]], resources={"lake": lake})
    done = definitions.resolve_implicit_global_asset_job_def().execute_in_process(tags=tags, raise_on_error=False)
    (evaluation,) = done.get_asset_check_evaluations()
    return evaluation


def frame(asset: str, *rows: dict[str, Any]) -> pl.DataFrame:
    schema = SCHEMAS[asset]
    return pl.DataFrame([{**dict.fromkeys(schema), **row} for row in rows], schema=schema, orient="row")


def texts(asset: str) -> Sequence[str]:
    named = [name for name, dtype in SCHEMAS[asset].items() if dtype == pl.String]
    return [name for name in named if name not in ("order_id", "external_id", "key", "idempotency_key")]


@pytest.mark.parametrize("asset", SCHEMAS)
def test_a_number_in_a_text_fails_the_check_which_names_the_column_and_repeats_nothing(asset: str, lake: Lake) -> None:
    column = texts(asset)[-1]
    lake.write(asset, frame(asset, {column: "BAG-1"}))
    assert ask(asset, lake).passed
    lake.write(asset, frame(asset, {column: "BAG-1"}, {column: f"paid by {GROUPED}, thanks"}))
    found = ask(asset, lake)
    assert not found.passed
    assert found.blocking
    assert found.metadata["rows_found"].value == 1
    assert column in str(found.metadata["sample"].value)
    assert "5555" not in str(found)


@pytest.mark.parametrize("asset", SCHEMAS)
def test_every_text_of_an_asset_is_looked_at(asset: str) -> None:
    guilty = texts(asset)
    rows = frame(asset, dict.fromkeys(guilty, CARD))
    assert offending(rows, {})["column"].to_list() == guilty


def test_what_is_shown_of_an_asset_is_looked_at_too() -> None:
    rows = pl.DataFrame({"sku": ["BAG"]})
    found = offending(rows, {"preview": f"| sku |\n| {CARD} |", "rows": 1, "json": {"first": [GROUPED]}})
    assert found.rows() == [("metadata: preview", 1), ("metadata: json", 1)]
    assert offending(rows, {"preview": "| BAG |", "rows": 4111}).is_empty()


def test_ids_that_a_vendor_gave_may_be_any_number() -> None:
    assert offending(pl.DataFrame({"external_id": [CARD], "order_id": [CARD], "sku": ["BAG"]}), {}).is_empty()


def test_a_run_is_asked_about_what_it_made() -> None:
    one = {"dagster/partition": "2026-03-02"}
    assert partitions_of("transactions", one) == ["2026-03-02"]
    assert partitions_of("channel_orders", {"dagster/partition": "paris"}) == ["paris"]
    assert partitions_of("catalog", one) is None
    assert [partitions_of(asset, {}) for asset in RAW] == [None] * len(RAW)


def test_another_days_number_is_another_runs(lake: Lake) -> None:
    lake.write("transactions", frame("transactions", {"day": DAY, "sku": "BAG"}), "2026-03-02")
    lake.write("transactions", frame("transactions", {"sku": CARD}), "2026-03-03")
    assert ask("transactions", lake, {"dagster/partition": "2026-03-02"}).passed
    assert not ask("transactions", lake, {"dagster/partition": "2026-03-03"}).passed
