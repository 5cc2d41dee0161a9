"""The days of a report: what it is cut into, and with which other days it is compared.

Belongs here: the calendar. Does not belong here: amounts.
"""

import calendar
from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

from assets.finance.reports.model import NOT_GIVEN, ReportError

TIMES = ("day", "month", "quarter", "year")
PLACES = ("channel", "country")
MOST_COLUMNS = 400
_SHORTEST = {"day": 1, "month": 28, "quarter": 90, "year": 365}
_TRUNCATED = {"day": "1d", "month": "1mo", "quarter": "1q", "year": "1y"}
COMPARISONS = ("previous", "year", "previous_constant", "year_constant")


@dataclass(frozen=True)
class Span:
    """The days [first, last]."""

    first: date
    last: date

    def __post_init__(self) -> None:
        if self.first > self.last:
            raise ReportError(f"the first day, {self.first}, is after the last, {self.last}")

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1

    def __str__(self) -> str:
        return f"{self.first} to {self.last}"


def bucket(by: str) -> pl.Expr:
    """The column of a report that a posting falls into, still as it is grouped by: a date, a channel or a country."""
    if by in TIMES:
        return pl.col("day").dt.truncate(_TRUNCATED[by])
    if by in PLACES:
        return pl.col(by)
    raise ReportError(f"{by!r} is not one of {', '.join((*TIMES, *PLACES))}")


def bucket_key(by: str, value: date | str | None) -> str:
    """How that column is called: 2025-03-01, 2025-03, 2025-Q1, 2025, or the channel or country."""
    if value is None:
        return NOT_GIVEN
    if not isinstance(value, date):
        return value
    if by == "quarter":
        return f"{value.year:04}-Q{(value.month + 2) // 3}"
    return value.isoformat()[: {"day": 10, "month": 7, "year": 4}[by]]


def bucket_label(by: str, key: str) -> str:
    """What stands above that column: Jan 2025 for a month."""
    if key == NOT_GIVEN:
        return "not given"
    return f"{date.fromisoformat(f'{key}-01'):%b %Y}" if by == "month" else key


def buckets(span: Span, by: str) -> list[str]:
    """Every column that the days fall into, the empty ones too. Raises ReportError for more than anybody reads."""
    _not_too_many(span, by)
    day = pl.date_range(span.first, span.last, "1d", eager=True).alias("day")
    return [bucket_key(by, d) for d in pl.DataFrame([day]).select(bucket(by).unique(maintain_order=True))["day"]]


def ends(span: Span, by: str) -> list[date]:
    """The last day of each bucket in the span; of the last one the span's own."""
    if by not in TIMES:
        raise ReportError(f"{by!r} is not one of {', '.join(TIMES)}")
    _not_too_many(span, by)
    days = pl.DataFrame([pl.date_range(span.first, span.last, "1d", eager=True).alias("day")])
    return days.group_by(bucket(by).alias("bucket"), maintain_order=True).agg(pl.col("day").max())["day"].to_list()


def compared_with(span: Span, comparison: str) -> Span:
    """The period before (as many whole months where the span is whole months, else as many days), or the year before.

    Raises ReportError where there is no such comparison, or no such year.
    """
    kind = comparison.removesuffix("_constant")
    if comparison not in COMPARISONS:
        raise ReportError(f"{comparison!r} is not one of {', '.join(COMPARISONS)}")
    try:
        if kind == "year":
            return Span(_years_before(span.first), _years_before(span.last))
        before = span.first - timedelta(days=1)
        if span.first.day == 1 and span.last == _month_end(span.last):
            months = (span.last.year - span.first.year) * 12 + span.last.month - span.first.month + 1
            first = span.first.year * 12 + span.first.month - 1 - months
            return Span(date(first // 12, first % 12 + 1, 1), before)
        return Span(span.first - timedelta(days=span.days), before)
    except (ValueError, OverflowError) as error:
        raise ReportError(f"the calendar does not reach back to the {kind} before {span}") from error


def counterparts(span: Span, other: Span, comparison: str) -> pl.DataFrame:
    """For each day of the span the day that it is compared with: day, counterpart. None lies after the other's end."""
    _not_too_many(span, "month")
    days = pl.date_range(span.first, span.last, "1d", eager=True).to_list()
    if comparison.startswith("year"):
        pairs = [(d, _years_before(d)) for d in days]
    else:
        pairs = [(d, min(other.last, other.first + timedelta(days=n))) for n, d in enumerate(days)]
    return pl.DataFrame(pairs, schema={"day": pl.Date, "counterpart": pl.Date}, orient="row")


def _not_too_many(span: Span, by: str) -> None:
    if span.days > MOST_COLUMNS * _SHORTEST[by]:
        raise ReportError(f"{span} by {by} is more than {MOST_COLUMNS} columns: name fewer days, or longer columns")


def _years_before(day: date) -> date:
    try:
        return day.replace(year=day.year - 1)
    except ValueError:
        # The 29th of February; a year below 1 raises again.
        return day.replace(year=day.year - 1, day=28)


def _month_end(day: date) -> date:
    return day.replace(day=calendar.monthrange(day.year, day.month)[1])
