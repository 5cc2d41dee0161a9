"""What the reports say, counted by hand and by DuckDB over the same postings."""

from dataclasses import replace
from datetime import date
from itertools import pairwise
from typing import Any

import duckdb
import polars as pl
import pytest
from hypothesis import given, settings

from assets.finance.reports.model import Report, ReportError
from assets.finance.reports.registry import make_report
from assets.finance.reports.span import Span, buckets, compared_with, counterparts
from tests.assets.finance.reports.books import POSTINGS, any_postings, entry, line, sources, worth

SPAN = Span(date(2026, 2, 1), date(2026, 4, 30))
MARCH = Span(date(2026, 3, 1), date(2026, 3, 31))
DAY = date(2026, 3, 10)
SHOP = ("shop", "DE")


def report(
    name: str, postings: list[dict], lines: list[dict] | None = None, span: Span = MARCH, **options: Any
) -> Report:
    currency = options.pop("currency", "EUR")
    return make_report(name, sources(postings, lines, currency), span, **options)


@settings(max_examples=15, deadline=None)
@given(postings=any_postings)
def test_the_profit_and_loss_is_what_sql_counts(postings: list[dict]) -> None:
    frame = pl.DataFrame(postings, schema=POSTINGS, orient="row")
    with duckdb.connect() as connection:
        connection.register("postings", frame)
        rows = connection.execute(
            """
            SELECT account, strftime(day, '%Y-%m'), CAST(-sum(base_amount_minor) AS BIGINT) FROM postings
            WHERE account_type IN ('revenue', 'expense') AND day BETWEEN ? AND ? GROUP BY ALL
            """,
            [SPAN.first, SPAN.last],
        ).fetchall()
    found = report("profit_and_loss", postings, span=SPAN)
    assert all(found.cell(account, month) == amount for account, month, amount in rows)
    known = [amount for _, _, amount in rows if amount is not None]
    assert (found.cell("result", "total") or 0) == sum(known)


@settings(max_examples=15, deadline=None)
@given(postings=any_postings)
def test_statements_agree_with_each_other(postings: list[dict]) -> None:
    sheet, trial, cash, tax = (
        report(name, postings, span=SPAN) for name in ("balance_sheet", "trial_balance", "cash_flow", "vat_report")
    )
    for column in sheet.columns:
        assert (sheet.cell("total_assets", column.key) or 0) == (sheet.cell("total_claims", column.key) or 0)
    for row in trial.rows:
        if row.kind == "total":
            assert (trial.cell(row.key, "closing"), trial.cell(row.key, "opening")) == (0, 0)
            assert trial.cell(row.key, "debit") == trial.cell(row.key, "credit")
    # Where one month ends, the next begins: the first is counted by flows, the second by balances.
    months = buckets(SPAN, "month")
    for month, following in pairwise(months):
        assert cash.cell("closing", month) == cash.cell("opening", following)
    own = [p for p in postings if p["account"] == "2200" and SPAN.first <= p["day"] <= SPAN.last]
    assert (tax.cell("due", "total") or 0) == -sum(p["base_amount_minor"] or 0 for p in own)


def test_an_amount_without_a_rate_is_in_no_cell_and_in_a_note() -> None:
    pounds = entry(1, DAY, [("1100.shop", 900, "GBP"), ("4000.shop", -900, "GBP")], order=1, kind="order")
    euros = entry(2, DAY, [("1100.shop", 100, "EUR"), ("4300", -100, "EUR")], order=2, kind="order")
    found = report("profit_and_loss", pounds + euros)
    assert (found.cell("4000", "total"), found.cell("4300", "total"), found.cell("result", "total")) == (None, 100, 100)
    assert found.notes == ("1 postings in GBP, of 1 days, have no exchange rate and are in no amount.",)


def test_a_late_rate_makes_the_note_go() -> None:
    late = entry(1, DAY, [("1100.shop", 900, "USD"), ("4000.shop", -900, "USD")], order=1, kind="order")
    came = [dict(p, posting_id=p["posting_id"] + 50, entry_id=2, amount_minor=0) for p in late]
    for posting in late:
        posting["base_amount_minor"] = None
    found = report("profit_and_loss", late + came)
    assert (found.cell("4000", "total"), found.notes) == (worth(900, "USD"), ())
    assert report("profit_and_loss", late + came, currency="USD").cell("4000", "total") == 900


def test_the_margin_of_a_waterfall_is_unknown_where_a_cost_is() -> None:
    sold = [
        ("1100.shop", 700, "EUR"),
        ("4000.shop", -1000, "EUR"),
        ("4100.shop", 200, "EUR"),
        ("4200.shop", 100, "EUR"),
    ]
    posted = entry(1, DAY, sold, place=SHOP)
    posted += entry(2, DAY, [("5000", 333, "EUR"), ("1300", -333, "EUR")], place=SHOP)
    known = report("revenue_waterfall", posted, [line(1, 4, DAY)])
    values = [known.cell(row, "total") for row in ("4000", "4100", "4200", "net_sales", "5000", "margin")]
    assert values == [1000, -200, -100, 700, -333, 367]
    assert known.cell("margin_rate", "total") == pytest.approx(367 / 700)
    unknown = report("revenue_waterfall", posted, [line(1, 4, DAY), line(2, 4, DAY, sku="SCARF", quantity=3)])
    assert (unknown.cell("margin", "total"), unknown.cell("margin_rate", "total")) == (None, None)
    assert unknown.notes == ("The cost of 3 units is unknown, so margins with them are left empty.",)


def test_constant_currency_takes_the_rates_of_the_days_compared_with() -> None:
    posted = entry(1, DAY, [("1100.shop", 1000, "USD"), ("4000.shop", -1000, "USD")])
    books = sources(posted)
    year_ago = pl.when(pl.col("day") < date(2025, 6, 1)).then(pl.col("numerator") * 2).otherwise("numerator")
    dear = replace(books, ratios=books.ratios.with_columns(year_ago.alias("numerator")))
    found = make_report("profit_and_loss", dear, MARCH, compare="year_constant")
    assert found.cell("4000", "current") == worth(1000, "USD")
    assert found.cell("4000", "constant") == worth(2000, "USD")


def test_tax_is_owed_where_the_order_went() -> None:
    sale = [("1100.shop", 1200, "EUR"), ("4000.shop", -1000, "EUR"), ("2200.DE", -200, "EUR")]
    back = [("1100.shop", -600, "EUR"), ("4100.shop", 500, "EUR"), ("2200.DE", 100, "EUR")]
    free = [("1100.shop", 300, "EUR"), ("4000.shop", -300, "EUR")]
    posted = entry(1, DAY, sale, order=1, place=SHOP, kind="order")
    posted += entry(2, DAY, back, order=1, place=SHOP, kind="order")
    posted += entry(3, DAY, free, order=2, place=("shop", "US"), kind="order")
    posted += entry(4, DAY, [("2200.DE", 50, "EUR"), ("1000", -50, "EUR")])
    found = report("vat_report", posted)
    germany = [found.cell(f"DE/{part}", "2026-Q1") for part in ("taxed", "charged", "returned", "settled", "due")]
    assert germany == [500, 200, -100, -50, 50]
    assert (found.cell("US/untaxed", "total"), found.cell("due", "total")) == (300, 50)
    titles = [row.label for row in found.rows if row.kind == "heading" and row.depth == 0]
    assert titles == ["Member states of the European Union", "Elsewhere"]


@pytest.mark.parametrize(
    ("opened", "column"),
    [
        ("2026-03-31", "0-30"),
        ("2026-03-01", "0-30"),
        ("2026-02-28", "31-60"),
        ("2026-01-29", "61-90"),
        ("2025-12-30", "91-120"),
        ("2025-11-30", "120+"),
    ],
)
def test_an_open_item_is_as_old_as_its_invoice(opened: str, column: str) -> None:
    day = date.fromisoformat(opened)
    posted = entry(1, day, [("1200.wholesale", 900, "EUR"), ("4000.wholesale", -900, "EUR")], reference="W1")
    posted += entry(2, MARCH.last, [("1000", 400, "EUR"), ("1200.wholesale", -400, "EUR")], reference="W1")
    found = report("receivables_ageing", posted)
    assert found.cell("1200.wholesale/W1/EUR", column) == found.cell("total/EUR", "open") == 500


def test_what_is_settled_is_not_shown_and_an_unnamed_payment_is() -> None:
    posted = entry(1, DAY, [("1200.wholesale", 900, "EUR"), ("4000.wholesale", -900, "EUR")], reference="W1")
    posted += entry(2, DAY, [("1000", 900, "EUR"), ("1200.wholesale", -900, "EUR")], reference="W1")
    assert report("receivables_ageing", posted).notes == ("Nothing is owed.",)
    posted += entry(3, DAY, [("1000", 70, "EUR"), ("1200.wholesale", -70, "EUR")])
    assert report("receivables_ageing", posted).cell("1200.wholesale/entry 3/EUR", "open") == -70


def test_cohorts_follow_customers_from_their_first_purchase() -> None:
    bought = [
        line(1, 1, date(2026, 2, 3), customer="anna"),
        line(2, 2, date(2026, 2, 9), customer="bea"),
        line(3, 3, date(2026, 3, 4), customer="anna"),
        line(4, 3, date(2026, 3, 4), customer="anna"),
        line(5, 4, date(2026, 3, 5), customer="chloe"),
        line(6, 4, date(2026, 4, 5), kind="refund", customer="chloe", amount_minor=-400),
        line(7, 5, date(2026, 4, 5)),
    ]
    found = report("cohort_value", [], bought, SPAN)
    first = {s: [found.cell(f"2026-02/{s}", n) for n in "012"] for s in ("revenue", "orders", "customers")}
    assert first == {"revenue": [2000, 2000, 0], "orders": [2, 1, 0], "customers": [2, 1, 0]}
    assert [found.cell("2026-03/revenue", n) for n in "012"] == [1000, -400, None], "May has not begun"
    assert found.cell("all/revenue", "total") == 4600
    assert any("Guests" in note and "10.00 EUR" in note for note in found.notes)


def test_periods_are_compared_with_those_before() -> None:
    february, year_ago = Span(date(2026, 2, 1), date(2026, 2, 28)), Span(date(2025, 3, 1), date(2025, 3, 31))
    assert compared_with(MARCH, "previous") == february
    assert compared_with(SPAN, "previous") == Span(date(2025, 11, 1), date(2026, 1, 31))
    assert compared_with(Span(date(2026, 3, 5), date(2026, 3, 7)), "previous") == Span(
        date(2026, 3, 2), date(2026, 3, 4)
    )
    assert compared_with(MARCH, "year_constant") == year_ago
    leap = Span(date(2024, 2, 1), date(2024, 2, 29))
    assert compared_with(leap, "year").last == date(2023, 2, 28)
    assert counterparts(MARCH, february, "previous")["counterpart"].max() == february.last
    with pytest.raises(ReportError, match="calendar"):
        compared_with(Span(date(1, 1, 1), date(1, 1, 31)), "year")
    with pytest.raises(ReportError, match="400 columns"):
        buckets(Span(date(2020, 1, 1), date(2026, 1, 1)), "day")
