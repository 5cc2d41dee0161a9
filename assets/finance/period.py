"""A period of the books in one page: revenue, cost, profit, channels and best sellers, in one currency.

Belongs here: sums over order lines and other money events. Does not belong here: posting (`posting`), the daily report
(`statements`), from which the revenue is taken so that both always agree.
"""

from dataclasses import dataclass
from typing import Any

import polars as pl

from assets.finance.fx import convert
from assets.finance.money import to_decimal
from assets.finance.posting import value_lines, wanted_postings
from assets.finance.statements import daily_report

TOP_ITEMS = 10
_OTHER_INCOME = ("shipping", "other_sales", "adjustments")
_OPERATING = ("fees", "samples", "bad_debt")


@dataclass(frozen=True)
class Books:
    """What is read of the store: lines with the columns of ORDER_LINES, costs, ratios into `currency`, and other events.

    `events`: day, type, amount_minor (negative where money goes out), currency.
    """

    lines: pl.DataFrame
    costs: pl.DataFrame
    ratios: pl.DataFrame
    events: pl.DataFrame
    currency: str


def period_report(books: Books) -> dict[str, Any]:
    """The summary and what belongs to it, amounts in major units of `books.currency`.

    Revenue is what goods were sold for, refunds what came back: as in the daily report. Amounts of days without an exchange
    rate are in no sum; `unconverted` names them. Cost, profit, margin and return on investment are null unless the cost of
    every unit sold is known. Shares are fractions: a margin of 0.62 is 62 %.
    """
    valued = value_lines(books.lines, books.costs, books.ratios, books.currency)
    channels = books.lines.select("order_id", "channel").unique("order_id")
    postings = wanted_postings(valued).join(channels, on="order_id", how="left", maintain_order="left")
    daily = daily_report(postings, valued, books.currency)
    converted = daily.filter(pl.col("base_net_revenue_minor").is_not_null())
    events = convert(books.events, books.ratios, books.currency, "amount_minor", "base_amount_minor")
    known = valued.filter(pl.col("base_amount_minor").is_not_null())
    goods = known.filter(pl.col("kind") == "goods")
    return {
        "summary": _summary(converted, goods, valued, events, books.currency),
        "revenue_by_channel": _by_channel(converted, books.currency),
        "top_selling_items": _best_sellers(goods, books.currency),
        "currency": books.currency,
        "unconverted": _unconverted(daily, events),
    }


def _summary(
    daily: pl.DataFrame, goods: pl.DataFrame, lines: pl.DataFrame, events: pl.DataFrame, currency: str
) -> dict[str, Any]:
    def total(*names: str) -> int:
        return sum(int(daily[f"base_{name}_minor"].sum()) for name in names)

    revenue, refunds = total("gross_sales"), total("returns")
    orders = int(daily["orders"].sum())
    spent = total(*_OPERATING) - _of_events(events, "expense")
    income = total(*_OTHER_INCOME) + _of_events(events, "revenue") - total("discounts")
    uncosted = goods.filter(pl.col("base_cost_minor").is_null())
    cost = int(goods["base_cost_minor"].sum()) if not uncosted.height else None
    gross = None if cost is None else revenue - refunds - cost
    net = None if gross is None else gross + income - spent
    invested = None if cost is None else cost + spent
    return {
        "total_revenue": _major(revenue, currency),
        "total_refunds": _major(refunds, currency),
        "net_revenue": _major(revenue - refunds, currency),
        "transaction_count": _order_events(lines) + events.height,
        "order_count": orders,
        "average_order_value": _major(_divided(revenue, orders), currency),
        "cost_of_goods_sold": _major(cost, currency),
        "gross_profit": _major(gross, currency),
        "gross_margin": _share(gross, revenue - refunds),
        "discounts": _major(total("discounts"), currency),
        "other_income": _major(total(*_OTHER_INCOME) + _of_events(events, "revenue"), currency),
        "operating_expenses": _major(spent, currency),
        "net_profit": _major(net, currency),
        "roi": _share(net, invested),
        "tax_collected": _major(total("tax"), currency),
        "units_without_cost": int(uncosted["quantity"].abs().sum()),
    }


def _order_events(lines: pl.DataFrame) -> int:
    """Sales and refunds: an order counts once for each."""
    booked = lines.filter(~pl.col("kind").is_in(["test", "gift", "stock_adjustment"]))
    return booked.select("order_id", pl.col("quantity") < 0).unique().height


def _of_events(events: pl.DataFrame, type: str) -> int:
    return int(events.filter(pl.col("type") == type)["base_amount_minor"].sum())


def _by_channel(daily: pl.DataFrame, currency: str) -> dict[str, float | None]:
    sums = daily.group_by("channel").agg(pl.col("base_gross_sales_minor").sum()).sort("channel")
    return {channel: _major(minor, currency) for channel, minor in sums.iter_rows() if minor}


def _best_sellers(goods: pl.DataFrame, currency: str) -> list[dict[str, Any]]:
    sold = (
        goods.filter((pl.col("quantity") > 0) & pl.col("sku").is_not_null())
        .group_by("sku")
        .agg(pl.col("quantity").sum(), pl.col("base_amount_minor").sum().alias("minor"))
        .sort("minor", "quantity", "sku", descending=[True, True, False])
        .head(TOP_ITEMS)
    )
    return [
        {"sku": sku, "quantity_sold": units, "revenue": _major(minor, currency)}
        for sku, units, minor in sold.iter_rows()
    ]


def _unconverted(daily: pl.DataFrame, events: pl.DataFrame) -> list[dict[str, Any]]:
    """Per currency, what no sum holds for want of a rate, and on which days."""
    lacking = daily.filter(pl.col("base_net_revenue_minor").is_null())
    sold = lacking.group_by("currency").agg(
        pl.col("gross_sales_minor").sum(), pl.col("returns_minor").sum(), pl.col("day")
    )
    told = (
        events.filter(pl.col("base_amount_minor").is_null()).group_by("currency").agg(pl.col("day").alias("event_days"))
    )
    rows = sold.join(told, on="currency", how="full", coalesce=True).sort("currency").to_dicts()
    return [
        {
            "currency": row["currency"],
            "gross_sales": _major(row["gross_sales_minor"] or 0, row["currency"]),
            "returns": _major(row["returns_minor"] or 0, row["currency"]),
            "days": sorted({day.isoformat() for day in [*(row["day"] or []), *(row["event_days"] or [])]}),
        }
        for row in rows
    ]


def _divided(total: int, count: int) -> int | None:
    return round(total / count) if count else None


def _major(minor: int | None, currency: str) -> float | None:
    """Major units. Exact: a double holds every amount of up to fifteen digits."""
    return None if minor is None else float(to_decimal(minor, currency))


def _share(part: int | None, whole: int | None) -> float | None:
    return None if part is None or not whole else round(part / whole, 6)
