"""Statements: the report, the ledger and the lines say the same; two currencies are never added; what is unknown is empty."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import duckdb
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.finance.accounts import CHART, CLEARING
from assets.finance.fx import daily_ratios
from assets.finance.posting import value_lines, wanted_postings
from assets.finance.rules import account_of_kind
from assets.finance.statements import (
    DAILY,
    PERIOD_FORMATS,
    SALES_REPORT_SQL,
    cash_by_month,
    daily_report,
    margin_by,
    margin_by_month,
    profit_and_loss,
)

DAY = date(2026, 3, 2)
LINES = {
    "order_id": pl.Int64,
    "day": pl.Date,
    "order_day": pl.Date,
    "channel": pl.String,
    "kind": pl.String,
    "sku": pl.String,
    "quantity": pl.Int64,
    "amount_minor": pl.Int64,
    "currency": pl.String,
}
COSTS = {"sku": pl.String, "valid_from": pl.Date, "cost_minor": pl.Int64, "currency": pl.String}
RATES = {"day": pl.Date, "base": pl.String, "quote": pl.String, "rate": pl.Decimal(28, 12), "source": pl.String}
MONEY = (
    *("gross_sales", "returns", "discounts", "shipping", "other_sales", "adjustments", "tax", "gift_cards"),
    *("fees", "samples", "bad_debt"),
)
KINDS = [*account_of_kind(), "gift", "stock_adjustment", "test"]
ALWAYS = date(1970, 1, 1)
COSTED = (("BAG", ALWAYS, 333, "EUR"), ("SHOE", ALWAYS, 45_001, "JPY"), ("BELT", ALWAYS, 9, "GBP"))
# The pound has no rate anywhere.
WORTH = {"USD": "0.923417", "JPY": "0.00612345"}


def total(column: pl.Series) -> int:
    return int(column.sum())


def line(kind: str = "goods", amount: int = 1000, quantity: int = 1, **other: Any) -> dict[str, Any]:
    plain = {"order_id": 1, "day": DAY, "order_day": DAY, "channel": "online_store", "currency": "EUR"}
    sku = "BAG" if kind == "goods" else None
    return {**plain, "sku": sku, "kind": kind, "quantity": quantity, "amount_minor": amount, **other}


def valued(lines: list[dict[str, Any]], costs: tuple = COSTED, worth: dict[str, str] = WORTH) -> pl.DataFrame:
    days = [DAY + timedelta(days=n) for n in range(-40, 41)]
    rates = [(day, currency, "EUR", Decimal(rate), "test") for day in days for currency, rate in worth.items()]
    return value_lines(
        pl.DataFrame(lines, schema=LINES, orient="row"),
        pl.DataFrame(costs, schema=COSTS, orient="row"),
        daily_ratios(pl.DataFrame(rates, schema=RATES, orient="row"), "EUR"),
        "EUR",
    )


def ledger(values: pl.DataFrame) -> pl.DataFrame:
    """What stands in the journal of these lines, with the names that reports need."""
    names = pl.DataFrame([(a.code, a.name, a.type) for a in CHART], schema=["account", "n", "t"], orient="row")
    channels = values.select("order_id", "channel").unique("order_id")
    return (
        wanted_postings(values)
        .join(channels, on="order_id", how="left")
        .join(names, on="account", how="left")
        .rename({"n": "account_name", "t": "account_type"})
    )


def report(lines: list[dict[str, Any]], *args: Any) -> pl.DataFrame:
    values = valued(lines, *args)
    return daily_report(ledger(values), values, "EUR")


any_lines = st.lists(
    st.builds(
        lambda order, **rest: line(**rest, order_id=order, channel=("online_store", "physical_store")[order % 2]),
        order=st.integers(1, 6),
        kind=st.sampled_from([*["goods"] * 5, *KINDS]),
        amount=st.integers(1, 10**9),
        quantity=st.integers(-20, 20).filter(bool),
        day=st.sampled_from([DAY, DAY + timedelta(days=1), DAY + timedelta(days=31)]),
        currency=st.sampled_from(["EUR", "USD", "GBP"]),
        sku=st.sampled_from(["BAG", "SHOE", "BELT", "SCARF"]),
    ).map(lambda row: {**row, "amount_minor": row["amount_minor"] * (1 if row["quantity"] > 0 else -1)}),
    max_size=25,
)


# The daily report


def test_a_day_adds_up_by_hand():
    rows = report(
        [
            line(amount=2000, quantity=2),
            line(amount=-500, quantity=-1),
            line("refund", -100, -1),
            line("discount", -50, -1),
            line("shipping", 70),
            line("tax", 210),
            line("fee", -30, -1),
            line("gift", 0, 1, sku="BAG"),
        ]
    )

    assert rows.height == 1
    row = rows.row(0, named=True)
    expected = {"gross_sales": 2000, "returns": 600, "net_revenue": 1400, "discounts": 50}
    expected |= {"shipping": 70, "tax": 210, "fees": 30, "gift_cards": 0, "bad_debt": 0}
    for name, amount in expected.items():
        assert (row[f"{name}_minor"], row[f"base_{name}_minor"]) == (amount, amount)
    counts = ("orders", "units_sold", "units_returned", "units_costed")
    assert [row[name] for name in counts] == [1, 2, 1, 1]
    assert (row["base_cost_of_goods_minor"], row["base_costed_revenue_minor"]) == (333, 1500)


@settings(max_examples=100, deadline=None)
@given(any_lines)
def test_report_ledger_and_lines_say_the_same_of_every_currency(lines: list[dict[str, Any]]):
    values = valued(lines)
    postings = ledger(values)
    rows = daily_report(postings, values, "EUR")

    assert dict(rows.schema) == DAILY
    for currency in ("EUR", "USD", "GBP"):
        mine, of_lines = rows.filter(currency=currency), [row for row in lines if row["currency"] == currency]
        assert mine["gross_sales_minor"].sum() == sum(
            row["amount_minor"] for row in of_lines if row["kind"] == "goods" and row["quantity"] > 0
        )
        assert mine["returns_minor"].sum() == -sum(
            row["amount_minor"]
            for row in of_lines
            if row["kind"] == "refund" or (row["kind"] == "goods" and row["quantity"] < 0)
        )
        accounts = postings.filter(pl.col("account_type").is_in(["revenue"]), pl.col("currency") == currency)
        revenue = ("net_revenue", "shipping", "other_sales", "adjustments")
        reported = sum(total(mine[f"{name}_minor"]) for name in revenue) - total(mine["discounts_minor"])
        assert reported == -accounts["amount_minor"].sum()
    assert rows["units_sold"].sum() == sum(
        row["quantity"] for row in lines if row["kind"] == "goods" and row["quantity"] > 0
    )


@settings(max_examples=60, deadline=None)
@given(any_lines)
def test_the_base_amounts_of_the_report_are_those_of_the_ledger(lines: list[dict[str, Any]]):
    values = valued(lines)
    postings, rows = ledger(values), daily_report(ledger(values), values, "EUR")

    def booked(*accounts: str) -> int:
        return total(postings.filter(pl.col("account").is_in(accounts))["base_amount_minor"])

    assert rows["base_net_revenue_minor"].sum() == -booked("4000", "4100")
    assert rows["base_tax_minor"].sum() == -booked("2200")
    assert rows["base_fees_minor"].sum() == booked("6100")
    # Goods sold without a rate have a cost in the ledger, and are in no base amount of the report.
    unsold = total(values.filter(pl.col("base_amount_minor").is_null())["base_cost_minor"])
    assert rows["base_cost_of_goods_minor"].sum() == booked("5000") - unsold


@settings(max_examples=60, deadline=None)
@given(any_lines)
def test_two_currencies_are_never_added(lines: list[dict[str, Any]]):
    rows = report(lines)

    assert rows.select("day", "channel", "currency").is_unique().all()
    # The shoe costs yen, and nothing was sold for yen.
    assert set(rows["currency"]) == {row["currency"] for row in lines}
    # Without a rate nothing is claimed of the base currency; with one everything is.
    booked = pl.any_horizontal(pl.col(f"{name}_minor") != 0 for name in MONEY)
    for name in (*MONEY, "net_revenue"):
        base = pl.col(f"base_{name}_minor")
        assert rows.filter(pl.col("currency") != "GBP", base.is_null()).is_empty()
        assert rows.filter(pl.col("currency") == "GBP", booked, base.is_not_null()).is_empty()
    assert rows.filter(currency="EUR").select(
        *(pl.col(f"{n}_minor").eq(pl.col(f"base_{n}_minor")).all() for n in MONEY)
    ).row(0) == (True,) * len(MONEY)


@settings(max_examples=60, deadline=None)
@given(any_lines, st.randoms(use_true_random=False))
def test_the_order_of_postings_and_lines_does_not_matter(lines: list[dict[str, Any]], random: Any):
    values = valued(lines)
    postings = ledger(values)
    shuffled = values[random.sample(range(values.height), values.height)]
    turned = postings[random.sample(range(postings.height), postings.height)]

    assert daily_report(turned, shuffled, "EUR").equals(daily_report(postings, values, "EUR"))
    assert profit_and_loss(turned.lazy(), "EUR").equals(profit_and_loss(postings.lazy(), "EUR"))
    for keys in (["sku"], ["channel"], ["channel", "sku"]):
        assert margin_by(shuffled, keys).equals(margin_by(values, keys))
    assert cash_by_month(turned.lazy(), CLEARING.code).equals(cash_by_month(postings.lazy(), CLEARING.code))


def test_an_order_counts_once_on_its_first_day_and_only_with_goods_sold():
    next_day = DAY + timedelta(days=1)
    rows = report(
        [
            line(order_id=1),
            line(order_id=1, sku="SHOE"),
            line(order_id=1, day=next_day),
            line(order_id=2, amount=-100, quantity=-1),
            line("shipping", order_id=3),
            line(order_id=4),
        ]
    )

    assert dict(rows.select("day", "orders").iter_rows()) == {DAY: 2, next_day: 0}


def test_the_unknown_rate_of_one_sale_hides_no_cost_of_another():
    rows = report([line(amount=1000), line(order_id=2, amount=700, currency="GBP")])

    euro, pound = rows.filter(currency="EUR").row(0, named=True), rows.filter(currency="GBP").row(0, named=True)
    assert (euro["base_cost_of_goods_minor"], euro["base_costed_revenue_minor"], euro["units_costed"]) == (333, 1000, 1)
    assert (pound["base_net_revenue_minor"], pound["base_cost_of_goods_minor"], pound["units_costed"]) == (
        None,
        None,
        0,
    )
    assert pound["net_revenue_minor"] == 700


def test_a_cost_without_a_rate_is_unknown():
    row = report([line(sku="BELT", amount=1000)]).filter(currency="EUR").row(0, named=True)

    assert (row["base_cost_of_goods_minor"], row["units_costed"], row["base_costed_revenue_minor"]) == (None, 0, 0)


def test_without_any_cost_the_cost_is_empty_and_not_zero():
    assert report([line()], ()).row(0, named=True)["base_cost_of_goods_minor"] is None


def test_a_day_on_which_nothing_was_booked_is_worth_nothing_and_not_unknown():
    row = report([line("gift", 0, 1, sku="BAG", currency="GBP")]).row(0, named=True)

    assert (row["net_revenue_minor"], row["base_net_revenue_minor"]) == (0, 0)


def late(lines: list[dict[str, Any]]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The journal of lines that were first posted without a rate, and then corrected by one; the values as now known."""
    values = valued(lines)
    before, now = ledger(valued(lines, COSTED, {})), ledger(values)
    correction = now.filter(pl.col("currency") != "EUR").with_columns(pl.lit(0, pl.Int64).alias("amount_minor"))
    return pl.concat([before, correction]), values


def test_a_rate_that_comes_late_makes_the_report_known():
    postings, values = late([line(amount=1000, currency="USD"), line("tax", 200, currency="USD"), line(amount=50)])

    assert daily_report(postings, values, "EUR").equals(daily_report(ledger(values), values, "EUR"))
    rows = profit_and_loss(postings.lazy(), "EUR")
    assert rows.equals(profit_and_loss(ledger(values).lazy(), "EUR"))
    assert rows["unconverted"].sum() == 0


def test_no_lines_make_an_empty_report():
    assert report([]).schema == DAILY
    assert report([]).is_empty()


# Profit and loss


def test_profit_and_loss_by_hand():
    postings = ledger(valued([line(amount=1000), line("discount", -100, -1), line("fee", -30, -1), line("tax", 200)]))
    rows = profit_and_loss(postings.lazy(), "EUR")

    assert [(r["section"], r["account"], r["amount_minor"]) for r in rows.iter_rows(named=True)] == [
        ("revenue", "4000", 1000),
        ("revenue", "4200", -100),
        ("expense", "5000", -333),
        ("expense", "6100", -30),
    ]
    assert rows["month"].unique().to_list() == [date(2026, 3, 1)]


@settings(max_examples=60, deadline=None)
@given(any_lines)
def test_the_result_is_what_clearing_inventory_and_the_liabilities_gained(lines: list[dict[str, Any]]):
    postings = ledger(valued(lines))
    rows = profit_and_loss(postings.lazy(), "EUR")

    balance = postings.filter(pl.col("account_type").is_in(["asset", "liability"]))
    assert rows["amount_minor"].sum() == balance["base_amount_minor"].sum()
    unknown = postings.filter(
        pl.col("account_type").is_in(["revenue", "expense"]), pl.col("base_amount_minor").is_null()
    )
    assert rows["unconverted"].sum() == unknown.height
    assert rows.select("month", "account").is_unique().all()


# Margins


@settings(max_examples=80, deadline=None)
@given(any_lines)
def test_margins_of_a_month_are_those_of_its_lines_alone(lines: list[dict[str, Any]]):
    values = valued(lines)
    rows = margin_by_month(values, ["channel"])
    assert rows["month"].is_sorted()
    for month in values["day"].dt.month_start().unique():
        own = margin_by(values.filter(pl.col("day").dt.month_start() == month), ["channel"])
        assert rows.filter(pl.col("month") == month).drop("month").equals(own)


@settings(max_examples=80, deadline=None)
@given(any_lines)
def test_margins_add_up_to_the_report_by_whatever_they_are_told_apart(lines: list[dict[str, Any]]):
    values = valued(lines)
    net = report(lines)["base_net_revenue_minor"].sum()

    for keys in (["sku"], ["channel"], ["channel", "sku"]):
        rows = margin_by(values, keys)
        assert rows["base_revenue_minor"].sum() == net
        known = rows.drop_nulls("base_cost_minor")
        assert (known["base_revenue_minor"] - known["base_cost_minor"]).equals(
            known["base_margin_minor"], check_names=False
        )
        assert rows["base_margin_minor"].is_null().equals(rows["base_cost_minor"].is_null(), check_names=False)


def test_a_margin_needs_the_cost_of_every_unit():
    values = valued([line(amount=1000), line(amount=1000, sku="SCARF")])

    by_sku = {row["sku"]: row for row in margin_by(values, ["sku"]).iter_rows(named=True)}
    assert (by_sku["BAG"]["base_margin_minor"], by_sku["BAG"]["margin_rate"]) == (667, pytest.approx(0.667))
    assert (by_sku["SCARF"]["base_cost_minor"], by_sku["SCARF"]["base_margin_minor"]) == (None, None)
    channel = margin_by(values, ["channel"]).row(0, named=True)
    assert (channel["units"], channel["units_costed"], channel["base_margin_minor"]) == (2, 1, None)


def test_a_line_without_a_rate_is_in_no_amount_neither_revenue_nor_cost():
    row = margin_by(valued([line(amount=1000), line(amount=900, currency="GBP")]), ["sku"]).row(0, named=True)

    assert (row["base_revenue_minor"], row["base_cost_minor"], row["base_margin_minor"]) == (1000, 333, 667)
    assert row["unconverted"] == 1


@pytest.mark.parametrize("costs", [COSTED, ()])
def test_where_nothing_has_a_rate_the_margin_is_unknown(costs: tuple):
    row = margin_by(valued([line(amount=900, currency="GBP")], costs), ["sku"]).row(0, named=True)

    assert (row["base_cost_minor"], row["base_margin_minor"], row["margin_rate"]) == (None, None, None)


def test_refunds_without_goods_lower_the_revenue_and_move_no_units():
    row = margin_by(valued([line(amount=1000), line("refund", -200, -1, sku="BAG")]), ["sku"]).row(0, named=True)

    assert (row["units"], row["base_revenue_minor"], row["base_margin_minor"]) == (1, 800, 467)


# Cash and the sales report


def test_cash_comes_in_with_sales_and_goes_out_with_refunds():
    next_month = DAY + timedelta(days=31)
    lines = [line(amount=1000), line("tax", 200), line("refund", -300, -1, order_id=2), line(amount=70, day=next_month)]
    rows = cash_by_month(ledger(valued(lines)).lazy(), CLEARING.code)

    assert rows.rows() == [(date(2026, 3, 1), 1200, 300, 900), (date(2026, 4, 1), 70, 0, 70)]


def sales_report(rows: pl.DataFrame, by: str) -> list[dict[str, Any]]:
    connection = duckdb.connect()
    connection.register("financial_report", rows.to_arrow())
    parameters = [by, PERIOD_FORMATS[by], date.min, date.max]
    return connection.sql(SALES_REPORT_SQL, params=parameters).pl().to_dicts()


def test_the_sales_report_shows_what_has_no_rate_in_its_own_currency():
    rows = report([line(amount=1000), line(amount=500, currency="USD"), line(order_id=2, amount=700, currency="GBP")])

    found = {row["currency"]: row for row in sales_report(rows, "month")}
    assert set(found) == {"EUR", "GBP"}
    assert found["EUR"]["gross_sales_minor"] == 1000 + 462
    assert (found["GBP"]["gross_sales_minor"], found["GBP"]["net_revenue_minor"], found["GBP"]["orders"]) == (
        700,
        700,
        1,
    )


@settings(max_examples=40, deadline=None)
@given(any_lines)
def test_the_sales_report_adds_up_to_the_daily_ones(lines: list[dict[str, Any]]):
    rows = report(lines)

    for by in PERIOD_FORMATS:
        found = sales_report(rows, by)
        base = sum(row["net_revenue_minor"] for row in found if row["currency"] == "EUR")
        pounds = sum(row["net_revenue_minor"] for row in found if row["currency"] == "GBP")
        assert base == rows["base_net_revenue_minor"].sum()
        assert pounds == rows.filter(currency="GBP")["net_revenue_minor"].sum()
        assert sum(row["orders"] for row in found) == rows["orders"].sum()
