"""The small house of `report_books` with its assets as Dagster makes them, for the tests of monthly reports."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any, cast

import dagster as dg

from assets.finance.booking import book
from assets.finance.rules import Event
from luxauto_pipelines.definitions import build_definitions
from luxauto_pipelines.jobs import DAILY_ASSETS, MONTHLY_ASSETS
from luxauto_pipelines.refresh import VALUE_ASSETS
from resources.lake import Lake
from resources.store.brand_store import BrandStore
from tests.luxauto_pipelines.report_books import FIRST, LAST, take_in

FEBRUARY, MARCH = date(2026, 2, 1), date(2026, 3, 1)


def open_house(folder: Path) -> BrandStore:
    """The house with a client's payment booked; nothing is made of it yet."""
    books = take_in(folder)
    names = {"channel": "wholesale", "bank": "main"}
    paid = Event("customer_payment", "p1", date(2026, 3, 30), "EUR", {"amount": 50000}, names, reference="3")
    with books.write() as (connection, brand):
        book(connection, brand, books.settings.current.base_currency, [paid])
    return books


def spend(books: BrandStore, key: str, day: date, minor: int = 12_300) -> None:
    """Book rent, paid on a day."""
    rent = Event("expense", key, day, "EUR", {"amount": minor}, {"bank": "main", "category": "rent"})
    with books.write() as (connection, brand):
        assert book(connection, brand, books.settings.current.base_currency, [rent])


def lake_of(books: BrandStore) -> Lake:
    return Lake(books.settings.lake_url, books.settings.brand)


def make_days(instance: dg.DagsterInstance | None = None, first: date = FIRST, last: date = LAST) -> None:
    """The values and the days, as `luxauto refresh` makes them."""
    assert all(make(VALUE_ASSETS, instance=instance).values())
    make(DAILY_ASSETS, first.isoformat(), last.isoformat(), instance)


def make_months(first: date = FEBRUARY, last: date = MARCH, instance: dg.DagsterInstance | None = None) -> dict:
    """The reports of these months in one run, and which of their checks passed."""
    return make(MONTHLY_ASSETS, first.isoformat(), last.isoformat(), instance)


def make(
    names: Sequence[str], first: str | None = None, last: str | None = None, instance: dg.DagsterInstance | None = None
) -> dict[tuple[str, str], bool]:
    """Make assets in one run over a range of partitions; by asset and name, which checks passed."""
    tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last} if first else {}
    return run(dg.AssetSelection.assets(*names), cast("dict[str, str]", tags), instance)


def ask(asset: str, check: str) -> bool:
    """What a check says of the lake as it is, when it is run alone."""
    key = dg.AssetCheckKey(dg.AssetKey(asset), check)
    # A blocking check that fails is an error of the run.
    return run(dg.AssetSelection.checks(key), {}, raises=False)[asset, check]


def run(
    selection: dg.AssetSelection,
    tags: dict[str, str],
    instance: dg.DagsterInstance | None = None,
    *,
    raises: bool = True,
) -> dict[tuple[str, str], bool]:
    """A run of these assets and checks, as the code location has them."""
    definitions = build_definitions()
    assets: list[Any] = [*(definitions.assets or []), *(definitions.asset_checks or [])]
    own = dg.Definitions(
        assets=[one for one in assets if not isinstance(one, dg.AssetChecksDefinition)],
        asset_checks=[one for one in assets if isinstance(one, dg.AssetChecksDefinition)],
        resources=definitions.resources,
        jobs=[dg.define_asset_job("some", selection=selection)],
    )
    done = own.resolve_job_def("some").execute_in_process(tags=tags, instance=instance, raise_on_error=raises)
    found = done.get_asset_check_evaluations()
    return {(one.asset_key.to_user_string(), one.check_name): one.passed for one in found}
