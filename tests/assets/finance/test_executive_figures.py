"""The figures behind the executive report: sums of what is known, and a place for what is not."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.finance.executive import ExecutiveReport
from assets.finance.executive_figures import Sources, executive_report_of
from assets.finance.statements import DAILY
from assets.forecasting.demand import DEMAND_SCHEMA
from assets.forecasting.schemas import FORECAST_SCHEMA

DAY = date(2026, 3, 2)
NOW = datetime(2026, 4, 1, 8, tzinfo=UTC)
TEXT, INT = pl.String(), pl.Int64()
SCHEMAS: dict[str, dict[str, Any]] = {
    "margin_by_sku": {
        **{"sku": TEXT, "name": TEXT, "units": INT, "base_revenue_minor": INT},
        **{"base_margin_minor": INT, "margin_rate": pl.Float64()},
    },
    "transactions": {"kind": TEXT, "sku": TEXT, "quantity": INT},
    "ledger": {"day": pl.Date(), "account": TEXT, "base_amount_minor": INT},
    "catalog": {"sku": TEXT, "name": TEXT, "category": TEXT},
    "stock_levels": {"sku": TEXT, "on_hand": INT, "available": INT, "counted": pl.Boolean()},
    "reorder_plan": {
        **{"sku": TEXT, "available": INT, "weekly_mean": pl.Float64()},
        **{"stockout_on": pl.Date(), "recommended_quantity": INT},
    },
}


def empty(schema: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(schema=schema)


def frame(name: str, *rows: tuple) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=SCHEMAS[name], orient="row")


def day(net: int = 1000, cost: int | None = 400, **other: Any) -> dict[str, Any]:
    """A row of the daily report: goods sold in euros, all of known cost or none of it."""
    zero = {name: 0 for name, dtype in DAILY.items() if dtype == INT}
    amounts = {"gross_sales_minor": net, "net_revenue_minor": net}
    based = {f"base_{name}": amount for name, amount in amounts.items()}
    costs = {"base_cost_of_goods_minor": cost, "base_costed_revenue_minor": 0 if cost is None else net}
    where = {"day": DAY, "channel": "online_store", "currency": "EUR", "base_currency": "EUR"}
    counts = {"orders": 1, "units_sold": 1, "units_costed": 0 if cost is None else 1}
    return {**zero, **where, **amounts, **based, **costs, **counts, **other}


def unconverted(net: int = 700) -> dict[str, Any]:
    """A row in pounds on a day without a rate."""
    unknown = {name: None for name in DAILY if name.startswith("base_") and name.endswith("_minor")}
    return {**day(net), **unknown, "currency": "GBP", "base_costed_revenue_minor": 0, "units_costed": 0}


def sources(*days: dict[str, Any], **frames: Any) -> Sources:
    plain = {name: empty(schema) for name, schema in SCHEMAS.items()}
    plain |= {"demand_history": empty(DEMAND_SCHEMA), "demand_forecast": empty(FORECAST_SCHEMA), **frames}
    report = pl.DataFrame(list(days), schema=DAILY, orient="row")
    given: dict[str, Any] = {
        name: rows.lazy() if name in ("transactions", "ledger") else rows for name, rows in plain.items()
    }
    return Sources(financial_report=report, **given)


def report(*days: dict[str, Any], **frames: Any) -> ExecutiveReport:
    return executive_report_of(sources(*days, **frames), brand="M", base_currency="EUR", generated_at=NOW)


def month(found: ExecutiveReport) -> dict[str, Any]:
    assert found.monthly.height == 1
    return found.monthly.row(0, named=True)


def test_without_a_day_it_says_what_to_run():
    with pytest.raises(ValueError, match="luxauto ingest orders FILE"):
        report()


def test_a_month_sums_its_days_and_channels():
    row = month(report(day(1000, 400), day(500, 100, day=DAY + timedelta(days=9), channel="physical_store")))

    expected = {"net_revenue": 1500, "gross_sales": 1500, "cogs": 500, "margin": 1000, "costed_revenue": 1500}
    assert {name: row[name] for name in expected} == expected
    assert (row["orders"], row["units"]) == (2, 2)


def test_the_margin_is_of_the_revenue_whose_cost_is_known():
    row = month(report(day(1000, 400), day(500, None, day=DAY + timedelta(days=1))))

    assert (row["net_revenue"], row["costed_revenue"], row["cogs"], row["margin"]) == (1500, 1000, 400, 600)


def test_without_a_known_cost_the_margin_is_empty():
    row = month(report(day(1000, None)))

    assert (row["cogs"], row["margin"], row["costed_revenue"]) == (None, None, None)


def test_a_unit_that_was_sold_and_came_back_still_has_a_cost():
    row = month(report(day(0, 0, units_costed=0)))

    assert (row["cogs"], row["margin"]) == (0, 0)


def test_what_has_no_rate_stands_apart_and_takes_no_margin_away():
    found = report(day(1000, 400), unconverted(700))

    assert month(found)["margin"] == 600
    assert found.unconverted.rows() == [("GBP", 700)]
    assert any("GBP" in note or "£" in note for note in found.notes)


rows_of_a_report = st.lists(
    st.builds(
        lambda net, cost, after, channel, known: {
            **(day(net, cost) if known else unconverted(net)),
            "day": DAY + timedelta(days=after),
            "channel": channel,
        },
        net=st.integers(-(10**9), 10**9),
        cost=st.none() | st.integers(0, 10**9),
        after=st.integers(0, 100),
        channel=st.sampled_from(["online_store", "physical_store"]),
        known=st.booleans(),
    ),
    min_size=1,
    max_size=15,
)


@settings(max_examples=40, deadline=None)
@given(rows_of_a_report)
def test_months_and_channels_add_up_to_the_days_in_whatever_order_they_come(days: list[dict[str, Any]]):
    found, turned = report(*days), report(*reversed(days))

    net = sum(row["base_net_revenue_minor"] or 0 for row in days)
    assert found.monthly["net_revenue"].sum() == net
    assert found.by_channel["net_revenue"].sum() == net
    costed = found.monthly.drop_nulls("margin")
    assert costed["margin"].sum() == (costed["costed_revenue"] - costed["cogs"]).sum()
    pounds = sum(row["net_revenue_minor"] for row in days if row["currency"] == "GBP")
    assert found.unconverted["net_revenue"].sum() == pounds
    for section in ("monthly", "by_channel", "unconverted"):
        assert getattr(found, section).equals(getattr(turned, section))
    assert (found.period_first, found.period_last) == (min(r["day"] for r in days), max(r["day"] for r in days))


def test_refunds_without_a_product_are_in_no_ranking_of_products():
    margins = frame("margin_by_sku", ("BAG", "Bag", 1, 900, 500, 0.55), (None, None, 0, -100, None, None))

    assert report(day(), margin_by_sku=margins).by_sku["sku"].to_list() == ["BAG"]


def test_return_rates_are_of_goods_by_category_and_of_all():
    catalog = frame("catalog", ("BAG", "Bag", "bags"), ("SHOE", "Shoe", "shoes"))
    lines = [("goods", "BAG", 4), ("goods", "BAG", -1), ("goods", "SHOE", 6), ("goods", "NEW", 2), ("gift", "BAG", 9)]
    found = report(day(), catalog=catalog, transactions=frame("transactions", *lines)).returns

    counts = {row["category"]: (row["units_sold"], row["units_returned"]) for row in found.iter_rows(named=True)}
    assert counts == {"all": (12, 1), "bags": (4, 1), "shoes": (6, 0), "other": (2, 0)}
    assert found.filter(category="bags")["return_rate"].to_list() == [0.25]


def test_a_category_that_is_called_all_is_not_taken_for_the_sum():
    catalog = frame("catalog", ("BAG", "Bag", "all"), ("SHOE", "Shoe", "shoes"))
    lines = frame("transactions", ("goods", "BAG", 4), ("goods", "SHOE", 6))

    found = report(day(), catalog=catalog, transactions=lines).returns
    assert set(found["category"]) == {"all", "all (category)", "shoes"}


def test_stock_that_was_never_counted_is_not_called_slow():
    stock = frame("stock_levels", ("BAG", 50, 50, True), ("SHOE", 50, 50, False), ("BELT", 0, 0, True))
    found = report(day(), stock_levels=stock).slow

    assert found.select("sku", "on_hand", "units_last_13_weeks").rows() == [("BAG", 50, 0)]


def test_products_that_run_out_are_those_with_a_day():
    plan = frame("reorder_plan", ("BAG", 3, 1.5, DAY, 12), ("SHOE", 30, 0.1, None, 0))

    assert report(day(), reorder_plan=plan).stockouts_ahead.select("sku", "recommended_quantity").rows() == [
        ("BAG", 12)
    ]


def test_cash_is_what_the_clearing_account_moved():
    ledger = frame("ledger", (DAY, "1100", 900), (DAY, "1100", -200), (DAY, "4000", -900), (DAY, "1100", None))

    assert report(day(), ledger=ledger).cash.rows() == [(date(2026, 3, 1), 900, 200, 700)]


def test_a_brand_without_stock_or_forecast_still_has_its_report():
    found = report(day())

    assert found.fan.is_empty()
    assert {"fan", "cash", "by_sku"} <= set(found.absences)
    assert replace(found, brand="N").brand == "N"
