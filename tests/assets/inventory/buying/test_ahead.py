"""Alerts that look ahead: who will run out before an order could come, and who sells above their forecast."""

import json
from datetime import date, timedelta

import polars as pl
import pytest

from assets.inventory.buying.ahead import high_demand, stock_out_ahead
from assets.inventory.reorder import reorder_plan

MONDAY = date(2026, 3, 2)


def forecast(mean: float = 7.0, sku: str = "BAG", weeks: int = 13) -> pl.DataFrame:
    rows = [(sku, MONDAY + timedelta(weeks=n), mean, mean + 1.0, 0.8) for n in range(weeks)]
    return pl.DataFrame(rows, schema=["sku", "week", "mean", "upper", "level"], orient="row")


def alerts_with(available: int, *coming: tuple[int, int]) -> pl.DataFrame:
    """A unit a day is expected, a lead time of 14 days and a review of 7; `coming` is (days from now, units)."""
    levels = pl.DataFrame([("BAG", available, True)], schema=["sku", "available", "counted"], orient="row")
    schema = {
        "sku": pl.String,
        "lead_time_days": pl.Int64,
        "min_order_quantity": pl.Int64,
        "manual_reorder_point": pl.Int64,
    }
    catalog = pl.DataFrame([("BAG", 14, None, None)], schema=schema, orient="row")
    due = [("BAG", MONDAY + timedelta(days=days), units) for days, units in coming]
    orders = pl.DataFrame(due, schema={"sku": pl.String, "expected_on": pl.Date, "on_order": pl.Int64}, orient="row")
    return stock_out_ahead(reorder_plan(levels, forecast(), catalog, orders, as_of=MONDAY))


@pytest.mark.parametrize(
    ("available", "coming", "told"),
    [
        (21, [], True),
        (22, [], False),
        (5, [(4, 30)], False),
        (5, [(6, 30)], True),
        (5, [(4, 10)], True),
        (0, [], False),
    ],
)
def test_a_stock_out_is_told_while_there_is_stock_that_an_order_would_come_too_late_for(available, coming, told):
    assert alerts_with(available, *coming).height == told


def test_the_alert_says_when_and_with_what():
    (alert,) = alerts_with(5, (6, 30)).to_dicts()
    assert alert["kind"] == "stock_out_ahead"
    assert json.loads(alert["details"]) == {
        "available": 5,
        "arriving_in_time": 30,
        "lead_time_days": 14,
        "protection_days": 21,
        "stock_out_on": str(MONDAY + timedelta(days=4)),
    }


def history(*units: int) -> pl.DataFrame:
    rows = [("BAG", MONDAY - timedelta(weeks=len(units) - n), sold) for n, sold in enumerate(units)]
    return pl.DataFrame(rows, schema={"sku": pl.String, "week": pl.Date, "units_sold": pl.Int64}, orient="row")


def backtest(*cutoffs: tuple[int, float]) -> pl.DataFrame:
    """(weeks before MONDAY, 97.5 % quantile) of forecasts that reach up to MONDAY."""
    rows = [
        ("BAG", MONDAY - timedelta(weeks=ago), MONDAY - timedelta(weeks=ago - step), step + 1, 0, high / 2, high)
        for ago, high in cutoffs
        for step in range(ago)
    ]
    return pl.DataFrame(rows, schema=["sku", "cutoff", "week", "step", "units", "mean", "q0.975"], orient="row")


def test_demand_is_high_when_every_recent_week_is_above_what_was_forecast_for_it():
    assert high_demand(history(3, 3, 11, 12), forecast(3.0), backtest((4, 10.0))).height == 1
    assert high_demand(history(3, 3, 12, 10), forecast(3.0), backtest((4, 10.0))).height == 0
    assert high_demand(history(3, 3, 10, 12), forecast(3.0), backtest((4, 10.0)), weeks=1).height == 1


def test_the_newest_forecast_that_was_made_before_a_week_counts():
    assert high_demand(history(3, 3, 11, 12), forecast(3.0), backtest((4, 10.0), (2, 30.0))).height == 0
    assert high_demand(history(3, 3, 11, 12), forecast(3.0), backtest((4, 30.0), (2, 10.0))).height == 1


def test_a_week_that_nothing_was_forecast_for_is_not_judged_by_a_quantile():
    (alert,) = high_demand(history(4, 5, 4, 5, 4, 5), forecast(12.0), None).to_dicts()
    assert json.loads(alert["details"]) == {"expected_weekly": 12.0, "pace_weekly": 4.5}


def test_a_forecast_that_goes_on_as_before_or_wavers_within_its_noise_is_no_jump():
    assert high_demand(history(4, 5, 4, 5), forecast(5.0), None).height == 0
    assert high_demand(history(0, 9, 0, 9, 0, 9), forecast(7.0), None).height == 0
    assert high_demand(history(), forecast(7.0), None).height == 0
