"""Checks of rates and of the month's end: each passes over good rows and finds what it looks for."""

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from assets.finance.fx import RATIOS
from assets.finance.fx_assets import amounts_are_valued, books_say_so, direct_agrees_with_cross, rates_do_not_jump
from assets.finance.revaluation import REVALUED
from resources.lake import Lake
from resources.store.brand_store import BrandStore
from resources.store.ledger import POSTINGS
from resources.store.rates import write_rates

DAY, NEXT = date(2026, 3, 2), date(2026, 3, 3)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"), "maison")


def passes(check: dg.AssetChecksDefinition, **resources: Any) -> bool:
    definitions = dg.Definitions(asset_checks=[check], resources=resources)
    done = definitions.resolve_implicit_global_asset_job_def().execute_in_process(raise_on_error=False)
    (evaluation,) = done.get_asset_check_evaluations()
    return evaluation.passed


def rows(schema: dict[str, pl.DataType], *given: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame([{**dict.fromkeys(schema), **row} for row in given], schema=schema, orient="row")


@pytest.mark.parametrize(
    ("second", "carried", "good"), [(109, False, True), (112, False, False), (112, True, True), (90, False, False)]
)
def test_a_rate_that_jumps_is_told(lake: Lake, second: int, carried: bool, good: bool) -> None:
    common = {"currency": "USD", "denominator": 100}
    ratios = (
        {**common, "day": DAY, "numerator": 100, "carried": False},
        {**common, "day": NEXT, "numerator": second, "carried": carried},
    )
    lake.write("fx_rates", rows(RATIOS, *ratios))
    assert passes(rates_do_not_jump, lake=lake) is good


@pytest.mark.parametrize(("base", "late", "good"), [(80, None, True), (None, None, False), (None, 80, True)])
def test_an_amount_without_a_rate_is_told(lake: Lake, base: int | None, late: int | None, good: bool) -> None:
    common = {"event_day": DAY, "currency": "USD", "order_id": 1, "kind": "order"}
    postings = [{**common, "amount_minor": 100, "base_amount_minor": base}]
    postings += [{**common, "amount_minor": 0, "base_amount_minor": late}] if late else []
    lake.write("ledger", rows(POSTINGS, *postings))
    assert passes(amounts_are_valued, lake=lake) is good


@pytest.mark.parametrize(("posted", "booked", "good"), [(True, 100, True), (True, 99, False), (False, 99, True)])
def test_books_that_do_not_say_what_a_balance_is_worth_are_told(
    lake: Lake, posted: bool, booked: int, good: bool
) -> None:
    lake.write("fx_revaluation", rows(REVALUED, {"posted": posted, "closing_minor": 100, "booked_minor": booked}))
    assert passes(books_say_so, lake=lake) is good


@pytest.mark.parametrize(("direct", "good"), [("0.8", True), ("0.803", True), ("0.81", False)])
def test_a_quotation_that_contradicts_two_others_is_told(books: BrandStore, direct: str, good: bool) -> None:
    quoted = [("EUR", "USD", "1.25"), ("GBP", "USD", "1.5625"), ("EUR", "GBP", direct)]
    schema = {
        "date": pl.Date(),
        "base": pl.String(),
        "quote": pl.String(),
        "rate": pl.Decimal(28, 12),
        "source": pl.String(),
    }
    frame = pl.DataFrame([(DAY, b, q, Decimal(r), "x") for b, q, r in quoted], schema=schema, orient="row")
    with books.write() as (connection, brand):
        write_rates(connection, brand, frame)
    assert passes(direct_agrees_with_cross, store=books) is good
