"""What may still be bought, month by month and category by category, so that stock ends where it is planned to. Pure.

    open to buy = planned sales + planned markdowns + planned stock at the month's end - stock at its beginning - on order

at retail value (M. Levy, B. Weitz, D. Grewal, Retailing Management, chapter on merchandise planning). The stock at the
beginning of a later month is what is planned for the end of the one before, or what there will be if nothing is bought,
whichever is more.

Belongs here: the sums. Does not belong here: forecasts, orders.
"""

from datetime import date, timedelta
from typing import Any

import polars as pl

from assets.inventory.buying.settings import BuyingSettings

OPEN_TO_BUY: dict[str, pl.DataType] = {
    "month": pl.Date(),
    "category": pl.String(),
    "currency": pl.String(),
    "planned_sales_minor": pl.Int64(),
    "planned_markdowns_minor": pl.Int64(),
    "planned_end_stock_minor": pl.Int64(),
    "opening_stock_minor": pl.Int64(),
    "arriving_minor": pl.Int64(),
    "open_to_buy_minor": pl.Int64(),
    "planned_sales_units": pl.Float64(),
    "unpriced_skus": pl.Int64(),
}
NO_CATEGORY = "(none)"


def open_to_buy(
    levels: pl.DataFrame,
    forecasts: pl.DataFrame,
    catalog: pl.DataFrame,
    coming: pl.DataFrame,
    settings: BuyingSettings,
    as_of: date,
    markdowns: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """The months that the forecast covers whole or in part, from that of `as_of` on: columns OPEN_TO_BUY.

    levels: sku, on_hand, counted. forecasts: sku, week, mean. catalog: sku, category, retail_price_minor, currency.
    coming: sku, expected_on, on_order (approved orders; what is overdue or has no day counts in the first month).
    markdowns: sku, on_hand, price_step, price_minor: suggestions, whose worth is planned in the first month; beside them
    `markdown_rate` of sales.

    The planned stock at a month's end is `end_stock_weeks` of the pace that is expected after it (of the last month: of the
    forecast's mean week). A month that the forecast ends in is planned for the days that it has. SKUs without a price are
    counted in `unpriced_skus` and in no amount.
    """
    last = forecasts["week"].max()
    if not isinstance(last, date) or last + timedelta(days=6) < as_of:
        return pl.DataFrame(schema=OPEN_TO_BUY)
    end = last + timedelta(days=7)
    sales = _daily(forecasts, as_of, end)
    months = _months(as_of, end)
    prices = catalog.select("sku", pl.col("category").fill_null(NO_CATEGORY), "retail_price_minor", "currency")
    stock = dict(levels.filter("counted").select("sku", "on_hand").iter_rows())
    arriving = _by_month(coming, months)
    marked = _markdown_worth(markdowns)
    lines: dict[tuple[str, str], _Lines] = {}
    unpriced: dict[str, int] = {}
    for sku, category, price, currency in prices.iter_rows():
        if sku not in stock and sku not in sales and sku not in arriving:
            continue
        if price is None or currency is None:
            unpriced[category] = unpriced.get(category, 0) + 1
            continue
        line = lines.setdefault((category, currency), _Lines(len(months)))
        line.add(
            price,
            stock.get(sku, 0),
            sales.get(sku, {}),
            arriving.get(sku, [0] * len(months)),
            months,
            end,
            marked.get(sku, 0),
        )
    rows = [
        row
        for (category, currency), line in sorted(lines.items())
        for row in line.rows(category, currency, months, settings, unpriced.get(category, 0))
    ]
    return pl.DataFrame(rows, schema=OPEN_TO_BUY).sort("month", "category", "currency")


class _Lines:
    """Sums of one category and currency, a number a month."""

    def __init__(self, months: int) -> None:
        self.sales = [0.0] * months
        self.units = [0.0] * months
        self.pace = [0.0] * months
        self.arriving = [0] * months
        self.stock = 0
        self.marked = 0

    def add(
        self,
        price: int,
        stock: int,
        sales: dict[date, float],
        arriving: list[int],
        months: list[date],
        end: date,
        marked: int,
    ) -> None:
        self.stock += price * max(0, stock)
        self.marked += marked
        mean = sum(sales.values()) / len(sales) * 7 if sales else 0.0
        for n, month in enumerate(months):
            following = _next(month)
            units = sum(v for day, v in sales.items() if month <= day < following)
            after = [v for day, v in sales.items() if following <= day < _next(following)]
            self.units[n] += units
            self.sales[n] += price * units
            self.pace[n] += price * (sum(after) / len(after) * 7 if len(after) >= 7 else mean)
            self.arriving[n] += price * arriving[n]

    def rows(
        self, category: str, currency: str, months: list[date], settings: BuyingSettings, unpriced: int
    ) -> list[dict[str, Any]]:
        found = []
        opening = self.stock
        for n, month in enumerate(months):
            sales = round(self.sales[n])
            markdowns = round(settings.markdown_rate * self.sales[n]) + (self.marked if n == 0 else 0)
            end_stock = round(self.pace[n] * settings.end_stock_weeks)
            open_minor = sales + markdowns + end_stock - opening - self.arriving[n]
            found.append(
                {
                    "month": month,
                    "category": category,
                    "currency": currency,
                    "planned_sales_minor": sales,
                    "planned_markdowns_minor": markdowns,
                    "planned_end_stock_minor": end_stock,
                    "opening_stock_minor": opening,
                    "arriving_minor": self.arriving[n],
                    "open_to_buy_minor": open_minor,
                    "planned_sales_units": self.units[n],
                    "unpriced_skus": unpriced,
                }
            )
            # What is too much now is too much later as well, until it is sold.
            opening = end_stock + max(0, -open_minor)
        return found


def _daily(forecasts: pl.DataFrame, as_of: date, end: date) -> dict[str, dict[date, float]]:
    found: dict[str, dict[date, float]] = {}
    for sku, week, mean in forecasts.select("sku", "week", "mean").iter_rows():
        days = found.setdefault(sku, {})
        for n in range(7):
            day = week + timedelta(days=n)
            if as_of <= day < end:
                days[day] = mean / 7
    return found


def _months(as_of: date, end: date) -> list[date]:
    months = [as_of.replace(day=1)]
    while _next(months[-1]) < end:
        months.append(_next(months[-1]))
    return months


def _next(month: date) -> date:
    return (month.replace(day=1) + timedelta(days=32)).replace(day=1)


def _by_month(coming: pl.DataFrame, months: list[date]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for sku, day, units in coming.select("sku", "expected_on", "on_order").iter_rows():
        month = max(day.replace(day=1), months[0]) if day else months[0]
        if month in months:
            found.setdefault(sku, [0] * len(months))[months.index(month)] += units
    return found


def _markdown_worth(markdowns: pl.DataFrame | None) -> dict[str, int]:
    if markdowns is None:
        return {}
    worth = (pl.col("price_minor") * pl.col("price_step") * pl.col("on_hand")).round().cast(pl.Int64)
    return dict(markdowns.drop_nulls("price_minor").select("sku", worth.alias("worth")).iter_rows())
