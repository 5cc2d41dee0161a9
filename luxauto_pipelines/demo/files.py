"""The demo brand as files: four such as a house's own systems would export, and `truth.json` about them.

What belongs here: the formats, the exchange rates of the period, and the sums that the truth records. What is
summed was made in `maison`, `stockroom` and `trade`. Nothing here reads a file back.

Two calls with the same seed and last day write the same bytes, whatever the folder and the hour.

- `catalog.csv`: one row a SKU. Prices of the last day and costs in EUR, net of tax; no reorder points.
- `orders.csv.gz`: one row an order line, see `trade.Line` for signs. `occurred_at` has the offset of the
  place of sale; returns are booked at the atelier. Fees and discounts have quantity 1 and a negative price. A
  goods line with price 0 is a press sample or a gift: it draws on stock and is no sale.
- `stock.csv`: one row a movement that no order makes. Goods lines of orders move stock at
  `stockroom.ATELIER`.
- `rates.csv`: units of `quote` for one EUR on working days, from a week before the first day.
- `truth.json`: see `_truth`.
"""

import csv
import gzip
import io
import json
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from luxauto_pipelines.demo.maison import (
    EXPONENTS,
    NAME,
    SALES,
    Maison,
    found_maison,
    price_list,
    season_factor,
)
from luxauto_pipelines.demo.stockroom import ATELIER
from luxauto_pipelines.demo.trade import (
    CHANNELS,
    COUNTRIES,
    RETURN_FACTORS,
    RETURN_RATES,
    WEEKDAYS,
    Line,
    Trade,
    simulate,
)


@dataclass(frozen=True, slots=True)
class DemoFiles:
    """Where the files were written."""

    folder: Path
    catalog: Path
    orders: Path
    stock: Path
    rates: Path
    truth: Path


def write_demo(folder: Path, *, seed: int = 7, until: date) -> DemoFiles:
    """Make the demo brand of a seed, over the two years that end with the day `until`, and write its files.

    Makes the folder if need be and overwrites files of the same names. Takes about two seconds.
    """
    maison = found_maison(seed, until)
    trade = simulate(maison, seed)
    rates = _exchange_rates(maison, seed)
    folder.mkdir(parents=True, exist_ok=True)
    files = DemoFiles(
        folder=folder,
        catalog=folder / "catalog.csv",
        orders=folder / "orders.csv.gz",
        stock=folder / "stock.csv",
        rates=folder / "rates.csv",
        truth=folder / "truth.json",
    )
    files.catalog.write_bytes(_csv(_CATALOG_COLUMNS, _catalog_rows(maison)))
    files.orders.write_bytes(_gzip(_csv(_ORDER_COLUMNS, map(_order_row, trade.lines))))
    files.stock.write_bytes(_csv(_STOCK_COLUMNS, _stock_rows(trade)))
    files.rates.write_bytes(_csv(_RATE_COLUMNS, _rate_rows(rates)))
    truth = json.dumps(_truth(maison, trade, rates, seed), indent=1, ensure_ascii=False)
    files.truth.write_bytes((truth + "\n").encode())
    return files


# --- the four exports ---------------------------------------------------------------------------------------

_CATALOG_COLUMNS = (
    *(
        "sku",
        "product",
        "product_name",
        "category",
        "subcategory",
        "collection",
        "size",
        "color",
        "launched_on",
    ),
    *(
        "retail_price",
        "cost",
        "currency",
        "lead_time_days",
        "min_order_quantity",
        "supplier",
        "reorder_point",
    ),
)
_ORDER_COLUMNS = (
    *("order_number", "line_type", "sku", "description", "quantity", "unit_price", "currency", "occurred_at"),
    *("channel", "country", "customer_id", "customer_email", "customer_name", "original_order"),
)
_STOCK_COLUMNS = ("occurred_at", "sku", "location", "kind", "quantity", "reference")
_RATE_COLUMNS = ("date", "base", "quote", "rate", "source")

_PARIS = ZoneInfo("Europe/Paris")
_ZONES = {code: ZoneInfo(country.zone) for code, country in COUNTRIES.items()}


def _catalog_rows(maison: Maison) -> Iterable[Sequence[object]]:
    prices = price_list(maison, maison.until)
    for item in maison.items:
        yield (
            *(item.sku, item.product, item.product_name, item.category, item.subcategory, item.collection),
            *(item.size, item.color, item.launched_on),
            *(_money(prices[item.sku, "EUR"], "EUR"), _money(item.cost, "EUR"), "EUR"),
            *(item.lead_time_days, item.min_order_quantity, item.supplier, ""),
        )


def _order_row(line: Line) -> Sequence[object]:
    order, customer = line.order, line.order.customer
    zone = _PARIS if order.original else _ZONES[order.country]
    return (
        *(order.number, line.line_type, line.sku, line.description, line.quantity),
        *(_money(line.unit_price, order.currency), order.currency, _moment(order.occurred_at, zone)),
        *(order.channel, order.country),
        *((customer.id, customer.email, customer.name) if customer else ("", "", "")),
        order.original,
    )


def _stock_rows(trade: Trade) -> Iterable[Sequence[object]]:
    for row in trade.stock:
        yield _moment(row.occurred_at, _PARIS), row.sku, row.location, row.kind, row.quantity, row.reference


def _rate_rows(rates: "_Rates") -> Iterable[Sequence[object]]:
    for number, day in enumerate(rates.days):
        for currency, quoted in rates.quotes.items():
            yield day, "EUR", currency, quoted[number], "demo"


def _csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue().encode()


def _gzip(content: bytes) -> bytes:
    # No time and no file name in the header: either would make two equal brands differ.
    return gzip.compress(content, mtime=0)


def _moment(moment: datetime, zone: ZoneInfo) -> str:
    return moment.astimezone(zone).isoformat(timespec="seconds")


def _money(minor: int, currency: str) -> str:
    """Minor units as a decimal string with the currency's own number of decimals."""
    return str(Decimal(minor).scaleb(-EXPONENTS[currency]))


# --- exchange rates -----------------------------------------------------------------------------------------

_QUOTED = {
    "GBP": (0.855, 0.0035, 5),
    "USD": (1.100, 0.0045, 4),
    "JPY": (162.0, 0.0055, 2),
    "CHF": (0.945, 0.0030, 4),
}
"""By currency: the usual rate, the day's standard deviation as a part of it, decimals quoted."""

_PULL_BACK = 0.01
"""How much of its distance to the usual rate a rate loses in a day, so that two years do not carry it off."""


@dataclass(frozen=True, slots=True)
class _Rates:
    """Quotes by working day: `quotes` has, by currency, the rate of each of `days`."""

    days: list[date]
    quotes: dict[str, list[Decimal]]

    def to_eur(self, amount: Decimal, currency: str, day: date) -> Decimal:
        """An amount in EUR, unrounded, at the day's rate or the last one before it."""
        return amount if currency == "EUR" else amount / self.quotes[currency][bisect_right(self.days, day) - 1]


def _exchange_rates(maison: Maison, seed: int) -> _Rates:
    rng = np.random.default_rng([seed, 5])
    # A week more at the front, for the first day may be one without a quote.
    first = maison.first_day - timedelta(7)
    days = [first + timedelta(n) for n in range((maison.until - first).days + 1)]
    days = [day for day in days if day.weekday() < 5 and (day.month, day.day) not in ((1, 1), (12, 25), (12, 26))]
    quotes: dict[str, list[Decimal]] = {}
    for currency, (usual, deviation, decimals) in _QUOTED.items():
        distance, quoted = 0.0, []
        for step in rng.normal(0, deviation, len(days)):
            distance += float(step) - _PULL_BACK * distance
            quoted.append(Decimal(f"{usual * (1 + distance):.{decimals}f}"))
        quotes[currency] = quoted
    return _Rates(days, quotes)


# --- the truth ----------------------------------------------------------------------------------------------


def _truth(maison: Maison, trade: Trade, rates: _Rates, seed: int) -> dict[str, Any]:
    """What is in the files, for tests to compare with what a report finds.

    Sales are goods lines with a price above zero: gross sales those of positive quantity, returns those of
    negative quantity as a positive number, net revenue the difference; discounts are apart. Orders are all
    that are no returns, gift cards and press samples included. Money is in decimal strings; a figure in EUR
    is a sum of unrounded conversions, rounded once.
    """
    sums = _sum_up(trade.lines, rates)
    return {
        "maison": NAME,
        "seed": seed,
        "until": maison.until.isoformat(),
        "first_day": maison.first_day.isoformat(),
        "last_day": maison.until.isoformat(),
        "skus": [item.sku for item in maison.items],
        "counts": _counts(trade),
        "monthly": _monthly(sums),
        "best_sellers": _best_sellers(sums),
        "return_rates": _return_rates(maison, sums),
        "season": _season(maison),
        "sales": [{"name": name, "month": month, "percent": percent} for month, (name, percent) in SALES.items()],
        "price_changes": [{"on": c.on.isoformat(), "percent": c.percent} for c in maison.price_changes],
        "launches": _launches(maison),
        "stock_out": _stock_out(trade),
        "other_empty_days": trade.empty_days,
        "closing_stock": _closing_stock(maison, trade),
        "projected_stockouts": _projected_stockouts(maison, trade),
        "open_purchase_orders": [
            {"reference": o.reference, "sku": o.sku, "quantity": o.quantity, "due_on": o.due_on.isoformat()}
            for o in trade.open_purchase_orders
        ],
        "frauds": [
            {"kind": f.kind, "order_numbers": f.order_numbers, "customer_id": f.customer_id, "why": f.why}
            for f in trade.frauds
        ],
    }


def _eur_sums() -> defaultdict[Any, Decimal]:
    return defaultdict(Decimal)


@dataclass(slots=True)
class _Sums:
    """Sums over order lines. Months are written YYYY-MM, `minor` and `other` are in minor units.

    Keys: `minor` month, channel, currency, measure; `other` month, line type, currency; `eur` month, channel;
    `units` month, way and `units_by_sku` SKU, way, where a way is "sold" or "returned"; `orders` month.
    """

    minor: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)
    other: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    eur: defaultdict[tuple[str, str], Decimal] = field(default_factory=_eur_sums)
    eur_by_sku: defaultdict[str, Decimal] = field(default_factory=_eur_sums)
    units: Counter[tuple[str, str]] = field(default_factory=Counter)
    units_by_sku: Counter[tuple[str, str]] = field(default_factory=Counter)
    orders: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))


def _sum_up(lines: Iterable[Line], rates: _Rates) -> _Sums:
    sums = _Sums()
    for line in lines:
        order, amount = line.order, line.quantity * line.unit_price
        month = f"{order.occurred_at:%Y-%m}"
        if not order.original:
            sums.orders[month].add(order.number)
        if line.line_type != "goods":
            sums.other[month, line.line_type, order.currency] += amount
        elif line.unit_price > 0:
            measure, way = ("gross_sales", "sold") if line.quantity > 0 else ("returns", "returned")
            sums.minor[month, order.channel, order.currency, measure] += abs(amount)
            sums.units[month, way] += abs(line.quantity)
            sums.units_by_sku[line.sku, way] += abs(line.quantity)
            local = Decimal(_money(amount, order.currency))
            in_eur = rates.to_eur(local, order.currency, order.occurred_at.date())
            sums.eur[month, order.channel] += in_eur
            sums.eur_by_sku[line.sku] += in_eur
    return sums


def _counts(trade: Trade) -> dict[str, Any]:
    goods = [line for line in trade.lines if line.line_type == "goods"]
    heads = {line.order.number: line.order for line in trade.lines}.values()
    return {
        "orders": sum(not order.original for order in heads),
        "return_orders": sum(bool(order.original) for order in heads),
        "lines": len(trade.lines),
        "lines_by_type": dict(sorted(Counter(line.line_type for line in trade.lines).items())),
        "units_sold": sum(line.quantity for line in goods if line.quantity > 0 and line.unit_price),
        "units_returned": -sum(line.quantity for line in goods if line.quantity < 0),
        "units_given_away": sum(line.quantity for line in goods if not line.unit_price),
        "customers": len({order.customer.id for order in heads if order.customer}),
        "orders_by_channel": {c: sum(o.channel == c and not o.original for o in heads) for c in CHANNELS},
    }


def _monthly(sums: _Sums) -> list[dict[str, Any]]:
    rows = []
    for month in sorted(sums.orders):
        by_channel = {channel: _by_currency(sums, month, (channel,)) for channel in CHANNELS}
        others: defaultdict[str, dict[str, str]] = defaultdict(dict)
        for (when, line_type, currency), minor in sorted(sums.other.items()):
            if when == month:
                others[line_type][currency] = _money(minor, currency)
        rows.append(
            {
                "month": month,
                "orders": len(sums.orders[month]),
                "units_sold": sums.units[month, "sold"],
                "units_returned": sums.units[month, "returned"],
                "by_currency": _by_currency(sums, month, CHANNELS),
                "by_channel": by_channel,
                "net_revenue_eur": _cents(sum((sums.eur[month, c] for c in CHANNELS), Decimal(0))),
                "net_revenue_eur_by_channel": {c: _cents(sums.eur[month, c]) for c in CHANNELS},
                "other_line_types": others,
            }
        )
    return rows


def _by_currency(sums: _Sums, month: str, channels: Iterable[str]) -> dict[str, dict[str, str]]:
    """Gross sales, returns and net revenue by currency; a currency without either is left out."""
    found = {}
    for currency in EXPONENTS:
        gross, returns = (
            sum(sums.minor[month, channel, currency, measure] for channel in channels)
            for measure in ("gross_sales", "returns")
        )
        if gross or returns:
            found[currency] = {
                "gross_sales": _money(gross, currency),
                "returns": _money(returns, currency),
                "net_revenue": _money(gross - returns, currency),
            }
    return found


def _best_sellers(sums: _Sums) -> list[dict[str, Any]]:
    """The ten SKUs with most units sold, returns not deducted."""
    sold = {sku: units for (sku, way), units in sums.units_by_sku.items() if way == "sold"}
    best = sorted(sold, key=lambda sku: (-sold[sku], sku))[:10]
    return [{"sku": sku, "units_sold": sold[sku], "net_revenue_eur": _cents(sums.eur_by_sku[sku])} for sku in best]


def _return_rates(maison: Maison, sums: _Sums) -> dict[str, Any]:
    """By category, the chance set for a line (times its channel's factor), and units returned by sold."""
    rates: dict[str, Any] = {}
    for category, planned in RETURN_RATES.items():
        sold, returned = (
            sum(sums.units_by_sku[item.sku, way] for item in maison.items if item.category == category)
            for way in ("sold", "returned")
        )
        rates[category] = {"planned": str(planned), "realised": str(round(Decimal(returned) / sold, 4))}
    return {"by_category": rates, "channel_factors": {c: str(factor) for c, factor in RETURN_FACTORS.items()}}


def _season(maison: Maison) -> dict[str, Any]:
    """How busy a month (its mean day) and a weekday from Monday on were set to be; a mean day is 1."""
    months: defaultdict[int, list[float]] = defaultdict(list)
    for day in maison.days():
        months[day.month].append(season_factor(day))
    return {
        "months": {month: round(sum(months[month]) / len(months[month]), 3) for month in sorted(months)},
        "weekdays": WEEKDAYS,
    }


def _launches(maison: Maison) -> list[dict[str, Any]]:
    """The products launched within the two years, by day."""
    launched = [item for item in maison.items if item.launched_on >= maison.first_day]
    products = {item.product: item for item in launched}
    return [
        {
            "product": product,
            "on": item.launched_on.isoformat(),
            "collection": item.collection,
            "skus": [each.sku for each in launched if each.product == product],
        }
        for product, item in sorted(products.items(), key=lambda pair: (pair[1].launched_on, pair[0]))
    ]


def _stock_out(trade: Trade) -> dict[str, Any]:
    """The planted stock-out; its lost weeks are the calendar weeks, Monday to Sunday, wholly inside it."""
    out = trade.stock_out
    monday = out.first + timedelta(-out.first.weekday() % 7)
    mondays = []
    while monday + timedelta(6) <= out.last:
        mondays.append(monday.isoformat())
        monday += timedelta(7)
    return {
        "sku": out.sku,
        "from": out.first.isoformat(),
        "to": out.last.isoformat(),
        "lost_weeks": len(mondays),
        "lost_week_mondays": mondays,
        "lost_units": out.lost_units,
    }


def _closing_stock(maison: Maison, trade: Trade) -> dict[str, Any]:
    """On hand after the last day, all locations together and by location."""
    levels = _levels(trade)
    locations = sorted({location for location, _ in levels})
    return {
        "by_sku": {item.sku: sum(levels[location, item.sku] for location in locations) for item in maison.items},
        "by_location": {
            location: {item.sku: level for item in maison.items if (level := levels[location, item.sku])}
            for location in locations
        },
    }


def _projected_stockouts(maison: Maison, trade: Trade) -> list[dict[str, Any]]:
    """The SKUs planted to be short, with less on hand than the last four weeks' pace takes in a lead time."""
    levels = _levels(trade)
    since = maison.until - timedelta(27)
    found = []
    for item in (item for item in maison.items if item.sku in trade.low_skus):
        recent = sum(
            line.quantity
            for line in trade.lines
            if line.sku == item.sku
            and line.order.occurred_at.date() >= since
            and line.quantity > 0
            and line.unit_price > 0
        )
        on_hand = sum(level for (_, sku), level in levels.items() if sku == item.sku)
        if on_hand * 28 < recent * item.lead_time_days:
            lead_time = {"lead_time_days": item.lead_time_days, "units_sold_last_28_days": recent}
            found.append({"sku": item.sku, "on_hand": on_hand} | lead_time)
    return found


def _levels(trade: Trade) -> Counter[tuple[str, str]]:
    """On hand after the last day by (location, sku)."""
    levels: Counter[tuple[str, str]] = Counter()
    for row in trade.stock:
        levels[row.location, row.sku] += row.quantity
    for line in trade.lines:
        if line.line_type == "goods":
            levels[ATELIER, line.sku] -= line.quantity
    return levels


def _cents(amount: Decimal) -> str:
    return str(amount.quantize(Decimal("0.01"), ROUND_HALF_UP))
