"""The report, the forecast and the status: they agree with a second count, and say so where nothing is known."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import duckdb
import polars as pl
import pytest

from assets.forecasting.schemas import BACKTEST_SCHEMA, FORECAST_SCHEMA, HISTORY
from luxauto_pipelines.agents.finance_inventory import AGENT
from luxauto_pipelines.agents.finance_inventory.errors import InvalidFields, UnknownItem
from resources.lake import Lake, MissingAsset
from resources.store.brand_store import BrandStore
from resources.store.ledger_chain import FIRST_HASH
from resources.store.rates import write_rates
from resources.store.stock import raise_alerts

Do = Callable[..., dict[str, Any]]
Rows = Callable[[str], list[tuple[Any, ...]]]
PERIOD = {"start_date": "2026-01-01", "end_date": "2026-01-31"}
NOON = "2026-01-{:02}T12:00:00+01:00"


def trade(do: Do) -> None:
    """A month of two SKUs on two channels in euros."""
    for sku, cost in (("BAG", 400), ("SCARF", 80)):
        do("sync_inventory", channel="shopify", items=[{"sku": sku, "cost_price": cost, "quantity_available": 500}])
    for n in range(1, 29):
        sku, price = ("BAG", 999.99) if n % 3 else ("SCARF", 179.95)
        total = Decimal(str(price)) * (n % 2 + 1) + Decimal("12.5")
        do(
            "record_transaction",
            amount=float(total),
            currency="EUR",
            order_id=f"O-{n}",
            channel=("shopify", "amazon")[n % 2],
            shipping_amount=12.5,
            line_items=[{"sku": sku, "quantity": n % 2 + 1, "unit_price": price}],
            occurred_at=NOON.format(n),
        )
    back = [{"sku": "BAG", "quantity": 1, "unit_price": 999.99}]
    do("record_transaction", type="refund", amount=999.99, currency="EUR", order_id="O-1", line_items=back,
       occurred_at=NOON.format(20))  # fmt: skip
    do("record_transaction", type="expense", amount=250, currency="EUR", occurred_at=NOON.format(30))


def test_the_report_agrees_with_a_second_count_in_sql(do: Do, rows: Rows) -> None:
    trade(do)
    report = do("financial_report", **PERIOD)
    lines = pl.DataFrame(
        rows(
            "SELECT l.order_id, c.code, l.kind, s.sku, l.quantity, l.amount_minor FROM order_lines l"
            " JOIN orders o ON o.id = l.order_id JOIN channels c ON c.id = o.channel_id LEFT JOIN skus s ON s.id = l.sku_id"
        ),
        schema=["order_id", "channel", "kind", "sku", "quantity", "minor"],
        orient="row",
    )
    with duckdb.connect() as second:
        second.register("lines", lines)
        sold, back, cost, orders, shipped = second.sql(
            """
            SELECT sum(minor) FILTER (kind = 'goods' AND quantity > 0), -sum(minor) FILTER (kind = 'goods' AND quantity < 0),
                   sum(quantity * CASE sku WHEN 'BAG' THEN 40000 ELSE 8000 END) FILTER (kind = 'goods'),
                   count(DISTINCT order_id), sum(minor) FILTER (kind = 'shipping') FROM lines
            """
        ).fetchall()[0]
        channels = dict(
            second.sql(
                "SELECT channel, sum(minor) FROM lines WHERE kind = 'goods' AND quantity > 0 GROUP BY 1"
            ).fetchall()
        )
        best = second.sql(
            "SELECT sku, sum(quantity), sum(minor) FROM lines WHERE kind = 'goods' AND quantity > 0 GROUP BY 1 ORDER BY 3 DESC"
        ).fetchall()
    summary = report["summary"]
    assert summary["total_revenue"] == sold / 100
    assert summary["total_refunds"] == back / 100
    assert summary["net_revenue"] == pytest.approx((sold - back) / 100, abs=1e-9)
    assert summary["cost_of_goods_sold"] == cost / 100
    assert summary["gross_profit"] == pytest.approx((sold - back - cost) / 100, abs=1e-9)
    assert summary["gross_margin"] == pytest.approx((sold - back - cost) / (sold - back), abs=1e-6)
    assert summary["average_order_value"] == round(sold / orders) / 100
    assert summary["operating_expenses"] == 250
    assert summary["net_profit"] == pytest.approx((sold - back - cost + shipped) / 100 - 250, abs=1e-9)
    assert summary["transaction_count"] == orders + 1 + 1
    assert report["revenue_by_channel"] == {name: minor / 100 for name, minor in channels.items()}
    assert [tuple(row.values()) for row in report["top_selling_items"]] == [(s, q, m / 100) for s, q, m in best]


@pytest.mark.slow
def test_the_report_says_what_the_command_line_says_of_the_same_days(do: Do, books: BrandStore) -> None:
    """The daily report as the assets make it from the store's lines, asked as `luxauto finance report` asks."""
    from assets.finance.accounts import chart_frame
    from assets.finance.fx import daily_ratios
    from assets.finance.posting import value_lines, wanted_postings
    from assets.finance.statements import daily_report
    from luxauto_pipelines.sales_report import sales_report
    from resources.store.catalog import read_costs
    from resources.store.ledger import post, read_postings, write_accounts
    from resources.store.orders import read_order_lines
    from resources.store.rates import read_rates

    trade(do)
    first, last = date(2026, 1, 1), date(2026, 1, 31)
    with books.write() as (connection, brand):
        lines = read_order_lines(connection, brand, first, last)
        ratios = daily_ratios(read_rates(connection, brand), "EUR")
        valued = value_lines(lines, read_costs(connection, brand), ratios, "EUR")
        accounts = write_accounts(connection, brand, chart_frame())
        post(connection, brand, wanted_postings(valued), accounts, first, last)
        postings = read_postings(connection, brand, first, last)
    # One of the expense, which was booked when it was recorded.
    sums = postings.group_by("entry_id", "kind").agg(pl.col("amount_minor").sum())
    assert sums["kind"].value_counts().sort("kind").rows() == [("expense", 1), ("order", 29)]
    assert sums["amount_minor"].to_list() == [0] * 30
    lake = Lake(books.settings.lake_url, books.settings.brand)
    lake.write("financial_report", daily_report(postings, valued, "EUR"), "2026-01")
    (month,) = sales_report(lake, "month", first, last)
    summary = do("financial_report", **PERIOD)["summary"]
    assert summary["total_revenue"] == float(month["gross_sales"])
    assert summary["total_refunds"] == float(month["returns"])
    assert summary["net_revenue"] == float(month["net_revenue"])
    assert summary["order_count"] == month["orders"]


def test_an_unknown_cost_leaves_profit_and_margin_empty(do: Do) -> None:
    do("record_transaction", amount=100, currency="EUR", occurred_at=NOON.format(5))
    summary = do("financial_report", **PERIOD)["summary"]
    assert summary["total_revenue"] == 100
    unknown = ("cost_of_goods_sold", "gross_profit", "gross_margin", "net_profit", "roi")
    assert [summary[name] for name in unknown] == [None] * 5
    assert summary["units_without_cost"] == 1


def test_a_period_without_sales_is_zero_and_has_no_margin(do: Do) -> None:
    report = do("financial_report", **PERIOD)
    assert report["summary"]["total_revenue"] == 0
    assert report["summary"]["average_order_value"] is None
    assert report["summary"]["gross_margin"] is None
    assert report["top_selling_items"] == []


def test_an_amount_without_a_rate_is_in_no_sum_and_is_named(do: Do) -> None:
    do("record_transaction", amount=100, currency="USD", occurred_at=NOON.format(5))
    report = do("financial_report", **PERIOD)
    assert report["summary"]["total_revenue"] == 0
    assert report["unconverted"] == [{"currency": "USD", "gross_sales": 100.0, "returns": 0.0, "days": ["2026-01-05"]}]


def test_amounts_are_converted_at_the_rate_of_their_day(do: Do, books: BrandStore) -> None:
    rates = pl.DataFrame(
        {
            "date": [date(2026, 1, 5), date(2026, 1, 6)],
            "base": "EUR",
            "quote": "USD",
            "rate": [Decimal("1.25"), Decimal("2")],
            "source": "test",
        },
        schema_overrides={"rate": pl.Decimal(28, 12)},
    )
    with books.write() as (connection, brand):
        write_rates(connection, brand, rates)
    for day in (5, 6):
        do("record_transaction", amount=100, currency="USD", occurred_at=NOON.format(day))
    assert do("financial_report", **PERIOD)["summary"]["total_revenue"] == 80 + 50
    assert do("financial_report", **PERIOD, currency="USD")["summary"]["total_revenue"] == 200


def test_the_report_covers_the_last_thirty_days_unless_told(do: Do) -> None:
    do("record_transaction", amount=7, currency="EUR")
    report = do("financial_report")
    first, last = (date.fromisoformat(day) for day in report["period"].values())
    assert (last - first).days == 29
    assert report["summary"]["total_revenue"] == 7


def test_days_that_run_backwards_are_refused(do: Do) -> None:
    with pytest.raises(InvalidFields, match="start_date"):
        do("financial_report", start_date="2026-02-01", end_date="2026-01-01")


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31"])
def test_the_ends_of_the_calendar_are_days_too(do: Do, day: str) -> None:
    assert do("financial_report", start_date=day, end_date=day)["period"] == {"start_date": day, "end_date": day}


def forecast_in_lake(books: BrandStore, sku: str, first_week: date, model: str = "ensemble") -> None:
    lake = Lake(books.settings.lake_url, books.settings.brand)
    quantiles = {"q0.025": 5.0, "q0.1": 7.0, "q0.5": 14.0, "q0.9": 21.0, "q0.975": 25.0}
    shared = {"shard": "00", "sku": sku, "model": model, "mean": 14.0, **quantiles}
    weeks = [
        shared
        | {
            "week": first_week + timedelta(weeks=n),
            "step": n + 1,
            "lower": 7.0,
            "upper": 21.0,
            "level": 0.8,
            "state": "active",
        }
        for n in range(13)
    ]
    lake.write("demand_forecast", pl.DataFrame(weeks, schema=FORECAST_SCHEMA), "00")
    # Of four weeks that nothing had seen, one sold twice what was expected: WAPE 14 / 70.
    unseen = [
        shared
        | {
            "demand_class": "smooth",
            "cutoff": first_week - timedelta(weeks=5),
            "week": first_week - timedelta(weeks=4 - n),
        }
        | {"locked": True, "step": n + 1, "units": 28.0 if n == 0 else 14.0, "scale": 1.0}
        for n in range(4)
    ]
    lake.write("forecast_backtest", pl.DataFrame(unseen, schema=BACKTEST_SCHEMA), "00")
    plan = pl.DataFrame({"sku": [sku], "recommended_quantity": [30]})
    lake.write("reorder_plan", plan)


def monday(today: date) -> date:
    return today - timedelta(days=today.weekday())


def test_a_forecast_is_told_by_day_from_today(do: Do, books: BrandStore) -> None:
    do("sync_inventory", channel="shopify", items=[{"sku": "BAG", "item_id": "gid-1"}])
    today = datetime.now(UTC).date()
    forecast_in_lake(books, "BAG", monday(today))
    answer = do("forecast", item_id="gid-1", forecast_period_days=14)
    assert (answer["item_id"], answer["sku"], answer["model"]) == ("gid-1", "BAG", "ensemble")
    assert answer["predicted_demand"] == pytest.approx(28, abs=0.001)
    assert answer["confidence_interval"] == pytest.approx({"lower": 14, "upper": 42}, abs=0.001)
    assert (answer["confidence_score"], answer["recommended_order_quantity"]) == (0.8, 30)
    assert "off by 3.5 units a week" in answer["reason"]
    assert "held 3 times" in answer["reason"]
    assert len(answer["daily"]) == 14
    assert abs((date.fromisoformat(answer["daily"][0]["date"]) - today).days) <= 1
    assert do("forecast", item_id="BAG", forecast_period_days=14)["forecast_id"] == answer["forecast_id"]


def test_a_forecast_goes_on_past_its_horizon_at_its_last_level(do: Do, books: BrandStore) -> None:
    do("sync_inventory", channel="shopify", items=[{"sku": "BAG"}])
    forecast_in_lake(books, "BAG", monday(datetime.now(UTC).date()))
    answer = do("forecast", item_id="BAG", forecast_period_days=365)
    assert len(answer["daily"]) == 365
    assert answer["predicted_demand"] == pytest.approx(365 * 2, abs=0.01)


def test_an_old_forecast_is_told_for_the_days_that_it_is_of(do: Do, books: BrandStore) -> None:
    do("sync_inventory", channel="shopify", items=[{"sku": "BAG"}])
    forecast_in_lake(books, "BAG", date(2011, 12, 12))
    assert do("forecast", item_id="BAG")["forecast_period"]["start_date"] == "2011-12-12"


def test_an_item_that_never_sold_has_no_history_and_no_invented_number(do: Do, books: BrandStore) -> None:
    do("sync_inventory", channel="shopify", items=[{"sku": "NEW"}])
    for _ in ("before any refresh", "after one"):
        answer = do("forecast", item_id="NEW")
        assert answer["model"] == "no_history"
        assert answer["predicted_demand"] is None
        assert answer["confidence_interval"] == {"lower": None, "upper": None}
        assert answer["daily"] == []
        assert "No sale" in answer["reason"]
        forecast_in_lake(books, "BAG", date(2026, 1, 5))


def test_an_item_that_is_newer_than_the_last_refresh_is_forecast_at_once_by_items_like_it(
    do: Do, books: BrandStore
) -> None:
    do("sync_inventory", channel="shopify", items=[{"sku": sku} for sku in ("OLD", "NEW")])
    with books.write() as (connection, brand):
        connection.exec_driver_sql(f"INSERT INTO products (brand_id, code, category) VALUES ({brand}, 'BAGS', 'bags')")
        connection.exec_driver_sql("UPDATE skus SET product_id = (SELECT id FROM products WHERE code = 'BAGS')")
    first = monday(datetime.now(UTC).date()) - timedelta(weeks=40)
    weeks = [{"shard": "00", "sku": "OLD", "week": first + timedelta(weeks=n), "units": 10.0} for n in range(40)]
    filled = pl.DataFrame(weeks, schema=HISTORY).with_columns(
        pl.col("units_lost").fill_null(0.0),
        pl.col("days_out_of_stock").fill_null(0),
        pl.col("units_sold").fill_null(10),
    )
    lake = Lake(books.settings.lake_url, books.settings.brand)
    lake.write("demand_history", filled, "00")
    lake.write("demand_forecast", pl.DataFrame(schema=FORECAST_SCHEMA), "00")
    answer = do("forecast", item_id="NEW", forecast_period_days=28)
    assert answer["model"] == "launch_curve"
    assert 10 < answer["predicted_demand"] < 120
    assert answer["confidence_interval"]["lower"] < answer["predicted_demand"] < answer["confidence_interval"]["upper"]


def test_sales_that_wait_for_a_refresh_are_not_called_no_history(do: Do, books: BrandStore) -> None:
    do("record_transaction", amount=1, currency="EUR", line_items=[{"sku": "BAG", "quantity": 1, "unit_price": 1}])
    with pytest.raises(MissingAsset, match="luxauto refresh"):
        do("forecast", item_id="BAG")


def test_an_item_that_nobody_knows_is_an_error(do: Do) -> None:
    with pytest.raises(UnknownItem, match="NOPE"):
        do("forecast", item_id="NOPE")


def test_the_status_counts_real_rows(do: Do, books: BrandStore) -> None:
    items = [
        {"sku": "FULL", "quantity_available": 9, "reorder_point": 2},
        {"sku": "LOW", "quantity_available": 2, "reorder_point": 2},
        {"sku": "GONE", "quantity_available": 1},
        {"sku": "UNCOUNTED"},
    ]
    do("sync_inventory", channel="shopify", items=items)
    do("sync_inventory", channel="shopify", items=[{"sku": "GONE", "quantity_available": 0}])
    do("record_transaction", amount=1, currency="EUR")
    with books.write() as (connection, brand):
        alerts = pl.DataFrame({"sku": ["LOW"], "kind": ["low_stock"], "details": ["{}"]})
        raise_alerts(connection, brand, alerts)
    status = AGENT.status(books)
    assert status["inventory"] == {"total_items": 4, "in_stock": 1, "low_stock": 1, "out_of_stock": 1, "not_counted": 1}
    assert status["transactions"] == {
        "total_transactions": 1,
        "by_type": {"sale": 1},
        # The sale is posted at the day's close.
        "ledger_head": FIRST_HASH,
        "closed_through": None,
    }
    assert status["alerts"] == {"active_alerts": 1, "total_alerts": 1}
    assert status["performance"] == {"sync_count": 2}
    assert status["circuit_breakers"] == {}
