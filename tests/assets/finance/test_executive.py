"""The executive report: what it says, how the page shows it, and what the workbook holds."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from html.parser import HTMLParser
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.finance.executive import (
    MISSING,
    NOTHING,
    SCHEMAS,
    Change,
    ExecutiveReport,
    ReportError,
    build_report,
    decimal_amount,
    last_full_month,
    money_text,
)
from assets.finance.executive_page import render_page
from assets.finance.executive_workbook import render_workbook

SHEETS = ["Summary", "Monthly", "Channels", "SKUs", "Stock-outs", "Forecast", "Cash", "Returns", "Notes"]
INJECTION = '<script>alert("1")</script><img src=x onerror=alert(1)>'
FORMULA = '=HYPERLINK("evil","click")'


def months_from(first: date, count: int) -> list[date]:
    return [date(first.year + (first.month - 1 + i) // 12, (first.month - 1 + i) % 12 + 1, 1) for i in range(count)]


def sales_by_month() -> pl.DataFrame:
    """Fifteen months to December 2011, of which the last has nine days; November sells most."""
    season = [1.0, 1.31, 0.94, 0.62, 0.55, 0.74, 0.58, 0.79, 0.71, 0.73, 0.76, 1.09, 1.14, 1.52, 0.41]
    gross = [int(98_765_432 * factor) + 7 * i for i, factor in enumerate(season)]
    returns = [amount // 23 for amount in gross]
    net = [amount - back for amount, back in zip(gross, returns, strict=True)]
    return pl.DataFrame(
        {
            "month": months_from(date(2010, 10, 1), len(season)),
            "gross_sales": gross,
            "returns": returns,
            "net_revenue": net,
            "orders": [amount // 47_011 for amount in gross],
            "units": [amount // 21_113 for amount in gross],
            "cogs": [amount * 38 // 100 for amount in net],
            "margin": [amount - amount * 38 // 100 for amount in net],
        }
    )


def sales_by_sku() -> pl.DataFrame:
    names = [
        "Silk twill carré",
        "Cashmere wrap coat, camel",
        "Calfskin top-handle bag, noir",
        "Hand-stitched driving gloves",
        "Enamel bangle, narrow",
        "Suede loafer, tobacco",
        "Leather weekender, cognac",
        "Wool flannel trousers",
        INJECTION,
        FORMULA,
        None,
        "Poplin shirt, ivory",
    ]
    net = [9_876_543 - 611_213 * i for i in range(len(names))]
    margin = [None if i % 3 == 2 else amount * 61 // 100 for i, amount in enumerate(net)]
    return pl.DataFrame(
        {
            "sku": [f"LX-{1000 + 37 * i}" for i in range(len(names))],
            "name": names,
            "units": [412 - 29 * i for i in range(len(names))],
            "net_revenue": net,
            "margin": margin,
        }
    )


def demand() -> pl.DataFrame:
    weeks = [date(2010, 12, 6) + timedelta(weeks=i) for i in range(65)]
    sold = [2100 + 37 * ((i * 29) % 17) + (1400 if week.month in (11, 12) else 0) for i, week in enumerate(weeks)]
    future = [None] * 53
    return pl.DataFrame(
        {
            "week": weeks,
            "actual": [*(float(units) for units in sold[:53]), *[None] * 12],
            "mean": [*future, *(2900.0 - 70 * i for i in range(12))],
            "lower": [*future, *(2400.0 - 110 * i for i in range(12))],
            "upper": [*future, *(3450.0 - 20 * i for i in range(12))],
        }
    )


def cash_by_month(monthly: pl.DataFrame) -> pl.DataFrame:
    return monthly.select(
        "month",
        inflow=pl.col("gross_sales"),
        outflow=pl.col("returns") + pl.col("gross_sales") // 34,
        net=pl.col("net_revenue") - pl.col("gross_sales") // 34,
    )


def figures(**changes: Any) -> dict[str, Any]:
    """Plausible arguments of build_report, some of them changed."""
    monthly = sales_by_month()
    net = int(monthly["net_revenue"].sum())
    return {
        "brand": "Maison Aurélie",
        "currency": "GBP",
        "exponent": 2,
        "period_first": date(2010, 10, 1),
        "period_last": date(2011, 12, 9),
        "generated_at": datetime(2011, 12, 10, 5, 30, tzinfo=UTC),
        "monthly": monthly,
        "unconverted": pl.DataFrame({"currency": ["KWD", "JPY"], "net_revenue": [1_234_567, 98_765]}),
        "by_channel": pl.DataFrame(
            {
                "channel": ["woocommerce", "shopify", "amazon", "ebay"],
                "net_revenue": [net - 400_000_000, 250_000_000, 130_000_000, 20_000_000],
            }
        ),
        "by_sku": sales_by_sku(),
        "slow": pl.DataFrame(
            {
                "sku": ["LX-2001", "LX-2002", "LX-1407"],
                "name": ["Velvet evening clutch", "Tulle fascinator", "Poplin shirt, ivory"],
                "on_hand": [48, 31, 112],
                "units_last_13_weeks": [0, 0, 2],
                "weeks_since_last_sale": [41, None, 6],
            }
        ),
        "stockouts_ahead": pl.DataFrame(
            {
                "sku": ["LX-1000", "LX-1074", "LX-1148"],
                "name": ["Silk twill carré", "Calfskin top-handle bag, noir", "Enamel bangle, narrow"],
                "available": [14, 3, 0],
                "weekly_mean": [9.25, 1.6, 4.0],
                "stockout_on": [date(2011, 12, 20), date(2011, 12, 23), date(2011, 12, 9)],
                "recommended_quantity": [96, 12, 40],
            }
        ),
        "fan": demand(),
        "cash": cash_by_month(monthly),
        "returns": pl.DataFrame(
            {
                "category": ["all", "shoes", "ready-to-wear", "leather goods", "accessories"],
                "units_sold": [54_210, 6_120, 13_400, 9_310, 25_380],
                "units_returned": [2_346, 571, 1_102, 301, 372],
            }
        ),
        "notes": ["Orders of 12 March 2011 were imported twice and counted once."],
        **changes,
    }


def plausible_report(**changes: Any) -> ExecutiveReport:
    return build_report(**figures(**changes))


def bare_report(**sections: Any) -> ExecutiveReport:
    """A report on nothing but the given sections; without charts it renders in milliseconds."""
    names = ("brand", "currency", "exponent", "period_first", "period_last", "generated_at")
    return build_report(**{name: value for name, value in figures().items() if name in names}, **sections)


def kpi(report: ExecutiveReport, key: str) -> Any:
    return next(figure for figure in report.kpis if figure.key == key)


# What the report says


def test_sales_figures_are_those_of_the_last_month_that_is_over() -> None:
    report = plausible_report()
    november = sales_by_month().row(13, named=True)
    assert kpi(report, "net_revenue").value == november["net_revenue"]
    assert kpi(report, "net_revenue").detail == "November 2011"
    assert kpi(report, "orders").value == november["orders"]
    assert kpi(report, "gross_margin").value == pytest.approx(november["margin"] / november["net_revenue"])


def test_a_figure_is_compared_with_the_month_before_and_the_same_month_a_year_before() -> None:
    net = sales_by_month()["net_revenue"]
    before, a_year_before = kpi(plausible_report(), "net_revenue").changes
    assert before == Change("October 2011", (net[13] - net[12]) / net[12])
    assert a_year_before == Change("November 2010", (net[13] - net[1]) / net[1])


def test_a_month_that_is_not_in_the_data_is_not_compared_with() -> None:
    report = plausible_report(monthly=sales_by_month().tail(2))
    assert [change.ratio for change in kpi(report, "net_revenue").changes] == [None, None]
    assert "no figure for November 2010" in render_page(report)


def test_the_average_order_value_is_gross_sales_over_orders_to_the_penny() -> None:
    monthly = (
        sales_by_month()
        .filter(pl.col("month") == date(2011, 11, 1))
        .with_columns(gross_sales=pl.lit(1_000_05), orders=pl.lit(8))
    )
    assert kpi(plausible_report(monthly=monthly), "order_value").value == 12_501


@pytest.mark.parametrize(
    ("first", "last", "month"),
    [
        (date(2011, 1, 1), date(2011, 12, 9), date(2011, 11, 1)),
        (date(2011, 1, 1), date(2011, 11, 30), date(2011, 11, 1)),
        (date(2011, 1, 1), date(2012, 1, 1), date(2011, 12, 1)),
        (date(2011, 11, 2), date(2011, 12, 9), None),
        (date(2012, 2, 1), date(2012, 2, 28), None),
        (date(2012, 2, 1), date(2012, 2, 29), date(2012, 2, 1)),
    ],
)
def test_the_last_full_month_lies_wholly_in_the_period(first: date, last: date, month: date | None) -> None:
    assert last_full_month(first, last) == month


def test_without_costs_the_margin_is_unknown_and_says_what_to_do() -> None:
    by_sku = sales_by_sku().drop("margin")
    report = plausible_report(monthly=sales_by_month().drop("cogs", "margin"), by_sku=by_sku)
    assert kpi(report, "gross_margin").value is None
    assert kpi(report, "gross_margin").detail == MISSING["costs"]
    assert "Cost is unknown for 12 of 12 SKUs: margin is left empty." in report.notes
    assert text_of(render_page(report)).count(MISSING["costs"].replace("`", "")) == 2


def test_a_margin_on_part_of_the_sales_is_a_share_of_that_part() -> None:
    monthly = sales_by_month().with_columns(
        margin=pl.col("net_revenue") // 4, costed_revenue=pl.col("net_revenue") // 2
    )
    margin = kpi(plausible_report(monthly=monthly), "gross_margin")
    assert margin.value == pytest.approx(0.5, abs=1e-6)
    assert margin.detail == "November 2011, on the 50% of revenue whose cost is known"


def test_notes_name_months_not_complete_costs_unknown_and_amounts_without_a_rate() -> None:
    assert plausible_report().notes == (
        "Orders of 12 March 2011 were imported twice and counted once.",
        "December 2011 is not complete: the period runs from 1 October 2010 to 9 December 2011.",
        "Cost is unknown for 4 of 12 SKUs: margin is left empty.",
        "Net revenue of JP¥98,765 is not in these figures: no exchange rate from JPY to GBP is known.",
        "Net revenue of KWD\N{NO-BREAK SPACE}1,234.567 is not in these figures: "
        "no exchange rate from KWD to GBP is known.",
    )


def test_the_return_rate_is_of_all_units_and_categories_are_not_counted_twice() -> None:
    assert kpi(plausible_report(), "return_rate").value == pytest.approx(2_346 / 54_210)
    by_category = figures()["returns"].filter(pl.col("category") != "all")
    assert kpi(plausible_report(returns=by_category), "return_rate").value == pytest.approx(2_346 / 54_210)


def test_the_next_stock_out_comes_first() -> None:
    report = plausible_report()
    assert report.stockouts_ahead["sku"].to_list() == ["LX-1148", "LX-1000", "LX-1074"]
    assert kpi(report, "stockouts_ahead").value == 3
    assert kpi(report, "stockouts_ahead").detail == "the first on 9 December 2011"


def test_not_computed_and_nothing_found_are_told_apart() -> None:
    unknown = plausible_report(stockouts_ahead=None)
    none = plausible_report(stockouts_ahead=pl.DataFrame(schema=dict(SCHEMAS["stockouts_ahead"])))
    assert (kpi(unknown, "stockouts_ahead").value, kpi(none, "stockouts_ahead").value) == (None, 0)
    assert unknown.absences["stockouts_ahead"] == MISSING["stockouts_ahead"]
    assert none.absences["stockouts_ahead"] == NOTHING["stockouts_ahead"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"monthly": sales_by_month().drop("orders")}, "monthly has no column orders"),
        ({"monthly": sales_by_month().cast({"net_revenue": pl.Float64})}, "money must be integers"),
        (
            {"cash": pl.concat([cash_by_month(sales_by_month())] * 2)},
            "cash has month 2010-10-01 more than once",
        ),
        (
            {"by_channel": pl.DataFrame({"channel": [None], "net_revenue": [1]})},
            "by_channel has rows without channel",
        ),
        ({"fan": demand().with_columns(week=pl.lit("soon"))}, "fan does not fit its columns"),
        ({"period_last": date(2009, 1, 1)}, "before it begins"),
        ({"generated_at": datetime(2011, 12, 10)}, "has no offset"),
    ],
)
def test_figures_that_cannot_be_right_are_refused_with_a_reason(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ReportError, match=message):
        plausible_report(**changes)


@pytest.mark.parametrize(
    ("minor", "currency", "exponent", "text"),
    [
        (123_450, "GBP", 2, "£1,234.50"),
        (-5, "GBP", 2, "−£0.05"),
        (1_234, "JPY", 0, "JP¥1,234"),
        (1_234_567, "KWD", 3, "KWD\N{NO-BREAK SPACE}1,234.567"),
        (9_007_199_254_740_993, "EUR", 2, "€90,071,992,547,409.93"),
    ],
)
def test_money_is_written_from_its_minor_units_exactly(minor: int, currency: str, exponent: int, text: str) -> None:
    assert money_text(minor, currency, exponent) == text


@given(st.integers(-(2**62), 2**62), st.sampled_from([0, 2, 3, 4]))
def test_written_money_reads_back_as_the_same_amount(minor: int, exponent: int) -> None:
    digits = re.sub(r"[^\d.−]", "", money_text(minor, "EUR", exponent)).replace("−", "-")
    assert Decimal(digits) == decimal_amount(minor, exponent)


# The page


class Outline(HTMLParser):
    """What a page is made of: its tags in order, its text, its attributes. Tags must close as they open."""

    VOID = frozenset({"meta", "img", "br", "link", "input", "hr"})

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.texts.append(data)

    def values(self, name: str) -> list[str | None]:
        return [value for attribute, value in self.attributes if attribute == name]


def outline(page: str) -> Outline:
    parser = Outline()
    parser.feed(page)
    parser.close()
    assert not parser.open
    return parser


def text_of(page: str) -> str:
    return " ".join("".join(outline(page).texts).split())


def test_the_page_has_every_section_with_its_tables_and_charts() -> None:
    parts = outline(render_page(plausible_report()))
    assert parts.tags.count("h1") == 1
    assert parts.tags.count("h2") == len(("figures", "revenue", "channels", "products", "stock", "demand", "cash")) + 2
    assert parts.tags.count("table") == parts.tags.count("caption") == 9
    assert parts.tags.count("svg") == 6
    assert {"lang", "scope", "aria-label"} <= {name for name, _ in parts.attributes}


def test_the_page_shows_money_to_the_penny() -> None:
    report = plausible_report()
    text = text_of(render_page(report))
    for minor in (*report.monthly["net_revenue"].tail(13), *report.by_sku["net_revenue"].head(10)):
        assert report.money(minor) in text
    assert "JP¥98,765" in text


def test_a_malicious_product_name_is_text_and_nothing_else() -> None:
    page = render_page(plausible_report(brand=INJECTION, notes=[INJECTION]))
    parts = outline(page)
    assert not {"script", "img"} & set(parts.tags)
    assert not parts.values("onerror")
    assert text_of(page).count(INJECTION) == 4


def test_the_page_needs_nothing_from_outside() -> None:
    page = render_page(plausible_report())
    parts = outline(page)
    assert not re.search(r"https?:|//\w|@import|<link|<script", page)
    assert all((value or "").startswith("#") for value in parts.values("href"))
    assert not parts.values("src")
    assert len(page.encode()) < 400_000


def test_ids_on_the_page_are_unique_and_every_reference_finds_its_own() -> None:
    page = render_page(plausible_report())
    ids = outline(page).values("id")
    assert len(ids) == len(set(ids))
    references = re.findall(r'(?:url\(#|href="#|labelledby=")([^)"]+)', page)
    assert references
    assert set(references) <= set(ids)


def test_a_report_without_data_says_so_in_every_section_and_what_to_do() -> None:
    report = bare_report()
    text = text_of(render_page(report))
    for section, sentence in MISSING.items():
        assert (sentence.replace("`", "") in text) == (section != "costs")
    assert "unknown" in text
    assert "no sales recorded in November 2011" in text
    assert outline(render_page(report)).tags.count("svg") == 0


@pytest.mark.parametrize("section", SCHEMAS)
def test_each_section_can_be_empty_or_the_only_one(section: str) -> None:
    for frame in (pl.DataFrame(), pl.DataFrame(schema=dict(SCHEMAS[section])), figures()[section]):
        report = bare_report(**{section: frame})
        assert outline(render_page(report)).tags.count("h1") == 1
        assert sheet(render_workbook(report), "Summary").height
    assert render_workbook(plausible_report(**{section: None}))


def test_months_that_are_not_over_are_marked() -> None:
    text = text_of(render_page(plausible_report()))
    assert "Dec 2011 *" in text
    assert "* not complete; 2 earlier months in the workbook" in text


def test_the_same_report_gives_the_same_page_and_the_same_workbook() -> None:
    assert render_page(plausible_report()) == render_page(plausible_report())
    assert render_workbook(plausible_report()) == render_workbook(plausible_report())


def test_every_colour_of_text_stands_out_enough_from_the_page() -> None:
    page = render_page(bare_report())
    colours: dict[str, str] = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", page))
    used = set(re.findall(r"(?<![-\w])color: var\(--(\w+)\)", page))
    assert {"ink", "muted", "gilt", "up", "down"} == used
    for name in used:
        assert contrast(colours[name], colours["ivory"]) >= 4.5, name


def contrast(one: str, other: str) -> float:
    """WCAG 2.2: contrast ratio of two sRGB colours."""

    def luminance(colour: str) -> float:
        channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


# The workbook


def sheet(workbook: bytes, name: str) -> pl.DataFrame:
    return pl.read_excel(io.BytesIO(workbook), sheet_name=name)


def minor_units(amounts: pl.Series, exponent: int = 2) -> list[int | None]:
    return [None if amount is None else round(amount * 10**exponent) for amount in amounts]


def test_the_workbook_has_its_sheets_in_order() -> None:
    assert list(pl.read_excel(io.BytesIO(render_workbook(plausible_report())), sheet_id=0)) == SHEETS


def test_every_amount_of_the_workbook_is_a_number_that_is_right_to_the_penny() -> None:
    report = plausible_report()
    workbook = render_workbook(report)
    for name, frame, columns in (
        (
            "Monthly",
            report.monthly,
            {"Gross sales": "gross_sales", "Net revenue": "net_revenue", "Margin": "margin"},
        ),
        ("Channels", report.by_channel, {"Net revenue": "net_revenue"}),
        ("Cash", report.cash, {"In": "inflow", "Out": "outflow", "Net": "net"}),
    ):
        rows = sheet(workbook, name)
        for heading, column in columns.items():
            assert rows[f"{heading} (GBP)"].dtype.is_numeric()
            assert minor_units(rows[f"{heading} (GBP)"]) == frame[column].to_list()


def test_the_sku_sheet_has_all_products_and_what_is_known_of_slow_ones() -> None:
    rows = sheet(render_workbook(plausible_report()), "SKUs")
    assert rows.height == 12 + 2
    assert minor_units(rows["Net revenue (GBP)"])[:12] == plausible_report().by_sku["net_revenue"].to_list()
    shirt = rows.filter(pl.col("SKU") == "LX-1407").row(0, named=True)
    assert shirt["On hand (slow movers)"] == 112
    assert rows["Name"].to_list()[-2:] == ["Tulle fascinator", "Velvet evening clutch"]


def test_dates_of_the_workbook_are_dates() -> None:
    report = plausible_report()
    workbook = render_workbook(report)
    assert sheet(workbook, "Monthly")["Month"].cast(pl.Date).to_list() == report.monthly["month"].to_list()
    assert sheet(workbook, "Stock-outs")["Runs out on"].cast(pl.Date).to_list() == sorted(
        report.stockouts_ahead["stockout_on"]
    )


def test_a_name_that_looks_like_a_formula_stays_a_name() -> None:
    names = [FORMULA, "+44 20 7946", "-1+2", "@SUM(A1)", "https://example.com", "\tTab"]
    by_sku = sales_by_sku().head(len(names)).with_columns(name=pl.Series(names))
    workbook = render_workbook(plausible_report(by_sku=by_sku, brand="=1+1"))
    assert sheet(workbook, "SKUs")["Name"].to_list()[: len(names)] == names
    assert "=1+1" in sheet(workbook, "Summary")["Value"].to_list()
    assert b"<f>" not in unzipped(workbook)
    assert b"<hyperlink " not in unzipped(workbook)


def unzipped(workbook: bytes) -> bytes:
    import zipfile

    with zipfile.ZipFile(io.BytesIO(workbook)) as parts:
        return b"".join(parts.read(name) for name in parts.namelist())


def test_amounts_without_a_rate_are_in_the_workbook_in_their_own_currency() -> None:
    rows = sheet(render_workbook(plausible_report()), "Notes")
    amounts = dict(zip(rows["Unconverted currency"], rows["Unconverted net revenue"], strict=True))
    assert amounts["JPY"] == 98_765
    assert amounts["KWD"] == pytest.approx(1_234.567)


def test_an_empty_sheet_says_why_under_its_headings() -> None:
    workbook = render_workbook(bare_report())
    assert sheet(workbook, "Cash").row(0)[0] == MISSING["cash"]
    assert sheet(workbook, "Stock-outs").row(0)[0] == MISSING["stockouts_ahead"]


def test_a_currency_without_decimals_has_none_in_the_workbook() -> None:
    workbook = render_workbook(plausible_report(currency="JPY", exponent=0))
    assert sheet(workbook, "Cash")["In (JPY)"].to_list() == sales_by_month()["gross_sales"].to_list()


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.text(max_size=40), st.one_of(st.none(), st.integers(-(10**13), 10**13))),
        max_size=6,
        unique_by=lambda row: row[0],
    )
)
def test_any_names_and_amounts_go_through_page_and_workbook(rows: list[tuple[str, int | None]]) -> None:
    by_sku = pl.DataFrame(
        {
            "sku": [f"S{i}" for i in range(len(rows))],
            "name": [name for name, _ in rows],
            "units": [0 for _ in rows],
            "net_revenue": [amount for _, amount in rows],
        },
        schema_overrides={"name": pl.String, "sku": pl.String, "net_revenue": pl.Int64},
    )
    report = bare_report(by_sku=by_sku)
    assert outline(render_page(report)).tags.count("h1") == 1
    skus = sheet(render_workbook(report), "SKUs")
    assert minor_units(skus["Net revenue (GBP)"])[: len(rows)] == report.by_sku["net_revenue"].to_list()


def test_the_report_modules_import_lean() -> None:
    modules = "assets.finance.executive, assets.finance.executive_page, assets.finance.executive_workbook"
    heavy = "{'matplotlib', 'PIL', 'pandas', 'dagster', 'prophet'}"
    code = f"import sys, {modules}; loaded = set(sys.modules) & {heavy}; sys.exit(str(loaded) if loaded else 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
