"""The executive report as one HTML page that needs nothing but itself.

What belongs here: arranging an `ExecutiveReport` into sections of sentences, tables and charts, and rendering
them through `templates/executive.html.j2`. What does not: the figures (`executive`), how a chart is drawn
(`assets.charts`), and writing files.

The page has no script, no font and no address to fetch. Every text goes through autoescaping; the only markup
let through is that of our own charts, whose texts the chart library has escaped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

import polars as pl
from babel.dates import format_date
from babel.numbers import format_decimal, format_percent
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from assets import charts
from assets.finance.executive import (
    LOCALE,
    TOP,
    ExecutiveReport,
    Kpi,
    count_text,
    day_text,
    unconverted_text,
)

UNKNOWN = "—"
MONTHS_SHOWN = 13
STOCKOUTS_SHOWN = 15
WEEKS_SHOWN = 13
CHANNELS = {"woocommerce": "WooCommerce", "shopify": "Shopify", "amazon": "Amazon", "ebay": "eBay"}
"""How the channels write their own names."""

_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Cell:
    """A cell of a table: its text, a smaller line under it, a bar of a share (0 to 1) of the cell's width."""

    text: str
    under: str = ""
    bar: float | None = None


@dataclass(frozen=True)
class Table:
    """A table; `columns` are headings, those after the first `words` hold numbers."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    words: int = 1
    foot: str = ""


@dataclass(frozen=True)
class Picture:
    """A chart in two drawings, one for a page and one for a telephone, and the caption under it."""

    wide: Markup
    narrow: Markup
    caption: str


@dataclass(frozen=True)
class Section:
    """One part of the report; `absences` are the sentences shown in place of what it has no data for."""

    anchor: str
    title: str
    lead: str = ""
    pictures: tuple[Picture, ...] = ()
    tables: tuple[Table, ...] = ()
    absences: tuple[str, ...] = ()


@dataclass(frozen=True)
class Card:
    """A key figure, written out: what follows its decimal point stands apart, to be set smaller."""

    label: str
    figure: str
    decimals: str
    known: bool
    detail: str
    changes: tuple[tuple[str, str], ...]


def render_page(report: ExecutiveReport) -> str:
    """The whole page, an HTML document of well under a megabyte; the same report gives the same text."""
    sections = (
        _revenue(report),
        _channels(report),
        _products(report),
        _stock(report),
        _forecast(report),
        _cash(report),
        _returns(report),
    )
    return _template().render(
        report=report,
        period=f"{day_text(report.period_first)} – {day_text(report.period_last)}",
        generated=f"{day_text(report.generated_at.date())}, {report.generated_at:%H:%M %Z}",
        cards=[_card(report, kpi) for kpi in report.kpis],
        sections=sections,
        unconverted=_unconverted(report),
    )


@lru_cache(maxsize=1)
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["coded"] = _coded
    return environment.get_template("executive.html.j2")


# Sections


def _revenue(report: ExecutiveReport) -> Section:
    title = "Revenue"
    if report.monthly.is_empty():
        return Section("revenue", title, absences=(report.absences["monthly"],))
    net, returned = _sum(report.monthly, "net_revenue"), _sum(report.monthly, "returns")
    lead = f"{report.money(net)} of net revenue in the period, after {report.money(returned)} of returns."
    partial = report.partial_months
    picture = _picture(
        "revenue",
        lambda size: charts.stacked_bars(
            report.monthly,
            "month",
            ["net_revenue", "returns"],
            "",
            "",
            "svg",
            provisional=partial,
            unit=_unit(report),
            size=size,
        ),
        "Net revenue and returns by month" + (", months not complete in pale." if partial else "."),
    )
    return Section("revenue", title, lead, (picture,), (_months(report),))


def _months(report: ExecutiveReport) -> Table:
    rows = report.monthly.tail(MONTHS_SHOWN)
    partial = set(report.partial_months)
    money = _money(report)
    left_out = report.monthly.height - rows.height
    feet = [
        "* not complete" if partial & set(rows["month"]) else "",
        f"{_counted(left_out, 'earlier month')} in the workbook" if left_out else "",
    ]
    return Table(
        f"The last {_counted(rows.height, 'month')}",
        ("Month", "Gross sales", "Returns", "Net revenue", "Orders", "Units", "Margin"),
        tuple(
            (
                Cell(_short_month(row["month"]) + ("\N{NO-BREAK SPACE}*" if row["month"] in partial else "")),
                *(Cell(money(row[name])) for name in ("gross_sales", "returns", "net_revenue")),
                *(Cell(_count(row[name])) for name in ("orders", "units")),
                Cell(money(row["margin"])),
            )
            for row in reversed(rows.to_dicts())
        ),
        foot=_joined(feet),
    )


def _channels(report: ExecutiveReport) -> Section:
    title = "Channels"
    if report.by_channel.is_empty():
        return Section("channels", title, absences=(report.absences["by_channel"],))
    rows = report.by_channel.to_dicts()
    money = _money(report)
    first = rows[0]
    lead = f"{_channel(first['channel'])} brings {_percent(first['share'])} of net revenue." if first["share"] else ""
    table = Table(
        "Net revenue by channel",
        ("Channel", "Net revenue", "Share"),
        tuple(
            (
                Cell(_channel(row["channel"])),
                Cell(money(row["net_revenue"])),
                Cell(_percent(row["share"]), bar=row["share"]),
            )
            for row in rows
        ),
    )
    return Section("channels", title, lead, tables=(table,))


def _products(report: ExecutiveReport) -> Section:
    title = "Products"
    absences = [report.absences[name] for name in ("by_sku", "slow", "costs") if name in report.absences]
    tables = []
    if report.by_sku.height:
        tables.append(_best_sellers(report))
    if report.slow.height:
        tables.append(_slow_movers(report))
    return Section("products", title, _lead_of_products(report), tables=tuple(tables), absences=tuple(absences))


def _lead_of_products(report: ExecutiveReport) -> str:
    whole, best = _sum(report.by_sku, "net_revenue"), _sum(report.by_sku.head(TOP), "net_revenue")
    if report.by_sku.height <= TOP or whole <= 0:
        return ""
    products = count_text(report.by_sku.height)
    return f"The ten best of {products} products bring {_percent(best / whole)} of net revenue."


def _best_sellers(report: ExecutiveReport) -> Table:
    rows = report.by_sku.head(TOP).to_dicts()
    money = _money(report)
    highest = max((row["net_revenue"] or 0 for row in rows), default=0)
    return Table(
        "Best sellers by net revenue",
        ("Product", "Units", "Net revenue", "Margin", "Margin rate"),
        tuple(
            (
                _product(row),
                Cell(_count(row["units"])),
                Cell(money(row["net_revenue"]), bar=_share(row["net_revenue"], highest)),
                Cell(money(row["margin"])),
                Cell(_percent(row["margin_rate"])),
            )
            for row in rows
        ),
        foot=_rest(report.by_sku, len(rows), "product"),
    )


def _slow_movers(report: ExecutiveReport) -> Table:
    rows = report.slow.head(TOP).to_dicts()
    return Table(
        "Slow movers in stock",
        ("Product", "On hand", "Sold in 13 weeks", "Weeks since last sale"),
        tuple(
            (
                _product(row),
                Cell(_count(row["on_hand"])),
                Cell(_count(row["units_last_13_weeks"])),
                Cell(_count(row["weeks_since_last_sale"])),
            )
            for row in rows
        ),
        foot=_rest(report.slow, len(rows), "slow mover"),
    )


def _stock(report: ExecutiveReport) -> Section:
    title = "Stock-outs ahead"
    if report.stockouts_ahead.is_empty():
        return Section("stock-outs", title, absences=(report.absences["stockouts_ahead"],))
    rows = report.stockouts_ahead.head(STOCKOUTS_SHOWN).to_dicts()
    count = report.stockouts_ahead.height
    lead = f"{_counted(count, 'product')} will run out if nothing is ordered and demand comes as forecast."
    table = Table(
        "The next to run out",
        ("Product", "Runs out on", "Available", "Forecast a week", "Order"),
        tuple(
            (
                _product(row),
                Cell(_short_day(row["stockout_on"]) if row["stockout_on"] else UNKNOWN),
                Cell(_count(row["available"])),
                Cell(_decimal(row["weekly_mean"])),
                Cell(_count(row["recommended_quantity"])),
            )
            for row in rows
        ),
        words=2,
        foot=_rest(report.stockouts_ahead, len(rows), "product"),
    )
    return Section("stock-outs", title, lead, tables=(table,))


def _forecast(report: ExecutiveReport) -> Section:
    title = "Demand"
    if report.fan.is_empty():
        return Section("demand", title, absences=(report.absences["fan"],))
    ahead = report.fan.filter(pl.col("mean").is_not_null() & pl.col("actual").is_null())
    picture = _picture(
        "demand",
        lambda size: charts.fan_chart(report.fan, "", "units a week", "svg", size=size),
        "Units sold a week, and the forecast with its likely range.",
    )
    if ahead.is_empty():
        return Section("demand", title, pictures=(picture,), absences=("The forecast has no weeks ahead.",))
    lead = (
        f"{_count(float(ahead['mean'].sum()))} units are expected in the {_counted(ahead.height, 'week')} "
        f"from {day_text(ahead['week'][0])}."
    )
    rows = ahead.head(WEEKS_SHOWN).to_dicts()
    table = Table(
        "Forecast by week, all products",
        ("Week of", "Expected units", "Likely low", "Likely high"),
        tuple(
            (Cell(_short_day(row["week"])), *(Cell(_count(row[name])) for name in ("mean", "lower", "upper")))
            for row in rows
        ),
        foot=_rest(ahead, len(rows), "week"),
    )
    return Section("demand", title, lead, (picture,), (table,))


def _cash(report: ExecutiveReport) -> Section:
    title = "Cash"
    if report.cash.is_empty():
        return Section("cash", title, absences=(report.absences["cash"],))
    money = _money(report)
    lead = (
        f"{report.money(_sum(report.cash, 'inflow'))} came in through the clearing accounts and "
        f"{report.money(_sum(report.cash, 'outflow'))} went out as refunds and fees."
    )
    flows = report.cash.with_columns(-pl.col("outflow"))
    picture = _picture(
        "cash",
        lambda size: charts.stacked_bars(
            flows,
            "month",
            ["inflow", "outflow"],
            "",
            "",
            "svg",
            line="net",
            provisional=report.partial_months,
            unit=_unit(report),
            size=size,
        ),
        "Cash in, cash out and the net of both by month.",
    )
    rows = report.cash.tail(MONTHS_SHOWN)
    table = Table(
        f"The last {_counted(rows.height, 'month')}",
        ("Month", "In", "Out", "Net"),
        tuple(
            (
                Cell(_short_month(row["month"])),
                *(Cell(money(row[name])) for name in ("inflow", "outflow", "net")),
            )
            for row in reversed(rows.to_dicts())
        ),
        foot=_rest(report.cash, rows.height, "earlier month"),
    )
    return Section("cash", title, lead, (picture,), (table,))


def _returns(report: ExecutiveReport) -> Section:
    title = "Returns"
    if report.returns.is_empty():
        return Section("returns", title, absences=(report.absences["returns"],))
    rows = report.returns.to_dicts()
    highest = max((row["return_rate"] or 0 for row in rows), default=0)
    table = Table(
        "Units returned",
        ("Category", "Sold", "Returned", "Rate"),
        tuple(
            (
                Cell(row["category"][:1].upper() + row["category"][1:]),
                Cell(_count(row["units_sold"])),
                Cell(_count(row["units_returned"])),
                Cell(_percent(row["return_rate"]), bar=_share(row["return_rate"], highest)),
            )
            for row in rows
        ),
    )
    return Section("returns", title, tables=(table,))


def _unconverted(report: ExecutiveReport) -> Table | None:
    """Amounts that are in no figure of the report, each in its own currency."""
    rows = [row for row in report.unconverted.iter_rows() if row[1] is not None]
    if not rows:
        return None
    return Table(
        f"Net revenue without an exchange rate to {report.currency}",
        ("Currency", "Net revenue"),
        tuple((Cell(code), Cell(unconverted_text(code, minor))) for code, minor in rows),
    )


def _card(report: ExecutiveReport, kpi: Kpi) -> Card:
    figure = "unknown"
    if kpi.value is not None and kpi.kind == "money":
        figure = report.money(int(kpi.value))
    elif kpi.value is not None:
        figure = _percent(kpi.value) if kpi.kind == "rate" else count_text(kpi.value)
    whole, point, decimals = figure.partition(".") if kpi.kind == "money" else (figure, "", "")
    changes = tuple(
        (
            "no" if change.ratio is None else "up" if change.ratio >= 0 else "down",
            f"no figure for {change.against}"
            if change.ratio is None
            else f"{_signed(change.ratio)} on {change.against}",
        )
        for change in kpi.changes
    )
    return Card(kpi.label, whole, point + decimals, kpi.value is not None, kpi.detail, changes)


# Charts on the page


def _picture(name: str, draw: Callable[[charts.Size], bytes], caption: str) -> Picture:
    return Picture(
        _inlined(draw(charts.PAGE), f"{name}-wide", caption),
        _inlined(draw(charts.POCKET), f"{name}-narrow", caption),
        caption,
    )


def _inlined(svg: bytes, name: str, label: str) -> Markup:
    """A chart's SVG made fit to stand among others in a page: no prolog, no style, no shared ids."""
    text = svg.decode("utf-8")
    text = text[text.index("<svg") :]
    text = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>|<style[^>]*>.*?</style>", "", text, flags=re.DOTALL)
    text = text.replace("xlink:href=", "href=")
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', text))
    for identity in used:
        text = re.sub(rf'(url\(#|href="#|id="){re.escape(identity)}(?=[)"])', rf"\g<1>{name}-{identity}", text)
    text = re.sub(rf' id="(?!{name}-)[^"]*"', "", text)
    (viewbox,) = re.findall(r'viewBox="([^"]+)"', text[: text.index(">")])
    head = Markup('<svg viewBox="{}" role="img" aria-label="{}">').format(viewbox, label)
    body = "\n".join(line.strip() for line in text[text.index(">") + 1 :].splitlines() if line.strip())
    return head + Markup(body)


def _unit(report: ExecutiveReport) -> charts.Unit:
    return charts.Unit(report.currency, report.exponent)


# Words and numbers


def _coded(text: str) -> Markup:
    """A sentence, escaped, with what stands between backticks set as code."""
    *pairs, last = text.split("`") if text.count("`") % 2 == 0 else [text]
    plain, code = pairs[::2], pairs[1::2]
    coded = (Markup("{}<code>{}</code>").format(*pair) for pair in zip(plain, code, strict=True))
    return Markup("").join((*coded, escape(last)))


def _channel(name: str) -> str:
    return CHANNELS.get(name, name)


def _product(row: dict[str, Any]) -> Cell:
    return Cell(row["name"], under=row["sku"]) if row["name"] else Cell(row["sku"])


def _money(report: ExecutiveReport) -> Callable[[int | None], str]:
    return lambda minor: UNKNOWN if minor is None else report.money(minor)


def _count(number: float | None) -> str:
    return UNKNOWN if number is None else count_text(number)


def _decimal(number: float | None) -> str:
    return UNKNOWN if number is None else format_decimal(number, "#,##0.0", locale=LOCALE)


def _percent(share: float | None) -> str:
    if share is None:
        return UNKNOWN
    return format_percent(share, "#,##0.0%", locale=LOCALE).replace("-", charts.MINUS)


def _short_month(month: date) -> str:
    return format_date(month, "MMM y", locale=LOCALE).replace(" ", "\N{NO-BREAK SPACE}")


def _short_day(day: date) -> str:
    return format_date(day, "d MMM y", locale=LOCALE).replace(" ", "\N{NO-BREAK SPACE}")


def _signed(ratio: float) -> str:
    return ("+" if ratio >= 0 else "") + _percent(ratio)


def _counted(count: int, noun: str) -> str:
    return f"{count_text(count)} {noun}{'' if count == 1 else 's'}"


def _rest(frame: pl.DataFrame, shown: int, noun: str) -> str:
    left_out = frame.height - shown
    return f"{_counted(left_out, 'more ' + noun)} in the workbook" if left_out > 0 else ""


def _joined(parts: Iterable[str]) -> str:
    return "; ".join(part for part in parts if part)


def _share(part: float | None, whole: float) -> float | None:
    """How much of the longest bar a bar takes; none for what is not known or below nothing."""
    return max(part / whole, 0.0) if part is not None and whole > 0 else None


def _sum(frame: pl.DataFrame, column: str) -> int:
    return int(frame[column].sum())
