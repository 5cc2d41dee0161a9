"""The month's end by the clock: the month that is over is revalued, and the books say so."""

from datetime import UTC, date, datetime
from decimal import Decimal

import dagster as dg
import polars as pl

from assets.finance.booking import book
from assets.finance.rules import Event
from luxauto_pipelines.jobs import month_end
from luxauto_pipelines.schedules import build_schedules
from resources.store.brand_store import BrandStore
from resources.store.ledger import read_postings
from resources.store.rates import write_rates

RATES = {"date": pl.Date, "base": pl.String, "quote": pl.String, "rate": pl.Decimal(28, 12), "source": pl.String}


def request_at(books: BrandStore, at: datetime) -> dg.RunRequest:
    """What the schedule asks for at an instant."""
    schedules = {schedule.name: schedule for schedule in build_schedules(books.settings)}
    found = schedules["month_end_schedule"].evaluate_tick(dg.build_schedule_context(scheduled_execution_time=at))
    assert found.run_requests is not None
    (request,) = found.run_requests
    return request


def test_on_the_third_the_month_that_is_over_is_revalued(books: BrandStore) -> None:
    rows = [(date(2026, 3, day), "EUR", "USD", Decimal(rate), "ecb") for day, rate in ((2, "1.25"), (31, "1"))]
    income = Event("revenue", "in", date(2026, 3, 2), "USD", {"amount": 1000}, {"bank": "us"})
    with books.write() as (connection, brand):
        write_rates(connection, brand, pl.DataFrame(rows, schema=RATES, orient="row"))
        book(connection, brand, "EUR", [income])
    request = request_at(books, datetime(2026, 4, 3, 2, tzinfo=UTC))
    assert request.run_key == "2026-03"
    for _ in range(2):
        done = month_end.execute_in_process(run_config=request.run_config, resources={"store": books})
        assert done.success
    with books.read() as (connection, brand):
        postings = read_postings(connection, brand, date(2026, 3, 31), date(2026, 3, 31))
    assert postings.select("subaccount", "base_amount_minor").rows() == [("1000.us", 200), ("7010", -200)]


def test_the_month_is_that_of_the_brands_zone(books: BrandStore) -> None:
    assert request_at(books, datetime(2026, 1, 3, 3, tzinfo=UTC)).run_key == "2025-12"
