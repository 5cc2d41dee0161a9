"""What the executive report says: its figures, checked and ordered, with a sentence for whatever is missing.

What belongs here: the shape of the frames that the report is made of, the key figures derived from them, the
notes that follow from the data, and how an amount of money is written. What does not: querying the ledger,
drawing, HTML (`executive_page`), XLSX (`executive_workbook`), and files.

Money is in integer minor units throughout; a float where money should be is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from types import MappingProxyType
from typing import Any, Literal

import polars as pl
from babel.dates import format_date
from babel.numbers import format_currency, format_decimal, get_currency_symbol

from assets.finance.money import exponents

LOCALE = "en_GB"
TOP = 10
"""How many best sellers and slow movers a page shows; the workbook has all of them."""

Kind = Literal["money", "rate", "count"]

SCHEMAS: Mapping[str, Mapping[str, type[pl.DataType]]] = MappingProxyType(
    {
        "monthly": {
            "month": pl.Date,
            "gross_sales": pl.Int64,
            "returns": pl.Int64,
            "net_revenue": pl.Int64,
            "orders": pl.Int64,
            "units": pl.Int64,
            "cogs": pl.Int64,
            "margin": pl.Int64,
            "costed_revenue": pl.Int64,
        },
        "unconverted": {"currency": pl.String, "net_revenue": pl.Int64},
        "by_channel": {"channel": pl.String, "net_revenue": pl.Int64, "share": pl.Float64},
        "by_sku": {
            "sku": pl.String,
            "name": pl.String,
            "units": pl.Int64,
            "net_revenue": pl.Int64,
            "margin": pl.Int64,
            "margin_rate": pl.Float64,
        },
        "slow": {
            "sku": pl.String,
            "name": pl.String,
            "on_hand": pl.Int64,
            "units_last_13_weeks": pl.Int64,
            "weeks_since_last_sale": pl.Int64,
        },
        "stockouts_ahead": {
            "sku": pl.String,
            "name": pl.String,
            "available": pl.Int64,
            "weekly_mean": pl.Float64,
            "stockout_on": pl.Date,
            "recommended_quantity": pl.Int64,
        },
        "fan": {
            "week": pl.Date,
            "actual": pl.Float64,
            "mean": pl.Float64,
            "lower": pl.Float64,
            "upper": pl.Float64,
        },
        "cash": {"month": pl.Date, "inflow": pl.Int64, "outflow": pl.Int64, "net": pl.Int64},
        "returns": {
            "category": pl.String,
            "units_sold": pl.Int64,
            "units_returned": pl.Int64,
            "return_rate": pl.Float64,
        },
    }
)
"""Columns and types of every frame; the first column is the key: never null, never twice."""

MONEY = frozenset(
    {"gross_sales", "returns", "net_revenue", "cogs", "margin", "costed_revenue"} | {"inflow", "outflow", "net"}
)
"""Columns in minor units."""

OPTIONAL = frozenset(
    {"name", "cogs", "margin", "costed_revenue", "margin_rate", "share", "return_rate"}
    | {"units_last_13_weeks", "weeks_since_last_sale", "recommended_quantity"}
)
"""Columns that a frame may lack; rates are then derived, the others null."""

MISSING: Mapping[str, str] = MappingProxyType(
    {
        "monthly": "No sales were ingested for this period: run `luxauto ingest orders FILE`, "
        "then materialise `financial_report`.",
        "by_channel": "No sales by channel: ingest orders that name their channel, "
        "then materialise `margin_by_channel`.",
        "by_sku": "No sales by product: ingest orders with their lines, then materialise `margin_by_sku`.",
        "slow": "Slow movers are not known: materialise `stock_levels` and `demand_history`.",
        "stockouts_ahead": "Stock-outs are not foreseen without a forecast: materialise `demand_forecast` "
        "and `reorder_plan`.",
        "fan": "There is no forecast: materialise `demand_history` and `demand_forecast`.",
        "cash": "The ledger has no postings to clearing accounts in this period: materialise `ledger`.",
        "returns": "No returns are known: ingest orders with their refunds, then materialise `financial_report`.",
        "costs": "No costs were ingested: run `luxauto ingest catalog FILE` with a cost column.",
    }
)
"""What a section says that has no data, and what to do about it."""

NOTHING: Mapping[str, str] = MappingProxyType(
    {
        "slow": "No product in stock is slow.",
        "stockouts_ahead": "No product is expected to run out within the forecast's horizon.",
    }
)
"""What a section says that was computed and found nothing, where that is good news."""


class ReportError(ValueError):
    """The report cannot be made of these figures; the message says which, why, and what to give instead."""


@dataclass(frozen=True)
class Change:
    """A figure against an earlier one: 0.12 is twelve per cent more, None is nothing to compare with."""

    against: str
    ratio: float | None


@dataclass(frozen=True)
class Kpi:
    """One key figure: minor units for money, a share for a rate; None where it is not known."""

    key: str
    label: str
    kind: Kind
    value: int | float | None
    detail: str
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, eq=False)
class ExecutiveReport:
    """Everything that the page and the workbook show. The frames have the columns of `SCHEMAS`, in order.

    `absences` has, for each section without data, the sentence to show in its place.
    """

    brand: str
    currency: str
    exponent: int
    period_first: date
    period_last: date
    generated_at: datetime
    kpis: tuple[Kpi, ...]
    monthly: pl.DataFrame
    unconverted: pl.DataFrame
    by_channel: pl.DataFrame
    by_sku: pl.DataFrame
    slow: pl.DataFrame
    stockouts_ahead: pl.DataFrame
    fan: pl.DataFrame
    cash: pl.DataFrame
    returns: pl.DataFrame
    notes: tuple[str, ...] = ()
    absences: Mapping[str, str] = field(default_factory=dict)

    @property
    def partial_months(self) -> tuple[date, ...]:
        """Months with sales that the period does not cover from their first day to their last."""
        return _partial_months(self.monthly, self.period_first, self.period_last)

    def money(self, minor: int) -> str:
        """An amount in the base currency, as text."""
        return money_text(minor, self.currency, self.exponent)


def build_report(
    *,
    brand: str,
    currency: str,
    exponent: int,
    period_first: date,
    period_last: date,
    generated_at: datetime,
    monthly: pl.DataFrame | None = None,
    unconverted: pl.DataFrame | None = None,
    by_channel: pl.DataFrame | None = None,
    by_sku: pl.DataFrame | None = None,
    slow: pl.DataFrame | None = None,
    stockouts_ahead: pl.DataFrame | None = None,
    fan: pl.DataFrame | None = None,
    cash: pl.DataFrame | None = None,
    returns: pl.DataFrame | None = None,
    notes: Iterable[str] = (),
) -> ExecutiveReport:
    """Check and order the figures, derive the key ones, and say what is missing.

    Each frame has the columns of `SCHEMAS` (those in `OPTIONAL` may be absent), in any order of rows. None
    says that it was not computed, an empty frame that nothing was found. Money is in minor units of
    `currency`, except `unconverted`, where each row is in its own; `returns` and `outflow` are positive
    amounts that went out; `month` is any day of the month. A month's `margin` is that of the sales whose cost
    is known, `costed_revenue` the net revenue of those sales (null: all of it).

    Notes that follow from the data (months not complete, costs not known, amounts without an exchange rate)
    are added to `notes`. Raises ReportError for a missing column, a wrong type, a key that is null or comes
    twice, a period that ends before it begins, or a `generated_at` without an offset.
    """
    if period_last < period_first:
        raise ReportError(f"the period ends on {period_last}, before it begins on {period_first}: swap them")
    if generated_at.utcoffset() is None:
        raise ReportError(f"generated_at {generated_at} has no offset: give a time in UTC")
    given = {
        "monthly": monthly,
        "unconverted": unconverted,
        "by_channel": by_channel,
        "by_sku": by_sku,
        "slow": slow,
        "stockouts_ahead": stockouts_ahead,
        "fan": fan,
        "cash": cash,
        "returns": returns,
    }
    frames = {section: _ordered(section, _conformed(section, frame)) for section, frame in given.items()}
    derived = (
        *_notes_on_months(frames["monthly"], period_first, period_last),
        *_notes_on_costs(frames["by_sku"]),
        *_notes_on_unconverted(frames["unconverted"], currency),
    )
    return ExecutiveReport(
        brand=brand,
        currency=currency,
        exponent=exponent,
        period_first=period_first,
        period_last=period_last,
        generated_at=generated_at,
        kpis=_kpis(frames, last_full_month(period_first, period_last), foreseen=given["stockouts_ahead"] is not None),
        notes=tuple(dict.fromkeys((*notes, *derived))),
        absences=_absences(frames, given),
        **frames,
    )


def last_full_month(first: date, last: date) -> date | None:
    """The first day of the last calendar month that lies wholly between the two days, or None."""
    following = last + timedelta(days=1)
    month = _month_before(following.replace(day=1))
    return month if month >= first else None


def decimal_amount(minor: int, exponent: int) -> Decimal:
    """Minor units as the amount they are: 1234 with two decimals is 12.34, exactly."""
    return Decimal(minor).scaleb(-exponent)


def money_text(minor: int, currency: str, exponent: int) -> str:
    """An amount for reading, to its last decimal: £1,234.50, ¥300, KWD 1.250. `exponent` is ISO 4217's."""
    symbol = get_currency_symbol(currency, locale=LOCALE)
    decimals = "." + "0" * exponent if exponent else ""
    space = "\N{NO-BREAK SPACE}" if symbol[-1:].isalpha() else ""
    text = format_currency(
        decimal_amount(minor, exponent),
        currency,
        format=f"¤{space}#,##0{decimals}",
        locale=LOCALE,
        currency_digits=False,
    )
    return text.replace("-", "\N{MINUS SIGN}")


def count_text(number: int | float) -> str:
    """A whole number for reading: 4,636; a fraction is rounded."""
    return format_decimal(round(number), locale=LOCALE).replace("-", "\N{MINUS SIGN}")


def day_text(day: date) -> str:
    """A day for reading: 9 December 2011."""
    return format_date(day, "d MMMM y", locale=LOCALE)


def month_text(month: date) -> str:
    """A month for reading: December 2011."""
    return format_date(month, "MMMM y", locale=LOCALE)


def currency_exponent(currency: str) -> int | None:
    """Decimals of a currency by ISO 4217; None for a code that it does not have."""
    return exponents().get(currency)


def unconverted_text(currency: str, minor: int) -> str:
    """An amount in a currency that no rate leads from; its minor units where its decimals are not known."""
    exponent = currency_exponent(currency)
    if exponent is None:
        return f"{count_text(minor)} minor units of {currency}"
    return money_text(minor, currency, exponent)


# Checking and ordering what was given


def _conformed(section: str, frame: pl.DataFrame | None) -> pl.DataFrame:
    """The frame with the section's columns and types, whatever else it carried left out."""
    schema = SCHEMAS[section]
    if frame is None or not frame.columns:
        return pl.DataFrame(schema=dict(schema))
    absent = [column for column in schema if column not in frame.columns]
    if lacking := [column for column in absent if column not in OPTIONAL or column == next(iter(schema))]:
        raise ReportError(f"{section} has no column {', '.join(lacking)}: it needs {', '.join(schema)}")
    frame = frame.with_columns(pl.lit(None).alias(column) for column in absent)
    for column in schema:
        kind = frame.schema[column]
        if column in MONEY and not (kind.is_integer() or kind == pl.Null):
            raise ReportError(f"{section}.{column} is {kind}: money must be integers, in minor units")
    try:
        frame = frame.select(pl.col(column).cast(kind) for column, kind in schema.items())
    except pl.exceptions.PolarsError as error:
        raise ReportError(f"{section} does not fit its columns {dict(schema)}: {error}") from error
    floats = pl.col(pl.Float64)
    frame = frame.with_columns(pl.when(floats.is_finite()).then(floats))
    return _with_rates(section, _with_a_sound_key(section, frame))


def _with_a_sound_key(section: str, frame: pl.DataFrame) -> pl.DataFrame:
    key = frame.columns[0]
    if key == "month":
        frame = frame.with_columns(pl.col("month").dt.month_start())
    if frame[key].null_count():
        raise ReportError(f"{section} has rows without {key}: name them or leave them out, with a note")
    if (twice := frame[key].filter(frame[key].is_duplicated())).len():
        raise ReportError(f"{section} has {key} {twice[0]} more than once: sum its rows first")
    return frame


def _with_rates(section: str, frame: pl.DataFrame) -> pl.DataFrame:
    """Shares and rates that were not given, where the columns beside them say what they are."""
    part_of_whole = {
        "by_channel": ("share", pl.col("net_revenue"), pl.col("net_revenue").sum()),
        "by_sku": ("margin_rate", pl.col("margin"), pl.col("net_revenue")),
        "returns": ("return_rate", pl.col("units_returned"), pl.col("units_sold")),
    }
    if section not in part_of_whole:
        return frame
    name, part, whole = part_of_whole[section]
    return frame.with_columns(pl.col(name).fill_null(pl.when(whole > 0).then(part / whole)))


def _ordered(section: str, frame: pl.DataFrame) -> pl.DataFrame:
    """Rows in the order in which a reader wants them; the key decides ties."""
    key = pl.col(frame.columns[0])
    match section:
        case "by_channel" | "by_sku":
            return frame.sort(pl.col("net_revenue"), key, descending=[True, False], nulls_last=True)
        case "slow":
            never = pl.col("weeks_since_last_sale").is_null()
            by = (
                pl.col("units_last_13_weeks"),
                never,
                pl.col("weeks_since_last_sale"),
                pl.col("on_hand"),
                key,
            )
            return frame.sort(*by, descending=[False, True, True, True, False], nulls_last=True)
        case "stockouts_ahead":
            return frame.sort(pl.col("stockout_on"), key, nulls_last=True)
        case "returns":
            return frame.sort(key != "all", -pl.col("units_returned"), key, nulls_last=True)
        case _:
            return frame.sort(key)


# Key figures


def _kpis(frames: Mapping[str, pl.DataFrame], month: date | None, *, foreseen: bool) -> tuple[Kpi, ...]:
    """The row at the head of the report; sales figures are those of the last full month."""
    monthly = frames["monthly"]
    now = _figures_of(monthly, month) if month else None
    detail = _detail_of_month(month, now)
    return (
        Kpi("net_revenue", "Net revenue", "money", *_sales(monthly, month, "net_revenue", detail)),
        _gross_margin(now, detail),
        Kpi("orders", "Orders", "count", *_sales(monthly, month, "orders", detail)),
        Kpi("order_value", "Average order", "money", *_sales(monthly, month, "order_value", detail)),
        _return_rate(frames["returns"]),
        _stockouts_ahead(frames["stockouts_ahead"], foreseen),
    )


def _sales(
    monthly: pl.DataFrame, month: date | None, figure: str, detail: str
) -> tuple[int | None, str, tuple[Change, ...]]:
    """A figure of one month, with its change against the month before and the same month a year before."""
    if month is None:
        return None, detail, ()
    value = (_figures_of(monthly, month) or {}).get(figure)
    if value is None:
        return None, detail, ()
    changes = []
    for earlier in (_month_before(month), month.replace(year=month.year - 1)):
        before = (_figures_of(monthly, earlier) or {}).get(figure)
        ratio = (value - before) / before if before is not None and before > 0 else None
        changes.append(Change(month_text(earlier), ratio))
    return value, detail, tuple(changes)


def _figures_of(monthly: pl.DataFrame, month: date) -> dict[str, Any] | None:
    """The row of a month and its average order value: gross sales over orders, in minor units."""
    rows = monthly.filter(pl.col("month") == month).to_dicts()
    if not rows:
        return None
    figures, mean = rows[0], None
    if figures["gross_sales"] is not None and figures["orders"]:
        exact = Decimal(figures["gross_sales"]) / Decimal(figures["orders"])
        mean = int(exact.quantize(Decimal(1), ROUND_HALF_EVEN))
    return figures | {"order_value": mean}


def _detail_of_month(month: date | None, figures: Mapping[str, Any] | None) -> str:
    if month is None:
        return "no full month in the period"
    return month_text(month) if figures else f"no sales recorded in {month_text(month)}"


def _gross_margin(now: Mapping[str, Any] | None, detail: str) -> Kpi:
    """Margin over the net revenue of the sales whose cost is known, and how much of the whole that is."""
    if not now or now["margin"] is None:
        return Kpi("gross_margin", "Gross margin", "rate", None, MISSING["costs"] if now else detail)
    whole = now["net_revenue"]
    costed = whole if now["costed_revenue"] is None else now["costed_revenue"]
    if not costed:
        return Kpi("gross_margin", "Gross margin", "rate", None, MISSING["costs"])
    if whole and costed != whole:
        detail = f"{detail}, on the {costed / whole:.0%} of revenue whose cost is known"
    return Kpi("gross_margin", "Gross margin", "rate", now["margin"] / costed, detail)


def _return_rate(returns: pl.DataFrame) -> Kpi:
    """Units returned over units sold: of the row "all" where there is one, else of the categories' sum."""
    whole = returns.filter(pl.col("category") == "all")
    rows = whole if whole.height else returns
    sold, returned = int(rows["units_sold"].sum()), int(rows["units_returned"].sum())
    if not sold:
        return Kpi("return_rate", "Return rate", "rate", None, "no units sold are known")
    detail = f"{count_text(returned)} of {count_text(sold)} units, whole period"
    return Kpi("return_rate", "Return rate", "rate", returned / sold, detail)


def _stockouts_ahead(stockouts: pl.DataFrame, foreseen: bool) -> Kpi:
    if not foreseen:
        return Kpi("stockouts_ahead", "Stock-outs ahead", "count", None, "no forecast to see them in")
    first = stockouts["stockout_on"].drop_nulls()
    detail = f"the first on {day_text(first[0])}" if first.len() else "none within the horizon"
    return Kpi("stockouts_ahead", "Stock-outs ahead", "count", stockouts.height, detail)


# Sentences that follow from the data


def _absences(frames: Mapping[str, pl.DataFrame], given: Mapping[str, pl.DataFrame | None]) -> dict[str, str]:
    """For each section without rows, why, and what to do."""
    empty = [section for section, frame in frames.items() if frame.is_empty() and section in MISSING]
    found_nothing = {section for section in NOTHING if given[section] is not None}
    says = {section: NOTHING[section] if section in found_nothing else MISSING[section] for section in empty}
    if frames["by_sku"].height and not frames["by_sku"]["margin"].count():
        says["costs"] = MISSING["costs"]
    return says


def _notes_on_months(monthly: pl.DataFrame, first: date, last: date) -> list[str]:
    return [
        f"{month_text(month)} is not complete: the period runs from {day_text(first)} to {day_text(last)}."
        for month in _partial_months(monthly, first, last)
    ]


def _notes_on_costs(by_sku: pl.DataFrame) -> list[str]:
    unknown = by_sku["margin"].null_count()
    if not unknown:
        return []
    share = f"{count_text(unknown)} of {count_text(by_sku.height)}"
    return [f"Cost is unknown for {share} SKUs: margin is left empty."]


def _notes_on_unconverted(unconverted: pl.DataFrame, currency: str) -> list[str]:
    return [
        f"Net revenue of {unconverted_text(code, minor)} is not in these figures: "
        f"no exchange rate from {code} to {currency} is known."
        for code, minor in unconverted.iter_rows()
        if minor is not None
    ]


# Months


def _partial_months(monthly: pl.DataFrame, first: date, last: date) -> tuple[date, ...]:
    months = monthly["month"].to_list()
    return tuple(m for m in months if m < first or _month_after(m) - timedelta(days=1) > last)


def _month_before(month: date) -> date:
    return (month - timedelta(days=1)).replace(day=1)


def _month_after(month: date) -> date:
    return (month + timedelta(days=31)).replace(day=1)
