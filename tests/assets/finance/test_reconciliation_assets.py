"""The assets of reconciliation as Dagster makes them, and that each of their checks can fail."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import dagster as dg
import polars as pl
import pytest

from assets.finance import reconciliation_assets, reconciliation_checks
from assets.finance.purchases import take_invoices
from assets.finance.reconcile import reconcile
from assets.finance.reconciliation_assets import (
    PAYOUT_RECONCILIATION,
    PURCHASE_MATCHES,
    UNMATCHED_ITEMS,
    clearing_by_age,
)
from luxauto_pipelines.jobs import reconcile_payouts
from luxauto_pipelines.statements import Take, take_statement
from resources.io_manager import LakeResource, ParquetIOManager, StoreResource
from resources.lake import Lake
from resources.store.brand_store import BrandStore
from resources.store.bulk import run
from tests.assets.finance.payouts import samples
from tests.assets.finance.test_purchase_matching import HEAD, ONE, purchase, read_invoices
from tests.assets.finance.test_reconcile import ORDERS, TODAY, sell

RESOURCES = {"io_manager": ParquetIOManager(), "lake": LakeResource(), "store": StoreResource()}


@pytest.fixture
def database_url(home: Path) -> str:
    """What is read is the same on both databases, which `test_reconcile` shows."""
    home.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{home / 'store.db'}"


@pytest.fixture
def settled(books: BrandStore, tmp_path: Path) -> BrandStore:
    """Orders, their payout, its line at the bank, and a supplier's invoice that matches."""
    sell(books, tmp_path, ORDERS, [("1001", "290.00", "EUR", "2026-11-04", "shopify")])
    for name, text in {"shopify.csv": samples.SHOPIFY, "bank.xml": samples.CAMT_02}.items():
        (tmp_path / name).write_text(text)
        take_statement(books, tmp_path / name, Take(account="main" if name == "bank.xml" else None), "tester")
    purchase(books, received=10)
    invoices, _ = read_invoices(f"{HEAD}\n{ONE}\n".encode(), dates="dmy")
    take_invoices(books, invoices, "tester")
    reconcile(books, "tester", TODAY)
    return books


def make() -> dict[str, bool]:
    """Make the three assets; which of their checks passed."""
    definitions = dg.Definitions(
        assets=dg.load_assets_from_modules([reconciliation_assets]),
        asset_checks=reconciliation_checks.CHECKS,
        resources=RESOURCES,
    )
    job = definitions.resolve_implicit_global_asset_job_def()
    done = job.execute_in_process(raise_on_error=False)
    return {found.check_name: found.passed for found in done.get_asset_check_evaluations()}


def rows(books: BrandStore, asset: str) -> pl.DataFrame:
    return Lake(books.settings.lake_url, books.settings.brand).read(asset)


def spoil(books: BrandStore, statements: Sequence[str]) -> None:
    with books.write() as (connection, _):
        for statement in statements:
            run(connection, statement)


def test_the_assets_tell_what_the_store_holds(settled: BrandStore) -> None:
    assert {name for name, passed in make().items() if not passed} <= {"nothing_is_left_for_long"}
    payouts = rows(settled, "payout_reconciliation")
    assert payouts.columns == list(PAYOUT_RECONCILIATION)
    assert payouts.select("payout_ref", "banked_minor", "payout_state").rows() == [("91000000001", 181463, "banked")]
    left = rows(settled, "unmatched_items")
    assert left.columns == list(UNMATCHED_ITEMS)
    assert left.is_empty()
    invoices = rows(settled, "purchase_matches")
    assert invoices.columns == list(PURCHASE_MATCHES)
    assert invoices.select("invoice_number", "match_result", "booked").rows() == [("F-17", "matched", True)]


def test_the_assets_are_made_of_an_empty_store(books: BrandStore) -> None:
    assert all(make().values())
    assert rows(books, "unmatched_items").columns == list(UNMATCHED_ITEMS)


@pytest.mark.parametrize(
    ("statements", "check"),
    [
        (["UPDATE settlement_lines SET net_minor = net_minor + 1 WHERE row_number = 1"], "lines_come_to_the_payout"),
        (
            [
                "INSERT INTO matches (brand_id, settlement_line_id, order_id, pool, rule, amount_minor, currency, actor,"
                " created_at)"
                " SELECT brand_id, settlement_line_id, order_id, pool, rule, amount_minor, currency, actor, created_at"
                " FROM matches WHERE settlement_line_id IS NOT NULL LIMIT 1"
            ],
            "nothing_is_matched_twice",
        ),
        (
            ["UPDATE order_lines SET amount_minor = amount_minor - 1 WHERE kind = 'goods'"],
            "no_order_is_settled_beyond_its_amount",
        ),
        (["UPDATE settlement_lines SET occurred_on = '2020-01-01'", "DELETE FROM matches"], "nothing_is_left_for_long"),
        (["UPDATE supplier_invoices SET result = 'no_receipt'"], "only_what_matches_or_was_approved_is_booked"),
    ],
)
def test_each_check_finds_the_fault_that_it_is_for(settled: BrandStore, statements: list[str], check: str) -> None:
    spoil(settled, statements)
    assert make()[check] is False


def test_a_statement_that_was_left_out_is_missed(books: BrandStore, tmp_path: Path) -> None:
    first, _, rest = samples.MT940.partition("-\n:20:")
    for number, text in enumerate(
        (
            first,
            ":20:" + rest,
            ":20:" + rest.replace("00213", "00215").replace("2782,00", "2982,00").replace("3482,00", "3682,00"),
        )
    ):
        (tmp_path / f"{number}.sta").write_text(text)
        take_statement(books, tmp_path / f"{number}.sta", Take(account="main"), "tester")
        assert make()["bank_statements_follow_each_other"] is (number < 2)


def test_the_job_matches_and_books_once(settled: BrandStore, tmp_path: Path) -> None:
    with settled.write() as (connection, _):
        before = run(connection, "SELECT count(*) FROM journal_entries").scalar_one()
        run(connection, "DELETE FROM matches WHERE settlement_line_id IS NOT NULL")
    for _ in range(2):
        assert reconcile_payouts.execute_in_process(resources=RESOURCES).success
        with settled.read() as (connection, _brand):
            found = run(connection, "SELECT count(*) FROM matches WHERE settlement_line_id IS NOT NULL").scalar_one()
        assert found == 6
    with settled.read() as (connection, _brand):
        # What is settled in another currency moves between two accounts; each match has an entry of its own.
        assert run(connection, "SELECT count(*) FROM journal_entries").scalar_one() == before + 2


def test_what_is_open_is_summed_by_its_age() -> None:
    given = [
        ("order", 3, 500, "EUR"),
        ("order", 20, 700, "EUR"),
        ("settlement_line", 20, 200, "EUR"),
        ("order", 3, 9, "USD"),
    ]
    unmatched = pl.DataFrame(given, schema=["item", "age_days", "amount_minor", "currency"], orient="row")
    ages = dict(cast("list[tuple[str, int]]", clearing_by_age(unmatched, "EUR").rows()))
    assert ages == {"a week": 500, "two weeks": 0, "a month": 500, "two months": 0, "older": 0}
