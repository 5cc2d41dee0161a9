"""The sales report of the command line: gross sales, returns and net revenue by day or month, from the lake."""

from datetime import date
from decimal import Decimal
from typing import Any, Literal, get_args

from assets.finance.money import to_decimal
from assets.finance.statements import PERIOD_FORMATS, SALES_REPORT_SQL
from resources.lake import Lake

Period = Literal["day", "month"]
PERIODS: tuple[Period, ...] = get_args(Period)


def sales_report(lake: Lake, by: str, first: date | None = None, last: date | None = None) -> list[dict[str, Any]]:
    """Rows of period, gross_sales, returns, net_revenue (Decimal, exact), orders, units, currency, by period.

    In the brand's base currency; amounts of days without an exchange rate stand in rows of their own currency, since two
    currencies are never added up. `returns` is positive; `units` are units sold. Raises MissingAsset before a refresh and
    KeyError for another period than PERIODS.
    """
    bounds = [first or date.min, last or date.max]
    rows = lake.sql(SALES_REPORT_SQL, [by, PERIOD_FORMATS[by], *bounds]).to_dicts()
    return [_row(row) for row in rows]


def _row(row: dict[str, Any]) -> dict[str, Any]:
    def money(name: str) -> Decimal:
        return to_decimal(row[f"{name}_minor"], row["currency"])

    return {
        "period": row["period"],
        "gross_sales": money("gross_sales"),
        "returns": money("returns"),
        "net_revenue": money("net_revenue"),
        "orders": row["orders"],
        "units": row["units"],
        "currency": row["currency"],
    }
