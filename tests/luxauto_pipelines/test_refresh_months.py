"""Which months' reports a refresh makes again: those of what is new, and all after them, which carry its balances on.

Belongs here: plans, over runs that Dagster remembers. Does not belong here: figures (`tests/assets/finance`).
"""

import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from benchmarks.measure import installation
from luxauto_pipelines.ingest import ingest_reference
from luxauto_pipelines.instance import reload
from luxauto_pipelines.jobs import DAILY_ASSETS, MONTHLY_ASSETS
from luxauto_pipelines.refresh import Plan, plan
from resources.store.brand_store import BrandStore
from tests.luxauto_pipelines.monthly_house import FEBRUARY, MARCH, lake_of, make_days, make_months, open_house, spend
from tests.luxauto_pipelines.report_books import CATALOG

FIRST, LAST = date(2026, 2, 3), date(2026, 3, 30)
LATE = date(2026, 2, 17)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, migrated_file: Path) -> Path:
    """The installation with its values, days and months."""
    folder = tmp_path_factory.mktemp("made") / "home"
    folder.mkdir()
    shutil.copy(migrated_file, folder / "store.db")
    with installation(folder):
        open_house(folder / "files")
        with dg.DagsterInstance.get() as instance:
            make_days(instance, FIRST, LAST)
            make_months(instance=instance)
    return folder


@pytest.fixture
def books(made: Path, home: Path) -> BrandStore:
    shutil.copytree(made, home)
    return reload()


@pytest.fixture
def instance(books: BrandStore) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.get() as found:
        yield found


def months(found: Plan) -> tuple[date | None, date | None]:
    """Those of the plan, which has all monthly assets or none."""
    assert set(MONTHLY_ASSETS) & set(found.assets) in (set(), set(MONTHLY_ASSETS))
    return found.first_month, found.last_month


def result_until(books: BrandStore, month: date) -> int:
    sheet = lake_of(books).read("balance_sheet", [month.isoformat()])
    return sheet.filter(pl.col("row") == "result")["amount_minor"].item()


def test_without_news_no_month_is_made_again(books: BrandStore) -> None:
    assert months(plan(books)) == (None, None)


def test_a_new_entry_of_the_newest_month_makes_that_month_again(books: BrandStore) -> None:
    spend(books, "rent", date(2026, 3, 12))
    found = plan(books)
    assert (found.first_day, found.last_day) == (date(2026, 3, 12), date(2026, 3, 12))
    assert months(found) == (MARCH, MARCH)


def test_a_late_entry_of_an_old_month_makes_that_month_and_those_after_it_again(
    books: BrandStore, instance: dg.DagsterInstance
) -> None:
    before = {month: result_until(books, month) for month in (FEBRUARY, MARCH)}
    spend(books, "rent", LATE, 12_300)
    found = plan(books)
    assert (found.first_day, found.last_day) == (LATE, LATE)
    assert months(found) == (FEBRUARY, MARCH)
    make_days(instance, LATE, LATE)
    assert all(make_months(instance=instance).values())
    assert {month: result_until(books, month) for month in (FEBRUARY, MARCH)} == {
        month: result - 12_300 for month, result in before.items()
    }
    rent = lake_of(books).read("profit_and_loss").filter(pl.col("account").str.starts_with("6"))
    assert rent.filter(pl.col("amount_minor") == -12_300)["month"].to_list() == [FEBRUARY]
    assert months(plan(books)) == (None, None)


def test_what_was_killed_between_the_days_and_the_months_is_made_good(
    books: BrandStore, instance: dg.DagsterInstance
) -> None:
    spend(books, "rent", LATE)
    make_days(instance, LATE, LATE)
    found = plan(books)
    assert not set(DAILY_ASSETS) & set(found.assets)
    assert months(found) == (FEBRUARY, MARCH)


def test_the_running_month_alone_leaves_an_older_one_to_be_made(
    books: BrandStore, instance: dg.DagsterInstance
) -> None:
    """As a night does after a late entry."""
    spend(books, "rent", LATE)
    make_days(instance, LATE, LATE)
    make_months(MARCH, MARCH, instance)
    assert months(plan(books)) == (FEBRUARY, MARCH)


def test_a_month_that_begins_is_one_that_was_never_made(books: BrandStore) -> None:
    spend(books, "rent", date(2026, 4, 1))
    assert months(plan(books)) == (date(2026, 4, 1), date(2026, 4, 1))


def test_another_catalogue_is_read_into_every_month(books: BrandStore) -> None:
    file = books.settings.home / "files" / "catalog.csv"
    file.write_text(CATALOG.replace("red", "blue"), encoding="utf-8")
    ingest_reference(books, file, "catalog", lambda stage: None)
    found = plan(books)
    assert not set(DAILY_ASSETS) & set(found.assets)
    assert (found.first_month, found.last_month) == (FEBRUARY, MARCH)
    assert {"margin_by_colour", "margin_by_collection", "sell_through"} <= set(found.assets)
    assert not {"balance_sheet", "profit_and_loss"} & set(found.assets)


def test_everything_is_every_month(books: BrandStore) -> None:
    assert months(plan(books, everything=True)) == (FEBRUARY, MARCH)
